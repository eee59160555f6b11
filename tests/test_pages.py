"""The Markdown pages: every link leads somewhere, every command is one, every file of the package is on its map, and README stays one page."""
import doctest
import importlib.util
import json
import re
import shlex
import sys
from pathlib import Path
from urllib.parse import unquote

import numpy as np
import pytest
from PIL import Image

from colorlib import __main__ as cli
from colorlib import papers, zoo
from tests.data_samples import colorful, empty_workshop

ROOT = Path(__file__).parents[1]
LEFT_OUT = {"runs", "downloads", "pages", "build", ".venv"}      # what .gitignore names
PAGES = sorted(path for path in ROOT.rglob("*.md") if not any(part in LEFT_OUT or part.startswith(".") for part in path.relative_to(ROOT).parts))
FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.M | re.S)
COMMANDS = cli.make_parser()._subparsers._group_actions[0].choices
LINK = re.compile(r"\]\(([^()\s]+)\)")


def prose(text):
    """A page without its blocks of code."""
    return FENCE.sub("", text)


def anchors(text):
    """What GitHub calls the headings of a page."""
    headings = [re.sub(r"[`*]|\[|\]\([^)]*\)", "", heading).strip().lower() for heading in re.findall(r"^#{1,6} (.+)$", prose(text), re.M)]
    return {re.sub(r"[^\w\- ]", "", heading).replace(" ", "-") for heading in headings}


@pytest.fixture(params=PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def page(request):
    return request.param, request.param.read_text(encoding="utf-8")


def test_every_folder_a_reader_opens_has_a_page():
    folders = [".", "notebooks", "colorlib", "colorlib/papers", "data", "data/results", "data/weights", "tests"]
    assert [folder for folder in folders if ROOT / folder / "README.md" not in PAGES] == []


def test_links_lead_somewhere(page):
    path, text = page
    broken = []
    for target in LINK.findall(prose(text)):
        if re.match(r"[a-z]+:", target):
            continue
        name, _, anchor = target.partition("#")
        file = (path.parent / unquote(name)) if name else path
        if not file.exists() or ROOT not in file.resolve().parents or (anchor and anchor not in anchors(file.read_text(encoding="utf-8"))):
            broken.append(target)
    assert broken == []


def test_pictures_say_what_they_show(page):
    _, text = page
    alts = re.findall(r"!\[([^\]]*)\]\(", text)
    assert all(len(alt) > 10 for alt in alts), alts


def commands(text):
    """The arguments of every `python -m colorlib` on a page: from blocks, and from code within a line, where a command's name alone may stand for it."""
    lines = [line for kind, block in FENCE.findall(text) if kind in ("bash", "powershell", "") for line in block.splitlines()]
    for code in [*lines, *re.findall(r"`([^`\n]+)`", prose(text))]:
        if found := re.search(r"(?:^|\s|/)python -m colorlib(?=\s|$)(.*)", code):
            arguments = shlex.split(found[1], comments=True)
            if len(arguments) > 1 or code in lines or arguments and arguments[0] not in COMMANDS:
                yield arguments


def test_commands_are_commands(page, capsys):
    _, text = page
    for arguments in commands(text):
        if not arguments:
            continue      # which shows the help
        try:
            options = cli.parse(arguments)
        except SystemExit as end:
            assert end.code == 0, f"python -m colorlib {shlex.join(arguments)}: {capsys.readouterr().err}"
            continue
        name = getattr(options, "method", None)
        assert name in (None, "best", "METHOD", "survey", "all", *zoo.METHODS), arguments


def test_blocks_of_python_can_be_read(page):
    path, text = page
    for kind, block in FENCE.findall(text):
        if kind in ("python", "py"):
            compile(block, str(path), "exec")


def test_every_command_is_in_the_table():
    table = (ROOT / "colorlib" / "README.md").read_text(encoding="utf-8").partition("## The command line")[2].partition("\n## ")[0]
    assert set(re.findall(r"^\| `python -m colorlib (\w+)", table, re.M)) == set(COMMANDS)


def test_every_file_of_the_package_is_on_the_map():
    listed = set()
    for page in (ROOT / "colorlib" / "README.md", ROOT / "colorlib" / "papers" / "README.md"):
        listed |= {(page.parent / target).resolve() for target in LINK.findall(page.read_text(encoding="utf-8")) if target.endswith(".py")}
    files = {path.resolve() for path in (ROOT / "colorlib").rglob("*.py")} - {(ROOT / "colorlib" / "papers" / "__init__.py").resolve()}
    assert sorted(str(path.relative_to(ROOT)) for path in files - listed) == []


def test_every_method_is_beside_its_paper():
    text = (ROOT / "colorlib" / "papers" / "README.md").read_text(encoding="utf-8")
    rows = {re.match(r"\| \[(\w+)\.py\]", line)[1]: [cell.strip() for cell in line.split("|")] for line in text.splitlines() if line.startswith("| [")}
    for method in zoo.METHODS.values():
        cells = rows[method.module]
        assert method.name in cells[3].split(", ") and f"notebooks/{method.notebook}" in cells[4], method.name


def test_readme_is_one_page():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    words = re.findall(r"[A-Za-z]{2,}", re.sub(r"\]\([^)]*\)", "]", text))
    assert len(text.splitlines()) <= 160 and len(words) <= 1000


def test_the_two_commands_of_readme():
    """The second is what `.ci/run` looks for; the first opens a notebook that exists."""
    lines = (ROOT / "README.md").read_text(encoding="utf-8").splitlines()
    start = "python3 -m venv .venv && .venv/bin/pip install -r requirements.txt && "
    assert [line for line in lines if line.endswith("pytest --nbval")] == [f"{start}.venv/bin/pytest --nbval"]
    assert f"{start}.venv/bin/jupyter lab notebooks/00_start_here.ipynb" in lines
    assert "'pytest --nbval$' README.md" in (ROOT / ".ci" / "run").read_text(encoding="utf-8")


def test_the_lesson_plan_names_parts_that_notebooks_have():
    text = (ROOT / "notebooks" / "README.md").read_text(encoding="utf-8")
    named = [(line, number) for line in text.splitlines() for number in re.findall(r"\| \[(\d\d)\]\(\d\d_\w+\.ipynb\), \*", line)]
    assert len(named) >= 6
    for line, number in named:
        (path,) = (ROOT / "notebooks").glob(f"{number}_*.ipynb")
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        headings = "\n".join(re.findall(r"^## (.+)$", "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown"), re.M))
        assert all(part in headings for part in re.findall(r"\*([A-Z][^*]+)\*", line)), line


def test_the_chapters_page_lists_every_notebook():
    text = (ROOT / "notebooks" / "README.md").read_text(encoding="utf-8")
    assert re.findall(r"^\| \d\d \| \[\w+\]\((\d\d_\w+\.ipynb)\)", text, re.M) == sorted(path.name for path in (ROOT / "notebooks").glob("[0-9][0-9]_*.ipynb"))


# ---------------------------------------------------------------- CONTRIBUTING's paper

def test_the_toy_paper_works_as_it_stands(tmp_path, monkeypatch, capsys):
    """Its file, its row, its commands, its tests."""
    empty_workshop(tmp_path, monkeypatch)
    paper, row, tests = [block for kind, block in FENCE.findall((ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")) if kind in ("python", "py")]
    (tmp_path / "toynet.py").write_text(paper, encoding="utf-8")
    spec = importlib.util.spec_from_file_location("colorlib.papers.toynet", tmp_path / "toynet.py")
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, spec.name, module)
    spec.loader.exec_module(module)
    monkeypatch.setattr(papers, "toynet", module, raising=False)
    assert set(module.__all__) <= set(vars(module)) and all(vars(module)[name].__doc__ for name in module.__all__ if name != "PRESETS")
    assert doctest.testmod(module)[0] == 0

    method = eval(row.strip().rstrip(","), {"Method": zoo.Method})
    monkeypatch.setitem(zoo.METHODS, method.name, method)
    Image.fromarray(np.arange(48 * 64, dtype=np.uint8).reshape(48, 64)).save("photo.png")
    weights = "runs/toynet-smoke/toynet-smoke.safetensors"
    for part in ("train", "val"):
        (tmp_path / "photos" / part).mkdir(parents=True)
        for i in range(8):
            Image.fromarray(colorful(i, 64, 64)).save(f"photos/{part}/{part}{i}.png")
    few = ["--data", "photos"]
    for line in (["train", "toynet", *few], ["evaluate", "toynet", "--weights", weights, "--limit", "4", "--dry-run", *few],
                 ["colorize", "photo.png", "--method", "toynet", "--weights", weights]):
        assert cli.main([*line, "--device", "cpu"]) == 0, capsys.readouterr().err
    assert Image.open("photo_colorized.png").size == (64, 48) and "| toynet |" in capsys.readouterr().out

    exec(tests, scope := {})
    for name, test in scope.items():
        if name.startswith("test_"):
            for given in [mark.args[1] for mark in getattr(test, "pytestmark", ())] or [[None]]:
                for value in given:
                    test(*(() if value is None else (value,)))


def test_the_course_page_says_the_minutes_that_the_chapters_say():
    page = (ROOT / "notebooks" / "README.md").read_text(encoding="utf-8")
    for path in sorted((ROOT / "notebooks").glob("*.ipynb")):
        first = "".join(json.loads(path.read_text(encoding="utf-8"))["cells"][0]["source"])
        minutes = re.search(r"\*\*Time\*\* about (\d+) minutes", first)[1]
        row = next(line for line in page.splitlines() if line.startswith(f"| {path.name[:2]} |"))
        assert row.split(" | ")[-2] == minutes, path.name
