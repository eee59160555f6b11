"""Every way colorlib measures, and SCGAN's own evaluation, slips included, beside the same measured right.

| protocol | of | where | command |
|---|---|---|---|
| what chapters show | any method, on its own kind of pictures | `experiments` | `evaluate METHOD` |
| legacy | automatic methods, as CT2 and DDColor measure | `evaluators` | `evaluate METHOD --protocol legacy`, `score PAINTED TRUE --protocol legacy` |
| standard | automatic methods, or any two folders, done right | `evaluators` | `evaluate METHOD --protocol standard`, `score PAINTED TRUE` |
| scgan | SCGAN and its kin, as its authors measure | here | `evaluate METHOD --published` |
| zhang6, icolorit2, dense05 | hints, as three lines of papers simulate them | `simulated_hints`, `hint_curves` | `evaluate METHOD --curve` |
| challenge | infrared, as the field's scripts compute it | `infrared_scores` | `evaluate METHOD --split legacy` |
| clips | how steady colours are | `video_scores` | `evaluate METHOD --clips` |

`certification` tells whether a folder is the set legacy numbers were published on.

SCGAN (`evaluation/` of its repository): squares of 256 px; the RGB the network paints, its lightness with it; PSNR, SSIM, NRMSE; the colour
colourfulness index and the share of pictures where it lies in 16..20; the colour naturalness index; whether a classifier still knows the picture;
precision, recall and F1 of the predicted saliency.
"""
import numpy as np
import torch

from colorlib import classifiers, experiments, images, lab, metrics, results, train, zoo
from colorlib.progress import track

__all__ = ["measure_scgan", "PROTOCOLS", "table", "score", "summarize", "SCGAN_METRICS", "SIDE", "PERCENT"]

SIDE = {"smoke": 64, "class": 256, "paper": 256}
SCGAN_METRICS = ("psnr", "ssim", "ssim_range2", "nrmse", "colorfulness", "colorfulness_gap", "cci_ratio", "cni", "top1", "top5", "precision", "recall", "f1")
PERCENT = ("cci_ratio", "top1", "top5", "precision", "recall", "f1")


def measure_scgan(name="scgan", size=None, spec=None, weights=None, model=None, limit=None, classifier=None, device="auto", write=True, progress=None):
    """Measure an SCGAN as its authors do, and append the rows to `data/results/<table>_protocol.csv`. Returns {row name: summary}.

    Rows: "truth"; "grey"; "painted", the network's RGB; "as published", the same with batch norm on each picture's own statistics and saliency
    scores that count a picture without salient pixels as 0; "lightness kept", what colorlib gives a person, its colours under the true L.
    classifier: a `classifiers.Classifier`; by default the file COLORLIB_CLASSIFIER names, else torchvision's SqueezeNet if it is to be had; without
    one, or without Imagenette's labels, top-1 and top-5 stay empty. spec, limit: see `experiments.open_dataset`; its "val" split. Raises ValueError
    for a method that does not see grey pictures.

    >>> measure_scgan("nirnet")
    Traceback (most recent call last):
    ValueError: nirnet sees infrared, and the authors' evaluation is of grey photographs: use `python -m colorlib evaluate nirnet` alone.
    """
    size = size or train.size()
    method = zoo.get(name)
    if method.sees != "grey":
        raise ValueError(f"{name} sees {method.sees}, and the authors' evaluation is of grey photographs: use `python -m colorlib evaluate {name}` alone.")
    model, file = experiments.load_model(name, size, weights, model, device)
    spec = spec or experiments.default_data(method, size)
    side = model.config.image_size if experiments.is_scenes(spec) else SIDE[size]
    dataset = method.papers.prepare_data(experiments.open_dataset(spec, side, split="val", limit=limit), model.config)
    classifier, place, columns = classifier or find_classifier(dataset), next(model.parameters()).device, {}
    for chosen in track(torch.arange(len(dataset)).split(20), progress):
        samples = [dataset[int(i)] for i in chosen]
        true = torch.stack([one["rgb"] for one in samples])
        maps = torch.stack([one["saliency"] for one in samples]).float() / 255
        labels = classifiers.imagenet_labels([int(one["label"]) for one in samples], dataset.classes) if classifier else None
        for row, (pred, predicted) in paint_rows(method.papers, model, true, place).items():
            found = score(pred, true, predicted, maps, row == "as published", classifier, labels)
            for key, values in found.items():
                columns.setdefault(row, {}).setdefault(key, []).append(values)
    summaries = {row: summarize({key: np.concatenate(parts) for key, parts in found.items()}) for row, found in columns.items()}
    shared = experiments.columns_of_test(size, spec, dataset) | {"n": len(dataset)}
    trained = experiments.columns_of_training(model, file)
    notes = f"evaluated: saliency {dataset.source}, classifier {classifier.name if classifier else 'none'}"
    trained["notes"] = "; ".join(filter(None, [trained.get("notes"), notes]))
    for row, summary in summaries.items() if write else ():
        trivial = row in ("truth", "grey")
        results.append(f"{method.results}_protocol", {"method": row if trivial else name, "variant": "" if trivial else row} | shared
                       | ({"notes": notes} if trivial else trained) | summary)
    return summaries


@torch.no_grad()
def paint_rows(paper, model, true, place):
    """{row name: (rgb `(N, 3, H, W)` in [0, 1], saliency `(N, 1, H, W)` or None)} of true pictures `(N, 3, H, W)` uint8."""
    rgb = true.float() / 255
    gray = paper.luma_of(rgb)
    painted = {"painted": "running", "as published": "batch"}
    rows = {"truth": (true, None), "grey": (gray.expand(-1, 3, -1, -1), None)}
    rows |= {row: tuple(x.cpu() for x in paper.paint(model, gray.to(place), mode)) for row, mode in painted.items()}
    L = lab.rgb_to_lab(true)[:, 0].numpy()
    small = torch.cat([images.model_input(one, zoo.working_size(model.config)) for one in L])
    kept = [images.merge_chroma(one, ab) for one, ab in zip(L, paper.colorize(model, {"L": small.to(place)}).float().cpu().numpy())]
    return rows | {"lightness kept": (torch.from_numpy(np.stack(kept)).permute(0, 3, 1, 2).float() / 255, rows["painted"][1])}


def score(pred, true, predicted, maps, legacy, classifier, labels):
    """One batch's columns, {metric: (n,) array}, of pictures in [0, 1] `(n, 3, H, W)`, with saliency maps `(n, 1, H, W)` predicted (None: without) and true.
    legacy: maps without a salient pixel count as 0. labels: of Imagenet, for a classifier (None: without).

    >>> half = torch.full((2, 3, 32, 32), 0.5)
    >>> score(half, half, None, None, False, None, None)["colorfulness"].round(1).tolist()
    [0.0, 0.0]
    """
    found = {"psnr": metrics.psnr(pred, true), "ssim": metrics.ssim(pred, true, "skimage"), "ssim_range2": metrics.ssim(pred, true, "range2"),
             "nrmse": metrics.nrmse(pred, true), "colorfulness": metrics.colorfulness(pred), "cni": metrics.cni(pred)}
    found["colorfulness_gap"] = (found["colorfulness"] - metrics.colorfulness(true)).abs()
    low, high = metrics.CCI_BEST
    found["cci_ratio"] = ((low <= found["colorfulness"]) & (found["colorfulness"] <= high)).double()
    if predicted is not None:
        found |= metrics.saliency_scores(predicted, maps, legacy=legacy)
    if classifier is not None:
        found |= classifiers.top_k(classifier, pred, labels)
    return {key: np.asarray(values, np.float64) for key, values in found.items()}


def summarize(columns):
    """{metric: (n,)} -> {metric: mean}; shares in percent; undefined scores and identical pictures' infinite PSNR left out.

    >>> found = summarize({"psnr": np.array([24.0, np.inf]), "f1": np.array([0.5, 1.0]), "cni": np.array([np.nan])})
    >>> found["psnr"].item(), found["f1"].item(), found["cni"]
    (24.0, 75.0, None)
    """
    means = {key: values[np.isfinite(values)].mean() if np.isfinite(values).any() else None for key, values in columns.items()}
    return {key: value * 100 if key in PERCENT and value is not None else value for key, value in means.items()}


def find_classifier(dataset):
    """The classifier top-1 and top-5 are measured with, or None when there is none or the labels are not Imagenette's."""
    if not set(getattr(dataset, "classes", None) or ["none"]) <= set(classifiers.IMAGENETTE_CLASSES):
        return None
    try:
        return classifiers.load_classifier(classifiers.STAND_IN)
    except (FileNotFoundError, ValueError):
        pass
    try:
        return classifiers.load_classifier()
    except ConnectionError:
        return None


PROTOCOLS = {"scgan": measure_scgan}         # by the paper's module


def table(name="scgan", size=None):
    """The protocol's table of a method, Markdown, from `data/results/<table>_protocol.csv`.

    >>> table("scgan", size="a size nobody has").splitlines()[0].split(" | ")[1]
    'PSNR ↑ (ours)'
    """
    return results.table(f"{zoo.get(name).results}_protocol", SCGAN_METRICS, size=size or train.size())
