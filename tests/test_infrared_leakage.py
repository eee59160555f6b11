"""The measure of what a leaking split is worth: which pairs are on which side, and a run on a folder of crops."""
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from colorlib import results
from colorlib.experiments import infrared_leakage
from colorlib.papers import pix2pix

GROUPS = {f"{photo}_{side}": photo for photo in "abcdef" for side in ("left", "right")} | {f"single{i}": f"single{i}" for i in range(6)}


def test_only_the_leak_differs():
    tested, rows = infrared_leakage.split_twins(GROUPS, count=3)
    photos = {GROUPS[one] for one in tested}
    apart, leaky = (rows[row] for row in infrared_leakage.ROWS)
    assert len(tested) == len(photos) == 3 and len(apart) == len(leaky) == len(set(leaky)) == 12
    assert not photos & {GROUPS[one] for one in apart} and sum(GROUPS[one] in photos for one in leaky) == 3
    assert not set(tested) & set(leaky) and infrared_leakage.split_twins(dict(reversed(GROUPS.items())), count=3) == (tested, rows)
    with pytest.raises(ValueError, match="Too few photographs have several crops"):
        infrared_leakage.split_twins({"a": "a", "b": "b"})


def test_a_run_on_a_folder_of_crops(tmp_path, monkeypatch):
    for name in ("RESULTS", "CACHE"):
        monkeypatch.setenv(f"COLORLIB_{name}", str(tmp_path / name.lower()))
    monkeypatch.setitem(pix2pix.VARIANTS["unet_infrared"], "smoke", replace(pix2pix.SMOKE, width=2, halvings=5, gan="none", batch_size=2, steps=2, image_size=32))
    rng, folder = np.random.default_rng(0), tmp_path / "crops"
    folder.mkdir()
    for i in range(6):
        wide = np.asarray(Image.fromarray(rng.integers(0, 256, (12, 18, 3), dtype=np.uint8)).resize((204, 136), Image.BICUBIC))
        for side, left in (("left", 0), ("right", 68)):
            Image.fromarray(wide[:, left:left + 136]).save(folder / f"{i}_{side}_rgb.png")
            Image.fromarray(wide[:, left:left + 136]).convert("L").save(folder / f"{i}_{side}_nir.png")
    monkeypatch.setattr(infrared_leakage.split_twins, "__defaults__", (2, 0))
    lines = list(infrared_leakage.run(folder, size="smoke", device="cpu", progress=False))
    rows = results.read(infrared_leakage.FILE)
    assert len(lines) == 2 and [row["variant"] for row in rows] == list(infrared_leakage.ROWS)
    assert rows[0]["split_hash"] == rows[1]["split_hash"] and rows[0]["n"] == 2 and rows[0]["trained_on"] == rows[1]["trained_on"] == 8
    assert rows[0]["psnr"] != rows[1]["psnr"] and "other crops" in infrared_leakage.table("smoke")
    with pytest.raises(ValueError, match="No leak was measured at size paper"):
        infrared_leakage.table("paper")
