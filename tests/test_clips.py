"""Windows of consecutive frames, from folders and from videos."""
import json

import av
import numpy as np
import pytest
import torch

from colorlib.data.clips import Clips, find_shots, natural_order, read_video
from tests.data_samples import REAL, colorful, needs_real_data, save, truncate


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("COLORLIB_CACHE", str(tmp_path / "cache"))


def shade(i):
    """Frame number i: flat, its red channel tells the number."""
    return np.full((16, 24, 3), (10 * i, 60, 200), np.uint8)


def make_frames(folder, count, first=0, name="{:05d}.png"):
    for i in range(count):
        save(folder / name.format(first + i), shade(i))
    return folder


def make_video(path, count, codec="mpeg4", pixels="yuv420p", frame=shade):
    with av.open(str(path), "w") as video:
        stream = video.add_stream(codec, rate=10)
        stream.height, stream.width = frame(0).shape[:2]
        stream.pix_fmt = pixels
        if codec == "mpeg4":
            stream.bit_rate = 4_000_000
        for i in range(count):
            video.mux(stream.encode(av.VideoFrame.from_ndarray(frame(i), format="rgb24").reformat(format=pixels)))
        video.mux(stream.encode())
    return path


def numbers(sample):
    """Which frames a sample shows."""
    return [round(float(frame[0].float().mean()) / 10) for frame in sample["rgb"]]


def test_windows_are_consecutive_frames(tmp_path):
    make_frames(tmp_path / "a", 5)
    make_frames(tmp_path / "b/c", 3)
    make_frames(tmp_path / "short", 2)
    dataset = Clips(tmp_path, 3, 8)
    assert [s["id"] for s in dataset] == dataset.ids == ["a/00000.png", "a/00001.png", "a/00002.png", "b/c/00000.png"]
    assert [numbers(s) for s in dataset] == [[0, 1, 2], [1, 2, 3], [2, 3, 4], [0, 1, 2]]
    assert dataset[0]["rgb"].shape == (3, 3, 8, 8) and dataset[0]["rgb"].dtype == torch.uint8
    assert dataset[3]["clip"] == "b/c"
    assert [numbers(s) for s in Clips(tmp_path / "a", 2, 8, stride=2)] == [[0, 1], [2, 3]]


@pytest.mark.parametrize("first, name", [(0, "{}.png"), (998, "frame{}.png"), (1, "shot2_{:03d}.png")])
def test_frames_come_in_natural_order(tmp_path, first, name):
    make_frames(tmp_path / "a", 12, first, name)
    assert numbers(Clips(tmp_path, 12, 8)[0]) == list(range(12))


def test_natural_order():
    assert sorted(["10.png", "2.png", "a10b2", "a2b10", "1.png"], key=natural_order) == ["1.png", "2.png", "10.png",
                                                                                         "a2b10", "a10b2"]


@pytest.mark.parametrize("firsts, first_number", [([0, 4, 7], 0), ([0, 4, 7], 50), ([50, 54, 57], 50)])
@pytest.mark.parametrize("form", ["dict", "found", "list"])
def test_no_window_crosses_a_cut(tmp_path, firsts, first_number, form):
    make_frames(tmp_path / "a", 10, first_number)
    entry = {"clip": "a", "first_frame_of_each_shot": firsts, "frames": 10}
    shots = {"a": firsts} if form == "dict" else None
    if form != "dict":
        (tmp_path / "shots.json").write_text(json.dumps(entry if form == "found" else [entry]))
    assert [numbers(s) for s in Clips(tmp_path, 3, 8, shots=shots)] == [[0, 1, 2], [1, 2, 3], [4, 5, 6], [7, 8, 9]]


def test_no_window_crosses_a_missing_or_unreadable_frame(tmp_path):
    make_frames(tmp_path / "a", 12)
    (tmp_path / "a/00004.png").unlink()
    truncate(tmp_path / "a/00009.png", 0.4)
    dataset = Clips(tmp_path, 2, 8)
    assert [numbers(s) for s in dataset] == [[0, 1], [1, 2], [2, 3], [5, 6], [6, 7], [7, 8], [10, 11]]
    assert [name for name, _ in dataset.report.corrupt] == ["a/00009.png"]


def test_every_fifth_frame_is_no_gap(tmp_path):
    for i in range(6):
        save(tmp_path / f"a/{5 * i}.png", shade(i))
    assert len(Clips(tmp_path, 3, 8)) == 4


def test_grey_frames_stay_in_a_clip(tmp_path):
    for i in range(4):
        save(tmp_path / f"a/{i}.png", colorful(i)[..., 0])
    assert len(Clips(tmp_path, 4, 8)) == 1


@pytest.mark.parametrize("name, codec, pixels", [("v.mp4", "mpeg4", "yuv420p"), ("v.mkv", "ffv1", "bgr0"),
                                                 ("v.gif", "gif", "rgb8")])
def test_videos_are_clips(tmp_path, name, codec, pixels):
    make_video(tmp_path / name, 9, codec, pixels, lambda i: np.full((32, 48, 3), (25 * i, 60, 200), np.uint8))
    for dataset in (Clips(tmp_path, 4, 16), Clips(tmp_path / name, 4, 16)):
        assert dataset.ids[:2] == [f"{name}/000000", f"{name}/000001"] and len(dataset) == 6
        assert dataset[0]["rgb"].shape == (4, 3, 16, 16)
        reds = [float(frame[0].float().mean()) for frame in dataset[2]["rgb"]]
        assert np.allclose(reds, [50, 75, 100, 125], atol=20) and np.all(np.diff(reds) > 5)
    assert [s["id"] for s in Clips(tmp_path, 4, 16, shots={name: [0, 5]})] == [f"{name}/{i:06d}" for i in (0, 1, 5)]


def test_a_phone_video_stands_upright(tmp_path):
    """A track header that asks for a quarter turn clockwise: what lies at the left must come out on top."""
    left_red = np.zeros((32, 48, 3), np.uint8)
    left_red[:, :24, 0] = 255
    path = make_video(tmp_path / "v.mp4", 3, frame=lambda i: left_red)
    content = bytearray(path.read_bytes())
    # version and flags 4, times and ids 20, reserved 8, layer to volume 8
    at = content.index(b"tkhd") + 4 + 40
    assert content[at:at + 4] == b"\0\1\0\0"                 # the identity's first entry, 16.16 fixed point
    turn = np.array([[0, 1, 0], [-1, 0, 0], [0, 0, 0]]) * 0x10000
    turn[2, 2] = 0x40000000
    content[at:at + 36] = turn.astype(">i4").tobytes()
    path.write_bytes(content)
    frame = next(read_video(path))
    assert frame.shape == (48, 32, 3) and frame[:20, :, 0].mean() > 200 and frame[28:, :, 0].mean() < 50


def test_damaged_videos_are_named_and_skipped(tmp_path):
    make_frames(tmp_path / "a", 3)
    (tmp_path / "broken.mp4").write_bytes(b"nothing")
    dataset = Clips(tmp_path, 3, 8)
    assert len(dataset) == 1 and dataset.report.corrupt[0][0] == "broken.mp4"
    with pytest.raises(ValueError, match="no shot of 4 frames"):
        Clips(tmp_path, 4, 8)


def test_a_cut_off_video_keeps_its_beginning(tmp_path):
    rng = np.random.default_rng(0)
    make_video(tmp_path / "v.mkv", 30, "ffv1", "bgr0", lambda i: rng.integers(0, 256, (32, 48, 3), dtype=np.uint8))
    truncate(tmp_path / "v.mkv", 0.6)
    assert 10 < len(Clips(tmp_path, 1, 8)) < 25


def test_bad_arguments_are_refused(tmp_path):
    make_frames(tmp_path / "a", 3)
    with pytest.raises(ValueError, match="count from 1"):
        Clips(tmp_path, 0, 8)
    with pytest.raises(ValueError, match="known form"):
        Clips(tmp_path, 2, 8, shots={"a": 5})
    with pytest.raises(ValueError, match="nowhere is not a folder"):
        Clips(tmp_path / "nowhere", 2, 8)


def test_find_shots_without_numbers():
    class Frames:
        names = ["a", "b", "c"]
    assert list(find_shots(Frames, ["a", "b", "c"], [])) == [(0, 3)]
    assert list(find_shots(Frames, ["a", "c"], [])) == [(0, 1), (1, 2)]


@needs_real_data
def test_real_shots_are_not_crossed():
    dataset = Clips(f"{REAL}/video", 8, 32)
    starts = [int(one.split("/")[1][:5]) for one in dataset.ids if one.startswith("big_buck_bunny")]
    assert len(starts) == sum(count - 7 for count in (107, 46, 88, 83))
    assert not any(start < cut < start + 8 for start in starts for cut in (107, 153, 241))
