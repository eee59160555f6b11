"""Optical flow, and planes moved along it."""
import numpy as np
import torch

from colorlib import motion
from tests.data_samples import colorful


def textured(side=64, seed=0):
    """A lightness plane `(side, side)` with detail everywhere."""
    return colorful(seed, side, side).mean(-1) / 2.55 + 10 * np.sin(np.arange(side) / 2)[:, None] * np.sin(np.arange(side) / 3)


def test_flow_points_from_the_first_picture_to_the_second():
    first = textured()
    flow = motion.dense_flow(first, np.roll(first, (2, 3), (0, 1)))                # down by 2, right by 3
    assert np.abs(flow[12:-12, 12:-12] - (3, 2)).mean() < 0.3 and flow.dtype == np.float32


def test_pictures_too_small_for_flow_stand_still():
    assert motion.dense_flow(np.zeros((11, 40)), np.ones((11, 40))).shape == (11, 40, 2)
    assert not motion.dense_flow(textured(11), textured(11, 1)).any()


def test_sampling_moves_whole_pixels_exactly_and_repeats_the_border():
    planes = torch.rand(2, 3, 8, 10, dtype=torch.float64)
    flow = torch.zeros(2, 8, 10, 2, dtype=torch.float64)
    torch.testing.assert_close(motion.sample(planes, flow), planes)
    flow[..., 0], flow[..., 1] = 2, -1
    moved = motion.sample(planes, flow)
    torch.testing.assert_close(moved[:, :, 1:, :8], planes[:, :, :-1, 2:])
    torch.testing.assert_close(moved[:, :, 0, 9], planes[:, :, 0, 9])


def test_colours_follow_the_surface_and_say_where_they_cannot():
    before = torch.from_numpy(textured()).float()[None, None]
    L = before.roll((0, 4), (2, 3))
    planes = torch.cat([before, -before], 1)
    moved, mismatch = motion.follow(planes, before, L)
    assert mismatch[..., 8:-8, 12:-12].mean() < 1 and (moved[:, 1] + moved[:, 0]).abs().max() < 1e-4
    assert torch.isinf(mismatch[..., 8:-8, 0]).float().mean() > 0.8                 # what came in from the left was not in the picture
    _, mismatch = motion.follow(planes, before, before + 30)
    assert mismatch[torch.isfinite(mismatch)].median() > 20                        # another lightness: not the same surface
