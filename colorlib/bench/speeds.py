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


def table():
    """What is measured beside what, and how many times as long the other takes, a table a machine, Markdown. "" where nothing was measured."""
    lines = {}
    for kind in filter(TITLES.get, KINDS):
        for (machine, variant), (ours, *peers) in newest(kind).items():
            lines.setdefault(machine, []).extend([f"{TITLES[kind]}: {variant}", quantity(ours), peer["method"], quantity(peer), ratio(peer), peer["notes"] or ""] for peer in peers)
    return "\n\n".join(f"On {machine}\n\n" + results.markdown([HEAD, *found]) for machine, found in lines.items())


HEAD = ["", "ours", "beside", "it", "it takes", "remark"]


def quantity(row):
    """Time of a call, and pictures a second where a call works on several."""
    many = row["pictures_per_s"] and row["pictures_per_s"] * row["median_ms"] > 1500
    time = f"{row['median_ms']:,.3g} ms" if row["median_ms"] < 1e4 else f"{row['median_ms'] / 1e3:,.3g} s"
    return time + (f", {row['pictures_per_s']:,.3g} pictures/s" if many else "")


def ratio(row):
    return f"**{row['ratio']:.2f} ×**" if row["ratio"] >= 1 else f"{row['ratio']:.2f} ×"
