"""Public data sets through torchvision: its own downloads and checksums, our samples."""
import os
import tarfile
import zipfile
from functools import partial
from pathlib import Path
from unittest import mock

import torch

from colorlib.data.downloads import OFFLINE, is_offline
from colorlib.data.downloads import download as download_file
from colorlib.data.packing import cache_folder
from colorlib.data.pairs import Captioned
from colorlib.data.sources import Source, decode
from colorlib.files import make_folder

__all__ = ["NAMES", "SPLITS", "torchvision_set"]

NAMES = ("Imagenette", "Places365", "Flowers102", "STL10", "CocoCaptions")
SPLITS = {"Imagenette": {"train": "train", "val": "val"},
          "Places365": {"train": "train-standard", "val": "val", "test": "test", "train-challenge": "train-challenge"},
          "Flowers102": {"train": "train", "val": "val", "test": "test"},
          "STL10": {"train": "train", "val": "test", "test": "test", "unlabeled": "unlabeled",
                    "train+unlabeled": "train+unlabeled"},
          "CocoCaptions": {"train": "train2017", "val": "val2017"}}
IMAGENETTE_SIZES = ("160px", "320px", "full")       # shorter side of the pictures in its three archives
LARGEST = 1 << 40                                   # bytes of an archive; Places365's has 105 GB
PLACES_SIDE = 256                                   # side of the small Places365 archives


def torchvision_set(name, root=None, split="train", size=None, download=False, crop="center", drop_gray=True):
    """A data set of torchvision's as a source of samples with rgb, id and label (CocoCaptions: captions and caption).

    name: one of `NAMES`, in any case. root: the folder torchvision keeps it in (default: `datasets` in the cache
    folder). size: as in `Pictures`; of several archives the smallest that is large enough is used. download: fetch it
    when it is missing; torchvision checks the MD5 sums. CocoCaptions, which torchvision does not download, is read from
    `root/<split>2017/` and `root/annotations/captions_<split>2017.json`. Raises ValueError for an unknown name or
    split, FileNotFoundError when the data are missing, ConnectionError when they cannot be fetched.

    >>> torchvision_set("STL10", split="unlabelled")
    Traceback (most recent call last):
    ValueError: STL10 has no split 'unlabelled': choose one of train, val, test, unlabeled, train+unlabeled.
    """
    known = {one.lower(): one for one in NAMES}
    if (name := known.get(str(name).lower())) is None:
        raise ValueError(f"The data set is not known: choose one of {', '.join(NAMES)}.")
    if split not in SPLITS[name]:
        raise ValueError(f"{name} has no split {split!r}: choose one of {', '.join(SPLITS[name])}.")
    root = Path(root or cache_folder() / "datasets").expanduser()
    split = SPLITS[name][split]
    if name == "CocoCaptions":
        return _coco(root, split, size, crop, drop_gray)
    makers = _makers(name, str(root), split, size)
    for make in makers:                                          # what is there already needs no download
        try:
            return TorchvisionSet(name, make(), root, split, size, crop, drop_gray)
        except (RuntimeError, FileNotFoundError):
            continue
    if not download:
        raise FileNotFoundError(f"{name} ({split}) is not in {root}: pass download=True to fetch it, or root= the "
                                "folder torchvision put it in.")
    if is_offline():
        raise ConnectionError(f"{name} ({split}) is not in {root}, and the network is off ({' or '.join(OFFLINE)} is set): let torchvision fetch it elsewhere "
                              "and copy its folder there, or unset the variable.")
    make_folder(root)
    try:
        with mock.patch.multiple("torchvision.datasets.utils", _urlretrieve=_retrieve, _get_redirect_url=lambda url, **_: url):
            return TorchvisionSet(name, makers[0](download=True), root, split, size, crop, drop_gray)
    except (OSError, RuntimeError, ValueError, tarfile.TarError, zipfile.BadZipFile) as error:
        raise ConnectionError(f"{name} could not be downloaded to {root} ({error}): check the network and the free "
                              "space, then try again.") from error


def _retrieve(url, path, *_):
    """`downloads.download` for torchvision, which checks the sum itself and calls this only where the file is missing or wrong."""
    Path(path).unlink(missing_ok=True)
    try:
        download_file(url, path, max_bytes=LARGEST)
    except (OSError, ValueError) as error:      # after an OSError torchvision would try again without TLS
        raise RuntimeError(str(error)) from error


def _makers(name, root, split, size):
    """Constructors to try in this order; the first is the one worth a download."""
    import torchvision.datasets      # late: it takes a second that colouring a photo does not need
    make = partial(getattr(torchvision.datasets, name), root, split=split)
    if name == "Imagenette":
        enough = [one for one in IMAGENETTE_SIZES[:2] if size is not None and int(one[:3]) >= size] + ["full"]
        return [partial(make, size=one) for one in enough]
    if name == "Places365":
        enough = [True, False] if size is not None and size <= PLACES_SIDE else [False]
        return [partial(make, small=small) for small in enough]
    return [make]


def _coco(root, split, size, crop, drop_gray):
    pictures, captions = root / split, root / "annotations" / f"captions_{split}.json"
    if not pictures.is_dir() or not captions.is_file():
        raise FileNotFoundError(f"CocoCaptions needs {pictures} and {captions}: unpack {split}.zip and "
                                "annotations_trainval2017.zip from https://cocodataset.org/#download there.")
    return Captioned(pictures, captions, size, crop, drop_gray)


class TorchvisionSet(Source):
    """A torchvision data set as a source; made by `torchvision_set`."""

    def __init__(self, name, dataset, root, split, size=None, crop="center", drop_gray=True):
        super().__init__(size, crop, drop_gray, folder=str(Path(root).resolve() / f"{name}-{split}"),
                         variant=repr(dataset))
        self.pixels = getattr(dataset, "data", None)             # STL10 lives in one array `(N, 3, 96, 96)`
        if self.pixels is not None:
            self.names = [f"{name}/{split}/{i:06d}" for i in range(len(self.pixels))]
            self.labels = [int(label) for label in dataset.labels]
            self.paths = sorted((Path(root) / dataset.base_folder).glob("*_X.bin"))
        else:
            files = {"Imagenette": "_samples", "Places365": "imgs", "Flowers102": "_image_files"}[name]
            entries = getattr(dataset, files)
            self.paths = [Path(entry[0] if isinstance(entry, tuple) else entry) for entry in entries]
            self.labels = dataset._labels if name == "Flowers102" else [label for _, label in entries]
            self.names = [Path(os.path.relpath(path, root)).as_posix() for path in self.paths]
            if missing := [path for path in self.paths[:1] if not path.exists()]:
                raise FileNotFoundError(f"{missing[0]} does not exist.")
        classes = getattr(dataset, "classes", None)
        self.classes = [one[0] if isinstance(one, tuple) else one for one in classes] if classes else None

    def read(self, i):
        rgb = self.fit(decode(self.paths[i]) if self.pixels is None else self.pixels[i].transpose(1, 2, 0))
        return {"rgb": rgb} if self.labels[i] is None else {"rgb": rgb, "label": torch.tensor(int(self.labels[i]))}
