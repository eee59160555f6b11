"""HintNet: its averaging of hints against a loop over all pairs, what hints do to pictures, and what training does to it."""
from dataclasses import replace

import numpy as np
import pytest
import torch

from colorlib import data, lab, train, zoo
from colorlib.papers import hintnet, hscau
from colorlib.hints.simulated_hints import protocol_hints

SMALL = replace(hintnet.PRESETS["smoke"], steps=60, batch_size=4)


def scattered(number=2, height=12, width=20, share=0.08, seed=0):
    """Random L, hints and mask; ab is full of numbers where no hint is, which nothing may look at."""
    random = torch.Generator().manual_seed(seed)
    L = 100 * torch.rand(number, 1, height, width, generator=random)
    return L, 120 * torch.rand(number, 2, height, width, generator=random) - 60, (torch.rand(number, 1, height, width, generator=random) < share).float()


def cells_of(L, hint_ab, hint_mask):
    """One picture at half resolution by loops, float64: L (h, w) and a list of (y, x, ab, mean L of the hinted pixels) a hinted cell."""
    half, hints = np.zeros((L.shape[1] // 2, L.shape[2] // 2)), []
    for y, x in np.ndindex(half.shape):
        inside = slice(None), slice(2 * y, 2 * y + 2), slice(2 * x, 2 * x + 2)
        half[y, x], hinted = L[inside].mean(), hint_mask[inside][0] > 0
        if hinted.any():
            hints.append((y, x, hint_ab[inside][:, hinted].mean(1), L[inside][0, hinted].mean()))
    return half, hints


def average_by_loops(L, hint_ab, hint_mask, power, floor, features=None, guess=0.0, guess_weight=0.0):
    """The module's formula pair by pair, float64: ab (2, h, w) and the sum of the weights (h, w)."""
    half, hints = cells_of(L, hint_ab, hint_mask)
    total = np.array(np.broadcast_to(guess_weight, half.shape), np.float64)
    ab = np.broadcast_to(guess, (2, *half.shape)) * total
    for y, x in np.ndindex(half.shape):
        for j, i, colour, lightness in hints:
            unlike = (half[y, x] - lightness) ** 2 / (2 * 8.0 ** 2)
            if features is not None:
                unlike += ((features[:, y, x] - features[:, j, i]) ** 2).sum()
            weight = (np.exp(-unlike) + floor) / (4 * ((y - j) ** 2 + (x - i) ** 2) + 1) ** power
            total[y, x] += weight
            ab[:, y, x] += weight * colour
    return np.divide(ab, total, out=np.zeros_like(ab), where=total > 0), total


def test_parameter_counts():
    net = hintnet.build(hintnet.PRESETS["paper"])
    heads = 65 * (hintnet.FEATURES + 3 + 2)
    assert sum(p.numel() for p in net.parameters()) == 31_082_194 - 65 * 2 + 3 * 64 * 9 + heads + 2 == 31_085_159
    assert zoo.count_parameters("hintnet") == {"U-Net with hint averaging": 31_085_159}
    assert 2 * sum(value.numel() for value in hintnet.build(hintnet.PRESETS["class"]).state_dict().values()) < 8_000_000


# ---------------------------------------------------------------- averaging

def test_propagate_is_its_equation():
    L, hint_ab, mask = scattered()
    ab, nearness = hintnet.propagate(L, hint_ab, mask)
    for one in range(len(L)):
        expected, total = average_by_loops(*(x[one].double().numpy() for x in (L, hint_ab, mask)), power=1.5, floor=1e-3)
        for found, half in ((ab[one], expected), (nearness[one], np.cbrt(total)[None])):
            assert np.abs(found.numpy() - hintnet.enlarge(torch.from_numpy(half)[None])[0].numpy()).max() < 1e-3
    assert 0 < nearness.min() and nearness.max() < 1.25


def test_average_with_features_and_a_guess_is_its_equation():
    L, hint_ab, mask = scattered()
    mask[1] = 0                                                                       # nothing but the guess
    random = torch.Generator().manual_seed(1)
    features, guess = torch.randn(2, 5, 6, 10, generator=random) / 2, 30 * torch.randn(2, 2, 6, 10, generator=random)
    weight = torch.rand(2, 1, 6, 10, generator=random) / 50
    ab, total = hintnet.average(hintnet.Cells(L, hint_ab, mask), features, guess, weight, torch.tensor(1.2), torch.tensor(0.02))
    for one in range(2):
        expected, sums = average_by_loops(*(x[one].double().numpy() for x in (L, hint_ab, mask)), 1.2, 0.02, features[one].double().numpy(),
                                          guess[one].double().numpy(), weight[one, 0].double().numpy())
        assert np.abs(ab[one].numpy() - expected).max() < 1e-3 and np.abs(total[one, 0].numpy() - sums).max() < 1e-4
    assert torch.allclose(ab[1], guess[1], atol=1e-3)


def test_bands_make_no_difference(monkeypatch):
    L, hint_ab, mask = scattered(height=18, width=26)
    whole = hintnet.propagate(L, hint_ab, mask)
    for band in (1, 13 * 20 * 2):                                                     # a row at a time, and a few
        monkeypatch.setattr(hintnet, "BAND", band)
        assert all(torch.allclose(one, other, atol=1e-5) for one, other in zip(whole, hintnet.propagate(L, hint_ab, mask)))


def test_no_hint_and_one_hint():
    L, hint_ab, mask = scattered()
    assert all((x == 0).all() and x.isfinite().all() for x in hintnet.propagate(L, hint_ab, 0 * mask))
    one = torch.zeros_like(mask)
    one[0, 0, 3, 4], one[1, 0, 11, 19] = 1, 1
    ab, nearness = hintnet.propagate(0 * L, hint_ab, one)                             # all of one colour, wherever it was put
    assert torch.allclose(ab[0], hint_ab[0, :, 3, 4, None, None].expand_as(ab[0]), atol=1e-3)
    assert torch.allclose(ab[1], hint_ab[1, :, 11, 19, None, None].expand_as(ab[1]), atol=1e-3)
    assert nearness[1, 0, 11, 19] == nearness[1].max() and nearness[1, 0, 0, 0] < 0.1 * nearness[1].max()


def test_everything_hinted_keeps_every_colour():
    y, x = torch.meshgrid(torch.arange(16.0), torch.arange(16.0), indexing="ij")
    true = torch.stack([3 * x - 20, 2 * y])[None]
    ab, nearness = hintnet.propagate(torch.full((1, 1, 16, 16), 50.0), true, torch.ones(1, 1, 16, 16))
    assert (ab - true).abs().max() < 8 and nearness.max() < 1.25                      # slopes of 3 and 2 a pixel, averaged over near cells


def test_hints_stay_near_their_colour_and_stop_at_edges_of_lightness():
    L = torch.full((1, 1, 32, 32), 30.0)
    L[..., 16:] = 80                                                                  # two halves, one hint each
    ab, mask = torch.zeros(1, 2, 32, 32), torch.zeros(1, 1, 32, 32)
    for column, colour in ((4, (50.0, 0.0)), (27, (-40.0, 20.0))):
        mask[..., 16, column] = 1
        ab[0, :, 16, column] = torch.tensor(colour)
    spread, _ = hintnet.propagate(L, ab, mask)
    assert spread[0, :, 16, 4].tolist() == pytest.approx([50, 0], abs=0.5) and spread[0, :, 16, 27].tolist() == pytest.approx([-40, 20], abs=0.5)
    assert (spread[0, 0, :, :15] > 40).all() and (spread[0, 0, :, 17:] < -30).all()   # whatever the distance
    even, _ = hintnet.propagate(torch.full_like(L, 50), ab, mask)
    assert even[0, 0, 16].diff().max() < 0.2 and abs(even[0, 0, 16, 15:17].mean() - 5) < 2      # no edge: half way it is the mean


def test_more_hints_lower_the_error():
    scenes = data.SceneSet(6, size=64, seed=5)
    rgb, ids = torch.stack([scenes[i]["rgb"] for i in range(6)]), [str(i) for i in range(6)]
    L, true = lab.rgb_to_lab(rgb).split([1, 2], 1)
    for protocol in ("dense05", "zhang6", "icolorit2"):
        errors = [(hintnet.propagate(L, *protocol_hints(true, ids, protocol, amount))[0] - true).square().mean().sqrt().item() for amount in (0, 5, 50, 300)]
        assert errors == sorted(errors, reverse=True) and errors[3] < 0.5 * errors[0], errors


def test_half_precision_does_not_reach_the_average():
    whole = hintnet.propagate(*scattered(share=0.3))
    with torch.autocast("cpu", torch.bfloat16):
        half = hintnet.propagate(*scattered(share=0.3))
    assert all(torch.equal(one, other) for one, other in zip(whole, half))


# ---------------------------------------------------------------- the network

def test_the_network_is_average_guess_and_detail():
    torch.manual_seed(0)
    net, (L, hint_ab, mask) = hintnet.build(SMALL).eval(), scattered(height=32, width=48)
    for head in (net.to_guess, net.to_detail):
        torch.nn.init.normal_(head.weight, std=0.1)
    told = hint_ab * mask
    spread, nearness = hintnet.propagate(L, hint_ab, mask)
    with torch.no_grad():
        x = net.trunk(torch.cat([L / 100, told / 50, mask, spread / 50, nearness], 1), told, mask)
        half = torch.nn.functional.avg_pool2d(x, 2)
        guess, features, ab = net.to_guess(half).double().numpy(), net.to_features(half).double().numpy(), net(L, hint_ab, mask)
        for one in range(2):
            w_0 = np.exp(np.clip(-10 + 5 * guess[one, 2], -20, 5))
            mean, _ = average_by_loops(*(z[one].double().numpy() for z in (L, hint_ab, mask)), net.power.item(), net.log_floor.exp().item(), features[one],
                                       50 * guess[one, :2], w_0)
            expected = hintnet.enlarge(torch.from_numpy(mean)[None])[0] + 50 * net.to_detail(x)[one]
            assert (ab[one] - expected).abs().max() < 5e-3
        assert torch.equal(net(L, told, mask), ab)                                    # ab without mask is not looked at


def test_untrained_it_is_grey_without_hints_and_spreads_them_with():
    net, (L, hint_ab, mask) = hintnet.build(SMALL), scattered(height=32, width=48)
    assert hintnet.colorize(net, {"L": L}).abs().max() < 1e-4
    one = torch.zeros_like(mask)
    one[..., 10, 12] = 1
    ab = hintnet.colorize(net, {"L": L, "hint_ab": hint_ab, "hint_mask": one})
    told = hint_ab[:, :, 10:11, 12:13]
    assert torch.equal(ab, hintnet.variants(net)[""]({"L": L, "hint_ab": hint_ab, "hint_mask": one}))
    assert (ab[..., 10:11, 12:13] - told).abs().max() < 0.05 * told.abs().max()


@pytest.mark.parametrize("size", [(1, 1), (17, 33), (224, 160)])
def test_any_size(size):
    net, L = hintnet.build(SMALL), torch.full((2, 1, *size), 50.0)
    few = torch.zeros_like(L)
    few[..., -1, -1] = 1
    for mask in (few, 0 * few, 1 + 0 * few) if size != (224, 160) else (few,):
        ab = hintnet.colorize(net, {"L": L, "hint_ab": torch.full((2, 2, *size), 20.0), "hint_mask": mask})
        assert ab.shape == (2, 2, *size) and ab.isfinite().all() and abs(ab[0, 0, -1, -1] - 20 * mask[0, 0, -1, -1]) < 1
    with pytest.raises(ValueError, match="multiples of 16"):
        net(torch.zeros(1, 1, 24, 16), torch.zeros(1, 2, 24, 16), torch.zeros(1, 1, 24, 16))


def test_half_precision_and_memory_layout():
    torch.manual_seed(0)
    net, (L, hint_ab, mask) = hintnet.build(SMALL), scattered(height=32, width=48)
    torch.nn.init.normal_(net.to_detail.weight, std=0.1)
    batch = {"L": L, "hint_ab": hint_ab, "hint_mask": mask}
    whole = hintnet.colorize(net, batch)
    assert torch.allclose(hintnet.colorize(net.to(memory_format=torch.channels_last), batch), whole, atol=1e-2)
    with torch.autocast("cpu", torch.bfloat16):
        half = hintnet.colorize(net, batch)
    assert half.dtype == torch.float32 and 0 < (half - whole).abs().max() < 0.05 * whole.abs().max()


# ---------------------------------------------------------------- training

def test_decibel_loss():
    true, pred = torch.zeros(2, 2, 1, 2), torch.zeros(2, 2, 1, 2)
    pred[0, 0, 0, 0] = 6                                                              # mean squared errors 9 and 0
    assert hintnet.decibel_loss(pred, true).item() == pytest.approx((10 * np.log10(10) + 0) / 2, abs=1e-5)
    assert hintnet.decibel_loss(100 * pred, true) - hintnet.decibel_loss(10 * pred, true) == pytest.approx(20 / 2, abs=0.05)


def test_every_parameter_learns():
    step = hintnet.Step(SMALL, train.make_fabric("cpu"))
    for up in step.model.module.trunk.up:
        up.gate.second.squeeze.weight.data.abs_()                                     # one hidden unit is dead as often as not
    batch = {"rgb": torch.randint(0, 256, (4, 3, 32, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))}
    for _ in range(2):                                                                # heads that begin at zero pass nothing down at first
        assert step(batch).keys() == {"loss"}
    assert not [name for name, value in step.model.module.named_parameters() if value.grad is None or not value.grad.abs().max() > 0]


def test_parameters_have_gradients_without_any_hint(monkeypatch):
    """Or data-parallel training would wait for them for ever."""
    monkeypatch.setattr(hintnet, "training_hints", lambda ab, scheme: (torch.zeros_like(ab), torch.zeros_like(ab[:, :1])))
    step = hintnet.Step(SMALL, train.make_fabric("cpu"))
    step({"rgb": torch.randint(0, 256, (2, 3, 32, 32), dtype=torch.uint8)})
    assert not [name for name, value in step.model.module.named_parameters() if value.grad is None or not value.grad.isfinite().all()]


def test_training_on_one_batch_learns_its_colours():
    """Red above, blue below: after some steps without any hint, too."""
    rgb = torch.zeros(4, 3, 32, 32, dtype=torch.uint8)
    rgb[:, 0, :16], rgb[:, 2, 16:] = 200, 220
    step = hintnet.Step(replace(SMALL, one_cycle=2e-2), train.make_fabric("cpu"))
    losses = [step({"rgb": rgb})["loss"].item() for _ in range(60)]
    assert np.mean(losses[-10:]) < np.mean(losses[:10]) - 10                          # dB
    L, ab = lab.rgb_to_lab(rgb).split([1, 2], 1)
    assert not step.result().training and (hintnet.colorize(step.result(), {"L": L}) - ab).abs().mean() < 0.6 * ab.abs().mean()


def test_an_interrupted_training_goes_on_bit_equal(tmp_path):
    rgb = np.random.default_rng(0).integers(0, 256, (8, 32, 32, 3), dtype=np.uint8)
    dataset, fabric = data.Packed(rgb, [str(i) for i in range(8)]), train.make_fabric("cpu")

    def run(folder, *stops):
        for steps in stops:
            step = hintnet.make_step(replace(SMALL, steps=6, image_size=32), fabric, dataset)
            log = train.fit(step, dataset, steps=steps, batch_size=4, fabric=fabric, run=tmp_path / folder, log_every=1, progress=False)
        return [row["loss"] for row in log], step.result().state_dict()
    (whole, weights), (parts, same) = run("whole", 6), run("parts", 3, 6)
    assert whole == parts and len(whole) == 6 and all(torch.equal(weights[name], same[name]) for name in weights)


def test_weights_come_back(tmp_path, monkeypatch):
    monkeypatch.setenv("COLORLIB_WEIGHTS", str(tmp_path))
    torch.manual_seed(0)
    net = hintnet.build(SMALL)
    zoo.save_weights(net, "hintnet", zoo.weights_file("hintnet"), {"size": "class"})
    again, (L, hint_ab, mask) = zoo.load("hintnet", device="cpu"), scattered(height=32, width=32)
    batch = {"L": L, "hint_ab": hint_ab, "hint_mask": mask}
    assert again.config == SMALL and (hintnet.colorize(again, batch) - hintnet.colorize(net, batch)).abs().max() < 0.5      # fp16


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_training_and_colorizing_on_a_gpu():
    fabric = train.make_fabric("cuda", devices=1)
    step = hintnet.Step(SMALL, fabric)
    batch = fabric.to_device({"rgb": torch.randint(0, 256, (4, 3, 32, 32), dtype=torch.uint8)})
    assert all(torch.isfinite(step(batch)["loss"]) for _ in range(3))
    model, (L, hint_ab, mask) = step.result(), scattered(height=32, width=48)
    on_gpu = hscau.colorize(model, {"L": L.cuda(), "hint_ab": hint_ab.cuda(), "hint_mask": mask.cuda()}).cpu()
    assert torch.allclose(on_gpu, hscau.colorize(model.cpu(), {"L": L, "hint_ab": hint_ab, "hint_mask": mask}), atol=0.5)
