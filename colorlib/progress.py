"""The one progress bar of the package."""
import os

from tqdm.auto import tqdm


def track(items=None, progress=None, **options):
    """A tqdm bar over `items`. progress: True, False, or None for "unless outputs are being recorded", so that notebooks store none."""
    recorded = "PYTEST_CURRENT_TEST" in os.environ
    return tqdm(items, disable=recorded if progress is None else not progress, leave=False, **options)
