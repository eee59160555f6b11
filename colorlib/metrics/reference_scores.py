"""How well colours were taken from a reference: histogram intersection in its two published protocols, matches on objects, and when a gate opens.

HIS = sum_q min(h_q, r_q) over the soft 441-bin ab histograms (`lab.ab_histogram`) of the answer and its reference: 1 for the same palette, 0 for
palettes without a common bin, 1 for grey beside grey. It looks at colours, never at where they are: a picture with its pixels shuffled keeps its HIS.
Read it beside PSNR or dE2000, and beside the HIS of the truth and of grey.

| protocol | the answer | the reference |
|---|---|---|
| tensor, `his_tensor` | ab as the network gives it, not cut to sRGB | squashed to 128 x 128, PIL's bicubic (code of Gray2ColorNet, Lu et al. 2020) |
| file, `his_file` | the 8-bit picture, 512 x 512 | area-averaged to 128 x 128, linearly enlarged to 512 x 512 (Kosugi 2025, `compute_his.py`) |

Never mix the two: enlarging and cutting to sRGB both change a palette.
"""
import cv2
import numpy as np
import torch
from PIL import Image

from colorlib import images, lab, metrics, zoo
from colorlib.progress import track
from colorlib.references import KINDS, WithReferences

__all__ = ["his_tensor", "his_file", "palette_similarity", "match_accuracy", "measure", "score_pictures",
           "gate_against_similarity"]

REFERENCE_SIDE, FILE_SIDE = 128, 512


# ---------------------------------------------------------------- histogram intersection

def his_tensor(ab, reference):
    """HIS of the tensor protocol, `(N,)` float64 in [0, 1]. ab `(N, 2, h, w)` straight from the network, CIE units; reference: N pictures, a tensor
    `(N, 3, H, W)` or arrays `(H, W, 3)`, uint8.

    >>> red = np.full((1, 8, 8, 3), (255, 0, 0), np.uint8)
    >>> ab = torch.from_numpy(lab.rgb_to_lab(red[0])).movedim(-1, 0)[None, 1:]
    >>> round(his_tensor(ab, red).item(), 3), his_tensor(0 * ab, red).item()             # its palette; grey
    (1.0, 0.0)
    """
    squashed = [np.asarray(Image.fromarray(one).resize((REFERENCE_SIDE, REFERENCE_SIDE), Image.BICUBIC)) for one in _arrays(reference, "reference")]
    return _intersect([_histogram(one) for one in ab.detach().cpu().numpy()], _histograms(squashed))


def his_file(pred, reference):
    """HIS of the file protocol, `(N,)` float64 in [0, 1]. pred, reference: N pictures each, tensors `(N, 3, H, W)` or arrays `(H, W, 3)`, uint8; pred
    of another size than 512 x 512 is brought to it, by areas or linearly.

    >>> red, gray = np.full((1, 8, 8, 3), (255, 0, 0), np.uint8), np.full((1, 8, 8, 3), 99, np.uint8)
    >>> [round(his_file(*pair).item(), 3) for pair in ((red, red), (gray, red))]
    [1.0, 0.0]
    """
    small = [cv2.resize(one, (REFERENCE_SIDE, REFERENCE_SIDE), interpolation=cv2.INTER_AREA) for one in _arrays(reference, "reference")]
    return _intersect(_histograms(map(_at_file_side, _arrays(pred, "pred"))), _histograms(map(_at_file_side, small)))


def palette_similarity(rgb, reference):
    """How much a picture's own palette is that of its reference: `his_file` of the truth, `(N,)` float64.

    >>> photo = np.random.default_rng(0).integers(0, 256, (1, 512, 512, 3), np.uint8)
    >>> round(palette_similarity(np.full_like(photo, 99), np.full_like(photo, 9)).item(), 3)         # grey beside grey
    1.0
    """
    return his_file(rgb, reference)


def _at_file_side(rgb):
    shrinks = min(rgb.shape[:2]) > FILE_SIDE
    return cv2.resize(rgb, (FILE_SIDE, FILE_SIDE), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)


def _histograms(pictures):
    return [_histogram(np.moveaxis(lab.rgb_to_lab(one)[..., 1:], -1, 0)) for one in pictures]


def _histogram(ab):
    """`lab.ab_histogram` of one array `(2, h, w)`, `(441,)` float64: each pixel's four bins are counted, not all 441; a tenth of the time, no gradient."""
    place = (np.clip(ab.reshape(2, -1).astype(np.float64), -lab.AB_MAX, lab.AB_MAX) + lab.AB_MAX) / (lab.AB_MAX / 10)          # from 0 to 20
    low = np.minimum(place.astype(np.int64), 19)
    (a, b), high = low, place - low                                                               # high: the share of the upper bin
    corners = [((a + da) * 21 + b + db, (high[0] if da else 1 - high[0]) * (high[1] if db else 1 - high[1])) for da in (0, 1) for db in (0, 1)]
    return sum(np.bincount(bins, share, minlength=441) for bins, share in corners) / len(a)


def _intersect(h, r):
    if len(h) != len(r):
        raise ValueError(f"{len(h)} answers for {len(r)} references: give one reference a picture.")
    return torch.from_numpy(np.minimum(h, r).sum(1))


def _arrays(pictures, name):
    """A list of `(H, W, 3)` uint8 arrays."""
    found = [one.detach().cpu().permute(1, 2, 0).numpy() if torch.is_tensor(one) and one.ndim == 3 else np.asarray(one) for one in pictures]
    if not found or any(one.dtype != np.uint8 or one.ndim != 3 or one.shape[2] != 3 for one in found):
        raise ValueError(f"{name} must hold 8-bit pictures, a tensor (N, 3, H, W) or arrays (H, W, 3).")
    return [np.ascontiguousarray(one) for one in found]


# ---------------------------------------------------------------- matches

def match_accuracy(index, mask, reference_mask, side):
    """Whether like is matched with like: (object, ground), each `(N,)` float64 in percent: of the target's positions on its object, the share whose
    matched position lies on the reference's object; of the others, the share whose match does not. NaN where there is no such position. Raises
    ValueError for an index outside the grid and sides of unequal number.

    index `(N, h, w)` int64: row-major, into a grid of side x side positions of the reference; mask, reference_mask `(N, 1, H, W)`, 0 or 1: reduced to
    the two grids by areas, a position belongs to the object when more than half of it does.

    >>> mask = torch.tensor([1.0, 0]).view(1, 1, 1, 2).repeat_interleave(8, 2).repeat_interleave(4, 3)   # the left half
    >>> index = torch.tensor([[[0, 1], [2, 2]]])                 # of four positions the last was matched with the left
    >>> [share.item() for share in match_accuracy(index, mask, mask, side=2)]
    [100.0, 50.0]
    """
    if index.ndim != 3 or not len(index) == len(mask) == len(reference_mask) or index.min() < 0 or index.max() >= side * side:
        raise ValueError(f"index must be (N, h, w) with numbers from 0 to {side * side - 1} and one mask and reference mask a picture: got "
                         f"{tuple(index.shape)}, {tuple(mask.shape)} and {tuple(reference_mask.shape)}.")
    index = index.cpu()
    of = _reduce(mask, index.shape[1:]).flatten(1)                                                # (N, h w) bool
    there = _reduce(reference_mask, (side, side)).flatten(1).gather(1, index.flatten(1))
    share = lambda hit, among: 100 * (hit & among).sum(1).double() / among.sum(1).double()          # 0 / 0 is NaN
    return share(there, of), share(~there, ~of)


def _reduce(mask, size):
    return torch.nn.functional.interpolate(mask.cpu().float(), size=tuple(size), mode="area")[:, 0] > 0.5


# ---------------------------------------------------------------- a method on references of several kinds

def measure(method, model, dataset, kinds=("related", "unrelated"), seed=0, pool=None, batch_size=10, progress=None):
    """{kind: {column: mean}} of a method with references of each kind on a data set of square colour pictures; see `score_pictures` for the columns.
    seed, pool: as in `WithReferences`. A mean leaves out pictures for which it is undefined (NaN).

    >>> from colorlib.data import SceneSet
    >>> welsh = zoo.get("welsh")
    >>> model = welsh.papers.build(welsh.presets["smoke"])
    >>> list(measure(welsh, model, SceneSet(1, 32, cache=False), kinds=("self",))["self"])
    ['psnr', 'de2000', 'colorfulness', 'his', 'his_file', 'palette_similarity']
    """
    scores = {kind: score_pictures(method, model, WithReferences(dataset, kind, seed, pool), batch_size, progress) for kind in kinds}
    return {kind: {key: _mean(values) for key, values in columns.items()} for kind, columns in scores.items()}


def _mean(values):
    return float(np.nanmean(values)) if not np.isnan(values).all() else float("nan")


@torch.no_grad()
def score_pictures(method, model, dataset, batch_size=10, progress=None):
    """{column: `(n,)` float64} of a method on a `WithReferences`: psnr, de2000, colorfulness of the picture painted at full size, his, his_file,
    palette_similarity; gate, its mean, if the paper's module has `gate(model, batch)` -> `(N, 1, h, w)` in [0, 1], or None for a model without one;
    if it has `match(model, batch)` -> `(N, h, w)` int64 and `match_side(model)`, and masks are known, match_accuracy and match_ground in percent, see
    `match_accuracy`.

    >>> from colorlib.data import SceneSet
    >>> welsh = zoo.get("welsh")
    >>> model = welsh.papers.build(welsh.presets["smoke"])
    >>> scores = score_pictures(welsh, model, WithReferences(SceneSet(2, 32, cache=False), "self"))
    >>> scores["his"].shape
    (2,)
    """
    columns = {}
    for samples, true, L, batch in _batches(model, dataset, batch_size, progress):
        ab = method.papers.colorize(model, batch).float().cpu()
        pred = np.stack([images.merge_chroma(*pair) for pair in zip(L, ab)])                       # (N, H, W, 3)
        arrays, reference = true.permute(0, 2, 3, 1).numpy(), batch["reference"].cpu()
        found = {"psnr": metrics.psnr(pred, arrays), "de2000": metrics.delta_e2000(pred, arrays), "colorfulness": metrics.colorfulness(pred),
                 "his": his_tensor(ab, reference), "his_file": his_file(pred, reference), "palette_similarity": palette_similarity(true, reference)}
        if (gate := _gate_of(method, model, batch)) is not None:
            found["gate"] = gate
        if hasattr(method.papers, "match") and "reference_mask" in samples[0]:
            index, side = method.papers.match(model, batch), method.papers.match_side(model)
            masks = (torch.stack([one[key] for one in samples]) for key in ("mask", "reference_mask"))
            found["match_accuracy"], found["match_ground"] = match_accuracy(index, *masks, side)
        for key, values in found.items():
            columns.setdefault(key, []).append(values.numpy())
    return {key: np.concatenate(values) for key, values in columns.items()}


@torch.no_grad()
def gate_against_similarity(method, model, dataset, kinds=KINDS, seed=0, pool=None, batch_size=10, progress=None):
    """[(kind, palette similarity, mean gate)], one a picture and kind: whether the gate opens where the reference fits. Raises ValueError for a
    method without a gate.

    >>> from colorlib.data import SceneSet
    >>> welsh = zoo.get("welsh")
    >>> model = welsh.papers.build(welsh.presets["smoke"])
    >>> gate_against_similarity(welsh, model, SceneSet(1, 32, cache=False), kinds=("self",))
    Traceback (most recent call last):
        ...
    ValueError: This welsh has no gate: choose a method whose module has gate(model, batch), and a config with one.
    """
    found = []
    for kind in kinds:
        for _, true, _, batch in _batches(model, WithReferences(dataset, kind, seed, pool), batch_size, progress):
            if (gate := _gate_of(method, model, batch)) is None:
                raise ValueError(f"This {method.name} has no gate: choose a method whose module has gate(model, batch), and a config with one.")
            found += zip([kind] * len(true), palette_similarity(true, batch["reference"]).tolist(), gate.tolist())
    return found


def _gate_of(method, model, batch):
    """The mean gate of each picture, `(N,)` float64, or None without a gate."""
    gate = method.papers.gate(model, batch) if hasattr(method.papers, "gate") else None
    return None if gate is None else gate.double().mean((1, 2, 3)).cpu()


def _batches(model, dataset, batch_size, progress):
    """Yield (samples, true `(N, 3, H, W)` uint8, L `(N, H, W)`, batch for the model on its device)."""
    place, side = next(model.parameters()).device, zoo.working_size(model.config)
    for start in track(range(0, len(dataset), batch_size), progress):
        samples = [dataset[i] for i in range(start, min(start + batch_size, len(dataset)))]
        true, reference = (torch.stack([one[key] for one in samples]) for key in ("rgb", "reference"))
        L = lab.rgb_to_lab(true)[:, 0].numpy()
        yield samples, true, L, {"L": torch.cat([images.model_input(one, side) for one in L]).to(place), "reference": reference.to(place)}
