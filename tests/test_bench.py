"""The benchmark's frame: contestants take turns, rows are written with the machine they were measured on, authors' code is found and forgotten."""
import sys
import types
from dataclasses import replace

import pytest
import torch

from colorlib import __main__ as cli
from colorlib import bench, results, train
from colorlib.bench import official, speeds, train_eccv16
from colorlib.papers import cic


@pytest.fixture
def one_kind(monkeypatch, tmp_path):
    """A benchmark of one kind with two variants; rows go to a temporary folder."""
    monkeypatch.setenv("COLORLIB_RESULTS", str(tmp_path))
    module = types.ModuleType("colorlib.bench.toy")
    module.VARIANTS = {"quick": lambda rounds, device: bench.race({"ours": lambda: None, "peer": lambda: torch.rand(200, 200)}, rounds or 2, device, pictures=4, notes={"peer": "a note"}),
                       "needs a GPU": lambda rounds, device: []}
    monkeypatch.setitem(sys.modules, "colorlib.bench.toy", module)
    monkeypatch.setattr(bench, "KINDS", {"toy": "toy"})


def test_contestants_take_turns():
    called = []
    times = bench.time_in_turns({name: lambda name=name: called.append(name) for name in "ab"}, 3)
    assert called == list("ab" * 4)                                                       # one round to warm up
    assert times.keys() == {"a", "b"} and all(0 <= low <= median <= high for median, low, high in times.values())


def test_a_race():
    threads = torch.get_num_threads()
    seen = []
    rows = bench.race({"ours": lambda: seen.append(torch.get_num_threads()), "peer": lambda: sum(range(20000))}, 3, pictures=2)
    assert set(seen) == {1} and torch.get_num_threads() == threads
    assert [row["method"] for row in rows] == ["ours", "peer"] and rows[0]["ratio"] == 1
    assert rows[1]["ratio"] == pytest.approx(rows[1]["median_ms"] / rows[0]["median_ms"]) and rows[1]["pictures_per_s"] == pytest.approx(2000 / rows[1]["median_ms"])


def test_rows_are_printed_and_kept(one_kind, capsys):
    assert cli.main(["bench", "--rounds", "4"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "toy: quick" and lines[1].startswith("| contestant | threads | median ms |") and "a note" in lines[4]
    rows = results.read(bench.FILE)
    assert [(row["kind"], row["variant"], row["method"], row["n"]) for row in rows] == [("toy", "quick", "ours", 4), ("toy", "quick", "peer", 4)]
    assert all(row["machine"] and row["commit"] and row["torch"] and row["low_ms"] <= row["median_ms"] <= row["high_ms"] for row in rows)
    assert cli.main(["bench", "toy", "--only", "quick", "--dry-run"]) == 0 and len(results.read(bench.FILE)) == 2


def test_the_newest_run_is_shown_by_races(monkeypatch, tmp_path):
    monkeypatch.setenv("COLORLIB_RESULTS", str(tmp_path))
    assert speeds.table() == ""
    row = lambda method, ratio, ms, date, **more: results.append(bench.FILE, {"kind": "infer", "variant": "folder", "machine": "a laptop", "date": date, "method": method, "ratio": ratio,
                                                                              "median_ms": ms, "pictures_per_s": 1e3 / ms} | more)
    row("ours", 1, 10, "2026-01-01"), row("gone", 3, 30, "2026-01-01")
    row("ours", 1, 20, "2026-02-01", pictures_per_s=3100.0), row("peer", 1.5, 30, "2026-02-01", notes="a note"), row("ours, small", 1, 1500, "2026-02-01"), row("other", 0.5, 750, "2026-02-01")
    title, _, head, _, *lines = speeds.table().splitlines()
    assert title == "On a laptop" and head.startswith("|  | ours | takes | the other |")
    assert lines == ["| Colouring: folder | ours | 20 ms, 3,100 pictures/s | peer | 30 ms | **1.50** | a note |", "| Colouring: folder | ours, small | 1.5 s | other | 750 ms | 0.50 |  |"]


def test_names_that_are_not_known(one_kind, capsys):
    assert cli.main(["bench", "speed"]) == 1 and "There is no benchmark 'speed': choose one of toy." in capsys.readouterr().err
    assert cli.main(["bench", "--only", "slow"]) == 1 and "'slow' is not measured by toy: choose one of quick, needs a GPU." in capsys.readouterr().err


def test_the_machine_is_named():
    assert "cores" in bench.machine() and len(bench.machine()) > 10


def test_authors_code(tmp_path, monkeypatch):
    monkeypatch.delenv(official.FOLDER, raising=False)
    assert official.find("them/their-code", "network.py") is None
    monkeypatch.setenv(official.FOLDER, str(tmp_path))
    assert official.find("them/their-code", "network.py") is None
    folder = tmp_path / "them+their-code"
    folder.mkdir()
    with pytest.raises(ValueError, match="has no network.py: clone them/their-code there anew"):
        official.find("them/their-code", "network.py")
    (folder / "network.py").write_text("import helper\nvalue = helper.value")
    (folder / "helper.py").write_text("value = 7")
    found, commit = official.find("them/their-code", "network.py")
    assert found == folder and commit
    path = list(sys.path)
    with official.modules(folder, "network") as (network,):
        assert network.value == 7
    assert sys.path == path and not {"network", "helper"} & set(sys.modules)


def test_eccv16(monkeypatch):
    """The two forms of its step compute the same loss; the arithmetic is counted; the profile's shares make a whole."""
    monkeypatch.setattr(train_eccv16, "SIDE", 64)
    small = replace(cic.PAPER, width=2)
    (ours, *_, dense) = rows = train_eccv16.update(1, config=small)
    assert [row["method"] for row in rows] == ["colorlib, bfloat16", "colorlib, float32", "dense labels, float32"] and "TFLOP/s" in dense["notes"]
    assert sum(int(word.strip("%,")) for word in ours["notes"].split() if "%" in word) in range(97, 104) and "convolutions" in ours["notes"]
    assert train_eccv16.forward_operations(cic.PAPER, 1) == pytest.approx(83.544e9 / 16, rel=1e-3)      # published: 83.6 GFLOP at 256 px
    batch = {"rgb": torch.randint(0, 256, (2, 3, 64, 64), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))}
    losses = [step(small, train.make_fabric("cpu"), torch.full((313,), 1 / 313)).losses(batch)["loss"].item() for step in (cic.Step, train_eccv16.Dense)]
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)
