"""Local and global features: parameter count and answers of the port, what the vector does, what training and use promise."""
from dataclasses import replace

import numpy as np
import pytest
import torch

from colorlib import data, lab, painting, train, zoo
from colorlib.papers import iizuka
from tests.data_samples import colorful, fill_parameters

TINY = replace(iizuka.PRESETS["smoke"], width=4, global_size=32, image_size=32, batch_size=4, steps=60)


def pictures(count=8, labels=True):
    rgb = np.stack([colorful(i, 32, 32) for i in range(count)])
    return data.Packed(rgb, [str(i) for i in range(count)], **({"labels": [i % 3 for i in range(count)]} if labels else {}))


def test_parameters_are_the_published_ones():
    """42.35 million weights, 35.8 of them behind the vector, with the port's 205 classes."""
    with torch.device("meta"):
        parts = {name: sum(p.numel() for p in part.parameters() if p.ndim > 1) for name, part in iizuka.networks(iizuka.PAPER).items()}
    assert sum(parts.values()) == 42_346_880 and parts["global features"] == 35_782_656


def test_outputs_of_the_port():
    """Mean, SD and one value of what low- and mid-level features of shufanwu/colorNet-pytorch answered, batch statistics; and its class head's first layer."""
    network = iizuka.build(iizuka.PAPER)
    x = torch.sin(0.05 * torch.arange(2 * 32 * 32, dtype=torch.float64)).view(2, 1, 32, 32)
    y = fill_parameters(network.mid).train()(fill_parameters(network.low).train()(x))
    assert [y.mean().item(), y.std().item()] == pytest.approx([0.3839430045705825, 0.6025947155919826], abs=1e-9)
    hidden = torch.sin(0.05 * torch.arange(3 * 512, dtype=torch.float64)).view(3, 512)
    head = network.to_classes[0].double().train()
    with torch.no_grad():      # the port's norm starts where the helper leaves it
        for i, p in enumerate(head.parameters()):
            wave = torch.sin(0.7 * torch.arange(p.numel(), dtype=p.dtype) + i).view(p.shape)
            p.copy_(wave / p[0].numel() ** 0.5 if p.ndim > 1 else 0.1 * wave)
    assert head(hidden).mean().item() == pytest.approx(0.03850790913902988, abs=1e-9)


def test_another_pictures_vector_changes_the_colours_and_nothing_else_does():
    torch.manual_seed(0)
    model, L = iizuka.build(TINY), torch.rand(2, 1, 32, 32) * 100
    with torch.no_grad():      # or nothing would come through so many untrained layers
        for p in model.parameters():
            p.mul_(3 if p.ndim > 1 else 1)
    grey = lab.gray_of(L).expand(-1, 3, -1, -1)
    own = iizuka.colorize(model, {"L": L})
    assert torch.allclose(own, iizuka.colorize(model, {"L": L, "reference": grey}), atol=1e-3)
    other = iizuka.colorize(model, {"L": L, "reference": grey.roll(1, 0)})
    assert (own - other).abs().max() > 0.05 and torch.equal(other, iizuka.variants(model)["another's global features"]({"L": L}))
    with torch.no_grad():
        model.fuse[0].weight[:, 4 * TINY.width:] = 0                                   # deaf to the vector
    assert torch.equal(iizuka.colorize(model, {"L": L}), iizuka.colorize(model, {"L": L, "reference": grey.roll(1, 0)}))


@pytest.mark.parametrize("size", [(1, 1), (8, 8), (21, 50)])
def test_any_size(size):
    ab = iizuka.colorize(iizuka.build(TINY), {"L": torch.full((2, 1, *size), 50.0)})
    assert ab.shape == (2, 2, *size) and ab.abs().max() <= 100


def test_training_lowers_both_losses():
    fabric = train.make_fabric("cpu")
    step = iizuka.make_step(replace(TINY, class_weight=0.1), fabric, pictures())
    log = train.fit(step, pictures(), steps=60, batch_size=4, fabric=fabric, log_every=15)
    assert log[-1]["color"] < 0.8 * log[0]["color"] and log[-1]["class"] < log[0]["class"]
    assert step.result().config.classes == 3


def test_without_labels_it_learns_colours_alone():
    step = iizuka.make_step(TINY, train.make_fabric("cpu"), pictures(labels=False))
    batch = {"rgb": torch.stack([pictures()[i]["rgb"] for i in range(4)])}
    assert set(step(batch)) == {"loss"} and step.notes == "no labels: trained without the class"


def test_wrong_words_are_named():
    for change, words in (({"gray": "red"}, "gray is 'red'"), ({"global_size": 100}, "global_size is 100: take a multiple of 32")):
        with pytest.raises(ValueError, match=words):
            replace(TINY, **change)
    assert zoo.get("iizuka").papers is iizuka


def test_a_person_may_give_a_reference_and_need_not():
    model, photo = iizuka.build(TINY), colorful(0, 40, 50)
    plain, moody = (painting.colorize(photo, "iizuka", model=model, **given).rgb for given in ({}, {"reference": colorful(1, 64, 64)}))
    assert plain.shape == moody.shape == photo.shape
    with pytest.raises(ValueError, match="iizuka takes no caption"):
        painting.colorize(photo, "iizuka", model=model, caption="a red car")
