"""The figures of methods that read a caption: where the words enter, one picture under two captions, what the blocks see, what the words do to FiLM,
and where it fails.

After the figures of Manjunatha et al. 2018; pictures are scikit-image's photographs and procedural scenes. `draw` makes them all for `reproduce`.
"""
import textwrap

import cv2
import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.patches import FancyBboxPatch

from colorlib import color_names, data, experiments, figures, images, lab, manipulation, painting, scenes, zoo
from colorlib.captions import COLOR_WORDS, WORD, swap_color, with_article, words
from colorlib.data.sources import resize
from colorlib.experiments.reproduction import PHOTO_CAPTIONS, save_figure
from colorlib.papers import cic

__all__ = ["draw", "draw_pairs", "draw_rows", "draw_network", "draw_activations", "draw_modulation", "draw_prior",
           "draw_confusion", "find_failures", "draw_failures", "paint", "paint_pairs", "sample_pairs", "sample_scenes"]

SIDE = 224                  # of the photographs, cut to squares
SWAPPED = {"coffee": ("white", "blue"), "chelsea": ("brown", "gray"), "rocket": ("blue", "orange")}      # photograph: its colour word, another in its place
NOUNS = {"car": "o", "shirt": "s", "bird": "^", "balloon": "D", "flower": "P"}      # of the captions whose gamma and beta are drawn: marks
SEARCHED = 60               # scenes in which failures are looked for
SHOWN = 2                   # failures of a kind
SMALL = 0.06                # an object that covers less of the picture is small (ours)
NO_ASK = 0.9                # grey level of what cannot be asked in the heat map
COLORFUL = 15.0             # CIE units of chroma that a small object must have to be missed (ours)


def draw(method, model, size):
    """Draw every figure; yield (figure, Path of the file, or a sentence that says why it was not drawn). method: a catalogue row that reads captions.

    >>> made = draw(zoo.get("film"), None, "smoke")              # nothing is painted yet: each figure when it is asked for
    >>> type(made).__name__
    'generator'
    """
    name_of = lambda figure: f"{method.notebook[:2]}_{method.name}_{figure}_{size}"
    yield "captions", save_figure(name_of("captions"), draw_pairs(paint_pairs(method, model, sample_pairs()), across=2), scale=1.3)
    rgb, *said = sample_pairs()[len(SWAPPED)]
    yield "activations", save_figure(name_of("activations"), draw_activations(method, model, rgb, said))
    if model.config.fusion in ("film", "released"):
        yield "modulation", save_figure(name_of("modulation"), draw_modulation(method.papers, model))
    side, device = zoo.working_size(model.config), next(model.parameters()).device
    asked = experiments.open_dataset("scenes", side, "val", limit=4 * SEARCHED, captions=True)
    found = manipulation.repaint(lambda batch: method.papers.colorize(model, experiments.to_device(batch, device)), asked, side, SEARCHED)
    yield "manipulation", save_figure(name_of("manipulation"), draw_confusion(*manipulation.confusion(found)))
    yield "failures", save_figure(name_of("failures"), draw_failures(find_failures(method, model)))


# ---------------------------------------------------------------- painting under captions

def paint(method, model, picture, caption):
    """Colour `(H, W, 3)` uint8 from its L and a caption, the way `colorlib.colorize` does: `(H, W, 3)` uint8.

    >>> method = zoo.get("film")
    >>> model = method.papers.build(method.presets["smoke"])
    >>> paint(method, model, np.zeros((48, 64, 3), np.uint8), "a red car").shape
    (48, 64, 3)
    """
    L = lab.rgb_to_lab(picture)[..., 0]
    return images.merge_chroma(L, painting.predict_ab(method.papers, model, L, caption=caption))


def paint_pairs(method, model, pairs):
    """[(rgb, caption, another caption)] -> [(grey picture, {caption: painted picture})].

    >>> method = zoo.get("film")
    >>> model = method.papers.build(method.presets["smoke"])
    >>> (grey, painted), = paint_pairs(method, model, [(np.zeros((48, 64, 3), np.uint8), "a red car", "a blue car")])
    >>> list(painted)
    ['a red car', 'a blue car']
    """
    return [(images.without_color(rgb), {caption: paint(method, model, rgb, caption) for caption in said}) for rgb, *said in pairs]


def sample_pairs(side=SIDE, count=3):
    """[(rgb (side, side, 3) uint8, caption, the caption with another colour word)]: three photographs, then `count` scenes no model was trained on.

    >>> [said for _, *said in sample_pairs(side=32, count=1)][0]
    ['a white cup of coffee on a brown wooden table', 'a blue cup of coffee on a brown wooden table']
    """
    photos = [(resize(rgb, side), PHOTO_CAPTIONS[name], SWAPPED[name]) for name, rgb in data.sample_photos(5) if name in SWAPPED]
    return [(rgb, caption, swap_color(caption, new, old)) for rgb, caption, (old, new) in photos] + sample_scenes(count, side)


def sample_scenes(count=3, side=96, first_seed=scenes.SEED_OF_VAL):
    """The first `count` unseen scenes of different classes that can have another colour of their own lightness, as in `sample_pairs`.

    >>> (rgb, caption, other), = sample_scenes(count=1, side=32)
    >>> rgb.shape, len(caption.split()) == len(other.split())
    ((32, 32, 3), True)
    """
    found, seed = {}, first_seed
    while len(found) < count:
        pictures, _, name = manipulation.recolor_scene(seed, side)
        own, *others = pictures
        scene = scenes.make_scene(seed, side)
        if name not in found and (others := [word for word in others if word not in ("white", "gray", "black", *words(scene.captions[0]))]):
            found[name] = scene.rgb, scene.captions[0], swap_color(scene.captions[0], others[0], own)
        seed += 1
    return list(found.values())


def draw_pairs(painted, across=1, inches=figures.WIDTH):
    """`paint_pairs` as a Figure: the grey picture, then each painting over its caption, in which what differs is bold. `across` pairs a row.

    >>> grey = np.zeros((32, 32, 3), np.uint8)
    >>> figure = draw_pairs([(grey, {"a red car": grey, "a blue car": grey})])
    >>> ["bf{" in text.get_text() for text in figure.texts]      # "given", and two captions with a bold word each
    [False, True, True]
    """
    return draw_rows([{"given": grey} | pictures for grey, pictures in painted], [list(pictures) for _, pictures in painted], across=across, inches=inches)


def draw_rows(rows, said=None, heads=None, across=1, inches=figures.WIDTH):
    """Rows of {text: picture `(H, W, 3)`} as a Figure, each text under its picture; `across` rows stand side by side, all of them `inches` wide.

    said: those texts of each row that are captions, in which what differs is bold. heads: a line of text over each row.

    >>> figure = draw_rows([{"given": np.zeros((32, 32, 3)), "painted": np.ones((32, 32, 3))}], heads=["a car"])
    >>> [text.get_text() for text in figure.texts]
    ['a car', 'given', 'painted']
    """
    many, gap, line = max(map(len, rows)), 2 * figures.GAP, figures.LINE_HEIGHT
    width = (inches - gap * (across - 1)) / (many * across) - figures.GAP
    texts = [[_wrap_caption(text, said[i] if said else [], width) for text in row] for i, row in enumerate(rows)]
    lines = [1.3 + max(text.count("\n") for one in texts[i:i + across] for text in one) + 1.3 * bool(heads) for i in range(0, len(rows), across)]
    tops = np.cumsum([0, *(width + line * (count + 0.5) for count in lines)])                       # inches from the upper edge
    total = tops[-1] - line / 2
    with plt.rc_context(figures.STYLE):
        figure = plt.figure(figsize=(inches, total))
        for i, row in enumerate(rows):
            left, y = (i % across) * (many * (width + figures.GAP) + gap), total - tops[i // across] - 1.3 * bool(heads) * line
            if heads:
                figure.text(left / inches, (y + line / 6) / total, heads[i], ha="left", va="bottom")
            for column, (picture, text) in enumerate(zip(row.values(), texts[i])):
                x = left + column * (width + figures.GAP)
                axes = figure.add_axes((x / inches, (y - width) / total, width / inches, width / total))
                axes.set_axis_off()
                axes.imshow(picture)
                figure.text((x + width / 2) / inches, (y - width - 0.04) / total, text, ha="center", va="top")
    return figure


def _wrap_caption(text, said, width):
    """A text in lines of about one length that fit under a picture; if it is one of the captions `said`, words in whose place another has another are bold."""
    widest = max(8, int(width / figures.LETTER_WIDTH))
    lines = min((textwrap.wrap(text, letters) for letters in range(8, widest + 1)), key=lambda found: (len(found), max(map(len, found), default=0)))
    placed = [one for one in map(words, said) if text in said and len(one) == len(words(text))]
    differs = iter([len({one[i] for one in placed} - {"a", "an"}) > 1 for i in range(len(words(text)))])
    return WORD.sub(lambda found: rf"$\bf{{{found[0]}}}$" if next(differs) else found[0], "\n".join(lines).replace("$", r"\$"))


# ---------------------------------------------------------------- inside the network

def draw_network(config):
    """Where the words enter: the eight blocks, a bar as tall as its maps and as wide as it has channels, and the caption's vector at every one, a Figure.

    >>> figure = draw_network(cic.PRESETS["paper"])
    >>> len(figure.axes[0].texts)
    31
    """
    heights, channels = [0.5, 0.25] + [0.125] * 5 + [0.25], cic.widths(config)
    with plt.rc_context(figures.STYLE):
        figure, axes = plt.subplots(figsize=(figures.WIDTH, 3.2), layout="constrained")
        axes.set(xlim=(0, 100), ylim=(0, 41))
        axes.set_axis_off()
        box, arrow = {"boxstyle": "round,pad=0.3", "edgecolor": "#668899"}, {"arrowstyle": "-|>", "color": "#555555"}
        axes.add_patch(FancyBboxPatch((1, 34), 44, 5, facecolor="#fff3d6", **box))
        axes.text(23, 36.5, "“a red balloon”  →  word vectors  →  bi-LSTM", ha="center", va="center")
        axes.annotate("", (52, 36.5), (45.6, 36.5), arrowprops=arrow)
        axes.text(54, 36.5, "h", fontsize=13, style="italic", ha="center", va="center")
        axes.plot([54, 54], [34.5, 31], color=figures.COLORS[1], linestyle="-")
        axes.plot([18.2, 85.4], [31, 31], color=figures.COLORS[1], linestyle="-")
        axes.text(4, 17, "L\ngrey\npicture", ha="center", va="center")
        axes.text(4, 0.5, "block\nchannels", ha="center", va="bottom")
        for number, (height, many) in enumerate(zip(heights, channels), 1):
            node, tall, wide = 8.6 + 9.6 * number, 44 * height, 0.8 + 4 * many / max(channels)
            axes.annotate("", (node - 2.4 - wide, 17), (node - 8.6, 17), arrowprops=arrow)
            axes.add_patch(FancyBboxPatch((node - 2.2 - wide, 17 - tall / 2), wide, tall, facecolor=figures.COLORS[5], **box))
            axes.plot(node, 17, "o", markersize=9, color=figures.COLORS[1])
            axes.annotate("", (node, 18.3), (node, 31), arrowprops=arrow | {"color": figures.COLORS[1], "linewidth": 0.8})
            axes.text(node - 2.2 - wide / 2, 0.5, f"{number}\n{many}", ha="center", va="bottom")
        axes.annotate("", (92, 17), (86.6, 17), arrowprops=arrow)
        axes.text(96, 17, f"{config.bins}\ncolours\na pixel", ha="center", va="center")
    return figure


def draw_activations(method, model, rgb, said, blocks=None):
    """What the last three blocks hand on under two captions, and what the second changes, a Figure. rgb `(H, W, 3)` uint8; said: two captions.

    A map is the mean over a block's channels, from the least to the largest value under both captions; a change is the mean over channels of its absolute
    value, from 0 to the largest. (The paper's maps are stretched one by one, in jet.)

    >>> method = zoo.get("film")
    >>> model = method.papers.build(method.presets["smoke"])
    >>> figure = draw_activations(method, model, np.zeros((32, 32, 3), np.uint8), ["a red car", "a blue car"])
    >>> [text.get_text() for text in figure.texts if "block" in text.get_text()]
    ['block 6', 'block 7', 'block 8']
    """
    blocks = blocks or ((6, 7, 8) if model.config.fusion != "released" else (2, 3, 4))
    side, device = zoo.working_size(model.config), next(model.parameters()).device
    small = images.model_input(lab.rgb_to_lab(rgb)[..., 0], side)
    seen = method.papers.activations(model, {"L": small.expand(2, -1, -1, -1).to(device), "caption": list(said)}, blocks)
    painted = [paint(method, model, rgb, caption) for caption in said]
    rows = [{"painted": picture} for picture in painted] + [{"painted": figures.ab_error_map(*painted)}]
    for number, maps in seen.items():
        means, change = maps.mean(1).cpu().numpy(), (maps[1] - maps[0]).abs().mean(0).cpu().numpy()                 # (2, h, w), (h, w)
        planes = (*(means - means.min()) / max(np.ptp(means), 1e-9), change / max(change.max(), 1e-9))
        for row, plane, colors in zip(rows, planes, ("viridis", "viridis", "inferno")):
            row[f"block {number}"] = (plt.get_cmap(colors)(plane)[..., :3] * 255).round().astype(np.uint8)
    return figures.grid(rows, list(rows[0]), row_titles=[*said, "what changed"])


def modulation_of_words(papers, model, nouns=NOUNS):
    """gamma and beta of all blocks under "a <word> <noun>": vectors `(words, nouns, D)` float32, in the order of COLOR_WORDS."""
    said = [with_article(f"{word} {noun}") for word in COLOR_WORDS for noun in nouns]
    vectors = torch.cat([part for pair in papers.modulation(model, said).values() for part in pair], 1)
    return vectors.cpu().numpy().reshape(len(COLOR_WORDS), len(nouns), -1)


def principal_plane(vectors):
    """Vectors `(..., D)` on their first two principal components `(..., 2)`, and the share of the variance that each of the two holds."""
    flat = vectors.reshape(-1, vectors.shape[-1])
    _, strength, directions = np.linalg.svd(flat - flat.mean(0), full_matrices=False)
    return (vectors - flat.mean(0)) @ directions[:2].T, (strength ** 2 / max((strength ** 2).sum(), 1e-12))[:2]


def draw_modulation(papers, model, nouns=NOUNS):
    """gamma and beta of all blocks for eleven colour words with five nouns each on their first two principal components, a Figure: as they are, and without
    what a noun does on average. nouns: {noun: mark}.

    >>> method = zoo.get("film")
    >>> model = method.papers.build(method.presets["smoke"])
    >>> figure = draw_modulation(method.papers, model, nouns={"car": "o"})
    >>> len(figure.axes), len(figure.legends[0].texts)           # a noun, and eleven words
    (2, 12)
    """
    vectors = modulation_of_words(papers, model, nouns)
    inks = {word: lab.lab_to_rgb(np.array(color)) for word, color in color_names.prototypes().items()}
    with plt.rc_context(figures.STYLE):
        figure, panels = plt.subplots(1, 2, figsize=(figures.WIDTH, 4.0), layout="constrained")
        for axes, title, shown in zip(panels, ("gamma and beta of all blocks, a mark a caption", "the same, each noun's mean taken away"),
                                      (vectors, vectors - vectors.mean(0))):
            places, shares = principal_plane(shown)                                                 # (11, nouns, 2)
            for word, row in zip(COLOR_WORDS, places):
                for mark, place in zip(nouns.values(), row):
                    axes.scatter(*place, color=[inks[word]], edgecolor="black", linewidth=0.6, s=34, marker=mark)
            axes.set(xlabel=f"first component, {shares[0]:.0%} of the variance", ylabel=f"second, {shares[1]:.0%}", title=title)
            axes.margins(0.12)
        swatch = lambda mark, ink, name: panels[0].scatter([], [], color=[ink], edgecolor="black", linewidth=0.6, s=34, marker=mark, label=name)
        keys = [swatch(mark, "white", noun) for noun, mark in nouns.items()] + [swatch("o", inks[word], word) for word in COLOR_WORDS]
        figure.legend(handles=keys, loc="outside lower center", ncols=8)
    return figure


def draw_prior(prior, weights, bins, step=10):
    """How often each colour occurs and what it weighs in the loss, over the ab plane, a Figure. prior, weights: `(Q,)`; bins `(Q, 2)`, multiples of `step`.

    >>> bins = lab.ab_bins(313)
    >>> figure = draw_prior(np.full(313, 1 / 313), np.ones(313), bins)
    >>> figure.axes[0].get_title()
    'the 313 bins that are colours'
    """
    prior, weights, bins = (np.asarray(values, float) for values in (prior, weights, bins))
    limit, seen = np.abs(bins).max(), prior > 0
    column, row = ((bins + limit) / step).round().astype(int).T
    panels_of = {"how often, log10": np.log10(np.maximum(prior, 1e-12)), "weight in the loss": weights}
    with plt.rc_context(figures.STYLE):
        figure, panels = plt.subplots(1, 3, figsize=(figures.WIDTH, 2.7), layout="constrained", sharey=True)
        colors, live = np.full((*2 * [round(2 * limit / step) + 1], 3), figures.OUTSIDE), lab.live_bins().numpy() if len(bins) == 625 else prior >= 0
        colors[row[live], column[live]] = bin_colors(bins[live])
        extent = 4 * (limit + step / 2,)
        extent = (-extent[0], extent[1], -extent[2], extent[3])
        panels[0].imshow(colors, extent=extent, origin="lower")
        panels[0].set_title(f"the {live.sum()} bins that are colours")
        for axes, (title, values) in zip(panels[1:], panels_of.items()):
            plane = np.full(colors.shape[:2], np.nan)
            plane[row[seen], column[seen]] = values[seen]
            axes.set_facecolor(str(figures.OUTSIDE))
            figure.colorbar(axes.imshow(plane, extent=extent, origin="lower"), ax=axes, shrink=0.75)
            axes.set_title(title)
        for axes in panels:
            axes.grid(False)
            axes.set_xlabel("a")
        panels[0].set_ylabel("b")
    return figure


def bin_colors(bins, lightness=65.0):
    """The sRGB colours nearest to ab bins `(Q, 2)`, each where it is most vivid and, of such lightnesses, nearest to `lightness`: `(Q, 3)` in [0, 1]."""
    levels = np.arange(5.0, 100, 2.5)
    found = lab.map_to_gamut(np.stack(np.broadcast_arrays(levels, bins[:, :1], bins[:, 1:]), -1))[0]          # (Q, levels, 3)
    missed = np.linalg.norm(found[..., 1:] - bins[:, None], axis=-1).round()
    best = np.lexsort((np.broadcast_to(np.abs(levels - lightness), missed.shape), missed), axis=-1)[:, 0]
    return lab.lab_to_rgb(found[np.arange(len(bins)), best])


# ---------------------------------------------------------------- does the object follow the word, and where does it fail

def draw_confusion(shares, counts, names, words, title="Automatic stand-in for the human test: object follows the swapped word, %"):
    """The table of `manipulation.confusion` as a heat map, a matplotlib Figure: percent in each cell and, in brackets, the number of swaps.

    >>> figure = draw_confusion(np.float64([[1.0, 0.5]]), np.array([[4, 2]]), ["bus"], ["red", "blue"])
    >>> [text.get_text() for text in figure.axes[0].texts]; plt.close(figure)
    ['100 (4)', '50 (2)']
    """
    with plt.rc_context(figures.STYLE):
        figure, axes = plt.subplots(figsize=(figures.WIDTH, 1.2 + 0.38 * len(names)), layout="constrained")
        axes.set_facecolor(str(NO_ASK))
        drawn = axes.imshow(100 * np.ma.masked_invalid(shares), vmin=0, vmax=100, aspect="auto")
        for row, column in np.argwhere(counts > 0):
            text, ink = f"{100 * shares[row, column]:.0f} ({counts[row, column]})", "white" if shares[row, column] < 0.5 else "black"
            axes.text(column, row, text, ha="center", va="center", fontsize=9, color=ink)
        axes.set_xticks(range(len(words)), words)
        axes.set_yticks(range(len(names)), names)
        axes.set(xlabel="colour word put into the caption (grey: not possible at the object's lightness, or not asked)", title=title)
        axes.grid(False)
        figure.colorbar(drawn, label="followed, %")
    return figure


def find_failures(method, model, count=SEARCHED):
    """The paper's three kinds of failure on unseen scenes, worst first: {kind: [(row of pictures, caption)]}.

    unnatural_background: the mean colour outside all objects is farthest from the truth (a yellow sky). small_object: the companion of the main object, if it
    covers less than SMALL of the picture, is farthest from its colour, as a share of its chroma, although the caption names it. color_leak: another word for
    the main object changes the background, or a companion the caption does not name, most.

    >>> method = zoo.get("film")
    >>> model = method.papers.build(method.presets["smoke"])
    >>> {kind: len(worst) for kind, worst in find_failures(method, model, count=1).items()}
    {'unnatural_background': 1, 'small_object': 0, 'color_leak': 1}
    """
    side, found = zoo.working_size(model.config), {"unnatural_background": [], "small_object": [], "color_leak": []}
    for seed in range(scenes.SEED_OF_VAL, scenes.SEED_OF_VAL + count):
        scene = scenes.make_scene(seed, side)
        true, caption, background = lab.rgb_to_lab(scene.rgb)[..., 1:], scene.captions[0], ~scene.masks.any(0)
        painted = paint(method, model, scene.rgb, caption)
        ab = lab.rgb_to_lab(painted)[..., 1:]                                                       # (H, W, 2)
        given = {"given": images.without_color(scene.rgb)}
        if background.any():
            row = given | {"painted": painted, "truth": scene.rgb, "error": figures.ab_error_map(painted, scene.rgb)}
            found["unnatural_background"].append((distance(ab, true, background), row, caption))
            word = next(one for one in ("blue", "red") if one != scene.color)
            said = swap_color(caption, word, scene.color)
            swapped = paint(method, model, scene.rgb, said)
            row = given | {"painted": painted, "under the other word": swapped, "what changed": figures.ab_error_map(swapped, painted)}
            change = np.linalg.norm(lab.rgb_to_lab(swapped)[..., 1:] - ab, axis=-1)
            beside = [background, *(mask & ~scene.masks[0] for mask in scene.masks[1:])]
            found["color_leak"].append((max(change[where].mean() for where in beside if where.any()), row, f"{caption}: {scene.color}, then {word}"))
        small = scene.masks[1] if len(scene.masks) > 1 else np.zeros_like(background)
        if 0 < small.mean() < SMALL and (chroma := np.linalg.norm(true[small].mean(0))) > COLORFUL:
            painted = paint(method, model, scene.rgb, scene.captions[2])
            row = given | {"painted": painted, "truth": scene.rgb, "the small object": point_at(scene.rgb, small)}
            found["small_object"].append((distance(lab.rgb_to_lab(painted)[..., 1:], true, small) / chroma, row, scene.captions[2]))
    return {kind: [(row, text) for _, row, text in sorted(scored, key=lambda one: -one[0])] for kind, scored in found.items()}


def draw_failures(found, each=SHOWN, inches=figures.WIDTH):
    """The worst `each` of every kind that `find_failures` found, a Figure. Raises ValueError where nothing was found.

    >>> draw_failures({"color_leak": []})
    Traceback (most recent call last):
        ...
    ValueError: There are no failures to draw: search more scenes.
    """
    chosen = [(row, f"$\\bf{{{kind.replace('_', '~')}}}$: " + caption.replace("$", r"\$")) for kind, worst in found.items() for row, caption in worst[:each]]
    if not chosen:
        raise ValueError("There are no failures to draw: search more scenes.")
    return draw_rows([row for row, _ in chosen], heads=[text for _, text in chosen], inches=inches)


def distance(ab, ab_true, where):
    """How far the mean colours of a region lie apart, in CIE units. ab, ab_true `(H, W, 2)`; where `(H, W)` bool."""
    return float(np.linalg.norm(ab[where].mean(0) - ab_true[where].mean(0)))


def point_at(rgb, mask, line=3):
    """A picture `(H, W, 3)` uint8 in which all but a mask `(H, W)` is grey and pale, and the mask outlined; line: 1 + twice the outline's width, in pixels."""
    faint = (images.without_color(rgb).astype(int) + 2 * 255) // 3
    edge = cv2.dilate(mask.astype(np.uint8), np.ones((line, line))) > mask
    return np.where(mask[..., None], rgb, np.where(edge[..., None], 0, faint)).astype(np.uint8)
