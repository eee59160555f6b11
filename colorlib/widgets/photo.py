"""One photo: grey in, coloured beside it, saved at full size."""
import io
import threading
import warnings
from pathlib import Path

import numpy as np
from ipywidgets import HTML, Button, FileUpload, HBox, Text, VBox

from colorlib import images, zoo
from colorlib.lab import lab_to_rgb
from colorlib.widgets.explorer import WIDE
from colorlib.widgets.pictures import image_html, sentence_html, shrink

UPLOAD_LIMIT = "10 MB"       # the largest message a Jupyter server takes unless told otherwise (a default of tornado)


def colorize_file(path, save_as=None, method="best", overwrite=False, **conditions):
    """Colour a picture file and save it at full size, with its EXIF data and transparency. Returns the path written.

    save_as: another path; by default NAME_colorized beside the input. Raises FileNotFoundError or ValueError as
    `zoo.colorize` and `images.save_image` do; an existing file is left alone unless overwrite=True.
    """
    path = Path(path).expanduser()
    picture = zoo.colorize(path, method, **conditions)
    return images.save_image(save_as or path.with_name(images.colorized_name(path.name)), picture, overwrite=overwrite)


def compare_html(picture):
    """A colorized `Picture` beside the grey it was made from, both as previews, as an HTML string."""
    rgb = shrink(picture.rgb)
    L = images.lightness(images.Picture(rgb))                                                      # (h, w)
    gray = (lab_to_rgb(np.stack([L, 0 * L, 0 * L], -1)) * 255).round().astype(np.uint8)
    size = f"{picture.size[0]} x {picture.size[1]} pixels"
    left = image_html(gray, "The photo in grey", ".jpg", "lightness L, all the network sees")
    right = image_html(rgb, "The photo in predicted colours", ".jpg", f"with predicted a and b; saved at {size}")
    return f'<div style="display:flex; flex-wrap:wrap; gap:8px">{left}{right}</div>'


def take_upload(upload):
    """The first file of a `FileUpload`, an open binary file with a name, which errors call it by; the widget is emptied, so that the same file can be
    chosen again."""
    file = upload.value[0]
    upload.value = ()
    content = io.BytesIO(file["content"])
    content.name = file["name"]
    return content


def answer_at_once(*controls):
    """Let these widgets be answered while a cell runs; see `HintPicker`."""
    for control in controls:
        vars(control.comm or control).pop("_reply_subshell_id", None)


class PhotoDrop(VBox):
    """Choose a photo, see it coloured beside its grey, save it at full size.

    method and conditions (caption=..., hints=..., reference=...) go to `zoo.colorize`; folder: where "Save" writes.
    Small files come through the upload button; any file on the machine that runs the notebook can be named in `path`.
    `picture` holds the last result, an `images.Picture`. Whatever goes wrong is said in one sentence in `message`, and
    the last good result stays.
    """

    def __init__(self, method="best", folder=".", **conditions):
        self.method, self.folder, self.conditions = method, Path(folder), conditions
        self.picture, self._busy = None, threading.Lock()    # JupyterLab may run callbacks side by side, in subshells
        self.upload = FileUpload(accept="image/*", description="Choose a photo", tooltip=f"up to {UPLOAD_LIMIT}",
                                 layout={"width": "14em"})
        self.path = Text(description="or its path", placeholder="holiday/photo.jpg, then Enter",
                         continuous_update=False, **WIDE)
        self.name = Text(description="Save as", **WIDE)
        self.save = Button(description="Save full size", icon="download", tooltip="Write the coloured photo")
        self.view, self.message = HTML(), HTML()
        self._enable(True)
        self.upload.observe(self._on_upload, "value")
        self.path.observe(self._on_path, "value")
        self.save.on_click(lambda _: self.save_picture())
        self.message.value = sentence_html(f"Choose a photo of up to {UPLOAD_LIMIT}, or type the path of any photo.")
        super().__init__([self.upload, self.path, self.message, self.view, HBox([self.name, self.save])])

    def show_photo(self, source, name):
        """Colour `source` (bytes or a path) and show it; the name to save under is made from the file's `name`."""
        def work():
            self.picture = zoo.colorize(source, self.method, **self.conditions)
            self.view.value, self.name.value = compare_html(self.picture), images.colorized_name(name)
            return f"{name} is coloured by {zoo.choose(self.method, **self.conditions).name}: compare, then save it."
        self._run(work, f"Colouring {name} ...")

    def save_picture(self):
        """Write the last result at full size under the name in `name`."""
        def work():
            if self.picture is None:
                raise ValueError("There is nothing to save yet: choose a photo first.")
            with warnings.catch_warnings(record=True) as notes:
                warnings.simplefilter("always")
                written = images.save_image(self.folder / self.name.value, self.picture, overwrite=False)
            width, height = self.picture.size
            return " ".join([f"Saved {written} at {width} x {height} pixels.", *(str(note.message) for note in notes)])
        self._run(work, "Saving ...")

    def _on_upload(self, change):
        if change["new"]:
            file = take_upload(self.upload)
            self.show_photo(file, file.name)

    def _on_path(self, change):
        if path := change["new"].strip():
            self.show_photo(path, Path(path).name)

    def _run(self, work, announcement):
        """Do the work with the controls switched off; its sentence, or its error's, becomes the message."""
        if not self._busy.acquire(blocking=False):
            return
        self._enable(False)
        self.message.value = sentence_html(announcement)
        try:
            self.message.value = sentence_html(work())
        except MemoryError:
            self.message.value = sentence_html("There is not enough memory for this picture: make it smaller.", True)
        except (ValueError, OSError, RuntimeError) as error:
            self.message.value = sentence_html(error, True)
        finally:
            self._enable(True)
            self._busy.release()

    def _enable(self, on):
        self.upload.disabled = self.path.disabled = not on
        self.save.disabled = self.name.disabled = not on or self.picture is None

    def __repr__(self):
        return f"PhotoDrop(method={self.method!r})"
