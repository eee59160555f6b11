"""Levin et al. 2004 against a dense solve written straight from the equations, and against what the paper promises."""
import time
from dataclasses import replace

import numpy as np
import pytest
import torch

from colorlib import lab, train
from colorlib.papers import levin


def dense_solve(Y, ab_hint, mask, all_pixels=False):
    """The same answer pixel by pixel: no sparse matrix, no order of elimination, no shared code."""
    height, width = Y.shape
    A = np.eye(Y.size)
    for y in range(height):
        for x in range(width):
            near = [(j, i) for j in range(max(0, y - 1), min(height, y + 2)) for i in range(max(0, x - 1), min(width, x + 2)) if (j, i) != (y, x)]
            values = np.array([Y[place] for place in near])
            square = (values - Y[y, x]) ** 2
            spread = max(0.6 * np.append(values, Y[y, x]).var(), -square.min() / np.log(0.01), 2e-6)
            weight = np.exp(-square / spread)
            for (j, i), w in zip(near, weight / weight.sum()):
                A[y * width + x, j * width + i] = -w
    known, rows = mask.ravel(), slice(None) if all_pixels else ~mask.ravel()
    ab = np.where(mask, ab_hint, 0).reshape(2, -1)
    right = -A[rows][:, known] @ ab[:, known].T
    ab[:, ~known] = np.linalg.lstsq(A[rows][:, ~known], right, rcond=None)[0].T
    return ab.reshape(ab_hint.shape)


def example(height=9, width=7, hints=6, seed=0):
    random = np.random.default_rng(seed)
    mask = np.zeros(height * width, bool)
    mask[random.permutation(mask.size)[:hints]] = True
    return random.uniform(0, 100, (height, width)), random.uniform(-60, 60, (2, height, width)), mask.reshape(height, width)


@pytest.mark.parametrize("shape", [(9, 7), (1, 12), (12, 1), (2, 2), (17, 23)])
@pytest.mark.parametrize("hints", [1, 2, 3])
@pytest.mark.parametrize("all_pixels", [False, True], ids=["free pixels", "all pixels"])
def test_equals_a_dense_solve(shape, hints, all_pixels):
    L, ab, mask = example(*shape, hints=hints)
    config = levin.LEAST_SQUARES if all_pixels else levin.RELEASED
    expected = dense_solve(levin.brightness(L), ab, mask, all_pixels)
    assert levin.solve(L, ab, mask, config) == pytest.approx(expected, abs=1e-3, rel=1e-5)


def test_weights():
    Y = levin.brightness(example(5, 6)[0])
    weight = levin.neighbour_weights(Y)
    assert weight.shape == (8, 5, 6) and weight.sum(0) == pytest.approx(np.ones((5, 6)))
    corner = weight[:, 0, 0]
    assert [offset for offset, w in zip(levin.NEIGHBOURS, corner) if w] == [(0, 1), (1, 0), (1, 1)]
    assert levin.neighbour_weights(np.full((3, 3), 0.3))[:, 1, 1] == pytest.approx(np.full(8, 1 / 8))
    step = np.array([[0.0, 0.0, 1.0]] * 3)
    across = sum(levin.neighbour_weights(step)[levin.NEIGHBOURS.index((dy, 1)), 1, 1] for dy in (-1, 0, 1))
    variance = 2 / 9
    assert across == pytest.approx(3 * np.exp(-1 / (0.6 * variance)) / (5 + 3 * np.exp(-1 / (0.6 * variance))))


def test_brightness_is_the_grey_level_of_the_file():
    grey = np.arange(256, dtype=np.uint8)[None, :, None].repeat(3, 2)
    assert levin.brightness(lab.rgb_to_lab(grey)[..., 0])[0] == pytest.approx(np.arange(256) / 255, abs=1e-4)


def test_elimination_order_is_a_permutation():
    for shape, separator in [((1, 1), 1), ((1, 40), 2), ((33, 5), 1), ((64, 48), 2)]:
        assert sorted(levin.elimination_order(*shape, separator)) == list(range(shape[0] * shape[1]))


def test_one_hint_colours_everything_and_none_leaves_grey():
    L, ab, mask = example(hints=1)
    assert np.array_equal(levin.solve(L, ab, mask), np.broadcast_to(ab[:, mask].astype(np.float32)[..., None], ab.shape))
    assert not levin.solve(L, ab, np.zeros_like(mask)).any()


def test_hints_stay_and_bound_the_rest():
    L, ab, mask = example(40, 30, hints=25)
    result = levin.solve(L, ab, mask)
    assert np.array_equal(result[:, mask], ab[:, mask].astype(np.float32)) and result.dtype == np.float32
    for channel, hints in zip(result, ab[:, mask]):
        assert channel.min() >= np.float32(hints.min()) and channel.max() <= np.float32(hints.max())
    other = np.where(mask, ab, np.nan)                                     # nothing but the hints is read
    assert np.array_equal(levin.solve(L, other, mask), result)
    assert np.array_equal(levin.solve(L, ab, np.ones_like(mask)), ab.astype(np.float32))


def test_colours_stop_at_edges_and_fill_what_has_no_hint():
    """Two flat regions, and a disc between them that nobody coloured."""
    y, x = np.mgrid[:40, :60]
    L = np.where(x < 30, 30.0, 70.0)
    L[(y - 20) ** 2 + (x - 30) ** 2 < 50] = 95
    mask, ab = np.zeros((40, 60), bool), np.zeros((2, 40, 60))
    mask[5, 5] = mask[35, 55] = True
    ab[:, 5, 5], ab[:, 35, 55] = (40, 20), (-30, 25)
    result = levin.solve(L, ab, mask)
    assert np.abs(result[:, 30:, :20] - np.array([40, 20])[:, None, None]).max() < 10
    assert np.abs(result[:, :10, 40:] - np.array([-30, 25])[:, None, None]).max() < 10
    assert (-25 < result[0, 20, 30] < 35) and abs(result[1, 20, 30]) > 15      # coloured by its neighbours, not grey
    mask[20, 30] = True                                                    # a grey hint keeps it grey
    kept = levin.solve(L, ab, mask)
    assert np.abs(kept[:, 18:23, 28:33]).max() < 10 and np.abs(kept[:, 35, 5] - (40, 20)).max() < 10


def test_a_flat_picture():
    mask, ab = np.zeros((30, 30), bool), np.zeros((2, 30, 30))
    mask[3, 3] = mask[26, 26] = True
    ab[:, 3, 3], ab[:, 26, 26] = 50, -50
    result = levin.solve(np.full((30, 30), 40.0), ab, mask)
    assert result == pytest.approx(-result[:, ::-1, ::-1], abs=1e-4) and 40 > result[0, 5, 5] > result[0, 10, 10] > 0


def test_it_is_fast_enough_for_thousands():
    L, ab, mask = example(224, 224, hints=250)
    levin.solve(L, ab, mask)
    start = time.perf_counter()
    levin.solve(L, ab, mask)
    assert time.perf_counter() - start < 2      # 0.1 s on one idle core; SuperLU's own minimum degree order needs 6 s here


def test_bad_input():
    L, ab, mask = example()
    for arguments, message in [((L[0], ab, mask), r"must be \(H, W\)"), ((L, ab[:1], mask), "ab_hint"), ((L, ab, mask[:2]), "mask"),
                               ((L[:0], ab[:, :0], mask[:0]), "must be"), ((np.where(mask, np.nan, L), ab, mask), "finite"),
                               ((L, ab * np.inf, mask), "finite")]:
        with pytest.raises(ValueError, match=message):
            levin.solve(*arguments)
    with pytest.raises(ValueError, match="free pixels, all pixels"):
        levin.solve(L, ab, mask, replace(levin.RELEASED, objective="some pixels"))


def test_as_a_method():
    model = levin.build(levin.PRESETS["class"])
    assert sum(p.numel() for p in model.parameters()) == 0 and next(model.parameters()).device.type == "cpu" and levin.networks(model.config) == {}
    L, ab, mask = (torch.from_numpy(np.stack(one)) for one in zip(example(seed=1), example(seed=2)))
    batch = {"L": L[:, None].float(), "hint_ab": ab.float(), "hint_mask": mask[:, None].float()}
    result = levin.colorize(model, batch)
    assert result.shape == (2, 2, 9, 7) and result.dtype == torch.float32
    assert np.allclose(result[1].numpy(), levin.solve(*example(seed=2)), atol=1e-3)
    assert not levin.colorize(model, {"L": batch["L"]}).any()
    rows = levin.variants(model)
    assert torch.equal(rows[""](batch), result) and not torch.allclose(rows["sum over all pixels"](batch), result)
    for size in [(1, 1), (1, 5), (3, 1)]:
        one = {"L": torch.rand(1, 1, *size) * 100, "hint_ab": torch.full((1, 2, *size), 9.0), "hint_mask": torch.ones(1, 1, *size)}
        assert bool((levin.colorize(model, one) == 9).all())
    with pytest.raises(ValueError, match="learns nothing"):
        levin.make_step(model.config, train.make_fabric("cpu"), None)
