"""`python -m colorlib reproduce`: everything a method's chapter shows, from training to table and figures."""
from pathlib import Path

import numpy as np
import torch

from colorlib import data, figures, images, lab, references, results, train, zoo
from colorlib.data.sources import resize
from colorlib.experiments import conditions_of, evaluate_method, open_dataset, reads_clips, table_metrics, to_device, train_method
from colorlib.files import write_atomic

PHOTOS = 5                                                  # of scikit-image's photographs, in the figures
MADE_UP_PHOTOS = 3                                          # of them beside the scenes in the figures of methods that see infrared
MADE_UP = "photo; its infrared is made up"                  # what these are called there
FROM_UNRELATED = "from the unrelated one"                   # a column in the figures of methods that take a reference
FIGURE_HINTS = ("icolorit2", 50)                            # in the figures of hint methods
PHOTO_CAPTIONS = {                                          # in the figures of methods that read; written by us
    "astronaut": "a woman in an orange space suit", "coffee": "a white cup of coffee on a brown wooden table", "chelsea": "a brown cat",
    "rocket": "a white rocket before a blue sky", "motorcycle": "a red motorcycle in a gray garage"}


def reproduce(name="all", size=None, spec=None, limit=None, device="auto", photos=None):
    """Train what has no weights of this size, evaluate, append the rows, draw the figures and the table. Yields lines that say what was done.

    photos: a folder for the figures of portraits, landscapes and legacy photos, see `galleries.draw`.
    """
    size = size or train.size()
    for method in zoo.METHODS.values() if name == "all" else [zoo.get(name)]:
        weights = zoo.weights_file(method.name, size) if method.learns else None
        if method.learns and not weights.exists():
            weights = Path(f"runs/{method.name}-{size}/{method.name}-{size}.safetensors")
        if method.learns and not weights.exists():
            yield f"{method.name}: no {size} weights yet, training"
            train_method(method.name, size, spec, device=device)
        yield f"{method.name}: measuring {weights or 'the method, which has nothing to learn'}"
        evaluate_method(method.name, size, spec, weights, limit=limit or (None if size != "smoke" else 64), device=device)
        model, chapter = zoo.load(method.name, weights, size, device), method.notebook[:2]
        painted, name_of = paint_photos(method, model), f"{chapter}_{method.name}_{size}"
        yield f"{method.name}: figure {draw_results(method, model, painted, name_of)}"
        yield f"{method.name}: figure {draw_banner(method, model, painted, f'{name_of}_banner')}"
        if getattr(method.papers, "GALLERY", False):
            from colorlib import galleries      # here, because it is built on this module
            yield from (f"{method.name}: {figure} {found}" for figure, found in galleries.draw(method, model, size, photos=photos, spec=spec))
        if "caption" in method.conditions:
            from colorlib import caption_figures      # here, because it is built on this module
            yield from (f"{method.name}: {figure} {found}" for figure, found in caption_figures.draw(method, model, size))
        if hasattr(method.papers, "match"):
            from colorlib import reference_figures      # here, because it is built on this module
            yield from (f"{method.name}: {figure} {found}" for figure, found in reference_figures.draw(method, model, size))
        if reads_clips(method):
            from colorlib import video_figures      # here, because it is built on this module
            yield from (f"{method.name}: {figure} {found}" for figure, found in video_figures.draw(method, model, size))
        where = {"size": size}
        if method.sees == "infrared":
            from colorlib import infrared_figures      # here, because it is built on this module
            yield from (f"{method.name}: {figure} {found}" for figure, found in infrared_figures.draw(method, model, size))
            where |= {"dataset": row["dataset"] for row in infrared_figures.real_rows(size)[:1]}
        # what is published of infrared has other pictures and another protocol: `infrared_scores` has the tables that show both
        table = results.table(method.results, table_metrics(method.results), published=method.sees != "infrared", **where)
        yield f"{method.name}: table {write_table(method, size, table)}"
        from colorlib import protocols      # here, because it is built on this module
        if method.module in protocols.PROTOCOLS and method.sees == "grey":
            yield f"{method.name}: measuring as its authors did"
            protocols.PROTOCOLS[method.module](method.name, size, spec, weights, limit=limit or (None if size != "smoke" else 64), device=device)
        if "hints" in method.conditions:
            yield f"{method.name}: curve {reproduce_curve(method, size, spec, weights, limit, device, f'{chapter}_hint_curves_{size}')}"
        yield table


def reproduce_curve(method, size, spec, weights, limit, device, name):
    """Measure PSNR against the number of hints and draw it beside the other methods' curves. Returns the file written."""
    from colorlib import hint_curves      # here, because it is built on this module
    hint_curves.measure_method(method.name, size, spec, weights, limit=limit or (None if size != "smoke" else 8), device=device)
    return save_figure(name, hint_curves.draw(size))


def write_table(method, size, table):
    """Put a method's table into `<name>-<size>.md` beside its rows and, at class size, all methods' tables into the README. Returns the file."""
    path = results.results_folder() / f"{method.results}-{size}.md"
    write_atomic(path, f"{method.title}, {size} size\n\n{table}\n".encode())
    readme = results.repository() / "README.md"
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
            row[variant] = zoo.enlarge(method, images.open_image(row["target"]), one, planes)
    if "reference" in batch:
        strange = batch | {"reference": torch.from_numpy(np.stack(true)).permute(0, 3, 1, 2).roll(-1, 0).to(batch["reference"].device)}
        first = next(iter(method.papers.variants(model).values()))
        for i, (row, ab) in enumerate(zip(rows, first(strange).float().cpu().numpy())):
            row |= {"reference": own[i], "unrelated reference": true[(i + 1) % len(true)], FROM_UNRELATED: images.merge_chroma(L[i], ab)}
    return rows


def paint_scenes(method, model, side):
    """What `paint_photos` gives, from scenes of the "val" split in infrared and from photographs whose infrared `data.pseudo_nir` made up; "title" says
    which, for nobody is to take the second kind for a test."""
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
    """Draw a grid, save it `scale` times as large as usual, forget it. Returns the file written."""
    return save_figure(name, figures.grid(rows, **options), scale)


def save_figure(name, figure, scale=1):
    """Save a figure and forget it. Returns the file written."""
    import matplotlib.pyplot as plt
    path = figures.save(figure, name, scale)
    plt.close(figure)
    return path
