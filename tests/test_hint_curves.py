"""PSNR against the number of hints: colorizers whose score is known, what is written and read back, and figures of hint methods."""
import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from colorlib import __main__ as cli
from colorlib import data, experiments, figures, lab, metrics, results, zoo
from colorlib.experiments import evaluation, hint_curves, reproduction
from colorlib.papers import hintnet, hscau, levin
from colorlib.hints.simulated_hints import COUNTS, FRACTIONS, PROTOCOLS, protocol_hints

SMALL = replace(hscau.PRESETS["smoke"], width=4)
AMOUNTS = {"dense05": (0, 5, 0.01), "zhang6": (0, 2), "icolorit2": (3,)}


@pytest.fixture
def workshop(tmp_path, monkeypatch):
    """Results, weights and figures that go nowhere else, at smoke size."""
    for name in ("WEIGHTS", "RESULTS", "FIGURES", "CACHE"):
        monkeypatch.setenv(f"COLORLIB_{name}", str(tmp_path / name.lower()))
    monkeypatch.setenv("COLORLIB_SIZE", "smoke")
    torch.manual_seed(0)
    return tmp_path


@pytest.fixture(scope="module")
def scenes():
    """Twelve scenes: rgb `(12, 3, 48, 48)` uint8 and their ids."""
    found = data.SceneSet(12, size=48, seed=3)
    return torch.stack([found[i]["rgb"] for i in range(12)]), [found[i]["id"] for i in range(12)]


def true_colours(rgb, change=lambda ab: ab):
    """A colorizer that knows the answer: it finds the picture by its L."""
    Ls, abs_ = lab.rgb_to_lab(rgb).split([1, 2], 1)

    def colorizer(batch):
        return torch.stack([change(abs_[(Ls - one).abs().amax((1, 2, 3)).argmin()]) for one in batch["L"]])
    return colorizer


def test_an_oracle_reaches_the_ceiling_and_grey_is_grey(scenes):
    rgb, ids = scenes
    L = lab.rgb_to_lab(rgb)[:, :1]
    assert (hint_curves.score(true_colours(rgb), rgb, ids, "dense05", 5, batch_size=5)["psnr"] > 60).all()
    rounded = hint_curves.score(true_colours(rgb, torch.round), rgb, ids, "dense05", 5)["psnr"]
    assert ((48 < rounded) & (rounded < 60)).all()                                    # ab in 8 bits
    grey = hint_curves.score(lambda batch: torch.zeros_like(batch["hint_ab"]), rgb, ids, "zhang6", 3)["psnr"]
    by_hand = (lab.lab_to_rgb(torch.cat([L, 0 * L, 0 * L], 1)) * 255).round() / 255
    mse = (by_hand - rgb / 255).double().square().mean((1, 2, 3))
    assert grey == pytest.approx((-10 * torch.log10(mse)).numpy(), abs=1e-4)


def test_error_at_the_hints(scenes):
    rgb, ids = scenes
    keep = hint_curves.score(lambda batch: batch["hint_ab"], rgb, ids, "zhang6", 4)
    assert (keep["hint_error"] == 0).all() and (keep["psnr"] > 5).all()
    off = hint_curves.score(lambda batch: batch["hint_ab"] + torch.tensor([3.0, -4.0]).view(1, 2, 1, 1), rgb, ids, "icolorit2", 4)
    assert off["hint_error"] == pytest.approx(np.full(12, 5.0), abs=1e-3)             # the distance; pixels without a hint do not count
    assert np.isnan(hint_curves.score(lambda batch: batch["hint_ab"], rgb, ids, "dense05", 0)["hint_error"]).all()


def test_batches_make_no_difference(scenes):
    rgb, ids = scenes
    seen = []

    def spread(batch):
        seen.append(len(batch["L"]))
        return hintnet.propagate(batch["L"], batch["hint_ab"], batch["hint_mask"])[0]
    whole, parts = (hint_curves.score(spread, rgb, ids, "dense05", 20, size) for size in (12, 5))
    assert seen == [12, 5, 5, 2] and all(whole[key] == pytest.approx(parts[key], abs=1e-4) for key in whole)
    names = ids[:-1] + ["another id"]                                                 # one picture's hints move, the others' stay
    other = hint_curves.score(spread, rgb, names, "dense05", 20)["psnr"]
    assert other[:-1] == pytest.approx(whole["psnr"][:-1], abs=1e-4) and abs(other[-1] - whole["psnr"][-1]) > 1e-3


def test_summary():
    scores = {"psnr": np.array([20.0, 22, 30, 40]), "hint_error": np.array([1.0, math.nan, 3, 5])}
    row = hint_curves.summarize(scores, np.array([True, True, False, False]))
    assert row == pytest.approx({"n": 4, "psnr": 28, "psnr_se": np.std([20, 22, 30, 40], ddof=1) / 2, "psnr_median": 26, "psnr_colorful": 21,
                                 "n_colorful": 2, "hint_error": 3})
    one = hint_curves.summarize({"psnr": np.array([20.0]), "hint_error": np.array([math.nan])}, np.array([False]))
    assert one["psnr"] == 20 and [one[key] for key in ("psnr_se", "psnr_colorful", "hint_error", "n_colorful")] == [None, None, None, 0]


def test_amounts_are_the_published_ones():
    assert COUNTS == (0, 1, 2, 5, 10, 20, 50, 100, 200) and FRACTIONS == (0.005, 0.01, 0.03, 0.05)
    assert hint_curves.AMOUNTS == {"dense05": COUNTS + FRACTIONS, "zhang6": COUNTS, "icolorit2": COUNTS}


def test_rows_are_written_and_read_back(workshop):
    torch.manual_seed(0)
    rows = hint_curves.measure_method("hscau", model=hscau.build(SMALL), limit=6, device="cpu", progress=False, amounts=AMOUNTS)
    assert [(row["method"], row["protocol"], row["amount"]) for row in rows] == [("grey", "any", 0)] \
        + [("hscau", protocol, amount) for protocol in AMOUNTS for amount in AMOUNTS[protocol]]
    written = results.read("hint_curves")
    assert len(written) == 7 and {row["dataset"] for row in written} == {"scenes val"} and {row["n"] for row in written} == {6}
    grey = rows[0]["psnr"]
    assert written[3]["amount"] == 0.01 and written[3]["psnr"] == pytest.approx(rows[3]["psnr"], abs=1e-5) and written[1]["hint_error"] is None
    assert rows[1]["psnr"] == pytest.approx(grey, abs=0.01)                           # untrained, it begins at grey
    ours = hintnet.build(replace(hintnet.PRESETS["smoke"], width=4))
    hint_curves.measure_method("hintnet", model=ours, limit=6, device="cpu", progress=False, amounts=AMOUNTS)
    curves = hint_curves.curves("smoke")
    assert {protocol: {method: sorted(points) for method, points in curves[protocol].items()} for protocol in PROTOCOLS} \
        == {protocol: {"grey": [0], "hscau": sorted(AMOUNTS[protocol]), "hintnet": sorted(AMOUNTS[protocol])} for protocol in PROTOCOLS}
    assert curves["zhang6"]["grey"][0] == pytest.approx(grey, abs=1e-5) and curves["dense05"]["hintnet"][0.01] > curves["dense05"]["hintnet"][5] > grey
    assert hint_curves.curves("smoke", metric="psnr_median")["icolorit2"]["hscau"][3] == pytest.approx(rows[-1]["psnr_median"], abs=1e-5)
    assert hint_curves.curves("class") == {protocol: {} for protocol in PROTOCOLS} == hint_curves.curves("smoke", dataset="imagenette val")


def add_row(method, protocol, amount, psnr, size="smoke"):
    results.append("hint_curves", {"method": method, "variant": "" if method == "grey" else f"{protocol} {amount:g}", "protocol": protocol, "amount": amount,
                                   "size": size, "dataset": "x val", "psnr": psnr})


def test_the_newest_measurement_counts(workshop):
    for value in (20.0, 25.0):
        add_row("levin", "zhang6", 5, value, "class")
    assert hint_curves.curves("class")["zhang6"] == {"levin": {5: 25.0}}


def test_figure(workshop):
    add_row("grey", "any", 0, 21.0)
    for amount, psnr in ((10, 25.0), (0, 22.0), (0.01, 30.0)):
        add_row("levin", "dense05", amount, psnr)
    axes = hint_curves.draw("smoke").axes[0]
    lines = {line.get_label(): line.get_xydata().tolist() for line in axes.get_lines()}
    assert lines["levin"] == [[0, 22], [10, 25], [41, 30]]                            # 1 % of 64 x 64 px are 41 hints
    published = lines["siggraph17 as published*"]
    assert published[0] == [0, 24.43] and published[-1][0] == 200 and axes.get_ylabel() == "PSNR, dB" and "dense05" in axes.get_xlabel()
    assert [point[1] for point in lines["grey"]] == [21, 21] and "siggraph17 as published*" not in \
        {line.get_label() for line in hint_curves.draw("smoke", published=False).axes[0].get_lines()}


def test_table(workshop):
    rows = hint_curves.measure_method("levin", limit=3, device="cpu", write=False, progress=False, amounts={"dense05": (0, 2, 0.005)})
    assert not results.read("hint_curves")
    lines = hint_curves.table(rows).splitlines()
    assert len(lines) == 2 + 4 and lines[0].startswith("| method | protocol | hints | PSNR | s.e. |")
    assert [line.split(" | ")[2] for line in lines[2:]] == ["0", "0", "2", "0.5 %"]
    assert [line.split(" | ")[-1] for line in lines[2:]] == ["— |", "— |", "0.00 |", "0.00 |"]      # Levin keeps hints


def test_a_method_without_hints_is_refused(workshop, capsys):
    with pytest.raises(ValueError, match="^koalarization takes no hints; methods that do: hscau, .*$"):
        hint_curves.measure_method("koalarization", write=False)
    assert cli.main(["evaluate", "koalarization", "--curve"]) == 1 and capsys.readouterr().err.count("\n") == 1


def test_curve_on_the_command_line(workshop, capsys, monkeypatch):
    monkeypatch.setattr(hint_curves.measure_method, "__defaults__", (*hint_curves.measure_method.__defaults__[:-1], {"icolorit2": (0, 4)}))
    assert cli.main(["evaluate", "levin", "--curve", "--limit", "2", "--dry-run", "--device", "cpu"]) == 0
    out = capsys.readouterr().out
    assert "| levin | icolorit2 | 4 |" in out and "| grey | any | 0 |" in out and not results.read("hint_curves")


# ---------------------------------------------------------------- hint methods in the tables and figures every method has

def test_conditions_are_hints_of_the_small_picture(scenes):
    rgb, ids = scenes
    method = zoo.get("hscau")
    assert experiments.conditions_of(zoo.get("koalarization"), rgb, ids, 32) == {}
    conditions = experiments.conditions_of(method, rgb, ids, 48)
    expected = protocol_hints(lab.rgb_to_lab(rgb)[:, 1:], ids, "dense05", 0.005)
    assert torch.equal(conditions["hint_ab"], expected[0]) and torch.equal(conditions["hint_mask"], expected[1])
    smaller = experiments.conditions_of(method, rgb, ids, 24, "icolorit2", 7)
    assert smaller["hint_ab"].shape == (12, 2, 24, 24) and torch.equal(smaller["hint_mask"], protocol_hints(torch.zeros(12, 2, 24, 24), ids, "icolorit2", 7)[1])
    area = lab.rgb_to_lab(torch.nn.functional.avg_pool2d(rgb.float(), 2).round().byte())[:, 1:]
    assert (smaller["hint_ab"] - protocol_hints(area, ids, "icolorit2", 7)[0]).abs().max() < 3      # a grey level


def test_evaluation_gives_the_hints(workshop, monkeypatch):
    """Levin, told 0.5 % of the pixels, beats grey; the same pictures give the same numbers again."""
    monkeypatch.setattr(evaluation, "trivial_colorizers", lambda spec, side, sees: {"grey": lambda batch: torch.zeros(len(batch["L"]), 2, 1, 1)})
    summaries = experiments.evaluate_method("levin", limit=8, device="cpu", progress=False)
    assert summaries[""]["psnr"] > summaries["grey"]["psnr"] + 1
    assert {row["method"] for row in results.read("hints")} >= {"grey", "levin"}      # one table for the chapter
    again = experiments.evaluate_method("levin", limit=8, device="cpu", write=False, progress=False)
    assert again[""]["psnr"] == summaries[""]["psnr"]


def test_hints_are_drawn_where_they_are():
    """One red hint in the corner, one blue in the middle of a map of half the picture's size."""
    hint_ab, hint_mask = torch.zeros(2, 40, 40), torch.zeros(1, 40, 40)
    for y, x, colour in ((0, 0, (60.0, 40.0)), (20, 30, (10.0, -60.0))):
        hint_ab[:, y, x], hint_mask[0, y, x] = torch.tensor(colour), 1
    grey = np.full((80, 80, 3), 90, np.uint8)
    picture = figures.draw_hints(grey, hint_ab, hint_mask, side=7)
    drawn = (picture != 90).any(-1)
    expected = np.zeros((80, 80), bool)
    expected[:8, :8] = expected[34:48, 54:68] = True                                  # squares of 7 map pixels, twice as large here
    assert picture.shape == (80, 80, 3) and np.array_equal(drawn, expected) and (grey == 90).all()
    assert picture[2, 2, 0] > picture[2, 2, 2] + 50 and picture[40, 60, 2] > picture[40, 60, 0] + 50
    L, a, b = lab.rgb_to_lab(picture)[40, 60]
    assert (L, math.atan2(b, a)) == pytest.approx((figures.DOT_LIGHTNESS, math.atan2(-60, 10)), abs=1)


def test_photographs_are_painted_with_their_hints():
    rows = reproduction.paint_photos(zoo.get("levin"), levin.build(replace(levin.RELEASED, working_size=64)), side=96)
    assert len(rows) == reproduction.PHOTOS
    for row in rows:
        chroma = {key: np.hypot(*np.moveaxis(lab.rgb_to_lab(picture)[..., 1:], -1, 0)) for key, picture in row.items()}
        assert all(picture.shape == (96, 96, 3) for picture in row.values())
        assert 0.02 < (chroma["input"] > 2).mean() < 0.6                              # grey, with dots
        pred, grey = (metrics.psnr(one[None], row["target"][None]).item() for one in (row[""], np.repeat(row["input"][..., :1], 3, 2)))
        assert chroma[""].mean() > 0.4 * chroma["target"].mean() and pred > grey - 3
