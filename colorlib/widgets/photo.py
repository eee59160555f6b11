"""One photo: grey in, coloured beside it, saved at full size."""
import base64
import html
import threading
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
from ipywidgets import HTML, Box, Button, Text, VBox

from colorlib import images, painting, zoo
from colorlib.widgets.controls import ROW, UPLOAD_LIMIT, WIDE, answer_at_once, file_places, fixed, typed_path
from colorlib.widgets.pictures import browser_copy, export_picture, image_html, sentence_html, shrink, still_shown

__all__ = ["PhotoDrop", "colorize_file", "compare_html"]

LINK = "var(--jp-content-link-color, var(--vscode-textLink-foreground, inherit))"


def colorize_file(path, save_as=None, method="best", overwrite=False, **conditions):
    """Colour a picture file and save it at full size, with its EXIF data and transparency. Returns the path written.

    save_as: another path; by default NAME_colorized beside the input. method and conditions (caption=..., hints=..., reference=...): as in
    `colorlib.colorize`. Raises FileNotFoundError or ValueError as `colorlib.colorize` and `images.save_image` do; an existing file is left alone
    unless overwrite=True.

    >>> _ = images.save_image("cat.png", np.full((16, 24, 3), 90, np.uint8))
    >>> colorize_file("cat.png", method="levin", hints=[(8, 12, 30.0, 40.0)]).name, images.open_image("cat_colorized.png").size
    ('cat_colorized.png', (24, 16))
    """
    path = Path(path).expanduser()
    picture = painting.colorize(path, method, **conditions)
    return images.save_image(save_as or path.with_name(images.colorized_name(path.name)), picture, overwrite=overwrite)


def compare_html(picture, size=None):
    """A colorized `Picture` beside the grey it was made from, both at most 380 pixels long, as an HTML string. size: (width, height) of what a button
    *Save full size* beside it will write.

    >>> page = compare_html(images.Picture(np.zeros((16, 24, 3), np.uint8)))
    >>> page.count("<img"), "24 x 16 pixels" in page
    (2, True)
    """
    rgb = shrink(picture.rgb)
    gray = images.merge_chroma(images.lightness(images.Picture(rgb)), np.zeros((2, 1, 1), np.float32))
    left = image_html(gray, "The photo in grey", ".jpg", "in grey: what the network sees")
    written = "in colour; <i>Save full size</i> writes {} x {} pixels".format(*size) if size else "in colour, {} x {} pixels".format(*picture.size)
    right = image_html(rgb, "The photo in predicted colours", ".jpg", markup=written)
    return f'<div style="display:grid; grid-template-columns:1fr 1fr; gap:8px; max-width:{max(2 * rgb.shape[1] + 8, 400)}px">{left}{right}</div>'


def download_html(path):
    """A link that gives the browser a copy of a file, for notebooks that run elsewhere; of one too large for that a sentence where it is."""
    content, note = browser_copy(path)
    if content is None:
        return f"<p>{note}</p>"
    name, data = html.escape(Path(path).name), base64.b64encode(content).decode()
    link = f'<a download="{name}" href="data:application/octet-stream;base64,{data}" style="color:{LINK}">Download {name}</a>'
    return f"<p>{link} {note}</p>"


class Painted:
    """A photo that a method painted small: seen at once, finished at its full size when that is wanted. Arguments as in `colorlib.colorize`.

    `preview` is the `Picture` at most 380 pixels long, `size` the photo's (width, height), `row` the catalogue's row of the method that painted.
    """

    def __init__(self, source, method="best", **conditions):
        self.row = zoo.choose(method, **conditions)
        conditions = zoo.check_conditions(self.row, **conditions)
        picture, model = images.open_image(source), zoo.load(self.row.name, channels_last=True)
        self.size, small = picture.size, images.Picture(shrink(picture.rgb))
        with painting.enough_memory(picture):
            self.L = images.lightness(picture)                                                     # (H, W)
            self.planes = painting.paint_small(self.row, model, picture, self.L, **painting.read_conditions(self.row, model, self.L, **conditions))
            self.preview = replace(small, rgb=painting.enlarge(self.row, small, images.lightness(small), self.planes))
        self.source = painting.without_pixels(picture)

    def colorize(self):
        """The `images.Picture` that `colorlib.colorize` returns."""
        with painting.enough_memory(self.source):
            return replace(self.source, rgb=painting.enlarge(self.row, self.source, self.L, self.planes))


class PhotoDrop(VBox):
    """Drop a photo or choose one, see it coloured beside its grey, save it at full size.

    method and conditions (caption=..., hints=..., reference=...) go to `colorlib.colorize`; folder: where "Save" writes, on the machine the notebook runs on;
    the link that follows gives the browser's computer a copy. Without anywidget, and until a browser shows `area`, there is a plain upload button; any file
    on the machine that runs the notebook can be named in `path`. `picture` is the last result at full size, an `images.Picture`, None before. Whatever goes
    wrong is said in one sentence in `message`, and the last good result stays.

    >>> drop = PhotoDrop(method="levin", hints=[])
    >>> drop.picture is None, drop.save.disabled
    (True, True)
    """

    def __init__(self, method="best", folder=".", **conditions):
        self.method, self.folder, self.conditions = method, Path(folder), conditions
        self.painted, self._full, self._shown, self._busy = None, None, "", threading.Lock()
        self.area, self.upload = file_places(self._on_file, self._refuse_photo, "Choose a photo", "Drop a photo here, or press to choose one")
        self.path = Text(description="or its path", placeholder="holiday/photo.jpg, then Enter", continuous_update=False, **WIDE)
        self.name = Text(description="Save as", **WIDE)
        self.save = Button(description="Save full size", icon="download", tooltip="Write the coloured photo", layout=fixed())
        self.view, self.message, self.link = HTML(), HTML(), HTML()
        self.save.disabled = self.name.disabled = True       # until there is something to save
        self.path.observe(self._on_path, "value")
        self.save.on_click(lambda _: self.save_picture())
        first = f"Choose a photo of up to {UPLOAD_LIMIT}" if self.area is None else "Drop a photo"
        self.message.value = sentence_html(f"{first}, or type the path of any photo.")
        super().__init__([*([self.area] if self.area else []), Box([self.upload, self.path], layout=ROW), self.message, self.view,
                          Box([self.name, self.save], layout=ROW), self.link])
        answer_at_once(self.path, self.save)
        threading.Thread(target=self._warm_up, daemon=True).start()

    @property
    def picture(self):
        """The last result at full size, an `images.Picture`; None before the first."""
        if self._full is None and self.painted is not None:
            self._full = self.painted.colorize()
        return self._full

    def show_photo(self, source, name):
        """Colour `source` (an open file, bytes or a path) and show it; the name to save under is made from the file's `name`."""
        def work():
            self.painted, self._full, self._shown = Painted(source, self.method, **self.conditions), None, name
            self.view.value, self.name.value, self.link.value = compare_html(self.painted.preview, self.painted.size), images.colorized_name(name), ""
            self.save.disabled = self.name.disabled = False
            return f"{name} is coloured by {self.painted.row.name}: compare, then save it."
        self._run(work, f"Colouring {name} ...", self._refuse_photo)

    def save_picture(self):
        """Write the last result at full size under the name in `name`, and offer the browser a copy."""
        def work():
            if self.painted is None:
                raise ValueError("There is nothing to save yet: choose a photo first.")
            written, notes = export_picture(self.folder, typed_path(self.name.value), self.picture)
            self.link.value = download_html(written)
            width, height = self.painted.size
            return " ".join([f"Saved {written} at {width} x {height} pixels.", *notes])
        self._run(work, "Saving ...", self._refuse)

    def _warm_up(self):
        """Read the weights while the person looks for a photo: the first one is coloured as quickly as the next."""
        try:
            zoo.load(zoo.choose(self.method, **self.conditions).name, channels_last=True)
        except (ValueError, OSError):
            pass                                             # said when there is a photo

    def _on_file(self, file):
        self.show_photo(file, file.name)

    def _on_path(self, change):
        if path := typed_path(change["new"]):
            self.show_photo(path, Path(path).name)

    def _refuse(self, sentence):
        self.message.value = sentence_html(sentence, True)

    def _refuse_photo(self, sentence):
        self._refuse(f"{sentence} {still_shown(self._shown) if self._shown else ''}".strip())

    def _run(self, work, announcement, refuse):
        """Do the work when what came before is done; its sentence becomes the message, its error's goes to `refuse`. Nothing is switched off: that would take the
        focus from whoever works with the keyboard."""
        with self._busy:                                     # JupyterLab may run callbacks side by side, in subshells
            self.message.value = sentence_html(announcement)
            try:
                with warnings.catch_warnings(record=True) as notes:
                    warnings.simplefilter("always")
                    sentence = work()
                self.message.value = sentence_html(" ".join([sentence, *(str(note.message) for note in notes)]))
            except MemoryError as error:
                refuse(str(error) or "There is not enough memory for this picture: make it smaller.")
            except (ValueError, OSError, RuntimeError) as error:
                refuse(error)

    def __repr__(self):
        return f"PhotoDrop(method={self.method!r})"
