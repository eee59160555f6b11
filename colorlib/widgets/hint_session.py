"""User-guided colorization without a widget: a picture, the hints a person gives, a model, and the picture that follows."""
import threading
import time
import warnings
from dataclasses import replace
from functools import wraps
from pathlib import Path

import numpy as np

from colorlib import hints as hint_tools
from colorlib import images, metrics
from colorlib.hints import Hint, HintSet
from colorlib.lab import AB_STEP, map_to_gamut, rgb_to_lab
from colorlib.widgets.hint_model import HintModel, paint
from colorlib.widgets.pictures import shrink

__all__ = ["HintSession"]

VIEW_SIDE = 512              # px of the longer side of the live result
REFERENCE_SIDE = 256         # px of the longer side of the reference
SUGGESTIONS = 8              # clusters, as in ideepcolor; between the colour that is there and grey
DISTINCT = 6.0               # CIE units between two colours worth offering apart (ours)
START_COLOR = (48.0, 34.0)   # of the first click, before a colour was chosen: a warm red that shows on any picture (ours)
LARGEST = 9                  # px, of a hint's side: ideepcolor's largest brush and the most a `HintSet` takes
RECENT = 10                  # colours remembered
SETTLED = 0.5                # s without another colour, after which one tried on a hint was meant: arrow keys go through many (ours)


def _ab_of(color):
    """(a, b) of a text for `parse_color`, (a, b) or (L, a, b); ValueError for anything else."""
    color = hint_tools.parse_color(color) if isinstance(color, str) else tuple(color)
    if len(color) not in (2, 3):
        raise ValueError(f"{color} is no colour: give (a, b), (L, a, b) or a text such as '#c03020'.")
    hint_tools.snap(50, *color[-2:])                                                               # two finite numbers, or it says so
    return color[-2:]


def locked(method):
    """One caller at a time: front ends may call while a cell runs (JupyterLab's subshells)."""
    @wraps(method)
    def call(self, *args, **kwargs):
        with self.lock:
            return method(self, *args, **kwargs)
    return call


class HintSession:
    """Hints on one picture, with the picture they make.

    picture: what `images.open_image` reads. A colour picture is greyed for the model; its colours are what the simulated student knows.
    hints: what `colorlib.colorize(..., hints=)` takes; a `HintSet` of the picture's size is edited in place. predict: a method's name or a
    function, see `HintModel`. reference: a picture to take colours from. hard_clamp: hint pixels keep the person's colour exactly.
    folder: where relative paths begin. weights, device: as in `zoo.load`.

    Positions are rows y and columns x of the picture, in pixels. `result`, `gray` and `truth` (None if unknown) are uint8 `(h, w, 3)`, at
    most VIEW_SIDE pixels long. Edits change `hints`; `update` predicts. Whatever goes wrong raises ValueError or FileNotFoundError with one
    sentence and leaves the hints as they were.

    >>> session = HintSession(np.full((16, 24, 3), 90, np.uint8), predict=lambda L, hints: hints.maps(*L.shape)[0])
    >>> session.add(3, 5, color="red"), session.update().shape, session.undo(), len(session.hints)
    (0, (16, 24, 3), True, 0)
    """

    def __init__(self, picture, hints=(), predict="hintnet", *, reference=None, working_size=None, hard_clamp=False, folder=".",
                 weights=None, device="auto"):
        self.lock = threading.RLock()
        self.picture, self.folder, self.hard_clamp = images.open_image(picture), Path(folder).expanduser(), bool(hard_clamp)
        self.L = images.lightness(self.picture)                                                    # (H, W)
        self.hints = hint_tools.as_hints(() if hints is None else hints, self.L)
        self.hints.image_hash = self.hints.image_hash or hint_tools.image_hash(self.L)
        self.model = HintModel(self.L, predict, working_size, weights, device)
        view = shrink(self.picture.rgb, VIEW_SIDE)
        self.truth = None if self.picture.is_gray else view
        self.view_L = images.lightness(images.Picture(view))                                       # (h, w)
        self.result = self.gray = paint(self.view_L, np.zeros((2, 1, 1), np.float32))
        self.color, self.size, self.snapped, self.selected = START_COLOR, 1, False, None
        self.recent, self.scores, self._own, self.reference, self.exported = [], {}, set(), None, None
        self._recent_before, self._recolored = [], -np.inf                                         # the list without the colour being tried, since when
        if reference is not None:
            self.set_reference(reference)

    # ------------------------------------------------------------ predict

    @locked
    def update(self):
        """Predict with the hints as they are; returns and keeps `result`. Where the true colours are known, `curve` grows."""
        self.result = self.preview(self.hints)
        if self.truth is not None:
            count, score = len(self.hints), float(metrics.psnr(self.result, self.truth)[0])
            self.scores = {n: old for n, old in self.scores.items() if n < count} | {count: score}
        return self.result

    @locked
    def preview(self, hints):
        """The picture that other hints would make, `(h, w, 3)` uint8; nothing is changed."""
        return paint(self.view_L, self.model.predict(hints), hints if self.hard_clamp else ())

    @property
    def curve(self):
        """[(clicks, PSNR in dB)] of the hints so far, at the size of `result`; empty where the true colours are unknown."""
        return sorted(self.scores.items())

    # ------------------------------------------------------------ edit

    @locked
    def add(self, y, x, color=None, size=None):
        """A new hint at (y, x), selected at once. color: as for `set_color`, by default the current one; snapped to the pixel's lightness.
        Returns its index."""
        color = self.color if color is None else _ab_of(color)
        self.selected = self.hints.add(self._hint(y, x, color, size or self.size))
        self._remember(color)
        return self.selected

    @locked
    def move(self, index, y, x):
        """Take a hint elsewhere; its colour goes into the gamut of the pixel it lands on."""
        self.hints.replace(index, self.moved(index, y, x))
        self.selected = index

    def moved(self, index, y, x):
        """The `Hint` that `move` would make."""
        hint = self._get(index)
        return self._hint(y, x, (hint.a, hint.b), hint.size)

    @locked
    def set_color(self, color):
        """Choose a colour for the selected hint and for the next ones: text for `parse_color`, (a, b) or (L, a, b). Returns whether it was snapped.

        A pixel keeps its own lightness: a colour that does not exist there becomes the nearest of its hue.
        """
        a, b = _ab_of(color)
        self.snapped = False
        if self.selected is not None:
            self.hints.replace(self.selected, self.recolored(self.selected, a, b))
            self._remember((a, b), trying=True)
        self.color = float(a), float(b)
        return self.snapped

    def recolored(self, index, a, b):
        """The `Hint` that choosing (a, b) for it would make."""
        hint = self._get(index)
        return self._hint(hint.y, hint.x, (a, b), hint.size)

    @locked
    def set_size(self, size):
        """Side of the square of the selected hint and of the next ones, in pixels at the model's working size."""
        if self.selected is not None:
            self.hints.resize(self.selected, size)
        HintSet(1, 1, [Hint(0, 0, 0, 0, size)])                                                    # says what is wrong with another size
        self.size = int(size)

    @locked
    def select(self, index):
        """Make a hint the one that colours and sizes apply to; None: none."""
        if index is not None:
            hint = self._get(index)
            self.color, self.size, self.snapped = (hint.a, hint.b), hint.size, False
        self.selected = index

    @locked
    def delete(self, index=None):
        """Remove a hint, by default the selected one."""
        index = self.selected if index is None else index
        if index is None:
            raise ValueError("No hint is selected: click one first.")
        self.hints.delete(index)
        self.selected = None

    @locked
    def clear(self):
        """Remove all hints; `undo` brings them back."""
        self.hints.clear()
        self.selected = None

    def undo(self):
        """Take the last edit back. Returns whether there was one."""
        return self._travel(self.hints.undo)

    def redo(self):
        """Do again what `undo` took back. Returns whether there was something."""
        return self._travel(self.hints.redo)

    @locked
    def _travel(self, step):
        before, changed = list(self.hints), step()
        fresh = [i for i, hint in enumerate(self.hints) if hint not in before]
        self.selected = fresh[0] if len(fresh) == 1 else None                                      # the hint that came or changed
        return changed

    def _get(self, index):
        if isinstance(index, bool) or not isinstance(index, (int, np.integer)) or not 0 <= index < len(self.hints):
            raise ValueError(f"There is no hint number {index}: the picture has {len(self.hints)}.")
        return self.hints[index]

    def _hint(self, y, x, color, size):
        hint = Hint(y, x, 0, 0, size)
        HintSet(*self.L.shape, [hint])                                                             # outside the picture: says so
        a, b, moved = hint_tools.snap(self.lightness_at(y, x), *color)
        self.snapped = bool(moved)
        return replace(hint, a=a, b=b)

    def _remember(self, color, trying=False):
        """Note a colour in `recent`. trying: of a hint that has one; it takes the place of another tried less than SETTLED before."""
        color, now = (float(color[0]), float(color[1])), time.monotonic()
        if not (trying and now - self._recolored < SETTLED):
            self._recent_before = self.recent
        self._recolored = now if trying else -np.inf
        self.recent = [color, *(other for other in self._recent_before if np.hypot(*np.subtract(other, color)) >= 1)][:RECENT]

    # ------------------------------------------------------------ where colours come from

    def lightness_at(self, y, x):
        """L of the picture's pixel at (y, x)."""
        return float(np.clip(self.L[self.model.locate(y, x, self.L.shape)], 0, 100))

    @locked
    def suggest(self, y, x, count=SUGGESTIONS):
        """Colours worth trying at (y, x), [(a, b)]: the one there now, up to `count` that the model finds likely, grey. All exist at the pixel's L."""
        L, likely = self.lightness_at(y, x), []
        colors, weights = self.model.likely_colors(self.hints, y, x)
        lab, lost = map_to_gamut(np.column_stack([np.full(len(colors), L), colors]))
        exists = (lost[:, 0] <= AB_STEP) & (weights > 0)           # a bin just outside stands for the edge
        if exists.any():
            likely = hint_tools.cluster_colors(lab[exists, 1:], weights[exists], count)
        found = []
        for a, b in [self.model.color_at(self.hints, y, x), *likely, (0, 0)]:
            a, b, _ = hint_tools.snap(L, a, b)
            if all(np.hypot(a - other[0], b - other[1]) >= DISTINCT for other in found):
                found.append((round(a, 2), round(b, 2)))
        return found

    @locked
    def set_reference(self, source):
        """Choose the picture that `pick_reference` takes colours from; kept as `reference`, `(h, w, 3)` uint8, at most REFERENCE_SIDE pixels long."""
        source = self._path(source) if isinstance(source, (str, Path)) else source
        self.reference = shrink(images.open_image(source).rgb, REFERENCE_SIDE)

    @locked
    def pick_reference(self, y, x):
        """Eyedropper: choose the reference's colour at its pixel (y, x), as `set_color` does. Returns whether it was snapped."""
        if self.reference is None:
            raise ValueError("There is no reference picture yet: choose one first.")
        height, width = self.reference.shape[:2]
        if not (0 <= y < height and 0 <= x < width):
            raise ValueError(f"({y}, {x}) lies outside the reference of {height} rows and {width} columns.")
        rows, columns = slice(max(0, int(y) - 1), int(y) + 2), slice(max(0, int(x) - 1), int(x) + 2)
        spot = rgb_to_lab(self.reference[rows, columns]).mean((0, 1))                              # 3 x 3, so that noise does not decide
        return self.set_color(spot.tolist())

    @locked
    def student_click(self):
        """A simulated student gives the true colour of a pixel that is badly wrong. Returns the new hint's index; `update` shows what it brought.

        Raises ValueError where the true colours are unknown.
        """
        if self.truth is None:
            raise ValueError("The simulated student needs to know the true colours: open a colour picture.")
        shape = self.view_L.shape
        row, column = hint_tools.worst_pixel(self.result, self.truth, taken=self.hints)
        y, x = ((place + 0.5) * length / n - 0.5 for place, length, n in zip((row, column), self.L.shape, shape))
        return self.add(y, x, rgb_to_lab(self.truth[row, column])[1:].tolist())

    # ------------------------------------------------------------ files

    @locked
    def save_hints(self, path, overwrite=False):
        """Write the hints to a JSON file, whole or not at all. A file this session did not write or read is only replaced with overwrite=True."""
        path = self._writable(path, overwrite)
        self.hints.save(path)
        self._own.add(path.resolve())
        return path

    @locked
    def load_hints(self, path, check_picture=True):
        """Replace the hints by those of a JSON file; `undo` brings the old ones back. Returns how many there are.

        A file of another picture raises ValueError unless check_picture=False.
        """
        path = self._path(path)
        self.hints.assign(hint_tools.as_hints(path, self.L, check_picture))
        self.selected = None
        self._own.add(path.resolve())
        return len(self.hints)

    @locked
    def colorize(self):
        """The whole picture coloured with the hints, an `images.Picture` of its own size and depth."""
        ab, kept = self.model.predict(self.hints), self.hints if self.hard_clamp else ()
        return replace(self.picture, rgb=paint(self.L, ab, kept, self.picture.rgb.dtype))

    @locked
    def export(self, path, overwrite=False):
        """Write `colorize()` with its EXIF data and transparency. Returns (path, sentences about what the format could not keep)."""
        path = self._writable(path, overwrite)
        with warnings.catch_warnings(record=True) as notes:
            warnings.simplefilter("always")
            images.save_image(path, self.colorize())
        self._own.add(path.resolve())
        self.exported = path
        return path, [str(note.message) for note in notes]

    def _path(self, path):
        if not str(path).strip():
            raise ValueError("The file has no name: type one.")
        return self.folder / Path(str(path).strip()).expanduser()

    def _writable(self, path, overwrite):
        path = self._path(path)
        if path.exists() and not overwrite and path.resolve() not in self._own:
            raise ValueError(f"{path} exists already: choose another name.")
        return path

    def __repr__(self):
        height, width = self.L.shape
        return f"HintSession({height} x {width} pixels, {len(self.hints)} hint{'s' * (len(self.hints) != 1)}, {self.model.name})"
