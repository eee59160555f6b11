"""Pairs that do not lie on each other: what a filter change on a tripod does, made on purpose, to ask which method minds. For training sets only."""
import hashlib

import cv2
import numpy as np
import torch

from colorlib.data.combining import ids_of

__all__ = ["KINDS", "Misregistered", "parse_misregistration"]

# kind: (amount if none is named, what it measures); pixels are those of the data set's pictures
KINDS = {"shift": (4, "largest shift, whole pixels"), "affine": (1, "times 3 degrees and 3 %"),
         "homography": (8, "largest shift of a corner, pixels"), "elastic": (4, "largest displacement, pixels"),
         "shuffled": (0, "nothing: leave it out")}
ROTATION, SCALING = 3.0, 0.03       # of "affine" with amount 1: degrees, and share of the size
ELASTIC_SIGMA = 8.0                 # pixels over which an elastic displacement is smooth
STAYS = ("nir", "valid")            # what lies on the infrared picture; all else lies on rgb and moves with it


def parse_misregistration(text):
    """"shift:4", "elastic", "shuffled" -> (kind, amount). Raises ValueError for what is not one of KINDS with a number.

    >>> parse_misregistration("shift:2"), parse_misregistration("elastic")
    (('shift', 2.0), ('elastic', 4.0))
    """
    kind, colon, number = str(text).partition(":")
    try:
        amount = float(number) if colon else float(KINDS[kind][0])
    except (KeyError, ValueError):
        raise ValueError(f"{text!r} is no misregistration: write one of {', '.join(KINDS)}, with an amount such as shift:4.") from None
    check(kind, amount)
    return kind, amount


def check(kind, amount):
    """Raises ValueError for an unknown kind or an amount it cannot have."""
    if kind not in KINDS:
        raise ValueError(f"kind is {kind!r}: choose one of {', '.join(KINDS)}.")
    if not 0 <= amount < np.inf or kind == "shuffled" and amount or kind == "shift" and amount % 1:
        raise ValueError(f"{amount:g} is no amount for {kind} ({KINDS[kind][1]}).")


class Misregistered(torch.utils.data.Dataset):
    """A map-style data set of infrared pairs whose rgb, and all that lies on it (mask, saliency), is moved against nir. For training; tests stay
    registered.

    kind, amount: see KINDS. "shift": both axes by U{-amount, ..., amount}. "affine": a rotation within ROTATION and a
    scaling within SCALING about the middle, times amount. "homography": every corner by U(-amount, amount) along both
    axes (ours). "elastic": a random field, smooth over ELASTIC_SIGMA, whose longest arrow is amount (after Simard et al.
    2003). "shuffled": the rgb of another pair, so that nothing is paired. Each pair is moved once and for all, as its id
    and the seed say. Edges are repeated where a picture has no pixels. Raises ValueError for a bad kind or amount and for
    samples without nir.

    >>> from colorlib.data import SceneSet
    >>> pairs = SceneSet(2, size=32, cache=False)
    >>> moved = Misregistered(pairs, "shift", 4)
    >>> [torch.equal(moved[0][key], pairs[0][key]) for key in ("nir", "rgb")]
    [True, False]
    """

    def __init__(self, dataset, kind, amount=0.0, seed=0):
        check(kind, amount)
        if not len(dataset) or "nir" not in dataset[0]:
            raise ValueError("Misregistered needs infrared pairs: pass a data set whose samples hold rgb and nir.")
        self.dataset, self.kind, self.amount, self.seed = dataset, kind, amount, seed
        self.ids = list(ids_of(dataset))
        self.partners = derange(len(dataset), seed) if kind == "shuffled" else None

    def __len__(self):
        return len(self.dataset)

    def __getitem__(self, i):
        i = range(len(self))[i]
        sample = self.dataset[i]
        if self.partners is not None:
            other = self.dataset[self.partners[i]]
            return other | {key: sample[key] for key in ("id", *STAYS) if key in sample}
        size = sample["rgb"].shape[-2:]
        x, y = warp_map(self.kind, self.amount, *size, generator(self.seed, self.ids[i]))
        moves = lambda key, value: key not in STAYS and torch.is_tensor(value) and value.shape[-2:] == size
        return {key: move(value, x, y, nearest=key == "mask") if moves(key, value) else value for key, value in sample.items()}


def generator(seed, name):
    """A random generator that depends on nothing but the seed and the name of a pair."""
    return np.random.default_rng(int.from_bytes(hashlib.sha256(f"{seed}/{name}".encode()).digest()[:8], "big"))


def derange(count, seed):
    """A random cycle through all of range(count) as the list of successors, so nobody keeps his own. Raises ValueError for fewer than two."""
    if count < 2:
        raise ValueError("shuffled needs at least two pairs.")
    order = np.random.default_rng(seed).permutation(count)
    partners = np.empty(count, int)
    partners[order] = np.roll(order, 1)
    return partners.tolist()


def warp_map(kind, amount, height, width, rng):
    """Where every pixel of the moved picture comes from: x, y `(height, width)` float32, in pixels."""
    x, y = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
    if kind == "shift":
        right, down = rng.integers(-int(amount), int(amount), 2, endpoint=True).astype(np.float32)
        return x - right, y - down
    if kind == "affine":
        angle, scale = rng.uniform(-1, 1, 2) * amount * (ROTATION, SCALING)
        matrix = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), angle, 1 + scale)
        return np.float32(np.tensordot(matrix, np.stack([x, y, np.ones_like(x)]), 1))
    if kind == "homography":
        corners = np.float32([[0, 0], [width - 1, 0], [width - 1, height - 1], [0, height - 1]])
        matrix = cv2.getPerspectiveTransform(corners, corners + rng.uniform(-amount, amount, (4, 2)).astype(np.float32))
        across, down, scale = np.tensordot(matrix, np.stack([x, y, np.ones_like(x)]), 1)
        return np.float32(across / scale), np.float32(down / scale)
    field = [cv2.GaussianBlur(noise, (0, 0), ELASTIC_SIGMA) for noise in rng.uniform(-1, 1, (2, height, width)).astype(np.float32)]      # elastic
    longest = np.hypot(*field).max()
    return x + amount / longest * field[0], y + amount / longest * field[1]


def move(picture, x, y, nearest=False):
    """A `(C, H, W)` uint8 tensor whose pixels come from places x, y `(H, W)` float32; edges are repeated. nearest: no values between, as for
    masks."""
    how = cv2.INTER_NEAREST if nearest else cv2.INTER_LINEAR
    return torch.stack([torch.from_numpy(cv2.remap(plane.numpy(), x, y, how, borderMode=cv2.BORDER_REPLICATE)) for plane in picture])
