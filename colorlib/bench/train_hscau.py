"""HSCAU-Net: updates from picture files, hints and all; the authors' own data set, network and training loop beside ours.

Run as a program, as `loops.Loop` does, this file is the authors' `main.py` with another folder, batch size and no checkpoint to start from.
"""
import contextlib
import importlib
import sys
import tempfile
from pathlib import Path
from types import ModuleType

import torch
from PIL import Image

from colorlib import bench
from colorlib.bench import contestants, loops, official

__all__ = ["VARIANTS"]      # what `python -m colorlib bench` measures: {name: function of (rounds, device) that returns rows}

REPOSITORY = "catsaveearth/Hint-based-Image-Colorization-Using-HSCAU-Net"
EPOCH = 8         # updates, before the authors' loader starts its workers anew


def update(rounds=None, device="cpu", config=None, number=None):
    """Updates at the paper's width and size in batches of `number`, from PNG files: ours from a pack of them, with Lab and hints made a batch at a time; theirs
    with OpenCV's 8-bit Lab and hints made in workers."""
    from colorlib import data
    from colorlib.papers import hscau
    config = config or hscau.RELEASED
    number = number or contestants.choose(device, 2, config.batch_size)
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        write_pictures(Path(folder) / "train", EPOCH * number, config.image_size)
        packed = data.pack(data.Pictures(Path(folder) / "train", size=config.image_size), Path(folder) / "pack")

        def start(fabric, compile):
            return contestants.updates(hscau.Step(config, fabric, compile=compile), data.batches(data.resident(packed, fabric.device), number), fabric)
        found, notes = contestants.make_ours(start, device, f"{number} pictures of {config.image_size} px")
        if clone := official.find(REPOSITORY, "solver.py"):
            arguments = [clone[0], folder, number, torch.device(device).type]
            found["the authors' loop"] = stack.enter_context(loops.Loop(__file__, arguments, folder, device, threads=None))
            notes["the authors' loop"] = f"float32, authors' code at {clone[1]}"
        return bench.race(found, rounds or contestants.choose(device, bench.SLOW_ROUNDS, bench.ROUNDS), device, number, notes, threads=None)


def write_pictures(folder, count, side):
    """Pictures of the procedural world as PNG files."""
    from colorlib import scenes
    folder.mkdir(parents=True)
    for seed in range(count):
        Image.fromarray(scenes.make_scene(seed, side).rgb).save(folder / f"{seed}.png")


VARIANTS = {"HSCAU-Net": update}


# ---------------------------------------------------------------- the authors' program

def run(folder, pictures, number, device):
    """Epochs of their training, without an end; folder: of their code."""
    sys.path.insert(0, folder)
    sys.modules.setdefault("natsort", ModuleType("natsort"))      # only their validation sorts names
    network, sets, solver = (importlib.import_module(name) for name in ("model", "data.dataset", "solver"))
    loader = torch.utils.data.DataLoader(sets.ColorHintDataset(pictures, 256, "train"), batch_size=int(number), shuffle=True, num_workers=4)
    net = network.HINT_CSATUNet(n_channels=4, n_classes=2).to(device)
    optimizer = torch.optim.Adam(net.parameters(), lr=5e-4, betas=(0.5, 0.999))
    solver.generator(net, loader, optimizer, torch.nn.L1Loss().to(device), 0, device)


if __name__ == "__main__":
    run(*sys.argv[1:])
