"""What an update of a training and a painting hold at most, of every method at every size, and the largest batches that follow.

`python -m colorlib bench memory` measures some here; `python -m colorlib.bench.memory` writes `data/results/memory.csv`, of all. Bytes are those of tensors:
the scratch memory of a GPU's kernels comes on top, for which `largest_batches` leaves room.
"""
import contextlib
import functools
import gc
import math
import subprocess
import sys
import warnings
from dataclasses import fields, replace
from unittest import mock

import numpy as np
import torch
import torchvision

from colorlib import bench, data, experiments, images, memory, painting, pretrained, results, train, zoo
from colorlib.bench.held import MIB, Held, shapes_only
from colorlib.data.sources import resize

__all__ = ["VARIANTS", "largest_batches", "largest_batch", "fit", "peak_memory", "open_update", "GIGABYTES", "RESERVE"]

SHOWN, PICTURES = ("cic", "scgan", "hscau", "gray2color", "tcvc"), 4      # what `bench memory` runs, at class size, and with how many pictures
MOST = 1024                                                               # pictures a batch, beyond which no number is given
GIGABYTES, RESERVE = (8, 24, 80), 0.1                                     # of a GPU, and the share of them that is left free
LIGHT = {"classifier_steps": 0, "stage_one": 0, "phase_one": 0, "critic_every": 1}      # no pretraining, and the update that does most
PRECISIONS = {"float32": "32-true", "bf16": "bf16-mixed"}
WORDS = 10_004                                                            # of the language papers' vocabulary
PHOTO = (3000, 4000)                                                      # px, of a 12-megapixel photo
RUN, COMPUTED = "run on a CPU", "computed from the shapes of all tensors"
LEAST_SAVED = 0.25                                                        # of the bytes a picture, or recomputing is not worth a row


def peak_memory(function, device="cpu"):
    """MiB of tensors that a call holds at most beyond what was there before it; a first call, which may make what stays, does not count.

    >>> round(peak_memory(lambda: torch.zeros(1024, 1024) + 1), 1)      # the zeros and the sum, 4 MiB each
    8.0
    """
    function()
    if torch.device(device).type == "cuda":
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        function()
        torch.cuda.synchronize()
        return (torch.cuda.max_memory_allocated() - before) / MIB
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True) as found:
        function()
    events = sorted((one for one in found.profiler.kineto_results.events() if one.name() == "[memory]"), key=lambda one: one.start_ns())
    held = np.cumsum([one.nbytes() for one in events])
    return float(held.max(initial=0)) / MIB


# ---------------------------------------------------------------- an update

class Samples(torch.utils.data.Dataset):
    """Some samples over and over."""

    def __init__(self, samples, count):
        self.samples, self.ids = samples, [str(i) for i in range(count)]

    def __len__(self):
        return len(self.ids)

    def __getitem__(self, i):
        return dict(self.samples[range(len(self))[i] % len(self.samples)])


def lighten(method, size):
    """A preset without what goes before the update that does most: no pretraining, SCGAN in its second phase, TCVC with its critic; words without a data
    set."""
    config = method.presets[size]
    known = {field.name: field.default for field in fields(config)}
    changes = {name: value for name, value in (LIGHT | {"pretraining": known.get("pretraining")}).items() if name in known}
    if size == "paper" and "vocabulary" in known:
        changes["vocabulary"] = tuple(f"word {i}" for i in range(WORDS))
    return replace(config, **changes)


def open_samples(method, config, count):
    """Scenes as a method is trained on them, a few of them repeated; the last class of the Config for their label, so that heads are as wide as they come."""
    dataset = experiments.open_training(method, config, "scenes:2")
    dataset = method.papers.prepare_data(dataset, config) if hasattr(method.papers, "prepare_data") else dataset
    label = {"label": torch.tensor(config.classes - 1)} if hasattr(config, "classes") else {}
    return Samples([sample | (label if "label" in sample else {}) for sample in (dataset[0], dataset[1])], count)


@contextlib.contextmanager
def weights_from_chance():
    """Inside, pretrained networks begin with random weights, which need no download and as many bytes."""
    from colorlib.papers import koalarization
    state = lambda weights, **_: torchvision.models.get_model(type(weights).__name__.removesuffix("_Weights").lower()).state_dict()
    build = functools.partial(koalarization.build_extractor, pretrained=False)
    network = lambda name, weights, **options: torchvision.models.get_model(name, **options)
    with mock.patch.multiple(pretrained, fetch=mock.DEFAULT, torchvision_network=network), mock.patch.object(koalarization, "build_extractor", build), \
            mock.patch.object(torchvision.models.VGG16_Weights.__base__, "get_state_dict", state):
        yield


def open_update(name, size, number, precision="float32", recompute=False, device="cpu"):
    """(Step, batch of `number` pictures on the device) of a method. recompute: with activation checkpoints, see `memory.BLOCKS`.

    Raises ValueError for an unknown method, size or precision and for a method that learns nothing or has no blocks to recompute.

    >>> open_update("levin", "smoke", number=2)
    Traceback (most recent call last):
    ValueError: levin learns nothing, so that it has no update: measure what it paints.
    """
    method = zoo.get(name)
    if not method.learns:
        raise ValueError(f"{name} learns nothing, so that it has no update: measure what it paints.")
    if size not in method.presets or precision not in PRECISIONS:
        raise ValueError(f"There is no {size} size in {precision}: choose from {', '.join(method.presets)} and from {', '.join(PRECISIONS)}.")
    blocks = memory.blocks_of(method) if recompute else ()
    config = lighten(method, size)
    dataset, fabric = open_samples(method, config, max(2, number)), train.make_fabric(device, 1, PRECISIONS[precision])
    with weights_from_chance():
        step = method.papers.make_step(config, fabric, dataset)
    memory.checkpoint_step(step, blocks)
    return step, fabric.to_device(next(iter(data.batches(dataset, number, seed=0, steps=1, flip=False))))


def hold_at_most(name, size, numbers, precision="float32", recompute=False, run=True):
    """{number: MiB that all tensors of a training hold at most during an update of so many pictures}: parameters, what the optimizer remembers, gradients,
    activations, the batch. run=False computes it from shapes, without arithmetic, and raises a RuntimeError where that does not go."""
    gc.collect()
    with Held() as held:
        step, batch = open_update(name, size, max(numbers), precision, recompute)
    found = {}
    with contextlib.nullcontext() if run else shapes_only() as shapes:
        batch = {key: shapes.from_tensor(value) if shapes and torch.is_tensor(value) else value for key, value in batch.items()}
        for number in (min(numbers), *sorted(numbers)):      # the first update makes what the optimizer remembers
            with held:
                held.forget_peak()
                step({key: value[:number].clone() if torch.is_tensor(value) else value[:number] for key, value in batch.items()})
            found[number] = held.most
    return found


def fit(points):
    """{number of pictures: MiB} of two -> (fixed MiB, MiB a picture).

    >>> fit({4: 140.0, 8: 180.0})
    (100.0, 10.0)
    """
    (few, less), (many, more) = sorted(points.items())
    slope = (more - less) / (many - few)
    return less - few * slope, slope


def measure_update(name, size, precision="float32", recompute=False, run=None, numbers=None):
    """A row of an update's memory: {"fixed_mib", "mib_per_picture", ...}. run: see `hold_at_most`; by default at paper size it is computed where that works.
    numbers: two batch sizes, by default the preset's and twice as much, of what is run 4 and 8, or 1 and 2 at paper size."""
    method, run = zoo.get(name), size != "paper" if run is None else run
    config = method.presets[size]
    chosen = numbers or ((config.batch_size, 2 * config.batch_size) if not run else (1, 2) if size == "paper" else (4, 8))
    try:
        points = hold_at_most(name, size, chosen, precision, recompute, run)
    except RuntimeError:
        if run:
            raise
        return measure_update(name, size, precision, recompute, True, numbers)
    fixed, slope = fit(points)
    return {"method": name, "variant": "update", "size": size, "dataset": f"{config.image_size} px", "settings": precision + recompute * ", recomputed",
            "batch": config.batch_size, "n": max(chosen), "fixed_mib": fixed, "mib_per_picture": slope, "mib": fixed + slope * config.batch_size,
            "notes": f"{RUN if run else COMPUTED}, {chosen[0]} and {chosen[1]} pictures"}


# ---------------------------------------------------------------- a painting

def measure_painting(name, size):
    """A row of the memory of one painting at the working size, weights among it, float32."""
    method = zoo.get(name)
    config = method.presets[size]
    model = method.papers.build(config, pretrained=False).eval().requires_grad_(False)
    side = zoo.working_size(config)
    picture = images.open_image(resize(data.SceneSet(1, size=min(side, 256))[0]["rgb"].permute(1, 2, 0).numpy(), side))
    L = images.lightness(picture)
    given = {"hints": [], "caption": "a red car", "reference": picture.rgb}
    with torch.no_grad(), warnings.catch_warnings(action="ignore"):      # of words that a network without a vocabulary does not know
        conditions = painting.read_conditions(method, model, L, **{condition: given[condition] for condition in method.conditions})
        most = peak_memory(lambda: painting.paint_small(method, model, picture, L, **conditions))
    weights = sum(one.nbytes for one in model.state_dict().values()) / MIB
    return {"method": name, "variant": "painting", "size": size, "dataset": f"{side} px", "settings": "float32", "batch": 1, "n": 1, "fixed_mib": weights,
            "mib_per_picture": most, "mib": weights + most, "notes": f"{RUN}, 1 picture"}


def measure_photo(name="best"):
    """A row of the memory of a process that colours a photo of PHOTO px with shipped weights, Python and torch among it."""
    code = ("import resource, sys, numpy, torch; from colorlib import painting; torch.set_num_threads(1);"
            f"painting.colorize(numpy.random.default_rng(0).integers(0, 256, {(*PHOTO, 3)}, dtype=numpy.uint8), {name!r}, device='cpu');"
            "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == 'darwin' else 1024))")
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=True)
    mib = int(done.stdout.split()[-1]) / MIB
    return {"method": zoo.get(name).name, "variant": "photo", "size": "class", "dataset": f"{PHOTO[1]} x {PHOTO[0]} px", "settings": "float32", "batch": 1, "n": 1,
            "mib": mib, "notes": f"{RUN}, all of the process"}


# ---------------------------------------------------------------- all of them

def measure_all(names=None, sizes=train.SIZES, again=False):
    """Measure methods (default: all) and append their rows to `data/results/memory.csv`; yields a line a row. What is there already is not measured again.

    Recomputing is measured at paper size, where `memory.BLOCKS` knows parts of the method; a photo with the method that paints unless another is asked for."""
    there = set() if again else {(row["method"], row["variant"], row["size"], row["settings"]) for row in results.read(memory.FILE)}
    for size in sizes:
        for name in names or zoo.METHODS:
            method = zoo.get(name)
            if not method.learns:
                continue
            kinds = {("painting", "float32"): functools.partial(measure_painting, name, size)}
            if (name, size) == (zoo.BEST[""], "class"):
                kinds["photo", "float32"] = functools.partial(measure_photo, name)
            for precision in PRECISIONS:
                for recompute in (False, True)[:1 + (method.module in memory.BLOCKS and size == "paper")]:
                    kinds["update", precision + recompute * ", recomputed"] = functools.partial(measure_update, name, size, precision, recompute)
            for (variant, settings), measure in kinds.items():
                if (name, variant, size, settings) not in there:
                    row = results.append(memory.FILE, measure())
                    yield f"{name} {size} {variant} {settings}: {row['mib']} MiB, {row['notes']}"


def largest_batch(row, gigabytes):
    """Pictures an update can take on a GPU of so many GiB, RESERVE of them left free; 0 when not even one.

    >>> largest_batch({"fixed_mib": 1000.0, "mib_per_picture": 100.0}, gigabytes=8)
    63
    """
    room = 1024 * gigabytes * (1 - RESERVE) - row["fixed_mib"]
    return max(0, math.floor(room / row["mib_per_picture"]))


def pays(plain, recomputed):
    """Whether recomputing saves enough of the bytes a picture."""
    return recomputed["mib_per_picture"] < (1 - LEAST_SAVED) * plain["mib_per_picture"]


def largest_batches(size="paper"):
    """The largest batches of every method measured at a size, on GPUs of GIGABYTES, Markdown: a column for float32 and bf16, plain and, where it pays, with
    activations computed again. "" where nothing was measured.

    >>> largest_batches("a size nobody has")
    ''
    """
    rows, settings = memory.latest(), [precision + more for precision in PRECISIONS for more in ("", ", recomputed")]
    lines = [["method", "picture", *(f"{one}: {', '.join(map(str, GIGABYTES))} GB" for one in settings)]]
    for name in zoo.METHODS:
        found = {one: rows.get((name, size, "update", one)) for one in settings}
        for precision in PRECISIONS:
            plain, again = found[precision], found[f"{precision}, recomputed"]
            if again and not (plain and pays(plain, again)):
                found[f"{precision}, recomputed"] = None
        if any(found.values()):
            side = next(filter(None, found.values()))["dataset"]
            lines.append([name, side, *(", ".join(in_words(largest_batch(row, one)) for one in GIGABYTES) if row else "—" for row in found.values())])
    return results.markdown(lines) if len(lines) > 1 else ""


def in_words(count):
    """A batch size; beyond MOST, where nothing was fitted and other limits come first, no number."""
    return str(count) if count <= MOST else f"> {MOST}"


# ---------------------------------------------------------------- what `bench memory` runs

def update_of(name, rounds=None, device="cpu"):
    """One update, plain and, where that pays, with activations computed again: time, and MiB beyond what stays between updates. At class size, on a GPU at the
    paper's."""
    size = "paper" if torch.device(device).type == "cuda" else "class"
    labels = ("plain", "activations computed again")[:1 + (zoo.get(name).module in memory.BLOCKS)]
    steps = {label: open_update(name, size, PICTURES, recompute=label != "plain", device=device) for label in labels}
    calls = {f"{name}, {label}": functools.partial(step, batch) for label, (step, batch) in steps.items()}
    most = {label: peak_memory(call, device) for label, call in calls.items()}
    side = zoo.get(name).presets[size].image_size
    rows = bench.race(calls, rounds or bench.SLOW_ROUNDS, device, PICTURES, dict.fromkeys(calls, f"{size} size, {PICTURES} pictures of {side} px"))
    return [row | {"peak_mib": most[row["method"]]} for row in rows]


VARIANTS = {f"update of {name}": functools.partial(update_of, name) for name in SHOWN}


if __name__ == "__main__":
    torch.set_num_threads(1)
    for line in measure_all(sys.argv[1:] or None):
        print(line, flush=True)
