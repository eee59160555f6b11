"""SCGAN against its released code: parameter counts, outputs, losses, both phases, and what is faster or repaired but must stay equal."""
import copy
import os
import subprocess
import sys
from dataclasses import replace

import cv2
import numpy as np
import pytest
import safetensors.torch
import torch
import torch.nn.functional as F
import torchvision
from torch.nn.utils import parametrize

import colorlib
from colorlib import classifiers, data, losses, train, zoo
from colorlib.papers import gray_vgg, scgan

TINY = replace(scgan.PAPER, width=4, attention_width=4, feature_width=4, halvings=6, perceptual_weight=0.0, batch_size=2, image_size=64, epoch=1,
               phase_one=2, steps=4)
AT_ONCE = replace(TINY, phase_one=0)                                     # begins with phase 2
RELEASED = replace(scgan.PAPER, width=8, attention_width=8, faithful=True)      # feature_width 64: the released global features have one width only


def count(module):
    return sum(p.numel() for p in module.parameters())


def photos(number=2, side=64, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return {key: torch.randint(0, 256, (number, channels, side, side), dtype=torch.uint8, generator=generator) for key, channels in
            (("rgb", 3), ("saliency", 1))}


def dataset(number=8, side=32, labels=None):
    batch = photos(number, side)
    return data.Packed(batch["rgb"].permute(0, 2, 3, 1).numpy(), [str(i) for i in range(number)], labels, {"saliency": batch["saliency"].numpy()})


def fabric(**options):
    return train.make_fabric("cpu", **options)


def waves(side=256):
    """Grey, colour and saliency by a formula, in float64."""
    y, x = np.mgrid[:side, :side]
    rgb = np.stack([0.9 * np.sin(0.05 * x - 0.04 * y), 0.7 * np.cos(0.03 * x + 0.09 * y), 0.5 * np.sin(0.02 * y + 1) * np.cos(0.13 * x)])
    gray, saliency = 0.8 * np.sin(0.11 * x + 0.07 * y) * np.cos(0.05 * x - 0.02 * y), 0.5 + 0.5 * np.cos(0.03 * x) * np.sin(0.04 * y)
    return torch.from_numpy(gray)[None, None], torch.from_numpy(rgb)[None], torch.from_numpy(saliency)[None, None]


def two(x, rgb, saliency):
    """A second picture beside the first."""
    return torch.cat([x, -x.flip(3)]), torch.cat([rgb, rgb.flip(1)]), torch.cat([saliency, 1 - saliency])


def formula(i, shape):
    """u(i, j) = (7919 j + 104729 i) mod 10007 / 10007 - 1/2 for the j-th number of tensor i."""
    return torch.from_numpy(((np.arange(np.prod(shape)) * 7919 + i * 104729) % 10007 / 10007 - 0.5).reshape(shape))


@torch.no_grad()
def fill(layers, first=0):
    """Every weight of spectrally normalised layers from its place in the network."""
    for i, layer in enumerate(layers, first):
        norm = layer.conv.parametrizations.weight
        norm.original.copy_(0.1 * formula(i, norm.original.shape))
        norm[0].u.copy_(F.normalize(formula(i + 1000, norm[0].u.shape), dim=0))
        if isinstance(layer.norm, torch.nn.BatchNorm2d):
            layer.norm.weight.copy_(1 + formula(i + 2000, layer.norm.weight.shape))
            layer.norm.bias.copy_(0.4 * formula(i + 3000, layer.norm.bias.shape))


def layers_of(generator):
    return [*generator.features, *generator.down, *generator.up, generator.to_rgb, *generator.saliency.children()]


def same(state, other):
    return state.keys() == other.keys() and all(torch.equal(value, other[name]) for name, value in state.items())


def numbers(values):
    return [float(value.detach()) for value in values]


# ---------------------------------------------------------------- the networks of the released code

def test_parameter_counts():
    with torch.device("meta"):
        parts = scgan.networks(scgan.PAPER)
        whole, plain = scgan.Generator(scgan.PAPER), scgan.build(scgan.PAPER)
        infrared = scgan.Discriminator(replace(scgan.PAPER, sees="infrared", in_channels=3))
    assert {name: count(part) for name, part in parts.items()} \
        == {"global features": 17_077_952, "U-Net": 40_052_800, "saliency branch": 1_624_448, "discriminator": 5_766_144}
    assert count(whole) == count(plain) == 58_755_200 and count(whole) - count(whole.saliency) == 57_130_752
    assert len(layers_of(whole)) == 38 and len(parts["discriminator"].layers) == 6
    vectors = {name: sum(value.numel() for key, value in part.named_buffers() if key.endswith((".u", ".v"))) for name, part in parts.items()}
    assert vectors == {"global features": 42_761, "U-Net": 97_012, "saliency branch": 14_465, "discriminator": 22_085}
    assert count(infrared) - count(parts["discriminator"]) == 2 * 64 * 49              # six channels in
    assert zoo.count_parameters("scgan") == {name: count(part) for name, part in parts.items()}


@pytest.mark.parametrize("name", scgan.VARIANTS)
def test_class_weights_are_small(name):
    with torch.device("meta"):
        state = scgan.build(zoo.get(name).presets["class"]).state_dict()
    assert 2 * sum(value.numel() for value in state.values()) < 8_000_000


def test_patches_of_the_discriminator():
    net = scgan.Discriminator(TINY).eval()
    rgb = torch.rand(1, 3, 256, 256, requires_grad=True)
    scores = net(torch.rand(1, 1, 256, 256), rgb)
    assert scores.shape == (1, 1, 30, 30)
    scores[0, 0, 15, 15].backward()
    seen = rgb.grad[0].abs().sum(0) > 0
    assert seen.any(0).sum() == seen.any(1).sum() == 69 and seen.sum() == 69 ** 2
    assert net(torch.rand(1, 1, 17, 17), torch.rand(1, 3, 17, 17)).shape == (1, 1, 1, 1)


def test_outputs_of_the_released_code():
    """The authors' SCGAN and PatchDiscriminator70, 8 maps wide, with these weights, in float64 and training mode, gave these numbers."""
    generator, critic = scgan.Generator(RELEASED).double().train(), scgan.Discriminator(RELEASED).double().train()
    fill(layers_of(generator))
    fill(critic.layers, 38)
    x, true, _ = waves()
    with torch.no_grad():
        rgb, saliency = generator(x)
        scores = critic(x, true)
    found = [rgb.mean(), rgb.std(correction=0), rgb[0, 0, 0, 0], rgb[0, 1, 100, 201], rgb[0, 2, 255, 17]]
    assert numbers(found) == pytest.approx([-0.02762962, 0.46168488, 0.26903903, -0.27874606, 0.36257104], abs=1e-7)
    found = [saliency.mean(), saliency.std(correction=0), saliency[0, 0, 0, 255], saliency[0, 0, 77, 130]]
    assert numbers(found) == pytest.approx([0.48387535, 0.20850765, 0.58693228, 0.55070762], abs=1e-7)
    found = [scores.mean(), scores.std(correction=0), scores[0, 0, 0, 0], scores[0, 0, 29, 7], scores[0, 0, 13, 22]]
    assert numbers(found) == pytest.approx([0.00519013, 3.5504588, 3.35703189, 3.3869989, 2.37589939], abs=1e-7)


def test_losses_of_the_released_discriminator():
    """The lines of `trainer_WGANGP` and `trainer_LSGAN`, in float64, two pictures, with the authors' discriminator, 4 maps wide."""
    critic = scgan.Discriminator(replace(RELEASED, width=4)).double().train()
    fill(critic.layers, 38)
    x, true, _ = two(*waves())
    fake = 0.9 * x.expand(-1, 3, -1, -1)
    fake_scores, true_scores = critic(x, fake), critic(x, true)
    penalty, slope = losses.gradient_penalty(lambda z: critic(x, z), true, fake, "sum", torch.tensor([0.25, 0.7], dtype=torch.float64).view(2, 1, 1, 1))
    found = [losses.critic_loss(true_scores, fake_scores, "wgan_gp"), losses.critic_loss(true_scores, fake_scores, "lsgan"),
             losses.generator_loss(fake_scores, "wgan_gp"), losses.generator_loss(fake_scores, "lsgan"), penalty, slope]
    assert numbers(found) == pytest.approx([0.00511685499, 1.48171508476, 0.00320939951, 1.77073050896, 571390.2146, 756.3483945903], rel=1e-6)


def released_features():
    """Perceptual features with the layers of VGG-16 and weights by `formula`."""
    with torch.device("meta"):
        network = torchvision.models.vgg16()
    network.features.to_empty(device="cpu").double()
    with torch.no_grad():
        for i, value in enumerate(network.features[:15].parameters(), 5000):
            value.copy_(formula(i, value.shape) * ((36 / np.prod(value.shape[1:])) ** 0.5 if value.ndim > 1 else 0.2))
    prepare = torchvision.models.VGG16_Weights.DEFAULT.transforms()
    return classifiers.Features(classifiers.Classifier("vgg16", network, prepare)).double()


def test_losses_of_the_released_generator(monkeypatch):
    """L1, attention and perceptual loss of `trainer_WGANGP` on two pictures, in float64; weights 1, 0.5, 5 and 0.05."""
    monkeypatch.setattr(scgan, "Features", lambda name: released_features())
    step = scgan.Step(replace(AT_ONCE, perceptual_weight=5.0), fabric())
    monkeypatch.setattr(step.critics.module, "score", lambda name, x_n, rgb_n, saliency: rgb_n.mean((1, 2, 3)) + 2)
    x, true, true_saliency = two(*waves(64))
    fake = 0.9 * x.expand(-1, 3, -1, -1)
    found = step.terms(x, fake, true_saliency.flip(2), true, true_saliency, second=True)
    expected = {"l1": (1, 0.45921941191), "attention": (0.5, 0.23122894678), "perceptual": (5, 0.00555203721),
                "adversarial colour": (0.05, -2 - fake.mean().item())}
    assert {name: weight for name, (weight, _) in found.items()} == {name: weight for name, (weight, _) in expected.items()}
    assert {name: value.item() for name, (_, value) in found.items()} == pytest.approx({name: value for name, (_, value) in expected.items()}, abs=1e-9)
    assert step.terms(x, fake, true_saliency.flip(2), true, true_saliency, second=False).keys() == {"l1", "attention"}


def test_profiles():
    c = scgan.PAPER
    assert (c.value_range, c.phase_one, c.steps, c.batch_size) == ((-1, 1), 10 * 16_015, 40 * 16_015, 8)
    assert (c.l1_weight, c.attention_weight, c.perceptual_weight, c.adversarial_weight, c.penalty_weight, c.penalty_of) == (1, 0.5, 5, 0.05, 10, "sum")
    assert (c.spectral_norm, c.gan, c.gray, c.saliency_critic, c.saliency_weight, c.faithful, c.residual) == ("all", "wgan_gp", "luma", 0, 0, False, False)
    r = zoo.get("scgan_released").presets["paper"]
    assert (r.value_range, r.phase_one, r.steps, r.batch_size) == ((0, 1), 40 * 40_037, 71 * 40_037, 32)


def rates_of_the_released_code(rate, epochs, updates):
    """`adjust_learning_rate` is called after each update, with the epoch counted from 1."""
    now = rate
    for epoch in range(epochs):
        for _ in range(updates):
            yield now
            now = rate * 0.5 ** ((epoch + 1) // 10)


def test_learning_rates():
    config = replace(scgan.PAPER, faithful=True, epoch=5, phase_one=12 * 5, steps=(12 + 40) * 5)
    expected = [*rates_of_the_released_code(2e-4, 12, 5), *rates_of_the_released_code(1e-4, 40, 5)]
    assert [scgan.learning_rate(update, config) for update in range(config.steps)] == pytest.approx(expected)
    of_epoch = lambda config, epoch: {scgan.learning_rate(config.phase_one + config.epoch * (epoch - 1) + i, config) for i in range(1, config.epoch)}
    assert [of_epoch(config, epoch) for epoch in (1, 9, 10, 19, 20, 29, 30, 39)] \
        == [{1e-4}, {1e-4}, {5e-5}, {5e-5}, {2.5e-5}, {2.5e-5}, {1.25e-5}, {1.25e-5}]
    repaired = replace(config, faithful=False)
    assert [of_epoch(repaired, epoch) for epoch in (1, 10, 11, 20, 21, 30, 31)] == [{1e-4}] * 2 + [{5e-5}] * 2 + [{2.5e-5}] * 2 + [{1.25e-5}]
    cycle = replace(config, one_cycle=True)
    rates = [scgan.learning_rate(update, cycle) for update in range(cycle.steps)]
    assert rates[0] == rates[60] == 0 and max(rates[:60]) == pytest.approx(2e-4) and max(rates[60:]) == pytest.approx(1e-4)
    assert rates.index(max(rates[:60])) == 9 and rates.index(max(rates[60:])) == 60 + 30 and max(rates[59], rates[-1]) < 1e-6


# ---------------------------------------------------------------- equal to the plain form

@pytest.mark.parametrize("size", [(1, 1), (1, 6), (5, 1), (2, 2), (7, 4)])
def test_folding_changes_nothing(size, monkeypatch):
    monkeypatch.setattr(scgan, "FOLD_FROM", 0, raising=False)             # small maps are not worth the fold, which makes no difference here
    torch.manual_seed(0)
    layer = scgan.UpConv(5, 3, replace(TINY, spectral_norm="none")).double()
    x = torch.randn(2, 5, *size, dtype=torch.float64, requires_grad=True)
    found = []
    for layer.fold in (False, True):
        out = layer(x)
        slopes = torch.autograd.grad((out * formula(0, out.shape)).sum(), [x, *layer.parameters()])
        found.append([out, *slopes])
    assert found[0][0].shape == (2, 3, 2 * size[0], 2 * size[1])
    assert all(torch.allclose(plain, folded, rtol=0, atol=1e-10) for plain, folded in zip(*found))
    assert scgan.UpConv(5, 3, TINY).fold and not scgan.UpConv(5, 3, replace(TINY, faithful=True)).fold


def test_spectral_norm_is_its_formula():
    """W / (u' W v), v and u by one power iteration, as in the released SpectralNorm; gradients through sigma, not through u and v."""
    torch.manual_seed(0)
    conv = torch.nn.Conv2d(6, 5, 3, bias=False).double()
    raw = conv.weight.detach().clone().requires_grad_()
    parametrize.register_parametrization(conv, "weight", gray_vgg.SpectralNorm(conv.weight))
    norm, matrix = conv.parametrizations.weight[0], raw.reshape(5, 54)
    u, target = norm.u.clone(), torch.randn(5, 6, 3, 3, dtype=torch.float64)
    for _ in range(3):
        v = matrix.detach().T @ u / (matrix.detach().T @ u).norm()
        u = matrix.detach() @ v / (matrix.detach() @ v).norm()
        plain = raw / (u @ matrix @ v)
        weight = conv.weight
        assert torch.allclose(weight, plain, rtol=0, atol=1e-12)
        assert torch.allclose(torch.autograd.grad((weight * target).sum(), conv.parametrizations.weight.original)[0],
                              torch.autograd.grad((plain * target).sum(), raw)[0], rtol=0, atol=1e-12)
    for _ in range(300):
        weight = conv.weight
    assert torch.linalg.matrix_norm(weight.detach().reshape(5, 54), 2).item() == pytest.approx(1, abs=1e-9)
    conv.eval()
    with torch.no_grad():
        conv.parametrizations.weight.original.copy_(target)
    u = norm.u.clone()
    assert torch.equal(conv.weight, conv.weight) and torch.equal(norm.u, u)                # in evaluation nothing moves,
    norm.always = True
    assert not torch.equal(conv.weight, conv.weight) and not torch.equal(norm.u, u)        # but for the released code's


@torch.no_grad()
def converge(network):
    """Give every spectral norm the singular vectors that its power iteration is looking for."""
    for module in network.modules():
        if parametrize.is_parametrized(module):
            u, _, v = torch.linalg.svd(module.parametrizations.weight.original.flatten(1), full_matrices=False)
            module.parametrizations.weight[0].u.copy_(u[:, 0])
            module.parametrizations.weight[0].v.copy_(v[0])


@pytest.mark.parametrize("gan", losses.GAN_KINDS)
def test_one_pass_and_a_frozen_discriminator_change_no_gradient(gan, monkeypatch):
    """The update in its plain form: doubled maps, two passes of the generator, gradients for the discriminator and then thrown away."""
    x, true, true_saliency = two(*waves(64))
    monkeypatch.setattr(scgan, "inputs_of", lambda batch, config: (x, true, true_saliency))
    step = scgan.Step(replace(AT_ONCE, gan=gan), fabric())
    G, D = (copy.deepcopy(net.module).double().train() for net in (step.generator, step.critics))
    D = D.networks["colour"]
    for net in (step.generator, step.critics, G, D):
        net.double()
        converge(net)
    for layer in G.modules():
        if isinstance(layer, scgan.UpConv):
            layer.fold = False
    teach_D = torch.optim.Adam(D.parameters(), 1e-4, betas=(0.5, 0.999))
    torch.manual_seed(1)
    fake = G(x)[0]
    score_fake, score_true = D(x, fake.detach()), D(x, true)
    if gan == "lsgan":
        loss_D = 0.5 * (score_fake.square().mean() + (score_true - 1).square().mean())
    elif gan == "bce":
        loss_D = 0.5 * (F.softplus(score_fake).mean() + F.softplus(-score_true).mean())
    else:
        loss_D = score_fake.mean() - score_true.mean()
    if gan == "wgan_gp":
        share = torch.rand(2, 1, 1, 1, dtype=torch.float64)
        between = (share * true + (1 - share) * fake.detach()).requires_grad_()
        slope = torch.autograd.grad(D(x, between).sum(), between, create_graph=True)[0].flatten(1).norm(dim=1)
        loss_D = loss_D + 10 * ((slope - 1) ** 2).mean()
    loss_D.backward()
    teach_D.step()
    taught = {name: p.detach().clone() for name, p in D.named_parameters()}
    gradients_D = {name: p.grad.clone() for name, p in D.named_parameters()}
    fake, saliency = G(x)
    score = D(x, fake)
    adversarial = {"lsgan": (score - 1).square().mean(), "bce": F.softplus(-score).mean()}.get(gan, -score.mean())
    loss_G = (fake - true).abs().mean() + 0.5 * (fake * saliency - true * true_saliency).abs().mean() + 0.05 * adversarial
    loss_G.backward()

    torch.manual_seed(1)
    found = step(photos())
    assert found["loss"].item() == pytest.approx(loss_G.item(), rel=1e-9)
    ours_D = step.critics.module.networks["colour"]
    for name, p in ours_D.named_parameters():
        assert p.requires_grad and torch.allclose(p.grad, gradients_D[name], rtol=1e-5, atol=1e-8 * gradients_D[name].abs().max().item())
        assert torch.allclose(p, taught[name], rtol=0, atol=1e-8)
    plain = dict(G.named_parameters())
    for name, p in step.generator.module.named_parameters():
        assert torch.allclose(p.grad, plain[name].grad, rtol=1e-5, atol=1e-9), name


@pytest.mark.parametrize("faithful", [False, True])
def test_how_often_a_network_runs_in_an_update(faithful, monkeypatch):
    config = replace(AT_ONCE, faithful=faithful, halvings=8)
    step, batch = scgan.Step(config, fabric()), photos(1, 256)
    calls = {"generator": 0, "iterations": 0}
    forward, iterate = scgan.Generator.forward, gray_vgg.SpectralNorm.forward
    monkeypatch.setattr(scgan.Generator, "forward", lambda *args: (calls.update(generator=calls["generator"] + 1), forward(*args))[1])
    monkeypatch.setattr(gray_vgg.SpectralNorm, "forward", lambda *args: (calls.update(iterations=calls["iterations"] + 1), iterate(*args))[1])
    step(batch)
    assert calls == ({"generator": 2, "iterations": 2 * 38 + 4 * 6} if faithful else {"generator": 1, "iterations": 38 + 2 * 6})


@torch.no_grad()
def test_baking_changes_nothing():
    for spectral_norm in ("all", "unnormalised", "discriminator", "none"):
        config = replace(TINY, spectral_norm=spectral_norm)
        generator = scgan.Generator(config).train()
        x = torch.rand(2, 1, 64, 64)
        for _ in range(2):
            generator(x)
        generator.eval()
        expected, weights = generator(x), count(generator)
        baked = scgan.bake(copy.deepcopy(generator))
        again = scgan.build(config)
        again.load_state_dict(baked.state_dict())
        assert count(baked) == weights and not any("parametrizations" in key for key in baked.state_dict())
        for net in (baked, again.eval()):
            assert all(torch.allclose(a, b, atol=1e-6) for a, b in zip(net(x), expected))


# ---------------------------------------------------------------- inputs, initialisation, sizes

def test_what_the_networks_are_given():
    batch = photos(2, 64)
    x, rgb, saliency = scgan.inputs_of(batch, scgan.PAPER)
    assert x.shape == (2, 1, 64, 64) and torch.equal(saliency, batch["saliency"] / 255)
    opencv = [cv2.cvtColor(one.permute(1, 2, 0).numpy(), cv2.COLOR_RGB2GRAY) for one in batch["rgb"]]
    assert np.abs((x[:, 0].numpy() + 1) * 127.5 - np.stack(opencv)).max() < 1.01 and (np.abs((x[:, 0].numpy() + 1) * 127.5 - opencv) < 0.01).mean() > 0.999
    assert torch.allclose(rgb, batch["rgb"] / 127.5 - 1, atol=1e-6)
    x, rgb, _ = scgan.inputs_of(batch, zoo.get("scgan_released").presets["paper"])
    assert torch.allclose(rgb, batch["rgb"] / 255) and 0 <= x.min() and x.max() <= 1
    gray = {"rgb": torch.arange(256, dtype=torch.uint8).view(1, 1, 16, 16).expand(1, 3, 16, 16), "saliency": torch.zeros(1, 1, 16, 16)}
    for how in ("luma", "lightness"):                                                      # of grey pictures both are the picture
        assert torch.allclose(scgan.inputs_of(gray, replace(scgan.PAPER, gray=how))[0], gray["rgb"][:, :1] / 127.5 - 1, atol=2e-3)
    infrared = batch | {"nir": photos(seed=1)["saliency"]}
    for channels in (1, 3):
        x = scgan.inputs_of(infrared, replace(scgan.PAPER, sees="infrared", in_channels=channels))[0]
        assert x.shape == (2, channels, 64, 64) and torch.allclose(x, infrared["nir"] / 127.5 - 1, atol=1e-6)
    with pytest.raises(ValueError, match="gray is 'mean': choose one of luma, lightness"):
        scgan.inputs_of(batch, replace(scgan.PAPER, gray="mean"))


def test_the_documented_initialisation_is_not_applied_in_the_released_code():
    torch.manual_seed(0)
    faithful, repaired = (scgan.Generator(replace(scgan.PAPER, width=16, feature_width=4, attention_width=4, faithful=value)) for value in (True, False))
    for i in range(2, 8):
        weight = gray_vgg.raw_weight(faithful.down[i].conv)
        assert weight.std().item() == pytest.approx((3 * weight[0].numel()) ** -0.5, rel=0.03)                       # torch's own: uniform, fan in
        weight = gray_vgg.raw_weight(repaired.down[i].conv)
        assert weight.std().item() == pytest.approx(0.02 * (2 / (9 * sum(weight.shape[:2]))) ** 0.5, rel=0.03)       # xavier, gain 0.02
    for net in (faithful, repaired):
        gammas = torch.cat([m.weight for m in net.modules() if isinstance(m, torch.nn.BatchNorm2d)])
        assert gammas.mean().item() == pytest.approx(1, abs=0.004) and gammas.std().item() == pytest.approx(0.02, rel=0.1)


@pytest.mark.parametrize("size", [(1, 1), (1, 7), (2, 3), (17, 33), (70, 31), (64, 128)])
@pytest.mark.parametrize("halvings", [6, 8])
def test_any_size(size, halvings):
    torch.manual_seed(0)
    net = scgan.build(replace(TINY, halvings=halvings))
    ab = scgan.colorize(net, {"L": torch.full((2, 1, *size), 50.0)})
    assert ab.shape == (2, 2, *size) and ab.isfinite().all()
    rgb, saliency = scgan.paint(net, torch.rand(1, 1, *size))
    assert rgb.shape == (1, 3, *size) and saliency.shape == (1, 1, *size) and 0 <= rgb.min() and rgb.max() <= 1 and 0 < saliency.min() and saliency.max() < 1


def test_sizes_of_the_released_network():
    net = scgan.Generator(replace(TINY, halvings=8, faithful=True))
    for size in ((320, 320), (256, 128)):
        with pytest.raises(ValueError, match=r"multiples of 256, not \(\d+, \d+\): resize the picture or set faithful=False"):
            net(torch.zeros(1, 1, *size))
    assert [tuple(part.shape) for part in net(torch.zeros(1, 1, 256, 512))] == [(1, 3, 256, 512), (1, 1, 256, 512)]


def test_bad_settings():
    with pytest.raises(ValueError, match="halvings is 5.*at least 6"):
        scgan.Generator(replace(TINY, halvings=5))
    with pytest.raises(ValueError, match="bn_mode is 'train': choose running or batch"):
        scgan.paint(scgan.build(TINY), torch.zeros(1, 1, 64, 64), "train")
    assert scgan.paint(scgan.build(TINY), torch.rand(1, 1, 5, 33), "batch")[0].isfinite().all()
    with pytest.raises(ValueError, match=r"\(32, 20\) pixels has no statistics of its own.*beyond 32 or choose bn_mode='running'"):
        scgan.paint(scgan.build(TINY), torch.zeros(1, 1, 32, 20), "batch")
    with pytest.raises(ValueError, match="gan is 'hinge': choose one of"):
        replace(AT_ONCE, gan="hinge")


# ---------------------------------------------------------------- the two phases

def test_where_the_picture_is_black_its_saliency_learns_nothing():
    step, (x, true, true_saliency) = scgan.Step(TINY, fabric()), two(*waves(64))
    rgb, saliency = 0.5 * true, true_saliency.flip(2).requires_grad_()
    rgb[..., :20, :] = 0
    slope = torch.autograd.grad(step.terms(x, rgb, saliency, true, true_saliency, second=False)["attention"][1], saliency)[0]
    assert slope[..., :20, :].abs().max() == 0 and (slope[..., 20:, :] != 0).double().mean() > 0.99
    step.config = replace(TINY, saliency_weight=0.1)
    slope = torch.autograd.grad(step.terms(x, rgb, saliency, true, true_saliency, second=False)["saliency"][1], saliency)[0]
    assert (slope[..., :20, :] != 0).double().mean() > 0.9


def test_the_second_phase_begins_anew():
    step = scgan.Step(replace(TINY, phase_one=2, steps=5, epoch=100), fabric())
    before = copy.deepcopy(step.critics.module.state_dict())
    ages, critic_ages, rates, names = [], [], [], []
    for i in range(5):
        rates.append((step.optimizer.param_groups[0]["lr"], step.critic_optimizer.param_groups[0]["lr"]))
        names.append(step(photos()).keys())
        ages.append({int(state["step"]) for state in step.optimizer.state.values()})
        critic_ages.append({int(state["step"]) for state in step.critic_optimizer.state.values()})
        if i == 1:
            assert same(step.critics.module.state_dict(), before)
    assert ages == [{1}, {2}, {1}, {2}, {3}] and critic_ages == [set(), set(), {1}, {2}, {3}]
    assert [rate for rate, _ in rates] == pytest.approx([2e-4] * 2 + [1e-4] * 3) and [rate for _, rate in rates[2:]] == pytest.approx([1e-4] * 3)
    assert names[1] == {"loss", "l1", "attention"}
    assert names[2] == names[1] | {"adversarial colour", "true colour", "fake colour", "penalty colour", "slope colour"}
    group = step.optimizer.param_groups[0]
    assert group["betas"] == (0.5, 0.999) and group["weight_decay"] == 0
    changed = [name for name, value in step.critics.module.named_parameters() if not torch.equal(value, before[name])]
    assert len(changed) == len(list(step.critics.parameters()))


def test_the_global_features_can_learn_more_slowly():
    step = scgan.Step(replace(TINY, feature_rate=0.25), fabric())
    rates = {id(p): group["lr"] for group in step.optimizer.param_groups for p in group["params"]}
    features = {id(p) for p in step.generator.module.features.parameters()}
    assert {rate for key, rate in rates.items() if key in features} == {0.5e-4} and {rate for key, rate in rates.items() if key not in features} == {2e-4}
    assert rates.keys() == {id(p) for p in step.generator.parameters()}
    without = scgan.Step(replace(TINY, global_features=False), fabric())
    assert without.generator.module.features is None and without(photos())["loss"].isfinite()


@pytest.mark.parametrize("spectral_norm", ["all", "unnormalised", "discriminator", "none"])
@pytest.mark.parametrize("saliency_critic", [0.0, 0.05])
@pytest.mark.parametrize("gan", [*losses.GAN_KINDS, "none"])
def test_every_kind_trains(gan, saliency_critic, spectral_norm):
    config = replace(AT_ONCE, width=2, attention_width=2, feature_width=2, gan=gan, saliency_critic=saliency_critic, spectral_norm=spectral_norm)
    step, batch = scgan.Step(config, fabric()), photos(2, 64)
    parametrized = [parametrize.is_parametrized(layer.conv) for layer in layers_of(step.generator.module)]
    assert sum(parametrized) == {"all": 34, "unnormalised": 5}.get(spectral_norm, 0)       # conv1_1, down1, down9, to_rgb and the last of the branch
    assert parametrize.is_parametrized(step.critics.module.networks["colour"].layers[1].conv) == (spectral_norm != "none")
    for _ in range(2):
        found = step(batch)
        assert all(value.isfinite() for value in found.values())
    critics = {"colour", "saliency"} if saliency_critic else {"colour"}
    assert {name.split()[1] for name in found if name.startswith("adversarial")} == (critics if gan != "none" else set())
    assert any(name.startswith("penalty") for name in found) == (gan == "wgan_gp")
    trained = [step.generator] + [step.critics] * (gan != "none")
    still = [name for net in trained for name, p in net.named_parameters() if p.grad is None or not p.grad.abs().max() > 0]
    assert not still and (gan != "none" or not step.critic_optimizer.state)


@pytest.mark.parametrize("changes", [{"sees": "infrared", "in_channels": 3}, {"sees": "infrared"}, {"gray": "lightness", "residual": True},
                                     {"value_range": (0.0, 1.0), "penalty_of": "mean"}, {"halvings": 7, "one_cycle": True, "saliency_weight": 0.1}])
def test_other_settings_train(changes):
    step = scgan.Step(replace(AT_ONCE, **changes), fabric())
    batch = photos(2, 64) | {"nir": photos(2, 64, seed=1)["saliency"]}
    assert all(value.isfinite() for _ in range(2) for value in step(batch).values())
    painted = scgan.colorize(step.result(), {"L": torch.rand(2, 1, 40, 50) * 100, "nir": torch.rand(2, 1, 40, 50)})
    assert painted.shape == (2, 3 if changes.get("sees") else 2, 40, 50) and painted.isfinite().all()


def test_half_precision():
    """What a GPU does by default. Sigma, the last layers and the penalty are not left to 8 bits."""
    found = []
    for precision in ("32-true", "bf16-mixed"):
        step = scgan.Step(replace(TINY, phase_one=1), fabric(precision=precision))
        for _ in range(2):
            torch.manual_seed(0)
            out = step(photos())
        found.append(numbers(out[name] for name in ("loss", "l1", "attention", "slope colour")))
        norms = [m.parametrizations.weight[0] for m in step.generator.modules() if parametrize.is_parametrized(m)]
        assert {norm.u.dtype for norm in norms} == {torch.float32} and all(norm.u.norm().item() == pytest.approx(1, abs=1e-5) for norm in norms)
    assert found[1] == pytest.approx(found[0], rel=0.15)


def test_training_on_one_batch_learns_its_colours():
    rgb = torch.zeros(4, 3, 32, 48, dtype=torch.uint8)
    rgb[:, 0, :16], rgb[:, 2, 16:] = 200, 220                                              # red above, blue below: L tells them apart
    saliency = torch.zeros(4, 1, 32, 48, dtype=torch.uint8)
    saliency[..., 8:24] = 255
    step = scgan.Step(replace(TINY, phase_one=40, steps=40, learning_rates=(4e-3, 1e-3), residual=True, spectral_norm="none"), fabric())
    found = [step({"rgb": rgb, "saliency": saliency}) for _ in range(40)]
    assert found[-1]["l1"] < 0.3 * found[0]["l1"] and found[-1]["attention"] < 0.85 * found[0]["attention"]
    net = step.result()
    L, ab = colorlib.lab.rgb_to_lab(rgb).split([1, 2], 1)
    painted = scgan.colorize(net, {"L": L})
    assert not net.training and torch.equal(painted, scgan.colorize(net, {"L": L}))
    assert (scgan.variants(net)["batch statistics"]({"L": L}) - ab).abs().mean() < 0.5 * ab.abs().mean()
    assert torch.equal(scgan.variants(net)[""]({"L": L}), painted)


@pytest.mark.parametrize("changes, stops", [({}, (2, 4, 6)), ({"one_cycle": True, "saliency_critic": 0.05}, (3, 6))], ids=["published", "ours"])
def test_an_interrupted_training_goes_on_bit_equal(tmp_path, changes, stops):
    """Phase 2 begins after 3 of 6 updates. Interrupted in phase 1 and in phase 2, and where they meet."""
    pictures, cpu = dataset(), fabric()

    def run(folder, *stops):
        for steps in stops:
            step = scgan.make_step(replace(TINY, width=2, phase_one=3, steps=6, epoch=2, halve_every=1, **changes), cpu, pictures, tmp_path / folder)
            log = train.fit(step, pictures, steps=steps, batch_size=2, fabric=cpu, run=tmp_path / folder, log_every=1, progress=False)
            torch.manual_seed(999)                                                         # a new process has another random state
        return log, step

    whole, expected = run("whole", 6)
    log, step = run("interrupted", *stops)
    assert log == whole
    for ours, theirs in ((step.generator, expected.generator), (step.critics, expected.critics)):
        assert same(ours.state_dict(), theirs.state_dict())
    moments = [[state["exp_avg"] for optimizer in (one.optimizer, one.critic_optimizer) for state in optimizer.state.values()] for one in (step, expected)]
    assert len(moments[0]) == len(moments[1]) > 0 and all(torch.equal(a, b) for a, b in zip(*moments))


def test_snapshots(tmp_path):
    """The paper shows epochs 1, 2, 3, 5 and 10 of phase 1, which has 10, and 40, the end of phase 2."""
    config, pictures, cpu = replace(TINY, width=2, phase_one=10, steps=12), dataset(), fabric()
    step = scgan.make_step(config, cpu, pictures, tmp_path)
    train.fit(step, pictures, steps=12, batch_size=2, fabric=cpu, run=tmp_path, progress=False)
    assert sorted(path.name for path in tmp_path.glob("*.safetensors")) == [f"snapshot-{update:07d}.safetensors" for update in (1, 2, 3, 5, 10, 12)]
    net = scgan.build(config)
    net.load_state_dict(safetensors.torch.load_file(tmp_path / "snapshot-0000012.safetensors"))
    state = net.state_dict()
    assert all(torch.allclose(value, state[name], rtol=2e-3, atol=1e-6) for name, value in step.result().state_dict().items())
    assert not torch.equal(safetensors.torch.load_file(tmp_path / "snapshot-0000010.safetensors")["to_rgb.conv.weight"], net.to_rgb.conv.weight.half())


# ---------------------------------------------------------------- use

@pytest.mark.parametrize("faithful", [False, True])
def test_batch_statistics_are_those_of_training_mode_one_by_one(faithful):
    config = replace(TINY, faithful=faithful, halvings=8 if faithful else 6)
    net, x = scgan.build(config), torch.rand(3, 1, *(256, 256) if faithful else (64, 96))
    converge(net)                                                                          # the released code's spectral norms move in evaluation, too
    before = {key: value for key, value in copy.deepcopy(net.state_dict()).items() if not key.endswith((".u", ".v"))}
    training = copy.deepcopy(net).train()
    with torch.no_grad():
        expected = [torch.cat(part) for part in zip(*(training(2 * one[None] - 1) for one in x))]
    rgb, saliency = scgan.paint(net, x, "batch")
    assert torch.allclose(2 * rgb - 1, expected[0], atol=1e-5) and torch.allclose(saliency, expected[1], atol=1e-5)
    assert not any(module.training for module in net.modules()) and all(torch.equal(value, before[key]) for key, value in net.state_dict().items()
                                                                        if key in before)
    running, default = scgan.paint(net, x, "running")[0], scgan.paint(net, x, saliency=False)
    assert (running - rgb).abs().mean() > 0.01
    assert default[1] is None and torch.allclose(default[0], rgb if faithful else running, atol=1e-5)


def test_weights_go_through_a_file(tmp_path):
    config = replace(scgan.SMOKE, width=4, attention_width=4, feature_width=4)
    net = scgan.build(config).eval()
    zoo.save_weights(net, "scgan", tmp_path / "scgan.safetensors", {"size": "smoke"})
    again = zoo.load("scgan", tmp_path / "scgan.safetensors", device="cpu")
    assert again.config == config
    L = torch.rand(1, 1, 48, 40) * 100
    assert torch.allclose(scgan.colorize(again, {"L": L}), scgan.colorize(net, {"L": L}), atol=1)
    picture = colorlib.colorize(np.random.default_rng(0).integers(0, 256, (50, 37), dtype=np.uint8), "scgan", model=again)
    assert picture.rgb.shape == (50, 37, 3)


# ---------------------------------------------------------------- the gray classifier

def authors_file(network):
    """A state dict in the authors' names, with the biases and the classifier that SCGAN does not have."""
    state = {}
    for name, layer in zip(gray_vgg.VGG_NAMES, network):
        state[f"{name}.conv2d.weight"], state[f"{name}.conv2d.bias"] = layer.conv.weight.detach(), torch.ones(len(layer.conv.weight))
        state |= {f"{name}.norm.{key}": value for key, value in layer.norm.state_dict().items()}
    return state | {"classifier.0.weight": torch.zeros(3, 3)}


def test_loading_the_global_features(tmp_path, monkeypatch):
    source = gray_vgg.GlobalFeatures(TINY, spectral=False)
    for layer in list(source)[1:]:
        torch.nn.init.normal_(layer.norm.running_mean)
    ours, authors = tmp_path / "ours.safetensors", tmp_path / "vgg16_bn_fc_gray.pth"
    safetensors.torch.save_file({key: value.contiguous() for key, value in source.state_dict().items()}, ours)
    torch.save(authors_file(source), authors)
    for path in (ours, authors):
        for spectral in (True, False):
            net = gray_vgg.GlobalFeatures(TINY, spectral)
            gray_vgg.load_features(net, path)
            assert all(torch.equal(gray_vgg.raw_weight(a.conv), b.conv.weight) for a, b in zip(net, source))
            assert all(same(a.norm.state_dict(), b.norm.state_dict()) for a, b in zip(net, source))
        monkeypatch.setenv("COLORLIB_GRAY_VGG", str(path))
        step = scgan.make_step(replace(TINY, pretraining=(1, 1e-3)), fabric(), dataset())
        assert torch.equal(gray_vgg.raw_weight(step.generator.module.features[5].conv), source[5].conv.weight)


def test_global_features_that_do_not_fit(tmp_path, monkeypatch):
    net, state, path = gray_vgg.GlobalFeatures(TINY), authors_file(gray_vgg.GlobalFeatures(TINY, spectral=False)), tmp_path / "features.pth"
    for wrong, sentence in [
            (authors_file(gray_vgg.GlobalFeatures(replace(TINY, feature_width=8), spectral=False)),
             r"features.pth has \(8, 1, 3, 3\) in place of \(4, 1, 3, 3\) as conv1_1's conv.weight: it is not a global feature network"),
            (authors_file(gray_vgg.GlobalFeatures(replace(TINY, in_channels=3), spectral=False)), r"has \(4, 3, 3, 3\) in place of \(4, 1, 3, 3\)"),
            ({key: value for key, value in state.items() if key != "conv3_2.norm.running_var"}, "features.pth lacks conv3_2's norm.running_var"),
            ({"state_dict": state}, "lacks conv1_1's conv.weight"),
            ([torch.zeros(3)], "features.pth is neither safetensors nor a state dict"),
            (torch.nn.Linear(2, 2), r"features.pth is neither safetensors nor a state dict \(UnpicklingError\): save the weights, not the module")]:
        torch.save(wrong, path)
        with pytest.raises(ValueError, match=sentence):
            gray_vgg.load_features(net, path)
    path.write_bytes(b"nonsense")
    with pytest.raises(ValueError, match="neither safetensors nor a state dict"):
        gray_vgg.load_features(net, path)
    monkeypatch.setenv("COLORLIB_GRAY_VGG", str(tmp_path / "gone.pth"))
    with pytest.raises(FileNotFoundError, match="gone.pth does not exist.*COLORLIB_GRAY_VGG"):
        scgan.make_step(TINY, fabric(), dataset())


def test_pretraining(tmp_path):
    """Bright and dark pictures: a class each. The generator begins with what the classifier learnt, and the classifier's run resumes."""
    rgb = np.zeros((12, 32, 32, 3), np.uint8)
    rgb[::2] = np.random.default_rng(0).integers(150, 256, (6, 32, 32, 3))
    rgb[1::2] = np.random.default_rng(1).integers(0, 40, (6, 32, 32, 3))
    labelled = data.Packed(rgb, [str(i) for i in range(12)], np.arange(12) % 2, {"saliency": np.zeros((12, 1, 32, 32), np.uint8)})
    config = replace(TINY, pretraining=(60, 1e-2), batch_size=4)
    step = scgan.make_step(config, fabric(), labelled, tmp_path, progress=False)
    rows = [row for row in (tmp_path / "gray_vgg" / "log.jsonl").read_text().splitlines()]
    assert '"step": 60' in rows[-1] and float(rows[-1].split('"accuracy": ')[1].split(",")[0]) > 0.9
    again = gray_vgg.pretrain(config, fabric(), labelled, tmp_path, progress=False)          # nothing is left to do
    for layer, learnt in zip(step.generator.module.features, again):
        assert torch.equal(gray_vgg.raw_weight(layer.conv), learnt.conv.weight)
    assert (tmp_path / "gray_vgg" / "log.jsonl").read_text().splitlines() == rows
    with pytest.raises(ValueError, match="learns from labels.*without `pretraining`"):
        scgan.make_step(config, fabric(), dataset())


# ---------------------------------------------------------------- several processes, a GPU

PARALLEL = """
import sys, torch
from dataclasses import replace
from colorlib import train
from colorlib.papers import scgan
from tests.test_scgan import TINY, photos
torch.set_num_threads(1)
fabric = train.make_fabric("cpu", devices=2)
fabric.launch()
step = scgan.Step(replace(TINY, phase_one=1, saliency_critic=0.05), fabric)
for _ in range(3):
    losses = step({key: value[fabric.global_rank::2] for key, value in photos(4).items()})
assert all(value.isfinite() for value in losses.values()) and "penalty saliency" in losses
torch.save({name: value.detach() for net in ("generator", "critics") for name, value in getattr(step, net).module.named_parameters(net)},
           f"{sys.argv[1]}/{fabric.global_rank}.pt")
"""


def test_two_processes_keep_the_same_weights(tmp_path):
    """Each sees other pictures; phase 2 with gradient penalty and both discriminators."""
    script = tmp_path / "parallel.py"
    script.write_text(PARALLEL)
    subprocess.run([sys.executable, str(script), str(tmp_path)], env=os.environ | {"PYTHONPATH": os.getcwd(), "OMP_NUM_THREADS": "1"}, check=True,
                   capture_output=True, timeout=300)
    one, other = (torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in (0, 1))
    assert same(one, other)
    alone = scgan.Step(replace(TINY, phase_one=1, saliency_critic=0.05), fabric())
    for _ in range(3):
        alone({key: value[::2] for key, value in photos(4).items()})
    assert not any(torch.equal(value, one[f"generator.{name}"]) for name, value in alone.generator.module.named_parameters() if value.ndim == 4)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_training_and_colorizing_on_a_gpu():
    cuda = train.make_fabric("cuda", devices=1)                                              # bf16 and channels_last
    step = scgan.Step(replace(TINY, phase_one=1, saliency_critic=0.05), cuda)
    assert all(value.isfinite() for _ in range(3) for value in step(cuda.to_device(photos())).values())
    assert step.generator.module.down[1].conv.weight.is_contiguous(memory_format=torch.channels_last)
    net, L = step.result(), torch.rand(2, 1, 64, 48) * 100
    on_gpu = scgan.colorize(copy.deepcopy(net).cuda(), {"L": L.cuda()}).cpu()
    assert torch.allclose(on_gpu, scgan.colorize(net, {"L": L}), atol=0.5)


@pytest.mark.parametrize("field, value", [("spectral_norm", "some"), ("penalty_of", "max"), ("gan", "dcgan"), ("sees", "radar"), ("gray", "mean")])
def test_settings_that_do_not_exist(field, value):
    with pytest.raises(ValueError, match=f"{field} is '{value}': choose one of"):
        replace(TINY, **{field: value})


def test_the_folded_kernel_in_four_phases():
    """One transposed convolution of stride 2, and four 2x2 convolutions interleaved, are the same; of each the weights add up to four times the kernel's."""
    x, weight = torch.randn(2, 5, 7, 6, dtype=torch.float64), torch.randn(3, 5, 3, 3, dtype=torch.float64)
    kernel, edge = scgan.folded(weight), torch.nn.functional.pad(x, (1, 1, 1, 1), mode="replicate")
    as_one = torch.nn.functional.conv_transpose2d(edge, kernel, stride=2, padding=3)
    as_four = torch.nn.functional.pixel_shuffle(torch.nn.functional.conv2d(edge, scgan.phases(kernel)), 2)[..., 1:-1, 1:-1]
    assert as_one.shape == as_four.shape == (2, 3, 14, 12) and torch.allclose(as_one, as_four, rtol=0, atol=1e-12)
    assert torch.allclose(kernel.sum((2, 3)).T, 4 * weight.sum((2, 3)))
