"""One photo under every condition, side by side: by itself, from a caption, from a reference picture, from hints, and who painted each."""
import html
import warnings

import cv2
import numpy as np

from colorlib import hints as hint_tools
from colorlib import images, painting, zoo
from colorlib.widgets.hint_actions import hex_color
from colorlib.widgets.pictures import PREVIEW_SIDE, image_html, shrink

__all__ = ["ConditionBoard"]

ALONE = "nothing"
TITLES = {ALONE: "By itself", "caption": "From a caption", "reference": "From a reference", "hints": "From hints"}
THUMBNAIL = 96               # px of the longer side of the picture that shows what was given
DOT = 4                      # px, radius of a hint on it


class ConditionBoard:
    """The same photo by itself and under every condition given, side by side, each with the method that painted it; plain HTML, which needs no kernel.

    photo: what `images.open_image` reads; its own colours are not looked at. caption, reference, hints: as in `colorlib.colorize`; None leaves a condition out.
    methods: {"nothing", "caption", "reference" or "hints": name of the catalogue} in place of those of `zoo.BEST`. device: as in `zoo.load`.

    `gray` and the values of `pictures`, {condition: picture}, are uint8 `(h, w, 3)`, at most 380 pixels long; `painters` is {condition: catalogue row}. A
    condition that cannot be used, or whose method has no weights, leaves one sentence in `notes`, {condition: sentence}, and the others stay.
    Raises ValueError or FileNotFoundError for a photo that cannot be read, ValueError for a method that cannot paint from its condition.

    >>> ConditionBoard(np.zeros((16, 24, 3), np.uint8), hints=[(8, 12, "#c03020")], methods={"nothing": "levin"})
    Traceback (most recent call last):
    ValueError: levin needs hints: pass hints=... (on the command line --hints).
    """

    def __init__(self, photo, caption=None, reference=None, hints=None, *, methods=None, device="auto"):
        given = {ALONE: "", "caption": caption, "reference": reference, "hints": hints}
        self.given = {condition: value for condition, value in given.items() if value is not None}
        self.painters = {condition: _painter(condition, dict(methods or {})) for condition in self.given}
        picture = images.open_image(photo)
        small = images.Picture(shrink(picture.rgb, PREVIEW_SIDE))
        self.L = images.lightness(small)                                                           # (h, w)
        self.gray = images.merge_chroma(self.L, np.zeros((2, 1, 1), np.float32))
        self.pictures, self.notes = {}, {}
        for condition, row in self.painters.items():
            with warnings.catch_warnings(record=True) as told:
                warnings.simplefilter("always")
                try:
                    self.given[condition] = value = self._read(condition, self.given[condition], picture)
                    conditions = {} if condition == ALONE else {condition: value}
                    self.pictures[condition] = painting.colorize(small, row.name, device=device, **conditions).rgb
                except (ValueError, OSError, MemoryError) as error:
                    warnings.warn(" ".join(str(error).split()) or "There is not enough memory for this picture.", stacklevel=1)
            if told:
                self.notes[condition] = " ".join(str(one.message) for one in told)

    def _read(self, condition, value, picture):
        """A condition as a person gives it for a `Picture` -> as it is used and shown: a reference as pixels, hints where they lie on the preview."""
        if condition == "hints":
            return hint_tools.as_hints(value, images.lightness(picture)).at_size(*self.L.shape)
        return images.to_8bit(images.open_image(value).rgb) if condition == "reference" else value

    def _shown(self, condition):
        """What was given, as HTML: the words, or a small picture."""
        value = self.given[condition]
        if condition == "caption":
            return f"“{html.escape(value)}”" if value.strip() else "no words"
        if condition == "reference":
            return image_html(shrink(value, THUMBNAIL), "The reference", ".jpg")
        if condition == "hints":
            count = f"{len(value)} hint{'s' * (len(value) != 1)}"
            return image_html(self._dots(value), f"{count} on the picture in grey", caption=count)
        return "nothing but the grey picture"

    def _dots(self, hints):
        """The grey picture, small, with the hints' colours on it, `(h', w', 3)` uint8."""
        thumbnail = np.ascontiguousarray(shrink(self.gray, THUMBNAIL))
        hints = hints.at_size(*thumbnail.shape[:2])
        for hint in hints:
            place = round(hint.x), round(hint.y)
            L = float(self.L[round((hint.y + 0.5) / hints.height * len(self.L) - 0.5), round((hint.x + 0.5) / hints.width * self.L.shape[1] - 0.5)])
            color = bytes.fromhex(hex_color(L, hint.a, hint.b)[1:])
            cv2.circle(thumbnail, place, DOT + 2, (0, 0, 0), -1, cv2.LINE_AA)                       # white alone is lost on a white sky
            cv2.circle(thumbnail, place, DOT + 1, (255, 255, 255), -1, cv2.LINE_AA)
            cv2.circle(thumbnail, place, DOT, tuple(color), -1, cv2.LINE_AA)
        return thumbnail

    def _repr_html_(self):
        cells = [image_html(self.gray, "The photo in grey", ".jpg", "Grey: what every method is given")]
        for condition, row in self.painters.items():
            head = f"<b>{TITLES[condition]}</b>, painted by {html.escape(row.name)}"
            note = f'<p role="note">{html.escape(self.notes[condition])}</p>' if condition in self.notes else ""
            if condition in self.pictures:
                alt = f"The photo coloured {TITLES[condition].lower()} by {row.name}"
                cells.append(image_html(self.pictures[condition], alt, ".jpg", markup=f"{head}<div>Given: {self._shown(condition)}</div>{note}"))
            else:
                cells.append(f"<div>{head}: no picture.{note}</div>")
        look = f"display:grid; grid-template-columns:repeat(auto-fit, minmax(160px, 1fr)); gap:12px; max-width:{len(cells) * self.gray.shape[1]}px"
        return f'<div style="{look}">{"".join(cells)}</div>'

    def __repr__(self):
        height, width = self.L.shape
        painted = ", ".join(f"{condition} ({row.name})" for condition, row in self.painters.items())
        return f"ConditionBoard({height} x {width} pixels: {painted})"


def _painter(condition, methods):
    """The catalogue row that paints from a condition; ValueError where it cannot."""
    if unknown := set(methods) - set(TITLES):
        raise ValueError(f"There is no condition {min(unknown)!r}: choose among {', '.join(TITLES)}.")
    row = zoo.get(methods.get(condition, zoo.BEST["" if condition == ALONE else condition]))
    zoo.check_conditions(row, **({} if condition == ALONE else {condition: ""}))
    return row
