"""A slider that screen readers can name; its front end is slider.js."""
from pathlib import Path

import anywidget
import traitlets

__all__ = ["Slider"]


class Slider(anywidget.AnyWidget):
    """A whole number `value` between `min` and `max`, with the label `description`; used like ipywidgets' IntSlider, whose handle has no name.

    Raises traitlets.TraitError for a value outside, or one that is no whole number.

    >>> Slider(value=60, max=100, description="Lightness L").value
    60
    """

    _esm = Path(__file__).with_name("slider.js")
    _css = Path(__file__).with_name("slider.css")
    value = traitlets.Int(0).tag(sync=True)
    min = traitlets.Int(0).tag(sync=True)
    max = traitlets.Int(100).tag(sync=True)
    description = traitlets.Unicode("").tag(sync=True)
    disabled = traitlets.Bool(False).tag(sync=True)

    @traitlets.validate("value")
    def _check_value(self, proposal):
        if not self.min <= proposal["value"] <= self.max:
            raise traitlets.TraitError(f"{self.description or 'The value'} must be between {self.min} and {self.max}, not {proposal['value']}.")
        return proposal["value"]

    def __repr__(self):
        return f"Slider({self.description!r}, value={self.value})"
