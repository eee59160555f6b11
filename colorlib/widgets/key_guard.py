"""Keeps the keys pressed in a widget from JupyterLab's shortcuts; its front end is key_guard.js."""
from pathlib import Path

import anywidget

__all__ = ["KeyGuard"]


class KeyGuard(anywidget.AnyWidget):
    """A child of a VBox, not seen, for whose sake arrows and letters work in the lists of that box.

    >>> KeyGuard()
    KeyGuard()
    """

    _esm = Path(__file__).with_name("key_guard.js")

    def __repr__(self):
        return "KeyGuard()"
