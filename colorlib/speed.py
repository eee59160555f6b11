"""Networks that paint the same pictures quicker: channels_last, bf16 where it does not show, compiled.

The same means: no value of the 8-bit picture moves by more than one level of 255. Autocast alone does not hold that: over seven photographs, bf16 moved single
values of the shipped methods by 1 to 47 levels, most of them by 2 to 15. What does it is the first layers, whose rounding all others pass on, and the last one;
`in_bf16` keeps these in float32, as many as a few trial pictures ask for, and leaves a network alone where that is nearly all of it.

Largest difference on these photographs, in levels, for the shipped weights:
    channels_last   1 for every method
    bf16            1; in effect for scgan, scgan_released, siggraph17, cic, film_released and dahl, refused by the others that were tried
    compiled        1 for cic, the only one compiled for this table
"""
import copy
import warnings

import cv2
import numpy as np
import torch
from torch import nn
from torch.nn.utils import parametrize

from colorlib import hints as color_hints
from colorlib import images, painting
from colorlib.data.sources import sample_photos
from colorlib.lab import lab_to_rgb

__all__ = ["speed_up", "PRECISIONS"]

PRECISIONS = "32-true", "bf16"
LAYERS = nn.Conv2d, nn.ConvTranspose2d, nn.Linear
FIRST = (1, 2, 3, 4, 6, 8, 12, 16, 24)      # how many layers are tried in float32, beside the last one
LEVELS = 0.4                                # of 255, the largest difference allowed on the trial pictures: others differ more, and must stay below 1
PAINTED = 0.25                              # times LEVELS for methods that paint the lightness, too, which then is not the picture's own
TRIALS, TRIAL_SIDE = 5, 256                 # how many photographs of scikit-image's are tried, and their side in px
TRIAL = {"hints": [(50, 45, 40, 30), (150, 210, "teal"), (200, 50, -30, 40)], "caption": "a red car on green grass"}


def speed_up(row, model, precision="32-true", compile=False, channels_last=True):
    """A copy of a method's model that paints the same pictures within 1/255; the model itself where nothing is asked.

    row: of the catalogue. precision: "32-true", or "bf16", see `in_bf16`. compile: with torch.compile, which takes from
    seconds to a minute at the first picture, and again when the shape changes first. Raises ValueError for another
    precision.

    >>> from colorlib import zoo
    >>> row = zoo.get("cic")
    >>> fast = speed_up(row, row.papers.build(row.presets["smoke"]), channels_last=True)
    >>> all(weight.is_contiguous(memory_format=torch.channels_last) for weight in fast.parameters() if weight.ndim == 4)
    True
    """
    if precision not in PRECISIONS:
        raise ValueError(f"precision is {precision!r}: choose {' or '.join(PRECISIONS)}.")
    if not row.learns or not (channels_last or compile or precision == "bf16"):
        return model
    fast = copy.deepcopy(model)
    fast = fast.to(memory_format=torch.channels_last) if channels_last else fast
    fast = in_bf16(row, fast) if precision == "bf16" else fast
    if compile:
        for module in outermost(row, fast):
            module.compile()
    return fast


def in_bf16(row, model):
    """The model with the weights and the arithmetic of its middle layers in bf16, the first ones and the last in float32: as
    few of these as keep the trial pictures within LEVELS; norms, activations and the decoding stay in float32. Warns and
    returns the model as it is where fewer than half of the layers could change."""
    batch = trial_batch(row, model)
    names = {module: name for name, module in model.named_modules() if isinstance(module, LAYERS)}
    order, exact = called(row, model, batch, names)
    for first in FIRST:
        middle = [names[module] for module in order[first:-1]]
        if 2 * len(middle) < len(order):
            break
        found = copy.deepcopy(model)
        for name in middle:
            round_layer(found.get_submodule(name))
        try:
            if np.abs(paint_levels(row, found, batch) - exact).max() <= LEVELS * (1 if row.sees == "grey" else PAINTED):
                return found
        except RuntimeError:                # a layer whose weights something else reads, too
            pass
    warnings.warn(f"{row.name} paints in float32: in bf16 its pictures would not be the same.", stacklevel=3)
    return model


def round_layer(layer):
    """Put a layer into bf16; what it gives is float32 again."""
    for name in list(getattr(layer, "parametrizations", ())):
        parametrize.remove_parametrizations(layer, name)            # the weight they compute, once
    layer.to(torch.bfloat16)
    layer.register_forward_pre_hook(lambda _, values: tuple(value.bfloat16() if torch.is_tensor(value) else value for value in values))
    layer.register_forward_hook(lambda _, __, value: value.float())


def trial_batch(row, model):
    """A few photographs of scikit-image's, a dim one among them, with conditions where a method needs some, as the network sees them."""
    photos = [cv2.resize(photo, (TRIAL_SIDE, TRIAL_SIDE), interpolation=cv2.INTER_AREA) for _, photo in sample_photos(TRIALS)]
    photos[-1] = photos[-1] // 3 + 20
    batches = []
    for photo in photos:
        picture = images.open_image(photo)
        L, conditions = images.lightness(picture), {name: TRIAL[name] for name in row.conditions if name in TRIAL}
        if "hints" in conditions:
            conditions["hints"] = color_hints.as_hints(conditions["hints"], L)
        if "reference" in row.conditions:
            conditions["reference"] = photos[0]
        batches.append(painting.batch_of(row, model, picture, L, **conditions))
    return painting.join_batches(batches)


def paint_levels(row, model, batch):
    """What is painted, in levels of 255, not rounded: array `(N, 3, h, w)`."""
    planes = row.papers.colorize(model, batch).float().cpu()
    return 255 * (lab_to_rgb(torch.cat([batch["L"].cpu(), planes], 1)) if row.sees == "grey" else planes).numpy()


def called(row, model, batch, modules):
    """Those of `modules` that painting calls, in the order of their first call, and the picture in levels."""
    order = []
    hooks = [module.register_forward_pre_hook(lambda module, _: order.append(module)) for module in modules]
    try:
        levels = paint_levels(row, model, batch)
    finally:
        for hook in hooks:
            hook.remove()
    return list(dict.fromkeys(order)), levels


def outermost(row, model):
    """The modules that painting calls, but for those called within another: what there is to compile."""
    inside, found = [], []

    def enter(module, _):
        if not inside:
            found.append(module)
        inside.append(module)
    leave = lambda *_: inside.pop() and None
    hooks = [hook for module in model.modules() for hook in (module.register_forward_pre_hook(enter), module.register_forward_hook(leave))]
    try:
        paint_levels(row, model, trial_batch(row, model))
    finally:
        for hook in hooks:
            hook.remove()
    return list(dict.fromkeys(found))
