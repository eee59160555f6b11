"""Applies to every test and, through the environment, to the notebooks' kernels."""
import os
from pathlib import Path

import pytest

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")      # threads that wait should not spin: on a busy two-core machine that is most of the time
os.environ.setdefault("OMP_NUM_THREADS", "1")            # most tensors here are too small to share, and whole folders are run by several processes
MOST_PROCESSES = 4


@pytest.hookimpl(tryfirst=True)      # before pytest-xdist reads the option
def pytest_cmdline_main(config):
    """Whole folders are run by as many processes as there are cores, a file by one of them, unless -n says otherwise (-n 0: none but this one)."""
    if "PYTEST_XDIST_WORKER" in os.environ:
        return      # this is one of them, or was started by one
    cores = min(MOST_PROCESSES, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)
    if cores > 1 and getattr(config.option, "numprocesses", 0) is None and all(Path(arg).is_dir() for arg in config.args):
        config.option.numprocesses, config.option.dist = cores, "loadfile"
