"""colorlib's own infrared network: loss, photographs without infrared, mirror images, resuming."""
from dataclasses import replace

import pytest
import torch

from colorlib import train
from colorlib.papers import nirnet
from tests.data_samples import infrared_batch as pairs

TINY = replace(nirnet.SMOKE, width=4, halvings=3, back_width=4, batch_size=4, steps=4, image_size=32)


@pytest.fixture(scope="module")
def fabric():
    return train.make_fabric("cpu")


def test_the_loss_is_zero_for_the_truth_alone():
    true = torch.rand(2, 3, 32, 32)
    assert nirnet.paint_loss(true, true, TINY)["loss"].item() == pytest.approx(0, abs=1e-5)
    darker = nirnet.paint_loss(0.5 * true, true, TINY)
    assert darker["angle"].item() == pytest.approx(0, abs=1e-3) and darker["l1"] > 0.1                     # brightness has no angle
    black = torch.zeros(1, 3, 32, 32, requires_grad=True)
    nirnet.paint_loss(black, true[:1], TINY)["loss"].backward()
    assert torch.isfinite(black.grad).all()


def test_photographs_join_once_the_way_back_is_learned(fabric):
    config = replace(TINY, photos="somewhere", photos_from=0.25, photos_until=0.75, jitter=0.0, zoom=1.0)
    step, batch = nirnet.Step(config, fabric), pairs(4, photo=3)
    seen = []
    step.model.register_forward_pre_hook(lambda module, args: seen.append(args[0].clone()))
    for _ in range(4):
        found = step(batch)
    true = batch["nir"] / 255
    assert "back" in found and torch.equal(seen[0], true) and torch.equal(seen[3], true)                   # pairs alone at first and at last
    assert torch.equal(seen[2][2:], true[2:]) and not torch.allclose(seen[2][:2], true[:2])               # half of a batch between
    assert set(nirnet.networks(config)) == {"U-Net", "colour to infrared (training only)"}


def test_pairs_carry_photographs():
    sample = lambda i: {"rgb": torch.full((3, 4, 4), i, dtype=torch.uint8), "nir": torch.zeros(1, 4, 4, dtype=torch.uint8), "id": str(i)}
    known = type("Known", (list,), {"ids": property(lambda self: [one["id"] for one in self])})
    dataset = nirnet.WithPhotos(known([sample(0), sample(1)]), [sample(7), sample(8)])
    torch.manual_seed(0)
    found = {int(dataset[i % 2]["photo"][0, 0, 0]) for i in range(20)}
    assert len(dataset) == 2 and dataset.ids == ["0", "1"] and found == {7, 8} and int(dataset[1]["rgb"][0, 0, 0]) == 1
    assert nirnet.prepare_data(known([sample(0)]), TINY)[0].keys() == {"rgb", "nir", "id"}


def test_the_mirror_image_is_painted_alike(fabric):
    """Averaging over the mirror image makes the network treat left and right alike."""
    step = nirnet.Step(TINY, fabric)
    step(pairs(4))
    model, nir = step.model.module.eval(), torch.rand(1, 1, 32, 48)
    turned = lambda mirror: nirnet.colorize(model, {"nir": nir.flip(-1)}, mirror).flip(-1)
    assert torch.allclose(turned(True), nirnet.colorize(model, {"nir": nir}, True), atol=1e-6)
    assert not torch.allclose(turned(False), nirnet.colorize(model, {"nir": nir}, False), atol=1e-6)
    assert nirnet.colorize(model, {"nir": torch.rand(1, 1, 7, 33)}).shape == (1, 3, 7, 33)


def test_an_interrupted_run_goes_on_bit_equal(fabric, tmp_path):
    dataset = [{key: value[0] for key, value in pairs(1, seed=i).items()} | {"id": str(i)} for i in range(6)]
    fit = lambda run, steps: train.fit(step := nirnet.Step(TINY, fabric), dataset, steps=steps, batch_size=2, fabric=fabric, run=run, tag="t", log_every=1,
                                       progress=False) and step
    whole = fit(tmp_path / "whole", 4).result().state_dict()
    fit(tmp_path / "cut", 2)
    again = fit(tmp_path / "cut", 4).result().state_dict()
    assert all(torch.equal(value, again[key]) for key, value in whole.items())


def test_a_zoom_keeps_the_pair_together(fabric):
    step = nirnet.Step(replace(TINY, zoom=0.5), fabric)
    nir = torch.rand(3, 1, 32, 40)
    torch.manual_seed(0)
    small, same = step.zoom(nir, nir.expand(-1, 3, -1, -1))
    assert small.shape == nir.shape and torch.equal(small.expand(-1, 3, -1, -1), same) and not torch.allclose(small, nir, atol=0.05)
    assert small.std() < nir.std()                                                                         # blown up, so smoother
    assert nirnet.Step(replace(TINY, zoom=1.0), fabric).zoom(nir, same)[0] is nir
