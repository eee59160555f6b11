"""The hint picker: click a colour into a grey picture and see the whole picture follow. Its front end is hint_picker.js."""
from pathlib import Path

import anywidget
import traitlets

from colorlib.images import colorized_name
from colorlib.widgets.hint_actions import SessionView, hex_color, perform
from colorlib.widgets.hint_session import LARGEST, HintSession
from colorlib.widgets.pictures import browser_copy, encode

__all__ = ["HintPicker"]

LIVE_QUALITY = 90            # of the JPEGs shown while clicking; the exported picture never was a JPEG
CHANGING = ("add", "move", "delete", "clear", "undo", "redo", "load", "student", "select", "refresh")    # another pixel, other suggestions
WELCOME = "Click the picture where you know a colour."


class HintPicker(SessionView, anywidget.AnyWidget):
    """Click, drag and type colours into a picture; mouse, touch, pen and keyboard. Arguments as in `HintSession`, or a session itself.

    `hints` is the `HintSet` being edited, `session` all of the state; both may be used while the picker is open, `refresh()` shows what changed.
    Errors are one sentence in the picker. Without a browser it is as good as its session.

    >>> from colorlib import scenes
    >>> picker = HintPicker(scenes.make_scene(1, 16).rgb, predict=lambda L, hints: hints.maps(*L.shape)[0])
    >>> picker.act("undo"), len(picker.hints)
    (('There is nothing to take back.', False), 0)
    """

    _esm = Path(__file__).with_name("hint_picker.js")
    _css = Path(__file__).with_name("hint_picker.css")
    picture = traitlets.Dict().tag(sync=True)            # what never changes: sizes and texts
    state = traitlets.Dict().tag(sync=True)              # colour, selection, messages; `seq` of the last command worked off
    hint_list = traitlets.List().tag(sync=True)
    gray_jpg = traitlets.Bytes().tag(sync=True)
    result_jpg = traitlets.Bytes().tag(sync=True)
    truth_jpg = traitlets.Bytes().tag(sync=True)
    reference_jpg = traitlets.Bytes().tag(sync=True)

    def __init__(self, picture, hints=(), predict="hintnet", **options):
        self.session = session = picture if isinstance(picture, HintSession) else HintSession(picture, hints, predict, **options)
        session.update()
        self._shown, self._seq, self._suggestions = {}, 0, []
        (height, width), model = session.L.shape, session.model
        name = Path(session.picture.path or "photo.png").name
        super().__init__(picture={"height": height, "width": width, "has_truth": session.truth is not None, "largest": LARGEST,
                                  "pixel": width / model.L.shape[1], "working_size": model.working_size, "export_name": colorized_name(name),
                                  "trained_text": sizes_text(model.trained_sizes)})
        self._show(WELCOME)
        self.on_msg(self._on_message)

    def act(self, name, **arguments):
        """Do what a button does, see `hint_actions.ACTIONS`, and show what came of it. Returns (answer, whether it went wrong)."""
        with self.session.lock:
            answer, failed = perform(self.session, name, arguments)
            if failed:
                self._show(answer, failed=True)
            elif name == "preview":
                self._show(self.state["message"], picture=answer)
            elif name == "suggest":
                self._suggestions = answer
                self._show(self.state["message"])
            else:
                self._suggestions = [] if name in CHANGING else self._suggestions
                self._show(answer, copy_of=self.session.exported if name == "export" else None)
        return answer, failed

    def refresh(self):
        """Show hints that Python code has changed."""
        self.act("refresh")

    def _on_message(self, _, message, buffers):
        """One command from a browser: {do, seq, arguments}. JupyterLab may call while a cell runs (subshells)."""
        arguments = dict(message)
        name, seq = arguments.pop("do", None), arguments.pop("seq", 0)
        with self.session.lock:
            if name == "preview" and seq < self._seq:
                return                                   # overtaken: the drag it belongs to is over
            self._seq = max(self._seq, seq)
            self.act(name, **arguments)

    def _show(self, sentence, failed=False, picture=None, copy_of=None):
        """Send what has changed, in one message; then, for a link, the file `copy_of`: to the browser alone, a notebook would keep it."""
        session = self.session
        with self.hold_sync():
            self._send_picture("gray_jpg", session.gray)
            self._send_picture("truth_jpg", session.truth)
            self._send_picture("reference_jpg", session.reference)
            self._send_picture("result_jpg", session.result if picture is None else picture)
            marks = []
            for hint in session.hints:
                L = session.lightness_at(hint.y, hint.x)
                marks.append({"y": hint.y, "x": hint.x, "a": hint.a, "b": hint.b, "size": hint.size, "L": L, "hex": hex_color(L, hint.a, hint.b)})
            self.hint_list = marks
            self.state = {"seq": self._seq, "message": "" if failed else sentence, "error": sentence if failed else "", "selected": session.selected,
                          "color": list(session.color), "size": session.size, "snapped": session.snapped, "can_undo": session.hints.can_undo,
                          "can_redo": session.hints.can_redo, "hard_clamp": session.hard_clamp, "recent": [list(color) for color in session.recent],
                          "suggestions": [list(color) for color in self._suggestions], "curve": [list(point) for point in session.curve]}

        if copy_of is not None:
            content, note = browser_copy(copy_of)
            self.send({"name": copy_of.name, "note": note}, [] if content is None else [content])

        # ipykernel 7.4 hands a comm's messages to the thread that last spoke on it: a running cell would keep every click waiting. Without its note
        # they go where the front end says, in JupyterLab to a thread of their own (a subshell).
        vars(self.comm or self).pop("_reply_subshell_id", None)

    def _send_picture(self, name, rgb):
        if rgb is not self._shown.get(name):             # the session makes a new array whenever a picture changes
            self._shown[name] = rgb
            setattr(self, name, encode(rgb, ".jpg", LIVE_QUALITY))

    def __repr__(self):
        return f"HintPicker({self.session!r})"


def sizes_text(sizes):
    """What a label says about the hint sizes a model was trained with; "" where it is not known."""
    if not sizes:
        return ""
    low, high = min(sizes), max(sizes)
    return f"trained with {low} px" if low == high else f"trained with {low} to {high} px"
