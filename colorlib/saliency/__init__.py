"""Where the eye goes: saliency maps from a classical method, a pretrained network, a folder, or the samples themselves.

`estimate(rgb, source)` maps one picture, `WithSaliency(dataset, source)` a whole set, once, into a cached uint8 file. Sources:

| source | what it is | MAE | F | AUC | ms |
|---|---|---|---|---|---|
| minimum_barrier | what no path of similar colour joins to the border (Zhang et al., ICCV 2015); the default | 0.26 | 0.49 | 0.76 | 7 |
| spectral_residual | what is unexpected in the log spectrum (Hou and Zhang, CVPR 2007) | 0.33 | 0.28 | 0.64 | 0.4 |
| fine_grained | centre against surround at six scales (Montabone and Soto, IVC 2010) | 0.36 | 0.25 | 0.60 | 0.5 |
| u2netp, u2net | U-2-Net, 4.6 and 176 MB, downloaded when first used (Qin et al., Pattern Recognition 2020) | | | | |
| x.onnx | any network of that family: (1, 3, 320, 320) in, its first output (1, 1, h, w) the map | | | | |
| a folder | maps drawn elsewhere, named like the pictures | | | | |
| given | the maps that the samples carry: exact masks of procedural scenes, masks drawn by people | | | | |

Measured on 62 COCO photos with hand-made masks of their objects, at 160 pixels, on one core: mean absolute error, F-measure (beta^2 =
0.3) at twice the map's mean, area under the ROC curve. A map of zeros has MAE 0.27; one that only knows where the middle is, AUC 0.70.
"""
import hashlib
import json
import os
import zlib
from pathlib import Path

import cv2
import numpy as np
import torch

from colorlib.data.packing import cache_folder
from colorlib.data.sources import PICTURE_SUFFIXES, decode, list_files, resize, stamp_files
from colorlib.files import locked, publish
from colorlib.progress import track
from colorlib.results import split_hash
from colorlib.saliency.saliency_methods import (NETWORKS, barrier_distance, download_network, find_network, fine_grained, fit, minimum_barrier, run_network,
                                                spectral_residual)

__all__ = ["estimate", "WithSaliency", "METHODS", "SOURCES", "DEFAULT", "CHOICES", "NETWORKS", "barrier_distance",
           "download_network", "run_network", "source_kind"]

MAPS_VERSION = 1            # raise it when a method changes: cached maps are then made again
MAP_ENDINGS = ("_saliency", "_mask", "")                    # of a map's name, in a folder that may hold the photos too
FINGERPRINT = 32                                            # pictures looked at to tell two sets with the same ids apart

METHODS = {"minimum_barrier": minimum_barrier, "spectral_residual": spectral_residual, "fine_grained": fine_grained}
SOURCES = (*METHODS, *NETWORKS)
DEFAULT = "minimum_barrier"
CHOICES = f"choose {', '.join(SOURCES)}, an .onnx file, a folder of maps, or given for samples that carry their own"


def estimate(rgb, source=DEFAULT):
    """The saliency map of one picture: `(H, W, 3)` uint8 -> `(H, W)` uint8, stretched to 0..255.

    source: one of SOURCES or the path of an .onnx file. The same input gives the same map; a picture of one colour gives zeros.
    Raises ValueError for another picture or source, and what `download_network` raises.

    >>> picture = np.zeros((64, 64, 3), np.uint8); picture[24:40, 24:40] = 255, 0, 0
    >>> saliency = estimate(picture)
    >>> saliency.shape, saliency[32, 32].item(), saliency[0, 0].item()
    ((64, 64), 255, 0)
    """
    rgb = np.asarray(rgb)
    if rgb.dtype != np.uint8 or rgb.ndim != 3 or rgb.shape[2] != 3 or 0 in rgb.shape:
        raise ValueError(f"rgb is {rgb.dtype} {rgb.shape}: saliency is estimated from (H, W, 3) uint8.")
    if source_kind(source) in ("folder", "given"):
        raise ValueError(f"{source} holds maps by the ids of samples: use WithSaliency, or {CHOICES}.")
    if (rgb == rgb[:1, :1]).all():
        return np.zeros(rgb.shape[:2], np.uint8)
    rgb = np.ascontiguousarray(rgb)
    if source in METHODS:
        saliency = METHODS[source](rgb)
    else:
        saliency = run_network(rgb, find_network(source, cache_folder() / "networks") if source in NETWORKS else source)
    return np.rint(255 * saliency).astype(np.uint8)


def source_kind(source):
    """Of which kind a saliency source is: "name", "file", "folder" or "given". Raises ValueError for anything else.

    >>> source_kind("fine_grained"), source_kind("given"), source_kind(".")
    ('name', 'given', 'folder')
    """
    if isinstance(source, str) and source in (*SOURCES, "given"):
        return "given" if source == "given" else "name"
    if source and isinstance(source, (str, os.PathLike)):
        path = Path(source).expanduser()
        if path.is_dir():
            return "folder"
        if path.suffix.lower() == ".onnx" and path.is_file():
            return "file"
    raise ValueError(f"There is no saliency source {str(source)!r}: {CHOICES}.")


# ---------------------------------------------------------------- a data set with maps

class WithSaliency(torch.utils.data.Dataset):
    """A map-style data set of `colorlib.data` whose samples also hold saliency `(1, H, W)` uint8, aligned to rgb.

    source: "given" passes on the samples' own maps; else one of SOURCES, an .onnx file, or a folder of maps: `x.png`, `x_saliency.png`
    or `x_mask.png` for the id `x.jpg`, at the same place in the folder or anywhere if the name is the only one. A map of another shape is
    cut and shrunk as the photo was, from the data set's `crop` (a pack does not know it: central squares). Maps are made once, in one
    .npy file in `cache_folder()`, which is memory-mapped; an interrupted computation goes on where it stopped, of two processes one
    computes, and a damaged file or another picture under the same id means a new computation. `source` is the name for result rows.
    progress: True, False, or None for a bar where no outputs are recorded. Raises ValueError for pictures of several sizes, a missing map,
    and whatever `estimate` refuses.

    >>> from colorlib.data import SceneSet
    >>> sample = WithSaliency(SceneSet(1, 32, cache=False), "given")[0]                  # scenes know theirs
    >>> sample["saliency"].shape, sample["saliency"].dtype
    (torch.Size([1, 32, 32]), torch.uint8)
    """

    def __init__(self, dataset, source="given", progress=None):
        if isinstance(dataset, torch.utils.data.IterableDataset) or not len(dataset):
            raise ValueError(f"{type(dataset).__name__} is empty or can only be read from start to end: pass a data set with samples, "
                             "such as pack(source).")
        self.dataset, self.maps, kind = dataset, None, source_kind(source)
        for name in ("ids", "classes", "report"):
            if hasattr(dataset, name):
                setattr(self, name, getattr(dataset, name))
        self.source = source if kind in ("name", "given") else Path(source).expanduser().resolve().name
        self[0] if kind == "given" else self._map(source, kind, progress)

    def _map(self, source, kind, progress):
        dataset = self.dataset
        ids = list(map(str, getattr(self, "ids", None) or [dataset[i]["id"] for i in range(len(dataset))]))
        shape = tuple(dataset[0]["rgb"].shape[1:])
        digest = hashlib.sha256(json.dumps([MAPS_VERSION, ids, shape, source_stamp(source, kind)]).encode())
        for i in range(0, len(ids), -(-len(ids) // FINGERPRINT)):
            digest.update(dataset[i]["rgb"].numpy().tobytes())
        name = f"{split_hash(ids)}-{shape[0]}x{shape[1]}-{Path(self.source).stem[:40]}-{digest.hexdigest()[:16]}.npy"
        find = _FolderOfMaps(source, dataset) if kind == "folder" else lambda sample: estimate(_picture(sample), source)
        self.maps = cached_maps(cache_folder() / "saliency" / name, (len(ids), *shape), lambda i: find(dataset[i]),
                                track(None, progress, total=len(ids), unit="map", desc=f"saliency: {self.source}"))

    def __len__(self):
        return len(self.dataset)

    def __getitem__(self, i):
        i = range(len(self))[i]
        sample = self.dataset[i]
        if self.maps is None and "saliency" not in sample:
            raise ValueError(f"The sample {sample.get('id')} carries no saliency map of its own: {CHOICES}.")
        return sample if self.maps is None else sample | {"saliency": torch.from_numpy(self.maps[i].copy())[None]}

    def __getstate__(self):
        """The memory map travels to worker processes by name."""
        return vars(self) | {"maps": None if self.maps is None else self.maps.filename}

    def __setstate__(self, state):
        vars(self).update(state, maps=None if state["maps"] is None else np.load(state["maps"], mmap_mode="r", allow_pickle=False))


def _picture(sample):
    return sample["rgb"].permute(1, 2, 0).numpy()


def source_stamp(source, kind):
    """What changes when a source does."""
    if kind == "folder":
        folder = Path(source).expanduser()
        return [str(folder.resolve()), stamp_files(folder / name for name in list_files(folder))]
    if kind == "file":
        with open(Path(source).expanduser(), "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    return NETWORKS.get(source, source)


class _FolderOfMaps:
    """Looks maps up by the ids of samples."""

    def __init__(self, folder, dataset):
        self.folder, self.places, self.stems = Path(folder).expanduser(), {}, {}
        while not hasattr(dataset, "crop") and hasattr(dataset, "dataset"):
            dataset = dataset.dataset
        self.crop = getattr(dataset, "crop", "center")
        for name in list_files(self.folder):
            if Path(name).suffix.lower() in PICTURE_SUFFIXES:
                self.places[Path(name).with_suffix("").as_posix()] = name
                self.stems.setdefault(Path(name).stem, []).append(name)

    def __call__(self, sample):
        one, (height, width) = str(sample["id"]), sample["rgb"].shape[1:]
        key = Path(one).with_suffix("") if Path(one).suffix.lower() in PICTURE_SUFFIXES else Path(one)
        places = [self.places[key.as_posix() + end] for end in MAP_ENDINGS if key.as_posix() + end in self.places]
        alone = [self.stems[key.name + end][0] for end in MAP_ENDINGS if len(self.stems.get(key.name + end, ())) == 1]
        if not places + alone:
            raise ValueError(f"{self.folder} has no map for {one}: add {key.as_posix()}.png, or choose another source.")
        name = (places + alone)[0]
        plane = decode(self.folder / name)
        if np.ptp(plane.astype(np.int16), axis=-1).max() > 32:           # JPEG tints greys by less
            raise ValueError(f"{self.folder / name} is a colour picture: a saliency map is grey, 0 to 255.")
        plane = cv2.cvtColor(plane, cv2.COLOR_RGB2GRAY)
        if abs(plane.shape[1] * height / plane.shape[0] - width) <= 1 + width / 100:     # the same shape but for rounding
            return fit(plane, width, height)
        if height != width:
            raise ValueError(f"{self.folder / name} is {plane.shape[1]} x {plane.shape[0]} but its picture {width} x {height}: crop them "
                             "alike.")
        return resize(plane, height, self.crop)


def cached_maps(path, shape, make, bar):
    """The memory map `(N, H, W)` uint8 in the .npy file `path`; where it is missing or damaged, `make(i)` -> `(H, W)` computes it.

    The file ends in a CRC-32 of the rows, which NumPy does not read. Rows go to `path.partial` first, in order, so that those of an
    interrupted computation are found there. Raises ValueError for a map of another shape, OSError where the disk cannot keep them.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with locked(path, seconds=-1), bar:             # of several processes one computes, the others wait and open the result
            if (maps := _open_maps(path, shape)) is not None:
                return maps
            partial = path.with_name(path.name + ".partial")
            with open(partial, "r+b" if partial.exists() else "w+b") as file:
                np.lib.format.write_array_header_1_0(file, {"descr": "|u1", "fortran_order": False, "shape": shape})
                start, row = file.tell(), shape[1] * shape[2]
                done = min(shape[0], max(0, file.seek(0, os.SEEK_END) - start) // row)
                file.seek(start + done * row)
                file.truncate()
                bar.update(done)
                for i in range(done, shape[0]):
                    if (saliency := make(i)).shape != shape[1:]:
                        raise ValueError(f"Picture {i} is {saliency.shape}, the first {shape[1:]}: give the source a size, or pack it.")
                    file.write(saliency.tobytes())
                    bar.update()
                file.seek(start)
                crc = 0
                while chunk := file.read(1 << 24):
                    crc = zlib.crc32(chunk, crc)
                file.write(crc.to_bytes(4, "little"))
                file.flush()
                os.fsync(file.fileno())
            publish(partial, path)
    except OSError as error:
        if error.errno is None:                         # not the disk's, but such as a download's
            raise
        raise OSError(f"The saliency maps could not be kept in {path.parent} ({error}): free some space there, or name another folder "
                      "with COLORLIB_CACHE.") from error
    return _open_maps(path, shape)


def _open_maps(path, shape):
    """The maps in a file, or None when there is none or it is damaged."""
    try:
        maps = np.load(path, mmap_mode="r", allow_pickle=False)
        with open(path, "rb") as file:
            file.seek(-4, os.SEEK_END)
            crc = int.from_bytes(file.read(4), "little")
        if maps.shape == shape and maps.dtype == np.uint8 and zlib.crc32(maps) == crc:
            return maps
    except (OSError, ValueError, EOFError):             # EOFError: an empty file
        pass
    return None
