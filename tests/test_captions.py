"""Words about colour: what counts as a word, colour words and their swaps, and the vocabulary's numbers."""
import string

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from colorlib import captions, scenes
from colorlib.captions import ALIASES, COLOR_WORDS, PADDING, UNKNOWN, Vocabulary

WORDS = st.lists(st.text(string.ascii_lowercase, min_size=1, max_size=6), unique=True, max_size=12)


def test_the_colour_words_are_those_of_the_scenes():
    assert set(COLOR_WORDS) == set(scenes.COLOR_WORDS) and len(COLOR_WORDS) == len(set(COLOR_WORDS)) == 11
    assert set(ALIASES.values()) <= set(COLOR_WORDS) and not set(ALIASES) & set(COLOR_WORDS)
    assert {captions.basic(word) for word in ALIASES} == set(ALIASES.values()) and [captions.basic(word) for word in COLOR_WORDS] == list(COLOR_WORDS)
    assert all(captions.words(word) == [word] for word in ALIASES)


@pytest.mark.parametrize("caption, expected", [
    ("A red bus, parked.", ["a", "red", "bus", "parked"]), ("", []), (" \t\n\x00", []), ("1234 _ -- 5", []), ("🚗🚌", []),
    ("a red-and-white boat", ["a", "red", "and", "white", "boat"]), ("the dog's bone; DOGS' bones", ["the", "dog's", "bone", "dogs", "bones"]),
    ("five o’clock", ["five", "o'clock"]), ("snake_case red2go", ["snake", "case", "red", "go"]), 
    ("Un café ROUGE à l'Éton", ["un", "café", "rouge", "à", "l'éton"]), ("un cafe\u0301", ["un", "caf\u00e9"]),
    ("красный автомобиль", ["красный", "автомобиль"]), ("红色的汽车, 🚗 red", ["红色的汽车", "red"]), ("GRÜN", ["grün"])])
def test_words(caption, expected):
    assert captions.words(caption) == expected


@given(st.text(max_size=200))
def test_any_text_is_words_that_are_words(text):
    found = captions.words(text)
    assert all(word and not any(letter.isspace() or letter.isdecimal() for letter in word) for word in found)
    assert captions.words(" ".join(found)) == [again for word in found for again in captions.words(word)]
    assert [word for word in found if word in COLOR_WORDS or word in ALIASES] == captions.color_words(text)


@pytest.mark.parametrize("not_text", [None, 3, b"red", ["a red car"]])
def test_what_is_no_string_is_named(not_text):
    with pytest.raises(ValueError, match=f"must be a string, not {type(not_text).__name__}"):
        captions.words(not_text)


def test_colour_words():
    assert captions.color_words("A teal van, an ORANGE and Grey bus beside a redder one") == ["teal", "orange", "grey"]
    assert captions.color_words("a car that hired a greenhouse") == []
    assert [captions.basic(word) for word in ("teal", "Grey", "PINK")] == ["green", "gray", "pink"]
    with pytest.raises(ValueError, match="'mauve' is no colour word: choose one of red, .*gray"):
        captions.basic("mauve")


def test_articles():
    assert [captions.with_article(phrase) for phrase in ("orange car", "red car", "Apple")] == ["an orange car", "a red car", "an Apple"]


@pytest.mark.parametrize("caption, new, old, expected", [
    ("a red car", "blue", None, "a blue car"), ("a red car", "orange", None, "an orange car"), ("an orange car", "green", None, "a green car"),
    ("An orange car", "green", None, "A green car"), ("A red car", "orange", None, "An orange car"), ("a red car", "Orange", None, "an Orange car"),
    ("Red roses, red lips", "blue", None, "Blue roses, red lips"),
    ("a red car beside a blue bus", "orange", "blue", "a red car beside an orange bus"),
    ("a red car beside a Blue bus", "green", "BLUE", "a red car beside a Green bus"),
    ("a   red car", "orange", None, "an   orange car"),
    ("a dark red car", "orange", None, "a dark orange car"), ("the teal van", "purple", None, "the purple van"),
    ("a hundred red cars in banana-yellow", "black", None, "a hundred black cars in banana-yellow"), ("a dyed wall", "red", "dyed", "a red wall"),
    ("it is red.", "gray", None, "it is gray."), ("a red\ncar\t!", "blue", None, "a blue\ncar\t!"), ("panda red", "orange", None, "panda orange"),
    ("a red car", "teal", None, "a teal car")])
def test_swaps(caption, new, old, expected):
    assert captions.swap_color(caption, new, old) == expected


def test_swaps_that_cannot_be():
    with pytest.raises(ValueError, match="'a car' has no colour word to replace: write one"):
        captions.swap_color("a car", "red")
    with pytest.raises(ValueError, match="'a red car' has no word 'blue' to replace"):
        captions.swap_color("a red car", "green", "blue")
    with pytest.raises(ValueError, match="'fast' is no colour word"):
        captions.swap_color("a red car", "fast")


@given(st.sampled_from(COLOR_WORDS), st.sampled_from(COLOR_WORDS), st.text(string.ascii_lowercase + " ,.", max_size=30))
def test_a_swap_there_and_back_is_no_change(one, other, rest):
    caption = f"{captions.with_article(one)} car {rest}"
    swapped = captions.swap_color(caption, other)
    assert captions.words(swapped)[:3] == ["an" if other == "orange" else "a", other, "car"] and swapped.endswith(f" car {rest}")
    assert captions.swap_color(swapped, one) == caption


# ---------------------------------------------------------------- the vocabulary

def test_numbers_padding_and_unknown_words():
    vocabulary = Vocabulary(("a", "car", "red"))
    tokens, lengths = vocabulary.encode(["A red car!", "", "red zebra", "🚗"])
    assert tokens.tolist() == [[2, 4, 3], [PADDING] * 3, [4, UNKNOWN, PADDING], [PADDING] * 3] and lengths.tolist() == [3, 0, 2, 0]
    assert tokens.dtype == lengths.dtype == torch.int64 and len(vocabulary) == 5 and "red" in vocabulary and "zebra" not in vocabulary
    assert vocabulary.unknown("Zebra, red zebra; quokka") == ["zebra", "quokka"] and vocabulary.unknown("") == vocabulary.unknown("a red car") == []


def test_nothing_to_say_and_nobody_to_say_it():
    for captions_, shape in ((["", "🚗"], (2, 1)), ([], (0, 1))):
        tokens, lengths = Vocabulary(()).encode(captions_)
        assert tokens.shape == shape and not tokens.any() and lengths.tolist() == [0] * shape[0]
    assert Vocabulary(()).encode(["a red car"])[0].tolist() == [[UNKNOWN] * 3]


def test_very_long_captions_accents_and_other_scripts():
    vocabulary = Vocabulary(("café", "red", "红色的汽车", "автомобиль"))
    tokens, lengths = vocabulary.encode(["red " * 10_000, "CAFÉ АВТОМОБИЛЬ 红色的汽车 42"])
    assert tokens.shape == (2, 10_000) and lengths.tolist() == [10_000, 3] and bool((tokens[0] == 3).all()) and tokens[1, :4].tolist() == [2, 5, 4, PADDING]
    assert vocabulary.encode(["x" * 100_000])[0].tolist() == [[UNKNOWN]]


@given(WORDS, st.lists(st.text(max_size=40), max_size=5))
def test_every_known_word_comes_back(known, said):
    vocabulary = Vocabulary(known)
    tokens, lengths = vocabulary.encode(said)
    assert tokens.shape == (len(said), max([1, *lengths.tolist()]))
    for row, length, caption in zip(tokens, lengths, said):
        expected = captions.words(caption)
        found = [vocabulary.words[number - 2] if number > UNKNOWN else None for number in row[:length].tolist()]
        assert not row[length:].any() and found == [word if word in vocabulary else None for word in expected]
        assert vocabulary.unknown(caption) == list(dict.fromkeys(word for word in expected if word not in vocabulary))


def test_captions_that_are_no_list_of_strings():
    vocabulary = Vocabulary(("red",))
    with pytest.raises(ValueError, match="put the caption into a list"):
        vocabulary.encode("red")
    with pytest.raises(ValueError, match="must be a string, not NoneType"):
        vocabulary.encode(["red", None])
    with pytest.raises(ValueError, match="list a word twice"):
        Vocabulary(("red", "blue", "red"))


def test_a_vocabulary_from_captions():
    said = ["a red car", "a Red bus", "a zebra", "a zebra"]
    assert Vocabulary.build(said).words == tuple(sorted({*COLOR_WORDS, "a", "car", "bus", "zebra"}))
    assert Vocabulary.build(said, at_least=2).words == tuple(sorted({*COLOR_WORDS, "a", "zebra"}))
    assert Vocabulary.build(said, size=13).words == tuple(sorted({*COLOR_WORDS, "a", "zebra"}))        # the two commonest beside the eleven
    assert set(Vocabulary.build(said, size=12).words) - set(COLOR_WORDS) == {"a"}
    assert Vocabulary.build([]).words == Vocabulary.build(said, size=0).words == tuple(sorted(COLOR_WORDS))
    assert Vocabulary.build(reversed(said)).words == Vocabulary.build(said).words
    assert len(Vocabulary.build([" ".join(f"w{chr(97 + i % 26)}{chr(97 + i // 26)}" for i in range(600))], size=500)) == 502
