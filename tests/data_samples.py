"""Small pictures, folders and videos for the tests of the data modules."""
import functools
import math
import os
import tempfile
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from skimage.data import astronaut, coffee

from colorlib import data
from colorlib.experiments import opening

REAL = os.environ.get("COLORLIB_DATA")
needs_real_data = pytest.mark.skipif(not REAL, reason="COLORLIB_DATA names no folder of real photos")


def colorful(seed=0, height=24, width=32):
    """A smooth picture full of colour, `(H, W, 3)` uint8."""
    rng = np.random.default_rng(seed)
    return cv2.resize(rng.integers(0, 256, (3, 4, 3), dtype=np.uint8), (width, height), interpolation=cv2.INTER_CUBIC)


def save(path, rgb):
    """Write a picture through OpenCV, folders included; returns the path."""
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), np.ascontiguousarray(rgb[..., ::-1] if rgb.ndim == 3 else rgb))
    return Path(path)


def fill(folder, *names, **options):
    """Save one colourful picture for each name; returns the folder."""
    for i, name in enumerate(names):
        save(folder / name, colorful(i, **options))
    return folder


@functools.cache
def shared_cache():
    """A cache folder for all tests of this run that do not test the cache: scenes are painted once."""
    return tempfile.TemporaryDirectory(prefix="colorlib-tests-")      # goes with the process


def empty_workshop(folder, monkeypatch):
    """Work in an empty folder at smoke size, with weights, results and figures that go nowhere else, the cache of this run and fewer scenes; returns the folder."""
    monkeypatch.chdir(folder)
    for name in ("WEIGHTS", "RESULTS", "FIGURES"):
        monkeypatch.setenv(f"COLORLIB_{name}", str(folder / name.lower()))
    monkeypatch.setenv("COLORLIB_CACHE", shared_cache().name)
    monkeypatch.setattr(opening, "SCENES", 300)
    monkeypatch.setenv("COLORLIB_SIZE", "smoke")
    return folder


def infrared_batch(n=2, side=32, seed=0, **more):
    """A training batch of noise: nir `(n, 1, side, side)`, rgb, and more, {key: channels}; uint8."""
    random = torch.Generator().manual_seed(seed)
    return {key: torch.randint(0, 256, (n, channels, side, side), generator=random, dtype=torch.uint8) for key, channels in ({"nir": 1, "rgb": 3} | more).items()}


def fill_parameters(network):
    """Parameters in float64 that need no random numbers, the same wherever the layers are made in the same order; returns the network."""
    for i, p in enumerate(network.double().parameters()):
        wave = torch.sin(0.7 * torch.arange(p.numel(), dtype=p.dtype) + i).view(p.shape)
        p.data = wave / math.sqrt(p[0].numel()) if p.ndim > 1 else 0.1 * wave
    for layer in network.modules():
        if isinstance(layer, torch.nn.BatchNorm2d):
            layer.weight.data += 1
    return network


def truncate(path, share=0.5):
    Path(path).write_bytes(Path(path).read_bytes()[:int(Path(path).stat().st_size * share)])


def packed(count=11, height=12, width=16, **extra):
    """A `Packed` in memory whose picture i has the value i in its first pixel."""
    rgb = np.random.default_rng(1).integers(0, 256, (count, height, width, 3), dtype=np.uint8)
    rgb[:, 0, 0, 0] = range(count)
    return data.Packed(rgb, [f"p{i}" for i in range(count)], list(range(count)), extra)


def same(a, b):
    """Whether two samples or batches are equal, key by key."""
    return a.keys() == b.keys() and all(torch.equal(x, b[k]) if torch.is_tensor(x) else x == b[k] for k, x in a.items())


def noisy_photos():
    """Two photos and a worse copy: uint8 (2, 3, 96, 80) each."""
    crops = [photo[100:196, 100:180].copy() for photo in (astronaut(), coffee())]
    true = torch.stack([torch.from_numpy(crop).movedim(-1, 0) for crop in crops])
    noise = torch.randn(true.shape, generator=torch.Generator().manual_seed(0)) * 20
    return (true + noise).clamp(0, 255).byte(), true
