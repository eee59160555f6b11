"""Colour words against people's own: surveyed names, CSS names, and procedural scenes whose words are known."""
from itertools import product

import matplotlib.colors
import numpy as np
import pytest

from colorlib import color_names, scenes
from colorlib.captions import COLOR_WORDS
from colorlib.color_names import REGIONS, from_lch, name_color, name_colors, name_region, prototypes, to_lch
from colorlib.lab import in_gamut, lab_to_rgb, rgb_to_lab


def agreement(table, word_of):
    """Share of the names of a table {name: color} whose word, by `word_of`, is the one the rule gives; and how many names have a word."""
    named = [(word_of(name), name_color(np.array(matplotlib.colors.to_rgb(color)))) for name, color in table.items() if word_of(name)]
    return np.mean([said == found for said, found in named]), len(named)


def paint(lch):
    """LCh `(..., 3)` -> uint8 `(..., 3)`."""
    return np.rint(255 * lab_to_rgb(from_lch(*np.moveaxis(np.asarray(lch, float), -1, 0)))).astype(np.uint8)


# ---------------------------------------------------------------- one colour

def test_every_colour_has_a_row():
    for L, C, hue in product((0, 30, 45, 55, 70, 84, 90, 96, 100), (0, 10, 20, 40, 60, 80, 140), np.arange(20, 380, 0.5)):
        assert any(row.hue[0] <= hue < row.hue[1] and row.L[0] <= L < row.L[1] and row.C[0] <= C < row.C[1] for row in REGIONS), (L, C, hue)


def test_names_of_the_xkcd_survey():
    last = lambda name: {"grey": "gray"}.get(name.replace("/", " ").split()[-1], name.replace("/", " ").split()[-1])
    share, count = agreement({name.removeprefix("xkcd:"): color for name, color in matplotlib.colors.XKCD_COLORS.items()},
                             lambda name: last(name) if last(name) in COLOR_WORDS else None)
    assert count == 569 and share >= 0.9


def test_css_names():
    share, count = agreement(matplotlib.colors.CSS4_COLORS, lambda name: next(
        ({"grey": "gray"}.get(word, word) for word in (*COLOR_WORDS, "grey") if name.endswith(word)), None))
    assert count == 77 and share >= 0.85


@pytest.mark.parametrize("css, word", [
    ("red", "red"), ("darkred", "red"), ("orange", "orange"), ("yellow", "yellow"), ("lime", "green"), ("darkgreen", "green"), ("blue", "blue"),
    ("navy", "blue"), ("skyblue", "blue"), ("purple", "purple"), ("indigo", "purple"), ("darkviolet", "purple"), ("pink", "pink"), ("deeppink", "pink"),
    ("saddlebrown", "brown"), ("tan", "brown"), ("black", "black"), ("white", "white"), ("ivory", "white"), ("gray", "gray"), ("silver", "gray")])
def test_plain_colours(css, word):
    rgb = np.array(matplotlib.colors.to_rgb(css))
    assert name_color(rgb) == name_color(np.rint(255 * rgb).astype(int)) == name_color(lab=rgb_to_lab(rgb[None])[0]) == word


def test_brown_is_dark_orange_and_pink_light_red():
    hues = dict(brown=(34, 40, 60), orange=(68, 80, 60), red=(48, 80, 30), pink=(76, 40, 10))
    assert {name_color(lab=from_lch(*map(float, lch))) for lch in hues.values()} == set(hues)
    assert all(name_color(lab=from_lch(*map(float, lch))) == word for word, lch in hues.items())


def test_prototypes_are_good_examples():
    assert tuple(prototypes()) == COLOR_WORDS
    for word, lab in prototypes().items():
        assert name_color(lab=lab) == word and in_gamut(np.array(lab)[None]).all()
        assert name_region(np.rint(255 * lab_to_rgb(np.full((4, 4, 3), lab))).astype(np.uint8), np.ones((4, 4))) == (word, 1.0)


def test_shapes():
    lab = np.random.default_rng(0).uniform((0, -90, -100), (100, 90, 90), (3, 5, 3))
    names = name_colors(lab)
    assert names.shape == (3, 5) and [COLOR_WORDS[k] for k in names.ravel()] == [name_color(lab=one) for one in lab.reshape(-1, 3)]
    assert name_colors(lab[0, 0]).shape == () and name_colors(lab[:0]).shape == (0, 5)
    assert np.allclose(from_lch(*to_lch(lab)), lab)


@pytest.mark.parametrize("arguments", [{}, {"rgb": (1, 0, 0), "lab": (50, 0, 0)}, {"rgb": (300, 0, 0)}, {"rgb": (0.5, 1.5, 0)}, {"rgb": (1, 2)},
                                       {"lab": (float("nan"), 0, 0)}])
def test_what_is_no_colour(arguments):
    with pytest.raises(ValueError, match=r"[Gg]ive"):
        name_color(**arguments)


def test_what_is_no_lab():
    for lab in (np.zeros((4, 2)), np.float32(3), np.full((2, 3), np.nan)):
        with pytest.raises(ValueError, match="last axis"):
            name_colors(lab)


def test_the_seam_of_the_hues():
    """Float32 hues just below 20 degrees become 380 when a full circle is added."""
    around = from_lch(70.0, 45.0, np.linspace(20 - 1e-4, 20 + 1e-4, 201))
    assert {COLOR_WORDS[k] for k in name_colors(around)} == {"pink"}


# ---------------------------------------------------------------- a region

def test_shading_does_not_change_the_word():
    """A lemon from full light to a twentieth of it: most of its pixels alone look brown."""
    lit, light = from_lch(82.0, 78.0, 96.0), np.linspace(0.05, 1, 40) ** (1 / 3)
    lab = np.stack([(lit[0] + 16) * light - 16, lit[1] * light, lit[2] * light], -1)[None].repeat(8, 0)      # (8, 40, 3)
    rgb = np.rint(255 * lab_to_rgb(lab)).astype(np.uint8)
    pixels = [COLOR_WORDS[k] for k in name_colors(rgb_to_lab(rgb)).ravel()]
    assert max(set(pixels), key=pixels.count) != "yellow" and name_region(rgb, np.ones((8, 40)))[0] == "yellow"


def region_of(*parts):
    """A picture in columns, each of one colour: parts are (LCh, columns)."""
    return np.concatenate([np.tile(paint(lch), (10, columns, 1)) for lch, columns in parts], 1)


def test_colour_comes_before_windows_and_tyres():
    red, window, tyre = (45, 75, 33), (60, 3, 250), (12, 1, 0)
    word, share = name_region(region_of((red, 7), (window, 6), (tyre, 7)), np.ones((10, 20)))
    assert word == "red" and share == pytest.approx(0.35)
    word, share = name_region(region_of((red, 2), (window, 11), (tyre, 7)), np.ones((10, 20)))
    assert word == "gray" and share == pytest.approx(0.9)


@pytest.mark.parametrize("parts, word", [
    ([((12, 1, 0), 12), ((85, 1, 0), 8)], "black"), ([((40, 2, 0), 10), ((78, 3, 90), 10)], "white"), ([((40, 2, 0), 10), ((55, 3, 90), 10)], "gray")])
def test_black_white_and_gray_things_in_light(parts, word):
    assert name_region(region_of(*parts), np.ones((10, 20), bool))[0] == word


def test_the_mask_chooses():
    picture = region_of(((45, 75, 33), 10), ((50, 50, 270), 10))
    mask = np.zeros((10, 20))
    mask[:, 12:] = 1
    assert name_region(picture, mask) == ("blue", 1.0) and name_region(picture, mask > 0) == ("blue", 1.0)
    word, share = name_region(picture, np.where(mask > 0, 0.2, 0.8))
    assert word == "red" and share == pytest.approx(8 / (8 + 1.6 + 1.6), abs=0.01)


def test_a_large_picture_is_looked_at_small():
    picture = np.repeat(np.repeat(region_of(((45, 75, 33), 15), ((50, 50, 270), 5)), 30, 0), 30, 1)              # 300 x 600
    word, share = name_region(picture, np.ones(picture.shape[:2]))
    assert word == "red" and share == pytest.approx(0.75, abs=0.02)


def test_scenes_whose_words_are_known():
    """Scenes nobody drew the borders on."""
    made = [scenes.make_scene(seed, size=64) for seed in range(90_000, 90_150)]
    right = [name_region(scene.rgb, scene.masks[0])[0] == scene.color for scene in made]
    assert np.mean(right) >= 0.9
    vote = [np.bincount(name_colors(rgb_to_lab(scene.rgb))[scene.masks[0]], minlength=11).argmax() == COLOR_WORDS.index(scene.color) for scene in made]
    assert np.mean(right) > np.mean(vote) + 0.1            # what undoing the shading is worth


@pytest.mark.parametrize("rgb, mask, message", [
    (np.zeros((4, 4, 3)), np.ones((4, 4)), "uint8"), (np.zeros((4, 4, 3), np.uint8), np.ones((4, 5)), r"\(H, W\)"),
    (np.zeros((4, 4, 3), np.uint8), np.zeros((4, 4)), "above 0"), (np.zeros((4, 4, 3), np.uint8), np.full((4, 4), np.nan), "weights"),
    (np.zeros((4, 4, 3), np.uint8), -np.ones((4, 4)), "weights"), (np.zeros((0, 4, 3), np.uint8), np.zeros((0, 4)), "above 0")])
def test_what_is_no_region(rgb, mask, message):
    with pytest.raises(ValueError, match=message):
        name_region(rgb, mask)


def test_the_words_are_those_of_the_scenes():
    assert set(color_names.PROTOTYPES) == set(COLOR_WORDS) == set(scenes.COLOR_WORDS)
