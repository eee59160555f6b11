"""The fooling test as a person takes it: one question at a time, buttons, no word on whether an answer was right."""
import html
import threading
from string import ascii_uppercase

import cv2
from ipywidgets import HTML, Box, Button, Text, VBox

from colorlib.fooling import fooling_answers
from colorlib.widgets.controls import PICTURE, PICTURES, ROW, WIDE, fixed
from colorlib.widgets.pictures import image_html, sentence_html

__all__ = ["FoolingTest"]

SIDE = 256                   # px of every picture's longer side on the screen
HASTE = 0.3                  # s after a question appeared in which a click is the second half of a double click (ours)
QUESTIONS = {"quality": "Is this picture real, or did a program colour it?", "plausibility": "Which picture fits this caption best?",
             "manipulation": "One program coloured this picture for several captions: which picture is for this one?"}
WELCOME = ("<p>You will see pictures in true colours and in colours that programs gave them. There are {count} questions; most people take a few seconds for "
           "each. Answer as you see it: whether an answer was right is not told. Each answer is kept at once, so you may stop at any time and go on later "
           "under the same name.</p>")


class FoolingTest(VBox):
    """Take the test of a `fooling.FoolingSession`; answers go to the CSV file `path`, at the end there is the table of all answers in it.

    In a class everybody opens a notebook of their own, or all take turns at one (Next person); several may write to one file. name: what stands in the name
    field at first. `sitting` is the `fooling.Sitting` of whoever answers, None before and after. Errors are one sentence in `message`.

    >>> from colorlib import fooling, scenes
    >>> real = [scenes.make_scene(seed, 16).rgb for seed in range(2)]
    >>> FoolingTest(fooling.FoolingSession({"mirrored": [rgb[:, ::-1] for rgb in real]}, real, ["a bus"] * 2))
    FoolingTest(no one answers)
    """

    def __init__(self, session, path="answers.csv", name=""):
        self.session, self.path, self.sitting, self.lock = session, path, None, threading.RLock()
        self.name = Text(value=name, description="Your name or a nickname", **WIDE)
        self.begin, self.next = Button(description="Begin or go on", layout=fixed()), Button(description="Next person", layout=fixed())
        self.again = Button(description="Read the answers again", tooltip="Others may have finished by now", layout=fixed())
        places = max([len(session.colored), *(len(row) for rows in session.swapped.values() for row in rows)])
        self.pictures = [HTML() for _ in range(places)]
        self.buttons = {"quality": [Button(description=text) for text in ("Real", "Generated")],
                        "other": [Button(description=f"Picture {letter}") for letter in ascii_uppercase[:places]]}
        self.progress, self.question, self.message, self.result = HTML(), HTML(), HTML(), HTML()
        self.begin.on_click(lambda _: self.start())
        self.next.on_click(lambda _: self.show_welcome())
        self.again.on_click(lambda _: self._attempt(self._show_table))
        for buttons in self.buttons.values():
            for place, button in enumerate(buttons):
                button.on_click(lambda _, place=place: self.choose(place))
        super().__init__()
        self.show_welcome(name)

    def show_welcome(self, name=""):
        """The first page."""
        self.sitting, self._layout, self.name.value, self.message.value = None, None, name, ""
        self.result.value = WELCOME.format(count=len(self.session.plan("")))
        self.children = [self.result, Box([self.name, self.begin], layout=ROW), self.message]

    def start(self):
        """Begin with the first question that whoever is named in `name` has not answered yet."""
        def work():
            self.sitting = fooling_answers.Sitting(self.session, self.name.value, self.path)
            self._show()
        self._attempt(work)

    def choose(self, place):
        """Press the button number `place`, from 0."""
        def work():
            self.sitting.answer(place)
            self._show()
        with self.lock:                                      # JupyterLab may run callbacks side by side, in subshells
            if self.sitting is not None and self.sitting.trial is not None and self.sitting.seconds >= HASTE:
                self._attempt(work)

    def _show(self):
        """Show the question at hand, after the last one the table."""
        sitting, trial = self.sitting, self.sitting.trial
        self.message.value = ""
        if trial is None:
            self._show_table()
            self.children = [self.result, Box([self.again, self.next], layout=ROW), self.message]
            return
        self.progress.value = f'<p role="status">Question {sitting.done + 1} of {sitting.total}</p>'
        said = f"<p><b>“{html.escape(trial.caption)}”</b></p>" if trial.caption else ""
        self.question.value = f"<p>{QUESTIONS[trial.task]}</p>{said}"
        names = [f"Picture {letter}" for letter in ascii_uppercase[:len(trial.pictures)]] if len(trial.pictures) > 1 else ["The picture in question"]
        for view, picture, name in zip(self.pictures, trial.pictures, names):
            view.value = image_html(fit(picture), name)
        if (layout := (trial.task == "quality", len(names))) != self._layout:   # while the layout stays, so does the button in focus
            if trial.task == "quality":
                panel = VBox([self.pictures[0], Box(self.buttons["quality"], layout=ROW)])
            else:
                look = PICTURE | {"max_width": f"{SIDE + 4}px"}
                panel = Box([VBox(pair, layout=look) for pair in zip(self.pictures[:len(names)], self.buttons["other"])], layout=PICTURES)
            self.children, self._layout = [self.progress, self.question, panel, self.message], layout
        sitting.started = sitting.clock()

    def _show_table(self):
        lines = fooling_answers.table_lines(self.path)
        note = html.escape(fooling_answers.note(self.path))
        self.result.value = f'<p role="status">That was the last question, thank you. What everybody in {html.escape(str(self.path))} answered so far:</p>' \
            f"{table_html(lines)}<p>{note}</p>"

    def _attempt(self, work):
        try:
            work()
        except (ValueError, OSError) as error:
            self.message.value = sentence_html(" ".join(str(error).split()), True)

    def __repr__(self):
        sitting = self.sitting
        return f"FoolingTest({'no one answers' if sitting is None else f'{sitting.done} of {sitting.total} answered'})"


def fit(rgb):
    """A picture `(H, W, 3)` uint8 at the size in which all are shown: its longer side has SIDE pixels."""
    scale = SIDE / max(rgb.shape[:2])
    size = [max(1, round(length * scale)) for length in rgb.shape[1::-1]]
    return cv2.resize(rgb, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC)


def table_html(lines):
    """Lines of cells, the heading first, as an HTML table."""
    head, *body = [[html.escape(str(cell)) for cell in line] for line in lines]
    look = 'style="padding:0 .4em; text-align:{}"'.format
    heads = "".join(f'<th scope="col" {look("center")}>{cell}</th>' for cell in head)
    rows = "".join(f'<tr><th scope="row" {look("left")}>{first}</th>' + "".join(f'<td {look("right; white-space:nowrap")}>{cell}</td>' for cell in rest)
                   + "</tr>" for first, *rest in body)
    return f'<div style="overflow-x:auto"><table><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table></div>'
