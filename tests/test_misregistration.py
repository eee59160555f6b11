"""Pairs moved on purpose: by how much, always the same way, what moves along; trainings on them, rows, figure and table."""
import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from colorlib import __main__ as cli
from colorlib import data, experiments, results, zoo
from colorlib.experiments import misregistration_curves
from colorlib.data.misregistration import ELASTIC_SIGMA, KINDS, Misregistered, derange, generator, parse_misregistration, warp_map
from colorlib.data.packing import Packed
from colorlib.papers import scgan
from tests.data_samples import empty_workshop

TINY = replace(scgan.VARIANTS["scgan_infrared"]["smoke"], width=4, attention_width=4, batch_size=4, phase_one=2, steps=3, image_size=32)


@pytest.fixture
def pairs():
    """Nine random pairs of 40 x 48 with a mask and a saliency map; the first pixel of rgb and nir says which pair it is."""
    rng = np.random.default_rng(0)
    rgb, nir = rng.integers(0, 256, (9, 40, 48, 3), dtype=np.uint8), rng.integers(0, 256, (9, 1, 40, 48), dtype=np.uint8)
    rgb[:, 0, 0, 0] = nir[:, 0, 0, 0] = range(9)
    return Packed(rgb, [f"p{i}" for i in range(9)], list(range(9)), {"nir": nir, "mask": (rgb[..., :1] > 128).astype(np.uint8).transpose(0, 3, 1, 2),
                                                                     "saliency": np.ascontiguousarray(rgb[..., :1].transpose(0, 3, 1, 2))})


# ---------------------------------------------------------------- the data

def test_a_shift_moves_rgb_and_what_lies_on_it(pairs):
    moved, shifts = Misregistered(pairs, "shift", 4), []
    for i in range(len(pairs)):
        before, after = pairs[i], moved[i]
        assert torch.equal(after["nir"], before["nir"]) and after["id"] == before["id"] and after["label"] == before["label"]
        found = [(down, right) for down in range(-4, 5) for right in range(-4, 5)
                 if torch.equal(after["rgb"][:, 4:-4, 4:-4], before["rgb"].roll((down, right), (1, 2))[:, 4:-4, 4:-4])]
        assert len(found) == 1                                             # whole pixels, exactly
        shifts += found
        for key in ("mask", "saliency"):
            assert torch.equal(after[key][:, 4:-4, 4:-4], before[key].roll(found[0], (1, 2))[:, 4:-4, 4:-4])
        down, right = found[0]
        edge = before["rgb"][:, 0] if down >= 0 else before["rgb"][:, -1]
        assert down == 0 or torch.equal(after["rgb"][:, 0 if down > 0 else -1, 10:-10], edge.roll(right, 1)[:, 10:-10])      # edges are repeated
    assert len(set(shifts)) > 5 and np.abs(shifts).max() > 2


def test_the_same_pair_is_always_moved_alike(pairs):
    one, again, other = (Misregistered(pairs, "elastic", 4, seed) for seed in (0, 0, 1))
    assert torch.equal(one[3]["rgb"], again[3]["rgb"]) and torch.equal(one[3]["rgb"], one[3]["rgb"])
    assert not torch.equal(one[3]["rgb"], other[3]["rgb"]) and one.ids == pairs.ids
    fewer = Misregistered(data.choose(pairs, ["p3", "p5"]), "elastic", 4)       # by its id, not by its number
    assert torch.equal(fewer[0]["rgb"], one[3]["rgb"]) and torch.equal(fewer[-1]["rgb"], one[5]["rgb"])
    with pytest.raises(IndexError):
        one[9]
    assert len(list(one)) == 9


@pytest.mark.parametrize("kind", sorted(set(KINDS) - {"shuffled"}))
def test_an_amount_of_nothing_moves_nothing(pairs, kind):
    still = Misregistered(pairs, kind, 0)
    for i in range(3):
        assert all(torch.equal(still[i][key], pairs[i][key]) for key in ("rgb", "nir", "mask", "saliency"))
    moved = Misregistered(pairs, kind, KINDS[kind][0])
    assert any(not torch.equal(moved[i]["rgb"], pairs[i]["rgb"]) for i in range(3))
    assert set(moved[0]["mask"].unique().tolist()) <= {0, 1} and moved[0]["rgb"].dtype == torch.uint8


def displacements(kind, amount, count=40, side=64):
    """(count, side, side, 2): how far each pixel comes from its own place."""
    grid = np.stack(np.meshgrid(np.arange(side), np.arange(side)), -1)
    return np.stack([np.stack(warp_map(kind, amount, side, side, generator(0, f"p{i}")), -1) - grid for i in range(count)])


def test_amounts_are_kept():
    assert np.abs(displacements("shift", 3)).max() == 3 and displacements("shift", 3).mean() == pytest.approx(0, abs=0.7)
    longest = np.hypot(*np.moveaxis(displacements("elastic", 4), -1, 0)).max((1, 2))
    assert longest == pytest.approx(4, abs=0.01)
    field = displacements("elastic", 4, 1)[0, ..., 0]
    assert np.abs(np.diff(field, axis=1)).max() < 2 * 4 / ELASTIC_SIGMA               # smooth
    corners = displacements("homography", 5)[:, [0, 0, -1, -1], [0, -1, 0, -1]]
    assert 3 < np.abs(corners).max() < 6.5                                            # of where pixels come from; those they go to move by 5 at most
    affine = displacements("affine", 1)
    assert np.abs(np.median(affine[:, 31:33, 31:33], (0, 1, 2))).max() < 0.2          # about the middle
    limit = 31.5 * np.sqrt(2) * (np.radians(3) + 0.032)
    assert 0.4 * limit < np.hypot(*np.moveaxis(affine, -1, 0)).max() < limit
    assert np.hypot(*np.moveaxis(displacements("affine", 2), -1, 0)).max() > 1.5 * np.hypot(*np.moveaxis(affine, -1, 0)).max()


def test_shuffled_leaves_nobody_his_own(pairs):
    shuffled = Misregistered(pairs, "shuffled")
    owners = [int(sample["rgb"][0, 0, 0]) for sample in (shuffled[i] for i in range(9))]
    assert sorted(owners) == list(range(9)) and all(owner != i for i, owner in enumerate(owners))
    assert [int(shuffled[i]["nir"][0, 0, 0]) for i in range(9)] == list(range(9)) and shuffled[4]["id"] == "p4"
    assert torch.equal(shuffled[4]["mask"], pairs[owners[4]]["mask"])                  # the mask lies on rgb
    assert derange(9, 0) == derange(9, 0) != derange(9, 1) and derange(2, 5) == [1, 0]
    with pytest.raises(ValueError, match="at least two"):
        Misregistered(data.choose(pairs, ["p0"]), "shuffled")


def test_what_a_person_types(pairs):
    assert parse_misregistration("shift:16") == ("shift", 16) and parse_misregistration("homography:2.5") == ("homography", 2.5)
    assert parse_misregistration("elastic") == ("elastic", 4) and parse_misregistration("shuffled") == ("shuffled", 0)
    for text in ("swirl", "shift:", "shift:far", ""):
        with pytest.raises(ValueError, match="is no misregistration: write one of shift, affine"):
            parse_misregistration(text)
    for text in ("shift:1.5", "shift:-1", "shuffled:3", "elastic:nan", "affine:inf"):
        with pytest.raises(ValueError, match="is no amount for"):
            parse_misregistration(text)
    with pytest.raises(ValueError, match="kind is 'swirl'"):
        Misregistered(pairs, "swirl", 1)
    grey = Packed(pairs.rgb, pairs.ids)
    with pytest.raises(ValueError, match="samples hold rgb and nir"):
        Misregistered(grey, "shift", 1)


# ---------------------------------------------------------------- trainings on them

@pytest.fixture
def workshop(tmp_path, monkeypatch):
    """A tiny method to train in an empty folder, on few scenes, and results that go nowhere else."""
    empty_workshop(tmp_path, monkeypatch)
    monkeypatch.setitem(scgan.VARIANTS["scgan_infrared"], "smoke", TINY)
    return tmp_path


def test_training_sees_moved_pairs_and_says_so(workshop, monkeypatch):
    seen, make = [], scgan.make_step
    monkeypatch.setattr(scgan, "make_step", lambda config, fabric, dataset, *rest: seen.append(dataset) or make(config, fabric, dataset, *rest))
    path = experiments.train_method("scgan_infrared", spec="scenes:12", device="cpu", misregister="shift:2", progress=False)
    assert (seen[0].kind, seen[0].amount) == ("shift", 2) and not torch.equal(seen[0][0]["rgb"], seen[0].dataset[0]["rgb"])
    assert zoo.read_sidecar(path)["misregister"] == "shift:2"
    with pytest.raises(ValueError, match="another configuration"):         # no going on with other data
        experiments.train_method("scgan_infrared", spec="scenes:12", device="cpu", misregister="shift:3", progress=False)
    with pytest.raises(ValueError, match="koalarization sees no infrared"):
        experiments.train_method("koalarization", spec="scenes:12", misregister="shift:2")
    with pytest.raises(ValueError, match="'swirl' is no misregistration"):
        experiments.train_method("scgan_infrared", spec="scenes:12", misregister="swirl")


def test_training_on_the_command_line(workshop, capsys):
    train = ["train", "scgan_infrared", "--data", "scenes:12", "--device", "cpu", "--save", "w.safetensors"]
    assert cli.main([*train, "--misregister", "shuffled"]) == 0
    assert json.loads((workshop / "w.json").read_text())["misregister"] == "shuffled"
    assert cli.main([*train, "--run", "plain"]) == 0
    assert "misregister" not in json.loads((workshop / "w.json").read_text())
    assert cli.main(["train", "koalarization", "--misregister", "shift:1"]) == 1
    assert "colorlib: koalarization sees no infrared, so there is nothing to misregister: leave it out." in capsys.readouterr().err


def test_rows_are_measured_once(workshop, monkeypatch, capsys):
    trained, train_method = [], experiments.train_method
    note = lambda *args, **options: trained.append(options["misregister"]) or train_method(*args, **options)
    monkeypatch.setattr(experiments, "train_method", note)
    options = dict(methods=("scgan_infrared",), kinds=("shift:0", "shuffled"), seeds=2, spec="scenes:12", device="cpu", limit=3, progress=False)
    lines = list(misregistration_curves.run(**options))
    assert len(lines) == 4 and lines[0].startswith("scgan_infrared: shift:0, seed 0: PSNR ")
    assert trained == ["shift:0", "shift:0", "shuffled", "shuffled"]
    rows = results.read("misregistration")
    assert [(row["misregister"], row["seed"], row["n"], row["dataset"], row["steps"]) for row in rows] == [
        (kind, seed, 3, "scenes:12 val", 3) for kind in ("shift:0", "shuffled") for seed in (0, 1)]
    assert all(row["psnr"] > 3 and -1 < row["ssim"] < 1 and 0 < row["ae"] < 90 for row in rows) and len({row["psnr"] for row in rows}) == 4
    assert len({row["split_hash"] for row in rows}) == 1                   # tests stay registered, and the same
    assert cli.main(["misregister", "scgan_infrared", "--kinds", "shuffled", "shift:1", "--seeds", "1", "--data", "scenes:12", "--device", "cpu",
                     "--limit", "3"]) == 0
    assert trained[4:] == ["shift:1"]
    printed = capsys.readouterr().out
    assert printed.count("\nscgan_infrared:") + printed.startswith("scgan_infrared:") == 1 and "| scgan_infrared | shuffled | 2 |" in printed
    list(misregistration_curves.run(**options | {"kinds": ("shift:0",), "seeds": 1, "changes": {"steps": 2}}))
    assert trained[5:] == ["shift:0"]                                      # another configuration is another row


def test_what_cannot_be_misregistered_is_refused_first(workshop, capsys):
    for methods, kinds, sentence in ((("scgan_infrared", "koalarization"), ("shift:0",), "koalarization sees no infrared"),
                                     (("scgan_infrared",), ("shift:0", "swirl"), "'swirl' is no misregistration"),
                                     (("magic",), ("shift:0",), "no method 'magic'")):
        with pytest.raises(ValueError, match=sentence):
            next(misregistration_curves.run(methods, kinds, spec="scenes:12"))
    assert cli.main(["misregister", "koalarization"]) == 1 and capsys.readouterr().err.count("\n") == 1
    assert not (workshop / "runs").exists()


def add_row(method, kind, seed, psnr, dataset="x val"):
    results.append("misregistration", {"method": method, "variant": kind, "misregister": kind, "seed": seed, "size": "class", "dataset": dataset,
                                       "psnr": psnr, "ssim": psnr / 100, "ae": 90 - psnr})


def test_figure_and_table(workshop):
    with pytest.raises(ValueError, match="No misregistration was measured at size class"):
        misregistration_curves.draw()
    add_row("a", "shift:0", 0, 99.0, "old val")
    for method, kind, values in (("a", "shift:4", (17, 18)), ("a", "shift:0", (20, 22)), ("a", "shuffled", (11, 13)), ("b", "shift:0", (15, 17))):
        for seed, psnr in enumerate(values):
            add_row(method, kind, seed, psnr)
    add_row("a", "shift:0", 0, 21.0)                                       # measured again
    left, right = misregistration_curves.draw().axes                       # b was measured at one shift only, no curve
    lines = {line.get_label(): line.get_xydata().tolist() for line in left.get_lines()}
    assert lines == {"a": [[0, 21.5], [4, 17.5]]} and left.get_title() == "x val" and left.get_ylabel() == "PSNR ↑"
    assert [text.get_text() for text in right.get_xticklabels()] == ["shuffled"]
    spread, mean = (line.get_ydata().tolist() for line in right.get_lines())
    assert spread == [11, 13] and mean == [12]
    assert misregistration_curves.draw(metric="ae").axes[0].get_lines()[0].get_ydata().tolist() == [68.5, 72.5]
    assert misregistration_curves.draw(dataset="old val").axes[0].get_lines()[0].get_ydata().tolist() == [99]
    head, _, *lines = misregistration_curves.table().splitlines()
    assert head == "| system | trained on | seeds | PSNR ↑ | SSIM ↑ | AE ° ↓ |" and lines == [
        "| a | shift:0 | 2 | 21.50 ± 0.50 | 0.215 ± 0.005 | 68.50 ± 0.50 |", "| a | shift:4 | 2 | 17.50 ± 0.50 | 0.175 ± 0.005 | 72.50 ± 0.50 |",
        "| a | shuffled | 2 | 12.00 ± 1.00 | 0.120 ± 0.010 | 78.00 ± 1.00 |", "| b | shift:0 | 2 | 16.00 ± 1.00 | 0.160 ± 0.010 | 74.00 ± 1.00 |"]
