"""A method's pictures as they come: some drawn by lot, and the worst. Nothing is chosen, so that what is wrong can be seen.

How bad a picture is: its PSNR less that of the same picture left grey (from infrared: of the infrared picture copied), so that pale pictures do not win by being
easy. A network that invents colours shows it here first.
"""
import numpy as np

from colorlib import experiments, figures, images, lab, metrics, reproduction, train, zoo

SEARCHED, AT_RANDOM, WORST = 200, 12, 9     # pictures painted, shown by lot, shown as the worst
ABREAST = 3                                 # pictures in a row, each as it is given, as it is painted, as it is
SIDE = 160                                  # px at which they are painted and measured


def paint_all(method, model, spec="scenes", limit=SEARCHED, progress=None):
    """[{"given", "painted", "true": (H, W, 3) or (H, W) uint8, "gain": dB, "id"}] of a test set in a random order that is always the same.

    spec: see `experiments.open_dataset`. Methods that take captions, hints or references get those of their tests. Raises ValueError for a method that is
    trained on clips.
    """
    if experiments.reads_clips(method):
        raise ValueError(f"{method.name} paints clips, not single pictures: see `python -m colorlib evaluate {method.name} --clips`.")
    working_size = zoo.working_size(model.config)
    dataset = experiments.open_test(method, spec, working_size if experiments.is_scenes(spec) else SIDE, limit)
    place, paint, painted = next(model.parameters()).device, next(iter(method.papers.variants(model).values())), []
    conditions = experiments.conditions_for(method, working_size)

    def keep(row, pred, true):
        painted.extend(zip(pred, true))
        return {}
    experiments.evaluate({method.name: lambda batch: paint(experiments.to_device(batch, place))}, dataset, working_size, progress=progress,
                         conditions=conditions, sees=method.sees, score=keep)
    rows = []
    for i, (pred, true) in zip(experiments.shuffled(len(dataset)).tolist(), painted):
        given = dataset[i]["nir"][0].numpy() if method.sees == "infrared" else left_grey(true)
        plain = np.repeat(given[..., None], 3, -1) if given.ndim == 2 else given
        gain = float(metrics.psnr(pred, true) - metrics.psnr(plain, true.permute(1, 2, 0).numpy()))
        rows.append({"given": given, "painted": pred.permute(1, 2, 0).numpy(), "true": true.permute(1, 2, 0).numpy(), "gain": gain, "id": dataset[i]["id"]})
    return rows


def left_grey(true):
    """A picture `(3, H, W)` uint8 without its colours, `(H, W, 3)` uint8."""
    return images.merge_chroma(lab.rgb_to_lab(true[None])[0, 0].numpy(), np.zeros((2, 1, 1), np.float32))


def choose(rows, at_random=AT_RANDOM, worst=WORST):
    """(the first so many, the so many of the lowest gain among the others, the worst first)."""
    return rows[:at_random], sorted(rows[at_random:], key=lambda row: row["gain"])[:worst]


def draw(name, size=None, spec="scenes", weights=None, limit=SEARCHED, device="auto", progress=None):
    """Paint a test set and draw the sheet. Returns (Path of the file, mean gain in dB, share of pictures that are worse than left grey)."""
    size, method = size or train.size(), zoo.get(name)
    rows = paint_all(method, zoo.load(name, weights, size, device), spec, limit, progress)
    lines, titles = [], []
    for title, chosen in zip(("by lot", "worst"), choose(rows)):
        for start in range(0, len(chosen), ABREAST):
            lines.append({f"{key} {place}": row[key] for place, row in enumerate(chosen[start:start + ABREAST]) for key in ("given", "painted", "true")})
            titles.append(title)
    columns = [f"{key} {place}" for place in range(ABREAST) for key in ("given", "painted", "true")]
    figure = figures.grid(lines, columns=columns, titles={column: column.split()[0] for column in columns}, row_titles=titles)
    gains = np.array([row["gain"] for row in rows])
    return reproduction.save_figure(f"{method.notebook[:2]}_{name}_sheet_{size}", figure), float(gains.mean()), float((gains < 0).mean())
