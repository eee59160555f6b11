"""Counts of what the tests of this folder tried, printed at the end; also when several processes ran them."""
import collections
from pathlib import Path

import pytest

PREFIX = "tally "
FIRST = ("inputs", "right pictures", "sentences", "crash points", "resumed equal")      # what is printed first


@pytest.fixture
def tally(record_property):
    """tally(inputs=1, sentences=1): add to the counts printed at the end. Names are plural words, with _ for a space; only tests that pass are counted."""
    def count(**counts):
        for name, number in counts.items():
            record_property(PREFIX + name, number)
    return count


def pytest_terminal_summary(terminalreporter):
    totals = collections.defaultdict(collections.Counter)
    for report in terminalreporter.getreports("passed"):
        for name, number in report.user_properties if report.when == "call" else ():
            if name.startswith(PREFIX):
                totals[report.fspath][name.removeprefix(PREFIX).replace("_", " ")] += number
    failed = collections.Counter(report.fspath for kind in ("failed", "error") for report in terminalreporter.getreports(kind))
    if not totals:
        return
    lines = {Path(file).stem: (counts, failed[file]) for file, counts in sorted(totals.items())}
    lines["in all"] = sum(totals.values(), collections.Counter()), sum(failed.values())
    terminalreporter.section("hostile inputs and crashes")
    for name, (counts, failures) in lines.items():
        words = [word for word in FIRST if counts[word]] + [word for word in counts if word not in FIRST]
        terminalreporter.write_line(f"{name}: {', '.join(f'{counts[word]:,} {word}' for word in words)}; failures {failures}")
