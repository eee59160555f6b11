"""Notebook views over functions that run, and are tested, without a browser.

Callbacks only set traits. They neither print (JupyterLab sends that text to its log) nor use Output widgets (nbval stores and re-runs them
differently). Pictures are HTML or canvas, since ipywidgets' Image has no alt text; every control works from the keyboard.
"""
from colorlib.widgets.caption_box import CaptionBox  # noqa: F401
from colorlib.widgets.caption_session import CaptionSession  # noqa: F401
from colorlib.widgets.clip_player import ClipPlayer, encode_clip, lay_side_by_side  # noqa: F401
from colorlib.widgets.explorer import LabExplorer  # noqa: F401
from colorlib.widgets.fooling_test import FoolingTest  # noqa: F401
from colorlib.widgets.hint_form import HintForm, pick_hints  # noqa: F401
from colorlib.widgets.hint_session import HintSession  # noqa: F401
from colorlib.widgets.photo import PhotoDrop, colorize_file, compare_html  # noqa: F401
from colorlib.widgets.pictures import describe_plane, draw_ab_plane, image_html, sentence_html, shrink  # noqa: F401
from colorlib.widgets.reference_chooser import ReferenceChooser  # noqa: F401
from colorlib.widgets.reference_session import ReferenceSession  # noqa: F401

try:
    from colorlib.widgets.hint_picker import HintPicker  # noqa: F401
except ModuleNotFoundError:                  # without anywidget the plain form remains
    pass
