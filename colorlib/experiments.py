"""Train and evaluate: the functions behind the command line, the same the notebooks call."""
import contextlib
import os
import signal
import traceback
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from colorlib import (checkpoints, data, files, images, infrared_floors, infrared_scores, interruptions, lab, learned_metrics, memory, metrics, reference_scores,
                      references, results, saliency, train, video_scores, zoo)
from colorlib.data.sources import resize
from colorlib.progress import track
from colorlib.simulated_hints import protocol_hints

METRICS = ("psnr", "ssim", "de2000", "ab_rmse", "colorfulness_ratio", "l_drift")
COLOR_METRICS = ("acc@1", "acc@5", "acc@1 balanced", "acc@1 chromatic", "acc@1 told", "plausibility", "quality", "manipulation", "auto manipulation",
                 "followed", "background change")
REFERENCE_METRICS = ("psnr", "ssim", "de2000", "his", "his_file", "colorfulness_ratio")      # of methods that take colours from a reference
REFERENCE_ROWS = {"unrelated reference": "unrelated", "own colours, warped": "self"}         # further rows of theirs: kind of reference
INFRARED_METRICS = ("psnr", "ssim", "ae", "de2000", "ab_rmse", "colorfulness_ratio")          # of methods that see infrared
CHALLENGE_METRICS = ("psnr_pooled", "ssim_challenge", "ae_legacy")                           # theirs, too, as the field computes them, see `infrared_scores`
CLIP_METRICS = ("psnr", "ssim", "colorfulness_ratio", "cdc", "cdc_gap", "warp_error", "chroma_warp_error", "static_flicker", "drift")      # on clips
CLIP_TABLE = "video"                                        # results file and table of what is measured on clips
TEST_SIZE = {"smoke": 64, "class": 224, "paper": 224}       # side of the pictures results are measured on
INFRARED_TEST_SIZE = TEST_SIZE | {"class": 256, "paper": 256}      # that of the VCIP 2020 challenge
CLIP_TEST_SIZE = {"smoke": 64, "class": 128, "paper": 256}         # of frames; the last is TCVC's
SCENES = 2000                                               # how many "scenes" are, where nobody says
MOST_SCENES = 10_000_000                                    # beyond them begin those of the test
STREAM = "stream:"                                          # in front of shards that are read again and again instead of being packed, see `data.Streamed`
TUNING = 0.05                                               # share of the training split that recipes are compared on, see `tuning.py`
MOST = {"image_size": 4096, "blocks": 1000, "halvings": 1000}      # settings whose larger values are slips of the finger, which would fill the memory
ZOOM = 1.25                                                 # photos are stored this much larger than the crops trained on


def default_data(method, size):
    """What a method is trained and measured on unless a person says otherwise; infrared and clips have no set that may be fetched."""
    return "scenes" if size == "smoke" or method.sees == "infrared" or reads_clips(method) else "imagenette"


def open_dataset(spec, side, split="train", limit=None, seed=0, sees="grey", captions=False):
    """A map-style data set from what a person types: "scenes" or, so many of them, "scenes:8000"; a torchvision set ("imagenette", ...), a folder, tar shards;
    or several with + between.

    Photos become squares of `side` pixels, decoded once into the cache. split: "train" or "val" (of infrared pairs also "legacy", see `data.open_pairs`);
    scenes of the two never share a seed; or "fit" and "tuning", two parts of "train", cut by hash; "all" of a folder.
    limit: at most that many samples, of each. sees="infrared": the folder holds infrared pairs, see `data.open_pairs`. captions: samples hold captions that
    name a colour, see `data.open_captioned`. Raises FileNotFoundError or ValueError with what to do.
    """
    if "+" in str(spec) and not Path(spec).exists():
        if "" in (parts := str(spec).split("+")):
            raise ValueError(f"{spec!r} does not say which sets: write a name on both sides of every +.")
        return data.join([open_dataset(part, side, split, limit, seed, sees, captions) for part in parts])
    if split in ("fit", "tuning"):
        whole = open_dataset(spec, side, "train", None, seed, sees, captions)
        fit, tuning = data.split_ids(dataset_ids(whole), TUNING)
        return data.choose(whole, {"fit": fit, "tuning": tuning}[split], limit)
    if is_scenes(spec):
        if split == "all":
            raise ValueError(f"{spec} has no end, and only of a folder can all pictures be taken: choose train or val.")
        count = str(spec).partition(":")[2] or str(SCENES)
        if not count.isdecimal() or not 1 <= int(count) <= MOST_SCENES:
            raise ValueError(f"{spec!r} does not say how many scenes: write a number, such as scenes:8000, up to {MOST_SCENES:,}.")
        found = data.SceneSet(limit or (int(count) if split == "train" else 200), size=side, seed=seed + (0 if split == "train" else MOST_SCENES))
        return data.WithCaptions(found) if captions else found
    if sees == "infrared":
        return data.open_pairs(spec, side, split=split, limit=limit)
    if captions:
        return data.open_captioned(spec, side, split=split, limit=limit)
    return data.open_pictures(spec, side, split=split, limit=limit)


def is_scenes(spec):
    """Whether what a person typed means procedural scenes and nothing else."""
    return str(spec).partition(":")[0] == "scenes" and "+" not in str(spec)


def data_name(spec):
    """A data set's name in results: the last part of its path, with "pseudo:" in front where infrared is made up, wherever the folder lies, and "stream:" where tars
    were streamed; of several sets with + between, of all of them."""
    if "+" in str(spec) and not Path(spec).exists():
        return "+".join(map(data_name, str(spec).split("+")))
    kind = next((kind for kind in ("pseudo:", STREAM) if kind in str(spec)), "")
    return kind + Path(str(spec)).name.removeprefix(kind)


def train_method(name, size=None, spec=None, run=None, steps=None, batch_size=None, device="auto", devices="auto", precision=None, compile=False,
                 workers=0, seed=None, progress=None, save=None, changes=None, misregister=None, split="train", nodes=1,
                 checkpoint_activations=False):
    """Train a method and save its weights; returns the weights file's path (None in the helping processes of a parallel run).

    size: smoke, class or paper (default: COLORLIB_SIZE). spec: see `open_dataset` (default: scenes at smoke size, Imagenette otherwise). changes: {field
    of the paper's Config: value}, for ablations. split: "train", or "fit", its part that leaves "tuning" unseen. misregister: how the infrared pairs trained on are moved against each other, such as "shift:4", see
    `data.Misregistered`.
    run: folder for log and checkpoints (default `runs/<name>-<size>`); an interrupted run goes on from there. save: where the weights go (default: into run).
    devices: on each of `nodes` machines. checkpoint_activations: less memory for more arithmetic, see `memory.checkpoint_step`. Raises ValueError for misregister with a method that does not see infrared, and for a stream where more is needed than its pictures.
    """
    size = size or train.size()
    method = zoo.get(name)
    if not method.learns:
        method.papers.make_step(method.presets[size], None, None)      # raises what to do instead
    if misregister is not None and method.sees != "infrared":
        raise ValueError(f"{name} sees no infrared, so there is nothing to misregister: leave it out.")
    moved = data.parse_misregistration(misregister) if misregister is not None else None
    blocks = memory.blocks_of(method, compile) if checkpoint_activations else ()
    asked = {"steps": steps, "batch_size": batch_size, "seed": seed}
    changes = changes or {}
    config = replace(method.presets[size], **changes | {key: value for key, value in asked.items() if value is not None})
    train.check_counts(steps=config.steps, batch_size=config.batch_size, devices=None if devices == "auto" else devices, nodes=nodes)
    for field, most in MOST.items():
        if (value := vars(config).get(field, 0)) > most:
            raise ValueError(f"{field} is {value:,}: give at most {most:,}.")
    spec = spec or default_data(method, size)
    run = Path(run or f"runs/{name}-{size}")
    path = Path(save or run / f"{name}-{size}.safetensors")
    if os.path.isdir(path):      # also of a name that is too long, which is found out when the folder is made
        raise ValueError(f"{path} is a folder: name a .safetensors file for the weights.")
    fabric = train.make_fabric(device, devices, precision, nodes=nodes)
    data.check_feed(config.batch_size, config.seed, workers, fabric.world_size)
    try:
        with interruptions.hold(run, fabric), blamed_on(changes, name), interruptions.in_sentences(config.batch_size, fabric):
            files.make_folder(path.parent)
            return _train(method, size, config, spec, split, moved, misregister, blocks, run, path, fabric, compile, workers, progress)
    except KeyboardInterrupt as error:
        if isinstance(error, interruptions.Stopped):
            raise
        raise interruptions.Stopped(None, run, getattr(error, "number", signal.SIGINT)) from None


@contextlib.contextmanager
def blamed_on(changes, name):
    """What torch and Python say of a Config that makes no network becomes ValueError with a sentence that names the settings given; without any nothing
    changes."""
    try:
        yield
    except (RuntimeError, LookupError, TypeError, ArithmeticError, AttributeError, AssertionError, ValueError) as error:
        place = Path(traceback.extract_tb(error.__traceback__)[-1].filename)
        is_sentence = isinstance(error, (ValueError, FloatingPointError)) and place.is_relative_to(Path(__file__).parent)
        if not changes or is_sentence or "CUDA" in str(error):
            raise
        given = ", ".join(f"{field}={value!r}"[:80] for field, value in changes.items())
        why = " ".join(str(error).split())[:200] or "no reason given"
        raise ValueError(f"{name} cannot be trained with {given} ({type(error).__name__}: {why}): change what does not fit.") from error


def _train(method, size, config, spec, split, moved, misregister, blocks, run, path, fabric, compile, workers, progress):
    name, paper = method.name, method.papers
    dataset = open_training(method, config, spec, split)
    if hasattr(paper, "prepare_data"):
        dataset = paper.prepare_data(dataset, config)
    if moved:
        dataset = data.Misregistered(dataset, *moved, seed=config.seed)
    if STREAM in str(spec) and not isinstance(dataset, data.Streamed):
        raise ValueError(f"{name} learns from more than pictures alone, which cannot be streamed: leave out {STREAM}.")
    crop = None if is_scenes(spec) else config.image_size
    interruptions.launch(fabric)
    step = paper.make_step(config, fabric, dataset, run, progress, compile)
    memory.checkpoint_step(step, blocks)
    log = train.fit(step, dataset, steps=config.steps, batch_size=config.batch_size, fabric=fabric, seed=config.seed, crop=crop, run=run,
                    tag=" ".join(filter(None, (results.config_hash(config), misregister))), workers=workers, progress=progress)
    if fabric.is_global_zero:
        info = {"size": size, "data": data_name(spec), "split": split, "n": dataset.count if isinstance(dataset, data.Streamed) else len(dataset), "split_hash": results.split_hash(dataset_ids(dataset)), "steps": config.steps,
                "batch": config.batch_size, "seed": config.seed, "minutes": round(checkpoints.minutes(run), 1),
                "notes": getattr(step, "notes", ""), "config_hash": results.config_hash(config)} | ({"misregister": misregister} if moved else {}) | results.provenance() | {"log": thin(log)}
        zoo.save_weights(step.result(), name, path, info)
    fabric.barrier()
    return path if fabric.is_global_zero else None


def open_training(method, config, spec, split="train"):
    """What a method is trained on with a Config, before its paper prepares it. spec: see `open_dataset`, or "stream:" and a folder, path or pattern of shards; split:
    "train" or, of single pictures, "fit"."""
    side = config.image_size if is_scenes(spec) else getattr(config, "working_size", round(ZOOM * config.image_size))
    if STREAM in str(spec):
        if reads_clips(method) or reads_captions(method) or method.sees == "infrared" or split != "train" or not str(spec).startswith(STREAM):
            raise ValueError(f"Only pictures alone, of one set and the whole of its training part, can be streamed: leave out {STREAM} for {method.name}.")
        return data.open_stream(str(spec).removeprefix(STREAM), side)
    if reads_clips(method):
        return data.open_clips(spec, side, method.papers.FRAMES)
    return open_dataset(spec, side, split, sees=method.sees, captions=reads_captions(method))


def reads_captions(method):
    """Whether a method's pictures must come with captions; FCNN's do, though it does not read them, so that all three see the same pictures."""
    return getattr(method.papers, "READS_CAPTIONS", False)


def reads_clips(method):
    """Whether a method is trained on windows of frames."""
    return getattr(method.papers, "READS_CLIPS", False)


def thin(log, rows=100):
    """At most about `rows` rows of a training log, numbers to six digits: small enough for a weights file's sidecar."""
    kept = log[::max(1, -(-len(log) // rows))]
    return [{key: float(f"{value:.6g}") if isinstance(value, float) else value for key, value in row.items()} for row in kept]


def dataset_ids(dataset):
    """The ids of a map-style data set, in order."""
    return dataset.ids if hasattr(dataset, "ids") else [dataset[i]["id"] for i in range(len(dataset))]


def mean_clip_ab(spec, side, count=60):
    """`mean_ab` of single frames of a training set of clips; None where there is only a test folder."""
    try:
        known = data.open_clips(spec, side, 1, limit=count)
    except FileNotFoundError:
        return None
    return torch.stack([lab.rgb_to_lab(known[i]["rgb"])[0, 1:].mean((1, 2)) for i in range(len(known))]).mean(0)


def mean_ab(dataset, count=500):
    """Mean a and b over the first pictures of a training set, CIE units: the one colour that is least wrong on average."""
    chosen = range(0, len(dataset), max(1, len(dataset) // count))
    return torch.stack([lab.rgb_to_lab(dataset[i]["rgb"])[1:].mean((1, 2)) for i in chosen]).mean(0)


def conditions_of(method, true, ids, side, protocol="dense05", amount=0.005, captions=None, references=None):
    """What a test gives a method beside L, from true pictures `(N, 3, H, W)` uint8: {}, {"caption": N strings}, {"reference": `(N, 3, h, w)` uint8} or
    hint_ab and hint_mask at the size `side`.

    ids: one string a picture, from which its hints follow; protocol, amount: see `simulated_hints.protocol_hints`; captions: N strings; references: N
    pictures `(3, h, w)` uint8 of one size.
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


def shuffled(count):
    """The order `evaluate` takes `count` test pictures in, always the same, so that a batch mixes classes: a permutation `(count,)`."""
    return torch.randperm(count, generator=torch.Generator().manual_seed(0))


def conditions_for(method, side, **options):
    """A function of a list of samples -> what a test gives a method beside L, see `conditions_of`, which takes the options; for `evaluate`."""
    return lambda samples: conditions_of(method, torch.stack([one["rgb"] for one in samples]), [one["id"] for one in samples], side,
                                         captions=[one.get("caption", "") for one in samples], references=[one.get("reference") for one in samples], **options)


def evaluate(colorizers, dataset, working_size, batch_size=20, progress=None, conditions=lambda samples: {}, sees="grey", floors=None, score=None):
    """Score {row name: function of {"L": (N, 1, h, w), ...} -> ab (N, 2, h', w')} on square colour pictures of one size.

    score: function of (row name, pred, true `(N, 3, H, W)` uint8) -> columns, instead of the metrics below.
    conditions: function of a list of samples -> what the methods get beside L. sees="infrared": functions of {"nir": (N, 1, h, w)
    in [0, 1]} -> rgb (N, 3, h', w') in [0, 1], on pairs. floors: rows of infrared that work at full size and may look at the truth, see `infrared_floors`.

    Each picture goes the way a person's picture goes: L at full size, ab at the working size, `images.merge_chroma`. Returns
    {row name: {metric: (n,) float64}}, LPIPS among them where its weights are at hand, where methods get a reference, HIS in both protocols, and of infrared
    `infrared_scores.score_pictures`. The order is shuffled, so that a batch mixes classes.
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
            batch = {"L": torch.cat([images.model_input(one, working_size) for one in full])} \
                | conditions(samples)
        for name, floor in floors.items():
            scores[name].append(score(name, floor(nir, true.float() / 255).mul(255).round().byte(), true))
        for name, colorizer in colorizers.items():
            painted = colorizer(batch).float().cpu().numpy()
            pred = torch.from_numpy(np.stack([merge(one, small) for one, small in zip(full, painted)])).permute(0, 3, 1, 2)
            scores[name].append(score(name, pred, true) | (score_reference(painted, pred, batch["reference"]) if "reference" in batch else {}))
    return {name: {key: np.concatenate([part[key] for part in parts]) for key in parts[0]} for name, parts in scores.items()}


def measure_over_grey(method, model, dataset, progress=None):
    """{"n", metric: mean} of a method that sees grey pictures, alone or with hints, as `colorize` paints them, with "gain", in dB over the same pictures left grey, and
    its 95 % interval "gain_low", "gain_high"."""
    place, working_size = next(model.parameters(), torch.empty(0)).device, zoo.working_size(model.config)
    colorizers = {"grey": grey, "": lambda batch: method.papers.colorize(model, to_device(batch, place))}
    scores = evaluate(colorizers, dataset, working_size, progress=progress, conditions=conditions_for(method, working_size))
    gains = scores[""]["psnr"] - scores["grey"]["psnr"]
    low, high = metrics.bootstrap_ci(gains)
    return metrics.summarize(scores[""]) | {"gain": float(gains.mean()), "gain_low": low, "gain_high": high}


def grey(batch):
    """The colorizer that adds no colour."""
    return torch.zeros(len(batch["L"]), 2, 1, 1)


def summarize_pairs(method, model, dataset):
    """{"n", metric: mean} of a method that sees infrared on pairs, its first variant, at its working size."""
    painted = lambda batch: method.papers.variants(model)[""](to_device(batch, next(model.parameters()).device))
    return metrics.summarize(evaluate({"": painted}, dataset, zoo.working_size(model.config), progress=False, sees="infrared")[""])


def score_reference(ab, pred, reference):
    """{"his", "his_file": `(N,)` float64} of ab `(N, 2, h, w)`, array, as a network gave it, and the pictures `(N, 3, H, W)` uint8 painted with it."""
    return {"his": reference_scores.his_tensor(torch.as_tensor(ab), reference), "his_file": reference_scores.his_file(pred, reference)}


def evaluate_method(name, size=None, spec=None, weights=None, model=None, limit=None, device="auto", write=True, progress=None, split="val"):
    """Measure a method, its variants and the trivial rows on a test set, and append the rows to the method's table in `data/results`.

    spec, split: see `open_dataset`. Methods that are trained on clips are measured on clips. Returns {row name: summary}.
    """
    size = size or train.size()
    method = zoo.get(name)
    if reads_clips(method) and split == "val":
        return evaluate_clips(name, size, spec, weights, model, limit, device, write, progress)
    given, model = model is not None, model if model is not None else zoo.load(name, weights, size=size, device=device)
    spec = spec or default_data(method, size)
    working_size = zoo.working_size(model.config)
    is_infrared, side = method.sees == "infrared", test_side(method, model.config, size, spec)
    dataset = open_test(method, spec, side, limit, split)
    shared = columns_of_test(size, spec, dataset, split) | {"n": len(dataset)}
    known = {row["method"]: row for row in results.latest(method.results, **shared) if row["method"] in results.TRIVIAL and not row["variant"]}
    first = "infrared copied" if is_infrared else "grey"
    trivial, place = {} if first in known else trivial_colorizers(spec, side, method.sees), next(model.parameters()).device
    colorizers, floors = ({}, trivial) if is_infrared else (trivial, {})
    for variant, colorizer in method.papers.variants(model).items():
        colorizers[variant] = lambda batch, colorizer=colorizer: colorizer(to_device(batch, place))
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
    trained = columns_of_training(model, None if given else weights or zoo.weights_file(name, size))
    if write:
        for row, summary in summaries.items():
            if (is_trivial := row in results.TRIVIAL) and first in known:
                continue      # measured with another method of the table, on the same pictures
            results.append(method.results, {"method": row if is_trivial else name, "variant": "" if is_trivial else row} | shared
                           | ({} if is_trivial else trained) | {key: value for key, value in summary.items() if np.isscalar(value)})
    return summaries


def evaluate_clips(name, size=None, spec=None, weights=None, model=None, limit=None, device="auto", write=True, progress=None):
    """Measure a method and the trivial rows on whole shots, see `video_scores`, and append the rows to `data/results/video.csv`.

    spec: see `data.open_clips` (default: scenes). limit: at most so many shots. Returns {row name: summary}, with FID and KID of the frames where their
    weights are at hand.
    """
    size, spec = size or train.size(), spec or "scenes"
    method, side = zoo.get(name), CLIP_TEST_SIZE[size]
    given, model = model is not None, model if model is not None else zoo.load(name, weights, size=size, device=device)
    colorizers = video_scores.clip_colorizers(method, model)
    dataset = data.open_clips(spec, side, "shot", split="val", limit=limit, with_flow=True)
    shared = columns_of_test(size, spec, dataset) | {"n": len(dataset), "frames": sum(len(dataset[i]["rgb"]) for i in range(len(dataset)))}
    known = {row["method"]: row for row in results.latest(CLIP_TABLE, **shared) if row["method"] in results.TRIVIAL and not row["variant"]}
    if "grey" not in known:
        colorizers = video_scores.trivial_colorizers(mean_clip_ab(spec, side)) | colorizers
    scores = video_scores.measure_clips(colorizers, dataset, progress, trivial=False)
    summaries = {row: video_scores.summarize(columns) for row, columns in scores.items()}
    if learned_metrics.inception_available():
        for row, distances in video_scores.frame_distances(colorizers, dataset, progress=progress).items():
            summaries[row] |= distances
    trained = columns_of_training(model, None if given else weights or zoo.weights_file(name, size))
    if write:
        for row, summary in summaries.items():
            own = {"method": row, "variant": ""} if row in results.TRIVIAL else {"method": name, "variant": row} | trained
            results.append(CLIP_TABLE, own | shared | summary)
    return known | summaries


def test_side(method, config, size, spec):
    """Side of the pictures a method is measured on: of scenes what its network sees."""
    return zoo.working_size(config) if is_scenes(spec) else (INFRARED_TEST_SIZE if method.sees == "infrared" else TEST_SIZE)[size]


def columns_of_test(size, spec, dataset, split="val"):
    """What a result row says of the pictures it was measured on."""
    return {"size": size, "dataset": f"{data_name(spec)} {split}", "split_hash": results.split_hash(dataset_ids(dataset))}


def columns_of_training(model, weights):
    """What a result row says of a model: its config and, from the JSON beside its weights file, how it was trained. weights None: nobody knows."""
    source = zoo.read_sidecar(weights) if weights is not None and Path(weights).exists() else {}
    columns = {key: source.get(key) for key in ("seed", "steps", "batch", "minutes")} | {"config_hash": results.config_hash(model.config)}
    return columns | ({"notes": source["notes"]} if source.get("notes") else {})


def open_test(method, spec, side, limit=None, split="val"):
    """The split a method is measured on. Where others of its table read captions, it is measured on their pictures, if there are captions at all.
    With related references for a method that takes one; they come from the whole split, whatever the limit. split: "val", "all" of a folder, or "legacy". Raises
    ValueError for "legacy" unless the method sees infrared and spec is a folder."""
    if method.sees == "infrared" and not is_scenes(spec):
        return open_dataset(spec, side, split=split, limit=limit, sees=method.sees)
    if split == "legacy":
        raise ValueError(f"Only a folder of infrared pairs, for a method that sees infrared, has a split {split}: leave it out for {method.name} on {spec}.")
    if "reference" in method.conditions:
        return references.WithReferences(open_dataset(spec, side, split=split, limit=limit), pool=open_dataset(spec, side, split=split))
    shared = {other.results for other in zoo.METHODS.values() if "caption" in other.conditions}
    try:
        return open_dataset(spec, side, split=split, limit=limit, sees=method.sees, captions=method.results in shared)
    except ValueError:
        if reads_captions(method) or method.results not in shared:
            raise
        return open_dataset(spec, side, split=split, limit=limit, sees=method.sees)


def score_colors(method, model, dataset, spec, working_size, conditions, progress=None):
    """{row: columns} of a method that answers with a distribution over colours: acc@k of its variants and of the commonest bins, on scenes also what nobody can
    beat; with captions, whether objects follow a swapped colour word (only rows "" and those of the paper's `variants`)."""
    from colorlib import caption_scores, manipulation      # here, because they are built on modules that import this one
    place = next(model.parameters()).device
    on_device = lambda answer: lambda batch: answer(to_device(batch, place))
    answers = {row: on_device(answer) for row, answer in method.papers.distributions(model).items()}
    try:
        answers["constant bin"] = caption_scores.constant_bin(open_dataset(spec, working_size, limit=2000, captions=reads_captions(method)), method.papers.bins(model.config))
    except FileNotFoundError:      # a test folder alone
        pass
    rows = caption_scores.measure_accuracy(answers, dataset, method.papers.bins(model.config), working_size, conditions, progress=progress)
    if is_scenes(spec):
        rows |= caption_scores.ceilings(dataset[0]["rgb"].shape[-1], len(dataset), progress=progress)
    if "caption" in method.conditions:
        rows[""] |= manipulation.measure_manipulation(on_device(method.papers.variants(model)[""]), with_objects(dataset), working_size, progress=progress)
    return rows


def score_truth(dataset, batch_size=20):
    """HIS of the true pictures of a `WithReferences` themselves, {"his", "his_file": (n,)}: what the right colours score, which is less than copying can."""
    rows = []
    for start in range(0, len(dataset), batch_size):
        samples = [dataset[i] for i in range(start, min(start + batch_size, len(dataset)))]
        true, reference = (torch.stack([one[key] for one in samples]) for key in ("rgb", "reference"))
        rows.append(score_reference(lab.rgb_to_lab(true)[:, 1:], true, reference))
    return {key: np.concatenate([row[key] for row in rows]) for key in rows[0]}


def with_objects(dataset, limit=200):
    """At most `limit` samples of a data set, each with the mask it has or with a saliency map."""
    dataset = data.choose(dataset, limit=limit)
    return dataset if {"mask", "saliency"} & set(dataset[0]) else saliency.WithSaliency(dataset, saliency.DEFAULT)


def to_device(batch, device):
    """The tensors of a batch on a device, the rest as it is."""
    return {key: value.to(device) if torch.is_tensor(value) else value for key, value in batch.items()}


def trivial_colorizers(spec, side, sees="grey"):
    """The answers that cost nothing: grey and, where the data have a "train" split to take it from, their mean colour. For infrared see `infrared_floors`."""
    rows = {"grey": grey}
    try:
        known = open_dataset(spec, side, split="train", limit=2000, sees=sees)
    except FileNotFoundError:      # a test folder alone
        return infrared_floors.floors() if sees == "infrared" else rows
    if sees == "infrared":
        return infrared_floors.floors(known)
    mean = mean_ab(known)
    return rows | {"mean colour": lambda batch: mean.view(1, 2, 1, 1).expand(len(batch["L"]), 2, 1, 1)}


def table_metrics(name):
    """The metrics of a method's table: METRICS, and LPIPS when some run could measure it; of methods that choose among colours COLOR_METRICS and fewer others,
    of methods that take a reference REFERENCE_METRICS, of methods that see infrared INFRARED_METRICS, of clips CLIP_METRICS."""
    rows = results.read(name)
    measured = lambda metric: any(row.get(metric) is not None for row in rows)
    chosen = (*(metric for metric in COLOR_METRICS if measured(metric) or metric in results.HUMAN), "psnr", "de2000", "colorfulness_ratio")
    own = {"acc@1": chosen, "his": REFERENCE_METRICS, "ae": INFRARED_METRICS, "cdc_gap": CLIP_METRICS}
    return (*next((own[metric] for metric in own if measured(metric)), METRICS), *filter(measured, ("lpips", "fid", "kid")))


def summary_table(summaries, metric_names=None):
    """{row name: summary} -> Markdown. metric_names: the columns, by default METRICS and those of COLOR_METRICS and HIS that were measured; of infrared
    INFRARED_METRICS and CHALLENGE_METRICS; of clips CLIP_METRICS, PSNR by frame, FID and KID."""
    measured = lambda name: any(name in summary for summary in summaries.values())
    default = (*INFRARED_METRICS, *CHALLENGE_METRICS) if measured("ae") else (*filter(measured, (*COLOR_METRICS, "his", "his_file")), *METRICS)
    if measured("cdc_gap"):
        default = (*CLIP_METRICS, *filter(measured, (*(f"psnr@{k}" for k in video_scores.FRAME_NUMBERS), "fid", "kid")))
    metric_names = metric_names or default
    heads = {metric: results.METRICS.get(metric, (metric, 2, "")) for metric in metric_names}
    lines = [["row", *(f"{heading} {arrow}".strip() for heading, _, arrow in heads.values())]]
    lines += [[row, *(results.cell(summary.get(metric), decimals) for metric, (_, decimals, _) in heads.items())] for row, summary in summaries.items()]
    return results.markdown(lines)
