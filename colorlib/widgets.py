"""Notebook views: plain ipywidgets over functions that run, and are tested, without a browser.

Callbacks only set `.value` and `.disabled`. They neither print (JupyterLab sends that text to its log) nor use Output
widgets (nbval stores and re-runs them differently). Pictures are HTML, since ipywidgets' Image has no alt text; every
control works from the keyboard.
"""
import base64
import html
import io
import threading
import warnings
from pathlib import Path

import cv2
import numpy as np
import torch
from ipywidgets import HTML, Button, FileUpload, HBox, IntSlider, Text, VBox

from colorlib import images, zoo
from colorlib.figures import AB_LIMIT, OUTSIDE
from colorlib.lab import ab_bins, gamut_mask, in_gamut, lab_to_rgb

PIXELS_PER_UNIT = 2          # of a drawn ab plane: 441 pixels for -110..110
PREVIEW_SIDE = 380           # pixels of the longer side; two previews fit a notebook's column
JPEG_QUALITY = 92
UPLOAD_LIMIT = "10 MB"       # the largest message a Jupyter server takes unless told otherwise (a default of tornado)
WIDE = {"style": {"description_width": "initial"}, "layout": {"width": "440px"}}


# ---------------------------------------------------------------- the cores: no widget needed

def draw_ab_plane(L, bins=None, limit=AB_LIMIT):
    """The colours of lightness L over the ab plane as `(S, S, 3)` uint8, b upwards, light grey where sRGB has none.

    bins `(Q, 2)`: marks every centre, with a dot where it is an sRGB colour at this L and a ring where it is not.
    limit: half the width in CIE units, S = 4 limit + 1. Raises ValueError for L outside [0, 100].
    """
    if not 0 <= L <= 100:
        raise ValueError(f"L must be between 0 and 100, not {L}.")
    axis = torch.linspace(-limit, limit, 2 * PIXELS_PER_UNIT * int(limit) + 1)
    b, a = torch.meshgrid(axis.flip(0), axis, indexing="ij")
    lab = torch.stack([torch.full_like(a, L), a, b])                                               # (3, S, S)
    picture = torch.where(in_gamut(lab), lab_to_rgb(lab), OUTSIDE)
    picture = np.ascontiguousarray((picture * 255).round().byte().permute(1, 2, 0).numpy())
    middle = len(axis) // 2
    picture[middle], picture[:, middle] = 128, 128                                                 # a = 0 and b = 0
    if bins is not None:
        ink = (0, 0, 0) if L > 50 else (255, 255, 255)
        for (x, y), inside in zip(bins.tolist(), gamut_mask(L, bins).tolist()):
            spot = (round((x + limit) * PIXELS_PER_UNIT), round((limit - y) * PIXELS_PER_UNIT))
            cv2.circle(picture, spot, 2, ink if inside else (160, 160, 160), -1 if inside else 1, cv2.LINE_AA)
    return picture


def describe_plane(L, count=313):
    """One sentence: how many centres of an ab grid are sRGB colours at lightness L."""
    live = int(gamut_mask(float(L), ab_bins(count)).sum())
    noun = "is a colour" if live == 1 else "are colours"
    return f"At L = {L:g}, {live} of the {count} bin centres {noun} a screen can show."


def colorize_file(path, save_as=None, method="koalarization", overwrite=False, **conditions):
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


def shrink(rgb, side=PREVIEW_SIDE):
    """rgb `(H, W, 3)` uint8 or uint16 -> uint8, at most `side` pixels long; small pictures keep their size."""
    scale = min(1, side / max(rgb.shape[:2]))
    if scale < 1:
        size = [max(1, round(n * scale)) for n in rgb.shape[1::-1]]
        rgb = cv2.resize(rgb, size, interpolation=cv2.INTER_AREA)
    return images.to_8bit(rgb)


def image_html(rgb, alt, kind=".png", caption=""):
    """A picture `(H, W, 3)` uint8 as an HTML figure that carries its own data and an alt text. kind: .png or .jpg."""
    options = [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY] if kind == ".jpg" else []
    data = cv2.imencode(kind, np.ascontiguousarray(rgb[..., ::-1]), options)[1].tobytes()
    source = f"data:image/{'jpeg' if kind == '.jpg' else 'png'};base64,{base64.b64encode(data).decode()}"
    height, width = rgb.shape[:2]
    return (f'<figure style="margin:0"><img alt="{html.escape(alt)}" src="{source}" width="{width}" height="{height}"'
            f' style="max-width:100%; height:auto"><figcaption>{html.escape(caption)}</figcaption></figure>')


def sentence_html(text, is_error=False):
    """One sentence for an HTML widget; screen readers announce it."""
    role, start = ("alert", "<b>Not done:</b> ") if is_error else ("status", "")
    return f'<p role="{role}">{start}{html.escape(str(text))}</p>'


# ---------------------------------------------------------------- the views

class LabExplorer(VBox):
    """Move the slider through L and see which a and b are sRGB colours there, and how many bins of a grid that leaves.

    `slider.value` is L; `plane` and `sentence` follow it.
    """

    def __init__(self, L=50, count=313):
        self.count, self.bins = count, ab_bins(count)
        self.slider = IntSlider(value=L, min=0, max=100, description="Lightness L", **WIDE)
        self.plane, self.sentence = HTML(), HTML()
        self.slider.observe(lambda change: self.show(change["new"]), "value")
        self.show(self.slider.value)
        super().__init__([self.slider, self.plane, self.sentence])

    def show(self, L):
        """Draw the plane of lightness L."""
        text = describe_plane(L, self.count)
        alt = f"The ab plane with the colours of lightness {L}. {text}"
        caption = "right: a, green to red; up: b, blue to yellow; dots: bins in gamut, rings: bins outside"
        self.plane.value = image_html(draw_ab_plane(L, self.bins), alt, caption=caption)
        self.sentence.value = sentence_html(text)

    def __repr__(self):
        return f"LabExplorer(L={self.slider.value})"


class PhotoDrop(VBox):
    """Choose a photo, see it coloured beside its grey, save it at full size.

    method and conditions (caption=..., hints=..., reference=...) go to `zoo.colorize`; folder: where "Save" writes.
    Small files come through the upload button; any file on the machine that runs the notebook can be named in `path`.
    `picture` holds the last result, an `images.Picture`. Whatever goes wrong is said in one sentence in `message`, and
    the last good result stays.
    """

    def __init__(self, method="koalarization", folder=".", **conditions):
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
            return f"{name} is coloured by {self.method}: compare, then save it."
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
            file = change["new"][0]
            self.upload.value = ()                           # so that the same file can be chosen again
            content = io.BytesIO(file["content"])
            content.name = file["name"]                      # what an error will call it
            self.show_photo(content, file["name"])

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
