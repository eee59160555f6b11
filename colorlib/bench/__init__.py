"""Speed and memory beside named peers, measured in one run, one after the other in turns. Ratios travel between machines; milliseconds do not.

A module each for what is measured: its VARIANTS name functions of (rounds, device) that return rows, ours first, peers after it, most of them by `race`.
A peer that is not installed, and a GPU that is not there, have no row.
"""
import importlib
import os
import platform
import statistics
import time
import warnings

import torch

from colorlib import results, train

__all__ = ["run", "race", "time_in_turns", "table", "machine", "KINDS", "FILE", "ROUNDS", "SLOW_ROUNDS"]

KINDS = {"lab": "conversion", "loader": "loading", "train": "training", "infer": "inference", "memory": "memory",
         "scaling": "scaling"}      # what is measured: its module
FILE = "benchmarks"
ROUNDS, SLOW_ROUNDS = 15, 3


def time_in_turns(functions, rounds=ROUNDS, device="cpu"):
    """{name: function} -> {name: (median, lowest, highest) seconds}. The functions take turns, so that a busy machine slows all of them alike; a first call of
    each does not count. On a GPU a call ends when the device is done.

    >>> found = time_in_turns({"ours": lambda: sum(range(10)), "theirs": lambda: sum(range(1000))}, rounds=3)
    >>> {name: low <= median <= high for name, (median, low, high) in found.items()}
    {'ours': True, 'theirs': True}
    """
    wait = torch.cuda.synchronize if torch.device(device).type == "cuda" else lambda: None
    samples = {name: [] for name in functions}
    for function in functions.values():
        function()
    for _ in range(max(1, rounds)):
        for name, function in functions.items():
            wait()
            start = time.perf_counter()
            function()
            wait()
            samples[name].append(time.perf_counter() - start)
    return {name: (statistics.median(values), min(values), max(values)) for name, values in samples.items()}


def race(functions, rounds=ROUNDS, device="cpu", pictures=1, notes=None, threads=1):
    """Rows of functions that do the same work, timed in turns; the first is ours, and every "ratio" is a time over its time.

    functions: {name: function without arguments}; pictures: how many one call works on; notes: {name: text}; threads: of torch meanwhile (None: as they are).
    Returns [{"method", "n": rounds, "median_ms", "low_ms", "high_ms", "ratio", "pictures_per_s", "threads", "notes"}].

    >>> ours, theirs = race({"ours": lambda: sum(range(10)), "theirs": lambda: sum(range(1000))}, rounds=3, notes={"theirs": "a hundred times as much"})
    >>> ours["ratio"], theirs["notes"], theirs["threads"]
    (1.0, 'a hundred times as much', 1)
    """
    before = torch.get_num_threads()
    torch.set_num_threads(threads or before)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            times = time_in_turns(functions, rounds, device)
    finally:
        torch.set_num_threads(before)
    first = next(iter(times.values()))[0]
    return [{"method": name, "n": max(1, rounds), "median_ms": 1e3 * median, "low_ms": 1e3 * low, "high_ms": 1e3 * high, "ratio": median / first,
             "pictures_per_s": pictures / median, "threads": threads or before, "notes": (notes or {}).get(name, "")} for name, (median, low, high) in times.items()]


def run(kinds=None, only=None, rounds=None, device="auto", write=True):
    """Measure; yield one Markdown table a variant as soon as it is there. kinds: keys of KINDS, by default all; only: names of variants; rounds: how often each
    contestant runs (default: 15, or 3 for slow ones); write: append the rows to `data/results/benchmarks.csv`.

    Raises ValueError for a name that is not known.

    >>> next(run(["juggling"]))
    Traceback (most recent call last):
    ValueError: There is no benchmark 'juggling': choose one of lab, loader, train, infer, memory, scaling.
    """
    device, kinds = train.pick_device(device), list(kinds or KINDS)
    if unknown := next((kind for kind in kinds if kind not in KINDS), None):
        raise ValueError(f"There is no benchmark {unknown!r}: choose one of {', '.join(KINDS)}.")
    known = {kind: importlib.import_module(f"colorlib.bench.{KINDS[kind]}").VARIANTS for kind in kinds}
    every = [variant for variants in known.values() for variant in variants]
    if unknown := next((one for one in only or () if one not in every), None):
        raise ValueError(f"{unknown!r} is not measured by {', '.join(kinds)}: choose one of {', '.join(every)}.")
    for kind, variants in known.items():
        for variant, measure in variants.items():
            if only and variant not in only:
                continue
            rows = [round_off(row) for row in measure(rounds=rounds, device=device)]
            shared = {"kind": kind, "variant": variant, "machine": machine()} | results.provenance()      # one date for all, by which they are found together
            for row in rows if write else ():
                results.append(FILE, shared | row)
            if rows:
                yield f"{kind}: {variant}\n{table(rows)}"


def round_off(row):
    return {key: float(f"{value:.5g}") if isinstance(value, float) else value for key, value in row.items()}


COLUMNS = {"method": "contestant", "threads": "threads", "median_ms": "median ms", "spread": "lowest to highest", "pictures_per_s": "pictures/s",
           "ratio": "time / ours", "peak_mib": "MiB at most", "notes": ""}


def table(rows):
    """Rows of one variant, Markdown; columns that nothing was measured for are left out.

    >>> print(table([{"method": "ours", "median_ms": 1.25, "ratio": 1.0}, {"method": "theirs", "median_ms": 5.0, "ratio": 4.0}]))
    | contestant | median ms | time / ours |
    | --- | ---: | ---: |
    | ours | 1.25 | 1 |
    | theirs | 5 | 4 |
    """
    rows = [row | ({"spread": f"{row['low_ms']:.4g} to {row['high_ms']:.4g}"} if row.get("low_ms") is not None else {}) for row in rows]
    shown = [column for column in COLUMNS if column == "method" or any(row.get(column) not in (None, "") for row in rows)]

    def text(value):
        if isinstance(value, float):
            return f"{value:,.4g}" if abs(value) < 1e4 else f"{value:,.0f}"
        return "" if value is None else str(value)
    return results.markdown([[COLUMNS[column] for column in shown], *([text(row.get(column)) for column in shown] for row in rows)])


def machine():
    """The machine, in words: processor, cores this process may use, GPU.

    >>> f", {train.cores()} cores" in machine()
    True
    """
    name = platform.processor() or platform.machine()
    if os.path.exists("/proc/cpuinfo"):
        with open("/proc/cpuinfo") as file:
            name = next((line.partition(":")[2].strip() for line in file if line.startswith("model name")), name)
    gpu = f", {torch.cuda.device_count()} x {torch.cuda.get_device_name()}" if torch.cuda.is_available() else ""
    return f"{name}, {train.cores()} cores{gpu}"
