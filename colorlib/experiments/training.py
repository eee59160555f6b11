"""A method is trained on what a person typed, and its weights are saved with what made them: `python -m colorlib train`."""
import contextlib
import os
import signal
import traceback
from dataclasses import replace
from pathlib import Path

from colorlib import data, files, memory, results, train, zoo
from colorlib.experiments.opening import STREAM, data_name, default_data, is_scenes, open_training
from colorlib.train import checkpoints, interruptions

__all__ = ["train_method"]

MOST = {"image_size": 4096, "blocks": 1000, "halvings": 1000}      # settings whose larger values are slips of the finger, which would fill the memory
LOG_ROWS = 100                                                     # of a training log, in the JSON beside the weights


def train_method(name, size=None, spec=None, run=None, steps=None, batch_size=None, device="auto", devices="auto", precision=None, compile=False,
                 workers=0, seed=None, progress=None, save=None, changes=None, misregister=None, split="train", nodes=1,
                 checkpoint_activations=False):
    """Train a method and save its weights; returns the weights file's path (None in the helping processes of a parallel run).

    size: smoke, class or paper (default: COLORLIB_SIZE). spec: see `open_dataset` (default: scenes at smoke size, Imagenette otherwise). changes: {field of the
    paper's Config: value}, for ablations. split: "train", or "fit", its part that leaves "tuning" unseen. misregister: how the infrared pairs trained on are
    moved against each other, such as "shift:4", see `data.Misregistered`. run: folder for log and checkpoints (default `runs/<name>-<size>`); an interrupted
    run goes on from there. save: where the weights go (default: into run). devices: on each of `nodes` machines. checkpoint_activations: less memory for more
    arithmetic, see `memory.checkpoint_step`. Raises ValueError for a method that learns nothing, a setting that makes no network, misregister with a method
    that does not see infrared, and for a stream where more is needed than its pictures; Stopped, a KeyboardInterrupt that says how to go on, when it is
    interrupted.

    >>> train_method("scgan", size="smoke", spec="photos/", misregister="shift:4")
    Traceback (most recent call last):
    ValueError: scgan sees no infrared, so there is nothing to misregister: leave it out.
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
        info = {"size": size, "data": data_name(spec), "split": split, "n": dataset.count if isinstance(dataset, data.Streamed) else len(dataset),
                "split_hash": results.split_hash(data.ids_of(dataset)), "steps": config.steps, "batch": config.batch_size, "seed": config.seed,
                "minutes": round(checkpoints.minutes(run), 1), "notes": getattr(step, "notes", ""), "config_hash": results.config_hash(config)}
        info |= ({"misregister": misregister} if moved else {}) | results.provenance() | {"log": thin(log)}
        zoo.save_weights(step.result(), name, path, info)
    fabric.barrier()
    return path if fabric.is_global_zero else None


@contextlib.contextmanager
def blamed_on(changes, name):
    """What torch and Python say of a Config that makes no network becomes ValueError with a sentence that names the settings given; without any nothing
    changes."""
    try:
        yield
    except (RuntimeError, LookupError, TypeError, ArithmeticError, AttributeError, AssertionError, ValueError) as error:
        place = Path(traceback.extract_tb(error.__traceback__)[-1].filename)
        is_sentence = isinstance(error, (ValueError, FloatingPointError)) and place.is_relative_to(Path(__file__).parents[1])
        if not changes or is_sentence or "CUDA" in str(error):
            raise
        given = ", ".join(f"{field}={value!r}"[:80] for field, value in changes.items())
        why = " ".join(str(error).split())[:200] or "no reason given"
        raise ValueError(f"{name} cannot be trained with {given} ({type(error).__name__}: {why}): change what does not fit.") from error


def thin(log, rows=LOG_ROWS):
    """At most about `rows` rows of a training log, numbers to six digits: small enough for a weights file's sidecar."""
    kept = log[::max(1, -(-len(log) // rows))]
    return [{key: float(f"{value:.6g}") if isinstance(value, float) else value for key, value in row.items()} for row in kept]
