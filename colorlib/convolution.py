"""Convolutions, and the norm that goes with them, that train faster; their numbers are those of `torch.nn`'s but for rounding.

On a CPU torch takes the layout of its input for all of a convolution's gradients. In float32 channels_last is best for the output and for the
gradient of the input, but the gradient of the weight then takes up to four times as long (measured with oneDNN 3.10 on an AVX-512 core), so it is
made from contiguous copies. A gradient of a gradient, as in a gradient penalty, torch makes by a convolution whose kernel is as large as the map;
here it is a gradient like the others, since sum(conv(x, w) * g) is linear in x, in w and in g: its three derivatives are each other's.
"""
import torch
import torch.nn.functional as F
from torch import nn

__all__ = ["conv2d", "conv_transpose2d", "interleave", "Conv2d", "ConvTranspose2d", "InstanceNorm2d"]

LAST = torch.channels_last


def conv2d(x, weight, bias=None, stride=1, padding=0, dilation=1, twice=False):
    """`F.conv2d` of x `(N, I, H, W)` and weight `(O, I, k, l)`. On a CPU that trains the result is in channels_last. stride, padding, dilation:
    numbers, or a number a side. twice: differentiated twice, so that a GPU takes this way, too.

    >>> y = conv2d(torch.rand(1, 2, 5, 5), torch.rand(3, 2, 3, 3, requires_grad=True))
    >>> y.shape, y.is_contiguous(memory_format=LAST)
    (torch.Size([1, 3, 3, 3]), True)
    """
    if not pays(x, weight, twice):
        return F.conv2d(x, weight, bias, stride, padding, dilation)
    x, weight, bias = lower(x.contiguous(memory_format=LAST) if x.device.type == "cpu" else x, weight, bias)
    return Product.apply(x, weight, bias, *map(pair, (stride, padding, dilation)))


def conv_transpose2d(x, weight, bias=None, stride=1, padding=0):
    """`F.conv_transpose2d` of x `(N, I, H, W)` and weight `(I, O, k, l)`, see `conv2d`.

    >>> conv_transpose2d(torch.rand(1, 2, 5, 5), torch.rand(2, 3, 4, 4, requires_grad=True), stride=2, padding=1).shape
    torch.Size([1, 3, 10, 10])
    """
    if not pays(x, weight):
        return F.conv_transpose2d(x, weight, bias, stride, padding)
    x, weight, bias = lower(x.contiguous(memory_format=LAST), weight, bias)
    stride, padding = pair(stride), pair(padding)
    sides = [(side - 1) * s - 2 * p + k for side, s, p, k in zip(x.shape[2:], stride, padding, weight.shape[2:])]
    x = InputGradient.apply(x, weight, (len(x), weight.shape[1], *sides), stride, padding, (1, 1))
    return x if bias is None else x + bias.view(-1, 1, 1)


def pays(x, weight, twice=False):
    """Whether there are gradients to come, on a CPU; a traced or compiled network takes torch's own way."""
    return (torch.is_grad_enabled() and (x.requires_grad or weight.requires_grad) and (twice or x.device.type == "cpu")
            and not (torch.compiler.is_compiling() or torch.jit.is_tracing()))


def lower(*tensors):
    """Under autocast, in its precision, as `F.conv2d` has it."""
    kind = tensors[0].device.type
    dtype = torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else tensors[0].dtype
    return [one if one is None or one.dtype == torch.float64 else one.to(dtype) for one in tensors]


def channels_first(x):
    """`x.contiguous()` of `(N, C, H, W)`; from channels_last in squares of 60 x 60 numbers, for which torch has a way that it takes for matrices
    alone."""
    if x.is_contiguous() or not x.is_contiguous(memory_format=LAST):
        return x.contiguous()
    y = torch.empty(x.shape, dtype=x.dtype)
    for source, target in zip(x, y):
        target.flatten(1).copy_(source.permute(1, 2, 0).flatten(0, 1).t())
    return y


def pair(value):
    return tuple(value) if isinstance(value, (tuple, list)) else (value, value)


def backward(g, x, weight, where, wanted):
    stride, padding, dilation = where
    return torch.ops.aten.convolution_backward(g, x, weight, None, stride, padding, dilation, False, [0, 0], 1, [wanted == "x", wanted == "weight", False])


class Product(torch.autograd.Function):
    """x, weight -> conv(x, weight) + bias."""

    @staticmethod
    def forward(ctx, x, weight, bias, *where):
        ctx.where, ctx.shapes = where, (x.shape, weight.shape)
        ctx.save_for_backward(x if ctx.needs_input_grad[1] else None, weight if ctx.needs_input_grad[0] else None)
        y = F.conv2d(x, weight, bias, *where)
        return y.contiguous(memory_format=LAST) if x.device.type == "cpu" else y

    @staticmethod
    def backward(ctx, g):
        x, weight = ctx.saved_tensors
        return (InputGradient.apply(g, weight, ctx.shapes[0], *ctx.where) if ctx.needs_input_grad[0] else None,
                WeightGradient.apply(x, g, ctx.shapes[1], *ctx.where) if ctx.needs_input_grad[1] else None,
                g.sum((0, 2, 3)) if ctx.needs_input_grad[2] else None, None, None, None)


class InputGradient(torch.autograd.Function):
    """g, weight -> the derivative of sum(conv(x, weight) * g) by x."""

    @staticmethod
    def forward(ctx, g, weight, shape, *where):
        ctx.where, ctx.weight_shape = where, weight.shape
        ctx.save_for_backward(g if ctx.needs_input_grad[1] else None, weight if ctx.needs_input_grad[0] else None)
        g = g.contiguous(memory_format=LAST) if g.device.type == "cpu" else g
        return backward(g, torch.empty(shape, dtype=g.dtype, device=g.device, memory_format=LAST), weight, where, "x")[0]

    @staticmethod
    def backward(ctx, x):
        g, weight = ctx.saved_tensors
        return (Product.apply(x, weight, None, *ctx.where) if ctx.needs_input_grad[0] else None,
                WeightGradient.apply(x, g, ctx.weight_shape, *ctx.where) if ctx.needs_input_grad[1] else None, None, None, None, None)


class WeightGradient(torch.autograd.Function):
    """x, g -> the derivative of sum(conv(x, weight) * g) by the weight."""

    @staticmethod
    def forward(ctx, x, g, shape, *where):
        ctx.where, ctx.input_shape = where, x.shape
        ctx.save_for_backward(x if ctx.needs_input_grad[1] else None, g if ctx.needs_input_grad[0] else None)
        if x.device.type == "cpu":
            x, g = (one.contiguous(memory_format=LAST) if one.dtype == torch.bfloat16 else channels_first(one) for one in (x, g))
        return backward(g, x, torch.empty(shape, dtype=g.dtype, device=g.device), where, "weight")[1]

    @staticmethod
    def backward(ctx, weight):
        x, g = ctx.saved_tensors
        return (InputGradient.apply(g, weight, ctx.input_shape, *ctx.where) if ctx.needs_input_grad[0] else None,
                Product.apply(x, weight, None, *ctx.where) if ctx.needs_input_grad[1] else None, None, None, None, None)


def interleave(x):
    """What four 2x2 convolutions make of a map, one for each place in a doubled pixel, `(N, 4 O, H + 1, W + 1)` -> `(N, O, 2 H, 2 W)`, put together:
    `F.pixel_shuffle` without the outermost pixels.

    >>> x = torch.arange(16.0).view(1, 4, 2, 2)      # of the 4 x 4 pixels the inner ones stay
    >>> F.pixel_shuffle(x, 2)[0, 0].tolist()[1:3], interleave(x.requires_grad_())[0, 0].tolist()
    ([[8.0, 12.0, 9.0, 13.0], [2.0, 6.0, 3.0, 7.0]], [[12.0, 9.0], [6.0, 3.0]])
    """
    if torch.is_grad_enabled() and x.requires_grad and x.device.type == "cpu" and not torch.compiler.is_compiling():
        return Interleaved.apply(x)
    return F.pixel_shuffle(x, 2)[..., 1:-1, 1:-1]


class Interleaved(torch.autograd.Function):
    """`interleave` in one pass instead of three; not twice differentiable."""

    @staticmethod
    def places(x, y):
        """Pairs of views, of x `(N, 4 O, H + 1, W + 1)` and of y `(N, O, 2 H, 2 W)`, that hold the same numbers."""
        height, width = y.shape[2] // 2, y.shape[3] // 2
        return [(x[:, 3 - 2 * row - column::4, row:row + height, column:column + width], y[:, :, row::2, column::2]) for row in (0, 1) for column in (0, 1)]

    @staticmethod
    def forward(ctx, x):
        number, channels, height, width = x.shape
        y = torch.empty((number, channels // 4, 2 * height - 2, 2 * width - 2), dtype=x.dtype, memory_format=torch.channels_last)
        for source, target in Interleaved.places(x, y):
            target.copy_(source)
        return y

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, g):
        number, channels, height, width = g.shape
        x = torch.zeros((number, 4 * channels, height // 2 + 1, width // 2 + 1), dtype=g.dtype).contiguous(memory_format=torch.channels_last)
        for target, source in Interleaved.places(x, g):
            target.copy_(source)
        return x


class Conv2d(nn.Conv2d):
    """`nn.Conv2d` by `conv2d`; one group, zeros beyond the border. `twice`, see there, is an attribute to set.

    >>> x, layer = torch.rand(1, 2, 5, 5), Conv2d(2, 3, 3)
    >>> torch.allclose(layer(x), F.conv2d(x, layer.weight, layer.bias), atol=1e-5)
    True
    """
    twice = False

    def _conv_forward(self, x, weight, bias):
        return conv2d(x, weight, bias, self.stride, self.padding, self.dilation, self.twice)


class ConvTranspose2d(nn.ConvTranspose2d):
    """`nn.ConvTranspose2d` by `conv_transpose2d`; one group, no output padding, no dilation.

    >>> x, layer = torch.rand(1, 2, 5, 5), ConvTranspose2d(2, 3, 4, 2, 1)
    >>> torch.allclose(layer(x), F.conv_transpose2d(x, layer.weight, layer.bias, 2, 1), atol=1e-5)
    True
    """

    def forward(self, x):
        return conv_transpose2d(x, self.weight, self.bias, self.stride, self.padding)


class InstanceNorm2d(nn.InstanceNorm2d):
    """`nn.InstanceNorm2d` without parameters or averages that leaves channels_last as it is: torch's own copies there and back, and on a CPU that
    takes longer than a batch norm of each picture.

    >>> y = InstanceNorm2d(4)(5 + torch.rand(2, 4, 8, 8))
    >>> y.mean((2, 3)).abs().max().item() < 1e-4
    True
    """

    def forward(self, x):
        if not pays(x, x):
            return super().forward(x)
        found = [F.batch_norm(one, None, None, training=True, eps=self.eps) for one in x.split(1)]
        return torch.cat(found) if len(x) > 1 else found[0]
