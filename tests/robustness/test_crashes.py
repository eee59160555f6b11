"""Trainings that are killed, stopped, starved or fed with damaged files: they go on bit-equal from their last checkpoint, or end with a sentence."""
import errno
import io
import os
import pickle
import random
import re
import signal
import socket
import subprocess
import sys
import threading
import time

import pytest
import torch

from colorlib import __main__ as cli
from colorlib import data, files, train, zoo
from colorlib.train import checkpoints
from colorlib.papers import photonet
from tests.data_samples import fill
from tests.robustness import crash_runs, tiny_runs
from tests.robustness.crash_runs import assert_equal, outcome


@pytest.fixture(scope="module")
def zygote(tmp_path_factory):
    folder = tmp_path_factory.mktemp("zygote")
    found = crash_runs.Zygote(folder, {"COLORLIB_CACHE": str(folder / "cache"), "COLORLIB_SIZE": "smoke"})
    yield found
    found.close()


def free_port():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


def settings_of(name):
    """The words that make a method's training tiny."""
    changes = tiny_runs.small_config(name) | {"steps": 4, "batch_size": 2}
    changes |= {"classifier_steps": 3} if vars(zoo.get(name).presets["smoke"]).get("classifier_steps") else {}
    return ["--data", f"scenes:{tiny_runs.SCENES}", "--device", "cpu", "--set", *(f"{field}={value}".replace(" ", "") for field, value in changes.items())]


UPDATES = 40
WORDS = ["train", "cyclegan", "--data", "scenes:12", "--device", "cpu", "--batch-size", 4, "--steps", UPDATES, "--set", "width=4", "blocks=1", "image_size=32"]


@pytest.fixture(scope="module")
def whole(zygote):
    """What WORDS make of a run folder when nothing comes between."""
    run = zygote.folder / "whole"
    assert zygote.run("command", *WORDS, "--run", run).status == 0
    return outcome(run)


@pytest.fixture(scope="module")
def whole_of_two(zygote):
    """The same of two processes."""
    run = zygote.folder / "whole-of-two"
    assert zygote.run("train_ranks", *WORDS, "--run", run, port=free_port(), save_every=5).status == 0
    return outcome(run)


@pytest.fixture(scope="module")
def fabric():
    return train.make_fabric("cpu")


# ---------------------------------------------------------------- killed

def test_killed_at_every_touch_of_the_disk(zygote, tally, tmp_path):
    """Before and after every fsync, rename and deletion, and in the middle of every write of a checkpoint."""
    how = {"steps": 7, "save_every": 3, "log_every": 2}
    whole = zygote.run("train_step", tmp_path / "whole", **how)
    expected = outcome(tmp_path / "whole")
    assert whole.status == 0 and whole.touches > 30
    for n in range(1, whole.touches + 1):
        run = tmp_path / str(n)
        assert zygote.run("train_step", run, fault=n, **how).status == -signal.SIGKILL
        assert zygote.run("train_step", run, **how).status == 0, n
        assert_equal(outcome(run), expected)
    tally(crash_points=whole.touches, resumed_equal=whole.touches)


def test_killed_at_random_moments(zygote, whole, tally, tmp_path):
    """The command, twenty times in two trainings, which have then hardly an update left to themselves; each time it goes on."""
    draw, kills, runs = random.Random(5), 0, 0
    while kills < 20:
        job = zygote.start("command", *WORDS, "--run", tmp_path / f"{runs}", save_seconds=0.01)
        time.sleep(draw.uniform(0, 0.5))
        if job.send(signal.SIGKILL).wait().status == 0:
            runs += 1
        kills += job.status == -signal.SIGKILL
    for run in range(runs + 1):
        assert zygote.run("command", *WORDS, "--run", tmp_path / f"{run}").status == 0
        assert_equal(outcome(tmp_path / f"{run}"), whole)
    tally(crash_points=kills, resumed_equal=kills)


@pytest.mark.parametrize("name", [name for name, method in zoo.METHODS.items() if method.learns])
def test_every_method_goes_on(name, zygote, tally, tmp_path):
    """Killed while it saves, in its pretraining too if it has one."""
    words = ["train", name, *settings_of(name)]
    whole = zygote.run("command", *words, "--run", tmp_path / "whole", save_seconds=-1)
    assert whole.status == 0, whole.err.read_text()[-2000:]
    n = random.Random(name).randrange(whole.touches // 3, whole.touches + 1)
    assert zygote.run("command", *words, "--run", tmp_path / "killed", save_seconds=-1, fault=n).status == -signal.SIGKILL
    assert zygote.run("command", *words, "--run", tmp_path / "killed", save_seconds=-1).status == 0
    assert_equal(outcome(tmp_path / "killed"), outcome(tmp_path / "whole"))
    tally(crash_points=1, resumed_equal=1, methods=1)


def test_killed_while_pictures_are_packed(zygote, tally, tmp_path):
    """Whatever is left of the cache, the next process has the same pictures and nothing lies around."""
    fill(tmp_path / "photos", "a.png", "b.png", "c.png")
    pack = lambda cache, **fault: zygote.run("pack_folder", tmp_path / "photos", tmp_path / cache, **fault)
    read = lambda cache: {path.name: path.read_bytes() for path in (tmp_path / cache).rglob("*") if path.is_file() and path.suffix in (".npy", ".tmp")}
    whole = pack("whole")
    assert whole.status == 0 and whole.touches > 10 and len(read("whole")) == 1
    for n in range(1, whole.touches + 1):
        assert pack(f"{n}", fault=n).status == -signal.SIGKILL
        assert pack(f"{n}").status == 0 and read(f"{n}") == read("whole"), n
    tally(crash_points=whole.touches, resumed_equal=whole.touches)


def test_a_run_is_free_as_soon_as_its_process_is_killed(zygote, fabric, tally, tmp_path):
    """Also where processes that load pictures outlive it for some seconds; until then a second training is refused, and so is one in another thread."""
    run = tmp_path / "run"
    job = zygote.start("train_step", run, steps=10_000, save_every=1, workers=2).wait_for((run / "last.ckpt").exists)
    with pytest.raises(ValueError, match="Another process trains in .*: wait for it, or choose another folder"):
        crash_runs.fit(crash_runs.TinyStep(fabric), fabric, run)
    os.kill(job.process, signal.SIGKILL)
    assert job.wait().status == -signal.SIGKILL
    assert zygote.run("train_step", tmp_path / "run", steps=checkpoints.read(run / "last.ckpt")["done"] + 1, save_every=1).status == 0
    found = []

    class Nested(crash_runs.TinyStep):
        def __call__(self, batch):
            thread = threading.Thread(target=attempt)
            thread.start()
            thread.join()
            return super().__call__(batch)

    def attempt():
        with pytest.raises(ValueError, match="Another process trains in"):
            crash_runs.fit(crash_runs.TinyStep(fabric), fabric, tmp_path / "mine")
        found.append(True)
    for steps in (1, 2):      # one after the other may
        crash_runs.fit(Nested(fabric), fabric, tmp_path / "mine", steps=steps)
    assert found == [True, True]
    tally(sentences=3, crash_points=1)


# ---------------------------------------------------------------- asked to stop

@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_a_training_with_a_checkpoint(number, workers, zygote, whole, tally, tmp_path):
    """Sent to the processes that load pictures, too, as a terminal and a cluster do."""
    words = [*WORDS, "--workers", workers, "--run", tmp_path / "run"]
    job = zygote.start("command", *words, save_seconds=0.2).wait_for((tmp_path / "run" / "last.ckpt").exists)
    assert job.send(number).wait().status == 128 + number
    done = checkpoints.read(tmp_path / "run" / "last.ckpt")["done"]
    assert job.sentences == [f"stopped at update {done}; the same command goes on from there."] and done < UPDATES
    assert zygote.run("command", *words).status == 0
    assert_equal(outcome(tmp_path / "run"), whole)
    tally(sentences=1, resumed_equal=1)


def test_a_second_interrupt_stops_at_once(zygote, tally, tmp_path):
    job = zygote.start("train_step", tmp_path / "run", steps=30, slow=5.0)
    job.wait_for((tmp_path / "run" / ".training.lock").exists)
    time.sleep(0.5)
    began = time.monotonic()
    job.send(signal.SIGINT)
    time.sleep(1.5)      # long enough to hear that the update still goes on
    job.send(signal.SIGINT).wait()
    assert time.monotonic() - began < 4
    assert job.sentences == ["waiting for the end of this update; Ctrl-C once more stops at once."]
    assert "Stopped: stopped at update 0; the same command goes on from there." in job.err.read_text()
    tally(sentences=2)


class Slow(torch.utils.data.Dataset):      # not a pack, so that every sample is asked for
    def __init__(self, packed):
        self.packed, self.ids = packed, packed.ids

    def __len__(self):
        return len(self.packed)

    def __getitem__(self, i):
        return self.packed[i]


@pytest.mark.parametrize("where", ["in an update", "between updates"])
def test_an_interrupt_where_no_handler_can_be_set(where, fabric, tally, tmp_path):
    """In another thread than the main one, an interrupt that comes between two updates saves; in the middle of one the last checkpoint counts."""
    caught = []
    whole = crash_runs.fit(crash_runs.TinyStep(fabric), fabric, tmp_path / "whole")

    class Interrupted(crash_runs.TinyStep):
        calls = 0

        def __call__(self, batch):
            self.calls += 1
            if where == "in an update" and self.calls == 12:
                raise KeyboardInterrupt
            return super().__call__(batch)

    class Pictures(Slow):
        def __getitem__(self, i):
            if where == "between updates" and step.calls == 11:
                raise KeyboardInterrupt
            return super().__getitem__(i)
    step, known = Interrupted(fabric), crash_runs.pictures()

    def attempt():
        with pytest.raises(train.Stopped) as error:
            train.fit(step, Pictures(known), steps=30, fabric=fabric, run=tmp_path / "cut", **crash_runs.FEED)
        caught.append(str(error.value))
    thread = threading.Thread(target=attempt)
    thread.start()
    thread.join()
    assert caught == [f"stopped at update {11 if where == 'between updates' else 7}; the same command goes on from there."]
    assert train.fit(crash_runs.TinyStep(fabric), Slow(known), steps=30, fabric=fabric, run=tmp_path / "cut", **crash_runs.FEED) == whole
    tally(sentences=1, resumed_equal=1)


def test_an_interrupted_cell_shows_one_sentence(capsys, tally, tmp_path, monkeypatch):
    """In a notebook, in an update and before the first; the cell then goes on."""
    from IPython.core.interactiveshell import InteractiveShell
    shell, make_step, calls = InteractiveShell(), photonet.make_step, []
    monkeypatch.setenv("COLORLIB_CACHE", str(tmp_path / "cache"))

    def interrupted(*args):
        calls.append(1)
        if len(calls) == 1:
            raise KeyboardInterrupt
        step = make_step(*args)
        if len(calls) == 2:
            monkeypatch.setattr(type(step), "__call__", lambda *_: os.kill(os.getpid(), signal.SIGINT) or update(*_))
        return step
    update = photonet.Step.__call__
    monkeypatch.setattr(photonet, "make_step", interrupted)
    cell = f"""from colorlib import experiments
experiments.train_method("photonet", "smoke", "scenes:4", run={str(tmp_path / "run")!r}, steps=2, batch_size=2, device="cpu", progress=False,
                         changes={{"image_size": 32}})"""
    for sentence in ("stopped between two trainings or before the first; the same command goes on.",
                     "stopped at update 1; the same command goes on from there."):
        assert isinstance(shell.run_cell(cell).error_in_exec, KeyboardInterrupt)
        assert capsys.readouterr().out.strip() == f"Stopped: {sentence}"
    monkeypatch.setattr(photonet.Step, "__call__", update)
    assert shell.run_cell(cell).result.exists()
    tally(sentences=2)


# ---------------------------------------------------------------- several processes

def test_a_process_that_dies_ends_the_others(zygote, tally, tmp_path):
    """The real command with --devices 2."""
    words = [str(one) for one in [*WORDS, "--devices", "2", "--run", tmp_path / "run"]]
    words[words.index("--steps") + 1] = "2000"
    job = subprocess.Popen([sys.executable, "-m", "colorlib", *words], env=os.environ | zygote.environment, cwd=crash_runs.ROOT, text=True,
                           stderr=subprocess.PIPE)
    log, end = tmp_path / "run" / "log.jsonl", time.monotonic() + 120
    while not (log.exists() and log.stat().st_size):
        assert time.monotonic() < end and job.poll() is None
        time.sleep(0.05)
    children = subprocess.run(["pgrep", "-P", str(job.pid)], capture_output=True, text=True).stdout.split()
    assert len(children) == 1
    os.kill(int(children[0]), signal.SIGKILL)
    began = time.monotonic()
    assert job.wait(30) == 1 and time.monotonic() - began < 30
    said = [line for line in job.stderr.read().replace("\r", "\n").splitlines() if "colorlib: " in line]
    assert len(said) == 1 and said[0].endswith("Another process of this training has ended: the same command goes on from the last checkpoint.")
    tally(crash_points=1, sentences=1)


@pytest.mark.parametrize("victim", [0, 1, 2])
def test_processes_of_torchrun_end_together(victim, zygote, whole_of_two, tally, tmp_path):
    """Killed: the first process, the other one, the one that started both; then the run goes on as one that was never interrupted."""
    words = [*WORDS, "--run", tmp_path / "run"]
    began = time.monotonic()
    job = zygote.run("train_ranks", *words, port=free_port(), victim=victim, save_seconds=0, save_every=5)
    if victim == 2:
        assert job.status == -signal.SIGKILL
        job.wait_for(lambda: not alive(job.process), 30)
    else:
        statuses = [int(one) for one in job.out.read_text().split()[-2:]]
        assert statuses[victim] == -signal.SIGKILL and statuses[1 - victim] == 1
        assert job.sentences == ["Another process of this training has ended: the same command goes on from the last checkpoint."]
    assert time.monotonic() - began < 60
    tally(crash_points=1, sentences=victim < 2)
    assert zygote.run("train_ranks", *words, port=free_port(), save_every=5).status == 0
    assert_equal(outcome(tmp_path / "run"), whole_of_two)
    tally(resumed_equal=1)


def alive(group):
    """Whether a process group has members."""
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


def test_a_signal_to_one_process_stops_all(zygote, whole_of_two, tally, tmp_path):
    words = [*WORDS, "--run", tmp_path / "run"]
    job = zygote.run("train_ranks", *words, port=free_port(), victim=1, number=signal.SIGTERM, save_every=5)
    done = checkpoints.read(tmp_path / "run" / "last.ckpt")["done"]
    assert job.out.read_text().split()[-2:] == ["143", "0"] and job.sentences == [f"stopped at update {done}; the same command goes on from there."]
    assert zygote.run("train_ranks", *words, port=free_port(), save_every=5).status == 0
    assert_equal(outcome(tmp_path / "run"), whole_of_two)
    tally(sentences=1, resumed_equal=1)


def test_a_process_that_loads_pictures_is_killed(zygote, tally, tmp_path):
    job = zygote.start("train_step", tmp_path / "run", steps=10_000, workers=2).wait_for((tmp_path / "run" / "last.ckpt").exists)
    workers = subprocess.run(["pgrep", "-P", str(job.process)], capture_output=True, text=True).stdout.split()
    assert len(workers) == 2
    os.kill(int(workers[0]), signal.SIGKILL)
    began = time.monotonic()
    job.wait()
    assert time.monotonic() - began < 30 and "ChildProcessError: A process that loads pictures was ended from outside" in job.err.read_text()
    done = checkpoints.read(tmp_path / "run" / "last.ckpt")["done"]
    for run in ("run", "whole"):
        assert zygote.run("train_step", tmp_path / run, steps=done + 10, workers=2 * (run == "whole")).status == 0
    assert_equal(outcome(tmp_path / "run"), outcome(tmp_path / "whole"))
    tally(crash_points=1, sentences=1, resumed_equal=1)


# ---------------------------------------------------------------- disks

@pytest.mark.parametrize("fault", ["open", "write", "fsync", "replace", "log"])
def test_a_full_disk(fault, fabric, tally, tmp_path, monkeypatch):
    """In the middle of a training: the last checkpoint stays as it is, nothing lies around, and with space again the run goes on."""
    expected = crash_runs.fit(crash_runs.TinyStep(fabric), fabric, tmp_path / "whole")
    crash_runs.fit(crash_runs.TinyStep(fabric), fabric, tmp_path / "run", steps=14)
    before = {path.name: path.read_bytes() for path in (tmp_path / "run").iterdir() if path.name != "log.jsonl"}

    def refuse(work):
        def full(name, *args, **kwargs):
            place = os.readlink(f"/proc/self/fd/{name}") if isinstance(name, int) else str(name)
            if str(tmp_path) in place and ("log.jsonl" in place) == (fault == "log") and (fault != "log" or "a" in args):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), place)
            return work(name, *args, **kwargs)
        return full
    with monkeypatch.context() as patch:
        if fault == "write":
            patch.setattr(files._Watched, "write", refuse(files._Watched.write))
        elif fault == "log":
            patch.setattr("builtins.open", refuse(open))
        elif fault == "open":
            patch.setattr(files, "_Watched", refuse(files._Watched))
        else:
            patch.setattr(os, fault, refuse(getattr(os, fault)))
        with pytest.raises(OSError, match=r"run/(last\.ckpt|log\.jsonl) cannot be written \(No space left on device, [\d,]+ MB are free\): free some space"):
            crash_runs.fit(crash_runs.TinyStep(fabric), fabric, tmp_path / "run")
    assert {path.name: path.read_bytes() for path in (tmp_path / "run").iterdir() if path.name != "log.jsonl"} == before
    assert [row for row in crash_runs.fit(crash_runs.TinyStep(fabric), fabric, tmp_path / "run") if row["step"] != 14] == expected      # where it once ended
    assert_equal(*({name: value for name, value in outcome(tmp_path / run).items() if "log" not in name} for run in ("run", "whole")))
    tally(sentences=1, resumed_equal=1)


def test_a_disk_that_takes_no_more(zygote, tally, tmp_path):
    """The system's own refusal, in the checkpoint and in the cache."""
    job = zygote.run("train_limited", tmp_path / "run", 4000, steps=30)
    sentence = r"OSError: .*last.ckpt cannot be written \(File too large, [\d,]+ MB are free\): free some space"
    assert job.status == 70 and re.search(sentence, job.err.read_text())
    assert sorted(path.name for path in (tmp_path / "run").iterdir()) == [".training.lock", "log.jsonl"]
    fill(tmp_path / "photos", *(f"{i}.png" for i in range(9)))
    job = zygote.run("pack_folder", tmp_path / "photos", tmp_path / "cache", 4000)
    assert "The pack could not be written" in job.err.read_text() and not [path for path in (tmp_path / "cache").iterdir() if path.suffix != ".lock"]
    for name in ("run", "whole"):
        assert zygote.run("train_step", tmp_path / name, steps=30).status == 0
    assert_equal(outcome(tmp_path / "run"), outcome(tmp_path / "whole"))
    tally(sentences=2, resumed_equal=1)


def flip(content, draw):
    place = draw.randrange(len(content))
    return content[:place] + bytes([content[place] ^ (1 << draw.randrange(8))]) + content[place + 1:]


def other_archive(content, draw):
    file = io.BytesIO()
    torch.save({"weight": torch.zeros(3)}, file)
    return file.getvalue()


DAMAGES = {"cut in half": lambda content, draw: content[:len(content) // 2], "without its end": lambda content, draw: content[:-1],
           "empty": lambda content, draw: b"", "its end zeros": lambda content, draw: content[:-4096] + bytes(4096),
           "a web page": lambda content, draw: b"<!DOCTYPE html><html>404</html>",
           "zeros in the middle": lambda content, draw: content[:9000] + bytes(500) + content[9500:], "another archive": other_archive,
           "a pickle": lambda content, draw: pickle.dumps({"done": 3}), "text before it": lambda content, draw: content[:700] + b"x" * 64 + content[764:]}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_checkpoint(damage, fabric, tally, tmp_path):
    """Falls back to the one before, and says so; where both are damaged nothing begins again from nothing."""
    expected = crash_runs.fit(crash_runs.TinyStep(fabric), fabric, tmp_path)
    last, previous = tmp_path / "last.ckpt", tmp_path / "previous.ckpt"
    whole, older = last.read_bytes(), previous.read_bytes()
    last.write_bytes(DAMAGES[damage](whole, random.Random(0)))
    sentence = "last.ckpt was cut short or altered, so the training goes on from previous.ckpt, at update 28: the log went to 30, so at least 2 updates"
    with pytest.warns(UserWarning, match=sentence):
        assert crash_runs.fit(crash_runs.TinyStep(fabric), fabric, tmp_path) == expected
    assert previous.read_bytes() == older and checkpoints.read(last)["done"] == 30
    for path in (last, previous):
        path.write_bytes(DAMAGES[damage](path.read_bytes(), random.Random(0)))
    with pytest.raises(ValueError, match="Neither checkpoint in .* can be read: put a copy back, or delete the folder to start again"):
        crash_runs.fit(crash_runs.TinyStep(fabric), fabric, tmp_path)
    previous.unlink()
    with pytest.raises(ValueError, match="last.ckpt is no whole checkpoint: it was cut short or altered; there is no older one"):
        crash_runs.fit(crash_runs.TinyStep(fabric), fabric, tmp_path)
    tally(inputs=1, sentences=3, resumed_equal=1)


def test_no_flipped_bit_of_a_checkpoint_goes_unseen(fabric, tally, tmp_path):
    crash_runs.fit(crash_runs.TinyStep(fabric), fabric, tmp_path / "run", steps=7)
    whole, draw, seen = (tmp_path / "run" / "last.ckpt").read_bytes(), random.Random(1), 0
    expected, file = outcome(tmp_path / "run"), tmp_path / "run" / "last.ckpt"
    for _ in range(200):
        file.write_bytes(flip(whole, draw))
        try:
            checkpoints.read(file)
        except ValueError:
            seen += 1
        else:      # a bit that says nothing, between the parts
            assert_equal(outcome(tmp_path / "run"), expected)
    assert seen > 80
    tally(inputs=200, sentences=seen)


@pytest.mark.parametrize("damage", [*DAMAGES, "bit", "missing"])
@pytest.mark.parametrize("name", ["rgb.npy", "index.json"])
def test_a_damaged_pack_is_made_again(name, damage, tally, tmp_path):
    fill(tmp_path / "photos", *(f"{i}.png" for i in range(9)))
    source = data.Pictures(tmp_path / "photos", size=32)
    known = data.pack(source, tmp_path / "cache")
    expected, digest = known.rgb.copy(), known.digest
    file = next((tmp_path / "cache").rglob(name))
    content = file.read_bytes()
    file.unlink() if damage == "missing" else file.write_bytes((DAMAGES | {"bit": flip})[damage](content, random.Random(2)))
    found = data.pack(source, tmp_path / "cache")
    assert (found.rgb == expected).all() and found.digest == digest and found.ids == known.ids
    file.write_bytes(content)      # touched, but the same
    assert data.pack(source, tmp_path / "cache").digest == digest
    tally(inputs=1)


@pytest.mark.parametrize("name", ["rgb.npy", "index.json"])
def test_a_pack_altered_with_its_time_kept(name, tally, tmp_path):
    fill(tmp_path / "photos", *(f"{i}.png" for i in range(9)))
    source = data.Pictures(tmp_path / "photos", size=32)
    expected = data.pack(source, tmp_path / "cache").rgb.copy()
    file = next((tmp_path / "cache").rglob(name))
    found = file.stat()
    file.write_bytes(flip(file.read_bytes(), random.Random(3)))
    os.utime(file, ns=(found.st_atime_ns, found.st_mtime_ns))
    assert (data.pack(source, tmp_path / "cache").rgb == expected).all()
    tally(inputs=1)


@pytest.mark.parametrize("change", ["bytes", "length", "time alone", "another file"])
def test_a_pack_altered_while_it_is_trained_on(change, fabric, tally, tmp_path):
    """No checkpoint is made of other pictures; a map whose name was given to another file stays what it was."""
    fill(tmp_path / "photos", *(f"{i}.png" for i in range(9)))
    open_pack = lambda: data.pack(data.Pictures(tmp_path / "photos", size=32), tmp_path / "cache")
    expected = train.fit(crash_runs.TinyStep(fabric), open_pack(), steps=30, fabric=fabric, **crash_runs.FEED)
    file = next((tmp_path / "cache").rglob("rgb.npy"))
    content, before = file.read_bytes(), file.stat()

    class Meanwhile(crash_runs.TinyStep):
        calls = 0

        def __call__(self, batch):
            self.calls += 1
            if self.calls == 10:
                if change == "another file":
                    file.unlink()
                file.write_bytes({"bytes": content[:-5000] + bytes(5000), "time alone": content}.get(change, content + b" "))
                os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
            return super().__call__(batch)
    start = lambda kind: train.fit(kind(fabric), open_pack(), steps=30, fabric=fabric, run=tmp_path / "run", **crash_runs.FEED)
    if change in ("bytes", "length"):
        with pytest.raises(ValueError, match="rgb.npy was changed while it was trained on: the same command makes it again and goes on from the last"):
            start(Meanwhile)
        assert checkpoints.read(tmp_path / "run" / "last.ckpt")["done"] == 7
        tally(sentences=1)
    assert start(crash_runs.TinyStep if change in ("bytes", "length") else Meanwhile) == expected
    tally(inputs=1, resumed_equal=1)


@pytest.mark.parametrize("change", [lambda file: file.unlink(), lambda file: file.write_bytes(file.with_name("5.png").read_bytes() + b" ")])
def test_photos_that_change_while_they_are_packed(change, tally, tmp_path):
    """No pack is kept, which would be taken for whole when they are back."""
    fill(tmp_path / "photos", *(f"{i}.png" for i in range(9)))

    class Meanwhile(data.Pictures):
        def read(self, i):
            if i == 0:
                change(tmp_path / "photos" / "8.png")
            return super().read(i)
    file = tmp_path / "photos" / "8.png"
    content, found = file.read_bytes(), file.stat()
    with pytest.raises(ValueError, match="photos was changed while its pictures were read: put back what is missing"):
        data.pack(Meanwhile(tmp_path / "photos", size=32), tmp_path / "cache", threads=1)
    assert [path.suffix for path in (tmp_path / "cache").iterdir()] in ([], [".lock"])
    file.write_bytes(content)
    os.utime(file, ns=(found.st_atime_ns, found.st_mtime_ns))
    assert len(data.pack(data.Pictures(tmp_path / "photos", size=32), tmp_path / "cache")) == 9
    tally(inputs=1, sentences=1)


# ---------------------------------------------------------------- numbers and memory

def test_no_step_goes_round_the_checks():
    """Papers update their networks by `train.descend` and `train.update` alone, which look at the loss first."""
    for file in [*(crash_runs.ROOT / "colorlib" / "papers").glob("*.py"), crash_runs.ROOT / "colorlib" / "vgg.py"]:
        assert not re.findall(r"\.backward\(|optimizer\.step\(|autograd\.backward", file.read_text()), file


class NotFinite(crash_runs.TinyStep):
    """From the 17th update on something is no number."""

    def __init__(self, fabric, what):
        super().__init__(fabric)
        self.what, self.calls = what, 0

    def __call__(self, batch):
        self.calls += 1
        with torch.no_grad():
            if self.calls == 17 and self.what == "weights":
                self.model.module[0].weight[0, 0, 0, 0] = torch.nan
            if self.calls == 28 and self.what == "unused weights":
                self.average.module[0].bias[0] = torch.inf
        return super().__call__(batch)

    def losses(self, batch):
        loss = super().losses(batch)["loss"]
        if self.calls >= 17 and self.what in ("nan", "inf"):
            loss = loss * float(self.what)
        if self.calls >= 17 and self.what == "gradient":      # of the root at zero
            loss = loss + (self.model.module[0].weight * 0).sum().sqrt() * 1
        return {"loss": loss}


@pytest.mark.parametrize("what", ["nan", "inf", "gradient", "weights", "unused weights"])
def test_numbers_that_are_not_finite(what, fabric, tally, tmp_path):
    """Stop a training at once or at its next checkpoint, which is not written; without a run folder, too."""
    crash_runs.fit(crash_runs.TinyStep(fabric), fabric, tmp_path / "run", steps=14)
    with pytest.raises(FloatingPointError, match="not finite.*: lower the learning rate or check the data; the last checkpoint is unharmed"):
        step = NotFinite(fabric, what)
        step.calls = 14
        crash_runs.fit(step, fabric, tmp_path / "run", steps=29)
    done = checkpoints.read(tmp_path / "run" / "last.ckpt")["done"]
    checkpoints.check_finite(checkpoints.read(tmp_path / "run" / "last.ckpt")["parts"])
    assert done == (21 if what == "unused weights" else 14)
    with pytest.raises(FloatingPointError, match="not finite"):
        crash_runs.fit(NotFinite(fabric, what), fabric, steps=29)
    tally(inputs=1, sentences=2)


def all_of_it(batch):
    torch.empty(2 ** 50)


def on_a_gpu(batch):
    raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB. GPU 0 has a total capacity of ...")


def in_a_library(batch):
    raise RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED")


def in_python(batch):
    raise MemoryError


@pytest.mark.parametrize("work", [all_of_it, on_a_gpu, in_a_library, in_python])
def test_out_of_memory(work, fabric, tally):
    with pytest.raises(MemoryError, match="batches of 4: lower --batch-size, add --checkpoint-activations, or choose --precision bf16-mixed; the last"):
        crash_runs.fit(work, fabric)
    tally(inputs=1, sentences=1)


# ---------------------------------------------------------------- other runs, other pictures

@pytest.mark.parametrize("change, sentence", [
    ({"tag": "b"}, r"holds a run of another configuration \(a, of 14 updates; now b, of 30\)"),
    ({"steps": 13}, "holds 14 updates already, more than the 13 asked for"),
    ({"batch_size": 5}, r"began with other settings \(batch_size 4, now 5\)"), ({"seed": 4, "crop": 8}, r"\(seed 3, now 4, crop 12, now 8\)"),
    ({"step": "another part"}, r"another version of this method \(with .*; now .*, more\)"), ({"step": "another shape"}, "another version of this method"),
    ({"pictures": 9}, "The pictures are not those that the run in .* began with: put back what was changed")])
def test_another_run_is_refused(change, sentence, fabric, tally, tmp_path):
    pictures = crash_runs.pictures(change.pop("pictures", 10))
    crash_runs.fit(crash_runs.TinyStep(fabric), fabric, tmp_path, steps=14, tag="a")
    before, step = (tmp_path / "last.ckpt").read_bytes(), crash_runs.TinyStep(fabric)
    if (kind := change.pop("step", None)) == "another part":
        step.more = torch.nn.Linear(1, 1)
    elif kind:
        step.average = train.moving_average(torch.nn.Conv2d(3, 5, 3))
    with pytest.raises(ValueError, match=sentence):
        train.fit(step, pictures, fabric=fabric, run=tmp_path, **crash_runs.FEED | {"steps": 30, "tag": "a"} | change)
    assert (tmp_path / "last.ckpt").read_bytes() == before
    tally(inputs=1, sentences=1)


def test_a_checkpoint_of_before_goes_on(fabric, tmp_path):
    """Without what this version keeps beside."""
    expected = crash_runs.fit(crash_runs.TinyStep(fabric), fabric, tmp_path / "whole")
    crash_runs.fit(crash_runs.TinyStep(fabric), fabric, tmp_path / "run", steps=10)
    state = torch.load(tmp_path / "run" / "last.ckpt", weights_only=True)
    for name in ("feed", "steps", "python_gauss", "numpy_gauss"):
        del state[name]
    state["log"] = [{name: value for name, value in row.items() if "seconds" not in name} for row in state["log"]]
    torch.save(state, tmp_path / "run" / "last.ckpt")
    assert crash_runs.fit(crash_runs.TinyStep(fabric), fabric, tmp_path / "run") == expected
    assert checkpoints.minutes(tmp_path / "run") > 0


@pytest.mark.parametrize("damage", ["half a line", "nonsense", "gone"])
def test_a_damaged_log_is_written_again(damage, fabric, tally, tmp_path):
    crash_runs.fit(crash_runs.TinyStep(fabric), fabric, tmp_path, steps=14)
    log = tmp_path / "log.jsonl"
    whole = log.read_text()
    log.unlink() if damage == "gone" else log.write_text(whole[:-30] if damage == "half a line" else '[3}\n{"step": {}}\n' + whole[40:])
    crash_runs.fit(crash_runs.TinyStep(fabric), fabric, tmp_path, steps=14)
    assert log.read_text() == whole
    tally(inputs=1, resumed_equal=1)


def test_pictures_that_change_between(zygote, capsys, tally, tmp_path, monkeypatch):
    """One removed, one replaced, all gone: refused; put back, the run goes on as if nothing had been."""
    monkeypatch.setenv("COLORLIB_CACHE", str(tmp_path / "cache"))
    photos = tmp_path / "photos" / "train"
    fill(photos, *(f"{i}.png" for i in range(8)), height=48, width=48)
    words = ["train", "photonet", "--data", tmp_path / "photos", "--device", "cpu", "--steps", 4, "--batch-size", 2, "--set", "image_size=32", "--run"]
    start = lambda run, **options: zygote.run("command", *words, tmp_path / run, environment={"COLORLIB_CACHE": str(tmp_path / "cache")}, **options)
    whole = start("whole", save_seconds=-1)
    assert whole.status == 0, whole.err.read_text()
    assert start("run", save_seconds=-1, fault=whole.touches // 2).status == -signal.SIGKILL
    kept, other = (photos / "3.png").read_bytes(), (photos / "4.png").read_bytes()
    (photos / "3.png").unlink()
    sentence = f"The pictures are not those that the run in {tmp_path / 'run'} began with: put back what was changed, or choose another folder or delete it."
    assert start("run").sentences == [sentence]
    (photos / "3.png").write_bytes(other)
    assert start("run").sentences == [sentence]
    photos.rename(tmp_path / "elsewhere")
    job = start("run")
    assert job.status == 1 and len(job.sentences) == 1 and str(tmp_path / "photos") in job.sentences[0]
    (tmp_path / "elsewhere").rename(photos)
    (photos / "3.png").write_bytes(kept)
    assert start("run").status == 0
    assert_equal(outcome(tmp_path / "run"), outcome(tmp_path / "whole"))
    tally(sentences=3, resumed_equal=1)


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("damage", ["gone", "cut", "a web page"])
def test_shards_that_change_while_they_are_streamed(damage, workers, fabric, tally, tmp_path, monkeypatch):
    monkeypatch.setenv("COLORLIB_CACHE", str(tmp_path / "cache"))
    paths = data.write_shards(data.SceneSet(24, size=32), tmp_path / "shards", per_shard=6)
    how = crash_runs.FEED | {"fabric": fabric, "steps": 30, "crop": 24, "workers": workers, "save_every": 2}
    open_stream = lambda: data.Streamed(data.Shards(tmp_path / "shards", 32), buffer=4)
    expected, kept = train.fit(crash_runs.TinyStep(fabric), open_stream(), **how), paths[1].read_bytes()

    class Meanwhile(crash_runs.TinyStep):
        def __call__(self, batch):
            if (tmp_path / "run" / "last.ckpt").exists():
                paths[1].unlink(missing_ok=True) if damage == "gone" else paths[1].write_bytes(kept[:3000] if damage == "cut" else b"<html></html>" * 1000)
            return super().__call__(batch)
    with pytest.raises(ValueError, match="shard-000001.tar is gone or was changed since the training began: put it back; the same command goes on"):
        train.fit(Meanwhile(fabric), open_stream(), run=tmp_path / "run", **how)
    paths[1].write_bytes(kept)
    assert train.fit(crash_runs.TinyStep(fabric), open_stream(), run=tmp_path / "run", **how) == expected
    tally(inputs=1, sentences=1, resumed_equal=1)


@pytest.mark.parametrize("words, sentence", [
    ("--steps 0", "--steps"), ("--steps -5", "--steps"), ("--batch-size 0", "--batch-size"), ("--batch-size -2", "--batch-size"), ("--workers -1", "--workers"),
    ("--devices 0", "--devices"), ("--nodes 0", "--nodes"), ("--set steps=0", "steps is 0"),
    ("--seed 99999999999", "give a number below 2^32"),
    ("--devices 3 --batch-size 4", "cannot be shared by 3 processes"), ("--run FILE", "is a file where a folder is needed"), ("--run FILE/run", "FILE"),
    ("--run /proc/nowhere/run", "/proc/nowhere"), ("--save FOLDER", "is a folder: name a .safetensors file"), ("--save FILE/w.safetensors", "FILE"),
    ("--data FOLDER", "holds no files"), ("--data nowhere", "nowhere"), ("--set image_size=0", "0"), ("--set batch_size=0", "batch_size is 0"),
    ("--device tpu", "tpu"), ("--set image_size=100000", "image_size is 100,000: give at most"), ("--set blocks=100000", "blocks is 100,000: give at most"),
    *((f"--set {changed}", f"photonet cannot be trained with {changed} (") for changed in ("channels=(-1,)", "channels=(0,)", "blocks=-1", "small=()",
                                                                                          "sigma=1e+300", "learning_rate=-1.0"))])
def test_words_that_make_no_training(words, sentence, capsys, tally, tmp_path, monkeypatch):
    """One sentence each, before anything is read or trained."""
    monkeypatch.setenv("COLORLIB_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "FILE").write_text("a file")
    (tmp_path / "FOLDER").mkdir()
    try:
        status = cli.main(["train", "photonet", "--data", "scenes:8", "--device", "cpu", *words.split()])
    except SystemExit as error:      # of what no number can be
        status = error.code
    assert status in (1, 2)
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 1 and said[0].startswith("colorlib: ") and sentence in said[0], said
    assert not list(tmp_path.rglob("*.ckpt"))
    tally(inputs=1, sentences=1)


def test_more_pictures_at_a_time_than_there_are(fabric, tally):
    with pytest.warns(UserWarning, match="A batch of 16 is more than the 10 pictures there are: every update sees some of them several times"):
        crash_runs.fit(crash_runs.TinyStep(fabric), fabric, steps=1, batch_size=16)
    with pytest.raises(ValueError, match="The data set is empty"):
        train.fit(crash_runs.TinyStep(fabric), crash_runs.pictures(0), steps=1, batch_size=1, fabric=fabric)
    tally(inputs=2, sentences=2)
