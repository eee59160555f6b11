"""HSCAU-Net: a U-Net that is told some colours, and gates its skip connections with attention and with the hints themselves.

"Hint-based Image Colorization using HSCAU-Net" (course project, Team 6, 2022; repository catsaveearth/Hint-based-Image-Colorization-Using-HSCAU-Net),
after its `model.py`, `solver.py`, `data/transform.py`. The skip x of a level, with the hints' ab resized to that level, becomes

    x * S1(x) * S2(x) * sigmoid(w . hint_ab)        S: spatial attention of CBAM (Woo et al. 2018), both on the ungated x

`released` is that code. Its name promises channel attention, but the class of that name is never used: both S are spatial, and all attention
together is 792 of 31,039,066 parameters. `named` is what the name says: channel, spatial and hint gate. `unet` has the same trunk and no
gate, `attunet` the additive gates of Oktay et al. 2018. `hintnet` (ours) is made for any number of hints: it is given, beside the hints,
their colours spread over the picture by `propagate`, and learns only the correction.

Trained with 0.5 to 3 % of the pixels hinted, hundreds of clicks, the first four know nothing of a picture with five: see HINTNET's scheme.
"""
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import nn

from colorlib import lab, train
from colorlib.simulated_hints import training_hints

CODE_RANGE, CODE_ZERO = 255, 128            # OpenCV's 8-bit Lab: (ab + 128) / 255
REDUCTION = 16                              # of the channel attention's hidden layer, as in CBAM
LEVELS = 4
README_SCHEDULE = ((0, 5e-4), (186, 5e-5), (286, 5e-6), (324, 5e-8))       # (epoch, learning rate), 338 epochs
CODE_SCHEDULE = ((0, 5e-5), (186, 5e-6), (286, 5e-6), (324, 5e-8))         # what the comment in `main.py` says instead


@dataclass(frozen=True)
class Config:
    """Defaults are the released code's; `(ours)` marks what it does not have."""
    gates: str = "released"                 # "released": two spatial and the hint gate; "named": channel, spatial, hint; "additive"; "none"
    hint_resize: str = "bilinear"           # hints for the gates: "bilinear" (drops most), "antialias" (fades them), "mean" (ours: mean of the hints in a cell)
    width: int = 64                         # maps at full resolution; 2, 4, 8, 16 times as many below
    spread: bool = False                    # (ours) propagated hints as input and as starting point of the output
    scheme: str = "dense"                   # training hints, see `simulated_hints.training_hints`
    l1_weight: float = 0.8
    ssim_weight: float = 0.2
    schedule: tuple = README_SCHEDULE
    epoch: int = 313                        # updates an epoch: 10,000 pictures in batches of 32
    one_cycle: float = 0.0                  # (ours) peak rate of a warm-up and cosine decay with AdamW and averaged weights, in place of the schedule
    average_decay: float = 0.998            # (ours)
    batch_size: int = 32
    steps: int = 338 * 313
    image_size: int = 256                   # side of the squares trained on
    working_size: int = 256                 # shorter side at which pictures are coloured
    seed: int = 0


RELEASED = Config()
NAMED = replace(RELEASED, gates="named", hint_resize="mean")
UNET = replace(RELEASED, gates="none")
ATTUNET = replace(RELEASED, gates="additive")
HINTNET = replace(NAMED, spread=True, scheme="every_count")
SMALL = dict(width=16, one_cycle=3e-3, batch_size=16, steps=1_600, image_size=128, working_size=224, hint_resize="mean")
TINY = dict(width=8, one_cycle=6e-3, batch_size=8, steps=150, image_size=64, working_size=64, average_decay=0.95, hint_resize="mean")


def presets(paper):
    """{size: Config} of one variant."""
    return {"paper": paper, "class": replace(paper, **SMALL), "smoke": replace(paper, **TINY)}


PRESETS = presets(RELEASED)
VARIANTS = {"hscau": PRESETS, "hscau_named": presets(NAMED), "unet": presets(UNET), "attunet": presets(ATTUNET), "hintnet": presets(HINTNET)}


# ---------------------------------------------------------------- gates

class SpatialAttention(nn.Module):
    """Where: sigmoid of a 7x7 convolution over the mean and the maximum of all channels, `(N, C, H, W)` -> `(N, 1, H, W)` (CBAM, eq. 3)."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(2, 1, 7, padding=3, bias=False)

    def forward(self, x):
        return torch.sigmoid(self.conv(torch.cat([x.mean(1, keepdim=True), x.amax(1, keepdim=True)], 1)))


class ChannelAttention(nn.Module):
    """What: one small network on each channel's mean and maximum, summed, sigmoid, `(N, C, H, W)` -> `(N, C, 1, 1)` (CBAM, eq. 2)."""

    def __init__(self, channels):
        super().__init__()
        hidden = max(1, channels // REDUCTION)
        self.squeeze, self.excite = nn.Conv2d(channels, hidden, 1, bias=False), nn.Conv2d(hidden, channels, 1, bias=False)

    def forward(self, x):
        score = lambda pooled: self.excite(F.relu(self.squeeze(pooled)))
        return torch.sigmoid(score(x.mean((2, 3), keepdim=True)) + score(x.amax((2, 3), keepdim=True)))


class HintGate(nn.Module):
    """The skip x times two attention maps and a sigmoid of the hints' ab; all three factors read the ungated x."""

    def __init__(self, channels, kind):
        super().__init__()
        self.first = SpatialAttention()
        self.second = SpatialAttention() if kind == "released" else ChannelAttention(channels)
        self.hint = nn.Conv2d(2, 1, 1, bias=False)

    def forward(self, x, above, hint):
        return x * self.first(x) * self.second(x) * torch.sigmoid(self.hint(hint))


class AdditiveGate(nn.Module):
    """sigmoid(psi(ReLU(W_g above + W_x x))) times the skip x (Oktay et al. 2018, Attention U-Net, section 2.2), batch norm after each."""

    def __init__(self, channels, hidden):
        super().__init__()
        self.from_above = nn.Sequential(nn.Conv2d(channels, hidden, 1), nn.BatchNorm2d(hidden))
        self.from_skip = nn.Sequential(nn.Conv2d(channels, hidden, 1), nn.BatchNorm2d(hidden))
        self.to_gate = nn.Sequential(nn.Conv2d(hidden, 1, 1), nn.BatchNorm2d(1))

    def forward(self, x, above, hint):
        return x * torch.sigmoid(self.to_gate(F.relu(self.from_above(above) + self.from_skip(x))))


class NoGate(nn.Module):
    """The plain U-Net's skip."""

    def forward(self, x, above, hint):
        return x


def make_gate(kind, channels):
    """The gate of one skip of `channels` maps."""
    if kind in ("released", "named"):
        return HintGate(channels, kind)
    if kind == "additive":
        return AdditiveGate(channels, max(1, channels // 2))
    if kind == "none":
        return NoGate()
    raise ValueError(f"gates is {kind!r}: choose released, named, additive or none.")


def resize_hints(hint_ab, hint_mask, level, how="mean"):
    """Hints at 1 / 2^level of their size, `(N, 2, H, W)` CIE units -> `(N, 2, H/2^level, W/2^level)`; cells without a hint hold 0.

    "mean" (ours): the mean of the hints in a cell. "bilinear": what `torchvision.transforms.Resize` did to tensors before it antialiased: between
    pixels, so that of 4 x 4 one-pixel hints 12 vanish. "antialias": what it does now: every hint stays, thinned by the area of the cell.
    """
    if how == "mean":
        count = F.avg_pool2d(hint_mask, 2 ** level)
        return F.avg_pool2d(hint_ab * hint_mask, 2 ** level) / count.clamp_min(1e-12)
    if how not in ("bilinear", "antialias"):
        raise ValueError(f"hint_resize is {how!r}: choose mean, bilinear or antialias.")
    size = [n // 2 ** level for n in hint_ab.shape[-2:]]
    return F.interpolate(hint_ab, size, mode="bilinear", antialias=how == "antialias", align_corners=False)


# ---------------------------------------------------------------- colours spread without learning

CELL = 2                                    # pixels a side; hints are spread at half resolution
L_SIGMA, DISTANCE_POWER, FLOOR = 8.0, 1.5, 1e-3      # chosen on 24 training photographs, 10 to 1,500 hints


@torch.no_grad()
def propagate(L, hint_ab, hint_mask):
    """Spread hints over pixels that are near and equally light: no learning. Returns (ab `(N, 2, H, W)`, nearness `(N, 1, H, W)` in (0, 1.1)).

    Inverse-distance weighting (Shepard 1968) with a factor for lightness, as in the joint bilateral filter (Petschnigg et al. 2004):
    w = (exp(-(L - L_hint)^2 / 2 sigma^2) + floor) / (d^2 + 1)^1.5, d in pixels. nearness is the cube root of the weights' sum, about 1 / d of the
    nearest fitting hint. L `(N, 1, H, W)`, H and W even. Without a hint both are 0.
    """
    L, hint_ab, hint_mask = L.float(), hint_ab.float(), hint_mask.float()
    count = F.avg_pool2d(hint_mask, CELL)                                                                        # (N, 1, h, w)
    pooled = lambda x: F.avg_pool2d(x * hint_mask, CELL) / count.clamp_min(1e-12)
    cell_ab, hint_L, cell_L = pooled(hint_ab), pooled(L), F.avg_pool2d(L, CELL)
    height, width = count.shape[-2:]
    rows, columns = torch.arange(height, device=L.device), torch.arange(width, device=L.device)
    ab, nearness = torch.zeros_like(cell_ab), torch.zeros_like(count)
    for i in range(len(L)):
        y, x = count[i, 0].nonzero(as_tuple=True)                                                                # (n,)
        if not len(y):
            continue
        values = torch.cat([cell_ab[i][:, y, x], torch.ones_like(hint_L[i][:, y, x])]).T                         # (n, 3)
        across = (columns[:, None] - x).square()                                                                 # (w, n)
        for band in rows.split(max(1, 2 ** 24 // (width * len(y)))):                                             # at most 64 MiB at a time
            square = CELL ** 2 * ((rows[band][:, None] - y).square()[:, None] + across).float()                  # (k, w, n)
            alike = (-(cell_L[i, 0, band][..., None] - hint_L[i, 0, y, x]).square() / (2 * L_SIGMA ** 2)).exp()
            with torch.autocast(L.device.type, enabled=False):
                sums = ((alike + FLOOR) * (square + 1).pow(-DISTANCE_POWER)) @ values                            # (k, w, 3)
            ab[i][:, band] = (sums[..., :2] / sums[..., 2:]).permute(2, 0, 1)
            nearness[i, 0, band] = sums[..., 2].pow(1 / 3)
    up = lambda cells: F.interpolate(cells, scale_factor=CELL, mode="bilinear", align_corners=False)
    return up(ab), up(nearness)


# ---------------------------------------------------------------- the network

class DoubleConv(nn.Sequential):
    """Two 3x3 convolutions, each with batch norm and ReLU."""

    def __init__(self, channels_in, channels_out):
        layers = []
        for channels in (channels_in, channels_out):
            layers += [nn.Conv2d(channels, channels_out, 3, padding=1, bias=False), nn.BatchNorm2d(channels_out), nn.ReLU(inplace=True)]
        super().__init__(*layers)


class Up(nn.Module):
    """Double the size, halve the maps, join the gated skip."""

    def __init__(self, channels, gates):
        super().__init__()
        self.up = nn.ConvTranspose2d(channels, channels // 2, 2, 2)
        self.gate = make_gate(gates, channels // 2)
        self.conv = DoubleConv(channels, channels // 2)

    def forward(self, x, skip, hint):
        x = self.up(x)
        return self.conv(torch.cat([self.gate(skip, x, hint), x], 1))


class HintUNet(nn.Module):
    """L `(N, 1, H, W)` in [0, 100], hint_ab `(N, 2, H, W)` in CIE units (0 where no hint is), hint_mask `(N, 1, H, W)` -> ab `(N, 2, H, W)`.

    H and W multiples of 16; ab is not bounded. Inside, colours are coded like OpenCV's 8-bit Lab divided by 255, so no hint reads 128/255.
    Raises ValueError for other sizes.
    """

    def __init__(self, config):
        super().__init__()
        self.config = config
        widths = [config.width * 2 ** level for level in range(LEVELS + 1)]                     # 64 .. 1024
        self.inc = DoubleConv(7 if config.spread else 4, widths[0])
        self.down = nn.ModuleList(DoubleConv(widths[i], widths[i + 1]) for i in range(LEVELS))
        self.up = nn.ModuleList(Up(widths[i + 1], config.gates) for i in reversed(range(LEVELS)))
        self.to_ab = nn.Conv2d(widths[0], 2, 1)
        if config.spread:
            nn.init.zeros_(self.to_ab.weight)      # begin at the propagated hints
            nn.init.zeros_(self.to_ab.bias)

    def forward(self, L, hint_ab, hint_mask):
        if L.shape[-2] % 16 or L.shape[-1] % 16 or L.shape[-2:] != hint_ab.shape[-2:] or L.shape[-2:] != hint_mask.shape[-2:]:
            raise ValueError(f"L, hint_ab and hint_mask must share a height and width that are multiples of 16, not {tuple(L.shape[-2:])}, "
                             f"{tuple(hint_ab.shape[-2:])} and {tuple(hint_mask.shape[-2:])}: resize or pad them.")
        hint_ab = hint_ab * hint_mask
        given = [L / 100, (hint_ab + CODE_ZERO) / CODE_RANGE, hint_mask]
        if self.config.spread:
            spread, nearness = propagate(L, hint_ab, hint_mask)
            given += [(spread + CODE_ZERO) / CODE_RANGE, nearness]
        x = self.inc(torch.cat(given, 1))                                                       # (N, 64, H, W)
        skips = []
        for down in self.down:
            skips.append(x)
            x = down(F.max_pool2d(x, 2))                                                        # (N, 1024, H/16, W/16) at last
        for level, up in zip(reversed(range(LEVELS)), self.up):
            hint = (resize_hints(hint_ab, hint_mask, level, self.config.hint_resize) + CODE_ZERO) / CODE_RANGE
            x = up(x, skips[level], hint)
        with torch.autocast(x.device.type, enabled=False):                                      # half precision would show in the colours
            ab = self.to_ab(x.float()) * CODE_RANGE
        return ab + spread if self.config.spread else ab - CODE_ZERO


# ---------------------------------------------------------------- training

WINDOW, WINDOW_SIGMA, C1, C2 = 11, 1.5, 0.01 ** 2, 0.03 ** 2       # Wang et al. 2004


def mean_ssim(pred, true):
    """Structural similarity of `(N, C, H, W)` in [0, 1], mean over all pixels and maps; zeros outside the picture, as the released code has it."""
    axis = torch.arange(WINDOW, device=pred.device, dtype=pred.dtype) - WINDOW // 2
    window = (-axis.square() / (2 * WINDOW_SIGMA ** 2)).exp()
    window = (window / window.sum()).expand(pred.shape[1], 1, 1, -1)

    def blur(x):
        x = F.conv2d(x, window, padding=(0, WINDOW // 2), groups=x.shape[1])
        return F.conv2d(x, window.transpose(2, 3), padding=(WINDOW // 2, 0), groups=x.shape[1])
    mean_p, mean_t = blur(pred), blur(true)
    var_p, var_t, cov = blur(pred * pred) - mean_p ** 2, blur(true * true) - mean_t ** 2, blur(pred * true) - mean_p * mean_t
    return ((2 * mean_p * mean_t + C1) * (2 * cov + C2) / ((mean_p ** 2 + mean_t ** 2 + C1) * (var_p + var_t + C2))).mean()


def hint_loss(ab, ab_true, config):
    """0.8 L1(ab) + 0.2 (1 - SSIM(Lab)), ab `(N, 2, H, W)` in CIE units, both in OpenCV's code / 255 (`solver.py`).

    L is copied from the input, so its SSIM is 1 and the second term is 0.2 (2 - SSIM_a - SSIM_b) / 3. Returns {"loss", "l1", "ssim"}.
    """
    code = lambda ab: (ab.float() + CODE_ZERO) / CODE_RANGE
    l1 = F.l1_loss(code(ab), code(ab_true))
    if not config.ssim_weight:
        return {"loss": config.l1_weight * l1, "l1": l1}
    ssim = (1 + 2 * mean_ssim(code(ab), code(ab_true))) / 3
    return {"loss": config.l1_weight * l1 + config.ssim_weight * (1 - ssim), "l1": l1, "ssim": ssim}


class Step:
    """One update of a hint U-Net: true colours give the hints, the network gives the rest."""

    def __init__(self, config, fabric, parts=1, compile=False):
        self.config, self.fabric, self.parts = config, fabric, parts
        train.seed_everything(config.seed)
        model = HintUNet(config)
        if config.one_cycle:
            optimizer = torch.optim.AdamW(model.parameters(), config.one_cycle, weight_decay=0.01)
            self.schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, config.one_cycle, total_steps=config.steps + 1, pct_start=0.15)
        else:
            optimizer = torch.optim.Adam(model.parameters(), 1.0, betas=(0.5, 0.999))
            self.schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, self.learning_rate)
        self.model, self.optimizer = train.prepare(fabric, model, optimizer, compile)
        self.average = train.moving_average(model, config.average_decay) if config.one_cycle else None

    def learning_rate(self, update):
        """The schedule's rate at an update."""
        return max(stage for stage in self.config.schedule if stage[0] * self.config.epoch <= update)[1]

    def losses(self, batch):
        rgb = batch["rgb"].float() / 255 if batch["rgb"].dtype == torch.uint8 else batch["rgb"]
        L, ab = lab.rgb_to_lab(rgb).split([1, 2], 1)
        hint_ab, hint_mask = training_hints(ab, self.config.scheme)
        return hint_loss(self.model(L, hint_ab, hint_mask), ab, self.config)

    def __call__(self, batch):
        done = self.schedule.last_epoch
        if not self.config.one_cycle and any(epoch and epoch * self.config.epoch == done for epoch, _ in self.config.schedule):
            self.optimizer.state.clear()      # the authors restarted by hand and reloaded the weights only, so Adam's moments began anew
        losses = train.descend(self.fabric, self.model, self.optimizer, self.losses, batch, self.parts)
        self.schedule.step()
        if self.average is not None:
            self.average.update_parameters(self.model.module)
        return losses

    def result(self):
        """The trained `HintUNet`."""
        return (self.average.module if self.average is not None else self.model.module).eval()


# ---------------------------------------------------------------- use

def build(config, pretrained=False):
    """An untrained `HintUNet`."""
    return HintUNet(config)


@torch.no_grad()
def colorize(model, batch):
    """batch {"L" `(N, 1, H, W)` in [0, 100], "hint_ab" `(N, 2, H, W)` in CIE units, "hint_mask" `(N, 1, H, W)`} -> ab `(N, 2, H, W)`.

    Deterministic; any size of at least 1 x 1. Without the hint entries the network gets none.
    """
    L = batch["L"]
    height, width = L.shape[-2:]
    edge = (0, -width % 16, 0, -height % 16)
    hint_ab, hint_mask = batch.get("hint_ab", L.new_zeros(len(L), 2, height, width)), batch.get("hint_mask", torch.zeros_like(L))
    return model.eval()(F.pad(L, edge, mode="replicate"), F.pad(hint_ab, edge), F.pad(hint_mask, edge))[..., :height, :width]


def variants(model):
    """What the results table compares: {row name: function of a batch -> ab}."""
    return {"": lambda batch: colorize(model, batch), "no hints": lambda batch: colorize(model, {"L": batch["L"]})}


def make_step(config, fabric, dataset, run=None, progress=None, compile=False):
    """A `Step` for `config`; any colour pictures will do."""
    return Step(config, fabric, compile=compile)


def networks(config):
    """The parts a parameter table lists."""
    return {"U-Net": HintUNet(config)}


OFFICIAL_PARTS = {"inc.double_conv.": "inc.", "outc.conv.": "to_ab."} \
    | {f"down{i + 1}.maxpool_conv.1.double_conv.": f"down.{i}." for i in range(LEVELS)} \
    | {f"up{i + 1}.{theirs}": f"up.{i}.{ours}" for i in range(LEVELS) for theirs, ours in
       {"up.": "up.", "conv.double_conv.": "conv.", "sp.conv1.": "gate.first.conv.", "ch.conv1.": "gate.second.conv.", "conv_1by1.": "gate.hint."}.items()}


def from_official(state_dict):
    """The authors' checkpoint (a state dict of `HINT_CSATUNet`) -> one for `HintUNet(RELEASED)`. Raises ValueError for names it does not know.

    Their second gates are registered twice, as `ch1` .. `ch4` and inside `up1` .. `up4`; the copies are dropped.
    """
    renamed = {}
    for name, value in state_dict.items():
        prefix = next((part for part in OFFICIAL_PARTS if name.startswith(part)), None)
        if prefix is not None:
            renamed[OFFICIAL_PARTS[prefix] + name[len(prefix):]] = value
        elif not name.startswith(("ch1.", "ch2.", "ch3.", "ch4.")):
            raise ValueError(f"The checkpoint holds {name!r}, which HINT_CSATUNet does not have: give a state dict of that class.")
    return renamed
