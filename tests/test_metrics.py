"""colorlib.metrics against scikit-image, torchmetrics and cases worked out by hand."""
import math
import pickle
import urllib.error

import numpy as np
import pytest
import torch
from skimage.color import deltaE_ciede2000, rgb2lab
from skimage.data import astronaut, coffee
from skimage.metrics import structural_similarity
from torchmetrics.functional.image import peak_signal_noise_ratio, structural_similarity_index_measure

from colorlib import metrics

RED, GREEN = (200, 60, 60), (60, 200, 60)            # opponents R - G = +140 and -140, (R + G) / 2 - B = 70 in both


@pytest.fixture(scope="module")
def photos():
    """Two photos and a worse copy: uint8 (2, 3, 96, 80) each."""
    crops = [photo[100:196, 100:180].copy() for photo in (astronaut(), coffee())]
    true = torch.stack([torch.from_numpy(crop).movedim(-1, 0) for crop in crops])
    noise = torch.randn(true.shape, generator=torch.Generator().manual_seed(0)) * 20
    return (true + noise).clamp(0, 255).byte(), true


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


@pytest.mark.parametrize(("variant", "scale", "data_range"), [("skimage", 1 / 255, 1.0), ("ct2", np.uint8(1), 225)])
def test_ssim_variants_are_scikit_images(photos, variant, scale, data_range):
    """ct2 rounds to 8 bit, as a saved PNG does, so its bytes go in unscaled."""
    pred, true = (x.movedim(1, -1).numpy() for x in photos)
    theirs = [structural_similarity(t * scale, p * scale, data_range=data_range, channel_axis=-1)
              for p, t in zip(pred, true)]
    assert metrics.ssim(*photos, variant=variant).tolist() == pytest.approx(theirs, abs=1e-12)


def test_the_slip_in_ct2s_ssim_lowers_it(photos):
    right, slip = metrics.ssim(*photos, variant="skimage"), metrics.ssim(*photos, variant="ct2")
    assert (slip < right).all()


@pytest.mark.parametrize("variant", metrics.SSIM_VARIANTS)
def test_ssim_of_identical_pictures_is_one(photos, variant):
    assert metrics.ssim(photos[1], photos[1], variant).tolist() == pytest.approx([1, 1], abs=1e-12)


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
    with pytest.raises(ValueError, match="standard, skimage, ct2"):
        metrics.ssim(torch.zeros(1, 3, 16, 16), torch.zeros(1, 3, 16, 16), "matlab")


# ---------------------------------------------------------------- learned distances

class MeanColor(torch.nn.Module):
    """A three-number feature of a picture, so that FID can be worked out by hand."""

    def forward(self, rgb):
        assert rgb.dtype == torch.float32 and 0 <= rgb.min() and rgb.max() <= 1
        return rgb.mean((2, 3))


def grey_pictures(levels):
    return torch.tensor(levels, dtype=torch.float64)[:, None, None, None].expand(-1, 3, 8, 8)


def test_fid_of_a_set_with_itself_is_zero():
    pictures = torch.rand(40, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    assert metrics.fid(pictures, pictures, feature=MeanColor()) == pytest.approx(0, abs=1e-9)


def test_fid_by_hand():
    """Features R = G = B = level: covariance var * ones(3, 3), so FID = 3 ((m1 - m2)^2 + (s1 - s2)^2), sample SDs.

    1e-6: features are float32, and the square root of a rank-1 covariance product turns rounding of 1e-16 into 1e-8.
    """
    pred, true = [0.1, 0.2, 0.6], [0.5, 0.5, 0.8, 1.0]
    expected = 3 * ((np.mean(pred) - np.mean(true)) ** 2 + (np.std(pred, ddof=1) - np.std(true, ddof=1)) ** 2)
    found = metrics.fid(grey_pictures(pred), grey_pictures(true), feature=MeanColor())
    assert found == pytest.approx(expected, abs=1e-6)


def test_kid_is_the_unbiased_polynomial_mmd():
    """Against the estimator written out (Binkowski et al. 2018, Eq. 4) with k(x, y) = (x.y / d + 1)^3."""
    generator = torch.Generator().manual_seed(0)
    pred, true = torch.rand(9, 3, 8, 8, generator=generator), torch.rand(9, 3, 8, 8, generator=generator) ** 2
    x, y = (pictures.mean((2, 3)).double() for pictures in (pred, true))
    kernel = [(a @ b.T / 3 + 1) ** 3 for a, b in ((x, x), (y, y), (x, y))]
    own = [(k.sum() - k.trace()) / (9 * 8) for k in kernel[:2]]
    mean, deviation = metrics.kid(pred, true, feature=MeanColor(), subsets=3)
    assert mean == pytest.approx((own[0] + own[1] - 2 * kernel[2].mean()).item(), rel=1e-5)
    assert deviation == pytest.approx(0, abs=1e-12)                # every subset is the whole set
    first = metrics.kid(pred, true, feature=MeanColor(), subsets=5, subset_size=4, seed=1)
    assert first == metrics.kid(pred, true, feature=MeanColor(), subsets=5, subset_size=4, seed=1) and first[1] > 0


def test_feature_batches_do_not_mix_sizes_or_order():
    pictures = [torch.full((3, 4 + i // 20, 5), i / 100) for i in range(50)]
    features = metrics._extract_features(MeanColor(), pictures, as_bytes=False)
    assert features[:, 0].tolist() == pytest.approx([i / 100 for i in range(50)], abs=1e-7)


def test_fid_needs_two_pictures():
    with pytest.raises(ValueError, match="at least two"):
        metrics.fid(grey_pictures([0.1]), grey_pictures([0.2, 0.3]), feature=MeanColor())


@pytest.fixture
def empty_hub(tmp_path, monkeypatch):
    """A machine without network and without cached weights."""
    def refuse(*_, **__):
        raise urllib.error.URLError("no network")
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr(torch.hub, "download_url_to_file", refuse)
    metrics._lpips_network.cache_clear()
    metrics._inception.cache_clear()
    yield tmp_path / "hub" / "checkpoints"
    metrics._lpips_network.cache_clear()
    metrics._inception.cache_clear()


def test_missing_weights_are_named_in_one_sentence(empty_hub, photos):
    assert not metrics.lpips_available()
    with pytest.raises(FileNotFoundError, match="LPIPS needs the weights .*alexnet.*no network.*copy that file to"):
        metrics.lpips(*photos)
    with pytest.raises(FileNotFoundError, match="FID and KID needs? the weights .*inception.*no network"):
        metrics.fid(*photos)
    with pytest.raises(FileNotFoundError, match="FID and KID"):
        metrics.fid(*photos, weights_path=str(empty_hub / "absent.pth"))
    with pytest.raises(ValueError, match="alex, vgg, squeeze"):
        metrics.lpips_available("resnet")


def test_a_weight_file_that_would_run_code_is_refused(empty_hub, photos, capsys):
    class Intruder:
        def __reduce__(self):
            return print, ("code ran",)
    path = empty_hub.parent / "inception.pth"
    path.parent.mkdir(parents=True)
    path.write_bytes(pickle.dumps(Intruder(), protocol=2))
    with pytest.raises(FileNotFoundError, match="cannot be downloaded or read"):
        metrics.fid(*photos, weights_path=str(path))
    assert "code ran" not in capsys.readouterr().out


def test_lpips_with_weights_from_the_cache(empty_hub, photos):
    """The real path, with random SqueezeNet weights in the cache: zero for equals, symmetric, per picture."""
    import torchvision
    torch.manual_seed(0)
    empty_hub.mkdir(parents=True)
    network = torchvision.models.squeezenet1_1(weights=None)
    torch.save(network.state_dict(), empty_hub / "squeezenet1_1-b8a52dc0.pth")
    assert metrics.lpips_available("squeeze")
    pred, true = photos
    distance = metrics.lpips(pred, true, net="squeeze")
    assert distance.dtype == torch.float64 and distance.shape == (2,) and (distance > 0).all()
    assert metrics.lpips(true, true, net="squeeze").tolist() == [0, 0]
    torch.testing.assert_close(metrics.lpips(true, pred, net="squeeze"), distance, rtol=1e-9, atol=0)
    from torchmetrics.functional.image import learned_perceptual_image_patch_similarity
    theirs = learned_perceptual_image_patch_similarity(pred / 255.0, true / 255.0, net_type="squeeze", normalize=True,
                                                       reduction="none")
    torch.testing.assert_close(distance, theirs.double(), rtol=1e-4, atol=0)       # theirs runs in float32
    with pytest.raises(ValueError, match="32 px"):
        metrics.lpips(pred[..., :20], true[..., :20], net="squeeze")
