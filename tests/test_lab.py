"""colorlib.lab against scikit-image in float64, and against the facts the papers print."""
import warnings

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.color import lab2rgb, rgb2lab

from colorlib import lab

# CIE values of the sRGB corners, printed by scikit-image in float64 and known from many tables
KNOWN = {(255, 0, 0): (53.2408, 80.0925, 67.2032), (0, 255, 0): (87.7347, -86.1827, 83.1793), (0, 0, 255): (32.2970, 79.1875, -107.8602),
         (255, 255, 255): (100, 0, 0), (0, 0, 0): (0, 0, 0), (255, 255, 0): (97.1393, -21.5537, 94.4780)}


def dense_colours(step=3):
    """Every third level of each channel and the top one: 86^3 = 636,056 colours as (P, 1, 3) uint8."""
    levels = np.unique(np.append(np.arange(0, 256, step), 255)).astype(np.uint8)
    return np.stack(np.meshgrid(levels, levels, levels, indexing="ij"), -1).reshape(-1, 1, 3)


@pytest.mark.parametrize("shape", [(3, 1, 1), (3, 4, 5), (2, 3, 4, 5), (2, 5, 3, 4, 4)])
@pytest.mark.parametrize("convert", [lab.rgb_to_lab, lab.lab_to_rgb])
def test_shapes(convert, shape):
    assert convert(torch.rand(shape)).shape == shape


def test_array_shapes():
    for shape in [(3,), (7, 3), (4, 5, 3), (2, 4, 5, 3)]:
        assert lab.rgb_to_lab(np.random.rand(*shape)).shape == shape
        assert lab.lab_to_rgb(np.random.rand(*shape)).shape == shape


@pytest.mark.parametrize("bad, kind", [(torch.rand(3, 3), ValueError), (torch.rand(1, 4, 4), ValueError), (np.zeros((4, 4)), ValueError),
                                       (np.zeros((3, 4, 4)), ValueError), ([1, 2, 3], TypeError), (torch.zeros(3, 2, 2, dtype=torch.int64), TypeError),
                                       (np.zeros((2, 2, 3), np.int32), TypeError), (torch.zeros(3, 2, 2, dtype=torch.bool), TypeError)])
def test_exceptions(bad, kind):
    with pytest.raises(kind, match="must|has dtype"):
        lab.rgb_to_lab(bad)


def test_integers_are_not_lab():
    with pytest.raises(TypeError, match="use float"):
        lab.lab_to_rgb(np.zeros((2, 2, 3), np.uint8))


@pytest.mark.parametrize("rgb, expected", KNOWN.items())
def test_reference_values(rgb, expected):
    assert lab.rgb_to_lab(np.array([[rgb]], np.uint8))[0, 0] == pytest.approx(expected, abs=6e-3)


def test_agrees_with_scikit_image_over_the_cube():
    colours = dense_colours()
    reference = rgb2lab(colours / 255.0)
    for given_as in (colours, (colours / 255).astype(np.float32), (colours.astype(np.uint16) * 257)):
        assert np.abs(lab.rgb_to_lab(given_as) - reference).max() < 1e-3
    tensor = torch.from_numpy(colours).permute(1, 2, 0)[..., None]                 # (1, 3, P, 1)
    assert np.abs(lab.rgb_to_lab(tensor)[0, :, :, 0].T.numpy() - reference[:, 0]).max() < 1e-3
    back = lab.lab_to_rgb(reference.astype(np.float32))
    assert np.abs(back - colours / 255).max() < 1e-4                          # a fortieth of one 8-bit level


def test_inverse_agrees_with_scikit_image_outside_the_gamut():
    colours = np.random.default_rng(0).uniform([0, -128, -128], [100, 128, 128], (2000, 1, 3))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert np.abs(lab.lab_to_rgb(colours) - lab2rgb(colours)).max() < 1e-9


def test_greys_stay_grey():
    ramp = torch.arange(256, dtype=torch.uint8).view(1, 1, 256).expand(3, 1, 256)
    for rgb in (ramp, ramp.float() / 255):
        assert lab.rgb_to_lab(rgb)[1:].norm(dim=0).max() < 0.02
    with torch.autocast("cpu", dtype=torch.bfloat16):
        under_autocast = lab.rgb_to_lab(ramp.float() / 255)
    assert under_autocast.dtype == torch.float32 and torch.equal(under_autocast, lab.rgb_to_lab(ramp.float() / 255))


@pytest.mark.parametrize("dtype, result", [(torch.float16, torch.float32), (torch.bfloat16, torch.float32), (torch.float32, torch.float32),
                                           (torch.float64, torch.float64), (torch.uint8, torch.float32)])
def test_dtypes(dtype, result):
    assert lab.rgb_to_lab(torch.ones(3, 2, 2).to(dtype)).dtype == result


@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(-2, 3), min_size=3, max_size=3))
def test_round_trip_without_clipping(rgb):
    rgb = torch.tensor(rgb, dtype=torch.float64).view(3, 1, 1)
    assert torch.allclose(lab.lab_to_rgb(lab.rgb_to_lab(rgb), clip=False), rgb, atol=2e-4)    # the two thresholds are rounded constants


def test_gradients_are_finite_and_right():
    edges = torch.tensor([-5.0, -0.055, -1e-9, 0.0, 1e-12, 0.04045, 0.5, 1.0, 1.5, 100.0])
    rgb = torch.cartesian_prod(edges, edges, edges).T.reshape(3, -1, 1).requires_grad_()
    lab.rgb_to_lab(rgb).sum().backward()
    assert torch.isfinite(rgb.grad).all()
    far = torch.cartesian_prod(*3 * [torch.tensor([-200.0, -16.0, 0.0, 8.0, 100.0, 200.0])]).T.reshape(3, -1, 1).requires_grad_()
    for clip in (True, False):
        far.grad = None
        lab.lab_to_rgb(far, clip=clip).sum().backward()
        assert torch.isfinite(far.grad).all()
    rgb = (0.1 + 0.8 * torch.rand(1, 3, 2, 2, dtype=torch.float64)).requires_grad_()
    assert torch.autograd.gradcheck(lab.rgb_to_lab, rgb)
    assert torch.autograd.gradcheck(lambda x: lab.lab_to_rgb(x, clip=False), lab.rgb_to_lab(rgb).detach().requires_grad_())


def test_map_to_gamut_keeps_L_and_hue():
    colours = torch.from_numpy(np.random.default_rng(1).uniform([0, -128, -128], [100, 128, 128], (4000, 3))).float().T.reshape(1, 3, -1, 1)
    mapped, reduction = lab.map_to_gamut(colours)
    assert lab.in_gamut(mapped).all()
    assert torch.equal(mapped[:, 0], colours[:, 0])
    drift = (lab.rgb_to_lab(lab.lab_to_rgb(mapped))[:, 0] - colours[:, 0]).abs().max()
    assert drift < 0.2                                                          # the gamut test's tolerance, seen through the clipping
    chroma, mapped_chroma = colours[:, 1:].norm(dim=1), mapped[:, 1:].norm(dim=1)
    assert torch.allclose(chroma - mapped_chroma, reduction[:, 0], atol=1e-3)
    cross = colours[:, 1] * mapped[:, 2] - colours[:, 2] * mapped[:, 1]
    assert cross.abs().max() < 0.05
    one_more = mapped.clone()                                                   # no needless loss: 1 % more chroma than the result is outside
    one_more[:, 1:] *= 1.02
    touched = (reduction > 0) & (mapped_chroma > 5).unsqueeze(1)
    assert not lab.in_gamut(one_more)[touched[:, 0]].any()


def test_map_to_gamut_leaves_real_colours_alone():
    inside = lab.rgb_to_lab(torch.rand(2, 3, 16, 16))
    mapped, reduction = lab.map_to_gamut(inside)
    assert torch.equal(mapped, inside) and reduction.max() == 0
    assert lab.in_gamut(np.array([[50.0, 200.0, 0.0], [50.0, 0.0, 0.0]])).tolist() == [False, True]
    array, moved = lab.map_to_gamut(np.array([[50.0, 200.0, 0.0], [50.0, 0.0, 0.0]]))
    assert array.shape == (2, 3) and moved.shape == (2, 1) and moved[0] > 100 and moved[1] == 0


def test_grids():
    bins = lab.ab_bins(313)
    assert bins.shape == (313, 2) and len(torch.unique(bins, dim=0)) == 313
    assert bins[0].tolist() == [-90, 50] and bins[-1].tolist() == [100, 0]      # first and last of the published list
    assert lab.ab_bins(625).shape == (625, 2) and lab.live_bins().sum() == 261
    assert lab.ab_bins(441)[220].tolist() == [0, 0]
    with pytest.raises(ValueError, match="313, 441 or 625"):
        lab.ab_bins(100)


def test_live_bins_from_the_solid_cube():
    """The surface of the cube is enough: colours inside it add no bin."""
    inside = lab.rgb_to_lab(torch.from_numpy(dense_colours(5)).permute(1, 2, 0)[..., None])[:, 1:]
    assert lab.live_bins()[lab.nearest_bin(inside, lab.ab_bins(625))].all()


def test_gamut_mask():
    bins = lab.ab_bins(313)
    assert lab.gamut_mask(50, bins).shape == (313,)
    counts = lab.gamut_mask(torch.tensor([0.0, 25, 50, 75, 100]), bins).sum(1)
    assert counts[0] == 1 and counts[4] == 1 and counts[2] > 100                # black and white have one colour each
    mid = lab.gamut_mask(50, bins)
    expected = torch.tensor([bool((np.abs(rgb2lab(lab2rgb(np.array([50.0, a, b]))) - [50, a, b]) < 0.3).all()) for a, b in bins.tolist()])
    assert (mid == expected).float().mean() > 0.99


def test_histogram():
    ab = torch.rand(3, 2, 9, 7) * 220 - 110
    histogram = lab.ab_histogram(ab)
    assert histogram.shape == (3, 441) and torch.allclose(histogram.sum(1), torch.ones(3))
    centres = lab.ab_bins(441)
    tent = (1 - (ab.flatten(2)[:, :, None] - centres.T[None, :, :, None]).abs() / 11).clamp_min(0)    # the unseparated definition
    assert torch.allclose(histogram, tent.prod(1).mean(2), atol=1e-6)
    assert lab.ab_histogram(torch.zeros(1, 2, 4, 4))[0, 220] == 1
    mask = torch.zeros(1, 1, 4, 4)
    mask[..., :2] = 1
    half = torch.cat([torch.full((1, 2, 4, 2), 55.0), torch.zeros(1, 2, 4, 2)], 3)
    assert lab.ab_histogram(half, mask)[0, 15 * 21 + 15] == 1
    assert lab.ab_histogram(torch.full((1, 2, 2, 2), 500.0)).sum() == 1
    smooth = (torch.rand(1, 2, 2, 2, dtype=torch.float64) * 8 + 1).requires_grad_()
    lab.ab_histogram(smooth).square().sum().backward()
    assert torch.isfinite(smooth.grad).all() and smooth.grad.abs().sum() > 0


def test_encoding_and_decoding():
    bins = lab.ab_bins(313)
    ab = lab.rgb_to_lab(torch.rand(2, 3, 6, 5))[:, 1:]
    encoded = lab.soft_encode(ab, bins)
    assert encoded.shape == (2, 313, 6, 5) and torch.allclose(encoded.sum(1), torch.ones(2, 6, 5)) and ((encoded > 0).sum(1) <= 10).all()
    assert torch.equal(encoded.argmax(1), lab.nearest_bin(ab, bins))
    decoded = lab.annealed_mean(encoded.clamp_min(1e-12).log(), bins, temperature=1)
    assert (decoded - ab).abs().mean() < 3                                      # within a third of a bin
    by_hand = torch.exp(-((bins - ab[0, :, 0, 0]) ** 2).sum(1) / 50)
    top = by_hand.topk(10)
    assert torch.allclose(encoded[0, top.indices, 0, 0], top.values / top.values.sum(), atol=1e-5)


def test_annealed_mean_goes_from_mean_to_mode():
    bins = torch.tensor([[0.0, 0.0], [100.0, 0.0]])
    logits = torch.tensor([0.6, 0.4]).log().view(1, 2, 1, 1)
    a = [lab.annealed_mean(logits, bins, t)[0, 0, 0, 0].item() for t in (1, 0.38, 0)]
    sharpened = 0.4 ** (1 / 0.38) / (0.4 ** (1 / 0.38) + 0.6 ** (1 / 0.38))
    assert a == pytest.approx([40, 100 * sharpened, 0], abs=1e-3)
    with pytest.raises(ValueError, match="temperature"):
        lab.annealed_mean(logits, bins, -1)


def test_prior_and_rebalancing():
    bins = lab.ab_bins(625)
    prior = lab.bin_prior(lab.rgb_to_lab(torch.rand(2, 3, 32, 32))[:, 1:], bins)
    assert prior.sum() == pytest.approx(1)
    weight = lab.rebalancing_weights(prior)
    assert (weight[prior == 0] == 0).all() and (prior * weight).sum() == pytest.approx(1)
    by_hand = lab.rebalancing_weights([0.8, 0.2, 0.0])                          # mix: 0.65 and 0.35
    raw = np.array([1 / 0.65, 1 / 0.35, 0])
    assert by_hand.tolist() == pytest.approx((raw / (raw @ [0.8, 0.2, 0])).tolist(), rel=1e-6)
    with pytest.raises(ValueError, match="prior"):
        lab.rebalancing_weights([0.0, 0.0])


def test_scaling():
    assert lab.scale_L(torch.tensor([0.0, 50.0, 100.0])).tolist() == [-1, 0, 1]
    assert lab.unscale_L(lab.scale_L(torch.tensor(37.0))).item() == pytest.approx(37)
    assert lab.unscale_ab(lab.scale_ab(torch.tensor(37.0), 127), 127).item() == pytest.approx(37)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_gpu_agrees_with_cpu_under_autocast():
    rgb = torch.rand(4, 3, 64, 64)
    with torch.autocast("cuda", dtype=torch.bfloat16):
        assert (lab.rgb_to_lab(rgb.cuda()).cpu() - lab.rgb_to_lab(rgb)).abs().max() < 1e-3


def test_read_only_arrays_pass_without_a_warning():
    array = np.full((2, 2, 3), 120, np.uint8)
    array.flags.writeable = False
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert lab.rgb_to_lab(array).shape == (2, 2, 3)
        assert lab.map_to_gamut(np.broadcast_to(np.float32(1), (2, 2, 3)))[1].max() < 1.5
