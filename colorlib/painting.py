"""One picture in colour: `colorize`, the call that everybody uses, and its steps, for those who paint many pictures, frames or pieces of a picture.

    read_conditions    hints, a caption, a reference as a person gives them -> as networks take them
    batch_of           the picture and these -> the small batch a network sees
    paint_small        what the network paints at its working size
    enlarge            that under the picture's full-size lightness
"""
import contextlib
import warnings
from dataclasses import replace

import cv2
import numpy as np
import torch

from colorlib import hints as color_hints
from colorlib import images, zoo
from colorlib.data.sources import decode
from colorlib.files import printable
from colorlib.train.interruptions import LACKING

__all__ = ["colorize", "predict_ab"]

CAPTION_WORDS = 10_000                              # a network reads them one after the other: a quarter of a second
UNKNOWN_WORDS, LETTERS = 8, 40                      # of a caption's unknown words so many are named, by so many of their letters
REFERENCE_SIDE = 256                                # shorter side of a reference: its palette needs no more pixels, and matching slows down with them


def colorize(picture, method="best", *, hints=None, caption=None, reference=None, weights=None, model=None, working_size=None,
             device="auto", merge="guided", precision="32-true", compile=False):
    """Colour a picture; returns an `images.Picture` of the same size.

    picture: path, open file, PIL image or array (see `images.open_image`); colours already in it are not looked at.
    method: a name of the catalogue, or "best", see `zoo.choose`. weights, device, precision, compile: see `zoo.load`; model: one
    that is loaded already, for which these count for nothing. Many pictures: `albums.colorize_many`.

    The network sees L at its working size (shorter side, in pixels; default: what it was trained at); its ab is joined
    to the full-resolution L by `images.merge_chroma` (`merge`: "guided" or "bilinear"). A method that sees infrared
    paints the lightness, too, and only takes detail from the picture (`images.merge_picture`); one that sees lines draws
    them first, unless the picture is a line drawing (`images.line_art`).

    hints, caption, reference: the condition a method needs. hints: whatever `hints.as_hints` takes, [] for none;
    caption: a sentence, "" for none, with a warning that names the words the network does not know; reference: a picture
    to take colours from, whatever `images.open_image` takes, of any size, transparent parts shown on white; a grey one
    is a reference, too.

    Raises ValueError for an unknown method, a missing or an unused condition, FileNotFoundError for missing weights or
    picture, MemoryError where it does not suffice.

    >>> grey = np.full((40, 60, 3), 119, np.uint8)
    >>> int(colorize(grey, "levin", hints=[(20, 30, "red")]).rgb[20, 30].argmax())
    0
    """
    row = zoo.choose(method, model, weights, hints=hints, caption=caption, reference=reference)
    conditions = zoo.check_conditions(row, hints=hints, caption=caption, reference=reference)
    picture = images.open_image(picture)
    model = model if model is not None else zoo.load(row.name, weights, device=device, precision=precision, compile=compile, channels_last=True)
    with enough_memory(picture):
        L = images.lightness(picture)                                                               # (H, W)
        planes = paint_small(row, model, picture, L, working_size, **read_conditions(row, model, L, **conditions))
        picture = without_pixels(picture)
        return replace(picture, rgb=enlarge(row, picture, L, planes, merge))


# ---------------------------------------------------------------- its steps

def read_conditions(row, model, L, hints=None, caption=None, reference=None):
    """Conditions as a person gives them for a picture of lightness L `(H, W)` -> as `paint_small` takes them. Warns of words the model does not know."""
    if isinstance(caption, str) and len(caption.split()) > CAPTION_WORDS:
        raise ValueError(f"The caption has {len(caption.split()):,} words: a sentence or two will do, at most {CAPTION_WORDS:,} words.")
    if caption is not None and (unknown := model.vocabulary.unknown(caption)):
        some = [*(repr(word[:LETTERS]) for word in unknown[:UNKNOWN_WORDS]), *[f"{len(unknown) - UNKNOWN_WORDS:,} more"] * (len(unknown) > UNKNOWN_WORDS)]
        warnings.warn(f"{row.name} does not know {', '.join(some)}: it reads {'them as unknown words' if len(unknown) > 1 else 'an unknown word'}.",
                      stacklevel=3)
    given = {"hints": None if hints is None else color_hints.as_hints(hints, L), "caption": caption,
             "reference": None if reference is None else decode(reference)}
    return {name: value for name, value in given.items() if value is not None}


def batch_of(row, model, picture, L, side=None, **conditions):
    """The batch of one that `paint_small` gives a method's network: tensors on the model's device, conditions that are no maps in lists of one."""
    return grey_batch(model, L, side, **conditions) if row.sees == "grey" else see(row, model, picture, L, side)


def grey_batch(model, L, side=None, hints=None, reference=None, **conditions):
    """What `predict_ab` gives a network: {"L": `(1, 1, h, w)`, "hint_ab", "hint_mask", "reference", others in lists of one}."""
    device, side = next(model.parameters()).device, zoo.working_size(model.config) if side is None else side
    small = images.model_input(L, side)                                                             # (1, 1, h, w)
    batch = {"L": small.to(device)} | {key: [value] for key, value in conditions.items() if value is not None}
    if hints is not None:
        for name, values in zip(("hint_ab", "hint_mask"), hints.maps(*small.shape[2:])):
            batch[name] = torch.from_numpy(values)[None].to(device)                                 # (1, 2 or 1, h, w)
    if reference is not None:
        reference = reduce_reference(reference, side)
        batch["reference"] = torch.from_numpy(np.ascontiguousarray(reference)).permute(2, 0, 1)[None].to(device)      # (1, 3, h', w') uint8
    return batch


def reduce_reference(reference, side):
    """`(H, W, 3)` uint8, reduced by areas until its shorter side is at most `side` or REFERENCE_SIDE, whichever is larger."""
    scale = max(side, REFERENCE_SIDE) / min(reference.shape[:2])
    size = [max(1, round(scale * length)) for length in reference.shape[1::-1]]
    return cv2.resize(reference, size, interpolation=cv2.INTER_AREA) if scale < 1 else reference


def see(row, model, picture, L, side=None):
    """What a network without conditions gets of a picture: {"L": `(1, 1, h, w)` in [0, 100]}, {"nir": ...} (see `see_infrared`), or {"lines": `(1, 1, h, w)`
    in [0, 1]}, lines 0 on paper 1 (see `images.line_art`)."""
    device, side = next(model.parameters()).device, zoo.working_size(model.config) if side is None else side
    if row.sees == "infrared":
        return {"nir": see_infrared(model, picture, side)}
    small = images.model_input(L, side)
    return {"L": small.to(device)} if row.sees == "grey" else {"lines": images.line_art(L, small).to(device)}


def see_infrared(model, picture, side):
    """An infrared `images.Picture` -> nir `(1, C, h, w)` in [0, 1] on the model's device. Three channels go to a network that takes three, their mean to one
    that takes one."""
    rgb, white = picture.rgb, np.float32(np.iinfo(picture.rgb.dtype).max)
    planes = np.moveaxis(rgb, -1, 0) if model.config.in_channels == 3 else [rgb.mean(-1, dtype=np.float32)]
    small = [images.shrink(torch.from_numpy(plane / white)[None], side) for plane in planes]      # one by one: all of a large photo in floats is much
    return torch.cat(small, 1).to(next(model.parameters()).device)


def paint_small(row, model, picture, L, side=None, **conditions):
    """What a method paints at its working size, array: ab `(2, h, w)` in CIE units, or rgb `(3, h, w)` in [0, 1] where it sees infrared or lines.

    picture: an `images.Picture`; L: its lightness `(H, W)`; conditions: see `read_conditions`.
    """
    return row.papers.colorize(model, batch_of(row, model, picture, L, side, **conditions))[0].float().cpu().numpy()


def enlarge(row, picture, L, planes, method="guided"):
    """What `paint_small` gave at the picture's size, `(H, W, 3)` of its dtype: under its L, with its detail (infrared), or, painted from lines, as it is."""
    if not np.isfinite(planes).all():
        raise ValueError(f"{row.name} gave values that are no numbers for {name_of(picture, L.shape[::-1])}: its weights are damaged or not trained to the "
                         "end, name others with weights=.")
    if row.sees == "grey":
        return images.merge_chroma(L, planes, method=method, dtype=picture.rgb.dtype)
    return images.merge_picture(L, planes, method="bicubic" if row.sees == "lines" and method == "guided" else method, dtype=picture.rgb.dtype)


# ---------------------------------------------------------------- for measurements and figures

def predict_ab(paper, model, L, side=None, hints=None, reference=None, **conditions):
    """L `(H, W)` in [0, 100], array -> ab `(2, h, w)` in CIE units, array, with the shorter side `side` (default: the model's working size).

    paper: the method's module. hints: a `HintSet` of the picture or of a copy of it. reference: `(H', W', 3)` uint8, of
    which the network sees `reduce_reference`. Other conditions (caption, a string) reach the paper in lists of one.

    >>> paper = zoo.get("dahl").papers
    >>> predict_ab(paper, paper.build(paper.PRESETS["smoke"]).eval(), np.full((40, 60), 50.0), side=32).shape
    (2, 32, 48)
    """
    return paper.colorize(model, grey_batch(model, L, side, hints, reference, **conditions))[0].float().cpu().numpy()


# ---------------------------------------------------------------- what many pictures need beside that

def join_batches(batches):
    """Batches whose maps have the same sizes -> one."""
    first = batches[0]
    return {name: torch.cat([batch[name] for batch in batches]) if torch.is_tensor(first[name]) else [one for batch in batches for one in batch[name]]
            for name in first}


def without_pixels(picture):
    """The same `images.Picture` with alpha, EXIF and depth, but not its pixels, which are most of a large one: L is what is painted under."""
    return replace(picture, rgb=np.empty((0, 0, 3), picture.rgb.dtype))


@contextlib.contextmanager
def enough_memory(picture):
    """What libraries say of a want of memory becomes a MemoryError with a sentence that names the picture, an `images.Picture`."""
    name = name_of(picture)
    try:
        yield
    except (MemoryError, RuntimeError, cv2.error) as error:
        if not (isinstance(error, (MemoryError, torch.OutOfMemoryError)) or LACKING.search(str(error))):
            raise
        raise MemoryError(f"There is not enough memory to colour {name}: choose a smaller working_size (on the command line --working-size), make the picture "
                          "smaller, or close other programs.") from error


def name_of(picture, size=None):
    """What to call an `images.Picture` in a sentence. size: (width, height), by default its own."""
    return printable(picture.path) if picture.path else "the picture of {} x {} pixels".format(*size or picture.size)
