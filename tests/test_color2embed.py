"""Color2Embed: parameter counts of the published code, the modulated convolution against its definition, what training and use promise."""
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
import torchvision

from colorlib import data, pretrained, train, zoo
from colorlib.papers import color2embed

TINY = replace(color2embed.SMALL, width=4, embedding=8, reference_size=32, image_size=32, batch_size=4, steps=4)


def picture(number=1, side=32, seed=0):
    """Smooth random pictures `(N, 3, side, side)` uint8."""
    small = torch.rand(number, 3, 5, 5, generator=torch.Generator().manual_seed(seed))
    return (255 * F.interpolate(small, size=side, mode="bicubic").clamp(0, 1)).byte()


def test_parameters_are_the_published_ones():
    """19,413,954 of the U-Net and 13,437,952 behind VGG-19's 32 layers, as models.py of the published code has them."""
    with torch.device("meta"):
        network = color2embed.Color2Embed(color2embed.PAPER)
        parts = {name: sum(p.numel() for p in part.parameters()) for name, part in color2embed.networks(color2embed.PAPER).items()}
    assert parts["U-Net"] == 19_413_954 and sum(p.numel() for p in network.encoder.to_vector.parameters()) == 13_437_952
    assert parts["colour encoder"] == 13_437_952 + sum(p.numel() for p in network.encoder.trunk.parameters())


def test_modulated_convolution():
    """As defined: each picture has weights of its own, scaled by its vector and of unit length in each output channel."""
    torch.manual_seed(0)
    layer, x, vector = color2embed.Modulated(5, 6, 3).double(), torch.randn(3, 6, 9, 7, dtype=torch.float64), torch.randn(3, 5, dtype=torch.float64)
    for one, e, found in zip(x, vector, layer(x, vector)):
        weight = layer.weight / 54 ** 0.5 * layer.modulation(e).view(1, 6, 1, 1)
        weight = weight / (weight.square().sum((1, 2, 3), keepdim=True) + 1e-8).sqrt()
        assert torch.allclose(found, F.conv2d(one[None], weight, padding=1)[0], atol=1e-5)


@pytest.mark.parametrize("size", [(1, 1), (16, 16), (21, 50)])
def test_any_size(size):
    ab = color2embed.colorize(color2embed.build(TINY), {"L": torch.full((2, 1, *size), 50.0), "reference": picture(2, 45)})
    assert ab.shape == (2, 2, *size) and ab.abs().max() <= 110


def test_the_reference_counts():
    torch.manual_seed(0)
    model, L = color2embed.build(TINY), torch.rand(1, 1, 32, 32) * 100
    with torch.no_grad():      # an untrained encoder gives much the same vector for everything
        for layer in model.encoder.to_vector:
            if hasattr(layer, "weight"):
                layer.weight.mul_(8)
    one = color2embed.colorize(model, {"L": L, "reference": picture(1, 32, 1)})
    assert float((one - color2embed.colorize(model, {"L": L, "reference": picture(1, 32, 2)})).abs().max()) > 1e-2
    assert torch.equal(one, color2embed.colorize(model, {"L": L, "reference": picture(1, 32, 1).float() / 255}))


def test_bad_input():
    model = color2embed.build(TINY)
    with pytest.raises(ValueError, match="needs a reference picture"):
        color2embed.colorize(model, {"L": torch.zeros(1, 1, 32, 32)})
    with pytest.raises(ValueError, match="multiples of 16, not \\(1, 1, 24, 32\\)"):
        model(torch.zeros(1, 1, 24, 32), torch.zeros(1, 3, 32, 32))
    with pytest.raises(ValueError, match="encoder is 'vgg'"):
        replace(TINY, encoder="vgg")


def test_training_lowers_the_loss():
    config, fabric = replace(TINY, width=8, one_cycle=6e-3, steps=60), train.make_fabric("cpu")
    pictures = data.Packed(picture(8).permute(0, 2, 3, 1).numpy(), [str(i) for i in range(8)])
    step = color2embed.make_step(config, fabric, pictures)
    log = train.fit(step, pictures, steps=60, batch_size=4, fabric=fabric, log_every=20)
    assert log[-1]["loss"] < 0.8 * log[0]["loss"]


def test_vgg19_without_a_network(monkeypatch, tmp_path):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setenv("COLORLIB_OFFLINE", "1")
    with pytest.raises(ConnectionError, match="VGG-19's weights could not be fetched.*network is off.*put it there.*: connect"):
        color2embed.load_vgg19()


def test_published_losses(monkeypatch):
    """With VGG-19's layers (random weights here): nothing between a picture and itself, and gradients reach the network."""
    layers = torchvision.models.vgg19(weights=None)
    monkeypatch.setattr(pretrained, "torchvision_network", lambda name, weights: {"vgg19": layers}[name])
    step = color2embed.Step(replace(TINY, perceptual_weight=0.1), train.make_fabric("cpu"))
    rgb = picture(2).float() / 255
    assert float(step.perceptual[0](rgb, rgb)) == 0 < float(step.perceptual[0](rgb.flip(1), rgb))
    found = step({"rgb": picture(2)})
    assert float(found["loss"]) == pytest.approx(float(found["pixel"] + 0.1 * found["perceptual"]), rel=1e-5)


def test_catalogue():
    assert zoo.get("color2embed").conditions == ("reference",) and zoo.get("color2embed").papers is color2embed
