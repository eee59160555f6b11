"""How far a colorized picture is from the true one, and how colourful it is: float64 on the CPU, whatever the device.

Pictures are sRGB: tensors `(N, 3, H, W)` or `(3, H, W)`, arrays `(N, H, W, 3)` or `(H, W, 3)`, float in [0, 1] or uint8, or an iterable of single
pictures, whose sizes may then differ; first the prediction, then the truth, as in torchmetrics (scikit-image has them the other way). A function returns
one number per picture, `(N,)` float64, unless it says otherwise, and raises ValueError where the two sides differ in number or size. PSNR, SSIM, NRMSE
and dE2000 come from scikit-image. Ours: what no library has. `learned_metrics`: LPIPS, FID, KID.
"""
import itertools

import numpy as np
import torch
from skimage.color import deltaE_ciede2000
from skimage.metrics import normalized_root_mse, peak_signal_noise_ratio, structural_similarity

from colorlib.lab import nearest_bin, rgb_to_lab

__all__ = ["psnr", "ssim", "delta_e2000", "delta_e76", "ab_rmse", "ab_mae", "nrmse", "l_drift", "colorfulness",
           "colorfulness_gap", "cci_ratio", "cni", "saliency_scores", "ab_accuracy", "bin_accuracy", "count_hits",
           "accuracy", "evaluate_pictures", "summarize", "bootstrap_ci", "score_pairs", "read_pictures", "STANDARD_SET",
           "SSIM_VARIANTS", "CHROMATIC_MIN", "CCI_BEST"]

CHROMATIC_MIN = 10.0        # chroma in CIE units above which a pixel counts as coloured: a step of the 313 grid (ours)
CCI_BEST = 16, 20           # between these SCGAN's evaluation takes a picture's colourfulness for the best
RESAMPLED = 1_000_000       # numbers that the bootstrap draws at once, which does not change them
RANGE_SLACK = 1e-6          # float32 rounding may leave [0, 1] by this much
WANG_2004 = dict(gaussian_weights=True, sigma=1.5, use_sample_covariance=False, data_range=1.0)
SSIM_VARIANTS = {"standard": (11, WANG_2004), "skimage": (7, dict(data_range=1.0)),      # (window in px, options)
                 "ct2": (7, dict(data_range=225)),         # sic, not 255: CT2's released segm/metrics.py
                 "range2": (7, dict(data_range=2.0)),      # floats in [0, 1] taken to span [-1, 1] by old scikit-image
                 "challenge": (7, {})}                     # data_range: max(pred) - min(pred)
# Huang et al. 2006: hues from .. to in degrees, mean and SD of the saturation viewers find natural, of skin, grass, sky
NATURAL_HUES = ((25, 70, 0.76, 0.52), (95, 135, 0.81, 0.53), (185, 260, 0.43, 0.22))


def psnr(pred, true):
    """Peak signal-to-noise ratio in dB, 10 log10(1 / MSE) over pixels and channels; inf for identical pictures.

    Its mean over pictures is what papers mostly print; 10 log10(1 / mean MSE), `psnr_pooled` below, is never larger.

    >>> true = torch.rand(2, 3, 16, 16) / 2
    >>> psnr(true + 0.1, true).round(decimals=2), psnr(true, true)                       # 20 log10(1 / 0.1) dB
    (tensor([20., 20.], dtype=torch.float64), tensor([inf, inf], dtype=torch.float64))
    """
    with np.errstate(divide="ignore"):
        return score_pairs(lambda p, t: peak_signal_noise_ratio(t, p, data_range=1.0), pred, true)


def ssim(pred, true, variant="standard"):
    """Structural similarity (Wang et al. 2004) of R, G and B apart, averaged.

    "standard": 11 x 11 Gaussian window, sigma 1.5, population covariance, windows inside the picture only, as in the authors' code (torchmetrics adds
    windows over the border). "skimage": scikit-image's defaults, a 7 x 7 box. "ct2": that box on 8-bit values with data_range=225, the slip in CT2's
    released code. "range2": that box with data_range=2, the slip in SCGAN's evaluation: constants 4 times too large, so mostly higher. "challenge": that box in
    float32 with the range of the answer itself for data_range, as in the scripts around the VCIP 2020 challenge (`test-NIR.py` of MCFNet): the flatter
    an answer, the lower; NaN where the answer has one value and the truth a window without texture. Raises ValueError for another word, and for
    pictures smaller than the window.

    >>> stripes = np.tile(np.arange(16).reshape(-1, 1, 1) % 2.0, (1, 16, 3))
    >>> ssim(stripes, stripes).item(), round(ssim(stripes, 1 - stripes).item(), 2)
    (1.0, -1.0)
    """
    if variant not in SSIM_VARIANTS:
        raise ValueError(f"variant must be one of {', '.join(SSIM_VARIANTS)}, not {variant!r}.")
    window, options = SSIM_VARIANTS[variant]

    def score(p, t):
        changed = options
        if variant == "ct2":
            p, t = np.round(p * 255), np.round(t * 255)
        elif variant == "challenge":
            p, t = p.astype(np.float32), t.astype(np.float32)
            changed = {"data_range": np.ptp(p)}
        with np.errstate(invalid="ignore"):
            return structural_similarity(t, p, channel_axis=-1, **changed)
    return score_pairs(score, pred, true, min_size=window)


def nrmse(pred, true):
    """Root mean squared error over the root mean square of the true picture; inf where that is black, NaN if both are.

    >>> nrmse(np.full((8, 8, 3), 0.25), np.full((8, 8, 3), 0.5)).item()
    0.5
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        return score_pairs(lambda p, t: normalized_root_mse(t, p, normalization="euclidean"), pred, true)


def delta_e2000(pred, true):
    """CIEDE2000 colour difference dE, mean over pixels (Sharma et al. 2005): 0 to 100, about 1 is just visible.

    >>> black, white = np.zeros((8, 8, 3)), np.ones((8, 8, 3))
    >>> round(delta_e2000(black, white).item(), 2)
    100.0
    """
    return score_pairs(lambda p, t: _de2000(rgb_to_lab(p), rgb_to_lab(t)), pred, true)


def delta_e76(pred, true):
    """CIE 1976 colour difference, the Euclidean distance in Lab, mean over pixels.

    >>> red, green = np.eye(3)[:2].reshape(2, 1, 1, 3)           # two pictures of one pixel
    >>> round(delta_e76(red, green).item()), round(delta_e2000(red, green).item())
    (171, 87)
    """
    return score_pairs(lambda p, t: np.linalg.norm(rgb_to_lab(p) - rgb_to_lab(t), axis=-1).mean(), pred, true)


def ab_mae(pred, true):
    """Mean absolute error of a and b in CIE units, over pixels and both channels.

    >>> red, gray = np.uint8([[[255, 0, 0]]]), np.uint8([[[127, 127, 127]]])
    >>> round(ab_mae(red, gray).item(), 1)                       # red is a = 80.1, b = 67.2
    73.6
    """
    return score_pairs(lambda p, t: np.abs(rgb_to_lab(p) - rgb_to_lab(t))[..., 1:].mean(), pred, true)


def ab_rmse(pred, true):
    """Root mean squared error of a and b in CIE units, over pixels and both channels (the ab distance over sqrt 2).

    >>> red, gray = np.uint8([[[255, 0, 0]]]), np.uint8([[[127, 127, 127]]])
    >>> round(ab_rmse(red, gray).item(), 1)                      # sqrt((80.1^2 + 67.2^2) / 2)
    73.9
    """
    return score_pairs(lambda p, t: _ab_rmse(rgb_to_lab(p), rgb_to_lab(t)), pred, true)


def l_drift(pred, true):
    """Mean |L_pred - L_true| in CIE units: a network that copies L still drifts where clipping to sRGB cut its colours.

    true: the true pictures, or their lightness as a tensor L `(N, 1, H, W)` in [0, 100].

    >>> red = torch.tensor([255, 0, 0], dtype=torch.uint8).view(1, 3, 1, 1)
    >>> round(l_drift(red, torch.full((1, 1, 1, 1), 50.0)).item(), 1)                    # red has L 53.2
    3.2
    """
    if torch.is_tensor(true) and true.ndim == 4 and true.shape[1] == 1:
        L_true = (L.detach().cpu().double().movedim(0, -1).numpy() for L in true)                     # (H, W, 1)
    else:
        L_true = (rgb_to_lab(t)[..., :1] for t in read_pictures(true, "true"))
    return _column(_l_drift(rgb_to_lab(p), L) for p, L in _pair_up(read_pictures(pred, "pred"), L_true))


# of a painted and the true picture (H, W, 3) in Lab, so that several metrics share one conversion

def _de2000(p, t):
    return deltaE_ciede2000(t, p).mean()


def _ab_rmse(p, t):
    return np.sqrt(((p - t)[..., 1:] ** 2).mean())


def _l_drift(p, t):
    return np.abs(p[..., :1] - t[..., :1]).mean()


def colorfulness(rgb, signed=True):
    """M = sqrt(var rg + var yb) + 0.3 sqrt(mean(rg)^2 + mean(yb)^2) on 0..255 values (Hasler & Suesstrunk 2003).

    rg = R - G and yb = (R + G) / 2 - B. signed=True is the paper's; signed=False takes |rg| and |yb|, as the code of CT2 and DDColor does. A picture half
    (200, 60, 60), half (60, 200, 60) has 161 signed, 47 absolute; never mix them. Also called the colour colourfulness index, CCI.

    >>> picture = np.uint8([[[200, 60, 60], [60, 200, 60]]])     # of two pixels
    >>> round(colorfulness(picture).item()), round(colorfulness(picture, signed=False).item())
    (161, 47)
    """
    def score(picture):
        red, green, blue = np.moveaxis(picture * 255, -1, 0)
        rg, yb = red - green, (red + green) / 2 - blue
        if not signed:
            rg, yb = np.abs(rg), np.abs(yb)
        return np.hypot(rg.std(), yb.std()) + 0.3 * np.hypot(rg.mean(), yb.mean())
    return _column(score(picture) for picture in read_pictures(rgb, "rgb"))


def colorfulness_gap(pred, true, signed=True):
    """Two floats: |mean M(pred) - mean M(true)|, the tables' dCF (pictures cancel); mean |M(pred) - M(true)|.

    >>> colors = np.uint8([[[[200, 60, 60]]], [[[60, 60, 60]]]])  # a red picture and a grey one
    >>> [round(gap) for gap in colorfulness_gap(colors, colors[::-1])]                   # swapped: equal means, wrong pictures
    [0, 47]
    """
    gap = colorfulness(pred, signed) - colorfulness(true, signed)
    return abs(gap.mean().item()), gap.abs().mean().item()


def cci_ratio(rgb, low=CCI_BEST[0], high=CCI_BEST[1]):
    """One float, the share of pictures with low <= M <= high: SCGAN's evaluation takes 16..20 for the best `colorfulness`, there called CCI.

    It rewards dull pictures: most true photos lie far above, so true colours score low and faded ones high. Print it only beside `colorfulness_gap`.

    >>> pictures = np.uint8([[[[200, 60, 60]]], [[[114, 60, 60]]]])
    >>> colorfulness(pictures).round().tolist(), cci_ratio(pictures)                     # only the faded one counts as good
    ([47.0, 18.0], 0.5)
    """
    M = colorfulness(rgb)
    return ((low <= M) & (M <= high)).double().mean().item()


def cni(rgb):
    """Colour naturalness index in [0, 1], 1 is most natural (Huang et al. 2006, as SCGAN's evaluation computes it).

    Counts pixels with HSL saturation above 0.1 and lightness above 0.2 and below 0.8 whose hue is one of skin, grass or sky, limits included:
    N_c = exp(-((mean S of c - mu_c) / sd_c)^2 / 2), averaged over these classes c by their pixels. 0 where no pixel counts, as in a grey picture.

    >>> sky, gray = np.uint8([[[100, 150, 200]]]), np.uint8([[[127, 127, 127]]])
    >>> round(cni(sky).item(), 2), cni(gray).item()
    (0.98, 0.0)
    """
    def score(picture):
        hue, saturation, lightness = _hsl(picture)
        counts = (saturation > 0.1) & (lightness > 0.2) & (lightness < 0.8)
        classes = [(saturation[counts & (low <= hue) & (hue <= high)], mean, sd) for low, high, mean, sd in NATURAL_HUES]
        total = sum(len(S) * np.exp(-0.5 * ((S.mean() - mean) / sd) ** 2) for S, mean, sd in classes if len(S))
        return total / max(1, sum(len(S) for S, _, _ in classes))
    return _column(score(picture) for picture in read_pictures(rgb, "rgb"))


def _hsl(picture):
    """(H, W, 3) in [0, 1] -> hue in degrees [0, 360), saturation and lightness in [0, 1], (H, W) each; grey has hue and saturation 0."""
    red, green, blue = np.moveaxis(picture, -1, 0)
    top, chroma, lightness = picture.max(-1), np.ptp(picture, -1), (picture.max(-1) + picture.min(-1)) / 2                 # (H, W)
    with np.errstate(divide="ignore", invalid="ignore"):
        sector = np.select([top == red, top == green], [60 * ((green - blue) / chroma) + 360, 60 * ((blue - red) / chroma) + 120],
                           60 * ((red - green) / chroma) + 240)
        saturation = chroma / (1 - np.abs(2 * lightness - 1))
    return np.where(chroma == 0, 0, sector % 360), np.where(chroma == 0, 0, saturation), lightness


def saliency_scores(pred, true, legacy=False):
    """How well saliency is predicted: {"precision", "recall", "f1", "saliency_l1", "saliency_l2": `(N,)` float64}.

    pred, true: maps `(N, 1, H, W)`, float in [0, 1] or uint8; the first three call a pixel above one half salient. They are NaN where the truth has no
    salient pixel, precision also where the prediction has none, and `summarize` leaves them out; legacy=True counts 0, as SCGAN's evaluation does.
    L1 and L2: means of |pred - true| and its square. (That evaluation measured the true map alone, a slip that is not repeated.)
    Raises ValueError for maps of other shapes, kinds and ranges.

    >>> true = torch.tensor([1.0, 0.0]).view(1, 1, 2, 1)                                 # of two pixels one is salient
    >>> {name: round(score.item(), 2) for name, score in saliency_scores(torch.ones(1, 1, 2, 1), true).items()}
    {'precision': 0.5, 'recall': 1.0, 'f1': 0.67, 'saliency_l1': 0.5, 'saliency_l2': 0.5}
    """
    p, t = _read_maps(pred, "pred"), _read_maps(true, "true")
    if p.shape != t.shape:
        raise ValueError(f"pred and true must have one shape, not {tuple(pred.shape)} and {tuple(true.shape)}; resize one.")
    guess, salient = p > 0.5, t > 0.5
    hits, guessed, wanted = (pixels.sum((1, 2)).double() for pixels in (guess & salient, guess, salient))
    undefined = 0.0 if legacy else float("nan")
    share = lambda part, whole: (part / whole).where((whole > 0) & (wanted > 0), undefined)
    return {"precision": share(hits, guessed), "recall": share(hits, wanted), "f1": share(2 * hits, guessed + wanted),
            "saliency_l1": (p - t).abs().mean((1, 2)), "saliency_l2": (p - t).square().mean((1, 2))}


def ab_accuracy(logits, ab_true, bins, k=1, mask=None, chromatic=None, balanced=False):
    """acc@k in [0, 1]: is the true ab bin among the k largest logits? (Zhang et al. 2016; Manjunatha et al. 2018)

    logits `(N, Q, H, W)`; ab_true `(N, 2, H, W)` of the same size, CIE units; bins `(Q, 2)`; mask `(N, 1, H, W)`, 0/1, selects pixels;
    chromatic=CHROMATIC_MIN keeps pixels whose true chroma is above 10, as greys carry the plain score. Returns `(N,)`, NaN where no pixel is left;
    balanced=True returns one float, the mean over the batch's true bins. Raises ValueError for other shapes, a k beyond Q, and NaN, as do the next two.

    >>> bins, ab_true = torch.tensor([[0.0, 0], [80, 60], [-80, 60]]), torch.zeros(1, 2, 1, 2)
    >>> logits = torch.tensor([[3.0, 2], [2, 3], [1, 1]]).view(1, 3, 1, 2)               # the second of two pixels is wrong
    >>> ab_accuracy(logits, ab_true, bins).item(), ab_accuracy(logits, ab_true, bins, k=2).item()
    (0.5, 1.0)
    """
    return accuracy(*count_hits(logits, ab_true, bins, k, mask, chromatic), balanced)


def bin_accuracy(ab_pred, ab_true, bins, mask=None, chromatic=None, balanced=False):
    """acc@1 of a network that answers with colours: is the bin nearest to ab_pred `(N, 2, H, W)` the true one?

    >>> bins, ab_true = torch.tensor([[0.0, 0], [80, 60]]), torch.zeros(1, 2, 1, 2)
    >>> bin_accuracy(torch.tensor([9.0, 90]).expand(1, 2, 1, 2), ab_true, bins).item()
    0.5
    """
    return accuracy(*count_hits(ab_pred, ab_true, bins, 1, mask, chromatic), balanced)


def count_hits(guess, ab_true, bins, k=1, mask=None, chromatic=None):
    """The counts behind the two, `(hits, pixels)`, each `(N, Q)` float64, by picture and true bin. guess: logits `(N, Q, H, W)` or colours
    `(N, 2, H, W)`. Over a large set, concatenate the counts of batches for `accuracy`. Raises ValueError as `ab_accuracy` does.

    >>> bins, ab_true = torch.tensor([[0.0, 0], [80, 60]]), torch.zeros(1, 2, 1, 2)
    >>> [counts.tolist() for counts in count_hits(torch.tensor([9.0, 90]).expand(1, 2, 1, 2), ab_true, bins)]
    [[[1.0, 0.0]], [[2.0, 0.0]]]
    """
    guess, ab_true, bins = guess.detach().cpu(), ab_true.detach().cpu(), torch.as_tensor(bins).cpu()
    if guess.ndim != 4 or guess.shape[1] not in (2, len(bins)) or not 1 <= k <= len(bins):
        raise ValueError(f"The guess must be logits (N, {len(bins)}, H, W) or colours (N, 2, H, W), and k from 1 to "
                         f"{len(bins)}; got shape {tuple(guess.shape)} and k = {k}.")
    for name, plane, channels in (("ab_true", ab_true, 2), ("mask", mask, 1)):
        if plane is not None and plane.shape != (len(guess), channels, *guess.shape[2:]):
            raise ValueError(f"{name} {tuple(plane.shape)} must be {(len(guess), channels, *guess.shape[2:])}.")
    if not torch.isfinite(guess).all():
        raise ValueError("The guess holds NaN or infinity; check the network's output.")
    true_bin = nearest_bin(ab_true, bins)                                                             # (N, H, W)
    ranked = nearest_bin(guess, bins)[:, None] if guess.shape[1] == 2 else guess.topk(k, dim=1).indices
    keep = torch.ones_like(true_bin, dtype=torch.bool)
    if mask is not None:
        keep &= mask.cpu()[:, 0] > 0.5
    if chromatic is not None:
        keep &= ab_true.norm(dim=1) > chromatic
    cell = true_bin + len(bins) * torch.arange(len(guess))[:, None, None]       # one counter per picture and bin
    hit = keep & (ranked == true_bin[:, None]).any(1)
    return tuple(torch.bincount(cell[chosen], minlength=len(guess) * len(bins)).view(len(guess), -1).double()
                 for chosen in (hit, keep))


def accuracy(hits, pixels, balanced=False):
    """Counts `(N, Q)` -> share of hits per picture `(N,)`; balanced=True -> one float, all true bins alike.

    >>> hits, pixels = torch.tensor([[90.0, 0]]).double(), torch.tensor([[90.0, 10]]).double()           # always grey
    >>> accuracy(hits, pixels).item(), accuracy(hits, pixels, balanced=True)
    (0.9, 0.5)
    """
    if balanced:
        hits, pixels = hits.sum(0), pixels.sum(0)
        return (hits / pixels)[pixels > 0].mean().item()
    return hits.sum(1) / pixels.sum(1)


STANDARD_SET = {"psnr": psnr, "ssim": ssim, "de2000": delta_e2000, "ab_rmse": ab_rmse, "l_drift": l_drift,
                "colorfulness": lambda pred, true: colorfulness(pred),
                "colorfulness_true": lambda pred, true: colorfulness(true)}
_OF_LAB = {"de2000": _de2000, "ab_rmse": _ab_rmse, "l_drift": _l_drift}


def evaluate_pictures(pred, true):
    """The metrics of every table: {name of STANDARD_SET: `(N,)` float64}. `summarize` makes the table's row.

    >>> true = torch.rand(3, 3, 16, 16)
    >>> list(scores := evaluate_pictures(true, true)), scores["ssim"].tolist()
    (['psnr', 'ssim', 'de2000', 'ab_rmse', 'l_drift', 'colorfulness', 'colorfulness_true'], [1.0, 1.0, 1.0])
    """
    rows = []
    for p, t in _pair_up(read_pictures(pred, "pred"), read_pictures(true, "true")):
        in_lab = rgb_to_lab(p), rgb_to_lab(t)
        rows.append([float(_OF_LAB[name](*in_lab) if name in _OF_LAB else metric([p], [t])) for name, metric in STANDARD_SET.items()])
    return {name: torch.tensor(column, dtype=torch.float64) for name, column in zip(STANDARD_SET, zip(*rows))}


def summarize(per_image):
    """{name: `(N,)`} -> {"n": N, name: mean over pictures}, psnr_pooled (dB of the mean squared error) and colorfulness_ratio (mean M(pred) /
    mean M(true), NaN for a grey truth) where their columns are there. A mean leaves out pictures for which it is undefined (NaN).
    Raises ValueError for columns of unequal length or none.

    >>> {name: round(mean, 1) for name, mean in summarize({"psnr": [20, 30]}).items()}
    {'n': 2, 'psnr': 25.0, 'psnr_pooled': 22.6}
    """
    columns = {name: np.asarray(values, dtype=np.float64) for name, values in per_image.items()}
    mean = lambda values: float(values[~np.isnan(values)].mean()) if not np.isnan(values).all() else float("nan")
    shapes = {values.shape for values in columns.values()}
    if len(shapes) != 1 or shapes <= {(), (0,)}:
        raise ValueError(f"per_image must hold columns of one length, at least 1, not {sorted(shapes)}.")
    summary = {"n": shapes.pop()[0], **{name: mean(values) for name, values in columns.items()}}
    if "psnr" in columns:
        with np.errstate(divide="ignore"):
            summary["psnr_pooled"] = float(-10 * np.log10(np.mean(10 ** (-columns["psnr"] / 10))))
    if {"colorfulness", "colorfulness_true"} <= set(columns):
        pred, true = summary["colorfulness"], summary["colorfulness_true"]
        summary["colorfulness_ratio"] = pred / true if true else float("nan")
    return summary


def bootstrap_ci(values, seed=0, level=0.95, resamples=2000):
    """Confidence interval of the mean, (low, high): percentile bootstrap over pictures (Efron 1979), equal for equal seeds.

    values: `(N,)`. Raises ValueError for none, for values that are not finite, and a level outside (0, 1).

    >>> low, high = bootstrap_ci([20.0, 22.0, 24.0, 26.0])
    >>> 20 <= low < 23 < high <= 26
    True
    """
    values, random = np.asarray(values, dtype=np.float64).ravel(), np.random.default_rng(seed)
    if not len(values) or not np.isfinite(values).all() or not 0 < level < 1:
        raise ValueError("bootstrap_ci needs finite values, at least one, and a level between 0 and 1.")
    at_once = max(1, RESAMPLED // len(values))
    counts = (min(at_once, resamples - done) for done in range(0, resamples, at_once))
    means = np.concatenate([values[random.integers(len(values), size=(count, len(values)))].mean(1) for count in counts])
    return tuple(float(end) for end in np.quantile(means, [(1 - level) / 2, (1 + level) / 2]))


def score_pairs(score, pred, true, min_size=1):
    """A new metric: score(pred, true) of every pair, each float64 `(H, W, 3)` in [0, 1] and at least min_size px a side: `(N,)`.

    >>> score_pairs(lambda p, t: abs(p - t).max(), np.zeros((2, 4, 4, 3)), np.ones((2, 4, 4, 3)))        # the largest error
    tensor([1., 1.], dtype=torch.float64)
    """
    return _column(score(p, t) for p, t in _pair_up(read_pictures(pred, "pred", min_size), read_pictures(true, "true", min_size)))


def _column(scores):
    return torch.tensor([float(score) for score in scores], dtype=torch.float64)


def _pair_up(pred, true):
    for p, t in itertools.zip_longest(pred, true):
        if p is None or t is None:
            raise ValueError("pred and true must hold equally many pictures.")
        if p.shape[:2] != t.shape[:2]:
            raise ValueError(f"Sizes differ, {p.shape[:2]} in pred and {t.shape[:2]} in true (H, W); resize one.")
        yield p, t


def read_pictures(rgb, name, min_size=1):
    """Check and yield every picture as float64 `(H, W, 3)` in [0, 1]. Raises ValueError, naming `name`, for what is none and for sides below min_size px.

    >>> [picture.shape for picture in read_pictures(torch.zeros(2, 3, 4, 6), "pred")]
    [(4, 6, 3), (4, 6, 3)]
    """
    count, one = 0, isinstance(rgb, (torch.Tensor, np.ndarray)) and rgb.ndim == 3
    for count, x in enumerate([rgb] if one else rgb, start=1):
        axis = 0 if torch.is_tensor(x) else -1
        if not isinstance(x, (torch.Tensor, np.ndarray)) or x.ndim != 3 or x.shape[axis] != 3:
            found = f"shape {tuple(x.shape)}" if hasattr(x, "shape") else type(x).__name__
            raise ValueError(f"{name} must hold pictures, tensors (3, H, W) or arrays (H, W, 3), not {found}.")
        if torch.is_tensor(x):
            x = (x.detach().double() if x.is_floating_point() else x).cpu().movedim(0, -1).numpy()
        if min(x.shape[:2]) < min_size:
            raise ValueError(f"This metric needs pictures of {min_size} px a side; {name} has one of {x.shape[:2]}.")
        if x.dtype == np.uint8:
            yield x / 255.0
        elif x.dtype.kind == "f" and -RANGE_SLACK <= x.min() and x.max() <= 1 + RANGE_SLACK:          # NaN fails, too
            yield np.clip(x.astype(np.float64), 0, 1)
        else:
            raise ValueError(f"{name} must be uint8 or float in [0, 1], not {x.dtype} {x.min()}..{x.max()}; clip it.")
    if not count:
        raise ValueError(f"{name} holds no pictures.")


def _read_maps(maps, name):
    """Check saliency maps (N, 1, H, W) and return them as float64 (N, H, W) in [0, 1]."""
    if not torch.is_tensor(maps) or maps.ndim != 4 or maps.shape[1] != 1 or not maps.numel():
        raise ValueError(f"{name} must be a tensor of saliency maps (N, 1, H, W), not {getattr(maps, 'shape', type(maps).__name__)}.")
    values = maps.detach().cpu()[:, 0].double() / (255 if maps.dtype == torch.uint8 else 1)
    if not (maps.dtype == torch.uint8 or maps.is_floating_point()) or not (0 <= values.min() and values.max() <= 1):
        raise ValueError(f"{name} must be uint8 or float in [0, 1], not {maps.dtype} {maps.min()}..{maps.max()}.")
    return values
