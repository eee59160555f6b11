"""Colouring from a reference without a widget: a grey picture, reference pictures to choose from, and what happens when the chosen one is spoilt."""
import os
import threading
from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch

from colorlib import data, images, painting, scenes, zoo
from colorlib.data.sources import PICTURE_SUFFIXES, decode, list_files
from colorlib.metrics import reference_scores
from colorlib.references import make_reference
from colorlib.widgets.caption_session import FUNCTION_SIZE, REMEMBERED
from colorlib.widgets.hint_session import locked
from colorlib.widgets.pictures import PREVIEW_SIDE, check_ab, export_picture, shrink

__all__ = ["ReferenceSession"]

PLAIN = "plain"
KINDS = {PLAIN: "as it is", "self": "turned, cropped and bent", "recolored": "with other hues", "inverted": "with opposite hues",
         "partial": "a small part of it", "noise": "noise in its place", "gray": "without colour"}      # those of `references` that need one picture
SCENES = ("banana", "frog", "fire truck", "flower")      # procedural references of distinct colours (ours)
SCENE_SIZE = 256             # px a side
LIMIT = 24                   # references read at first; more are hard to choose from


class ReferenceSession:
    """A picture coloured from one of several references.

    picture: what `images.open_image` reads; its own colours are not looked at. references: a folder or file, a picture, a list of pictures or paths,
    or a dict {name: picture or path}; by default photographs of scikit-image's and a few procedural scenes. The first LIMIT are read; what cannot be
    read, or is beyond, is told in `notes`. method: a method of the catalogue that takes a reference ("gray2color", "welsh"), or a function of
    (L `(h, w)` in [0, 100], reference `(h', w', 3)` uint8) -> ab `(2, h'', w'')` in CIE units. model: the method's network, by default the one
    `zoo.load` finds; where it finds none the picture stays grey, and `update` raises FileNotFoundError. kind: one of KINDS. mirrored: left and right
    of the reference exchanged. working_size: shorter side at which the model sees the picture (default: what it was trained at). folder: where exported
    files go. weights, device: as in `zoo.load`.

    `references` is {name: `(h, w, 3)` uint8}, reduced as the model sees them; `chosen` the name of the one in use and `reference` that picture as its
    kind has it. `result` and `gray` are uint8 `(h, w, 3)`, at most 380 pixels long; `painted` says which (chosen, kind, mirrored) the result is from,
    None while it is grey. `gate` `(h, w)` in [0, 1] is how far each place trusted its match, None for methods without one. Raises ValueError for a
    method without references or where no reference can be read, FileNotFoundError for a missing picture, each with one sentence.

    >>> white = np.full((16, 24, 3), 255, np.uint8)
    >>> session = ReferenceSession(white, {"white": white}, lambda L, reference: 0 * L[None].repeat(2, 0))
    >>> session.choose(mirrored=True); session.describe(), session.update().shape
    ('white, mirrored', (16, 24, 3))
    """

    def __init__(self, picture, references=None, method="gray2color", model=None, *, kind=PLAIN, mirrored=False, weights=None, working_size=None,
                 folder=".", device="auto"):
        self.lock, self.folder, self.model, self.row = threading.RLock(), Path(folder).expanduser(), model, None
        self.weights, self.device, self.working_size = weights, device, working_size
        if callable(method):
            self.name, self.function = getattr(method, "__name__", type(method).__name__), method
        else:
            self.name, self.row = method, zoo.get(method)
            zoo.check_conditions(self.row, reference="")             # a method that takes no reference says so
            try:
                self.load()
            except FileNotFoundError:
                if weights is not None:
                    raise
        self.references, self.notes, self.chosen, self.kind, self.mirrored = {}, [], None, PLAIN, False
        self.open(picture)
        self._read(references)
        self.choose(next(iter(self.references)), kind, mirrored)
        if self.is_ready:
            self.update()

    @property
    def is_ready(self):
        """Whether there is something to colour with."""
        return self.row is None or self.model is not None

    @property
    def side(self):
        """Shorter side in pixels at which the model sees the picture."""
        if self.working_size or self.row is None:
            return self.working_size or FUNCTION_SIZE
        return zoo.working_size(self.model.config if self.model is not None else self.row.presets["class"])

    @locked
    def load(self):
        """Get the method's network, unless it is here already. Raises FileNotFoundError where it has no weights yet."""
        if not self.is_ready:
            self.model = zoo.load(self.name, self.weights, device=self.device)

    @locked
    def open(self, picture):
        """Take another grey picture; `update` colours it."""
        picture = images.open_image(picture)
        self.L, self.picture = images.lightness(picture), picture                                  # (H, W)
        self.view_L = images.lightness(images.Picture(shrink(picture.rgb, PREVIEW_SIDE)))
        self.result = self.gray = images.merge_chroma(self.view_L, np.zeros((2, 1, 1), np.float32))
        self.painted, self.ab, self.gate, self.scores = None, None, None, {}
        self._ask = lru_cache(maxsize=REMEMBERED)(self._predict)

    # ------------------------------------------------------------ references

    def add(self, source, name=None):
        """One more reference, what `images.open_image` reads. Returns its name, by default the file's, with a number if another one has it."""
        rgb = painting.reduce_reference(decode(source), self.side)
        name = wanted = str(name or _name_of(source) or f"reference {len(self.references) + 1}")
        number = 1
        while name in self.references:
            number += 1
            name = f"{wanted} ({number})"
        self.references[name] = rgb
        return name

    def _read(self, references):
        found, unread = _listed(references), []
        for name, source in found[:LIMIT]:
            try:
                self.add(source, name)
            except (ValueError, OSError) as error:
                unread.append(" ".join(str(error).split()))
        if not self.references:
            raise ValueError(f"No reference can be read: {unread[0]}" if unread else f"{references} holds no pictures: name a folder with some.")
        if unread:
            self.notes.append(f"{len(unread)} of {len(found[:LIMIT])} references cannot be read and are left out; the first: {unread[0]}")
        if len(found) > LIMIT:
            self.notes.append(f"The first {LIMIT} of {len(found)} references are shown: add others by their path.")

    @locked
    def choose(self, name=None, kind=None, mirrored=None):
        """Take another reference, of another kind, or mirrored; None leaves things as they are. `update` colours the picture from it."""
        name, kind = self.chosen if name is None else name, self.kind if kind is None else kind
        if name not in self.references:
            raise ValueError(f"There is no reference {name!r}: choose one of {', '.join(self.references)}.")
        if kind not in KINDS:
            raise ValueError(f"There is no kind {kind!r}: choose one of {', '.join(KINDS)}.")
        rgb = self.references[name]
        rgb = rgb if kind == PLAIN else make_reference(kind, rgb, related=rgb)
        mirrored = self.mirrored if mirrored is None else bool(mirrored)
        self.reference = np.ascontiguousarray(rgb[:, ::-1] if mirrored else rgb)
        self.chosen, self.kind, self.mirrored = name, kind, mirrored

    # ------------------------------------------------------------ color

    @locked
    def update(self):
        """Colour the picture from the reference as it is chosen; returns and keeps `result`. If the model fails, the last result stays.

        `scores` becomes {"his": the histogram intersection of `result` with `reference`, "his_gray": that of grey, both of the file protocol, see
        `reference_scores.his_file`, "gate": the mean gate, where there is one}.
        """
        self.load()
        ab, gate = self._ask(self.chosen, self.kind, self.mirrored)
        result = images.merge_chroma(self.view_L, ab)
        his = reference_scores.his_file([result, self.gray], [self.reference] * 2).tolist()
        self.scores = dict(zip(("his", "his_gray"), his)) | ({} if gate is None else {"gate": float(gate.mean())})
        self.result, self.ab, self.gate, self.painted = result, ab, gate, (self.chosen, self.kind, self.mirrored)
        return self.result

    def _predict(self, *_):
        """(ab `(2, h, w)` float32 in CIE units, gate `(h', w')` float32 or None) from `reference`; the arguments say which one that is."""
        L = images.model_input(self.L, self.side)                                                  # (1, 1, h, w)
        if self.row is None:
            return check_ab(self.function(L[0, 0].numpy(), self.reference), self.name), None
        place, paper = next(self.model.parameters()).device, self.row.papers
        batch = {"L": L.to(place), "reference": torch.from_numpy(self.reference).permute(2, 0, 1)[None].to(place)}
        gate = paper.gate(self.model, batch) if hasattr(paper, "gate") else None
        return check_ab(paper.colorize(self.model, batch), self.name), None if gate is None else gate[0, 0].float().cpu().numpy()

    @locked
    def colorize(self):
        """The whole picture in the colours of `result`, an `images.Picture` of its own size and depth."""
        if self.painted is None:
            self.update()
        return replace(self.picture, rgb=images.merge_chroma(self.L, self.ab, dtype=self.picture.rgb.dtype))

    @locked
    def export(self, path, overwrite=False):
        """Write `colorize()` with its EXIF data and transparency. Returns (path, sentences about what the format could not keep)."""
        return export_picture(self.folder, path, self.colorize(), overwrite)

    # ------------------------------------------------------------ words

    def describe(self):
        """The reference in words: "coffee, with opposite hues, mirrored"."""
        return describe(self.chosen, self.kind, self.mirrored)

    def explain(self):
        """One sentence on how near the result's palette is to the reference's, and how far the matches were trusted."""
        if not self.scores:
            return "The picture is grey: nothing has coloured it yet."
        sentence = "HIS, the share of the palette that result and reference have in common: {his:.2f} (grey and the reference: {his_gray:.2f})"
        if self.gate is not None:
            sentence += "; mean gate {gate:.2f}, where 0 trusts the palette alone and 1 the match alone"
        return sentence.format(**self.scores) + "."

    def __repr__(self):
        height, width = self.L.shape
        return f"ReferenceSession({height} x {width} pixels, {self.describe()!r}, {self.name})"


def describe(name, kind, mirrored):
    """A choice in words."""
    return f"{name}{'' if kind == PLAIN else ', ' + KINDS[kind]}{', mirrored' * mirrored}"


def _listed(references):
    """[(name or None, source)] of whatever a `ReferenceSession` takes as references."""
    if references is None:
        return [*data.sample_photos(), *((f"scene with a {word}", scenes.make_scene(seed, SCENE_SIZE, word).rgb) for seed, word in enumerate(SCENES))]
    if isinstance(references, Mapping):
        return list(references.items())
    if isinstance(references, (list, tuple)):
        return [(None, one) for one in references]
    if isinstance(references, (str, os.PathLike)) and not (folder := Path(references).expanduser()).is_file():
        return [(name, folder / name) for name in list_files(folder) if Path(name).suffix.lower() in PICTURE_SUFFIXES]
    return [(None, references)]


def _name_of(source):
    """What a file is called; None for pictures in memory."""
    path = source if isinstance(source, (str, os.PathLike)) else getattr(source, "path", None) or getattr(source, "name", None)
    return Path(path).name if isinstance(path, (str, os.PathLike)) else None
