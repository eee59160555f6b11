"""How much does a method mind pairs that do not lie on each other? Trained on pairs moved on purpose, tested on registered ones, several seeds each.

A network that is paid pixel by pixel learns an average over the places where the answer may lie, so it should blur as the shift grows; one paid for a
cycle need not notice. The last kind, shuffled pairs, leaves nothing to be paid for pixel by pixel at all.
"""
import itertools
import re
from dataclasses import replace

import matplotlib.pyplot as plt
import numpy as np

from colorlib import data, experiments, figures, results, train, zoo

__all__ = ["run", "measure", "gather", "draw", "table", "FILE", "METHODS", "KINDS", "SHIFTS", "METRICS", "SEEDS"]

FILE = "misregistration"
METHODS = ("unet_infrared", "pix2pix_infrared", "cyclegan_infrared", "asym_cyclegan")
SHIFTS = (0, 1, 2, 4, 8, 16)        # pixels
KINDS = (*(f"shift:{k}" for k in SHIFTS), "affine", "homography:8", "elastic:4", "shuffled")
METRICS = ("psnr", "ssim", "ae")
SEEDS = 3


def run(methods=METHODS, kinds=KINDS, size=None, seeds=SEEDS, spec="scenes", device="auto", precision=None, folder="runs", limit=None, changes=None,
        progress=None):
    """Train every method with every misregistration and seed, measure it on registered pairs, append a row to `data/results/misregistration.csv`;
    yield a line about each.

    kinds: see `data.parse_misregistration`. spec: see `experiments.open_dataset`. limit: at most so many test pairs. changes: {field of Config:
    value}, such as fewer steps. What has a row already is not done again (whatever its limit), and an interrupted training goes on. Raises
    ValueError, before anything is trained, for an unknown kind or method and for a method that does not see infrared.

    >>> next(run(methods=["scgan"]))
    Traceback (most recent call last):
    ValueError: scgan sees no infrared, so it has no pairs to misregister: choose among ...
    """
    size = size or train.size()
    for kind in kinds:
        data.parse_misregistration(kind)
    if blind := next((name for name in methods if zoo.get(name).sees != "infrared"), None):
        raise ValueError(f"{blind} sees no infrared, so it has no pairs to misregister: choose among "
                         f"{', '.join(name for name, method in zoo.METHODS.items() if method.sees == 'infrared')}.")
    dataset = f"{experiments.data_name(spec)} val"
    for name, kind, seed in itertools.product(methods, kinds, range(seeds)):
        settings = (changes or {}) | {"seed": seed}
        asked = {"method": name, "misregister": kind, "seed": seed, "size": size, "dataset": dataset,
                 "config_hash": results.config_hash(replace(zoo.get(name).presets[size], **settings))}
        if results.matching(FILE, **asked):
            continue
        place = re.sub(r"[^\w.-]", "_", f"{name}-{size}-{experiments.data_name(spec)}-{kind}-{asked['config_hash']}")
        weights = experiments.train_method(name, size, spec, f"{folder}/{place}", device=device, precision=precision, changes=settings,
                                           misregister=kind, progress=progress)
        if weights is None:      # a helping process of a parallel run
            continue
        model = zoo.load(name, weights, size, device)
        row = asked | {"variant": kind} | measure(name, model, size, spec, limit)
        results.append(FILE, experiments.columns_of_training(model, weights) | row)
        yield f"{name}: {kind}, seed {seed}: " + ", ".join(f"{results.METRICS[key][0]} {row[key]:.3f}" for key in METRICS)


def measure(name, model, size, spec, limit=None):
    """{"split_hash", "n", metric: mean} of METRICS on the registered "val" pairs.

    >>> unet = zoo.get("unet_infrared")
    >>> list(measure("unet_infrared", unet.papers.build(unet.presets["smoke"], pretrained=False).eval(), "smoke", "scenes", limit=2))
    ['split_hash', 'n', 'psnr', 'ssim', 'ae']
    """
    method = zoo.get(name)
    dataset = experiments.open_test(method, spec, experiments.test_side(method, model.config, size, spec), limit)
    found = experiments.summarize_pairs(method, model, dataset)
    return {"split_hash": results.split_hash(data.ids_of(dataset))} | {key: found[key] for key in ("n", *METRICS)}


def gather(size="class", dataset=None):
    """(data set, {method: {kind: {metric: values, one a seed}}}) of the rows of that size, shifts first; dataset: default, that of the newest row.
    The last row of a seed counts. Raises ValueError where nothing was measured.

    >>> gather("smoke", dataset="a folder nobody has val")
    Traceback (most recent call last):
    ValueError: No misregistration was measured at size smoke on a folder nobody has val: run `python -m colorlib misregister` first.
    """
    rows = [row for row in results.read(FILE) if row["size"] == size and dataset in (None, row["dataset"])]
    if not rows:
        raise ValueError(f"No misregistration was measured at size {size}{f' on {dataset}' if dataset else ''}: run "
                         "`python -m colorlib misregister` first.")
    dataset = rows[-1]["dataset"]
    newest = {(row["method"], row["misregister"], row["seed"]): row for row in rows if row["dataset"] == dataset}
    found = {}
    for (method, kind, _), row in newest.items():
        for metric in METRICS:
            found.setdefault(method, {}).setdefault(kind, {}).setdefault(metric, []).append(row[metric])
    rank = lambda kind: (shift_of(kind) is None, shift_of(kind) or 0)      # shifts first, from small to large
    return dataset, {method: dict(sorted(kinds.items(), key=lambda item: rank(item[0]))) for method, kinds in found.items()}


def shift_of(kind):
    """Pixels of a kind such as "shift:4"; None for other kinds."""
    kind, amount = data.parse_misregistration(kind)
    return amount if kind == "shift" else None


def draw(size="class", dataset=None, metric="psnr"):
    """A matplotlib Figure: on the left the metric over the shift trained with, a line a method with a band over its seeds; on the right the other
    kinds, a point a method with its seeds' range. Raises ValueError as `gather` does.

    >>> draw("smoke", dataset="a folder nobody has val")
    Traceback (most recent call last):
    ValueError: No misregistration was measured ...
    """
    dataset, found = gather(size, dataset)
    found = {method: kinds for method, kinds in found.items() if len(kinds) > 1} or found      # a single point is no curve
    others = list(dict.fromkeys(kind for kinds in found.values() for kind in kinds if shift_of(kind) is None))
    with plt.rc_context(figures.STYLE):
        figure, (left, right) = plt.subplots(1, 2, figsize=(figures.WIDTH, 3.4), layout="constrained", sharey=True,
                                             width_ratios=(3, 0.5 + 0.6 * max(1, len(others))))
        for i, (method, kinds) in enumerate(found.items()):
            points = {shift_of(kind): values[metric] for kind, values in kinds.items() if shift_of(kind) is not None}
            line, = left.plot(list(points), [np.mean(values) for values in points.values()], marker="o", markersize=3, label=method)
            left.fill_between(list(points), [min(values) for values in points.values()], [max(values) for values in points.values()],
                              color=line.get_color(), alpha=0.18, linewidth=0)
            apart = [(others.index(kind) + 0.12 * (i - (len(found) - 1) / 2), values[metric]) for kind, values in kinds.items() if kind in others]
            for x, values in apart:
                right.plot([x, x], [min(values), max(values)], color=line.get_color(), linestyle="-", marker="")
                right.plot(x, np.mean(values), color=line.get_color(), linestyle="", marker="o", markersize=4)
        left.set_xscale("symlog", base=2, linthresh=1)
        shifts = sorted({shift_of(kind) for kinds in found.values() for kind in kinds} - {None})
        left.set_xticks(shifts, [f"{shift:g}" for shift in shifts])
        left.minorticks_off()
        left.set(xlabel="largest shift of the pairs trained on, pixels", ylabel=results.heading(metric), title=dataset)
        left.legend()
        right.set_xticks(range(len(others)), others, rotation=30, ha="right")
        right.set_xlim(-0.6, max(1, len(others)) - 0.4)
    return figure


def table(size="class", dataset=None):
    """Markdown: a row a method and kind; mean of each metric and, behind ±, half the range over seeds. Raises ValueError as `gather` does.

    >>> table("smoke", dataset="a folder nobody has val")
    Traceback (most recent call last):
    ValueError: No misregistration was measured ...
    """
    _, found = gather(size, dataset)
    lines = [["system", "trained on", "seeds", *map(results.heading, METRICS)]]
    cell = lambda values, digits: f"{np.mean(values):.{digits}f} ± {np.ptp(values) / 2:.{digits}f}"
    for method, kinds in found.items():
        for kind, values in kinds.items():
            lines.append([method, kind, str(len(values[METRICS[0]])), *(cell(values[key], results.METRICS[key][1]) for key in METRICS)])
    return results.markdown(lines)
