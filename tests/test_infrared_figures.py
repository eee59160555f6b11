"""The figures of methods that see infrared: drawn with tiny untrained networks and with rows known beforehand, and read back."""
from dataclasses import replace
from functools import partial

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from PIL import Image

from colorlib import data, results, zoo
from colorlib.experiments import reproduction
from colorlib.figures import infrared_figures
from colorlib.papers import cyclegan, pix2pix, stacked_gan

TINY = replace(stacked_gan.VARIANTS["stacked_gan"]["smoke"], widths=(4, 4, 4, 4), critic_width=2, batch_size=2, working_size=32)
SMALL_UNET = replace(pix2pix.VARIANTS["unet_infrared"]["smoke"], width=2, halvings=3, image_size=32)
METHOD = zoo.get("stacked_gan")


def build(paper, config):
    torch.manual_seed(0)
    return paper.build(config).eval().requires_grad_(False)


@pytest.fixture(autouse=True)
def workshop(tmp_path, monkeypatch):
    """Results, weights and figures that go nowhere else, and small pictures."""
    for name in ("WEIGHTS", "RESULTS", "FIGURES", "CACHE"):
        monkeypatch.setenv(f"COLORLIB_{name}", str(tmp_path / name.lower()))
    monkeypatch.setattr(infrared_figures, "DRAWS", 3)
    yield tmp_path
    plt.close("all")


def pictures_of(figure):
    return [np.asarray(axes.images[0].get_array()) for axes in figure.axes if axes.images]


def row(method, dataset="pairs val", **columns):
    return {"method": method, "variant": "", "size": "smoke", "dataset": dataset, "ae": 5.0, "ssim": 0.5} | columns


def known_pairs(count=6, side=64):
    rng = np.random.default_rng(0)
    rgb = rng.integers(0, 256, (count, side, side, 3), dtype=np.uint8)
    return data.Packed(rgb, [f"p{i}" for i in range(count)], None, {"nir": rgb[:, None, :, :, 0].copy()})


# ---------------------------------------------------------------- all of them

def test_draw_writes_every_figure(workshop, monkeypatch):
    monkeypatch.setattr(infrared_figures, "sample_pictures", partial(infrared_figures.sample_pictures, side=32))
    monkeypatch.setattr(infrared_figures, "measure_gradients", lambda method, config, dataset: {
        "[0, 1]": {"untrained": {"adversarial": 1.0, "ssim": 0.1}}, "[0, 255]": {"untrained": {"adversarial": 1.0, "ssim": 0.1}}})
    monkeypatch.setattr(infrared_figures.experiments, "open_dataset", lambda *arguments, **options: known_pairs())
    zoo.save_weights(build(pix2pix, SMALL_UNET), "unet_infrared", zoo.weights_file("unet_infrared", "smoke"), {"size": "smoke"})
    model = build(stacked_gan, TINY)
    assert [name for name, _ in infrared_figures.draw(METHOD, model, "smoke")] == ["noise", "gradients", "methods"]      # nothing was measured yet
    for name in ("infrared copied", "stacked_gan", "unet_infrared"):
        results.append("infrared", row(name))
    results.append("misregistration", row("unet_infrared", "scenes val", misregister="shift:2", seed=0, psnr=20.0))
    drawn = dict(infrared_figures.draw(METHOD, model, "smoke"))
    assert list(drawn) == ["noise", "gradients", "methods", "bars", "misregistration"]
    for figure, path in drawn.items():
        assert path == workshop / "figures" / f"07_{figure}_smoke.png"
        assert np.asarray(Image.open(path).convert("L")).std() > 5
    other = zoo.get("unet_infrared")
    assert "noise" not in dict(infrared_figures.draw(other, zoo.load("unet_infrared", size="smoke", device="cpu"), "smoke"))


# ---------------------------------------------------------------- pictures

def test_only_pictures_that_may_be_printed_and_the_made_up_ones_are_called_so():
    shown = infrared_figures.sample_pictures(48)
    assert [title for title, *_ in shown] == ["scene"] * len(infrared_figures.SCENES) + [infrared_figures.MADE_UP] * len(infrared_figures.PHOTOS)
    assert all(nir.shape == (48, 48) and rgb.shape == (48, 48, 3) and nir.dtype == rgb.dtype == np.uint8 for _, nir, rgb in shown)
    title, nir, rgb = shown[-1]
    assert np.array_equal(nir, data.pseudo_nir(rgb))


def test_a_column_for_each_method_that_has_weights():
    assert infrared_figures.with_weights("smoke") == []
    zoo.save_weights(build(pix2pix, SMALL_UNET), "unet_infrared", zoo.weights_file("unet_infrared", "smoke"), {"size": "smoke"})
    assert [one.name for one in infrared_figures.with_weights("smoke")] == ["unet_infrared"]
    assert [one.name for one in infrared_figures.with_weights("smoke", METHOD)] == ["unet_infrared", "stacked_gan"]
    shown, model = infrared_figures.sample_pictures(32)[:2], build(stacked_gan, TINY)
    seen = pictures_of(infrared_figures.draw_methods({"stacked_gan": model}, shown))
    assert len(seen) == 2 * 3
    nir, painted, truth = seen[:3]
    assert np.array_equal(nir, shown[0][1]) and np.array_equal(truth, shown[0][2])
    assert np.array_equal(painted, infrared_figures.paint(METHOD, model, shown[0][1])) and painted.dtype == np.uint8


def test_lifted_pictures_keep_their_contrast_and_an_instance_norm_does_not_see_the_difference():
    nir = infrared_figures.sample_pictures(32)[0][1]
    seen = infrared_figures.lift(nir)
    assert seen.shape == (2, 1, 32, 32) and 0 <= seen.min() and seen.max() <= 1
    assert (seen[1] - seen[0]).numpy() == pytest.approx(0.5, abs=1e-6)
    models = {"cyclegan_infrared": build(cyclegan, replace(cyclegan.SMOKE, width=4, blocks=1)), "unet_infrared": build(pix2pix, SMALL_UNET)}
    for model in models.values():      # from near nothing to weights that paint
        for weights in model.parameters():
            weights.mul_(10)
    shown = pictures_of(infrared_figures.draw_lifted(models, nir))                                   # rows of infrared and both methods
    (_, cycle_dark, unet_dark), (_, cycle_bright, unet_bright) = shown[:3], shown[-3:]
    assert np.abs(cycle_dark - cycle_bright).max() < 0.01 < np.abs(unet_dark - unet_bright).max()


# ---------------------------------------------------------------- noise and gradients

def test_draws_differ_by_their_noise_alone_and_the_generator_of_random_numbers_is_left_as_it_was():
    model, nir = build(stacked_gan, TINY), infrared_figures.sample_pictures(32)[0][1]
    before = torch.get_rng_state()
    draws = infrared_figures.paint_often(model, nir, count=3)
    assert draws.shape == (3, 3, 32, 32) and not torch.equal(draws[0], draws[1])
    assert torch.equal(draws, infrared_figures.paint_often(model, nir, count=3)) and torch.equal(before, torch.get_rng_state())
    silent = build(stacked_gan, replace(TINY, noise=0.0))
    assert infrared_figures.paint_often(silent, nir, count=2).std(0).max() == 0


def test_noise_is_drawn_beside_its_standard_deviation():
    figure = infrared_figures.draw_noise(build(stacked_gan, TINY), infrared_figures.sample_pictures(32)[:1])
    assert len(pictures_of(figure)) == 3 + infrared_figures.SHOWN + 1
    spread = pictures_of(figure)[-2]
    assert spread.dtype == np.uint8 and spread.std() > 5
    assert "SD," in "".join(text.get_text() for text in figure.findobj(plt.Text))


def test_only_the_intensity_term_pulls_harder_on_values_to_255():
    found = infrared_figures.measure_gradients(METHOD, TINY, known_pairs(), updates=2)
    assert list(found) == ["[0, 1]", "[0, 255]"] and list(found["[0, 1]"]) == ["untrained", "after 2 updates"]
    for moment, small in found["[0, 1]"].items():
        large = found["[0, 255]"][moment]
        assert large["intensity"] == pytest.approx(255 ** 2 * small["intensity"], rel=1e-3) and small["intensity"] > 0
        assert all(large[name] == pytest.approx(small[name], rel=1e-3) for name in ("adversarial", "ssim"))
    assert found["[0, 1]"]["untrained"] != found["[0, 1]"]["after 2 updates"]
    panels = infrared_figures.draw_gradients(found).axes
    widths = [[bar.get_width() for bar in axes.patches] for axes in panels]
    assert widths[1] == [norm for norms in found["[0, 255]"].values() for norm in norms.values()] and len(widths[0]) == 6


# ---------------------------------------------------------------- scores

def test_rows_of_real_pairs_are_those_of_the_first_set_and_never_scenes():
    assert infrared_figures.real_rows("smoke") == []
    for one in (row("unit", "scenes val"), row("unit", "pseudo:photos val"), row("unit"), row("unit", "other val"), row("sshape"),
                row("sshape", "pairs legacy"), row("sshape", ae=None) | {"variant": "not measured"}):
        results.append("infrared", one)
    assert [one["method"] for one in infrared_figures.real_rows("smoke")] == ["unit", "sshape"]
    assert [one["dataset"] for one in infrared_figures.real_rows("smoke", "legacy")] == ["pairs legacy"]
    assert infrared_figures.real_rows("class") == []


def test_bars_rank_methods_and_floors_are_lines():
    rows = [row("infrared copied", ae=6.0, ssim=0.4), row("unit", ae=9.0), row("sshape", ae=4.0), row("oracle luminance", ae=6.0, ssim=0.9)]
    left, right = infrared_figures.draw_bars(rows).axes
    assert [label.get_text() for label in left.get_yticklabels()] == ["sshape", "unit"] and left.yaxis_inverted()
    assert [bar.get_width() for bar in left.patches] == [4.0, 9.0]
    assert [line.get_xdata()[0] for line in right.lines] == [0.4, 0.9]


def test_reproduce_draws_them_for_methods_that_see_infrared(monkeypatch):
    monkeypatch.setattr(infrared_figures, "draw", lambda method, model, size: [(f"figure of {method.name}", "here")])
    for name in ("evaluate_method", "draw_results", "draw_banner", "write_table", "paint_photos"):
        monkeypatch.setattr(reproduction, name, lambda *arguments, **options: "")
    monkeypatch.setattr(reproduction.results, "table", lambda *arguments, **options: "")
    zoo.save_weights(build(stacked_gan, TINY), "stacked_gan", zoo.weights_file("stacked_gan", "smoke"), {"size": "smoke"})
    assert any("figure of stacked_gan here" in line for line in reproduction.reproduce("stacked_gan", "smoke", device="cpu"))
