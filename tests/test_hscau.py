"""HSCAU-Net against its released code: parameter counts, outputs, loss, hint gates, schedule, and what training and a person do with it."""
from dataclasses import replace

import numpy as np
import pytest
import torch

import colorlib
from colorlib import __main__ as cli
from colorlib import data, images, lab, train, zoo
from colorlib.hints import HintSet, image_hash
from colorlib.papers import hscau

SMALL = replace(hscau.PRESETS["smoke"], steps=60, batch_size=4)
KINDS = {"released": hscau.RELEASED, "named": hscau.NAMED, "none": hscau.UNET, "additive": hscau.ATTUNET}


def count(module):
    return sum(p.numel() for p in module.parameters())


def official_shapes():
    """{name: shape} of the authors' HINT_CSATUNet(4, 2), each tensor once."""
    shapes = {}

    def double_conv(name, channels_in, channels_out):
        for i, channels in ((0, channels_in), (3, channels_out)):
            shapes[f"{name}.double_conv.{i}.weight"] = (channels_out, channels, 3, 3)
            for part in ("weight", "bias", "running_mean", "running_var"):
                shapes[f"{name}.double_conv.{i + 1}.{part}"] = (channels_out,)
            shapes[f"{name}.double_conv.{i + 1}.num_batches_tracked"] = ()
    double_conv("inc", 4, 64)
    for i in range(1, 5):
        double_conv(f"down{i}.maxpool_conv.1", 2 ** (5 + i), 2 ** (6 + i))
    for i in range(1, 5):
        channels = 2 ** (10 - i)
        shapes[f"up{i}.up.weight"], shapes[f"up{i}.up.bias"] = (2 * channels, channels, 2, 2), (channels,)
        double_conv(f"up{i}.conv", 2 * channels, channels)
        shapes[f"up{i}.sp.conv1.weight"] = shapes[f"up{i}.ch.conv1.weight"] = (1, 2, 7, 7)
        shapes[f"up{i}.conv_1by1.weight"] = (1, 2, 1, 1)
    return shapes | {"outc.conv.weight": (2, 64, 1, 1), "outc.conv.bias": (2,)}


def official_weights():
    """Every weight from its place in the network and its index: u(i, j) = (7919 j + 104729 i) mod 10007 / 10007 - 1/2, scaled by kind."""
    state = {}
    for i, (name, shape) in enumerate(official_shapes().items()):
        u = torch.from_numpy(np.resize((np.arange(10007) * 7919 + i * 104729) % 10007 / 10007 - 0.5, shape))
        if name.endswith("num_batches_tracked"):
            state[name] = torch.tensor(7)
        elif len(shape) == 4:
            state[name] = u * np.sqrt((2000 if "conv_1by1" in name else 60) / np.prod(shape[1:]))
        else:
            state[name] = 1 + u if name.endswith(("running_var", "1.weight", "4.weight")) else 0.2 * u
    return state | {f"ch{i}.conv1.weight": state[f"up{i}.ch.conv1.weight"] for i in range(1, 5)}


def picture_and_hints(side=64):
    y, x = np.mgrid[:side, :side]
    mask = torch.from_numpy((7919 * (side * y + x) % 10007 < 500).astype(float))[None, None]              # 5 % of the pixels
    ab = torch.from_numpy(np.stack([60 * np.cos(0.1 * x), -50 * np.sin(0.07 * y + 1)]))[None] * mask
    return {"L": torch.from_numpy(50 + 45 * np.sin(0.21 * x + 0.13 * y))[None, None], "hint_ab": ab, "hint_mask": mask}


def stripes(number=4, side=32):
    """Red above, blue below: L tells them apart."""
    rgb = torch.zeros(number, 3, side, side, dtype=torch.uint8)
    rgb[:, 0, :side // 2], rgb[:, 2, side // 2:] = 200, 220
    return {"rgb": rgb}


def test_parameter_counts():
    nets = {kind: hscau.build(config) for kind, config in KINDS.items()}
    assert {kind: count(net) for kind, net in nets.items()} == {"released": 31_039_066, "named": 31_082_194, "none": 31_038_274, "additive": 31_389_806}
    assert sum(count(up.gate) for up in nets["released"].trunk.up) == 792
    assert sum(count(up.gate.second) for up in nets["named"].trunk.up) == 43_520
    assert {kind: len({name.split(".")[0] for name in net.state_dict()}) for kind, net in nets.items()} == dict.fromkeys(KINDS, 2)


@pytest.mark.parametrize("name", hscau.VARIANTS)
def test_class_weights_are_small(name):
    config = zoo.get(name).presets["class"]
    assert 2 * sum(value.numel() for value in hscau.build(config).state_dict().values()) < 8_000_000
    assert zoo.count_parameters(name) == {"U-Net": count(hscau.build(zoo.get(name).presets["paper"]))}


def test_outputs_of_the_released_code():
    """The authors' HINT_CSATUNet with `official_weights`, in float64, gave these numbers; ours differs from it by less than 1e-11.

    Its four Resize, made for 256 px, were set to 64 px and below, with antialias=False, as torchvision was then, and True, as it is now.
    """
    batch = picture_and_hints()
    net = hscau.HintUNet(hscau.RELEASED).double().eval()
    net.load_state_dict(hscau.from_official(official_weights()))
    golden = {"bilinear": [-103.0898139, 85.8777485, -198.4136579, -117.9158582, -132.7179913, 0.9487385],
              "antialias": [-103.0897221, 85.8777718, -198.4137036, -117.9168795, -132.7184189, 0.9487623]}
    for how, numbers in golden.items():
        net.trunk.hint_resize = how
        with torch.no_grad():
            ab = net(**batch)
        found = [ab.mean(), ab.std(correction=0), ab[0, 0, 0, 0], ab[0, 1, 12, 22], ab[0, 0, 41, 6], ab[0, 1, 63, 63]]
        assert [float(x) for x in found] == pytest.approx(numbers, abs=2e-6)
        assert torch.equal(hscau.colorize(net, batch), ab)


def test_loss_of_the_released_code():
    """`solver.py` with its `pytorch_ssim`, in float64 on these pictures."""
    y, x = np.mgrid[:40, :56]
    true = torch.from_numpy(np.stack([70 * np.sin(0.05 * x - 0.04 * y), 60 * np.cos(0.3 * x + 0.09 * y)]))[None]
    pred = torch.from_numpy(np.stack([50 * np.cos(0.02 * x * y), y + 0.5 * x - 20]))[None]
    found = hscau.hint_loss(pred, true, hscau.RELEASED)
    assert {key: float(value) for key, value in found.items()} == pytest.approx({"loss": 0.23378036, "l1": 0.17691607, "ssim": 0.53876251}, abs=3e-6)
    assert float(hscau.hint_loss(true, true, hscau.RELEASED)["loss"]) == pytest.approx(0, abs=1e-9)
    alone = hscau.hint_loss(pred, true, replace(hscau.RELEASED, ssim_weight=0.0))
    assert alone.keys() == {"loss", "l1"} and float(alone["loss"]) == pytest.approx(0.8 * 0.17691607, abs=1e-7)


def test_weights_of_the_authors():
    state = official_weights()
    renamed = hscau.from_official(state)
    assert {name: tuple(value.shape) for name, value in renamed.items()} \
        == {name: tuple(value.shape) for name, value in hscau.build(hscau.RELEASED).state_dict().items()}
    with pytest.raises(ValueError, match="'encoder.0.weight'.*HINT_CSATUNet"):
        hscau.from_official(state | {"encoder.0.weight": torch.zeros(1)})


def test_config_is_the_released_one():
    c = hscau.PRESETS["paper"]
    assert (c.width, c.batch_size, c.image_size, c.l1_weight, c.ssim_weight, c.scheme, c.hint_resize) == (64, 32, 256, 0.8, 0.2, "dense", "bilinear")
    assert c.steps == 338 * 313 and c.epoch == 313 and not c.one_cycle and not c.start_grey
    assert {name: sizes["paper"].gates for name, sizes in hscau.VARIANTS.items()} \
        == {"hscau": "released", "hscau_named": "named", "unet": "none", "attunet": "additive"}


# ---------------------------------------------------------------- hints and gates

def test_what_resizing_does_to_hints():
    """One hint at every place of an 8 x 8 cell in turn: how many reach the gate of each level, and how strongly."""
    mask = torch.eye(64).view(64, 1, 8, 8).repeat(1, 1, 2, 2)
    ab = mask * torch.tensor([40.0, -20.0]).view(1, 2, 1, 1)
    for level, survivors in enumerate([64, 64, 16, 4]):
        assert (hscau.resize_hints(ab, mask, level, "bilinear").abs().amax((1, 2, 3)) > 0).sum() == survivors
        faded = hscau.resize_hints(ab, mask, level, "antialias")
        assert (faded.abs().amax((1, 2, 3)) > 0).all() and torch.allclose(faded.mean(0), ab.mean(0)[:, ::2 ** level, ::2 ** level], atol=1e-5)
        kept = hscau.resize_hints(ab, mask, level, "mean")
        assert kept.shape[-2:] == (16 >> level, 16 >> level) and set(kept.unique().tolist()) <= {0.0, 40.0, -20.0}
        assert (kept[:, 0] == 40).sum((1, 2)).tolist() == [4] * 64                        # the colour itself, in the hint's four cells
    assert not torch.equal(hscau.resize_hints(ab, mask, 2, "bilinear"), hscau.resize_hints(ab, mask, 2, "antialias"))
    two, where = torch.tensor([[10.0, 0], [0, 30]]).expand(1, 2, 2, 2), torch.eye(2).view(1, 1, 2, 2)
    assert hscau.resize_hints(two, where, 1).flatten().tolist() == pytest.approx([20, 20]) and hscau.resize_hints(two, 0 * where, 1).abs().sum() == 0
    with pytest.raises(ValueError, match="hint_resize is 'nearest': choose mean, bilinear or antialias"):
        hscau.resize_hints(two, where, 1, "nearest")


def test_gates_are_their_equations():
    torch.manual_seed(0)
    x, above, hint = torch.randn(2, 32, 6, 5), torch.randn(2, 32, 6, 5), torch.rand(2, 2, 6, 5)
    sigmoid = lambda z: 1 / (1 + np.exp(-z))
    gate = hscau.make_gate("named", 32)
    W1, W2 = (conv.weight.detach().numpy()[:, :, 0, 0] for conv in (gate.second.squeeze, gate.second.excite))
    assert W1.shape == (2, 32) and W2.shape == (32, 2)                                    # 32 / 16 hidden
    planes = x.numpy()
    score = sum(np.maximum(pooled @ W1.T, 0) @ W2.T for pooled in (planes.mean((2, 3)), planes.max((2, 3))))
    where = torch.nn.functional.conv2d(torch.stack([x.mean(1), x.max(1)[0]], 1), gate.first.conv.weight, padding=3).detach().numpy()
    told = np.einsum("c,nchw->nhw", gate.hint.weight.detach().numpy().ravel(), hint.numpy())[:, None]
    expected = planes * sigmoid(score)[..., None, None] * sigmoid(where) * sigmoid(told)
    assert gate(x, above, hint).detach().numpy() == pytest.approx(expected, abs=1e-5)
    released = hscau.make_gate("released", 32)
    assert torch.allclose(released(x, above, hint), x * released.first(x) * released.second(x) * torch.sigmoid(released.hint(hint)))
    additive = hscau.make_gate("additive", 32).eval()
    joined = additive.from_above[0](above) + additive.from_skip[0](x)                     # batch norm is the identity but for eps
    assert torch.allclose(additive(x, above, hint), x * torch.sigmoid(additive.to_gate[0](torch.relu(joined))), atol=1e-4)
    assert hscau.make_gate("none", 32)(x, above, hint) is x and hscau.make_gate("named", 4).second.squeeze.out_channels == 1
    with pytest.raises(ValueError, match="gates is 'both': choose"):
        hscau.make_gate("both", 32)


@pytest.mark.parametrize("kind", KINDS)
def test_hints_and_their_absence(kind):
    torch.manual_seed(0)
    net = hscau.build(replace(SMALL, gates=kind, start_grey=False))
    batch, mask = {"L": torch.rand(2, 1, 24, 24) * 100}, torch.zeros(2, 1, 24, 24)
    none = hscau.colorize(net, batch)
    assert torch.equal(none, hscau.colorize(net, batch)) and torch.equal(none, hscau.variants(net)[""](batch))
    assert torch.equal(none, hscau.colorize(net, batch | {"hint_ab": torch.full((2, 2, 24, 24), 50.0), "hint_mask": mask}))      # ab without mask is no hint
    mask[0, 0, 5, 5] = 1
    grey, red = (hscau.colorize(net, batch | {"hint_ab": torch.full((2, 2, 24, 24), ab), "hint_mask": mask}) for ab in (0.0, 40.0))
    assert not torch.equal(none[0], grey[0]) and not torch.equal(grey[0], red[0])
    assert torch.allclose(none[1], grey[1], atol=1e-3) and torch.allclose(none[1], red[1], atol=1e-3)
    assert torch.equal(hscau.colorize(net, batch | {"hint_ab": torch.full((2, 2, 24, 24), 40.0), "hint_mask": mask.bool()}), red)


@pytest.mark.parametrize("size", [(1, 1), (17, 33), (224, 160)])
@pytest.mark.parametrize("kind", KINDS)
def test_any_size(size, kind):
    batch = {"L": torch.full((2, 1, *size), 50.0), "hint_ab": torch.full((2, 2, *size), 20.0), "hint_mask": torch.ones(2, 1, *size)}
    ab = hscau.colorize(hscau.build(replace(SMALL, gates=kind)), batch)
    assert ab.shape == (2, 2, *size) and ab.isfinite().all()


def test_ours_begins_at_grey():
    batch = {key: value.float() for key, value in picture_and_hints().items()}
    assert hscau.colorize(hscau.build(SMALL), batch).abs().max() < 1e-3 < hscau.colorize(hscau.build(replace(SMALL, start_grey=False)), batch).abs().max()


def test_bad_input():
    net, zeros = hscau.build(SMALL), torch.zeros
    with pytest.raises(ValueError, match="multiples of 16"):
        net(zeros(1, 1, 24, 16), zeros(1, 2, 24, 16), zeros(1, 1, 24, 16))
    with pytest.raises(ValueError, match="must share"):
        hscau.colorize(net, {"L": zeros(1, 1, 32, 32), "hint_ab": zeros(1, 2, 16, 16), "hint_mask": zeros(1, 1, 16, 16)})


# ---------------------------------------------------------------- training

@pytest.mark.parametrize("kind", KINDS)
def test_every_parameter_learns(kind):
    step = hscau.Step(replace(SMALL, gates=kind), train.make_fabric("cpu"))
    batch = {"rgb": torch.randint(0, 256, (4, 3, 32, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))}
    for up in step.model.module.trunk.up if kind == "named" else ():
        up.gate.second.squeeze.weight.data.abs_()                     # one hidden unit is dead as often as not
    for _ in range(2):                                                # a last layer that begins at zero passes nothing down at first
        assert step(batch).keys() == {"loss", "l1", "ssim"}
    still = [name for name, value in step.model.module.named_parameters() if not value.grad.abs().max() > 0]
    assert not [name for name in still if not (kind == "additive" and ".gate." in name and name.endswith("0.bias"))]      # batch norm takes those away


def test_training_on_one_batch_learns_its_colours():
    step = hscau.Step(SMALL, train.make_fabric("cpu"))
    l1 = [step(stripes())["l1"].item() for _ in range(60)]
    assert l1[-1] < 0.2 * l1[0]
    L, ab = lab.rgb_to_lab(stripes()["rgb"]).split([1, 2], 1)
    painted = hscau.colorize(step.result(), {"L": L, "hint_ab": ab, "hint_mask": torch.ones_like(L)})
    assert not step.result().training and (painted - ab).abs().mean() < 0.5 * ab.abs().mean()


def test_rates_and_restarts_of_the_schedule():
    step = hscau.Step(replace(SMALL, one_cycle=0.0, schedule=hscau.README_SCHEDULE, epoch=313), train.make_fabric("cpu"))
    rates = [step.learning_rate(313 * epoch + update) for epoch, update in [(0, 0), (186, -1), (186, 0), (286, -1), (286, 0), (324, -1), (324, 0), (338, 0)]]
    assert rates == [5e-4, 5e-4, 5e-5, 5e-5, 5e-6, 5e-6, 5e-8, 5e-8]
    step = hscau.Step(replace(SMALL, one_cycle=0.0, schedule=((0, 1e-2), (1, 1e-3), (2, 1e-3)), epoch=2), train.make_fabric("cpu"))
    rates, ages = [], []
    for _ in range(6):
        rates.append(step.optimizer.param_groups[0]["lr"])
        step(stripes(2, 16))
        ages.append({int(state["step"]) for state in step.optimizer.state.values()})
    assert rates == pytest.approx([1e-2, 1e-2, 1e-3, 1e-3, 1e-3, 1e-3])
    assert ages == [{1}, {2}, {1}, {2}, {1}, {2}]                     # Adam begins anew, even at the same rate
    assert step.optimizer.param_groups[0]["betas"] == (0.5, 0.999)


@pytest.mark.parametrize("changes", [{"one_cycle": 0.0, "schedule": ((0, 5e-3), (1, 1e-3), (2, 1e-4)), "epoch": 2}, {}], ids=["schedule", "one cycle"])
def test_an_interrupted_training_goes_on_bit_equal(tmp_path, changes):
    """Interrupted after 2 of 6 updates, where the schedule restarts Adam, and after 3, where it does not."""
    rgb = np.random.default_rng(0).integers(0, 256, (8, 32, 32, 3), dtype=np.uint8)
    dataset, fabric = data.Packed(rgb, [str(i) for i in range(8)]), train.make_fabric("cpu")

    def run(folder, *stops):
        for steps in stops:
            step = hscau.make_step(replace(SMALL, steps=6, image_size=32, **changes), fabric, dataset)
            log = train.fit(step, dataset, steps=steps, batch_size=4, fabric=fabric, run=tmp_path / folder, log_every=1, progress=False)
        return [row["loss"] for row in log], step.result().state_dict()
    (whole, weights), (parts, same) = run("whole", 6), run("parts", 2, 3, 6)
    assert whole == parts and len(whole) == 6 and all(torch.equal(weights[name], same[name]) for name in weights)


def test_half_precision_and_memory_layout():
    torch.manual_seed(0)
    net = hscau.build(replace(SMALL, start_grey=False))
    batch = {key: value.float() for key, value in picture_and_hints().items()}
    whole = hscau.colorize(net, batch)
    assert torch.allclose(hscau.colorize(net.to(memory_format=torch.channels_last), batch), whole, atol=1e-3)
    with torch.autocast("cpu", torch.bfloat16):
        half = hscau.colorize(net, batch)
    assert half.dtype == torch.float32 and 0 < (half - whole).abs().max() < 0.05 * whole.abs().max()


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("kind", KINDS)
def test_training_and_colorizing_on_a_gpu(kind):
    fabric = train.make_fabric("cuda", devices=1)
    step = hscau.Step(replace(SMALL, gates=kind), fabric)
    assert all(torch.isfinite(step(fabric.to_device(stripes()))["loss"]) for _ in range(3))
    model, batch = step.result(), {key: value.float() for key, value in picture_and_hints().items()}
    on_gpu = hscau.colorize(model, {key: value.cuda() for key, value in batch.items()}).cpu()
    assert torch.allclose(on_gpu, hscau.colorize(model.cpu(), batch), atol=0.5)


# ---------------------------------------------------------------- hints as a person gives them

class Repeater(torch.nn.Module):
    """A network that paints the hints and nothing else, and remembers what it was shown."""
    config = replace(SMALL, working_size=64)

    def __init__(self):
        super().__init__()
        self.place = torch.nn.Parameter(torch.zeros(1))

    def forward(self, L, hint_ab, hint_mask):
        self.seen = L, hint_ab, hint_mask
        return hint_ab * hint_mask


def test_a_hint_lands_where_it_was_put():
    """A picture of 400 x 300 is seen at 85 x 64, rounded to 88 x 64 and padded to 96 x 64."""
    grey, model = np.full((400, 300), 120, np.uint8), Repeater()
    hints = HintSet(400, 300, [(100, 60, 50.0, 30.0, 3), (399, 299, -40.0, 20.0)])
    picture = colorlib.colorize(grey, "hscau", hints=hints, model=model, merge="bilinear")
    L, hint_ab, hint_mask = model.seen
    assert L.shape == (1, 1, 96, 64) and hint_mask.sum() == 9 + 1
    row, column = int(100.5 / 400 * 88), int(60.5 / 300 * 64)
    assert hint_mask[0, 0, row - 1:row + 2, column - 1:column + 2].all() and hint_mask[0, 0, 87, 63] == 1
    assert hint_ab[0, :, row, column].tolist() == [50, 30] and hint_ab[0, :, 87, 63].tolist() == [-40, 20]
    a, b = np.moveaxis(lab.rgb_to_lab(picture.rgb)[..., 1:], -1, 0)
    assert picture.rgb.shape == (400, 300, 3) and (a[100, 60], b[100, 60]) == pytest.approx((50, 30), abs=2) and a[399, 299] < -25
    assert np.abs(a[130:370]).max() < 1 and np.abs(a[:, 90:250]).max() < 1
    smaller = colorlib.colorize(grey[::2, ::2], "hscau", hints=hints, model=model, merge="bilinear")          # of a copy of the picture
    assert torch.equal(model.seen[2], hint_mask) and smaller.rgb.shape == (200, 150, 3)


def test_hints_asked_for_and_left_out():
    grey, model = np.full((40, 30), 120, np.uint8), Repeater()
    empty = colorlib.colorize(grey, "hscau", hints=[], model=model)
    assert np.abs(lab.rgb_to_lab(empty.rgb)[..., 1:]).max() < 0.5 and model.seen[2].sum() == 0
    listed = colorlib.colorize(grey, "hscau", hints=[(20, 15, 40.0, 40.0), {"y": 3, "x": 4, "color": "#3060c0"}], model=model)
    assert model.seen[2].sum() == 2 and listed.rgb[20, 15, 0] > 130
    with pytest.raises(ValueError, match=r"hscau needs hints: pass hints=... \(on the command line --hints\)."):
        colorlib.colorize(grey, "hscau", model=model)
    with pytest.raises(ValueError, match="koalarization takes no hints; methods that do: hscau, .*hintnet"):
        colorlib.colorize(grey, "koalarization", hints=[], model=model)
    with pytest.raises(ValueError, match="Hint number 0 has y = 40.0, but the rows of this picture run from 0 to 39."):
        colorlib.colorize(grey, "hscau", hints=[(40, 15, 0.0, 0.0)], model=model)


def test_weights_of_each_variant_stay_apart(tmp_path, monkeypatch):
    monkeypatch.setenv("COLORLIB_WEIGHTS", str(tmp_path))
    config = replace(SMALL, gates="named")
    zoo.save_weights(hscau.build(config), "hscau_named", zoo.weights_file("hscau_named"), {"size": "class"})
    again = zoo.load("hscau_named", device="cpu")
    assert again.config == config and isinstance(again.trunk.up[0].gate.second, hscau.ChannelAttention)
    with pytest.raises(ValueError, match="holds weights of hscau_named, not of hscau"):
        zoo.load("hscau", zoo.weights_file("hscau_named"), device="cpu")
    assert colorlib.colorize(np.full((20, 30), 99, np.uint8), "hscau_named", hints=[(3, 4, 10.0, 10.0)], device="cpu").rgb.shape == (20, 30, 3)


def test_a_hint_file_on_the_command_line(tmp_path, monkeypatch, capsys):
    """Levin's method needs no weights: one hint colours an even picture all over."""
    monkeypatch.chdir(tmp_path)
    gradient = np.linspace(90, 150, 40 * 30).astype(np.uint8).reshape(40, 30)
    images.save_image("grey.png", np.repeat(gradient[..., None], 3, 2))
    images.save_image("other.png", np.repeat(255 - gradient[..., None], 3, 2))
    L = images.lightness(images.open_image("grey.png"))
    hints = HintSet(40, 30, [(20, 15, 30.0, 25.0)], image_hash(L))
    hints.save("hints.json")
    assert cli.main(["colorize", "grey.png", "--method", "levin", "--hints", "hints.json", "--device", "cpu"]) == 0
    assert capsys.readouterr().out.strip() == "grey_colorized.png"
    ab = lab.rgb_to_lab(images.open_image("grey_colorized.png").rgb)[..., 1:]
    assert np.abs(ab - [30, 25]).max() < 3
    for arguments, sentence in [(["grey.png"], "levin needs hints"), (["grey.png", "--hints", "gone.json"], "gone.json does not exist"),
                                (["other.png", "--hints", "hints.json"], "hints of another picture")]:
        assert cli.main(["colorize", "--method", "levin", *arguments]) == 1
        error = capsys.readouterr().err
        assert sentence in error and error.count("\n") == 1 and error.startswith("colorlib: ")
