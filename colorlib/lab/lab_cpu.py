"""What `colorlib.lab` computes, quicker, on a CPU and without gradients.

Pictures go through in strips that stay in the cache, and OpenCV has vectorised logarithms, exponentials and 3 x 3 products.

Pixels lie interleaved meanwhile, colour on the last axis. Each curve is a power above a knee and a line below it; since both meet there, curve(x) is
power(max(x, knee)) + slope (min(x, knee) - knee), without a choice for each pixel; the constants join the matrix that comes next.
Largest differences from `colorlib.lab` in float64, over all 8-bit colours: 2e-4 in Lab, 4e-6 in sRGB.
"""
import math
import threading

import cv2
import numpy as np
import torch

__all__ = []         # `colorlib.lab` calls it where it fits

STRIP = 1 << 16      # pixels at a time
LANES = 64           # pixels that a strip is longer than what it holds, at least
LIMIT = 1e4          # values beyond it, and NaN, are left to `colorlib.lab`: OpenCV's logarithm and exponential do not know them
LAB_OF_F = np.array([[0, 116, 0, -16], [500, -500, 0, 0], [0, 200, -200, 0]])                                  # f(X), f(Y), f(Z), 1 -> L, a, b
F_OF_LAB = np.array([[1 / 116, 1 / 500, 0, 16 / 116], [1 / 116, 0, 0, 16 / 116], [1 / 116, 0, -1 / 200, 16 / 116]])


class Curve:
    """gain (x + shift)^power above the knee, slope x below it, but for `constant`, which is to be added."""

    def __init__(self, knee, slope, power, shift=0.0, gain=1.0, offset=0.0):
        self.knee, self.slope, self.power, self.shift = knee, slope, power, shift
        self.log_gain, self.constant = torch.tensor(math.log(gain)), offset - slope * knee

    def __call__(self, x, high, low):
        """x, flat float32, through the curve; high, low: places of its size to work in. Returns `high`."""
        torch.clamp(x, min=self.knee, out=high)
        if self.shift:
            high.add_(self.shift)
        values = high.numpy()
        cv2.log(values, dst=values)
        torch.add(self.log_gain, high, alpha=self.power, out=high)
        cv2.exp(values, dst=values)
        torch.clamp(x, max=self.knee, out=low)
        return high.add_(low, alpha=self.slope)


LINEARIZE = Curve(0.04045, 1 / 12.92, 2.4, shift=0.055, gain=1.055 ** -2.4)
ENCODE = Curve(0.0031308, 12.92, 1 / 2.4, gain=1.055, offset=-0.055)
ROOT = Curve(0.008856, 7.787, 1 / 3)
CUBE_KNEE = 0.2068966
CUBE_CONSTANT = -CUBE_KNEE / 7.787


def fits(x):
    """Whether a tensor or array is one of those this module is for: float32, uint8 or uint16 on a CPU, not to be differentiated or traced, no value too large."""
    if isinstance(x, np.ndarray):
        return x.dtype in (np.uint8, np.uint16) or x.dtype == np.float32 and x.size > 0 and bool(x.min() > -LIMIT and x.max() < LIMIT)
    watched = torch.compiler.is_compiling() or torch.jit.is_tracing() or torch._C._len_torch_function_stack() > 0      # by one who wants to see every operation
    if type(x) is not torch.Tensor or x.device.type != "cpu" or x.requires_grad and torch.is_grad_enabled() or watched:
        return False
    if x.dtype == torch.float32 and x.numel():
        low, high = x.aminmax()
        return bool(low > -LIMIT) and bool(high < LIMIT)      # no for NaN
    return x.dtype in (torch.uint8, torch.uint16)


class Conversion:
    """sRGB <-> Lab on tensors `(..., 3, H, W)` and arrays `(..., 3)`, float32 out; what it takes is said by `fits`.

    to_xyz, from_xyz: `(3, 3)`, linear sRGB -> XYZ and back; white: XYZ of white; table: function of the top level -> linear light of all levels, tensor.
    """

    def __init__(self, to_xyz, from_xyz, white, table):
        to_xyz, from_xyz = np.array(to_xyz) / np.array(white)[:, None], np.array(from_xyz) * np.array(white)
        self.to_xyz, self.from_xyz = after(to_xyz, LINEARIZE.constant), after(from_xyz, CUBE_CONSTANT)
        self.to_lab, self.to_f, self.table = after(LAB_OF_F[:, :3], ROOT.constant, LAB_OF_F[:, 3:]), F_OF_LAB.astype(np.float32), table

    def rgb_to_lab(self, x):
        """sRGB: float32 in [0, 1] or beyond, uint8 or uint16."""
        return strip_by_strip(self._pixels_to_lab, x)

    def lab_to_rgb(self, x, clip):
        """Lab, float32."""
        return strip_by_strip(lambda pixels, *rooms: self._pixels_to_rgb(pixels, *rooms, clip), x)

    def _pixels_to_lab(self, pixels, one, two, three):                            # arrays (1, P, 3), the last three float32 to work in; gives one of them back
        high, low, matrix = flat(one), flat(two), self.to_xyz
        if pixels.dtype == np.float32:
            LINEARIZE(flat(pixels), high, low)
        else:                                                                     # a table has the curve's constant in it
            table, matrix = self.table(np.iinfo(pixels.dtype).max).numpy(), self.to_xyz[:, :3]
            cv2.LUT(pixels, table, one) if pixels.dtype == np.uint8 else np.take(table, pixels, out=one)
        cv2.transform(one, matrix, three)
        ROOT(flat(three), high, low)
        return cv2.transform(one, self.to_lab, three)

    def _pixels_to_rgb(self, pixels, one, two, three, clip):
        f, high, low = flat(cv2.transform(pixels, self.to_f, one)), flat(two), flat(three)
        if clip:
            f[2::3].clamp_(min=0)                                                 # as in colorlib.lab
        torch.clamp(f, min=CUBE_KNEE, out=high)
        torch.mul(high, high, out=low).mul_(high)
        low.add_(f.clamp_(max=CUBE_KNEE), alpha=1 / 7.787)
        cv2.transform(three, self.from_xyz, one)
        rgb = ENCODE(f, high, low).add_(ENCODE.constant)
        if clip:
            rgb.clamp_(0, 1)
        return two


def after(matrix, constant, more=0.0):
    """A `(3, 3)` matrix that is fed with values short of a constant -> `(3, 4)` float32 that adds it, and `more`."""
    return np.hstack([matrix, constant * matrix.sum(1, keepdims=True) + more]).astype(np.float32)


def strip_by_strip(convert, x):
    """A conversion of interleaved pixels, array `(1, P, 3)` -> the same in float32, on a tensor `(..., 3, H, W)` or an array `(..., 3)` of any size."""
    if isinstance(x, np.ndarray):
        result = np.empty(x.shape, np.float32)
        pixels, targets = np.ascontiguousarray(x).reshape(1, -1, 3), result.reshape(1, -1, 3)
        in_strips(convert, x.dtype, pixels.shape[1], lambda strip, room: np.copyto(room, pixels[:, strip]), lambda strip, found: np.copyto(targets[:, strip], found))
        return result
    result = torch.empty(x.shape)
    flat_shape = -1, 3, 1, x.shape[-2] * x.shape[-1]
    for plane, target in zip(x.detach().contiguous().view(flat_shape).numpy(), result.view(flat_shape).numpy()):      # (3, 1, P)
        in_strips(convert, plane.dtype, plane.shape[2], lambda strip, room: cv2.merge([row[:, strip] for row in plane], room),
                  lambda strip, found: cv2.split(found, [row[:, strip] for row in target]))
    return result


def in_strips(convert, dtype, count, fill, take):
    """Convert `count` pixels: fill(strip, room `(1, p, 3)`) puts those of a strip, a slice, into its place, take(strip, found) has them converted."""
    room, *rooms = ROOMS.of(dtype, count)
    for start in range(0, count, STRIP):
        strip = slice(start, min(start + STRIP, count))
        fill(strip, room[:, :strip.stop - start])
        take(strip, convert(room, *rooms)[:, :strip.stop - start])


class Rooms(threading.local):
    """Places to work in, made once for each thread: fresh memory would cost as much as the arithmetic."""

    def __init__(self):
        self.made = {}

    def of(self, dtype, count):
        """Four arrays `(1, P, 3)` for strips of at most `count` pixels: one of a dtype, three float32."""
        most, found = (min(STRIP, count) + 2 * LANES) // LANES * LANES, []
        for place in ((0, dtype), (1, np.dtype(np.float32)), (2, np.dtype(np.float32)), (3, np.dtype(np.float32))):
            if place not in self.made:
                self.made[place] = np.zeros((1, STRIP + 2 * LANES, 3), place[1])
            found.append(self.made[place][:, :most])
        return found


ROOMS = Rooms()


def flat(pixels):
    """An array's own memory as a flat tensor."""
    return torch.from_numpy(pixels).view(-1)
