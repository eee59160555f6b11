"""Following a colour word: painters that obey, that ignore and that flood the picture, on scenes whose truth is known, and judges by hand."""
import numpy as np
import pytest
import torch

from colorlib import captions, color_names, lab, manipulation, scenes
from colorlib.data import SceneSet
from colorlib.figures import caption_figures
from colorlib.manipulation import Repainting, confusion, judge_choices, judge_swaps, measure_manipulation, recolor_scene, repaint, summarize

FIRST = 700
POINTS = {word: color[1:] for word, color in color_names.prototypes().items()}


def asked(caption):
    return captions.basic(captions.color_words(caption)[0])


@pytest.fixture(scope="module")
def world():
    return SceneSet(30, 32, seed=FIRST, cache=False)


@pytest.fixture(scope="module")
def painters(world):
    """obedient: the true picture of the caption; deaf: the caption is not heard; flooding: the whole picture takes the colour."""
    seeds = {lab.rgb_to_lab(world[i]["rgb"])[0].numpy().tobytes(): FIRST + i for i in range(len(world))}

    def obedient(batch):
        pictures, _, _ = recolor_scene(seeds[batch["L"][0, 0].numpy().tobytes()], 32)
        return torch.stack([torch.from_numpy(lab.rgb_to_lab(pictures[asked(one)])[..., 1:]).movedim(-1, 0) for one in batch["caption"]])
    return {"obedient": obedient, "deaf": lambda batch: obedient(batch)[:1].expand(len(batch["caption"]), -1, -1, -1),
            "flooding": lambda batch: torch.tensor([POINTS[asked(one)] for one in batch["caption"]])[:, :, None, None]}


def photo(caption="A red kite in the sky", L=60.0, **more):
    """A grey picture of one lightness, its object a square."""
    saliency = torch.zeros(1, 32, 32, dtype=torch.uint8)
    saliency[:, 8:24, 8:24] = 200
    grey = torch.tensor([L, 0.0, 0.0]).view(3, 1, 1).expand(3, 32, 32)
    return {"id": "photo", "rgb": (lab.lab_to_rgb(grey) * 255).round().byte(), "saliency": saliency, "caption": caption} | more


def made(words, targets, painted, name="car"):
    zeros = np.zeros(len(words))
    return Repainting("x", name, tuple(words), np.array(targets, float), np.array(painted, float), zeros, zeros, "exact")


# ---------------------------------------------------------------- scenes

def test_a_recolored_scene_keeps_its_lightness():
    many = 0
    for seed in range(FIRST, FIRST + 30):
        pictures, masks, name = recolor_scene(seed, 32)
        scene = scenes.make_scene(seed, 32)
        own, *others = pictures
        assert own == scene.color and name == scene.name and np.array_equal(pictures[own], scene.rgb) and np.array_equal(masks, scene.masks)
        for word in others:
            one, true = lab.rgb_to_lab(pictures[word]), lab.rgb_to_lab(scene.rgb)
            assert word in scenes.COLORS[name] and np.abs(one - true)[..., 0].max() < 0.5
            assert not (pictures[word] != scene.rgb).any(-1)[~masks[0]].any() and np.abs(one - true)[masks[0], 1:].max() > 10
        many += len(others) > 0
    assert many >= 5


def test_who_obeys_is_always_followed_and_leaves_the_background(world, painters):
    row = measure_manipulation(painters["obedient"], world, 32, progress=False)
    assert row["auto manipulation"] == row["followed"] == 100 and row["judge"] == "exact"
    assert row["background change"] == 0 and row["object change"] > 20 and row["swaps"] >= row["pictures"] >= 5
    assert 20 < row["followed by chance"] < 50


def test_who_is_deaf_gets_the_chance_level(world, painters):
    row = measure_manipulation(painters["deaf"], world, 32, progress=False)
    assert row["auto manipulation"] == pytest.approx(100 / 3) and row["followed"] == 0         # it keeps the scene's own colour
    assert row["background change"] == row["object change"] == 0


def test_who_floods_is_found_by_the_background(world, painters):
    row = measure_manipulation(painters["flooding"], world, 32, progress=False)
    assert row["followed"] > 90 and row["background change"] > 20


def test_captions_are_swapped_and_the_picture_is_not(world):
    calls = []

    def paint(batch):
        calls.append(batch)
        return torch.zeros(len(batch["caption"]), 2, 8, 8)
    found = repaint(paint, world, 32, pictures=4, progress=False)
    assert len(found) == len(calls) == 4
    for one, batch in zip(found, calls):
        scene = scenes.make_scene(int(one.id.split("/")[1]), 32)
        assert (batch["L"] == batch["L"][0]).all() and batch["L"].shape == (len(one.words), 1, 32, 32)
        assert batch["caption"][0] == scene.captions[0] and one.words[0] == scene.color and one.name == scene.name
        assert batch["caption"][1:] == [captions.swap_color(scene.captions[0], word, scene.color) for word in one.words[1:]]


def test_targets_are_the_dye_of_the_true_pictures(world, painters):
    for one in repaint(painters["obedient"], world, 32, progress=False):
        assert one.painted == pytest.approx(one.targets, abs=0.5)       # 8 bits, twice
        far = np.linalg.norm(one.targets[:, None] - one.targets[None], axis=-1)
        assert (far[~np.eye(len(far), dtype=bool)] > 10).all()


def test_a_scene_that_is_not_its_seeds_picture_is_refused(world):
    sample = next(world[i] for i in range(len(world)) if len(recolor_scene(FIRST + i, 32)[0]) > 1)
    with pytest.raises(ValueError, match=f"{sample['id']} is not the picture its seed makes"):
        repaint(lambda batch: batch["L"].expand(-1, 2, -1, -1), [sample | {"rgb": sample["rgb"].flip(-1)}], 32, progress=False)


# ---------------------------------------------------------------- judges, by hand

def test_judges_by_hand():
    words, targets = ("red", "green", "blue"), [(60, 40), (-50, 40), (0, -60)]
    assert judge_choices(made(words, targets, targets)) == 1 and judge_swaps(made(words, targets, targets)) == {"green": 1, "blue": 1}
    turned = made(words, targets, [targets[1], targets[2], targets[0]])
    assert judge_choices(turned) == 0 and judge_swaps(turned) == {"green": 0, "blue": 0}
    faint = made(words, targets, [(3, 2), (-3, 2), (0, -3)])                          # hardly a colour, but the right ones
    assert judge_choices(faint) == 1 and judge_swaps(faint) == {"green": 1, "blue": 1}
    leaning = made(words, targets, [(60, 40), (40, 40), (60, 20)])                    # a little less red when told green
    assert judge_swaps(leaning) == {"green": 0, "blue": 0} and judge_choices(leaning) == 1
    same = made(words, targets, [(5, 5)] * 3)
    assert judge_choices(same) == pytest.approx(1 / 3)


def test_four_words_make_four_choices_and_two_none():
    words, targets = ("red", "green", "blue", "gray"), [(60, 40), (-50, 40), (0, -60), (0, 0)]
    as_red = made(words, targets, [*targets[:3], targets[0]])
    # right with red, green, blue: 3; with gray painted red, gray is never chosen and red by half, where it is there: 1.5, 1.5 and 2
    assert judge_choices(as_red) == pytest.approx((3 + 1.5 + 1.5 + 2) / 12)
    assert np.isnan(judge_choices(made(words[:2], targets[:2], targets[:2])))
    row = summarize([made(words[:2], targets[:2], targets[:2])])
    assert row["auto manipulation"] is None and row["followed"] == 100 and row["followed by chance"] == 50


def test_no_column_has_the_name_of_a_human_one(world, painters):
    from colorlib.results import HUMAN
    assert not HUMAN & set(measure_manipulation(painters["deaf"], world, 32, pictures=2, progress=False))


# ---------------------------------------------------------------- photos

class Photos(list):
    classes = ("kite", "bus")


def test_photos_are_judged_by_prototypes():
    dataset = Photos([photo(label=torch.tensor(1)), photo("No colour here", captions=["No colour here", "A teal kite"], id="two"), photo("no colour at all")])

    def paint(batch):
        ab = torch.zeros(len(batch["caption"]), 2, 32, 32)
        for plane, one in zip(ab, batch["caption"]):
            plane[:, 8:24, 8:24] = torch.tensor(POINTS[asked(one)]).view(2, 1, 1)
        return ab
    found = sorted(repaint(paint, dataset, 32, progress=False), key=lambda one: one.id)
    assert [one.name for one in found] == ["bus", "photo"] and [one.words[0] for one in found] == ["red", "green"]
    row = summarize(found)
    assert row["judge"] == "proxy" and row["followed"] == 100 and row["auto manipulation"] > 95 and row["background change"] < 3
    deaf = measure_manipulation(lambda batch: torch.zeros(len(batch["caption"]), 2, 1, 1), dataset, 32, progress=False)
    assert deaf["auto manipulation"] == pytest.approx(100 / 3)


@pytest.mark.parametrize("L, never", [(20, {"yellow", "orange", "pink", "white"}), (60, {"yellow", "black", "white"}), (88, {"red", "black"})])
def test_only_words_possible_at_the_objects_lightness_are_asked(L, never):
    name, texts, targets, where, background, judge = manipulation.ask_photo(photo("A green kite", L))
    assert not never & set(texts) and next(iter(texts)) == "green" and len(texts) >= 4 and judge == "proxy" and name == "photo"
    assert where.sum() == 256 and np.array_equal(background, ~where)
    assert not manipulation.ask_photo(photo(L=L, saliency=torch.where(torch.from_numpy(where)[None], 200, 100).byte()))
    for target in targets:
        assert lab.in_gamut(np.array([[L, *target]]), 5e-3).all()


def test_neutral_words_are_not_asked_against_each_other():
    assert not {"gray", "black"} & set(manipulation.ask_photo(photo("A white kite", 60))[1])


def test_where_nothing_can_be_asked_nothing_is_claimed():
    whole = photo(saliency=torch.full((1, 32, 32), 255, dtype=torch.uint8))
    bare = {key: value for key, value in photo().items() if key != "saliency"}
    assert measure_manipulation(lambda batch: batch["L"], [photo("no colour"), whole, bare], 32, progress=False) == {"pictures": 0, "swaps": 0}
    with pytest.raises(ValueError, match="no picture of the data set could be asked"):
        confusion([])


# ---------------------------------------------------------------- the matrix

def test_confusion_by_hand():
    targets = [(60, 40), (-50, 40), (0, -60)]
    found = [made(("red", "green", "blue"), targets, targets), made(("red", "green", "blue"), targets, [targets[0], targets[0], targets[2]]),
             made(("blue", "red"), targets[2::-2], targets[2::-2], "bus")]
    shares, counts, names, words = confusion(found)
    assert names == ["bus", "car"] and words == ["red", "green", "blue"]
    assert counts.tolist() == [[1, 0, 0], [0, 2, 2]]
    assert np.array_equal(shares, [[1, np.nan, np.nan], [np.nan, 0.5, 1]], equal_nan=True)
    figure = caption_figures.draw_confusion(shares, counts, names, words)
    axes = figure.axes[0]
    assert [text.get_text() for text in axes.texts] == ["100 (1)", "50 (2)", "100 (2)"] and "stand-in" in axes.get_title()
    assert [label.get_text() for label in axes.get_xticklabels()] == words and [label.get_text() for label in axes.get_yticklabels()] == names
