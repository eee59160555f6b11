"""The fooling test without people: answerers with known habits take it, and the table must find their habits."""
import csv
import multiprocessing
import re
import threading
from collections import Counter
from dataclasses import replace

import ipywidgets
import numpy as np
import pytest
import torch
from filelock import FileLock

from colorlib import captions, fooling, results, scenes, widgets
from colorlib.fooling import fooling_answers
from colorlib.fooling import FALSE, GENERATED, REAL, FoolingSession, Sitting
from colorlib.lab import rgb_to_lab
from colorlib.papers import language
from tests.test_widgets import pictures_in

SYSTEMS = ("film", "fcnn", "concat")
SHARES = {"fcnn": 0.2, "concat": 0.3, "film": 0.5}           # how often a simulated answerer finds each the most plausible
FOOLED = {"fcnn": 0.2, "concat": 0.35, "film": 0.6, REAL: 0.85, FALSE: 0.02}
RIGHT = {"concat": 0.6, "film": 0.9}


def painted(rgb, number):
    """A picture that can be told from others: its first pixel is `number`."""
    rgb = rgb.copy()
    rgb[0, 0] = number
    return rgb


def make_session(count=10, size=16, seed=0, **options):
    """Pictures of system s (0, 1, 2), photo i: the first pixel is 50 s + i; of swaps 200 + the caption's place; of real ones 150 + i."""
    photos = [scenes.make_scene(i, size).rgb for i in range(count)]
    real = [painted(photo, 150 + i) for i, photo in enumerate(photos)]
    colored = {system: [painted(photo, 50 * s + i) for i, photo in enumerate(photos)] for s, system in enumerate(SYSTEMS)}
    swapped = {system: [{f"{i} {word} cars": painted(photo, 200 + k) for k, word in enumerate(("red", "blue", "green"))} for i, photo in enumerate(photos)]
               for system in ("film", "concat")}
    return FoolingSession(colored, real, [f"{i} red cars" for i in range(count)], **{"swapped": swapped, "seed": seed} | options)


@pytest.fixture(scope="module")
def session():
    return make_session()


def simulated(trial, rng):
    """What a person with the habits above answers."""
    if trial.task == "quality":
        return 0 if rng.random() < FOOLED[trial.system] else 1
    if trial.task == "plausibility":
        return int(rng.choice(len(trial.shown), p=[SHARES[system] for system in trial.shown]))
    right = trial.choices.index(trial.right)
    return right if rng.random() < RIGHT[trial.system] else (right + int(rng.integers(1, 3))) % 3


def rows_of(session, people, answer=simulated, seed=0):
    """The rows that people would write, without the file."""
    rng, rows = np.random.default_rng(seed), []
    for person in range(people):
        for trial in session.plan(f"p{person}"):
            choice = trial.choices[answer(trial, rng)]
            rows.append({"answerer": f"p{person}", "task": trial.task, "item": trial.item, "system": trial.system,
                         "shown": fooling_answers.SEPARATOR.join(trial.shown), "choice": choice, "right": choice == trial.right if trial.right else None,
                         "seconds": 1.0, "seed": session.seed, "session": session.id})
    return rows


# ---------------------------------------------------------------- questions

def test_questions_show_what_they_say(session):
    first = {system: 50 * s for s, system in enumerate(SYSTEMS)} | {REAL: 150}
    for trial in session.plan("Ann"):
        i = session.names.index(trial.item)
        marks = [int(picture[0, 0, 0]) for picture in trial.pictures]
        if trial.task == "plausibility":
            assert marks == [first[system] + i for system in trial.shown] and trial.choices == trial.shown and set(trial.shown) == set(SYSTEMS)
            assert trial.caption == session.captions[i] and not trial.right and not trial.system
        elif trial.task == "manipulation":
            words = [caption.split()[1] for caption in trial.choices]
            assert marks == [200 + ("red", "blue", "green").index(word) for word in words] and sorted(words) == ["blue", "green", "red"]
            assert trial.right == trial.caption and trial.right in trial.choices and trial.system in ("film", "concat")
        else:
            assert trial.choices == (REAL, GENERATED) and trial.right == (REAL if trial.system == REAL else GENERATED) and not trial.caption
            assert trial.system == FALSE or marks == [first[trial.system] + i]


def test_orders_are_seeded_and_balanced(session):
    plan = session.plan("Ann")
    describe = lambda plan: [(trial.task, trial.item, trial.shown, trial.right) for trial in plan]
    assert describe(plan) == describe(make_session().plan("Ann"))                                    # on any machine, at any time
    assert describe(plan) != describe(session.plan("Ben")) and describe(plan) != describe(make_session(seed=1).plan("Ann"))
    assert [trial.task for trial in plan] == ["quality"] * 14 + ["plausibility"] * 10 + ["manipulation"] * 10
    assert len({(trial.task, trial.item, trial.system) for trial in plan}) == 34
    quality = [trial for trial in plan if trial.task == "quality" and trial.system != FALSE]
    assert sorted(trial.item for trial in quality) == sorted(session.names)                          # each photo once
    counts = Counter(trial.system for trial in quality)
    assert counts[REAL] == 5 and {counts[system] for system in SYSTEMS} == {1, 2}
    places = Counter(trial.choices.index(trial.right) for trial in plan if trial.task == "manipulation")
    assert sorted(places.values()) == [3, 3, 4]
    assert sorted(Counter(trial.system for trial in plan if trial.task == "manipulation").values()) == [5, 5]


def test_no_place_and_no_photo_favours_a_system(session):
    plans = [session.plan(f"p{i}") for i in range(300)]
    places, photos = Counter(), Counter()
    for plan in plans:
        for trial in plan:
            if trial.task == "plausibility":
                places.update(enumerate(trial.shown))
            elif trial.task == "quality":
                photos[trial.item, trial.system] += 1
    assert len(places) == 9 and all(abs(n - 1000) < 60 for n in places.values())
    for name in session.names:
        assert abs(photos[name, REAL] - 150) < 50 and all(abs(photos[name, system] - 50) < 30 for system in SYSTEMS)


def test_false_colours_are_unmistakable():
    rgb = scenes.make_scene(4, 48).rgb
    false = fooling.false_colors(rgb)
    lab = rgb_to_lab(false)
    assert false.shape == rgb.shape and np.abs(lab[..., 0] - rgb_to_lab(rgb)[..., 0]).mean() < 1
    hue = np.degrees(np.arctan2(*lab[..., 2:0:-1].mean(0).T)) % 360
    assert len({int(h // 60) for h in hue}) == 6                                                     # every sixth of the colour circle


def test_what_the_pictures_allow():
    one = make_session(3)
    photos, caps = one.real, one.captions
    assert FoolingSession({"a": photos}, photos, caps).tasks == ["quality"]
    assert FoolingSession({"a": photos, "b": photos}, photos, caps).tasks == ["quality", "plausibility"]
    assert make_session(3, tasks=("manipulation",)).tasks == ["manipulation"]
    for count in (1, 2, 3, 7):
        plan = make_session(count).plan("Ann")
        assert len(plan) == 3 * count + min(count, 4)


@pytest.mark.parametrize("change, words", (
    (lambda s: {"colored": {"a": s.real[:-1]}}, "one picture for every real one"),
    (lambda s: {"colored": {"a": [x[:8] for x in s.real]}}, "of its size"),
    (lambda s: {"colored": {"a": [x / 255 for x in s.real]}}, "uint8"),
    (lambda s: {"colored": {}}, "names of systems"), (lambda s: {"colored": {"real": s.real}}, "names of systems"),
    (lambda s: {"colored": {"a|b": s.real}}, "names of systems"),
    (lambda s: {"real": []}, "needs real pictures"), (lambda s: {"captions": ["x"]}, "with a caption"), (lambda s: {"names": ["x"] * 3}, "name of its own"),
    (lambda s: {"swapped": {"a": [{"x": s.real[0]}] * 3}}, "two captions or more"), (lambda s: {"swapped": {"a": []}}, "one dict for every"),
    (lambda s: {"tasks": ("manipulation",)}, "allow the tasks quality, plausibility"), (lambda s: {"tasks": ("taste",)}, "allow the tasks"),
    (lambda s: {"tasks": ()}, "allow the tasks")))
def test_what_does_not_fit_is_refused(change, words):
    one = make_session(3)
    given = {"colored": {"a": one.real, "b": one.real}, "real": one.real, "captions": one.captions} | change(one)
    with pytest.raises(ValueError, match=words) as caught:
        FoolingSession(**given)
    assert str(caught.value).endswith(".") and "\n" not in str(caught.value)


def test_a_session_has_a_name_of_its_own(session):
    assert session.id == make_session().id and len(session.id) == results.HASH_LENGTH
    assert len({make_session(**options).id for options in ({}, {"seed": 1}, {"version": "x"}, {"swapped": None}, {"names": range(10)})}) == 5


# ---------------------------------------------------------------- from models

@pytest.fixture(scope="module")
def models():
    words = tuple(captions.Vocabulary.build([c for seed in range(40) for c in scenes.make_scene(seed, 16).captions]).words)
    torch.manual_seed(0)
    made = {name: language.build(replace(language.VARIANTS[name]["smoke"], vocabulary=words, image_size=32, working_size=32), pretrained=False).eval()
            for name in ("fcnn", "concat", "film")}
    with torch.no_grad():
        for film in made["film"].fusions:
            film.layer.weight.mul_(20)
    return made


class Captioned:
    """Scenes as samples with captions; the third has none with a colour."""

    def __len__(self):
        return 8

    def __getitem__(self, i):
        scene = scenes.make_scene(i, 40)
        sample = {"rgb": torch.from_numpy(scene.rgb).permute(2, 0, 1), "id": f"scene {i}", "caption": scene.captions[0], "captions": list(scene.captions)}
        return sample | ({"caption": "a thing", "captions": []} if i == 2 else {"color": scene.color} if i % 2 else {})


def test_a_session_from_models(models):
    session = fooling.make_session_from_models(models, Captioned(), 5, seed=3)
    assert list(session.colored) == ["fcnn", "concat", "film"] and list(session.swapped) == ["concat", "film"] and len(session.real) == 5
    assert session.tasks == list(fooling.TASKS) and "scene 2" not in session.names
    for i, name in enumerate(session.names):
        sample = Captioned()[int(name.split()[1])]
        assert np.array_equal(session.real[i], sample["rgb"].permute(1, 2, 0).numpy()) and session.captions[i] == sample["caption"]
        row = session.swapped["film"][i]
        assert list(row) == list(session.swapped["concat"][i]) and next(iter(row)) == session.captions[i]
        assert np.array_equal(row[session.captions[i]], session.colored["film"][i])                   # the caption as it stands
        found = [captions.color_words(caption) for caption in row]
        place = found[0].index(sample["color"]) if "color" in sample else 0
        swapped = [captions.basic(words[place]) for words in found]
        assert len(set(swapped)) == 3 and len(fooling.ACHROMATIC & set(swapped)) <= 1
        assert all(words[:place] + words[place + 1:] == found[0][:place] + found[0][place + 1:] for words in found)
    own, other, _ = session.swapped["film"][0].values()
    assert not np.array_equal(own, other)                            # the network heard the swap
    assert session.id == fooling.make_session_from_models(models, Captioned(), 5, seed=3).id
    other = dict(models, film=language.build(models["film"].config, pretrained=False))
    assert session.id != fooling.make_session_from_models(other, Captioned(), 5, seed=3).id          # other weights, other pictures
    assert session.id != fooling.make_session_from_models(models, Captioned(), 5, seed=4).id


def test_models_and_pictures_that_do_not_do(models):
    with pytest.raises(ValueError, match="8 pictures were asked for and 7 of 8 have"):
        fooling.make_session_from_models(models, Captioned(), 8)
    with pytest.raises(ValueError, match="0 pictures were asked for"):
        fooling.make_session_from_models(models, Captioned(), 0)
    with pytest.raises(ValueError, match="There is no method"):
        fooling.make_session_from_models({"crystal ball": models["film"]}, Captioned(), 3)


def test_other_words():
    for word in (*captions.COLOR_WORDS, "teal", "grey"):
        for seed in range(20):
            words = [captions.basic(word), *fooling.other_words(word, np.random.default_rng(seed))]
            assert len(set(words)) == 3 and len(fooling.ACHROMATIC & set(words)) <= 1


# ---------------------------------------------------------------- answers and their file

def test_answers_are_in_the_file_at_once(session, tmp_path):
    path, now = tmp_path / "answers.csv", [0.0]
    sitting = Sitting(session, "  Ann   B. ", path, clock=lambda: now[0])
    assert sitting.answerer == "Ann B." and sitting.total == 34 and not path.exists()
    for count in range(1, 35):
        trial = sitting.trial
        now[0] += 2.5
        row = sitting.answer(count % len(trial.choices))
        with open(path, newline="") as file:
            written = list(csv.DictReader(file))
        assert len(written) == sitting.done == count and written[-1] == {key: str(value) for key, value in row.items()}
        assert written[-1]["seconds"] == "2.50" and written[-1]["choice"] == trial.choices[count % len(trial.choices)]
        assert written[-1]["right"] == ("" if trial.task == "plausibility" else str(int(written[-1]["choice"] == trial.right)))
        assert list(written[-1]) == list(fooling_answers.COLUMNS)
    assert sitting.trial is None
    with pytest.raises(ValueError, match="All questions are answered"):
        sitting.answer(0)


def test_a_person_goes_on_where_they_stopped(session, tmp_path):
    path = tmp_path / "answers.csv"
    first = Sitting(session, "Ann", path)
    plan = [(trial.task, trial.item, trial.system) for trial in first.left]
    for _ in range(9):
        first.answer(1)
    Sitting(session, "Ben", path).answer(0)
    again = Sitting(session, "Ann", path)
    assert again.done == 9 and [(trial.task, trial.item, trial.system) for trial in again.left] == plan[9:]
    assert Sitting(session, "Ben", path).done == 1 and Sitting(session, "Cem", path).done == 0
    assert Sitting(make_session(seed=1), "Ann", path).done == 0                                      # another session, another test
    for bad in (-1, 2, 99):
        with pytest.raises(ValueError, match="no choice"):
            again.answer(bad)
    assert again.done == 9


@pytest.mark.parametrize("name", ("Ann, the \"first\"", "Zoë 🙂", "a=1+1", "a\nb", "x" * 300, " 1"))
def test_any_name_comes_back(session, tmp_path, name):
    path = tmp_path / "answers.csv"
    for count in range(3):
        sitting = Sitting(session, name, path)
        assert sitting.done == count
        sitting.answer(0)
    assert len(fooling.read_answers(path)) == 3 and len(path.read_text().splitlines()) == 4


@pytest.mark.parametrize("name", ("", " \n "))
def test_a_name_is_needed(session, tmp_path, name):
    with pytest.raises(ValueError, match="Type a name"):
        Sitting(session, name, tmp_path / "a.csv")


def test_half_a_line_is_no_answer(session, tmp_path):
    path = tmp_path / "answers.csv"
    for _ in range(3):
        Sitting(session, "Ann", path).answer(0)
    whole = path.read_bytes()
    last = whole[:-1].rindex(b"\n") + 1
    for cut in range(last, len(whole)):
        path.write_bytes(whole[:cut])
        kept = 3 if cut == len(whole) - 1 else 2                     # all but the end of the line: an editor took it away
        assert len(fooling.read_answers(path)) == kept
        sitting = Sitting(session, "Ann", path)
        assert sitting.done == kept
        sitting.answer(0)
        assert len(fooling.read_answers(path)) == kept + 1 and path.read_bytes().startswith(whole[:last])
        if kept == 2:
            assert path.read_bytes().count(b"\n") == 4


@pytest.mark.parametrize("content", ("a,b\n1,2\n", "answerer\n", ",".join(fooling_answers.COLUMNS) + "\n1,2,3\n", "\x00\xff",
                                     ",".join(fooling_answers.COLUMNS) + "\nAnn,quality,x,real,real,real,perhaps,1,0,abc\n"))
def test_other_files_stay_as_they_are(session, tmp_path, content):
    path = tmp_path / "other.csv"
    path.write_bytes(content.encode("latin-1"))
    row = dict.fromkeys(fooling_answers.COLUMNS, "")
    for attempt in (lambda: Sitting(session, "Ann", path), lambda: fooling.summary(path), lambda: fooling_answers.append_answer(path, row)):
        with pytest.raises(ValueError, match="other.csv") as caught:
            attempt()
        assert "\n" not in str(caught.value) and str(caught.value).endswith(".")
    assert path.read_bytes() == content.encode("latin-1")


def test_files_and_folders_that_are_not_there(session, tmp_path):
    with pytest.raises(FileNotFoundError, match="no file of answers"):
        fooling.summary(tmp_path / "none.csv")
    sitting = Sitting(session, "Ann", tmp_path / "none" / "a.csv")
    with pytest.raises(FileNotFoundError, match="does not exist"):
        sitting.answer(0)
    assert sitting.done == 0                                         # the question stays
    with pytest.raises(FileNotFoundError, match="no file of answers"):
        Sitting(session, "Ann", tmp_path)


def test_a_stuck_lock_is_said(session, tmp_path, monkeypatch):
    monkeypatch.setattr(fooling_answers, "LOCK_SECONDS", 0.05)
    with FileLock(tmp_path / ".a.csv.lock"), pytest.raises(TimeoutError, match="stayed locked"):
        Sitting(session, "Ann", tmp_path / "a.csv").answer(0)


def _take(sitting):
    while sitting.trial is not None:
        sitting.answer(0)


def test_several_people_write_at_once(tmp_path):
    path, session = tmp_path / "answers.csv", make_session(4)
    context = multiprocessing.get_context("fork")
    sittings = [Sitting(session, f"p{i}", path) for i in range(4)]      # they paint controls, and torch's threads do not survive a fork
    people = [context.Process(target=_take, args=(one,)) for one in sittings]
    for one in people:
        one.start()
    for one in people:
        one.join(30)
        assert one.exitcode == 0
    counts = Counter(row["answerer"] for row in fooling.read_answers(path))
    assert counts == {f"p{i}": 16 for i in range(4)} and len(path.read_text().splitlines()) == 65


def test_twice_answered_counts_once(session):
    rows = rows_of(session, 1)
    changed = [dict(row, choice=GENERATED) for row in rows]
    assert fooling.read_answers([*rows, *changed]) == rows


# ---------------------------------------------------------------- what they say

def test_the_table_finds_the_habits():
    """40 people of known habits: every share lies in its interval; with another seed each, nearly always."""
    session, missed, cells = make_session(12, size=16), 0, 0
    for seed in range(6):
        found = fooling.summary(rows_of(session, 40, seed=seed))
        assert list(found) == ["fcnn", "concat", "film", REAL, FALSE, "chance"]
        assert sum(found[system]["plausibility"].percent for system in SYSTEMS) == pytest.approx(100)
        assert "manipulation" not in found["fcnn"] and "plausibility" not in found[REAL]
        expected = {("plausibility", system): SHARES[system] for system in SHARES} | {("quality", system): FOOLED[system] for system in FOOLED}
        for (task, system), share in (expected | {("manipulation", system): RIGHT[system] for system in RIGHT}).items():
            one = found[system][task]
            assert one.low <= one.percent <= one.high and abs(one.percent - 100 * share) < 12 and one.high - one.low < 25
            missed += not one.low <= 100 * share <= one.high
            cells += 1
    assert cells == 60 and missed <= 7                               # of 60 intervals at 95 %, 3 are expected to miss
    assert found["chance"]["plausibility"].percent == pytest.approx(100 / 3) and found["chance"]["quality"].percent == 50
    assert found["chance"]["manipulation"].percent == pytest.approx(100 / 3)
    assert found["film"]["plausibility"].n == 480 and found[REAL]["quality"].n == 240


def test_summary_by_hand():
    make = lambda *cells: dict(zip(fooling_answers.COLUMNS, (*cells, 1.0, 0, "s")))
    rows = [make("A", "quality", "1", "film", "film", REAL, False), make("A", "quality", "2", "film", "film", GENERATED, True),
            make("A", "quality", "3", "real", "real", REAL, True), make("B", "quality", "1", "film", "film", GENERATED, True),
            make("A", "plausibility", "1", "", "film | fcnn", "film", None), make("B", "plausibility", "1", "", "fcnn | film", "fcnn", None),
            make("A", "plausibility", "2", "", "film | fcnn", "film", None), make("B", "manipulation", "1", "film", "a red | a blue | a green", "a red", True)]
    found = fooling.summary(rows)
    assert found["film"]["quality"][::3] == (pytest.approx(100 / 3), 3) and found["film"]["plausibility"][::3] == (pytest.approx(200 / 3), 3)
    assert found["fcnn"]["plausibility"][::3] == (pytest.approx(100 / 3), 3) and found[REAL]["quality"][::3] == (100.0, 1)
    assert found["film"]["manipulation"][::3] == (100.0, 1) and found["film"]["manipulation"].low == 0
    assert found["chance"]["plausibility"].percent == 50 and fooling.summary(rows) == found
    with pytest.raises(ValueError, match="no answers"):
        fooling.summary([])


def test_people_differ_and_the_interval_knows():
    """Ten answers each by ten people, half of whom say always yes: as good as ten answers, not a hundred."""
    alike = fooling_answers._share({f"p{i}": [1, 0] * 5 for i in range(10)})
    apart = fooling_answers._share({f"p{i}": [i % 2] * 10 for i in range(10)})
    assert alike.percent == apart.percent == 50 and alike.high - alike.low < 25 and apart.high - apart.low > 50
    one = fooling_answers._share({"p": [1, 1, 1]})
    assert one.percent == one.high == 100 and one.low < 80


def test_controls_find_who_only_clicks(session):
    honest = fooling.controls(rows_of(session, 200))
    random = fooling.controls(rows_of(session, 200, lambda trial, rng: int(rng.integers(len(trial.choices)))))
    yes, no = (fooling.controls(rows_of(session, 20, lambda trial, rng, k=k: k)) for k in (0, 1))
    passed = lambda found: np.mean([one["passed"] for one in found.values()])
    assert passed(honest) > 0.9 and passed(random) < 0.15 and passed(yes) == passed(no) == 0
    assert yes["p0"] == {REAL: (5, 5), FALSE: (4, 4), "passed": False}
    few = fooling.controls(rows_of(make_session(3), 2))
    assert all(one["passed"] is None for one in few.values())


def test_those_who_only_click_are_named_and_can_be_left_out(session):
    honest = rows_of(session, 12, lambda trial, rng: trial.choices.index(trial.right) if trial.task == "quality" else simulated(trial, rng))
    clicks = [dict(row, answerer="Zed") for row in rows_of(session, 1, lambda trial, rng: 0)]
    assert all(one["passed"] for one in fooling.controls(honest).values())
    text = fooling.table([*honest, *clicks])
    assert "442 answers by 13 people" in text and "Zed (5 of 5 real pictures and 4 of 4 in false colours taken for real)" in text and "Included" in text
    without = fooling.table([*honest, *clicks], drop_flagged=True)
    assert "Left out: Zed" in without and without.split("\n\n")[0] == fooling.table(honest).split("\n\n")[0] != text.split("\n\n")[0]
    with pytest.raises(ValueError, match="passed the controls"):
        fooling.summary(clicks, drop_flagged=True)


def test_the_table_stands_beside_the_papers_numbers(session, tmp_path, monkeypatch):
    rows = rows_of(session, 5)
    lines = fooling.table(rows).split("\n\n")[0].splitlines()
    assert lines[0].startswith("| system | plausibility % ↑ (paper) | plausibility % ↑ (ours) | quality % ↑ (paper) | quality %")
    cells = {line.split(" | ")[0][2:]: [cell.strip(" |") for cell in line.split(" | ")[1:]] for line in lines[2:]}
    papers = [cells[system][::2] for system in fooling_answers.SYSTEMS]
    assert papers == [["20.4", "32.6", "—"], ["39.0", "34.1", "77.4"], ["40.6", "32.1", "81.2"]]
    assert list(cells) == ["fcnn", "concat", "film", "real pictures", "false colours", "guessing"]
    share = fooling.summary(rows)["film"]["plausibility"]
    assert cells["film"][1] == f"{share.percent:.1f} ({share.low:.0f}–{share.high:.0f}, n {share.n})"
    assert cells["guessing"][1::2] == ["33.3", "50.0", "33.3"]
    plain = fooling.table(rows, published=False)
    assert "(paper)" not in plain and "20.4" not in plain
    monkeypatch.setattr(results, "repository", lambda: tmp_path)
    assert fooling.table(rows) == plain                              # without the table of published numbers


# ---------------------------------------------------------------- the widget

def begin(session, tmp_path, name="Ann"):
    test = widgets.FoolingTest(session, tmp_path / "answers.csv", name)
    test.begin.click()
    return test


def click(test, place):
    """Press a button once the question has been seen for a second."""
    test.sitting.started -= 1
    kind = "quality" if test.sitting.trial.task == "quality" else "other"
    test.buttons[kind][place].click()


def shown_in(test):
    """(alt, array) of every picture on the page, and all other text."""
    queue, found, texts = list(test.children), [], []
    while queue:
        item = queue.pop(0)
        queue = [*getattr(item, "children", ()), *queue]
        if isinstance(item, ipywidgets.HTML):
            found += pictures_in(item.value)
            texts.append(re.sub(r'src="[^"]*"', "", item.value))
        elif hasattr(item, "description"):
            texts.append(item.description + str(item.tooltip or ""))
    return found, " ".join(texts)


def test_taking_the_test(session, tmp_path):
    test = widgets.FoolingTest(session, tmp_path / "answers.csv")
    assert "34 questions" in shown_in(test)[1] and repr(test) == "FoolingTest(no one answers)"
    test.begin.click()
    assert "Type a name" in test.message.value and 'role="alert"' in test.message.value and test.sitting is None
    test.name.value = "Ann"
    test.begin.click()
    rng, pages = np.random.default_rng(0), []
    while test.sitting.trial is not None:
        trial, done = test.sitting.trial, test.sitting.done
        found, text = shown_in(test)
        assert f"Question {done + 1} of 34" in text and len(found) == len(trial.pictures)
        for (_, picture), true in zip(found, trial.pictures):
            assert np.array_equal(picture, widgets.fooling_test.fit(true)) and max(picture.shape) == 256
        assert trial.caption in text and (trial.task == "quality" or len(trial.caption) > 5)
        pages.append((trial.task, [alt for alt, _ in found], re.sub(r"\d+", "", text.replace(trial.caption, ""))))
        click(test, simulated(trial, rng))
        assert test.sitting.done == done + 1 and "right" not in test.message.value and not test.message.value
    assert len(fooling.read_answers(tmp_path / "answers.csv")) == 34 and repr(test) == "FoolingTest(34 of 34 answered)"
    for task in fooling.TASKS:                                       # nothing on a page depends on what is shown
        assert len({str(page) for page in pages if page[0] == task}) == 1
    text = shown_in(test)[1]
    assert "thank you" in text and "34 answers by 1 person" in text and "film" in text and "<table>" in text


def test_nothing_gives_the_answer_away(session, tmp_path):
    test = begin(session, tmp_path)
    for _ in range(34):
        found, text = shown_in(test)
        said = text.replace(test.sitting.trial.caption, "")
        for word in (*SYSTEMS, FALSE, "rainbow", test.sitting.trial.item, ".png", ".jpg"):
            assert word not in said
        assert [alt for alt, _ in found] in (["The picture in question"], ["Picture A", "Picture B", "Picture C"])
        for view in test.pictures[:len(found)]:
            tag = re.sub(r'src="[^"]*"', "", re.search(r"<img [^>]*>", view.value)[0])
            assert re.findall(r'([\w-]+)="', tag) == ["alt", "width", "height", "style"]
        click(test, 0)


def test_a_double_click_is_one_answer(session, tmp_path):
    test = begin(session, tmp_path)
    test.buttons["quality"][0].click()                               # within a blink of the page
    assert test.sitting.done == 0
    click(test, 0)
    test.buttons["quality"][0].click()
    assert test.sitting.done == 1


def test_two_clicks_at_once_are_one_answer(session, tmp_path):
    test = begin(session, tmp_path)
    test.sitting.started -= 1
    clicks = [threading.Thread(target=test.choose, args=(place,)) for place in (0, 1, 0, 1)]         # from several subshells
    for click_ in clicks:
        click_.start()
    for click_ in clicks:
        click_.join()
    assert test.sitting.done == len(fooling.read_answers(tmp_path / "answers.csv")) == 1


def test_the_buttons_stay_where_they_are(session, tmp_path):
    test = begin(session, tmp_path)
    children = test.children
    for _ in range(5):
        click(test, 1)
        assert test.children is children or test.children == children    # the button in focus keeps it
    while test.sitting.trial.task == "quality":
        click(test, 0)
    assert test.children != children
    buttons = [button for pair in test.children[2].children for button in pair.children if isinstance(button, ipywidgets.Button)]
    assert [button.description for button in buttons] == ["Picture A", "Picture B", "Picture C"]


def test_resume_and_the_next_person(session, tmp_path):
    test = begin(session, tmp_path)
    for _ in range(20):
        click(test, 0)
    test = begin(session, tmp_path)                                  # the kernel died
    assert "Question 21 of 34" in test.progress.value
    while test.sitting.trial is not None:
        click(test, 0)
    assert "34 answers by 1 person" in test.result.value and "hardly told real pictures" in test.result.value
    test.next.click()
    assert test.sitting is None and test.name.value == "" and "34 questions" in test.result.value
    test.name.value = "Ben"
    test.begin.click()
    assert "Question 1 of 34" in test.progress.value
    for _ in range(3):
        click(test, 1)
    again = begin(session, tmp_path)
    assert "37 answers by 2 people" in again.result.value
    click(test, 1)
    again.again.click()
    assert "38 answers by 2 people" in again.result.value


def test_errors_are_one_sentence_and_the_question_stays(session, tmp_path):
    test = widgets.FoolingTest(session, tmp_path / "none" / "a.csv", "Ann")
    test.begin.click()
    click(test, 0)
    assert "does not exist" in test.message.value and test.sitting.done == 0 and "Question 1 " in test.progress.value
    (tmp_path / "none").mkdir()
    click(test, 0)
    assert test.sitting.done == 1 and test.message.value == ""


def test_two_systems_and_more_than_three(tmp_path):
    one = make_session(4)
    session = FoolingSession({f"<s{k}>": one.real for k in range(5)}, one.real, one.captions)
    test = begin(session, tmp_path)
    while test.sitting.trial is not None:
        found, _ = shown_in(test)
        assert len(found) in (1, 5)
        click(test, 0)
    assert "&lt;s0&gt;" in test.result.value and "<s0>" not in test.result.value


def test_pictures_are_shown_in_one_size():
    for shape, size in (((64, 48), (256, 192)), ((30, 600), (13, 256)), ((1, 1), (256, 256)), ((256, 256), (256, 256))):
        assert widgets.fooling_test.fit(np.zeros((*shape, 3), np.uint8)).shape[:2] == size


def test_every_control_has_a_label_and_nothing_is_printed(session, tmp_path, capfd):
    test = begin(session, tmp_path)
    click(test, 0)
    for button in (*test.buttons["quality"], *test.buttons["other"], test.begin, test.next, test.again, test.name):
        assert button.description
    assert capfd.readouterr() == ("", "")
