"""One figure style for notebooks, README and full runs: picture grids, curves, bars, ab planes, saved PNG.

Pictures are arrays `(H, W, 3)` or `(H, W)` or tensors `(3, H, W)`, `(1, H, W)` or `(H, W)`; uint8, bool, or float in
[0, 1]. Nothing here chooses a matplotlib backend, so all of it works without a screen and inside Jupyter alike.
"""
import io
import os
import re
import textwrap
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
import torch.nn.functional as F
from cycler import cycler

from colorlib.files import write_atomic
from colorlib.lab import in_gamut, lab_to_rgb, map_to_gamut, rgb_to_lab
from colorlib.results import repository

__all__ = ["grid", "mosaic", "curves", "bars", "ab_plane", "ab_error_map", "heat", "draw_hints", "save", "use_style",
           "figures_folder", "STYLE", "COLORS", "DASHES", "WIDTH", "OUTSIDE", "COLUMN_RANK", "ERROR_LIMIT"]

WIDTH = 8.0                 # inches
DPI = 100                   # so figures are 800 px wide, which fits a notebook's column
GAP = 0.06                  # inches between pictures
LABEL_SIZE = 9.5            # points; nothing is set smaller than 9
LETTER_WIDTH = 0.085        # inches a letter of that size takes at most, to wrap titles
LINE_HEIGHT = 0.17          # inches
RANGE_SLACK = 1e-6          # float32 rounding may leave [0, 1] by this much
MAX_ASPECT = 2.0            # taller pictures are shown smaller
# Okabe & Ito's colours for all kinds of sight; their yellow is left out, too pale for lines on white
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
DASHES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (8, 2)), (0, (1, 3)))      # a second cue beside colour
STYLE = {
    "figure.dpi": DPI, "savefig.dpi": DPI, "savefig.bbox": "standard", "figure.facecolor": "white",
    "font.family": "DejaVu Sans", "font.size": LABEL_SIZE, "axes.titlesize": 10, "axes.labelsize": LABEL_SIZE,
    "xtick.labelsize": 9, "ytick.labelsize": 9, "legend.fontsize": 9, "legend.frameon": False,
    "axes.prop_cycle": cycler(color=COLORS) + cycler(linestyle=DASHES), "lines.linewidth": 1.6,
    "axes.spines.top": False, "axes.spines.right": False, "axes.grid": True, "axes.axisbelow": True,
    "grid.color": "#e0e0e0", "grid.linewidth": 0.6, "image.cmap": "cividis", "image.interpolation": "auto",
}
AS_IT_IS = {"parse_math": False}      # for titles: a caption that tells a price is no formula, while the numbers on a log axis are
COLUMN_RANK = {"input": 0, "grey": 0, "condition": 1, "output": 2, "target": 3, "truth": 3, "error": 4}
ERROR_LIMIT = 50.0          # CIE units at which the error map is brightest, one scale for every figure
ERROR_TITLE = f"|error in ab|, 0 to {ERROR_LIMIT:g}"
AB_LIMIT = 110.0            # half the width of an ab plane, in CIE units
DOT_LIGHTNESS = 60.0        # at which a hint's colour is drawn
OUTSIDE = 0.85              # the grey level that stands for colours sRGB does not have


def use_style():
    """Make the style the default of every figure made after this call. The functions below use it in any case.

    >>> with plt.rc_context():                                   # which puts all back at its end
    ...     use_style()
    ...     plt.rcParams["image.cmap"]
    'cividis'
    """
    plt.rcParams.update(STYLE)


def grid(rows, columns=None, titles=None, row_titles=None, title=""):
    """Pictures in rows and columns, 8 inches wide, no axes, as a matplotlib Figure.

    rows: list of {column name: picture}; a missing column or None leaves a blank. columns: names in order (default:
    those of COLUMN_RANK by rank, others where "output" stands). titles: {column: text}, by default the names.
    row_titles: one text a row. title: a text over all of it. Sizes may differ; each picture keeps its shape. Raises ValueError for a bad picture.

    >>> grey, painted = np.zeros((32, 32), np.uint8), np.ones((32, 32, 3))
    >>> figure = grid([{"output": painted, "input": grey}, {"input": grey}])             # two rows, one without an output
    >>> [text.get_text() for text in figure.texts], len(figure.axes)
    (['input', 'output'], 4)
    """
    found = list(dict.fromkeys(name for row in rows for name in row))
    columns = list(columns or sorted(found, key=lambda name: COLUMN_RANK.get(name, COLUMN_RANK["output"])))
    if not rows or not columns or not set(columns) <= set(found):
        raise ValueError(f"No row of the grid has {set(columns) - set(found) or 'a picture'}; the rows have {found}.")
    if row_titles is not None and len(row_titles) != len(rows):
        raise ValueError(f"row_titles has {len(row_titles)} texts for {len(rows)} rows; give one a row.")
    pictures = [[_picture(row[name], name) if row.get(name) is not None else None for name in columns] for row in rows]
    aspects = [min(MAX_ASPECT, max((p.shape[0] / p.shape[1] for p in line if p is not None), default=1.0))
               for line in pictures]
    sides, left = [], 0.0
    if row_titles:
        sides = [_wrap(text, WIDTH / len(columns) * aspect) for text, aspect in zip(row_titles, aspects)]
        left = LINE_HEIGHT * (max(side.count("\n") for side in sides) + 1.4)
    width = (WIDTH - left - GAP * (len(columns) - 1)) / len(columns)
    heights = [width * aspect for aspect in aspects]
    heads = [_wrap({"error": ERROR_TITLE, **(titles or {})}.get(name, name), width) for name in columns]
    top = LINE_HEIGHT * max(head.count("\n") + 1 for head in heads) + GAP
    headline = _wrap(title, WIDTH) if title else ""
    above = LINE_HEIGHT * (headline.count("\n") + 1) + GAP if title else 0.0
    total = above + top + sum(heights) + GAP * (len(rows) - 1)
    with plt.rc_context(STYLE):
        figure = plt.figure(figsize=(WIDTH, total))
        if headline:
            figure.text(0.5, 1 - GAP / 2 / total, headline, ha="center", va="top", multialignment="center", **AS_IT_IS)
        bottom = total - above - top
        for index, (line, height) in enumerate(zip(pictures, heights)):
            bottom -= height
            for column, picture in enumerate(line):
                x = left + column * (width + GAP)
                axes = figure.add_axes((x / WIDTH, bottom / total, width / WIDTH, height / total))
                axes.set_axis_off()
                if picture is not None:
                    axes.imshow(picture, cmap="gray", vmin=0, vmax=255 if picture.dtype == np.uint8 else 1)
                if index == 0:
                    figure.text((x + width / 2) / WIDTH, 1 - (above + top - GAP / 2) / total, heads[column],
                                ha="center", va="bottom", **AS_IT_IS)
            if sides:
                figure.text(left / 2 / WIDTH, (bottom + height / 2) / total, sides[index],
                            rotation=90, ha="center", va="center", multialignment="center", **AS_IT_IS)
            bottom -= GAP
    return figure


def mosaic(pictures, columns=8, pad=2):
    """Many pictures of one size as one picture `(H', W', 3)` uint8, row by row with `pad` white pixels between them. Raises ValueError for none, and for
    several sizes.

    >>> mosaic([np.zeros((10, 10)), np.ones((10, 10)), np.zeros((10, 10))], columns=2).shape
    (22, 22, 3)
    """
    tiles = [_as_bytes(_picture(picture, "a tile")) for picture in pictures]
    if not tiles or columns < 1 or len({tile.shape for tile in tiles}) > 1:
        raise ValueError(f"mosaic needs pictures of one size and columns >= 1, not {sorted({t.shape for t in tiles})}.")
    columns = min(columns, len(tiles))
    height, width = tiles[0].shape[0] + pad, tiles[0].shape[1] + pad
    sheet = np.full((-(-len(tiles) // columns) * height - pad, columns * width - pad, 3), 255, np.uint8)
    for index, tile in enumerate(tiles):
        y, x = index // columns * height, index % columns * width
        sheet[y:y + height - pad, x:x + width - pad] = tile
    return sheet


def curves(series, xlabel="step", ylabel="", title="", log_y=False):
    """Lines {name: (x, y)} as a Figure. y `(T,)`, or `(S, T)` for S seeds: their mean, with a band over their range. Raises ValueError for an x and y of
    unequal length.

    >>> figure = curves({"L1": ([0, 1, 2], [[3, 2, 1], [5, 4, 3]])})                     # two seeds
    >>> figure.axes[0].lines[0].get_ydata().tolist()
    [4.0, 3.0, 2.0]
    """
    with plt.rc_context(STYLE):
        figure, axes = plt.subplots(figsize=(WIDTH, 3.2), layout="constrained")
        for name, (x, y) in series.items():
            x, y = np.asarray(x, float), np.atleast_2d(np.asarray(y, float))
            if x.ndim != 1 or y.shape[1:] != x.shape:
                raise ValueError(f"The curve {name!r} has x {x.shape} but y {y.shape}; give one y, or one row, per x.")
            line, = axes.plot(x, y.mean(0), label=name)
            if len(y) > 1:
                axes.fill_between(x, y.min(0), y.max(0), color=line.get_color(), alpha=0.18, linewidth=0)
        axes.set(xlabel=xlabel, ylabel=ylabel, title=title, yscale="log" if log_y else "linear")
        if len(series) > 1:
            axes.legend()
    return figure


def bars(values, xlabel="", title="", intervals=None, reference=None, decimals=1):
    """Horizontal bars {name: number}, first on top, as a Figure.

    intervals: {name: (low, high)}, drawn as whiskers. reference: (number, text), a dashed line such as chance level.

    >>> figure = bars({"grey": 0.0, "ours": 21.34})
    >>> [text.get_text() for text in figure.axes[0].texts]
    ['0.0', '21.3']
    """
    with plt.rc_context(STYLE):
        figure, axes = plt.subplots(figsize=(WIDTH, 0.9 + 0.3 * len(values)), layout="constrained")
        ends = dict(values)
        axes.barh(list(map(str, values)), list(values.values()), color=COLORS[0], height=0.7)
        for name, (low, high) in (intervals or {}).items():
            axes.plot([low, high], [str(name)] * 2, color="black", linewidth=1.2, linestyle="-", marker="|")
            ends[name] = max(ends[name], high)
        for name, value in values.items():
            axes.annotate(f"{value:.{decimals}f}", (ends[name], str(name)), xytext=(4, 0), textcoords="offset points",
                          va="center", fontsize=9)
        if reference is not None:
            axes.axvline(reference[0], color=COLORS[1], linestyle="--", label=reference[1])
            axes.legend(loc="lower right", frameon=True, framealpha=1)
        axes.set(xlabel=xlabel, title=title)
        axes.margins(x=0.08)
        axes.invert_yaxis()
        axes.grid(False, axis="y")
    return figure


def ab_plane(axes, L, limit=AB_LIMIT, size=441):
    """Draw the colours of lightness L over the ab plane, a and b to one scale, grey where sRGB has no such colour.

    axes: matplotlib Axes. limit: half the width, CIE units. Returns the gamut mask that was drawn, bool
    `(size, size)`, row 0 at b = -limit. Raises ValueError for L outside [0, 100].

    >>> inside = ab_plane(plt.subplots()[1], L=50, size=45)      # a step is 5 CIE units
    >>> inside.shape, inside[22, 22].item(), inside[0, 0].item()
    ((45, 45), True, False)
    """
    if not 0 <= L <= 100:
        raise ValueError(f"L must be between 0 and 100, not {L}.")
    a, b = np.meshgrid(np.linspace(-limit, limit, size), np.linspace(-limit, limit, size))
    lab = np.stack([np.full_like(a, L), a, b], -1)                                                    # (size, size, 3)
    inside = in_gamut(torch.from_numpy(lab).movedim(-1, 0)).numpy()
    picture = np.where(inside[..., None], lab_to_rgb(lab), OUTSIDE)
    axes.imshow(picture, extent=(-limit, limit, -limit, limit), origin="lower", aspect="equal")
    axes.axhline(0, color="#808080", linewidth=0.6, linestyle="-")
    axes.axvline(0, color="#808080", linewidth=0.6, linestyle="-")
    axes.grid(False)
    axes.set(xlabel="a (green to red)", ylabel="b (blue to yellow)", title=f"L = {L:g}")
    return inside


def ab_error_map(pred, true, limit=ERROR_LIMIT):
    """The distance in the ab plane at every pixel as a picture `(H, W, 3)` uint8: black 0, brightest `limit` (CIE units) and up. Raises ValueError for two
    sizes.

    >>> red, gray = np.uint8([[[255, 0, 0]]]), np.uint8([[[127, 127, 127]]])
    >>> ab_error_map(gray, gray).max().item() < ab_error_map(gray, red).min().item()
    True
    """
    pred, true = (_as_bytes(_picture(x, name)) for x, name in ((pred, "pred"), (true, "true")))
    if pred.shape != true.shape:
        raise ValueError(f"pred {pred.shape[:2]} and true {true.shape[:2]} must have one size (H, W).")
    distance = np.linalg.norm((rgb_to_lab(pred) - rgb_to_lab(true))[..., 1:], axis=-1)                # (H, W)
    return (plt.get_cmap("inferno")(np.clip(distance / limit, 0, 1))[..., :3] * 255).round().astype(np.uint8)


def heat(plane):
    """`(H, W)` in [0, 1] -> a picture `(H, W, 3)` uint8, viridis: dark violet 0, yellow 1.

    >>> heat(np.float64([[0, 1]])).tolist()
    [[[68, 1, 84], [253, 231, 37]]]
    """
    return (plt.get_cmap("viridis")(np.clip(plane, 0, 1))[..., :3] * 255).round().astype(np.uint8)


def draw_hints(picture, hint_ab, hint_mask, side=7):
    """A grey picture `(H, W, 3)` uint8 with each hint of the maps `(2, h, w)` and `(1, h, w)` as a square of `side` pixels in its colour.

    >>> ab, mask = torch.zeros(2, 16, 16), torch.zeros(1, 16, 16)
    >>> ab[0, 8, 8], mask[0, 8, 8] = 60, 1                       # one red hint
    >>> picture = draw_hints(np.zeros((32, 32, 3), np.uint8), ab, mask, side=3)
    >>> picture[16, 16].argmax().item(), picture[0, 0].tolist()
    (0, [0, 0, 0])
    """
    size = picture.shape[:2]
    grown = F.max_pool2d(hint_mask[None], side, 1, side // 2)[0, 0] > 0                           # (h, w)
    mean = F.avg_pool2d(torch.cat([hint_ab * hint_mask, hint_mask])[None], side, 1, side // 2)[0]      # (3, h, w)
    tint = torch.where(grown, torch.cat([torch.full_like(hint_mask, DOT_LIGHTNESS), mean[:2] / mean[2:].clamp_min(1e-6)]), torch.zeros(3, 1, 1))
    dots = F.interpolate(lab_to_rgb(map_to_gamut(tint)[0])[None], size)[0]
    where = F.interpolate(grown[None, None].float(), size)[0, 0].numpy() > 0
    return np.where(where[..., None], (dots * 255).round().byte().permute(1, 2, 0).numpy(), picture)


def figures_folder():
    """Where figures are written: COLORLIB_FIGURES, else `figures` of the repository.

    >>> from unittest.mock import patch
    >>> with patch.dict("os.environ", COLORLIB_FIGURES="drawn here"):
    ...     str(figures_folder())
    'drawn here'
    """
    return Path(os.environ.get("COLORLIB_FIGURES") or repository() / "figures")


def save(figure, name, scale=1, quality=None):
    """Write `figures/<name>.png` (COLORLIB_FIGURES names another folder): equal figures give equal bytes.

    name such as "02_results", without ending. scale: of the pixels, text and all. quality: 1 to 95, for many photographs: `<name>.jpg`, a fifth of the bytes; its
    colours are kept at every pixel. Returns the path. Raises ValueError for a name with other letters.

    >>> from unittest.mock import patch
    >>> with patch.dict("os.environ", COLORLIB_FIGURES="."):
    ...     save(bars({"grey": 0.0, "ours": 21.3}), "02_results").name
    '02_results.png'
    """
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]*", name):
        raise ValueError(f"A figure's name has letters, digits, - and _ only, not {name!r}; leave the ending out.")
    path = figures_folder() / f"{name}.{'jpg' if quality else 'png'}"
    how = {"pil_kwargs": {"quality": quality, "subsampling": 0, "optimize": True}} if quality else {"metadata": {"Software": None}}     # else matplotlib's version
    buffer = io.BytesIO()
    with plt.rc_context(STYLE):
        figure.savefig(buffer, format="jpeg" if quality else "png", dpi=scale * DPI, **how)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(path, buffer.getvalue())
    return path


def _wrap(text, inches):
    text = str(text).encode(errors="replace").decode()     # names of files may hold bytes that are no letters
    return textwrap.fill(text, max(4, int(inches / LETTER_WIDTH)))


def _picture(x, name):
    """Check a picture; return it as an array (H, W, 3) or (H, W), uint8 or float in [0, 1]."""
    if torch.is_tensor(x):
        x = (x.float() if x.is_floating_point() else x).detach().cpu().numpy()
        x = np.moveaxis(x, 0, -1) if x.ndim == 3 else x
    x = np.asarray(x)
    x = x[..., 0] if x.ndim == 3 and x.shape[-1] == 1 else x
    x = x.astype(np.uint8) * 255 if x.dtype == bool else x
    if x.ndim not in (2, 3) or (x.ndim == 3 and x.shape[-1] != 3) or 0 in x.shape:
        raise ValueError(f"{name!r} has shape {x.shape}; pictures are arrays (H, W, 3) or (H, W), tensors (3, H, W).")
    if x.dtype == np.uint8:
        return x
    if x.dtype.kind != "f" or not (-RANGE_SLACK <= x.min() and x.max() <= 1 + RANGE_SLACK):
        raise ValueError(f"{name!r} is {x.dtype} from {x.min():g} to {x.max():g}; show uint8, or float in [0, 1].")
    return np.clip(x, 0, 1)


def _as_bytes(picture):
    """uint8 (H, W, 3)"""
    picture = picture if picture.dtype == np.uint8 else (picture * 255).round().astype(np.uint8)
    return picture if picture.ndim == 3 else np.repeat(picture[..., None], 3, -1)
