"""The figures of clips: what flickers, what each loss adds, how errors grow, what one wrong frame does, and clips to probe a network with.

Pictures are procedural clips, whose motion and masks are known; scores are those of `data/results`. `draw` makes all figures for `reproduce`.
"""
from dataclasses import replace

import matplotlib.pyplot as plt
import numpy as np
import torch

from colorlib import data, figures, images, lab, results, scenes, train, zoo
from colorlib.experiments.reproduction import save_figure
from colorlib.metrics import video_scores

__all__ = ["draw", "draw_film", "draw_flicker", "draw_drift", "sample_clip", "frames_of", "row_of", "line_art",
           "opposite_colors", "let_enter", "color_error", "paint_all", "paint_wrong", "paint_newcomer", "paint_cut",
           "splice", "gather_drift", "LADDER", "SHARES", "TABLE"]

SIDE, FRAMES = 128, 24                      # of the clips shown
SEED = scenes.SEED_OF_VAL                          # of the one most figures show: a bird, whose colour nobody can know, at the sea
PARTNER = "koalarization"                   # the method that paints single pictures, in the figure of what flickers
NEWCOMER, SECOND = SEED + 16, SEED + 4      # whose object enters it, an umbrella, and what is shown after a cut, a forest
CUT = 12                                    # first frame after it
STRIP_SCALE = 0.8                           # film strips are saved that much smaller, for their bytes
SHOWN, SHOWN_EARLY, SHOWN_CUT = (0, 6, 12, 18, 23), (0, 1, 3, 8, 23), (0, 11, 12, 13, 20)      # frames of a film strip
TABLE = "tcvc_ablation"
METHOD = "tcvc"
LADDER = {"GAN only": "GAN only", "+ L1 + style": "GAN + L1 + style", "+ content": "p 0", "+ frame before": "p 0.5"}      # rung: row of TRAINING_ABLATIONS
SHARES = ("p 0", "p 0.25", "p 0.5", "p 0.75", "p 1")
LADDER_DATA = "scenes:60"                   # what its rungs are trained on
ENTRY = 0.04                                # of the side: how far what comes in moves in a frame


def draw(method, model, size):
    """Draw every figure; yield (figure, Path of the file). The ladder's rungs are trained here, at smoke size whatever the size; drift is drawn at the size of
    the newest row of `data/results/tcvc_ablation.csv`.

    >>> made = draw(zoo.get("tcvc"), None, "smoke")              # nothing is painted yet: each figure when it is asked for
    >>> type(made).__name__
    'generator'
    """
    save = lambda figure, drawn, scale=1: (figure, save_figure(f"08_{figure}", drawn, scale))
    clip, paint = sample_clip(), method.papers.paint_clip
    if method.sees == "lines":
        yield save(f"lines_{size}", draw_film({"lines": line_art(clip), "painted": paint(model, frames_of(clip)), "truth": frames_of(clip)}), STRIP_SCALE)
        return
    yield save(f"flicker_{size}", draw_flicker(paint_all(model, clip), row_of(clip)))
    yield save(f"wrong_frame_{size}", draw_film(paint_wrong(model, frames_of(clip)), SHOWN_EARLY), STRIP_SCALE)
    yield save(f"entering_{size}", draw_film(paint_newcomer(model, clip)[0]), STRIP_SCALE)
    yield save(f"cut_{size}", draw_film(paint_cut(model, splice(clip)), SHOWN_CUT), STRIP_SCALE)
    ladder = {rung: paint(one, frames_of(clip)) for rung, one in train_ladder().items()}
    yield save("tcvc_ladder", draw_flicker(ladder | {"truth": frames_of(clip)}, row_of(clip)))
    if rows := results.read(TABLE):
        yield save("drift", draw_drift(rows, SHARES, rows[-1]["size"]))


# ---------------------------------------------------------------- clips

def sample_clip(seed=SEED, frames=FRAMES, side=SIDE):
    """A `scenes.Clip` that no training saw.

    >>> clip = sample_clip(frames=3, side=32)
    >>> clip.rgb.shape, clip.flow.shape
    ((3, 32, 32, 3), (2, 32, 32, 2))
    """
    return scenes.make_clip(seed, frames, side)


def frames_of(clip):
    """The frames of a `scenes.Clip`, `(T, 3, H, W)` uint8.

    >>> frames_of(sample_clip(frames=3, side=32)).shape
    torch.Size([3, 3, 32, 32])
    """
    return torch.from_numpy(clip.rgb).permute(0, 3, 1, 2).contiguous()


def row_of(clip):
    """The row of pixels through the middle of the main object, over the whole clip.

    >>> 0 <= row_of(sample_clip(frames=3, side=32)) < 32
    True
    """
    return int(np.median(np.nonzero(clip.masks[:, 0])[1]))


def line_art(clip):
    """Canny's lines of every frame, `(T, H, W)` in [0, 1]: what `tcvc_lines` sees.

    >>> lines = line_art(sample_clip(frames=2, side=32))
    >>> lines.shape, sorted(set(lines.flat)) == [0, 1]
    ((2, 32, 32), True)
    """
    return np.stack([images.line_art(lab.rgb_to_lab(frame)[..., 0], drawing=False)[0, 0].numpy() for frame in clip.rgb])


def opposite_colors(frame):
    """A frame `(3, H, W)` uint8 of the same lightness whose hues are turned by half a circle, as far as sRGB has such colours: `(3, H, W)` in [0, 1].

    >>> red = torch.tensor([200, 120, 120], dtype=torch.uint8).view(3, 1, 1)
    >>> opposite_colors(red).shape, opposite_colors(red).argmin().item()                 # red is now the least
    (torch.Size([3, 1, 1]), 0)
    """
    planes = lab.rgb_to_lab(frame[None])
    return lab.lab_to_rgb(torch.cat([planes[:, :1], -planes[:, 1:]], 1))[0].clamp(0, 1)


def let_enter(clip, other):
    """The clip with the main object of another one, as its first frame shows it, sliding in from the right.

    Returns (frames `(T, 3, H, W)` uint8, where it is `(T, H, W)` bool). Both are `scenes.Clip`s of one size.

    >>> frames, where = let_enter(sample_clip(frames=3, side=32), sample_clip(NEWCOMER, 3, 32))
    >>> frames.shape, where[0].any().item()                      # it is still outside
    (torch.Size([3, 3, 32, 32]), False)
    """
    mask, cutout = other.masks[0, 0], other.rgb[0]
    left, side = int(np.nonzero(mask.any(0))[0].min()), mask.shape[1]
    frames, places = [], []
    for t, frame in enumerate(clip.rgb):
        shift = max(0, side - round(t * ENTRY * side)) - left      # its left edge begins outside and stops at the picture's
        here, colors = shift_columns(mask, shift), shift_columns(cutout, shift)
        frames.append(np.where(here[..., None], colors, frame))
        places.append(here)
    return torch.from_numpy(np.stack(frames)).permute(0, 3, 1, 2).contiguous(), np.stack(places)


def shift_columns(plane, by):
    """`(H, W, ...)` moved to the right by so many pixels; what comes in is zero."""
    moved = np.zeros_like(plane)
    width = plane.shape[1]
    moved[:, max(by, 0):width + min(by, 0)] = plane[:, max(-by, 0):width - max(by, 0)]
    return moved


def color_error(pred, true):
    """Mean distance in the ab plane of each frame `(T,)`, CIE units; both `(T, 3, H, W)` uint8.

    >>> grey, red = torch.full((2, 3, 8, 8), 127, dtype=torch.uint8), torch.zeros(2, 3, 8, 8, dtype=torch.uint8)
    >>> red[:, 0] = 255
    >>> color_error(red, grey).round()
    array([105., 105.], dtype=float32)
    """
    return (lab.rgb_to_lab(pred) - lab.rgb_to_lab(true))[:, 1:].norm(dim=1).mean((1, 2)).numpy()


# ---------------------------------------------------------------- what flickers

def paint_all(model, clip):
    """{title: frames `(T, 3, H, W)` uint8}: a clip painted by the method for single pictures, frame by frame and smoothed along the motion, by TCVC without and
    with the frame before, and true.

    >>> from unittest.mock import patch
    >>> models = {name: zoo.get(name).papers.build(zoo.get(name).presets["smoke"]) for name in (PARTNER, METHOD)}
    >>> with patch("colorlib.zoo.load", return_value=models[PARTNER]):                   # instead of its weights
    ...     list(paint_all(models[METHOD], sample_clip(frames=2, side=32)))
    ['frame by frame', 'smoothed', 'TCVC, every frame alone', 'TCVC', 'truth']
    """
    partner = zoo.get(PARTNER)
    alone = video_scores.clip_colorizers(partner, zoo.load(PARTNER, device="cpu"))
    own, frames = zoo.get(METHOD).papers.clip_variants(model), frames_of(clip)
    return {"frame by frame": alone[""](frames), "smoothed": alone["smoothed"](frames), "TCVC, every frame alone": own["every frame alone"](frames),
            "TCVC": own[""](frames), "truth": frames}


def over_time(frames, row):
    """One row of pixels of each frame, below each other: `(T', W, 3)` uint8 with T' a multiple of T, about square."""
    line = frames[:, :, row].permute(0, 2, 1).numpy()                                                              # (T, W, 3)
    return np.repeat(line, max(1, line.shape[1] // len(line)), axis=0)


def mark_row(frame, row):
    """A frame `(3, H, W)` uint8 with a row of pixels marked in red: `(H, W, 3)` uint8."""
    picture = frame.permute(1, 2, 0).numpy().copy()
    picture[row] = (255, 0, 0)
    return picture


def draw_flicker(clips, row):
    """{title: frames} as a Figure: the first frame with a row marked and that row over time, downwards. What stands still is a vertical line there, what moves
    a slanting one, and what flickers is striped across.

    >>> frames = torch.zeros(3, 3, 32, 32, dtype=torch.uint8)
    >>> figure = draw_flicker({"painted": frames, "truth": frames}, row=16)
    >>> [text.get_text() for text in figure.texts]
    ['painted', 'truth', 'first frame', 'row over time']
    """
    lines = [{title: mark_row(frames[0], row) for title, frames in clips.items()}, {title: over_time(frames, row) for title, frames in clips.items()}]
    return figures.grid(lines, list(clips), row_titles=["first frame", "row over time"])


def draw_film(clips, shown=None):
    """{title: frames, `(T, 3, H, W)` or `(T, H, W)`} as a Figure: a row a clip, a column each of the frames `shown` (default SHOWN).

    >>> figure = draw_film({"painted": torch.zeros(3, 3, 32, 32, dtype=torch.uint8)}, shown=(0, 2))
    >>> [text.get_text() for text in figure.texts]
    ['frame 0', 'frame 2', 'painted']
    """
    shown = shown or SHOWN
    rows = [{t: frames[t] for t in shown} for frames in clips.values()]
    return figures.grid(rows, list(shown), {t: f"frame {t}" for t in shown}, list(clips))


# ---------------------------------------------------------------- one wrong frame, a newcomer, a cut

def paint_wrong(model, frames):
    """{title: frames `(T, 3, H, W)` uint8} of a clip whose frame 0 the network did not paint but was given: in its true colours and in false ones.

    >>> method = zoo.get("tcvc")
    >>> model = method.papers.build(method.presets["smoke"])
    >>> {title: frames.shape for title, frames in paint_wrong(model, torch.zeros(2, 3, 32, 32, dtype=torch.uint8)).items()}
    {'true first frame': torch.Size([2, 3, 32, 32]), 'false first frame': torch.Size([2, 3, 32, 32]), 'truth': torch.Size([2, 3, 32, 32])}
    """
    clips, paint = {}, zoo.get(METHOD).papers.paint_clip
    for title, first in (("true first frame", frames[0] / 255), ("false first frame", opposite_colors(frames[0]))):
        clips[title] = torch.cat([first[None].mul(255).round().byte(), paint(model, frames[1:], first=first)])
    return clips | {"truth": frames}


def paint_newcomer(model, clip):
    """({title: frames `(T, 3, H, W)` uint8}, where it is `(T, H, W)` bool): a clip that the object of another one enters, see `let_enter`, painted without and
    with the frame before, and true.

    >>> method = zoo.get("tcvc")
    >>> model = method.papers.build(method.presets["smoke"])
    >>> clips, where = paint_newcomer(model, sample_clip(frames=2))
    >>> list(clips), where.shape
    (['every frame alone', 'with the frame before', 'truth'], (2, 128, 128))
    """
    frames, where = let_enter(clip, sample_clip(NEWCOMER))
    paint = zoo.get(METHOD).papers.paint_clip
    return {"every frame alone": paint(model, frames, shows="nothing"), "with the frame before": paint(model, frames), "truth": frames}, where


def splice(clip):
    """The first CUT frames of a clip, then as many of another: `(2 CUT, 3, H, W)` uint8.

    >>> splice(sample_clip(frames=CUT)).shape
    torch.Size([24, 3, 128, 128])
    """
    return torch.cat([frames_of(one)[:CUT] for one in (clip, sample_clip(SECOND))])


def paint_cut(model, frames):
    """{title: frames `(T, 3, H, W)` uint8} of a clip with a cut before frame CUT: painted as if there were none, painted anew from there, and true.

    >>> method = zoo.get("tcvc")
    >>> model = method.papers.build(method.presets["smoke"])
    >>> list(paint_cut(model, torch.zeros(CUT + 1, 3, 16, 16, dtype=torch.uint8)))
    ['not restarted', 'restarted', 'truth']
    """
    paint = zoo.get(METHOD).papers.paint_clip
    return {"not restarted": paint(model, frames), "restarted": torch.cat([paint(model, frames[:CUT]), paint(model, frames[CUT:])]), "truth": frames}


# ---------------------------------------------------------------- losses and shares

def train_ladder(config=None, spec=LADDER_DATA, progress=None):
    """{rung: generator}: the published method, a loss more a rung and at last the frame before, each trained anew from one seed. config: default smoke size."""
    method, fabric, found = zoo.get(METHOD), train.make_fabric("cpu", 1), {}
    for rung, row in LADDER.items():
        own = replace(config or method.presets["smoke"], **method.papers.TRAINING_ABLATIONS[row])
        dataset = method.papers.prepare_data(data.open_clips(spec, own.image_size, method.papers.FRAMES), own)
        step = method.papers.make_step(own, fabric, dataset)
        train.fit(step, dataset, steps=own.steps, batch_size=own.batch_size, fabric=fabric, seed=own.seed, progress=progress)
        found[rung] = step.result().requires_grad_(False)
    return found


def gather_drift(rows, variants, size, dataset):
    """{variant: (frame numbers, dB `(seeds, frames)`)} of result rows: by how much the PSNR of a frame is above that of the grey clip, which takes out how hard
    the frame is. Variants and frames that were not measured are left out.

    >>> row = {"size": "smoke", "dataset": "scenes val", "seed": 0}
    >>> rows = [row | {"variant": "grey", "psnr@1": 20.0}, row | {"variant": "p 1", "psnr@1": 23.0}]
    >>> gather_drift(rows, ["p 1", "p 0"], "smoke", "scenes val")
    {'p 1': ([1], array([[3.]]))}
    """
    here = [row for row in rows if (row["size"], row["dataset"]) == (size, dataset)]
    grey, found = next((row for row in here if row["variant"] == "grey"), {}), {}
    for variant in variants:
        runs = {row["seed"]: row for row in here if row["variant"] == variant}      # the last run of a seed counts
        numbers = [k for k in video_scores.FRAME_NUMBERS if runs and all(one.get(f"psnr@{k}") is not None for one in (grey, *runs.values()))]
        if numbers:
            found[variant] = numbers, np.array([[run[f"psnr@{k}"] - grey[f"psnr@{k}"] for k in numbers] for run in runs.values()])
    return found


def draw_drift(rows, variants, size):
    """`gather_drift` as a Figure: a panel a data set, a line a variant with a band over its seeds, the frames' numbers on a logarithmic scale. Raises
    ValueError where nothing was measured.

    >>> row = {"size": "smoke", "dataset": "scenes val", "seed": 0}
    >>> rows = [row | {"variant": "grey", "psnr@1": 20.0}, row | {"variant": "p 1", "psnr@1": 23.0}]
    >>> draw_drift(rows, ["p 1"], "smoke").axes[0].get_title()
    'scenes, smoke size'
    """
    datasets = dict.fromkeys(row["dataset"] for row in rows if row["size"] == size)
    panels = {dataset: found for dataset in datasets if (found := gather_drift(rows, variants, size, dataset))}
    if not panels:
        raise ValueError(f"No row of {size} size has a PSNR by frame: run `python -m colorlib ablate {METHOD}` first.")
    with plt.rc_context(figures.STYLE):
        figure, grid = plt.subplots(1, len(panels), figsize=(figures.WIDTH, 3.2), layout="constrained", squeeze=False)
        for axes, (dataset, lines) in zip(grid[0], panels.items()):
            for i, (variant, (numbers, gains)) in enumerate(lines.items()):
                axes.plot(numbers, gains.mean(0), color=figures.COLORS[i], linestyle=figures.DASHES[i], label=variant)
                axes.fill_between(numbers, gains.min(0), gains.max(0), color=figures.COLORS[i], alpha=0.15, linewidth=0)
            axes.set_xscale("log", base=2)
            axes.set_xticks(video_scores.FRAME_NUMBERS, map(str, video_scores.FRAME_NUMBERS))
            axes.set(xlabel="frame of the shot", title=f"{dataset.removesuffix(' val')}, {size} size")
        grid[0, 0].set_ylabel("PSNR less that of grey, dB")
        figure.legend(*grid[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=len(variants))
    return figure
