"""Clips side by side in a notebook: one HTML5 video that carries its own data, so it plays without a network, in JupyterLab and in a saved page."""
import base64
import html
import tempfile
from pathlib import Path

import numpy as np
import torch

from colorlib.data.video_writing import write_video

__all__ = ["ClipPlayer", "encode_clip", "lay_side_by_side"]

RATE = 12                # frames a second
WIDTH = 720              # pixels that the clips take together, at most
GAP = 4                  # pixels between clips
WHITE = 255


class ClipPlayer:
    """Clips of one length and size {title: frames}, `(T, H, W, 3)` arrays or `(T, 3, H, W)` tensors, uint8, shown side by side and in step.

    They are *one* H.264 video (MP4, see `data.video_writing`), because separate ones would run apart; the browser's own controls play it, also from the
    keyboard. Nothing moves before it is asked to. rate: frames a second. alt: what the video shows, for those who cannot see it. Raises ValueError for clips
    that are not alike.

    >>> clip = np.zeros((3, 16, 20, 3), np.uint8)
    >>> ClipPlayer({"truth": clip, "painted": clip})
    ClipPlayer: truth, painted; 3 frames
    """

    def __init__(self, clips, rate=RATE, alt=""):
        self.titles, self.rate, self.alt = list(clips), rate, alt or f"Clips side by side: {', '.join(map(str, clips))}."
        self.frames = lay_side_by_side(clips)
        self.mp4 = encode_clip(self.frames, rate)

    def __repr__(self):
        return f"ClipPlayer: {', '.join(map(str, self.titles))}; {len(self.frames)} frames"

    def _repr_html_(self):
        width = min(WIDTH, 2 * self.frames.shape[2])
        titles = "".join(f'<div style="flex:1; text-align:center">{html.escape(str(title))}</div>' for title in self.titles)
        source = f"data:video/mp4;base64,{base64.b64encode(self.mp4).decode()}"
        return (f'<figure style="margin:0; max-width:{width}px"><figcaption style="display:flex">{titles}</figcaption>'
                f'<video aria-label="{html.escape(self.alt)}" controls loop muted playsinline preload="auto" style="width:100%; height:auto" src="{source}">'
                f"{html.escape(self.alt)} This browser cannot play it.</video></figure>")


def lay_side_by_side(clips, gap=GAP):
    """{title: frames} of one length and size -> `(T, H', W', 3)` uint8, `gap` white pixels between them; sides are made even, since H.264 for browsers has
    half the colour resolution. Raises ValueError for clips that are not alike.

    >>> lay_side_by_side({"a": np.zeros((3, 15, 20, 3), np.uint8), "b": np.zeros((3, 15, 20, 3), np.uint8)}).shape
    (3, 16, 44, 3)
    """
    arrays = [frames.permute(0, 2, 3, 1).numpy() if torch.is_tensor(frames) else np.asarray(frames) for frames in clips.values()]
    if not arrays or len({one.shape for one in arrays}) > 1 or arrays[0].ndim != 4 or arrays[0].shape[-1] != 3 or any(one.dtype != np.uint8 for one in arrays):
        raise ValueError("Clips to play side by side must be of one length and size, uint8, (T, H, W, 3) or tensors (T, 3, H, W), not "
                         f"{', '.join(f'{title} {one.dtype} {one.shape}' for title, one in zip(clips, arrays)) or 'none'}.")
    count, height, width = arrays[0].shape[:3]
    sheet = np.full((count, height + height % 2, len(arrays) * (width + gap) - gap, 3), WHITE, np.uint8)
    for i, one in enumerate(arrays):
        sheet[:, :height, i * (width + gap):i * (width + gap) + width] = one
    return np.pad(sheet, ((0, 0), (0, 0), (0, sheet.shape[2] % 2), (0, 0)), constant_values=WHITE)


def encode_clip(frames, rate=RATE):
    """Frames `(T, H, W, 3)` uint8 as the bytes of an MP4 file. rate: frames a second.

    >>> encode_clip(np.zeros((3, 16, 20, 3), np.uint8))[4:8]
    b'ftyp'
    """
    with tempfile.TemporaryDirectory() as folder:
        return write_video(Path(folder) / "clip.mp4", frames, rate).read_bytes()
