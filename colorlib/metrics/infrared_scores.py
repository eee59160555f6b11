"""How well colour was painted from near infrared: the angular error right and as the field computes it.

Lightness is painted, too, so PSNR and SSIM mostly say how well it and the registration were met: a truth moved by one pixel scores about 22 dB against itself.
The angular error sees no brightness, CIEDE2000 sees both, the ab error colour alone. None is to be read without the rows of `infrared_floors`.

| column | the field's scripts (`test-NIR.py` of MCFNet; the same lines in ColorMamba, DCT-RCAN) | done right |
|---|---|---|
| AE | `ae_legacy`: float32, 1e-6 in the denominator; black pixels score 90 degrees, identical pictures more than 0 | `ae` |
| SSIM | `ssim_challenge`: see "challenge" of `metrics.ssim` | `ssim` |
| PSNR | `psnr`: mean of dB (`psnr_pooled`, of the mean squared error, is 2 dB lower for MCFNet) | either, if it is said which |
"""
import numpy as np

from colorlib import metrics

__all__ = ["angular_error", "score_pictures"]


def angular_error(pred, true, legacy=False):
    """Mean angle between the colours of pred and true as vectors from black, in degrees, `(N,)` float64; pictures as in `metrics`. Brightness is free.

    Pixels that are black on either side have no direction and are left out; NaN where no pixel is left. legacy=True: the mean over all pixels of
    arccos(<p, t> / (|p| |t| + 1e-6)) in float32 as in `test-NIR.py`, not clipped (NaN where rounding exceeds 1), a black pixel 90 degrees.

    >>> red, yellow = np.float32([[[1, 0, 0]]]), np.float32([[[0.5, 0.5, 0]]])           # pictures of one pixel
    >>> round(angular_error(red, yellow).item(), 2), angular_error(red, red / 2).item()  # brightness is free
    (45.0, 0.0)
    """
    return metrics.score_pairs(_legacy_angle if legacy else _angle, pred, true)


def _angle(p, t):
    lengths = np.linalg.norm(p, axis=-1) * np.linalg.norm(t, axis=-1)                              # (H, W)
    seen = lengths > 0
    cosine = (p * t).sum(-1)[seen] / lengths[seen]
    return np.degrees(np.arccos(np.clip(cosine, -1, 1))).mean() if seen.any() else np.nan


def _legacy_angle(p, t):
    p, t = p.astype(np.float32), t.astype(np.float32)
    lengths = np.sqrt((p * p).sum(-1)) * np.sqrt((t * t).sum(-1))
    with np.errstate(invalid="ignore"):
        return (180 / np.pi * np.arccos((p * t).sum(-1) / (lengths + 1e-6))).mean()


def score_pictures(pred, true):
    """The columns only infrared methods have: {"ae", "ae_legacy", "ssim_challenge": `(N,)` float64}.

    >>> pictures = np.random.default_rng(0).random((2, 16, 16, 3))
    >>> {name: scores.round(decimals=2).tolist() for name, scores in score_pictures(pictures, pictures).items()}
    {'ae': [0.0, 0.0], 'ae_legacy': [0.09, 0.1], 'ssim_challenge': [1.0, 1.0]}
    """
    return {"ae": angular_error(pred, true), "ae_legacy": angular_error(pred, true, legacy=True), "ssim_challenge": metrics.ssim(pred, true, "challenge")}
