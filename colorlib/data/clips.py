"""Clips: windows of consecutive frames that never cross a cut, from folders of frames and from video files."""
import re
from collections import Counter
from pathlib import Path

import numpy as np
import torch

from colorlib.data.packing import Report, pack
from colorlib.data.pairs import read_json
from colorlib.data.sources import PICTURE_SUFFIXES, Pictures, Source, list_files

__all__ = ["VIDEO_SUFFIXES", "Clips"]

VIDEO_SUFFIXES = (".mp4", ".webm", ".mkv", ".mov", ".avi", ".m4v", ".gif")


class Clips(torch.utils.data.Dataset):
    """Samples: rgb `(T, 3, H, W)` uint8, id (clip and first frame), clip (its name). T = frames.

    folder: sub-folders of frames in natural order of their names (`2.png` before `10.png`), or frames directly, or
    video files, at any depth; or one video file. stride: frames between the starts of two windows. Windows do not cross
    a cut, a gap in the frame numbers or an unreadable frame. shots: {clip: [first frame of each shot, ...]}, or a JSON
    file with that, or with {"clip", "first_frame_of_each_shot"} or a list of these; `shots.json` of the folder is found
    by itself. Firsts count from 0, or are the frames' own numbers when they begin with the number of the first frame.
    Clips are decoded once into the cache, at `size`. Raises ValueError for frames or stride below 1 and where no shot is
    long enough.

    >>> from colorlib.data.video_writing import write_video
    >>> path = write_video("clip.gif", np.random.default_rng(0).integers(0, 256, (4, 16, 16, 3), np.uint8))
    >>> Clips("clip.gif", frames=3, size=16).ids
    ['clip.gif/000000', 'clip.gif/000001']
    """

    def __init__(self, folder, frames, size, stride=1, shots=None, crop="center"):
        if frames < 1 or stride < 1:
            raise ValueError(f"frames is {frames} and stride {stride}: both count from 1 on.")
        self.folder = Path(folder).expanduser().resolve()
        self.frames, self.report, self.windows, self.clips, self.shots = frames, Report(), [], {}, {}
        if shots is None and (self.folder / "shots.json").is_file():
            shots = self.folder / "shots.json"
        cuts = read_shots(shots)
        for name, source in find_clips(self.folder, size, crop):
            try:
                clip = self.clips[name] = pack(source)
            except ValueError as error:                           # not one readable frame
                self.report.corrupt.append((name, str(error)))
                continue
            self.report.corrupt += [(file if file == name else f"{name}/{file}", reason)
                                    for file, reason in clip.report.corrupt]
            self.report.kept += len(clip)
            runs, shot_of = list(find_shots(source, clip.ids, cuts.get(name, []))), number_shots(source, clip.ids, cuts.get(name, []))
            self.shots[name] = [(shot_of[first], first, last) for first, last in runs]      # (number of the shot, first, last + 1)
            for first, last in runs:
                self.windows += [(name, start) for start in range(first, last - frames + 1, stride)]
        if not self.windows:
            raise ValueError(f"{self.folder} holds no shot of {frames} frames: check the path or ask for fewer frames "
                             f"({self.report.in_one_line()}).")

    @property
    def ids(self):
        return [f"{name}/{self.clips[name].ids[start]}" for name, start in self.windows]

    def __len__(self):
        return len(self.windows)

    def __getitem__(self, i):
        name, start = self.windows[i]
        clip = self.clips[name]
        rgb = torch.from_numpy(clip.rgb[start:start + self.frames].copy()).permute(0, 3, 1, 2)      # (T, 3, H, W)
        return {"rgb": rgb, "id": f"{name}/{clip.ids[start]}", "clip": name}


def find_clips(folder, size, crop="center"):
    """Yield (name, source of frames) for every clip in a folder, sorted by name, or for one video file."""
    if folder.is_file():
        yield folder.name, VideoFrames(folder, size, crop)
        return
    sources, frames = {}, {}
    for file in map(Path, list_files(folder)):
        if file.suffix.lower() in VIDEO_SUFFIXES:
            sources[file.as_posix()] = VideoFrames(folder / file, size, crop)
        elif file.suffix.lower() in PICTURE_SUFFIXES:
            frames.setdefault(file.parent, []).append(file.name)
    for parent, names in frames.items():
        name = folder.name if parent == Path(".") else parent.as_posix()
        sources[name] = Pictures(folder / parent, size, crop, recursive=False, drop_gray=False,
                                 names=sorted(names, key=natural_order))
    yield from sorted(sources.items())


def natural_order(name):
    """Sort key that puts `2.png` before `10.png`."""
    return [(0, int(part), "") if part.isdigit() else (1, 0, part) for part in re.split(r"(\d+)", name) if part]


def frame_number(name):
    """The last number in a file's name, or None."""
    digits = re.findall(r"\d+", Path(name).stem)
    return int(digits[-1]) if digits else None


def find_shots(source, ids, cuts):
    """Yield (first, last + 1) positions in `ids`, the readable frames, of runs without a cut, a gap or an unreadable
    frame."""
    position, numbers, usual, cuts = place_frames(source, ids, cuts)
    first = 0
    for i in range(1, len(ids) + 1):
        if i < len(ids):
            before, here = position[ids[i - 1]], position[ids[i]]
            whole = here == before + 1 and numbers[here] - numbers[before] == usual and here not in cuts
        if i == len(ids) or not whole:
            yield first, i
            first = i


def number_shots(source, ids, cuts):
    """The number of the shot that each of `ids` lies in, from 0 on. A gap or an unreadable frame ends a run, not a shot."""
    position, _, _, cuts = place_frames(source, ids, cuts)
    return [sum(0 < cut <= position[name] for cut in cuts) for name in ids]


def place_frames(source, ids, cuts):
    """{name: position among the source's frames}, the frames' numbers, the usual step between these, the positions of cuts."""
    names = source.names or ids
    numbers = [frame_number(name) for name in names]
    if any(number is None for number in numbers):
        numbers = list(range(len(names)))
    steps = Counter(np.diff(numbers).tolist())
    if cuts and cuts[0] == numbers[0]:
        cuts = [sum(number < cut for number in numbers) for cut in cuts]      # frames' own numbers -> positions
    return {name: i for i, name in enumerate(names)}, numbers, steps.most_common(1)[0][0] if steps else 1, set(cuts)


def read_shots(shots):
    """A dict, a JSON file or None -> {clip: [first frame of each shot]}. Raises ValueError for another form."""
    if shots is None:
        return {}
    found = shots if isinstance(shots, (dict, list)) else read_json(shots)
    entries = found if isinstance(found, list) else [found] if "clip" in found else \
        [{"clip": name, "first_frame_of_each_shot": firsts} for name, firsts in found.items()]
    try:
        return {entry["clip"]: sorted(int(first) for first in entry["first_frame_of_each_shot"]) for entry in entries}
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"The shots are not of a known form ({error!r}): give "
                         f"{{clip: [first frame of each shot, ...]}}.") from error


class VideoFrames(Source):
    """The frames of a video file, upright, in order of time; ids are `000000`, `000001`, ... Packed like a folder of
    pictures."""

    def __init__(self, path, size, crop="center"):
        self.paths = [Path(path)]
        super().__init__(size, crop, False, folder=str(path))

    def stream(self, report, threads=None):
        name = self.paths[0].name
        try:
            for i, frame in enumerate(read_video(self.paths[0])):
                report.kept += 1
                yield i, {"id": f"{i:06d}", "rgb": self.fit(frame)}
        except Exception as error:                                # PyAV raises all kinds on damaged files
            report.corrupt.append((name, f"the video is damaged or not a video ({error}): what came before is used"))


def read_video(path):
    """Yield the frames of a video file as `(H, W, 3)` uint8, turned as the file asks for."""
    from colorlib.data.videos import open_container      # which imports this file
    with open_container(path) as video:
        if not video.streams.video:
            raise ValueError("it has no pictures")
        for frame in video.decode(video=0):
            yield np.ascontiguousarray(np.rot90(frame.to_ndarray(format="rgb24"),
                                                round(getattr(frame, "rotation", 0) / 90)))
