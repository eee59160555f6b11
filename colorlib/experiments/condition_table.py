"""What does a hint, a caption, a reference or a saliency map buy? Every conditioned method with and without its condition, all on the same pictures.

Each chapter measures its methods on pictures of its own, so their gains cannot be compared. Here all see the same ones, which have captions and classes, and
the gain is the mean over pictures of PSNR with the condition less PSNR of the same network without it, with a 95 % bootstrap interval of these differences.

| condition | given | without it |
|---|---|---|
| hints | 1, 5, 50 squares of 2 pixels in their true colours (protocol icolorit2) | no hint |
| caption | the picture's own; another picture's | no words |
| reference | a picture of the same class; of another; the picture itself, warped | the network's way without one, or, where it has none, an unrelated reference |
| saliency map | in training alone, by SCGAN's attention loss | the same training with that loss's weight 0 |

A hint tells true colours, so do captions and a reference that shows the picture itself: what they buy says what they tell, not only how well a network listens.
"""
from colorlib import data, experiments, results, train, zoo
from colorlib.experiments import leaderboard
from colorlib.references import WithReferences

__all__ = ["run", "table", "gather", "measure_method", "METHODS", "HINTS", "PROTOCOL", "REFERENCES", "CAPTIONS", "SALIENCY", "TITLE"]

FILE = "conditions"
METHODS = ("siggraph17", "hintnet", "hscau", "levin", "film", "concat", "gray2color", "color2embed", "welsh")
HINTS, PROTOCOL = (0, 1, 5, 50), "icolorit2"
REFERENCES = {"an unrelated reference": "unrelated", "a related reference": "related", "its own colours, warped": "self"}
CAPTIONS = {"no caption": "no caption", "its caption": "", "another's caption": "another's caption"}      # row: variant of the paper's file
SALIENCY = {"no saliency map": {"attention_weight": 0.0}, "saliency map": {}}       # row: changes of SCGAN's Config, see its TRAINING_ABLATIONS
TITLE = "What a condition buys: the same networks with and without it, the same pictures"
COLUMNS = ("de2000", "ssim", "colorfulness_ratio")


def run(size=None, spec=None, limit=None, updates=None, seeds=leaderboard.SEEDS, names=METHODS, budget_size="smoke", device="auto", precision=None,
        folder="runs", progress=None):
    """Measure grey, mean colour, the conditioned methods, the automatic ones, and SCGAN trained with and without saliency maps; append the rows to
    `data/results/conditions.csv`, yield a line about each method.

    size: of the weights and the test pictures; a method without such weights is left out, and says so. spec: see `experiments.open_dataset` (default: scenes at
    smoke size, else Imagenette). updates, seeds, budget_size: of SCGAN's trainings, which are the leaderboard's under "steps". What was measured before with
    the same weights on the same pictures is not measured again, and an interrupted training goes on. Raises ValueError for a method without conditions.

    >>> next(run(names=["cic"]))
    Traceback (most recent call last):
    ValueError: cic takes no condition: choose among siggraph17, hintnet, hscau, levin, film, concat, gray2color, color2embed, welsh.
    """
    from colorlib.experiments.reproduction import find_weights      # here, because it is built on this module
    size, spec = size or train.size(), spec or ("scenes" if (size or train.size()) == "smoke" else "imagenette")
    if blind := next((name for name in names if not zoo.get(name).conditions), None):
        raise ValueError(f"{blind} takes no condition: choose among {', '.join(METHODS)}.")
    side = leaderboard.TEST_SIDE[budget_size]
    pool = experiments.open_dataset(spec, side, split="val", captions=True)
    dataset = data.choose(pool, limit=limit or leaderboard.PICTURES)
    shared = experiments.columns_of_test(size, spec, dataset) | {"n": len(dataset)}
    grey = _measure_trivial(dataset, shared, spec, side, progress)
    for name in (*names, *leaderboard.automatic_methods()):
        method, weights = zoo.get(name), find_weights(name, size, spec)
        if method.learns and weights is None:
            yield f"{name}: has no {size} weights, left out"
            continue
        known = shared | {"method": name, "settings": results.file_hash(weights) if weights else results.config_hash(method.presets[size])}
        if results.matching(FILE, **known):
            continue
        model = zoo.load(name, weights, size, device)
        trained = experiments.columns_of_training(model, weights)
        found = measure_method(method, model, dataset, pool, grey, progress)
        for row, columns in found.items():
            results.append(FILE, trained | known | {"variant": row} | columns)
        yield f"{name}: " + "; ".join(f"{row or 'alone'} {columns['psnr']:.2f} dB" for row, columns in found.items())
    yield from measure_saliency(dataset, shared, spec, updates, seeds, budget_size, device, precision, folder, progress)


def measure_method(method, model, dataset, pool, grey, progress=None):
    """{row: columns of results} of a method under each of its conditions, the row without first; an automatic one has the row "". grey: PSNR of each picture
    left grey; what is gained is counted from the first row, or, for an automatic method, from grey.

    >>> photonet, scenes = zoo.get("photonet"), data.SceneSet(2, size=32, cache=False)
    >>> model = photonet.papers.build(photonet.presets["smoke"], pretrained=False).eval()
    >>> row, = measure_method(photonet, model, scenes, scenes, grey=[24.0, 25.0], progress=False).values()
    >>> row["against"], row["condition"], row["n"]
    ('grey', 'none', 2)
    """
    side, rows, variants = zoo.working_size(model.config), {}, method.papers.variants(model)
    first, plain = next(iter(variants)), {}
    if "hints" in method.conditions:
        plain = {f"{count} hint{'s' * (count != 1)}" if count else "no hint": (first, dataset, {"protocol": PROTOCOL, "amount": count}) for count in HINTS}
    elif "caption" in method.conditions:
        plain = {row: (variant, dataset, {}) for row, variant in CAPTIONS.items()}
    elif "reference" in method.conditions:
        kinds = {row: WithReferences(dataset, kind, pool=pool) for row, kind in REFERENCES.items()}
        plain = {"no reference": ("no reference", next(iter(kinds.values())), {})} if "no reference" in variants else {}
        plain |= {row: (first, pictures, {}) for row, pictures in kinds.items()}
    reference = grey if not plain else None
    for row, (variant, pictures, options) in (plain or {"": (first, dataset, {})}).items():
        give = experiments.conditions_for(method, side, **options)
        paint = experiments.on_device(variants[variant], model)
        (columns, psnr), = leaderboard.measure({row: paint}, pictures, side, reference, progress, conditions=give).values()
        reference = psnr if reference is None else reference
        rows[row] = columns | {"against": "grey" if not plain else next(iter(plain)), "condition": next(iter(method.conditions), "none")}
    return rows


def measure_saliency(dataset, shared, spec, updates=None, seeds=leaderboard.SEEDS, size="smoke", device="auto", precision=None, folder="runs", progress=None):
    """Train SCGAN with and without the loss that uses saliency maps, at the leaderboard's budget "steps", measure both, append a row each; yield a line about
    each seed. The gain compares the two trainings with the same seed."""
    method, updates = zoo.get("scgan"), updates or leaderboard.UPDATES[size]
    for seed in range(seeds):
        reference, told = None, []
        known = shared | {"method": "scgan", "seed": seed, "updates": updates, "settings": leaderboard.settings_of("scgan", size, spec)}
        if len(results.matching(FILE, **known)) >= len(SALIENCY):
            continue
        for row, changes in SALIENCY.items():
            weights, trained = leaderboard.train_evenly("scgan", updates, size, seed, spec, changes, device, precision, folder, progress)
            if weights is None:
                return
            model = zoo.load("scgan", weights, device=device)
            paint = experiments.on_device(lambda batch: method.papers.colorize(model, batch), model)
            (columns, psnr), = leaderboard.measure({row: paint}, dataset, zoo.working_size(model.config), reference, progress).values()
            reference = psnr if reference is None else reference
            told.append(trained | known | {"variant": row, "against": next(iter(SALIENCY)), "condition": "saliency map"} | columns)
        for row in told:      # both or none
            results.append(FILE, row)
        yield f"scgan, seed {seed}: " + "; ".join(f"{row['variant']} {row['psnr']:.2f} dB" for row in told)


def _measure_trivial(dataset, shared, spec, side, progress):
    """PSNR of each grey picture, (n,); appends the rows grey and mean colour unless these pictures have them."""
    rows = experiments.trivial_colorizers(spec, side)
    found = leaderboard.measure(rows, dataset, side, progress=progress)
    for row, (columns, _) in found.items():
        if not results.matching(FILE, **shared, method=row):
            results.append(FILE, shared | {"method": row, "variant": "", "condition": "none"} | columns)
    return found["grey"][1]


# ---------------------------------------------------------------- table

def gather(size=None, dataset=None):
    """[(method, condition, row, against, its newest result rows, one a seed)] in the table's order. Of the automatic methods only the one with the best PSNR.
    dataset: default, that of the newest row. Raises ValueError where nothing was measured.

    >>> gather("smoke", dataset="a folder nobody has val")
    Traceback (most recent call last):
    ValueError: What conditions buy was not measured at size smoke on a folder nobody has val: run `python -m colorlib conditions` first.
    """
    size = size or train.size()
    rows = [row for row in results.read(FILE) if row["size"] == size and dataset in (None, row["dataset"])]
    if not rows:
        raise ValueError(f"What conditions buy was not measured at size {size}{f' on {dataset}' if dataset else ''}: run `python -m colorlib conditions` first.")
    last, newest, found = rows[-1], {}, {}
    rows = [row for row in rows if (row["split_hash"], row["n"]) == (last["split_hash"], last["n"])]
    for row in rows:
        newest[row["method"], row["condition"]] = row.get("settings"), row.get("updates")
    for row in rows:
        if (row.get("settings"), row.get("updates")) == newest[row["method"], row["condition"]]:
            key = row["method"], row["condition"], row["variant"] or "", row["against"]
            found.setdefault(key, {})[row["seed"] if row["condition"] == "saliency map" else None] = row
    lines = [(*key, list(given.values())) for key, given in found.items()]
    trivial, alone, told = [], [], []
    for line in lines:
        (told if line[1] != "none" else trivial if line[0] in results.TRIVIAL else alone).append(line)
    best = sorted(alone, key=lambda line: line[-1][0]["psnr"])[-1:]
    return trivial + best + sorted(told, key=lambda line: METHODS.index(line[0]) if line[0] in METHODS else len(METHODS))


def table(size=None, dataset=None):
    """Markdown: PSNR with its 95 % interval over pictures, the gain over the row "counted from" with its own, and what PSNR does not see. Means over seeds ±
    half the range where there are several (SCGAN). Raises ValueError as `gather` does.

    >>> table("smoke", dataset="a folder nobody has val")
    Traceback (most recent call last):
    ValueError: What conditions buy was not measured ...
    """
    mean, half_range, interval = leaderboard.mean, leaderboard.half_range, leaderboard.interval
    lines = [["system", "is given", "PSNR ↑ [95 %]", "gain, dB [95 %]", "counted from", *map(results.heading, COLUMNS)]]
    for method, condition, row, against, rows in gather(size, dataset):
        psnr = f"{mean(rows, 'psnr'):.2f}{half_range(rows, 'psnr', 2)}{interval(rows, 'psnr')}"
        gain = "—" if mean(rows, "psnr_gain") is None else f"{mean(rows, 'psnr_gain'):+.2f}{half_range(rows, 'psnr_gain', 2)}{interval(rows, 'psnr_gain')}"
        name = f"{method}, the best automatic one" if condition == "none" and method not in results.TRIVIAL else method
        means = results.cells({key: mean(rows, key) for key in COLUMNS}, COLUMNS)
        cells = [cell + half_range(rows, key, results.METRICS[key][1]) for cell, key in zip(means, COLUMNS)]
        lines.append([name, row or "nothing", psnr, gain, against if gain != "—" else "—", *cells])
    return results.markdown(lines)
