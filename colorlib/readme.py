"""The tables that README and notebook 09 show of our own results, rendered from the CSV files and from nothing else.

README holds them between markers: `write` puts them there anew.
"""
from colorlib import condition_table, leaderboard, other_sources, reproduction, results, tuning, zoo
from colorlib.bench import memory, scaling, speeds


def chapters(size="class"):
    """Every chapter's table under its title, those that were measured, Markdown."""
    found, first = [], {}
    for method in zoo.METHODS.values():
        first.setdefault(method.results, method)      # the first of each chapter names its table
    for name, method in first.items():
        if any(row["size"] == size for row in results.read(name)):
            found.append(f"{method.title}, {size} size\n\n{reproduction.table_of(method, size)}\n")
    return "\n".join(found)


def leaderboards():
    """The leaderboard under every budget and on each data set it was measured on, at the largest size, Markdown. "" where it was not."""
    rows, found = results.read(leaderboard.FILE), []
    for budget in leaderboard.BUDGETS:
        own = [row for row in rows if row.get("budget") == budget]
        for dataset in dict.fromkeys(row["dataset"] for row in own):
            size = largest(row for row in own if row["dataset"] == dataset)
            trained = "class weights" if budget == "shipped" else f"{size} size"
            found.append(f"**{leaderboard.TITLES[budget]}**, {trained}, on {dataset}\n\n{leaderboard.table(budget, size, dataset)}")
    return "\n\n".join(found)


def conditions():
    """What conditions buy on each data set it was measured on, at the largest size, Markdown. "" where it was not."""
    rows, found = results.read(condition_table.FILE), []
    size = largest(rows)
    for dataset in dict.fromkeys(row["dataset"] for row in rows if row["size"] == size):
        found.append(f"**{condition_table.TITLE}**, {size} size, on {dataset}\n\n{condition_table.table(size, dataset)}")
    return "\n\n".join(found)


def largest(rows):
    """The largest size among result rows, None where there are none."""
    return max((row["size"] for row in rows), key=results.SIZES.index, default=None)


def recipes():
    """What was tried for each class recipe, and what it did, Markdown."""
    tried = dict.fromkeys(row["method"] for row in results.read(tuning.TABLE))
    return "\n\n".join(f"**{name}**, photographs of its training set that these trainings did not see\n\n{tuning.table(name)}" for name in tried)


SECTIONS = {"results": chapters, "leaderboard": leaderboards, "conditions": conditions, "sources": other_sources.table, "recipes": recipes,
            "speed": speeds.table, "memory": memory.largest_batches, "estimate": scaling.estimate}      # marker: what stands there


def write(path=None):
    """Render README's tables anew. Returns the file. Raises ValueError where a marker is missing."""
    path = path or results.repository() / "README.md"
    for marker, render in SECTIONS.items():
        results.replace_section(path, marker, render())
    return path
