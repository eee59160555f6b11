"""Colour hints taken from true pictures: three published test protocols, and what networks are trained with.

A hint is a square of pixels that carries its mean ab. Every protocol comes down to a list of squares, which `paint` turns into the two
maps a network sees: hint_ab `(N, 2, H, W)` in CIE units, 0 where no hint is, and hint_mask `(N, 1, H, W)`, 1 where one is.

| protocol | square | positions | used by |
|---|---|---|---|
| dense05 | 1 px | every pixel equally likely | HSCAU-Net: 0.5 % of the pixels, 328 of 256 x 256 |
| zhang6 | 6 px | Gaussian round the centre, SD a quarter of the side | Zhang et al. 2017, `test_sweep.py` |
| icolorit2 | 2 px | cells of a grid of 2 px, drawn with replacement | Yun et al. 2023, iColoriT, `make_mask.py` |

In a test the hints of a picture follow from its id alone, whatever the batch, and fewer hints are the first of more: curves are smooth
because the same clicks add up.
"""
import hashlib

import torch

__all__ = ["protocol_hints", "training_hints", "paint", "generator_of", "PROTOCOLS", "SCHEMES", "COUNTS", "FRACTIONS"]

PROTOCOLS = ("dense05", "zhang6", "icolorit2")
COUNTS = (0, 1, 2, 5, 10, 20, 50, 100, 200)                 # of hints on the curves
FRACTIONS = (0.005, 0.01, 0.03, 0.05)                       # of pixels hinted
DENSE = (0.03, 0.01, 0.005)                                 # HSCAU-Net's training densities, one drawn a picture (`transform.py`)
ZHANG_STOP, ZHANG_SIZES = 1 / 8, 9                          # after each hint stop with this probability; sides 1..9 (`util.py`)
ICOLORIT_MOST = 128                                         # 0..128 hints, each count equally likely (`train.py`)
EVERY_MOST = 0.03                                           # (ours) of pixels hinted at the dense end
SCHEMES = ("dense", "zhang", "icolorit", "every_count", "none")


def protocol_hints(ab, ids, protocol="dense05", amount=0.005):
    """The hints of a test. ab `(N, 2, H, W)` true, CIE units; ids: one string a picture. Returns (hint_ab, hint_mask).

    amount: a whole number of hints, or a fraction of the pixels below 1. Raises ValueError for an unknown protocol or an impossible amount.

    >>> ab = torch.full((2, 2, 64, 64), 20.0)
    >>> hint_ab, hint_mask = protocol_hints(ab, ["first", "second"], "zhang6", amount=1)
    >>> hint_ab.shape, hint_mask.sum((1, 2, 3)).tolist(), hint_ab.unique().tolist()      # one square of 6 x 6 px each
    (torch.Size([2, 2, 64, 64]), [36.0, 36.0], [0.0, 20.0])
    """
    if protocol not in PROTOCOLS:
        raise ValueError(f"There is no protocol {protocol!r}: choose one of {', '.join(PROTOCOLS)}.")
    height, width = ab.shape[-2:]
    if not 0 <= amount <= height * width or amount > 1 and amount % 1:
        raise ValueError(f"amount is {amount}: give a whole number of hints, at most one a pixel, or a fraction of the pixels below 1.")
    if len(ids) != len(ab):
        raise ValueError(f"{len(ids)} ids for {len(ab)} pictures: give one id a picture.")
    squares = [_test_squares(height, width, protocol, amount, generator_of(f"{protocol}:{one}")) for one in ids]
    return paint(ab, squares)


def generator_of(text):
    """A random generator seeded by a text, the same on every machine.

    >>> torch.rand(3, generator=generator_of("zhang6:cat")).equal(torch.rand(3, generator=generator_of("zhang6:cat")))
    True
    """
    return torch.Generator().manual_seed(int.from_bytes(hashlib.sha256(text.encode()).digest()[:6], "big"))


def _test_squares(height, width, protocol, amount, generator):
    """(n, 3) integers: top, left, side."""
    is_fraction = 0 < amount < 1
    if protocol == "dense05":
        field = torch.rand(height * width, generator=generator)
        chosen = (field < amount).nonzero()[:, 0] if is_fraction else field.argsort(stable=True)[:int(amount)]
        return torch.stack([chosen // width, chosen % width, torch.ones_like(chosen)], 1)
    count = round(amount * height * width) if is_fraction else int(amount)
    if protocol == "zhang6":
        side = torch.full((count,), min(6, height, width))
        places = torch.special.ndtri(torch.rand(count, 2, generator=generator))   # normal; torch.randn would not begin alike for fewer hints
        return torch.stack([_round_centre(places[:, 0], height, side), _round_centre(places[:, 1], width, side), side], 1)
    side = min(2, height, width)
    cells = torch.rand(count, 2, generator=generator) * torch.tensor([height // side, width // side])
    return torch.cat([cells.long() * side, torch.full((count, 1), side)], 1)


def _round_centre(normal, length, side):
    """Zhang's place of a square: a standard normal -> first row or column, mean the middle, SD a quarter of the room, clipped to the picture."""
    room = length - side + 1
    return (room / 2 + normal * room / 4).clamp_min(0).minimum(room - 1).long()


def training_hints(ab, scheme="zhang", generator=None):
    """Random hints for training: ab `(N, 2, H, W)` true -> (hint_ab, hint_mask). Draws from `generator` (a CPU one), or from torch's own.

    "dense": each pixel with a probability drawn from DENSE, never fewer (HSCAU-Net). "zhang": geometric count, mean 7, squares of 1 to 9 px round
    the centre. "icolorit": 0 to 128 cells of 2 px. "every_count" (ours): from no hint to EVERY_MOST of the pixels, each order of magnitude
    equally likely, squares of 1 to 9 px while hints are few. "none". Raises ValueError for another word.

    >>> ab = torch.zeros(4, 2, 64, 64)
    >>> {scheme: training_hints(ab, scheme)[1].shape for scheme in ("zhang", "none")}
    {'zhang': torch.Size([4, 1, 64, 64]), 'none': torch.Size([4, 1, 64, 64])}
    """
    if scheme not in SCHEMES:
        raise ValueError(f"There is no hint scheme {scheme!r}: choose one of {', '.join(SCHEMES)}.")
    height, width = ab.shape[-2:]
    draw = lambda *shape: torch.rand(*shape, generator=generator)
    return paint(ab, [_training_squares(height, width, scheme, draw) for _ in ab])


def _training_squares(height, width, scheme, draw):
    pixels = height * width
    if scheme == "none":
        return torch.zeros(0, 3, dtype=torch.long)
    if scheme == "dense":
        chosen = (draw(pixels) < DENSE[int(draw(1) * len(DENSE))]).nonzero()[:, 0]
        return torch.stack([chosen // width, chosen % width, torch.ones_like(chosen)], 1)
    if scheme == "zhang":
        count = int(torch.log(draw(1).clamp_min(1e-30)) / torch.log(torch.tensor(1 - ZHANG_STOP)))    # P(0) = 1/8
        side = (draw(count) * min(ZHANG_SIZES, height, width)).long() + 1
        normal = torch.special.ndtri(draw(2, count))
        return torch.stack([_round_centre(normal[0], height, side), _round_centre(normal[1], width, side), side], 1)
    if scheme == "icolorit":
        side = min(2, height, width)
        count = min(int(draw(1) * (ICOLORIT_MOST + 1)), (height // side) * (width // side))
        cells = draw((height // side) * (width // side)).argsort()[:count]                                # without replacement
        return torch.stack([cells // (width // side) * side, cells % (width // side) * side, torch.full_like(cells, side)], 1)
    count = int((1 + EVERY_MOST * pixels) ** float(draw(1))) - (1 if draw(1) < 0.5 else 0)                # 1: none or one
    largest = ZHANG_SIZES if draw(1) < 0.5 and count * ZHANG_SIZES ** 2 < pixels else 1
    side = (draw(count) * min(largest, height, width)).long() + 1
    return torch.stack([(draw(count) * (height - side + 1)).long(), (draw(count) * (width - side + 1)).long(), side], 1)


def paint(ab, squares):
    """ab `(N, 2, H, W)` and, for each picture, squares `(n, 3)` int64 of top, left, side -> (hint_ab, hint_mask): each square holds its mean ab.

    Later squares lie on top. Work is done for the whole batch at once.

    >>> ab = torch.arange(16.0).view(1, 1, 4, 4).expand(1, 2, 4, 4)
    >>> hint_ab, hint_mask = paint(ab, [torch.tensor([[0, 0, 2]])])                      # a square of 2 px, top left
    >>> hint_ab[0, 0, 0].tolist(), hint_mask.sum().item()
    ([2.5, 2.5, 0.0, 0.0], 4.0)
    """
    count, (height, width) = len(ab), ab.shape[-2:]
    picture = torch.cat([torch.full((len(one),), i) for i, one in enumerate(squares)]).to(ab.device)
    top, left, side = torch.cat(squares).to(ab.device).unbind(1)
    sums = torch.zeros(count, 2, height + 1, width + 1, dtype=torch.float64, device=ab.device)             # integral image
    sums[..., 1:, 1:] = ab.double().cumsum(-1).cumsum(-2)
    at = lambda y, x: sums[picture, :, y, x]                                                               # (n, 2)
    bottom, right = top + side, left + side
    mean = ((at(bottom, right) - at(top, right) - at(bottom, left) + at(top, left)) / (side * side)[:, None]).to(ab.dtype)
    hint_ab, hint_mask = torch.zeros_like(ab), torch.zeros_like(ab[:, :1])
    owner = torch.full((count, height, width), -1, device=ab.device)                                       # which square a pixel belongs to
    order = torch.arange(len(side), device=ab.device)
    for dy in range(int(side.max()) if len(side) else 0):
        for dx in range(int(side.max())):
            inside = side > max(dy, dx)
            places = ((picture * height + top + dy) * width + left + dx)[inside]
            owner.view(-1).scatter_reduce_(0, places, order[inside], "amax")
    hinted = owner >= 0
    hint_mask[:, 0] = hinted.to(ab.dtype)
    hint_ab.permute(0, 2, 3, 1)[hinted] = mean[owner[hinted]]
    return hint_ab, hint_mask
