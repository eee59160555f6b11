"""A slider through L over the colours of the ab plane."""
from ipywidgets import HTML, IntSlider, VBox

from colorlib.lab import ab_bins
from colorlib.widgets.controls import WIDE, answer_at_once
from colorlib.widgets.pictures import describe_plane, draw_ab_plane, image_html, sentence_html

try:
    from colorlib.widgets.slider import Slider
except ModuleNotFoundError:                  # without anywidget: one that screen readers cannot name
    Slider = None

__all__ = ["LabExplorer"]


class LabExplorer(VBox):
    """Move the slider through L and see which a and b are sRGB colours there, and how many bins of a grid that leaves.

    L: where the slider begins, a whole number in [0, 100]. count: bins of the grid, see `lab.ab_bins`. `slider.value` is L; `plane` and `sentence` follow it.

    >>> explorer = LabExplorer(L=0)
    >>> explorer.sentence.value
    '<p role="status">At L = 0, 1 of the 313 bin centres is a colour a screen can show.</p>'
    """

    def __init__(self, L=50, count=313):
        self.count, self.bins = count, ab_bins(count)
        limits = {"min": 0, "max": 100, "description": "Lightness L"}
        self.slider = Slider(value=L, **limits) if Slider else IntSlider(value=L, **limits, **WIDE)
        self.plane, self.sentence = HTML(), HTML()
        self.slider.observe(lambda change: self.show(change["new"]), "value")
        self.show(self.slider.value)
        super().__init__([self.slider, self.plane, self.sentence])
        answer_at_once(self.slider)

    def show(self, L):
        """Draw the plane of lightness L."""
        text = describe_plane(L, self.count)
        alt = f"The ab plane with the colours of lightness {L}. {text}"
        caption = "right: a, green to red; up: b, blue to yellow; dots: bins in gamut, rings: bins outside"
        self.plane.value = image_html(draw_ab_plane(L, self.bins), alt, caption=caption)
        self.sentence.value = sentence_html(text)

    def __repr__(self):
        return f"LabExplorer(L={self.slider.value})"
