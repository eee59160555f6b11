"""The nine systems of the survey, a small table each: what was published, what costs nothing, and ours, with what each was measured on."""
from dataclasses import dataclass

from colorlib import results

__all__ = ["card", "CARDS", "Card"]


@dataclass(frozen=True)
class Card:
    """What a system's table shows. metrics: its columns; results, dataset: which of our rows; rows: of them, "method" or "method (variant)", what costs nothing
    first; published: (file of `data/paper_tables`, its systems).

    >>> CARDS["tcvc"].metrics, CARDS["tcvc"].dataset
    (('psnr', 'ssim', 'chroma_warp_error'), 'big_buck_bunny val')
    """
    metrics: tuple
    results: str
    dataset: str
    rows: tuple
    published: tuple = ("", ())


CARDS = {
    "koalarization": Card(("judged real %", "psnr", "colorfulness_ratio"), "koalarization", "imagenette val",
                          ("grey", "mean colour", "koalarization (true embedding)"), ("koalarization_user_study", ("Deep Koalarization 2017",))),
    "tcvc": Card(("psnr", "ssim", "chroma_warp_error"), "video", "big_buck_bunny val", ("grey", "koalarization (smoothed)", "tcvc", "tcvc_lines"),
                 ("video", ("pix2pix, from line art", "TCVC 2019, from line art"))),
    "sshape": Card(("psnr", "ssim", "ae"), "infrared", "vcip2020 val", ("infrared copied", "unet_infrared", "sshape"),
                   ("infrared_systems", ("S-shape network", "S-shape network, re-run by a third party", "U-Net, re-run by a third party"))),
    "film": Card(("acc@1", "acc@5"), "language", "imagenette val", ("constant bin", "fcnn", "concat", "film"),
                 ("language", ("FCNN", "CONCAT", "FiLM", "constant bin"))),
    "asym_cyclegan": Card(("ae", "ssim"), "infrared", "vcip2020 val", ("infrared copied", "cyclegan_infrared", "asym_cyclegan"),
                          ("infrared", ("CycleGAN", "ACGAN"))),
    "stacked_gan": Card(("ae", "ssim"), "infrared", "vcip2020 val", ("infrared copied", "unet_infrared", "stacked_gan"),
                        ("infrared", ("Stacked conditional GAN",))),
    "scgan": Card(("psnr", "ssim", "colorfulness_ratio"), "scgan", "imagenette val", ("grey", "mean colour", "scgan")),
    "hscau": Card(("psnr", "ssim"), "hints", "imagenette val", ("grey", "levin", "unet", "hscau"), ("hints", ("hscau",))),
    "gray2color": Card(("his_file", "psnr"), "references", "imagenette val", ("grey", "truth", "welsh", "color2embed", "gray2color")),
}


def card(name, size="class"):
    """A system's table, Markdown. What was not measured, or not published, is a dash. Raises ValueError for a system the survey does not have.

    >>> card("film").splitlines()[0]
    '| system | measured on | acc@1 % ↑ | acc@5 % ↑ |'
    """
    if name not in CARDS:
        raise ValueError(f"The survey has no system {name!r}: choose one of {', '.join(CARDS)}.")
    one, published = CARDS[name], {}
    file, systems = one.published
    for row in results.read_published(file) if file else ():
        if row["system"] in systems and row["metric"] in one.metrics:
            value = f"{round(row['value'], results.METRICS[row['metric']][1]):g}"      # no more digits than were published
            published.setdefault((row["system"], f"{row['split']} (published)"), {})[row["metric"]] = value
    ours = {results.label_of(row): row for row in results.latest(one.results, size=size, dataset=one.dataset)}
    cells = [[system, place, *(results.cell(values.get(metric)) for metric in one.metrics)] for (system, place), values in published.items()]
    cells += [[label, one.dataset, *results.cells(ours[label], one.metrics)] for label in one.rows if label in ours]
    return results.markdown([["system", "measured on", *map(results.heading, one.metrics)], *cells])
