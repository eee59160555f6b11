"""How far a colorized picture is from the true one, and how colourful it is: float64 on the CPU, whatever the device.

Pictures are sRGB: tensors `(N, 3, H, W)` or `(3, H, W)`, arrays `(N, H, W, 3)` or `(H, W, 3)`, float in [0, 1] or
uint8, or an iterable of single pictures, whose sizes may then differ. A function returns one number per picture, `(N,)`
float64, unless it says otherwise, and raises ValueError where the two sides differ in number or size.
PSNR, SSIM and dE2000 come from scikit-image; LPIPS, FID and KID from torchmetrics. Ours: what no library has.
"""
import contextlib
import itertools
import pickle
import warnings
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from skimage.color import deltaE_ciede2000
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from colorlib.lab import nearest_bin, rgb_to_lab

CHROMATIC_MIN = 10.0        # chroma in CIE units above which a pixel counts as coloured: a step of the 313 grid (ours)
RANGE_SLACK = 1e-6          # float32 rounding may leave [0, 1] by this much
LPIPS_WEIGHTS = {"alex": "AlexNet_Weights", "vgg": "VGG16_Weights", "squeeze": "SqueezeNet1_1_Weights"}
LPIPS_MIN_SIZE = 32         # px; the last pooling layers of AlexNet and VGG-16 need as much
FEATURE_BATCH = 16          # pictures at a time through Inception
WANG_2004 = dict(gaussian_weights=True, sigma=1.5, use_sample_covariance=False, data_range=1.0)
SSIM_VARIANTS = {"standard": (11, WANG_2004), "skimage": (7, dict(data_range=1.0)),      # (window in px, options)
                 "ct2": (7, dict(data_range=225))}         # sic, not 255: CT2's released segm/metrics.py


def psnr(pred, true):
    """Peak signal-to-noise ratio in dB, 10 log10(1 / MSE) over pixels and channels; inf for identical pictures.

    Its mean over pictures is what papers mostly print; 10 log10(1 / mean MSE), `psnr_pooled` below, is never larger.
    """
    with np.errstate(divide="ignore"):
        return _score(lambda p, t: peak_signal_noise_ratio(t, p, data_range=1.0), pred, true)


def ssim(pred, true, variant="standard"):
    """Structural similarity (Wang et al. 2004) of R, G and B apart, averaged.

    "standard": 11 x 11 Gaussian window, sigma 1.5, population covariance, windows inside the picture only, as in the
    authors' code (torchmetrics adds windows over the border). "skimage": scikit-image's defaults, a 7 x 7 box.
    "ct2": that box on 8-bit values with data_range=225, the slip in CT2's released code.
    """
    if variant not in SSIM_VARIANTS:
        raise ValueError(f"variant must be one of {', '.join(SSIM_VARIANTS)}, not {variant!r}.")
    window, options = SSIM_VARIANTS[variant]

    def score(p, t):
        if variant == "ct2":
            p, t = np.round(p * 255), np.round(t * 255)
        return structural_similarity(t, p, channel_axis=-1, **options)
    return _score(score, pred, true, min_size=window)


def delta_e2000(pred, true):
    """CIEDE2000 colour difference, mean over pixels (Sharma et al. 2005). About 1 is just visible."""
    return _score(lambda p, t: deltaE_ciede2000(rgb_to_lab(t), rgb_to_lab(p)).mean(), pred, true)


def delta_e76(pred, true):
    """CIE 1976 colour difference, the Euclidean distance in Lab, mean over pixels."""
    return _score(lambda p, t: np.linalg.norm(rgb_to_lab(p) - rgb_to_lab(t), axis=-1).mean(), pred, true)


def ab_mae(pred, true):
    """Mean absolute error of a and b in CIE units, over pixels and both channels."""
    return _score(lambda p, t: np.abs(rgb_to_lab(p) - rgb_to_lab(t))[..., 1:].mean(), pred, true)


def ab_rmse(pred, true):
    """Root mean squared error of a and b in CIE units, over pixels and both channels (the ab distance over sqrt 2)."""
    return _score(lambda p, t: np.sqrt(((rgb_to_lab(p) - rgb_to_lab(t))[..., 1:] ** 2).mean()), pred, true)


def l_drift(pred, true):
    """Mean |L_pred - L_true| in CIE units: a network that copies L still drifts where clipping to sRGB cut its colours.

    true: the true pictures, or their lightness as a tensor L `(N, 1, H, W)` in [0, 100].
    """
    if torch.is_tensor(true) and true.ndim == 4 and true.shape[1] == 1:
        L_true = (L.detach().cpu().double().movedim(0, -1).numpy() for L in true)                     # (H, W, 1)
    else:
        L_true = (rgb_to_lab(t)[..., :1] for t in _pictures(true, "true"))
    pairs = _pair(_pictures(pred, "pred"), L_true)
    return _column(np.abs(rgb_to_lab(p)[..., :1] - L).mean() for p, L in pairs)


def colorfulness(rgb, signed=True):
    """M = sqrt(var rg + var yb) + 0.3 sqrt(mean(rg)^2 + mean(yb)^2) on 0..255 values (Hasler & Suesstrunk 2003).

    rg = R - G and yb = (R + G) / 2 - B. signed=True is the paper's; signed=False takes |rg| and |yb|, as the code of
    CT2 and DDColor does. A picture half (200, 60, 60), half (60, 200, 60) has 161 signed, 47 absolute; never mix them.
    """
    def score(picture):
        red, green, blue = np.moveaxis(picture * 255, -1, 0)
        rg, yb = red - green, (red + green) / 2 - blue
        if not signed:
            rg, yb = np.abs(rg), np.abs(yb)
        return np.hypot(rg.std(), yb.std()) + 0.3 * np.hypot(rg.mean(), yb.mean())
    return _column(score(picture) for picture in _pictures(rgb, "rgb"))


def colorfulness_gap(pred, true, signed=True):
    """Two floats: |mean M(pred) - mean M(true)|, the tables' dCF (pictures cancel); mean |M(pred) - M(true)|."""
    difference = colorfulness(pred, signed) - colorfulness(true, signed)
    return abs(difference.mean().item()), difference.abs().mean().item()


def ab_accuracy(logits, ab_true, bins, k=1, mask=None, chromatic=None, balanced=False):
    """acc@k in [0, 1]: is the true ab bin among the k largest logits? (Zhang et al. 2016; Manjunatha et al. 2018)

    logits `(N, Q, H, W)`; ab_true `(N, 2, H, W)` of the same size, CIE units; bins `(Q, 2)`; mask `(N, 1, H, W)`, 0/1,
    selects pixels; chromatic=CHROMATIC_MIN keeps pixels whose true chroma is above 10, as greys carry the plain score.
    Returns `(N,)`, NaN where no pixel is left; balanced=True returns one float, the mean over the batch's true bins.
    """
    return accuracy(*count_hits(logits, ab_true, bins, k, mask, chromatic), balanced)


def bin_accuracy(ab_pred, ab_true, bins, mask=None, chromatic=None, balanced=False):
    """acc@1 of a network that answers with colours: is the bin nearest to ab_pred `(N, 2, H, W)` the true one?"""
    return accuracy(*count_hits(ab_pred, ab_true, bins, 1, mask, chromatic), balanced)


def count_hits(guess, ab_true, bins, k=1, mask=None, chromatic=None):
    """The counts behind the two, `(hits, pixels)`, each `(N, Q)` float64, by picture and true bin. guess: logits
    `(N, Q, H, W)` or colours `(N, 2, H, W)`. Over a large set, concatenate the counts of batches for `accuracy`."""
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
    """Counts `(N, Q)` -> share of hits per picture `(N,)`; balanced=True -> one float, all true bins alike."""
    if balanced:
        hits, pixels = hits.sum(0), pixels.sum(0)
        return (hits / pixels)[pixels > 0].mean().item()
    return hits.sum(1) / pixels.sum(1)


STANDARD_SET = {"psnr": psnr, "ssim": ssim, "de2000": delta_e2000, "ab_rmse": ab_rmse, "l_drift": l_drift,
                "colorfulness": lambda pred, true: colorfulness(pred),
                "colorfulness_true": lambda pred, true: colorfulness(true)}


def evaluate_pictures(pred, true):
    """The metrics of every table: {name of STANDARD_SET: `(N,)` float64}. `summarize` makes the table's row."""
    pairs = _pair(_pictures(pred, "pred"), _pictures(true, "true"))
    rows = [[metric([p], [t]) for metric in STANDARD_SET.values()] for p, t in pairs]
    return {name: torch.cat(column) for name, column in zip(STANDARD_SET, zip(*rows))}


def summarize(per_image):
    """{name: `(N,)`} -> {"n": N, name: mean over pictures}, psnr_pooled (dB of the mean squared error) and
    colorfulness_ratio (mean M(pred) / mean M(true), NaN for a grey truth) where their columns are there."""
    columns = {name: np.asarray(values, dtype=np.float64) for name, values in per_image.items()}
    shapes = {values.shape for values in columns.values()}
    if len(shapes) != 1 or shapes <= {(), (0,)}:
        raise ValueError(f"per_image must hold columns of one length, at least 1, not {sorted(shapes)}.")
    summary = {"n": shapes.pop()[0], **{name: float(values.mean()) for name, values in columns.items()}}
    if "psnr" in columns:
        with np.errstate(divide="ignore"):
            summary["psnr_pooled"] = float(-10 * np.log10(np.mean(10 ** (-columns["psnr"] / 10))))
    if {"colorfulness", "colorfulness_true"} <= set(columns):
        pred, true = summary["colorfulness"], summary["colorfulness_true"]
        summary["colorfulness_ratio"] = pred / true if true else float("nan")
    return summary


def bootstrap_ci(values, seed=0, level=0.95, resamples=2000):
    """Confidence interval of the mean, (low, high): percentile bootstrap over pictures, equal for equal seeds."""
    values, random = np.asarray(values, dtype=np.float64).ravel(), np.random.default_rng(seed)
    if not len(values) or not np.isfinite(values).all() or not 0 < level < 1:
        raise ValueError("bootstrap_ci needs finite values, at least one, and a level between 0 and 1.")
    means = [values[random.integers(len(values), size=len(values))].mean() for _ in range(resamples)]
    return tuple(float(end) for end in np.quantile(means, [(1 - level) / 2, (1 + level) / 2]))


def _score(score, pred, true, min_size=1):
    pairs = _pair(_pictures(pred, "pred", min_size), _pictures(true, "true", min_size))
    return _column(score(p, t) for p, t in pairs)


def _column(scores):
    return torch.tensor([float(score) for score in scores], dtype=torch.float64)


def _pair(pred, true):
    for p, t in itertools.zip_longest(pred, true):
        if p is None or t is None:
            raise ValueError("pred and true must hold equally many pictures.")
        if p.shape[:2] != t.shape[:2]:
            raise ValueError(f"Sizes differ, {p.shape[:2]} in pred and {t.shape[:2]} in true (H, W); resize one.")
        yield p, t


def _pictures(rgb, name, min_size=1):
    """Check and yield every picture as float64 (H, W, 3) in [0, 1]."""
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


# ---------------------------------------------------------------- learned distances, whose weights are downloads

def lpips_available(net="alex"):
    """Whether `lpips` runs without a download: its backbone lies in `torch.hub.get_dir()/checkpoints`."""
    return Path(torch.hub.get_dir(), "checkpoints", Path(_backbone_url(net)).name).exists()


def lpips(pred, true, net="alex"):
    """Learned perceptual distance 0.1 (Zhang et al. 2018). Metric tables use "alex", CT2 used "vgg". Raises
    FileNotFoundError when the backbone's weights are neither cached nor downloadable."""
    network, batch = _lpips_network(net), lambda x: torch.from_numpy(x).movedim(-1, 0)[None]           # (1, 3, H, W)
    with torch.no_grad():
        return _score(lambda p, t: network(batch(p), batch(t), normalize=True), pred, true, min_size=LPIPS_MIN_SIZE)


def fid(pred, true, feature=2048, weights_path=None):
    """Frechet Inception Distance (Heusel et al. 2017) of two sets of pictures: one float.

    feature: 64, 192, 768 or 2048, a layer of the Inception network FID is defined by (pictures are rounded to 8 bit and
    resized to 299 px, antialiased), or a module from float32 rgb `(n, 3, H, W)` in [0, 1] to `(n, F)`. weights_path: a
    local copy of torch-fidelity's weights. The bias falls with N: compare equal N; below 2,048 pictures prefer `kid`.
    """
    from torchmetrics.image.fid import FrechetInceptionDistance
    return _compare(FrechetInceptionDistance, pred, true, feature, weights_path)[0].compute().item()


def kid(pred, true, feature=2048, weights_path=None, subsets=100, subset_size=1000, seed=0):
    """Kernel Inception Distance (Binkowski et al. 2018), unbiased: (mean, SD) over random subsets; small sets whole."""
    from torchmetrics.image.kid import KernelInceptionDistance
    with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)                    # its note that it keeps the features
        torch.manual_seed(seed)
        metric, smaller = _compare(KernelInceptionDistance, pred, true, feature, weights_path, subsets=subsets)
        metric.subset_size = min(subset_size, smaller)
        return tuple(value.item() for value in metric.compute())


def _compare(make_metric, pred, true, feature, weights_path, **options):
    network = feature if isinstance(feature, torch.nn.Module) else _inception(feature, weights_path)
    features = [_extract_features(network, rgb, as_bytes=network is not feature) for rgb in (pred, true)]
    if min(map(len, features)) < 2:
        raise ValueError("FID and KID need at least two pictures on each side.")
    given = torch.nn.Identity()                                         # torchmetrics gets features instead of pictures
    given.num_features = features[0].shape[1]
    metric = make_metric(given, **options)
    for table, real in zip(features, (False, True)):
        metric.update(table, real=real)
    return metric, min(map(len, features))


def _extract_features(network, rgb, as_bytes):
    rows = []
    with torch.no_grad():
        for _, same_size in itertools.groupby(_pictures(rgb, "rgb"), key=np.shape):
            while chunk := list(itertools.islice(same_size, FEATURE_BATCH)):
                batch = torch.from_numpy(np.stack(chunk)).movedim(-1, 1)                              # (n, 3, H, W)
                rows.append(network.eval()((batch * 255).round().byte() if as_bytes else batch.float()))
    return torch.cat(rows).flatten(1).double()                                                        # (N, F)


def _backbone_url(net):
    import torchvision
    if net not in LPIPS_WEIGHTS:
        raise ValueError(f"net must be one of {', '.join(LPIPS_WEIGHTS)}, not {net!r}.")
    return getattr(torchvision.models, LPIPS_WEIGHTS[net]).DEFAULT.url


@lru_cache
def _lpips_network(net):
    from torchmetrics.image.lpip import LearnedPerceptualImagePatchSimilarity
    with _explain_download("LPIPS", _backbone_url(net)):
        return LearnedPerceptualImagePatchSimilarity(net_type=net).net.double()


@lru_cache
def _inception(layer, weights_path):
    from torch_fidelity.feature_extractor_inceptionv3 import URL_INCEPTION_V3
    from torchmetrics.image.fid import NoTrainInceptionV3
    with _explain_download("FID and KID", URL_INCEPTION_V3):
        if weights_path is not None:            # a first look, as torch-fidelity would run code pickled into the file
            torch.load(weights_path, map_location="cpu", weights_only=True)
        return NoTrainInceptionV3("inception-v3-compat", [str(layer)], weights_path)


@contextlib.contextmanager
def _explain_download(metric, url):
    try:
        yield
    except (OSError, EOFError, RuntimeError, pickle.UnpicklingError) as error:      # no network, no file, a broken file
        reason = str(error).partition("\n")[0]
        raise FileNotFoundError(f"{metric} needs the weights {url}, which cannot be downloaded or read ({reason}): "
                                f"copy that file to {torch.hub.get_dir()}/checkpoints.") from error
