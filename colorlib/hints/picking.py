"""Choosing a hint: colours as people type them, the nearest one that exists, a few worth offering, and where a simulated student clicks."""
import re
import reprlib
from contextlib import suppress
from numbers import Real

import cv2
import numpy as np
from PIL import ImageColor

from colorlib.lab import in_gamut, map_to_gamut, rgb_to_lab

__all__ = ["parse_color", "snap", "cluster_colors", "worst_pixel", "AB_RANGE"]

AB_RANGE = {"a": (-87, 99), "b": (-108, 95)}     # sRGB spans a in [-86.2, 98.3], b in [-107.9, 94.5]; rounded outwards, as 8-bit Lab does
KMEANS_STEPS = 30            # enough for the few thousand cells of 1 x 1 CIE units that colours fall into
CLICK_SIGMA = 1 / 32         # of the shorter side: how wide a simulated student looks; 1/128 to 1/16 tried on four photographs (ours)


def snap(L, a, b):
    """(a, b, moved): the colour itself where sRGB has it at lightness L, else the most colourful one of the same hue (`map_to_gamut`).

    L in [0, 100], a and b in CIE units. Raises ValueError for other numbers.

    >>> snap(50, 20, 10)
    (20.0, 10.0, False)
    >>> a, b, moved = snap(50, 120, 0)                           # a red that no screen shows
    >>> round(a), round(b), moved
    (79, 0, True)
    """
    lab = np.array([float(value) if isinstance(value, Real) else np.nan for value in (L, a, b)])
    if not np.isfinite(lab).all() or not 0 <= lab[0] <= 100:
        raise ValueError(f"A colour needs L from 0 to 100 and finite a and b, not L = {L!r}, a = {a!r}, b = {b!r}.")
    moved = not in_gamut(lab)
    return *(map_to_gamut(lab)[0] if moved else lab)[1:].tolist(), moved


def parse_color(text):
    """(L, a, b) of a colour as a person types it: "#c03020", "192, 48, 32", "rgb(192, 48, 32)", "lab(43, 55, 40)" or a CSS name such as "teal".

    Raises ValueError for anything else.

    >>> [round(value) for value in parse_color("teal")], parse_color("lab(43, 55, 40)")
    ([48, -29, -8], (43.0, 55.0, 40.0))
    """
    plain = " ".join(str(text).lower().split())
    plain, rgb = re.sub(r"(?<=\d) (?=[-+.\d])", ",", plain), ()               # newer CSS has spaces for commas
    with suppress(ValueError):
        if plain.startswith("lab("):
            L, a, b = map(float, plain[4:].removesuffix(")").split(","))
            if all(low <= value <= high for value, (low, high) in zip((L, a, b), ((0, 100), *AB_RANGE.values()))):
                return L, a, b
        else:
            prefix = "#" if re.fullmatch("[0-9a-f]{6}", plain) else ""
            rgb = ImageColor.getrgb(f"rgb({plain})" if plain[:1].isdigit() and "," in plain else prefix + plain)
    if len(rgb) != 3 or not all(0 <= level <= 255 for level in rgb):
        raise ValueError(f"{reprlib.repr(text)} is not a colour: write #rrggbb, r, g, b from 0 to 255, lab(L, a, b) or a name such as teal.")
    return tuple(rgb_to_lab(np.array(rgb) / 255).tolist())


def cluster_colors(ab, weights=None, count=8):
    """The main colours of many: weighted k-means. Returns `(count, 2)`, largest mass first; fewer rows where there are fewer colours.

    ab `(N, 2)` in CIE units; weights `(N,)`, none negative. Colours are pooled in cells of 1 x 1 units, and the next centre starts where
    mass times squared distance to the others is largest, so the same input always gives the same answer. Raises ValueError for other input.

    >>> cluster_colors(np.float64([[60, 40], [60, 40], [0, -50]]), count=2).tolist()     # the commoner one first
    [[60.0, 40.0], [0.0, -50.0]]
    """
    from scipy.spatial.distance import cdist      # late: it takes half a second that colouring a photo does not need
    ab, weights = np.asarray(ab, np.float64), np.ones(len(ab)) if weights is None else np.asarray(weights, np.float64)
    matching = ab.ndim == 2 and ab.shape[1] == 2 and weights.shape == ab.shape[:1]
    if not matching or not np.isfinite(ab).all() or (weights < 0).any() or not 0 < weights.sum() < np.inf or count < 1:
        raise ValueError(f"Clusters need finite ab (N, 2), weights (N,) of which none is negative and some are not 0, and a count from 1; "
                         f"got {ab.shape}, {weights.shape} and {count}.")
    mass, colors = _pool(np.unique(ab.round() @ (1 << 20, 1), return_inverse=True)[1], weights, ab)
    centers = colors[[mass.argmax()]]
    while len(centers) < min(count, len(colors)):
        centers = np.vstack([centers, colors[(mass * cdist(colors, centers, "sqeuclidean").min(1)).argmax()]])
    for _ in range(KMEANS_STEPS):
        total, centers = _pool(cdist(colors, centers).argmin(1), mass, colors)
    return centers[np.argsort(-total, kind="stable")]


def _pool(group, mass, colors):
    """Total mass and mean colour of every group that has any mass."""
    total = np.bincount(group, mass)
    sums = np.stack([np.bincount(group, mass * axis) for axis in colors.T], 1)             # (groups, 2)
    return total[total > 0], sums[total > 0] / total[total > 0, None]


def worst_pixel(pred_rgb, true_rgb, taken=None):
    """Where a simulated student clicks next, (y, x): in the middle of the region whose ab is most wrong, away from the hints `taken`.

    The error is blurred by a Gaussian: single pixels of noise and edges teach a network little. Plain interpolation of 10 such clicks on
    four photographs came 4 dB closer than of the worst single pixels, of 40 clicks 3 dB. pred_rgb, true_rgb: `(H, W, 3)`, uint8 or float in
    [0, 1]; taken: a `HintSet` of this picture. Raises ValueError where the two differ in shape.

    >>> true = np.zeros((64, 64, 3), np.uint8); true[40:55, 8:23] = 255, 0, 0
    >>> worst_pixel(np.zeros_like(true), true)                   # the middle of the red square
    (47, 15)
    """
    if np.shape(pred_rgb) != np.shape(true_rgb):
        raise ValueError(f"The two pictures must have one shape (H, W, 3), not {np.shape(pred_rgb)} and {np.shape(true_rgb)}.")
    error = np.linalg.norm((rgb_to_lab(pred_rgb) - rgb_to_lab(true_rgb))[..., 1:], axis=-1).astype(np.float32)             # (H, W)
    sigma = min(error.shape) * CLICK_SIGMA
    worth = cv2.GaussianBlur(error, (0, 0), sigma, borderType=cv2.BORDER_CONSTANT) + 1e-9          # where nothing is wrong, any pixel will do
    if taken:
        free = np.uint8(taken.maps(*error.shape)[1][0] == 0)
        worth *= (cv2.distanceTransform(free, cv2.DIST_L2, 5) / max(1, 2 * sigma)).clip(0, 1)
    return tuple(int(i) for i in np.unravel_index(worth.argmax(), worth.shape))
