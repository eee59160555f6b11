"""Training: one visible loop on Lightning Fabric, three sizes, checkpoints that resume bit-equal.

    python -m colorlib train cic --size paper --data imagenette                  # on one device
    python -m colorlib train cic --size paper --data imagenette --devices 8      # on eight of a machine

is `experiments.train_method`, which comes down to

    fabric = make_fabric()                                   # the device, the precision, the processes
    step = paper.make_step(config, fabric, dataset)
    log = fit(step, dataset, steps=10_000, batch_size=32, fabric=fabric, run="runs/mine")
    model = step.result()

A paper's `Step` owns its modules and optimizers, performs one update per call with `descend` or `update`, and returns its
losses. `fit` only feeds it, logs and saves. The same program runs on a laptop and, under `torchrun`, on many machines.
"""
import contextlib
import ctypes
import os
import random
import time

import numpy as np
import torch

from colorlib.progress import track
from colorlib.train import checkpoints
from colorlib.train.checkpoints import Record, check_loss
from colorlib.train.interruptions import Requests, Stopped, hold, in_sentences

__all__ = ["fit", "Stopped", "SIZES", "size", "make_fabric", "pick_device", "prepare", "descend", "update", "frozen", "moving_average",
           "seed_everything"]

SIZES = ("smoke", "class", "paper")
SAVE_SECONDS = 60       # a run in one process loses at most this much work


# ---------------------------------------------------------------- the loop

def fit(step, dataset, *, steps, batch_size, fabric, seed=0, crop=None, flip=True, run=None, tag="", log_every=50, save_every=500, workers=0,
        progress=None):
    """Call `step(batch) -> {name: loss}` until `steps` updates are done; return the log, one dict a row.

    dataset: map-style, samples are dicts, or a `data.Streamed`. crop: side of a random square crop; flip: mirror half of
    the pictures. The batch of update i depends on (seed, i) alone. Logged values are means over the updates since the row
    before. workers: processes that load pictures.

    run: folder for `log.jsonl` and checkpoints; when it holds one, training goes on from there and gives the losses it
    would have given without the interruption (bit-equal on a CPU). tag: names the configuration; a checkpoint with
    another tag, of other pictures or batches is refused (ValueError), and so is a folder that another process trains in.

    Ctrl-C and SIGTERM end the training after the update they come in, with a checkpoint: raises `Stopped`. Raises
    FloatingPointError where numbers are not finite any more, OSError where the disk or another process fails,
    MemoryError; the last checkpoint is then unharmed.

    >>> from colorlib.data import Packed
    >>> class Step:
    ...     def __call__(self, batch):
    ...         return {"loss": batch["rgb"].double().mean()}
    >>> black_and_white = Packed(np.uint8([[[[0]]], [[[255]]]]), ["black", "white"])
    >>> fit(Step(), black_and_white, steps=4, batch_size=1, fabric=make_fabric("cpu"), log_every=2, progress=False)
    [{'step': 2, 'loss': 127.5}, {'step': 4, 'loss': 127.5}]
    """
    from colorlib import data      # here, because it takes seconds that colorizing a photo does not need
    check_counts(steps=steps, batch_size=batch_size, log_every=log_every, save_every=save_every, crop=crop)
    with hold(run, fabric) as run, in_sentences(batch_size, fabric), Requests(fabric) as requests:
        drawn = {"seed": seed, "crop": crop, "flip": flip, "workers": workers}
        known = {} if run is None else data.feeding.describe_feed(dataset, batch_size, **drawn, world=fabric.world_size)
        record = Record() if run is None else checkpoints.resume(run, step, steps, tag, known, fabric)
        feed = data.batches(data.resident(dataset, fabric.device), batch_size, **drawn, first=record.done, steps=steps, rank=fabric.global_rank,
                            world=fabric.world_size, pin=fabric.device.type == "cuda")
        bar = track(None, progress if fabric.is_global_zero else False, total=steps, initial=record.done)
        record.start()
        saved, kept, is_between = time.monotonic(), record.done, True

        def save():
            nonlocal saved, kept
            saved = time.monotonic()
            check_loss(record.totals.get("loss", 0.0))
            if run is not None:
                data.feeding.check_unchanged(dataset)
                checkpoints.save(run, step, record, steps, tag, known, fabric)
            kept = record.done

        try:
            with contextlib.closing(feed), contextlib.closing(bar):
                for i, batch in enumerate(on_device(feed, fabric, ahead=workers > 0), record.done + 1):
                    # update
                    is_between = False
                    record.add(step(batch))

                    # log
                    if i % log_every == 0 or i == steps:
                        means = record.write_row(i, i % log_every == 0, run and run / "log.jsonl", fabric)
                        bar.set_postfix({name: f"{value:.4f}" for name, value in means.items()})
                    record.done, is_between = i, True
                    bar.update()

                    # save
                    number = requests.waiting()
                    overdue = fabric.world_size == 1 and time.monotonic() - saved > SAVE_SECONDS      # several processes must agree, so they only count
                    if i % save_every == 0 or i == steps or overdue or number:
                        save()

                    # stop
                    if number:
                        raise Stopped(i, run, number)
        except KeyboardInterrupt as error:      # not to be put off: where no handler can be set, or the second of two
            if isinstance(error, Stopped):
                raise
            if is_between and not requests.numbers:
                save()
            raise Stopped(kept, run) from None
        if run is None:
            checkpoints.check_finite(checkpoints.states_of(step))
    return [{name: value for name, value in row.items() if name not in checkpoints.Clock.NAMES} for row in record.log]


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


def check_counts(**counts):
    """Raises ValueError for what must be a whole number from 1 on, or None, and is not."""
    for name, value in counts.items():
        if value is not None and (isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < 1):
            raise ValueError(f"{name} is {value!r}: give a whole number from 1 on.")


# ---------------------------------------------------------------- where it runs, and how large

def size():
    """The size everything runs at: the environment variable COLORLIB_SIZE, "smoke" unless set. Raises ValueError for another word.

    >>> size() in SIZES
    True
    """
    chosen = os.environ.get("COLORLIB_SIZE", "smoke")
    if chosen not in SIZES:
        raise ValueError(f"COLORLIB_SIZE is {chosen!r}; set it to smoke, class or paper.")
    return chosen


def pick_device(device="auto"):
    """ "auto" (a GPU when there is one), or any torch device name. Raises ValueError for a GPU that is not there.

    >>> pick_device("cpu")
    device(type='cpu')
    """
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
    """A Lightning Fabric for `fit`: device "auto", "cpu" or "cuda"; devices: on each of `nodes` machines, "auto": all GPUs,
    one processor; precision "32-true" or "bf16-mixed" (default: bf16 on a GPU that has it).

    Under torchrun, devices and nodes are what it started. Raises ValueError where that contradicts what is asked for.

    >>> fabric = make_fabric("cpu")
    >>> fabric.device, fabric.world_size
    (device(type='cpu'), 1)
    """
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


def seed_everything(seed):
    """Seed Python, NumPy and torch (all devices).

    >>> draws = [(seed_everything(3), random.random(), np.random.rand(), float(torch.rand(1))) for _ in range(2)]
    >>> draws[0] == draws[1]
    True
    """
    random.seed(seed)
    np.random.seed(seed % 2 ** 32)
    torch.manual_seed(seed)


# ---------------------------------------------------------------- what a Step is made of

def prepare(fabric, module, optimizer, compile=False, channels_last=True):
    """Put a module on the device, in channels_last (mostly faster convolutions) unless told not to, compile it when asked,
    hand both to Fabric; returns what it made of them.

    >>> layer = torch.nn.Conv2d(3, 8, 3)
    >>> module, optimizer = prepare(make_fabric("cpu"), layer, torch.optim.SGD(layer.parameters(), 0.1))
    >>> module.module is layer, module(torch.zeros(1, 3, 8, 8)).shape
    (True, torch.Size([1, 8, 6, 6]))
    """
    module = module.to(memory_format=torch.channels_last) if channels_last else module
    return fabric.setup(torch.compile(module) if compile else module, optimizer)


def descend(fabric, module, optimizer, losses_of, batch, parts=1, clip=None):
    """One optimizer step on `losses_of(part)["loss"]`, averaged over `parts` equal slices of the batch (gradient accumulation).

    batch: dict of tensors with a common first axis. losses_of: dict of tensors; entries beside "loss" are only reported.
    clip: largest gradient norm. Returns the means, detached. Raises ValueError when the batch cannot be cut into `parts`
    and FloatingPointError when the loss is not finite: the parameters are then untouched.

    >>> fabric, layer = make_fabric("cpu"), torch.nn.Linear(1, 1, bias=False)
    >>> module, optimizer = fabric.setup(layer, torch.optim.SGD(layer.parameters(), 0.1))
    >>> losses_of = lambda part: {"loss": (module(part["x"]) - part["y"]).square().mean()}
    >>> batch = {"x": torch.ones(4, 1), "y": torch.full((4, 1), 2.0)}
    >>> for _ in range(100):
    ...     losses = descend(fabric, module, optimizer, losses_of, batch, parts=2)
    >>> round(layer.weight.item(), 3)
    2.0
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
    """One optimizer step on a loss, a tensor of one number; for steps with several networks. Raises FloatingPointError when
    it is not finite: the parameters are then untouched.

    >>> fabric, layer = make_fabric("cpu"), torch.nn.Linear(1, 1)
    >>> module, optimizer = fabric.setup(layer, torch.optim.SGD(layer.parameters(), 0.1))
    >>> update(fabric, optimizer, module(torch.zeros(1, 1)).sum() * float("nan"))
    Traceback (most recent call last):
    FloatingPointError: The loss is not finite: lower the learning rate or check the data; the last checkpoint is unharmed.
    """
    check_loss(loss)
    optimizer.zero_grad()
    fabric.backward(loss)
    optimizer.step()


@contextlib.contextmanager
def frozen(module, on=True):
    """No gradients for a module's parameters inside: backward then skips them, and what reaches its input is the same. on=False
    changes nothing.

    >>> judge, picture = torch.nn.Linear(2, 1), torch.ones(1, 2, requires_grad=True)
    >>> with frozen(judge):
    ...     judge(picture).sum().backward()
    >>> judge.weight.grad is None, torch.equal(picture.grad, judge.weight)
    (True, True)
    """
    module.requires_grad_(not on)
    try:
        yield
    finally:
        module.requires_grad_(True)


def moving_average(module, decay=0.999):
    """A running average of a module's weights over about 1 / (1 - decay) updates (Polyak averaging).

    Call `.update_parameters(module)` after every step; `.module` holds the average.

    >>> layer = torch.nn.Linear(1, 1)
    >>> average = moving_average(layer, decay=0.75)
    >>> for value in (0.0, 1.0):
    ...     average.update_parameters(layer.apply(lambda one: torch.nn.init.constant_(one.weight, value)))
    >>> average.module.weight.item()
    0.25
    """
    averaged = torch.optim.swa_utils.get_ema_multi_avg_fn(decay)
    return torch.optim.swa_utils.AveragedModel(module, multi_avg_fn=averaged, use_buffers=True)


def compact(state):
    """A state dict for storing: floats as fp16 on the CPU, but tensors with a value that fp16 cannot hold (above 65,504:
    variances of batch norm) as they are."""
    largest = torch.finfo(torch.half).max
    fits = lambda value: value.is_floating_point() and bool(value.isfinite().all()) and float(value.abs().max() if value.numel() else 0) <= largest
    return {name: (value.half() if fits(value) else value).contiguous().cpu() for name, value in state.items()}
