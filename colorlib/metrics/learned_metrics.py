"""Distances measured in the features of trained networks: LPIPS, FID and KID, from torchmetrics. Their weights are downloads.

`legacy_inception` is what the line of CT2 and DDColor calls FID: another network and an input it was never trained on.

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
import torch.nn.functional as F

from colorlib import convert, pretrained
from colorlib.metrics import read_pictures, score_pairs

__all__ = ["lpips", "fid", "kid", "fid_of_features", "kid_of_features", "extract_features", "legacy_inception",
           "LegacyInception", "lpips_available", "inception_available", "lpips_file", "inception_file"]

LPIPS_WEIGHTS = {"alex": "AlexNet_Weights", "vgg": "VGG16_Weights", "squeeze": "SqueezeNet1_1_Weights"}
LPIPS_MIN_SIZE = 32         # px; the last pooling layers of AlexNet and VGG-16 need as much
FEATURE_BATCH = 16          # pictures at a time through Inception
LEGACY_INCEPTION = ("inception_v3_google-1a9a5a14.pth", "inception_v3_google-0cc3c7bd.pth")      # CT2 names the first, torchvision now the second
INPUTS = {"ct2": (1.0, 0.0), "ddcolor": (0.5, 0.5)}         # gain and offset of rgb in [0, 1] before the second normalization, see `LegacyInception`
IMAGENET_MEAN, IMAGENET_SD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def lpips_available(net="alex"):
    """Whether `lpips` runs without a download: its backbone lies in `torch.hub.get_dir()/checkpoints`.

    >>> from unittest.mock import patch
    >>> with patch("torch.hub.get_dir", return_value="an empty folder"):
    ...     lpips_available()
    False
    """
    return Path(torch.hub.get_dir(), "checkpoints", lpips_file(net)).exists()


def lpips_file(net="alex"):
    """Name of the file of weights `lpips` needs.

    >>> lpips_file("alex"), lpips_file("vgg")
    ('alexnet-owt-7be5be79.pth', 'vgg16-397923af.pth')
    """
    return Path(_backbone_url(net)).name


def lpips(pred, true, net="alex"):
    """Learned perceptual distance, version 0.1 (Zhang et al. 2018), `(N,)` float64, 0 for identical pictures. Metric tables use "alex", CT2 used "vgg".

    Raises ValueError for another net and pictures below 32 px a side, FileNotFoundError when the backbone's weights are neither cached nor downloadable.

    >>> lpips(torch.zeros(1, 3, 64, 64), torch.zeros(1, 3, 64, 64), net="resnet")
    Traceback (most recent call last):
        ...
    ValueError: net must be one of alex, vgg, squeeze, not 'resnet'.
    """
    network, batch = _lpips_network(net), lambda x: torch.from_numpy(x).movedim(-1, 0)[None]           # (1, 3, H, W)
    with torch.no_grad():
        return score_pairs(lambda p, t: network(batch(p), batch(t), normalize=True), pred, true, min_size=LPIPS_MIN_SIZE)


def inception_available():
    """Whether `fid` and `kid` run without a download.

    >>> from unittest.mock import patch
    >>> with patch("torch.hub.get_dir", return_value="an empty folder"):
    ...     inception_available()
    False
    """
    return Path(torch.hub.get_dir(), "checkpoints", inception_file()).exists()


def inception_file():
    """Name of the file of weights `fid` and `kid` need.

    >>> inception_file()
    'weights-inception-2015-12-05-6726825d.pth'
    """
    from torch_fidelity.feature_extractor_inceptionv3 import URL_INCEPTION_V3
    return Path(URL_INCEPTION_V3).name


def fid(pred, true, feature=2048, weights_path=None):
    """Frechet Inception Distance (Heusel et al. 2017) of two sets of pictures: one float.

    feature: 64, 192, 768 or 2048, a layer of the Inception network FID is defined by (pictures are rounded to 8 bit and
    resized to 299 px, antialiased), or a module from float32 rgb `(n, 3, H, W)` in [0, 1] to `(n, F)`. weights_path: a
    local copy of torch-fidelity's weights. The bias falls with N: compare equal N; below 2,048 pictures prefer `kid`. Raises ValueError for fewer
    than two pictures on a side, FileNotFoundError when the weights are neither cached nor downloadable.

    >>> mean_color = torch.nn.Sequential(torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten())              # for Inception
    >>> round(fid(torch.zeros(4, 3, 8, 8), torch.ones(4, 3, 8, 8), feature=mean_color), 4)               # sqrt(3) squared
    3.0
    """
    network = feature if isinstance(feature, torch.nn.Module) else _inception(feature, weights_path)
    return fid_of_features(extract_features(network, pred), extract_features(network, true))


def kid(pred, true, feature=2048, weights_path=None, subsets=100, subset_size=1000, seed=0):
    """Kernel Inception Distance (Binkowski et al. 2018), unbiased, so that it may be negative: (mean, SD) over random subsets; small sets whole.

    feature, weights_path and what is raised: as in `fid`.

    >>> mean_color = torch.nn.Sequential(torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten())              # for Inception
    >>> [round(value, 4) for value in kid(torch.zeros(4, 3, 8, 8), torch.ones(4, 3, 8, 8), feature=mean_color)]
    [7.0, 0.0]
    """
    network = feature if isinstance(feature, torch.nn.Module) else _inception(feature, weights_path)
    return kid_of_features(extract_features(network, pred), extract_features(network, true), subsets, subset_size, seed)


def fid_of_features(pred, true):
    """The Frechet distance of two tables of features `(N, F)`, in float64, its matrix square root by eigenvalues: one float.

    >>> round(fid_of_features(torch.zeros(4, 3), torch.ones(4, 3)), 4)                   # no spread, means sqrt(3) apart
    3.0
    """
    from torchmetrics.image.fid import FrechetInceptionDistance
    return _fill(FrechetInceptionDistance, pred, true)[0].compute().item()


def kid_of_features(pred, true, subsets=100, subset_size=1000, seed=0):
    """`kid` of two tables of features `(N, F)`: (mean, SD).

    >>> [round(value, 4) for value in kid_of_features(torch.zeros(4, 3), torch.ones(4, 3))]          # kernel (x y / 3 + 1)^3
    [7.0, 0.0]
    """
    from torchmetrics.image.kid import KernelInceptionDistance
    with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)                    # its note that it keeps the features
        torch.manual_seed(seed)
        metric, smaller = _fill(KernelInceptionDistance, pred, true, subsets=subsets)
        metric.subset_size = min(subset_size, smaller)
        return tuple(value.item() for value in metric.compute())


def _fill(make_metric, pred, true, **options):
    if min(len(pred), len(true)) < 2:
        raise ValueError("FID and KID need at least two pictures on each side.")
    given = torch.nn.Identity()                                         # torchmetrics gets features instead of pictures
    given.num_features = pred.shape[1]
    metric = make_metric(given, **options)
    for table, real in ((pred, False), (true, True)):
        metric.update(table.double(), real=real)
    return metric, min(len(pred), len(true))


def extract_features(network, rgb):
    """What a network says of pictures, `(N, F)` float64. network: a module from float32 rgb `(n, 3, H, W)` in [0, 1] to `(n, F)`, or the one of
    `standard_inception`, which takes bytes.

    >>> mean_color = torch.nn.Sequential(torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten())
    >>> extract_features(mean_color, torch.ones(2, 3, 8, 8))
    tensor([[1., 1., 1.],
            [1., 1., 1.]], dtype=torch.float64)
    """
    rows, as_bytes = [], getattr(network, "takes_bytes", False)
    with torch.no_grad():
        for batch in picture_batches(rgb, "rgb", FEATURE_BATCH):                                      # (n, 3, H, W)
            rows.append(network.eval()((batch * 255).round().byte() if as_bytes else batch.float()))
    return torch.cat(rows).flatten(1).double()                                                        # (N, F)


class LegacyInception(torch.nn.Module):
    """torchvision's Inception v3 up to its last pooling, fed as CT2 and DDColor feed it: float32 rgb `(n, 3, H, W)` in [0, 1] -> `(n, 2048)`.

    The network was trained on [-1, 1]. torchvision's `transform_input` gets there from pictures with ImageNet's mean and SD taken out; the scripts apply
    it to pictures without. input="ct2" (`segm/metrics.py`): the first channel sees -0.03..0.43. "ddcolor", that paper's validator during training
    (`custom_fid.py`), maps [0, 1] to [0.5, 1] before: 0.20..0.43. Neither is comparable with the other, with `fid`, or with any paper outside that line.

    >>> black_white = torch.stack([torch.zeros(3, 8, 8), torch.ones(3, 8, 8)])
    >>> shown = LegacyInception(torch.nn.Identity(), "ct2").prepare(black_white)[:, 0]   # a network trained on -1..1
    >>> round(shown.min().item(), 2), round(shown.max().item(), 2)
    (-0.03, 0.43)
    """

    def __init__(self, network, input="ct2"):
        super().__init__()
        self.network, self.input = network, input
        self.register_buffer("mean", torch.tensor(IMAGENET_MEAN).view(3, 1, 1))
        self.register_buffer("sd", torch.tensor(IMAGENET_SD).view(3, 1, 1))

    def prepare(self, rgb):
        """What the network is shown, `(n, 3, 299, 299)`."""
        gain, offset = INPUTS[self.input]
        x = F.interpolate(rgb, (299, 299), mode="bilinear", align_corners=False) * gain + offset
        return x * (self.sd / 0.5) + (self.mean - 0.5) / 0.5

    def forward(self, rgb):
        return self.network(self.prepare(rgb))


def legacy_inception_path():
    """The file of weights `legacy_inception` needs, or None where it would be a download."""
    return next((path for name in LEGACY_INCEPTION if (path := Path(torch.hub.get_dir(), "checkpoints", name)).exists()), None)


def legacy_inception(weights_path=None):
    """{"ct2" and "ddcolor": `LegacyInception`} with torchvision's weights from a local file. Raises FileNotFoundError when there is none or another.

    >>> legacy_inception("missing.pth")
    Traceback (most recent call last):
        ...
    FileNotFoundError: The FID of CT2 and DDColor needs the weights ...
    """
    return _legacy_inception(str(weights_path or legacy_inception_path() or Path(torch.hub.get_dir(), "checkpoints", LEGACY_INCEPTION[-1])))


@lru_cache
def _legacy_inception(weights_path):
    import torchvision
    with _explain_download("The FID of CT2 and DDColor", torchvision.models.Inception_V3_Weights.DEFAULT.url):
        weights = pretrained.read(weights_path)
        network = torchvision.models.inception_v3(weights=None, aux_logits=True, transform_input=False, init_weights=False)
        network.load_state_dict(weights)
    network.fc = torch.nn.Identity()
    network.eval().requires_grad_(False)
    return {input: LegacyInception(network, input).eval() for input in INPUTS}


def standard_inception():
    """The network FID is defined by, for `extract_features`."""
    return _inception(2048, None)


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
        pretrained.fetch(_backbone_url(net))
        return LearnedPerceptualImagePatchSimilarity(net_type=net).net.double()


@lru_cache
def _inception(layer, weights_path):
    from torch_fidelity.feature_extractor_inceptionv3 import URL_INCEPTION_V3
    from torchmetrics.image.fid import NoTrainInceptionV3
    with _explain_download("FID and KID", URL_INCEPTION_V3):
        weights_path = weights_path or str(pretrained.fetch(URL_INCEPTION_V3))
        pretrained.read(weights_path)
        network = NoTrainInceptionV3("inception-v3-compat", [str(layer)], weights_path)
        network.takes_bytes = True
        return network


@contextlib.contextmanager
def _explain_download(metric, url):
    try:
        with convert.weights_only():            # torch-fidelity and torchvision would run code pickled into the file
            yield
    except (OSError, EOFError, RuntimeError, pickle.UnpicklingError) as error:      # no network, no file, a broken file
        reason = str(error).partition("\n")[0]
        raise FileNotFoundError(f"{metric} needs the weights {url}, which cannot be downloaded or read ({reason}): "
                                f"copy that file to {torch.hub.get_dir()}/checkpoints.") from error
