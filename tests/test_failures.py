"""The miners on pictures whose failure is known: a blue school bus, an edge of colour beside its edge of lightness, a background that spills."""
import numpy as np
import pytest
import torch

from colorlib import lab, scenes
from colorlib.metrics import failures
from colorlib.data import SceneSet

YELLOW, BLUE, GREEN, GREY = (76.0, 10.0, 70.0), (50.0, 10.0, -50.0), (60.0, -50.0, 45.0), (60.0, 0.0, 0.0)


def flat(color, size=32):
    """A picture of one Lab colour, float in [0, 1]."""
    return lab.lab_to_rgb(np.broadcast_to(np.float64(color), (size, size, 3)).copy())


def two(inside, outside, size=32):
    """(a square of one Lab colour on another, its mask)"""
    mask = np.zeros((size, size), bool)
    mask[8:24, 8:24] = True
    return np.where(mask[..., None], flat(inside, size), flat(outside, size)), mask


def sample(color, label, size=32):
    rgb, mask = two(color, GREY, size)
    rgb = torch.from_numpy((rgb * 255).round().astype(np.uint8)).permute(2, 0, 1)
    return {"rgb": rgb, "label": label, "mask": torch.from_numpy(mask)[None].byte(), "id": "x"}


# ---------------------------------------------------------------- semantic confusion

def test_a_blue_bus_among_yellow_ones():
    colors = failures.learn_colors([sample(YELLOW, 0), sample(BLUE, 2)])
    half, mask = two(YELLOW, GREEN)
    half[8:16] = flat(BLUE)[8:16]
    pred = [two(color, GREEN)[0] for color in (YELLOW, BLUE, GREY)] + [half]
    share = failures.semantic_confusion(pred, [mask] * 4, [0] * 4, colors)
    assert share.dtype == np.float64 and share == pytest.approx([0, 1, 0, 0.5])
    strength = failures.confusion_strength(pred, [mask] * 4, [0] * 4, colors)
    assert strength == pytest.approx([0, 104, 0, 52], abs=6)       # they are 120 apart in ab, and smoothing makes the class some 15 wide
    assert failures.semantic_confusion(pred[:2], [mask] * 2, [2] * 2, colors) == pytest.approx([1, 0])


def test_what_is_undefined_is_nan():
    colors = failures.learn_colors([sample(YELLOW, 0), sample(BLUE, 2)])
    pred, mask = two(BLUE, GREEN)
    share = failures.semantic_confusion([pred] * 4, [mask, mask, np.zeros_like(mask), mask], [1, 7, 0, 0], colors)
    assert np.isnan(share[:3]).all() and share[3] == 1


def test_the_region_holds_95_percent_and_little_else():
    random = np.random.default_rng(0)
    histogram = np.zeros((failures.CELLS, failures.CELLS), int)
    cells = failures._cells(random.normal((20, -30), 15, (100_000, 2)))
    np.add.at(histogram, tuple(cells.T), 1)
    region = failures._region(histogram)
    assert 0.95 < histogram[region].sum() / histogram.sum() < 0.975
    area, normal = region.sum() * failures.BIN ** 2, -2 * np.log(0.05) * np.pi * (15 ** 2 + failures.BIN ** 2)      # of the 95 % ellipse
    assert area == pytest.approx(normal, rel=0.1)


def test_scenes_with_a_foreign_color():
    """The same scenes with a blue bus, frog or strawberry: every one is found, and hardly a pixel of the true ones."""
    classes = ("school bus", "frog", "strawberry")
    train = [{"rgb": torch.from_numpy(one.rgb).permute(2, 0, 1), "label": one.label, "mask": torch.from_numpy(one.masks[:1])}
             for one in (scenes.make_scene(seed, 48, name) for name in classes for seed in range(12))]
    colors = failures.learn_colors(train)
    true = [scenes.make_scene(100 + seed, 48, name) for name in classes for seed in range(4)]
    wrong = [scenes.make_scene(one.seed, 48, one.name, color="blue") for one in true]
    masks, labels = [one.masks[0] for one in true], [one.label for one in true]
    found = failures.semantic_confusion([one.rgb for one in wrong], masks, labels, colors)
    own = failures.semantic_confusion([one.rgb for one in true], masks, labels, colors)
    assert own.max() < 0.15 and found.mean() > 0.5 and (found > own + 0.1).all()
    strength = failures.confusion_strength([one.rgb for one in true + wrong], masks * 2, labels * 2, colors)
    assert set(failures.find_worst(strength, len(wrong))) == set(range(len(true), 2 * len(true)))


def test_learning_takes_the_object_from_mask_or_saliency(tmp_path, monkeypatch):
    monkeypatch.setenv("COLORLIB_CACHE", str(tmp_path))
    one = sample(YELLOW, 0)
    salient = {key: value for key, value in one.items() if key != "mask"} | {"saliency": one["mask"] * 200}
    assert np.allclose(failures.learn_colors([one]).distance, failures.learn_colors([salient]).distance)      # its last bits depend on threads
    assert failures.learn_colors([one]).distance[0][tuple(failures._cells(np.zeros(2)))] > 40       # the grey around it was not counted
    with pytest.raises(ValueError, match="x has no label"):
        failures.learn_colors([{"rgb": one["rgb"], "mask": one["mask"], "id": "x"}])
    with pytest.raises(ValueError, match="no samples"):
        failures.learn_colors([])
    known = failures.learn_colors(SceneSet(6, 32, cache=False))
    assert known.distance.shape[1:] == (failures.CELLS, failures.CELLS) and np.nanmin(known.distance) == 0


# ---------------------------------------------------------------- colour bleeding

def ramp(L_slope=(0.0, 0.0), a_slope=(0.0, 0.0), size=40):
    """A picture whose L and a rise by so many units a pixel downwards and to the right."""
    y, x = np.mgrid[:size, :size] - size / 2
    plane = lambda slope: slope[0] * y + slope[1] * x
    return lab.lab_to_rgb(np.stack([50 + plane(L_slope), plane(a_slope), np.zeros((size, size))], -1), clip=False).clip(0, 1)


@pytest.mark.parametrize("L_slope, share", [((0, 0), 1.0), ((0, 1), 1.0), ((1, 0), np.sqrt(4 / 5)), ((-1, 0), np.sqrt(4 / 5))],
                         ids=["even", "across", "along", "against"])
def test_the_unexplained_slope_is_the_equation(L_slope, share):
    left, whole = failures.unexplained_slope(ramp(L_slope, (0.5, 0)))
    middle = slice(15, 25)
    assert whole[middle, middle] == pytest.approx(np.full((10, 10), 0.5), abs=1e-3)
    assert left[middle, middle] == pytest.approx(np.full((10, 10), 0.5 * share), abs=2e-3)


def step(L_edge, color_edge, size=48):
    """Dark red left, light green right; lightness and colour change at two columns."""
    x = np.arange(size)[None, :, None] + np.zeros((size, 1, 1))
    L, ab = np.where(x < L_edge, 40.0, 75.0), np.where(x < color_edge, (30.0, 15.0), (-30.0, 25.0))
    return lab.lab_to_rgb(np.concatenate([L, ab], -1))


def test_a_displaced_edge_of_color_bleeds():
    aligned, displaced = step(24, 24), step(24, 32)
    scores = failures.color_bleeding([aligned, displaced, flat(GREY), flat(BLUE)])
    assert scores.shape == (4,) and scores.dtype == np.float64
    assert scores[0] < 0.25 and scores[1] > 0.8 and scores[2:] == pytest.approx([0, 0], abs=1e-6)
    assert failures.color_bleeding([displaced], [displaced])[0] < scores[1] / 4          # the truth has that edge, too
    assert failures.color_bleeding([displaced], [aligned])[0] > 3 * scores[0]
    assert failures.color_bleeding(torch.from_numpy(displaced).permute(2, 0, 1)[None])[0] == pytest.approx(scores[1], rel=1e-6)


# ---------------------------------------------------------------- object intervention

def test_a_spilled_background():
    true, mask = two(YELLOW, GREEN)
    between = tuple((np.array(YELLOW) + np.array(GREEN)) / 2)
    pred = [true, two((76.0, *GREEN[1:]), GREEN)[0], two((76.0, *between[1:]), GREEN)[0], two((76.0, 0.0, 0.0), GREY)[0]]
    scores = failures.object_intervention(pred, [true] * 4, [mask] * 4)
    assert scores.dtype == np.float64 and scores == pytest.approx([1, 0, 0.5, 0], abs=0.01)
    colored = failures.object_intervention(pred, [true] * 4, [mask] * 4, failures.CHROMATIC_MIN)
    assert colored[:3] == pytest.approx(scores[:3]) and np.isnan(colored[3])            # grey has nothing to spill
    assert list(failures.find_worst(colored, 2, largest=False)) == [1, 2]


def test_intervention_is_undefined_without_two_colors():
    true, mask = two(YELLOW, GREEN)
    same = two((76.0, *GREEN[1:]), GREEN)[0]
    scores = failures.object_intervention([true] * 3, [same, true, true], [mask, np.zeros_like(mask), np.ones_like(mask)])
    assert np.isnan(scores).all()


def test_a_spill_over_a_scene():
    scene = scenes.make_scene(3, 64, "flamingo", "grass")
    pixels, mask = lab.rgb_to_lab(scene.rgb), scene.masks[0]
    pixels[mask, 1:] = pixels[~mask, 1:].mean(0)
    scores = failures.object_intervention([lab.lab_to_rgb(pixels), scene.rgb], [scene.rgb] * 2, [mask] * 2)
    assert scores[0] < 0.15 and scores[1] == 1


# ---------------------------------------------------------------- the worst, and what is refused

def test_find_worst():
    scores = [0.1, np.nan, 0.9, 0.9, 0.5, 0.7]
    assert list(failures.find_worst(scores, 3)) == [2, 3, 5]
    assert list(failures.find_worst(scores, 9)) == [2, 3, 5, 4, 0]
    assert list(failures.find_worst(scores, 2, largest=False)) == [0, 4]
    assert list(failures.find_worst(scores, 9, apart=["a", "a", "b", "b", "b", "a"])) == [2, 5]
    pairs = [("a", "x"), ("a", "y"), ("b", "x"), ("c", "x"), ("b", "y"), ("c", "z")]
    assert list(failures.find_worst(scores, 9, apart=pairs)) == [2, 5]
    assert failures.find_worst([np.nan], 1).shape == (0,)


def test_find_worst_refuses():
    for scores, count, apart in (([[1.0]], 1, None), ([1.0], 0, None), ([1.0], 1, ["a", "b"])):
        with pytest.raises(ValueError, match="one name for each"):
            failures.find_worst(scores, count, apart)


def test_inputs_that_do_not_fit():
    pred, mask = two(YELLOW, GREEN)
    colors = failures.learn_colors([sample(YELLOW, 0)])
    with pytest.raises(ValueError, match="one mask a picture"):
        failures.semantic_confusion([pred], [mask] * 2, [0], colors)
    with pytest.raises(ValueError, match="one label a picture"):
        failures.semantic_confusion([pred], [mask], [0, 0], colors)
    with pytest.raises(ValueError, match="Mask 0 is uint8"):
        failures.object_intervention([pred], [pred], [mask.astype(np.uint8)])
    with pytest.raises(ValueError, match=r"Mask 0 is bool \(8, 8\)"):
        failures.object_intervention([pred], [pred], [mask[:8, :8]])
    with pytest.raises(ValueError, match="one of the same size"):
        failures.color_bleeding([pred], [pred, pred])
    with pytest.raises(ValueError, match="2 px a side"):
        failures.color_bleeding([pred[:1]])
