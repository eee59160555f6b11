"""HintNet: colorlib's own network for any number of hints, from none to one pixel in thirty (ours; not a published system).

HSCAU-Net learns, from hundreds of hints at a time, to spread colours that are almost everywhere; with five hints it fails. Here spreading is
an explicit layer whose weights the network chooses. Every pixel i averages the hints j and its own guess,

    ab(i) = (sum_j w(i, j) ab_j + w_0(i) guess(i)) / (sum_j w(i, j) + w_0(i)),     w(i, j) = (alike(i, j) + floor) / (d(i, j)^2 + 1)^power

which is inverse-distance weighting (Shepard 1968) with the likeness of a joint bilateral filter (Petschnigg et al. 2004); alike is
exp(-(L_i - L_j)^2 / 2 sigma^2 - |f_i - f_j|^2) with features f, guess and w_0 from HSCAU-Net's trunk. Without the trunk's part this already is a
good colourizer that needs no training (`propagate`); without hints it is an automatic one. A last layer adds detail at full resolution.
"""
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import nn

from colorlib.hints.simulated_hints import training_hints
from colorlib.papers import hscau

__all__ = ["Config", "POWER", "PRESETS", "propagate", "HintNet", "decibel_loss", "Step", "build", "colorize",
           "variants", "make_step", "networks"]

CELL = 2                                             # hints are spread at half resolution, in cells of 2 x 2 pixels
L_SIGMA, POWER, FLOOR = 8.0, 1.5, 1e-3               # best of six settings on 24 training photographs with 10 to 1,500 hints
FEATURES = 16
GUESS_WEIGHT = -10.0                                 # log w_0 to begin with: a guess counts like a hint e^(10/3) = 28 pixels away
AB_SCALE = 50.0                                      # CIE units; brings the heads' outputs to about 1
BAND = 2 ** 24                                       # pairs of a cell and a hint at a time: 64 MiB


@dataclass(frozen=True)
class Config(hscau.Config):
    """HSCAU-Net's, with HintNet's scheme and an optimizer that fits it.

    >>> Config().scheme, Config().gates, Config().width
    ('every_count', 'named', 64)
    """
    gates: str = "named"
    hint_resize: str = "mean"
    scheme: str = "every_count"
    one_cycle: float = 1e-3
    steps: int = 100_000


PRESETS = hscau.presets(Config())
PRESETS["class"] = replace(PRESETS["class"], one_cycle=2e-3, batch_size=8, steps=5_000, image_size=128)


# ---------------------------------------------------------------- spreading

@torch.no_grad()
def propagate(L, hint_ab, hint_mask):
    """Spread hints over pixels that are near and equally light, without learning. Returns (ab `(N, 2, H, W)`, nearness `(N, 1, H, W)` in [0, 1.25)).

    nearness is the cube root of the weights' sum, about 1 / d of the nearest fitting hint. L `(N, 1, H, W)`, H and W even. Without a hint both are 0.

    >>> L, hint_ab, hint_mask = torch.full((1, 1, 8, 8), 50.0), torch.zeros(1, 2, 8, 8), torch.zeros(1, 1, 8, 8)
    >>> hint_ab[..., 3, 3], hint_mask[..., 3, 3] = 40.0, 1.0      # one click colours an even picture
    >>> ab, nearness = propagate(L, hint_ab, hint_mask)
    >>> ab.min().round().item(), ab.max().round().item(), (nearness[0, 0, 2, 2] > nearness[0, 0, 7, 7]).item()
    (40.0, 40.0, True)
    """
    return spread(Cells(L.float(), hint_ab.float(), hint_mask.float()))


@torch.no_grad()
def spread(cells):
    """`propagate` of `Cells`."""
    nothing = cells.L.new_zeros(len(cells.L), 1, 1, 1)
    with torch.autocast(cells.L.device.type, enabled=False):
        ab, total = average(cells, None, torch.cat([nothing, nothing], 1), nothing, POWER, FLOOR)
    return enlarge(ab), enlarge(total.pow(1 / (2 * POWER)))


class Cells:
    """Pictures and hints at half resolution: L `(N, 1, h, w)`, and of each picture the hinted cells' place, ab and mean L."""

    def __init__(self, L, hint_ab, hint_mask):
        ab, hint_L = (hscau.resize_hints(x, hint_mask, 1) for x in (hint_ab, L))          # means over the hints of a cell
        self.L = F.avg_pool2d(L, CELL)                                                    # (N, 1, h, w)
        self.places = [one[0].nonzero(as_tuple=True) for one in F.avg_pool2d(hint_mask, CELL)]                    # (y (n,), x (n,)) a picture
        self.ab = [one[:, y, x] for one, (y, x) in zip(ab, self.places)]                  # (2, n)
        self.hint_L = [one[0, y, x] for one, (y, x) in zip(hint_L, self.places)]          # (n,)


def enlarge(x):
    """Half resolution -> full, bilinear."""
    return F.interpolate(x, scale_factor=CELL, mode="bilinear", align_corners=False)


def average(cells, features, guess, guess_weight, power, floor):
    """The weighted mean of hints and guess, in float32. Returns (ab `(N, 2, h, w)`, sum of all weights `(N, 1, h, w)`).

    features `(N, F, h, w)` or None; guess: ab `(N, 2, h or 1, w or 1)`; guess_weight `(N, 1, h or 1, w or 1)`. Where all weights are 0 so is ab.
    """
    _, _, height, width = cells.L.shape
    rows, columns = (torch.arange(n, device=cells.L.device) for n in (height, width))
    means, totals = [], []
    for i, (y, x) in enumerate(cells.places):
        values = torch.cat([cells.ab[i], torch.ones_like(cells.ab[i][:1])]).T             # (n, 3)
        sums = []
        for band in rows.split(max(1, BAND // (width * max(1, len(y))))):
            square = CELL ** 2 * ((rows[band, None] - y).square()[:, None] + (columns[:, None] - x).square()).float()     # (k, w, n) pixels
            unlike = (cells.L[i, 0, band][..., None] - cells.hint_L[i]).square() / (2 * L_SIGMA ** 2)
            if features is not None:
                mine, theirs = features[i][:, band], features[i][:, y, x]                 # (F, k, w), (F, n)
                cross = torch.einsum("fkw,fn->kwn", mine, theirs)
                unlike = unlike + (mine.square().sum(0)[..., None] + theirs.square().sum(0) - 2 * cross).clamp_min(0)
            sums.append(((torch.exp(-unlike) + floor) * torch.exp(-power * torch.log(square + 1))) @ values)             # (k, w, 3)
        sums = torch.cat(sums).permute(2, 0, 1)                                           # (3, h, w)
        total = sums[2:] + guess_weight[i]
        means.append((sums[:2] + guess[i] * guess_weight[i]) / total.clamp_min(1e-30))
        totals.append(total)
    return torch.stack(means), torch.stack(totals)


# ---------------------------------------------------------------- the network

class HintNet(nn.Module):
    """L `(N, 1, H, W)` in [0, 100], hint_ab `(N, 2, H, W)` in CIE units (0 where no hint is), hint_mask `(N, 1, H, W)` -> ab `(N, 2, H, W)`.

    H and W multiples of 16; ab is not bounded. Raises ValueError for other sizes.

    >>> HintNet(PRESETS["smoke"])(torch.zeros(1, 1, 32, 48), torch.zeros(1, 2, 32, 48), torch.zeros(1, 1, 32, 48)).shape
    torch.Size([1, 2, 32, 48])
    """

    def __init__(self, config):
        super().__init__()
        self.config = config
        self.trunk = hscau.Trunk(7, config)
        self.to_features = nn.Conv2d(config.width, FEATURES, 1)
        self.to_guess = nn.Conv2d(config.width, 3, 1)                                     # ab and log weight
        self.to_detail = nn.Conv2d(config.width, 2, 1)
        self.power, self.log_floor = nn.Parameter(torch.tensor(POWER)), nn.Parameter(torch.tensor(FLOOR).log())
        for head in (self.to_guess, self.to_detail):
            nn.init.zeros_(head.weight)                                                   # begin at `propagate`
            nn.init.zeros_(head.bias)

    def forward(self, L, hint_ab, hint_mask):
        hscau.check_maps(L, hint_ab, hint_mask)
        hint_ab = hint_ab * hint_mask
        cells = Cells(L.float(), hint_ab.float(), hint_mask.float())
        first, nearness = spread(cells)
        x = self.trunk(torch.cat([L / 100, hint_ab / AB_SCALE, hint_mask, first / AB_SCALE, nearness], 1), hint_ab, hint_mask)
        with torch.autocast(x.device.type, enabled=False):                                # half precision would show in the colours
            x = x.float()
            half = F.avg_pool2d(x, CELL)
            guess, weight = self.to_guess(half).split([2, 1], 1)
            ab, _ = average(cells, self.to_features(half), AB_SCALE * guess,
                            torch.exp((GUESS_WEIGHT + 5 * weight).clamp(-20, 5)), self.power, self.log_floor.exp())
            return enlarge(ab) + AB_SCALE * self.to_detail(x)


# ---------------------------------------------------------------- training

def decibel_loss(ab, ab_true):
    """Mean over pictures of 10 log10(mean squared error + 1) of ab `(N, 2, H, W)` in CIE units: minus a PSNR of ab, up to a constant.

    A picture with five hints has a hundred times the squared error of one with five hundred; in decibels both count alike.

    >>> round(decibel_loss(torch.zeros(1, 2, 4, 4), torch.full((1, 2, 4, 4), 3.0)).item(), 3)      # 10 log10(9 + 1)
    10.0
    """
    return 10 * torch.log10((ab.float() - ab_true).square().mean((1, 2, 3)) + 1).mean()


class Step(hscau.Step):
    """One update of HintNet: any number of hints, the error in decibels.

    >>> from colorlib import train
    >>> step = Step(PRESETS["smoke"], train.make_fabric("cpu"))
    >>> [*step({"rgb": torch.randint(256, (2, 3, 32, 32)).byte()})]
    ['loss']
    """

    def __init__(self, config, fabric, compile=False):
        super().__init__(config, fabric, HintNet, compile=compile)

    def losses(self, batch):
        L, ab = hscau.lab_of(batch["rgb"])
        return {"loss": decibel_loss(self.model(L, *training_hints(ab, self.config.scheme)), ab)}


# ---------------------------------------------------------------- use

def build(config, pretrained=False):
    """An untrained `HintNet`.

    >>> with torch.device("meta"):      # counted, without memory
    ...     print(sum(map(torch.numel, build(PRESETS["paper"]).parameters())))
    31085159
    """
    return HintNet(config)


colorize, variants = hscau.colorize, hscau.variants


def make_step(config, fabric, dataset, run=None, progress=None, compile=False):
    """A `Step` for `config`; any colour pictures will do.

    >>> from colorlib import train
    >>> step = make_step(PRESETS["smoke"], train.make_fabric("cpu"), dataset=None)
    >>> colorize(step.result(), {"L": torch.rand(1, 1, 9, 13) * 100}).shape      # no hints: an automatic network
    torch.Size([1, 2, 9, 13])
    """
    return Step(config, fabric, compile)


def networks(config):
    """The parts a parameter table lists.

    >>> [*networks(PRESETS["smoke"])]
    ['U-Net with hint averaging']
    """
    return {"U-Net with hint averaging": HintNet(config)}
