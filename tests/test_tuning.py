"""Recipes are compared on photographs that are in the training set and that their trainings did not see; ways to paint are written into a weights file."""
from dataclasses import replace

import pytest
import torch

from colorlib import __main__ as cli
from colorlib import data, experiments, results, zoo
from colorlib.experiments import other_sources, tuning
from colorlib.papers import photonet
from tests.data_samples import empty_workshop, fill
from tests.test_photonet import TINY


@pytest.fixture
def album(tmp_path, monkeypatch):
    """A folder with train and val, class folders in each, and a tiny network that works there."""
    empty_workshop(tmp_path, monkeypatch)
    monkeypatch.setitem(photonet.PRESETS, "smoke", replace(TINY, steps=2))
    for part, count in (("train", 40), ("val", 6)):
        for word in ("cats", "dogs"):
            fill(tmp_path / "album" / part / word, *(f"{part}{i}.png" for i in range(count // 2)), height=40, width=40)
    return tmp_path / "album"


def ids(spec, split):
    return set(data.ids_of(experiments.open_dataset(str(spec), 32, split)))


def test_fit_and_tuning_are_the_training_set(album):
    whole, fit, held, test = (ids(album, split) for split in ("train", "fit", "tuning", "val"))
    assert fit | held == whole and not fit & held and len(held) == 2 and not whole & test
    scenes = {split: data.ids_of(experiments.open_dataset("scenes:40", 16, split)) for split in ("fit", "tuning")}
    assert len(scenes["fit"]) == 38 and not set(scenes["fit"]) & set(scenes["tuning"])


def test_all_of_a_folder(album):
    assert len(experiments.open_dataset(str(album / "val" / "cats"), 32, "all")) == 3 and len(ids(album, "all")) == 46
    with pytest.raises(FileNotFoundError, match="imagenette is no folder, and only of a folder can all pictures be taken"):
        experiments.open_dataset("imagenette", 32, "all")
    with pytest.raises(ValueError, match="scenes has no end, and only of a folder"):
        experiments.open_dataset("scenes", 16, "all")
    with pytest.raises(ValueError, match="split is 'most': choose train or val, or all of a folder"):
        data.open_pictures(str(album), 32, "most")


def test_recipes(album, capsys):
    seen = []
    assert cli.main(["tune", "photonet", "--size", "smoke", "--data", str(album), "--rows", "as it is", "one scale", "--steps", "3", "--limit", "2"]) == 0
    rows = results.read(tuning.TABLE)
    assert [row["variant"] for row in rows] == ["as it is", "one scale"] and {row["dataset"] for row in rows} == {"album tuning"}
    assert {row["n"] for row in rows} == {2} and {row["steps"] for row in rows} == {3} and len({row["config_hash"] for row in rows}) == 2
    assert rows[0]["split_hash"] == results.split_hash(ids(album, "tuning"))
    sidecar = zoo.read_sidecar("runs/photonet-smoke-as_it_is-0/photonet-smoke.safetensors")
    assert sidecar["split"] == "fit" and sidecar["n"] == 38
    out = capsys.readouterr().out
    assert "photonet: one scale: PSNR " in out and "| changed | updates | seed | PSNR |" in out and not seen


def test_a_way_to_paint_is_written_beside_the_weights(album, monkeypatch):
    torch.manual_seed(0)
    zoo.save_weights(photonet.build(TINY).eval(), "photonet", "some.safetensors", {"size": "smoke", "steps": 2, "seed": 0})
    monkeypatch.setattr(photonet, "DECODINGS", {"as it is": {}, "twice": {"chroma_gain": 2.0}, "grey": {"chroma_gain": 0.0}})
    *lines, last = tuning.choose("photonet", "some.safetensors", "smoke", str(album), device="cpu", limit=2)
    found = {row["variant"]: row for row in results.read(tuning.TABLE)}
    assert len(lines) == 3 and found["grey"]["gain"] == 0 and found["twice"]["colorfulness"] > found["as it is"]["colorfulness"]
    best = max(found, key=lambda row: found[row]["psnr"])
    assert last == f"chosen: {best}" and zoo.read_sidecar("some.safetensors")["config"]["chroma_gain"] == {"as it is": 1.0, "twice": 2.0, "grey": 0.0}[best]
    *_, last = tuning.choose("photonet", "some.safetensors", "smoke", str(album), least=1e9, device="cpu", limit=2)
    assert last == "chosen: twice" and zoo.load("photonet", "some.safetensors", device="cpu").config.chroma_gain == 2.0
    assert photonet.PRESETS["smoke"].chroma_gain == 1.0


def test_bad_input_is_one_sentence(album, capsys):
    for arguments, words in ((["tune", "levin"], "levin has none of RECIPES; methods that do: "), (["tune", "photonet", "--rows", "magic"], "photonet has these rows: as it is; "),
                             (["sources", "album", "--methods", "film"], "film needs more than a grey picture"), (["sources", "gone", "--methods", "levin"], "gone is no folder")):
        assert cli.main(arguments) == 1
        error = capsys.readouterr().err
        assert words in error and error.count("\n") == 1


def test_other_sources_are_measured_whole(album, capsys):
    assert cli.main(["sources", str(album / "val" / "cats"), str(album / "val" / "dogs"), "--methods", "levin", "--size", "smoke"]) == 0
    rows = results.read(other_sources.TABLE)
    assert [(row["dataset"], row["n"]) for row in rows] == [("cats all", 3), ("dogs all", 3)] and all(row["gain_low"] <= row["gain"] <= row["gain_high"] for row in rows)
    table = capsys.readouterr().out
    assert "| method | cats (3): over grey, dB | dogs (3): over grey, dB | cats: colour | dogs: colour |" in table and "| levin | " in table


# ---------------------------------------------------------------- best

def test_best_is_the_one_for_the_condition(monkeypatch):
    assert zoo.get("best").name == zoo.choose().name == zoo.BEST[""] and zoo.choose(hints=[]).name == zoo.BEST["hints"]
    assert zoo.choose(caption="a red car").name == zoo.BEST["caption"] and zoo.choose(reference="x.jpg").name == zoo.BEST["reference"]
    assert zoo.choose("scgan", caption="x").name == "scgan"
    for name in zoo.BEST.values():
        assert zoo.weights_file(name).exists()
    with pytest.raises(ValueError, match="No method takes hints and caption together"):
        zoo.choose(hints=[], caption="a")


def test_best_knows_whose_a_model_is(tmp_path):
    assert zoo.choose(model=photonet.build(TINY)).name == "photonet"
    path = tmp_path / "mine.safetensors"
    zoo.save_weights(photonet.build(TINY), "photonet", path, {"size": "smoke"})
    assert zoo.choose(weights=path).name == "photonet"
    from colorlib.papers import scgan
    with pytest.raises(ValueError, match="may belong to scgan or scgan_released or scgan_infrared: say which"):
        zoo.choose(model=scgan.build(scgan.PRESETS["smoke"]))
