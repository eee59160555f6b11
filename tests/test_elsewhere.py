"""The notebooks away from a checkout: the first cell fetches the course on Google Colab, Kaggle and the like, and Binder builds it from `.binder`. None of them
can be asked here, so the cell runs in an environment without colorlib, and the files are held against what they must agree with."""
import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tomllib
import venv
from pathlib import Path
from urllib.parse import unquote

import pytest
import yaml

from colorlib import zoo

ROOT = Path(__file__).parents[1]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("[0-9][0-9]_*.ipynb"))
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
ADDRESS = PROJECT["urls"]["Repository"]
PAINT = """
import os, sys
exec(sys.argv[1], scope := {})
import numpy as np, colorlib
picture = colorlib.colorize(np.arange(48 * 64).reshape(48, 64).astype(np.uint8), device="cpu", working_size=32)
print(picture.rgb.shape, os.getcwd(), os.path.dirname(colorlib.__file__), "google.colab" in sys.modules and sys.modules["google.colab"].output.enabled)
"""
BACKEND = '''
import os, zipfile

def build_editable(folder, config_settings=None, metadata_directory=None):
    """What setuptools makes of an editable package, without setuptools, which need not be installed here: a wheel that names the folder."""
    name, about = "colorlib-0-py3-none-any.whl", "colorlib-0.dist-info/"
    files = {"colorlib.pth": os.getcwd(), about + "METADATA": "Metadata-Version: 2.1\\nName: colorlib\\nVersion: 0\\n",
             about + "WHEEL": "Wheel-Version: 1.0\\nGenerator: test\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n", about + "RECORD": ""}
    with zipfile.ZipFile(os.path.join(folder, name), "w") as wheel:
        for path, text in files.items():
            wheel.writestr(path, text)
    return name
'''


def elsewhere_cells(path):
    cells = [cell for cell in json.loads(path.read_text(encoding="utf-8"))["cells"] if cell["cell_type"] == "code"]
    return [(index, cell) for index, cell in enumerate(cells) if "elsewhere" in cell["metadata"].get("tags", [])]


SOURCE = "".join(elsewhere_cells(NOTEBOOKS[0])[0][1]["source"])


# ---------------------------------------------------------------- the cell

@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_the_cell_is_the_first_and_the_same_in_every_notebook(path):
    ((index, cell),) = elsewhere_cells(path)
    assert index == 0 and "".join(cell["source"]) == SOURCE and cell["outputs"] == []
    assert cell["metadata"].get("jupyter") == {"source_hidden": True}, "copy the cell from a neighbour with its metadata"
    assert SOURCE.startswith("#@title ")


@pytest.mark.parametrize("folder", ["anywhere", "colorlib", "colorlib/notebooks"])
def test_it_does_nothing_where_colorlib_is_installed(tmp_path, monkeypatch, folder):
    """Wherever it runs: a checkout is often called colorlib."""
    (tmp_path / folder).mkdir(parents=True)
    monkeypatch.chdir(tmp_path / folder)
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: pytest.fail("a program was started"))
    before = os.getcwd(), list(sys.path)
    exec(SOURCE, {})
    assert (os.getcwd(), sys.path) == before


@pytest.fixture
def bare_python(tmp_path_factory):
    """An interpreter with every package of this one but colorlib: a virtual environment that looks into this one's packages, and not at their .pth files,
    which are what makes a checkout importable."""
    if shutil.which("git") is None:
        pytest.skip("git is not installed")
    folder = tmp_path_factory.mktemp("elsewhere")
    venv.create(folder, with_pip=False, symlinks=os.name != "nt")
    paths = {name: sysconfig.get_path(name, "venv", {"base": str(folder), "platbase": str(folder)}) for name in ("purelib", "scripts")}
    Path(paths["purelib"], "others.pth").write_text("\n".join(dict.fromkeys(sysconfig.get_path(name) for name in ("purelib", "platlib"))))
    python = Path(paths["scripts"], "python.exe" if os.name == "nt" else "python")
    environment = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV", "PYTHONHOME")}
    has = lambda name: subprocess.run([python, "-c", f"import {name}"], env=environment, cwd=folder, capture_output=True).returncode == 0
    if has("colorlib"):
        pytest.skip("colorlib is installed as a copy, which cannot be hidden")
    if not has("pip"):
        pytest.skip("pip is not in the environment")
    return python, environment


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """A repository that holds this checkout as it is now, without what painting does not need; git takes it for the one on the network."""
    folder = tmp_path_factory.mktemp("served") / "colorlib"
    shutil.copytree(ROOT / "colorlib", folder / "colorlib", ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "backend.py").write_text(BACKEND)
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    own = '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
    (folder / "pyproject.toml").write_text(re.sub(r"\[build-system\]\n(.+\n)+", own, project), encoding="utf-8")
    (folder / "notebooks").mkdir()
    shutil.copy(NOTEBOOKS[0], folder / "notebooks")
    (folder / "data" / "weights").mkdir(parents=True)
    best = zoo.weights_file(zoo.BEST[""])
    for path in (best, best.with_suffix(".json")):
        shutil.copy(path, folder / "data" / "weights")
    author = {f"GIT_{who}_{what}": "test@localhost" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    for command in (["init"], ["add", "--all", "--force"], ["commit", "--no-gpg-sign", "--message", "as it is"]):
        subprocess.run(["git", *command], cwd=folder, env=os.environ | author, check=True, capture_output=True)
    settings = {f"url.{folder.as_uri()}.insteadOf": ADDRESS, "safe.directory": "*", "protocol.file.allow": "always"}
    return {"SERVED": str(folder), "GIT_CONFIG_COUNT": str(len(settings))} | {f"GIT_CONFIG_{part}_{i}": text for i, pair in enumerate(settings.items())
                                                       for part, text in zip(("KEY", "VALUE"), pair)}


OFFLINE = {"PIP_NO_DEPS": "1", "PIP_NO_INDEX": "1", "PIP_DISABLE_PIP_VERSION_CHECK": "1", "COLORLIB_OFFLINE": "1"}


def run_elsewhere(bare_python, served, folder, **environment):
    """What PAINT prints in a folder that is no checkout, as (shape, current folder, the package's folder, the widget manager)."""
    python, known = bare_python
    done = subprocess.run([python, "-c", PAINT, SOURCE], cwd=folder, env=known | served | OFFLINE | environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    shape, where, package, enabled = re.fullmatch(r"(\(.*\)) (\S+) (\S+) (\w+)", done.stdout.strip().splitlines()[-1]).groups()
    return shape, Path(where).resolve(), Path(package).resolve(), enabled


def test_it_fetches_the_course_where_there_is_none(bare_python, served, tmp_path):
    """As in Colab: a fresh folder, `google.colab` at hand. Run again after a restart of the kernel, as Colab asks for at times, it fetches nothing."""
    fake = tmp_path / "fake" / "google" / "colab"
    fake.mkdir(parents=True)
    (fake / "__init__.py").write_text("")
    (fake / "output.py").write_text("enabled = False\ndef enable_custom_widget_manager():\n    global enabled\n    enabled = True\n")
    (tmp_path / "content").mkdir()
    course = (tmp_path / "content" / "colorlib-course").resolve()
    for more in ({}, {"PATH": ""}):
        assert run_elsewhere(bare_python, served, tmp_path / "content", PYTHONPATH=str(tmp_path / "fake"), **more) \
            == ("(48, 64, 3)", course / "notebooks", course / "colorlib", "True")


def test_a_checkout_that_is_not_installed_is_not_fetched_again(bare_python, served, tmp_path):
    """As in an editor that runs the wrong interpreter: the course at hand is installed. Folders called colorlib on the way are not taken for the package."""
    checkout = shutil.copytree(served["SERVED"], tmp_path / "course")
    (checkout / "notebooks" / "colorlib").mkdir()
    assert run_elsewhere(bare_python, {}, checkout / "notebooks", PATH="") \
        == ("(48, 64, 3)", (checkout / "notebooks").resolve(), (checkout / "colorlib").resolve(), "False")
    assert sorted(path.name for path in (checkout / "notebooks").iterdir()) == [NOTEBOOKS[0].name, "colorlib"]


# ---------------------------------------------------------------- Binder

def pins():
    """{package: version} of requirements.txt."""
    return dict(re.findall(r"^([\w.-]+)==([\w.]+)$", (ROOT / "requirements.txt").read_text(encoding="utf-8"), re.M))


def test_binder_installs_what_is_pinned_but_torch_for_cpus():
    """The environment brings Python and torch without CUDA, in the versions pinned; postBuild the other pins, and the package itself."""
    environment = yaml.safe_load((ROOT / ".binder" / "environment.yml").read_text(encoding="utf-8"))
    assert environment["channels"] == ["conda-forge"]
    found = dict(part.partition("=")[::2] for part in environment["dependencies"])
    assert set(found) == {"python", "pip", "pytorch-cpu", "torchvision"}
    assert f"{found['pytorch-cpu']}." in pins()["torch"] and f"{found['torchvision']}." in pins()["torchvision"]
    assert tuple(map(int, found["python"].split("."))) >= tuple(map(int, PROJECT["requires-python"].strip(">=").split(".")))


@pytest.mark.skipif(os.name == "nt", reason="a script for Linux")
def test_binder_builds_after_the_environment(tmp_path):
    """postBuild, run with a pip that writes down what it is asked for."""
    script = ROOT / ".binder" / "postBuild"
    assert os.access(script, os.X_OK) and script.read_bytes().startswith(b"#!/bin/bash\n")
    fake = tmp_path / "pip"
    fake.write_text('#!/bin/bash\nprintf "%s\\n" "$@" >> "$ASKED"\n')
    fake.chmod(0o755)
    environment = os.environ | {"PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}", "ASKED": str(tmp_path / "asked")}
    subprocess.run([script], cwd=ROOT, env=environment, check=True)
    asked = (tmp_path / "asked").read_text().split()
    assert {word for word in asked if "==" in word} == {f"{name}=={version}" for name, version in pins().items() if name not in ("torch", "torchvision")}
    assert asked[-4:] == ["--no-deps", "--no-cache-dir", "--editable", "."]


# ---------------------------------------------------------------- one address

def test_every_page_names_the_same_repository():
    """pyproject.toml's address is the one that badges, the citation and the notebooks lead to."""
    owner = ADDRESS.removeprefix("https://github.com/")
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["repository-code"] == ADDRESS and SOURCE.count(ADDRESS) == 1
    assert PROJECT["urls"]["Changelog"].startswith(f"{ADDRESS}/")
    pages = [ROOT / "README.md", ROOT / "notebooks" / "README.md", *NOTEBOOKS]
    services = re.compile(r"(?:colab\.research\.google\.com/github|mybinder\.org/v2/gh|github\.com)/(colorlib/[\w.-]+)")
    named = {page.name: set(services.findall(page.read_text(encoding="utf-8"))) for page in pages}
    assert named["README.md"] and all(found <= {owner} for found in named.values()), named


@pytest.mark.parametrize("page", ["README.md", "notebooks/README.md"])
def test_badges_open_notebooks_that_exist(page):
    text = (ROOT / page).read_text(encoding="utf-8")
    opened = re.findall(r"colab\.research\.google\.com/github/[\w-]+/[\w-]+/blob/main/([\w/.-]+)", text) + \
        [unquote(path) for path in re.findall(r"mybinder\.org/v2/gh/[\w-]+/[\w-]+/main\?labpath=([\w/.%-]+)", text)]
    assert len(opened) >= 2 and all((ROOT / path).is_file() for path in opened), opened


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_links_within_a_notebook_open_that_notebook(path):
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    text = "".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown")
    for link in re.findall(r"https://(?:colab\.research\.google\.com|mybinder\.org)/[^)\s]+", text):
        assert unquote(link).endswith(f"notebooks/{path.name}") and f"/{ADDRESS.removeprefix('https://github.com/')}/" in link, link


# ---------------------------------------------------------------- one version

def test_version_changelog_and_citation_agree():
    import colorlib
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert {"cff-version", "message", "title", "authors", "version", "date-released", "license", "repository-code"} <= set(citation)
    released = re.findall(r"^## \[(\d+\.\d+\.\d+)\] - (\d{4}-\d\d-\d\d)$", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.M)
    assert [date for _, date in released] == sorted((date for _, date in released), reverse=True)
    assert released[0] == (PROJECT["version"], str(citation["date-released"])) and citation["version"] == PROJECT["version"]
    assert colorlib.__version__ == PROJECT["version"] and citation["license"] == PROJECT["license"]
