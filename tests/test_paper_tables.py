"""The published numbers: every one has a source, none is typed twice with two values, and tables agree with themselves where they must."""
import re
from pathlib import Path

import pytest

from colorlib import results
from colorlib.experiments import certification

FOLDER = Path(results.__file__).resolve().parents[2] / "data" / "paper_tables"
NAMES = sorted(path.stem for path in FOLDER.glob("*.csv"))
UNSURE = re.compile(r"memory|unverified|\?|third-party notes", re.IGNORECASE)
SHARES = {"ssim": 1, "lpips": 1, "acc@1": 100, "acc@5": 100, "top1": 100, "top5": 100, "plausibility": 100, "quality": 100, "manipulation": 100,
          "judged real %": 100, "ae": 180, "cosine": 1}


def of(name, **where):
    return [row for row in results.read_published(name) if all(row[key] == value for key, value in where.items())]


def test_the_tables_are_there():
    assert {"automatic_systems", "ddcolor", "ddcolor_ablation", "hint_systems", "hints", "hscau_epochs", "infrared", "infrared_systems", "koalarization_user_study",
            "language", "line_art_video", "reference_systems", "video", "video_systems", "zhang2017_hint_curve"} <= set(NAMES)
    assert not any("scgan" in row["system"].lower() or "gray2color" in row["system"].lower() for name in NAMES for row in of(name))      # none is verified


@pytest.mark.parametrize("name", NAMES)
def test_every_number_has_a_source(name):
    rows = of(name)
    assert rows and all(row["system"] and row["metric"] and row["split"] and len(row["source"]) > 5 for row in rows)
    assert not [row for row in rows if UNSURE.search(row["source"]) or UNSURE.search(row["note"])]
    assert all(text == text.strip() for row in rows for key, text in row.items() if key != "value")
    assert all(0 <= row["value"] <= SHARES[row["metric"]] for row in rows if row["metric"] in SHARES)


def test_nothing_is_typed_twice():
    """One system, metric and split has one number, in one table."""
    seen = {}
    for name in NAMES:
        for row in of(name):
            key = tuple(row[column].lower() for column in ("system", "metric", "split"))
            assert key not in seen, f"{key} stands in {seen[key]} and {name}"
            seen[key] = name


def test_ddcolor_is_one_truth_a_set():
    """CF and its distance from the truth: all rows of a column mean one truth, to the hundredth (37 pairs)."""
    rows = {(row["system"], row["metric"], row["split"]): row["value"] for row in of("ddcolor")}
    pairs = [(value, rows[system, "dCF", split], split) for (system, metric, split), value in rows.items() if metric == "CF"]
    assert len(pairs) == 37 and len(rows) == 37 * 4 + 10
    for cf, gap, split in pairs:
        assert min(abs(cf - gap - certification.golden(split)), abs(cf + gap - certification.golden(split))) < 0.005


def test_ddcolor_agrees_with_its_ablation():
    assert of("ddcolor_ablation", system="100 queries")[0]["value"] == of("ddcolor", system="DDColor-L", metric="fid", split="ImageNet val5k")[0]["value"]


def test_plausibility_is_one_vote_among_three():
    assert sum(row["value"] for row in of("language", metric="plausibility")) == pytest.approx(100, abs=0.11)


def test_the_user_study_is_its_pictures_mean():
    pictures = [row["value"] for row in of("koalarization_user_study") if row["metric"].startswith("judged real % of picture")]
    printed, = of("koalarization_user_study", system="Deep Koalarization 2017", metric="judged real %")
    assert sum(pictures) / len(pictures) == pytest.approx(printed["value"], abs=0.01)


def test_more_hints_never_hurt():
    for name, system in (("zhang2017_hint_curve", "siggraph17"), ("hint_systems", "siggraph17, retrained in PyTorch")):
        curve = [row["value"] for row in sorted(of(name, system=system), key=lambda row: int(row["split"].split()[0]))]
        assert len(curve) > 20 and curve == sorted(curve)
