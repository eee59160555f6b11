"""Open any picture a person has: every common container, mode and depth becomes upright sRGB `(H, W, 3)`."""
import io
import os
import re
import stat
import struct
import threading
import warnings
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from PIL import Image, ImageChops, ImageCms

from colorlib.files import printable
from colorlib.images import damage

__all__ = ["open_image", "Picture", "open_regular", "split_channels", "to_8bit", "MAX_PIXELS", "MAX_BYTES",
           "READ_FORMATS"]

MAX_PIXELS = 105_000_000     # larger pictures are refused before decoding: a small file can claim any size; so many are coloured in 2 GiB
SLOW_PIXELS = 1 << 22        # of kinds that Pillow decodes in Python, a microsecond a pixel
MAX_BYTES = 1 << 30          # of a file: MAX_PIXELS that are not compressed
READ_FORMATS = ("JPEG", "MPO", "PNG", "WEBP", "TIFF", "GIF", "BMP", "DIB", "PPM", "ICO", "JPEG2000", "AVIF", "PSD")
CAMERA_RAW = (".dng", ".nef", ".cr2", ".cr3", ".arw", ".orf", ".rw2", ".raf", ".pef", ".srw")
TIFF_MAGIC = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
NOT_PICTURES = (             # what the first bytes of a file say it is, and what to do about it
    (rb"^....ftyp(hei|hev|mif1|msf1)", "is a HEIC picture, which cannot be read here: convert it to JPEG or PNG."),
    (rb"^....ftypavi[fs]", "is an AVIF picture that cannot be read here: convert it to JPEG or PNG."),
    (rb"^....ftyp|^RIFF....AVI |^\x1aE\xdf\xa3|^\0\0\x01\xba", "is a video, not a picture: colorize it as a video."),
    (rb"^\0\0\0\x0cJXL |^\xff\x0a", "is a JPEG XL picture, which cannot be read here: convert it to JPEG or PNG."),
    (rb"^version https://git-lfs", "is a Git LFS pointer, not the picture itself: fetch that with git lfs pull."),
    (rb"(?i)^[\s\xef\xbb\xbf]*(<\?xml[^>]*>\s*)?<(!doctype html|html|head|body)", "is a web page, not a picture: download the picture itself."),
    (rb"<svg", "is an SVG drawing, which has no pixels: export it as PNG."),
    (rb"^%(PDF|!PS)", "is a PDF or PostScript document: export the page as PNG."),
    (rb"^(\xff\xd8\xff|\x89PNG|GIF8|BM|II[*+]|MM\0[*+]|RIFF....WEBP|P[1-7]\s)",
     "is damaged, cut short or of a rare kind: copy it again, or convert it to PNG."),
    (rb"", "is not a picture of a kind that can be read here: convert it to JPEG or PNG."))
ORIENTATION, EXIF_DIRECTORY, COLOR_SPACE, EXIF_WIDTH, EXIF_HEIGHT = 0x0112, 0x8769, 0xA001, 0xA002, 0xA003   # EXIF tags
BITS_PER_SAMPLE, PHOTOMETRIC, PLANAR, EXTRA, KIND, DNG_VERSION = 258, 262, 284, 338, 339, 0xC612           # TIFF tags
WHITE_IS_ZERO, BLACK_IS_ZERO, RGB, SIGNED, FLOAT = 0, 1, 2, 2, 3                                            # values of PHOTOMETRIC and KIND (of sample)
OTHER_CHANNEL, PREMULTIPLIED = 0, 1                                                                         # and of EXTRA
TIFF_NOTES = (270, 271, 272, 305, 306, 315, 33432, EXIF_DIRECTORY, 34853)     # about the picture, not the file
TURNS = {2: lambda x: x[:, ::-1], 3: lambda x: x[::-1, ::-1], 4: lambda x: x[::-1], 5: lambda x: x.swapaxes(0, 1),
         6: lambda x: np.rot90(x, -1), 7: lambda x: x[::-1, ::-1].swapaxes(0, 1), 8: np.rot90}     # EXIF orientation
SRGB = ImageCms.createProfile("sRGB")


@dataclass
class Picture:
    """An upright sRGB picture.

    rgb `(H, W, 3)` uint8, or uint16 when the source had 16 bits or floats; alpha `(H, W)` of the same dtype, or None;
    exif: the EXIF block, made right for the turned pixels (b"" if none); icc: the profile the file had, now applied; dpi: dots an inch of a scan,
    across and down, or None.

    >>> picture = open_image(np.zeros((30, 40), np.uint8))       # a grey array of 30 rows
    >>> picture.rgb.shape, picture.size, picture.is_gray, picture.alpha is None
    ((30, 40, 3), (40, 30), True, True)
    """
    rgb: np.ndarray
    alpha: np.ndarray | None = None
    exif: bytes = b""
    icc: bytes | None = None
    format: str | None = None
    path: str | None = None
    dpi: tuple | None = None

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
    """uint16 -> uint8, rounded to the nearest level; uint8 stays.

    >>> to_8bit(np.uint16([0, 128, 129, 65535])).tolist()        # 257 steps of 16 bits are one of 8
    [0, 0, 1, 255]
    """
    return values if values.dtype == np.uint8 else ((values.astype(np.uint32) + 128) // 257).astype(np.uint8)


def open_image(source, max_pixels=MAX_PIXELS, verify=True):
    """Open a path, bytes, a binary file, a PIL image, an array or a tensor. Returns a `Picture`.

    Files are known by content, not by name: JPEG, PNG, WebP, TIFF, GIF, BMP, PPM, ICO, JPEG 2000, AVIF, PSD; the first
    page or frame counts. ICC profiles are converted to sRGB (a broken one is ignored), the EXIF turn is applied. 8-bit
    values stay exact; 16 bits stay 16, except in CMYK and in colour with a profile other than sRGB, which become 8. What
    a decoder would let pass as whole, such as a JPEG half of which is lost, is looked for, see `damage`; for JPEG that takes
    about as long as decoding, so trainings do without (verify=False).
    Arrays `(H, W)` or `(H, W, 1..4)`, tensors `(1..4, H, W)`: bool, uint8, uint16, or float in [0, 1] (becomes uint16).
    Raises FileNotFoundError, or ValueError for whatever is not a whole picture of at most `max_pixels` pixels (half as many
    where they have 16 bits and alpha, or are colour of a JPEG 2000 with more than 8 bits); a picture of so many takes some 12 bytes of memory a pixel.

    >>> open_image(np.zeros((30, 40, 4), np.uint8)).alpha.shape, open_image(torch.zeros(3, 30, 40)).rgb.dtype
    ((30, 40), dtype('uint16'))
    >>> open_image("missing.jpg")
    Traceback (most recent call last):
        ...
    FileNotFoundError: missing.jpg does not exist: check the spelling and the folder.
    """
    if isinstance(source, Picture):
        return source
    if torch.is_tensor(source):
        source = source.detach().cpu()
        source = (source.float() if source.is_floating_point() else source).numpy()
        source = np.moveaxis(source, 0, -1) if source.ndim == 3 else source
    if isinstance(source, np.ndarray):
        return Picture(*split_channels(source, "The array"))
    name = "The PIL image"
    try:
        with _quiet_libraries(max_pixels):
            if isinstance(source, Image.Image):
                return _from_pillow(source, name)
            file, name = _open_file(source)
            with file:
                picture = _read_file(file, name, max_pixels, verify)
    except MemoryError as error:
        raise ValueError(f"{name} needs more memory than is free: make the picture smaller, or close other programs.") from error
    except OSError as error:
        if isinstance(error, FileNotFoundError):
            raise
        raise ValueError(f"{name} cannot be read ({error.strerror or printable(error, 100)}): copy or download it again.") from error
    picture.path = os.fsdecode(os.path.expanduser(source)) if isinstance(source, (str, os.PathLike)) else None
    return picture


def open_regular(path, what):
    """A file opened for reading bytes, and its name for sentences. Raises FileNotFoundError, or ValueError, for whatever is no file that can be read,
    such as a folder, or one that may never end, such as a pipe. what: the thing to name instead, such as "a picture".

    >>> os.mkdir("photos")
    >>> open_regular("photos", "a picture")
    Traceback (most recent call last):
        ...
    ValueError: photos is a folder: name a picture inside it.
    """
    path = os.path.expanduser(os.fsdecode(path))
    name = printable(path)
    try:
        kind = os.stat(path).st_mode
    except PermissionError as error:
        raise ValueError(f"{name} cannot be read ({error.strerror}): check the permissions of its folder.") from error
    except (OSError, ValueError):
        raise FileNotFoundError(f"{name} does not exist: check the spelling and the folder.") from None
    if stat.S_ISDIR(kind):
        raise ValueError(f"{name} is a folder: name {what} inside it.")
    if not stat.S_ISREG(kind):
        raise ValueError(f"{name} is a device, a pipe or a socket: save {what} as a file first.")
    try:
        file = open(path, "rb")
    except OSError as error:
        raise ValueError(f"{name} cannot be read ({error.strerror}): check its permissions.") from error
    if (size := os.fstat(file.fileno()).st_size) > MAX_BYTES:
        file.close()
        raise ValueError(f"{name} has {size:,} bytes, more than {what} needs: name {what}.")
    return file, name


def _open_file(source):
    if isinstance(source, bytes) or hasattr(source, "read"):
        name = printable(getattr(source, "name", "The picture in memory"))
        if hasattr(source, "seekable") and source.seekable():
            source.seek(0)
        data = source if isinstance(source, bytes) else source.read(MAX_BYTES + 1)
        if not isinstance(data, bytes):
            raise ValueError(f"{name} gives text instead of bytes: open it with open(path, 'rb').")
        if len(data) > MAX_BYTES:
            raise ValueError(f"{name} has more than {MAX_BYTES:,} bytes, or never ends: pass a picture.")
        return io.BytesIO(data), name
    if not isinstance(source, (str, os.PathLike)):
        raise ValueError(f"A {type(source).__name__} is not a picture: pass a path, a file, a PIL image or an array.")
    path = os.fsdecode(source)
    if re.match(r"https?://", path):
        raise ValueError(f"{printable(path)} is a web address: download the picture and pass the file.")
    file, name = open_regular(path, "a picture")
    if path.lower().endswith(CAMERA_RAW):
        file.close()
        raise ValueError(f"{name} is a camera raw file: develop it and export a JPEG, PNG or TIFF.")
    return file, name


class _QuietLibraries:
    """Without Pillow's warnings, what OpenCV reports of every unusual tag, and Pillow's own pixel limit, a global that warns at 89 megapixels and refuses
    at 179: it becomes ours, for the decoders that take memory before they tell the size. All are the process's, so the first thread that decodes changes
    them and the last one restores them; in between all decode at once, and the most patient limit counts."""

    def __init__(self):
        self.lock, self.limits, self.before = threading.Lock(), [], ExitStack()
        damage.silence_decoders()

    @contextmanager
    def __call__(self, max_pixels):
        with self.lock:
            if not self.limits:
                self.before.enter_context(warnings.catch_warnings())
                warnings.filterwarnings("ignore", module=r"PIL\b|colorlib\.images\.reading")      # those of other threads stay
                self.before.callback(setattr, Image, "MAX_IMAGE_PIXELS", Image.MAX_IMAGE_PIXELS)
                self.before.callback(cv2.utils.logging.setLogLevel, cv2.utils.logging.getLogLevel())
                cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
            self.limits.append(max_pixels)
            Image.MAX_IMAGE_PIXELS = max(self.limits)          # Pillow refuses twice as many
        try:
            yield
        finally:
            with self.lock:
                self.limits.remove(max_pixels)
                Image.MAX_IMAGE_PIXELS = max(self.limits, default=None)
                if not self.limits:
                    self.before.close()


_quiet_libraries = _QuietLibraries()


def _read_file(file, name, max_pixels, verify):
    head = file.read(4096)
    if not head:
        raise ValueError(f"{name} is empty: copy or download it again.")
    if head[8:12] == b"WEBP":
        _check_size(damage.webp_size(head), name, max_pixels)
    if head.startswith(damage.PNG_MAGIC):
        file = io.BytesIO(head + file.read())
        _check_whole(damage.find_png(file.getbuffer()), name)
    Image.init()
    try:
        image = Image.open(file, formats=[kind for kind in READ_FORMATS if kind in Image.OPEN])
    except MemoryError:
        raise
    except Image.DecompressionBombError as error:
        raise ValueError(f"{name} has {re.search('[0-9]+', str(error))[0]} pixels, {_too_many(max_pixels)}") from error
    except Exception as error:                                 # a decoder may raise anything on a damaged file
        values = _read_other_tiff(file, name, max_pixels) if head[:4] in TIFF_MAGIC else None
        if values is None:
            reason = next(text for pattern, text in NOT_PICTURES if re.search(pattern, head, re.DOTALL))
            raise ValueError(f"{name} {reason}") from error
        return Picture(*split_channels(values, name), format="TIFF")
    _check_size(damage.icon_size(image, file) if image.format == "ICO" else image.size, name, max_pixels)
    is_runs = image.format in ("BMP", "DIB") and image.info.get("compression") in (1, 2)
    is_text = image.tile and image.tile[0][0] == "ppm_plain"
    if (is_runs or is_text or image.format == "ICO") and image.width * image.height > SLOW_PIXELS:
        raise ValueError(f"{name} has {image.width} x {image.height} pixels, too many for a {image.format} written as text or runs: save it as PNG.")
    return _from_pillow(image, name, file, head, max_pixels, verify)


def _read_dpi(image, shape):
    """(across, down) in dots an inch as the file says, for the upright picture; None where it says nothing that can be."""
    try:
        dpi = tuple(float(one) for one in image.info["dpi"])
    except (KeyError, TypeError, ValueError, ZeroDivisionError):
        return None
    if len(dpi) != 2 or not all(1 < one < 100_000 for one in dpi):      # JPEG without a unit: 1
        return None
    return dpi if image.size == shape[1::-1] else dpi[::-1]


def _check_size(size, name, max_pixels):
    if size[0] * size[1] > max_pixels:
        raise ValueError(f"{name} has {size[0]} x {size[1]} pixels, {_too_many(max_pixels)}")


def _too_many(max_pixels):
    return f"more than {max_pixels:,}: make it smaller, or raise max_pixels (on the command line --max-pixels)."


def _check_whole(fault, name):
    if fault:
        raise ValueError(f"{name} is damaged ({fault}): copy or download it again.")


def _from_pillow(image, name, file=None, head=b"", max_pixels=MAX_PIXELS, verify=True):
    damage.drop_false_tags(image)
    tags = image.tag_v2 if image.format == "TIFF" else {}
    if DNG_VERSION in tags:
        raise ValueError(f"{name} is a camera raw file: develop it and export a JPEG, PNG or TIFF.")
    if SIGNED in _numbers(tags, KIND) and image.mode == "L":
        raise ValueError(f"{name} has int8 values of unknown white: convert to uint8, uint16 or float.")
    bits = head[24] if image.format == "PNG" and head else max(_numbers(tags, BITS_PER_SAMPLE), default=8)
    if image.format == "PPM" and image.tile and image.tile[0].args[-1] == 65535:
        bits = 16
    if is_jpeg2000 := file and image.format == "JPEG2000" and image.mode in ("RGB", "RGBA", "LA"):
        bits, is_ycc, is_reduced = damage.read_jpeg2000(file)
        if is_reduced or is_ycc and bits > 8:                  # Pillow and OpenCV both misread these
            raise ValueError(f"{name} is JPEG 2000 with YCC colours that cannot be read here: save it as PNG.")
    if bits == 16 and tags.get(PLANAR) == 2:                   # Pillow and OpenCV both misread these
        raise ValueError(f"{name} keeps its 16-bit colours in separate planes: save it as an interleaved TIFF or PNG.")
    if file and (bits == 16 and image.mode == "RGBA" or bits > 8 and is_jpeg2000):      # memory for 16 bytes a pixel
        _check_size(image.size, name, max_pixels // 2)
    if file and image.format == "PPM" and image.tile and image.tile[0][0] == "ppm":
        rgb, alpha = split_channels(_read_ppm(image, file, name), name)
        return Picture(rgb, alpha, format="PPM")
    try:
        image.load()
    except MemoryError:
        raise
    except Exception as error:                                 # a decoder may raise anything on a damaged file
        raise ValueError(f"{name} is damaged or cut short ({printable(error, 100)}): copy or download it again.") from error
    if file and verify and image.format in ("JPEG", "MPO"):
        file.seek(0)
        _check_whole(damage.find_jpeg(file.read(), image.size), name)
    if file and tags:
        _check_whole(damage.find_tiff(tags, file), name)
    try:
        values, exif, icc = _convert(image, bits, tags, file)
    except MemoryError:
        raise
    except Exception as error:
        raise ValueError(f"{name} is of a kind that cannot be read here ({printable(error, 100)}): convert it to PNG.") from error
    rgb, alpha = split_channels(values, name, owned=True)
    return Picture(rgb, alpha, _upright_exif(exif, rgb.shape), icc, image.format, dpi=_read_dpi(image, rgb.shape))


def _convert(image, bits, tags, file):
    """A loaded Pillow image -> upright values as `split_channels` takes them, the EXIF block as bytes, the ICC profile."""
    damage.drop_false_tags(image)                              # those after the pixels, too
    image = image.convert(image.mode.upper()) if image.mode in ("La", "RGBa") else image       # out of premultiplied alpha
    icc, extra = image.info.get("icc_profile"), _numbers(tags, EXTRA)[:1]
    turn, exif = _read_exif(image, tags)
    values = None
    if file and bits > 8 and image.format == "JPEG2000":
        values = _decode_jpeg2000(file, bits)
        if _srgb_transform(icc, "RGB"):
            image, values = Image.fromarray(to_8bit(values)), None
    elif file and image.mode == "F" and tags and tags.prefix == b"MM":
        values = _decode_with_opencv(file)                     # Pillow mixes up the bytes of compressed ones
        if values is None:
            raise ValueError("big-endian floats")
        values = 1 - values if tags.get(PHOTOMETRIC) == WHITE_IS_ZERO else values
    elif file and bits == 16 and image.mode in ("RGB", "RGBA", "LA") and _srgb_transform(icc, "RGB") is None:
        values = _decode_with_opencv(file)                     # Pillow has no 16-bit colour
        if values is not None and values.ndim == 3 and values.shape[2] == 4 and extra == [OTHER_CHANNEL]:
            values = values[..., :3]
        elif values is not None and extra == [PREMULTIPLIED]:
            values = _without_alpha(values)
    if values is None:
        is_gray = image.mode in ("1", "L", "LA", "F") or image.mode.startswith("I")
        values = _gray_values(image, bits, tags.get(PHOTOMETRIC) == WHITE_IS_ZERO, icc) if is_gray else _color_values(image, icc)
    return turn(values), exif, icc


def _read_ppm(image, file, name):
    """What Pillow decodes pixel by pixel: PGM and PPM whose white is not 255. `(H, W[, 3])` of 8 bits, or of 16 where white is above 255."""
    _, _, start, (_, white) = image.tile[0]
    file.seek(start)
    shape, kind = (image.height, image.width, *([3] if image.mode == "RGB" else [])), np.dtype(np.uint8 if white < 256 else ">u2")
    data = file.read(int(np.prod(shape)) * kind.itemsize)
    if len(data) < np.prod(shape) * kind.itemsize:
        raise ValueError(f"{name} is cut short: copy or download it again.")
    return _levels(white)[np.frombuffer(data, kind).reshape(shape)]


def _levels(white):
    """What to make of each value of a file whose white is `white`: uint8, or uint16 where white is above 255."""
    levels = np.arange(256 if white < 256 else 65536).clip(max=white) * ((255 if white < 256 else 65535) / white)
    return levels.round().astype(np.uint8 if white < 256 else np.uint16)


def _decode_jpeg2000(file, bits):
    """`(H, W, 3 | 4)` uint16. Pillow makes 8 bits of it and, rounding up, black of white."""
    values = _decode_with_opencv(file)
    if values is None or values.dtype != np.uint16:
        raise ValueError(f"{bits} bits a colour")
    return values if bits == 16 else _levels(2 ** bits - 1)[values]


def _numbers(tags, tag):
    """The whole numbers of a TIFF's tag, a list; a damaged file may hold anything there."""
    found = tags.get(tag, ())
    return [number for number in (found if isinstance(found, tuple) else (found,)) if isinstance(number, int)]


def _without_alpha(values):
    """Colours `(H, W, 4)` uint16 that were multiplied with their alpha -> as they were."""
    alpha = values[..., 3:].astype(np.uint32)
    colors = (values[..., :3] * np.uint32(65535) + alpha // 2) // np.maximum(alpha, 1)
    return np.concatenate([colors.clip(max=65535).astype(np.uint16), values[..., 3:]], -1)


def _decode_with_opencv(file):
    """(H, W) or (H, W, 3 | 4) in the file's own depth, or None."""
    file.seek(0)
    data = file.read()
    try:
        values = cv2.imdecode(np.frombuffer(damage.bare_png(data) if data.startswith(damage.PNG_MAGIC) else data, np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error:
        return None
    if values is None or values.ndim == 2:
        return values
    blue = values[..., 0].copy()                               # in place: a large picture has no room for two
    values[..., 0], values[..., 2] = values[..., 2], blue
    return values


def _read_other_tiff(file, name, max_pixels):
    """What Pillow lacks: TIFFs of coloured or 64-bit floats, and large big-endian ones; `(H, W)` or `(H, W, 3 | 4)`. None for others: OpenCV reads more,
    but not right."""
    tags = damage.tiff_numbers(file)
    size, bits, kinds = [tags.get(tag, [0])[0] for tag in (256, 257)], set(tags.get(BITS_PER_SAMPLE, ())), set(tags.get(KIND, (1,)))
    known = tags.get(PHOTOMETRIC) in ([BLACK_IS_ZERO], [RGB]) and (kinds == {FLOAT} or kinds == {1} and bits in ({8}, {16}))
    if not known or tags.get(PLANAR, [1]) != [1] or tags.get(EXTRA, [2]) != [2] or EXTRA in tags and (bits == {8} or tags[PHOTOMETRIC] != [RGB]):
        return None                                            # OpenCV multiplies 8-bit colour with alpha, and drops that of grey
    _check_size(size, name, max_pixels)
    return _decode_with_opencv(file)


def _gray_values(image, bits, white_is_zero, icc):
    """(H, W), or (H, W, 2) with alpha; in the depth of the file."""
    has_alpha = image.mode == "LA"
    gray = np.asarray(image.getchannel(0) if has_alpha else image.convert("L") if image.mode == "1" else image)
    if bits == 12 and image.mode == "I;16":
        gray = ((gray * np.uint32(65535) + 2047) // 4095).astype(np.uint16)
    if image.mode == "F" and white_is_zero:
        gray = 1 - gray
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
    for steps in (ramp, ramp.convert("RGB")):                  # a gray profile, or a colour profile on a gray picture
        if transform := _srgb_transform(icc, steps.mode):
            curve = np.asarray(ImageCms.applyTransform(steps, transform))[0, :, 1] * (top / 255)
            if np.abs(curve - levels).max() > top / 255:       # more than rounding
                gray = np.interp(gray, levels, curve).round().astype(gray.dtype)
    return gray if alpha is None else np.stack([gray, alpha], -1)


def _color_values(image, icc):
    """(H, W, 3 | 4) uint8."""
    if image.mode == "LAB":
        icc = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    elif image.mode == "CMYK" and image.format == "JPEG" and "adobe" not in image.info:
        image = ImageChops.invert(image)                       # Pillow inverts every JPEG's inks, as Adobe does
    elif image.mode not in ("RGB", "RGBA", "CMYK") or image.mode == "RGB" and "transparency" in image.info:
        image = image.convert("RGBA" if image.has_transparency_data else "RGB")
    transform = _srgb_transform(icc, "RGB" if image.mode == "RGBA" else image.mode)
    if transform is None:
        return np.asarray(image if image.mode == "RGBA" else _as_rgb(image))
    alpha = image.getchannel("A") if image.mode == "RGBA" else None
    image = ImageCms.applyTransform(image if image.mode != "RGBA" else _as_rgb(image), transform)
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


def split_channels(values, name, owned=False):
    """An array as `open_image` takes it -> rgb `(H, W, 3)` and alpha `(H, W)` or None, uint8 or uint16, in memory of their own; owned: nobody else needs
    that of `values`. Raises ValueError, naming `name`, for another array.

    >>> rgb, alpha = split_channels(np.zeros((2, 3, 2)), "The array")                    # grey and alpha
    >>> rgb.shape, rgb.dtype, alpha.shape
    ((2, 3, 3), dtype('uint16'), (2, 3))
    """
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
    colors, alpha = values[..., :3 if values.shape[2] > 2 else 1], np.array(values[..., -1], order="C") if values.shape[2] in (2, 4) else None
    if owned and colors.shape[2] == 3 and values.flags.c_contiguous and values.flags.writeable:
        return _pack(values), alpha
    return np.array(np.broadcast_to(colors, (*values.shape[:2], 3)), order="C"), alpha


def _pack(values):
    """`(H, W, 3 | 4)` -> its first three channels, contiguous, in the same memory."""
    height, width, channels = values.shape
    if channels == 3:
        return values
    flat, row = values.reshape(-1), 3 * width
    for y in range(height):
        flat[row * y:row * (y + 1)] = values[y, :, :3].ravel()
    return flat[:row * height].reshape(height, width, 3)


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
