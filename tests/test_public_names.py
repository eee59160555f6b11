"""What every module offers: its `__all__`, with docstrings that say what may be raised and show an example, and the examples run."""
import ast
import doctest
import importlib
import inspect
import json
import pkgutil
import re
import types
from pathlib import Path

import matplotlib.pyplot as plt
import pytest
import torch

import colorlib

ROOT = Path(__file__).parents[1]
MODULES = ["colorlib", *sorted(module.name for module in pkgutil.walk_packages(colorlib.__path__, "colorlib.") if not module.name.endswith("__main__"))]
OPTIONS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
REQUESTED = ("KeyboardInterrupt", "NotImplementedError", "StopIteration", "AttributeError")      # what the language asks for


@pytest.fixture(params=MODULES)
def module(request):
    if request.param == "colorlib.lab.lab_gpu":
        pytest.importorskip("triton", reason="Triton comes with torch where there may be a GPU")
    return importlib.import_module(request.param)


def offered(module):
    """[(name, function or class)] of `__all__`; constants need no docstring, a comment beside them says what they are."""
    found = [(name, getattr(module, name)) for name in module.__all__]
    return [(name, value) for name, value in found if inspect.isfunction(value) or inspect.isclass(value)]


def raised(value):
    """Names of the exceptions that a function, or a class when it is made and called, raises itself."""
    tree = ast.parse(inspect.cleandoc("\n" + inspect.getsource(value)))
    parts = [tree.body[0]] if inspect.isfunction(value) else [
        part for part in tree.body[0].body if isinstance(part, ast.FunctionDef) and part.name in ("__init__", "__call__", "forward")]
    found = set()
    for part in parts:
        for node in ast.walk(part):
            if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call):
                found.add(ast.unparse(node.exc.func).split(".")[-1])
    return found - set(REQUESTED)


def documented(value):
    """A function's docstring; of a class, its own and its methods'."""
    own = [inspect.getdoc(value) or ""]
    if inspect.isclass(value):
        own += [inspect.getdoc(part) or "" for part in vars(value).values() if inspect.isfunction(part)]
    return "\n".join(own)


def test_modules_say_what_they_are_and_what_they_offer(module):
    assert (inspect.getdoc(module) or "").strip(), "a docstring on the first line"
    assert isinstance(module.__all__, list) and len(module.__all__) == len(set(module.__all__))
    assert [name for name in module.__all__ if not hasattr(module, name)] == []


def test_docstrings_show_an_example_and_say_what_is_raised(module):
    faults = []
    for name, value in offered(module):
        text = documented(value)
        if ">>> " not in text:
            faults.append(f"{name} shows no example")
        faults += [f"{name} raises {error}, and does not say when" for error in sorted(raised(value)) if error not in text]
    assert faults == []


def test_examples_run(module, tmp_path, monkeypatch):
    monkeypatch.setenv("COLORLIB_CACHE", str(tmp_path / "cache"))
    runner = doctest.DocTestRunner(optionflags=OPTIONS)
    printed = []
    for number, test in enumerate(doctest.DocTestFinder(exclude_empty=True).find(module, module.__name__)):
        (folder := tmp_path / str(number)).mkdir()      # of its own, so that no example leans on another's files
        monkeypatch.chdir(folder)
        torch.manual_seed(0)
        runner.run(test, out=printed.append)
    plt.close("all")
    assert runner.summarize(verbose=False).failed == 0, "".join(printed)


# ---------------------------------------------------------------- what readers are shown is offered

def programs():
    """[(where, Python)] of every notebook and of the blocks in the Markdown pages."""
    for path in sorted((ROOT / "notebooks").glob("*.ipynb")):
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        yield path.name, "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "code")
    for path in [*ROOT.glob("*.md"), *(ROOT / "notebooks").glob("*.md"), *(ROOT / "colorlib").glob("*.md"), *(ROOT / "data").rglob("README.md")]:
        yield str(path.relative_to(ROOT)), "\n".join(re.findall(r"```python\n(.*?)```", path.read_text(encoding="utf-8"), re.DOTALL))


@pytest.mark.parametrize("where, program", programs(), ids=lambda value: value if "\n" not in value and len(value) < 60 else "")
def test_what_readers_see_is_offered(where, program):
    known, used = {}, set()      # name in the program: module; (module, attribute)
    for node in ast.walk(tree := ast.parse(program)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "colorlib":
            for alias in node.names:
                full = f"{node.module}.{alias.name}"
                if full in MODULES:
                    known[alias.asname or alias.name] = full
                else:
                    used.add((node.module, alias.name))
        elif isinstance(node, ast.Import):
            known |= {alias.asname or alias.name: alias.name for alias in node.names if alias.name in MODULES and (alias.asname or "." not in alias.name)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in known and not node.attr.startswith("__"):
            used.add((known[node.value.id], node.attr))
    missing = []
    for name, attribute in sorted(used):
        module = importlib.import_module(name)
        value = getattr(module, attribute)
        if not isinstance(value, types.ModuleType) and attribute not in getattr(module, "__all__", []):
            missing.append(f"{name}.{attribute}")
    assert missing == []
