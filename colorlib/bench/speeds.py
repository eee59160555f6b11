"""The benchmarks' rows as data/results/README.md shows them: ratios, from the newest run of each variant on each machine."""
from colorlib import results
from colorlib.bench import FILE, KINDS

__all__ = ["table", "quantity", "ratio", "TITLES"]

TITLES = {"lab": "Colour conversion", "loader": "Loading", "train": "Training: one update", "infer": "Colouring",
          "scaling": "More than one process"}      # memory has tables of its own


def newest(kind):
    """{(machine, variant): rows of its newest run, ours first}; a run's rows share their date."""
    runs = {}
    for row in results.read(FILE):
        if row.get("kind") == kind:
            runs.setdefault((row["machine"], row["variant"]), {}).setdefault(row["date"], []).append(row)
    return {place: dates[max(dates)] for place, dates in runs.items()}


def races(rows):
    """Rows of a run, which may hold several races: lists of rows, each beginning with the one that the others are measured by."""
    found = []
    for row in rows:
        if row["ratio"] == 1 or not found:
            found.append([])
        found[-1].append(row)
    return found


def table():
    """What is measured beside what, and how many times as long the other takes, a table a machine, Markdown. "" where nothing was measured.

    >>> table() == "" or table().startswith("On ")
    True
    """
    lines = {}
    for kind in filter(TITLES.get, KINDS):
        for (machine, variant), rows in newest(kind).items():
            for ours, *peers in races(rows):
                known = [f"{TITLES[kind]}: {variant}", ours["method"], quantity(ours)]
                for peer in peers:
                    lines.setdefault(machine, []).append([*known, peer["method"], quantity(peer), ratio(peer), peer["notes"] or ""])
                    known = ["", "", ""]
    return "\n\n".join(f"On {machine}\n\n" + results.markdown([HEAD, *found]) for machine, found in lines.items())


HEAD = ["", "ours", "takes", "the other", "takes", "times as long", "remark"]


def quantity(row):
    """Time of a call, and pictures a second where a call works on several.

    >>> quantity({"median_ms": 12.34, "pictures_per_s": 81.0}), quantity({"median_ms": 1234.0, "pictures_per_s": 51.86})
    ('12.3 ms', '1.23 s, 51.9 pictures/s')
    """
    time, rate = row["median_ms"], row["pictures_per_s"]
    text = f"{time:.3g} ms" if time < 999.5 else f"{time / 1e3:.3g} s"
    return text + (f", {float(f'{rate:.3g}'):,.{0 if rate >= 100 else 1}f} pictures/s" if rate and rate * time > 1500 else "")


def ratio(row):
    """How many times as long it takes as ours, bold where it is not quicker.

    >>> ratio({"ratio": 3.14159}), ratio({"ratio": 0.5})
    ('**3.14**', '0.50')
    """
    return f"**{row['ratio']:.2f}**" if row["ratio"] >= 1 else f"{row['ratio']:.2f}"
