"""Is a folder of true pictures, with our way to read, crop, resize and count, the one published numbers were measured on? No model is needed to know.

DDColor's Table 1 prints the mean colourfulness of each method's pictures, CF, and its distance from that of the true ones, dCF. Truth is one number a
set, so it follows: the only value from which every row's CF is its dCF away (`golden`). Which resize kernel the authors used is not stated: the one
whose mean lands on that number is found here.
"""
import itertools

import numpy as np
import torch

from colorlib import images, lab, metrics, results
from colorlib.data.sources import decode
from colorlib.experiments import evaluators
from colorlib.metrics import learned_metrics
from colorlib.progress import track

__all__ = ["certify", "golden", "find_pictures", "measure", "verdict", "check_pipeline", "SETS", "TOLERANCE", "DRIFT_MAX"]

SETS = {                                                    # name of the set in `ddcolor.csv`, pictures, geometry
    "val5k": ("ImageNet val5k", 5000, "crop"), "val50k": ("ImageNet val50k", 50000, "squash"),
    "coco": ("COCO-Stuff val", 5000, "squash"), "ade20k": ("ADE20K val", 2000, "squash"),
}
VAL5K = "ILSVRC2012_val_{:08d}"                             # file number, from 1
TOLERANCE = 0.005                                           # golden numbers have two decimals
DRIFT_MAX = 0.25                                            # CIE units; rounding to 8 bits moves L by 0.06 to 0.11 on average (ours)
CHECKED = 50                                                # pictures for the checks that need few


def golden(split, name="ddcolor"):
    """Mean colourfulness of the true pictures of a split, the one value that fits CF and dCF of all published rows. Raises ValueError if not one does.

    >>> golden("ImageNet val5k")
    38.21
    """
    rows = [row for row in results.read_published(name) if row["split"] == split]
    found = {metric: {row["system"]: row["value"] for row in rows if row["metric"] == metric} for metric in ("CF", "dCF")}
    fits = [{round(cf - gap, 2), round(cf + gap, 2)} for system, cf in found["CF"].items() if (gap := found["dCF"].get(system)) is not None]
    common = set.intersection(*fits) if fits else set()
    if len(common) != 1:
        raise ValueError(f"The rows of {name} on {split!r} allow {len(common)} values for the truth: look at the table.")
    return common.pop()


def find_pictures(folder, split, count=None):
    """The paths a set consists of. Raises ValueError with one sentence when some are missing or there are too few or too many.

    >>> find_pictures("a folder nobody has", "ade20k")
    Traceback (most recent call last):
    ValueError: ...
    """
    paths, count = evaluators.list_pictures(folder), count or SETS[split][1]
    if split == "val5k":
        by_stem = {path.stem: path for path in paths}
        wanted = [VAL5K.format(number) for number in range(1, count + 1)]
        if absent := [stem for stem in wanted if stem not in by_stem]:
            raise ValueError(f"val5k is {wanted[0]} to {wanted[-1]}, but {folder} lacks {len(absent):,} of these {count:,}, the first is {absent[0]}.")
        return [by_stem[stem] for stem in wanted]
    if len(paths) != count:
        raise ValueError(f"{split} has {count:,} pictures, but {folder} holds {len(paths):,}: give the folder of exactly that set.")
    return paths


def measure(paths, kernels=tuple(evaluators.KERNELS), geometries=evaluators.GEOMETRIES, progress=None):
    """{(geometry, kernel): mean absolute colourfulness}, a picture at a time. Raises what `decode` does for a file that is no picture.

    >>> path = images.save_image("white.png", np.full((200, 300, 3), 255, np.uint8))
    >>> measure([path], kernels=["pil bilinear"], geometries=["crop"], progress=False)
    {('crop', 'pil bilinear'): 0.0}
    """
    totals = dict.fromkeys(itertools.product(geometries, kernels), 0.0)
    for path in track(paths, progress, unit="picture"):
        rgb = decode(path)
        for how in totals:
            totals[how] += metrics.colorfulness(evaluators.fit_legacy(rgb, *how), signed=False).item()
    return {how: total / len(paths) for how, total in totals.items()}


def certify(folder, split, truth=None, count=None, progress=None):
    """Yields lines: a Markdown table of the mean colourfulness under each kernel and geometry, what it says, and the checks of `check_pipeline`.

    split: one of SETS. truth, count: instead of the published value and the set's number of pictures. Raises ValueError for a folder that is not the set.

    >>> next(certify("photos/", "imagenet"))
    Traceback (most recent call last):
    ValueError: set is one of val5k, val50k, coco, ade20k, not 'imagenet'.
    """
    if split not in SETS:
        raise ValueError(f"set is one of {', '.join(SETS)}, not {split!r}.")
    label, _, geometry = SETS[split]
    truth, paths = golden(label) if truth is None else truth, find_pictures(folder, split, count)
    found = measure(paths, progress=progress)
    lines = [["kernel", *(f"CF, {one}" for one in evaluators.GEOMETRIES), *(f"off, {one}" for one in evaluators.GEOMETRIES)]]
    for kernel in evaluators.KERNELS:
        values = [found[one, kernel] for one in evaluators.GEOMETRIES]
        lines.append([kernel, *(f"{value:.4f}" for value in values), *(f"{value - truth:+.4f}" for value in values)])
    yield results.markdown(lines)
    yield verdict(found, truth, geometry, label)
    yield from check_pipeline([decode(path) for path in paths[:CHECKED]])


def verdict(found, truth, geometry, label):
    """One sentence: which kernels land on the published value, or the nearest. found: as `measure` gives it; geometry: the set's own.

    >>> verdict({("crop", "pil bilinear"): 38.213, ("crop", "cv2 bilinear"): 38.6}, truth=38.21, geometry="crop", label="ImageNet val5k")
    'ImageNet val5k: certified, pil bilinear (crop) lands on 38.21.'
    """
    hits = [how for how, value in found.items() if abs(value - truth) < TOLERANCE]
    name = lambda how: f"{how[1]} ({how[0]})"
    if any(how[0] == geometry for how in hits):
        return f"{label}: certified, {' and '.join(map(name, hits))} {'lands' if len(hits) == 1 else 'land'} on {truth:.2f}."
    if hits:
        return f"{label}: {' and '.join(map(name, hits))} lands on {truth:.2f}, but the set is published with {geometry}: take care."
    nearest = min(found, key=lambda how: abs(found[how] - truth))
    return f"{label}: not certified, nothing lands on {truth:.2f}; nearest is {name(nearest)}, {found[nearest]:.2f}."


def check_pipeline(pictures):
    """Yields lines: does the truth's own colour, put back under its L as every painted picture's is, keep that L; and, where Inception is at hand, is FID
    of the pictures with themselves 0?

    >>> next(check_pipeline([np.full((64, 64, 3), 128, np.uint8)]))
    'L kept: drift ... CIE units over 1 pictures, as rounding to 8 bits has it.'
    """
    true = [evaluators.fit_legacy(rgb) for rgb in pictures]
    again = []
    for rgb in true:
        planes = lab.rgb_to_lab(rgb).astype(np.float32)
        again.append(images.merge_chroma(planes[..., 0], planes[..., 1:].transpose(2, 0, 1)))
    drift = metrics.l_drift(again, true).mean().item()
    judgement = "as rounding to 8 bits has it" if drift < DRIFT_MAX else "too much: look at the merge"
    yield f"L kept: drift {drift:.3f} CIE units over {len(true)} pictures, {judgement}."
    networks = evaluators.feature_networks("standard") | evaluators.feature_networks("legacy")
    for name, network in networks.items() if len(true) > 1 else ():
        features = learned_metrics.extract_features(network, [torch.from_numpy(rgb).permute(2, 0, 1) for rgb in true])
        distance = learned_metrics.fid_of_features(features, features)
        yield f"{name} of the pictures with themselves: {distance:.4f}, {'as it should be' if abs(distance) < 0.01 else 'not 0: look at the network'}."
    if not networks:
        yield evaluators.missing("standard")
