"""Colour hints: what a person clicks into a grey picture, and what a network reads.

A `Hint` says "here the colour is (a, b)". A `HintSet` holds the hints of one picture, takes edits back, goes to a file and returns.
It knows nothing of networks or notebooks: the picker is a view of it, and every method reads the same two maps.

>>> hints = HintSet(height=60, width=80)                     # for a picture of 60 rows and 80 columns
>>> hints.add(Hint(y=12, x=40, a=55, b=40, size=3))          # reddish here; the answer is the hint's number
0
>>> hints.move(0, y=14, x=42)                                # a drag ...
>>> hints.undo(), hints[0].y                                 # ... taken back
(True, 12.0)
>>> ab, mask = hints.maps(height=30, width=40)               # what a network of half the size reads
>>> ab.shape, mask.shape, int(mask.sum()), ab[:, 6, 20].tolist()
((2, 30, 40), (1, 30, 40), 9, [55.0, 40.0])

Wherever `hints=` is asked for, three things will do: a `HintSet`, the path of a file that `save` wrote, or a plain list such as
[(12, 40, 55, 40), (50, 8, "teal")]; a colour given by name or number is brought to what exists at that pixel's lightness.

Where a hint lies: coordinates are pixel centres, so pixel 0 reaches from -0.5 to 0.5 and (y + 0.5) / height is the share of the picture
above a hint. Files and maps use this share: a file made on a small copy fits the large photo. A hint of size P colours the P x P square
of the network's input whose centre is closest to it, on a tie the lower right one. So odd sizes lie around the hint's pixel, as in the
program ideepcolor (Zhang et al. 2017; it rounds from pixel corners, half a pixel off), and size 2 adds the neighbours right and below, as
in the authors' PyTorch code. The border cuts the square, as in ideepcolor; at least one pixel is always coloured. Later hints lie on top.
"""
import json
import math
import os
import reprlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import cv2
import numpy as np

from colorlib.files import write_atomic
from colorlib.hints.picking import AB_RANGE, cluster_colors, parse_color, snap, worst_pixel
from colorlib.images.reading import open_regular

__all__ = ["Hint", "HintSet", "as_hints", "parse_color", "snap", "cluster_colors", "worst_pixel", "image_hash",
           "same_picture", "MAX_SIZE"]

MAX_SIZE = 9                 # pixels: ideepcolor's largest brush, and the largest patch its network was trained on
MAX_BYTES = 16_000_000       # of a file: some 150,000 hints
MAX_SIDE = 1_000_000         # pixels of a picture, to tell a size from nonsense in a file
DECIMALS = 6                 # of a pixel or a CIE unit: short to read, and a saved hint comes back equal
FILE_VERSION = 1
FILE_NOTE = "y, x: shares of the height and width, from the top left corner; a, b: CIELAB; size: side in pixels of the network's input"
HASH_FIELDS = 8              # a picture's hash is the mean lightness of 8 x 8 fields, one character each (ours)
HASH_LEVELS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz~"     # 64 steps of 1.6 L, dark to light


@dataclass(frozen=True)
class Hint:
    """The colour (a, b), in CIE units, at row y and column x of the picture; pixel centres, fractions allowed. size: side of the
    square in pixels of the network's input, 1 to 9. Numbers are kept to 6 decimals; a `HintSet` checks them.

    >>> Hint(y=12, x=40.5, a=55, b=40)
    Hint(y=12.0, x=40.5, a=55.0, b=40.0, size=1)
    """
    y: float
    x: float
    a: float
    b: float
    size: int = 1

    def __post_init__(self):
        for name in ("y", "x", "a", "b"):
            if (number := _number(getattr(self, name))) is not None:
                object.__setattr__(self, name, round(number, DECIMALS) + 0.0)                 # + 0.0: no minus zero
        if (size := _number(self.size)) is not None and size.is_integer():
            object.__setattr__(self, "size", int(size))


class HintSet(Sequence):
    """The hints of a picture of `height` x `width` pixels: a sequence of `Hint` that can be edited, undone, saved and loaded.

    Every edit that changes something is one step of undo. What is not a hint inside the picture, with finite numbers, a colour sRGB has
    and a size from 1 to 9, raises ValueError and leaves the set as it was. image_hash: the picture's, see `image_hash`, or None.

    >>> hints = HintSet(60, 80, [Hint(12, 40, 55, 40)])
    >>> hints.recolor(0, -40, 30)
    >>> hints.undo(), hints[0].a, HintSet.load(hints.save("hints.json")) == hints
    (True, 55.0, True)
    """

    def __init__(self, height, width, hints=(), image_hash=None):
        for name, length in (("height", height), ("width", width)):
            if not (_number(length) or 0) >= 1 or _number(length) % 1 != 0:
                raise ValueError(f"The picture's {name} must be a whole number of pixels, not {reprlib.repr(length)}.")
        self.height, self.width, self.image_hash = int(height), int(width), image_hash
        self._states, self._now = [self._checked(hints)], 0                  # of tuples: no reader meets half an edit

    def __len__(self):
        return len(self._states[self._now])

    def __getitem__(self, index):
        return self._states[self._now][index]

    def __iter__(self):
        return iter(self._states[self._now])

    def __eq__(self, other):
        return isinstance(other, HintSet) and self.to_json() == other.to_json()

    def __repr__(self):
        return f"HintSet({self.height} x {self.width} pixels, {len(self)} hint{'s' * (len(self) != 1)})"

    def add(self, hint):
        """Lay a hint on top of the others. Returns its number."""
        self._record((*self, *self._checked([hint], len(self))))
        return len(self) - 1

    def replace(self, index, hint):
        """Put another hint in the place of number `index`."""
        self._record((*self[:self._known(index)], *self._checked([hint], index), *self[index + 1:]))

    def move(self, index, y, x):
        """Move hint number `index` to row y, column x."""
        self.replace(index, replace(self[self._known(index)], y=y, x=x))

    def recolor(self, index, a, b):
        """Give hint number `index` the colour (a, b)."""
        self.replace(index, replace(self[self._known(index)], a=a, b=b))

    def resize(self, index, size):
        """Give hint number `index` another size."""
        self.replace(index, replace(self[self._known(index)], size=size))

    def delete(self, index):
        """Take hint number `index` away; later ones move up by one."""
        self._record((*self[:self._known(index)], *self[index + 1:]))

    def clear(self):
        """Take all hints away."""
        self._record(())

    def assign(self, hints):
        """Replace all hints in one step of undo, as a picker does when it loads a file."""
        self._record(self._checked(hints))

    can_undo = property(lambda self: self._now > 0)
    can_redo = property(lambda self: self._now + 1 < len(self._states))

    def undo(self):
        """Take the last edit back. Returns whether there was one."""
        self._now -= (changed := self.can_undo)
        return changed

    def redo(self):
        """Do again what `undo` took back. Returns whether there was something."""
        self._now += (changed := self.can_redo)
        return changed

    def _record(self, hints):
        if hints != self[:]:
            self._states[self._now + 1:] = [hints]
            self._now += 1

    def _known(self, index):
        if isinstance(index, (int, np.integer)) and 0 <= index < len(self):           # -1 is no hint: views use it for "none"
            return index
        raise ValueError(f"There is no hint number {reprlib.repr(index)}: the set has {len(self)}, counted from 0.")

    def _checked(self, hints, first=0):
        return tuple(_as_hint(hint, f"Hint number {i}", self.height, self.width) for i, hint in enumerate(hints, first))

    def maps(self, height, width):
        """The hints at a network's input size: ab `(2, height, width)` in CIE units, 0 where no hint is, and mask
        `(1, height, width)`, 1 under a hint, else 0. Both float32 arrays."""
        ab, mask = np.zeros((2, height, width), np.float32), np.zeros((1, height, width), np.float32)
        for hint in self:
            square = _span(hint.y, self.height, height, hint.size), _span(hint.x, self.width, width, hint.size)
            ab[(0, *square)], ab[(1, *square)], mask[(0, *square)] = hint.a, hint.b, 1
        return ab, mask

    def at_size(self, height, width):
        """The same hints on a copy of the picture of another size: a new set, without this one's history."""
        return HintSet(height, width, [replace(hint, y=(hint.y + 0.5) / self.height * height - 0.5, x=(hint.x + 0.5) / self.width * width - 0.5)
                                       for hint in self], self.image_hash)

    def to_json(self):
        """The set as text that a person can read and edit: one line a hint, y and x as shares of the picture's height and width."""
        head = {"version": FILE_VERSION, "about": FILE_NOTE, "height": self.height, "width": self.width, "image_hash": self.image_hash}
        rows = [json.dumps(asdict(hint) | {"y": round((hint.y + 0.5) / self.height, 2 * DECIMALS),
                                           "x": round((hint.x + 0.5) / self.width, 2 * DECIMALS)}) for hint in self]
        return json.dumps(head, indent=1)[:-2] + ',\n "hints": [' + ",".join(f"\n  {row}" for row in rows) + "\n ]\n}\n"

    def save(self, path):
        """Write `to_json()` to a file, whole or not at all. Returns the path; raises OSError where it cannot be written."""
        path = Path(path).expanduser()
        write_atomic(path, self.to_json().encode())
        return path

    @classmethod
    def load(cls, path, height=None, width=None, image_hash=None):
        """`from_json` of a file that `save` wrote; raises FileNotFoundError or ValueError where it cannot be read."""
        text, name = _read_text(path)
        return cls.from_json(text, height, width, image_hash, name=name)

    @classmethod
    def from_json(cls, text, height=None, width=None, image_hash=None, name="The text"):
        """The set in a text from `to_json`, for the picture it was made on or, given height and width, for a copy of that size.

        image_hash: of the picture at hand, to be sure that the hints are for it. Raises ValueError, in one sentence that begins with
        `name`, for the hints of another picture, another version of the format, and anything that is not a whole set of hints.
        """
        try:
            data = json.loads(text, object_pairs_hook=_without_doubles)
            version, made_for = data["version"], data.get("image_hash")
        except (ValueError, TypeError, KeyError, RecursionError):
            raise ValueError(f"{name} is not a hint file (JSON with a version, each key once): choose one that HintSet.save wrote.") from None
        if type(version) is not int or version != FILE_VERSION:
            raise ValueError(f"{name} has version {reprlib.repr(version)} of the hint format, not {FILE_VERSION}: save the hints again with this colorlib.")
        kinds = {"height": int, "width": int, "hints": list, "image_hash": str if made_for is not None else type(None)}
        if wrong := [key for key, kind in kinds.items() if type(data.get(key)) is not kind or kind is int and not 0 < data[key] < MAX_SIDE]:
            raise ValueError(f"{name} has no usable {' and '.join(wrong)}: it was cut or edited, save the hints again.")
        if made_for is not None and image_hash is not None and not same_picture(made_for, image_hash):
            raise ValueError(f"{name} holds the hints of another picture (image_hash differs): open that picture, or take them all the same "
                             "with HintSet.load or check_picture=False.")
        result = cls(height or data["height"], width or data["width"], image_hash=made_for)
        hints = [_in_pixels(item, f"{name}: hint number {i}", result.height, result.width) for i, item in enumerate(data["hints"])]
        result._states = [tuple(_as_hint(hint, f"{name}: hint number {i}", result.height, result.width) for i, hint in enumerate(hints))]
        return result


def _read_text(path):
    """(content, name) of a hint file."""
    file, name = open_regular(path, "a hint file")
    try:
        with file:
            text = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise ValueError(f"{name} cannot be read ({error.strerror}): name a file that HintSet.save wrote.") from error
    if len(text) > MAX_BYTES:
        raise ValueError(f"{name} has more than {MAX_BYTES:,} bytes: name a file that HintSet.save wrote.")
    return text, name


def _typed_hints(text):
    """The hints of a file that a person wrote, a JSON list of lists such as [[120, 340, "steelblue"]]; None for any other file."""
    try:
        data = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return data if isinstance(data, list) and data and all(isinstance(item, list) for item in data) else None


def _without_doubles(pairs):
    """A JSON object as a dict; a key given twice is a slip of an editor's hand, and nobody can say which was meant."""
    if len(found := dict(pairs)) < len(pairs):
        raise ValueError
    return found


def _number(value):
    """A float from any kind of number, None from anything else, such as text or True."""
    try:
        return None if isinstance(value, (bool, np.bool_, str, bytes)) else float(value)
    except (TypeError, ValueError, OverflowError):
        return None


def _span(place, length, target, size=1):
    """The slice of an axis of `target` pixels that a square covers whose middle is at `place` on an axis of `length` pixels."""
    middle = min((place + 0.5) * target / length, math.nextafter(target, 0))              # exact where target == length
    start = math.floor(middle + (1 - size) / 2)
    return slice(max(0, start), start + size)


def _as_hint(item, who, height, width, L=None):
    """A `Hint`, tuple or mapping -> a `Hint` that fits the picture, or ValueError about `who`. L: to look up lightness for color names."""
    if isinstance(item, (tuple, list, np.ndarray)) and len(item) > 2:
        names = ("y", "x", "color", "size") if isinstance(item[2], str) else ("y", "x", "a", "b", "size")
        item = dict(zip(names, item)) if len(item) <= len(names) else item
    keys = {"size", *item} if isinstance(item, Mapping) else set()
    if L is not None and keys == {"y", "x", "color", "size"}:
        hint = _as_hint(Hint(item["y"], item["x"], 0, 0, item.get("size", 1)), who, height, width)
        a, b, _ = snap(L[_span(hint.y, height, height), _span(hint.x, width, width)].item(), *parse_color(item["color"])[1:])
        return replace(hint, a=a, b=b)
    if not isinstance(item, Hint) and keys != {"y", "x", "a", "b", "size"}:
        raise ValueError(f"{who} is {reprlib.repr(item)}: it needs y, x, a and b, may have a size, and nothing else.")
    hint = item if isinstance(item, Hint) else Hint(**item)
    for name, length, axis in (("y", height, "rows"), ("x", width, "columns")):
        if not isinstance(value := getattr(hint, name), float) or not -0.5 <= value <= length - 0.5:
            raise ValueError(f"{who} has {name} = {reprlib.repr(value)}, but the {axis} of this picture run from 0 to {length - 1}.")
    for name, (low, high) in AB_RANGE.items():
        if not isinstance(value := getattr(hint, name), float) or not low <= value <= high:
            raise ValueError(f"{who} has {name} = {reprlib.repr(value)}, but the {name} of screen colours runs from {low} to {high}.")
    if _number(hint.size) is None or not isinstance(hint.size, int) or not 1 <= hint.size <= MAX_SIZE:
        raise ValueError(f"{who} has size = {reprlib.repr(hint.size)}, but sizes are whole numbers from 1 to {MAX_SIZE}.")
    return hint


def _in_pixels(item, who, height, width):
    """A hint of a file, whose y and x are shares of the picture, with y and x in pixels."""
    item = dict(item) if isinstance(item, dict) else {}
    for name, length in (("y", height), ("x", width)):
        if (share := _number(item.get(name))) is None or not 0 <= share <= 1:
            raise ValueError(f"{who} has {name} = {reprlib.repr(item.get(name))}, but in a file y and x run from 0 to 1, edge to edge.")
        item[name] = share * length - 0.5
    return item


def as_hints(value, L, check_picture=True):
    """Whatever a person passes as hints -> the `HintSet` for the picture with lightness L `(H, W)` in [0, 100].

    value: a `HintSet`; the path of a saved one, or of a JSON file such as [[120, 340, "steelblue"]]; or a list of `Hint`, (y, x, a, b), (y, x, a, b, size), (y, x, color) or dicts with
    these names; y and x in pixels, color a text for `parse_color`, snapped at its pixel. Raises ValueError for the rest, and for
    a file made for another picture unless check_picture=False; a `HintSet` goes with any picture.

    >>> L = np.full((60, 80), 50, np.float32)
    >>> hints = as_hints([(12, 40, 55, 40), (50, 8, "teal")], L)
    >>> hints, round(hints[1].a)
    (HintSet(60 x 80 pixels, 2 hints), -29)
    """
    height, width = L.shape
    if isinstance(value, HintSet):
        return value if (value.height, value.width) == (height, width) else value.at_size(height, width)
    if isinstance(value, (str, os.PathLike)):
        text, name = _read_text(value)
        if (typed := _typed_hints(text)) is None:
            return HintSet.from_json(text, height, width, image_hash(L) if check_picture else None, name)
        return HintSet(height, width, [_as_hint(item, f"{name}: hint number {i}", height, width, L) for i, item in enumerate(typed)], image_hash(L))
    if not isinstance(value, (Sequence, np.ndarray)):
        raise ValueError(f"hints must be a HintSet, the path of a saved one or a list of hints, not {reprlib.repr(value)}.")
    return HintSet(height, width, [_as_hint(item, f"Hint number {i}", height, width, L) for i, item in enumerate(value)], image_hash(L))


def image_hash(L):
    """64 characters that tell pictures apart: the mean lightness of 8 x 8 fields. L: `(H, W)` in [0, 100].

    Not a checksum: a smaller copy and a JPEG of the same picture differ by a step here and there, which `same_picture` allows.

    >>> image_hash(np.tile(np.linspace(0, 100, 8), (8, 1)))[:8]                          # each row runs from black to white
    '09IR_ir~'
    """
    means = cv2.resize(np.asarray(L, np.float32), (HASH_FIELDS, HASH_FIELDS), interpolation=cv2.INTER_AREA)
    return "".join(HASH_LEVELS[round(level)] for level in (means.clip(0, 100) / 100 * (len(HASH_LEVELS) - 1)).flat)


def same_picture(first, second):
    """Whether two hashes belong to one picture: no field differs by more than one step.

    >>> ramp = np.tile(np.linspace(0, 100, 64), (64, 1))
    >>> same_picture(image_hash(ramp), image_hash(ramp[::2, ::2])), same_picture(image_hash(ramp), image_hash(ramp.T))
    (True, False)
    """
    steps = [abs(HASH_LEVELS.find(one) - HASH_LEVELS.find(other)) for one, other in zip(first, second)]
    return first == second or len(first) == len(second) == HASH_FIELDS ** 2 and max(steps) <= 1
