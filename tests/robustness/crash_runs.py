"""Trainings in processes that are killed: `Zygote` forks them off one process that has imported everything, so that each begins in milliseconds, and the faults
that such a process can bring upon itself."""
import contextlib
import functools
import json
import os
import random
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path
from unittest import mock

import numpy as np
import torch

from colorlib import __main__ as cli
from colorlib import data, train

ROOT = Path(__file__).parents[2]


class TinyStep:
    """A convolution with dropout, so that the random state matters; Adam, a schedule and a running average, so that they do too."""

    def __init__(self, fabric, parts=1, slow=0.0, dropout=0.3):
        train.seed_everything(0)
        self.fabric, self.parts, self.slow = fabric, parts, slow
        model = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3, padding=1), torch.nn.Dropout(dropout), torch.nn.Conv2d(4, 3, 1))
        optimizer = torch.optim.Adam(model.parameters(), 1e-2)
        self.schedule = torch.optim.lr_scheduler.StepLR(optimizer, 10, 0.7)
        self.model, self.optimizer = train.prepare(fabric, model, optimizer)
        self.average = train.moving_average(model)

    def __call__(self, batch):
        time.sleep(self.slow)
        losses = train.descend(self.fabric, self.model, self.optimizer, self.losses, batch, self.parts)
        self.schedule.step()
        self.average.update_parameters(self.model.module)
        return losses

    def losses(self, batch):
        x = batch["rgb"].float() / 255
        return {"loss": (self.model(x) - x).square().mean()}


class RestlessStep(TinyStep):
    """The same with a little noise in its loss, from Python's and NumPy's generators, of whose pairs of normal deviates a checkpoint must keep the second."""

    def losses(self, batch):
        noise = 1e-3 * (np.random.randn() + random.gauss(0, 1))
        return {"loss": super().losses(batch)["loss"] * (1 + noise)}


def pictures(count=10):
    rgb = np.random.default_rng(0).integers(0, 256, (count, 16, 16, 3), dtype=np.uint8)
    return data.Packed(rgb, [str(i) for i in range(count)])


FEED = {"batch_size": 4, "log_every": 5, "save_every": 7, "crop": 12, "progress": False, "seed": 3}


def fit(step, fabric, run=None, steps=30, **options):
    return train.fit(step, pictures(), steps=steps, fabric=fabric, run=run, **FEED | options)


# ---------------------------------------------------------------- what a job can do

def train_step(run, steps=30, slow=0.0, **options):
    """`fit` on a `RestlessStep`."""
    fabric = train.make_fabric("cpu")
    fit(RestlessStep(fabric, slow=slow), fabric, run, steps, **options)


def train_limited(run, most, **options):
    """The same on a disk that takes files of at most so many bytes."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(most), resource.RLIM_INFINITY))
    train_step(run, **options)


def train_ranks(*arguments, port, save_every, victim=None, number=signal.SIGKILL):
    """The command in two processes, as torchrun would start it, with a row in the log every third update and more checkpoints. Once there is one, a signal
    goes to one of them, 0 or 1, or to this process, 2. Prints how both ended."""
    ranks = []
    for rank in range(2):
        if (process := os.fork()) == 0:
            os.environ.update({"TORCHELASTIC_RUN_ID": "x", "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2", "RANK": str(rank), "LOCAL_RANK": str(rank),
                               "GROUP_RANK": "0", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)})
            with mock.patch.object(train, "fit", functools.partial(train.fit, log_every=3, save_every=save_every)):
                command(*arguments)
        ranks.append(process)
    if victim is not None:
        run = Path(arguments[arguments.index("--run") + 1])
        while not (run / "last.ckpt").exists():
            time.sleep(0.01)
        os.kill([*ranks, os.getpid()][victim], number)
    print(*[os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) for process in ranks])


def command(*arguments):
    """The command line."""
    sys.exit(cli.main([str(one) for one in arguments]))


def pack_folder(folder, cache, most=None):
    """`pack` a folder of pictures; most: bytes that a file may have."""
    if most:
        resource.setrlimit(resource.RLIMIT_FSIZE, (int(most), resource.RLIM_INFINITY))
    data.pack(data.Pictures(folder, size=16), cache)


JOBS = {one.__name__: one for one in (train_step, train_limited, train_ranks, command, pack_folder)}


WRITES = 25     # of so many in a row one is cut short


class Faults:
    """Kills this process at its n-th touch of the disk: before and after each fsync, rename and deletion, and in the middle of some writes of a checkpoint or
    a pack. n=0: never. The number of touches ends up in the file `count`."""

    def __init__(self, n, count):
        self.n, self.count, self.seen, self.writes = n, count, 0, 0

    def touch(self):
        self.seen += 1
        if self.seen == self.n:
            os.kill(os.getpid(), signal.SIGKILL)

    def around(self, work):
        def watched(*args, **kwargs):
            self.touch()
            found = work(*args, **kwargs)
            self.touch()
            return found
        return watched

    def halved(self, write):
        def watched(file, content):
            content, self.writes = bytes(content), self.writes + 1
            if len(content) > 1 and self.writes % WRITES == 1:
                write(file, content[:len(content) // 2])
                self.touch()
                return len(content) // 2
            return write(file, content)
        return watched

    def __enter__(self):
        from colorlib import files
        self.patches = contextlib.ExitStack()
        for name in ("fsync", "replace", "rename", "unlink"):
            self.patches.enter_context(mock.patch.object(os, name, self.around(getattr(os, name))))
        self.patches.enter_context(mock.patch.object(files._Watched, "write", self.halved(files._Watched.write)))
        return self

    def __exit__(self, *_):
        self.patches.close()
        Path(self.count).write_text(str(self.seen))


def work(job):
    """One job, in a process of its own."""
    os.setpgrp()
    for name in ("out", "err"):
        os.dup2(os.open(job[name], os.O_WRONLY | os.O_CREAT | os.O_TRUNC), {"out": 1, "err": 2}[name])
    os.environ.update(job["environment"])
    os.chdir(job["folder"])
    train.SAVE_SECONDS = job["save_seconds"]
    with Faults(job["fault"], job["err"] + ".touches"):
        JOBS[job["what"]](*job["arguments"], **job["options"])


def serve():
    """Fork a process for each line of JSON that comes in; answer with its number, and with its status when it has ended."""
    torch.set_num_threads(1)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    train.make_fabric("cpu")      # imports what it needs
    from colorlib import experiments, zoo
    for name in experiments and zoo.METHODS:
        zoo.get(name).papers
    print("ready", flush=True)
    for line in sys.stdin:
        if (process := os.fork()) == 0:
            status = 70
            try:
                work(json.loads(line))
                status = 0
            except SystemExit as error:
                status = error.code
            except BaseException as error:
                print(f"{type(error).__name__}: {error}", file=sys.stderr)
            finally:
                sys.stderr.flush()
                sys.stdout.flush()
                os._exit(status)
        print(process, flush=True)
        print(os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]), flush=True)


class Zygote:
    """The process that forks, and talk with it."""

    def __init__(self, folder, environment):
        self.folder, self.environment, self.count = Path(folder), environment, 0
        self.process = subprocess.Popen([sys.executable, "-m", "tests.robustness.crash_runs"], cwd=ROOT, text=True, stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, env=os.environ | {"OMP_NUM_THREADS": "1"} | environment)

    def start(self, what, *arguments, fault=0, save_seconds=60.0, environment=None, **options):
        """Start a job; returns a `Job`."""
        if not self.count:
            assert self.process.stdout.readline() == "ready\n"
        self.count += 1
        names = {name: str(self.folder / f"{self.count}.{name}") for name in ("out", "err")}
        job = {"what": what, "arguments": [str(one) for one in arguments], "options": options, "fault": fault, "save_seconds": save_seconds,
               "environment": self.environment | (environment or {}), "folder": str(self.folder)} | names
        self.process.stdin.write(json.dumps(job) + "\n")
        self.process.stdin.flush()
        return Job(int(self.process.stdout.readline()), self.process.stdout, **names)

    def run(self, *arguments, **options):
        """Start a job and wait for it."""
        return self.start(*arguments, **options).wait()

    def close(self):
        self.process.stdin.close()
        self.process.wait()


class Job:
    def __init__(self, process, pipe, out, err):
        self.process, self.pipe, self.out, self.err, self.status = process, pipe, Path(out), Path(err), None

    def wait(self):
        self.status = int(self.pipe.readline())
        return self

    def send(self, number):
        """A signal, to the process and those that it started."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process, number)
        return self

    def wait_for(self, condition, seconds=60):
        """Until a function says yes."""
        end = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < end, self.err.read_text()[-2000:]
            time.sleep(0.005)
        return self

    @property
    def sentences(self):
        """What it said, but for bars of progress."""
        lines = self.err.read_text(errors="replace").replace("\r", "\n").splitlines()
        return [line[line.index("colorlib: ") + 10:] for line in lines if "colorlib: " in line]

    @property
    def touches(self):
        return int(Path(f"{self.err}.touches").read_text())


def rows(run):
    """The log of a run, but for what a clock wrote."""
    return [{name: value for name, value in json.loads(line).items() if "seconds" not in name} for line in (Path(run) / "log.jsonl").read_text().splitlines()]


def outcome(run):
    """All that a run folder and those inside it hold in the end, {path: tensor or text}, but for what a clock wrote."""
    found = {}
    for path in sorted(Path(run).rglob("*")):
        name = path.relative_to(run)
        if path.name == "log.jsonl":
            found[f"{name}"] = repr(rows(path.parent))
        elif path.name == "last.ckpt":
            state = torch.load(path, weights_only=True)
            log = [{key: value for key, value in row.items() if "seconds" not in key} for row in state.pop("log")]
            found |= flatten({key: value for key, value in state.items() if "seconds" not in key} | {"log": log}, str(name))
        elif path.suffix == ".safetensors":
            found[f"{name}"] = path.read_bytes().hex()
        elif path.suffix == ".tmp" or "damaged" in path.name:
            found[f"{name}"] = "left over"
    return found


def flatten(value, name=""):
    """Nested dicts and lists -> {path: tensor or text}."""
    if isinstance(value, (dict, list, tuple)):
        parts = value.items() if isinstance(value, dict) else enumerate(value)
        return {key: one for part, inner in parts for key, one in flatten(inner, f"{name}/{part}").items()}
    return {name: value if torch.is_tensor(value) else repr(value)}


def assert_equal(found, expected):
    assert set(found) == set(expected)
    for name, value in expected.items():
        assert torch.equal(found[name], value) if torch.is_tensor(value) else found[name] == value, name


if __name__ == "__main__":
    serve()
