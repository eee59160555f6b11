"""The figures of clips: drawn with tiny untrained networks and with rows known beforehand, and read back; clips to probe with, whose answers are known."""
from dataclasses import replace

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from PIL import Image

from colorlib import lab, results, scenes, zoo
from colorlib.experiments import ablations, reproduction
from colorlib.figures import video_figures
from colorlib.papers import tcvc

TINY = replace(tcvc.SMOKE, width=4, residual_blocks=1, image_size=32, batch_size=2, steps=2, features="random")
METHOD = zoo.get("tcvc")


def build(config=TINY):
    torch.manual_seed(0)
    return tcvc.build(config).eval().requires_grad_(False)


@pytest.fixture(autouse=True)
def workshop(tmp_path, monkeypatch):
    """Results and figures that go nowhere else, and small, short clips."""
    for name in ("RESULTS", "FIGURES", "CACHE"):
        monkeypatch.setenv(f"COLORLIB_{name}", str(tmp_path / name.lower()))
    monkeypatch.setattr(video_figures, "sample_clip", lambda seed=video_figures.SEED: scenes.make_clip(seed, 4, 48))
    monkeypatch.setattr(video_figures, "CUT", 2)
    for name, shown in (("SHOWN", (0, 3)), ("SHOWN_EARLY", (0, 1)), ("SHOWN_CUT", (1, 2))):
        monkeypatch.setattr(video_figures, name, shown)
    monkeypatch.setattr(video_figures, "LADDER_DATA", "scenes:2")
    yield tmp_path
    plt.close("all")


def pictures_of(figure):
    return [np.asarray(axes.images[0].get_array()) for axes in figure.axes if axes.images]


def row(variant="p 0.5", seed=0, dataset="film val", size="smoke", **psnr):
    return {"method": "tcvc", "variant": variant, "size": size, "dataset": dataset, "seed": seed} | {f"psnr@{k[1:]}": value for k, value in psnr.items()}


def test_draw_writes_every_figure(workshop, monkeypatch):
    monkeypatch.setattr(video_figures, "train_ladder", lambda: {rung: build(replace(TINY, **tcvc.TAUGHT)) for rung in video_figures.LADDER})
    for one in (row("grey", None, _1=18.0, _2=18.0), row(_1=20.0, _2=19.0)):
        results.append(video_figures.TABLE, one)
    drawn = dict(video_figures.draw(METHOD, build(), "smoke"))
    assert list(drawn) == ["flicker_smoke", "wrong_frame_smoke", "entering_smoke", "cut_smoke", "tcvc_ladder", "drift"]
    drawn |= dict(video_figures.draw(zoo.get("tcvc_lines"), build(replace(TINY, **tcvc.LINES)), "smoke"))
    for figure, path in drawn.items():
        assert path == workshop / "figures" / f"08_{figure}.png"
        assert np.asarray(Image.open(path).convert("L")).std() > 5


def test_a_thing_at_rest_is_a_vertical_line_and_flicker_goes_across():
    still = torch.randint(0, 256, (1, 3, 16, 16), dtype=torch.uint8).expand(4, -1, -1, -1)
    picture = video_figures.over_time(still, 5)
    assert picture.shape == (16, 16, 3) and (picture == picture[0]).all() and np.array_equal(picture[0].T, still[0, :, 5].numpy())
    flickering = still.clone()
    flickering[1] = 0
    picture = video_figures.over_time(flickering, 5)
    assert (picture[4:8] == 0).all() and np.array_equal(picture[8], picture[0])
    marked, seen = pictures_of(video_figures.draw_flicker({"one": flickering}, 5))
    assert (marked[5] == (255, 0, 0)).all() and np.array_equal(marked[6].T, still[0, :, 6].numpy()) and np.array_equal(seen, picture)


def test_a_film_strip_shows_the_frames_asked_for():
    clip = video_figures.sample_clip()
    shown = pictures_of(video_figures.draw_film({"truth": video_figures.frames_of(clip), "lines": video_figures.line_art(clip)}, (1, 3)))
    assert np.array_equal(shown[0], clip.rgb[1]) and np.array_equal(shown[1], clip.rgb[3]) and set(np.unique(shown[2])) == {0, 1}


def test_opposite_colors_have_the_lightness_and_the_opposite_hue():
    frame = video_figures.frames_of(video_figures.sample_clip())[0]
    before, after = lab.rgb_to_lab(frame[None]), lab.rgb_to_lab(video_figures.opposite_colors(frame)[None])
    inside = lab.in_gamut((before * torch.tensor([1, -1, -1]).view(1, 3, 1, 1))[0])
    assert 0.2 < inside.float().mean()
    assert torch.allclose(after[0][:, inside], (before * torch.tensor([1, -1, -1]).view(1, 3, 1, 1))[0][:, inside], atol=0.5)


def test_what_enters_comes_from_the_right_and_covers_what_was_there():
    clip, other = video_figures.sample_clip(), scenes.make_clip(video_figures.SEED + 16, 4, 48)
    frames, where = video_figures.let_enter(replace_frames(clip, 30), other)
    mask = other.masks[0, 0]
    assert not where[0].any() and where.sum((1, 2)).max() == mask.sum() and where[-1][:, 0].any()      # at last its left edge is the picture's
    left = [np.nonzero(one.any(0))[0].min() for one in where if one.any()]
    assert left == sorted(left, reverse=True) and len(left) > 10
    assert np.array_equal(np.sort(frames[-1].permute(1, 2, 0).numpy()[where[-1]], 0), np.sort(other.rgb[0][mask], 0))
    assert np.array_equal(frames[5].permute(1, 2, 0).numpy()[~where[5]], clip.rgb[0][~where[5]])


def replace_frames(clip, count):
    return replace(clip, rgb=np.repeat(clip.rgb[:1], count, 0))


def test_columns_shift_either_way():
    plane = np.arange(6).reshape(1, 6)
    assert video_figures.shift_columns(plane, 2).tolist() == [[0, 0, 0, 1, 2, 3]] and video_figures.shift_columns(plane, -2).tolist() == [[2, 3, 4, 5, 0, 0]]
    assert video_figures.shift_columns(plane, 0).tolist() == plane.tolist() and not video_figures.shift_columns(plane, 6).any()


def test_colour_error_is_a_distance_in_the_ab_plane():
    true = video_figures.frames_of(video_figures.sample_clip())
    wrong = true.clone()
    wrong[1] = 255 - wrong[1]
    expected = np.linalg.norm((lab.rgb_to_lab(wrong[1]) - lab.rgb_to_lab(true[1]))[1:].numpy(), axis=0).mean()
    assert video_figures.color_error(wrong, true) == pytest.approx([0, expected, 0, 0], abs=1e-4) and expected > 10


def test_a_given_first_frame_is_kept_and_the_network_goes_on_from_it():
    true = video_figures.frames_of(video_figures.sample_clip())
    clips = video_figures.paint_wrong(build(), true)
    good, bad = clips["true first frame"], clips["false first frame"]
    assert torch.equal(good[0], true[0]) and good.shape == bad.shape == true.shape and torch.equal(clips["truth"], true)
    assert not torch.equal(good[1], bad[1])


def test_a_restart_forgets_the_shot_before_and_changes_nothing_before_the_cut():
    frames = video_figures.splice(video_figures.sample_clip())
    assert torch.equal(frames[2:], video_figures.frames_of(video_figures.sample_clip(video_figures.SECOND))[:2])
    painted = video_figures.paint_cut(build(replace(TINY, align=False)), frames)
    on, anew = painted["not restarted"], painted["restarted"]
    assert torch.equal(on[:2], anew[:2]) and not torch.equal(on[2], anew[2]) and torch.equal(painted["truth"], frames)
    assert torch.equal(anew[2:], tcvc.paint_clip(build(replace(TINY, align=False)), frames[2:]))


def test_a_newcomer_is_painted_alone_and_with_the_frame_before():
    clips, where = video_figures.paint_newcomer(build(), replace_frames(video_figures.sample_clip(), 6))
    alone, remembered, true = clips.values()
    assert torch.equal(alone[0], remembered[0]) and not torch.equal(alone[-1], remembered[-1]) and where.shape == (6, 48, 48) and true.shape == alone.shape


def test_the_ladder_trains_a_network_a_rung():
    ladder = video_figures.train_ladder(TINY)
    assert list(ladder) == list(video_figures.LADDER) and all(video_figures.LADDER[rung] in tcvc.TRAINING_ABLATIONS for rung in ladder)
    settings = [(one.config.l1_weight, one.config.content_weight, one.config.previous_share) for one in ladder.values()]
    assert [[bool(value) for value in one] for one in settings] == [[False, False, False], [True, False, False], [True, True, False], [True, True, True]]
    assert all(not one.config.align for one in ladder.values()), "the published method, not ours"


def test_drift_is_the_last_run_of_every_seed_above_grey():
    rows = [row("grey", None, _1=15.0, _2=16.0), row(_1=10.0, _2=11.0), row(_1=20.0, _2=21.0), row(seed=1, _1=22.0, _2=19.0),
            row("p 0", dataset="other val", _1=1.0), row("p 1", size="class", _1=1.0), row("p 0.25", _1=None), row("grey", None, "other val", _1=2.0)]
    found = video_figures.gather_drift(rows, video_figures.SHARES, "smoke", "film val")
    assert list(found) == ["p 0.5"] and found["p 0.5"][0] == [1, 2] and found["p 0.5"][1].tolist() == [[5.0, 5.0], [7.0, 3.0]]
    film, other = video_figures.draw_drift(rows, video_figures.SHARES, "smoke").axes
    assert [line.get_ydata().tolist() for line in film.lines] == [[6.0, 4.0]] and [line.get_ydata().tolist() for line in other.lines] == [[-1.0]]
    assert film.get_title() == "film, smoke size"
    with pytest.raises(ValueError, match="ablate tcvc"):
        video_figures.draw_drift(rows, video_figures.SHARES, "paper")


def test_reproduce_draws_them_for_methods_that_are_trained_on_clips(workshop, monkeypatch):
    monkeypatch.setattr(video_figures, "draw", lambda method, model, size: [(f"figure of {method.name}", "here")])
    for name in ("evaluate_method", "draw_results", "draw_banner", "write_table"):
        monkeypatch.setattr(reproduction, name, lambda *arguments, **options: "")
    monkeypatch.setattr(reproduction.results, "table", lambda *arguments, **options: "")
    monkeypatch.setattr(reproduction, "PHOTOS", 1)
    monkeypatch.setenv("COLORLIB_WEIGHTS", str(workshop))
    for name, config in (("tcvc", TINY), ("tcvc_lines", replace(TINY, **tcvc.LINES))):
        zoo.save_weights(build(config), name, zoo.weights_file(name, "smoke"), {"size": "smoke"})
        assert any(f"figure of {name} here" in line for line in reproduction.reproduce(name, "smoke", device="cpu"))


def test_photographs_of_the_shared_figure_are_painted_from_lines(monkeypatch):
    monkeypatch.setattr(reproduction, "PHOTOS", 1)
    painted, = reproduction.paint_photos(zoo.get("tcvc_lines"), build(replace(TINY, **tcvc.LINES)), side=48)
    assert set(np.unique(painted["input"])) == {0, 1} and painted[""].shape == (48, 48, 3) and painted[""].dtype == np.uint8


def test_a_table_of_ablations_shows_what_is_asked_for_in_that_order_as_far_as_it_was_measured():
    for one in (row("p 0", _1=10.0) | {"psnr": 11.0, "warp_error": 0.1}, row("p 1", _1=20.0) | {"psnr": 22.0, "warp_error": 0.2}):
        results.append(video_figures.TABLE, one)
    lines = ablations.table("tcvc", "smoke", "film", ("p 1", "never measured", "p 0"), ("psnr@1", "cdc", "psnr")).splitlines()
    assert lines[0] == "| changed | seeds | PSNR, frame 1 | PSNR |" and [line.split(" | ")[0] for line in lines[2:]] == ["| p 1", "| p 0"]
    assert "| 20.00 ± 0.00 | 22.00 ± 0.00 |" in lines[2]
    assert "warp error" in ablations.table("tcvc", "smoke", "film").splitlines()[0]
