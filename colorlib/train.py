"""Training: one visible loop on Lightning Fabric, three sizes, checkpoints that resume bit-equal.

A paper's `Step` owns its modules and optimizers and performs one update per call. `fit` only feeds it, logs and saves. Devices,
precision and several machines come from Fabric: the same command runs on a laptop, and under `torchrun` on many machines.
"""
import contextlib
import ctypes
import os
import random
import time

import numpy as np
import torch

from colorlib import checkpoints
from colorlib.interruptions import Requests, Stopped, hold, in_sentences
from colorlib.progress import track

SIZES = ("smoke", "class", "paper")
SAVE_SECONDS = 60       # a run in one process loses at most this much work


def size():
    """The size everything runs at: the environment variable COLORLIB_SIZE, "smoke" unless set. Raises ValueError for another word."""
    chosen = os.environ.get("COLORLIB_SIZE", "smoke")
    if chosen not in SIZES:
        raise ValueError(f"COLORLIB_SIZE is {chosen!r}; set it to smoke, class or paper.")
    return chosen


def pick_device(device="auto"):
    """ "auto" (a GPU when there is one), or any torch device name. Raises ValueError for a GPU that is not there."""
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        chosen = torch.device("cuda" if device == "gpu" else device)
    except RuntimeError:
        raise ValueError(f"{device!r} is not a device: use auto, cpu or cuda.") from None
    if chosen.type == "cuda" and not torch.cuda.is_available():
        raise ValueError("No CUDA device is visible: use device='cpu', or check the driver with `nvidia-smi`.")
    return chosen


def make_fabric(device="auto", devices="auto", precision=None, strategy="auto", nodes=1):
    """A Lightning Fabric for `fit`: device "auto", "cpu" or "cuda"; devices: on each of `nodes` machines, "auto": all GPUs, one processor; precision "32-true" or
    "bf16-mixed" (default: bf16 on a GPU that has it).

    Under torchrun, devices and nodes are what it started. Raises ValueError where that contradicts what is asked for."""
    on_gpu = pick_device(device).type == "cuda"
    if precision is None:
        precision = "bf16-mixed" if on_gpu and torch.cuda.is_bf16_supported() else "32-true"
    if not on_gpu:
        keep_freed_memory()
    if "TORCHELASTIC_RUN_ID" in os.environ:
        started = int(os.environ["LOCAL_WORLD_SIZE"]), int(os.environ["WORLD_SIZE"]) // int(os.environ["LOCAL_WORLD_SIZE"])
        if devices not in ("auto", started[0]) or nodes not in (1, started[1]):
            raise ValueError(f"torchrun started {started[0]} processes on each of {started[1]} machines, which {devices} devices on {nodes} contradicts: leave "
                             "those out.")
        devices, nodes = started
    elif not on_gpu and devices == "auto":
        devices = 1
    import lightning_fabric      # here, because it takes seconds that colorizing a photo does not need
    return lightning_fabric.Fabric(accelerator="cuda" if on_gpu else "cpu", devices=devices, strategy=strategy, precision=precision, num_nodes=nodes)


def cores():
    """Processor cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def keep_freed_memory():
    """Let the C library of Linux keep up to 2 GiB of freed memory for this process. By default tensors beyond 128 KiB to 32 MiB go back to the system as soon
    as they are freed, and come again as fresh pages, which takes up to a third of an update on a CPU. Does nothing on other systems."""
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return
    for setting, value in ((-3, 2 ** 30), (-1, 2 ** 31 - 1), (-2, 2 ** 27)):      # M_MMAP_THRESHOLD, M_TRIM_THRESHOLD, M_TOP_PAD
        mallopt(setting, value)


def check_counts(**counts):
    """Raises ValueError for what must be a whole number from 1 on, or None, and is not."""
    for name, value in counts.items():
        if value is not None and (isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < 1):
            raise ValueError(f"{name} is {value!r}: give a whole number from 1 on.")


def seed_everything(seed):
    """Seed Python, NumPy and torch (all devices)."""
    random.seed(seed)
    np.random.seed(seed % 2 ** 32)
    torch.manual_seed(seed)


def prepare(fabric, module, optimizer, compile=False, channels_last=True):
    """Put a module on the device, in channels_last (mostly faster convolutions) unless told not to, compile it when asked, hand both to Fabric."""
    module = module.to(memory_format=torch.channels_last) if channels_last else module
    return fabric.setup(torch.compile(module) if compile else module, optimizer)


def moving_average(module, decay=0.999):
    """A running average of a module's weights over about 1 / (1 - decay) updates (Polyak averaging).

    Call `.update_parameters(module)` after every step; `.module` holds the average.
    """
    averaged = torch.optim.swa_utils.get_ema_multi_avg_fn(decay)
    return torch.optim.swa_utils.AveragedModel(module, multi_avg_fn=averaged, use_buffers=True)


def compact(state):
    """A state dict for storing: floats as fp16 on the CPU, but tensors with a value that fp16 cannot hold (above 65,504: variances of batch norm) as they are."""
    fits = lambda value: value.is_floating_point() and bool(value.isfinite().all()) and float(value.abs().max() if value.numel() else 0) <= torch.finfo(torch.half).max
    return {name: (value.half() if fits(value) else value).contiguous().cpu() for name, value in state.items()}


def check_loss(loss):
    """Raises FloatingPointError for a loss, a number or a tensor of one, that is not finite."""
    if not torch.isfinite(torch.as_tensor(loss)):
        raise FloatingPointError("The loss is not finite: lower the learning rate or check the data; the last checkpoint is unharmed.")


def descend(fabric, module, optimizer, losses_of, batch, parts=1, clip=None):
    """One optimizer step on `losses_of(part)["loss"]`, averaged over `parts` equal slices of the batch (gradient accumulation).

    batch: dict of tensors with a common first axis. losses_of: dict of tensors; entries beside "loss" are only reported. clip: largest gradient
    norm. Returns the means, detached. Raises ValueError when the batch cannot be cut into `parts` and FloatingPointError when the loss is not
    finite: the parameters are then untouched.
    """
    count = next(len(v) for v in batch.values() if torch.is_tensor(v))
    if count % parts:
        raise ValueError(f"A batch of {count} cannot be cut into {parts} equal parts: choose a batch size divisible by it.")
    optimizer.zero_grad()
    totals = {}
    for i in range(parts):
        chosen = slice(i * count // parts, (i + 1) * count // parts)
        with fabric.no_backward_sync(module, enabled=i < parts - 1):
            losses = losses_of({k: v[chosen] for k, v in batch.items()})
            fabric.backward(losses["loss"] / parts)
        totals = {name: totals.get(name, 0.0) + value.detach() / parts for name, value in losses.items()}
    check_loss(totals["loss"])
    if clip:
        fabric.clip_gradients(module, optimizer, max_norm=clip)
    optimizer.step()
    return totals


def update(fabric, optimizer, loss):
    """One optimizer step on a loss, a tensor of one number; for steps with several networks. Raises FloatingPointError when it is not finite: the parameters
    are then untouched."""
    check_loss(loss)
    optimizer.zero_grad()
    fabric.backward(loss)
    optimizer.step()


@contextlib.contextmanager
def frozen(module, on=True):
    """No gradients for a module's parameters inside: backward then skips them, and what reaches its input is the same. on=False changes nothing."""
    module.requires_grad_(not on)
    try:
        yield
    finally:
        module.requires_grad_(True)


def fit(step, dataset, *, steps, batch_size, fabric, seed=0, crop=None, flip=True, run=None, tag="", log_every=50, save_every=500, workers=0,
        progress=None):
    """Call `step(batch) -> {name: loss}` until `steps` updates are done; return the log, one dict a row.

    dataset: map-style, samples are dicts, or a `data.Streamed`. crop: side of a random square crop. The batch of update i depends on (seed, i) alone.
    run: folder for `log.jsonl` and checkpoints; when it holds one, training goes on from there and gives the losses it would have given
    without the interruption (bit-equal on a CPU). tag: names the configuration; a checkpoint with another tag, of other pictures or batches is refused
    (ValueError), and so is a folder that another process trains in. Logged values are means over the updates since the row before.
    Ctrl-C and SIGTERM end the training after the update they come in, with a checkpoint: raises `Stopped`. Raises FloatingPointError where numbers are not
    finite any more, OSError where the disk or another process fails, MemoryError; the last checkpoint is then unharmed.
    """
    from colorlib import data      # here, because it takes seconds that colorizing a photo does not need
    check_counts(steps=steps, batch_size=batch_size, log_every=log_every, save_every=save_every, crop=crop)
    with hold(run, fabric) as run, in_sentences(batch_size, fabric), Requests(fabric) as requests:
        known = {} if run is None else data.describe_feed(dataset, batch_size, seed=seed, crop=crop, flip=flip, workers=workers, world=fabric.world_size)
        done, totals, log, spent = (0, {}, [], {}) if run is None else checkpoints.resume(run, step, steps, tag, known, fabric)
        feed = data.batches(data.resident(dataset, fabric.device), batch_size, seed=seed, first=done, steps=steps, crop=crop, flip=flip, workers=workers,
                            rank=fabric.global_rank, world=fabric.world_size, pin=fabric.device.type == "cuda")
        bar = track(None, progress if fabric.is_global_zero else False, total=steps, initial=done)
        clock, saved, kept, is_between = checkpoints.Clock(**spent), time.monotonic(), done, True

        def save():
            check_loss(totals.get("loss", 0.0))
            if run is not None:
                data.check_unchanged(dataset)
                checkpoints.save(run, step, done, steps, totals, log, clock.read(), tag, known, fabric)
        try:
            with contextlib.closing(feed), contextlib.closing(bar):
                for i, batch in enumerate(on_device(feed, fabric, ahead=workers > 0), done + 1):
                    is_between = False
                    losses = step(batch)
                    totals = {name: totals.get(name, 0.0) + value.detach().double() for name, value in losses.items()} | {"count": totals.get("count", 0) + 1}
                    if i % log_every == 0 or i == steps:
                        means = {name: float(fabric.all_reduce(value)) / totals["count"] for name, value in totals.items() if name != "count"}
                        check_loss(means.get("loss", 0.0))
                        log.append({"step": i} | means | {name: round(value, 2) for name, value in clock.read().items()})
                        totals = {} if i % log_every == 0 else totals      # a last row out of turn leaves the next mean whole
                        bar.set_postfix({name: f"{value:.4f}" for name, value in means.items()})
                        if run is not None and fabric.is_global_zero:
                            checkpoints.append_row(run / "log.jsonl", log[-1])
                    done, is_between = i, True
                    bar.update()
                    number = requests.waiting()
                    overdue = fabric.world_size == 1 and time.monotonic() - saved > SAVE_SECONDS      # several processes must agree, so they only count
                    if i % save_every == 0 or i == steps or overdue or number:
                        saved = time.monotonic()
                        save()
                        kept = i
                    if number:
                        raise Stopped(i, run, number)
        except KeyboardInterrupt as error:      # not to be put off: where no handler can be set, or the second of two
            if isinstance(error, Stopped):
                raise
            if is_between and not requests.numbers:
                save()
                kept = done
            raise Stopped(kept, run) from None
        if run is None:
            checkpoints.check_finite(checkpoints.states_of(step))
    return [{name: value for name, value in row.items() if name not in checkpoints.Clock.NAMES} for row in log]


def on_device(feed, fabric, ahead=True):
    """The batches of a feed on the device. ahead: on a GPU the next one is copied there while this one is worked on; not for feeds that draw from the run's own
    random state."""
    if fabric.device.type != "cuda" or not ahead:
        yield from map(fabric.to_device, feed)
        return
    side, waiting = torch.cuda.Stream(fabric.device), []

    def hand_over(batch, copied):
        torch.cuda.current_stream().wait_event(copied)
        for value in batch.values():
            if torch.is_tensor(value):
                value.record_stream(torch.cuda.current_stream())
        return batch
    for batch in feed:
        with torch.cuda.stream(side):
            waiting.append((fabric.to_device(batch), side.record_event()))
        if len(waiting) > 1:
            yield hand_over(*waiting.pop(0))
    for batch, copied in waiting:
        yield hand_over(batch, copied)
