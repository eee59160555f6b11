"""The command line as a person uses it: files in, files out, one sentence when something is wrong."""
import json
import re
import shlex
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from colorlib import __main__ as cli
from colorlib import images, results, zoo
from colorlib.papers import koalarization as koala
from tests.data_samples import empty_workshop

TINY = replace(koala.PRESETS["smoke"], encoder=(8,) * 8, fusion=8, decoder=(8, 8, 8, 8), embedding=16, extractor_size=32, image_size=32, steps=3,
               batch_size=4, classifier_steps=2)


@pytest.fixture
def workshop(tmp_path, monkeypatch):
    """An empty folder to work in, a tiny model as the shipped one, and results that go nowhere else."""
    empty_workshop(tmp_path, monkeypatch)
    monkeypatch.setitem(koala.PRESETS, "smoke", TINY)
    monkeypatch.setitem(zoo.BEST, "", "koalarization")
    torch.manual_seed(0)
    zoo.save_weights(koala.build(TINY), "koalarization", zoo.weights_file("koalarization"), {"size": "class"})
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (20, 30), dtype=np.uint8)).save("photo.png")
    return tmp_path


def test_colorize_a_file(workshop, capsys):
    assert cli.main(["colorize", "photo.png"]) == 0
    assert capsys.readouterr().out.strip() == "photo_colorized.png"
    assert Image.open("photo_colorized.png").size == (30, 20) and Image.open("photo_colorized.png").mode == "RGB"
    assert cli.main(["colorize", "photo.png", "-o", "new/named.jpg"]) == 0 or not (workshop / "new").exists()


def test_colorize_a_folder_goes_on_after_a_bad_file(workshop, capsys):
    (workshop / "in").mkdir()
    for name in ("a.png", "b.jpg"):
        Image.open("photo.png").save(workshop / "in" / name)
    (workshop / "in" / "broken.jpg").write_bytes(b"\xff\xd8\xff not a picture")
    assert cli.main(["colorize", "in", "-o", "out"]) == 1
    captured = capsys.readouterr()
    assert sorted(path.name for path in (workshop / "out").iterdir()) == ["a_colorized.png", "b_colorized.jpg"]
    assert captured.err.count("\n") == 1 and "broken.jpg" in captured.err


def test_one_reference_for_many_pictures(workshop, capsys, monkeypatch):
    (workshop / "in").mkdir()
    for name in ("a.png", "b.png"):
        Image.open("photo.png").save(workshop / "in" / name)
    Image.fromarray(np.random.default_rng(1).integers(0, 256, (20, 30, 3), dtype=np.uint8)).save("reference.png")
    opened, open_image = [], images.open_image
    monkeypatch.setattr(images, "open_image", lambda source, **options: opened.append(source) or open_image(source, **options))
    assert cli.main(["colorize", "in", "-o", "out", "--method", "welsh", "--reference", "reference.png", "--device", "cpu"]) == 0
    assert opened.count("reference.png") == 1 and sorted(path.name for path in (workshop / "out").iterdir()) == ["a_colorized.png", "b_colorized.png"]
    assert np.ptp(np.asarray(Image.open("out/a_colorized.png")).astype(int), -1).max() > 30
    for arguments, sentence in ((["--reference", "gone.png"], "gone.png does not exist"), ([], "welsh needs reference: pass reference=...")):
        assert cli.main(["colorize", "in", "--method", "welsh", *arguments]) == 1
        error = capsys.readouterr().err
        assert sentence in error and error.count("\n") == 1
    assert cli.main(["colorize", "photo.png", "--method", "koalarization", "--reference", "reference.png"]) == 1
    assert "koalarization takes no reference; methods that do: welsh" in capsys.readouterr().err


def test_the_original_is_never_overwritten(workshop, capsys):
    before = (workshop / "photo.png").read_bytes()
    assert cli.main(["colorize", "photo.png", "-o", "photo.png"]) == 1
    assert "the input itself" in capsys.readouterr().err and (workshop / "photo.png").read_bytes() == before


@pytest.mark.parametrize("arguments, sentence", [
    (["colorize", "gone.jpg"], "gone.jpg does not exist"), (["colorize", "photo.png", "--method", "magic"], "no method 'magic'"),
    (["colorize", "photo.png", "--method", "koalarization", "--caption", "red"], "takes no caption"), (["colorize", "photo.png", "--device", "cuda:9"], "CUDA"),
    (["train", "magic"], "no method 'magic'"), (["evaluate", "koalarization", "--weights", "w.safetensors"], "w.safetensors"),
    (["data", "nowhere"], "nowhere"), (["train", "koalarization", "--data", "nowhere"], "nowhere")])
def test_mistakes_end_in_one_sentence(workshop, capsys, arguments, sentence):
    if "--device" in arguments and torch.cuda.is_available():
        pytest.skip("a CUDA device is here")
    assert cli.main(arguments) == 1
    error = capsys.readouterr().err
    assert sentence in error and error.startswith("colorlib: ") and error.count("\n") == 1


def test_train_evaluate_reproduce(workshop, capsys):
    assert cli.main(["train", "koalarization", "--steps", "3", "--save", "mine.safetensors"]) == 0
    assert capsys.readouterr().out.strip().endswith("mine.safetensors")
    sidecar = json.loads((workshop / "mine.json").read_text())
    assert sidecar["steps"] == 3 and sidecar["data"] == "scenes" and sidecar["commit"]
    assert cli.main(["evaluate", "koalarization", "--weights", "mine.safetensors", "--limit", "6"]) == 0
    assert "| true embedding |" in capsys.readouterr().out
    rows = results.read("koalarization")
    assert [row["method"] for row in rows] == ["grey", "mean colour"] + 3 * ["koalarization"] and all(row["n"] == 6 for row in rows)
    assert rows[0]["colorfulness"] < 1 < rows[0]["colorfulness_true"] and rows[2]["steps"] == 3
    assert cli.main(["reproduce", "koalarization", "--limit", "4"]) == 0
    assert "| grey |" in capsys.readouterr().out and (workshop / "figures" / "02_koalarization_smoke.png").stat().st_size > 10_000
    assert "| grey |" in (workshop / "results" / "koalarization-smoke.md").read_text()


def test_list(workshop, capsys):
    assert cli.main(["list", "--json"]) == 0
    (row,) = [row for row in json.loads(capsys.readouterr().out) if row["name"] == "koalarization"]
    assert set(row) == {"name", "paper", "sees", "conditions", "optional", "parameters", "learns", "weights", "notebook", "data_licence", "memory"} and row["weights"]["bytes"] > 1000
    assert cli.main(["list"]) == 0 and "6,574,050" in capsys.readouterr().out


def test_bench_prints_every_peer(workshop, capsys):
    assert cli.main(["bench", "lab", "--rounds", "2"]) == 0
    out = capsys.readouterr().out
    assert all(peer in out for peer in ("colorlib", "scikit-image", "OpenCV float"))
    assert {row["method"] for row in results.read("benchmarks")} >= {"colorlib", "scikit-image", "OpenCV float"}


def test_the_module_runs(workshop):
    done = subprocess.run([sys.executable, "-m", "colorlib", "colorize", "gone.jpg", "--method", "koalarization"], capture_output=True, text=True)
    assert done.returncode == 1 and "Traceback" not in done.stderr and "gone.jpg" in done.stderr


# ---------------------------------------------------------------- help

def help_of(arguments, capsys):
    with pytest.raises(SystemExit) as ended:
        cli.main(arguments)
    assert ended.value.code == 0
    return capsys.readouterr().out


def test_help_lists_every_command_once_in_lines_that_fit(capsys):
    page = help_of(["--help"], capsys)
    listed = re.findall(r"^  (\w+)  +\S", page, re.M)
    assert len(listed) == len(set(listed)) == sum(map(len, cli.GROUPS.values())) and "colorize" in listed
    assert max(map(len, page.splitlines())) <= 120
    assert all(title in page for title in cli.GROUPS)


def test_every_example_of_the_help_is_a_command(capsys):
    """Each would run: its arguments are known and of the right kind."""
    for name in re.findall(r"^  (\w+)  +\S", help_of(["--help"], capsys), re.M):
        page = help_of([name, "--help"], capsys)
        examples = [line.strip() for line in page[page.index("examples:"):].splitlines()[1:] if line.strip()]
        assert examples, name
        for example in examples:
            words = shlex.split(example)
            assert words[:4] == ["python", "-m", "colorlib", name]
            assert cli.parse(words[3:]).command == name
        assert all(action.help for action in cli.make_parser()._subparsers._group_actions[0].choices[name]._actions), name


def test_no_command_shows_the_help(capsys):
    with pytest.raises(SystemExit) as ended:
        cli.main([])
    assert ended.value.code == 2 and "colorize photo.jpg" in capsys.readouterr().err


def test_a_command_spelt_wrongly(capsys):
    with pytest.raises(SystemExit):
        cli.main(["colorise", "photo.png"])
    assert capsys.readouterr().err == "colorlib: there is no command 'colorise', do you mean colorize? see `python -m colorlib --help`.\n"


def test_an_option_spelt_wrongly(capsys):
    for arguments, said in ((["colorize", "photo.png", "--metod", "scgan"], "unrecognized arguments: --metod scgan, do you mean --method? see"),
                            (["list", "nonsense"], "unrecognized arguments: nonsense; see")):
        with pytest.raises(SystemExit) as ended:
            cli.main(arguments)
        assert ended.value.code == 2 and capsys.readouterr().err == f"colorlib: {said} `python -m colorlib {arguments[0]} --help`.\n"


def test_a_method_spelt_wrongly(workshop, capsys):
    assert cli.main(["colorize", "photo.png", "--method", "Scgn"]) == 1
    assert "There is no method 'Scgn', did you mean 'scgan': choose one of" in capsys.readouterr().err


def test_version(capsys):
    import tomllib
    declared = tomllib.loads((results.repository() / "pyproject.toml").read_text())["project"]["version"]
    assert help_of(["--version"], capsys).strip() == f"colorlib {declared}"
