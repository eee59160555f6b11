"""Give a picture back coloured at its own size: L in, colour merged under it, the file saved.

A network predicts colour at its own small size; `merge_chroma` puts that colour under the full-resolution L, and
`save_image` keeps the size, the depth, the alpha and the EXIF of the picture `open_image` read.
"""
import io
import os
import struct
import warnings
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image, ImageCms
from PIL.TiffImagePlugin import IFDRational

from colorlib.files import write_atomic
from colorlib.images.reading import SRGB, Picture, open_image, split_channels, to_8bit
from colorlib.lab import GAMUT_TOLERANCE, gray_of, lab_to_rgb, map_to_gamut, rgb_to_lab

__all__ = ["open_image", "save_image", "Picture", "lightness", "model_input", "merge_chroma", "merge_picture", "without_color", "shrink",
           "line_art", "is_drawing", "to_8bit", "colorized_name", "WRITE_FORMATS"]

STRIP_PIXELS = 1 << 18       # pixels in work at a time, so that memory does not grow with the picture
MAX_ASPECT = 4               # longest side of a network's input, in units of `size`
GUIDE_EPS = 8.0 ** 2         # variance of L below which its edges hardly move colour; from 16 to 128, on 46 photos
DETAIL_GAIN = 0.6            # share of an infrared picture's detail that a painted one takes, see `merge_picture`
PLAIN = "bicubic", "bilinear", "nearest"
GAMUT_STEPS = 8              # halvings that find the gamut's edge: to 1/256 of the chroma, finer than 8 bits show
NAME_BYTES = 255             # of a file, on most disks
JPEG_EXIF_LIMIT = 65533      # bytes in a JPEG segment
WRITE_FORMATS = {".jpg": "JPEG", ".jpeg": "JPEG", ".png": "PNG", ".webp": "WEBP", ".tif": "TIFF", ".tiff": "TIFF",
                 ".bmp": "BMP", ".ppm": "PPM"}
WRITE_OPTIONS = {"JPEG": {"quality": 95, "subsampling": 0}, "PNG": {"compress_level": 3},
                 "WEBP": {"lossless": True, "exact": True, "method": 0, "quality": 0}}      # colour is the product


# ---------------------------------------------------------------- save

def save_image(path, rgb, like=None, overwrite=True):
    """Write a picture, whole or not at all; the suffix picks JPEG, PNG, WebP, TIFF, BMP or PPM.

    rgb: `(H, W, 3)` uint8, uint16 or float in [0, 1], or a `Picture`. like: the `Picture` it came from: its alpha and
    EXIF and dots an inch are kept, its size is required. PNG and TIFF keep 16 bits (of rgb, or of `like` if rgb is float), the others
    hold 8. JPEG (quality 95, 4:4:4), BMP and PPM have no alpha: the picture is laid on white, with a warning. BMP and
    PPM have no EXIF and no sRGB tag. WebP is lossless, because its lossy form halves the chroma.
    overwrite=False refuses a name that is taken. Returns the path. Raises FileNotFoundError for a missing folder, ValueError for anything else that
    stops it.

    >>> red = np.full((4, 6, 3), (255, 0, 0), np.uint8)
    >>> picture = open_image(save_image("red.png", red))
    >>> picture.size, (picture.rgb == red).all().item()
    ((6, 4), True)
    """
    if isinstance(rgb, Picture):
        rgb, like = rgb.rgb, like or rgb
    rgb, path = np.asarray(rgb), Path(path).expanduser()
    kind = WRITE_FORMATS.get(path.suffix.lower())
    if kind is None:
        raise ValueError(f"{path} does not end in a suffix that can be written: use {', '.join(WRITE_FORMATS)}.")
    if not os.path.isdir(path.parent):
        raise FileNotFoundError(f"The folder {path.parent} does not exist: create it first.")
    if os.path.exists(path) and not (overwrite and os.path.isfile(path)):
        raise ValueError(f"{path} exists already: choose another name.")
    depth = rgb.dtype if rgb.dtype.kind == "u" else like.rgb.dtype if like else np.dtype(np.uint8)
    depth = depth if kind in ("PNG", "TIFF") else np.dtype(np.uint8)
    rgb, alpha = split_channels(rgb, "rgb")
    if like is not None and like.rgb.shape != rgb.shape:
        raise ValueError(f"rgb is {rgb.shape[1::-1]} pixels but its source {like.size}: bring it to that size first.")
    alpha = like.alpha if alpha is None and like is not None else alpha
    rgb, alpha = _to_depth(rgb, depth), None if alpha is None else _to_depth(alpha, depth)[..., None]
    if alpha is not None and kind in ("PNG", "TIFF", "WEBP"):
        rgb = np.concatenate([rgb, alpha], -1)
    elif alpha is not None:
        warnings.warn(f"{path} cannot hold transparency, so it was laid on white: save PNG to keep it.", stacklevel=2)
        rgb = (255 - (255 - rgb.astype(np.float32)) * (alpha / np.float32(255))).round().astype(np.uint8)
    exif = like.exif if like is not None else b""
    if kind == "JPEG" and len(exif) > JPEG_EXIF_LIMIT:
        warnings.warn(f"{path} cannot hold {len(exif)} bytes of EXIF: save PNG to keep them.", stacklevel=2)
        exif = b""
    try:
        dpi = like.dpi if like is not None else None
        data = _encode_tiff(rgb, exif, dpi) if kind == "TIFF" else _encode(rgb, kind, exif, dpi)
    except (OSError, ValueError) as error:                     # such as WebP's limit of 16383 pixels a side
        raise ValueError(f"{path} cannot be written as {kind} ({error}): save it as PNG.") from error
    try:
        write_atomic(path, data)
    except OSError as error:
        raise ValueError(str(error)) from error
    return path


def _to_depth(values, depth):
    if values.dtype == depth:
        return values
    return values * np.uint16(257) if depth == np.uint16 else to_8bit(values)


def _srgb_profile():
    profile = ImageCms.ImageCmsProfile(SRGB).tobytes()
    return profile[:24] + bytes(12) + profile[36:]             # without its date: equal pictures are equal files


def _encode(rgb, kind, exif, dpi=None):
    if rgb.dtype == np.uint16:                                 # Pillow has no 16-bit colour
        extra = {cv2.IMAGE_METADATA_ICCP: _srgb_profile()} | ({cv2.IMAGE_METADATA_EXIF: exif[6:]} if exif else {})
        blocks = [np.frombuffer(block, np.uint8) for block in extra.values()]
        bgr = rgb[..., [2, 1, 0, 3][:rgb.shape[2]]]
        return _with_dpi(cv2.imencodeWithMetadata(".png", bgr, list(extra), blocks)[1].tobytes(), dpi)
    file = io.BytesIO()
    Image.fromarray(rgb).save(file, kind, icc_profile=_srgb_profile(), exif=exif, **({"dpi": dpi} if dpi else {}), **WRITE_OPTIONS.get(kind, {}))
    return file.getvalue()


def _with_dpi(png, dpi):
    """A PNG file with a chunk that says how many dots an inch it has, as the first after its header."""
    if not dpi:
        return png
    chunk = b"pHYs" + struct.pack(">IIB", *(round(one / 0.0254) for one in dpi), 1)      # dots a metre
    return png[:33] + struct.pack(">I", 9) + chunk + struct.pack(">I", zlib.crc32(chunk)) + png[33:]


def _encode_tiff(rgb, exif, dpi=None):
    """8 or 16 bits, one deflated strip. An EXIF block is a TIFF without pixels: the missing tags join its directory."""
    (height, width, channels), tags = rgb.shape, Image.Exif()
    if exif:
        tags.load(exif)
    tags.endian = tags.endian or "<"
    data = zlib.compress(rgb.astype(rgb.dtype.newbyteorder(tags.endian)).tobytes(), 1)
    tags.update({256: width, 257: height, 258: (8 * rgb.itemsize,) * channels, 259: 8, 262: 2, 273: 0, 277: channels,
                 278: height, 279: len(data), 284: 1, 34675: _srgb_profile()} | ({338: 2} if channels == 4 else {})
                | ({282: IFDRational(round(dpi[0], 2)), 283: IFDRational(round(dpi[1], 2)), 296: 2} if dpi else {}))
    return tags.tobytes()[6:] + data                           # Pillow counts StripOffsets from the end of the tags


def colorized_name(name):
    """cat.jpg -> cat_colorized.jpg; kinds of files that cannot be written become PNG. A path loses its folders, a name too long for a disk its end.

    >>> colorized_name("albums/cat.jpg"), colorized_name("scan.heic")
    ('cat_colorized.jpg', 'scan_colorized.png')
    """
    path = Path(str(name).replace("\\", "/"))
    ending = "_colorized" + (path.suffix if path.suffix.lower() in WRITE_FORMATS else ".png")
    stem = (path.stem or "photo").encode(errors="surrogateescape")[:NAME_BYTES - len(ending)]
    if len(stem) == NAME_BYTES - len(ending):                  # perhaps cut within a letter
        return stem.decode(errors="ignore") + ending
    return stem.decode(errors="surrogateescape") + ending


# ---------------------------------------------------------------- full size

def lightness(picture):
    """L of a `Picture`: `(H, W)` float32 in [0, 100], at full size and from all the bits it has.

    >>> L = lightness(open_image(np.uint8([[0, 128, 255]])))
    >>> L.shape, L.round().tolist()
    ((1, 3), [[0.0, 54.0, 100.0]])
    """
    rgb = picture.rgb
    if picture.is_gray:                                        # 256 or 65536 levels say it all
        levels = np.arange(np.iinfo(rgb.dtype).max + 1, dtype=rgb.dtype)
        return rgb_to_lab(np.stack([levels] * 3, -1))[:, 0][rgb[..., 0]]
    L = np.empty(rgb.shape[:2], np.float32)

    def convert(rows):
        L[rows] = rgb_to_lab(rgb[rows])[..., 0]
    _over_strips(L.shape, convert)
    return L


def model_input(L, size, multiple=8):
    """L at a network's size. L: `(H, W)` in [0, 100], or a `Picture`. Returns float32 `(1, 1, h, w)` in [0, 100].

    The shorter side becomes `size`, the longer one at most MAX_ASPECT times `size` (a panorama cannot exhaust memory),
    both rounded to `multiple`. Nothing is padded: the aspect is kept but for the rounding, and ab maps straight back. Raises ValueError for size < 1.

    >>> model_input(np.zeros((300, 400), np.float32), 224).shape, model_input(np.zeros((300, 4000), np.float32), 224).shape
    (torch.Size([1, 1, 224, 296]), torch.Size([1, 1, 64, 896]))
    """
    L = lightness(L) if isinstance(L, Picture) else L
    return shrink(_as_tensor(L)[None], size, multiple)


def shrink(planes, size, multiple=8):
    """Tensor `(C, H, W)` -> `(1, C, h, w)`, the size of `model_input`; for pictures that are not lightness, such as infrared. Raises ValueError for
    size < 1.

    >>> shrink(torch.zeros(3, 300, 400), 64).shape
    torch.Size([1, 3, 64, 88])
    """
    if not size >= 1:
        raise ValueError(f"A network cannot work at {size} pixels: give a working_size from 1 on.")
    height, width = planes.shape[-2:]
    scale = min(size / min(height, width), MAX_ASPECT * size / max(height, width))
    target = [max(multiple, round(side * scale / multiple) * multiple) for side in (height, width)]
    return F.interpolate(planes[None], size=target, mode="bilinear", antialias=True)


def line_art(L, small=None, sigma=1.0, drawing=None):
    """Line art of a picture, as TCVC makes its own: Canny's edges of the grey picture, inverted; float32 `(1, 1, h, w)`, lines 0 on paper 1.

    L: `(H, W)` in [0, 100]; small: L at the size lines are wanted, `(1, 1, h, w)`, by default L itself. sigma: of the blur before, in pixels. drawing:
    whether L is a drawing already, by default seen by `is_drawing`: then it is only stretched to [0, 1].

    >>> square = np.zeros((64, 64), np.float32); square[16:48, 16:48] = 90
    >>> art = line_art(square)
    >>> art.shape, art.unique().tolist(), art[0, 0, 32, 32].item()                       # lines are 0, paper is 1
    (torch.Size([1, 1, 64, 64]), [0.0, 1.0], 1.0)
    """
    small = _as_tensor(L)[None, None] if small is None else small
    if is_drawing(L) if drawing is None else drawing:
        return (small / max(float(np.percentile(L, 99)), 1.0)).clamp(0, 1).float()
    from skimage.feature import canny            # late: it takes half a second that colouring a photo does not need
    gray = gray_of(small.double())[0, 0].numpy()
    return torch.from_numpy(1 - canny(gray, sigma).astype(np.float32))[None, None]


def is_drawing(L):
    """Whether a picture is line art: at least 70 % of its pixels within 8 units of L of the brightest, which is light, and some dark ones. L: `(H, W)`.

    >>> paper = np.full((64, 64), 98.0); paper[::8] = 10                                 # black lines on white
    >>> is_drawing(paper), is_drawing(np.full((64, 64), 98.0))
    (True, False)
    """
    paper = float(np.percentile(L, 99))
    return paper > 70 and bool((L > paper - 8).mean() >= 0.7) and bool((L < paper - 30).any())


def without_color(rgb):
    """The grey picture of the same lightness: array `(H, W, 3)` uint8 -> the same.

    >>> without_color(np.uint8([[[255, 0, 0]]])).tolist()            # red has L 53.2
    [[[127, 127, 127]]]
    """
    return merge_chroma(rgb_to_lab(rgb)[..., 0], np.zeros((2, 1, 1), np.float32))


def merge_chroma(L, ab, method="guided", dtype=np.uint8):
    """Put small ab under full-size L. Returns rgb `(H, W, 3)` uint8 or uint16.

    L: `(H, W)` in [0, 100]; ab: `(2, h, w)` or `(1, 2, h, w)` in CIE units, of any size; method: "guided", or the plain
    "bicubic", "bilinear", "nearest". Colours outside sRGB lose chroma, never L. Constant ab stays exactly constant. Raises ValueError for other
    shapes, for ab that is not finite, and for another word.

    Guided: bicubic ab, plus the detail that only the full-size L has times the slope of ab on L nearby,
    cov(L, ab) / (var(L) + eps), as in the guided filter (He et al. 2013; slopes at low resolution: He and Sun 2015),
    kept within the range of the neighbours.

    Measured in PSNR (dB): the true ab of scikit-image's astronaut, coffee and chelsea / of 43 BSDS photos, shrunk and
    merged back.
        ab side  guided         bicubic        bilinear       nearest
        1/2      42.30 / 44.59  41.61 / 44.92  40.75 / 43.51  40.40 / 43.42
        1/4      38.93 / 40.06  38.23 / 39.77  37.63 / 38.90  37.05 / 38.44
        1/8      36.07 / 36.71  35.41 / 36.00  34.87 / 35.42  34.33 / 35.01
        1/16     33.45 / 33.97  32.74 / 33.13  32.26 / 32.67  31.82 / 32.41
    Guided wins, the more the smaller ab is (224 is about 1/13 of a 12-megapixel photo); only ab at half size, from
    photos whose JPEG had halved the chroma already, is better left to bicubic. At every size the guided filter in its
    own form, which averages offsets too, fell below bilinear, and a joint bilateral filter (Kopf et al. 2007) below
    this one.

    >>> L = np.full((300, 400), 50, np.float32)                                          # a grey picture, and ab from a network
    >>> rgb = merge_chroma(L, torch.tensor([60.0, 40]).view(2, 1, 1).expand(2, 28, 37))
    >>> rgb.shape, rgb.dtype, rgb[0, 0].tolist()
    ((300, 400, 3), dtype('uint8'), [217, 61, 54])
    """
    ab = torch.as_tensor(ab).detach().cpu().float()
    ab = ab[0] if ab.ndim == 4 and len(ab) == 1 else ab
    if L.ndim != 2 or ab.ndim != 3 or len(ab) != 2 or 0 in ab.shape or not ab.isfinite().all():
        raise ValueError(f"merge_chroma needs L (H, W) and finite ab (2, h, w): got {L.shape} and {tuple(ab.shape)}.")
    L = _as_tensor(L)
    rgb = np.empty((*L.shape, 3), dtype)

    def write(rows, full):
        color = _to_rgb(torch.cat([L[None, rows], full]))
        rgb[rows] = color.mul(np.iinfo(dtype).max).round().permute(1, 2, 0)
    _enlarge(L, ab, method, write)
    return rgb


def merge_picture(guide, rgb, method="guided", dtype=np.uint8):
    """A small painted picture at the size of the one it was painted from, with that one's detail: what `merge_chroma` is where the lightness is
    painted, too, as from infrared. guide: `(H, W)` in [0, 100]; rgb: `(3, h, w)` in [0, 1]. Returns rgb `(H, W, 3)` uint8 or uint16. Raises ValueError as
    `merge_chroma` does.

    method "guided": bicubic, plus DETAIL_GAIN times what the guide has beyond its own small copy, the same for red, green and blue; or the plain "bicubic",
    "bilinear", "nearest". A slope for each place, as `merge_chroma` takes, is no help where the lightness is a guess. Measured on 36 pairs of 256 px that
    were not trained on, painted at 128 px by a U-Net / the truth shrunk to 128 px (PSNR in dB, SSIM): bicubic 16.62, 0.518 / 30.53, 0.830; slopes 16.64,
    0.528 / 31.21, 0.847; gain 0.6 16.70, 0.570 / 31.10, 0.849; gain 1 16.69, 0.573 / 30.40, 0.822.

    >>> small = torch.tensor([1.0, 0.4, 0]).view(3, 1, 1).expand(3, 16, 24)
    >>> rgb = merge_picture(np.full((100, 150), 50, np.float32), small)
    >>> rgb.shape, rgb[0, 0].tolist()                                                    # an even guide has no detail to add
    ((100, 150, 3), [255, 102, 0])
    """
    rgb = torch.as_tensor(rgb).detach().cpu().float()
    if guide.ndim != 2 or rgb.ndim != 3 or len(rgb) != 3 or 0 in rgb.shape or not rgb.isfinite().all():
        raise ValueError(f"merge_picture needs a guide (H, W) and finite rgb (3, h, w): got {guide.shape} and {tuple(rgb.shape)}.")
    guide, large = _as_tensor(guide), np.empty((*guide.shape, 3), dtype)
    detail = DETAIL_GAIN / 100 * guide if method == "guided" else torch.zeros(()).expand_as(guide)
    small = F.interpolate(detail[None, None], size=rgb.shape[1:], mode="bilinear", antialias=True)[0]

    def write(rows, full):
        large[rows] = (full + detail[rows]).clamp(0, 1).mul(np.iinfo(dtype).max).round().permute(1, 2, 0)
    _enlarge(guide, rgb - small, "bicubic" if method == "guided" else method, write)
    return large


def _enlarge(L, planes, method, write):
    """Call write(rows, `(C, rows, W)`) for each strip of planes `(C, h, w)` at the size of L `(H, W)`; "guided" adds detail of L, see `merge_chroma`."""
    if method not in ("guided", *PLAIN):
        raise ValueError(f"method is {method!r}: choose guided, {', '.join(PLAIN[:-1])} or {PLAIN[-1]}.")
    mode, count = "bicubic" if method == "guided" else method, len(planes)
    center = (planes.amax((1, 2), keepdim=True) + planes.amin((1, 2), keepdim=True)) / 2      # so that constant planes stay exactly constant
    planes = planes - center
    layers = _guided_layers(L, planes) if method == "guided" else planes
    layers = layers @ _stretch(planes.shape[2], L.shape[1], mode).T                # (C', h, W)
    down = _stretch(planes.shape[1], L.shape[0], mode)                             # (H, h)

    def enlarge(rows):
        near = down[rows].any(0)                                                   # the few small rows this strip needs
        full = torch.einsum("yh,chx->cyx", down[rows][:, near], layers[:, near])   # (C', rows, W)
        if method == "guided":
            plane, slope, guide, low, high = full.split([count, count, 1, count, count])
            full = (plane + slope * (L[rows] - guide)).maximum(low).minimum(high)
        write(rows, full + center)
    _over_strips(L.shape, enlarge)


def _guided_layers(L, ab):
    """The planes the merge stretches: ab, its slopes on L, L, and the lowest and highest ab nearby. `(4 C + 1, h, w)`."""
    def mean(x):
        return F.avg_pool2d(x, 3, 1, 1, count_include_pad=False)
    guide = F.interpolate(L[None, None], size=ab.shape[1:], mode="bilinear", antialias=True)[0]
    variance = (mean(guide * guide) - mean(guide) ** 2).clamp_min(0)
    slope = mean((mean(guide * ab) - mean(guide) * mean(ab)) / (variance + GUIDE_EPS))
    return torch.cat([ab, slope, guide, -F.max_pool2d(-ab, 3, 1, 1), F.max_pool2d(ab, 3, 1, 1)])


def _stretch(small, large, mode):
    """The matrix `(large, small)` that resizes one axis; antialiased where it shrinks."""
    smooth = {} if mode == "nearest" else {"antialias": True}
    return F.interpolate(torch.eye(small)[None, None], size=(large, small), mode=mode, **smooth)[0, 0]


def _to_rgb(lab):
    """lab_to_rgb with the gamut map, whose bisection is paid only for the pixels that need it."""
    rgb = lab_to_rgb(lab, clip=False)
    outside = ((rgb < -GAMUT_TOLERANCE) | (rgb > 1 + GAMUT_TOLERANCE)).any(0)      # (rows, W)
    if outside.any():
        rgb[:, outside] = lab_to_rgb(map_to_gamut(lab[:, outside, None], GAMUT_STEPS)[0])[..., 0]
    return rgb.clamp(0, 1)


def _as_tensor(L):
    return torch.from_numpy(np.require(L, np.float32, ["C", "W"]))


def _over_strips(shape, work):
    """Call work(rows) for every strip; several at a time, each on one core: that all cores share each of the many small operations takes longer than one alone."""
    strips, threads = _strips(shape), torch.get_num_threads()
    if len(strips) == 1 or threads == 1:
        for rows in strips:
            work(rows)
        return
    with ThreadPoolExecutor(min(threads, len(strips)), initializer=torch.set_num_threads, initargs=(1,)) as pool:
        for _ in pool.map(work, strips):
            pass


def _strips(shape):
    height = max(1, STRIP_PIXELS // shape[1])
    return [slice(start, start + height) for start in range(0, shape[0], height)]
