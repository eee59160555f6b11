"""Let there be Color!: local features say what lies where, global ones what kind of picture it is, and both meet at every place.

Iizuka, Simo-Serra, Ishikawa, "Let there be Color!: Joint End-to-end Learning of Global and Local Image Priors for Automatic Image Colorization with
Simultaneous Classification" (SIGGRAPH 2016, doi 10.1145/2897824.2925974); shapes after the authors' `colorize.lua` and the port
shufanwu/colorNet-pytorch (both read only). Grey in, ab out. One convolutional trunk is run on the picture at its own size and on a copy squeezed to
224 px; the copy goes on to one vector. Fusion is a 1x1 convolution over [local; vector], the same as in Deep Koalarization, which took it from here
with a frozen classifier's vector; this vector learns from the picture's class, beside the colours:

    |ab - ab*|^2 + 1/300 cross-entropy(class)

The port puts the sigmoid before the last convolution; here it is at the end, where the released model's range, (2 y - 1) 100 for a and b, asks for
it. The vector of another picture gives its mood to this one: `colorize` with a reference.
"""
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import nn

from colorlib import lab, train
from colorlib.blocks import at_any_size, one_cycle

__all__ = ["Config", "PAPER", "PRESETS", "TRAINING_ABLATIONS", "GlobalFeatures", "LocalGlobal", "squeeze", "Step",
           "make_step", "build", "colorize", "variants", "networks"]

CHOICES = {"gray": ("luma", "lightness")}


@dataclass(frozen=True)
class Config:
    """Defaults are the paper's and the port's; `(ours)` marks what they do not have. Raises ValueError for a value that cannot be.

    >>> Config().classes, Config().global_size, Config().ab_max
    (205, 224, 100.0)
    >>> Config(gray="lab")
    Traceback (most recent call last):
        ...
    ValueError: gray is 'lab': choose one of luma, lightness.
    """
    width: int = 64                     # maps of the first convolution
    global_size: int = 224              # side of the square the global features see
    classes: int = 205                  # Places205; at training, as many as the data have
    class_weight: float = 1 / 300       # of the cross-entropy; without labels it is left out
    ab_max: float = 100.0               # y = (ab / ab_max + 1) / 2
    gray: str = "luma"                  # what it is given in training; (ours) "lightness", the grey that has the colour's L*, as in use
    gray_mean: float = 0.4488           # (ours: the released file holds a mean that could not be read) subtracted from the grey
    adadelta: bool = True               # (ours) False: AdamW with a warm-up and a cosine to zero
    learning_rate: float = 1.0          # ADADELTA needs none
    batch_size: int = 128
    steps: int = 200_000                # 11 epochs of Places205 (unverified)
    image_size: int = 224
    seed: int = 0

    def __post_init__(self):
        for field, known in CHOICES.items():
            if getattr(self, field) not in known:
                raise ValueError(f"{field} is {getattr(self, field)!r}: choose one of {', '.join(known)}.")
        if self.global_size % 32:
            raise ValueError(f"global_size is {self.global_size}: take a multiple of 32.")


PAPER = Config()
OURS = replace(PAPER, gray="lightness", adadelta=False, classes=10)
PRESETS = {"paper": PAPER,
           "class": replace(OURS, width=14, global_size=96, learning_rate=3e-3, batch_size=16, steps=4_000, image_size=96),
           "smoke": replace(OURS, width=8, global_size=64, learning_rate=5e-3, batch_size=8, steps=150, image_size=64)}
TRAINING_ABLATIONS = {"as it is": {}, "no class": {"class_weight": 0.0}, "class counts thirty times as much": {"class_weight": 0.1}}


# ---------------------------------------------------------------- the network

def conv(channels_in, channels_out, stride=1):
    """3x3 convolution, batch norm, ReLU."""
    return nn.Sequential(nn.Conv2d(channels_in, channels_out, 3, stride, 1), nn.BatchNorm2d(channels_out), nn.ReLU(inplace=True))


def dense(features_in, features_out):
    """A linear layer, batch norm, ReLU."""
    return nn.Sequential(nn.Linear(features_in, features_out), nn.BatchNorm1d(features_out), nn.ReLU(inplace=True))


class GlobalFeatures(nn.Module):
    """Low-level maps of the squeezed picture `(N, 512, S/8, S/8)` -> (the layer the class is told from `(N, 512)`, the vector `(N, 256)`).

    >>> hidden, vector = GlobalFeatures(PRESETS["smoke"])(torch.rand(2, 64, 8, 8))
    >>> hidden.shape, vector.shape
    (torch.Size([2, 64]), torch.Size([2, 32]))
    """

    def __init__(self, config):
        super().__init__()
        w, cells = config.width, config.global_size // 32
        self.convs = nn.Sequential(conv(8 * w, 8 * w, 2), conv(8 * w, 8 * w), conv(8 * w, 8 * w, 2), conv(8 * w, 8 * w))
        self.hidden = nn.Sequential(dense(8 * w * cells ** 2, 16 * w), dense(16 * w, 8 * w))
        self.vector = dense(8 * w, 4 * w)

    def forward(self, x):
        hidden = self.hidden(self.convs(x).flatten(1))
        return hidden, self.vector(hidden)


class LocalGlobal(nn.Module):
    """Grey `(N, 1, H, W)` in [0, 1], H and W multiples of 8, and the same or another picture squeezed `(N, 1, S, S)` -> (y `(N, 2, H, W)` in
    [0, 1], class logits `(N, classes)`).

    >>> y, logits = LocalGlobal(PRESETS["smoke"])(torch.rand(2, 1, 32, 48), torch.rand(2, 1, 64, 64))
    >>> y.shape, logits.shape
    (torch.Size([2, 2, 32, 48]), torch.Size([2, 10]))
    """

    def __init__(self, config):
        super().__init__()
        self.config, w = config, config.width
        self.low = nn.Sequential(conv(1, w, 2), conv(w, 2 * w), conv(2 * w, 2 * w, 2), conv(2 * w, 4 * w), conv(4 * w, 4 * w, 2), conv(4 * w, 8 * w))
        self.mid = nn.Sequential(conv(8 * w, 8 * w), conv(8 * w, 4 * w))
        self.whole = GlobalFeatures(config)
        self.fuse = nn.Sequential(nn.Conv2d(8 * w, 4 * w, 1), nn.BatchNorm2d(4 * w), nn.ReLU(inplace=True))
        up = lambda: nn.Upsample(scale_factor=2)
        self.paint = nn.Sequential(conv(4 * w, 2 * w), up(), conv(2 * w, w), conv(w, w), up(), conv(w, w // 2))
        self.to_y = nn.Conv2d(w // 2, 2, 3, padding=1)
        self.to_classes = nn.Sequential(dense(8 * w, 4 * w), nn.Linear(4 * w, config.classes))

    def forward(self, gray, squeezed):
        mean = self.config.gray_mean
        local = self.mid(self.low(gray - mean))                                                         # (N, 256, H/8, W/8)
        hidden, vector = self.whole(self.low(squeezed - mean))
        x = self.fuse(torch.cat([local, vector[..., None, None].expand(-1, -1, *local.shape[2:])], 1))
        y = torch.sigmoid(self.to_y(self.paint(x)).float())                                             # (N, 2, H/2, W/2)
        return F.interpolate(y, scale_factor=2, mode="bilinear"), self.to_classes(hidden)


def squeeze(gray, config):
    """Grey `(N, 1, H, W)` of any size -> the square `(N, 1, S, S)` the global features see.

    >>> squeeze(torch.rand(1, 1, 30, 41), PRESETS["smoke"]).shape
    torch.Size([1, 1, 64, 64])
    """
    side = config.global_size
    return gray if gray.shape[-2:] == (side, side) else F.interpolate(gray, (side, side), mode="bilinear", antialias=True)


# ---------------------------------------------------------------- training

class Step:
    """One update. has_labels: whether the data name what pictures show, which teaches the global features.

    >>> step = Step(PRESETS["smoke"], train.make_fabric("cpu"))
    >>> [*step({"rgb": torch.randint(256, (2, 3, 32, 32)).byte(), "label": torch.tensor([0, 1])})]
    ['loss', 'color', 'class']
    """

    def __init__(self, config, fabric, has_labels=True, compile=False):
        self.config, self.fabric = config, fabric
        self.notes = "" if has_labels or not config.class_weight else "no labels: trained without the class"
        self.class_weight = config.class_weight if has_labels else 0.0
        train.seed_everything(config.seed)
        model = LocalGlobal(config)
        if config.adadelta:
            optimizer = torch.optim.Adadelta(model.parameters(), config.learning_rate)
            self.schedule = torch.optim.lr_scheduler.ConstantLR(optimizer, 1.0)
        else:
            optimizer = torch.optim.AdamW(model.parameters(), config.learning_rate, weight_decay=0.01)
            self.schedule = one_cycle(optimizer, config.learning_rate, config.steps)
        self.model, self.optimizer = train.prepare(fabric, model, optimizer, compile)

    def __call__(self, batch):
        found = train.descend(self.fabric, self.model, self.optimizer, self.losses, batch)
        self.schedule.step()
        return found

    def losses(self, batch):
        config, rgb = self.config, batch["rgb"].float() / 255
        L, ab = lab.rgb_to_lab(rgb).split([1, 2], 1)
        gray = lab.luma_of(rgb) if config.gray == "luma" else lab.gray_of(L)
        y, logits = self.model(gray, squeeze(gray, config))
        color = F.mse_loss(y, (ab / config.ab_max + 1) / 2)
        if not self.class_weight:
            return {"loss": color + 0 * logits.sum()}
        kind = F.cross_entropy(logits.float(), batch["label"])
        return {"loss": color + self.class_weight * kind, "color": color, "class": kind}

    def result(self):
        """The trained network."""
        return self.model.module.eval()


def make_step(config, fabric, dataset, run=None, progress=None, compile=False):
    """A `Step` for `config`; any colour pictures. Labels, where there are some, teach the class; as many classes as there are labels.

    >>> labelled = [{"rgb": torch.zeros(3, 32, 32).byte(), "label": 3}]
    >>> step = make_step(PRESETS["smoke"], train.make_fabric("cpu"), labelled)
    >>> step.config.classes
    4
    """
    has_labels = "label" in dataset[0]
    if has_labels and config.class_weight:
        config = replace(config, classes=1 + max(int(dataset[i]["label"]) for i in range(len(dataset))))
    return Step(config, fabric, has_labels, compile)


# ---------------------------------------------------------------- use

def build(config, pretrained=False):
    """An untrained `LocalGlobal`.

    >>> with torch.device("meta"):      # counted, without memory
    ...     print(sum(map(torch.numel, build(PAPER).parameters())))
    42367343
    """
    return LocalGlobal(config)


@torch.no_grad()
def colorize(model, batch):
    """batch {"L": `(N, 1, H, W)` in [0, 100]} -> ab `(N, 2, H, W)` in CIE units, of any size.

    With "reference", rgb `(N, 3, h, w)`, uint8 or in [0, 1], of pictures whose global features are to be used (the paper's style transfer); their
    colours are not looked at.

    >>> colorize(build(PRESETS["smoke"]), {"L": torch.rand(2, 1, 30, 41) * 100}).shape
    torch.Size([2, 2, 30, 41])
    """
    gray, other = lab.gray_of(batch["L"]), batch.get("reference")
    squeezed = squeeze(gray if other is None else lab.gray_of(lab.rgb_to_lab(other)[:, :1]).to(gray), model.config)
    y = at_any_size(lambda x: model.eval()(x, squeezed)[0], gray, 8)
    return (2 * y - 1) * model.config.ab_max


def variants(model):
    """What the results table compares: {row name: function of a batch -> ab}.

    >>> [*variants(build(PRESETS["smoke"]))]
    ['', "another's global features"]
    """
    another = lambda batch: lab.gray_of(batch["L"].roll(1, 0)).expand(-1, 3, -1, -1)
    return {"": lambda batch: colorize(model, batch), "another's global features": lambda batch: colorize(model, batch | {"reference": another(batch)})}


def networks(config):
    """The parts a parameter table lists.

    >>> [*networks(PRESETS["smoke"])]
    ['low-level features', 'mid-level features', 'global features', 'fusion and colours', 'class']
    """
    network = LocalGlobal(config)
    return {"low-level features": network.low, "mid-level features": network.mid, "global features": network.whole,
            "fusion and colours": nn.ModuleList([network.fuse, network.paint, network.to_y]), "class": network.to_classes}
