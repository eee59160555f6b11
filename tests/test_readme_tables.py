"""Tables that readers see are what the CSV files render now: those of README between their markers, those of notebook 09 in its stored outputs."""
import ast
import contextlib
import io
import json
import shutil
from pathlib import Path

import pytest

from colorlib import readme, results, survey, survey_cards

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


@pytest.mark.parametrize("marker", readme.SECTIONS)
def test_readme_shows_what_the_files_hold(marker):
    assert section((ROOT / "README.md").read_text(), marker) == readme.SECTIONS[marker]().strip(), \
        "README differs from data/results: run `python -m colorlib reproduce survey --size class`"


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


def test_readme_is_written_between_its_markers(tmp_path):
    page = tmp_path / "README.md"
    page.write_text("above\n" + "".join(f"<!-- {marker}:begin -->\nobsolete\n<!-- {marker}:end -->\nkept {marker}\n" for marker in readme.SECTIONS))
    readme.write(page)
    text = page.read_text()
    assert "obsolete" not in text and text.startswith("above\n") and all(f"kept {marker}" in text for marker in readme.SECTIONS)
    assert section(text, "results") == readme.chapters().strip() != ""


def test_cards():
    assert "| FiLM | MSCOCO validation (published) | 23.7 | 60.5 |" in survey_cards.card("film")
    assert survey_cards.card("scgan").count("(published)") == 0
    for name, card in survey_cards.CARDS.items():
        ours = [row["method"] for row in results.latest(card.results, size="class", dataset=card.dataset)]
        assert all(label.partition(" (")[0] in ours for label in card.rows), f"{name} names rows that nobody measured"
    with pytest.raises(ValueError, match="The survey has no system 'nothing'"):
        survey_cards.card("nothing")
