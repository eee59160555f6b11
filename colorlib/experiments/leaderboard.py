"""All automatic methods on the same pictures, under three budgets: equal updates, equal minutes, and the weights as they are shipped.

Published scores of automatic methods cannot be compared: other pictures, other sizes, other evaluations. Here every method sees the same training pictures in
crops and batches of one size, several seeds each, and is measured on the same test pictures beside grey and the mean colour.

| budget | what is equal |
|---|---|
| steps | the number of updates, pretrainings included: an update is one batch, and those of a pretraining, whose batches are twice as large, count twice |
| minutes | the time all updates take, by the seconds an update took under "steps"; on a CPU minutes of its cores, which other work on the machine hardly stretches |
| shipped | nothing: class weights as they lie in `data/weights`, each trained for as long as its authors here saw fit |

What is made once from the data (saliency maps, how often each colour occurs) is in neither number. A discriminator's step belongs to its generator's update.
"""
import itertools
import re
from dataclasses import replace
from pathlib import Path

import numpy as np

from colorlib import data, experiments, metrics, results, train, zoo
from colorlib.train import checkpoints

__all__ = ["run", "table", "gather", "automatic_methods", "train_evenly", "measure", "spread", "count_updates", "even", "test_pictures", "BUDGETS",
           "TITLES", "SEEDS", "UPDATES", "MINUTES", "BATCH", "CROP", "TEST_SIDE", "PICTURES", "INTERVALS"]

FILE = "leaderboard"
BUDGETS = ("steps", "minutes", "shipped")
TITLES = {"steps": "Automatic methods, equal updates", "minutes": "Automatic methods, equal minutes", "shipped": "Automatic methods, as shipped"}
SEEDS = 3
UPDATES = {"smoke": 300, "class": 3_000, "paper": 100_000}
MINUTES = {"smoke": 0.5, "class": 5.0, "paper": 600.0}
BATCH = {"smoke": 16, "class": 32, "paper": 32}
CROP = {"smoke": 64, "class": 128, "paper": 256}
TEST_SIDE = {"smoke": 128, "class": 224, "paper": 224}
PICTURES = 200                                      # tested on
PRETRAININGS = ("classifier_steps", "pretraining")  # fields of a Config that hold updates before the training proper
LARGER = 2                                          # times as many pictures are in the batches of these
WITHIN = ("phase_one", "loss_stages")               # fields that hold numbers of updates within the training proper
INTERVALS = ("psnr", "ssim", "de2000")              # metrics with a 95 % bootstrap interval over pictures
OTHERS = ("ssim", "de2000", "colorfulness_ratio")   # columns of the table beside PSNR and what is gained over grey


def automatic_methods():
    """Names of the catalogue's methods that learn to paint a grey picture from itself alone.

    >>> set(automatic_methods()) & {"cic", "scgan", "siggraph17", "film"} == {"cic", "scgan"}
    True
    """
    return [name for name, method in zoo.METHODS.items() if method.sees == "grey" and not method.conditions and method.learns
            and not experiments.reads_clips(method) and not experiments.reads_captions(method)]


# ---------------------------------------------------------------- budgets

def spread(config, updates):
    """A Config whose training takes `updates` in all, its parts in the proportions they had. Raises ValueError when that leaves nothing for a part.

    >>> config = spread(zoo.get("scgan").presets["smoke"], 1000)
    >>> config.steps < 1000 == count_updates(config)      # what is missing is its pretraining
    True
    """
    before = {field: count for field in PRETRAININGS if (count := _first(getattr(config, field, 0)))}
    scale, changes = updates / count_updates(config), {}
    for field, count in before.items():
        value = getattr(config, field)
        changes[field] = (round(scale * count), *value[1:]) if isinstance(value, tuple) else round(scale * count)
    steps = updates - LARGER * sum(map(_first, changes.values()))
    if steps < 1 or not all(map(_first, changes.values())):
        raise ValueError(f"{updates} updates are too few for a training in {1 + len(before)} parts: give more.")
    for field in WITHIN:
        value = getattr(config, field, None)
        if isinstance(value, int):
            changes[field] = round(value * steps / config.steps)
        elif value:
            changes[field] = tuple((round(start * steps / config.steps), *rest) for start, *rest in value)
    return replace(config, steps=steps, **changes)


def count_updates(config):
    """Updates of a training with this Config, pretrainings included, counted in batches of its size.

    >>> config = zoo.get("photonet").presets["smoke"]
    >>> count_updates(config) - config.steps
    0
    """
    return config.steps + LARGER * sum(_first(getattr(config, field, 0)) for field in PRETRAININGS)


def _first(value):
    """A number of updates: the value, or the first of several."""
    return next(iter(value), 0) if isinstance(value, tuple) else value


def even(name, size, seed=0):
    """A method's preset with the batch, the crop and the size of photographs that all methods share.

    >>> {even(name, "class").batch_size for name in automatic_methods()} == {BATCH["class"]}
    True
    """
    config = zoo.get(name).presets[size]
    shared = {"batch_size": BATCH[size], "image_size": CROP[size], "seed": seed}
    return replace(config, **shared, **({"working_size": photo_side(size)} if hasattr(config, "working_size") else {}))


def photo_side(size):
    """Side of the photographs that crops are taken from."""
    return round(experiments.ZOOM * CROP[size])


def settings_of(name, size, spec):
    """A hash of all that a method's trainings share but their length: the Config and the pictures."""
    return results.config_hash({"config": results.config_hash(even(name, size)), "pictures": hash_pictures(spec, size)})


def hash_pictures(spec, size):
    """The training pictures' `results.split_hash`."""
    side = CROP[size] if experiments.is_scenes(spec) else photo_side(size)
    return results.split_hash(data.ids_of(experiments.open_dataset(spec, side)))


def updates_in(minutes, name, size, spec, asked):
    """How many updates of a method take so many minutes on this machine, by its newest "steps" row of seed 0 and `asked` updates. Raises ValueError where there
    is none."""
    known = {"method": name, "budget": "steps", "asked": asked, "seed": 0, "size": size, "settings": settings_of(name, size, spec),
             "device": results.provenance()["device"]}
    rows = results.matching(FILE, **known)
    if not rows:
        raise ValueError(f"How long an update of {name} takes was not measured on this machine: run the budget steps first.")
    return max(1, round(minutes * rows[-1]["updates"] / rows[-1]["device_minutes"]))


# ---------------------------------------------------------------- train and measure

def train_evenly(name, updates, size=None, seed=0, spec="scenes", changes=None, device="auto", precision=None, folder="runs", progress=None):
    """Train a method for so many updates on what all methods share; returns (weights file, columns of its row). None and {} in helping processes.

    changes: {field of Config: value}. An interrupted training goes on, a finished one is not repeated. Raises ValueError when the logs show another number
    of updates, which a pretraining makes that PRETRAININGS does not list; and for fewer updates than a method has parts of its training.

    >>> train_evenly("scgan", updates=1, size="smoke")
    Traceback (most recent call last):
    ValueError: 1 updates are too few for a training in 2 parts: give more.
    """
    size = size or train.size()
    config = spread(replace(even(name, size, seed), **changes or {}), updates)
    changed = {field: value for field, value in vars(config).items() if value != getattr(zoo.get(name).presets[size], field)}
    place = re.sub(r"[^\w.-]", "_", f"{name}-{size}-{experiments.data_name(spec)}-{hash_pictures(spec, size)}-{results.config_hash(config)}")
    run = Path(folder) / "leaderboard" / place
    weights = run / f"{name}-{size}.safetensors"
    if not weights.exists():
        weights = experiments.train_method(name, size, spec, run, device=device, precision=precision, changes=changed, progress=progress)
    if weights is None:
        return None, {}
    done = checkpoints.last_rows(run)
    own = config.steps
    if (found := own + LARGER * (sum(row["step"] for row in done) - own)) != updates:
        raise ValueError(f"{name} made {found} updates in place of {updates}: it has a pretraining that leaderboard.PRETRAININGS does not list.")
    clock = "seconds" if train.pick_device(device).type == "cuda" else "cpu_seconds"
    sidecar = zoo.read_sidecar(weights)
    return weights, {"seed": seed, "steps": config.steps, "batch": config.batch_size, "minutes": sidecar["minutes"], "config_hash": results.config_hash(config),
                     "updates": updates, "crop": config.image_size, "device_minutes": checkpoints.minutes(run, clock), "notes": sidecar.get("notes") or None}


def measure(colorizers, dataset, working_size, reference=None, progress=None, **options):
    """{row: (summary with intervals, PSNR of each picture)} of {row: function of a batch -> ab}; see `experiments.evaluate` for the options.

    reference: PSNR of each picture by another way, (n,); `psnr_gain` is the mean difference to it, its interval that of the differences.

    >>> scenes = experiments.open_dataset("scenes:4", side=32)
    >>> (summary, psnr), = measure({"grey": experiments.grey}, scenes, working_size=8, progress=False).values()
    >>> summary["psnr_low"] <= summary["psnr"] <= summary["psnr_high"], psnr.shape
    (True, (4,))
    """
    found = {}
    for row, columns in experiments.evaluate(colorizers, dataset, working_size, progress=progress, **options).items():
        summary = metrics.summarize(columns)
        ends = {metric: metrics.bootstrap_ci(columns[metric]) for metric in INTERVALS}
        if reference is not None:
            gain = columns["psnr"] - reference
            summary["psnr_gain"], ends["psnr_gain"] = float(gain.mean()), metrics.bootstrap_ci(gain)
        for metric, (low, high) in ends.items():
            summary |= {f"{metric}_low": low, f"{metric}_high": high}
        found[row] = summary, columns["psnr"]
    return found


def test_pictures(spec, size, limit=None):
    """The test pictures of all methods. spec: see `experiments.open_dataset`, which says what it raises.

    >>> test_pictures("scenes:none", "smoke")
    Traceback (most recent call last):
    ValueError: 'scenes:none' does not say how many scenes: write a number, such as scenes:8000, up to 10,000,000.
    """
    return experiments.open_dataset(spec, TEST_SIDE[size], split="val", limit=limit or PICTURES)


def run(budget="all", size=None, spec=None, names=None, seeds=SEEDS, updates=None, minutes=None, limit=None, device="auto", precision=None, folder="runs",
        progress=None):
    """Train and measure methods under one budget or all, append a row each to `data/results/leaderboard.csv`; yield a line about each.

    spec: see `experiments.open_dataset` (default: scenes). names: methods (default: all automatic ones). updates, minutes: the budgets, defaults by size. What
    has a row with the same budget, settings and pictures is not done again, and an interrupted training goes on. Raises ValueError for an unknown budget and
    for a method that is not automatic.

    >>> next(run("hours"))
    Traceback (most recent call last):
    ValueError: There is no budget 'hours': choose one of steps, minutes, shipped, all.
    """
    size, spec = size or train.size(), spec or "scenes"
    names, updates, minutes = names or automatic_methods(), updates or UPDATES[size], minutes or MINUTES[size]
    if budget not in (*BUDGETS, "all"):
        raise ValueError(f"There is no budget {budget!r}: choose one of {', '.join(BUDGETS)}, all.")
    if unfit := [name for name in names if name not in automatic_methods()]:
        raise ValueError(f"{unfit[0]} is not automatic or does not learn: choose among {', '.join(automatic_methods())}.")
    dataset = test_pictures(spec, size, limit)
    tested = experiments.columns_of_test(size, spec, dataset) | {"n": len(dataset)}
    grey = measure_trivial(dataset, tested, spec, size, progress)
    for one, name in itertools.product(BUDGETS if budget == "all" else (budget,), names):
        if one == "shipped":
            yield from _measure_shipped(name, dataset, tested, grey, device, progress)
            continue
        asked = {"steps": updates, "minutes": minutes}[one]
        for seed in range(seeds):
            known = tested | {"method": name, "budget": one, "asked": asked, "seed": seed, "settings": settings_of(name, size, spec)}
            if results.matching(FILE, **known):
                continue
            count = updates if one == "steps" else updates_in(minutes, name, size, spec, updates)
            weights, trained = train_evenly(name, count, size, seed, spec, None, device, precision, folder, progress)
            if weights is not None:
                yield _write(known | trained, weights, name, dataset, grey, device, progress)


def _measure_shipped(name, dataset, tested, grey, device, progress):
    weights = zoo.weights_file(name)
    if not weights.exists():
        yield f"{name}: no class weights are shipped, left out"
        return
    known = tested | {"method": name, "budget": "shipped", "settings": results.file_hash(weights)}
    if not results.matching(FILE, **known):
        sidecar = zoo.read_sidecar(weights)
        trained = {key: sidecar.get(key) for key in ("seed", "steps", "batch", "minutes")}
        yield _write(known | trained, weights, name, dataset, grey, device, progress)


def _write(row, weights, name, dataset, grey, device, progress):
    """Measure weights, append their row, say so in a line."""
    model, method = zoo.load(name, weights, device=device), zoo.get(name)
    paint = experiments.on_device(next(iter(method.papers.variants(model).values())), model)
    (summary, _), = measure({"": paint}, dataset, zoo.working_size(model.config), grey, progress).values()
    results.append(FILE, {"variant": row["budget"], "config_hash": results.config_hash(model.config)} | row | summary)
    seed = "" if row["budget"] == "shipped" else f", seed {row['seed']}: {row['updates']:,} updates in {row['device_minutes']:.2f} minutes"
    return (f"{name}: {row['budget']}{seed}: PSNR {summary['psnr']:.2f} dB, {summary['psnr_gain']:+.2f} to grey, "
            f"colourfulness ratio {summary['colorfulness_ratio']:.2f}")


def measure_trivial(dataset, tested, spec, size, progress=None):
    """PSNR of each grey picture, (n,); appends the rows grey and mean colour unless these pictures have them."""
    rows = experiments.trivial_colorizers(spec, CROP[size] if experiments.is_scenes(spec) else photo_side(size))
    missing = not all(results.matching(FILE, **tested, method=row) for row in rows)
    grey = measure({"grey": rows["grey"]}, dataset, CROP[size], progress=progress)["grey"][1]
    for row, (summary, _) in measure(rows, dataset, CROP[size], grey, progress).items() if missing else ():
        results.append(FILE, tested | {"method": row} | summary)
    return grey


# ---------------------------------------------------------------- table

def gather(budget="steps", size=None, dataset=None, asked=None):
    """{method: its newest rows, one a seed} under a budget, trivial rows first, and the name of the test pictures.

    dataset: of the test pictures, such as "imagenette val"; default: the newest row's, of photographs where there are any. asked: of several numbers of updates
    or minutes; default: the newest row's. Raises ValueError where nothing was measured.

    >>> gather("steps", "smoke", dataset="a folder nobody has val")
    Traceback (most recent call last):
    ValueError: The budget steps was not measured at size smoke on a folder nobody has val: run `python -m colorlib leaderboard` first.
    """
    size = size or train.size()
    rows = [row for row in results.read(FILE) if row["size"] == size and dataset in (None, row["dataset"])]
    own = [row for row in rows if row["budget"] == budget and asked in (None, row["asked"])]
    if not own:
        raise ValueError(f"The budget {budget} was not measured at size {size}{f' on {dataset}' if dataset else ''}: run `python -m colorlib leaderboard` first.")
    last, found = next((row for row in reversed(own) if not experiments.is_scenes(row["dataset"].split()[0])), own[-1]), {}
    for row in rows:
        same = (row["split_hash"], row["n"]) == (last["split_hash"], last["n"])
        if same and (row["budget"] is None or row["budget"] == budget and row["asked"] == last["asked"]):
            found.setdefault(row["method"], []).append(row)
    for name, given in found.items():      # the last row of a seed counts, and none from before the settings changed
        key = "method" if budget == "shipped" else "seed"
        found[name] = list({row[key]: row for row in given if row["settings"] == given[-1]["settings"]}.values())
    return {name: found[name] for name in sorted(found, key=lambda name: (name not in results.TRIVIAL, -mean(found[name], "psnr")))}, last["dataset"]


def table(budget="steps", size=None, dataset=None, asked=None):
    """Markdown, best PSNR first: means over seeds ± half their range, 95 % intervals over pictures in brackets (means of the seeds' own), the best of each
    column bold. Gain: PSNR over that of the same picture left grey, so its interval says whether a method beats grey on these pictures.

    Raises ValueError as `gather` does, and for the same arguments.

    >>> table("steps", "smoke", dataset="a folder nobody has val")
    Traceback (most recent call last):
    ValueError: The budget steps was not measured ...
    """
    found, _ = gather(budget, size, dataset, asked)
    head = ["system", "seeds", "updates", "minutes", "PSNR ↑ [95 %]", "over grey, dB [95 %]", *map(results.heading, OTHERS)]
    keys = ("psnr", "psnr_gain", *OTHERS)
    best = {key: _best({name: mean(rows, key) for name, rows in found.items()}, key) for key in keys}
    lines = [head]
    for name, rows in found.items():
        trained = name not in results.TRIVIAL
        seeds = str(len(rows)) if trained and budget != "shipped" else "—"
        counts = mean(rows, "updates") if budget != "shipped" else mean(rows, "steps")
        line = [name, seeds, f"{counts:,.0f}" if counts else "—", results.cell(mean(rows, "device_minutes" if budget != "shipped" else "minutes"), 2)]
        for key in keys:
            decimals = 2 if key == "psnr_gain" else results.METRICS[key][1]
            value = mean(rows, key)
            text = f"{value:{'+' if key == 'psnr_gain' else ''}.{decimals}f}"
            text += half_range(rows, key, decimals)
            text = f"**{text}**" if name == best[key] else text
            line.append(text + (interval(rows, key) if key in ("psnr", "psnr_gain") and name != "grey" else ""))
        lines.append(line)
    return results.markdown(lines)


def mean(rows, key):
    """The mean of a column, None where a row lacks it."""
    return float(np.mean([row[key] for row in rows])) if all(row.get(key) is not None for row in rows) else None


def half_range(rows, key, decimals):
    """Half the range of a column over seeds, such as " ± 0.12"; "" for one row."""
    return f" ± {np.ptp([row[key] for row in rows]) / 2:.{decimals}f}" if len(rows) > 1 else ""


def interval(rows, key):
    """A column's 95 % interval over pictures, the mean of its ends over rows, such as " [24.10, 24.90]"."""
    return f" [{mean(rows, f'{key}_low'):.2f}, {mean(rows, f'{key}_high'):.2f}]"


def _best(values, key):
    """The name of the best value; a colourfulness ratio is best next to 1."""
    if key == "colorfulness_ratio":
        return min(values, key=lambda name: abs(np.log(max(values[name], 1e-9))))
    return (min if results.METRICS.get(key, ("", 2, "↑"))[2] == "↓" else max)(values, key=values.get)
