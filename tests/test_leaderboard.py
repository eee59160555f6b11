"""The automatic leaderboard: budgets that count every update, rows that are made once, a table that says what the CSV says."""
from dataclasses import replace

import numpy as np
import pytest

from colorlib import __main__ as cli
from colorlib import data, experiments, results, train, zoo
from colorlib.experiments import leaderboard
from colorlib.train import checkpoints
from colorlib.papers import cic, scgan
from colorlib.papers import koalarization as koala
from tests.data_samples import empty_workshop

TINY = {"BATCH": 4, "CROP": 32, "TEST_SIDE": 32}
KOALA = replace(koala.PRESETS["smoke"], encoder=(8,) * 8, fusion=8, decoder=(8, 8, 8, 8), embedding=16, extractor_size=32, classifier_steps=2, steps=4)
SCGAN = replace(scgan.VARIANTS["scgan"]["smoke"], width=4, attention_width=4, feature_width=4, pretraining=(4, 4e-3), phase_one=8, steps=12)


@pytest.fixture
def workshop(tmp_path, monkeypatch):
    """An empty folder to work in, tiny networks, few and small scenes."""
    empty_workshop(tmp_path, monkeypatch)
    for name, value in TINY.items():
        monkeypatch.setitem(getattr(leaderboard, name), "smoke", value)
    monkeypatch.setitem(koala.PRESETS, "smoke", KOALA)
    monkeypatch.setitem(scgan.VARIANTS["scgan"], "smoke", SCGAN)
    monkeypatch.setitem(cic.PRESETS, "smoke", replace(cic.PRESETS["smoke"], width=4))
    whole = data.SceneSet
    monkeypatch.setattr(data, "SceneSet", lambda count, **options: whole(min(count, 12), **options))
    return tmp_path


def test_the_automatic_methods_come_from_the_catalogue():
    names = leaderboard.automatic_methods()
    assert {"koalarization", "scgan", "scgan_released", "cic"} <= set(names)
    assert not {"fcnn", "film", "hintnet", "welsh", "levin", "tcvc", "tcvc_lines", "nirnet", "scgan_infrared"} & set(names)


def test_a_budget_is_spread_over_all_parts():
    config = leaderboard.spread(replace(SCGAN, pretraining=(60, 4e-3), phase_one=120, steps=160), 560)             # twice the preset's 2 x 60 + 160
    assert (config.pretraining, config.phase_one, config.steps) == ((120, 4e-3), 240, 320) and leaderboard.count_updates(config) == 560
    staged = leaderboard.spread(replace(koala.PRESETS["class"], classifier_steps=0), 700)
    assert staged.steps == 700 and staged.loss_stages == ((0, None, 0.0), (250, 5.0, 0.25))
    for name in leaderboard.automatic_methods():
        for size in train.SIZES:
            for updates in (300, 301, 1234):
                assert leaderboard.count_updates(leaderboard.spread(leaderboard.even(name, size), updates)) == updates
    with pytest.raises(ValueError, match="1 updates are too few for a training in 2 parts"):
        leaderboard.spread(KOALA, 1)


def test_equal_updates_equal_minutes_and_shipped(workshop, monkeypatch, capsys):
    zoo.save_weights(koala.build(KOALA), "koalarization", zoo.weights_file("koalarization"), {"size": "class", "steps": 7, "minutes": 2.5, "seed": 5})
    trained, train_method = [], experiments.train_method
    monkeypatch.setattr(experiments, "train_method", lambda name, *args, **options: trained.append((name, options["changes"])) or train_method(name, *args, **options))
    spent = iter(np.arange(1, 99))                      # an update takes longer each time the clock is read at the end of a training
    monkeypatch.setattr(checkpoints, "minutes", lambda run, of="seconds": float(next(spent)) if of == "cpu_seconds" else 0.5)
    options = dict(size="smoke", spec="scenes:12", names=["koalarization", "scgan"], seeds=2, updates=24, minutes=3.0, limit=5, device="cpu", progress=False)
    lines = list(leaderboard.run(**options))
    assert [line.split(": PSNR")[0] for line in lines] == [
        "koalarization: steps, seed 0: 24 updates in 1.00 minutes", "koalarization: steps, seed 1: 24 updates in 2.00 minutes",
        "scgan: steps, seed 0: 24 updates in 3.00 minutes", "scgan: steps, seed 1: 24 updates in 4.00 minutes",
        "koalarization: minutes, seed 0: 72 updates in 5.00 minutes", "koalarization: minutes, seed 1: 72 updates in 6.00 minutes",   # 3 / (1 / 24)
        "scgan: minutes, seed 0: 24 updates in 7.00 minutes", "scgan: minutes, seed 1: 24 updates in 8.00 minutes",                 # 3 / (3 / 24)
        "koalarization: shipped", "scgan: no class weights are shipped, left out"]
    rows = results.read("leaderboard")
    assert [row["method"] for row in rows] == ["grey", "mean colour", *["koalarization"] * 2, *["scgan"] * 2, *["koalarization"] * 2, *["scgan"] * 2, "koalarization"]
    assert all(row["n"] == 5 and row["dataset"] == "scenes:12 val" and row["psnr_low"] <= row["psnr"] <= row["psnr_high"] for row in rows)
    assert len({row["split_hash"] for row in rows}) == 1 and rows[0]["psnr_gain"] == 0
    assert all(abs(row["psnr"] - rows[0]["psnr"] - row["psnr_gain"]) < 1e-5 for row in rows)
    both = [changes for _, changes in trained]
    assert all((one["batch_size"], one["image_size"]) == (4, 32) for one in both) and both[0]["classifier_steps"] == 6 and both[0]["steps"] == 12
    assert rows[4]["steps"] == 14 and rows[4]["updates"] == 24 and rows[-1]["steps"] == 7 and rows[-1]["minutes"] == 2.5
    assert list(leaderboard.run(**options)) == ["scgan: no class weights are shipped, left out"] and len(trained) == 6      # nothing is done twice
    assert len(results.read("leaderboard")) == len(rows)

    leaderboard_table = leaderboard.table("minutes", "smoke")
    given, dataset = leaderboard.gather("minutes", "smoke")
    assert dataset == "scenes:12 val" and list(given)[:2] == sorted(["grey", "mean colour"], key=lambda name: -given[name][0]["psnr"])
    mean = {name: np.mean([row["psnr"] for row in found]) for name, found in given.items()}
    for line in leaderboard_table.splitlines()[2:]:
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        name, found = cells[0], given[cells[0]]
        assert cells[4].replace("*", "").startswith(f"{mean[name]:.2f}") and cells[-1].replace("*", "").startswith(f"{np.mean([row['colorfulness_ratio'] for row in found]):.2f}")
        assert "**" in cells[4] or mean[name] < max(mean.values())
    assert [line.split("|")[2].strip() for line in leaderboard_table.splitlines()[2:]] == ["—", "—", "2", "2"]
    assert "| 72 | 5.50 |" in leaderboard_table and " ± " in leaderboard_table

    monkeypatch.setitem(koala.PRESETS, "smoke", replace(KOALA, learning_rate=1e-3))                                       # another configuration is another row
    assert len(list(leaderboard.run("steps", **options))) == 2 and len(trained) == 8
    assert [len(found) for found in leaderboard.gather("steps", "smoke")[0].values()] == [1, 1, 2, 2]
    assert cli.main(["leaderboard", "--data", "scenes:12", "--methods", "koalarization", "--seeds", "2", "--steps", "24", "--limit", "5", "--budget", "steps",
                     "--device", "cpu"]) == 0 and len(trained) == 8
    assert capsys.readouterr().out.strip().startswith("Automatic methods, equal updates\n\n| system |")


def test_an_interrupted_training_goes_on(workshop, monkeypatch):
    options = dict(name="cic", updates=9, size="smoke", spec="scenes:12", device="cpu", progress=False)
    monkeypatch.setattr(train, "SAVE_SECONDS", 0)
    step, calls = cic.Step.__call__, []

    def stop(self, batch):
        calls.append(1)
        if len(calls) == 6:
            raise KeyboardInterrupt
        return step(self, batch)
    monkeypatch.setattr(cic.Step, "__call__", stop)
    with pytest.raises(KeyboardInterrupt):
        leaderboard.train_evenly(**options)
    weights, columns = leaderboard.train_evenly(**options)
    assert weights.exists() and len(calls) == 6 + 4 and columns["updates"] == columns["steps"] == 9 and columns["device_minutes"] > 0
    assert leaderboard.train_evenly(**options)[0] == weights and len(calls) == 10


def test_updates_of_a_part_nobody_lists_are_found_out(workshop, monkeypatch):
    monkeypatch.setattr(leaderboard, "PRETRAININGS", ())
    with pytest.raises(ValueError, match="koalarization made 8 updates in place of 4: it has a pretraining that leaderboard.PRETRAININGS does not list"):
        leaderboard.train_evenly("koalarization", 4, "smoke", spec="scenes:12", device="cpu", progress=False)


def test_mistakes_end_in_one_sentence(workshop, capsys):
    for arguments, sentence in ((["--methods", "hintnet"], "hintnet is not automatic or does not learn"), (["--methods", "magic"], "magic is not automatic"),
                                (["--data", "nowhere"], "nowhere")):
        assert cli.main(["leaderboard", *arguments]) == 1
        error = capsys.readouterr().err
        assert sentence in error and error.count("\n") == 1
    with pytest.raises(ValueError, match="no budget 'cheap'"):
        next(leaderboard.run("cheap"))
    with pytest.raises(ValueError, match="The budget steps was not measured at size smoke: run"):
        leaderboard.table("steps", "smoke")
    with pytest.raises(ValueError, match="How long an update of cic takes was not measured"):
        leaderboard.updates_in(1.0, "cic", "smoke", "scenes:12", 300)
