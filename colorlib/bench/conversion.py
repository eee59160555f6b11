"""sRGB to Lab and back: ours beside scikit-image, OpenCV's float path and kornia; on a GPU beside a copy of the same bytes, which nothing can beat."""
import cv2
import numpy as np
import torch
from skimage.color import lab2rgb, rgb2lab

from colorlib import bench, lab

__all__ = ["VARIANTS"]      # what `python -m colorlib bench` measures: {name: function of (rounds, device) that returns rows}

SIDE, GPU_BATCH = 256, 64


def kornia_color():
    """kornia's conversions, None where it is not installed."""
    try:
        from kornia import color
        return color
    except ImportError:
        return None


def to_lab(rounds=None, device="cpu"):
    """One 256 x 256 float32 picture, sRGB to Lab, on one core of the CPU, each in the layout it prefers."""
    rgb = np.random.default_rng(0).random((SIDE, SIDE, 3), dtype=np.float32)
    tensor = torch.from_numpy(rgb).permute(2, 0, 1)[None].contiguous()
    found = {"colorlib": lambda: lab.rgb_to_lab(tensor), "colorlib, array": lambda: lab.rgb_to_lab(rgb), "scikit-image": lambda: rgb2lab(rgb),
             "OpenCV float": lambda: cv2.cvtColor(rgb, cv2.COLOR_RGB2Lab)}
    return on_one_core(found | ({"kornia": lambda: color.rgb_to_lab(tensor)} if (color := kornia_color()) else {}), rounds, rgb2lab(rgb.astype(np.float64)))


def bytes_to_lab(rounds=None, device="cpu"):
    """One 256 x 256 picture of 8 bits, as loaders give it, to float32 Lab. OpenCV's own 8-bit Lab is left out: it rounds a and b to whole units."""
    rgb = np.random.default_rng(0).integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)
    tensor = torch.from_numpy(rgb).permute(2, 0, 1)[None].contiguous()
    found = {"colorlib": lambda: lab.rgb_to_lab(tensor), "scikit-image": lambda: rgb2lab(rgb),
             "OpenCV float": lambda: cv2.cvtColor(rgb.astype(np.float32) / 255, cv2.COLOR_RGB2Lab)}
    return on_one_core(found | ({"kornia": lambda: color.rgb_to_lab(tensor.float() / 255)} if (color := kornia_color()) else {}), rounds, rgb2lab(rgb))


def to_rgb(rounds=None, device="cpu"):
    """The Lab of one 256 x 256 picture back to float32 sRGB, clipped."""
    rgb = np.random.default_rng(0).random((SIDE, SIDE, 3), dtype=np.float32)
    array = rgb2lab(rgb)
    tensor = torch.from_numpy(array).permute(2, 0, 1)[None].contiguous()
    found = {"colorlib": lambda: lab.lab_to_rgb(tensor), "colorlib, array": lambda: lab.lab_to_rgb(array), "scikit-image": lambda: lab2rgb(array),
             "OpenCV float": lambda: cv2.cvtColor(array, cv2.COLOR_Lab2RGB)}
    return on_one_core(found | ({"kornia": lambda: color.lab_to_rgb(tensor)} if (color := kornia_color()) else {}), rounds, rgb)


def on_one_core(functions, rounds, reference):
    """Rows with each contestant's largest error; reference: array `(H, W, 3)`."""
    as_array = lambda found: found[0].permute(1, 2, 0).numpy() if torch.is_tensor(found) else found
    notes = {name: f"largest error {np.abs(as_array(function()) - reference).max():.1e}" for name, function in functions.items()}
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        return bench.race(functions, rounds or 5 * bench.ROUNDS, notes=notes)
    finally:
        cv2.setNumThreads(threads)


def on_gpu(rounds=None, device="cpu"):
    """64 float32 pictures of 256 x 256 to Lab and, with gradients, there and back, on a GPU; notes: bytes moved a second, as a share of what a copy moves. No
    rows without one."""
    if torch.device(device).type != "cuda":
        return []
    rgb = torch.rand(GPU_BATCH, 3, SIDE, SIDE, device=device)
    ways = {"colorlib": lab.rgb_to_lab, "plain torch": plain, "plain torch, compiled": torch.compile(plain)}
    ways |= {"kornia": color.rgb_to_lab} if (color := kornia_color()) else {}

    def both(convert):
        leaf, gradient = rgb.clone().requires_grad_(), torch.rand_like(rgb)
        return lambda: torch.autograd.grad(convert(leaf), leaf, gradient)
    rows = []
    kinds = (("forward", {name: lambda way=way: way(rgb) for name, way in ways.items()}, 1),
             ("forward and backward", {name: both(way) for name, way in ways.items()}, 2.5))
    for what, functions, passes in kinds:
        timed = bench.race(functions | {"a copy of the bytes": lambda: rgb.clone()}, rounds or 10 * bench.ROUNDS, device, GPU_BATCH, threads=None)
        copy = timed[-1]["median_ms"]
        rows += [row | {"method": f"{row['method']}, {what}", "notes": f"{passes * copy / row['median_ms']:.0%} of the bandwidth of a copy"}
                 for row in timed[:-1]]
    return rows


def plain(rgb):
    """The conversion by elementwise torch operations, as `colorlib.lab` writes the formulas."""
    return lab.plain_to_lab()[1](rgb)


VARIANTS = {"sRGB to Lab": to_lab, "8 bits to Lab": bytes_to_lab, "Lab to sRGB": to_rgb, "sRGB to Lab on a GPU": on_gpu}
