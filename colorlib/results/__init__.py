"""Numbers on disk and the tables made from them. Nothing is typed twice: notebooks and the README only render.

`data/paper_tables/<name>.csv`: published numbers, typed once (system, metric, split, value, source).
`data/results/<name>.csv`: ours, one row a run, appended with its provenance; COLORLIB_RESULTS names another folder.
Shares (acc@k, judged real) are in percent in both.
"""
import contextlib
import csv
import dataclasses
import hashlib
import io
import json
import os
import platform
import re
import subprocess
from datetime import datetime, timezone
from pathlib import Path

import torch

from colorlib.files import locked, make_folder, write_atomic

__all__ = ["read", "latest", "matching", "table", "read_published", "user_study_table", "append", "heading", "cell", "cells", "label_of",
           "trivial_first", "markdown", "show", "replace_section", "split_hash", "config_hash", "file_hash", "provenance", "repository",
           "results_folder", "METRICS", "TRIVIAL", "HUMAN", "SIZES", "COLUMNS", "PUBLISHED_COLUMNS"]

COLUMNS = ("method", "variant", "size", "dataset", "split_hash", "n", "seed", "steps", "batch", "minutes",
           "commit", "device", "config_hash", "torch", "date")                   # metric columns follow
TEXT = {"method", "variant", "protocol", "size", "dataset", "split_hash", "commit", "device", "config_hash", "torch", "date", "notes", "judge",
        "misregister", "budget", "settings", "condition", "against", "kind", "machine"}      # columns that hold no numbers
PUBLISHED_COLUMNS = ("system", "metric", "split", "value", "source")
SIZES = ("smoke", "class", "paper")                        # later wins when one method ran at several
TRIVIAL = ("grey", "infrared copied", "mean colour", "cubic fit", "constant bin", "levin", "oracle luminance", "oracle luminance, cubic colour",
           "Bayes ceiling", "Bayes ceiling, told the caption", "truth")     # what a table opens with
HUMAN = {"plausibility", "quality", "manipulation", "naturalness", "judged real %"}     # only papers can fill these
HASH_LENGTH = 12
LOCK_SECONDS = 60.0
CONFLICT = re.compile("^(<<<<<<< |=======$|>>>>>>> )", re.MULTILINE)
METRICS = {       # heading, decimals, which way is better
    "psnr": ("PSNR", 2, "↑"), "gain": ("gain, dB", 2, "↑"), "psnr_pooled": ("pooled PSNR", 2, "↑"), "ssim": ("SSIM", 3, "↑"),
    "lpips": ("LPIPS", 3, "↓"), "fid": ("FID", 2, "↓"), "kid": ("KID", 4, "↓"),
    "de2000": ("ΔE2000", 2, "↓"), "de76": ("ΔE76", 2, "↓"),
    "ab_rmse": ("ab RMSE", 2, "↓"), "ab_mae": ("ab MAE", 2, "↓"), "l_drift": ("L drift", 2, "↓"),
    "colorfulness": ("colourfulness", 2, ""), "colorfulness_true": ("true colourfulness", 2, ""),
    "colorfulness_ratio": ("colourfulness ratio", 2, ""), "colorfulness_gap": ("ΔCF", 2, "↓"),
    "colorfulness_gap_of_means": ("ΔCF of means", 2, "↓"), "colorfulness_abs": ("CF, absolute", 2, ""),
    "colorfulness_abs_true": ("true CF, absolute", 2, ""), "colorfulness_abs_gap": ("ΔCF, absolute", 2, "↓"), "ssim_ct2": ("SSIM, CT2", 3, "↑"),
    "lpips_vgg": ("LPIPS, VGG", 3, "↓"), "fid_ct2": ("FID, CT2's input", 2, "↓"), "fid_ddcolor": ("FID, DDColor's input", 2, "↓"),
    "acc@1": ("acc@1 %", 1, "↑"), "acc@5": ("acc@5 %", 1, "↑"), "plausibility": ("plausibility %", 1, "↑"),
    "quality": ("quality %", 1, "↑"), "manipulation": ("manipulation %", 1, "↑"),
    "acc@1 balanced": ("acc@1 %, colours alike", 1, "↑"), "acc@5 balanced": ("acc@5 %, colours alike", 1, "↑"),
    "acc@1 chromatic": ("acc@1 %, chromatic", 1, "↑"), "acc@5 chromatic": ("acc@5 %, chromatic", 1, "↑"),
    "acc@1 told": ("acc@1 %, told", 1, "↑"), "acc@5 told": ("acc@5 %, told", 1, "↑"),
    "auto manipulation": ("manipulation %, automatic", 1, "↑"), "followed": ("colour word followed %", 1, "↑"),
    "background change": ("background change ΔE2000", 2, "↓"), "object change": ("object change ΔE2000", 2, "↑"),
    "judged real %": ("judged real %", 2, "↑"),
    "ae": ("AE °", 2, "↓"), "ae_legacy": ("AE °, challenge", 2, "↓"), "ssim_challenge": ("SSIM, challenge", 3, "↑"),
    "ssim_range2": ("SSIM, range 2", 3, "↑"), "nrmse": ("NRMSE", 3, "↓"), "cci_ratio": ("CCI 16–20 %", 1, ""), "cni": ("CNI", 3, "↑"),
    "top1": ("top-1 %", 1, "↑"), "top5": ("top-5 %", 1, "↑"), "precision": ("saliency precision %", 1, "↑"),
    "recall": ("saliency recall %", 1, "↑"), "f1": ("saliency F1 %", 1, "↑"),
    "saliency_l1": ("saliency L1", 3, "↓"), "saliency_l2": ("saliency L2", 3, "↓"),
    "cdc": ("CDC", 5, ""), "cdc_gap": ("CDC gap", 5, "↓"), "warp_error": ("warp error", 5, "↓"), "chroma_warp_error": ("ab warp error", 2, "↓"),
    "static_flicker": ("flicker at rest", 2, "↓"), "drift": ("drift, dB", 2, "↑"),
    **{f"psnr@{k}": (f"PSNR, frame {k}", 2, "↑") for k in (1, 2, 4, 8, 16, 32)},
    "his": ("HIS", 3, "↑"), "his_file": ("HIS, from files", 3, "↑"), "gate": ("gate", 3, ""), "match_accuracy": ("matches on the object %", 1, "↑"),
}


def repository():
    """The folder that holds `data/` and `figures/`: the checkout this file lies in, else the current folder.

    >>> (repository() / "colorlib").is_dir() or repository() == Path.cwd()
    True
    """
    root = Path(__file__).resolve().parents[2]
    return root if (root / ".git").exists() or (root / "pyproject.toml").exists() else Path.cwd()


def provenance():
    """What made a number: {"commit", "device", "torch", "date"}.

    commit ends in "+dirty" when files other than results and figures differ from it, and is "unknown" outside git.
    device is the first GPU's name if there is one, else the processor's. date is UTC.

    >>> sorted(provenance())
    ['commit', 'date', 'device', 'torch']
    """
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else _processor()
    return {"commit": _commit(), "device": device, "torch": str(torch.__version__),
            "date": datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")}


def split_hash(ids):
    """Name a split, in any order: 12 hex digits of sha256 over the sorted ids (file stems, scene seeds), one a line. Raises ValueError for none.

    >>> split_hash(["rose", "daisy"]) == split_hash(["daisy", "rose"]), split_hash(range(200))
    (True, '733fc9d2aaa0')
    """
    if isinstance(ids, (str, bytes)) or not (ids := sorted(map(str, ids))):
        raise ValueError("split_hash needs a list of ids, at least one.")
    return hashlib.sha256("\n".join(ids).encode()).hexdigest()[:HASH_LENGTH]


def config_hash(config):
    """Name a configuration, a dataclass or a dict: 12 hex digits of sha256 over its sorted JSON.

    >>> config_hash({"width": 64, "steps": 300})
    '906d700d6c15'
    """
    config = dataclasses.asdict(config) if dataclasses.is_dataclass(config) else config
    return hashlib.sha256(json.dumps(config, sort_keys=True, default=str).encode()).hexdigest()[:HASH_LENGTH]


def file_hash(path):
    """Name what a file holds, such as weights: 12 hex digits of its sha256.

    >>> Path("empty.safetensors").touch()
    >>> file_hash("empty.safetensors")
    'e3b0c44298fc'
    """
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()[:HASH_LENGTH]


def append(name, row):
    """Add one row to `data/results/<name>.csv`, with provenance where it brings none. Several processes may at once.

    row: {"method": ..., any of COLUMNS, any metric}; values are text, numbers or one-element tensors. New columns widen
    the file. Returns the row as written. Raises ValueError for a bad name, row or file, TimeoutError for a stuck lock.

    >>> append("trials", {"variant": "warm colours", "psnr": 24.1})
    Traceback (most recent call last):
    ValueError: A result row needs a method.
    """
    path = _csv_path(results_folder(), name)
    row = {**provenance(), **{_unix(str(column)): _to_text(column, value) for column, value in row.items()}}
    if not row.get("method"):
        raise ValueError("A result row needs a method.")
    make_folder(path.parent)
    with locked(path, LOCK_SECONDS):
        header, rows = _load(path) if path.exists() else (list(COLUMNS), [])
        header += [column for column in row if column not in header]
        text = io.StringIO(newline="")
        writer = csv.DictWriter(text, header, restval="", lineterminator="\n")
        writer.writeheader()
        writer.writerows([*rows, row])
        write_atomic(path, text.getvalue().encode())
    return row


def read(name):
    """Our rows of `data/results/<name>.csv` in file order, [] without a file. Numbers are numbers, empty cells None. Raises ValueError for a damaged file, with
    the line.

    >>> read("of_which_nothing_was_measured")
    []
    """
    path = _csv_path(results_folder(), name)
    rows = _load(path)[1] if path.exists() else []
    return [{key: (text or None) if key in TEXT else _number(text) for key, text in row.items()} for row in rows]


def matching(name, **where):
    """Our rows of `data/results/<name>.csv` whose columns are exactly these, such as size="class", in file order.

    >>> matching("of_which_nothing_was_measured", size="class", seed=0)
    []
    """
    return [row for row in read(name) if all(row.get(column) == value for column, value in where.items())]


def read_published(name):
    """The rows of `data/paper_tables/<name>.csv`: [{"system", "metric", "split", "value" (float), "source"}].

    Raises FileNotFoundError when the table is not there, ValueError when a column is missing or a value is no number.

    >>> row, = [row for row in read_published("ddcolor") if row["system"] == "DDColor-L" and row["split"] == "COCO-Stuff val" and row["metric"] == "psnr"]
    >>> row["value"]
    22.85
    """
    path = _csv_path(repository() / "data" / "paper_tables", name)
    if not path.exists():
        raise FileNotFoundError(f"There is no table of published numbers at {path}.")
    header, rows = _load(path)
    if missing := [column for column in PUBLISHED_COLUMNS if column not in header]:
        raise ValueError(f"{path} lacks the column {missing[0]!r}.")
    try:
        return [{**row, "value": float(row["value"])} for row in rows]
    except ValueError as error:
        raise ValueError(f"{path} holds a value that is no number: {error}.") from error


def latest(name, best=None, **where):
    """One row per (method, variant, dataset): of the largest size run, on the pictures that most of the others were measured on, the newest; or the best in the
    metric `best`. So a quick look at twenty pictures replaces no row beside which it could not stand.

    where: columns to match exactly, such as size="class" or dataset="imagenette". Rows keep the order of the file.

    >>> {row["size"] for row in latest("scgan", best="psnr", size="class")} <= {"class"}
    True
    """
    chosen, measured, rows = {}, {}, matching(name, **where)
    for row in rows:
        measured.setdefault(_pictures(row), set()).add((row.get("method"), row.get("variant")))
    for row in rows:
        if best and row.get(best) is None:
            continue
        key = tuple(row.get(column) for column in ("method", "variant", "dataset"))
        rank = _rank(row, best, len(measured[_pictures(row)]))
        if key not in chosen or rank >= chosen[key][0]:
            chosen[key] = rank, row
    return [row for _, row in chosen.values()]


# ---------------------------------------------------------------- tables

def table(name, metrics, rows=None, published=True, split=None, columns=(), bold=False, **where):
    """A Markdown table of `name`: a row a system, the paper's number beside ours. A plain string, so nbval compares it.

    metrics: columns such as ["psnr", "de2000"]; METRICS gives heading, decimals and arrow. rows: systems in order
    (default: trivial rows, our other rows, systems only published). split: which published split, where there are
    several. columns: of our rows to show, such as ("size", "n"). bold: mark the best of each column. where: as in
    `latest`. A missing number is an em dash. Where ours are on several data sets, published systems have rows of their
    own. Raises ValueError for an unknown row and for an ambiguous split.

    >>> print(table("ddcolor", ["psnr"], rows=["CIC", "DDColor-L"], split="COCO-Stuff val", bold=True))
    | system | PSNR ↑ (paper) | PSNR ↑ (ours) |
    | --- | ---: | ---: |
    | CIC | 22.73 | — |
    | DDColor-L | **22.85** | — |
    """
    ours, numbers = latest(name, **where), _published_numbers(name, metrics, split) if published else {}
    datasets = list(dict.fromkeys(row.get("dataset") for row in ours))
    is_apart = len(datasets) > 1
    systems = _set_apart(ours, numbers, datasets) if is_apart else _join(ours, numbers)
    if rows is not None:
        named = {alias: system for system in reversed(systems) for alias in system["aliases"]}
        if unknown := [row for row in rows if row.lower() not in named]:
            raise ValueError(f"{name} has no row {unknown[0]!r}; it has: {', '.join(s['label'] for s in systems)}.")
        systems = [named[row.lower()] for row in rows]
    if is_apart and len({system["ours"].get("dataset") for system in systems}) > 1:
        columns = dict.fromkeys(("dataset", *columns))      # or two rows of one system would look alike
    grid = [["system", *(cell(system["label"]) for system in systems)]]
    grid += [[column, *(cell(system["ours"].get(column)) for system in systems)] for column in columns]
    for metric in metrics:
        _, decimals, arrow = METRICS.get(metric.lower(), (metric, 2, ""))
        sides = {side: [system[side].get(metric) for system in systems] for side in ("paper", "ours")}
        if is_apart:
            values = [own if own is not None else theirs for theirs, own in zip(*sides.values())]
            grid.append([heading(metric), *(cell(x, decimals, _best(values, arrow) if bold else None) for x in values)])
            continue
        for side, values in sides.items():
            if (any(x is not None for x in values) if side == "paper" else metric.lower() not in HUMAN):
                best = _best(values, arrow) if bold else None
                grid.append([f"{heading(metric)} ({side})", *(cell(x, decimals, best) for x in values)])
    return markdown(zip(*grid))


def user_study_table(name="koalarization_user_study"):
    """Deep Koalarization's "real or fake?" study and its replication, side by side, with where each number was read; Markdown.

    >>> user_study_table().splitlines()[0].split(" | ")[:3]
    ['| study', 'respondents', 'pictures, recoloured']
    """
    wanted = [("respondents", "all"), ("pictures", "recoloured"), ("judged real %", "recoloured"),
              ("SD over pictures", "recoloured"), ("pictures", "originals"), ("judged real %", "originals"),
              ("SD over pictures", "originals")]
    lines = [["study", *(metric if split == "all" else f"{metric}, {split}" for metric, split in wanted), "read in"]]
    published = read_published(name)
    for system in dict.fromkeys(row["system"] for row in published):
        found = {(row["metric"], row["split"]): row for row in published if row["system"] == system}
        found = [found.get(key) for key in wanted]
        cells = [row and ("about " if row.get("note") == "about" else "") + f"{row['value']:g}" for row in found]
        lines.append([system, *map(cell, cells), "; ".join(dict.fromkeys(row["source"] for row in found if row))])
    return markdown(lines)


def show(markdown):
    """Wrap a table for display as the last value of a notebook cell.

    >>> show(markdown([["row", "PSNR"], ["grey", "24.13"]])).data.count("|")
    9
    """
    from IPython.display import Markdown
    return Markdown(markdown)


def replace_section(path, marker, text):
    r"""Put `text` between the lines `<!-- marker:begin -->` and `<!-- marker:end -->` of a file; the rest stays. Raises ValueError for a file without these
    two, or not in UTF-8.

    >>> page = Path("page.md")
    >>> _ = page.write_text("# Results\n<!-- table:begin -->\nold\n<!-- table:end -->\n")
    >>> replace_section(page, "table", "| new |")
    >>> page.read_text().splitlines()
    ['# Results', '<!-- table:begin -->', '| new |', '<!-- table:end -->']
    """
    path = Path(path)
    with locked(path, LOCK_SECONDS, keep=False):               # another process may write another section
        try:
            old = path.read_bytes().decode()
        except UnicodeDecodeError as error:
            raise ValueError(f"{path} is not UTF-8 at byte {error.start}: it is damaged, or no Markdown; mend it first.") from error
        begin, end = f"<!-- {marker}:begin -->", f"<!-- {marker}:end -->"
        if old.count(begin) != 1 or old.count(end) != 1 or old.index(begin) > old.index(end):
            raise ValueError(f"{path} must hold {begin} and, after it, {end}, once each.")
        newline = "\r\n" if "\r\n" in old else "\n"
        body = newline.join(["", *text.strip().splitlines(), ""])
        new = old[:old.index(begin) + len(begin)] + body + old[old.index(end):]
        if new != old:
            write_atomic(path, new.encode())


def _join(ours, published):
    """Lines of a table: our rows, each with the published numbers of the system named like its method or variant."""
    published, systems = dict(published), []
    for row in ours:
        method, variant = row["method"], row.get("variant")
        label = f"{method} ({variant})" if variant else method
        aliases = {alias.lower() for alias in (label, method, variant, f"{method} {variant}") if alias}
        match = next((system for system in published if system.lower() in aliases), None)
        systems.append({"label": match or label, "aliases": aliases, "ours": row, "paper": published.pop(match, {})})
    systems += [{"label": system, "aliases": {system.lower()}, "ours": {}, "paper": numbers}
                for system, numbers in published.items()]
    return sorted(systems, key=lambda system: (*TRIVIAL, system["label"].lower()).index(system["label"].lower()))


def _set_apart(ours, published, datasets):
    """Lines of a table whose numbers are on several data sets: those only published, then ours, a data set after the other."""
    systems = [{"label": system, "aliases": {system.lower()}, "ours": {"dataset": f"{numbers['split']} (published)"}, "paper": numbers}
               for system, numbers in published.items()]
    return systems + [system for dataset in datasets for system in _join([row for row in ours if row.get("dataset") == dataset], {})]


def _published_numbers(name, metrics, split):
    """{system: {metric: value, "split": its split}} of one split; {} when nothing is published under `name`."""
    if not _csv_path(repository() / "data" / "paper_tables", name).exists():
        return {}
    numbers, splits, wanted = {}, {}, {metric.lower(): metric for metric in metrics}
    for row in read_published(name):
        metric = wanted.get(row["metric"].lower())
        if metric is None or split not in (None, row["split"]):
            continue
        if splits.setdefault((row["system"], metric), row["split"]) != row["split"]:
            raise ValueError(f"{name} has {metric} of {row['system']} on several splits, such as "
                             f"{splits[row['system'], metric]!r} and {row['split']!r}: choose one with split=.")
        numbers.setdefault(row["system"], {"split": row["split"]})[metric] = row["value"]
    return numbers


def heading(metric):
    """What stands above a metric's column, with an arrow where one way is better; a metric that METRICS does not have is its own heading.

    >>> heading("psnr"), heading("de2000"), heading("colorfulness_ratio"), heading("my score")
    ('PSNR ↑', 'ΔE2000 ↓', 'colourfulness ratio', 'my score')
    """
    text, _, arrow = METRICS.get(metric.lower(), (metric, 2, ""))
    return f"{text} {arrow}".strip()


def cells(row, metrics):
    """The cells of a row's metrics, each with the decimals that METRICS gives it.

    >>> cells({"psnr": 24.126, "ssim": 0.91}, ("psnr", "ssim", "lpips"))
    ['24.13', '0.910', '—']
    """
    return [cell(row.get(metric), METRICS.get(metric.lower(), (metric, 2, ""))[1]) for metric in metrics]


def cell(value, decimals=None, best=None):
    """A table cell: the number with its decimals, bold when it equals `best`, an em dash for None.

    >>> cell(24.126, 2), cell(24.126, 2, best=24.13), cell(None)
    ('24.13', '**24.13**', '—')
    """
    if value is None:
        return "—"
    if decimals is None or isinstance(value, str):
        return str(value).replace("|", "\\|").replace("<", "&lt;")
    text = f"{value:.{decimals}f}"
    return f"**{text}**" if best is not None and text == f"{best:.{decimals}f}" else text


def _best(values, arrow):
    values = [value for value in values if value is not None and value == value]
    return {"↑": max, "↓": min}[arrow](values) if arrow and values else None


def label_of(row):
    """What a table calls one of our rows: its method, and its variant where it has one.

    >>> label_of({"method": "unit", "variant": ""}), label_of({"method": "pix2pix_infrared", "variant": "as published"})
    ('unit', 'pix2pix_infrared (as published)')
    """
    return row["method"] + (f" ({row['variant']})" if row["variant"] else "")


def trivial_first(method):
    """The key that sorts rows by method: what costs nothing stands first, in the order of TRIVIAL, the rest stays as it is.

    >>> sorted(["unit", "truth", "cic", "grey"], key=trivial_first)
    ['grey', 'truth', 'unit', 'cic']
    """
    return TRIVIAL.index(method) if method in TRIVIAL else len(TRIVIAL)


def markdown(lines):
    """Lines of cells, the heading first -> a Markdown table.

    >>> print(markdown([["row", "PSNR"], ["grey", "24.13"]]))
    | row | PSNR |
    | --- | ---: |
    | grey | 24.13 |
    """
    head, *body = map(list, lines)
    rule = ["---", *["---:"] * (len(head) - 1)]
    return "\n".join(f"| {' | '.join(line)} |" for line in (head, rule, *body))


# ---------------------------------------------------------------- files

def results_folder():
    """Where our rows and tables live: COLORLIB_RESULTS, else `data/results` of the repository.

    >>> os.environ.get("COLORLIB_RESULTS") or results_folder().relative_to(repository()).parts == ("data", "results")
    True
    """
    return Path(os.environ.get("COLORLIB_RESULTS") or repository() / "data" / "results")


def _csv_path(folder, name):
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]*", name):
        raise ValueError(f"A table's name has letters, digits, - and _ only, not {name!r}.")
    return folder / f"{name}.csv"


def _load(path):
    """(header, rows of text) of a CSV file; a fault is named with its line."""
    try:
        content = path.read_bytes()
        text = _unix(content.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise ValueError(f"{path}, line {line}: this is not UTF-8, in which tables are kept; save it as CSV in UTF-8 (a spreadsheet offers that).") from error
    except OSError as error:
        raise type(error)(f"{path} cannot be read ({error.strerror}): check its permissions.") from error
    if "\0" in text:
        raise ValueError(f"{path}, line {_line(text, text.index(chr(0)))}: here is a zero byte, so the file is damaged; mend it by hand.")
    if mark := CONFLICT.search(text):
        raise ValueError(f"{path}, line {_line(text, mark.start())}: here is git's mark of a merge conflict; keep the rows of both sides and take out the "
                         "marks.")
    if not text:
        raise ValueError(f"{path} is empty: delete it, or put the table back.")
    if not text.endswith("\n"):
        raise ValueError(f"{path}, line {_line(text, len(text))}: the last line has no end, so it may be cut short; mend it and end it with a line break.")
    header, rows, reader = None, [], csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        for line in reader:
            if header is None:
                header = line
                if not line or "" in line or len(set(line)) != len(line):
                    raise ValueError(f"{path}, line 1: this is no table; its first line must name each column once.")
            elif line and len(line) != len(header):
                raise ValueError(f"{path}, line {reader.line_num}: {len(line)} cells under {len(header)} columns; every line must have as many as the header, "
                                 "mend it by hand.")
            elif line:
                rows.append(dict(zip(header, line)))
    except csv.Error as error:
        raise ValueError(f"{path}, line {reader.line_num}: this is no CSV ({error}); mend it by hand.") from error
    return header, rows


def _unix(text):
    """Text with the line ends that `csv` puts in quotes: a lone carriage return it would write without, and not read."""
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _line(text, position):
    return text.count("\n", 0, position) + 1


def _to_text(column, value):
    with contextlib.suppress(ValueError, RuntimeError):        # of an array with several numbers
        value = value.item() if hasattr(value, "item") else value
    if not isinstance(column, str) or not column or not (value is None or isinstance(value, (str, int, float))):
        raise ValueError(f"Column {column!r} holds a {type(value).__name__}; use text or one number.")
    for text in (column, value):
        if isinstance(text, str) and ("\0" in text or CONFLICT.search(_unix(text))):
            raise ValueError(f"Column {column!r} holds a zero byte, or a line like git's mark of a merge conflict: {text[:80]!r}.")
    return "" if value is None else f"{value:.8g}" if isinstance(value, float) else _unix(str(value)).encode(errors="backslashreplace").decode()


def _number(text):
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text or None


def _rank(row, best, others):
    if best is not None:
        return -row[best] if METRICS.get(best, ("", 2, ""))[2] == "↓" else row[best]
    return SIZES.index(row["size"]) if row.get("size") in SIZES else -1, others, row.get("n") or 0


def _pictures(row):
    """What tells the pictures apart that a row was measured on."""
    return tuple(row.get(column) for column in ("size", "dataset", "split_hash", "n"))


def _commit():
    def git(*arguments):
        command = ["git", "--no-optional-locks", "-C", str(repository()), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    try:
        if not (repository() / ".git").exists():
            return "unknown"
        changes = git("status", "--porcelain", "--", ".", ":(exclude)data/results", ":(exclude)figures")
        return git("rev-parse", f"--short={HASH_LENGTH}", "HEAD") + ("+dirty" if changes else "")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def _processor():
    cpuinfo = Path("/proc/cpuinfo")
    names = re.findall(r"model name\s*:\s*(.+)", cpuinfo.read_text()) if cpuinfo.exists() else []
    return names[0].strip() if names else platform.processor() or platform.machine()
