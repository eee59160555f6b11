"""What is aligned stays aligned: near infrared, captions, masks and scenes; and splits that do not leak."""
import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from colorlib import scenes
from colorlib.data.packing import pack
from colorlib.data.pairs import Captioned, Masked, NirPairs, SceneSet, align, join_groups, split_ids
from colorlib.data.sources import sample_photos
from tests.data_samples import REAL, colorful, fill, needs_real_data, same, save, truncate


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("COLORLIB_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


# ---------------------------------------------------------------- splits

def test_a_split_depends_on_the_set_of_ids_alone():
    ids = [f"p{i}" for i in range(100)]
    rest, held = split_ids(ids, 0.2)
    assert len(held) == 20 and rest + held != ids and sorted(rest + held) == sorted(ids)
    assert held == [i for i in ids if i in held]
    assert set(split_ids(ids[::-1], 0.2)[1]) == set(held) != set(split_ids(ids, 0.2, seed=1)[1])
    assert set(held) < set(split_ids(ids, 0.5)[1])
    assert split_ids(ids, 0) == (ids, []) and split_ids(ids, 1) == ([], ids)
    assert split_ids([f"p{i}" for i in range(8)], 0.25)[1] == ["p0", "p6"]      # the same on every machine
    with pytest.raises(ValueError, match="from 0 to 1"):
        split_ids(ids, 20)


def test_crops_of_one_photo_stay_together():
    ids = [f"{photo}_{crop}" for photo in range(30) for crop in "abc"]
    rest, held = split_ids(ids, 0.3, groups=lambda one: one.split("_")[0])
    assert len(held) == 27 and not {i.split("_")[0] for i in rest} & {i.split("_")[0] for i in held}
    linked = join_groups([("a", "b"), ("c", "d"), ("d", "b"), ("x", "y")])
    assert linked["a"] == linked["b"] == linked["c"] == linked["d"] != linked["x"] == linked["y"]
    rest, held = split_ids(["a", "b", "c", "d", "e", "f", "g", "h"], 0.5, groups=linked)
    assert set("abcd") <= set(rest) or set("abcd") == set(held)


# ---------------------------------------------------------------- near infrared

def test_twins_are_found_and_lonely_ones_named(tmp_path):
    fill(tmp_path, "a/1_rgb.png", "a/1_nir.png", "2_rgb_reg.jpg", "2_nir.jpg", "3_rgb.png", "4_nir.png", "souvenir.png",
         "5_rgb.png", "5_nir.png")
    truncate(tmp_path / "5_nir.png")
    dataset = NirPairs(tmp_path, 16)
    assert dataset.ids == ["2", "a/1"]
    assert dataset[0]["rgb"].shape == (3, 16, 16) and dataset[0]["nir"].shape == (1, 16, 16)
    assert dataset[0]["nir"].dtype == torch.uint8
    reasons = dict(dataset.report.corrupt)
    assert set(reasons) == {"3_rgb.png", "4_nir.png", "5"} and "partner" in reasons["3_rgb.png"]
    assert "5_nir.png" in reasons["5"]
    assert all(map(same, dataset, pack(dataset)))
    with pytest.raises(ValueError, match="x_rgb.png and x_nir.png"):
        NirPairs(fill(tmp_path / "none", "1.png"))


def test_nir_is_resized_to_its_photo_or_refused(tmp_path):
    rgb = colorful(0, 40, 60)
    for name, nir in (("half", cv2.resize(rgb[..., 1], (30, 20), interpolation=cv2.INTER_AREA)),
                      ("other", rgb[:30, :30, 1])):
        save(tmp_path / f"{name}_rgb.png", rgb)
        save(tmp_path / f"{name}_nir.png", nir)
    dataset = NirPairs(tmp_path)
    assert dataset.ids == ["half"] and "30 x 30 but its photo 60 x 40" in dict(dataset.report.corrupt)["other"]
    assert np.abs(dataset[0]["nir"][0].numpy().astype(int) - rgb[..., 1]).mean() < 2


@pytest.mark.parametrize("shrink", [1, 2])
def test_unregistered_pairs_are_warped_into_place(tmp_path, shrink):
    """NIR = the photo's green, moved by a known similarity. The matrix is that of the full-size pictures; the stored
    ones are smaller."""
    rgb = dict(sample_photos(1))["astronaut"]
    matrix = np.array([[0.97, 0.2, -30.0], [-0.2, 0.97, 60.0]])
    nir = cv2.warpAffine(rgb[..., 1], matrix, (512, 512))
    small = lambda picture: cv2.resize(picture, None, fx=1 / shrink, fy=1 / shrink, interpolation=cv2.INTER_AREA)
    save(tmp_path / "x_rgb.png", small(rgb))
    save(tmp_path / "x_nir.png", small(nir))
    fill(tmp_path, "y_rgb.png", "y_nir.png")
    (tmp_path / "affine.json").write_text(json.dumps({"x": {"matrix_rgb_to_nir_fullsize": matrix.tolist(),
                                                            "fullsize": [512, 512]}}))
    dataset = NirPairs(tmp_path, affine=tmp_path / "affine.json")
    sample, = dataset
    valid = sample["valid"][0].numpy() == 1
    error = np.abs(sample["nir"][0].numpy().astype(int) - small(rgb)[..., 1])
    assert 0.75 < valid.mean() < 0.95 and error[valid].mean() < 6 < error[~valid].mean()
    wrong = np.abs(NirPairs(tmp_path)[0]["nir"][0].numpy().astype(int) - small(rgb)[..., 1])
    assert wrong[valid].mean() > 5 * error[valid].mean()
    assert dict(dataset.report.corrupt) == {"y_rgb.png": "it has no matrix in the affine file"}


def test_align_moves_pixels_exactly():
    nir = np.zeros((8, 8), np.uint8)
    nir[3, 5] = 200                                                    # RGB pixel (4, 1) is NIR pixel (5, 3)
    warped, valid = align(nir, np.zeros((8, 8, 3), np.uint8), [[1, 0, 1], [0, 1, 2]], [8, 8])
    assert warped[1, 4] == 200 and warped.sum() == 200
    assert valid[:6, :7].all() and valid.sum() == 42
    # stored at half size
    mirrored, valid = align(nir, np.zeros((8, 8, 3), np.uint8), [[-1, 0, 15], [0, 1, 0]], [16, 16])
    assert np.array_equal(mirrored, nir[:, ::-1]) and valid.all()


@pytest.mark.parametrize("content", ["{", "[]", '{"x": {"matrix": 3}}',
                                     '{"x": {"matrix_rgb_to_nir_fullsize": [[1, 2]], "fullsize": [3, 4]}}'])
def test_a_bad_affine_file_is_named(tmp_path, content):
    fill(tmp_path, "x_rgb.png", "x_nir.png")
    (tmp_path / "affine.json").write_text(content)
    with pytest.raises(ValueError, match="affine.json"):
        NirPairs(tmp_path, affine=tmp_path / "affine.json")


@needs_real_data
def test_the_known_misalignment_of_real_pairs_is_undone():
    def agreement(nir, rgb, valid):
        edges = [np.hypot(cv2.Sobel(x, cv2.CV_32F, 1, 0), cv2.Sobel(x, cv2.CV_32F, 0, 1)) for x in
                 (cv2.GaussianBlur(plane.numpy().astype(np.float32), (0, 0), 2)
                  for plane in (nir[0], rgb.float().mean(0)))]
        inside = cv2.erode(valid, np.ones((9, 9), np.uint8)) > 0
        return np.corrcoef(edges[0][inside], edges[1][inside])[0, 1]

    folder = f"{REAL}/nir/unregistered"
    moved, aligned = NirPairs(folder, 192), NirPairs(folder, 192, affine=f"{REAL}/nir/unregistered_affine.json")
    scores = []
    for i in range(0, len(aligned.names), 12):
        before, after = moved.read(i), aligned.read(i)
        valid = after["valid"][0].numpy()
        scores.append([agreement(s["nir"], s["rgb"], valid) for s in (before, after)])
    before, after = np.median(scores, axis=0)
    assert before < 0.3 and after > 0.6


# ---------------------------------------------------------------- captions and masks

FOUND = ((5, "one"), (7, "two"), (5, "another one"), (9, "x"))


@pytest.mark.parametrize("table", [
    [{"file": "a/1.png", "captions": ["one ", "  another\none"]}, {"file": "2.png", "captions": ["two"]},
     {"file": "gone.png", "captions": ["x"]}],
    {"a/1.png": ["one", "another one"], "2.png": "two", "gone.png": ["x"]},
    {"images": [{"id": 5, "file_name": "a/1.png"}, {"id": 7, "file_name": "2.png"}, {"id": 9, "file_name": "gone.png"}],
     "annotations": [{"image_id": i, "caption": c} for i, c in FOUND]}])
def test_captions_come_from_three_kinds_of_json(tmp_path, table):
    fill(tmp_path, "a/1.png", "2.png")
    (tmp_path / "captions.json").write_text(json.dumps(table))
    samples = {s["id"]: s for s in Captioned(tmp_path, size=8)}
    assert samples["a/1.png"]["captions"] == ["one", "another one"] and samples["2.png"]["caption"] == "two"
    assert len(samples) == 2
    dataset = pack(Captioned(tmp_path, tmp_path / "captions.json", 8))
    assert dict(dataset.report.corrupt) == {"gone.png": "the file is missing"}
    assert all(same(s, samples[s["id"]]) for s in dataset)


def test_captions_beside_the_pictures(tmp_path):
    fill(tmp_path, "1.jpg", "2.jpg", "3.jpg")
    (tmp_path / "1.txt").write_text("a dog\na brown dog\n\n")
    (tmp_path / "2.txt").write_text("\n")
    dataset = Captioned(tmp_path, size=8)
    assert dataset.ids == ["1.jpg"] and dataset[0]["captions"] == ["a dog", "a brown dog"]
    assert dict(dataset.report.corrupt) == {"2.jpg": "it has no caption"}
    (tmp_path / "1.txt").write_text("a cat")
    assert pack(Captioned(tmp_path, size=8))[0]["caption"] == "a cat"
    with pytest.raises(ValueError, match="holds no captions"):
        Captioned(fill(tmp_path / "none", "1.jpg"))


@pytest.mark.parametrize("content", ["[1]", '[{"file": "1.png"}]', "not json"])
def test_a_bad_caption_file_is_named(tmp_path, content):
    fill(tmp_path, "1.png")
    (tmp_path / "notes.json").write_text(content)
    with pytest.raises(ValueError, match="notes.json"):
        Captioned(tmp_path, tmp_path / "notes.json")


def test_a_caption_in_another_encoding_is_named(tmp_path):
    fill(tmp_path, "1.png")
    (tmp_path / "1.txt").write_bytes("ein grüner Frosch".encode("latin-1"))
    with pytest.raises(ValueError, match="1.txt is not UTF-8 text"):
        Captioned(tmp_path)
    (tmp_path / "1.txt").write_text("ein grüner Frosch", encoding="utf-8-sig")      # as Windows' editor saves it
    assert Captioned(tmp_path).captions == [["ein grüner Frosch"]]


def test_masks_follow_their_photos(tmp_path):
    rgb = colorful(1, 20, 40)
    mask = np.where(rgb[..., 0] > rgb[..., 0].mean(), 255, 0).astype(np.uint8)
    save(tmp_path / "x/1.png", rgb)
    save(tmp_path / "x/1_mask.png", mask)
    fill(tmp_path, "2.png", "3_mask.png")
    dataset = Masked(tmp_path, 20)
    sample, = dataset
    assert sample["id"] == "x/1.png" and np.array_equal(sample["mask"][0], mask[:, 10:30] // 255)
    assert torch.equal(sample["saliency"], 255 * sample["mask"])
    assert dict(dataset.report.corrupt) == {"2.png": "its mask is missing", "3_mask.png": "its photo is missing"}
    with pytest.raises(ValueError, match="holds no masks"):
        Masked(fill(tmp_path / "none", "1.png"))


# ---------------------------------------------------------------- scenes

def test_another_world_is_another_cache():
    files = {path.name for path in Path(scenes.__file__).parent.iterdir() if path.suffix == ".py"}
    assert {path.name for path in SceneSet(1, 32, cache=False).paths} == files and "rendering.py" in files


def test_scenes_are_the_scenes_of_their_seeds():
    for cache in (True, False):
        dataset = SceneSet(5, 32, seed=40, cache=cache)
        scene, sample = scenes.make_scene(43, 32), dataset[3]
        assert len(dataset) == 5 and dataset.ids[3] == sample["id"] == "scene/43"
        assert dataset.classes[int(sample["label"])] == scene.name
        assert np.array_equal(sample["rgb"].permute(1, 2, 0), scene.rgb)
        assert np.array_equal(sample["mask"][0], scene.masks[0])
        for key in ("saliency", "nir", "line_art"):
            assert np.array_equal(sample[key][0], getattr(scene, key)) and sample[key].dtype == torch.uint8
        assert sample["captions"] == list(scene.captions) and sample["caption"] == scene.captions[0]
        assert sample["color"] == scene.color


def test_scenes_are_painted_once(monkeypatch):
    first = SceneSet(4, 32)
    monkeypatch.setattr(scenes, "make_scene", lambda *_: pytest.fail("painted again"))
    assert all(map(same, first, SceneSet(4, 32))) and len(list(SceneSet(4, 32))) == 4


def test_no_scenes_are_refused():
    with pytest.raises(ValueError, match="at least one scene"):
        SceneSet(0)
