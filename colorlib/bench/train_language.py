"""Learning to Color from Language: updates of the published network beside the authors' training function, and of the paper's beside its plain form.

Run as a program, as `loops.Loop` does, this file is the authors' `autocolorize_resnet.py` with arrays in place of its two h5 files.
"""
import contextlib
import importlib.util
import re
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

from colorlib import bench
from colorlib.bench import contestants, loops, official

__all__ = ["VARIANTS"]      # what `python -m colorlib bench` measures: {name: function of (rounds, device) that returns rows}

REPOSITORY = "superhans/colorfromlanguage"
SCENES = 24


def released(rounds=None, device="cpu", config=None, number=None):
    """Updates of the published network at its width and size: ours, with the frozen ResNet in every update; and the authors' `train`, which reads that
    one's features from memory, and has OpenCV's 8-bit Lab and a comparison with each of the 625 colours in NumPy before each update."""
    from colorlib.papers import language
    config = config or language.RELEASED
    number = number or contestants.choose(device, 4, config.batch_size)
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        found, notes, samples, channels = *make_ours(config, device, number), scenes_of(config), language.RESNETS[config.backbone]
        if clone := official.find(REPOSITORY, "autocolorize_resnet.py"):
            np.savez(Path(folder) / "data.npz", **arrays(samples, config, channels))
            found["the authors' loop"] = stack.enter_context(loops.Loop(__file__, [clone[0], folder, number, config.vocabulary_size], folder, device, threads=None))
            notes["the authors' loop"] = f"float32, features computed before, authors' code at {clone[1]}"
        return bench.race(found, rounds or contestants.choose(device, bench.SLOW_ROUNDS, bench.ROUNDS), device, number, notes, threads=None)


def film(rounds=None, device="cpu", config=None, number=None):
    """Updates of the paper's FiLM network, whose code was never published, at its width and size: ours, and the plain form with Lab by scikit-image and labels
    by NumPy, a picture at a time, as other programs do it."""
    from colorlib.papers import language
    config = config or language.PAPER
    number = number or contestants.choose(device, 4, config.batch_size)
    found, notes = make_ours(config, device, number)
    found["plain form"], notes["plain form"] = plain_update(config, device, number), f"{number} pictures of {config.image_size} px, float32"
    return bench.race(found, rounds or contestants.choose(device, bench.SLOW_ROUNDS, bench.ROUNDS), device, number, notes, threads=None)


VARIANTS = {"language, published network": released, "language, FiLM": film}


def scenes_of(config):
    """Samples of the procedural world, with captions."""
    from colorlib import scenes
    made = [scenes.make_scene(seed, config.image_size) for seed in range(SCENES)]
    return [{"rgb": torch.from_numpy(scene.rgb).permute(2, 0, 1).contiguous(), "captions": list(scene.captions)} for scene in made]


def with_words(config, samples):
    """The config with a vocabulary of its size: the captions' words, filled up with others."""
    from colorlib import captions
    known = captions.Vocabulary.build([text for sample in samples for text in sample["captions"]], config.vocabulary_size).words
    return replace(config, vocabulary=(*known, *(f"word{i}" for i in range(config.vocabulary_size - len(known)))))


def even_prior(config):
    """All colours that a screen has alike, `(Q,)`."""
    from colorlib import lab
    live = lab.live_bins().double()
    return live / live.sum()


def make_ours(config, device, number):
    from colorlib import data
    from colorlib.papers import language
    samples = scenes_of(config)
    config = with_words(config, samples)

    def start(fabric, compile):
        step = language.Step(config, fabric, even_prior(config), language.build(config, pretrained=False), compile)
        return contestants.updates(step, data.batches(samples, number), fabric)
    return contestants.make_ours(start, device, f"{number} pictures of {config.image_size} px")


def plain_update(config, device, number):
    """An update the straight way: conversion and labels in NumPy, a picture at a time; the network as PyTorch makes it, and its loss over a list of pixels."""
    from skimage.color import rgb2lab

    from colorlib import lab
    from colorlib.papers import language
    samples = scenes_of(config)
    config, device = with_words(config, samples), torch.device(device)
    net, centres = language.build(config, pretrained=False).to(device), lab.ab_bins(config.bins).numpy()
    weights = lab.rebalancing_weights(even_prior(config), config.uniform, config.alpha).float().to(device)
    optimizer, calls = torch.optim.Adam(net.parameters(), config.learning_rate), iter(range(10 ** 9))

    def update():
        first = next(calls) * number % (len(samples) - number + 1)
        chosen = samples[first:first + number]
        colors = [rgb2lab(sample["rgb"].permute(1, 2, 0).numpy()).astype(np.float32) for sample in chosen]
        labels = [((color[::4, ::4, None, 1:] - centres) ** 2).sum(-1).argmin(-1) for color in colors]
        L = torch.from_numpy(np.stack([color[None, ..., 0] for color in colors])).to(device)
        tokens, lengths = net.vocabulary.encode([sample["captions"][0] for sample in chosen])
        optimizer.zero_grad()
        logits = net(L, tokens.to(device), lengths).permute(0, 2, 3, 1).reshape(-1, config.bins)
        loss = F.cross_entropy(logits, torch.from_numpy(np.stack(labels)).to(device).flatten(), weights)
        loss.backward()
        optimizer.step()
        return loss.detach()
    return update


# ---------------------------------------------------------------- the authors' program

def arrays(samples, config, channels):
    """What their h5 files hold: pictures, features of the ResNet (random ones: their values do not matter here), captions as numbers."""
    draw, side = np.random.default_rng(0), config.image_size // 8
    lengths = np.array([len(sample["captions"][0].split()) for sample in samples])
    words = np.where(np.arange(lengths.max()) < lengths[:, None], draw.integers(1, config.vocabulary_size, (len(samples), lengths.max())), 0)
    return {"pictures": np.stack([sample["rgb"].permute(1, 2, 0).numpy() for sample in samples]), "words": words, "lengths": lengths,
            "features": draw.random((len(samples), channels, side, side), dtype=np.float32)}


def definitions(path):
    """The functions and classes of a Python 2 file of theirs, for Python 3 and today's torch: tabs, print, the number in a loss, a sum into what autograd
    needs."""
    text = Path(path).read_text().expandtabs(8).split("\nif __name__")[0]
    text = re.sub(r"^(from|import) (.*\\\n)*.*$", "", text, flags=re.M)
    text = re.sub(r"^( *)print ((.*\\\n)*.*)$", r"\1print(\2)", text, flags=re.M)
    return text.replace("loss.data[0]", "loss.item()").replace("out += x", "out = out + x")


def run(folder, work, number, words):
    """Their epoch, without an end; folder: of their code."""
    import time
    from collections import Counter, defaultdict
    from types import SimpleNamespace

    import cv2
    from torch import nn
    from torch.autograd import Variable
    from torch.nn.utils.rnn import pack_padded_sequence
    given, number, words = np.load(Path(work) / "data.npz", allow_pickle=False), int(number), int(words)
    source = Path(work) / "autocolorize.py"
    source.write_text("\n".join(definitions(Path(folder) / file) for file in ("utils.py", "autocolorize_resnet.py")))
    spec = importlib.util.spec_from_file_location(source.stem, source)
    known = vars(module := importlib.util.module_from_spec(spec))
    known |= {"torch": torch, "nn": nn, "F": F, "np": np, "cv2": cv2, "time": time, "re": re, "Counter": Counter, "defaultdict": defaultdict,
             "Variable": Variable, "pack": pack_padded_sequence, "data": torch.utils.data, "kaiming_normal": nn.init.kaiming_normal_,
             "kaiming_uniform": nn.init.kaiming_uniform_}
    spec.loader.exec_module(module)
    priors = Path(folder) / "priors"
    lookup = known["LookupEncode"](str(priors / "full_lab_grid_10.npy"))
    weights = torch.from_numpy(known["prior_boosting"](str(priors / "coco_priors_onehot_625.npy"), 1.0, 0.5)).float().cuda()
    net = known["AutocolorizeResnet"](words, given["features"].shape[1:], train_vocab_embeddings=np.zeros((words, 300), np.float32)).cuda()
    known |= {"train_origs": given["pictures"], "train_ims": given["features"], "train_words": given["words"], "train_lengths": given["lengths"], "vrev": {},
              "lookup_enc": lookup, "cuda_cc": torch.from_numpy(lookup.cc).float().cuda(), "loss_function": nn.CrossEntropyLoss(weight=weights),
              "args": SimpleNamespace(model_save_file=str(Path(work) / "saved"))}
    batches = [(first, first + number) for first in range(0, len(given["pictures"]) - number + 1, number)]
    known["train"](torch.utils.data.DataLoader(batches, batch_size=None), net, torch.optim.Adam(net.parameters(), lr=0.001), 0, weights, work)


if __name__ == "__main__":
    run(*sys.argv[1:])
