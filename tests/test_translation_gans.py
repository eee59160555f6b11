"""What pix2pix, CycleGAN, UNIT, the asymmetric cycle GAN and the stacked GAN share: counts, sizes, updates, resuming, pairs that are kept apart."""
import copy
from dataclasses import replace

import pytest
import torch

from colorlib import blocks, lab, losses, train, zoo
from colorlib.papers import asym_cyclegan, cyclegan, pix2pix, stacked_gan, unit
from tests.data_samples import fill_parameters, infrared_batch as pairs

TINY = {"pix2pix_infrared": dict(width=4, halvings=5), "unet_infrared": dict(width=4, halvings=5), "cyclegan_infrared": dict(width=4, blocks=1),
        "unit": dict(width=4, critic_width=4), "asym_cyclegan": dict(width=4, blocks=1), "asym_cyclegan_paired": dict(width=4, blocks=1, epoch=1),
        "pix2pix": dict(width=4, halvings=5), "cyclegan": dict(width=4, blocks=1),
        "stacked_gan": dict(widths=(4, 4, 4, 4), critic_width=4), "triplet_gan": dict(widths=(4, 4, 4, 4), critic_width=4)}
count = lambda network: sum(p.numel() for p in network.parameters())


def tiny(name, **changes):
    return zoo.get(name).papers, replace(zoo.get(name).presets["smoke"], **TINY[name] | dict(batch_size=2, steps=4) | changes)


@pytest.fixture(scope="module")
def fabric():
    return train.make_fabric("cpu")


# ---------------------------------------------------------------- layers

def test_parameter_counts():
    """CycleGAN's and pix2pix's are those of the authors' PyTorch code, pix2pix's from one channel in place of three; no other was published."""
    generator = pix2pix.Generator(pix2pix.PAPER)
    assert count(generator) + 2 * 64 * 16 == 54_413_955 and count(pix2pix.Discriminator(pix2pix.PAPER)) + 2 * 64 * 16 == 2_768_705
    assert count(cyclegan.Translator(cyclegan.PAPER)) == 11_378_179 and count(cyclegan.Critics(cyclegan.PAPER).nir) == 2_764_737
    triplet, joint = (count(stacked_gan.Generator(replace(stacked_gan.PAPER, generator=kind))) for kind in stacked_gan.GENERATORS)
    assert joint == pytest.approx(triplet, rel=0.05)                                    # the comparison is at about equal parameters


@pytest.mark.parametrize("make, known", [
    (lambda: pix2pix.Generator(replace(pix2pix.PAPER, width=4, halvings=6, dropout=0.0)), [-0.0368705221, 0.4032056675, -0.185845296]),
    (lambda: cyclegan.Translator(replace(cyclegan.PAPER, width=4, blocks=2)), [0.0693142573, 0.08411204, 0.0059302643]),
    (lambda: blocks.PatchDiscriminator(3, 4, 3, "batch"), [-0.0541460336, 0.0823146995, -0.0204843826]),
    (lambda: blocks.PatchDiscriminator(3, 4, 3, "instance"), [0.0497221759, 0.080445679, 0.0322583802])], ids=["pix2pix", "CycleGAN", "patches", "patches, instance norm"])
def test_outputs_of_the_authors_code(make, known):
    """Mean, SD and one value of what `models/networks.py` of the authors' PyTorch code (as MCFNet's repository carries it) answered, 4 maps wide."""
    x_n = torch.sin(0.05 * torch.arange(2 * 64 * 64, dtype=torch.float64)).view(2, 1, 64, 64)
    network = fill_parameters(make()).train()
    y = network(blocks.to_unit(x_n)) if isinstance(network, pix2pix.Generator) else network(x_n.expand(-1, 3, -1, -1))
    assert [y.mean().item(), y.std().item(), y.flatten()[55].item()] == pytest.approx(known, abs=1e-8)


@pytest.mark.parametrize("halvings, seen", [(2, 34), (3, 70), (4, 142)])
def test_a_patch_score_sees_so_many_pixels(halvings, seen):
    """Measured: which input pixels have a gradient."""
    critic = blocks.PatchDiscriminator(1, 2, halvings, norm="none")
    x = torch.rand(1, 1, 256, 256, requires_grad=True)
    scores = critic(x)
    scores[0, 0, scores.shape[2] // 2, scores.shape[3] // 2].backward()
    assert (x.grad[0, 0] != 0).any(0).sum() == seen


def test_a_pyramid_judges_at_four_sizes():
    scores = asym_cyclegan.PyramidDiscriminator(replace(asym_cyclegan.SMOKE, width=4))(torch.rand(1, 3, 64, 64))
    assert [tuple(one.shape[1:]) for one in scores] == [(1, 32, 32), (1, 16, 16), (1, 8, 8), (1, 4, 4)]


def test_unit_shares_its_middle():
    model = unit.UNIT(replace(unit.SMOKE, width=4))
    assert model.encode["nir"].shared is model.encode["rgb"].shared and model.paint["nir"].shared is model.paint["rgb"].shared
    apart = unit.UNIT(replace(unit.SMOKE, width=4, shared_blocks=0))
    assert count(apart) - count(model) == count(model.encode["nir"].shared) + count(model.paint["nir"].shared) > 0


def test_layer_norm_is_of_one_picture():
    x = 5 + 3 * torch.randn(2, 4, 8, 8)
    y = unit.LayerNorm(4)(x)
    assert torch.allclose(y.mean((1, 2, 3)), torch.zeros(2), atol=1e-5) and torch.allclose(y.std((1, 2, 3)), torch.ones(2), atol=0.01)


# ---------------------------------------------------------------- training

@pytest.mark.parametrize("name", TINY)
def test_an_update_moves_every_network_and_any_size_is_painted(name, fabric):
    paper, config = tiny(name)
    step = paper.Step(config, fabric)
    networks = [part for part in vars(step).values() if isinstance(part, torch.nn.Module)]
    before = [{key: value.detach().clone() for key, value in network.named_parameters()} for network in networks]
    found = step(pairs(side=64))
    assert all(torch.isfinite(value) for value in found.values()) and len(networks) == (1 if name == "unet_infrared" else 2)
    for network, old in zip(networks, before):
        still = [key for key, value in network.named_parameters() if torch.equal(value, old[key]) and key.endswith("weight")]
        assert not still and all(p.requires_grad for p in network.parameters())         # none is forgotten, none stays frozen
    for size in ((64, 64), (21, 35), (9, 70)):
        if zoo.get(name).sees == "grey":
            ab = paper.colorize(step.result(), {"L": 100 * torch.rand(1, 1, *size)})
            assert ab.shape == (1, 2, *size) and ab.abs().max() <= 128
            continue
        rgb = paper.colorize(step.result(), {"nir": torch.rand(1, 1, *size)})
        assert rgb.shape == (1, 3, *size) and rgb.min() >= 0 and rgb.max() <= 1


@pytest.mark.parametrize("name", ["cyclegan_infrared", "asym_cyclegan_paired", "unit", "stacked_gan"])
def test_an_interrupted_run_goes_on_bit_equal(name, fabric, tmp_path):
    paper, config = tiny(name)
    dataset = [{key: value[0] for key, value in pairs(1, 64, seed=i).items()} | {"id": str(i)} for i in range(6)]
    fit = lambda run, steps: train.fit(step := paper.Step(config, fabric), dataset, steps=steps, batch_size=2, fabric=fabric, run=run, tag="t",
                                       log_every=1, progress=False) and step
    whole = fit(tmp_path / "whole", 4).result().state_dict()
    fit(tmp_path / "cut", 2)
    again = fit(tmp_path / "cut", 4).result().state_dict()
    assert all(torch.equal(value, again[key]) for key, value in whole.items())


def test_pictures_without_pairs_are_enough(fabric):
    """An unpaired update must not care which infrared picture lies beside which colour one, a paired one must."""
    def first_loss(name, turned):
        paper, config = tiny(name, batch_size=3)
        batch = pairs(3, 64)
        if turned:
            batch["rgb"] = batch["rgb"].roll(1, 0)
        return paper.Step(config, fabric)(batch)
    for name in ("cyclegan_infrared", "asym_cyclegan"):
        same, other = first_loss(name, False), first_loss(name, True)
        assert same["cycle"].item() == pytest.approx(other["cycle"].item(), rel=1e-4)   # a mean over pictures in any order
    assert first_loss("unet_infrared", False)["l1"].item() != pytest.approx(first_loss("unet_infrared", True)["l1"].item(), rel=1e-4)


def test_epochs_alternate():
    config = replace(asym_cyclegan.PAPER, pairing="alternating", epoch=10, steps=100)
    assert [asym_cyclegan.is_paired(i, config) for i in range(5, 100, 10)] == [True] * 5 + [False, True, False, True, False]
    assert not any(asym_cyclegan.is_paired(i, asym_cyclegan.PAPER) for i in range(100))


def test_from_lightness_pix2pix_paints_ab_alone():
    """L / 50 - 1 in, ab / 110 out, as the authors' colorization model; its discriminator sees three channels."""
    paper, config = tiny("pix2pix")
    rgb = pairs(1, 32)["rgb"]
    x, y = paper.inputs_of({"rgb": rgb}, config)
    true = lab.rgb_to_lab(rgb)
    assert torch.allclose(2 * x - 1, true[:, :1] / 50 - 1, atol=1e-5) and torch.allclose(y, true[:, 1:] / 110)
    assert paper.Discriminator(config).patches[0].in_channels == 3
    assert count(paper.Generator(replace(pix2pix.PAPER, paints="rgb"))) - count(paper.Generator(paper.AB)) == 128 * 16 + 1


def test_cyclegans_grey_is_lightness_and_its_lightness_is_its_own(fabric):
    paper, config = tiny("cyclegan")
    x, rgb = paper.inputs_of(pairs(2, 32), config)
    assert torch.allclose(100 * x, lab.rgb_to_lab(rgb)[:, :1], atol=1e-4)
    model, L = paper.Step(config, fabric).result(), 100 * torch.rand(1, 1, 32, 32)
    painted = lab.rgb_to_lab(paper.paint(model, L / 100))
    assert torch.equal(painted[:, 1:], paper.colorize(model, {"L": L})) and (painted[:, :1] - L).abs().mean() > 1


def test_the_pool_gives_back_what_it_was_given():
    torch.manual_seed(0)
    pool, seen = blocks.Pool(4), []
    for i in range(30):
        shown = pool(torch.full((2, 1, 1, 1), float(i)))
        assert shown.shape == (2, 1, 1, 1) and shown.max() <= i
        seen += shown.flatten().tolist()
    old = sum(value < i // 2 for i, value in enumerate(seen))
    assert 10 < old < 40                                                                # about half come out of the pool
    other = blocks.Pool(4)
    other.load_state_dict(pool.state_dict())
    assert all(torch.equal(a, b) for a, b in zip(pool.kept, other.kept))


def test_dropout_is_pix2pixs_noise(fabric):
    paper, config = tiny("pix2pix_infrared")
    model, batch = paper.Step(config, fabric).result(), {"nir": torch.rand(2, 1, 64, 64)}
    kept = copy.deepcopy(model.state_dict())
    assert torch.equal(paper.colorize(model, batch), paper.colorize(model, batch))
    assert not torch.equal(paper.colorize(model, batch, as_published=True), paper.colorize(model, batch, as_published=True))
    assert not model.training and all(torch.equal(value, kept[key]) for key, value in model.state_dict().items() if "num_batches" not in key)


# ---------------------------------------------------------------- the stacked GAN's noise and loss

def test_noise_makes_another_picture_only_when_asked(fabric):
    paper, config = tiny("stacked_gan", noise=0.3)
    model, batch = paper.Step(config, fabric).result(), {"nir": torch.rand(1, 1, 32, 32)}
    assert torch.equal(paper.colorize(model, batch), paper.colorize(model, batch))
    assert not torch.equal(paper.colorize(model, batch, noise=True), paper.colorize(model, batch, noise=True))


def test_a_channel_has_a_generator_of_its_own():
    paper, config = tiny("triplet_gan", noise=0.0)
    model = paper.build(config).eval()
    rgb = model(torch.rand(1, 1, 16, 16).requires_grad_())
    rgb[:, 0].sum().backward()
    moved = [sum(p.grad.abs().sum() for p in branch.parameters()) > 0 for branch in model.branches]
    assert moved == [True, False, False]


def test_the_range_decides_which_term_pulls(fabric):
    """On [0, 1] the adversarial term pulls hardest, on [0, 255] intensity, 65,025 times as hard as before."""
    def norms(span):
        paper, config = tiny("stacked_gan", intensity_range=span, stack_weight=0.0)
        return stacked_gan.gradient_norms(paper.Step(config, fabric), pairs(side=64))
    small, large = norms(1.0), norms(255.0)
    assert large["intensity"] == pytest.approx(255 ** 2 * small["intensity"], rel=1e-3)
    assert large["intensity"] > 100 * large["adversarial"] and large["adversarial"] == pytest.approx(small["adversarial"], rel=1e-3)


def test_bce_is_torchs():
    real, fake = torch.randn(3, 1), torch.randn(3, 1)
    bce = torch.nn.functional.binary_cross_entropy_with_logits
    assert losses.critic_loss(real, fake, "bce").item() == pytest.approx(0.5 * (bce(real, torch.ones(3, 1)) + bce(fake, torch.zeros(3, 1))).item())
    assert losses.generator_loss(fake, "bce").item() == pytest.approx(bce(fake, torch.ones(3, 1)).item())


@pytest.mark.parametrize("make, words", [
    (lambda: replace(pix2pix.SMOKE, gan="hinge"), "gan is 'hinge': choose bce, lsgan or none"),
    (lambda: replace(pix2pix.SMOKE, paints="lab"), "paints is 'lab': choose rgb or ab"),
    (lambda: replace(asym_cyclegan.SMOKE, pairing="both"), "pairing is 'both'"),
    (lambda: replace(stacked_gan.SMOKE, image_size=96), "patches of 64 pixels"),
    (lambda: replace(stacked_gan.SMOKE, generator="twins"), "generator is 'twins': choose one of triplet, joint"),
    (lambda: replace(unit.SMOKE, shared_blocks=9), "shared_blocks is 9"),
    (lambda: blocks.make_norm("layer", 3), "norm is 'layer'")])
def test_wrong_words_are_named(make, words):
    with pytest.raises(ValueError, match=words):
        make()


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("name", TINY)
def test_on_a_gpu(name):
    fabric = train.make_fabric("cuda", devices=1)
    fabric.launch()
    paper, config = tiny(name)
    step = paper.Step(config, fabric)
    found = step(fabric.to_device(pairs(side=64)))
    assert all(torch.isfinite(value) for value in found.values())
    key, x = ("L", 100 * torch.rand(1, 1, 64, 64)) if zoo.get(name).sees == "grey" else ("nir", torch.rand(1, 1, 64, 64))
    model, scale = step.result(), 110 if key == "L" else 1
    on_gpu = paper.colorize(model, {key: x.cuda()}).cpu()
    assert (on_gpu - paper.colorize(model.cpu(), {key: x})).abs().max() < 1e-2 * scale


@pytest.mark.parametrize("paper, tiny", [(cyclegan, replace(cyclegan.SMOKE, width=4, blocks=1, image_size=32)),
                                         (asym_cyclegan, replace(asym_cyclegan.SMOKE, width=4, halvings=2, blocks=1, pyramid=4, image_size=32))])
def test_the_way_back_is_kept_only_when_asked(paper, tiny, fabric):
    both, there = (paper.Step(replace(tiny, way_back=kept), fabric).result() for kept in (True, False))
    nir, rgb = torch.rand(1, 1, 32, 32), torch.rand(1, 3, 32, 32)
    assert torch.equal(paper.colorize(both, {"nir": nir}), paper.colorize(there, {"nir": nir}))            # the same seed
    assert paper.to_infrared(both, rgb).shape == nir.shape and set(there.state_dict()) < set(both.state_dict())
    with pytest.raises(ValueError, match="kept without its way back: train it with way_back=True"):
        paper.to_infrared(there, rgb)
