"""Gray2ColorNet: colour from a reference picture, by matching what looks alike and, where nothing does, by the reference's palette.

Lu, Yu, Peng, Zhao, Wang, "Gray2ColorNet: Transfer More Colors from Reference Image" (ACM Multimedia 2020, doi 10.1145/3394171.3413594); layer by
layer after `models/networks.py` of CV-xueba/Gray2ColorNet. L and a reference picture in, ab out. The gated colour fusion (GCFN) makes M at three
scales and the main network (MCN), an encoder and decoder of L, adds it to its maps:

    M = gate * F_S + (1 - gate) * F_RH,     F_S the reference's colour features, matched to the target, F_RH its ab histogram's, the same everywhere

Training code was never published. Losses and the patch discriminator are known from compiled files in that repository; weights, batch sizes and the
two stages from the first commits of a student project that copied them from the paper (miku-suga/colourization_project): `PAPER_PROBABLE`. That
project's last state is `SEED_HEAD`: it never got beyond stage one. `(probable)` marks such a number, `(not stated)` one that nobody knows and we
chose.

What is added before a convolution and an instance norm, and is the same everywhere, the norm takes away again. So F_RH reaches the picture by the
gate's variation and at the borders only: where the gate is constant, or missing, another palette changes nothing. `palette="after"`, ours, adds it
after the norm.

Exact, and faster than the released code, which encodes the target twice and multiplies matrices of 4096 x 1984 x 4096 for the matching:
most of the 1984 channels are enlarged maps of a half or quarter of the size, so products are taken before the enlarging, which is linear.
"""
import copy
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.checkpoint import checkpoint

from colorlib import lab, losses, results, train
from colorlib.references import WithReferences, resize_batch, warp_batch

__all__ = ["Config", "PAPER_PROBABLE", "SEED_HEAD", "PRESETS", "VARIANTS", "TRAINING_ABLATIONS", "ReferenceColors",
           "Palette", "Described", "similarities", "attend", "PositionGate", "SimilarityGate", "Reference", "Painted",
           "Gray2ColorNet", "PatchCritic", "VGGCritic", "Critic", "reference_of", "pyramid", "Step", "make_step",
           "prepare_data", "build", "pad", "predict", "colorize", "gate", "match", "match_side", "variants", "networks",
           "from_official"]

PAIRS = 2 ** 26                 # of a target and a reference position at a time: 256 MiB for each copy of their matrix
TOP = 16                        # similarities the permutation-invariant gate looks at
CHOICES = {"fusion": ("gate", "sum", "alignment", "distribution", "none"), "gate": ("positions", "similarities"), "palette": ("before", "after"),
           "norm": ("instance", "batch"), "activation": ("relu", "swish"), "critic": ("patch", "vgg"), "gan": (*losses.GAN_KINDS, "none"),
           "truth_by": ("area", "max")}


@dataclass(frozen=True)
class Config:
    """Defaults are `PAPER_PROBABLE`'s. Raises ValueError for a value that cannot be.

    >>> Config().temperature, Config().pixel_weight, Config().learning_rate
    (0.01, 1000.0, 0.0002)
    >>> Config(critic="resnet")
    Traceback (most recent call last):
        ...
    ValueError: critic is 'resnet': choose one of patch, vgg.
    """
    width: int = 64                         # channels at full size; 2, 4, 8 times as many below
    gate_width: int = 1024                  # hidden channels of the gate
    classes: int = 1000                     # of the auxiliary classifier
    class_width: int = 0                    # hidden units before it; the seed's has 512
    reference_size: int = 128               # side of the square a reference is squeezed to
    fusion: str = "gate"                    # M: "gate", as above; "sum", F_S + F_RH; "alignment", F_S alone; "distribution", F_RH alone;
    #                                         "none", the MCN, which sees no reference
    gate: str = "positions"                 # from the similarities to every position of the reference; (ours) "similarities", to the TOP most similar
    #                                         ones in descending order: for references of any size, wherever things are in them
    palette: str = "before"                 # where (1 - gate) * F_RH is added: "before" the convolution and norm that follow; (ours) "after" them
    temperature: float = 0.01               # of the softmax over reference positions
    match_gradient: bool = True             # (ours) False: the encoder learns nothing from how it is matched, and training is a quarter faster
    norm: str = "instance"                  # the seed's: "batch"
    activation: str = "relu"                # the seed's: "swish"
    pixel_weight: float = 1000.0            # (probable) of the smooth L1 distance to the truth at three scales
    delta: float = 1.0                      # where it turns linear, in ab / 110; errors never come so far
    histogram_weight: float = 1.0           # (probable) of the chi-square distance to the reference's histogram at three scales
    class_weight: float = 1.0               # (probable) of the cross-entropy; pictures without labels have none
    adversarial_weight: float = 0.1         # (probable)
    tv_weight: float = 10.0                 # (probable) of the squared total variation at three scales
    gan: str = "lsgan"                      # (not stated) or "wgan_gp", "wgan", "none"
    critic: str = "patch"                   # of L and ab; the seed's: "vgg"
    critic_width: int = 64
    penalty_weight: float = 10.0            # of "wgan_gp"
    truth_by: str = "area"                  # how the truth is made smaller; "max", the seed's slip: maxima of a and b are pink
    pairing: tuple = (0.5, 0.5, 0.0)        # (not stated) shares of references: the picture itself, warped; another of its class; any other of the batch
    learning_rate: float = 2e-4             # (probable) Adam
    critic_rate: float = 2e-4               # the seed's: 4e-4
    betas: tuple = (0.5, 0.999)             # (not stated)
    one_cycle: float = 0.0                  # (ours) peak rate of a warm-up and cosine decay with AdamW in each stage, in place of learning_rate
    stage_one: int = 200_000                # (not stated) updates of the MCN alone, M = 0 and no histogram loss
    stage_one_batch: int = 48               # (probable)
    batch_size: int = 12                    # (probable)
    steps: int = 400_000                    # (not stated) updates of stage two
    image_size: int = 128
    seed: int = 0

    def __post_init__(self):
        for field, known in CHOICES.items():
            if getattr(self, field) not in known:
                raise ValueError(f"{field} is {getattr(self, field)!r}: choose one of {', '.join(known)}.")
        if self.reference_size % 8 or self.reference_size < 32:
            raise ValueError(f"reference_size is {self.reference_size}: take a multiple of 8, at least 32.")


PAPER_PROBABLE = Config()
SEED_HEAD = replace(PAPER_PROBABLE, classes=32, class_width=512, norm="batch", activation="swish", histogram_weight=1 / 8, adversarial_weight=5.0,
                    tv_weight=0.0, gan="wgan_gp", critic="vgg", critic_width=32, truth_by="max", pairing=(1.0, 0.0, 0.0), critic_rate=4e-4)
SMALL = dict(gate_width=128, classes=32, reference_size=64, betas=(0.9, 0.999), image_size=64)      # classes: room for those of a small set


def presets(paper, **changes):
    """{size: Config} of one variant."""
    return {"paper": paper,
            "class": replace(paper, **SMALL, width=16, critic_width=16, one_cycle=6e-4, stage_one=2_500, stage_one_batch=16, steps=2_400, **changes),
            "smoke": replace(paper, **SMALL, width=8, critic_width=8, one_cycle=8e-4, stage_one=60, stage_one_batch=8, batch_size=8, steps=100, **changes)}


PRESETS = presets(PAPER_PROBABLE, palette="after")
VARIANTS = {"gray2color": PRESETS, "gray2color_seed": presets(SEED_HEAD)}
VARIANTS["gray2color_seed"]["class"] = replace(VARIANTS["gray2color_seed"]["class"], width=6, critic_width=6, stage_one=1_500, steps=1_400)
TRAINING_ABLATIONS = {"as it is": {}, "palette before the norm, as published": {"palette": "before"}, "no gate": {"fusion": "sum"},
                      "alignment only": {"fusion": "alignment"}, "distribution only": {"fusion": "distribution"},
                      "distribution only, before the norm": {"fusion": "distribution", "palette": "before"}, "no class loss": {"class_weight": 0.0},
                      "no histogram loss": {"histogram_weight": 0.0}, "no gradient through the matching": {"match_gradient": False},
                      "gate by similarities": {"gate": "similarities"}}


# ---------------------------------------------------------------- layers

def normalize(channels, config):
    return nn.InstanceNorm2d(channels) if config.norm == "instance" else nn.BatchNorm2d(channels)


def activate(config):
    return nn.ReLU(inplace=True) if config.activation == "relu" else nn.SiLU(inplace=True)


def block(channels_in, channels_out, count, config, dilation=1):
    """3x3 convolutions, each with its activation, and one norm at the end."""
    layers = []
    for number in range(count):
        layers += [nn.Conv2d(channels_in if number == 0 else channels_out, channels_out, 3, padding=dilation, dilation=dilation), activate(config)]
    return nn.Sequential(*layers, normalize(channels_out, config))


class Residual(nn.Module):
    """x + convolution, norm, activation, convolution, norm."""

    def __init__(self, channels, config):
        super().__init__()
        self.layers = nn.Sequential(nn.Conv2d(channels, channels, 3, padding=1), normalize(channels, config), activate(config),
                                    nn.Conv2d(channels, channels, 3, padding=1), normalize(channels, config))

    def forward(self, x):
        return x + self.layers(x)


class Encoder(nn.Module):
    """L_n `(N, 1, H, W)` -> the six blocks' maps: at H, H/2, H/4 and three at H/8. Halving drops every second row and column."""

    def __init__(self, config):
        super().__init__()
        w = config.width
        self.blocks = nn.ModuleList([block(1, w, 2, config), block(w, 2 * w, 2, config), block(2 * w, 4 * w, 3, config), block(4 * w, 8 * w, 3, config),
                                     block(8 * w, 8 * w, 3, config, dilation=2), block(8 * w, 8 * w, 3, config, dilation=2)])

    def forward(self, L_n):
        maps, x = [], L_n
        for number, one in enumerate(self.blocks):
            x = one(x[..., ::2, ::2] if number in (1, 2, 3) else x)
            maps.append(x)
        return maps


class Up(nn.Module):
    """A stage of the decoder: M is added, three convolutions' worth of thought, then twice the size with the encoder's maps beside."""

    def __init__(self, channels, channels_out, skip, count, config, last=False):
        super().__init__()
        self.think = nn.Sequential(nn.Conv2d(channels, channels, 3, padding=1), normalize(channels, config), activate(config),
                                   Residual(channels, config), Residual(channels, config))
        self.enlarge = nn.ConvTranspose2d(channels, channels_out, 4, 2, 1)
        self.skip = nn.Conv2d(skip, channels_out, 3, padding=1)
        layers = [activate(config)]
        for _ in range(count):
            layers += [nn.Conv2d(channels_out, channels_out, 3, padding=1), activate(config)]
        self.finish = nn.Sequential(*layers[:-1], nn.LeakyReLU(0.2, inplace=True)) if last else nn.Sequential(*layers, normalize(channels_out, config))
        self.to_ab = nn.Conv2d(channels_out, 2, 1)

    def forward(self, x, skip, before=0.0, after=0.0):
        """x `(N, C, h, w)`, skip at twice the size; before and after the first convolution and norm something is added -> (maps, ab_n) at twice the
        size."""
        convolve, norm, *rest = self.think
        x = norm(convolve(x + before)) + after
        for layer in rest:
            x = layer(x)
        x = self.finish(self.enlarge(x) + self.skip(skip))
        with torch.autocast(x.device.type, enabled=False):      # half precision would show in the colours
            return x, torch.tanh(self.to_ab(x.to(self.to_ab.weight.dtype)))


class ReferenceColors(nn.Module):
    """The reference's ab_n `(N, 2, R, R)` -> features `(N, 2w, R/2, R/2)`; matched to the target, `scales` makes two smaller maps of them.

    >>> net = ReferenceColors(PRESETS["smoke"])
    >>> [tuple(found.shape[1:]) for found in net.scales(net(torch.rand(1, 2, 64, 64)))]
    [(64, 8, 8), (32, 16, 16), (16, 32, 32)]
    """

    def __init__(self, config):
        super().__init__()
        w = config.width
        self.first, self.second = block(2, w, 2, config), block(w, 2 * w, 2, config)
        self.third, self.fourth = block(2 * w, 4 * w, 2, config), block(4 * w, 8 * w, 2, config)

    def forward(self, ab_n):
        return self.second(self.first(ab_n)[..., ::2, ::2])

    def scales(self, aligned):
        """F_S at H/8, H/4, H/2."""
        half = self.third(aligned[..., ::2, ::2])
        return [self.fourth(half[..., ::2, ::2]), half, aligned]


class Palette(nn.Module):
    """The reference's ab histogram `(N, 441)` -> F_RH at H/8, H/4, H/2: `(N, C, 1, 1)` each, the same everywhere.

    >>> [tuple(found.shape) for found in Palette(PRESETS["smoke"])(torch.full((1, 441), 1 / 441))]
    [(1, 64, 1, 1), (1, 32, 1, 1), (1, 16, 1, 1)]
    """

    def __init__(self, config):
        super().__init__()
        w, act = config.width, lambda: activate(config)
        self.trunk = nn.Sequential(nn.Linear(441, 8 * w), act(), nn.Linear(8 * w, 8 * w), act(), nn.Linear(8 * w, 8 * w), act())
        self.heads = nn.ModuleList([nn.Sequential(nn.Linear(8 * w, factor * w), act()) for factor in (8, 4, 2)])

    def forward(self, histogram):
        x = self.trunk(histogram.to(self.trunk[0].weight.dtype))
        return [head(x)[..., None, None] for head in self.heads]


# ---------------------------------------------------------------- what looks alike

class Described(NamedTuple):
    """A picture in the features it is matched by: `maps` at H/2, H/4 and H/8, and `unit`, the same enlarged to H/2 and divided by the whole's length.

    >>> seen = Described.of(Encoder(PRESETS["smoke"])(torch.rand(1, 1, 16, 24)))
    >>> seen.size, [tuple(x.shape) for x in seen.unit]
    ((8, 12), [(1, 24, 96), (1, 32, 96), (1, 192, 96)])
    """
    maps: list
    unit: list                  # `(N, C, P)` each, P = H/2 * W/2
    length: torch.Tensor        # `(N, P)`
    size: tuple                 # (H/2, W/2)

    @classmethod
    def of(cls, encoded):
        """From the encoder's six maps; in float32, since similarities are divided by 0.01."""
        one, two, three, *rest = (x.to(torch.promote_types(x.dtype, torch.float32)) for x in encoded)
        maps = [torch.cat([F.avg_pool2d(one, 2), two], 1), three, torch.cat(rest, 1)]      # bilinear halving is the mean of 2 x 2
        enlarged = [enlarge(x, two.shape[-2:]).flatten(2) if x is not maps[0] else x.flatten(2) for x in maps]
        length = sum(x.square().sum(1) for x in enlarged).clamp_min(1e-12).sqrt()
        per_length = (1 / length)[:, None]
        return cls(maps, [x * per_length for x in enlarged], length, tuple(two.shape[-2:]))


def widen(count, size, like):
    """The matrix `(size, count)` of a bilinear enlargement in one direction."""
    eye = torch.eye(count, dtype=like.dtype, device=like.device)
    return F.interpolate(eye[None], size=size, mode="linear")[0].T


def enlarge(x, size):
    """Bilinear enlargement of many small maps `(N, C, h, w)` to `(N, C, *size)` by two products of matrices: quicker than `interpolate` on a CPU."""
    return widen(x.shape[-2], size[0], x) @ (x @ widen(x.shape[-1], size[1], x).T)


def similarities(reference, target, chosen, scale=1.0):
    """Cosines of all reference positions with the `chosen` (a slice) target positions, times scale: `(N, P_r, p)`.

    The sum over levels of (small reference map)^T (target features), enlarged over the reference's positions afterwards: equal to the product of the
    enlarged features, for a fifth of the arithmetic.

    >>> seen = Described.of(Encoder(PRESETS["smoke"])(torch.rand(1, 1, 16, 16)))
    >>> alike = similarities(seen, seen, slice(0, 64))      # of a picture with itself
    >>> (alike.argmax(1) == torch.arange(64)).all().item(), round(alike.max().item(), 3)
    (True, 1.0)
    """
    (height, width), total = reference.size, 0.0
    for small, seen in zip(reference.maps, target.unit):
        (h, w), seen = small.shape[-2:], seen[..., chosen]
        found, p = small.flatten(2).transpose(1, 2) @ seen, seen.shape[-1]                                    # (N, h w, p)
        if (h, w) != (height, width):
            found = widen(h, height, found) @ found.view(-1, h, w * p)                                        # (N, H, w p)
            found = (widen(w, width, found) @ found.view(-1, height, w, p)).flatten(1, 2)                     # (N, H W, p)
        total = found + total
    return total * (scale / reference.length)[..., None]


def attend(values, reference, target, config):
    """The softmax over reference positions of similarity / temperature, applied: values `(N, C, P_r)` -> `(N, C, P_t)`, and, where the gate wants
    them, the TOP similarities `(N, TOP, P_t)`, else None. At most about PAIRS pairs of positions at a time; a training makes them anew on its way
    back.

    >>> seen = Described.of(Encoder(PRESETS["smoke"])(torch.rand(1, 1, 16, 16)))
    >>> found, _ = attend(torch.full((1, 2, 64), 0.5), seen, seen, PRESETS["smoke"])      # one colour everywhere
    >>> found.shape, round(found.min().item(), 3), round(found.max().item(), 3)
    (torch.Size([1, 2, 64]), 0.5, 0.5)
    """
    count, positions = len(values) * values.shape[-1], target.length.shape[-1]
    step = max(1, min(positions, PAIRS // count))

    def part(chosen, *tensors):
        alike = similarities(reference, target, chosen, 1 / config.temperature)
        top = config.temperature * alike.topk(TOP, 1).values if config.gate == "similarities" else alike.new_empty(len(alike), 0, alike.shape[-1])
        return values @ F.softmax(alike, 1), top
    chunks = [slice(first, first + step) for first in range(0, positions, step)]
    anew = len(chunks) > 1 and torch.is_grad_enabled()
    done = [checkpoint(part, chunk, use_reentrant=False) if anew else part(chunk) for chunk in chunks]
    found, top = (torch.cat(parts, -1) for parts in zip(*done))
    return found, top if config.gate == "similarities" else None


class PositionGate(nn.Module):
    """The published gate: two layers over a target position's similarities to all reference positions, which must be as many as the weights;
    reference and target: `Described` -> `(N, 1, H/2, W/2)` in [0, 1].

    W C = W R^T T is computed as (W R^T) T, level by level, at each level's own size: the matrix C of all pairs is never made.

    >>> seen = Described.of(Encoder(PRESETS["smoke"])(torch.rand(1, 1, 64, 64)))
    >>> PositionGate(PRESETS["smoke"])(seen, seen, None).shape
    torch.Size([1, 1, 32, 32])
    """

    def __init__(self, config):
        super().__init__()
        self.hidden, self.out = nn.Linear((config.reference_size // 2) ** 2, config.gate_width), nn.Linear(config.gate_width, 1)

    def forward(self, reference, target, top):
        height, width = reference.size
        weight = self.hidden.weight / reference.length[:, None]                                               # (N, K, P_r)
        total = 0.0
        for mine, other in zip(reference.maps, target.maps):
            (h, w), small = mine.shape[-2:], weight
            if (h, w) != (height, width):
                small = small.view(*small.shape[:2], height, width) @ widen(w, width, small)                  # (N, K, H, w)
                small = (widen(h, height, small).T @ small).flatten(2)                                        # (N, K, h w)
            found = (small @ mine.flatten(2).transpose(1, 2)) @ other.flatten(2)                              # (N, K, p)
            if other.shape[-2:] != target.size:
                found = enlarge(found.unflatten(2, other.shape[-2:]), target.size).flatten(2)
            total = total + found
        hidden = F.relu(total / target.length[:, None] + self.hidden.bias[:, None])                           # (N, K, P_t)
        return torch.sigmoid(self.out.weight @ hidden + self.out.bias[:, None]).unflatten(2, target.size)


class SimilarityGate(nn.Module):
    """(ours) Two layers over the TOP largest similarities of a target position: no matter where in the reference, or how many positions that has.
    top: of `attend`, `(N, TOP, P_t)` -> `(N, 1, H/2, W/2)` in [0, 1].

    >>> seen = Described.of(Encoder(PRESETS["smoke"])(torch.rand(1, 1, 16, 24)))
    >>> SimilarityGate(PRESETS["smoke"])(seen, seen, torch.rand(1, TOP, 96)).shape
    torch.Size([1, 1, 8, 12])
    """

    def __init__(self, config):
        super().__init__()
        self.hidden, self.out = nn.Linear(TOP, 32), nn.Linear(32, 1)

    def forward(self, reference, target, top):
        return torch.sigmoid(self.out(F.relu(self.hidden(top.transpose(1, 2)))).transpose(1, 2)).unflatten(2, target.size)


# ---------------------------------------------------------------- the network

class Reference(NamedTuple):
    """What the network sees of a reference: L_n `(N, 1, R, R)`, ab_n `(N, 2, R, R)`, the histogram of its ab `(N, 441)`.

    >>> Reference._fields
    ('L_n', 'ab_n', 'histogram')
    """
    L_n: torch.Tensor
    ab_n: torch.Tensor
    histogram: torch.Tensor


class Painted(NamedTuple):
    """ab_n `(N, 2, h, w)` in [-1, 1] at a quarter, half and the full size; class logits `(N, classes)`; the gate `(N, 1, H/2, W/2)` in [0, 1] or
    None.

    >>> Painted._fields
    ('ab_n', 'logits', 'gate')
    """
    ab_n: list
    logits: torch.Tensor
    gate: torch.Tensor | None


class Gray2ColorNet(nn.Module):
    """L_n `(N, 1, H, W)` in [-1, 1], H and W multiples of 8, at least 16; reference: a `Reference`, or None for the MCN alone (M = 0) -> `Painted`.

    Raises ValueError for other sizes, and for a reference that is not the square the position gate was made for.

    >>> rgb = torch.rand(1, 3, 50, 70)
    >>> painted = Gray2ColorNet(PRESETS["smoke"])(torch.zeros(1, 1, 32, 48), reference_of(rgb, PRESETS["smoke"]))
    >>> [tuple(ab_n.shape[2:]) for ab_n in painted.ab_n], painted.gate.shape
    ([(8, 12), (16, 24), (32, 48)], torch.Size([1, 1, 16, 24]))
    """

    def __init__(self, config):
        super().__init__()
        self.config, w = config, config.width
        self.encoder = Encoder(config)
        self.up = nn.ModuleList([Up(8 * w, 4 * w, 4 * w, 2, config), Up(4 * w, 2 * w, 2 * w, 1, config), Up(2 * w, 2 * w, w, 1, config, last=True)])
        hidden = [nn.Linear(8 * w, config.class_width), activate(config)] if config.class_width else []
        self.classify = nn.Sequential(*hidden, nn.Linear(config.class_width or 8 * w, config.classes))
        self.colors = ReferenceColors(config) if config.fusion in ("gate", "sum", "alignment") else None
        self.palette = Palette(config) if config.fusion in ("gate", "sum", "distribution") else None
        gate = PositionGate if config.gate == "positions" else SimilarityGate
        self.gate = gate(config) if config.fusion == "gate" else None
        for layer in self.modules():
            if isinstance(layer, (nn.Conv2d, nn.ConvTranspose2d, nn.Linear)):
                nn.init.normal_(layer.weight, 0, 0.02)
                nn.init.zeros_(layer.bias)

    def forward(self, L_n, reference=None):
        reference = None if self.config.fusion == "none" else reference
        self.check(L_n, reference)
        together = reference is not None and self.colors is not None and reference.L_n.shape == L_n.shape and self.config.norm == "instance"
        if together:      # no picture depends on its batch, so both go through the encoder at once
            encoded, other = zip(*(x.chunk(2) for x in self.encoder(torch.cat([L_n, reference.L_n]))))
        else:
            encoded = self.encoder(L_n)
            other = self.encoder(reference.L_n) if reference is not None and self.colors is not None else None
        aligned, palette, gate = self.fuse(encoded, other, reference) if reference is not None else (3 * [0.0], 3 * [0.0], None)
        x, found, is_late = encoded[5], [], self.config.palette == "after"
        for up, skip, mine, theirs in zip(self.up, (encoded[2], encoded[1], encoded[0]), aligned, palette):
            x, ab_n = up(x, skip, mine, theirs) if is_late else up(x, skip, mine + theirs)
            found.append(ab_n)
        return Painted(found, self.classify(encoded[5].amax((2, 3))), gate)

    def check(self, L_n, reference):
        sizes = [("L", L_n)] + ([("the reference", reference.L_n)] if reference is not None else [])
        for name, one in sizes:
            if one.ndim != 4 or one.shape[1] != 1 or one.shape[2] % 8 or one.shape[3] % 8 or min(one.shape[2:]) < 16:
                raise ValueError(f"{name} must be (N, 1, H, W) with H and W multiples of 8, at least 16, not {tuple(one.shape)}: resize or pad it, or "
                                 "call `colorize`.")
        side = self.config.reference_size
        if reference is not None and isinstance(self.gate, PositionGate) and tuple(reference.L_n.shape[2:]) != (side, side):
            raise ValueError(f"The gate has a weight for each position of a reference of {side} x {side}, not {tuple(reference.L_n.shape[2:])}: resize it, or "
                             "train with gate='similarities'.")

    def fuse(self, encoded, other, reference):
        """GCFN: the two terms of M at H/8, H/4, H/2, and the gate. encoded, other: the encoder's maps of target and reference."""
        palette = self.palette(reference.histogram) if self.palette is not None else 3 * [0.0]
        if self.colors is None:
            return 3 * [0.0], palette, None
        values = self.colors(reference.ab_n)
        with torch.autocast(values.device.type, enabled=False):
            here, there = (Described.of(maps if self.config.match_gradient else [x.detach() for x in maps]) for maps in (encoded, other))
            aligned, top = attend(values.flatten(2).to(here.length.dtype), there, here, self.config)
            gate = self.gate(there, here, top) if self.gate is not None else None
        aligned = self.colors.scales(aligned.unflatten(2, here.size))
        if gate is None:
            return aligned, palette, None
        gates = [gate[..., ::4, ::4], gate[..., ::2, ::2], gate]
        return [g * mine for g, mine in zip(gates, aligned)], [(1 - g) * theirs for g, theirs in zip(gates, palette)], gate


class PatchCritic(nn.Module):
    """L_n and ab_n `(N, 3, H, W)` -> scores of patches of 70 pixels, `(N, 1, H/8 - 2, W/8 - 2)`.

    >>> PatchCritic(PRESETS["smoke"])(torch.zeros(1, 3, 64, 64)).shape
    torch.Size([1, 1, 6, 6])
    """

    def __init__(self, config):
        super().__init__()
        w, leak = config.critic_width, lambda: nn.LeakyReLU(0.2, inplace=True)
        layers = [nn.Conv2d(3, w // 2, 1), leak()]
        for before, after, stride in ((w // 2, w, 2), (w, 2 * w, 2), (2 * w, 4 * w, 2), (4 * w, 8 * w, 1)):
            layers += [nn.Conv2d(before, after, 4, stride, 1), nn.InstanceNorm2d(after), leak()]
        self.layers = nn.Sequential(*layers, nn.Conv2d(8 * w, 1, 4, 1, 1))

    def forward(self, picture_n):
        return self.layers(picture_n)


class VGGCritic(nn.Module):
    """The seed's: L_n and ab_n `(N, 3, S, S)`, S = image_size -> one score a picture, `(N, 1)`.

    >>> VGGCritic(VARIANTS["gray2color_seed"]["smoke"])(torch.zeros(2, 3, 64, 64)).shape
    torch.Size([2, 1])
    """

    def __init__(self, config):
        super().__init__()
        layers, before = [], 3
        for factor in (1, 2, 4, 8):
            after = factor * config.critic_width
            layers += [nn.Conv2d(before, after, 3, padding=1), nn.SiLU(), nn.Conv2d(after, after, 3, padding=1), nn.SiLU(), nn.MaxPool2d(2)]
            before = after
        flat = before * (config.image_size // 16) ** 2
        self.layers = nn.Sequential(*layers, nn.Flatten(), nn.LayerNorm(flat), nn.Linear(flat, 512), nn.SiLU(), nn.Linear(512, 512), nn.SiLU(),
                                    nn.Linear(512, 1))

    def forward(self, picture_n):
        return self.layers(picture_n)


class Critic(nn.Module):
    """The discriminator. A call is one update's loss, all passes in it, as data parallel training wants; `score` is a single pass.

    >>> loss, found = Critic(PRESETS["smoke"])(torch.zeros(1, 3, 64, 64), torch.ones(1, 3, 64, 64))
    >>> loss.shape, [*found]
    (torch.Size([]), ['critic', 'true score', 'fake score'])
    """

    def __init__(self, config):
        super().__init__()
        self.config, self.network = config, (PatchCritic if config.critic == "patch" else VGGCritic)(config)

    def score(self, picture_n):
        return self.network(picture_n).float()

    def forward(self, true, fake):
        """True and painted pictures, L_n and ab_n `(N, 3, H, W)` -> (what it minimises, {name: value})."""
        true_scores, fake_scores = self.score(torch.cat([true, fake])).chunk(2)
        loss = losses.critic_loss(true_scores, fake_scores, self.config.gan)
        found = {"critic": loss, "true score": true_scores.mean(), "fake score": fake_scores.mean()}
        if self.config.gan == "wgan_gp":
            penalty, found["slope"] = losses.gradient_penalty(self.network, true, fake, "mean")
            loss = loss + self.config.penalty_weight * penalty
        return loss, found


# ---------------------------------------------------------------- training

def reference_of(rgb, config):
    """rgb `(N, 3, h, w)` uint8 or in [0, 1] -> `Reference`; squeezed to a square, but kept in shape for a gate by similarities.

    >>> seen = reference_of(torch.full((1, 3, 50, 70), 0.5), PRESETS["smoke"])      # grey: one bin holds all
    >>> seen.ab_n.shape, seen.histogram.shape, round(seen.histogram.max().item(), 2)
    (torch.Size([1, 2, 64, 64]), torch.Size([1, 441]), 1.0)
    """
    side = config.reference_size
    size = [side, side]
    if config.gate == "similarities":
        scale = side / min(rgb.shape[-2:])
        size = [min(4 * side, max(8, round(one * scale / 8) * 8)) for one in rgb.shape[-2:]]
    L, ab = lab.rgb_to_lab(resize_batch(rgb, size)).split([1, 2], 1)
    return Reference(lab.scale_L(L), lab.scale_ab(ab), lab.ab_histogram(ab))


def pyramid(rgb, by="area"):
    """rgb `(N, 3, H, W)` in [0, 1] -> ab_n at a quarter, half and the full size. by="max": maxima of a and of b, as the seed's code takes them.

    >>> [tuple(ab_n.shape[2:]) for ab_n in pyramid(torch.rand(1, 3, 64, 64))]
    [(16, 16), (32, 32), (64, 64)]
    """
    if by == "max":
        ab_n = lab.scale_ab(lab.rgb_to_lab(rgb)[:, 1:])
        return [F.max_pool2d(ab_n, 4), F.max_pool2d(ab_n, 2), ab_n]
    return [lab.scale_ab(lab.rgb_to_lab(F.avg_pool2d(rgb, factor))[:, 1:]) for factor in (4, 2, 1)]


class Step:
    """One update of stage two, or, with alone=True, of stage one: the MCN without a reference. First the critic, then the generator.

    >>> step = Step(PRESETS["smoke"], train.make_fabric("cpu"))
    >>> [*step({"rgb": torch.randint(256, (2, 3, 32, 32)).byte()})]
    ['loss', 'pixel', 'histogram', 'class', 'tv', 'adversarial', 'critic', 'true score', 'fake score']
    """

    def __init__(self, config, fabric, alone=False, steps=None, start=None, compile=False):
        self.config, self.fabric, self.alone = config, fabric, alone
        train.seed_everything(config.seed + alone)
        generator = Gray2ColorNet(replace(config, fusion="none") if alone else config)
        critic = Critic(config)
        if start is not None:
            generator.load_state_dict(start.state_dict(), strict=False)      # what makes M begins from chance
        on_gpu, steps = fabric.device.type == "cuda", steps or config.steps
        self.generator, self.optimizer = train.prepare(fabric, generator, self.make_optimizer(generator, config.learning_rate), compile, on_gpu)
        self.critic, self.critic_optimizer = train.prepare(fabric, critic, self.make_optimizer(critic, config.critic_rate), False, on_gpu)
        cycle = lambda optimizer: torch.optim.lr_scheduler.OneCycleLR(optimizer, config.one_cycle, total_steps=steps + 1, pct_start=0.15)
        constant = lambda optimizer: torch.optim.lr_scheduler.ConstantLR(optimizer, 1.0)
        self.schedule, self.critic_schedule = map(cycle if config.one_cycle else constant, (self.optimizer, self.critic_optimizer))

    def make_optimizer(self, network, rate):
        config = self.config
        if config.one_cycle:
            return torch.optim.AdamW(network.parameters(), config.one_cycle, betas=config.betas, weight_decay=0.01, fused=True)
        return torch.optim.Adam(network.parameters(), rate, betas=config.betas, fused=True)

    def __call__(self, batch):
        config = self.config
        rgb = batch["rgb"].float() / 255
        L_n, truth = lab.scale_L(lab.rgb_to_lab(rgb)[:, :1]), pyramid(rgb, config.truth_by)
        chosen = None if self.alone else self.choose_reference(rgb, batch.get("reference"))
        painted = self.generator(L_n, None if chosen is None else reference_of(chosen, config))
        true, fake = (torch.cat([L_n, one[-1]], 1) for one in (truth, painted.ab_n))
        taught = self.teach_critic(true, fake.detach()) if self.is_adversarial else {}
        with train.frozen(self.critic):
            terms = self.terms(painted, truth, chosen, fake, batch.get("label"))
            found = {"loss": sum(weight * value for weight, value in terms.values())} | {name: value for name, (_, value) in terms.items()}
            train.update(self.fabric, self.optimizer, found["loss"])
        self.schedule.step()
        return {name: value.detach() for name, value in (found | taught).items()}

    @property
    def is_adversarial(self):
        return self.config.gan != "none" and self.config.adversarial_weight > 0

    def choose_reference(self, rgb, related):
        """References `(N, 3, R, R)` in [0, 1], drawn by the shares of `config.pairing`; related: `(N, 3, H, W)` uint8 of the same class, or None."""
        shares = torch.tensor(self.config.pairing if related is not None else (1.0, 0.0, 0.0))
        side, kind = self.config.reference_size, torch.multinomial(shares, len(rgb), replacement=True).to(rgb.device).view(-1, 1, 1, 1)
        related = rgb if related is None else related.float() / 255
        other = torch.where(kind == 0, rgb, torch.where(kind == 1, related, rgb.roll(1, 0)))
        return warp_batch(other, side)

    def terms(self, painted, truth, chosen, fake, label):
        """What the generator minimises, {name: (weight, value)}."""
        config = self.config
        found = {"pixel": (config.pixel_weight, sum(F.smooth_l1_loss(mine, true, beta=config.delta) for mine, true in zip(painted.ab_n, truth)))}
        if chosen is not None and config.histogram_weight:
            aims = [lab.ab_histogram(lab.unscale_ab(one)) for one in pyramid(chosen)]
            found["histogram"] = config.histogram_weight, sum(
                losses.chi_square(lab.ab_histogram(lab.unscale_ab(mine)), aim) for mine, aim in zip(painted.ab_n, aims))
        logits = painted.logits.float()      # at weight 0 where there is nothing to tell, for parallel training wants a gradient of every parameter
        found["class"] = (config.class_weight, F.cross_entropy(logits, label)) if label is not None else (0.0, logits.square().mean())
        if config.tv_weight:
            found["tv"] = config.tv_weight, sum(map(losses.squared_variation, painted.ab_n))
        if self.is_adversarial:
            with self.fabric.autocast():        # the bare module: frozen, so that parallel processes have nothing to exchange
                found["adversarial"] = config.adversarial_weight, losses.generator_loss(self.critic.module.score(fake), config.gan)
        return found

    def teach_critic(self, true, fake):
        """One update of the discriminator on detached pictures."""
        loss, found = self.critic(true, fake)
        train.update(self.fabric, self.critic_optimizer, loss)
        self.critic_schedule.step()
        return found

    def result(self):
        """The trained generator."""
        return copy.deepcopy(self.generator.module).cpu().eval()


STAGE_ONE = ("width", "classes", "class_width", "norm", "activation", "pixel_weight", "delta", "class_weight", "adversarial_weight", "tv_weight", "gan",
             "critic", "critic_width", "penalty_weight", "truth_by", "learning_rate", "critic_rate", "betas", "one_cycle", "stage_one", "stage_one_batch",
             "image_size", "seed")      # what its outcome depends on


def make_step(config, fabric, dataset, run=None, progress=None, compile=False):
    """A `Step` of stage two that goes on from stage one, which is trained here first (or resumed; its log and checkpoints are in `run/stage_one`).

    Raises ValueError for labels beyond `config.classes`.

    >>> step = make_step(replace(PRESETS["smoke"], stage_one=0), train.make_fabric("cpu"), [{}])
    >>> step.alone, step.result().gate is not None
    (False, True)
    """
    first = dataset[0]
    if "label" in first and (known := getattr(dataset, "classes", None)) and len(known) > config.classes:
        raise ValueError(f"The data have {len(known)} classes and the network {config.classes}: set classes={len(known)}, on the command line "
                         f"--set classes={len(known)}.")
    start = None
    if config.stage_one:
        side = first["rgb"].shape[-1]
        step = Step(config, fabric, alone=True, steps=config.stage_one, compile=compile)
        train.fit(step, getattr(dataset, "dataset", dataset), steps=config.stage_one, batch_size=config.stage_one_batch, fabric=fabric, seed=config.seed,
                  crop=config.image_size if side > config.image_size else None, run=run and Path(run) / "stage_one",
                  tag=results.config_hash({key: getattr(config, key) for key in STAGE_ONE}), progress=progress)
        start = step.result()
    return Step(config, fabric, start=start, compile=compile)


def prepare_data(dataset, config):
    """What training needs beside pictures: another one of the same class for each, where there are labels; else pictures are their own references.

    >>> pictures = [{"rgb": torch.zeros(3, 64, 64).byte()}]
    >>> prepare_data(pictures, PRESETS["smoke"]) is pictures      # without labels
    True
    """
    return WithReferences(dataset, "related", seed=config.seed) if "label" in dataset[0] and config.pairing[1] else dataset


# ---------------------------------------------------------------- use

def build(config, pretrained=False):
    """An untrained `Gray2ColorNet`; `from_official` fills it with published weights.

    >>> with torch.device("meta"):      # counted, without memory
    ...     print(sum(map(torch.numel, build(PAPER_PROBABLE).parameters())))
    53057711
    """
    return Gray2ColorNet(config)


def pad(L):
    """L_n with H and W multiples of 8, at least 16, the border repeated.

    >>> pad(torch.zeros(1, 1, 9, 30)).shape
    torch.Size([1, 1, 16, 32])
    """
    height, width = L.shape[-2:]
    return F.pad(lab.scale_L(L), (0, max(16, -(-width // 8) * 8) - width, 0, max(16, -(-height // 8) * 8) - height), mode="replicate")


@torch.no_grad()
def predict(model, batch, with_reference=True):
    """The `Painted` of batch {"L": `(N, 1, H, W)` in [0, 100], "reference": `(N, 3, h, w)` uint8 or in [0, 1]}, at padded size. Raises ValueError
    without a reference.

    >>> batch = {"L": torch.rand(1, 1, 30, 41) * 100, "reference": torch.rand(1, 3, 20, 30)}
    >>> predict(build(PRESETS["smoke"]), batch).ab_n[-1].shape
    torch.Size([1, 2, 32, 48])
    """
    if with_reference and batch.get("reference") is None:
        raise ValueError("Gray2ColorNet needs a reference picture: pass reference=..., on the command line --reference.")
    return model.eval()(pad(batch["L"]), reference_of(batch["reference"].to(batch["L"].device), model.config) if with_reference else None)


def colorize(model, batch, with_reference=True):
    """batch as in `predict` -> ab `(N, 2, H, W)` in CIE units; any sizes. with_reference=False: what the MCN paints alone.

    >>> batch = {"L": torch.rand(1, 1, 30, 41) * 100, "reference": torch.rand(1, 3, 20, 30)}
    >>> colorize(build(PRESETS["smoke"]), batch).shape
    torch.Size([1, 2, 30, 41])
    """
    height, width = batch["L"].shape[-2:]
    return lab.unscale_ab(predict(model, batch, with_reference).ab_n[-1])[..., :height, :width]


def gate(model, batch):
    """How far each place trusts its match, `(N, 1, H/2, W/2)` in [0, 1], sides rounded up; None without a gate. batch as in `predict`.

    >>> batch = {"L": torch.rand(1, 1, 30, 41) * 100, "reference": torch.rand(1, 3, 20, 30)}
    >>> gate(build(PRESETS["smoke"]), batch).shape
    torch.Size([1, 1, 15, 21])
    """
    height, width = batch["L"].shape[-2:]
    found = predict(model, batch).gate
    return None if found is None else found[..., :-(-height // 2), :-(-width // 2)]


@torch.no_grad()
def match(model, batch):
    """The most similar reference position of each target position, `(N, H/2, W/2)` int64 into the rows of the reference at half its size (see
    `match_side`); sides rounded up. batch as in `predict`.

    >>> rgb = torch.rand(1, 3, 64, 64)
    >>> found = match(build(PRESETS["smoke"]), {"L": lab.rgb_to_lab(rgb)[:, :1], "reference": rgb})
    >>> found.shape, (found.flatten() == torch.arange(32 * 32)).all().item()      # each place finds itself
    (torch.Size([1, 32, 32]), True)
    """
    height, width = (-(-side // 2) for side in batch["L"].shape[-2:])
    model.eval()
    there = Described.of(model.encoder(reference_of(batch["reference"].to(batch["L"].device), model.config).L_n))
    here = Described.of(model.encoder(pad(batch["L"])))
    step = max(1, PAIRS // (len(here.length) * there.length.shape[-1]))
    found = [similarities(there, here, slice(i, i + step)).argmax(1) for i in range(0, here.length.shape[-1], step)]
    return torch.cat(found, 1).unflatten(1, here.size)[..., :height, :width]


def match_side(model):
    """Side of the grid of reference positions.

    >>> match_side(build(PRESETS["smoke"]))
    32
    """
    return model.config.reference_size // 2


def variants(model):
    """What the results table compares: {row name: function of a batch -> ab}.

    >>> [*variants(build(PRESETS["smoke"]))]
    ['', 'no reference']
    """
    return {"": lambda batch: colorize(model, batch), "no reference": lambda batch: colorize(model, batch, with_reference=False)}


def networks(config):
    """The parts a parameter table lists.

    >>> [*networks(PRESETS["smoke"])]
    ['encoder', 'decoder', 'class head', 'reference colours', 'gate', 'palette', 'discriminator']
    """
    network = Gray2ColorNet(config)
    parts = {"encoder": network.encoder, "decoder": network.up, "class head": network.classify, "reference colours": network.colors, "gate": network.gate,
             "palette": network.palette}
    return {name: part for name, part in parts.items() if part is not None} | {
        "discriminator": Critic(config).network}


# ---------------------------------------------------------------- published weights

OFFICIAL = {**{f"model{i}": f"encoder.blocks.{i - 1}" for i in range(1, 7)},
            **{f"resblock{i}_1.0": f"up.{i}.think.0" for i in range(3)},
            **{f"resblock{i}_{j}.conv_block": f"up.{i}.think.{j + 1}.layers" for i in range(3) for j in (2, 3)},
            "model8up.0": "up.0.enlarge", "model9up.0": "up.1.enlarge", "model10up.0": "up.2.enlarge",
            "model3short8.0": "up.0.skip", "model2short9.0": "up.1.skip", "model1short10.0": "up.2.skip",
            "model8": "up.0.finish", "model9": "up.1.finish", "model10": "up.2.finish",
            **{f"model_out{i}.0": f"up.{i - 1}.to_ab" for i in (1, 2, 3)},
            "global_network.model": "palette.trunk", **{f"global_network.model_{i}.0": f"palette.heads.{i - 1}.0" for i in (1, 2, 3)},
            **{f"ref_network.model{i}": f"colors.{name}" for i, name in enumerate(("first", "second", "third", "fourth"), 1)},
            "conf_feature.fc1.0": "gate.hidden", "conf_feature.fc2.0": "gate.out", "classify_network.fc": "classify.0"}


def from_official(state_dict):
    """The authors' weights (`latest_net_G.pth`) under our names: `build(PAPER_PROBABLE).load_state_dict(from_official(torch.load(path,
    weights_only=True)))`.

    Raises ValueError for a tensor that network does not have.

    >>> from_official({"model1.0.weight": torch.zeros(64, 1, 3, 3)}).keys()
    dict_keys(['encoder.blocks.0.0.weight'])
    """
    found = {}
    for name, value in state_dict.items():
        name = name.removeprefix("module.")
        known = next((part for part in sorted(OFFICIAL, key=len, reverse=True) if name.startswith(part + ".")), None)
        if known is None:
            raise ValueError(f"{name} is no tensor of Gray2ColorNet's published generator: give its state dict.")
        ours = OFFICIAL[known] + name[len(known):]
        is_flat = ours.startswith(("palette.", "gate."))                     # 1x1 convolutions there, linear layers here
        found[ours] = value.flatten(1) if is_flat and value.ndim > 2 else value
    return found
