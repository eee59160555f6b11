"""The caption session and its box without a browser: captions go in as a front end would send them; pictures and sentences come out."""
import base64
import re
import threading
import time
from dataclasses import replace

import ipywidgets
import numpy as np
import pytest
import torch

from colorlib import captions, images, scenes, widgets, zoo
from colorlib.lab import rgb_to_lab
from colorlib.papers import language
from colorlib.widgets.caption_session import NO_WORDS, History, Newest
from colorlib.widgets.controls import PAINT
from tests.test_widgets import pictures_in, png, upload

WORDS = ("a", "and", "bus", "car", "on", "road", "the", "turtle", *captions.COLOR_WORDS)
AB = {"red": (60, 45), "blue": (10, -55), "green": (-50, 45), "pink": (40, 0), "yellow": (0, 70)}


def by_first_word(L, caption):
    """A model without learning: the whole picture has the colour of the caption's first colour word."""
    said = [captions.basic(word) for word in captions.color_words(caption)]
    return np.broadcast_to(np.float32(AB.get(said[0] if said else "", (0, 0)))[:, None, None], (2, *L.shape))


by_first_word.vocabulary = captions.Vocabulary(sorted(WORDS))


@pytest.fixture(scope="module")
def photo():
    return scenes.make_scene(3, 80).rgb[:56]          # 56 rows, 80 columns: swapped axes show


@pytest.fixture(scope="module")
def network():
    """An untrained FiLM network whose words weigh enough to be seen."""
    torch.manual_seed(0)
    model = language.build(replace(language.VARIANTS["film"]["smoke"], vocabulary=tuple(sorted(WORDS))), pretrained=False).eval()
    with torch.no_grad():
        for film in model.fusions:
            film.layer.weight.mul_(20)
    return model


@pytest.fixture
def box(photo):
    box = widgets.CaptionBox(photo, "a red car", by_first_word, working_size=16)
    yield box
    box.worker.wait()


def mean_ab(rgb):
    return rgb_to_lab(rgb)[..., 1:].mean((0, 1))


def text_of(view):
    return re.sub(r"<[^>]+>", "", view.value).replace("&#x27;", "'").replace("&lt;", "<")


# ---------------------------------------------------------------- session

def test_the_caption_colours_the_picture(photo):
    session = widgets.CaptionSession(photo, "a red car", by_first_word, working_size=16)
    assert session.result.shape == photo.shape and session.result.dtype == np.uint8 and session.input.shape == (1, 1, 16, 24)
    assert mean_ab(session.result)[0] > 20
    assert mean_ab(session.update("a blue car"))[1] < -20 and session.caption == "a blue car"
    assert np.abs(mean_ab(session.gray)).max() < 1


def test_a_network_hears_its_caption(photo, network):
    session = widgets.CaptionSession(photo, "a red car", model=network)
    red = session.result
    ab = language.colorize(network, {"L": images.model_input(session.L, zoo.working_size(network.config)), "caption": ["a red car"]})
    assert np.array_equal(session.predict("a red car"), ab[0].numpy())
    assert np.abs(session.update("a blue car").astype(int) - red).max() > 3
    assert np.array_equal(session.update("A red, car!"), red)                                       # it reads the same words
    assert np.array_equal(session.update("the zebra"), session.update("the gnu")) and session.caption == "the gnu"     # both unknown


def test_concat_works_and_methods_without_captions_say_so(photo):
    model = language.build(replace(language.VARIANTS["concat"]["smoke"], vocabulary=tuple(sorted(WORDS))), pretrained=False)
    assert widgets.CaptionSession(photo, "a red car", "concat", model).result.shape == photo.shape
    for method, words in (("fcnn", "takes no caption"), ("koalarization", "takes no caption"), ("crystal ball", "There is no method")):
        with pytest.raises(ValueError, match=words):
            widgets.CaptionBox(photo, "a red car", method)
    deaf = language.build(replace(language.VARIANTS["film"]["smoke"], vocabulary_size=5), pretrained=False)
    with pytest.raises(ValueError, match="knows no words"):
        widgets.CaptionSession(photo, "a red car", model=deaf)


@pytest.mark.parametrize("answer", (np.zeros((3, 8, 8)), np.full((2, 8, 8), np.nan), np.zeros((2, 0, 4)), 7))
def test_a_function_that_returns_something_else(photo, answer):
    with pytest.raises(ValueError, match="must return finite ab"):
        widgets.CaptionSession(photo, "a", lambda L, caption: answer)


@pytest.mark.parametrize("caption, expected", (
    ("a red car", "by_first_word knows every word."),
    ("", NO_WORDS), (" ,. ", NO_WORDS),
    ("a red zebra", "'zebra' is not one of the 19 words this model knows: it is read as an unknown word."),
    ("a red turtel", "'turtel' is not one of the 19 words this model knows: it is read as an unknown word; nearest known: turtle."),
    ("a crimson car", "'crimson' is not one of the 19 words this model knows: it is read as an unknown word; nearest known: red."),
    ("a re", "'re' is read as an unknown word until it is finished: red."),
    ("a re ", "'re' is not one of the 19 words this model knows: it is read as an unknown word; nearest known: red."),
    ("zebra re", "'zebra' and 're' are not among the 19 words this model knows: they are read as unknown words; nearest known: re (red)."),
    ("foo bar bat foo", "'foo', 'bar' and 'bat' are not among the 19 words this model knows: they are read as unknown words."),
    ("turtel pumkpin zebra", "'turtel', 'pumkpin' and 'zebra' are not among the 19 words this model knows: they are read as unknown words; nearest known: turtel (turtle)."),
    ("2 red car", "by_first_word knows every word; '2' cannot be read, only words in letters can."),
    ("2 🚗", "'2' and '🚗' cannot be read, only words in letters can."),
    ("Ein rotes Auto", "'ein', 'rotes' and 'auto' are not among the 19 words this model knows: they are read as unknown words."),
))
def test_every_word_is_accounted_for(photo, caption, expected):
    session = widgets.CaptionSession(photo, "", by_first_word, working_size=16)
    said = session.explain(caption)
    assert said == expected
    for word in by_first_word.vocabulary.unknown(caption):
        assert repr(word) in said
    assert [word for word, known in session.understood(caption) if not known] == [w for w in captions.words(caption) if w not in WORDS]


def test_a_function_without_a_vocabulary(photo):
    session = widgets.CaptionSession(photo, "xyzzy", lambda L, caption: by_first_word(L, caption))
    assert session.understood("xyzzy") == [("xyzzy", True)] and "as it stands" in session.explain("xyzzy")


def test_predictions_are_remembered(photo):
    calls = []

    def count(L, caption):
        calls.append(caption)
        return by_first_word(L, caption)
    session = widgets.CaptionSession(photo, "a", count)
    for caption in ("a red car", "a", "a red car", "a blue car", "a"):
        session.update(caption)
    assert calls == ["a", "a red car", "a blue car"]
    session.open(photo[:40])
    session.update("a")
    assert calls[3:] == ["a"] and session.result.shape[0] == 40


@pytest.mark.parametrize("shape", ((1, 1), (1, 90), (5, 3), (300, 20)))
def test_any_shape_of_picture(shape, network):
    rgb = np.random.default_rng(0).integers(0, 256, (*shape, 3), np.uint8)
    session = widgets.CaptionSession(rgb, "a red car", model=network)
    assert session.result.shape == (*shape, 3) and session.colorize().size == shape[::-1]


def test_export_is_the_whole_picture(tmp_path):
    scene = scenes.make_scene(6, 420).rgb[:, :400]
    images.save_image(tmp_path / "big.png", scene)
    session = widgets.CaptionSession(tmp_path / "big.png", "a red car", by_first_word, folder=tmp_path)
    assert session.result.shape[0] == 380
    path, notes = session.export("out.png")
    written = images.open_image(path).rgb
    assert written.shape == scene.shape and notes == [] and np.array_equal(written, session.colorize().rgb)
    before = path.read_bytes()
    for name in ("out.png", "big.png", " ", "x.xyz", "no/such/folder/x.png"):
        with pytest.raises((ValueError, FileNotFoundError)) as caught:
            session.export(name)
        assert str(caught.value).endswith(".") and "\n" not in str(caught.value)
    assert path.read_bytes() == before and np.array_equal(images.open_image(tmp_path / "big.png").rgb, scene)


# ---------------------------------------------------------------- history and the worker

def typed(history, text, start=""):
    for i in range(len(text)):
        history.note(start + text[:i + 1])


def test_a_run_of_typing_is_one_step():
    now = [0.0]
    history = History(clock=lambda: now[0])
    typed(history, "a red car")
    history.note("a blue car")                                       # a word put in another's place
    for end in range(9, 1, -1):
        history.note("a blue car"[:end])                             # deleted letter by letter
    typed(history, "green bus", "a ")
    assert [history.undo() for _ in range(5)] == ["a ", "a blue car", "a red car", "", None]
    assert history.seen == ["a red car", "a blue car", "a ", "a green bus"]                         # the last one left first; nothing is lost
    typed(history, "a")
    now[0] += 5                                                      # somebody looks at the picture
    history.note("a car")
    assert history.undo() == "a" and history.undo() == ""


def test_letters_put_into_the_middle_are_typing_too():
    history = History("a car")
    for caption in ("a rcar", "a recar", "a redcar", "a red car"):
        history.note(caption)
    assert history.undo() == "a car" and history.undo() is None and history.seen == ["a red car", "a car"]


def test_the_newest_caption_wins():
    entered, release, worked = threading.Event(), threading.Event(), []

    def slow(item):
        worked.append(item)
        entered.set()
        assert release.wait(5)
    newest = Newest(slow)
    newest.ask("a")
    assert entered.wait(5)
    for item in ("a r", "a re", "a red"):
        newest.ask(item)                                             # returns at once
    release.set()
    newest.wait()
    assert worked == ["a", "a red"] and newest.thread is None
    newest.ask("b")
    newest.wait()
    assert worked[-1] == "b"


def test_many_threads_ask_and_the_last_word_is_shown():
    shown = []
    newest = Newest(lambda item: (time.sleep(0.001), shown.append(item)))
    threads = [threading.Thread(target=lambda k=k: [newest.ask((k, i)) for i in range(50)]) for k in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    newest.ask("last")
    newest.wait()
    assert shown[-1] == "last" and len(shown) < 202


# ---------------------------------------------------------------- the box

def test_typing_recolours(box):
    (alt, before), = pictures_in(box.view.value)
    assert "a red car" in alt and len(pictures_in(box.gray.value)) == 1 and "grey" in box.gray.value
    for text in ("a red ca", "a red c", "a red", "a re", "a b", "a blue", "a blue car"):
        box.text.value = text
    assert mean_ab(box.result)[1] < -20 and repr(box) == "CaptionBox(CaptionSession(56 x 80 pixels, 'a blue car', by_first_word))"
    (alt, after), = pictures_in(box.view.value)
    assert "a blue car" in alt and "by_first_word: a blue car" in box.view.value and mean_ab(after)[1] < mean_ab(before)[1] - 20
    box.text.value = ""
    assert np.array_equal(box.result, box.session.gray) and "nothing said" in box.view.value and NO_WORDS in text_of(box.message)


def test_unknown_words_are_marked(box):
    box.text.value = "a red zebra <b>"
    assert "<b>red</b> <mark" in box.understood.value and ">zebra (?)</mark>" in box.understood.value
    assert "'zebra'" in text_of(box.message) and 'role="status"' in box.message.value
    box.worker.wait()
    assert "<b>" not in box.view.value and "zebra &lt;b&gt;" in box.view.value                      # what is typed is text, never HTML


def test_colour_buttons_say_another_word(box):
    assert list(box.colors) == list(captions.COLOR_WORDS) and box.target.disabled
    box.colors["orange"].click()
    assert box.text.value == "an orange car" and box.target.value == "orange"
    box.text.value = "a red car and a blue bus"
    assert box.target.options == ("red", "blue") and not box.target.disabled
    box.target.value = "blue"
    box.colors["yellow"].click()
    assert box.text.value == "a red car and a yellow bus" and box.target.value == "yellow"
    box.colors["pink"].click()
    assert box.text.value == "a red car and a pink bus"
    box.text.value = "the car"
    box.colors["pink"].click()
    assert box.text.value == "the car" and "no colour word" in text_of(box.message) and 'role="alert"' in box.message.value


def test_undo_and_the_list_of_earlier_captions(box):
    assert box.undo.disabled and box.earlier.disabled
    box.colors["blue"].click()
    box.colors["green"].click()
    assert not box.undo.disabled
    box.undo.click()
    assert box.text.value == "a blue car" and mean_ab(box.result)[1] < -20
    box.undo.click()
    assert box.text.value == "a red car" and mean_ab(box.result)[0] > 20 and box.undo.disabled
    assert {value for _, value in box.earlier.options} == {"", "a red car", "a blue car", "a green car"}
    box.earlier.value = "a green car"
    assert box.text.value == "a green car" and mean_ab(box.result)[0] < -20 and box.earlier.value == "" and box.earlier.index == 0
    box.undo.click()
    assert box.text.value == "a red car"


def test_another_photo_and_saving(tmp_path, photo):
    images.save_image(tmp_path / "old cat.png", photo[:40])
    box = widgets.CaptionBox(photo, "a red car", by_first_word, folder=tmp_path)
    box.path.value = f" '{tmp_path / 'old cat.png'}' "
    assert box.result.shape == (40, 80, 3) and mean_ab(box.result)[0] > 20 and box.name.value == "old cat_colorized.png"
    assert "80 x 40 pixels" in box.gray.value
    box.save.click()
    assert "80 x 40 pixels" in text_of(box.message)
    assert np.array_equal(images.open_image(tmp_path / "old cat_colorized.png").rgb, box.session.colorize().rgb)
    box.save.click()
    assert 'role="alert"' in box.message.value and "exists already" in box.message.value
    upload(box, "dog.png", png(photo))
    assert box.result.shape == photo.shape and box.name.value == "dog_colorized.png" and box.upload.value == ()
    shown = box.view.value
    upload(box, "<i>.png", b"<html><body>not a picture")
    assert 'role="alert"' in box.message.value and "web page" in box.message.value and "<i>" not in box.message.value
    assert "The picture below is still dog.png." in text_of(box.message)
    box.path.value = str(tmp_path / "missing.jpg")
    assert "missing.jpg does not exist" in box.message.value and box.view.value == shown and box.session.picture.size == (80, 56)


@pytest.mark.parametrize("error, words", ((KeyError("conv1"), "KeyError"), (RuntimeError("CUDA error:\n  a\n  b"), "CUDA error: a b"),
                                          (MemoryError(), "memory")))
def test_a_failing_model_keeps_the_last_picture(photo, error, words):
    def fail(L, caption):
        if "blue" in caption:
            raise error
        return by_first_word(L, caption)
    box = widgets.CaptionBox(photo, "a red car", fail)
    result, shown = box.result, box.view.value
    box.text.value = "a blue car"
    assert box.result is result and box.view.value == shown and box.text.value == "a blue car" and box.session.caption == "a red car"
    assert words in box.message.value and 'role="alert"' in box.message.value and "\n" not in box.message.value
    box.text.value = "a green car"
    assert mean_ab(box.result)[0] < -20


def test_keystrokes_during_a_slow_colouring(photo):
    entered, release, calls = threading.Event(), threading.Event(), []

    def slow(L, caption):
        calls.append(caption)
        if caption != "a":
            entered.set()
            assert release.wait(5)
        return by_first_word(L, caption)
    box = widgets.CaptionBox(photo, "a", slow)
    box.text.value = "a r"
    assert entered.wait(5)
    for text in ("a re", "a red", "a red c", "a red car"):
        box.text.value = text                                        # each returns at once, and what is understood follows each
        assert captions.words(text)[-1] in box.understood.value
    release.set()
    assert mean_ab(box.result)[0] > 20
    assert calls == ["a", "a r", "a red car"] and "a red car" in box.view.value


def test_every_control_has_a_label_and_no_output_widget_is_used(box):
    queue, controls = list(box.children), 0
    while queue:
        item = queue.pop()
        assert not isinstance(item, ipywidgets.Output)
        queue += getattr(item, "children", ())
        if hasattr(item, "disabled"):
            controls += 1
            assert item.description
    assert controls == 19


def test_buttons_can_be_read():
    def luminance(color):
        parts = np.array([int(color[i:i + 2], 16) for i in (1, 3, 5)]) / 255
        return np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4) @ (0.2126, 0.7152, 0.0722)
    for word, (paint, ink) in PAINT.items():
        low, high = sorted((luminance(paint), luminance(ink)))
        assert (high + 0.05) / (low + 0.05) >= 4.5, word             # WCAG 2.1, level AA
    assert set(PAINT) == set(captions.COLOR_WORDS)


def test_nothing_is_printed(photo, capfd):
    box = widgets.CaptionBox(photo, "a red car", by_first_word)
    box.text.value = "a bl"
    box.colors["blue"].click()
    box.undo.click()
    assert box.result is not None and capfd.readouterr() == ("", "")


def test_the_reaction_takes_less_than_half_a_second():
    """Words in, coded, painted at 128 px by a network of class size, merged at preview size, and encoded: measured as processor time."""
    model = language.build(replace(language.VARIANTS["film"]["class"], vocabulary=tuple(sorted(WORDS))), pretrained=False).eval()
    box = widgets.CaptionBox(scenes.make_scene(3, 380).rgb, "a red car", model=model, working_size=128)
    times = []
    for word in ("blue", "green", "pink", "white", "brown"):
        start = time.process_time()
        box.text.value = f"a {word} car"
        box.worker.wait()
        times.append(time.process_time() - start)
    assert f"a {word} car" in box.view.value and len(base64.b64decode(re.search("base64,([^\"]+)", box.view.value)[1])) > 1000
    assert sorted(times)[2] < 0.5, times
