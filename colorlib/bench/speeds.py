"""The benchmarks' rows as README shows them: ratios, from the newest run of each variant on each machine."""
from colorlib import results
from colorlib.bench import FILE, KINDS

TITLES = {"lab": "Colour conversion", "loader": "Loading", "train": "Training: one update", "infer": "Colouring", "scaling": "More than one process"}      # memory has tables of its own


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
    """What is measured beside what, and how many times as long the other takes, a table a machine, Markdown. "" where nothing was measured."""
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
    """Time of a call, and pictures a second where a call works on several."""
    time, rate = row["median_ms"], row["pictures_per_s"]
    text = f"{time:.3g} ms" if time < 999.5 else f"{time / 1e3:.3g} s"
    return text + (f", {float(f'{rate:.3g}'):,.{0 if rate >= 100 else 1}f} pictures/s" if rate and rate * time > 1500 else "")


def ratio(row):
    return f"**{row['ratio']:.2f}**" if row["ratio"] >= 1 else f"{row['ratio']:.2f}"
