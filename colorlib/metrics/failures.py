"""Where a colorization fails, found by a score and not picked by hand: confused objects, bleeding colours, objects that take their surroundings' colour.

Pictures are sRGB as in `metrics`: arrays `(N, H, W, 3)`, tensors `(N, 3, H, W)` or a list, float in [0, 1] or uint8. masks: one plane a picture,
`(N, H, W)` or a list of `(H, W)`, bool, of the object that counts. A score is `(N,)` float64, NaN where it is undefined; `find_worst` ranks.
"""
from dataclasses import dataclass

import cv2
import numpy as np

from colorlib.lab import AB_MAX, rgb_to_lab
from colorlib.metrics import CHROMATIC_MIN, read_pictures

__all__ = ["learn_colors", "ClassColors", "semantic_confusion", "confusion_strength", "foreign_distance",
           "color_bleeding", "unexplained_slope", "object_intervention", "find_worst", "object_of", "CHROMATIC_MIN"]

BIN = 5.0                   # side of a cell of the ab histograms, CIE units (ours)
CELLS = round(2 * AB_MAX / BIN)
COVERED = 0.95              # share of a class's colours that its region holds; rarer ones count as foreign (ours)
SMOOTHING = 1.0             # deviation of the Gaussian over a histogram, in cells (ours)
EDGE = 2.0                  # slope of L, in units a pixel, below which nothing is an edge (ours)
CHROMA_FLOOR = 0.2          # mean slope of the colours, in CIE units a pixel, around which a picture becomes too grey to bleed (ours)
APART_MIN = 5.0             # distance in ab between object and background, CIE units, that a true picture must have (ours)


# ---------------------------------------------------------------- semantic confusion

@dataclass(frozen=True)
class ClassColors:
    """What colours the objects of each class have, see `learn_colors`.

    `distance[k, i, j]`: how far the ab cell (i, j) lies from the nearest colour of class k, in CIE units, 0 for colours the class has; NaN for a
    class that was never seen.

    >>> colors = ClassColors(np.zeros((3, CELLS, CELLS)))        # of three classes that may have any colour
    >>> colors.of(2).shape, float(colors.of(2).max())
    ((44, 44), 0.0)
    """
    distance: np.ndarray    # (K, CELLS, CELLS) float64, a slowest

    def of(self, label):
        """The distances of one class, `(CELLS, CELLS)`."""
        return self.distance[label] if 0 <= label < len(self.distance) else np.full((CELLS, CELLS), np.nan)


def learn_colors(samples):
    """The `ClassColors` of samples: dicts with rgb `(3, H, W)` uint8, label, and mask 0/1 or saliency 0..255 `(1, H, W)`, counted from half on.

    An ab histogram a class over the pixels of its objects, smoothed; the class's region is the smallest set of cells that holds 95 % of it, in
    other words the colours whose likelihood is above a threshold. Raises ValueError for samples without label or mask, or none at all.

    >>> from torch import ones, tensor, uint8
    >>> red = tensor([255, 0, 0], dtype=uint8).view(3, 1, 1).expand(3, 8, 8)
    >>> distance = learn_colors([{"rgb": red, "mask": ones(1, 8, 8), "label": 0}]).of(0)
    >>> bool((distance == 0).mean() < 0.02), bool(distance.max() > 100)                  # few cells are red, green is far
    (True, True)
    """
    counts = {}
    for sample in samples:
        if "label" not in sample or not {"mask", "saliency"} & set(sample):
            raise ValueError(f"The sample {sample.get('id')} has no label or neither mask nor saliency: use labelled photos in `saliency.WithSaliency`.")
        cells = _cells(rgb_to_lab(sample["rgb"].permute(1, 2, 0).numpy())[..., 1:][object_of(sample)])      # (pixels, 2)
        histogram = np.bincount(cells @ [CELLS, 1], minlength=CELLS ** 2).reshape(CELLS, CELLS)
        counts[int(sample["label"])] = counts.get(int(sample["label"]), 0) + histogram
    if not counts:
        raise ValueError("There are no samples to learn the colours of classes from: give a training set.")
    distance = np.full((max(counts) + 1, CELLS, CELLS), np.nan)
    for label, histogram in counts.items():
        if histogram.any():
            distance[label] = BIN * cv2.distanceTransform((~_region(histogram)).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    return ClassColors(distance)


def object_of(sample):
    """A sample's object, `(H, W)` bool: its mask, else where its saliency is half or more.

    >>> from torch import tensor
    >>> object_of({"saliency": tensor([[[255, 200], [100, 0]]])}).tolist()
    [[True, True], [False, False]]
    """
    return sample["mask"][0].numpy() > 0 if "mask" in sample else sample["saliency"][0].numpy() >= 128


def _region(histogram):
    """The cells of the highest density that together hold COVERED of a histogram: `(CELLS, CELLS)` bool."""
    density = cv2.GaussianBlur(histogram.astype(np.float64), (0, 0), SMOOTHING, borderType=cv2.BORDER_REFLECT)
    falling = np.sort(density, axis=None)[::-1]
    threshold = falling[np.searchsorted(np.cumsum(falling), COVERED * density.sum()).clip(max=falling.size - 1)]
    return density >= threshold


def _cells(ab):
    """ab `(..., 2)` in CIE units -> indices of cells `(..., 2)`."""
    return np.clip(np.floor((ab + AB_MAX) / BIN), 0, CELLS - 1).astype(np.int64)


def foreign_distance(rgb, label, colors):
    """How far the colour of each pixel lies from the nearest that its class has: `(H, W)` float64 in CIE units.

    rgb: one picture `(H, W, 3)`. 0 for pixels with a chroma below 10: grey is a lack of colour, not a wrong one. NaN for classes never seen.

    >>> colors = ClassColors(np.full((1, CELLS, CELLS), 30.0))                           # a class far from every colour
    >>> foreign_distance(np.uint8([[[255, 0, 0], [99, 99, 99]]]), 0, colors)             # grey is never wrong
    array([[30.,  0.]])
    """
    ab = rgb_to_lab(rgb)[..., 1:]
    a, b = np.moveaxis(_cells(ab), -1, 0)
    return np.where(np.hypot(ab[..., 0], ab[..., 1]) >= CHROMATIC_MIN, colors.of(label)[a, b], 0.0)


def semantic_confusion(pred, masks, labels, colors):
    """The share of an object's pixels whose predicted colour no object of its class has, such as a blue school bus: `(N,)` in [0, 1].

    labels: `(N,)` integers; colors: a `ClassColors`. NaN for an empty mask and for a class the training set lacks. Raises ValueError where
    pictures, masks and labels do not pair up.

    >>> colors = ClassColors(np.full((1, CELLS, CELLS), 30.0))                           # a class far from every colour
    >>> semantic_confusion(np.uint8([[[[255, 0, 0], [99, 99, 99]]]]), np.ones((1, 1, 2), bool), [0], colors)
    array([0.5])
    """
    return np.array([_mean(foreign > 0, foreign) for foreign in _foreign(pred, masks, labels, colors)])


def confusion_strength(pred, masks, labels, colors):
    """The same with degrees: the mean distance of an object's pixels from the colours of its class, `(N,)` in CIE units. Ranks finer than the share.

    >>> colors = ClassColors(np.full((1, CELLS, CELLS), 30.0))                           # a class far from every colour
    >>> confusion_strength(np.uint8([[[[255, 0, 0], [99, 99, 99]]]]), np.ones((1, 1, 2), bool), [0], colors)
    array([15.])
    """
    return np.array([_mean(foreign, foreign) for foreign in _foreign(pred, masks, labels, colors)])


def _foreign(pred, masks, labels, colors):
    """The `foreign_distance` of each picture's object, `(pixels,)`."""
    pairs = _pair_up(pred, masks)
    if len(labels) != len(pairs):
        raise ValueError(f"pred has {len(pairs)} pictures and labels {len(labels)}: give one label a picture.")
    return [foreign_distance(rgb, int(label), colors)[mask] for (rgb, mask), label in zip(pairs, labels)]


def _mean(values, defined):
    """The mean of pixels; NaN where there are none, or where `defined` is NaN."""
    return values.mean() if values.size and not np.isnan(defined).any() else np.nan


# ---------------------------------------------------------------- colour bleeding

def unexplained_slope(rgb, true=None):
    """The slope of the colours that no edge explains, and their whole slope: two planes `(H, W)` float64, CIE units a pixel.

    Of the gradients of a and b the part that crosses the normalised gradient field of L (Haber and Modersitzki 2006),

        u^2 = sum_c |grad c|^2 - (n . grad c)^2,     n = grad L / sqrt(|grad L|^2 + EDGE^2):

    all of it where L is even, none where an edge of L has the same direction. With the true picture given, its own colour edges explain too.

    >>> ramp = np.zeros((16, 16, 3)) + np.linspace(0, 1, 16)[:, None]                    # grey: no colour, no slope
    >>> [float(plane.max().round(2)) for plane in unexplained_slope(ramp)]
    [0.0, 0.0]
    """
    lab = np.moveaxis(_blurred(rgb_to_lab(rgb)), -1, 0)                                             # (3, H, W)
    guides = [lab[0]] if true is None else [lab[0], *np.moveaxis(_blurred(rgb_to_lab(true)), -1, 0)]
    gradients = [np.gradient(c) for c in lab[1:]]
    whole = sum(dy ** 2 + dx ** 2 for dy, dx in gradients)
    left = whole
    for guide in guides:
        ny, nx = np.gradient(guide)
        along = sum((dy * ny + dx * nx) ** 2 for dy, dx in gradients) / (ny ** 2 + nx ** 2 + EDGE ** 2)
        left = np.minimum(left, whole - along)
    return np.sqrt(np.maximum(left, 0)), np.sqrt(whole)


def _blurred(lab):
    """One pixel of blur, so that an edge of colour one pixel beside its edge of lightness is no failure."""
    return cv2.GaussianBlur(np.asarray(lab, np.float64), (0, 0), 1.0)


def color_bleeding(pred, true=None):
    """The share of the colours' slope that no edge of the picture explains: `(N,)`, 0 (colours end where things end) to 1.

    See `unexplained_slope`; true: the true pictures, whose own colour edges are then no failure. Falls to 0 with the colours: those of a nearly
    grey picture cannot run. Raises ValueError where the two sides differ in number or size, and below 2 x 2 pixels.

    >>> from colorlib.lab import lab_to_rgb
    >>> lab = np.zeros((32, 32, 3)) + (50, 0, 0); lab[:16, :, 1] = 40                    # a colour ends where no edge is
    >>> other = lab.copy(); other[16:, :, 0] = 20                                        # and where one is
    >>> color_bleeding([lab_to_rgb(lab), lab_to_rgb(other)]).round(2)
    array([0.86, 0.27])
    """
    pred = list(read_pictures(pred, "pred", 2))
    true = [None] * len(pred) if true is None else list(read_pictures(true, "true", 2))
    if len(true) != len(pred) or any(t is not None and t.shape != p.shape for p, t in zip(pred, true)):
        raise ValueError(f"pred has {len(pred)} pictures and true {len(true)}, or their sizes differ: give one of the same size for each.")
    slopes = [unexplained_slope(p, t) for p, t in zip(pred, true)]
    return np.array([left.sum() / (whole.sum() + CHROMA_FLOOR * whole.size) for left, whole in slopes])


# ---------------------------------------------------------------- object intervention

def object_intervention(pred, true, masks, chromatic=None):
    """How far apart object and background are kept: `(N,)`, 1 as in the truth, 0 where the background's colour has spilled over the object.

    The distance between the mean ab of the object and the mean ab of the rest in the prediction, over the same in the truth. NaN where the truth
    keeps them less than 5 CIE units apart, and for a mask of nothing or everything. chromatic=CHROMATIC_MIN gives NaN also for a
    background predicted with a mean chroma below 10, which has no colour to spill: a grey prediction scores 0 otherwise. Raises ValueError for
    masks that do not fit.

    >>> mask = np.float64([[1, 1], [0, 0]]) > 0
    >>> true = np.where(mask[..., None], np.float64([1, 0, 0]), np.float64([0, 0, 1]))   # red on blue
    >>> object_intervention([true, true * 0 + 0.5], [true, true], [mask, mask])          # painted right, and grey
    array([1., 0.])
    """
    scores = []
    for (p, mask), (t, _) in zip(_pair_up(pred, masks), _pair_up(true, masks, "true")):
        (inside, outside), (true_inside, true_outside) = _two_colors(p, mask), _two_colors(t, mask)
        distance, true_distance = np.linalg.norm(inside - outside), np.linalg.norm(true_inside - true_outside)
        is_defined = true_distance >= APART_MIN and (chromatic is None or np.linalg.norm(outside) >= chromatic)      # no comparison holds for NaN
        scores.append(distance / true_distance if is_defined else np.nan)
    return np.array(scores)


def _two_colors(rgb, mask):
    """The mean ab in a mask and outside it, `(2,)` each; NaN where there are no pixels."""
    ab = rgb_to_lab(rgb)[..., 1:]
    return [ab[where].mean(0) if where.any() else np.full(2, np.nan) for where in (mask, ~mask)]


def _pair_up(pictures, masks, name="pred"):
    """[(picture float64 (H, W, 3), mask bool (H, W))]. Raises ValueError where they do not fit."""
    pictures, masks = list(read_pictures(pictures, name)), [np.asarray(mask) for mask in masks]
    if len(pictures) != len(masks):
        raise ValueError(f"{name} has {len(pictures)} pictures and masks {len(masks)}: give one mask a picture.")
    for i, (picture, mask) in enumerate(zip(pictures, masks)):
        if mask.shape != picture.shape[:2] or mask.dtype != bool:
            raise ValueError(f"Mask {i} is {mask.dtype} {mask.shape} for a picture of {picture.shape[:2]}: give bool (H, W) of its size.")
    return list(zip(pictures, masks))


# ---------------------------------------------------------------- the worst

def find_worst(scores, count, apart=None, largest=True):
    """The `count` worst pictures, worst first, as indices `(n,)`: n <= count, undefined scores (NaN) left out, equal ones in order.

    apart: one name a picture (its class), or a tuple of several (its class, its background); no two pictures of a panel share one, so that it is
    diverse. largest: whether high scores are bad; False for `object_intervention`. Raises ValueError for lists of unequal length.

    >>> find_worst([0.1, 0.9, float("nan"), 0.8, 0.7], 2, apart=["bus", "car", "car", "car", "bus"]).tolist()
    [1, 4]
    """
    scores = np.asarray(scores, np.float64)
    if scores.ndim != 1 or count < 1 or apart is not None and len(apart) != len(scores):
        raise ValueError(f"scores {scores.shape} must be (N,), count {count} at least 1, and apart, if given, hold one name for each score.")
    chosen, seen = [], set()
    for i in np.argsort(-scores if largest else scores, kind="stable"):
        names = {int(i)} if apart is None else set(apart[i]) if isinstance(apart[i], tuple) else {apart[i]}
        if len(chosen) < count and not np.isnan(scores[i]) and not names & seen:
            chosen.append(int(i))
            seen |= names
    return np.array(chosen, dtype=np.int64)
