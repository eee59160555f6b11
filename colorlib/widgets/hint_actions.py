"""What a person can do to a `HintSession`, by name: the one list behind the picker's buttons, keys and clicks and behind the plain form.

Every action answers with one sentence. Mistakes and failures are sentences, too: nothing is raised, printed or logged, and no hint is lost.
"""
import numpy as np

from colorlib.hints import HintSet
from colorlib.lab import lab_to_rgb
from colorlib.widgets.controls import typed_path

__all__ = ["hex_color", "perform"]

SNAPPED = " Snapped: this lightness has no such colour, so the nearest of its hue is used."


class SessionView:
    """What the picker and the form have in common: they show a `session`."""

    @property
    def hints(self):
        """The `HintSet` being edited."""
        return self.session.hints

    @property
    def result(self):
        """The live result, `(h, w, 3)` uint8."""
        return self.session.result


def perform(session, name, arguments):
    """Do one action of ACTIONS to a `HintSession`. Returns (answer, whether it went wrong). What raises
    ValueError, or anything else, becomes its sentence. Callable from several threads: one action at a time.

    >>> from colorlib.widgets.hint_session import HintSession
    >>> session = HintSession(np.zeros((16, 24, 3), np.uint8), predict=lambda L, hints: hints.maps(*L.shape)[0])
    >>> perform(session, "undo", {}), perform(session, "load", {"path": "nowhere.json"})[1]
    (('There is nothing to take back.', False), True)
    """
    with session.lock:
        try:
            if name not in ACTIONS:
                raise ValueError(f"There is no action {name!r}: choose one of {', '.join(ACTIONS)}.")
            return ACTIONS[name](session, **arguments), False
        except MemoryError:
            return "There is not enough memory for this picture: make it smaller.", True
        except (ValueError, OSError) as error:
            return _one_line(error), True
        except Exception as error:  # noqa: BLE001 - a model may fail in any way, and its words must reach the person, not a log
            return f"{session.model.name} failed ({type(error).__name__}: {_one_line(error) or 'no reason given'}): your hints are kept.", True


def _one_line(error):
    return " ".join(str(error).split())


def hex_color(L, a, b):
    """The colour as "#rrggbb"; outside sRGB the nearest value of each channel.

    >>> hex_color(100, 0, 0), hex_color(0, 0, 0)
    ('#ffffff', '#000000')
    """
    return "#" + bytes(np.round(lab_to_rgb(np.array([L, a, b], np.float64)) * 255).astype(np.uint8)).hex()


def describe(session, index):
    """One sentence about a hint."""
    hint = session.hints[index]
    color = hex_color(session.lightness_at(hint.y, hint.x), hint.a, hint.b)
    return f"Hint {index + 1} at row {hint.y:.0f}, column {hint.x:.0f} is {color}." + SNAPPED * session.snapped


def _edit(act):
    """An action that changes hints: the picture follows, even where the edit itself went wrong half-way."""
    def action(session, **arguments):
        sentence = act(session, **arguments)
        session.update()
        return sentence
    return action


def _add(session, y, x):
    return describe(session, session.add(y, x))


def _move(session, index, y, x):
    session.move(index, y, x)
    return describe(session, index)


def _color(session, color):
    session.set_color(color)
    return describe(session, session.selected) if session.selected is not None else "This is the colour of the next hint."


def _size(session, size):
    session.set_size(size)
    return f"Hints are now {size} px wide where the model sees them."


def _delete(session, index=None):
    session.delete(index)
    return _count(session)


def _clear(session):
    session.clear()
    return "All hints are gone; Undo brings them back."


def _undo(session):
    return f"Taken back. {_count(session)}" if session.undo() else "There is nothing to take back."


def _redo(session):
    return f"Done again. {_count(session)}" if session.redo() else "There is nothing to do again."


def _count(session):
    count = len(session.hints)
    return f"The picture has {count or 'no'} hint{'s' * (count != 1)}."


def _clamp(session, on):
    session.hard_clamp = bool(on)
    return "Hint pixels keep exactly your colours." if on else "The model may change hint pixels a little."


def _student(session):
    index = session.student_click()
    session.update()
    return f"{describe(session, index)} PSNR is {session.curve[-1][1]:.1f} dB after {len(session.hints)} clicks."


def _select(session, index):
    session.select(index)
    return "No hint is selected." if index is None else describe(session, index)


def _pick(session, y, x):
    session.pick_reference(y, x)
    if session.selected is None:
        return "Taken from the reference: click the picture to use this colour."
    session.update()
    return describe(session, session.selected)


def _reference(session, path):
    session.set_reference(typed_path(path))
    return "Click the reference to take a colour."


def _load(session, path):
    path = typed_path(path)
    session.load_hints(path)
    return f"Loaded {path}. {_count(session)}"


def _save(session, path):
    return f"Saved {_plural(len(session.hints))} to {session.save_hints(typed_path(path))}."


def _export(session, path):
    written, notes = session.export(typed_path(path))
    width, height = session.picture.size
    return " ".join([f"Saved {written} at {width} x {height} pixels.", *notes])


def _plural(count):
    return f"{count} hint{'s' * (count != 1)}"


def _refresh(session):
    return _count(session)


def _preview(session, index, y=None, x=None, a=None, b=None):
    """Not a sentence: the picture during a drag. The hints stay as they are."""
    hint = session.recolored(index, a, b) if y is None else session.moved(index, y, x)
    return session.preview(HintSet(*session.L.shape, [*session.hints[:index], hint, *session.hints[index + 1:]]))


def _suggest(session, y, x):
    """Not a sentence: colours (a, b)."""
    return session.suggest(y, x)


ACTIONS = {name: _edit(act) for name, act in (("add", _add), ("move", _move), ("color", _color), ("size", _size), ("delete", _delete), ("clear", _clear),
                                              ("undo", _undo), ("redo", _redo), ("clamp", _clamp), ("load", _load), ("refresh", _refresh))}
ACTIONS |= {"student": _student, "select": _select, "pick": _pick, "reference": _reference, "save": _save, "export": _export, "preview": _preview,
            "suggest": _suggest}
