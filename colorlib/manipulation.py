"""Does the object take the colour its caption names, and does the rest stay? An automatic stand-in for the human columns of a table, never those columns.

One grey picture is painted once for every colour word its object could have at its lightness: the caption's own word and others in its place. Judges:

    exact   on procedural scenes. They are painted anew with each word at the same lightness, so the grey picture stays as it is: the pixels that carry the
            dye, the colour each word should give them, and the masks of all objects are known
    proxy   on photos with a caption that names a colour: the sample's mask, or where its saliency is above one half, and prototypes of the colour words.
            A saliency map is a guess, and the caption's colour word may belong to something else

Manjunatha et al. 2018 asked people: three colourings of a picture, made with three colour words, and one caption; which colouring belongs to it?
"""
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import torch
from skimage.color import deltaE_ciede2000

from colorlib import color_names, images
from colorlib import scenes as world
from colorlib.captions import COLOR_WORDS, basic, color_words, swap_color
from colorlib.data.captioned import class_names
from colorlib.lab import map_to_gamut, rgb_to_lab
from colorlib.metrics.caption_scores import scene_seed
from colorlib.metrics.failures import object_of
from colorlib.progress import track
from colorlib.scenes import planning, rendering
from colorlib.scenes.objects import dye_of

__all__ = ["repaint", "measure_manipulation", "summarize", "confusion", "Repainting", "judge_choices",
           "judge_swaps", "recolor_scene", "ask_scene", "ask_photo"]

CHOICES = 3                 # colourings the survey's judges chose from
TIE = 1.0                   # CIE units, just visible: below, two colourings are equally near, and who hardly hears the caption gets the chance level (ours)
TARGETS_APART = 10.0        # CIE units between the targets of two words, or the judge could not tell them: gray and white on one photo (ours)
LEVELS = 32                 # quantiles that stand for the lightness of an object's pixels
UNSALIENT = 64              # saliency in 0..255 below which a photo's pixel is background (ours)


@dataclass(frozen=True, eq=False)
class Repainting:
    """One grey picture painted once for each of K colour words, the caption's own first.

    >>> targets = np.float64([[60, 40], [-50, 40], [10, -60]])
    >>> one = Repainting("cat.jpg", "bus", ("red", "green", "blue"), targets, targets / 2, np.zeros(3), np.zeros(3), "exact")
    >>> judge_choices(one), judge_swaps(one)                     # pale, but each nearest to its own target
    (1.0, {'green': 1.0, 'blue': 1.0})
    """
    id: str
    name: str               # the object's class
    words: tuple            # K basic colour terms
    targets: np.ndarray     # (K, 2) the ab each word should give the object, CIE units
    painted: np.ndarray     # (K, 2) the mean ab the object got
    object_change: np.ndarray       # (K,) mean dE2000 of the object from the colouring of the caption's own word; 0 for that
    background_change: np.ndarray   # (K,) the same outside all known objects
    judge: str              # "exact" or "proxy"


# ---------------------------------------------------------------- painting

def repaint(paint, dataset, side, pictures=60, progress=None):
    """The `Repainting`s of at most `pictures` pictures of a map-style data set that can be asked for at least two colours, in shuffled order.

    paint: function of {"L": (K, 1, h, w), "caption": [str] * K} on the CPU -> ab (K, 2, h', w'); side: the working size. Each colouring goes the way a
    person's picture goes, chroma merged under the full-size lightness. Empty where no picture can be asked: scenes of one colour, photos without a caption
    that names a colour or without mask and saliency map (`saliency.WithSaliency`).

    >>> from colorlib.data import SceneSet
    >>> grey = lambda batch: 0 * batch["L"].expand(-1, 2, -1, -1)                        # does not listen
    >>> found = repaint(grey, SceneSet(4, 32, cache=False), side=32, pictures=1)
    >>> found[0].name, found[0].words, found[0].object_change.max().round(2).item()
    ('umbrella', ('blue', 'green', 'purple'), 0.0)
    """
    classes, found = getattr(dataset, "classes", None), []
    order = torch.randperm(len(dataset), generator=torch.Generator().manual_seed(0)).tolist()
    for i in track(order, progress):
        if len(found) == pictures:
            break
        sample = dataset[i]
        task = ask_scene(sample) if scene_seed(sample) is not None else ask_photo(sample, classes)
        if task is not None:
            found.append(paint_words(paint, sample, side, *task))
    return found


def paint_words(paint, sample, side, name, captions, targets, where, background, judge):
    """Paint a sample's lightness once for each of {word: caption} and read the colours of the object, `where` (H, W) bool, and of the background."""
    L = rgb_to_lab(sample["rgb"])[0].numpy()                                                        # (H, W)
    small = images.model_input(L, side)
    painted = paint({"L": small.expand(len(captions), -1, -1, -1), "caption": list(captions.values())}).detach().float().cpu().numpy()
    colorings = [rgb_to_lab(images.merge_chroma(L, ab)) for ab in painted]                          # (H, W, 3) each
    change = lambda pixels: np.array([deltaE_ciede2000(colorings[0][pixels], one[pixels]).mean() if pixels.any() else np.nan for one in colorings])
    return Repainting(sample["id"], name, tuple(captions), targets, np.stack([one[where][:, 1:].mean(0) for one in colorings]), change(where),
                      change(background), judge)


def ask_scene(sample):
    """What `paint_words` needs of a procedural scene; None where its object has one colour only, or one at its lightness. Raises ValueError for a sample
    that is not the scene of its seed.

    >>> from colorlib.data import SceneSet
    >>> name, captions, targets, dyed, background, judge = ask_scene(SceneSet(4, 32, cache=False)[0])
    >>> name, list(captions.items())[:2], targets.shape
    ('umbrella', [('blue', 'a blue umbrella, by the blue sea'), ('green', 'a green umbrella, by the blue sea')], (3, 2))
    """
    pictures, masks, name = recolor_scene(scene_seed(sample), sample["rgb"].shape[-1])
    own, *others = pictures
    if not others:
        return None
    if not np.array_equal(pictures[own], sample["rgb"].permute(1, 2, 0).numpy()):
        raise ValueError(f"{sample['id']} is not the picture its seed makes: open the scenes at one size and empty the cache.")
    stack = np.stack(list(pictures.values()))                                                       # (K, H, W, 3)
    dyed = (stack != stack[0]).any((0, 3)) & masks[0]
    if not dyed.any():
        return None
    captions = {own: sample["caption"]} | {word: swap_color(sample["caption"], word, own) for word in others}
    return name, captions, rgb_to_lab(stack)[:, dyed, 1:].mean(1), dyed, ~masks.any(0), "exact"


def recolor_scene(seed, size):
    """The scene of a seed in every colour its object can have at its lightness: {word: rgb (H, W, 3) uint8}, its own word first; masks (K, H, W); its class.

    `scenes.make_scene(seed, color=word)` gives the object another lightness, too, as dyes have their own; here only hue and chroma of the dye change.

    >>> pictures, masks, name = recolor_scene(seed=0, size=32)
    >>> name, list(pictures), masks.shape[1:]
    ('umbrella', ['blue', 'green', 'purple'], (32, 32))
    """
    plan = planning.plan_scene(seed)
    canvas, main = planning.paint_background(plan, size), plan.objects[0]
    planning.paint_objects(canvas, plan)
    possible = [word for word, share in world.color_posterior(main.name, main.lightness).items() if share > 0 and word != main.word]
    pictures = {}
    for word in (main.word, *possible):
        low, high = dye_of(main.name, word).lightness
        level = main.level if word == main.word else (main.lightness - low) / (high - low)
        objects = (main._replace(word=word, level=level), *plan.objects[1:])
        palette = rendering.mix_palette(canvas, *planning.own_colors(plan._replace(objects=objects)))
        pictures[word] = rendering.shade_pictures(canvas, palette, plan.exposure)[0]
    return pictures, np.stack([rendering.cover(canvas, k + 1) > 0 for k in range(len(plan.objects))]), main.name


def ask_photo(sample, classes=None):
    """What `paint_words` needs of a photo; None without a mask or saliency map, or a caption that names a colour.

    A word's target is what the object gets when its prototype's a and b are put under the object's lightness and brought into the gamut, on average. A word can
    be asked where that still carries its name (no yellow on a dark object), the caption's own word in any case; words too near to the own one are left out.
    In a caption with several colour words the first one counts, which may be another thing's. Pixels that are half salient are neither object nor background.

    >>> photo = {"rgb": torch.full((3, 8, 8), 128, dtype=torch.uint8), "caption": "a bus"}
    >>> ask_photo(photo)                                         # no colour word, so nothing can be asked
    """
    texts = [text for text in (sample.get("caption"), *sample.get("captions", ())) if text and color_words(text)]
    if not texts or not {"mask", "saliency"} & set(sample):
        return None
    where = object_of(sample)                                                                       # (H, W)
    background = ~where if "mask" in sample else sample["saliency"][0].numpy() < UNSALIENT
    if not where.any() or not background.any():
        return None
    own, levels = basic(color_words(texts[0])[0]), np.quantile(rgb_to_lab(sample["rgb"])[0].numpy()[where], (np.arange(LEVELS) + 0.5) / LEVELS)
    put_under = lambda ab: map_to_gamut(np.stack([levels, *np.broadcast_to(np.array(ab)[:, None], (2, LEVELS))], -1))[0].mean(0)      # (3,) Lab
    targets = {word: put_under(color[1:]) for word, color in color_names.prototypes().items()}
    others = [word for word in COLOR_WORDS if COLOR_WORDS[int(color_names.name_colors(targets[word]))] == word
              and np.linalg.norm((targets[word] - targets[own])[1:]) > TARGETS_APART]
    if not others:
        return None
    captions = {own: texts[0]} | {word: swap_color(texts[0], word) for word in others}
    classes = class_names(classes) if sample.get("caption_source") == "derived" else classes
    name = classes[int(sample["label"])] if classes and "label" in sample else "photo"
    return name, captions, np.stack([targets[word][1:] for word in captions]), where, background, "proxy"


# ---------------------------------------------------------------- judging

def choose_nearest(distances):
    """Which of several colourings the judge takes: shares (..., K) that sum to 1, all on the nearest, split between equal ones.

    >>> choose_nearest(np.float64([[30, 2, 9], [5, 5, 40]]))
    array([[0. , 1. , 0. ],
           [0.5, 0.5, 0. ]])
    """
    nearest = distances <= distances.min(-1, keepdims=True) + TIE
    return nearest / nearest.sum(-1, keepdims=True)


def judge_choices(one):
    """The survey's task on a `Repainting`: how often the judge, given one caption and three colourings, takes the right one. NaN below three words.

    Every three of the words, and each of the three captions: the colouring whose object is nearest to the caption's target is taken.

    >>> targets = np.float64([[60, 40], [-50, 40], [10, -60]])
    >>> deaf = Repainting("cat.jpg", "bus", ("red", "green", "blue"), targets, 0 * targets, np.zeros(3), np.zeros(3), "exact")
    >>> round(judge_choices(deaf), 2)                            # grey for every word: chance
    0.33
    """
    distance = np.linalg.norm(one.targets[:, None] - one.painted[None], axis=-1)                    # (K targets, K colourings)
    right = [choose_nearest(distance[np.ix_(three, three)]).diagonal() for three in combinations(range(len(one.words)), CHOICES)]
    return float(np.mean(right)) if right else float("nan")


def judge_swaps(one):
    """{word: 1, 0 or a share between equals}: for each word put in the place of the caption's own, is the object nearer to its target than to all others'?

    >>> targets = np.float64([[60, 40], [-50, 40], [10, -60]])
    >>> red = Repainting("cat.jpg", "bus", ("red", "green", "blue"), targets, targets[[0, 0, 0]], np.zeros(3), np.zeros(3), "exact")
    >>> judge_swaps(red)                                         # red whatever one says
    {'green': 0.0, 'blue': 0.0}
    """
    distance = np.linalg.norm(one.painted[:, None] - one.targets[None], axis=-1)                    # (K colourings, K targets)
    return dict(list(zip(one.words, choose_nearest(distance).diagonal().tolist()))[1:])


def summarize(repaintings):
    """A table's columns, in percent and dE2000: an automatic stand-in, so no column has the name of a human one.

    auto manipulation: `judge_choices`, chance 33.3. followed: `judge_swaps`, chance "followed by chance". background change and object change: mean
    dE2000 between a swap and the caption's own colouring. judge: "exact", "proxy" or both. Without repaintings the two counts alone, both 0.

    >>> targets = np.float64([[60, 40], [-50, 40], [10, -60]])
    >>> one = Repainting("cat.jpg", "bus", ("red", "green", "blue"), targets, targets, np.zeros(3), np.zeros(3), "exact")
    >>> columns = summarize([one])
    >>> columns["swaps"], columns["followed"], round(columns["followed by chance"], 1)
    (2, 100.0, 33.3)
    """
    if not repaintings:
        return {"pictures": 0, "swaps": 0}
    choices = np.array([judge_choices(one) for one in repaintings])
    swaps = [list(judge_swaps(one).values()) for one in repaintings]
    chance = [np.full(len(row), 1 / (len(row) + 1)) for row in swaps]
    mean = lambda values: float(np.nanmean(values)) if not np.isnan(values).all() else None
    return {"pictures": len(repaintings), "swaps": sum(map(len, swaps)),
            "auto manipulation": mean(100 * choices), "followed": mean(100 * np.concatenate(swaps)), "followed by chance": mean(100 * np.concatenate(chance)),
            "background change": mean(np.concatenate([one.background_change[1:] for one in repaintings])),
            "object change": mean(np.concatenate([one.object_change[1:] for one in repaintings])),
            "judge": " and ".join(sorted({one.judge for one in repaintings}))}


def measure_manipulation(paint, dataset, side, pictures=60, progress=None):
    """`summarize` of `repaint`: one row of the table.

    >>> measure_manipulation(None, [{"rgb": torch.zeros(3, 8, 8, dtype=torch.uint8), "id": "cat.jpg"}], side=8)  # no caption
    {'pictures': 0, 'swaps': 0}
    """
    return summarize(repaint(paint, dataset, side, pictures, progress))


def confusion(repaintings):
    """How often each class of object followed each colour word: (shares (K, W) in [0, 1], counts (K, W), names, words); NaN where a word was never asked.

    Raises ValueError without repaintings.

    >>> targets = np.float64([[60, 40], [-50, 40], [10, -60]])
    >>> one = Repainting("cat.jpg", "bus", ("red", "green", "blue"), targets, targets, np.zeros(3), np.zeros(3), "exact")
    >>> confusion([one])
    (array([[1., 1.]]), array([[1, 1]]), ['bus'], ['green', 'blue'])
    """
    if not repaintings:
        raise ValueError("There are no repaintings to make a matrix of: no picture of the data set could be asked for another colour, see `repaint`.")
    names = sorted({one.name for one in repaintings})
    words = [word for word in COLOR_WORDS if any(word in one.words[1:] for one in repaintings)]
    counts, followed = np.zeros((len(names), len(words)), int), np.zeros((len(names), len(words)))
    for one in repaintings:
        for word, share in judge_swaps(one).items():
            cell = names.index(one.name), words.index(word)
            counts[cell] += 1
            followed[cell] += share
    with np.errstate(invalid="ignore"):
        return followed / counts, counts, names, words
