"""Training straight from tar shards, for sets too big to be packed: each shard is read from start to end, which disks and
object stores do best.

Epoch e is a permutation of the shards by (seed, e), dealt to the processes of a training and to the workers of each, so
that each shard is read once an epoch in all. What a worker reads goes through a buffer of undecoded pictures, out of which
one after the other is drawn. A worker whose shards are done begins with its next epoch, however far the others are: nobody
waits for anybody, and all make equally many updates.
"""
import hashlib
import itertools
import json
import os
import random
import re
import tarfile
import warnings
import zlib
from functools import cached_property

import torch

from colorlib import files
from colorlib.data.archives import ends_well
from colorlib.data.packing import Report, cache_path, pack, remember
from colorlib.data.shards import CUT_SHORT, split_name
from colorlib.data.sources import check_sample

__all__ = ["Streamed"]

BUFFER = 1000           # undecoded pictures to draw from, a worker; of ImageNet's files 110 MB
PATIENCE = 1000         # unusable pictures, or epochs without any, in a row
LOOK = "look through the shards with `python -m colorlib data`."
META = r"__[^/]*__($|/)"        # names that webdataset leaves out
HEAD = 2000             # pictures that stand for the whole set where samples are asked for by number


class Streamed(torch.utils.data.Dataset):
    """Tar shards as a training set: `batches` makes endless batches of them, the same ones for the same numbers of processes and workers.

    shards: a `Shards` with a size, larger than the crops. buffer: undecoded pictures that each worker holds. Whoever asks
    for samples by number, to count colours for instance, gets the first pictures of all shards, packed. Damaged tars are
    named in a warning and read as far as they go. Where a picture cannot be used (grey, unreadable), the one that follows
    is shown in its place, and again in its turn: so update k begins at the same picture whatever became of those before,
    and a run that goes on need not decode them.

    >>> from colorlib.data import SceneSet, Shards, batches, write_shards
    >>> paths = write_shards(SceneSet(6, size=32, cache=False), "tars", per_shard=2)
    >>> stream = Streamed(Shards("tars", size=32))
    >>> stream.count, next(batches(stream, batch_size=4, crop=16))["rgb"].shape
    (6, torch.Size([4, 3, 16, 16]))
    """

    def __init__(self, shards, buffer=BUFFER, head=HEAD):
        self.shards, self.buffer, self.head = shards, buffer, pack(Head(shards, head))
        self.ids, self.classes, self.report = self.head.ids, self.head.classes, self.head.report
        self.stamps = {url: files.stamp(name) for url, name in shards.urls.items() if url.startswith("file:")}
        for url, name in shards.urls.items():
            if url.startswith("file:") and name.endswith(".tar") and not has_end(name):
                warnings.warn(f"{name}: {CUT_SHORT.format('no end mark')}")

    @property
    def digest(self):
        """A hash that changes with the names of the shards and, of those on this machine, with their sizes."""
        sizes = [(os.path.basename(name), (self.stamps.get(url) or [None])[0]) for url, name in self.shards.urls.items()]
        return hashlib.sha256(json.dumps(sizes).encode()).hexdigest()

    def __len__(self):
        return len(self.head)

    def __getitem__(self, i):
        return self.head[i]

    @property
    def count(self):
        """How many pictures all shards hold, the unusable ones included; None where that cannot be told without reading them."""
        counts = self.counts.values()
        return None if None in counts else sum(counts)

    @cached_property
    def counts(self):
        """{address: samples in that shard, None if it is damaged or not on this machine}; remembered in the cache, as looking
        through many tars takes a while."""
        local, stamp = [url for url in self.shards.urls if url.startswith("file:")], self.shards.stamp()
        file = cache_path(self.shards).with_name(cache_path(self.shards).name + ".counts.json")
        try:
            found = json.loads(file.read_text())
            counts = found["counts"] if found["stamp"] == stamp else None
        except (OSError, ValueError, KeyError, TypeError):      # none yet, or a damaged one
            counts = None
        if counts is None:
            counts = [count_samples(self.shards.urls[url]) for url in local]
            remember(file, {"stamp": stamp, "counts": counts})
        return dict.fromkeys(self.shards.urls) | dict(zip(local, counts))

    def part(self, batch_size, cutter, first, workers):
        """A `Part`, this process's batches from update `first` on; cutter: a `feeding.Cutter`. Raises ValueError for fewer
        shards than workers in all processes."""
        parts = cutter.world * max(1, workers)
        if len(self.shards.urls) < parts:
            raise ValueError(f"{len(self.shards.urls)} shards cannot be dealt to {cutter.world} processes with {max(1, workers)} workers each: write more and "
                             "smaller ones, or start fewer.")
        return Part(self, batch_size, cutter, first, max(1, workers), self.counts if first else dict.fromkeys(self.shards.urls))


class Part(torch.utils.data.IterableDataset):
    """What one process gets of a `Streamed`, as endless batches. Update u is made from the shards of deal u % workers, whichever worker now does it."""

    def __init__(self, streamed, batch_size, cutter, first, workers, counts):
        self.shards, self.classes, self.buffer, self.stamps = streamed.shards, streamed.classes, streamed.buffer, streamed.stamps
        self.batch_size, self.cutter, self.first, self.workers, self.counts = batch_size, cutter, first, workers, counts

    def __iter__(self):
        from colorlib.data.feeding import collate      # which imports this file
        info = torch.utils.data.get_worker_info()
        update = self.first + (info.id if info else 0)
        deal = update % self.workers
        members = self.members(self.cutter.rank + self.cutter.world * deal, update // self.workers * self.batch_size)
        ahead = []
        while True:
            ahead += itertools.islice(members, max(0, self.batch_size - len(ahead)))
            good, place = [], 0
            while len(good) < self.batch_size:
                if place == len(ahead):
                    ahead.append(next(members))
                good += self.decode(ahead[place])
                place += 1
                if place > self.batch_size + PATIENCE:
                    raise ValueError(f"Of {place} pictures in a row, up to {ahead[-1]['name']}, nearly none can be used: {LOOK}")
            yield self.cutter(collate(good), update)
            ahead, update = ahead[self.batch_size:], update + self.workers

    def decode(self, member):
        """[sample], or [] for what cannot be used."""
        sample = check_sample(lambda: {"id": member["name"]} | self.shards.read_member(member, self.classes), self.shards.drop_gray)
        if isinstance(sample, Exception):
            warnings.warn(f"{sample} It is left out.")
            return []
        return [] if sample.pop("gray") else [sample]

    def members(self, part, skip):
        """Undecoded samples of a part of the shards, epoch after epoch, from number `skip` on. Raises ValueError when there are none."""
        parts, seed, last = self.workers * self.cutter.world, self.cutter.seed, 0
        for epoch in itertools.count():
            urls = list(self.shards.urls)
            random.Random(f"{seed} {epoch}").shuffle(urls)
            urls = urls[part::parts]
            counts = [self.counts[url] for url in urls]
            if None not in counts and 0 < sum(counts) <= skip:
                skip, last = skip - sum(counts), epoch
                continue
            found = 0
            for found, member in enumerate(shuffled(self.read(urls), self.buffer, random.Random(f"{seed} {epoch} {part}")), 1):
                if skip:
                    skip -= 1
                else:
                    yield member
            last = epoch if found else last
            if epoch - last > PATIENCE:      # in another epoch these shards are another's
                raise ValueError(f"There is no picture in {', '.join(self.shards.urls[url] for url in urls)}: {LOOK}")

    def read(self, urls):
        for url in urls:
            report = Report()
            self.check(url)
            yield from self.shards.members([url], report)
            self.check(url)
            for name, reason in report.corrupt:
                warnings.warn(f"{name}: {reason}")

    def check(self, url):
        """Raises ValueError for a tar that is not what it was when the training began: its batches would not be those that a run which goes on would get."""
        if url in self.stamps and files.stamp(self.shards.urls[url]) != self.stamps[url]:
            raise ValueError(f"{self.shards.urls[url]} is gone or was changed since the training began: put it back; the same command goes on from the "
                             "last checkpoint.")


def shuffled(items, size, draw):
    """Items in another order: each goes into a buffer of `size`, out of which one is drawn. draw: a `random.Random`."""
    kept = []

    def take():
        place = draw.randrange(len(kept))
        kept[place], kept[-1] = kept[-1], kept[place]
        return kept.pop()
    for item in items:
        kept.append(item)
        if len(kept) > size:
            yield take()
    while kept:
        yield take()


class Head:
    """The first pictures of each of some `Shards`, at least `count` in all where there are so many; to be packed."""

    def __init__(self, shards, count):
        self.shards, self.each = shards, -(-count // len(shards.urls))
        self.size, self.classes, self.stamp = shards.size, shards.classes, shards.stamp
        self.settings = shards.settings | {"first": count}

    def stream(self, report, threads=None):
        return self.shards.stream(report, threads, each=self.each)


# ---------------------------------------------------------------- tars

def has_end(path):
    """Whether a tar that is not compressed ends with an empty block, as it must."""
    with open(path, "rb") as file:
        file.seek(0, 2)
        file.seek(max(0, file.tell() - tarfile.BLOCKSIZE))
        block = file.read()
    return len(block) == tarfile.BLOCKSIZE and not any(block)


def count_samples(path):
    """How many samples `Shards` finds in a tar; None for a damaged one."""
    count, before = 0, None
    try:
        with tarfile.open(path) as tar:
            for member in tar:
                key = split_name(member.name)[0] if member.isreg() and not re.match(META, member.name) else None
                count += key is not None and key != before
                before = key if key is not None else before
                tar.members = []
            return count if ends_well(tar) else None
    except (tarfile.TarError, EOFError, OSError, zlib.error):
        return None
