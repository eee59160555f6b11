"""SCGAN's global feature network: VGG-16 for grey pictures, its poolings replaced by strides, trained to classify.

After `train/network.py` and the folder "global feature network pre-train" of zhaoyuzhi/Semantic-Colorization-GAN, whose scripts do not run: the
network type they ask for does not exist, and their head fits 224 px while they train at 256. The authors trained for 150 epochs of ImageNet
(SGD, rate 0.01, weight decay 5e-4, batch 256, x 0.1 every 30 epochs). The layers of this file are those of all of SCGAN, in `scgan.py`.
"""
from dataclasses import replace
from pathlib import Path

import safetensors.torch
import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils import parametrize

from colorlib import lab, results, train
from colorlib.convolution import Conv2d

__all__ = ["SpectralNorm", "Conv", "GlobalFeatures", "luma_of", "to_range", "GrayVGG", "pretrain", "load_features"]

LEAK, BN_SPREAD, XAVIER_GAIN = 0.2, 0.02, 0.02       # `network_module.py`, `weights_init`
SETTINGS = ("in_channels", "feature_width", "value_range", "pretraining", "classes", "batch_size", "image_size", "seed")      # what `pretrain` depends on
VGG_NAMES = [f"conv{block}_{i}" for block, count in enumerate((2, 2, 3, 3, 3), 1) for i in range(1, count + 1)] + ["pool5"]      # the authors' layers
BN_NAMES = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")


# ---------------------------------------------------------------- layers

class SpectralNorm(nn.Module):
    """W -> W / sigma(W), sigma by one power iteration per use in training (Miyato et al. 2018, algorithm 1), for `torch.nn.utils.parametrize`.

    torch's own updates u before v; the released code v before u, so that its sigma is half an iteration older. always: iterate in
    evaluation too, as the released code does.

    >>> norm = SpectralNorm(3 * torch.eye(4))
    >>> norm(3 * torch.eye(4)).diagonal().round(decimals=3).tolist()
    [1.0, 1.0, 1.0, 1.0]
    """

    def __init__(self, weight, always=False):
        super().__init__()
        self.always = always
        matrix = weight.detach().flatten(1)
        self.register_buffer("u", F.normalize(torch.randn(matrix.shape[0], dtype=matrix.dtype), dim=0))
        self.register_buffer("v", F.normalize(torch.randn(matrix.shape[1], dtype=matrix.dtype), dim=0))

    def forward(self, weight):
        with torch.autocast(weight.device.type, enabled=False):                     # sigma in full precision
            u, v = self.u, self.v
            if self.training or self.always:
                with torch.no_grad():
                    matrix = weight.flatten(1)
                    v = F.normalize(matrix.T @ u, dim=0)
                    self.v.copy_(v)
                    self.u.copy_(u := F.normalize(matrix @ v, dim=0))
            return DivideBySigma.apply(weight, u.clone(), v.clone())                # clones, because the next use changes u and v in place


class DivideBySigma(torch.autograd.Function):
    """W `(O, ...)`, u `(O,)`, v -> W / sigma with sigma = u' W v, u and v held fixed. Backwards in three passes over the weights, where torch's own
    steps take nine: G -> (G - sum(G W / sigma) u v') / sigma."""

    @staticmethod
    def forward(ctx, weight, u, v):
        sigma = torch.dot(u, weight.flatten(1) @ v)
        out = weight / sigma
        ctx.save_for_backward(out, sigma, u, v)
        return out

    @staticmethod
    def backward(ctx, g):
        out, sigma, u, v = ctx.saved_tensors
        share = torch.dot(g.flatten(), out.flatten())
        return torch.addr(g.flatten(1), u * -share, v).div(sigma).view_as(g), None, None


def pad(x, amount):
    """Mirror at the border; repeat the border where the map is too small to mirror."""
    return F.pad(x, (amount,) * 4, mode="reflect" if min(x.shape[-2:]) > amount else "replicate")


class Conv(nn.Module):
    """Mirrored border, convolution without bias, batch norm, leaky ReLU.

    >>> from colorlib.papers import scgan
    >>> Conv(3, 8, scgan.SMOKE, stride=2)(torch.rand(1, 3, 16, 24)).shape
    torch.Size([1, 8, 8, 12])
    """

    def __init__(self, channels_in, channels_out, config, kernel=3, stride=1, padding=1, norm=True, active=True, spectral=True):
        super().__init__()
        self.padding, self.stride, self.active = padding, stride, active
        self.conv = (nn.Conv2d if config.faithful else Conv2d)(channels_in, channels_out, kernel, stride, bias=False)
        self.norm = nn.BatchNorm2d(channels_out) if norm else nn.Identity()
        if norm:
            nn.init.normal_(self.norm.weight, 1.0, BN_SPREAD)
        if spectral and (config.spectral_norm == "all" or config.spectral_norm == "unnormalised" and not norm):
            if not config.faithful:
                nn.init.xavier_normal_(self.conv.weight, XAVIER_GAIN)       # documented; the released code looks for a name that is gone by then
            parametrize.register_parametrization(self.conv, "weight", SpectralNorm(self.conv.weight, config.faithful), unsafe=True)

    def forward(self, x):
        return self.finish(self.conv(pad(x, self.padding)))

    def finish(self, x):
        x = self.norm(x)
        return F.leaky_relu(x, LEAK, inplace=True) if self.active else x


class GlobalFeatures(nn.Sequential):
    """VGG-16 on grey pictures with strides in place of poolings: `(N, C, H, W)` -> `(N, 512, H/32, W/32)`.

    >>> from colorlib.papers import scgan
    >>> GlobalFeatures(scgan.SMOKE)(torch.rand(1, 1, 64, 96)).shape
    torch.Size([1, 64, 2, 3])
    """

    def __init__(self, config, spectral=True):
        widths = [config.feature_width * factor for factor in (1, 1, 2, 2, 4, 4, 4, 8, 8, 8, 8, 8, 8, 8)]
        strided = {1, 3, 6, 9, 13}                                                          # conv1_2, 2_2, 3_3, 4_3 and pool5
        layers = [Conv(before, after, config, stride=2 if i in strided else 1, norm=i > 0, spectral=spectral)
                  for i, (before, after) in enumerate(zip([config.in_channels] + widths, widths))]
        super().__init__(*layers)


# ---------------------------------------------------------------- inputs

def luma_of(rgb):
    """rgb `(N, 3, H, W)` in [0, 1] -> its luma, rounded to 8 bit as OpenCV does it; `(N, 1, H, W)`.

    >>> red = torch.tensor([1.0, 0.0, 0.0]).view(1, 3, 1, 1)
    >>> round(255 * luma_of(red).item(), 3)
    76.0
    """
    return (lab.luma_of(rgb) * 255).round() / 255


def to_range(rgb, value_range):
    """[0, 1] -> the config's value range.

    >>> to_range(torch.tensor([0.0, 0.5, 1.0]), (-1.0, 1.0)).tolist()
    [-1.0, 0.0, 1.0]
    """
    low, high = value_range
    return low + (high - low) * rgb


# ---------------------------------------------------------------- the classifier

class GrayVGG(nn.Module):
    """The global feature network under a classifier: grey `(N, C, H, W)` in [-1, 1] -> logits `(N, classes)`.

    The authors' head is VGG-16's three layers, the first 25,088 wide; ours is the mean over the picture and one layer, for any size.

    >>> from colorlib.papers import scgan
    >>> GrayVGG(scgan.SMOKE)(torch.rand(2, 1, 64, 96)).shape
    torch.Size([2, 10])
    """

    def __init__(self, config):
        super().__init__()
        self.features = GlobalFeatures(config, spectral=False)
        self.to_classes = nn.Linear(8 * config.feature_width, config.classes)

    def forward(self, x_n):
        return self.to_classes(self.features(x_n).mean((2, 3)))


class PretrainingStep:
    """One update of the gray classifier: cross-entropy, AdamW, one cycle, random contrast (the authors: SGD, 150 epochs of ImageNet)."""

    def __init__(self, config, fabric):
        self.config, self.fabric = config, fabric
        train.seed_everything(config.seed)
        updates, rate = config.pretraining
        model = GrayVGG(config)
        optimizer = torch.optim.AdamW(model.parameters(), rate, weight_decay=0.05)
        self.schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, rate, total_steps=updates + 1, pct_start=0.2)
        self.model, self.optimizer = train.prepare(fabric, model, optimizer)

    def __call__(self, batch):
        found = train.descend(self.fabric, self.model, self.optimizer, self.losses, batch)
        self.schedule.step()
        return found

    def losses(self, batch):
        rgb = batch["rgb"].float() / 255
        gray = luma_of(rgb).clamp_min(1e-3) ** torch.exp(0.3 * torch.randn(len(rgb), 1, 1, 1, device=rgb.device))
        logits = self.model(to_range(gray, self.config.value_range).expand(-1, self.config.in_channels, -1, -1))
        return {"loss": F.cross_entropy(logits, batch["label"], label_smoothing=0.1), "accuracy": (logits.argmax(1) == batch["label"]).float().mean()}


def pretrain(config, fabric, dataset, run=None, progress=None):
    """Train the gray classifier of `config` on the labels of `dataset`; returns the `GlobalFeatures` inside. Raises ValueError without labels.

    >>> from colorlib.papers import scgan
    >>> pretrain(scgan.SMOKE, fabric=None, dataset=[{"rgb": torch.zeros(3, 64, 64)}])
    Traceback (most recent call last):
        ...
    ValueError: The gray classifier learns from labels: give a data set with one sub-folder a class, or a...
    """
    if "label" not in dataset[0]:
        raise ValueError("The gray classifier learns from labels: give a data set with one sub-folder a class, or a config without `pretraining`.")
    config = replace(config, classes=1 + max(int(dataset[i]["label"]) for i in range(len(dataset))))
    step = PretrainingStep(config, fabric)
    side = dataset[0]["rgb"].shape[-1]
    tag = results.config_hash({key: getattr(config, key) for key in SETTINGS})
    train.fit(step, dataset, steps=config.pretraining[0], batch_size=2 * config.batch_size, fabric=fabric, seed=config.seed,
              crop=config.image_size if side > config.image_size else None, run=run and Path(run) / "gray_vgg", tag=tag, progress=progress)
    return step.model.module.features


def load_features(network, path):
    """Fill a `GlobalFeatures` from a file: ours, its state dict; or the authors' `vgg16_bn_fc_gray...pth`, whose biases and classifier are left out.

    Raises FileNotFoundError, and ValueError when a tensor is missing or of another shape, so that no file can fill nothing and stay silent.

    >>> load_features(None, "nowhere.pth")
    Traceback (most recent call last):
        ...
    FileNotFoundError: nowhere.pth does not exist: correct the path of the global feature network or unset...
    """
    if not Path(path).exists():
        raise FileNotFoundError(f"{path} does not exist: correct the path of the global feature network or unset COLORLIB_GRAY_VGG.")
    try:
        state = dict(safetensors.torch.load_file(path) if str(path).endswith(".safetensors") else torch.load(path, map_location="cpu", weights_only=True))
    except Exception as error:      # both raise many kinds for a file that is something else
        raise ValueError(f"{path} is neither safetensors nor a state dict ({type(error).__name__}): save the weights, not the module.") from None
    if odd := next((key for key, value in state.items() if torch.is_tensor(value) and value.is_floating_point() and not value.isfinite().all()), None):
        raise ValueError(f"{path}: {odd} holds values that are not finite: its training broke down, or the file is damaged; take another.")
    theirs = {f"{name}.{old}": f"{i}.{new}" for i, name in enumerate(VGG_NAMES) for old, new in
              [("conv2d.weight", "conv.weight"), ("conv2d.module.weight_bar", "conv.weight"), *((f"norm.{part}", f"norm.{part}") for part in BN_NAMES)]}
    copy_features({theirs.get(key, key): value for key, value in state.items()}, network, path)


@torch.no_grad()
def copy_features(state, network, source="The state dict"):
    """Copy a state dict of a `GlobalFeatures` into another, spectrally normalised or not. Raises ValueError when something is missing."""
    for i, layer in enumerate(network):
        for name, mine in ({"conv.weight": raw_weight(layer.conv)} | {f"norm.{key}": value for key, value in layer.norm.state_dict().items()}).items():
            found = state.get(f"{i}.{name}")
            if found is None or found.shape != mine.shape:
                what = "lacks" if found is None else f"has {tuple(found.shape)} in place of {tuple(mine.shape)} as"
                raise ValueError(f"{source} {what} {VGG_NAMES[i]}'s {name}: it is not a global feature network of this width and input.")
            mine.copy_(found)


def raw_weight(conv):
    """A convolution's parameter, before spectral normalisation."""
    return conv.parametrizations.weight.original if parametrize.is_parametrized(conv) else conv.weight
