"""Many pictures at once: decoded ahead and saved by threads while the network paints, in batches where that pays, in a
memory that does not grow with their number.

What limits it: on a CPU all steps share the cores, so only what one step leaves idle is gained (decoding and encoding use
one core each); on a GPU, decoding and saving.
"""
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import groupby
from typing import NamedTuple

import numpy as np
import torch

from colorlib import images, painting, train, zoo

__all__ = ["colorize_many"]

PIXELS = 24_000_000      # of pictures painted and not yet saved, and of those that are painted together: two large photos, at some 15 bytes a pixel
GPU_BATCH = 32           # pictures that a GPU paints together; a CPU paints them one by one: as quick there, and bit for bit what `colorlib.colorize` gives
READERS = 4              # pictures decoded ahead, at most
FAULTS = ValueError, OSError, MemoryError      # what may be wrong with one picture, while the others go on


class Opened(NamedTuple):
    """A picture without its pixels, its lightness `(H, W)`, and the batch of one that the network gets."""
    picture: images.Picture
    L: np.ndarray
    batch: dict

    def shapes(self):
        """Equal for pictures that fit into one batch; sorts."""
        return sorted((name, tuple(value.shape[1:]) if torch.is_tensor(value) else ()) for name, value in self.batch.items())


def colorize_many(sources, method="best", *, hints=None, caption=None, reference=None, weights=None, model=None, working_size=None, device="auto",
                  merge="guided", precision="32-true", compile=False, batch_size=None, threads=None, save=None, max_pixels=None):
    """Colour pictures, all in the same way; yield (source, result) for each, in their order.

    sources: whatever `images.open_image` takes; a generator is read no further than needed. result: an `images.Picture` of
    the same size, or what `save(source, picture)` returned, which runs in a thread, or the ValueError, OSError or
    MemoryError that this one picture met with. Method, conditions, precision, compile, and what they raise: see
    `colorlib.colorize`. batch_size: the most that a network paints together (default: 1 on a CPU, GPU_BATCH on a GPU); threads:
    how many finish pictures, and, up to READERS, decode them (default: as many as cores, at most 8). max_pixels: see
    `images.open_image`.

    >>> album = [np.full((24, 32, 3), 119, np.uint8), "lost.jpg"]
    >>> [type(result).__name__ for _, result in colorize_many(album, "levin", hints=[(12, 16, "red")])]
    ['Picture', 'FileNotFoundError']
    """
    row = zoo.choose(method, model, weights, hints=hints, caption=caption, reference=reference)
    conditions = zoo.check_conditions(row, hints=hints, caption=caption, reference=reference)
    if "reference" in conditions:
        conditions["reference"] = images.open_image(reference)      # once for all
    model = model if model is not None else zoo.load(row.name, weights, device=device, precision=precision, compile=compile, channels_last=True)
    batch_size, threads = batch_size or (GPU_BATCH if next(model.parameters()).is_cuda else 1), threads or min(8, train.cores())
    limit = {} if max_pixels is None else {"max_pixels": max_pixels}

    def begin(source):
        picture = images.open_image(source, **limit)
        with painting.enough_memory(picture):
            L = images.lightness(picture)
            batch = painting.batch_of(row, model, picture, L, working_size, **painting.read_conditions(row, model, L, **conditions))
            return Opened(painting.without_pixels(picture), L, batch)

    def finish(source, opened, planes):
        with painting.enough_memory(opened.picture):
            picture = replace(opened.picture, rgb=painting.enlarge(row, opened.picture, opened.L, planes, merge))
            return picture if save is None else save(source, picture)

    number = min(threads, READERS)
    with ThreadPoolExecutor(number) as readers, ThreadPoolExecutor(threads) as finishers:
        finishing, pixels = deque(), 0                              # (source, pixels, future)
        for chunk in chunks(ahead(readers, begin, sources, number), batch_size):
            for (source, opened), planes in zip(chunk, paint(row, model, [opened for _, opened in chunk])):
                size = 0 if isinstance(opened, Exception) else opened.L.size
                finishing.append((source, size, planes if isinstance(planes, Exception) else finishers.submit(finish, source, opened, planes)))
                pixels += size
            chunk = opened = planes = None                          # or these pictures stay while the next ones come
            while finishing and (pixels > PIXELS or isinstance(finishing[0][2], Exception) or finishing[0][2].done()):
                source, size, future = finishing.popleft()
                pixels -= size
                yield source, outcome(future)
        for source, _, future in finishing:
            yield source, outcome(future)


def ahead(pool, function, items, number):
    """Yield (item, function(item), or what of FAULTS it raised) in order; the pool works `number` items ahead."""
    running = deque()
    for item in items:
        running.append((item, pool.submit(function, item)))
        if len(running) > number:
            item, future = running.popleft()
            yield item, outcome(future)
    while running:
        item, future = running.popleft()
        yield item, outcome(future)


def outcome(future):
    """What a future gives, or which of FAULTS it raised; an exception as it is."""
    if isinstance(future, Exception):
        return future
    try:
        return future.result()
    except FAULTS as error:
        return error


def chunks(opened, size):
    """Lists of (source, `Opened` or exception): `size` of them, or fewer with at least PIXELS together."""
    chunk, pixels = [], 0
    for source, one in opened:
        chunk.append((source, one))
        pixels += 0 if isinstance(one, Exception) else one.L.size
        if len(chunk) == size or pixels >= PIXELS:
            yield chunk
            chunk, pixels = [], 0
    if chunk:
        yield chunk


def paint(row, model, opened):
    """Planes `(C, h, w)` of each `Opened`, those of equal shapes painted together; exceptions stay what they are."""
    found = list(opened)
    numbers = sorted((i for i, one in enumerate(opened) if not isinstance(one, Exception)), key=lambda i: opened[i].shapes())
    for _, group in groupby(numbers, key=lambda i: opened[i].shapes()):
        group = list(group)
        try:
            with painting.enough_memory(opened[group[0]].picture):
                found_here = row.papers.colorize(model, painting.join_batches([opened[i].batch for i in group])).float().cpu().numpy()
        except MemoryError as error:                                # each alone may be small enough
            found_here = [error] if len(group) == 1 else [planes for i in group for planes in paint(row, model, [opened[i]])]
        except FAULTS as error:
            found_here = [error] * len(group)
        for i, one in zip(group, found_here):
            found[i] = one
    return found
