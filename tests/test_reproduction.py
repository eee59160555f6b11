"""`reproduce`: what is finished is not repeated, what changed is; one part that fails leaves the others alone."""
import json
import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from colorlib import __main__ as cli
from colorlib import data, experiments, results, zoo
from colorlib.experiments import leaderboard, reproduce_all, reproduction
from colorlib.papers import koalarization as koala
from tests.data_samples import empty_workshop, fill

TINY = replace(koala.PRESETS["smoke"], encoder=(8,) * 8, fusion=8, decoder=(8, 8, 8, 8), embedding=16, extractor_size=32, image_size=32, steps=3,
               batch_size=4, classifier_steps=2)


@pytest.fixture
def workshop(tmp_path, monkeypatch):
    """An empty folder to work in, a tiny method, few scenes, figures without pictures; yields a list of what was done."""
    empty_workshop(tmp_path, monkeypatch)
    monkeypatch.setitem(koala.PRESETS, "smoke", TINY)
    whole, did = data.SceneSet, []
    monkeypatch.setattr(data, "SceneSet", lambda count, **options: whole(min(count, 8), **options))
    def draw(method, model, painted, name):
        path = tmp_path / "figures" / f"{name}.png"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"")
        return path
    monkeypatch.setattr(reproduction, "paint_photos", lambda *args: None)
    functions = {"train_method": experiments.train_method, "evaluate_method": experiments.evaluate_method, "draw_results": draw, "draw_banner": draw}
    for name, function in functions.items():
        monkeypatch.setattr(reproduction, name, lambda *args, name=name, function=function, **options: did.append(name) or function(*args, **options))
    return did


def reproduce(**options):
    return list(reproduction.reproduce("koalarization", device="cpu", limit=3, **options))


ALL = ["train_method", "evaluate_method", "draw_results", "draw_banner"]


def test_what_is_finished_is_not_repeated(workshop):
    lines = reproduce()
    assert workshop == ALL and lines[0] == "koalarization: no smoke weights yet, training" and lines[-1].startswith("| system |")
    assert reproduction.is_finished("koalarization", limit=3)
    assert reproduce()[0] == "koalarization: finished before; --again does it anew" and workshop == ALL
    Path("figures/02_koalarization_smoke.png").unlink()                                # a file that is gone is made again
    reproduce()
    assert workshop[4:] == ["draw_results", "draw_banner"] and Path("figures/02_koalarization_smoke.png").exists()
    Path("results/koalarization.csv").unlink()
    reproduce()
    assert workshop[6:] == ["evaluate_method"] and results.read("koalarization")
    reproduce(again=True)
    assert workshop[7:] == ALL


def test_what_was_interrupted_goes_on(workshop, monkeypatch):
    def stop(*args):
        raise KeyboardInterrupt
    with monkeypatch.context() as patch:
        patch.setattr(reproduction, "draw_banner", stop)
        with pytest.raises(KeyboardInterrupt):
            reproduce()
    assert not reproduction.is_finished("koalarization", limit=3)
    reproduce()
    assert workshop == [*ALL[:3], "draw_results", "draw_banner"]                        # neither trained nor measured twice


def test_nothing_outlives_a_change(workshop, monkeypatch):
    reproduce()
    fill(Path("photos"), *(f"{label}/{i}.png" for label in "ab" for i in range(20)), height=48, width=48)
    reproduce(spec="photos")                                                           # other data
    assert workshop == ALL * 2
    fill(Path("photos"), *(f"c/{i}.png" for i in range(20)), height=48, width=48)     # more of it
    reproduce(spec="photos")
    assert workshop == ALL * 3
    monkeypatch.setitem(koala.PRESETS, "smoke", replace(TINY, steps=4))                # another Config
    reproduce()
    assert workshop == ALL * 4
    monkeypatch.setenv("COLORLIB_RESULTS", "elsewhere")                                # rows are wanted in another folder; the training stays good
    reproduce()
    assert workshop[16:] == ALL[1:] and results.read("koalarization")
    monkeypatch.setitem(koala.PRESETS, "smoke", TINY)
    monkeypatch.setenv("COLORLIB_RESULTS", "results")
    assert reproduce()[0].endswith("--again does it anew") and workshop[19:] == ["evaluate_method"] * 0      # and back: still finished
    assert len(list(Path("runs/reproduce").iterdir())) == 4


def test_weights_trained_by_hand_count_if_they_are_of_the_same_kind(workshop, monkeypatch):
    experiments.train_method("koalarization", "smoke", "scenes", device="cpu", progress=False)
    reproduce()
    assert workshop == ALL[1:]
    monkeypatch.setitem(koala.PRESETS, "smoke", replace(TINY, steps=4))
    assert reproduction.find_weights("koalarization", "smoke") is None
    reproduce()
    assert workshop[3:] == ALL


# ---------------------------------------------------------------- all

@pytest.fixture
def three(workshop, monkeypatch):
    """A catalogue of three methods whose processes are played: `broken` fails until it is mended. Yields the names that were run."""
    ran, broken, finished = [], {"cic"}, set()
    monkeypatch.setattr(zoo, "METHODS", {name: zoo.METHODS[name] for name in ("koalarization", "cic", "levin")})
    monkeypatch.setattr(reproduce_all, "is_finished", lambda name, *options: name in finished)

    def play(part, threads, running):
        ran.append(part.name)
        if part.name not in broken:
            finished.add(part.name)
        return part, 30.0, "Its data are gone." if part.name in broken else ""
    monkeypatch.setattr(reproduce_all, "run_part", play)
    return ran, broken


def test_one_that_fails_leaves_the_others_alone(three, capsys):
    ran, broken = three
    assert cli.main(["reproduce", "all", "--workers", "1", "--device", "cpu"]) == 1
    told = capsys.readouterr()
    assert sorted(ran[:3]) == ["cic", "koalarization", "levin"] and ran[3:] == ["leaderboard", "conditions", "survey"]
    assert re.search(r"cic failed in 30 s; about \d minutes left: Its data are gone\.\n", told.out)
    assert told.err.startswith("colorlib: 1 of 6 parts failed, the others are done. cic: Its data are gone. ") and told.err.count("\n") == 1
    broken.clear()
    assert cli.main(["reproduce", "--workers", "2", "--device", "cpu"]) == 0            # all is the default; only what failed and what compares
    told = capsys.readouterr().out
    assert sorted(ran[6:]) == ["cic", "conditions", "leaderboard", "survey"] and told.startswith("2 of 3 methods were finished before") and "all 4 parts done" in told


def test_the_estimate_learns():
    parts = [reproduce_all.Part(str(i), ()) for i in range(6)]
    clock = reproduce_all.Estimate(parts, workers=2)
    for part in parts[:2]:
        clock.finish(part, 3 * part.seconds)                                            # three times as slow as usual
    assert clock.minutes_left() == pytest.approx(4 * 3 * reproduce_all.USUAL_SECONDS / 2 / 60)
    for part in parts[2:]:
        clock.finish(part, part.seconds)
    assert clock.left == 0 and (clock.count, clock.total) == (6, 6)


def test_parts_are_processes_of_their_own(workshop):
    running = {}
    part, seconds, error = reproduce_all.run_part(reproduce_all.Part("help", ("--help",)), 1, running)
    assert not error and seconds > 0 and "reproduce" in Path("runs/reproduce/logs/help.txt").read_text() and not running
    assert reproduce_all.run_part(reproduce_all.Part("bad", ("train", "magic")), 1, running)[2].startswith("There is no method 'magic': choose one of")
    known = {part.name for part in reproduce_all.methods(("--size", "smoke"), None, None, False)}
    assert known == set(zoo.METHODS) and set(reproduce_all.SECONDS) <= known | {"leaderboard", "conditions", "survey"}
    log = Path("log.txt")
    log.write_text(" 3%|#   | 1/30\r10%|##  |\ncolorlib: a warning\ncolorlib: The folder is gone.\n")
    assert reproduce_all.error_in(log, 1) == "The folder is gone." and reproduce_all.error_in(log, -9) == "it was ended by signal 9."
    log.write_text("Traceback\nIndexError: 3\n")
    assert reproduce_all.error_in(log, 1) == "IndexError: 3"


def test_parts_end_with_what_started_them(workshop):
    done = subprocess.run([sys.executable, "-m", "colorlib", "list"], env=os.environ | {"COLORLIB_PARENT": "1", "PYTHONPATH": str(Path(__file__).parents[1])},
                          capture_output=True, text=True, timeout=60)
    assert done.returncode == 1 and not done.stdout                                     # its parent is not the one that it was told


def test_a_killed_process_leaves_what_it_finished(workshop):
    """Ended by SIGKILL after the first part; started again, it does the rest only."""
    script = """
import time
from colorlib import data
from colorlib.experiments import reproduction
from colorlib.papers import koalarization as koala
from tests.test_reproduction import TINY
koala.PRESETS["smoke"], whole = TINY, data.SceneSet
data.SceneSet = lambda count, **options: whole(min(count, 8), **options)
reproduction.draw_results = lambda *args: time.sleep(600)
list(reproduction.reproduce("koalarization", device="cpu", limit=3))
"""
    path = os.pathsep.join((str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH", "")))
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=os.environ | {"PYTHONPATH": path}) as process:
        deadline = time.monotonic() + 60
        while not (found := list(Path("runs/reproduce").glob("koalarization-*/finished.json"))) and time.monotonic() < deadline:
            time.sleep(0.05)
        os.kill(process.pid, signal.SIGKILL)
    assert found and list(json.loads(found[0].read_text())["parts"]) == ["rows"]
    before = len(results.read("koalarization"))
    reproduce()
    assert workshop == ALL[2:] and len(results.read("koalarization")) == before


# ---------------------------------------------------------------- tables

def test_tables_on_disk_say_what_the_csv_says(workshop):
    for method, psnr in (("grey", 20.0), ("cic", 22.0)):
        results.append("leaderboard", {"method": method, "budget": None if method == "grey" else "steps", "asked": None if method == "grey" else 300, "size": "smoke",
                                       "dataset": "scenes val", "split_hash": "h", "n": 3, "seed": None if method == "grey" else 0, "settings": "s",
                                       "psnr_gain": psnr - 20, "updates": 300, "device_minutes": 1.0, "ssim": 0.9, "de2000": 9.0, "colorfulness_ratio": 0.5,
                                       **{f"{key}_{end}": psnr for key in ("psnr", "psnr_gain") for end in ("low", "high")}, "psnr": psnr})
    lines = list(reproduce_all.write_tables("smoke"))
    text = Path("results/leaderboard-smoke-scenes.md").read_text()
    assert text == f"{leaderboard.TITLES['steps']}\n\n{leaderboard.table('steps', 'smoke')}\n" and "| **22.00** [22.00, 22.00] |" in text
    assert any(line.startswith("Automatic methods, as shipped: The budget shipped was not measured") for line in lines)
    assert any("What conditions buy was not measured" in line for line in lines)
