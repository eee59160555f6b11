"""PhotoNet: colorlib's own automatic network (ours; not a published system): what the chapters found, put together for a small computer.

From Zhang et al. 2016, the answer is a distribution over 313 colours, so that how vivid to paint is chosen after training. From Larsson et al. 2016,
it is read at random places from all layers at once, so that an update pays for no decoder. From Iizuka et al. 2016 and Deep Koalarization, every
place is told what the whole picture shows, and where the data have labels that vector learns to name them. Ours: a residual encoder (He et al. 2016),
pictures shown larger and smaller, lighter and darker, small ones first; averaged weights; and the mean of what it sees in the picture and in its
mirror image.

L in, ab out: the annealed mean of the distribution, made stronger by a gain, with a knee only where it is sure (`koalarization.enliven`);
temperature, gain and knee were chosen on photographs that no training saw (`python -m colorlib tune photonet`).
"""
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import nn

from colorlib import lab, train
from colorlib.papers import cic
from colorlib.papers.koalarization import Residual, enliven
from colorlib.papers.larsson import as_maps, places_of, sample

__all__ = ["Config", "PAPER", "PRESETS", "RECIPES", "DECODINGS", "PhotoNet", "Step", "make_step", "build", "predict",
           "colorize", "decode", "variants", "networks"]


@dataclass(frozen=True)
class Config:
    """Defaults are those of `paper`, which is larger and learns longer than the others, as there is no paper.

    >>> Config().bins, Config().learning_rate, Config().mirror
    (313, 0.004, True)
    """
    channels: tuple = (32, 64, 128, 256, 384)       # of the maps at 1/2, 1/4, ... of the size
    blocks: int = 2                                 # residual blocks a map
    hidden: int = 384
    bins: int = 313                                 # of `lab.ab_bins`
    neighbors: int = 5                              # bins that share a true colour
    sigma: float = 5.0                              # CIE units, how they share it
    places: int = 128                               # of each picture in an update
    classes: int = 1000
    class_weight: float = 0.1                       # of the loss that names what is shown; 0: labels are not looked at
    uniform: float = 0.5                            # share of the uniform distribution in the weights of rare colours
    alpha: float = 0.0                              # exponent of these weights; 0: all colours alike, 1: as Zhang et al.
    zoom: float = 0.6                               # smallest part of a picture's side that is shown
    contrast: float = 0.2                           # standard deviation of the log of a random gamma on L
    small: tuple = (0.6, 0.75)                      # (share of the updates, part of the size) that comes first
    learning_rate: float = 4e-3                     # AdamW, one cycle
    weight_decay: float = 0.05
    average_over: float = 0.03                      # share of all updates that the running average of the weights looks back; 0: the last weights
    batch_size: int = 64
    steps: int = 200_000
    image_size: int = 192
    stride: int = 2                                 # px between the places that are painted
    mirror: bool = True                             # whether the mirror image is asked, too
    temperature: float = 1.0                        # of the annealed mean
    chroma_gain: float = 1.0
    chroma_knee: float = 0.0                        # CIE units
    seed: int = 0


PAPER = Config()
SMALL = replace(PAPER, classes=10, hidden=256, batch_size=32)
PRESETS = {"paper": PAPER,
           "class": replace(SMALL, channels=(24, 40, 80, 160, 224), class_weight=0.25, zoom=0.75, small=(0.5, 0.75), steps=12_000, image_size=128,
                            chroma_gain=1.35),
           "smoke": replace(SMALL, channels=(8, 16, 24, 32, 48), blocks=1, hidden=64, batch_size=8, steps=150, image_size=64, learning_rate=8e-3)}
FIRST = {"class_weight": 0.1, "zoom": 0.6, "small": (0.6, 0.75), "chroma_gain": 1.0}       # what the comparisons began with
RECIPES = {name: FIRST | changes for name, changes in {      # what was tried with shorter trainings, see `tuning.py`
    "as it is": {}, "labels not looked at": {"class_weight": 0.0}, "labels weigh five times": {"class_weight": 0.5}, "one scale": {"zoom": 1.0},
    "contrast left alone": {"contrast": 0.0}, "full size from the start": {"small": (0.0, 1.0)}, "rare colours weigh more": {"alpha": 0.5},
    "last weights, not averaged": {"average_over": 0.0}, "half the rate": {"learning_rate": 2e-3}}.items()} | {"as chosen": {}}
DECODINGS = {"as it is": {"chroma_gain": 1.0}, "mirror image not asked": {"mirror": False, "chroma_gain": 1.0}} | {      # with trained weights
    f"temperature {t}, gain {g}, knee {k}": {"temperature": t, "chroma_gain": g, "chroma_knee": k}
    for t in (1.0, 0.7, 0.5) for g, k in ((1.0, 0.0), (1.2, 0.0), (1.3, 0.0), (1.35, 0.0), (1.4, 0.0), (1.2, 8.0), (1.4, 8.0))}


# ---------------------------------------------------------------- the network

class PhotoNet(nn.Module):
    """L `(N, 1, H, W)` in [0, 100] and places `(N, P, 2)`, row and column in px -> logits of the colours there `(N, P, bins)` and of the classes `(N,
    classes)`.

    >>> colors, classes = PhotoNet(PRESETS["smoke"])(torch.zeros(2, 1, 64, 64), torch.zeros(2, 5, 2))
    >>> colors.shape, classes.shape
    (torch.Size([2, 5, 313]), torch.Size([2, 10]))
    """

    def __init__(self, config):
        super().__init__()
        self.config, widths = config, (config.channels[0], *config.channels)
        self.stem = nn.Sequential(nn.Conv2d(1, widths[0], 3, 2, 1, bias=False), nn.BatchNorm2d(widths[0]), nn.ReLU(),
                                  nn.Conv2d(widths[0], widths[1], 3, 1, 1, bias=False), nn.BatchNorm2d(widths[1]), nn.ReLU())
        self.stages = nn.ModuleList(
            nn.Sequential(*(Residual(widths[level if i == 0 else level + 1], widths[level + 1], 1 if i else 2) for i in range(config.blocks)))
            for level in range(1, len(config.channels)))
        self.to_hidden = nn.Linear(1 + sum(config.channels) + config.channels[-1], config.hidden)
        self.to_second = nn.Linear(config.hidden, config.hidden)
        self.to_bins = nn.Linear(config.hidden, config.bins)
        self.to_classes = nn.Linear(config.channels[-1], config.classes)
        self.register_buffer("class_weights", torch.ones(config.bins))          # of the colours, by which it was trained

    def forward(self, L, places):
        x = lab.scale_L(L)
        maps, scale = [sample(x, places, 1)], 2
        x = self.stem(x)
        maps.append(sample(x.float(), places, scale))
        for stage in self.stages:
            x, scale = stage(x), 2 * scale
            maps.append(sample(x.float(), places, scale))                                               # (N, P, C)
        whole = x.mean((2, 3))                                                                          # (N, C)
        column = torch.cat([*maps, whole[:, None].expand(-1, places.shape[1], -1).to(maps[0])], 2)
        hidden = F.relu(self.to_hidden(column))
        hidden = hidden + F.relu(self.to_second(hidden))
        return self.to_bins(hidden).float(), self.to_classes(whole).float()


# ---------------------------------------------------------------- training

class Step:
    """One update, at random places. prior: `cic.measure_prior` of the training set, which matters where rare colours weigh more.

    >>> step = Step(PRESETS["smoke"], train.make_fabric("cpu"))
    >>> [*step({"rgb": torch.randint(256, (2, 3, 64, 64)).byte(), "label": torch.tensor([0, 1])})]
    ['loss', 'color', 'class']
    """

    def __init__(self, config, fabric, prior=None, compile=False):
        self.config, self.fabric = config, fabric
        train.seed_everything(config.seed)
        model = PhotoNet(config)
        if config.alpha:
            model.class_weights.copy_(lab.rebalancing_weights(prior, config.uniform, config.alpha))
        self.centres = lab.ab_bins(config.bins).to(fabric.device)
        optimizer = torch.optim.AdamW(model.parameters(), config.learning_rate, weight_decay=config.weight_decay)
        self.schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, config.learning_rate, total_steps=config.steps + 1, pct_start=0.15)
        self.model, self.optimizer = train.prepare(fabric, model, optimizer, compile)
        self.average = train.moving_average(model, max(0.0, 1 - 1 / max(1.0, config.average_over * config.steps)))

    def __call__(self, batch):
        found = train.descend(self.fabric, self.model, self.optimizer, self.losses, batch)
        self.schedule.step()
        self.average.update_parameters(self.model.module)
        return found

    def losses(self, batch):
        config, done = self.config, self.schedule.last_epoch / self.config.steps
        L, ab = lab.rgb_to_lab(zoom_in(batch["rgb"].float() / 255, config.zoom, config.small[1] if done < config.small[0] else 1.0)).split([1, 2], 1)
        places = (torch.rand(len(L), config.places, 2, device=L.device) * L.new_tensor(L.shape[-2:])).floor()
        colors, classes = self.model(random_gamma(L, config.contrast), places)
        bins, share = lab.soft_bins(sample(ab, places, 1).transpose(1, 2)[..., None], self.centres, config.neighbors, config.sigma)
        bins, share = (x[..., 0].transpose(1, 2) for x in (bins, share))                                # (N, P, k)
        weight = (share * self.model.module.class_weights[bins]).sum(2)                                 # (N, P)
        found = {"color": (-(share * colors.log_softmax(2).gather(2, bins)).sum(2) * weight).mean()}
        if config.class_weight and "label" in batch:
            found["class"] = F.cross_entropy(classes, batch["label"], label_smoothing=0.1)
        elif self.fabric.world_size > 1:      # processes that share their gradients want one of every parameter
            found["color"] = found["color"] + 0.0 * classes.sum()
        return {"loss": found["color"] + config.class_weight * found.get("class", 0.0)} | found

    def result(self):
        """The trained network, weights averaged."""
        return self.average.module.eval()


def zoom_in(rgb, least, scale):
    """A random square of `least` to 1 of the side of pictures `(N, 3, S, S)`, the same of all, brought to `scale` times S, a multiple of 32."""
    side = rgb.shape[-1]
    part = round(side * (least + (1 - least) * float(torch.rand(()))))
    top, left = (int(torch.randint(side - part + 1, ())) for _ in range(2))
    target = max(32, round(scale * side / 32) * 32)
    return F.interpolate(rgb[..., top:top + part, left:left + part], (target, target), mode="bilinear", antialias=True).clamp(0, 1)


def random_gamma(L, deviation):
    """L `(N, 1, H, W)` in [0, 100] with a random exponent, log-normal, a picture."""
    return 100 * (L / 100).clamp(1e-4, 1) ** torch.exp(deviation * torch.randn(len(L), 1, 1, 1, device=L.device)) if deviation else L


def make_step(config, fabric, dataset, run=None, progress=None, compile=False):
    """A `Step` for `config`; any colour pictures, with labels or without; with room for more classes where the labels need it.

    >>> labelled = [{"rgb": torch.zeros(3, 64, 64).byte(), "label": 11}]
    >>> PRESETS["smoke"].classes, make_step(PRESETS["smoke"], train.make_fabric("cpu"), labelled).config.classes
    (10, 12)
    """
    if config.class_weight and "label" in dataset[0]:
        config = replace(config, classes=max(config.classes, 1 + max(int(dataset[i]["label"]) for i in range(len(dataset)))))
    labels = cic.Config(bins=config.bins, neighbors=config.neighbors, sigma=config.sigma)      # what a prior depends on
    return Step(config, fabric, cic.measure_prior(dataset, labels) if config.alpha else None, compile)


# ---------------------------------------------------------------- use

def build(config, pretrained=True):
    """An untrained `PhotoNet`.

    >>> with torch.device("meta"):      # counted, without memory
    ...     print(sum(map(torch.numel, build(PAPER).parameters())))
    8868161
    """
    return PhotoNet(config)


@torch.no_grad()
def predict(model, L):
    """L `(N, 1, H, W)` in [0, 100], of any size -> probabilities of the colours `(N, bins, h, w)`, every `stride` px; of the mirror image, too, if
    the config says so, whose mean with the picture's is then given.

    >>> shares = predict(build(PRESETS["smoke"]), torch.rand(1, 1, 30, 40) * 100)
    >>> shares.shape, round(shares[0, :, 0, 0].sum().item(), 3)
    (torch.Size([1, 313, 15, 20]), 1.0)
    """
    height, width, stride = *L.shape[-2:], model.config.stride
    padded = F.pad(L, (0, -width % stride, 0, -height % stride), mode="replicate")
    places, shape = places_of(padded, stride)
    answer = lambda x: as_maps(model.eval()(x, places)[0], shape)
    return (answer(padded) + answer(padded.flip(-1)).flip(-1)) / 2 if model.config.mirror else answer(padded)


@torch.no_grad()
def colorize(model, batch):
    """batch {"L": `(N, 1, H, W)` in [0, 100]} -> ab `(N, 2, H, W)` in CIE units. Deterministic; any size of at least 1 x 1.

    >>> colorize(build(PRESETS["smoke"]), {"L": torch.rand(2, 1, 30, 41) * 100}).shape
    torch.Size([2, 2, 30, 41])
    """
    return decode(predict(model, batch["L"]), model.config, batch["L"].shape[-2:])


def decode(shares, config, size):
    """Probabilities `(N, bins, h, w)` every `stride` px -> ab `(N, 2, *size)` in CIE units.

    >>> shares = torch.zeros(1, 313, 2, 2)
    >>> shares[:, 7] = 1      # all sure of one colour, painted a fifth more vivid
    >>> ab = decode(shares, replace(PAPER, chroma_gain=1.2), size=(4, 3))
    >>> ab.shape, torch.allclose(ab[0, :, 0, 0], 1.2 * lab.ab_bins(313)[7], atol=0.01)
    (torch.Size([1, 2, 4, 3]), True)
    """
    ab = lab.annealed_mean(shares.clamp_min(1e-12).log(), lab.ab_bins(config.bins), config.temperature)
    ab = F.interpolate(ab, scale_factor=config.stride, mode="bilinear")[..., :size[0], :size[1]]
    return enliven(ab, config.chroma_gain, config.chroma_knee)


def variants(model):
    """What the results table compares: {row name: function of a batch -> ab}.

    >>> [*variants(build(PRESETS["smoke"]))]
    ['', 'plain mean']
    """
    plain = replace(model.config, temperature=1.0, chroma_gain=1.0, chroma_knee=0.0)
    return {"": lambda batch: colorize(model, batch), "plain mean": lambda batch: decode(predict(model, batch["L"]), plain, batch["L"].shape[-2:])}


def networks(config):
    """The parts a parameter table lists.

    >>> [*networks(PRESETS["smoke"])]
    ['encoder', 'from all layers to colours', 'classes']
    """
    net = PhotoNet(config)
    return {"encoder": nn.ModuleList([net.stem, net.stages]), "from all layers to colours": nn.ModuleList([net.to_hidden, net.to_second, net.to_bins]),
            "classes": net.to_classes}
