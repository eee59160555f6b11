"""Larsson's hypercolumns: lengths, sampling, histograms, decoding as released, palettes that are met, what training and use promise."""
from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from skimage.color import rgb2hsv

from colorlib import data, lab, train, zoo
from colorlib.papers import larsson
from tests.data_samples import colorful

RELEASED = [0.4700000000, 0.2819176158, 0.5718513255, 0.4904405930, 0.4677080815, 0.9086387161, 0.9298528404, 0.8915084434]
TINY = replace(larsson.PRESETS["smoke"], width=4, hidden=16, pretraining=(2, 1e-3), pretraining_size=32, image_size=32, batch_size=4, places=64, steps=60)


def pictures(count=8, labels=True):
    rgb = np.stack([colorful(i, 32, 32) for i in range(count)])
    return data.Packed(rgb, [str(i) for i in range(count)], **({"labels": [i % 2 for i in range(count)]} if labels else {}))


def test_a_hypercolumn_has_12417_numbers():
    with torch.device("meta"):
        network = larsson.build(larsson.PAPER)
    assert sum(network.channels.values()) == 12_417 and sum(network.channels.values()) - 2 * 4096 == 4_225
    assert sum(p.numel() for p in network.parameters()) == 134_259_392 + 12_417 * 1024 + 1024 + 2 * (1024 * 32 + 32)


def test_the_hidden_layer_sees_the_whole_hypercolumn():
    """Adding the layers' parts one at a time is the linear layer over all of them."""
    torch.manual_seed(0)
    network, gray = larsson.build(TINY).eval(), torch.rand(2, 1, 32, 32)
    places = torch.randint(0, 32, (2, 5, 2)).float()
    x = larsson.vgg.prepare(gray, 1)
    columns = torch.cat([larsson.sample(maps, places, 1 if name == "data" else larsson.vgg.scale_of(name))
                         for name, maps in ({"data": x} | network.vgg(x)).items()], -1)
    assert columns.shape == (2, 5, sum(network.channels.values()))
    assert torch.allclose(network.to_hue(F.relu(network.to_hidden(columns))), network(gray, places)[0], atol=1e-5)


def test_samples_lie_where_the_released_layer_takes_them():
    maps = torch.arange(12.0).view(1, 1, 3, 4)
    places = torch.tensor([[[0.0, 0.0], [8.0, 12.0], [2.0, 6.0], [100.0, 4.0]]])
    assert torch.allclose(larsson.sample(maps, places, 4)[0, :, 0], torch.tensor([0.0, 11.0, 2.0 + 1.5, 9.0]))
    assert larsson.sample(torch.full((1, 2, 1, 1), 3.0), places, 4).eq(3).all()


def test_hue_and_chroma_are_hsvs():
    rgb = torch.rand(1, 3, 9, 11, dtype=torch.float64)
    rgb[0, :, 0, 0] = 0.3
    hsv = rgb2hsv(rgb[0].permute(1, 2, 0).numpy())
    hue, chroma = (one[0, 0].numpy() for one in larsson.hue_chroma(rgb))
    assert np.allclose(hue, hsv[..., 0], atol=1e-12) and np.allclose(chroma, hsv[..., 1] * hsv[..., 2], atol=1e-12)


def test_histograms_count_windows():
    values = torch.zeros(1, 1, 20, 20)
    values[..., 10:] = 0.999
    places = torch.tensor([[[5.0, 3.0], [5.0, 10.0], [0.0, 19.0]]])
    found = larsson.histograms(values, places, 4, 7)
    assert torch.allclose(found[0], torch.tensor([[1.0, 0, 0, 0], [3 / 7, 0, 0, 4 / 7], [0, 0, 0, 1.0]]))


def test_decoding_of_the_released_code():
    """Numbers of `calc_rgb_from_hue_chroma` and `match_lightness` of gustavla/autocolorize."""
    k, y = torch.arange(32, dtype=torch.float64), torch.arange(12, dtype=torch.float64).view(3, 4)
    hue, chroma = (2 * torch.sin(0.3 * k + y[..., None])).softmax(-1), (1.5 * torch.cos(0.2 * k + 0.7 * y[..., None]) - 0.15 * k).softmax(-1)
    rgb = larsson.decode(hue.permute(2, 0, 1)[None], chroma.permute(2, 0, 1)[None], (0.08 * y + 0.03)[None, None])[0].permute(1, 2, 0)
    assert [rgb.mean().item(), rgb.std(unbiased=False).item(), *rgb[1, 2].tolist(), *rgb[2, 3].tolist()] == pytest.approx(RELEASED, abs=1e-9)


def test_contradictory_hues_fade():
    chroma = F.one_hot(torch.tensor(16), 32).double().view(1, 32, 1, 1)
    sure, torn = F.one_hot(torch.tensor(3), 32).double(), torch.zeros(32, dtype=torch.float64)
    torn[[3, 19]] = 0.5
    gray = torch.full((1, 1, 1, 1), 0.5, dtype=torch.float64)
    spread = lambda hue, fade: float(np.ptp(larsson.decode(hue.view(1, 32, 1, 1), chroma, gray, fade).numpy()))
    assert spread(sure, 0.03) == pytest.approx(spread(sure, 0.0)) and spread(torn, 0.03) < 1e-6 < spread(torn, 0.0)
    half = 0.5 * sure + 0.5 * torn                                                      # three to one: no artefact, and yet it fades
    assert spread(half, 0.03) < 0.6 * spread(half, 0.0)


def test_a_palette_is_met():
    torch.manual_seed(0)
    found, wanted, weight = torch.randn(2, 8, 200).softmax(1), torch.randn(2, 8).softmax(1), torch.rand(2, 1, 200)
    bent = larsson.bend(found, wanted, weight)
    assert torch.allclose((bent * weight).sum(2) / weight.sum(2), wanted, atol=1e-4) and torch.allclose(bent.sum(1), torch.ones(2, 200), atol=1e-5)
    assert torch.allclose(larsson.bend(found, found.mean(2)), found, atol=1e-4)         # what is so already stays


def test_the_true_palette_colours_a_network_that_knows_nothing():
    torch.manual_seed(0)
    model, rgb = larsson.build(TINY), torch.from_numpy(np.stack([colorful(1, 48, 48)])).permute(0, 3, 1, 2)
    red = torch.zeros_like(rgb)
    red[:, 0] = 200
    L = lab.rgb_to_lab(rgb)[:, :1]
    painted = larsson.colorize(model, {"L": L.clamp(30, 70), "reference": red})
    assert (painted[:, 0] > 5).float().mean() > 0.9 and painted[:, 0].mean() > larsson.colorize(model, {"L": L.clamp(30, 70)})[:, 0].mean()


def test_training_lowers_the_loss():
    fabric = train.make_fabric("cpu")
    step = larsson.make_step(TINY, fabric, pictures())
    log = train.fit(step, pictures(), steps=60, batch_size=4, fabric=fabric, log_every=15)
    assert log[-1]["loss"] < 0.8 * log[0]["loss"] and log[-1]["hue"] < log[0]["hue"] and log[-1]["chroma"] < log[0]["chroma"]
    with pytest.raises(ValueError, match="learns from labels"):
        larsson.make_step(TINY, fabric, pictures(labels=False))


def test_black_and_white_places_have_no_chroma_to_learn():
    rgb = torch.zeros(1, 3, 16, 16)
    places, logits = torch.full((1, 4, 2), 8.0), torch.randn(1, 4, 32)
    loss = larsson.hypercolumn_loss(logits, logits, rgb, rgb[:, :1], places, TINY)
    assert loss["loss"] == 0


@pytest.mark.parametrize("size", [(1, 1), (16, 16), (21, 50)])
@pytest.mark.parametrize("fully_connected", [0, 8])
def test_any_size(size, fully_connected):
    ab = larsson.colorize(larsson.build(replace(TINY, fully_connected=fully_connected)), {"L": torch.full((2, 1, *size), 50.0)})
    assert ab.shape == (2, 2, *size) and ab.isfinite().all()


def test_wrong_words_are_named():
    for change, words in (({"gray": "red"}, "gray is 'red'"), ({"margin": 16}, "margin is 16: take less than half of image_size")):
        with pytest.raises(ValueError, match=words):
            replace(TINY, **change)
    assert zoo.get("larsson").papers is larsson
