"""Speed beside named peers, measured in one process, one after the other in turns. Ratios travel between machines; milliseconds do not."""
import statistics
import time
import warnings

import numpy as np
import torch

from colorlib import lab, results

ROUNDS = 15


def time_in_turns(functions, rounds=ROUNDS):
    """{name: function} -> {name: (median, lowest, highest) seconds}. The functions take turns, so that a busy machine slows all of them alike."""
    samples = {name: [] for name in functions}
    for function in functions.values():
        function()
    for _ in range(rounds):
        for name, function in functions.items():
            start = time.perf_counter()
            function()
            samples[name].append(time.perf_counter() - start)
    return {name: (statistics.median(values), min(values), max(values)) for name, values in samples.items()}


def lab_contestants():
    """sRGB -> Lab of one 256 x 256 float32 picture on one core: ours, scikit-image, OpenCV's float path, and kornia where it is installed."""
    import cv2
    from skimage.color import rgb2lab
    rgb = np.random.default_rng(0).random((256, 256, 3), dtype=np.float32)
    tensor = torch.from_numpy(rgb).permute(2, 0, 1)[None].contiguous()
    found = {"colorlib": lambda: lab.rgb_to_lab(tensor)[0].permute(1, 2, 0).numpy(), "scikit-image": lambda: rgb2lab(rgb),
             "OpenCV float": lambda: cv2.cvtColor(rgb, cv2.COLOR_RGB2Lab)}
    try:
        import kornia
        found["kornia"] = lambda: kornia.color.rgb_to_lab(tensor)[0].permute(1, 2, 0).numpy()
    except ImportError:
        pass
    reference = rgb2lab(rgb.astype(np.float64))
    return found, {name: f"largest error {np.abs(function() - reference).max():.4f}" for name, function in found.items()}


def infer_contestants():
    """ab of one 128 x 128 picture: the shipped class-size network, in float32 and bf16, beside the paper-size network."""
    from colorlib import zoo
    from colorlib.papers import koalarization
    model, whole = zoo.load("koalarization", device="cpu"), koalarization.FusionNet(koalarization.FAITHFUL).eval()
    L, vector = torch.full((1, 1, 128, 128), 50.0), torch.zeros(1, koalarization.FAITHFUL.embedding)

    def in_bf16():
        with torch.autocast("cpu", dtype=torch.bfloat16):
            return koalarization.colorize(model, {"L": L})

    @torch.no_grad()
    def paper_size():
        return whole(lab.scale_L(L), vector)
    found = {"colorlib class": lambda: koalarization.colorize(model, {"L": L}), "colorlib class bf16": in_bf16, "paper size, no extractor": paper_size}
    return found, dict.fromkeys(found, "")


def run(what="lab", write=False):
    """Measure, print-ready Markdown back; write=True appends the lines to `data/results/benchmarks.csv`. what: "lab" or "infer"."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            functions, notes = {"lab": lab_contestants, "infer": infer_contestants}[what]()
            times = time_in_turns(functions)
    finally:
        torch.set_num_threads(threads)
    first = next(iter(times.values()))[0]
    lines = [f"| {what}, one core | median ms | lowest to highest | time / colorlib's | |", "|---|---|---|---|---|"]
    for name, (median, low, high) in times.items():
        lines.append(f"| {name} | {median * 1e3:.2f} | {low * 1e3:.2f} to {high * 1e3:.2f} | {median / first:.2f} | {notes[name]} |")
        if write:
            results.append("benchmarks", {"method": name, "variant": what, "n": ROUNDS, "median_ms": round(median * 1e3, 4), "low_ms": round(low * 1e3, 4),
                                          "high_ms": round(high * 1e3, 4), "ratio": round(median / first, 3)})
    return "\n".join(lines)
