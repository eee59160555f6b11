"""The authors' code, to be measured beside ours: clones outside this project, in the folder that COLORLIB_OFFICIAL names."""
import contextlib
import importlib
import os
import subprocess
import sys
from pathlib import Path

__all__ = ["find", "modules", "FOLDER"]

FOLDER = "COLORLIB_OFFICIAL"      # names a folder of clones, each called owner+name after its repository


def find(repository, needs):
    """(folder, short commit) of the clone of `owner/name`, None where COLORLIB_OFFICIAL is not set or does not hold it. needs: a file of it that is used.

    Raises ValueError when the clone lacks that file.

    >>> find("nobody/Colorful-Nothing", "train.py")      # so the benchmark runs without this peer
    """
    folder = Path(os.environ.get(FOLDER) or ".") / repository.replace("/", "+")
    if not os.environ.get(FOLDER) or not folder.is_dir():
        return None
    if not (folder / needs).is_file():
        raise ValueError(f"{FOLDER} names a folder whose {folder.name} has no {needs}: clone {repository} there anew.")
    found = subprocess.run(["git", "-C", str(folder), "rev-parse", "--short", "HEAD"], capture_output=True, text=True)
    return folder, found.stdout.strip() or "no commit"


@contextlib.contextmanager
def modules(folder, *names):
    """The modules of these names in a folder, in a list; afterwards Python knows neither them nor the folder.

    >>> _ = Path("their_options.py").write_text("batch_size = 16")
    >>> with modules(Path.cwd(), "their_options") as [options]:
    ...     options.batch_size
    16
    """
    before = {name: sys.modules.pop(name) for name in names if name in sys.modules}
    sys.path.insert(0, str(folder))
    try:
        yield [importlib.import_module(name) for name in names]
    finally:
        sys.path.remove(str(folder))
        for name in [name for name, module in sys.modules.items() if str(getattr(module, "__file__", None) or "").startswith(str(folder))]:
            del sys.modules[name]
        sys.modules.update(before)
