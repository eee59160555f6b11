"""Stacked conditional GAN: three small generators, one each for red, green and blue, with noise in every layer.

Suarez, Sappa, Vintimilla, "Infrared Image Colorization Based on a Triplet DCGAN Architecture" (CVPR Workshops 2017): the triplet. Suarez, Sappa,
Vintimilla, Hammoud, "Near InfraRed Imagery Colorization" (ICIP 2018): conditional and stacked. No code is public and the papers' texts could not be
read; after a survey's summary, whose loss is

    0.65 adversarial + 0.20 mean (y' - y)^2 + 0.15 (1 - SSIM)

A reconstruction: widths, kernels and noise are our choice. How the three terms weigh depends on what a picture's values are, [0, 1] or [0, 255],
which is not recorded either: `intensity_range`; `gradient_norms` measures it.
"""
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import nn

from colorlib import losses, train
from colorlib.blocks import from_unit, one_cycle, pair_of, to_unit

__all__ = ["Config", "PAPER", "SMOKE", "PRESETS", "VARIANTS", "TRAINING_ABLATIONS", "Generator", "Discriminator",
           "Stack", "Step", "make_step", "gradient_norms", "build", "colorize", "variants", "networks"]

PATCH = 64                              # side the discriminator's dense layer is made for
GENERATORS = ("triplet", "joint")


@dataclass(frozen=True)
class Config:
    """`(ours)`: not stated where the papers could be read; the optimizer's values are from memory of them, unverified. Raises ValueError for a value
    that cannot be.

    >>> Config().adversarial_weight, Config().intensity_weight, Config().ssim_weight
    (0.65, 0.2, 0.15)
    >>> Config(image_size=128)
    Traceback (most recent call last):
        ...
    ValueError: image_size is 128: the discriminator is made for patches of 64 pixels.
    """
    in_channels: int = 1
    generator: str = "triplet"          # or "joint": one generator paints all three channels
    widths: tuple = (64, 128, 256, 128)             # (ours) maps of the blocks; a joint generator's are `joint_factor` times as many
    joint_factor: float = 1.75          # (ours) sqrt 3, rounded so that the widths are whole: about as many parameters as three generators
    conditional: bool = True            # (ours: where) the infrared picture enters every block again, not only the first
    noise: float = 0.1                  # (ours) SD of the Gaussian noise at every block's input to begin with, learned; 0: none
    stack_weight: float = 0.0           # (ours) of the distance between the generators' maps and the discriminator's of the true picture; 0: not stacked
    critic_width: int = 64              # (ours)
    adversarial_weight: float = 0.65
    intensity_weight: float = 0.20
    ssim_weight: float = 0.15
    intensity_range: float = 1.0        # of the pictures the intensity term compares: 1, or 255 for 8-bit values
    learning_rates: tuple = (2e-4, 2e-4)            # generator, discriminator
    betas: tuple = (0.4, 0.5)           # Adam's beta1: generator, discriminator
    weight_decay: float = 1e-5
    init_sd: float = 0.00282            # of all weights; 0: torch's own initialisation (ours)
    one_cycle: bool = False             # (ours) a warm-up and a cosine to zero in place of the constant rate
    batch_size: int = 128
    steps: int = 100 * 2_050            # (ours) 100 passes over 262,000 patches of one category
    image_size: int = PATCH
    working_size: int = 256             # shorter side at which pictures are painted, and of the pictures patches are cut from
    seed: int = 0

    def __post_init__(self):
        if self.generator not in GENERATORS:
            raise ValueError(f"generator is {self.generator!r}: choose one of {', '.join(GENERATORS)}.")
        if self.image_size != PATCH:
            raise ValueError(f"image_size is {self.image_size}: the discriminator is made for patches of {PATCH} pixels.")


PAPER = Config()
CLASS = replace(PAPER, widths=(16, 32, 64, 32), critic_width=16, learning_rates=(2e-3, 5e-4), init_sd=0.0, one_cycle=True, intensity_range=255.0, batch_size=8,
                steps=1_400, working_size=128)
SMOKE = replace(PAPER, widths=(8, 12, 16, 12), critic_width=8, learning_rates=(4e-3, 1e-3), init_sd=0.0, one_cycle=True, intensity_range=255.0, batch_size=8,
                steps=160, working_size=64)
PRESETS = {"paper": PAPER, "class": CLASS, "smoke": SMOKE}
VARIANTS = {"stacked_gan": {size: replace(config, stack_weight=0.01) for size, config in PRESETS.items()},
            "triplet_gan": {size: replace(config, conditional=False) for size, config in PRESETS.items()}}
TRAINING_ABLATIONS = {"conditional, stacked": {}, "not stacked": {"stack_weight": 0.0}, "joint generator": {"generator": "joint", "stack_weight": 0.0},
                      "no noise": {"noise": 0.0}, "not conditional": {"conditional": False}, "adversarial and intensity": {"ssim_weight": 0.0},
                      "adversarial alone": {"ssim_weight": 0.0, "intensity_weight": 0.0, "stack_weight": 0.0}, "values in [0, 1]": {"intensity_range": 1.0}}


# ---------------------------------------------------------------- networks

class Block(nn.Module):
    """Noise and the condition at the input, a convolution, batch norm, leaky ReLU; the size stays."""

    def __init__(self, channels_in, channels_out, kernel, condition, noise):
        super().__init__()
        self.layers = nn.Sequential(nn.Conv2d(channels_in + condition, channels_out, kernel, padding=kernel // 2), nn.BatchNorm2d(channels_out),
                                    nn.LeakyReLU(0.2, inplace=True))
        self.sd = nn.Parameter(torch.tensor(float(noise))) if noise else None

    def forward(self, x, condition, noise):
        if noise and self.sd is not None:
            x = x + self.sd * torch.randn_like(x)
        return self.layers(x if condition is None else torch.cat([x, condition], 1))


class Branch(nn.Module):
    """nir_n `(N, C, H, W)` in [-1, 1] -> (`(N, channels, H, W)` in [-1, 1], the maps of all blocks); any size. A pixel sees 13 x 13 pixels."""

    def __init__(self, config, channels):
        super().__init__()
        self.conditional, factor = config.conditional, config.joint_factor if config.generator == "joint" else 1
        before, self.blocks = config.in_channels, nn.ModuleList()
        for i, width in enumerate(config.widths):
            condition = config.in_channels if config.conditional and i else 0
            self.blocks.append(Block(before, round(factor * width), 3 if i else 5, condition, config.noise))
            before = round(factor * width)
        self.last = nn.Conv2d(before, channels, 3, padding=1)
        if config.init_sd:
            for layer in self.modules():
                if isinstance(layer, nn.Conv2d):
                    nn.init.normal_(layer.weight, 0, config.init_sd)
                    nn.init.zeros_(layer.bias)

    def forward(self, nir_n, noise):
        x, maps = nir_n, []
        for i, block in enumerate(self.blocks):
            x = block(x, nir_n if self.conditional and i else None, noise)
            maps.append(x)
        with torch.autocast(x.device.type, enabled=False):                                  # half precision would show in the colours
            return torch.tanh(self.last(x.to(self.last.weight.dtype))), maps


class Generator(nn.Module):
    """nir `(N, C, H, W)` in [0, 1] -> rgb `(N, 3, H, W)` in [0, 1]; any size. noise: whether each call is another draw, in training by default.

    >>> net = Generator(SMOKE)
    >>> len(net.branches), net(torch.rand(2, 1, 30, 41)).shape
    (3, torch.Size([2, 3, 30, 41]))
    """

    def __init__(self, config):
        super().__init__()
        self.config = config
        self.branches = nn.ModuleList([Branch(config, 3)] if config.generator == "joint" else [Branch(config, 1) for _ in range(3)])

    def forward(self, nir, noise=None, with_maps=False):
        noise = self.training if noise is None else noise
        painted, maps = zip(*(branch(from_unit(nir), noise) for branch in self.branches))
        rgb = to_unit(torch.cat(painted, 1))
        return (rgb, [torch.cat(level, 1) for level in zip(*maps)]) if with_maps else rgb


class Discriminator(nn.Module):
    """Pairs of nir `(N, C, 64, 64)` and rgb `(N, 3, 64, 64)` in [0, 1] -> scores `(N, 1)`, and the maps of its four layers.

    With the true picture beside, the scores of both, each in a pass of its own: batch norm over both at once would tell them apart by itself.

    >>> score, maps = Discriminator(SMOKE)(torch.rand(2, 1, 64, 64), torch.rand(2, 3, 64, 64))
    >>> score.shape, [tuple(x.shape[1:]) for x in maps]
    (torch.Size([2, 1]), [(8, 32, 32), (16, 16, 16), (32, 8, 8), (64, 4, 4)])
    """

    def __init__(self, config):
        super().__init__()
        widths = [config.critic_width * 2 ** level for level in range(4)]
        self.layers = nn.ModuleList(
            nn.Sequential(nn.Conv2d(before, after, 4, 2, 1), *([nn.BatchNorm2d(after)] if level else []), nn.LeakyReLU(0.2))
            for level, (before, after) in enumerate(zip([config.in_channels + 3, *widths], widths)))
        self.score = nn.Linear(widths[-1] * (PATCH // 16) ** 2, 1)

    def forward(self, nir, rgb, true=None):
        if true is not None:
            return self(nir, rgb)[0], self(nir, true)[0]
        x, maps = from_unit(torch.cat([nir, rgb], 1)), []
        for layer in self.layers:
            x = layer(x)
            maps.append(x)
        return self.score(x.flatten(1)).float(), maps


class Stack(nn.Module):
    """Brings the generators' maps of block k to the shape of the discriminator's layer k, by a 1x1 convolution of their means over cells.

    >>> _, maps = Generator(SMOKE)(torch.rand(2, 1, 64, 64), with_maps=True)
    >>> _, aims = Discriminator(SMOKE)(torch.rand(2, 1, 64, 64), torch.rand(2, 3, 64, 64))
    >>> Stack(SMOKE)(maps, aims).shape
    torch.Size([])
    """

    def __init__(self, config):
        super().__init__()
        factor = config.joint_factor if config.generator == "joint" else 3
        self.to_layer = nn.ModuleList(nn.Conv2d(round(factor * width), config.critic_width * 2 ** level, 1) for level, width in enumerate(config.widths))

    def forward(self, maps, aims):
        """Mean squared distance of the generators' maps to the discriminator's, averaged over the levels."""
        found = [F.mse_loss(layer(F.adaptive_avg_pool2d(x, aim.shape[-2:])).float(), aim.float()) for layer, x, aim in zip(self.to_layer, maps, aims)]
        return sum(found) / len(found)


# ---------------------------------------------------------------- training

class Painters(nn.Module):
    """What the generator's optimizer trains: the generator and, where it is stacked, the layers that compare it with the discriminator."""

    def __init__(self, config):
        super().__init__()
        self.generator, self.stack = Generator(config), Stack(config) if config.stack_weight else None

    def forward(self, nir):
        return self.generator(nir, with_maps=True)


class Step:
    """One update: the discriminator on a painted and a true pair, then the generators.

    >>> step = Step(VARIANTS["stacked_gan"]["smoke"], train.make_fabric("cpu"))
    >>> [*step({"nir": torch.zeros(2, 1, 64, 64).byte(), "rgb": torch.zeros(2, 3, 64, 64).byte()})]
    ['loss', 'critic', 'adversarial', 'intensity', 'ssim', 'stack']
    """

    def __init__(self, config, fabric, compile=False):
        self.config, self.fabric = config, fabric
        train.seed_everything(config.seed)
        painters, critic = Painters(config), Discriminator(config)
        adam = lambda network, rate, beta: torch.optim.Adam(network.parameters(), rate, betas=(beta, 0.999), weight_decay=config.weight_decay)
        self.painters, self.optimizer = train.prepare(fabric, painters, adam(painters, config.learning_rates[0], config.betas[0]), compile)
        self.critic, self.critic_optimizer = train.prepare(fabric, critic, adam(critic, config.learning_rates[1], config.betas[1]), compile)
        optimizers = self.optimizer, self.critic_optimizer
        self.schedule, self.critic_schedule = (make_schedule(one, rate, config) for one, rate in zip(optimizers, config.learning_rates))

    def __call__(self, batch):
        nir, true = pair_of(batch)
        rgb, maps = self.painters(nir)
        critic = self.teach_critic(nir, rgb.detach(), true)
        with train.frozen(self.critic):
            terms = self.terms(nir, rgb, maps, true)
            loss = sum(weight * value for weight, value in terms.values())
            train.update(self.fabric, self.optimizer, loss)
        self.schedule.step()
        return {"loss": loss.detach(), "critic": critic} | {name: value.detach() for name, (_, value) in terms.items()}

    def terms(self, nir, rgb, maps, true):
        """What the generators minimise, {name: (weight, value)}."""
        config = self.config
        with self.fabric.autocast():      # the bare module: frozen, so that parallel processes have nothing to exchange
            score, _ = self.critic.module(nir, rgb)
            found = {"adversarial": (config.adversarial_weight, losses.generator_loss(score, "bce")),
                     "intensity": (config.intensity_weight, config.intensity_range ** 2 * F.mse_loss(rgb, true)),
                     "ssim": (config.ssim_weight, 1 - losses.mean_ssim(rgb.float(), true))}
            if config.stack_weight:
                with torch.no_grad():
                    _, aims = self.critic.module(nir, true)
                found["stack"] = config.stack_weight, self.painters.module.stack(maps, aims)
        return found

    def teach_critic(self, nir, rgb, true):
        """One update of the discriminator."""
        fake, real = self.critic(nir, rgb, true)
        loss = losses.critic_loss(real, fake, "bce")
        train.update(self.fabric, self.critic_optimizer, loss)
        self.critic_schedule.step()
        return loss.detach()

    def result(self):
        """The trained generator."""
        return self.painters.module.generator.eval()


def make_schedule(optimizer, rate, config):
    if config.one_cycle:
        return one_cycle(optimizer, rate, config.steps)
    return torch.optim.lr_scheduler.ConstantLR(optimizer, 1.0)


def make_step(config, fabric, dataset, run=None, progress=None, compile=False):
    """A `Step` for `config`; registered pairs.

    >>> step = make_step(SMOKE, train.make_fabric("cpu"), dataset=None)
    >>> colorize(step.result(), {"nir": torch.rand(1, 1, 30, 41)}).shape
    torch.Size([1, 3, 30, 41])
    """
    return Step(config, fabric, compile)


def gradient_norms(step, batch):
    """How hard each weighted term of the loss pulls at the painted picture: {term: norm of its gradient with respect to rgb}, nothing is updated.

    >>> batch = {"nir": torch.randint(256, (2, 1, 64, 64)).byte(), "rgb": torch.randint(256, (2, 3, 64, 64)).byte()}
    >>> pulls = gradient_norms(Step(SMOKE, train.make_fabric("cpu")), batch)
    >>> max(pulls, key=pulls.get)      # values in [0, 255] weigh most
    'intensity'
    """
    nir, true = pair_of(batch)
    rgb, maps = step.painters.module(nir)
    rgb = rgb.detach().requires_grad_()
    with train.frozen(step.critic):
        terms = step.terms(nir, rgb, [x.detach() for x in maps], true)
    slope = lambda value: torch.autograd.grad(value, rgb, retain_graph=True)[0].norm().item() if value.requires_grad else 0.0
    return {name: slope(weight * value) for name, (weight, value) in terms.items() if name != "stack"}


# ---------------------------------------------------------------- use

def build(config, pretrained=False):
    """An untrained `Generator`.

    >>> with torch.device("meta"):      # counted, without memory
    ...     print(sum(map(torch.numel, build(PAPER).parameters())))
    2017935
    """
    return Generator(config)


@torch.no_grad()
def colorize(model, batch, noise=False):
    """batch {"nir": `(N, 1, H, W)` in [0, 1], any size} -> rgb `(N, 3, H, W)` in [0, 1]. noise: draw it, so that each call paints another picture.

    >>> model, batch = build(SMOKE), {"nir": torch.rand(1, 1, 30, 41)}
    >>> (colorize(model, batch, noise=True) - colorize(model, batch, noise=True)).abs().max().item() > 0
    True
    """
    return model.eval()(batch["nir"], noise)


def variants(model):
    """What the results table compares: {row name: function of a batch -> rgb}.

    >>> [*variants(build(SMOKE))]
    ['', 'noise on']
    """
    return {"": lambda batch: colorize(model, batch)} | ({"noise on": lambda batch: colorize(model, batch, noise=True)} if model.config.noise else {})


def networks(config):
    """The parts a parameter table lists.

    >>> [*networks(SMOKE)]
    ['red', 'green', 'blue', 'discriminator']
    """
    generator = Generator(config)
    names = ("generator",) if config.generator == "joint" else ("red", "green", "blue")
    return dict(zip(names, generator.branches)) | {"discriminator": Discriminator(config)} | ({"stack": Stack(config)} if config.stack_weight else {})
