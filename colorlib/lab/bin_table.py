"""The nearest centres of an ab grid, looked for among the few that can be near: a table says which, for each small square of the ab plane."""
from functools import lru_cache

import torch

__all__ = ["nearest"]

CELL = 2.5           # side of a square, CIE units
EXACT = "donot_use_mm_for_euclid_dist"
FEW = 1 << 18        # distances that are sooner computed than a table is made
REACH = 130.0        # the table's squares cover -REACH to REACH; sRGB's colours lie within 108


@lru_cache(maxsize=16)
def _table(content, k, device):
    """(bins `(C, K)` int64, their centres `(C, 2 K)`) for the C squares of the plane: all bins that are among the k nearest of some point of a square.

    A point lies at most r, half a diagonal, from its square's middle: its k nearest lie within d_k + r of it, so within d_k + 2 r of the middle.
    """
    bins = torch.tensor(content).view(-1, 2)
    axis = torch.arange(-REACH + CELL / 2, REACH, CELL)
    distance = torch.cdist(torch.cartesian_prod(axis, axis), bins, compute_mode=EXACT)                     # (C, Q)
    near = distance <= distance.kthvalue(k, 1).values[:, None] + 2 ** 0.5 * CELL + 1e-3
    most = int(near.sum(1).max())
    index = near.to(torch.int8).sort(dim=1, descending=True, stable=True).indices[:, :most].contiguous()      # bins in order, then others
    centres = torch.where(near.gather(1, index)[..., None], bins[index], torch.tensor(1e6))
    return index.to(device), centres.flatten(1).to(device)


def nearest(points, bins, k):
    """The k nearest of bins `(Q, 2)` for points `(P, 2)`, float32 on one device: (index `(P, k)` int64, squared distance `(P, k)`), nearest first.

    Points beyond REACH, or not numbers, are compared with all bins. Equal distances: the lower index, for k = 1.

    >>> index, distance = nearest(torch.tensor([[1.0, 2.0]]), torch.tensor([[0.0, 0.0], [10.0, 0.0]]), k=2)
    >>> index.tolist(), distance.round().tolist()
    ([[0, 1]], [[5.0, 85.0]])
    """
    if len(points) * len(bins) < FEW or type(points) is not torch.Tensor:      # or that only have their shapes traced
        found = torch.cdist(points, bins, compute_mode=EXACT).topk(k, largest=False)
        return found.indices, found.values.square()
    index, centres = _table(tuple(bins.flatten().tolist()), k, bins.device)
    side = round(2 * REACH / CELL)
    place = ((points + REACH) / CELL).nan_to_num(0.0).clamp(0, side - 1).long()                                                     # (P, 2)
    place = place[:, 0] * side + place[:, 1]
    distance = (centres[place].view(len(points), -1, 2) - points[:, None]).square().sum(2)                                          # (P, K)
    found, chosen = distance.min(1, keepdim=True) if k == 1 else distance.topk(k, largest=False)
    chosen = index[place].gather(1, chosen)
    beyond = ~(points.abs() <= REACH).all(1)
    if beyond.any():
        far = torch.cdist(points[beyond], bins, compute_mode=EXACT).topk(k, largest=False)
        chosen[beyond], found[beyond] = far.indices, far.values.square()
    return chosen, found
