"""Clips to train and to test on: windows, splits, known motion."""
import json

import numpy as np
import pytest
import torch

from colorlib import data, scenes
from colorlib.data import clip_sets
from tests.data_samples import REAL, needs_real_data, save


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("COLORLIB_CACHE", str(tmp_path / "cache"))


def make_frames(folder, count):
    """Frames of one colour, the red channel tells the number."""
    for i in range(count):
        save(folder / f"{i:05d}.png", np.full((16, 24, 3), (5 * i, 60, 200), np.uint8))
    return folder


@pytest.fixture
def folder(tmp_path):
    """An empty folder whose name is no split's, unlike `tmp_path`'s in some tests."""
    (tmp_path / "film").mkdir()
    return tmp_path / "film"


def numbers(sample):
    """Which frames a sample shows."""
    return [round(float(frame[0].float().mean()) / 5) for frame in sample["rgb"]]


def frames_of(dataset):
    """{(clip, frame number)} of all windows."""
    return {(one["clip"], number) for one in dataset for number in numbers(one)}


# ---------------------------------------------------------------- procedural clips

def test_scene_windows_are_cut_out_of_one_clip():
    dataset = data.open_clips("scenes:2", 16, 4, stride=4, seed=5)
    assert dataset.ids == [f"clip/{seed}/{start:03d}" for seed in (5, 6) for start in (0, 4, 8)]
    clip = scenes.make_clip(6, 12, 16)
    sample = dataset[4]
    assert sample.keys() == {"rgb", "id", "clip"} and sample["id"] == "clip/6/004" and sample["clip"] == "clip/6"
    assert sample["rgb"].dtype == torch.uint8 and torch.equal(sample["rgb"], torch.from_numpy(clip.rgb[4:8]).permute(0, 3, 1, 2))


def test_scenes_hold_the_motion_between_their_own_frames():
    sample = data.open_clips("scenes:1", 16, 3, stride=2, seed=3, with_flow=True)[2]
    clip = scenes.make_clip(3, 12, 16)
    assert sample["flow"].shape == (2, 2, 16, 16) and sample["flow"].dtype == torch.float32
    assert torch.equal(sample["flow"], torch.from_numpy(clip.flow[4:6]).permute(0, 3, 1, 2))
    assert sample["occlusion"].dtype == torch.bool and torch.equal(sample["occlusion"], torch.from_numpy(clip.occlusion[4:6]))


def test_a_clip_is_drawn_once_and_cannot_be_changed_from_outside(monkeypatch):
    drawn, make_clip = [], scenes.make_clip
    monkeypatch.setattr(scenes, "make_clip", lambda seed, *options: drawn.append(seed) or make_clip(seed, *options))
    dataset = data.open_clips("scenes:3", 16, 4)
    assert not drawn
    before = dataset[1]["rgb"]
    first = before.clone()
    before.zero_()
    assert torch.equal(dataset[1]["rgb"], first) and drawn == [0]


def test_train_and_val_scenes_share_no_seed():
    seeds = {split: {int(one.split("/")[1]) for one in data.open_clips("scenes", 16, 8, split=split).ids} for split in ("train", "val")}
    assert len(seeds["train"]) == 300 and len(seeds["val"]) == 40 and not seeds["train"] & seeds["val"]


def test_whole_scenes():
    dataset = data.open_clips("scenes:2", 16, "shot", split="val", with_flow=True)
    assert len(dataset) == 2 and dataset[1]["rgb"].shape == (32, 3, 16, 16) and dataset[1]["flow"].shape == (31, 2, 16, 16)


def test_long_windows_get_long_clips():
    assert data.open_clips("scenes:1", 16, 20)[0]["rgb"].shape[0] == 20


# ---------------------------------------------------------------- folders

@pytest.mark.parametrize("beside", [False, True])
def test_the_last_shot_of_a_clip_is_val(folder, beside):
    make_frames(folder / "film", 12)
    (folder / ("shots.json" if beside else "film/shots.json")).write_text(json.dumps({"clip": "film", "first_frame_of_each_shot": [0, 5, 8]}))
    train, val = (data.open_clips(folder / "film", 8, 3, split=split) for split in ("train", "val"))
    assert train.ids == ["film/00000.png", "film/00001.png", "film/00002.png", "film/00005.png"]
    assert [numbers(one) for one in val] == [[8, 9, 10], [9, 10, 11]]
    whole = data.open_clips(folder / "film", 8, "shot", split="train")
    assert [numbers(one) for one in whole] == [[0, 1, 2, 3, 4]] and whole[0]["clip"] == "film"      # three frames are too few to measure


def test_clips_of_one_shot_are_trained_on_where_another_has_several(folder):
    make_frames(folder / "a", 6)
    make_frames(folder / "b", 4)
    (folder / "shots.json").write_text(json.dumps({"a": [0, 3]}))
    train, val = (data.open_clips(folder, 8, 2, split=split) for split in ("train", "val"))
    assert frames_of(val) == {("a", i) for i in (3, 4, 5)}
    assert frames_of(train) == {("a", i) for i in (0, 1, 2)} | {("b", i) for i in range(4)}


def test_a_gap_in_a_shot_does_not_make_a_val_shot(folder):
    make_frames(folder / "a", 12)
    for missing in (5, 10):
        (folder / f"a/{missing:05d}.png").write_bytes(b"not a picture")
    (folder / "shots.json").write_text(json.dumps({"a": [0, 8]}))
    train, val = (data.open_clips(folder, 8, 1, split=split) for split in ("train", "val"))
    assert frames_of(val) == {("a", i) for i in (8, 9, 11)} and frames_of(train) == {("a", i) for i in (0, 1, 2, 3, 4, 6, 7)}
    (folder / "shots.json").unlink()
    with pytest.raises(FileNotFoundError, match="one clip of one shot"):
        data.open_clips(folder, 8, 2)


def test_whole_clips_are_held_out_where_none_has_several_shots(folder):
    for name in "abc":
        make_frames(folder / name, 3)
    train, val = (data.open_clips(folder, 8, 2, split=split) for split in ("train", "val"))
    held = {one["clip"] for one in val}
    assert len(held) == 1 and {one["clip"] for one in train} == set("abc") - held


def test_sub_folders_are_the_split(folder):
    make_frames(folder / "train/a", 3)
    make_frames(folder / "validation/b", 4)
    (folder / "shots.json").write_text(json.dumps({"validation/b": [0, 2]}))
    assert data.open_clips(folder, 8, 2).ids == ["a/00000.png", "a/00001.png"]
    assert data.open_clips(folder, 8, 2, split="val").ids == ["b/00000.png", "b/00002.png"]      # the shots, named from the folder above, hold
    (folder / "validation").rename(folder / "elsewhere")
    assert data.open_clips(folder / "train", 8, 3).ids == ["a/00000.png"]
    with pytest.raises(FileNotFoundError, match="has no val split"):
        data.open_clips(folder / "train", 8, 2, split="val")


def test_limit_spreads_windows_and_long_shots_are_cut(folder, monkeypatch):
    make_frames(folder / "a", 20)
    make_frames(folder / "b", 20)
    (folder / "shots.json").write_text(json.dumps({"a": [0, 15], "b": [0, 15]}))
    assert data.open_clips(folder, 8, 2, limit=4).ids == ["a/00000.png", "a/00007.png", "b/00000.png", "b/00007.png"]
    monkeypatch.setattr(clip_sets, "LONGEST_SHOT", 6)
    assert [numbers(one) for one in data.open_clips(folder, 8, "shot")] == [list(range(6))] * 2


def test_which_windows_begin_a_shot(folder):
    make_frames(folder / "a", 7)
    (folder / "shots.json").write_text(json.dumps({"a": [0, 4, 6]}))
    train = data.open_clips(folder, 8, 2)
    assert dict(zip(train.ids, train.starts)) == {"a/00000.png": True, "a/00001.png": False, "a/00002.png": False, "a/00004.png": True}
    assert data.open_clips("scenes:2", 16, 11).starts == [True, False, True, False]
    assert data.open_clips("scenes:2", 16, 11, limit=2).starts == [True, True]


@needs_real_data
def test_the_real_film_is_split_by_shots():
    film = f"{REAL}/video/big_buck_bunny"
    train, val = (data.open_clips(film, 32, "shot", split=split) for split in ("train", "val"))
    assert [int(one.split("/")[1][:5]) for one in train.ids] == [0, 107, 153] and [len(train[i]["rgb"]) for i in range(3)] == [96, 46, 88]
    assert val.ids == ["big_buck_bunny/00241.jpg"] and len(val[0]["rgb"]) == 83
    assert data.open_clips(f"{REAL}/video", 32, "shot", split="val").ids == val.ids


# ---------------------------------------------------------------- bad input

def test_bad_input_is_named(folder):
    make_frames(folder / "a", 4)
    make_frames(folder / "b", 4)
    for options, error, message in (
            (("scenes:many", 16, 4), ValueError, "how many clips"), (("scenes", 16, "whole"), ValueError, "frames is 'whole'"),
            (("scenes", 16, 0), ValueError, "frames is 0"), (("scenes", 16, 4, 0), ValueError, "stride 0"),
            (("scenes", 16, 4, 1, "test"), ValueError, "train or val"), (("scenes", 16, 4, 1, "train", 0), ValueError, "limit is 0"),
            ((folder / "nowhere", 16, 4), FileNotFoundError, "nowhere is neither"),
            ((folder, 16, 5), FileNotFoundError, "no shot of 5 frames in its train split")):
        with pytest.raises(error, match=message):
            data.open_clips(*options)
