"""The check behind every exercise: an unanswered one still runs, so a notebook works top to bottom."""
import numbers

import numpy as np

__all__ = ["check"]


def check(number, answer, expected, tolerance=0.01, hint="look again"):
    """One line about an answer: not answered yet (None), correct, or not yet with the hint.

    answer, expected: numbers (relative tolerance), arrays or tensors (absolute tolerance), anything else compared with ==.

    >>> for answer in (None, 2.51, 3):
    ...     print(check("1.2", answer, 2.5, hint="a mean, not a median"))
    1.2: not answered yet
    1.2: correct
    1.2: not yet; a mean, not a median
    """
    if answer is None:
        return f"{number}: not answered yet"
    return f"{number}: correct" if _matches(answer, expected, tolerance) else f"{number}: not yet; {hint}"


def _matches(answer, expected, tolerance):
    if isinstance(expected, numbers.Number) and not isinstance(expected, bool):
        try:
            return abs(float(answer) - expected) <= tolerance * max(abs(expected), 1e-9)
        except (TypeError, ValueError):
            return False
    if hasattr(expected, "shape"):
        answer, expected = np.asarray(answer), np.asarray(expected)
        return answer.shape == expected.shape and bool(np.allclose(answer, expected, atol=tolerance))
    return bool(answer == expected)
