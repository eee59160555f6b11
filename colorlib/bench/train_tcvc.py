"""TCVC: updates from frame files, the authors' own training program beside ours."""
import argparse
import contextlib
import os
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from unittest import mock

import numpy as np
import torch
from PIL import Image
from torch import nn

from colorlib import bench, convolution, train
from colorlib.bench import contestants, loops, official

__all__ = ["VARIANTS"]      # what `python -m colorlib bench` measures: {name: function of (rounds, device) that returns rows}

REPOSITORY = "Harry-Thasarathan/TCVC"
FRAMES = 16
VGG19 = [64, 64, "M", 128, 128, "M", 256, 256, 256, 256, "M", 512, 512, 512, 512, "M", 512, 512, 512, 512, "M"]


def update(rounds=None, device="cpu", config=None, side=256, number=None):
    """An update at the paper's width and weights of the losses, on JPEG frames; style and content with VGG-19's layers and random weights.

    Ours beside the plain form, the same step with torch's own layers and layouts. And beside the authors' `train.py` as it is: features found four times,
    gradients of a discriminator that learns every 12th time only. number: of frames, by default 1, on a GPU the paper's 16.
    """
    from colorlib import data
    from colorlib.papers import tcvc
    on_gpu = torch.device(device).type == "cuda"
    config, number = config or tcvc.PAPER, number or contestants.choose(device, 1, 16)
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        stack.enter_context(mock.patch.dict(os.environ, COLORLIB_CACHE=f"{folder}/cache"))
        write_frames(Path(folder) / "clip", max(FRAMES, number), side)
        frames = tcvc.prepare_data(data.open_clips(Path(folder) / "clip", side, 2), config)
        features = random_pyramid()

        def start(fabric, compile=False):
            step = tcvc.Step(replace(config, style_weight=0.0, content_weight=0.0), fabric, compile=compile)
            step.config, step.features = config, [fabric.to_device(features).to(memory_format=torch.channels_last)]
            return contestants.updates(step, data.batches(frames, number), fabric)
        what = f"{number} {'frames' if number > 1 else 'frame'} of {side} px"
        found, notes = contestants.make_ours(start, device, what)
        found["plain form"], notes["plain form"] = plainly(start(train.make_fabric(device, 1, "32-true"))), f"{what}, float32"
        if clone := official.find(REPOSITORY, "train.py"):
            arguments = ["--root", folder, "--dataset", "clip", "--batchSize", number, "--logfile", "log.txt", *["--cuda"] * on_gpu]
            prepare = "colorlib.bench.train_tcvc:stand_ins"
            found["the authors' loop"] = stack.enter_context(loops.Loop(clone[0] / "train.py", arguments, folder, device, prepare, threads=None))
            notes["the authors' loop"] = f"{what}, float32, authors' code at {clone[1]}"
        return bench.race(found, rounds or bench.SLOW_ROUNDS, device, number, notes, threads=None)


def write_frames(folder, count, side):
    """A clip of the procedural world as `Train/frame<number>.jpg`, without leading zeros, so that the authors' loader finds the frame before; one in `Test`."""
    from colorlib import scenes
    for kind, frames in (("Train", scenes.make_clip(0, count, side).rgb), ("Test", [np.zeros((side, side, 3), np.uint8)])):
        (folder / kind).mkdir(parents=True)
        for i, frame in enumerate(frames, 1):
            Image.fromarray(frame).save(folder / kind / f"frame{i}.jpg", quality=95)


def random_pyramid():
    """What `tcvc.Step` compares frames by, with VGG-19's layers and weights from chance."""
    from colorlib import classifiers
    from colorlib.papers import tcvc
    network = classifiers.Classifier("vgg19", random_vgg19(), None)
    with mock.patch.object(classifiers, "load_classifier", lambda name, file=None: network):
        return classifiers.FeaturePyramid("vgg19", tcvc.STYLE["vgg19"] + tcvc.CONTENT["vgg19"])


def random_vgg19(**_):
    """VGG-19's convolutions with weights from chance, in place of torchvision's, which would be downloaded."""
    from torchvision.models import vgg
    network = nn.Module()
    network.features = vgg.make_layers(VGG19, batch_norm=False)
    return network


def plainly(function):
    """The function with torch's own convolutions and instance norm."""
    def call():
        with mock.patch.object(convolution, "pays", return_value=False):
            return function()
    return call


VARIANTS = {"TCVC": update}


# ---------------------------------------------------------------- in the authors' process

def stand_ins():
    """What their program needs and today's libraries lack: SciPy's picture functions, which were Pillow's; an Adam that takes a whole number for a beta; VGG-19
    without a download; two options that it reads and does not know; and, on a CPU, the belief that there is a GPU while it makes its networks."""
    import scipy
    import torchvision
    scipy.misc = sys.modules["scipy.misc"] = ModuleType("scipy.misc")
    scipy.misc.imread = lambda path: np.asarray(Image.open(path))
    scipy.misc.imresize = lambda picture, size: np.asarray(Image.fromarray(picture).resize(size[::-1], Image.Resampling.BILINEAR))
    torchvision.models.vgg19 = random_vgg19
    torch.optim.Adam = lambda parameters, lr, betas, adam=torch.optim.Adam: adam(parameters, lr, tuple(map(float, betas)))
    argparse.Namespace.ngf = argparse.Namespace.ndf = 64
    from src import models      # theirs
    for name in ("define_G", "define_D"):
        setattr(models, name, believing(getattr(models, name)))


def believing(function):
    def call(*arguments):
        with mock.patch("torch.cuda.is_available", return_value=True):
            return function(*arguments)
    return call
