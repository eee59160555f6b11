"""Clips in and out: every container, odd sizes, uneven time stamps, turned and stretched pictures, colour matrices, sound, and whatever can be
wrong with a file."""
import shutil
import warnings
from fractions import Fraction

import av
import cv2
import numpy as np
import pytest
from PIL import Image

from colorlib import data
from colorlib.data.cuts import find_cuts, mark_cuts
from colorlib.data.video_structure import inspect
from colorlib.data.video_writing import colorized_name, write_video
from colorlib.data.videos import Frame, Video, is_clip
from colorlib.scenes import make_clip
from tests.data_samples import colorful, save, truncate

CONTAINERS = (".mp4", ".mov", ".m4v", ".mkv", ".webm", ".gif", "")
BT709, BT601, BT2020 = 1, 6, 9


def drift(count=8, height=48, width=64):
    """Frames `(H, W, 3)` uint8 of a smooth picture that moves to the left."""
    wide = cv2.GaussianBlur(np.random.default_rng(3).integers(0, 256, (height, width + 4 * count, 3), dtype=np.uint8), (0, 0), 4)
    wide = cv2.normalize(wide, None, 20, 235, cv2.NORM_MINMAX)
    return [np.ascontiguousarray(wide[:, 4 * i:4 * i + width]) for i in range(count)]


def make(path, frames, codec="libx264", pixels="yuv420p", stamps=None, base=Fraction(1, 10), sound=None, onset=0.25, prepare=lambda stream: None,
         rate=10, options=None, tags=(2, 0)):
    """A clip by PyAV alone. stamps: of the frames, in units of `base`; sound: a codec, whose noise begins at `onset` seconds; tags: colour matrix
    and range."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=rate, options=options or {})
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt, stream.time_base = pixels, base
        stream.codec_context.time_base, stream.codec_context.colorspace, stream.codec_context.color_range = base, *tags
        prepare(stream)
        track = container.add_stream(sound, rate=48000, layout="stereo") if sound else None
        for i, rgb in enumerate(frames):
            colors = {} if pixels in ("bgr0", "rgb8") else {"dst_colorspace": {2: 5, 6: 5}.get(tags[0], tags[0]), "dst_color_range": tags[1] or 1}
            frame = av.VideoFrame.from_ndarray(rgb, format="rgb24").reformat(format=pixels, **colors)
            frame.pts, frame.time_base = i if stamps is None else stamps[i], base
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
        if track:
            wave = np.zeros((1, 2 * int(48000 * len(frames) / rate)), np.int16)
            wave[0, int(2 * 48000 * onset):] = np.random.default_rng(0).integers(-9000, 9000, wave.shape[1] - int(2 * 48000 * onset))
            noise = av.AudioFrame.from_ndarray(wave, format="s16", layout="stereo")
            noise.sample_rate, noise.pts, noise.time_base = 48000, 0, Fraction(1, 48000)
            container.mux(track.encode(noise))
            container.mux(track.encode())
    return path


def times(path, **options):
    return [frame.time for frame in Video(path, **options)]


def hear(path):
    """(codec, seconds at which the noise begins, seconds of sound)."""
    with av.open(str(path)) as container:
        frames = list(container.decode(audio=0))
        left = np.concatenate([np.abs(frame.to_ndarray()[0, ::2 if frame.format.is_packed else 1].astype(float)) for frame in frames])
        rate, first = frames[0].sample_rate, float(frames[0].pts * frames[0].time_base)
        return container.streams.audio[0].codec_context.codec.canonical_name, first + np.argmax(left > left.max() / 4) / rate, len(left) / rate


# ---------------------------------------------------------------- there and back

@pytest.mark.parametrize("suffix", CONTAINERS)
@pytest.mark.parametrize("height, width", [(48, 64), (47, 63), (33, 64)])
def test_every_container_keeps_size_count_and_stamps(tmp_path, suffix, height, width):
    frames = drift(9, height, width)
    path = write_video(tmp_path / f"clip{suffix}", frames, rate=10)
    assert path == tmp_path / f"clip{suffix}" and [file.name for file in tmp_path.iterdir()] == [path.name]
    video = Video(path, rate=None if suffix else 10)
    back = list(video)
    assert video.size == (width, height) and [frame.time for frame in back] == [Fraction(i, 10) for i in range(9)]
    assert back[-1].duration == Fraction(1, 10) and [frame.index for frame in back] == list(range(9))
    assert video.count == (None if suffix in (".mkv", ".webm") else 9) and video.duration == Fraction(9, 10)
    if suffix == "":
        assert all((frame.rgb == true).all() for frame, true in zip(back, frames))
    assert min(cv2.PSNR(frame.rgb, true) for frame, true in zip(back, frames)) > (24 if suffix == ".gif" else 30)


@pytest.mark.parametrize("suffix", [".mp4", ".webm", ".gif"])
def test_clips_of_any_length(tmp_path, suffix):
    """Of seven frames of H.264 ffmpeg does not know in which order they were encoded."""
    for count in (1, 2, 6, 7, 8, 9):
        assert times(write_video(tmp_path / f"{count}{suffix}", drift(count), rate=10)) == [Fraction(i, 10) for i in range(count)]


@pytest.mark.parametrize("suffix, limit", [(".mp4", 0), (".mov", 0), (".mkv", Fraction(1, 2000)), (".webm", Fraction(1, 2000))])
def test_uneven_time_stamps_stay(tmp_path, suffix, limit):
    stamps = [3, 4, 9, 10, 17, 30, 31, 40]
    source = make(tmp_path / "clip.mkv", drift(), stamps=stamps, base=Fraction(1, 1000), rate=1000) if suffix in (".mkv", ".webm") else \
        make(tmp_path / "clip.mp4", drift(), stamps=stamps, base=Fraction(1001, 30000))
    video = Video(source)
    before = list(video)
    after = list(Video(write_video(tmp_path / f"out{suffix}", video, like=video)))
    assert np.ptp(np.diff([float(frame.time) for frame in before])) > 0
    assert max(abs(a.time - b.time) for a, b in zip(before, after, strict=True)) <= limit
    assert after[-1].duration == before[-1].duration


def test_a_gif_keeps_its_pauses(tmp_path):
    pictures = [Image.fromarray(rgb) for rgb in drift(5)]
    pictures[0].save(tmp_path / "clip.gif", save_all=True, append_images=pictures[1:], duration=[70, 200, 30, 1000, 400], loop=0)
    video = Video(tmp_path / "clip.gif")
    back = list(Video(write_video(tmp_path / "out.gif", video, like=video)))
    assert [frame.time for frame in back] == [frame.time for frame in video] == [Fraction(stamp, 100) for stamp in (0, 7, 27, 30, 130)]
    assert back[-1].duration == Fraction(2, 5)


@pytest.mark.parametrize("turn", [90, 180, 270])
def test_a_turned_clip_stands_upright(tmp_path, turn):
    left_red = np.zeros((32, 48, 3), np.uint8)
    left_red[:, :24, 0] = 255
    path = make(tmp_path / "clip.mp4", [left_red] * 3,
                prepare=lambda stream: (stream.set_display_rotation(turn), setattr(stream.codec_context, "sample_aspect_ratio", Fraction(4, 3))))
    video = Video(path)
    out = Video(write_video(tmp_path / "out.mp4", video, like=video))
    upright = np.rot90(left_red, turn // 90)
    for clip in (video, out):
        assert clip.size == upright.shape[1::-1] and clip.look.aspect == (Fraction(4, 3) if turn == 180 else Fraction(3, 4))
        assert all(np.abs(frame.rgb.astype(int) - upright).mean() < 12 for frame in clip)
    with av.open(str(tmp_path / "out.mp4")) as container:
        assert next(container.decode(video=0)).rotation == 0


@pytest.mark.parametrize("matrix", [BT709, BT601, BT2020])
@pytest.mark.parametrize("full", [False, True])
def test_greys_keep_their_luma_and_colours_their_matrix(tmp_path, matrix, full):
    gray = np.repeat(np.arange(256, dtype=np.uint8).reshape(1, 16, 16, 1).repeat(3, -1).repeat(4, 1).repeat(4, 2), 3, 0)
    red = np.full((64, 64, 3), (200, 40, 60), np.uint8)
    video = Video(make(tmp_path / "clip.mp4", [*gray, red], options={"crf": "0"}, tags=(matrix, 1 + full)))
    back = Video(write_video(tmp_path / "out.mp4", video, like=video))
    assert np.abs(list(video)[3].rgb.astype(int) - red).max() <= 4
    lumas = []
    for clip in (video, back):
        assert (clip.look.matrix, clip.look.full_range) == (matrix, full)
        with av.open(str(clip.path)) as container:
            lumas.append(np.stack([frame.to_ndarray()[:64].astype(int) for frame in container.decode(video=0)]))
    coarse = [luma.reshape(4, 16, 4, 16, 4).mean((2, 4)) for luma in lumas]          # H.264 at crf 16 is not lossless in every pixel
    assert np.abs(coarse[0] - coarse[1]).max() <= 1
    assert np.abs(list(back)[3].rgb.astype(int) - red).mean() <= 4


@pytest.mark.parametrize("height, matrix", [(64, BT601), (720, BT709)])
def test_a_clip_that_names_no_matrix_is_read_by_its_size(tmp_path, height, matrix):
    rgb = np.full((height, 16, 3), (200, 40, 60), np.uint8)
    with av.open(str(tmp_path / "clip.mkv"), "w") as container:
        stream = container.add_stream("libx264", rate=10, options={"crf": "0"})
        stream.height, stream.width, stream.pix_fmt = height, 16, "yuv444p"
        frame = av.VideoFrame.from_ndarray(rgb, format="rgb24")
        frame = frame.reformat(format="yuv444p", dst_colorspace=5 if matrix == BT601 else matrix, dst_color_range=1)
        plain = av.VideoFrame.from_ndarray(frame.to_ndarray(), format="yuv444p")          # without tags
        container.mux(stream.encode(plain))
        container.mux(stream.encode())
    assert np.abs(next(iter(Video(tmp_path / "clip.mkv"))).rgb.astype(int) - rgb).max() <= 3


def test_transparent_parts_are_shown_on_white(tmp_path):
    pictures = [Image.fromarray(np.dstack([rgb, np.full(rgb.shape[:2], 255 * (i == 0), np.uint8)])) for i, rgb in enumerate(drift(2))]
    pictures[1].paste((255, 0, 0, 255), (0, 0, 10, 10))
    pictures[0].save(tmp_path / "0.png")
    pictures[1].save(tmp_path / "1.png")
    pictures[1].save(tmp_path / "clip.gif", save_all=True, append_images=pictures[1:], disposal=2)
    for rgb in ([frame.rgb for frame in Video(tmp_path)][1], next(iter(Video(tmp_path / "clip.gif"))).rgb):
        assert (rgb[20:, 20:] == 255).all() and (np.abs(rgb[:10, :10].astype(int) - (255, 0, 0)) < 4).all()


def test_a_folder_of_frames_comes_in_natural_order(tmp_path):
    frames = drift(12)
    for i, rgb in enumerate(frames):
        save(tmp_path / f"in/shot{i}.png", rgb)
    (tmp_path / "in/notes.txt").write_text("no frame")
    video = Video(tmp_path / "in", rate="30000/1001")
    assert [frame.name for frame in video][9:11] == ["shot9.png", "shot10.png"] and times(tmp_path / "in", rate=12)[-1] == Fraction(11, 12)
    assert all((frame.rgb == rgb).all() for frame, rgb in zip(video, frames, strict=True))
    out = write_video(tmp_path / "out", video, like=video)
    assert sorted(file.name for file in out.iterdir()) == sorted(f"shot{i}.png" for i in range(12))
    film = Video(write_video(tmp_path / "out.mp4", video, like=video))
    assert [frame.time for frame in film] == [i * Fraction(1001, 30000) for i in range(12)]


# ---------------------------------------------------------------- sound

def sound_packets(path):
    with av.open(str(path)) as container:
        return [bytes(packet) for packet in container.demux(audio=0) if packet.size]


@pytest.mark.parametrize("name, codec, sound, suffix", [
    ("clip.mp4", "libx264", "aac", ".mp4"), ("clip.mp4", "libx264", "aac", ".mov"), ("clip.webm", "libvpx-vp9", "libopus", ".webm"),
    ("clip.mkv", "libx264", "flac", ".mkv"), ("clip.avi", "mpeg4", "mp3", ".mp4"), ("clip.mov", "libx264", "pcm_s16le", ".mov")])
def test_sound_is_copied_where_the_container_can_hold_it(tmp_path, name, codec, sound, suffix):
    video = Video(make(tmp_path / name, drift(), codec, sound=sound))
    out = write_video(tmp_path / f"out{suffix}", video, like=video)
    assert b"".join(sound_packets(out)) == b"".join(sound_packets(tmp_path / name)) and Video(out).sound == video.sound
    assert abs(hear(out)[1] - hear(tmp_path / name)[1]) < 0.002
    assert [frame.time for frame in Video(out)] == [frame.time for frame in video]


@pytest.mark.parametrize("name, codec, sound, suffix, into", [
    ("clip.mkv", "libx264", "pcm_s16le", ".mp4", "aac"), ("clip.mp4", "libx264", "aac", ".webm", "opus"),
    ("clip.webm", "libvpx-vp9", "libopus", ".mov", "aac"), ("clip.ts", "libx264", "mp2", ".m4v", "aac")])
def test_sound_is_converted_where_it_cannot(tmp_path, name, codec, sound, suffix, into):
    video = Video(make(tmp_path / name, drift(), codec, sound=sound))
    out = write_video(tmp_path / f"out{suffix}", video, like=video)
    (kind, onset, length), (_, onset_before, length_before) = hear(out), hear(tmp_path / name)
    assert kind == into and abs(onset - onset_before) < 0.005 and abs(length - length_before) < 0.05
    assert max(abs(a.time - b.time) for a, b in zip(Video(out), video, strict=True)) <= Fraction(1, 2000)


def test_sound_that_starts_late_stays_late(tmp_path):
    source = make(tmp_path / "clip.mp4", drift(), stamps=[5 + i for i in range(8)], sound="aac")
    video = Video(source)
    out = write_video(tmp_path / "out.mp4", video, like=video)
    assert times(out) == times(source) and times(out)[0] > 0.4 and abs(hear(out)[1] - hear(source)[1]) < 0.002


def test_sound_that_is_lost_is_told(tmp_path, monkeypatch):
    video = Video(make(tmp_path / "clip.mp4", drift(), sound="aac"))
    with pytest.warns(UserWarning, match="out.gif has no sound: .gif holds no sound"):
        write_video(tmp_path / "out.gif", video, like=video)
    from colorlib.data import video_writing
    monkeypatch.setattr(video_writing, "_add_sound", lambda *_: (_ for _ in ()).throw(ValueError("no encoder")))
    with pytest.warns(UserWarning, match="out.mp4 has no sound: no encoder"):
        write_video(tmp_path / "out.mp4", video, like=video)
    assert not Video(tmp_path / "out.mp4").sound and len(times(tmp_path / "out.mp4")) == 8


# ---------------------------------------------------------------- what can be wrong

def bad_file(folder, kind):
    """A file that is no whole clip."""
    noise = list(np.random.default_rng(0).integers(0, 256, (20, 48, 64, 3), dtype=np.uint8))
    path = folder / f"clip{'.' + kind.split()[-1]}"
    if kind.startswith("cut"):
        make(path, noise, *{"webm": ("libvpx-vp9",), "avi": ("mpeg4",), "gif": ("gif", "rgb8")}.get(path.suffix[1:], ()),
             options={"movflags": "+faststart"} if "index first" in kind else None)
        if "index first" in kind:
            shutil.copy(write_video(folder / "whole.mp4", noise), path)
            (folder / "whole.mp4").unlink()
        truncate(path, 0.6)
    elif kind == "sound only mp4":
        with av.open(str(path), "w") as container:
            track = container.add_stream("aac", rate=48000, layout="mono")
            silence = av.AudioFrame.from_ndarray(np.zeros((1, 9600), np.int16), format="s16", layout="mono")
            silence.sample_rate, silence.pts = 48000, 0
            container.mux(track.encode(silence))
            container.mux(track.encode())
    elif kind.startswith("picture"):
        save(folder / "picture.png", colorful())
        (folder / "picture.png").rename(path)
    elif kind.startswith("text"):
        path.write_text("This is not a clip.\n" * 40)
    elif kind.startswith("empty"):
        path.touch()
    elif kind.startswith("zeros"):                     # the middle of a whole file, overwritten
        shutil.copy(write_video(folder / "whole.mp4", noise), path)
        content = bytearray(path.read_bytes())
        content[len(content) // 2:len(content) // 2 + len(content) // 4] = bytes(len(content) // 4)
        path.write_bytes(content)
    return path


@pytest.mark.parametrize("kind, sentence", [
    ("cut mp4", "is cut short (its index is missing)"), ("cut, index first mp4", "is cut short"), ("cut mov", "is cut short"),
    ("cut mkv", "is cut short"), ("cut webm", "is cut short"), ("cut avi", "is cut short"), ("cut gif", "is cut short (it has no end mark)"),
    ("sound only mp4", "holds sound but no moving"), ("picture mp4", "is a picture, not a video"), ("picture mkv", "is a picture, not a video"),
    ("text mp4", "is not a video"), ("text gif", "is not a video"),
    ("empty mp4", "is empty"), ("missing mp4", "does not exist"), ("zeros mp4", "is damaged")])
def test_bad_files_end_in_one_sentence(tmp_path, kind, sentence):
    path = bad_file(tmp_path, kind)
    with pytest.raises((ValueError, FileNotFoundError)) as caught:
        list(Video(path))
    assert sentence in str(caught.value) and path.name in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("kind", ["cut, index first mp4", "cut mkv", "cut webm", "cut avi", "cut gif", "zeros mp4"])
def test_what_comes_before_the_damage_can_be_taken(tmp_path, kind):
    path = bad_file(tmp_path, kind)
    with pytest.warns(UserWarning, match="taken were the"):
        frames = list(Video(path, allow_truncated=True))
    assert 2 < len(frames) < 20 and [frame.index for frame in frames] == list(range(len(frames)))


def test_a_file_without_its_index_cannot_be_rescued(tmp_path):
    with pytest.raises(ValueError, match="nothing of it can be read"):
        Video(bad_file(tmp_path, "cut mp4"), allow_truncated=True)


def test_frames_of_another_size_are_refused(tmp_path):
    with av.open(str(tmp_path / "clip.avi"), "w") as container:
        stream = container.add_stream("mjpeg", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuvj420p"
        for i, side in enumerate((48, 48, 32)):
            codec = av.CodecContext.create("mjpeg", "w")
            codec.width, codec.height, codec.pix_fmt, codec.time_base = 64, side, "yuvj420p", Fraction(1, 10)
            frame = av.VideoFrame.from_ndarray(np.zeros((side, 64, 3), np.uint8), format="rgb24").reformat(format="yuvj420p")
            for packet in codec.encode(frame) + codec.encode():
                packet.pts = packet.dts = i
                packet.time_base, packet.stream = Fraction(1, 10), stream
                container.mux(packet)
    for i, side in enumerate((48, 48, 32)):
        save(tmp_path / f"frames/{i}.png", np.zeros((side, 64, 3), np.uint8))
    for source in (tmp_path / "clip.avi", tmp_path / "frames"):
        with pytest.raises(ValueError, match="64 x 32 pixels, the frames before it 64 x 48: bring all frames to one size"):
            list(Video(source))


def test_bad_folders_and_arguments_are_refused(tmp_path):
    with pytest.raises(ValueError, match="holds no pictures"):
        Video(tmp_path)
    save(tmp_path / "1.png", colorful())
    for rate in (0, -3, "fast", float("nan"), "1/0"):
        with pytest.raises(ValueError, match="frames a second above 0"):
            Video(tmp_path, rate=rate)
    save(tmp_path / "1.jpg", colorful())
    with pytest.raises(ValueError, match="two frames called 1"):
        Video(tmp_path)
    (tmp_path / "1.jpg").unlink()
    save(tmp_path / "2.png", colorful())
    truncate(tmp_path / "2.png")
    with pytest.raises(ValueError, match="Frame 2.png of .* cannot be read .* after 1 frames"):
        list(Video(tmp_path))
    with pytest.warns(UserWarning, match="taken were the 1 frames before"):
        assert len(list(Video(tmp_path, allow_truncated=True))) == 1
    clip = write_video(tmp_path / "clip.mp4", drift(2))
    with pytest.raises(ValueError, match="leave the rate out"):
        Video(clip, rate=25)


def test_bad_outputs_are_refused_and_leave_nothing(tmp_path):
    for name, sentence in (("clip.avi", "suffix that can be written"), ("gone/clip.mp4", "does not exist"), (".", "something in it")):
        (tmp_path / "keep").touch()
        with pytest.raises((ValueError, FileNotFoundError), match=sentence):
            write_video(tmp_path / name, drift(2))
    with pytest.raises(ValueError, match="There are no frames"):
        write_video(tmp_path / "clip.mp4", [])
    for name in ("clip.mp4", "clip.gif", "clip"):
        with pytest.raises(ValueError, match="Frame 1 has shape"):
            write_video(tmp_path / name, [np.zeros((32, 32, 3), np.uint8), np.zeros((32, 30, 3), np.uint8)])
    assert [file.name for file in tmp_path.iterdir()] == ["keep"]


def test_structure_is_read_without_decoding(tmp_path):
    for suffix in (".mp4", ".mkv", ".webm", ".gif"):
        path = write_video(tmp_path / f"clip{suffix}", drift(5))
        assert inspect(path) == (None, 5 if suffix == ".gif" else 0)
        content = path.read_bytes()
        for length in (len(content) - 1, len(content) // 2, 100):
            path.write_bytes(content[:length])
            assert inspect(path)[0]
    assert is_clip("x.MP4") and is_clip("gone.webm") and not is_clip("x.png") and not is_clip(tmp_path / "gone.gif")
    still, moving = tmp_path / "still.gif", write_video(tmp_path / "moving.gif", drift(2))
    Image.fromarray(colorful()).save(still)
    assert is_clip(moving) and not is_clip(still)


def test_names_of_outputs(tmp_path):
    assert [colorized_name(name) for name in ("a/clip.mp4", "clip.MOV", "old.avi", "x.gif")] == \
        ["clip_colorized.mp4", "clip_colorized.MOV", "old_colorized.mp4", "x_colorized.gif"]
    folder = write_video(tmp_path / "shot.1_colorized", drift(2))
    assert colorized_name(folder) == "shot.1_colorized_colorized" and len(list(Video(folder))) == 2


# ---------------------------------------------------------------- cuts

def as_frames(pictures):
    return [Frame(rgb, Fraction(i, 24), Fraction(1, 24), i, str(i)) for i, rgb in enumerate(pictures)]


@pytest.fixture(scope="module")
def shots():
    return [make_clip(seed, frames=8, size=64).rgb for seed in range(4000, 4008)]


def test_cuts_between_scenes_are_found(shots):
    pictures = np.concatenate(shots)
    assert find_cuts(as_frames(pictures)) == list(range(0, 64, 8))
    gray = np.repeat(np.stack([cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY) for rgb in pictures])[..., None], 3, -1)
    assert find_cuts(as_frames(gray)) == list(range(0, 64, 8))
    faded = (100 + 0.3 * (gray.astype(float) - 128)).astype(np.uint8)
    assert set(find_cuts(as_frames(faded))) <= set(range(0, 64, 8)) and len(find_cuts(as_frames(faded))) >= 7


def test_flash_flicker_fade_and_pan_are_no_cuts(shots):
    calm = list(np.concatenate(shots[:1])) + list(shots[0][::-1])
    flash = calm[:5] + [np.full_like(calm[0], 255)] + calm[5:]
    bright = [(rgb * (0.7 if i % 2 else 1.0)).astype(np.uint8) for i, rgb in enumerate(calm)]
    fade = [(rgb * (1 - i / 16)).astype(np.uint8) for i, rgb in enumerate(calm)]
    wide = cv2.GaussianBlur(np.random.default_rng(0).integers(0, 256, (64, 400, 3), dtype=np.uint8), (0, 0), 5)
    pan = [np.ascontiguousarray(cv2.normalize(wide, None, 0, 255, cv2.NORM_MINMAX)[:, 20 * i:20 * i + 64]) for i in range(16)]
    for pictures in (flash, bright, fade, pan, [np.zeros_like(calm[0])] * 5):
        assert find_cuts(as_frames(pictures)) == [0]


def test_cuts_keep_frames_in_order_however_few(shots):
    for count in range(6):
        frames = as_frames(np.concatenate([shots[0][:2], shots[1][:4]])[:count])
        marked = list(mark_cuts(iter(frames)))
        assert [frame.index for frame, _ in marked] == list(range(count)) and [first for _, first in marked] == [i in (0, 2) for i in range(count)]


def test_reading_says_nothing_about_a_good_clip(tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for suffix in CONTAINERS:
            path = write_video(tmp_path / f"clip{suffix}", drift(3))
            assert len(list(Video(path, allow_truncated=True))) == 3


def test_a_clip_in_words(tmp_path, shots):
    clip = make(tmp_path / "clip.mp4", list(np.concatenate(shots[:3])), sound="aac")
    assert data.describe(clip) == f"{clip}: 24 frames of 64 x 64, 10 a second, 2.40 s; sound: aac\nshots: 3, beginning with frame 0, 8, 16"
    truncate(clip, 0.7)
    with pytest.raises(ValueError, match="is cut short"):
        data.describe(clip)
