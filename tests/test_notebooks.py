"""What every notebook must be before nbval looks at it: run, clean, short, and built on one skeleton."""
import json
import re
from pathlib import Path

import pytest

NOTEBOOKS = sorted((Path(__file__).parents[1] / "notebooks").glob("*.ipynb"))
TAGS = {"elsewhere", "nbval-ignore-output", "nbval-skip", "skip-execution", "setup", "exercise"}
MIMES = {"text/plain", "text/markdown", "image/png", "application/vnd.jupyter.widget-view+json"}
HEADINGS = ["## Setup", "## 1 The idea", "## 2 Look at the data", "## 7 Exercises", "## What to remember", "## References"]
MAX_LINES, MAX_BYTES = 30, 1.2 * 2 ** 20


@pytest.fixture(params=NOTEBOOKS, ids=lambda path: path.stem)
def notebook(request):
    return request.param, json.loads(request.param.read_text())


def code(content):
    return [cell for cell in content["cells"] if cell["cell_type"] == "code"]


def text(content):
    return "\n".join("".join(cell["source"]) for cell in content["cells"] if cell["cell_type"] == "markdown")


def test_there_are_notebooks_and_their_names_are_numbered():
    numbers = [path.name[:2] for path in NOTEBOOKS]
    assert numbers and all(number.isdigit() for number in numbers) and len(set(numbers)) == len(numbers)
    assert all(path.name[2] == "_" for path in NOTEBOOKS), "NN_slug.ipynb"


def test_every_cell_was_run_in_order(notebook):
    path, content = notebook
    counts = [cell["execution_count"] for cell in code(content) if "nbval-skip" not in cell["metadata"].get("tags", [])]
    assert counts == list(range(1, len(counts) + 1)), f"{path.name}: regenerate it as CONTRIBUTING.md says"


def test_outputs_are_clean(notebook):
    _, content = notebook
    for cell in code(content):
        for output in cell["outputs"]:
            assert output["output_type"] != "error" and output.get("name") != "stderr", "".join(cell["source"])
            in_page = {"text/html"} if "nbval-ignore-output" in cell["metadata"].get("tags", []) else set()      # a player of clips
            assert set(output.get("data", {})) <= MIMES | in_page


def test_metadata(notebook):
    path, content = notebook
    assert content["metadata"]["kernelspec"]["name"] == "python3" and "widgets" not in content["metadata"]
    assert path.stat().st_size < MAX_BYTES
    for cell in code(content):
        assert set(cell["metadata"].get("tags", [])) <= TAGS


def test_cells_are_short_and_portable(notebook):
    _, content = notebook
    lengths = [len("".join(cell["source"]).splitlines()) for cell in code(content)]
    assert max(lengths) <= MAX_LINES and sorted(lengths)[len(lengths) // 2] <= 10
    for cell in code(content):
        assert not re.search(r"^\s*[!%]", "".join(cell["source"]), re.M), "no shell commands and no magics"
        assert "random.seed" not in "".join(cell["source"])


def test_most_cells_are_compared(notebook):
    _, content = notebook
    ignored = sum(bool({"nbval-ignore-output", "nbval-skip"} & set(cell["metadata"].get("tags", []))) for cell in code(content))
    assert ignored * 2 <= len(code(content))


def test_skeleton(notebook):
    path, content = notebook
    prose = text(content)
    assert prose.startswith(f"# {path.name[:2]} ") and prose.count("\n# ") == 0
    positions = [prose.find("\n" + heading) for heading in HEADINGS]
    assert all(position > 0 for position in positions) and positions == sorted(positions), dict(zip(HEADINGS, positions))
    assert "**You will**" in prose and "**Time**" in prose and "Recall" in prose


def test_results_are_rendered_not_typed(notebook):
    _, content = notebook
    assert not re.search(r"\d\d\.\d+ ?dB|(?<![\w.])0\.\d{3,}(?![\d.])", text(content)), "a measured number in prose rots: render it from the CSV"


def test_a_chapter_opens_elsewhere_and_hands_over_to_the_next(notebook):
    path, content = notebook
    first, prose = "".join(content["cells"][0]["source"]), text(content)
    assert f"(https://colab.research.google.com/github/colorlib/colorlib/blob/main/notebooks/{path.name})" in first
    assert f"(https://mybinder.org/v2/gh/colorlib/colorlib/main?labpath=notebooks%2F{path.name})" in first
    following = NOTEBOOKS[NOTEBOOKS.index(path) + 1:][:1]
    for other in following:
        assert f"Next: [{other.name[:2]} " in prose and f"]({other.name})" in prose, f"{path.name} must end with: Next: [{other.name[:2]} ...]({other.name})"


def test_one_table_grows_through_the_course(notebook):
    path, content = notebook
    assert any(f'course.so_far("{path.name[:2]}")' in "".join(cell["source"]) for cell in code(content))


def test_recall_questions_say_where_the_answer_stands(notebook):
    _, content = notebook
    questions = re.findall(r"^\d+\. .*$", text(content).split("**Recall.**")[1].split("## What to remember")[0], re.M)
    sections = set(re.findall(r"^## (\d) ", text(content), re.M))
    assert 6 <= len(questions) <= 10
    for question in questions:
        where = re.search(r"\((exercise \d\.\d|\d(?:, \d)*)\)$", question)
        assert where, f"{question!r} names no section"
        assert where[1].startswith("exercise") or set(where[1].split(", ")) <= sections, question


def test_every_code_cell_has_its_sentence(notebook):
    _, content = notebook
    kinds = [cell["cell_type"] for cell in content["cells"]]
    assert [index for index, pair in enumerate(zip(kinds, kinds[1:])) if pair == ("code", "code")] == [], "a sentence between two code cells"
