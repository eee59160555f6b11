"""The hint session and its two views without a browser: what a front end would send goes in, hints, pictures and sentences come out."""
import io
import json
import threading
from types import SimpleNamespace

import ipywidgets
import numpy as np
import pytest
from PIL import Image

from colorlib import images, painting, scenes, widgets, zoo
from colorlib.hints import Hint, HintSet, snap
from colorlib.lab import in_gamut, rgb_to_lab
from colorlib.metrics import psnr
from colorlib.widgets.hint_actions import ACTIONS, hex_color, perform
from colorlib.widgets.hint_model import HintModel
from colorlib.widgets.hint_picker import sizes_text


def nearest(L, hints):
    """A model without learning: every pixel has the colour of the nearest hint, without hints a pale brown."""
    ab = np.empty((2, *L.shape), np.float32)
    ab[:] = np.float32([[[6]], [[10]]])
    if len(hints):
        rows, columns = np.mgrid[:L.shape[0], :L.shape[1]]
        places = np.array([[(h.y + 0.5) * L.shape[0] / hints.height, (h.x + 0.5) * L.shape[1] / hints.width] for h in hints])
        winner = ((rows[..., None] - places[:, 0]) ** 2 + (columns[..., None] - places[:, 1]) ** 2).argmin(-1)
        ab[:] = np.moveaxis(np.float32([(h.a, h.b) for h in hints])[winner], -1, 0)
    return ab


@pytest.fixture(scope="module")
def photo():
    return scenes.make_scene(3, 80).rgb[:56]          # 56 rows, 80 columns: swapped axes show


@pytest.fixture
def session(photo):
    return widgets.HintSession(photo, predict=nearest, working_size=32)


def send(picker, command, seq=1, **arguments):
    """What arrives from a browser."""
    picker._handle_custom_msg({"do": command, "seq": seq, **arguments}, [])


def decode(data):
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))


# ---------------------------------------------------------------- session

def test_a_hint_changes_the_picture(session, photo):
    before = session.update()
    assert before.shape == photo.shape and before.dtype == np.uint8
    assert session.add(10, 60, color=(40, 20)) == 0 and session.hints[0].x == 60
    after = session.update()
    assert after is session.result and not np.array_equal(before, after)
    lab = rgb_to_lab(after).reshape(-1, 3).mean(0)
    assert lab[1] > rgb_to_lab(before)[..., 1].mean() + 10
    assert session.undo() and np.array_equal(session.update(), before) and not session.undo()
    assert session.redo() and np.array_equal(session.update(), after)


def test_the_preview_leaves_everything_as_it_was(session):
    session.add(10, 60, color=(40, 20))
    result, hints, recent = session.update(), list(session.hints), list(session.recent)
    trial = session.preview(HintSet(56, 80, [session.moved(0, 40, 5)]))
    assert trial.shape == result.shape and list(session.hints) == hints and session.result is result and session.recent == recent
    assert len(session.hints) == 1 and session.hints.can_undo and not session.hints.can_redo


def test_colours_are_snapped_at_the_pixel(session):
    L = session.lightness_at(10, 60)
    assert L == pytest.approx(float(session.L[10, 60]))
    session.add(10, 60, color=(95, -100))
    a, b, moved = snap(L, 95, -100)
    assert session.snapped and moved and np.allclose((session.hints[0].a, session.hints[0].b), (a, b), atol=1e-5)
    assert in_gamut(np.array([L, a, b]))
    assert not session.set_color((2, 3)) and (session.hints[0].a, session.hints[0].b) == (2, 3)
    assert session.color == (2, 3) and session.recent == [(2.0, 3.0), (95.0, -100.0)]


@pytest.mark.parametrize("color", ("#c03020", "192, 48, 32", "rgb(192, 48, 32)", (43.4, 55.2, 43.7)))
def test_colours_can_be_typed(session, color):
    session.set_color(color)
    expected = rgb_to_lab(np.array([[[192, 48, 32]]], np.uint8))[0, 0]
    assert np.allclose(session.color, expected[1:], atol=1 if isinstance(color, tuple) else 0.01)


def test_colours_gone_through_quickly_leave_one_behind(session, monkeypatch):
    now = [100.0]
    monkeypatch.setattr(widgets.hint_session, "time", SimpleNamespace(monotonic=lambda: now[0]))
    session.add(10, 60, color=(40, 20))
    for a in (35, 30, 25):                                       # an arrow key held down
        now[0] += 0.1
        session.set_color((a, 20))
    assert session.recent == [(25.0, 20.0), (40.0, 20.0)] and session.hints[0].a == pytest.approx(25, abs=1)
    now[0] += 0.6                                                # it stood for a while, then another is tried: back over the first
    for a in (30, 40):
        now[0] += 0.1
        session.set_color((a, 20))
    assert session.recent == [(40.0, 20.0), (25.0, 20.0)]
    session.add(20, 20)
    session.set_color((0, 50))                                   # a colour used for a hint is not lost, however soon the next comes
    assert session.recent == [(0.0, 50.0), (40.0, 20.0), (25.0, 20.0)]


def test_moving_follows_the_gamut_and_is_one_step(session):
    session.add(10, 60, color=(40, 20))
    session.move(0, 50, 3)
    hint = session.hints[0]
    assert (hint.y, hint.x) == (50, 3) and in_gamut(np.array([session.lightness_at(50, 3), hint.a, hint.b]))
    session.undo()
    assert (session.hints[0].y, session.hints[0].x) == (10, 60)


def test_undo_selects_what_came_back(session):
    session.add(1, 2)
    session.add(3, 4)
    session.delete(0)
    assert session.selected is None
    session.undo()
    assert session.selected == 0 and session.hints[0].y == 1


@pytest.mark.parametrize("edit", (
    lambda s: s.add(56, 0), lambda s: s.add(0, -1), lambda s: s.add(float("nan"), 0), lambda s: s.add(0, 0, size=10),
    lambda s: s.add(0, 0, color=(np.inf, 0)),
    lambda s: s.move(1, 0, 0), lambda s: s.move(0, 99, 0), lambda s: s.move(-1, 0, 0), lambda s: s.select(1), lambda s: s.set_color("no colour"),
    lambda s: s.set_color((1,)), lambda s: s.set_size(0), lambda s: s.delete(7), lambda s: s.pick_reference(0, 0), lambda s: s.load_hints("missing.json"),
    lambda s: s.save_hints("no/such/folder/x.json"), lambda s: s.save_hints(" "), lambda s: s.export("x.xyz"), lambda s: s.export("no/such/folder/x.png")))
def test_bad_input_is_one_sentence_and_loses_nothing(session, edit):
    session.add(10, 60, color=(40, 20), size=3)
    before = list(session.hints)
    with pytest.raises((ValueError, FileNotFoundError)) as caught:
        edit(session)
    text = str(caught.value)
    assert list(session.hints) == before and 10 < len(text) < 250 and "\n" not in text and text.endswith(".")


def test_hints_given_are_edited_in_place(photo):
    hints = HintSet(56, 80, [Hint(5, 5, 10, 10)])
    session = widgets.HintSession(photo, hints, nearest)
    session.add(20, 20)
    assert session.hints is hints and len(hints) == 2 and hints.image_hash
    assert len(widgets.HintSession(photo, [(5, 5, 10, 10), (6, 6, "#2e7d32")], nearest).hints) == 2


def test_save_and_load(session, tmp_path, photo):
    session.folder = tmp_path
    session.add(10, 60, color=(40, 20), size=3)
    session.save_hints("a.json")
    saved = list(session.hints)
    session.add(1, 1)
    session.save_hints("a.json")                                       # its own file may be replaced
    assert session.load_hints("a.json") == 2
    session.clear()
    session.load_hints("a.json")
    assert list(session.hints)[:1] == saved
    assert session.undo() and len(session.hints) == 0                  # loading is one step, too
    (tmp_path / "b.json").write_text("precious")
    with pytest.raises(ValueError, match="exists already"):
        session.save_hints("b.json")
    assert (tmp_path / "b.json").read_text() == "precious"
    other = widgets.HintSession(scenes.make_scene(4, 80).rgb[:56], predict=nearest, folder=tmp_path)
    other.add(5, 5)
    with pytest.raises(ValueError, match="another picture"):
        other.load_hints("a.json")
    assert len(other.hints) == 1 and other.load_hints("a.json", check_picture=False) == 2
    small = widgets.HintSession(widgets.shrink(photo, 40), predict=nearest, folder=tmp_path)
    small.load_hints("a.json", check_picture=False)
    assert small.hints[0].y == pytest.approx((10 + 0.5) / 2 - 0.5)     # relative coordinates


def test_paths_in_quotes_and_a_copy_for_the_browser(photo, tmp_path, monkeypatch):
    picker, sent = widgets.HintPicker(photo, predict=nearest, folder=tmp_path), []
    monkeypatch.setattr(picker, "send", lambda content, buffers=None: sent.append((content, buffers)))
    assert picker.act("save", path=f'"{tmp_path / "a.json"}"')[1] is False and (tmp_path / "a.json").exists()
    assert picker.act("load", path="'a.json'") == ("Loaded a.json. The picture has no hints.", False) and sent == []
    send(picker, "export", path='"out.png"')
    (content, (data,)), = sent
    assert content["name"] == "out.png" and "to the computer of this browser" in content["note"] and data == (tmp_path / "out.png").read_bytes()
    send(picker, "export", seq=2, path="out.xyz")
    assert "does not end in a suffix" in picker.state["error"] and len(sent) == 1
    monkeypatch.setattr(widgets.pictures, "DOWNLOAD_LIMIT", 100)
    send(picker, "export", seq=3, path="large.png")
    assert "too large for a link" in sent[1][0]["note"] and sent[1][1] == []


def test_export_is_the_whole_picture(tmp_path):
    scene = scenes.make_scene(6, 700).rgb[:, :650]
    images.save_image(tmp_path / "big.png", scene)
    session = widgets.HintSession(tmp_path / "big.png", [(100, 100, 30, 30)], nearest, folder=tmp_path)
    assert session.update().shape[0] == 512
    path, notes = session.export("out.png")
    written = images.open_image(path).rgb
    assert written.shape == scene.shape and notes == [] and np.array_equal(written, session.colorize().rgb)
    expected = images.merge_chroma(images.lightness(images.open_image(scene)), nearest(session.model.L, session.hints))
    assert np.array_equal(written, expected)
    with pytest.raises(ValueError, match="exists already"):
        session.export("big.png")


def test_hard_clamp_keeps_the_persons_colour(photo):
    def deaf(L, hints):
        return np.zeros((2, *L.shape))
    session = widgets.HintSession(photo, [(20, 30, 25, 20)], deaf, working_size=32)
    assert np.ptp(session.update()[20, 30].astype(int)) <= 1           # the model does not listen
    session.hard_clamp = True
    wanted = session.lightness_at(20, 30), *snap(session.lightness_at(20, 30), 25, 20)[:2]
    for rgb in (session.update(), session.colorize().rgb):
        assert hex_color(*wanted) == "#" + bytes(rgb[20, 30]).hex()
        assert np.ptp(rgb[50, 75].astype(int)) <= 1


def test_suggestions_without_a_distribution(session):
    session.add(5, 5, color=(30, 10))
    session.add(50, 70, color=(-20, 20))
    found = session.suggest(5, 5)
    L = session.lightness_at(5, 5)
    assert 2 <= len(found) <= 10 and found == session.suggest(5, 5)
    assert all(in_gamut(np.array([L, *color])) for color in found)
    assert np.allclose(found[0], (30, 10), atol=0.01) and any(np.hypot(*color) < 6 for color in found)       # now there; grey
    assert any(np.allclose(color, (-20, 20), atol=3) or np.allclose(color, (6, 10), atol=3) for color in found[1:])    # without its own hint
    assert len(session.hints) == 2 and not session.hints.can_redo


def test_suggestions_from_a_distribution(session, monkeypatch):
    bins = np.float32([[20, 14], [-25, 25], [5, -30], [90, 90]])

    class Paper:
        @staticmethod
        def color_distribution(network, batch):
            import torch
            assert batch["L"].shape == (1, 1, *session.model.L.shape) and batch["hint_ab"].shape[1] == 2 and batch["hint_mask"].shape[1] == 1
            p = torch.zeros(1, 4, 6, 8)
            p[0, :, 2, 7] = torch.tensor([0.1, 0.6, 0.0, 0.3])         # (90, 90) is no colour of any such lightness
            return p, torch.from_numpy(bins)
    network = __import__("torch").nn.Linear(1, 1)
    session.model.paper, session.model.network = Paper, network
    row, column = 22, 75                                               # in the cell (2, 7) of 6 x 8
    found = session.suggest(row, column)
    assert len(found) == 4                                             # what is there, two of the bins, grey
    L = session.lightness_at(row, column)
    assert np.allclose(found[1], snap(L, -25, 25)[:2], atol=0.01) and np.allclose(found[2], snap(L, 20, 14)[:2], atol=0.01)


def test_the_student_knows_and_the_curve_shows(session, photo):
    session.update()
    for clicks in range(1, 21):
        session.student_click()
        session.update()
    counts, scores = zip(*session.curve)
    assert counts == tuple(range(21)) and scores[-1] > scores[0] + 1
    assert scores[-1] == pytest.approx(float(psnr(session.result, photo)[0]))
    hint = session.hints[0]
    assert np.allclose(rgb_to_lab(photo)[int(hint.y), int(hint.x), 1:], (hint.a, hint.b), atol=0.01)
    assert len({(h.y, h.x) for h in session.hints}) == 20
    session.undo()
    session.update()
    assert [n for n, _ in session.curve] == list(range(20))


def test_a_grey_picture_has_no_student(photo):
    gray = np.repeat(photo[..., :1], 3, -1)
    session = widgets.HintSession(gray, predict=nearest)
    session.update()
    assert session.truth is None and session.curve == []
    with pytest.raises(ValueError, match="colour picture"):
        session.student_click()


def test_the_eyedropper(session, photo):
    session.set_reference(photo[:, :40])
    assert session.reference.shape == (56, 40, 3)
    session.pick_reference(30, 20)
    assert np.allclose(session.color, rgb_to_lab(photo[29:32, 19:22]).mean((0, 1))[1:], atol=1e-4)
    with pytest.raises(ValueError, match="outside"):
        session.pick_reference(56, 0)


@pytest.mark.parametrize("shape", ((1, 1), (1, 90), (5, 3), (300, 20)))
def test_any_shape_of_picture(shape):
    rgb = np.random.default_rng(0).integers(0, 256, (*shape, 3), np.uint8)
    session = widgets.HintSession(rgb, predict=nearest, working_size=16, hard_clamp=True)
    session.add(shape[0] - 1, shape[1] - 1, color=(20, 20), size=9)
    session.student_click()
    assert session.update().shape == (*shape, 3) and session.suggest(0, 0) and session.colorize().size == shape[::-1]


@pytest.mark.parametrize("answer", (np.zeros((3, 8, 8)), np.full((2, 8, 8), np.nan), np.zeros((2, 0, 4)), 7))
def test_a_function_that_returns_something_else(photo, answer):
    with pytest.raises(ValueError, match="must return finite ab"):
        HintModel(images.lightness(images.open_image(photo)), lambda L, hints: answer).predict(HintSet(56, 80))


def test_predictions_are_remembered(photo):
    calls = []

    def count(L, hints):
        calls.append(len(hints))
        return nearest(L, hints)
    session = widgets.HintSession(photo, predict=count)
    session.update()
    session.add(5, 5)
    session.update()
    session.undo()
    session.update()
    assert calls == [0, 1] and session.model.working_size == 256 and session.model.L.shape == (256, 368)


def test_methods_that_take_no_hints_and_unknown_ones(photo):
    with pytest.raises(ValueError, match="takes no hints"):
        widgets.HintSession(photo, predict="koalarization")
    with pytest.raises(ValueError, match="There is no method"):
        widgets.HintSession(photo, predict="crystal ball")


# ---------------------------------------------------------------- actions

def test_every_action_answers_with_a_sentence(session, tmp_path, photo):
    session.folder = tmp_path
    images.save_image(tmp_path / "reference.png", photo)
    script = [("add", {"y": 3, "x": 4}), ("move", {"index": 0, "y": 5, "x": 6}), ("color", {"color": "#2040a0"}), ("size", {"size": 3}), ("select", {"index": None}),
              ("color", {"color": [3, 4]}), ("undo", {}), ("redo", {}), ("save", {"path": "h.json"}), ("clear", {}), ("load", {"path": "h.json"}),
              ("student", {}), ("reference", {"path": "reference.png"}), ("pick", {"y": 1, "x": 1}), ("select", {"index": 0}), ("pick", {"y": 9, "x": 9}),
              ("clamp", {"on": True}), ("delete", {}), ("delete", {"index": 0}), ("export", {"path": "out.png"}), ("refresh", {})]
    for name, arguments in script:
        sentence, failed = perform(session, name, arguments)
        assert not failed and sentence.endswith(".") and "\n" not in sentence, (name, sentence)
    assert set(ACTIONS) - {name for name, _ in script} == {"preview", "suggest"}
    assert images.open_image(tmp_path / "out.png").size == (80, 56) and len(session.hints) == 0


@pytest.mark.parametrize("error, words", ((KeyError("conv1"), "KeyError"), (RuntimeError("CUDA error:\n  a\n  b"), "CUDA error: a b"), (MemoryError(), "memory")))
def test_a_failing_model_loses_no_hint(photo, error, words):
    def fail(L, hints):
        if len(hints) == 2:
            raise error
        return nearest(L, hints)
    picker = widgets.HintPicker(photo, predict=fail)
    send(picker, "add", y=5, x=6)
    shown = picker.result_jpg
    send(picker, "add", seq=2, y=7, x=8)
    assert words in picker.state["error"] and "\n" not in picker.state["error"] and picker.state["seq"] == 2
    assert len(picker.hints) == 2 and len(picker.hint_list) == 2 and picker.result_jpg == shown
    send(picker, "select", seq=3, index=None)
    send(picker, "color", seq=4, color="#2040c0")
    send(picker, "add", seq=5, y=50, x=70)                              # and it goes on
    assert picker.state["error"] == "" and len(picker.hints) == 3 and picker.result_jpg != shown


# ---------------------------------------------------------------- the picker

def test_the_picker_answers_commands(photo, capfd):
    picker = widgets.HintPicker(photo, predict=nearest, working_size=32)
    assert repr(picker) == "HintPicker(HintSession(56 x 80 pixels, 0 hints, nearest))"
    assert np.abs(decode(picker.result_jpg).astype(int) - picker.result).mean() < 4 and decode(picker.gray_jpg).shape == photo.shape
    assert picker.picture["has_truth"] and picker.picture["height"] == 56 and picker.picture["pixel"] == pytest.approx(80 / 48)
    before = picker.result_jpg
    send(picker, "add", seq=7, y=10, x=60)
    mark, = picker.hint_list
    assert (mark["y"], mark["x"]) == (10, 60) and mark["hex"] == hex_color(mark["L"], mark["a"], mark["b"])
    assert picker.state["seq"] == 7 and picker.state["selected"] == 0 and picker.state["can_undo"] and picker.result_jpg != before
    shown = picker.result_jpg
    send(picker, "preview", seq=8, index=0, y=40, x=5)
    assert picker.hints[0].y == 10 and picker.state["seq"] == 8 and picker.result_jpg == shown    # one hint colours all
    send(picker, "preview", seq=9, index=0, a=-20, b=20)
    assert picker.hints[0].a > 0 and picker.result_jpg != shown
    send(picker, "refresh", seq=10)
    assert picker.result_jpg == shown
    send(picker, "suggest", seq=11, y=10, x=60)
    assert len(picker.state["suggestions"]) >= 2 and json.dumps(picker.state)
    send(picker, "undo", seq=12)
    assert picker.hint_list == [] and picker.result_jpg == before and picker.state["suggestions"] == []
    for wrong in ({"do": "explode"}, {"do": "add"}, {"do": "add", "y": "here", "x": None}, {}, {"do": "move", "index": 3, "y": 0, "x": 0},
                  {"do": "preview", "index": 9, "y": 1, "x": 1}, {"do": "_edit", "act": 1}):
        picker._handle_custom_msg(wrong, [])
        assert picker.state["error"].endswith(".") and len(picker.hints) == 0, wrong
    assert capfd.readouterr() == ("", "")                               # nothing for a log


def test_late_commands_do_not_turn_the_clock_back(photo):
    picker = widgets.HintPicker(photo, predict=nearest)
    send(picker, "add", seq=20, y=1, x=1)
    send(picker, "add", seq=10, y=2, x=2)
    assert picker.state["seq"] == 20 and len(picker.hints) == 2         # a click is never dropped
    shown = picker.result_jpg
    send(picker, "preview", seq=15, index=0, a=-30, b=30)
    assert picker.result_jpg == shown                                   # a drag's picture is, when overtaken


def test_python_code_may_edit_too(photo):
    picker = widgets.HintPicker(photo, predict=nearest)
    picker.hints.add(Hint(3, 4, 10, 10))
    assert picker.refresh() is None and len(picker.hint_list) == 1
    sentence, failed = picker.act("add", y=5, x=6)
    assert not failed and "row 5" in sentence and picker.state["message"] == sentence


def test_only_pictures_that_changed_are_sent(photo):
    picker, sent = widgets.HintPicker(photo, predict=nearest, reference=photo), []
    picker.send_state = lambda key=None: sent.append(set(key))
    send(picker, "add", y=1, x=1)
    send(picker, "select", seq=2, index=None)
    assert len(sent) == 2 and sent[0] == {"result_jpg", "hint_list", "state"} and sent[1] == {"state"}


def test_clicks_from_many_threads_are_all_kept(photo):
    picker = widgets.HintPicker(photo, predict=nearest, working_size=16)
    threads = [threading.Thread(target=send, args=(picker, "add"), kwargs={"seq": i + 1, "y": i, "x": i}) for i in range(12)]
    for thread in threads:
        thread.start()
    picker.refresh()                                                    # the main thread is at work, too
    for thread in threads:
        thread.join()
    assert sorted(hint.y for hint in picker.hints) == list(range(12)) and len(picker.hint_list) == 12 and picker.state["error"] == ""


def test_what_a_notebook_stores(photo):
    picker = widgets.HintPicker(photo, predict=nearest)
    data = picker._repr_mimebundle_()
    data = data[0] if isinstance(data, tuple) else data
    assert set(data) == {"text/plain", "application/vnd.jupyter.widget-view+json"} and data["text/plain"] == repr(picker)


def test_the_front_end_needs_no_network():
    script, style = str(widgets.HintPicker._esm), str(widgets.HintPicker._css)
    assert "export default { render }" in script and "import " not in script.replace("no imports", "") and "http" not in script + style and "url(" not in style


@pytest.mark.parametrize("sizes, text", (((), ""), ((1,), "trained with 1 px"), ((1, 9), "trained with 1 to 9 px"), (range(1, 10), "trained with 1 to 9 px")))
def test_trained_sizes_are_named(sizes, text):
    assert sizes_text(sizes) == text


# ---------------------------------------------------------------- the plain form

def test_the_form_does_the_same(tmp_path, photo):
    form = widgets.pick_hints(photo, predict=nearest, view="form", folder=tmp_path, working_size=32)
    assert isinstance(form, widgets.HintForm) and repr(form) == "HintForm(HintSession(56 x 80 pixels, 0 hints, nearest))"
    form.y.value, form.x.value = 10, 60
    assert len(form.hints) == 0
    empty = form.result
    form.color.value = "#c03020"
    form.buttons["put"].click()
    hint, = form.hints
    assert (hint.y, hint.x) == (10, 60) and hint.a > 10 and form.buttons["put"].description == "Move here" and "Hint 1" in form.message.value
    assert not np.array_equal(form.result, empty) and "#" in form.table.value
    form.color.value = "#2040c0"                                        # the selected hint follows
    assert form.hints[0].b < -10
    form.size.value = 5
    assert form.hints[0].size == 5
    form.x.value = 20
    form.buttons["put"].click()
    assert form.hints[0].x == 20
    for _ in range(3):
        form.buttons["undo"].click()
    assert (form.hints[0].x, form.hints[0].size) == (60, 1) and form.hints[0].a > 10
    form.choice.value = 0                                               # a new hint
    form.y.value = 30
    form.buttons["put"].click()
    assert len(form.hints) == 2
    form.buttons["save"].click()
    form.buttons["clear"].click()
    assert len(form.hints) == 0 and form.buttons["clear"].disabled and not form.buttons["undo"].disabled
    form.buttons["load"].click()
    assert len(form.hints) == 2
    form.hints_path.value = "nowhere.json"
    form.buttons["load"].click()
    assert 'role="alert"' in form.message.value and len(form.hints) == 2
    form.buttons["student"].click()
    assert len(form.hints) == 3 and "PSNR" in form.message.value
    before = form.view.value
    form.mode.value = "Grey"
    assert form.view.value != before
    form.buttons["export"].click()
    assert (tmp_path / form.picture_path.value).exists()
    form.clamp.value = True
    assert form.session.hard_clamp
    form.buttons["delete"].click()
    assert len(form.hints) == 2


def test_every_control_of_the_form_has_a_label(photo):
    queue, controls = list(widgets.HintForm(photo, predict=nearest).children), 0
    while queue:
        item = queue.pop()
        assert not isinstance(item, ipywidgets.Output)
        queue += getattr(item, "children", ())
        if hasattr(item, "disabled"):
            controls += 1
            assert item.description
    assert controls > 15


def test_pick_hints_chooses(photo, monkeypatch):
    assert isinstance(widgets.pick_hints(photo, predict=nearest), widgets.HintPicker)
    with pytest.raises(ValueError, match="picker or form"):
        widgets.pick_hints(photo, predict=nearest, view="hologram")
    import sys
    monkeypatch.setitem(sys.modules, "colorlib.widgets.hint_picker", None)     # as if it could not be imported
    monkeypatch.setattr(sys.modules["colorlib.widgets.hint_form"], "HintForm", lambda *args, **options: "the form")
    with pytest.raises(ModuleNotFoundError):
        widgets.pick_hints(photo, predict=nearest)                             # hides no other mistake


def test_a_session_can_have_both_views(photo):
    session = widgets.HintSession(photo, predict=nearest)
    picker, form = widgets.HintPicker(session), widgets.HintForm(session)
    picker.act("add", y=1, x=1)
    form.refresh()
    assert form.choice.max == 1 and picker.hints is form.hints


@pytest.mark.skipif("hintnet" not in zoo.METHODS or not zoo.weights_file("hintnet").exists(), reason="needs the shipped weights of hintnet")
def test_the_shipped_model(photo):
    session = widgets.HintSession(photo)
    session.add(20, 30, color=(40, 20))
    picture = painting.colorize(photo, "hintnet", hints=session.hints)
    assert np.abs(session.colorize().rgb.astype(int) - picture.rgb).max() <= 1
    assert len(session.suggest(40, 50)) >= 2
