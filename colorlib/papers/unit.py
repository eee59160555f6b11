"""UNIT: two variational autoencoders, one for infrared, one for colour, whose codes mean the same, so that what one encodes the other can paint.

Liu, Breuel, Kautz, "Unsupervised Image-to-Image Translation Networks" (NIPS 2017, arXiv 1703.00848), written from the paper's description and from
the layers and weights that summaries of the released code give; none of that code was used. With encoders E, generators G, z ~ N(E(x), 1):

    GAN(G_b(z_a), b) + GAN(G_a(z_b), a) + 10 |G(z) - x| + 0.01 KL(z) + 10 |cycle - x| + 0.01 KL(cycle)

The paper has the two encoders share their last layers and the two generators their first; the code's later version shares nothing: `shared_blocks=0`.
It uses no pairs.
"""
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import nn

from colorlib import losses, train
from colorlib.blocks import ResBlock, at_any_size, from_unit, pair_of, to_unit

__all__ = ["Config", "PAPER", "SMOKE", "PRESETS", "TRAINING_ABLATIONS", "Encoder", "Painter", "UNIT",
           "ScaleDiscriminator", "Critics", "Step", "make_step", "build", "colorize", "to_infrared", "variants",
           "networks"]


@dataclass(frozen=True)
class Config:
    """Defaults are those of the released configurations and, for the sharing, the paper's; `(ours)` marks what neither has. Raises ValueError for a
    value that cannot be.

    >>> Config().reconstruction_weight, Config().kl_weight, Config().cycle_weight
    (10.0, 0.01, 10.0)
    >>> Config(shared_blocks=9)
    Traceback (most recent call last):
        ...
    ValueError: shared_blocks is 9: choose from 0 to blocks, 4.
    """
    in_channels: int = 1                # of an infrared picture
    width: int = 64
    blocks: int = 4                     # residual blocks of each encoder and each generator
    shared_blocks: int = 1              # of them common to both kinds, at the code (how many the paper shares depends on its data set)
    critic_width: int = 64
    scales: int = 3                     # sizes the discriminators look at: 1, 1/2, 1/4
    gan: str = "lsgan"
    adversarial_weight: float = 1.0
    reconstruction_weight: float = 10.0
    kl_weight: float = 0.01
    cycle_weight: float = 10.0
    cycle_kl_weight: float = 0.01
    learning_rate: float = 1e-4         # Adam (0.5, 0.999), weight decay 1e-4
    halve_every: int = 100_000          # updates
    batch_size: int = 1
    steps: int = 1_000_000
    image_size: int = 256
    seed: int = 0

    def __post_init__(self):
        if not 0 <= self.shared_blocks <= self.blocks:
            raise ValueError(f"shared_blocks is {self.shared_blocks}: choose from 0 to blocks, {self.blocks}.")


PAPER = Config()
CLASS = replace(PAPER, width=16, critic_width=16, learning_rate=1e-3, halve_every=180, batch_size=4, steps=500, image_size=96)
SMOKE = replace(PAPER, width=8, critic_width=8, blocks=2, scales=2, learning_rate=2e-3, halve_every=60, batch_size=4, steps=160, image_size=64)
PRESETS = {"paper": PAPER, "class": CLASS, "smoke": SMOKE}
TRAINING_ABLATIONS = {"one block shared": {}, "nothing shared": {"shared_blocks": 0}}


# ---------------------------------------------------------------- networks

class LayerNorm(nn.Module):
    """Every picture to mean 0 and SD 1 over all its maps and pixels, then a scale and a shift for each map."""

    def __init__(self, channels):
        super().__init__()
        self.scale, self.shift = nn.Parameter(torch.ones(channels, 1, 1)), nn.Parameter(torch.zeros(channels, 1, 1))

    def forward(self, x):
        return F.layer_norm(x, x.shape[1:]) * self.scale + self.shift


class Encoder(nn.Module):
    """`(N, C, H, W)` in [-1, 1] -> the mean code `(N, 4 width, H/4, W/4)`; shared: blocks common to both encoders, the last ones.

    >>> Encoder(1, SMOKE, shared=nn.Sequential())(torch.zeros(1, 1, 32, 48)).shape
    torch.Size([1, 32, 8, 12])
    """

    def __init__(self, channels, config, shared):
        super().__init__()
        w, relu = config.width, lambda: nn.ReLU(inplace=True)
        layers = [nn.ReflectionPad2d(3), nn.Conv2d(channels, w, 7), nn.InstanceNorm2d(w), relu()]
        for before, after in ((w, 2 * w), (2 * w, 4 * w)):
            layers += [nn.ReflectionPad2d(1), nn.Conv2d(before, after, 4, 2), nn.InstanceNorm2d(after), relu()]
        self.own = nn.Sequential(*layers, *(ResBlock(4 * w) for _ in range(config.blocks - len(shared))))
        self.shared = shared

    def forward(self, x_n):
        return self.shared(self.own(x_n))


class Painter(nn.Module):
    """The generator: a code `(N, 4 width, H/4, W/4)` -> `(N, C, H, W)` in [-1, 1]; shared: blocks common to both, the first ones.

    >>> Painter(3, SMOKE, shared=nn.Sequential())(torch.zeros(1, 32, 8, 12)).shape
    torch.Size([1, 3, 32, 48])
    """

    def __init__(self, channels, config, shared):
        super().__init__()
        w, self.shared = config.width, shared
        layers = [ResBlock(4 * w) for _ in range(config.blocks - len(shared))]
        for before, after in ((4 * w, 2 * w), (2 * w, w)):
            layers += [nn.Upsample(scale_factor=2), nn.ReflectionPad2d(2), nn.Conv2d(before, after, 5), LayerNorm(after), nn.ReLU(inplace=True)]
        self.own = nn.Sequential(*layers, nn.ReflectionPad2d(3))
        self.last = nn.Conv2d(w, channels, 7)

    def forward(self, code):
        x = self.own(self.shared(code))
        with torch.autocast(x.device.type, enabled=False):                                  # half precision would show in the colours
            return torch.tanh(self.last(x.to(self.last.weight.dtype)))


class UNIT(nn.Module):
    """Both autoencoders. Called with nir `(N, 1, H, W)` in [0, 1] it gives rgb `(N, 3, H, W)` in [-1, 1]; H and W multiples of 4.

    >>> net = UNIT(SMOKE)
    >>> net.encode["nir"].shared is net.encode["rgb"].shared, net(torch.rand(1, 1, 32, 48)).shape
    (True, torch.Size([1, 3, 32, 48]))
    """

    def __init__(self, config):
        super().__init__()
        self.config = config
        into, out_of = (nn.Sequential(*(ResBlock(4 * config.width) for _ in range(config.shared_blocks))) for _ in range(2))
        self.encode = nn.ModuleDict({"nir": Encoder(config.in_channels, config, into), "rgb": Encoder(3, config, into)})
        self.paint = nn.ModuleDict({"nir": Painter(config.in_channels, config, out_of), "rgb": Painter(3, config, out_of)})
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d):
                nn.init.kaiming_normal_(layer.weight, a=0, mode="fan_in")
                nn.init.zeros_(layer.bias)

    def forward(self, nir, rgb_n=None):
        """In training, with true rgb_n in [-1, 1]: pictures {"nir", "rgb", "same nir", "same rgb", "nir again", "rgb again"} and codes {"codes":
        those of the true pictures, "cycle codes": those of the painted ones, of both kinds together}. The first two are translations."""
        nir_n = from_unit(nir)
        if rgb_n is None:
            return self.paint["rgb"](self.encode["nir"](nir_n))
        sample = lambda code: code + torch.randn_like(code)
        of_nir, of_rgb = self.encode["nir"](nir_n), self.encode["rgb"](rgb_n)
        z_nir, z_rgb = sample(of_nir), sample(of_rgb)
        rgb, nir = self.paint["rgb"](z_nir), self.paint["nir"](z_rgb)
        back_nir, back_rgb = self.encode["rgb"](rgb), self.encode["nir"](nir)
        return {"nir": nir, "rgb": rgb, "same nir": self.paint["nir"](z_nir), "same rgb": self.paint["rgb"](z_rgb),
                "nir again": self.paint["nir"](sample(back_nir)), "rgb again": self.paint["rgb"](sample(back_rgb)),
                "codes": torch.stack([of_nir, of_rgb]), "cycle codes": torch.stack([back_nir, back_rgb])}


class ScaleDiscriminator(nn.Module):
    """`(N, C, H, W)` in [-1, 1] -> a map of scores for each size looked at: four 4x4 convolutions of stride 2 without norm, one 1x1.

    >>> [tuple(scores.shape) for scores in ScaleDiscriminator(3, SMOKE)(torch.zeros(1, 3, 64, 64))]
    [(1, 1, 4, 4), (1, 1, 2, 2)]
    """

    def __init__(self, channels, config):
        super().__init__()
        w, self.looks = config.critic_width, nn.ModuleList()
        for _ in range(config.scales):
            layers = []
            for before, after in ((channels, w), (w, 2 * w), (2 * w, 4 * w), (4 * w, 8 * w)):
                layers += [nn.ReflectionPad2d(1), nn.Conv2d(before, after, 4, 2), nn.LeakyReLU(0.2, inplace=True)]
            self.looks.append(nn.Sequential(*layers, nn.Conv2d(8 * w, 1, 1)))
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d):
                nn.init.normal_(layer.weight, 0, 0.02)
                nn.init.zeros_(layer.bias)

    def forward(self, x_n):
        scores = []
        for look in self.looks:
            scores.append(look(x_n).float())
            x_n = F.avg_pool2d(x_n, 3, 2, 1, count_include_pad=False)
        return scores


class Critics(nn.Module):
    """The two discriminators: pictures of both kinds -> [all maps of scores].

    >>> len(Critics(SMOKE)(torch.zeros(1, 1, 64, 64), torch.zeros(1, 3, 64, 64)))      # two sizes of two kinds
    4
    """

    def __init__(self, config):
        super().__init__()
        self.nir, self.rgb = ScaleDiscriminator(config.in_channels, config), ScaleDiscriminator(3, config)

    def forward(self, nir_n, rgb_n):
        return self.nir(nir_n) + self.rgb(rgb_n)


# ---------------------------------------------------------------- training

class Step:
    """One update: the autoencoders, then the discriminators.

    >>> step = Step(SMOKE, train.make_fabric("cpu"))
    >>> [*step({"nir": torch.zeros(2, 1, 32, 32).byte(), "rgb": torch.zeros(2, 3, 32, 32).byte()})]
    ['loss', 'critic', 'adversarial', 'reconstruction', 'kl', 'cycle', 'cycle kl']
    """

    def __init__(self, config, fabric, compile=False):
        self.config, self.fabric = config, fabric
        train.seed_everything(config.seed)
        model, critics = UNIT(config), Critics(config)
        adam = lambda network: torch.optim.Adam(network.parameters(), config.learning_rate, betas=(0.5, 0.999), weight_decay=1e-4)
        self.model, self.optimizer = train.prepare(fabric, model, adam(model), compile)
        self.critics, self.critic_optimizer = train.prepare(fabric, critics, adam(critics), compile)
        self.schedule, self.critic_schedule = (torch.optim.lr_scheduler.StepLR(one, config.halve_every, 0.5) for one in (self.optimizer, self.critic_optimizer))

    def __call__(self, batch):
        nir, rgb = pair_of(batch)
        nir_n, rgb_n = from_unit(nir), from_unit(rgb).roll(1, 0)      # a pair never meets in an update of more than one picture
        found = self.model(nir, rgb_n)
        with train.frozen(self.critics):
            terms = self.terms(found, nir_n, rgb_n)
            loss = sum(weight * value for weight, value in terms.values())
            train.update(self.fabric, self.optimizer, loss)
        self.schedule.step()
        critic = self.teach_critics(nir_n, rgb_n, found["nir"].detach(), found["rgb"].detach())
        return {"loss": loss.detach(), "critic": critic} | {name: value.detach() for name, (_, value) in terms.items()}

    def terms(self, found, nir_n, rgb_n):
        """What the autoencoders minimise, {name: (weight, value)}."""
        config = self.config
        with self.fabric.autocast():      # the bare module: frozen, so that parallel processes have nothing to exchange
            scores = self.critics.module(found["nir"], found["rgb"])
        distance = lambda word: F.l1_loss(found[word.format("nir")], nir_n) + F.l1_loss(found[word.format("rgb")], rgb_n)
        kl = lambda codes: codes.float().square().mean((1, 2, 3, 4)).sum()      # of N(code, 1) to N(0, 1), up to a factor, of both kinds
        return {"adversarial": (config.adversarial_weight, sum(losses.generator_loss(one, config.gan) for one in scores)),
                "reconstruction": (config.reconstruction_weight, distance("same {}")), "kl": (config.kl_weight, kl(found["codes"])),
                "cycle": (config.cycle_weight, distance("{} again")), "cycle kl": (config.cycle_kl_weight, kl(found["cycle codes"]))}

    def teach_critics(self, nir_n, rgb_n, fake_nir, fake_rgb):
        """One update of the discriminators; true and painted pictures in one pass."""
        scores = self.critics(torch.cat([nir_n, fake_nir]), torch.cat([rgb_n, fake_rgb]))
        loss = sum(2 * losses.critic_loss(*one.chunk(2), self.config.gan) for one in scores)      # twice: the full squares, not half of them
        train.update(self.fabric, self.critic_optimizer, loss)
        self.critic_schedule.step()
        return loss.detach()

    def result(self):
        """The trained autoencoders."""
        return self.model.module.eval()


def make_step(config, fabric, dataset, run=None, progress=None, compile=False):
    """A `Step` for `config`; pictures of both kinds, whether they are pairs or not.

    >>> step = make_step(SMOKE, train.make_fabric("cpu"), dataset=None)
    >>> colorize(step.result(), {"nir": torch.rand(1, 1, 30, 41)}).shape
    torch.Size([1, 3, 30, 41])
    """
    return Step(config, fabric, compile)


# ---------------------------------------------------------------- use

def build(config, pretrained=False):
    """An untrained `UNIT`.

    >>> with torch.device("meta"):      # counted, without memory
    ...     print(sum(map(torch.numel, build(PAPER).parameters())))
    19908100
    """
    return UNIT(config)


@torch.no_grad()
def colorize(model, batch):
    """batch {"nir": `(N, 1, H, W)` in [0, 1], any size} -> rgb `(N, 3, H, W)` in [0, 1], painted from the mean code.

    >>> colorize(build(SMOKE), {"nir": torch.rand(2, 1, 30, 41)}).shape
    torch.Size([2, 3, 30, 41])
    """
    return to_unit(at_any_size(model.eval(), batch["nir"], 8))


@torch.no_grad()
def to_infrared(model, rgb):
    """The way back: rgb `(N, 3, H, W)` in [0, 1], any size -> nir `(N, 1, H, W)` in [0, 1], from the mean code.

    >>> to_infrared(build(SMOKE), torch.rand(1, 3, 30, 41)).shape
    torch.Size([1, 1, 30, 41])
    """
    return to_unit(at_any_size(lambda x: model.eval().paint["nir"](model.encode["rgb"](x)), from_unit(rgb), 8))


def variants(model):
    """What the results table compares: {row name: function of a batch -> rgb}.

    >>> rows = variants(build(SMOKE))
    >>> [*rows], rows[""]({"nir": torch.rand(1, 1, 9, 13)}).shape
    ([''], torch.Size([1, 3, 9, 13]))
    """
    return {"": lambda batch: colorize(model, batch)}


def networks(config):
    """The parts a parameter table lists; blocks that are shared count once, in "shared".

    >>> [part for part in networks(SMOKE) if part.endswith("infrared") or part == "shared"]
    ['encoder, infrared', 'generator, infrared', 'shared', 'discriminator, infrared']
    """
    model, critics = UNIT(config), Critics(config)
    own = {f"{part}, {kind}": nn.ModuleList(one for name, one in networks_of[key].named_children() if name != "shared")
           for part, networks_of in (("encoder", model.encode), ("generator", model.paint)) for key, kind in (("nir", "infrared"), ("rgb", "colour"))}
    shared = nn.ModuleList([model.encode["nir"].shared, model.paint["nir"].shared])
    return own | {"shared": shared, "discriminator, infrared": critics.nir, "discriminator, colour": critics.rgb}
