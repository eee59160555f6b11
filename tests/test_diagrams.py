"""Diagrams: the record against a real run, against the counts of the papers, and what a changed width does to it."""
import re
from dataclasses import replace
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from torch import nn

from colorlib import lab, zoo
from colorlib.figures import diagrams, grouping, tracing

LEARN = [name for name, method in zoo.METHODS.items() if method.learns]
PAINT = {"koalarization": 6_574_050, "scgan": 57_130_752, "hscau": 31_039_066, "gray2color": 53_057_711, "tcvc": 10_774_595, "sshape": 13_394_307,
         "pix2pix_infrared": 54_411_907, "cic": 32_235_385}      # known counts of the networks that run; koalarization's without its extractor


def real_shapes(name, size):
    """Output shapes of the convolutions and linear layers that a real run calls, in order."""
    method, seen = zoo.get(name), []
    config = method.presets[size]
    model = method.papers.build(config, pretrained=False).eval()
    for module in model.modules():
        if isinstance(module, (nn.Conv2d, nn.ConvTranspose2d, nn.Linear)):
            module.register_forward_hook(lambda module, args, output: seen.append(tuple(output.shape[1:])))
    with torch.no_grad():
        tracing.call_of(method)(model, tracing.sample_batch(method, config))
    return seen


@pytest.mark.parametrize("name", ["koalarization", "hscau", "sshape", "unit", "tcvc", "siggraph17"])
def test_shapes_are_those_of_a_real_run(name):
    layers, _ = tracing.record_method(name, "smoke")
    noted = [layer.shape for layer in layers if "conv" in layer.text or layer.text == "linear"]
    assert noted == real_shapes(name, "smoke") and len(noted) > 5


def test_every_method_can_be_described():
    for name in LEARN:
        layers, ends = tracing.record_method(name, "smoke")
        blocks = grouping.rows(layers)
        assert ends and all(reads < row["number"] for row in blocks for reads in row["reads"]), name
        assert sum(row["parameters"] for row in blocks) == sum(layer.parameters for layer in layers) > 0
        read = {one for row in blocks for one in row["reads"]}
        assert all(row["number"] in read for row in blocks if row["kind"] == "input"), f"{name}: an input that nobody reads"
        assert {row["kind"] for row in blocks} <= set(diagrams.KINDS)


@pytest.mark.parametrize("name", PAINT)
def test_parameters_at_paper_size(name):
    layers, _ = tracing.record_method(name)
    assert sum(layer.parameters for layer in layers if layer.kind != "other network") == PAINT[name]


def test_the_record_counts_what_gets_a_gradient():
    """Weights that are turned before use, a norm, a shared layer and a layer that never runs."""
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.norm, self.unused = nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.Conv2d(8, 8, 1)
            self.turned, self.shared = nn.Parameter(torch.randn(8, 8, 3, 3)), nn.utils.parametrizations.spectral_norm(nn.Conv2d(8, 8, 1))

        def forward(self, x):
            x = F.relu(self.norm(self.first(x)))
            return x + self.shared(self.shared(F.conv2d(x, self.turned.transpose(2, 3), stride=2, padding=1).repeat(1, 1, 2, 2)))

    net = Net()
    layers, ends = tracing.record(lambda model, inputs: model(inputs["x"]), net, {"x": torch.zeros(2, 3, 8, 8)})
    net(torch.randn(2, 3, 8, 8)).sum().backward()
    assert sum(layer.parameters for layer in layers) == sum(p.numel() for p in net.parameters() if p.grad is not None)
    assert [layer.text for layer in layers] == ["x", "conv 3×3", "conv 3×3 /2", "conv 1×1", "conv 1×1", "sum"]
    assert layers[-1].reads == {1, 4} and ends == {5} and layers[2].shape == (8, 4, 4) and layers[2].part == ""
    assert [layer.parameters for layer in layers] == [0, 3 * 8 * 9 + 8 + 16, 8 * 8 * 9, 8 * 8 + 8, 0, 0]


def test_nothing_fake_is_left_behind():
    lab._ab_bins.cache_clear(), lab._linear_table.cache_clear(), tracing._record_preset.cache_clear()
    tracing.record_method("cic", "smoke")
    grey = np.full((8, 8, 3), 90, np.uint8)
    assert lab.rgb_to_lab(grey).shape == (8, 8, 3) and type(lab.ab_bins(313)) is torch.Tensor


def test_a_width_that_changes_changes_the_description(monkeypatch):
    method = zoo.get("koalarization")
    before = diagrams.describe("koalarization", "smoke")
    wide = {"smoke": replace(method.presets["smoke"], fusion=2 * method.presets["smoke"].fusion)}
    monkeypatch.setattr(method.papers, "PRESETS", wide)
    after = diagrams.describe("koalarization", "smoke")
    changed = [one for one, other in zip(before.splitlines(), after.splitlines()) if one != other]
    assert len(changed) == 2 and "concatenate, conv 1×1" in changed[0] and "all of them" in changed[1]


def test_skips_of_a_u_net_are_found():
    rows = grouping.rows(tracing.record_method("unet", "smoke")[0])
    far = {row["number"]: min(row["reads"]) for row in rows if len(row["reads"]) > 1 and row["number"] > 5}      # 0 to 5: inputs and the way down
    joins = sorted(far)
    assert len(joins) == 4 and [far[one] for one in joins] == sorted((far[one] for one in joins), reverse=True)
    assert [rows[far[one]]["output"][1] for one in joins] == [rows[one]["output"][1] for one in joins]


def test_equal_blocks_are_drawn_once():
    rows = grouping.rows(tracing.record_method("tcvc")[0])
    middle = next(row for row in rows if row["part"] == "middle")
    assert middle["layers"] == "8 times: conv 3×3 holes 2, conv 3×3, sum" and middle["output"] == (256, 64, 64)
    assert middle["parameters"] == 8 * 2 * (256 * 256 * 9 + 256)
    assert rows[0]["layers"] == "L, frame before" and rows[0]["output"] == (4, 256, 256)


def test_methods_without_a_network():
    with pytest.raises(ValueError, match="levin has no network to draw"):
        diagrams.describe("levin")
    with pytest.raises(ValueError, match="There is no method 'nothing'"):
        diagrams.draw("nothing")


def test_the_table_adds_up():
    lines = diagrams.describe("scgan").splitlines()
    counts = [int(line.split("|")[-2].strip().replace(",", "")) for line in lines[2:]]
    assert sum(counts[:-1]) == counts[-1] and re.fullmatch(r"\|  \| part \| layers \| reads \| output \| parameters \|", lines[0])


@pytest.mark.parametrize("name", ["scgan", "film", "hintnet"])
def test_draws_a_figure_with_every_block(name, tmp_path, monkeypatch):
    monkeypatch.setenv("COLORLIB_FIGURES", str(tmp_path))
    figure = diagrams.draw(name, "smoke")
    rows = grouping.rows(tracing.record_method(name, "smoke")[0])
    axes = figure.axes[0]
    boxes = [patch for patch in axes.patches if type(patch).__name__ == "Rectangle"]
    arrows = [patch for patch in axes.patches if type(patch).__name__ == "FancyArrowPatch"]
    assert len(boxes) == len(rows) and len(arrows) == sum(len(row["reads"]) for row in rows)
    spans = [(box.get_x(), box.get_y(), box.get_x() + box.get_width(), box.get_y() + box.get_height()) for box in boxes]
    assert all(a[2] <= b[0] or b[2] <= a[0] or a[3] <= b[1] or b[3] <= a[1] for i, a in enumerate(spans) for b in spans[:i]), "boxes overlap"
    heights = {row["output"][1]: box.get_height() for row, box in zip(rows, boxes) if len(row["output"]) == 3}
    assert [heights[side] for side in sorted(heights)] == sorted(heights.values()) and len(set(heights.values())) == len(heights)
    plt.close(figure)
    path = diagrams.save(name, "smoke")
    assert path.name == f"09_{name}_architecture.png" and path.stat().st_size <= diagrams.MAX_BYTES and Image.open(path).width >= 560


def test_arrows_that_skip_do_not_share_a_line():
    arrows, levels, lanes = [(0, 3), (1, 4), (2, 3), (0, 1)], [0, 1, 2, 3, 4], [0] * 5
    slots = diagrams.find_slots(arrows, levels, lanes)
    assert set(slots) == {(0, 0), (0, 1)} and len(set(slots.values())) == 2


@pytest.mark.parametrize("name", ["tcvc", "dahl", "sshape"])
def test_the_shipped_picture_is_the_network_of_today(name, tmp_path, monkeypatch):
    shipped = Path(__file__).parents[1] / "figures" / f"09_{name}_architecture.png"
    monkeypatch.setenv("COLORLIB_FIGURES", str(tmp_path))
    old, new = (np.asarray(Image.open(path).convert("L")).astype(float) for path in (shipped, diagrams.save(name)))
    assert old.shape == new.shape and (np.abs(old - new) > 64).mean() < 0.002, "run `python -m colorlib reproduce survey`"
