"""Gray2ColorNet against its published code: sizes, outputs, exact short cuts, both stages of training, and references no one should trip over."""
from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from colorlib import data, lab, painting, train
from colorlib.bench import train_gray2color
from colorlib.papers import gray2color
from colorlib.papers.gray2color import PAPER_PROBABLE, Described, Gray2ColorNet, Reference

TINY = replace(PAPER_PROBABLE, width=4, gate_width=8, classes=5, reference_size=32, critic_width=4, image_size=32, batch_size=4, stage_one_batch=4, stage_one=2,
               steps=3)


def count(module):
    return sum(p.numel() for p in module.parameters())


def waves(side=128):
    """Target L_n, reference L_n and ab_n by formulas, in float64."""
    y, x = torch.meshgrid(*2 * [torch.arange(side, dtype=torch.float64)], indexing="ij")
    L = 0.7 * torch.sin(0.11 * x + 0.07 * y) * torch.cos(0.05 * x - 0.02 * y)
    other = 0.6 * torch.cos(0.09 * x - 0.03 * y) + 0.3 * torch.sin(0.15 * y)
    ab = torch.stack([0.3 * torch.sin(0.04 * x + 0.1 * y), 0.4 * torch.cos(0.07 * x - 0.05 * y)])
    return L[None, None], other[None, None], ab[None]


def fill(network):
    """Weights by a formula, of the spread that keeps every layer alive."""
    for number, value in enumerate(network.state_dict().values()):
        j = torch.arange(value.numel(), dtype=torch.float64)
        u = torch.remainder(7919 * j + 104729 * (number + 1), 10007) / 10007 - 0.5
        fan = value[0].numel() if value.ndim > 1 else 25
        value.copy_((u * (6 / fan) ** 0.5).view(value.shape))
    return network


def picture(number=1, side=32, seed=0):
    """Smooth random pictures `(N, 3, side, side)` uint8."""
    small = torch.rand(number, 3, 5, 5, generator=torch.Generator().manual_seed(seed))
    return (255 * F.interpolate(small, size=side, mode="bicubic").clamp(0, 1)).byte()


def reference(rgb, dtype=torch.float32):
    found = gray2color.reference_of(rgb, replace(TINY, reference_size=rgb.shape[-1]))
    return Reference(*(one.to(dtype) for one in found))


def dataset(number=8, side=32, labels=True):
    pictures = picture(number, side).permute(0, 2, 3, 1).numpy()
    return data.Packed(pictures, [str(i) for i in range(number)], np.arange(number) % 2 if labels else None)


# ---------------------------------------------------------------- sizes

def test_parameters_are_the_published_ones():
    with torch.device("meta"):
        parts = {name: count(part) for name, part in gray2color.networks(PAPER_PROBABLE).items()}
    assert parts == {"encoder": 21_792_960, "decoder": 20_659_334, "class head": 513_000, "reference colours": 4_684_800, "gate": 4_196_353,
                     "palette": 1_211_264, "discriminator": 2_794_561}
    assert sum(parts.values()) - parts["discriminator"] == 53_057_711


@pytest.mark.parametrize("side", [128, 256])
def test_shapes_of_the_published_network(side):
    config = replace(PAPER_PROBABLE, width=4, gate_width=8)
    network, R = Gray2ColorNet(config).eval(), reference(picture(1, 128))
    with torch.no_grad():
        encoded, other = network.encoder(torch.zeros(1, 1, side, side)), network.encoder(R.L_n)
        aligned, palette, gate = network.fuse(encoded, other, R)
        painted = network(torch.zeros(1, 1, side, side), R)
    assert [tuple(x.shape[1:]) for x in encoded] == [(4 * factor, side // step, side // step) for factor, step in ((1, 1), (2, 2), (4, 4), (8, 8), (8, 8), (8, 8))]
    assert all(mine.shape == theirs.shape for mine, theirs in zip(aligned, palette))
    assert [tuple(x.shape[1:]) for x in aligned] == [(32, side // 8, side // 8), (16, side // 4, side // 4), (8, side // 2, side // 2)]
    assert [tuple(x.shape[1:]) for x in painted.ab_n] == [(2, side // 4, side // 4), (2, side // 2, side // 2), (2, side, side)]
    assert painted.gate.shape == gate.shape == (1, 1, side // 2, side // 2) and painted.logits.shape == (1, 1000)
    assert sum(x.shape[1] for x in Described.of(encoded).unit) == 31 * 4          # 1984 at the paper's width


def test_discriminator_sees_70_pixels():
    critic = gray2color.PatchCritic(replace(PAPER_PROBABLE, critic_width=4)).double()
    critic.layers = torch.nn.Sequential(*(layer for layer in critic.layers if not isinstance(layer, torch.nn.InstanceNorm2d)))
    x = torch.randn(1, 3, 128, 128, dtype=torch.float64, requires_grad=True)
    scores = critic(x)
    assert scores.shape[2:] == (14, 14)
    seen = torch.autograd.grad(scores[0, 0, 7, 7], x)[0].abs().sum((0, 1))
    rows = seen.sum(1).nonzero()
    assert int(rows.max() - rows.min()) + 1 == 70


# ---------------------------------------------------------------- the published outputs

GOLDEN = {      # five values spread over the tensor, mean, standard deviation
    "quarter": ([-0.099268437, -0.652573277, 0.667395247, -0.339821892, -0.760858122], -0.18936838, 0.375302686),
    "half": ([-0.154243664, 0.13837231, 0.0243651, 0.202430509, -0.120641542], -0.020466551, 0.334848113),
    "full": ([-0.170211698, -0.166153554, -0.115742718, 0.198895179, 0.203992515], 0.016722894, 0.161768684),
    "logits": ([-14.407021181, -2.075835263, 6.104202903, 14.270660025, 6.368903861], -0.022224282, 10.179105715),
    "gate": ([0.312998225, 0.315850412, 0.317361978, 0.312445314, 0.314018795], 0.31461119, 0.001830806),
}


@pytest.mark.parametrize("dtype, tolerance", [(torch.float64, 1e-7)])
def test_outputs_of_the_published_network(dtype, tolerance):
    """What `models/networks.py` of CV-xueba/Gray2ColorNet gives for the same weights and inputs (numbers only, float64)."""
    network, (L, other, ab) = fill(Gray2ColorNet(PAPER_PROBABLE)).to(dtype).eval(), (x.to(dtype) for x in waves())
    with torch.no_grad():
        painted = network(L, Reference(other, ab, lab.ab_histogram(lab.unscale_ab(ab))))
    for name, x in zip(GOLDEN, (*painted.ab_n, painted.logits, painted.gate), strict=True):
        values, mean, spread = GOLDEN[name]
        assert torch.allclose(x.flatten()[::max(1, x.numel() // 5)][:5], torch.tensor(values, dtype=dtype), atol=tolerance), name
        assert abs(float(x.mean()) - mean) < tolerance and abs(float(x.std()) - spread) < tolerance
        assert spread > 1e-3


def test_published_weights_fit():
    network = Gray2ColorNet(replace(PAPER_PROBABLE, width=2, gate_width=4))
    theirs = {}
    for ours, value in network.state_dict().items():
        official = next(part for part, mine in sorted(gray2color.OFFICIAL.items(), key=lambda pair: -len(pair[1])) if ours.startswith(mine + "."))
        shape = value.shape
        if official.startswith(("global", "conf")) and value.ndim == 2:
            shape = (*shape, 1) if official.startswith("conf") else (*shape, 1, 1)
        theirs["module." + official + ours[len(gray2color.OFFICIAL[official]):]] = value.reshape(shape)
    found = gray2color.from_official(theirs)
    assert set(found) == set(network.state_dict()) and all(torch.equal(found[key], value) for key, value in network.state_dict().items())
    with pytest.raises(ValueError, match="netD.weight is no tensor"):
        gray2color.from_official({"netD.weight": torch.zeros(1)})


# ---------------------------------------------------------------- short cuts that are exact

def both(config, size=(32, 48), dtype=torch.float64):
    network = fill(Gray2ColorNet(config)).to(dtype)
    L = torch.randn(2, 1, *size, dtype=dtype, generator=torch.Generator().manual_seed(0))
    return network, L, reference(picture(2, 32, seed=1), dtype)


@pytest.mark.parametrize("pairs", [2 ** 26, 2 ** 14])
def test_short_cuts_equal_the_straight_form(monkeypatch, pairs):
    """The gate by associativity and the matching before enlarging, at once and in chunks, with their gradients."""
    monkeypatch.setattr(gray2color, "PAIRS", pairs)
    network, L, R = both(TINY)
    results = []
    for kind in (Gray2ColorNet, train_gray2color.straight_gray2color()):
        network.__class__ = kind
        painted = network(L, R)
        loss = sum(x.square().sum() for x in painted.ab_n) + painted.gate.sum()
        results.append((*painted.ab_n, painted.gate, *torch.autograd.grad(loss, [p for name, p in network.named_parameters() if "classify" not in name])))
    assert float(results[0][3].detach().std()) > 1e-3
    assert all(torch.allclose(mine, theirs, atol=1e-8) for mine, theirs in zip(*results))


def test_gate_and_attention_equal_the_dense_form_in_float32():
    network, L, R = both(TINY, dtype=torch.float32)
    here, there = (Described.of(network.encoder(x)) for x in (L, R.L_n))
    values = network.colors(R.ab_n).flatten(2)
    dense = torch.cat(there.unit, 1).transpose(1, 2) @ torch.cat(here.unit, 1)                                  # (N, P_r, P_t)
    aligned, _ = gray2color.attend(values, there, here, TINY)
    assert torch.allclose(aligned, values @ F.softmax(dense / TINY.temperature, 1), atol=1e-4)      # similarities times 100: their rounding, too
    gate = torch.sigmoid(network.gate.out.weight @ F.relu(network.gate.hidden.weight @ dense + network.gate.hidden.bias[:, None]) + network.gate.out.bias)
    assert torch.allclose(network.gate(there, here, None).flatten(2), gate, atol=1e-5)
    assert torch.allclose(gray2color.similarities(there, here, slice(5, 20)), dense[..., 5:20], atol=1e-5)


@pytest.mark.parametrize("flows", [True, False])
def test_gradient_through_the_matching(flows):
    """The reference's encoder learns by the similarities only, and not at all without their gradient; the colours it gives pass on theirs either way."""
    network, L, R = both(replace(TINY, match_gradient=flows))
    L_n, other = R.L_n[:1], R.L_n[1:].clone().requires_grad_()
    painted = network(L_n, Reference(other, R.ab_n[1:], R.histogram[1:]))
    wanted = [network.colors.first[0].weight, network.gate.hidden.weight, network.encoder.blocks[0][0].weight]
    through, *rest = torch.autograd.grad(painted.ab_n[-1].square().sum(), [other, *wanted], allow_unused=True)
    assert (through is not None and float(through.abs().max()) > 0) == flows and all(float(one.abs().max()) > 0 for one in rest)


def test_memory_is_bounded(monkeypatch):
    seen, plain = [], gray2color.similarities
    monkeypatch.setattr(gray2color, "PAIRS", 2 ** 14)
    monkeypatch.setattr(gray2color, "similarities", lambda *arguments: seen.append(plain(*arguments)) or seen[-1])
    network, L, R = both(TINY)
    network(L, R)
    assert max(x.numel() for x in seen) <= 2 ** 14 < sum(x.numel() for x in seen) == 2 * 256 * 16 * 24


def test_pictures_do_not_depend_on_their_batch():
    network, L, R = both(TINY, (32, 32))
    alone = network(L[:1], Reference(*(one[:1] for one in R))).ab_n[-1]
    assert torch.allclose(network(L, R).ab_n[-1][:1], alone, atol=1e-12)          # also: target and reference went through the encoder together


# ---------------------------------------------------------------- the gates

def shuffled(order):
    """Two descriptions of a reference of 64 positions, one in another order, and of a target."""
    draw = lambda *shape: torch.randn(*shape, generator=torch.Generator().manual_seed(len(shape) + shape[-1]))
    x, target = draw(1, 6, 8, 8), draw(1, 6, 4, 12)
    describe = lambda maps: Described([maps], [maps.flatten(2) / maps.flatten(2).norm(dim=1, keepdim=True)], maps.flatten(2).norm(dim=1), tuple(maps.shape[2:]))
    return describe(x), describe(x.flatten(2)[..., order].view_as(x)), describe(target)


def test_only_the_similarity_gate_ignores_where_things_are():
    first, second, target = shuffled(torch.randperm(64, generator=torch.Generator().manual_seed(1)))
    gates = []
    for kind in ("positions", "similarities"):
        config = replace(TINY, gate=kind, gate_width=16) if kind == "similarities" else replace(TINY, gate_width=16)
        torch.manual_seed(0)
        module = gray2color.SimilarityGate(config) if kind == "similarities" else gray2color.PositionGate(config)
        if kind == "positions":
            module.hidden = torch.nn.Linear(64, 16)
        values = torch.zeros(1, 1, 64)
        gates.append([module(one, target, gray2color.attend(values, one, target, config)[1]) for one in (first, second)])
    assert not torch.allclose(*gates[0], atol=1e-4) and torch.allclose(*gates[1], atol=1e-6)
    assert gates[1][0].shape == (1, 1, 4, 12) and float(gates[1][0].detach().std()) > 0


def test_reference_sizes():
    network = Gray2ColorNet(TINY)
    with pytest.raises(ValueError, match="position of a reference of 32 x 32, not \\(48, 48\\)"):
        network(torch.zeros(1, 1, 32, 32), reference(picture(1, 48)))
    model = Gray2ColorNet(replace(TINY, gate="similarities"))
    for size in ((40, 64), (90, 30)):
        other = picture(1, 96)[..., :size[0], :size[1]]
        assert gray2color.colorize(model, {"L": torch.full((1, 1, 21, 35), 50.0), "reference": other}).shape == (1, 2, 21, 35)
        assert min(gray2color.reference_of(other, model.config).L_n.shape[2:]) == 32


@pytest.mark.parametrize("palette", ["before", "after"])
@pytest.mark.parametrize("fusion", ["gate", "sum", "alignment", "distribution", "none"])
def test_fusions(fusion, palette):
    network, rgb = fill(Gray2ColorNet(replace(TINY, fusion=fusion, palette=palette))).double(), picture(2, 32)
    L_n = lab.scale_L(lab.rgb_to_lab(rgb)[:, :1]).double()
    one, two = (reference(picture(2, 32, seed=seed), torch.float64) for seed in (5, 6))
    ab_n = lambda R: network(L_n, R).ab_n[0]                      # a quarter of the size
    matched = (ab_n(one) - ab_n(two._replace(histogram=one.histogram))).abs().amax()
    palettes = (ab_n(one) - ab_n(one._replace(histogram=two.histogram))).abs().amax()
    assert (matched > 1e-4) == (fusion in ("gate", "sum", "alignment"))
    assert (palettes > 1e-4) == (fusion in ("gate", "sum", "distribution"))
    assert (network(L_n, one).gate is not None) == (fusion == "gate")


def test_norm_takes_a_constant_away_again():
    """The published place of the palette, but for the borders (here there are none): a constant before convolution and instance norm changes nothing."""
    up, draw = fill(gray2color.Up(8, 4, 4, 1, TINY)).double(), torch.Generator().manual_seed(0)
    up.think[0].padding_mode, up.think[0]._reversed_padding_repeated_twice = "circular", [1, 1, 1, 1]
    x, skip = (torch.randn(1, *shape, dtype=torch.float64, generator=draw) for shape in ((8, 12, 12), (4, 24, 24)))
    constant = torch.randn(1, 8, 1, 1, dtype=torch.float64, generator=draw)
    plain, before, after = (up(x, skip, **given)[1] for given in ({}, {"before": constant}, {"after": constant}))
    assert torch.allclose(plain, before, atol=1e-12) and float((plain - after).detach().abs().max()) > 1e-3


# ---------------------------------------------------------------- use

@pytest.mark.parametrize("size", [(1, 1), (7, 50), (33, 40)])
def test_any_size(size):
    model, L = Gray2ColorNet(TINY), torch.full((1, 1, *size), 40.0)
    batch = {"L": L, "reference": picture(1, 77)}
    assert gray2color.colorize(model, batch).shape == (1, 2, *size)
    half = tuple(-(-side // 2) for side in size)
    assert gray2color.gate(model, batch).shape == (1, 1, *half) and gray2color.match(model, batch).shape == (1, *half)


@pytest.mark.parametrize("kind", ["noise", "gray", "black", "one colour"])
def test_strange_references_do_not_break_it(kind):
    rgb = {"noise": torch.randint(0, 256, (1, 3, 40, 40), dtype=torch.uint8), "gray": picture()[:, :1].expand(-1, 3, -1, -1), "black": torch.zeros(1, 3, 20, 20).byte(),
           "one colour": torch.tensor([200, 30, 90]).byte().view(1, 3, 1, 1).expand(1, 3, 9, 9)}[kind]
    for L in (torch.full((1, 1, 32, 32), 50.0), lab.rgb_to_lab(picture(1, 32, 3))[:, :1]):
        ab = gray2color.colorize(fill(Gray2ColorNet(TINY)), {"L": L, "reference": rgb})
        assert ab.isfinite().all() and ab.abs().max() <= 110


def test_a_picture_matches_itself():
    torch.manual_seed(0)
    rgb = torch.randint(0, 256, (1, 3, 32, 32), dtype=torch.uint8)
    found = gray2color.match(Gray2ColorNet(TINY), {"L": lab.rgb_to_lab(rgb)[:, :1], "reference": rgb})
    assert (found.flatten() == torch.arange(256)).float().mean() > 0.95 and gray2color.match_side(Gray2ColorNet(TINY)) == 16


@pytest.mark.parametrize("change, match", [({"fusion": "both"}, "fusion is 'both': choose one of gate"), ({"reference_size": 60}, "reference_size is 60")])
def test_config_refuses(change, match):
    with pytest.raises(ValueError, match=match):
        replace(TINY, **change)


def test_bad_input():
    model = Gray2ColorNet(TINY)
    with pytest.raises(ValueError, match="needs a reference picture: pass reference="):
        gray2color.colorize(model, {"L": torch.zeros(1, 1, 32, 32)})
    with pytest.raises(ValueError, match="multiples of 8, at least 16, not \\(1, 1, 30, 32\\)"):
        model(torch.zeros(1, 1, 30, 32))


def test_colorize_by_name():
    rgb = picture(1, 50)[0].permute(1, 2, 0).numpy()
    painted = painting.colorize(rgb, "gray2color", model=Gray2ColorNet(TINY).eval(), reference=picture(1, 70, 4)[0].permute(1, 2, 0).numpy())
    assert painted.rgb.shape == rgb.shape
    with pytest.raises(ValueError, match="gray2color needs reference"):
        painting.colorize(rgb, "gray2color", model=Gray2ColorNet(TINY))


# ---------------------------------------------------------------- training

def test_truth_is_made_smaller_by_areas_and_the_seeds_way_is_pink():
    rgb = torch.rand(4, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    area, pink = gray2color.pyramid(rgb), gray2color.pyramid(rgb, "max")
    assert [x.shape[-1] for x in area] == [8, 16, 32] and torch.equal(area[2], pink[2])
    assert float(area[0].mean(0).mean((1, 2)).abs().max()) < 0.1 and (pink[0].mean((0, 2, 3)) > 0.2).all()      # towards +a and +b


def make(config, number=8, labels=True, run=None):
    fabric = train.make_fabric("cpu")
    prepared = gray2color.prepare_data(dataset(number, labels=labels), config)
    return gray2color.make_step(config, fabric, prepared, run=run), prepared, fabric


def test_two_stages(tmp_path):
    step, prepared, fabric = make(TINY, run=tmp_path)
    assert (tmp_path / "stage_one" / "last.ckpt").exists() and not any("histogram" in line for line in (tmp_path / "stage_one" / "log.jsonl").read_text().splitlines())
    before = {name: value.clone() for name, value in step.generator.module.state_dict().items()}
    log = train.fit(step, prepared, steps=3, batch_size=4, fabric=fabric)
    assert {"pixel", "histogram", "class", "tv", "adversarial", "critic"} <= set(log[-1])
    after = step.result().state_dict()
    assert all(not torch.equal(before[name], after[name]) for name in ("encoder.blocks.0.0.weight", "gate.hidden.weight", "palette.trunk.0.weight",
                                                                       "colors.first.0.weight", "up.2.to_ab.weight", "classify.0.weight"))
    weighted = TINY.pixel_weight * log[-1]["pixel"] + log[-1]["histogram"] + log[-1]["class"] + 0.1 * log[-1]["adversarial"] + 10 * log[-1]["tv"]
    assert log[-1]["loss"] == pytest.approx(weighted, rel=1e-5)


def test_stage_two_begins_with_stage_one(tmp_path):
    step, _, fabric = make(TINY, run=tmp_path)
    first = gray2color.Step(TINY, fabric, alone=True, steps=2)
    state = torch.load(tmp_path / "stage_one" / "last.ckpt", weights_only=True)["parts"]["generator"]
    assert set(state) == {name for name in first.generator.state_dict()} and all(torch.equal(step.generator.state_dict()[name], value) for name, value in state.items())


def test_stage_one_is_shared_by_ablations(tmp_path):
    """What stage two changes does not make stage one another one."""
    for change in ({}, {"fusion": "alignment"}, {"histogram_weight": 0.0}, {"gate": "similarities"}):
        make(replace(TINY, **change), run=tmp_path)
    with pytest.raises(ValueError, match="another configuration"):
        make(replace(TINY, class_weight=0.0), run=tmp_path)


@pytest.mark.parametrize("change", [{"gan": "none"}, {"gan": "wgan_gp", "critic": "vgg"}, {"norm": "batch", "activation": "swish", "class_width": 6}, {"tv_weight": 0.0},
                                    {"class_weight": 0.0}, {"fusion": "distribution"}, {"pairing": (0.0, 0.0, 1.0)}, {"truth_by": "max"}])
def test_settings_train(change):
    step, prepared, fabric = make(replace(TINY, stage_one=1, **change))
    log = train.fit(step, prepared, steps=2, batch_size=4, fabric=fabric)
    assert np.isfinite(log[-1]["loss"]) and ("critic" in log[-1]) == (change.get("gan") != "none") and ("tv" in log[-1]) == ("tv_weight" not in change)
    assert ("slope" in log[-1]) == (change.get("gan") == "wgan_gp")


def test_pictures_without_labels_are_their_own_references():
    step, prepared, fabric = make(TINY, labels=False)
    assert "reference" not in prepared[0]
    assert np.isfinite(train.fit(step, prepared, steps=1, batch_size=4, fabric=fabric)[-1]["loss"])


def test_too_many_classes():
    prepared = data.Packed(picture(4).permute(0, 2, 3, 1).numpy(), list("abcd"), np.arange(4))
    prepared.classes = list("123456")
    with pytest.raises(ValueError, match="6 classes and the network 5: set classes=6"):
        gray2color.make_step(TINY, train.make_fabric("cpu"), prepared)


def test_resume_is_bit_equal(tmp_path):
    logs = []
    for name, pauses in (("whole", [4]), ("halves", [2, 4])):
        for steps in pauses:
            config = replace(TINY, stage_one=2, steps=4, log_every=1) if hasattr(TINY, "log_every") else replace(TINY, steps=4)
            step, prepared, fabric = make(config, run=tmp_path / name)
            log = train.fit(step, prepared, steps=steps, batch_size=4, fabric=fabric, run=tmp_path / name, log_every=1)
        logs.append([row["loss"] for row in log])
    assert logs[0] == logs[1] and len(logs[0]) == 4


def test_it_learns_to_take_the_references_colours():
    """A few pictures, each with itself, warped, as the reference: the error falls, and with another reference the colours change towards it."""
    config = replace(TINY, width=6, one_cycle=4e-3, stage_one=0, steps=60, gan="none", pairing=(1.0, 0.0, 0.0), betas=(0.9, 0.999))
    step, prepared, fabric = make(config)
    log = train.fit(step, prepared, steps=60, batch_size=4, fabric=fabric, flip=False)
    assert log[-1]["pixel"] < 0.6 * log[0]["pixel"] and log[-1]["histogram"] < log[0]["histogram"]


def test_critic_learns_only_from_its_own_loss():
    step, _, _ = make(TINY)
    batch = {"rgb": picture(4), "reference": picture(4, seed=1), "label": torch.zeros(4, dtype=torch.long)}
    weights = [p.detach().clone() for p in step.critic.parameters()]
    fake = torch.rand(4, 3, 32, 32, requires_grad=True)
    with train.frozen(step.critic):
        step.critic.module.score(fake).mean().backward()
    assert all(p.grad is None for p in step.critic.parameters()) and fake.grad.abs().max() > 0
    step(batch)
    assert any(not torch.equal(a, b) for a, b in zip(weights, step.critic.parameters()))
