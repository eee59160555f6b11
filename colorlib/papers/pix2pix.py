"""pix2pix: a U-Net that translates one kind of picture into another, and a discriminator that judges the pair, patch by patch.

Isola, Zhu, Zhou, Efros, "Image-to-Image Translation with Conditional Adversarial Networks" (CVPR 2017, arXiv 1611.07004), written from the paper's
sections 3 and 6. Here from infrared, or from lightness, x to colour y:

    min_G max_D  E log D(x, y) + E log(1 - D(x, G(x))) + 100 |y - G(x)|

The only noise is dropout, which stays on when the paper paints; batch norm, too, uses each picture's own statistics there ("as published"). It needs
pairs that lie exactly on each other. Without the discriminator it is the plain L1 U-Net, `unet_infrared`.

From infrared it paints R, G and B; from L, `pix2pix`, a and b alone, as the authors' colorization model does: L / 50 - 1 in, ab / 110 out.
"""
import contextlib
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import nn

from colorlib import lab, losses, train
from colorlib.blocks import PatchDiscriminator, at_any_size, constant_then_linear, from_unit, init_normal, one_cycle, pair_of, to_unit

__all__ = ["Config", "PAPER", "SMOKE", "PRESETS", "VARIANTS", "Generator", "Discriminator", "inputs_of", "Step",
           "make_step", "build", "colorize", "variants", "networks"]

OUTPUTS = {"rgb": 3, "ab": 2}      # channels
DROPOUT_LAYERS = 3      # of the decoder, from the bottom


@dataclass(frozen=True)
class Config:
    """Defaults are the paper's; `(ours)` marks what it does not have. Raises ValueError for a value that cannot be.

    >>> Config().l1_weight, Config().learning_rate, Config().batch_size
    (100.0, 0.0002, 1)
    >>> Config(gan="wgan")
    Traceback (most recent call last):
        ...
    ValueError: gan is 'wgan': choose bce, lsgan or none.
    """
    in_channels: int = 1
    paints: str = "rgb"                 # from infrared; "ab": from lightness
    width: int = 64
    halvings: int = 8                   # 8: to 1 x 1 at 256 px
    dropout: float = 0.5
    gan: str = "bce"                    # (ours) "lsgan"; "none": the plain L1 U-Net
    l1_weight: float = 100.0
    learning_rate: float = 2e-4         # Adam (0.5, 0.999), both networks
    one_cycle: bool = False             # (ours) a warm-up and a cosine to zero in place of the constant, then falling rate
    batch_size: int = 1
    steps: int = 200 * 363              # 200 epochs, of the VCIP 2020 pairs (ours)
    image_size: int = 256
    seed: int = 0

    def __post_init__(self):
        if self.gan not in ("bce", "lsgan", "none"):
            raise ValueError(f"gan is {self.gan!r}: choose bce, lsgan or none.")
        if self.paints not in OUTPUTS:
            raise ValueError(f"paints is {self.paints!r}: choose rgb or ab.")


PAPER = Config()
CLASS = replace(PAPER, width=13, halvings=6, learning_rate=2e-3, one_cycle=True, batch_size=8, steps=5_000, image_size=128)
SMOKE = replace(PAPER, width=12, halvings=5, learning_rate=2e-3, one_cycle=True, batch_size=8, steps=160, image_size=64)
PRESETS = {"paper": PAPER, "class": CLASS, "smoke": SMOKE}
VARIANTS = {"pix2pix_infrared": PRESETS, "unet_infrared": {size: replace(config, gan="none", dropout=0.0) for size, config in PRESETS.items()}}
VARIANTS["unet_infrared"]["class"] = replace(VARIANTS["unet_infrared"]["class"], steps=4_500)
AB = replace(PAPER, paints="ab", batch_size=4, steps=6 * 1_281_167 // 4)      # six epochs of ImageNet's training set (unverified)
VARIANTS["pix2pix"] = {"paper": AB, "class": replace(CLASS, paints="ab", width=14, halvings=5, batch_size=16, steps=4_000, image_size=96),
                       "smoke": replace(SMOKE, paints="ab", width=8)}


# ---------------------------------------------------------------- networks

class Generator(nn.Module):
    """nir, or L / 100, `(N, C, H, W)` in [0, 1] -> rgb `(N, 3, H, W)`, or ab / 110 `(N, 2, H, W)`, in [-1, 1]; H and W multiples of 2 ^ halvings.
    54.4 million parameters at the paper's width.

    Encoder: 4x4 convolutions of stride 2, maps 64, 128, 256, 512, 512, ...; no norm in the first and at the bottom, where one pixel has no
    statistics.

    >>> Generator(SMOKE)(torch.rand(2, 1, 64, 96)).shape
    torch.Size([2, 3, 64, 96])
    """

    def __init__(self, config):
        super().__init__()
        self.config = config
        width = lambda level: config.width * min(2 ** level, 8)      # of the map with 1 / 2^(level + 1) of the size
        deepest = config.halvings - 1
        self.down, self.up = nn.ModuleList([nn.Conv2d(config.in_channels, width(0), 4, 2, 1, bias=False)]), nn.ModuleList()
        for level in range(1, config.halvings):
            layers = [nn.LeakyReLU(0.2), nn.Conv2d(width(level - 1), width(level), 4, 2, 1, bias=False)]
            self.down.append(nn.Sequential(*layers, *([nn.BatchNorm2d(width(level))] if level < deepest else [])))
        for level in reversed(range(1, config.halvings)):
            layers = [nn.ReLU(), nn.ConvTranspose2d(width(level) * (1 if level == deepest else 2), width(level - 1), 4, 2, 1, bias=False),
                      nn.BatchNorm2d(width(level - 1))]
            dropped = config.dropout and deepest > level >= deepest - DROPOUT_LAYERS
            self.up.append(nn.Sequential(*layers, *([nn.Dropout(config.dropout)] if dropped else [])))
        self.to_rgb = nn.Sequential(nn.ReLU(), nn.ConvTranspose2d(2 * width(0), OUTPUTS[config.paints], 4, 2, 1))
        init_normal(self)

    def forward(self, x):
        maps = [self.down[0](from_unit(x))]
        for down in self.down[1:]:
            maps.append(down(maps[-1]))                                                     # (N, 512, H/256, W/256) at last
        x = self.up[0](maps.pop())
        for up in self.up[1:]:
            x = up(torch.cat([maps.pop(), x], 1))
        x = torch.cat([maps.pop(), x], 1)
        with torch.autocast(x.device.type, enabled=False):                                  # half precision would show in the colours
            return torch.tanh(self.to_rgb(x.to(self.to_rgb[1].weight.dtype)))


class Discriminator(nn.Module):
    """Pairs of what the generator sees, `(N, C, H, W)` in [0, 1], and what it paints, in [-1, 1] -> scores of 70 x 70 patches.

    With more pictures, a tuple of scores, each in a pass of its own: batch norm over painted and true pictures at once would tell them apart by
    itself.

    >>> nir, painted, true = torch.rand(1, 1, 64, 64), torch.zeros(1, 3, 64, 64), torch.ones(1, 3, 64, 64)
    >>> [scores.shape for scores in Discriminator(SMOKE)(nir, painted, true)]
    [torch.Size([1, 1, 6, 6]), torch.Size([1, 1, 6, 6])]
    """

    def __init__(self, config):
        super().__init__()
        self.patches = init_normal(PatchDiscriminator(config.in_channels + OUTPUTS[config.paints], config.width))

    def forward(self, x, y, *others):
        scores = tuple(self.patches(torch.cat([from_unit(x), one], 1)).float() for one in (y, *others))
        return scores if others else scores[0]


# ---------------------------------------------------------------- training

def inputs_of(batch, config):
    """A batch -> what the generator sees, `(N, C, H, W)` in [0, 1], and what it should paint, in [-1, 1].

    >>> x, y = inputs_of({"rgb": torch.full((1, 3, 2, 2), 255).byte()}, VARIANTS["pix2pix"]["smoke"])      # white
    >>> round(x.max().item(), 3), y.shape
    (1.0, torch.Size([1, 2, 2, 2]))
    """
    if config.paints == "ab":
        L, ab = lab.rgb_to_lab(batch["rgb"]).split([1, 2], 1)
        return L / 100, lab.scale_ab(ab)
    nir, rgb = pair_of(batch)
    return nir, from_unit(rgb)


class Step:
    """One update: the discriminator on a painted and a true pair, then the generator.

    >>> step = Step(SMOKE, train.make_fabric("cpu"))
    >>> [*step({"nir": torch.zeros(2, 1, 64, 64).byte(), "rgb": torch.zeros(2, 3, 64, 64).byte()})]
    ['loss', 'l1', 'adversarial', 'critic']
    """

    def __init__(self, config, fabric, compile=False):
        self.config, self.fabric = config, fabric
        train.seed_everything(config.seed)
        self.model, self.optimizer = train.prepare(fabric, generator := Generator(config), make_adam(generator, config), compile)
        self.schedule = make_schedule(self.optimizer, config)
        if config.gan != "none":
            self.critic, self.critic_optimizer = train.prepare(fabric, critic := Discriminator(config), make_adam(critic, config), compile)
            self.critic_schedule = make_schedule(self.critic_optimizer, config)

    def __call__(self, batch):
        x, true = inputs_of(batch, self.config)
        y = self.model(x)
        critic = self.teach_critic(x, y.detach(), true) if self.config.gan != "none" else {}
        with train.frozen(self.critic) if self.config.gan != "none" else contextlib.nullcontext():
            terms = self.terms(x, y, true)
            loss = sum(weight * value for weight, value in terms.values())
            train.update(self.fabric, self.optimizer, loss)
        self.schedule.step()
        return {name: value.detach() for name, value in ({"loss": loss} | {name: value for name, (_, value) in terms.items()} | critic).items()}

    def terms(self, x, y, true):
        """What the generator minimises, {name: (weight, value)}."""
        found = {"l1": (self.config.l1_weight, F.l1_loss(y, true))}
        if self.config.gan != "none":
            with self.fabric.autocast():      # the bare module: frozen, so that parallel processes have nothing to exchange
                found["adversarial"] = 1.0, losses.generator_loss(self.critic.module(x, y), self.config.gan)
        return found

    def teach_critic(self, x, y, true):
        """One update of the discriminator."""
        fake, real = self.critic(x, y, true)
        loss = losses.critic_loss(real, fake, self.config.gan)
        train.update(self.fabric, self.critic_optimizer, loss)
        self.critic_schedule.step()
        return {"critic": loss}

    def result(self):
        """The trained generator."""
        return self.model.module.eval()


def make_adam(network, config):
    """Adam (0.5, 0.999), with one_cycle AdamW."""
    if config.one_cycle:
        return torch.optim.AdamW(network.parameters(), config.learning_rate, betas=(0.5, 0.999), weight_decay=0.01)
    return torch.optim.Adam(network.parameters(), config.learning_rate, betas=(0.5, 0.999))


def make_schedule(optimizer, config):
    if config.one_cycle:
        return one_cycle(optimizer, config.learning_rate, config.steps)
    return constant_then_linear(optimizer, config.steps)


def make_step(config, fabric, dataset, run=None, progress=None, compile=False):
    """A `Step` for `config`; registered pairs or, for ab, any colour pictures.

    >>> step = make_step(VARIANTS["unet_infrared"]["smoke"], train.make_fabric("cpu"), dataset=None)
    >>> hasattr(step, "critic"), colorize(step.result(), {"nir": torch.rand(1, 1, 30, 41)}).shape
    (False, torch.Size([1, 3, 30, 41]))
    """
    return Step(config, fabric, compile)


# ---------------------------------------------------------------- use

def build(config, pretrained=False):
    """An untrained `Generator`.

    >>> with torch.device("meta"):      # counted, without memory
    ...     print(sum(map(torch.numel, build(PAPER).parameters())))
    54411907
    """
    return Generator(config)


@torch.no_grad()
def colorize(model, batch, as_published=False):
    """batch {"nir": `(N, 1, H, W)` in [0, 1], any size} -> rgb `(N, 3, H, W)` in [0, 1]; or {"L": in [0, 100]} -> ab `(N, 2, H, W)` in CIE units.

    as_published: dropout on and every picture normalised by its own statistics, which differs from call to call.

    >>> colorize(build(VARIANTS["pix2pix"]["smoke"]), {"L": torch.rand(1, 1, 30, 41) * 100}).shape
    torch.Size([1, 2, 30, 41])
    """
    is_ab = model.config.paints == "ab"
    x, finish = (batch["L"] / 100, lab.unscale_ab) if is_ab else (batch["nir"], to_unit)
    paint = lambda x: at_any_size(model, x, 2 ** model.config.halvings)
    if not as_published:
        model.eval()
        return finish(paint(x))
    norms = [layer for layer in model.modules() if isinstance(layer, nn.BatchNorm2d)]
    try:
        model.train()
        for norm in norms:
            norm.momentum = 0.0      # the averages of the training stay
        return finish(torch.cat([paint(one[None]) for one in x]))
    finally:
        for norm in norms:
            norm.momentum = 0.1
        model.eval()


def variants(model):
    """What the results table compares: {row name: function of a batch -> rgb or ab}.

    >>> [*variants(build(SMOKE))]
    ['', 'as published']
    """
    rows = {"": lambda batch: colorize(model, batch)}
    return rows | ({"as published": lambda batch: colorize(model, batch, as_published=True)} if model.config.dropout else {})


def networks(config):
    """The parts a parameter table lists.

    >>> [*networks(SMOKE)]
    ['generator', 'discriminator']
    """
    return {"generator": Generator(config)} | ({"discriminator": Discriminator(config)} if config.gan != "none" else {})
