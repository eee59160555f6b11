"""What may end a training early: Ctrl-C, SIGTERM, a closed terminal, a want of memory, another process that is gone.

Each ends it in one sentence, with a checkpoint where one can be written.
"""
import contextlib
import contextvars
import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import filelock
import torch

from colorlib import files

__all__ = ["Stopped"]

ENDINGS = (signal.SIGTERM, *((signal.SIGHUP,) if hasattr(signal, "SIGHUP") else ()))      # of clusters, of a terminal that is closed
NOTICE_SECONDS = 1      # who asks a training to stop hears so soon that its update goes on to the end
GRACE_SECONDS = 20      # of several processes one that waits for another longer than this is ended: clusters kill after 30 s


class Stopped(KeyboardInterrupt):
    """A training was asked to stop and did, after update `done`, or, where that is None, while its pictures and networks
    were made ready. number: the signal that came; the exit status of a command is 128 more.

    >>> print(Stopped(1200, "runs/mine"))
    stopped at update 1,200; the same command goes on from there.
    """

    def __init__(self, done, run, number=signal.SIGINT):
        kept = "nothing is kept, as it had no run folder" if run is None else "the same command goes on from there"
        what = "between two trainings or before the first; the same command goes on" if done is None else f"at update {done:,}; {kept}"
        super().__init__(f"stopped {what}.")
        self.number = number

    def _render_traceback_(self):
        """What a notebook shows under its cell: the sentence, as it does not matter which line was reached."""
        return [f"{type(self).__name__}: {self}"]


class Requests:
    """Ctrl-C, SIGTERM and SIGHUP (unless `nohup` turned it off) put off to the end of an update, for as long as the context lasts; a second Ctrl-C stops at
    once. Only the main thread can set handlers; in others signals do what they did before."""

    def __init__(self, fabric):
        self.fabric, self.numbers, self.before, self.timers = fabric, [], {}, []

    def __enter__(self):
        if threading.current_thread() is threading.main_thread():
            wanted = (number for number in (signal.SIGINT, *ENDINGS) if signal.getsignal(number) != signal.SIG_IGN or number == signal.SIGINT)
            self.before = {number: signal.signal(number, self.note) for number in wanted}
        return self

    def __exit__(self, *_):
        for timer in self.timers:
            timer.cancel()
        for number, handler in self.before.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)

    def note(self, number, _):
        if number == signal.SIGINT and signal.SIGINT in self.numbers:
            raise KeyboardInterrupt
        self.numbers.append(number)
        if len(self.numbers) == 1:
            if self.fabric.is_global_zero:
                notice = "\ncolorlib: waiting for the end of this update; Ctrl-C once more stops at once."
                self.start(NOTICE_SECONDS, print, notice, file=sys.stderr, flush=True)
            if self.fabric.world_size > 1:      # another process may be gone, and with it the end of this update
                self.start(GRACE_SECONDS, os._exit, 128 + number)

    def start(self, seconds, work, *args, **kwargs):
        timer = threading.Timer(seconds, work, args, kwargs)
        timer.daemon = True
        timer.start()
        self.timers.append(timer)

    def waiting(self):
        """The number of a signal that came, to whichever process of the training; else 0."""
        first = self.numbers[0] if self.numbers else 0
        if self.fabric.world_size == 1:
            return first
        return int(self.fabric.all_reduce(torch.tensor(int(first), device=self.fabric.device), reduce_op="max"))


LACKING = re.compile(r"not enough memory|can't allocate memory|out of memory|ALLOC_FAILED", re.IGNORECASE)
MISTYPED = re.compile(r"scalar type|dtype|not implemented for '|should be the same", re.IGNORECASE)
PARTED = re.compile(r"gloo|nccl|connection (closed|reset|refused)|broken pipe|process group", re.IGNORECASE)


@contextlib.contextmanager
def in_sentences(batch_size, fabric):
    """What torch says of a want of memory and of processes that ended becomes MemoryError, ChildProcessError or ConnectionError with a sentence."""
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if isinstance(error, (MemoryError, torch.OutOfMemoryError)) or LACKING.search(str(error)):
            raise MemoryError(f"Out of memory with batches of {batch_size}: lower --batch-size, add --checkpoint-activations, or choose --precision "
                              "bf16-mixed; the last checkpoint is unharmed.") from error
        if "without overflow" in str(error):
            raise FloatingPointError("A number is beyond what the weights can hold: lower the learning rate; the last checkpoint is unharmed.") from error
        if "DataLoader worker" in str(error):
            from colorlib.data.feeding import GONE
            raise ChildProcessError(GONE) from error
        precision = str(getattr(getattr(fabric, "_precision", None), "precision", ""))
        if precision.endswith("-true") and precision != "32-true" and MISTYPED.search(str(error)):
            raise ValueError(f"This method cannot be computed in --precision {precision} ({str(error).splitlines()[0]}): choose 32-true or "
                             "bf16-mixed.") from error
        if fabric.world_size > 1 and (isinstance(error, torch.distributed.DistError) or PARTED.search(str(error))):
            raise ConnectionError("Another process of this training has ended: the same command goes on from the last checkpoint.") from error
        raise


# ---------------------------------------------------------------- several processes

_held = contextvars.ContextVar("held", default=frozenset())      # folders of this thread's own trainings, each inside the one before


@contextlib.contextmanager
def hold(run, fabric):
    """The run folder as a Path, made if need be and kept from other trainings, in this process or another, as long as the context lasts; None stays None.
    The lock ends with the process that holds it, however that ends. Raises ValueError where another holds it, OSError where the folder cannot be written."""
    if run is None:
        yield None
        return
    run = Path(run)
    if not fabric.is_global_zero or (place := os.path.realpath(run)) in _held.get():
        yield run
        return
    files.make_folder(run)
    lock = filelock.FileLock(run / ".training.lock", timeout=0)
    try:
        lock.acquire()
    except filelock.Timeout:
        raise ValueError(f"Another process trains in {run}: wait for it, or choose another folder with --run.") from None
    except OSError as error:
        raise files.explain(error, run) from error
    token = _held.set(_held.get() | {place})
    try:
        yield run
    finally:
        _held.reset(token)
        lock.release()


def launch(fabric):
    """Start the other processes of a training on this machine, if there are any and torchrun has not done so. When one of them ends in an error the rest
    do, too, within seconds, and so they do without the one that started them."""
    launcher = fabric.strategy.launcher
    if fabric.global_rank == 0 and hasattr(launcher, "procs"):
        threading.Thread(target=end_with_children, args=(launcher.procs,), daemon=True).start()
    os.environ["COLORLIB_PARENT"] = str(os.getpid())
    try:
        fabric.launch()
    finally:
        del os.environ["COLORLIB_PARENT"]


def end_with_children(started):
    """End this process when one of those it started has ended in an error. started: a list of them, empty until they are."""
    while not started:
        time.sleep(0.2)
    children = list(started)
    started.clear()      # or Fabric, which watches the list, kills this process without a word
    while not any(child.poll() for child in children):
        if all(child.returncode == 0 for child in children):
            return
        time.sleep(0.2)
    time.sleep(3)      # whoever was waiting for it has heard of its end and says so
    print("colorlib: Another process of this training has ended: the same command goes on from the last checkpoint.", file=sys.stderr, flush=True)
    for child in children:
        with contextlib.suppress(OSError, subprocess.SubprocessError):
            child.kill()
    os._exit(1)
