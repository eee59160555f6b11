"""Train, evaluate and reproduce: the functions behind the command line, the same the notebooks call."""
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from colorlib import data, figures, images, lab, metrics, results, train, zoo
from colorlib.data.sources import resize
from colorlib.files import write_atomic
from colorlib.progress import track
from colorlib.simulated_hints import protocol_hints

METRICS = ("psnr", "ssim", "de2000", "ab_rmse", "colorfulness_ratio", "l_drift")
TEST_SIZE = {"smoke": 64, "class": 224, "paper": 224}       # side of the pictures results are measured on
PHOTOS = 5                                                  # of scikit-image's photographs, in the figures
FIGURE_HINTS = ("icolorit2", 50)                            # in the figures of hint methods
DOT_LIGHTNESS = 60.0                                        # at which a hint's colour is drawn
ZOOM = 1.25                                                 # photos are stored this much larger than the crops trained on


def open_dataset(spec, side, split="train", limit=None, seed=0):
    """A map-style data set from what a person types: "scenes", a torchvision set ("imagenette", ...), a folder, or tar shards.

    Photos become squares of `side` pixels, decoded once into the cache. split: "train" or "val"; scenes of the two never share a seed.
    limit: at most that many samples. Raises FileNotFoundError or ValueError with what to do.
    """
    if spec == "scenes":
        return data.SceneSet(limit or (2000 if split == "train" else 200), size=side, seed=seed + (0 if split == "train" else 10_000_000))
    return data.open_pictures(spec, side, split=split, limit=limit)


def train_method(name, size=None, spec=None, run=None, steps=None, batch_size=None, device="auto", devices="auto", precision=None, compile=False,
                 workers=0, seed=None, progress=None, save=None):
    """Train a method and save its weights; returns the weights file's path (None in the helping processes of a parallel run).

    size: smoke, class or paper (default: COLORLIB_SIZE). spec: see `open_dataset` (default: scenes at smoke size, Imagenette otherwise).
    run: folder for log and checkpoints (default `runs/<name>-<size>`); an interrupted run goes on from there. save: where the weights go (default: into run).
    """
    size = size or train.size()
    paper, presets = zoo.get(name).papers, zoo.get(name).presets
    changes = {"steps": steps, "batch_size": batch_size, "seed": seed}
    config = replace(presets[size], **{key: value for key, value in changes.items() if value is not None})
    spec = spec or ("scenes" if size == "smoke" else "imagenette")
    dataset = open_dataset(spec, config.image_size if spec == "scenes" else getattr(config, "working_size", round(ZOOM * config.image_size)))
    crop = None if spec == "scenes" else config.image_size
    run = Path(run or f"runs/{name}-{size}")
    fabric = train.make_fabric(device, devices, precision)
    fabric.launch()
    step = paper.make_step(config, fabric, dataset, run, progress, compile)
    log = train.fit(step, dataset, steps=config.steps, batch_size=config.batch_size, fabric=fabric, seed=config.seed, crop=crop, run=run,
                    tag=results.config_hash(config), workers=workers, progress=progress)
    path = Path(save or run / f"{name}-{size}.safetensors")
    if fabric.is_global_zero:
        info = {"size": size, "data": str(spec), "n": len(dataset), "split_hash": results.split_hash(dataset_ids(dataset)), "steps": config.steps,
                "batch": config.batch_size, "seed": config.seed, "minutes": round(train.minutes(run), 1)} | results.provenance() | {"log": thin(log)}
        zoo.save_weights(step.result(), name, path, info)
    fabric.barrier()
    return path if fabric.is_global_zero else None


def thin(log, rows=100):
    """At most about `rows` rows of a training log, numbers to six digits: small enough for a weights file's sidecar."""
    kept = log[::max(1, -(-len(log) // rows))]
    return [{key: float(f"{value:.6g}") if isinstance(value, float) else value for key, value in row.items()} for row in kept]


def dataset_ids(dataset):
    """The ids of a map-style data set, in order."""
    return dataset.ids if hasattr(dataset, "ids") else [dataset[i]["id"] for i in range(len(dataset))]


def mean_ab(dataset, count=500):
    """Mean a and b over the first pictures of a training set, CIE units: the one colour that is least wrong on average."""
    chosen = range(0, len(dataset), max(1, len(dataset) // count))
    return torch.stack([lab.rgb_to_lab(dataset[i]["rgb"])[1:].mean((1, 2)) for i in chosen]).mean(0)


def conditions_of(method, true, ids, side, protocol="dense05", amount=0.005):
    """What a test gives a method beside L, from true pictures `(N, 3, H, W)` uint8: {} or, at the working size `side`, hint_ab and hint_mask.

    ids: one string a picture, from which its hints follow; protocol, amount: see `simulated_hints.protocol_hints`.
    """
    if "hints" not in method.conditions:
        return {}
    small = torch.stack([torch.from_numpy(resize(one.permute(1, 2, 0).numpy(), side)) for one in true]).permute(0, 3, 1, 2)
    hint_ab, hint_mask = protocol_hints(lab.rgb_to_lab(small)[:, 1:], ids, protocol, amount)
    return {"hint_ab": hint_ab, "hint_mask": hint_mask}


def evaluate(colorizers, dataset, working_size, batch_size=20, progress=None, conditions=lambda true, ids: {}):
    """Score {row name: function of {"L": (N, 1, h, w), ...} -> ab (N, 2, h', w')} on square colour pictures of one size.

    conditions: function of (true `(N, 3, H, W)` uint8, ids) -> what the methods get beside L.

    Each picture goes the way a person's picture goes: L at full size, ab at the working size, `images.merge_chroma`. Returns
    {row name: {metric: (n,) float64}}, LPIPS among them where its weights are at hand. The order is shuffled, so that a batch mixes classes.
    """
    scores = {name: [] for name in colorizers}
    order = torch.randperm(len(dataset), generator=torch.Generator().manual_seed(0)).split(batch_size)
    with_lpips = metrics.lpips_available()
    for chosen in track(order, progress):
        samples = [dataset[int(i)] for i in chosen]
        true = torch.stack([sample["rgb"] for sample in samples])                                                 # (N, 3, H, W) uint8
        L = lab.rgb_to_lab(true)[:, 0].numpy()                                                                    # (N, H, W)
        batch = {"L": torch.cat([images.model_input(one, working_size) for one in L])} | conditions(true, [sample["id"] for sample in samples])
        for name, colorizer in colorizers.items():
            ab = colorizer(batch).float().cpu().numpy()
            merged = [images.merge_chroma(one, chroma) for one, chroma in zip(L, ab)]
            pred = torch.from_numpy(np.stack(merged)).permute(0, 3, 1, 2)
            scores[name].append(metrics.evaluate_pictures(pred, true) | ({"lpips": metrics.lpips(pred, true)} if with_lpips else {}))
    return {name: {key: np.concatenate([part[key] for part in parts]) for key in parts[0]} for name, parts in scores.items()}


def evaluate_method(name, size=None, spec=None, weights=None, model=None, limit=None, device="auto", write=True, progress=None):
    """Measure a method, its variants and the trivial rows on a test set, and append the rows to the method's table in `data/results`.

    spec: see `open_dataset`; its "val" split is used. Returns {row name: summary}.
    """
    size = size or train.size()
    method = zoo.get(name)
    given, model = model is not None, model if model is not None else zoo.load(name, weights, size=size, device=device)
    spec = spec or ("scenes" if size == "smoke" else "imagenette")
    working_size = zoo.working_size(model.config)
    side = model.config.image_size if spec == "scenes" else TEST_SIZE[size]
    dataset = open_dataset(spec, side, split="val", limit=limit)
    shared = columns_of_test(size, spec, dataset) | {"n": len(dataset)}
    known = {row["method"]: row for row in results.latest(method.results, **shared) if row["method"] in results.TRIVIAL and not row["variant"]}
    colorizers, place = {} if "grey" in known else trivial_colorizers(spec, side), next(model.parameters()).device
    for variant, colorizer in method.papers.variants(model).items():
        colorizers[variant] = lambda batch, colorizer=colorizer: colorizer(
            {key: value.to(place) for key, value in batch.items()})
    scores = evaluate(colorizers, dataset, working_size, progress=progress, conditions=lambda true, ids: conditions_of(method, true, ids, working_size))
    summaries = {row: metrics.summarize(columns) for row, columns in scores.items()}
    if "grey" in known:
        summaries = {row: known[row] for row in ("grey", "mean colour") if row in known} | summaries
    trained = columns_of_training(model, None if given else weights or zoo.weights_file(name, size))
    if write:
        for row, summary in summaries.items():
            if (is_trivial := row in results.TRIVIAL) and "grey" in known:
                continue      # measured with another method of the table, on the same pictures
            results.append(method.results, {"method": row if is_trivial else name, "variant": "" if is_trivial else row} | shared
                           | ({} if is_trivial else trained) | {key: value for key, value in summary.items() if np.isscalar(value)})
    return summaries


def columns_of_test(size, spec, dataset):
    """What a result row says of the pictures it was measured on."""
    return {"size": size, "dataset": f"{Path(str(spec)).name} val", "split_hash": results.split_hash(dataset_ids(dataset))}


def columns_of_training(model, weights):
    """What a result row says of a model: its config and, from the JSON beside its weights file, how it was trained. weights None: nobody knows."""
    source = zoo.read_sidecar(weights) if weights is not None and Path(weights).exists() else {}
    return {key: source.get(key) for key in ("seed", "steps", "batch", "minutes")} | {"config_hash": results.config_hash(model.config)}


def trivial_colorizers(spec, side):
    """The answers that cost nothing: grey and, where the data have a "train" split to take it from, their mean colour."""
    rows = {"grey": lambda batch: torch.zeros(len(batch["L"]), 2, 1, 1)}
    try:
        mean = mean_ab(open_dataset(spec, side, split="train", limit=2000))
    except FileNotFoundError:      # a test folder alone
        return rows
    return rows | {"mean colour": lambda batch: mean.view(1, 2, 1, 1).expand(len(batch["L"]), 2, 1, 1)}


def summary_table(summaries, metric_names=METRICS):
    """{row name: summary} -> Markdown."""
    heads = {metric: results.METRICS.get(metric, (metric, 2, "")) for metric in metric_names}
    lines = [["row", *(f"{heading} {arrow}".strip() for heading, _, arrow in heads.values())]]
    lines += [[row, *(results.cell(summary[metric], decimals) for metric, (_, decimals, _) in heads.items())] for row, summary in summaries.items()]
    return results.markdown(lines)


def reproduce(name="all", size=None, spec=None, limit=None, device="auto"):
    """Train what has no weights of this size, evaluate, append the rows, draw the figure and the table. Yields lines that say what was done."""
    size = size or train.size()
    for method in zoo.METHODS.values() if name == "all" else [zoo.get(name)]:
        weights = zoo.weights_file(method.name, size) if method.learns else None
        if method.learns and not weights.exists():
            weights = Path(f"runs/{method.name}-{size}/{method.name}-{size}.safetensors")
        if method.learns and not weights.exists():
            yield f"{method.name}: no {size} weights yet, training"
            train_method(method.name, size, spec, device=device)
        yield f"{method.name}: measuring {weights or 'the method, which has nothing to learn'}"
        evaluate_method(method.name, size, spec, weights, limit=limit or (None if size != "smoke" else 64), device=device)
        model, chapter = zoo.load(method.name, weights, size, device), method.notebook[:2]
        painted, name_of = paint_photos(method, model), f"{chapter}_{method.name}_{size}"
        yield f"{method.name}: figure {draw_results(method, model, painted, name_of)}"
        yield f"{method.name}: figure {draw_banner(method, model, painted, f'{name_of}_banner')}"
        table = results.table(method.results, table_metrics(method.results), size=size)
        yield f"{method.name}: table {write_table(method, size, table)}"
        if "hints" in method.conditions:
            yield f"{method.name}: curve {reproduce_curve(method, size, spec, weights, limit, device, f'{chapter}_hint_curves_{size}')}"
        yield table


def reproduce_curve(method, size, spec, weights, limit, device, name):
    """Measure PSNR against the number of hints and draw it beside the other methods' curves. Returns the file written."""
    from colorlib import hint_curves      # here, because it is built on this module
    hint_curves.measure_method(method.name, size, spec, weights, limit=limit or (None if size != "smoke" else 8), device=device)
    return save_figure(name, hint_curves.draw(size))


def table_metrics(name):
    """The metrics of a method's table: METRICS, and LPIPS when some run could measure it."""
    return (*METRICS, "lpips") if any(row.get("lpips") is not None for row in results.read(name)) else METRICS


def write_table(method, size, table):
    """Put a method's table into `<name>-<size>.md` beside its rows and, at class size, all methods' tables into the README. Returns the file."""
    path = results.results_folder() / f"{method.results}-{size}.md"
    write_atomic(path, f"{method.title}, {size} size\n\n{table}\n".encode())
    readme = results.repository() / "README.md"
    if size == "class" and path.parent == results.repository() / "data" / "results" and readme.exists():
        tables = [path.parent / f"{name}-class.md" for name in dict.fromkeys(one.results for one in zoo.METHODS.values())]
        results.replace_section(readme, "results", "\n".join(one.read_text() for one in tables if one.exists()))
    return path


def draw_results(method, model, painted, name):
    """The figure every paper shares, from `paint_photos`: grey, each variant, truth. Returns the file written."""
    return save_grid(name, painted, columns=["input", *method.papers.variants(model), "target"])


def draw_banner(method, model, painted, name):
    """Three rows of small pictures: what the network is given, what it paints, the truth. Returns the file written."""
    variant = next(iter(method.papers.variants(model)))
    rows = [{str(i): row[key] for i, row in enumerate(painted)} for key in ("input", variant, "target")]
    columns = [str(i) for i in range(len(painted))]
    return save_grid(name, rows, columns=columns, titles=dict.fromkeys(columns, ""), row_titles=["given", "painted", "truth"])


def paint_photos(method, model, side=224):
    """[{"input", each variant, "target": (side, side, 3) uint8}] for scikit-image's photographs, cut to squares."""
    named = [(name, resize(rgb, side)) for name, rgb in data.sample_photos(PHOTOS)]
    true, L = [rgb for _, rgb in named], [lab.rgb_to_lab(rgb)[..., 0] for _, rgb in named]
    working_size = zoo.working_size(model.config)
    batch = {"L": torch.cat([images.model_input(one, working_size) for one in L])} \
        | conditions_of(method, torch.from_numpy(np.stack(true)).permute(0, 3, 1, 2), [name for name, _ in named], working_size, *FIGURE_HINTS)
    batch = {key: value.to(next(model.parameters()).device) for key, value in batch.items()}
    rows = [{"input": images.merge_chroma(one, np.zeros((2, 1, 1), np.float32)), "target": rgb} for one, rgb in zip(L, true)]
    if "hint_mask" in batch:
        for i, row in enumerate(rows):
            row["input"] = draw_hints(row["input"], batch["hint_ab"][i].cpu(), batch["hint_mask"][i].cpu())
    for variant, colorizer in method.papers.variants(model).items():
        for row, one, ab in zip(rows, L, colorizer(batch).float().cpu().numpy()):
            row[variant] = images.merge_chroma(one, ab)
    return rows


def draw_hints(picture, hint_ab, hint_mask, side=7):
    """A grey picture `(H, W, 3)` uint8 with each hint of the maps `(2, h, w)` and `(1, h, w)` as a square of `side` pixels in its colour."""
    size = picture.shape[:2]
    grown = torch.nn.functional.max_pool2d(hint_mask[None], side, 1, side // 2)[0, 0] > 0                           # (h, w)
    mean = torch.nn.functional.avg_pool2d(torch.cat([hint_ab * hint_mask, hint_mask])[None], side, 1, side // 2)[0]      # (3, h, w)
    tint = torch.where(grown, torch.cat([torch.full_like(hint_mask, DOT_LIGHTNESS), mean[:2] / mean[2:].clamp_min(1e-6)]), torch.zeros(3, 1, 1))
    dots = torch.nn.functional.interpolate(lab.lab_to_rgb(lab.map_to_gamut(tint)[0])[None], size)[0]
    where = torch.nn.functional.interpolate(grown[None, None].float(), size)[0, 0].numpy() > 0
    return np.where(where[..., None], (dots * 255).round().byte().permute(1, 2, 0).numpy(), picture)


def save_grid(name, rows, **options):
    """Draw a grid, save it, forget it. Returns the file written."""
    return save_figure(name, figures.grid(rows, **options))


def save_figure(name, figure):
    """Save a figure and forget it. Returns the file written."""
    import matplotlib.pyplot as plt
    path = figures.save(figure, name)
    plt.close(figure)
    return path
