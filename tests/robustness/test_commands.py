"""Every command of the command line, asked for what cannot be: one sentence that names what is wrong, in a moment."""
import cv2
import pytest

from colorlib import __main__ as cli
from colorlib import zoo
from tests.data_samples import colorful, empty_workshop

SHIPPED = zoo.weights_file("photonet").parent
NOWHERE = """colorize NAME | data NAME | score NAME one | score one NAME | certify NAME --set val5k | sources NAME --size class --methods photonet
sheet photonet --size class --data NAME | evaluate photonet --size class --data NAME | evaluate film --size class --data NAME
evaluate nirnet --size class --data NAME | evaluate tcvc --size class --clips --data NAME | evaluate photonet --size class --protocol legacy --data NAME
evaluate hintnet --size class --curve --data NAME | train photonet --data NAME | train nirnet --data NAME | train tcvc --data NAME | train film --data NAME
train photonet --data stream:NAME | tune photonet --data NAME | leaderboard --methods photonet --data NAME | conditions --methods siggraph17 --data NAME | leak NAME
reproduce photonet --data NAME | colorize photo.png --reference NAME | colorize photo.png --hints NAME | colorize photo.png --weights NAME
evaluate photonet --size class --weights NAME | export photonet --weights NAME"""
# what a person may name instead of what is wanted
NAMES = {"gone": None, "empty": "an empty folder", "bad": "a folder with a file that is no picture", "text.txt": "a text", "gone.safetensors": None}
NUMBERS = """colorize photo.png --working-size 0 | colorize photo.png --working-size -5 | colorize photo.png --working-size x | colorize photo.png --smooth 7
colorize photo.png --smooth nan | train photonet --steps 0 | train photonet --steps -1 | train photonet --batch-size 0 | train photonet --seed -1
train photonet --workers -1 | train photonet --nodes 0 | train photonet --set steps=-3 | train photonet --set image_size=0 | train photonet --set nothing=1
train photonet --set hidden=abc | train photonet --set hidden | train photonet --data scenes:0 | train photonet --data scenes:x | sheet photonet --limit 0
evaluate photonet --limit 0 | evaluate photonet --size class --data scenes:-5 | ablate scgan --seeds 0 | leaderboard --minutes -1 | leaderboard --steps 0
bench lab --rounds 0 | colorize one --frames 0 | colorize one --frames x"""
WORDS = """colorize | nothing | colorize photo.png --method magic | colorize photo.png --method welsh | colorize photo.png --caption | colorize photo.png --device quantum
colorize photo.png --method photonet --caption red | colorize photo.png -o text.txt/x.png | colorize photo.png -o gone/x.png | colorize photo.png -o photo.png
colorize https://example.org/cat.jpg | evaluate magic | export magic | export film | export photonet -o gone/x.onnx | train magic | train welsh | train photonet --run text.txt
train photonet --precision nonsense | train photonet --split nothing | tune magic | tune photonet --rows nothing | ablate photonet | ablate scgan --rows nothing
leaderboard --methods magic | leaderboard --methods film | leaderboard --budget nothing | conditions --methods magic | conditions --methods photonet | misregister --kinds nothing
reproduce magic | reproduce photonet --photos gone | bench nothing | bench lab --only nothing | cards --data x | score one one --protocol nothing | train photonet --devices 0"""


def commands(text):
    return [command.strip() for command in text.replace("\n", "|").split("|")]


@pytest.fixture
def workshop(tmp_path, monkeypatch):
    empty_workshop(tmp_path, monkeypatch)
    monkeypatch.setenv("COLORLIB_WEIGHTS", str(SHIPPED))
    monkeypatch.delenv("COLORLIB_DATA", raising=False)
    for folder in ("empty", "bad", "one"):
        (tmp_path / folder).mkdir()
    (tmp_path / "bad" / "a.jpg").write_bytes(b"\xff\xd8\xff not a picture")
    (tmp_path / "text.txt").write_text("not what was wanted")
    cv2.imwrite("photo.png", colorful(0)[..., 0])
    cv2.imwrite("one/photo.png", colorful(1, 64, 64))
    return tmp_path


@pytest.mark.skipif(not (SHIPPED / "photonet-class.safetensors").exists(), reason="no weights are shipped")
@pytest.mark.parametrize("command", [command.replace("NAME", name) for command in commands(NOWHERE) for name in NAMES] + commands(NUMBERS) + commands(WORDS))
def test_one_sentence(command, workshop, capfd, tally):
    before = {path: path.read_bytes() for path in workshop.rglob("*") if path.is_file()}
    reports = command.startswith("data bad")      # what is wrong with a folder is what this command is asked for
    try:
        status = cli.main(command.split())
    except SystemExit as stop:                    # argparse
        status = stop.code
    sentences = [line for line in capfd.readouterr().err.replace("\r", "\n").splitlines() if line.startswith("colorlib: ")]
    assert (status, sentences) == (0, []) if reports else status in (1, 2) and len(sentences) == 1 and sentences[0].endswith((".", ".)")), sentences
    wrong = [word for word in command.split()[1:] if word.split(":")[-1] in NAMES]
    assert reports or not wrong or wrong[0].split(":")[-1].split(".")[0] in sentences[0]
    assert all(path.read_bytes() == content for path, content in before.items())
    tally(inputs=1, sentences=not reports)
