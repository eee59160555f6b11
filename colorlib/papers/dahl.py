"""Automatic Colorization by a residual encoder: VGG-16's layers, added from the deepest to the picture itself, become U and V.

R. Dahl, tinyclouds.org/colorize (January 2016), a blog post without code; layer by layer after the port Armour/Automatic-Image-Colorization (read
only, GPL-3). VGG-16 knows ImageNet and stays as it is. Its fourth block's maps, normalised and halved in number, are enlarged and added to the
third's, and so on, as in a residual network turned upside down: every layer only has to say what the layer below did not.

The loss compares U and V, and both once more after a 3x3 and a 5x5 blur, so that a colour in about the right place is not all wrong. The port's blur
sums U and V into both channels (its kernel is filled across channels), a slip: `blur="summed"` keeps it, "depthwise" blurs each by itself. TensorFlow
1, which the port is for, enlarges maps a fraction of a pixel off centre; that is not repeated.
"""
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import nn

from colorlib import lab, train, vgg
from colorlib.blocks import at_any_size, one_cycle

__all__ = ["Config", "PAPER", "PRESETS", "TRAINING_ABLATIONS", "ResidualEncoder", "uv_of", "rgb_of", "blurred",
           "uv_loss", "Step", "make_step", "build", "colorize", "variants", "networks"]

CHOICES = {"backbone": ("vgg16", "trained"), "blur": ("depthwise", "summed"), "gray": ("luma", "lightness")}
U_MAX, V_MAX = 0.435912, 0.614777       # the port's `config.py`: U / (2 U_MAX) + 0.5 lies in [0, 1]
BLURS = ([[1, 2, 1], [2, 4, 2], [1, 2, 1]],
         [[1, 4, 7, 4, 1], [4, 16, 26, 16, 4], [7, 26, 41, 26, 7], [4, 16, 26, 16, 4], [1, 4, 7, 4, 1]])
TAPS = ("conv4_3", "conv3_3", "conv2_2", "conv1_2")


@dataclass(frozen=True)
class Config:
    """Defaults are the port's; `(ours)` marks what it does not have. Raises ValueError for a value that cannot be.

    >>> Config().learning_rate, Config().batch_size, Config(blur="summed").blur
    (0.001, 6, 'summed')
    """
    backbone: str = "vgg16"             # ImageNet's, frozen; (ours) "trained": trained here on grey pictures with labels, with batch norm, frozen then
    width: int = 64                     # channels of the first block
    pretraining: tuple = (0, 0.0)       # (ours) updates and peak rate of "trained"
    pretraining_size: int = 64          # (ours) side of its squares
    gray: str = "luma"                  # what it is given in training; (ours) "lightness", the grey that has the colour's L*, as in use
    blur: str = "depthwise"             # "summed": the port's
    norm_momentum: float = 0.01         # of the batch norms' averages, TensorFlow's default
    learning_rate: float = 1e-3         # Adam
    one_cycle: bool = False             # (ours) a warm-up and a cosine to zero
    batch_size: int = 6
    steps: int = 3_000_000
    image_size: int = 224
    seed: int = 0

    def __post_init__(self):
        for field, known in CHOICES.items():
            if getattr(self, field) not in known:
                raise ValueError(f"{field} is {getattr(self, field)!r}: choose one of {', '.join(known)}.")


PAPER = Config()
OURS = replace(PAPER, backbone="trained", gray="lightness", norm_momentum=0.1, one_cycle=True)
PRESETS = {"paper": PAPER,
           "class": replace(OURS, width=16, pretraining=(3_000, 5e-3), learning_rate=3e-3, batch_size=16, steps=4_000, image_size=96),
           "smoke": replace(OURS, width=8, pretraining=(60, 5e-3), learning_rate=5e-3, batch_size=8, steps=150, image_size=64)}
TRAINING_ABLATIONS = {"as it is": {}, "blur summed over U and V": {"blur": "summed"}, "VGG from chance": {"pretraining": (0, 0.0)}}


# ---------------------------------------------------------------- the network

class Norm(nn.BatchNorm2d):
    """TensorFlow's batch norm."""

    def __init__(self, channels, config):
        super().__init__(channels, eps=1e-3, momentum=config.norm_momentum)


class Stage(nn.Module):
    """The maps from below, twice as large, plus VGG's, normalised; a 3x3 convolution, batch norm, ReLU."""

    def __init__(self, channels, channels_out, config):
        super().__init__()
        self.norm = Norm(channels, config)
        self.conv = nn.Sequential(nn.Conv2d(channels, channels_out, 3, padding=1, bias=False), Norm(channels_out, config), nn.ReLU())

    def forward(self, below, maps):
        return self.conv(self.norm(maps) + (F.interpolate(below, size=maps.shape[-2:], mode="bilinear") if below.shape[-2:] != maps.shape[-2:] else below))


class ResidualEncoder(nn.Module):
    """Grey `(N, 1, H, W)` in [0, 1], H and W multiples of 8 -> U and V `(N, 2, H, W)`, scaled to [0, 1]. The head has 0.50 million weights at VGG's
    own width.

    >>> ResidualEncoder(PRESETS["smoke"])(torch.rand(2, 1, 16, 24)).shape
    torch.Size([2, 2, 16, 24])
    """

    def __init__(self, config):
        super().__init__()
        self.config, w = config, config.width
        self.vgg = vgg.VGG16(3, w, norm="none" if config.backbone == "vgg16" else "batch", last=TAPS[0])
        self.first = nn.Sequential(Norm(8 * w, config), nn.Conv2d(8 * w, 4 * w, 1, bias=False), nn.ReLU())
        self.stages = nn.ModuleList([Stage(4 * w, 2 * w, config), Stage(2 * w, w, config), Stage(w, 3, config), Stage(3, 3, config)])
        self.to_uv = nn.Sequential(nn.Conv2d(3, 2, 3, padding=1, bias=False), Norm(2, config))

    def train(self, mode=True):
        super().train(mode)
        self.vgg.eval()             # frozen: it keeps the statistics it was trained with
        return self

    def forward(self, gray):
        x = vgg.prepare(gray, 3)
        with torch.no_grad():
            maps = self.vgg(x)
        found = self.first(maps[TAPS[0]])                                                           # (N, 256, H/8, W/8)
        for stage, name in zip(self.stages, TAPS[1:]):
            found = stage(found, maps[name])                                                        # (N, 64, H/2, W/2), then (N, 3, H, W)
        found = self.stages[-1](found, x)
        return torch.sigmoid(self.to_uv(found).float())


# ---------------------------------------------------------------- colours

def uv_of(rgb):
    """rgb `(N, 3, H, W)` in [0, 1] -> U and V `(N, 2, H, W)`, scaled to [0, 1].

    >>> [round(value, 3) for value in uv_of(torch.full((1, 3, 1, 1), 0.7)).flatten().tolist()]
    [0.5, 0.5]
    """
    red, _, blue = rgb.split(1, 1)
    Y = lab.luma_of(rgb)
    return torch.cat([0.492 * (blue - Y) / (2 * U_MAX), 0.877 * (red - Y) / (2 * V_MAX)], 1).add(0.5).clamp(0, 1)


def rgb_of(Y, uv):
    """Luma `(N, 1, H, W)` in [0, 1] and scaled U and V -> rgb `(N, 3, H, W)`, clipped to [0, 1].

    >>> rgb = torch.tensor([0.8, 0.5, 0.2]).view(1, 3, 1, 1)
    >>> [round(value, 1) for value in rgb_of(lab.luma_of(rgb), uv_of(rgb)).flatten().tolist()]
    [0.8, 0.5, 0.2]
    """
    U, V = (uv - 0.5).split(1, 1)
    U, V = 2 * U_MAX * U, 2 * V_MAX * V
    return torch.cat([Y + 1.14 * V, Y - 0.395 * U - 0.581 * V, Y + 2.033 * U], 1).clamp(0, 1)


def blurred(uv, kernel, how):
    """uv `(N, 2, H, W)` under a kernel of `BLURS`, zeros beyond the border; "summed": both channels hold the sum of the blurred two.

    >>> spot = torch.zeros(1, 2, 3, 3)
    >>> spot[:, 0, 1, 1] = 16
    >>> blurred(spot, BLURS[0], "depthwise")[0, 0].tolist()
    [[1.0, 2.0, 1.0], [2.0, 4.0, 2.0], [1.0, 2.0, 1.0]]
    """
    kernel = torch.tensor(kernel, dtype=uv.dtype, device=uv.device)
    kernel = (kernel / kernel.sum()).expand(2, 1, *kernel.shape)
    found = F.conv2d(uv, kernel, padding=kernel.shape[-1] // 2, groups=2)
    return found if how == "depthwise" else found.sum(1, keepdim=True).expand_as(found)


def uv_loss(uv, true, how="depthwise"):
    """The mean of three squared distances: as they are, after the 3x3 blur, after the 5x5 blur. The port sums over pixels, which Adam does not
    notice.

    >>> one_pixel = torch.ones(1, 2, 1, 1)      # blurred: 4 / 16 and 41 / 273 of it stay
    >>> round(uv_loss(0 * one_pixel, one_pixel).item(), 3), round((1 + (4 / 16) ** 2 + (41 / 273) ** 2) / 3, 3)
    (0.362, 0.362)
    """
    return sum([F.mse_loss(uv, true), *(F.mse_loss(blurred(uv, kernel, how), blurred(true, kernel, how)) for kernel in BLURS)]) / 3


# ---------------------------------------------------------------- training

class Step:
    """One update of all but VGG.

    >>> step = Step(PRESETS["smoke"], train.make_fabric("cpu"))
    >>> [*step({"rgb": torch.randint(256, (2, 3, 32, 32)).byte()})]
    ['loss']
    """

    def __init__(self, config, fabric, model=None, compile=False):
        self.config, self.fabric = config, fabric
        train.seed_everything(config.seed)
        model = model or ResidualEncoder(config)
        model.train().vgg.requires_grad_(False)
        optimizer = torch.optim.Adam([p for p in model.parameters() if p.requires_grad], config.learning_rate)
        self.schedule = one_cycle(optimizer, config.learning_rate, config.steps) if config.one_cycle else torch.optim.lr_scheduler.ConstantLR(optimizer, 1.0)
        self.model, self.optimizer = train.prepare(fabric, model, optimizer, compile)

    def __call__(self, batch):
        found = train.descend(self.fabric, self.model, self.optimizer, self.losses, batch)
        self.schedule.step()
        return found

    def losses(self, batch):
        rgb = batch["rgb"].float() / 255
        gray = lab.luma_of(rgb) if self.config.gray == "luma" else lab.gray_of(lab.rgb_to_lab(rgb)[:, :1])
        return {"loss": uv_loss(self.model(gray), uv_of(rgb), self.config.blur)}

    def result(self):
        """The trained network."""
        return self.model.module.eval()


def make_step(config, fabric, dataset, run=None, progress=None, compile=False):
    """A `Step` for `config`; any colour pictures, with labels for backbone="trained". Raises what `vgg.begin` raises.

    >>> step = make_step(replace(PRESETS["smoke"], pretraining=(0, 0.0)), train.make_fabric("cpu"), dataset=None)
    >>> any(parameter.requires_grad for parameter in step.model.module.vgg.parameters())
    False
    """
    train.seed_everything(config.seed)
    model = ResidualEncoder(config)
    vgg.begin(model.vgg, config, fabric, dataset, run, progress)
    return Step(config, fabric, model, compile)


# ---------------------------------------------------------------- use

def build(config, pretrained=False):
    """An untrained `ResidualEncoder`.

    >>> with torch.device("meta"):      # counted, without memory
    ...     net = build(PAPER)
    >>> sum(map(torch.numel, net.parameters())) - sum(map(torch.numel, net.vgg.parameters()))
    503901
    """
    return ResidualEncoder(config)


@torch.no_grad()
def colorize(model, batch):
    """batch {"L": `(N, 1, H, W)` in [0, 100]} -> ab `(N, 2, H, W)` in CIE units, of any size: U and V over the grey that L is.

    >>> colorize(build(PRESETS["smoke"]), {"L": torch.rand(2, 1, 30, 41) * 100}).shape
    torch.Size([2, 2, 30, 41])
    """
    gray = lab.gray_of(batch["L"])
    return lab.rgb_to_lab(rgb_of(gray, at_any_size(model.eval(), gray, 16)))[:, 1:]


def variants(model):
    """What the results table compares: {row name: function of a batch -> ab}.

    >>> rows = variants(build(PRESETS["smoke"]))
    >>> [*rows], rows[""]({"L": torch.rand(1, 1, 9, 13) * 100}).shape
    ([''], torch.Size([1, 2, 9, 13]))
    """
    return {"": lambda batch: colorize(model, batch)}


def networks(config):
    """The parts a parameter table lists.

    >>> [*networks(PRESETS["smoke"])]
    ['VGG-16 up to conv4_3, frozen', 'residual encoder']
    """
    network = ResidualEncoder(config)
    return {"VGG-16 up to conv4_3, frozen": network.vgg, "residual encoder": nn.ModuleList([network.first, network.stages, network.to_uv])}
