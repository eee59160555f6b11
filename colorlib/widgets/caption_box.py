"""The caption box: type what colours a grey picture has and see it follow, letter by letter."""
import html
import threading
from pathlib import Path

from ipywidgets import HTML, Box, Button, Dropdown, Text, VBox

from colorlib import captions
from colorlib.images import colorized_name
from colorlib.widgets.caption_session import CaptionSession, History, Newest
from colorlib.widgets.controls import PICTURE, PICTURES, ROW, WIDE, answer_at_once, color_button, file_places, fixed, key_guard, typed_path
from colorlib.widgets.pictures import attempt, image_html, sentence_html, still_shown

__all__ = ["CaptionBox"]

EARLIER = "earlier captions ..."


class CaptionBox(VBox):
    """Type a caption; the picture is coloured anew at every letter. Arguments as in `CaptionSession`, or a session itself.

    Colour-word buttons say another colour; words the model does not know are marked and named, with known ones like them; Undo and the list beside it bring
    earlier captions back; Save writes the whole picture and never replaces a file. `text.value` is the caption, `session` the rest of the state; `result`
    waits for the colouring at hand. Errors are one sentence in `message`, and the last good picture stays.

    >>> from colorlib import scenes
    >>> box = CaptionBox(scenes.make_scene(1, 16).rgb, "a red car", lambda L, caption: 0 * L[None].repeat(2, 0))
    >>> box.say("blue")
    >>> box.text.value, box.result.shape
    ('a blue car', (16, 16, 3))
    """

    def __init__(self, picture, caption="", method="film", model=None, **options):
        self.session = session = picture if isinstance(picture, CaptionSession) else CaptionSession(picture, caption, method, model, **options)
        self.history, self.worker, self.lock = History(session.caption), Newest(self._color), threading.RLock()
        self.text = Text(value=session.caption, description="Caption", placeholder="a red car on a grey road", **WIDE | {"layout": {"width": "98%"}})
        self.target = Dropdown(description="Instead of", tooltip="Which colour word the buttons change", layout=fixed("13em"))
        self.colors = {word: color_button(word, f"Say {word} instead") for word in captions.COLOR_WORDS}
        self.undo = Button(description="Undo", icon="undo", tooltip="Back to the caption before", layout=fixed())
        self.earlier = Dropdown(description="History", layout={"width": "28em", "max_width": "100%"})
        self.area, self.upload = file_places(self._on_file, self._refuse_photo, "Another photo", "Drop another photo here, or press to choose one")
        self.path = Text(description="or its path", placeholder="holiday/photo.jpg, then Enter", continuous_update=False, **WIDE)
        self.name = Text(description="Save as", **WIDE)
        self.save = Button(description="Save full size", icon="download", tooltip="Write the coloured photo", layout=fixed())
        self.understood, self.message = HTML(), HTML(layout={"min_height": "4em"})                   # room for two lines: the pictures do not jump
        self.gray, self.view = HTML(layout=PICTURE), HTML(layout=PICTURE)
        self.text.observe(lambda _: self._on_caption(), "value")
        for word, button in self.colors.items():
            button.on_click(lambda _, word=word: self.say(word))
        self.undo.on_click(lambda _: self.take_back())
        self.earlier.observe(lambda change: change["new"] and self._set_caption(change["new"]), "value")
        self.path.observe(lambda change: self._on_path(typed_path(change["new"])), "value")
        self.save.on_click(lambda _: self._attempt(self._save))
        self._show_gray(Path(session.picture.path or "photo.png").name)
        self._show_result(session.result, session.caption)
        self._describe(session.caption)
        super().__init__([self.text, self.understood, Box([self.target, *self.colors.values()], layout=ROW), self.message,
                          Box([self.gray, self.view], layout=PICTURES), Box([self.undo, self.earlier], layout=ROW),
                          *([self.area] if self.area else []), Box([self.upload, self.path], layout=ROW), Box([self.name, self.save], layout=ROW), *key_guard()])
        answer_at_once(self.text, self.undo, self.earlier, self.target, self.save, *self.colors.values())

    @property
    def result(self):
        """The picture as the caption has it, `(h, w, 3)` uint8."""
        self.worker.wait()
        return self.session.result

    def say(self, color):
        """What a colour button does: put this word in the place of the colour word chosen in `target`."""
        self._attempt(lambda: self._set_caption(captions.swap_color(self.text.value, color, self.target.value)))

    def take_back(self):
        """What Undo does."""
        self._set_caption(self.history.undo())

    def show_photo(self, source, name):
        """Colour another picture, what `images.open_image` reads, as the caption says; the name to save under is made from the file's `name`."""
        def work():
            self.session.open(source)
            self._show_gray(name)
            self.worker.ask(self.text.value)
            return self.session.explain(self.text.value)
        self._attempt(work, still_shown(self._shown))

    def _set_caption(self, caption):
        if caption is not None:
            self.text.value = caption

    def _on_caption(self):
        with self.lock:                                      # JupyterLab may run callbacks side by side, in subshells
            caption = self.text.value
            self.history.note(caption)
            self._describe(caption)
            self.worker.ask(caption)

    def _on_file(self, file):
        self.show_photo(file, file.name)

    def _refuse_photo(self, sentence):
        self.message.value = sentence_html(f"{sentence} {still_shown(self._shown)}", True)

    def _on_path(self, path):
        if path:
            self.show_photo(path, Path(path).name)

    def _save(self):
        self.worker.wait()
        path, notes = self.session.export(typed_path(self.name.value))
        width, height = self.session.picture.size
        return " ".join([f"Saved {path} at {width} x {height} pixels.", *notes])

    def _color(self, caption):
        """Colour the picture and show it; in the worker's thread."""
        self._attempt(lambda: self._show_result(self.session.update(caption), caption))

    def _attempt(self, work, after=""):
        """Do the work; the sentence it returns, or its error's and `after`, becomes the message."""
        attempt(work, self.message, self.session.name, after)

    def _describe(self, caption):
        """Show what the model makes of the words, and what can be done with them."""
        self.understood.value = understood_html(self.session.understood(caption))
        self.message.value = sentence_html(self.session.explain(caption))
        words, seen = list(dict.fromkeys(captions.color_words(caption))), [(EARLIER, ""), *((one, one) for one in self.history.seen)]
        if words != list(self.target.options):               # the same place keeps the choice: the colour said last is the next to be swapped
            chosen, self.target.options = self.target.index or 0, words
            self.target.index = min(chosen, len(words) - 1) if words else None
        if seen != list(self.earlier.options):
            self.earlier.options = seen
        self.earlier.index = 0
        self.target.disabled, self.undo.disabled, self.earlier.disabled = len(words) < 2, not self.history.past, not self.history.seen

    def _show_gray(self, name):
        """Show a picture that is new, in grey; its colours follow."""
        width, height = self.session.picture.size
        self.gray.value = image_html(self.session.gray, "The picture in grey", ".jpg", f"lightness L of {width} x {height} pixels")
        self.view.value, self.name.value, self._shown = "", colorized_name(name), name

    def _show_result(self, rgb, caption):
        said = f"the caption {caption!r}" if caption.strip() else "no caption"
        self.view.value = image_html(rgb, f"The picture coloured for {said}", ".jpg", f"{self.session.name}: {caption.strip() or 'nothing said'}")

    def __repr__(self):
        return f"CaptionBox({self.session!r})"


def understood_html(understood):
    """[(word, whether it is known)] as a line of text: colour words bold, unknown words marked."""
    shown = []
    for word, known in understood:
        text = html.escape(word)
        if not known:
            text = f'<mark title="unknown to the model" style="background:#ffe082; color:#000">{text} (?)</mark>'
        shown.append(f"<b>{text}</b>" if known and captions.color_words(word) else text)
    return f"<p>Understood: {' '.join(shown) or 'nothing yet'}</p>"
