"""The reference chooser: press a picture and see a grey one take its colours; spoil it and see whether the method notices."""
import base64
import threading
import uuid
from pathlib import Path

from ipywidgets import HTML, Box, Button, Checkbox, Dropdown, Text, VBox

from colorlib.images import colorized_name
from colorlib.widgets.caption_session import Newest
from colorlib.widgets.controls import PICTURE, PICTURES, ROW, WIDE, answer_at_once, file_places, fixed, key_guard, typed_path
from colorlib.widgets.pictures import attempt, draw_heat, encode, image_html, sentence_html, shrink
from colorlib.widgets.reference_session import KINDS, ReferenceSession, describe

__all__ = ["ReferenceChooser"]

THUMBNAIL = 84               # px of the longer side of the picture on a button


class ReferenceChooser(VBox):
    """Press a reference; the picture takes its colours at once. Arguments as in `ReferenceSession`, or a session itself.

    Own references come by upload or path. `kind` and `mirror` spoil the reference; where the method has a gate, `overlay` shows how far each place
    trusts its match. Save writes the whole picture and never replaces a file. `buttons` is {name: button}, `session` the rest of the state; `result`
    waits for the colouring at hand. Errors are one sentence in `message`, and the last good picture stays.

    >>> from colorlib import scenes
    >>> albums = {word: scenes.make_scene(1, 16, color=word).rgb for word in ("red", "blue")}
    >>> chooser = ReferenceChooser(scenes.make_scene(2, 16).rgb, albums, lambda L, reference: 0 * L[None].repeat(2, 0))
    >>> chooser.choose("blue"); chooser.result.shape, chooser.session.chosen
    ((16, 16, 3), 'blue')
    """

    def __init__(self, picture, references=None, method="gray2color", model=None, **options):
        self.session = session = picture if isinstance(picture, ReferenceSession) else ReferenceSession(picture, references, method, model, **options)
        self.worker, self.lock, self.wanted = Newest(self._color), threading.RLock(), session.chosen
        self.buttons, self.looks, self.strip, self._mark = {}, HTML(layout={"display": "none"}), Box(layout=ROW), f"reference-{uuid.uuid4().hex}"
        self.area, self.upload = file_places(self.add, self._refuse, "Your own reference", "Drop your own reference here, or press to choose one")
        self.path = Text(description="or its path", placeholder="holiday/beach.jpg, then Enter", continuous_update=False, **WIDE)
        self.kind = Dropdown(options=[(words, kind) for kind, words in KINDS.items()], value=session.kind, description="Reference", **WIDE)
        self.mirror = Checkbox(value=session.mirrored, description="Mirror it", tooltip="Exchange its left and right", indent=False, layout=fixed("8em"))
        self.overlay = Checkbox(description="Show the gate", tooltip="How far each place trusts its match", indent=False, layout=fixed("10em"))
        self.name = Text(value=colorized_name(Path(session.picture.path or "photo.png").name), description="Save as", **WIDE)
        self.save = Button(description="Save full size", icon="download", tooltip="Write the coloured photo", layout=fixed())
        self.message, self.numbers = HTML(), HTML()
        self.gray, self.reference, self.view, self.gate = (HTML(layout=PICTURE) for _ in range(4))
        self.path.observe(lambda change: typed_path(change["new"]) and self.add(typed_path(change["new"])), "value")
        for control in (self.kind, self.mirror):
            control.observe(lambda _: self._ask(), "value")
        self.overlay.observe(lambda _: self._show_gate(), "value")
        self.save.on_click(lambda _: attempt(self._save, self.message, session.name))
        width, height = session.picture.size
        self.gray.value = image_html(session.gray, "The picture in grey", ".jpg", f"lightness L of {width} x {height} pixels")
        super().__init__([self.looks, self.strip, *([self.area] if self.area else []), Box([self.upload, self.path], layout=ROW),
                          Box([self.kind, self.mirror, self.overlay], layout=ROW),
                          self.message, Box([self.gray, self.reference, self.view, self.gate], layout=PICTURES), self.numbers,
                          Box([self.name, self.save], layout=ROW), *key_guard()])
        self._show_buttons()
        self._show_reference()
        self._show_result()
        self.message.value = sentence_html(" ".join(session.notes) or "Press a picture: the grey one takes its colours.")
        if session.painted is None:
            self._color((session.chosen, session.kind, session.mirrored))    # says what is missing
        answer_at_once(self.kind, self.mirror, self.overlay, self.save)

    @property
    def result(self):
        """The picture in the colours of the reference, `(h, w, 3)` uint8."""
        self.worker.wait()
        return self.session.result

    def choose(self, name):
        """What a reference's button does."""
        self.wanted = name
        self._ask()

    def add(self, source, name=None):
        """Take colours from another picture, what `images.open_image` reads; it gets a button of its own."""
        def work():
            with self.lock:
                added = self.session.add(source, name)
                self._show_buttons()
            self.choose(added)
        attempt(work, self.message, self.session.name)

    def _ask(self):
        with self.lock:                                      # JupyterLab may run callbacks side by side, in subshells
            choice = self.wanted, self.kind.value, self.mirror.value
            self.message.value = sentence_html(f"Colouring from {describe(*choice)} ...")
            self.worker.ask(choice)

    def _color(self, choice):
        """Take the reference, then colour the picture and show it; in the worker's thread."""
        def work():
            self.session.choose(*choice)
            self._show_reference()
            self.session.update()
            self._show_result()
            return f"Coloured from {self.session.describe()}."
        attempt(work, self.message, self.session.name)

    def _refuse(self, sentence):
        self.message.value = sentence_html(sentence, True)

    def _save(self):
        self.worker.wait()
        path, notes = self.session.export(typed_path(self.name.value))
        width, height = self.session.picture.size
        return " ".join([f"Saved {path} at {width} x {height} pixels.", *notes])

    def _show_buttons(self):
        """A button for each reference that has none yet. The pictures are backgrounds: its name stays text, also where styles do not arrive."""
        looks = []
        for name, rgb in list(self.session.references.items())[len(self.buttons):]:
            button = Button(description=name, tooltip=f"Take the colours of {name}",
                            layout=fixed("112px") | {"height": f"{THUMBNAIL + 44}px"})
            mark, data = f"{self._mark}-{len(self.buttons)}", base64.b64encode(encode(shrink(rgb, THUMBNAIL), ".jpg")).decode()
            looks.append(f"<style>.{mark}.jupyter-button {{background-image:url(data:image/jpeg;base64,{data}); background-repeat:no-repeat;"
                         f" background-position:center 4px; padding:{THUMBNAIL + 4}px 4px 0; line-height:18px; white-space:normal;"
                         " overflow-wrap:anywhere}</style>")
            button.add_class(mark)
            button.on_click(lambda _, name=name: self.choose(name))
            answer_at_once(button)
            self.buttons[name] = button
        self.looks.value += "".join(looks)
        self.strip.children = list(self.buttons.values())

    def _show_reference(self):
        session = self.session
        height, width = session.reference.shape[:2]
        self.reference.value = image_html(shrink(session.reference), f"The reference: {session.describe()}", ".jpg",
                                          f"reference: {session.describe()}; the model is given {width} x {height} pixels")
        for name, button in self.buttons.items():
            button.icon = "check" if name == session.chosen else ""

    def _show_result(self):
        session = self.session
        if session.painted is not None:
            source = describe(*session.painted)
            self.view.value = image_html(session.result, f"The picture coloured from {source}", ".jpg", f"{session.name}: colours of {source}")
        self.numbers.value = f"<p>{session.explain()}</p>"
        self._show_gate()

    def _show_gate(self):
        """The gate over the grey picture, where there is one and somebody wants to see it."""
        with self.lock:
            gate = self.session.gate
            self.overlay.disabled = gate is None
            self.gate.value = ""
            if gate is not None and self.overlay.value:
                extent = f"{gate.min():.2f} to {gate.max():.2f}"
                self.gate.value = image_html(draw_heat(self.session.gray, gate), f"The gate over the picture, from {extent}, mean {gate.mean():.2f}",
                                             ".jpg", f"gate: dark violet 0, trusts the palette alone; yellow 1, its match alone; here {extent}")

    def __repr__(self):
        return f"ReferenceChooser({self.session!r})"
