"""Every shipped weights file has a card, and the card is what the files say now."""
import json
import shlex
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from colorlib import __main__, figures, results, zoo
from colorlib.commands import shared
from colorlib.figures import contact_sheets
from colorlib.results import model_cards
from tests.data_samples import empty_workshop

ROOT = Path(__file__).parents[1]


@pytest.fixture
def shipped(monkeypatch):
    """The repository's own weights, results and figures, whatever the environment names."""
    for name in ("WEIGHTS", "RESULTS", "FIGURES"):
        monkeypatch.delenv(f"COLORLIB_{name}", raising=False)
    return ROOT / "data" / "weights"


@pytest.fixture
def workshop(tmp_path, monkeypatch):
    """A folder with class weights of iizuka, made of its smoke preset, and a row about them and one about grey."""
    empty_workshop(tmp_path, monkeypatch)
    paper = zoo.get("iizuka").papers
    info = {"data": "imagenette", "split": "train", "n": 12, "steps": 30, "batch": 4, "seed": 0, "minutes": 1.5, "device": "a laptop", "date": "2030-01-02T03:04:05Z"}
    zoo.save_weights(paper.build(paper.PRESETS["smoke"]), "iizuka", zoo.weights_file("iizuka"), info)
    pictures = {"size": "class", "dataset": "imagenette val", "split_hash": "abc", "n": 1200}
    results.append("automatic", {"method": "grey", "psnr": 20.0, "de2000": 9.0} | pictures)
    results.append("automatic", {"method": "iizuka", "psnr": 21.25, "de2000": 8.0} | pictures | {key: info[key] for key in model_cards.FINGERPRINT})
    return tmp_path


def change(name, **columns):
    """Change the sidecar of a method's class weights."""
    path = zoo.weights_file(name).with_suffix(".json")
    path.write_text(json.dumps(json.loads(path.read_text()) | columns))
    return path


def test_every_shipped_weights_file_has_a_card_that_is_up_to_date(shipped):
    cards = model_cards.render()
    assert {path.name for path in cards} == {path.name for path in shipped.glob("*.md")} \
        == {f"{path.stem}.md" for path in shipped.glob("*-class.safetensors")} | {"README.md"}, "run `python -m colorlib cards`"
    for path, text in cards.items():
        assert path.read_text() == text, f"{path} differs from the files it is made of: run `python -m colorlib cards`"


def test_cards_are_short_and_their_links_lead_somewhere(shipped):
    for path, text in model_cards.render().items():
        assert path.name == "README.md" or len(text.splitlines()) <= 60
        targets = [part.partition(")")[0] for part in text.split("](")[1:]]
        assert targets and all((shipped / target).exists() for target in targets)


def test_the_command_trains_the_same_config(shipped):
    for name in model_cards.weights_shipped():
        method, sidecar = zoo.get(name), model_cards.read_sidecar(name)
        command = shlex.split(model_cards.train_command(method, sidecar))
        options = __main__.parse(command[command.index("train"):])
        preset = method.presets["class"]
        asked = json.loads(json.dumps(asdict(replace(preset, **shared.read_changes(name, "class", options.set)))))
        filled = {key for key, value in asdict(preset).items() if value == ()}
        assert all(value == sidecar["config"][key] for key, value in asked.items() if key in sidecar["config"] and key not in filled), name


def test_a_card(workshop, capsys):
    assert __main__.main(["cards"]) == 0
    path, readme = map(Path, capsys.readouterr().out.split())
    text = path.read_text()
    assert path == workshop / "weights" / "iizuka-class.md" and readme == workshop / "weights" / "README.md"
    assert "| imagenette val | 1,200 | grey | 20.00 | — | 9.00 |" in text and "| imagenette val | 1,200 | iizuka | 21.25 | 1.25 | 8.00 |" in text
    assert "30 updates of 4, seed 0, 1.5 minutes on a laptop" in text and "2030-01-02" in text and "03:04" not in text
    assert "colorize photo.jpg --method iizuka" in text and "Nobody has looked yet." in text and "no contact sheet yet" in text and "non-commercial" in text
    assert f"{sum(p.numel() for p in zoo.load('iizuka').state_dict().values()):,} (parameters" in text
    smoke, preset = (asdict(zoo.get("iizuka").presets[size]) for size in ("smoke", "class"))
    assert all(f"{key}={smoke[key]}" in text and f"{key} is {preset[key]!r} in today's preset" in text for key in ("image_size", "steps")) and smoke != preset
    assert "| +1.25 dB to grey, 1,200 of imagenette val |" in readme.read_text()


def test_a_card_follows_its_files(workshop):
    before = model_cards.card("iizuka")
    results.append("natural", {"method": "iizuka", "size": "class", "dataset": "shelf all", "split_hash": "def", "n": 7, "psnr": 25.0, "gain": -0.5, "seed": 0, "steps": 30,
                               "batch": 4, "minutes": 1.5})
    rows = [line for line in model_cards.card("iizuka").splitlines() if line not in before]
    assert rows == ["| shelf all | 7 | grey | 25.50 | — | — |", "| shelf all | 7 | iizuka | 25.00 | -0.50 | — |"]
    (workshop / "weights" / model_cards.OBSERVATIONS).write_text('method,seen\niizuka,"Skies are green, and so are faces."\niizuka,Edges bleed.\n')
    sheet = figures.figures_folder() / f"{contact_sheets.sheet_name(zoo.get('iizuka'), 'class')}.jpg"
    sheet.parent.mkdir()
    sheet.write_bytes(b"")
    text = model_cards.card("iizuka")
    assert "- Skies are green, and so are faces.\n- Edges bleed.\n" in text and f"](../../figures/{sheet.name})" in text and "Nobody" not in text
    change("iizuka", steps=31)      # other weights: what was measured with the old ones is not theirs
    assert "Nothing was measured" in model_cards.card("iizuka") and "not measured" in model_cards.index(["iizuka"])


def test_folders_trained_on_are_named(workshop):
    change("iizuka", data="stills:imagenette+scenes:60+holidays")
    assert "with the path of the folder in place of holidays:" in model_cards.card("iizuka")
    change("iizuka", data="Imagenette, but for twenty", precision="bf16-mixed")
    text = model_cards.card("iizuka")
    assert "Train it again:" in text and "--data imagenette --precision bf16-mixed" in text and "pictures: Imagenette, but for twenty" in text


def test_bad_files_are_named(workshop):
    path = zoo.weights_file("iizuka").with_suffix(".json")
    whole = path.read_text()
    for broken, match in (('{"method": "iiz', "iizuka-class.json is not valid JSON"), ("[1, 2]", "iizuka-class.json lacks 'config'"),
                          (json.dumps({key: value for key, value in json.loads(whole).items() if key != "minutes"}), "iizuka-class.json lacks 'minutes'"),
                          (json.dumps(json.loads(whole) | {"method": "dahl"}), "iizuka-class.json does not belong to iizuka-class.safetensors")):
        path.write_text(broken)
        with pytest.raises(ValueError, match=match):
            model_cards.render()
    path.unlink()
    with pytest.raises(FileNotFoundError, match="iizuka-class.json is missing"):
        model_cards.render()
    path.write_text(whole)
    for text in ("method,what\n", "method,seen\nnobody,blue\n", "method,seen\niizuka, \n", "method,seen\niizuka\n", ""):
        (path.parent / model_cards.OBSERVATIONS).write_text(text)
        with pytest.raises(ValueError, match="observations.csv must have the columns"):
            model_cards.render()
