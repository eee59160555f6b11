"""A method's network as an ONNX file, for programs without Python: lightness in, colour out.

The file holds what `colorize` of the paper does at the working size, padding and decoding included. Around it, a program
shrinks L to a height and width that are multiples of 8, the shorter side the "working_size" in the file's metadata
(`images.model_input`), and puts the colour under the full-size L (`images.merge_chroma`).
"""
import hashlib
import importlib.util
import json
import logging
import os
import tempfile
import warnings
from pathlib import Path

import torch
from torch import nn

from colorlib import zoo
from colorlib.files import write_atomic

__all__ = ["export_onnx", "REFUSED", "UNITS"]

OPSET = 18
NEEDED = "onnx", "onnxscript"
SAMPLE = (2, 72, 88)             # pictures, height, width of the batch that is traced: nothing in the file depends on them
UNITS = {"L": "(N, 1, H, W) float32 in [0, 100], H and W multiples of 8", "hint_ab": "(N, 2, H, W) float32, CIE units, 0 where no hint is",
         "hint_mask": "(N, 1, H, W) float32, 1 at hints, else 0", "nir": "(N, C, H, W) float32 in [0, 1], H and W multiples of 8",
         "lines": "(N, 1, H, W) float32, lines 0 on paper 1, H and W multiples of 8", "reference": "(N, 3, h, w) uint8",
         "ab": "(N, 2, H, W) float32, CIE units", "rgb": "(N, 3, H, W) float32 in [0, 1]"}
REFUSED = {                      # why a method has no ONNX form here
    "levin": "it solves equations, one set for each picture",
    "hintnet": "it weighs every hint against every place, and how many hints there are is not known when a file is written; siggraph17 or unet take hints, too",
    **dict.fromkeys(("gray2color", "gray2color_seed"), "it compares picture and reference in pieces, whose number follows from their sizes; color2embed "
                    "takes a reference, too"),
    "welsh": "it looks for the most similar of some pixels, and has no network"}


class Painter(nn.Module):
    """A paper's `colorize` with tensors for a batch: inputs of these names, in this order -> planes."""

    def __init__(self, paper, model, names):
        super().__init__()
        self.paper, self.model, self.names = paper, model, names

    def forward(self, *values):
        return self.paper.colorize(self.model, dict(zip(self.names, values)))


def export_onnx(name, path, weights=None, model=None):
    """Write a method's network as an ONNX file, opset 18, any number of pictures of any height and width that are multiples
    of 8. Returns the path.

    Inputs "L", of methods that take hints "hint_ab" and "hint_mask", too, "reference" of those that take one, or "nir" or
    "lines" of those that see these; output "ab", or "rgb" of methods that paint all of the picture; see UNITS. Metadata:
    method, working_size, weights_sha256, inputs, output. Raises ValueError for methods that cannot be written (REFUSED says
    why), ImportError where a package is missing, FileNotFoundError for a folder that is not there.

    >>> export_onnx("film", "film.onnx")
    Traceback (most recent call last):
    ValueError: film cannot be written as ONNX: words become numbers by its vocabulary, outside the network.
    """
    row, path = zoo.get(name), Path(path).expanduser()
    if "caption" in row.conditions or row.name in REFUSED:
        raise ValueError(f"{row.name} cannot be written as ONNX: {REFUSED.get(row.name, 'words become numbers by its vocabulary, outside the network')}.")
    if missing := [package for package in NEEDED if importlib.util.find_spec(package) is None]:
        raise ImportError(f"Writing ONNX needs {' and '.join(missing)}: install {'them' if len(missing) > 1 else 'it'} with `pip install {' '.join(missing)}`.")
    if not path.parent.is_dir():
        raise FileNotFoundError(f"The folder {path.parent} does not exist: create it first.")
    model = model if model is not None else zoo.load(row.name, weights, device="cpu")
    batch = sample_batch(row, model)
    painter = Painter(row.papers, model, list(batch)).eval()
    painter(*batch.values())         # once by itself: what papers keep from their first call must not be made while it is traced
    output = "ab" if row.sees == "grey" else "rgb"
    sizes = ("pictures", 1, 4096), ("rows", 2, 512), ("columns", 2, 512)
    number, height, width = (torch.export.Dim(axis, min=least, max=most) for axis, least, most in sizes)
    axes = {0: number, 2: 8 * height, 3: 8 * width}
    other = {0: number, 2: torch.export.Dim("reference_rows", min=8, max=4096), 3: torch.export.Dim("reference_columns", min=8, max=4096)}
    with warnings.catch_warnings(), tempfile.TemporaryDirectory() as folder, quiet():
        warnings.simplefilter("ignore")
        file = os.path.join(folder, "network.onnx")
        program = torch.onnx.export(painter, tuple(batch.values()), dynamo=True, opset_version=OPSET, input_names=list(batch), output_names=[output],
                                    dynamic_shapes=(tuple(other if one == "reference" else axes for one in batch),), verbose=False)
        facts = {"method": row.name, "working_size": str(zoo.working_size(model.config)), "weights_sha256": digest(model),
                 "inputs": json.dumps({one: UNITS[one] for one in batch}), "output": json.dumps({output: UNITS[output]})}
        program.model.metadata_props.update(facts)
        program.save(file, external_data=False)
        write_atomic(path, Path(file).read_bytes())
    return path


def sample_batch(row, model):
    """A batch of SAMPLE's size, smooth as pictures are, with a few hints."""
    number, height, width = SAMPLE
    draw = torch.Generator().manual_seed(0)
    smooth = lambda channels: nn.functional.interpolate(torch.rand(number, channels, 9, 11, generator=draw), size=(height, width), mode="bilinear")
    if row.sees != "grey":
        return {"nir": smooth(model.config.in_channels)} if row.sees == "infrared" else {"lines": smooth(1).round()}
    batch = {"L": 100 * smooth(1)}
    if "hints" in row.conditions:
        mask = (torch.rand(number, 1, height, width, generator=draw) > 0.99).float()
        batch |= {"hint_ab": 40 * mask * (smooth(2) - 0.5), "hint_mask": mask}
    if "reference" in row.conditions:
        batch["reference"] = (255 * nn.functional.interpolate(smooth(3), size=(100, 120))).byte()
    return batch


def digest(model):
    """SHA-256 over names and values of a model's weights."""
    found = hashlib.sha256()
    for name, value in sorted(model.state_dict().items()):
        found.update(name.encode() + value.detach().cpu().contiguous().numpy().tobytes())
    return found.hexdigest()


class quiet:
    """Without the exporter's log."""

    def __enter__(self):
        logging.disable(logging.WARNING)

    def __exit__(self, *_):
        logging.disable(logging.NOTSET)
