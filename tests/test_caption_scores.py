"""acc@k on cells: by hand on four cells, with answers whose score is known on scenes, and the ceiling on the very cells that are scored."""
import numpy as np
import pytest
import torch

from colorlib import lab, results, scenes
from colorlib.metrics import caption_scores
from colorlib.metrics.caption_scores import ceilings, constant_bin, measure_accuracy
from colorlib.data import SceneSet
from colorlib.scenes import planning, rendering

BINS = lab.ab_bins(625)
RED, BLUE, GREY = (50.0, 60.0, 40.0), (40.0, 20.0, -60.0), (60.0, 0.0, 0.0)


def picture(*colors, name="x"):
    """Four squares of 4 x 4 px of Lab colours, row by row, as a sample."""
    blocks = torch.tensor(colors).T.reshape(3, 2, 2).repeat_interleave(4, 1).repeat_interleave(4, 2)
    return {"id": name, "rgb": (lab.lab_to_rgb(blocks) * 255).round().byte()}


def always(*colors):
    """Logits that rank the bins of these ab colours first, in their order."""
    def answer(batch):
        logits = torch.zeros(len(BINS))
        for rank, color in enumerate(colors):
            logits[(BINS == torch.tensor(color)).all(1)] = 9.0 - rank
        count, _, height, width = batch["L"].shape
        return logits.view(1, -1, 1, 1).expand(count, -1, -(-height // 4), -(-width // 4))
    return answer


def truth(samples):
    return {"truth": torch.stack([lab.rgb_to_lab(one["rgb"])[1:] for one in samples])}


def tell(batch):
    """Logits that know the answer."""
    cells = batch["truth"][..., ::4, ::4]
    return torch.nn.functional.one_hot(lab.nearest_bin(cells, BINS), len(BINS)).movedim(-1, 1).float()


@pytest.fixture(scope="module")
def world():
    return SceneSet(24, 32, seed=500, cache=False)


def test_four_cells_by_hand():
    dataset = [picture(GREY, GREY, RED, BLUE)] * 3
    got = measure_accuracy({"row": always((0, 0), (90, 90), (60, 40), (80, 80), (-80, 80))}, dataset, BINS, 8, progress=False)["row"]
    assert got == pytest.approx({"acc@1": 50, "acc@5": 75, "acc@1 balanced": 100 / 3, "acc@5 balanced": 200 / 3, "acc@1 chromatic": 0, "acc@5 chromatic": 50})


def test_cells_are_pooled_over_pictures():
    """Two coloured cells in one picture and four in the other: the share is of six cells, not the mean of two shares."""
    dataset = [picture(GREY, GREY, RED, BLUE), picture(RED, RED, RED, RED, name="y")]
    got = measure_accuracy({"row": always((60, 40))}, dataset, BINS, 8, batch_size=1, progress=False)["row"]
    assert got["acc@1 chromatic"] == pytest.approx(500 / 6) and got["acc@1"] == pytest.approx(500 / 8)


def test_who_knows_the_truth_is_always_right_and_only_on_told_cells_of_many_colored_objects(world):
    red = lambda batch: tell(batch).roll(1, 1)                # every bin one off: never right
    got = measure_accuracy({"truth": tell, "wrong": red}, world, BINS, 32, truth, batch_size=10, progress=False)
    assert set(got["truth"]) == {f"acc@{k}{region}" for k in (1, 5) for region in ("", " balanced", " chromatic", " told")}
    assert set(got["truth"].values()) == {100.0}
    assert {key: value for key, value in got["wrong"].items() if "@1" in key} == {f"acc@1{region}": 0.0 for region in ("", " balanced", " chromatic", " told")}
    for i in range(len(world)):
        told, name = caption_scores.told_cells(world[i], 32), scenes.CLASSES[int(world[i]["label"])]
        assert told.shape == (8, 8) and told.any() == (len(scenes.COLORS[name]) > 1)
        assert not told.any() or torch.equal(told, world[i]["mask"][0, ::4, ::4] > 0)


def test_colours_get_the_first_place_only(world):
    rows = {"true colours": lambda batch: batch["truth"], "on the cells": lambda batch: batch["truth"][..., ::4, ::4],
            "grey": lambda batch: torch.zeros(len(batch["L"]), 2, 1, 1), "always grey": always((0, 0))}
    got = measure_accuracy(rows, world, BINS, 32, truth, progress=False)
    assert not any("@5" in key for key in got["true colours"]) and set(got["true colours"].values()) == {100.0}
    assert got["on the cells"] == got["true colours"]
    assert got["grey"] == {key: value for key, value in got["always grey"].items() if "@1" in key}


def test_captions_reach_the_rows_and_no_batch_holds_a_lone_picture(world):
    seen = []

    def answer(batch):
        seen.append(batch["caption"])
        return always((0, 0))(batch)
    measure_accuracy({"row": answer}, [world[i] for i in range(21)], BINS, 32, batch_size=20, progress=False)
    assert sorted(map(len, seen)) == [10, 11] and sorted(one for batch in seen for one in batch) == sorted(world[i]["caption"] for i in range(21))
    assert caption_scores.captions_of([{"id": "photo"}]) == {"caption": [""]}


def test_larger_pictures_are_shrunk_to_the_working_size():
    large = picture(GREY, GREY, RED, BLUE)
    large["rgb"] = large["rgb"].repeat_interleave(4, 1).repeat_interleave(4, 2)
    got = measure_accuracy({"row": always((60, 40))}, [large], BINS, 8, progress=False)["row"]
    assert got["acc@1"] == 25 and caption_scores.read_cells(large["rgb"], 8).shape == (2, 2, 2)


def test_both_grids_score_alike(world):
    """What the module's text says: the 313 bins hold all of the 625 that can be right."""
    few = {tuple(one) for one in lab.ab_bins(313).tolist()}
    assert {tuple(one) for one in BINS[lab.live_bins()].tolist()} <= few
    rows = {"grey": lambda batch: torch.zeros(len(batch["L"]), 2, 1, 1)}
    assert measure_accuracy(rows, world, BINS, 32, progress=False) == measure_accuracy(rows, world, lab.ab_bins(313), 32, progress=False)


def test_constant_bin_is_what_the_training_set_has_most():
    dataset = [picture(GREY, GREY, RED, BLUE), picture(GREY, RED, BLUE, BLUE, name="y"), picture(GREY, GREY, RED, RED, name="z")]
    row = constant_bin(dataset, BINS)
    logits = row({"L": torch.zeros(2, 1, 8, 12)})
    assert logits.shape == (2, 625, 2, 3) and torch.isfinite(logits).all()
    shares = logits[0, :, 0, 0].softmax(0).topk(3)
    assert BINS[shares.indices].tolist() == [[0, 0], [60, 40], [20, -60]] and shares.values.tolist() == pytest.approx([5 / 12, 4 / 12, 3 / 12], abs=1e-5)
    got = measure_accuracy({"constant bin": row}, dataset, BINS, 8, progress=False)["constant bin"]
    assert got["acc@1"] == pytest.approx(500 / 12) and got["acc@5"] == 100 and got["acc@1 balanced"] == pytest.approx(100 / 3)


def test_what_does_not_fit_is_named(world):
    with pytest.raises(ValueError, match="empty"):
        measure_accuracy({}, [], BINS, 32)
    for shape in ((24, 625, 32, 32), (24, 313, 8, 8), (1, 625, 8, 8), (24, 625)):
        with pytest.raises(ValueError, match="'film' answered"):
            measure_accuracy({"film": lambda batch, shape=shape: torch.zeros(shape)}, world, BINS, 32, batch_size=24, progress=False)


def test_the_ceiling_is_asked_about_the_cells_that_are_scored():
    """Equal to asking the observer about all cells of a scene at once, and weighting scenes by their cells."""
    seeds, told, every = range(70, 76), [], []
    for seed in seeds:
        plan = planning.plan_scene(seed)
        canvas = planning.paint_background(plan, 32)
        planning.paint_objects(canvas, plan)
        cell = np.zeros((32, 32), bool)
        cell[::4, ::4] = True
        for rows, where in ((every, cell), (told, cell & scenes.make_scene(seed, 32).masks[0] & (len(scenes.COLORS[plan.objects[0].name]) > 1))):
            if where.any():
                light = rendering.gather_light(canvas, plan.exposure, np.flatnonzero(where))
                rows += int(where.sum()) * [scenes.observe(canvas, plan, light, "", 10, 64) | scenes.observe(canvas, plan, light, " caption", 10, 64)]
    got = ceilings(32, len(seeds), seeds[0], draws=64, progress=False)
    for row, said in (("Bayes ceiling", ""), ("Bayes ceiling, told the caption", " caption")):
        mean = lambda k, rows, said=said: 100 * np.mean([one[f"acc@{k}{said}"] for one in rows])
        expected = {f"acc@{k}{region}": mean(k, rows) for k in (1, 5) for region, rows in (("", every), (" told", told))}
        assert got[row] == pytest.approx(expected)
    blind, told = got.values()
    assert blind["acc@1 told"] + 5 < told["acc@1 told"] <= 100 and blind["acc@5 told"] < told["acc@5 told"]


def test_a_sample_of_the_cells_estimates_the_ceiling():
    every, some = (ceilings(64, 6, 40, draws=64, cells=cells, progress=False)["Bayes ceiling, told the caption"] for cells in (256, 60))
    assert every != some and every == pytest.approx(some, abs=8)


def test_only_objects_of_one_color_have_no_told_column():
    seed = next(seed for seed in range(100) if len(scenes.COLORS[planning.plan_scene(seed).objects[0].name]) == 1)
    assert set(ceilings(16, 1, seed, draws=16, progress=False)["Bayes ceiling"]) == {"acc@1", "acc@5"}


def test_our_rows_stand_beside_the_published_ones(tmp_path, monkeypatch):
    monkeypatch.setenv("COLORLIB_RESULTS", str(tmp_path))
    for method, score in (("constant bin", 30), ("fcnn", 40), ("concat", 41), ("film", 42)):
        results.append("language", {"method": method, "variant": "", "size": "smoke", "dataset": "scenes val", "acc@1": score, "acc@5": 90.0})
    lines = results.table("language", ["acc@1", "acc@5", "plausibility", "quality", "manipulation"]).splitlines()
    cells = {line.split("|")[1].strip(): [cell.strip() for cell in line.split("|")[2:-1]] for line in lines[2:]}
    assert cells == {"constant bin": ["33.1", "30.0", "59.2", "90.0", "—", "—", "—"], "FCNN": ["15.4", "40.0", "45.8", "90.0", "20.4", "32.6", "—"],
                     "CONCAT": ["17.9", "41.0", "50.3", "90.0", "39.0", "34.1", "77.4"], "FiLM": ["23.7", "42.0", "60.5", "90.0", "40.6", "32.1", "81.2"]}
    assert all(("our calculation" in row["source"]) == (row["system"] == "constant bin") for row in results.read_published("language"))
