"""What the widgets' controls have in common: how they lie, how a chosen file comes in, and that they answer while a cell runs."""
import io

from ipywidgets import Button, FileUpload

try:
    from colorlib.widgets.drop_area import DropArea
    from colorlib.widgets.key_guard import KeyGuard
except ModuleNotFoundError:                  # without anywidget the plain upload button remains, and JupyterLab takes some keys
    DropArea = KeyGuard = None

__all__ = []

WIDE = {"style": {"description_width": "initial"}, "layout": {"width": "440px", "max_width": "100%"}}      # a control with its whole label
ROW = {"display": "flex", "flex_flow": "row wrap", "align_items": "center"}                                # controls side by side, where there is room
PICTURES = {"display": "flex", "flex_flow": "row wrap", "align_items": "flex-start", "grid_gap": "8px"}    # side by side also in a narrow page,
PICTURE = {"flex": "1 1 140px", "max_width": "380px"}                                                      # where they shrink: they are there to be compared
PAINT = {     # colour word -> (a button's colour, its text's), with a contrast of at least 4.5 to 1 (ours)
    "red": ("#c62828", "#ffffff"), "orange": ("#f57c00", "#000000"), "yellow": ("#fdd835", "#000000"), "green": ("#2e7d32", "#ffffff"),
    "blue": ("#1e5fc2", "#ffffff"), "purple": ("#7b1fa2", "#ffffff"), "pink": ("#f48fb1", "#000000"), "brown": ("#6d4c41", "#ffffff"),
    "black": ("#212121", "#ffffff"), "white": ("#ffffff", "#000000"), "gray": ("#9e9e9e", "#000000")}
UPLOAD_LIMIT = "10 MB"       # the largest message a Jupyter server takes unless told otherwise (a default of tornado)


def key_guard():
    """[a `KeyGuard`] for the children of a VBox with lists in it; [] without anywidget."""
    return [KeyGuard()] if KeyGuard else []


def fixed(width="auto"):
    """The layout of a button whose label is never cut: in a narrow page the next control goes to a line of its own."""
    return {"width": width, "flex": "none"}


def take_upload(upload):
    """The first file of a `FileUpload`, an open binary file with a name, which errors call it by; the widget is emptied, so that the same file can be
    chosen again."""
    file = upload.value[0]
    upload.value = ()
    content = io.BytesIO(file["content"])
    content.name = file["name"]
    return content


def file_places(take, refuse, button, place):
    """Where a file comes in: (a `DropArea` that says `place`, None without anywidget; a `FileUpload` called `button`, hidden once a browser shows the
    area). take: a function of an open binary file with a name; refuse: one of a sentence."""
    upload = FileUpload(accept="image/*", description=button, tooltip=f"up to {UPLOAD_LIMIT}", layout=fixed("16em"))
    upload.observe(lambda change: change["new"] and take(take_upload(upload)), "value")
    area = DropArea(take, refuse, lambda: setattr(upload.layout, "display", "none"), description=place) if DropArea else None
    answer_at_once(upload, *([area] if area else []))
    return area, upload


def typed_path(text):
    """A path as a person types or pastes it: without blanks around it, and without the quotes of Windows' *Copy as path*.

    >>> typed_path(' "C:/old photos/cat.jpg" '), typed_path("it's.png"), typed_path('"')
    ('C:/old photos/cat.jpg', "it's.png", '"')
    """
    text = str(text).strip()
    is_quoted = len(text) > 1 and text[0] == text[-1] and text[0] in "\"'"
    return text[1:-1].strip() if is_quoted else text


def answer_at_once(*controls):
    """Let these widgets be answered while a cell runs; see `HintPicker`."""
    for control in controls:
        vars(control.comm or control).pop("_reply_subshell_id", None)


def color_button(word, tooltip):
    """A button with a colour word in that colour."""
    paint, ink = PAINT[word]
    return Button(description=word, tooltip=tooltip, style={"button_color": paint, "text_color": ink},
                  layout=fixed() | {"border": "1px solid #808080"})
