"""colorlib: image colorization to learn, reproduce and use. `colorlib.colorize(picture)` colours a picture, `colorlib.colorize_video(clip)` a clip; the rest lives
in the modules."""

__version__ = "0.1.0"


def __getattr__(name):      # the one-call interface, without loading torch for those who only want a submodule
    if name == "colorize":
        from colorlib.zoo import colorize
        return colorize
    if name == "colorize_video":
        from colorlib.video import colorize_video
        return colorize_video
    raise AttributeError(f"module 'colorlib' has no attribute {name!r}")
