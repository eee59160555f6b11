"""colorlib.metrics against scikit-image, torchmetrics and cases worked out by hand."""
import colorsys
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from skimage.color import deltaE_ciede2000, rgb2lab
from skimage.metrics import structural_similarity
from torchmetrics.functional.image import peak_signal_noise_ratio, structural_similarity_index_measure

from colorlib import metrics
from tests.data_samples import noisy_photos

RED, GREEN = (200, 60, 60), (60, 200, 60)            # opponents R - G = +140 and -140, (R + G) / 2 - B = 70 in both


@pytest.fixture(scope="module")
def photos():
    return noisy_photos()


def flat(*colors, height=16, width=16):
    """A picture with one upright stripe a colour: uint8 (1, 3, H, W)."""
    stripes = torch.tensor(colors, dtype=torch.uint8).repeat_interleave(width // len(colors), 0)
    return stripes.T[None, :, None].expand(1, 3, height, width).contiguous()


# ---------------------------------------------------------------- fidelity

def test_psnr_by_hand():
    true = torch.zeros(2, 3, 8, 8, dtype=torch.float64)
    pred = true.clone()
    pred[0] += 0.1                                               # MSE 0.01
    pred[1, 0] = 1                                               # one channel of three wrong: MSE 1/3
    assert metrics.psnr(pred, true).tolist() == pytest.approx([20, 10 * math.log10(3)])
    assert metrics.psnr(true, true).tolist() == [math.inf, math.inf]


def test_psnr_and_ssim_agree_with_torchmetrics(photos):
    """1e-5 dB: torchmetrics has a logarithm in float32. 1e-10: float64 rounding, its windows over borders cut off."""
    pred, true = (x.double() / 255 for x in photos)
    theirs = peak_signal_noise_ratio(pred, true, data_range=1.0, reduction="none", dim=(1, 2, 3))
    torch.testing.assert_close(metrics.psnr(*photos), theirs, rtol=0, atol=1e-5)
    _, full = structural_similarity_index_measure(pred, true, data_range=1.0, reduction="none", return_full_image=True)
    torch.testing.assert_close(metrics.ssim(*photos), full[..., 5:-5, 5:-5].mean((1, 2, 3)), rtol=0, atol=1e-10)


@pytest.mark.parametrize(("variant", "scale", "data_range"), [("skimage", 1 / 255, 1.0), ("ct2", np.uint8(1), 225),
                                                              ("range2", 1 / 255, 2.0)])
def test_ssim_variants_are_scikit_images(photos, variant, scale, data_range):
    """ct2 rounds to 8 bit, as a saved PNG does, so its bytes go in unscaled."""
    pred, true = (x.movedim(1, -1).numpy() for x in photos)
    theirs = [structural_similarity(t * scale, p * scale, data_range=data_range, channel_axis=-1)
              for p, t in zip(pred, true)]
    assert metrics.ssim(*photos, variant=variant).tolist() == pytest.approx(theirs, abs=1e-12)


def test_the_slips_in_ct2s_and_scgans_ssim(photos):
    """A range too narrow lowers it, a range too wide raises it."""
    right, narrow, wide = (metrics.ssim(*photos, variant=variant) for variant in ("skimage", "ct2", "range2"))
    assert (narrow < right).all() and (right < wide).all()


def test_nrmse_by_hand():
    """Off by 0.1 where the root mean square is 0.5: 0.2. Nothing to divide by in a black picture."""
    true = torch.full((1, 3, 8, 8), 0.5, dtype=torch.float64)
    assert metrics.nrmse(true + 0.1, true).item() == pytest.approx(0.2)
    black = torch.zeros_like(true)
    assert metrics.nrmse(black, true).item() == pytest.approx(1)
    assert metrics.nrmse(true, black).item() == math.inf and math.isnan(metrics.nrmse(black, black).item())


@pytest.mark.parametrize("variant", metrics.SSIM_VARIANTS)
def test_ssim_of_identical_pictures_is_one(photos, variant):
    assert metrics.ssim(photos[1], photos[1], variant).tolist() == pytest.approx([1, 1], abs=1e-6 if variant == "challenge" else 1e-12)      # float32


def test_the_challenges_ssim(photos):
    """The flatter the answer, the smaller its range and with it the constants that forgive; a single value leaves none."""
    pred, true = (x.movedim(1, -1).numpy() / np.float32(255) for x in photos)
    theirs = [structural_similarity(t, p, data_range=p.max() - p.min(), channel_axis=-1) for p, t in zip(pred, true)]
    assert metrics.ssim(*photos, "challenge").tolist() == pytest.approx(theirs, abs=1e-9)
    faded = photos[0].float() / 255 * 0.3 + 0.4
    assert (metrics.ssim(faded, photos[1], "challenge") < metrics.ssim(faded, photos[1], "skimage")).all()
    grey = torch.full((1, 3, 16, 16), 128, dtype=torch.uint8)
    half = flat((0, 0, 0), (255, 255, 255))
    assert metrics.ssim(half, grey, "challenge").isfinite().all() and metrics.ssim(grey, half, "challenge").isnan().all()


def test_lab_metrics_agree_with_scikit_image(photos):
    """1e-6: both work in float64 with the same constants, in another order of operations."""
    pred, true = (rgb2lab(x.movedim(1, -1).numpy()) for x in photos)
    difference = pred - true
    for ours, theirs in ((metrics.delta_e2000, deltaE_ciede2000(true, pred).mean((1, 2))),
                         (metrics.delta_e76, np.sqrt((difference ** 2).sum(-1)).mean((1, 2))),
                         (metrics.ab_mae, np.abs(difference[..., 1:]).mean((1, 2, 3))),
                         (metrics.ab_rmse, np.sqrt((difference[..., 1:] ** 2).mean((1, 2, 3)))),
                         (metrics.l_drift, np.abs(difference[..., 0]).mean((1, 2)))):
        assert ours(*photos).tolist() == pytest.approx(theirs, abs=1e-6)


def test_lab_metrics_by_hand():
    """Black to white is 100 in L and nothing in ab; red to green from the CIE values of the sRGB corners."""
    black, white = flat((0, 0, 0)), flat((255, 255, 255))
    for metric in (metrics.delta_e2000, metrics.delta_e76, metrics.l_drift):
        assert metric(black, white).item() == pytest.approx(100, abs=0.01)
    assert metrics.ab_mae(black, white).item() == pytest.approx(0, abs=0.02)
    a, b = 80.0925 + 86.1827, 67.2032 - 83.1793
    red, green = flat((255, 0, 0)), flat((0, 255, 0))
    assert metrics.ab_mae(red, green).item() == pytest.approx((abs(a) + abs(b)) / 2, abs=1e-3)
    assert metrics.ab_rmse(red, green).item() == pytest.approx(math.sqrt((a * a + b * b) / 2), abs=1e-3)


def test_l_drift_takes_lightness_itself(photos):
    L = torch.from_numpy(rgb2lab(photos[1].movedim(1, -1).numpy())[..., 0])[:, None]
    torch.testing.assert_close(metrics.l_drift(photos[0], L), metrics.l_drift(*photos), rtol=0, atol=1e-6)
    with pytest.raises(ValueError, match="equally many"):
        metrics.l_drift(photos[0], L[:1])


# ---------------------------------------------------------------- colourfulness

@pytest.mark.parametrize(("colors", "signed", "absolute"), [
    ((RED, GREEN), 140 + 0.3 * 70, 0.3 * math.hypot(140, 70)),                    # 161.0 and 46.96
    (((255, 0, 0), (0, 255, 0)), 255 + 0.3 * 127.5, 0.3 * math.hypot(255, 127.5)),
    (((255, 0, 0),), 0.3 * math.hypot(255, 127.5), 0.3 * math.hypot(255, 127.5)),     # one hue: the two agree
    (((90, 90, 90), (200, 200, 200)), 0, 0),
])
def test_colorfulness_by_hand(colors, signed, absolute):
    picture = flat(*colors)
    assert metrics.colorfulness(picture).item() == pytest.approx(signed, abs=1e-9)
    assert metrics.colorfulness(picture, signed=False).item() == pytest.approx(absolute, abs=1e-9)


def test_colorfulness_gap_two_ways():
    """Errors of +161 and -161 cancel in the difference of means and not in the mean difference."""
    vivid, grey = flat(RED, GREEN), flat((90, 90, 90))
    gap, error = metrics.colorfulness_gap(torch.cat([vivid, grey]), torch.cat([grey, vivid]))
    assert gap == pytest.approx(0, abs=1e-9) and error == pytest.approx(161)


def test_cci_ratio_rewards_dull_pictures():
    """One hue: M = 0.3 sqrt(rg^2 + yb^2), so (66, 0, 0) has 22.1, faded to (52, 0, 0) 17.4, and no colour at all 0."""
    vivid, faded, grey = flat((66, 0, 0)), flat((52, 0, 0)), flat((90, 90, 90))
    assert metrics.colorfulness(faded).item() == pytest.approx(0.3 * math.hypot(52, 26))
    assert metrics.cci_ratio(vivid) == 0 and metrics.cci_ratio(grey) == 0 and metrics.cci_ratio(faded) == 1
    assert metrics.cci_ratio(torch.cat([vivid, faded, grey, faded])) == 0.5
    limit = metrics.colorfulness(faded).item()
    assert metrics.cci_ratio(faded, limit, limit) == 1                       # limits included
    assert metrics.cci_ratio(vivid, low=20, high=25) == 1


def hsl(hue, saturation, lightness):
    """A flat picture of one HSL colour, hue in degrees: float64 (1, 3, 4, 4)."""
    rgb = colorsys.hls_to_rgb(hue / 360, lightness, saturation)
    return torch.tensor(rgb, dtype=torch.float64)[None, :, None, None].expand(1, 3, 4, 4)


@pytest.mark.parametrize(("hue", "saturation", "lightness", "expected"), [
    (50, 0.76, 0.5, 1.0), (115, 0.81, 0.5, 1.0), (220, 0.43, 0.5, 1.0),                  # the natural saturations
    (50, 0.24, 0.5, math.exp(-0.5)), (115, 0.28, 0.4, math.exp(-0.5)), (220, 0.65, 0.6, math.exp(-0.5)),      # one SD off
    (80, 0.7, 0.5, 0), (150, 0.7, 0.5, 0), (300, 0.7, 0.5, 0), (20, 0.7, 0.5, 0),        # hues of nothing natural
    (50, 0.09, 0.5, 0), (50, 0.76, 0.19, 0), (50, 0.76, 0.81, 0), (50, 0, 0.5, 0),       # too grey, too dark, too light
])
def test_cni_by_hand(hue, saturation, lightness, expected):
    assert metrics.cni(hsl(hue, saturation, lightness)).item() == pytest.approx(expected, abs=1e-12)


def test_cni_weighs_classes_by_their_pixels():
    """Half natural skin, a quarter sky one SD off, a quarter of pink, which does not count."""
    skin, sky, pink = hsl(50, 0.76, 0.5), hsl(220, 0.65, 0.5), hsl(330, 0.5, 0.5)
    picture = torch.cat([skin, skin, sky, pink], dim=3)
    assert metrics.cni(picture).item() == pytest.approx((2 + math.exp(-0.5)) / 3)


def cni_one_pixel_at_a_time(picture):
    """The index written out: uint8 (H, W, 3) -> float."""
    found = {"skin": [], "grass": [], "sky": []}
    for pixel in picture.reshape(-1, 3).tolist():
        r, g, b = (value / 255 for value in pixel)
        top, bottom = max(r, g, b), min(r, g, b)
        if top == bottom:
            continue
        if top == r:
            hue = (60 * ((g - b) / (top - bottom)) + 360) % 360
        elif top == g:
            hue = (60 * ((b - r) / (top - bottom)) + 120) % 360
        else:
            hue = (60 * ((r - g) / (top - bottom)) + 240) % 360
        lightness = (top + bottom) / 2
        saturation = (top - bottom) / (1 - abs(2 * lightness - 1))
        if saturation > 0.1 and 0.2 < lightness < 0.8:
            for name, low, high in (("skin", 25, 70), ("grass", 95, 135), ("sky", 185, 260)):
                found[name] += [saturation] if low <= hue <= high else []
    natural = {"skin": (0.76, 0.52), "grass": (0.81, 0.53), "sky": (0.43, 0.22)}
    parts = [(len(s), math.exp(-0.5 * ((sum(s) / len(s) - natural[name][0]) / natural[name][1]) ** 2))
             for name, s in found.items() if s]
    return sum(n * score for n, score in parts) / sum(n for n, _ in parts) if parts else 0


LEVELS = st.sampled_from([0, 1, 51, 102, 119, 127, 128, 153, 204, 254, 255]) | st.integers(0, 255)     # limits are hit


@settings(max_examples=60, deadline=None)
@given(arrays(np.uint8, st.tuples(st.integers(1, 6), st.integers(1, 6), st.just(3)), elements=LEVELS))
def test_cni_is_the_loop_over_pixels(picture):
    assert metrics.cni(picture).item() == pytest.approx(cni_one_pixel_at_a_time(picture), abs=1e-12)


def waves(shift):
    """A colourful picture by formula: uint8 (256, 256, 3)."""
    y, x = np.mgrid[:256, :256]
    planes = [128 + 100 * np.sin((x * (c + 1) + y * (3 - c)) / 40 + shift + 2 * c) for c in range(3)]
    return np.stack(planes, axis=-1).round().astype(np.uint8)


def test_scgans_released_evaluation():
    """Its own numbers for the two pictures and a faded one, files as PNG; its missing scikit-image names mapped to
    today's, whose SSIM gets the data range 2 that the old one took for floats."""
    true, pred = waves(0), waves(0.4)
    assert metrics.cni([true, pred, true // 4 + 96]).tolist() == pytest.approx(
        [0.8662302626137912, 0.8666449840223609, 0.475364353212128], abs=1e-9)
    assert metrics.colorfulness([true, pred, true // 4 + 96]).tolist() == pytest.approx(
        [132.32828398225146, 132.3313147321847, 33.07191985596428], abs=1e-9)
    assert metrics.nrmse(pred, true).item() == pytest.approx(0.19217463795722417, abs=1e-9)
    assert metrics.psnr(pred, true).item() == pytest.approx(19.155633192878412, abs=1e-9)
    assert metrics.ssim(pred, true, "range2").item() == pytest.approx(0.9043189672825348, abs=1e-9)


# ---------------------------------------------------------------- saliency

def test_saliency_scores_by_hand():
    """Truth 1 1 0 0, guess 1 0 1 0: one hit of two guessed and two wanted. One half itself is not salient."""
    true = torch.tensor([[1.0, 0.9], [0.5, 0.0]])[None, None]
    pred = torch.tensor([[0.51, 0.5], [1.0, 0.2]])[None, None]
    scores = metrics.saliency_scores(pred, true)
    assert [scores[name].item() for name in ("precision", "recall", "f1")] == [0.5, 0.5, 0.5]
    assert scores["saliency_l1"].item() == pytest.approx((0.49 + 0.4 + 0.5 + 0.2) / 4)
    assert scores["saliency_l2"].item() == pytest.approx((0.49 ** 2 + 0.4 ** 2 + 0.5 ** 2 + 0.2 ** 2) / 4)
    assert all(values.shape == (1,) and values.dtype == torch.float64 for values in scores.values())
    pred[..., 1, 0] = 0                                                  # guess 1 0 0 0: precision 1, recall 1/2, F1 2/3
    scores = metrics.saliency_scores(pred, true)
    assert [scores[name].item() for name in ("precision", "recall", "f1")] == pytest.approx([1, 0.5, 2 / 3])


def test_pictures_without_salient_pixels_do_not_count():
    """Four pairs: found, nothing found, nothing there, neither. The published code counts the last three as 0."""
    empty, full = torch.zeros(1, 1, 4, 4, dtype=torch.uint8), torch.full((1, 1, 4, 4), 255, dtype=torch.uint8)
    pred, true = torch.cat([full, empty, full, empty]), torch.cat([full, full, empty, empty])
    scores, legacy = metrics.saliency_scores(pred, true), metrics.saliency_scores(pred, true, legacy=True)
    nan = math.nan
    for name, expected in (("precision", [1, nan, nan, nan]), ("recall", [1, 0, nan, nan]), ("f1", [1, 0, nan, nan])):
        np.testing.assert_array_equal(scores[name], expected)
        assert legacy[name].tolist() == [1, 0, 0, 0]
    summary = metrics.summarize(scores)
    assert (summary["n"], summary["precision"], summary["recall"], summary["saliency_l1"]) == (4, 1, 0.5, 0.5)
    assert metrics.summarize(legacy)["recall"] == 0.25
    assert math.isnan(metrics.summarize({"f1": [nan, nan]})["f1"])


@pytest.mark.parametrize(("pred", "message"), [
    (torch.zeros(2, 1, 4, 4), "one shape"), (torch.zeros(1, 3, 4, 4), "saliency maps"), (np.zeros((1, 1, 4, 4)), "tensor"),
    (torch.full((1, 1, 4, 4), math.nan), "in \\[0, 1\\]"), (torch.full((1, 1, 4, 4), 1.5), "in \\[0, 1\\]"),
    (torch.zeros(1, 1, 4, 4, dtype=torch.int64), "uint8 or float"), (torch.zeros(0, 1, 4, 4), "saliency maps"),
])
def test_bad_saliency_maps_are_refused(pred, message):
    with pytest.raises(ValueError, match=message):
        metrics.saliency_scores(pred, torch.zeros(1, 1, 4, 4))


# ---------------------------------------------------------------- bins

BINS = torch.tensor([[0.0, 0.0], [40.0, 0.0], [0.0, 40.0]])


def four_pixels():
    """Logits and truth of one 2 x 2 picture. True bins 0 0 1 2; best guess 0 1 1 0; second guess 1 0 2 2."""
    best, second = torch.tensor([0, 1, 1, 0]), torch.tensor([1, 0, 2, 2])
    logits = torch.zeros(3, 4).scatter_(0, best[None], 2.0).scatter_(0, second[None], 1.0)
    truth = torch.tensor([[1.0, 0], [0, 2], [35, 3], [-4, 50]])
    return logits.view(1, 3, 2, 2), truth.T.reshape(1, 2, 2, 2)


def test_ab_accuracy_by_hand():
    logits, ab = four_pixels()
    assert metrics.ab_accuracy(logits, ab, BINS).tolist() == [0.5]                             # pixels 1 and 3
    assert metrics.ab_accuracy(logits, ab, BINS, k=2).tolist() == [1.0]
    assert metrics.ab_accuracy(logits, ab, BINS, balanced=True) == pytest.approx((1 / 2 + 1 + 0) / 3)
    assert metrics.count_hits(logits, ab, BINS, chromatic=metrics.CHROMATIC_MIN)[1].tolist() == [[0, 1, 1]]
    assert metrics.ab_accuracy(logits, ab, BINS, chromatic=40).tolist() == [0.0]               # pixel 4 alone
    mask = torch.tensor([[1.0, 0], [1, 0]])[None, None]
    assert metrics.ab_accuracy(logits, ab, BINS, mask=mask).tolist() == [1.0]
    assert math.isnan(metrics.ab_accuracy(logits, ab, BINS, mask=torch.zeros(1, 1, 2, 2)).item())


def test_bin_accuracy_by_hand():
    _, ab = four_pixels()
    answer = torch.tensor([[19.0, 0], [21, 0], [39, 1], [0, 0]]).T.reshape(1, 2, 2, 2)         # bins 0 1 1 0
    assert metrics.bin_accuracy(answer, ab, BINS).tolist() == [0.5]
    assert metrics.bin_accuracy(ab, ab, BINS, balanced=True) == 1.0


def test_counts_of_batches_make_the_score_of_the_set():
    """Balanced accuracy needs counts of the whole set: bins weigh the same, not pictures."""
    logits, ab = four_pixels()
    logits, ab = torch.cat([logits, logits.roll(1, 1)]), torch.cat([ab, ab.flip(3)])
    whole = metrics.count_hits(logits, ab, BINS)
    batches = [metrics.count_hits(logits[i:i + 1], ab[i:i + 1], BINS) for i in (0, 1)]
    parts = [torch.cat(part) for part in zip(*batches)]
    assert all(torch.equal(a, b) for a, b in zip(whole, parts))
    assert whole[1].sum(0).tolist() == [4, 2, 2]
    assert metrics.accuracy(*parts, balanced=True) == metrics.ab_accuracy(logits, ab, BINS, balanced=True)


@pytest.mark.parametrize("change", [
    {"k": 4}, {"logits": torch.zeros(1, 5, 2, 2)}, {"logits": torch.full((1, 3, 2, 2), math.nan)},
    {"ab_true": torch.zeros(1, 2, 4, 4)}, {"mask": torch.ones(1, 2, 2)},
])
def test_ab_accuracy_refuses(change):
    logits, ab = four_pixels()
    with pytest.raises(ValueError):
        metrics.ab_accuracy(**{"logits": logits, "ab_true": ab, "bins": BINS, **change})


# ---------------------------------------------------------------- the standard set

def test_evaluate_pictures_is_the_single_metrics(photos):
    scores = metrics.evaluate_pictures(*photos)
    assert list(scores) == list(metrics.STANDARD_SET)
    assert all(values.dtype == torch.float64 and values.shape == (2,) for values in scores.values())
    torch.testing.assert_close(scores["de2000"], metrics.delta_e2000(*photos), rtol=0, atol=0)
    torch.testing.assert_close(scores["colorfulness_true"], metrics.colorfulness(photos[1]), rtol=0, atol=0)


def test_every_form_of_picture_gives_the_same_score(photos):
    """uint8, float64, arrays, lists of single pictures, one picture: equal; float32 within its rounding."""
    expected = metrics.psnr(*photos)
    pairs = [[x.double() / 255 for x in photos], [x.movedim(1, -1).numpy() for x in photos], [list(x) for x in photos],
             [iter(x) for x in photos]]
    for pair in pairs:
        torch.testing.assert_close(metrics.psnr(*pair), expected, rtol=0, atol=1e-12)
    torch.testing.assert_close(metrics.psnr(*(x.float() / 255 for x in photos)), expected, rtol=0, atol=1e-5)
    torch.testing.assert_close(metrics.psnr(photos[0][1], photos[1][1]), expected[1:], rtol=0, atol=0)


def test_pictures_of_one_list_may_differ_in_size(photos):
    pred, true = ([x[0], x[1, :, :40, :50]] for x in photos)
    assert metrics.evaluate_pictures(pred, true)["ssim"].shape == (2,)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_scores_do_not_depend_on_the_device(photos):
    on_gpu = metrics.evaluate_pictures(*(x.cuda() for x in photos))
    assert all(torch.equal(values, on_gpu[name]) for name, values in metrics.evaluate_pictures(*photos).items())


def test_summarize_by_hand():
    """Errors 0.01 and 0.0001 are 20 and 40 dB: mean 30 dB, but their mean error 0.00505 is 22.97 dB."""
    columns = {"psnr": torch.tensor([20.0, 40.0]), "colorfulness": [10, 20], "colorfulness_true": [20, 40]}
    summary = metrics.summarize(columns)
    assert summary["n"] == 2 and summary["psnr"] == 30 and summary["colorfulness_ratio"] == 0.5
    assert summary["psnr_pooled"] == pytest.approx(-10 * math.log10(0.00505))
    assert math.isnan(metrics.summarize({"colorfulness": [1.0], "colorfulness_true": [0.0]})["colorfulness_ratio"])
    assert metrics.summarize({"psnr": [math.inf]})["psnr_pooled"] == math.inf
    with pytest.raises(ValueError, match="one length"):
        metrics.summarize({"psnr": [1.0], "ssim": [1.0, 2.0]})


def test_bootstrap_covers_the_mean_as_often_as_it_says():
    """150 samples of 40 normal values: a 90 % interval should hold the true mean about 135 times, with an SD of 4."""
    random = np.random.default_rng(1)
    intervals = [metrics.bootstrap_ci(random.normal(5, 2, 40), level=0.9, resamples=300) for _ in range(150)]
    assert 120 <= sum(low <= 5 <= high for low, high in intervals) <= 147
    assert metrics.bootstrap_ci([1, 2, 3, 4], seed=3) == metrics.bootstrap_ci([1, 2, 3, 4], seed=3)
    assert metrics.bootstrap_ci([7.0]) == (7.0, 7.0)
    with pytest.raises(ValueError):
        metrics.bootstrap_ci([])


@pytest.mark.parametrize(("pred", "message"), [
    (torch.zeros(1, 3, 16, 16) + 2, "clip"), (torch.full((1, 3, 16, 16), math.nan), "in \\[0, 1\\]"),
    (torch.zeros(1, 3, 16, 16, dtype=torch.int64), "uint8 or float"), (torch.zeros(1, 1, 16, 16), "must hold pictures"),
    (torch.zeros(1, 3, 16, 17), "resize"),
    (torch.zeros(2, 3, 16, 16), "equally many"), (torch.zeros(0, 3, 16, 16), "no pictures"),
    (np.zeros((3, 16, 16)), "must hold pictures"), (["photo.png"], "not str"),
])
def test_bad_pictures_are_refused(pred, message):
    with pytest.raises(ValueError, match=message):
        metrics.psnr(pred, torch.zeros(1, 3, 16, 16))


def test_ssim_refuses_small_pictures_and_unknown_variants():
    with pytest.raises(ValueError, match="11 px"):
        metrics.ssim(torch.zeros(1, 3, 10, 30), torch.zeros(1, 3, 10, 30))
    with pytest.raises(ValueError, match="standard, skimage, ct2, range2, challenge"):
        metrics.ssim(torch.zeros(1, 3, 16, 16), torch.zeros(1, 3, 16, 16), "matlab")
