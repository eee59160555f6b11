"""Steadiness of colours over a clip, against published code, SciPy and cases that can be worked out by hand."""
import numpy as np
import pytest
import torch
from scipy.ndimage import map_coordinates

from colorlib import lab, scenes
from colorlib.metrics import temporal_metrics as tm
from colorlib.metrics import psnr


def waves(frames=7):
    """Coloured waves that run at three speeds, `(T, 20, 30, 3)` uint8."""
    t, y, x = np.mgrid[:frames, :20, :30]
    return np.stack([127.5 + 120 * np.sin(0.3 * x + 0.2 * y * c + 0.5 * t * c) for c in (1, 2, 3)], axis=-1).round().astype(np.uint8)


def flat(*colors):
    """A clip of frames of one colour each, `(T, 16, 16, 3)` float."""
    return np.broadcast_to(np.array(colors, float)[:, None, None], (len(colors), 16, 16, 3))


def at_rest(frames):
    """Motion of a clip in which nothing moves."""
    return np.zeros((len(frames) - 1, *frames.shape[1:3], 2), np.float32), np.zeros((len(frames) - 1, *frames.shape[1:3]), bool)


def paint(L, ab):
    """A clip `(T, 16, 16, 3)` float, L and ab of each frame given, all in gamut."""
    return np.stack([lab.lab_to_rgb(np.broadcast_to(np.array([one, *two], float), (16, 16, 3))) for one, two in zip(L, ab)])


def texture(side=64, seed=0):
    """A smooth random picture, `(side, side, 3)` uint8."""
    import cv2
    noise = np.random.default_rng(seed).normal(size=(side, side, 3))
    soft = cv2.GaussianBlur(noise, (0, 0), 2)
    return np.clip(128 + 180 * soft / soft.std() / 3, 0, 255).astype(np.uint8)


# ---------------------------------------------------------------- histograms

def test_cdc_is_that_of_the_released_code():
    """Values of `calculate_folders_multiple` in `compute_hist.py` of Liu et al.'s repository, on the same frames as PNG files;
    its histograms are float32."""
    assert tm.cdc(waves()) == pytest.approx(0.05074238404631615, abs=1e-7)
    assert tm.cdc(waves(), lags=(3,)) == pytest.approx(0.06675821418563525, abs=1e-7)


def test_cdc_of_frames_without_a_common_value():
    """Every histogram apart from every other: ln 2, whatever the lag."""
    assert tm.cdc(flat(*([k / 10] * 3 for k in range(6)))) == pytest.approx(np.log(2))


def test_cdc_takes_tensors_and_floats_and_sees_no_places():
    clip = waves()
    mixed = np.random.default_rng(0).permuted(clip.reshape(7, 600, 3), axis=1).reshape(clip.shape)
    assert tm.cdc(torch.from_numpy(clip).permute(0, 3, 1, 2)) == tm.cdc(clip / 255) == tm.cdc(mixed) == tm.cdc(clip)


def test_cdc_needs_five_frames():
    assert tm.cdc(waves(5)) > 0
    with pytest.raises(ValueError, match="has 4 frames; this needs at least 5"):
        tm.cdc(waves(4))


# ---------------------------------------------------------------- following the picture

def test_warp_error_is_what_scipy_finds():
    rng = np.random.default_rng(1)
    clip, occlusion = rng.random((3, 12, 17, 3)), rng.random((2, 12, 17)) < 0.3
    flow = rng.normal(scale=3, size=(2, 12, 17, 2))
    y, x = np.mgrid[:12, :17]
    errors = []
    for t in range(2):
        places = [y + flow[t, ..., 1], x + flow[t, ..., 0]]
        warped = np.stack([map_coordinates(clip[t + 1, ..., c], places, order=1, mode="nearest") for c in range(3)], axis=-1)
        errors.append(((clip[t] - warped) ** 2).sum(-1)[~occlusion[t]].mean())
    assert tm.warp_error(clip, flow, occlusion) == pytest.approx(np.mean(errors), rel=1e-12)
    planes = torch.from_numpy(flow).permute(0, 3, 1, 2)
    assert tm.warp_error(torch.from_numpy(clip).permute(0, 3, 1, 2), planes, torch.from_numpy(occlusion)) == pytest.approx(np.mean(errors), rel=1e-12)


@pytest.mark.parametrize("seed", range(3))
def test_flow_leads_from_a_frame_to_the_next(seed):
    clip = scenes.make_clip(seed, 4, 64)
    right, reversed_, none = (tm.warp_error(clip.rgb, k * clip.flow, clip.occlusion) for k in (1, -1, 0))
    assert 10 * right < reversed_ and 5 * right < none


def test_flat_frames():
    clip = flat((0.2, 0.2, 0.2), (0.3, 0.4, 0.2), (0.3, 0.4, 0.2))
    assert tm.warp_error(clip, *at_rest(clip)) == pytest.approx((0.1 ** 2 + 0.2 ** 2) / 2)
    flow, occlusion = at_rest(clip)
    occlusion[0] = True
    assert tm.warp_error(clip, flow, occlusion) == 0      # the pair without a pixel does not count
    occlusion[1] = True
    assert np.isnan(tm.warp_error(clip, flow, occlusion)) and np.isnan(tm.chroma_warp_error(clip, flow, occlusion))


def test_chroma_warp_error_is_a_distance_of_ab_alone():
    clip = paint((50, 60, 60), ((10, 0), (10, 0), (13, 4)))
    assert tm.chroma_warp_error(clip, *at_rest(clip)) == pytest.approx((0 + 5) / 2, abs=1e-3)


# ---------------------------------------------------------------- where nothing moves

def test_static_flicker_where_the_truth_stands_still():
    true = paint((50, 50, 50), ((10, 0),) * 3)
    pred = paint((50, 50, 50), ((0, 0), (3, 4), (3, 4)))
    assert tm.static_flicker(pred, true) == pytest.approx(2.5, abs=1e-3) and tm.static_flicker(true, true) == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("L, ab", [((50, 53), ((10, 0), (10, 0))), ((50, 50), ((10, 0), (10, 3)))])
def test_what_changes_by_itself_does_not_stand_still(L, ab):
    true, pred = paint(L, ab), paint((50, 50), ((0, 0), (3, 4)))
    assert np.isnan(tm.static_flicker(pred, true, *at_rest(true)))


def test_what_moves_or_is_hidden_does_not_stand_still():
    clip = paint((50, 50), ((10, 0),) * 2)
    pred = clip.copy()
    pred[1, :8] = paint((50,), ((10, 5),))[0, :8]
    flow, occlusion = at_rest(clip)
    flow[:, :8, :, 0], occlusion[:, 8:12] = 0.2, True
    assert tm.static_flicker(pred, clip, flow, occlusion) == pytest.approx(0, abs=1e-6)
    flow[:, :8, :, 0] = 0.05
    assert tm.static_flicker(pred, clip, flow, occlusion) == pytest.approx(5 * 8 / 12, abs=1e-3)


# ---------------------------------------------------------------- frame by frame

def test_drift_is_by_frame():
    true = np.stack([texture(32)] * 4)
    pred = np.stack([np.clip(frame.astype(int) + 5 * t, 0, 255) for t, frame in enumerate(true)]).astype(np.uint8)
    found = tm.drift(pred, true)
    assert found["psnr"].shape == found["ssim"].shape == (4,) and found["psnr"].dtype == np.float64
    assert np.isinf(found["psnr"][0]) and (np.diff(found["psnr"]) < 0).all() and (np.diff(found["ssim"]) < 0).all()
    assert found["psnr"][2] == float(psnr(pred[2], true[2]))


# ---------------------------------------------------------------- motion

def test_estimated_motion_of_a_camera_that_pans():
    wide = texture(80)
    clip = np.stack([wide[8:72, 8 + 3 * t:72 + 3 * t] for t in range(3)])      # the picture goes 3 px to the left
    flow, occlusion = tm.estimate_flow(clip)
    assert flow.shape == (2, 64, 64, 2) and flow.dtype == np.float32 and occlusion.dtype == bool
    inner = ~occlusion
    assert inner[:, :, 8:].mean() > 0.9 and occlusion[:, :, :2].all()
    assert np.abs(flow[inner] - (-3, 0)).mean() < 0.15
    assert tm.warp_error(clip, flow, occlusion) < 0.05 * tm.warp_error(clip, *at_rest(clip))


def test_occlusion_by_two_flows():
    flow = np.zeros((1, 10, 20, 2), np.float32)
    flow[..., 0] = 2
    back = -flow
    back[0, 4, 12] = 0                      # what frame t + 1 shows there comes from elsewhere
    occlusion = tm.find_occlusion(flow, back)
    wanted = np.zeros((1, 10, 20), bool)
    wanted[0, :, 18:], wanted[0, 4, 10] = True, True
    assert (occlusion == wanted).all()
    flow[0, :, 10:] += 1                    # two layers
    assert tm.find_occlusion(flow, -flow)[0, :, 9].all()


# ---------------------------------------------------------------- bad input

def test_bad_input_is_named():
    clip = waves(5)
    flow, occlusion = at_rest(clip)
    for call, message in ((lambda: tm.warp_error(clip[:1], flow, occlusion), "at least 2"),
                          (lambda: tm.warp_error(clip, flow[1:], occlusion), "needs finite flow"),
                          (lambda: tm.warp_error(clip, flow, occlusion.astype(float)), "bool occlusion"),
                          (lambda: tm.warp_error(clip, flow * np.nan, occlusion), "finite flow"),
                          (lambda: tm.static_flicker(clip[:3], clip), "pred is 3 frames"),
                          (lambda: tm.cdc([clip[0], clip[1, :9]] * 3), "differ in size"),
                          (lambda: tm.estimate_flow(clip[0]), "at least 2")):
        with pytest.raises(ValueError, match=message):
            call()
