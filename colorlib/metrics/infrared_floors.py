"""What colour from infrared has to beat: answers that cost nothing, and answers that were told the true luminance.

From grey, the lightness is given; from infrared it must be painted, too, and that is most of the error: the true luminance without any colour has a better
PSNR than published networks. So a number says something about colour only beside both kinds of rows.

| row | the answer |
|---|---|
| infrared copied | the infrared picture in all three channels |
| mean colour | one colour, the mean over the training pairs |
| cubic fit | per pixel, a cubic of infrared for each channel, least squares over the training pairs |
| oracle luminance | the true luma (BT.601) in all three channels: no colour at all |
| oracle luminance, cubic colour | the true luma plus what the cubic fit differs from its own luma |
"""
import numpy as np
import torch

from colorlib.lab import luma_of

__all__ = ["floors", "count_levels", "fit_cubic", "apply_cubic", "ROWS"]

ROWS = ("infrared copied", "mean colour", "cubic fit", "oracle luminance", "oracle luminance, cubic colour")
DEGREE = 3


def floors(train=None):
    """{row: function of (nir `(N, 1, H, W)`, true `(N, 3, H, W)`), in [0, 1] -> rgb `(N, 3, H, W)` in [0, 1]}, in the order of ROWS.

    Only the rows named oracle look at the true pictures. train: infrared pairs (samples with rgb, nir, uint8); without them, the rows that need none.

    >>> rows = floors()                                          # those that need no training pairs
    >>> rows["infrared copied"](torch.full((1, 1, 2, 2), 0.3), torch.ones(1, 3, 2, 2)).shape, list(rows)
    (torch.Size([1, 3, 2, 2]), ['infrared copied', 'oracle luminance'])
    """
    rows = {"infrared copied": lambda nir, true: nir.expand(-1, 3, -1, -1)}
    told = {"oracle luminance": lambda nir, true: luma_of(true).expand(-1, 3, -1, -1)}
    if train is None:
        return rows | told
    counts, sums = count_levels(train)
    mean, cubic = sums.sum(0) / counts.sum(), fit_cubic(counts, sums)
    fitted = lambda nir: apply_cubic(cubic, nir)
    rows |= {"mean colour": lambda nir, true: torch.from_numpy(mean).float().view(1, 3, 1, 1).expand(len(nir), 3, *nir.shape[2:]),
             "cubic fit": lambda nir, true: fitted(nir)}
    return rows | told | {"oracle luminance, cubic colour": lambda nir, true: (fitted(nir) - luma_of(fitted(nir)) + luma_of(true)).clamp(0, 1)}


def count_levels(train):
    """Of infrared pairs, all that least squares in infrared needs: counts `(256,)`, how many pixels have each infrared level, and sums `(256, 3)`, their
    colours in [0, 1] added up; float64.

    >>> pair = {"nir": torch.full((1, 2, 2), 7, dtype=torch.uint8), "rgb": torch.full((3, 2, 2), 255, dtype=torch.uint8)}
    >>> counts, sums = count_levels([pair])
    >>> int(counts[7]), sums[7].tolist()
    (4, [4.0, 4.0, 4.0])
    """
    counts, sums = np.zeros(256), np.zeros((256, 3))
    for i in range(len(train)):
        level, rgb = train[i]["nir"].numpy().ravel(), train[i]["rgb"].numpy().reshape(3, -1)
        counts += np.bincount(level, minlength=256)
        sums += np.stack([np.bincount(level, channel, minlength=256) for channel in rgb], 1) / 255
    return counts, sums


def fit_cubic(counts, sums):
    """Coefficients `(4, 3)`, lowest power first, of the cubics of infrared in [0, 1] with the least squared error over the pixels that `count_levels` counted
    (weighting each level's mean by its count gives the same minimum); of a lower degree where there are fewer than four levels.

    >>> counts, level = np.ones(256), np.linspace(0, 1, 256)
    >>> fit_cubic(counts, np.stack([level, 1 - level, level ** 3], 1)).round(6) + 0      # lowest power first
    array([[ 0.,  1.,  0.],
           [ 1., -1.,  0.],
           [ 0.,  0.,  0.],
           [ 0.,  0.,  1.]])
    """
    seen = counts > 0
    levels, means = np.flatnonzero(seen) / 255, sums[seen] / counts[seen, None]
    cubic = np.zeros((DEGREE + 1, 3))
    degree = min(DEGREE, len(levels) - 1)
    cubic[:degree + 1] = np.polynomial.polynomial.polyfit(levels, means, degree, w=np.sqrt(counts[seen]))
    return cubic


def apply_cubic(cubic, nir):
    """nir `(N, 1, H, W)` in [0, 1] -> rgb `(N, 3, H, W)`, cut to [0, 1].

    >>> apply_cubic(np.float64([[0, 1, 0], [1, -1, 0]]), torch.full((1, 1, 1, 1), 0.25)).flatten()       # x, 1 - x, 0
    tensor([0.2500, 0.7500, 0.0000])
    """
    powers = torch.cat([nir ** power for power in range(len(cubic))], 1)                             # (N, 4, H, W)
    return torch.einsum("npyx,pc->ncyx", powers, torch.from_numpy(cubic).float()).clamp(0, 1)
