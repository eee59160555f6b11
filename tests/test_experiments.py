"""What a person types for pictures with captions, and the language methods from training to table through the command line."""
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from colorlib import __main__ as cli
from colorlib import data, experiments, results, zoo
from colorlib.experiments import ablations, reproduction
from colorlib.captions import color_words
from colorlib.papers import cic
from colorlib.papers import gray2color as g2c
from colorlib.papers import language as lg
from colorlib.papers import welsh
from tests.data_samples import empty_workshop, fill

TINY = {"width": 4, "image_size": 32, "working_size": 32, "batch_size": 4, "steps": 3}
COLORS = {"red": (200, 30, 30), "green": (30, 160, 40), "blue": (40, 60, 200), "yellow": (230, 210, 40)}


@pytest.fixture
def workshop(tmp_path, monkeypatch):
    """An empty folder to work in, tiny networks, few scenes, and weights, results and figures that go nowhere else."""
    empty_workshop(tmp_path, monkeypatch)
    for name in lg.VARIANTS:
        monkeypatch.setitem(lg.VARIANTS[name], "smoke", replace(lg.VARIANTS[name]["smoke"], **TINY, embedding=8, hidden=8))
    monkeypatch.setitem(cic.PRESETS, "smoke", replace(cic.PRESETS["smoke"], **TINY))
    whole = data.SceneSet
    monkeypatch.setattr(data, "SceneSet", lambda count, **options: whole(min(count, 24), **options))
    return tmp_path


def save_film(path="film.safetensors", name="film"):
    torch.manual_seed(0)
    config = replace(lg.VARIANTS[name]["smoke"], vocabulary=("a", "car", "red"))
    zoo.save_weights(lg.build(config, pretrained=False), name, path, {"size": "smoke", "steps": 3})
    return str(path)


def captioned(folder, count=40):
    """Plain pictures with x.txt beside x.png; every fifth caption names no colour."""
    for i in range(count):
        word = list(COLORS)[i % 4]
        rgb = np.clip(np.array(COLORS[word]) + np.random.default_rng(i).normal(0, 8, (40, 40, 3)), 0, 255).astype(np.uint8)
        folder.mkdir(exist_ok=True)
        Image.fromarray(rgb).save(folder / f"{i:02}.png")
        (folder / f"{i:02}.txt").write_text(f"a {word} wall\nthe wall is {word}" if i % 5 else "a wall")
    return folder


def fail(capsys, *arguments):
    """Run a command that must fail; what it says on stderr, without progress bars."""
    assert cli.main(list(arguments)) == 1
    error = capsys.readouterr().err.replace("\r", "\n").strip()
    sentence = error[error.rindex("colorlib: "):]
    assert sentence.count("\n") == 0 and "Traceback" not in error
    return sentence


# ---------------------------------------------------------------- what a person types

def test_so_many_scenes(monkeypatch):
    train, val = (experiments.open_dataset("scenes:30", 16, split=split) for split in ("train", "val"))
    assert len(train) == 30 and len(val) == 200 and not set(train.ids) & set(val.ids)
    assert len(experiments.open_dataset("scenes", 16, limit=7)) == 7 and not experiments.is_scenes("scenes+imagenette")
    for spec in ("scenes:x", "scenes:0", "scenes:-5", "scenes:1.5", "scenes:²", "scenes:99999999999999999999"):
        with pytest.raises(ValueError, match=f"'{spec}' does not say how many scenes: write a number, such as scenes:8000"):
            experiments.open_dataset(spec, 16)
    monkeypatch.setattr(data, "SceneSet", lambda count, **options: range(count))
    assert [len(experiments.open_dataset(spec, 16)) for spec in ("scenes", "scenes:", "scenes:8000")] == [2000, 2000, 8000]


def test_captions_of_scenes_and_of_a_folder_together(workshop):
    captioned(workshop / "photos")
    scenes_alone, photos = (experiments.open_dataset(spec, 32, captions=True) for spec in ("scenes:12", "photos"))
    assert all(color_words(scenes_alone[i]["caption"]) and scenes_alone[i]["caption_source"] == "scene" for i in range(12))
    assert 20 <= len(photos) < 40 and all(color_words(photos[i]["caption"]) and photos[i]["caption_source"] == "human" for i in range(len(photos)))
    both = experiments.open_dataset("scenes:12+photos", 32, captions=True)
    assert len(both) == 12 + len(photos) and len(set(both.ids)) == len(both) and both[12]["caption"] == photos[0]["caption"]
    assert {both[i]["caption_source"] for i in (0, 11, 12)} == {"scene", "human"} and "mask" not in both[0]
    limited = experiments.open_dataset("scenes:12+photos", 32, limit=5, captions=True)
    assert len(limited) == 10
    val = experiments.open_dataset("photos", 32, split="val", captions=True)
    assert len(val) and not {val[i]["id"] for i in range(len(val))} & {photos[i]["id"] for i in range(len(photos))}
    with pytest.raises((ValueError, OSError), match="nowhere"):
        experiments.open_dataset("scenes:12+nowhere", 32, captions=True)
    captioned(workshop / "a+b", 10)
    assert len(experiments.open_dataset("a+b", 32)) + len(experiments.open_dataset("a+b", 32, split="val")) == 10       # a folder of that name is meant


def test_every_method_of_the_table_is_measured_on_the_same_pictures(workshop):
    """Also those that read nothing: on photos with captions, on the captioned ones; on photos without, film says why it cannot, and cic can."""
    captioned(workshop / "photos")
    fill(workshop / "silent", *(f"{i:02}.png" for i in range(20)))
    ids = {name: data.ids_of(experiments.open_test(zoo.get(name), "photos", 32)) for name in ("cic", "fcnn", "concat", "film", "film_released")}
    assert len({tuple(one) for one in ids.values()}) == 1 and len(ids["film"]) < len(experiments.open_dataset("photos", 32, split="val"))
    assert len(experiments.open_test(zoo.get("cic"), "silent", 32))
    assert [experiments.reads_captions(zoo.get(name)) for name in ("cic", "fcnn", "film", "unet")] == [False, True, True, False]
    for name in ("film", "fcnn"):
        with pytest.raises(ValueError, match="has neither a caption nor a label"):
            experiments.open_test(zoo.get(name), "silent", 32)


# ---------------------------------------------------------------- the command line

def test_colorize_with_a_caption(workshop, capsys):
    rng = np.random.default_rng(0)
    Image.fromarray(rng.integers(0, 256, (20, 30, 3), dtype=np.uint8)).save("photo.png")
    Image.fromarray(rng.integers(0, 65536, (20, 30), dtype=np.uint16)).save("deep.png")
    Image.fromarray(rng.integers(0, 256, (1, 1), dtype=np.uint8)).save("dot.png")
    use = ["--method", "film", "--weights", save_film()]
    assert cli.main(["colorize", "photo.png", *use, "--caption", "a red zebra"]) == 0
    out, error = capsys.readouterr()
    assert out.strip() == "photo_colorized.png" and error == "colorlib: film does not know 'zebra': it reads an unknown word.\n"
    assert cli.main(["colorize", "photo.png", *use, "--caption", "A red car!"]) == 0 and capsys.readouterr().err == ""
    for said in ("", "红色的汽车 🚗", "red " * 2000):
        assert cli.main(["colorize", "photo.png", "deep.png", "dot.png", *use, "--caption", said]) == 0
        assert capsys.readouterr().out.split() == [f"{name}_colorized.png" for name in ("photo", "deep", "dot")]
    assert Image.open("dot_colorized.png").size == (1, 1) and Image.open("deep_colorized.png").size == (30, 20)
    assert fail(capsys, "colorize", "photo.png", *use) == "colorlib: film needs caption: pass caption=... (on the command line --caption)."
    assert "methods that do: concat, film, film_released" in fail(capsys, "colorize", "photo.png", "--method", "fcnn", "--caption", "red")
    of_film = ["--weights", "film.safetensors", "--caption", "red"]
    assert "holds weights of film, not of concat" in fail(capsys, "colorize", "photo.png", "--method", "concat", *of_film)
    assert "No class weights of film are here" in fail(capsys, "colorize", "photo.png", "--method", "film", "--caption", "red")


def test_train_and_evaluate(workshop, capsys):
    assert cli.main(["train", "film", "--data", "scenes:24", "--steps", "3"]) == 0
    path = capsys.readouterr().out.strip()
    sidecar = zoo.read_sidecar(path)
    assert (sidecar["steps"], sidecar["n"], sidecar["notes"], sidecar["data"]) == (3, 24, "captions: scene", "scenes:24")
    assert "red" in sidecar["config"]["vocabulary"]
    for name in ("fcnn", "cic"):
        assert cli.main(["train", name, "--data", "scenes:24", "--run", name]) == 0
        assert zoo.read_sidecar(capsys.readouterr().out.strip())["split_hash"] == sidecar["split_hash"]
    assert cli.main(["evaluate", "film", "--data", "scenes", "--weights", path, "--limit", "6"]) == 0
    rows = results.read("language")
    found = {(row["method"], row["variant"] or ""): row for row in rows}
    trivial = {"grey", "mean colour", "constant bin", "Bayes ceiling", "Bayes ceiling, told the caption"}
    assert {method for method, _ in found} == {"film"} | trivial and {("film", ""), ("film", "no caption"), ("film", "another's caption")} <= set(found)
    assert {row["split_hash"] for row in rows} == {rows[0]["split_hash"]} and all(row["n"] == 6 for row in rows)
    film, ceiling = found["film", ""], found["Bayes ceiling, told the caption", ""]
    assert all(0 <= film[f"acc@{k}{region}"] <= 100 for k in (1, 5) for region in ("", " balanced", " chromatic", " told"))
    assert film["acc@1"] <= film["acc@5"] and film["psnr"] > 5 and film["notes"] == "captions: scene" and film["auto manipulation"] is not None
    assert 0 < found["constant bin", ""]["acc@1"] <= ceiling["acc@1"] <= 100 and found["Bayes ceiling", ""]["acc@1 told"] < ceiling["acc@1 told"]
    assert found["film", "no caption"].get("auto manipulation") is None and ceiling.get("psnr") is None
    for name in ("cic", "fcnn"):
        assert cli.main(["evaluate", name, "--data", "scenes", "--weights", f"{name}/{name}-smoke.safetensors", "--limit", "6"]) == 0
    more = results.read("language")[len(rows):]
    assert {row["method"] for row in more} == {"cic", "fcnn"}                       # what costs nothing stands there once
    assert {row["split_hash"] for row in more} == {film["split_hash"]}
    assert "| Bayes ceiling |" in capsys.readouterr().out
    table = results.table("language", experiments.table_metrics("language"), size="smoke")
    assert all(row in table for row in ("FiLM", "FCNN", "Bayes ceiling", "constant bin"))


def test_pictures_without_captions(workshop, capsys):
    fill(workshop / "silent", *(f"{i:02}.png" for i in range(20)))
    for name in ("film", "fcnn"):
        sentence = fail(capsys, "train", name, "--data", "silent")
        assert "has neither a caption nor a label: put x.txt beside x.jpg" in sentence
    assert "has neither a caption nor a label" in fail(capsys, "evaluate", "film", "--data", "silent", "--weights", save_film())
    assert "does not say how many scenes" in fail(capsys, "train", "film", "--data", "scenes:x")
    for setting, sentence in (("fusion=sum", "fusion is 'sum'"), ("film_form=sum", "choose plain or residual"), ("bins=500", "313, 441 or 625"),
                              ("trunk_weights=gone.pth", "gone.pth, which cannot be read"), ("normalize=mean", "choose pixels or weights")):
        assert sentence in fail(capsys, "train", "film", "--data", "scenes:8", "--set", setting, "--run", setting)


def test_photos_people_captioned(workshop, capsys):
    captioned(workshop / "photos")
    assert cli.main(["train", "film", "--data", "photos"]) == 0
    sidecar = zoo.read_sidecar(capsys.readouterr().out.strip())
    assert sidecar["notes"] == "captions: human" and {"red", "wall"} <= set(sidecar["config"]["vocabulary"])
    assert cli.main(["evaluate", "film", "--data", "photos", "--weights", "runs/film-smoke/film-smoke.safetensors"]) == 0
    rows = {(row["method"], row["variant"] or ""): row for row in results.read("language")}
    assert ("constant bin", "") in rows and not any("Bayes" in method for method, _ in rows)            # only procedural scenes have a ceiling
    assert rows["film", ""]["acc@1"] is not None and rows["film", ""].get("acc@1 told") is None


def test_ablate_two_rows(workshop, capsys):
    assert cli.main(["ablate", "film", "--rows", "FiLM", "FCNN", "--seeds", "1", "--set", "steps=3"]) == 0
    out = capsys.readouterr().out
    assert out.count("seed 0") == 2 and "| FiLM | 1 |" in out and "| FCNN | 1 |" in out and "acc@1 %, told" in out
    rows = results.read("film_ablation")
    assert [(row["variant"], row["steps"], row["seed"]) for row in rows] == [("FiLM", 3, 0), ("FCNN", 3, 0)]
    assert all(0 <= row["acc@1 told"] <= row["acc@5 told"] <= 100 for row in rows)
    assert zoo.load("film", "runs/film-smoke-FCNN-0/film-smoke.safetensors", device="cpu").config.fusion == "none"
    assert "film has these ablations: FiLM, CONCAT" in fail(capsys, "ablate", "film", "--rows", "Film")
    assert set(lg.TRAINING_ABLATIONS) >= {"FiLM", "CONCAT", "FCNN"} and ablations.table("film", "smoke").count("\n") == 3
    for changes in lg.TRAINING_ABLATIONS.values():
        assert lg.build(replace(lg.VARIANTS["film"]["smoke"], **changes)).config


# ---------------------------------------------------------------- references

def test_references_from_evaluation_to_figures(workshop, capsys):
    assert cli.main(["evaluate", "welsh", "--limit", "4", "--device", "cpu"]) == 0
    printed = capsys.readouterr().out
    assert "| HIS ↑ | HIS, from files ↑ | PSNR ↑ |" in printed and "| welsh |" in printed
    rows = {(row["method"], row["variant"]): row for row in results.read("references")}
    assert list(rows) == [("grey", None), ("mean colour", None), *(("welsh", one) for one in (None, "every pixel", "global statistics", "global histogram")),
                          ("truth", None), ("welsh", "unrelated reference"), ("welsh", "own colours, warped")]
    assert len({row["split_hash"] for row in rows.values()}) == 1 and all(0 <= row["his_file"] <= 1 and row["n"] == 4 for row in rows.values())
    truth, own = rows["truth", None], rows["welsh", "own colours, warped"]
    assert truth["psnr"] is None and own["his"] > truth["his"] > rows["grey", None]["his"] and own["psnr"] > rows["welsh", "unrelated reference"]["psnr"]
    again = experiments.evaluate_method("welsh", limit=4, device="cpu", progress=False)
    assert len(results.read("references")) == len(rows) + 6 and list(again)[:3] == ["grey", "mean colour", "truth"]      # the trivial rows were known
    table = results.table("references", experiments.table_metrics("references"))
    assert "PSNR ↑ (ours) | SSIM ↑ (ours) | ΔE2000 ↓ (ours) | HIS ↑ (ours) | HIS, from files ↑ (ours) | colourfulness ratio" in table
    assert "| truth | — | — | — | 0." in table and table.index("| truth ") < table.index("| welsh ")
    painted = reproduction.paint_photos(zoo.get("welsh"), welsh.build(replace(welsh.SAMPLED, working_size=48)), side=48)
    assert {"input", "reference", "", "unrelated reference", reproduction.FROM_UNRELATED, "target"} <= set(painted[0])
    assert np.array_equal(painted[0]["unrelated reference"], painted[1]["target"]) and not np.array_equal(painted[0]["reference"], painted[0]["target"])
    method, model = zoo.get("welsh"), welsh.build()
    assert reproduction.draw_results(method, model, painted, "results").exists() and reproduction.draw_banner(method, model, painted, "banner").exists()


def test_references_of_photos(workshop, capsys):
    folder = captioned(workshop / "val")                                                                  # by its name a split, all of it
    assert "some have no label: sort the pictures" in fail(capsys, "evaluate", "welsh", "--data", "val", "--device", "cpu")
    for path in [*folder.glob("*.png")]:
        (folder / list(COLORS)[int(path.stem) % 2]).mkdir(exist_ok=True)
        path.rename(folder / list(COLORS)[int(path.stem) % 2] / path.name)
    method = zoo.get("welsh")
    dataset, whole = (experiments.open_test(method, folder, 32, limit) for limit in (2, None))
    assert dataset.ids == [whole.ids[0], whole.ids[len(whole) // 2]]
    assert dataset[1]["reference_id"] == whole[len(whole) // 2]["reference_id"] != dataset[1]["id"]      # from the whole split, whatever the limit


def test_ablations_of_references_and_on_photos(workshop, monkeypatch):
    small = replace(g2c.VARIANTS["gray2color"]["smoke"], image_size=32, reference_size=32, batch_size=2, steps=2, stage_one=1)
    monkeypatch.setitem(g2c.VARIANTS["gray2color"], "smoke", small)
    monkeypatch.setattr(ablations, "PICTURES", 4)
    measured = ablations.measure(zoo.get("gray2color"), g2c.build(small), count=4)
    assert set(measured) == {"psnr", "colorfulness", "his", "gate", "match_accuracy", "his unrelated", "gate unrelated"}
    without = ablations.measure(zoo.get("gray2color"), g2c.build(replace(small, fusion="sum")), count=4)
    assert set(measured) - set(without) == {"gate", "gate unrelated"}
    shared = {"method": "gray2color", "size": "smoke", "dataset": "scenes val", "seed": 0}
    results.append("gray2color_ablation", shared | {"variant": "as it is"} | measured)
    results.append("gray2color_ablation", shared | {"variant": "no gate"} | without)
    lines = ablations.table("gray2color", "smoke").splitlines()
    assert "HIS, unrelated | gate | gate, unrelated" in lines[0] and lines[3].startswith("| no gate | 1 |") and lines[3].count(" — ") == 2
    folder = captioned(workshop / "walls")
    (line,) = ablations.run("film", "smoke", seeds=1, rows=["FiLM"], device="cpu", folder="runs", progress=False, spec=str(folder))
    (row,) = results.read("film_ablation")
    assert row["dataset"] == "walls val" and row["psnr"] > 0 and row.get("object_error") is None and (workshop / "runs" / "film-smoke-FiLM-walls-0").is_dir()
    assert "| FiLM | 1 |" in ablations.table("film", "smoke", folder) and "| FiLM |" not in ablations.table("film", "smoke")


def test_reproduce(workshop, capsys):
    assert cli.main(["reproduce", "film", "--data", "scenes", "--limit", "4"]) == 0
    out = capsys.readouterr().out
    assert "no smoke weights yet, training" in out and "| FiLM |" in out
    assert len(list((workshop / "runs" / "reproduce").glob("film-smoke-*/film-smoke.safetensors"))) == 1
    assert (workshop / "figures" / "05_film_smoke.png").stat().st_size > 10_000 and "FiLM" in (workshop / "results" / "language-smoke.md").read_text()
