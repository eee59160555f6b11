"""The caption box: type what colours a grey picture has and see it follow, letter by letter."""
import html
import threading
from pathlib import Path

from ipywidgets import HTML, Box, Button, Dropdown, FileUpload, HBox, Text, VBox

from colorlib import captions
from colorlib.images import colorized_name
from colorlib.widgets.caption_session import CaptionSession, History, Newest
from colorlib.widgets.explorer import WIDE
from colorlib.widgets.photo import UPLOAD_LIMIT, answer_at_once, take_upload
from colorlib.widgets.pictures import attempt, image_html, sentence_html

PAINT = {     # colour word -> (a button's colour, its text's), with a contrast of at least 4.5 to 1 (ours)
    "red": ("#c62828", "#ffffff"), "orange": ("#f57c00", "#000000"), "yellow": ("#fdd835", "#000000"), "green": ("#2e7d32", "#ffffff"),
    "blue": ("#1e5fc2", "#ffffff"), "purple": ("#7b1fa2", "#ffffff"), "pink": ("#f48fb1", "#000000"), "brown": ("#6d4c41", "#ffffff"),
    "black": ("#212121", "#ffffff"), "white": ("#ffffff", "#000000"), "gray": ("#9e9e9e", "#000000")}
EARLIER = "earlier captions ..."
ROW = {"display": "flex", "flex_flow": "row wrap", "align_items": "center"}


class CaptionBox(VBox):
    """Type a caption; the picture is coloured anew at every letter. Arguments as in `CaptionSession`, or a session itself.

    Colour-word buttons say another colour; words the model does not know are marked and named, with known ones like them; Undo and the list beside it bring
    earlier captions back; Save writes the whole picture and never replaces a file. `text.value` is the caption, `session` the rest of the state; `result`
    waits for the colouring at hand. Errors are one sentence in `message`, and the last good picture stays.
    """

    def __init__(self, picture, caption="", method="film", model=None, **options):
        self.session = session = picture if isinstance(picture, CaptionSession) else CaptionSession(picture, caption, method, model, **options)
        self.history, self.worker, self.lock = History(session.caption), Newest(self._color), threading.RLock()
        self.text = Text(value=session.caption, description="Caption", placeholder="a red car on a grey road", **WIDE | {"layout": {"width": "98%"}})
        self.target = Dropdown(description="Instead of", tooltip="Which colour word the buttons change", layout={"width": "13em"})
        self.colors = {word: _color_button(word) for word in captions.COLOR_WORDS}
        self.undo = Button(description="Undo", icon="undo", tooltip="Back to the caption before", layout={"width": "auto"})
        self.earlier = Dropdown(description="History", layout={"width": "28em"})
        self.upload = FileUpload(accept="image/*", description="Another photo", tooltip=f"up to {UPLOAD_LIMIT}", layout={"width": "14em"})
        self.path = Text(description="or its path", placeholder="holiday/photo.jpg, then Enter", continuous_update=False, **WIDE)
        self.name = Text(description="Save as", **WIDE)
        self.save = Button(description="Save full size", icon="download", tooltip="Write the coloured photo")
        self.understood, self.message, self.gray, self.view = HTML(), HTML(), HTML(), HTML()
        self.text.observe(lambda _: self._on_caption(), "value")
        for word, button in self.colors.items():
            button.on_click(lambda _, word=word: self.say(word))
        self.undo.on_click(lambda _: self.take_back())
        self.earlier.observe(lambda change: change["new"] and self._set_caption(change["new"]), "value")
        self.upload.observe(self._on_upload, "value")
        self.path.observe(lambda change: self._on_path(change["new"].strip()), "value")
        self.save.on_click(lambda _: self._attempt(self._save))
        self._show_gray(Path(session.picture.path or "photo.png").name)
        self._show_result(session.result, session.caption)
        self._describe(session.caption)
        super().__init__([self.text, self.understood, Box([self.target, *self.colors.values()], layout=ROW), self.message,
                          Box([self.gray, self.view], layout=ROW | {"grid_gap": "8px"}), HBox([self.undo, self.earlier]), HBox([self.upload, self.path]),
                          HBox([self.name, self.save])])
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
        self._attempt(work)

    def _set_caption(self, caption):
        if caption is not None:
            self.text.value = caption

    def _on_caption(self):
        with self.lock:                                      # JupyterLab may run callbacks side by side, in subshells
            caption = self.text.value
            self.history.note(caption)
            self._describe(caption)
            self.worker.ask(caption)

    def _on_upload(self, change):
        if change["new"]:
            file = take_upload(self.upload)
            self.show_photo(file, file.name)

    def _on_path(self, path):
        if path:
            self.show_photo(path, Path(path).name)

    def _save(self):
        self.worker.wait()
        path, notes = self.session.export(self.name.value)
        width, height = self.session.picture.size
        return " ".join([f"Saved {path} at {width} x {height} pixels.", *notes])

    def _color(self, caption):
        """Colour the picture and show it; in the worker's thread."""
        self._attempt(lambda: self._show_result(self.session.update(caption), caption))

    def _attempt(self, work):
        """Do the work; the sentence it returns, or its error's, becomes the message."""
        attempt(work, self.message, self.session.name)

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
        self.view.value, self.name.value = "", colorized_name(name)

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


def _color_button(word):
    paint, ink = PAINT[word]
    return Button(description=word, tooltip=f"Say {word} instead", style={"button_color": paint, "text_color": ink},
                  layout={"width": "auto", "border": "1px solid #808080"})
