"""The figures of methods that see infrared: all of them side by side, what their noise changes, which loss pulls at the picture, scores and floors.

Pictures are procedural scenes and scikit-image's photographs, whose infrared is made up: the real pairs come without a licence to print them. Scores
are those of `data/results`. `draw` makes all figures for `reproduce`.
"""
from dataclasses import replace

import matplotlib.pyplot as plt
import numpy as np
import torch

from colorlib import data, experiments, figures, images, results, train, zoo
from colorlib.data.sources import resize
from colorlib.experiments import misregistration_curves
from colorlib.experiments.reproduction import save_figure
from colorlib.metrics import infrared_floors
from colorlib.scenes import SEED_OF_VAL, make_scene

__all__ = ["draw", "draw_methods", "draw_lifted", "draw_noise", "draw_gradients", "draw_bars", "paint", "paint_often",
           "lift", "measure_gradients", "sample_pictures", "with_weights", "real_rows", "SHORT"]

SIDE = 128                                  # of the pictures, cut to squares
SCENES = (2, 11)                            # of the unseen scenes
PHOTOS = ("coffee", "rocket")               # of scikit-image's
DRAWS = 16                                  # paintings whose spread is drawn; SHOWN of them are shown
SHOWN = 3
UPDATES = 100                               # of the short training whose losses are weighed
MADE_UP = "photo, made up"                  # what these are called, for a row: their infrared is
SHORT = {"unet_infrared": "L1 U-Net", "pix2pix_infrared": "pix2 pix", "sshape": "S- shape", "sshape_refiner": "S-sh. EN",
         "stacked_gan": "stack GAN", "triplet_gan": "trip. GAN", "asym_cyclegan": "asym. cycle", "asym_cyclegan_paired": "asym. pairs",
         "cyclegan_infrared": "Cycle GAN", "unit": "UNIT", "nirnet": "nir- net", "scgan_infrared": "SCGAN",
         "infrared": "NIR"}          # what a narrow column is called


def draw(method, model, size):
    """Draw every figure; yield (figure, Path of the file). The one of all methods takes the others' weights of that size, those of scores what was
    measured, misregistration at the size of its newest row.

    >>> made = draw(zoo.get("stacked_gan"), None, "smoke")       # nothing is painted yet: each figure when it is asked for
    >>> type(made).__name__
    'generator'
    """
    save = lambda figure, drawn, scale=1: (figure, save_figure(f"07_{figure}_{size}", drawn, scale))
    pictures = sample_pictures()
    if method.name == "stacked_gan":
        yield save("noise", draw_noise(model, pictures[1:3]))
        dataset = experiments.open_dataset("scenes", method.presets["smoke"].image_size, limit=200)
        yield save("gradients", draw_gradients(measure_gradients(method, method.presets["smoke"], dataset)))
    load = lambda one: model if one is method else zoo.load(one.name, size=size, device="cpu")
    yield save("methods", draw_methods({one.name: load(one) for one in with_weights(size, method)}, pictures), scale=1.1)
    if rows := real_rows(size):
        yield save("bars", draw_bars(rows))
    if moved := results.read(misregistration_curves.FILE):
        yield save("misregistration", misregistration_curves.draw(moved[-1]["size"]))


# ---------------------------------------------------------------- pictures

def sample_pictures(side=SIDE):
    """[(title, nir `(side, side)`, rgb `(side, side, 3)`, both uint8)]: unseen scenes, then photographs whose infrared is made up.

    >>> [(title, nir.shape, rgb.shape) for title, nir, rgb in sample_pictures(side=32)][::3]
    [('scene', (32, 32), (32, 32, 3)), ('photo, made up', (32, 32), (32, 32, 3))]
    """
    found = [make_scene(SEED_OF_VAL + seed, side) for seed in SCENES]
    photos = [resize(rgb, side) for name, rgb in data.sample_photos(5) if name in PHOTOS]
    return [("scene", scene.nir, scene.rgb) for scene in found] + [(MADE_UP, data.pseudo_nir(rgb), rgb) for rgb in photos]


def with_weights(size="class", method=None):
    """The catalogue's methods that see infrared and have weights of a size, and `method`.

    >>> [method.name for method in with_weights("no such size", zoo.get("nirnet"))]
    ['nirnet']
    """
    return [one for one in zoo.METHODS.values() if one.sees == "infrared" and (one is method or zoo.weights_file(one.name, size).exists())]


def network_input(model, nir):
    """`(H, W)` uint8 -> {"nir": `(1, 1, h, w)` in [0, 1]} as the model sees it."""
    small = images.shrink(torch.from_numpy(nir.astype(np.float32) / 255)[None], zoo.working_size(model.config))
    return {"nir": small.to(next(model.parameters()).device)}


def paint(method, model, nir):
    """Colour `(H, W)` uint8 the way `colorlib.colorize` does: `(H, W, 3)` uint8.

    >>> method = zoo.get("unet_infrared")
    >>> model = method.papers.build(method.presets["smoke"])
    >>> paint(method, model, np.zeros((48, 64), np.uint8)).shape
    (48, 64, 3)
    """
    return images.merge_picture(nir / np.float32(2.55), method.papers.colorize(model, network_input(model, nir))[0])


def draw_methods(models, pictures):
    """{method: model}, `sample_pictures` as a Figure: a row a picture, a column a method.

    >>> method = zoo.get("unet_infrared")
    >>> models = {method.name: method.papers.build(method.presets["smoke"])}
    >>> figure = draw_methods(models, [("dark", np.zeros((32, 32), np.uint8), np.zeros((32, 32, 3), np.uint8))])
    >>> [text.get_text() for text in figure.texts]
    ['NIR', 'L1 U-Net', 'truth', 'dark']
    """
    painted = lambda nir: {name: paint(zoo.get(name), model, nir) for name, model in models.items()}
    rows = [{"infrared": nir} | painted(nir) | {"truth": rgb} for _, nir, rgb in pictures]
    return figures.grid(rows, ["infrared", *models, "truth"], titles=SHORT, row_titles=[title for title, *_ in pictures])


def lift(nir, count=2):
    """`(H, W)` uint8 at half its contrast, ever brighter: `(count, 1, H, W)` in [0, 1].

    >>> lift(np.uint8([[0, 255]])).flatten().tolist()            # half the contrast, dark and bright
    [0.0, 0.5, 0.5, 1.0]
    """
    half = torch.from_numpy(nir.astype(np.float32) / 510)[None, None]
    return half + torch.linspace(0, 0.5, count).view(-1, 1, 1, 1)


def draw_lifted(models, nir):
    """{method: model}, `(H, W)` uint8 as a Figure: the pictures of `lift`, one a row, and what each method paints from them.

    >>> method = zoo.get("unet_infrared")
    >>> models = {method.name: method.papers.build(method.presets["smoke"])}
    >>> len(draw_lifted(models, np.zeros((32, 32), np.uint8)).axes)
    4
    """
    seen = lift(nir)
    stacks = {"infrared": seen}
    for name, model in models.items():
        stacks[name] = zoo.get(name).papers.colorize(model, {"nir": seen.to(next(model.parameters()).device)}).cpu()
    return figures.grid([dict(zip(stacks, row)) for row in zip(*stacks.values())], list(stacks), titles=SHORT)


# ---------------------------------------------------------------- noise

def paint_often(model, nir, count=DRAWS, seed=0):
    """Paintings of one picture `(H, W)` uint8 that differ in their noise alone: `(count, 3, h, w)` in [0, 1], at the network's size.

    >>> method = zoo.get("stacked_gan")
    >>> model = method.papers.build(method.presets["smoke"])
    >>> paint_often(model, np.zeros((32, 32), np.uint8), count=2).shape
    torch.Size([2, 3, 64, 64])
    """
    batch = network_input(model, nir)
    with torch.random.fork_rng(), torch.no_grad():
        torch.manual_seed(seed)
        return torch.cat([model.eval()(batch["nir"], noise=True) for _ in range(count)]).cpu()


def draw_noise(model, pictures):
    """`sample_pictures` as a Figure: infrared, painted without noise, some draws, and the standard deviation over DRAWS of them.

    >>> method = zoo.get("stacked_gan")
    >>> model = method.papers.build(method.presets["smoke"])
    >>> figure = draw_noise(model, [("dark", np.zeros((32, 32), np.uint8), np.zeros((32, 32, 3), np.uint8))])
    >>> [text.get_text() for text in figure.texts][:4]
    ['infrared', 'no noise', 'draw 1', 'draw 2']
    """
    drawn = [paint_often(model, nir) for _, nir, _ in pictures]
    spread = [draws.std(0).mean(0).numpy() for draws in drawn]                                       # (h, w), mean over channels
    limit = max(one.max() for one in spread)
    rows = []
    for (_, nir, rgb), draws, sd in zip(pictures, drawn, spread):
        row = {"infrared": nir, "no noise": images.merge_picture(nir / np.float32(2.55), model.eval()(**network_input(model, nir), noise=False)[0])}
        row |= {f"draw {i + 1}": images.merge_picture(nir / np.float32(2.55), one) for i, one in enumerate(draws[:SHOWN])}
        rows.append(row | {"SD": figures.heat(sd / limit), "truth": rgb})
    return figures.grid(rows, list(rows[0]), titles={"SD": f"SD, 0 to {limit:.2g}"})


# ---------------------------------------------------------------- which loss pulls

def measure_gradients(method, config, dataset, updates=UPDATES):
    """How hard each weighted term of the stacked GAN's loss pulls, before and after a short training: {range: {moment: {term: norm}}}.

    The range, "[0, 1]" or "[0, 255]", is that of the values the intensity term compares; networks, pictures and noise are the same for both. See
    `stacked_gan.gradient_norms`.

    >>> method = zoo.get("stacked_gan")
    >>> config = replace(method.presets["smoke"], batch_size=1)
    >>> found = measure_gradients(method, config, data.SceneSet(1, 64, cache=False), updates=1)
    >>> list(found), list(found["[0, 1]"])
    (['[0, 1]', '[0, 255]'], ['untrained', 'after 1 updates'])
    """
    paper, fabric = method.papers, train.make_fabric("cpu", 1)
    step = paper.make_step(replace(config, steps=updates), fabric, dataset)
    batch = next(data.batches(dataset, config.batch_size, seed=1))
    found = {"[0, 1]": {}, "[0, 255]": {}}
    for moment in ("untrained", f"after {updates} updates"):
        if moment != "untrained":
            train.fit(step, dataset, steps=updates, batch_size=config.batch_size, fabric=fabric)
        trained_with = step.config
        for title, values in zip(found, (1.0, 255.0)):
            step.config = replace(trained_with, intensity_range=values)
            with torch.random.fork_rng():
                torch.manual_seed(0)      # the same noise for both
                found[title][moment] = paper.gradient_norms(step, batch)
        step.config = trained_with
    return found


def draw_gradients(found):
    """`measure_gradients` as a Figure: a panel for each range of values, bars on one logarithmic scale.

    >>> norms = {"adversarial": 0.1, "intensity": 1.0}
    >>> figure = draw_gradients({"[0, 1]": {"untrained": norms}, "[0, 255]": {"untrained": norms}})
    >>> [axes.get_title() for axes in figure.axes]
    ['values in [0, 1]', 'values in [0, 255]']
    """
    with plt.rc_context(figures.STYLE):
        figure, panels = plt.subplots(1, len(found), figsize=(figures.WIDTH, 2.6), sharex=True, sharey=True, layout="constrained")
        for axes, (title, moments) in zip(panels, found.items()):
            for i, (moment, norms) in enumerate(moments.items()):
                axes.barh(np.arange(len(norms)) + 0.38 * i, list(norms.values()), 0.36, color=figures.COLORS[i], label=moment)
            axes.set(title=f"values in {title}", xscale="log", xlabel="norm of the gradient")
            axes.grid(False, axis="y")
        panels[0].set_yticks(np.arange(len(norms)) + 0.38 * (len(moments) - 1) / 2, list(norms))
        panels[0].invert_yaxis()
        figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=len(moments))
    return figure


# ---------------------------------------------------------------- scores

def real_rows(size="class", split="val"):
    """The newest rows of all methods on the set of real pairs, neither scenes nor made-up infrared, that was measured first. [] where none was.

    >>> real_rows("no such size")
    []
    """
    rows = [row for row in results.latest("infrared", size=size) if row.get("ae") is not None and is_real(row["dataset"] or "", split)]
    return [row for row in rows if row["dataset"] == rows[0]["dataset"]]


def is_real(dataset, split="val"):
    """Whether a data set's name in results means real pairs of that split."""
    return dataset.endswith(f" {split}") and not dataset.startswith(("scenes", "pseudo:"))


def draw_bars(rows, floors=("infrared copied", "mean colour", "cubic fit", "oracle luminance")):
    """Rows of one data set as a Figure: bars of AE and SSIM, the best AE on top, with what costs nothing as lines.

    >>> figure = draw_bars([{"method": "nirnet", "variant": "", "ae": 4.0, "ssim": 0.7}, {"method": "mean colour", "ae": 9.0, "ssim": 0.1}])
    >>> [text.get_text() for text in figure.legends[0].texts]    # what costs nothing is a line
    ['mean colour']
    """
    trivial = {row["method"]: row for row in rows if row["method"] in infrared_floors.ROWS}
    rows = sorted((row for row in rows if row["method"] not in trivial), key=lambda row: row["ae"])
    labels = [results.label_of(row) for row in rows]
    with plt.rc_context(figures.STYLE):
        figure, panels = plt.subplots(1, 2, figsize=(figures.WIDTH, 1.4 + 0.27 * len(rows)), sharey=True, layout="constrained")
        for axes, metric in zip(panels, ("ae", "ssim")):
            heading, decimals, arrow = results.METRICS[metric]
            axes.barh(labels, [row[metric] for row in rows], color=figures.COLORS[5], height=0.7)
            for row, label in zip(rows, labels):
                axes.annotate(f"{row[metric]:.{decimals}f}", (0, label), xytext=(4, 0), textcoords="offset points", va="center", fontsize=9)
            for i, name in enumerate((name for name in floors if name in trivial), 1):
                axes.axvline(trivial[name][metric], color=figures.COLORS[i], linestyle=figures.DASHES[i], label=name)
            axes.set_xlabel(f"{heading} {arrow}")
            axes.grid(False, axis="y")
        panels[0].invert_yaxis()
        figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=len(trivial))
    return figure
