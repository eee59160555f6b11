"""The catalogue, weights that are checked before use, and one call that colours a picture."""
import json
from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch
from PIL import Image

import colorlib
from colorlib import images, lab, train, weight_files, zoo
from colorlib.papers import koalarization as koala
from colorlib.papers import welsh

SMALL = replace(koala.PRESETS["smoke"], encoder=(8,) * 8, fusion=8, decoder=(8, 8, 8, 8), embedding=16)


@pytest.fixture
def weights(tmp_path, monkeypatch):
    """A small untrained model, saved as the shipped weights, and the best there is."""
    torch.manual_seed(0)
    monkeypatch.setitem(zoo.BEST, "", "koalarization")
    monkeypatch.setenv("COLORLIB_WEIGHTS", str(tmp_path / "weights"))
    zoo.save_weights(koala.build(SMALL), "koalarization", zoo.weights_file("koalarization"), {"size": "class", "data": "none"})
    return zoo.weights_file("koalarization")


def test_the_model_comes_back_as_it_was_saved(weights):
    torch.manual_seed(0)
    model, again = koala.build(SMALL), zoo.load("koalarization", device="cpu")
    assert again.config == SMALL and not again.training
    for name, value in model.state_dict().items():
        assert torch.equal(value.half().float() if value.is_floating_point() else value, again.state_dict()[name])
    sidecar = json.loads(weights.with_suffix(".json").read_text())
    assert sidecar["bytes"] == weights.stat().st_size and len(sidecar["sha256"]) == 64 and sidecar["data"] == "none"


def test_damaged_weights_are_refused(weights):
    content = weights.read_bytes()
    weights.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(ValueError, match="SHA-256"):
        zoo.load("koalarization", device="cpu")
    weights.write_bytes(content[:100])
    with pytest.raises(ValueError, match="cut short"):
        zoo.load("koalarization", device="cpu")
    weights.write_bytes(content)
    weights.with_suffix(".json").write_text("{")
    with pytest.raises(ValueError, match="not valid JSON"):
        zoo.load("koalarization", weights, device="cpu")
    weights.with_suffix(".json").unlink()
    with pytest.raises(FileNotFoundError, match="keep the JSON"):
        zoo.load("koalarization", weights, device="cpu")


def test_a_name_too_long_for_the_disk():
    for use in (zoo.choose, lambda weights: zoo.load("cic", weights=weights)):
        with pytest.raises(FileNotFoundError, match="does not exist: check the path given as weights"):
            use(weights="x" * 300 + ".safetensors")


def test_weights_of_another_method(weights):
    sidecar = weights.with_suffix(".json")
    sidecar.write_text(sidecar.read_text().replace('"method": "koalarization"', '"method": "scgan"'))
    with pytest.raises(ValueError, match="scgan"):
        zoo.load("koalarization", device="cpu")


def test_an_outline_is_the_network_without_values(monkeypatch):
    """Filled with random values, it would have torch import its compiler for a second."""
    papers, config = zoo.get("scgan").papers, zoo.get("scgan").presets["smoke"]
    whole = {name: value.shape for name, value in papers.build(config, pretrained=False).state_dict().items()}
    monkeypatch.setattr(torch.nn.init, "_no_grad_normal_", None)
    assert {name: value.shape for name, value in weight_files.outline(papers, config).state_dict().items()} == whole


def test_missing_weights_unknown_method_missing_condition(monkeypatch, tmp_path):
    monkeypatch.setenv("COLORLIB_WEIGHTS", str(tmp_path))
    gray = np.full((8, 8), 128, np.uint8)
    with pytest.raises(FileNotFoundError, match=f"colorlib train {zoo.BEST['']} --size class"):
        colorlib.colorize(gray)
    with pytest.raises(FileNotFoundError, match="colorlib train film --size class"):
        colorlib.colorize(gray, caption="a red car")
    with pytest.raises(FileNotFoundError, match="elsewhere.safetensors does not exist"):
        colorlib.colorize(gray, weights=tmp_path / "elsewhere.safetensors")
    with pytest.raises(ValueError, match="no method 'colour'.*koalarization"):
        colorlib.colorize(gray, method="colour")
    with pytest.raises(ValueError, match="takes no caption"):
        colorlib.colorize(gray, "koalarization", caption="a red car")
    needy = replace(zoo.METHODS["koalarization"], conditions=("reference",))
    with pytest.raises(ValueError, match="needs reference"):
        zoo.check_conditions(needy, caption=None)
    monkeypatch.setitem(zoo.METHODS, "needy", replace(needy, name="needy"))
    with pytest.raises(ValueError, match="methods that do: .*needy"):
        zoo.check_conditions(zoo.METHODS["koalarization"], reference=1)
    with pytest.raises(ValueError, match="not a device"):
        train.pick_device("quantum")


@pytest.mark.parametrize("shape", [(1, 1), (37, 50), (200, 64), (8, 300)])
def test_colorize_keeps_size_and_lightness(weights, shape):
    gray = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    picture = colorlib.colorize(gray, device="cpu")
    assert picture.rgb.shape == (*shape, 3) and picture.rgb.dtype == np.uint8
    L = lab.rgb_to_lab(np.repeat(gray[..., None], 3, 2))[..., 0]
    assert np.abs(lab.rgb_to_lab(picture.rgb)[..., 0] - L).mean() < 0.5


def test_colours_of_the_input_are_not_looked_at(weights):
    rgb = np.random.default_rng(0).integers(0, 256, (40, 40, 3), dtype=np.uint8)
    from_colour = colorlib.colorize(rgb, device="cpu").rgb
    L = images.lightness(images.open_image(rgb))
    grey = images.merge_chroma(L, np.zeros((2, 1, 1), np.float32), dtype=np.uint16)      # the same L without the colours
    assert np.abs(from_colour.astype(int) - (colorlib.colorize(grey, device="cpu").rgb // 257).astype(int)).max() <= 2


def test_colors_from_a_reference(tmp_path, monkeypatch):
    random, seen = np.random.default_rng(0), []
    monkeypatch.setattr(welsh, "colorize", lambda model, batch: seen.append(batch["reference"]) or torch.zeros(1, 2, 4, 4))
    gray, reference = random.integers(0, 256, (30, 40), dtype=np.uint8), random.integers(0, 256, (300, 600, 3), dtype=np.uint8)
    Image.fromarray(reference).save(tmp_path / "reference.png")
    for one in (reference, tmp_path / "reference.png", str(tmp_path / "reference.png"), images.open_image(reference), Image.fromarray(reference)):
        colorlib.colorize(gray, method="welsh", reference=one, device="cpu", working_size=32)
    assert all(one.shape == (1, 3, 256, 512) and one.dtype == torch.uint8 and torch.equal(one, seen[0]) for one in seen)
    block = cv2.resize(reference, (512, 256), interpolation=cv2.INTER_AREA)
    assert np.array_equal(seen[0][0].permute(1, 2, 0).numpy(), block)
    colorlib.colorize(gray, method="welsh", reference=reference, device="cpu", working_size=280)
    colorlib.colorize(gray, method="welsh", reference=reference[:20, :30], device="cpu")
    assert [tuple(one.shape) for one in seen[-2:]] == [(1, 3, 280, 560), (1, 3, 20, 30)]     # never enlarged
    clear = np.concatenate([reference[:20, :20], np.zeros((20, 20, 1), np.uint8)], -1)
    colorlib.colorize(gray, method="welsh", reference=clear, device="cpu")
    assert (seen[-1] == 255).all()                                                           # what is transparent has no colour to give
    (tmp_path / "broken.jpg").write_bytes(b"\xff\xd8\xff not a picture")
    for one, sentence in ((tmp_path / "broken.jpg", "broken.jpg"), (tmp_path / "gone.jpg", "gone.jpg does not exist")):
        with pytest.raises((ValueError, FileNotFoundError), match=sentence):
            colorlib.colorize(gray, method="welsh", reference=one, device="cpu")
    with pytest.raises(ValueError, match="welsh needs reference"):
        colorlib.colorize(gray, method="welsh", device="cpu")


def test_welsh_through_the_front_door():
    gray = np.linspace(40, 200, 32 * 48).astype(np.uint8).reshape(32, 48)
    reference = np.repeat(np.arange(256, dtype=np.uint8)[None, :, None], 3, 2)
    assert np.ptp(colorlib.colorize(gray, method="welsh", reference=reference, device="cpu").rgb, -1).max() <= 1      # a grey reference is one, too
    red = colorlib.colorize(gray, method="welsh", reference=reference * np.uint8([1, 0, 0]), device="cpu").rgb.astype(int)
    assert (red[..., 0] - red[..., 1]).mean() > 60


def test_alpha_and_exif_travel(weights, tmp_path):
    rgba = np.random.default_rng(0).integers(0, 256, (20, 30, 4), dtype=np.uint8)
    picture = colorlib.colorize(rgba, device="cpu")
    assert np.array_equal(picture.alpha, rgba[..., 3])


def test_catalogue(weights):
    (row,) = [row for row in zoo.catalogue() if row["name"] == "koalarization"]
    assert row["parameters"]["encoder, fusion, decoder"] == 6_574_050
    assert row["weights"]["sha256"] == json.loads(weights.with_suffix(".json").read_text())["sha256"]
    assert row["conditions"] == [] and row["notebook"] == "notebooks/02_koalarization.ipynb" and row["data_licence"]
