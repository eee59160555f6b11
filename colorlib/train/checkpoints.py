"""Checkpoints of a run folder: whole or not at all, checked before they are used; a training that goes on from one is
bit-equal to one that was never interrupted.

`last.ckpt` is the newest, `previous.ckpt` the one before; `log.jsonl` holds the rows of the log.
"""
import contextlib
import json
import os
import random
import shutil
import time
import warnings
import zipfile
from pathlib import Path

import numpy as np
import torch

from colorlib import files
from colorlib.blocks import Pool

__all__ = ["read", "read_rows", "last_rows", "minutes"]


def _parts(step):
    """Everything in a Step that has a state: modules, optimizers, schedules, averaged weights."""
    return {name: value for name, value in vars(step).items() if hasattr(value, "state_dict") and hasattr(value, "load_state_dict")}


def states_of(step):
    """{name: state dict} of those."""
    return {name: part.state_dict() for name, part in _parts(step).items()}


class Record:
    """Where a training stands: updates done, sums of the losses since the last row of the log that was due, all rows, a `Clock`."""

    def __init__(self, done=0, totals=None, log=None, spent=None):
        self.done, self.totals, self.log, self.spent, self.clock = done, totals or {}, log or [], spent or {}, None

    def start(self):
        """Let the clock run on."""
        self.clock = Clock(**self.spent)

    def add(self, losses):
        """Count the losses of an update, {name: tensor of one number}; the device is not waited for."""
        sums = {name: self.totals.get(name, 0.0) + value.detach().double() for name, value in losses.items()}
        self.totals = sums | {"count": self.totals.get("count", 0) + 1}

    def write_row(self, i, is_due, path, fabric):
        """Put the means since the last row that was due into the log, and, unless path is None, at the end of that file; returns them, {name: number}. Raises
        FloatingPointError for a loss that is not finite."""
        means = {name: float(fabric.all_reduce(value)) / self.totals["count"] for name, value in self.totals.items() if name != "count"}
        check_loss(means.get("loss", 0.0))
        self.log.append({"step": i} | means | {name: round(value, 2) for name, value in self.clock.read().items()})
        self.totals = {} if is_due else self.totals      # a last row out of turn leaves the next mean whole
        if path is not None and fabric.is_global_zero:
            append_row(path, self.log[-1])
        return means


def save(run, step, record, steps, tag, known, fabric):
    """Write `run/last.ckpt` whole or not at all; the one before stays as `previous.ckpt`. known: see `feeding.describe_feed`. Raises FloatingPointError for
    weights that are not finite, OSError for a disk that is full or gone; both checkpoints are then as they were."""
    parts = states_of(step)
    check_finite(parts)
    for name, part in _parts(step).items():
        if isinstance(part, Pool) and part.kept and fabric.world_size > 1:      # all else is alike in all processes, or taken from the first at the next update
            parts[name] |= {"of_each": fabric.all_gather(torch.stack(part.kept).to(fabric.device)).cpu()}
    shares = {name: fabric.all_gather(value) if torch.is_tensor(value) and fabric.world_size > 1 else value for name, value in record.totals.items()}
    python_rng, numpy_rng = random.getstate(), np.random.get_state()
    state = {"done": record.done, "steps": steps, "tag": tag, "feed": known, "totals": shares, "log": record.log, **record.clock.read(),
             "torch_rng": torch.get_rng_state(),
             "cuda_rng": [torch.cuda.get_rng_state(fabric.device)] if fabric.device.type == "cuda" else [],
             "python_rng": list(python_rng[1]), "python_gauss": python_rng[2], "numpy_rng": torch.from_numpy(numpy_rng[1].astype(np.int64)),
             "numpy_position": int(numpy_rng[2]), "numpy_gauss": [int(numpy_rng[3]), float(numpy_rng[4])], "parts": parts}
    if fabric.is_global_zero:
        try:
            if (run / "log.jsonl").exists():
                files.sync(run / "log.jsonl")
            with files.scratch_file(run / "next.ckpt") as file:
                torch.save(state, file)
            move_up(run)
        except OSError as error:
            raise explain_disk(error, run / "last.ckpt") from error
    fabric.barrier()


def move_up(run):
    """`next.ckpt`, which is whole, becomes `last.ckpt`, and that `previous.ckpt`; also where a process was killed in the middle of this."""
    if (run / "next.ckpt").exists():
        if (run / "last.ckpt").exists():
            os.replace(run / "last.ckpt", run / "previous.ckpt")
        os.replace(run / "next.ckpt", run / "last.ckpt")
        files.sync(run)


def append_row(path, row):
    """Write a row at the end of a log. Raises OSError with what to do."""
    try:
        with open(path, "a") as file:
            file.write(json.dumps(row) + "\n")
    except OSError as error:
        raise explain_disk(error, path) from error


def explain_disk(error, path):
    """An OSError met while a file of a run was written -> one that says what is free and how to go on."""
    try:
        free = f", {shutil.disk_usage(path.parent).free / 1e6:,.0f} MB are free"
    except OSError:
        free = ""
    why = os.strerror(error.errno) if error.errno else str(error).removesuffix(".")
    told = type(error)(f"{path} cannot be written ({why}{free}): free some space or mend the disk; the same command then goes on from the last checkpoint.")
    told.errno = error.errno
    return told


def found_in(run):
    """The checkpoints of a run folder that are there, the newest first."""
    return [path for path in (run / "last.ckpt", run / "previous.ckpt") if path.exists()]


def read(path):
    """The state in a checkpoint: "done" updates, "log", "parts" {name: state dict} of the Step, and more.

    Every part of it is checked by its checksum first; nothing is unpickled but tensors and plain values. Raises ValueError
    for a file that is cut short, altered or something else, OSError for one that cannot be read.

    >>> Path("last.ckpt").write_bytes(b"half a checkpoint") and read("last.ckpt")
    Traceback (most recent call last):
    ValueError: last.ckpt is no whole checkpoint: it was cut short or altered.
    """
    try:
        with zipfile.ZipFile(path) as parts:
            if parts.testzip() is not None:
                raise zipfile.BadZipFile
        state = torch.load(path, map_location="cpu", weights_only=True)
        if not {"done", "tag", "totals", "log", "torch_rng", "parts"} <= set(state):
            raise KeyError
    except MemoryError:
        raise
    except OSError as error:
        raise OSError(f"{path} cannot be read ({error.strerror or error}): check the disk and the file's permissions.") from error
    except Exception as error:      # zipfile and torch raise many kinds for a file that is not whole
        raise ValueError(f"{path} is no whole checkpoint: it was cut short or altered.") from error
    return state


def check_loss(loss):
    """Raises FloatingPointError for a loss, a number or a tensor of one, that is not finite."""
    if not torch.isfinite(torch.as_tensor(loss)):
        raise FloatingPointError("The loss is not finite: lower the learning rate or check the data; the last checkpoint is unharmed.")


def check_finite(states):
    """states: nested dicts and lists with tensors. Raises FloatingPointError where a number is not finite: such weights are never saved."""
    for name, value in states.items() if isinstance(states, dict) else enumerate(states):
        if isinstance(value, (dict, list, tuple)):
            check_finite(value)
        elif torch.is_tensor(value) and value.is_floating_point() and not value.isfinite().all():
            raise FloatingPointError(f"The weights are not finite any more ({name}): lower the learning rate or check the data; the last checkpoint is "
                                     "unharmed.")


def resume(run, step, steps, tag, known, fabric):
    """Load the newest whole checkpoint of a run folder into `step`; returns its `Record`, or a new one where there is no checkpoint. Raises ValueError where
    none can be read or another training wrote it."""
    if fabric.is_global_zero:
        try:
            move_up(run)
        except OSError as error:
            raise explain_disk(error, run / "last.ckpt") from error
    fabric.barrier()
    state, damaged = None, []
    for path in found_in(run):
        try:
            state = read(path)
            break
        except ValueError as error:
            damaged.append(path)
            fault = error
    done = None if state is None else state["done"]
    if fabric.broadcast(done) != done:
        raise ValueError(f"The processes do not find the same run in {run}: put it on a disk that all machines share.")
    fabric.barrier()
    rows = read_rows(run / "log.jsonl")
    if state is None:
        if damaged:
            raise ValueError(f"Neither checkpoint in {run} can be read: put a copy back, or delete the folder to start again." if len(damaged) > 1 else
                             f"{str(fault).removesuffix('.')}; there is no older one: put a copy back, or delete {run} to start again.") from None
        if fabric.is_global_zero:
            if rows:
                warnings.warn(f"The log in {run} goes to update {max(rows):,}, but there is no checkpoint: the training begins again.")
            (run / "log.jsonl").unlink(missing_ok=True)
        return Record()
    check_state(state, run, step, steps, tag, known)
    if damaged and fabric.is_global_zero:
        lost = max([done, *rows]) - done
        warnings.warn(f"{damaged[0]} was cut short or altered, so the training goes on from {path.name}, at update {done:,}" +
                      (f": the log went to {done + lost:,}, so at least {lost:,} updates are made again." if lost else "."))
        os.replace(damaged[0], damaged[0].with_name("damaged.ckpt"))      # or the next checkpoint would take the good one's place
    try:
        for name, part in _parts(step).items():
            found = state["parts"][name]
            if "of_each" in found and len(found["of_each"]) == fabric.world_size:
                found = {"kept": list(found["of_each"][fabric.global_rank])}
            part.load_state_dict(found)
    except (RuntimeError, ValueError, KeyError, TypeError, IndexError) as error:
        reason = str(error).strip().splitlines()[-1].strip()
        raise ValueError(f"{run} holds a run of another version of this method ({reason}): choose another folder or delete it.") from None
    torch.set_rng_state(state["torch_rng"])
    if fabric.device.type == "cuda" and state["cuda_rng"]:      # of the first process's device, and all devices begin alike
        torch.cuda.set_rng_state(state["cuda_rng"][0], fabric.device)
    random.setstate((3, tuple(state["python_rng"]), state.get("python_gauss")))
    np.random.set_state(("MT19937", state["numpy_rng"].numpy().astype(np.uint32), state["numpy_position"], *state.get("numpy_gauss", (0, 0.0))))
    log = [rows.get(row["step"], {}) | row for row in state["log"]]      # in checkpoints of before rows have no seconds
    if fabric.is_global_zero:      # rows written after the checkpoint will be written again
        try:
            files.write_atomic(run / "log.jsonl", "".join(json.dumps(row) + "\n" for row in log).encode())
        except OSError as error:
            raise explain_disk(error, run / "log.jsonl") from error
    totals = {name: of_process(value, fabric) for name, value in state["totals"].items()}
    return Record(done, totals, log, {name: state.get(name, 0.0) for name in Clock.NAMES})


def of_process(total, fabric):
    """This process's part of a sum that a checkpoint keeps for all of them; the mean, where they were another number."""
    if not torch.is_tensor(total) or not total.ndim:
        return total
    return total[fabric.global_rank] if len(total) == fabric.world_size else total.mean()


def check_state(state, run, step, steps, tag, known):
    """Raises ValueError for a checkpoint that another training wrote."""
    go = "choose another folder or delete it."
    if state["tag"] != tag:
        then = f"{state['tag']}, of {state.get('steps', steps):,} updates"
        raise ValueError(f"{run} holds a run of another configuration ({then}; now {tag}, of {steps:,}): {go}")
    if state["done"] > steps:
        raise ValueError(f"{run} holds {state['done']:,} updates already, more than the {steps:,} asked for: ask for more, or {go}")
    if set(state["parts"]) != set(_parts(step)):
        raise ValueError(f"{run} holds a run of another version of this method (with {', '.join(state['parts'])}; now {', '.join(_parts(step))}): {go}")
    then = state.get("feed", {})      # in checkpoints of before there is none
    if changed := [name for name in known if name in then and then[name] != known[name]]:
        if changed == ["pictures"]:
            raise ValueError(f"The pictures are not those that the run in {run} began with: put back what was changed, or {go}")
        values = ", ".join(f"{name} {then[name]}, now {known[name]}" for name in changed)
        raise ValueError(f"{run} holds a run that began with other settings ({values}): give it the same, or {go}")


def read_rows(path):
    """{update: row} of a log, as far as it can be read: a killed process may have left half a line.

    >>> Path("log.jsonl").write_text('{"step": 50, "loss": 0.25}\\n{"step": 100, "lo') and read_rows(Path("log.jsonl"))
    {50: {'step': 50, 'loss': 0.25}}
    """
    rows = {}
    for line in path.read_text(errors="replace").splitlines() if path.exists() else ():
        with contextlib.suppress(ValueError, KeyError, TypeError, OverflowError, RecursionError):
            row = json.loads(line)
            rows[int(row["step"])] = row
    return rows


class Clock:
    """Seconds since a training began, and those that processors worked for it, which other work on the machine hardly changes; interruptions not counted."""
    NAMES = ("seconds", "cpu_seconds")

    def __init__(self, seconds=0.0, cpu_seconds=0.0):
        self.start, self.cpu_start = time.monotonic() - seconds, time.process_time() - cpu_seconds

    def read(self):
        """{name: value} of those."""
        return {"seconds": time.monotonic() - self.start, "cpu_seconds": time.process_time() - self.cpu_start}


def last_rows(run):
    """The last row of the log of every training under a run folder, pretrainings among them.

    >>> Path("log.jsonl").write_text('{"step": 50, "loss": 0.25}\\n{"step": 100, "loss": 0.125}\\n') and last_rows(".")
    [{'step': 100, 'loss': 0.125}]
    """
    logs = [read_rows(log) for log in sorted(Path(run).rglob("log.jsonl"))]
    return [rows[max(rows)] for rows in logs if rows]


def minutes(run, of="seconds"):
    """Minutes all trainings under a run folder took, interruptions not counted. of: "seconds", or "cpu_seconds" for those of the processors.

    >>> Path("log.jsonl").write_text('{"step": 100, "seconds": 90, "cpu_seconds": 60}\\n') and minutes("."), minutes(".", of="cpu_seconds")
    (1.5, 1.0)
    """
    return sum(row.get(of, 0.0) for row in last_rows(run)) / 60
