"""How steady colours are over a clip: float64 on the CPU.

Clips are pictures as in `metrics`, in order of time and of one size: tensors `(T, 3, H, W)`, arrays `(T, H, W, 3)`, float in [0, 1] or uint8, or an
iterable of single pictures. Motion is as in `scenes.Clip`: flow, array `(T - 1, H, W, 2)` or tensor `(T - 1, 2, H, W)`, holds dx and dy in pixels;
what is at (x, y) in frame t is at (x + dx, y + dy) in frame t + 1, so that frame t + 1, sampled there, gives frame t back. occlusion `(T - 1, H, W)`,
bool, marks pixels of frame t for which that does not hold. Always the motion of the true clip, never of the painted one.

A grey clip is perfectly steady and a true one is not: read every number beside those of the rows grey and truth.
"""
import numpy as np
import torch
from scipy.special import rel_entr

from colorlib import lab, metrics, motion

__all__ = ["cdc", "warp_error", "chroma_warp_error", "static_flicker", "drift", "estimate_flow", "find_occlusion",
           "warp", "CDC_LAGS"]

CDC_LAGS = (1, 2, 4)        # frames apart, of Liu et al. 2021
STILL_MOTION = 0.1          # px between two frames; what moves less stands still (ours)
STILL_CHANGE = 2.0          # CIE units between two frames: more in L or in ab, and the true pixel changes by itself (ours)
# Ruder et al. 2016, as in the released code of Lai et al. 2018: a pixel is occluded where |forward + backward flow|^2 > 0.01 (|forward|^2 +
# |backward|^2) + 0.5 px^2, and lies at a motion boundary where the squared gradient of the flow > 0.01 |flow|^2 + 0.002
OCCLUDED = 0.01, 0.5
BOUNDARY = 0.01, 0.002


def cdc(frames, lags=CDC_LAGS):
    """Colour distribution consistency, one float: Jensen-Shannon divergence (natural logarithm) of the 256-bin histograms of frames t and t + lag,
    averaged over t, then over the lags, then over R, G and B (Liu et al. 2021, arXiv 2110.04562, as in their `compute_hist.py`).

    Lower is steadier; the truth's own is not 0, so print it, too. Raises ValueError for a clip not longer than the largest lag.

    >>> grey = torch.full((5, 3, 8, 8), 0.5)
    >>> flicker = grey * torch.tensor([1, 0.5, 1, 0.5, 1]).view(5, 1, 1, 1)
    >>> round(cdc(grey), 3), round(cdc(flicker), 3)              # log 2 at the first of three lags
    (0.0, 0.231)
    """
    planes = np.round(255 * read_clip(frames, "frames", max(lags) + 1)).astype(np.int64).transpose(0, 3, 1, 2)     # (T, 3, H, W)
    histograms = np.array([[np.bincount(plane.ravel(), minlength=256) / plane.size for plane in frame] for frame in planes])      # (T, 3, 256)

    def divergence(lag):
        p, q = histograms[:-lag], histograms[lag:]
        middle = (p + q) / 2
        return ((rel_entr(p, middle) + rel_entr(q, middle)) / 2).sum(-1).mean()
    return float(np.mean([divergence(lag) for lag in lags]))


def warp_error(frames, flow, occlusion):
    """Mean over t of sum(M |V_t - warp(V_t+1)|^2) / sum(M), M = not occluded, colours in [0, 1], one float (Lai et al. 2018).

    Their released code divides by the number of values instead of pixels: a third of this. NaN where no pixel is left.

    >>> frames, flow, occlusion = torch.zeros(2, 3, 8, 8), np.zeros((1, 8, 8, 2)), np.zeros((1, 8, 8), bool)
    >>> frames[1] = 0.5                                          # the whole picture brightens
    >>> warp_error(frames, flow, occlusion)
    0.75
    """
    V, (flow, seen) = read_clip(frames, "frames", 2), read_motion(frames, flow, occlusion)
    return masked_mean(((V[:-1] - warp(V[1:], flow)) ** 2).sum(-1), seen)


def chroma_warp_error(frames, flow, occlusion):
    """How far a and b move while one follows the picture: mean over t and pixels not occluded of |ab_t - warp(ab_t+1)|, CIE units, one float (ours).

    Of `warp_error` lightness has the largest part, which methods that see L get right for nothing.

    >>> frames, flow, occlusion = torch.zeros(2, 3, 8, 8), np.zeros((1, 8, 8, 2)), np.zeros((1, 8, 8), bool)
    >>> frames[1] = 0.5                                          # brightness alone changes
    >>> round(chroma_warp_error(frames, flow, occlusion), 1)
    0.0
    """
    ab, (flow, seen) = lab.rgb_to_lab(read_clip(frames, "frames", 2))[..., 1:], read_motion(frames, flow, occlusion)
    return masked_mean(np.linalg.norm(ab[:-1] - warp(ab[1:], flow), axis=-1), seen)


def static_flicker(pred, true, flow=None, occlusion=None):
    """Mean |ab_t+1 - ab_t| of pred, CIE units, at pixels where the true picture stands still, one float (ours): its flow is under STILL_MOTION, not
    occluded, and its L and its ab each change by at most STILL_CHANGE. NaN without such a pixel, as in every clip whose camera moves.

    flow, occlusion: of the true clip; estimated if they are not given.

    >>> true = torch.full((2, 3, 8, 8), 0.5)                     # stands still
    >>> red = torch.tensor([1.0, 0, 0]).view(3, 1, 1).expand(3, 8, 8)
    >>> round(static_flicker(torch.stack([red, true[1]]), true))         # from red to grey
    105
    """
    p, t = (lab.rgb_to_lab(clip) for clip in read_pair(pred, true, 2))                                             # (T, H, W, 3)
    flow, seen = read_motion(true, *(estimate_flow(true) if flow is None else (flow, occlusion)))
    change = np.diff(t, axis=0)
    still = seen & (np.linalg.norm(flow, axis=-1) < STILL_MOTION) & (np.abs(change[..., 0]) <= STILL_CHANGE) \
        & (np.linalg.norm(change[..., 1:], axis=-1) <= STILL_CHANGE)
    return float(np.linalg.norm(np.diff(p, axis=0)[..., 1:], axis=-1)[still].mean()) if still.any() else float("nan")


def drift(pred, true):
    """Whether errors grow as a recurrent method goes on: {"psnr" in dB, "ssim": `(T,)` float64} by frame.

    >>> true = torch.full((3, 3, 16, 16), 0.5)
    >>> drift(true + torch.tensor([0.001, 0.01, 0.1]).view(3, 1, 1, 1), true)["psnr"].round()
    array([60., 40., 20.])
    """
    return {"psnr": metrics.psnr(pred, true).numpy(), "ssim": metrics.ssim(pred, true).numpy()}


# ---------------------------------------------------------------- motion

def estimate_flow(true):
    """Motion of a clip, (flow `(T - 1, H, W, 2)` float32, occlusion `(T - 1, H, W)` bool): DIS optical flow (Kroeger et al. 2016, OpenCV, preset
    medium) of the lightness; occluded is what leaves the picture and where Ruder et al. 2016 say so: where forward and backward flow disagree, and at
    motion boundaries.

    >>> picture = torch.rand(1, 3, 4, 4).repeat_interleave(8, 2).repeat_interleave(8, 3)
    >>> flow, occlusion = estimate_flow(picture.expand(3, -1, -1, -1))
    >>> flow.shape, occlusion.dtype, float(np.abs(flow).max().round(1))
    ((2, 32, 32, 2), dtype('bool'), 0.0)
    """
    L = lab.rgb_to_lab(read_clip(true, "true", 2))[..., 0]                                                         # (T, H, W)
    flow = np.stack([motion.dense_flow(here, there) for here, there in zip(L[:-1], L[1:])])
    back = np.stack([motion.dense_flow(there, here) for here, there in zip(L[:-1], L[1:])])
    return flow, find_occlusion(flow, back)


def find_occlusion(flow, back):
    """Occluded pixels (bool) from the flow of frames t to t + 1 and that of t + 1 to t, `(T - 1, H, W, 2)` each, see OCCLUDED and BOUNDARY.

    >>> flow = np.zeros((1, 4, 4, 2)); flow[..., 0] = 1          # all moves to the right by a pixel
    >>> find_occlusion(flow, -flow)[0, 0]                        # the last column leaves the picture
    array([False, False, False,  True])
    """
    square = lambda vectors: (vectors.astype(np.float64) ** 2).sum(-1)
    returned = warp(back, flow)
    disagree = square(flow + returned) > OCCLUDED[0] * (square(flow) + square(returned)) + OCCLUDED[1]
    gradient = np.zeros(flow.shape[:-1])
    gradient[:, :, :-1] += square(np.diff(flow, axis=2))
    gradient[:, :-1] += square(np.diff(flow, axis=1))
    boundary = gradient > BOUNDARY[0] * square(flow) + BOUNDARY[1]
    size = np.array(flow.shape[2:0:-1])                                                                            # W, H
    there = motion.grid(torch.from_numpy(flow)).numpy() + flow
    return disagree | boundary | ((there < 0) | (there > size - 1)).any(-1)


def warp(planes, flow):
    """Sample planes `(T, H, W, C)` at the pixels' own places + flow `(T, H, W, 2)`, bilinear, float64; outside, the border goes on.

    >>> flow = np.zeros((1, 1, 3, 2)); flow[..., 0] = 1
    >>> warp(np.arange(3.0).reshape(1, 1, 3, 1), flow).ravel()   # each pixel's right neighbour
    array([1., 2., 2.])
    """
    planes = torch.from_numpy(planes.astype(np.float64)).movedim(-1, 1)
    return motion.sample(planes, torch.from_numpy(flow.astype(np.float64))).movedim(1, -1).numpy()


def masked_mean(values, seen):
    """Mean over pixels of each pair of frames `(T - 1, H, W)`, then over the pairs that have a pixel; NaN without any."""
    means = [value[mask].mean() for value, mask in zip(values, seen) if mask.any()]
    return float(np.mean(means)) if means else float("nan")


# ---------------------------------------------------------------- input

def read_clip(frames, name, shortest):
    """Check a clip and return it as float64 `(T, H, W, 3)` in [0, 1]. Raises ValueError, naming `name`, for frames of several sizes and too few."""
    pictures = list(metrics.read_pictures(frames, name))
    if len({picture.shape for picture in pictures}) > 1:
        raise ValueError(f"{name} must be one clip, but its frames differ in size; resize them.")
    if len(pictures) < shortest:
        raise ValueError(f"{name} has {len(pictures)} frames; this needs at least {shortest}: take a longer clip.")
    return np.stack(pictures)


def read_pair(pred, true, shortest):
    """Two clips of one length and size, see `read_clip`. Raises ValueError where they differ."""
    p, t = read_clip(pred, "pred", shortest), read_clip(true, "true", shortest)
    if p.shape != t.shape:
        raise ValueError(f"pred is {len(p)} frames of {p.shape[1:3]} and true {len(t)} of {t.shape[1:3]} (H, W); they must be alike.")
    return p, t


def read_motion(frames, flow, occlusion):
    """Check the motion of a clip and return flow `(T - 1, H, W, 2)` float64 and the pixels not occluded `(T - 1, H, W)` bool. Raises ValueError for
    other shapes and kinds."""
    flow = flow.detach().cpu().movedim(1, -1).numpy() if torch.is_tensor(flow) and flow.ndim == 4 else np.asarray(flow)
    occlusion = np.asarray(occlusion)
    shape = read_clip(frames, "frames", 2).shape[:3]
    wanted = (shape[0] - 1, *shape[1:])
    if flow.shape != (*wanted, 2) or occlusion.shape != wanted or occlusion.dtype != bool or not np.isfinite(flow).all():
        raise ValueError(f"A clip of {shape[0]} frames of {shape[1:]} (H, W) needs finite flow {(*wanted, 2)}, or a tensor "
                         f"{(wanted[0], 2, *wanted[1:])}, and bool occlusion {wanted}, not {flow.shape} and {occlusion.dtype} {occlusion.shape}.")
    return flow.astype(np.float64), ~occlusion
