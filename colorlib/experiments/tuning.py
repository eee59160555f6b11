"""How the class recipes were chosen: one change at a time, compared on photographs that belong to the training set and that these trainings did not see.

The training split of a data set is cut by hash into "fit", nineteen twentieths, and "tuning"; the test split takes no part. A paper's file lists the changes
that need a training in `RECIPES`, those of painting alone in `DECODINGS`. Rows go to `data/results/ablations.csv`.
"""
from dataclasses import replace
from pathlib import Path

from colorlib import experiments, results, zoo

__all__ = ["compare", "choose", "measure", "listed", "table", "PICTURES", "SIDE"]

TABLE = "ablations"
PICTURES, SIDE = 200, 128       # measured on
HEADINGS = {"psnr": ("PSNR", 2), "gain": ("over grey, dB", 2), "de2000": ("ΔE2000", 2), "colorfulness_ratio": ("colourfulness ratio", 2)}


def compare(name, size="class", rows=None, steps=None, seeds=1, spec=None, folder="runs", device="auto", precision=None, progress=None, limit=PICTURES):
    """Train every row of a paper's `RECIPES` on "fit" and measure it on "tuning"; yield a line about each. An interrupted training goes on.

    rows: only these; steps: updates, fewer than the preset's as a rule. Raises ValueError for a method without recipes or an unknown row.

    >>> next(compare("welsh"))
    Traceback (most recent call last):
    ValueError: welsh has none of RECIPES; methods that do: ...
    """
    method = zoo.get(name)
    known, spec = listed(method, "RECIPES", rows), spec or experiments.default_data(method, size)
    for row in rows or known:
        for seed in range(seeds):
            run = Path(folder) / f"{name}-{size}-{row.replace(' ', '_').replace(',', '')}-{seed}"
            changes = known[row] | ({"steps": steps} if steps else {})
            weights = experiments.train_method(name, size, spec, run, seed=seed, device=device, precision=precision, changes=changes, progress=progress,
                                               split="fit")
            if weights is not None:      # not in a helping process of a parallel run
                yield say(name, row, measure(method, row, size, spec, zoo.load(name, weights, size, device), weights, limit))


def choose(name, weights, size="class", spec=None, least=0.0, rows=None, device="auto", limit=PICTURES):
    """Measure every row of a paper's `DECODINGS` on "tuning" with given weights, which should have been trained on "fit"; yield a line about each. Then write
    the one of the highest PSNR, among those at least `least` as colourful as the truth, into the weights' JSON file; where none is, the most colourful one.
    Raises ValueError for a method without DECODINGS or an unknown row.

    >>> next(choose("welsh", "weights.safetensors"))
    Traceback (most recent call last):
    ValueError: welsh has none of DECODINGS; methods that do: ...
    """
    method = zoo.get(name)
    known, spec = listed(method, "DECODINGS", rows), spec or experiments.default_data(method, size)
    model, found = zoo.load(name, weights, size, device), {}
    config = model.config
    try:
        for row in rows or known:
            model.config = replace(config, **known[row])
            found[row] = measure(method, row, size, spec, model, weights, limit)
            yield say(name, row, found[row])
    finally:
        model.config = config      # `zoo.load` keeps models
    lively = [row for row in found if found[row]["colorfulness_ratio"] >= least]
    best = max(lively, key=lambda row: found[row]["psnr"]) if lively else max(found, key=lambda row: found[row]["colorfulness_ratio"])
    sidecar = zoo.read_sidecar(weights)
    sidecar["config"] |= known[best]
    pictures = f"on {limit} held-out training photographs"
    why = f"the best PSNR {pictures}, at least" if lively else f"the most colourful {pictures}, none being"
    sidecar["decoding"] = f"{best}: {why} {least:.0%} as colourful as the truth"
    zoo.write_sidecar(weights, sidecar)
    yield f"chosen: {best}"


def listed(method, attribute, rows):
    """What a paper's file lists, {row: {field of Config: value}}. Raises ValueError when it lists nothing, or not these rows.

    >>> {field for changes in listed(zoo.get("photonet"), "DECODINGS", None).values() for field in changes} <= set(vars(zoo.get("photonet").presets["class"]))
    True
    """
    known = getattr(method.papers, attribute, {})
    if not known:
        have = [name for name, other in zoo.METHODS.items() if hasattr(other.papers, attribute)]
        raise ValueError(f"{method.name} has none of {attribute}; methods that do: {', '.join(have)}.")
    if set(rows or ()) - set(known):
        raise ValueError(f"{method.name} has these rows: {'; '.join(known)}.")
    return known


def measure(method, row, size, spec, model, weights, limit):
    """Measure one row on "tuning" and append it to the table; returns {metric: mean}. Raises FileNotFoundError or ValueError, with what to do, where spec names
    no pictures.

    >>> measure(zoo.get("photonet"), "as it is", "class", "a folder nobody has", None, None, PICTURES)
    Traceback (most recent call last):
    FileNotFoundError: ...
    """
    dataset = experiments.open_dataset(spec, SIDE, "tuning", limit)
    summary = experiments.measure_over_grey(method, model, dataset, progress=False)
    results.append(TABLE, {"method": method.name, "variant": row, **experiments.columns_of_test(size, spec, dataset, "tuning"),
                           **experiments.columns_of_training(model, weights)} | summary)
    return summary


def say(name, row, summary):
    """One row in a line."""
    return f"{name}: {row}: " + ", ".join(f"{heading} {summary[key]:.{digits}f}" for key, (heading, digits) in HEADINGS.items())


def table(name):
    """The latest rows of a method in `data/results/ablations.csv`, the best PSNR first, Markdown.

    >>> table("a method nobody has")
    '| changed | updates | seed | PSNR | over grey, dB | ΔE2000 | colourfulness ratio |\\n| --- | ---: | ---: | ---: | ---: | ---: | ---: |'
    """
    rows = {(row["variant"], row["steps"], row["seed"], row["size"]): row for row in results.read(TABLE) if row["method"] == name}
    lines = [["changed", "updates", "seed", *(heading for heading, _ in HEADINGS.values())]]
    for row in sorted(rows.values(), key=lambda row: -row["psnr"]):
        lines.append([row["variant"], f"{row['steps']:,}", str(row["seed"]), *(results.cell(row[key], digits) for key, (_, digits) in HEADINGS.items())])
    return results.markdown(lines)
