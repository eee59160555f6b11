"""nbval's knobs, so that `pytest --nbval` needs no other argument."""
from pathlib import Path

OUTPUT_TIMEOUT = 120      # seconds a cell may be silent; nbval itself gives up after 5


def pytest_collectstart(collector):
    if hasattr(collector, "skip_compare"):                    # an nbval notebook
        option = collector.config.option
        option.nbval_current_env = True                       # this interpreter, whatever kernel the notebook names
        if option.nbval_sanitize_with is None:
            option.nbval_sanitize_with = str(Path(__file__).with_name("sanitize.cfg"))


def pytest_itemcollected(item):
    if hasattr(item, "output_timeout"):
        item.output_timeout = OUTPUT_TIMEOUT
