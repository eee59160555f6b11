"""What people answered in a fooling test (`colorlib.fooling`): one CSV file for a class, and the table made from it."""
import csv
import io
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np

from colorlib import results
from colorlib.files import locked, write_atomic

__all__ = ["Sitting", "Share", "read_answers", "append_answer", "controls", "summary", "table", "table_lines", "note",
           "TASKS", "HUMAN_COLUMNS", "COLUMNS", "REAL", "GENERATED", "FALSE", "CHANCE"]

TASKS = ("quality", "plausibility", "manipulation")        # in the order they are asked
HUMAN_COLUMNS = ("plausibility", "quality", "manipulation")        # and in the order of the survey's table
COLUMNS = ("answerer", "task", "item", "system", "shown", "choice", "right", "seconds", "seed", "session")
REAL, GENERATED, FALSE, CHANCE = "real", "generated", "false colours", "chance"
LABELS = {REAL: "real pictures", FALSE: "false colours", CHANCE: "guessing"}       # the last rows of a table
SEPARATOR = " | "          # between the parts of `shown`
SYSTEMS = ("fcnn", "concat", "film")       # these stand first in a table, in the paper's order
CONTROL_GAP = 0.5          # how much more often real pictures must be taken for real than false colours; who clicks at random gets there 8 times in 100
LEAST_CONTROLS = 4         # of each kind, to say anything about a person
DRAWS = 2000               # of the bootstrap
LONGEST_NAME = 60
FORMULA = "=+-@"           # what a cell begins with that a spreadsheet computes
LOCK_SECONDS = 20.0


class Share(NamedTuple):
    """A share in percent with its 95 % bootstrap interval and the number of answers behind it; low and high are None where nobody was asked.

    >>> Share(41.7, 30.0, 54.0, n=60).percent, Share(50.0).low
    (41.7, None)
    """
    percent: float
    low: float | None = None
    high: float | None = None
    n: int = 0


class Sitting:
    """One person's way through a session, a `fooling.FoolingSession`. Each answer is in the file before the next question comes.

    Who comes back under the same name goes on where they stopped. Raises ValueError for an empty name and for a file that holds something else.

    >>> from colorlib.fooling import FoolingSession
    >>> real = [np.full((4, 4, 3), level, np.uint8) for level in (50, 150)]
    >>> sitting = Sitting(FoolingSession({"film": real}, real, ["a red bus", "a blue car"]), "Ada")
    >>> row = sitting.answer(0)
    >>> sitting.done, sitting.total, row["choice"], len(read_answers("answers.csv"))
    (1, 4, 'real', 1)
    """

    def __init__(self, session, answerer, path="answers.csv", clock=time.monotonic):
        self.answerer = " ".join(str(answerer).split())[:LONGEST_NAME]
        if not self.answerer:
            raise ValueError("Type a name or a nickname first: it tells your answers from those of others.")
        if self.answerer[0] in FORMULA:
            raise ValueError(f"A name cannot begin with {self.answerer[0]}, which a spreadsheet would take for a formula: begin with a letter.")
        self.session, self.path, self.clock = session, Path(path).expanduser(), clock
        trials = session.plan(self.answerer)
        known = read_answers(self.path) if self.path.exists() else []
        done = {(row["task"], row["item"], row["system"]) for row in known if (row["answerer"], row["session"]) == (self.answerer, session.id)}
        self.left = [trial for trial in trials if (trial.task, trial.item, trial.system) not in done]
        self.total, self.started = len(trials), clock()

    @property
    def done(self):
        """How many questions are answered."""
        return self.total - len(self.left)

    @property
    def trial(self):
        """The question at hand, None after the last."""
        return self.left[0] if self.left else None

    @property
    def seconds(self):
        """Since the question was shown."""
        return self.clock() - self.started

    def answer(self, place):
        """Choose the trial's choice number `place`, from 0; writes and returns the row. Raises ValueError, or OSError when the file cannot be written: the
        question then stays."""
        trial = self.trial
        if trial is None or not 0 <= place < len(trial.choices):
            raise ValueError("All questions are answered." if trial is None else f"There is no choice {place}: the question has {len(trial.choices)}.")
        choice = trial.choices[place]
        row = {"answerer": self.answerer, "task": trial.task, "item": trial.item, "system": trial.system,
               "shown": SEPARATOR.join(one.replace("|", "/") for one in trial.shown), "choice": choice,
               "right": int(choice == trial.right) if trial.right else "", "seconds": f"{self.seconds:.2f}",
               "seed": self.session.seed, "session": self.session.id}
        append_answer(self.path, row)
        self.left.pop(0)
        self.started = self.clock()
        return row


# ---------------------------------------------------------------- the file

def append_answer(path, row):
    """Add a row to a file of answers, made when it is not there; several people may at once. The row is on the disk when this returns.

    A half line at the end, left by a machine that lost its power, is dropped. Raises FileNotFoundError for a missing folder, ValueError for a file that
    holds something else, TimeoutError for a stuck lock.

    >>> append_answer("no folder/answers.csv", {})
    Traceback (most recent call last):
        ...
    FileNotFoundError: The folder no folder does not exist: create it first.
    """
    path = Path(path)
    if not path.parent.is_dir():
        raise FileNotFoundError(f"The folder {path.parent} does not exist: create it first.")
    with locked(path, LOCK_SECONDS):
        text = path.read_bytes() if path.exists() else b""
        _parse(text, path)                                     # or it says that this is no file of answers
        whole = _whole(text)
        start = b"" if whole.endswith(b"\n") else b"\n" if whole else _line(COLUMNS)
        write_atomic(path, whole + start + _line(row[column] for column in COLUMNS))


def read_answers(source):
    """The answers of a CSV file, of several, or rows already read: dicts with `right` True, False or None and `seconds` a number.

    Who answered the same question twice counts once, as they did first. Raises FileNotFoundError, and ValueError for a file that holds something else.

    >>> answer = dict.fromkeys(COLUMNS, "x") | {"right": True, "seconds": 2.5}
    >>> len(read_answers([answer, answer]))                      # who answers twice counts once
    1
    """
    rows = []
    for one in [source] if isinstance(source, (str, Path, dict)) else source:
        rows += [one] if isinstance(one, dict) else _read(Path(one).expanduser())
    first = {}
    for row in rows:
        first.setdefault(tuple(row[column] for column in ("session", "answerer", "task", "item", "system")), row)
    return list(first.values())


def _read(path):
    if not path.is_file():
        raise FileNotFoundError(f"There is no file of answers at {path}.")
    return _parse(path.read_bytes(), path)


def _parse(content, path):
    """Rows of a file's bytes."""
    try:
        header, *lines = [line for line in csv.reader(io.StringIO(_whole(content).decode("utf-8-sig"), newline="")) if line] or [list(COLUMNS)]
    except (UnicodeDecodeError, csv.Error):
        header, lines = [], []
    if header != list(COLUMNS):
        raise ValueError(f"{path} holds something other than answers of a fooling test: choose another file.")
    rows = []
    for number, line in enumerate(lines, 2):
        row = dict(zip(COLUMNS, line))
        try:
            rows.append(row | {"right": {"": None, "0": False, "1": True}[row["right"]], "seconds": float(row["seconds"])})
        except (KeyError, ValueError):
            raise ValueError(f"Row {number} of {path} is no answer of a fooling test: mend it or take it out.") from None
    return rows


def _whole(content):
    """A file's bytes without a line that was cut short; the session's name, of fixed length, stands at the end of a whole one."""
    start = content.rfind(b"\n") + 1
    if not start:
        return b"" if _line(COLUMNS).startswith(content) else content
    cells = next(csv.reader([content[start:].decode(errors="replace")]), [])
    return content if len(cells) == len(COLUMNS) and len(cells[-1]) == results.HASH_LENGTH else content[:start]


def _line(cells):
    """Cells as one line of CSV, whatever white space is in them."""
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\n").writerow(" ".join(str(cell).split()) for cell in cells)
    return text.getvalue().encode()


# ---------------------------------------------------------------- what the answers say

def controls(source):
    """Who looked, and who only clicked: {answerer: {"real": (taken for real, shown), "false colours": (taken for real, shown), "passed": ...}}.

    passed: whether real pictures were taken for real more often than false colours, by more than 50 percentage points; neither random answers nor always
    the same answer get there. None where too few were shown to tell. source: as for `read_answers`.

    >>> answer = {"answerer": "Ada", "task": "quality", "choice": REAL, "session": "1"}  # says real to everything
    >>> controls([answer | {"system": system, "item": item} for system in (REAL, FALSE) for item in "abcd"])
    {'Ada': {'real': (4, 4), 'false colours': (4, 4), 'passed': False}}
    """
    found = {}
    for row in read_answers(source):
        one = found.setdefault(row["answerer"], {REAL: (0, 0), FALSE: (0, 0)})
        if row["task"] == "quality" and row["system"] in one:
            hits, n = one[row["system"]]
            one[row["system"]] = hits + (row["choice"] == REAL), n + 1
    for one in found.values():
        (hits, n), (misses, m) = one[REAL], one[FALSE]
        one["passed"] = hits / n - misses / m > CONTROL_GAP if min(n, m) >= LEAST_CONTROLS else None
    return found


def summary(source, drop_flagged=False):
    """The survey's three human columns: {system: {"plausibility" | "quality" | "manipulation": `Share`}}, with rows for the real pictures, the false
    colours and mere guessing.

    source: as for `read_answers`. drop_flagged: without those who failed the `controls`. The interval is a bootstrap's, over answers and over people; the
    wider end of the two counts, as answers of one person are alike and a few persons say little about people. Raises ValueError when there are no answers.

    >>> answer = {"answerer": "Ada", "task": "quality", "system": "film", "shown": "film", "right": None, "session": "1"}
    >>> rows = [answer | {"item": "a", "choice": REAL}, answer | {"item": "b", "choice": GENERATED}]
    >>> summary(rows)["film"]["quality"].percent                 # taken for real once in two
    50.0
    """
    rows = read_answers(source)
    if drop_flagged:
        checked = controls(rows)
        rows = [row for row in rows if checked[row["answerer"]]["passed"] is not False]
    if not rows:
        raise ValueError("There are no answers to sum up" + (" by people who passed the controls" * drop_flagged) + ": let somebody take the test.")
    votes = {}                                                 # (system, task) -> {answerer: [1 for a hit, else 0]}
    for row in rows:
        shown = row["shown"].split(SEPARATOR)
        if row["task"] == "plausibility":
            cells = [(system, system == row["choice"]) for system in shown]
        else:
            cells = [(row["system"], row["choice"] == REAL if row["task"] == "quality" else bool(row["right"]))]
        for system, hit in cells:
            votes.setdefault((system, row["task"]), {}).setdefault(row["answerer"], []).append(int(hit))
    systems = sorted({system for system, _ in votes} - {REAL, FALSE}, key=lambda name: ((*SYSTEMS, name.lower()).index(name.lower()), name))
    table = {system: {task: _share(votes[system, task]) for task in HUMAN_COLUMNS if (system, task) in votes} for system in (*systems, REAL, FALSE)}
    guess = {task: 100 * float(np.mean([1 / len(row["shown"].split(SEPARATOR)) for row in rows if row["task"] == task] or [0])) for task in HUMAN_COLUMNS}
    return {system: shares for system, shares in table.items() if shares} | {CHANCE: {task: Share(50.0 if task == "quality" else guess[task])
            for task in HUMAN_COLUMNS if guess[task]}}


def _share(votes):
    """{answerer: 0s and 1s} -> `Share`."""
    hits, counts = (np.array([measure(answers) for answers in votes.values()]) for measure in (sum, len))
    n, rng = counts.sum(), np.random.default_rng(0)
    likely = (hits.sum() + 0.5) / (n + 1)                      # half an answer of each kind: three of three is no certainty
    draws = [rng.binomial(n, likely, DRAWS) / n]
    if len(counts) > 1:
        chosen = rng.integers(len(counts), size=(DRAWS, len(counts)))
        draws.append(hits[chosen].sum(1) / counts[chosen].sum(1))
    low, high = np.percentile(draws, (2.5, 97.5), axis=1)
    return Share(100 * float(hits.sum() / n), 100 * float(low.min()), 100 * float(high.max()), int(n))


def table_lines(source, published=True, drop_flagged=False):
    """The lines of `table`, the heading first, each a list of cells.

    >>> row = {"answerer": "Ada", "task": "quality", "system": "film", "shown": "film", "item": "a", "choice": REAL, "right": None, "session": "1"}
    >>> table_lines([row], published=False)[0]
    ['system', 'plausibility % ↑ (ours)', 'quality % ↑ (ours)', 'manipulation % ↑ (ours)']
    """
    ours, papers = summary(source, drop_flagged), _published() if published else {}
    heads = {task: results.METRICS[task] for task in HUMAN_COLUMNS}
    lines = [["system", *(f"{heading} {arrow} ({side})" for heading, _, arrow in heads.values() for side in (["paper"] if papers else []) + ["ours"])]]
    others = [name for name in papers if name not in map(str.lower, ours)]
    for system in sorted([*ours, *others], key=lambda name: (*others, *LABELS).index(name) if name in (*others, *LABELS) else -1):
        cells = []
        for task in HUMAN_COLUMNS:
            cells += [results.cell(papers.get(system.lower(), {}).get(task), 1)] * bool(papers)
            cells.append(_cell(ours.get(system, {}).get(task)))
        lines.append([LABELS.get(system, system), *cells])
    return lines


def _cell(share):
    if share is None:
        return results.cell(None)
    return f"{share.percent:.1f}" + (f" ({share.low:.0f}–{share.high:.0f}, n {share.n})" if share.n else "")


def _published():
    """{system in lower case: {column: percent}} of the paper, {} without its table."""
    try:
        rows = results.read_published("language")
    except FileNotFoundError:
        return {}
    found = {}
    for row in rows:
        if (task := row["metric"].lower().removesuffix(" %")) in HUMAN_COLUMNS:
            found.setdefault(row["system"].lower(), {})[task] = row["value"]
    return found


def note(source, drop_flagged=False):
    """One sentence on whose answers a table holds, with those who failed the controls by name.

    >>> note([{"answerer": "Ada", "task": "quality", "system": "film", "item": "a", "choice": REAL, "session": "1"}])
    '1 answer by 1 person; in brackets 95 % intervals and numbers of answers; real pictures and false colours are controls.'
    """
    checked, count = controls(source), len(read_answers(source))
    failed = [f"{name} ({one[REAL][0]} of {one[REAL][1]} real pictures and {one[FALSE][0]} of {one[FALSE][1]} in false colours taken for real)"
              for name, one in checked.items() if one["passed"] is False]
    people = (f"{count} answer{'s' * (count != 1)} by {len(checked)} {'person' if len(checked) == 1 else 'people'}; in brackets 95 % intervals and numbers of "
              "answers; real pictures and false colours are controls")
    if not failed:
        return f"{people}."
    return f"{people}. {'Left out' if drop_flagged else 'Included, though they hardly told real pictures from false colours'}: {', '.join(failed)}."


def table(source, published=True, drop_flagged=False):
    """The survey's human columns as Markdown, the paper's numbers beside ours, and whose answers they are. Arguments as for `summary`.

    >>> answer = {"answerer": "Ada", "task": "quality", "system": "film", "shown": "film", "right": None, "session": "1"}
    >>> print(table([answer | {"item": "a", "choice": REAL}], published=False).splitlines()[0])
    | system | plausibility % ↑ (ours) | quality % ↑ (ours) | manipulation % ↑ (ours) |
    """
    return f"{results.markdown(table_lines(source, published, drop_flagged))}\n\n{note(source, drop_flagged)}"
