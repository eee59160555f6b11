"""SCGAN: a network that paints and, beside it, says where a viewer will look; errors there count more.

Zhao, Po, Cheung, Yu, Abbas Ur Rehman, "SCGAN: Saliency Map-guided Colorization with Generative Adversarial Network" (IEEE TCSVT 2021, arXiv
2011.11377); layer by layer after `train/network.py`, `train/trainer.py` and the two `.sh` files of zhaoyuzhi/Semantic-Colorization-GAN.
Grey in, RGB out. With S the saliency map of the true picture Y, and the network's Y' and S', phase 1 minimises

    |Y' - Y| + 0.5 |Y' S' - Y S|          and phase 2 adds          5 |phi(Y') - phi(Y)| - 0.05 D(x, Y')

S' has no loss of its own: where Y' is 0 it gets no gradient. It guides the training and is not used to paint.

Profiles. PAPER: November 2020, pictures in [-1, 1], a tenth of ImageNet, 10 + 30 passes: the settings of the paper's figures. RELEASED: the
code's last state, [0, 1], all of ImageNet, 40 + 31 passes. Both are repaired; `faithful=True` brings the quirks back (see `Config.faithful`).
The paper has a second discriminator, on Y S, that the code lacks: `saliency_critic`. No weights were ever published.
"""
import contextlib
import copy
import math
import os
from dataclasses import dataclass, replace
from pathlib import Path

import safetensors.torch
import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils import parametrize

from colorlib import lab, losses, train
from colorlib import saliency as saliency_maps
from colorlib.classifiers import Features
from colorlib.convolution import conv2d, interleave
from colorlib.files import write_atomic
from colorlib.lab import gray_of
from colorlib.papers.gray_vgg import Conv, GlobalFeatures, copy_features, load_features, luma_of, pad, pretrain, to_range

__all__ = ["Config", "PAPER", "RELEASED", "INFRARED", "SMOKE", "PRESETS", "VARIANTS", "TRAINING_ABLATIONS", "UpConv",
           "folded", "phases", "SaliencyBranch", "Generator", "Discriminator", "to_range", "from_range", "inputs_of",
           "learning_rate", "Critics", "Step", "bake", "make_step", "prepare_data", "build", "paint", "colorize",
           "variants", "networks"]

FOLD_FROM = 512                                      # positions of a batch from which folding pays (measured)
FUSION_LEVEL = 5                                     # halvings after which the global features (H/32) join
SNAPSHOTS = (0.1, 0.2, 0.3, 0.5, 1.0)                # of phase 1: the paper's figure shows epochs 1, 2, 3, 5, 10 of its 10, and 40, the end
CHOICES = {"sees": ("grey", "infrared"), "spectral_norm": ("all", "unnormalised", "discriminator", "none"), "gray": ("luma", "lightness"),
           "gan": (*losses.GAN_KINDS, "none"), "penalty_of": ("sum", "mean")}


@dataclass(frozen=True)
class Config:
    """Defaults are November 2020's; `(ours)` marks what the released code does not have. Raises ValueError for a value that cannot be.

    >>> Config().attention_weight, Config().perceptual_weight, Config().adversarial_weight
    (0.5, 5.0, 0.05)
    >>> Config(sees="colour")
    Traceback (most recent call last):
        ...
    ValueError: sees is 'colour': choose one of grey, infrared.
    """
    sees: str = "grey"                      # or "infrared": the multispectral variant, from thermal or near-infrared pictures to all of RGB
    in_channels: int = 1                    # 1, or 3 for infrared: the released variant reads the thermal pictures as colour files
    width: int = 64                         # maps of the U-Net at full size; 2, 4, 8, 8, ... times as many below
    attention_width: int = 128              # maps of the saliency branch
    feature_width: int = 64                 # VGG-16's
    halvings: int = 8                       # 8: to 1 x 1 at 256 px; a power of two fewer for smaller pictures
    global_features: bool = True            # (ours) False leaves the global feature network out
    spectral_norm: str = "all"              # "all"; (ours) "unnormalised": where no batch norm undoes it; "discriminator"; "none"
    value_range: tuple = (-1.0, 1.0)        # of the pictures the networks see; (0, 1) since April 2021
    gray: str = "luma"                      # what the network is given: BT.601 luma of the true picture; (ours) "lightness": the grey of its L*
    residual: bool = False                  # (ours) the network adds to the grey picture, beginning with nothing; no tanh
    faithful: bool = False                  # the code's quirks: the documented initialisation is not applied; the rate halves one epoch early;
    #                                         two generator passes an update; batch norm never leaves training mode, so that every picture is
    #                                         normalised by itself; sizes multiples of 256 only
    saliency: str = "auto"                  # where the true maps come from: a source of `saliency.py`, or "auto", the samples' own if they have any,
    #                                         else the default source; the paper's came from PFAN and were never released
    l1_weight: float = 1.0
    attention_weight: float = 0.5
    saliency_weight: float = 0.0            # (ours) of |S' - S|, the loss the paper does without
    gan: str = "wgan_gp"                    # phase 2: "wgan_gp", "wgan", "lsgan", or "none"
    adversarial_weight: float = 0.05
    penalty_weight: float = 10.0
    penalty_of: str = "sum"                 # gradient of the sum of all patch scores, though their mean is the loss; (ours) "mean"
    saliency_critic: float = 0.0            # weight of the second discriminator, on saliency-weighted pictures (unknown in the paper)
    perceptual: str = "vgg16"               # "vgg16": conv3_3 before its ReLU; (ours) "squeezenet1_1_caffe": a stand-in
    perceptual_weight: float = 5.0
    learning_rates: tuple = (2e-4, 1e-4)    # of phase 1 and 2; Adam (0.5, 0.999)
    halve_every: int = 10                   # epochs
    epoch: int = 16_015                     # updates: 128,117 pictures in batches of 8
    one_cycle: bool = False                 # (ours) in each phase a warm-up and a cosine to zero, AdamW
    feature_rate: float = 1.0               # (ours) of the global feature network's learning rate
    pretraining: tuple = ()                 # (ours) (updates, peak rate) of the gray classifier that the global feature network comes from
    classes: int = 10                       # (ours) it learns to tell apart
    batch_size: int = 8
    phase_one: int = 10 * 16_015            # updates
    steps: int = 40 * 16_015                # of both phases
    image_size: int = 256
    seed: int = 0

    def __post_init__(self):
        for field, known in CHOICES.items():
            if getattr(self, field) not in known:
                raise ValueError(f"{field} is {getattr(self, field)!r}: choose one of {', '.join(known)}.")


PAPER = Config()
RELEASED = replace(PAPER, value_range=(0.0, 1.0), batch_size=32, epoch=40_037, phase_one=40 * 40_037, steps=71 * 40_037)      # batch 32: a file name's
INFRARED = replace(PAPER, sees="infrared", in_channels=3, value_range=(0.0, 1.0))       # its epochs are of KAIST; set `epoch` to your own set's
OURS = dict(spectral_norm="discriminator", gray="lightness", residual=True, perceptual="squeezenet1_1_caffe", perceptual_weight=0.2,
            halvings=6, one_cycle=True)
CLASS = replace(PAPER, **OURS, width=16, attention_width=16, feature_width=16, learning_rates=(3e-3, 5e-4), feature_rate=0.2, image_size=96,
                pretraining=(2_600, 4e-3), batch_size=32, phase_one=3_600, steps=4_200)
SMOKE = replace(PAPER, **OURS | dict(perceptual_weight=0.0), width=8, attention_width=8, feature_width=8, learning_rates=(4e-3, 1e-3), image_size=64,
                pretraining=(60, 4e-3), batch_size=8, phase_one=120, steps=160)


def presets(paper, **changes):
    """{size: Config} of one variant."""
    return {"paper": paper, "class": replace(CLASS, **changes), "smoke": replace(SMOKE, **changes)}


PRESETS = presets(PAPER)
VARIANTS = {"scgan": PRESETS, "scgan_released": presets(RELEASED, value_range=(0.0, 1.0)),
            "scgan_infrared": presets(INFRARED, sees="infrared", pretraining=())}
narrow = lambda width: dict(width=width, attention_width=width, feature_width=width, batch_size=16)      # the variants' weights are small
VARIANTS["scgan_infrared"]["class"] = replace(VARIANTS["scgan_infrared"]["class"], **narrow(8), phase_one=1_000, steps=1_150)
VARIANTS["scgan_released"]["class"] = replace(VARIANTS["scgan_released"]["class"], **narrow(10), pretraining=(1_200, 4e-3), phase_one=1_500, steps=1_750)
GALLERY = True                                       # `reproduce` draws the paper's figures, see `galleries.py`
TRAINING_ABLATIONS = {
    "as it is": {}, "attention weight 0": {"attention_weight": 0.0}, "attention weight 2": {"attention_weight": 2.0},
    "direct saliency loss": {"saliency_weight": 0.5}, "no global features": {"global_features": False, "pretraining": ()},
    "global features from chance": {"pretraining": ()}, "no GAN": {"gan": "none"}, "LSGAN": {"gan": "lsgan"}, "WGAN": {"gan": "wgan"},
    "two discriminators": {"saliency_critic": 0.05}, "range [0, 1]": {"value_range": (0.0, 1.0)}, "spectral norm everywhere": {"spectral_norm": "all"}}


# ---------------------------------------------------------------- generator

class UpConv(Conv):
    """Nearest-neighbour doubling and a 3x3 convolution, folded into one transposed convolution: 4 products an output pixel in place of 9.

    Each output pixel sees a 3x3 window of doubled pixels, thus 2x2 different ones; a mirrored border of the doubled map is a repeated border of
    the small one. So the 3x3 kernel, turned and summed over 2x2 shifts, gives a 4x4 kernel of stride 2. Exact. It runs as four 2x2 convolutions,
    whose maps are interleaved: for the paper's layers a quarter faster than `conv_transpose2d` on a CPU core in float32. `faithful` keeps the plain
    form, and so do small maps, for which making the kernel costs more than it saves.

    >>> UpConv(4, 3, SMOKE)(torch.rand(1, 4, 24, 32)).shape
    torch.Size([1, 3, 48, 64])
    """

    def __init__(self, channels_in, channels_out, config, spectral=True):
        super().__init__(channels_in, channels_out, config, spectral=spectral)
        self.fold = not config.faithful

    def forward(self, x):
        if not self.fold or x.numel() // x.shape[1] < FOLD_FROM:
            return self.finish(self.conv(pad(F.interpolate(x, scale_factor=2, mode="nearest"), 1)))
        return self.finish(interleave(conv2d(F.pad(x, (1, 1, 1, 1), mode="replicate"), folded_phases(self.conv.weight))))


def folded(weight):
    """3x3 kernel `(O, I, 3, 3)` -> the 4x4 kernel `(I, O, 4, 4)` of the transposed convolution (stride 2, padding 3, border repeated) that doubles
    first.

    >>> x, weight = torch.rand(1, 2, 6, 6), torch.rand(3, 2, 3, 3)
    >>> F.conv_transpose2d(F.pad(x, (1, 1, 1, 1), mode="replicate"), folded(weight), stride=2, padding=3).shape
    torch.Size([1, 3, 12, 12])
    """
    turned = weight.flip(2, 3).transpose(0, 1)
    return sum(F.pad(turned, (x, 1 - x, y, 1 - y)) for y in (0, 1) for x in (0, 1))


def phases(kernel):
    """4x4 kernel `(I, O, 4, 4)` of a transposed convolution of stride 2 -> `(4 O, I, 2, 2)`: one 2x2 convolution for each place in a doubled pixel.

    >>> phases(folded(torch.rand(3, 2, 3, 3))).shape
    torch.Size([12, 2, 2, 2])
    """
    parts = kernel.flip(2, 3).unflatten(3, (2, 2)).unflatten(2, (2, 2)).flip(3, 5)      # (I, O, row, phase, column, phase)
    return parts.permute(1, 3, 5, 0, 2, 4).flatten(0, 2)


def folded_phases(weight):
    """phases(folded(weight)) in one product: each of the 16 numbers is a sum of some of the 9."""
    rule = phases(folded(torch.eye(9, dtype=weight.dtype, device=weight.device).view(9, 1, 3, 3))).view(9, 4, 4)       # (of 9, phase, place)
    return (weight.flatten(2) @ rule.flatten(1)).unflatten(2, (4, 4)).transpose(1, 2).reshape(-1, weight.shape[1], 2, 2)


class SaliencyBranch(nn.Module):
    """Decoder features at H/8, H/4, H/2 -> saliency logits `(N, 1, H, W)`.

    >>> eighth, quarter, half = torch.rand(1, 64, 8, 8), torch.rand(1, 32, 16, 16), torch.rand(1, 16, 32, 32)
    >>> SaliencyBranch(SMOKE)(eighth, quarter, half, size=(64, 64)).shape
    torch.Size([1, 1, 64, 64])
    """

    def __init__(self, config, spectral=True):
        super().__init__()
        w, a = config.width, config.attention_width
        self.conv11, self.conv12 = UpConv(8 * w, a, config, spectral), UpConv(a, a, config, spectral)
        self.conv2 = UpConv(4 * w, a, config, spectral)
        self.conv3 = Conv(2 * w, a, config, spectral=spectral)
        self.conv4 = UpConv(3 * a, a, config, spectral)
        self.final = Conv(a, 1, config, norm=False, active=False, spectral=spectral)

    def forward(self, eighth, quarter, half, size):
        x = crop(self.conv12(crop(self.conv11(eighth), quarter.shape[-2:])), half.shape[-2:])
        x = torch.cat([x, crop(self.conv2(quarter), half.shape[-2:]), self.conv3(half)], 1)       # (N, 384, H/2, W/2)
        return self.final(crop(self.conv4(x), size))


def crop(x, size):
    """The upper left part of a map: doubling gives one row too many where halving rounded up."""
    return x[..., :size[0], :size[1]]


class Generator(nn.Module):
    """x_n `(N, C, H, W)` in the config's value range -> (rgb_n `(N, 3, H, W)`, saliency `(N, 1, H, W)` in [0, 1]); any H and W.

    `faithful` takes multiples of 256 only and raises ValueError for others, as for fewer than six halvings. saliency=False skips the branch, 44 % of
    the arithmetic, and gives None.

    >>> rgb_n, saliency = Generator(SMOKE)(torch.rand(2, 1, 64, 96))
    >>> rgb_n.shape, saliency.shape
    (torch.Size([2, 3, 64, 96]), torch.Size([2, 1, 64, 96]))
    """

    def __init__(self, config, spectral=True):
        super().__init__()
        if config.halvings <= FUSION_LEVEL:
            raise ValueError(f"halvings is {config.halvings}: the global features join after {FUSION_LEVEL}, so take at least {FUSION_LEVEL + 1}.")
        self.config = config
        width = lambda level: config.width * min(2 ** level, 8)
        extra = 8 * config.feature_width if config.global_features else 0
        self.features = GlobalFeatures(config, spectral) if config.global_features else None
        self.down = nn.ModuleList([Conv(config.in_channels, config.width, config, 7, padding=3, norm=False, spectral=spectral)])
        for level in range(1, config.halvings + 1):
            before = width(level - 1) + (extra if level == FUSION_LEVEL + 1 else 0)
            self.down.append(Conv(before, width(level), config, stride=2, norm=level < config.halvings, spectral=spectral))
        self.up = nn.ModuleList()
        for level in reversed(range(config.halvings)):
            deepest = level == config.halvings - 1
            self.up.append(UpConv(width(level + 1) * (1 if deepest else 2), width(level), config, spectral))
        self.to_rgb = Conv(2 * config.width, 3, config, norm=False, active=False, spectral=spectral)
        self.saliency = SaliencyBranch(config, spectral)
        if config.residual and not parametrize.is_parametrized(self.to_rgb.conv):
            nn.init.zeros_(self.to_rgb.conv.weight)

    def forward(self, x_n, saliency=True):
        if self.config.faithful and (x_n.shape[2] % 256 or x_n.shape[3] % 256):
            raise ValueError(f"The released network takes heights and widths that are multiples of 256, not {tuple(x_n.shape[2:])}: "
                             "resize the picture or set faithful=False.")
        x, skips, decoded = x_n, [], {}
        for level, down in enumerate(self.down):
            if level == FUSION_LEVEL + 1 and self.features is not None:
                x = torch.cat([x, self.features(x_n)], 1)                                   # (N, 1024, H/32, W/32)
            x = down(x)
            skips.append(x)
        x = skips.pop()
        for level, up in zip(reversed(range(self.config.halvings)), self.up):
            skip = skips.pop()
            decoded[level] = crop(up(x), skip.shape[-2:])
            x = torch.cat([skip, decoded[level]], 1)
        maps = [self.saliency(decoded[3], decoded[2], decoded[1], x_n.shape[-2:])] if saliency else []
        with torch.autocast(x.device.type, enabled=False):                                  # half precision would show in the colours
            full = torch.promote_types(x_n.dtype, torch.float32)                            # Fabric hands over x_n in bf16
            rgb_n = self.to_rgb(x.to(full))
            rgb_n = x_n.to(full).mean(1, keepdim=True) + rgb_n if self.config.residual else torch.tanh(rgb_n)
            return rgb_n, torch.sigmoid(maps[0].to(full)) if maps else None


class Discriminator(nn.Module):
    """Pairs of input `(N, C, H, W)` and picture `(N, 3, H, W)`, both in the value range -> scores of patches, `(N, 1, 30, 30)` at 256 px.

    A score sees 69 x 69 pixels; the code calls it 70. At least 17 x 17 pixels.

    >>> Discriminator(SMOKE)(torch.rand(1, 1, 64, 64), torch.rand(1, 3, 64, 64)).shape
    torch.Size([1, 1, 6, 6])
    """

    def __init__(self, config):
        super().__init__()
        w, config = config.width, replace(config, spectral_norm="none" if config.spectral_norm == "none" else "all")
        self.layers = nn.Sequential(
            Conv(config.in_channels + 3, w, config, 7, padding=3, norm=False), Conv(w, 2 * w, config, stride=2), Conv(2 * w, 4 * w, config, stride=2),
            Conv(4 * w, 8 * w, config, stride=2), Conv(8 * w, 8 * w, config, 4), Conv(8 * w, 1, config, 4, norm=False, active=False))
        for layer in self.layers:
            layer.conv.twice = True                                                         # for the gradient penalty

    def forward(self, x_n, rgb_n):
        return self.layers(torch.cat([x_n, rgb_n], 1))


# ---------------------------------------------------------------- training

def from_range(rgb_n, value_range):
    """The config's value range -> [0, 1], clipped.

    >>> from_range(torch.tensor([-1.0, 0.0, 1.2]), PAPER.value_range).tolist()
    [0.0, 0.5, 1.0]
    """
    low, high = value_range
    return ((rgb_n - low) / (high - low)).clamp(0, 1)


def inputs_of(batch, config):
    """A batch of uint8 "rgb", "saliency" and, for infrared, "nir" `(N, 1 or C, H, W)` -> x_n `(N, C, H, W)`, rgb_n `(N, 3, H, W)`, S `(N, 1, H, W)`.

    The first two in the value range, S in [0, 1].

    >>> white = {"rgb": torch.full((1, 3, 2, 2), 255).byte(), "saliency": torch.full((1, 1, 2, 2), 51).byte()}
    >>> [round(x.max().item(), 3) for x in inputs_of(white, PAPER)]
    [1.0, 1.0, 0.2]
    """
    rgb = batch["rgb"].float() / 255
    if config.sees == "infrared":
        x = (batch["nir"].float() / 255).expand(-1, config.in_channels, -1, -1)
    elif config.gray == "luma":
        x = luma_of(rgb)
    else:
        x = gray_of(lab.rgb_to_lab(rgb)[:, :1])
    return to_range(x, config.value_range), to_range(rgb, config.value_range), batch["saliency"].float() / 255


def learning_rate(update, config):
    """The generator's learning rate at an update, 0 the first.

    Each phase starts anew. Halved every 10 epochs; faithful: rate 0.5^floor((epoch + 1) / 10), set after each update, so that the first halving
    comes with the second update of the 10th epoch.

    >>> config = replace(PAPER, epoch=1, halve_every=2, phase_one=4)      # two updates, halved, two updates, phase 2
    >>> [learning_rate(update, config) for update in range(6)]
    [0.0002, 0.0002, 0.0001, 0.0001, 0.0001, 0.0001]
    """
    phase = int(update >= config.phase_one)
    rate, done = config.learning_rates[phase], update - phase * config.phase_one
    if config.one_cycle:
        share = done / max(1, config.steps - config.phase_one if phase else config.phase_one)
        return rate * (share / 0.15 if share < 0.15 else 0.5 * (1 + math.cos(math.pi * min(1, (share - 0.15) / 0.85))))
    if config.faithful:
        return rate * 0.5 ** ((max(0, done - 1) // config.epoch + 1) // config.halve_every if done else 0)
    return rate * 0.5 ** (done // config.epoch // config.halve_every)


class Critics(nn.Module):
    """The discriminators: "colour" on pictures and, where the config asks for it, "saliency" on saliency-weighted pictures.

    One call is one update's loss, all passes in it, as data parallel training wants; `score` is a single pass.

    >>> critics = Critics(replace(SMOKE, saliency_critic=0.05))
    >>> x_n, rgb_n, saliency = torch.rand(1, 1, 32, 32), torch.rand(1, 3, 32, 32), torch.rand(1, 1, 32, 32)
    >>> loss, found = critics(x_n, rgb_n, saliency, rgb_n.flip(-1), saliency)
    >>> [name for name in found if name.endswith("saliency")]
    ['true saliency', 'fake saliency', 'penalty saliency', 'slope saliency']
    """

    def __init__(self, config):
        super().__init__()
        self.config = config
        self.networks = nn.ModuleDict({name: Discriminator(config) for name in ["colour"] + ["saliency"] * bool(config.saliency_critic)})

    @staticmethod
    def view(name, rgb_n, saliency):
        """What a discriminator is shown of a picture."""
        return rgb_n * saliency if name == "saliency" else rgb_n

    def score(self, name, x_n, rgb_n, saliency):
        scores = self.networks[name](x_n, self.view(name, rgb_n, saliency))
        return scores.to(torch.promote_types(scores.dtype, torch.float32))

    def forward(self, x_n, rgb_n, saliency, true_n, true_saliency):
        """What the discriminators minimise on detached pictures, and its parts: (loss, {name: value})."""
        config, total, found = self.config, 0.0, {}
        with contextlib.nullcontext() if config.faithful else parametrize.cached():       # one power iteration for the three passes
            for name, network in self.networks.items():
                fake_scores, true_scores = self.score(name, x_n, rgb_n, saliency), self.score(name, x_n, true_n, true_saliency)
                total = total + losses.critic_loss(true_scores, fake_scores, config.gan)
                found |= {f"true {name}": true_scores.mean(), f"fake {name}": fake_scores.mean()}
                if config.gan == "wgan_gp":
                    fake, true = self.view(name, rgb_n, saliency), self.view(name, true_n, true_saliency)
                    penalty, slope = losses.gradient_penalty(lambda rgb, network=network: network(x_n, rgb), true, fake, config.penalty_of)
                    total = total + config.penalty_weight * penalty
                    found |= {f"penalty {name}": penalty, f"slope {name}": slope}
        return total, found


class Step:
    """One update of SCGAN: phase 1 until update `phase_one`, then phase 2 with fresh Adam and the discriminators.

    >>> step = Step(SMOKE, train.make_fabric("cpu"))
    >>> [*step({"rgb": torch.randint(256, (2, 3, 64, 64)).byte(), "saliency": torch.zeros(2, 1, 64, 64).byte()})]
    ['loss', 'l1', 'attention']
    """

    def __init__(self, config, fabric, features=None, run=None, compile=False, source="", origin=""):
        self.config, self.fabric, self.run = config, fabric, run and Path(run)
        train.seed_everything(config.seed)
        generator, critics = Generator(config), Critics(config)
        if features is not None:
            copy_features(features.state_dict(), generator.features)
        self.weights = {"colour": config.adversarial_weight} | ({"saliency": config.saliency_critic} if config.saliency_critic else {})
        on_gpu = fabric.device.type == "cuda"      # on a CPU the layers see to their layout
        self.generator, self.optimizer = train.prepare(fabric, generator, make_optimizer(generator, config), compile, on_gpu)
        # the critics stay uncompiled: their penalty is a gradient of a gradient
        self.critics, self.critic_optimizer = train.prepare(fabric, critics, make_optimizer(critics, config), False, on_gpu)
        self.schedule, self.critic_schedule = make_schedule(self.optimizer, config), make_schedule(self.critic_optimizer, config, config.phase_one)
        wanted = config.perceptual_weight and config.steps > config.phase_one
        look = fabric.to_device(Features(config.perceptual)).to(memory_format=torch.channels_last) if wanted else None
        self.perceptual = [look] if wanted else []      # in a list, so that no checkpoint holds it
        seen = self.perceptual[0].label if wanted else "none"
        self.notes = f"saliency {source or config.saliency}; perceptual {seen}; global features {origin or 'from chance'}"

    def __call__(self, batch):
        config, done = self.config, self.schedule.last_epoch
        x_n, true_n, true_saliency = inputs_of(batch, config)
        second = done >= config.phase_one
        adversarial = second and config.gan != "none"
        if done == config.phase_one:
            self.optimizer.state.clear()
        rgb_n, saliency = self.generator(x_n)
        critic = self.teach_critics(x_n, rgb_n.detach(), saliency.detach(), true_n, true_saliency) if adversarial else {}
        if adversarial and config.faithful:
            rgb_n, saliency = self.generator(x_n)       # the generator has not changed since: only its batch statistics move on
        with train.frozen(self.critics, not config.faithful):
            terms = self.terms(x_n, rgb_n, saliency, true_n, true_saliency, second)
            found = {"loss": sum(weight * value for weight, value in terms.values())} | {name: value for name, (_, value) in terms.items()}
            train.update(self.fabric, self.optimizer, found["loss"])
        self.schedule.step()
        if adversarial:
            self.critic_schedule.step()
        self.save_snapshot(done + 1)
        return {name: value.detach() for name, value in (found | critic).items()}

    def terms(self, x_n, rgb_n, saliency, true_n, true_saliency, second):
        """What the generator minimises, {name: (weight, value)}; second: of phase 2."""
        config = self.config
        found = {"l1": (config.l1_weight, F.l1_loss(rgb_n, true_n)),
                 "attention": (config.attention_weight, F.l1_loss(rgb_n * saliency, true_n * true_saliency))}
        if config.saliency_weight:
            found["saliency"] = config.saliency_weight, F.l1_loss(saliency, true_saliency)
        if second and self.perceptual:
            with torch.no_grad():
                aim = self.look(true_n)
            found["perceptual"] = config.perceptual_weight, F.l1_loss(self.look(rgb_n), aim)
        if second and config.gan != "none":
            with self.fabric.autocast():        # the bare module: frozen, so that parallel processes have nothing to exchange
                for name, weight in self.weights.items():
                    found[f"adversarial {name}"] = weight, losses.generator_loss(self.critics.module.score(name, x_n, rgb_n, saliency), config.gan)
        return found

    def look(self, rgb_n):
        """Perceptual features. VGG-16 gets the value range as it is, as in the released code; a stand-in what it was trained on."""
        features, (low, high) = self.perceptual[0], self.config.value_range
        with self.fabric.autocast():
            found = features(((rgb_n - low) / (high - low) if features.is_stand_in else rgb_n).contiguous(memory_format=torch.channels_last))
        return found.to(torch.promote_types(found.dtype, torch.float32))

    def teach_critics(self, *pictures):
        """One update of the discriminators on detached pictures, see `Critics`."""
        loss, found = self.critics(*pictures)
        train.update(self.fabric, self.critic_optimizer, loss)
        return found

    def save_snapshot(self, done):
        """Keep the generator at the moments the paper shows, `run/snapshot-<update>.safetensors`."""
        moments = {round(share * self.config.phase_one) for share in SNAPSHOTS} | {self.config.steps}
        if self.run is not None and done in moments and self.fabric.is_global_zero:
            self.run.mkdir(parents=True, exist_ok=True)
            write_atomic(self.run / f"snapshot-{done:07d}.safetensors", safetensors.torch.save(train.compact(self.result().state_dict())))

    def result(self):
        """The generator, its spectral norms folded into the weights (`faithful` keeps them)."""
        generator = copy.deepcopy(self.generator.module).cpu().eval()
        return generator if self.config.faithful else bake(generator)


def make_optimizer(network, config):
    """Adam (0.5, 0.999) with rate 1, scaled by the schedule; `factor` is a group's own share of it."""
    features = list(network.features.parameters()) if getattr(network, "features", None) is not None else []
    known = set(map(id, features))
    groups = [{"params": [p for p in network.parameters() if id(p) not in known], "factor": 1.0}]
    groups += [{"params": features, "factor": config.feature_rate}] if features else []
    kind = torch.optim.AdamW if config.one_cycle else torch.optim.Adam
    return kind(groups, 1.0, betas=(0.5, 0.999), weight_decay=0.01 if config.one_cycle else 0.0, fused=not config.faithful)      # one pass over the weights


def make_schedule(optimizer, config, first=0):
    """`learning_rate` times each group's factor. first: the update of the optimizer's first step."""
    rates = [lambda update, factor=group["factor"]: factor * learning_rate(first + update, config) for group in optimizer.param_groups]
    return torch.optim.lr_scheduler.LambdaLR(optimizer, rates)


def bake(generator):
    """A `Generator` without parametrizations that computes what this one computes in evaluation.

    Not `remove_parametrizations` on a copy: the copy shares its class with the original, which would lose its weights.

    >>> trained = Generator(replace(SMOKE, spectral_norm="all"))
    >>> x_n = torch.rand(1, 1, 64, 64)
    >>> torch.allclose(bake(trained)(x_n)[0], trained.eval()(x_n)[0], atol=1e-4)
    True
    """
    state = {key: value for key, value in generator.state_dict().items() if ".parametrizations." not in key}
    state |= {f"{name}.weight": layer.weight.detach() for name, layer in generator.eval().named_modules() if parametrize.is_parametrized(layer)}
    with torch.device("meta"):
        plain = Generator(generator.config, spectral=False)
    plain.load_state_dict(state, assign=True)
    return plain.eval()


def make_step(config, fabric, dataset, run=None, progress=None, compile=False):
    """A `Step` for `config`. The global feature network comes from the file COLORLIB_GRAY_VGG names, else from `pretrain`, else from chance.

    Raises ValueError when `config.pretraining` is set and the data set has no labels.

    >>> step = make_step(replace(SMOKE, global_features=False), train.make_fabric("cpu"), dataset=None)
    >>> colorize(step.result(), {"L": torch.rand(1, 1, 70, 90) * 100}).shape
    torch.Size([1, 2, 70, 90])
    """
    features, origin = None, ""
    if config.global_features and (path := os.environ.get("COLORLIB_GRAY_VGG")):
        features, origin = GlobalFeatures(config, spectral=False), f"from {Path(path).name}"
        load_features(features, path)
    elif config.global_features and config.pretraining:
        features, origin = pretrain(config, fabric, dataset, run, progress), f"from a classifier, {config.pretraining[0]:,} updates"
    return Step(config, fabric, features, run, compile, getattr(dataset, "source", ""), origin)


def prepare_data(dataset, config):
    """What training needs beside pictures: the saliency map of each, from where `config.saliency` says.

    >>> sample = {"rgb": torch.zeros(3, 8, 8).byte(), "saliency": torch.ones(1, 8, 8).byte()}
    >>> prepare_data(type("Pictures", (list,), {"ids": ["a"]})([sample]), PAPER)[0]["saliency"].shape
    torch.Size([1, 8, 8])
    """
    source = config.saliency
    if source == "auto":
        source = "given" if "saliency" in dataset[0] else saliency_maps.DEFAULT
    return saliency_maps.WithSaliency(dataset, source)


# ---------------------------------------------------------------- use

def build(config, pretrained=False):
    """An untrained `Generator` for use: without spectral norms, unless `faithful`.

    >>> with torch.device("meta"):      # counted, without memory
    ...     print(sum(map(torch.numel, build(PAPER).parameters())))
    58755200
    """
    return Generator(config, spectral=config.faithful)


@torch.no_grad()
def paint(model, x, bn_mode=None, saliency=True):
    """x `(N, C, H, W)` in [0, 1], any size -> (rgb `(N, 3, H, W)` in [0, 1], saliency `(N, 1, H, W)` in [0, 1] or None).

    bn_mode: "running", batch norm with the averages of the training; "batch", every picture normalised by its own statistics, which is what the
    released code does, since it never calls eval(). Default: "batch" for a faithful model, else "running". Raises ValueError for another word and,
    with "batch", for pictures of one pixel at the deepest level.

    >>> rgb, saliency = paint(build(SMOKE), torch.rand(1, 1, 70, 90))
    >>> rgb.shape, saliency.shape
    (torch.Size([1, 3, 70, 90]), torch.Size([1, 1, 70, 90]))
    """
    bn_mode = bn_mode or ("batch" if model.config.faithful else "running")
    if bn_mode not in ("running", "batch"):
        raise ValueError(f"bn_mode is {bn_mode!r}: choose running or batch.")
    if bn_mode == "batch" and max(x.shape[-2:]) <= (least := 2 ** (model.config.halvings - 1)):
        raise ValueError(f"A picture of {tuple(x.shape[-2:])} pixels has no statistics of its own at the deepest level: enlarge it beyond {least} or "
                         "choose bn_mode='running'.")
    x_n = to_range(x, model.config.value_range)
    if bn_mode == "running":
        rgb_n, maps = model.eval()(x_n, saliency)
    else:
        with own_statistics(model):
            rgb_n, maps = zip(*(model(one[None], saliency) for one in x_n))
        rgb_n, maps = torch.cat(rgb_n), torch.cat(maps) if saliency else None
    return from_range(rgb_n, model.config.value_range), maps


@contextlib.contextmanager
def own_statistics(model):
    """Batch norm with the statistics of what passes, the running ones untouched."""
    norms = [module for module in model.eval().modules() if isinstance(module, nn.BatchNorm2d)]
    for norm in norms:
        norm.track_running_stats, norm.kept = False, (norm.running_mean, norm.running_var)
        norm.running_mean = norm.running_var = None
    try:
        yield
    finally:
        for norm in norms:
            norm.track_running_stats, (norm.running_mean, norm.running_var) = True, norm.kept
            del norm.kept


def colorize(model, batch, bn_mode=None):
    """batch {"L": `(N, 1, H, W)` in [0, 100]} -> ab `(N, 2, H, W)` in CIE units of the picture the network paints, whose own L is dropped.

    An infrared model: batch {"nir": `(N, 1 or C, H, W)` in [0, 1]} -> rgb `(N, 3, H, W)` in [0, 1].

    >>> colorize(build(SMOKE), {"L": torch.rand(2, 1, 70, 90) * 100}).shape
    torch.Size([2, 2, 70, 90])
    """
    if model.config.sees == "infrared":
        return paint(model, batch["nir"].expand(-1, model.config.in_channels, -1, -1), bn_mode, saliency=False)[0]
    rgb, _ = paint(model, gray_of(batch["L"]).clamp(0, 1), bn_mode, saliency=False)
    return lab.rgb_to_lab(rgb)[:, 1:]


def variants(model):
    """What the results table compares: {row name: function of a batch -> ab}.

    >>> [*variants(build(SMOKE))]
    ['', 'batch statistics']
    """
    return {"": lambda batch: colorize(model, batch), "batch statistics": lambda batch: colorize(model, batch, "batch")}


def networks(config):
    """The parts a parameter table lists.

    >>> [*networks(SMOKE)]
    ['global features', 'U-Net', 'saliency branch', 'discriminator']
    """
    generator = Generator(config)
    rest = nn.ModuleList([generator.down, generator.up, generator.to_rgb])
    return ({"global features": generator.features} if generator.features is not None else {}) | {
        "U-Net": rest, "saliency branch": generator.saliency, "discriminator": Discriminator(config)}
