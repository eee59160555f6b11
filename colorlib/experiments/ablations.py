"""Is it the idea that helps? Train a method with one thing changed at a time, several seeds each, and put mean and spread side by side.

A paper's file lists what is worth changing in `TRAINING_ABLATIONS`: {row: {field of Config: value}}, the first row the method as it is. Measured on procedural
scenes, whose objects have exact masks: the colour error on the object and beside it, and whether the two are kept apart; methods that take colours from a
reference with related and unrelated ones; methods that see infrared by the angular error; methods that are trained on clips by how steady their
colours are, beside the truth, grey and the mean colour. On photographs, what needs no mask.
"""
import re

import numpy as np

from colorlib import data, experiments, images, lab, metrics, painting, results, train, zoo
from colorlib.metrics import caption_scores, failures, reference_scores, video_scores

__all__ = ["run", "table", "measure", "shown", "METRICS", "CLIP_METRICS", "INFRARED_METRICS", "COLOR_METRICS", "REFERENCE_METRICS", "PICTURES",
           "CLIPS", "SEEDS"]

METRICS = {"psnr": ("PSNR", 2), "object_error": ("ab error, object", 2), "ground_error": ("ab error, ground", 2), "kept_apart": ("kept apart", 2),
           "ssim": ("SSIM", 3), "ae": ("AE °", 2),                                                                         # of methods that see infrared
           "colorfulness": ("colourfulness", 1)}
CLIP_METRICS = ("ssim", "colorfulness_ratio", "warp_error", "chroma_warp_error", "static_flicker", "cdc_gap", "drift",
                *(f"psnr@{k}" for k in video_scores.FRAME_NUMBERS))                                              # of methods trained on clips
INFRARED_METRICS = ("psnr", "ssim", "ae", "colorfulness")
COLOR_METRICS = {"acc@1": ("acc@1 %", 1), "acc@1 told": ("acc@1 %, told", 1), "acc@5 told": ("acc@5 %, told", 1)}      # of methods that choose among colours
REFERENCE_METRICS = {"his": ("HIS", 3), "his unrelated": ("HIS, unrelated", 3), "gate": ("gate", 2), "gate unrelated": ("gate, unrelated", 2),
                     "match_accuracy": ("matches on the object %", 1)}                                                     # of methods that take a reference
PICTURES = 100
CLIPS = 12                  # whole shots, for methods trained on clips
SEEDS = 3


def run(name, size=None, seeds=SEEDS, rows=None, device="auto", precision=None, folder="runs", progress=None, changes=None, spec="scenes"):
    """Train and measure every row of a paper's `TRAINING_ABLATIONS` with every seed; yield a line about each. An interrupted training goes on.

    changes: {field of Config: value} for all rows, such as more steps. spec: what to train and measure on, see `experiments.open_dataset`. Results:
    `data/results/<method>_ablation.csv`. Raises ValueError for a method without ablations or an unknown row.

    >>> next(run("scgan", rows=["a larger network"]))
    Traceback (most recent call last):
    ValueError: scgan has these ablations: ...: choose another row.
    """
    size, method = size or train.size(), zoo.get(name)
    known = getattr(method.papers, "TRAINING_ABLATIONS", {})
    if not known or set(rows or ()) - set(known):
        raise ValueError(f"{name} has {'no ablations' if not known else 'these ablations: ' + ', '.join(known)}: choose another "
                         f"{'method' if not known else 'row'}.")
    for row in rows or known:
        for seed in range(seeds):
            place = f"{name}-{size}-{row.replace(' ', '_').replace('/', '_')}"
            place += "" if spec == "scenes" else re.sub(r"[^\w.-]", "_", f"-{experiments.data_name(spec)}")
            weights = experiments.train_method(name, size, spec, f"{folder}/{place}-{seed}", seed=seed, device=device, precision=precision,
                                               changes=(changes or {}) | known[row], progress=progress)
            if weights is None:      # a helping process of a parallel run
                continue
            model = zoo.load(name, weights, size, device)
            if experiments.reads_clips(method):
                write_trivial(method, size, spec, model.config.image_size)
            summary = measure(method, model, spec=spec)
            results.append(f"{name}_ablation", {"method": name, "variant": row, "size": size, "dataset": f"{experiments.data_name(spec)} val", "n": PICTURES}
                           | experiments.columns_of_training(model, weights) | summary)
            yield f"{name}: {row}, seed {seed}: " + ", ".join(f"{heading} {summary[key]:.{digits}f}" for key, (heading, digits) in shown([summary]).items())


def measure(method, model, count=PICTURES, spec="scenes"):
    """{metric: mean} of a model on pictures it was not trained on. object_error, ground_error: root mean squared ab distance in CIE units inside and
    outside the main object's mask; kept_apart: see `failures.object_intervention`; acc@k: see `caption_scores`, for methods that choose among colours; of
    methods that take a reference: see `measure_references`; of methods that see infrared: INFRARED_METRICS; of methods trained on clips: see
    `measure_clips`. What needs masks is left out where there are none.

    >>> photonet = zoo.get("photonet")
    >>> found = measure(photonet, photonet.papers.build(photonet.presets["smoke"], pretrained=False).eval(), count=1)
    >>> list(found)
    ['psnr', 'object_error', 'ground_error', 'kept_apart', 'colorfulness']
    """
    if "reference" in method.conditions:
        return measure_references(method, model, count, spec)
    if method.sees == "infrared":
        return measure_infrared(method, model, count, spec)
    if experiments.reads_clips(method):
        colorizers = {"": video_scores.clip_colorizers(method, model)[""]}
        return measure_clips(colorizers, spec, model.config.image_size)[""]
    reads = not experiments.is_scenes(spec) and experiments.reads_captions(method)                        # scenes have captions anyway
    dataset = experiments.open_dataset(spec, model.config.image_size, split="val", limit=count, captions=reads)
    wanted = ("psnr", "object_error", "ground_error", "kept_apart", "colorfulness") if "mask" in dataset[0] else ("psnr", "colorfulness")
    columns = {key: [] for key in wanted}
    for i in range(len(dataset)):
        sample = dataset[i]
        true = sample["rgb"].permute(1, 2, 0).numpy()
        L = lab.rgb_to_lab(true)[..., 0]
        given = {"caption": sample["caption"]} if "caption" in method.conditions else {}
        pred = images.merge_chroma(L, painting.predict_ab(method.papers, model, L, **given))
        columns["psnr"].append(float(metrics.psnr(pred, true)))
        columns["colorfulness"].append(float(metrics.colorfulness(pred)))
        if "mask" not in sample:
            continue
        mask, distance = sample["mask"][0].numpy() > 0, ((lab.rgb_to_lab(pred) - lab.rgb_to_lab(true))[..., 1:] ** 2).sum(-1)       # (H, W)
        columns["object_error"].append(np.sqrt(distance[mask].mean()) if mask.any() else np.nan)
        columns["ground_error"].append(np.sqrt(distance[~mask].mean()) if (~mask).any() else np.nan)
        columns["kept_apart"].append(failures.object_intervention([pred], [true], [mask])[0])
    summary = {key: float(np.nanmean(values)) for key, values in columns.items()}
    if hasattr(method.papers, "distributions"):
        answer = {"": experiments.on_device(method.papers.distributions(model)[""], model)}
        summary |= caption_scores.measure_accuracy(answer, dataset, method.papers.bins(model.config), zoo.working_size(model.config))[""]
    return summary


def measure_references(method, model, count=PICTURES, spec="scenes"):
    """{metric: mean} with related references and, under names that end in " unrelated", HIS and gate with unrelated ones; see `reference_scores`."""
    dataset = experiments.open_test(method, spec, model.config.image_size, count)
    found = reference_scores.measure(method, model, dataset.dataset, pool=dataset.pool)
    related = {key: found["related"][key] for key in ("psnr", "colorfulness", "his", "gate", "match_accuracy") if key in found["related"]}
    return related | {f"{key} unrelated": found["unrelated"][key] for key in ("his", "gate") if key in found["unrelated"]}


def measure_infrared(method, model, count=PICTURES, spec="scenes"):
    """{"n", metric: mean} of INFRARED_METRICS, on scenes or a folder of pairs at the size the network sees; n: a folder may hold fewer than `count`."""
    found = experiments.summarize_pairs(method, model, experiments.open_test(method, spec, zoo.working_size(model.config), count))
    return {key: found[key] for key in ("n", *INFRARED_METRICS)}


def measure_clips(colorizers, spec, side):
    """{row: {"n", metric: mean}} on whole test shots, see `video_scores.measure_clips`: psnr and CLIP_METRICS, where these clips allow them."""
    dataset = data.open_clips(spec, side, "shot", split="val", limit=CLIPS, with_flow=True)
    found = {row: video_scores.summarize(columns) for row, columns in video_scores.measure_clips(colorizers, dataset, trivial=False).items()}
    return {row: {key: value for key, value in columns.items() if key in ("n", "psnr", *CLIP_METRICS)} for row, columns in found.items()}


def write_trivial(method, size, spec, side):
    """Append the rows truth, grey and mean colour to the table of a method trained on clips, unless it has them."""
    name, dataset = f"{method.name}_ablation", f"{experiments.data_name(spec)} val"
    if any(row["method"] in results.TRIVIAL and (row["size"], row["dataset"]) == (size, dataset) for row in results.read(name)):
        return
    for row, summary in measure_clips(video_scores.trivial_colorizers(experiments.mean_clip_ab(spec, side)), spec, side).items():
        results.append(name, {"method": row, "variant": row, "size": size, "dataset": dataset} | summary)


def shown(rows):
    """The metrics of a table, {column: (heading, digits)}: those that all trained rows have; of REFERENCE_METRICS those that any has, as a row may
    lack the gate.

    >>> shown([{"psnr": 24.0, "ssim": 0.9}, {"psnr": 25.0}])
    {'psnr': ('PSNR', 2)}
    """
    rows = [row for row in rows if row.get("method") not in results.TRIVIAL]
    of_clips = {key: results.METRICS[key][:2] for key in CLIP_METRICS} if any("warp_error" in row for row in rows) else {}
    return {key: value for key, value in (METRICS | of_clips | COLOR_METRICS | REFERENCE_METRICS).items()
            if (any if key in REFERENCE_METRICS else all)(row.get(key) is not None for row in rows)}


def table(name, size=None, spec="scenes", variants=None, columns=None):
    """Mean and, behind ±, the range over seeds halved, one row an ablation, Markdown; from the rows of `data/results/<method>_ablation.csv` on this data.

    variants, columns: which ablations and which metrics, in this order, as far as they were measured; default: all.

    >>> table("scgan", spec="a folder nobody has").splitlines()[0]
    '| changed | seeds | PSNR | ...'
    """
    size, dataset, rows = size or train.size(), f"{experiments.data_name(spec)} val", {}
    read = [row for row in results.read(f"{name}_ablation") if row["size"] == size and row["dataset"] == dataset]
    measured = shown(read)
    headings = {key: measured[key] for key in columns or measured if key in measured}
    lines = [["changed", "seeds", *(heading for heading, _ in headings.values())]]
    for row in read:
        rows.setdefault(row["variant"], {})[row["seed"]] = row      # the last run of a seed counts; trivial rows have none
    for variant in (one for one in variants or rows if one in rows):
        found = rows[variant]
        values = {key: np.array([one[key] for one in found.values() if one.get(key) is not None]) for key in headings}
        spread = lambda x, digits: "" if None in found else f" ± {np.ptp(x) / 2:.{digits}f}"
        cell = lambda x, digits: f"{x.mean():.{digits}f}{spread(x, digits)}" if len(x) else "—"
        lines.append([variant, "—" if None in found else str(len(found)), *(cell(values[key], digits) for key, (_, digits) in headings.items())])
    return results.markdown(lines)
