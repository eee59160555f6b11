"""The one progress bar of the package."""
import os

from tqdm.auto import tqdm

__all__ = ["track"]


def track(items=None, progress=None, **options):
    """A tqdm bar over `items`. progress: True, False, or None for "unless outputs are being recorded", so that notebooks store
    none. options: tqdm's.

    >>> sum(track([1, 2, 3], progress=False))
    6
    """
    recorded = "PYTEST_CURRENT_TEST" in os.environ
    return tqdm(items, disable=recorded if progress is None else not progress, leave=False, **options)
