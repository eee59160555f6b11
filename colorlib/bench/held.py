"""The bytes that tensors hold, counted operator by operator, with numbers or without."""
import contextlib
import gc
import weakref
from functools import _lru_cache_wrapper
from unittest import mock

import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode, unset_fake_temporarily
from torch.utils._python_dispatch import TorchDispatchMode

from colorlib import lab
from colorlib.lab import bin_table

__all__ = ["Held", "shapes_only", "MIB"]

MIB = 2 ** 20
ATEN = torch.ops.aten


class Held(TorchDispatchMode):
    """Counts the bytes of the tensors that operators make inside, as long as they live: `now`, and `most` at a time, both in MiB.

    Scratch memory inside a kernel and NumPy's arrays are not seen. Under `shapes_only` it answers what cannot be known there: a number that Python asks a
    tensor for is 1, a whole one 0, a truth value True, and a mask chooses nothing.

    >>> with Held() as held:
    ...     x = torch.zeros(1024, 1024)      # float32: 4 MiB
    ...     del x
    >>> held.now, held.most
    (0.0, 4.0)
    """

    def __init__(self):
        super().__init__()
        self.known, self.bytes, self.peak = {}, 0, 0

    now = property(lambda self: self.bytes / MIB)
    most = property(lambda self: self.peak / MIB)

    def forget_peak(self):
        """From here on `most` counts anew."""
        self.peak = self.bytes

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        if isinstance(args[0] if args else None, FakeTensor):
            x = args[0]
            if function is ATEN._local_scalar_dense.default:
                return True if x.dtype == torch.bool else 1.0 if x.dtype.is_floating_point else 0
            if function is ATEN.nonzero.default:
                return x.new_empty((0, x.ndim), dtype=torch.long)
            if function in (ATEN.index.Tensor, ATEN.index_put.default, ATEN.index_put_.default):
                nothing = lambda mask: [mask.new_empty(0, dtype=torch.long)] * mask.ndim
                places = [one for index in args[1] for one in (nothing(index) if index is not None and index.dtype == torch.bool else [index])]
                args = (x, places, *args[2:])
        made = function(*args, **kwargs or {})
        if not any(one.alias_info is not None for one in function._schema.returns):      # neither a view nor what was overwritten
            for one in torch.utils._pytree.tree_leaves(made):
                if isinstance(one, torch.Tensor):
                    self.count(one.untyped_storage())
        return made

    def count(self, storage):
        key = storage._cdata
        if key not in self.known:
            self.known[key] = storage.nbytes()
            self.bytes += storage.nbytes()
            self.peak = max(self.peak, self.bytes)
            weakref.finalize(storage, self.free, key)

    def free(self, key):
        self.bytes -= self.known.pop(key)


@contextlib.contextmanager
def shapes_only():
    """Inside, tensors have shapes and no numbers, and nothing is computed; what was made outside can be used. For work under `Held`, which answers what Python
    asks of numbers; captions are all as long as the longest. Gives the mode, whose `from_tensor` takes numbers away.

    >>> with Held() as held, shapes_only():
    ...     y = torch.nn.functional.conv2d(torch.empty(64, 3, 1024, 1024), torch.empty(8, 3, 1, 1))
    >>> round(held.most), y.shape      # MiB that nobody had to allocate
    (2816, torch.Size([64, 8, 1024, 1024]))
    """
    made, has_gpu, before = bin_table._table, torch.cuda.is_available(), table_reads()

    def table(content, k, device):      # from the true bins, since its shape follows from their places
        with unset_fake_temporarily():
            return made(tuple(lab.ab_bins(len(content) // 2).flatten().tolist()), k, device)
    try:
        with FakeTensorMode(allow_non_fake_inputs=True) as mode, mock.patch.object(bin_table, "_table", table), \
                mock.patch.object(nn.utils.rnn, "pack_padded_sequence", lambda x, *_, **__: x), \
                mock.patch.object(torch.cuda, "is_available", lambda: has_gpu):      # asked at every operator, and slow to answer
            yield mode
    finally:
        gc.collect()
        for one, misses in table_reads().items():      # tables made inside have no numbers either
            if misses != before.get(one):
                one.cache_clear()


def table_reads():
    """{cached function of this package: how often it had to compute}."""
    return {one: one.cache_info().misses for one in gc.get_objects() if type(one) is _lru_cache_wrapper and (one.__module__ or "").startswith("colorlib.")}
