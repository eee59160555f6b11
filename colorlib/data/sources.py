"""Pictures on disk as samples, with what cannot be used left out and counted.

A `Source` numbers its candidates; `read(i)` decodes one to a sample dict. Grey pictures teach a colour network that
everything is grey, and a corrupt file must not stop a run: both are skipped and named in `source.report`. Samples hold
`rgb` `(3, H, W)` uint8, `id` and whatever else a source knows, always uint8 and always of the same height and width as
rgb.
"""
import hashlib
import json
import os
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from functools import cached_property
from pathlib import Path

import cv2
import numpy as np
import torch
from PIL import Image

from colorlib import files
from colorlib.data.packing import Report, cache_path, remember
from colorlib.images.reading import CAMERA_RAW, READ_FORMATS, open_image, to_8bit
from colorlib.lab import rgb_to_lab
from colorlib.progress import track

__all__ = ["Source", "Pictures", "decode", "resize", "to_tensor", "is_gray", "sample_photos", "photo_folder", "PHOTOS"]

# A bound on the 99th percentile of chroma, in CIE units. Below it lie 122 of 4,367 Imagenette photos: black-and-white
# ones, or grey things on grey. A bound on the mean (2, say) drops 191 of them, red toys on grey lakes and orange saws
# on white paper included.
GRAY_CHROMA, GRAY_SHARE, GRAY_SIDE = 6.0, 0.01, 64
CACHE_VERSION = 1       # raise it when decoding, resizing or the grey filter changes: old packs are then made again
CROPS = ("center", "squash")
Image.init()
PICTURE_SUFFIXES = frozenset(suffix for suffix, kind in Image.registered_extensions().items() if kind in READ_FORMATS)
EXPECTED_SUFFIXES = PICTURE_SUFFIXES | {".heic", ".heif", ".svg", "", *CAMERA_RAW}      # pictures, readable or not
PHOTOS = ("astronaut", "coffee", "chelsea", "rocket", "stereo_motorcycle", "hubble_deep_field", "retina",
          "immunohistochemistry")


def is_gray(rgb):
    """Whether a picture has no colour worth learning: at most 1 % of its 64-pixel thumbnail has a chroma of 6 CIE units or more.

    rgb: array `(H, W, 3)` or tensor `(3, H, W)`, uint8 or float in [0, 1]. Toned pictures (sepia) count as coloured.

    >>> grey, sepia = np.full((8, 8, 3), 119, np.uint8), np.full((8, 8, 3), (112, 90, 66), np.uint8)
    >>> is_gray(grey), is_gray(sepia)
    (True, False)
    """
    rgb = cv2.merge(list(rgb.cpu().numpy())) if torch.is_tensor(rgb) else np.asarray(rgb)
    height, width = rgb.shape[:2]
    scale = min(1, GRAY_SIDE / min(height, width))
    small = cv2.resize(rgb, (max(1, round(width * scale)), max(1, round(height * scale))), interpolation=cv2.INTER_AREA)
    lab = rgb_to_lab(small)
    return bool(np.mean(np.hypot(lab[..., 1], lab[..., 2]) >= GRAY_CHROMA) <= GRAY_SHARE)


def resize(picture, size, crop="center"):
    """`(H, W)` or `(H, W, C)` uint8 -> a square of side `size`: the central square ("center") or everything, distorted ("squash").

    Shrinking averages areas, so it does not alias; enlarging is linear, so it invents no colours. size=None keeps the
    picture.

    >>> chess = 200 * (np.indices((4, 6)).sum(0) % 2).astype(np.uint8)
    >>> resize(chess, 2).tolist()
    [[100, 100], [100, 100]]
    """
    if size is None:
        return picture
    if crop == "center":
        height, width = picture.shape[:2]
        side = min(height, width)
        top, left = (height - side) // 2, (width - side) // 2
        picture = picture[top:top + side, left:left + side]
    shrinks = min(picture.shape[:2]) >= size
    return cv2.resize(picture, (size, size), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)


def decode(source, verify=True):
    """A path or binary file -> `(H, W, 3)` uint8; 16 bits are rounded to 8 and transparent parts shown on white. verify: see
    `open_image`. Raises ValueError for what is no picture, or a damaged one.

    >>> Image.new("RGBA", (2, 1), (0, 0, 0, 0)).save("clear.png")
    >>> decode("clear.png").tolist()
    [[[255, 255, 255], [255, 255, 255]]]
    """
    picture = open_image(source, verify=verify)
    rgb, alpha = (None if x is None else to_8bit(x) for x in (picture.rgb, picture.alpha))
    if alpha is None or alpha.min() == 255:
        return rgb
    alpha = alpha[..., None].astype(np.uint32)
    return ((rgb * alpha + 255 * (255 - alpha) + 127) // 255).astype(np.uint8)


def to_tensor(picture):
    """`(H, W)` or `(H, W, C)` array -> contiguous `(1 or C, H, W)` tensor.

    >>> to_tensor(np.zeros((4, 6, 3))).shape, to_tensor(np.zeros((4, 6))).shape
    (torch.Size([3, 4, 6]), torch.Size([1, 4, 6]))
    """
    picture = picture[..., None] if picture.ndim == 2 else picture
    return torch.from_numpy(np.ascontiguousarray(picture.transpose(2, 0, 1)))


def list_files(folder, recursive=True):
    """All files of a folder as sorted relative paths with forward slashes; hidden ones are left out, links are followed
    once."""
    folder = Path(folder).expanduser()
    if not folder.is_dir():
        raise ValueError(f"{folder} is not a folder: check the path.")
    names, seen = [], set()
    for parent, folders, found in os.walk(folder, followlinks=True):
        if (real := os.path.realpath(parent)) in seen:
            folders.clear()
            continue
        seen.add(real)
        folders[:] = sorted(name for name in folders if not name.startswith(".")) if recursive else []
        names += [(Path(parent) / name).relative_to(folder).as_posix() for name in found if not name.startswith(".")]
    return sorted(names)


def stamp_files(paths):
    """A hash that changes when any of the files does: names, sizes and times of the last change."""
    return hashlib.sha256(json.dumps([(os.fspath(path), files.stamp(path)) for path in paths]).encode()).hexdigest()      # None: reading it will say why


# ---------------------------------------------------------------- sources

class Source(torch.utils.data.Dataset):
    """Map-style: `len` and `[i]` count the usable pictures only. A subclass defines `read(i)` and sets, in `__init__`,

    names: every candidate's id; paths: the files they come from; classes: names of the labels; rejected: (name, reason)
    known at once. The first use decodes everything once to learn what is usable and remembers it in the cache; `pack`
    needs no such pass.

    >>> class Fields(Source):
    ...     names = ["grass", "fog"]
    ...     def read(self, i):
    ...         return {"rgb": self.fit(np.full((20, 30, 3), [(60, 160, 50), (200, 200, 200)][i], np.uint8))}
    >>> Fields(size=16).ids, Fields(size=16).report.gray
    (['grass'], ['fog'])
    """
    names, paths, classes, rejected = (), (), None, ()

    def __init__(self, size, crop="center", drop_gray=True, **settings):
        self.size, self.crop, self.drop_gray = check_square(size, crop), crop, bool(drop_gray)
        self.settings = {"kind": type(self).__name__, "size": self.size, "crop": crop, "drop_gray": self.drop_gray,
                         "version": CACHE_VERSION} | settings

    def read(self, i):
        """Decode candidate i to a sample dict without `id`. Raises ValueError when it cannot be read."""
        raise TypeError(f"{type(self).__name__} must define read(i).")

    def stamp(self):
        """A hash that changes when the files do."""
        return stamp_files(self.paths)

    def fit(self, picture):
        """`(H, W[, C])` uint8 array -> `(C, size, size)` uint8 tensor."""
        return to_tensor(resize(picture, self.size, self.crop))

    def stream(self, report, threads=None):
        """Decode every candidate, in order; yield (i, sample) of the usable ones and fill `report` with the rest."""
        report.corrupt += self.rejected
        for i, sample in run_in_order(self._try, range(len(self.names)), threads, len(self.names)):
            if (good := sort_out(self.names[i], sample, report)) is not None:
                yield i, good

    def _try(self, i):
        return check_sample(lambda: {"id": self.names[i]} | self.read(i), self.drop_gray)

    @cached_property
    def _survey(self):
        file, stamp = cache_path(self).with_name(cache_path(self).name + ".json"), self.stamp()
        try:
            found = json.loads(file.read_text())
            if found["stamp"] == stamp:
                return found["kept"], Report(**found["report"])
        except (OSError, ValueError, KeyError, TypeError):
            pass                        # none yet, or a damaged one: look again
        report = Report()
        kept = [i for i, _ in self.stream(report)]
        remember(file, {"stamp": stamp, "kept": kept, "report": asdict(report)})
        return kept, report

    @property
    def report(self):
        """The `Report` of this source."""
        return self._survey[1]

    @property
    def ids(self):
        """The ids of the usable pictures."""
        return [self.names[i] for i in self._survey[0]]

    def __len__(self):
        return len(self._survey[0])

    def __getitem__(self, i):
        i = self._survey[0][i]
        return {"id": self.names[i]} | self.read(i)


def check_square(size, crop):
    """size as an int or None. Raises ValueError for what `resize` cannot do."""
    if crop not in CROPS:
        raise ValueError(f"crop is {crop!r}: choose one of {', '.join(CROPS)}.")
    if size is not None and not (isinstance(size, (int, np.integer)) and size > 0):
        raise ValueError(f"size is {size!r}: give the side in pixels, such as 128, or None to keep each picture's own.")
    return None if size is None else int(size)


def check_sample(read, drop_gray):
    """`read()` -> its sample with the key `gray`, or the exception it raised: a file is reported by name, the run goes
    on."""
    try:
        sample = read()
        return sample | {"gray": drop_gray and is_gray(sample["rgb"])}
    except Exception as error:          # decoders raise all kinds on damaged files
        return error


def sort_out(name, sample, report):
    """What `check_sample` gave -> the sample if it is usable; otherwise None and an entry in the report."""
    if isinstance(sample, Exception):
        if Path(name).suffix.lower() in EXPECTED_SUFFIXES:
            report.corrupt.append((name, str(sample)))
        else:
            report.other.append(name)           # manifest.csv, README.md, ...
        return None
    if sample.pop("gray"):
        report.gray.append(name)
        return None
    report.kept += 1
    return sample


def run_in_order(work, items, threads=None, total=None):
    """Yield (item, work(item)) in order, computed by a few threads that stay a few items ahead, with a progress bar."""
    threads = threads or min(8, os.cpu_count() or 1)
    bar = track(total=total, unit="picture")
    with ThreadPoolExecutor(threads) as pool, bar:
        ahead = deque()
        for item in items:
            ahead.append((item, pool.submit(work, item)))
            if len(ahead) > 4 * threads:
                item, result = ahead.popleft()
                bar.update()
                yield item, result.result()
        for item, result in ahead:
            bar.update()
            yield item, result.result()


class Pictures(Source):
    """Any folder of pictures. Samples: rgb, id (path inside the folder) and label when every picture lies in a sub-folder.

    size: side of the square samples, or None for each picture's own size. Labels number the sorted names of the
    sub-folders that hold pictures directly: `classes`. names: take only these files of the folder, in this order.
    Raises ValueError for a folder without files.

    >>> for name, color in (("leaf", "green"), ("sky", "blue")):
    ...     Path("photos", name).mkdir(parents=True)
    ...     Image.new("RGB", (30, 20), color).save(f"photos/{name}/1.png")
    >>> photos = Pictures("photos", size=16)
    >>> photos.ids, photos.classes, photos[1]["label"]
    (['leaf/1.png', 'sky/1.png'], ['leaf', 'sky'], tensor(1))
    """

    def __init__(self, folder, size=None, crop="center", recursive=True, drop_gray=True, names=None):
        self.folder = Path(folder).expanduser().resolve()
        self.names = list_files(self.folder, recursive) if names is None else list(names)
        super().__init__(size, crop, drop_gray, folder=str(self.folder), recursive=recursive, chosen=names is not None)
        if not self.names:
            raise ValueError(f"{self.folder} holds no files: check the path.")
        self.paths = [self.folder / name for name in self.names]
        pictures = [name for name in self.names if Path(name).suffix.lower() in PICTURE_SUFFIXES]
        if pictures and all("/" in name for name in pictures):
            self.classes = sorted({Path(name).parent.name for name in pictures})

    def read(self, i):
        sample = {"rgb": self.fit(decode(self.paths[i], verify=False))}
        if self.classes is None:
            return sample
        label = Path(self.names[i]).parent.name
        if label not in self.classes:
            raise ValueError(f"{self.names[i]} has no class: move it into a sub-folder or give it a picture's suffix.")
        return sample | {"label": torch.tensor(self.classes.index(label))}


# ---------------------------------------------------------------- photos that need no download

def photo_folder():
    """The folder of real photos named by the environment variable COLORLIB_DATA as a Path, or None. Raises ValueError if it
    is missing.

    >>> from unittest import mock
    >>> with mock.patch.dict(os.environ, COLORLIB_DATA="."):
    ...     photo_folder().is_dir()
    True
    """
    if not os.environ.get("COLORLIB_DATA"):
        return None
    folder = Path(os.environ["COLORLIB_DATA"]).expanduser()
    if not folder.is_dir():
        raise ValueError(f"COLORLIB_DATA names {folder}, which is not a folder: correct it or unset it.")
    return folder


def sample_photos(n=None):
    """The first n of the colour photos inside scikit-image's wheel, the most everyday ones first: a list of (name,
    `(H, W, 3)` uint8).

    A photo that this version of scikit-image would have to download is left out. Raises ValueError when fewer than n
    are there.

    >>> [(name, photo.shape) for name, photo in sample_photos(2)]
    [('astronaut', (512, 512, 3)), ('coffee', (400, 600, 3))]
    """
    import skimage.data
    photos = []
    for name in PHOTOS[:n]:
        try:
            photo = getattr(skimage.data, name)()
        except (AttributeError, ImportError, OSError):       # not in this wheel, or no network
            continue
        photos.append((name.removeprefix("stereo_"), photo[0] if isinstance(photo, tuple) else photo))
    if n is not None and len(photos) < n:
        raise ValueError(f"scikit-image brings {len(photos)} of the {n} photos: ask for at most {len(PHOTOS)}, or "
                         "update scikit-image.")
    return photos
