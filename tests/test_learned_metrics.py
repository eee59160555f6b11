"""colorlib.metrics.learned_metrics against torchmetrics and cases worked out by hand, with weights that need no download."""
import pickle

import numpy as np
import pytest
import torch

from colorlib import pretrained
from colorlib.metrics import learned_metrics
from tests.data_samples import noisy_photos


@pytest.fixture(scope="module")
def photos():
    return noisy_photos()


class MeanColor(torch.nn.Module):
    """A three-number feature of a picture, so that FID can be worked out by hand."""

    def forward(self, rgb):
        assert rgb.dtype == torch.float32 and 0 <= rgb.min() and rgb.max() <= 1
        return rgb.mean((2, 3))


def grey_pictures(levels):
    return torch.tensor(levels, dtype=torch.float64)[:, None, None, None].expand(-1, 3, 8, 8)


def test_fid_of_a_set_with_itself_is_zero():
    pictures = torch.rand(40, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    assert learned_metrics.fid(pictures, pictures, feature=MeanColor()) == pytest.approx(0, abs=1e-9)


def test_fid_by_hand():
    """Features R = G = B = level: covariance var * ones(3, 3), so FID = 3 ((m1 - m2)^2 + (s1 - s2)^2), sample SDs.

    1e-6: features are float32, and the square root of a rank-1 covariance product turns rounding of 1e-16 into 1e-8.
    """
    pred, true = [0.1, 0.2, 0.6], [0.5, 0.5, 0.8, 1.0]
    expected = 3 * ((np.mean(pred) - np.mean(true)) ** 2 + (np.std(pred, ddof=1) - np.std(true, ddof=1)) ** 2)
    found = learned_metrics.fid(grey_pictures(pred), grey_pictures(true), feature=MeanColor())
    assert found == pytest.approx(expected, abs=1e-6)


def test_kid_is_the_unbiased_polynomial_mmd():
    """Against the estimator written out (Binkowski et al. 2018, Eq. 4) with k(x, y) = (x.y / d + 1)^3."""
    generator = torch.Generator().manual_seed(0)
    pred, true = torch.rand(9, 3, 8, 8, generator=generator), torch.rand(9, 3, 8, 8, generator=generator) ** 2
    x, y = (pictures.mean((2, 3)).double() for pictures in (pred, true))
    kernel = [(a @ b.T / 3 + 1) ** 3 for a, b in ((x, x), (y, y), (x, y))]
    own = [(k.sum() - k.trace()) / (9 * 8) for k in kernel[:2]]
    mean, deviation = learned_metrics.kid(pred, true, feature=MeanColor(), subsets=3)
    assert mean == pytest.approx((own[0] + own[1] - 2 * kernel[2].mean()).item(), rel=1e-5)
    assert deviation == pytest.approx(0, abs=1e-12)                # every subset is the whole set
    first = learned_metrics.kid(pred, true, feature=MeanColor(), subsets=5, subset_size=4, seed=1)
    assert first == learned_metrics.kid(pred, true, feature=MeanColor(), subsets=5, subset_size=4, seed=1) and first[1] > 0


def test_feature_batches_do_not_mix_sizes_or_order():
    pictures = [torch.full((3, 4 + i // 20, 5), i / 100) for i in range(50)]
    features = learned_metrics.extract_features(MeanColor(), pictures)
    assert features[:, 0].tolist() == pytest.approx([i / 100 for i in range(50)], abs=1e-7)


def test_fid_needs_two_pictures():
    with pytest.raises(ValueError, match="at least two"):
        learned_metrics.fid(grey_pictures([0.1]), grey_pictures([0.2, 0.3]), feature=MeanColor())


@pytest.fixture
def empty_hub(tmp_path, monkeypatch):
    """A machine without network and without cached weights."""
    def refuse(url, path, **_):
        if not path.is_file():
            raise ConnectionError("no network")
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr(pretrained, "download", refuse)
    monkeypatch.setattr(pretrained, "sum_of", lambda path: None)      # weights made here do not have the sum of those they stand for
    learned_metrics._lpips_network.cache_clear()
    learned_metrics._inception.cache_clear()
    yield tmp_path / "hub" / "checkpoints"
    learned_metrics._lpips_network.cache_clear()
    learned_metrics._inception.cache_clear()


def test_missing_weights_are_named_in_one_sentence(empty_hub, photos):
    assert not learned_metrics.lpips_available()
    with pytest.raises(FileNotFoundError, match="LPIPS needs the weights .*alexnet.*no network.*copy that file to"):
        learned_metrics.lpips(*photos)
    with pytest.raises(FileNotFoundError, match="FID and KID needs? the weights .*inception.*no network"):
        learned_metrics.fid(*photos)
    with pytest.raises(FileNotFoundError, match="FID and KID"):
        learned_metrics.fid(*photos, weights_path=str(empty_hub / "absent.pth"))
    with pytest.raises(ValueError, match="alex, vgg, squeeze"):
        learned_metrics.lpips_available("resnet")


def test_a_weight_file_that_would_run_code_is_refused(empty_hub, photos, capsys):
    class Intruder:
        def __reduce__(self):
            return print, ("code ran",)
    path = empty_hub.parent / "inception.pth"
    path.parent.mkdir(parents=True)
    path.write_bytes(pickle.dumps(Intruder(), protocol=2))
    with pytest.raises(FileNotFoundError, match="cannot be downloaded or read"):
        learned_metrics.fid(*photos, weights_path=str(path))
    assert "code ran" not in capsys.readouterr().out


def test_lpips_with_weights_from_the_cache(empty_hub, photos):
    """The real path, with random SqueezeNet weights in the cache: zero for equals, symmetric, per picture."""
    import torchvision
    torch.manual_seed(0)
    empty_hub.mkdir(parents=True)
    network = torchvision.models.squeezenet1_1(weights=None)
    torch.save(network.state_dict(), empty_hub / "squeezenet1_1-b8a52dc0.pth")
    assert learned_metrics.lpips_available("squeeze")
    pred, true = photos
    distance = learned_metrics.lpips(pred, true, net="squeeze")
    assert distance.dtype == torch.float64 and distance.shape == (2,) and (distance > 0).all()
    assert learned_metrics.lpips(true, true, net="squeeze").tolist() == [0, 0]
    torch.testing.assert_close(learned_metrics.lpips(true, pred, net="squeeze"), distance, rtol=1e-9, atol=0)
    from torchmetrics.functional.image import learned_perceptual_image_patch_similarity
    theirs = learned_perceptual_image_patch_similarity(pred / 255.0, true / 255.0, net_type="squeeze", normalize=True,
                                                       reduction="none")
    torch.testing.assert_close(distance, theirs.double(), rtol=1e-4, atol=0)       # theirs runs in float32
    with pytest.raises(ValueError, match="32 px"):
        learned_metrics.lpips(pred[..., :20], true[..., :20], net="squeeze")
