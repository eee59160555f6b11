"""Clips in: the frames of video files, GIFs and folders of pictures, one at a time, upright and with their time stamps, by PyAV, whose wheels
bring ffmpeg."""
import os
import re
import warnings
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

import av
import numpy as np
from av.video.reformatter import Interpolation

from colorlib.data.clips import VIDEO_SUFFIXES, natural_order
from colorlib.data.sources import PICTURE_SUFFIXES, decode
from colorlib.data.video_structure import NO_INDEX, inspect

__all__ = ["Video", "Frame", "Look", "is_clip"]

FORMATS = {"mov", "matroska", "avi", "gif", "mpegts", "mpeg", "flv", "ogg", "asf", "nut"}      # what can be read, in ffmpeg's words
PICTURE_FORMATS = ("_pipe", "image2", "apng", "ico")
KNOWN = ("m4a", "wav", "mp3", "flac", "aac", "apng", "ico", "webp")             # told by name when they are given
PIPES = sorted(name for name in av.formats_available if name.endswith("_pipe") and name != "svg_pipe")
OPEN = {"protocol_whitelist": "file", "format_whitelist": ",".join([*sorted(FORMATS), *KNOWN, *PIPES])}
FOLDER_RATE = 24                # frames a second of a folder
BT709, UNSPECIFIED, BT601, NTSC, SMPTE240M, BT2020 = 1, 2, 5, 6, 7, 9                 # colour matrices, numbered as in ITU-T H.273
SWSCALE = {BT709: 1, 4: 4, BT601: 5, NTSC: 5, SMPTE240M: 7, BT2020: 9, 10: 9}         # the same in swscale's numbers
LIMITED, FULL = 1, 2            # ranges of luma: 16 to 235, 0 to 255
EXACT = int(Interpolation.BICUBIC | Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INT)
HD_LINES = 720                  # from so many lines on, a clip that does not name its matrix is taken for BT.709, else for BT.601


@dataclass(frozen=True)
class Look:
    """What a writer must know of a clip. width, height: upright, in pixels; rate: frames a second, None if nobody knows;
    time_base: seconds of which every time stamp is a multiple; aspect: of a pixel, width to height; matrix, primaries,
    transfer: numbers of ITU-T H.273; full_range: whether luma runs from 0 to 255.

    >>> Look(1920, 1080, Fraction(25), Fraction(1, 25), matrix=BT709).full_range
    False
    """
    width: int
    height: int
    rate: Fraction | None
    time_base: Fraction
    aspect: Fraction = Fraction(1)
    matrix: int = BT601
    full_range: bool = False
    primaries: int = UNSPECIFIED
    transfer: int = UNSPECIFIED


class Frame(NamedTuple):
    """One picture of a clip and when it is shown.

    >>> Frame(np.zeros((16, 32, 3), np.uint8), Fraction(1, 24), Fraction(1, 24), 1, "000001").rgb.shape
    (16, 32, 3)
    """
    rgb: np.ndarray         # (H, W, 3) uint8, upright
    time: Fraction          # seconds
    duration: Fraction      # seconds
    index: int              # from 0 on
    name: str               # the file in a folder of frames, or the index in six digits


class Video:
    """The frames of a video file, a GIF or a folder of pictures, as `Frame`s; memory does not grow with their number, and it
    can be iterated over again.

    Frames stand upright (a phone's turn is applied) and keep their time stamps. YUV becomes RGB by the matrix and range
    the file names, by BT.601 (BT.709 from 720 lines on) where it names none; transparent parts are shown on white; more
    than 8 bits are rounded. A folder: its pictures in natural order of their names, `rate` of them a second (default 24).
    Of several picture streams the best one counts; subtitles are not read.

    path, name; is_folder; look: a `Look`; count: number of frames, None if the file does not say; duration: seconds, None
    likewise; sound: codecs of its sound. allow_truncated: take what comes before the damage, with a warning, instead of
    raising ValueError for files that are cut short or damaged. Raises FileNotFoundError, or ValueError for whatever else
    is not a whole clip, on opening where possible, else when the damage is reached.

    >>> from PIL import Image
    >>> for name in ("10.png", "9.png"):
    ...     Image.new("RGB", (32, 16)).save(name)
    >>> [(frame.name, str(frame.time)) for frame in Video(".", rate=12)]
    [('9.png', '0'), ('10.png', '1/12')]
    """

    def __init__(self, path, rate=None, allow_truncated=False):
        self.path, self.allow_truncated = Path(path).expanduser(), allow_truncated
        self.name, self.is_folder, self.sound, self.expected_end = self.path.name, self.path.is_dir(), (), None
        if not self.path.exists():
            raise FileNotFoundError(f"{path} does not exist: check the path.")
        if not self.is_folder and rate is not None:
            raise ValueError(f"{path} is a file, which has time stamps of its own: leave the rate out.")
        (self._look_at_folder if self.is_folder else self._look_at_file)(rate)

    def __iter__(self):
        return self._read_folder() if self.is_folder else self._read_file()

    @property
    def size(self):
        """(width, height), upright."""
        return self.look.width, self.look.height

    # ---- a folder

    def _look_at_folder(self, rate):
        self.names = sorted((file.name for file in self.path.iterdir() if file.suffix.lower() in PICTURE_SUFFIXES and not file.name.startswith(".")),
                            key=natural_order)
        if not self.names:
            raise ValueError(f"{self.path} holds no pictures: name the folder that the frames are in.")
        if twin := next((name for name, other in zip(self.names, self.names[1:]) if Path(name).stem == Path(other).stem), None):
            raise ValueError(f"{self.path} holds two frames called {Path(twin).stem}: keep one of them.")
        try:
            rate = Fraction(FOLDER_RATE if rate is None else rate).limit_denominator(1 << 20)
        except (TypeError, ValueError, OverflowError, ZeroDivisionError):
            rate = 0
        if not rate > 0:
            raise ValueError("The rate must be a number of frames a second above 0, such as 24 or 30000/1001.")
        height, width = decode(self.path / self.names[0]).shape[:2]
        self.look = Look(width, height, rate, 1 / rate, matrix=BT709 if height >= HD_LINES else BT601)
        self.count, self.duration = len(self.names), len(self.names) / rate

    def _read_folder(self):
        step = self.look.time_base
        for index, name in enumerate(self.names):
            try:
                rgb = decode(self.path / name)
            except ValueError as error:
                self._stop(f"Frame {name} of {self.path} cannot be read ({error})", index)
                return
            self._check_size(rgb, name)
            yield Frame(rgb, index * step, step, index, name)

    # ---- a file

    def _look_at_file(self, _):
        if not self.path.stat().st_size:
            raise ValueError(f"{self.path} is empty: copy or download it again.")
        damage, pictures = inspect(self.path)
        if damage and not self.allow_truncated:
            rescue = "" if damage == NO_INDEX else ", or take what can be read with allow_truncated=True (--allow-truncated)"
            raise ValueError(f"{self.path} is cut short ({damage}): copy or download it again{rescue}.")
        self.damage = damage
        with self._open() as (container, stream):
            first = next(self._decode(container, stream), None)
            if first is None:
                raise ValueError(f"{self.path} holds not one frame that can be read: copy or download it again.")
            turned, height = self._turns(first) % 2, self._rgb(first).shape[0]
            aspect = stream.sample_aspect_ratio or Fraction(1)
            known = first.colorspace in SWSCALE and not first.format.is_rgb
            matrix = first.colorspace if known else BT709 if height >= HD_LINES else BT601
            rate = stream.average_rate or stream.guessed_rate
            self.look = Look(first.height if turned else first.width, height, Fraction(rate) if rate else None, stream.time_base,
                             1 / aspect if turned else aspect, matrix, _is_full(first), first.color_primaries, first.color_trc)
            self.count = pictures or stream.frames or None
            self.duration = stream.duration * stream.time_base if stream.duration else Fraction(container.duration or 0, av.time_base) or None
            self.sound = tuple(track.codec_context.codec.canonical_name for track in container.streams.audio)
            self.expected_end = _matroska_end(container, stream) if "matroska" in container.format.name else None

    @contextmanager
    def _open(self):
        try:
            container = open_container(self.path)
        except av.FFmpegError as error:
            if isinstance(error, OSError):
                raise
            if self.damage:
                raise ValueError(f"{self.path} is cut short ({self.damage}) and nothing of it can be read: copy or download it again.") from error
            raise ValueError(f"{self.path} is not a video, or of a kind that cannot be read here: convert it to MP4.") from error
        with container:
            kinds = container.format.name.split(",")
            if any(kind.endswith(PICTURE_FORMATS) or kind == "webp" for kind in kinds):
                raise ValueError(f"{self.path} is a picture, not a video: colorize it as a picture, with its right suffix.")
            films = [stream for stream in container.streams.video if not stream.disposition & av.stream.Disposition.attached_pic]
            if not films and container.streams.audio:
                raise ValueError(f"{self.path} holds sound but no moving pictures: name a video.")
            if not films or not FORMATS.intersection(kinds):
                raise ValueError(f"{self.path} is not a video, or of a kind that cannot be read here: convert it to MP4.")
            best = container.streams.best("video")
            stream = best if best in films else films[0]
            stream.thread_type = "AUTO"
            yield container, stream

    def _decode(self, container, stream):
        """Yield PyAV's frames; the first damage ends them, see `_stop`."""
        count, reason = 0, None
        try:
            for packet in container.demux(stream):
                if packet.is_corrupt:
                    reason = "a packet is damaged"
                    break
                for frame in packet.decode():
                    if frame.is_corrupt:
                        reason = "a frame is damaged"
                        break
                    yield frame
                    count += 1
                if reason:
                    break
        except av.FFmpegError as error:
            if isinstance(error, OSError):
                raise
            reason = error.strerror
        if reason:
            self._stop(f"{self.path} is damaged ({reason})", count)

    def _read_file(self):
        look, before, end = self.look, None, Fraction(0)
        usual = 1 / look.rate if look.rate else Fraction(1, FOLDER_RATE)
        with self._open() as (container, stream):
            for index, frame in enumerate(self._decode(container, stream)):
                time = end if frame.pts is None else frame.pts * frame.time_base
                if before is not None and time <= before:       # stamps that stand still or go back, as in some AVI files
                    time = before + look.time_base
                rgb = self._rgb(frame)
                self._check_size(rgb, f"frame {index}")
                duration = (frame.duration or 0) * frame.time_base or usual
                before, end = time, time + duration
                yield Frame(rgb, time, duration, index, f"{index:06d}")
        if self.expected_end and end < self.expected_end:
            self._stop(f"{self.path} ends before the {float(self.expected_end):.1f} s it promises", index + 1)
        elif self.damage:
            warnings.warn(f"{self.path} is cut short ({self.damage}): taken were the {index + 1} frames that can be read.", stacklevel=2)

    def _stop(self, what, count):
        """Raise, or warn where a part is allowed."""
        if not (self.allow_truncated and count):
            part = f" after {count} frames" if count else ""
            raise ValueError(f"{what}{part}: copy or download it again" +
                             (", or take what comes before with allow_truncated=True (--allow-truncated)." if count else "."))
        warnings.warn(f"{what}: taken were the {count} frames before.", stacklevel=3)

    def _check_size(self, rgb, name):
        if rgb.shape[1::-1] != self.size:
            (height, width), (width_before, height_before) = rgb.shape[:2], self.size
            raise ValueError(f"{name} of {self.path} has {width} x {height} pixels, the frames before it {width_before} x {height_before}: "
                             "bring all frames to one size, or cut the clip where its size changes.")

    def _turns(self, frame):
        return round(frame.rotation / 90) % 4

    def _rgb(self, frame):
        """PyAV's frame -> `(H, W, 3)` uint8, upright."""
        transparent = any(part.is_alpha for part in frame.format.components)
        height = frame.width if self._turns(frame) % 2 else frame.height
        matrix = frame.colorspace if frame.colorspace in SWSCALE else BT709 if height >= HD_LINES else BT601
        colors = {} if frame.format.is_rgb else {"src_colorspace": SWSCALE[matrix], "src_color_range": FULL if _is_full(frame) else LIMITED,
                                                 "dst_color_range": FULL}
        pixels = frame.reformat(format="rgba" if transparent else "rgb24", interpolation=EXACT, **colors).to_ndarray()
        if transparent:
            alpha = pixels[..., 3:].astype(np.uint16)
            pixels = ((pixels[..., :3] * alpha + 255 * (255 - alpha) + 127) // 255).astype(np.uint8)
        return np.ascontiguousarray(np.rot90(pixels, self._turns(frame)))


def _is_full(frame):
    return frame.color_range == FULL or frame.format.name.startswith(("yuvj", "gray")) and frame.color_range != LIMITED


def _matroska_end(container, stream):
    """Where the last frame should end at the least, in seconds, or None: what the track's tag says, or the file's length where there is nothing
    but pictures."""
    if found := re.fullmatch(r"(\d+):(\d+):(\d+\.?\d*)", stream.metadata.get("DURATION", "").rstrip("\0")):
        hours, minutes, seconds = found.groups()
        end = 3600 * int(hours) + 60 * int(minutes) + Fraction(seconds)
    elif len(container.streams) == 1 and container.duration:
        end = Fraction(container.duration, av.time_base)
    else:
        return None
    return end - max(Fraction(1, 2), 2 / Fraction(stream.average_rate or 1))


def open_container(path):
    """PyAV's container of a file. Of what ffmpeg knows only the formats of clips, sound and pictures are tried, and only the file itself is read: a playlist,
    a list of files (`ffconcat`) or an address opens nothing. Raises what PyAV raises."""
    return av.open(str(Path(path).resolve()), metadata_errors="replace", options=OPEN)


def is_clip(path):
    """Whether a file is a clip by its suffix; a GIF is one if it can be read and has more than one picture.

    >>> is_clip("holiday.MP4"), is_clip("holiday.jpg")
    (True, False)
    """
    path = Path(path)
    if path.suffix.lower() != ".gif":
        return path.suffix.lower() in VIDEO_SUFFIXES
    try:
        return os.path.isfile(path) and inspect(path)[1] > 1
    except OSError:                                            # whoever opens it as a picture says why
        return False
