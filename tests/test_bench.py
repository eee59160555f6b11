"""The benchmark: contestants take turns, SCGAN's do the same work, and the authors' modules join when a folder holds them."""
import sys
from dataclasses import replace

import pytest
import torch
from torchvision.models import vgg

from colorlib import __main__ as cli
from colorlib import bench
from colorlib.papers import scgan

TINY = replace(scgan.PAPER, width=2, attention_width=2, feature_width=2)
NETWORK = """
from network_module import *
class Painter(nn.Module):
    def __init__(self, options):
        super().__init__()
        assert (options.in_channels, options.start_channels, options.latent_channels, options.pad) == (1, 2, 2, "reflect")
        self.conv = nn.Conv2d(1, 4, 3, padding=1)
    def forward(self, x):
        x = torch.sigmoid(self.conv(x))
        return x[:, :3], x[:, 3:]
SCGAN = Painter
class PatchDiscriminator70(nn.Module):
    def __init__(self, options):
        super().__init__()
        self.conv = nn.Conv2d(4, 1, 3)
    def forward(self, x, rgb):
        return self.conv(torch.cat([x, rgb], 1)).square()
class PerceptualNet(nn.Module):
    def __init__(self):
        super().__init__()
        layers = []
        for a, b, pools in ((3, 4, 0), (4, 4, 1), (4, 8, 0), (8, 8, 1), (8, 16, 0), (16, 16, 0), (16, 16, 0)):
            layers += [nn.Conv2d(a, b, 3, padding=1), nn.ReLU()] + [nn.MaxPool2d(2)] * pools
        self.features = nn.Sequential(*layers[:-1])
    def forward(self, x):
        return self.features(x)
"""
MODULE = """
import torch
from torch import nn
class TransposeConv2dLayer(nn.Module):
    def __init__(self, a, b, kernel, stride, padding, pad_type, activation, norm):
        super().__init__()
        self.conv = nn.Conv2d(a, b, kernel, stride, padding)
    def forward(self, x):
        return self.conv(nn.functional.interpolate(x, scale_factor=2))
class SpectralNorm(nn.Module):
    def __init__(self, module):
        super().__init__()
        self.module, self.updates = module, 0
    def _update_u_v(self):
        self.updates += 1
"""


@pytest.fixture
def official(tmp_path, monkeypatch):
    """A folder with files named and shaped like the authors'."""
    (tmp_path / "network.py").write_text(NETWORK)
    (tmp_path / "network_module.py").write_text(MODULE)
    monkeypatch.setenv(bench.OFFICIAL_SCGAN, str(tmp_path))
    yield tmp_path
    for name in ("network", "network_module"):
        sys.modules.pop(name, None)
    assert str(tmp_path) not in sys.path


def test_contestants_take_turns():
    called = []
    times = bench.time_in_turns({name: lambda name=name: called.append(name) for name in "ab"}, 3)
    assert called == list("ab" * 4)                                                       # one round to warm up
    assert times.keys() == {"a", "b"} and all(0 <= low <= median <= high for median, low, high in times.values())


def test_updates_of_scgan(official, monkeypatch):
    make_layers = vgg.make_layers
    monkeypatch.setattr(vgg, "make_layers", lambda widths, batch_norm: make_layers([w if w == "M" else w // 16 for w in widths], batch_norm))
    found, notes = bench.scgan_contestants(TINY, 256)
    assert list(found) == list(notes) == ["colorlib", "plain form", "the authors' modules"]
    losses = found["colorlib"]()
    assert losses.keys() >= {"loss", "perceptual", "penalty colour", "adversarial colour"} == found["plain form"]().keys() & {
        "loss", "perceptual", "penalty colour", "adversarial colour"}
    found["the authors' modules"]()


def test_the_authors_networks_learn(official):
    network, _ = bench.official_scgan()
    made = []
    for name in ("SCGAN", "PatchDiscriminator70"):
        kind = getattr(network, name)
        setattr(network, name, lambda options, kind=kind: made.append(kind(options)) or made[-1])
    inputs = torch.rand(2, 1, 16, 16), torch.rand(2, 3, 16, 16), torch.rand(2, 1, 16, 16)
    features = torch.nn.Module()
    features.network = network.PerceptualNet().features
    update = bench.official_update(network, TINY, inputs, features)
    before = [[p.detach().clone() for p in net.parameters()] for net in made]
    update()
    assert len(made) == 2 and not any(torch.equal(p, old) for net, olds in zip(made, before) for p, old in zip(net.parameters(), olds))


def test_parts_of_an_update(official):
    found, notes = bench.fold_contestants((6, 4), 24)
    assert list(found) == ["colorlib", "plain form", "the authors' module"]
    assert float(notes["colorlib"].split()[-1]) < 1e-4
    shapes = [[tuple(gradient.shape) for gradient in function()] for function in found.values()]
    assert shapes[0] == shapes[1] and all(shape[0] == (1, 6, 24, 24) for shape in shapes)
    found, _ = bench.spectral_contestants(TINY)
    assert list(found) == ["colorlib", "plain form", "torch's", "the authors' module"]
    assert all(len(function()) == 6 for function in found.values())


def test_without_the_authors_modules(monkeypatch, tmp_path):
    monkeypatch.delenv(bench.OFFICIAL_SCGAN, raising=False)
    assert bench.official_scgan() is None and list(bench.spectral_contestants(TINY)[0]) == ["colorlib", "plain form", "torch's"]
    monkeypatch.setenv(bench.OFFICIAL_SCGAN, str(tmp_path))
    with pytest.raises(ValueError, match="has no network_module.py: give the folder `train` of the authors' code"):
        bench.official_scgan()


def test_the_table_and_its_rows(monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("COLORLIB_RESULTS", str(tmp_path))
    monkeypatch.setitem(bench.CONTESTANTS, "fold", (lambda: ({"colorlib": lambda: None, "peer": lambda: None}, {"colorlib": "note", "peer": ""}), 2))
    assert cli.main(["bench", "fold", "--rounds", "4", "--write"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("| fold, one core |") and lines[2].startswith("| colorlib |") and lines[2].endswith("| 1.00 | note |") and len(lines) == 4
    rows = bench.results.read("benchmarks")
    assert [(row["method"], row["variant"], float(row["n"])) for row in rows] == [("colorlib", "fold", 4), ("peer", "fold", 4)]
