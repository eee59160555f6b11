"""The reference session and its chooser without a browser: choices go in as a front end would send them; pictures and sentences come out."""
import re
import threading
from dataclasses import replace

import ipywidgets
import numpy as np
import pytest
import torch

from colorlib import images, painting, scenes, widgets, zoo
from colorlib.lab import rgb_to_lab
from colorlib.metrics import reference_scores
from colorlib.papers import gray2color
from colorlib.references import make_reference
from colorlib.widgets.pictures import draw_heat
from colorlib.widgets.reference_session import KINDS, LIMIT, PLAIN
from tests.test_widgets import pictures_in, png, upload

RED, BLUE = (np.full((20, 30, 3), color, np.uint8) for color in ((200, 40, 40), (40, 60, 200)))


def by_left_edge(L, reference):
    """A model without learning: the whole picture has the mean colour of the reference's left half."""
    return np.broadcast_to(rgb_to_lab(reference)[:, :reference.shape[1] // 2 + 1, 1:].mean((0, 1))[:, None, None], (2, *L.shape))


@pytest.fixture(scope="module")
def photo():
    return scenes.make_scene(3, 80).rgb[:56]          # 56 rows, 80 columns: swapped axes show


@pytest.fixture(scope="module")
def network():
    """An untrained network whose last layers weigh enough to be seen."""
    torch.manual_seed(0)
    model = gray2color.Gray2ColorNet(replace(gray2color.PAPER_PROBABLE, width=4, gate_width=8, classes=5, reference_size=32, image_size=32)).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.ndim > 1 and not name.startswith("encoder"):
                parameter.mul_(8)
    return model


@pytest.fixture
def chooser(photo):
    view = widgets.ReferenceChooser(photo, {"red": RED, "blue": BLUE}, by_left_edge)
    yield view
    view.worker.wait()


def mean_ab(rgb):
    return rgb_to_lab(rgb)[..., 1:].mean((0, 1))


def text_of(view):
    return re.sub(r"<[^>]+>", "", view.value).replace("&#x27;", "'").replace("&lt;", "<")


# ---------------------------------------------------------------- session

def test_the_picture_takes_the_colours_of_its_reference(photo):
    session = widgets.ReferenceSession(photo, {"red": RED, "blue": BLUE}, by_left_edge, working_size=16)
    assert session.result.shape == photo.shape and session.result.dtype == np.uint8 and mean_ab(session.result)[0] > 20
    session.choose("blue")
    assert mean_ab(session.result)[0] > 20 and session.painted == ("red", PLAIN, False)             # not before it is asked
    assert mean_ab(session.update())[1] < -20 and session.painted == ("blue", PLAIN, False)
    assert np.abs(mean_ab(session.gray)).max() < 1 and session.gate is None
    assert repr(session) == "ReferenceSession(56 x 80 pixels, 'blue', by_left_edge)"


@pytest.mark.parametrize("method, size", (("gray2color", 300), ("welsh", 40)))
def test_it_is_what_the_catalogue_paints(photo, network, method, size):
    model = network if method == "gray2color" else None
    reference = scenes.make_scene(8, size).rgb[:, : size // 2 + 20]
    session = widgets.ReferenceSession(photo, [reference], method, model)
    expected = painting.colorize(photo, method, model=model, reference=reference).rgb
    assert np.array_equal(session.result, expected) and np.array_equal(session.colorize().rgb, expected)
    assert np.abs(mean_ab(expected)).max() > 1
    assert min(session.reference.shape[:2]) == min(painting.REFERENCE_SIDE, size // 2 + 20)


def test_gate_and_numbers_come_from_the_network(photo, network):
    reference = scenes.make_scene(8, 64).rgb
    session = widgets.ReferenceSession(photo, [reference], model=network)
    batch = {"L": images.model_input(session.L, 32), "reference": torch.from_numpy(reference).permute(2, 0, 1)[None]}
    gate = gray2color.gate(network, batch)[0, 0].detach().numpy()
    assert np.array_equal(session.gate, gate) and session.scores["gate"] == pytest.approx(float(gate.mean()))
    his, his_gray = reference_scores.his_file([session.result, session.gray], [reference] * 2).tolist()
    assert (session.scores["his"], session.scores["his_gray"]) == (his, his_gray)
    assert f"{his:.2f}" in session.explain() and f"mean gate {gate.mean():.2f}" in session.explain()
    plain = widgets.ReferenceSession(photo, [reference], model=gray2color.Gray2ColorNet(replace(network.config, fusion="sum")).eval())
    assert plain.gate is None and "gate" not in plain.scores and "gate" not in plain.explain()


def test_kinds_and_mirror_change_the_reference(photo):
    scene = scenes.make_scene(5, 48).rgb
    session = widgets.ReferenceSession(photo, {"scene": scene}, by_left_edge)
    seen = {PLAIN: scene}
    assert np.array_equal(session.reference, scene)
    for kind in list(KINDS)[1:]:
        session.choose(kind=kind)
        assert np.array_equal(session.reference, make_reference(kind, scene, related=scene))
        assert all((session.reference != other).any() for other in seen.values())
        seen[kind] = session.reference
    assert session.kind == "gray" and np.abs(mean_ab(session.update())).max() < 1
    session.choose(kind="inverted", mirrored=True)
    assert np.array_equal(session.reference, seen["inverted"][:, ::-1]) and session.describe() == "scene, with opposite hues, mirrored"
    half = np.concatenate([RED, BLUE], 1)
    session = widgets.ReferenceSession(photo, [half], by_left_edge, mirrored=True)
    assert mean_ab(session.result)[1] < -10 and session.mirrored
    session.choose(mirrored=False)
    assert mean_ab(session.update())[0] > 10
    for wrong in ({"name": "green"}, {"kind": "related"}):
        with pytest.raises(ValueError, match="choose one of"):
            session.choose(**wrong)
    assert session.kind == PLAIN and not session.mirrored


def test_predictions_are_remembered_and_failures_are_not(photo):
    calls, broken = [], []

    def count(L, reference):
        calls.append(1)
        if broken:
            raise ValueError("It broke.")
        return by_left_edge(L, reference)
    session = widgets.ReferenceSession(photo, {"red": RED, "blue": BLUE}, count)
    for name in ("blue", "red", "blue"):
        session.choose(name)
        session.update()
    assert len(calls) == 2
    broken.append(1)
    session.choose("red", mirrored=True)
    result, scores = session.result, session.scores
    with pytest.raises(ValueError, match="It broke"):
        session.update()
    assert session.result is result and session.scores is scores and session.painted == ("blue", PLAIN, False)
    broken.clear()
    assert mean_ab(session.update())[0] > 20
    session.open(photo[:40])
    assert session.painted is None and session.update().shape[0] == 40


def test_references_at_hand(photo):
    session = widgets.ReferenceSession(photo, method=by_left_edge)
    names = list(session.references)
    assert len(names) == len(set(names)) >= 8 and names[0] == "astronaut" and sum("scene" in name for name in names) == 4 and not session.notes
    assert all(rgb.dtype == np.uint8 and min(rgb.shape[:2]) <= painting.REFERENCE_SIDE for rgb in session.references.values())


def test_references_of_a_folder(tmp_path, photo):
    for i in range(LIMIT + 1):
        images.save_image(tmp_path / f"{i:02d}.png", RED[:8, :8])
    (tmp_path / "03.png").write_bytes(b"<html><body>no picture")
    (tmp_path / "notes.txt").write_text("no picture either")
    session = widgets.ReferenceSession(photo, tmp_path, by_left_edge)
    assert len(session.references) == LIMIT - 1 and "03.png" not in session.references
    assert len(session.notes) == 2 and "03.png is a web page" in session.notes[0] and f"The first {LIMIT} of {LIMIT + 1}" in session.notes[1]
    assert list(widgets.ReferenceSession(photo, tmp_path / "01.png", by_left_edge).references) == ["01.png"]
    several = [tmp_path / "01.png", str(tmp_path / "01.png"), BLUE, images.open_image(tmp_path / "02.png")]
    assert list(widgets.ReferenceSession(photo, several, by_left_edge).references) == ["01.png", "01.png (2)", "reference 3", "02.png"]
    (tmp_path / "empty").mkdir()
    for wrong, words in ((tmp_path / "empty", "holds no pictures"), ([tmp_path / "03.png"], "03.png is a web page"),
                         (tmp_path / "none", "not a folder"), ({}, "holds no pictures")):
        with pytest.raises(ValueError, match=words):
            widgets.ReferenceSession(photo, wrong, by_left_edge)


def test_what_cannot_be_used_is_said(photo, network, tmp_path):
    for method, words in (("koalarization", "takes no reference"), ("film", "needs caption"), ("crystal ball", "There is no method")):
        with pytest.raises(ValueError, match=words):
            widgets.ReferenceChooser(photo, [RED], method)
    with pytest.raises(FileNotFoundError, match="no.jpg does not exist"):
        widgets.ReferenceSession("no.jpg", [RED], model=network)
    with pytest.raises(FileNotFoundError, match="no.safetensors does not exist"):
        widgets.ReferenceSession(photo, [RED], weights=tmp_path / "no.safetensors")
    with pytest.raises(ValueError, match="by_nothing must return finite ab"):
        def by_nothing(L, reference):
            return np.zeros((3, 8, 8))
        widgets.ReferenceSession(photo, [RED], by_nothing)


@pytest.mark.parametrize("shape", ((1, 1), (1, 90), (300, 20)))
def test_any_shape_of_picture_and_reference(shape, network):
    rgb = np.random.default_rng(0).integers(0, 256, (*shape, 3), np.uint8)
    for method, model in (("gray2color", network), ("welsh", None)):
        session = widgets.ReferenceSession(rgb, [rgb, RED], method, model, working_size=32)
        assert session.result.shape == (*shape, 3) and session.colorize().size == shape[::-1]
        for kind in KINDS:
            session.choose(kind=kind, mirrored=True)
            assert session.reference.shape == rgb.shape and np.isfinite(list(session.scores.values())).all()


def test_export_is_the_whole_picture(tmp_path):
    scene = scenes.make_scene(6, 420).rgb[:, :400]
    images.save_image(tmp_path / "big.png", scene)
    session = widgets.ReferenceSession(tmp_path / "big.png", [RED], by_left_edge, folder=tmp_path)
    assert session.result.shape[0] == 380
    path, notes = session.export("out.png")
    assert images.open_image(path).rgb.shape == scene.shape and notes == [] and np.array_equal(images.open_image(path).rgb, session.colorize().rgb)
    before = path.read_bytes()
    for name in ("out.png", "big.png", " ", "x.xyz", "no/such/folder/x.png"):
        with pytest.raises((ValueError, FileNotFoundError)) as caught:
            session.export(name)
        assert str(caught.value).endswith(".") and "\n" not in str(caught.value)
    assert path.read_bytes() == before and np.array_equal(images.open_image(tmp_path / "big.png").rgb, scene)


def test_heat_is_dark_at_0_and_yellow_at_1():
    heat = draw_heat(np.full((10, 20, 3), 128, np.uint8), np.array([[0.0, 1.0]]), share=1.0)
    assert heat.shape == (10, 20, 3) and heat[5, 0].tolist() == [68, 1, 84] and heat[5, 19].tolist() == [253, 231, 37]
    over = draw_heat(np.full((10, 20, 3), 128, np.uint8), np.array([[0.0, 1.0]]))
    assert np.abs(over[5, 0].astype(int) - np.rint(0.6 * heat[5, 0] + 0.4 * 128)).max() <= 1


# ---------------------------------------------------------------- the chooser

def test_a_button_recolours(chooser):
    (alt, before), = pictures_in(chooser.view.value)
    assert "coloured from red" in alt and "grey" in pictures_in(chooser.gray.value)[0][0] and chooser.buttons["red"].icon == "check"
    chooser.buttons["blue"].click()
    assert mean_ab(chooser.result)[1] < -20 and chooser.buttons["blue"].icon == "check" and not chooser.buttons["red"].icon
    (alt, after), = pictures_in(chooser.view.value)
    assert "coloured from blue" in alt and mean_ab(after)[1] < mean_ab(before)[1] - 20
    (alt, shown), = pictures_in(chooser.reference.value)
    assert alt == "The reference: blue" and np.abs(shown.astype(int) - BLUE).max() < 12 and shown.shape == BLUE.shape
    assert text_of(chooser.message) == "Coloured from blue." and 'role="status"' in chooser.message.value
    assert repr(chooser) == "ReferenceChooser(ReferenceSession(56 x 80 pixels, 'blue', by_left_edge))"


def test_kind_and_mirror_recolour(photo):
    chooser = widgets.ReferenceChooser(photo, {"both": np.concatenate([RED, BLUE], 1)}, by_left_edge)
    chooser.mirror.value = True
    assert mean_ab(chooser.result)[1] < -10 and "both, mirrored" in chooser.view.value
    chooser.mirror.value = False
    red = mean_ab(chooser.result)
    chooser.kind.value = "gray"
    assert np.abs(mean_ab(chooser.result)).max() < 2 and "both, without colour" in chooser.view.value and red[0] > 10
    assert [kind for _, kind in chooser.kind.options] == list(KINDS) and chooser.kind.options[0] == ("as it is", PLAIN)


def test_own_references(chooser, tmp_path):
    green = np.full((30, 20, 3), (40, 160, 50), np.uint8)
    upload(chooser, "<i>leaf.png", png(green))
    assert mean_ab(chooser.result)[0] < -20 and list(chooser.buttons) == ["red", "blue", "<i>leaf.png"] and chooser.upload.value == ()
    assert "<i>" not in chooser.view.value + chooser.reference.value + chooser.message.value + chooser.looks.value
    assert chooser.strip.children == tuple(chooser.buttons.values()) and len(re.findall("<style>", chooser.looks.value)) == 3
    chooser.add(RED, "IMG_2041.jpg")
    assert chooser.buttons["IMG_2041.jpg"].description == "IMG_2041.jpg"
    images.save_image(tmp_path / "red.png", RED)
    chooser.path.value = f" '{tmp_path / 'red.png'}' "
    assert mean_ab(chooser.result)[0] > 20 and "red.png" in chooser.buttons
    shown, names = chooser.view.value, list(chooser.buttons)
    for path, words in ((tmp_path / "missing.jpg", "missing.jpg does not exist"), (tmp_path, "is a folder")):
        chooser.path.value = str(path)
        assert words in chooser.message.value and 'role="alert"' in chooser.message.value
    upload(chooser, "page.png", b"<html><body>not a picture")
    assert "page.png is a web page" in text_of(chooser.message)
    assert chooser.view.value == shown and list(chooser.buttons) == names == list(chooser.session.references) and chooser.session.chosen == "red.png"


def test_the_gate_is_shown_on_demand(photo, network, chooser):
    assert chooser.overlay.disabled and chooser.gate.value == "" and "HIS" in chooser.numbers.value
    view = widgets.ReferenceChooser(photo, {"a": scenes.make_scene(8, 64).rgb, "b": scenes.make_scene(9, 64).rgb}, model=network)
    assert not view.overlay.disabled and view.gate.value == ""
    view.overlay.value = True
    (alt, shown), = pictures_in(view.gate.value)
    assert shown.shape == photo.shape and f"mean {view.session.scores['gate']:.2f}" in alt
    before, numbers = view.gate.value, view.numbers.value
    view.buttons["b"].click()
    view.worker.wait()
    assert view.gate.value != before and view.numbers.value != numbers and text_of(view.numbers) == view.session.explain()
    view.overlay.value = False
    assert view.gate.value == ""


def test_without_weights_the_picture_stays_grey_and_a_sentence_says_why(photo, tmp_path, monkeypatch, network):
    monkeypatch.setenv("COLORLIB_WEIGHTS", str(tmp_path))
    view = widgets.ReferenceChooser(photo, {"red": RED, "scene": scenes.make_scene(8, 64).rgb}, folder=tmp_path)
    for step in (None, view.buttons["scene"].click, view.save.click):
        if step:
            view.message.value = ""
            step()
        assert np.array_equal(view.result, view.session.gray)
        assert 'role="alert"' in view.message.value and "No class weights of gray2color are here" in view.message.value
    assert "scene" in view.reference.value and view.view.value == "" and "nothing has coloured it" in view.numbers.value
    zoo.save_weights(network, "gray2color", zoo.weights_file("gray2color"), {})                     # somebody trains it meanwhile
    view.buttons["scene"].click()
    assert not np.array_equal(view.result, view.session.gray) and text_of(view.message) == "Coloured from scene."


@pytest.mark.parametrize("error, words", ((RuntimeError("CUDA error:\n  a\n  b"), "CUDA error: a b"), (KeyError("conv1"), "KeyError"),
                                          (MemoryError(), "memory")))
def test_a_failing_model_keeps_the_last_picture(photo, error, words):
    def fail(L, reference):
        if np.array_equal(reference, BLUE):
            raise error
        return by_left_edge(L, reference)
    view = widgets.ReferenceChooser(photo, {"red": RED, "blue": BLUE}, fail)
    result, shown = view.result, view.view.value
    view.buttons["blue"].click()
    assert view.result is result and view.view.value == shown and "coloured from red" in shown
    assert words in view.message.value and 'role="alert"' in view.message.value and "\n" not in view.message.value
    assert np.array_equal(view.session.colorize().rgb, result)                                      # what is saved is what is seen
    view.buttons["red"].click()
    assert np.array_equal(view.result, result) and text_of(view.message) == "Coloured from red."


def test_presses_during_a_slow_colouring(photo):
    entered, release, calls = threading.Event(), threading.Event(), []

    def slow(L, reference):
        calls.append(reference[0, 0].tolist())
        if len(calls) > 1:
            entered.set()
            assert release.wait(5)
        return by_left_edge(L, reference)
    colors = [(200, 40, 40), (40, 160, 50), (200, 200, 40), (40, 60, 200)]
    view = widgets.ReferenceChooser(photo, {str(i): np.full((8, 8, 3), color, np.uint8) for i, color in enumerate(colors)}, slow)
    view.buttons["1"].click()
    assert entered.wait(5)
    view.buttons["2"].click()
    view.buttons["3"].click()                                        # each returns at once
    assert "Colouring from 3" in view.message.value
    release.set()
    assert mean_ab(view.result)[1] < -20 and calls == [list(colors[i]) for i in (0, 1, 3)] and "coloured from 3" in view.view.value


def test_saving(tmp_path, photo):
    images.save_image(tmp_path / "old cat.png", photo)
    view = widgets.ReferenceChooser(tmp_path / "old cat.png", [RED], by_left_edge, folder=tmp_path)
    assert view.name.value == "old cat_colorized.png"
    view.save.click()
    assert "80 x 56 pixels" in text_of(view.message) and np.array_equal(images.open_image(tmp_path / "old cat_colorized.png").rgb, view.result)
    view.save.click()
    assert 'role="alert"' in view.message.value and "exists already" in view.message.value


def test_left_out_references_are_named_at_once(photo, tmp_path):
    (tmp_path / "bad.png").write_bytes(b"")
    view = widgets.ReferenceChooser(photo, [RED, tmp_path / "bad.png"], by_left_edge)
    assert "1 of 2 references cannot be read" in text_of(view.message) and "bad.png is empty" in text_of(view.message)
    assert list(view.buttons) == ["reference 1"]


def test_every_control_has_a_label_and_no_output_widget_is_used(chooser, capfd):
    queue, controls = list(chooser.children), 0
    while queue:
        item = queue.pop()
        assert not isinstance(item, ipywidgets.Output)
        queue += getattr(item, "children", ())
        if hasattr(item, "disabled"):
            controls += 1
            assert item.description
    assert controls == 9
    chooser.buttons["blue"].click()
    chooser.mirror.value = True
    assert chooser.result is not None and capfd.readouterr() == ("", "")
