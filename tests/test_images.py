"""Every picture a person may have, against pixels known from how the file was made; and the way back to full size."""
import io
import itertools
import os
import struct
import subprocess
import sys
import warnings
import zlib

import cv2
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image, ImageCms
from skimage import data

from colorlib import images
from colorlib.images import Picture, lightness, merge_chroma, model_input, open_image, save_image
from colorlib.lab import rgb_to_lab

random = np.random.default_rng(0)
RGB = random.integers(0, 256, (5, 7, 3), np.uint8)
RGB16 = random.integers(0, 65536, (5, 7, 3), np.uint16)
GRAY, GRAY16, ALPHA, ALPHA16 = RGB[..., 0], RGB16[..., 0], RGB[..., 1], RGB16[..., 1]
FLAT = np.full((16, 16, 3), (200, 90, 40), np.uint8)              # survives JPEG


def gray_rgb(gray):
    return np.repeat(gray[..., None], 3, -1)


# ---------------------------------------------------------------- making files

def encoded(array, kind, mode=None, **options):
    file = io.BytesIO()
    image = array if isinstance(array, Image.Image) else Image.fromarray(array)
    (image.convert(mode) if mode else image).save(file, kind, **options)
    return file.getvalue()


def opencv(array, suffix, *options):
    return cv2.imencode(suffix, array[..., [2, 1, 0, 3][:array.shape[2]]], options)[1].tobytes()


def png(samples, bits, color, key=None, interlaced=False, exif=b""):
    """A PNG written by hand, for the depths and layouts Pillow cannot write."""
    def chunk(kind, body):
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    def scanlines(part):
        flat = part.reshape(len(part), -1).astype(np.uint16)
        unpacked = np.unpackbits(flat.astype(">u2").view(np.uint8).reshape(*flat.shape, 2), axis=-1)[..., 16 - bits:]
        return b"".join(b"\0" + np.packbits(row.reshape(-1)).tobytes() for row in unpacked)
    adam7 = [(0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1)]
    passes = [samples[y::dy, x::dx] for y, x, dy, dx in adam7] if interlaced else [samples]
    header = struct.pack(">IIBBBBB", samples.shape[1], samples.shape[0], bits, color, 0, 0, interlaced)
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + (chunk(b"tRNS", key) if key else b"")
            + (chunk(b"eXIf", exif) if exif else b"")
            + chunk(b"IDAT", zlib.compress(b"".join(scanlines(part) for part in passes if part.size)))
            + chunk(b"IEND", b""))


def deep_png_with_profile(rgb, icc):
    blocks = [np.frombuffer(icc, np.uint8)]
    return cv2.imencodeWithMetadata(".png", rgb[..., ::-1], [cv2.IMAGE_METADATA_ICCP], blocks)[1].tobytes()


def profile(space, gamma, primaries=()):
    """A matrix or gray ICC v2 profile: `primaries` are the XYZ (D50) of red, green and blue."""
    def xyz(values):
        return b"XYZ \0\0\0\0" + struct.pack(">3i", *(round(v * 65536) for v in values))
    curve = b"curv\0\0\0\0" + struct.pack(">IH", 1, round(gamma * 256)) + b"\0\0"
    text = b"desc\0\0\0\0" + struct.pack(">I", 5) + b"test\0" + bytes(79)
    tags = {b"desc": text, b"cprt": b"text\0\0\0\0none\0\0\0\0", b"wtpt": xyz((0.9642, 1, 0.8249))}
    tags |= {b"kTRC": curve} if space == b"GRAY" else {
        **{name + b"XYZ": xyz(p) for name, p in zip((b"r", b"g", b"b"), primaries)}, b"rTRC": curve, b"gTRC": curve,
        b"bTRC": curve}
    table, body = struct.pack(">I", len(tags)), b""
    for name, value in tags.items():
        table += name + struct.pack(">II", 132 + 12 * len(tags) + len(body), len(value))
        body += value + bytes(-len(value) % 4)
    header = (struct.pack(">I4sI4s4s4s", 132 + 12 * len(tags) + len(body), b"lcms", 0x02100000, b"mntr", space, b"XYZ ")
              + bytes(12) + b"acsp" + bytes(28) + struct.pack(">3i", 63190, 65536, 54061))
    return header + bytes(128 - len(header)) + table + body


# XYZ (D50) of red, green and blue
ADOBE_XYZ = np.array([(0.60974, 0.31111, 0.01947), (0.20528, 0.62567, 0.06087), (0.14919, 0.06322, 0.74457)])
SRGB_XYZ = np.array([(0.43607, 0.22249, 0.01392), (0.38515, 0.71687, 0.09708), (0.14307, 0.06061, 0.71410)])
ADOBE = profile(b"RGB ", 563 / 256, ADOBE_XYZ)
GRAY_LINEAR = profile(b"GRAY", 1.0)


def srgb_encode(linear):
    return np.where(linear > 0.0031308, 1.055 * np.clip(linear, 1e-9, None) ** (1 / 2.4) - 0.055, 12.92 * linear)


MUTED = (RGB // 4 + 90).astype(np.uint8)                            # inside both gamuts
MUTED_FROM_ADOBE = srgb_encode((MUTED / 255) ** (563 / 256) @ ADOBE_XYZ @ np.linalg.inv(SRGB_XYZ)) * 255
GRAY_FROM_LINEAR = srgb_encode(GRAY / 255) * 255
INK = np.full((16, 16, 4), (40, 200, 120, 60), np.uint8)
INK_RGB = np.round((255 - INK[..., :3].astype(float)) * (255 - INK[..., 3:]) / 255)


def cmyk_jpeg(stored_inverted, transform=0, adobe=True):
    file = encoded(Image.fromarray(255 - stored_inverted, "CMYK"), "JPEG", quality=100, subsampling=0)
    at = file.index(b"\xff\xee")
    marker = file[at:at + 2 + struct.unpack(">H", file[at + 2:at + 4])[0]]
    return file.replace(marker, marker[:-1] + bytes([transform]) if adobe else b"")


def ycck_jpeg():
    ycc = np.array(Image.fromarray(INK[..., :3]).convert("YCbCr"))
    return cmyk_jpeg(np.dstack([ycc, 255 - INK[..., 3]]), transform=2)


def palette_png(**options):
    image = Image.fromarray(RGB).quantize(4)
    return encoded(image, "PNG", **options), np.array(image.convert("RGB"))


INDEX = np.array(Image.fromarray(RGB).quantize(4))
LOW = {bits: random.integers(0, 2 ** bits, (5, 7)) for bits in (1, 2, 4)}
FLOAT = RGB.astype(np.float32) / 255
FLOAT16 = np.round(FLOAT * 65535)
CASES = {     # name: (file, rgb, alpha or None, tolerance)
    "jpeg": (encoded(FLAT, "JPEG", quality=100), FLAT, None, 3),
    "jpeg gray": (encoded(FLAT[..., 0], "JPEG"), gray_rgb(FLAT[..., 0]), None, 1),
    "jpeg progressive": (encoded(FLAT, "JPEG", progressive=True), FLAT, None, 3),
    "jpeg cmyk": (cmyk_jpeg(255 - INK), INK_RGB, None, 3),
    "jpeg cmyk, not Adobe": (cmyk_jpeg(INK, adobe=False), INK_RGB, None, 3),
    "jpeg ycck": (ycck_jpeg(), INK_RGB, None, 4),
    "png": (encoded(RGB, "PNG"), RGB, None, 0),
    "png 1 bit": (png(LOW[1], 1, 0), gray_rgb(LOW[1] * 255), None, 0),
    "png 2 bit": (png(LOW[2], 2, 0), gray_rgb(LOW[2] * 85), None, 0),
    "png 4 bit": (png(LOW[4], 4, 0), gray_rgb(LOW[4] * 17), None, 0),
    "png 16 bit gray": (png(GRAY16, 16, 0), gray_rgb(GRAY16), None, 0),
    "png 16 bit rgb": (png(RGB16, 16, 2), RGB16, None, 0),
    "png 16 bit la": (png(np.dstack([GRAY16, ALPHA16]), 16, 4), gray_rgb(GRAY16), ALPHA16, 0),
    "png 16 bit rgba": (png(np.dstack([RGB16, ALPHA16]), 16, 6), RGB16, ALPHA16, 0),
    "png interlaced": (png(RGB, 8, 2, interlaced=True), RGB, None, 0),
    "png interlaced 16 bit": (png(RGB16, 16, 2, interlaced=True), RGB16, None, 0),
    "png la": (encoded(np.dstack([GRAY, ALPHA]), "PNG"), gray_rgb(GRAY), ALPHA, 0),
    "png rgba": (encoded(np.dstack([RGB, ALPHA]), "PNG"), RGB, ALPHA, 0),
    "png palette": (*palette_png(), None, 0),
    "png palette, one clear": (*palette_png(transparency=2), np.where(INDEX == 2, 0, 255), 0),
    "png palette, each alpha": (*palette_png(transparency=bytes([0, 80, 160, 255])),
        INDEX * np.uint8(80) + INDEX // 3 * 15, 0),
    "png gray key": (png(GRAY, 8, 0, struct.pack(">H", GRAY[1, 2])), gray_rgb(GRAY), (GRAY != GRAY[1, 2]) * 255, 0),
    "png rgb key": (png(RGB, 8, 2, struct.pack(">3H", *RGB[1, 2])), RGB, (RGB != RGB[1, 2]).any(-1) * 255, 0),
    "png 16 bit gray key": (png(GRAY16, 16, 0, struct.pack(">H", GRAY16[1, 2])), gray_rgb(GRAY16),
        (GRAY16 != GRAY16[1, 2]) * 65535, 0),
    "png 16 bit rgb key": (png(RGB16, 16, 2, struct.pack(">3H", *RGB16[1, 2])), RGB16,
        (RGB16 != RGB16[1, 2]).any(-1) * 65535, 0),
    **{f"png {bits} bit key": (png(LOW[bits], bits, 0, struct.pack(">H", LOW[bits][1, 2])),
        gray_rgb(LOW[bits] * (255 // (2 ** bits - 1))),
                               (LOW[bits] != LOW[bits][1, 2]) * 255, 0) for bits in LOW},
    "webp": (encoded(FLAT, "WEBP", quality=100), FLAT, None, 4),
    "webp lossless alpha": (encoded(np.dstack([RGB, ALPHA | 1]), "WEBP", lossless=True, exact=True), RGB, ALPHA | 1, 0),
    "tiff": (encoded(RGB, "TIFF"), RGB, None, 0),
    "tiff lzw": (encoded(RGB, "TIFF", compression="tiff_lzw"), RGB, None, 0),
    "tiff gray": (encoded(GRAY, "TIFF"), gray_rgb(GRAY), None, 0),
    "tiff 1 bit": (encoded(Image.fromarray(GRAY > 99), "TIFF", compression="group4"),
        gray_rgb((GRAY > 99) * 255), None, 0),
    "tiff rgba": (encoded(np.dstack([RGB, ALPHA]), "TIFF"), RGB, ALPHA, 0),
    "tiff cmyk": (encoded(Image.fromarray(INK, "CMYK"), "TIFF"), INK_RGB, None, 1),
    "tiff 16 bit gray": (encoded(GRAY16, "TIFF"), gray_rgb(GRAY16), None, 0),
    "tiff 16 bit, white is 0": (encoded(GRAY16, "TIFF", tiffinfo={262: 0}), gray_rgb(65535 - GRAY16), None, 0),
    "tiff 16 bit rgb": (opencv(RGB16, ".tif", cv2.IMWRITE_TIFF_COMPRESSION, 1), RGB16, None, 0),
    "tiff 16 bit rgb lzw": (opencv(RGB16, ".tif", cv2.IMWRITE_TIFF_COMPRESSION, 5), RGB16, None, 0),
    "tiff 16 bit rgba": (opencv(np.dstack([RGB16, ALPHA16]), ".tif"), RGB16, ALPHA16, 0),
    "tiff float gray": (encoded(FLOAT[..., 0], "TIFF"), gray_rgb(FLOAT16[..., 0]), None, 0),
    "tiff float rgb": (opencv(FLOAT, ".tif"), FLOAT16, None, 0),
    "tiff pages": (encoded(RGB, "TIFF", save_all=True, append_images=[Image.fromarray(RGB[::-1])]), RGB, None, 0),
    "gif frames": (encoded(Image.fromarray(GRAY), "GIF", save_all=True, append_images=[Image.fromarray(255 - GRAY)]),
        gray_rgb(GRAY), None, 0),
    "bmp": (encoded(RGB, "BMP"), RGB, None, 0),
    "bmp palette": (encoded(GRAY, "BMP"), gray_rgb(GRAY), None, 0),
    "ppm": (encoded(RGB, "PPM"), RGB, None, 0),
    "pgm": (encoded(GRAY, "PPM"), gray_rgb(GRAY), None, 0),
    "pbm": (encoded(Image.fromarray(GRAY > 99), "PPM"), gray_rgb((GRAY > 99) * 255), None, 0),
    "ppm 16 bit": (b"P6 7 5 65535\n" + RGB16.astype(">u2").tobytes(), RGB16, None, 0),
    "pgm 16 bit": (b"P5 7 5 65535\n" + GRAY16.astype(">u2").tobytes(), gray_rgb(GRAY16), None, 0),
    "ico": (encoded(np.dstack([FLAT, FLAT[..., 0]]), "ICO", sizes=[(16, 16)]), FLAT, FLAT[..., 0], 0),
    "jpeg 2000": (encoded(RGB, "JPEG2000", irreversible=False), RGB, None, 0),
    "profile Adobe RGB": (encoded(MUTED, "PNG", icc_profile=ADOBE), MUTED_FROM_ADOBE, None, 1.6),
    "profile Adobe RGB alpha": (encoded(np.dstack([MUTED, ALPHA]), "PNG", icc_profile=ADOBE),
        MUTED_FROM_ADOBE, ALPHA, 1.6),
    "profile Adobe RGB 16 bit": (deep_png_with_profile(MUTED * np.uint16(257), ADOBE), MUTED_FROM_ADOBE, None, 1.6),
    "profile sRGB 16 bit": (deep_png_with_profile(RGB16, images._srgb_profile()), RGB16, None, 0),
    "profile gray": (encoded(GRAY, "PNG", icc_profile=GRAY_LINEAR), gray_rgb(GRAY_FROM_LINEAR), None, 1.6),
    "profile gray 16 bit": (encoded(GRAY * np.uint16(257), "TIFF", icc_profile=GRAY_LINEAR),
        gray_rgb(GRAY_FROM_LINEAR * 257), None, 400),
    "profile sRGB": (encoded(RGB, "PNG", icc_profile=images._srgb_profile()), RGB, None, 0),
    "profile of colour on gray": (encoded(GRAY, "PNG", icc_profile=profile(b"RGB ", 1.0, SRGB_XYZ)),
        gray_rgb(GRAY_FROM_LINEAR), None, 1.6),
    "profile of gray on colour": (encoded(RGB, "PNG", icc_profile=GRAY_LINEAR), RGB, None, 0),
    "profile broken": (encoded(RGB, "PNG", icc_profile=ADOBE[:200]), RGB, None, 0),
    "profile junk": (encoded(RGB, "PNG", icc_profile=b"junk"), RGB, None, 0),
}


# ---------------------------------------------------------------- open

@pytest.mark.parametrize("name", CASES)
def test_opens_every_kind_of_file(name, tmp_path):
    content, rgb, alpha, tolerance = CASES[name]
    path = tmp_path / "photo.jpg"                                   # the name says nothing: content decides
    path.write_bytes(content)
    picture = open_image(path)
    assert picture.rgb.shape == rgb.shape and picture.rgb.dtype in (np.uint8, np.uint16) and picture.path == str(path)
    assert np.abs(picture.rgb.astype(float) - rgb).max() <= tolerance
    assert (picture.alpha is None) == (alpha is None)
    if alpha is not None:
        assert picture.alpha.dtype == picture.rgb.dtype and (picture.alpha == alpha).all()


UNTURN = dict(zip(range(2, 9), (Image.Transpose.FLIP_LEFT_RIGHT, Image.Transpose.ROTATE_180,
                                Image.Transpose.FLIP_TOP_BOTTOM, Image.Transpose.TRANSPOSE, Image.Transpose.ROTATE_90,
                                Image.Transpose.TRANSVERSE, Image.Transpose.ROTATE_270)))
STEPS = np.kron(np.array([[0, 60, 120], [240, 180, 30]], np.uint8), np.ones((16, 16), np.uint8))       # no symmetry


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "PNG 16", "TIFF 16"])
def test_applies_every_exif_turn(kind, orientation, tmp_path):
    image = Image.fromarray(gray_rgb(STEPS))
    stored = image.transpose(UNTURN[orientation]) if orientation > 1 else image
    exif = Image.Exif()
    exif[0x0112] = orientation
    deep = np.array(stored).astype(np.uint16) * 257
    if kind == "PNG 16":
        content = png(deep, 16, 2, exif=exif.tobytes()[6:])
    else:
        content = images._encode_tiff(deep, exif.tobytes()) if kind == "TIFF 16" else encoded(stored, kind, exif=exif)
    picture = open_image(content)
    assert np.abs(picture.rgb / (257.0 if "16" in kind else 1) - gray_rgb(STEPS)).max() < 6
    path = save_image(tmp_path / "again.png", picture)              # turned once, and not once more
    assert Image.open(path).getexif().get(0x0112, 1) == 1 and (open_image(path).rgb == picture.rgb).all()


@pytest.mark.parametrize("source, expected", [
    (RGB, RGB), (GRAY, gray_rgb(GRAY)), (GRAY[..., None], gray_rgb(GRAY)), (RGB16, RGB16),
    (GRAY > 99, gray_rgb((GRAY > 99) * 255)),
    (RGB16.astype(">u2"), RGB16), (FLOAT, FLOAT16), (FLOAT.astype(np.float64), FLOAT16),
    (RGB[::-1, ::-1], RGB[::-1, ::-1]),
    (torch.from_numpy(RGB).permute(2, 0, 1), RGB), (torch.from_numpy(FLOAT).permute(2, 0, 1), FLOAT16),
    (torch.from_numpy(GRAY)[None], gray_rgb(GRAY)),
    (Image.fromarray(RGB), RGB), (Image.fromarray(GRAY16), gray_rgb(GRAY16)),
    (Image.fromarray(RGB).convert("HSV").convert("RGB"), None),
    (io.BytesIO(encoded(RGB, "PNG")), RGB), (encoded(RGB, "PNG"), RGB)])
def test_opens_arrays_tensors_and_images(source, expected):
    picture = open_image(source)
    assert expected is None or (picture.rgb == expected).all()
    assert open_image(picture) is picture and picture.size == (7, 5)
    assert picture.is_gray == (picture.rgb == picture.rgb[..., :1]).all()


def test_keeps_its_own_copy_and_alpha_of_arrays():
    array = np.dstack([RGB, ALPHA])
    picture = open_image(array)
    array[:] = 0
    assert (picture.rgb == RGB).all() and (picture.alpha == ALPHA).all()
    assert (open_image(np.dstack([GRAY16, ALPHA16])).alpha == ALPHA16).all()


@pytest.mark.parametrize("shape", [(1, 1), (1, 20000), (20000, 1), (3, 2001)])
def test_opens_every_size(shape):
    array = random.integers(0, 256, (*shape, 3), np.uint8)
    assert (open_image(encoded(array, "PNG")).rgb == array).all()


PLANAR = encoded(GRAY16, "TIFF", tiffinfo={284: 2})
RAW_CAMERA = encoded(RGB, "TIFF", tiffinfo={0xC612: b"\1\4\0\0"})
BAD_FILES = {   # name: (content, what the sentence must say)
    "empty": (b"", "is empty"), "text": (b"a shopping list", "is not a picture"),
    "html": (b"<!DOCTYPE html><p>404", "is a web page"),
    "svg": (b'<?xml version="1.0"?><svg xmlns="x">', "is an SVG"),
    "heic": (b"\0\0\0\x18ftypheic" + bytes(40), "is a HEIC"),
    "mp4": (b"\0\0\0\x18ftypisom" + bytes(40), "is a video"), "mkv": (b"\x1aE\xdf\xa3" + bytes(40), "is a video"),
    "pdf": (b"%PDF-1.7", "is a PDF"), "noise": (random.bytes(500), "is not a picture"),
    "header only": (encoded(RGB, "PNG")[:20], "is damaged"),
    "raw": (RAW_CAMERA, "camera raw"), "planar": (PLANAR, "separate planes"),
    "int32": (encoded(GRAY.astype(np.int32), "TIFF"), "int32"),
    "float range": (encoded(GRAY.astype(np.float32), "TIFF"), "scale floats"),
    "nan": (encoded(GRAY.astype(np.float32) * np.nan, "TIFF"), "NaN"),
    "bomb": (png(GRAY, 8, 0).replace(struct.pack(">II", 7, 5), struct.pack(">II", 60000, 60000)), "damaged|pixels")}


@pytest.mark.parametrize("name", BAD_FILES)
def test_bad_file_gives_one_sentence(name, tmp_path):
    content, message = BAD_FILES[name]
    path = tmp_path / "photo.png"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=message) as caught:
        open_image(path)
    assert str(caught.value).startswith(str(path)) and str(caught.value).endswith(".") and "\n" not in str(caught.value)


PHOTO = data.coffee()[:120, :160]
WHOLE = {"jpeg": encoded(PHOTO, "JPEG"), "png": encoded(PHOTO, "PNG"), "webp": encoded(PHOTO, "WEBP"),
        "tiff": encoded(PHOTO, "TIFF"),
         "gif": encoded(PHOTO, "GIF"), "bmp": encoded(PHOTO, "BMP"), "ppm": encoded(PHOTO, "PPM"),
         "png 16": opencv(PHOTO.astype(np.uint16) * 257, ".png"),
         "tiff 16": opencv(PHOTO.astype(np.uint16) * 257, ".tif")}


@pytest.mark.parametrize("kind, part", [*itertools.product(WHOLE, (0.02, 0.3, 0.6, 0.97))])
def test_cut_file_is_refused(kind, part):
    assert open_image(WHOLE[kind]).size == (160, 120)
    with pytest.raises(ValueError, match="damaged|cut short|not a picture"):
        open_image(WHOLE[kind][:int(part * len(WHOLE[kind]))])


@pytest.mark.parametrize("source, error, message", [
    ("nowhere.png", FileNotFoundError, "nowhere.png does not exist"), (".", ValueError, "is a folder"),
    ("https://x.org/a.png", ValueError, "web address"),
    (None, ValueError, "NoneType"), (3, ValueError, "int"), (io.StringIO("x"), ValueError, "gives text"),
    (RGB.astype(int), ValueError, "int64 values"),
    (RGB.astype(np.float32), ValueError, "values from 0 to 2"), (FLOAT + np.inf, ValueError, "NaN or infinite"),
    (-FLOAT, ValueError, "scale floats"),
    (RGB.transpose(2, 0, 1), ValueError, "has shape"), (np.zeros((0, 4, 3), np.uint8), ValueError, "has shape"),
    (np.zeros(5, np.uint8), ValueError, "has shape"),
    (torch.zeros(1, 3, 4, 4), ValueError, "has shape")])
def test_bad_source_gives_one_sentence(source, error, message):
    with pytest.raises(error, match=message) as caught:
        open_image(source)
    assert str(caught.value).endswith(".")


def test_pixel_limit_replaces_pillows(monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert open_image(WHOLE["png"]).size == (160, 120)
        with pytest.raises(ValueError, match=r"160 x 120 pixels.*max_pixels"):
            open_image(WHOLE["png"], max_pixels=19199)
    assert Image.MAX_IMAGE_PIXELS == 10


# ---------------------------------------------------------------- save

def exif_block(order):
    """An EXIF block by hand: Artist, Orientation 6, GPS, maker note, size, and a thumbnail with a turn of its own."""
    def entry(tag, kind, count, value):
        if not isinstance(value, bytes):
            value = struct.pack(order + "HH", value, 0) if kind == 3 else struct.pack(order + "I", value)
        return struct.pack(order + "HHI", tag, kind, count) + value

    def directory(entries, after=0):
        return struct.pack(order + "H", len(entries)) + b"".join(entries) + struct.pack(order + "I", after)
    main, exif, gps, thumb, artist, note = 8, 100, 200, 230, 300, 310
    block = bytearray(400)
    block[:8] = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(order + "I", main)
    parts = {main: directory([entry(0x0112, 3, 1, 6), entry(0x013B, 2, 5, artist), entry(0x8769, 4, 1, exif),
                              entry(0x8825, 4, 1, gps)], thumb),
             exif: directory([entry(0x927C, 7, 20, note), entry(0xA001, 3, 1, 65535), entry(0xA002, 4, 1, 48),
                              entry(0xA003, 3, 1, 32)]),
             gps: directory([entry(1, 2, 2, b"N\0\0\0")]), thumb: directory([entry(0x0112, 3, 1, 6)]),
             artist: b"Anna\0", note: b"maker, offset 310 .."}
    for at, part in parts.items():
        block[at:at + len(part)] = part
    return b"Exif\0\0" + bytes(block)


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".tif"])
def test_exif_survives(suffix, order, tmp_path):
    source = open_image(encoded(gray_rgb(STEPS), "JPEG", exif=exif_block(order)))
    assert source.size == (32, 48)
    path = save_image(tmp_path / ("turned" + suffix), source.rgb, like=source)
    with Image.open(path) as image:
        exif = image.getexif()
        assert image.size == (32, 48) and exif.get(0x0112, 1) == 1
        assert exif[0x013B] == "Anna" and exif.get_ifd(0x8825)[1] == "N"
        details = exif.get_ifd(0x8769)
        assert (details[0xA002], details[0xA003], details[0xA001]) == (32, 48, 1)
        assert details[0x927C] == b"maker, offset 310 .."
        assert not exif.get_ifd(1)                                  # the thumbnail showed the old picture, on its side
        if suffix != ".tif":                                        # the maker note is in its place: inner offsets hold
            assert image.info["exif"].removeprefix(b"Exif\0\0")[310:330] == b"maker, offset 310 .."
    again = open_image(path)
    assert np.abs(again.rgb.astype(int) - source.rgb).max() <= (3 if suffix == ".jpg" else 0) and b"Anna" in again.exif


def test_tiff_notes_become_exif(tmp_path):
    notes = {315: "Anna", 306: "1911:01:02 03:04:05"}
    source = open_image(encoded(RGB, "TIFF", tiffinfo=notes, compression="tiff_lzw"))
    with Image.open(save_image(tmp_path / "a.jpg", source)) as image:
        assert dict(image.getexif()) == notes


@pytest.mark.parametrize("block", [b"", b"Exif\0\0", b"Exif\0\0junk", b"Exif\0\0II*\0\xff\xff\xff\xff",
        exif_block("<")[:60], bytes(80)])
def test_damaged_exif_does_not_spoil_the_picture(block, tmp_path):
    source = open_image(encoded(FLAT, "JPEG", exif=block) if block else FLAT)
    assert source.size == (16, 16) and open_image(save_image(tmp_path / "a.jpg", source)).size == (16, 16)


@pytest.mark.parametrize("suffix, deep", [(".png", True), (".tif", True), (".TIFF", True), (".webp", False),
        (".bmp", False), (".ppm", False)])
@pytest.mark.parametrize("rgb", [RGB, RGB16], ids=["8 bit", "16 bit"])
def test_lossless_round_trip(rgb, suffix, deep, tmp_path):
    path = save_image(tmp_path / ("a" + suffix), rgb)
    again = open_image(path)
    expected = rgb if deep or rgb.dtype == np.uint8 else np.round(rgb / 257)
    assert (again.rgb == expected).all() and again.alpha is None
    assert again.rgb.dtype == (rgb.dtype if deep else np.uint8)
    if suffix not in (".bmp", ".ppm"):
        assert ImageCms.getProfileDescription(ImageCms.ImageCmsProfile(io.BytesIO(again.icc))).startswith("sRGB")
    assert path.read_bytes() == save_image(tmp_path / ("b" + suffix), rgb).read_bytes()


@pytest.mark.parametrize("suffix", [".png", ".tif", ".webp"])
@pytest.mark.parametrize("like", [Picture(RGB, ALPHA), Picture(RGB16, ALPHA16)], ids=["8 bit", "16 bit"])
def test_alpha_survives(like, suffix, tmp_path):
    again = open_image(save_image(tmp_path / ("a" + suffix), like.rgb, like))
    alpha = like.alpha if again.rgb.dtype == like.rgb.dtype else np.round(like.alpha / 257)
    assert (again.alpha == alpha).all()


def test_jpeg_lays_transparency_on_white_and_says_so(tmp_path):
    with pytest.warns(UserWarning, match="laid on white"):
        path = save_image(tmp_path / "a.jpg", FLAT, Picture(FLAT, np.full((16, 16), 51, np.uint8)))
    assert np.abs(open_image(path).rgb - (255 - (255 - FLAT.astype(float)) / 5)).max() < 3


def test_jpeg_keeps_full_chroma(tmp_path):
    stripes = np.zeros((32, 32, 3), np.uint8)
    stripes[:, ::2] = (220, 40, 40)
    stripes[:, 1::2] = (40, 40, 220)
    assert np.abs(open_image(save_image(tmp_path / "a.jpg", stripes)).rgb.astype(int) - stripes).max() < 16


def test_float_follows_the_depth_of_its_source(tmp_path):
    assert open_image(save_image(tmp_path / "a.png", FLOAT)).rgb.dtype == np.uint8
    assert (open_image(save_image(tmp_path / "b.png", FLOAT, Picture(RGB16))).rgb == FLOAT16).all()


@pytest.mark.parametrize("name, rgb, like, error, message", [
    ("a.xyz", RGB, None, ValueError, "suffix"), ("a", RGB, None, ValueError, "suffix"),
    ("a.gif", RGB, None, ValueError, "suffix"),
    ("no/a.png", RGB, None, FileNotFoundError, "does not exist: create it"),
    ("a.png", RGB, Picture(FLAT), ValueError, "bring it to that size"),
    ("old.png", RGB, None, ValueError, "exists already"), ("a.png", FLOAT * 300, None, ValueError, "scale floats"),
    ("a.webp", np.zeros((2, 17000, 3), np.uint8), None, ValueError, "cannot be written as WEBP")])
def test_save_gives_one_sentence(name, rgb, like, error, message, tmp_path):
    (tmp_path / "old.png").write_bytes(b"old")
    with pytest.raises(error, match=message) as caught:
        save_image(tmp_path / name, rgb, like, overwrite=False)
    assert str(caught.value).endswith(".") and os.listdir(tmp_path) == ["old.png"]


def test_failed_write_leaves_the_old_file(tmp_path, monkeypatch):
    (tmp_path / "a.png").write_bytes(b"old")

    def full_disk(_):
        raise OSError(28, "No space left on device")
    monkeypatch.setattr(os, "fsync", full_disk)
    with pytest.raises(ValueError, match="No space left on device"):
        save_image(tmp_path / "a.png", RGB)
    assert os.listdir(tmp_path) == ["a.png"] and (tmp_path / "a.png").read_bytes() == b"old"
    monkeypatch.undo()
    assert (open_image(save_image(tmp_path / "a.png", RGB)).rgb == RGB).all() and os.listdir(tmp_path) == ["a.png"]


# ---------------------------------------------------------------- full size

@pytest.mark.parametrize("rgb", [RGB, RGB16, gray_rgb(GRAY), gray_rgb(GRAY16)],
        ids=["rgb", "rgb 16", "gray", "gray 16"])
def test_lightness_is_that_of_lab(rgb):
    L = lightness(Picture(rgb))
    assert L.dtype == np.float32 and np.allclose(L, rgb_to_lab(rgb)[..., 0], atol=1e-4)


@pytest.mark.parametrize("shape, size, multiple, expected", [
    ((300, 400), 224, 8, (224, 296)), ((400, 300), 224, 32, (288, 224)), ((64, 64), 224, 8, (224, 224)),
    ((1, 1), 64, 8, (64, 64)),
    ((1, 20000), 224, 8, (8, 896)), ((20000, 1), 64, 16, (256, 16)), ((2001, 3), 64, 8, (256, 8))])
def test_model_input_size(shape, size, multiple, expected):
    x = model_input(np.full(shape, 37.0, np.float32), size, multiple)
    assert x.shape == (1, 1, *expected) and x.dtype == torch.float32 and torch.allclose(x, torch.tensor(37.0))


def test_model_input_averages_what_it_drops():
    checks = np.indices((512, 512)).sum(0) % 2 * np.float32(100)
    assert (model_input(checks, 64) - 50).abs().max() < 3                    # a plain bilinear resize returns stripes
    assert torch.equal(model_input(Picture(RGB), 16), model_input(lightness(Picture(RGB)), 16))


METHODS = ["guided", "bicubic", "bilinear", "nearest"]


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("shape, small", [((1, 1), (8, 8)), ((3, 2001), (8, 40)), ((2001, 3), (40, 8)),
        ((97, 131), (28, 40)), ((5, 7), (5, 7))])
def test_constant_chroma_stays_constant(shape, small, method):
    L = random.uniform(45, 60, shape).astype(np.float32)
    ab = torch.tensor([12.3, -7.7])[:, None, None].expand(2, *small)
    expected = images.lab_to_rgb(np.dstack([L, np.full(shape, 12.3, np.float32), np.full(shape, -7.7, np.float32)]))
    assert (merge_chroma(L, ab, method, np.uint16) == (expected * 65535).round()).all()


@pytest.mark.parametrize("method", METHODS)
def test_lightness_is_kept(method):
    L = lightness(open_image(data.coffee()))
    ab = torch.randn(2, 20, 30, generator=torch.Generator().manual_seed(0)) * 40            # many are outside sRGB
    rgb = merge_chroma(L, ab[None], method)
    drift = np.abs(lightness(Picture(rgb)) - L)
    assert rgb.shape == (*L.shape, 3) and rgb.dtype == np.uint8 and drift.mean() < 0.15 and drift.max() < 1


def test_gray_without_chroma_comes_back_bit_for_bit():
    for levels in (np.arange(256, dtype=np.uint8).reshape(16, 16), np.arange(65536, dtype=np.uint16).reshape(256, 256)):
        merged = merge_chroma(lightness(Picture(gray_rgb(levels))), torch.zeros(2, 8, 8), dtype=levels.dtype)
        assert np.abs(merged.astype(int) - gray_rgb(levels)).max() <= (0 if levels.dtype == np.uint8 else 8)


def edge_scene(angle, size=240, factor=12):
    """A straight edge in L with another colour on either side, and the same ab shrunk."""
    y, x = np.indices((size, size)) - size / 2 + 0.5
    side = (np.cos(angle) * x + np.sin(angle) * y > 2.3)
    L = np.where(side, 70, 40).astype(np.float32)
    ab = torch.from_numpy(np.where(side, np.array([[[20]], [[30]]]), np.array([[[10]], [[-30]]])).astype(np.float32))
    return L, ab, F.interpolate(ab[None], scale_factor=1 / factor, mode="bilinear", antialias=True)[0]


@pytest.mark.parametrize("angle", [0.0, 0.4, 1.2])
def test_guided_chroma_does_not_bleed_over_edges(angle):
    L, ab, small = edge_scene(angle)
    truth = ab.permute(1, 2, 0).numpy()
    error = {method: np.abs(rgb_to_lab(merge_chroma(L, small, method, np.uint16))[..., 1:] - truth).mean()
             for method in METHODS}
    assert error["guided"] < 0.6 * min(error["bicubic"], error["bilinear"], error["nearest"]), error


def test_guided_beats_the_plain_methods_on_a_photo():
    photo = data.astronaut()
    ab = torch.from_numpy(rgb_to_lab(photo)[..., 1:]).permute(2, 0, 1)[None]
    small = F.interpolate(ab, size=(64, 64), mode="bilinear", antialias=True)
    L = lightness(open_image(photo))
    error = {method: np.square(merge_chroma(L, small, method) / 255 - photo / 255).mean() for method in METHODS}
    assert error["guided"] < 0.9 * error["bicubic"] < error["bilinear"] < error["nearest"]


@pytest.mark.parametrize("method", METHODS)
def test_strips_do_not_show(method, monkeypatch):
    L = lightness(open_image(PHOTO))
    ab = torch.randn(2, 16, 24, generator=torch.Generator().manual_seed(1)) * 20
    whole = merge_chroma(L, ab, method, np.uint16).astype(int)
    monkeypatch.setattr(images, "STRIP_PIXELS", 7 * L.shape[1])
    assert np.abs(merge_chroma(L, ab, method, np.uint16) - whole).max() <= 12
    assert (lightness(open_image(PHOTO)) == L).all()


@pytest.mark.parametrize("L, ab, method, message", [
    (np.zeros((4, 4, 1)), torch.zeros(2, 2, 2), "guided", "needs L"),
    (np.zeros((4, 4)), torch.zeros(3, 2, 2), "guided", "needs L"),
    (np.zeros((4, 4)), torch.full((2, 2, 2), torch.nan), "guided", "finite ab"),
    (np.zeros((4, 4)), torch.zeros(2, 2, 2), "magic", "'magic'")])
def test_merge_gives_one_sentence(L, ab, method, message):
    with pytest.raises(ValueError, match=message):
        merge_chroma(L, ab, method)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="ru_maxrss is in other units elsewhere")
def test_twelve_megapixels_need_little_memory(tmp_path):
    script = """
import resource, numpy as np, torch
from colorlib.images import *
torch.set_num_threads(1)
x = np.linspace(0, 255, 4000, dtype=np.uint8)
save_image("big.jpg", np.stack([np.broadcast_to(x, (3000, 4000))] * 3, -1))
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
picture = open_image("big.jpg")
L = lightness(picture)
ab = torch.nn.functional.interpolate(torch.randn(1, 2, 7, 9), size=model_input(L, 224).shape[2:], mode="bicubic") * 12
save_image("out.jpg", merge_chroma(L, ab), like=picture)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before, open_image("out.jpg").size)
"""
    done = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True,
                          env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "OMP_NUM_THREADS": "1"})
    assert done.returncode == 0, done.stderr
    grown, size = done.stdout.split(" ", 1)
    assert size.strip() == "(4000, 3000)" and int(grown) < 600 * 1024


@pytest.mark.parametrize("depth", [np.uint8, np.uint16])
@pytest.mark.parametrize("suffix", [".png", ".tif", ".jpg"])
def test_dots_an_inch_stay(tmp_path, suffix, depth):
    """A scan prints at the size it had."""
    Image.new("L", (30, 20), 90).save(tmp_path / "scan.png", dpi=(600, 300))
    picture = images.open_image(tmp_path / "scan.png")
    assert picture.dpi == pytest.approx((600, 300), abs=0.1)
    rgb = np.random.default_rng(0).integers(0, 255, (20, 30, 3)).astype(depth)
    path = images.save_image(tmp_path / f"coloured{suffix}", rgb, like=picture)
    assert Image.open(path).info["dpi"] == pytest.approx((600, 300), abs=0.1)
    assert images.open_image(path).dpi == pytest.approx((600, 300), abs=0.1) and images.open_image(path).rgb.shape == (20, 30, 3)


def test_dots_an_inch_that_are_none(tmp_path):
    Image.new("RGB", (30, 20)).save(tmp_path / "plain.jpg")
    assert images.open_image(tmp_path / "plain.jpg").dpi is None
    path = images.save_image(tmp_path / "plain.png", np.zeros((20, 30, 3), np.uint8), like=images.open_image(tmp_path / "plain.jpg"))
    assert "dpi" not in Image.open(path).info
    exif = Image.Exif()
    exif[0x0112] = 6                                             # lies on its side
    Image.new("RGB", (30, 20)).save(tmp_path / "turned.jpg", dpi=(600, 300), exif=exif)
    assert images.open_image(tmp_path / "turned.jpg").size == (20, 30) and images.open_image(tmp_path / "turned.jpg").dpi == (300, 600)
