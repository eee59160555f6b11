"""An update on several devices beside the same on one: the whole batch shared among them (strong), and a whole batch for each (weak).

The devices' processes are children of this one; on a CPU they speak gloo and have one thread each. The first of them also makes the updates of one device
alone, in turns with those of all together, so that a busy machine slows both alike. `estimate` writes down what the measured rows mean for ImageNet.
"""
import json
import math
import os
import subprocess
import sys
from dataclasses import replace

import torch

from colorlib import bench, results, train
from colorlib.bench import loading
from colorlib.papers import cic

__all__ = ["VARIANTS", "estimate", "gradient_bytes", "sent", "IMAGENET"]

IMAGENET = 1_281_167                # pictures of its training set
SIDE, GPU_BATCH = 256, 64           # of the updates measured on GPUs
GPUS = (8, 64)
RATES = (500, 1_000, 2_000)         # pictures a second of one GPU that `estimate` goes through where none was measured
PATIENCE = 120                      # seconds that a group of processes may take


def update(rounds=None, device="cpu"):
    """An update of the ECCV 2016 network: of class size in one and in two processes on a CPU; at the paper's width on 1, 2, 4, ... GPUs."""
    on_gpu = torch.device(device).type == "cuda"
    most = torch.cuda.device_count() if on_gpu else min(2, train.cores())
    groups = [2 ** i for i in range(1, most.bit_length())]
    return [row for devices in groups for row in measure_group(devices, rounds or bench.SLOW_ROUNDS, "cuda" if on_gpu else "cpu")]


def measure_group(devices, rounds, device):
    """Rows of one device alone and of so many together, from a group of child processes. Raises OSError when they fail."""
    left_out = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "NODE_RANK", "GROUP_RANK", "TORCHELASTIC_RUN_ID", "MASTER_ADDR", "MASTER_PORT")
    environment = {name: value for name, value in os.environ.items() if name not in left_out} | {"OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "colorlib.bench.scaling", str(devices), str(rounds), device]
    try:
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=PATIENCE)
    except subprocess.TimeoutExpired:
        raise OSError(f"{devices} processes did not train together within {PATIENCE} seconds: try again when the machine is less busy.") from None
    if done.returncode:
        raise OSError(f"{devices} processes could not train together: {(done.stderr.strip().splitlines() or [done.returncode])[-1]}")
    return json.loads(done.stdout.strip().splitlines()[-1])


def work(devices, rounds, device):
    """What each process of a group does; the first prints the rows."""
    config = replace(cic.PAPER, image_size=SIDE, batch_size=GPU_BATCH) if device == "cuda" else cic.PRESETS["class"]
    one, many = ("GPU", "GPUs") if device == "cuda" else ("process", "processes")
    fabric = train.make_fabric(device, devices)
    fabric.launch()
    prior, draw = torch.full((config.bins,), 1 / config.bins, dtype=torch.float64), torch.Generator().manual_seed(0)
    rgb = torch.randint(0, 256, (config.batch_size, 3, config.image_size, config.image_size), dtype=torch.uint8, generator=draw)

    def made(fabric, number):
        step, batch = cic.Step(config, fabric, prior), fabric.to_device({"rgb": rgb[:number]})
        return lambda: step(batch)
    whole = config.batch_size
    alone = made(train.make_fabric(device, 1), whole) if fabric.is_global_zero else lambda: None
    pictures = {f"1 {one}": whole, f"{devices} {many}, batch shared": whole, f"{devices} {many}, batch each": whole * devices}
    functions = dict(zip(pictures, (alone, made(fabric, whole // devices), made(fabric, whole))))
    begin_together = lambda function: lambda: (fabric.barrier(), function())
    rows = bench.race({name: begin_together(function) for name, function in functions.items()}, rounds, device)
    if fabric.is_global_zero:
        for row, efficiency in zip(rows, (1, 1 / (devices * rows[1]["ratio"]), 1 / rows[2]["ratio"])):
            row["pictures_per_s"] = 1e3 * pictures[row["method"]] / row["median_ms"]
            row["notes"] = f"efficiency {100 * efficiency:.0f} %; {config.image_size} px, batch {whole}, {fabric._precision.precision}, one thread each"
        print(json.dumps(rows))


# ---------------------------------------------------------------- what it means

def gradient_bytes(config=cic.PAPER):
    """What the devices exchange in an update: all gradients of the ECCV 2016 network, float32.

    >>> gradient_bytes() // 2 ** 20      # MiB
    122
    """
    with torch.device("meta"):
        return 4 * sum(p.numel() for p in cic.ColorfulNet(config).parameters() if p.requires_grad)


def last(kind, method, variant=None):
    """The last measured row of a kind and method, or None."""
    rows = [row for row in results.read(bench.FILE) if row.get("kind") == kind and row["method"] == method and variant in (None, row["variant"])]
    return rows[-1] if rows else None


def estimate():
    """What the paper's training on ImageNet takes on 8 and 64 GPUs, as Markdown, from measured rows alone; what is assumed is called so.

    >>> f"{IMAGENET:,}" in estimate()
    True
    """
    pictures, bytes_ = cic.PAPER.steps * cic.PAPER.batch_size, gradient_bytes()
    gpu = last("scaling", "1 GPU") or last("loader", loading.THERE)
    pack, tars = last("loader", "colorlib, from the pack", "one core"), last("loader", "colorlib, from tars", "one core")
    lines = [f"The paper's {cic.PAPER.steps:,} updates of {cic.PAPER.batch_size} pictures are {pictures / 1e6:.0f} million pictures, {pictures / IMAGENET:.1f} epochs of "
             f"ImageNet's {IMAGENET:,}, here at {SIDE} px instead of {cic.PAPER.image_size}. An update's gradients are {bytes_ / 2 ** 20:.0f} MiB (counted), of which each "
             "of n GPUs sends and receives 2 (n - 1) / n in a ring."]
    cores = lambda rate, row: f"{math.ceil(rate / row['pictures_per_s']):,}" if row else "not measured"
    sources = (pack, "from the pack"), (tars, "from tars of JPEG files")
    if loaders := " and ".join(f"{row['pictures_per_s']:,.0f} pictures/s {words}" for row, words in sources if row):
        lines.append(f"One core gives {loaders} ({(pack or tars)['machine']}). Assumption: other cores give as much, and do so together.")
    if gpu is None:
        lines.append("**No GPU was measured, so no time is given.** What feeding takes, if one GPU takes so many pictures a second (assumption), and what each GPU "
                     f"sends and receives a second at {GPU_BATCH} pictures an update:")
        table = [["pictures/s a GPU (assumption)", "GPUs", "pictures/s", "cores, from the pack", "cores, from tars", "GB/s each GPU sends"]]
        table += [[f"{rate:,}", str(n), f"{rate * n:,}", cores(rate * n, pack), cores(rate * n, tars), f"{sent(bytes_, n) * rate / GPU_BATCH / 1e9:.2f}"]
                  for n in GPUS for rate in RATES]
        return "\n\n".join([*lines, results.markdown(table)])
    most, share = efficiency()
    together = (f"{most} of them work at {100 * share:.0f} % of that each (measured; assumption: more of them, too)." if most else
                "assumption: many together lose nothing, which nobody measured here.")
    lines.append(f"One GPU ({gpu['machine']}) makes {gpu['pictures_per_s']:,.0f} pictures/s at {SIDE} px, {GPU_BATCH} an update; {together}")
    table = [["GPUs", "pictures/s", "hours", "cores, from the pack", "cores, from tars", "GB/s each GPU sends"]]
    for n in GPUS:
        rate = n * gpu["pictures_per_s"] * share
        traffic = sent(bytes_, n) * rate / n / GPU_BATCH / 1e9
        table.append([str(n), f"{rate:,.0f}", f"{pictures / rate / 3600:.1f}", cores(rate, pack), cores(rate, tars), f"{traffic:.2f}"])
    return "\n\n".join([*lines, results.markdown(table)])


def sent(bytes_, count):
    """Bytes each of `count` devices sends in an update, by a ring.

    >>> sent(100, 2), sent(100, 8)      # never twice as much, however many there are
    (100.0, 175.0)
    """
    return 2 * bytes_ * (count - 1) / count


def efficiency():
    """(the most GPUs measured together, their weak efficiency); (0, 1.0) where none were."""
    found = [(n, row) for n in (2 ** i for i in range(1, 12)) if (row := last("scaling", f"{n} GPUs, batch each"))]
    return (found[-1][0], 1 / found[-1][1]["ratio"]) if found else (0, 1.0)


VARIANTS = {"update of the ECCV 2016 network": update}

if __name__ == "__main__":
    work(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3])
