"""Color2Embed: the colours of a reference picture in one vector, which steers a U-Net; nothing is matched to anything.

Zhao, Wu, Liu, He, "Color2Embed: Fast Exemplar-Based Image Colorization using Color Embeddings" (arXiv 2106.08017); layer by layer after `models.py`
of zhaohengyuan1/Color2Embed. An encoder reads the reference and gives 512 numbers. A U-Net reads L; in each stage of its way up a convolution's
weights are scaled by them, channel by channel, and brought back to unit length, as in StyleGAN2 (Karras et al. 2020). In training a picture is its
own reference, warped. The plainest partner for networks that match places: it can take over a palette but not a place.

The published encoder is VGG-19; `SMALL` has five strided convolutions in its place, and no perceptual loss (ours).
"""
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import nn

from colorlib import lab, pretrained, train
from colorlib.references import resize_batch, warp_batch

__all__ = ["Config", "PAPER", "PRESETS", "ColorEncoder", "Modulated", "Color2Embed", "Step", "make_step", "build",
           "colorize", "variants", "networks"]

CHOICES = {"encoder": ("vgg19", "strided")}
MEAN, SD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)      # of ImageNet, for VGG-19
RELU5_2 = 32                                                # layers of torchvision's vgg19 up to there
PERCEPTUAL = {4: 1 / 32, 9: 1 / 16, 14: 1 / 8, 23: 1 / 4, 32: 1.0}      # weights of relu1_2, ..., relu5_2, by layers of vgg19


@dataclass(frozen=True)
class Config:
    """Defaults are `train.py`'s; `(ours)` marks what it does not have. Raises ValueError for a value that cannot be.

    >>> Config().embedding, Config().learning_rate, Config().steps
    (512, 0.0001, 100000)
    """
    width: int = 64                         # channels at full size; 2, 4, 8, 8 times as many below
    embedding: int = 512                    # numbers a reference becomes
    encoder: str = "vgg19"                  # ImageNet's, trained on; (ours) "strided"
    reference_size: int = 256               # side of the square a reference is squeezed to
    perceptual_weight: float = 0.1          # of the VGG-19 distance; beside it the smooth L1 distance of ab / 110
    turn: float = 180.0                     # degrees a reference is turned by at most, either way
    learning_rate: float = 1e-4             # Adam
    betas: tuple = (0.9, 0.99)
    one_cycle: float = 0.0                  # (ours) peak rate of a warm-up and cosine decay with AdamW, in place of learning_rate
    batch_size: int = 16
    steps: int = 100_000
    image_size: int = 256
    seed: int = 0

    def __post_init__(self):
        if self.encoder not in CHOICES["encoder"]:
            raise ValueError(f"encoder is {self.encoder!r}: choose one of {', '.join(CHOICES['encoder'])}.")
        if self.width % 4:
            raise ValueError(f"width is {self.width}: take a multiple of 4, of which a quarter is joined.")


PAPER = Config()
SMALL = replace(PAPER, encoder="strided", perceptual_weight=0.0, reference_size=64, image_size=64)
PRESETS = {"paper": PAPER, "class": replace(SMALL, width=12, embedding=128, one_cycle=3e-3, steps=1_700),
           "smoke": replace(SMALL, width=8, embedding=64, one_cycle=5e-3, batch_size=8, steps=150)}


# ---------------------------------------------------------------- the reference

class ColorEncoder(nn.Module):
    """Reference rgb `(N, 3, R, R)` in [0, 1] -> embedding `(N, E)`.

    >>> ColorEncoder(PRESETS["smoke"])(torch.rand(2, 3, 64, 64)).shape
    torch.Size([2, 64])
    """

    def __init__(self, config):
        super().__init__()
        leak = lambda: nn.LeakyReLU(0.2, inplace=True)
        if config.encoder == "vgg19":
            import torchvision                 # late: it takes a second that colouring a photo does not need
            self.trunk, channels = torchvision.models.vgg19(weights=None).features[:RELU5_2], 512
        else:
            w, layers = config.width, []
            for before, after in ((3, w), (w, 2 * w), (2 * w, 4 * w), (4 * w, 8 * w)):
                layers += [nn.Conv2d(before, after, 4, 2, 1), leak()]
            self.trunk, channels = nn.Sequential(*layers), 8 * w
        e = config.embedding
        self.to_vector = nn.Sequential(
            nn.Conv2d(channels, e, 4, 2, 2), leak(), nn.Conv2d(e, e, 3, 1, 1), leak(), nn.Conv2d(e, e, 4, 2, 2), leak(), nn.Conv2d(e, e, 3, 1, 1), leak(),
            nn.AdaptiveAvgPool2d(1), nn.Conv2d(e, e // 2, 1), leak(), nn.Conv2d(e // 2, e // 2, 1), leak(), nn.Conv2d(e // 2, e, 1))
        self.register_buffer("mean", torch.tensor(MEAN).view(3, 1, 1), persistent=False)
        self.register_buffer("sd", torch.tensor(SD).view(3, 1, 1), persistent=False)

    def forward(self, rgb):
        return self.to_vector(self.trunk((rgb - self.mean) / self.sd)).flatten(1)


# ---------------------------------------------------------------- the picture

class Residual(nn.Module):
    """A 1x1 convolution, then (x + convolution, norm, activation, convolution) / sqrt 2."""

    def __init__(self, channels_in, channels):
        super().__init__()
        self.shape = nn.Conv2d(channels_in, channels, 1)
        self.layers = nn.Sequential(nn.Conv2d(channels, channels, 3, padding=1), nn.BatchNorm2d(channels), nn.LeakyReLU(0.2, inplace=True),
                                    nn.Conv2d(channels, channels, 3, padding=1))

    def forward(self, x):
        x = self.shape(x)
        return (x + self.layers(x)) * 0.5 ** 0.5


class Modulated(nn.Module):
    """A convolution whose input channels are scaled by the embedding and whose weights are then brought to unit length, output channel by output
    channel.

    Scaling the maps before and after one convolution is the same as, and faster than, a convolution of its own for every picture.

    >>> layer, x, vector = Modulated(embedding=4, channels=6, kernel=3), torch.rand(1, 6, 5, 5), torch.rand(1, 4)
    >>> layer.modulation.bias.data[:] = 0      # then the embedding's length does not matter, only its direction
    >>> torch.allclose(layer(x, vector), layer(x, 9 * vector), atol=1e-4)
    True
    """

    def __init__(self, embedding, channels, kernel):
        super().__init__()
        self.modulation = nn.Linear(embedding, channels)
        self.weight = nn.Parameter(torch.randn(channels, channels, kernel, kernel))

    def forward(self, x, vector):
        scale = self.modulation(vector)                                                                   # (N, C)
        weight = self.weight / self.weight[0].numel() ** 0.5
        length = torch.rsqrt(scale.float().square() @ weight.float().square().sum((2, 3)).T + 1e-8)       # (N, C)
        x = F.conv2d(x * scale[..., None, None], weight, padding=self.weight.shape[-1] // 2)
        return x * length[..., None, None].to(x)


class Up(nn.Module):
    """Twice the size, a quarter of the skip's channels beside, two convolutions, the modulated one, and a 1x1 short cut around all."""

    def __init__(self, config, channels, skip, channels_out, kernel):
        super().__init__()
        leak = lambda: nn.LeakyReLU(0.2, inplace=True)
        self.join = nn.Sequential(nn.Conv2d(channels + skip // 4, channels_out, 1), leak(), nn.Conv2d(channels_out, channels_out, 3, padding=1), leak())
        self.modulated = Modulated(config.embedding, channels_out, kernel)
        self.short = nn.Conv2d(channels, channels_out, 1)

    def forward(self, x, skip, vector):
        x = F.interpolate(x, scale_factor=2, mode="bilinear")
        return self.modulated(self.join(torch.cat([x, skip[:, ::4]], 1)), vector) + self.short(x)


class Color2Embed(nn.Module):
    """L_n `(N, 1, H, W)` in [-1, 1], H and W multiples of 16, and reference rgb `(N, 3, R, R)` in [0, 1] -> ab_n `(N, 2, H, W)` in [-1, 1].
    Raises ValueError for another L_n.

    >>> Color2Embed(PRESETS["smoke"])(torch.zeros(1, 1, 32, 48), torch.rand(1, 3, 64, 64)).shape
    torch.Size([1, 2, 32, 48])
    """

    def __init__(self, config):
        super().__init__()
        self.config, w = config, config.width
        leak = lambda: nn.LeakyReLU(0.1, inplace=True)
        self.encoder = ColorEncoder(config)
        self.first = nn.Sequential(nn.Conv2d(1, w, 3, padding=1), nn.BatchNorm2d(w), leak(), nn.Conv2d(w, w, 3, padding=1), nn.BatchNorm2d(w), leak())
        down = lambda before, after: nn.Sequential(nn.Conv2d(before, before, 4, 2, 1), leak(), Residual(before, after))
        self.down = nn.ModuleList([down(w, 2 * w), down(2 * w, 4 * w), down(4 * w, 8 * w), down(8 * w, 8 * w)])
        self.up = nn.ModuleList([Up(config, 8 * w, 8 * w, 4 * w, 3), Up(config, 4 * w, 4 * w, 2 * w, 3),
                                 Up(config, 2 * w, 2 * w, w, 5), Up(config, w, w, w, 5)])
        self.to_ab = nn.Sequential(nn.Conv2d(w, w, 3, padding=1), nn.LeakyReLU(0.2, inplace=True), nn.Conv2d(w, 2, 3, padding=1))

    def forward(self, L_n, reference):
        if L_n.ndim != 4 or L_n.shape[1] != 1 or L_n.shape[2] % 16 or L_n.shape[3] % 16:
            raise ValueError(f"L must be (N, 1, H, W) with H and W multiples of 16, not {tuple(L_n.shape)}: resize or pad it, or call `colorize`.")
        vector, maps = self.encoder(reference), [self.first(L_n)]
        for one in self.down:
            maps.append(one(maps[-1]))
        x = maps.pop()
        for one in self.up:
            x = one(x, maps.pop(), vector)
        with torch.autocast(x.device.type, enabled=False):      # half precision would show in the colours
            return torch.tanh(self.to_ab(x.to(self.to_ab[0].weight.dtype)))


# ---------------------------------------------------------------- training

class Perceptual(nn.Module):
    """The weighted L1 distance of five VGG-19 layers between two batches of rgb `(N, 3, H, W)` in [0, 1]."""

    def __init__(self):
        super().__init__()
        self.layers = load_vgg19()[:max(PERCEPTUAL)].eval().requires_grad_(False)
        self.register_buffer("mean", torch.tensor(MEAN).view(3, 1, 1))
        self.register_buffer("sd", torch.tensor(SD).view(3, 1, 1))

    def forward(self, rgb, true):
        x, y, total = (rgb - self.mean) / self.sd, (true - self.mean) / self.sd, 0.0
        for number, layer in enumerate(self.layers, 1):
            x, y = layer(x), layer(y)
            if number in PERCEPTUAL:
                total = total + PERCEPTUAL[number] * F.l1_loss(x, y)
        return total


def load_vgg19():
    """ImageNet's VGG-19 from torchvision, its convolutions. Raises ConnectionError where it is neither in torch's cache nor to be fetched."""
    import torchvision                 # late, as above
    try:
        return pretrained.torchvision_network("vgg19", torchvision.models.VGG19_Weights.IMAGENET1K_V1).features
    except ConnectionError as error:
        raise ConnectionError(f"VGG-19's weights could not be fetched ({error}): connect to the network once, or train with encoder='strided' and "
                              "perceptual_weight=0.") from None


class Step:
    """One update: each picture is its own reference, warped.

    >>> step = Step(PRESETS["smoke"], train.make_fabric("cpu"))
    >>> [*step({"rgb": torch.randint(256, (2, 3, 64, 64)).byte()})]
    ['loss']
    """

    def __init__(self, config, fabric, model=None, compile=False):
        self.config, self.fabric = config, fabric
        train.seed_everything(config.seed)
        model = model or Color2Embed(config)
        if config.one_cycle:
            optimizer = torch.optim.AdamW(model.parameters(), config.one_cycle, betas=config.betas, weight_decay=0.01)
            self.schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, config.one_cycle, total_steps=config.steps + 1, pct_start=0.15)
        else:
            optimizer = torch.optim.Adam(model.parameters(), config.learning_rate, betas=config.betas)
            self.schedule = torch.optim.lr_scheduler.ConstantLR(optimizer, 1.0)
        self.model, self.optimizer = train.prepare(fabric, model, optimizer, compile)
        self.perceptual = [fabric.to_device(Perceptual())] if config.perceptual_weight else []      # in a list, so that no checkpoint holds it

    def __call__(self, batch):
        found = train.descend(self.fabric, self.model, self.optimizer, self.losses, batch)
        self.schedule.step()
        return found

    def losses(self, batch):
        rgb = batch["rgb"].float() / 255
        L, ab = lab.rgb_to_lab(rgb).split([1, 2], 1)
        ab_n = self.model(lab.scale_L(L), warp_batch(rgb, self.config.reference_size, self.config.turn))
        pixel = F.smooth_l1_loss(ab_n, lab.scale_ab(ab))
        if not self.perceptual:
            return {"loss": pixel}
        perceptual = self.perceptual[0](lab.lab_to_rgb(torch.cat([L, lab.unscale_ab(ab_n)], 1)), rgb)
        return {"loss": pixel + self.config.perceptual_weight * perceptual, "pixel": pixel, "perceptual": perceptual}

    def result(self):
        """The trained network."""
        return self.model.module.eval()


def make_step(config, fabric, dataset, run=None, progress=None, compile=False):
    """A `Step` for `config`; any colour pictures will do. A VGG-19 encoder begins with ImageNet's weights: raises what `load_vgg19` raises.

    >>> step = make_step(PRESETS["smoke"], train.make_fabric("cpu"), dataset=None)
    >>> colorize(step.result(), {"L": torch.rand(1, 1, 9, 13) * 100, "reference": torch.rand(1, 3, 20, 30)}).shape
    torch.Size([1, 2, 9, 13])
    """
    train.seed_everything(config.seed)
    model = Color2Embed(config)
    if config.encoder == "vgg19":
        model.encoder.trunk.load_state_dict(load_vgg19()[:RELU5_2].state_dict())
    return Step(config, fabric, model, compile)


# ---------------------------------------------------------------- use

def build(config, pretrained=False):
    """An untrained `Color2Embed`.

    >>> build(PRESETS["smoke"]).encoder.to_vector[-1].out_channels
    64
    """
    return Color2Embed(config)


@torch.no_grad()
def colorize(model, batch):
    """batch {"L": `(N, 1, H, W)` in [0, 100], "reference": `(N, 3, h, w)` uint8 or in [0, 1]} -> ab `(N, 2, H, W)` in CIE units; any sizes. Raises
    ValueError without a reference.

    >>> colorize(build(PRESETS["smoke"]), {"L": torch.rand(1, 1, 30, 41) * 100})
    Traceback (most recent call last):
        ...
    ValueError: Color2Embed needs a reference picture: pass reference=..., on the command line --reference.
    """
    L, rgb = batch["L"], batch.get("reference")
    if rgb is None:
        raise ValueError("Color2Embed needs a reference picture: pass reference=..., on the command line --reference.")
    side, (height, width) = model.config.reference_size, L.shape[-2:]
    ab_n = model.eval()(lab.scale_L(F.pad(L, (0, -width % 16, 0, -height % 16), mode="replicate")), resize_batch(rgb.to(L.device), [side, side]))
    return lab.unscale_ab(ab_n)[..., :height, :width]


def variants(model):
    """What the results table compares: {row name: function of a batch -> ab}.

    >>> rows = variants(build(PRESETS["smoke"]))
    >>> [*rows], rows[""]({"L": torch.rand(1, 1, 9, 13) * 100, "reference": torch.rand(1, 3, 20, 30)}).shape
    ([''], torch.Size([1, 2, 9, 13]))
    """
    return {"": lambda batch: colorize(model, batch)}


def networks(config):
    """The parts a parameter table lists.

    >>> [*networks(PRESETS["smoke"])]
    ['colour encoder', 'U-Net']
    """
    network = Color2Embed(config)
    return {"colour encoder": network.encoder, "U-Net": nn.ModuleList([network.first, network.down, network.up, network.to_ab])}
