"""Other people's training programs, each in a process of its own that waits before every batch, so that it can be measured an update at a time.

The program runs as it is: its networks, its data loader, its order of operations. Where no GPU is wanted, `.cuda()` leaves things where they are.
"""
import importlib
import json
import os
import runpy
import subprocess
import sys
import tempfile
from pathlib import Path

import torch

__all__ = []      # for the benchmarks of updates, `train_*.py`

READY = "ready\n"
CHILD = "from colorlib.bench import loops; loops.run()"


class Loop:
    """A training program; every call is one update, the reading of the next batch included. Leaving the context ends the process.

    script: a Python file, run with `arguments` (texts) in the folder `work`; prepare: "module:function", called before it. threads: of torch (None: as many as
    it likes). Raises RuntimeError, with what the program wrote last, when it ends by itself.
    """

    def __init__(self, script, arguments, work, device="cpu", prepare=None, threads=1):
        self.script, self.errors = Path(script), tempfile.TemporaryFile("w+")
        asked = {"script": str(script), "arguments": list(map(str, arguments)), "device": torch.device(device).type, "prepare": prepare, "threads": threads}
        paths = [str(Path(__file__).parents[2]), *filter(None, [os.environ.get("PYTHONPATH")])]
        environment = os.environ | {"PYTHONPATH": os.pathsep.join(paths), "PYTHONDONTWRITEBYTECODE": "1"}
        environment |= {"OMP_NUM_THREADS": str(threads)} if threads else {}
        self.process = subprocess.Popen([sys.executable, "-c", CHILD, json.dumps(asked)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.errors,
                                        text=True, cwd=work, env=environment)

    def __enter__(self):
        self.wait()                                     # until it asks for its second batch: the first update is done
        return self

    def __call__(self):
        try:
            print("go", file=self.process.stdin, flush=True)
        except BrokenPipeError:      # `wait` says why
            pass
        self.wait()

    def wait(self):
        if self.process.stdout.readline() != READY:
            self.process.wait()
            self.errors.seek(0)
            last = self.errors.read().strip().splitlines() or ["nothing was written"]
            raise RuntimeError(f"{self.script} ended by itself, so it cannot be measured: {last[-1]}")

    def __exit__(self, *_):
        self.process.kill()
        self.process.communicate()
        self.errors.close()


# ---------------------------------------------------------------- in the process

def run():
    """Run the program that the command line names, its data loaders `Paced`, what it prints thrown away."""
    asked = json.loads(sys.argv[1])
    Paced.answer = os.fdopen(os.dup(1), "w")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    if asked["threads"]:
        torch.set_num_threads(asked["threads"])
    torch.utils.data.DataLoader = Paced
    if asked["device"] != "cuda":
        stay_on_cpu()
    sys.argv, sys.path[0] = [asked["script"], *asked["arguments"]], str(Path(asked["script"]).parent)
    if asked["prepare"]:
        module, name = asked["prepare"].split(":")
        getattr(importlib.import_module(module), name)()
    runpy.run_path(asked["script"], run_name="__main__")


def stay_on_cpu():
    """`.cuda()` of tensors and modules does nothing, and one GPU seems to be there: some programs multiply their batch size by the number."""
    torch.Tensor.cuda = torch.nn.Module.cuda = lambda self, *args, **options: self
    torch.cuda.device_count, torch.cuda.FloatTensor = lambda: 1, torch.FloatTensor
    torch.cuda.is_available = lambda: False                # or, with the setting Lightning leaves in the environment, it would believe that number


class Paced(torch.utils.data.DataLoader):
    """A data loader without an end; before every batch but the first it says that it is ready, and waits."""
    answer = None

    def __iter__(self):
        is_first = True
        while True:
            for batch in super().__iter__():
                if not is_first:
                    if torch.cuda.is_initialized():
                        torch.cuda.synchronize()
                    self.answer.write(READY)
                    self.answer.flush()
                    if not sys.stdin.readline():
                        raise SystemExit
                is_first = False
                yield batch
