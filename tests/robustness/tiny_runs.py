"""Every method of the catalogue trained for a few updates, and everything that comes out of it as numbers; `python -m tests.robustness.tiny_runs` prints their
digests."""
import hashlib
import json
import sys
import tempfile
import warnings
from unittest import mock

import numpy as np
import torch

from colorlib import data, experiments, painting, references, scenes, train, zoo

SIDE, STEPS, SCENES = 32, 3, 6
PATCH = 64                              # what the stacked GAN's discriminators are made for
# of the fields a Config has
SMALL = {"image_size": SIDE, "pretraining": (2, 0.004), "stage_one": 2, "stage_one_batch": 2, "classifier_steps": 2, "classes": 32}
CAPTION = "a red car before a blue sky"


def small_config(name):
    """{field: value} that makes the smoke preset of a method tiny."""
    known = vars(zoo.get(name).presets["smoke"])
    changes = {field: value for field, value in SMALL.items() if known.get(field)}
    return changes | ({"image_size": PATCH} if zoo.get(name).module == "stacked_gan" else {})


def train_tiny(name, steps=STEPS, seed=3):
    """Train a method from chance. Returns (its model, {what: tensor or text}): log rows, every state of the step, random states, weights."""
    seen, fit = [], train.fit

    def watched(step, *arguments, **options):
        seen.append((step, fit(step, *arguments, **options)))
        return seen[-1][1]
    with tempfile.TemporaryDirectory() as folder, mock.patch.object(train, "fit", watched):
        experiments.train_method(name, "smoke", f"scenes:{SCENES}", run=folder, steps=steps, batch_size=2, seed=seed, device="cpu", precision="32-true",
                                 changes=small_config(name), progress=False)
    step = seen[-1][0]
    parts = {key: part.state_dict() for key, part in vars(step).items() if hasattr(part, "state_dict") and hasattr(part, "load_state_dict")}
    found = {"log": [log for _, log in seen], "parts": parts, "torch": torch.get_rng_state(), "numpy": np.random.get_state()[1:3]}
    model = step.result().eval().requires_grad_(False)
    return model, flatten(found | {"weights": model.state_dict()})


def flatten(value, name=""):
    """Nested dicts and lists -> {path: tensor or text}; floats keep all their digits."""
    if isinstance(value, dict):
        return {key: one for part, inner in value.items() for key, one in flatten(inner, f"{name}/{part}").items()}
    if isinstance(value, (list, tuple)):
        return {key: one for number, inner in enumerate(value) for key, one in flatten(inner, f"{name}/{number}").items()}
    return {name: torch.from_numpy(value.copy()) if isinstance(value, np.ndarray) else value.clone() if torch.is_tensor(value) else repr(value)}


def paint(name, model=None, side=40):
    """A scene as the method paints it with all conditions it takes, `(side, side, 3)` uint8."""
    row, picture = zoo.get(name), scenes.make_scene(1, side).rgb
    given = {"hints": [(5, 7, "steelblue"), (30, 20, "#8b4513")], "caption": CAPTION, "reference": scenes.make_scene(2, side).rgb}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")      # of words a tiny vocabulary lacks
        picture = painting.colorize(picture, name, model=model or zoo.load(name, device="cpu"), **{key: given[key] for key in row.conditions + row.optional})
    return torch.from_numpy(np.ascontiguousarray(picture.rgb))


def conditions(name, count=2):
    """What `evaluate` gives a method beside the picture: simulated hints, captions, references."""
    row = zoo.get(name)
    samples = data.SceneSet(count, size=SIDE, seed=5)
    samples = references.WithReferences(samples, "related", pool=data.SceneSet(8, size=SIDE, seed=6)) if "reference" in row.conditions else samples
    samples = data.WithCaptions(samples) if experiments.reads_captions(row) else samples
    return flatten(experiments.conditions_for(row, SIDE)([samples[i] for i in range(count)]))


def digest(found):
    """{path: tensor or text} -> a SHA-256 of all of it, order included."""
    whole = hashlib.sha256()
    for key, value in found.items():
        whole.update(key.encode())
        whole.update(value.contiguous().numpy().tobytes() if torch.is_tensor(value) else value.encode())
    return whole.hexdigest()


def numbers(name):
    """(the model or None, {path: tensor or text}): training, conditions and a painted picture."""
    model, found = train_tiny(name) if zoo.get(name).learns else (None, {})
    return model, found | conditions(name) | {"painted": paint(name, model)}


def main(names):
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    print(json.dumps({name: digest(numbers(name)[1]) for name in names or zoo.METHODS}))


if __name__ == "__main__":
    main(sys.argv[1:])
