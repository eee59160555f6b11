"""The paper, the inks and the light of the procedural world; `planning.py` says what is drawn on it.

Drawing writes *ink numbers*, not colours, on a supersampled canvas; a second plane, `gain`, holds light and shadow.
Every modality is then a table look-up of the same drawing, so all of them are aligned to the sub-pixel:

    rgb      = palette[ink] * gain          nir  = reflectance[ink] * gain
    mask k   = owner[ink] == k              line art = where the line group of the ink changes

Light is added up linearly and encoded to sRGB at the end. The hue and chroma of a dye, the saturation of a background
and the tint of the light each change an ink at constant luminance Y. So the grey picture shows a dye's lightness and
(up to the rounding to 8 bits) nothing of its hue: that is what makes `bayes_ceiling` computable.
"""
from functools import lru_cache
from typing import NamedTuple

import cv2
import numpy as np

from colorlib.lab import RGB_TO_XYZ, WHITE, XYZ_TO_RGB

__all__ = ["Canvas", "Ink", "bend", "mix_palette", "shade_pictures"]

SUPERSAMPLE = 3     # sub-pixels along each side of a pixel
SUBPIXEL_BITS = 4   # cv2 fixed point: corners lie on 1/16 of a sub-pixel
BASE = 64 * SUPERSAMPLE  # canvas rows at 64 px, the size at which textures are defined
Y_WEIGHTS = np.array(RGB_TO_XYZ[1])  # luminance of linear sRGB
CIRCLE = np.stack([np.cos(np.arange(32) * np.pi / 16), np.sin(np.arange(32) * np.pi / 16)], axis=1)  # (32, 2)


class Ink(NamedTuple):
    """What a number on the canvas stands for.

    >>> canvas = Canvas(16)
    >>> canvas.inks[canvas.ink("#808080", tone=0.5, nir=0.9)].scale
    0.5
    """
    base: int      # >= 0: index of a fixed colour in `Canvas.bases`; < 0: dye number -1 - base
    scale: float   # linear rgb = scale * base + white
    white: float
    nir: float     # reflectance in [0, 1]
    owner: int     # 0 background, k the k-th object
    line: int      # inks that share a line group have no line between them
    glow: bool     # gives its own light: not shaded


class Canvas:
    """A drawing of H x W units (height 1, width `aspect`): `ids` uint8 and `gain` float32, both (rows, columns).

    >>> canvas = Canvas(16)
    >>> canvas.oval(0.5, 0.5, 0.3, 0.3, canvas.ink("#ff0000"))
    >>> canvas.ids.shape
    (48, 48)
    """

    def __init__(self, size, aspect=1.0):
        self.rows = size * SUPERSAMPLE
        self.ids = np.zeros((self.rows, int(round(self.rows * aspect))), np.uint8)
        self.gain = np.ones(self.ids.shape, np.float32)
        self.inks, self.bases, self.owner = [], [], 0
        self.place(0.0, 0.0, 1.0)

    def place(self, x, y, scale, angle=0.0, flip=False):
        """Put object coordinates ([-1, 1], y down) at the unit position (x, y), `scale` units per coordinate."""
        self.matrix = place_matrix(x, y, scale, angle, flip)

    def ink(self, base, tone=1.0, nir=0.5, glow=False, line=None):
        """A new ink number. `base`: "#rrggbb" or a dye (a negative int); tone < 1 darkens, tone > 1 adds white."""
        if isinstance(base, str):
            self.bases.append(decode_hex(base))
            base = len(self.bases) - 1
        scale, white = (tone, 0.0) if tone <= 1 else (2.0 - tone, tone - 1.0)
        number = len(self.inks)
        if number > 255:
            raise ValueError("The scene needs more than 256 inks: make the clip shorter or the picture larger.")
        self.inks.append(Ink(base, scale, white, nir, self.owner, number if line is None else line, glow))
        return number

    def poly(self, points, ink):
        """A filled polygon; points (N, 2) in object coordinates."""
        at = np.asarray(points, float) @ self.matrix[:, :2].T + self.matrix[:, 2]
        at = np.rint((at * self.rows - 0.5) * (1 << SUBPIXEL_BITS)).astype(np.int32)
        cv2.fillPoly(self.ids, [at], int(ink), cv2.LINE_8, SUBPIXEL_BITS)

    def oval(self, x, y, rx, ry, ink, angle=0.0):
        """An ellipse around (x, y); angle in radians."""
        cos, sin = np.cos(angle), np.sin(angle)
        points = CIRCLE * (rx, ry)
        self.poly(points @ np.array([[cos, sin], [-sin, cos]]) + (x, y), ink)

    def rect(self, x0, y0, x1, y1, ink, corner=0.0):
        """An upright rectangle with round corners of radius `corner`."""
        if corner == 0:
            return self.poly([(x0, y0), (x1, y0), (x1, y1), (x0, y1)], ink)
        corner = min(corner, (x1 - x0) / 2, (y1 - y0) / 2)
        centers = np.array([(x1 - corner, y1 - corner), (x0 + corner, y1 - corner),
                            (x0 + corner, y0 + corner), (x1 - corner, y0 + corner)])
        quarters = [CIRCLE[np.arange(8 * k, 8 * k + 9) % 32] for k in range(4)]
        self.poly(np.concatenate([c + corner * q for c, q in zip(centers, quarters)]), ink)

    def stroke(self, points, width, ink):
        """A line through points (N, 2) with round ends; one width in object coordinates or one for each point."""
        points = np.asarray(points, float)
        widths = np.broadcast_to(np.asarray(width, float), len(points)) / 2
        step = np.gradient(points, axis=0)
        step /= np.maximum(np.hypot(step[:, :1], step[:, 1:]), 1e-9)
        side = np.stack([-step[:, 1], step[:, 0]], axis=1) * widths[:, None]
        self.poly(np.concatenate([points + side, (points - side)[::-1]]), ink)
        for point, radius in ((points[0], widths[0]), (points[-1], widths[-1])):
            self.oval(*point, radius, radius, ink)

    # light and texture

    def cast_shadow(self, x, y, rx, ry, strength):
        """A soft ellipse of shadow on what is drawn so far; unit coordinates."""
        top, bottom = self._span(y, 2 * ry, 0)
        left, right = self._span(x, 2 * rx, 1)
        if bottom <= top or right <= left:
            return
        v = ((np.arange(top, bottom) + 0.5) / self.rows - y) / (2 * ry)
        u = ((np.arange(left, right) + 0.5) / self.rows - x) / (2 * rx)
        falloff = np.clip(1 - v[:, None] ** 2 - u[None] ** 2, 0, 1)
        self.gain[top:bottom, left:right] *= 1 - strength * falloff * falloff

    def shade_object(self, owner, light, roundness, texture=0.0, offset=(0, 0)):
        """Round the object's flat drawing: bright towards the light, dark away from it, with a fine surface texture.

        The object's silhouette, blurred, is read as a height; its slope towards the light (x, y) is the shading.
        """
        x, y = self.matrix[:, 2]
        reach = 1.5 * np.hypot(*self.matrix[:, 0])
        (top, bottom), (left, right) = self._span(y, reach, 0), self._span(x, reach, 1)
        if bottom - top < 8 or right - left < 8:
            return
        window = (slice(top, bottom), slice(left, right))
        mask = self._owners()[self.ids[window]] == owner
        size = ((right - left) // 4 + 1, (bottom - top) // 4 + 1)
        height = cv2.resize(mask.astype(np.float32), size, interpolation=cv2.INTER_AREA)
        sigma = max(0.14 * reach * self.rows / 4, 1.0)
        height = cv2.GaussianBlur(height, (0, 0), sigma, borderType=cv2.BORDER_CONSTANT)
        slope = -(light[0] * cv2.Sobel(height, cv2.CV_32F, 1, 0, scale=sigma / 4)
                  + light[1] * cv2.Sobel(height, cv2.CV_32F, 0, 1, scale=sigma / 4))
        shade = cv2.resize(0.82 + roundness * slope, (right - left, bottom - top), interpolation=cv2.INTER_LINEAR)
        if texture:
            shade += texture * self.noise("grain", offset, shade.shape)
        self.gain[window] = np.where(mask, np.clip(shade, 0.3, 1.0), self.gain[window])

    def noise(self, kind, offset, shape=None):
        """A window of a fixed noise tile, mean 0, about [-1, 1], stretched with the canvas. `offset` two ints >= 0."""
        rows, columns = shape or self.ids.shape
        tile = noise_tile(kind)
        need = [min(int(np.ceil(n * BASE / self.rows)), tile.shape[0]) for n in (rows, columns)]
        y, x = (int(o) % (tile.shape[0] - n + 1) for o, n in zip(offset, need))
        window = tile[y:y + need[0], x:x + need[1]]
        return window if window.shape == (rows, columns) else cv2.resize(window, (columns, rows))

    def _span(self, center, reach, axis):
        low, high = (center - reach) * self.rows, (center + reach) * self.rows
        return max(int(low), 0), min(int(high) + 1, self.ids.shape[axis])

    def _owners(self):
        return np.array([ink.owner for ink in self.inks], np.uint8)


def place_matrix(x, y, scale, angle=0.0, flip=False):
    """(2, 3): from object coordinates to picture heights."""
    cos, sin, side = scale * np.cos(angle), scale * np.sin(angle), -1.0 if flip else 1.0
    return np.array([[cos * side, -sin, x], [sin * side, cos, y]])


# ---------------------------------------------------------------- from drawing to pictures

def shade_pictures(canvas, palette, exposure):
    """Encode a drawing. palette (M, 3) linear, exposure (the level of the light) -> rgb (H, W, 3), nir (H, W), line art
    (H, W), all uint8.

    >>> canvas = Canvas(16)
    >>> canvas.rect(0, 0, 1, 1, canvas.ink("#ff0000", nir=1.0))
    >>> rgb, nir, line_art = shade_pictures(canvas, [[1, 0, 0]], exposure=1.0)
    >>> rgb[8, 8].tolist(), int(nir[8, 8]), int(line_art[8, 8])
    ([255, 0, 0], 255, 255)
    """
    gain = light_gain(canvas, exposure)
    colors = np.concatenate([palette, [[ink.nir] for ink in canvas.inks]], axis=1).astype(np.float32)  # (M, 4)
    linear = np.take(colors, canvas.ids, axis=0) * gain[..., None]
    linear = average(linear)
    picture = encode_srgb(linear)
    return np.ascontiguousarray(picture[..., :3]), picture[..., 3].copy(), draw_lines(canvas)


def light_gain(canvas, exposure):
    """(rows, columns) float32: the light on each sub-pixel; inks that glow keep their own."""
    gain = np.minimum(canvas.gain, np.float32(1)) * np.float32(exposure)  # above 1 it would clip, and tell the hue
    if any(ink.glow for ink in canvas.inks):
        gain[np.array([ink.glow for ink in canvas.inks])[canvas.ids]] = 1.0
    return gain


def gather_light(canvas, exposure, spots):
    """(P, M): how much light ink m sends into pixel p, so that light @ palette is the pixel's linear rgb."""
    light = np.zeros((len(spots), len(canvas.inks)))
    gain = light_gain(canvas, exposure)
    y, x = np.divmod(spots, canvas.ids.shape[1] // SUPERSAMPLE)
    for dy in range(SUPERSAMPLE):
        for dx in range(SUPERSAMPLE):
            at = y * SUPERSAMPLE + dy, x * SUPERSAMPLE + dx
            np.add.at(light, (np.arange(len(spots)), canvas.ids[at]), gain[at] / SUPERSAMPLE ** 2)
    return light


def draw_lines(canvas):
    """(H, W) uint8: dark lines (0) on white paper (255) where the line group changes."""
    groups = np.array([ink.line for ink in canvas.inks], np.uint8)[canvas.ids]
    edge = np.zeros(groups.shape, np.uint8)
    edge[:, 1:] = groups[:, 1:] != groups[:, :-1]
    edge[1:] |= groups[1:] != groups[:-1]
    edge = cv2.dilate(edge, np.ones((3, 3), np.uint8))
    return np.clip(255 - average(edge * np.float32(255)) * 1.3, 0, 255).astype(np.uint8)


def cover(canvas, owner):
    """(H, W) float32 in [0, 1]: the share of each pixel that the object covers."""
    return average((canvas._owners() == owner).astype(np.float32)[canvas.ids])


def average(plane):
    """Area-average sub-pixels to pixels."""
    rows, columns = plane.shape[:2]
    return cv2.resize(plane, (columns // SUPERSAMPLE, rows // SUPERSAMPLE), interpolation=cv2.INTER_AREA)


# ---------------------------------------------------------------- colour

def mix_palette(canvas, dyes, saturation, tint):
    """Linear rgb of every ink. dyes (..., D, 3), saturation (...), tint (..., 3) -> (..., M, 3), in gamut.

    `saturation` scales the chroma of the background's inks; `tint` is the light. Both keep each ink's luminance.

    >>> canvas = Canvas(16)
    >>> ink = canvas.ink("#808000")
    >>> olive, faded = (mix_palette(canvas, np.zeros((0, 3)), saturation, np.ones(3))[0] for saturation in (1.0, 0.5))
    >>> [round(float(color @ Y_WEIGHTS), 2) for color in (olive, faded)], bool(faded[2] > olive[2])
    ([0.2, 0.2], True)
    """
    fixed = np.array(canvas.bases)
    lead = np.shape(saturation)
    bases = np.concatenate([np.broadcast_to(fixed, lead + fixed.shape), dyes[..., ::-1, :]], axis=-2)
    index = np.array([ink.base for ink in canvas.inks])  # a negative number counts from the end: dye -1, -2, ...
    color = bases[..., index, :]
    is_background = np.array([ink.owner == 0 for ink in canvas.inks])
    gray = (color @ Y_WEIGHTS)[..., None]
    factor = np.where(is_background[:, None], np.asarray(saturation)[..., None, None], 1.0)
    color = fit_gamut(gray + factor * (color - gray))
    color = np.array([[i.scale] for i in canvas.inks]) * color + np.array([[i.white] for i in canvas.inks])
    lit = color * np.asarray(tint)[..., None, :]
    keep = (color @ Y_WEIGHTS) / np.maximum(lit @ Y_WEIGHTS, 1e-9)
    return fit_gamut(lit * keep[..., None])


def fit_gamut(linear):
    """Bring linear rgb (..., 3) into [0, 1] by moving it towards the grey of the same luminance."""
    gray = np.clip(linear @ Y_WEIGHTS, 0, 1)[..., None]
    away = linear - gray
    room = np.where(away > 0, 1 - gray, gray) / np.maximum(np.abs(away), 1e-9)
    return gray + np.minimum(room.min(axis=-1, keepdims=True), 1.0) * away


def mix_dye(lightness, chroma, hue):
    """Linear rgb (..., 3) of CIE LCh colours (hue in degrees), brought into gamut at constant luminance; broadcasts."""
    lightness, chroma, hue = np.broadcast_arrays(lightness, chroma, np.deg2rad(hue))
    fy = (lightness + 16) / 116
    f = np.stack([fy + chroma * np.cos(hue) / 500, fy, fy - chroma * np.sin(hue) / 200], axis=-1)
    xyz = np.array(WHITE) * np.where(f > 6 / 29, f ** 3, 3 * (6 / 29) ** 2 * (f - 4 / 29))
    return fit_gamut(xyz @ np.array(XYZ_TO_RGB).T)


def encode_srgb(linear):
    """Linear light in [0, 1] -> sRGB uint8, by a table of 65,536 entries."""
    return srgb_table()[np.rint(np.clip(linear, 0, 1) * 65535).astype(np.uint16)]


@lru_cache(maxsize=1)
def srgb_table():
    """sRGB uint8 of linear light k / 65535, `(65536,)`."""
    v = np.arange(65536) / 65535
    return np.rint(255 * np.where(v <= 0.0031308, 12.92 * v, 1.055 * v ** (1 / 2.4) - 0.055)).astype(np.uint8)


@lru_cache(maxsize=None)
def decode_hex(code):
    """ "#rrggbb" -> linear rgb, a tuple of three floats."""
    v = np.array([int(code[i:i + 2], 16) for i in (1, 3, 5)]) / 255
    return tuple(np.where(v <= 0.04045, v / 12.92, ((v + 0.055) / 1.055) ** 2.4).tolist())


@lru_cache(maxsize=None)
def noise_tile(kind):
    """A fixed 512 x 512 float32 texture: "grain" fine, "cloud" soft, "streak" long in x (water, wood)."""
    cells = {"grain": [(256, 256), (128, 128)], "cloud": [(10, 10), (24, 24), (64, 64)],
             "streak": [(96, 6), (220, 14)]}[kind]
    rng = np.random.Generator(np.random.PCG64(len(kind)))
    tile = np.zeros((512, 512), np.float32)
    for level, shape in enumerate(cells):
        coarse = rng.integers(-256, 257, shape).astype(np.float32) / 256
        tile += cv2.resize(coarse, (512, 512), interpolation=cv2.INTER_CUBIC) / 2 ** level
    return tile / np.abs(tile).max()


def bend(points, n=14):
    """The curve of a quadratic or cubic Bezier with these control points, (n, 2).

    >>> bend([(0, 0), (1, 2), (2, 0)], n=3).tolist()
    [[0.0, 0.0], [1.0, 1.0], [2.0, 0.0]]
    """
    t, points = np.linspace(0, 1, n)[:, None], [np.asarray(p, float) for p in points]
    while len(points) > 1:
        points = [(1 - t) * a + t * b for a, b in zip(points, points[1:])]
    return points[0]
