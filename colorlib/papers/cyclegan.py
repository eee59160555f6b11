"""CycleGAN: two translators, there and back, trained on pictures that were never paired.

Zhu, Park, Isola, Efros, "Unpaired Image-to-Image Translation using Cycle-Consistent Adversarial Networks" (ICCV 2017, arXiv 1703.10593), written from
the paper's sections 3, 4, 7. With G from infrared a to colour b, F back, and a discriminator on either side:

    LSGAN(G, D_b) + LSGAN(F, D_a) + 10 (|F(G(a)) - a| + |G(F(b)) - b|) + 5 (|G(b) - b| + |F(a) - a|)

The last, identity, pair of terms needs equal channels: infrared goes through both translators as three equal ones. Nothing says which colour is
right: any recolouring that can be undone costs nothing here.

The same between grey, L three times over, and colour is `cyclegan`, the baseline of colorization papers; the paper itself colours no photographs.
There the way back is trivial, which makes the cycle weak: F need only drop the colours, or G hides in them what F is to find. What G paints has a
lightness of its own, and colorlib keeps the picture's.
"""
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import nn

from colorlib import lab, losses, train
from colorlib.blocks import PatchDiscriminator, Pool, ResBlock, at_any_size, constant_then_linear, from_unit, init_normal, pair_of, to_unit

__all__ = ["Config", "PAPER", "SMOKE", "PRESETS", "VARIANTS", "TRAINING_ABLATIONS", "Translator", "CycleGAN", "Critics",
           "inputs_of", "Step", "make_step", "build", "colorize", "paint", "to_infrared", "variants", "networks"]


@dataclass(frozen=True)
class Config:
    """Defaults are the paper's; `(ours)` marks what it does not have.

    >>> Config().cycle_weight, Config().identity_weight, Config().learning_rate
    (10.0, 5.0, 0.0002)
    """
    sees: str = "infrared"              # or "grey"
    in_channels: int = 1                # of an infrared picture
    width: int = 64
    blocks: int = 9                     # residual blocks: 9 at 256 px, 6 at 128
    cycle_weight: float = 10.0
    identity_weight: float = 5.0        # half of the cycle's, as for the paper's paintings
    gan: str = "lsgan"
    pool: int = 50                      # painted pictures a discriminator may be shown again
    learning_rate: float = 2e-4         # Adam (0.5, 0.999), for the first half; then linearly to zero
    batch_size: int = 1
    steps: int = 200 * 363              # 200 epochs, of the VCIP 2020 pairs (ours)
    image_size: int = 256
    way_back: bool = True               # (ours) False: once trained, the network from colour to infrared is left out, which only training needs
    seed: int = 0


PAPER = Config()
CLASS = replace(PAPER, way_back=False, width=16, blocks=6, learning_rate=5e-4, batch_size=4, steps=500, image_size=96)
SMOKE = replace(PAPER, width=8, blocks=3, learning_rate=1e-3, batch_size=4, steps=160, image_size=64)
PRESETS = {"paper": PAPER, "class": CLASS, "smoke": SMOKE}
GRAY = replace(PAPER, sees="grey")
VARIANTS = {"cyclegan_infrared": PRESETS,
            "cyclegan": {"paper": GRAY, "class": replace(CLASS, sees="grey", width=12, steps=1_500), "smoke": replace(SMOKE, sees="grey")}}
TRAINING_ABLATIONS = {"as it is": {}, "no identity loss": {"identity_weight": 0.0}, "no cycle": {"cycle_weight": 0.0, "identity_weight": 0.0}}


# ---------------------------------------------------------------- networks

class Translator(nn.Sequential):
    """x_n `(N, 3, H, W)` in [-1, 1] -> the same in the other kind; H and W multiples of 4. c7s1-64, d128, d256, nine R256, u128, u64, c7s1-3.

    >>> Translator(SMOKE)(torch.zeros(1, 3, 32, 48)).shape
    torch.Size([1, 3, 32, 48])
    """

    def __init__(self, config):
        w, relu = config.width, lambda: nn.ReLU(inplace=True)
        layers = [nn.ReflectionPad2d(3), nn.Conv2d(3, w, 7), nn.InstanceNorm2d(w), relu()]
        for before, after in ((w, 2 * w), (2 * w, 4 * w)):
            layers += [nn.Conv2d(before, after, 3, 2, 1), nn.InstanceNorm2d(after), relu()]
        layers += [ResBlock(4 * w) for _ in range(config.blocks)]
        for before, after in ((4 * w, 2 * w), (2 * w, w)):
            layers += [nn.ConvTranspose2d(before, after, 3, 2, 1, 1), nn.InstanceNorm2d(after), relu()]
        super().__init__(*layers, nn.ReflectionPad2d(3), nn.Conv2d(w, 3, 7), nn.Tanh())
        init_normal(self)


class CycleGAN(nn.Module):
    """Both translators. Called with nir, or L / 100, `(N, 1, H, W)` in [0, 1] it gives rgb `(N, 3, H, W)` in [-1, 1].

    >>> net = CycleGAN(SMOKE)
    >>> net(torch.rand(1, 1, 32, 32)).shape, [*net(torch.rand(1, 1, 32, 32), torch.rand(1, 3, 32, 32))]
    (torch.Size([1, 3, 32, 32]), ['rgb', 'nir', 'nir again', 'rgb again', 'same nir', 'same rgb'])
    """

    def __init__(self, config):
        super().__init__()
        self.config, self.to_rgb = config, Translator(config)
        self.to_nir = Translator(config) if config.way_back else None

    def forward(self, nir, rgb_n=None):
        """In training, with true rgb_n in [-1, 1]: all that the losses compare, {"rgb", "nir", "nir again", "rgb again", "same nir", "same rgb"}."""
        nir_n = from_unit(nir).expand(-1, 3, -1, -1)
        if rgb_n is None:
            return self.to_rgb(nir_n)
        rgb, nir = self.to_rgb(nir_n), self.to_nir(rgb_n)
        found = {"rgb": rgb, "nir": nir, "nir again": self.to_nir(rgb), "rgb again": self.to_rgb(nir)}
        return found | ({"same nir": self.to_nir(nir_n), "same rgb": self.to_rgb(rgb_n)} if self.config.identity_weight else {})


class Critics(nn.Module):
    """A 70 x 70 patch discriminator for either kind; pictures `(N, 3, H, W)` in [-1, 1] of both -> (scores of nir, scores of rgb).

    >>> [scores.shape for scores in Critics(SMOKE)(torch.zeros(1, 3, 64, 64), torch.zeros(1, 3, 64, 64))]
    [torch.Size([1, 1, 6, 6]), torch.Size([1, 1, 6, 6])]
    """

    def __init__(self, config):
        super().__init__()
        self.nir, self.rgb = (init_normal(PatchDiscriminator(3, config.width, norm="instance")) for _ in range(2))

    def forward(self, nir_n, rgb_n):
        return self.nir(nir_n).float(), self.rgb(rgb_n).float()


# ---------------------------------------------------------------- training

def inputs_of(batch, config):
    """A batch -> infrared, or L / 100, `(N, 1, H, W)` and rgb `(N, 3, H, W)`, both in [0, 1].

    >>> white = {"rgb": torch.full((1, 3, 2, 2), 255).byte()}
    >>> [round(x.max().item(), 3) for x in inputs_of(white, replace(SMOKE, sees="grey"))]
    [1.0, 1.0]
    """
    if config.sees == "grey":
        rgb = batch["rgb"].float() / 255
        return lab.rgb_to_lab(rgb)[:, :1] / 100, rgb
    return pair_of(batch)


class Step:
    """One update: both translators, then both discriminators on pictures out of the pools.

    >>> step = Step(SMOKE, train.make_fabric("cpu"))
    >>> [*step({"nir": torch.zeros(2, 1, 32, 32).byte(), "rgb": torch.zeros(2, 3, 32, 32).byte()})]
    ['loss', 'critic', 'adversarial', 'cycle', 'identity']
    """

    def __init__(self, config, fabric, compile=False):
        self.config, self.fabric = config, fabric
        train.seed_everything(config.seed)
        model, critics = CycleGAN(replace(config, way_back=True)), Critics(config)
        adam = lambda network: torch.optim.Adam(network.parameters(), config.learning_rate, betas=(0.5, 0.999))
        self.model, self.optimizer = train.prepare(fabric, model, adam(model), compile)
        self.critics, self.critic_optimizer = train.prepare(fabric, critics, adam(critics), compile)
        self.schedule, self.critic_schedule = (constant_then_linear(one, config.steps) for one in (self.optimizer, self.critic_optimizer))
        self.nir_pool, self.rgb_pool = Pool(config.pool), Pool(config.pool)

    def __call__(self, batch):
        nir, rgb = inputs_of(batch, self.config)
        nir_n, rgb_n = from_unit(nir).expand(-1, 3, -1, -1), from_unit(rgb).roll(1, 0)      # a pair never meets in an update of more than one picture
        found = self.model(nir, rgb_n)
        with train.frozen(self.critics):
            terms = self.terms(found, nir_n, rgb_n)
            loss = sum(weight * value for weight, value in terms.values())
            train.update(self.fabric, self.optimizer, loss)
        self.schedule.step()
        critic = self.teach_critics(nir_n, rgb_n, self.nir_pool(found["nir"]), self.rgb_pool(found["rgb"]))
        return {"loss": loss.detach(), "critic": critic} | {name: value.detach() for name, (_, value) in terms.items()}

    def terms(self, found, nir_n, rgb_n):
        """What the translators minimise, {name: (weight, value)}."""
        config = self.config
        with self.fabric.autocast():      # the bare module: frozen, so that parallel processes have nothing to exchange
            scores = self.critics.module(found["nir"], found["rgb"])
        terms = {"adversarial": (1.0, sum(losses.generator_loss(one, config.gan) for one in scores)),
                 "cycle": (config.cycle_weight, F.l1_loss(found["nir again"], nir_n) + F.l1_loss(found["rgb again"], rgb_n))}
        if config.identity_weight:
            terms["identity"] = config.identity_weight, F.l1_loss(found["same nir"], nir_n) + F.l1_loss(found["same rgb"], rgb_n)
        return terms

    def teach_critics(self, nir_n, rgb_n, fake_nir, fake_rgb):
        """One update of the discriminators; true and painted pictures in one pass."""
        pairs = [scores.chunk(2) for scores in self.critics(torch.cat([nir_n, fake_nir]), torch.cat([rgb_n, fake_rgb]))]
        loss = sum(losses.critic_loss(real, fake, self.config.gan) for real, fake in pairs)
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
    """A `Step` for `config`; pictures of both kinds, whether they are pairs or not.

    >>> step = make_step(replace(SMOKE, way_back=False), train.make_fabric("cpu"), dataset=None)
    >>> step.model.module.to_nir is not None, step.result().to_nir is not None
    (True, False)
    """
    return Step(config, fabric, compile)


# ---------------------------------------------------------------- use

def build(config, pretrained=False):
    """An untrained `CycleGAN`.

    >>> with torch.device("meta"):      # counted, without memory
    ...     print(sum(map(torch.numel, build(PAPER).to_rgb.parameters())))
    11378179
    """
    return CycleGAN(config)


@torch.no_grad()
def colorize(model, batch):
    """batch {"nir": `(N, 1, H, W)` in [0, 1], any size} -> rgb `(N, 3, H, W)` in [0, 1]; or {"L": in [0, 100]} -> ab `(N, 2, H, W)` of what it
    paints, in CIE units.

    >>> colorize(build(SMOKE), {"nir": torch.rand(1, 1, 30, 41)}).shape
    torch.Size([1, 3, 30, 41])
    >>> colorize(build(replace(SMOKE, sees="grey")), {"L": torch.rand(1, 1, 30, 41) * 100}).shape
    torch.Size([1, 2, 30, 41])
    """
    if model.config.sees == "grey":
        return lab.rgb_to_lab(paint(model, batch["L"] / 100))[:, 1:]
    return paint(model, batch["nir"])


@torch.no_grad()
def paint(model, x):
    """Infrared, or L / 100, `(N, 1, H, W)` in [0, 1], any size -> rgb `(N, 3, H, W)` in [0, 1], lightness and all.

    >>> paint(build(SMOKE), torch.rand(1, 1, 30, 41)).shape
    torch.Size([1, 3, 30, 41])
    """
    return to_unit(at_any_size(model.eval(), x, 8))


@torch.no_grad()
def to_infrared(model, rgb):
    """The way back: rgb `(N, 3, H, W)` in [0, 1], any size -> nir `(N, 1, H, W)` in [0, 1], the mean of the three channels
    painted. Raises ValueError for a model kept without it.

    >>> to_infrared(build(SMOKE), torch.rand(1, 3, 30, 41)).shape
    torch.Size([1, 1, 30, 41])
    """
    if model.to_nir is None:
        raise ValueError("This model was kept without its way back: train it with way_back=True.")
    return to_unit(at_any_size(model.eval().to_nir, from_unit(rgb), 8)).mean(1, keepdim=True)


def variants(model):
    """What the results table compares: {row name: function of a batch -> rgb or ab}.

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
    critics = Critics(config)
    return {f"{config.sees} to colour": Translator(config), f"colour to {config.sees}": Translator(config), f"discriminator, {config.sees}": critics.nir,
            "discriminator, colour": critics.rgb}
