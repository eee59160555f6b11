"""colorlib's own infrared network: a residual U-Net, trained on pairs and on photographs that have no infrared twin.

Of ours, no paper's. A small second network learns the easy way, colour to infrared, from the same pairs; it makes an infrared twin for any photograph, and from
such made-up pairs the painter learns what the few true ones do not show. This is back-translation (Sennrich et al. 2016), the half of a cycle that is easy to
learn. True pairs stay in every update. The painter minimises

    |y' - y| + ssim_weight (1 - SSIM) + angle_weight (1 - cos angle(y', y))

as the pictures are judged by error, structure and angle. It runs at any size and averages what it paints from a picture and from its mirror image.
"""
import copy
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import nn

from colorlib import data, losses, train
from colorlib.blocks import at_any_size, from_unit, pair_of


@dataclass(frozen=True)
class Config:
    """All values are ours; "class" is the shipped size."""
    in_channels: int = 1
    widths: tuple = (128, 224, 320, 448, 448)           # maps at 1/2, 1/4, ... 1/32 of the size
    back_widths: tuple = (48, 96, 128)                  # the same of the network that paints infrared
    photos: str = ""                    # photographs without infrared: whatever `data.open_pictures` takes; "": none
    photo_share: float = 0.5            # of a batch, beside the true pairs, once the way back is learned
    photos_from: float = 0.3            # share of the updates before that
    ssim_weight: float = 0.2
    angle_weight: float = 1.0
    jitter: float = 0.1                 # infrared: times 1 +- jitter, plus +- jitter / 2, drawn for each picture
    average: float = 0.999              # decay of the running average of the weights, which is what is used
    mirror: bool = True                 # paint the mirror image, too, and average
    learning_rate: float = 1e-3         # AdamW, peak of one cycle
    batch_size: int = 16
    steps: int = 40_000
    image_size: int = 256
    seed: int = 0


PAPER = Config()
CLASS = replace(PAPER, widths=(32, 64, 112, 176, 208), back_widths=(16, 32, 64), learning_rate=2e-3, batch_size=8, steps=4_000, image_size=128)
SMOKE = replace(PAPER, widths=(16, 24, 32), back_widths=(8, 16), average=0.98, learning_rate=4e-3, batch_size=8, steps=160, image_size=64)
PRESETS = {"paper": PAPER, "class": CLASS, "smoke": SMOKE}
TRAINING_ABLATIONS = {"as it is": {}, "no SSIM loss": {"ssim_weight": 0.0}, "no angle loss": {"angle_weight": 0.0}, "no jitter": {"jitter": 0.0},
                      "no mirror image": {"mirror": False}}


# ---------------------------------------------------------------- network

class Residual(nn.Module):
    """Two 3x3 convolutions with group norm and SiLU, beside a 1x1 short cut where the number of maps changes."""

    def __init__(self, channels_in, channels_out):
        super().__init__()
        groups = max(1, channels_out // 8)
        self.layers = nn.Sequential(nn.Conv2d(channels_in, channels_out, 3, padding=1), nn.GroupNorm(groups, channels_out), nn.SiLU(inplace=True),
                                    nn.Conv2d(channels_out, channels_out, 3, padding=1), nn.GroupNorm(groups, channels_out), nn.SiLU(inplace=True))
        self.short = nn.Identity() if channels_in == channels_out else nn.Conv2d(channels_in, channels_out, 1)

    def forward(self, x):
        return self.short(x) + self.layers(x)


class UNet(nn.Module):
    """x_n `(N, channels_in, H, W)` in [-1, 1] -> `(N, channels_out, H, W)` in about [0, 1], not clipped; H and W multiples of 2 ^ levels.

    Every 2x2 pixels enter as maps of half the size and leave so: nothing is computed at full size, which is where most of the time went.
    """

    def __init__(self, channels_in, channels_out, widths):
        super().__init__()
        self.first = nn.Conv2d(4 * channels_in, widths[0], 3, padding=1)
        self.down = nn.ModuleList(Residual(before, after) for before, after in zip([widths[0], *widths], widths))
        self.up = nn.ModuleList(nn.Conv2d(before, after, 1) for before, after in zip(widths[:0:-1], widths[-2::-1]))
        self.join = nn.ModuleList(Residual(2 * width, width) for width in widths[-2::-1])
        self.last = nn.Conv2d(widths[0], 4 * channels_out, 3, padding=1)
        nn.init.zeros_(self.last.weight)
        nn.init.constant_(self.last.bias, 0.5)

    def forward(self, x_n):
        x, maps = self.first(F.pixel_unshuffle(x_n, 2)), []
        for level, down in enumerate(self.down):
            x = down(F.avg_pool2d(x, 2) if level else x)
            maps.append(x)
        maps.pop()
        for up, join in zip(self.up, self.join):
            x = join(torch.cat([maps.pop(), F.interpolate(up(x), scale_factor=2, mode="bilinear", align_corners=False)], 1))
        with torch.autocast(x.device.type, enabled=False):                                  # half precision would show in the colours
            return F.pixel_shuffle(self.last(x.to(self.last.weight.dtype)), 2)


class NirNet(nn.Module):
    """nir `(N, C, H, W)` in [0, 1] -> rgb `(N, 3, H, W)`, to be clipped to [0, 1]."""

    def __init__(self, config):
        super().__init__()
        self.config, self.net = config, UNet(config.in_channels, 3, config.widths)

    def forward(self, nir):
        return self.net(from_unit(nir))


# ---------------------------------------------------------------- training

class WithPhotos(torch.utils.data.Dataset):
    """Pairs, each with some photograph beside it, "photo" `(3, H, W)` uint8 of the pair's size, another one in the next pass: the i-th pair meets every photograph."""

    def __init__(self, pairs, photos):
        self.pairs, self.photos, self.ids = pairs, photos, pairs.ids

    def __len__(self):
        return len(self.pairs)

    def __getitem__(self, i):
        return self.pairs[i] | {"photo": self.photos[int(torch.randint(len(self.photos), ()))]["rgb"]}


def angle_distance(rgb, true):
    """1 - cosine of the angle between two colours, mean over pixels; `(N, 3, H, W)` each. Black has no direction and counts nothing."""
    length = rgb.norm(dim=1) * true.norm(dim=1)
    return ((1 - (rgb * true).sum(1) / length.clamp_min(1e-3)) * (length > 1e-3)).mean()


def paint_loss(rgb, true, config):
    """The module's formula: {"loss", "l1", "ssim", "angle"}; ssim is 1 - SSIM."""
    rgb = rgb.float()
    parts = {"l1": F.l1_loss(rgb, true), "ssim": 1 - losses.mean_ssim(rgb, true), "angle": angle_distance(rgb, true)}
    return {"loss": parts["l1"] + config.ssim_weight * parts["ssim"] + config.angle_weight * parts["angle"]} | parts


class Step:
    """One update of the painter and, where photographs help, one of the network on the way back."""

    def __init__(self, config, fabric, compile=False):
        self.config, self.fabric = config, fabric
        train.seed_everything(config.seed)
        adam = lambda network: torch.optim.AdamW(network.parameters(), config.learning_rate, betas=(0.9, 0.99), weight_decay=0.01)
        cycle = lambda optimizer: torch.optim.lr_scheduler.OneCycleLR(optimizer, config.learning_rate, total_steps=config.steps + 1, pct_start=0.1)
        model = NirNet(config)
        self.averaged = train.moving_average(copy.deepcopy(model), config.average)
        self.model, self.optimizer = train.prepare(fabric, model, adam(model), compile)
        self.averaged.to(fabric.device)
        self.schedule = cycle(self.optimizer)
        if config.photos:
            back = UNet(3, config.in_channels, config.back_widths)
            self.back, self.back_optimizer = train.prepare(fabric, back, adam(back), compile)
            self.back_schedule = cycle(self.back_optimizer)

    def __call__(self, batch):
        config, (nir, rgb), found = self.config, pair_of(batch), {}
        if config.photos:
            found["back"] = self.teach_back(nir, rgb)
            if self.schedule.last_epoch >= config.photos_from * config.steps:
                nir, rgb = self.add_photos(nir, rgb, batch["photo"].float() / 255)
        nir = self.jitter(nir)
        parts = paint_loss(self.model(nir), rgb, config)
        train.update(self.fabric, self.optimizer, parts["loss"])
        self.schedule.step()
        self.averaged.update_parameters(self.model.module)
        return {name: value.detach() for name, value in (parts | found).items()}

    def teach_back(self, nir, rgb):
        """One update of the way back, colour to infrared, on true pairs."""
        loss = F.l1_loss(self.back(from_unit(rgb)).float(), nir)
        train.update(self.fabric, self.back_optimizer, loss)
        self.back_schedule.step()
        return loss.detach()

    def add_photos(self, nir, rgb, photos):
        """The batch, some of it replaced by photographs with the infrared the way back gives them."""
        count = round(self.config.photo_share * len(photos))
        with torch.no_grad():
            made = self.back(from_unit(photos[:count])).float().clamp(0, 1)
        return torch.cat([made, nir[count:]]), torch.cat([photos[:count], rgb[count:]])

    def jitter(self, nir):
        """Another exposure of the infrared picture: which one it had says nothing of the colours."""
        gain, lift = (self.config.jitter * (2 * torch.rand(len(nir), 1, 1, 1) - 1).to(nir) for _ in range(2))
        return (nir * (1 + gain) + lift / 2).clamp(0, 1)

    def result(self):
        """The averaged painter."""
        return copy.deepcopy(self.averaged.module).eval()


def make_step(config, fabric, dataset, run=None, progress=None, compile=False):
    """A `Step` for `config`; registered pairs, with photographs beside them where `config.photos` asks for them."""
    return Step(config, fabric, compile)


def prepare_data(dataset, config):
    """Pairs, each with a photograph beside it where `config.photos` names some. Raises what `data.open_pictures` raises."""
    return WithPhotos(dataset, data.open_pictures(config.photos, dataset[0]["rgb"].shape[-1])) if config.photos else dataset


# ---------------------------------------------------------------- use

def build(config, pretrained=False):
    """An untrained `NirNet`."""
    return NirNet(config)


@torch.no_grad()
def colorize(model, batch, mirror=None):
    """batch {"nir": `(N, 1, H, W)` in [0, 1], any size} -> rgb `(N, 3, H, W)` in [0, 1]. mirror: as in the config."""
    multiple, nir = 2 ** len(model.config.widths), batch["nir"]
    rgb = at_any_size(model.eval(), nir, multiple)
    if model.config.mirror if mirror is None else mirror:
        rgb = 0.5 * (rgb + at_any_size(model, nir.flip(-1), multiple).flip(-1))
    return rgb.clamp(0, 1)


def variants(model):
    """What the results table compares: {row name: function of a batch -> rgb}."""
    return {"": lambda batch: colorize(model, batch)}


def networks(config):
    """The parts a parameter table lists."""
    back = {"colour to infrared (training only)": UNet(3, config.in_channels, config.back_widths)} if config.photos else {}
    return {"U-Net": NirNet(config)} | back
