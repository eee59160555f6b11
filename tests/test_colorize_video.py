"""Whole clips in colour: names, settings, sound, runs that stop half-way and go on, and the command line."""
import errno
import json
import os
import warnings
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
import torch
from filelock import FileLock
from PIL import Image

import colorlib
from colorlib import __main__ as cli
from colorlib import albums, frames, video, zoo
from colorlib.data.video_writing import write_video
from colorlib.data.videos import Video
from tests.data_samples import colorful, save, truncate
from tests.test_videos import drift, make

pytestmark = pytest.mark.filterwarnings("ignore:What is painted so far is kept")
MODEL = torch.nn.Linear(2, 2)


class Painter:
    """Reddens frames the more the longer the shot lasts, so that what it remembers shows. Class attributes: what was asked of it, and when it
    breaks down."""
    calls, made, breaks_at, error = [], [], None, RuntimeError("the power failed")

    def __init__(self, method, model, **settings):
        Painter.made.append(settings)
        self.age = np.zeros(())

    def __call__(self, rgb, cut=False):
        if len(Painter.calls) == Painter.breaks_at:
            raise Painter.error
        Painter.calls.append(cut)
        self.age = np.zeros(()) if cut else self.age + 1
        return np.clip(rgb + np.array([8, 2, 0]) * min(self.age, 10), 0, 255).astype(np.uint8)

    def state_dict(self):
        return {"age": self.age}

    def load_state_dict(self, found):
        self.age = found["age"]


@pytest.fixture
def painter(monkeypatch):
    monkeypatch.setattr(frames, "FramePainter", Painter)
    monkeypatch.setattr(video, "PIECE", 4)
    Painter.calls, Painter.made, Painter.breaks_at, Painter.error = [], [], None, RuntimeError("the power failed")
    return Painter


def paint(source, output=None, **options):
    Painter.calls = []
    return video.colorize_video(source, output, options.pop("method", "koalarization"), **{"model": MODEL, "cuts": "none"} | options)


def content(path):
    return {file.name: file.read_bytes() for file in path.iterdir()} if path.is_dir() else path.read_bytes()


# ---------------------------------------------------------------- names and settings

def test_the_output_stands_beside_the_input(tmp_path, painter):
    clip = write_video(tmp_path / "clip.mp4", drift(6), rate=10)
    before = clip.read_bytes()
    assert paint(clip) == tmp_path / "clip_colorized.mp4" and clip.read_bytes() == before
    assert paint(str(clip), str(tmp_path / "other.webm")) == tmp_path / "other.webm"
    assert paint(write_video(tmp_path / "frames", drift(6))) == tmp_path / "frames_colorized"
    assert sorted(file.name for file in (tmp_path / "frames_colorized").iterdir()) == [f"{i:06d}.png" for i in range(6)]
    assert paint(make(tmp_path / "old.avi", drift(6), "mpeg4")) == tmp_path / "old_colorized.mp4"
    for name in ("clip_colorized.mp4", "other.webm", "frames_colorized", "old_colorized.mp4"):
        back = list(Video(tmp_path / name, rate=10 if name == "frames_colorized" else None))
        assert [frame.time for frame in back] == [Fraction(i, 10) for i in range(6)]
        redness = [frame.rgb[..., 0].astype(float).mean() - frame.rgb[..., 2].mean() for frame in back]
        assert redness[5] - redness[0] > 30
    assert not list(tmp_path.glob("*.partial"))


def test_the_input_is_never_overwritten(tmp_path, painter):
    clip, folder = write_video(tmp_path / "clip.mp4", drift(2)), write_video(tmp_path / "frames", drift(2))
    for source in (clip, folder):
        before = content(source)
        with pytest.raises(ValueError, match="is the input itself"):
            paint(source, source)
        assert content(source) == before
    with pytest.raises(ValueError, match="something in it"):
        paint(clip, folder)
    with pytest.raises(ValueError, match="suffix that can be written"):
        paint(clip, tmp_path / "clip.wmv")
    assert not painter.calls and len(list(tmp_path.iterdir())) == 2


def test_cuts_reach_the_painter(tmp_path, painter):
    bright = [np.clip(rgb.astype(int)[::-1] // 2 + 90, 0, 255).astype(np.uint8) for rgb in drift(5)]
    clip = write_video(tmp_path / "clip.mp4", drift(5) + bright)
    for cuts, firsts in (("none", [0]), ("auto", [0, 5]), ([3, 7], [0, 3, 7]), ((0,), [0])):
        paint(clip, cuts=cuts)
        assert [i for i, cut in enumerate(painter.calls) if cut] == firsts
    for cuts in ("sometimes", [10], [-1], ["x"], 5):
        with pytest.raises(ValueError, match="cuts"):
            paint(clip, cuts=cuts)


def test_settings_reach_the_painter(tmp_path, painter, monkeypatch):
    clip = write_video(tmp_path / "clip.mp4", drift(2))
    paint(clip, smooth=0.3, working_size=64, merge="bilinear")
    paint(clip)
    paint(clip, method="film", caption="a red car")
    paint(clip, method="hintnet", hints=[(3, 3, "red")])
    assert painter.made[0] == {"smooth": 0.3, "working_size": 64, "merge": "bilinear"} and painter.made[1]["smooth"] == frames.SMOOTH > 0
    assert painter.made[2]["caption"] == "a red car" and painter.made[3]["hints"] == [(3, 3, "red")]
    monkeypatch.setattr(zoo.get("koalarization").papers, "colorize_next", None, raising=False)      # a method that remembers by itself
    paint(clip)
    assert painter.made[4]["smooth"] == 0
    for options, sentence in (({"method": "magic"}, "no method 'magic'"), ({"caption": "red"}, "takes no caption"),
                              ({"method": "film"}, "needs caption")):
        with pytest.raises(ValueError, match=sentence):
            paint(clip, **options)
    assert not list(tmp_path.glob("*.partial"))


def test_one_call_of_the_package():
    assert colorlib.colorize_video is video.colorize_video


def test_sound_shape_and_stamps_are_the_inputs(tmp_path, painter):
    stamps = [0, 1, 4, 5, 6, 11, 12, 13, 20]
    clip = make(tmp_path / "clip.mp4", drift(9, 47, 63), pixels="yuv444p", stamps=stamps, sound="aac",
                prepare=lambda stream: setattr(stream.codec_context, "sample_aspect_ratio", Fraction(8, 9)))
    before, after = Video(clip), Video(paint(clip))
    assert after.sound == ("aac",) and after.size == (63, 47) and after.look.aspect == Fraction(8, 9)
    assert [frame.time for frame in after] == [frame.time for frame in before] == [Fraction(stamp, 10) for stamp in stamps]
    with av.open(str(clip)) as first, av.open(str(after.path)) as second:
        assert [bytes(p) for p in first.demux(audio=0)] == [bytes(p) for p in second.demux(audio=0)]


# ---------------------------------------------------------------- going on

@pytest.mark.parametrize("suffix", [".mp4", ".webm", ".mkv", ".gif", ""])
@pytest.mark.parametrize("stop, kept", [(2, 0), (4, 4), (11, 8), (17, 16)])
def test_a_run_that_stopped_goes_on_and_ends_the_same(tmp_path, painter, suffix, stop, kept):
    clip = write_video(tmp_path / "clip.mp4", drift(18), rate=10)
    whole = content(paint(clip, tmp_path / f"whole{suffix}", cuts=[6]))
    output, partial = tmp_path / f"out{suffix}", tmp_path / f"out{suffix}.partial"
    painter.breaks_at = stop
    with pytest.raises(RuntimeError, match="power"):
        paint(clip, output, cuts=[6])
    assert not output.exists() and partial.exists() == (kept > 0)
    painter.breaks_at = None
    assert content(paint(clip, output, cuts=[6])) == whole
    assert len(painter.calls) == 18 - kept and not partial.exists()


def test_conditions_are_read_for_the_first_frame_again(tmp_path, painter):
    clip = write_video(tmp_path / "clip.mp4", drift(10))
    painter.breaks_at = 6
    with pytest.raises(RuntimeError):
        paint(clip, method="hintnet", hints=[(3, 3, "red")])
    painter.breaks_at = None
    paint(clip, method="hintnet", hints=[(3, 3, "red")])
    assert len(painter.calls) == 7                      # frame 0, for its conditions alone, and 4 to 9


def test_what_another_run_left_is_not_used(tmp_path, painter):
    clip = write_video(tmp_path / "clip.mp4", drift(10))
    for changed, name in (({"smooth": 0.5}, "smooth"), ({"working_size": 32}, "working_size"), ({"model": torch.nn.Linear(2, 2)}, "weights"),
                          ({"cuts": "auto"}, "cuts")):
        painter.breaks_at = 6
        with pytest.raises(RuntimeError):
            paint(clip)
        painter.breaks_at = None
        with pytest.warns(UserWarning, match=f"a run that differs in {name}: starting anew"):
            paint(clip, **changed)
        assert len(painter.calls) == 10
    painter.breaks_at = 6
    with pytest.raises(RuntimeError):
        paint(clip)
    painter.breaks_at = None
    os.utime(clip, ns=(1, 1))
    with pytest.warns(UserWarning, match="differs in input: starting anew"):
        paint(clip)
    painter.breaks_at = 6
    with pytest.raises(RuntimeError):
        paint(clip)
    painter.breaks_at = None
    (tmp_path / "clip_colorized.mp4.partial/settings.json").write_text("{damaged")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        paint(clip)
    assert len(painter.calls) == 10


def test_damage_half_way_keeps_what_is_done(tmp_path, painter):
    folder = write_video(tmp_path / "frames", drift(12))
    truncate(folder / "000009.png")
    output = tmp_path / "out.mp4"
    with pytest.raises(ValueError, match="Frame 000009.png of .* after 9 frames"), pytest.warns(UserWarning, match="kept in .*out.mp4.partial"):
        paint(folder, output)
    assert not output.exists() and len(list((tmp_path / "out.mp4.partial").glob("*.nut"))) == 2
    with pytest.warns(UserWarning, match="taken were the 9 frames before"):
        paint(folder, output, allow_truncated=True)
    assert len(painter.calls) == 1 and len(list(Video(output))) == 9 and not (tmp_path / "out.mp4.partial").exists()


def test_a_file_known_to_be_bad_leaves_nothing(tmp_path, painter):
    clip = write_video(tmp_path / "clip.mp4", list(np.random.default_rng(0).integers(0, 256, (12, 48, 64, 3), dtype=np.uint8)))
    truncate(clip, 0.6)
    with pytest.raises(ValueError, match="clip.mp4 is cut short"):
        paint(clip)
    assert not painter.calls and [file.name for file in tmp_path.iterdir()] == ["clip.mp4"]
    with pytest.warns(UserWarning, match="cut short|damaged"):
        assert 2 < len(list(Video(paint(clip, allow_truncated=True)))) < 12


def test_two_runs_do_not_write_one_output(tmp_path, painter):
    clip = write_video(tmp_path / "clip.mp4", drift(3))
    partial = tmp_path / "clip_colorized.mp4.partial"
    partial.mkdir()
    with FileLock(partial / "lock"):
        with pytest.raises(ValueError, match="clip_colorized.mp4 is being made by another run"):
            paint(clip)
        assert partial.is_dir() and not painter.calls
    paint(clip)
    assert not partial.exists()


def test_a_full_disk_passes_through(tmp_path, painter):
    clip = write_video(tmp_path / "clip.mp4", drift(10))
    painter.breaks_at, painter.error = 5, OSError(errno.ENOSPC, "No space left on device")
    with pytest.raises(OSError, match="No space left"):
        paint(clip)
    painter.breaks_at = None
    paint(clip)
    assert len(painter.calls) == 6


def test_the_output_appears_whole_or_not_at_all(tmp_path, painter, monkeypatch):
    clip = write_video(tmp_path / "clip.mp4", drift(10))
    output = tmp_path / "clip_colorized.mp4"
    output.write_bytes(b"of before")
    replace = os.replace
    monkeypatch.setattr(os, "replace", lambda a, b: (_ for _ in ()).throw(OSError("stopped")) if Path(b) == output else replace(a, b))
    with pytest.raises(OSError, match="stopped"):
        paint(clip)
    assert output.read_bytes() == b"of before" and len(painter.calls) == 10
    monkeypatch.setattr(os, "replace", replace)
    paint(clip)
    assert not painter.calls and len(list(Video(output))) == 10


# ---------------------------------------------------------------- real methods, and the command line

@pytest.fixture
def workshop(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_real_method_paints_pictures_and_clips_in_one_call(workshop, capsys):
    gray = [np.repeat(cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)[..., None], 3, -1) for rgb in drift(5)]
    save(workshop / "in/photo.png", colorful())
    write_video("in/clip.mp4", gray)
    write_video("in/moving.gif", gray)
    Image.fromarray(gray[0]).save("in/still.gif")
    make("in/done_colorized.mp4", gray)
    arguments = ["colorize", "in", "-o", "out", "--method", "koalarization", "--working-size", "32", "--device", "cpu"]
    assert cli.main(arguments) == 0, capsys.readouterr().err
    made = ["clip_colorized.mp4", "moving_colorized.gif", "photo_colorized.png", "still_colorized.png"]
    assert sorted(path.name for path in Path("out").iterdir()) == made
    before, after = list(Video("in/clip.mp4")), list(Video("out/clip_colorized.mp4"))
    assert len(after) == 5 and max(np.ptp(frame.rgb.astype(int), -1).mean() for frame in after) > 3
    luma = lambda frame: cv2.cvtColor(frame.rgb, cv2.COLOR_RGB2LAB)[..., 0].astype(float)
    assert max(np.abs(luma(a) - luma(b)).mean() for a, b in zip(before, after)) < 3


@pytest.mark.parametrize("method, smooth", [("tcvc", 0.0), ("koalarization", 0.8)])
def test_real_memories_go_on_to_the_byte(tmp_path, monkeypatch, method, smooth):
    """A recurrent network's frame before, and the colours that smoothing carries."""
    torch.manual_seed(0)
    papers = zoo.get(method).papers
    model = papers.build(papers.PRESETS["smoke"], pretrained=False).eval().requires_grad_(False)
    options = {"model": model, "smooth": smooth, "working_size": 32}
    monkeypatch.setattr(video, "PIECE", 4)
    clip = write_video(tmp_path / "clip.mp4", drift(7))
    whole, paint_frame, calls = video.colorize_video(clip, tmp_path / "whole.mp4", method, **options), frames.FramePainter.__call__, []

    def break_down(painter, rgb, cut=False):
        calls.append(rgb)
        if len(calls) == 6:
            raise RuntimeError("the power failed")
        return paint_frame(painter, rgb, cut)
    monkeypatch.setattr(frames.FramePainter, "__call__", break_down)
    with pytest.raises(RuntimeError):
        video.colorize_video(clip, None, method, **options)
    assert video.colorize_video(clip, None, method, **options).read_bytes() == whole.read_bytes() and len(calls) == 6 + 3


def test_folders_of_frames_on_the_command_line(workshop, painter, monkeypatch, capsys):
    monkeypatch.setattr(zoo, "load", lambda *args, **options: MODEL)
    write_video("frames", drift(6))
    assert cli.main(["colorize", "frames", "--frames", "12", "-o", "out.mp4", "--method", "koalarization", "--smooth", "0.25", "--cuts", "none"]) == 0
    assert capsys.readouterr().out.strip() == "out.mp4" and Video("out.mp4").look.rate == 12 and painter.made[-1]["smooth"] == 0.25
    assert cli.main(["colorize", "frames", "--frames", "12", "--method", "koalarization"]) == 0 and len(list(Path("frames_colorized").iterdir())) == 6
    assert cli.main(["colorize", "frames", "--frames", "often", "-o", "two.mp4", "--method", "koalarization"]) == 1
    assert "frames a second above 0" in capsys.readouterr().err


def test_one_method_paints_clips_and_pictures(workshop, painter, monkeypatch):
    asked = []
    monkeypatch.setattr(zoo, "load", lambda method, *args, **options: asked.append(method) or MODEL)

    def refuse(sources, method, **options):
        asked.append(f"{method} of {sources[0]}")
        return [(sources[0], ValueError("enough"))]
    monkeypatch.setattr(albums, "colorize_many", refuse)
    save(workshop / "photo.png", colorful())
    write_video("clip.mp4", drift(2))
    assert cli.main(["colorize", "clip.mp4", "photo.png"]) == 1
    assert asked == [zoo.BEST[""], f"{zoo.BEST['']} of photo.png"] and Path("clip_colorized.mp4").exists()


def test_a_bad_clip_does_not_stop_the_others(workshop, painter, monkeypatch, capsys):
    monkeypatch.setattr(zoo, "load", lambda *args, **options: MODEL)
    noise = list(np.random.default_rng(0).integers(0, 256, (12, 48, 64, 3), dtype=np.uint8))
    truncate(write_video("a.mp4", noise), 0.6)
    write_video("b.mp4", drift(3))
    arguments = ["colorize", "a.mp4", "gone.mp4", "b.mp4", "--method", "koalarization"]
    assert cli.main(arguments) == 1
    captured = capsys.readouterr()
    assert captured.out.strip() == "b_colorized.mp4" and captured.err.count("\n") == 2
    assert "a.mp4 is cut short" in captured.err and "gone.mp4" in captured.err
    assert cli.main(["colorize", "a.mp4", "--allow-truncated", "--method", "koalarization"]) == 0
    assert "taken were the" in capsys.readouterr().err and Path("a_colorized.mp4").exists()
    assert cli.main(["colorize", "b.mp4", "-o", "b.mp4", "--method", "koalarization"]) == 1 and "the input itself" in capsys.readouterr().err


def test_settings_are_readable(tmp_path, painter):
    clip = write_video(tmp_path / "clip.mp4", drift(6))
    painter.breaks_at = 5
    with pytest.raises(RuntimeError):
        paint(clip)
    found = json.loads((tmp_path / "clip_colorized.mp4.partial/settings.json").read_text())
    assert found["method"] == "koalarization" and found["version"] == colorlib.__version__ and len(found["weights"]) == 64
