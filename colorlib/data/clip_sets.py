"""Clips to train and to test on, from what a person types: procedural ones with known motion, or a folder's, split so that no shot is on both
sides."""
from pathlib import Path

import cv2
import numpy as np
import torch

from colorlib.data.clips import VIDEO_SUFFIXES, Clips, read_shots
from colorlib.data.combining import choose, join
from colorlib.data.opening import HELD_OUT, SPLIT_WORDS, find_split, open_pictures
from colorlib.data.pairs import split_ids

__all__ = ["open_clips", "SceneClips", "StillClips"]

SCENE_CLIPS = {"train": 300, "val": 40}     # procedural clips unless a number is given
SHORTEST = 12               # frames of a procedural clip: shorter windows are cut out of one
SHOT = "shot"               # as a number of frames: every shot whole
SCENE_SHOT = 32             # frames of a whole procedural clip
SHORTEST_SHOT = 5           # frames of a shot of a folder that is taken whole: temporal metrics compare frames 4 apart
PAN, ZOOM = 0.03, 0.01      # of the side, and relative, a frame: the fastest camera over a photo
LONGEST_SHOT = 96           # frames of it that are used


def open_clips(spec, size, frames, stride=1, split="train", limit=None, seed=0, with_flow=False):
    """A map-style data set of windows of `frames` frames; samples: rgb `(T, 3, size, size)` uint8, id, clip.

    spec: "scenes" or, so many clips of them, "scenes:80"; "stills:" and a folder of photos or a torchvision set, see
    `StillClips`; several with + between; or a folder of clips or a video file, as `Clips` opens it, `shots.json` in it or
    beside it. Its sub-folders train and val are the split; else the last shot of every clip that has several is "val";
    else a tenth of the clips, at least one. frames: a number, or "shot": every shot is one sample, of SHORTEST_SHOT to
    LONGEST_SHOT frames. stride: frames between the starts of two windows. limit: at most so many windows, evenly spread.
    seed: of the scenes. with_flow: samples of scenes hold flow and occlusion, too, see `SceneClips`; a folder's motion is
    not known. Raises FileNotFoundError where the data or the split are not there, ValueError for bad input.

    >>> clips = open_clips("scenes:2", size=16, frames=3, stride=5)
    >>> clips.ids, clips[0]["rgb"].shape
    (['clip/0/000', 'clip/0/005', 'clip/1/000', 'clip/1/005'], torch.Size([3, 3, 16, 16]))
    """
    if split not in SPLIT_WORDS:
        raise ValueError(f"split is {split!r}: choose train or val.")
    if limit is not None and limit < 1:
        raise ValueError(f"limit is {limit}: ask for at least one window.")
    if frames != SHOT and (not isinstance(frames, int) or frames < 1):
        raise ValueError(f"frames is {frames!r}: give a number from 1 on, or {SHOT!r} for whole shots.")
    if "+" in str(spec) and not Path(spec).exists():
        return join([open_clips(part, size, frames, stride, split, limit, seed, with_flow) for part in str(spec).split("+")])
    kind, _, count = str(spec).partition(":")
    if kind == "stills":
        found = StillClips(open_pictures(count, size, split=split), SHORTEST if frames == SHOT else frames, seed)
    elif kind == "scenes":
        if count and (not count.isdecimal() or int(count) < 1):
            raise ValueError(f"{spec!r} does not say how many clips: write a number, such as scenes:80.")
        from colorlib.scenes import SEED_OF_VAL
        found = SceneClips(int(count or SCENE_CLIPS[split]), size, frames, stride, seed + (SEED_OF_VAL if split == "val" else 0), with_flow)
    else:
        found = open_folder(Path(spec).expanduser(), size, frames, stride, split)
    return choose(found, limit=limit)


# ---------------------------------------------------------------- procedural clips

class SceneClips(torch.utils.data.Dataset):
    """Windows out of the procedural clips (`scenes.make_clip`) of the seeds seed .. seed + count - 1, each drawn when first asked for and then kept.

    frames: of a window; "shot": each clip whole, SCENE_SHOT frames. with_flow: samples hold what is known of the motion,
    flow `(T - 1, 2, H, W)` float32, dx and dy in pixels from frame t to t + 1, and occlusion `(T - 1, H, W)` bool, see
    `scenes.Clip`. They are for tests: training mirrors and crops what looks like a picture, which would leave dx as it
    is. Raises ValueError for a count or stride below 1 or a seed below 0.

    >>> sample = SceneClips(1, size=16, frames=4, with_flow=True)[0]
    >>> sample["rgb"].shape, sample["flow"].shape
    (torch.Size([4, 3, 16, 16]), torch.Size([3, 2, 16, 16]))
    """

    def __init__(self, count, size, frames, stride=1, seed=0, with_flow=False):
        if count < 1 or stride < 1 or seed < 0:
            raise ValueError(f"count is {count}, stride {stride} and seed {seed}: at least one clip, a stride from 1 and a seed from 0 on.")
        self.size, self.seed, self.with_flow = size, seed, with_flow
        self.frames = SCENE_SHOT if frames == SHOT else frames
        self.length = SCENE_SHOT if frames == SHOT else max(frames, SHORTEST)
        self.windows = [(seed + i, start) for i in range(count) for start in range(0, self.length - self.frames + 1, stride)]
        self.drawn = {}

    @property
    def ids(self):
        return [f"clip/{seed}/{start:03d}" for seed, start in self.windows]

    @property
    def starts(self):
        """Whether each window begins with the first frame of a shot."""
        return [start == 0 for _, start in self.windows]

    def __len__(self):
        return len(self.windows)

    def __getitem__(self, i):
        seed, start = self.windows[i]
        if seed not in self.drawn:
            self.drawn[seed] = self.draw(seed)
        last = start + self.frames
        motion = {key: plane[start:last - 1] for key, plane in self.drawn[seed].items() if key != "rgb"}
        return {"rgb": self.drawn[seed]["rgb"][start:last].clone(), "id": f"clip/{seed}/{start:03d}", "clip": f"clip/{seed}"} | motion

    def draw(self, seed):
        """The whole clip of a seed: rgb `(T, 3, H, W)` uint8 and, with_flow, flow and occlusion."""
        from colorlib import scenes
        clip = scenes.make_clip(seed, self.length, self.size)
        drawn = {"rgb": torch.from_numpy(clip.rgb).permute(0, 3, 1, 2)}
        if self.with_flow:
            drawn |= {"flow": torch.from_numpy(clip.flow).permute(0, 3, 1, 2).contiguous(), "occlusion": torch.from_numpy(clip.occlusion)}
        return drawn


# ---------------------------------------------------------------- photos

class StillClips(torch.utils.data.Dataset):
    """A camera that moves over each photo: windows of `frames` frames with a pan of up to PAN of the side and a zoom of up
    to ZOOM a frame, the same each time for the same photo and seed. What no clip that is short of shots can show: how
    many things there are.

    pictures: map-style, samples with rgb `(3, S, S)` uint8 and id. Samples: rgb `(frames, 3, S, S)` uint8, id, clip.

    >>> from colorlib.data import SceneSet
    >>> StillClips(SceneSet(1, size=16, cache=False), frames=5)[0]["rgb"].shape
    torch.Size([5, 3, 16, 16])
    """

    def __init__(self, pictures, frames, seed=0):
        self.pictures, self.frames, self.seed = pictures, frames, seed

    ids = property(lambda self: [f"still/{one}" for one in self.pictures.ids])
    starts = property(lambda self: [True] * len(self))

    def __len__(self):
        return len(self.pictures)

    def __getitem__(self, i):
        picture, rng = self.pictures[i], np.random.default_rng((self.seed, i))
        rgb = np.ascontiguousarray(picture["rgb"].permute(1, 2, 0).numpy())
        side, (dx, dy), zoom, times = len(rgb), rng.uniform(-PAN, PAN, 2), rng.uniform(-ZOOM, ZOOM), np.arange(self.frames) - (self.frames - 1) / 2
        longest = abs(times).max()
        near = 1 / (1 - 2 * PAN * longest) * (1 + ZOOM) ** longest      # so that the camera never sees beyond the photo
        frames = []
        for t in times:
            scale = near * (1 + zoom) ** t
            shift = side * (np.array([dx, dy]) * t + (1 - scale) / 2)
            matrix = np.array([[scale, 0, shift[0]], [0, scale, shift[1]]])
            frames.append(cv2.warpAffine(rgb, matrix, (side, side), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101))
        name = f"still/{picture['id']}"
        return {"rgb": torch.from_numpy(np.stack(frames)).permute(0, 3, 1, 2), "id": name, "clip": name}


# ---------------------------------------------------------------- clips of a folder

class ClipWindows(torch.utils.data.Dataset):
    """Chosen windows of `Clips`, which may differ in length: windows is a list of (clip, first frame, last frame + 1)."""

    def __init__(self, clips, windows):
        self.clips, self.windows, self.report = clips, windows, clips.report

    @property
    def ids(self):
        return [f"{name}/{self.clips.clips[name].ids[first]}" for name, first, _ in self.windows]

    @property
    def starts(self):
        """Whether each window begins with the first frame of a shot, or the first one after a gap."""
        runs = {(name, first) for name, shots in self.clips.shots.items() for _, first, _ in shots}
        return [(name, first) in runs for name, first, _ in self.windows]

    def __len__(self):
        return len(self.windows)

    def __getitem__(self, i):
        name, first, last = self.windows[i]
        clip = self.clips.clips[name]
        return {"rgb": torch.from_numpy(clip.rgb[first:last].copy()).permute(0, 3, 1, 2), "id": f"{name}/{clip.ids[first]}", "clip": name}


def open_folder(path, size, frames, stride, split):
    """The windows of one split of a folder of clips or of one video file, see `open_clips`."""
    if not path.exists():
        raise FileNotFoundError(f"{path} is neither scenes, nor a folder of clips, nor a video file ({', '.join(VIDEO_SUFFIXES)}): "
                                "check the spelling.")
    clips, is_marked = find_split(path, size, split, open_folder=lambda folder, size: Clips(folder, 1, size, shots=nearest_shots(folder)))
    chosen = clips.shots if is_marked else split_shots(clips.shots, path)[split]
    if frames == SHOT:
        windows = [(name, first, min(last, first + LONGEST_SHOT)) for name, runs in chosen.items() for _, first, last in runs
                   if last - first >= SHORTEST_SHOT]
    else:
        windows = [(name, start, start + frames) for name, runs in chosen.items() for _, first, last in runs
                   for start in range(first, last - frames + 1, stride)]
    if not windows:
        wanted = SHORTEST_SHOT if frames == SHOT else frames
        raise FileNotFoundError(f"{path} has no shot of {wanted} frames in its {split} split: ask for fewer frames, or add clips.")
    return ClipWindows(clips, windows)


def split_shots(shots, path):
    """{clip: [(number of the shot, first, last + 1), ...]} -> {"train": such, "val": such}. Raises FileNotFoundError for a single clip of one
    shot."""
    last = {name: max(number for number, *_ in runs) for name, runs in shots.items()}
    several = {name for name, runs in shots.items() if min(number for number, *_ in runs) < last[name]}
    if several:
        is_val = lambda name, number: name in several and number == last[name]
    elif len(shots) > 1:
        held = set(split_ids(shots, max(HELD_OUT, 1 / len(shots)))[1])
        is_val = lambda name, number: name in held
    else:
        raise FileNotFoundError(f"{path} holds one clip of one shot, which cannot be split: add clips, make folders train and val, or name the first "
                                "frame of each shot in a shots.json.")
    chosen = lambda wanted: {name: [run for run in runs if is_val(name, run[0]) == wanted] for name, runs in shots.items()}
    return {"train": chosen(False), "val": chosen(True)}


def nearest_shots(folder):
    """{clip: first frames of its shots} from `shots.json` in a folder or, where it has none, beside it; None without one."""
    if (own := folder / "shots.json").is_file():
        return read_shots(own)
    if not (beside := folder.resolve().parent / "shots.json").is_file():
        return None
    return {name.removeprefix(f"{folder.name}/"): firsts for name, firsts in read_shots(beside).items()}
