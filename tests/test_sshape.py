"""The S-shape network: layer counts of the lab's code, its edge target, its four variants."""
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image, ImageFilter

from colorlib import train
from colorlib.papers import sshape
from tests.data_samples import fill_parameters, infrared_batch as pairs

TINY = replace(sshape.SMOKE, width=4, batch_size=2, steps=4, image_size=32)
count = lambda network: sum(p.numel() for p in network.parameters())


@pytest.fixture(scope="module")
def fabric():
    return train.make_fabric("cpu")


def test_parameter_counts():
    assert count(sshape.ColorNet(sshape.PAPER)) == 13_394_307
    assert [count(sshape.EdgeNet(levels)) for levels in (1, 3)] == [2_499, 1_516_995]
    assert sshape.networks(sshape.PAPER).keys() == {"ColorNet", "EdgeNet (training only)"}


def test_outputs_of_the_labs_code():
    """Mean, SD and one pixel of what `ColorNet.py` and `unet_model.py` of endrol/NIR-colorization answered in training mode, picture and edges."""
    network = fill_parameters(sshape.SShape(replace(sshape.PAPER, edge_levels=1), training=True)).train()
    nir = 0.5 + 0.5 * torch.sin(0.05 * torch.arange(2 * 32 * 48, dtype=torch.float64)).view(2, 1, 32, 48)
    true = 0.5 + 0.5 * torch.cos(0.03 * torch.arange(2 * 3 * 32 * 48, dtype=torch.float64)).view(2, 3, 32, 48)
    rgb, edges = network(nir, true)
    assert [rgb.mean().item(), rgb.std().item(), rgb[1, 2, 5, 7].item()] == pytest.approx([-0.2229144919, 0.1949686634, -0.2841379446], abs=1e-8)
    assert [edges.mean().item(), edges.std().item(), edges[0, 0, 9, 4].item()] == pytest.approx([-0.1468401969, 0.3930851336, -0.1493241144], abs=1e-8)


def test_the_edge_target_is_pillows():
    plane = np.random.default_rng(0).integers(0, 256, (11, 14), dtype=np.uint8)
    theirs = np.asarray(Image.fromarray(plane).filter(ImageFilter.FIND_EDGES))
    ours = sshape.find_edges(torch.from_numpy(plane)[None, None])[0, 0] * 255
    assert (ours.round().numpy().astype(np.uint8) == theirs).all() and theirs.max() > theirs.min()


@pytest.mark.parametrize("levels", [1, 2, 3])
def test_edge_net_keeps_the_size(levels):
    assert sshape.EdgeNet(levels, 4)(torch.rand(2, 3, 16, 24)).shape == (2, 1, 16, 24)


@pytest.mark.parametrize("changes", [*sshape.TRAINING_ABLATIONS.values(), {"pools": 5}, {"edge_levels": 3}], ids=str)
def test_every_variant_learns_and_paints(changes, fabric):
    config = replace(TINY, **changes)
    step = sshape.Step(config, fabric)
    before = [p.detach().clone() for p in step.model.module.color.parameters()]
    found = step(pairs())
    assert all(torch.isfinite(value) for value in found.values()) and ("edge" in found) == (config.edge != "none")
    assert any(not torch.equal(p, q) for p, q in zip(before, step.model.module.color.parameters()))
    model = step.result()
    assert (model.edge is not None) == (config.edge == "refiner")                       # EdgeNet is thrown away unless it paints
    rgb = sshape.colorize(model, {"nir": torch.rand(1, 1, 21, 35)})
    assert rgb.shape == (1, 3, 21, 35) and rgb.min() >= 0 and rgb.max() <= 1


def test_the_edge_loss_cannot_vanish_with_the_colour_loss(fabric):
    """EdgeNet sees the difference; where that is nothing it answers one number everywhere, whatever the edges are."""
    edges = sshape.EdgeNet(2, 4).eval()(torch.zeros(1, 3, 32, 32))[..., 4:-4, 4:-4]
    assert (edges[..., 4:8, 4:8] - edges[..., 8:12, 8:12]).abs().max() < 1e-6 < sshape.find_edges(pairs()["rgb"][:, :1]).std()


def test_a_wrong_word_is_named():
    with pytest.raises(ValueError, match="edge is 'sharp': choose one of difference, none, refiner, gradient"):
        replace(TINY, edge="sharp")
    with pytest.raises(ValueError, match="edge_levels is 4"):
        replace(TINY, edge_levels=4)
