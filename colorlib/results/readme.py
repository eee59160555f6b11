"""The tables of our own results on the project's pages and in notebook 09, rendered from the CSV files and from nothing else.

PAGES names the pages and what stands on each of them between markers: `write` puts it there anew.
"""
from pathlib import Path

from colorlib import results, zoo
from colorlib.bench import memory, scaling, speeds
from colorlib.experiments import condition_table, leaderboard, other_sources, reproduction, tuning
from colorlib.results import model_cards

__all__ = ["write", "PAGES", "shipped", "chapters", "leaderboards", "conditions", "recipes"]


def shipped():
    """What a visitor wants to know of the automatic methods that ship weights, best PSNR first; Markdown, seen from the repository's root.

    >>> shipped().splitlines()[2]
    '| system | PSNR ↑ | over grey, dB [95 %] | ΔE2000 ↓ | colourfulness ratio | trained, minutes |'
    """
    size = largest(row for row in results.read(leaderboard.FILE) if row.get("budget") == "shipped")
    found, dataset = leaderboard.gather("shipped", size)
    head, _, *body = [[cell.strip() for cell in line.strip("|").split("|")] for line in leaderboard.table("shipped", size, dataset).splitlines()]
    lines = [["system", "PSNR ↑", *SHOWN, "trained, minutes"]]
    for name, *cells in body:
        cells = dict(zip(head[1:], cells))
        link = f"[{name}](data/weights/{name}-{model_cards.SIZE}.md)" if name in zoo.METHODS else name
        minutes = cells["minutes"] if name in results.TRIVIAL else f"{float(cells['minutes']):.0f}"
        psnr = cells["PSNR ↑ [95 %]"].partition(" [")[0]
        lines.append([link, psnr, *(cells[column] for column in SHOWN), minutes])
    count = next(iter(found.values()))[0]["n"]
    return f"On {count:,} photographs of {dataset}, which no training saw:\n\n{results.markdown(lines)}"


SHOWN = ("over grey, dB [95 %]", "ΔE2000 ↓", "colourfulness ratio")      # of the leaderboard's columns


def chapters(size="class"):
    """Every chapter's table under its title, those that were measured, Markdown.

    >>> [line for line in chapters().splitlines() if line.startswith("Colour from")]
    ['Colour from near infrared, class size', 'Colour from a reference picture, class size']
    """
    found, first = [], {}
    for method in zoo.METHODS.values():
        first.setdefault(method.results, method)      # the first of each chapter names its table
    for name, method in first.items():
        if any(row["size"] == size for row in results.read(name)):
            found.append(f"{method.title}, {size} size\n\n{reproduction.table_of(method, size)}\n")
    return "\n".join(found)


def leaderboards():
    """The leaderboard under every budget and on each data set it was measured on, at the largest size, Markdown. "" where it was not.

    >>> leaderboards().splitlines()[0]
    '**Automatic methods, equal updates**, ...'
    """
    rows, found = results.read(leaderboard.FILE), []
    for budget in leaderboard.BUDGETS:
        own = [row for row in rows if row.get("budget") == budget]
        for dataset in dict.fromkeys(row["dataset"] for row in own):
            size = largest(row for row in own if row["dataset"] == dataset)
            trained = "class weights" if budget == "shipped" else f"{size} size"
            found.append(f"**{leaderboard.TITLES[budget]}**, {trained}, on {dataset}\n\n{leaderboard.table(budget, size, dataset)}")
    return "\n\n".join(found)


def conditions():
    """What conditions buy on each data set it was measured on, at the largest size, Markdown. "" where it was not.

    >>> conditions().splitlines()[0]
    '**What a condition buys: the same networks with and without it, the same pictures**, ...'
    """
    rows, found = results.read(condition_table.FILE), []
    size = largest(rows)
    for dataset in dict.fromkeys(row["dataset"] for row in rows if row["size"] == size):
        found.append(f"**{condition_table.TITLE}**, {size} size, on {dataset}\n\n{condition_table.table(size, dataset)}")
    return "\n\n".join(found)


def largest(rows):
    """The largest size among result rows, None where there are none."""
    return max((row["size"] for row in rows), key=results.SIZES.index, default=None)


def recipes():
    """What was tried for each class recipe, and what it did, Markdown.

    >>> recipes().splitlines()[0]
    '**photonet**, photographs of its training set that these trainings did not see'
    """
    tried = dict.fromkeys(row["method"] for row in results.read(tuning.TABLE))
    return "\n\n".join(f"**{name}**, photographs of its training set that these trainings did not see\n\n{tuning.table(name)}" for name in tried)


PAGES = {      # page: {marker: what stands there}
    "README.md": {"leaderboard": shipped},
    "data/results/README.md": {"leaderboard": leaderboards, "sources": other_sources.table, "recipes": recipes, "conditions": conditions, "results": chapters,
                               "speed": speeds.table, "memory": memory.largest_batches, "estimate": scaling.estimate},
}


def write(root=None):
    """Render the tables of PAGES anew, below `root` (default: the repository). Returns the files. Raises ValueError where a marker is missing.

    >>> Path("README.md").write_text("anything")
    8
    >>> write(".")
    Traceback (most recent call last):
    ValueError: README.md must hold <!-- leaderboard:begin --> and, after it, <!-- leaderboard:end -->, once each.
    """
    paths = [Path(root or results.repository(), page) for page in PAGES]
    for path, sections in zip(paths, PAGES.values()):
        for marker, render in sections.items():
            results.replace_section(path, marker, render())
    return paths
