"""Learning Representations for Automatic Colorization: every layer of VGG-16 at once says, for each place, how likely each hue and each chroma is.

Larsson, Maire, Shakhnarovich (ECCV 2016, arXiv 1603.06668); after gustavla/autocolorize (BSD-3, read only): `train/*.prototxt`, its Caffe layers,
`extraction.py`. A place's hypercolumn is what the grey picture and all layers hold there, 12,417 numbers. Training reads it at 128 random places a
picture only; one hidden layer turns it into two histograms of 32 bins, hue and chroma, compared with those of a 7x7 window (the paper's text found
one pixel as good):

    KL(chroma* | chroma) min(3 l, 1, 3 (1 - l)) + 5 c KL(hue* | hue)        l: grey, c: chroma of the place

as a grey pixel has no hue, and black and white ones have no chroma. Painting takes the median of the chroma and the mean direction of the hue on its
circle. Where hues contradict each other that mean is short, and the chroma fades with it. The mean is taken over the 32 bins, not weighted to one: a
certain hue has length 1 / 32 = 0.031, so that the published threshold of 0.03 fades nearly every pixel a little, not only the contradictory ones.

Given the colours the picture as a whole should have, the histograms of all places are bent until their average is that (`bend`): the ancestor of the
palettes of Gray2ColorNet. The paper minimises an energy of distance to the palette and distance to the prediction; ours is its limit, where the
palette is met.
"""
import math
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import nn

from colorlib import lab, train, vgg
from colorlib.blocks import one_cycle

__all__ = ["Config", "PAPER", "PRESETS", "TRAINING_ABLATIONS", "Hypercolumns", "hue_chroma", "histograms", "decode",
           "palette_of", "bend", "Step", "hypercolumn_loss", "make_step", "build", "predict", "colorize", "variants",
           "networks"]

CHOICES = {"backbone": ("vgg16", "trained"), "gray": ("mean", "lightness")}
ORACLE = "told the true palette"    # a row of its table: the true picture as the reference
BEND_ROUNDS = 50                    # of scaling a palette into place; far more than the few it takes


@dataclass(frozen=True)
class Config:
    """Defaults are the released training files'; `(ours)` marks what they do not have. Raises ValueError for a value that cannot be.

    >>> Config().bins, Config().places, Config().hue_weight
    (32, 128, 5.0)
    >>> Config(margin=200)
    Traceback (most recent call last):
        ...
    ValueError: margin is 200: take less than half of image_size, 352.
    """
    backbone: str = "vgg16"             # begins with ImageNet's VGG-16 (its norms come on top); (ours) "trained": with one trained here on grey pictures
    width: int = 64                     # channels of VGG's first block
    fully_connected: int = 4096         # of fc6 and fc7; (ours) 0: the hypercolumn ends at conv5_3
    hidden: int = 1024
    dropout: float = 0.5                # after fc6, fc7 and the hidden layer
    bins: int = 32                      # of hue and of chroma, each in [0, 1]
    window: int = 7                     # side of the square whose histogram is to be told, px
    hue_weight: float = 5.0             # about one over the mean chroma
    places: int = 128                   # of each picture in an update
    margin: int = 96                    # px from the border within which no place is drawn
    gray: str = "mean"                  # of R, G and B, what it is given in training; (ours) "lightness", the grey that has the colour's L*, as in use
    fade: float = 0.03                  # mean resultant of the hue below which chroma fades; 0: never
    stride: int = 4                     # px between the places that are painted, the rest between them
    pretraining: tuple = (0, 0.0)       # (ours) updates and peak rate of "trained"
    pretraining_size: int = 64          # (ours) side of its squares
    learning_rate: float = 1e-3         # SGD with momentum 0.9
    weight_decay: float = 5e-4
    decay_at: tuple = (1_000_000, 1_500_000, 1_750_000)     # updates, after which the rate is a tenth
    one_cycle: bool = False             # (ours) AdamW with a warm-up and a cosine to zero
    batch_size: int = 8
    steps: int = 2_000_000
    image_size: int = 352
    seed: int = 0

    def __post_init__(self):
        for field, known in CHOICES.items():
            if getattr(self, field) not in known:
                raise ValueError(f"{field} is {getattr(self, field)!r}: choose one of {', '.join(known)}.")
        if not 0 <= 2 * self.margin < self.image_size:
            raise ValueError(f"margin is {self.margin}: take less than half of image_size, {self.image_size}.")


PAPER = Config()
OURS = replace(PAPER, backbone="trained", fully_connected=0, dropout=0.0, gray="lightness", margin=2, one_cycle=True)
PRESETS = {"paper": PAPER,
           "class": replace(OURS, width=12, hidden=256, pretraining=(2_000, 5e-3), learning_rate=3e-3, batch_size=16, steps=3_000, image_size=96),
           "smoke": replace(OURS, width=8, hidden=64, pretraining=(60, 5e-3), learning_rate=5e-3, batch_size=8, steps=150, image_size=64)}
TRAINING_ABLATIONS = {"as it is": {}, "one pixel's colour": {"window": 1}, "hue counts alike everywhere": {"hue_weight": 0.0},
                      "VGG from chance": {"pretraining": (0, 0.0)}}


# ---------------------------------------------------------------- the network

class Hypercolumns(nn.Module):
    """Grey `(N, 1, H, W)` in [0, 1] and places `(N, P, 2)`, row and column in px -> logits of hue and chroma, each `(N, P, bins)`.

    The hidden layer is linear in the hypercolumn, so each layer's part of it is added in turn and the whole hypercolumn is never held.

    >>> hue, chroma = Hypercolumns(PRESETS["smoke"])(torch.rand(2, 1, 32, 48), torch.zeros(2, 5, 2))
    >>> hue.shape, chroma.shape
    (torch.Size([2, 5, 32]), torch.Size([2, 5, 32]))
    >>> with torch.device("meta"):      # the hypercolumn at the paper's width
    ...     print(Hypercolumns(PAPER).to_hidden.in_features)
    12417
    """

    def __init__(self, config):
        super().__init__()
        self.config = config
        last = "fc7" if config.fully_connected else "conv5_3"
        self.vgg = vgg.VGG16(1, config.width, "caffe", config.fully_connected, config.dropout, last)
        self.channels = {"data": 1} | self.vgg.channels
        self.to_hidden = nn.Linear(sum(self.channels.values()), config.hidden)
        self.drop = nn.Dropout(config.dropout)
        self.to_hue, self.to_chroma = nn.Linear(config.hidden, config.bins), nn.Linear(config.hidden, config.bins)

    def forward(self, gray, places):
        x = vgg.prepare(gray, 1)
        maps = {"data": x} | self.vgg(x)
        total = self.to_hidden.bias
        for (name, one), weight in zip(maps.items(), self.to_hidden.weight.split(list(self.channels.values()), 1)):
            total = total + F.linear(sample(one.float(), places, 1 if name == "data" else vgg.scale_of(name)), weight)          # (N, P, hidden)
        hidden = self.drop(F.relu(total))
        return self.to_hue(hidden).float(), self.to_chroma(hidden).float()


def sample(maps, places, scale):
    """Bilinear values of maps `(N, C, h, w)`, one step of which is `scale` px, at places `(N, P, 2)` in px -> `(N, P, C)`. Pixel (0, 0) is at map (0,
    0), as in the released layer; beyond the last step its value stays."""
    h, w = maps.shape[-2:]
    y, x = (2 * places / scale).unbind(-1)
    grid = torch.stack([x / max(w - 1, 1) - 1, y / max(h - 1, 1) - 1], -1)[:, :, None]              # (N, P, 1, 2)
    return F.grid_sample(maps, grid, align_corners=True, padding_mode="border")[..., 0].transpose(1, 2)


# ---------------------------------------------------------------- colours

def hue_chroma(rgb):
    """rgb `(N, 3, H, W)` in [0, 1] -> hue in [0, 1) and chroma, the largest less the smallest value, in [0, 1]; `(N, 1, H, W)` each, hue 0 where
    chroma is 0.

    >>> green_and_grey = torch.tensor([[0.0, 0.5], [1.0, 0.5], [0.0, 0.5]]).view(1, 3, 1, 2)
    >>> [[round(value, 3) for value in one.flatten().tolist()] for one in hue_chroma(green_and_grey)]
    [[0.333, 0.0], [1.0, 0.0]]
    """
    red, green, blue = rgb.split(1, 1)
    top, chroma = rgb.amax(1, keepdim=True), rgb.amax(1, keepdim=True) - rgb.amin(1, keepdim=True)
    by = chroma.clamp_min(1e-12)
    sector = torch.where(red == top, (green - blue) / by, torch.where(green == top, 2 + (blue - red) / by, 4 + (red - green) / by))
    return torch.where(chroma == 0, 0, sector / 6 % 1), chroma


def histograms(values, places, bins, window):
    """values `(N, 1, H, W)` in [0, 1] -> shares of the bins in the windows around whole places `(N, P, 2)`, `(N, P, bins)`; the border is repeated.

    >>> left_dark = torch.tensor([[0.1, 0.9, 0.9]] * 3).view(1, 1, 3, 3)
    >>> [round(share, 2) for share in histograms(left_dark, torch.tensor([[[1, 1]]]), bins=2, window=3)[0, 0].tolist()]
    [0.33, 0.67]
    """
    n, _, height, width = values.shape
    reach = torch.arange(window, device=values.device) - window // 2
    rows = (places[..., 0, None].long() + reach).clamp(0, height - 1)                               # (N, P, window)
    columns = (places[..., 1, None].long() + reach).clamp(0, width - 1)
    cells = (rows[..., :, None] * width + columns[..., None, :]).flatten(1)                         # (N, P window^2)
    chosen = (values.flatten(1).gather(1, cells) * bins).long().clamp(0, bins - 1)
    return F.one_hot(chosen.view(n, -1, window ** 2), bins).float().mean(2)


def decode(hue, chroma, gray, fade=0.03):
    """Histograms `(N, K, H, W)` and grey, the mean of R, G and B, `(N, 1, H, W)` in [0, 1] -> rgb `(N, 3, H, W)` with that mean, clipped to [0, 1]
    (`calc_rgb_from_hue_chroma` with its default parameters, then `match_lightness`).

    >>> hue, chroma = torch.zeros(1, 32, 1, 1), torch.zeros(1, 32, 1, 1)
    >>> hue[:, 0], chroma[:, 16] = 1, 1      # surely red, half as vivid as can be
    >>> [round(value, 1) for value in decode(hue, chroma, torch.full((1, 1, 1, 1), 0.4), fade=0)[0].flatten().tolist()]
    [0.7, 0.3, 0.2]
    """
    K = hue.shape[1]
    angle = 2 * math.pi * (torch.arange(K, dtype=hue.dtype, device=hue.device) + 0.5) / K
    x, y = (torch.einsum("nkhw,k->nhw", hue, part(angle))[:, None] for part in (torch.cos, torch.sin))
    h = torch.atan2(y, x) / (2 * math.pi) % 1
    c = ((chroma.cumsum(1) < 0.5).sum(1, keepdim=True) + 0.5) / K
    if fade:
        c = c * ((x ** 2 + y ** 2).sqrt() / K / fade).clamp(max=1)
    value, saturation = (gray + c / 2).clamp(0, 1), (2 * c / (2 * gray + c).clamp_min(1e-12)).clamp(0, 1)
    spread = saturation * value                             # hsv -> rgb: value less how far the hue is from each primary
    distance = torch.cat([((h * 6 + shift) % 6) for shift in (5.0, 3.0, 1.0)], 1)
    rgb = value - spread * torch.minimum(distance, 4 - distance).clamp(0, 1)
    return (rgb - rgb.mean(1, keepdim=True) + gray).clamp(0, 1)


def palette_of(rgb, bins):
    """What a picture's colours are as a whole, rgb `(N, 3, H, W)` in [0, 1] -> (hue, weighted by chroma; chroma), shares of bins `(N, bins)`; all
    hues alike for a grey picture.

    >>> of_hue, of_chroma = palette_of(torch.tensor([0.0, 0.9, 0.0]).view(1, 3, 1, 1), bins=3)      # all green
    >>> of_hue.round(decimals=2).tolist(), of_chroma.tolist()
    ([[0.0, 1.0, 0.0]], [[0.0, 0.0, 1.0]])
    """
    hue, chroma = (one.flatten(1) for one in hue_chroma(rgb))
    place = lambda values: (values * bins).long().clamp(0, bins - 1)
    share = lambda values, weight: torch.zeros(len(rgb), bins, device=rgb.device).scatter_add_(1, place(values), weight)
    of_hue = share(hue, chroma) + 1e-6
    return of_hue / of_hue.sum(1, keepdim=True), share(chroma, torch.full_like(chroma, 1 / chroma.shape[1]))


def bend(found, wanted, weight=None):
    """Histograms `(N, K, P)` -> the nearest ones, in relative entropy summed over places, whose (weighted) average is `wanted` `(N, K)`.

    All places' histograms are multiplied by the same K factors and brought to sum 1 again, which is iterative proportional scaling (Deming and
    Stephan 1940). weight: `(N, 1, P)`. Bins that are wanted but nowhere found stay empty.

    >>> found, wanted = torch.full((1, 2, 3), 0.5), torch.tensor([[0.9, 0.1]])      # 3 places that know nothing
    >>> [round(share, 2) for share in bend(found, wanted).mean(2)[0].tolist()]
    [0.9, 0.1]
    """
    weight = torch.ones_like(found[:, :1]) if weight is None else weight
    weight = weight / weight.sum(2, keepdim=True).clamp_min(1e-12)
    bent, factors = found, torch.ones_like(wanted)
    for _ in range(BEND_ROUNDS):
        mean = (bent * weight).sum(2)                                                               # (N, K)
        factors = factors * (wanted / mean.clamp_min(1e-12)).clamp(1e-3, 1e3)
        factors = factors / factors.amax(1, keepdim=True).clamp_min(1e-12)
        bent = found * factors[..., None]
        bent = bent / bent.sum(1, keepdim=True).clamp_min(1e-12)
    return bent


# ---------------------------------------------------------------- training

class Step:
    """One update, at random places.

    >>> step = Step(PRESETS["smoke"], train.make_fabric("cpu"))
    >>> [*step({"rgb": torch.randint(256, (2, 3, 32, 32)).byte()})]
    ['loss', 'hue', 'chroma']
    """

    def __init__(self, config, fabric, model=None, compile=False):
        self.config, self.fabric = config, fabric
        train.seed_everything(config.seed)
        model = model or Hypercolumns(config)
        if config.one_cycle:
            optimizer = torch.optim.AdamW(model.parameters(), config.learning_rate, weight_decay=0.01)
            self.schedule = one_cycle(optimizer, config.learning_rate, config.steps)
        else:
            optimizer = torch.optim.SGD(model.parameters(), config.learning_rate, momentum=0.9, weight_decay=config.weight_decay)
            self.schedule = torch.optim.lr_scheduler.MultiStepLR(optimizer, config.decay_at)
        self.model, self.optimizer = train.prepare(fabric, model, optimizer, compile)

    def __call__(self, batch):
        found = train.descend(self.fabric, self.model, self.optimizer, self.losses, batch)
        self.schedule.step()
        return found

    def losses(self, batch):
        config, rgb = self.config, batch["rgb"].float() / 255
        gray = rgb.mean(1, keepdim=True) if config.gray == "mean" else lab.gray_of(lab.rgb_to_lab(rgb)[:, :1])
        room = rgb.new_tensor(rgb.shape[-2:]) - 2 * config.margin
        places = (torch.rand(len(rgb), config.places, 2, device=rgb.device) * room).floor() + config.margin
        hue, chroma = self.model(gray, places)
        return hypercolumn_loss(hue, chroma, rgb, gray, places, config)

    def result(self):
        """The trained network."""
        return self.model.module.eval()


def hypercolumn_loss(hue, chroma, rgb, gray, places, config):
    """Logits at places against rgb `(N, 3, H, W)`: {"loss", "hue", "chroma"}, means over places.

    >>> logits, places = torch.zeros(1, 1, 32), torch.zeros(1, 1, 2)      # all colours alike
    >>> grey = torch.full((1, 3, 8, 8), 0.5)
    >>> found = hypercolumn_loss(logits, logits, grey, grey[:, :1], places, PAPER)
    >>> round(found["chroma"].item(), 3), round(math.log(32), 3), round(found["hue"].item(), 3)      # grey has no hue
    (3.466, 3.466, 0.0)
    """
    true_hue, true_chroma = hue_chroma(rgb)
    divergence = lambda logits, true: F.kl_div(F.log_softmax(logits, -1), histograms(true, places, config.bins, config.window), reduction="none").sum(-1)
    c, l = (sample(one, places, 1)[..., 0] for one in (true_chroma, gray))                          # (N, P)
    of_chroma = (divergence(chroma, true_chroma) * (3 * torch.minimum(l, 1 - l)).clamp(max=1)).mean()
    of_hue = (divergence(hue, true_hue) * c).mean()
    return {"loss": of_chroma + config.hue_weight * of_hue, "hue": of_hue, "chroma": of_chroma}


def make_step(config, fabric, dataset, run=None, progress=None, compile=False):
    """A `Step` for `config`; any colour pictures, with labels for backbone="trained". Raises what `vgg.begin` raises.

    >>> step = make_step(replace(PRESETS["smoke"], pretraining=(0, 0.0)), train.make_fabric("cpu"), dataset=None)
    >>> colorize(step.result(), {"L": torch.rand(1, 1, 9, 13) * 100}).shape
    torch.Size([1, 2, 9, 13])
    """
    train.seed_everything(config.seed)
    model = Hypercolumns(config)
    vgg.begin(model.vgg, config, fabric, dataset, run, progress)
    return Step(config, fabric, model, compile)


# ---------------------------------------------------------------- use

def build(config, pretrained=False):
    """An untrained `Hypercolumns`.

    >>> with torch.device("meta"):      # counted, without memory
    ...     print(sum(map(torch.numel, build(PAPER).parameters())))
    147041024
    """
    return Hypercolumns(config)


@torch.no_grad()
def predict(model, gray):
    """Grey `(N, 1, H, W)` in [0, 1], of any size -> histograms of hue and chroma `(N, bins, h, w)`, every `stride` px.

    >>> hue, chroma = predict(build(PRESETS["smoke"]), torch.rand(1, 1, 30, 41))
    >>> hue.shape, chroma.shape
    (torch.Size([1, 32, 8, 11]), torch.Size([1, 32, 8, 11]))
    """
    smallest = 32 if model.config.fully_connected else 16
    height, width, stride = *gray.shape[-2:], model.config.stride
    padded = F.pad(gray, (0, max(0, smallest - width), 0, max(0, smallest - height)), mode="replicate")
    places, shape = places_of(gray, stride)
    return tuple(as_maps(logits, shape) for logits in model.eval()(padded, places))


def places_of(x, stride):
    """The middles of the squares of `stride` px of pictures `(N, C, H, W)`: places `(N, P, 2)`, row and column in px, and (rows, columns) of them."""
    rows, columns = (torch.arange(0, side, stride, device=x.device) for side in x.shape[-2:])
    places = torch.stack(torch.meshgrid(rows, columns, indexing="ij"), -1).flatten(0, 1).add((stride - 1) / 2).expand(x.shape[0], -1, -1)
    return places.to(x), (rows.shape[0], columns.shape[0])      # not len: exporters follow shapes


def as_maps(logits, shape):
    """Logits `(N, P, K)` at `places_of` -> probabilities `(N, K, rows, columns)`."""
    return logits.softmax(-1).unflatten(1, shape).permute(0, 3, 1, 2)


@torch.no_grad()
def colorize(model, batch):
    """batch {"L": `(N, 1, H, W)` in [0, 100]} -> ab `(N, 2, H, W)` in CIE units, of any size.

    With "reference", rgb `(N, 3, h, w)`, uint8 or in [0, 1], of pictures whose colours, as a whole, these are to have; the true picture is the
    paper's oracle.

    >>> batch = {"L": torch.rand(1, 1, 30, 41) * 100, "reference": torch.rand(1, 3, 20, 30)}
    >>> colorize(build(PRESETS["smoke"]), batch).shape
    torch.Size([1, 2, 30, 41])
    """
    gray, config = lab.gray_of(batch["L"]), model.config
    hue, chroma = predict(model, gray)
    if (rgb := batch.get("reference")) is not None:
        rgb = rgb.float() / 255 if rgb.dtype == torch.uint8 else rgb
        of_hue, of_chroma = palette_of(rgb.to(gray), config.bins)
        small = chroma.shape
        chroma = bend(chroma.flatten(2), of_chroma)
        expected = torch.einsum("nkp,k->np", chroma, (torch.arange(config.bins, device=gray.device) + 0.5) / config.bins)[:, None]
        hue, chroma = bend(hue.flatten(2), of_hue, expected).view(small), chroma.view(small)
    enlarge = lambda x: F.interpolate(x, scale_factor=config.stride, mode="bilinear")[..., :gray.shape[-2], :gray.shape[-1]]
    return lab.rgb_to_lab(decode(enlarge(hue), enlarge(chroma), gray, config.fade))[:, 1:]


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
    ['VGG-16', 'from hypercolumns']
    """
    network = Hypercolumns(config)
    return {"VGG-16": network.vgg, "from hypercolumns": nn.ModuleList([network.to_hidden, network.to_hue, network.to_chroma])}
