"""One table across conditions: gains over the same network on the same pictures, made once, and rendered as they lie in the CSV."""
from dataclasses import replace

import numpy as np
import pytest
import torch

from colorlib import __main__ as cli
from colorlib import data, experiments, results, zoo
from colorlib.experiments import condition_table, leaderboard
from colorlib.papers import color2embed, hintnet, scgan
from colorlib.papers import language as lg
from tests.data_samples import empty_workshop

SCGAN = replace(scgan.VARIANTS["scgan"]["smoke"], width=4, attention_width=4, feature_width=4, pretraining=(), phase_one=3, steps=4)


@pytest.fixture
def workshop(tmp_path, monkeypatch):
    """An empty folder to work in, untrained tiny networks as the shipped ones, few and small scenes."""
    empty_workshop(tmp_path, monkeypatch)
    for name, value in {"BATCH": 4, "CROP": 32, "TEST_SIDE": 32}.items():
        monkeypatch.setitem(getattr(leaderboard, name), "smoke", value)
    monkeypatch.setitem(scgan.VARIANTS["scgan"], "smoke", SCGAN)
    whole = data.SceneSet
    monkeypatch.setattr(data, "SceneSet", lambda count, **options: whole(min(count, 24), **options))
    torch.manual_seed(0)
    film = replace(lg.VARIANTS["film"]["smoke"], width=4, image_size=32, working_size=32, embedding=8, hidden=8, vocabulary=("a", "red", "blue", "car"))
    for name, paper, config in (("film", lg, film), ("hintnet", hintnet, replace(hintnet.PRESETS["smoke"], image_size=32)),
                                ("color2embed", color2embed, replace(color2embed.PRESETS["smoke"], image_size=32)), ("scgan", scgan, SCGAN)):
        zoo.save_weights(paper.build(config, pretrained=False), name, zoo.weights_file(name, "smoke"), {"size": "smoke", "steps": 3})
    return tmp_path


def test_gains_are_counted_picture_by_picture(workshop, monkeypatch, capsys):
    measured, measure = [], leaderboard.measure
    monkeypatch.setattr(leaderboard, "measure", lambda colorizers, *args, **options: measured.append(list(colorizers)) or measure(colorizers, *args, **options))
    options = dict(size="smoke", spec="scenes:24", limit=6, updates=4, seeds=2, names=("hintnet", "film", "color2embed", "welsh"), device="cpu", progress=False)
    lines = list(condition_table.run(**options))
    told = {line.partition(": ")[0]: line for line in lines}
    assert told["hintnet"].count("dB") == 4 and told["film"].count("dB") == 3 and "an unrelated reference" in told["color2embed"] and "alone" in told["scgan"]
    assert told["koalarization"] == "koalarization: has no smoke weights, left out" and "scgan, seed 1" in told
    rows = results.read("conditions")
    assert all(row["n"] == 6 and row["size"] == "smoke" and row["split_hash"] == rows[0]["split_hash"] for row in rows)
    of = lambda method, variant: next(row for row in rows if (row["method"], row["variant"] or "") == (method, variant))
    for method, without, given in (("hintnet", "no hint", "50 hints"), ("film", "no caption", "its caption"), ("film", "no caption", "another's caption"),
                                   ("color2embed", "an unrelated reference", "its own colours, warped"), ("welsh", "an unrelated reference", "a related reference")):
        row = of(method, given)
        assert row["against"] == without and row["psnr_gain"] == pytest.approx(row["psnr"] - of(method, without)["psnr"], abs=1e-5)
        assert row["psnr_gain_low"] <= row["psnr_gain"] <= row["psnr_gain_high"] and of(method, without)["psnr_gain"] is None
    assert of("welsh", "its own colours, warped")["psnr_gain"] > 3                     # it shows the very colours
    assert of("scgan", "")["against"] == "grey" and of("scgan", "")["psnr_gain"] == pytest.approx(of("scgan", "")["psnr"] - of("grey", "")["psnr"], abs=1e-5)
    pairs = [row for row in rows if row["condition"] == "saliency map"]
    assert [(row["variant"], row["seed"], row["updates"]) for row in pairs] == [(row, seed, 4) for seed in (0, 1) for row in condition_table.SALIENCY]
    assert len({row["config_hash"] for row in pairs}) == 4

    count = len(measured)
    assert [line for line in condition_table.run(**options) if "left out" not in line] == [] and len(results.read("conditions")) == len(rows)
    assert measured[count:] == [["grey", "mean colour"]]                               # what the others are compared with
    zoo.save_weights(hintnet.build(replace(hintnet.PRESETS["smoke"], image_size=32)), "hintnet", zoo.weights_file("hintnet", "smoke"), {"size": "smoke"})
    again = [line for line in condition_table.run(**options) if "left out" not in line]
    assert len(again) == 1 and again[0].startswith("hintnet: no hint")                 # other weights are measured

    capsys.readouterr()
    assert cli.main(["conditions", "--data", "scenes:24", "--limit", "6", "--steps", "4", "--seeds", "2", "--methods", "hintnet", "--device", "cpu"]) == 0
    shown = capsys.readouterr().out
    assert condition_table.table("smoke") in shown and condition_table.TITLE in shown


def add(method, variant="", psnr=20.0, **columns):
    results.append("conditions", {"method": method, "variant": variant, "size": "class", "dataset": "x val", "split_hash": "h", "n": 3, "condition": "none",
                                  "settings": "s", "psnr": psnr, "psnr_low": psnr - 1, "psnr_high": psnr + 1, "ssim": 0.9, "de2000": 9.0,
                                  "colorfulness_ratio": 0.5} | columns)


def test_the_table_says_what_the_csv_says(workshop):
    with pytest.raises(ValueError, match="What conditions buy was not measured at size class: run"):
        condition_table.table("class")
    gain = lambda value: {"psnr_gain": value, "psnr_gain_low": value - 0.5, "psnr_gain_high": value + 0.5}
    add("grey", psnr=21.0)
    add("film", "no caption", 22.0, condition="caption", settings="old")
    add("film", "no caption", 23.0, condition="caption", against="no caption")
    add("film", "its caption", 24.5, condition="caption", against="no caption", **gain(1.5))
    add("koalarization", psnr=21.5, against="grey", **gain(0.5))
    add("scgan", psnr=22.5, against="grey", **gain(1.5))
    for seed, better in enumerate((0.25, 0.75)):
        add("scgan", "no saliency map", 20.0, condition="saliency map", seed=seed, against="no saliency map", updates=300)
        add("scgan", "saliency map", 20.0 + better, condition="saliency map", seed=seed, against="no saliency map", updates=300, **gain(better))
    head, _, *lines = condition_table.table("class").splitlines()
    rest = "9.00 | 0.900 | 0.50 |"
    spread = "9.00 ± 0.00 | 0.900 ± 0.000 | 0.50 ± 0.00 |"
    assert head == "| system | is given | PSNR ↑ [95 %] | gain, dB [95 %] | counted from | ΔE2000 ↓ | SSIM ↑ | colourfulness ratio |" and lines == [
        f"| grey | nothing | 21.00 [20.00, 22.00] | — | — | {rest}",
        f"| scgan, the best automatic one | nothing | 22.50 [21.50, 23.50] | +1.50 [1.00, 2.00] | grey | {rest}",
        f"| film | no caption | 23.00 [22.00, 24.00] | — | — | {rest}",
        f"| film | its caption | 24.50 [23.50, 25.50] | +1.50 [1.00, 2.00] | no caption | {rest}",
        f"| scgan | no saliency map | 20.00 ± 0.00 [19.00, 21.00] | — | — | {spread}",
        f"| scgan | saliency map | 20.50 ± 0.25 [19.50, 21.50] | +0.50 ± 0.25 [0.00, 1.00] | no saliency map | {spread}"]


def test_mistakes_end_in_one_sentence(workshop, capsys):
    assert cli.main(["conditions", "--methods", "koalarization"]) == 1
    error = capsys.readouterr().err
    assert "koalarization takes no condition: choose among siggraph17" in error and error.count("\n") == 1


def test_saliency_is_switched_off_as_the_chapter_does():
    assert condition_table.SALIENCY == {"no saliency map": scgan.TRAINING_ABLATIONS["attention weight 0"], "saliency map": scgan.TRAINING_ABLATIONS["as it is"]}
    assert np.all([zoo.get(name).conditions for name in condition_table.METHODS]) and experiments.default_data(zoo.get("scgan"), "class") == "imagenette"
