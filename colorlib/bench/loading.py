"""Pictures a second that reach a training: ours from a pack, while packing, from tars and from files; beside loaders that prepare pictures in workers."""
import contextlib
import itertools
import os
import shutil
import statistics
import tarfile
import tempfile
import time
import warnings
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import torch
from PIL import Image

from colorlib import bench, data, lab, train

__all__ = ["VARIANTS"]      # what `python -m colorlib bench` measures: {name: function of (rounds, device) that returns rows}

FILES, SIDES, QUALITY = 200, (427, 320), 90         # JPEG files, their width and height, their quality
CROP, BATCH = 256, 32
PER_SHARD = 50
ROUNDS, WORKERS = 5, 2
THERE = "a batch that is there"
GPU_BATCH, GPU_WORKERS, GPU_UPDATES = 64, 8, 30     # of the eccv16-class training


@contextlib.contextmanager
def workshop():
    """A folder with `photos/*.jpg`, parts of scikit-image's photos, and `tars/` of the same; packs of ours go there, too. It is gone afterwards."""
    with tempfile.TemporaryDirectory() as name:
        folder, draw = Path(name), np.random.default_rng(0)
        (folder / "photos").mkdir()
        photos = [Image.fromarray(photo) for _, photo in data.sample_photos()]
        for i in range(FILES):
            photo = photos[i % len(photos)]
            side = min(photo.width // 4, photo.height // 3)
            width, height = 4 * draw.integers(side // 2, side + 1), 3 * draw.integers(side // 2, side + 1)
            left, top = draw.integers(photo.width - width + 1), draw.integers(photo.height - height + 1)
            part = photo.crop((left, top, left + width, top + height)).resize(SIDES, Image.Resampling.LANCZOS)
            part.save(folder / f"photos/{i:04d}.jpg", quality=QUALITY)
        (folder / "tars").mkdir()
        paths = sorted((folder / "photos").iterdir())
        for start in range(0, FILES, PER_SHARD):
            with tarfile.open(folder / f"tars/{start // PER_SHARD}.tar", "w") as tar:
                for path in paths[start:start + PER_SHARD]:
                    tar.add(path, path.name)
        before = os.environ.get("COLORLIB_CACHE")
        os.environ["COLORLIB_CACHE"] = str(folder / "cache")
        try:
            yield folder
        finally:
            os.environ.pop("COLORLIB_CACHE") if before is None else os.environ.update(COLORLIB_CACHE=before)


class InTheWorker(torch.utils.data.Dataset):
    """JPEG files the way most published training code reads them: a picture is decoded, resized, mirrored and brought to Lab by scikit-image, in float64,
    before it is a sample: {"L" `(1, 256, 256)`, "ab" `(2, 256, 256)`}, float32."""

    def __init__(self, folder):
        self.paths = sorted(Path(folder).iterdir())

    def __len__(self):
        return len(self.paths)

    def __getitem__(self, i):
        from skimage.color import rgb2lab
        picture = Image.open(self.paths[i]).convert("RGB").resize((CROP, CROP), Image.Resampling.BILINEAR)
        picture = picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if torch.rand(()) < 0.5 else picture
        values = torch.from_numpy(rgb2lab(np.asarray(picture))).permute(2, 0, 1).float()
        return {"L": values[:1], "ab": values[1:]}


class Uint8InTheWorker(InTheWorker):
    """The same files by torchvision: decoded, cropped and mirrored, uint8 `(3, 256, 256)`."""

    def __getitem__(self, i):
        from torchvision.io import decode_image
        from torchvision.transforms import v2
        picture = v2.functional.resize(decode_image(str(self.paths[i])), [min(SIDES)], antialias=True)
        return v2.RandomHorizontalFlip()(v2.RandomCrop(CROP)(picture))


def feeds(folder, workers):
    """{name: endless batches} of all loaders. Ours first."""
    options = {"crop": CROP, "workers": workers}
    peer = lambda dataset: forever(torch.utils.data.DataLoader(dataset, BATCH, shuffle=True, num_workers=workers, drop_last=True, persistent_workers=workers > 0))
    packed, side = data.pack(data.Pictures(folder / "photos", min(SIDES))), min(SIDES)
    return {"colorlib, from the pack": lambda: data.batches(packed, BATCH, **options),
            "colorlib, from tars": lambda: data.batches(data.Streamed(data.Shards(folder / "tars", side), head=BATCH), BATCH, **options),
            "colorlib, from files": lambda: data.batches(data.Pictures(folder / "photos", side), BATCH, **options),
            "torchvision in the worker, no Lab": lambda: peer(Uint8InTheWorker(folder / "photos")),
            "scikit-image in the worker": lambda: peer(InTheWorker(folder / "photos"))}


def forever(loader):
    while True:
        yield from loader


WHAT = {"colorlib, from the pack": "second epoch on: uint8 crops of squares decoded once",
        "colorlib, with Lab": "the same, and its colours to Lab on the same core",
        "colorlib, packing": "first epoch: decoded, made squares, grey ones found, written",
        "colorlib, from tars": "decoded each time, grey ones found each time",
        "colorlib, from files": "decoded each time",
        "torchvision in the worker, no Lab": "decoded, resized, cropped, each time",
        "scikit-image in the worker": "decoded, resized, to Lab in float64, each time"}      # what a loader does for a batch


def describe(name):
    """The remark in a loader's row."""
    return f"{WHAT[name]}; JPEG {SIDES[0]} x {SIDES[1]}, batches of {BATCH} at {CROP} px"


def one_core(rounds=None, device="cpu"):
    """A batch of 32 in the process itself, one thread. Ours gives uint8, as the device makes Lab of it; a row has that added."""
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        with workshop() as folder, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            names, fresh = [path.name for path in sorted((folder / "photos").iterdir())[:BATCH]], folder / "fresh"

            def packing():
                data.pack(data.Pictures(folder / "photos", min(SIDES), names=names), fresh, threads=1)
                shutil.rmtree(fresh)
            made = {name: make() for name, make in feeds(folder, 0).items()}
            functions = {name: lambda feed=feed: next(feed) for name, feed in made.items()}
            first, *others = functions
            found = {first: functions[first], "colorlib, with Lab": lambda: lab.rgb_to_lab(functions[first]()["rgb"]), "colorlib, packing": packing}
            found |= {name: functions[name] for name in others}
            return bench.race(found, rounds or ROUNDS, pictures=BATCH, notes={name: describe(name) for name in found})
    finally:
        cv2.setNumThreads(threads)


def with_workers(rounds=None, device="cpu", workers=WORKERS, least=1.0):
    """As many worker processes as the median of `rounds` turns takes, each of at least a second after the first batch of every worker has come."""
    with workshop() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        makers, rounds = feeds(folder, workers), min(rounds or bench.SLOW_ROUNDS, bench.SLOW_ROUNDS)
        seconds = {name: [] for name in makers}
        for name, make in [*makers.items()] * rounds:
            seconds[name].append(seconds_a_batch(make(), workers, least))
    first = statistics.median(next(iter(seconds.values())))
    return [{"method": name, "n": rounds, "median_ms": 1e3 * statistics.median(values), "low_ms": 1e3 * min(values), "high_ms": 1e3 * max(values),
             "ratio": statistics.median(values) / first, "pictures_per_s": BATCH / statistics.median(values), "threads": workers, "notes": describe(name)}
            for name, values in seconds.items()]


def seconds_a_batch(feed, workers, least):
    """Seconds a batch takes, over at least so many seconds; the first batch of every worker does not count."""
    for _ in range(workers):
        next(feed)
    start = time.perf_counter()
    for count in itertools.count(1):
        next(feed)
        if (passed := time.perf_counter() - start) > least:
            feed.close()
            return passed / count


def feeding_a_gpu(rounds=None, device="cpu"):
    """Updates of the ECCV 2016 network at its paper's width, 64 pictures of 256 px, on a GPU: with a batch that is there already, from a pack by eight workers,
    and from a pack that is on the device. Without a GPU no row."""
    if torch.device(device).type != "cuda":
        return []
    from colorlib.papers import cic
    fabric = train.make_fabric(device, devices=1)
    step = cic.Step(replace(cic.PAPER, image_size=CROP, batch_size=GPU_BATCH), fabric, torch.full((cic.PAPER.bins,), 1 / cic.PAPER.bins, dtype=torch.float64))
    with workshop() as folder:
        packed = data.pack(data.Pictures(folder / "photos", min(SIDES)))
        fed = lambda source, workers: train.on_device(data.batches(source, GPU_BATCH, crop=CROP, workers=workers, pin=True), fabric, ahead=workers > 0)
        there = next(fed(packed, 0))
        sources = {THERE: itertools.repeat(there), f"from the pack, {GPU_WORKERS} workers": fed(packed, GPU_WORKERS),
                   "from a pack on the device": fed(data.Resident(packed, fabric.device), 0)}

        def updates(feed):
            for batch in itertools.islice(feed, GPU_UPDATES):
                step(batch)
        functions = {name: lambda feed=feed: updates(feed) for name, feed in sources.items()}
        rows = bench.race(functions, rounds or bench.SLOW_ROUNDS, fabric.device, GPU_UPDATES * GPU_BATCH, threads=None)
    for row in rows:
        row["notes"] = (f"the device works {100 / row['ratio']:.0f} % of the time; {GPU_UPDATES} updates of {GPU_BATCH} pictures of {CROP} px, "
                        f"{fabric._precision.precision}")
    return rows


VARIANTS = {"one core": one_core, "two workers": with_workers, "a GPU's share of time at work": feeding_a_gpu}
