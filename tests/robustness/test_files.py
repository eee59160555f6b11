"""Files: written whole or not at all, by one at a time, and looked at before they are used. Weights, tables, answers; kills, full disks, hands that
edited them."""
import ast
import contextlib
import dataclasses
import errno
import io
import json
import math
import multiprocessing
import os
import pickle
import signal
import stat
import struct
import tempfile
import time
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch
import torchvision
from PIL import Image

import colorlib
from colorlib import __main__ as cli
from colorlib import classifiers, files, hints, images, pretrained, results, zoo
from colorlib.fooling import fooling_answers
from colorlib.metrics import learned_metrics
from colorlib.papers import cic

PACKAGE = Path(colorlib.__file__).parent
OLD, NEW = b"of before" * 1000, bytes(range(256)) * 800
forks = pytest.mark.skipif(not hasattr(os, "fork"), reason="starting processes takes long without fork")


# ---------------------------------------------------------------- every place that writes

# what else may open a file to write it, and why
ALLOWED = {
    "files.py": "the one place", "bench/": "scripts that measure in folders of their own, deleted afterwards",
    "export.py": "a library writes into a temporary folder, write_atomic the result",
    "train/checkpoints.py": "checkpoints in two generations and a log of lines, tested in test_crashes.py", "data/shards.py": "shards, tested in test_crashes.py",
    "data/packing.py": "packs, whole folders that get their name at the end, tested in test_crashes.py",
    "data/archives.py": "an unpacked folder gets its name at the end", "data/downloads.py": "what is kept of an interrupted download",
    "saliency/__init__.py": "rows that an interrupted run finds again",
    "data/video_writing.py": "PyAV writes into a name that files.py gives", "experiments/reproduce_all.py": "what a command prints, line by line",
}
WRITERS = {"write_text", "write_bytes", "imwrite", "imsave", "save_file", "tofile", "to_csv", "open_memmap", "savez", "savez_compressed", "savetxt",
    "TarWriter", "ShardWriter",
           "mkstemp", "NamedTemporaryFile", "copyfile", "copy2", "copytree", "copyfileobj", "symlink_to", "hardlink_to", "memmap"}
DOTTED = {"os.replace", "os.rename", "os.renames", "os.open", "os.link", "shutil.move", "shutil.copy", "torch.save", "np.save", "json.dump", "pickle.dump",
    "safetensors.torch.save_file"}
IN_MEMORY = {"content", "file", "buffer"}      # names of io.BytesIO and of files that somebody else opened


def is_mode(node):
    """Whether an argument is, or may be, a mode that writes."""
    if isinstance(node, ast.IfExp):
        return is_mode(node.body) or is_mode(node.orelse)
    return isinstance(node, ast.Constant) and isinstance(node.value, str) and bool(set(node.value) & set("wax+")) and set(node.value) <= set("rwaxbt+:|gzx2*")


def writes(call):
    """Whether a call writes a file by itself."""
    name, dotted = getattr(call.func, "attr", getattr(call.func, "id", "")), ast.unparse(call.func)
    arguments = [*call.args, *(keyword.value for keyword in call.keywords)]
    if any(isinstance(one, ast.Name) and one.id in IN_MEMORY for one in arguments[:2]):
        return False
    is_method = isinstance(call.func, ast.Attribute)
    return name == "open" and any(map(is_mode, arguments)) or name in WRITERS or dotted in DOTTED or is_method and name in ("rename",
        "replace") and len(arguments) == 1 \
        or is_method and name == "savefig" or name == "ZipFile" and any(map(is_mode,
            arguments[1:])) or is_method and name == "save" and dotted.startswith("Image.")


def found_in(code):
    return [f"{node.lineno}: {ast.unparse(node)}" for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Call) and writes(node)]


@pytest.mark.parametrize("module", sorted(path.relative_to(PACKAGE).as_posix() for path in PACKAGE.rglob("*.py")))
def test_no_module_writes_in_a_way_of_its_own(module, tally):
    found = found_in((PACKAGE / module).read_text(encoding="utf-8"))
    if any(module.startswith(name) for name in ALLOWED):
        return
    assert not found, f"colorlib/{module} writes a file without colorlib.files: {found}"
    tally(writes=1)


def test_the_search_finds_what_it_should_and_the_list_is_not_longer_than_needed():
    lines = ["open(p, 'w')", "p.open('ab')", "open(p, mode='x')", "open(p, 'ab' if a else 'wb')", "p.write_text('')", "p.write_bytes(b'')", "np.save(p, x)",
        "torch.save(x, p)",
             "json.dump(x, f)", "cv2.imwrite(p, x)", "p.rename(q)", "p.replace(q)", "os.replace(p, q)", "figure.savefig(p)", "av.open(p, 'w')",
             "tarfile.open(p, 'w:gz')",
             "zipfile.ZipFile(p, 'w')", "safetensors.torch.save_file(x, p)", "Image.fromarray(x).save(p)", "np.savez(p, x=x)", "shutil.copy(p, q)"]
    assert [bool(found_in(line)) for line in lines] == [True] * len(lines)
    assert not any(map(found_in, ["open(p)", "open(p, 'rb')", "s.replace('a', 'b')", "av.open(p)", "np.savez(content, x=x)", "row.save(x)", "tarfile.open(p)",
        "zipfile.ZipFile(p)"]))
    for name in ALLOWED:
        paths = PACKAGE.glob(name + "*") if name.endswith("/") else [PACKAGE / name]
        assert all(path.exists() for path in paths)


# ---------------------------------------------------------------- one write

def write(path):
    files.write_atomic(path, NEW)


def write_stream(path):
    with files.scratch_file(path) as file:
        for start in range(0, len(NEW), 1000):
            file.write(NEW[start:start + 1000])


def write_name(path):
    with files.scratch_name(path) as scratch:
        scratch.write_bytes(NEW)


def write_torch(path):
    with files.scratch_file(path) as file:
        torch.save({"numbers": torch.arange(100_000)}, file)


def write_picture(path):
    images.save_image(path, np.random.default_rng(0).integers(0, 256, (200, 200, 3), dtype=np.uint8), overwrite=True)


def write_weights(path):
    torch.manual_seed(0)
    model = torch.nn.Linear(300, 300)
    model.config = cic.PRESETS["smoke"]
    zoo.save_weights(model, "cic", path, {})


def write_row(path):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COLORLIB_RESULTS", str(path.parent))
        results.append(path.stem, {"method": "m", "notes": "n" * 100_000})


def write_section(path):
    results.replace_section(path, "a", "text " * 20_000)


def write_answer(path):
    fooling_answers.append_answer(path, dict.fromkeys(fooling_answers.COLUMNS, "x") | {"right": 1, "seconds": "1.0", "session": "0" * results.HASH_LENGTH,
        "shown": "s" * 100_000})


def write_hints(path):
    hints.HintSet(400, 400, [hints.Hint(y, x, 10, 20) for y in range(40) for x in range(40)]).save(path)


def write_video(path):
    from colorlib.data.video_writing import write_video
    draw = np.random.default_rng(0)
    write_video(path, [draw.integers(0, 256, (64, 64, 3), dtype=np.uint8) for _ in range(24)])


ANSWERS = ",".join(fooling_answers.COLUMNS).encode() + b"\n"
WAYS = {"write_atomic": (write, "f.bin", OLD), "scratch_file": (write_stream, "f.bin", OLD), "scratch_name": (write_name, "f.bin", OLD),
    "torch.save": (write_torch, "f.bin", OLD),
        "picture": (write_picture, "f.png", OLD), "weights": (write_weights, "f.safetensors", OLD), "row": (write_row, "f.csv", b"method,notes\nm,old\n"),
        "section": (write_section, "f.md", b"<!-- a:begin -->\nold\n<!-- a:end -->\n"), "answer": (write_answer, "f.csv", ANSWERS),
        "hints": (write_hints, "f.json", OLD),
        "video": (write_video, "f.mp4", OLD), "gif": (write_video, "f.gif", OLD)}


@contextlib.contextmanager
def full_disk(limit=20_000):
    """Files cannot grow beyond so many bytes."""
    import resource
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@contextlib.contextmanager
def failing(name, error):
    with pytest.MonkeyPatch.context() as patch:
        def fail(*_, **__):
            raise error
        patch.setattr(os, name, fail)
        yield


FAULTS = {"full": full_disk, "full at fsync": lambda: failing("fsync", OSError(errno.ENOSPC, "No space left on device")),
          "Ctrl-C at fsync": lambda: failing("fsync", KeyboardInterrupt()), "Ctrl-C at rename": lambda: failing("replace", KeyboardInterrupt()),
          "read-only at rename": lambda: failing("replace", OSError(errno.EROFS, "Read-only file system", "f"))}


@pytest.mark.skipif(os.name != "posix", reason="needs limits of a process")
@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("way", WAYS)
def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(tmp_path, way, fault, tally):
    do, name, old = WAYS[way]
    path = tmp_path / name
    path.write_bytes(old)
    with pytest.raises((OSError, ValueError, KeyboardInterrupt)) as error, FAULTS[fault]():
        do(path)
    assert path.read_bytes() == old and [one for one in os.listdir(tmp_path) if not one.endswith(".lock")] == [name]
    if error.type is not KeyboardInterrupt:
        assert str(path.with_suffix("")) in str(error.value) and "\n" not in str(error.value) and any(word in str(error.value) for word in ("free some space",
            "name another place"))
    do(path)
    assert path.read_bytes() != old
    tally(writes=2, sentences=error.type is not KeyboardInterrupt)


@pytest.mark.parametrize("target, message", [
    ("folder", "is a folder"), ("gone/f.bin", "there is no folder"), ("f.bin/g.bin", "is no folder"), ("x" * 300, "name is too long"), ("a\0b", "zero byte"),
    ("/dev/null", "no regular file")])
def test_places_that_cannot_be_written(tmp_path, target, message, tally):
    (tmp_path / "folder").mkdir()
    (tmp_path / "f.bin").write_bytes(OLD)
    with pytest.raises((OSError, ValueError), match=message):
        files.write_atomic(target if target.startswith("/") else tmp_path / target, NEW)
    assert (tmp_path / "f.bin").read_bytes() == OLD and sorted(os.listdir(tmp_path)) == ["f.bin", "folder"]
    tally(writes=1, sentences=1)


@pytest.fixture
def plain_folder():
    """A folder of somebody who may not write everything, as the system's administrator may."""
    with tempfile.TemporaryDirectory() as name:
        if was_root := os.geteuid() == 0:
            (Path(name) / "f.csv").write_bytes(ANSWERS)
            write_answer(Path(name) / "f.csv")                    # Python looks for its modules before it cannot any more
            for left in Path(name).iterdir():
                left.unlink()
            os.chown(name, 65534, -1)
            os.seteuid(65534)
        try:
            yield Path(name)
        finally:
            if was_root:
                os.seteuid(0)


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="needs permissions as POSIX has them")
@pytest.mark.parametrize("way", ["write_atomic", "picture", "row", "answer", "hints", "video", "weights", "section"])
def test_folders_and_files_that_are_read_only(plain_folder, way, tally):
    do, name, old = WAYS[way]
    path = plain_folder / name
    path.write_bytes(old)
    for locked, mode in ((plain_folder, 0o500), (path, 0o400)):
        locked.chmod(mode)
        with pytest.raises((OSError, ValueError), match=f"{path.stem}.*permissions, or name another") as error:
            do(path)
        assert "\n" not in str(error.value)
        locked.chmod(0o700)
    assert path.read_bytes() == old and [one for one in os.listdir(plain_folder) if not one.endswith(".lock")] == [name]
    tally(writes=2, sentences=2)


def test_links_permissions_and_long_names_are_kept(tmp_path):
    path, link = tmp_path / "f.bin", tmp_path / "link.bin"
    path.write_bytes(OLD)
    path.chmod(0o640)
    link.symlink_to(path)
    files.write_atomic(link, NEW)
    assert link.is_symlink() and path.read_bytes() == NEW and stat.S_IMODE(path.stat().st_mode) == 0o640
    files.write_atomic(tmp_path / ("\u00e9" * 127), NEW)
    files.write_atomic(tmp_path / ("x" * 255), NEW)
    assert len(os.listdir(tmp_path)) == 4


@pytest.fixture
def crowd():
    """Starts functions in processes of their own; all are ended."""
    context, started = multiprocessing.get_context("fork"), []

    def start(work, *arguments):
        process = context.Process(target=work, args=arguments, daemon=True)
        process.start()
        started.append(process)
        return process
    yield start
    for process in started:
        process.kill()
        process.join()


def write_for_ever(path):
    for number in range(10**6):
        files.write_atomic(path, bytes([number % 256]) * 300_000)


@forks
def test_kills_leave_a_whole_file_and_the_next_writer_sweeps(tmp_path, crowd, tally):
    """Twenty kills at random moments; what they leave is not taken for a result, and goes."""
    path, draw, seen = tmp_path / "f.bin", np.random.default_rng(0), 0
    files.write_atomic(path, b"\0" * 300_000)
    for _ in range(20):
        process = crowd(write_for_ever, path)
        time.sleep(draw.uniform(0.02, 0.06))
        os.kill(process.pid, signal.SIGKILL)
        process.join()
        content = path.read_bytes()
        assert len(content) == 300_000 and len(set(content)) == 1
        seen = max(seen, len(os.listdir(tmp_path)))
        assert all(name == "f.bin" or files.TEMPORARY.fullmatch(name) for name in os.listdir(tmp_path)) and len(os.listdir(tmp_path)) <= 2
        tally(crash_points=1)
    foreign = tmp_path / ".f.bin.00000000-1-00000000.tmp"
    foreign.write_bytes(b"another machine's")
    mine = tmp_path / f".f.bin.{files._machine():08x}-{os.getpid()}-00000000.tmp"
    mine.write_bytes(b"under way")
    files._swept.clear()
    files.write_atomic(path, NEW)
    assert sorted(os.listdir(tmp_path)) == sorted([foreign.name, mine.name, "f.bin"])
    os.utime(foreign, (0, 0))
    files._swept.clear()
    files.write_atomic(path, NEW)
    assert sorted(os.listdir(tmp_path)) == sorted([mine.name, "f.bin"])


def test_the_disk_is_told_of_every_step(tmp_path, monkeypatch):
    """The file before its name, the folder after it."""
    steps, fsync, replace = [], os.fsync, os.replace
    monkeypatch.setattr(os, "fsync", lambda number: (steps.append("folder" if stat.S_ISDIR(os.fstat(number).st_mode) else "file"), fsync(number)))
    monkeypatch.setattr(os, "replace", lambda *arguments: (steps.append("name"), replace(*arguments)))
    for do, name, old in WAYS.values():
        steps.clear()
        (tmp_path / name).write_bytes(old)
        do(tmp_path / name)
        assert steps[-3:] == ["file", "name", "folder"] or steps[-2:] == ["name", "folder"] and "file" in steps, name


# ---------------------------------------------------------------- tables that several processes add to

ROWS = 12


def add_rows(number, folder):
    os.environ["COLORLIB_RESULTS"] = str(folder)
    torch.cuda.is_available = lambda: False               # a forked process must not touch the GPU
    results._commit = lambda: "unknown"
    for i in range(ROWS):
        results.append("shared", {"method": f"m{number}", "seed": i, f"metric {number} {i % 3}": i,
            "notes": 'a "quoted", and\nbroken text' if i % 5 == 0 else ""})


def add_answers(number, path):
    for i in range(ROWS):
        fooling_answers.append_answer(path, {"answerer": f"person {number}", "task": "quality", "item": f"i{i}", "system": "film", "shown": "a | b",
            "choice": "real", "right": 1,
                                             "seconds": "1.00", "seed": 0, "session": "0" * results.HASH_LENGTH})


def add_sections(number, path):
    for i in range(ROWS):
        results.replace_section(path, f"part{number}", f"{number} {i}")


@forks
@pytest.mark.parametrize("table", ["rows", "answers", "sections"])
@pytest.mark.parametrize("disturbed", [False, True])
def test_eight_processes_at_once_lose_nothing(tmp_path, monkeypatch, crowd, table, disturbed, tally):
    """Also while a ninth is killed in the middle of it again and again, and a lock is there that nobody holds any more."""
    monkeypatch.setenv("COLORLIB_RESULTS", str(tmp_path))
    work, path = {"rows": (add_rows, tmp_path), "answers": (add_answers, tmp_path / "shared.csv"), "sections": (add_sections, tmp_path / "shared.md")}[table]
    if table == "sections":
        path.write_text("".join(f"<!-- part{i}:begin -->\n<!-- part{i}:end -->\n" for i in range(9)))
    if disturbed:
        (tmp_path / (".shared.md.lock" if table == "sections" else ".shared.csv.lock")).write_text("4194304\nanother machine\n")
    eight = [crowd(work, number, path) for number in range(8)]
    draw, killed = np.random.default_rng(1), 0
    while disturbed and any(one.is_alive() for one in eight):
        ninth = crowd(work, 8, path)
        time.sleep(draw.uniform(0.005, 0.08))
        killed += ninth.is_alive()
        ninth.kill()
        ninth.join()
    for one in eight:
        one.join(60)
        assert one.exitcode == 0
    if table == "rows":
        rows = [row for row in results.read("shared") if row["method"] != "m8"]
        assert sorted((row["method"], row["seed"]) for row in rows) == [(f"m{number}", i) for number in range(8) for i in range(ROWS)]
        assert all(row[f"metric {row['method'][1:]} {row['seed'] % 3}"] == row["seed"] for row in rows)
        assert all((row["notes"] or "").count("\n") == (row["seed"] % 5 == 0) for row in rows)
    elif table == "answers":
        rows = [row for row in fooling_answers.read_answers(path) if row["answerer"] != "person 8"]
        assert sorted((row["answerer"], row["item"]) for row in rows) == sorted((f"person {number}", f"i{i}") for number in range(8) for i in range(ROWS))
    else:
        assert all(f"<!-- part{number}:begin -->\n{number} {ROWS - 1}\n<!-- part{number}:end -->" in path.read_text() for number in range(8))
    left = [name for name in os.listdir(tmp_path) if files.TEMPORARY.fullmatch(name)]
    files._swept.clear()
    files.sweep(tmp_path)
    assert (disturbed or not left) and not [name for name in os.listdir(tmp_path) if files.TEMPORARY.fullmatch(name)]
    tally(writes=8 * ROWS, crash_points=killed)


HEAD, ROW = "method,variant,psnr\n", "cic,,21.5\n"
EDITED = {
    "row cut short": (HEAD + ROW + "film,,\nlast,", "line 4"), "row cut inside": (HEAD + "cic\n" + ROW, "line 2: 1 cells under 3"),
    "row too long": (HEAD + ROW + "a,b,1,2\n", "line 3: 4 cells"),
    "last number cut": ((HEAD + ROW + "film,,21.5")[:-1], "line 3: the last line has no end"),
    "conflict": (HEAD + "<<<<<<< HEAD\n" + ROW + "=======\n" + ROW + ">>>>>>> b\n", "line 2: here is git"),
    "conflict's end": (HEAD + ROW + ">>>>>>> branch\n", "line 3: here is git"), "zero byte": (HEAD + ROW + "a,\0,1\n", "line 3: here is a zero byte"),
    "latin-1": ((HEAD + ROW).encode() + "gr\u00fcn,,1\n".encode("latin-1"), "line 3: this is not UTF-8"),
    "UTF-16": ((HEAD + ROW).encode("utf-16"), "line 1: this is not UTF-8"),
    "open quote": (HEAD + 'a,"open,1\n' + ROW, "line 3: this is no CSV"), "quote in a cell": (HEAD + 'a,"b"c,1\n', "line 2: this is no CSV"),
    "empty": ("", "is empty"),
    "columns twice": ("method,psnr,psnr\n", "line 1"), "unnamed column": ("method,,psnr\na,b,1\n", "line 1"),
    "a page": ("<!DOCTYPE html><html>\n<body>a,b</body>\n</html>\n", "line 2"),
    "binary": (bytes(range(256)) * 4, "line"), "a picture": (b"\x89PNG\r\n\x1a\n" + bytes(99), "line 1"),
}


@pytest.mark.parametrize("edit", EDITED)
def test_tables_that_hands_have_edited(tmp_path, monkeypatch, edit, tally):
    """File and line are named, the file stays as it is; the command line says the same."""
    content, message = EDITED[edit]
    content = content if isinstance(content, bytes) else content.encode()
    monkeypatch.setenv("COLORLIB_RESULTS", str(tmp_path))
    path = tmp_path / "x.csv"
    path.write_bytes(content)
    for do in (lambda: results.read("x"), lambda: results.append("x", {"method": "b"}), lambda: results.table("x", ["psnr"], published=False)):
        with pytest.raises(ValueError, match=f"x.csv.*{message}"):
            do()
    assert path.read_bytes() == content
    path = tmp_path / "answers.csv"
    path.write_bytes(content or b"x")
    with pytest.raises(ValueError, match="answers.csv"):
        write_answer(path)
    assert path.read_bytes() == (content or b"x")
    tally(inputs=2, sentences=2)


@pytest.mark.parametrize("content", [HEAD + ROW, (HEAD + ROW).replace("\n", "\r\n"), "\ufeff" + HEAD + ROW, HEAD + "\n" + ROW + "\n\n",
    HEAD + 'cic,"a, ""b""\nc",21.5\n'])
def test_tables_as_spreadsheets_write_them(tmp_path, monkeypatch, content):
    monkeypatch.setenv("COLORLIB_RESULTS", str(tmp_path))
    (tmp_path / "x.csv").write_bytes(content.encode())
    results.append("x", {"method": "new", "psnr": 1.0, "notes": "\udce9"})
    assert [(row["method"], row["psnr"]) for row in results.read("x")] == [("cic", 21.5), ("new", 1.0)]
    with pytest.raises(ValueError, match="zero byte"):
        results.append("x", {"method": "a\0b"})


# ---------------------------------------------------------------- weights

CONFIG = dataclasses.replace(cic.PRESETS["smoke"], width=4)


@pytest.fixture(scope="module")
def shipped(tmp_path_factory):
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("weights") / "cic-class.safetensors"
    zoo.save_weights(cic.build(CONFIG, pretrained=False), "cic", path, {"size": "class"})
    return path.read_bytes(), path.with_suffix(".json").read_text()


@pytest.fixture(scope="module")
def photo(tmp_path_factory):
    path = tmp_path_factory.mktemp("photo") / "grey.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (24, 24), dtype=np.uint8)).save(path)
    return path


def header_of(content):
    length = int.from_bytes(content[:8], "little")
    return json.loads(content[8:8 + length]), content[8 + length:]


def with_header(content, change):
    head, body = header_of(content)
    head = change(head) or head
    text = json.dumps(head).encode() if not isinstance(head, bytes) else head
    return struct.pack("<Q", len(text)) + text + body


def swap(key, value, kind=None):
    """Give the first tensor (of a kind of numbers) another entry in the header."""
    def change(head):
        name = next(one for one in head if one != "__metadata__" and kind in (None, head[one]["dtype"]))
        head[name] = head[name] | {key: value}
    return change


def overlap(head):
    names = [one for one in head if one != "__metadata__"]
    head[names[1]]["data_offsets"] = head[names[0]]["data_offsets"]


def with_value(value, kind=torch.float16):
    def make(content):
        state = {key: tensor.to(kind) if tensor.is_floating_point() else tensor for key, tensor in safetensors.torch.load(content).items()}
        name = next(key for key in state if key.endswith("weight"))
        state[name].view(-1)[3] = value
        return safetensors.torch.save(state)
    return make


def checkpoint(content, legacy=False):
    file = io.BytesIO()
    torch.save({"model": safetensors.torch.load(content)}, file, _use_new_zipfile_serialization=not legacy)
    return file.getvalue()


def picture(kind):
    file = io.BytesIO()
    Image.new("RGB", (8, 8)).save(file, kind)
    return file.getvalue()


class Intruder:
    def __reduce__(self):
        return print, ("code ran",)


# content of a file given as weights -> what is said of it; the sidecar's sum fits, so that only structure can tell
SPOILT = {
    "empty": (lambda _: b"", "empty"), "one byte": (lambda _: b"x", "cut short"), "cut in the header": (lambda content: content[:50], "cut short"),
    **{f"cut at {share:.0%}": (lambda content, share=share: content[:int(share * len(content))], "cut short|does not fit") for share in (0.3, 0.6, 0.9, 0.999)},
    "longer": (lambda content: content + b"more", "does not fit"), "zeros": (lambda content: bytes(len(content)), "no safetensors"),
    "noise": (lambda _: np.random.default_rng(0).bytes(5000), "no safetensors"),
    "huge header": (lambda content: struct.pack("<Q", 1 << 62) + content[8:], "no safetensors"),
    "header of 100 MB": (lambda content: struct.pack("<Q", 99_999_999) + content[8:], "no safetensors"),
    "negative header": (lambda content: struct.pack("<q", -1) + content[8:], "no safetensors"),
    "header too short": (lambda content: struct.pack("<Q", 20) + content[8:], "does not fit"),
    "header no JSON": (lambda content: with_header(content, lambda _: b"{" + b"x" * 200), "does not fit"),
    "header a list": (lambda content: with_header(content, lambda _: b"[1, 2]"), "no safetensors"),
    "header nested": (lambda content: with_header(content, lambda _: b'{"a":' * 5000 + b"1" + b"}" * 5000), "does not fit"),
    "overlap": (lambda content: with_header(content, overlap), "does not fit"),
    "offsets beyond": (lambda content: with_header(content, swap("data_offsets", [0, 10**12])), "does not fit"),
    "offsets backwards": (lambda content: with_header(content, swap("data_offsets", [8, 0])), "does not fit"),
    "negative offsets": (lambda content: with_header(content, swap("data_offsets", [-8, 0])), "does not fit"),
    "unknown kind": (lambda content: with_header(content, swap("dtype", "F7")), "does not fit"),
    "wider kind": (lambda content: with_header(content, swap("dtype", "F64", "F16")), "does not fit"),
    "whole numbers": (lambda content: with_header(content, swap("dtype", "I16", "F16")), "int16 in it"),
    "counters as shares": (lambda content: with_header(content, swap("dtype", "F64", "I64")), "float64 in it"),
    "other shape": (lambda content: with_header(content, swap("shape", [10**9, 10**9])), "does not fit"),
    "negative shape": (lambda content: with_header(content, swap("shape", [-1])), "does not fit"),
    "flat": (lambda content: with_header(content, lambda head: swap("shape",
        [math.prod(next(value for key, value in head.items() if key != "__metadata__")["shape"])])(head)), "in the network"),
    "nothing in it": (lambda _: safetensors.torch.save({}), "is not in it"),
    "one more": (lambda content: safetensors.torch.save(safetensors.torch.load(content) | {"extra": torch.zeros(2)}), "extra, which"),
    "one less": (lambda content: safetensors.torch.save(dict(list(safetensors.torch.load(content).items())[1:])), "is not in it"),
    "NaN": (with_value(math.nan), "not finite"), "infinite in half precision": (with_value(1e6), "not finite"),
    "infinite": (with_value(-math.inf, torch.float32), "not finite"),
    "checkpoint": (checkpoint, "colorlib convert"), "old checkpoint": (lambda content: checkpoint(content, True), "colorlib convert"),
    "pickle": (lambda _: pickle.dumps(Intruder()), "colorlib convert"), "pickle, protocol 2": (lambda _: pickle.dumps(Intruder(), 2), "colorlib convert"),
    "page": (lambda _: b"<!DOCTYPE html><html><title>Sign in</title></html>", "a web page.*Sign in"),
    "LFS pointer": (lambda _: b"version https://git-lfs.github.com/spec/v1\noid sha256:1\nsize 2\n", "git lfs pull"),
    "error message": (lambda _: b'{"error": "Invalid credentials"}', "Invalid credentials"),
    "XML": (lambda _: b"<?xml version='1.0'?><Error><Message>Access Denied</Message></Error>", "Access Denied"),
    "hints": (lambda _: hints.HintSet(8, 8, [hints.Hint(1, 1, 2, 3)]).to_json().encode(), "file of hints"), "sidecar": (None, "the JSON file beside weights"),
    "ONNX": (lambda _: b"\x08\x0a\x12\x07pytorch\x1a\x062.11.0:" + bytes(99), "ONNX"), "PNG": (lambda _: picture("png"), "picture"),
    "JPEG": (lambda _: picture("jpeg"), "picture"),
    "GIF": (lambda _: picture("gif"), "picture"), "WebP": (lambda _: picture("webp"), "picture"), "gzip": (lambda _: b"\x1f\x8b\x08" + bytes(99), "archive"),
    "zip": (lambda _: b"PK\3\4" + bytes(99), "ZIP"),
    "npy": (lambda _: b"\x93NUMPY" + bytes(99), "NumPy"), "HDF5": (lambda _: b"\x89HDF\r\n\x1a\n" + bytes(99), "Keras"),
    "GGUF": (lambda _: b"GGUF" + bytes(99), "GGUF"),
}


def lay(folder, content, sidecar, name="cic-class.safetensors"):
    """Put weights and their sidecar into a folder, with the sum of what is there."""
    path = folder / name
    path.write_bytes(content)
    note = json.loads(sidecar)
    path.with_suffix(".json").write_text(json.dumps(note | {"sha256": zoo.hashlib.sha256(content).hexdigest(), "bytes": len(content)}))
    return path


@pytest.mark.parametrize("way", SPOILT)
def test_spoilt_weights_are_told_before_use(tmp_path, monkeypatch, capsys, photo, shipped, way, tally):
    """As shipped weights, as --weights of a method and of nobody, as the file of the stand-in classifier."""
    make, message = SPOILT[way]
    content = shipped[1].encode() if make is None else make(shipped[0])
    path = lay(tmp_path, content, shipped[1])
    monkeypatch.setenv("COLORLIB_WEIGHTS", str(tmp_path))
    for options in ({"method": "cic"}, {"method": "cic", "weights": path}, {"weights": path}):
        with pytest.raises(ValueError, match=message) as error:
            colorlib.colorize(photo, device="cpu", **options)
        assert str(path) in str(error.value) and "\n" not in str(error.value)
    assert cli.main(["colorize", str(photo), "-o", str(tmp_path / "out.png"), "--method", "cic", "--device",
        "cpu"]) == 1 and not (tmp_path / "out.png").exists()
    printed = capsys.readouterr()
    assert printed.err.startswith("colorlib: ") and printed.err.count("\n") == 1 and "Traceback" not in printed.err and "code ran" not in printed.out
    with pytest.raises(ValueError, match=path.name):
        classifiers.load_classifier(classifiers.STAND_IN, path)
    tally(inputs=5, sentences=5)


def test_one_altered_byte_anywhere_is_told(tmp_path, shipped, tally):
    path = lay(tmp_path, *shipped)
    for place in np.random.default_rng(0).integers(0, len(shipped[0]), 40):
        path.write_bytes(shipped[0][:place] + bytes([shipped[0][place] ^ 4]) + shipped[0][place + 1:])
        with pytest.raises(ValueError, match="SHA-256|cut short|damaged"):
            zoo.load("cic", path, device="cpu")
        tally(inputs=1, sentences=1)


NOTES = {
    "no JSON": (lambda note: "{", "not valid JSON"), "a list": (lambda note: "[]", "lacks 'config'"), "empty": (lambda note: "", "not valid JSON"),
    "binary": (lambda note: "\udcff\udcfe", "not valid JSON"),
    "deep": (lambda note: "[" * 100_000, "not valid JSON"), "another method": (lambda note: note | {"method": "scgan"}, "weights of scgan, not of cic"),
    "no method": (lambda note: note | {"method": None}, "of which method"),
    "method a list": (lambda note: note | {"method": ["cic"]}, "of which method"),
    "no config": (lambda note: {key: value for key, value in note.items() if key != "config"}, "config"),
    "config a list": (lambda note: note | {"config": []}, "config"),
    "no sum": (lambda note: {key: value for key, value in note.items() if key != "sha256"}, "SHA-256"),
    "altered config": (lambda note: note | {"config": note["config"] | {"temperature": 0.1}}, "altered"),
}
CONFIGS = {"wider": {"width": 8}, "huge": {"width": 10**6}, "negative": {"width": -4}, "zero": {"width": 0}, "unknown key": {"depth": 3},
    "text for a number": {"width": "4"}, "number for text": {"upsampling": 3},
           "not a number": {"temperature": math.nan}, "list for a number": {"width": [4]}}


@pytest.mark.parametrize("way", [*NOTES, *CONFIGS])
def test_altered_sidecars_are_told(tmp_path, shipped, photo, way, tally):
    path, note = lay(tmp_path, *shipped), json.loads(shipped[1])
    change, message = NOTES.get(way, (lambda note: {key: value for key,
        value in note.items() if key != "config_sha256"} | {"config": note["config"] | CONFIGS[way]}, "config|describes"))
    changed = change(note)
    path.with_suffix(".json").write_bytes((changed if isinstance(changed, str) else json.dumps(changed)).encode(errors="surrogateescape"))
    with pytest.raises(ValueError, match=message) as error:
        colorlib.colorize(photo, "cic", weights=path, device="cpu")
    assert "cic-class" in str(error.value) and "\n" not in str(error.value)
    tally(inputs=1, sentences=1)


def test_what_lies_at_the_place_of_weights(tmp_path, shipped, photo, tally):
    path = lay(tmp_path, *shipped)
    for weights, message in ((tmp_path, "folder|missing|not"), (tmp_path / "gone.safetensors", "does not exist"), (Path(os.devnull), "regular file|missing")):
        with pytest.raises((OSError, ValueError), match=message):
            colorlib.colorize(photo, "cic", weights=weights, device="cpu")
    path.with_suffix(".json").unlink()
    with pytest.raises(FileNotFoundError, match="keep the JSON"):
        colorlib.colorize(photo, "cic", weights=path, device="cpu")
    tally(inputs=4, sentences=4)


def test_weights_and_their_note_change_together(tmp_path, shipped):
    """A disk that fills up between the two leaves the old pair, which loads."""
    path = lay(tmp_path, *shipped)
    with pytest.MonkeyPatch.context() as patch, pytest.raises(OSError):
        patch.setattr(zoo, "write_sidecar", lambda *_: (_ for _ in ()).throw(OSError(errno.ENOSPC, "No space left on device")))
        zoo.save_weights(cic.build(CONFIG, pretrained=False), "cic", path, {})
    assert path.read_bytes() == shipped[0] and zoo.load("cic", path, device="cpu") is not None and sorted(os.listdir(tmp_path)) == ["cic-class.json",
        "cic-class.safetensors"]


# ---------------------------------------------------------------- weights of other libraries

URL = "https://download.pytorch.org/models/squeezenet1_1-b8a52dc0.pth"
FOREIGN = {"page": b"<html>login</html>", "empty": b"", "pickle": pickle.dumps(Intruder()), "cut": None,
    "pointer": b"version https://git-lfs.github.com/spec/v1\n", "altered": None}


@pytest.mark.parametrize("is_offline", [True, False])
@pytest.mark.parametrize("way", FOREIGN)
def test_files_of_torchvision_and_of_fid_are_compared_with_the_sum_in_their_name(tmp_path, monkeypatch, capsys, way, is_offline, tally):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    if is_offline:
        monkeypatch.setenv("COLORLIB_OFFLINE", "1")
    else:
        for name in ("COLORLIB_OFFLINE", "HF_HUB_OFFLINE"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setattr("colorlib.data.downloads._fetch", lambda url, *_: (_ for _ in ()).throw(ConnectionError("no network here")))
        monkeypatch.setattr("colorlib.data.downloads.time.sleep", lambda _: None)
    learned_metrics._lpips_network.cache_clear()
    learned_metrics._legacy_inception.cache_clear()
    file = io.BytesIO()
    torch.save(torchvision.models.squeezenet1_1().state_dict(), file)
    content = FOREIGN[way] if FOREIGN[way] is not None else file.getvalue()[:10_000] if way == "cut" else file.getvalue()
    folder = tmp_path / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    for name in ("squeezenet1_1-b8a52dc0.pth", "vgg16-397923af.pth", *learned_metrics.LEGACY_INCEPTION):
        (folder / name).write_bytes(content)
    black = np.zeros((1, 40, 40, 3), np.uint8)
    for do in (lambda: classifiers.load_classifier("squeezenet1_1"), classifiers.Features, lambda: learned_metrics.lpips(black, black, net="squeeze"),
        learned_metrics.legacy_inception):
        with pytest.raises(OSError, match="checkpoints") as error:
            do()
        assert "\n" not in str(error.value)
        tally(inputs=1, sentences=1)
    assert "code ran" not in capsys.readouterr().out


def test_a_file_with_the_right_sum_is_used(tmp_path, monkeypatch):
    file = io.BytesIO()
    torch.save(torchvision.models.squeezenet1_1().state_dict(), file)
    digits = zoo.hashlib.sha256(file.getvalue()).hexdigest()[:8]
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setenv("COLORLIB_OFFLINE", "1")
    path = tmp_path / "hub" / "checkpoints" / f"squeezenet1_1-{digits}.pth"
    path.parent.mkdir(parents=True)
    path.write_bytes(file.getvalue())
    assert pretrained.fetch(f"https://example.org/{path.name}") == path and len(pretrained.read(path)) == 52
