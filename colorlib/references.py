"""Reference pictures for exemplar-based colorization: a second picture beside each one of a data set, related to it in a known way.

| kind | the reference is |
|---|---|
| related | another picture of the same class; of a procedural scene, another scene with the same object in the same colour, `scenes.reference` |
| unrelated | a picture of another class |
| self | the picture itself, mirrored or not, cropped, turned and bent: the colours are right, the places are not (`warp`) |
| recolored | the same with its hues turned: the shapes are right, the colours are not |
| inverted | the same with its hues opposite |
| partial | a small cut-out of the picture, warped: most of the picture has no counterpart |
| distractor | the warped picture, small, inside an unrelated one |
| noise | squares of random colours |
| gray | the related one without colour |

A network that copies blindly does worse the further down it gets; one that knows when to trust its reference falls back to what it would have painted
without. The taxonomy follows the test photographs of the fork Dawars/Gray2ColorNet; the pictures and their making are ours.
"""
import hashlib
from pathlib import Path

import cv2
import numpy as np
import torch
import torch.nn.functional as F

from colorlib import lab
from colorlib.data.captioned import SCENE, column
from colorlib.data.combining import ids_of
from colorlib.data.packing import pack
from colorlib.data.pairs import SceneSet
from colorlib.data.sources import to_tensor

__all__ = ["make_reference", "WithReferences", "warp", "make_mask", "turn_hue", "warp_batch", "resize_batch", "KINDS"]

KINDS = ("related", "unrelated", "self", "recolored", "inverted", "partial", "distractor", "noise", "gray")
RELATED, UNRELATED, OWN = ("related", "gray"), ("unrelated", "distractor"), ("self", "recolored", "inverted", "partial", "distractor")
KEPT, PART, SMALL = (0.7, 0.9), (0.3, 0.5), (0.35, 0.5)     # side of the cut-out that is shown, also of a partial reference; side of a pasted picture
TURN, BEND, KNOTS = 10.0, 0.04, 4                           # degrees; share of the shorter side; control points of the bending, a side
HUE_TURN = (60.0, 300.0)                                    # degrees: no hue stays near its own
CELLS = 32                                                  # squares of noise a side: large enough to outlive reduction to 128 pixels


# ---------------------------------------------------------------- one reference

def warp(picture, seed, kept=KEPT):
    """The picture seen from elsewhere: `(H, W[, C])` array -> the same shape and dtype; two arrays of one size are warped alike by one seed.

    A cut-out of 70 to 90 % of each side, at a random place, is enlarged to the whole; half of them are mirrored; turned by up to 10 degrees; bent by
    a smooth random displacement of up to 4 % of the shorter side of what is shown (a 4 x 4 grid of control points, bicubic between them). So nothing
    stays in its place. Colours are interpolated linearly, 2-D masks taken from the nearest pixel; what lies outside is mirrored in. kept: other
    shares (lowest, highest).

    >>> picture = np.random.default_rng(0).integers(0, 256, (48, 64, 3), np.uint8)
    >>> warp(picture, seed=1).shape, (warp(picture, seed=1) == warp(picture, seed=1)).all().item()
    ((48, 64, 3), True)
    """
    height, width = picture.shape[:2]
    random = np.random.default_rng(seed)
    share, turn = random.uniform(*kept), np.deg2rad(random.uniform(-TURN, TURN))
    center = random.uniform(-1, 1, 2) * (1 - share)                                               # in half sides, x and y
    mirror = -1 if random.uniform() < 0.5 else 1
    bend = cv2.resize(random.uniform(-1, 1, (KNOTS, KNOTS, 2)).astype(np.float32), (width, height), interpolation=cv2.INTER_CUBIC).clip(-1, 1)
    y, x = np.meshgrid(np.arange(height) + 0.5 - height / 2, np.arange(width) + 0.5 - width / 2, indexing="ij")
    x, y = share * (x * np.cos(turn) - y * np.sin(turn)) * mirror, share * (x * np.sin(turn) + y * np.cos(turn))
    shift = share * BEND * min(height, width) * bend
    x = x + shift[..., 0] + (1 + center[0]) * width / 2 - 0.5
    y = y + shift[..., 1] + (1 + center[1]) * height / 2 - 0.5
    how = cv2.INTER_NEAREST if picture.ndim == 2 else cv2.INTER_LINEAR
    return cv2.remap(np.ascontiguousarray(picture), x.astype(np.float32), y.astype(np.float32), how, borderMode=cv2.BORDER_REFLECT_101)


def make_reference(kind, rgb, related=None, unrelated=None, seed=0):
    """The reference of a kind for the picture rgb `(h, w, 3)` uint8: `(h, w, 3)` uint8. One seed warps all kinds alike.

    related: `(., ., 3)` uint8, needed for related and gray; unrelated: needed for unrelated and distractor. Raises ValueError for an unknown kind or
    a missing picture.

    >>> red = np.zeros((48, 64, 3), np.uint8) + np.uint8([200, 60, 60])
    >>> make_reference("inverted", red)[0, 0].tolist(), make_reference("self", red)[0, 0].tolist()
    ([0, 123, 134], [200, 60, 60])
    >>> make_reference("related", red)
    Traceback (most recent call last):
        ...
    ValueError: A reference of the kind related is made from another picture: pass related=.
    """
    if kind not in KINDS:
        raise ValueError(f"There is no kind of reference {kind!r}: choose one of {', '.join(KINDS)}.")
    needed = {"related": related} if kind in RELATED else {"unrelated": unrelated} if kind in UNRELATED else {}
    for name, other in needed.items():
        if other is None:
            raise ValueError(f"A reference of the kind {kind} is made from another picture: pass {name}=.")
    if kind in ("related", "unrelated", "gray"):
        other = _fit(*needed.values(), rgb.shape)
        return turn_hue(other, None) if kind == "gray" else other
    random = np.random.default_rng([seed, 1])                                                     # not the numbers that `warp` draws
    if kind == "noise":
        cells = random.integers(0, 256, (CELLS, CELLS, 3), np.uint8)
        return cv2.resize(cells, rgb.shape[1::-1], interpolation=cv2.INTER_NEAREST)
    warped = warp(rgb, seed, PART if kind == "partial" else KEPT)
    if kind == "distractor":
        return _paste(warped, _fit(unrelated, rgb.shape), random)
    return {"recolored": lambda: turn_hue(warped, random.uniform(*HUE_TURN)), "inverted": lambda: turn_hue(warped, 180.0)}.get(kind, lambda: warped)()


def make_mask(kind, mask, related=None, seed=0):
    """Where the object of mask `(h, w)` is in what `make_reference` makes, `(h, w)` of the same dtype; related: the related picture's mask. None
    where the reference does not show it or nobody knows.

    >>> mask = np.zeros((48, 64), np.uint8); mask[16:32, 16:48] = 1
    >>> make_mask("self", mask).shape, make_mask("noise", mask)
    ((48, 64), None)
    """
    if kind in RELATED:
        return None if related is None else _fit(related, mask.shape)
    if kind not in OWN:
        return None
    warped = warp(mask, seed, PART if kind == "partial" else KEPT)
    return _paste(warped, np.zeros_like(mask), np.random.default_rng([seed, 1])) if kind == "distractor" else warped


def turn_hue(rgb, degrees):
    """Turn all hues in the ab plane; None takes the colour away. `(H, W, 3)` uint8 -> the same; L stays, chroma shrinks where sRGB ends.

    >>> red = np.uint8([[[200, 60, 60]]])
    >>> turn_hue(red, 180).tolist(), turn_hue(red, None).tolist()
    ([[[0, 123, 134]]], [[[111, 111, 111]]])
    """
    picture = lab.rgb_to_lab(rgb)
    angle, share = (0.0, 0.0) if degrees is None else (np.deg2rad(degrees), 1.0)
    picture[..., 1:] = share * picture[..., 1:] @ np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]], np.float32)
    turned = np.rint(255 * lab.lab_to_rgb(lab.map_to_gamut(picture)[0])).astype(np.uint8)
    return np.repeat(turned[..., 1:2], 3, -1) if degrees is None else turned                      # rounding could leave a grey one level off


def _fit(picture, shape):
    """A picture or mask at another one's height and width."""
    if picture.shape[:2] == tuple(shape[:2]):
        return picture
    return cv2.resize(picture, (shape[1], shape[0]), interpolation=cv2.INTER_NEAREST if picture.ndim == 2 else cv2.INTER_AREA)


def _paste(picture, ground, random):
    """A picture laid small, at a random place, into another of its size."""
    share, place = random.uniform(*SMALL), random.uniform(size=2)
    height, width = (max(1, round(share * side)) for side in picture.shape[:2])
    top, left = (int(x * (side - own + 1)) for x, side, own in zip(place, picture.shape[:2], (height, width)))
    ground = ground.copy()
    ground[top:top + height, left:left + width] = _fit(picture, (height, width))
    return ground


# ---------------------------------------------------------------- a data set with references

class WithReferences(torch.utils.data.Dataset):
    """A map-style data set of `colorlib.data` whose samples also hold reference `(3, h, w)` uint8, of the size of rgb, and reference_id.

    kind: one of KINDS. Where masks are known (scenes), the samples also hold reference_mask `(1, h, w)`: where their object is in the reference, for
    all kinds but unrelated and noise. A picture's reference follows from (seed, id) and, for related, unrelated, distractor and gray, the pictures of
    `pool`, by default the data set itself: pass the whole split when the data set is a part of it, and its references stay what they were. Scenes'
    related references are painted once and kept in `data.cache_folder()`. Random crops and mirroring by `data.batches` treat a reference as they
    treat its picture. Raises ValueError for an unknown kind, a pool with other classes, for pictures without labels where the kind needs some, for a
    class with one picture, which has no related one, and for a pool with one class, which has no unrelated one.

    >>> from colorlib.data import SceneSet
    >>> sample = WithReferences(SceneSet(2, 32, cache=False), "inverted")[0]
    >>> sample["reference"].shape, sample["reference_id"]
    (torch.Size([3, 32, 32]), 'scene/0/inverted')
    """

    def __init__(self, dataset, kind="related", seed=0, pool=None):
        if kind not in KINDS:
            raise ValueError(f"There is no kind of reference {kind!r}: choose one of {', '.join(KINDS)}.")
        if isinstance(dataset, torch.utils.data.IterableDataset) or not len(dataset):
            raise ValueError(f"{type(dataset).__name__} is empty or can only be read from start to end: pass a data set with samples, such as "
                             "pack(source).")
        self.dataset, self.kind, self.seed, self.pool = dataset, kind, seed, dataset if pool is None else pool
        for name in ("classes", "report", "left_out"):
            if hasattr(dataset, name):
                setattr(self, name, getattr(dataset, name))
        self.ids = list(map(str, ids_of(dataset)))
        self.seeds = [_digest(seed, one) for one in self.ids]
        self.painted = self.others = None
        if kind in RELATED and all(map(SCENE.fullmatch, self.ids)):
            self.painted = pack(_SceneReferences(self.ids, dataset[0]["rgb"].shape[-1]))
        elif kind in RELATED + UNRELATED:
            self.others = self._choose_others(kind in RELATED)

    def _choose_others(self, alike):
        """For each picture the position in the pool of one of the same class, or of another class."""
        pool_ids, places = list(map(str, ids_of(self.pool))), {}
        if getattr(self.pool, "classes", None) != getattr(self.dataset, "classes", None):
            raise ValueError("The pool has other classes than the data set: pass the whole of which the data set is a part.")
        labels, pool_labels = ([-1 if one is None else int(one) for one in column(data, "label")] for data in (self.dataset, self.pool))
        if -1 in labels or -1 in pool_labels:
            raise ValueError(f"References of the kind {self.kind} need the class of each picture, and some have no label: sort the pictures into folders "
                             "named after what they show, or choose the kind self.")
        for i in sorted(range(len(pool_ids)), key=pool_ids.__getitem__):
            places.setdefault(pool_labels[i], []).append(i)
        chosen, names = [], getattr(self.dataset, "classes", None)
        for one, label, number in zip(self.ids, labels, self.seeds):
            if not alike:
                if not (others := [other for other in sorted(places) if other != label]):
                    raise ValueError("All pictures are of one class, so none is unrelated to another: add pictures of other classes, or choose another "
                                     "kind of reference.")
                candidates = places[others[number % len(others)]]
            elif not (candidates := [i for i in places.get(label, ()) if pool_ids[i] != one]):
                raise ValueError(f"{one} is the only picture of the class {names[label] if names else label}, so none is related to it: add pictures of this "
                                 "class, take more pictures, or choose another kind of reference.")
            chosen.append(candidates[number // 1009 % len(candidates)])
        return chosen

    def __len__(self):
        return len(self.ids)

    def __getitem__(self, i):
        i = range(len(self))[i]
        sample, number, others = self.dataset[i], self.seeds[i], {}
        other = self.painted[i] if self.painted else self.pool[self.others[i]] if self.others else None
        if other is not None:
            others["related" if self.kind in RELATED else "unrelated"] = _array(other["rgb"])
        made = {"reference": to_tensor(make_reference(self.kind, _array(sample["rgb"]), seed=number, **others)),
                "reference_id": f"{self.ids[i]}/{self.kind}" if other is None or self.kind == "distractor" else other["id"]}
        if "mask" in sample:
            known = None if other is None or "mask" not in other else other["mask"][0].numpy()
            mask = make_mask(self.kind, sample["mask"][0].numpy(), known, number)
            made |= {} if mask is None else {"reference_mask": to_tensor(mask)}
        return sample | made


def _array(rgb):
    return rgb.permute(1, 2, 0).numpy()


def _digest(seed, one):
    """A whole number from a seed and an id, the same on every machine."""
    return int.from_bytes(hashlib.sha256(f"reference:{seed}:{one}".encode()).digest()[:6], "big")


class _SceneReferences(SceneSet):
    """The references of scenes, in their order, to be packed."""

    def __init__(self, ids, size):
        from colorlib import scenes
        super().__init__(len(ids), size, cache=False)
        self.settings |= {"kind": "SceneReferences", "seeds": hashlib.sha256(" ".join(ids).encode()).hexdigest()}
        self.names, self.paths = [f"{one}/reference" for one in ids], sorted(Path(scenes.__file__).parent.glob("*.py"))
        self.seeds = [int(one.rpartition("/")[2]) for one in ids]

    def read(self, i):
        from colorlib import scenes
        found = scenes.reference(scenes.make_scene(self.seeds[i], self.size))
        return {"rgb": to_tensor(found.rgb), "label": torch.tensor(found.label), "mask": to_tensor(found.masks[0].astype(np.uint8))}


# ---------------------------------------------------------------- batches, on any device

def resize_batch(rgb, size):
    """References as a network sees them: `(N, 3, h, w)` uint8 or in [0, 1] -> `(N, 3, *size)` float in [0, 1], bilinear, by areas where it shrinks.

    >>> resize_batch(torch.full((2, 3, 64, 48), 255, dtype=torch.uint8), (32, 32)).shape
    torch.Size([2, 3, 32, 32])
    """
    rgb = rgb.float() / 255 if rgb.dtype == torch.uint8 else rgb.float()
    return rgb if list(rgb.shape[-2:]) == list(size) else F.interpolate(rgb, size=list(size), mode="bilinear", antialias=True).clamp(0, 1)


def warp_batch(rgb, side, turn=15.0):
    """Pictures as their own references, for training on any device: `(N, 3, H, W)` float -> `(N, 3, side, side)`, each warped by itself from torch's random
    state: mirrored or not, turned by up to `turn` degrees, a cut-out of 70 to 100 % of the side, and a smooth displacement of about 6 %.

    >>> warp_batch(torch.rand(2, 3, 64, 64), 32).shape
    torch.Size([2, 3, 32, 32])
    """
    count, device = len(rgb), rgb.device
    draw = lambda low, high: torch.empty(count, device=device).uniform_(low, high)
    limit = np.deg2rad(turn)
    angle, scale, mirror = draw(-limit, limit), draw(0.7, 1.0), 1 - 2 * (draw(0, 1) < 0.5).float()
    room = 1 - scale
    rows = [torch.stack([scale * mirror * angle.cos(), -scale * angle.sin(), room * draw(-1, 1)], 1),
            torch.stack([scale * mirror * angle.sin(), scale * angle.cos(), room * draw(-1, 1)], 1)]
    grid = F.affine_grid(torch.stack(rows, 1), (count, 3, side, side), align_corners=False)
    bend = F.interpolate(0.06 * torch.randn(count, 2, KNOTS, KNOTS, device=device).clamp(-2, 2), size=side, mode="bicubic")
    return F.grid_sample(rgb, grid + bend.movedim(1, 3), mode="bilinear", padding_mode="reflection", align_corners=False)
