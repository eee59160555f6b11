"""The survey's tables are what the CSV files say, and nothing else."""
import re

import pytest
import safetensors.torch

from colorlib import results, zoo
from colorlib.experiments import evaluators
from colorlib.fooling import fooling_answers
from colorlib.results import survey


def grid(table):
    """A Markdown table as {first cell: {heading: cell}}; a label that comes twice keeps its first line. The text below is left out."""
    head, _, *body = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in table.split("\n\n")[0].splitlines()]
    found = {}
    for line in body:
        found.setdefault(line[0], dict(zip(head, line)))
    return found


@pytest.fixture
def shelf(tmp_path, monkeypatch):
    """An empty folder for our rows beside the real published tables, and no weights."""
    monkeypatch.setenv("COLORLIB_RESULTS", str(tmp_path / "results"))
    monkeypatch.setenv("COLORLIB_WEIGHTS", str(tmp_path / "weights"))
    return tmp_path


@pytest.mark.parametrize("name", survey.TABLES)
def test_every_published_number_is_in_its_table(shelf, name):
    """Without rows of ours the tables still stand, and say where each number was read."""
    table = survey.TABLES[name]()
    csv = {"language": "language", "infrared": "infrared", "hscau": "hscau_epochs", "horizon": "ddcolor"}[name]
    rows = [row for row in results.read_published(csv) if name != "infrared" or row["split"] in ("urban", "old building")]
    assert all(row["source"] in table.rpartition("Read in: ")[2] for row in rows)
    printed = [float(number) for number in re.findall(r"(?<![\w.])\d+\.?\d*(?:e-\d+)?", table)]
    assert not [row for row in rows if min(abs(row["value"] - number) for number in printed) > 0.0051]


def test_language(shelf):
    for method, variant, acc in (("constant bin", "", 35.0), ("film", "", 33.0), ("film", "no caption", 30.0), ("mean colour", "", None)):
        results.append("language", {"method": method, "variant": variant, "size": "class", "dataset": "scenes val", "acc@1": acc, "acc@5": acc and 60.0})
    table = survey.language_table("class")
    rows = grid(table)
    assert rows["FiLM"]["acc@1 % ↑"] == "23.7" and rows["film"]["acc@1 % ↑"] == "33.0" and rows["film"]["measured on"] == "scenes val"
    assert rows["film"]["plausibility % ↑"] == "—" and "no caption" not in table and "mean colour" not in table
    answer = dict(zip(fooling_answers.COLUMNS, ("Ann", "plausibility", "dog", "", "film | fcnn", "film", "", "2.0", "0", "0" * results.HASH_LENGTH)))
    fooling_answers.append_answer(shelf / "answers.csv", answer)
    with_class = survey.language_table("class", shelf / "answers.csv")
    assert "In our class" in with_class and "1 answer by 1 person" in with_class and with_class.startswith(table.split("\n\n")[0])


def test_infrared_says_who_wins():
    rows = [{"system": s, "metric": m, "split": split, "value": v} for s, m, split, v in (
        ("A", "ae", "x", 5.0), ("B", "ae", "x", 6.0), ("A", "ssim", "x", 0.8), ("B", "ssim", "x", 0.8))]
    assert survey.winner(rows).startswith("Best or level in 2 of 2 published columns: A, B in 1.")
    real = [row for row in results.read_published("infrared") if row["split"] in ("urban", "old building")]
    assert survey.winner(real).startswith("Best or level in 4 of 4 published columns: Stacked conditional GAN, ACGAN in 1.")


def test_hscau(shelf):
    rows = grid(survey.hscau_table())
    assert rows["hscau"]["epochs"] == "186" and rows["hscau"]["PSNR ↑"] == "31.39"
    results.append("hints", {"method": "grey", "size": "class", "dataset": "x val", "n": 7, "psnr": 23.0, "ssim": 0.9})
    for steps in (100, 300):
        results.append("hints", {"method": "hscau", "size": "class", "dataset": "x val", "n": 7, "psnr": 30 + steps / 100, "ssim": 0.9, "steps": steps, "batch": 32})
    results.append("hints", {"method": "hscau", "variant": "odd", "size": "class", "dataset": "x val", "n": 7, "psnr": 1.0})
    table = survey.hscau_table("class")
    assert "| grey | — | — | 23.00 | 0.900 | — | x val, 7 pictures |" in table and "| hscau | — | 300 | 33.00 |" in table and "odd" not in table
    path = zoo.weights_file("hscau", "class")
    path.parent.mkdir()
    path.write_bytes(safetensors.torch.save({}))
    path.with_suffix(".json").write_text('{"n": 3200, "log": [{"step": 90, "loss": 0.5}, {"step": 290, "loss": 0.25}]}')
    table = survey.hscau_table("class")
    assert "| hscau | 1.0 | 100 | 31.00 | 0.900 | 0.50000 |" in table and "| hscau | 3.0 | 300 | 33.00 | 0.900 | 0.25000 |" in table


def test_the_horizon(shelf):
    rows = grid(survey.horizon_table())
    assert list(rows)[:2] == ["truth", "grey"] and len(rows) == 12
    assert rows["truth"]["ImageNet val5k"] == "— / 38.21 / 0.00 / —" and rows["grey"]["ADE20K val"] == "— / 0.00 / 35.04 / —"
    assert rows["DDColor-L"]["ImageNet val5k"] == "3.92 / 38.26 / 0.05 / 23.85" and rows["CT2"]["COCO-Stuff val"] == "—"
    shared = {"size": "class", "dataset": "x val", "n": 1200, "protocol": "squares of 224 px", "colorfulness_abs_true": 36.0}
    for method, cf in (("scgan", 20.0), ("grey", 0.1), ("mean colour", 6.0)):
        results.append("legacy", {"method": method, "psnr": 24.0, "colorfulness_abs": cf, "colorfulness_abs_gap": 36 - cf} | shared)
    rows = grid(survey.horizon_table("class"))
    column = "ours: x val, 1,200 pictures, squares of 224 px"
    assert list(rows)[:3] == ["truth", "grey", "mean colour"] and list(rows)[-1] == "scgan"
    assert rows["truth"][column] == "— / 36.00 / 0.00 / —" and rows["grey"][column] == "— / 0.10 / 35.90 / 24.00"
    assert rows["scgan"][column] == "— / 20.00 / 16.00 / 24.00" and rows["scgan"]["ImageNet val5k"] == "—" and rows["CIC"][column] == "—"


def test_names_of_ours_are_columns_of_legacy():
    assert set(survey.OURS.values()) <= set(evaluators.LEGACY_METRICS)


def test_all_tables_in_one_file(shelf):
    text = survey.write("class").read_text()
    assert all(f"## {title}\n\n| system |" in text for title in survey.TITLES.values()) and list(survey.TITLES) == list(survey.TABLES)
    assert survey.horizon_table("class") in text


def test_the_file_beside_the_results_is_up_to_date(monkeypatch):
    """`data/results/survey-class.md` is what the CSV files say today: after a new row, `survey.write()`."""
    for name in ("RESULTS", "WEIGHTS"):
        monkeypatch.delenv(f"COLORLIB_{name}", raising=False)
    path = results.repository() / "data" / "results" / "survey-class.md"
    assert path.read_text().rstrip() == "\n\n".join(f"## {survey.TITLES[name]}\n\n{table('class')}" for name, table in survey.TABLES.items())
