"""Pictures nobody wishes for: every container and layout that `tests/test_images.py` leaves out, and damaged, lying and endless files.

Each gives the right picture, or one sentence that begins with the file's name; nothing is printed, nothing hangs, nothing takes 2 GiB.
"""
import hashlib
import io
import json
import lzma
import os
import pickle
import re
import socket
import struct
import subprocess
import sys
import time
import warnings
import zlib
from functools import lru_cache
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
import torch
from PIL import Image, ImageCms, PngImagePlugin
from skimage import data

import colorlib
from colorlib import __main__ as cli
from colorlib import albums, images, painting, zoo
from colorlib.images import reading
from colorlib.images.damage import PNG_MAGIC
from colorlib.files import printable
from colorlib.hints import Hint, HintSet, as_hints
from colorlib.images import open_image, save_image
from tests.fuzz import fuzz_open_image
from tests.test_images import (ADOBE, ALPHA, ALPHA16, FLAT, FLOAT, GRAY, GRAY16, INK, INK_RGB, MUTED, MUTED_FROM_ADOBE, RGB, RGB16, encoded, gray_rgb, opencv,
                               png)
from tests.test_main import workshop  # noqa: F401

HEIGHT, WIDTH = GRAY.shape
random = np.random.default_rng(12)


# ---------------------------------------------------------------- containers written by hand

def tiff(samples, photometric, order="<", big=False, planar=1, tile=None, kind=1, bits=None, packed=None, extra=None, rows=None, pack=None, more=()):
    """A TIFF. samples: `(H, W, C)`; kind: 1 unsigned, 2 signed, 3 float; tile: its side; rows: of a strip; packed: the pixels' bytes where a sample has
    not whole ones; extra: what the channels beyond colour are; pack: (number, function) of a compression; more: {tag: (type, values)}."""
    height, width, channels = samples.shape
    bits = bits or 8 * samples.itemsize
    planes = [samples[..., i:i + 1] for i in range(channels)] if planar == 2 else [samples]
    pieces = []
    for plane in planes:
        if tile:
            padded = np.pad(plane, ((0, -height % tile), (0, -width % tile), (0, 0)))
            pieces += [padded[y:y + tile, x:x + tile] for y in range(0, height, tile) for x in range(0, width, tile)]
        else:
            pieces += [plane[y:y + (rows or height)] for y in range(0, height, rows or height)]
    pieces = [packed] if packed else [piece.astype(piece.dtype.newbyteorder(order)).tobytes() for piece in pieces]
    pieces = [pack[1](piece) for piece in pieces] if pack else pieces
    long, size = ("Q", 16) if big else ("I", 4)
    where, lengths = (324, 325) if tile else (273, 279)
    tags = {256: (4, [width]), 257: (4, [height]), 258: (3, [bits] * channels), 259: (3, [pack[0] if pack else 1]), 262: (3, [photometric]),
        277: (3, [channels]), 284: (3, [planar]),
            where: (size, [0] * len(pieces)), lengths: (size, list(map(len, pieces))), 339: (3, [kind] * channels)} | dict(more)
    tags |= {322: (3, [tile]), 323: (3, [tile])} if tile else {278: (4, [rows or height])}
    tags |= {} if extra is None else {338: (3, list(extra))}
    layout = {1: "B", 2: "B", 3: "H", 4: "I", 5: "I", 13: "I", 16: "Q"}
    head, entry, inline = (16, 20, 8) if big else (8, 12, 4)
    after = head + (8 if big else 2) + entry * len(tags) + (8 if big else 4)
    spare = after + sum(len(values) * struct.calcsize(layout[kind]) for kind, values in tags.values())
    at = list(np.cumsum([spare, *map(len, pieces)])[:-1])
    tags[where] = size, [int(x) for x in at]
    table, body = b"", b""
    for tag, (kind, values) in sorted(tags.items()):
        data = struct.pack(f"{order}{len(values)}{layout[kind]}", *values)
        if len(data) > inline:
            data, body = struct.pack(order + long, after + len(body)), body + data
        table += struct.pack(f"{order}HH{long}", tag, kind, len(values)) + data.ljust(inline, b"\0")
    magic = (b"II" if order == "<" else b"MM") + (struct.pack(order + "HHHQ", 43, 8, 0, 16) if big else struct.pack(order + "HI", 42, 8))
    file = magic + struct.pack(order + ("Q" if big else "H"), len(tags)) + table + bytes(8 if big else 4) + body
    return file.ljust(spare, b"\0") + b"".join(pieces)


def bmp(pixels, bits, compression=0, size=(WIDTH, HEIGHT), masks=b"", palette=b""):
    """A BMP of a BITMAPINFOHEADER, masks (compression 3; with alpha in a BITMAPV4HEADER), palette and pixels that are bytes already."""
    header = struct.pack("<IiiHHIIiiII", 108 if len(masks) > 12 else 40, *size, 1, bits, compression, len(pixels), 0, 0, len(palette) // 4, 0)
    header += masks + (bytes(52) if len(masks) > 12 else b"") + palette
    return b"BM" + struct.pack("<IHHI", 14 + len(header) + len(pixels), 0, 0, 14 + len(header)) + header + pixels


def rows_of(array):
    """Rows from the bottom up, each filled to four bytes."""
    return b"".join(row.tobytes() + bytes(-row.nbytes % 4) for row in array[::-1])


def gif(indices, palette, screen=None, at=(0, 0), clear=None, background=0, again=b""):
    """A GIF of one frame at a place of its screen; codes of 9 bits, which fewer than 250 pixels never outgrow."""
    height, width = indices.shape
    codes = np.array([256, *indices.ravel(), 257], np.uint16)
    stream = np.packbits((codes[:, None] >> np.arange(9) & 1).astype(np.uint8).ravel(), bitorder="little").tobytes()
    colors = np.zeros((256, 3), np.uint8)
    colors[:len(palette)] = palette
    control = b"" if clear is None else struct.pack("<4BHBB", 0x21, 0xF9, 4, 1, 0, clear, 0)
    frame = struct.pack("<B4HB", 0x2C, *at, width, height, 0) + b"\x08" + bytes([len(stream)]) + stream + b"\0"
    return b"GIF89a" + struct.pack("<2H3B", *(screen or (width, height)), 0xF7, background, 0) + colors.tobytes() + control + frame + again + b";"


def psd(planes, mode, colors=b"", depth=8):
    """A PSD of raw planes `(C, H, W)` without layers."""
    return (b"8BPS" + struct.pack(">H6xHIIHH", 1, *planes.shape, depth, mode) + struct.pack(">I", len(colors)) + colors + bytes(8) + b"\0\0"
            + planes.astype(planes.dtype.newbyteorder(">")).tobytes())


def ico(*pictures):
    """An ICO of files, each (side, content)."""
    at, table, body = 6 + 16 * len(pictures), b"", b""
    for side, content in pictures:
        table += struct.pack("<4BHHII", side, side, 0, 0, 1, 32, len(content), at + len(body))
        body += content
    return struct.pack("<3H", 0, 1, len(pictures)) + table + body


def encoded_by_ffmpeg(codec, array, pixel_format):
    encoder = av.CodecContext.create(codec, "w")
    encoder.height, encoder.width, encoder.pix_fmt, encoder.time_base = *array.shape[:2], pixel_format, 1
    encoder.color_range = 2
    frame = av.VideoFrame.from_ndarray(array, format="rgb24" if array.ndim == 3 else "gray").reformat(format=pixel_format, dst_color_range=2)
    return b"".join(bytes(packet) for packet in [*encoder.encode(frame), *encoder.encode(None)])


def lossless(deep):
    return cv2.imencode(".jp2", deep[..., ::-1], [cv2.IMWRITE_JPEG2000_COMPRESSION_X1000, 1000])[1].tobytes()


def small_chroma(jpeg2000):
    content = bytearray(jpeg2000)
    content[content.index(b"\xff\x4f\xff\x51") + 46] = 2       # the step across of the second channel
    return bytes(content)


def jpeg_with(after_soi, file=None):
    file = file or encoded(FLAT, "JPEG", quality=100)
    return file[:2] + after_soi + file[2:]


def segment(marker, body):
    return struct.pack(">BBH", 0xFF, marker, len(body) + 2) + body


INDEX8 = np.array(Image.fromarray(RGB).quantize(8))
COLORS8 = np.array(Image.fromarray(RGB).quantize(8).getpalette()[:24], np.uint8).reshape(-1, 3)
FROM_INDEX = COLORS8[INDEX8]
PALETTE_TAG = {320: (3, [int(x) * 257 for x in np.pad(COLORS8, ((0, 248), (0, 0))).T.ravel()])}
BGR0 = np.dstack([RGB[..., ::-1], 0 * GRAY])
RGB565 = (RGB >> 3 << 3 | RGB >> 5) * np.uint8([1, 0, 1]) + (RGB >> 2 << 2 | RGB >> 6) * np.uint8([0, 1, 0])
WORD565 = (RGB[..., 0].astype(np.uint16) >> 3 << 11) | (RGB[..., 1].astype(np.uint16) >> 2 << 5) | (RGB[..., 2] >> 3)
RGB555 = RGB >> 3 << 3 | RGB >> 5
WORD555 = (RGB[..., 0].astype(np.uint16) >> 3 << 10) | (RGB[..., 1].astype(np.uint16) >> 3 << 5) | (RGB[..., 2] >> 3)
BMP_PALETTE = b"".join(bytes([*color[::-1], 0]) for color in COLORS8.tolist())
RLE8 = b"".join(b"".join(bytes([1, i]) for i in row) + b"\0\0" for row in INDEX8[::-1].tolist()) + b"\0\1"
YCC = np.array(Image.fromarray(FLAT).convert("YCbCr"))
PREMULTIPLIED = (RGB.astype(np.uint16) * ALPHA[..., None] + 127) // 255
LINES = b"\n".join(b" ".join(b"%d" % x for x in row) for row in RGB.reshape(HEIGHT, -1).tolist())
LAB_WHITE = np.dstack([np.full((16, 16), x, np.uint8) for x in (255, 0, 0)])
deflate = 8, zlib.compress
WHITES = np.linspace(65000, 65535, 64 * 64 * 3).reshape(64, 64, 3).astype(np.uint16)
DEEP64 = np.kron(RGB16, np.ones((13, 10, 1), np.uint16))

CONTAINERS = {     # name: (file, rgb, alpha or None, tolerance), or (file, a word of the sentence) for what is refused
    "tiff big-endian": (tiff(RGB, 2, ">"), RGB, None, 0),
    "bigtiff": (tiff(RGB, 2, big=True), RGB, None, 0),
    "bigtiff big-endian 16 bit": (tiff(RGB16, 2, ">", big=True), RGB16, None, 0),
    "bigtiff big-endian gray": (tiff(GRAY[..., None], 1, ">", big=True, pack=deflate), gray_rgb(GRAY), None, 0),
    "bigtiff big-endian rgba": (tiff(np.dstack([RGB, ALPHA]), 2, ">", big=True, extra=[2]), "rare kind"),
    "bigtiff big-endian gray alpha": (tiff(np.dstack([GRAY, ALPHA]), 1, ">", big=True, extra=[2]), "rare kind"),
    "tiff planar": (tiff(RGB, 2, planar=2), RGB, None, 0),
    "tiff planar deflated": (tiff(RGB, 2, planar=2, pack=deflate), RGB, None, 0),
    "tiff planar rgba": (tiff(np.dstack([RGB, ALPHA]), 2, planar=2, extra=[2]), RGB, ALPHA, 0),
    "tiff planar 16 bit": (tiff(RGB16, 2, planar=2), "separate planes"),
    "tiff tiled": (tiff(RGB, 2, tile=16), RGB, None, 0),
    "tiff tiled deflated": (tiff(RGB, 2, tile=16, pack=deflate), RGB, None, 0),
    "tiff tiled planar": (tiff(RGB, 2, tile=16, planar=2), RGB, None, 0),
    "tiff tiled 16 bit": (tiff(RGB16, 2, tile=16), RGB16, None, 0),
    "tiff tiled gray 16 bit": (tiff(GRAY16[..., None], 1, tile=16), gray_rgb(GRAY16), None, 0),
    "tiff a strip a row": (tiff(RGB, 2, rows=1), RGB, None, 0),
    "tiff a strip a row, deflated 16 bit": (tiff(RGB16, 2, rows=2, pack=deflate), RGB16, None, 0),
    "tiff palette": (tiff(INDEX8[..., None], 3, more=PALETTE_TAG), FROM_INDEX, None, 0),
    "tiff white is 0": (tiff(GRAY[..., None], 0), gray_rgb(255 - GRAY), None, 0),
    "tiff gray alpha": (tiff(np.dstack([GRAY, ALPHA]), 1, extra=[2]), gray_rgb(GRAY), ALPHA, 0),
    "tiff gray alpha, premultiplied": (tiff(np.dstack([(GRAY.astype(np.uint16) * ALPHA + 127) // 255, ALPHA]).astype(np.uint8), 1, extra=[1]), gray_rgb(GRAY),
        ALPHA, 200),
    "tiff gray 16 bit big-endian": (tiff(GRAY16[..., None], 1, ">"), gray_rgb(GRAY16), None, 0),
    "tiff gray 12 bit": (tiff((GRAY16 >> 4)[..., None], 1, bits=12,
        packed=b"".join(np.packbits((row[:, None] >> np.arange(11, -1, -1) & 1).astype(np.uint8).ravel()).tobytes()
                         for row in GRAY16 >> 4)), gray_rgb(GRAY16 >> 4) * (65535 / 4095), None, 16),
    "tiff gray 4 bit": (tiff((GRAY >> 4)[..., None], 1, bits=4,
        packed=b"".join(np.packbits((row[:, None] >> np.arange(3, -1, -1) & 1).astype(np.uint8).ravel()).tobytes()
                        for row in GRAY >> 4)), gray_rgb((GRAY >> 4) * np.uint8(17)), None, 0),
    "tiff rgba, premultiplied": (tiff(np.dstack([PREMULTIPLIED, ALPHA]).astype(np.uint8), 2, extra=[1]), RGB, ALPHA, 200),
    "tiff rgbx": (tiff(np.dstack([RGB, ALPHA]), 2, extra=[0]), RGB, None, 0),
    "tiff rgbx 16 bit": (tiff(np.dstack([RGB16, ALPHA16]), 2, extra=[0]), RGB16, None, 0),
    "tiff rgba 16 bit": (tiff(np.dstack([RGB16, ALPHA16]), 2, extra=[2]), RGB16, ALPHA16, 0),
    "tiff rgba 16 bit, premultiplied": (tiff(np.dstack([PREMULTIPLIED, ALPHA]) * np.uint16(257), 2, extra=[1]), RGB * np.uint16(257), ALPHA * np.uint16(257),
        200 * 257),
    "tiff cmyk 16 bit": (tiff(INK * np.uint16(257), 5), INK_RGB, None, 1),
    "tiff ycbcr": (tiff(YCC, 6), FLAT, None, 4),
    "tiff lab": (tiff(LAB_WHITE, 8), np.full((16, 16, 3), 255), None, 2),
    "tiff signed 8 bit": (tiff(GRAY[..., None].view(np.int8), 1, kind=2), "int"),
    "tiff signed 16 bit": (tiff(GRAY16[..., None].view(np.int16), 1, kind=2), "int"),
    "tiff signed 32 bit": (tiff(GRAY[..., None].astype(np.int32), 1, kind=2), "int32"),
    "tiff 32 bit": (tiff(GRAY[..., None].astype(np.uint32), 1), "int32"),
    "tiff rgb 32 bit": (tiff(RGB.astype(np.uint32), 2), "rare kind"),
    "tiff rgb signed 16 bit": (tiff(RGB16.view(np.int16), 2, kind=2), "rare kind"),
    "tiff double": (tiff(FLOAT[..., :1].astype(np.float64), 1, kind=3), gray_rgb(np.round(FLOAT[..., 0] * 65535)), None, 0),
    "tiff rgb double": (tiff(FLOAT.astype(np.float64), 2, kind=3), np.round(FLOAT * 65535), None, 0),
    "tiff float big-endian deflated": (tiff(FLOAT[..., :1], 1, ">", kind=3, pack=deflate), gray_rgb(np.round(FLOAT[..., 0] * 65535)), None, 0),
    "tiff float big-endian, lzma": (tiff(FLOAT[..., :1], 1, ">", kind=3, pack=(34925, lzma.compress)), "big-endian floats"),
    "tiff rgb float big-endian": (tiff(FLOAT, 2, ">", kind=3), np.round(FLOAT * 65535), None, 0),
    "tiff half floats": (tiff(FLOAT.astype(np.float16), 2, kind=3), "kind"),
    "tiff float cmyk": (tiff(np.dstack([FLOAT, FLOAT[..., 0]]), 5, kind=3), "kind"),
    "tiff float lab": (tiff(FLOAT, 8, kind=3), "kind"),
    "tiff lab 16 bit": (tiff(RGB16, 8), "kind"),
    "tiff rgb nan": (tiff(np.where(FLOAT > 0.5, np.nan, FLOAT).astype(np.float32), 2, kind=3), "NaN"),
    "tiff rgb inf": (tiff(np.where(FLOAT > 0.5, np.inf, FLOAT).astype(np.float32), 2, kind=3), "infinite"),
    "tiff five channels": (tiff(np.dstack([RGB, ALPHA, ALPHA]), 2, extra=[2, 0]), RGB, ALPHA, 0),
    "tiff 16 bit gray and alpha": (tiff(np.dstack([GRAY16, ALPHA16]), 1, extra=[2]), "kind"),
    "tiff ink names, 2 channels": (tiff(np.dstack([GRAY, ALPHA]), 5), "kind"),

    "png 16 bit alpha profile": (cv2.imencodeWithMetadata(".png", (np.dstack([MUTED[..., ::-1], ALPHA]) * np.uint16(257)), [cv2.IMAGE_METADATA_ICCP],
                                 [np.frombuffer(ADOBE, np.uint8)])[1].tobytes(), MUTED_FROM_ADOBE, ALPHA, 1.6),
    "png palette 2 bit": (encoded(Image.fromarray(RGB).quantize(4), "PNG", bits=2), np.array(Image.fromarray(RGB).quantize(4).convert("RGB")), None, 0),
    "apng": (encoded(Image.fromarray(RGB), "PNG", save_all=True, append_images=[Image.fromarray(RGB[::-1])]), RGB, None, 0),
    "apng, still picture apart": (encoded(Image.fromarray(RGB), "PNG", save_all=True, default_image=True,
        append_images=[Image.fromarray(RGB[::-1]), Image.fromarray(GRAY).convert("RGB")]),
                                  RGB, None, 0),
    "png in a jpeg's name": (png(RGB, 8, 2), RGB, None, 0),

    "jpeg restart markers": (encoded(FLAT, "JPEG", quality=100, restart_marker_blocks=1), FLAT, None, 3),
    "jpeg trailing junk": (encoded(FLAT, "JPEG", quality=100) + random.bytes(3000), FLAT, None, 3),
    "jpeg trailing picture": (encoded(FLAT, "JPEG", quality=100) + encoded(255 - FLAT, "JPEG"), FLAT, None, 3),
    "jpeg with a thumbnail": (jpeg_with(segment(0xE1, b"Thumb\0" + encoded(255 - FLAT, "JPEG"))), FLAT, None, 3),
    "jpeg two starts": (b"\xff\xd8" + encoded(FLAT, "JPEG", quality=100), "damaged"),
    "jpeg fill bytes": (jpeg_with(b"\xff\xff\xff"), FLAT, None, 3),
    "jpeg no end": (encoded(FLAT, "JPEG", quality=100)[:-2], "cut short"),
    "jpeg 4:2:0 optimized": (encoded(FLAT, "JPEG", quality=95, subsampling=2, optimize=True), FLAT, None, 4),
    "jpeg rgb": (encoded(Image.fromarray(FLAT), "JPEG", quality=100, keep_rgb=True), FLAT, None, 3),
    "jpeg 12 bit": (encoded(FLAT, "JPEG").replace(b"\x08\x00\x10\x00\x10", b"\x0c\x00\x10\x00\x10"), "."),
    "jpeg cmyk profile": (encoded(Image.fromarray(INK, "CMYK"), "JPEG", quality=100, icc_profile=ADOBE), INK_RGB, None, 4),
    "mpo": (encoded(Image.fromarray(FLAT), "MPO", save_all=True, append_images=[Image.fromarray(255 - FLAT)], quality=100), FLAT, None, 3),
    "jpeg lossless": (encoded_by_ffmpeg("ljpeg", FLAT, "bgr24"), "."),
    "jpeg-ls": (encoded_by_ffmpeg("jpegls", FLAT, "rgb24"), "rare kind"),

    "webp animated": (encoded(Image.fromarray(FLAT), "WEBP", save_all=True, lossless=True, append_images=[Image.fromarray(255 - FLAT)]), FLAT, None, 0),
    "webp profile": (encoded(MUTED, "WEBP", lossless=True, icc_profile=ADOBE), MUTED_FROM_ADOBE, None, 1.6),
    "webp lossy alpha": (encoded(np.dstack([FLAT, FLAT[..., 0]]), "WEBP", quality=100), FLAT, FLAT[..., 0], 5),
    "avif": (encoded(FLAT, "AVIF", quality=100), FLAT, None, 3),
    "avif alpha": (encoded(np.dstack([FLAT, FLAT[..., 0]]), "AVIF", quality=100), FLAT, FLAT[..., 0], 3),
    "avif sequence": (encoded(Image.fromarray(FLAT), "AVIF", quality=100, save_all=True, append_images=[Image.fromarray(255 - FLAT)]), FLAT, None, 3),

    "gif": (gif(INDEX8, COLORS8), FROM_INDEX, None, 0),
    "gif one clear": (gif(INDEX8, COLORS8, clear=2), FROM_INDEX, (INDEX8 != 2) * 255, 0),
    "gif frame off the corner": (gif(INDEX8, COLORS8, screen=(WIDTH + 3, HEIGHT + 2), at=(2, 1)), np.pad(FROM_INDEX, ((1, 1), (2, 1), (0, 0))), None, 255),
    "gif frame beyond its screen": (gif(INDEX8, COLORS8, screen=(3, 3)), FROM_INDEX, None, 0),
    "gif interlaced": (encoded(Image.fromarray(RGB).quantize(8), "GIF", interlace=1), FROM_INDEX, None, 0),

    "bmp 32 bit": (bmp(rows_of(BGR0), 32), RGB, None, 0),
    "bmp 32 bit alpha": (bmp(rows_of(np.dstack([RGB[..., ::-1], ALPHA])), 32, 3, masks=struct.pack("<4I", 0xFF0000, 0xFF00, 0xFF, 0xFF000000)), RGB, ALPHA, 0),
    "bmp 16 bit": (bmp(rows_of(WORD555), 16), RGB555, None, 1),
    "bmp 16 bit 565": (bmp(rows_of(WORD565), 16, 3, masks=struct.pack("<3I", 0xF800, 0x7E0, 0x1F)), RGB565, None, 1),
    "bmp top-down": (bmp(rows_of(np.ascontiguousarray(RGB[::-1, :, ::-1])), 24, size=(WIDTH, -HEIGHT)), RGB, None, 0),
    "bmp rle": (bmp(RLE8, 8, 1, palette=BMP_PALETTE), FROM_INDEX, None, 0),
    "bmp 4 bit": (bmp(rows_of(np.array([[a << 4 | b for a, b in zip(row[::2], [*row[1::2], 0])] for row in INDEX8.tolist()], np.uint8)), 4,
        palette=BMP_PALETTE), FROM_INDEX, None, 0),
    "ico several": (ico((8, encoded(np.full((8, 8, 3), 9, np.uint8), "PNG")), (16, encoded(np.dstack([FLAT, FLAT[..., 0]]), "PNG"))), FLAT, FLAT[..., 0], 0),

    "psd": (psd(np.moveaxis(RGB, -1, 0), 3), RGB, None, 0),
    "psd gray": (psd(GRAY[None], 1), gray_rgb(GRAY), None, 0),
    "psd palette": (psd(INDEX8[None], 2, np.pad(COLORS8, ((0, 248), (0, 0))).T.tobytes()), FROM_INDEX, None, 0),
    "psd cmyk": (psd(np.moveaxis(255 - INK, -1, 0), 4), INK_RGB, None, 1),
    "psd rgba": (psd(np.moveaxis(np.dstack([RGB, ALPHA]), -1, 0), 3), RGB, ALPHA, 0),
    "psd 16 bit": (psd(np.moveaxis(RGB16, -1, 0), 3, depth=16), "."),
    "psd lab": (psd(np.moveaxis(LAB_WHITE.astype(np.uint8) + np.uint8([0, 128, 128]), -1, 0), 9), np.full((16, 16, 3), 255), None, 2),

    "ppm as text": (b"P3\n# a comment\n7 5\n255\n" + LINES, RGB, None, 0),
    "pgm as text": (b"P2 7 5 255\n" + b" ".join(b"%d" % x for x in GRAY.ravel().tolist()), gray_rgb(GRAY), None, 0),
    "pbm as text": (b"P1 7 5\n" + b"".join(b"%d" % x for x in (GRAY < 100).ravel().tolist()), gray_rgb((GRAY >= 100) * 255), None, 0),
    "pgm 10 bit": (b"P5 7 5 1023\n" + (GRAY16 >> 6).astype(">u2").tobytes(), gray_rgb(GRAY16 >> 6) * (65535 / 1023), None, 1),
    "ppm 10 bit": (b"P6 7 5 1023\n" + (RGB16 >> 6).astype(">u2").tobytes(), (RGB16 >> 6) * (65535 / 1023), None, 1),
    "ppm up to 100": (b"P6 7 5 100\n" + (RGB % 101).tobytes(), (RGB % 101) * 2.55, None, 1),
    "pam": (b"P7\nWIDTH 7\nHEIGHT 5\nDEPTH 4\nMAXVAL 255\nTUPLTYPE RGB_ALPHA\nENDHDR\n" + np.dstack([RGB, ALPHA]).tobytes(), "."),
    "pfm": (b"Pf\n7 5\n-1.0\n" + FLOAT[::-1, :, 0].tobytes(), gray_rgb(np.round(FLOAT[..., 0] * 65535)), None, 0),
    "pfm nan": (b"Pf\n7 5\n-1.0\n" + (FLOAT[..., 0] * np.nan).tobytes(), "NaN"),
    "pfm rgb": (b"PF\n7 5\n-1.0\n" + FLOAT[::-1].tobytes(), "."),

    "jpeg 2000 gray": (encoded(GRAY, "JPEG2000", irreversible=False), gray_rgb(GRAY), None, 0),
    "jpeg 2000 alpha": (encoded(np.dstack([RGB, ALPHA]), "JPEG2000", irreversible=False), RGB, ALPHA, 0),
    "jpeg 2000 gray alpha": (encoded(np.dstack([GRAY, ALPHA]), "JPEG2000", irreversible=False), gray_rgb(GRAY), ALPHA, 0),
    "jpeg 2000 gray 16 bit": (encoded(GRAY16, "JPEG2000", irreversible=False), gray_rgb(GRAY16), None, 0),
    "jpeg 2000 16 bit": (lossless(DEEP64), DEEP64, None, 0),
    "jpeg 2000 white of 16 bit": (lossless(WHITES), WHITES, None, 0),
    "jpeg 2000 10 bit": (encoded_by_ffmpeg("jpeg2000", np.full((80, 70, 3), 255, np.uint8), "gbrp10le"),
                         np.full((80, 70, 3), round(1020 / 1023 * 65535)), None, 0),
    "jpeg 2000 small chroma": (small_chroma(encoded(RGB, "JPEG2000", irreversible=False)), "YCC"),
    "jpeg 2000 stream": (encoded(RGB, "JPEG2000", irreversible=False, no_jp2=True), RGB, None, 0),

    "dds": (b"DDS " + bytes(124) + bytes(64), "not a picture of a kind"),
    "tga": (encoded(RGB, "TGA"), "not a picture of a kind"),
    "qoi": (b"qoif" + struct.pack(">IIBB", 7, 5, 3, 0) + bytes(40), "not a picture of a kind"),
    "svg without a prolog": (b"  <svg xmlns='http://www.w3.org/2000/svg'/>", "SVG"),
    "postscript": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n", "PostScript"),
    "eps": (encoded(RGB, "EPS"), "PostScript"),
    "xhtml": (b"\xef\xbb\xbf<?xml version='1.0'?>\n<html xmlns='x'><body>404</body></html>", "web page"),
    "json": (b'{"error": "not found"}', "not a picture"),
    "zip": (b"PK\3\4" + random.bytes(300), "not a picture"),
    "gzip": (b"\x1f\x8b\x08" + random.bytes(300), "not a picture"),
    "git-lfs pointer": (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 12345\n", "LFS"),
    "mp4": (b"\0\0\0\x20ftypmp42" + bytes(400), "video"), "mov": (b"\0\0\0\x14ftypqt  " + bytes(400), "video"),
    "avi": (b"RIFF\x10\0\0\0AVI LIST" + bytes(90), "video"),
    "wav": (b"RIFF\x10\0\0\0WAVEfmt " + bytes(90), "not a picture"),
    "heif": (b"\0\0\0\x18ftypmif1" + bytes(80), "HEIC"), "jpeg xl": (b"\0\0\0\x0cJXL \r\n\x87\n" + bytes(80), "JPEG XL"),
    "jpeg xl stream": (b"\xff\x0a" + bytes(80), "JPEG XL"),
    "exr": (b"\x76\x2f\x31\x01" + bytes(80), "not a picture"), "radiance": (b"#?RADIANCE\nFORMAT=32-bit_rle_rgbe\n\n-Y 5 +X 7\n" + bytes(200), "not a picture"),
    "numpy": (b"\x93NUMPY\1\0" + bytes(200), "not a picture"), "one byte": (b"\xff", "not a picture"), "zeros": (bytes(10_000), "not a picture"),
}


# ---------------------------------------------------------------- how a file is opened here

def sentence_of(error, name):
    """Checks that an exception is one sentence that begins with a name; returns it."""
    sentence = str(error)
    assert type(error) in (ValueError, FileNotFoundError) and sentence.startswith(name) and sentence.endswith("."), repr(error)
    assert sentence.isprintable() and len(sentence) < 400 + len(name), sentence
    return sentence


@pytest.fixture
def open_quietly(capfd, recwarn):
    """Opens as `open_image` does, in less than ten seconds, and gives the picture or the sentence; nothing may be printed, also by libraries in C, and
    nothing warned of."""
    def attempt(source, name="The picture in memory", **options):
        start = time.perf_counter()
        try:
            found = open_image(source, **options)
            assert found.rgb.dtype in (np.uint8, np.uint16) and found.rgb.shape[2] == 3 and found.rgb.flags.c_contiguous
        except (ValueError, OSError) as error:
            found = sentence_of(error, name)
        assert time.perf_counter() - start < 10 and capfd.readouterr() == ("", "") and not recwarn.list
        return found
    return attempt


def count(tally, found):
    tally(inputs=1, **{"sentences" if isinstance(found, str) else "right_pictures": 1})


# ---------------------------------------------------------------- containers

@pytest.mark.parametrize("name", CONTAINERS)
def test_every_container(name, tmp_path, open_quietly, tally):
    content, *expected = CONTAINERS[name]
    path = tmp_path / "photo.jpg"                                   # whatever it is, it calls itself a JPEG
    path.write_bytes(content)
    found = open_quietly(path, str(path))
    if len(expected) == 1:
        assert isinstance(found, str) and expected[0] in found
    else:
        rgb, alpha, tolerance = expected
        assert not isinstance(found, str) and found.rgb.shape == rgb.shape and np.abs(found.rgb.astype(float) - rgb).max() <= tolerance
        assert (found.alpha is None) == (alpha is None)
        assert alpha is None or found.alpha.dtype == found.rgb.dtype and np.abs(found.alpha.astype(float) - alpha).max() <= 2
    count(tally, found)


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "RGBA", "CMYK", "YCbCr", "LAB", "HSV", "I", "F", "LA", "PA", "RGBX", "RGBa", "La", "I;16", "I;16B",
    "I;16L"])
def test_every_mode_of_pillow(mode, open_quietly, tally):
    """In every mode the picture, or a sentence where nobody knows which number is white."""
    through = {"La": "LA", "RGBa": "RGBA", "I;16B": "I;16", "I;16L": "I;16"}.get(mode)
    image = Image.fromarray(GRAY16) if mode.startswith("I;16") else Image.fromarray(FLAT)
    if mode == "LAB":
        image = ImageCms.applyTransform(image, ImageCms.buildTransform(ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"), "RGB", "LAB"))
    elif not mode.startswith("I;16"):
        image = (image.quantize(4) if mode in ("P", "PA") else image.convert(through) if through else image).convert(mode)
    found = open_quietly(image, "The PIL image")
    if mode in "IF":
        assert "scale floats" in found if mode == "F" else "int32" in found
    elif mode == "I;16":
        assert (found.rgb == gray_rgb(GRAY16)).all()
    elif not isinstance(found, str) and mode not in ("1", "I;16B", "I;16L"):
        true = FLAT if mode not in ("L", "La", "LA") else gray_rgb(np.full((16, 16), 118, np.uint8))
        assert np.abs(found.rgb.astype(float) - true).max() <= 4
    count(tally, found)


# ---------------------------------------------------------------- mutated files

PHOTO = data.coffee()[60:156, 100:228]
PIL, SMALL = Image.fromarray(PHOTO), Image.fromarray(PHOTO).resize((64, 64))
OTHER = [Image.fromarray(PHOTO[::-1])]
WHOLE = {
    "jpeg": encoded(PHOTO, "JPEG"), "jpeg progressive": encoded(PHOTO, "JPEG", progressive=True),
    "jpeg with restarts": encoded(PHOTO, "JPEG", restart_marker_rows=1),
    "mpo": encoded(PIL, "MPO", save_all=True, append_images=OTHER),
    "png": encoded(PHOTO, "PNG"), "png interlaced": png(PHOTO, 8, 2, interlaced=True), "png 16 bit": opencv(PHOTO.astype(np.uint16) * 257, ".png"),
    "png palette": encoded(PIL.quantize(64), "PNG"),
    "webp": encoded(PHOTO, "WEBP"), "webp lossless": encoded(PHOTO, "WEBP", lossless=True),
    "webp animated": encoded(PIL, "WEBP", save_all=True, append_images=OTHER),
    "tiff": encoded(PHOTO, "TIFF"), "tiff lzw": encoded(PHOTO, "TIFF", compression="tiff_lzw"),
    "tiff deflate": encoded(PHOTO, "TIFF", compression="tiff_adobe_deflate"),
    "tiff jpeg": encoded(PHOTO, "TIFF", compression="jpeg"), "tiff packbits": encoded(PHOTO, "TIFF", compression="packbits"),
    "tiff group 4": encoded(Image.fromarray(PHOTO[..., 0] > 99), "TIFF", compression="group4"),
    "tiff strips": tiff(PHOTO, 2, rows=8), "tiff tiles, deflate": tiff(PHOTO, 2, tile=32, pack=deflate), "tiff planar": tiff(PHOTO, 2, planar=2),
    "bigtiff": tiff(PHOTO, 2, big=True),
    "tiff 16 bit": tiff(PHOTO.astype(np.uint16) * 257, 2, tile=32), "tiff 16 bit, deflate": tiff(PHOTO.astype(np.uint16) * 257, 2, rows=8, pack=deflate),
    "tiff float": tiff(PHOTO.astype(np.float32) / 255, 2, kind=3),
    "gif": encoded(PIL.quantize(64), "GIF"), "gif animated": encoded(PIL.quantize(64), "GIF", save_all=True, append_images=[OTHER[0].quantize(64)]),
    "bmp": encoded(PHOTO, "BMP"), "ppm": encoded(PHOTO, "PPM"), "ppm 10 bit": b"P6 128 96 1023\n" + (PHOTO.astype(">u2") * 4).tobytes(),
    "pfm": b"Pf\n128 96\n-1.0\n" + (PHOTO[::-1, :, 0] / np.float32(255)).tobytes(), "psd": psd(np.moveaxis(PHOTO, -1, 0), 3),
    "ico": encoded(SMALL, "ICO", sizes=[(64, 64)]), "ico bmp": encoded(SMALL, "ICO", sizes=[(64, 64)], bitmap_format="bmp"),
    "jpeg 2000": encoded(PHOTO, "JPEG2000", irreversible=False), "jpeg 2000 stream": encoded(PHOTO, "JPEG2000", no_jp2=True), "avif": encoded(PHOTO, "AVIF")}
CHECKED = ("jpeg", "jpeg with restarts", "mpo", "png", "png interlaced", "png 16 bit", "png palette", "tiff deflate", "tiff tiles, deflate",
           "tiff 16 bit, deflate")
CUTS = 0.002, 0.02, 0.15, 0.4, 0.7, 0.95, 0.999
FLIPS = 24


@lru_cache
def whole(kind):
    return open_image(WHOLE[kind])


@pytest.mark.parametrize("kind", WHOLE)
def test_a_cut_file_is_refused(kind, open_quietly, tally):
    """A picture that opens all the same is whole: what was cut off had no pixels."""
    content = WHOLE[kind]
    for part in (*(int(share * len(content)) for share in CUTS), len(content) - 20, len(content) - 4, len(content) - 1):
        found = open_quietly(content[:part])
        if not isinstance(found, str):
            assert found.rgb.shape == whole(kind).rgb.shape and found.rgb.dtype == whole(kind).rgb.dtype
            assert (found.rgb == whole(kind).rgb).all(), f"{part} of {len(content)} bytes passed as whole"
        count(tally, found)


@pytest.mark.parametrize("kind", WHOLE)
def test_zeros_and_gaps(kind, open_quietly, tally):
    """As a disk leaves them. Kinds with checksums, and JPEG, are refused; in others a picture may come out, but never an exception of a library."""
    random, content = np.random.default_rng(len(kind)), WHOLE[kind]
    hole = max(64, min(512, len(content) // 4)) if len(content) > 300 else 20
    for _ in range(4):
        at = int(random.integers(min(700, len(content) // 3), len(content) - hole - 12))
        for damaged in (content[:at] + bytes(hole) + content[at + hole:], content[:at] + content[at + hole:]):
            found = open_quietly(damaged)
            if not isinstance(found, str) and kind in CHECKED:
                assert (found.rgb == whole(kind).rgb).all(), f"damage at byte {at} does not show"
            count(tally, found)
    for length in (len(content), 20 * len(content)):                # a download that was set aside at its full length, or more
        found = open_quietly(content[:len(content) // 2].ljust(length, b"\0"))
        assert isinstance(found, str) or kind not in (*CHECKED,
            "jpeg progressive") or found.rgb.shape == whole(kind).rgb.shape and (found.rgb == whole(kind).rgb).all()
        count(tally, found)


def test_a_few_zeros_in_a_jpeg(open_quietly, tally):
    """libjpeg and ffmpeg take them for pixels. In a flat picture they are: there the shortest code ends a block."""
    content = WHOLE["jpeg"]
    for at in range(700, len(content) - 40, 151):
        found = open_quietly(content[:at] + bytes(24) + content[at + 24:])
        assert isinstance(found, str), f"zeros at byte {at} of {len(content)} do not show"
        count(tally, found)
    flat = encoded(np.full((800, 800), 99, np.uint8), "JPEG", optimize=True)
    assert bytes(100) in flat and (open_quietly(flat).rgb == 99).all()


@pytest.mark.parametrize("kind", WHOLE)
def test_flipped_bytes(kind, open_quietly, tally):
    """In header and body. What opens has a size that its bytes could hold; a PNG is the same picture."""
    random, content = np.random.default_rng(len(kind)), WHOLE[kind]
    for number in range(FLIPS):
        at = int(random.integers(min(len(content), 200 if number % 3 else len(content))))
        damaged = bytearray(content)
        damaged[at] ^= 1 << int(random.integers(8))
        found = open_quietly(bytes(damaged), max_pixels=1 << 24)
        if not isinstance(found, str) and kind.startswith("png"):
            assert found.rgb.dtype == whole(kind).rgb.dtype and (found.rgb == whole(kind).rgb).all()
        count(tally, found)


def test_text_inside_a_png_is_only_text(open_quietly, tally):
    """Pillow keeps a PNG's texts beside its tags, under the names the file gives them."""
    for name in ("transparency", "exif", "icc_profile", "gamma", "Raw profile type exif", "XML:com.adobe.xmp", "adobe"):
        for after in (False, True):
            info = PngImagePlugin.PngInfo()
            info.add_text(name, "7 junk", zip=after)
            for image in (Image.fromarray(RGB), Image.fromarray(GRAY), Image.fromarray(RGB).quantize(8)):
                found = open_quietly(encoded(image, "PNG", pnginfo=info))
                assert (found.rgb == np.asarray(image.convert("RGB"))).all() and found.alpha is None
                count(tally, found)


def test_exif_that_leads_astray(open_quietly, tally):
    """Directories that lie outside, name themselves, or count to 65535; the picture is there."""
    def directory(count, *entries, after=0):
        return struct.pack("<H", count) + b"".join(struct.pack("<HHII", *entry) for entry in entries) + struct.pack("<I", after)
    loop = directory(2, (0x8769, 4, 1, 8), (0x8825, 4, 1, 8), after=8)
    for body in (loop, directory(65535, (0x0112, 3, 1, 6)), directory(1, (0x0112, 3, 0xFFFFFFFF, 6)), directory(1, (0x0112, 2, 9, 4)),
        directory(1, (0x8769, 4, 1, 0xFFFFFFF0)),
                 directory(1, (0x010E, 2, 0x7FFFFFFF, 30)), directory(1, (0x0112, 3, 1, 99)), directory(1, (0xA005, 13, 1, 8), after=8), b"\xff" * 60):
        block = b"Exif\0\0II*\0\x08\0\0\0" + body
        for content in (encoded(FLAT, "JPEG", exif=block), encoded(FLAT, "PNG", exif=block), encoded(FLAT, "WEBP", lossless=True, exif=block)):
            found = open_quietly(content)
            assert found.size == (16, 16) and np.abs(found.rgb.astype(int) - FLAT).max() <= 3
            count(tally, found)


# ---------------------------------------------------------------- sizes that lie

def chunk(kind, body):
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def deflated_zeros(length, around=b""):
    packer = zlib.compressobj(9)
    return packer.compress(around) + b"".join(packer.compress(bytes(1 << 20)) for _ in range(length >> 20)) + packer.flush()


def png_of(width, height, bits=8, color=2, body=None):
    return PNG_MAGIC + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, color, 0, 0, 0)) + chunk(b"IDAT",
        zlib.compress(bytes(99)) if body is None else body) + chunk(b"IEND", b"")


def webp_of(kind, body):
    return b"RIFF" + struct.pack("<I", len(body) + 12) + b"WEBP" + kind + struct.pack("<I", len(body)) + body


def jpeg_2000_of(width, height):
    content = bytearray(encoded(RGB, "JPEG2000", no_jp2=True))
    content[8:16] = struct.pack(">II", width, height)
    content[24:32] = struct.pack(">II", width, height)
    return bytes(content)


SIDE = 30_000
MILLIONS = deflated_zeros(64 << 20)
BOMBS = {
    "png": png_of(SIDE, SIDE), "png 16 bit": png_of(SIDE, SIDE, 16, 6), "png 1 bit": png_of(60_000, 60_000, 1, 0), "png 10k, no pixels": png_of(10_000, 10_000),
    "png 16 bit 9k": png_of(9_000, 9_000, 16, 6), "png of lines": png_of(1, 2 ** 31 - 1),
    "png profile": PNG_MAGIC + chunk(b"IHDR", struct.pack(">IIBBBBB", 7, 5, 8, 2, 0, 0, 0))
    + chunk(b"iCCP", b"x\0\0" + MILLIONS) + png(RGB, 8, 2)[33:],
        "png text": png(RGB, 8, 2)[:33] + chunk(b"zTXt", b"Comment\0\0" + MILLIONS) * 9 + png(RGB, 8, 2)[33:],
    "png itxt": png(RGB, 8, 2)[:33] + chunk(b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + MILLIONS) + png(RGB, 8, 2)[33:],
    "png too many parts": png(RGB, 8, 2)[:33] + chunk(b"teXt", b"") * 120_000 + png(RGB, 8, 2)[33:], "png pixels beyond": png_of(7, 5, body=MILLIONS),
    "png 10k": png_of(10_000, 10_000, body=deflated_zeros(10_000 * 30_001)),
    "apng": png(RGB, 8, 2)[:33] + chunk(b"acTL", struct.pack(">II", 2 ** 31 - 1, 0)) + png(RGB, 8, 2)[33:],
    "tiff": tiff(RGB, 2, more={256: (4, [SIDE]), 257: (4, [SIDE])}),
    "tiff deflate": tiff(RGB, 2, pack=(8, lambda _: MILLIONS), more={256: (4, [SIDE]), 257: (4, [SIDE])}),
    "tiff float": tiff(FLOAT, 2, kind=3, more={256: (4, [SIDE]), 257: (4, [SIDE])}),
    "tiff 9k": tiff(RGB, 2, pack=(8, lambda _: MILLIONS), more={256: (4, [9_000]), 257: (4, [9_000])}),
    "tiff pixels beyond": tiff(RGB, 2, pack=(8, lambda _: MILLIONS)),
    "tiff group 4": tiff(GRAY[..., None], 1, bits=1, packed=b"\0\x10\1", more={256: (4, [SIDE]), 257: (4, [SIDE]), 259: (3, [4])}),
    "tiff tile": tiff(RGB, 2, tile=16).replace(struct.pack("<HHIHH", 322, 3, 1, 16, 0), struct.pack("<HHII", 322, 4, 1, 2 ** 31 - 16)),
    "tiff counts": tiff(RGB, 2, more={277: (3, [65535])}), "tiff bits": tiff(RGB, 2, bits=65535),
    "tiff loop": (b"II*\0\x08\0\0\0" + struct.pack("<H", 1) + struct.pack("<HHII", 330, 4, 1, 8) + struct.pack("<I", 8)),
    "bigtiff tags": b"II+\0\x08\0\0\0" + struct.pack("<QQ", 16, 2 ** 60),
    "tiff huge tag": tiff(RGB, 2, more={270: (4, [0])}).replace(struct.pack("<HHI", 270, 4, 1), struct.pack("<HHI", 270, 2, 2 ** 31)),
    "webp": webp_of(b"VP8X", bytes(4) + b"\xff\xff\xff" * 2), "webp lossless": webp_of(b"VP8L", b"\x2f\xff\xff\xff\x0f" + bytes(20)),
    "webp lossy": webp_of(b"VP8 ", b"\x10\0\0\x9d\1\x2a\xff\x3f\xff\x3f" + bytes(20)),
    "webp 10k": webp_of(b"VP8X", bytes(4) + (9_999).to_bytes(3, "little") * 2), "gif screen": gif(INDEX8, COLORS8, screen=(SIDE, SIDE)),
    "gif 10k, no pixels": gif(INDEX8, COLORS8, screen=(10_000, 10_000)),
    "gif frame": gif(INDEX8, COLORS8).replace(struct.pack("<B4H", 0x2C, 0, 0, WIDTH, HEIGHT), struct.pack("<B4H", 0x2C, 0, 0, 65535, 65535)),
    "gif frame off the screen": gif(INDEX8, COLORS8, screen=(7, 5), at=(65000, 65000), clear=2), "jpeg 2000": jpeg_2000_of(SIDE, SIDE),
    "jpeg 2000 10k": jpeg_2000_of(10_000, 10_000),
    "jpeg": encoded(FLAT, "JPEG").replace(struct.pack(">HH", 16, 16), struct.pack(">HH", 65500, 65500)),
    "jpeg 100": encoded(FLAT, "JPEG").replace(struct.pack(">HH", 16, 16), struct.pack(">HH", 100, 100)),
    "jpeg 1k": encoded(FLAT, "JPEG").replace(struct.pack(">HH", 16, 16), struct.pack(">HH", 1000, 1000)),
    "jpeg progressive 10k": encoded(FLAT, "JPEG", progressive=True).replace(struct.pack(">HH", 16, 16), struct.pack(">HH", 10_000, 10_000)),
    "jpeg 10k": encoded(FLAT, "JPEG").replace(struct.pack(">HH", 16, 16), struct.pack(">HH", 10_000, 10_000)),
    "bmp": bmp(rows_of(RGB), 24, size=(SIDE, SIDE)), "bmp 2 billion": bmp(rows_of(RGB), 24, size=(2 ** 31 - 1, -2 ** 31 + 1)),
    "bmp runs": bmp(b"\0\0" * 5000 + b"\0\1", 8, 1, size=(20_000, 5_000), palette=BMP_PALETTE),
    "bmp runs 30k": bmp(b"\0\0" * 5000, 8, 1, size=(SIDE, SIDE), palette=BMP_PALETTE), "ico": ico((16, png_of(SIDE, SIDE))),
    "ico 10k": ico((16, png_of(10_000, 10_000))),
    "ico bmp": ico((16, bmp(b"", 32, size=(SIDE, 2 * SIDE))[14:])), "ppm": b"P6 30000 30000 255\n", "ppm 10k": b"P6 10000 10000 255\n" + bytes(999),
    "ppm text 10k": b"P3 10000 10000 255\n" + b"1 " * 999,
    "ppm 10 bit 10k": b"P6 10000 10000 1023\n" + bytes(999), "ppm digits": b"P6 " + b"9" * 5000 + b" 1 255\n",
    "ppm comments": b"P6\n" + b"#\n" * 1_000_000 + b"7 5 255\n" + RGB.tobytes(),
    "ppm minus": b"P6 -7 5 255\n" + RGB.tobytes(), "psd": psd(np.zeros((3, 1, 1), np.uint8), 3).replace(struct.pack(">II", 1, 1),
        struct.pack(">II", SIDE, SIDE)),
    "pfm": b"Pf\n30000 30000\n-1.0\n", "pfm scale": b"Pf\n7 5\nnan\n" + bytes(140),
    "avif": encoded(FLAT, "AVIF").replace(b"ispe\0\0\0\0" + struct.pack(">II", 16, 16), b"ispe\0\0\0\0" + struct.pack(">II", SIDE, SIDE))}
DEFUSED = ("png 10k", "png pixels beyond", "png profile", "png text", "png itxt", "tiff pixels beyond", "apng", "ppm comments", "tiff bits", "tiff huge tag",
           "gif 10k, no pixels", "gif frame off the screen")
LIMIT = 2 << 30
BOMB_SQUAD = """
import os, pickle, resource, sys, time
from colorlib.images.reading import open_image
for name, content in pickle.load(open(sys.argv[1], "rb")).items():
    start = time.perf_counter()
    try:
        found = "{} x {}".format(*open_image(content).size)
    except ValueError as error:
        found = str(error)
    print(f"{name}|{time.perf_counter() - start:.2f}|{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss}|{found}", flush=True)
"""


@pytest.fixture(scope="module")
def squad(tmp_path_factory):
    """What became of the bombs, {name: (seconds, peak memory in bytes so far, sentence or size)}, and stderr; one process of their own opened all of them."""
    folder = tmp_path_factory.mktemp("bombs")
    (folder / "bombs").write_bytes(pickle.dumps(BOMBS))
    done = subprocess.run([sys.executable, "-c", BOMB_SQUAD, str(folder / "bombs")], capture_output=True, text=True, timeout=300,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)})
    rows = [line.split("|", 3) for line in done.stdout.splitlines()]
    return {name: (float(seconds), 1024 * int(peak), found) for name, seconds, peak, found in rows}, done.stderr


@pytest.mark.parametrize("name", BOMBS)
def test_bombs(name, squad, tally):
    """A small file that declares a large picture, or hides much in a little."""
    rows, stderr = squad
    assert name in rows, f"the process ended: {stderr}"
    seconds, peak, found = rows[name]
    assert seconds < 10 and peak < LIMIT and stderr == ""
    if re.fullmatch(r"\d+ x \d+", found):
        assert name in DEFUSED and found in ("7 x 5", "10000 x 10000", "65007 x 65005")
        tally(inputs=1, right_pictures=1)
    else:
        sentence_of(ValueError(found), "The picture in memory")
        tally(inputs=1, sentences=1)


# ---------------------------------------------------------------- what is no file

@pytest.fixture
def odd_paths(tmp_path, monkeypatch):
    """{name: path} of things that are called like pictures."""
    paths = {"device": Path("/dev/zero"), "folder": tmp_path / "folder.png", "pipe": tmp_path / "pipe.png", "socket": tmp_path / "s.png",
        "broken link": tmp_path / "broken.png",
             "link to itself": tmp_path / "loop.png", "name too long": tmp_path / ("x" * 300 + ".png"), "in no folder": tmp_path / "no" / "a.png",
             "in a file": tmp_path / "file" / "a.png",
             "zero byte": Path(f"{tmp_path}/a\0b.png"), "empty": tmp_path / "empty.png", "huge": tmp_path / "huge.png", "memory": Path("/proc/self/mem"),
             "nobody": Path("~nobody-here/a.png"),
             "escape": tmp_path / "a\x1b[31m\n.png"}
    monkeypatch.chdir(tmp_path)
    paths["folder"].mkdir()
    os.mkfifo(paths["pipe"])
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("s.png")                                        # the whole path may be too long for one
    paths["broken link"].symlink_to(tmp_path / "gone.png")
    paths["link to itself"].symlink_to(paths["link to itself"])
    (tmp_path / "file").touch()
    paths["empty"].touch()
    with open(paths["huge"], "wb") as file:
        file.truncate(1 << 40)
    return {name: path for name, path in paths.items() if name not in ("device", "memory") or path.exists()}


@pytest.mark.skipif(os.name == "nt", reason="no pipes in folders there")
def test_what_is_no_file(odd_paths, open_quietly, tally, monkeypatch):
    words = {"device": "device", "folder": "is a folder", "pipe": "a pipe", "socket": "a socket", "huge": "bytes", "empty": "is empty",
        "memory": "cannot be read"}
    for name, path in odd_paths.items():
        for source in (path, os.fspath(path)):
            found = open_quietly(source, printable(path))
            assert words.get(name, "does not exist") in found
            count(tally, found)
    for source in (open("/dev/zero", "rb"), io.StringIO("text"), io.BytesIO(b""), 7, None, object(), [], b"", lambda: None):
        monkeypatch.setattr(reading, "MAX_BYTES", 1 << 24)
        with pytest.raises(ValueError) as caught:
            open_image(source)
        assert str(caught.value).endswith(".") and "\n" not in str(caught.value)
        tally(inputs=1, sentences=1)


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="everything is readable here")
def test_what_may_not_be_read(tmp_path, open_quietly, tally):
    (path := tmp_path / "a.png").write_bytes(png(RGB, 8, 2))
    path.chmod(0)
    found = open_quietly(path, str(path))
    assert "permissions" in found
    count(tally, found)


@pytest.mark.parametrize("name", ["ünï 日本 🎨.png", "a\nb.png", "-o.png", "a;rm -rf $HOME.png", "%s{}.png", " .png",
                                  "x" * 240 + ".png", "é" * 120 + ".png",
    os.fsdecode(b"caf\xe9.png"), "UPPER.PNG", "no suffix", "..png"])
def test_names_of_all_kinds(name, tmp_path, open_quietly, tally):
    """Opened, and written beside under a name of its own."""
    path = tmp_path / name
    path.write_bytes(png(RGB, 8, 2))
    for source in (path, str(path)):
        assert (open_quietly(source).rgb == RGB).all()
    target = save_image(tmp_path / images.colorized_name(name), open_image(path))
    assert target != path and (open_image(target).rgb == RGB).all() and len(os.listdir(tmp_path)) == 2
    tally(inputs=1, right_pictures=1)


# ---------------------------------------------------------------- fuzzed inputs that were kept

CORPUS = Path(__file__).parents[1] / "fuzz" / "corpus"


@pytest.mark.parametrize("first", sorted({path.name[0] for path in CORPUS.iterdir()}))
def test_the_fuzzer_s_corpus(first, open_quietly, tally):
    for path in sorted(CORPUS.glob(first + "*")):
        content = path.read_bytes()
        assert len(content) < 4096 and hashlib.sha1(content).hexdigest().startswith(path.name)
        found = open_quietly(content, max_pixels=fuzz_open_image.MAX_PIXELS)
        fuzz_open_image.check(content)
        count(tally, found)


# ---------------------------------------------------------------- the whole way

def colorlib_says(capfd, *arguments):
    """Runs a command; gives its status, the files it names, and its sentences."""
    status = cli.main(["colorize", *map(str, arguments)])
    out, err = capfd.readouterr()
    sentences = err.splitlines()
    assert all(line.startswith("colorlib: ") and line.endswith(".") and line.isprintable() for line in sentences), err
    return status, out.splitlines(), [line.removeprefix("colorlib: ") for line in sentences]


def is_coloured(path, size):
    rgb = open_image(path).rgb.astype(int)
    return rgb.shape == (*size[::-1], 3) and np.ptp(rgb, -1).max() > 8


@pytest.mark.skipif(os.name == "nt", reason="no pipes in folders there")
def test_a_folder_of_everything(workshop, odd_paths, tmp_path_factory, capfd, tally):
    """All that can be painted is, in colour and at its size; each of the others is named in a sentence of its own."""
    album = tmp_path_factory.mktemp("album")
    kinds = "jpeg", "png 16 bit", "tiff strips", "webp", "gif", "bmp", "psd", "jpeg 2000", "avif", "ppm"
    for kind in kinds:
        (album / f"{kind}.jpg").write_bytes(WHOLE[kind])
        (album / f"cut {kind}.jpg").write_bytes(WHOLE[kind][:len(WHOLE[kind]) // 2])
    for name in ("png", "tiff float", "gif frame", "ico", "bmp runs"):
        (album / f"bomb {name}.png").write_bytes(BOMBS[name])
    for name in ("zip", "mp4", "heif", "svg without a prolog", "xhtml", "zeros", "tiff rgb nan"):
        (album / f"not {name}.tif").write_bytes(CONTAINERS[name][0])
    for name in ("pipe", "broken link", "empty", "escape"):
        odd_paths[name].touch() if name == "escape" else None
        os.rename(odd_paths[name], album / odd_paths[name].name)
    (album / "folder.png").mkdir()
    (album / "notes.txt").write_text("not asked for")
    status, written, sentences = colorlib_says(capfd, album, "-o", "out")
    bad = len(kinds) + 5 + 7 + 4
    assert status == 1 and len(written) == len(kinds) and len(sentences) == bad and len(set(sentences)) == bad
    assert all(is_coloured(path, (128, 96)) for path in written) and sorted(os.listdir("out")) == sorted(Path(path).name for path in written)
    tally(inputs=len(kinds) + bad, right_pictures=len(kinds), sentences=bad)


@pytest.mark.parametrize("shape", [(1, 1), (1, 20000), (20000, 1), (2, 3)])
def test_thin_pictures_come_out_coloured(shape, workshop, capfd, tally):
    Image.fromarray(np.random.default_rng(0).integers(60, 200, shape, np.uint8)).save("thin.png")
    status, written, sentences = colorlib_says(capfd, "thin.png")
    assert (status, written, sentences) == (0, ["thin_colorized.png"], []) and is_coloured("thin_colorized.png", shape[::-1])
    tally(inputs=1, right_pictures=1)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_network_that_gives_no_numbers(value, workshop, capfd, monkeypatch, tally):
    """Grey that nobody painted never passes for colour."""
    model = zoo.load("koalarization")
    monkeypatch.setattr(zoo.get("koalarization").papers, "colorize", lambda model, batch: torch.full((len(batch["L"]), 2, 8, 8), value))
    status, written, sentences = colorlib_says(capfd, "photo.png")
    assert status == 1 and not written and len(sentences) == 1 and "photo.png" in sentences[0] and "koalarization" in sentences[0]
    assert "photo_colorized.png" not in os.listdir(".")
    with pytest.raises(ValueError, match="no numbers for the picture of 30 x 20 pixels"):
        colorlib.colorize(np.zeros((20, 30), np.uint8), model=model)
    tally(inputs=2, sentences=2)


@pytest.mark.parametrize("error", [MemoryError(), MemoryError("Unable to allocate 9 GiB"),
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB"),
                                   RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"),
                                   RuntimeError("CUDA error: out of memory")], ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("place", ["network", "merge", "reading"])
def test_no_memory(error, place, workshop, capfd, monkeypatch, tally):
    """A picture too large is refused; the small one after it is painted."""
    Image.open("photo.png").resize((60, 40)).save("a.png")
    target, name = {"network": (zoo.get("koalarization").papers, "colorize"), "merge": (painting, "enlarge"), "reading": (images, "lightness")}[place]
    real, times = getattr(target, name), iter([True])

    def lacking(*arguments, **options):
        if next(times, False) if place == "network" else 60 in (arguments[0].size if place == "reading" else arguments[2].shape):
            raise error
        return real(*arguments, **options)
    monkeypatch.setattr(target, name, lacking)
    status, written, sentences = colorlib_says(capfd, "a.png", "photo.png", "-o", "out")
    assert status == 1 and [Path(path).name for path in written] == ["photo_colorized.png"] and len(sentences) == 1
    assert "not enough memory to colour a.png" in sentences[0] and "--working-size" in sentences[0]
    tally(inputs=2, sentences=1, right_pictures=1)


def test_a_batch_too_large_is_painted_one_by_one(workshop, monkeypatch, tally):
    paper, model = zoo.get("koalarization").papers, zoo.load("koalarization")
    real = paper.colorize

    def only_one(model, batch):
        if len(batch["L"]) > 1:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return real(model, batch)
    monkeypatch.setattr(paper, "colorize", only_one)
    found = [picture for _, picture in albums.colorize_many(["photo.png"] * 3, model=model, batch_size=3)]
    assert all(np.ptp(picture.rgb.astype(int), -1).max() > 8 for picture in found)
    tally(inputs=3, right_pictures=3)


@pytest.mark.parametrize("arguments, sentence", [
    (["-o", "file/out.png"], "file"), (["-o", "a.xyz"], "suffix"), (["-o", "no/such/out.png"], "no/such"), (["-o", "x" * 300 + ".png"], "too long"),
        (["-o", "photo.png"], "the input itself"),
    (["other/photo.png", "-o", "file"], "file"), (["--reference", "/dev/zero", "--method", "welsh"], "/dev/zero"),
    (["--reference", "file", "--method", "welsh"], "file is empty"), (["--weights", "/dev/zero"], "/dev/zero"),
        (["--hints", "/dev/zero", "--method", "levin"], "/dev/zero is a device"),
    (["--hints", ".", "--method", "levin"], "is a folder"), (["--hints", "file", "--method", "levin"], "file is not a hint file"),
        (["--hints", "gone.json", "--method", "levin"], "gone.json does not exist")])
def test_places_and_conditions_that_cannot_be(arguments, sentence, workshop, capfd, tally):
    Path("file").touch()
    Path("other").mkdir()
    Image.open("photo.png").save("other/photo.png")
    before = {path: path.read_bytes() for path in Path(".").rglob("*") if path.is_file()}
    status, written, sentences = colorlib_says(capfd, "photo.png", *arguments)
    assert status == 1 and not written and len(sentences) == 1 and sentence in sentences[0]
    assert {path: path.read_bytes() for path in Path(".").rglob("*") if path.is_file()} == before
    tally(inputs=1, sentences=1)


def test_two_pictures_of_one_name(workshop, capfd, tally):
    """The second is not written over the first."""
    Path("other").mkdir()
    Image.open("photo.png").resize((9, 9)).save("other/photo.png")
    status, written, sentences = colorlib_says(capfd, "photo.png", "other/photo.png", "-o", "out")
    assert status == 1 and len(written) == 1 and len(sentences) == 1 and "would be written over" in sentences[0]
    assert Image.open("out/photo_colorized.png").size == (30, 20)
    tally(inputs=2, right_pictures=1, sentences=1)


def test_a_full_disk_keeps_the_old_picture(workshop, capfd, monkeypatch, tally):
    Path("photo_colorized.png").write_bytes(b"old")

    def full(*_):
        raise OSError(28, "No space left on device")
    monkeypatch.setattr(os, "fsync", full)
    status, written, sentences = colorlib_says(capfd, "photo.png")
    assert status == 1 and not written and "photo_colorized.png" in sentences[0] and "No space left" in sentences[0]
    assert Path("photo_colorized.png").read_bytes() == b"old"
    assert not [name for name in os.listdir(".") if name.endswith(".tmp")]
    tally(inputs=1, sentences=1)


# ---------------------------------------------------------------- hints, captions, clips

HINTS = json.loads(HintSet(60, 80, [Hint(1, 2, 30, 40), Hint(5, 5, 3, 4)]).to_json())


def changed(**values):
    return json.dumps(HINTS | {"hints": [HINTS["hints"][0], HINTS["hints"][1] | values]})


HINT_FILES = {
    "empty": "", "zeros": bytes(500), "cut": json.dumps(HINTS)[:-30], "cut after a hint": json.dumps(HINTS)[:-2], "null": "null", "list": "[]", "number": "7",
    "text": '"hints"', "deep": "[" * 100_000,
    "deep hints": json.dumps(HINTS)[:-2] + ", " + "[" * 50_000, "double key": json.dumps(HINTS)[:-1] + ', "hints": []}',
    "double y": json.dumps(HINTS).replace('"size"', '"y": 0.1, "size"'), "long number": "1" * 10_000,
    "latin": "café".encode("latin-1"), "html": "<!DOCTYPE html>", "version true": json.dumps(HINTS | {"version": True}),
    "version 2": json.dumps(HINTS | {"version": 2}), "no version": '{"hints": []}',
    "version long": json.dumps(HINTS | {"version": list(range(10_000))}), "height 0": json.dumps(HINTS | {"height": 0}),
    "height float": json.dumps(HINTS | {"height": 60.5}), "height huge": json.dumps(HINTS | {"height": 10 ** 30}),
    "hints object": json.dumps(HINTS | {"hints": {}}), "hints null": json.dumps(HINTS | {"hints": None}), "hint null": json.dumps(HINTS | {"hints": [None]}),
    "hint list": json.dumps(HINTS | {"hints": [[0.1, 0.1, 1, 1]]}),
    "hash": json.dumps(HINTS | {"image_hash": 7}), "nan": changed(a=float("nan")), "infinite": changed(b=float("inf")), "y nan": changed(y=float("nan")),
    "outside": changed(y=1.01), "below": changed(x=-0.01), "text y": changed(y="0.5"),
    "huge": changed(a=1e300), "huge whole": changed(b=10 ** 400), "size 0": changed(size=0), "size 10": changed(size=10), "size half": changed(size=1.5),
    "size true": changed(size=True), "size text": changed(size="3"),
    "null a": changed(a=None), "list a": changed(a=[1]), "more": changed(color="red"), "escape": changed(**{"\x1b[31m\n": 1}), "not a colour": changed(a=150),
    "too many": json.dumps(HINTS) + " " * 17_000_000}


@pytest.mark.parametrize("name", HINT_FILES)
def test_hint_files(name, tmp_path, tally):
    content = HINT_FILES[name]
    (path := tmp_path / "hints.json").write_bytes(content if isinstance(content, bytes) else content.encode())
    start = time.perf_counter()
    with pytest.raises(ValueError) as caught:
        as_hints(path, np.zeros((60, 80), np.float32), check_picture=False)
    assert time.perf_counter() - start < 5 and "hint" in sentence_of(caught.value, str(path))
    tally(inputs=1, sentences=1)


@pytest.fixture(scope="module")
def captioner():
    return zoo.load("concat", device="cpu")


CAPTIONS = {"nothing": "", "spaces": " \t\n", "control characters": "a red \x00\x07\x1b[2J bird\x7f", "emoji": "a 🦜 in the 🌳",
    "right to left": "\u202ea red bird\u202c", "a million": "red " * 250_000, "one word": "r" * 1_000_000,
            "many unknown words": " ".join(f"w{i}x" for i in range(900)), "script": "<script>alert(1)</script>", "percent": "%s %n {0} {}",
            "surrogates": "red \ud800 bird", "digits": "1234567890"}


@pytest.mark.parametrize("name", CAPTIONS)
def test_captions(name, captioner, tally):
    """Any text is a caption, but for a book: words that are not known are told, a few of them, and the picture is painted."""
    start = time.perf_counter()
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        try:
            picture = colorlib.colorize(PHOTO, "concat", model=captioner, caption=CAPTIONS[name])
        except ValueError as error:
            assert "words" in sentence_of(error, "The caption") and name == "a million"
            tally(inputs=1, sentences=1)
            return
    assert picture.rgb.shape == PHOTO.shape and np.ptp(picture.rgb.astype(int), -1).max() > 8 and time.perf_counter() - start < 10
    assert len(told) <= 1 and all(len(str(one.message)) < 600 and str(one.message).isprintable() for one in told)
    tally(inputs=1, right_pictures=1)


@pytest.mark.parametrize("value", [7, b"red", ["red"], object(), np.zeros(3)])
def test_captions_that_are_no_text(value, captioner, tally):
    with pytest.raises(ValueError, match="caption"):
        colorlib.colorize(PHOTO, "concat", model=captioner, caption=value)
    tally(inputs=1, sentences=1)


@pytest.mark.parametrize("length", [0, 4, 6, 8, 12, 13, 20, 300])
def test_a_cut_gif_is_no_clip_by_accident(length, workshop, capfd, tally):
    """Whether a GIF moves is asked before it is opened."""
    Path("a.gif").write_bytes(WHOLE["gif animated"][:length])
    status, written, sentences = colorlib_says(capfd, "a.gif")
    assert status == 1 and not written and len(sentences) == 1 and "a.gif" in sentences[0]
    tally(inputs=1, sentences=1)
