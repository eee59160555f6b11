"""Zhang et al. 2017 against the released code: sizes, parameter counts, outputs, losses, and what training does to it."""
from dataclasses import replace

import numpy as np
import pytest
import torch

from colorlib import data, lab, train
from colorlib.papers import siggraph17 as zhang

SMALL = replace(zhang.PRESETS["smoke"], width=4, steps=60, batch_size=4)


def count(module):
    return sum(p.numel() for p in module.parameters())


def official_shapes():
    """{name: shape} of the authors' SIGGRAPHGenerator, in its order."""
    shapes = {}

    def conv(name, channels_in, channels_out, side=3, transposed=False):
        shapes[f"{name}.weight"] = (channels_in, channels_out, side, side) if transposed else (channels_out, channels_in, side, side)
        shapes[f"{name}.bias"] = (channels_out,)

    def block(name, channels_in, channels_out, convolutions, first=0):
        for i in range(convolutions):
            conv(f"{name}.{first + 2 * i}", channels_out if i else channels_in, channels_out)
        for part in ("weight", "bias", "running_mean", "running_var"):
            shapes[f"{name}.{first + 2 * convolutions}.{part}"] = (channels_out,)
        shapes[f"{name}.{first + 2 * convolutions}.num_batches_tracked"] = ()
    for i, (channels_in, channels_out, convolutions) in enumerate([(4, 64, 2), (64, 128, 2), (128, 256, 3), (256, 512, 3)] + 3 * [(512, 512, 3)]):
        block(f"model{i + 1}", channels_in, channels_out, convolutions)
    conv("model8up.0", 512, 256, 4, transposed=True)
    block("model8", 256, 256, 2, first=1)
    conv("model9up.0", 256, 128, 4, transposed=True)
    block("model9", 128, 128, 1, first=1)
    conv("model10up.0", 128, 128, 4, transposed=True)
    conv("model10.1", 128, 128)
    for name, channels_in, channels_out, side in (("model3short8.0", 256, 256, 3), ("model2short9.0", 128, 128, 3), ("model1short10.0", 64, 128, 3),
                                                  ("model_class.0", 256, 529, 1), ("model_out.0", 128, 2, 1)):
        conv(name, channels_in, channels_out, side)
    return shapes


def official_weights():
    """Every weight from its place in the network and its index: u(i, j) = (7919 j + 104729 i) mod 10007 / 10007 - 1/2, scaled by kind."""
    state = {}
    for i, (name, shape) in enumerate(official_shapes().items()):
        u = ((torch.arange(int(np.prod(shape))) * 7919 + i * 104729) % 10007 / 10007.0 - 0.5).double().reshape(shape)
        if name.endswith("num_batches_tracked"):
            state[name] = torch.tensor(7)
        elif len(shape) == 4:
            state[name] = u * np.sqrt(24 / np.prod(shape[1:]))
        else:
            state[name] = 1 + u if name.endswith(("running_var", "weight")) else 0.2 * u
    return state


def picture_and_hints():
    y, x = np.mgrid[:64, :64]
    mask = torch.zeros(1, 1, 64, 64, dtype=torch.double)
    mask[..., 10:16, 20:26] = mask[..., 40:43, 5:8] = mask[..., 60, 63] = 1
    ab = torch.from_numpy(np.stack([60 * np.cos(0.1 * x), -50 * np.sin(0.07 * y + 1)]))[None] * mask
    return {"L": torch.from_numpy(50 + 45 * np.sin(0.21 * x + 0.13 * y))[None, None], "hint_ab": ab, "hint_mask": mask}


def random_batch(side=32, number=4):
    return {"rgb": torch.randint(0, 256, (number, 3, side, side), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))}


def test_parameter_counts():
    net = zhang.build(zhang.RELEASED)
    assert count(net) == 34_187_027
    assert (count(net.to_classes), count(net.to_ab)) == (529 * 257, 2 * 129)
    assert count(zhang.build(replace(zhang.RELEASED, global_hints=True))) - count(net) == 512 * 317 + 3 * 512 * 513 + 8 * 512
    assert 2 * sum(v.numel() for v in zhang.build(zhang.PRESETS["class"]).state_dict().values()) <= 8_000_000
    assert (count(zhang.build(zhang.PRESETS["class"])), count(zhang.build(zhang.PRESETS["smoke"]))) == (3_371_891, 551_411)


def test_outputs_of_the_released_code():
    """Both released PyTorch networks, with `official_weights` in float64, gave these numbers; ours differs from them by less than 1e-12."""
    batch = picture_and_hints()
    net = zhang.build(zhang.RELEASED).double().eval()
    net.load_state_dict(zhang.from_official(official_weights()))
    golden = {0.5: [-21.1521401, 15.4225286, -9.6314348, -37.5866103, -10.0297204, -41.4776228],
              0.0: [-21.4416686, 15.2359401, -9.0227815, -38.6925199, -6.4946492, -35.7040666]}
    for centre, numbers in golden.items():
        net.config = replace(zhang.RELEASED, mask_centre=centre)
        with torch.no_grad():
            logits, ab = net(**batch)
        found = [ab.mean(), ab.std(correction=0), ab[0, 0, 0, 0], ab[0, 1, 12, 22], ab[0, 0, 41, 6], ab[0, 1, 63, 63]]
        assert [float(x) for x in found] == pytest.approx(numbers, abs=1e-5)
        assert torch.allclose(zhang.colorize(net, batch), ab.float(), atol=1e-4)
    found = [logits.mean(), logits.std(correction=0), logits[0, 0, 0, 0], logits[0, 264, 3, 5], logits[0, 528, 15, 15]]
    assert [float(x) for x in found] == pytest.approx([-0.0026962, 1.4031264, -0.1636503, 1.9955999, -1.5676484], abs=1e-6)
    probability, _ = zhang.color_distribution(net, batch)
    assert float(probability.max()) == pytest.approx(0.0029812264, abs=1e-8) and float(probability[0, 264, 3, 5]) == pytest.approx(0.0027103459, abs=1e-8)


def test_losses_of_the_released_code():
    """`encode_ab_ind` and the three criteria of colorization-pytorch on these inputs."""
    y, x = np.mgrid[:64, :64]
    true = torch.from_numpy(np.stack([70 * np.sin(0.05 * x - 0.04 * y), 60 * np.cos(0.03 * x + 0.09 * y)]))[None]
    pred = torch.from_numpy(np.stack([50 * np.cos(0.02 * x * y), 0.5 * y]))[None]
    logits = torch.from_numpy(np.sin(0.7 * np.arange(529 * 256)).reshape(1, 529, 16, 16)) * 3
    found = [zhang.class_loss(logits, true), 10 * zhang.regression_loss(pred, true), 10 * zhang.regression_loss(pred, true, 1.0)]
    assert [float(x) for x in found] == pytest.approx([7.807991, 7.9846885, 7.8941555], abs=1e-5)


def test_weights_of_the_authors_under_other_circumstances():
    state = official_weights()
    old = {f"module.{name}": value for name, value in state.items() if not name.endswith("num_batches_tracked")}
    renamed = zhang.from_official(old)
    assert renamed.keys() == zhang.build(zhang.CAFFE).state_dict().keys()
    zhang.build(zhang.CAFFE).load_state_dict(renamed)
    with pytest.raises(ValueError, match="'encoder.0.weight'.*SIGGRAPHGenerator"):
        zhang.from_official({"encoder.0.weight": torch.zeros(1)})


def test_config_is_the_released_one():
    c = zhang.PRESETS["paper"]
    assert (c.width, c.batch_size, c.image_size, c.learning_rate, c.regression_weight, c.huber_delta) == (64, 25, 176, 1e-4, 10, 0)
    assert [stage[1:] for stage in c.stages] == [("classification", "none", 1.0), ("regression", "zhang", 0.1), ("regression", "zhang", 0.01)]
    per_epoch = -(-1_281_167 // 25)
    assert [stage[0] for stage in c.stages] + [c.steps] == [0, 15 * per_epoch, 25 * per_epoch, 30 * per_epoch]


@pytest.mark.parametrize("size", [(1, 1), (13, 30), (64, 7), (40, 48)])
def test_any_size(size):
    net = zhang.build(SMALL)
    batch = {"L": torch.full((2, 1, *size), 50.0)}
    hinted = batch | {"hint_ab": torch.full((2, 2, *size), 20.0), "hint_mask": torch.ones(2, 1, *size)}
    ab = zhang.colorize(net, hinted)
    assert ab.shape == (2, 2, *size) and ab.isfinite().all() and ab.abs().max() <= 110
    assert zhang.colorize_by_distribution(net, hinted).shape == (2, 2, *size)
    probability, bins = zhang.color_distribution(net, hinted)
    assert probability.shape == (2, 529, -(-size[0] // 4), -(-size[1] // 4)) and bins.shape == (529, 2)
    assert torch.allclose(probability.sum(1), torch.ones(1), atol=1e-5)


def test_hints_and_their_absence():
    net = zhang.build(SMALL)
    batch = {"L": torch.rand(2, 1, 24, 24) * 100}
    none = zhang.colorize(net, batch)
    mask = torch.zeros(2, 1, 24, 24)
    assert torch.equal(none, zhang.colorize(net, batch)) and torch.equal(none, zhang.colorize(net, batch | {"hint_mask": mask}))
    assert torch.equal(none, zhang.colorize(net, batch | {"hint_ab": torch.full((2, 2, 24, 24), 50.0), "hint_mask": mask}))      # ab without mask is no hint
    mask[0, 0, 5, 5] = 1
    grey_hint = zhang.colorize(net, batch | {"hint_ab": torch.zeros(2, 2, 24, 24), "hint_mask": mask})
    assert not torch.equal(none[0], grey_hint[0]) and torch.allclose(none[1], grey_hint[1], atol=1e-4)
    assert torch.equal(zhang.colorize(net, batch | {"hint_ab": torch.zeros(2, 2, 24, 24), "hint_mask": mask.bool()}), grey_hint)
    rows = zhang.variants(net)
    assert torch.equal(rows[""](batch), none) and torch.equal(rows["no hints"](batch | {"hint_mask": mask}), none)
    assert not torch.equal(rows["distribution head"](batch), none)


def test_bad_input():
    net = zhang.build(SMALL)
    zeros = torch.zeros
    with pytest.raises(ValueError, match="multiples of 8"):
        net(zeros(1, 1, 12, 16), zeros(1, 2, 12, 16), zeros(1, 1, 12, 16))
    with pytest.raises(ValueError, match="must share"):
        zhang.colorize(net, {"L": zeros(1, 1, 16, 16), "hint_ab": zeros(1, 2, 8, 8), "hint_mask": zeros(1, 1, 8, 8)})
    with pytest.raises(ValueError, match="classification, regression, both"):
        net(zeros(1, 1, 16, 16), zeros(1, 2, 16, 16), zeros(1, 1, 16, 16), trunk="neither")


def test_the_grid_of_colours_is_the_one_training_uses():
    bins = zhang.color_bins()
    assert bins.shape == (529, 2) and bins[0].tolist() == [-110, -110] and bins[1].tolist() == [-110, -100] and bins[528].tolist() == [110, 110]
    for i in (0, 77, 300, 528):
        logits = torch.full((1, 529, 1, 1), -20.0)
        logits[0, i] = 20
        assert zhang.class_loss(logits, bins[i].view(1, 2, 1, 1)) < 1e-3 < zhang.class_loss(logits, bins[(i + 1) % 529].view(1, 2, 1, 1))


def test_which_head_trains_the_trunk():
    batch = {key: value.float() for key, value in picture_and_hints().items()}
    reaches = {}
    for trunk in zhang.TRUNKS:
        for head in (0, 1):
            net = zhang.build(SMALL)
            net(**batch, trunk=trunk)[head].square().sum().backward()
            gradients = {part: next(getattr(net, part).parameters()).grad for part in ("conv1", "conv8", "conv9", "to_classes")}
            reaches[trunk, head] = {part for part, gradient in gradients.items() if gradient is not None and gradient.abs().sum() > 0}
    assert reaches["classification", 0] == reaches["both", 0] == {"conv1", "conv8", "to_classes"} and reaches["regression", 0] == {"to_classes"}
    assert reaches["regression", 1] == reaches["both", 1] == {"conv1", "conv8", "conv9"} and reaches["classification", 1] == {"conv9"}


def test_every_parameter_learns():
    step = zhang.Step(replace(SMALL, global_hints=True), train.make_fabric("cpu"))
    before = {name: value.detach().clone() for name, value in step.model.named_parameters()}
    for _ in range(3):
        assert set(step(random_batch())) == {"loss", "ce", "l1"}
    assert not [name for name, value in step.model.named_parameters() if torch.equal(before[name], value)]


def test_stages_change_the_rate_the_head_and_the_hints(monkeypatch):
    schemes = []
    monkeypatch.setattr(zhang, "training_hints", lambda ab, scheme: schemes.append(scheme) or (torch.zeros_like(ab), torch.zeros_like(ab[:, :1])))
    stages = ((0, "classification", "none", 1.0), (2, "regression", "zhang", 0.1))
    step = zhang.Step(replace(SMALL, one_cycle=0.0, stages=stages, learning_rate=1e-2), train.make_fabric("cpu"))
    rates, trunks = [], []
    step.model.module.register_forward_pre_hook(lambda module, inputs, options: trunks.append(options["trunk"]), with_kwargs=True)
    for _ in range(3):
        rates.append(step.optimizer.param_groups[0]["lr"])
        step(random_batch())
    assert rates == pytest.approx([1e-2, 1e-2, 1e-3]) and schemes == ["none", "none", "zhang"] and trunks == ["classification", "classification", "regression"]


def test_pictures_without_colour_do_not_count():
    step = zhang.Step(SMALL, train.make_fabric("cpu"))
    step.model.eval()
    mixed, grey = random_batch(), random_batch()
    grey["rgb"] = grey["rgb"][:, :1].expand(-1, 3, -1, -1)
    mixed["rgb"][2:] = grey["rgb"][2:]
    torch.manual_seed(1)
    with torch.no_grad():
        assert step.losses(grey)["loss"] == 0
        torch.manual_seed(1)
        both = step.losses(mixed)["l1"]
        torch.manual_seed(1)
        alone = step.losses({"rgb": mixed["rgb"][:2]})["l1"]
    assert both > 0 and torch.allclose(both, alone, rtol=1e-4)


def test_training_learns_to_follow_hints():
    """Plain pictures of random colours, all equally light: only a hint can tell which."""
    generator = torch.Generator().manual_seed(0)

    def plain(number):
        ab = 80 * torch.rand(number, 2, 1, 1, generator=generator) - 40
        rgb = lab.lab_to_rgb(torch.cat([torch.full((number, 1, 1, 1), 60.0), ab], 1)).expand(-1, -1, 32, 32)
        return (0.9 * rgb + 0.1 * torch.rand(number, 3, 32, 32, generator=generator)).clamp(0, 1)
    step = zhang.Step(replace(SMALL, width=8, steps=100, batch_size=8, one_cycle=2e-2), train.make_fabric("cpu"))
    for _ in range(100):
        step({"rgb": plain(8)})
    L, ab = lab.rgb_to_lab(plain(16)).split([1, 2], 1)
    mask = torch.zeros_like(L)
    mask[..., 13:19, 13:19] = 1
    without, hinted = ((zhang.colorize(step.result(), {"L": L} | hints) - ab).abs() for hints in ({}, {"hint_ab": ab * mask, "hint_mask": mask}))
    assert (hinted * mask).sum() < 0.75 * (without * mask).sum() and hinted.sum() < 0.85 * without.sum()


def test_an_interrupted_training_goes_on_bit_equal(tmp_path):
    rgb = np.random.default_rng(0).integers(0, 256, (8, 32, 32, 3), dtype=np.uint8)
    dataset, fabric = data.Packed(rgb, [str(i) for i in range(8)]), train.make_fabric("cpu")

    def losses(run, *stops):
        for steps in stops:
            step = zhang.make_step(replace(SMALL, steps=6, image_size=32), fabric, dataset)
            log = train.fit(step, dataset, steps=steps, batch_size=4, fabric=fabric, run=run, log_every=1, progress=False)
        return [(row["loss"], row["ce"]) for row in log], step.result().state_dict()
    (whole, weights), (parts, same) = losses(tmp_path / "whole", 6), losses(tmp_path / "parts", 3, 6)
    assert whole == parts and all(torch.equal(weights[name], same[name]) for name in weights)


def test_global_histogram():
    rgb = torch.zeros(2, 3, 10, 16, dtype=torch.uint8)
    rgb[0, :, :, :4] = torch.tensor([255, 0, 0], dtype=torch.uint8)[:, None, None]
    hints = zhang.global_histogram(rgb)
    histogram, saturation = hints["global_ab_histogram"], hints["global_saturation"]
    assert histogram.shape == (2, 314) and saturation.shape == (2, 2)
    assert torch.allclose(histogram[:, :-1].sum(1), torch.ones(2)) and bool((histogram[:, -1] == 1).all() and (saturation[:, -1] == 1).all())
    bins = lab.ab_bins(313)
    red, black = (lab.nearest_bin(torch.tensor(ab).view(1, 2, 1, 1), bins).item() for ab in ([80.09, 67.20], [0.0, 0.0]))
    assert histogram[0, [red, black]].tolist() == [0.25, 0.75] and histogram[1, black] == 1
    assert saturation[:, 0].tolist() == [0.25, 0.0]
    array = rgb[0].permute(1, 2, 0).numpy()
    assert all(torch.equal(one[0], other[0]) for one, other in zip(zhang.global_histogram(array).values(), hints.values()))
    assert zhang.global_histogram(torch.rand(1, 3, 1, 1))["global_ab_histogram"][0, :-1].sum() == 1


def test_global_hints():
    net = zhang.build(replace(SMALL, global_hints=True))
    batch, hints = {"L": torch.rand(2, 1, 16, 16) * 100}, zhang.global_histogram(torch.rand(2, 3, 20, 20))
    none, both = zhang.colorize(net, batch), zhang.colorize(net, batch | hints)
    assert not torch.equal(none, both)
    absent = {key: torch.zeros_like(value) for key, value in hints.items()}
    assert torch.equal(none, zhang.colorize(net, batch | absent))
    assert not torch.equal(zhang.colorize(net, batch | {"global_saturation": hints["global_saturation"]}), both)
    with pytest.raises(ValueError, match="no branch for global hints"):
        zhang.colorize(zhang.build(SMALL), batch | hints)


def test_half_precision_and_memory_layout():
    torch.manual_seed(0)
    net = zhang.build(replace(SMALL, width=8))
    batch = {key: value.float() for key, value in picture_and_hints().items()}
    whole = zhang.colorize(net, batch)
    assert torch.allclose(zhang.colorize(net.to(memory_format=torch.channels_last), batch), whole, atol=1e-3)
    with torch.autocast("cpu", torch.bfloat16):
        half = zhang.colorize(net, batch)
    assert half.dtype == torch.float32 and (half - whole).abs().max() < 0.05 * whole.abs().max()


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_training_and_colorizing_on_a_gpu():
    fabric = train.make_fabric("cuda", devices=1)
    step = zhang.Step(replace(SMALL, global_hints=True), fabric)
    assert all(torch.isfinite(step(fabric.to_device(random_batch()))["loss"]) for _ in range(3))
    model, batch = step.result(), {key: value.float() for key, value in picture_and_hints().items()}
    on_gpu = zhang.colorize(model, {key: value.cuda() for key, value in batch.items()}).cpu()
    assert torch.allclose(on_gpu, zhang.colorize(model.cpu(), batch), atol=0.5)
