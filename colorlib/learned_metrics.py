"""Distances measured in the features of trained networks: LPIPS, FID and KID, from torchmetrics. Their weights are downloads.

Pictures as in `metrics`, which holds the formulas that need no network.
"""
import contextlib
import itertools
import pickle
import warnings
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch

from colorlib.metrics import read_pictures, score_pairs

LPIPS_WEIGHTS = {"alex": "AlexNet_Weights", "vgg": "VGG16_Weights", "squeeze": "SqueezeNet1_1_Weights"}
LPIPS_MIN_SIZE = 32         # px; the last pooling layers of AlexNet and VGG-16 need as much
FEATURE_BATCH = 16          # pictures at a time through Inception


def lpips_available(net="alex"):
    """Whether `lpips` runs without a download: its backbone lies in `torch.hub.get_dir()/checkpoints`."""
    return Path(torch.hub.get_dir(), "checkpoints", Path(_backbone_url(net)).name).exists()


def lpips(pred, true, net="alex"):
    """Learned perceptual distance 0.1 (Zhang et al. 2018). Metric tables use "alex", CT2 used "vgg". Raises
    FileNotFoundError when the backbone's weights are neither cached nor downloadable."""
    network, batch = _lpips_network(net), lambda x: torch.from_numpy(x).movedim(-1, 0)[None]           # (1, 3, H, W)
    with torch.no_grad():
        return score_pairs(lambda p, t: network(batch(p), batch(t), normalize=True), pred, true, min_size=LPIPS_MIN_SIZE)


def inception_available():
    """Whether `fid` and `kid` run without a download."""
    from torch_fidelity.feature_extractor_inceptionv3 import URL_INCEPTION_V3
    return Path(torch.hub.get_dir(), "checkpoints", Path(URL_INCEPTION_V3).name).exists()


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
        for batch in picture_batches(rgb, "rgb", FEATURE_BATCH):                                      # (n, 3, H, W)
            rows.append(network.eval()((batch * 255).round().byte() if as_bytes else batch.float()))
    return torch.cat(rows).flatten(1).double()                                                        # (N, F)


def picture_batches(rgb, name, size):
    """Runs of pictures of one shape, in order, as float64 `(n, 3, H, W)` in [0, 1], n <= size."""
    for _, same_shape in itertools.groupby(read_pictures(rgb, name), key=np.shape):
        while chunk := list(itertools.islice(same_shape, size)):
            yield torch.from_numpy(np.stack(chunk)).movedim(-1, 1)


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
