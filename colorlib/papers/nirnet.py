"""colorlib's own infrared network: the asymmetric cycle's two U-Nets, trained on pairs and on photographs that have no infrared twin.

Of ours, no paper's. The way from colour to infrared is the easy one, so a small network learns it from the true pairs; it then makes an infrared twin
for any photograph, and from such made-up pairs the painter learns what the few true ones do not show. This is back-translation (Sennrich et al.
2016), the half of a cycle that is easy to learn. True pairs stay in every update. The painter minimises

    |y' - y| + ssim_weight (1 - SSIM) + angle_weight (1 - cos angle(y', y))

as pictures are judged by error, structure and angle. It paints a picture and its mirror image and averages the two.
"""
from dataclasses import dataclass, replace
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import nn

from colorlib import data, losses, train
from colorlib.blocks import at_any_size, from_unit, one_cycle, pair_of, to_unit
from colorlib.papers.asym_cyclegan import UNet

__all__ = ["Config", "PAPER", "SMOKE", "PRESETS", "TRAINING_ABLATIONS", "NirNet", "make_back", "WithPhotos",
           "angle_distance", "paint_loss", "Step", "make_step", "prepare_data", "build", "colorize", "variants",
           "networks"]


@dataclass(frozen=True)
class Config:
    """All values are ours; "class" is the shipped size.

    >>> Config().ssim_weight, Config().angle_weight, Config().mirror
    (0.2, 1.0, True)
    """
    in_channels: int = 1
    width: int = 64                     # maps at half size; 2, 4, 8, 8, ... times as many below
    halvings: int = 7
    blocks: int = 2                     # residual blocks at the bottom
    back_width: int = 32                # the same two of the network that paints infrared, which has no blocks
    back_halvings: int = 5
    photos: str = ""                    # photographs without infrared: whatever `data.open_pictures` takes; "": none
    photo_share: float = 0.5            # of a batch, beside the true pairs, once the way back is learned
    photos_from: float = 0.1            # share of the updates before that
    photos_until: float = 0.6           # share of the updates after which true pairs are left alone again
    ssim_weight: float = 0.2
    angle_weight: float = 1.0
    zoom: float = 0.6                   # smallest share of a picture's side that is trained on, blown up to `image_size`; 1: crops as they are
    jitter: float = 0.1                 # infrared: times 1 +- jitter, plus +- jitter / 2, drawn for each picture
    mirror: bool = True                 # paint the mirror image, too, and average
    learning_rate: float = 1e-3         # AdamW, peak of one cycle
    batch_size: int = 16
    steps: int = 40_000
    image_size: int = 256               # side trained on and shorter side painted at
    seed: int = 0


PAPER = Config()
CLASS = replace(PAPER, width=20, halvings=6, back_width=12, learning_rate=2e-3, batch_size=8, steps=4_500, image_size=128)
SMOKE = replace(PAPER, width=12, halvings=5, blocks=0, back_width=8, back_halvings=3, learning_rate=2e-3, batch_size=8, steps=160, image_size=64)
PRESETS = {"paper": PAPER, "class": CLASS, "smoke": SMOKE}
TRAINING_ABLATIONS = {"as it is": {}, "no SSIM loss": {"ssim_weight": 0.0}, "no angle loss": {"angle_weight": 0.0}, "no jitter": {"jitter": 0.0},
                      "no zoom": {"zoom": 1.0}, "no mirror image": {"mirror": False}}


class NirNet(nn.Module):
    """nir `(N, C, H, W)` in [0, 1] -> rgb `(N, 3, H, W)` in [0, 1]; H and W multiples of 2 ^ halvings.

    >>> NirNet(SMOKE).eval()(torch.rand(1, 1, 32, 64)).shape
    torch.Size([1, 3, 32, 64])
    """

    def __init__(self, config):
        super().__init__()
        self.config, self.net = config, UNet(config.in_channels, 3, config.blocks, config)

    def forward(self, nir):
        return to_unit(self.net(from_unit(nir)))


def make_back(config):
    """The network from colour to infrared, rgb_n `(N, 3, H, W)` in [-1, 1] -> nir_n `(N, C, H, W)`.

    >>> [sum(map(torch.numel, net.parameters())) for net in (NirNet(SMOKE), make_back(SMOKE))]
    [587463, 23321]
    """
    return UNet(3, config.in_channels, 0, replace(config, width=config.back_width, halvings=config.back_halvings))


# ---------------------------------------------------------------- training

class WithPhotos(torch.utils.data.Dataset):
    """Pairs, each with some photograph beside it, "photo" `(3, H, W)` uint8 of the pair's size, another one in the next pass: the i-th pair meets
    every photograph.

    >>> pairs = type("Pairs", (list,), {"ids": ["a"]})([{"nir": torch.zeros(1, 4, 4), "rgb": torch.zeros(3, 4, 4)}])
    >>> [*WithPhotos(pairs, [{"rgb": torch.ones(3, 4, 4)}])[0]]
    ['nir', 'rgb', 'photo']
    """

    def __init__(self, pairs, photos):
        self.pairs, self.photos, self.ids = pairs, photos, pairs.ids

    def __len__(self):
        return len(self.pairs)

    def __getitem__(self, i):
        return self.pairs[i] | {"photo": self.photos[int(torch.randint(len(self.photos), ()))]["rgb"]}


def angle_distance(rgb, true):
    """1 - cosine of the angle between two colours, mean over pixels; `(N, 3, H, W)` each. Black has no direction and counts nothing.

    >>> red, green = (torch.tensor(color).view(1, 3, 1, 1) for color in ([0.8, 0.0, 0.0], [0.0, 0.5, 0.0]))
    >>> [round(angle_distance(red, other).item(), 3) for other in (red, red / 2, green)]
    [0.0, 0.0, 1.0]
    """
    length = rgb.norm(dim=1) * true.norm(dim=1)
    return ((1 - (rgb * true).sum(1) / length.clamp_min(1e-3)) * (length > 1e-3)).mean()


def paint_loss(rgb, true, config):
    """The module's formula: {"loss", "l1", "ssim", "angle"}; ssim is 1 - SSIM.

    >>> found = paint_loss(torch.zeros(1, 3, 16, 16), torch.full((1, 3, 16, 16), 0.5), replace(PAPER, ssim_weight=0.0))
    >>> {name: round(value.item(), 2) for name, value in found.items() if name != "ssim"}      # black has no direction
    {'loss': 0.5, 'l1': 0.5, 'angle': 0.0}
    """
    rgb = rgb.float()
    parts = {"l1": F.l1_loss(rgb, true), "ssim": 1 - losses.mean_ssim(rgb, true), "angle": angle_distance(rgb, true)}
    return {"loss": parts["l1"] + config.ssim_weight * parts["ssim"] + config.angle_weight * parts["angle"]} | parts


class Step:
    """One update of the painter and, where photographs help, one of the network on the way back.

    >>> step = Step(SMOKE, train.make_fabric("cpu"))
    >>> [*step({"nir": torch.zeros(2, 1, 64, 64).byte(), "rgb": torch.zeros(2, 3, 64, 64).byte()})]
    ['loss', 'l1', 'ssim', 'angle']
    """

    def __init__(self, config, fabric, compile=False):
        self.config, self.fabric = config, fabric
        train.seed_everything(config.seed)
        self.notes = f"photographs {Path(config.photos).name}" if config.photos else ""
        adam = lambda network: torch.optim.AdamW(network.parameters(), config.learning_rate, betas=(0.5, 0.999), weight_decay=0.01)
        model = NirNet(config)
        self.model, self.optimizer = train.prepare(fabric, model, adam(model), compile)
        self.schedule = one_cycle(self.optimizer, config.learning_rate, config.steps)
        if config.photos:
            back = make_back(config)
            self.back, self.back_optimizer = train.prepare(fabric, back, adam(back), compile)
            self.back_schedule = one_cycle(self.back_optimizer, config.learning_rate, config.steps)

    def __call__(self, batch):
        config, (nir, rgb), found = self.config, pair_of(batch), {}
        if config.photos:
            found["back"] = self.teach_back(nir, rgb)
            if config.photos_from <= self.schedule.last_epoch / config.steps < config.photos_until:
                nir, rgb = self.add_photos(nir, rgb, batch["photo"].float() / 255)
        nir, rgb = self.zoom(self.jitter(nir), rgb)
        parts = paint_loss(self.model(nir), rgb, config)
        train.update(self.fabric, self.optimizer, parts["loss"])
        self.schedule.step()
        return {name: value.detach() for name, value in (parts | found).items()}

    def teach_back(self, nir, rgb):
        """One update of the way back, colour to infrared, on true pairs."""
        loss = F.l1_loss(to_unit(self.back(from_unit(rgb))), nir)
        train.update(self.fabric, self.back_optimizer, loss)
        self.back_schedule.step()
        return loss.detach()

    def add_photos(self, nir, rgb, photos):
        """The batch, some of it replaced by photographs with the infrared the way back gives them."""
        count = round(self.config.photo_share * len(photos))
        with torch.no_grad():
            made = to_unit(self.back(from_unit(photos[:count])))
        return torch.cat([made, nir[count:]]), torch.cat([photos[:count], rgb[count:]])

    def zoom(self, nir, rgb):
        """A random square of the pictures, the same for both of a pair and of one size in an update, at the size they had."""
        height, width = nir.shape[-2:]
        share = 1 - (1 - self.config.zoom) * float(torch.rand(()))
        size = [max(1, round(share * side)) for side in (height, width)]
        if size == [height, width]:
            return nir, rgb
        both, cut = torch.cat([nir, rgb], 1), []
        for picture in both:
            top, left = (int(torch.randint(whole - part + 1, ())) for whole, part in zip((height, width), size))
            cut.append(picture[:, top:top + size[0], left:left + size[1]])
        both = F.interpolate(torch.stack(cut), size=(height, width), mode="bilinear", antialias=True)
        return both[:, :nir.shape[1]], both[:, nir.shape[1]:]

    def jitter(self, nir):
        """Another exposure of the infrared picture: which one it had says nothing of the colours."""
        gain, lift = (self.config.jitter * (2 * torch.rand(len(nir), 1, 1, 1) - 1).to(nir) for _ in range(2))
        return (nir * (1 + gain) + lift / 2).clamp(0, 1)

    def result(self):
        """The trained painter."""
        return self.model.module.eval()


def make_step(config, fabric, dataset, run=None, progress=None, compile=False):
    """A `Step` for `config`; registered pairs, with photographs beside them where `config.photos` asks for them.

    >>> step = make_step(SMOKE, train.make_fabric("cpu"), dataset=None)
    >>> colorize(step.result(), {"nir": torch.rand(1, 1, 30, 41)}).shape
    torch.Size([1, 3, 30, 41])
    """
    return Step(config, fabric, compile)


def prepare_data(dataset, config):
    """Pairs, each with a photograph beside it where `config.photos` names some. Raises what `data.open_pictures` raises.

    >>> pairs = [{"nir": torch.zeros(1, 4, 4), "rgb": torch.zeros(3, 4, 4)}]
    >>> prepare_data(pairs, PAPER) is pairs      # no photographs asked for
    True
    """
    return WithPhotos(dataset, data.open_pictures(config.photos, dataset[0]["rgb"].shape[-1])) if config.photos else dataset


# ---------------------------------------------------------------- use

def build(config, pretrained=False):
    """An untrained `NirNet`.

    >>> with torch.device("meta"):      # counted, without memory
    ...     print(sum(map(torch.numel, build(PAPER).parameters())))
    51271363
    """
    return NirNet(config)


@torch.no_grad()
def colorize(model, batch, mirror=None):
    """batch {"nir": `(N, 1, H, W)` in [0, 1], any size} -> rgb `(N, 3, H, W)` in [0, 1]. mirror: as in the config.

    >>> nir, model = torch.rand(1, 1, 30, 64), build(SMOKE)
    >>> one, other = (colorize(model, {"nir": x}) for x in (nir, nir.flip(-1)))
    >>> torch.allclose(one, other.flip(-1), atol=1e-4)      # the mirror image gets the mirrored colours
    True
    """
    multiple, nir = 2 ** (model.config.halvings + 1), batch["nir"]
    rgb = at_any_size(model.eval(), nir, multiple)
    if model.config.mirror if mirror is None else mirror:
        rgb = 0.5 * (rgb + at_any_size(model, nir.flip(-1), multiple).flip(-1))
    return rgb


def variants(model):
    """What the results table compares: {row name: function of a batch -> rgb}.

    >>> rows = variants(build(SMOKE))
    >>> [*rows], rows[""]({"nir": torch.rand(1, 1, 9, 13)}).shape
    ([''], torch.Size([1, 3, 9, 13]))
    """
    return {"": lambda batch: colorize(model, batch)}


def networks(config):
    """The parts a parameter table lists.

    >>> [*networks(replace(SMOKE, photos="a folder"))]
    ['U-Net', 'colour to infrared (training only)']
    """
    back = {"colour to infrared (training only)": make_back(config)} if config.photos else {}
    return {"U-Net": NirNet(config)} | back
