"""Is it the idea that helps? Train a method with one thing changed at a time, several seeds each, and put mean and spread side by side.

A paper's file lists what is worth changing in `TRAINING_ABLATIONS`: {row: {field of Config: value}}, the first row the method as it is. Measured on procedural
scenes, whose objects have exact masks: the colour error on the object and beside it, and whether the two are kept apart.
"""
import numpy as np

from colorlib import caption_scores, experiments, failures, images, lab, metrics, results, train, zoo

METRICS = {"psnr": ("PSNR", 2), "object_error": ("ab error, object", 2), "ground_error": ("ab error, ground", 2), "kept_apart": ("kept apart", 2),
           "colorfulness": ("colourfulness", 1)}
COLOR_METRICS = {"acc@1": ("acc@1 %", 1), "acc@1 told": ("acc@1 %, told", 1), "acc@5 told": ("acc@5 %, told", 1)}      # of methods that choose among colours
PICTURES = 100
SEEDS = 3


def run(name, size=None, seeds=SEEDS, rows=None, device="auto", precision=None, folder="runs", progress=None, changes=None):
    """Train and measure every row of a paper's `TRAINING_ABLATIONS` with every seed; yield a line about each. An interrupted training goes on.

    changes: {field of Config: value} for all rows, such as more steps. Results: `data/results/<method>_ablation.csv`. Raises ValueError for a method
    without ablations or an unknown row.
    """
    size, method = size or train.size(), zoo.get(name)
    known = getattr(method.papers, "TRAINING_ABLATIONS", {})
    if not known or set(rows or ()) - set(known):
        raise ValueError(f"{name} has {'no ablations' if not known else 'these ablations: ' + ', '.join(known)}: choose another "
                         f"{'method' if not known else 'row'}.")
    for row in rows or known:
        for seed in range(seeds):
            weights = experiments.train_method(name, size, "scenes", f"{folder}/{name}-{size}-{row.replace(' ', '_').replace('/', '_')}-{seed}",
                                               seed=seed, device=device, precision=precision, changes=(changes or {}) | known[row], progress=progress)
            if weights is None:      # a helping process of a parallel run
                continue
            model = zoo.load(name, weights, size, device)
            summary = measure(method, model)
            results.append(f"{name}_ablation", {"method": name, "variant": row, "size": size, "dataset": "scenes val", "n": PICTURES}
                           | experiments.columns_of_training(model, weights) | summary)
            yield f"{name}: {row}, seed {seed}: " + ", ".join(f"{heading} {summary[key]:.2f}" for key, (heading, _) in shown([summary]).items())


def measure(method, model, count=PICTURES):
    """{metric: mean} of a model on scenes it was not trained on. object_error, ground_error: root mean squared ab distance in CIE units inside and
    outside the main object's mask; kept_apart: see `failures.object_intervention`; acc@k: see `caption_scores`, for methods that choose among colours."""
    dataset = experiments.open_dataset("scenes", model.config.image_size, split="val", limit=count)
    columns = {key: [] for key in METRICS}
    for i in range(len(dataset)):
        sample = dataset[i]
        true, mask = sample["rgb"].permute(1, 2, 0).numpy(), sample["mask"][0].numpy() > 0
        L = lab.rgb_to_lab(true)[..., 0]
        pred = images.merge_chroma(L, zoo.predict_ab(method.papers, model, L, **({"caption": sample["caption"]} if "caption" in method.conditions else {})))
        distance = ((lab.rgb_to_lab(pred) - lab.rgb_to_lab(true))[..., 1:] ** 2).sum(-1)                  # (H, W)
        columns["psnr"].append(float(metrics.psnr(pred, true)))
        columns["object_error"].append(np.sqrt(distance[mask].mean()) if mask.any() else np.nan)
        columns["ground_error"].append(np.sqrt(distance[~mask].mean()) if (~mask).any() else np.nan)
        columns["kept_apart"].append(failures.object_intervention([pred], [true], [mask])[0])
        columns["colorfulness"].append(float(metrics.colorfulness(pred)))
    summary = {key: float(np.nanmean(values)) for key, values in columns.items()}
    if hasattr(method.papers, "distributions"):
        answer = {"": lambda batch: method.papers.distributions(model)[""](experiments.to_device(batch, next(model.parameters()).device))}
        summary |= caption_scores.measure_accuracy(answer, dataset, method.papers.bins(model.config), zoo.working_size(model.config))[""]
    return summary


def shown(rows):
    """The metrics of a table, {column: (heading, digits)}: those that all rows have."""
    return {key: value for key, value in (METRICS | COLOR_METRICS).items() if all(row.get(key) is not None for row in rows)}


def table(name, size=None):
    """Mean and, behind ±, the range over seeds halved, one row an ablation, Markdown; from `data/results/<method>_ablation.csv`."""
    read, rows = [row for row in results.read(f"{name}_ablation") if row["size"] == (size or train.size())], {}
    lines = [["changed", "seeds", *(heading for heading, _ in shown(read).values())]]
    for row in read:
        rows.setdefault(row["variant"], {})[int(row["seed"])] = row      # the last run of a seed counts
    for variant, found in rows.items():
        values = {key: np.array([one[key] for one in found.values()]) for key in shown(read)}
        lines.append([variant, str(len(found)), *(f"{values[key].mean():.{digits}f} ± {np.ptp(values[key]) / 2:.{digits}f}"
                                                 for key, (_, digits) in shown(read).items())])
    return results.markdown(lines)
