"""Colorization using Optimization: a few colours spread until neighbours that are equally bright are equally coloured. Nothing is learnt.

Levin, Lischinski, Weiss, "Colorization using Optimization" (SIGGRAPH 2004, doi 10.1145/1015706.1015780). L and hints in, ab out. With weights w_rs
that are large where the neighbours r and s of a 3 x 3 window have nearly the same brightness, and sum to 1 over s, the paper minimizes its Eq. (1)

    J(U) = sum_r (U(r) - sum_s w_rs U(s))^2     with U fixed at the hints,

for each of the two chroma channels. Variants. RELEASED, the authors' `getColorExact.m`, leaves the hinted pixels out of the sum: J can then be
made exactly 0, every free pixel is the weighted mean of its neighbours, and no colour leaves the range of the hints. LEAST_SQUARES keeps
all pixels in the sum, as the equation reads: made for scribbles, it overshoots between single points and is several dB worse there.

A region without a hint is not left alone: it takes the colours of its neighbours, however unlike they are, and one hint colours the whole picture.
Only a grey hint keeps a thing grey. Without any hint the answer is grey.
"""
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
import scipy.sparse
import scipy.sparse.linalg
import torch
from torch import nn

from colorlib import lab

__all__ = ["Config", "RELEASED", "LEAST_SQUARES", "PRESETS", "neighbour_weights", "differences", "elimination_order",
           "solve", "Optimization", "build", "colorize", "variants", "make_step", "networks"]

NEEDS_WEIGHTS = False                     # `build` gives the finished method
NEIGHBOURS = tuple((dy, dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1) if (dy, dx) != (0, 0))
SEPARATORS = {"free pixels": 1, "all pixels": 2}      # width of a line of pixels that cuts the equations' graph in two


@dataclass(frozen=True)
class Config:
    """Defaults are the released code's; `(ours)` marks what it does not have.

    >>> Config().objective, Config().variance_factor, Config().least_weight
    ('free pixels', 0.6, 0.01)
    """
    objective: str = "free pixels"        # which pixels the sum J runs over; "all pixels" is the paper's equation
    variance_factor: float = 0.6          # w_rs = exp(-(Y_r - Y_s)^2 / s_r), s_r = this times the variance of Y in the window
    least_weight: float = 0.01            # s_r is raised until the most similar neighbour has at least this weight before normalization,
    least_spread: float = 2e-6            # and never falls below this; Y in [0, 1]
    image_size: int = 224                 # (ours) side of the squares it is measured on
    working_size: int = 224               # (ours) shorter side at which pictures are coloured


RELEASED = Config()
LEAST_SQUARES = replace(RELEASED, objective="all pixels")
PRESETS = {"paper": RELEASED, "class": RELEASED, "smoke": replace(RELEASED, image_size=64, working_size=64)}


# ---------------------------------------------------------------- the equations

def neighbour_weights(Y, config=RELEASED):
    """w_rs for the eight neighbours s of each pixel r, in the order of NEIGHBOURS: `(8, H, W)` float64, 0 outside the picture, summing to 1.

    Y `(H, W)` in [0, 1]: brightness. The Gaussian form of `getColorExact.m`; the window's variance counts the pixel itself.

    >>> weights = neighbour_weights(np.full((3, 3), 0.5))      # a corner has three neighbours, the middle eight
    >>> weights[:, 0, 0].max().round(3).item(), weights[:, 1, 1].max().round(3).item()
    (0.333, 0.125)
    """
    height, width = Y.shape
    padded = np.pad(Y, 1, constant_values=np.nan)
    near = np.stack([padded[1 + dy:1 + dy + height, 1 + dx:1 + dx + width] for dy, dx in NEIGHBOURS])       # (8, H, W)
    inside = ~np.isnan(near)
    near = np.where(inside, near, Y)
    count = 1 + inside.sum(0)
    mean = (Y + (near * inside).sum(0)) / count
    variance = ((Y - mean) ** 2 + ((near - mean) ** 2 * inside).sum(0)) / count
    difference = np.where(inside, (near - Y) ** 2, np.inf)
    closest = np.where(count > 1, difference.min(0), 0)
    spread = np.maximum(np.maximum(config.variance_factor * variance, -closest / np.log(config.least_weight)), config.least_spread)
    weight = np.exp(-difference / spread)
    return weight / np.maximum(weight.sum(0), np.finfo(float).tiny)


def differences(Y, config=RELEASED):
    """The sparse matrix I - W, `(H W, H W)`: each pixel minus the weighted mean of its neighbours.

    >>> matrix = differences(np.random.default_rng(0).random((4, 5)))
    >>> matrix.shape, abs(matrix @ np.ones(20)).max().item() < 1e-12      # an even colour costs nothing
    ((20, 20), True)
    """
    height, width = Y.shape
    pixel = np.arange(height * width, dtype=np.int32).reshape(height, width)
    weight = neighbour_weights(Y, config)
    rows, columns, values = [pixel.ravel()], [pixel.ravel()], [np.ones(pixel.size)]
    for (dy, dx), w in zip(NEIGHBOURS, weight):
        here = slice(max(0, -dy), height - max(0, dy)), slice(max(0, -dx), width - max(0, dx))
        there = slice(max(0, dy), height + min(0, dy)), slice(max(0, dx), width + min(0, dx))
        rows.append(pixel[here].ravel()), columns.append(pixel[there].ravel()), values.append(-w[here].ravel())
    return scipy.sparse.csr_matrix((np.concatenate(values), (np.concatenate(rows), np.concatenate(columns))), shape=(pixel.size, pixel.size))


@lru_cache(maxsize=8)
def elimination_order(height, width, separator=1):
    """The pixels of a picture in the order in which Gaussian elimination should take them: `(H W,)` integers.

    Nested dissection (George 1973): cut the rectangle by a line, number both halves first and the line last, and do the same in the halves.
    Elimination then fills in the fewest zeros: 0.1 s for 224 x 224 pixels, a third of the general orderings' time.

    >>> sorted(elimination_order(4, 5)) == [*range(20)]
    True
    """
    position = np.empty((height, width), np.int64)

    def number(area, first):
        rows, columns = area.shape
        if max(rows, columns) <= 4:
            area[:] = first + np.arange(area.size).reshape(area.shape)
        elif rows < columns:
            number(area.T, first)
        else:
            above, line, below = np.split(area, [(rows - separator) // 2, (rows + separator) // 2])
            number(above, first)
            number(below, first + above.size)
            line[:] = first + above.size + below.size + np.arange(line.size).reshape(line.shape)

    number(position, 0)
    return np.argsort(position.ravel())


def solve(L, ab_hint, mask, config=RELEASED):
    """The U of the paper's Eq. (1), hints spread over a picture: L `(H, W)` in [0, 100], ab_hint `(2, H, W)` in CIE units, mask `(H, W)`, 1 at hints
    -> ab `(2, H, W)` float32.

    Hinted pixels keep their colour exactly; values of ab_hint elsewhere are not looked at. No hint: zeros. Exact (one sparse LU for both
    channels); time grows a little faster than the number of pixels, whatever the number of hints. Raises ValueError for shapes that do not
    fit, values that are not finite, and an unknown objective.

    >>> L, ab_hint, mask = np.full((6, 8), 50.0), np.zeros((2, 6, 8)), np.zeros((6, 8))
    >>> ab_hint[:, 2, 3], mask[2, 3] = (40.0, -10.0), 1      # one hint colours the whole picture
    >>> ab = solve(L, ab_hint, mask)
    >>> ab[:, 0, 0].round(3).tolist(), ab[:, 5, 7].round(3).tolist()
    ([40.0, -10.0], [40.0, -10.0])
    """
    L, ab_hint, mask = np.asarray(L, np.float32), np.asarray(ab_hint, np.float64), np.asarray(mask) > 0.5
    if config.objective not in SEPARATORS:
        raise ValueError(f"There is no objective {config.objective!r}: choose one of {', '.join(SEPARATORS)}.")
    if L.ndim != 2 or L.size == 0 or ab_hint.shape != (2, *L.shape) or mask.shape != L.shape:
        raise ValueError(f"L must be (H, W), ab_hint (2, H, W) and mask (H, W), not {L.shape}, {ab_hint.shape} and {mask.shape}.")
    if not np.isfinite(L).all() or not np.isfinite(ab_hint[:, mask]).all():
        raise ValueError("L and the hints must be finite numbers: remove NaN and infinity.")
    hints = ab_hint[:, mask].T                                                                       # (hints, 2)
    ab = np.zeros((*L.shape, 2))
    ab[mask] = hints
    if mask.any() and not mask.all():
        order, hinted = elimination_order(*L.shape, SEPARATORS[config.objective]), np.flatnonzero(mask)
        free = order[~mask.ravel()[order]]
        matrix = differences(brightness(L), config)
        rows = matrix[free] if config.objective == "free pixels" else matrix
        left, right = rows[:, free], -(rows[:, hinted] @ hints)
        if config.objective == "all pixels":
            left, right = left.T @ left, left.T @ right
        # rows are diagonally dominant, or the matrix is positive definite: no pivoting is needed, and none may disturb the order
        factors = scipy.sparse.linalg.splu(left.tocsc(), permc_spec="NATURAL", diag_pivot_thresh=0.0, relax=8, panel_size=1,
                                           options={"SymmetricMode": True})
        ab.reshape(-1, 2)[free] = factors.solve(right)
        if config.objective == "free pixels":
            ab = ab.clip(hints.min(0), hints.max(0))              # a weighted mean of hints: only rounding can leave their range
    return np.moveaxis(ab, -1, 0).astype(np.float32)


def brightness(L):
    """L `(H, W)` in [0, 100] -> the grey level in [0, 1] of the picture file, which is the Y that Matlab's `rgb2ntsc` gives for it."""
    return lab.lab_to_rgb(np.stack([L, 0 * L, 0 * L], -1))[..., 0].astype(np.float64)


# ---------------------------------------------------------------- use

class Optimization(nn.Module):
    """The method as a module: no weights, only a config and a place.

    >>> net = Optimization()
    >>> net(torch.rand(1, 1, 6, 8) * 100, torch.zeros(1, 2, 6, 8), torch.zeros(1, 1, 6, 8)).abs().max().item()
    0.0
    """

    def __init__(self, config=RELEASED):
        super().__init__()
        self.config = config
        self.place = nn.Parameter(torch.empty(0), requires_grad=False)      # empty; tells callers a device, as other models' weights do

    def forward(self, L, hint_ab, hint_mask):
        """L `(N, 1, H, W)` in [0, 100], hint_ab `(N, 2, H, W)` in CIE units, hint_mask `(N, 1, H, W)` -> ab `(N, 2, H, W)`. Runs on the CPU."""
        pictures = zip(*(x.detach().float().cpu().numpy() for x in (L[:, 0], hint_ab, hint_mask[:, 0])))
        return torch.from_numpy(np.stack([solve(*picture, self.config) for picture in pictures])).to(L.device)


def build(config=RELEASED, pretrained=True):
    """An `Optimization`; there is nothing to load.

    >>> sum(map(torch.numel, build().parameters()))
    0
    """
    return Optimization(config)


def colorize(model, batch):
    """batch {"L": `(N, 1, H, W)`, "hint_ab": `(N, 2, H, W)`, "hint_mask": `(N, 1, H, W)`} -> ab `(N, 2, H, W)` in CIE units; any size. No hints:
    grey.

    >>> colorize(build(), {"L": torch.rand(2, 1, 6, 8) * 100}).shape
    torch.Size([2, 2, 6, 8])
    """
    L = batch["L"]
    hint_ab = batch.get("hint_ab", torch.zeros_like(L).expand(-1, 2, -1, -1))
    return model(L, hint_ab, batch.get("hint_mask", torch.zeros_like(L)))


def variants(model):
    """What the results table compares: {row name: function of a batch -> ab}.

    >>> [*variants(build())]
    ['', 'sum over all pixels']
    """
    everywhere = Optimization(replace(model.config, objective="all pixels"))
    return {"": lambda batch: colorize(model, batch), "sum over all pixels": lambda batch: colorize(everywhere, batch)}


def make_step(config, fabric, dataset, run=None, progress=None, compile=False):
    """Raises ValueError: this method has nothing to train.

    >>> make_step(RELEASED, fabric=None, dataset=None)
    Traceback (most recent call last):
        ...
    ValueError: Levin's method solves equations and learns nothing: colour with it as it is, or train a method...
    """
    raise ValueError("Levin's method solves equations and learns nothing: colour with it as it is, or train a method that learns.")


def networks(config):
    """The parts a parameter table lists: none.

    >>> networks(RELEASED)
    {}
    """
    return {}
