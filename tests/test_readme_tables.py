"""Tables that readers see are what the CSV files render now: those of the pages between their markers, those of notebook 09 in its stored outputs."""
import ast
import contextlib
import io
import json
import shutil
from pathlib import Path

import pytest

from colorlib import results
from colorlib.experiments import leaderboard
from colorlib.results import readme, survey, survey_cards

ROOT = Path(__file__).parents[1]
NOTEBOOK = ROOT / "notebooks" / "09_survey.ipynb"


def section(text, marker):
    begin, end = f"<!-- {marker}:begin -->", f"<!-- {marker}:end -->"
    return text[text.index(begin) + len(begin):text.index(end)].strip()


def cells():
    """[(source, Markdown it stores)] of the setup cell and of every cell that shows a table."""
    found = []
    for cell in json.loads(NOTEBOOK.read_text())["cells"]:
        if cell["cell_type"] == "code":
            stored = ["".join(output["data"]["text/markdown"]) for output in cell["outputs"] if "text/markdown" in output.get("data", {})]
            if stored or "setup" in cell["metadata"].get("tags", []):
                found.append(("".join(cell["source"]), "".join(stored)))
    return found


def shown(source, scope):
    """The Markdown that a cell's last line gives."""
    tree = ast.parse(source)
    last = tree.body.pop().value if isinstance(tree.body[-1], ast.Expr) else ast.Constant(None, lineno=0, col_offset=0)
    with contextlib.redirect_stdout(io.StringIO()):
        exec(compile(tree, "cell", "exec"), scope)
        return getattr(eval(compile(ast.Expression(last), "cell", "eval"), scope), "data", "")


@pytest.mark.parametrize("page, marker", [(page, marker) for page, sections in readme.PAGES.items() for marker in sections])
def test_pages_show_what_the_files_hold(page, marker):
    assert section((ROOT / page).read_text(encoding="utf-8"), marker) == readme.PAGES[page][marker]().strip(), \
        f"{page} differs from data/results: run `python -m colorlib reproduce survey --size class`"


def test_numbers_of_pictures_in_words_are_those_of_the_rows():
    """How it was measured, in data/results/README.md, says how many pictures; the rows know."""
    text = (ROOT / "data" / "results" / "README.md").read_text(encoding="utf-8").partition("## How it was measured")[2].partition("\n## ")[0]
    said = {"koalarization": "1,944", "scgan": "1,944", "automatic": "400", "hints": "400", "references": "400", "language": "1,594", "infrared": "31"}
    for table, count in said.items():
        known = {row["n"] for row in results.latest(table, size="class") if row["dataset"] in ("imagenette val", "vcip2020 val")}
        assert f" {count} " in text and int(count.replace(",", "")) in known, (table, known)


def test_the_first_page_names_the_best_method_and_links_its_card():
    table = [[cell.strip() for cell in line.strip("|").split("|")] for line in readme.shipped().splitlines() if line.startswith("|")]
    lines = [line for line in table if line[0].startswith("[")]
    assert len(lines) > 5 and {len(line) for line in table} == {len(table[0])}
    full = readme.leaderboards().partition(leaderboard.TITLES["shipped"])[2].splitlines()
    for line in lines:
        name, target = line[0].strip("[)").split("](")
        assert (ROOT / target).exists() and any(row.startswith(f"| {name} |") and all(f"| {cell}" in row for cell in line[1:-1]) for row in full), line


def test_the_notebook_shows_what_the_files_and_the_code_hold(monkeypatch):
    monkeypatch.chdir(NOTEBOOK.parent)
    (setup, _), *tables = cells()
    scope = {}
    shown(setup, scope)
    assert len(tables) > 20
    for source, stored in tables:
        assert shown(source, scope) == stored, f"notebook 09 differs from the files, regenerate it as CONTRIBUTING.md says: {source}"


def test_every_table_of_the_survey_stands_in_the_notebook():
    stored = [text for _, text in cells() if text]
    for render in (*survey.TABLES.values(), *(lambda name=name: survey_cards.card(name) for name in survey_cards.CARDS)):
        assert render() in stored
    for render in (readme.leaderboards, readme.conditions):
        assert (render() or "*not measured yet*") in stored


def test_a_changed_row_shows(tmp_path, monkeypatch):
    """What the tests above compare does follow the files."""
    before, card = readme.chapters(), survey_cards.card("koalarization")
    shutil.copytree(ROOT / "data" / "results", tmp_path / "results")
    monkeypatch.setenv("COLORLIB_RESULTS", str(tmp_path / "results"))
    assert readme.chapters() == before
    row = next(row for row in reversed(results.read("koalarization")) if row["variant"] == "true embedding" and row["size"] == "class")
    results.append("koalarization", row | {"psnr": row["psnr"] + 1, "date": "2099-01-01T00:00:00Z"})
    changed = [(old, new) for old, new in zip(before.splitlines(), readme.chapters().splitlines()) if old != new]
    assert len(changed) == 1 and f"{row['psnr'] + 1:.2f}" in changed[0][1]
    assert f"{row['psnr'] + 1:.2f}" in survey_cards.card("koalarization") and f"{row['psnr'] + 1:.2f}" not in card


def test_pages_are_written_between_their_markers(tmp_path):
    (tmp_path / "data" / "results").mkdir(parents=True)
    for page, sections in readme.PAGES.items():
        (tmp_path / page).write_text("above\n" + "".join(f"<!-- {marker}:begin -->\nobsolete\n<!-- {marker}:end -->\nkept {marker}\n" for marker in sections))
    assert readme.write(tmp_path) == [tmp_path / page for page in readme.PAGES]
    for page, sections in readme.PAGES.items():
        text = (tmp_path / page).read_text(encoding="utf-8")
        assert "obsolete" not in text and text.startswith("above\n") and all(f"kept {marker}" in text for marker in sections)
    assert section(text, "results") == readme.chapters().strip() != ""


def test_cards():
    assert "| FiLM | MSCOCO validation (published) | 23.7 | 60.5 |" in survey_cards.card("film")
    assert survey_cards.card("scgan").count("(published)") == 0
    for name, card in survey_cards.CARDS.items():
        ours = [row["method"] for row in results.latest(card.results, size="class", dataset=card.dataset)]
        assert all(label.partition(" (")[0] in ours for label in card.rows), f"{name} names rows that nobody measured"
    with pytest.raises(ValueError, match="The survey has no system 'nothing'"):
        survey_cards.card("nothing")
