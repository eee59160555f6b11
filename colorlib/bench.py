"""Speed beside named peers, measured in one process, one after the other in turns. Ratios travel between machines; milliseconds do not."""
import contextlib
import importlib
import os
import statistics
import sys
import time
import warnings
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from colorlib import lab, results

ROUNDS, SLOW_ROUNDS = 15, 3
OFFICIAL_SCGAN = "COLORLIB_SCGAN_OFFICIAL"      # names the folder `train` of zhaoyuzhi/Semantic-Colorization-GAN, to be measured beside ours


def time_in_turns(functions, rounds=ROUNDS):
    """{name: function} -> {name: (median, lowest, highest) seconds}. The functions take turns, so that a busy machine slows all of them alike."""
    samples = {name: [] for name in functions}
    for function in functions.values():
        function()
    for _ in range(rounds):
        for name, function in functions.items():
            start = time.perf_counter()
            function()
            samples[name].append(time.perf_counter() - start)
    return {name: (statistics.median(values), min(values), max(values)) for name, values in samples.items()}


def lab_contestants():
    """sRGB -> Lab of one 256 x 256 float32 picture on one core: ours, scikit-image, OpenCV's float path, and kornia where it is installed."""
    import cv2
    from skimage.color import rgb2lab
    rgb = np.random.default_rng(0).random((256, 256, 3), dtype=np.float32)
    tensor = torch.from_numpy(rgb).permute(2, 0, 1)[None].contiguous()
    found = {"colorlib": lambda: lab.rgb_to_lab(tensor)[0].permute(1, 2, 0).numpy(), "scikit-image": lambda: rgb2lab(rgb),
             "OpenCV float": lambda: cv2.cvtColor(rgb, cv2.COLOR_RGB2Lab)}
    try:
        import kornia
        found["kornia"] = lambda: kornia.color.rgb_to_lab(tensor)[0].permute(1, 2, 0).numpy()
    except ImportError:
        pass
    reference = rgb2lab(rgb.astype(np.float64))
    return found, {name: f"largest error {np.abs(function() - reference).max():.4f}" for name, function in found.items()}


def infer_contestants():
    """ab of one 128 x 128 picture: the shipped class-size network, in float32 and bf16, beside the paper-size network."""
    from colorlib import zoo
    from colorlib.papers import koalarization
    model, whole = zoo.load("koalarization", device="cpu"), koalarization.FusionNet(koalarization.FAITHFUL).eval()
    L, vector = torch.full((1, 1, 128, 128), 50.0), torch.zeros(1, koalarization.FAITHFUL.embedding)

    def in_bf16():
        with torch.autocast("cpu", dtype=torch.bfloat16):
            return koalarization.colorize(model, {"L": L})

    @torch.no_grad()
    def paper_size():
        return whole(lab.scale_L(L), vector)
    found = {"colorlib class": lambda: koalarization.colorize(model, {"L": L}), "colorlib class bf16": in_bf16, "paper size, no extractor": paper_size}
    return found, dict.fromkeys(found, "")


def official_scgan():
    """The authors' modules `(network, network_module)` from the folder COLORLIB_SCGAN_OFFICIAL names, or None where it is not set."""
    if not (folder := os.environ.get(OFFICIAL_SCGAN)):
        return None
    if not (Path(folder) / "network_module.py").is_file():
        raise ValueError(f"{OFFICIAL_SCGAN} names {folder}, which has no network_module.py: give the folder `train` of the authors' code.")
    sys.path.insert(0, folder)
    try:
        return importlib.import_module("network"), importlib.import_module("network_module")
    finally:
        sys.path.remove(folder)


def scgan_contestants(config=None, side=256, number=1):
    """One update of phase 2 at the paper's width, float32: WGAN-GP, and perceptual features with VGG-16's layers and random weights, for all the same.

    Ours beside the plain form, `faithful`: doubled maps, two passes of the generator, a discriminator that gets gradients it does not learn from, a
    power iteration for each pass. And beside the authors' modules where COLORLIB_SCGAN_OFFICIAL names their folder.
    """
    from torchvision.models import VGG16_Weights, vgg

    from colorlib import classifiers, train
    from colorlib.papers import scgan
    config = replace(config or scgan.PAPER, phase_one=0, perceptual_weight=0.0)
    vgg16 = nn.Module()
    vgg16.features = vgg.make_layers([64, 64, "M", 128, 128, "M", 256, 256, 256], batch_norm=False)
    features = classifiers.Features(classifiers.Classifier("vgg16", vgg16, VGG16_Weights.DEFAULT.transforms()))
    draw = torch.Generator().manual_seed(0)
    batch = {"rgb": torch.randint(0, 256, (number, 3, side, side), dtype=torch.uint8, generator=draw),
             "saliency": torch.randint(0, 256, (number, 1, side, side), dtype=torch.uint8, generator=draw)}

    def ours(faithful):
        step = scgan.Step(replace(config, faithful=faithful), train.make_fabric("cpu"))
        step.config, step.perceptual = replace(step.config, perceptual_weight=scgan.PAPER.perceptual_weight), [features]
        return lambda: step(batch)
    found = {"colorlib": ours(False), "plain form": ours(True)}
    if modules := official_scgan():
        found["the authors' modules"] = official_update(modules[0], config, scgan.inputs_of(batch, config), features)
    return found, dict.fromkeys(found, f"{number} picture of {side} px")


def official_update(network, config, inputs, features):
    """An update in the order of the authors' `trainer_WGANGP`, which itself runs on CUDA devices only, with their networks."""
    options = SimpleNamespace(in_channels=1, out_channels=3, start_channels=config.width, latent_channels=config.attention_width, pad="reflect",
                              activ_g="lrelu", activ_d="lrelu", norm_g="bn", norm_d="bn")
    generator, critic, look = network.SCGAN(options), network.PatchDiscriminator70(options), network.PerceptualNet().requires_grad_(False)
    look.features.load_state_dict(features.network.state_dict())
    teach, learn = (torch.optim.Adam(net.parameters(), 1e-4, betas=(0.5, 0.999)) for net in (critic, generator))
    x, true, saliency = inputs

    def update():
        teach.zero_grad()
        fake = generator(x)[0].detach()
        loss = critic(x, fake).mean() - critic(x, true).mean()
        share = torch.rand(len(x), 1, 1, 1)
        between = (share * true + (1 - share) * fake).requires_grad_()
        scores = critic(x, between)
        slope = torch.autograd.grad(scores, between, torch.ones_like(scores), create_graph=True)[0].flatten(1).norm(dim=1)
        (loss + config.penalty_weight * (slope - 1).square().mean()).backward()
        teach.step()
        learn.zero_grad()
        fake, found = generator(x)
        loss = F.l1_loss(fake, true) + config.attention_weight * F.l1_loss(fake * found, true * saliency)
        (loss + 5 * F.l1_loss(look(fake), look(true)) - config.adversarial_weight * critic(x, fake).mean()).backward()
        learn.step()
    return update


def fold_contestants(maps=(384, 128), side=128):
    """The last doubling of SCGAN's saliency branch, the dearest layer, forward and backward: 384 maps of 128 px -> 128 of 256 px."""
    from colorlib.papers import scgan
    torch.manual_seed(0)
    x = torch.randn(1, maps[0], side, side, requires_grad=True)
    layers = {"colorlib": scgan.UpConv(*maps, scgan.PAPER), "plain form": scgan.UpConv(*maps, replace(scgan.PAPER, faithful=True))}
    layers["plain form"].load_state_dict(layers["colorlib"].state_dict())
    if modules := official_scgan():
        layers["the authors' module"] = modules[1].TransposeConv2dLayer(*maps, 3, 1, 1, pad_type="reflect", activation="lrelu", norm="bn")
    error = (layers["colorlib"](x) - layers["plain form"](x)).abs().max()
    both_ways = lambda layer: torch.autograd.grad(layer(x).mean(), [x, *(p for p in layer.parameters() if p.requires_grad)])
    found = {name: partial(both_ways, layer) for name, layer in layers.items()}
    return found, dict.fromkeys(found, "") | {"colorlib": f"largest difference from the plain form {error:.1e}"}


def spectral_contestants(config=None):
    """What a discriminator update needs of spectral norm: the weights of the six layers for three passes, and their gradients."""
    from torch.nn.utils import parametrizations, parametrize

    from colorlib.papers import scgan

    def gradients(convs, weight=lambda conv: conv.weight, once=contextlib.nullcontext):
        with once():
            passes = [weight(conv) for _ in range(3) for conv in convs]
            return torch.autograd.grad(sum(w.sum() for w in passes), [p for conv in convs for p in conv.parameters() if p.requires_grad])
    ours, plain = ([layer.conv for layer in scgan.Discriminator(config or scgan.PAPER).layers] for _ in range(2))
    bare = lambda: [nn.Conv2d(conv.in_channels, conv.out_channels, conv.kernel_size, bias=False) for conv in ours]
    torchs = list(map(parametrizations.spectral_norm, bare()))
    found = {"colorlib": lambda: gradients(ours, once=parametrize.cached), "plain form": lambda: gradients(plain), "torch's": lambda: gradients(torchs)}
    if modules := official_scgan():
        theirs = list(map(modules[1].SpectralNorm, bare()))
        found["the authors' module"] = lambda: gradients(theirs, lambda norm: (norm._update_u_v(), norm.module.weight)[1])
    return found, dict.fromkeys(found, "") | {"colorlib": "one power iteration for the three passes"}


def peak_memory(function):
    """MiB of tensors that a call holds at most beyond what was there before it, on the CPU; a first call, which may make what stays, does not count."""
    function()
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True) as found:
        function()
    events = sorted((one for one in found.profiler.kineto_results.events() if one.name() == "[memory]"), key=lambda one: one.start_ns())
    held = np.cumsum([one.nbytes() for one in events])
    return float(held.max(initial=0)) / 2 ** 20


def gray2color_contestants(config=None, number=2):
    """One update of Gray2ColorNet's second stage at the paper's width and size, float32: ours beside a straight port of the published network's forward pass,
    with the same weights, losses and discriminator."""
    from colorlib import train
    from colorlib.papers import gray2color
    config, draw = config or gray2color.PAPER_PROBABLE, torch.Generator().manual_seed(0)
    pictures = lambda: torch.randint(0, 256, (number, 3, config.image_size, config.image_size), dtype=torch.uint8, generator=draw)
    batch = {"rgb": pictures(), "reference": pictures(), "label": torch.zeros(number, dtype=torch.long)}

    def contestant(network):
        step = gray2color.Step(config, train.make_fabric("cpu"))
        step.generator.module.__class__ = network
        return lambda: step(batch)
    found = {"colorlib": contestant(gray2color.Gray2ColorNet), "straight port": contestant(straight_gray2color())}
    return found, {name: f"{number} pictures of {config.image_size} px, {peak_memory(function):.0f} MiB at most" for name, function in found.items()}


def straight_gray2color():
    """The class of a Gray2ColorNet that computes what ours does the way the published code does: the target is encoded twice, and the similarities are one
    product of the enlarged features, which the gate reads as it stands."""
    from colorlib.papers import gray2color

    class Straight(gray2color.Gray2ColorNet):
        def forward(self, L_n, reference=None):
            if reference is None:
                return super().forward(L_n)
            seen, other = (unit_features(self.encoder(x)) for x in (L_n, reference.L_n))
            alike = other.transpose(1, 2) @ seen                                                      # (N, P_r, P_t)
            size = [side // 2 for side in L_n.shape[2:]]
            hidden = F.relu(self.gate.hidden.weight @ alike + self.gate.hidden.bias[:, None])
            gate = torch.sigmoid(self.gate.out.weight @ hidden + self.gate.out.bias[:, None]).unflatten(2, size)
            values = self.colors(reference.ab_n).flatten(2)
            aligned = self.colors.scales((values @ F.softmax(alike / self.config.temperature, 1)).unflatten(2, size))
            encoded, found = self.encoder(L_n), []
            x = encoded[5]
            for up, mine, theirs, skip, step in zip(self.up, aligned, self.palette(reference.histogram), (encoded[2], encoded[1], encoded[0]), (4, 2, 1)):
                share = gate[..., ::step, ::step]
                x, ab_n = up(x, skip, share * mine + (1 - share) * theirs)
                found.append(ab_n)
            return gray2color.Painted(found, self.classify(encoded[5].amax((2, 3))), gate)
    return Straight


def unit_features(encoded):
    """Six maps of Gray2ColorNet's encoder -> the 31 w channels at half the size, flat, each position of length 1."""
    size = encoded[1].shape[-2:]
    found = torch.cat([x if x.shape[-2:] == size else F.interpolate(x, size=size, mode="bilinear") for x in encoded], 1).flatten(2)
    return found / found.norm(dim=1, keepdim=True)


CONTESTANTS = {"lab": (lab_contestants, ROUNDS), "infer": (infer_contestants, ROUNDS), "scgan": (scgan_contestants, SLOW_ROUNDS),
               "fold": (fold_contestants, SLOW_ROUNDS), "spectral": (spectral_contestants, ROUNDS), "gray2color": (gray2color_contestants, SLOW_ROUNDS)}


def run(what="lab", write=False, rounds=None):
    """Measure, print-ready Markdown back; write=True appends the lines to `data/results/benchmarks.csv`. what: a key of CONTESTANTS; rounds: how
    often each contestant runs, at least once (default: 15, or 3 for slow ones)."""
    contestants, usual = CONTESTANTS[what]
    rounds, threads = usual if rounds is None else max(1, rounds), torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            functions, notes = contestants()
            times = time_in_turns(functions, rounds)
    finally:
        torch.set_num_threads(threads)
    first = next(iter(times.values()))[0]
    lines = [f"| {what}, one core | median ms | lowest to highest | time / colorlib's | |", "|---|---|---|---|---|"]
    for name, (median, low, high) in times.items():
        lines.append(f"| {name} | {median * 1e3:.2f} | {low * 1e3:.2f} to {high * 1e3:.2f} | {median / first:.2f} | {notes[name]} |")
        if write:
            results.append("benchmarks", {"method": name, "variant": what, "n": rounds, "notes": notes[name], "median_ms": round(median * 1e3, 4), "low_ms": round(low * 1e3, 4),
                                          "high_ms": round(high * 1e3, 4), "ratio": round(median / first, 3)})
    return "\n".join(lines)
