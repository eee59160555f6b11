"""Training batches: which samples an update gets, cut and mirrored how, and processes that make them ready while the device works."""
import contextlib
import hashlib
import itertools
import json
import os
import signal
import threading
import warnings
from typing import NamedTuple

import torch

from colorlib.data.packing import Packed
from colorlib.data.resident import Resident
from colorlib.data.streaming import Streamed

__all__ = ["batches", "check_feed", "describe_feed", "check_unchanged", "collate", "augment"]

AHEAD = 4           # batches each worker has ready
MOST_REPEATS = 1000  # of one picture in a batch: more are a slip of the finger
GONE = ("A process that loads pictures was ended from outside, mostly for want of memory: start fewer with --workers; the same command goes on from the last "
        "checkpoint.")


def batches(dataset, batch_size, *, seed=0, first=0, steps=None, crop=None, flip=True, workers=0, rank=0, world=1, pin=False):
    """Endless shuffled training batches, each a function of (seed, update number) alone: a run can stop and go on.

    dataset: map-style, samples are dicts; a `Resident` gives its batches on its device, a `Streamed` its shards' (see
    there). Yields dicts: tensors stacked `(N, ...)`, everything else as lists. first: updates already done; steps: last
    update. crop: random square crops of every picture-like tensor (..., H, W), the same for all of a sample; flip: mirror
    half of them. rank/world: this process's share of each batch; the shares together are the batch of world=1. workers:
    processes that read, cut and collate whole batches; they change none. pin: into memory that a GPU copies from by
    itself. Raises ValueError for a data set that is empty or can only be read from start to end, and for sizes and seeds
    that make no sense; ChildProcessError for a worker that was ended.

    >>> pictures = Packed(torch.zeros(10, 16, 16, 3, dtype=torch.uint8).numpy(), [str(i) for i in range(10)])
    >>> epoch = list(batches(pictures, 5, steps=2, crop=8))
    >>> epoch[0]["rgb"].shape, sorted(sum((batch["id"] for batch in epoch), [])) == pictures.ids
    (torch.Size([5, 3, 8, 8]), True)
    """
    check_feed(batch_size, seed, workers, world)
    if isinstance(dataset, torch.utils.data.IterableDataset):
        raise ValueError(f"{type(dataset).__name__} can only be read from start to end: pass pack(dataset) instead, "
                         "which can be shuffled.")
    if len(dataset) == 0:
        raise ValueError("The data set is empty: check the folder's path and the report of skipped files.")
    if batch_size > MOST_REPEATS * len(dataset):
        raise ValueError(f"A batch of {batch_size:,} is more than {MOST_REPEATS:,} times the {len(dataset):,} pictures there are: lower --batch-size.")
    if batch_size > len(dataset) and not isinstance(dataset, Streamed) and rank == 0:
        warnings.warn(f"A batch of {batch_size} is more than the {len(dataset)} pictures there are: every update sees some of them several times.")
    cutter = Cutter(seed, crop, flip, rank, world)
    options = {"num_workers": workers, "batch_size": None, "collate_fn": as_it_is, "pin_memory": pin, "prefetch_factor": AHEAD if workers else None,
               "generator": torch.Generator().manual_seed(seed),                               # not the run's own
               "worker_init_fn": leave_signals}
    if isinstance(dataset, Streamed):
        part = dataset.part(batch_size // world, cutter, first, workers)
        feed = itertools.islice(torch.utils.data.DataLoader(part, **options), None if steps is None else max(0, steps - first))
    else:
        sampler = StepSampler(len(dataset), batch_size, seed, first, steps, rank, world)
        fetch = Fetch(dataset, cutter)
        feed = map(fetch.__getitem__, sampler) if isinstance(dataset, Resident) else torch.utils.data.DataLoader(fetch, sampler=sampler, **options)
    with said_plainly(workers), ended(iter(feed)) as feed:
        yield from feed


@contextlib.contextmanager
def ended(feed):
    """End a loader's workers with the context, without a word about those that were ended from outside."""
    try:
        yield feed
    finally:
        if hasattr(feed, "_shutdown_workers"):
            with contextlib.suppress(RuntimeError):
                feed._shutdown_workers()


def check_feed(batch_size, seed=0, workers=0, world=1):
    """Raises ValueError for what `batches` cannot do, before anything is read.

    >>> check_feed(batch_size=10, world=4)
    Traceback (most recent call last):
    ValueError: batch_size 10 cannot be shared by 4 processes: take a multiple of 4.
    """
    if batch_size % world:
        raise ValueError(f"batch_size {batch_size} cannot be shared by {world} processes: take a multiple of {world}.")
    if workers < 0:
        raise ValueError(f"workers is {workers}: give 0 to load pictures in the process itself, or how many processes are to.")
    if workers > (most := max(64, 4 * (os.cpu_count() or 1))):
        raise ValueError(f"workers is {workers}: that many processes only stand in each other's way; give at most {most}.")
    if not -2 ** 32 < seed < 2 ** 32:
        raise ValueError(f"seed is {seed}: give a number below 2^32.")


@contextlib.contextmanager
def said_plainly(workers):
    """What a worker complains of in its own sentence, without the lines it was said in; ChildProcessError for one that is gone."""
    try:
        yield
    except (ValueError, OSError, EOFError) as error:
        if not str(error).startswith("Caught "):
            if workers and isinstance(error, (ConnectionError, EOFError)):      # the pipe that its batches came through
                raise ChildProcessError(GONE) from error
            raise
        raise (OSError if isinstance(error, OSError) else ValueError)(str(error).strip().splitlines()[-1].partition(": ")[2]) from None


def as_it_is(batch):
    return batch


def leave_signals(_):
    """In a worker: what a terminal or a cluster sends to all processes to stop them is left to the training, which may still want batches to end its update."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if hasattr(signal, "SIGHUP"):
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
    if hasattr(signal, "sigwaitinfo"):
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
        threading.Thread(target=end_for_parent, daemon=True).start()


def end_for_parent():
    """End this worker at a SIGTERM of the process it works for, at no other's; it also ends, by torch, when that process does."""
    while signal.sigwaitinfo({signal.SIGTERM}).si_pid != os.getppid():
        pass
    os._exit(0)


def describe_feed(dataset, batch_size, *, seed=0, crop=None, flip=True, workers=0, world=1):
    """What the batches of `batches` depend on, {name: plain value}: a run that goes on with other values is another run.

    >>> sorted(describe_feed(Packed(torch.zeros(10, 16, 16, 3).numpy(), list("abcdefghij")), 5))
    ['batch_size', 'crop', 'flip', 'pictures', 'seed']
    """
    known = {"batch_size": int(batch_size), "seed": int(seed), "crop": crop and int(crop), "flip": bool(flip), "pictures": fingerprint(dataset)}
    return known | ({"reading processes": world * max(1, workers)} if isinstance(dataset, Streamed) else {})


def fingerprint(dataset):
    """What tells a map-style data set from another, 16 hex digits: how many samples, their ids and, of packs and shards, their content."""
    found = hashlib.sha256()
    while dataset is not None:
        ids = dataset.ids if hasattr(dataset, "ids") else getattr(dataset, "indices", None)
        found.update(json.dumps([len(dataset), None if ids is None else list(ids), getattr(dataset, "digest", None)], default=str).encode())
        dataset = getattr(dataset, "dataset", None)
    return found.hexdigest()[:16]


def check_unchanged(dataset):
    """Raises ValueError when a pack that a map-style data set is made of was written into since it was opened.

    >>> check_unchanged(Packed(torch.zeros(2, 8, 8, 3).numpy(), ["a", "b"]))      # in memory, so nobody can
    """
    while dataset is not None:
        if isinstance(dataset, Packed):
            dataset.check()
        dataset = getattr(dataset, "dataset", getattr(dataset, "packed", None))


class StepSampler:
    """(update, its samples' places) for updates first, first + 1, ...: epoch e is a permutation, cut into batches end to end."""

    def __init__(self, count, batch_size, seed, first, steps, rank, world):
        self.count, self.batch_size, self.seed, self.first, self.steps = count, batch_size, seed, first, steps
        self.rank, self.world = rank, world

    def __len__(self):
        if self.steps is None:
            raise TypeError("Endless batches have no length.")
        return max(0, self.steps - self.first)

    def __iter__(self):
        epoch, order = None, None
        for update in itertools.count(self.first) if self.steps is None else range(self.first, self.steps):
            indices, position, end = [], update * self.batch_size, (update + 1) * self.batch_size
            while position < end:
                if position // self.count != epoch:
                    epoch = position // self.count
                    order = torch.randperm(self.count,
                                           generator=torch.Generator().manual_seed(self.seed * 1_000_003 + epoch))
                place = position % self.count
                indices += order[place:place + end - position].tolist()
                position = update * self.batch_size + len(indices)
            yield update, indices[self.rank::self.world]


class Fetch(torch.utils.data.Dataset):
    """Whole batches of a map-style data set, cut: `[update, places]`."""

    def __init__(self, dataset, cutter):
        self.dataset, self.cutter = dataset, cutter

    def __getitem__(self, wanted):
        update, places = wanted
        if isinstance(self.dataset, Resident):
            return self.cutter(self.dataset.gather(places), update)
        packed, inside = within(self.dataset, places)
        if type(packed) is Packed:      # no more is read of its pictures than what stays of them
            return packed.gather(inside, self.cutter.plan(packed.picture_sizes(), len(places), update))
        return self.cutter(collate([self.dataset[i] for i in places]), update)


def within(dataset, places):
    """The data set that a (repeated) `Subset` is of, and the places there."""
    while isinstance(dataset, torch.utils.data.Subset):
        dataset, places = dataset.dataset, [dataset.indices[i] for i in places]
    return dataset, places


def collate(samples):
    """A list of sample dicts -> one dict: tensors stacked, the rest as lists. Raises ValueError if they do not fit.

    >>> batch = collate([{"id": "a", "rgb": torch.zeros(3, 8, 8)}, {"id": "b", "rgb": torch.ones(3, 8, 8)}])
    >>> batch["rgb"].shape, batch["id"]
    (torch.Size([2, 3, 8, 8]), ['a', 'b'])
    """
    batch = {}
    for key, value in samples[0].items():
        differs = lambda s: key not in s or torch.is_tensor(value) and s[key].shape != value.shape
        if misfit := next(filter(differs, samples), None):
            what = f"is {tuple(misfit[key].shape)}, not {tuple(value.shape)}" if key in misfit else "is missing"
            raise ValueError(f"{key} of {misfit.get('id', 'a sample')} {what}, so no batch can be made: give the "
                             "source a size, and mix only samples with the same keys.")
        batch[key] = torch.stack([s[key] for s in samples]) if torch.is_tensor(value) else [s[key] for s in samples]
    return batch


# ---------------------------------------------------------------- crops and mirror images

class Cut(NamedTuple):
    """Crops of `side` (h, w) px at top, left, `(N,)` each, mirrored where `mirror` says so."""
    top: torch.Tensor
    left: torch.Tensor
    side: tuple
    mirror: torch.Tensor


class Cutter:
    """How the batches of a training are cut: see `batches`."""

    def __init__(self, seed, crop, flip, rank, world):
        self.seed, self.crop, self.flip, self.rank, self.world = seed, crop, flip, rank, world

    def generator(self, update):
        return torch.Generator().manual_seed((self.seed * 1_000_003 + update) * 1009 % 2 ** 63)

    def plan(self, sizes, count, update):
        """The `Cut` of an update's share, or None; see `plan_cut`."""
        return plan_cut(sizes, count, self.generator(update), self.crop, self.flip, self.rank, self.world)

    def __call__(self, batch, update):
        return augment(batch, self.generator(update), self.crop, self.flip, self.rank, self.world)


def augment(batch, generator, crop=None, flip=True, rank=0, world=1):
    """Random crops and mirror images, the same for every picture-like tensor `(N, ..., H, W)` of a sample.

    Picture-like: at least four axes. Coordinates and optical flow are not: they would have to change with the mirror.
    generator: a torch.Generator. rank/world: the batch is this share (samples rank, rank + world, ...) of a larger one,
    and is treated as that part of it would be. Raises ValueError for a crop larger than the pictures, and for pictures of
    different sizes.

    >>> rgb = torch.arange(64).view(1, 1, 8, 8)
    >>> cut = augment({"rgb": rgb, "L": rgb, "label": torch.tensor([3])}, torch.Generator().manual_seed(0), crop=4)
    >>> cut["rgb"].shape, torch.equal(cut["rgb"], cut["L"])
    (torch.Size([1, 1, 4, 4]), True)
    """
    pictures = {key: value for key, value in batch.items() if torch.is_tensor(value) and value.ndim >= 4}
    count = len(next(iter(pictures.values()), ()))
    found = plan_cut({key: tuple(value.shape[-2:]) for key, value in pictures.items()}, count, generator, crop, flip, rank, world)
    if found is None:
        return batch
    return batch | {key: (cut_at_once if value.is_cuda else cut_in_turn)(value, *found) for key, value in pictures.items()}


def plan_cut(sizes, count, generator, crop=None, flip=True, rank=0, world=1):
    """The random `Cut` of `count` samples, or None where nothing is to be done. sizes: {key: (height, width)} of what is
    picture-like; for the rest see `augment`. Raises ValueError for sizes that differ or are too small."""
    if not sizes or not (crop or flip):
        return None
    first, (height, width) = next(iter(sizes.items()))
    if misfit := next((key for key, size in sizes.items() if size != (height, width)), None):
        raise ValueError(f"{misfit} is {sizes[misfit]} but {first} {(height, width)}: aligned "
                         "pictures must have one size to be cropped and mirrored alike.")
    if crop and (crop > height or crop > width):
        raise ValueError(f"crop {crop} is larger than the pictures ({height} x {width}): lower it or prepare larger "
                         "pictures.")
    count *= world
    side = (crop, crop) if crop else (height, width)
    top = torch.randint(0, height - side[0] + 1, (count,), generator=generator)[rank::world]
    left = torch.randint(0, width - side[1] + 1, (count,), generator=generator)[rank::world]
    mirror = (torch.rand(count, generator=generator) < 0.5 if flip
              else torch.zeros(count, dtype=torch.bool))[rank::world]
    return Cut(top, left, side, mirror)


def cut_in_turn(value, top, left, side, mirror):
    """Crops of `side` (h, w) px at top, left of each of `(N, ..., H, W)`, mirrored where `mirror` says so: by slices, which is quickest on a CPU."""
    crops = (one[..., y:y + side[0], x:x + side[1]] for one, y, x in zip(value, top, left))
    return torch.stack([one.flip(-1) if mirrored else one for one, mirrored in zip(crops, mirror)])


def cut_at_once(value, top, left, side, mirror):
    """The same in one kernel, for a GPU."""
    rows, columns = top[:, None] + torch.arange(side[0]), left[:, None] + torch.arange(side[1])         # (N, h), (N, w)
    columns = torch.where(mirror[:, None], columns.flip(1), columns)
    places = (rows[:, :, None] * value.shape[-1] + columns[:, None, :]).flatten(1).to(value.device)     # (N, h w)
    flat = value.reshape(len(value), -1, value.shape[-2] * value.shape[-1])                             # (N, channels, H W)
    return flat.gather(2, places[:, None].expand(-1, flat.shape[1], -1)).view(*value.shape[:-2], *side)
