"""The survey's tables, HSCAU-Net's epochs and DDColor's Table 1 as Markdown, from CSV files: what was published, what costs nothing, what is ours.

A published number stands beside ours only where it is said on which pictures each was measured; each table ends with where its numbers were read.
"""
import re

from colorlib import results, zoo
from colorlib.experiments import certification
from colorlib.files import write_atomic
from colorlib.fooling import fooling_answers
from colorlib.results import infrared_tables

__all__ = ["language_table", "infrared_table", "hscau_table", "horizon_table", "winner", "TABLES", "TITLES", "LANGUAGE", "HORIZON"]

LANGUAGE = ("acc@1", "acc@5", "acc@1 balanced")             # ours beside the survey's first two: the third is what a constant answer cannot win
LANGUAGE_ROWS = ("constant bin", "fcnn", "concat", "film", "cic", "Bayes ceiling", "Bayes ceiling, told the caption")
HORIZON = ("fid", "CF", "dCF", "psnr")                      # DDColor's, in its order
OURS = {"fid": "fid_ct2", "CF": "colorfulness_abs", "dCF": "colorfulness_abs_gap", "psnr": "psnr"}      # the same of `evaluators`' legacy.csv
HINT_ROWS = ("grey", "mean colour", "levin", "unet", "hscau")


# ---------------------------------------------------------------- tables

def language_table(size=None, answers=None):
    """The survey's first table: acc@1, acc@5 and what people said, as published; ours on each data set, with what costs nothing and what nobody can beat.

    answers: a class's file of a fooling test, or several; their human columns follow in a table of their own, so that no cell mixes people.

    >>> language_table("class").splitlines()[0].split(" | ")[1:4]
    ['measured on', 'acc@1 % ↑', 'acc@5 % ↑']
    """
    published = results.read_published("language")
    numbers, sources = _by_system(published), dict.fromkeys(row["source"] for row in published)
    metrics = (*LANGUAGE, *fooling_answers.HUMAN_COLUMNS)
    lines = [["system", "measured on", *map(results.heading, metrics)]]
    lines += [[system, f"{split} (published)", *results.cells(values, metrics)] for (system, split), values in numbers.items()]
    ours = [row for row in _latest("language", size) if row["method"] in LANGUAGE_ROWS and not row["variant"] and row.get("acc@1") is not None]
    ours.sort(key=lambda row: (row["dataset"], LANGUAGE_ROWS.index(row["method"])))
    lines += [[results.label_of(row), row["dataset"], *results.cells(row, metrics)] for row in ours]
    text = results.markdown(lines)
    if answers is not None:
        text += f"\n\nIn our class:\n\n{fooling_answers.table(answers)}"
    return f"{text}\n\n{read_in(sources, 'language')}"


def infrared_table(size=None, datasets=None):
    """The survey's second table, AE and SSIM from near infrared, ours and the floors beside it, and what its own numbers say of the text around them.

    >>> infrared_table("class").splitlines()[0].startswith("| system | ")
    True
    """
    rows = [row for row in results.read_published("infrared") if row["split"] in infrared_tables.SURVEY]
    parts = infrared_tables.survey_table(size, datasets=datasets), winner(rows), read_in(dict.fromkeys(row["source"] for row in rows), "infrared")
    return "\n\n".join(parts)


def winner(rows):
    """One sentence: which system is best in how many of the survey's columns (AE: the lowest, SSIM: the highest), ties included.

    >>> rows = [{"system": "GAN", "metric": "ae", "split": "urban", "value": 5.0}, {"system": "U-Net", "metric": "ae", "split": "urban", "value": 6.0}]
    >>> winner(rows).partition(".")[0]
    'Best or level in 1 of 1 published columns: GAN'
    """
    columns = {}
    for row in rows:
        columns.setdefault((row["metric"], row["split"]), {})[row["system"]] = row["value"]
    wins = {}
    for (metric, _), values in columns.items():
        best = (min if metric == "ae" else max)(values.values())
        for system in (system for system, value in values.items() if value == best):
            wins[system] = wins.get(system, 0) + 1
    first, *others = sorted(wins, key=wins.get, reverse=True)
    rest = "".join(f", {other} in {wins[other]}" for other in others)
    return (f"Best or level in {wins[first]} of {len(columns)} published columns: {first}{rest}. The survey's text calls ACGAN the better one; its own "
            "table does not.")


def hscau_table(size=None):
    """HSCAU-Net by its training: the two epochs its authors report; ours after each training that was measured, with the rows that cost nothing.

    Ours: pictures seen told in epochs, and the loss of the training log nearest to that update.

    >>> hscau_table("class").splitlines()[2].split(" | ")[:2]      # the first epoch they report
    ['| hscau', '186']
    """
    published = results.read_published("hscau_epochs") + [row for row in results.read_published("hints") if row["system"] == "hscau"]
    epochs = {}
    for row in published:
        if row["metric"] in ("psnr", "ssim", "validation loss"):
            epochs.setdefault(_epoch(row), {})[row["metric"]] = row["value"]
    lines = [["system", "epochs", "updates", "PSNR ↑", "SSIM ↑", "loss", "measured on"]]
    lines += [["hscau", str(epoch), results.cell(None), *results.cells(row, ("psnr", "ssim")), results.cell(row.get("validation loss"), 5),
               "2,000 course photographs (published)"] for epoch, row in sorted(epochs.items())]
    sidecar = _sidecar("hscau", size)
    own = [row for row in results.read("hints") if row["size"] == (size or "class") and row["method"] in HINT_ROWS and not row["variant"]]
    newest = {(row["method"], row["dataset"], row["steps"]): row for row in own}
    for row in sorted(newest.values(), key=lambda row: (row["dataset"], HINT_ROWS.index(row["method"]), row["steps"] or 0)):
        is_known = row["method"] == "hscau" and row["steps"] and sidecar
        seen = row["steps"] * row["batch"] / sidecar["n"] if is_known else None
        logged = min(sidecar["log"], key=lambda entry: abs(entry["step"] - row["steps"]))["loss"] if is_known and sidecar["log"] else None
        lines.append([row["method"], results.cell(seen, 1), results.cell(row["steps"]), *results.cells(row, ("psnr", "ssim")), results.cell(logged, 5),
                      f"{row['dataset']}, {row['n']:,} pictures"])
    rates = ", then ".join(f"{row['value']:g} {row['split']}" for row in published if row["metric"] == "learning rate")
    notes = f"Loss: published of validation, ours of training. Published learning rates: {rates}."
    return f"{results.markdown(lines)}\n\n{notes}\n\n{read_in(dict.fromkeys(row['source'] for row in published), 'hints')}"


def horizon_table(size=None):
    """DDColor's Table 1, FID / CF / dCF / PSNR on four sets: as far as automatic colorization has come. Ours stand in columns of their own: other pictures.

    The truth's CF follows from the table (`certification.golden`); grey has CF 0, so its dCF is the truth's. FID of ours: where CT2's network was at hand.

    >>> [line.split(" | ")[2] for line in horizon_table("class").splitlines()[2:4]]      # of val5k, for truth and grey: FID / CF / dCF / PSNR
    ['— / 38.21 / 0.00 / —', '— / 0.00 / 38.21 / —']
    """
    published = results.read_published("ddcolor")
    numbers = {}
    for row in published:
        numbers.setdefault(row["system"], {}).setdefault(row["split"], {})[row["metric"]] = row["value"]
    splits = [label for label, *_ in certification.SETS.values()]
    truth = {split: certification.golden(split) for split in splits}
    numbers = {"truth": {split: {"CF": value, "dCF": 0.0} for split, value in truth.items()},
               "grey": {split: {"CF": 0.0, "dCF": value} for split, value in truth.items()}} | numbers
    ours = {}                                               # (data set, n, protocol) -> {label: row}
    for row in _latest("legacy", size):
        place = ours.setdefault((row["dataset"], row["n"], row["protocol"]), {"truth": {"CF": row["colorfulness_abs_true"], "dCF": 0.0}})
        place[results.label_of(row)] = {metric: row.get(column) for metric, column in OURS.items()}
    own = sorted(dict.fromkeys(label for place in ours.values() for label in place if label not in numbers), key=results.trivial_first)
    trivial = [label for label in own if label in results.TRIVIAL]
    lines = [["system", "parameters, M", *splits, *(f"ours: {dataset}, {n:,} pictures, {how}" for dataset, n, how in ours)]]
    for label in dict.fromkeys(("truth", "grey", *trivial, *numbers, *own)):
        of = numbers.get(label, {})
        lines.append([label, results.cell(of.get("any", {}).get("parameters"), 1), *(_four(of.get(split)) for split in splits),
                      *(_four(place.get(label)) for place in ours.values())])
    notes = "Each cell: FID / CF / ΔCF / PSNR, as CT2 and DDColor measure, see `evaluators`. FID depends on the number of pictures; no two columns are comparable."
    return f"{results.markdown(lines)}\n\n{notes}\n\n{read_in(dict.fromkeys(row['source'] for row in published), 'legacy')}"


def write(size="class"):
    """All tables in one file, `data/results/survey-<size>.md`; returns it."""
    path = results.results_folder() / f"survey-{size}.md"
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(path, "\n\n".join(f"## {TITLES[name]}\n\n{table(size)}" for name, table in TABLES.items()).encode() + b"\n")
    return path


TABLES = {"language": language_table, "infrared": infrared_table, "hscau": hscau_table, "horizon": horizon_table}
TITLES = {"language": "Colour from words: the survey's first table", "infrared": "Colour from near infrared: the survey's second table",
          "hscau": "HSCAU-Net by epochs", "horizon": "How far automatic colorization has come: DDColor's Table 1"}


# ---------------------------------------------------------------- parts

def read_in(sources, name):
    """The line under a table: where published numbers were read, and the file of ours."""
    return f"Read in: {'; '.join(sources)}. Ours: `data/results/{name}.csv`."


def _by_system(rows):
    """{(system, split): {metric: value}} in file order."""
    found = {}
    for row in rows:
        found.setdefault((row["system"], row["split"]), {})[row["metric"]] = row["value"]
    return found


def _latest(name, size):
    return results.latest(name, **({} if size is None else {"size": size}))


def _four(row):
    """FID / CF / dCF / PSNR of a row, "—" for what is not there, one dash for nothing."""
    return " / ".join(results.cell(row.get(metric), 2) for metric in HORIZON) if row else results.cell(None)


def _epoch(row):
    """The epoch a published row of HSCAU-Net is of: its split says so or, in hints.csv, its note."""
    return int(re.search(r"epoch (\d+)", f"{row['split']} {row['note']}")[1])


def _sidecar(name, size):
    path = zoo.weights_file(name, size or "class")
    return zoo.read_sidecar(path) if path.exists() else None
