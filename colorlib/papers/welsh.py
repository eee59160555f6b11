"""Transferring Color to Greyscale Images: every pixel takes the colour of a pixel of a reference picture that looks alike. Nothing is learnt.

Welsh, Ashikhmin, Mueller, "Transferring Color to Greyscale Images" (SIGGRAPH 2002, doi 10.1145/566570.566576). L and a reference in, ab out, in three
steps: the reference's lightness is scaled and shifted to the mean and spread of the grey picture's (luminance remapping, after Hertzmann et al.
2001); some 200 pixels of the reference are drawn, one from each cell of a grid (jittered sampling); each grey pixel takes a and b of the sample that
is nearest in

    0.5 |L - L_s| + 0.5 |sd - sd_s|,     sd the standard deviation of L in the 5 x 5 pixels around.

Variants. SAMPLED is the paper's. EVERY_PIXEL looks through all pixels of the reference in a k-d tree: finer, and noisier. The paper works in the
l alpha beta space of Ruderman et al. 1998; here it is CIELAB, so that L stays exactly what it was. Its swatches, pairs of regions that a
person marks, are not needed where the two pictures show the same thing.

`transfer_statistics` is the global transfer that such methods are compared with, after Reinhard et al. 2001; `transfer_histogram` copies the whole
palette.
"""
from dataclasses import dataclass, replace

import cv2
import numpy as np
import torch
from scipy.spatial import cKDTree
from torch import nn

from colorlib import lab

__all__ = ["Config", "SAMPLED", "EVERY_PIXEL", "PRESETS", "remap_luminance", "deviation", "jitter", "transfer_colors",
           "transfer_statistics", "transfer_histogram", "Transfer", "build", "colorize", "variants", "make_step",
           "networks"]

NEEDS_WEIGHTS = False                   # `build` gives the finished method


@dataclass(frozen=True)
class Config:
    """Defaults are the paper's; `(ours)` marks what it does not have.

    >>> Config().samples, Config().window, Config().luminance_weight
    (200, 5, 0.5)
    """
    samples: int = 200                  # drawn from the reference, about; 0: every pixel (ours)
    window: int = 5                     # side of the neighbourhood, in pixels
    luminance_weight: float = 0.5       # the rest weighs the standard deviation
    seed: int = 0                       # (ours) of the jitter
    image_size: int = 224               # (ours) side of the squares it is measured on
    working_size: int = 224             # (ours) shorter side at which pictures are coloured


SAMPLED = Config()
EVERY_PIXEL = replace(SAMPLED, samples=0)
PRESETS = {"paper": SAMPLED, "class": SAMPLED, "smoke": replace(SAMPLED, image_size=64, working_size=64)}


# ---------------------------------------------------------------- the method

def remap_luminance(L_reference, L):
    """The reference's L, scaled and shifted to the mean and standard deviation of L; both `(h, w)`, of any size. An even reference is only shifted.

    >>> remap_luminance(np.array([[20.0, 40.0]]), np.array([[50.0, 60.0]])).tolist()
    [[50.0, 60.0]]
    """
    spread = L_reference.std()
    return (L_reference - L_reference.mean()) * (L.std() / spread if spread > 1e-6 else 1.0) + L.mean()


def deviation(L, window=5):
    """The standard deviation of L `(H, W)` in the window around each pixel, mirrored at the border: `(H, W)` float64.

    >>> deviation(np.array([[0.0, 0.0, 0.0, 10.0, 10.0, 10.0]]), window=3).round(2).tolist()
    [[0.0, 0.0, 4.71, 4.71, 0.0, 0.0]]
    """
    L = np.asarray(L, np.float64)
    L = L - L.mean()                    # small numbers, so that the difference of the two means keeps its digits
    mean, square = (cv2.boxFilter(x, -1, (window, window), borderType=cv2.BORDER_REFLECT) for x in (L, L * L))
    return np.sqrt(np.maximum(square - mean ** 2, 0))


def jitter(height, width, samples, seed=0):
    """One random pixel from each cell of a grid of about `samples` cells of nearly equal sides: indices into the flattened picture, `(samples,)`
    int64.

    >>> len(jitter(100, 200, samples=200)), jitter(1, 4, samples=4).tolist()      # here a cell for each pixel
    (200, [0, 1, 2, 3])
    """
    random = np.random.default_rng(seed)
    rows = int(np.clip(round(np.sqrt(samples * height / width)), 1, height))
    columns = int(np.clip(round(samples / rows), 1, width))
    y, x = (np.arange(count)[:, None] * side / count for count, side in ((rows, height), (columns, width)))
    y = np.floor(y + random.uniform(size=(rows, columns)) * height / rows).clip(max=height - 1)
    x = np.floor(x.T + random.uniform(size=(rows, columns)) * width / columns).clip(max=width - 1)
    return (y * width + x).astype(np.int64).ravel()


def transfer_colors(L, reference, config=SAMPLED):
    """L `(H, W)` in [0, 100] and reference Lab `(h, w, 3)` -> ab `(H, W, 2)` in CIE units, each one of the reference's own.

    >>> reference = np.array([[[20.0, 30.0, 0.0], [80.0, 0.0, 40.0]]])      # dark red, light yellow
    >>> transfer_colors(np.array([[90.0, 10.0, 85.0]]), reference, EVERY_PIXEL)[0].tolist()
    [[0.0, 40.0], [30.0, 0.0], [0.0, 40.0]]
    """
    L_reference = remap_luminance(reference[..., 0].astype(np.float64), L.astype(np.float64))
    chosen = jitter(*L_reference.shape, config.samples, config.seed) if config.samples else slice(None)
    weights = config.luminance_weight, 1 - config.luminance_weight
    describe = lambda plane: np.stack([weights[0] * plane, weights[1] * deviation(plane, config.window)], -1).reshape(-1, 2)
    nearest = cKDTree(describe(L_reference)[chosen]).query(describe(L.astype(np.float64)), p=1)[1]      # p=1: the weighted sum above
    return reference[..., 1:].reshape(-1, 2)[chosen][nearest].reshape(*L.shape, 2)


def transfer_statistics(L, reference):
    """The reference's global colour statistics on a grey picture: L `(H, W)` in [0, 100] and Lab `(h, w, 3)` -> ab `(H, W, 2)` in CIE units.

    Reinhard et al. 2001 give a colour picture the mean and spread of another's, channel by channel. A grey one has no spread of a and b to scale,
    which would leave a single tint; so they follow lightness here as they do in the reference: the mean of a and b at each L if (L, a, b) were
    normal.

    >>> reference = np.array([[[20.0, 30.0, 0.0], [80.0, 0.0, 40.0]]])
    >>> transfer_statistics(np.array([[10.0, 60.0]]), reference)[0].round(2).tolist()
    [[30.0, 0.0], [0.0, 40.0]]
    """
    pixels = reference.reshape(-1, 3).astype(np.float64)
    mean, covariance = pixels.mean(0), np.cov(pixels.T, bias=True)
    L_score = (L - L.mean()) / max(L.std(), 1e-6)
    slope = covariance[0, 1:] / max(np.sqrt(covariance[0, 0]), 1e-6)
    return mean[1:] + L_score[..., None] * slope


def transfer_histogram(L, reference):
    """The reference's whole ab histogram on a grey picture: L `(H, W)` in [0, 100] and Lab `(h, w, 3)` -> ab `(H, W, 2)` in CIE units.

    Pixels sorted by L take the colours of the reference's pixels of the same rank of L, whatever they show: the palette is copied exactly, lightness
    alone says where it goes. Near the upper bound of histogram intersection with the reference; a picture of it loses the colours that sRGB lacks at
    their new L. Pixels of equal L keep the order of their rows.

    >>> reference = np.array([[[20.0, 30.0, 0.0], [80.0, 0.0, 40.0]]])
    >>> transfer_histogram(np.array([[90.0, 10.0, 85.0, 30.0]]), reference)[0].tolist()
    [[0.0, 40.0], [30.0, 0.0], [0.0, 40.0], [30.0, 0.0]]
    """
    order, known = np.argsort(L, axis=None, kind="stable"), np.argsort(reference[..., 0], axis=None, kind="stable")
    ab = np.empty((L.size, 2), reference.dtype)
    ab[order] = reference[..., 1:].reshape(-1, 2)[known][(np.arange(L.size) * 2 + 1) * known.size // (2 * L.size)]
    return ab.reshape(*L.shape, 2)


# ---------------------------------------------------------------- use

class Transfer(nn.Module):
    """The method as a module: no weights, only a config and a place. Raises ValueError for a config or a batch that cannot be.

    >>> Transfer()(torch.rand(1, 1, 8, 8) * 100, torch.rand(1, 3, 20, 30)).shape
    torch.Size([1, 2, 8, 8])
    """

    def __init__(self, config=SAMPLED):
        super().__init__()
        if config.samples < 0 or config.window < 1 or not 0 <= config.luminance_weight <= 1:
            raise ValueError(f"samples {config.samples} must be 0 or more, window {config.window} 1 or more, luminance_weight "
                             f"{config.luminance_weight} from 0 to 1.")
        self.config = config
        self.place = nn.Parameter(torch.empty(0), requires_grad=False)      # empty; tells callers a device, as other models' weights do

    def forward(self, L, reference):
        """L `(N, 1, H, W)` in [0, 100], reference rgb `(N, 3, h, w)` uint8 or in [0, 1] -> ab `(N, 2, H, W)`. Runs on the CPU."""
        return _each(L, reference, lambda one, other: transfer_colors(one, other, self.config))


def _each(L, reference, transfer):
    """ab `(N, 2, H, W)` by `transfer(L (H, W), Lab (h, w, 3))`. Raises ValueError for a batch that does not fit."""
    if L.ndim != 4 or L.shape[1] != 1 or reference.ndim != 4 or reference.shape[1] != 3 or len(reference) != len(L):
        raise ValueError(f"L must be (N, 1, H, W) and the reference (N, 3, h, w), one for each picture: got {tuple(L.shape)} and {tuple(reference.shape)}.")
    references = [lab.rgb_to_lab(one).movedim(0, -1).numpy() for one in reference.detach().cpu()]    # each by itself: no picture depends on its batch
    pairs = zip(L.detach().float().cpu().numpy()[:, 0], references)
    return torch.from_numpy(np.stack([transfer(*pair) for pair in pairs])).movedim(-1, 1).to(L)


def build(config=SAMPLED, pretrained=True):
    """A `Transfer`; there is nothing to load.

    >>> sum(map(torch.numel, build().parameters()))
    0
    """
    return Transfer(config)


def colorize(model, batch):
    """batch {"L": `(N, 1, H, W)`, "reference": `(N, 3, h, w)` uint8 or in [0, 1]} -> ab `(N, 2, H, W)` in CIE units; any sizes.

    >>> colorize(build(), {"L": torch.rand(2, 1, 8, 9) * 100, "reference": torch.rand(2, 3, 20, 30)}).shape
    torch.Size([2, 2, 8, 9])
    """
    return model(batch["L"], batch["reference"])


def variants(model):
    """What the results table compares: {row name: function of a batch -> ab}.

    >>> [*variants(build())]
    ['', 'every pixel', 'global statistics', 'global histogram']
    """
    every_pixel = Transfer(replace(model.config, samples=0))
    return {"": lambda batch: colorize(model, batch), "every pixel": lambda batch: colorize(every_pixel, batch),
            "global statistics": lambda batch: _each(batch["L"], batch["reference"], transfer_statistics),
            "global histogram": lambda batch: _each(batch["L"], batch["reference"], transfer_histogram)}


def make_step(config, fabric, dataset, run=None, progress=None, compile=False):
    """Raises ValueError: this method has nothing to train.

    >>> make_step(SAMPLED, fabric=None, dataset=None)
    Traceback (most recent call last):
        ...
    ValueError: Welsh's method looks colours up in a reference and learns nothing: colour with it as it is, or...
    """
    raise ValueError("Welsh's method looks colours up in a reference and learns nothing: colour with it as it is, or train a method that learns.")


def networks(config):
    """The parts a parameter table lists: none.

    >>> networks(SAMPLED)
    {}
    """
    return {}
