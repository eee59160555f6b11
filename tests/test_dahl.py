"""Dahl's residual encoder: shapes and answers of the port, its blur, colours there and back, what training and use promise."""
from dataclasses import replace

import numpy as np
import pytest
import torch

from colorlib import data, lab, train, vgg, zoo
from colorlib.papers import dahl
from tests.data_samples import colorful

GOLDEN = [0.5023681, 0.2026014, 0.6392485, 0.1503972]
TINY = replace(dahl.PRESETS["smoke"], width=4, pretraining=(2, 1e-3), pretraining_size=32, image_size=32, batch_size=4, steps=40)


def pictures(count=8, labels=True):
    rgb = np.stack([colorful(i, 32, 32) for i in range(count)])
    return data.Packed(rgb, [str(i) for i in range(count)], **({"labels": [i % 2 for i in range(count)]} if labels else {}))


def test_the_head_has_half_a_million_weights():
    with torch.device("meta"):
        parts = dahl.networks(dahl.PAPER)
    assert sum(p.numel() for p in parts["residual encoder"].parameters() if p.ndim == 4) == 501_575
    assert sum(p.numel() for p in parts["VGG-16 up to conv4_3, frozen"].parameters()) == 7_635_264


def test_outputs_of_the_port():
    """Numbers that Armour/Automatic-Image-Colorization answered in TensorFlow from the same maps and weights, batch statistics, its maps enlarged about their centres."""
    random, chance = np.random.default_rng(0), np.random.default_rng(1)
    taps = {name: random.random((2, side, side, channels)) for name, side, channels in
            (("conv1_2", 32, 64), ("conv2_2", 16, 128), ("conv3_3", 8, 256), ("conv4_3", 4, 512))}
    rgb, true, pred = random.random((2, 32, 32, 3)), random.random((2, 32, 32, 2)), random.random((2, 32, 32, 2))
    tensor = lambda x: torch.from_numpy(x).permute(0, 3, 1, 2)
    network = dahl.build(dahl.PAPER).double().train()
    convolutions = [network.first[1], *(stage.conv[0] for stage in network.stages), network.to_uv[0]]
    with torch.no_grad():
        for one in convolutions:
            one.weight.copy_(torch.from_numpy(chance.normal(size=(*one.kernel_size, one.in_channels, one.out_channels)).astype(np.float32) * np.float32(0.05)).permute(3, 2, 0, 1))
        found = network.first(tensor(taps["conv4_3"]))
        for stage, name in zip(network.stages, dahl.TAPS[1:]):
            found = stage(found, tensor(taps[name]))
        uv = torch.sigmoid(network.to_uv(network.stages[-1](found, tensor(rgb))))
    assert [uv.mean().item(), uv.std(unbiased=False).item(), uv[0, 1, 0, 7].item(), uv[1, 0, 20, 3].item()] == pytest.approx(GOLDEN, abs=1e-5)
    assert dahl.uv_loss(tensor(pred), tensor(true), "summed").item() * pred.size == pytest.approx(330.396, abs=1e-3)


def test_blurs():
    """The published kernels on a point; the port's sums U and V, ours keeps them apart."""
    point = torch.zeros(1, 2, 9, 9)
    point[0, 0, 4, 4] = 1
    apart, summed = (dahl.blurred(point, dahl.BLURS[1], how) for how in ("depthwise", "summed"))
    assert apart[0, 0, 4, 4] == pytest.approx(41 / 273) and apart[0, 0, 2, 3] == pytest.approx(4 / 273) and not apart[0, 1].any()
    assert torch.equal(summed[0, 0], summed[0, 1]) and torch.allclose(summed[0, 0], apart[0].sum(0))
    assert dahl.uv_loss(point, point.flip(1), "summed") < dahl.uv_loss(point, point.flip(1), "depthwise")       # swapped channels look half right to the port


def test_uv_there_and_back():
    rgb = torch.rand(2, 3, 6, 7)
    assert (dahl.rgb_of(lab.luma_of(rgb), dahl.uv_of(rgb)) - rgb).abs().max() < 2e-3        # the two sets of rounded constants
    gray = torch.rand(1, 1, 4, 4)
    assert torch.allclose(dahl.uv_of(gray.expand(-1, 3, -1, -1)), torch.full((1, 2, 4, 4), 0.5), atol=1e-6)


def test_the_backbone_stays_as_it_is():
    config, fabric = replace(TINY, pretraining=(0, 0.0)), train.make_fabric("cpu")
    step = dahl.make_step(config, fabric, pictures())
    before = {key: value.clone() for key, value in step.model.module.vgg.state_dict().items()}
    step({"rgb": torch.stack([pictures()[i]["rgb"] for i in range(4)])})
    assert all(torch.equal(value, before[key]) for key, value in step.model.module.vgg.state_dict().items())


def test_training_lowers_the_loss_and_pretraining_needs_labels(tmp_path):
    fabric = train.make_fabric("cpu")
    step = dahl.make_step(TINY, fabric, pictures(), run=tmp_path)
    log = train.fit(step, pictures(), steps=40, batch_size=4, fabric=fabric, log_every=10)
    assert log[-1]["loss"] < 0.8 * log[0]["loss"] and (tmp_path / "vgg" / "last.ckpt").exists()
    with pytest.raises(ValueError, match="learns from labels: give a data set with one sub-folder a class"):
        dahl.make_step(TINY, fabric, pictures(labels=False))


@pytest.mark.parametrize("size", [(1, 1), (16, 16), (21, 50)])
def test_any_size(size):
    ab = dahl.colorize(dahl.build(TINY), {"L": torch.full((2, 1, *size), 50.0)})
    assert ab.shape == (2, 2, *size) and ab.isfinite().all()


def test_grey_in_the_middle_of_the_range_is_grey():
    """A network that answers one half everywhere paints nothing."""
    model = dahl.build(TINY)
    torch.nn.init.zeros_(model.to_uv[1].weight)
    assert dahl.colorize(model, {"L": torch.rand(1, 1, 16, 16) * 100}).abs().max() < 0.05


def test_wrong_words_are_named():
    with pytest.raises(ValueError, match="blur is 'both': choose one of depthwise, summed"):
        replace(TINY, blur="both")
    assert zoo.get("dahl").sees == "grey" and zoo.get("dahl").papers is dahl


# ---------------------------------------------------------------- VGG-16

def test_vgg16_is_torchvisions():
    import torchvision
    source = torchvision.models.vgg16(weights=None, init_weights=False).eval()
    x = vgg.prepare(torch.rand(1, 1, 64, 64), 3)
    mine = vgg.VGG16(3, 64, last="conv5_3").eval()
    vgg.copy_torchvision(source, mine)
    with torch.no_grad():
        assert torch.allclose(mine(x)["conv5_3"], source.features[:30](x), atol=1e-6)
        assert {name: vgg.scale_of(name) * maps.shape[-1] for name, maps in mine(x).items()} == dict.fromkeys(mine.names, 64)
        gray = torch.rand(1, 1, 32, 32)
        one = vgg.VGG16(1, 64, last="conv1_2").eval()
        vgg.copy_torchvision(source, one)
        three = source.features[:4](vgg.prepare(gray, 3))
        assert torch.allclose(one(vgg.prepare(gray, 1))["conv1_2"][..., 2:-2, 2:-2], three[..., 2:-2, 2:-2], atol=1e-5)       # the border sees other zeros


def test_vgg16_without_a_network(monkeypatch, tmp_path):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setenv("COLORLIB_OFFLINE", "1")
    with pytest.raises(ConnectionError, match="VGG-16's weights could not be fetched.*network is off.*put it there.*: connect"):
        vgg.load_imagenet(vgg.VGG16())
