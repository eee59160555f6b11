"""What a scene of the procedural world holds: drawn from the seed before a pixel is painted, and then painted.

Each kind of choice has its own random stream, so overriding one (say, the colour word) leaves all others as they are.
"""
from typing import NamedTuple

import numpy as np

from colorlib.scenes import rendering
from colorlib.scenes.backgrounds import BACKGROUNDS as SCENERY
from colorlib.scenes.objects import DYES, THINGS, dye_of
from colorlib.scenes.rendering import Canvas

__all__ = ["plan_scene", "Plan", "Placed", "color_posterior", "CLASSES", "BACKGROUNDS", "COLORS", "COLOR_WORDS"]

CLASSES = tuple(THINGS)                                      # a label is an index into this
BACKGROUNDS = tuple(SCENERY)
COLORS = {name: dict(thing.colors) for name, thing in THINGS.items()}  # P(colour word | class)
COLOR_WORDS = tuple(DYES)

WHAT, POSE, BACKDROP, PARTS, CHROMA, WORDS, CAPTION, MOTION, CEILING = range(9)  # the random streams of a seed
COMPANION_SHARE = 0.5   # of the scenes have a second, smaller object
SATURATION = (0.75, 1.12)  # of a background, relative to its table
COMPANIONS = {
    "sky": ("balloon", "bird"), "sea": ("bird", "umbrella", "balloon"), "grass": ("flower", "bird", "balloon"),
    "road": ("car", "umbrella", "balloon"), "brick wall": ("flower", "book", "umbrella"),
    "snow": ("bird", "balloon", "car"), "night": ("car", "balloon"), "desert": ("balloon", "car"),
    "wooden table": ("mug", "book"), "forest": ("flower", "bird", "balloon"),
}


class Placed(NamedTuple):
    """An object of a plan: what it is and where it stands, in picture heights.

    >>> banana = plan_scene(7, cls="banana").objects[0]
    >>> banana.word, round(banana.lightness), banana.stands
    ('yellow', 84, True)
    """
    name: str
    word: str
    level: float     # where in its word's range of lightness, [0, 1]
    x: float
    y: float
    scale: float
    angle: float
    flip: bool
    texture: tuple   # where its surface texture is cut out
    stands: bool     # on the ground, with a shadow

    @property
    def lightness(self):
        low, high = dye_of(self.name, self.word).lightness
        return low + self.level * (high - low)


class Plan(NamedTuple):
    """Everything that is drawn from the seed before a pixel is painted.

    >>> plan = plan_scene(2)
    >>> plan.background, [item.name for item in plan.objects]
    ('wooden table', ['pumpkin', 'book'])
    """
    seed: int
    background: str
    exposure: float
    light: tuple     # direction towards the light (x, y)
    objects: tuple   # of Placed, the main object first


def plan_scene(seed, cls=None, background=None, color=None):
    """Draw what a seed's scene holds. Same arguments and errors as `make_scene`.

    >>> plan_scene(2)._replace(objects=()) == plan_scene(2, color="blue")._replace(objects=())
    True
    """
    what, pose = stream(seed, WHAT), stream(seed, POSE)
    name = CLASSES[int(what.integers(0, len(CLASSES)))]
    place, company, which = what.uniform(size=3)
    name = choose("class", cls, CLASSES, name)
    thing = THINGS[name]
    background = choose("background", background, BACKGROUNDS, thing.settings[int(place * len(thing.settings))])
    scenery = SCENERY[background]
    words = stream(seed, WORDS).uniform(size=(2, 2))
    word = choose("colour word", color, COLOR_WORDS, pick_word(COLORS[name], words[0, 0]))

    side = 1.0 if pose.uniform() < 0.5 else -1.0
    light = (-0.8 * side if pose.uniform() < 0.5 else 0.8 * side, -0.75)
    exposure = pose.uniform(*scenery.exposure)
    alone = company >= COMPANION_SHARE
    scale = pose.uniform(*thing.scale) * (1.0 if alone else 0.86)
    x = 0.5 + side * (pose.uniform(0, 0.10) if alone else pose.uniform(0.09, 0.13))
    ground = scenery.ground + pose.uniform(-0.02, 0.05) - thing.base * scale
    y = thing.floats + pose.uniform(-0.03, 0.03) if thing.floats else ground
    angle, flip = pose.uniform(-1, 1) * thing.lean, pose.uniform() < 0.5
    texture = tuple(pose.integers(0, 200, 2).tolist())
    objects = [Placed(name, word, words[0, 1], x, y, scale, angle, flip, texture, not thing.floats)]
    if not alone:
        choices = [c for c in COMPANIONS[background] if c != name]
        other = choices[int(which * len(choices))]
        thing = THINGS[other]
        scale = pose.uniform(0.105, 0.14)
        x = 0.5 - side * pose.uniform(0.33, 0.37)
        high = thing.floats > 0 or (other, background) == ("bird", "sky")
        y = pose.uniform(0.2, 0.4) if high else scenery.ground - 0.06 - thing.base * scale
        objects.append(Placed(other, pick_word(COLORS[other], words[1, 0]), words[1, 1], x, y, scale,
                              pose.uniform(-1, 1) * thing.lean, pose.uniform() < 0.5, texture[::-1], not high))
    return Plan(int(seed), background, exposure, light, tuple(objects))


def paint_background(plan, size, aspect=1.0):
    """A `Canvas` with a plan's background, `aspect` times as wide as high."""
    canvas = Canvas(size, aspect)
    SCENERY[plan.background].paint(canvas, stream(plan.seed, BACKDROP))
    return canvas


def paint_objects(canvas, plan):
    """Draw a plan's objects, the main one last, with their shadows and shading."""
    for k in reversed(range(len(plan.objects))):
        item = plan.objects[k]
        thing = THINGS[item.name]
        if item.stands:
            x, y = item.x - 0.25 * plan.light[0] * item.scale, item.y + thing.base * item.scale
            canvas.cast_shadow(x, y, 0.62 * item.scale, 0.13 * item.scale, 0.55)
        canvas.owner = k + 1
        canvas.place(item.x, item.y, item.scale, item.angle, item.flip)
        thing.draw(canvas, -1 - k, stream(plan.seed, PARTS, k))
        canvas.shade_object(k + 1, plan.light, thing.roundness, 0.06, item.texture)


def own_colors(plan):
    """The chromatic draw of a plan's own scene: dyes (D, 3), background saturation (), light tint (3,)."""
    dyes, saturation, tint = draw_colors(plan, [[o.word for o in plan.objects]], stream(plan.seed, CHROMA))
    return dyes[0], saturation[0], tint[0]


def draw_colors(plan, words, rng):
    """Draw all that a grey picture does not show, once for each row of `words` (N rows of D colour words).

    Returns dyes (N, D, 3) linear rgb at the plan's lightness, saturations (N,) and tints of the light (N, 3).
    """
    count, lightness = len(words), np.array([o.lightness for o in plan.objects])
    u = rng.uniform(size=(count, 6))  # tint, saturation, then hue and chroma of up to two objects
    low, high = np.moveaxis(np.array([[dye_of(o.name, word)[:2] for o, word in zip(plan.objects, row)]
                                      for row in words], float), -1, 0)  # (N, D, 2) each: hue, chroma
    hue, chroma = np.moveaxis(low + u[:, 2:].reshape(count, 2, 2)[:, :len(plan.objects)] * (high - low), -1, 0)
    dyes = rendering.mix_dye(lightness, chroma, hue)
    low, high = SCENERY[plan.background].warmth
    warmth = low + u[:, 0] * (high - low)
    tint = np.stack([1 + 0.16 * warmth, np.ones(count), 1 - 0.20 * warmth], axis=1)
    return dyes, SATURATION[0] + u[:, 1] * (SATURATION[1] - SATURATION[0]), tint


def color_posterior(name, lightness):
    """P(colour word | class, lightness of the dye): the class's distribution times each word's uniform density of L.

    >>> {word: round(share, 2) for word, share in color_posterior("car", 60).items() if share}
    {'green': 0.57, 'gray': 0.43}
    """
    weights = {}
    for word, share in COLORS[name].items():
        low, high = dye_of(name, word).lightness
        weights[word] = share / (high - low) if low - 1e-9 <= lightness <= high + 1e-9 else 0.0
    total = sum(weights.values())
    return {word: w / total for word, w in weights.items()}


def stream(seed, *path):
    """The generator of one random stream of a seed."""
    seed = check_count("seed", seed, 0, (1 << 63) - 1)
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(seed, spawn_key=path)))


def pick_word(shares, u):
    """The word where the running sum of the shares passes u in [0, 1)."""
    words = list(shares)
    return words[min(int(np.searchsorted(np.cumsum(list(shares.values())), u, side="right")), len(words) - 1)]


def choose(what, asked, known, drawn):
    """What was asked for, or else what was drawn. Raises ValueError for what is not known."""
    if asked is not None and asked not in known:
        raise ValueError(f"Unknown {what} {asked!r}: choose one of {', '.join(known)}.")
    return drawn if asked is None else asked


def check_count(what, value, low, high=1 << 30):
    """An int in [low, high]. Raises ValueError that names the argument."""
    if not isinstance(value, (int, np.integer)) or not low <= value <= high:
        limits = f"of {low} or more" if high == 1 << 30 else f"from {low} to {high}"
        raise ValueError(f"{what} is {value!r}: give an int {limits}.")
    return int(value)
