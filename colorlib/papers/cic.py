"""Colorful Image Colorization: a network that gives each pixel a distribution over 313 colours, trained so that rare colours count.

Zhang, Isola, Efros (ECCV 2016, arXiv 1603.08511); after richzhang/colorization (`colorizers/eccv16.py` and the Caffe files). From L, eight blocks of
3x3 convolutions, dilated in the middle, go down to an eighth of the size and up to a quarter. Where Z is the true distribution of a pixel over the
Q colours, Z' the network's and p_q how often colour q occurs, training minimises (Eqs. 2 to 4), and painting takes the annealed mean (Eq. 5):

    - sum_pixels w_q* sum_q Z_q log Z'_q,     q* = argmax Z,     w_q = 1 / ((1 - lambda) p_q + lambda / Q), scaled so that sum p w = 1
    ab = sum_q f_q ab_q,     f_q = Z'_q^(1 / T) / sum_k Z'_k^(1 / T)

Where the sources differ. Caffe's batch norm has no scale and shift, PyTorch's, and ours, has both. Caffe feeds L - 50, PyTorch, and we, (L - 50) /
100. Caffe sharpens with T = 0.38 in its last layers; the PyTorch code takes the plain mean of its softmax (its weights were converted; whether the
sharpening is inside them could not be checked here), so its weights belong to `RELEASED`, with temperature 1.
"""
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import nn

from colorlib import lab, losses, train

__all__ = ["Config", "PAPER", "RELEASED", "PRESETS", "ColorfulNet", "bins", "measure_prior", "encode", "Step", "build",
           "make_step", "predict", "decode", "colorize", "undo_rebalancing", "distributions", "variants", "networks",
           "from_official"]

DEAD = -1e4                 # the logit of a bin that no screen colour falls into
PRIOR_PICTURES = 2000       # of the training set, from which the colours' frequencies are counted


@dataclass(frozen=True)
class Config:
    """Defaults are the Caffe files' (`train/solver.prototxt`, `models/colorization_train_val_v2.prototxt`); `(ours)` marks what they do not have.

    >>> Config().bins, Config().temperature, Config().learning_rate
    (313, 0.38, 3e-05)
    """
    bins: int = 313                         # of `lab.ab_bins`
    width: int = 64                         # channels of the first block; the second has 2, the third 4, the fourth to seventh 8 times as many
    soft_labels: bool = True                # a Gaussian on the nearest bins (`neighbors`, `sigma`), or the nearest bin alone
    neighbors: int = 10
    sigma: float = 5.0                      # CIE units
    uniform: float = 0.5                    # share of the uniform distribution in the weights (the paper's lambda)
    alpha: float = 1.0                      # exponent of the weights; 0: all colours alike
    normalize: str = "pixels"               # of the loss, see `losses.rebalanced_cross_entropy`
    mask_dead: bool = False                 # no answer may fall into a bin that holds no screen colour; none of the 313 is such a bin
    least_colour: float = 5.0               # pictures in which neither |a| nor |b| exceeds this anywhere do not count in training
    temperature: float = 0.38               # of the annealed mean (paper, Eq. 5)
    upsampling: str = "bilinear"            # of the answer, from a quarter of the size
    learning_rate: float = 3e-5             # Adam
    betas: tuple = (0.9, 0.99)
    weight_decay: float = 1e-3
    decay_every: int = 225_000              # updates, after which the rate is divided by 10
    one_cycle: float = 0.0                  # (ours) peak rate of a warm-up and cosine decay with AdamW, in place of all that
    he_start: bool = False                  # (ours) first weights as in He et al. 2015; False: PyTorch's defaults
    batch_size: int = 40
    steps: int = 500_000
    image_size: int = 176                   # side of the squares trained on
    working_size: int = 256                 # shorter side at which pictures are coloured
    seed: int = 0


PAPER = Config()
RELEASED = replace(PAPER, temperature=1.0)              # for the weights of the authors' PyTorch code
OURS = replace(PAPER, weight_decay=1e-2, betas=(0.9, 0.999), he_start=True)
PRESETS = {
    "paper": PAPER,
    "class": replace(OURS, width=10, one_cycle=5e-3, batch_size=16, steps=5_000, image_size=96, working_size=96),
    "smoke": replace(OURS, width=8, one_cycle=1e-2, batch_size=8, steps=150, image_size=64, working_size=64),
}


# ---------------------------------------------------------------- the network

def block(channels_in, channels_out, strides, dilation=1):
    """3x3 convolutions, one a stride, each with ReLU, and one batch norm at the end."""
    layers = []
    for stride in strides:
        layers += [nn.Conv2d(channels_in, channels_out, 3, stride, padding=dilation, dilation=dilation), nn.ReLU(inplace=True)]
        channels_in = channels_out
    return nn.Sequential(*layers, nn.BatchNorm2d(channels_out))


def widths(config):
    """Channels of the eight blocks."""
    return [factor * config.width for factor in (1, 2, 4, 8, 8, 8, 8, 4)]


class ColorfulNet(nn.Module):
    """L -> logits over the colours `(N, Q, H/4, W/4)`. extra: channels joined to the input of every block but the first and of the last layer.

    >>> ColorfulNet(PRESETS["smoke"])(torch.zeros(1, 1, 16, 24)).shape
    torch.Size([1, 313, 4, 6])
    """

    def __init__(self, config, extra=0):
        super().__init__()
        self.config, (w1, w2, w3, w4, w5, w6, w7, w8) = config, widths(config)
        self.blocks = nn.ModuleList([
            block(1, w1, (1, 2)),                                   # (N, 64, H/2, W/2)
            block(w1 + extra, w2, (1, 2)),                          # (N, 128, H/4, W/4)
            block(w2 + extra, w3, (1, 1, 2)),                       # (N, 256, H/8, W/8)
            block(w3 + extra, w4, (1, 1, 1)),                       # (N, 512, H/8, W/8)
            block(w4 + extra, w5, (1, 1, 1), dilation=2),
            block(w5 + extra, w6, (1, 1, 1), dilation=2),
            block(w6 + extra, w7, (1, 1, 1)),
            nn.Sequential(nn.ConvTranspose2d(w7 + extra, w8, 4, 2, 1), nn.ReLU(inplace=True),      # (N, 256, H/4, W/4)
                          nn.Conv2d(w8, w8, 3, padding=1), nn.ReLU(inplace=True), nn.Conv2d(w8, w8, 3, padding=1), nn.ReLU(inplace=True))])
        self.to_bins = nn.Conv2d(w8 + extra, config.bins, 1)
        self.register_buffer("dead", dead_bins(config), persistent=False)
        self.register_buffer("class_weights", torch.ones(config.bins))          # of the loss it was trained by
        if config.he_start:
            for layer in self.blocks.modules():
                if isinstance(layer, (nn.Conv2d, nn.ConvTranspose2d)):      # of a transposed convolution, the first axis counts the inputs
                    nn.init.kaiming_normal_(layer.weight, mode="fan_out" if isinstance(layer, nn.ConvTranspose2d) else "fan_in", nonlinearity="relu")
                    nn.init.zeros_(layer.bias)

    def forward(self, L, after=lambda number, x: x):
        """L `(N, 1, H, W)` in [0, 100], H and W multiples of 8. after: what happens to the output of block 1, ..., 8. Raises ValueError for other
        sizes."""
        check_size(L)
        x = lab.scale_L(L) / 2
        for number, one in enumerate(self.blocks, 1):
            x = after(number, one(x))
        return hide(self.to_bins(x), self.dead if self.config.mask_dead else None)


def check_size(L):
    if L.ndim != 4 or L.shape[1] != 1 or L.shape[-2] % 8 or L.shape[-1] % 8:
        raise ValueError(f"L must be (N, 1, H, W) with H and W multiples of 8, not {tuple(L.shape)}: resize or pad it, or call `predict`.")


def dead_bins(config):
    """Which bins are never the answer: bool `(Q,)`; none unless the config masks them."""
    with torch.device("cpu"):      # also where a network is only counted, without memory
        return ~lab.live_bins() if config.mask_dead and config.bins == 625 else torch.zeros(config.bins, dtype=torch.bool)


def hide(logits, dead):
    """Logits in float32, those of dead bins (None: there are none) out of the way."""
    return logits.float() if dead is None else logits.float().masked_fill(dead.view(1, -1, 1, 1), DEAD)


# ---------------------------------------------------------------- training

def bins(config):
    """Centres of the colours the network chooses from, `(Q, 2)` in CIE units.

    >>> bins(PAPER).shape
    torch.Size([313, 2])
    """
    return lab.ab_bins(config.bins)


def measure_prior(dataset, config, pictures=PRIOR_PICTURES):
    """How often each bin occurs in a training set, the paper's p of Eq. 4: `(Q,)` float64 summing to 1, with the labels' own softness; every fourth
    pixel of some pictures.

    >>> grey = [{"rgb": torch.full((3, 8, 8), 128).byte()}]
    >>> prior = measure_prior(grey, replace(PAPER, soft_labels=False))
    >>> bins(PAPER)[prior.argmax()].tolist(), prior.max().item()
    ([0.0, 0.0], 1.0)
    """
    total, centres = torch.zeros(config.bins, dtype=torch.float64), bins(config)
    for i in range(0, len(dataset), max(1, len(dataset) // pictures)):
        ab = lab.rgb_to_lab(dataset[i]["rgb"][None])[:, 1:, ::4, ::4]
        index, share = encode(ab, centres, config) if config.soft_labels else (encode(ab, centres, config), torch.ones(()))
        total += torch.bincount(index.flatten(), share.expand(index.shape).flatten().double(), minlength=config.bins)
    return total / total.sum()


def encode(ab, centres, config):
    """ab `(N, 2, H, W)` -> what the network should say: some bins and their shares, two `(N, neighbors, H, W)`, or bins `(N, H, W)` without soft
    labels.

    >>> index, share = encode(torch.zeros(1, 2, 1, 1), bins(PAPER), PAPER)
    >>> bins(PAPER)[index[0, 0, 0, 0]].tolist(), index.shape, round(share.sum().item(), 3)
    ([0.0, 0.0], torch.Size([1, 10, 1, 1]), 1.0)
    """
    return lab.soft_bins(ab, centres, config.neighbors, config.sigma) if config.soft_labels else lab.nearest_bin(ab, centres)


class Step:
    """One update: the colour of every fourth pixel is to be told (paper, Eq. 2, with the weights of Eq. 4). prior: `measure_prior` of the training
    set.

    >>> step = Step(PRESETS["smoke"], train.make_fabric("cpu"), prior=torch.full((313,), 1 / 313))
    >>> [*step({"rgb": torch.randint(256, (2, 3, 32, 32)).byte()})]
    ['loss']
    """

    def __init__(self, config, fabric, prior, model=None, compile=False):
        self.config, self.fabric = config, fabric
        train.seed_everything(config.seed)
        model = model or ColorfulNet(config)
        self.weights = lab.rebalancing_weights(prior, config.uniform, config.alpha).float().to(fabric.device)                   # (Q,)
        model.class_weights.copy_(self.weights)
        learning = [parameter for parameter in model.parameters() if parameter.requires_grad]
        if config.one_cycle:
            optimizer = torch.optim.AdamW(learning, config.one_cycle, betas=config.betas, weight_decay=config.weight_decay, fused=True)
            self.schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, config.one_cycle, total_steps=config.steps + 1, pct_start=0.15)
        else:
            optimizer = torch.optim.Adam(learning, config.learning_rate, betas=config.betas, weight_decay=config.weight_decay, fused=True)
            self.schedule = torch.optim.lr_scheduler.StepLR(optimizer, config.decay_every)
        self.model, self.optimizer = train.prepare(fabric, model, optimizer, compile)
        self.centres = bins(config).to(fabric.device)

    def __call__(self, batch):
        found = train.descend(self.fabric, self.model, self.optimizer, self.losses, batch)
        self.schedule.step()
        return found

    def losses(self, batch):
        L, ab = lab.rgb_to_lab(batch["rgb"]).split([1, 2], 1)
        ab = ab[..., ::4, ::4]
        has_colour = (ab.abs() > self.config.least_colour).flatten(1).any(1)                                    # (N,)
        return {"loss": losses.rebalanced_cross_entropy(self.answer(L, batch), encode(ab, self.centres, self.config), self.weights,
                                                        self.config.normalize, has_colour)}

    def answer(self, L, batch):
        return self.model(L)

    def result(self):
        """The trained network, ready for `colorize` and for saving."""
        return self.model.module.eval()


# ---------------------------------------------------------------- use

def build(config, pretrained=True):
    """An untrained `ColorfulNet`; `from_official` fills it with published weights.

    >>> with torch.device("meta"):      # counted, without memory
    ...     print(sum(map(torch.numel, build(PAPER).parameters())))
    32235385
    """
    return ColorfulNet(config)


def make_step(config, fabric, dataset, run=None, progress=None, compile=False):
    """A `Step` for `config`, with the prior of `dataset`: any colour pictures.

    >>> grey = [{"rgb": torch.full((3, 32, 32), 128).byte()}]
    >>> step = make_step(PRESETS["smoke"], train.make_fabric("cpu"), grey)
    >>> colorize(step.result(), {"L": torch.rand(1, 1, 9, 13) * 100}).shape
    torch.Size([1, 2, 9, 13])
    """
    return Step(config, fabric, measure_prior(dataset, config), compile=compile)


@torch.no_grad()
def predict(model, batch, *conditions):
    """Run a network on pictures of any size, padded to multiples of 8 by repeating the border: logits `(N, Q, ceil(H/4), ceil(W/4))`, float32.

    >>> predict(build(PRESETS["smoke"]), {"L": torch.rand(1, 1, 30, 41) * 100}).shape
    torch.Size([1, 313, 8, 11])
    """
    L = batch["L"]
    height, width = L.shape[-2:]
    logits = model.eval()(F.pad(L, (0, -width % 8, 0, -height % 8), mode="replicate"), *conditions)
    return logits[..., :-(-height // 4), :-(-width // 4)]


def decode(logits, config, size):
    """Logits `(N, Q, h, w)` at a quarter of the size -> ab `(N, 2, *size)` in CIE units: annealed mean (paper, Eq. 5), enlarged.

    >>> logits = torch.full((1, 313, 2, 2), -1e4)
    >>> logits[:, 7] = 0      # all sure of one colour
    >>> decode(logits, PAPER, size=(8, 7))[0, :, 7, 6].round().tolist() == bins(PAPER)[7].tolist()
    True
    """
    ab = lab.annealed_mean(logits, bins(config), config.temperature)
    return F.interpolate(ab, scale_factor=4, mode=config.upsampling)[..., :size[0], :size[1]]


def colorize(model, batch):
    """batch {"L": `(N, 1, H, W)` in [0, 100]} -> ab `(N, 2, H, W)` in CIE units. Deterministic; any size of at least 1 x 1.

    >>> colorize(build(PRESETS["smoke"]), {"L": torch.rand(2, 1, 30, 41) * 100}).shape
    torch.Size([2, 2, 30, 41])
    """
    return decode(predict(model, batch), model.config, batch["L"].shape[-2:])


def undo_rebalancing(logits, class_weights):
    """Logits as a network trained with all colours alike would give them: a loss with weights w is least at probabilities p w, so log w is
    subtracted.

    >>> weights = torch.tensor([1.0, 2.0])      # two equally likely colours
    >>> undo_rebalancing((weights / 3).log().view(1, 2, 1, 1), weights).softmax(1).round(decimals=3).flatten().tolist()
    [0.5, 0.5]
    """
    found = torch.where(class_weights > 0, class_weights, 1).log().view(1, -1, 1, 1).to(logits)
    return (logits - found).masked_fill(class_weights.view(1, -1, 1, 1) == 0, DEAD)


def distributions(model):
    """The rows of `variants` before they are made one colour: {row name: function of a batch -> logits}.

    >>> rows = distributions(build(PRESETS["smoke"]))
    >>> {row: tuple(give({"L": torch.zeros(1, 1, 8, 8)}).shape) for row, give in rows.items()}
    {'': (1, 313, 2, 2), 'rebalancing undone': (1, 313, 2, 2)}
    """
    return {"": lambda batch: predict(model, batch), "rebalancing undone": lambda batch: undo_rebalancing(predict(model, batch), model.class_weights)}


def variants(model):
    """What the results table compares: {row name: function of a batch -> ab}.

    >>> [*variants(build(PRESETS["smoke"]))]
    ['', 'rebalancing undone']
    """
    return decode_rows(model, distributions(model))


def decode_rows(model, rows):
    """{row name: function of a batch -> logits} -> {row name: function of a batch -> ab}."""
    paint = lambda row: lambda batch: decode(row(batch), model.config, batch["L"].shape[-2:])
    return {name: paint(row) for name, row in rows.items()}


def networks(config):
    """The parts a parameter table lists.

    >>> [*networks(PRESETS["smoke"])]
    ['eight blocks']
    """
    return {"eight blocks": ColorfulNet(config)}


# ---------------------------------------------------------------- published weights

def from_official(state_dict):
    """The authors' weights under our names: `build(RELEASED).load_state_dict(from_official(torch.load(path, weights_only=True)))`.

    Takes `colorization_release_v2-9b330a0b.pth` of richzhang/colorization. Its fixed last layer lists the 313 colours; if their order is not ours,
    the logits are put into ours. Raises ValueError for names or colours that network does not have.

    >>> from_official({"conv1.weight": torch.zeros(1)})
    Traceback (most recent call last):
        ...
    ValueError: This is no checkpoint of ECCVGenerator: give the state dict of richzhang/colorization's eccv16.
    """
    state = {name.removeprefix("module."): value for name, value in state_dict.items()}
    if "model_out.weight" not in state or any(not name.startswith("model") for name in state):
        raise ValueError("This is no checkpoint of ECCVGenerator: give the state dict of richzhang/colorization's eccv16.")
    colors = lab.unscale_ab(state.pop("model_out.weight").flatten(1).T.float())                            # (313, 2)
    distance, order = torch.cdist(lab.ab_bins(313), colors).min(1)
    if distance.max() > 1 or len(order.unique()) != 313:
        raise ValueError("The checkpoint's last layer does not hold the 313 colours: give the file as it was published.")
    renamed = {"class_weights": torch.ones(313)}        # not in the file
    for name, value in state.items():
        part, rest = name.split(".", 1)
        if part == "model8" and rest.startswith("6."):
            renamed["to_bins." + rest[2:]] = value[order]
        else:
            renamed[f"blocks.{int(part[5:]) - 1}.{rest}"] = value
    return renamed
