"""Reference pictures: what each kind promises, and data sets that bring them."""
import pickle

import numpy as np
import pytest
import torch
from PIL import Image

from colorlib import data, lab, scenes
from colorlib.references import KINDS, WithReferences, make_mask, make_reference, turn_hue, warp


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("COLORLIB_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def labelled(tmp_path):
    """Two red, three green and two blue pictures, each in the folder of its class; one of each is wider than high."""
    for name, color, count in (("blue", (30, 40, 200), 2), ("green", (30, 160, 40), 3), ("red", (200, 30, 30), 2)):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for i in range(count):
            shape = (30, 50, 3) if i == 1 else (40, 40, 3)
            rgb = np.clip(np.array(color) + np.random.default_rng(i).normal(0, 20, shape), 0, 255).astype(np.uint8)
            Image.fromarray(rgb).save(tmp_path / "photos" / name / f"{i}.png")
    return tmp_path / "photos"


def packed(labels, ids=None, size=16):
    random = np.random.default_rng(0)
    rgb = random.integers(0, 256, (len(labels), size, size, 3), dtype=np.uint8)
    return data.Packed(rgb, ids or [f"{i}.jpg" for i in range(len(labels))], labels)


def picture(seed=3, size=64):
    return scenes.make_scene(seed, size).rgb


# ---------------------------------------------------------------- one reference

def test_warp_moves_everything_smoothly_and_masks_alike():
    y, x = np.mgrid[:80, :100]
    ramp = np.stack([255 * y / 79, 255 * x / 99], -1).astype(np.float32)                     # says where each pixel came from
    mirrored = 0
    for seed in range(30):
        moved = warp(ramp, seed)
        assert moved.shape == ramp.shape and moved.dtype == ramp.dtype and np.array_equal(moved, warp(ramp, seed))
        inside = moved[10:-10, 10:-10]
        slope = np.median(np.diff(inside[..., 1], axis=1)) / (255 / 99)
        assert 0.55 < abs(slope) < 1.0                                                       # 0.7 to 0.9 of the side, bent and turned a little
        assert np.abs(np.diff(inside, axis=0)).max() < 8 and np.abs(np.diff(inside, axis=1)).max() < 8
        assert np.median(np.abs(moved - ramp).sum(-1)) > 10                                  # never in its old place
        mirrored += slope < 0
    assert 5 < mirrored < 25
    mask = (x > 40).astype(np.uint8)
    same = warp(np.repeat(255.0 * mask[..., None], 3, 2).astype(np.float32), 5)[..., 0]
    assert set(np.unique(warp(mask, 5))) == {0, 1} and np.abs(warp(mask, 5) * 255.0 - same).mean() < 10
    assert warp(np.zeros((1, 1, 3), np.uint8), 0).shape == (1, 1, 3) and warp(np.zeros((3, 200), np.uint8), 0).shape == (3, 200)


def test_turned_hues_keep_lightness():
    rgb = picture()
    before, half, opposite = (lab.rgb_to_lab(one) for one in (rgb, turn_hue(rgb, 90.0), turn_hue(rgb, 180.0)))
    for after in (half, opposite, lab.rgb_to_lab(turn_hue(rgb, None))):
        assert np.abs(after[..., 0] - before[..., 0]).mean() < 0.5
    chroma = lambda one: np.hypot(one[..., 1], one[..., 2])
    strong = (chroma(before) > 10) & (chroma(half) > 5)
    angle = np.rad2deg(np.arctan2(half[..., 2], half[..., 1]) - np.arctan2(before[..., 2], before[..., 1]))[strong] % 360
    assert np.median(angle) == pytest.approx(90, abs=2)
    strong = (chroma(before) > 10) & (chroma(opposite) > 5)
    assert (before[strong][:, 1:] * opposite[strong][:, 1:]).sum(-1).max() < 0
    assert (chroma(opposite) <= chroma(before) + 2).all() and chroma(lab.rgb_to_lab(turn_hue(rgb, None))).max() < 0.05


def test_each_kind():
    rgb, related, unrelated = picture(3), picture(4), picture(5, 96)
    made = {kind: make_reference(kind, rgb, related, unrelated, seed=11) for kind in KINDS}
    assert all(one.shape == rgb.shape and one.dtype == np.uint8 for one in made.values())
    assert len({one.tobytes() for one in (rgb, *made.values())}) == len(KINDS) + 1
    assert np.array_equal(made["related"], related) and np.array_equal(made["self"], warp(rgb, 11))
    L = {kind: lab.rgb_to_lab(one)[..., 0] for kind, one in made.items()}
    for kind in ("recolored", "inverted"):                                                   # the same shapes in other colours
        assert np.abs(L[kind] - L["self"]).mean() < 0.5
        assert np.abs(lab.rgb_to_lab(made[kind])[..., 1:] - lab.rgb_to_lab(made["self"])[..., 1:]).mean() > 5
    assert np.ptp(made["gray"], -1).max() == 0 and np.abs(L["gray"] - L["related"]).mean() < 0.5
    unchanged = (made["distractor"] == made["unrelated"]).all(-1).mean()
    assert 1 - 0.5 ** 2 - 0.02 < unchanged < 1 - 0.35 ** 2 + 0.05
    assert len(np.unique(made["noise"].reshape(-1, 3), axis=0)) > 900
    assert not np.array_equal(made["self"], make_reference("self", rgb, seed=12))
    for kind, name in (("related", "related"), ("gray", "related"), ("unrelated", "unrelated"), ("distractor", "unrelated")):
        with pytest.raises(ValueError, match=f"{name}="):
            make_reference(kind, rgb)
    with pytest.raises(ValueError, match="related, unrelated, self"):
        make_reference("relatd", rgb)


def test_masks_follow_their_pictures():
    rgb, mask = np.zeros((64, 64, 3), np.uint8), np.zeros((64, 64), np.uint8)
    rgb[20:50, 10:40], mask[20:50, 10:40] = (0, 200, 0), 1                                   # a green square is the object
    for seed in range(10):
        for kind in ("self", "partial", "distractor"):
            made, where = make_reference(kind, rgb, unrelated=np.full_like(rgb, 90), seed=seed), make_mask(kind, mask, seed=seed) > 0
            green = made[..., 1].astype(int) - made[..., 0] > 100
            assert (green == where).mean() > 0.97, (kind, seed)
    assert np.array_equal(make_mask("related", mask, 1 - mask), 1 - mask) and make_mask("related", mask) is None
    assert make_mask("unrelated", mask, 1 - mask) is None and make_mask("noise", mask) is None


# ---------------------------------------------------------------- data sets

@pytest.mark.parametrize("kind", KINDS)
def test_scenes(kind):
    dataset = data.SceneSet(12, size=32, seed=500)
    found = WithReferences(dataset, kind)
    assert len(found) == 12 and found.ids == dataset.ids and found.classes == list(scenes.CLASSES)
    sample = found[3]
    assert sample["reference"].shape == (3, 32, 32) and sample["reference"].dtype == torch.uint8 and torch.equal(sample["rgb"], dataset[3]["rgb"])
    assert ("reference_mask" in sample) == (kind not in ("unrelated", "noise"))
    assert isinstance(sample["reference_id"], str) and sample["reference_id"] != sample["id"]
    part = WithReferences(data.choose(dataset, limit=4), kind, pool=dataset)
    assert part.ids == [dataset.ids[i] for i in (0, 3, 6, 9)] and torch.equal(part[1]["reference"], sample["reference"])
    again = pickle.loads(pickle.dumps(found))[3]                                             # as worker processes get it
    assert torch.equal(again["reference"], sample["reference"]) and torch.equal(found[-9]["reference"], sample["reference"])
    batch = next(data.batches(found, 4, crop=24))
    assert batch["reference"].shape == (4, 3, 24, 24)


def test_scenes_are_related_to_their_own_reference():
    dataset = data.SceneSet(6, size=32, seed=500)
    sample, expected = WithReferences(dataset)[2], scenes.reference(scenes.make_scene(502, 32))
    assert np.array_equal(sample["reference"].permute(1, 2, 0).numpy(), expected.rgb) and sample["reference_id"] == "scene/502/reference"
    assert np.array_equal(sample["reference_mask"][0].numpy(), expected.masks[0]) and expected.label == int(sample["label"])
    other = int(WithReferences(dataset, "unrelated")[2]["reference_id"].rpartition("/")[2])
    assert scenes.make_scene(other, 32).label != int(sample["label"])


@pytest.mark.parametrize("opened", [lambda folder: data.Pictures(folder, size=24), lambda folder: data.pack(data.Pictures(folder, size=24)),
                                    lambda folder: data.Pictures(folder)], ids=["source", "pack", "own sizes"])
def test_folders_with_labels(labelled, opened):
    dataset = opened(labelled)
    class_of = lambda one: one.partition("/")[0]
    for sample in (WithReferences(dataset)[i] for i in range(7)):
        assert class_of(sample["reference_id"]) == class_of(sample["id"]) and sample["reference_id"] != sample["id"]
        assert sample["reference"].shape == sample["rgb"].shape and "reference_mask" not in sample
    strange = WithReferences(dataset, "unrelated")
    assert all(class_of(strange[i]["reference_id"]) != class_of(strange[i]["id"]) for i in range(7))
    assert {WithReferences(dataset, seed=seed)[3]["reference_id"] for seed in range(12)} >= {"green/0.png", "green/2.png"}


def test_references_follow_from_seed_and_id():
    dataset = packed([0, 0, 0, 1, 1, 1] * 4)
    turned = packed([0, 0, 0, 1, 1, 1] * 4)
    turned = torch.utils.data.Subset(turned, range(23, -1, -1))
    turned.ids = dataset.ids[::-1]
    for kind in ("related", "unrelated"):
        first, second = WithReferences(dataset, kind), WithReferences(turned, kind)
        assert [first[i]["reference_id"] for i in range(24)] == [second[23 - i]["reference_id"] for i in range(24)]
        others = [WithReferences(dataset, kind, seed=1)[i]["reference_id"] for i in range(24)]
        assert others != [first[i]["reference_id"] for i in range(24)]
        assert len({first[i]["reference_id"] for i in range(24)}) > 8                          # not one favourite of all


def test_labels_are_read_through_wrappers(monkeypatch):
    dataset = packed([0, 0, 1, 1])
    opened = []
    monkeypatch.setattr(data.Packed, "__getitem__", lambda self, i: opened.append(i))
    WithReferences(WithReferences(data.choose(dataset, limit=4), "self"), "related")
    WithReferences(data.choose(dataset, ids=dataset.ids[:2]), "unrelated", pool=dataset)
    assert not opened                                                                        # no picture was decoded for them


def test_both_kinds_in_one_training_set():
    dataset = data.SceneSet(5, size=16, seed=70)
    both = data.join([WithReferences(dataset, "related"), WithReferences(dataset, "self")])
    batch = next(data.batches(both, 10))
    assert batch["reference"].shape == (10, 3, 16, 16) and batch["reference_mask"].shape == (10, 1, 16, 16) and batch["label"].shape == (10,)


def test_refuses():
    with pytest.raises(ValueError, match="no kind of reference 'own'"):
        WithReferences(packed([0, 0]), "own")
    unlabelled = packed([0, 0])
    unlabelled.labels = None
    for dataset in (unlabelled, packed([0, -1]), data.join([packed([0, 0]), data.SceneSet(2, size=16, seed=0)])):      # of two kinds of classes
        with pytest.raises(ValueError, match="some have no label: sort the pictures"):
            WithReferences(dataset)
    assert WithReferences(unlabelled, "self")[1]["reference"].shape == (3, 16, 16)
    with pytest.raises(ValueError, match="2.jpg is the only picture of the class 1"):
        WithReferences(packed([0, 0, 1]))
    with pytest.raises(ValueError, match="All pictures are of one class"):
        WithReferences(packed([0, 0, 0]), "unrelated")
    named = packed([0, 0, 1, 1])
    named.classes = ["car", "dog"]
    with pytest.raises(ValueError, match="pool has other classes"):
        WithReferences(packed([0, 0]), pool=named)
    with pytest.raises(ValueError, match="empty or can only be read"):
        WithReferences(torch.utils.data.Subset(packed([0]), []))
