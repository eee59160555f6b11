"""Colorful Image Colorization against the authors' code and arithmetic by hand: sizes, counts, prior, loss, published weights, and what training does."""
from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from colorlib import data, lab, losses, train, zoo
from colorlib.papers import cic

SMALL = replace(cic.PRESETS["smoke"], width=4, steps=60, batch_size=4, image_size=32, working_size=32)
BINS = lab.ab_bins(313)


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


def count(module):
    return sum(p.numel() for p in module.parameters())


def spread(seed, shape):
    """Numbers in -0.5 .. 0.5 from a formula, so that every machine has the same: (3 j^2 + 7919 j + 104729 seed) mod 10007 / 10007 - 1/2, j counting."""
    j = torch.arange(int(np.prod(shape)))
    return ((3 * j * j + 7919 * j + 104729 * seed) % 10007 / 10007.0 - 0.5).double().reshape(shape)


ORDER = torch.arange(313) * 7 % 313       # of the colours in the checkpoint below, another one than ours


@pytest.fixture(scope="module")
def official_weights():
    """A state dict of the authors' ECCVGenerator, filled by `spread`; the numbers come in its order."""
    shapes = {}
    for i, (channels_in, channels_out, convolutions) in enumerate([(1, 64, 2), (64, 128, 2), (128, 256, 3), (256, 512, 3)] + 3 * [(512, 512, 3)], 1):
        for k in range(convolutions):
            shapes |= {f"model{i}.{2 * k}.weight": (channels_out, channels_in if k == 0 else channels_out, 3, 3), f"model{i}.{2 * k}.bias": (channels_out,)}
        shapes |= {f"model{i}.{2 * convolutions}.{part}": (channels_out,) for part in ("weight", "bias", "running_mean", "running_var")}
        shapes[f"model{i}.{2 * convolutions}.num_batches_tracked"] = ()
    for k, shape in ((0, (512, 256, 4, 4)), (2, (256, 256, 3, 3)), (4, (256, 256, 3, 3)), (6, (313, 256, 1, 1))):
        shapes |= {f"model8.{k}.weight": shape, f"model8.{k}.bias": (shape[1] if k == 0 else shape[0],)}
    state = {}
    for i, (name, shape) in enumerate(shapes.items()):
        u, kind = spread(i, shape), name.rpartition(".")[2]
        state[name] = u * np.sqrt(24 / np.prod(shape[1:])) if len(shape) == 4 else \
            {"weight": 1 + u, "bias": 0.2 * u, "running_mean": 0.4 + 0.2 * u, "running_var": 0.4 * (1 + u), "num_batches_tracked": torch.tensor(7)}[kind]
    state["model1.0.weight"] *= 3
    state["model8.6.weight"] *= 2
    return state | {"model_out.weight": (BINS[ORDER] / 110).T[:, :, None, None].double()}


def random_batch(side=32, number=4):
    return {"rgb": torch.randint(0, 256, (number, 3, side, side), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))}


def plain(rgb, number=2, side=16):
    """Pictures of one colour, uint8."""
    return torch.tensor(rgb, dtype=torch.uint8).view(1, 3, 1, 1).expand(number, 3, side, side)


# ---------------------------------------------------------------- the network

def test_parameter_counts():
    with torch.device("meta"):
        assert count(cic.build(cic.PAPER)) == 32_235_385 and count(cic.build(replace(cic.PAPER, bins=625))) == 32_315_569
    assert zoo.count_parameters("cic") == {"eight blocks": 32_235_385}
    assert 2 * sum(value.numel() for value in cic.build(cic.PRESETS["class"]).state_dict().values()) <= 8_000_000


def test_config_is_the_caffe_files():
    c = cic.PRESETS["paper"]
    assert (c.bins, c.width, c.neighbors, c.sigma, c.uniform, c.alpha, c.temperature, c.normalize) == (313, 64, 10, 5.0, 0.5, 1.0, 0.38, "pixels")
    assert (c.learning_rate, c.betas, c.weight_decay, c.decay_every, c.batch_size, c.image_size) == (3e-5, (0.9, 0.99), 1e-3, 225_000, 40, 176)


def test_outputs_of_the_released_code(official_weights):
    """ECCVGenerator of richzhang/colorization, float64, with `official_weights`; ours differs by 2e-5, as it takes the softmax in float32."""
    y, x = np.mgrid[:32, :40]
    batch = {"L": torch.from_numpy(50 + 45 * np.sin(0.35 * x + 0.2) * np.sin(0.3 * y - 1))[None, None]}
    net = cic.build(cic.RELEASED).double()
    net.load_state_dict(cic.from_official(official_weights))
    ab, logits = cic.colorize(net, batch), cic.predict(net, batch)
    found = [ab.mean(), ab.std(correction=0), ab[0, 0, 0, 0], ab[0, 1, 12, 22], ab[0, 0, 31, 39], ab[0, 1, 17, 5]]
    assert [float(value) for value in found] == pytest.approx([10.495717, 10.180738, 16.140212, -5.048427, 16.292344, 1.572557], abs=1e-4)
    found = [logits.mean(), logits.std(correction=0), logits[0, 0, 0, 0], logits[0, 156, 3, 5], logits[0, 312, 7, 9]]       # bins in our order
    assert [float(value) for value in found] == pytest.approx([0.0453265, 1.2280635, -0.7173774, 0.1363375, -0.9090289], abs=1e-5)


def test_other_forms_of_the_authors_weights(official_weights):
    state = official_weights
    net = cic.build(cic.RELEASED)
    net.load_state_dict(cic.from_official({f"module.{name}": value for name, value in state.items() if not name.endswith("num_batches_tracked")}))
    assert torch.equal(net.to_bins.bias, state["model8.6.bias"].float()[torch.argsort(ORDER)])
    assert torch.equal(net.blocks[7][0].weight, state["model8.0.weight"].float())
    headless = {name: value for name, value in state.items() if "out" not in name}
    for foreign in ({}, {"encoder.weight": torch.zeros(1)}, state | {"extra": torch.zeros(1)}, headless):
        with pytest.raises(ValueError, match="no checkpoint of ECCVGenerator: give the state dict"):
            cic.from_official(foreign)
    for colors in (BINS[ORDER] / 100, BINS[torch.zeros(313, dtype=torch.long)] / 110, BINS[:200] / 110):
        with pytest.raises(ValueError, match="does not hold the 313 colours"):
            cic.from_official(state | {"model_out.weight": colors.T[:, :, None, None]})


@pytest.mark.parametrize("size", [(1, 1), (37, 50), (3, 200), (64, 8), (40, 48)])
def test_any_size(size):
    for bins in (313, 625):
        net, batch = cic.build(replace(SMALL, bins=bins)), {"L": torch.rand(2, 1, *size) * 100}
        logits = cic.distributions(net)[""](batch)
        assert logits.shape == (2, bins, -(-size[0] // 4), -(-size[1] // 4)) and logits.dtype == torch.float32 and cic.bins(net.config).shape == (bins, 2)
        rows = {name: row(batch) for name, row in cic.variants(net).items()}
        assert rows.keys() == cic.distributions(net).keys() and torch.equal(rows[""], cic.colorize(net, batch))
        assert all(ab.shape == (2, 2, *size) and ab.isfinite().all() and ab.abs().max() <= 120 for ab in rows.values())


@pytest.mark.parametrize("shape", [(1, 1, 12, 16), (1, 1, 16, 20), (1, 3, 16, 16), (1, 16, 16), (16, 16)])
def test_other_shapes_are_refused(shape):
    with pytest.raises(ValueError, match="multiples of 8"):
        cic.build(SMALL)(torch.zeros(shape))


def test_same_input_same_picture():
    net, batch = cic.build(SMALL), {"L": torch.rand(3, 1, 24, 32) * 100}
    assert torch.equal(cic.colorize(net.train(), batch), cic.colorize(net.train(), batch)) and not net.training
    assert torch.allclose(cic.colorize(net, {"L": batch["L"][1:2]}), cic.colorize(net, batch)[1:2], atol=1e-4)          # alone or in company


def test_the_colour_is_the_annealed_mean():
    logits = torch.full((1, 313, 1, 1), -50.0)
    red, blue = (lab.nearest_bin(torch.tensor(ab).view(1, 2, 1, 1), BINS).item() for ab in ([60.0, 40.0], [20.0, -60.0]))
    logits[0, red], logits[0, blue] = np.log(0.8), np.log(0.2)
    share = 0.8 ** (1 / 0.38) / (0.8 ** (1 / 0.38) + 0.2 ** (1 / 0.38))                                                 # Eq. 5 of two colours
    expected = {0.38: share * BINS[red] + (1 - share) * BINS[blue], 1.0: 0.8 * BINS[red] + 0.2 * BINS[blue], 0.0: BINS[red]}
    for temperature, ab in expected.items():
        found = cic.decode(logits, replace(SMALL, temperature=temperature), (3, 4))
        assert found.shape == (1, 2, 3, 4) and torch.allclose(found, ab.view(1, 2, 1, 1).expand_as(found), atol=1e-3)


def test_dead_bins_never_win():
    dead = ~lab.live_bins()
    net = cic.build(replace(SMALL, bins=625, mask_dead=True))
    with torch.no_grad():
        net.to_bins.bias[dead] = 1e3
    batch = {"L": torch.rand(2, 1, 16, 16) * 100}
    logits = cic.predict(net, batch)
    assert not dead[logits.argmax(1)].any() and logits.softmax(1)[:, dead].max() == 0 and torch.equal(net.dead, dead) and dead.sum() == 364
    assert cic.colorize(net, batch).abs().max() < 110
    net = cic.build(replace(SMALL, bins=625))                                                                           # not asked for
    with torch.no_grad():
        net.to_bins.bias[dead] = 1e3
    assert dead[cic.predict(net, batch).argmax(1)].all()
    assert not cic.build(replace(SMALL, mask_dead=True)).dead.any() and "dead" not in net.state_dict()                  # none of the 313 is dead


# ---------------------------------------------------------------- prior and labels

def test_labels():
    ab = lab.rgb_to_lab(plain((200, 30, 40), 1, 4))[:, 1:]
    hard, (index, share) = cic.encode(ab, BINS, replace(SMALL, soft_labels=False)), cic.encode(ab, BINS, SMALL)
    assert hard.shape == (1, 4, 4) and hard.dtype == torch.int64 and index.shape == share.shape == (1, 10, 4, 4)
    assert torch.allclose(share.sum(1), torch.ones(1, 4, 4)) and torch.equal(index[:, 0], hard)
    distance = (BINS - ab[0, :, 0, 0]).norm(dim=1)
    near = distance.topk(10, largest=False)
    assert set(index[0, :, 0, 0].tolist()) == set(near.indices.tolist())
    assert torch.allclose(share[0, :, 0, 0], torch.softmax(-near.values ** 2 / 50, 0), atol=1e-5)                       # a Gaussian of 5 CIE units


@pytest.mark.parametrize("soft", [True, False])
def test_the_prior_is_counted_in_rgb(soft):
    """The authors' file counts BGR as RGB. Skin, wood and soil lie at b > 0, as blue pictures do not; red is not blue."""
    config, side = replace(SMALL, soft_labels=soft), 16
    prior = {}
    for name, rgb in (("red", (230, 30, 30)), ("blue", (30, 30, 230)), ("skin", (224, 172, 140)), ("wood", (140, 95, 50))):
        picture = torch.from_numpy(np.broadcast_to(np.uint8(rgb), (side, side, 3)).copy()).permute(2, 0, 1)
        prior[name] = cic.measure_prior([{"rgb": picture}], config)
        assert prior[name].dtype == torch.float64 and prior[name].shape == (313,) and prior[name].sum().item() == pytest.approx(1) and prior[name].min() >= 0
    centre = {name: (one.float() @ BINS).tolist() for name, one in prior.items()}
    assert centre["red"][0] > 50 and centre["red"][1] > 30 and centre["blue"][1] < -60 and centre["skin"][1] > 15 and centre["wood"][1] > 20
    true = lab.rgb_to_lab(plain((230, 30, 30), 1, 1))[0, 1:, 0, 0]
    assert (BINS[prior["red"].argmax()] - true).abs().max() <= 5 and prior["blue"][prior["red"].argmax()] < 1e-3


def test_the_prior_takes_evenly_spread_pictures_and_every_fourth_pixel():
    rgb = np.zeros((10, 8, 8, 3), np.uint8)
    rgb[..., 0] = 255                                           # red, but for every fourth pixel of the second half, which is blue
    rgb[5:, ::4, ::4] = (0, 0, 255)
    prior = cic.measure_prior(data.Packed(rgb, [str(i) for i in range(10)]), replace(SMALL, soft_labels=False))
    assert sorted(prior[prior > 0].tolist()) == [0.5, 0.5]
    few = cic.measure_prior(data.Packed(rgb, [str(i) for i in range(10)]), replace(SMALL, soft_labels=False), pictures=2)
    assert sorted(few[few > 0].tolist()) == [0.5, 0.5]


# ---------------------------------------------------------------- the loss, see also test_losses.py

class Fixed(torch.nn.Module):
    """Answers with logits of its own, whatever it sees."""

    def __init__(self, logits, model):
        super().__init__()
        self.logits, self.class_weights, self.module = torch.nn.Parameter(logits), model.class_weights, model

    def forward(self, L):
        return self.logits[:len(L)]


@pytest.mark.parametrize("changes", [{}, {"soft_labels": False}, {"normalize": "weights"}, {"soft_labels": False, "normalize": "weights", "alpha": 0.5}])
def test_the_loss_of_a_batch(changes):
    """Weight of a label's largest bin times cross-entropy with the whole label, for every fourth pixel; a grey picture counts for nothing."""
    config, batch = replace(SMALL, **changes), random_batch()
    batch["rgb"][2] = batch["rgb"][2, :1]
    prior = torch.rand(313, generator=torch.Generator().manual_seed(1)).double()
    step = cic.Step(config, train.make_fabric("cpu"), prior / prior.sum())
    logits = torch.randn(4, 313, 8, 8, generator=torch.Generator().manual_seed(2))
    step.model = Fixed(logits, step.result())
    found = step.losses(batch)["loss"]
    ab = lab.rgb_to_lab(batch["rgb"])[:, 1:, ::4, ::4]
    weights = lab.rebalancing_weights(prior / prior.sum(), 0.5, config.alpha).float()
    hard = lab.nearest_bin(ab, BINS)
    label = lab.soft_encode(ab, BINS) if config.soft_labels else F.one_hot(hard, 313).movedim(-1, 1).float()
    weight = weights[hard] * torch.tensor([1.0, 1, 0, 1]).view(4, 1, 1)
    total = (weight * -(label * logits.log_softmax(1)).sum(1)).sum()
    assert found.item() == pytest.approx((total / (4 * 64 if config.normalize == "pixels" else weight.sum())).item(), rel=1e-4)
    assert torch.allclose(step.weights, weights)
    found.backward()
    assert bool((step.model.logits.grad[2] == 0).all()) and all(step.model.logits.grad[i].abs().sum() > 0 for i in (0, 1, 3))


def test_a_batch_of_grey_pictures_teaches_nothing():
    for normalize in ("pixels", "weights"):
        step = cic.Step(replace(SMALL, normalize=normalize), train.make_fabric("cpu"), torch.full((313,), 1 / 313))
        batch = {"rgb": random_batch()["rgb"][:, :1].expand(-1, 3, -1, -1)}
        found = step.losses(batch)["loss"]
        found.backward()
        assert found == 0 and all(p.grad is None or p.grad.abs().sum() == 0 for p in step.model.parameters())
    ab = lab.rgb_to_lab(batch["rgb"])[:, 1:]
    assert ab.abs().max() < SMALL.least_colour


# ---------------------------------------------------------------- training

def make_step(config=SMALL):
    return cic.Step(config, train.make_fabric("cpu"), torch.full((313,), 1 / 313))


def test_every_parameter_learns():
    step = make_step(replace(SMALL, weight_decay=0.0))          # which would change what learns nothing, too
    before = {name: value.detach().clone() for name, value in step.model.named_parameters()}
    for _ in range(3):
        assert set(step(random_batch())) == {"loss"}
    assert not [name for name, value in step.model.named_parameters() if torch.equal(before[name], value)]


@pytest.mark.parametrize("changes", [{}, {"one_cycle": 0.0, "learning_rate": 3e-3, "he_start": False}])
def test_a_few_steps_lower_the_loss(changes):
    step, batch = make_step(replace(SMALL, **changes)), random_batch()
    batch["rgb"] = batch["rgb"].float().div(255).mul(torch.tensor([1.0, 0.5, 0.1]).view(1, 3, 1, 1))                    # warm colours; float pictures work, too
    found = [step(batch)["loss"].item() for _ in range(30)]
    assert found[-1] < 0.8 * found[0]


def test_the_authors_schedule():
    step = make_step(replace(cic.PAPER, width=4, decay_every=2))
    rates = []
    for _ in range(4):
        rates.append(step.optimizer.param_groups[0]["lr"])
        step(random_batch())
    assert rates == pytest.approx([3e-5, 3e-5, 3e-6, 3e-6]) and type(step.optimizer.optimizer) is torch.optim.Adam


def test_an_interrupted_training_goes_on_bit_equal(tmp_path):
    rgb = np.random.default_rng(0).integers(0, 256, (8, 32, 32, 3), dtype=np.uint8)
    dataset, fabric = data.Packed(rgb, [str(i) for i in range(8)]), train.make_fabric("cpu")

    def losses_of(run, *stops):
        for steps in stops:
            step = cic.make_step(replace(SMALL, steps=6), fabric, dataset)
            log = train.fit(step, dataset, steps=steps, batch_size=4, fabric=fabric, run=run, log_every=1, progress=False)
        return [row["loss"] for row in log], step.result().state_dict()
    (whole, weights), (parts, same) = losses_of(tmp_path / "whole", 6), losses_of(tmp_path / "parts", 3, 6)
    assert whole == parts and all(torch.equal(weights[name], same[name]) for name in weights)


def test_what_the_weights_do_to_the_answer_and_back():
    """With weights w the loss is least where the answer is p w: rare colours are lifted. Taking log w away gives p again, as if all had been alike."""
    prior = torch.tensor([0.7, 0.2, 0.1, 0.0], dtype=torch.double)
    weights = lab.rebalancing_weights(prior, 0.5)
    pixels = torch.tensor([0] * 7 + [1] * 2 + [2]).view(1, 1, 10)
    logits = torch.where(prior > 0, prior * weights, 1e-12).log().view(1, 4, 1, 1).requires_grad_()
    for normalize in ("pixels", "weights"):
        (slope,) = torch.autograd.grad(losses.rebalanced_cross_entropy(logits.expand(1, 4, 1, 10), pixels, weights, normalize), logits)
        assert slope.abs().max() < 1e-6
    lifted, undone = (one.softmax(1).flatten() for one in (logits, cic.undo_rebalancing(logits, weights)))
    assert torch.allclose(undone, prior, atol=1e-6) and lifted[2] > 1.5 * prior[2] and lifted[0] < prior[0]
    assert torch.equal(cic.undo_rebalancing(logits, torch.ones(4)), logits)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_training_and_colorizing_on_a_gpu():
    fabric = train.make_fabric("cuda", devices=1)
    step = cic.Step(SMALL, fabric, torch.full((313,), 1 / 313))
    assert all(torch.isfinite(step(fabric.to_device(random_batch()))["loss"]) for _ in range(3))
    model, batch = step.result(), {"L": torch.rand(2, 1, 24, 32) * 100}
    on_gpu = cic.colorize(model, {"L": batch["L"].cuda()}).cpu()
    assert torch.allclose(on_gpu, cic.colorize(model.cpu(), batch), atol=0.5)
