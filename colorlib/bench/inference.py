"""Painting: one picture in several forms of a network, batches on a GPU, a folder, a photo of 12 megapixels."""
import importlib.util
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path

import cv2
import numpy as np
import torch

from colorlib import albums, bench, export, images, lab, painting, speed, train, zoo
from colorlib.data.sources import sample_photos

__all__ = ["VARIANTS"]      # what `python -m colorlib bench` measures: {name: function of (rounds, device) that returns rows}

SIDE, BATCH = 256, 64
LARGE = 4000, 3000               # a photo of 12 megapixels: width and height
PHOTOS = 12                      # in the folder
WRITTEN = "siggraph17", "cic"    # whose networks are measured as ONNX, too; writing the default one takes half a minute
STRAIGHT = """
import sys
import numpy as np, torch
from PIL import Image
from skimage.color import lab2rgb, rgb2lab
from skimage.transform import resize
from colorlib import painting, zoo
rgb = np.asarray(Image.open(sys.argv[1]).convert("RGB"))
found = rgb2lab(rgb)
row, model = zoo.get(zoo.BEST[""]), zoo.load(zoo.BEST[""])
ab = painting.predict_ab(row.papers, model, found[..., 0].astype(np.float32))
found[..., 1:] = resize(ab.transpose(1, 2, 0), rgb.shape[:2], order=1)
Image.fromarray((255 * lab2rgb(found)).round().astype(np.uint8)).save(sys.argv[2], quality=95, subsampling=0)
"""


def photo_batch(row, number, device):
    """Photographs as L `(number, 1, SIDE, SIDE)`, with a few hints for methods that need some, on a device."""
    photos = [cv2.resize(photo, (SIDE, SIDE), interpolation=cv2.INTER_AREA) for _, photo in sample_photos(4)]
    L = torch.stack([lab.rgb_to_lab(torch.from_numpy(photos[i % 4]).permute(2, 0, 1))[:1] for i in range(number)]).to(device)
    mask = torch.zeros_like(L)
    mask[:, :, 40::60, 40::60] = 1
    return {"L": L} | ({"hint_ab": 30 * mask.expand(-1, 2, -1, -1), "hint_mask": mask} if "hints" in row.conditions else {})


def forms(name, number, device):
    """({form of a method's network: function that paints the batch}, {form: note}): the first is how it is used."""
    row, model = zoo.get(name), zoo.load(name, device=str(device))
    batch = photo_batch(row, number, device)
    painter = lambda model: lambda: row.papers.colorize(model, batch)
    with warnings.catch_warnings(record=True) as kept:
        warnings.simplefilter("always")
        found = {f"{name}, channels_last": painter(speed.speed_up(row, model)), f"{name}, as stored": painter(model)}
        in_bf16 = speed.speed_up(row, model, "bf16")
        if not kept:
            found[f"{name}, bf16"] = painter(in_bf16)
    if device.type == "cuda":
        found[f"{name}, compiled"] = painter(speed.speed_up(row, model, compile=True))
        if not kept:
            found[f"{name}, bf16, compiled"] = painter(speed.speed_up(row, model, "bf16", compile=True))
    elif name in WRITTEN and all(map(importlib.util.find_spec, (*export.NEEDED, "onnxruntime"))):
        found[f"{name}, onnxruntime"] = in_onnxruntime(row, model, batch)
    exact = painter(model)().cpu()
    notes = {form: f"largest difference in a or b {np.abs(np.asarray(paint().cpu()) - exact.numpy()).max():.2g}" for form, paint in found.items()}
    whole = row.papers.build(row.presets["paper"], pretrained=False).to(device).eval()
    found[f"{name}, paper's size"], notes[f"{name}, paper's size"] = painter(whole), "untrained"
    return found, notes


def in_onnxruntime(row, model, batch):
    """The same painting by onnxruntime, with as many threads as torch has in a race."""
    import onnxruntime
    with tempfile.TemporaryDirectory() as folder:
        content = export.export_onnx(row.name, Path(folder) / "network.onnx", model=model).read_bytes()
    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(content, settings, providers=["CPUExecutionProvider"])
    values = {name: value.numpy() for name, value in batch.items()}
    return lambda: torch.from_numpy(session.run(None, values)[0])


def one_picture(rounds=None, device="cpu"):
    """One picture of 256 px, on one core or a GPU."""
    rows = []
    for name in (zoo.BEST[""], *WRITTEN):
        functions, notes = forms(name, 1, torch.device(device))
        rows += bench.race(functions, rounds or bench.SLOW_ROUNDS, device, notes=notes)
    return rows


def many_pictures(rounds=None, device="cpu"):
    """Batches of 64 pictures of 256 px on a GPU; no rows without one."""
    if torch.device(device).type != "cuda":
        return []
    rows = []
    for name in (zoo.BEST[""], *WRITTEN):
        functions, notes = forms(name, BATCH, torch.device(device))
        rows += bench.race(functions, rounds or bench.ROUNDS, device, pictures=BATCH, notes=notes)
    return rows


def folder(rounds=None, device="cpu"):
    """A folder of photos, 480 x 360 px, from file to file, with all cores: `albums.colorize_many` beside one call after the other."""
    row, model = zoo.get(zoo.BEST[""]), zoo.load(zoo.BEST[""], device=str(device), channels_last=True)
    with tempfile.TemporaryDirectory() as place:
        paths = [Path(place) / f"{i}.jpg" for i in range(PHOTOS)]
        photos = sample_photos(4)
        for i, path in enumerate(paths):
            images.save_image(path, cv2.resize(photos[i % 4][1], (480, 360), interpolation=cv2.INTER_AREA))
        save = lambda path, picture: images.save_image(path.with_suffix(".png"), picture)

        def in_turn():
            for path in paths:
                save(path, painting.colorize(path, row.name, model=model))
        functions = {"colorlib, albums": lambda: list(albums.colorize_many(paths, row.name, model=model, save=save)), "one after the other": in_turn}
        return bench.race(functions, rounds or bench.SLOW_ROUNDS, device, pictures=PHOTOS, threads=None,
                          notes=dict.fromkeys(functions, f"{PHOTOS} photos, {row.name}, {train.cores()} cores"))


def large_photo(rounds=None, device="cpu"):
    """A photo of 12 megapixels, file to file, each time in a process of its own: its start counts. The peer does the same with scikit-image, all of it at
    once."""
    rounds = rounds or 2
    with tempfile.TemporaryDirectory() as place:
        photo, target = Path(place) / "photo.jpg", str(Path(place) / "painted.jpg")
        images.save_image(photo, cv2.resize(sample_photos(1)[0][1], LARGE, interpolation=cv2.INTER_CUBIC))
        commands = {"colorlib": ["-m", "colorlib", "colorize", str(photo), "-o", target, "--device", torch.device(device).type],
                    "scikit-image": ["-c", STRAIGHT, str(photo), target]}
        found = {name: [] for name in commands}
        for _ in range(rounds):
            for name, command in commands.items():
                found[name].append(in_a_process([sys.executable, *command]))
    times = {name: [1e3 * seconds for seconds, _ in one] for name, one in found.items()}
    ours = statistics.median(times["colorlib"])
    peaks = {name: max(peak for _, peak in one) for name, one in found.items()}
    return [{"method": name, "n": rounds, "median_ms": statistics.median(one), "low_ms": min(one), "high_ms": max(one), "ratio": statistics.median(one) / ours,
             "peak_mib": None if np.isnan(peaks[name]) else peaks[name], "threads": train.cores(), "notes": f"{zoo.BEST['']}, start of the process included"}
            for name, one in times.items()]


def in_a_process(command):
    """Run a command; (seconds, most MiB it held, NaN where /proc does not tell). Raises RuntimeError when it fails."""
    start, most = time.perf_counter(), float("nan")
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while process.poll() is None:      # what `os.wait4` says afterwards may be this process's own size, which the new one had before it began
        try:
            most = next((int(line.split()[1]) / 1024 for line in Path(f"/proc/{process.pid}/status").read_text().splitlines() if line.startswith("VmHWM")), most)
        except OSError:
            pass
        time.sleep(0.01)
    if process.returncode:
        raise RuntimeError(f"{' '.join(command)} ended with {process.returncode}.")
    return time.perf_counter() - start, most


VARIANTS = {"one picture of 256 px": one_picture, "64 pictures of 256 px": many_pictures, "folder": folder, "12 megapixels": large_photo}
