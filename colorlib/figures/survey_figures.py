"""The figures that hold several methods side by side: all automatic ones, all conditions, hint methods, references; ablations and the language scores
as charts.

Pictures are scikit-image's photographs, painted with the shipped weights; charts read the CSV files. A method without weights has no column, an
ablation nobody ran no chart. `draw` makes them all.
"""
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

from colorlib import experiments, figures, images, lab, references, results, zoo
from colorlib.experiments import reproduction
from colorlib.figures import galleries, reference_figures
from colorlib.figures.reference_figures import MARKS
from colorlib.metrics import reference_scores

__all__ = ["draw", "draw_his", "draw_ablation", "draw_language", "ablation_rows", "language_rows", "paint", "load",
           "HINT_METHODS", "CONDITIONED", "REFERENCE_METHODS", "ABLATIONS"]

HINT_METHODS = ("levin", "siggraph17", "unet", "hscau", "hscau_named", "hintnet")
CONDITIONED = ("koalarization", "scgan", "hintnet", "film", "gray2color")      # nothing, a saliency map while training, hints, words, a reference
REFERENCE_METHODS = ("welsh", "color2embed", "gray2color")
BLIND = ("larsson", "cic")                  # beside them, as in Gray2ColorNet's figure: methods that see no reference
ABLATIONS = {                               # method: {metric: label}, see `ablations`
    "gray2color": {"psnr": "PSNR ↑", "his": "HIS, related ↑", "gate": "gate, related", "match_accuracy": "matches % ↑"},
    "scgan": {"object_error": "object's ab error ↓", "kept_apart": "object kept apart ↑", "psnr": "PSNR ↑"},
    "sshape": {"psnr": "PSNR ↑", "ssim": "SSIM ↑", "ae": "AE ° ↓"},
    "film": {"psnr": "PSNR ↑", "acc@1": "acc@1 % ↑", "acc@1 told": "acc@1 %, told ↑"}}
PICTURES = 24                               # scenes of which HIS is drawn
SCALES = (1.5, 1.25, 1, 0.8)                # of a wide grid, until it is small enough
HYPHENATED = {"koalarization": "koala- riza- tion", "cyclegan": "cycle- gan", "color2embed": "color2- embed", "gray2color": "gray2- color",
              "siggraph17": "siggraph 17", "reference": "refer- ence", "hscau_named": "hscau named", "photonet": "photo- net", "larsson": "lars- son",
              "pix2pix": "pix2- pix", "scgan_released": "scgan re- leased", "gray2color_seed": "gray2- color seed"}      # where a narrow column's title may break
LANGUAGE = ("constant bin", "fcnn", "concat", "film")
SCORES = {"acc@1": "acc@1 %", "acc@5": "acc@5 %"}


def draw(size="class"):
    """Draw every figure; yield (figure, Path of the file, or a sentence that says why it was not drawn).

    >>> next(draw("smoke"))
    ('automatic', 'not drawn: there are no smoke weights of koalarization, ...')
    """
    automatic = [row.name for row in zoo.METHODS.values() if row.sees == "grey" and not row.conditions and row.learns and row.table != "video"]
    grids = {"automatic": (automatic, draw_automatic), "conditions": (CONDITIONED, draw_conditions), "hints": (HINT_METHODS, draw_hints),
             "references": ((*BLIND, *REFERENCE_METHODS), draw_references)}
    for figure, (names, drawn) in grids.items():
        painted = paint(names, size)
        yield figure, drawn(painted, f"09_{figure}_{size}") if painted else f"not drawn: there are no {size} weights of {', '.join(names)}"
    pictures = references.WithReferences(experiments.open_dataset("scenes", reference_figures.SIDE, "val", limit=PICTURES), "related")
    found = {name: reference_scores.score_pictures(zoo.get(name), model, pictures) for name, model in load(REFERENCE_METHODS, size).items()}
    yield "his", reproduction.save_figure(f"09_his_{size}", draw_his(found))
    models, missing = load(("gray2color",), size), f"not drawn: there are no {size} weights of gray2color"
    yield "scales", draw_scales(models["gray2color"], f"09_scales_{size}") if models else missing
    for name, metrics in ABLATIONS.items():
        rows = ablation_rows(name)
        missing = f"not drawn: `python -m colorlib ablate {name}` has not run"
        yield f"{name}_ablation", reproduction.save_figure(f"09_{name}_ablation", draw_ablation(rows, metrics)) if rows else missing
    rows, missing = language_rows(size), "not drawn: `python -m colorlib evaluate film` has not run"
    yield "language", reproduction.save_figure(f"09_language_{size}", draw_language(rows)) if rows else missing


def load(names, size):
    """{name: model} of those that have weights of a size, shipped or trained by `reproduce`, or need none.

    >>> list(load(("levin", "cic"), "smoke"))                    # Levin et al.'s needs no weights
    ['levin']
    """
    found = {name: newest_weights(name, size) for name in names}
    return {name: zoo.load(name, weights, size, "cpu") for name, weights in found.items() if weights or not zoo.get(name).learns}


def newest_weights(name, size):
    """A method's shipped weights, else the newest that `reproduce` trained, else None."""
    shipped, trained = zoo.weights_file(name, size), Path("runs/reproduce").glob(f"{name}-{size}-*/{name}-{size}.safetensors")
    return shipped if shipped.exists() else max(trained, key=lambda path: path.stat().st_mtime, default=None)


def paint(names, size):
    """{name: [{"input", "painted", "target", those of a reference}]}, see `reproduction.paint_photos`: the same photographs for all methods that have
    weights.

    >>> paint(("cic",), "smoke")                                 # whose weights are not here
    {}
    """
    painted = {}
    for name, model in load(names, size).items():
        first = next(iter(zoo.get(name).papers.variants(model)))
        painted[name] = [{**row, "painted": row[first]} for row in reproduction.paint_photos(zoo.get(name), model)]
    return painted


# ---------------------------------------------------------------- grids

def draw_automatic(painted, name):
    """Grey, a column a method, truth. Returns the file."""
    rows = [{"grey": one["input"], **beside(painted, i), "truth": one["target"]} for i, one in enumerate(first_of(painted))]
    return save(name, rows)


def draw_conditions(painted, name):
    """The same photographs with nothing said, hints, a caption, a reference; what was given stands before what came of it. Returns the file."""
    rows = [{"grey": images.without_color(one["target"])} for one in first_of(painted)]
    for method, lines in painted.items():
        for row, one in zip(rows, lines):
            row |= {"hints": one["input"]} if "hints" in zoo.get(method).conditions else {"reference": one["reference"]} if "reference" in one else {}
            row[method] = one["painted"]
    captions = list(reproduction.PHOTO_CAPTIONS.values())[:len(rows)]
    rows = [row | {"truth": one["target"]} for row, one in zip(rows, first_of(painted))]
    return save(name, rows, row_titles=captions if "film" in painted else None)


def draw_hints(painted, name):
    """The same hints given to every method that takes some. Returns the file."""
    rows = [{"hints": one["input"], **beside(painted, i), "truth": one["target"]} for i, one in enumerate(first_of(painted))]
    return save(name, rows)


def draw_references(painted, name):
    """Photographs with their own warped copy as the reference, then with another photograph; methods that see no reference beside those that do.
    Returns the file."""
    rows, given = [], next(lines for method, lines in painted.items() if "reference" in zoo.get(method).conditions)
    for key, answer, count in (("reference", "painted", 3), ("unrelated reference", reproduction.FROM_UNRELATED, 2)):
        for i, one in enumerate(given[:count]):
            painters = {method: lines[i].get(answer, lines[i]["painted"]) for method, lines in painted.items()}
            rows.append({"grey": one["input"], "reference": one[key], **painters, "truth": one["target"]})
    return save(name, rows)


def draw_scales(model, name):
    """What Gray2ColorNet paints at each of its three scales, which its loss compares with the truth one by one, enlarged. Returns the file."""
    method, rows = zoo.get("gray2color"), []
    for _, rgb, reference in reference_figures.sample_pairs():
        L, painted = lab.rgb_to_lab(rgb)[..., 0], method.papers.predict(model, reference_figures.give(model, rgb, reference)).ab_n
        planes = [lab.unscale_ab(one)[0].float().cpu().numpy() for one in painted]
        scales = {f"{one.shape[-1]} × {one.shape[-2]}": images.merge_chroma(L, one, "bilinear") for one in planes}
        rows.append({"grey": images.without_color(rgb), "reference": reference, **scales, "truth": rgb})
    return save(name, rows)


def first_of(painted):
    """What the first method makes of all photographs."""
    return next(iter(painted.values()))


def beside(painted, i):
    """{method: what it makes of photograph i}"""
    return {method: lines[i]["painted"] for method, lines in painted.items()}


def save(name, rows, row_titles=None):
    """Draw and save a grid as large as `galleries.MAX_BYTES` allows. Returns the file."""
    for scale in SCALES:
        path = reproduction.save_grid(name, rows, scale, columns=list(rows[0]), titles=HYPHENATED if len(rows[0]) > 8 else None,
                                      row_titles=row_titles)
        if path.stat().st_size <= galleries.MAX_BYTES:
            break
    return path


# ---------------------------------------------------------------- charts

def draw_his(found):
    """{method: columns of `reference_scores.score_pictures`} as a Figure: a mark a picture. Below the line, less of the reference's palette than the
    truth has; above it, more: colours that the picture never had.

    >>> figure = draw_his({"gray2color": {"palette_similarity": [0.2, 0.6], "his_file": [0.4, 0.8]}})
    >>> [text.get_text() for text in figure.axes[0].get_legend().texts]
    ['as much as the truth', 'gray2color']
    """
    with plt.rc_context(figures.STYLE):
        figure, axes = plt.subplots(figsize=(figures.WIDTH, 3.8), layout="constrained")
        axes.plot([0, 1], [0, 1], color="#808080", linewidth=1, linestyle="--", label="as much as the truth")
        for i, (name, columns) in enumerate(found.items()):
            look = {"color": figures.COLORS[i % len(figures.COLORS)], "marker": MARKS[i % len(MARKS)]}
            axes.scatter(columns["palette_similarity"], columns["his_file"], s=26, alpha=0.7, linewidth=0, label=name, **look)
        axes.set(xlabel="HIS of the truth with the reference", ylabel="HIS of what is painted with it", xlim=(0, 1), ylim=(0, 1))
        axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
    return figure


def ablation_rows(name):
    """{variant: {metric: values, one a seed}} of the data set and size with most rows in `data/results/<name>_ablation.csv`; {} without the file.

    >>> from unittest.mock import patch
    >>> row = {"size": "smoke", "dataset": "scenes val", "variant": "no refiner"}
    >>> with patch("colorlib.results.read", return_value=[row | {"seed": 0, "psnr": 20.0}, row | {"seed": 1, "psnr": 21.0}]):
    ...     ablation_rows("sshape")
    {'no refiner': {'psnr': [20.0, 21.0]}}
    """
    rows = results.read(f"{name}_ablation")
    kinds = [(row["size"], row["dataset"]) for row in rows]
    chosen, found = max(kinds, key=kinds.count, default=None), {}
    for row, kind in zip(rows, kinds):
        if kind == chosen:
            for metric, value in row.items():
                if isinstance(value, (int, float)) and metric in ABLATIONS[name]:
                    found.setdefault(row["variant"], {}).setdefault(metric, []).append(value)
    return found


def draw_ablation(rows, metrics):
    """{variant: {metric: values}} as a Figure: a panel a metric, a dot a seed, a bar at their mean, a dashed line at the first variant's.

    >>> figure = draw_ablation({"the paper's": {"psnr": [20.0, 22.0]}, "no loss": {"psnr": [19.0]}}, {"psnr": "PSNR ↑"})
    >>> figure.axes[0].lines[1].get_xdata().tolist()             # the mean of two seeds
    [21.0]
    """
    with plt.rc_context(figures.STYLE):
        size = (figures.WIDTH, 0.9 + 0.27 * len(rows))
        figure, panels = plt.subplots(1, len(metrics), figsize=size, sharey=True, squeeze=False, layout="constrained")
        for axes, (metric, label) in zip(panels[0], metrics.items()):
            for y, values in enumerate(rows.values()):
                if metric in values:
                    axes.plot(values[metric], [y] * len(values[metric]), "o", markersize=4, alpha=0.6, color=figures.COLORS[0])
                    axes.plot([np.mean(values[metric])], [y], "|", markersize=14, markeredgewidth=2, color="black")
            first = next(iter(rows.values()))
            if metric in first:
                axes.axvline(np.mean(first[metric]), color=figures.COLORS[1], linestyle="--", linewidth=1)
            axes.set_xlabel(label)
            axes.margins(x=0.12)
        panels[0][0].set_yticks(range(len(rows)), list(rows))
        panels[0][0].invert_yaxis()
    return figure


def language_rows(size):
    """[(system, on which pictures, {score: %})]: published first, then ours, before them what always saying one colour scores; [] where none of ours
    was measured.

    >>> language_rows("smoke")                                   # nobody measured this size
    []
    """
    published = {}
    for row in results.read_published("language"):
        if row["metric"] in SCORES:
            published.setdefault(row["system"], {})[row["metric"]] = row["value"]
    ours = [row for row in results.latest("language", size=size) if not row.get("variant") and row.get("acc@1") is not None
            and row["method"] in LANGUAGE]
    ours.sort(key=lambda row: (row["dataset"], LANGUAGE.index(row["method"])))
    rows = [(row["method"], row["dataset"], {score: row[score] for score in SCORES}) for row in ours]
    return [(system, "published", scores) for system, scores in published.items()] + rows if rows else []


def draw_language(rows):
    """Rows of `language_rows` as a Figure: bars of both scores, pictures by pictures, since no score can be compared from one to the other.

    >>> figure = draw_language([("film", "scenes val", {"acc@1": 41.0, "acc@5": 70.0})])
    >>> [axes.texts[0].get_text() for axes in figure.axes]
    ['41.0', '70.0']
    """
    labels = [f"{system}, {place}" for system, place, _ in rows]
    places = list(dict.fromkeys(place for _, place, _ in rows))
    with plt.rc_context(figures.STYLE):
        figure, panels = plt.subplots(1, len(SCORES), figsize=(figures.WIDTH, 0.8 + 0.27 * len(rows)), sharey=True, layout="constrained")
        for axes, (score, label) in zip(panels, SCORES.items()):
            colors = ["#808080" if system == "constant bin" else figures.COLORS[places.index(place)] for system, place, _ in rows]
            axes.barh(labels, [scores[score] for *_, scores in rows], color=colors, height=0.7)
            for name, (*_, scores) in zip(labels, rows):
                axes.annotate(f"{scores[score]:.1f}", (scores[score], name), xytext=(4, 0), textcoords="offset points", va="center", fontsize=9)
            axes.set_xlabel(label)
            axes.margins(x=0.16)
            axes.grid(False, axis="y")
        panels[0].invert_yaxis()
    return figure
