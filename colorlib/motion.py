"""Where the surfaces of a frame were in the frame before: dense optical flow by OpenCV, and pictures moved along it."""
import cv2
import numpy as np
import torch

__all__ = ["dense_flow", "follow", "sample", "FLOW_SIDE"]

FLOW_SIDE = 12         # px: the smallest side that optical flow is looked for on


def dense_flow(first, second):
    """Optical flow `(h, w, 2)` float32 in pixels, x then y: what is at (x, y) in `first` is at (x, y) + flow in `second`. Both `(h, w)`, L in [0, 100].

    DIS (Kroeger et al. 2016), preset medium. Zero for pictures of fewer than FLOW_SIDE pixels a side.

    >>> L = np.random.default_rng(0).random((8, 8)).repeat(8, 0).repeat(8, 1) * 100
    >>> flow = dense_flow(L, np.roll(L, 3, axis=1))              # all moves to the right by 3 px
    >>> flow.shape, abs(np.median(flow, (0, 1))).round().tolist()
    ((64, 64, 2), [3.0, 0.0])
    """
    if min(first.shape) < FLOW_SIDE:
        return np.zeros((*first.shape, 2), np.float32)
    as_bytes = lambda L: np.clip(np.rint(2.55 * np.asarray(L)), 0, 255).astype(np.uint8)
    return cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM).calc(as_bytes(first), as_bytes(second), None)


def follow(planes, before, L):
    """Planes `(N, C, h, w)` that belong to frames of lightness `before` `(N, 1, h, w)` in [0, 100], moved to where the frames of lightness L show the same
    surfaces. Returns (moved planes, mismatch `(N, 1, h, w)`): by how much the moved `before` differs from L, infinite where the surface was out of the picture.

    >>> L = torch.rand(1, 1, 32, 32) * 100
    >>> ab, mismatch = follow(torch.ones(1, 2, 32, 32), L, L)    # nothing moved
    >>> ab.shape, round(mismatch.max().item(), 2)
    (torch.Size([1, 2, 32, 32]), 0.0)
    """
    pairs = zip(L[:, 0].detach().float().cpu().numpy(), before[:, 0].detach().float().cpu().numpy())
    flow = torch.from_numpy(np.stack([dense_flow(here, there) for here, there in pairs])).to(planes)             # (N, h, w, 2)
    moved = sample(torch.cat([planes, before.to(planes)], 1), flow)
    there, size = grid(flow) + flow, flow.new_tensor(flow.shape[2:0:-1])
    outside = ((there < -0.5) | (there > size - 0.5)).any(-1)[:, None]
    return moved[:, :-1], (moved[:, -1:] - L).abs().masked_fill(outside, float("inf"))


def sample(planes, flow):
    """Planes `(N, C, h, w)` at the pixels' own places + flow `(N, h, w, 2)`, bilinear; outside, the border goes on.

    >>> planes, flow = torch.arange(3.0).view(1, 1, 1, 3), torch.zeros(1, 1, 3, 2)
    >>> sample(planes, flow + torch.tensor([1.0, 0])).flatten().round()                  # each pixel's right neighbour
    tensor([1., 2., 2.])
    """
    size = flow.new_tensor(flow.shape[2:0:-1])                                                                     # w, h
    there = 2 * (grid(flow) + flow) / (size - 1).clamp_min(1) - 1                                                # in [-1, 1] inside
    return torch.nn.functional.grid_sample(planes, there, padding_mode="border", align_corners=True)


def grid(flow):
    """The places x, y of the pixels of a flow `(N, h, w, 2)`, `(h, w, 2)`."""
    y, x = torch.meshgrid(*(torch.arange(side, device=flow.device, dtype=flow.dtype) for side in flow.shape[1:3]), indexing="ij")
    return torch.stack([x, y], -1)
