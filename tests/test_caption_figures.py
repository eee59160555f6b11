"""The figures of caption methods: drawn with a small untrained network and with painters whose failures are known, and read back."""
from dataclasses import replace
from functools import partial

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from PIL import Image

from colorlib import captions, images, lab, scenes, zoo
from colorlib.figures import caption_figures
from colorlib.papers import language

TINY = replace(language.SMOKE, width=4, embedding=8, hidden=8, image_size=32, working_size=32, vocabulary=captions.COLOR_WORDS + ("a", "car", "bird"))


def build(fusion="film"):
    torch.manual_seed(0)
    return language.build(replace(TINY, fusion=fusion)).eval().requires_grad_(False)


@pytest.fixture(scope="module")
def model():
    return build()


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


def pictures(figure):
    return [np.asarray(axes.images[0].get_array()) for axes in figure.axes if axes.images]


def texts(figure):
    return [text.get_text() for text in figure.texts] + [text.get_text() for axes in figure.axes for text in axes.texts]


# ---------------------------------------------------------------- all of them

@pytest.mark.parametrize("name, fusion", [("film", "film"), ("concat", "concat")])
def test_draw_writes_every_figure(name, fusion, tmp_path, monkeypatch):
    monkeypatch.setenv("COLORLIB_FIGURES", str(tmp_path))
    monkeypatch.setattr(caption_figures, "SEARCHED", 5)
    monkeypatch.setattr(caption_figures, "sample_pairs", partial(caption_figures.sample_pairs, side=48))
    drawn = dict(caption_figures.draw(zoo.get(name), build(fusion), "smoke"))
    assert list(drawn) == ["captions", "activations"] + ["modulation"] * (name == "film") + ["manipulation", "failures"]
    for figure, path in drawn.items():
        assert path == tmp_path / f"05_{name}_{figure}_smoke.png"
        assert np.asarray(Image.open(path).convert("L")).std() > 5


# ---------------------------------------------------------------- one picture, two captions

def test_pairs_differ_in_one_colour_word_and_were_seen_by_no_training():
    pairs = caption_figures.sample_pairs(side=48, count=2)
    assert len(pairs) == 5 and all(rgb.shape == (48, 48, 3) for rgb, _, _ in pairs)
    for _, one, two in pairs:
        changed = [(a, b) for a, b in zip(captions.words(one), captions.words(two)) if a != b and {a, b} != {"a", "an"}]
        assert len(changed) == 1 and captions.basic(changed[0][0]) != captions.basic(changed[0][1])
    seen = [scenes.make_scene(seed, 48) for seed in range(10_000_000, 10_000_060)]
    assert all(any(scene.captions[0] == one and np.array_equal(scene.rgb, rgb) for scene in seen) for rgb, one, _ in pairs[3:])


def test_what_differs_between_captions_is_bold():
    said = ["a green bird on the green grass", "an orange bird on the green grass"]
    assert caption_figures._wrap_caption(said[0], said, 10) == r"a $\bf{green}$ bird on the green grass"
    assert caption_figures._wrap_caption(said[1], said, 10) == r"an $\bf{orange}$ bird on the green grass"
    assert caption_figures._wrap_caption("", ["", "a car"], 10) == "" and "bf" not in caption_figures._wrap_caption("a car", ["", "a car"], 10)
    lines = caption_figures._wrap_caption("one two three four five six", ["one two three four five six"], 1.3).split("\n")
    assert len(lines) > 1 and max(map(len, lines)) <= 15
    figure = caption_figures.draw_rows([{one: np.zeros((8, 8, 3)) for one in (*said, "for $5 and $6")}], [said], heads=["$\\bf{leak}$: a \\$"])
    shown = [text._preprocess_math(text.get_text()) for text in figure.texts]
    assert [is_math for _, is_math in shown] == [True, True, True, False] and shown[-1][0] == "for $5 and $6", "words are set in bold, prices are no formula"


@pytest.mark.parametrize("across", [1, 2])
def test_pairs_are_drawn_with_the_grey_picture_first(model, across):
    rgb = scenes.make_scene(1, 32).rgb
    painted = caption_figures.paint_pairs(zoo.get("film"), model, [(rgb, "a red car", "a blue car")] * 3)
    shown = pictures(caption_figures.draw_pairs(painted, across))
    assert len(shown) == 9 and np.ptp(shown[0].astype(int), axis=-1).max() <= 1
    for one in shown:
        assert np.abs(lab.rgb_to_lab(one)[..., 0] - lab.rgb_to_lab(rgb)[..., 0]).mean() < 1


# ---------------------------------------------------------------- inside

def test_the_network_has_a_dot_for_each_block():
    figure = caption_figures.draw_network(language.PAPER)
    assert sum(line.get_marker() == "o" for line in figure.axes[0].lines) == 8
    assert [text.split("\n")[1] for text in texts(figure) if text[:1].isdigit() and "\n" in text][:8] == ["64", "128", "256", "512", "512", "512", "512", "256"]


def test_equal_captions_change_nothing_and_others_do(model):
    rgb = scenes.make_scene(1, 32).rgb
    rows = lambda said: np.array([picture.max() for picture in pictures(caption_figures.draw_activations(zoo.get("film"), model, rgb, said))[-3:]])
    dark, bright = ((255 * np.array(plt.get_cmap("inferno")(value)[:3])).max().round() for value in (0.0, 1.0))
    assert (rows(["a red car", "a red car"]) == dark).all() and (rows(["a red car", "a blue bird"]) == bright).all()


def test_the_published_network_has_other_blocks():
    config = replace(language.VARIANTS["film_released"]["smoke"], embedding=8, hidden=8, vocabulary=TINY.vocabulary, working_size=32)
    net = language.build(config, pretrained=False).eval().requires_grad_(False)
    figure = caption_figures.draw_activations(zoo.get("film_released"), net, scenes.make_scene(1, 32).rgb, ["a red car", "a blue car"])
    assert {"block 2", "block 3", "block 4"} <= {*texts(figure)}


def test_modulation_is_ordered_by_word_and_noun(model):
    found = caption_figures.modulation_of_words(language, model, ("car", "bird"))
    one = torch.cat([part for pair in language.modulation(model, ["a blue bird"]).values() for part in pair], 1)
    assert found.shape[:2] == (11, 2)
    np.testing.assert_allclose(found[captions.COLOR_WORDS.index("blue"), 1], one[0], atol=1e-6)


def test_principal_plane_of_a_line_and_of_a_square():
    line = np.outer([-2.0, -1.0, 0.0, 3.0], [0.6, 0.0, 0.8])
    places, shares = caption_figures.principal_plane(line)
    np.testing.assert_allclose(shares, [1, 0], atol=1e-12)
    np.testing.assert_allclose(np.abs(np.diff(places[:, 0])), [1, 1, 3], atol=1e-12)
    square = np.array([[[1.0, 1, 5], [1, -1, 5]], [[-1, 1, 5], [-1, -1, 5]]])
    places, shares = caption_figures.principal_plane(square)
    assert places.shape == (2, 2, 2)
    np.testing.assert_allclose(shares, [0.5, 0.5])


# ---------------------------------------------------------------- the prior

def test_a_prior_is_drawn_where_its_bins_are():
    bins, prior = lab.ab_bins(625), np.zeros(625)
    chosen = int(((bins == torch.tensor([30.0, -40.0])).all(1)).nonzero())
    prior[chosen] = 1
    figure = caption_figures.draw_prior(prior, 2 * prior, bins)
    colors, often, weight = (np.ma.masked_invalid(picture) for picture in pictures(figure)[:3])
    assert np.argwhere(~weight.mask).tolist() == [[8, 15]] and weight[8, 15] == 2 and often[8, 15] == 0        # rows are b, from -120
    assert (colors != 0.85).any(-1).sum() == 261
    a, b = lab.rgb_to_lab(np.array(colors[8, 15])[None])[0, 1:]
    assert abs(a - 30) < 2 and abs(b + 40) < 2


def test_bins_have_their_own_colours():
    red, blue, grey = caption_figures.bin_colors(np.array([(80.0, 60.0), (70.0, -100.0), (0.0, 0.0)]))
    assert red.argmax() == 0 and blue.argmax() == 2 and np.ptp(grey) < 0.01
    assert 60 < lab.rgb_to_lab(grey[None])[0, 0] < 70


# ---------------------------------------------------------------- failures

@pytest.fixture
def painters(monkeypatch):
    """Replaces `paint`: obedient paints the truth, flooding all of it in the caption's first colour, grey nothing."""
    flood = {"red": (160, 40, 40), "blue": (40, 40, 160)}

    def use(kind):
        def paint(method, model, picture, caption):
            if kind == "truth":
                return picture
            if kind == "grey":
                return images.without_color(picture)
            return np.full_like(picture, flood.get(captions.basic(captions.color_words(caption)[0]), (90, 90, 90)))
        monkeypatch.setattr(caption_figures, "paint", paint)
        return caption_figures.find_failures(zoo.get("film"), build(), count=30)
    return use


def ab_of(picture):
    return lab.rgb_to_lab(picture)[..., 1:].mean((0, 1))


def test_a_perfect_painter_and_a_grey_one(painters):
    truth, grey = painters("truth"), painters("grey")
    assert max(row["error"].max() for row, _ in truth["unnatural_background"]) < 10         # black, in inferno
    assert max(row["what changed"].max() for row, _ in truth["color_leak"] + grey["color_leak"]) < 10
    assert [len(truth[kind]) for kind in truth] == [len(grey[kind]) for kind in grey] and 0 < len(truth["small_object"]) < 30
    order = [row["error"].mean() for row, _ in grey["unnatural_background"]]
    assert np.mean(order[:5]) > np.mean(order[-5:]) + 20
    chroma = [np.linalg.norm(ab_of(row["truth"])) for row, _ in grey["unnatural_background"]]
    assert np.mean(chroma[:5]) > np.mean(chroma[-5:])


def test_a_flooding_painter_leaks_and_its_captions_say_so(painters):
    (row, text), *_ = painters("flood")["color_leak"]
    assert row["what changed"].mean() > 150 and text.endswith((", then red", ", then blue"))
    before, then = text.rpartition(": ")[2].split(", then ")
    assert before != then and before in captions.words(text.rpartition(": ")[0])


def test_small_objects_are_named_in_their_captions(painters):
    for row, text in painters("truth")["small_object"]:
        pointed = row["the small object"].astype(int)
        colored = np.ptp(pointed, axis=-1) > 12
        assert 0 < colored.mean() < caption_figures.SMALL and len(captions.color_words(text)) > 1


def test_failures_are_drawn_kind_by_kind(painters):
    found = painters("grey")
    figure = caption_figures.draw_failures(found, each=2)
    assert len(pictures(figure)) == 24
    assert sum(text.startswith(r"$\bf{small~object}$: ") for text in texts(figure)) == 2
    with pytest.raises(ValueError, match="no failures"):
        caption_figures.draw_failures({"small_object": []})


def test_distance_and_pointing_by_hand():
    ab, true = np.zeros((4, 4, 2)), np.zeros((4, 4, 2))
    ab[:2], where = (3, 4), np.zeros((4, 4), bool)
    where[:2] = True
    assert caption_figures.distance(ab, true, where) == 5 and caption_figures.distance(ab, true, ~where) == 0
    rgb, mask = np.full((20, 20, 3), (200, 30, 30), np.uint8), np.zeros((20, 20), bool)
    mask[8:12, 8:12] = True
    shown = caption_figures.point_at(rgb, mask)
    assert (shown[mask] == rgb[mask]).all() and (shown[7, 8] == 0).all() and np.ptp(shown[0, 0].astype(int)) <= 1 and shown[0, 0].min() > 170
