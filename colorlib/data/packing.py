"""Packs: every usable picture decoded once into memory maps in a cache folder, which training then reads at full speed.

`pack(source)` costs one pass over the files; after that an epoch costs page reads, on a laptop as on a cluster node. A
pack is a folder of plain `.npy` files and an `index.json`, written whole or not at all, reused while its source stays
the same and made again otherwise.
"""
import hashlib
import json
import mmap
import os
import re
from dataclasses import asdict, dataclass, field
from pathlib import Path

import cv2
import numpy as np
import torch
from filelock import FileLock

from colorlib import files

__all__ = ["pack", "Packed", "Report", "cache_folder"]


@dataclass
class Report:
    """What became of a source's candidates: names of grey pictures, (name, reason) of unreadable ones, names of other files.

    >>> print(Report(kept=98, gray=["fog.jpg"], corrupt=[("half.jpg", "it ends too early")]))
    98 kept, 1 grey, 1 unreadable, 0 not pictures
    unreadable: half.jpg (it ends too early)
    """
    kept: int = 0
    gray: list = field(default_factory=list)
    corrupt: list = field(default_factory=list)
    other: list = field(default_factory=list)

    def __post_init__(self):
        self.corrupt = [tuple(pair) for pair in self.corrupt]          # JSON has lists only

    def __str__(self):
        lines = [f"{self.kept:,} kept, {len(self.gray):,} grey, {len(self.corrupt):,} unreadable, {len(self.other):,} "
                 "not pictures"]
        lines += [f"unreadable: {name} ({reason})" for name, reason in self.corrupt[:20]]
        lines += [f"... and {len(self.corrupt) - 20:,} more"] if len(self.corrupt) > 20 else []
        more = " ..." if len(self.other) > 20 else ""
        lines += [f"not pictures: {', '.join(self.other[:20])}{more}"] if self.other else []
        return "\n".join(lines)

    def in_one_line(self):
        lines = str(self).splitlines()
        return "; ".join(lines[:4] + ["..."] * (len(lines) > 4))


class Packed(torch.utils.data.Dataset):
    """Pictures decoded once into one uint8 memory map `(N, H, W, 3)`: the fastest source, small enough for a laptop's disk.
    An array in memory will do, too: the shortest way to a data set of one's own.

    ids: N strings; labels: N integers or None; extra: {key: array `(N, ...)` or list of N} for whatever else a sample
    holds; digest: a hash of all that, where it is known.

    >>> packed = Packed(np.zeros((2, 8, 12, 3), np.uint8), ["a", "b"], labels=[0, 1], extra={"caption": ["night", "coal"]})
    >>> {key: getattr(value, "shape", value) for key, value in packed[1].items()}
    {'rgb': torch.Size([3, 8, 12]), 'id': 'b', 'label': torch.Size([]), 'caption': 'coal'}
    """

    def __init__(self, rgb, ids, labels=None, extra=None, report=None, classes=None, digest=None):
        self.rgb, self.ids, self.labels, self.extra = rgb, ids, labels, extra or {}
        self.report, self.classes, self.digest, self.marks = report, classes, digest, {}

    def __len__(self):
        return len(self.rgb)

    def check(self):
        """Raises ValueError when somebody wrote into a memory map since it was opened. One that was deleted or replaced stays what it was."""
        arrays = {"rgb": self.rgb, "label": self.labels} | self.extra
        for key, (path, known, sha256) in self.marks.items():
            found = _mark(path)
            if found is None or found[0] != known[0] or found == known:
                continue
            if found[1] != known[1] or _hash_rows(arrays[key]) != sha256:
                raise ValueError(f"{path} was changed while it was trained on: the same command makes it again and goes on from the last checkpoint.")

    def __getitem__(self, i):
        sample = {"rgb": torch.from_numpy(self.rgb[i].copy()).permute(2, 0, 1), "id": self.ids[i]}
        if self.labels is not None:
            sample["label"] = torch.tensor(int(self.labels[i]))
        for key, values in self.extra.items():
            sample[key] = torch.from_numpy(np.array(values[i])) if isinstance(values, np.ndarray) else values[i]
        return sample

    def picture_sizes(self):
        """{key: (height, width)} of what is picture-like, see `feeding.augment`."""
        others = {key: values.shape[-2:] for key, values in self.extra.items() if isinstance(values, np.ndarray) and values.ndim >= 4}
        return {"rgb": self.rgb.shape[1:3]} | others

    def gather(self, places, cut=None):
        """Samples by their places, collated: tensors `(n, ...)`, the rest as lists. cut: a `feeding.Cut`; of pictures only what it leaves is read."""
        pictures = {key: cut for key in self.picture_sizes()}
        batch = {"rgb": gather_rows(self.rgb, places, cut, channels_last=True), "id": [self.ids[i] for i in places]}
        if self.labels is not None:
            batch["label"] = torch.tensor([int(self.labels[i]) for i in places])
        for key, values in self.extra.items():
            if isinstance(values, np.ndarray):
                batch[key] = gather_rows(values, places, pictures.get(key))
            else:
                chosen = [values[i] for i in places]
                batch[key] = torch.stack(chosen) if torch.is_tensor(chosen[0]) else chosen
        return batch

    def __getstate__(self):
        """Memory maps travel to worker processes by name, not by content."""
        return {key: _name_maps(value) for key, value in vars(self).items()}

    def __setstate__(self, state):
        vars(self).update({key: _open_maps(value) for key, value in state.items()})


def gather_rows(values, places, cut=None, channels_last=False):
    """Rows of an array `(N, ...)`, cut if they are pictures, as one tensor; channels_last: rows `(H, W, C)` become
    `(C, H, W)`. What is cut away is not read."""
    rows = [values[i].transpose(2, 0, 1) if channels_last else values[i] for i in places]
    if cut is not None:
        height, width = cut.side
        rows = [row[..., y:y + height, x:x + width] for row, y, x in zip(rows, cut.top.tolist(), cut.left.tolist())]
        rows = [row[..., ::-1] if mirrored else row for row, mirrored in zip(rows, cut.mirror.tolist())]
    found = np.empty((len(rows), *np.shape(rows[0])), values.dtype)
    for i, row in enumerate(rows):
        found[i] = row
    return torch.from_numpy(found)


@dataclass(frozen=True)
class _Map:
    path: str


def _name_maps(value):
    if isinstance(value, dict):
        return {key: _name_maps(x) for key, x in value.items()}
    whole = isinstance(value, np.memmap) and isinstance(value.base, mmap.mmap)      # not a slice of a map
    return _Map(str(value.filename)) if whole else value


def _open_maps(value):
    if isinstance(value, dict):
        return {key: _open_maps(x) for key, x in value.items()}
    return np.load(value.path, mmap_mode="r", allow_pickle=False) if isinstance(value, _Map) else value


# ---------------------------------------------------------------- the cache

def cache_folder():
    """Where packs are kept: the environment variable COLORLIB_CACHE, or `~/.cache/colorlib`.

    >>> cache_folder().is_absolute() or "COLORLIB_CACHE" in os.environ
    True
    """
    return Path(os.environ.get("COLORLIB_CACHE") or "~/.cache/colorlib").expanduser()


def cache_path(source, folder=None):
    """One place for each source and its settings, so that a changed source replaces its old pack."""
    digest = hashlib.sha256(json.dumps(source.settings, sort_keys=True).encode()).hexdigest()[:16]
    name = re.sub(r"[^\w.-]", "_", Path(source.settings.get("folder", source.settings["kind"])).name)[:40]
    return Path(folder or cache_folder()).expanduser() / f"{name}-{digest}"


def remember(path, found):
    """Write a small JSON file whole or not at all; where the cache cannot be written, the next run simply looks
    again."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        files.write_atomic(path, json.dumps(found).encode())
    except OSError:
        pass


def pack(source, folder=None, threads=None):
    """Decode a source once; return it as a `Packed` whose arrays are memory maps.

    source: `Pictures`, `Shards`, pairs, scenes, ... made with a `size`. folder: where to keep the pack (default:
    `cache_folder()`). threads: decoding threads (default: one a core, at most 8). A pack of the same files and settings
    is opened instead of made; a damaged one is made again. Raises ValueError when nothing usable is left, with the
    report's first lines, and for files that change meanwhile; OSError when the cache cannot be written.

    >>> from colorlib.data import SceneSet
    >>> packed = pack(SceneSet(3, size=16, cache=False), folder="packs")
    >>> packed.rgb.shape, type(packed.rgb).__name__
    ((3, 16, 16, 3), 'memmap')
    """
    if getattr(source, "size", None) is None or not hasattr(source, "stream"):
        raise ValueError(f"{type(source).__name__} cannot be packed: pass a source such as Pictures(folder, size=128), "
                         "with a size.")
    target, stamp = cache_path(source, folder), source.stamp()
    try:
        files.make_folder(target.parent)
        # of several processes one decodes, the others wait and open the result
        with FileLock(f"{target}.lock"):
            if (packed := _open_pack(target, stamp)) is not None:
                return packed
            with files.scratch_folder(target) as partial:
                _write_pack(source, partial, stamp, threads)
                if source.stamp() != stamp:               # or the pack would lack pictures, and be taken for whole once they are back
                    raise ValueError(f"{_place(source)} was changed while its pictures were read: put back what is missing, then give the same command again.")
                files.discard(target)
                os.rename(partial, target)
                files.sync(target.parent)
    except OSError as error:
        if error.errno not in files.DISK and not str(error.filename or target.parent).startswith(str(target.parent)):
            raise                                         # of the source, not of the cache
        raise OSError(f"The pack could not be written to {target.parent} ({error}): free some space there, or name another "
                      "folder with COLORLIB_CACHE.") from error
    return _open_pack(target, stamp)


def _write_pack(source, folder, stamp, threads):
    report, arrays, lists = Report(), {}, {}
    try:
        for _, sample in source.stream(report, threads):
            if not lists:
                arrays = {key: GrowingArray(folder / f"{key}.npy", value) for key, value in sample.items()
                          if torch.is_tensor(value)}
                lists = {key: [] for key, value in sample.items() if not torch.is_tensor(value)}
            misfit = next((key for key, array in arrays.items() if not array.takes(sample.get(key))), None)
            misfit = misfit or next((key for key in lists if key not in sample), None)
            if misfit:
                report.kept -= 1
                report.corrupt.append((sample["id"], f"its {misfit} is missing or of another shape than the first "
                                       "sample's"))
                continue
            for key, array in arrays.items():
                array.append(sample[key])
            for key, values in lists.items():
                values.append(sample[key])
        for array in arrays.values():
            array.finish()
    finally:
        for array in arrays.values():
            array.file.close()
    if not report.kept:
        raise ValueError(f"Nothing usable is left of {_place(source)}: {report.in_one_line()}.")
    index = {"stamp": stamp, "arrays": list(arrays), "lists": lists, "classes": source.classes,
             "report": asdict(report), "files": {key: array.describe() for key, array in arrays.items()}}
    (folder / "index.json").write_text(json.dumps(index | {"check": _hash_index(index)}))
    files.sync(folder / "index.json")
    files.sync(folder)


def _place(source):
    return source.settings.get("folder", source.settings["kind"])


def _hash_index(index):
    return hashlib.sha256(json.dumps(index).encode()).hexdigest()


def _open_pack(folder, stamp):
    """The pack in a folder, or None when there is none, it belongs to other files or it is damaged."""
    try:
        index = json.loads((folder / "index.json").read_text())
        if index["stamp"] != stamp or index.pop("check", None) != ("files" in index and _hash_index(index) or None):
            return None                                   # packs of before have no hashes
        # a cut file raises
        arrays = {key: np.load(folder / f"{key}.npy", mmap_mode="r", allow_pickle=False) for key in index["arrays"]}
        if not all(_is_whole(array, index["files"][key]) for key, array in arrays.items() if "files" in index):
            return None
        digest = _hash_index([index["lists"], {key: one["sha256"] for key, one in index["files"].items()}]) if "files" in index else None
        marks = {key: (str(array.filename), _mark(array.filename), index["files"][key]["sha256"]) for key, array in arrays.items() if "files" in index}
        ids = index["lists"].pop("id")
        rgb, labels = arrays.pop("rgb"), arrays.pop("label", None)
        if not len(rgb) == len(ids) == index["report"]["kept"]:
            return None
        found = Packed(rgb, ids, labels, arrays | index["lists"], Report(**index["report"]), index["classes"], digest)
        found.marks = marks
        return found
    except Exception:      # NumPy and JSON raise many kinds for a damaged file
        return None


def _is_whole(array, known):
    """Whether a memory map is the one written, see `GrowingArray.describe`; its bytes are hashed only if the file was touched or copied since."""
    found = os.stat(array.filename)
    if [str(array.dtype), list(array.shape)] != [known["dtype"], known["shape"]] or found.st_size != known["bytes"]:
        return False
    return _times(found) == known["changed"] or _hash_rows(array) == known["sha256"]


def _mark(path):
    """(which file, its size, when it was changed) of a name; None where there is none."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return (found.st_dev, found.st_ino), found.st_size, _times(found)


def _times(found):
    """When a file was changed: what it says, which can be set at will, and what the system notes, which cannot (on Windows that is when it was made)."""
    return [found.st_mtime_ns, found.st_ctime_ns]


def _hash_rows(array):
    found = hashlib.sha256()
    for row in array:
        found.update(np.ascontiguousarray(row).data)
    return found.hexdigest()


class GrowingArray:
    """A `.npy` file of unknown length: rows are appended, `finish` writes their number into the header. rgb rows are
    stored `(H, W, 3)`."""

    def __init__(self, path, first):
        self.channels_last, self.rows = path.stem == "rgb" and first.ndim == 3, 0
        row = self._row(first)
        self.source_shape, self.shape, self.dtype, self.hash = first.shape, row.shape, row.dtype, hashlib.sha256()
        self.file = open(path, "wb")
        self._write_header()

    def _row(self, value):
        value = value.numpy()
        if self.channels_last:
            value = cv2.merge(list(value)) if value.dtype == np.uint8 else value.transpose(1, 2, 0)      # several times quicker
        return np.asarray(value, order="C")

    def _write_header(self):           # NumPy leaves room for the first axis to grow, so the header keeps its length
        header = {"descr": np.lib.format.dtype_to_descr(self.dtype), "fortran_order": False,
                  "shape": (self.rows, *self.shape)}
        np.lib.format.write_array_header_1_0(self.file, header)

    def takes(self, value):
        return torch.is_tensor(value) and value.shape == self.source_shape and value.numpy().dtype == self.dtype

    def append(self, value):
        content = self._row(value).data
        self.file.write(content)
        self.hash.update(content)
        self.rows += 1

    def describe(self):
        """What tells, once it is finished, whether somebody has changed the file since."""
        found = os.stat(self.file.name)
        return {"sha256": self.hash.hexdigest(), "dtype": str(self.dtype), "shape": [self.rows, *self.shape],
                "bytes": found.st_size, "changed": _times(found)}

    def finish(self):
        """Write the number of rows into the header, and all to the disk."""
        size = self.file.tell()
        self.file.seek(0)
        self._write_header()
        if size != self.file.tell() + self.rows * self.dtype.itemsize * int(np.prod(self.shape)):
            raise OSError(f"{self.file.name} could not be written: check the free space of the cache folder.")
        self.file.flush()
        os.fsync(self.file.fileno())
