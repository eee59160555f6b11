"""A method's pictures as they come: some drawn by lot, and the worst. Nothing is chosen, so that what is wrong can be seen.

How bad a picture is: its PSNR less that of the same picture left grey (from infrared: of the infrared picture copied), so that pale pictures do not win by being
easy. A network that invents colours shows it here first. Sheets are JPEG files: as PNG one takes more than a megabyte, or colours that are not the method's.
"""
import textwrap
from collections import Counter

import matplotlib.pyplot as plt
import numpy as np

from colorlib import data, experiments, figures, images, lab, metrics, train, zoo
from colorlib.metrics import video_scores
from colorlib.progress import track

__all__ = ["draw", "paint_all", "choose", "arrange", "sheet_name", "measure", "AT_RANDOM", "WORST", "SEARCHED"]

SEARCHED, AT_RANDOM, WORST = 200, 12, 10    # pictures painted, shown by lot, shown as the worst
ABREAST = 2                                 # pictures in a row, each as it is given, as it is painted, as it is
SIDE = 160                                  # px at which photographs are painted and measured
MAX_BYTES, QUALITY = 350_000, 82            # of the file
SCALES = (0.95, 0.9, 0.85)                  # of its tiles, the first that is small enough: about 115 px and less
HINT_SIDE = 3                               # px at which a hint is drawn
CAPTION_LETTERS = 16                        # of a line of a caption


def paint_all(method, model, spec="scenes", limit=SEARCHED, progress=None, split="val"):
    """[{"given", "painted", "true": (H, W, 3) or (H, W) uint8, "gain": dB, "id", "clip", "caption"}] of a test set in a random order that is always the same.

    spec, split: see `experiments.open_test`, of methods trained on clips `data.open_clips`. Methods that take captions, hints or references get those of their tests.
    given: the grey picture, with the hints that were given; the reference; the infrared picture; or the lines. clip: the shot a frame is of; of a picture its id.

    >>> method = zoo.get("koalarization")
    >>> model = method.papers.build(method.presets["smoke"])
    >>> row, = paint_all(method, model, "scenes", limit=1)
    >>> list(row), row["painted"].shape
    (['given', 'painted', 'true', 'gain', 'id', 'clip', 'caption'], (64, 64, 3))
    """
    if experiments.reads_clips(method):
        return paint_frames(method, model, spec, limit, progress, split)
    working_size = zoo.working_size(model.config)
    dataset = experiments.open_test(method, spec, working_size if experiments.is_scenes(spec) else SIDE, limit, split)
    place, paint = next(model.parameters()).device, next(iter(method.papers.variants(model).values()))
    batches, painted = [], []

    def remember(batch):
        batches.append(batch)
        return paint(experiments.to_device(batch, place))

    def keep(row, pred, true):
        painted.extend((*pair, batches[-1], k) for k, pair in enumerate(zip(pred, true)))
        return {}
    experiments.evaluate({"": remember}, dataset, working_size, progress=progress, conditions=experiments.conditions_for(method, working_size),
                         sees=method.sees, score=keep)
    rows = []
    for i, (pred, true, batch, k) in zip(experiments.shuffled(len(dataset)).tolist(), painted):
        sample = dataset[i]
        plain = sample["nir"][0].numpy() if method.sees == "infrared" else left_grey(true)
        rows.append(measure(pred, true, plain, sample["id"]) | {"given": show(plain, batch, k), "caption": batch.get("caption", {k: ""})[k]})
    return rows


def paint_frames(method, model, spec="scenes", limit=SEARCHED, progress=None, split="val"):
    """As `paint_all`, of a method that is trained on clips: whole shots are painted, then so many of their frames taken by lot."""
    shots = data.open_clips(spec, zoo.working_size(model.config), "shot", split=split)
    paint, rows = video_scores.clip_colorizers(method, model)[""], []
    for i in track(range(len(shots)), progress):
        true = shots[i]["rgb"]                                                                         # (T, 3, H, W)
        for t, (pred, frame) in enumerate(zip(paint(true), true)):
            plain = left_grey(frame)
            given = images.line_art(lab.rgb_to_lab(plain)[..., 0], drawing=False)[0, 0].numpy() if method.sees == "lines" else plain
            rows.append((pred, frame, plain, f"{shots.ids[i]}/{t}", shots.ids[i], given))
    chosen = [rows[i] for i in experiments.shuffled(len(rows))[:limit]]
    return [measure(*row[:4]) | {"clip": clip, "given": given, "caption": ""} for *row, clip, given in chosen]


def measure(pred, true, plain, name):
    """A row from what was painted and the truth, `(3, H, W)` uint8, and the picture without colours, `(H, W, 3)` or `(H, W)` uint8, which is what is given, too.

    >>> red = np.full((16, 16, 3), (255, 0, 0), np.uint8)
    >>> true = lab.torch.from_numpy(red).permute(2, 0, 1)
    >>> measure(true, true, left_grey(true), "red.png")["gain"]
    inf
    """
    pred, true = (one.permute(1, 2, 0).numpy() for one in (pred, true))
    grey = np.repeat(plain[..., None], 3, -1) if plain.ndim == 2 else plain
    return {"given": plain, "painted": pred, "true": true, "gain": float(metrics.psnr(pred, true) - metrics.psnr(grey, true)), "id": name, "clip": name}


def show(plain, batch, k):
    """What a method was given for picture k of a batch, as a picture: `plain`, with its hints, or the reference."""
    if "reference" in batch:
        return batch["reference"][k].permute(1, 2, 0).numpy()
    return figures.draw_hints(plain, batch["hint_ab"][k], batch["hint_mask"][k], HINT_SIDE) if "hint_ab" in batch else plain


def left_grey(true):
    """A picture `(3, H, W)` uint8 without its colours, `(H, W, 3)` uint8."""
    return images.merge_chroma(lab.rgb_to_lab(true[None])[0, 0].numpy(), np.zeros((2, 1, 1), np.float32))


def choose(rows, at_random=AT_RANDOM, worst=WORST):
    """(the first so many, the so many of the lowest gain among the others, the worst first). Of a shot a second frame is taken only when every shot has one.

    >>> rows = [{"gain": gain, "clip": str(gain)} for gain in (3, -1, 5, 2, -4)]
    >>> at_random, worst = choose(rows, at_random=2, worst=2)
    >>> [row["gain"] for row in at_random], [row["gain"] for row in worst]
    ([3, -1], [-4, 2])
    """
    seen, ranked = Counter(), []
    for row in sorted(rows[at_random:], key=lambda row: row["gain"]):
        ranked.append((seen[row["clip"]], row["gain"], row))
        seen[row["clip"]] += 1
    chosen = sorted(ranked, key=lambda one: one[:2])[:worst]
    return rows[:at_random], [row for *_, row in sorted(chosen, key=lambda one: one[1])]


def sheet_name(method, size):
    """Name of the figure, without folder and ending.

    >>> sheet_name(zoo.get("film"), "class")
    '05_film_sheet_class'
    """
    return f"{method.notebook[:2]}_{method.name}_sheet_{size}"


def draw(name, size=None, spec="scenes", weights=None, limit=SEARCHED, device="auto", progress=None, split="val"):
    """Paint a test set and draw the sheet. Returns (Path of the file, mean gain in dB, share of pictures that are worse than left grey).

    >>> draw("film", "smoke")
    Traceback (most recent call last):
        ...
    FileNotFoundError: No smoke weights of film are here ...
    """
    size, method = size or train.size(), zoo.get(name)
    rows = paint_all(method, zoo.load(name, weights, size, device), spec, limit, progress, split)
    gains = np.array([row["gain"] for row in rows])
    grey, frames = "infrared" if method.sees == "infrared" else "grey", "frames" if experiments.reads_clips(method) else "pictures"
    title = (f"{method.name}, {size} size, {len(rows)} {frames} of {experiments.data_name(spec)} {split}: mean gain over {grey} {gains.mean():+.2f} dB, "
             f"{(gains < 0).mean():.0%} worse")
    figure = arrange(rows, title, "reference" if "reference" in method.conditions else "given")
    for scale in SCALES:
        path = figures.save(figure, sheet_name(method, size), scale, QUALITY)
        if path.stat().st_size <= MAX_BYTES:
            break
    plt.close(figure)
    return path, float(gains.mean()), float((gains < 0).mean())


def arrange(rows, title, given="given"):
    """The sheet of `paint_all`'s rows as a Figure: ABREAST pictures in a row, their gains beside them, captions on what was given. given: what that column is called.

    >>> black = np.zeros((16, 16, 3), np.uint8)
    >>> row = {"given": black, "painted": black, "true": black, "gain": 1.5, "id": "a", "clip": "a", "caption": ""}
    >>> len(arrange([row, row], "two pictures").axes)            # of each what is given, painted, and true
    6
    """
    keys, lines, sides, captions = ("given", "painted", "true"), [], [], []
    for how, chosen in zip(("by lot", "worst"), choose(rows)):
        for start in range(0, len(chosen), ABREAST):
            line = chosen[start:start + ABREAST]
            lines.append({(key, place): row[key] for place, row in enumerate(line) for key in keys})
            sides.append(f"{how}, dB: " + ",\N{NO-BREAK SPACE}".join(f"{row['gain']:+.1f}" for row in line))
            captions.append([row["caption"] for row in line])
    columns = [(key, place) for place in range(min(ABREAST, len(rows))) for key in keys]
    figure = figures.grid(lines, columns, {column: {"given": given}.get(column[0], column[0]) for column in columns}, sides, title)
    for line, texts in enumerate(captions):
        for place, text in enumerate(texts):
            axes = figure.axes[line * len(columns) + place * len(keys)]
            axes.text(0.02, 0.02, textwrap.fill(text, CAPTION_LETTERS), transform=axes.transAxes, va="bottom", fontsize=9, color="white", **figures.AS_IT_IS,
                      bbox={"facecolor": "black", "alpha": 0.5, "pad": 1, "linewidth": 0}, visible=bool(text))
    return figure
