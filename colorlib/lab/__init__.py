"""sRGB <-> CIELAB, the ab grids colorization papers classify over, and the edge of the sRGB gamut.

Lab here is CIE 1976 L*a*b* for the D65 illuminant and the 2 degree observer, with the constants of scikit-image, so numbers agree
with the papers that used it. Tensors carry colour on axis -3, `(..., 3, H, W)`; arrays carry it on the last axis, `(H, W, 3)`.
Everything is plain elementwise arithmetic in float32 (float64 for float64 input): autocast and TF32, which tint greys, cannot touch it.
The formulas stand at the end of this file; `lab_cpu` and `lab_gpu` compute the same quicker, `bin_table` finds bins: only speed differs.
"""
from functools import lru_cache, reduce

import numpy as np
import torch

from colorlib.lab import lab_cpu
from colorlib.lab.bin_table import nearest

__all__ = ["rgb_to_lab", "lab_to_rgb", "map_to_gamut", "in_gamut", "gray_of", "luma_of", "scale_L", "unscale_L",
           "scale_ab", "unscale_ab", "ab_bins", "live_bins", "gamut_mask", "nearest_bin", "soft_bins", "soft_encode",
           "annealed_mean", "bin_prior", "rebalancing_weights", "ab_histogram", "linearize", "mix", "cube_root",
           "linear_to_lab", "WHITE", "RGB_TO_XYZ", "XYZ_TO_RGB", "AB_MAX", "AB_STEP"]

L_HALF = 50.0        # L / 50 - 1 maps [0, 100] to [-1, 1]
AB_MAX = 110.0       # the ab range of the grids below; sRGB itself spans a in [-86.2, 98.3], b in [-107.9, 94.5]
AB_STEP = 10         # bin width of the 313 and 625 grids (Zhang et al. 2016; Manjunatha et al. 2018)
WHITE = (0.95047, 1.0, 1.08883)                                    # D65, 2 degree observer
RGB_TO_XYZ = ((0.412453, 0.357580, 0.180423), (0.212671, 0.715160, 0.072169), (0.019334, 0.119193, 0.950227))
XYZ_TO_RGB = tuple(map(tuple, np.linalg.inv(np.array(RGB_TO_XYZ)).tolist()))
GAMUT_TOLERANCE = 5e-4   # of the [0, 1] range: an eighth of one 8-bit level


# ---------------------------------------------------------------- sRGB <-> Lab

def rgb_to_lab(rgb):
    """sRGB -> CIELAB, D65, 2 degree observer: L in [0, 100], a in [-87, 99], b in [-108, 95] (IEC 61966-2-1; CIE 15:2004).

    rgb: tensor `(..., 3, H, W)` on any device or array `(..., 3)`; float in [0, 1], uint8, or uint16. Floats outside [0, 1] are not
    clipped and keep finite gradients. Returns the same kind and shape, float32 (float64 for float64).
    Raises TypeError for other kinds and dtypes, ValueError for a shape without three colours.

    >>> rgb_to_lab(np.array([[255, 0, 0], [255, 255, 255]], np.uint8)).round() + 0     # red; white has L 100 and no colour
    array([[ 53.,  80.,  67.],
           [100.,   0.,   0.]], dtype=float32)
    >>> rgb_to_lab(torch.zeros(2, 3, 8, 8)).shape
    torch.Size([2, 3, 8, 8])
    """
    if isinstance(rgb, np.ndarray):
        return _on_array(linear_to_lab, rgb, _FAST.rgb_to_lab)
    if lab_cpu.fits(_check(rgb, "rgb")):
        return _FAST.rgb_to_lab(rgb)
    if rgb.is_cuda and (gpu := _gpu()) and gpu.fits(rgb):
        return gpu.rgb_to_lab(rgb, *plain_to_lab())
    return linear_to_lab(_as_float(rgb, "rgb", linear=True))


def lab_to_rgb(lab, clip=True):
    """CIELAB -> sRGB in [0, 1]; the inverse of `rgb_to_lab`: same kinds, shapes and errors, and TypeError for integers.

    clip=True cuts to [0, 1] as scikit-image does, which can change L of colours outside the gamut (see `map_to_gamut`);
    clip=False returns the raw values, so `rgb_to_lab(lab_to_rgb(lab, clip=False))` gives `lab` back.

    >>> (lab_to_rgb(np.array([53.24, 80.09, 67.20])) * 255).round()                    # red, from its textbook Lab
    array([255.,   0.,   0.])
    >>> rgb = torch.rand(2, 3, 8, 8)
    >>> torch.allclose(lab_to_rgb(rgb_to_lab(rgb)), rgb, atol=1e-4)
    True
    """
    if isinstance(lab, np.ndarray):
        return _on_array(lambda x: _lab_to_rgb(x, clip), lab, lambda x: _FAST.lab_to_rgb(x, clip), integers=False)
    lab = _as_float(lab, "lab", integers=False)
    if lab_cpu.fits(lab):
        return _FAST.lab_to_rgb(lab, clip)
    if lab.is_cuda and (gpu := _gpu()) and gpu.fits(lab):
        return gpu.lab_to_rgb(lab, clip, *plain_to_rgb(clip))
    return _lab_to_rgb(lab, clip)


def map_to_gamut(lab, steps=14):
    """Bring colours inside sRGB: L and hue stay, chroma shrinks to the gamut's edge (bisection on the chroma).

    Returns `(lab, reduction)`; reduction `(..., 1, H, W)` (arrays: `(..., 1)`) is the chroma removed, in CIE units, 0 where nothing moved.
    L outside [0, 100] is clipped first. Gradients pass through the found scale as if it were a constant.

    >>> lab, reduction = map_to_gamut(np.array([50.0, 120.0, 0.0]))                    # a red that no screen shows
    >>> lab.round().tolist(), reduction.round().tolist()
    ([50.0, 79.0, 0.0], [41.0])
    """
    if isinstance(lab, np.ndarray):
        mapped, reduction = map_to_gamut(torch.from_numpy(np.moveaxis(_with_plane(lab), -1, -3).copy()), steps)
        shape = lab.shape[:-1]
        return (np.moveaxis(mapped.numpy(), -3, -1).reshape(*shape, 3), np.moveaxis(reduction.numpy(), -3, -1).reshape(*shape, 1))
    lab = _as_float(lab, "lab", integers=False)
    L, ab = lab[..., :1, :, :].clamp(0, 100), lab[..., 1:, :, :]
    with torch.no_grad():
        scale = torch.ones_like(L)
        outside = ~in_gamut(torch.cat([L, ab], -3))                          # (..., H, W)
        if outside.any():
            pixels = torch.cat([L, ab], -3).movedim(-3, -1)[outside]           # (P, 3)
            L_fixed, a, b = pixels.T.contiguous()
            share = torch.zeros_like(L_fixed)
            for step in range(1, steps + 1):
                longer = share + 2.0 ** -step
                share.add_(_is_inside(L_fixed, a * longer, b * longer, GAMUT_TOLERANCE).to(share), alpha=2.0 ** -step)
            scale[outside.unsqueeze(-3)] = share
    chroma = ab.square().sum(-3, keepdim=True).clamp_min(1e-12).sqrt()
    return torch.cat([L, ab * scale], -3), chroma * (1 - scale)


def in_gamut(lab, tolerance=GAMUT_TOLERANCE):
    """Which pixels in Lab are sRGB colours. lab: tensor `(..., 3, H, W)` or array `(..., 3)`. Returns bool, without the colour axis.

    >>> in_gamut(np.array([[50.0, 0, 0], [50, 120, 0]])).tolist()                      # a grey, a red that no screen shows
    [True, False]
    """
    if isinstance(lab, np.ndarray):
        rgb = lab_to_rgb(lab, clip=False)
        return ((rgb >= -tolerance) & (rgb <= 1 + tolerance)).all(-1)
    return _is_inside(*_as_float(lab, "lab", integers=False).unbind(-3), tolerance)


def scale_L(L):
    """L in [0, 100], of any shape -> L_n in [-1, 1].

    >>> scale_L(torch.tensor([0.0, 50, 100]))
    tensor([-1.,  0.,  1.])
    """
    return L / L_HALF - 1


def unscale_L(L_n):
    """L_n in [-1, 1] -> L in [0, 100]; the inverse of `scale_L`.

    >>> unscale_L(torch.tensor([-1.0, 0, 1]))
    tensor([  0.,  50., 100.])
    """
    return (L_n + 1) * L_HALF


def scale_ab(ab, ab_max=AB_MAX):
    """ab in CIE units, of any shape -> ab_n = ab / ab_max (110 here; Koalarization divides by 127, others by 128).

    >>> scale_ab(torch.tensor([-110.0, 55])).tolist(), scale_ab(torch.tensor([-64.0, 64]), ab_max=128).tolist()
    ([-1.0, 0.5], [-0.5, 0.5])
    """
    return ab / ab_max


def unscale_ab(ab_n, ab_max=AB_MAX):
    """ab_n in [-1, 1] -> ab in CIE units; the inverse of `scale_ab`.

    >>> unscale_ab(torch.tensor([-1.0, 0.5]))
    tensor([-110.,   55.])
    """
    return ab_n * ab_max


# ---------------------------------------------------------------- ab grids

# Zhang et al.'s 313 bins: for each a = -90, -80, ..., 100 the lowest and highest b, all steps of 10 between (their pts_in_hull.npy)
_ROWS_313 = ((50, 90), (20, 90), (0, 90), (-20, 90), (-30, 100), (-40, 100), (-50, 100), (-50, 100), (-60, 100), (-70, 100),
             (-80, 90), (-80, 90), (-90, 90), (-100, 90), (-100, 80), (-110, 80), (-110, 80), (-110, 70), (-110, 70), (-90, 0))


@lru_cache
def _ab_bins(count):
    if count == 313:
        return torch.tensor([(a, b) for a, (low, high) in zip(range(-90, 101, AB_STEP), _ROWS_313)
                             for b in range(low, high + 1, AB_STEP)], dtype=torch.float32)
    half, side = {625: (120, 25), 441: (AB_MAX, 21)}[count]
    axis = torch.linspace(-half, half, side)
    return torch.cartesian_prod(axis, axis)


def ab_bins(count=313):
    """Centres of an ab grid, `(count, 2)` float32 in CIE units, a slowest.

    313: the bins of Colorful Image Colorization (Zhang et al. 2016), 10 wide. 625: the 25 x 25 grid of Learning to Color from
    Language, -120..120, 10 wide. 441: the 21 x 21 grid of Gray2ColorNet's histogram, -110..110, 11 wide. Raises ValueError otherwise.

    >>> ab_bins(313).shape, ab_bins(625)[:2].tolist()
    (torch.Size([313, 2]), [[-120.0, -120.0], [-120.0, -110.0]])
    """
    if count not in (313, 441, 625):
        raise ValueError(f"There is no ab grid of {count} bins: choose 313, 441 or 625.")
    return _ab_bins(count).clone()


@lru_cache
def _live_bins():
    ramp = torch.arange(256, dtype=torch.uint8)
    u, v = torch.meshgrid(ramp, ramp, indexing="ij")
    faces = [torch.stack(channels) for edge in (0, 255) for channels in
             ((torch.full_like(u, edge), u, v), (u, torch.full_like(u, edge), v), (u, v, torch.full_like(u, edge)))]
    ab = rgb_to_lab(torch.stack(faces))[:, 1:]            # the cube's six faces project onto the whole gamut
    live = torch.zeros(625, dtype=torch.bool)
    live[nearest_bin(ab, ab_bins(625)).flatten()] = True
    return live


def live_bins():
    """Which of the 625 bins hold at least one 8-bit sRGB colour: bool `(625,)`, 261 true. The other 364 classes can never be right.

    >>> int(live_bins().sum())
    261
    """
    return _live_bins().clone()


def gamut_mask(L, bins):
    """Which bin centres are sRGB colours at lightness L. L: number or tensor `(...)` in [0, 100]; bins `(Q, 2)`. Returns bool `(..., Q)`.

    >>> gamut_mask(torch.tensor([0.0, 50, 100]), ab_bins(313)).sum(-1).tolist()        # black and white have no colour
    [1, 137, 1]
    """
    bins = torch.as_tensor(bins, dtype=torch.float32)
    L = torch.as_tensor(L, dtype=torch.float32, device=bins.device)
    L = L[..., None].expand(*L.shape, len(bins))
    ab = bins.expand(*L.shape, 2)
    return in_gamut(torch.stack([L, ab[..., 0], ab[..., 1]], -2)[..., None])[..., 0]


def _pixels(ab, name="ab"):
    if not torch.is_tensor(ab) or ab.ndim != 4 or ab.shape[1] != 2:
        raise ValueError(f"{name} must be a tensor (N, 2, H, W) in CIE units, not {_describe(ab)}.")
    return ab.permute(0, 2, 3, 1).float()                 # (N, H, W, 2)


def nearest_bin(ab, bins):
    """Index of the closest bin centre for every pixel. ab `(N, 2, H, W)` in CIE units; bins `(Q, 2)`. Returns int64 `(N, H, W)`.

    Raises ValueError for ab of another shape, as all functions of ab `(N, 2, H, W)` here do.

    >>> bins, ab = ab_bins(313), torch.tensor([12.0, -9]).view(1, 2, 1, 1)
    >>> bins[nearest_bin(ab, bins)[0, 0, 0]].tolist()
    [10.0, -10.0]
    """
    pixels = _pixels(ab)
    bins = bins.to(pixels)
    return torch.stack([nearest(image.reshape(-1, 2), bins, 1)[0].view(image.shape[:2]) for image in pixels])


def soft_bins(ab, bins, neighbors=10, sigma=5.0):
    """ab -> the nearest bins and how much of a pixel belongs to each: Gaussian weights (Zhang et al. 2016, section 2.2; 10 neighbours as in their code).

    ab `(N, 2, H, W)` in CIE units; bins `(Q, 2)`; sigma in CIE units. Returns index int64 and share float32, both `(N, neighbors, H, W)`, nearest first; shares
    of a pixel sum to 1.

    >>> index, share = soft_bins(torch.zeros(1, 2, 1, 1), ab_bins(313))                 # grey is a bin's centre
    >>> ab_bins(313)[index[0, 0, 0, 0]].tolist(), round(share[0, 0].item(), 2)
    ([0.0, 0.0], 0.62)
    """
    pixels = _pixels(ab)
    index, distance = nearest(pixels.flatten(0, 2), bins.to(pixels), neighbors)                     # (P, k)
    share = torch.softmax(-distance / (2 * sigma ** 2), 1)
    return tuple(x.view(*pixels.shape[:3], -1).permute(0, 3, 1, 2) for x in (index, share))


def soft_encode(ab, bins, neighbors=10, sigma=5.0):
    """ab -> a distribution over all bins: `soft_bins` spread out. Returns `(N, Q, H, W)`, summing to 1 over Q.

    >>> shares = soft_encode(torch.zeros(1, 2, 4, 4), ab_bins(313))
    >>> shares.shape, int((shares[0, :, 0, 0] > 0).sum())
    (torch.Size([1, 313, 4, 4]), 10)
    """
    index, share = soft_bins(ab, bins, neighbors, sigma)
    return torch.zeros(len(ab), len(bins), *ab.shape[2:], device=ab.device).scatter_(1, index, share)


def annealed_mean(logits, bins, temperature=0.38):
    """A distribution over bins -> one colour: the mean after sharpening (Zhang et al. 2016, Eq. 5).

    f_T(z) = exp(log z / T) / sum exp(log z / T), then the expectation over bin centres. T = 1 is the plain mean, T -> 0 the mode
    (T = 0 is taken as that limit). logits `(N, Q, H, W)`, unnormalised log-probabilities; bins `(Q, 2)`. Returns ab `(N, 2, H, W)` in CIE
    units. Raises ValueError for T < 0.

    >>> bins, logits = torch.tensor([[80.0, 0], [-80, 0]]), torch.tensor([0.6, 0.4]).log().view(1, 2, 1, 1)
    >>> [round(annealed_mean(logits, bins, T)[0, 0].item()) for T in (1, 0.38, 0)]     # rather red: from dull to vivid
    [16, 39, 80]
    """
    if temperature < 0:
        raise ValueError(f"temperature must be 0 or more, not {temperature}.")
    bins = bins.to(device=logits.device, dtype=torch.float32)
    if temperature == 0:
        return bins[logits.argmax(1)].permute(0, 3, 1, 2)
    return torch.einsum("nqhw,qc->nchw", torch.softmax(logits.float() / temperature, 1), bins)


def bin_prior(ab, bins):
    """How often each bin occurs: `(Q,)` float64 summing to 1 over all pixels of ab `(N, 2, H, W)`.

    >>> round(bin_prior(torch.zeros(1, 2, 4, 4), ab_bins(313)).max().item(), 6)        # a grey picture falls in one bin
    1.0
    """
    counts = torch.bincount(nearest_bin(ab, bins).flatten(), minlength=len(bins)).double()
    return counts / counts.sum()


def rebalancing_weights(prior, uniform=0.5, alpha=1.0):
    """Class weights that lift rare colours (Zhang et al. 2016, Eq. 4): w = ((1 - l) p + l / Q_live)^-alpha, scaled so that sum p w = 1.

    prior `(Q,)`, see `bin_prior`; uniform: l, in [0, 1]. Bins that never occur are left out of the uniform part and get weight 0.
    Raises ValueError for another shape, negative numbers, and a prior of zeros.

    >>> rebalancing_weights(torch.tensor([0.9, 0.1, 0.0])).round(decimals=2)           # the rare bin counts more
    tensor([0.8800, 2.0600, 0.0000])
    """
    prior = torch.as_tensor(prior)
    live = prior > 0
    if prior.ndim != 1 or not live.any() or (prior < 0).any():
        raise ValueError("prior must be a list of probabilities (Q,), none negative, not all zero.")
    prior = prior / prior.sum()
    weight = torch.where(live, ((1 - uniform) * prior + uniform / live.sum()).pow(-alpha), torch.zeros_like(prior))
    return weight / (prior * weight).sum()


def ab_histogram(ab, mask=None):
    """The soft 441-bin colour histogram of Gray2ColorNet (Lu et al. 2020), separable and differentiable.

    Tents 11 units wide around 21 centres per axis, h = (1/P) W_a W_b^T: every pixel shares itself between four bins, so the histogram
    sums to 1. ab `(N, 2, H, W)` in CIE units, clipped to +-110; mask `(N, 1, H, W)`, 0/1, selects pixels. Returns `(N, 441)`, a slowest.

    >>> histogram = ab_histogram(torch.full((1, 2, 8, 8), 5.5))                        # halfway between centres
    >>> histogram.shape, histogram[histogram > 0].tolist()
    (torch.Size([1, 441]), [0.25, 0.25, 0.25, 0.25])
    """
    pixels = _pixels(ab).flatten(1, 2).clamp(-AB_MAX, AB_MAX)                               # (N, P, 2)
    centres = torch.linspace(-AB_MAX, AB_MAX, 21, device=ab.device)
    tents = (1 - (pixels[..., None] - centres).abs() / (AB_MAX / 10)).clamp_min(0)          # (N, P, 2, 21)
    weight = torch.ones_like(tents[:, :, 0, :1]) if mask is None else mask.flatten(1)[..., None].to(tents)
    joint = torch.einsum("npa,npb->nab", tents[:, :, 0] * weight, tents[:, :, 1])
    return joint.flatten(1) / weight.sum(1).clamp_min(1e-12)


# ---------------------------------------------------------------- the arithmetic

@lru_cache
def _linear_table(scale):
    return linearize(torch.arange(scale + 1, dtype=torch.float64) / scale).float()


def linearize(c):
    """sRGB in [0, 1] -> linear light (IEC 61966-2-1); the clamp keeps the unused branch's gradient finite.

    >>> linearize(torch.tensor([0.0, 0.5, 1.0])).round(decimals=2)      # half of the value is a fifth of the light
    tensor([0.0000, 0.2100, 1.0000])
    """
    return torch.where(c > 0.04045, ((c.clamp_min(0.04045) + 0.055) / 1.055) ** 2.4, c / 12.92)


def _encode(c):                           # linear light -> sRGB
    return torch.where(c > 0.0031308, 1.055 * c.clamp_min(0.0031308) ** (1 / 2.4) - 0.055, 12.92 * c)


def mix(matrix, channels):
    """A matrix times three planes: linear R, G, B -> X, Y, Z with RGB_TO_XYZ, and back with XYZ_TO_RGB.

    >>> [round(value, 4) for value in mix(RGB_TO_XYZ, (1, 1, 1))]       # of white
    [0.9505, 1.0, 1.0888]
    """
    return [row[0] * channels[0] + row[1] * channels[1] + row[2] * channels[2] for row in matrix]


def linear_to_lab(linear):
    """Linear light `(..., 3, H, W)` -> CIELAB; 8-bit pictures become linear by a table.

    >>> linear_to_lab(torch.full((3, 1, 1), 0.1842)).flatten().round() + 0     # light of 18 % looks half as light
    tensor([50.,  0.,  0.])
    """
    fx, fy, fz = (cube_root(c / white) for c, white in zip(mix(RGB_TO_XYZ, linear.unbind(-3)), WHITE))
    return torch.stack([116 * fy - 16, 500 * (fx - fy), 200 * (fy - fz)], -3)


def cube_root(t):
    """The compression f of CIE 15: a cube root, and a line near black.

    >>> cube_root(torch.tensor([0.0, 0.125, 1.0])).round(decimals=3)
    tensor([0.1380, 0.5000, 1.0000])
    """
    return torch.where(t > 0.008856, t.clamp_min(0.008856) ** (1 / 3), 7.787 * t + 16 / 116)


def _lab_to_rgb(lab, clip):
    """`lab_to_rgb` of float tensors: the steps of `linear_to_lab` backwards (scikit-image's `colorconv.py`)."""
    L, a, b = lab.unbind(-3)
    fy = (L + 16) / 116
    f = [fy + a / 500, fy, fy - b / 200]
    if clip:
        f[2] = f[2].clamp_min(0)          # scikit-image's treatment of blue-less colours far outside the gamut
    xyz = [torch.where(t > lab_cpu.CUBE_KNEE, t ** 3, (t - 16 / 116) / 7.787) * white for t, white in zip(f, WHITE)]
    rgb = torch.stack([_encode(c) for c in mix(XYZ_TO_RGB, xyz)], -3)
    return rgb.clamp(0, 1) if clip else rgb


def _is_inside(L, a, b, tolerance):
    """`in_gamut` of planes, in linear light, which rises with the encoded values; and without `where`, which costs as much as four products on a CPU."""
    fy = (L + 16) / 116
    cube = lambda f: f.clamp_min(lab_cpu.CUBE_KNEE) ** 3 + (f.clamp_max(lab_cpu.CUBE_KNEE) - lab_cpu.CUBE_KNEE) / 7.787
    linear = mix(XYZ_TO_RGB, [cube(f) * white for f, white in zip((fy + a / 500, fy, fy - b / 200), WHITE)])
    least, most = (reduce(choose, linear) for choose in (torch.minimum, torch.maximum))
    return (least >= -tolerance / 12.92) & (most <= ((1 + tolerance + 0.055) / 1.055) ** 2.4)


def gray_of(L):
    """L `(N, 1, H, W)` in [0, 100] -> the sRGB grey level in [0, 1] a viewer would see, `(N, 1, H, W)`.

    >>> [round(gray.item(), 2) for gray in gray_of(torch.tensor([0.0, 50, 100]).view(3, 1, 1, 1))]
    [0.0, 0.47, 1.0]
    """
    return lab_to_rgb(torch.cat([L, torch.zeros_like(L), torch.zeros_like(L)], 1))[:, :1]


def luma_of(rgb):
    """rgb `(N, 3, H, W)` in [0, 1] -> gamma-coded luma (ITU-R BT.601), what `tf.image.rgb_to_grayscale` computes; `(N, 1, H, W)`.

    >>> luma_of(torch.eye(3).view(3, 3, 1, 1)).flatten()                               # of pure red, green, blue
    tensor([0.2990, 0.5870, 0.1140])
    """
    return (rgb * rgb.new_tensor([0.299, 0.587, 0.114])[:, None, None]).sum(1, keepdim=True)


def _check(x, name):
    """A tensor of three colours, as it is. Raises TypeError, ValueError for anything else."""
    if not torch.is_tensor(x):
        raise TypeError(f"{name} must be a torch tensor or a numpy array, not {type(x).__name__}.")
    if x.ndim < 3 or x.shape[-3] != 3:
        raise ValueError(f"{name} must have shape (..., 3, H, W), not {tuple(x.shape)}.")
    return x


def _as_float(x, name, integers=True, linear=False):
    """Check kind and shape; return float32/64, in linear light when asked."""
    levels = {torch.uint8: 255, torch.uint16: 65535}.get(_check(x, name).dtype)
    if x.is_floating_point():
        x = x if x.dtype == torch.float64 else x.float()
        return linearize(x) if linear else x
    if levels is None or not integers:
        raise TypeError(f"{name} has dtype {str(x.dtype).replace('torch.', '')}; use float" + (" in [0, 1], uint8 or uint16." if integers else "."))
    return _linear_table(levels).to(x.device)[x.int()]


def _with_plane(array):                   # (3,) and (W, 3) arrays are fine too: give them the missing axes
    if array.ndim < 1 or array.shape[-1] != 3:
        raise ValueError(f"An array must have shape (..., 3), not {array.shape}; put colour on the last axis.")
    return array.reshape((1,) * max(0, 3 - array.ndim) + array.shape)


def _on_array(convert, array, fast, integers=True):
    if lab_cpu.fits(_with_plane(array)) and (integers or array.dtype == np.float32):
        return fast(array)
    tensor = torch.from_numpy(np.require(_with_plane(array), requirements="CW")).movedim(-1, -3)      # writable, or torch warns
    result = convert(_as_float(tensor, "The array", integers, linear=integers))
    return np.ascontiguousarray(result.movedim(-3, -1).numpy()).reshape(array.shape)


@lru_cache
def _gpu():
    """The module of the GPU kernels, None where Triton is not installed."""
    try:
        from colorlib.lab import lab_gpu
        return lab_gpu
    except ImportError:
        return None


@lru_cache
def plain_to_lab():
    """What the GPU kernels need to know of `rgb_to_lab`: nine numbers of its matrix, and itself in torch."""
    matrix = tuple(float(value / white) for row, white in zip(RGB_TO_XYZ, WHITE) for value in row)
    return matrix, lambda rgb: linear_to_lab(_as_float(rgb, "rgb", linear=True))


@lru_cache
def plain_to_rgb(clip):
    """The same of `lab_to_rgb`."""
    matrix = tuple(float(value * white) for row in XYZ_TO_RGB for value, white in zip(row, WHITE))
    return matrix, lambda lab: _lab_to_rgb(_as_float(lab, "lab", integers=False), clip)


_FAST = lab_cpu.Conversion(RGB_TO_XYZ, XYZ_TO_RGB, WHITE, _linear_table)


def _describe(x):
    return f"a tensor {tuple(x.shape)}" if torch.is_tensor(x) else type(x).__name__
