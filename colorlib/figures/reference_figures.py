"""The figures of methods that match a reference: one picture under several references, the nine kinds of reference, who is matched with whom,
palettes, and when the gate opens.

After the figures of Lu et al. 2020 (Gray2ColorNet) and of the code they released; pictures are scikit-image's photographs and procedural scenes, whose
related reference is another scene with the same object in the same colour. `draw` makes them all for `reproduce`.
"""
from dataclasses import replace

import cv2
import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.colors import LogNorm

from colorlib import data, experiments, figures, images, lab, manipulation, painting, references, scenes, zoo
from colorlib.data.sources import resize
from colorlib.experiments.reproduction import save_figure
from colorlib.metrics import reference_scores

__all__ = ["draw", "draw_references", "draw_taxonomy", "draw_matching", "draw_palettes", "draw_gate", "draw_kinds",
           "paint", "give", "show_gate", "assemble", "palette", "sample_scene", "sample_sets",
           "sample_pairs", "sample_taxonomy", "sample_photo_taxonomy", "MARKS"]

SIDE = 128                                  # of the pictures, cut to squares
SCENE, UNRELATED = 2, 17                    # of the unseen scenes: one whose object comes in several colours, and one of another class
PHOTOS = ("coffee", "chelsea", "rocket")    # of scikit-image's
PICTURES = 24                               # scenes whose gate is drawn
RAREST = 1e-4                               # share of the pixels at which a palette's colour scale begins
HYPHENATED = {"unrelated": "un-related", "recolored": "re-colored", "distractor": "dis-tractor"}      # where a title may break
MARKS = ("o", "s", "^", "D", "P", "X", "v", "*", "h")


def draw(method, model, size):
    """Draw every figure; yield (figure, Path of the file). method: a catalogue row whose module has `match`.

    >>> made = draw(zoo.get("gray2color"), None, "smoke")        # nothing is painted yet: each figure when it is asked for
    >>> type(made).__name__
    'generator'
    """
    save = lambda figure, drawn, scale=1: (figure, save_figure(f"{method.notebook[:2]}_{method.name}_{figure}_{size}", drawn, scale))
    yield save("references", draw_references(method, model, sample_sets()), scale=0.85)
    yield save("taxonomy", draw_taxonomy(method, model, [sample_taxonomy(), sample_photo_taxonomy()]))
    yield save("matching", draw_matching(method, model, sample_pairs()))
    yield save("histograms", draw_palettes([compare_palettes(method, model, *pair) for pair in sample_pairs()]))
    if has_gate(method, model):
        dataset = experiments.open_dataset("scenes", zoo.working_size(model.config), "val", limit=PICTURES)
        yield save("gate", draw_gate(reference_scores.gate_against_similarity(method, model, dataset)))


# ---------------------------------------------------------------- pictures and references

def sample_scene(side=SIDE):
    """An unseen `Scene` and its related references in several colours of one lightness, {colour word: (side, side, 3) uint8}, its own first.

    >>> scene, colored = sample_scene(side=32)
    >>> next(iter(colored)) == scene.color, len(colored) > 1
    (True, True)
    """
    scene = scenes.make_scene(scenes.SEED_OF_VAL + SCENE, side)
    words = [word for word in manipulation.recolor_scene(scene.seed, side)[0] if word not in ("white", "gray", "black")]
    return scene, {word: scenes.reference(replace(scene, color=word)).rgb for word in sorted(words, key=lambda word: word != scene.color)}


def sample_photos(side=SIDE):
    """{name: (side, side, 3) uint8} of PHOTOS."""
    return {name: resize(rgb, side) for name, rgb in data.sample_photos(5) if name in PHOTOS}


def sample_sets(side=SIDE):
    """[(rgb `(side, side, 3)` uint8, {title: reference})]: a scene under the same object in other colours, a photograph under what was made of it.

    >>> [len(references) for rgb, references in sample_sets(side=32)]
    [4, 4]
    """
    scene, colored = sample_scene(side)
    named = {f"a {word} {scene.name}": rgb for word, rgb in list(colored.items())[:3]}
    stranger = scenes.make_scene(scenes.SEED_OF_VAL + UNRELATED, side)
    photos = sample_photos(side)
    rgb = photos["coffee"]
    made = {title: references.make_reference(kind, rgb, seed=1)
            for title, kind in (("itself, warped", "self"), ("with other hues", "recolored"), ("with opposite hues", "inverted"))}
    return [(scene.rgb, named | {f"a {stranger.color} {stranger.name}": stranger.rgb}), (rgb, made | {"another picture": photos["rocket"]})]


def sample_pairs(side=SIDE):
    """[(title, rgb, reference)], all `(side, side, 3)` uint8: a scene and a related one, a photograph and itself, warped, and an unrelated one.

    >>> [title for title, rgb, reference in sample_pairs(side=32)]
    ['related', 'itself, warped', 'unrelated']
    """
    scene, colored = sample_scene(side)
    photos = sample_photos(side)
    cat = photos["chelsea"]
    return [("related", scene.rgb, colored[scene.color]), ("itself, warped", cat, references.make_reference("self", cat, seed=3)),
            ("unrelated", cat, photos["rocket"])]


def sample_taxonomy(side=SIDE):
    """(rgb, {kind: reference}) of a scene, for all of `references.KINDS`.

    >>> rgb, made = sample_taxonomy(side=32)
    >>> list(made) == list(references.KINDS), made["noise"].shape
    (True, (32, 32, 3))
    """
    scene, colored = sample_scene(side)
    return make_all(scene.rgb, colored[scene.color], scenes.make_scene(scenes.SEED_OF_VAL + UNRELATED, side).rgb)


def sample_photo_taxonomy(side=SIDE):
    """(rgb, {kind: reference}) of a photograph, for the kinds that need no related one: nothing else here shows the same.

    >>> rgb, made = sample_photo_taxonomy(side=32)
    >>> set(references.KINDS) - set(made) == {"related", "gray"}
    True
    """
    photos = sample_photos(side)
    return make_all(photos["coffee"], None, photos["rocket"])


def make_all(rgb, related, unrelated, seed=1):
    """(rgb, {kind: reference}) of the kinds that can be made; related may be None."""
    kinds = [kind for kind in references.KINDS if related is not None or kind not in references.RELATED]
    return rgb, {kind: references.make_reference(kind, rgb, related, unrelated, seed) for kind in kinds}


# ---------------------------------------------------------------- what a method makes of them

def paint(method, model, rgb, reference):
    """Colour `(H, W, 3)` uint8 from its L and a reference `(h, w, 3)` uint8, the way `colorlib.colorize` does: `(H, W, 3)` uint8.

    >>> method = zoo.get("gray2color")
    >>> model = method.papers.build(method.presets["smoke"])
    >>> paint(method, model, np.zeros((48, 64, 3), np.uint8), np.zeros((32, 32, 3), np.uint8)).shape
    (48, 64, 3)
    """
    L = lab.rgb_to_lab(rgb)[..., 0]
    return images.merge_chroma(L, painting.predict_ab(method.papers, model, L, reference=reference))


def give(model, rgb, reference):
    """What a paper's `gate` and `match` are asked with: {"L": `(1, 1, h, w)`, "reference": `(1, 3, h', w')` uint8}.

    >>> method = zoo.get("gray2color")
    >>> model = method.papers.build(method.presets["smoke"])
    >>> {name: tensor.shape[:2] for name, tensor in give(model, np.zeros((64, 64, 3), np.uint8), np.zeros((32, 32, 3), np.uint8)).items()}
    {'L': torch.Size([1, 1]), 'reference': torch.Size([1, 3])}
    """
    side, place = zoo.working_size(model.config), next(model.parameters()).device
    seen = torch.from_numpy(np.ascontiguousarray(painting.reduce_reference(reference, side)))
    return {"L": images.model_input(lab.rgb_to_lab(rgb)[..., 0], side).to(place), "reference": seen.permute(2, 0, 1)[None].to(place)}


def has_gate(method, model):
    """Whether a model decides place by place how far it trusts its match."""
    return hasattr(method.papers, "gate") and getattr(model, "gate", None) is not None


def show_gate(method, model, rgb, reference):
    """The gate as a picture `(H, W, 3)` uint8 of the size of rgb: dark violet 0, yellow 1.

    >>> method = zoo.get("gray2color")
    >>> model = method.papers.build(method.presets["smoke"])
    >>> show_gate(method, model, np.zeros((48, 64, 3), np.uint8), np.zeros((32, 32, 3), np.uint8)).shape
    (48, 64, 3)
    """
    gate = method.papers.gate(model, give(model, rgb, reference))[0, 0].float().cpu().numpy()
    return figures.heat(cv2.resize(gate, rgb.shape[1::-1], interpolation=cv2.INTER_NEAREST))


def assemble(method, model, rgb, reference):
    """The picture put together from the reference's most similar places, `(h, w, 3)` uint8, at half the model's size. Nothing is blended.

    >>> method = zoo.get("gray2color")
    >>> model = method.papers.build(method.presets["smoke"])
    >>> red = np.full((32, 32, 3), (255, 0, 0), np.uint8)
    >>> assemble(method, model, np.zeros((64, 64, 3), np.uint8), red)[0, 0].tolist()
    [255, 0, 0]
    """
    index, side = method.papers.match(model, give(model, rgb, reference))[0].cpu().numpy(), method.papers.match_side(model)
    return cv2.resize(reference, (side, side), interpolation=cv2.INTER_AREA).reshape(-1, 3)[index]


# ---------------------------------------------------------------- figures

def draw_references(method, model, sets):
    """`sample_sets` as a Figure: of each picture a row of references, one of what is painted from them and, where there is a gate, one of gates.

    >>> method = zoo.get("gray2color")
    >>> model = method.papers.build(method.presets["smoke"])
    >>> black = np.zeros((32, 32, 3), np.uint8)
    >>> figure = draw_references(method, model, [(black, {"black": black})])
    >>> [text.get_text() for text in figure.texts][2:]
    ['reference', 'painted', 'gate']
    """
    rows, titles, gated = [], [], has_gate(method, model)
    for rgb, named in sets:
        lines = {"reference": list(named.values()), "painted": [paint(method, model, rgb, one) for one in named.values()]}
        lines |= {"gate": [show_gate(method, model, rgb, one) for one in named.values()]} if gated else {}
        for line, pictures in lines.items():
            first = {"given": images.without_color(rgb)} if line == "reference" else {"given": rgb} if line == "painted" else {}
            rows.append(first | {str(i): picture for i, picture in enumerate(pictures)})
            titles.append(line)
    columns = ["given", *(str(i) for i in range(max(len(named) for _, named in sets)))]
    return figures.grid(rows, columns, titles={"given": "given, and truth"} | dict.fromkeys(columns[1:], ""), row_titles=titles)


def draw_taxonomy(method, model, sets):
    """[(rgb, {kind: reference})] as a Figure: for each picture the references and what is painted from them; on the left what is given, and the truth.

    >>> method = zoo.get("gray2color")
    >>> model = method.papers.build(method.presets["smoke"])
    >>> black = np.zeros((32, 32, 3), np.uint8)
    >>> figure = draw_taxonomy(method, model, [(black, {"noise": black, "self": black})])
    >>> [text.get_text() for text in figure.texts]               # in the order of KINDS
    ['given, truth', 'self', 'noise', 'reference', 'painted']
    """
    kinds, rows, titles = [kind for kind in references.KINDS if any(kind in named for _, named in sets)], [], []
    for rgb, named in sets:
        rows += [{"given": images.without_color(rgb)} | named, {"given": rgb} | {kind: paint(method, model, rgb, one) for kind, one in named.items()}]
        titles += ["reference", "painted"]
    return figures.grid(rows, ["given", *kinds], titles={"given": "given, truth"} | HYPHENATED, row_titles=titles)


def draw_matching(method, model, pairs):
    """[(title, rgb, reference)] as a Figure: given, reference, the picture put together from matches, with a gate the gate, painted, truth.

    >>> method = zoo.get("gray2color")
    >>> model = method.papers.build(method.presets["smoke"])
    >>> black = np.zeros((32, 32, 3), np.uint8)
    >>> len(draw_matching(method, model, [("black", black, black)]).axes)
    6
    """
    rows = []
    for _, rgb, reference in pairs:
        row = {"given": images.without_color(rgb), "reference": reference, "put together from matches": assemble(method, model, rgb, reference)}
        row |= {"gate": show_gate(method, model, rgb, reference)} if has_gate(method, model) else {}
        rows.append(row | {"painted": paint(method, model, rgb, reference), "truth": rgb})
    return figures.grid(rows, list(rows[0]), row_titles=[title for title, *_ in pairs])


def palette(rgb):
    """The soft ab histogram of a picture `(H, W, 3)` uint8: `(21, 21)` float, rows a from -110, sums to 1.

    >>> found = palette(np.full((8, 8, 3), 99, np.uint8))        # grey: all in the middle bin
    >>> found.shape, round(found[10, 10].item(), 3)
    ((21, 21), 1.0)
    """
    return lab.ab_histogram(torch.from_numpy(lab.rgb_to_lab(rgb)[..., 1:]).permute(2, 0, 1)[None].double())[0].view(21, 21).numpy()


def compare_palettes(method, model, title, rgb, reference):
    """(title, {"reference", "painted", "truth": palette})."""
    return title, {"reference": palette(reference), "painted": palette(paint(method, model, rgb, reference)), "truth": palette(rgb)}


def draw_palettes(rows):
    """[(title, {name: palette})] as a Figure: heat over the ab plane on a logarithmic scale, with the outline of sRGB; over each palette its
    histogram intersection (HIS) with the first of its row.

    >>> gray, red = (palette(np.full((8, 8, 3), color, np.uint8)) for color in (99, (255, 0, 0)))
    >>> figure = draw_palettes([("", {"reference": red, "painted": gray})])
    >>> [axes.get_title() for axes in figure.axes][:2]
    ['reference', 'painted, HIS 0.00']
    """
    plane, look = outline(), {"norm": LogNorm(RAREST, 1), "cmap": "magma_r", "extent": (-115.5, 115.5, -115.5, 115.5), "origin": "lower"}
    with plt.rc_context(figures.STYLE):
        figure, panels = plt.subplots(len(rows), max(len(named) for _, named in rows), figsize=(figures.WIDTH, 0.4 + 2.2 * len(rows)), squeeze=False,
                                      sharex=True, sharey=True, layout="constrained")
        for line, (title, named) in zip(panels, rows):
            first = next(iter(named.values()))
            for axes, (name, found) in zip(line, named.items()):
                drawn = axes.imshow(np.where(found > RAREST, found, np.nan).T, **look)
                axes.contour(*plane, levels=[0.5], colors=figures.COLORS[0], linewidths=1.2, linestyles="-")
                axes.set_title(name if found is first else f"{name}, HIS {np.minimum(found, first).sum():.2f}")
                axes.grid(False)
            line[0].set_ylabel(f"{title}\n\nb" if title else "b")
        for axes in panels[-1]:
            axes.set_xlabel("a")
        figure.colorbar(drawn, ax=panels, shrink=0.8 if len(rows) > 1 else 0.7, label="share of the pixels")
    return figure


def outline(step=2.5):
    """a, b and whether any lightness has such a colour in sRGB, 1.0 or 0.0: three arrays `(n, n)`."""
    a, b = np.meshgrid(*2 * [np.arange(-110, 110 + step, step)])
    levels = np.arange(2.5, 100, 2.5).reshape(-1, 1, 1)
    return a, b, lab.in_gamut(np.stack(np.broadcast_arrays(levels, a, b), -1)).any(0).astype(float)


def draw_gate(found):
    """[(kind, palette similarity, mean gate)], see `reference_scores.gate_against_similarity`, as a Figure: a mark a picture, large for a mean.

    >>> figure = draw_gate([("related", 0.9, 0.8), ("unrelated", 0.2, 0.1)])
    >>> [text.get_text() for text in figure.axes[0].get_legend().texts]
    ['related', 'unrelated']
    """
    with plt.rc_context(figures.STYLE):
        figure, axes = plt.subplots(figsize=(figures.WIDTH, 3.8), layout="constrained")
        for i, kind in enumerate(dict.fromkeys(kind for kind, *_ in found)):
            x, y = np.array([values for name, *values in found if name == kind]).T
            look = {"color": plt.get_cmap("tab10")(i % 10), "marker": MARKS[i % len(MARKS)]}
            axes.scatter(x, y, s=14, alpha=0.45, linewidth=0, **look)
            axes.scatter(x.mean(), y.mean(), s=110, edgecolor="black", linewidth=0.8, label=kind, zorder=3, **look)
        axes.set(xlabel="palette similarity: HIS of the truth with the reference", ylabel="mean gate")
        axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
    return figure


def draw_kinds(scores, lines, keys):
    """{kind: {column: values}} as a Figure: a panel for each of `keys`, {column: label}, with a dot for each kind's mean where it has the column.

    lines: {column: {name: number}}, dashed.

    >>> figure = draw_kinds({"related": {"psnr": [22.0, 24.0]}, "noise": {"psnr": [20.0]}}, {"psnr": {"grey": 21.0}}, {"psnr": "PSNR, dB"})
    >>> figure.axes[0].lines[0].get_xdata().tolist()
    [23.0, 20.0]
    """
    with plt.rc_context(figures.STYLE):
        figure, panels = plt.subplots(1, len(keys), figsize=(figures.WIDTH, 0.9 + 0.25 * len(scores)), squeeze=False, sharey=True,
                                      layout="constrained")
        for axes, (key, label) in zip(panels[0], keys.items()):
            means = {y: np.nanmean(columns[key]) for y, columns in enumerate(scores.values()) if key in columns}
            axes.plot(list(means.values()), list(means), "o", markersize=7)
            for i, (name, value) in enumerate(lines.get(key, {}).items(), 1):
                axes.axvline(value, color=figures.COLORS[i], linestyle=figures.DASHES[i], label=name)
            axes.set_xlabel(label)
            axes.margins(x=0.12)
            if lines.get(key):
                axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=len(lines[key]))
        panels[0][0].set_yticks(range(len(scores)), list(scores))
        panels[0][0].invert_yaxis()
    return figure
