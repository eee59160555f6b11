"""PhotoNet: what it answers with, what a training sees, that it learns, and the choices that are made after training."""
from dataclasses import replace

import numpy as np
import pytest
import torch

from colorlib import data, lab, train, zoo
from colorlib.papers import photonet
from colorlib.papers.koalarization import enliven
from tests.data_samples import colorful

TINY = replace(photonet.PRESETS["smoke"], channels=(4, 8, 8, 12, 12), hidden=24, image_size=32, batch_size=4, places=32, steps=60, classes=2)


def pictures(count=8, labels=True):
    rgb = np.stack([colorful(i, 32, 32) for i in range(count)])
    return data.Packed(rgb, [str(i) for i in range(count)], **({"labels": [i % 2 for i in range(count)]} if labels else {}))


def untrained(**changes):
    torch.manual_seed(0)
    return photonet.build(replace(TINY, **changes)).eval()


def test_answers_are_read_where_asked():
    """A place's answer does not depend on which others are asked, and moves with the picture."""
    network, L = untrained(), 100 * torch.rand(2, 1, 64, 64)
    places = torch.randint(0, 64, (2, 7, 2)).float()
    colors, classes = network(L, places)
    assert colors.shape == (2, 7, 313) and classes.shape == (2, 2)
    assert torch.allclose(network(L, places[:, 3:4])[0], colors[:, 3:4], atol=1e-5)
    away = L.clone()
    away[:, :, :8] = 0
    assert not torch.allclose(network(away, places)[1], classes)      # every place is told of the whole


def test_the_whole_column_is_seen():
    network = untrained()
    assert network.to_hidden.in_features == 1 + 4 + 8 + 8 + 12 + 12 + 12


def test_a_training_learns_and_goes_on(tmp_path):
    fabric, log = train.make_fabric("cpu"), {}
    for run, parts in (("whole", (40,)), ("parts", (20, 40))):
        for steps in parts:
            step = photonet.make_step(TINY, fabric, pictures())
            log[run] = train.fit(step, pictures(), steps=steps, batch_size=4, fabric=fabric, run=tmp_path / run, log_every=10)
    assert log["whole"][-1]["color"] < 0.95 * log["whole"][0]["color"]
    assert log["whole"] == log["parts"]


def test_labels_are_optional_and_find_room():
    fabric = train.make_fabric("cpu")
    batch = {"rgb": torch.randint(0, 256, (4, 3, 32, 32), dtype=torch.uint8)}
    assert "class" not in photonet.make_step(TINY, fabric, pictures(labels=False))(batch)
    step = photonet.make_step(replace(TINY, classes=1), fabric, pictures())
    assert "class" in step(batch | {"label": torch.tensor([0, 1, 0, 1])}) and step.result().config.classes == 2


def test_rare_colours_weigh_more():
    step = photonet.make_step(replace(TINY, alpha=1.0), train.make_fabric("cpu"), pictures())
    weights = step.model.module.class_weights
    assert weights[weights > 0].max() > 2 * weights[weights > 0].min()
    assert photonet.make_step(TINY, train.make_fabric("cpu"), pictures()).model.module.class_weights.eq(1).all()


def test_small_pictures_come_first(monkeypatch):
    seen = []
    monkeypatch.setattr(photonet, "zoom_in", lambda rgb, least, scale, zoom_in=photonet.zoom_in: seen.append(zoom_in(rgb, least, scale).shape[-1]) or zoom_in(rgb, least, scale))
    dataset = data.Packed(np.stack([colorful(i, 64, 64) for i in range(4)]), list("abcd"))
    config = replace(TINY, image_size=64, steps=4, small=(0.5, 0.5))
    fabric = train.make_fabric("cpu")
    train.fit(photonet.make_step(config, fabric, dataset), dataset, steps=4, batch_size=4, fabric=fabric)
    assert seen == [32, 32, 64, 64]


def test_zoom_and_gamma():
    rgb = torch.rand(2, 3, 64, 64)
    assert torch.equal(photonet.zoom_in(rgb, 1.0, 1.0), rgb)
    torch.manual_seed(1)
    part = photonet.zoom_in(rgb, 0.5, 1.0)
    assert part.shape == rgb.shape and not torch.equal(part, rgb) and part.min() >= 0 and part.max() <= 1
    L = torch.tensor([0.0, 50.0, 100.0]).view(1, 1, 1, 3).expand(50, -1, -1, -1)
    assert torch.equal(photonet.random_gamma(L, 0.0), L)
    moved = photonet.random_gamma(L, 0.2)[:, 0, 0]
    assert (moved[:, 2] == 100).all() and (moved[:, 0] < 1).all() and moved[:, 1].std() > 2 and (moved[:, 1] - 50).abs().mean() < 12


def test_a_picture_and_its_mirror_image_get_mirrored_colours():
    network, L = untrained(), 100 * torch.rand(1, 1, 32, 48)
    assert torch.allclose(photonet.colorize(network, {"L": L}).flip(-1), photonet.colorize(network, {"L": L.flip(-1)}), atol=1e-4)
    one_sided = untrained(mirror=False)
    assert not torch.allclose(photonet.colorize(one_sided, {"L": L}).flip(-1), photonet.colorize(one_sided, {"L": L.flip(-1)}), atol=1e-4)


def test_decoding_is_the_annealed_mean_made_stronger():
    config, shares = replace(TINY, temperature=0.5, chroma_gain=1.2, chroma_knee=8.0), torch.rand(1, 313, 4, 4).softmax(1)
    expected = enliven(lab.annealed_mean(shares.log(), lab.ab_bins(313), 0.5), 1.2, 8.0)
    assert torch.allclose(photonet.decode(shares, replace(config, stride=1), (4, 4)), expected, atol=1e-4)
    sure = torch.full((1, 313, 1, 1), 1e-9)
    sure[0, 7] = 1
    plain = replace(config, temperature=1.0, chroma_gain=1.0, chroma_knee=0.0)
    assert torch.allclose(photonet.decode(sure, plain, (2, 2)), lab.ab_bins(313)[7].view(1, 2, 1, 1).expand(1, 2, 2, 2), atol=1e-3)


@pytest.mark.parametrize("size", [(1, 1), (16, 16), (21, 50)])
def test_any_size(size):
    network = untrained()
    ab = photonet.colorize(network, {"L": torch.full((2, 1, *size), 50.0)})
    assert ab.shape == (2, 2, *size) and ab.isfinite().all()
    assert list(photonet.variants(network)) == ["", "plain mean"]
    assert zoo.get("photonet").papers is photonet
