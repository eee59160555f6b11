"""Asymmetric cycle GAN: the way from infrared to colour is hard, the way back easy, so the two networks differ.

Sun, Jung, Fu, Han, "NIR to RGB Domain Translation Using Asymmetric Cycle Generative Adversarial Networks" (IEEE Access 7, 2019, doi
10.1109/ACCESS.2019.2933671). No code is public; known are the abstract and a survey's summary: U-Nets both ways, residual blocks only from infrared
to colour, a feature-pyramid discriminator for colour and a plain convolutional one for infrared, batch norm, a receptive field of 128 x 128, and

    L_GAN(G_AB, D_B) + lambda1 L_GAN(G_BA, D_A) + lambda2 L_rec          (A infrared, B colour)

A reconstruction: every width, depth, rate and lambda here is our choice. L_rec is taken for the usual cycle. It uses no pairs, so pictures need not
be registered; `pairing="alternating"` (ours, after the recipe in MCFNet's code, which descends from an entry to the VCIP 2020 challenge) first learns
from pairs, then alternates epochs with and without.
"""
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import nn

from colorlib import losses, train
from colorlib.blocks import PatchDiscriminator, Pool, ResBlock, at_any_size, constant_then_linear, from_unit, init_normal, pair_of, to_unit

__all__ = ["Config", "PAPER", "SMOKE", "PRESETS", "VARIANTS", "TRAINING_ABLATIONS", "UNet", "PyramidDiscriminator",
           "AsymCycleGAN", "Critics", "is_paired", "Step", "make_step", "build", "colorize", "to_infrared", "variants",
           "networks"]

PYRAMID_LEVELS = 4                      # (ours: not stated)


@dataclass(frozen=True)
class Config:
    """All values are ours: none is stated where the paper could be read. Raises ValueError for a value that cannot be.

    >>> Config().lambda1, Config().lambda2, Config().blocks, Config().back_blocks
    (1.0, 10.0, 6, 0)
    """
    in_channels: int = 1
    width: int = 64                     # maps at half size; 2, 4, 8, 8, ... times as many below
    halvings: int = 5
    blocks: int = 6                     # residual blocks at the bottom, from infrared to colour
    back_blocks: int = 0                # the same the other way: none makes it asymmetric
    pyramid: int = 128                  # maps of the feature pyramid; 0: a plain discriminator for colour, too
    lambda1: float = 1.0                # of the adversarial loss from colour to infrared
    lambda2: float = 10.0               # of the reconstruction
    gray_weight: float = 0.0            # of the distance between a picture's grey and its translation's: what CycleGAN's identity loss does for kinds of equal
    #                                     channels; without it nothing says which way up brightness goes
    gan: str = "lsgan"
    pool: int = 50
    pairing: str = "unpaired"           # or "alternating": paired epochs, then unpaired and paired in turn
    pair_weight: float = 60.0           # of the L1 distance to the true infrared picture, twice for the colour one, in paired epochs
    paired_share: float = 0.5           # of the updates that are paired before the alternation
    epoch: int = 23                     # updates of an epoch: 363 pairs in batches of 16
    learning_rate: float = 2e-4         # Adam (0.5, 0.999); constant, then linearly to zero
    batch_size: int = 16
    steps: int = 200 * 23
    image_size: int = 128
    way_back: bool = True               # (ours) False: once trained, the network from colour to infrared is left out, which only training needs
    seed: int = 0

    def __post_init__(self):
        if self.pairing not in ("unpaired", "alternating"):
            raise ValueError(f"pairing is {self.pairing!r}: choose unpaired or alternating.")


PAPER = Config()
CLASS = replace(PAPER, way_back=False, width=11, pyramid=32, gray_weight=2.0, learning_rate=5e-4, batch_size=8, epoch=40, steps=1_500)
SMOKE = replace(PAPER, width=8, halvings=4, blocks=2, pyramid=16, gray_weight=2.0, learning_rate=1e-3, batch_size=8, epoch=20, steps=160, image_size=64)
PRESETS = {"paper": PAPER, "class": CLASS, "smoke": SMOKE}
VARIANTS = {"asym_cyclegan": PRESETS, "asym_cyclegan_paired": {size: replace(config, pairing="alternating") for size, config in PRESETS.items()}}
VARIANTS["asym_cyclegan_paired"]["class"] = replace(VARIANTS["asym_cyclegan_paired"]["class"], steps=2_400)
TRAINING_ABLATIONS = {"asymmetric": {}, "blocks both ways": {"back_blocks": 6}, "blocks neither way": {"blocks": 0}, "plain discriminators": {"pyramid": 0},
                      "lambda1 0.5": {"lambda1": 0.5}, "lambda2 5": {"lambda2": 5.0}, "lambda2 20": {"lambda2": 20.0}, "no gray loss": {"gray_weight": 0.0},
                      "alternating": {"pairing": "alternating"}}


# ---------------------------------------------------------------- networks

class UNet(nn.Module):
    """x_n `(N, channels_in, H, W)` in [-1, 1] -> `(N, channels_out, H, W)` in [-1, 1], residual blocks at the bottom; H and W multiples of 2 ^
    halvings.

    >>> UNet(1, 3, blocks=2, config=SMOKE)(torch.zeros(1, 1, 32, 48)).shape
    torch.Size([1, 3, 32, 48])
    """

    def __init__(self, channels_in, channels_out, blocks, config):
        super().__init__()
        width = lambda level: config.width * min(2 ** level, 8)      # of the map with 1 / 2^(level + 1) of the size
        self.down, self.up = nn.ModuleList(), nn.ModuleList()
        for level in range(config.halvings):
            first = level == 0
            layers = [nn.Conv2d(channels_in if first else width(level - 1), width(level), 4, 2, 1, bias=first)]
            self.down.append(nn.Sequential(*layers, *([] if first else [nn.BatchNorm2d(width(level))]), nn.LeakyReLU(0.2)))
        deepest = config.halvings - 1
        self.blocks = nn.Sequential(*(ResBlock(width(deepest), "batch") for _ in range(blocks)))
        for level in reversed(range(1, config.halvings)):
            self.up.append(nn.Sequential(nn.ConvTranspose2d(width(level) * (1 if level == deepest else 2), width(level - 1), 4, 2, 1, bias=False),
                                         nn.BatchNorm2d(width(level - 1)), nn.ReLU()))
        self.last = nn.ConvTranspose2d(2 * width(0), channels_out, 4, 2, 1)
        init_normal(self)

    def forward(self, x_n):
        x, maps = x_n, []
        for down in self.down:
            x = down(x)
            maps.append(x)
        x = self.blocks(maps.pop())                                                         # (N, 512, H/32, W/32)
        for up in self.up:
            x = torch.cat([maps.pop(), up(x)], 1)
        with torch.autocast(x.device.type, enabled=False):                                  # half precision would show in the colours
            return torch.tanh(self.last(x.to(self.last.weight.dtype)))


class PyramidDiscriminator(nn.Module):
    """A feature pyramid (Lin et al. 2017) that judges at every level: `(N, 3, H, W)` -> four maps of scores, H/2 to H/16. A score at H/16 sees 78 x
    78 pixels; the finer ones are told by the coarser.

    >>> [tuple(scores.shape) for scores in PyramidDiscriminator(SMOKE)(torch.zeros(1, 3, 64, 64))]
    [(1, 1, 32, 32), (1, 1, 16, 16), (1, 1, 8, 8), (1, 1, 4, 4)]
    """

    def __init__(self, config):
        super().__init__()
        widths, p = [config.width * 2 ** level for level in range(PYRAMID_LEVELS)], config.pyramid
        self.bottom_up = nn.ModuleList(
            nn.Sequential(nn.Conv2d(before, after, 4, 2, 1), *([nn.BatchNorm2d(after)] if level else []), nn.LeakyReLU(0.2))
            for level, (before, after) in enumerate(zip([3, *widths], widths)))
        self.lateral = nn.ModuleList(nn.Conv2d(channels, p, 1) for channels in widths)
        self.smooth = nn.ModuleList(nn.Sequential(nn.Conv2d(p, p, 3, 1, 1), nn.LeakyReLU(0.2), nn.Conv2d(p, 1, 1)) for _ in widths)
        init_normal(self)

    def forward(self, rgb_n):
        maps = [rgb_n]
        for layer in self.bottom_up:
            maps.append(layer(maps[-1]))
        scores, above = [], None
        for x, lateral, smooth in zip(maps[:0:-1], self.lateral[::-1], self.smooth[::-1]):
            x = lateral(x)
            above = x if above is None else x + F.interpolate(above, x.shape[-2:], mode="nearest")
            scores.append(smooth(above))
        return scores[::-1]


class AsymCycleGAN(nn.Module):
    """Both translators. Called with nir `(N, 1, H, W)` in [0, 1] it gives rgb `(N, 3, H, W)` in [-1, 1].

    >>> net = AsymCycleGAN(SMOKE)
    >>> [sum(map(torch.numel, way.parameters())) for way in (net.to_rgb, net.to_nir)]
    [245723, 97241]
    """

    def __init__(self, config):
        super().__init__()
        self.config = config
        self.to_rgb = UNet(config.in_channels, 3, config.blocks, config)
        self.to_nir = UNet(3, config.in_channels, config.back_blocks, config) if config.way_back else None

    def forward(self, nir, rgb_n=None):
        """In training, with true rgb_n in [-1, 1]: {"rgb", "nir", "nir again", "rgb again"} in [-1, 1]."""
        if rgb_n is None:
            return self.to_rgb(from_unit(nir))
        rgb, nir = self.to_rgb(from_unit(nir)), self.to_nir(rgb_n)
        return {"rgb": rgb, "nir": nir, "nir again": self.to_nir(rgb), "rgb again": self.to_rgb(nir)}


class Critics(nn.Module):
    """The discriminators: pictures of both kinds in [-1, 1] -> {"nir": [scores], "rgb": [scores, level by level]}.

    With painted pictures beside, a pair of these, true and painted, each in a pass of its own: batch norm over both at once would tell them apart by
    itself.

    >>> found = Critics(SMOKE)(torch.zeros(1, 1, 64, 64), torch.zeros(1, 3, 64, 64))
    >>> {kind: len(scores) for kind, scores in found.items()}
    {'nir': 1, 'rgb': 4}
    """

    def __init__(self, config):
        super().__init__()
        self.nir = init_normal(PatchDiscriminator(config.in_channels, config.width))
        self.rgb = PyramidDiscriminator(config) if config.pyramid else init_normal(PatchDiscriminator(3, config.width))

    def forward(self, nir_n, rgb_n, fake_nir=None, fake_rgb=None):
        if fake_nir is not None:
            return self(nir_n, rgb_n), self(fake_nir, fake_rgb)
        rgb = self.rgb(rgb_n)
        return {"nir": [self.nir(nir_n).float()], "rgb": [one.float() for one in (rgb if isinstance(rgb, list) else [rgb])]}


# ---------------------------------------------------------------- training

def is_paired(update, config):
    """Whether an update, 0 the first, learns from pairs: until `paired_share` of all, then in every second epoch.

    >>> config = Config(pairing="alternating", steps=8, epoch=2)
    >>> [int(is_paired(update, config)) for update in range(8)]
    [1, 1, 1, 1, 0, 0, 1, 1]
    """
    if config.pairing == "unpaired":
        return False
    done = update - round(config.paired_share * config.steps)
    return done < 0 or done // config.epoch % 2 == 1


def gray(x):
    """`(N, C, H, W)` -> `(N, 1, H, W)`, the mean over channels."""
    return x.mean(1, keepdim=True)


class Step:
    """One update: both translators, then both discriminators on pictures out of the pools.

    >>> step = Step(SMOKE, train.make_fabric("cpu"))
    >>> [*step({"nir": torch.zeros(2, 1, 64, 64).byte(), "rgb": torch.zeros(2, 3, 64, 64).byte()})]
    ['loss', 'critic', 'colour', 'infrared', 'cycle', 'gray', 'pair']
    """

    def __init__(self, config, fabric, compile=False):
        self.config, self.fabric = config, fabric
        train.seed_everything(config.seed)
        model, critics = AsymCycleGAN(replace(config, way_back=True)), Critics(config)
        adam = lambda network: torch.optim.Adam(network.parameters(), config.learning_rate, betas=(0.5, 0.999))
        self.model, self.optimizer = train.prepare(fabric, model, adam(model), compile)
        self.critics, self.critic_optimizer = train.prepare(fabric, critics, adam(critics), compile)
        self.schedule, self.critic_schedule = (constant_then_linear(one, config.steps) for one in (self.optimizer, self.critic_optimizer))
        self.nir_pool, self.rgb_pool = Pool(config.pool), Pool(config.pool)

    def __call__(self, batch):
        (nir, rgb), paired = pair_of(batch), is_paired(self.schedule.last_epoch, self.config)
        nir_n, rgb_n = from_unit(nir), from_unit(rgb if paired else rgb.roll(1, 0))      # an unpaired update keeps pairs apart
        found = self.model(nir, rgb_n)
        with train.frozen(self.critics):
            terms = self.terms(found, nir_n, rgb_n, paired)
            loss = sum(weight * value for weight, value in terms.values())
            train.update(self.fabric, self.optimizer, loss)
        self.schedule.step()
        critic = self.teach_critics(nir_n, rgb_n, self.nir_pool(found["nir"]), self.rgb_pool(found["rgb"]))
        terms |= {name: (0.0, torch.zeros_like(loss)) for name in ("gray", "pair") if name not in terms}      # so that the log's rows have the same columns
        return {"loss": loss.detach(), "critic": critic} | {name: value.detach() for name, (_, value) in terms.items()}

    def terms(self, found, nir_n, rgb_n, paired):
        """What the translators minimise, {name: (weight, value)}; paired: whether nir_n and rgb_n lie on each other."""
        config = self.config
        with self.fabric.autocast():      # the bare module: frozen, so that parallel processes have nothing to exchange
            scores = self.critics.module(found["nir"], found["rgb"])
        fool = lambda maps: sum(losses.generator_loss(one, config.gan) for one in maps) / len(maps)
        terms = {"colour": (1.0, fool(scores["rgb"])), "infrared": (config.lambda1, fool(scores["nir"])),
                 "cycle": (config.lambda2, F.l1_loss(found["nir again"], nir_n) + F.l1_loss(found["rgb again"], rgb_n))}
        if config.gray_weight and not paired:      # pairs say it better
            terms["gray"] = config.gray_weight, F.l1_loss(gray(found["rgb"]), gray(nir_n)) + F.l1_loss(gray(found["nir"]), gray(rgb_n))
        if paired:
            terms["pair"] = config.pair_weight, 2 * F.l1_loss(found["rgb"], rgb_n) + F.l1_loss(found["nir"], nir_n)
        return terms

    def teach_critics(self, nir_n, rgb_n, fake_nir, fake_rgb):
        """One update of the discriminators."""
        true, fake = self.critics(nir_n, rgb_n, fake_nir, fake_rgb)
        loss = sum(losses.critic_loss(*one, self.config.gan) / len(true[kind]) for kind in true for one in zip(true[kind], fake[kind]))
        train.update(self.fabric, self.critic_optimizer, loss)
        self.critic_schedule.step()
        return loss.detach()

    def result(self):
        """The trained translators; without the way back unless Config asks for it."""
        kept = build(self.config)
        kept.to_rgb = self.model.module.to_rgb
        if self.config.way_back:
            kept.to_nir = self.model.module.to_nir
        return kept.eval()


def make_step(config, fabric, dataset, run=None, progress=None, compile=False):
    """A `Step` for `config`; pictures of both kinds, pairs for `pairing="alternating"`.

    >>> step = make_step(replace(SMOKE, way_back=False), train.make_fabric("cpu"), dataset=None)
    >>> step.model.module.to_nir is not None, step.result().to_nir is not None
    (True, False)
    """
    return Step(config, fabric, compile)


# ---------------------------------------------------------------- use

def build(config, pretrained=False):
    """An untrained `AsymCycleGAN`.

    >>> with torch.device("meta"):      # counted, without memory
    ...     print(sum(map(torch.numel, build(PAPER).to_rgb.parameters())))
    44988099
    """
    return AsymCycleGAN(config)


@torch.no_grad()
def colorize(model, batch):
    """batch {"nir": `(N, 1, H, W)` in [0, 1], any size} -> rgb `(N, 3, H, W)` in [0, 1].

    >>> colorize(build(SMOKE), {"nir": torch.rand(2, 1, 30, 41)}).shape
    torch.Size([2, 3, 30, 41])
    """
    return to_unit(at_any_size(model.eval(), batch["nir"], 2 ** (model.config.halvings + 1)))


@torch.no_grad()
def to_infrared(model, rgb):
    """The way back: rgb `(N, 3, H, W)` in [0, 1], any size -> nir `(N, 1, H, W)` in [0, 1]. Raises ValueError for a model kept without it.

    >>> to_infrared(build(SMOKE), torch.rand(1, 3, 30, 41)).shape
    torch.Size([1, 1, 30, 41])
    """
    if model.to_nir is None:
        raise ValueError("This model was kept without its way back: train it with way_back=True.")
    return to_unit(at_any_size(model.eval().to_nir, from_unit(rgb), 2 ** (model.config.halvings + 1)))


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
    ['infrared to colour', 'colour to infrared', 'discriminator, infrared', 'discriminator, colour']
    """
    model, critics = AsymCycleGAN(replace(config, way_back=True)), Critics(config)
    return {"infrared to colour": model.to_rgb, "colour to infrared": model.to_nir, "discriminator, infrared": critics.nir,
            "discriminator, colour": critics.rgb}
