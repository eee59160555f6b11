"""Model cards (Mitchell et al. 2019, arXiv 1810.03993): what shipped weights are, what they learned from, how well they paint, what is wrong with their
pictures, what they are not for.

A card is rendered from the catalogue, the JSON beside the weights, `data/results` and `data/weights/observations.csv`, and from nothing else: `write` puts
the cards beside the weights, with a list of them in README.md there.
"""
import csv
import json
import math
import shlex
from dataclasses import asdict

import safetensors

from colorlib import data, experiments, figures, results, zoo
from colorlib.experiments import other_sources
from colorlib.figures import contact_sheets
from colorlib.files import write_atomic

__all__ = ["card", "index", "weights_shipped", "observations", "SIZE", "OBSERVATIONS"]

SIZE = "class"                              # of the weights that have a card
OBSERVATIONS = "observations.csv"           # columns method, seen: what somebody saw who looked at the contact sheet
NEEDED = ("config", "data", "n", "steps", "batch", "seed", "minutes", "bytes", "sha256")      # of a sidecar
FINGERPRINT = ("seed", "steps", "batch", "minutes")      # what tells rows of these weights from rows of earlier ones
SHOWN = ("psnr", "gain", "ssim", "de2000", "colorfulness_ratio", "acc@1", "his", "ae", "static_flicker")
NOT_FOR = ("Anything commercial. What it learned from: {licence}.",
           "Evidence: its colours are invented, plausible at best, and say nothing about what was there or about the past.",
           "Judging the paper: its network is larger, and learned longer and from more pictures.")


def weights_shipped():
    """[name] of the methods that have weights of SIZE here, in the catalogue's order.

    >>> set(weights_shipped()) <= set(zoo.METHODS)
    True
    """
    return [name for name in zoo.METHODS if zoo.weights_file(name, SIZE).exists()]


def render():
    """{Path: text} of every card and of their list."""
    folder, names = zoo.weights_folder(), weights_shipped()
    return {folder / f"{name}-{SIZE}.md": card(name) for name in names} | {folder / "README.md": index(names)}


def write():
    """Write what `render` gives. Returns the files."""
    for path, text in (cards := render()).items():
        write_atomic(path, text.encode())
    return list(cards)


# ---------------------------------------------------------------- pages

def card(name):
    """The card of a method's weights, Markdown. Raises FileNotFoundError or ValueError, with the file's name, where the weights, the JSON beside them or the
    observations are not whole.

    >>> [line for line in card("scgan").splitlines() if line.startswith("## ")][:2]
    ['## What it is for', '## What it learned from']
    """
    method, sidecar = zoo.get(name), read_sidecar(name)
    not_for = NOT_FOR[:2] if method.paper.startswith("colorlib's own") else NOT_FOR
    seen = observations().get(name, ["Nobody has looked yet."])
    parts = [f"# {name}, {SIZE} size", f"{method.paper} ([{method.notebook}](../../notebooks/{method.notebook})).",
             "## What it is for", f"Colours {sees(method)}: in a lesson, for fun, as a baseline that trains in {sidecar['minutes']:g} minutes.",
             block(use_command(method)),
             "Not for:", bullets(one.format(licence=method.data_licence or "not known to allow it") for one in not_for),
             "## What it learned from", bullets(provenance(method, sidecar)),
             f"Train it again{in_place_of(sidecar['data'])}:", block(train_command(method, sidecar)), *since(method, sidecar),
             "## How well it paints", table_of_results(method, sidecar), "## What is wrong with its pictures", bullets(seen), sheet(method)]
    return "\n\n".join(parts) + "\n"


def index(names):
    """The list of cards, Markdown, a line a method.

    >>> index([]).splitlines()[-2]
    '| method | paints | MB | trained, minutes | headline |'
    """
    lines = [["method", "paints", "MB", "trained, minutes", "headline"]]
    for name in names:
        method, sidecar = zoo.get(name), read_sidecar(name)
        lines.append([f"[{name}]({name}-{SIZE}.md)", sees(method), f"{sidecar['bytes'] / 1e6:.1f}", f"{sidecar['minutes']:g}", headline(method, sidecar)])
    total = sum(read_sidecar(name)["bytes"] for name in names) / 1e6
    return (f"# Weights of {SIZE} size\n\n{len(names)} files of fp16 numbers, {total:.0f} MB together; the JSON beside each holds its configuration "
            "and training log. Rendered by "
            f"`python -m colorlib cards`.\n\n{results.markdown(lines)}\n")


def sees(method):
    """What a method paints from, in words."""
    grey = "grey frames" if experiments.reads_clips(method) else "grey pictures"
    what = {"grey": grey, "infrared": "near infrared pictures", "lines": "line drawings"}[method.sees]
    return what + "".join(" with " + ("hints" if one == "hints" else f"a {one}") for one in method.conditions)


def headline(method, sidecar):
    """The gain on the first pictures it was measured on, photographs where there are any, in words."""
    rows = [row for row, _ in measurements(method, sidecar) if row.get("gain") is not None]
    row = next((row for row in rows if not experiments.is_scenes(row["dataset"].split()[0])), rows[0] if rows else None)
    return f"{row['gain']:+.2f} dB to {trivial_row(method)}, {count(row):,} of {row['dataset']}" if row else "not measured"


def sheet(method):
    """The contact sheet, a picture, or how to draw it."""
    name = contact_sheets.sheet_name(method, SIZE)
    if found := sorted(figures.figures_folder().glob(f"{name}.*")):
        return f"![Pictures by lot, and the worst](../../figures/{found[0].name})"
    return f"There is no contact sheet yet: `python -m colorlib sheet {method.name} --size {SIZE}`."


def use_command(method):
    """The command that paints with these weights."""
    what = "clip.mp4" if experiments.reads_clips(method) else {"grey": "photo.jpg", "infrared": "infrared.png"}[method.sees]
    given = {"hints": ["--hints", "hints.json"], "caption": ["--caption", "a red car"], "reference": ["--reference", "another.jpg"]}
    words = (word for condition in method.conditions for word in given[condition])
    return shlex.join(["python", "-m", "colorlib", "colorize", what, "--method", method.name, *words])


def block(command):
    return f"```bash\n{command}\n```"


def bullets(lines):
    return "\n".join(f"- {line}" for line in lines)


# ---------------------------------------------------------------- what is known of the weights

def read_sidecar(name):
    """The JSON beside a method's weights. Raises FileNotFoundError or ValueError that names the file when it is missing, broken or not of these weights."""
    path = zoo.weights_file(name, SIZE)
    sidecar = zoo.read_sidecar(path)
    if missing := [key for key in NEEDED if not isinstance(sidecar, dict) or key not in sidecar]:
        raise ValueError(f"{path.with_suffix('.json')} lacks {missing[0]!r}: fetch it again together with {path.name}.")
    if (sidecar.get("method"), sidecar["bytes"]) != (name, path.stat().st_size):
        raise ValueError(f"{path.with_suffix('.json')} does not belong to {path.name}: fetch both again.")
    return sidecar


def count_numbers(path):
    """How many numbers a weights file holds: parameters and running statistics."""
    with safetensors.safe_open(path, "np") as file:
        shapes = [file.get_slice(key).get_shape() for key in file.keys()]
    return sum(map(math.prod, shapes))


def provenance(method, sidecar):
    """What the file holds and how it came to be, [Markdown]."""
    path, get = zoo.weights_file(method.name, SIZE), sidecar.get
    told = {"file": f"[{path.name}]({path.name}), {sidecar['bytes'] / 1e6:.1f} MB, SHA-256 {sidecar['sha256'][:results.HASH_LENGTH]}…",
            "numbers": f"{count_numbers(path):,} (parameters and running statistics), fp16",
            "pictures": ", ".join(filter(None, (sidecar["data"], get("split")))) + f": {sidecar['n']:,} samples",
            "training": f"{sidecar['steps']:,} updates of {sidecar['batch']}, seed {sidecar['seed']}, {sidecar['minutes']:g} minutes"
                        + (f" on {get('device')}" if get("device") else "") + (f", {get('precision')}" if get("precision") else ""),
            "misregistered": get("misregister"), "decoding": get("decoding"), "notes": get("notes") or get("note"),
            "made": ", ".join(f"{word}{get(key).partition('T')[0]}" for key, word in (("date", ""), ("commit", "commit "), ("torch", "torch ")) if get(key))}
    return [f"{heading}: {text}" for heading, text in told.items() if text]


def changes(method, sidecar):
    """({field: (value in the sidecar, in today's preset)} of fields that differ, [fields the sidecar lacks], [fields that are gone]). A preset's empty tuple is
    filled from the data, so it differs in nothing."""
    preset, config = json.loads(json.dumps(asdict(method.presets[SIZE]))), sidecar["config"]
    differ = {key: (value, preset[key]) for key, value in config.items() if key in preset and value != preset[key] and preset[key] != []}
    return differ, [key for key in preset if key not in config], [key for key in config if key not in preset]


def in_place_of(spec):
    """Which words of a training's --data are names of folders, whose paths have to be given, in words."""
    known, parts = {"scenes", *map(str.lower, data.TORCHVISION_SETS)}, spec.split("+") if is_spec(spec) else []
    folders = [name for part in parts if (name := part.removeprefix("stills:").removeprefix("pseudo:")).partition(":")[0] not in known]
    return f", with the path of the folder in place of {' and '.join(folders)}" if folders else ""


def is_spec(text):
    """Whether a sidecar says what it was trained on as --data takes it, not in a sentence."""
    return len(text.split()) == 1


def train_command(method, sidecar):
    """The command that trains these weights again, with --set for every field of today's preset that was another then."""
    differ, _, _ = changes(method, sidecar)
    spec = sidecar["data"] if is_spec(sidecar["data"]) else experiments.default_data(method, SIZE)
    words = ["python", "-m", "colorlib", "train", method.name, "--size", SIZE, "--data", spec]
    for key, usual in (("split", "train"), ("precision", ""), ("misregister", "")):
        words += [f"--{key}", sidecar[key]] if sidecar.get(key, usual) not in (usual, None) else []
    words += ["--set", *(f"{key}={as_setting(value)}" for key, (value, _) in differ.items())] if differ else []
    return shlex.join(words)


def as_setting(value):
    """A value of a sidecar's config as --set reads it: lists are tuples there."""
    as_tuples = lambda one: tuple(map(as_tuples, one)) if isinstance(one, list) else one
    return value if isinstance(value, str) else repr(as_tuples(value))


def since(method, sidecar):
    """What has changed in the preset since the training, a paragraph, or nothing."""
    differ, new, gone = changes(method, sidecar)
    said = [f"{key} is {now!r} in today's preset" for key, (_, now) in differ.items()] + [f"{key} is new" for key in new] + [f"{key} is gone" for key in gone]
    return [f"Since this training: {'; '.join(said)}."] if said else []


# ---------------------------------------------------------------- what was measured

def trivial_row(method):
    return "infrared copied" if method.sees == "infrared" else "grey"


def count(row):
    """How many pictures a row was measured on; of clips, frames."""
    return row.get("frames") or row["n"]


def measurements(method, sidecar):
    """[(row, trivial row)] a data set, of the paper's own variant: the newest rows of these weights and size, with "gain" in dB; of the trivial row what is
    known."""
    found = []
    for table in (method.results, other_sources.TABLE):
        rows = results.latest(table, size=SIZE)
        own = [row for row in rows if row["method"] == method.name and all(row.get(key) == sidecar[key] for key in FINGERPRINT)]
        main = own[0]["variant"] if own and all(row["variant"] for row in own) else None
        for row in own:
            if row["variant"] == main:
                same = {key: row[key] for key in ("dataset", "split_hash", "n")} | {"method": trivial_row(method)}
                plain = next((one for one in rows if same.items() <= one.items()), {})
                if row.get("gain") is None and plain.get("psnr") is not None:
                    row["gain"] = row["psnr"] - plain["psnr"]
                found.append((row, plain or ({"psnr": row["psnr"] - row["gain"]} if row.get("gain") is not None else {})))
    return found


def table_of_results(method, sidecar):
    """The measurements, two lines a data set: left as given, and painted; Markdown. Says so where there are none."""
    measured = measurements(method, sidecar)
    if not measured:
        return f"Nothing was measured with these weights yet: `python -m colorlib evaluate {method.name} --size {SIZE}`."
    shown = [key for key in SHOWN if any(row.get(key) is not None for row, _ in measured)]
    lines = [["measured on", "pictures", "system", *map(results.heading, shown)]]
    for row, plain in measured:
        for system, values in ((trivial_row(method), plain), (method.name, row)):
            lines += [[row["dataset"], f"{count(row):,}", system, *results.cells(values, shown)]] if values else []
    where = f"[{method.results}.csv](../results/{method.results}.csv)"
    return f"{results.markdown(lines)}\n\nGain: mean PSNR less that of the same pictures left as they are given. Other variants, seeds, commits: {where}."


# ---------------------------------------------------------------- what was seen

def observations():
    """{method: [what somebody saw]} of OBSERVATIONS, {} without the file. Raises ValueError, with its name, for other columns, an unknown method or an empty
    cell.

    >>> set(observations()) <= set(zoo.METHODS)
    True
    """
    path = zoo.weights_folder() / OBSERVATIONS
    if not path.exists():
        return {}
    with open(path, newline="", encoding="utf-8") as file:
        header, *lines = list(csv.reader(file)) or [[]]
    if header != ["method", "seen"] or any(len(line) != 2 or line[0] not in zoo.METHODS or not line[1].strip() for line in lines):
        raise ValueError(f"{path} must have the columns method, seen, and in every line a method of the catalogue and what was seen: mend it by hand.")
    found = {}
    for name, seen in lines:
        found.setdefault(name, []).append(seen)
    return found
