"""What `colorlib.lab` computes, as one Triton kernel each way and direction: every value is read once and written once, so that memory alone sets the speed.

Imported on first use on a GPU. The kernels also run on a CPU under TRITON_INTERPRET=1, which is how the tests check them.
"""
import torch
import triton
import triton.language as tl
from triton.language.extra import libdevice

__all__ = []                        # `colorlib.lab` calls it where it fits

BLOCK = 1024                        # pixels a program works on
LARGEST = 65535 * BLOCK             # pixels of a picture: one axis of the grid has no more
INTERPRETED = tl.constexpr(triton.knobs.runtime.interpret)


@triton.jit
def _power(x, exponent: tl.constexpr):      # the GPU's own logarithm, to 2^-22, is an instruction where the exact one is twenty
    return tl.exp2((tl.log2(x) if INTERPRETED else libdevice.fast_log2f(x)) * exponent)


@triton.jit
def _linearize(c):
    return tl.where(c > 0.04045, _power((tl.maximum(c, 0.04045) + 0.055) * (1 / 1.055), 2.4), c * (1 / 12.92))


@triton.jit
def _linearize_slope(c):
    return tl.where(c > 0.04045, 2.4 / 1.055 * _power((tl.maximum(c, 0.04045) + 0.055) * (1 / 1.055), 1.4), 1 / 12.92)


@triton.jit
def _encode(c):
    return tl.where(c > 0.0031308, 1.055 * _power(tl.maximum(c, 0.0031308), 1 / 2.4) - 0.055, 12.92 * c)


@triton.jit
def _encode_slope(c):
    return tl.where(c > 0.0031308, 1.055 / 2.4 * _power(tl.maximum(c, 0.0031308), 1 / 2.4 - 1), 12.92)


@triton.jit
def _root(t):
    return tl.where(t > 0.008856, _power(tl.maximum(t, 0.008856), 1 / 3), 7.787 * t + 16 / 116)


@triton.jit
def _root_slope(t):
    return tl.where(t > 0.008856, 1 / 3 * _power(tl.maximum(t, 0.008856), -2 / 3), 7.787)


@triton.jit
def _cube(f):
    return tl.where(f > 0.2068966, f * f * f, (f - 16 / 116) * (1 / 7.787))


@triton.jit
def _cube_slope(f):
    return tl.where(f > 0.2068966, 3 * f * f, 1 / 7.787)


@triton.jit
def _places(plane, block: tl.constexpr):
    """Where the first of three planes holds this program's pixels, of pictures `(N, 3, plane)`, and which of them exist."""
    pixel = tl.program_id(1) * block + tl.arange(0, block)
    return tl.program_id(0).to(tl.int64) * 3 * plane + pixel, pixel < plane


@triton.jit
def _load(x, at, plane, exists, scale: tl.constexpr):
    return (tl.load(x + at, exists).to(tl.float32) * scale, tl.load(x + at + plane, exists).to(tl.float32) * scale, tl.load(x + at + 2 * plane, exists).to(tl.float32) * scale)


@triton.jit
def _store(x, at, plane, exists, first, second, third):
    tl.store(x + at, first, exists)
    tl.store(x + at + plane, second, exists)
    tl.store(x + at + 2 * plane, third, exists)


@triton.jit
def _mix(x, y, z, m0: tl.constexpr, m1: tl.constexpr, m2: tl.constexpr, m3: tl.constexpr, m4: tl.constexpr, m5: tl.constexpr, m6: tl.constexpr, m7: tl.constexpr,
         m8: tl.constexpr):
    return m0 * x + m1 * y + m2 * z, m3 * x + m4 * y + m5 * z, m6 * x + m7 * y + m8 * z


@triton.jit
def rgb_to_lab_kernel(rgb, lab, slope, plane, scale: tl.constexpr, backward: tl.constexpr, m0: tl.constexpr, m1: tl.constexpr, m2: tl.constexpr, m3: tl.constexpr,
                      m4: tl.constexpr, m5: tl.constexpr, m6: tl.constexpr, m7: tl.constexpr, m8: tl.constexpr, block: tl.constexpr):
    """backward=False: rgb -> lab. backward=True: lab holds the gradient that came, slope takes rgb's. m: linear sRGB -> X, Y, Z over white."""
    at, exists = _places(plane, block)
    r, g, b = _load(rgb, at, plane, exists, scale)
    x, y, z = _mix(_linearize(r), _linearize(g), _linearize(b), m0, m1, m2, m3, m4, m5, m6, m7, m8)
    if backward:
        L, A, B = _load(lab, at, plane, exists, 1.0)
        x, y, z = 500 * A * _root_slope(x), (116 * L - 500 * A + 200 * B) * _root_slope(y), -200 * B * _root_slope(z)
        x, y, z = _mix(x, y, z, m0, m3, m6, m1, m4, m7, m2, m5, m8)
        _store(slope, at, plane, exists, x * _linearize_slope(r), y * _linearize_slope(g), z * _linearize_slope(b))
    else:
        fx, fy, fz = _root(x), _root(y), _root(z)
        _store(lab, at, plane, exists, 116 * fy - 16, 500 * (fx - fy), 200 * (fy - fz))


@triton.jit
def lab_to_rgb_kernel(lab, rgb, slope, plane, clip: tl.constexpr, backward: tl.constexpr, m0: tl.constexpr, m1: tl.constexpr, m2: tl.constexpr, m3: tl.constexpr,
                      m4: tl.constexpr, m5: tl.constexpr, m6: tl.constexpr, m7: tl.constexpr, m8: tl.constexpr, block: tl.constexpr):
    """backward=False: lab -> rgb. backward=True: rgb holds the gradient that came, slope takes lab's. m: X, Y, Z over white -> linear sRGB."""
    at, exists = _places(plane, block)
    L, A, B = _load(lab, at, plane, exists, 1.0)
    fy = (L + 16) * (1 / 116)
    fx, fz = fy + A * (1 / 500), fy - B * (1 / 200)
    low = fz
    if clip:
        fz = tl.maximum(fz, 0.0)
    r, g, b = _mix(_cube(fx), _cube(fy), _cube(fz), m0, m1, m2, m3, m4, m5, m6, m7, m8)
    if backward:
        dr, dg, db = _load(rgb, at, plane, exists, 1.0)
        dr, dg, db = dr * _encode_slope(r), dg * _encode_slope(g), db * _encode_slope(b)
        if clip:
            r, g, b = _encode(r), _encode(g), _encode(b)
            dr, dg, db = tl.where((r >= 0) & (r <= 1), dr, 0.0), tl.where((g >= 0) & (g <= 1), dg, 0.0), tl.where((b >= 0) & (b <= 1), db, 0.0)
        x, y, z = _mix(dr, dg, db, m0, m3, m6, m1, m4, m7, m2, m5, m8)
        x, y, z = x * _cube_slope(fx), y * _cube_slope(fy), z * _cube_slope(fz)
        if clip:
            z = tl.where(low >= 0, z, 0.0)
        _store(slope, at, plane, exists, (x + y + z) * (1 / 116), x * (1 / 500), z * (-1 / 200))
    else:
        r, g, b = _encode(r), _encode(g), _encode(b)
        if clip:
            r, g, b = tl.minimum(tl.maximum(r, 0.0), 1.0), tl.minimum(tl.maximum(g, 0.0), 1.0), tl.minimum(tl.maximum(b, 0.0), 1.0)
        _store(rgb, at, plane, exists, r, g, b)


def launch(kernel, read, write, slope, constant, backward, matrix):
    """Run a kernel over all pixels of contiguous tensors `(..., 3, H, W)`."""
    plane = read.shape[-2] * read.shape[-1]
    if read.numel():
        kernel[(read.numel() // (3 * plane), triton.cdiv(plane, BLOCK))](read, write, slope, plane, constant, backward, *matrix, BLOCK)


class Conversion(torch.autograd.Function):
    """One conversion; a second derivative goes through `plain`, the formulas in torch."""

    @staticmethod
    def forward(ctx, x, kernel, constant, matrix, plain):
        x = x.contiguous()
        result = torch.empty_like(x, dtype=torch.float32)
        launch(kernel, x, result, result, constant, False, matrix)
        ctx.save_for_backward(x)
        ctx.more = kernel, constant, matrix, plain
        return result

    @staticmethod
    def backward(ctx, gradient):
        (x,), (kernel, constant, matrix, plain) = ctx.saved_tensors, ctx.more
        if torch.is_grad_enabled():      # a gradient of the gradient is wanted
            x = x if x.requires_grad else x.detach().requires_grad_()
            return torch.autograd.grad(plain(x), x, gradient, create_graph=True)[0], None, None, None, None
        slope = torch.empty_like(x, dtype=torch.float32)
        launch(kernel, x, gradient.float().contiguous(), slope, constant, True, matrix)
        return slope.to(x.dtype), None, None, None, None


def fits(x):
    """Whether a tensor is on a GPU, of at most 32 bits, not enormous, and not being traced."""
    known = x.is_cuda and x.dtype in (torch.float32, torch.float16, torch.bfloat16, torch.uint8) and x.shape[-2] * x.shape[-1] <= LARGEST
    return known and not torch.compiler.is_compiling() and not torch.jit.is_tracing()


def rgb_to_lab(rgb, matrix, plain):
    """sRGB in [0, 1], or uint8 -> Lab, float32, of tensors `(..., 3, H, W)`. matrix: nine numbers, linear sRGB -> X, Y, Z over white; plain: the same function in torch."""
    return Conversion.apply(rgb, rgb_to_lab_kernel, 1 / 255 if rgb.dtype == torch.uint8 else 1.0, matrix, plain)


def lab_to_rgb(lab, clip, matrix, plain):
    """Lab -> sRGB, float32; clip as in `colorlib.lab.lab_to_rgb`. matrix: nine numbers, X, Y, Z over white -> linear sRGB."""
    return Conversion.apply(lab, lab_to_rgb_kernel, clip, matrix, plain)
