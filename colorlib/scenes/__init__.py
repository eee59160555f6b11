"""The procedural world: a seed makes a labelled scene with every modality colorization papers need, without a download.

    scene = make_scene(7)      # scene.captions[0]: "a red strawberry, on a brown wooden table"

`make_scene(seed)` gives aligned rgb, class, masks, saliency, captions, near infrared and line art; `reference` another
scene of the same class and colour; `make_clip` frames with known motion; `bayes_ceiling` the best ab accuracy that any
method can reach. Some classes have one colour (school bus, banana), others the distribution over colour words in
`COLORS`; changing the colour word of a scene changes nothing but the colour of its main object.

What a scene holds is drawn in `planning.py` and put on paper by `rendering.py` (inks and light); `objects.py`,
`nature.py` and `backgrounds.py` draw the things. A new thing is a function there and one row in `objects.THINGS`.
"""
from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np

from colorlib.captions import with_article
from colorlib.lab import rgb_to_lab
from colorlib.scenes import rendering
from colorlib.scenes.backgrounds import BACKGROUNDS as SCENERY
from colorlib.scenes.objects import THINGS
from colorlib.scenes.planning import (BACKGROUNDS, CAPTION, CEILING, CLASSES, COLOR_WORDS, COLORS, MOTION, WHAT, check_count,
                                      color_posterior, draw_colors, own_colors, paint_background, paint_objects, pick_word,
                                      plan_scene, stream)
from colorlib.scenes.rendering import SUPERSAMPLE, Canvas

__all__ = ["make_scene", "reference", "make_clip", "bayes_ceiling", "color_posterior", "Scene", "SceneObject", "Clip", "CLASSES", "BACKGROUNDS",
           "COLORS", "COLOR_WORDS", "SEED_OF_VAL"]

SEED_OF_VAL = 10_000_000    # first seed of the scenes that methods are tested on; those they are trained on lie below
SMALLEST = 16               # pixels a side; below, parts are thinner than a sub-pixel
LONGEST = 300               # frames of a clip
REFERENCE_STEP = 1_000_003  # from a scene's seed to its reference's
VERBS = {"balloon": "floats", "shirt": "hangs", "sailboat": "sails", "banana": "lies", "lemon": "lies"}


class SceneObject(NamedTuple):
    """One object of a `Scene`.

    >>> make_scene(2).objects[1]
    SceneObject(name='book', color='red', box=(49, 32, 60, 47))
    """
    name: str
    color: str   # colour word
    box: tuple   # (x0, y0, x1, y1) in pixels, x1 and y1 exclusive; zeros when fully hidden


@dataclass(frozen=True, eq=False)
class Scene:
    """One picture of the procedural world and everything known about it. All arrays are aligned.

    >>> scene = make_scene(2, size=32)
    >>> scene.rgb.shape, scene.masks.shape, scene.nir.shape, CLASSES[scene.label]
    ((32, 32, 3), (2, 32, 32), (32, 32), 'pumpkin')
    """
    rgb: np.ndarray        # (H, W, 3) uint8
    label: int             # index into CLASSES
    name: str
    color: str             # colour word of the main object
    background: str
    masks: np.ndarray      # (K, H, W) bool, pixels an object touches (outlines can touch two); the main object first
    objects: tuple         # K of SceneObject
    saliency: np.ndarray   # (H, W) uint8, 255 on the main object, soft at its edge, faint on a companion
    captions: tuple        # 3 strings: object first, background first, and one that names a second colour
    nir: np.ndarray        # (H, W) uint8, by each material's reflectance; a dye's is unrelated to its colour
    line_art: np.ndarray   # (H, W) uint8, lines 0 on paper 255
    seed: int


@dataclass(frozen=True, eq=False)
class Clip:
    """T frames in which the camera pans over a scenery while the objects of a scene move, turn and grow.

    flow[t, y, x] = (dx, dy) in pixels: what is at (x, y) in frame t is at (x + dx, y + dy) in frame t + 1. So sampling
    frame t + 1 at (x, y) + flow[t, y, x] (`cv2.remap`) gives frame t back where `occlusion[t]` is False. Occluded are
    pixels that are covered or out of the picture in frame t + 1, and pixels of outlines, whose colour mixes two layers
    that move differently. Shadows and shading move over surfaces, as they do in film: a small error is left.

    >>> clip = make_clip(1, frames=3)
    >>> x, y = np.meshgrid(*2 * [np.arange(64, dtype=np.float32)])
    >>> back = cv2.remap(clip.rgb[1], x + clip.flow[0, ..., 0], y + clip.flow[0, ..., 1], cv2.INTER_LINEAR)
    >>> float(np.median(cv2.absdiff(back, clip.rgb[0])[~clip.occlusion[0]]))
    0.0
    """
    rgb: np.ndarray        # (T, H, W, 3) uint8
    flow: np.ndarray       # (T - 1, H, W, 2) float32
    occlusion: np.ndarray  # (T - 1, H, W) bool
    line_art: np.ndarray   # (T, H, W) uint8
    nir: np.ndarray        # (T, H, W) uint8
    masks: np.ndarray      # (T, K, H, W) bool
    label: int
    name: str
    color: str
    background: str
    captions: tuple
    seed: int


# ---------------------------------------------------------------- scenes

def make_scene(seed, size=64, cls=None, background=None, color=None):
    """The `Scene` of a seed; `cls`, `background`, `color` override what the seed chooses and leave the rest as it is.

    seed: int >= 0. size: pixels a side, >= 16. color: any of COLOR_WORDS, also one the class never has ("a blue
    banana"); the picture then differs from the seed's own only inside masks[0].
    Raises ValueError for an unknown class, background or colour word, and for a seed or size out of range.

    >>> scene, other = make_scene(0), make_scene(0, color="red")
    >>> scene.captions[0], other.captions[0], bool((scene.rgb != other.rgb)[~scene.masks[0]].any())
    ('a blue umbrella, by the blue sea', 'a red umbrella, by the blue sea', False)
    """
    size = check_count("size", size, SMALLEST)
    plan = plan_scene(seed, cls, background, color)
    canvas = paint_background(plan, size)
    paint_objects(canvas, plan)
    palette = rendering.mix_palette(canvas, *own_colors(plan))
    rgb, nir, line_art = rendering.shade_pictures(canvas, palette, plan.exposure)
    covers = [rendering.cover(canvas, k + 1) for k in range(len(plan.objects))]
    masks = np.stack(covers) > 0
    objects = tuple(SceneObject(o.name, o.word, bounding_box(mask)) for o, mask in zip(plan.objects, masks))
    main = plan.objects[0]
    return Scene(rgb, CLASSES.index(main.name), main.name, main.word, plan.background, masks, objects,
                 mark_saliency(covers), write_captions(plan), nir, line_art, plan.seed)


def reference(scene, seed=None, same_color=True):
    """Another `Scene` of the same class and size: other pose, light and, where the class is at home in two, background.

    same_color=True keeps the colour word, as an ideal retrieved reference would; False draws it anew. `seed` defaults
    to a function of the scene's seed, so that each scene has one reference.

    >>> make_scene(7).captions[0], reference(make_scene(7)).captions[0]
    ('a red strawberry, on a brown wooden table', 'a red strawberry on the green grass')
    """
    seed = scene.seed + REFERENCE_STEP if seed is None else seed
    others = [b for b in THINGS[scene.name].settings if b != scene.background] or [scene.background]
    background = others[int(stream(seed, WHAT).integers(0, len(others)))]
    return make_scene(seed, len(scene.rgb), scene.name, background, scene.color if same_color else None)


def mark_saliency(covers):
    """K cover planes (H, W) in [0, 1] -> (H, W) uint8: main object 255, fading over its edge; companions faint."""
    sigma = covers[0].shape[0] / 32
    soft = [np.maximum(c, cv2.GaussianBlur(c, (0, 0), sigma)) for c in covers]
    return np.rint(255 * np.max([soft[0]] + [0.3 * s for s in soft[1:]], axis=0)).astype(np.uint8)


def bounding_box(mask):
    """(x0, y0, x1, y1) of a mask (H, W), x1 and y1 exclusive; zeros for an empty one."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return (int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1) if len(rows) else (0, 0, 0, 0)


def write_captions(plan):
    """Three captions: object first; background first; and one that names a second colour."""
    main, rng = plan.objects[0], stream(plan.seed, CAPTION)
    place, scenery = SCENERY[plan.background].place, SCENERY[plan.background].scenery
    one, first, verb = with_article(main.name), with_article(f"{main.word} {main.name}"), VERBS.get(main.name, "stands")
    plain = (f"{first} {place}", f"{first}, {place}", f"a photo of {first} {place}")
    turned = (f"{place} {verb} {one} painted {main.word}", f"{place} there is {first}",
              f"{place} we see {one} that is {main.word}")
    if len(plan.objects) > 1:
        second = with_article(f"{plan.objects[1].word} {plan.objects[1].name}")
        rich = (f"{first} and {second} {place}", f"{first} next to {second}", f"{second} behind {first} {place}")
    else:
        rich = (f"{first} before the {scenery}", f"the {scenery} behind {first}", f"{first} and the {scenery}")
    return tuple(forms[k] for forms, k in zip((plain, turned, rich), rng.integers(0, 3, 3)))


# ---------------------------------------------------------------- clips

def make_clip(seed, frames=8, size=64, cls=None, background=None, color=None):
    """A `Clip` with the objects and colours of the seed's scene; the other arguments as in `make_scene`.

    frames: 2 to 300. Raises ValueError as `make_scene` does.

    >>> clip = make_clip(0, frames=5, size=32)
    >>> clip.rgb.shape, clip.flow.shape, clip.color
    ((5, 32, 32, 3), (4, 32, 32, 2), 'blue')
    """
    size, frames = check_count("size", size, SMALLEST), check_count("frames", frames, 2, LONGEST)
    plan, rng = plan_scene(seed, cls, background, color), stream(seed, MOTION)
    side = size * SUPERSAMPLE
    pan = (1 if rng.uniform() < 0.5 else -1) * max(1, int(rng.integers(1, 3)) * size // 64)
    pan *= SUPERSAMPLE  # sub-pixels a frame; whole pixels, so that the scenery warps back without interpolation
    wide = paint_background(plan, size, 1 + abs(pan) * (frames - 1) / side)
    colors, rates = own_colors(plan), [draw_motion(o, frames, rng) for o in plan.objects]
    pictures, covers, matrices = [], [], []
    for t in range(frames):
        left = pan * t if pan > 0 else -pan * (frames - 1 - t)
        canvas = Canvas(size)
        canvas.ids, canvas.gain = (plane[:, left:left + side].copy() for plane in (wide.ids, wide.gain))
        canvas.inks, canvas.bases = list(wide.inks), list(wide.bases)
        objects = tuple(o._replace(x=o.x + t * dx, y=o.y + t * dy, scale=o.scale * (1 + t * grow),
                                   angle=o.angle + t * turn) for o, (dx, dy, grow, turn) in zip(plan.objects, rates))
        paint_objects(canvas, plan._replace(objects=objects))
        pictures.append(rendering.shade_pictures(canvas, rendering.mix_palette(canvas, *colors), plan.exposure))
        covers.append(np.stack([rendering.cover(canvas, k) for k in range(len(objects) + 1)]))
        camera = np.array([[1, 0, -left / side], [0, 1, 0]])
        matrices.append([camera] + [rendering.place_matrix(o.x, o.y, o.scale, o.angle, o.flip) for o in objects])
    motion = [follow(covers[t:t + 2], matrices[t:t + 2]) for t in range(frames - 1)]
    flow, occlusion = (np.stack(part) for part in zip(*motion))
    rgb, nir, line_art = (np.stack(part) for part in zip(*pictures))
    main = plan.objects[0]
    return Clip(rgb, flow, occlusion, line_art, nir, np.stack(covers)[:, 1:] > 0, CLASSES.index(main.name), main.name,
                main.word, plan.background, write_captions(plan), plan.seed)


def draw_motion(item, frames, rng):
    """An object's change a frame: x and y in picture heights, relative size, radians. Long clips move slower."""
    speed = min(1.0, 14 / (frames - 1))
    free = THINGS[item.name].floats > 0  # what stands keeps to the ground
    toward = 1 if item.x < 0.5 else -1
    dx, dy, grow, turn = rng.uniform((0.005, -0.008, -0.012, -0.02), (0.025, 0.008, 0.012, 0.02)) * speed
    return dx * toward, dy * free, grow, turn * (1.0 if free else 0.25)


def follow(covers, matrices):
    """Flow (H, W, 2) and occlusion (H, W) from frame t to t + 1.

    covers: for t and t + 1 the shares (K + 1, H, W) of background and objects in each pixel; matrices: for t and t + 1
    each layer's map (2, 3) from its own coordinates to picture heights.
    """
    size = covers[0].shape[-1]
    grid = np.stack(np.meshgrid(np.arange(size), np.arange(size)), axis=-1).astype(float)  # (H, W, 2), x then y
    label = covers[0].argmax(axis=0)
    flow = np.zeros((size, size, 2))
    for k, (before, after) in enumerate(zip(*matrices)):
        own = ((grid + 0.5) / size - before[:, 2]) @ np.linalg.inv(before[:, :2]).T
        there = (own @ after[:, :2].T + after[:, 2]) * size - 0.5
        flow[label == k] = (there - grid)[label == k]
    inside = ((grid + flow >= 0) & (grid + flow <= size - 1)).all(axis=-1)
    x, y = np.moveaxis(np.clip(np.rint(grid + flow).astype(int), 0, size - 1), -1, 0)
    seen = np.zeros((size, size), bool)
    for k in range(len(covers[0])):  # a pixel whose 3 x 3 neighbours are all purely of its layer is clean
        clean = [cv2.erode((c[k] > 0.999).astype(np.uint8), np.ones((3, 3), np.uint8)) > 0 for c in covers]
        seen |= clean[0] & clean[1][y, x]
    return flow.astype(np.float32), ~(seen & inside)


# ---------------------------------------------------------------- the ceiling

def bayes_ceiling(size=64, scenes=64, grid=10, seed=0, cls=None, draws=256, pixels=256):
    """The best possible ab accuracy on the scenes seed .. seed + scenes - 1, without and with the caption.

    A pixel is right when its true ab bin is the one named (acc@1) or among five named (acc@5); its bin is the nearest
    multiple of `grid` in a and in b. The observer sees the grey picture and knows how this world is made. He is told
    all that could be worked out from the grey picture with enough skill: classes, geometry, materials, textures,
    shading, the level of the light and the lightness L of each object's dye. He is not told what leaves no trace in L
    (see `rendering`): the colour words, hue and chroma of the dyes, tint of the light, saturation of the background.
    L does say something about the word (yellow is light, blue is dark): his belief is `color_posterior`. With the
    caption he also knows the colour words of all objects. As he knows at least what any method can find in the
    picture, no method has a higher expected accuracy.

    How: each scene is re-rendered `draws` times from his posterior, which gives the distribution of each pixel's bin;
    he names the most probable bins, and their mass is his expected accuracy. The mass is taken on the same draws, so
    the ceiling is estimated a little high, never low on average. Measured on up to `pixels` pixels of the main object
    and as many of the whole picture in each scene; `cls` keeps to one class.

    Returns {"object": row, "all": row, "classes": {name: row}}, class rows over object pixels. A row maps "acc@1" and
    "acc@5" (grey picture only), "acc@1 caption" and "acc@5 caption" to ceilings in [0, 1], and the same keys +
    " scored" to what this observer gets on the scenes' own colours: a check that the claim is calibrated. Raises
    ValueError as `make_scene` does.

    >>> best = bayes_ceiling(size=16, scenes=2, draws=32)["object"]
    >>> best["acc@1"] < best["acc@1 caption"] < best["acc@5 caption"]      # to be told the colours helps
    True
    """
    size, scenes = check_count("size", size, SMALLEST), check_count("scenes", scenes, 1)
    rows, classes = {"object": [], "all": []}, {}
    for number in range(int(seed), int(seed) + scenes):
        plan, rng = plan_scene(number, cls), stream(number, CEILING)
        canvas = paint_background(plan, size)
        paint_objects(canvas, plan)
        for region, where in (("object", rendering.cover(canvas, 1) > 0.5), ("all", np.ones((size, size), bool))):
            spots = np.flatnonzero(where)
            spots = rng.choice(spots, min(pixels, len(spots)), replace=False)
            light = rendering.gather_light(canvas, plan.exposure, spots)
            rows[region].append({**observe(canvas, plan, light, "", grid, draws),
                                 **observe(canvas, plan, light, " caption", grid, draws)})
        classes.setdefault(plan.objects[0].name, []).append(rows["object"][-1])
    result = {region: average_rows(table) for region, table in rows.items()}
    return {**result, "classes": {name: average_rows(table) for name, table in classes.items()}}


def observe(canvas, plan, light, caption, grid, draws):
    """One observer's row on the pixels of `light` (P, M); caption: "" or " caption", when he knows the colour words."""
    rng = stream(plan.seed, CEILING, 1)  # the same draws with and without the caption
    beliefs = [{o.word: 1.0} if caption else color_posterior(o.name, o.lightness) for o in plan.objects]
    levels = [(rng.permutation(draws) + 0.5) / draws for _ in beliefs]  # stratified: words in their exact shares
    words = [[pick_word(belief, u) for belief, u in zip(beliefs, row)] for row in zip(*levels)]
    bins = find_bins(canvas, light, draw_colors(plan, words, rng), grid)              # (draws, P)
    truth = find_bins(canvas, light, [c[None] for c in own_colors(plan)], grid)[0]    # (P,)
    row = {f"acc@{k}{caption}{scored}": [] for k in (1, 5) for scored in ("", " scored")}
    for column, true in zip(bins.T, truth):
        names, counts = np.unique(column, return_counts=True)
        order = np.argsort(-counts, kind="stable")[:5]
        for k in (1, 5):
            row[f"acc@{k}{caption}"].append(counts[order[:k]].sum() / draws)
            row[f"acc@{k}{caption} scored"].append(true in names[order[:k]])
    return {key: float(np.mean(values)) for key, values in row.items()}


def find_bins(canvas, light, colors, grid):
    """ab bin number (N, P) of the pixels of `light` (P, M) under N chromatic draws."""
    rgb = rendering.encode_srgb(light @ rendering.mix_palette(canvas, *colors))  # (N, P, 3)
    a, b = np.moveaxis(np.rint(rgb_to_lab(rgb)[..., 1:] / grid).astype(int), -1, 0)
    return a * 1000 + b


def average_rows(table):
    """The mean of every column of a list of dicts."""
    return {key: float(np.mean([row[key] for row in table])) for key in table[0]}
