"""HSCAU-Net: a U-Net that is told some colours, and gates its skip connections with attention and with the hints themselves.

"Hint-based Image Colorization using HSCAU-Net" (course project, Team 6, 2022; repository catsaveearth/Hint-based-Image-Colorization-Using-HSCAU-Net),
after its `model.py`, `solver.py`, `data/transform.py`. L and hints in, ab out. The skip x of a level, with the hints' ab resized to that level,
becomes

    x * S1(x) * S2(x) * sigmoid(w . hint_ab)        S: spatial attention of CBAM (Woo et al. 2018), both on the ungated x

`released` is that code. Its name promises channel attention, but the class of that name is never used: both S are spatial, and all attention
together is 792 of 31,039,066 parameters. `named` is what the name says: channel, spatial and hint gate. `unet` has the same trunk and no
gate, `attunet` the additive gates of Oktay et al. 2018.

All are trained with 0.5 to 3 % of the pixels hinted, hundreds of clicks, so they know nothing of a picture with five: `hintnet.py` cures that.
"""
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import nn

from colorlib import lab, train
from colorlib.hints.simulated_hints import training_hints
from colorlib.losses import mean_ssim

__all__ = ["Config", "RELEASED", "NAMED", "UNET", "ATTUNET", "PRESETS", "VARIANTS", "SpatialAttention",
           "ChannelAttention", "HintGate", "AdditiveGate", "resize_hints", "encode", "HintUNet", "hint_loss", "Step",
           "build", "colorize", "variants", "make_step", "networks", "from_official"]

CODE_RANGE, CODE_ZERO = 255, 128            # OpenCV's 8-bit Lab: (ab + 128) / 255
REDUCTION = 16                              # of the channel attention's hidden layer, as in CBAM
LEVELS = 4
# (epoch, learning rate), 338 epochs, by the authors' README; a comment in their `main.py` has 5e-5, 5e-6, 5e-6, 5e-8 instead
README_SCHEDULE = ((0, 5e-4), (186, 5e-5), (286, 5e-6), (324, 5e-8))


@dataclass(frozen=True)
class Config:
    """Defaults are the released code's; `(ours)` marks what it does not have.

    >>> Config().l1_weight, Config().ssim_weight, Config().schedule[0]
    (0.8, 0.2, (0, 0.0005))
    """
    gates: str = "released"                 # "released": two spatial and the hint gate; "named": channel, spatial, hint; "additive"; "none"
    hint_resize: str = "bilinear"           # hints for the gates: "bilinear" (drops most), "antialias" (fades them), "mean" (ours: mean of the hints in a cell)
    width: int = 64                         # maps at full resolution; 2, 4, 8, 16 times as many below
    start_grey: bool = False                # (ours) the last layer begins at grey, which saves a short training some hundred updates
    scheme: str = "dense"                   # training hints, see `simulated_hints.training_hints`
    l1_weight: float = 0.8
    ssim_weight: float = 0.2
    schedule: tuple = README_SCHEDULE
    epoch: int = 313                        # updates an epoch: 10,000 pictures in batches of 32
    one_cycle: float = 0.0                  # (ours) peak rate of a warm-up and cosine decay with AdamW, in place of the schedule
    batch_size: int = 32
    steps: int = 338 * 313
    image_size: int = 256                   # side of the squares trained on
    working_size: int = 256                 # shorter side at which pictures are coloured
    seed: int = 0


RELEASED = Config()
NAMED = replace(RELEASED, gates="named", hint_resize="mean")
UNET = replace(RELEASED, gates="none")
ATTUNET = replace(RELEASED, gates="additive")
OURS = {"hint_resize": "mean", "start_grey": True}
SMALL = OURS | dict(width=16, one_cycle=3e-3, batch_size=32, steps=3_400, image_size=64, working_size=224)
TINY = OURS | dict(width=8, one_cycle=6e-3, batch_size=8, steps=150, image_size=64, working_size=64)


def presets(paper):
    """{size: Config} of one variant."""
    return {"paper": paper, "class": replace(paper, **SMALL), "smoke": replace(paper, **TINY)}


PRESETS = presets(RELEASED)
VARIANTS = {"hscau": PRESETS, "hscau_named": presets(NAMED), "unet": presets(UNET), "attunet": presets(ATTUNET)}
for name in ("hscau_named", "attunet"):      # two fifths of the weights, a quarter of the pictures
    VARIANTS[name]["class"] = replace(VARIANTS[name]["class"], width=10, batch_size=16, steps=1_800)


# ---------------------------------------------------------------- gates

class SpatialAttention(nn.Module):
    """Where: sigmoid of a 7x7 convolution over the mean and the maximum of all channels, `(N, C, H, W)` -> `(N, 1, H, W)` (CBAM, eq. 3).

    >>> net = SpatialAttention()
    >>> net(torch.rand(1, 8, 5, 7)).shape, sum(map(torch.numel, net.parameters()))
    (torch.Size([1, 1, 5, 7]), 98)
    """

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(2, 1, 7, padding=3, bias=False)

    def forward(self, x):
        return self.of_pooled(pool_channels(x))

    def of_pooled(self, pooled):
        """From what `pool_channels` gives, which several attentions can share."""
        return torch.sigmoid(self.conv(pooled))


def pool_channels(x):
    """Mean and maximum of all channels, `(N, C, H, W)` -> `(N, 2, H, W)`."""
    return torch.cat([x.mean(1, keepdim=True), x.amax(1, keepdim=True)], 1)


class ChannelAttention(nn.Module):
    """What: one small network on each channel's mean and maximum, summed, sigmoid, `(N, C, H, W)` -> `(N, C, 1, 1)` (CBAM, eq. 2).

    >>> ChannelAttention(32)(torch.rand(1, 32, 5, 7)).shape
    torch.Size([1, 32, 1, 1])
    """

    def __init__(self, channels):
        super().__init__()
        hidden = max(1, channels // REDUCTION)
        self.squeeze, self.excite = nn.Conv2d(channels, hidden, 1, bias=False), nn.Conv2d(hidden, channels, 1, bias=False)

    def forward(self, x):
        score = lambda pooled: self.excite(F.relu(self.squeeze(pooled)))
        return torch.sigmoid(score(x.mean((2, 3), keepdim=True)) + score(x.amax((2, 3), keepdim=True)))


class HintGate(nn.Module):
    """x `(N, C, h, w)` of a skip and hint `(N, 2, h, w)` -> x times two attention maps and a sigmoid of the hints' ab; both maps read the ungated x.

    >>> HintGate(8, "released")(torch.rand(1, 8, 4, 4), above=None, hint=torch.rand(1, 2, 4, 4)).shape
    torch.Size([1, 8, 4, 4])
    """

    def __init__(self, channels, kind):
        super().__init__()
        self.first = SpatialAttention()
        self.second = SpatialAttention() if kind == "released" else ChannelAttention(channels)
        self.hint = nn.Conv2d(2, 1, 1, bias=False)

    def forward(self, x, above, hint):
        pooled = pool_channels(x)
        second = self.second.of_pooled(pooled) if isinstance(self.second, SpatialAttention) else self.second(x)
        return x * (self.first.of_pooled(pooled) * second * torch.sigmoid(self.hint(hint)))      # the small factors first


class AdditiveGate(nn.Module):
    """x of a skip and the map from above, both `(N, C, h, w)` -> sigmoid(psi(ReLU(W_g above + W_x x))) times x (Oktay et al. 2018, Attention U-Net,
    section 2.2), batch norm after each.

    >>> AdditiveGate(8, hidden=4)(torch.rand(2, 8, 4, 4), above=torch.rand(2, 8, 4, 4), hint=None).shape
    torch.Size([2, 8, 4, 4])
    """

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
    pixels, so that of 4 x 4 one-pixel hints 12 vanish. "antialias": what it does now: every hint stays, thinned by the area of the cell. Raises
    ValueError for another word.

    >>> hint_ab, hint_mask = torch.zeros(1, 2, 4, 4), torch.zeros(1, 1, 4, 4)
    >>> hint_ab[..., 0, 0], hint_mask[..., 0, 0] = 40.0, 1.0      # one click in a corner
    >>> {how: resize_hints(hint_ab, hint_mask, 2, how).round().flatten().tolist() for how in ("mean", "bilinear")}
    {'mean': [40.0, 40.0], 'bilinear': [0.0, 0.0]}
    """
    if how == "mean":
        count = F.avg_pool2d(hint_mask, 2 ** level)
        return F.avg_pool2d(hint_ab * hint_mask, 2 ** level) / count.clamp_min(1e-12)
    if how not in ("bilinear", "antialias"):
        raise ValueError(f"hint_resize is {how!r}: choose mean, bilinear or antialias.")
    size = [n // 2 ** level for n in hint_ab.shape[-2:]]
    return F.interpolate(hint_ab, size, mode="bilinear", antialias=how == "antialias", align_corners=False)


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


class Trunk(nn.Module):
    """The U-Net without its last layer: `(N, channels, H, W)` and the hints for the gates -> `(N, width, H, W)`; H and W multiples of 16."""

    def __init__(self, channels, config):
        super().__init__()
        self.hint_resize = config.hint_resize
        widths = [config.width * 2 ** level for level in range(LEVELS + 1)]                     # 64 .. 1024
        self.inc = DoubleConv(channels, widths[0])
        self.down = nn.ModuleList(DoubleConv(widths[i], widths[i + 1]) for i in range(LEVELS))
        self.up = nn.ModuleList(Up(widths[i + 1], config.gates) for i in reversed(range(LEVELS)))

    def forward(self, x, hint_ab, hint_mask):
        x, skips = self.inc(x), []                                                              # (N, 64, H, W)
        for down in self.down:
            skips.append(x)
            x = down(F.max_pool2d(x, 2))                                                        # (N, 1024, H/16, W/16) at last
        for level, up in zip(reversed(range(LEVELS)), self.up):
            x = up(x, skips[level], encode(resize_hints(hint_ab, hint_mask, level, self.hint_resize)))
        return x


def encode(ab):
    """CIE units -> OpenCV's 8-bit code of ab divided by 255, so that no hint reads 128 / 255.

    >>> encode(-128), encode(127), round(encode(0), 3)
    (0.0, 1.0, 0.502)
    """
    return (ab + CODE_ZERO) / CODE_RANGE


def check_maps(L, hint_ab, hint_mask):
    """Raise ValueError unless the three maps share a height and width that are multiples of 16."""
    sizes = [tuple(x.shape[-2:]) for x in (L, hint_ab, hint_mask)]
    if any(size != sizes[0] for size in sizes) or sizes[0][0] % 16 or sizes[0][1] % 16:
        raise ValueError(f"L, hint_ab and hint_mask must share a height and width that are multiples of 16, not {sizes}: resize or pad them.")


class HintUNet(nn.Module):
    """L `(N, 1, H, W)` in [0, 100], hint_ab `(N, 2, H, W)` in CIE units (0 where no hint is), hint_mask `(N, 1, H, W)` -> ab `(N, 2, H, W)`.

    H and W multiples of 16; ab is not bounded. Raises ValueError for other sizes.

    >>> L, hint_ab, hint_mask = torch.zeros(1, 1, 32, 48), torch.zeros(1, 2, 32, 48), torch.zeros(1, 1, 32, 48)
    >>> HintUNet(PRESETS["smoke"])(L, hint_ab, hint_mask).shape
    torch.Size([1, 2, 32, 48])
    """

    def __init__(self, config):
        super().__init__()
        self.config = config
        self.trunk = Trunk(4, config)
        self.to_ab = nn.Conv2d(config.width, 2, 1)
        if config.start_grey:
            nn.init.zeros_(self.to_ab.weight)
            nn.init.constant_(self.to_ab.bias, CODE_ZERO / CODE_RANGE)

    def forward(self, L, hint_ab, hint_mask):
        check_maps(L, hint_ab, hint_mask)
        hint_ab = hint_ab * hint_mask
        x = self.trunk(torch.cat([L / 100, encode(hint_ab), hint_mask], 1), hint_ab, hint_mask)
        with torch.autocast(x.device.type, enabled=False):                                      # half precision would show in the colours
            return self.to_ab(x.to(self.to_ab.weight.dtype)) * CODE_RANGE - CODE_ZERO


# ---------------------------------------------------------------- training

def hint_loss(ab, ab_true, config):
    """0.8 L1(ab) + 0.2 (1 - SSIM(Lab)), ab `(N, 2, H, W)` in CIE units, both in OpenCV's code / 255 (`solver.py`).

    L is copied from the input, so its SSIM is 1 and the second term is 0.2 (2 - SSIM_a - SSIM_b) / 3. Returns {"loss", "l1", "ssim"}.

    >>> found = hint_loss(torch.zeros(1, 2, 9, 9), torch.full((1, 2, 9, 9), 25.5), replace(RELEASED, ssim_weight=0.0))
    >>> {name: round(value.item(), 2) for name, value in found.items()}      # 25.5 / 255, weighted by 0.8
    {'loss': 0.08, 'l1': 0.1}
    """
    ab, ab_true = encode(ab.to(ab_true.dtype)), encode(ab_true)
    l1 = F.l1_loss(ab, ab_true)
    if not config.ssim_weight:
        return {"loss": config.l1_weight * l1, "l1": l1}
    ssim = (1 + 2 * mean_ssim(ab, ab_true)) / 3
    return {"loss": config.l1_weight * l1 + config.ssim_weight * (1 - ssim), "l1": l1, "ssim": ssim}


def lab_of(rgb):
    """uint8 or [0, 1] rgb `(N, 3, H, W)` -> L `(N, 1, H, W)`, ab `(N, 2, H, W)`."""
    return lab.rgb_to_lab(rgb.float() / 255 if rgb.dtype == torch.uint8 else rgb).split([1, 2], 1)


class Step:
    """One update of a hint U-Net: true colours give the hints, the network gives the rest.

    >>> step = Step(PRESETS["smoke"], train.make_fabric("cpu"))
    >>> [*step({"rgb": torch.randint(256, (2, 3, 32, 32)).byte()})]
    ['loss', 'l1', 'ssim']
    """

    def __init__(self, config, fabric, network=HintUNet, parts=1, compile=False):
        self.config, self.fabric, self.parts = config, fabric, parts
        train.seed_everything(config.seed)
        model = network(config)
        if config.one_cycle:
            optimizer = torch.optim.AdamW(model.parameters(), config.one_cycle, weight_decay=0.01, fused=True)
            self.schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, config.one_cycle, total_steps=config.steps + 1, pct_start=0.15)
        else:
            optimizer = torch.optim.Adam(model.parameters(), 1.0, betas=(0.5, 0.999), fused=True)
            self.schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, self.learning_rate)
        self.model, self.optimizer = train.prepare(fabric, model, optimizer, compile)

    def learning_rate(self, update):
        """The schedule's rate at an update."""
        return max(stage for stage in self.config.schedule if stage[0] * self.config.epoch <= update)[1]

    def losses(self, batch):
        L, ab = lab_of(batch["rgb"])
        hint_ab, hint_mask = training_hints(ab, self.config.scheme)
        return hint_loss(self.model(L, hint_ab, hint_mask), ab, self.config)

    def __call__(self, batch):
        done = self.schedule.last_epoch
        if not self.config.one_cycle and any(epoch and epoch * self.config.epoch == done for epoch, _ in self.config.schedule):
            self.optimizer.state.clear()      # the authors restarted by hand and reloaded the weights only, so Adam's moments began anew
        losses = train.descend(self.fabric, self.model, self.optimizer, self.losses, batch, self.parts)
        self.schedule.step()
        return losses

    def result(self):
        """The trained network."""
        return self.model.module.eval()


# ---------------------------------------------------------------- use

def build(config, pretrained=False):
    """An untrained `HintUNet`.

    >>> with torch.device("meta"):      # counted, without memory
    ...     print(sum(map(torch.numel, build(RELEASED).parameters())))
    31039066
    """
    return HintUNet(config)


@torch.no_grad()
def colorize(model, batch):
    """batch {"L" `(N, 1, H, W)` in [0, 100], "hint_ab" `(N, 2, H, W)` in CIE units, "hint_mask" `(N, 1, H, W)`} -> ab `(N, 2, H, W)`.

    Deterministic; any size of at least 1 x 1. Without the hint entries the network gets none.

    >>> hints = {"hint_ab": torch.zeros(1, 2, 30, 41), "hint_mask": torch.zeros(1, 1, 30, 41)}
    >>> colorize(build(PRESETS["smoke"]), {"L": torch.rand(1, 1, 30, 41) * 100} | hints).shape
    torch.Size([1, 2, 30, 41])
    """
    L = batch["L"]
    height, width = L.shape[-2:]
    edge = (0, -width % 16, 0, -height % 16)
    hint_ab, hint_mask = batch.get("hint_ab", torch.zeros_like(L).expand(-1, 2, -1, -1)), batch.get("hint_mask", torch.zeros_like(L))
    return model.eval()(F.pad(L, edge, mode="replicate"), F.pad(hint_ab, edge), F.pad(hint_mask.to(L), edge))[..., :height, :width]


def variants(model):
    """What the results table compares: {row name: function of a batch -> ab}.

    >>> rows = variants(build(PRESETS["smoke"]))
    >>> [*rows], rows[""]({"L": torch.rand(1, 1, 9, 13) * 100}).shape
    ([''], torch.Size([1, 2, 9, 13]))
    """
    return {"": lambda batch: colorize(model, batch)}


def make_step(config, fabric, dataset, run=None, progress=None, compile=False):
    """A `Step` for `config`; any colour pictures will do.

    >>> step = make_step(PRESETS["smoke"], train.make_fabric("cpu"), dataset=None)
    >>> colorize(step.result(), {"L": torch.rand(1, 1, 9, 13) * 100}).shape
    torch.Size([1, 2, 9, 13])
    """
    return Step(config, fabric, compile=compile)


def networks(config):
    """The parts a parameter table lists.

    >>> [*networks(PRESETS["smoke"])]
    ['U-Net']
    """
    return {"U-Net": HintUNet(config)}


OFFICIAL_PARTS = {"inc.double_conv.": "trunk.inc.", "outc.conv.": "to_ab."} \
    | {f"down{i + 1}.maxpool_conv.1.double_conv.": f"trunk.down.{i}." for i in range(LEVELS)} \
    | {f"up{i + 1}.{theirs}": f"trunk.up.{i}.{ours}" for i in range(LEVELS) for theirs, ours in
       {"up.": "up.", "conv.double_conv.": "conv.", "sp.conv1.": "gate.first.conv.", "ch.conv1.": "gate.second.conv.", "conv_1by1.": "gate.hint."}.items()}


def from_official(state_dict):
    """The authors' checkpoint (a state dict of `HINT_CSATUNet`) -> one for `HintUNet(RELEASED)`. Raises ValueError for names it does not know.

    Their second gates are registered twice, as `ch1` .. `ch4` and inside `up1` .. `up4`; the copies are dropped.

    >>> from_official({"inc.double_conv.0.weight": torch.zeros(64, 4, 3, 3), "ch1.conv1.weight": torch.zeros(1)}).keys()
    dict_keys(['trunk.inc.0.weight'])
    """
    renamed = {}
    for name, value in state_dict.items():
        prefix = next((part for part in OFFICIAL_PARTS if name.startswith(part)), None)
        if prefix is not None:
            renamed[OFFICIAL_PARTS[prefix] + name[len(prefix):]] = value
        elif not name.startswith(("ch1.", "ch2.", "ch3.", "ch4.")):
            raise ValueError(f"The checkpoint holds {name!r}, which HINT_CSATUNet does not have: give a state dict of that class.")
    return renamed
