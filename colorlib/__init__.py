"""colorlib: image colorization to learn, to reproduce and to use.

`colorlib.colorize(picture)` colours a picture, `colorlib.colorize_video(clip)` a clip. For everything else there are modules:

    papers/         one file a published system: its networks, losses, training step and decoding
    zoo, train      the catalogue of methods and their weights; the training loop
    painting        a picture coloured by any of them
    data/, scenes/  pictures, pairs, captions and clips as batches; the procedural world, which needs no download
    lab/, losses, metrics/, hints/, captions, references, saliency/      what papers share
    experiments/, results/, figures/, bench/      protocols, tables and pictures; speed beside the authors' own code
    images/, video, widgets/, commands/      photographs and clips in and out, in notebooks, on the command line
"""

__all__ = ["colorize", "colorize_video"]


def __getattr__(name):      # the one-call interface, without loading torch for those who only want a submodule
    if name == "colorize":
        from colorlib.painting import colorize
        return colorize
    if name == "colorize_video":
        from colorlib.video import colorize_video
        return colorize_video
    if name == "__version__":
        return _version()
    raise AttributeError(f"module 'colorlib' has no attribute {name!r}")


def _version():
    """That of the checkout this file lies in, which may be newer than what was installed from it; else that of the installed package."""
    import tomllib
    from importlib import metadata
    from pathlib import Path
    try:
        project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text(encoding="utf-8"))["project"]
        return project["version"] if project["name"] == "colorlib" else metadata.version("colorlib")
    except (OSError, ValueError, KeyError):
        return metadata.version("colorlib")
