"""Pictures in, dict batches out: uint8 RGB until the device.

The front door to all data: sources of pictures (`Pictures`, `Shards`, `torchvision_set`), pictures with something
aligned to them (`NirPairs`, `Captioned`, `Masked`, `SceneSet`, `Clips`), captions for any of them (`WithCaptions`),
`pack`, which decodes a source once, and `batches`, which feeds training.
"""
import itertools
from collections import Counter
from pathlib import Path

import torch

from colorlib.data.captioned import WithCaptions, colored, join, open_captioned
from colorlib.data.clip_sets import SceneClips, open_clips
from colorlib.data.clips import VIDEO_SUFFIXES, Clips
from colorlib.data.downloads import download, extract
from colorlib.data.infrared import build_vcip_like, open_pairs, shared_photos, split_sets
from colorlib.data.misregistration import Misregistered, parse_misregistration
from colorlib.data.packing import Packed, Report, cache_folder, pack
from colorlib.data.pairs import Captioned, Masked, NirPairs, SceneSet, join_groups, split_ids
from colorlib.data.pseudo_infrared import PseudoInfrared, pseudo_nir
from colorlib.data.public_sets import NAMES as TORCHVISION_SETS
from colorlib.data.public_sets import torchvision_set
from colorlib.data.resident import Resident, resident
from colorlib.results import split_hash
from colorlib.data.shards import SHARD_SUFFIXES, Shards, write_shards
from colorlib.data.sources import Pictures, Source, is_gray, photo_folder, sample_photos

__all__ = ["Captioned", "Clips", "Masked", "Misregistered", "NirPairs", "Packed", "Pictures", "PseudoInfrared", "Report", "Resident", "SceneClips", "SceneSet",
           "Shards", "Source", "WithCaptions", "augment", "batches", "build_vcip_like", "cache_folder", "choose", "collate", "colored", "describe",
           "download", "extract", "is_gray", "join", "join_groups", "open_captioned", "open_clips", "open_pairs", "open_pictures", "pack",
           "parse_misregistration", "photo_folder", "pseudo_nir", "resident", "sample_photos", "shared_photos", "split_ids", "split_sets", "torchvision_set",
           "write_shards"]

SPLIT_WORDS = {"train": ("train", "training"), "val": ("val", "valid", "validation", "test", "testing")}
HELD_OUT = 0.1              # share of an unmarked folder that is its "val" split


# ---------------------------------------------------------------- training batches

def batches(dataset, batch_size, *, seed=0, first=0, steps=None, crop=None, flip=True, workers=0, rank=0, world=1):
    """Endless shuffled training batches, each a function of (seed, update number) alone: a run can stop and go on.

    dataset: map-style, samples are dicts; a `Resident` gives its batches on its device. Yields dicts: tensors stacked
    `(N, ...)`, everything else as lists. first: updates already done; steps: last update. crop: random square crops of every picture-like tensor (..., H, W), the
    same for all of a sample; flip: mirror half of them. rank/world: this process's share of each batch; the shares
    together are the batch of world=1.
    """
    if batch_size % world:
        raise ValueError(f"batch_size {batch_size} cannot be shared by {world} processes: take a multiple of {world}.")
    if isinstance(dataset, torch.utils.data.IterableDataset):
        raise ValueError(f"{type(dataset).__name__} can only be read from start to end: pass pack(dataset) instead, "
                         "which can be shuffled.")
    if len(dataset) == 0:
        raise ValueError("The data set is empty: check the folder's path and the report of skipped files.")
    sampler = StepSampler(len(dataset), batch_size, seed, first, steps, rank, world)
    loader = torch.utils.data.DataLoader(dataset, batch_sampler=sampler, num_workers=workers, collate_fn=collate,
                                         generator=torch.Generator().manual_seed(seed))    # not the run's own
    for update, batch in enumerate(map(dataset.gather, sampler) if isinstance(dataset, Resident) else loader, first):
        generator = torch.Generator().manual_seed((seed * 1_000_003 + update) * 1009 % 2 ** 63)
        yield augment(batch, generator, crop, flip, rank, world)


class StepSampler:
    """Index lists for updates first, first + 1, ...: epoch e is a permutation, cut into batches end to end."""

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
            indices = []
            for position in range(update * self.batch_size, (update + 1) * self.batch_size):
                if position // self.count != epoch:
                    epoch = position // self.count
                    order = torch.randperm(self.count,
                                           generator=torch.Generator().manual_seed(self.seed * 1_000_003 + epoch))
                indices.append(int(order[position % self.count]))
            yield indices[self.rank::self.world]


def collate(samples):
    """A list of sample dicts -> one dict: tensors stacked, the rest as lists. Raises ValueError if they do not fit."""
    batch = {}
    for key, value in samples[0].items():
        differs = lambda s: key not in s or torch.is_tensor(value) and s[key].shape != value.shape
        if misfit := next(filter(differs, samples), None):
            what = f"is {tuple(misfit[key].shape)}, not {tuple(value.shape)}" if key in misfit else "is missing"
            raise ValueError(f"{key} of {misfit.get('id', 'a sample')} {what}, so no batch can be made: give the "
                             "source a size, and mix only samples with the same keys.")
        batch[key] = torch.stack([s[key] for s in samples]) if torch.is_tensor(value) else [s[key] for s in samples]
    return batch


def augment(batch, generator, crop=None, flip=True, rank=0, world=1):
    """Random crops and mirror images, the same for every picture-like tensor `(N, ..., H, W)` of a sample.

    Picture-like: at least four axes. Coordinates and optical flow are not: they would have to change with the mirror.
    rank/world: the batch is this share (samples rank, rank + world, ...) of a larger one, and is treated as that part
    of it would be.
    """
    pictures = {key: value for key, value in batch.items() if torch.is_tensor(value) and value.ndim >= 4}
    if not pictures or not (crop or flip):
        return batch
    height, width = next(iter(pictures.values())).shape[-2:]
    first = next(iter(pictures))
    if misfit := next((key for key, value in pictures.items() if value.shape[-2:] != (height, width)), None):
        raise ValueError(f"{misfit} is {tuple(pictures[misfit].shape[-2:])} but {first} {(height, width)}: aligned "
                         "pictures must have one size to be cropped and mirrored alike.")
    if crop and (crop > height or crop > width):
        raise ValueError(f"crop {crop} is larger than the pictures ({height} x {width}): lower it or prepare larger "
                         "pictures.")
    count = len(next(iter(pictures.values()))) * world
    side = (crop, crop) if crop else (height, width)
    top = torch.randint(0, height - side[0] + 1, (count,), generator=generator)[rank::world]
    left = torch.randint(0, width - side[1] + 1, (count,), generator=generator)[rank::world]
    mirror = (torch.rand(count, generator=generator) < 0.5 if flip
              else torch.zeros(count, dtype=torch.bool))[rank::world]

    cut = lambda value: (cut_at_once if value.is_cuda else cut_in_turn)(value, top, left, side, mirror)
    return batch | {key: cut(value) for key, value in pictures.items()}


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


# ---------------------------------------------------------------- from what a person types to a data set

class Chosen(torch.utils.data.Subset):
    """Some samples of a data set, with their ids."""

    @property
    def ids(self):
        return [self.dataset.ids[i] for i in self.indices]

    report = property(lambda self: getattr(self.dataset, "report", None))
    left_out = property(lambda self: getattr(self.dataset, "left_out", 0))
    classes = property(lambda self: getattr(self.dataset, "classes", None))
    starts = property(lambda self: [self.dataset.starts[i] for i in self.indices])


def choose(dataset, ids=None, limit=None):
    """The samples with these ids, in the data set's order, and of those at most `limit`, evenly spread (so over all
    classes)."""
    wanted = None if ids is None else set(ids)
    indices = [i for i, one in enumerate(dataset.ids) if wanted is None or one in wanted]
    if limit is not None and limit < len(indices):
        indices = [indices[i * len(indices) // limit] for i in range(limit)]
    return dataset if len(indices) == len(dataset) else Chosen(dataset, indices)


def open_pictures(spec, size, split="train", limit=None, download=True):
    """A packed, map-style data set of `size`-pixel squares: a torchvision set by its name, a folder of pictures, or tar
    shards.

    split: "train" or "val", or "all" of a folder or shards. A folder may hold them as sub-folders or as shards named `train*` and `val*`, or be one of
    them by its own name; of any other folder a fixed tenth, chosen by hash, is "val". "imagenette" means the shards of
    `COLORLIB_DATA` when they are there. limit: at most that many samples. download: whether a torchvision set may be
    fetched (never Places365 or CocoCaptions, which are huge). Raises FileNotFoundError when the data or their split are
    not there, ValueError for bad input, ConnectionError when a download fails.
    """
    if split not in (*SPLIT_WORDS, "all"):
        raise ValueError(f"split is {split!r}: choose train or val, or all of a folder.")
    if limit is not None and limit < 1:
        raise ValueError(f"limit is {limit}: ask for at least one picture.")
    name = str(spec).lower()
    if split == "all":
        if not Path(spec).expanduser().exists():
            raise FileNotFoundError(f"{spec} is no folder, and only of a folder can all pictures be taken: choose train or val, or check the path.")
        return choose(pack(open_source(spec, size)), limit=limit)
    if name in {one.lower() for one in TORCHVISION_SETS} and not Path(spec).exists():
        local = photo_folder() / name if photo_folder() else None
        if local is None or not local.is_dir():
            may_fetch = download and name not in ("places365", "cococaptions")
            source = torchvision_set(name, split=split, size=size, download=may_fetch)
            return choose(pack(source), limit=limit)
        spec = local
    source, is_marked = find_split(spec, size, split)
    return take_split(pack(source), is_marked, spec, split, limit)


def take_split(packed, is_marked, spec, split, limit=None):
    """The samples of one split of a packed folder or shards; is_marked: they are the split already."""
    if is_marked:
        return choose(packed, limit=limit)
    rest, held = split_ids(packed.ids, HELD_OUT)
    if not (chosen := {"train": rest, "val": held}[split]):
        raise FileNotFoundError(f"{spec} has too few pictures for a {split} split: add some, or make folders train and "
                                "val.")
    return choose(packed, chosen, limit)


def find_split(spec, size, split, open_folder=None):
    """(source, whether it is the split itself and not to be cut). open_folder: function of (folder, size) -> source, by default `open_source`."""
    open_folder = open_folder or open_source
    path = Path(spec).expanduser()
    which = lambda name: next((one for one, words in SPLIT_WORDS.items() if _first_word(name) in words), None)
    if path.is_dir():
        folders = [child for child in sorted(path.iterdir()) if child.is_dir() and child.name[0] != "."]
        marked = {which(child.name): child for child in folders}
        if None in marked and len(marked) < 3:          # bus, car, train: a class that only sounds like a split
            marked = {}
        if found := marked.get(split):
            return open_folder(found, size), True
        tars = [tar for tar in sorted(path.iterdir()) if tar.name.endswith(SHARD_SUFFIXES)]
        own = [tar for tar in tars if which(tar.name) == split]
        if own:
            return Shards(own, size), True
        if marked or any(which(tar.name) for tar in tars):
            raise FileNotFoundError(f"{spec} has no {split} split: add a folder {split} to it, or shards named "
                                    f"{split}-*.tar.")
    elif not path.exists() and "://" not in str(spec) and not any(c in str(spec) for c in "{*?["):
        raise FileNotFoundError(f"{spec} is neither a folder, nor a tar, nor one of {', '.join(TORCHVISION_SETS)}: "
                                "check the spelling.")
    own_name = which(path.name)
    if own_name not in (None, split):
        raise FileNotFoundError(f"{spec} is a {own_name} set by its name, so it has no {split} split.")
    return open_folder(path if path.exists() else spec, size), own_name is not None


def _first_word(name):
    return name.lower().replace("-", " ").replace("_", " ").replace(".", " ").split(" ")[0]


def open_source(path, size=None):
    """Shards for a tar, a pattern or a folder of tars; `Pictures` for any other folder."""
    path = Path(path).expanduser() if "://" not in str(path) else path
    if isinstance(path, Path) and path.is_dir():
        if not any(child.name.endswith(SHARD_SUFFIXES) for child in path.iterdir()):
            return Pictures(path, size)
    return Shards(path if isinstance(path, str) else str(path), size)


# ---------------------------------------------------------------- what is in there?

def describe(source):
    """A short report in words: how many pictures of which sizes, grey and unreadable ones, labels, and the split's
    hash.

    source: a folder, a tar or a pattern of shards, or a data set of this module. Every picture of a folder or tar is
    decoded. Of a video file: `describe_clip`.
    """
    title = type(source).__name__
    if isinstance(source, (str, Path)):
        title = source
        path = Path(source).expanduser()
        if path.is_file() and path.suffix.lower() in VIDEO_SUFFIXES:
            from colorlib.data.cuts import describe_clip
            return describe_clip(path)
        if path.is_file() and not path.name.endswith(SHARD_SUFFIXES):
            raise ValueError(f"{source} is a single file: name the folder it is in, or a .tar.")
        source = open_source(source)
    sizes, labels, ids = Counter(), Counter(), []
    if hasattr(source, "stream"):
        report = Report()
        samples = (sample for _, sample in source.stream(report))
    else:
        report = getattr(source, "report", None)
        samples = (source[i] for i in range(len(source)))
    for sample in samples:
        sizes[tuple(sample["rgb"].shape[:0:-1][:2])] += 1
        ids.append(sample["id"])
        if "label" in sample:
            labels[int(sample["label"])] += 1
    lines = [f"{title}: {report or f'{len(ids):,} kept'}"]
    if ids:
        (width, height), most = sizes.most_common(1)[0]
        sides = sorted(min(size) for size in sizes.elements())
        lines.append(f"sizes: {len(sizes)} different, most often {width} x {height} ({most:,}); shorter side "
                     f"{sides[0]} to {sides[-1]}")
        lines.append(f"split hash: {split_hash(ids)}")
    if labels:
        classes = getattr(source, "classes", None)
        name_of = lambda one: classes[one] if classes and 0 <= one < len(classes) else one
        names = [f"{name_of(one)} {count:,}" for one, count in sorted(labels.items())]
        lines.append(f"labels: {len(labels)}: {', '.join(names[:20])}{' ...' if len(names) > 20 else ''}")
    return "\n".join(lines)
