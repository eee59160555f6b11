"""Colour from infrared: its scores against the lines the field computes them with, its floors against plain least squares, and its tables."""
import numpy as np
import pytest
import torch

from colorlib import experiments, metrics, results, zoo
from colorlib.lab import luma_of
from colorlib.metrics import infrared_floors, infrared_scores
from colorlib.metrics.infrared_scores import angular_error
from colorlib.results import infrared_tables


def flat(*colors):
    """A picture with one pixel a colour, `(1, 3, 1, W)` uint8."""
    return torch.tensor(colors, dtype=torch.uint8).T[None, :, None]


def tiny_pair():
    """Two similar pictures (12, 16, 3) uint8, one pixel of the second black."""
    y, x = np.mgrid[:12, :16]
    true = np.stack([(x * 16 + y) % 256, (y * 20 + 7 * x) % 256, (x * y) % 256], -1).astype(np.uint8)
    pred = np.stack([(x * 15 + 3) % 256, (y * 18 + 5 * x + 20) % 256, (x * y + 30) % 256], -1).astype(np.uint8)
    true[0, 0] = 0
    return pred, true


def pairs(count=3, side=16, seed=0):
    """Samples whose colour depends on infrared by a noisy quadratic, another one a channel."""
    rng, samples = np.random.default_rng(seed), []
    for i in range(count):
        nir = rng.integers(0, 256, (1, side, side))
        x = nir / 255
        rgb = np.concatenate([0.2 + 0.6 * x ** 2, 0.8 * x, 0.5 - 0.4 * x]) * 255 + rng.normal(0, 8, (3, side, side))
        samples.append({"id": str(i), "nir": torch.from_numpy(nir.astype(np.uint8)), "rgb": torch.from_numpy(rgb.clip(0, 255).astype(np.uint8))})
    return samples


# ---------------------------------------------------------------- the angular error

def test_angles_by_hand():
    red, green, orange, black = (200, 0, 0), (0, 90, 0), (100, 100, 0), (0, 0, 0)
    assert angular_error(flat(red), flat(green)).item() == pytest.approx(90) and angular_error(flat(red), flat(orange)).item() == pytest.approx(45)
    assert angular_error(flat((20, 40, 60)), flat((80, 160, 240))).item() == pytest.approx(0, abs=1e-5)            # brightness is free
    assert angular_error(flat(red, red, black), flat(green, black, green)).item() == pytest.approx(90)             # one pixel counts
    assert angular_error(flat(black), flat(red)).isnan().all() and angular_error(flat(red), flat(black)).isnan().all()
    assert angular_error(flat(red, red), flat(red, black), legacy=True).item() == pytest.approx(45, abs=0.1)       # a black pixel scores 90


def test_the_challenges_numbers():
    """Computed once with the lines of the challenge's script, to its six digits; identical pictures score more than 0 there."""
    pred, true = tiny_pair()
    assert metrics.psnr(pred, true).item() == pytest.approx(16.240114, abs=2e-6)
    assert metrics.ssim(pred, true, "challenge").item() == pytest.approx(0.841727, abs=1e-6)
    assert angular_error(pred, true, legacy=True).item() == pytest.approx(13.845897, abs=2e-5)
    assert angular_error(true, true, legacy=True).item() == pytest.approx(0.605532, abs=1e-4) and angular_error(true, true).item() < 1e-5
    assert angular_error(pred, true).item() < 13.5                                                                 # without the black pixel


def test_legacy_reads_what_a_file_holds():
    pred, true = tiny_pair()
    as_floats = torch.from_numpy(pred / np.float32(255)).permute(2, 0, 1)[None]
    assert angular_error(as_floats, torch.from_numpy(true).permute(2, 0, 1)[None], legacy=True).item() == angular_error(pred, true, legacy=True).item()
    assert list(infrared_scores.score_pictures(pred, true)) == ["ae", "ae_legacy", "ssim_challenge"]


# ---------------------------------------------------------------- floors

def test_the_cubic_is_the_least_squares_of_all_pixels():
    train = pairs()
    x = np.concatenate([one["nir"].numpy().ravel() for one in train]) / 255
    y = np.concatenate([one["rgb"].numpy().reshape(3, -1) for one in train], 1) / 255
    expected = np.linalg.lstsq(np.stack([x ** power for power in range(4)], 1), y.T, rcond=None)[0]
    counts, sums = infrared_floors.count_levels(train)
    assert counts.sum() == x.size and sums.sum(0) == pytest.approx(y.sum(1))
    np.testing.assert_allclose(infrared_floors.fit_cubic(counts, sums), expected, atol=1e-9)
    nir = torch.linspace(0, 1, 5).view(1, 1, 1, 5)
    painted = infrared_floors.apply_cubic(expected, nir)
    assert painted[0, 1, 0].tolist() == pytest.approx([0, 0.2, 0.4, 0.6, 0.8], abs=0.02)                           # green is 0.8 x


def test_few_levels_are_no_trouble():
    one = {"nir": torch.full((1, 4, 4), 9, dtype=torch.uint8), "rgb": torch.full((3, 4, 4), 51, dtype=torch.uint8)}
    rows = infrared_floors.floors([one])
    assert rows["cubic fit"](torch.rand(1, 1, 2, 2), None).sub(0.2).abs().max() < 1e-6


def test_floors():
    train, tested = pairs(), pairs(2, seed=1)
    nir, true = (torch.stack([one[key] for one in tested]).float() / 255 for key in ("nir", "rgb"))
    rows = infrared_floors.floors(train)
    assert tuple(rows) == infrared_floors.ROWS and tuple(infrared_floors.floors()) == ("infrared copied", "oracle luminance")
    painted = {row: floor(nir, true) for row, floor in rows.items()}
    assert all(rgb.shape == true.shape and 0 <= rgb.min() and rgb.max() <= 1 for rgb in painted.values())
    error = {row: (rgb - true).square().mean().item() for row, rgb in painted.items()}
    assert error["cubic fit"] < 0.1 * error["mean colour"] and error["cubic fit"] < 0.1 * error["infrared copied"]
    assert error["oracle luminance, cubic colour"] < error["cubic fit"] and error["oracle luminance, cubic colour"] < error["oracle luminance"]
    mean = torch.stack([one["rgb"].float().mean((1, 2)) / 255 for one in train]).mean(0)
    assert (painted["mean colour"] - mean.view(1, 3, 1, 1)).abs().max() < 1e-6
    assert torch.equal(painted["oracle luminance"], luma_of(true).expand(-1, 3, -1, -1))
    inside = (painted["oracle luminance, cubic colour"] > 0).all(1) & (painted["oracle luminance, cubic colour"] < 1).all(1)
    assert (luma_of(painted["oracle luminance, cubic colour"]) - luma_of(true))[:, 0][inside].abs().max() < 1e-5   # luminance is told, colour is not
    assert set(infrared_floors.ROWS) <= set(results.TRIVIAL)
    for row in ("infrared copied", "mean colour", "cubic fit"):
        assert torch.equal(rows[row](nir, torch.rand_like(true)), painted[row])                                    # these never look at the truth


def test_evaluate_keeps_the_truth_from_methods():
    """A method sees infrared alone; the floors come first and are scored as saved pictures."""
    tested, seen = pairs(5, seed=2), []
    colorizer = lambda batch: seen.append(set(batch)) or batch["nir"].expand(-1, 3, -1, -1)
    scores = experiments.evaluate({"": colorizer}, tested, 16, batch_size=3, progress=False, sees="infrared", floors=infrared_floors.floors(pairs()))
    assert list(scores) == [*infrared_floors.ROWS, ""] and seen == [{"nir"}, {"nir"}]
    assert all(len(column) == 5 for columns in scores.values() for column in columns.values())
    assert scores[""]["ae"] == pytest.approx(scores["infrared copied"]["ae"], abs=0.05) and {"ae_legacy", "ssim_challenge"} <= set(scores[""])
    assert scores["oracle luminance"]["psnr"].mean() > scores["infrared copied"]["psnr"].mean()
    grey = experiments.evaluate({"": lambda batch: torch.zeros(len(batch["L"]), 2, 1, 1)}, tested, 16, progress=False)
    assert "ae" not in grey[""]                                                                                    # other tables keep their columns


# ---------------------------------------------------------------- tables

def test_published_numbers_stay_apart():
    """No published system is called like a method or a row of ours, or `results.table` would put both into one line."""
    published = results.read_published("infrared")
    ours = {name.lower() for name in (*(name for name, method in zoo.METHODS.items() if method.results == "infrared"), *results.TRIVIAL)}
    assert not {row["system"].lower() for row in published} & ours
    assert set(infrared_tables.OURS) <= {row["system"] for row in published} and set(infrared_tables.OURS.values()) <= set(zoo.METHODS)
    assert len([row for row in published if row["split"] in infrared_tables.SURVEY]) == 20


def append(method, dataset, variant="", **columns):
    results.append("infrared", {"method": method, "variant": variant, "size": "class", "dataset": dataset, "commit": "x", "device": "x"} | columns)


def test_survey_table(tmp_path, monkeypatch):
    monkeypatch.setenv("COLORLIB_RESULTS", str(tmp_path))
    assert infrared_tables.survey_table().splitlines()[2] == "| Conditional GAN | 5.77 | 5.96 | 0.84 | 0.86 |"
    append("asym_cyclegan", "a val", ae=7.123, ssim=0.5)
    append("pix2pix_infrared", "a val", ae=6, ssim=0.6, variant="as published")
    append("infrared copied", "b val", ae=9, ssim=0.25)
    head, _, *lines = infrared_tables.survey_table("class").splitlines()
    assert head.endswith("| AE ° (ours, a val) | SSIM (ours, a val) | AE ° (ours, b val) | SSIM (ours, b val) |")
    assert lines[4:] == ["| ACGAN; asym_cyclegan | 5.05 | 5.30 | 0.90 | 0.89 | 7.12 | 0.500 | — | — |",
                         "| infrared copied | — | — | — | — | — | — | 9.00 | 0.250 |",
                         "| pix2pix_infrared (as published) | — | — | — | — | 6.00 | 0.600 | — | — |"]
    assert infrared_tables.survey_table("class", datasets=("b val",)).splitlines()[-1] == "| infrared copied | — | — | — | — | 9.00 | 0.250 |"


def test_challenge_table(tmp_path, monkeypatch):
    monkeypatch.setenv("COLORLIB_RESULTS", str(tmp_path))
    append("unit", "datasets legacy", psnr=15, ssim_challenge=0.5, ae_legacy=6, ssim=0.7, ae=5)
    append("infrared copied", "datasets legacy", psnr=11, ssim_challenge=0.4, ae_legacy=6.5)
    append("unit", "datasets val", psnr=14)
    lines = infrared_tables.challenge_table().splitlines()
    assert lines[0] == "| system | PSNR ↑ | SSIM ↑ | AE ° ↓ | LPIPS ↓ | measured on |"
    assert lines[-2:] == ["| infrared copied | 11.00 | 0.400 | 6.50 | — | datasets legacy |", "| unit | 15.00 | 0.500 | 6.00 | — | datasets legacy |"]
    assert sum("(published)" in line for line in lines) == 9 and "| MCFNet | 20.34 | 0.61 | 3.79 | — |" in "\n".join(lines)


def test_columns_of_the_table(tmp_path, monkeypatch):
    monkeypatch.setenv("COLORLIB_RESULTS", str(tmp_path))
    append("unit", "a val", psnr=15, ae=6)
    assert experiments.table_metrics("infrared") == experiments.INFRARED_METRICS and len(experiments.INFRARED_METRICS) <= 8
    append("unit", "a val", psnr=15, ae=6, lpips=0.4)
    assert experiments.table_metrics("infrared")[-1] == "lpips"
    table = experiments.summary_table({"unit": {"psnr": 15.0, "ae": 6.0, "ae_legacy": 6.1}})
    assert "| AE ° ↓ |" in table and "AE °, challenge" in table and "L drift" not in table
