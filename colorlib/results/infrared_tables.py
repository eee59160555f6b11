"""Our numbers on near infrared beside published ones: the survey's table, and that of the VCIP 2020 challenge; Markdown, from CSV files."""
from colorlib import results

__all__ = ["survey_table", "challenge_table", "SURVEY", "OURS"]

SURVEY = ("urban", "old building")                                            # the splits of the survey's table, Sun et al. 2019's
# a system of the survey: our method of the same idea
OURS = {"Stacked conditional GAN": "stacked_gan", "UNIT (Liu et al. 2017)": "unit", "CycleGAN": "cyclegan_infrared", "ACGAN": "asym_cyclegan"}


def survey_table(size=None, name="infrared", datasets=None):
    """The survey's table and, in columns of their own that name the data set, ours; other pictures and another protocol, so no cell holds both.

    Systems of the survey first, those we have in the same line; then what costs nothing and our other methods. size: of our rows, by default the
    largest run. datasets: of ours, by default all. Markdown.

    >>> survey_table().splitlines()[0].split(" | ")[:3]
    ['| system', 'AE °, urban (published)', 'AE °, old building (published)']
    """
    published = {(row["system"], row["metric"], row["split"]): row["value"] for row in results.read_published(name) if row["split"] in SURVEY}
    ours = [row for row in results.latest(name, **({} if size is None else {"size": size})) if row.get("ae") is not None]
    datasets = datasets or list(dict.fromkeys(row["dataset"] for row in ours))
    found = {(results.label_of(row), row["dataset"]): row for row in ours if row["dataset"] in datasets}
    systems = list(dict.fromkeys(system for system, _, _ in published))
    rest = sorted((one for one in dict.fromkeys(label for label, _ in found) if one not in OURS.values()), key=results.trivial_first)
    lines = [["system", *(f"{heading}, {split} (published)" for heading in ("AE °", "SSIM") for split in SURVEY),
              *(f"{heading} (ours, {dataset})" for dataset in datasets for heading in ("AE °", "SSIM"))]]
    for system in (*systems, *rest):
        own = OURS.get(system, system)
        label = f"{system}; {own}" if own != system and any((own, one) in found for one in datasets) else system
        mine = [results.cell(found.get((own, dataset), {}).get(metric), results.METRICS[metric][1]) for dataset in datasets for metric in ("ae", "ssim")]
        theirs = [results.cell(published.get((system, metric, split)), 2) for metric in ("ae", "ssim") for split in SURVEY]
        lines.append([label, *theirs, *mine])
    return results.markdown(lines)


def challenge_table(size=None, name="infrared"):
    """Published numbers on VCIP2020 and ours on split "legacy" of it, its 28 test pairs, as the field's scripts compute them; Markdown.

    PSNR is the mean of dB, ours under SSIM and AE are `ssim_challenge` and `ae_legacy`. size: of our rows, by default the largest run.

    >>> challenge_table().splitlines()[0].split(" | ")[:4]
    ['| system', 'PSNR ↑', 'SSIM ↑', 'AE ° ↓']
    """
    columns = {"psnr": "psnr", "ssim": "ssim_challenge", "ae": "ae_legacy", "lpips": "lpips"}      # a published metric: ours
    ours = [row for row in results.latest(name, **({} if size is None else {"size": size})) if (row["dataset"] or "").endswith(" legacy")]
    ours.sort(key=lambda row: results.trivial_first(row["method"]))
    published = {}
    for row in results.read_published(name):
        if row["split"] not in SURVEY:
            published.setdefault((row["system"], row["split"]), {})[row["metric"]] = row["value"]
    decimals = [results.METRICS[metric][1] for metric in columns]
    lines = [["system", *(f"{heading} {arrow}" for heading, _, arrow in map(results.METRICS.get, columns)), "measured on"]]
    lines += [[system, *(results.cell(row.get(metric), 2) for metric in columns), f"{split} (published)"] for (system, split), row in published.items()]
    lines += [[results.label_of(row), *map(results.cell, map(row.get, columns.values()), decimals), row["dataset"]] for row in ours]
    return results.markdown(lines)
