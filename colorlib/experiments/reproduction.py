"""`python -m colorlib reproduce`: everything a method's chapter shows, from training to table and figures."""
import hashlib
import json
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from filelock import FileLock

from colorlib import data, figures, images, lab, painting, references, results, train, zoo
from colorlib.data.sources import resize
from colorlib.experiments import (CLIP_TEST_SIZE, conditions_of, data_name, default_data, evaluate_method, open_dataset, open_test,
                                  open_training, reads_clips, table_metrics, test_side, to_device, train_method)
from colorlib.files import write_atomic

__all__ = ["reproduce", "is_finished", "find_weights", "table_of", "paint_photos", "paint_scenes", "save_figure", "save_grid", "PHOTO_CAPTIONS"]

REPRODUCED = Path("runs/reproduce")                         # what is finished, and trainings
SMOKE_PICTURES, SMOKE_CURVE = 64, 8                         # measured on at smoke size, at most; those of a hint curve
PHOTOS = 5                                                  # of scikit-image's photographs, in the figures
MADE_UP_PHOTOS = 3                                          # of them beside the scenes in the figures of methods that see infrared
MADE_UP = "photo; its infrared is made up"                  # what these are called there
FROM_UNRELATED = "from the unrelated one"                   # a column in the figures of methods that take a reference
FIGURE_HINTS = ("icolorit2", 50)                            # in the figures of hint methods
PHOTO_CAPTIONS = {                                          # in the figures of methods that read; written by us
    "astronaut": "a woman in an orange space suit", "coffee": "a white cup of coffee on a brown wooden table", "chelsea": "a brown cat",
    "rocket": "a white rocket before a blue sky", "motorcycle": "a red motorcycle in a gray garage"}


def reproduce(name="all", size=None, spec=None, limit=None, device="auto", photos=None, again=False, workers=None):
    """Train what has no weights of this size, evaluate, append the rows, draw the figures and the table. Yields lines that say what was done.

    name: a method; "survey" for the tables and figures that hold several, from what was measured; or "all", see `reproduce_all.run`. photos: a folder for the
    figures of portraits, landscapes and legacy photos, see `galleries.draw`. again: also what was finished before. workers: processes at a time, for "all".
    What is finished is not repeated when it is started again, unless the Config, the data, the weights or the folders written to have changed, and an
    interrupted training goes on. Raises ValueError for an unknown method and where photos is no folder.

    >>> next(reproduce("scgan", photos="a folder nobody has"))
    Traceback (most recent call last):
    ValueError: a folder nobody has is not a folder: check the path given as photos.
    """
    if photos is not None and not Path(photos).is_dir():
        raise ValueError(f"{photos} is not a folder: check the path given as photos.")
    if name in ("all", "survey"):
        from colorlib.experiments import reproduce_all      # here, because it is built on this module
        yield from reproduce_all.reproduce_survey(size, spec) if name == "survey" else reproduce_all.run(size, spec, limit, device, photos, again, workers)
        return
    size, method = size or train.size(), zoo.get(name)
    folder = run_folder(name, size, spec)
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(folder / ".lock"):      # of two processes one works, the other waits and finds it done
        if again:
            for path in folder.rglob("*.*"):
                path.unlink() if path.is_file() and path.name != ".lock" else None
        weights = find_weights(name, size, spec)
        if method.learns and weights is None:
            yield f"{name}: no {size} weights yet, training"
            weights = train_method(name, size, spec, folder, device=device)
        journal = Journal(folder, conditions_of_parts(method, size, spec, limit, photos, weights))
        parts = parts_of(method, size, spec, limit, device, photos, weights)
        if not (left := [part for part in parts if not journal.has(part)]):
            yield f"{name}: finished before; --again does it anew"
        for part in left:
            written = []
            for what, found in parts[part]():
                yield f"{name}: {what}{f' {found}' if found else ''}"
                written += [str(found)] if isinstance(found, Path) else []
            journal.add(part, written)
        yield f"{name}: table {write_table(method, size)}"
        yield table_of(method, size)


def is_finished(name, size=None, spec=None, limit=None, photos=None):
    """Whether `reproduce` has nothing left to do for a method.

    >>> is_finished("scgan", "smoke")      # here, in a folder where nothing was made
    False
    """
    size, method = size or train.size(), zoo.get(name)
    if not any(REPRODUCED.glob(f"{name}-{size}-*/finished.json")):      # before any data are opened, which may have to be painted first
        return False
    weights, folder = find_weights(name, size, spec), run_folder(name, size, spec)
    if not folder.exists() or method.learns and weights is None:
        return False
    journal = Journal(folder, conditions_of_parts(method, size, spec, limit, photos, weights))
    return all(map(journal.has, parts_of(method, size, spec, limit, "auto", photos, weights)))


def at_most(limit, size, small=SMOKE_PICTURES):
    """How many pictures are measured on: what a person asked for, else all, but few at smoke size."""
    return limit or (small if size == "smoke" else None)


class Journal:
    """Which parts of a method's chapter are finished, `finished.json` in its folder. Where anything in `conditions` was different, nothing is."""

    def __init__(self, folder, conditions):
        self.path, self.conditions = Path(folder) / "finished.json", conditions
        try:
            found = json.loads(self.path.read_text())
        except (OSError, ValueError):
            found = {}
        found = found if isinstance(found, dict) and isinstance(found.get("parts"), dict) else {}
        self.parts = found["parts"] if found.get("conditions") == conditions else {}

    def has(self, part):
        """Whether a part is finished and the files it wrote are still there."""
        return part in self.parts and all(Path(file).exists() for file in self.parts[part])

    def add(self, part, files):
        self.parts[part] = files
        write_atomic(self.path, json.dumps({"conditions": self.conditions, "parts": self.parts}, indent=1).encode())


def run_folder(name, size, spec=None):
    """Where `reproduce` trains a method and notes what is finished: one folder for each Config and training set, so that nothing outlives a change of these."""
    method = zoo.get(name)
    config, spec = method.presets[size], spec or default_data(method, size)
    pictures = results.split_hash(data.ids_of(open_training(method, config, spec))) if method.learns else ""
    return REPRODUCED / f"{name}-{size}-{results.config_hash({'config': results.config_hash(config), 'data': data_name(spec), 'pictures': pictures})}"


def find_weights(name, size, spec=None):
    """A method's weights of a size: the shipped ones, those trained by `python -m colorlib train` with the same Config and data, those of `reproduce`, or None.

    >>> find_weights("levin", "class") is None      # it learns nothing
    True
    """
    method, file = zoo.get(name), f"{name}-{size}.safetensors"
    if not method.learns:
        return None
    if (shipped := zoo.weights_file(name, size)).exists():
        return shipped
    if (trained := Path(f"runs/{name}-{size}") / file).exists():
        known = zoo.read_sidecar(trained)
        if (known.get("config_hash"), known.get("data")) == (results.config_hash(method.presets[size]), data_name(spec or default_data(method, size))):
            return trained
    own = run_folder(name, size, spec) / file
    return own if own.exists() else None


def conditions_of_parts(method, size, spec, limit, photos, weights):
    """What the finished parts of a chapter depend on: {name: text}."""
    spec, config, limit = spec or default_data(method, size), method.presets[size], at_most(limit, size)
    tested = data.open_clips(spec, CLIP_TEST_SIZE[size], "shot", split="val", limit=limit) if reads_clips(method) \
        else open_test(method, spec, test_side(method, config, size, spec), limit)
    return {"tested": results.split_hash(data.ids_of(tested)), "photos": str(photos), "results": str(results.results_folder().resolve()),
            "weights": hashlib.sha256(weights.read_bytes()).hexdigest() if weights else "", "figures": str(figures.figures_folder().resolve())}


def parts_of(method, size, spec, limit, device, photos, weights):
    """The parts of a method's chapter after the training, {name: function that does it and yields (what, file or sentence)}."""
    model = lru_cache(None)(lambda: zoo.load(method.name, weights, size, device))
    snapshots = None if weights == zoo.weights_file(method.name, size) else weights and weights.parent
    painted, name_of = lru_cache(None)(lambda: paint_photos(method, model())), f"{method.notebook[:2]}_{method.name}_{size}"

    def rows():
        yield f"measuring {weights or 'the method, which has nothing to learn'}", None
        evaluate_method(method.name, size, spec, weights, limit=at_most(limit, size), device=device)
        yield "rows", results.results_folder() / f"{method.results}.csv"

    def pictures():
        yield "figure", draw_results(method, model(), painted(), name_of)
        yield "figure", draw_banner(method, model(), painted(), f"{name_of}_banner")
    parts = {"rows": rows, "figures": pictures}
    # the modules below are built on this one
    if getattr(method.papers, "GALLERY", False):
        from colorlib.figures import galleries
        parts["gallery"] = lambda: galleries.draw(method, model(), size, run=snapshots, photos=photos, spec=spec)
    if "caption" in method.conditions:
        from colorlib.figures import caption_figures
        parts["captions"] = lambda: caption_figures.draw(method, model(), size)
    if hasattr(method.papers, "match"):
        from colorlib.figures import reference_figures
        parts["references"] = lambda: reference_figures.draw(method, model(), size)
    if reads_clips(method):
        from colorlib.figures import video_figures
        parts["clips"] = lambda: video_figures.draw(method, model(), size)
    if method.sees == "infrared":
        from colorlib.figures import infrared_figures
        parts["infrared"] = lambda: infrared_figures.draw(method, model(), size)
    from colorlib.experiments import protocols
    if method.module in protocols.PROTOCOLS and method.sees == "grey":
        def published():
            yield "measuring as its authors did", None
            protocols.PROTOCOLS[method.module](method.name, size, spec, weights, limit=at_most(limit, size), device=device)
        parts["published"] = published
    if "hints" in method.conditions:
        parts["curve"] = lambda: [("curve", reproduce_curve(method, size, spec, weights, at_most(limit, size, SMOKE_CURVE), device,
                                                            f"{method.notebook[:2]}_hint_curves_{size}"))]
    return parts


def reproduce_curve(method, size, spec, weights, limit, device, name):
    """Measure PSNR against the number of hints and draw it beside the other methods' curves. Returns the file written."""
    from colorlib.experiments import hint_curves      # here, because it is built on this module
    hint_curves.measure_method(method.name, size, spec, weights, limit=limit, device=device)
    return save_figure(name, hint_curves.draw(size))


def table_of(method, size):
    """The table a method shares with its chapter's others, Markdown. What is published of infrared has other pictures and another protocol:
    `results.infrared_tables` shows both.

    >>> table_of(zoo.get("scgan"), "class").startswith("| system | PSNR")
    True
    """
    where = {"size": size}
    if method.sees == "infrared":
        from colorlib.figures import infrared_figures      # here, because it is built on this module
        where |= {"dataset": row["dataset"] for row in infrared_figures.real_rows(size)[:1]}
    return results.table(method.results, table_metrics(method.results), published=method.sees != "infrared", **where)


def write_table(method, size):
    """Put a method's table into `<name>-<size>.md` beside its rows and, at class size, all methods' tables into the README beside it. Returns the file."""
    path = results.results_folder() / f"{method.results}-{size}.md"
    write_atomic(path, f"{method.title}, {size} size\n\n{table_of(method, size)}\n".encode())
    readme = path.with_name("README.md")
    if size == "class" and path.parent == results.repository() / "data" / "results" and readme.exists():
        tables = [path.parent / f"{name}-class.md" for name in dict.fromkeys(one.results for one in zoo.METHODS.values())]
        results.replace_section(readme, "results", "\n".join(one.read_text() for one in tables if one.exists()))
    return path


def draw_results(method, model, painted, name):
    """The figure every paper shares, from `paint_photos`: grey, the reference where there is one, each variant, truth. Returns the file written."""
    wide = [column for column in ("reference", "unrelated reference", FROM_UNRELATED) if column in painted[0]]
    return save_grid(name, painted, columns=["input", *wide[:1], *method.papers.variants(model), *wide[1:], "target"], titles={"": "painted"},
                     row_titles=[row["title"] for row in painted] if "title" in painted[0] else None)


def draw_banner(method, model, painted, name):
    """Rows of small pictures: what the network is given, the reference where there is one, what it paints, the truth. Returns the file written."""
    shown = {"given": "input", "reference": "reference", "painted": next(iter(method.papers.variants(model))), "truth": "target"}
    shown = {title: key for title, key in shown.items() if key in painted[0]}
    rows = [{str(i): row[key] for i, row in enumerate(painted)} for key in shown.values()]
    columns = [str(i) for i in range(len(painted))]
    return save_grid(name, rows, columns=columns, titles={str(i): row.get("title", "") for i, row in enumerate(painted)}, row_titles=list(shown))


def paint_photos(method, model, side=224):
    """[{"input", each variant, "target": (side, side, 3) uint8}] for scikit-image's photographs, cut to squares; for infrared, see `paint_scenes`; for a method
    that sees lines "input" is the line art, `(h, w)` in [0, 1].

    For a method that takes a reference also "reference", the photograph itself, warped (these photographs have no class that another could share),
    "unrelated reference", the next photograph, and what the first variant paints from that.

    >>> method = zoo.get("photonet")
    >>> rows = paint_photos(method, method.papers.build(method.presets["smoke"], pretrained=False).eval(), side=32)
    >>> len(rows), rows[0]["input"].shape, rows[0][""].shape, rows[0]["target"].shape
    (5, (32, 32, 3), (32, 32, 3), (32, 32, 3))
    """
    if method.sees == "infrared":
        return paint_scenes(method, model, side)
    named = [(name, resize(rgb, side)) for name, rgb in data.sample_photos(PHOTOS)]
    true, L = [rgb for _, rgb in named], [lab.rgb_to_lab(rgb)[..., 0] for _, rgb in named]
    own = [references.make_reference("self", rgb, seed=i) for i, rgb in enumerate(true)]
    working_size = zoo.working_size(model.config)
    batch = {"L": torch.cat([images.model_input(one, working_size) for one in L])} \
        | conditions_of(method, torch.from_numpy(np.stack(true)).permute(0, 3, 1, 2), [name for name, _ in named], working_size, *FIGURE_HINTS,
                        captions=[PHOTO_CAPTIONS[name] for name, _ in named], references=[torch.from_numpy(one).permute(2, 0, 1) for one in own])
    batch = to_device(batch, next(model.parameters()).device)
    rows = [{"input": images.merge_chroma(one, np.zeros((2, 1, 1), np.float32)), "target": rgb} for one, rgb in zip(L, true)]
    if method.sees == "lines":
        batch["lines"] = torch.cat([images.line_art(one, images.model_input(one, working_size), drawing=False) for one in L]).to(batch["L"].device)
        for row, art in zip(rows, batch["lines"].cpu()):
            row["input"] = art[0].numpy()
    if "hint_mask" in batch:
        for i, row in enumerate(rows):
            row["input"] = figures.draw_hints(row["input"], batch["hint_ab"][i].cpu(), batch["hint_mask"][i].cpu())
    for variant, colorizer in method.papers.variants(model).items():
        for row, one, planes in zip(rows, L, colorizer(batch).float().cpu().numpy()):
            row[variant] = painting.enlarge(method, images.open_image(row["target"]), one, planes)
    if "reference" in batch:
        strange = batch | {"reference": torch.from_numpy(np.stack(true)).permute(0, 3, 1, 2).roll(-1, 0).to(batch["reference"].device)}
        first = next(iter(method.papers.variants(model).values()))
        for i, (row, ab) in enumerate(zip(rows, first(strange).float().cpu().numpy())):
            row |= {"reference": own[i], "unrelated reference": true[(i + 1) % len(true)], FROM_UNRELATED: images.merge_chroma(L[i], ab)}
    return rows


def paint_scenes(method, model, side):
    """What `paint_photos` gives, from scenes of the "val" split in infrared and from photographs whose infrared `data.pseudo_nir` made up; "title" says
    which, for nobody is to take the second kind for a test.

    >>> method = zoo.get("unet_infrared")
    >>> [row["title"] for row in paint_scenes(method, method.papers.build(method.presets["smoke"], pretrained=False).eval(), side=32)][4:6]
    ['scene', 'photo; its infrared is made up']
    """
    dataset = open_dataset("scenes", side, split="val", limit=PHOTOS)
    rows = [{"title": "scene", "input": one["nir"][0].numpy(), "target": one["rgb"].permute(1, 2, 0).numpy()} for one in (dataset[i] for i in range(PHOTOS))]
    photos = [resize(rgb, side) for _, rgb in data.sample_photos(MADE_UP_PHOTOS)]
    rows += [{"title": MADE_UP, "input": data.pseudo_nir(rgb), "target": rgb} for rgb in photos]
    nir = [torch.from_numpy(row["input"].astype(np.float32) / 255)[None] for row in rows]                # (1, H, W) each
    batch = {"nir": torch.cat([images.shrink(one, zoo.working_size(model.config)) for one in nir]).to(next(model.parameters()).device)}
    for variant, colorizer in method.papers.variants(model).items():
        for row, rgb in zip(rows, colorizer(batch).float().cpu().numpy()):
            row[variant] = images.merge_picture(row["input"] / np.float32(2.55), rgb)
    return rows


def save_grid(name, rows, scale=1, **options):
    """Draw a grid of {column: picture} rows, see `figures.grid`, save it `scale` times as large as usual, forget it. Returns the file written. Raises
    ValueError as `figures.grid` does.

    >>> save_grid("empty", [])
    Traceback (most recent call last):
    ValueError: ...
    """
    return save_figure(name, figures.grid(rows, **options), scale)


def save_figure(name, figure, scale=1):
    """Save a figure and forget it. Returns the file written. Raises what `figures.save` does.

    >>> save_figure("two/names", None)
    Traceback (most recent call last):
    ValueError: ...
    """
    import matplotlib.pyplot as plt
    path = figures.save(figure, name, scale)
    plt.close(figure)
    return path
