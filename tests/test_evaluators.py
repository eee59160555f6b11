"""The two evaluators: each number worked out by hand or with another library; folders, a method, the command line."""
import cv2
import numpy as np
import pytest
import scipy.linalg
import torch
import torchvision
from PIL import Image
from skimage.metrics import structural_similarity

from colorlib import __main__ as cli
from colorlib import data, experiments, metrics, pretrained, results
from colorlib.experiments import evaluation, evaluators
from colorlib.metrics import learned_metrics
from colorlib.papers import koalarization
from tests.data_samples import colorful, empty_workshop, fill, noisy_photos, save

TINY = koalarization.PRESETS["smoke"]


@pytest.fixture(autouse=True)
def no_weights(tmp_path, monkeypatch):
    """A machine with no cached weights, whatever lies on this one."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))


@pytest.fixture
def workshop(tmp_path, monkeypatch):
    whole = data.SceneSet
    monkeypatch.setattr(data, "SceneSet", lambda count, **options: whole(min(count, 8), **options))      # 2000 for the mean colour, otherwise
    monkeypatch.setattr(evaluation, "mean_ab", lambda dataset: torch.tensor([3.0, 8.0]))
    return empty_workshop(tmp_path, monkeypatch)


# ---------------------------------------------------------------- pictures

@pytest.mark.parametrize("height, width", [(300, 411), (411, 300), (301, 300)])
def test_the_crop_is_torchvisions(height, width):
    """CT2's own transform on a PIL picture, odd borders included."""
    rgb = colorful(0, height, width)
    transform = torchvision.transforms.Compose([torchvision.transforms.CenterCrop(min(height, width)), torchvision.transforms.Resize(256)])
    np.testing.assert_array_equal(evaluators.fit_legacy(rgb), np.asarray(transform(Image.fromarray(rgb))))


def test_squash_and_kernels():
    rgb = colorful(1, 300, 411)
    np.testing.assert_array_equal(evaluators.fit_legacy(rgb, "squash", "cv2 bilinear"), cv2.resize(rgb, (256, 256)))
    found = [evaluators.fit_legacy(rgb, geometry, kernel) for geometry in evaluators.GEOMETRIES for kernel in evaluators.KERNELS]
    assert {one.shape for one in found} == {(256, 256, 3)} and len({one.tobytes() for one in found}) == len(found)      # no two alike
    done = colorful(2, 256, 256)
    assert all(np.array_equal(evaluators.fit_legacy(done, geometry, kernel), done) for geometry in evaluators.GEOMETRIES for kernel in evaluators.KERNELS)
    with pytest.raises(ValueError, match="kernel one of pil bilinear, .* not 'crop' and 'magic'"):
        evaluators.fit_legacy(rgb, kernel="magic")


# ---------------------------------------------------------------- scores

def test_legacy_by_hand():
    pred, true = noisy_photos()
    summary = evaluators.score_pairs(zip(pred, true), "legacy", progress=False)
    pictures = [(p.permute(1, 2, 0).numpy(), t.permute(1, 2, 0).numpy()) for p, t in zip(pred, true)]
    assert summary["ssim_ct2"] == pytest.approx(np.mean([structural_similarity(t, p, data_range=225, channel_axis=-1) for p, t in pictures]))

    def absolute(picture):
        red, green, blue = picture.astype(float).transpose(2, 0, 1)
        rg, yb = np.abs(red - green), np.abs((red + green) / 2 - blue)
        return np.sqrt(rg.std() ** 2 + yb.std() ** 2) + 0.3 * np.sqrt(rg.mean() ** 2 + yb.mean() ** 2)
    own, theirs = (np.mean([absolute(pair[side]) for pair in pictures]) for side in (0, 1))
    assert (summary["colorfulness_abs"], summary["colorfulness_abs_gap"]) == pytest.approx((own, abs(own - theirs)))
    assert summary["n"] == 2 and not {"lpips_vgg", "fid_ct2", "psnr_pooled", "l_drift"} & set(summary)
    assert evaluators.missing("legacy").startswith("Left out") and "LPIPS (vgg16-397923af.pth), FID (inception_v3_google" in evaluators.missing("legacy")
    assert "LPIPS (alexnet-owt-7be5be79.pth), FID and KID (weights-inception-" in evaluators.missing("standard")


def test_the_legacy_gap_hides_what_the_standard_one_shows():
    """One picture too dull and one as much too gaudy: the means agree."""
    dull, gaudy = np.full((16, 16, 3), (140, 120, 120), np.uint8), np.full((16, 16, 3), (180, 120, 120), np.uint8)
    pairs = [(dull, gaudy), (gaudy, dull)]
    assert evaluators.score_pairs(pairs, "legacy", progress=False)["colorfulness_abs_gap"] == pytest.approx(0)
    found = evaluators.score_pairs(pairs, "standard", progress=False)
    assert found["colorfulness_gap_of_means"] == pytest.approx(0) and found["colorfulness_gap"] > 5


def test_standard_by_hand():
    pred, true = noisy_photos()
    summary = evaluators.score_pairs(zip(pred, true), progress=False)
    assert summary["ssim"] == pytest.approx(metrics.ssim(pred, true).mean().item())
    assert summary["colorfulness_gap"] == pytest.approx((metrics.colorfulness(pred) - metrics.colorfulness(true)).abs().mean().item())
    assert (summary["psnr_low"], summary["psnr_high"]) == metrics.bootstrap_ci(metrics.psnr(pred, true))
    assert summary["psnr_low"] <= summary["psnr"] <= summary["psnr_high"] and summary["psnr_pooled"] <= summary["psnr"]
    same = evaluators.score_pairs([(one, one) for one in true], progress=False)
    assert same["psnr"] == float("inf") and "psnr_low" not in same and same["ssim_low"] == same["ssim_high"] == 1 and same["l_drift"] == 0
    with pytest.raises(ValueError, match="no pictures"):
        evaluators.score_pairs([], progress=False)
    with pytest.raises(ValueError, match="one of legacy, standard"):
        evaluators.Tally("fair")


# ---------------------------------------------------------------- FID

def test_fid_is_the_matrix_square_roots():
    random = np.random.default_rng(0)
    x, y = random.normal(size=(60, 8)), random.normal(size=(50, 8)) @ random.normal(size=(8, 8)) + 0.3
    moments = [(z.mean(0), np.cov(z, rowvar=False)) for z in (x, y)]
    (m, S), (n, T) = moments
    expected = ((m - n) ** 2).sum() + np.trace(S + T - 2 * scipy.linalg.sqrtm(S @ T).real)
    assert learned_metrics.fid_of_features(torch.from_numpy(x), torch.from_numpy(y)) == pytest.approx(expected, rel=1e-9)


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """Random weights of torchvision's Inception where its own would lie; returns the file."""
    torch.manual_seed(0)
    network = torchvision.models.inception_v3(weights=None, init_weights=False)
    path = tmp_path / "torch" / "hub" / "checkpoints" / learned_metrics.LEGACY_INCEPTION[0]
    path.parent.mkdir(parents=True)
    torch.save(network.state_dict(), path)
    monkeypatch.setattr(pretrained, "sum_of", lambda path: None)      # these do not have the sum of those they stand for
    learned_metrics._legacy_inception.cache_clear()
    return path


def test_legacy_inception_from_a_file(hub):
    networks = learned_metrics.legacy_inception()
    assert learned_metrics.legacy_inception_path() == hub and "FID" not in evaluators.missing("legacy")
    rgb = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    features = {name: learned_metrics.extract_features(network, rgb) for name, network in networks.items()}
    assert all(values.shape == (2, 2048) for values in features.values()) and not torch.allclose(*features.values())
    network = torchvision.models.inception_v3(weights=None, init_weights=False, transform_input=False)
    network.load_state_dict(torch.load(hub, weights_only=True))
    pooled = {}
    network.avgpool.register_forward_hook(lambda module, given, answer: pooled.update(pool3=answer.flatten(1)))
    with torch.no_grad():
        network.eval()(networks["ct2"].prepare(rgb))
    torch.testing.assert_close(features["ct2"], pooled["pool3"].double(), rtol=1e-4, atol=1e-6)
    tally = evaluators.Tally("legacy")
    tally.add([one.numpy().transpose(1, 2, 0) for one in rgb], [one.numpy().transpose(1, 2, 0) for one in rgb])
    assert all(len(side[0]) == 2 for name in ("fid_ct2", "fid_ddcolor") for side in tally.features[name])


@pytest.mark.parametrize("input, low, high", [("ct2", -0.03, 0.428), ("ddcolor", 0.199, 0.428)])
def test_what_inception_is_shown(input, low, high):
    """Black and white on the red channel; the network was trained on -1 and 1."""
    network = learned_metrics.LegacyInception(torch.nn.Identity(), input)
    shown = network.prepare(torch.tensor([0.0, 1.0]).view(2, 1, 1, 1).expand(2, 3, 8, 8))
    assert shown.shape == (2, 3, 299, 299) and shown[:, 0, 5, 5].tolist() == pytest.approx([low, high], abs=1e-3)


def test_fid_in_a_tally(monkeypatch):
    """With a stand-in of three features, the legacy distances appear beside the rest."""
    stand_in = torch.nn.Sequential(torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten())
    monkeypatch.setattr(evaluators, "feature_networks", lambda protocol: {"fid": stand_in} if protocol == "standard" else {"fid_ct2": stand_in})
    pairs = [(colorful(i, 20, 20), colorful(i + 9, 20, 20)) for i in range(6)]
    pred, true = (torch.from_numpy(np.stack([pair[side] for pair in pairs])).permute(0, 3, 1, 2) for side in (0, 1))
    assert evaluators.score_pairs(pairs, "legacy", progress=False)["fid_ct2"] == pytest.approx(learned_metrics.fid(pred, true, stand_in), rel=1e-4)
    found = evaluators.score_pairs(pairs, "standard", progress=False)
    assert found["fid"] > 0 and found["kid"] == pytest.approx(learned_metrics.kid(pred, true, stand_in)[0], rel=1e-4)
    alike = evaluators.score_pairs([(t, t) for _, t in pairs], "legacy", progress=False)["fid_ct2"]
    assert alike == pytest.approx(0, abs=1e-6)


def test_a_file_of_another_network(tmp_path):
    path = tmp_path / "other.pth"
    torch.save({"layer.weight": torch.zeros(3)}, path)
    with pytest.raises(FileNotFoundError, match="The FID of CT2 and DDColor needs? the weights .*inception_v3"):
        learned_metrics.legacy_inception(path)


# ---------------------------------------------------------------- folders

def test_folders_are_matched_by_stem(tmp_path):
    true = fill(tmp_path / "true", "a.png", "b.png", height=40, width=60)
    save(tmp_path / "pred" / "a_colorized.png", colorful(0, 40, 60))
    save(tmp_path / "pred" / "fake_b.png", np.full((40, 60, 3), 128, np.uint8))
    summary = evaluators.score_folders(tmp_path / "pred", true, progress=False)
    assert summary["n"] == 2 and summary["psnr"] == float("inf")
    legacy = evaluators.score_folders(tmp_path / "pred", true, "legacy", "squash", "cv2 area", progress=False)
    square = [cv2.resize(colorful(i, 40, 60), (256, 256), interpolation=cv2.INTER_AREA) for i in range(2)]
    assert legacy["colorfulness_abs_true"] == pytest.approx(metrics.colorfulness(square, signed=False).mean().item())
    save(tmp_path / "pred" / "fake_b.png", colorful(1, 20, 30))
    with pytest.raises(ValueError, match="fake_b.png is 30 x 20 px but .*b.png is 60 x 40"):
        evaluators.score_folders(tmp_path / "pred", true, progress=False)
    save(true / "c.png", colorful(2))
    with pytest.raises(ValueError, match="1 pictures of .*true have no partner in .*pred, the first is c.png"):
        evaluators.match_folders(tmp_path / "pred", true)
    save(true / "c.jpg", colorful(3))
    with pytest.raises(ValueError, match="have one stem, 'c'"):
        evaluators.match_folders(true, true)
    with pytest.raises(ValueError, match="is not a folder"):
        evaluators.match_folders(tmp_path / "absent", true)
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="empty holds no pictures"):
        evaluators.match_folders(tmp_path / "empty", true)


# ---------------------------------------------------------------- methods and commands

@pytest.fixture
def model():
    torch.manual_seed(0)
    return koalarization.build(TINY).eval()


def test_a_method_under_both(workshop, model):
    for protocol in evaluators.EVALUATORS:
        summaries = evaluators.measure_method("koalarization", protocol, "smoke", model=model, limit=3, device="cpu", progress=False)
        assert list(summaries) == ["grey", "mean colour", "koalarization"]
        again = evaluators.measure_method("koalarization", protocol, "smoke", model=model, limit=3, device="cpu", progress=False)
        assert again["grey"]["psnr"] == pytest.approx(summaries["grey"]["psnr"])
        assert [row["method"] for row in results.read(protocol)] == ["grey", "mean colour", "koalarization", "koalarization"]      # grey is not measured twice
        assert {row["protocol"] for row in results.read(protocol)} == {"squares of 64 px"}
        assert "| koalarization | squares of 64 px | 3 |" in evaluators.table(protocol, "smoke")
    row, = results.latest("standard", method="koalarization")
    usual = experiments.evaluate_method("koalarization", "smoke", model=model, limit=3, device="cpu", write=False, progress=False)
    first = next(values for name, values in usual.items() if name not in results.TRIVIAL)
    assert row["de2000"] == pytest.approx(first["de2000"], rel=1e-5) and row["psnr_low"] < row["psnr"] < row["psnr_high"]


def test_a_folder_is_measured_as_the_protocol_says(workshop, model):
    folder = fill(workshop / "photos", *(f"{i}.png" for i in range(3)), height=90, width=120)
    save(folder / "grey.png", np.full((90, 120, 3), 90, np.uint8))
    summaries = evaluators.measure_method("koalarization", "legacy", "smoke", folder, model=model, device="cpu", progress=False, geometry="squash")
    assert results.read("legacy")[-1]["protocol"] == "squash, pil bilinear, 256 px" and summaries["koalarization"]["n"] == 4      # the grey one counts
    square = [evaluators.fit_legacy(colorful(i, 90, 120), "squash") for i in range(3)] + [np.full((256, 256, 3), 90, np.uint8)]
    assert summaries["grey"]["colorfulness_abs_true"] == pytest.approx(metrics.colorfulness(square, signed=False).mean().item())


def test_the_command_line(workshop, model, capsys, monkeypatch):
    monkeypatch.setattr(evaluators.zoo, "load", lambda *_, **__: model)
    assert cli.main(["evaluate", "koalarization", "--protocol", "standard", "--limit", "2", "--dry-run"]) == 0
    out = capsys.readouterr().out
    assert "| koalarization |" in out and "95 % of 2 pictures: psnr " in out and "Left out" in out and not results.read("standard")
    true = fill(workshop / "true", "a.png", "b.png", height=40, width=60)
    assert cli.main(["score", str(true), str(true), "--protocol", "legacy"]) == 0 and "CF, absolute" in capsys.readouterr().out
    for arguments, sentence in ((["evaluate", "koalarization", "--protocol", "legacy", "--published"], "one at a time"),
                                (["evaluate", "unet_infrared", "--protocol", "legacy"], "does not paint single grey pictures"),
                                (["score", str(true), str(workshop / "absent")], "is not a folder")):
        assert cli.main(arguments) == 1 and sentence in capsys.readouterr().err
