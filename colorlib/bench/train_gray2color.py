"""Gray2ColorNet: one update of its second stage. Its training code was never published, so the authors' network is trained by our losses and discriminator."""
import contextlib
import io

import torch
import torch.nn.functional as F
from torch import nn

from colorlib import bench, train
from colorlib.bench import contestants, official
from colorlib.bench.memory import peak_memory

__all__ = ["VARIANTS", "unit_features"]

REPOSITORY = "CV-xueba/Gray2ColorNet"


def update(rounds=None, device="cpu", config=None, number=None):
    """One update at the paper's width and size. Ours; a straight port of the published network's forward pass, with the same weights; and that network
    itself."""
    from colorlib.papers import gray2color
    config, draw = config or gray2color.PAPER_PROBABLE, torch.Generator().manual_seed(0)
    number = number or contestants.choose(device, 1, config.batch_size)
    pictures = lambda: torch.randint(0, 256, (number, 3, config.image_size, config.image_size), dtype=torch.uint8, generator=draw)
    batch = {"rgb": pictures(), "reference": pictures(), "label": torch.zeros(number, dtype=torch.long)}
    what = f"{number} picture{'s' * (number > 1)} of {config.image_size} px"

    def start(fabric, compile=False, exchange=lambda step: None):
        step = gray2color.Step(config, fabric, compile=compile)
        exchange(step)
        return contestants.updates(step, iter(lambda: batch, None), fabric)
    found, notes = contestants.make_ours(start, device, what)
    plain = train.make_fabric(device, 1, "32-true")

    def port(step):
        step.generator.module.__class__ = straight_gray2color()
    found["straight port"], notes["straight port"] = start(plain, exchange=port), f"{what}, float32"
    if clone := official.find(REPOSITORY, "models/networks.py"):
        with official.modules(clone[0] / "models", "networks") as [networks]:
            theirs = published(networks)
        found["the authors' network"] = start(plain, exchange=lambda step: use(step, theirs))
        notes["the authors' network"] = f"{what}, float32, authors' code at {clone[1]}"
    rows = bench.race(found, rounds or contestants.choose(device, bench.SLOW_ROUNDS, bench.ROUNDS), device, number, notes, threads=None)
    return [row | ({"peak_mib": peak_memory(found[row["method"]], device)} if row in (rows[0], rows[-1]) else {}) for row in rows]


VARIANTS = {"Gray2ColorNet": update}


def published(networks):
    """The authors' network, called as ours is. networks: their module of that name."""
    from colorlib.papers import gray2color

    class Published(nn.Module):
        def __init__(self):
            super().__init__()
            with contextlib.redirect_stdout(io.StringIO()):      # it says how it draws its weights
                self.network = networks.define_G(1, 441, 2, norm="instance")

        def forward(self, L_n, reference):
            found, logits, gate = self.network(L_n, reference.histogram, reference.L_n, reference.ab_n)
            return gray2color.Painted(found, logits, gate)
    return Published()


def use(step, network):
    """Exchange the generator of a Step."""
    optimizer = torch.optim.Adam(network.parameters(), step.config.learning_rate, betas=step.config.betas)
    step.generator, step.optimizer = step.fabric.setup(network, optimizer)
    step.schedule = torch.optim.lr_scheduler.ConstantLR(step.optimizer, 1.0)


def straight_gray2color():
    """The class of a Gray2ColorNet that computes what ours does the way the published code does: the target is encoded twice, and the similarities are one
    product of the enlarged features, which the gate reads as it stands."""
    from colorlib.papers import gray2color

    class Straight(gray2color.Gray2ColorNet):
        def forward(self, L_n, reference=None):
            if reference is None:
                return super().forward(L_n)
            seen, other = (unit_features(self.encoder(x)) for x in (L_n, reference.L_n))
            alike = other.transpose(1, 2) @ seen                                                      # (N, P_r, P_t)
            size = [side // 2 for side in L_n.shape[2:]]
            hidden = F.relu(self.gate.hidden.weight @ alike + self.gate.hidden.bias[:, None])
            gate = torch.sigmoid(self.gate.out.weight @ hidden + self.gate.out.bias[:, None]).unflatten(2, size)
            values = self.colors(reference.ab_n).flatten(2)
            aligned = self.colors.scales((values @ F.softmax(alike / self.config.temperature, 1)).unflatten(2, size))
            encoded, found = self.encoder(L_n), []
            x = encoded[5]
            for up, mine, theirs, skip, step in zip(self.up, aligned, self.palette(reference.histogram), (encoded[2], encoded[1], encoded[0]), (4, 2, 1)):
                share = gate[..., ::step, ::step]
                x, ab_n = up(x, skip, share * mine + (1 - share) * theirs)
                found.append(ab_n)
            return gray2color.Painted(found, self.classify(encoded[5].amax((2, 3))), gate)
    return Straight


def unit_features(encoded):
    """Six maps of Gray2ColorNet's encoder -> the 31 w channels at half the size, flat, each position of length 1.

    >>> encoded = [torch.ones(1, 2, side, side) for side in (16, 8, 8, 4, 4, 4)]
    >>> unit_features(encoded).shape, unit_features(encoded)[0, :, 0].norm().round(decimals=4).item()
    (torch.Size([1, 12, 64]), 1.0)
    """
    size = encoded[1].shape[-2:]
    found = torch.cat([x if x.shape[-2:] == size else F.interpolate(x, size=size, mode="bilinear") for x in encoded], 1).flatten(2)
    return found / found.norm(dim=1, keepdim=True)
