"""colorlib.hints: where hints land, what undo brings back, what a file keeps, and what is refused in one sentence."""
import io
import json
import os
import re
import threading

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from scipy.cluster.vq import kmeans2
from scipy.spatial.distance import cdist
from skimage import data
from skimage.color import rgb2lab

from colorlib import hints as module
from colorlib.hints import Hint, HintSet, as_hints, cluster_colors, image_hash, parse_color, snap, worst_pixel
from colorlib.lab import in_gamut, lab_to_rgb, rgb_to_lab

HEIGHT, WIDTH = 60, 80
SIDES = st.integers(1, 400)
SIZES = st.integers(1, 9)
RED = Hint(12, 40, 55, 40)
GREEN = Hint(30.25, 10, -50, 45, 3)


def lightness(picture):
    return rgb_to_lab(picture)[..., 0]


def refusal(call, *args, kind=ValueError, **kwargs):
    """The message of the error that a call must raise: one sentence, on one line, with a full stop."""
    with pytest.raises(kind) as error:
        call(*args, **kwargs)
    message = str(error.value)
    assert message.endswith(".") and "\n" not in message and not re.search(r"[.!?] [A-Z]", message), message
    assert len(message) < 320, message
    return message


@st.composite
def hint_sets(draw, most=6):
    height, width = draw(SIDES), draw(SIDES)
    hint = st.builds(Hint, st.floats(-0.5, height - 0.5), st.floats(-0.5, width - 0.5), st.floats(-87, 99), st.floats(-108, 95), SIZES)
    return HintSet(height, width, draw(st.lists(hint, max_size=most)), draw(st.none() | st.just("a" * 64)))

# ---------------------------------------------------------------- maps

@given(hint_sets(), SIDES, SIDES)
@settings(max_examples=150, deadline=None)
def test_maps_at_any_size(hints, height, width):
    ab, mask = hints.maps(height, width)
    assert ab.shape == (2, height, width) and mask.shape == (1, height, width) and ab.dtype == mask.dtype == np.float32
    assert set(np.unique(mask)) <= {0, 1} and not ab[:, mask[0] == 0].any() and mask.any() == (len(hints) > 0)
    if len(hints):                                                                       # the last one lies on top, whole
        top = hints[-1]
        _, own = HintSet(hints.height, hints.width, [top]).maps(height, width)
        assert (ab[:, own[0] > 0].T == np.float32([top.a, top.b])).all()


@given(st.data(), SIDES, SIDES, SIDES, SIDES, SIZES)
@settings(max_examples=150, deadline=None)
def test_a_square_lies_around_its_hint_and_the_border_cuts_it(data, height, width, h, w, size):
    y, x = data.draw(st.integers(0, height - 1)), data.draw(st.integers(0, width - 1))
    rows, columns = np.nonzero(HintSet(height, width, [Hint(y, x, 1, 2, size)]).maps(h, w)[1][0])
    for covered, middle, side in ((rows, (y + 0.5) * h / height, h), (columns, (x + 0.5) * w / width, w)):
        start, stop = covered.min(), covered.max() + 1
        assert start <= int(middle) < stop                                               # the hint's own pixel
        assert stop - start == size or (stop - start < size and (start == 0 or stop == side))
        if stop - start == size and 0 < start and stop < side:
            assert abs((start + stop) / 2 - middle) <= 0.5 + 1e-9                        # no other square is closer
    assert len(rows) == (rows.max() + 1 - rows.min()) * (columns.max() + 1 - columns.min())


@pytest.mark.parametrize("size", range(1, 10))
@pytest.mark.parametrize("y, x", [(30, 40), (0, 0), (59, 79), (0, 79), (2, 77)])
def test_squares_are_those_of_the_official_programs(size, y, x):
    """Odd: pixel - w .. pixel + w, cut at the border (ideepcolor's ui_control.py). Even: P // 2 - 1 before, P // 2 after, so 2 is what
    add_color_patch of colorization-pytorch fills from its top left pixel."""
    expected = np.zeros((HEIGHT, WIDTH))
    before, after = (size - 1) // 2, size // 2
    expected[max(0, y - before):y + after + 1, max(0, x - before):x + after + 1] = 1
    assert (HintSet(HEIGHT, WIDTH, [Hint(y, x, 9, 9, size)]).maps(HEIGHT, WIDTH)[1][0] == expected).all()


@given(hint_sets())
@settings(max_examples=60, deadline=None)
def test_size_one_at_the_pictures_size_is_the_hints_pixel(hints):
    for hint in hints:
        _, mask = HintSet(hints.height, hints.width, [Hint(hint.y, hint.x, 1, 1)]).maps(hints.height, hints.width)
        (row,), (column,) = np.nonzero(mask[0])
        assert abs(row - hint.y) <= 0.5 and abs(column - hint.x) <= 0.5


def test_resizing_the_picture_moves_no_hint():
    """A photo and its copy of a quarter put a hint on the same pixel of the network's input, also where whole pixels differ."""
    photo = HintSet(2400, 3200, [Hint(1201, 803, 5, 6, 2), Hint(0, 3199, 7, 8, 5)])
    for copy in (photo.at_size(600, 800), HintSet.from_json(photo.to_json(), 600, 800), photo.at_size(37, 51).at_size(600, 800)):
        assert (copy.height, copy.width) == (600, 800) and copy[0].y == pytest.approx(299.875, abs=1e-4)
        for side in (64, 256, 301):
            assert all((ours == theirs).all() for ours, theirs in zip(copy.maps(side, side), photo.maps(side, side)))


@pytest.mark.parametrize("y, x, row, column", [(-0.5, -0.5, 0, 0), (59.5, 79.5, -1, -1), (-0.5, 79.5, 0, -1), (59.5, -0.5, -1, 0)])
def test_the_very_edge_belongs_to_the_picture(y, x, row, column):
    for size in range(1, 10):
        for height, width in ((1, 1), (7, 5), (60, 80), (256, 341)):
            _, mask = HintSet(HEIGHT, WIDTH, [Hint(y, x, 1, 1, size)]).maps(height, width)
            assert mask[0, row, column] == 1 and mask.sum() <= size ** 2


def test_no_hints_no_colour():
    ab, mask = HintSet(5, 7).maps(3, 4)
    assert not ab.any() and not mask.any()


# ---------------------------------------------------------------- edits

EDITS = st.lists(st.tuples(st.sampled_from(["add", "move", "recolor", "resize", "delete", "clear", "replace", "assign", "undo", "redo"]),
                           st.integers(0, 5), st.integers(0, 59), st.integers(1, 9)), max_size=40)


@given(EDITS)
@settings(max_examples=200, deadline=None)
def test_undo_and_redo_against_a_list_of_copies(edits):
    hints, past, now, future = HintSet(HEIGHT, WIDTH), [], [], []
    for name, i, value, size in edits:
        new = list(now)
        fresh = Hint(value, value, value, -value, size)
        if name == "undo":
            assert hints.can_undo == bool(past) == hints.undo()
            if past:
                future, now = [*future, now], past.pop()
        elif name == "redo":
            assert hints.can_redo == bool(future) == hints.redo()
            if future:
                past, now = [*past, now], future.pop()
        elif name in ("add", "clear", "assign"):
            if name == "add":
                assert hints.add(fresh) == len(now)
            else:
                hints.clear() if name == "clear" else hints.assign([fresh, RED])
            new = {"add": [*now, fresh], "clear": [], "assign": [fresh, RED]}[name]
        elif i >= len(now):
            refusal(hints.delete, i)
        else:
            old = now[i]
            arguments = {"move": (value, 1), "recolor": (value, -value), "resize": (size,), "delete": (), "replace": (fresh,)}[name]
            getattr(hints, name)(i, *arguments)
            new[i:i + 1] = {"move": [Hint(value, 1, old.a, old.b, old.size)], "recolor": [Hint(old.y, old.x, value, -value, old.size)],
                            "resize": [Hint(old.y, old.x, old.a, old.b, size)], "delete": [], "replace": [fresh]}[name]
        if name not in ("undo", "redo") and new != now:
            past, now, future = [*past, now], new, []
        assert list(hints) == now and len(hints) == len(now)
    while hints.undo():
        pass
    assert len(hints) == 0 and not hints.can_undo


def test_what_changes_nothing_is_no_step():
    hints = HintSet(HEIGHT, WIDTH, [RED])
    hints.move(0, 12, 40), hints.recolor(0, 55, 40), hints.resize(0, 1), hints.assign([RED])
    assert not hints.can_undo and not hints.undo() and not hints.redo() and list(hints) == [RED]


def test_a_set_is_a_sequence():
    hints = HintSet(HEIGHT, WIDTH, [RED, GREEN])
    assert hints[1] == GREEN and hints[-1] == GREEN and RED in hints and list(reversed(hints)) == [GREEN, RED] and hints.index(GREEN) == 1
    assert hints == HintSet(HEIGHT, WIDTH, [RED, GREEN]) and hints != HintSet(HEIGHT, WIDTH, [GREEN, RED]) and hints != [RED, GREEN]
    assert hints != HintSet(HEIGHT, WIDTH + 1, [RED, GREEN]) and hints != HintSet(HEIGHT, WIDTH, [RED, GREEN], "a" * 64)
    assert repr(hints) == "HintSet(60 x 80 pixels, 2 hints)" and repr(HintSet(1, 1, [Hint(0, 0, 0, 0)])) == "HintSet(1 x 1 pixels, 1 hint)"


def test_numbers_of_any_kind_become_plain():
    hint = Hint(np.int64(3), np.float32(4.5), torch.tensor(7.25), np.array(-0.0), np.uint8(2))
    assert hint == Hint(3, 4.5, 7.25, 0, 2) and [type(value) for value in (hint.y, hint.a, hint.size)] == [float, float, int]
    assert HintSet.from_json(HintSet(np.int64(9), np.int32(9), [hint]).to_json())[0] == hint and hash(hint) == hash(Hint(3, 4.5, 7.25, 0, 2))


@pytest.mark.parametrize("bad, part", [
    (Hint(-1, 0, 0, 0), "y = -1.0"), (Hint(60, 0, 0, 0), "rows of this picture run from 0 to 59"), (Hint(0, 80, 0, 0), "x = 80.0"),
    (Hint(float("nan"), 0, 0, 0), "y = nan"), (Hint(0, float("inf"), 0, 0), "x = inf"), (Hint(0, 0, float("nan"), 0), "a = nan"),
    (Hint(0, 0, 0, float("-inf")), "b = -inf"), (Hint(0, 0, 100, 0), "from -87 to 99"), (Hint(0, 0, -128, 0), "a = -128.0"),
    (Hint(0, 0, 0, 96), "b = 96.0"), (Hint(0, 0, 0, -109), "from -108 to 95"), (Hint(0, 0, 0, 0, 0), "size = 0"), (Hint(0, 0, 0, 0, 10), "size = 10"),
    (Hint(0, 0, 0, 0, 2.5), "whole numbers from 1 to 9"), (Hint(0, 0, 0, 0, None), "size = None"), (Hint("3", 0, 0, 0), "y = '3'"),
    (Hint(0, None, 0, 0), "x = None"), (Hint(0, 0, True, 0), "a = True"), (Hint(0, 0, 10 ** 400, 0), "a = 1000"), (None, "needs y, x, a and b"), (5, "is 5"),
    ("red", "is 'red'"), ((1, 2), "is (1, 2)"), ((1, 2, 3, 4, 5, 6), "is (1, 2, 3"), ({"y": 1, "x": 2}, "may have a size"),
    ({"y": 1, "x": 2, "a": 3, "b": 4, "sise": 5}, "nothing else"), ((1, 2, "teal"), "needs y, x, a and b")])
def test_a_bad_hint_leaves_the_set_as_it_was(bad, part):
    hints = HintSet(HEIGHT, WIDTH, [RED])
    hints.add(GREEN), hints.undo()
    for edit in (lambda: hints.add(bad), lambda: hints.replace(0, bad), lambda: hints.assign([RED, bad]), lambda: HintSet(HEIGHT, WIDTH, [bad])):
        message = refusal(edit)
        assert part in message and message.startswith("Hint number ")
    assert list(hints) == [RED] and hints.redo() and list(hints) == [RED, GREEN]         # not even the future was lost


def test_edits_check_what_they_change():
    hints = HintSet(HEIGHT, WIDTH, [RED])
    hints.add(GREEN), hints.undo()
    assert "y = 60.0" in refusal(hints.move, 0, 60, 5) and "x = nan" in refusal(hints.move, 0, 5, float("nan"))
    assert "a = 180.0" in refusal(hints.recolor, 0, 180, 0) and "b = None" in refusal(hints.recolor, 0, 0, None) and "size = 11" in refusal(hints.resize, 0, 11)
    assert list(hints) == [RED] and hints.redo() and list(hints) == [RED, GREEN]


@pytest.mark.parametrize("index", [-1, 1, 7, None, "0", 0.0, 2 ** 70])
def test_a_hint_that_is_not_there(index):
    hints = HintSet(HEIGHT, WIDTH, [RED])
    for edit, *rest in ((hints.delete,), (hints.move, 1, 1), (hints.recolor, 1, 1), (hints.resize, 2), (hints.replace, GREEN)):
        assert "no hint number" in refusal(edit, index, *rest)
    assert list(hints) == [RED] and not hints.can_undo


@pytest.mark.parametrize("size", [(0, 5), (5, -1), (2.5, 5), (None, 5), (5, "7"), (float("nan"), 5), (float("inf"), 5)])
def test_a_picture_without_pixels(size):
    assert "whole number of pixels" in refusal(HintSet, *size)


def test_readers_beside_an_editor_never_meet_half_an_edit():
    hints, broken, done = HintSet(HEIGHT, WIDTH), [], threading.Event()

    def read():
        while not done.is_set():
            seen = list(hints)
            if seen not in ([], [RED, GREEN]):
                broken.append(seen)
    reader = threading.Thread(target=read)
    reader.start()
    for _ in range(300):
        hints.assign([RED, GREEN]), hints.undo(), hints.redo(), hints.clear()
    done.set()
    reader.join()
    assert not broken


# ---------------------------------------------------------------- files

@given(hint_sets())
@settings(max_examples=200, deadline=None)
def test_json_gives_back_the_same_set(hints):
    again = HintSet.from_json(hints.to_json())
    assert again == hints and list(again) == list(hints) and not again.can_undo
    parsed = json.loads(hints.to_json())
    assert parsed["version"] == 1 and all(0 <= row["y"] <= 1 and 0 <= row["x"] <= 1 for row in parsed["hints"])
    assert (parsed["height"], parsed["width"], parsed["image_hash"]) == (hints.height, hints.width, hints.image_hash)


@given(hint_sets(), SIDES, SIDES)
@settings(max_examples=100, deadline=None)
def test_json_for_a_picture_of_another_size(hints, height, width):
    there = HintSet.from_json(hints.to_json(), height, width)
    assert (there.height, there.width) == (height, width)
    for old, new in zip(hints, there, strict=True):
        assert (new.y + 0.5) / height == pytest.approx((old.y + 0.5) / hints.height, abs=1e-6)
        assert (new.a, new.b, new.size) == (old.a, old.b, old.size)


def test_a_file_is_made_for_people():
    text = HintSet(HEIGHT, WIDTH, [RED, GREEN], "x" * 64).to_json()
    assert '\n  {"y": 0.208333333333, "x": 0.50625, "a": 55.0, "b": 40.0, "size": 1},\n' in text and text.endswith("\n ]\n}\n")
    assert len(text.splitlines()) == 11 and "CIELAB" in text
    by_hand = '{"version": 1, "height": 60, "width": 80, "hints": [{"x": 0.5, "y": 0, "a": 20, "b": -3}], "teacher": "a note"}'
    assert list(HintSet.from_json(by_hand)) == [Hint(-0.5, 39.5, 20, -3, 1)]


def test_save_and_load(tmp_path):
    hints, path = HintSet(HEIGHT, WIDTH, [RED, GREEN], "x" * 64), tmp_path / "hints é.json"
    assert hints.save(path) == path and HintSet.load(path) == hints == HintSet.load(str(path)) and os.listdir(tmp_path) == [path.name]
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", b"\r\n"))        # as a Windows editor saves it
    assert HintSet.load(path) == hints
    hints.clear()
    hints.save(path)
    assert len(HintSet.load(path)) == 0
    assert str(tmp_path / "no") in refusal(hints.save, tmp_path / "no" / "a.json", kind=OSError)
    assert str(tmp_path) in refusal(hints.save, tmp_path, kind=OSError)
    assert "nowhere.json" in refusal(HintSet.load, tmp_path / "nowhere.json", kind=FileNotFoundError)
    assert str(tmp_path) in refusal(HintSet.load, tmp_path, kind=ValueError)


def test_a_save_that_fails_keeps_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "hints.json"
    HintSet(HEIGHT, WIDTH, [RED]).save(path)

    def full(*_):
        raise OSError(28, "No space left on device")
    monkeypatch.setattr(os, "fsync", full)
    message = refusal(HintSet(HEIGHT, WIDTH, [GREEN]).save, path, kind=OSError)
    assert "No space left" in message and str(path) in message
    assert list(HintSet.load(path)) == [RED] and os.listdir(tmp_path) == ["hints.json"]


GOOD = {"version": 1, "height": 60, "width": 80, "image_hash": None, "hints": [{"y": 0.5, "x": 0.5, "a": 1, "b": 2}]}


def broken(**changes):
    return json.dumps({key: value for key, value in (GOOD | changes).items() if value != "absent"})


def one_hint(**changes):
    return broken(hints=[*GOOD["hints"], {"y": 0.5, "x": 0.5, "a": 1, "b": 2} | changes])


@pytest.mark.parametrize("text, part", [
    ("", "not a hint file"), ("{", "not a hint file"), ("\x89PNG", "not a hint file"), ("[" * 100_000, "not a hint file"), ("[1]", "not a hint file"),
    ("null", "not a hint file"), ("7", "not a hint file"), ('"version"', "not a hint file"), ("{}", "not a hint file"), (b"\xff\xfe\xfa", "not a hint file"),
    (broken(version="absent"), "with a version"), (broken(version=2), "has version 2"), (broken(version="1"), "has version '1'"),
    (broken(version=None), "has version None"), (broken(version=[1] * 99), "has version [1, 1"), (broken(height="absent"), "no usable height"),
    (broken(height=0, width="80"), "no usable height and width"), (broken(height=1.5), "no usable height"), (broken(width=True), "no usable width"),
    (broken(height=10 ** 400), "no usable height"), (broken(hints="absent"), "no usable hints"),
    (broken(hints={}), "no usable hints"), (broken(image_hash=5), "no usable image_hash"), (broken(hints=[5]), "hint number 0 has y = None"),
    (one_hint(y=1.01), "hint number 1 has y = 1.01, but in a file y and x run from 0 to 1"), (one_hint(x=-0.1), "x = -0.1"),
    (one_hint(y=12), "y = 12"), (one_hint(y="0.5"), "y = '0.5'"), (one_hint(x=None), "x = None"), (one_hint(y=float("nan")), "y = nan"),
    (one_hint(a=float("nan")), "hint number 1 has a = nan"), (one_hint(b=float("inf")), "b = inf"), (one_hint(a=300), "a = 300.0"),
    (one_hint(a="red"), "a = 'red'"), (one_hint(a=[1]), "a = [1]"), (one_hint(size=0), "size = 0"), (one_hint(size=1.5), "size = 1.5"),
    (one_hint(color="red"), "nothing else"), (one_hint(a=int("9" * 400)), "a = 999"),
    (broken(hints=[{"y": 0.5, "x": 0.5, "b": 2}]), "it needs y, x, a and b")])
def test_a_bad_file_is_refused_in_one_sentence_that_names_it(text, part, tmp_path):
    path = tmp_path / "parrot.json"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    L, mine = np.full((HEIGHT, WIDTH), 50.0), HintSet(HEIGHT, WIDTH, [RED])
    for load in (HintSet.load, lambda path: as_hints(path, L), lambda path: as_hints(path, L, check_picture=False),
                 lambda path: mine.assign(HintSet.load(path))):
        message = refusal(load, path)
        assert message.startswith(str(path)) and part in message
    assert list(mine) == [RED] and not mine.can_undo
    assert refusal(HintSet.from_json, text).startswith("The text")


# ---------------------------------------------------------------- which picture

PICTURES = {name: getattr(data, name)() for name in ("astronaut", "coffee", "chelsea", "rocket")}


def jpeg(picture, quality):
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "JPEG", quality=quality)
    return np.asarray(Image.open(file))


@pytest.mark.parametrize("name", PICTURES)
def test_a_copy_is_the_same_picture_and_no_other_is(name):
    picture = PICTURES[name]
    mine = image_hash(lightness(picture))
    assert re.fullmatch("[0-9A-Za-z_~]{64}", mine) and mine == image_hash(lightness(picture).astype(np.float64) + 1e-6)
    small = Image.fromarray(picture)
    for copy in (jpeg(picture, 75), jpeg(picture, 30), np.asarray(small.resize((211, 163), Image.LANCZOS)), np.asarray(small.resize((64, 64), Image.BOX)),
                 np.asarray(small.resize((1700, 1300), Image.BICUBIC))):
        assert module.same_picture(mine, image_hash(lightness(copy)))
    gray = np.full_like(picture, 128)
    others = [picture[:, ::-1], picture[::-1], picture[20:, 30:], np.rot90(picture), gray, (picture * 0.9).astype(np.uint8),
              *(other for key, other in PICTURES.items() if key != name)]
    assert not any(module.same_picture(mine, image_hash(lightness(other))) for other in others)


def test_hashes_of_tiny_wide_and_plain_pictures():
    for shape in ((1, 1), (1, 9000), (3, 2), (8, 8), (9, 7)):
        assert image_hash(np.full(shape, 100.0)) == "~" * 64 and image_hash(np.zeros(shape)) == "0" * 64
    assert image_hash(np.full((9, 9), 50)) != image_hash(np.full((9, 9), 56)) and module.same_picture("ab", "ab") and not module.same_picture("ab", "ac")
    ramp = np.tile(np.linspace(0, 100, 80), (60, 1))
    assert image_hash(ramp) == image_hash(np.tile(np.linspace(0, 100, 80), (30, 1))) != image_hash(ramp.T)


def test_hints_of_another_picture(tmp_path):
    astronaut, coffee = (lightness(PICTURES[name]) for name in ("astronaut", "coffee"))
    path = as_hints([(100, 200, 30, 20)], astronaut).save(tmp_path / "astronaut.json")
    assert as_hints(path, astronaut) == as_hints([(100, 200, 30, 20)], astronaut)
    message = refusal(as_hints, path, coffee)
    assert message.startswith(str(path)) and "another picture" in message and "check_picture=False" in message and "HintSet.load" in message
    assert "another picture" in refusal(HintSet.load, path, image_hash=image_hash(coffee))
    for forced in (as_hints(path, coffee, check_picture=False), as_hints(HintSet.load(path), coffee)):
        assert (forced.height, forced.width) == coffee.shape and forced[0].y == pytest.approx(100.5 / 512 * 400 - 0.5)
    half = as_hints(str(path), astronaut[::2, ::2])                                     # a smaller copy needs no forcing
    assert (half.height, half.width) == (256, 256) and half[0].y == 49.75


# ---------------------------------------------------------------- as_hints

def test_what_hints_may_be():
    L = lightness(PICTURES["chelsea"])
    by_tuple = as_hints([(10, 20, 30, -5), (11, 21, 5, 6, 3)], L)
    assert list(by_tuple) == [Hint(10, 20, 30, -5), Hint(11, 21, 5, 6, 3)] and by_tuple.image_hash == image_hash(L)
    for same in ([Hint(10, 20, 30, -5), [11, 21, 5, 6, 3]], ({"y": 10, "x": 20, "a": 30, "b": -5}, {"y": 11, "x": 21, "a": 5, "b": 6, "size": 3}),
                 np.array([(10, 20, 30, -5, 1), (11, 21, 5, 6, 3.0)])):
        assert as_hints(same, L) == by_tuple
    assert as_hints(by_tuple, L) is by_tuple and len(as_hints([], L)) == 0
    for wrong in (None, 5, {1, 2}, (i for i in range(3))):
        assert "hints must be" in refusal(as_hints, wrong, L)
    for wrong, part in ([(10, 20, 30, 40)], "Hint number 0"), ([(1, 2, 3, 4), (1, 2)], "Hint number 1 is (1, 2)"), ([(900, 2, 3, 4)], "y = 900.0"):
        assert part in refusal(as_hints, wrong if wrong[0] != (10, 20, 30, 40) else wrong[0], L)


def test_colours_by_name_take_the_lightness_of_their_pixel():
    L = np.tile(np.linspace(0, 100, WIDTH, dtype=np.float32), (HEIGHT, 1))
    dark, middle, light = as_hints([(5, 8, "red"), {"y": 5, "x": 42.4, "color": "#ff0000", "size": 3}, (5, 78, "rgb(255, 0, 0)", 2)], L)
    assert (middle.a, middle.b) == pytest.approx((80.0942, 67.2032), abs=0.1) and middle.size == 3 and light.size == 2
    for hint in (dark, light):
        lab = np.array([L[5, int(hint.x)], hint.a, hint.b], np.float64)
        assert in_gamut(lab) and hint.b / hint.a == pytest.approx(67.2032 / 80.0942, abs=1e-3)
    assert "not a colour" in refusal(as_hints, [(5, 8, "reddish")], L) and "x = 80.0" in refusal(as_hints, [(5, 80, "red")], L)


# ---------------------------------------------------------------- colours

@given(st.floats(0, 100), st.floats(-108, 108), st.floats(-108, 108))
@settings(max_examples=150, deadline=None)
def test_snap(L, a, b):
    new_a, new_b, moved = snap(L, a, b)
    assert in_gamut(np.array([L, new_a, new_b])) and moved is not bool(in_gamut(np.array([L, a, b]))) and isinstance(new_a, float)
    if moved:
        assert abs(new_a * b - new_b * a) <= 1e-6 * (a * a + b * b) and new_a * a + new_b * b >= 0      # the hue stays
        further = np.array([L, new_a, new_b]) + np.array([0, a, b]) * (0.05 / np.hypot(a, b))           # and nothing is given away
        assert not in_gamut(further) or np.hypot(a - new_a, b - new_b) < 0.1
    else:
        assert (new_a, new_b) == (a, b)


@pytest.mark.parametrize("bad", [(-1, 0, 0), (101, 0, 0), (float("nan"), 0, 0), (50, float("nan"), 0), (50, 0, float("inf")), ("50", 0, 0), (50, None, 0)])
def test_snap_refuses(bad):
    assert "L from 0 to 100" in refusal(snap, *bad)


@pytest.mark.parametrize("text, rgb", [
    ("#c03020", (192, 48, 32)), ("C03020", (192, 48, 32)), ("#abc", (170, 187, 204)), ("192, 48, 32", (192, 48, 32)), ("192,48,32", (192, 48, 32)),
    (" rgb( 192 , 48,32 ) ", (192, 48, 32)), ("RGB(192 48 32)", (192, 48, 32)), ("19 24 83", (19, 24, 83)), ("rgb(100%, 0%, 0%)", (255, 0, 0)),
    ("teal", (0, 128, 128)), (" Dark Red ".replace(" R", "r"), (139, 0, 0)), ("000000", (0, 0, 0)), ("255, 255, 255", (255, 255, 255))])
def test_colours_as_typed(text, rgb):
    assert parse_color(text) == pytest.approx(rgb2lab(np.array(rgb) / 255.0), abs=1e-3)


def test_lab_as_typed():
    assert parse_color("lab(43, 55.5, -40)") == parse_color(" LAB( 43 55.5 -40 )") == (43, 55.5, -40)


@pytest.mark.parametrize("text", [
    "", " ", "banana", "red green", "#12345", "#1234", "#c0302080", "#ggg", "12345", "1, 2", "1, 2, 3, 4", "256, 0, 0", "-1, 0, 0", "0.5, 0.2, 0.1",
    "1, 2, 3)", "nan, nan, nan", "rgb(300, 0, 0)", "rgb()", "rgb(1, 2)", "hsl(0, 900%, 50%)", "lab(50)", "lab(500, 0, 0)", "lab(50, 200, 0)",
    "lab(nan, 0, 0)", "lab(a, b, c)", "x" * 5000, None, 7, (1, 2, 3), b"red"])
def test_nonsense_is_no_colour(text):
    assert "is not a colour" in refusal(parse_color, text)


def test_clusters_by_hand():
    ab = np.array([[0, 0], [2, 0], [50, 50], [50, 54], [-60, 10]], float)
    assert cluster_colors([*ab, (1, 0)], count=3) == pytest.approx(np.array([[1, 0], [50, 52], [-60, 10]]))
    assert cluster_colors(ab, [1, 3, 1, 1, 9], count=3) == pytest.approx(np.array([[-60, 10], [1.5, 0], [50, 52]]))
    assert cluster_colors(ab, [0, 0, 1, 0, 0]) == pytest.approx(np.array([[50, 50]]))    # fewer colours than asked for
    assert cluster_colors([[7.4, 3.3]] * 5) == pytest.approx(np.array([[7.4, 3.3]]))


@pytest.mark.parametrize("name", PICTURES)
def test_clusters_are_as_tight_as_a_library_finds(name):
    ab = rgb_to_lab(PICTURES[name])[::4, ::4, 1:].reshape(-1, 2).astype(np.float64)

    def spread(centers):
        return cdist(ab, centers, "sqeuclidean").min(1).mean()
    ours = cluster_colors(ab)
    assert ours.shape == (8, 2) and (ours == cluster_colors(ab)).all()
    assert spread(ours) < 1.1 * np.median([spread(kmeans2(ab, 8, iter=30, minit="++", seed=seed)[0]) for seed in range(5)])
    mass = np.bincount(cdist(ab, ours).argmin(1), minlength=8)
    assert (mass[:-1] >= 0.98 * mass[1:]).all()                                          # sorted, up to pixels on the fence


@pytest.mark.parametrize("ab, weights, count", [([], None, 8), (np.zeros((3, 3)), None, 8), (np.zeros((3, 2)), [1, 1], 8), (np.full((3, 2), np.nan), None, 8),
                                                (np.zeros((3, 2)), [0, 0, 0], 8), (np.zeros((3, 2)), [1, -1, 3], 8), (np.zeros((3, 2)), None, 0)])
def test_clusters_of_nothing(ab, weights, count):
    assert "Clusters need" in refusal(cluster_colors, ab, weights, count)


# ---------------------------------------------------------------- the simulated student

def test_the_student_sees_a_wrong_region_before_a_wrong_pixel():
    true = np.full((96, 128, 3), 0.5)
    pred = true.copy()
    pred[5, 5] = (1, 0, 0)                                                               # one loud pixel
    assert worst_pixel(pred, true) == (5, 5)
    pred[40:70, 60:90] = (0.6, 0.45, 0.45)                                               # a faint region
    y, x = worst_pixel(pred, true)
    assert 40 <= y < 70 and 60 <= x < 90
    assert worst_pixel((pred * 255).astype(np.uint8), (true * 255).astype(np.uint8)) == (y, x)
    pred[8:15, 18:25] = (1, 0, 0)                                                         # a loud spot ...
    told = HintSet(96, 128)
    assert worst_pixel(pred, true, told) == (11, 21)
    told.add(Hint(11, 21, 0, 0))
    assert np.hypot(*np.subtract(worst_pixel(pred, true, told), (11, 21))) > 2            # ... whose middle is left alone once it is told
    assert "one shape" in refusal(worst_pixel, pred, true[:50])


def paint(hints, L):
    """Every pixel takes a mean of the hints' colours, the more of a hint the nearer and the more alike in L. No learning."""
    rows, columns = np.indices(L.shape)
    weights = np.stack([np.exp(-((L - L[int(hint.y), int(hint.x)]) / 10) ** 2 / 2) / ((rows - hint.y) ** 2 + (columns - hint.x) ** 2 + 1) for hint in hints])
    ab = np.einsum("nyx,nc->yxc", weights, [(hint.a, hint.b) for hint in hints]) / weights.sum(0)[..., None]
    return lab_to_rgb(np.concatenate([L[..., None], ab], -1))


def test_the_student_never_clicks_twice_and_teaches_more_than_chance():
    gains, repeated = [], False
    for name in ("astronaut", "coffee", "chelsea"):
        true = np.asarray(Image.fromarray(PICTURES[name]).resize((96, 96), Image.BOX))
        lab, random = rgb_to_lab(true), np.random.default_rng(0)
        scores = []
        for click in (lambda pred, hints: worst_pixel(pred, true, hints), lambda pred, hints: random.integers(0, 96, 2)):
            hints, pred = HintSet(96, 96), lab_to_rgb(lab * np.float32([1, 0, 0]))
            for _ in range(20):
                y, x = click(pred, hints)
                repeated |= bool(hints.maps(96, 96)[1][0, y, x]) and not scores
                hints.add(Hint(y, x, *lab[y, x, 1:]))
                pred = paint(hints, lab[..., 0])
            scores.append(-10 * np.log10(((pred - true / 255) ** 2).mean()))
        gains.append(scores[0] - scores[1])
    assert not repeated and np.mean(gains) > 1                                                            # dB


def test_the_student_of_a_right_or_full_picture():
    gray = np.full((3, 4, 3), 128, np.uint8)
    hints = HintSet(3, 4)
    for _ in range(12):
        y, x = worst_pixel(gray, gray, hints)
        hints.add(Hint(y, x, 0, 0))
    assert len({(hint.y, hint.x) for hint in hints}) == 12
    assert 0 <= worst_pixel(gray, gray, hints)[0] < 3


def test_hints_typed_into_a_file(tmp_path):
    """A person need not know a and b: row, column and the name of a colour are enough."""
    L = np.full((60, 80), 50, np.float32)
    (tmp_path / "mine.json").write_text('[[12, 40, 55, 40], [50, 8, "teal"]]')
    assert list(as_hints(tmp_path / "mine.json", L)) == list(as_hints([(12, 40, 55, 40), (50, 8, "teal")], L))
    for text, said in (('[[12, 40]]', "hint number 0"), ('[[12, 400, "teal"]]', "hint number 0"), ('[[[1], 2, 3, 4]]', "hint number 0"),
                       ('[[1, 2, 1e999, 4]]', "hint number 0"), ("[]", "not a hint file"), ("[1, 2]", "not a hint file"), ('[[1, 2, "teal"]', "not a hint file")):
        (tmp_path / "mine.json").write_text(text)
        with pytest.raises(ValueError, match=f"mine.json.*{said}"):
            as_hints(tmp_path / "mine.json", L)
    (tmp_path / "mine.json").write_text('[[12, 40, "nocolour"]]')
    with pytest.raises(ValueError, match="'nocolour' is not a colour"):
        as_hints(tmp_path / "mine.json", L)
