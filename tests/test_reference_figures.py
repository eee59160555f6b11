"""The figures of methods that match a reference: drawn with a small untrained network and with answers known beforehand, and read back."""
from dataclasses import replace
from functools import partial
from types import SimpleNamespace

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from PIL import Image

from colorlib import lab, references, scenes, zoo
from colorlib.figures import reference_figures
from colorlib.papers import gray2color

TINY = replace(gray2color.PAPER_PROBABLE, width=4, gate_width=8, classes=5, reference_size=32, image_size=32)
METHOD = zoo.get("gray2color")


def build(**changes):
    torch.manual_seed(0)
    return gray2color.build(replace(TINY, **changes)).eval().requires_grad_(False)


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


def pictures(figure):
    return [np.asarray(axes.images[0].get_array()) for axes in figure.axes if axes.images]


# ---------------------------------------------------------------- all of them

@pytest.mark.parametrize("fusion", ["gate", "sum"])
def test_draw_writes_every_figure(fusion, tmp_path, monkeypatch):
    monkeypatch.setenv("COLORLIB_FIGURES", str(tmp_path))
    monkeypatch.setattr(reference_figures, "PICTURES", 2)
    for name in ("sample_sets", "sample_pairs", "sample_taxonomy", "sample_photo_taxonomy"):
        monkeypatch.setattr(reference_figures, name, partial(getattr(reference_figures, name), side=32))
    drawn = dict(reference_figures.draw(METHOD, build(fusion=fusion), "smoke"))
    assert list(drawn) == ["references", "taxonomy", "matching", "histograms"] + ["gate"] * (fusion == "gate")
    for figure, path in drawn.items():
        assert path == tmp_path / f"06_gray2color_{figure}_smoke.png"
        assert np.asarray(Image.open(path).convert("L")).std() > 5


# ---------------------------------------------------------------- pictures and references

def test_a_scene_comes_with_its_object_in_other_colours_and_nothing_else_changed():
    scene, colored = reference_figures.sample_scene(48)
    assert next(iter(colored)) == scene.color and len(colored) > 2
    first, second, *_ = colored.values()
    changed = (first != second).any(-1)
    assert 0.01 < changed.mean() < 0.5
    own = scenes.reference(scene)
    assert np.array_equal(own.rgb, first) and not changed[~own.masks[0]].any()


def test_taxonomies_have_the_kinds_that_can_be_made():
    rgb, made = reference_figures.sample_taxonomy(32)
    assert tuple(made) == references.KINDS and all(one.shape == rgb.shape for one in made.values())
    _, made = reference_figures.sample_photo_taxonomy(32)
    assert set(references.KINDS) - set(made) == set(references.RELATED)


def test_the_unrelated_scene_shows_something_else():
    scene, _ = reference_figures.sample_scene(32)
    seed = scenes.SEED_OF_VAL + reference_figures.UNRELATED
    assert scenes.make_scene(seed, 32).name != scene.name


# ---------------------------------------------------------------- matches and gates

def test_a_picture_put_together_from_itself_is_itself():
    rgb = np.random.default_rng(0).integers(0, 256, (32, 32, 3), np.uint8)
    found = reference_figures.assemble(METHOD, build(), rgb, rgb)
    small = rgb.reshape(16, 2, 16, 2, 3).mean((1, 3))
    assert found.shape == (16, 16, 3) and (np.abs(found - small).max(-1) <= 1).mean() > 0.95


def test_matches_are_taken_from_the_places_the_paper_names():
    index = torch.tensor([[[0, 3], [2, 1]]])
    papers = SimpleNamespace(match=lambda model, batch: index, match_side=lambda model: 2)
    colors = np.array([[[250, 0, 0], [0, 250, 0]], [[0, 0, 250], [90, 90, 90]]], np.uint8)
    method, rgb = SimpleNamespace(papers=papers), np.full((32, 32, 3), 90, np.uint8)
    found = reference_figures.assemble(method, build(), rgb, colors.repeat(16, 0).repeat(16, 1))
    assert np.array_equal(found, colors.reshape(-1, 3)[index[0]])


def test_an_open_gate_is_yellow_and_a_closed_one_violet():
    rgb = scenes.make_scene(1, 32).rgb
    for value in (0.0, 1.0):
        papers = SimpleNamespace(gate=lambda model, batch: torch.full((1, 1, 16, 16), value))
        shown = reference_figures.show_gate(SimpleNamespace(papers=papers), build(), rgb, rgb)
        assert shown.shape == (32, 32, 3) and (shown == np.round(255 * np.array(plt.get_cmap("viridis")(value)[:3]))).all()


def test_rows_of_references_keep_the_truth_and_what_is_painted_apart():
    sets = [(scenes.make_scene(seed, 32).rgb, {"one": scenes.make_scene(3, 32).rgb, "two": scenes.make_scene(4, 32).rgb}) for seed in (1, 2)]
    shown = pictures(reference_figures.draw_references(METHOD, build(), sets))
    assert len(shown) == 2 * (3 + 3 + 2)
    given, one, two, truth, painted, *_ = shown
    assert np.ptp(given.astype(int), axis=-1).max() <= 1 and np.array_equal(truth, sets[0][0]) and np.array_equal(two, sets[0][1]["two"])
    assert np.abs(lab.rgb_to_lab(painted)[..., 0] - lab.rgb_to_lab(truth)[..., 0]).mean() < 1
    assert len(pictures(reference_figures.draw_references(METHOD, build(fusion="alignment"), sets))) == 2 * (3 + 3)


# ---------------------------------------------------------------- palettes

def test_a_palette_of_one_colour_is_where_the_colour_is():
    rgb = np.full((4, 4, 3), (200, 40, 60), np.uint8)
    found, (a, b) = reference_figures.palette(rgb), lab.rgb_to_lab(rgb)[0, 0, 1:]
    centers = np.linspace(-110, 110, 21)
    assert found.sum() == pytest.approx(1) and (found.sum(1) @ centers, found.sum(0) @ centers) == pytest.approx((a, b), abs=1e-3)


def test_the_outline_holds_every_colour_of_srgb_and_leaves_some_out():
    a, b, inside = reference_figures.outline()
    assert 0.2 < inside.mean() < 0.6
    corners = lab.rgb_to_lab(np.array([[(255, 0, 0), (0, 255, 0), (0, 0, 255)]], np.uint8))[0, :, 1:] * 0.95
    nearest = [inside[np.abs(b[:, 0] - y).argmin(), np.abs(a[0] - x).argmin()] for x, y in corners]
    assert nearest == [1, 1, 1] and inside[0, 0] == 0


def test_palettes_are_drawn_the_right_way_up_with_their_intersection():
    found, other = np.zeros((21, 21)), np.zeros((21, 21))
    found[15, 3], other[15, 3], other[0, 0] = 1, 0.25, 0.75
    figure = reference_figures.draw_palettes([("", {"reference": found, "painted": other})])
    first = np.ma.masked_invalid(pictures(figure)[0])
    assert np.argwhere(~first.mask).tolist() == [[3, 15]]            # rows are b
    assert figure.axes[1].get_title() == "painted, HIS 0.25"


# ---------------------------------------------------------------- scores

def test_gate_and_kinds_show_means():
    figure = reference_figures.draw_gate([("self", 0.8, 0.4), ("self", 0.6, 0.6), ("noise", 0.1, 0.2)])
    drawn = [tuple(np.asarray(one.get_offsets())[0]) for one in figure.axes[0].collections if one.get_label() in ("self", "noise")]
    assert np.allclose(drawn, [(0.7, 0.5), (0.1, 0.2)])
    scores = {"self": {"psnr": np.array([20.0, 30.0])}, "unrelated": {}, "noise": {"psnr": np.array([10.0, np.nan])}}
    dots, line = reference_figures.draw_kinds(scores, {"psnr": {"grey": 15.0}}, {"psnr": "PSNR"}).axes[0].lines
    assert np.array_equal(dots.get_xydata(), [(25.0, 0), (10.0, 2)]) and line.get_xdata()[0] == 15.0
