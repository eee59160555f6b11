"""Benchmarks of loading and of several devices: that the loaders load what they say, and that the estimate follows from rows."""
import itertools
import json
import subprocess

import pytest
import torch

from colorlib import bench, data, results
from colorlib.bench import loading, scaling


@pytest.fixture
def small(monkeypatch):
    for name, value in {"FILES": 8, "BATCH": 2, "PER_SHARD": 4, "SIDES": (64, 48), "CROP": 32}.items():
        monkeypatch.setattr(loading, name, value)


def test_every_loader_gives_pictures(small):
    with loading.workshop() as folder:
        for name, make in loading.feeds(folder, 0).items():
            batch = next(feed := make())
            feed.close()
            pictures = batch["L"] if name.startswith("scikit") else batch if torch.is_tensor(batch) else batch["rgb"]
            channels, dtype = (1, torch.float32) if name.startswith("scikit") else (3, torch.uint8)
            assert pictures.shape == (2, channels, 32, 32) and pictures.dtype == dtype
        assert len({(folder / f"photos/{i:04d}.jpg").read_bytes() for i in range(8)}) == 8 and len(data.Shards(folder / "tars").urls) == 2
    assert not folder.exists()


def test_rows_of_one_core(small):
    rows = loading.one_core(rounds=1)
    assert [row["method"] for row in rows][:3] == ["colorlib, from the pack", "colorlib, with Lab", "colorlib, packing"] and len(rows) == 7
    assert all(row["pictures_per_s"] > 0 and "batches of 2 at 32 px" in row["notes"] for row in rows) and rows[0]["ratio"] == 1
    assert loading.feeding_a_gpu(device="cpu") == []
    assert 0 < loading.seconds_a_batch((i for i in itertools.count()), 2, 0.01) < 0.01


def test_groups_of_processes(monkeypatch):
    """What is read from the children, and what is said when they fail; they themselves are tried by the benchmark."""
    asked = []
    rows = [{"method": "1 process", "ratio": 1.0}]

    def run(command, **options):
        asked.append((command, options))
        return subprocess.CompletedProcess(command, len(asked) - 1, f"noise\n{json.dumps(rows)}\n", "a\nout of memory")
    monkeypatch.setattr(subprocess, "run", run)
    monkeypatch.setenv("LOCAL_RANK", "1")
    assert scaling.measure_group(2, 3, "cpu") == rows
    command, options = asked[0]
    assert command[1:] == ["-m", "colorlib.bench.scaling", "2", "3", "cpu"] and "LOCAL_RANK" not in options["env"]
    with pytest.raises(OSError, match="4 processes could not train together: out of memory"):
        scaling.measure_group(4, 3, "cpu")


def test_the_estimate_follows_from_rows(tmp_path, monkeypatch):
    monkeypatch.setenv("COLORLIB_RESULTS", str(tmp_path))

    def add(kind, method, rate, ratio=1.0, variant="one core"):
        results.append(bench.FILE, {"method": method, "variant": variant, "kind": kind, "pictures_per_s": rate, "ratio": ratio, "machine": "a machine"})
    assert scaling.gradient_bytes() == 4 * 32_235_385
    text = scaling.estimate()
    assert "No GPU was measured" in text and "not measured" in text and "hours" not in text
    add("loader", "colorlib, from the pack", 5000)
    add("loader", "colorlib, from tars", 250)
    text = scaling.estimate()
    assert "| 2,000 | 64 | 128,000 | 26 | 512 |" in text and "No GPU was measured" in text
    add("scaling", "1 GPU", 1000, variant="x")
    text = scaling.estimate()
    assert "nobody measured" in text and "| 8 | 8,000 | 0.7 | 2 | 32 |" in text and "No GPU" not in text
    add("scaling", "2 GPUs, batch each", 1600, 1.25, variant="x")
    assert "| 8 | 6,400 | 0.9 | 2 | 26 |" in scaling.estimate() and "2 of them work at 80 %" in scaling.estimate()
