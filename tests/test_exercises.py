"""Every exercise runs unanswered, accepts its solution and refuses a wrong answer."""
import contextlib
import importlib.util
import io
import json
import re
from pathlib import Path

import numpy as np
import pytest

from colorlib.exercises import check

ROOT = Path(__file__).parents[1]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("[0-9][0-9]_*.ipynb"))


def tagged(notebook, tag):
    cells = json.loads(notebook.read_text())["cells"]
    return ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code" and tag in cell["metadata"].get("tags", [])]


def solutions(notebook):
    path = ROOT / "tests" / "solutions" / f"{notebook.name[:2]}.py"
    spec = importlib.util.spec_from_file_location(f"solutions_{notebook.name[:2]}", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.SOLUTIONS


def printed(setup, cell):
    out, scope = io.StringIO(), {}
    with contextlib.redirect_stdout(out):
        exec(setup, scope)
        out.truncate(0), out.seek(0)
        exec(cell, scope)
    return out.getvalue().strip()


def number_of(cell):
    return re.search(r'check\("([^"]+)"', cell).group(1)


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_exercises_of(notebook, monkeypatch):
    monkeypatch.chdir(notebook.parent)
    (setup,), cells, answers = tagged(notebook, "setup"), tagged(notebook, "exercise"), solutions(notebook)
    assert 3 <= len(cells) <= 5, "three to five exercises a chapter"
    assert [number_of(cell) for cell in cells] == list(answers), "one solution an exercise, in order"
    for cell in cells:
        number = number_of(cell)
        assert cell.count("answer = None") == 1, f"{number}: an exercise cell holds one line `answer = None`"
        assert printed(setup, cell) == f"{number}: not answered yet"
        solved = re.sub(r"answer = None.*", lambda _: answers[number], cell)
        assert printed(setup, solved) == f"{number}: correct"
        wrong = re.sub(r"answer = None.*", 'answer = "surely wrong"', cell)
        assert printed(setup, wrong).startswith(f"{number}: not yet")


def test_check():
    assert check("1.1", None, 3) == "1.1: not answered yet"
    assert check("1.1", 3.001, 3) == "1.1: correct" and check("1.1", 3.2, 3, hint="count again") == "1.1: not yet; count again"
    assert check("1.1", np.array([1, 2]), np.array([1.0, 2.005])).endswith("correct") and check("1.1", [1], np.array([1, 2])).endswith("look again")
    assert check("1.1", "b", "b").endswith("correct") and check("1.1", "x", 3).endswith("look again")
    assert check("1.1", False, True).endswith("look again") and check("1.1", 0, 0).endswith("correct")
