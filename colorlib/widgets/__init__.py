"""Notebook views over functions that run, and are tested, without a browser.

Callbacks only set traits. They neither print (JupyterLab sends that text to its log) nor use Output widgets (nbval stores and re-runs them
differently). Pictures are HTML or canvas, since ipywidgets' Image has no alt text; every control has a name and works from the keyboard.
"""
from colorlib.widgets.caption_box import CaptionBox
from colorlib.widgets.caption_session import CaptionSession
from colorlib.widgets.clip_player import ClipPlayer, encode_clip, lay_side_by_side
from colorlib.widgets.condition_board import ConditionBoard
from colorlib.widgets.explorer import LabExplorer
from colorlib.widgets.fooling_test import FoolingTest
from colorlib.widgets.hint_form import HintForm, pick_hints
from colorlib.widgets.hint_session import HintSession
from colorlib.widgets.photo import PhotoDrop, colorize_file, compare_html
from colorlib.widgets.pictures import describe_plane, draw_ab_plane, image_html, sentence_html, shrink
from colorlib.widgets.reference_chooser import ReferenceChooser
from colorlib.widgets.reference_session import ReferenceSession

__all__ = ["CaptionBox", "CaptionSession", "ClipPlayer", "ConditionBoard", "DropArea", "FoolingTest", "HintForm", "HintPicker", "HintSession",
           "LabExplorer", "PhotoDrop", "ReferenceChooser", "ReferenceSession", "Slider", "colorize_file", "compare_html", "describe_plane",
           "draw_ab_plane", "encode_clip", "image_html", "lay_side_by_side", "pick_hints", "sentence_html", "shrink"]

try:
    from colorlib.widgets.drop_area import DropArea
    from colorlib.widgets.hint_picker import HintPicker
    from colorlib.widgets.slider import Slider
except ModuleNotFoundError:                  # without anywidget the plain form, the upload button and ipywidgets' slider remain
    __all__ = [name for name in __all__ if name not in ("DropArea", "HintPicker", "Slider")]
