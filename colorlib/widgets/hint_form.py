"""The hint picker in plain ipywidgets, for front ends that show no other widgets: numbers instead of clicks, the same session behind them."""
import html
from pathlib import Path

import cv2
import numpy as np
from ipywidgets import HTML, BoundedIntText, Box, Button, Checkbox, Text, ToggleButtons, VBox

from colorlib.images import colorized_name
from colorlib.widgets.controls import PAINT, ROW, WIDE, color_button, fixed
from colorlib.widgets.hint_actions import SessionView, hex_color, perform
from colorlib.widgets.hint_session import LARGEST, HintSession
from colorlib.widgets.pictures import image_html, sentence_html

__all__ = ["HintForm", "pick_hints"]

NEW = 0                      # what the field for the hint's number holds while the next hint is to be a new one


class HintForm(SessionView, VBox):
    """Hints by row, column and colour; arguments as in `HintSession`, or a session itself.

    `hints` is the `HintSet` being edited, `session` all of the state. Errors are one sentence in `message`.

    >>> form = HintForm(np.full((16, 24, 3), 90, np.uint8), predict=lambda L, hints: hints.maps(*L.shape)[0])
    >>> form.y.value, form.x.value = 3, 5
    >>> form.put()[1], len(form.hints), form.choice.value
    (False, 1, 1)
    """

    def __init__(self, picture, hints=(), predict="hintnet", **options):
        self.session = session = picture if isinstance(picture, HintSession) else HintSession(picture, hints, predict, **options)
        session.update()
        height, width = session.L.shape
        self.y = BoundedIntText(value=height // 2, min=0, max=height - 1, description=f"Row y, 0 to {height - 1}", **WIDE)
        self.x = BoundedIntText(value=width // 2, min=0, max=width - 1, description=f"Column x, 0 to {width - 1}", **WIDE)
        self.color = Text(value=self._shown_color(), description="Colour", placeholder="#c03020, red or lab(50, 20, -30), then Enter", continuous_update=False,
                          **WIDE)
        self.words = {word: color_button(word, f"Take {word}") for word in PAINT}
        self.size = BoundedIntText(value=session.size, min=1, max=LARGEST, description="Hint size, px", **WIDE)
        self.choice = BoundedIntText(min=NEW, max=NEW, description="Hint to edit, 0 for a new one", **WIDE)     # no list: JupyterLab takes its keys
        self.mode = ToggleButtons(options=["Result", "Grey", "Split"], description="View", style={"button_width": "6em"})
        self.clamp = Checkbox(value=session.hard_clamp, description="Keep my colours exactly", indent=False)
        self.hints_path = Text(value="hints.json", description="Hints file", **WIDE)
        self.picture_path = Text(value=colorized_name(Path(session.picture.path or "photo.png").name), description="Picture file", **WIDE)
        self.view, self.table, self.message = HTML(), HTML(), HTML()
        self._quiet = True                               # while the form itself sets its controls
        buttons = {name: Button(description=text, tooltip=tip, layout=fixed()) for name, text, tip in (
            ("put", "Add", "Put a hint at this row and column"), ("delete", "Delete", "Delete the hint being edited"), ("undo", "Undo", "Take back"),
            ("redo", "Redo", "Do again"), ("clear", "Clear", "Delete all hints"), ("student", "Student", "A simulated student gives one true colour"),
            ("save", "Save hints", ""), ("load", "Load hints", ""), ("export", "Save full size", ""))}
        self.buttons = buttons
        for name in ("delete", "undo", "redo", "clear", "student"):
            buttons[name].on_click(lambda _, name=name: self.act(name))
        buttons["put"].on_click(lambda _: self.put())
        for name, field in (("save", self.hints_path), ("load", self.hints_path), ("export", self.picture_path)):
            buttons[name].on_click(lambda _, name=name, field=field: self.act(name, path=field.value))
        self.color.observe(lambda change: self._on_change("color", color=change["new"]), "value")
        for word, button in self.words.items():
            button.on_click(lambda _, word=word: setattr(self.color, "value", word))
        self.size.observe(lambda change: self._on_change("size", size=change["new"]), "value")
        self.clamp.observe(lambda change: self._on_change("clamp", on=change["new"]), "value")
        self.choice.observe(lambda change: self._on_change("select", index=None if change["new"] == NEW else change["new"] - 1), "value")
        for control in (self.y, self.x, self.mode):
            control.observe(lambda change: None if self._quiet else self._show(), "value")
        row = [buttons[name] for name in ("put", "delete", "undo", "redo", "clear", "student")]
        super().__init__([self.choice, self.y, self.x, self.color, Box(list(self.words.values()), layout=ROW), self.size, Box(row, layout=ROW),
                          self.message, self.mode, self.view, self.clamp, self.table,
                          Box([self.hints_path, buttons["save"], buttons["load"]], layout=ROW), Box([self.picture_path, buttons["export"]], layout=ROW)])
        self.message.value = sentence_html("Set row, column and colour, then Add.")
        self._show()

    def put(self):
        """Add a hint at the place in `y` and `x`, or move the one being edited there."""
        place = {"y": self.y.value, "x": self.x.value}
        if self.session.selected is None:
            return self.act("add", **place)
        return self.act("move", index=self.session.selected, **place)

    def act(self, name, **arguments):
        """Do what a button does, see `hint_actions.ACTIONS`; show what came of it. Returns (sentence, whether it went wrong)."""
        with self.session.lock:
            sentence, failed = perform(self.session, name, arguments)
            self.message.value = sentence_html(sentence, failed)
            self._show(follow=True)
        return sentence, failed

    def refresh(self):
        """Show hints that Python code has changed."""
        self.act("refresh")

    def _on_change(self, name, **arguments):
        if not self._quiet:
            self.act(name, **arguments)

    def _shown_color(self):
        session = self.session
        return hex_color(60, *session.color)

    def _show(self, follow=False):
        """Draw the picture and the table; with follow, let the controls follow the selected hint."""
        session, self._quiet = self.session, True
        try:
            hints, index = session.hints, session.selected
            self.choice.max = max(len(hints), self.choice.value)     # set in an order in which the value is never outside
            self.choice.value = NEW if index is None else index + 1
            self.choice.max = len(hints)
            if follow and index is not None:
                hint = hints[index]
                self.y.value, self.x.value, self.size.value = round(hint.y), round(hint.x), hint.size
                self.color.value = hex_color(session.lightness_at(hint.y, hint.x), hint.a, hint.b)
            self.buttons["put"].description = "Add" if index is None else "Move here"
            self.clamp.value = session.hard_clamp
            for name, on in (("delete", index is not None), ("undo", hints.can_undo), ("redo", hints.can_redo), ("clear", len(hints)),
                             ("student", session.truth is not None)):
                self.buttons[name].disabled = not on
            self.view.value, self.table.value = self._picture_html(), self._table_html()
        finally:
            self._quiet = False

    def _picture_html(self):
        session = self.session
        rgb = (session.gray if self.mode.value == "Grey" else session.result).copy()
        if self.mode.value == "Split":
            middle = rgb.shape[1] // 2
            rgb[:, :middle] = session.gray[:, :middle]
        scale = rgb.shape[0] / session.L.shape[0], rgb.shape[1] / session.L.shape[1]

        def locate(y, x):
            return round((x + 0.5) * scale[1] - 0.5), round((y + 0.5) * scale[0] - 0.5)
        for i, hint in enumerate(session.hints):
            for radius, ink in ((6, (0, 0, 0)), (5, (255, 255, 255))):
                cv2.circle(rgb, locate(hint.y, hint.x), radius, ink, 2 if i == session.selected else 1, cv2.LINE_AA)
        for thickness, ink in ((3, (0, 0, 0)), (1, (255, 255, 255))):
            cv2.drawMarker(rgb, locate(self.y.value, self.x.value), ink, cv2.MARKER_CROSS, 15, thickness)
        alt = f"{self.mode.value} with {len(session.hints)} hints; the cross is at row {self.y.value}, column {self.x.value}."
        return image_html(np.ascontiguousarray(rgb), alt, ".jpg")

    def _table_html(self):
        session, rows = self.session, []
        for i, hint in enumerate(session.hints):
            color = hex_color(session.lightness_at(hint.y, hint.x), hint.a, hint.b)
            cells = [i + 1, f'<span style="display:inline-block;width:1em;height:1em;background:{color}"></span> {color}', f"{hint.y:.0f}", f"{hint.x:.0f}",
                     f"{hint.a:.0f}", f"{hint.b:.0f}", hint.size]
            rows.append("<tr>" + "".join(f'<td style="padding:0 .6em">{cell}</td>' for cell in cells) + "</tr>")
        heads = "".join(f'<th scope="col" style="padding:0 .6em">{html.escape(head)}</th>' for head in ("Hint", "Colour", "Row", "Column", "a", "b", "Size"))
        return f"<table><tr>{heads}</tr>{''.join(rows)}</table>" if rows else ""

    def __repr__(self):
        return f"HintForm({self.session!r})"


def pick_hints(picture, hints=(), predict="hintnet", view="picker", **options):
    """A view to give a picture hints: the `HintPicker`, or the plain `HintForm` with view="form" and where anywidget is not installed.

    Arguments as in `HintSession`. Both have `hints`, `session`, `result`, `act` and `refresh`. Raises ValueError for another view.

    >>> pick_hints(np.zeros((16, 24, 3), np.uint8), view="hologram")
    Traceback (most recent call last):
    ValueError: There is no view 'hologram': choose picker or form.
    """
    if view not in ("picker", "form"):
        raise ValueError(f"There is no view {view!r}: choose picker or form.")
    if view == "picker":
        try:
            from colorlib.widgets.hint_picker import HintPicker
            return HintPicker(picture, hints, predict, **options)
        except ModuleNotFoundError as error:
            if error.name != "anywidget":
                raise
    return HintForm(picture, hints, predict, **options)
