"""SCGAN: updates of phase 2 from picture files, the authors' own training program beside ours, and an update's dearest parts."""
import contextlib
import os
import tempfile
from dataclasses import replace
from functools import partial
from pathlib import Path
from unittest import mock

import torch
from PIL import Image
from torch import nn

from colorlib import bench, train
from colorlib.bench import contestants, loops, official

__all__ = ["VARIANTS"]      # what `python -m colorlib bench` measures: {name: function of (rounds, device) that returns rows}

REPOSITORY = "zhaoyuzhi/Semantic-Colorization-GAN"
FILES = 8


def update(rounds=None, device="cpu", config=None, side=256, number=None):
    """An update of phase 2, WGAN-GP, at the paper's width, on JPEG files and their saliency maps; perceptual features with VGG-16's layers and random weights.

    Ours beside the plain form, `faithful`: doubled maps, two passes of the generator, a discriminator that gets gradients it does not learn from, a power
    iteration for each pass, torch's own layers. And beside the authors' `train.py` as it is, with the options of their `second.sh`. number: of pictures, by
    default 1, on a GPU the paper's 8.
    """
    from colorlib import data, saliency
    from colorlib.papers import scgan
    on_gpu = torch.device(device).type == "cuda"
    config, number, features = replace(config or scgan.PAPER, phase_one=0), number or contestants.choose(device, 1, 8), random_features()
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        stack.enter_context(mock.patch.dict(os.environ, COLORLIB_CACHE=f"{folder}/cache"))
        write_pictures(Path(folder), max(FILES, number), side)
        packed = data.pack(data.Pictures(Path(folder) / "rgb", size=side))
        pictures = saliency.WithSaliency(packed, Path(folder) / "saliency", progress=False)

        def start(fabric, compile=False, faithful=False):
            step = scgan.Step(replace(config, faithful=faithful, perceptual_weight=0.0), fabric, compile=compile)
            step.config = replace(step.config, perceptual_weight=config.perceptual_weight)
            step.perceptual = [fabric.to_device(features).to(memory_format=torch.channels_last)]
            return contestants.updates(step, data.batches(data.resident(pictures, fabric.device), number), fabric)
        what = f"{number} {'pictures' if number > 1 else 'picture'} of {side} px"
        found, notes = contestants.make_ours(start, device, what)
        found["plain form"], notes["plain form"] = start(train.make_fabric(device, 1, "32-true"), faithful=True), f"{what}, float32"
        if clone := official.find(REPOSITORY, "train/train.py"):
            arguments = authors_arguments(Path(folder), features, number, workers=8 if on_gpu else 0)
            found["the authors' loop"] = stack.enter_context(loops.Loop(clone[0] / "train" / "train.py", arguments, folder, device, threads=None))
            notes["the authors' loop"] = f"{what}, float32, authors' code at {clone[1]}"
        return bench.race(found, rounds or bench.SLOW_ROUNDS, device, number, notes, threads=None)


def random_features():
    """The layers of VGG-16 up to conv3_3 with weights from chance, for perceptual losses whose time is of interest and whose value is not."""
    from torchvision.models import VGG16_Weights, vgg

    from colorlib import classifiers
    vgg16 = nn.Module()
    vgg16.features = vgg.make_layers([64, 64, "M", 128, 128, "M", 256, 256, 256], batch_norm=False)
    return classifiers.Features(classifiers.Classifier("vgg16", vgg16, VGG16_Weights.DEFAULT.transforms()))


def write_pictures(folder, count, side):
    """Pictures of the procedural world and where they are salient, as JPEG files in the folders `rgb` and `saliency`."""
    from colorlib import scenes
    for seed in range(count):
        scene = scenes.make_scene(seed, side)
        for kind in ("rgb", "saliency"):
            (folder / kind).mkdir(exist_ok=True)
            Image.fromarray(getattr(scene, kind)).save(folder / kind / f"{seed}.jpg", quality=95)


def authors_arguments(folder, features, number, workers):
    """Of their `train.py`: what differs from its defaults, from their `second.sh` and for this benchmark."""
    torch.save({}, folder / "none.pth")      # weights of the global features: their reader takes from a file what it finds
    torch.save({f"features.{name}": value for name, value in features.network.state_dict().items()}, folder / "vgg16.pth")
    options = {"gan_mode": "WGANGP", "lr_g": 1e-4, "batch_size": number, "num_workers": workers, "baseroot_rgb": folder / "rgb",
               "baseroot_sal": folder / "saliency", "global_feature_network_path": folder / "none.pth", "perceptual_path": folder / "vgg16.pth"}
    return [text for name, value in options.items() for text in (f"--{name}", value)]


def fold(rounds=None, device="cpu", maps=(384, 128), side=128):
    """The last doubling of SCGAN's saliency branch, the dearest layer, forward and backward: 384 maps of 128 px -> 128 of 256 px."""
    from colorlib.papers import scgan
    torch.manual_seed(0)
    x = torch.randn(1, maps[0], side, side, device=device, requires_grad=True)
    layers = {"colorlib": scgan.UpConv(*maps, scgan.PAPER), "plain form": scgan.UpConv(*maps, replace(scgan.PAPER, faithful=True))}
    layers["plain form"].load_state_dict(layers["colorlib"].state_dict())
    notes = dict.fromkeys(layers, "float32")
    with contextlib.ExitStack() as stack:
        if clone := official.find(REPOSITORY, "train/network_module.py"):
            [module] = stack.enter_context(official.modules(clone[0] / "train", "network_module"))
            layers["the authors' module"] = module.TransposeConv2dLayer(*maps, 3, 1, 1, pad_type="reflect", activation="lrelu", norm="bn")
            notes["the authors' module"] = f"float32, authors' code at {clone[1]}"
        layers = {name: layer.to(device) for name, layer in layers.items()}
        error = (layers["colorlib"](x) - layers["plain form"](x)).abs().max().item()
        notes["colorlib"] += f", largest difference from the plain form {error:.1e}"
        both_ways = lambda layer: torch.autograd.grad(layer(x).mean(), [x, *(p for p in layer.parameters() if p.requires_grad)])
        return bench.race({name: partial(both_ways, layer) for name, layer in layers.items()}, rounds or bench.SLOW_ROUNDS, device, 1, notes, threads=None)


def spectral(rounds=None, device="cpu", config=None):
    """What a discriminator update needs of spectral norm: the weights of the six layers for three passes, and their gradients."""
    from torch.nn.utils import parametrizations, parametrize

    from colorlib.papers import scgan

    def gradients(convs, weight=lambda conv: conv.weight, once=contextlib.nullcontext):
        with once():
            passes = [weight(conv) for _ in range(3) for conv in convs]
            return torch.autograd.grad(sum(w.sum() for w in passes), [p for conv in convs for p in conv.parameters() if p.requires_grad])
    ours, plain = ([layer.conv for layer in scgan.Discriminator(config or scgan.PAPER).layers.to(device)] for _ in range(2))
    bare = lambda: [nn.Conv2d(conv.in_channels, conv.out_channels, conv.kernel_size, bias=False, device=device) for conv in ours]
    torchs = list(map(parametrizations.spectral_norm, bare()))
    found = {"colorlib": lambda: gradients(ours, once=parametrize.cached), "plain form": lambda: gradients(plain), "torch's": lambda: gradients(torchs)}
    notes = dict.fromkeys(found, "") | {"colorlib": "one power iteration for the three passes"}
    with contextlib.ExitStack() as stack:
        if clone := official.find(REPOSITORY, "train/network_module.py"):
            [module] = stack.enter_context(official.modules(clone[0] / "train", "network_module"))
            theirs = [module.SpectralNorm(conv).to(device) for conv in bare()]
            found["the authors' module"] = lambda: gradients(theirs, lambda norm: (norm._update_u_v(), norm.module.weight)[1])
            notes["the authors' module"] = f"authors' code at {clone[1]}"
        return bench.race(found, rounds or bench.SLOW_ROUNDS, device, 1, notes, threads=None)


VARIANTS = {"SCGAN": update, "SCGAN, a doubling": fold, "SCGAN, spectral norm": spectral}
