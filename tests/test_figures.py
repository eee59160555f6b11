"""colorlib.figures: layout, colours and bytes of the figures; what they refuse."""
import os
import subprocess
import sys

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from PIL import Image

from colorlib import figures


@pytest.fixture(autouse=True)
def redirect(tmp_path, monkeypatch):
    """Draw into memory, save into a temporary folder, close what was opened."""
    monkeypatch.setenv("COLORLIB_FIGURES", str(tmp_path))
    plt.switch_backend("agg")
    yield
    plt.close("all")


def pixels(path):
    return np.asarray(Image.open(path).convert("RGB")).astype(int)


RED = np.zeros((20, 30, 3), np.uint8) + np.array([255, 0, 0], np.uint8)


# ---------------------------------------------------------------- grids

def test_a_grid_shows_every_kind_of_picture_in_place():
    """One row, five forms of picture, 8 in wide: sample the middle of each cell of the saved file."""
    green = torch.tensor([0.0, 1, 0])[:, None, None].expand(3, 20, 30)
    row = {"bytes": RED, "float": np.full((20, 30), 0.5), "tensor": green, "mask": np.ones((20, 30), bool),
           "plane": torch.zeros(1, 20, 30)}
    image = pixels(figures.save(figures.grid([row]), "grid"))
    assert image.shape[1] == 800
    middle = image.shape[0] * 3 // 4
    samples = [image[middle, 80 + 160 * i].tolist() for i in range(5)]
    assert samples == [[255, 0, 0], [128, 128, 128], [0, 255, 0], [255, 255, 255], [0, 0, 0]]


def test_columns_stand_in_one_order_and_gaps_stay_blank():
    """A figure's texts carry the columns; a missing picture is an empty axes, so cells do not move."""
    figure = figures.grid([{"target": RED, "error": RED, "ours": RED, "input": RED}, {"input": RED, "target": None}])
    titles = [text.get_text().replace("\n", " ") for text in figure.texts]
    assert titles == ["input", "ours", "target", figures.ERROR_TITLE]
    assert len(figure.axes) == 8 and [len(axes.images) for axes in figure.axes] == [1, 1, 1, 1, 1, 0, 0, 0]
    assert all(not axes.axison for axes in figure.axes) and figure.get_figwidth() == 8 and figure.dpi == 100


def test_grid_texts_are_readable_and_inside():
    """No text under 9 points, none cut off at the figure's edge, also with long titles."""
    figure = figures.grid([{"input": RED, "a method with a rather long name": RED, "target": RED}] * 2,
                          titles={"target": "the truth"}, row_titles=["astronaut", "a longer name of a row"], title=" ".join(["a long headline"] * 10))
    figure.canvas.draw()
    width, height = figure.canvas.get_width_height()
    for text in figure.texts:
        box = text.get_window_extent()
        assert text.get_fontsize() >= 9
        assert box.x0 >= -1 and box.y0 >= -1 and box.x1 <= width + 1 and box.y1 <= height + 1, text.get_text()
    headline, above = figure.texts[0].get_window_extent(), [text.get_window_extent() for text in figure.texts if text.get_text() == "the truth"]
    assert figure.texts[0].get_text().split() == ["a", "long", "headline"] * 10 and above[0].y1 <= headline.y0


def test_a_price_is_no_formula_and_bytes_of_a_name_are_shown():
    for text in ("$5 and $6", "$\\frac{$", "$$", "caf\udce9.png"):
        figure = figures.grid([{"input": RED}], titles={"input": text}, row_titles=[text], title=text)
        figure.canvas.draw()
        assert {one.get_text().replace("\n", " ") for one in figure.texts} == {text.replace("\udce9", "?")}


def test_the_numbers_on_a_log_axis_are_set_as_formulas():
    figure = figures.curves({"loss": ([0, 1, 2], [5.0, 0.5, 0.005])}, log_y=True)
    figure.canvas.draw()
    labels = [label for label in figure.axes[0].get_yticklabels() if "mathdefault" in label.get_text()]
    assert labels and all(label._preprocess_math(label.get_text())[1] for label in labels)


@pytest.mark.parametrize(("rows", "options", "message"), [
    ([], {}, "No row"), ([{"a": RED}], {"columns": ["b"]}, "'b'"),
    ([{"a": RED}], {"row_titles": ["x", "y"]}, "one a row"),
    ([{"a": RED * 1.0}], {}, "'a' is float64 from 0 to 255"), ([{"a": np.zeros((4, 4, 2))}], {}, "shape"),
    ([{"a": np.full((4, 4), np.nan)}], {}, "float in"), ([{"a": np.zeros((4, 4), int)}], {}, "int64"),
])
def test_grid_refuses(rows, options, message):
    with pytest.raises(ValueError, match=message):
        figures.grid(rows, **options)


def test_mosaic_puts_tiles_row_by_row():
    tiles = [np.full((4, 6), level, np.uint8) for level in (10, 20, 30)]
    sheet = figures.mosaic(tiles, columns=2, pad=1)
    assert sheet.shape == (9, 13, 3) and sheet.dtype == np.uint8
    assert (sheet[:4, :6] == 10).all() and (sheet[:4, 7:] == 20).all() and (sheet[5:, :6] == 30).all()
    assert (sheet[4] == 255).all() and (sheet[:, 6] == 255).all() and (sheet[5:, 7:] == 255).all()
    assert figures.mosaic(torch.zeros(2, 3, 4, 4)).shape == (4, 10, 3)           # no empty columns
    with pytest.raises(ValueError, match="one size"):
        figures.mosaic([tiles[0], tiles[1][:2]])


# ---------------------------------------------------------------- plots

def test_curves_have_bands_for_seeds_and_differ_in_dash():
    x = np.arange(5)
    figure = figures.curves({"one": (x, x + 1), "seeds": (x, np.stack([x, x + 2]))}, ylabel="loss", log_y=True)
    axes, = figure.axes
    np.testing.assert_allclose(axes.lines[1].get_ydata(), x + 1)
    assert len(axes.collections) == 1 and axes.get_yscale() == "log" and axes.get_ylabel() == "loss"
    assert len({line.get_color() for line in axes.lines}) == len({line.get_linestyle() for line in axes.lines}) == 2
    with pytest.raises(ValueError, match="'bad'"):
        figures.curves({"bad": (x, x[:3])})


def test_bars_are_labelled_in_order():
    figure = figures.bars({"first": 79.04, "second": 15.0}, intervals={"second": (10, 20)}, reference=(50, "chance"))
    axes, = figure.axes
    assert [patch.get_width() for patch in axes.patches] == [79.04, 15.0] and axes.yaxis_inverted()
    assert [text.get_text() for text in axes.texts] == ["79.0", "15.0"]
    assert axes.texts[1].xy[0] == 20                                 # beside the whisker, not on it


def test_colors_stay_apart_for_all_kinds_of_sight():
    """Machado et al. 2009, full protan and deutan deficiency: every pair of line colours stays 9 apart in dE2000."""
    from skimage.color import deltaE_ciede2000, rgb2lab
    protan = [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]
    deutan = [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]
    rgb = np.array([[int(color[i:i + 2], 16) / 255 for i in (1, 3, 5)] for color in figures.COLORS])
    linear = np.where(rgb > 0.04045, ((rgb + 0.055) / 1.055) ** 2.4, rgb / 12.92)
    for matrix in (np.eye(3), protan, deutan):
        seen = np.clip(linear @ np.transpose(matrix), 0, 1)
        lab = rgb2lab(np.where(seen > 0.0031308, 1.055 * seen ** (1 / 2.4) - 0.055, 12.92 * seen))
        distance = deltaE_ciede2000(lab[:, None], lab[None])
        assert distance[~np.eye(len(lab), dtype=bool)].min() > 9


# ---------------------------------------------------------------- ab planes and error maps

def test_ab_plane_greys_what_srgb_lacks():
    """At L = 53.24 pure red (80.09, 67.20) is at the edge: coloured inside, grey outside; a and b to one scale."""
    figure, axes = plt.subplots()
    inside = figures.ab_plane(axes, 53.24)
    picture = axes.images[0].get_array()

    def at(a, b):
        return tuple(int(round(220 * (v + 110) / 110)) for v in (b, a))
    assert inside[at(0, 0)] and inside[at(78, 65)] and not inside[at(84, 70)] and not inside[at(-100, 100)]
    np.testing.assert_allclose(picture[at(-100, 100)], figures.OUTSIDE)
    np.testing.assert_allclose(picture[at(0, 0)], 0.5, atol=0.005)                # L = 53.24 is mid grey
    red, green, blue = picture[at(78, 65)]
    assert red > 0.95 and green < 0.2 and blue < 0.2
    assert axes.get_aspect() == 1 and axes.get_xlim() == axes.get_ylim() == (-110, 110)
    with pytest.raises(ValueError, match="L must be"):
        figures.ab_plane(axes, 101)


def test_ab_error_map_is_black_where_colours_agree_and_ignores_lightness():
    dark, light = np.full((4, 8), 0.2), np.full((4, 8), 0.8)
    assert (figures.ab_error_map(dark, light) == figures.ab_error_map(RED, RED)[0, 0]).all()
    half = np.where(np.arange(30)[None, :, None] < 15, RED, 128).astype(np.uint8)
    error = figures.ab_error_map(half, RED)
    assert error.shape == RED.shape and error.dtype == np.uint8
    assert error[:, :15].sum(-1).max() < 10 and error[:, 15:].sum(-1).min() > 500       # 0 and 104 CIE units
    with pytest.raises(ValueError, match="one size"):
        figures.ab_error_map(RED, RED[:5])


# ---------------------------------------------------------------- files and style

def test_saved_bytes_are_the_same_each_time_and_carry_no_version(tmp_path):
    def draw():
        return figures.save(figures.curves({"a": ([0, 1], [1, 2])}), "02_results").read_bytes()
    first = draw()
    plt.rcParams.update({"savefig.dpi": 50, "savefig.bbox": "tight"})              # a user's own settings stay out
    assert draw() == first and b"Software" not in first and b"matplotlib" not in first.lower()
    assert [path.name for path in tmp_path.iterdir()] == ["02_results.png"]
    plt.rcdefaults()


def test_many_photographs_can_be_saved_as_jpeg():
    figure = figures.grid([{"a": np.random.default_rng(0).integers(0, 256, (16, 16, 3), dtype=np.uint8)}])
    files = {quality: figures.save(figure, "02_sheet", quality=quality).read_bytes() for quality in (40, 90)}
    assert all(content[:2] == b"\xff\xd8" for content in files.values()) and len(files[40]) < len(files[90])
    assert (figures.figures_folder() / "02_sheet.jpg").read_bytes() == files[90] == figures.save(figure, "02_sheet", quality=90).read_bytes()


@pytest.mark.parametrize("name", ["../x", "a.png", ""])
def test_save_refuses_names_that_are_paths(name):
    with pytest.raises(ValueError, match="leave the ending out"):
        figures.save(figures.bars({"a": 1}), name)


def test_use_style_sets_defaults():
    with plt.rc_context():
        figures.use_style()
        assert plt.rcParams["figure.dpi"] == 100 and plt.rcParams["image.cmap"] == "cividis"
        sizes = ("font.size", "axes.titlesize", "axes.labelsize", "xtick.labelsize", "legend.fontsize")
        assert min(plt.rcParams[key] for key in sizes) >= 9


def test_the_import_leaves_the_backend_alone_and_needs_no_screen():
    code = ("import matplotlib; matplotlib.rcParams['backend'] = 'svg'; from colorlib import figures; "
            "assert matplotlib.rcParams['backend'] == 'svg'; figures.bars({'a': 1})")
    environment = {**os.environ, "DISPLAY": "", "MPLBACKEND": "", "PYTHONPATH": os.pathsep.join(sys.path)}
    subprocess.run([sys.executable, "-c", code], check=True, env=environment, stderr=subprocess.PIPE)
