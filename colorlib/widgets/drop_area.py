"""A place in a notebook to drop a file on; its front end is drop_area.js."""
import io
from pathlib import Path

import anywidget
import traitlets

from colorlib.images.reading import MAX_BYTES

__all__ = ["DropArea"]


class DropArea(anywidget.AnyWidget):
    """Drop a file, or press and choose one: it arrives in pieces, so it may be larger than the 10 MB that a Jupyter server takes at once.

    take: a function of one argument, an open binary file with a name, called when all is there; refuse: one of a sentence, for a file of more than 1 GiB;
    ready: one of nothing, called when a browser shows the place. Each is called once at a time, but while a cell runs, too.

    >>> area = DropArea(lambda file: print(file.name, len(file.read())))
    >>> area.take_piece({"turn": 1, "name": "cat.png", "size": 5, "start": 0}, b"abc")
    >>> area.take_piece({"turn": 1, "name": "cat.png", "size": 5, "start": 3}, b"de")
    cat.png 5
    """

    _esm = Path(__file__).with_name("drop_area.js")
    _css = Path(__file__).with_name("drop_area.css")
    description = traitlets.Unicode("Drop a photo here, or press to choose one").tag(sync=True)

    def __init__(self, take, refuse=lambda sentence: None, ready=lambda: None, **options):
        self.take, self.refuse, self.ready, self._content = take, refuse, ready, io.BytesIO()
        super().__init__(**options)
        self.on_msg(self._on_message)

    def take_piece(self, message, piece):
        """One piece of a file: {turn, name, size, start}, its bytes. Calls `take` after the last."""
        turn, name, size, start = message["turn"], message["name"], message["size"], message["start"]
        if start == 0:
            self._content = io.BytesIO()                     # whatever was on its way is given up
        if size > MAX_BYTES or start != self._content.tell():
            self.send({"turn": turn, "stop": True})
            return self.refuse(f"{name} has {size:,} bytes, and at most {MAX_BYTES:,} are read: make it smaller.") if start == 0 else None
        self._content.write(piece)
        is_last = self._content.tell() >= size
        self.send({"turn": turn, "done": is_last})
        if is_last:
            content, self._content = self._content, io.BytesIO()
            content.name = name
            content.seek(0)
            self.take(content)

    def _on_message(self, _, message, buffers):
        if message.get("do") == "piece":
            self.take_piece(message, bytes(buffers[0]))
        elif message.get("do") == "ready":
            self.ready()
        vars(self.comm or self).pop("_reply_subshell_id", None)          # see `HintPicker`

    def __repr__(self):
        return f"DropArea({self.description!r})"
