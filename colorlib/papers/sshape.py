"""The S-shape network: a U-Net that paints an infrared picture, and in training a small network that finds the edges it got wrong.

Dong, Kamata, Breckon, "Infrared Image Colorization Using a S-Shape Network" (ICIP 2018); layer by layer after `unet_model.py`, `unet_parts.py`,
`ColorNet.py` and the trained notebook of endrol/NIR-colorization, which very probably is the first author's own. Infrared in, RGB out. With Y the
true picture and Y' ColorNet's,

    loss = mean (Y' - Y)^2 + mean (EdgeNet(Y' - Y) - E(Y))^2

where E is an 8-neighbour Laplacian of Y's red channel. EdgeNet sees the *difference* and is thrown away after training. A survey has it as a network
behind ColorNet that paints the final picture: `edge="refiner"`. Mind that the second term cannot vanish with the first: once Y' = Y, EdgeNet sees
nothing.
"""
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import nn

from colorlib import train
from colorlib.blocks import at_any_size, pair_of

__all__ = ["Config", "PAPER", "SMOKE", "PRESETS", "VARIANTS", "TRAINING_ABLATIONS", "ColorNet", "EdgeNet", "SShape",
           "find_edges", "gradient_distance", "Step", "make_step", "build", "colorize", "variants", "networks"]

EDGES = ("difference", "none", "refiner", "gradient")


@dataclass(frozen=True)
class Config:
    """Defaults are the lab notebook's; `(ours)` marks what it does not have. Raises ValueError for a value that cannot be.

    >>> Config().learning_rate, Config().pools, Config().edge
    (0.0001, 4, 'difference')
    >>> Config(edge="sobel")
    Traceback (most recent call last):
        ...
    ValueError: edge is 'sobel': choose one of difference, none, refiner, gradient.
    """
    in_channels: int = 1
    width: int = 64                     # maps at full size; 2, 4, 8, 8, ... times as many below
    pools: int = 4                      # the code's and the lab's figure; the survey's text has 5
    skips: bool = True                  # the survey does not mention them; figure and code have them
    edge: str = "difference"            # "difference": EdgeNet on Y' - Y; (ours) "none"; "refiner": the survey's reading, EdgeNet paints; "gradient": L1 of
    #                                     the pictures' gradients in EdgeNet's place
    edge_levels: int = 2                # EdgeNet's halvings: 2 as the survey has it, 1 the committed file, 3 the one printed in the trained notebook
    edge_weight: float = 1.0
    learning_rate: float = 1e-4         # Adam
    one_cycle: float = 0.0              # (ours) peak rate of a warm-up and a cosine to zero; 0: the constant rate
    batch_size: int = 4
    steps: int = 400 * 100              # 400 epochs; 100 updates an epoch are (ours: the set's size is not recorded)
    image_size: int = 224
    seed: int = 0

    def __post_init__(self):
        if self.edge not in EDGES:
            raise ValueError(f"edge is {self.edge!r}: choose one of {', '.join(EDGES)}.")
        if self.edge_levels not in (1, 2, 3) or self.pools < 1:
            raise ValueError(f"edge_levels is {self.edge_levels} and pools {self.pools}: choose 1, 2 or 3, and at least one pool.")


PAPER = Config()
CLASS = replace(PAPER, width=16, one_cycle=2e-3, batch_size=8, steps=4_000, image_size=128)
SMOKE = replace(PAPER, width=8, one_cycle=4e-3, batch_size=8, steps=160, image_size=64)
PRESETS = {"paper": PAPER, "class": CLASS, "smoke": SMOKE}
VARIANTS = {"sshape": PRESETS, "sshape_refiner": {size: replace(config, edge="refiner") for size, config in PRESETS.items()}}
VARIANTS["sshape_refiner"]["class"] = replace(VARIANTS["sshape_refiner"]["class"], width=12, steps=3_000)
TRAINING_ABLATIONS = {"EdgeNet on the difference": {}, "ColorNet alone": {"edge": "none"}, "EdgeNet as refiner": {"edge": "refiner"},
                      "gradient loss": {"edge": "gradient"}, "no skips": {"skips": False}}


# ---------------------------------------------------------------- networks

class DoubleConv(nn.Sequential):
    """Two 3x3 convolutions, each with batch norm and ReLU."""

    def __init__(self, channels_in, channels_out):
        layers = []
        for channels in (channels_in, channels_out):
            layers += [nn.Conv2d(channels, channels_out, 3, padding=1), nn.BatchNorm2d(channels_out), nn.ReLU(inplace=True)]
        super().__init__(*layers)


class ColorNet(nn.Module):
    """nir `(N, 1, H, W)` in [0, 1] -> rgb `(N, 3, H, W)` in [-1, 1], trained towards [0, 1]; H and W multiples of 2 ^ pools.

    >>> ColorNet(SMOKE)(torch.rand(1, 1, 32, 48)).shape
    torch.Size([1, 3, 32, 48])
    """

    def __init__(self, config):
        super().__init__()
        width = lambda level: config.width * min(2 ** level, 8)
        self.first = DoubleConv(config.in_channels, width(0))
        self.down = nn.ModuleList(DoubleConv(width(level), width(level + 1)) for level in range(config.pools))
        before, self.up, self.skips = width(config.pools), nn.ModuleList(), config.skips
        for level in reversed(range(config.pools)):
            after = width(max(level - 1, 0))
            self.up.append(DoubleConv(before + width(level) * config.skips, after))
            before = after
        self.to_rgb = nn.Conv2d(before, 3, 1)

    def forward(self, nir):
        x, skips = self.first(nir), []
        for down in self.down:
            skips.append(x)
            x = down(F.max_pool2d(x, 2))                                                    # (N, 512, H/16, W/16) at last
        for up in self.up:
            x = F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=True)
            skip = skips.pop()
            x = up(torch.cat([skip, x], 1) if self.skips else x)
        with torch.autocast(x.device.type, enabled=False):                                  # half precision would show in the colours
            return torch.tanh(self.to_rgb(x.to(self.to_rgb.weight.dtype)))


class EdgeNet(nn.Sequential):
    """Difference `(N, 3, H, W)` -> edges `(N, 1, H, W)` in [-1, 1]; as a refiner a picture -> a picture, three channels. H and W multiples of 2 ^
    levels.

    One level: 3 -> 64 -> 1 maps, 2,499 parameters. Two: 64, 128 and back. Three, as printed in the trained notebook: 64, 128, 256, each with a second
    convolution, 1,516,995.

    >>> [sum(map(torch.numel, EdgeNet(levels).parameters())) for levels in (1, 3)]
    [2499, 1516995]
    >>> EdgeNet(2, width=8)(torch.rand(1, 3, 32, 48)).shape
    torch.Size([1, 1, 32, 48])
    """

    def __init__(self, levels, width=64, channels_out=1):
        leak = lambda channels: [nn.BatchNorm2d(channels), nn.LeakyReLU(0.2, inplace=True)]
        widths, layers = [width * 2 ** level for level in range(levels)], []
        for before, after in zip([3, *widths], widths):
            layers += [nn.Conv2d(before, after, 3, 2, 1), *leak(after)]
            layers += [nn.Conv2d(after, after, 3, 1, 1), *leak(after)] if levels == 3 else []
        for before, after in zip(widths[::-1], widths[-2::-1]):
            layers += [nn.ConvTranspose2d(before, after, 3, 2, 1, 1), *leak(after)]
        super().__init__(*layers, nn.ConvTranspose2d(width, channels_out, 3, 2, 1, 1), nn.BatchNorm2d(channels_out), nn.Tanh())


class SShape(nn.Module):
    """ColorNet, with EdgeNet in training and as a refiner. nir `(N, 1, H, W)` in [0, 1] -> rgb in [-1, 1] to be clipped to [0, 1].

    >>> rgb, edges = SShape(SMOKE, training=True)(torch.rand(1, 1, 32, 48), torch.rand(1, 3, 32, 48))
    >>> rgb.shape, edges.shape, SShape(SMOKE).edge is None      # EdgeNet is thrown away
    (torch.Size([1, 3, 32, 48]), torch.Size([1, 1, 32, 48]), True)
    """

    def __init__(self, config, training=False):
        super().__init__()
        self.config, self.color = config, ColorNet(config)
        refines = config.edge == "refiner"
        wanted = refines or training and config.edge == "difference"
        self.edge = EdgeNet(config.edge_levels, config.width, 3 if refines else 1) if wanted else None

    def forward(self, nir, true=None):
        """In training, with the true rgb: (ColorNet's rgb, what EdgeNet makes of it or None)."""
        rgb = self.color(nir)
        if true is None:
            return self.edge(rgb) if self.config.edge == "refiner" else rgb
        if self.config.edge == "refiner":
            return rgb, self.edge(rgb)
        return rgb, self.edge(rgb - true) if self.edge is not None else None


# ---------------------------------------------------------------- training

def find_edges(plane):
    """uint8 `(N, 1, H, W)` -> [0, 1]: 8 times a pixel less its 8 neighbours, clipped to 0..255; the border stays as it is (Pillow's FIND_EDGES).

    >>> plane = torch.zeros(1, 1, 3, 4)
    >>> plane[..., 2:] = 20      # a step that three neighbours of a pixel lie beyond
    >>> (255 * find_edges(plane))[0, 0, 1].round().tolist()
    [0.0, 0.0, 60.0, 20.0]
    """
    plane = plane.float()
    kernel = plane.new_full((1, 1, 3, 3), -1.0)
    kernel[..., 1, 1] = 8
    edges = plane.clone()
    edges[..., 1:-1, 1:-1] = F.conv2d(plane, kernel).clamp(0, 255)
    return edges / 255


def gradient_distance(rgb, true):
    """Mean |difference| of the two pictures' horizontal and vertical gradients, `(N, C, H, W)` each.

    >>> ramp = torch.arange(4.0).expand(1, 1, 4, 4)      # steps of 1 to the right, none downwards
    >>> gradient_distance(ramp, torch.zeros(1, 1, 4, 4)).item(), gradient_distance(ramp, ramp + 7).item()
    (1.0, 0.0)
    """
    return sum((rgb.diff(dim=axis) - true.diff(dim=axis)).abs().mean() for axis in (-1, -2))


class Step:
    """One update.

    >>> step = Step(SMOKE, train.make_fabric("cpu"))
    >>> [*step({"nir": torch.zeros(2, 1, 32, 32).byte(), "rgb": torch.zeros(2, 3, 32, 32).byte()})]
    ['loss', 'color', 'edge']
    """

    def __init__(self, config, fabric, compile=False):
        self.config, self.fabric = config, fabric
        train.seed_everything(config.seed)
        model = SShape(config, training=True)
        if config.one_cycle:
            optimizer = torch.optim.AdamW(model.parameters(), config.one_cycle, weight_decay=0.01)
            self.schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, config.one_cycle, total_steps=config.steps + 1, pct_start=0.15)
        else:
            optimizer = torch.optim.Adam(model.parameters(), config.learning_rate)
            self.schedule = torch.optim.lr_scheduler.ConstantLR(optimizer, 1.0)
        self.model, self.optimizer = train.prepare(fabric, model, optimizer, compile)

    def __call__(self, batch):
        found = train.descend(self.fabric, self.model, self.optimizer, self.losses, batch)
        self.schedule.step()
        return found

    def losses(self, batch):
        nir, true = pair_of(batch)
        rgb, second = self.model(nir, true)
        color = F.mse_loss(rgb, true)
        if self.config.edge == "none":
            return {"loss": color}
        if self.config.edge == "difference":
            edge = F.mse_loss(second.float(), find_edges(batch["rgb"][:, :1]))
        else:
            edge = F.mse_loss(second.float(), true) if self.config.edge == "refiner" else gradient_distance(rgb, true)
        return {"loss": color + self.config.edge_weight * edge, "color": color, "edge": edge}

    def result(self):
        """The network for use; without EdgeNet, unless it paints."""
        model = build(self.config)
        model.load_state_dict(self.model.module.state_dict(), strict=False)
        return model.eval()


def make_step(config, fabric, dataset, run=None, progress=None, compile=False):
    """A `Step` for `config`; registered pairs.

    >>> step = make_step(SMOKE, train.make_fabric("cpu"), dataset=None)
    >>> step.model.module.edge is not None, step.result().edge is not None      # in training, in use
    (True, False)
    """
    return Step(config, fabric, compile)


# ---------------------------------------------------------------- use

def build(config, pretrained=False):
    """An untrained `SShape` for use.

    >>> with torch.device("meta"):      # counted, without memory
    ...     print(sum(map(torch.numel, build(PAPER).parameters())))
    13394307
    """
    return SShape(config)


@torch.no_grad()
def colorize(model, batch):
    """batch {"nir": `(N, 1, H, W)` in [0, 1], any size} -> rgb `(N, 3, H, W)` in [0, 1].

    >>> colorize(build(SMOKE), {"nir": torch.rand(2, 1, 30, 41)}).shape
    torch.Size([2, 3, 30, 41])
    """
    levels = max(model.config.pools, model.config.edge_levels)
    return at_any_size(model.eval(), batch["nir"], 2 ** levels).clamp(0, 1)


def variants(model):
    """What the results table compares: {row name: function of a batch -> rgb}.

    >>> rows = variants(build(SMOKE))
    >>> [*rows], rows[""]({"nir": torch.rand(1, 1, 9, 13)}).shape
    ([''], torch.Size([1, 3, 9, 13]))
    """
    return {"": lambda batch: colorize(model, batch)}


def networks(config):
    """The parts a parameter table lists.

    >>> [*networks(SMOKE)]
    ['ColorNet', 'EdgeNet (training only)']
    """
    model = SShape(config, training=True)
    return {"ColorNet": model.color} | ({f"EdgeNet{'' if config.edge == 'refiner' else ' (training only)'}": model.edge} if model.edge is not None else {})
