"""`python -m colorlib reproduce all`: every method's chapter, the leaderboard, what conditions buy and the survey's tables, several processes at a time.

Each part is a command of its own in a process of its own, so that one that fails leaves the others alone; its output goes to `runs/reproduce/logs`. Started
again, even after it was killed, only what is not finished is done.
"""
import os
import subprocess
import sys
import time
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path

from colorlib import experiments, results, train, zoo
from colorlib.experiments import condition_table, hint_curves, leaderboard, reproduction
from colorlib.figures import diagrams, survey_figures
from colorlib.files import make_folder, write_atomic
from colorlib.progress import track
from colorlib.results import readme, survey

__all__ = ["run", "Part", "Estimate"]

MOST_WORKERS = 4            # processes at a time: each takes up to 2 GB
USUAL_SECONDS = 20.0        # of one core, that a part takes at smoke size; the estimate corrects itself by what the finished ones took
SECONDS = {"tcvc": 300.0, "tcvc_lines": 155.0, "leaderboard": 95.0, "film_released": 90.0, "gray2color": 85.0, "gray2color_seed": 85.0,
           "stacked_gan": 80.0, "conditions": 75.0, "film": 60.0, "concat": 60.0, "triplet_gan": 50.0, "fcnn": 50.0, "scgan": 45.0, "welsh": 30.0,
           "levin": 10.0}      # of those that take longer, or less
SMOKE_LEADERBOARD = ("--seeds", "1", "--steps", "40", "--minutes", "0.05", "--limit", "32")
SMOKE_CONDITIONS = ("--seeds", "1", "--steps", "40", "--limit", "32")


@dataclass(frozen=True)
class Part:
    """One process: `python -m colorlib <arguments>`, and how many seconds of one core it takes at smoke size.

    >>> Part("tcvc", ("reproduce", "tcvc")).seconds > Part("levin", ("reproduce", "levin")).seconds
    True
    """
    name: str
    arguments: tuple

    @property
    def seconds(self):
        return SECONDS.get(self.name, USUAL_SECONDS)


def run(size=None, spec=None, limit=None, device="auto", photos=None, again=False, workers=None):
    """Do every part that is not finished; yield a line about each, with what it took and how long the rest may take, and write the tables that compare methods.

    Arguments: see `reproduction.reproduce`. workers: default: one a core, at most MOST_WORKERS, and one on a GPU. Raises ValueError at the end with a
    sentence about each part that failed.

    >>> next(run(size="smoke", device="a teapot"))
    Traceback (most recent call last):
    ValueError: ...
    """
    size = size or train.size()
    options = ("--size", size, "--device", device, *(("--data", str(spec)) if spec else ()))
    chapters, comparisons, last = methods(options, limit, photos, again), compare(size, spec, options), [Part("survey", ("reproduce", "survey", *options))]
    waiting = [part for part in chapters if again or not is_finished(part.name, size, spec, limit, photos)]
    if skipped := len(chapters) - len(waiting):
        yield f"{skipped} of {len(chapters)} methods were finished before; --again does them anew"
    workers = workers or (1 if train.pick_device(device).type == "cuda" else min(train.cores(), MOST_WORKERS))
    failed, clock = {}, Estimate(waiting + comparisons + last, workers)
    with track(None, sys.stderr.isatty(), total=round(clock.left), unit="s", desc="reproduce") as bar:
        for stage in (waiting, comparisons, last):      # each reads what those before it left
            for part, seconds, error in work(stage, workers):
                failed |= {part.name: error} if error else {}
                clock.finish(part, seconds)
                bar.update(part.seconds)
                bar.clear()
                yield (f"{clock.count} of {clock.total}: {part.name} {'failed' if error else 'done'} in {seconds:.0f} s"
                       + (f"; about {clock.minutes_left():.0f} minutes left" if clock.left else "") + (f": {error}" if error else ""))
                bar.refresh()
    if failed:
        sentences = " ".join(f"{name}: {error}" for name, error in failed.items())
        raise ValueError(f"{len(failed)} of {clock.total} parts failed, the others are done. {sentences} What they said lies in {logs()}; start again to repeat "
                         "only these.")
    yield f"all {clock.total} parts done"


def methods(options, limit, photos, again):
    """A part for each method, those that take longest first, so that no worker is left with a long one."""
    more = (*(("--limit", str(limit)) if limit else ()), *(("--photos", str(photos)) if photos else ()), *(("--again",) if again else ()))
    return sorted((Part(name, ("reproduce", name, *options, *more)) for name in zoo.METHODS), key=lambda part: -part.seconds)


def compare(size, spec, options):
    """The parts that compare methods: their rows are made once, so those that are there cost little."""
    small = size == "smoke"
    data = () if spec or small else ("--data", "imagenette")
    return [Part("leaderboard", ("leaderboard", *options, *data, *(SMOKE_LEADERBOARD if small else ()))),
            Part("conditions", ("conditions", *options, *(SMOKE_CONDITIONS if small else ())))]


def is_finished(name, size, spec, limit, photos):
    """Whether a method needs no process. What goes wrong in finding out goes wrong in the process, too, which tells it."""
    try:
        return reproduction.is_finished(name, size, spec, limit, photos)
    except (ValueError, OSError):
        return False


def logs():
    """The folder of what the parts print."""
    return reproduction.REPRODUCED / "logs"


# ---------------------------------------------------------------- processes

def work(parts, workers):
    """Run parts, `workers` at a time; yield (part, seconds, what went wrong or "") in the order they end. Those still at work are ended with this one."""
    running, threads = {}, max(1, train.cores() // workers)
    with ThreadPoolExecutor(workers) as pool:
        waiting = {pool.submit(run_part, part, threads, running) for part in parts}
        try:
            while waiting:
                done, waiting = wait(waiting, return_when=FIRST_COMPLETED)
                for one in done:
                    yield one.result()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
            for process in list(running.values()):
                process.terminate()


def run_part(part, threads, running):
    """Run one part to its end: (part, seconds, error). running: {part: process}, while it is at work."""
    log, start = logs() / f"{part.name}.txt", time.monotonic()
    make_folder(log.parent)
    path = os.pathsep.join(filter(None, (str(Path(__file__).resolve().parents[2]), os.environ.get("PYTHONPATH"))))
    environment = os.environ | {"OMP_NUM_THREADS": str(threads), "PYTHONPATH": path, "COLORLIB_PARENT": str(os.getpid())}
    with open(log, "w") as file:
        process = subprocess.Popen([sys.executable, "-m", "colorlib", *part.arguments], stdout=file, stderr=subprocess.STDOUT, env=environment)
        running[part] = process
        status = process.wait()
        del running[part]
    return part, time.monotonic() - start, error_in(log, status) if status else ""


def error_in(log, status):
    """The sentence a command ended with, else the last line of its output, else how it was ended."""
    lines = [line.strip() for line in log.read_text(errors="replace").replace("\r", "\n").splitlines() if line.strip()]
    told = [line.removeprefix("colorlib: ") for line in lines if line.startswith("colorlib: ")]
    return f"it was ended by signal {-status}." if status < 0 else told[-1] if told else lines[-1] if lines else f"it ended with status {status}."


class Estimate:
    """How long the rest takes: by each part's `seconds`, corrected by what the finished ones really took.

    >>> estimate = Estimate([Part("levin", ()), Part("tcvc", ())], workers=1)
    >>> estimate.finish(Part("levin", ()), seconds=20.0)      # twice as long as levin's 10
    >>> estimate.minutes_left()                               # so of tcvc's 300 seconds 600 are expected
    10.0
    """

    def __init__(self, parts, workers):
        self.workers, self.total, self.count, self.left, self.expected, self.taken = workers, len(parts), 0, sum(part.seconds for part in parts), 0.0, 0.0

    def finish(self, part, seconds):
        self.count += 1
        self.left = max(0.0, self.left - part.seconds) if self.count < self.total else 0.0
        self.expected, self.taken = self.expected + part.seconds, self.taken + seconds

    def minutes_left(self):
        """Minutes, at least a part of one; parts at work count as if they had just begun."""
        return max(1.0, self.left * self.taken / self.expected / self.workers / 60)


# ---------------------------------------------------------------- tables and figures of several methods

def reproduce_survey(size=None, spec=None):
    """`python -m colorlib reproduce survey`: what holds several methods side by side, from the rows and weights that are there. Yields a line each."""
    size = size or train.size()
    yield from write_tables(size, spec)
    for figure, found in survey_figures.draw(size):
        yield f"figure {figure} {found}"
    for name in diagrams.KEPT:
        yield f"diagram {diagrams.save(name)}"


def write_tables(size, spec=None):
    """Write the tables that several parts add to, once more and whole: each chapter's, the hint curves, the leaderboard, the conditions, the survey; at class
    size those of the pages, too. Yields a line each; where nothing was measured yet, a sentence."""
    for method in {method.results: method for method in reversed(zoo.METHODS.values())}.values():      # the first of each table, whose title it has
        if any(row["size"] == size for row in results.read(method.results)):
            yield f"table {reproduction.write_table(method, size)}"
    if any(row["size"] == size for row in results.read(hint_curves.FILE)):
        yield f"figure {reproduction.save_figure(f'04_hint_curves_{size}', hint_curves.draw(size))}"
    data = experiments.data_name(spec or ("scenes" if size == "smoke" else "imagenette"))
    boards = {title: lambda budget=budget: leaderboard.table(budget, size, f"{data} val") for budget, title in leaderboard.TITLES.items()}
    tables = {"leaderboard": boards, "conditions": {condition_table.TITLE: lambda: condition_table.table(size, f"{data} val")}}
    for name, made in tables.items():
        texts = []
        for title, make in made.items():
            try:
                texts.append(f"{title}\n\n{make()}\n")
            except ValueError as error:
                yield f"{title}: {error}"
        if texts:
            path = results.results_folder() / f"{name}-{size}-{data}.md"
            write_atomic(path, "\n".join(texts).encode())
            yield f"table {path}"
    yield f"table {survey.write(size)}"
    if size == "class" and results.results_folder() == results.repository() / "data" / "results":
        yield from (f"tables {page}" for page in readme.write())
