"""Clips out: H.264, VP9, GIF or PNG frames with the time stamps, the colour matrix and the sound of the clip they came from, by PyAV.

`write_video` writes one; a long one can be written piece by piece: `Piece` encodes one, `join_pieces` puts them together without encoding again.
"""
import contextlib
import heapq
import warnings
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from colorlib import files, images
from colorlib.data.videos import BT601, BT709, EXACT, FOLDER_RATE, FULL, HD_LINES, LIMITED, SWSCALE, Frame, Look, open_container

__all__ = ["write_video", "Piece", "join_pieces", "colorized_name", "CONTAINERS"]

CONTAINERS = {".mp4": "mp4", ".m4v": "mp4", ".mov": "mov", ".mkv": "matroska", ".webm": "webm", ".gif": "gif"}
OPTIONS = {"libx264": {"crf": "16", "bf": "0", "sc_threshold": "0"},                  # no B-frames: packets in order of time
           "libvpx-vp9": {"crf": "20", "b": "0", "deadline": "good", "cpu-used": "4"}, "ffv1": {}, "gif": {}}
THREADS = 4                     # of an encoder; fixed, because H.264's bytes depend on their number
# What a container can hold and what players can play in it; sound of another kind is converted to the first.
SOUND = {".mp4": ("aac", "mp3", "ac3", "eac3", "alac", "flac", "opus"),
         ".mov": ("aac", "mp3", "ac3", "eac3", "alac", "pcm_s16le", "pcm_s16be", "pcm_s24le"),
         ".mkv": ("aac", "mp3", "ac3", "eac3", "dts", "opus", "vorbis", "flac", "alac", "pcm_s16le", "pcm_s24le", "pcm_f32le", "truehd"),
         ".webm": ("opus", "vorbis")}
SOUND[".m4v"] = SOUND[".mp4"]
LONGEST_SUFFIX = 6              # what follows a dot in `shot.1_colorized` is none
ENCODERS = {"aac": "aac", "opus": "libopus"}
LAYOUTS = {1: "mono", 2: "stereo", 6: "5.1", 8: "7.1"}
SOUND_SLIP = Fraction(1, 20)    # seconds by which coarse time stamps of sound may be off before they count as a gap


def colorized_name(path):
    """clip.mp4 -> clip_colorized.mp4; kinds that cannot be written, such as AVI, become MP4; a folder stays one.

    >>> colorized_name("film/clip.avi")
    'clip_colorized.mp4'
    """
    path = Path(path)
    if path.is_dir():
        return f"{path.resolve().name}_colorized"
    return f"{path.stem}_colorized{path.suffix if path.suffix.lower() in CONTAINERS else '.mp4'}"


def check_output(path):
    """The suffix by which a clip is written, "" for a folder of frames. Raises ValueError for one that cannot be, or for a folder with something
    in it."""
    path = Path(path)
    suffix = path.suffix.lower() if len(path.suffix) <= LONGEST_SUFFIX else ""
    if path.is_dir() and any(path.iterdir()):
        raise ValueError(f"{path} is a folder with something in it: choose another output, or empty it first.")
    if not path.is_dir() and suffix and suffix not in CONTAINERS:
        raise ValueError(f"{path} does not end in a suffix that can be written: use {', '.join(CONTAINERS)}, or none for a folder of frames.")
    if not path.absolute().parent.is_dir():
        raise FileNotFoundError(f"The folder {path.parent} does not exist: create it first.")
    if suffix and path.exists() and not path.is_dir() and not path.is_file():
        raise ValueError(f"{path} exists already and is no file: choose another output.")
    return "" if path.is_dir() else suffix


class Piece:
    """Some frames of a clip, encoded on their own so that `join_pieces` can put pieces together. path: a file; suffix: of the clip
    they are for; look: a `Look`.

    H.264 (crf 16) for MP4, MOV and MKV, VP9 (crf 20) for WebM, lossless FFV1 for GIF, whose colours are chosen at the
    end. H.264 has half the colour resolution (4:2:0) unless a side is odd: 4:2:0 would lose a row, so such clips are
    4:4:4, which most browsers and phones do not play; VP9 takes every size.

    >>> rate = Fraction(24)
    >>> piece = Piece("0.nut", ".mp4", Look(32, 16, rate, 1 / rate))
    >>> piece.add(Frame(np.zeros((16, 32, 3), np.uint8), Fraction(0), 1 / rate, 0, "000000"))
    >>> piece.close()
    """

    def __init__(self, path, suffix, look):
        self.look, self.path = look, path
        self.container = av.open(str(Path(path).absolute()), "w", format="nut", options={"fflags": "+bitexact"})
        self.stream = _add_pictures(self.container, suffix, look)

    def add(self, frame):
        """Append a `Frame`."""
        self.container.mux(self.stream.encode(_to_av(frame.rgb, self.stream, self.look, round(frame.time / self.look.time_base))))

    def close(self):
        """Write what is still under way, to the disk."""
        self.container.mux(self.stream.encode())
        self.container.close()
        files.sync(self.path)

    def abandon(self):
        """Let go of the file, unfinished."""
        with contextlib.suppress(OSError):         # the disk may be full, which was said already
            self.container.close()


def _add_pictures(container, suffix, look):
    codec = {".gif": "ffv1", ".webm": "libvpx-vp9"}.get(suffix, "libx264")
    odd = codec == "libx264" and (look.width % 2 or look.height % 2)
    stream = container.add_stream(codec, rate=look.rate or FOLDER_RATE, options=OPTIONS[codec])
    stream.width, stream.height, stream.time_base = look.width, look.height, look.time_base
    stream.pix_fmt = "bgr0" if codec == "ffv1" else "yuv444p" if odd else "yuv420p"
    context = stream.codec_context
    context.time_base, context.sample_aspect_ratio, context.thread_count = look.time_base, look.aspect, THREADS
    context.flags |= av.codec.context.Flags.global_header
    if codec != "ffv1":
        context.colorspace, context.color_range = look.matrix, FULL if look.full_range else LIMITED
        context.color_primaries, context.color_trc = look.primaries, look.transfer
    return stream


def _to_av(rgb, stream, look, stamp):
    frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(rgb), format="rgb24")
    colors = {} if stream.pix_fmt == "bgr0" else {"dst_colorspace": SWSCALE[look.matrix], "src_color_range": FULL,
                                                  "dst_color_range": FULL if look.full_range else LIMITED}
    frame = frame.reformat(format=stream.pix_fmt, interpolation=EXACT, **colors)
    frame.pts, frame.time_base = stamp, look.time_base
    return frame


def join_pieces(pieces, path, look, last_duration, sound_of=None):
    """Put pieces (paths, in order) into one clip at `path`, whole or not at all, with the sound of the `Video` sound_of.
    Pictures are not encoded again, but for a GIF. last_duration: of the last frame, seconds. Sound is copied where the
    container can hold it, else converted (AAC, Opus for WebM); where neither works, and in a GIF, it is left out with a
    warning.

    >>> from colorlib.data.videos import Video
    >>> rate, black = Fraction(24), np.zeros((16, 32, 3), np.uint8)
    >>> for k in range(2):
    ...     piece = Piece(f"{k}.nut", ".mp4", Look(32, 16, rate, 1 / rate))
    ...     piece.add(Frame(black, k / rate, 1 / rate, k, f"{k:06d}"))
    ...     piece.close()
    >>> [frame.index for frame in Video(join_pieces(["0.nut", "1.nut"], "clip.mp4", piece.look, 1 / rate))]
    [0, 1]
    """
    path = Path(path)
    suffix = path.suffix.lower()
    ways = ["copied", "converted"] if sound_of is not None and sound_of.sound and suffix in SOUND else []
    reason = f"{suffix} holds no sound" if sound_of is not None and sound_of.sound and not ways else None
    with files.scratch_name(path) as scratch:
        for way in [*ways, None]:
            try:
                if suffix == ".gif":
                    _join_gif(pieces, scratch, look, last_duration)
                else:
                    _join(pieces, scratch, suffix, look, last_duration, sound_of, way)
                break
            except (av.FFmpegError, ValueError) as error:
                if way is None or isinstance(error, OSError):
                    raise
                reason = str(error)
        if way is None and reason:
            warnings.warn(f"{path} has no sound: {reason}.", stacklevel=2)
    return path


def _join(pieces, scratch, suffix, look, last_duration, sound_of, way):
    options = {"fflags": "+bitexact"}
    if CONTAINERS[suffix] in ("mp4", "mov"):         # the index first; starts other than 0 as exact as the stamps
        options |= {"movflags": "+faststart", "movie_timescale": str(look.time_base.denominator)}
    with av.open(str(Path(scratch).absolute()), "w", format=CONTAINERS[suffix], options=options) as output:
        pictures = _add_pictures(output, suffix, look)
        if way is None:
            output.start_encoding()
            for packet in _packets(pieces, pictures, last_duration):
                output.mux(packet)
            return
        with open_container(sound_of.path) as source:
            tracks = {track.index: (track, *_add_sound(output, track, suffix, way)) for track in source.streams.audio}
            output.start_encoding()
            sound = _sound_packets(source, tracks, sound_of.allow_truncated)
            for packet in heapq.merge(_packets(pieces, pictures, last_duration), sound, key=lambda packet: packet.dts * packet.time_base):
                output.mux(packet)


def _packets(pieces, stream, last_duration):
    """The packets of all pieces for an output's stream, one held back to give the last its length."""
    held = None
    for piece in pieces:
        with open_container(piece) as container:
            for packet in container.demux(container.streams.video[0]):
                if packet.pts is None:             # PyAV's end mark
                    continue
                packet.dts = packet.pts            # there are no B-frames; ffmpeg is not sure of that for H.264 of seven frames
                if held is not None:
                    held.duration = round(packet.pts * packet.time_base / held.time_base) - held.pts
                    yield held
                held, packet.stream = packet, stream
    held.duration = round(last_duration / held.time_base)
    yield held


def _add_sound(output, track, suffix, way):
    """(stream of the output, whether its packets can be copied)."""
    context = track.codec_context
    if way == "copied" and context.codec.canonical_name in SOUND[suffix]:
        return output.add_stream_from_template(track), True
    codec = ENCODERS[SOUND[suffix][0]]
    layout = LAYOUTS.get(context.layout.nb_channels, context.layout.name)
    return output.add_stream(codec, rate=48000 if codec == "libopus" else context.sample_rate, layout=layout), False


def _sound_packets(source, tracks, allow_truncated):
    """The sound of a container, for the output's streams. tracks: {index: (stream, output's stream, whether to copy)}."""
    ends = {}
    try:
        for packet in source.demux([track for track, *_ in tracks.values()]):
            _, target, copies = tracks[packet.stream.index]
            if not copies:
                for frame in packet.decode():
                    _count_samples(frame, ends, target.index)
                    yield from target.encode(frame)
            elif packet.size:
                if packet.dts is None:
                    raise ValueError("its packets have no time stamps")
                packet.stream = target
                yield packet
    except av.FFmpegError as error:
        if not allow_truncated or isinstance(error, OSError):
            raise
    for _, target, copies in tracks.values():
        if not copies:
            yield from target.encode()


def _count_samples(frame, ends, index):
    """Stamp a frame of sound by its samples, which encoders need, where it follows the one before. ends: {stream: the next sample}, kept up to
    date."""
    rate = Fraction(1, frame.sample_rate)
    stamp = ends.get(index, 0) * rate if frame.pts is None else frame.pts * frame.time_base
    goes_on = index in ends and abs(stamp - ends[index] * rate) < SOUND_SLIP
    frame.pts, frame.time_base = ends[index] if goes_on else round(stamp / rate), rate
    ends[index] = frame.pts + frame.samples


def _join_gif(pieces, scratch, look, last_duration):
    """Each frame gets the 256 colours that suit it best; an ordered dither stays still where the picture does."""
    hundredth = Fraction(1, 100)
    graph = av.filter.Graph()
    source = graph.add_buffer(width=look.width, height=look.height, format="bgr0", time_base=hundredth)
    split, palette = graph.add("split"), graph.add("palettegen", "stats_mode=single:reserve_transparent=0")
    use = graph.add("paletteuse", "new=1:dither=bayer:bayer_scale=3")
    sink = graph.add("buffersink")
    source.link_to(split)
    split.link_to(use, 0, 0)
    split.link_to(palette, 1, 0)
    palette.link_to(use, 0, 1)
    use.link_to(sink)
    graph.configure()
    options = {"fflags": "+bitexact", "loop": "0", "final_delay": str(max(1, round(last_duration / hundredth)))}
    with av.open(str(Path(scratch).absolute()), "w", format="gif", options=options) as output:
        stream = output.add_stream("gif", rate=look.rate or FOLDER_RATE)
        stream.width, stream.height, stream.pix_fmt = look.width, look.height, "pal8"
        stream.time_base = stream.codec_context.time_base = hundredth
        stamp = None
        for piece in pieces:
            with open_container(piece) as container:
                for frame in container.decode(video=0):
                    place = round(frame.pts * frame.time_base / hundredth)
                    stamp = place if stamp is None else max(stamp + 1, place)      # a GIF counts hundredths of a second
                    frame.pts, frame.time_base = stamp, hundredth
                    source.push(frame)
                    output.mux(stream.encode(_pull(sink)))
        source.push(None)
        output.mux(stream.encode())


def _pull(sink):
    frame = sink.pull()
    frame.pict_type = 0
    return frame


def write_video(path, frames, rate=None, like=None):
    """Write a clip, whole or not at all; the suffix picks MP4, MOV, MKV (H.264), WebM (VP9), GIF or, if there is none, a new folder of PNG frames.

    frames: `(H, W, 3)` uint8 arrays, `rate` of them a second (default 24), or `Frame`s of the `Video` like, with their own
    time stamps. like: its look and sound are kept. Memory does not grow with their number. How sizes and sound are
    treated: `Piece`, `join_pieces`. Returns the path. Raises ValueError for no frames, frames of several sizes, or a suffix that
    cannot be written; FileNotFoundError and OSError for a folder that is not there or cannot be written.

    >>> from colorlib.data.videos import Video
    >>> clip = Video(write_video("clip.webm", np.zeros((6, 16, 32, 3), np.uint8), rate=12))
    >>> clip.size, len(list(clip)), clip.look.rate
    ((32, 16), 6, Fraction(12, 1))
    """
    path = Path(path).expanduser()
    suffix, piece, last = check_output(path), None, None
    scratch = files.temporary(path)
    step = 1 / Fraction(rate or like and like.look.rate or FOLDER_RATE).limit_denominator(1 << 20)
    try:
        with files.explained(path):
            for index, frame in enumerate(frames):
                if not isinstance(frame, Frame):
                    frame = Frame(np.asarray(frame), index * step, step, index, f"{index:06d}")
                if last is None:
                    height, width = frame.rgb.shape[:2]
                    look = like.look if like else Look(width, height, 1 / step, step, matrix=BT709 if height >= HD_LINES else BT601)
                    with files.explained(path, every=True):
                        if suffix:
                            open(scratch, "xb").close()            # PyAV would tell of a folder that cannot be written with the first frame
                        piece = Piece(scratch, suffix, look) if suffix else FramesOut(scratch)
                if frame.rgb.shape != (look.height, look.width, 3):
                    raise ValueError(f"Frame {index} has shape {frame.rgb.shape}, not {(look.height, look.width, 3)}: bring all frames to one size.")
                piece.add(frame)
                last = frame
            if last is None:
                raise ValueError(f"There are no frames to write to {path}.")
            piece.close()
            return join_pieces([scratch], path, look, last.duration, like) if suffix else piece.publish(path)
    except BaseException:
        if piece is not None:
            piece.abandon()
        raise
    finally:
        files.discard(scratch)


class FramesOut:
    """Frames as PNG files in a folder, under their own names."""

    def __init__(self, folder):
        self.folder = Path(folder)
        self.folder.mkdir(exist_ok=True)

    def add(self, frame):
        """Write one."""
        images.save_image(self.folder / f"{Path(frame.name).stem}.png", frame.rgb)

    def close(self):
        """Nothing is under way: every frame is on the disk."""

    abandon = close

    def publish(self, path):
        """Give the whole folder its final name."""
        if path.is_dir():
            path.rmdir()
        files.publish(self.folder, path)
        return path
