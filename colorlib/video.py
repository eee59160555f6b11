"""Colour a whole clip: read, painted frame by frame, written with its own time stamps and sound; a run that was interrupted goes on where it
stopped."""
import hashlib
import io
import json
import os
import shutil
import warnings
import zipfile
from contextlib import ExitStack, contextmanager
from pathlib import Path

import numpy as np
from filelock import FileLock, Timeout

import colorlib
from colorlib import frames, zoo
from colorlib.data import video_writing
from colorlib.data.cuts import mark_cuts
from colorlib.data.sources import decode, stamp_files
from colorlib.data.videos import Video
from colorlib.files import explained, publish, write_atomic
from colorlib.hints import HintSet
from colorlib.progress import track

__all__ = ["colorize_video"]

PIECE = 120             # frames that are encoded, and kept, together


def colorize_video(path, output=None, method="best", *, smooth=None, hints=None, caption=None, reference=None, weights=None, model=None,
                   working_size=None, device="auto", merge="guided", cuts="auto", rate=None, progress=None, allow_truncated=False):
    """Colour a clip. path: a video file, a GIF or a folder of frames. Returns the output's path; until the clip is whole, nothing is there.

    output: a file whose suffix picks MP4, MOV, M4V or MKV (H.264), WebM (VP9) or GIF, or a name without suffix for a new folder of PNG frames; by
    default `clip_colorized.mp4` beside `clip.mp4`, MP4 for kinds that are not written, such as AVI, and a folder for a folder. Size (odd ones too,
    see `video_writing.Piece`), number of frames, time stamps, shape of the pixels and colour matrix are the input's; the picture stands upright;
    sound is copied where the output can hold it, else converted, and subtitles are left out. MKV and WebM round time stamps to thousandths of a
    second, GIF to hundredths.

    method: any of the catalogue, or "best", see `zoo.choose`: the colours of a method for single pictures, "koalarization", smoothed, came nearer to
    the true ones than those of "tcvc" and were about as steady (`data/results/video.csv`). smooth: how much of the colours is carried along the motion
    from frame to frame, 0 to 1 (`frames.FramePainter`); default: 0 for a method that remembers by itself, else `frames.SMOOTH`. cuts: "auto" finds the
    first frames of shots (`mark_cuts`), where the colours of before do not count; "none"; or a list of them, counted from 0. rate: frames a second of a
    folder (default 24). allow_truncated: see `Video`. The others: as for `colorlib.colorize`; hints and reference hold for every frame.

    Work is kept beside the output in `clip_colorized.mp4.partial` until the clip is whole. Started again with the same input and settings, an
    interrupted run goes on, and the result is the same to the byte. Memory does not grow with the length. Raises ValueError or FileNotFoundError
    for bad input, as early as it can be known, and OSError, such as for a full disk.

    >>> colorize_video("missing.mp4")
    Traceback (most recent call last):
        ...
    FileNotFoundError: missing.mp4 does not exist: check the path.
    """
    video = Video(path, rate, allow_truncated)
    beside = video.path.resolve() if video.is_folder else video.path
    output = Path(output).expanduser() if output is not None else beside.with_name(video_writing.colorized_name(video.path))
    if output.resolve() == video.path.resolve():
        raise ValueError(f"{output} is the input itself: choose another output, the original stays as it is.")
    suffix, starts = video_writing.check_output(output), _check_cuts(cuts, video)
    row = zoo.choose(method, model, weights, hints=hints, caption=caption, reference=reference)
    conditions = zoo.check_conditions(row, hints=hints, caption=caption, reference=reference)
    model = model if model is not None else zoo.load(row.name, weights, device=device)
    if smooth is None:
        smooth = 0.0 if hasattr(row.papers, "colorize_next") else frames.SMOOTH
    painter = frames.FramePainter(row.name, model, smooth=smooth, working_size=working_size, merge=merge, **conditions)
    settings = {"input": _stamp(video), "rate": str(video.look.rate), "method": row.name, "weights": _hash_model(model), "smooth": smooth,
                "working_size": working_size, "merge": merge, "cuts": starts if starts is not None else "auto", "piece": PIECE,
                "version": colorlib.__version__} | {name: _hash_condition(name, value) for name, value in conditions.items()}
    with explained(output), _claim(output.with_name(f"{output.name}.partial"), output) as work:
        done = _finished_pieces(work, settings, suffix)
        last_duration = _paint(video, painter, starts, work, suffix, done, bool(conditions), progress)
        if suffix:
            pieces = [work / f"{number:06d}.nut" for number in range(_count_pieces(work))]
            video_writing.join_pieces(pieces, output, video.look, last_duration, video)
        else:
            video_writing.FramesOut(work / "frames").publish(output)
    return output


def _paint(video, painter, starts, work, suffix, done, has_conditions, progress):
    """Paint what is not `done` yet, piece by piece; returns the last frame's duration in seconds. starts: first frames of shots, None to look for
    them."""
    piece, last = None, None
    marked = mark_cuts(video) if starts is None else ((frame, frame.index in starts) for frame in video)
    total = video.count or (video.duration and video.look.rate and round(video.duration * video.look.rate)) or None
    with ExitStack() as stack:
        bar = stack.enter_context(track(total=total, progress=progress, unit="frame"))
        stack.callback(lambda: piece is not None and piece.abandon())
        for frame, is_first in marked:
            number, place = divmod(frame.index, PIECE)
            last = frame
            bar.update()
            if number < done:
                if has_conditions and frame.index == 0:
                    painter(frame.rgb)             # conditions are read once, for the first frame
                continue
            if piece is None:
                if number and number == done:
                    painter.load_state_dict(_read_state(work, number - 1))
                piece = video_writing.Piece(work / "piece.tmp", suffix, video.look) if suffix else video_writing.FramesOut(work / "frames")
            piece.add(frame._replace(rgb=painter(frame.rgb, cut=is_first)))
            if place == PIECE - 1:
                _finish(piece, work, number, painter, suffix)
                piece = None
        if piece is not None:
            _finish(piece, work, number, painter, suffix)
    return last.duration


# ---------------------------------------------------------------- what is done

@contextmanager
def _claim(folder, output):
    """A folder for work in progress that no other process uses. It goes when all is done, or when nothing in it would help a later run."""
    folder.mkdir(exist_ok=True)
    lock = FileLock(folder / "lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise ValueError(f"{output} is being made by another run: wait for that one, or choose another output.") from None
    keeps = False
    try:
        yield folder
    except BaseException:
        keeps = _count_pieces(folder) > 0
        if keeps:
            warnings.warn(f"What is painted so far is kept in {folder}: start again with the same settings to go on.", stacklevel=4)
        raise
    finally:
        lock.release()
        if not keeps:
            shutil.rmtree(folder, ignore_errors=True)


def _finished_pieces(work, settings, suffix):
    """How many pieces an earlier run with these settings finished; what another one left is thrown away with a warning."""
    file, content = work / "settings.json", json.dumps(settings | {"suffix": suffix}, sort_keys=True)
    try:
        before = json.loads(file.read_text())
    except (OSError, ValueError):
        before = None
    if before == json.loads(content):
        return _count_pieces(work)
    if before is not None and _count_pieces(work):
        now = json.loads(content)
        other = ", ".join(name for name in now | before if now.get(name) != before.get(name))
        warnings.warn(f"{work} was left by a run that differs in {other}: starting anew.", stacklevel=3)
    for left in work.iterdir():
        if left.name != "lock":
            shutil.rmtree(left) if left.is_dir() else left.unlink()
    write_atomic(file, content.encode())
    return 0


def _count_pieces(work):
    return len(list(work.glob("??????.npz")))


def _finish(piece, work, number, painter, suffix):
    """A piece counts from the moment the painter's state after it is there."""
    piece.close()
    if suffix:
        publish(work / "piece.tmp", work / f"{number:06d}.nut")
    content = io.BytesIO()
    np.savez(content, **painter.state_dict())
    write_atomic(work / f"{number:06d}.npz", content.getvalue())


def _read_state(work, number):
    try:
        with np.load(work / f"{number:06d}.npz", allow_pickle=False) as found:
            return dict(found)
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise ValueError(f"{work}, where an interrupted run left its work, is damaged ({error}): delete it to begin anew.") from error


# ---------------------------------------------------------------- what a run depends on

def _check_cuts(cuts, video):
    """"auto", "none" or first frames -> None for "look for them", or a sorted list of first frames."""
    if isinstance(cuts, str):
        if cuts not in ("auto", "none"):
            raise ValueError(f"cuts is {cuts!r}: choose auto, none or a list of the first frames of shots.")
        return None if cuts == "auto" else [0]
    try:
        starts = sorted({0, *(int(start) for start in cuts)})
    except (TypeError, ValueError):
        raise ValueError(f"cuts is {cuts!r}: choose auto, none or a list of the first frames of shots.") from None
    if starts[0] < 0 or video.count and starts[-1] >= video.count:
        raise ValueError(f"cuts go from {starts[0]} to {starts[-1]}, but {video.name} has {video.count or 'only'} frames, counted from 0.")
    return starts


def _stamp(video):
    path = video.path.resolve()
    return stamp_files([path / name for name in video.names] if video.is_folder else [path])


def _hash_model(model):
    digest = hashlib.sha256(str(next(model.parameters()).device.type).encode())       # a GPU rounds otherwise
    for name, value in sorted(model.state_dict().items()):
        digest.update(name.encode() + value.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def _hash_condition(name, value):
    if name == "hints":
        value = Path(value).read_text() if isinstance(value, (str, os.PathLike)) else value.to_json() if isinstance(value, HintSet) else repr(value)
    content = np.ascontiguousarray(decode(value)).tobytes() if name == "reference" else str(value).encode()
    return hashlib.sha256(content).hexdigest()
