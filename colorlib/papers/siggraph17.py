"""Real-Time User-Guided Image Colorization with Learned Deep Priors: one network sees L and a few coloured points and paints the rest.

Zhang, Zhu, Isola, Geng, Lin, Yu, Efros (SIGGRAPH 2017, arXiv 1705.02999); after the authors' PyTorch code (richzhang/colorization-pytorch)
and the Caffe files of junyanz/interactive-deep-colorization. Ten blocks of 3x3 convolutions go down to an eighth of the size and up again, where
features are added, not concatenated. One head gives each pixel's ab; another, at a quarter of the size, a distribution over 23 x 23 colours.

Where the sources differ. The Caffe weights, also converted to PyTorch, take the mask as 0/1 (`mask_centre=0`), the PyTorch retraining as 0/1 - 0.5.
The Caffe file multiplies tanh by 100, PyTorch, and we, by 110. The paper's regression is a Huber loss with delta 1 (from memory), the PyTorch code's
L1. Caffe's distribution has 313 colours, PyTorch's and ours 529. The Caffe net with global hints sees no points; `global_hints` adds its branch to
the net that does. The user interface lists the 529 colours with a changing fastest, PyTorch training, and we, with a slowest: only so they are right.
"""
from dataclasses import dataclass, replace

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from colorlib import lab, train
from colorlib.hints.simulated_hints import training_hints

__all__ = ["Config", "RELEASED", "CAFFE", "PRESETS", "UserGuidedNet", "color_bins", "global_histogram", "class_loss",
           "regression_loss", "Step", "build", "predict", "colorize", "colorize_by_distribution", "color_distribution",
           "variants", "make_step", "networks", "from_official"]

SIDE = round(2 * lab.AB_MAX / lab.AB_STEP) + 1      # 23 colours along a and along b
TRUNKS = ("classification", "regression", "both")


@dataclass(frozen=True)
class Config:
    """Defaults are the PyTorch code's; `(ours)` marks what it does not have.

    >>> Config().learning_rate, Config().regression_weight, CAFFE.mask_centre
    (0.0001, 10.0, 0.0)
    """
    width: int = 64                         # channels of the first block; the second has 2, the third 4, the fourth to seventh 8 times as many
    mask_centre: float = 0.5                # subtracted from the 0/1 mask; 0 for the converted Caffe weights
    global_hints: bool = False              # the branch for a reference's colour histogram and saturation (Caffe, `global_model`)
    global_kept: float = 0.5                # (ours: not in the code) how often training shows each of the two
    stages: tuple = ((0, "classification", "none", 1.0),            # (from update, head that trains the trunk, hints, factor of the learning rate)
                     (768_705, "regression", "zhang", 0.1),         # 15, 10 and 5 passes over ImageNet's 1,281,167 pictures (`train_siggraph.sh`);
                     (1_281_175, "regression", "zhang", 0.01))      # "both" trains the trunk by both heads (ours)
    regression_weight: float = 10.0         # cross-entropy + 10 L1
    huber_delta: float = 0.0                # CIE units; 0 is the PyTorch code's L1, 1 the paper's Huber loss
    least_colour: float = 5.0               # pictures whose a and b span less than this together do not count in training
    suggestion_scale: float = 0.2           # the logits' factor when colours are suggested (`model.py`); 1 leaves the distribution as it was trained
    initial_scale: float = 0.02             # standard deviation of the first weights; 0 (ours): PyTorch's defaults
    learning_rate: float = 1e-4             # Adam (0.9, 0.999)
    one_cycle: float = 0.0                  # (ours) peak rate of a warm-up and cosine decay with AdamW, in place of the stages' rates
    batch_size: int = 25
    steps: int = 1_537_410
    image_size: int = 176                   # side of the squares trained on
    working_size: int = 256                 # shorter side at which pictures are coloured
    seed: int = 0


RELEASED = Config()
CAFFE = replace(RELEASED, mask_centre=0.0)          # for the weights the authors recommend
OURS = replace(RELEASED, stages=((0, "both", "zhang", 1.0),), suggestion_scale=1.0, initial_scale=0.0)
PRESETS = {
    "paper": RELEASED,
    "class": replace(OURS, width=20, one_cycle=3e-3, batch_size=16, steps=2_000, image_size=64, working_size=224),
    "smoke": replace(OURS, width=8, one_cycle=1e-2, batch_size=8, steps=150, image_size=64, working_size=64),
}


# ---------------------------------------------------------------- the network

def block(channels_in, channels_out, convolutions, dilation=1, first=()):
    """3x3 convolutions, each with ReLU, and one batch norm at the end."""
    layers = list(first)
    for i in range(convolutions):
        layers += [nn.Conv2d(channels_out if i else channels_in, channels_out, 3, padding=dilation, dilation=dilation), nn.ReLU(inplace=True)]
    return nn.Sequential(*layers, nn.BatchNorm2d(channels_out))


class UserGuidedNet(nn.Module):
    """L, hint_ab, hint_mask (and global hints) -> logits over the 529 colours `(N, 529, H/4, W/4)` and ab `(N, 2, H, W)` in CIE units.

    >>> L, hint_ab, hint_mask = torch.zeros(1, 1, 32, 48), torch.zeros(1, 2, 32, 48), torch.zeros(1, 1, 32, 48)
    >>> logits, ab = UserGuidedNet(PRESETS["smoke"])(L, hint_ab, hint_mask)
    >>> logits.shape, ab.shape
    (torch.Size([1, 529, 8, 12]), torch.Size([1, 2, 32, 48]))
    """

    def __init__(self, config):
        super().__init__()
        self.config, w = config, config.width
        self.conv1 = block(4, w, 2)
        self.conv2 = block(w, 2 * w, 2)
        self.conv3 = block(2 * w, 4 * w, 3)
        self.conv4 = block(4 * w, 8 * w, 3)
        self.conv5 = block(8 * w, 8 * w, 3, dilation=2)
        self.conv6 = block(8 * w, 8 * w, 3, dilation=2)
        self.conv7 = block(8 * w, 8 * w, 3)
        self.up8, self.short8 = nn.ConvTranspose2d(8 * w, 4 * w, 4, 2, 1), nn.Conv2d(4 * w, 4 * w, 3, padding=1)
        self.conv8 = block(4 * w, 4 * w, 2, first=[nn.ReLU(inplace=True)])
        self.up9, self.short9 = nn.ConvTranspose2d(4 * w, 2 * w, 4, 2, 1), nn.Conv2d(2 * w, 2 * w, 3, padding=1)
        self.conv9 = block(2 * w, 2 * w, 1, first=[nn.ReLU(inplace=True)])
        self.up10, self.short10 = nn.ConvTranspose2d(2 * w, 2 * w, 4, 2, 1), nn.Conv2d(w, 2 * w, 3, padding=1)
        self.conv10 = nn.Sequential(nn.ReLU(inplace=True), nn.Conv2d(2 * w, 2 * w, 3, padding=1), nn.LeakyReLU(0.2))
        self.to_classes = nn.Conv2d(4 * w, SIDE ** 2, 1)
        self.to_ab = nn.Conv2d(2 * w, 2, 1)
        self.global_branch = global_branch(8 * w) if config.global_hints else None
        if config.initial_scale:
            self.apply(self.initialize)

    def initialize(self, module):
        """The released code's first weights: normal with a small standard deviation, batch norm round 1, biases 0."""
        if isinstance(module, (nn.Conv2d, nn.ConvTranspose2d, nn.BatchNorm2d)):
            nn.init.normal_(module.weight, 1.0 if isinstance(module, nn.BatchNorm2d) else 0.0, self.config.initial_scale)
            nn.init.zeros_(module.bias)

    def forward(self, L, hint_ab, hint_mask, global_hints=None, trunk="both"):
        """L `(N, 1, H, W)` in [0, 100], hint_ab `(N, 2, H, W)` in CIE units, hint_mask `(N, 1, H, W)` 0/1, H and W multiples of 8;
        global_hints `(N, 316)`. trunk: the head whose gradient reaches the shared layers, see TRUNKS. Raises ValueError for other shapes and words.
        """
        if L.shape[-2] % 8 or L.shape[-1] % 8 or L.shape[-2:] != hint_ab.shape[-2:] or L.shape[-2:] != hint_mask.shape[-2:]:
            raise ValueError(f"L, hint_ab and hint_mask must share a height and width that are multiples of 8, not {tuple(L.shape[-2:])}, "
                             f"{tuple(hint_ab.shape[-2:])} and {tuple(hint_mask.shape[-2:])}: resize or pad them.")
        if trunk not in TRUNKS:
            raise ValueError(f"trunk is {trunk!r}: choose one of {', '.join(TRUNKS)}.")
        x = torch.cat([lab.scale_L(L) / 2, lab.scale_ab(hint_ab), hint_mask - self.config.mask_centre], 1)      # (N, 4, H, W)
        x1 = self.conv1(x)                                                     # (N, 64, H, W)
        x2 = self.conv2(x1[..., ::2, ::2])                                     # (N, 128, H/2, W/2)
        x3 = self.conv3(x2[..., ::2, ::2])                                     # (N, 256, H/4, W/4)
        x4 = self.conv4(x3[..., ::2, ::2])                                     # (N, 512, H/8, W/8)
        if self.global_branch is not None:
            x4 = x4 + self.global_branch(global_hints[:, :, None, None])
        x7 = self.conv7(self.conv6(self.conv5(x4)))                            # (N, 512, H/8, W/8)
        x8 = self.conv8(self.up8(x7) + self.short8(x3))                        # (N, 256, H/4, W/4)
        logits = self.to_classes(x8.detach() if trunk == "regression" else x8)
        if trunk == "classification":
            x1, x2, x8 = x1.detach(), x2.detach(), x8.detach()
        x9 = self.conv9(self.up9(x8) + self.short9(x2))                        # (N, 128, H/2, W/2)
        x10 = self.conv10(self.up10(x9) + self.short10(x1))                    # (N, 128, H, W)
        with torch.autocast(x10.device.type, enabled=False):                   # half precision would show in the colours
            return logits, lab.unscale_ab(torch.tanh(self.to_ab(x10.to(self.to_ab.weight.dtype))))


def global_branch(channels):
    """Histogram and saturation with their indicators `(N, 314 + 2, 1, 1)` -> a vector `(N, channels, 1, 1)`, added everywhere after the fourth block.

    Four 1x1 convolutions, each with ReLU and batch norm. The Caffe net sums two first layers, one for each input: together they are one layer.
    """
    layers = []
    for channels_in in (316, channels, channels, channels):
        layers += [nn.Conv2d(channels_in, channels, 1), nn.ReLU(inplace=True), nn.BatchNorm2d(channels)]
    return nn.Sequential(*layers)


def color_bins():
    """The 529 colours of the distribution head, `(529, 2)` in CIE units: -110, -100, ..., 110 along a (slowest) and b.

    >>> color_bins().shape, color_bins()[0].tolist(), color_bins()[1].tolist()
    (torch.Size([529, 2]), [-110.0, -110.0], [-110.0, -100.0])
    """
    axis = torch.linspace(-lab.AB_MAX, lab.AB_MAX, SIDE)
    return torch.cartesian_prod(axis, axis)


def global_histogram(rgb):
    """The global hints of a reference picture, to be joined to a batch: {"global_ab_histogram": `(N, 314)`, "global_saturation": `(N, 2)`}.

    rgb: `(N, 3, H, W)` tensor or one `(H, W, 3)` array, float in [0, 1] or uint8. 313 shares of the nearest colours of 4 x 4 means, and the mean
    saturation of HSV; the last entry of each, 1, says that the hint is given (`global_stats.prototxt`, there on pictures of 256 x 256).

    >>> hints = global_histogram(torch.full((1, 3, 8, 8), 128).byte())      # grey: one bin, no saturation
    >>> hints["global_ab_histogram"].max().item(), hints["global_saturation"].tolist()
    (1.0, [[0.0, 1.0]])
    """
    rgb = torch.from_numpy(np.ascontiguousarray(rgb)).movedim(-1, 0)[None] if isinstance(rgb, np.ndarray) else rgb
    ab = F.avg_pool2d(lab.rgb_to_lab(rgb)[:, 1:], 4, ceil_mode=True)
    index = lab.nearest_bin(ab, lab.ab_bins(313)).flatten(1)                                           # (N, P)
    histogram = torch.stack([torch.bincount(one, minlength=313) for one in index]) / index.shape[1]
    smallest, largest = rgb.float().aminmax(dim=1)
    saturation = ((largest - smallest) / largest.clamp_min(1e-6)).mean((1, 2))[:, None]
    given = torch.ones_like(saturation)
    return {"global_ab_histogram": torch.cat([histogram, given], 1), "global_saturation": torch.cat([saturation, given], 1)}


# ---------------------------------------------------------------- training

def class_loss(logits, ab):
    """Cross-entropy with the nearest of the 529 colours of every fourth pixel, one number a picture. logits `(N, 529, H/4, W/4)`, ab `(N, 2, H, W)`.

    >>> ab = torch.zeros(1, 2, 8, 8)
    >>> round(class_loss(torch.zeros(1, 529, 2, 2), ab).item(), 3), round(float(np.log(529)), 3)      # knows nothing
    (6.271, 6.271)
    """
    a, b = ((ab[..., ::4, ::4] + lab.AB_MAX) / lab.AB_STEP).round().clamp(0, SIDE - 1).long().unbind(1)
    return F.cross_entropy(logits.float(), SIDE * a + b, reduction="none").mean((1, 2))


def regression_loss(ab_pred, ab_true, huber_delta=0.0):
    """L1 on ab / 110, summed over a and b, averaged over pixels, one number a picture; Huber, divided by its delta, when delta is above 0.

    >>> regression_loss(torch.zeros(2, 2, 4, 4), torch.full((2, 2, 4, 4), 55.0)).tolist()      # 55 / 110, in a and in b
    [1.0, 1.0]
    """
    error = F.smooth_l1_loss(lab.scale_ab(ab_pred.float()), lab.scale_ab(ab_true), beta=lab.scale_ab(huber_delta), reduction="none")
    return error.sum(1).mean((1, 2))


class Step:
    """One update: hints are drawn from the true picture by torch's random numbers, and the stage says which head trains the trunk.

    >>> step = Step(PRESETS["smoke"], train.make_fabric("cpu"))
    >>> [*step({"rgb": torch.randint(256, (2, 3, 32, 32)).byte()})]
    ['loss', 'ce', 'l1']
    """

    def __init__(self, config, fabric, compile=False):
        self.config, self.fabric = config, fabric
        train.seed_everything(config.seed)
        model = UserGuidedNet(config)
        if config.one_cycle:
            optimizer = torch.optim.AdamW(model.parameters(), config.one_cycle, weight_decay=0.01)
            self.schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, config.one_cycle, total_steps=config.steps + 1, pct_start=0.15)
        else:
            optimizer = torch.optim.Adam(model.parameters(), config.learning_rate)
            self.schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda update: self.stage(update)[3])
        self.model, self.optimizer = train.prepare(fabric, model, optimizer, compile)

    def __call__(self, batch):
        losses = train.descend(self.fabric, self.model, self.optimizer, self.losses, batch)
        self.schedule.step()
        return losses

    def stage(self, update):
        """The last of the config's stages that has begun: (from update, head that trains the trunk, hints, factor of the learning rate)."""
        return max(stage for stage in self.config.stages if stage[0] <= update)

    def losses(self, batch):
        _, trunk, scheme, _ = self.stage(self.schedule.last_epoch)
        L, ab = lab.rgb_to_lab(batch["rgb"]).split([1, 2], 1)
        hint_ab, hint_mask = training_hints(ab, scheme=scheme)
        logits, ab_pred = self.model(L, hint_ab, hint_mask, self.draw_global_hints(batch["rgb"]), trunk=trunk)
        counts = ((ab.amax((2, 3)) - ab.amin((2, 3))).sum(1) >= self.config.least_colour).float()      # (N,) 1 for pictures with colour
        mean = lambda values: (values * counts).sum() / counts.sum().clamp_min(1)
        cross_entropy, regression = mean(class_loss(logits, ab)), mean(regression_loss(ab_pred, ab, self.config.huber_delta))
        return {"loss": cross_entropy + self.config.regression_weight * regression, "ce": cross_entropy, "l1": regression}

    def draw_global_hints(self, rgb):
        """The picture's own histogram and saturation, each shown or, with its indicator, all 0: `(N, 316)`; None without the branch."""
        if not self.config.global_hints:
            return None
        return torch.cat([hint * (torch.rand(len(rgb), 1) < self.config.global_kept).to(hint) for hint in global_histogram(rgb).values()], 1)

    def result(self):
        """The trained `UserGuidedNet`, ready for `colorize` and for saving."""
        return self.model.module.eval()


# ---------------------------------------------------------------- use

def build(config, pretrained=True):
    """An untrained `UserGuidedNet`; `from_official` fills it with published weights.

    >>> with torch.device("meta"):      # counted, without memory
    ...     print(sum(map(torch.numel, build(RELEASED).parameters())))
    34187027
    """
    return UserGuidedNet(config)


@torch.no_grad()
def predict(model, batch):
    """Run the network on pictures of any size, padded to multiples of 8 by repeating the border. Returns (logits, ab); see `colorize` for the batch.

    logits `(N, 529, ceil(H/4), ceil(W/4))`, ab `(N, 2, H, W)`. Raises ValueError for global hints the network has no branch for.

    >>> logits, ab = predict(build(PRESETS["smoke"]), {"L": torch.rand(1, 1, 30, 41) * 100})
    >>> logits.shape, ab.shape
    (torch.Size([1, 529, 8, 11]), torch.Size([1, 2, 30, 41]))
    """
    L, config = batch["L"], model.config
    height, width = L.shape[-2:]
    margin = (0, -width % 8, 0, -height % 8)
    hint_mask = F.pad(batch.get("hint_mask", torch.zeros_like(L)).to(L), margin)
    hint_ab = F.pad(batch.get("hint_ab", torch.zeros_like(L).expand(-1, 2, -1, -1)), margin) * hint_mask
    sizes = {"global_ab_histogram": 314, "global_saturation": 2}
    if not config.global_hints and sizes.keys() & batch.keys():
        raise ValueError("This network has no branch for global hints: leave them out, or train one with Config(global_hints=True).")
    global_hints = torch.cat([batch.get(key, L.new_zeros(L.shape[0], size)) for key, size in sizes.items()], 1)
    logits, ab = model.eval()(F.pad(L, margin, mode="replicate"), hint_ab, hint_mask, global_hints)
    return logits[..., :-(-height // 4), :-(-width // 4)].float(), ab[..., :height, :width].float()


def colorize(model, batch):
    """batch {"L": `(N, 1, H, W)` in [0, 100]} -> ab `(N, 2, H, W)` in CIE units, by the regression head. Deterministic; any size of at least 1 x 1.

    Optional in the batch: "hint_ab" `(N, 2, H, W)` in CIE units with "hint_mask" `(N, 1, H, W)`, 1 at hints; what `global_histogram` gives.

    >>> hints = {"hint_ab": torch.zeros(1, 2, 30, 41), "hint_mask": torch.zeros(1, 1, 30, 41)}
    >>> colorize(build(PRESETS["smoke"]), {"L": torch.rand(1, 1, 30, 41) * 100} | hints).shape
    torch.Size([1, 2, 30, 41])
    """
    return predict(model, batch)[1]


def colorize_by_distribution(model, batch):
    """As `colorize`, but the mean colour of the predicted distribution, in blocks of 4 x 4 pixels.

    >>> colorize_by_distribution(build(PRESETS["smoke"]), {"L": torch.rand(1, 1, 30, 41) * 100}).shape
    torch.Size([1, 2, 30, 41])
    """
    ab = lab.annealed_mean(predict(model, batch)[0], color_bins(), temperature=1.0)
    return F.interpolate(ab, scale_factor=4)[..., :batch["L"].shape[2], :batch["L"].shape[3]]


def color_distribution(model, batch, scale=None):
    """Which colours a pixel may have, given the hints: (probabilities `(N, 529, ceil(H/4), ceil(W/4))`, bins `(529, 2)` in CIE units).

    scale: factor of the logits, default the config's `suggestion_scale`; below 1 unlikely colours get more room.

    >>> shares, bins = color_distribution(build(PRESETS["smoke"]), {"L": torch.rand(1, 1, 16, 24) * 100})
    >>> shares.shape, round(shares[0, :, 0, 0].sum().item(), 3), bins.shape
    (torch.Size([1, 529, 4, 6]), 1.0, torch.Size([529, 2]))
    """
    scale = model.config.suggestion_scale if scale is None else scale
    return torch.softmax(scale * predict(model, batch)[0], 1), color_bins()


def variants(model):
    """What the results table compares: {row name: function of a batch -> ab}.

    >>> [*variants(build(PRESETS["smoke"]))]
    ['', 'no hints', 'distribution head']
    """
    return {"": lambda batch: colorize(model, batch), "no hints": lambda batch: colorize(model, {"L": batch["L"]}),
            "distribution head": lambda batch: colorize_by_distribution(model, batch)}


def make_step(config, fabric, dataset, run=None, progress=None, compile=False):
    """A `Step` for `config`; any pictures will do as `dataset`.

    >>> step = make_step(PRESETS["smoke"], train.make_fabric("cpu"), dataset=None)
    >>> colorize(step.result(), {"L": torch.rand(1, 1, 9, 13) * 100}).shape
    torch.Size([1, 2, 9, 13])
    """
    return Step(config, fabric, compile=compile)


def networks(config):
    """The parts a parameter table lists.

    >>> [*networks(PRESETS["smoke"])]
    ['ten blocks and two heads']
    """
    return {"ten blocks and two heads": UserGuidedNet(config)}


# ---------------------------------------------------------------- published weights

OFFICIAL = {f"model{i}.": f"conv{i}." for i in range(1, 11)} | {f"model{i}up.0.": f"up{i}." for i in (8, 9, 10)} \
    | {f"model{i}short{j}.0.": f"short{j}." for i, j in ((3, 8), (2, 9), (1, 10))} | {"model_class.0.": "to_classes.", "model_out.0.": "to_ab."}


def from_official(state_dict):
    """The authors' weights under our names: `model.load_state_dict(from_official(torch.load(path, weights_only=True)))`.

    Takes `latest_net_G.pth` of colorization-pytorch, with `build(RELEASED)`, or `build(CAFFE)` for its `siggraph_caffemodel`, and
    richzhang/colorization's `siggraph17-df00044c.pth`, with `build(CAFFE)`. Raises ValueError for a name the authors' network does not have.

    >>> from_official({"model1.0.weight": torch.zeros(64, 4, 3, 3), "module.model_out.0.bias": torch.zeros(2)}).keys()
    dict_keys(['conv1.0.weight', 'to_ab.bias'])
    """
    renamed = {}
    for name, value in state_dict.items():
        name = name.removeprefix("module.")
        prefix = next((part for part in OFFICIAL if name.startswith(part)), None)
        if prefix is None:
            raise ValueError(f"The checkpoint holds {name!r}, which SIGGRAPHGenerator does not have: give a state dict of that class.")
        renamed[OFFICIAL[prefix] + name[len(prefix):]] = value
    counters = {name.replace("running_var", "num_batches_tracked"): torch.tensor(0) for name in renamed if name.endswith("running_var")}
    return counters | renamed      # files older than PyTorch 0.4.1 have no counters
