"""Welsh et al. 2002: each step against a plain computation, and what the method promises."""
from dataclasses import replace

import numpy as np
import pytest
import torch

from colorlib import lab, scenes, zoo
from colorlib.papers import welsh


def example(height=20, width=24, seed=0):
    """(L, reference Lab) of two unlike pictures."""
    random = np.random.default_rng(seed)
    reference = np.concatenate([random.uniform(10, 90, (17, 13, 1)), random.uniform(-50, 50, (17, 13, 2))], -1)
    return random.uniform(20, 70, (height, width)), reference


def test_luminance_remapping():
    L, reference = example()
    mapped = welsh.remap_luminance(reference[..., 0], L)
    assert (mapped.mean(), mapped.std()) == pytest.approx((L.mean(), L.std()))
    assert np.corrcoef(mapped.ravel(), reference[..., 0].ravel())[0, 1] == pytest.approx(1)
    assert welsh.remap_luminance(np.full((4, 4), 30.0), L) == pytest.approx(np.full((4, 4), L.mean()))


def test_deviation_is_the_windows_own():
    L, _ = example()
    found, padded = welsh.deviation(L, 5), np.pad(L, 2, mode="symmetric")
    expected = [[padded[y:y + 5, x:x + 5].std() for x in range(L.shape[1])] for y in range(L.shape[0])]
    assert found == pytest.approx(np.array(expected), abs=1e-9)
    assert welsh.deviation(np.full((3, 2), 70.0)) == pytest.approx(np.zeros((3, 2)))


@pytest.mark.parametrize("shape", [(64, 64), (40, 160), (224, 224), (5, 3), (1, 50)])
def test_jittered_samples_lie_one_in_each_cell(shape):
    chosen = welsh.jitter(*shape, 200)
    assert len(set(chosen)) > 0.97 * len(chosen) or shape[0] * shape[1] < 300       # cells that end inside a pixel may share it
    assert chosen.min() >= 0 and chosen.max() < shape[0] * shape[1] and abs(len(chosen) - min(200, shape[0] * shape[1])) <= 20
    rows = round(np.sqrt(200 * shape[0] / shape[1]))
    if shape[0] >= 40:
        assert np.array_equal(np.unique((chosen // shape[1]) * rows // shape[0]), np.arange(rows))
    assert np.array_equal(chosen, welsh.jitter(*shape, 200)) and (shape[0] < 40 or not np.array_equal(chosen, welsh.jitter(*shape, 200, seed=1)))


@pytest.mark.parametrize("config", [welsh.SAMPLED, welsh.EVERY_PIXEL, replace(welsh.EVERY_PIXEL, luminance_weight=1.0)], ids=["sampled", "every", "L only"])
def test_each_pixel_takes_the_nearest_color(config):
    L, reference = example()
    mapped = welsh.remap_luminance(reference[..., 0], L)
    chosen = welsh.jitter(17, 13, config.samples, config.seed) if config.samples else np.arange(17 * 13)
    w, spread, mine = config.luminance_weight, welsh.deviation(mapped).ravel()[chosen], welsh.deviation(L)
    distance = w * np.abs(L[..., None] - mapped.ravel()[chosen]) + (1 - w) * np.abs(mine[..., None] - spread)
    expected = reference.reshape(-1, 3)[chosen][distance.argmin(-1)][..., 1:]
    assert welsh.transfer_colors(L, reference, config) == pytest.approx(expected)


def test_global_statistics_are_the_conditional_mean():
    L, reference = example()
    pixels = reference.reshape(-1, 3)
    own = welsh.transfer_statistics(reference[..., 0], reference)                 # on itself: ordinary least squares of a and b on L
    line = np.linalg.lstsq(np.stack([np.ones(len(pixels)), pixels[:, 0]], 1), pixels[:, 1:], rcond=None)[0]
    assert own.reshape(-1, 2) == pytest.approx(line[0] + pixels[:, :1] * line[1])
    assert welsh.transfer_statistics(L, reference).mean((0, 1)) == pytest.approx(pixels[:, 1:].mean(0))
    even = np.broadcast_to(np.array([50.0, 20, -10]), (4, 4, 3))
    assert welsh.transfer_statistics(L, even) == pytest.approx(np.broadcast_to((20, -10), (*L.shape, 2)))


def test_global_histogram_copies_the_palette():
    L, reference = example()
    ab = welsh.transfer_histogram(reference[..., 0] ** 2, reference)                         # as many pixels, in the same order of L
    assert np.array_equal(ab, reference[..., 1:])
    ab = welsh.transfer_histogram(L, reference)                                              # 480 pixels from 221: each is used twice or three times
    assert ab.shape == (*L.shape, 2) and ab.dtype == reference.dtype
    colors, counts = np.unique(ab.reshape(-1, 2), axis=0, return_counts=True)
    assert np.array_equal(colors, np.unique(reference[..., 1:].reshape(-1, 2), axis=0)) and set(counts) == {2, 3}
    rank = {tuple(color): i for i, color in enumerate(reference.reshape(-1, 3)[reference[..., 0].argsort(axis=None)][:, 1:])}
    assert np.all(np.diff([rank[tuple(color)] for color in ab.reshape(-1, 2)[L.argsort(axis=None)]]) >= 0)      # darker pixels take darker ones' colours
    few = welsh.transfer_histogram(L[:1, :3], reference)
    assert [rank[tuple(color)] for color in few[0][L[0, :3].argsort()]] == [36, 110, 184]   # the middles of three thirds


def test_a_picture_from_itself_is_nearly_itself():
    rgb = torch.from_numpy(scenes.make_scene(5, 64).rgb).permute(2, 0, 1)[None]
    true = lab.rgb_to_lab(rgb)
    rows = {name: (colorizer({"L": true[:, :1], "reference": rgb}) - true[:, 1:]).norm(dim=1).mean().item()
            for name, colorizer in welsh.variants(welsh.build()).items()}
    grey = true[:, 1:].norm(dim=1).mean().item()
    assert rows["every pixel"] < rows[""] < grey and rows["every pixel"] < 0.3 * grey and rows["global statistics"] < grey


def test_any_batch_any_sizes_same_answer_again():
    L = torch.rand(2, 1, 30, 41) * 100
    reference = torch.randint(0, 256, (2, 3, 25, 19), dtype=torch.uint8)
    model = welsh.build(welsh.PRESETS["smoke"])
    ab = welsh.colorize(model, {"L": L, "reference": reference})
    assert ab.shape == (2, 2, 30, 41) and ab.dtype == torch.float32 and torch.equal(ab, welsh.colorize(model, {"L": L, "reference": reference}))
    assert (welsh.colorize(model, {"L": L, "reference": reference / 255}) - ab).abs().max() < 0.01
    single = welsh.colorize(model, {"L": L[1:], "reference": reference[1:]})
    assert torch.equal(single, ab[1:])
    assert torch.isfinite(welsh.colorize(model, {"L": torch.full((1, 1, 2, 3), 50.0), "reference": reference[:1, :, :1, :1]})).all()


def test_refuses():
    model = welsh.build()
    with pytest.raises(ValueError, match="one for each picture"):
        model(torch.zeros(2, 1, 8, 8), torch.zeros(1, 3, 8, 8))
    with pytest.raises(ValueError, match="one for each picture"):
        model(torch.zeros(1, 1, 8, 8), torch.zeros(1, 1, 8, 8))
    with pytest.raises(ValueError, match="window 0"):
        welsh.build(replace(welsh.SAMPLED, window=0))
    with pytest.raises(ValueError, match="learns nothing"):
        welsh.make_step(welsh.SAMPLED, None, None)


def test_it_fits_the_catalogue():
    row = zoo.get("welsh")
    assert row.conditions == ("reference",) and row.results == "references" and not row.learns
    assert set(row.presets) == {"smoke", "class", "paper"} and row.papers.networks(row.presets["paper"]) == {}
    assert (welsh.SAMPLED.samples, welsh.SAMPLED.window, welsh.SAMPLED.luminance_weight) == (200, 5, 0.5)
