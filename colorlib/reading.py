"""Open any picture a person has: every common container, mode and depth becomes upright sRGB `(H, W, 3)`."""
import io
import os
import re
import struct
import threading
import warnings
from contextlib import ExitStack
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from PIL import Image, ImageChops, ImageCms

MAX_PIXELS = 300_000_000     # larger pictures are refused before decoding: a small file can claim any size
READ_FORMATS = ("JPEG", "MPO", "PNG", "WEBP", "TIFF", "GIF", "BMP", "DIB", "PPM", "ICO", "JPEG2000", "AVIF", "PSD")
CAMERA_RAW = (".dng", ".nef", ".cr2", ".cr3", ".arw", ".orf", ".rw2", ".raf", ".pef", ".srw")
TIFF_MAGIC = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
NOT_PICTURES = (             # what the first bytes of a file say it is, and what to do about it
    (rb"^....ftyp(hei|hev|mif1|msf1)", "is a HEIC picture, which cannot be read here: convert it to JPEG or PNG."),
    (rb"^....ftypavi[fs]", "is an AVIF picture that cannot be read here: convert it to JPEG or PNG."),
    (rb"^....ftyp|^RIFF....AVI |^\x1aE\xdf\xa3|^\0\0\x01\xba", "is a video, not a picture: colorize it as a video."),
    (rb"(?i)^\s*<(!doctype html|html|head|body)", "is a web page, not a picture: download the picture itself."),
    (rb"<svg", "is an SVG drawing, which has no pixels: export it as PNG."),
    (rb"^%(PDF|!PS)", "is a PDF or PostScript document: export the page as PNG."),
    (rb"^(\xff\xd8\xff|\x89PNG|GIF8|BM|II[*+]|MM\0[*+]|RIFF....WEBP|P[1-7]\s)",
     "is damaged, cut short or of a rare kind: copy it again, or convert it to PNG."),
    (rb"", "is not a picture of a kind that can be read here: convert it to JPEG or PNG."))
ORIENTATION, EXIF_DIRECTORY, COLOR_SPACE, EXIF_WIDTH, EXIF_HEIGHT = 0x0112, 0x8769, 0xA001, 0xA002, 0xA003   # EXIF tags
BITS_PER_SAMPLE, PHOTOMETRIC, PLANAR, DNG_VERSION = 258, 262, 284, 0xC612                                   # TIFF tags
TIFF_NOTES = (270, 271, 272, 305, 306, 315, 33432, EXIF_DIRECTORY, 34853)     # about the picture, not the file
TURNS = {2: lambda x: x[:, ::-1], 3: lambda x: x[::-1, ::-1], 4: lambda x: x[::-1], 5: lambda x: x.swapaxes(0, 1),
         6: lambda x: np.rot90(x, -1), 7: lambda x: x[::-1, ::-1].swapaxes(0, 1), 8: np.rot90}     # EXIF orientation
SRGB = ImageCms.createProfile("sRGB")


@dataclass
class Picture:
    """An upright sRGB picture.

    rgb `(H, W, 3)` uint8, or uint16 when the source had 16 bits or floats; alpha `(H, W)` of the same dtype, or None;
    exif: the EXIF block, made right for the turned pixels (b"" if none); icc: the profile the file had, now applied.
    """
    rgb: np.ndarray
    alpha: np.ndarray | None = None
    exif: bytes = b""
    icc: bytes | None = None
    format: str | None = None
    path: str | None = None

    @property
    def size(self):
        """(width, height) in pixels, in Pillow's order."""
        return self.rgb.shape[1], self.rgb.shape[0]

    def _repr_png_(self):
        """What a notebook shows."""
        return cv2.imencode(".png", to_8bit(self.rgb)[..., ::-1])[1].tobytes()

    @property
    def is_gray(self):
        """Whether red, green and blue are equal in every pixel."""
        return bool((self.rgb[..., :1] == self.rgb[..., 1:]).all())


def to_8bit(values):
    """uint16 -> uint8, rounded to the nearest level; uint8 stays."""
    return values if values.dtype == np.uint8 else ((values.astype(np.uint32) + 128) // 257).astype(np.uint8)


def open_image(source, max_pixels=MAX_PIXELS):
    """Open a path, bytes, a binary file, a PIL image, an array or a tensor. Returns a `Picture`.

    Files are known by content, not by name: JPEG, PNG, WebP, TIFF, GIF, BMP, PPM, ICO, JPEG 2000, AVIF, PSD; the first
    page or frame counts. ICC profiles are converted to sRGB (a broken one is ignored), the EXIF turn is applied. 8-bit
    values stay exact; 16 bits stay 16, except in CMYK and in colour with a profile other than sRGB, which become 8.
    Arrays `(H, W)` or `(H, W, 1..4)`, tensors `(1..4, H, W)`: bool, uint8, uint16, or float in [0, 1] (becomes uint16).
    Raises FileNotFoundError, or ValueError for whatever is not a whole picture of at most `max_pixels` pixels.
    """
    if isinstance(source, Picture):
        return source
    if torch.is_tensor(source):
        source = source.detach().cpu()
        source = (source.float() if source.is_floating_point() else source).numpy()
        source = np.moveaxis(source, 0, -1) if source.ndim == 3 else source
    if isinstance(source, np.ndarray):
        return Picture(*split_channels(source, "The array"))
    if isinstance(source, Image.Image):
        return _from_pillow(source, "The PIL image")
    file, name = _open_file(source)
    with file, _quiet_pillow:
        head = file.read(4096)
        if not head:
            raise ValueError(f"{name} is empty: copy or download it again.")
        Image.init()
        try:
            image = Image.open(file, formats=[kind for kind in READ_FORMATS if kind in Image.OPEN])
        except Exception as error:                             # a decoder may raise anything on a damaged file
            values = _decode_with_opencv(file) if head[:4] in TIFF_MAGIC else None
            if values is None:
                reason = next(text for pattern, text in NOT_PICTURES if re.search(pattern, head, re.DOTALL))
                raise ValueError(f"{name} {reason}") from error
            picture = Picture(*split_channels(values, name), format="TIFF")     # what Pillow lacks: float colour
        else:
            if image.width * image.height > max_pixels:
                raise ValueError(f"{name} has {image.width} x {image.height} pixels, more than {max_pixels:,}: "
                                 "make it smaller or raise max_pixels.")
            picture = _from_pillow(image, name, file, head)
    picture.path = name if isinstance(source, (str, os.PathLike)) else None
    return picture


def _open_file(source):
    if isinstance(source, bytes) or hasattr(source, "read"):
        name = str(getattr(source, "name", "The picture in memory"))
        if hasattr(source, "seekable") and source.seekable():
            source.seek(0)
        data = source if isinstance(source, bytes) else source.read()
        if not isinstance(data, bytes):
            raise ValueError(f"{name} gives text instead of bytes: open it with open(path, 'rb').")
        return io.BytesIO(data), name
    if not isinstance(source, (str, os.PathLike)):
        raise ValueError(f"A {type(source).__name__} is not a picture: pass a path, a file, a PIL image or an array.")
    path = os.path.expanduser(os.fspath(source))
    if re.match(r"https?://", path):
        raise ValueError(f"{path} is a web address: download the picture and pass the file.")
    if os.path.isdir(path):
        raise ValueError(f"{path} is a folder: name a picture inside it.")
    if not os.path.exists(path):
        raise FileNotFoundError(f"{path} does not exist: check the spelling and the folder.")
    if path.lower().endswith(CAMERA_RAW):
        raise ValueError(f"{path} is a camera raw file: develop it and export a JPEG, PNG or TIFF.")
    try:
        return open(path, "rb"), path
    except OSError as error:
        raise ValueError(f"{path} cannot be read ({error.strerror}): check its permissions.") from error


class _QuietPillow:
    """Without Pillow's own pixel limit, a global that warns at 89 megapixels and refuses at 179; without its warnings. Both are the process's, so the first thread that
    decodes changes them and the last one restores them; in between all decode at once."""

    def __init__(self):
        self.lock, self.inside, self.before = threading.Lock(), 0, ExitStack()

    def __enter__(self):
        with self.lock:
            self.inside += 1
            if self.inside == 1:
                self.before.enter_context(warnings.catch_warnings())
                warnings.filterwarnings("ignore", module=r"PIL\b|colorlib\.reading")      # those of other threads stay
                self.before.callback(setattr, Image, "MAX_IMAGE_PIXELS", Image.MAX_IMAGE_PIXELS)
                Image.MAX_IMAGE_PIXELS = None

    def __exit__(self, *error):
        with self.lock:
            self.inside -= 1
            if not self.inside:
                self.before.close()


_quiet_pillow = _QuietPillow()


def _from_pillow(image, name, file=None, head=b""):
    tags = image.tag_v2 if image.format == "TIFF" else {}
    bits = head[24] if image.format == "PNG" and head else max(tags.get(BITS_PER_SAMPLE, (8,)))
    if image.format == "PPM" and image.tile and image.tile[0].args[-1] == 65535:
        bits = 16
    if DNG_VERSION in tags:
        raise ValueError(f"{name} is a camera raw file: develop it and export a JPEG, PNG or TIFF.")
    if bits == 16 and tags.get(PLANAR) == 2:                   # Pillow and OpenCV both misread these
        raise ValueError(f"{name} keeps its 16-bit colours in separate planes: save it as an interleaved TIFF or PNG.")
    try:
        image.load()
    except Exception as error:                                 # a decoder may raise anything on a damaged file
        raise ValueError(f"{name} is damaged or cut short ({error}): copy or download it again.") from error
    icc = image.info.get("icc_profile")
    values = None
    if file and bits == 16 and image.mode in ("RGB", "RGBA", "LA") and _srgb_transform(icc, "RGB") is None:
        values = _decode_with_opencv(file)                     # Pillow has no 16-bit colour
    if values is None:
        is_gray = image.mode in ("1", "L", "LA", "F") or image.mode.startswith("I")
        values = _gray_values(image, bits, tags.get(PHOTOMETRIC) == 0, icc) if is_gray else _color_values(image, icc)
    turn, exif = _read_exif(image, tags)
    rgb, alpha = split_channels(turn(values), name)
    return Picture(rgb, alpha, _upright_exif(exif, rgb.shape), icc, image.format)


def _decode_with_opencv(file):
    """(H, W) or (H, W, 3 | 4) in the file's own depth, or None."""
    file.seek(0)
    level = cv2.utils.logging.getLogLevel()
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)        # it reports every unusual tag
    values = cv2.imdecode(np.frombuffer(file.read(), np.uint8), cv2.IMREAD_UNCHANGED)
    cv2.utils.logging.setLogLevel(level)
    return values if values is None or values.ndim == 2 else values[..., [2, 1, 0, 3][:values.shape[2]]]


def _gray_values(image, bits, white_is_zero, icc):
    """(H, W), or (H, W, 2) with alpha; in the depth of the file."""
    has_alpha = image.mode == "LA"
    gray = np.asarray(image.getchannel(0) if has_alpha else image.convert("L") if image.mode == "1" else image)
    if image.mode.startswith("I") and (image.format in ("PNG", "PPM") or gray.itemsize == 2):
        gray = gray.astype(np.uint16)                          # out of Pillow's int32 and big-endian modes
        gray = 65535 - gray if white_is_zero else gray
    if gray.dtype.kind != "u":                                 # floats and unknown integers: checked by the caller
        return gray
    top = np.iinfo(gray.dtype).max
    alpha = np.asarray(image.getchannel(1)) if has_alpha else None
    key = image.info.get("transparency")
    if isinstance(key, int):
        key = key * top // (2 ** bits - 1) if bits in (2, 4) else key       # Pillow widens these pixels but not the key
        alpha = np.where(gray == key, 0, top).astype(gray.dtype)
    ramp, levels = Image.fromarray(np.arange(256, dtype=np.uint8)[None]), np.linspace(0, top, 256)
    for ramp in (ramp, ramp.convert("RGB")):                   # a gray profile, or a colour profile on a gray picture
        if transform := _srgb_transform(icc, ramp.mode):
            curve = np.asarray(ImageCms.applyTransform(ramp, transform))[0, :, 1] * (top / 255)
            if np.abs(curve - levels).max() > top / 255:       # more than rounding
                gray = np.interp(gray, levels, curve).round().astype(gray.dtype)
    return gray if alpha is None else np.stack([gray, alpha], -1)


def _color_values(image, icc):
    """(H, W, 3 | 4) uint8."""
    alpha = image.convert("RGBA").getchannel("A") if image.has_transparency_data else None
    if image.mode == "CMYK" and image.format == "JPEG" and "adobe" not in image.info:
        image = ImageChops.invert(image)                       # Pillow inverts every JPEG's inks, as Adobe does
    if image.mode == "LAB":
        icc = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    elif image.mode != "CMYK":
        image = _as_rgb(image.convert("RGBA") if alpha else image)
    transform = _srgb_transform(icc, image.mode)
    image = ImageCms.applyTransform(image, transform) if transform else _as_rgb(image)
    return np.dstack([image, alpha]) if alpha else np.asarray(image)


def _as_rgb(image):
    return image if image.mode == "RGB" else image.convert("RGB")      # which would copy it


def _srgb_transform(icc, mode):
    """Pillow's transform to sRGB; None for no profile, a broken one, one for other channels, and for sRGB itself."""
    try:
        flags = ImageCms.Flags.BLACKPOINTCOMPENSATION          # for gray without tables: they miss dark levels by 10
        flags |= ImageCms.Flags.NOOPTIMIZE if mode == "L" else 0
        transform = ImageCms.buildTransform(ImageCms.ImageCmsProfile(io.BytesIO(icc)), SRGB, mode, "RGB",
                                            ImageCms.Intent.RELATIVE_COLORIMETRIC, flags)
    except (ImageCms.PyCMSError, OSError, TypeError, ValueError):
        return None
    if mode == "RGB":                                          # sRGB comes in many wordings: try 4096 colours
        probe = np.indices((16, 16, 16), np.uint8).reshape(3, 64, 64).transpose(1, 2, 0) * 17
        moved = np.asarray(ImageCms.applyTransform(Image.fromarray(probe), transform)).astype(int) - probe
        return transform if np.abs(moved).max() > 1 else None
    return transform


def split_channels(values, name):
    """An array -> rgb (H, W, 3) and alpha (H, W) or None, uint8 or uint16, in memory of their own."""
    values = values[..., None] if values.ndim == 2 else values
    if values.ndim != 3 or values.shape[2] not in (1, 2, 3, 4) or 0 in values.shape:
        raise ValueError(f"{name} has shape {values.shape}: give (height, width) or (height, width, 1 to 4 channels).")
    if values.dtype == bool:
        values = values * np.uint8(255)
    elif values.dtype.kind == "f":
        low, high = values.min(), values.max()
        if not np.isfinite([low, high]).all():
            raise ValueError(f"{name} has NaN or infinite values: replace them first.")
        if low < -1e-3 or high > 1 + 1e-3:
            raise ValueError(f"{name} has values from {low:g} to {high:g}: scale floats to [0, 1], or pass uint8.")
        values = (values.clip(0, 1) * np.float32(65535)).round()
    elif values.dtype.kind != "u" or values.itemsize > 2:
        raise ValueError(f"{name} has {values.dtype} values of unknown white: convert to uint8, uint16 or float.")
    values = values.astype(np.uint8 if values.dtype == np.uint8 else np.uint16, copy=False)
    colors = values[..., :3 if values.shape[2] > 2 else 1]
    rgb = np.array(np.broadcast_to(colors, (*values.shape[:2], 3)), order="C")
    return rgb, np.array(values[..., -1], order="C") if values.shape[2] in (2, 4) else None


def _read_exif(image, tags):
    """How to turn the pixels, and the EXIF block as bytes; a TIFF's tags become such a block."""
    try:
        exif = image.getexif()
        turn = TURNS.get(exif.get(ORIENTATION), np.asarray)    # Pillow and OpenCV have already turned a TIFF
        if not tags:
            return turn, image.info.get("exif") or (exif.tobytes() if exif else b"")
        notes = Image.Exif()
        notes.update({tag: exif.get_ifd(tag) or exif[tag] for tag in TIFF_NOTES if tag in exif})
        return turn, notes.tobytes() if notes else b""
    except Exception:                                          # a damaged block does not spoil the picture
        return np.asarray, b""


def _upright_exif(exif, shape):
    """The EXIF block of a picture already turned: Orientation 1, true size, sRGB, no thumbnail; all other bytes stay.

    It is patched in place: rewriting it would move the maker note, whose inner offsets count from the block's start.
    """
    block = bytearray(exif if exif[:6] == b"Exif\0\0" else b"Exif\0\0" + exif)
    fresh = {ORIENTATION: 1, COLOR_SPACE: 1, EXIF_WIDTH: shape[1], EXIF_HEIGHT: shape[0]}
    try:
        order = {b"II": "<", b"MM": ">"}[bytes(block[6:8])]
        starts = [6 + struct.unpack_from(order + "I", block, 10)[0]]
        for start in starts:                                   # the main directory, then the Exif directory it names
            end = start + 2 + 12 * struct.unpack_from(order + "H", block, start)[0]
            for entry in range(start + 2, end, 12):
                tag, _, _, value = struct.unpack_from(order + "HHII", block, entry)
                if tag in fresh:
                    kind, layout = (3, "HHIHxx") if fresh[tag] < 65536 else (4, "HHII")       # SHORT or LONG
                    struct.pack_into(order + layout, block, entry, tag, kind, 1, fresh[tag])
                elif tag == EXIF_DIRECTORY and len(starts) == 1:
                    starts.append(6 + value)
            block[end:end + 4] = bytes(len(block[end:end + 4]))                # unlink the thumbnail of the old picture
    except (KeyError, struct.error):                           # no block, or a damaged one
        return b""
    return bytes(block)
