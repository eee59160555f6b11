"""A method is measured beside the answers that cost nothing, on the pictures that everything in its table is measured on: `python -m colorlib evaluate`.

Each picture goes the way a person's picture goes: lightness at full size, colour at the size the network works at, joined by `images.merge_chroma`. `clips` has
the same for clips, `evaluators` two ways that compare any two folders of pictures.
"""
import numpy as np
import torch

from colorlib import data, images, lab, metrics, references, results, saliency, train, zoo
from colorlib.data.sources import resize
from colorlib.experiments.clips import evaluate_clips
from colorlib.experiments.opening import default_data, is_scenes, load_model, open_dataset, open_test, reads_captions, reads_clips, test_side
from colorlib.experiments.rows import columns_of_test, columns_of_training, known_trivial
from colorlib.hints.simulated_hints import protocol_hints
from colorlib.metrics import infrared_floors, infrared_scores, learned_metrics, reference_scores
from colorlib.progress import track

__all__ = ["evaluate_method", "evaluate", "conditions_of", "conditions_for", "trivial_colorizers", "measure_over_grey", "to_device"]

REFERENCE_ROWS = {"unrelated reference": "unrelated", "own colours, warped": "self"}      # further rows of methods that take a reference: its kind


# ---------------------------------------------------------------- a method, with the rows of its table

def evaluate_method(name, size=None, spec=None, weights=None, model=None, limit=None, device="auto", write=True, progress=None, split="val"):
    """Measure a method, its variants and the trivial rows on a test set, and append the rows to the method's table in `data/results`.

    spec, split: see `open_dataset`. model: instead of weights. Methods that are trained on clips are measured on clips. Returns {row name: {"n", metric:
    mean}}, the method's first row "". Raises ValueError for an unknown method or split, FileNotFoundError where there are no weights or pictures, with what to
    do.

    >>> evaluate_method("scgan", size="smoke", weights="none.safetensors")
    Traceback (most recent call last):
    FileNotFoundError: ...
    """
    size = size or train.size()
    method = zoo.get(name)
    if reads_clips(method) and split == "val":
        return evaluate_clips(name, size, spec, weights, model, limit, device, write, progress)
    model, file = load_model(name, size, weights, model, device)
    spec, working_size = spec or default_data(method, size), zoo.working_size(model.config)
    is_infrared, side = method.sees == "infrared", test_side(method, model.config, size, spec)
    dataset = open_test(method, spec, side, limit, split)
    shared = columns_of_test(size, spec, dataset, split) | {"n": len(dataset)}
    known, first = known_trivial(method.results, shared), "infrared copied" if is_infrared else "grey"
    trivial = {} if first in known else trivial_colorizers(spec, side, method.sees)
    colorizers, floors = ({}, trivial) if is_infrared else (trivial, {})
    colorizers |= {variant: on_device(colorizer, model) for variant, colorizer in method.papers.variants(model).items()}
    conditions = conditions_for(method, working_size)
    scores = evaluate(colorizers, dataset, working_size, progress=progress, sees=method.sees, conditions=conditions, floors=floors)
    if "reference" in method.conditions:
        scores |= {} if first in known else {"truth": score_truth(dataset)}
        for row, kind in REFERENCE_ROWS.items():
            others = references.WithReferences(dataset.dataset, kind, pool=dataset.pool)
            scores |= evaluate({row: colorizers[""]}, others, working_size, progress=progress, conditions=conditions)
    if oracle := getattr(method.papers, "ORACLE", None):      # what the true picture as a reference would give
        told = lambda samples: {"reference": torch.stack([one["rgb"] for one in samples])}
        found = evaluate({oracle: colorizers[""]}, dataset, working_size, progress=progress, conditions=told)[oracle]
        scores[oracle] = {key: found[key] for key in scores[""]}
    summaries = {row: metrics.summarize(columns) for row, columns in scores.items()}
    if hasattr(method.papers, "distributions"):
        for row, columns in score_colors(method, model, dataset, spec, working_size, conditions, progress).items():
            summaries[row] = summaries.get(row, {}) | columns
    if first in known:
        summaries = {row: known[row] for row in (first, "mean colour", "truth", *infrared_floors.ROWS) if row in known} | summaries
    trained = columns_of_training(model, file)
    if write:
        for row, summary in summaries.items():
            if (is_trivial := row in results.TRIVIAL) and first in known:
                continue      # measured with another method of the table, on the same pictures
            results.append(method.results, {"method": row if is_trivial else name, "variant": "" if is_trivial else row} | shared
                           | ({} if is_trivial else trained) | {key: value for key, value in summary.items() if np.isscalar(value)})
    return summaries


# ---------------------------------------------------------------- functions that paint

def evaluate(colorizers, dataset, working_size, batch_size=20, progress=None, conditions=lambda samples: {}, sees="grey", floors=None, score=None):
    """Score {row name: function of {"L": (N, 1, h, w), ...} -> ab (N, 2, h', w')} on square colour pictures of one size.

    score: function of (row name, pred, true `(N, 3, H, W)` uint8) -> columns, instead of the metrics below.
    conditions: function of a list of samples -> what the methods get beside L. sees="infrared": functions of {"nir": (N, 1, h, w)
    in [0, 1]} -> rgb (N, 3, h', w') in [0, 1], on pairs. floors: rows of infrared that work at full size and may look at the truth, see `infrared_floors`.

    Each picture goes the way a person's picture goes: L at full size, ab at the working size, `images.merge_chroma`. Returns
    {row name: {metric: (n,) float64}}, LPIPS among them where its weights are at hand, where methods get a reference, HIS in both protocols, and of infrared
    `infrared_scores.score_pictures`. The order is shuffled, so that a batch mixes classes.

    >>> pictures = [{"rgb": torch.full((3, 16, 16), level, dtype=torch.uint8), "id": str(level)} for level in (0, 90, 200)]
    >>> scores = evaluate({"grey": grey}, pictures, working_size=8)      # of grey pictures it is the whole truth
    >>> scores["grey"]["de2000"].round(1).tolist()
    [0.0, 0.0, 0.0]
    """
    floors = floors or {}
    scores = {name: [] for name in (*floors, *colorizers)}
    order = shuffled(len(dataset)).split(batch_size)
    with_lpips = learned_metrics.lpips_available()
    score = score or (lambda row, pred, true: metrics.evaluate_pictures(pred, true) | ({"lpips": learned_metrics.lpips(pred, true)} if with_lpips else {})
                      | (infrared_scores.score_pictures(pred, true) if sees == "infrared" else {}))
    for chosen in track(order, progress):
        samples = [dataset[int(i)] for i in chosen]
        true = torch.stack([sample["rgb"] for sample in samples])                                                 # (N, 3, H, W) uint8
        if sees == "infrared":
            nir = torch.stack([sample["nir"] for sample in samples]).float() / 255                                # (N, 1, H, W)
            full, batch, merge = 100 * nir[:, 0].numpy(), {"nir": torch.cat([images.shrink(one, working_size) for one in nir])}, images.merge_picture
        else:
            full, merge = lab.rgb_to_lab(true)[:, 0].numpy(), images.merge_chroma                                 # (N, H, W)
            batch = {"L": torch.cat([images.model_input(one, working_size) for one in full])} | conditions(samples)
        for name, floor in floors.items():
            scores[name].append(score(name, floor(nir, true.float() / 255).mul(255).round().byte(), true))
        for name, colorizer in colorizers.items():
            painted = colorizer(batch).float().cpu().numpy()
            pred = torch.from_numpy(np.stack([merge(one, small) for one, small in zip(full, painted)])).permute(0, 3, 1, 2)
            scores[name].append(score(name, pred, true) | (score_reference(painted, pred, batch["reference"]) if "reference" in batch else {}))
    return {name: {key: np.concatenate([part[key] for part in parts]) for key in parts[0]} for name, parts in scores.items()}


def shuffled(count):
    """The order `evaluate` takes `count` test pictures in, always the same, so that a batch mixes classes: a permutation `(count,)`."""
    return torch.randperm(count, generator=torch.Generator().manual_seed(0))


def to_device(batch, device):
    """The tensors of a batch on a device, the rest as it is.

    >>> to_device({"L": torch.zeros(2, 1, 8, 8), "caption": ["a red car", "a tree"]}, "cpu")["caption"]
    ['a red car', 'a tree']
    """
    return {key: value.to(device) if torch.is_tensor(value) else value for key, value in batch.items()}


def on_device(colorizer, model):
    """A function of a batch that first brings it to where a model lies."""
    place = next(model.parameters(), torch.empty(0)).device
    return lambda batch: colorizer(to_device(batch, place))


def measure_over_grey(method, model, dataset, progress=None):
    """{"n", metric: mean} of a method that sees grey pictures, alone or with hints, as `colorize` paints them, with "gain", in dB over the same pictures left
    grey, and its 95 % interval "gain_low", "gain_high".

    >>> photonet, scenes = zoo.get("photonet"), data.SceneSet(2, size=32, cache=False)
    >>> found = measure_over_grey(photonet, photonet.papers.build(photonet.presets["smoke"], pretrained=False).eval(), scenes, progress=False)
    >>> found["n"], found["gain_low"] <= found["gain"] <= found["gain_high"]
    (2, True)
    """
    working_size = zoo.working_size(model.config)
    colorizers = {"grey": grey, "": on_device(lambda batch: method.papers.colorize(model, batch), model)}
    scores = evaluate(colorizers, dataset, working_size, progress=progress, conditions=conditions_for(method, working_size))
    gains = scores[""]["psnr"] - scores["grey"]["psnr"]
    low, high = metrics.bootstrap_ci(gains)
    return metrics.summarize(scores[""]) | {"gain": float(gains.mean()), "gain_low": low, "gain_high": high}


def summarize_pairs(method, model, dataset):
    """{"n", metric: mean} of a method that sees infrared on pairs, its first variant, at its working size."""
    painted = {"": on_device(method.papers.variants(model)[""], model)}
    return metrics.summarize(evaluate(painted, dataset, zoo.working_size(model.config), progress=False, sees="infrared")[""])


# ---------------------------------------------------------------- what some methods are also scored by

def score_reference(ab, pred, reference):
    """{"his", "his_file": `(N,)` float64} of ab `(N, 2, h, w)`, array, as a network gave it, and the pictures `(N, 3, H, W)` uint8 painted with it."""
    return {"his": reference_scores.his_tensor(torch.as_tensor(ab), reference), "his_file": reference_scores.his_file(pred, reference)}


def score_truth(dataset, batch_size=20):
    """HIS of the true pictures of a `WithReferences` themselves, {"his", "his_file": (n,)}: what the right colours score, which is less than copying can."""
    rows = []
    for start in range(0, len(dataset), batch_size):
        samples = [dataset[i] for i in range(start, min(start + batch_size, len(dataset)))]
        true, reference = (torch.stack([one[key] for one in samples]) for key in ("rgb", "reference"))
        rows.append(score_reference(lab.rgb_to_lab(true)[:, 1:], true, reference))
    return {key: np.concatenate([row[key] for row in rows]) for key in rows[0]}


def score_colors(method, model, dataset, spec, working_size, conditions, progress=None):
    """{row: columns} of a method that answers with a distribution over colours: acc@k of its variants and of the commonest bins, on scenes also what nobody can
    beat; with captions, whether objects follow a swapped colour word (only rows "" and those of the paper's `variants`)."""
    from colorlib import manipulation
    from colorlib.metrics import caption_scores      # here, because they are built on modules that import this one
    answers = {row: on_device(answer, model) for row, answer in method.papers.distributions(model).items()}
    bins = method.papers.bins(model.config)
    try:
        answers["constant bin"] = caption_scores.constant_bin(open_dataset(spec, working_size, limit=2000, captions=reads_captions(method)), bins)
    except FileNotFoundError:      # a test folder alone
        pass
    rows = caption_scores.measure_accuracy(answers, dataset, bins, working_size, conditions, progress=progress)
    if is_scenes(spec):
        rows |= caption_scores.ceilings(dataset[0]["rgb"].shape[-1], len(dataset), progress=progress)
    if "caption" in method.conditions:
        paint = on_device(method.papers.variants(model)[""], model)
        rows[""] |= manipulation.measure_manipulation(paint, with_objects(dataset), working_size, progress=progress)
    return rows


def with_objects(dataset, limit=200):
    """At most `limit` samples of a data set, each with the mask it has or with a saliency map."""
    dataset = data.choose(dataset, limit=limit)
    return dataset if {"mask", "saliency"} & set(dataset[0]) else saliency.WithSaliency(dataset, saliency.DEFAULT)


# ---------------------------------------------------------------- what a test gives

def conditions_for(method, side, **options):
    """A function of a list of samples -> what a test gives a method beside L, see `conditions_of`, which takes the options; for `evaluate`.

    >>> give = conditions_for(zoo.get("siggraph17"), side=32, protocol="icolorit2", amount=5)
    >>> sorted(give([data.SceneSet(1, size=64, cache=False)[0]]))
    ['hint_ab', 'hint_mask']
    """
    return lambda samples: conditions_of(method, torch.stack([one["rgb"] for one in samples]), [one["id"] for one in samples], side,
                                         captions=[one.get("caption", "") for one in samples], references=[one.get("reference") for one in samples], **options)


def conditions_of(method, true, ids, side, protocol="dense05", amount=0.005, captions=None, references=None):
    """What a test gives a method beside L, from true pictures `(N, 3, H, W)` uint8: {}, {"caption": N strings}, {"reference": `(N, 3, h, w)` uint8} or
    hint_ab and hint_mask at the size `side`.

    ids: one string a picture, from which its hints follow; protocol, amount: see `simulated_hints.protocol_hints`; captions: N strings; references: N
    pictures `(3, h, w)` uint8 of one size.

    >>> true = torch.zeros(2, 3, 64, 64, dtype=torch.uint8)
    >>> conditions_of(zoo.get("film"), true, ["a", "b"], 32, captions=["a red car", "a tree"])
    {'caption': ['a red car', 'a tree']}
    >>> conditions_of(zoo.get("hintnet"), true, ["a", "b"], 32, "zhang6", 10)["hint_mask"].shape
    torch.Size([2, 1, 32, 32])
    """
    if "reference" in method.conditions:
        return {"reference": torch.stack(list(references))}
    if "caption" in method.conditions:
        return {"caption": list(captions)}
    if "hints" not in method.conditions:
        return {}
    small = torch.stack([torch.from_numpy(resize(one.permute(1, 2, 0).numpy(), side)) for one in true]).permute(0, 3, 1, 2)
    hint_ab, hint_mask = protocol_hints(lab.rgb_to_lab(small)[:, 1:], ids, protocol, amount)
    return {"hint_ab": hint_ab, "hint_mask": hint_mask}


# ---------------------------------------------------------------- what costs nothing

def trivial_colorizers(spec, side, sees="grey"):
    """The answers that cost nothing, {row: colorizer}: grey and, where the data have a "train" split to take it from, their mean colour. For infrared see
    `infrared_floors`.

    >>> list(trivial_colorizers("a folder without a training part", side=64))
    ['grey']
    """
    rows = {"grey": grey}
    try:
        known = open_dataset(spec, side, split="train", limit=2000, sees=sees)
    except FileNotFoundError:      # a test folder alone
        return infrared_floors.floors() if sees == "infrared" else rows
    if sees == "infrared":
        return infrared_floors.floors(known)
    mean = mean_ab(known)
    return rows | {"mean colour": lambda batch: mean.view(1, 2, 1, 1).expand(len(batch["L"]), 2, 1, 1)}


def grey(batch):
    """The colorizer that adds no colour."""
    return torch.zeros(len(batch["L"]), 2, 1, 1)


def mean_ab(dataset, count=500):
    """Mean a and b over the first pictures of a training set, CIE units: the one colour that is least wrong on average."""
    chosen = range(0, len(dataset), max(1, len(dataset) // count))
    return torch.stack([lab.rgb_to_lab(dataset[i]["rgb"])[1:].mean((1, 2)) for i in chosen]).mean(0)
