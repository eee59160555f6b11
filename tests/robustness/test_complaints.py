"""What users of other colorizers complain about most: the table in tests/README.md names a test for each complaint, and the tests that stand nowhere else are here."""
import ast
import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import cv2
import numpy as np
import pytest

import colorlib
from colorlib import __main__ as cli
from colorlib import images, lab, results, zoo
from tests.data_samples import colorful

ROOT = Path(__file__).parents[2]
SHIPPED = [name for name, method in zoo.METHODS.items() if zoo.weights_file(name).exists() or not method.learns]


def run_python(code, *arguments, **environment):
    """Standard output of a program in a process of its own."""
    environment = os.environ | {"PYTHONPATH": str(ROOT)} | environment
    done = subprocess.run([sys.executable, "-c", code, *map(str, arguments)], env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return done.stdout


# ---------------------------------------------------------------- the table

def test_every_complaint_names_tests_that_exist(tally):
    section = (ROOT / "tests" / "README.md").read_text(encoding="utf-8").partition("\n## What people report of other colorizers\n")[2].partition("\n## ")[0]
    rows = [line.split("|")[1:-1] for line in section.splitlines() if re.match(r"\| \d+ \|", line)]
    assert [int(row[0]) for row in rows] == list(range(1, 16))
    for number, complaint, answer, tests in rows:
        links = re.findall(r"\[(\w+)\]\(([\w/]+\.py)\)", tests)
        assert complaint.strip() and answer.strip() and links, number
        for name, path in links:
            functions = [node.name for node in ast.parse((ROOT / "tests" / path).read_text(encoding="utf-8")).body if isinstance(node, ast.FunctionDef)]
            assert name in functions, f"{path} has no {name}"
        tally(complaints=1, tests_named=len(links))


# ---------------------------------------------------------------- what is installed

def test_every_requirement_is_pinned():
    lines = [line for line in (ROOT / "requirements.txt").read_text().splitlines() if line and not line.startswith("#")]
    assert all(re.fullmatch(r"[\w.-]+==[\w.]+|-e \.", line) for line in lines)
    pinned = {re.split("==", line)[0].lower() for line in lines}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    needed = {re.split("[><=]", one)[0].lower() for one in project["dependencies"] + project["optional-dependencies"]["test"]}
    assert needed <= pinned


def test_nothing_is_compiled_when_it_is_installed():
    kinds = {path.suffix for path in (ROOT / "colorlib").rglob("*") if path.is_file() and "__pycache__" not in path.parts}
    assert kinds <= {".py", ".js", ".css", ".md"}
    assert not (ROOT / "setup.py").exists() and "ext-modules" not in (ROOT / "pyproject.toml").read_text()


FEW = """
import sys
before = set(sys.modules)
import colorlib
colorlib.colorize(sys.argv[1])
print(*{name.split(".")[0] for name in set(sys.modules) - before})
"""


@pytest.mark.skipif("koalarization" not in SHIPPED, reason="no weights are shipped")
def test_painting_needs_few_packages(tmp_path):
    """A conflict among the others cannot stop it."""
    cv2.imwrite(str(tmp_path / "photo.jpg"), colorful(0, 60, 80)[..., 0])
    loaded = set(run_python(FEW, tmp_path / "photo.jpg").split()) & set(asked_for())
    assert loaded <= {"torch", "numpy", "PIL", "cv2", "av", "safetensors", "filelock", "tqdm"}


def asked_for():
    """Import names of what pyproject.toml asks for."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    names = [re.split("[><=]", one)[0].lower().replace("-", "_") for one in project["dependencies"] + sum(project["optional-dependencies"].values(), [])]
    return [{"pillow": "PIL", "opencv_python": "cv2", "scikit_image": "skimage"}.get(name, name) for name in names]


def test_the_three_systems_are_in_ci():
    """And no module needs what only one of them has."""
    workflow = (ROOT / ".github" / "workflows" / "tests.yml").read_text()
    assert all(system in workflow for system in ("ubuntu-latest", "windows-latest", "macos-latest"))
    for path in (ROOT / "colorlib").rglob("*.py"):
        imported = {name.split(".")[0] for node in ast.parse(path.read_text()).body if isinstance(node, (ast.Import, ast.ImportFrom))
                    for name in ([alias.name for alias in node.names] if isinstance(node, ast.Import) else [node.module or ""])}
        assert not imported & {"fcntl", "resource", "pwd", "grp", "termios", "msvcrt", "winreg"}, path


# ---------------------------------------------------------------- what comes out

def given(method):
    """Conditions that a method needs."""
    known = {"hints": [(10, 20, "red"), (40, 60, "steelblue")], "caption": "a red bird", "reference": colorful(3, 40, 60)}
    return {name: known[name] for name in method.conditions if name in known}


@pytest.mark.filterwarnings("ignore:.* does not know")
@pytest.mark.parametrize("name", SHIPPED)
def test_every_method_gives_the_size_it_was_given(name, tally):
    method, gray = zoo.METHODS[name], colorful(1, 61, 93)[..., 0]
    picture = colorlib.colorize(gray, method=name, device="cpu", working_size=64, **given(method))
    assert picture.rgb.shape == (61, 93, 3) and not picture.is_gray
    if method.sees == "grey" and "lightness" not in method.paper.lower():
        L = lab.rgb_to_lab(np.repeat(gray[..., None], 3, 2))[..., 0]
        assert np.abs(lab.rgb_to_lab(picture.rgb)[..., 0] - L).mean() < 0.5
    tally(methods=1)


@pytest.mark.skipif("photonet" not in SHIPPED, reason="no weights are shipped")
def test_python_and_the_command_line_paint_the_same_picture(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    cv2.imwrite("photo.png", colorful(2, 70, 50)[..., 0])
    assert cli.main(["colorize", "photo.png", "--method", "photonet", "--device", "cpu"]) == 0
    (tmp_path / "album").mkdir()
    os.link("photo.png", "album/photo.png")
    assert cli.main(["colorize", "album", "-o", "out", "--method", "photonet", "--device", "cpu"]) == 0
    written = images.open_image("photo_colorized.png").rgb
    assert np.array_equal(written, colorlib.colorize("photo.png", method="photonet", device="cpu").rgb)
    assert np.array_equal(written, images.open_image("out/photo_colorized.png").rgb)


LONG = """
import os, sys, av, numpy
from colorlib import video
path, frames = sys.argv[1], int(sys.argv[2])
with av.open(path, "w") as container:
    stream = container.add_stream("mpeg4", rate=24)
    stream.width, stream.height = 64, 48
    random = numpy.random.default_rng(0).integers(0, 256, (8, 48, 64, 3), dtype=numpy.uint8)
    for i in range(frames):
        container.mux(stream.encode(av.VideoFrame.from_ndarray(random[i % 8], format="rgb24")))
    container.mux(stream.encode())
finish = video._finish
def finish_and_look(*arguments):
    finish(*arguments)
    print(int(open("/proc/self/statm").read().split()[1]) * os.sysconf("SC_PAGE_SIZE") >> 20)
video._finish, video.PIECE = finish_and_look, 20
video.colorize_video(path, method="tcvc", working_size=32, device="cpu", cuts="none", progress=False)
"""


@pytest.mark.skipif("tcvc" not in SHIPPED or sys.platform != "linux", reason="no weights are shipped, or no /proc")
def test_memory_does_not_grow_with_the_length_of_a_clip(tmp_path):
    mib = [int(line) for line in run_python(LONG, tmp_path / "long.mp4", 240).split()]
    assert len(mib) == 12 and mib[-1] - mib[2] < 10, mib


# ---------------------------------------------------------------- numbers that can be traced

def test_every_result_row_says_where_it_comes_from():
    tables = sorted((ROOT / "data" / "results").glob("*.csv"))
    assert tables
    for table in tables:
        for row in results.read(table.stem):
            assert row["commit"] and row["device"] and row["date"] and row["torch"], (table.name, row)


def test_every_shipped_weights_file_says_how_it_was_made():
    sidecars = sorted((ROOT / "data" / "weights").glob("*.json"))
    assert sidecars
    for path in sidecars:
        sidecar = json.loads(path.read_text())
        assert {"method", "config", "sha256", "commit", "seed", "steps", "data"} <= set(sidecar), path.name
