"""Certification: the golden numbers follow from DDColor's table; a folder made here is certified by a value worked out here."""
import re

import numpy as np
import pytest
import torch

from colorlib import __main__ as cli
from colorlib import metrics, results
from colorlib.experiments import certification, evaluators
from tests.data_samples import colorful, fill, save

COUNT = 4


@pytest.fixture(autouse=True)
def no_weights(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))


@pytest.fixture
def val5k(tmp_path):
    """The first pictures of a small made-up val5k, and one that is not of it."""
    return fill(tmp_path / "val", *(f"ILSVRC2012_val_{i:08d}.JPEG" for i in (*range(1, COUNT + 1), 49999)), height=300, width=410)


def truth_of(folder, geometry, kernel):
    names = [f"ILSVRC2012_val_{i:08d}.JPEG" for i in range(1, COUNT + 1)]
    square = [evaluators.fit_legacy(evaluators.decode(folder / name), geometry, kernel) for name in names]
    return metrics.colorfulness(square, signed=False).mean().item()


@pytest.mark.parametrize("split, value", [("val5k", 38.21), ("val50k", 39.09), ("coco", 38.24), ("ade20k", 35.04)])
def test_golden_values_follow_from_the_published_table(split, value):
    assert certification.golden(certification.SETS[split][0]) == value


def test_a_table_that_contradicts_itself_has_no_golden_value(tmp_path, monkeypatch):
    rows = ["system,metric,split,value,source", *(f"{system},{metric},s,{value},x" for system, metric, value in (
        ("A", "CF", 30), ("A", "dCF", 2), ("B", "CF", 31), ("B", "dCF", 0.5)))]
    (tmp_path / "data" / "paper_tables").mkdir(parents=True)
    (tmp_path / "data" / "paper_tables" / "ddcolor.csv").write_text("\n".join(rows) + "\n")
    monkeypatch.setattr(results, "repository", lambda: tmp_path)
    with pytest.raises(ValueError, match="allow 0 values for the truth"):
        certification.golden("s")


@pytest.mark.parametrize("kernel", evaluators.KERNELS)
def test_the_kernel_is_found(val5k, kernel):
    table, verdict, kept, left_out = certification.certify(val5k, "val5k", round(truth_of(val5k, "crop", kernel), 4), COUNT, progress=False)
    hits = re.search(r"certified, (.*) lands? on", verdict)[1]
    assert f"{kernel} (crop)" in hits
    assert len(table.splitlines()) == 2 + len(evaluators.KERNELS) and f"| {kernel} | {truth_of(val5k, 'crop', kernel):.4f} |" in table
    assert re.fullmatch(r"L kept: drift 0\.\d+ CIE units over 4 pictures, as rounding to 8 bits has it\.", kept) and left_out.startswith("Left out")


def test_what_does_not_land_is_said(val5k):
    truth = truth_of(val5k, "squash", "cv2 area")
    found = certification.measure(certification.find_pictures(val5k, "val5k", COUNT), progress=False)
    assert found["squash", "cv2 area"] == pytest.approx(truth)
    assert "but the set is published with crop" in certification.verdict(found, round(truth, 4), "crop", "x")
    assert certification.verdict({("crop", "a"): 30.0, ("squash", "b"): 31.0}, 30.6, "crop", "x") \
        == "x: not certified, nothing lands on 30.60; nearest is b (squash), 31.00."
    assert "certified, a (crop) and c (crop) land on 30.00" in certification.verdict({("crop", "a"): 30.001, ("crop", "c"): 29.999}, 30, "crop", "x")


def test_a_folder_that_is_not_the_set(val5k):
    with pytest.raises(ValueError, match=r"ILSVRC2012_val_00000001 to ILSVRC2012_val_00005000, but .* lacks 4,996 of these 5,000, the first is .*_00000005"):
        certification.find_pictures(val5k, "val5k")
    with pytest.raises(ValueError, match="ade20k has 2,000 pictures, but .* holds 5"):
        certification.find_pictures(val5k, "ade20k")
    with pytest.raises(ValueError, match="set is one of val5k, val50k, coco, ade20k"):
        next(certification.certify(val5k, "cifar"))


def test_a_merge_that_loses_lightness_is_noticed(monkeypatch):
    pictures = [colorful(i, 64, 64) for i in range(2)]
    assert "as rounding" in next(certification.check_pipeline(pictures))
    monkeypatch.setattr(certification.images, "merge_chroma", lambda L, ab: np.full((256, 256, 3), 120, np.uint8))
    assert "too much" in next(certification.check_pipeline(pictures))


def test_fid_of_the_truth_with_itself(monkeypatch):
    stand_in = torch.nn.Sequential(torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten())
    monkeypatch.setattr(evaluators, "feature_networks", lambda protocol: {"fid": stand_in} if protocol == "standard" else {})
    _, line = certification.check_pipeline([colorful(i, 64, 64) for i in range(5)])
    assert re.fullmatch(r"fid of the pictures with themselves: -?0\.0000, as it should be\.", line)


def test_the_command_line(val5k, capsys):
    assert cli.main(["certify", str(val5k), "--set", "val5k"]) == 1 and "lacks 4,996" in capsys.readouterr().err
    save(val5k / "more" / "x.png", colorful(9))
    assert cli.main(["certify", str(val5k), "--set", "coco"]) == 1 and "holds 6" in capsys.readouterr().err
