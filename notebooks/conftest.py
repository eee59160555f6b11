"""nbval's knobs, so that `pytest --nbval` needs no other argument; and a guard: what a notebook asks of the network is refused, and fails its cell."""
import os
import tempfile
from pathlib import Path

import pytest

OUTPUT_TIMEOUT = 120      # seconds a cell may be silent; nbval itself gives up after 5
GUARD = Path(__file__).parents[1] / "tests" / "robustness" / "guard"
CONNECTIONS = Path(tempfile.gettempdir(), f"connections-{os.getpid()}")      # what kernels asked for, line by line


def pytest_collectstart(collector):
    if hasattr(collector, "skip_compare"):                    # an nbval notebook
        option = collector.config.option
        option.nbval_current_env = True                       # this interpreter, whatever kernel the notebook names
        if option.nbval_sanitize_with is None:
            option.nbval_sanitize_with = str(Path(__file__).with_name("sanitize.cfg"))


def pytest_itemcollected(item):
    if hasattr(item, "output_timeout"):
        item.output_timeout = OUTPUT_TIMEOUT


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup(item):
    """A kernel starts with its notebook's first cell; it gets the guard, this process does not."""
    before = {name: os.environ.get(name) for name in ("PYTHONPATH", "COLORLIB_CONNECTIONS")}
    os.environ |= {"PYTHONPATH": os.pathsep.join(filter(None, [str(GUARD), before["PYTHONPATH"]])), "COLORLIB_CONNECTIONS": str(CONNECTIONS)}
    try:
        return (yield)
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item):
    result = yield
    if CONNECTIONS.exists():
        asked = CONNECTIONS.read_text()
        CONNECTIONS.unlink()
        raise AssertionError(f"The cell asked the network: {asked}")
    return result
