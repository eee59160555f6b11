"""Colouring by caption without a widget: a picture, the words a person types, what the model understood, and the picture that follows."""
import difflib
import threading
import time
import unicodedata
from collections import OrderedDict
from dataclasses import replace
from pathlib import Path

import numpy as np

from colorlib import captions, images, zoo
from colorlib.widgets.hint_session import locked
from colorlib.widgets.pictures import PREVIEW_SIDE, check_ab, export_picture, shrink

__all__ = ["CaptionSession"]

FUNCTION_SIZE = 128          # px of the shorter side given to a plain function
REMEMBERED = 48              # predictions kept, so that undo and a colour pressed again cost nothing
PAUSE = 1.5                  # s between two keystrokes, after which the caption so far was one that somebody looked at (ours)
NEAREST = 3                  # known words offered for an unknown one
SPELT_ALIKE = 0.7            # of difflib: "grean" is green, but "coat" no float
NEAR, NO_WORDS = "; nearest known: ", "Nothing is said: the model colours as it would without you."


class CaptionSession:
    """A picture coloured as a caption says.

    picture: what `images.open_image` reads; its own colours are not looked at. method: a method of the catalogue that takes a caption ("film", "concat"),
    or a function of (L `(h, w)` in [0, 100], caption) -> ab `(2, h', w')` in CIE units, whose attribute `vocabulary` (a `captions.Vocabulary`), if it has
    one, says which words it knows. model: the method's network, by default the one `zoo.load` finds. working_size: shorter side at which the model sees
    the picture (default: what it was trained at). folder: where relative paths begin. weights, device: as in `zoo.load`.

    `caption` is what `result` shows; `result` and `gray` are uint8 `(h, w, 3)`, at most 380 pixels long. Raises ValueError for a method without
    captions, FileNotFoundError for a missing picture or missing weights, each with one sentence.

    >>> session = CaptionSession(np.zeros((16, 24, 3), np.uint8), "a red car", lambda L, caption: 0 * L[None].repeat(2, 0))
    >>> session.result.shape, session.explain("")
    ((16, 24, 3), 'Nothing is said: the model colours as it would without you.')
    """

    def __init__(self, picture, caption="", method="film", model=None, *, weights=None, working_size=None, folder=".", device="auto"):
        self.lock, self.folder, self.model, self.paper = threading.RLock(), Path(folder).expanduser(), model, None
        if callable(method):
            self.name, self.function, self.vocabulary = getattr(method, "__name__", type(method).__name__), method, getattr(method, "vocabulary", None)
        else:
            row = zoo.get(method)
            zoo.check_conditions(row, caption="")                    # a method that takes no caption says so
            self.model = model if model is not None else zoo.load(method, weights, device=device)
            self.name, self.function, self.paper, self.vocabulary = method, self._ask_network, row.papers, getattr(self.model, "vocabulary", None)
            if not getattr(self.vocabulary, "words", ()):
                raise ValueError(f"This model of {method} knows no words: train it on pictures with captions, or build it with a vocabulary.")
        self.working_size = working_size or (zoo.working_size(self.model.config) if self.paper else FUNCTION_SIZE)
        self.open(picture)
        self.update(caption)

    @locked
    def open(self, picture):
        """Take another picture; `update` colours it."""
        picture = images.open_image(picture)
        self.L, self.picture = images.lightness(picture), picture                                  # (H, W)
        self.input = images.model_input(self.L, self.working_size)                                 # (1, 1, h, w)
        self.view_L = images.lightness(images.Picture(shrink(picture.rgb, PREVIEW_SIDE)))
        self.result = self.gray = images.merge_chroma(self.view_L, np.zeros((2, 1, 1), np.float32))
        self.caption, self._answers = "", OrderedDict()

    # ------------------------------------------------------------ colour

    @locked
    def update(self, caption):
        """Colour the picture as `caption` says; returns and keeps `result`. If the model fails, the last result stays."""
        self.result, self.caption = images.merge_chroma(self.view_L, self.predict(caption)), caption
        return self.result

    @locked
    def predict(self, caption):
        """ab `(2, h, w)` float32 in CIE units, at the model's size. Captions that the model reads alike are coloured once."""
        key = caption if self.paper is None else tuple(self.vocabulary.encode([caption])[0][0].tolist())
        if key not in self._answers:
            self._answers[key] = check_ab(self.function(self.input[0, 0].numpy(), caption), self.name)
            if len(self._answers) > REMEMBERED:
                self._answers.popitem(last=False)
        self._answers.move_to_end(key)
        return self._answers[key]

    def _ask_network(self, L, caption):
        place = next(self.model.parameters()).device
        return self.paper.colorize(self.model, {"L": self.input.to(place), "caption": [caption]})

    @locked
    def colorize(self):
        """The whole picture coloured as `caption` says, an `images.Picture` of its own size and depth."""
        return replace(self.picture, rgb=images.merge_chroma(self.L, self.predict(self.caption), dtype=self.picture.rgb.dtype))

    @locked
    def export(self, path, overwrite=False):
        """Write `colorize()` with its EXIF data and transparency. Returns (path, sentences about what the format could not keep)."""
        return export_picture(self.folder, path, self.colorize(), overwrite)

    # ------------------------------------------------------------ words

    def understood(self, caption):
        """[(word as the model reads it, whether it knows the word)]."""
        return [(word, self.vocabulary is None or word in self.vocabulary) for word in captions.words(caption)]

    def explain(self, caption):
        """One sentence on what the model makes of a caption; every word it does not know is named in it."""
        unread, said = _without_letters(caption), captions.words(caption)
        unknown = list(dict.fromkeys(word for word, known in self.understood(caption) if not known))
        unread = f"{_quoted(unread)} cannot be read, only words in letters can" if unread else ""
        if not said:
            return f"{unread}." if unread else NO_WORDS
        if not unknown:
            sentence = f"{self.name} {'is given the caption as it stands' if self.vocabulary is None else 'knows every word'}"
        elif unknown == said[-1:] and caption[-1].isalpha() and (endings := self.completions(unknown[0])):
            sentence = f"{unknown[0]!r} is read as an unknown word until it is finished: {', '.join(endings)}"
        elif len(unknown) == 1:
            near = ", ".join(self.nearest(unknown[0]))
            sentence = (f"{unknown[0]!r} is not one of the {len(self.vocabulary.words)} words this model knows: it is read as an unknown word"
                        + (NEAR + near) * bool(near))
        else:
            near = ", ".join(f"{word} ({found[0]})" for word in unknown if (found := self.nearest(word)))
            sentence = (f"{_quoted(unknown)} are not among the {len(self.vocabulary.words)} words this model knows: they are read as unknown words"
                        + (NEAR + near) * bool(near))
        return f"{sentence}; {unread}." if unread else f"{sentence}."

    def nearest(self, word):
        """Up to three known words an unknown one may stand for: the basic term of a colour word first, then those spelled alike."""
        colors = [captions.basic(word)] if captions.color_words(word) else []
        alike = difflib.get_close_matches(word, [known for known in self.vocabulary.words if known[:1] == word[:1]], NEAREST, SPELT_ALIKE)
        return list(dict.fromkeys([*(color for color in colors if color in self.vocabulary), *alike]))[:NEAREST]

    def completions(self, start):
        """Up to three known words that begin like this."""
        return [word for word in self.vocabulary.words if word.startswith(start)][:NEAREST]

    def __repr__(self):
        height, width = self.L.shape
        return f"CaptionSession({height} x {width} pixels, {self.caption!r}, {self.name})"


def _quoted(words):
    """["a", "b", "c"] -> "'a', 'b' and 'c'"."""
    *first, last = map(repr, words)
    return f"{', '.join(first)} and {last}" if first else last


def _without_letters(caption):
    """What of a caption no network reads and no punctuation explains: numbers and symbols, such as "2" or an emoji."""
    rest = captions.WORD.sub(" ", caption).split()
    return list(dict.fromkeys(part for part in rest if any(unicodedata.category(sign)[0] in "NS" for sign in part)))


class History:
    """The captions somebody looked at, for undo. One run of typing, or of deleting, is one step; a stop of more than PAUSE seconds ends a run."""

    def __init__(self, caption="", clock=time.monotonic):
        self.caption, self.clock, self.past, self.seen, self._run, self._time = caption, clock, [], [], None, clock()

    def note(self, caption):
        """The caption has changed."""
        if caption == self.caption:
            return
        run, now = _kind_of_edit(self.caption, caption), self.clock()
        if run is None or run != self._run or now - self._time > PAUSE:
            self.past.append(self.caption)
            self._see(self.caption)
        self.caption, self._run, self._time = caption, run, now

    def undo(self):
        """Back to the caption before; returns it, or None at the beginning. What is undone stays among `seen`."""
        if not self.past:
            return None
        self._see(self.caption)
        self.caption, self._run = self.past.pop(), None
        return self.caption

    def _see(self, caption):
        if caption.strip():
            self.seen = [caption, *(other for other in self.seen if other != caption)]             # the newest first


def _kind_of_edit(old, new):
    """"typing" when letters only came in, "deleting" when some only went, else None."""
    same = 0
    for a, b in zip(old, new):
        if a != b:
            break
        same += 1
    if len(new) > len(old):
        return "typing" if new.endswith(old[same:]) else None
    return "deleting" if old.endswith(new[same:]) and len(new) < len(old) else None


class Newest:
    """Works in a thread of its own on what was asked for last; what came between is forgotten, so that a slow picture never holds up the next.

    work: a function of one argument that handles its own errors. The thread lives only while there is work.
    """

    def __init__(self, work):
        self.work, self.lock, self.waiting, self.thread = work, threading.Lock(), [], None

    def ask(self, item):
        """Work on this as soon as the piece at hand is done, unless something newer is asked for by then. Returns at once."""
        with self.lock:
            self.waiting = [item]
            if self.thread is None:
                self.thread = threading.Thread(target=self._work)
                self.thread.start()

    def wait(self):
        """Until all is done."""
        while (thread := self.thread) is not None:
            thread.join()

    def _work(self):
        while True:
            with self.lock:
                if not self.waiting:
                    self.thread = None
                    return
                item, self.waiting = self.waiting[0], []
            self.work(item)
