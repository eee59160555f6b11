"""From what a person types to a data set: which source it names, and which of its samples are the split asked for."""
from collections import Counter
from pathlib import Path

from colorlib.data.clips import VIDEO_SUFFIXES
from colorlib.data.combining import choose
from colorlib.data.packing import Report, pack
from colorlib.data.pairs import split_ids
from colorlib.data.public_sets import NAMES as TORCHVISION_SETS
from colorlib.data.public_sets import torchvision_set
from colorlib.data.shards import SHARD_SUFFIXES, Shards
from colorlib.data.sources import Pictures, photo_folder
from colorlib.data.streaming import Streamed
from colorlib.results import split_hash

__all__ = ["open_pictures", "open_stream", "describe"]

SPLIT_WORDS = {"train": ("train", "training"), "val": ("val", "valid", "validation", "test", "testing")}
HELD_OUT = 0.1              # share of an unmarked folder that is its "val" split


def open_pictures(spec, size, split="train", limit=None, download=True):
    """A packed, map-style data set of `size`-pixel squares: a torchvision set by its name, a folder of pictures, or tar shards.

    split: "train" or "val", or "all" of a folder or shards. A folder may hold them as sub-folders or as shards named
    `train*` and `val*`, or be one of them by its own name; of any other folder a fixed tenth, chosen by hash, is "val".
    "imagenette" means the shards of `COLORLIB_DATA` when they are there. limit: at most that many samples, evenly
    spread. download: whether a torchvision set may be fetched (never Places365 or CocoCaptions, which are huge). Raises
    FileNotFoundError when the data or their split are not there, ValueError for bad input, ConnectionError when a
    download fails.

    >>> from colorlib.data import SceneSet, write_shards
    >>> paths = write_shards(SceneSet(20, size=32, cache=False), "tars")
    >>> len(open_pictures("tars", size=16)), len(open_pictures("tars", size=16, split="val"))
    (18, 2)
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


def open_stream(spec, size):
    """A `Streamed` of the training split of a folder of shards, or of the tars that a path or pattern names, with squares of
    `size` pixels. Raises FileNotFoundError when there is none; ValueError for a folder whose shards are not marked as a
    split, from which nothing could be held out.

    >>> from colorlib.data import SceneSet, batches, write_shards
    >>> paths = write_shards(SceneSet(6, size=32, cache=False), "tars", per_shard=2)
    >>> stream = open_stream("tars/shard-00000[01].tar", size=32)
    >>> stream.count, next(batches(stream, 2, crop=16))["rgb"].shape
    (4, torch.Size([2, 3, 16, 16]))
    """
    source, is_marked = find_split(spec, size, "train")
    if not isinstance(source, Shards):
        raise ValueError(f"{spec} holds no tars, and only tars are streamed: write some with `data.write_shards`, or leave out stream:.")
    if not is_marked and Path(spec).expanduser().is_dir():
        raise ValueError(f"{spec} has no shards named train-*.tar, and of a stream no part can be held out: name the tars to train on, such as "
                         f"stream:{Path(spec) / '*.tar'}.")
    return Streamed(source)


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
    """A short report in words: how many pictures of which sizes, grey and unreadable ones, labels, and the split's hash.

    source: a folder, a tar or a pattern of shards, or a data set of this module. Every picture of a folder or tar is
    decoded. Of a video file: `cuts.describe_clip`. Raises ValueError for any other single file.

    >>> from colorlib.data import SceneSet
    >>> print(describe(SceneSet(4, size=16, cache=False)))
    SceneSet: 4 kept, 0 grey, 0 unreadable, 0 not pictures
    sizes: 1 different, most often 16 x 16 (4); shorter side 16 to 16
    split hash: a323ad2a744e
    labels: 4: school bus 1, pumpkin 1, balloon 1, umbrella 1
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
