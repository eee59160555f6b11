"""Clips side by side in a notebook: the video inside the HTML is read back and must be the clips."""
import base64
import re

import numpy as np
import pytest
import torch

from colorlib import scenes, widgets
from colorlib.data.clips import read_video


@pytest.fixture(scope="module")
def clip():
    return scenes.make_clip(3, 5, 48).rgb


def test_the_page_carries_a_video_of_all_clips_in_step(clip, tmp_path):
    player = widgets.ClipPlayer({"truth": clip, "grey <1>": torch.from_numpy(clip[::-1].copy()).permute(0, 3, 1, 2)}, rate=10)
    page = player._repr_html_()
    assert re.findall(r'src="(.{22})', page) == ["data:video/mp4;base64,"] and "http" not in page
    assert "grey &lt;1&gt;" in page and "controls" in page and "autoplay" not in page and 'aria-label="Clips side by side: truth' in page
    (tmp_path / "clip.mp4").write_bytes(base64.b64decode(re.search(r'base64,([^"]+)"', page).group(1)))
    seen = np.stack(list(read_video(tmp_path / "clip.mp4"))).astype(int)
    left, right = seen[:, :, :48], seen[:, :, 48 + 4:]
    assert seen.shape == (5, 48, 100, 3)
    assert abs(left - clip).mean() < 6 and abs(right - clip[::-1]).mean() < 6 < abs(left - clip[::-1]).mean()
    assert repr(player) == "ClipPlayer: truth, grey <1>; 5 frames"


def test_odd_sides_are_made_even_so_that_browsers_play_them(clip):
    sheet = widgets.lay_side_by_side({"a": clip[:, :47, :45]})
    assert sheet.shape == (5, 48, 46, 3) and np.array_equal(sheet[:, :47, :45], clip[:, :47, :45])
    assert (sheet[:, 47] == 255).all() and (sheet[:, :, 45] == 255).all()


def test_clips_that_do_not_fit_together_are_named(clip):
    for wrong in ({}, {"a": clip, "b": clip[:3]}, {"a": clip / 255}, {"a": clip[..., 0]}):
        with pytest.raises(ValueError, match="of one length and size"):
            widgets.ClipPlayer(wrong)
