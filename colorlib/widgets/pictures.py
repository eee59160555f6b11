"""What the views show, made without any widget: drawn planes, shrunk pictures, HTML with its own data and alt text; what their cores share."""
import base64
import html
import warnings
from pathlib import Path

import cv2
import numpy as np
import torch

from colorlib import images
from colorlib.figures import AB_LIMIT, OUTSIDE
from colorlib.lab import ab_bins, gamut_mask, in_gamut, lab_to_rgb

__all__ = ["describe_plane", "draw_ab_plane", "draw_heat", "image_html", "sentence_html", "shrink"]

PIXELS_PER_UNIT = 2          # of a drawn ab plane: 441 pixels for -110..110
PREVIEW_SIDE = 380           # pixels of the longer side; two previews fit a notebook's column
JPEG_QUALITY = 92
DOWNLOAD_LIMIT = 32 << 20    # bytes of a file that a page is given as a link; it is kept in the page's memory (ours)


def draw_ab_plane(L, bins=None, limit=AB_LIMIT):
    """The colours of lightness L over the ab plane as `(S, S, 3)` uint8, b upwards, light grey where sRGB has none.

    bins `(Q, 2)`: marks every centre, with a dot where it is an sRGB colour at this L and a ring where it is not.
    limit: half the width in CIE units, S = 4 limit + 1. Raises ValueError for L outside [0, 100].

    >>> draw_ab_plane(60).shape
    (441, 441, 3)
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
    """One sentence: how many centres of an ab grid are sRGB colours at lightness L.

    >>> describe_plane(0)
    'At L = 0, 1 of the 313 bin centres is a colour a screen can show.'
    """
    live = int(gamut_mask(float(L), ab_bins(count)).sum())
    noun = "is a colour" if live == 1 else "are colours"
    return f"At L = {L:g}, {live} of the {count} bin centres {noun} a screen can show."


def draw_heat(rgb, values, share=0.6):
    """values `(h, w)` in [0, 1] over a picture `(H, W, 3)` uint8 that shines through, from dark violet, 0, to yellow, 1 (viridis): like rgb.

    >>> draw_heat(np.zeros((16, 24, 3), np.uint8), np.ones((2, 3))).shape
    (16, 24, 3)
    """
    values = cv2.resize(np.asarray(values, np.float32), rgb.shape[1::-1], interpolation=cv2.INTER_LINEAR).clip(0, 1)
    heat = cv2.cvtColor(cv2.applyColorMap(np.rint(255 * values).astype(np.uint8), cv2.COLORMAP_VIRIDIS), cv2.COLOR_BGR2RGB)
    return cv2.addWeighted(heat, share, np.ascontiguousarray(rgb), 1 - share, 0)


def shrink(rgb, side=PREVIEW_SIDE):
    """rgb `(H, W, 3)` uint8 or uint16 -> uint8, at most `side` pixels long; small pictures keep their size.

    >>> shrink(np.zeros((760, 500, 3), np.uint16)).shape
    (380, 250, 3)
    """
    scale = min(1, side / max(rgb.shape[:2]))
    if scale < 1:
        size = [max(1, round(n * scale)) for n in rgb.shape[1::-1]]
        rgb = cv2.resize(rgb, size, interpolation=cv2.INTER_AREA)
    return images.to_8bit(rgb)


def encode(rgb, kind=".png", quality=JPEG_QUALITY):
    """A picture `(H, W, 3)` or `(H, W)` uint8 as the bytes of a file. kind: .png or .jpg."""
    options = [cv2.IMWRITE_JPEG_QUALITY, quality] if kind == ".jpg" else []
    return cv2.imencode(kind, np.ascontiguousarray(rgb[..., ::-1] if rgb.ndim == 3 else rgb), options)[1].tobytes()


def image_html(rgb, alt, kind=".png", caption="", markup=""):
    """A picture `(H, W, 3)` uint8 as an HTML figure that carries its own data and an alt text. kind: .png or .jpg.

    caption: text under it, escaped; markup: HTML after that, taken as it is.

    >>> image_html(np.zeros((4, 6, 3), np.uint8), "a <black> picture")[:57]
    '<figure style="margin:0"><img alt="a &lt;black&gt; pictur'
    """
    source = f"data:image/{'jpeg' if kind == '.jpg' else 'png'};base64,{base64.b64encode(encode(rgb, kind)).decode()}"
    height, width = rgb.shape[:2]
    return (f'<figure style="margin:0"><img alt="{html.escape(alt)}" src="{source}" width="{width}" height="{height}"'
            f' style="max-width:100%; height:auto"><figcaption>{html.escape(caption)}{markup}</figcaption></figure>')


def sentence_html(text, is_error=False):
    """One sentence for an HTML widget; screen readers announce it.

    >>> sentence_html("2 < 3")
    '<p role="status">2 &lt; 3</p>'
    """
    role, start = ("alert", "<b>Not done:</b> ") if is_error else ("status", "")
    return f'<p role="{role}">{start}{html.escape(str(text))}</p>'


def attempt(work, message, name, after=""):
    """Do the work for an HTML widget `message`, which gets the sentence it returns, if any, or that of its error. name: who is to blame for errors
    that nobody foresaw; after: a sentence that follows an error's."""
    try:
        if sentence := work():
            message.value = sentence_html(sentence)
        return
    except MemoryError:
        wrong = "There is not enough memory for this picture: make it smaller."
    except (ValueError, OSError) as error:
        wrong = " ".join(str(error).split())
    except Exception as error:  # noqa: BLE001 - a model may fail in any way, and its words must reach the person, not a log
        reason = " ".join(str(error).split()) or "no reason given"
        wrong = f"{name} failed ({type(error).__name__}: {reason}): the last picture stays."
    message.value = sentence_html(f"{wrong} {after}".strip(), True)


# ---------------------------------------------------------------- a model's answer, a file

def check_ab(ab, name):
    """What a model or function called `name` returned, array or tensor, as ab `(2, h, w)` float32. Raises ValueError for anything else."""
    ab = np.array(ab.detach().float().cpu().numpy() if torch.is_tensor(ab) else ab, np.float32)
    ab = ab[0] if ab.ndim == 4 and len(ab) == 1 else ab
    if ab.ndim != 3 or len(ab) != 2 or not ab.size or not np.isfinite(ab).all():
        raise ValueError(f"{name} must return finite ab (2, h, w) in CIE units, not an array {ab.shape}.")
    return ab


def browser_copy(path):
    """(the bytes of a file for a link in the page, what is said after the link); of a file larger than DOWNLOAD_LIMIT (None, where it is instead)."""
    size = Path(path).stat().st_size
    if size > DOWNLOAD_LIMIT:
        return None, f"At {size / 1e6:.0f} MB the file is too large for a link in this page: download it in the file browser."
    return Path(path).read_bytes(), f"({max(1, round(size / 1000)):,} kB) to the computer of this browser."


def still_shown(name):
    """What follows an error where the picture of another file stays in sight."""
    return f"The picture below is still {name}."


def export_picture(folder, path, picture, overwrite=False):
    """Write an `images.Picture` to a path that begins in `folder`. Returns (path, sentences about what the format could not keep)."""
    if not str(path).strip():
        raise ValueError("The file has no name: type one.")
    with warnings.catch_warnings(record=True) as notes:
        warnings.simplefilter("always")
        path = images.save_image(Path(folder) / Path(str(path).strip()).expanduser(), picture, overwrite=overwrite)
    return path, [str(note.message) for note in notes]
