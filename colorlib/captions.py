"""Words about colour: captions as words, colour words among them, and the vocabulary a network reads them with."""
import re
import unicodedata
from collections import Counter

import torch

__all__ = ["words", "color_words", "basic", "with_article", "swap_color", "Vocabulary", "COLOR_WORDS", "ALIASES"]

COLOR_WORDS = ("red", "orange", "yellow", "green", "blue", "purple", "pink", "brown", "black", "white", "gray")    # English's eleven basic terms (Berlin & Kay 1969)
ALIASES = {         # other colour words -> the basic term they are nearest to (ours)
    "grey": "gray", "silver": "gray", "violet": "purple", "lavender": "purple", "indigo": "purple", "magenta": "pink", "fuchsia": "pink",
    "crimson": "red", "scarlet": "red", "maroon": "red", "burgundy": "red", "golden": "yellow", "gold": "yellow", "blond": "yellow", "blonde": "yellow",
    "navy": "blue", "azure": "blue", "cyan": "blue", "turquoise": "blue", "teal": "green", "olive": "green", "emerald": "green",
    "tan": "brown", "beige": "brown", "bronze": "brown", "khaki": "brown", "ivory": "white", "reddish": "red", "orangish": "orange",
    "yellowish": "yellow", "greenish": "green", "bluish": "blue", "purplish": "purple", "pinkish": "pink", "brownish": "brown", "blackish": "black",
    "whitish": "white", "grayish": "gray", "greyish": "gray",
}
PADDING, UNKNOWN = 0, 1
WORD = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)*")      # letters of any script, with apostrophes inside


def words(caption):
    """"A red bus, parked." -> ["a", "red", "bus", "parked"]: lower case, without punctuation and digits. Raises ValueError for what is no string.

    >>> words("A red bus, parked at 8!")
    ['a', 'red', 'bus', 'parked', 'at']
    """
    if not isinstance(caption, str):
        raise ValueError(f"A caption must be a string, not {type(caption).__name__}: pass words such as 'a red car'.")
    return [word.lower().replace("’", "'") for word in WORD.findall(unicodedata.normalize("NFC", caption))]


def color_words(caption):
    """The colour words of a caption as its `words` spell them, in order; aliases such as "teal" are among them.

    >>> color_words("a teal bird on a gray branch")
    ['teal', 'gray']
    """
    return [word for word in words(caption) if word in COLOR_WORDS or word in ALIASES]


def basic(word):
    """The basic term of a colour word: basic("teal") is "green". Raises ValueError for another word.

    >>> basic("teal"), basic("Crimson")
    ('green', 'red')
    """
    term = ALIASES.get(word.lower(), word.lower())
    if term not in COLOR_WORDS:
        raise ValueError(f"{word!r} is no colour word: choose one of {', '.join(COLOR_WORDS)}.")
    return term


def with_article(phrase):
    """"orange car" -> "an orange car".

    >>> with_article("orange car"), with_article("red car")
    ('an orange car', 'a red car')
    """
    return ("an " if phrase[:1].lower() in "aeiou" else "a ") + phrase


def swap_color(caption, new, old=None):
    """A caption in which the first colour word (or the first `old`) is `new`, with a/an before it put right; the rest stays as it is written.

    Raises ValueError when there is no such word to replace, or `new` is no colour word.

    >>> swap_color("A red bus beside a blue car", "orange"), swap_color("a red bus beside a blue car", "pink", old="blue")
    ('An orange bus beside a blue car', 'a red bus beside a pink car')
    """
    basic(new)
    for found in WORD.finditer(caption):
        word = found[0].lower()
        if word == old.lower() if old else word in COLOR_WORDS or word in ALIASES:
            before, after = caption[:found.start()], caption[found.end():]
            if article := re.search(r"\b(a|an)(\s+)$", before, re.IGNORECASE):
                fitting = "an" if new[0].lower() in "aeiou" else "a"
                fitting = fitting.capitalize() if article[1][0].isupper() else fitting
                before = before[:article.start()] + fitting + article[2]
            return before + (new.capitalize() if found[0][0].isupper() else new) + after
    raise ValueError(f"{caption!r} has no " + (f"word {old!r}" if old else "colour word") + " to replace: write one into it, such as 'a red car'.")


class Vocabulary:
    """The words a network knows, numbered from 2; 0 pads short captions, 1 stands for every unknown word.

    words: in their order, lower case, none twice (ValueError).

    >>> vocabulary = Vocabulary.build(["a red bus", "a blue bus by the sea"])
    >>> tokens, lengths = vocabulary.encode(["a red bus", "a zeppelin"])
    >>> len(vocabulary), tokens.shape, lengths.tolist(), vocabulary.unknown("a zeppelin")
    (18, torch.Size([2, 3]), [3, 2], ['zeppelin'])
    """

    def __init__(self, words):
        self.words = tuple(words)
        self.numbers = {word: number for number, word in enumerate(self.words, 2)}
        if len(self.numbers) != len(self.words):
            raise ValueError("A vocabulary must not list a word twice.")

    @classmethod
    def build(cls, captions, size=10_004, at_least=1):
        """The `size` commonest words of captions that occur `at_least` times, in alphabetical order, and always the eleven basic colour terms."""
        counts = Counter(word for caption in captions for word in words(caption))
        kept = [word for word, count in sorted(counts.items(), key=lambda one: (-one[1], one[0])) if count >= at_least and word not in COLOR_WORDS]
        return cls(sorted([*COLOR_WORDS, *kept[:max(0, size - len(COLOR_WORDS))]]))

    def __len__(self):
        return len(self.words) + 2

    def __contains__(self, word):
        return word in self.numbers

    def encode(self, captions):
        """Captions, a list of N strings -> (tokens `(N, T)` int64, lengths `(N,)` int64), T at least 1; an empty caption has length 0.

        Raises ValueError for a lone string and for entries that are no strings.
        """
        if isinstance(captions, str):
            raise ValueError("captions must be a list of strings, one a picture: put the caption into a list.")
        rows = [[self.numbers.get(word, UNKNOWN) for word in words(caption)] for caption in captions]
        tokens = torch.full((len(rows), max([1, *map(len, rows)])), PADDING)
        for row, numbers in zip(tokens, rows):
            row[:len(numbers)] = torch.tensor(numbers, dtype=torch.int64)
        return tokens, torch.tensor([len(numbers) for numbers in rows], dtype=torch.int64)

    def unknown(self, caption):
        """The caption's words that are not in the vocabulary, in order, once each."""
        return list(dict.fromkeys(word for word in words(caption) if word not in self))
