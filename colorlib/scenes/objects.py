"""The objects of the procedural world: how each is drawn from parts, and which colours it comes in.

Each `draw_*(c, dye, rng)` draws on the canvas `c` in object coordinates, [-1, 1] with y down, with `dye` for the parts
that carry the object's colour. Random parts come from `rng`, never from the colour: a new colour keeps the picture.
"""
from typing import NamedTuple

import numpy as np

from colorlib.scenes import nature
from colorlib.scenes.backgrounds import GLASS, WOOD
from colorlib.scenes.rendering import CIRCLE, bend

__all__ = ["THINGS", "Thing", "DYES", "Dye"]

RUBBER, PAINT = 0.05, 0.55  # near-infrared reflectance, linear (ours: not measured)


def wheel(c, x, y, r):
    c.oval(x, y, r, r, c.ink("#2a2a2e", nir=RUBBER))
    c.oval(x, y, 0.55 * r, 0.55 * r, c.ink("#b9bec4", nir=0.45))
    c.oval(x, y, 0.2 * r, 0.2 * r, c.ink("#5c6066", nir=0.3))


def draw_bus(c, dye, rng):
    body, dark = c.ink(dye, nir=PAINT), c.ink("#2b2b2f", nir=0.1)
    glass, shine = c.ink("#7fa6c0", nir=GLASS), c.ink("#b6d2e2", nir=GLASS + 0.08)
    c.rect(-1, -0.52, 0.78, 0.5, body, 0.14)
    c.rect(0.6, 0.02, 1, 0.5, body, 0.1)
    c.rect(-0.96, -0.52, 0.7, -0.42, c.ink(dye, tone=1.25, nir=PAINT + 0.05), 0.05)
    for x in (-0.9, -0.6, -0.3, 0.0):
        c.rect(x, -0.34, x + 0.24, -0.02, glass, 0.03)
        c.poly([(x + 0.05, -0.02), (x + 0.15, -0.34), (x + 0.21, -0.34), (x + 0.11, -0.02)], shine)
    c.rect(0.32, -0.34, 0.54, 0.42, glass, 0.03)
    c.rect(0.42, -0.34, 0.44, 0.42, dark)
    c.rect(0.6, -0.34, 0.77, 0.0, shine, 0.03)
    c.rect(-1, 0.10, 0.3, 0.14, dark)
    c.rect(-1, 0.24, 0.3, 0.27, dark)
    c.rect(-1.02, 0.42, 1.02, 0.5, dark, 0.03)
    c.oval(0.97, 0.26, 0.05, 0.07, c.ink("#fff3bf", nir=0.6))
    c.oval(-0.97, 0.3, 0.04, 0.06, c.ink("#d8372f", nir=0.4))
    if rng.uniform() < 0.6:
        c.oval(0.2, 0.19, 0.1, 0.1, c.ink("#cf2e28", nir=0.5))
        c.rect(0.13, 0.17, 0.27, 0.21, c.ink("#ffffff", nir=0.6))
    wheel(c, -0.58, 0.5, 0.21)
    wheel(c, 0.6, 0.5, 0.21)


def draw_fire_truck(c, dye, rng):
    body, white, steel = c.ink(dye, nir=PAINT), c.ink("#f4f3ee", nir=0.65), c.ink("#c4c9cf", nir=0.45)
    glass, dark = c.ink("#8fb4cb", nir=GLASS), c.ink("#34353a", nir=0.1)
    c.rect(-1, -0.18, 0.4, 0.48, body, 0.05)
    c.rect(0.36, -0.42, 1, 0.48, body, 0.12)
    for y in (-0.45, -0.32):
        c.stroke([(-1.0, y + 0.02), (0.38, y - 0.05)], 0.05, steel)
    for x in np.linspace(-0.9, 0.28, 7):
        c.stroke([(x, -0.45), (x, -0.32)], 0.035, steel)
    c.rect(-0.7, -0.32, -0.6, -0.15, dark)
    c.rect(0.0, -0.34, 0.1, -0.15, dark)
    c.rect(-1, 0.14, 1, 0.24, white)
    for x in (-0.92, -0.58, -0.24):
        c.rect(x, -0.12, x + 0.28, 0.1, c.ink(dye, tone=0.72, nir=0.4), 0.02)
    c.oval(0.2, -0.01, 0.1, 0.1, steel)
    c.rect(0.46, -0.32, 0.66, -0.02, glass, 0.03)
    c.rect(0.74, -0.32, 0.99, 0.0, glass, 0.03)
    c.rect(0.52, -0.52, 0.74, -0.42, c.ink("#3f78d8", nir=0.5), 0.05)
    c.rect(-1.02, 0.40, 1.03, 0.48, steel, 0.03)
    c.oval(0.96, 0.32, 0.05, 0.05, c.ink("#fff3bf", nir=0.6))
    for x in (-0.62, 0.64):
        wheel(c, x, 0.5, 0.2)


def draw_car(c, dye, rng):
    body, glass = c.ink(dye, nir=rng.uniform(0.1, 0.75)), c.ink("#8fb0c4", nir=GLASS)
    low = 0.0 if rng.uniform() < 0.5 else 0.12  # a tall or a flat car
    c.poly(np.concatenate([bend([(-0.72, 0.02), (-0.55, -0.55 + low), (-0.1, -0.5 + low)]),
                           bend([(-0.1, -0.5 + low), (0.32, -0.5 + low), (0.58, 0.02)])]), body)
    c.rect(-1, -0.05, 1, 0.42, body, 0.2)
    front = bend([(-0.56, -0.02), (-0.46, -0.42 + low), (-0.12, -0.40 + low)])
    c.poly(np.concatenate([front, [(-0.12, -0.02)]]), glass)
    c.poly(np.concatenate([bend([(-0.02, -0.40 + low), (0.24, -0.40 + low), (0.42, -0.02)]), [(-0.02, -0.02)]]), glass)
    c.poly([(0.04, -0.02), (0.14, -0.38 + low), (0.22, -0.36 + low), (0.13, -0.02)], c.ink("#c3d9e4", nir=GLASS + 0.1))
    c.rect(-0.98, 0.28, 0.98, 0.42, c.ink(dye, tone=0.7, nir=0.35), 0.08)
    c.rect(-0.075, 0.0, -0.055, 0.3, c.ink(dye, tone=0.55, nir=0.3))
    c.rect(-0.22, 0.08, -0.12, 0.115, c.ink("#e5e7e9", nir=0.5))
    c.rect(-0.7, -0.02, 0.8, 0.02, c.ink(dye, tone=1.3, nir=0.6, line=body))
    c.oval(0.92, 0.11, 0.075, 0.085, c.ink("#fff3c4", nir=0.6))
    c.rect(-1.0, 0.05, -0.9, 0.18, c.ink("#d33a33", nir=0.4), 0.04)
    for x in (-0.55, 0.55):
        wheel(c, x, 0.42, 0.23)


def draw_shirt(c, dye, rng):
    nir = rng.uniform(0.2, 0.8)
    cloth, seam = c.ink(dye, nir=nir), c.ink(dye, tone=0.72, nir=0.8 * nir)
    c.stroke(bend([(-0.3, -0.86), (0.0, -1.1), (0.3, -0.86)]), 0.05, c.ink("#8a6a48", nir=WOOD))
    c.stroke(bend([(0, -0.98), (0, -1.12), (0.14, -1.14), (0.1, -1.3), (-0.05, -1.26)]), 0.035,
             c.ink("#55585e", nir=0.3))
    c.poly([(-0.36, -0.82), (-0.98, -0.42), (-0.78, 0.06), (-0.52, -0.12), (-0.55, 0.88), (0.55, 0.88), (0.52, -0.12),
            (0.78, 0.06), (0.98, -0.42), (0.36, -0.82)], cloth)
    pattern = rng.integers(0, 3)
    pale = c.ink("#f3efe6", nir=0.75 * nir)
    if pattern == 1:
        for y in (0.1, 0.36, 0.62):
            c.rect(-0.535, y, 0.535, y + 0.1, pale)
    elif pattern == 2:
        c.rect(0.14, -0.2, 0.4, 0.12, seam, 0.04)
    for side in (-1, 1):
        c.stroke([(side * 0.53, -0.12), (side * 0.45, -0.58)], 0.03, seam)
        c.stroke([(side * 0.93, -0.33), (side * 0.76, 0.0)], 0.04, seam)
    c.stroke([(-0.1, 0.84), (-0.16, 0.3)], 0.03, seam)
    c.oval(0, -0.80, 0.34, 0.22, seam)
    c.oval(0, -0.84, 0.27, 0.16, c.ink("#3d3a40", nir=0.3))
    if pattern == 0:
        for y in (-0.45, -0.15, 0.15, 0.45):
            c.oval(0, y, 0.045, 0.045, pale)


def draw_balloon(c, dye, rng):
    skin = c.ink(dye, nir=rng.uniform(0.2, 0.75))
    sway = rng.uniform(-0.25, 0.25)
    c.stroke(bend([(0, 0.5), (sway, 0.7), (-sway, 0.85), (0.1, 1.0)]), 0.035, c.ink("#e9e6df", nir=0.5))
    c.poly([(0, 0.38), (0.1, 0.54), (-0.1, 0.54)], c.ink(dye, tone=0.75, nir=0.4))
    c.poly(CIRCLE * np.where(CIRCLE[:, 1:] > 0, (0.62, 0.72), (0.62, 0.62)) + (0, -0.3), skin)
    c.oval(-0.24, -0.55, 0.12, 0.18, c.ink(dye, tone=1.6, nir=0.7, line=skin), 0.5)
    c.oval(-0.33, -0.25, 0.05, 0.08, c.ink(dye, tone=1.4, nir=0.65, line=skin), 0.2)


def draw_umbrella(c, dye, rng):
    nir = rng.uniform(0.2, 0.75)
    handle = bend([(0, 0.8), (0.02, 1.02), (0.24, 1.0), (0.24, 0.8)], 8)
    c.stroke(np.concatenate([[(0, -0.7), (0, 0.75)], handle]), 0.06, c.ink("#5e4633", nir=0.4))
    c.stroke([(0, -0.95), (0, -0.7)], 0.05, c.ink("#4c4c50", nir=0.3))
    cloth, dark = c.ink(dye, nir=nir), c.ink(dye, tone=0.78, nir=0.85 * nir)
    x = np.linspace(-1, 1, 7)
    for k in (0, 5, 1, 4, 2, 3):
        rim = bend([(x[k], 0.05), ((x[k] + x[k + 1]) / 2, -0.14), (x[k + 1], 0.05)], 8)
        left, right = (bend([(0.0, -0.86), (1.05 * e, -0.82 + 0.25 * abs(e)), (e, 0.05)], 8) for e in (x[k], x[k + 1]))
        c.poly(np.concatenate([left, rim, right[::-1]]), dark if k % 2 else cloth)


def draw_mug(c, dye, rng):
    nir = rng.uniform(0.3, 0.75)
    glaze, dark = c.ink(dye, nir=nir), c.ink(dye, tone=0.68, nir=0.8 * nir)
    c.stroke(bend([(0.5, -0.35), (1.15, -0.4), (1.1, 0.5), (0.48, 0.4)]), 0.17, dark)
    c.rect(-0.64, -0.55, 0.60, 0.8, glaze, 0.16)
    c.rect(-0.64, -0.55, 0.60, -0.2, glaze)
    if rng.uniform() < 0.55:
        band = c.ink("#f5f0e4", nir=0.7)
        for y in (0.08, 0.32):
            c.rect(-0.64, y, 0.60, y + 0.1, band)
    c.oval(-0.02, -0.55, 0.62, 0.18, c.ink(dye, tone=1.25, nir=nir))
    c.oval(-0.02, -0.54, 0.52, 0.13, c.ink("#4b2f1d", nir=0.3))
    c.rect(-0.5, -0.28, -0.4, 0.55, c.ink(dye, tone=1.45, nir=0.8, line=glaze), 0.05)


def draw_book(c, dye, rng):
    nir = rng.uniform(0.2, 0.75)
    cover, spine, page = c.ink(dye, nir=nir), c.ink(dye, tone=0.66, nir=0.8 * nir), c.ink("#f3ecd8", nir=0.7)
    c.poly([(-0.6, 0.86), (-0.5, 0.98), (0.78, 0.98), (0.78, -0.72), (0.66, -0.84)], page)
    for x in (0.70, 0.74):
        c.stroke([(x, -0.7), (x, 0.92)], 0.012, c.ink("#c9bfa4", nir=0.6))
    c.rect(-0.66, -0.86, 0.66, 0.88, cover, 0.05)
    c.rect(-0.66, -0.86, -0.46, 0.88, spine, 0.05)
    c.poly([(-0.66, 0.88), (0.66, 0.88), (0.78, 0.98), (0.78, 0.93), (0.70, 0.86)], spine)
    gold = c.ink("#e9cf8a", nir=0.6)
    c.rect(-0.3, -0.62, 0.5, -0.26, gold, 0.04)
    c.rect(-0.2, -0.52, 0.4, -0.46, spine)
    c.rect(-0.12, -0.40, 0.32, -0.35, spine)
    if rng.uniform() < 0.5:
        c.oval(0.1, 0.28, 0.24, 0.24, gold)
        c.oval(0.1, 0.28, 0.17, 0.17, cover)


def draw_boat(c, dye, rng):
    nir, white = rng.uniform(0.2, 0.7), c.ink("#f8f6ee", nir=0.7)
    sail, dark = c.ink(dye, nir=nir), c.ink(dye, tone=0.78, nir=0.85 * nir)
    c.stroke([(0.0, -0.98), (0.0, 0.5)], 0.06, c.ink("#7a5a3c", nir=WOOD))
    c.poly(np.concatenate([bend([(0.06, -0.9), (0.75, -0.2), (0.82, 0.34)]), [(0.06, 0.34)]]), sail)
    c.poly(np.concatenate([bend([(-0.06, -0.72), (-0.5, -0.1), (-0.62, 0.34)]), [(-0.06, 0.34)]]), dark)
    c.stroke([(0.08, 0.0), (0.7, 0.0)], 0.05, dark)
    c.poly([(-0.95, 0.44), (0.98, 0.44), (0.72, 0.86), (-0.68, 0.86)], white)
    c.poly([(-0.86, 0.60), (0.9, 0.60), (0.82, 0.72), (-0.79, 0.72)], c.ink("#8b5a36", nir=WOOD))


class Dye(NamedTuple):
    """The CIE LCh range of a colour word in white light: hue in degrees, chroma, lightness; each drawn uniformly.

    >>> DYES["yellow"].lightness, DYES["blue"].lightness      # L tells something of the colour word
    ((74, 88), (34, 58))
    """
    hue: tuple
    chroma: tuple
    lightness: tuple


DYES = {
    "red": Dye((26, 38), (62, 88), (36, 54)), "orange": Dye((54, 66), (62, 86), (56, 72)),
    "yellow": Dye((86, 96), (62, 88), (74, 88)), "green": Dye((132, 150), (40, 62), (38, 66)),
    "blue": Dye((256, 278), (36, 58), (34, 58)), "purple": Dye((306, 322), (42, 64), (34, 56)),
    "pink": Dye((350, 370), (34, 52), (58, 76)), "brown": Dye((54, 68), (24, 38), (30, 46)),
    "white": Dye((80, 110), (0, 4), (86, 95)), "black": Dye((240, 300), (0, 4), (10, 20)),
    "gray": Dye((220, 280), (0, 5), (46, 72)),
}


class Thing(NamedTuple):
    """A class of objects: how it is drawn, where it is at home, in which colours.

    >>> THINGS["mug"].settings, sum(THINGS["mug"].colors.values())
    (('wooden table', 'brick wall', 'snow'), 1.0)
    """
    draw: object      # function (canvas, dye, rng), in object coordinates
    base: float       # y of its lowest point in object coordinates
    scale: tuple      # range of its half width, in picture heights
    settings: tuple   # backgrounds it is at home in
    lean: float       # largest turn, radians
    floats: float     # height of its middle when it hangs or floats, 0 when it stands on the ground
    roundness: float  # depth of its shading
    colors: dict      # P(colour word | class)
    dye: Dye = None   # a narrower range for a class of one colour


PRODUCE = ("wooden table", "grass", "brick wall")

THINGS = {
    "school bus": Thing(draw_bus, 0.71, (0.31, 0.37), ("road", "brick wall", "snow", "night", "desert"), 0.02, 0, 0.45,
                        {"yellow": 1.0}, Dye((76, 82), (72, 84), (72, 79))),
    "fire truck": Thing(draw_fire_truck, 0.70, (0.31, 0.37), ("road", "brick wall", "snow", "night", "forest"), 0.02,
                        0, 0.45, {"red": 1.0}, Dye((32, 37), (70, 84), (40, 47))),
    "banana": Thing(nature.draw_banana, 0.60, (0.25, 0.34), PRODUCE, 0.3, 0, 0.7,
                    {"yellow": 1.0}, Dye((88, 94), (68, 80), (79, 86))),
    "lemon": Thing(nature.draw_lemon, 0.66, (0.22, 0.30), PRODUCE, 0.3, 0, 0.8,
                   {"yellow": 1.0}, Dye((94, 100), (72, 84), (82, 88))),
    "pumpkin": Thing(nature.draw_pumpkin, 0.80, (0.26, 0.34), PRODUCE + ("forest", "night"), 0.08, 0, 0.8,
                     {"orange": 1.0}, Dye((56, 62), (70, 82), (58, 66))),
    "strawberry": Thing(nature.draw_strawberry, 0.95, (0.24, 0.31), PRODUCE, 0.3, 0, 0.8,
                        {"red": 1.0}, Dye((28, 34), (68, 80), (40, 47))),
    "frog": Thing(nature.draw_frog, 0.93, (0.24, 0.31), ("grass", "forest", "sea", "night"), 0.05, 0, 0.7,
                  {"green": 1.0}, Dye((126, 134), (50, 60), (54, 64))),
    "polar bear": Thing(nature.draw_bear, 0.82, (0.28, 0.36), ("snow", "sea", "night"), 0.04, 0, 0.9,
                        {"white": 1.0}, Dye((84, 98), (4, 8), (88, 94))),
    "tree": Thing(nature.draw_tree, 1.0, (0.30, 0.37), ("grass", "snow", "desert", "road"), 0.05, 0, 0.8,
                  {"green": 1.0}, Dye((124, 136), (38, 48), (44, 54))),
    "flamingo": Thing(nature.draw_flamingo, 0.99, (0.31, 0.38), ("sea", "grass", "desert", "forest"), 0.06, 0, 0.7,
                      {"pink": 1.0}, Dye((358, 368), (44, 52), (64, 71))),
    "car": Thing(draw_car, 0.65, (0.28, 0.36), ("road", "brick wall", "snow", "night", "desert", "forest"), 0.03,
                 0, 0.55, {"red": 0.22, "blue": 0.22, "white": 0.14, "black": 0.10, "green": 0.14, "yellow": 0.08,
                           "gray": 0.10}),
    "shirt": Thing(draw_shirt, 0.88, (0.26, 0.32), ("brick wall", "wooden table", "grass"), 0.12, 0.47, 0.5,
                   {"red": 0.18, "blue": 0.26, "white": 0.16, "green": 0.14, "purple": 0.12, "pink": 0.08,
                    "black": 0.06}),
    "balloon": Thing(draw_balloon, 1.0, (0.26, 0.34), ("sky", "sea", "grass", "snow", "desert", "night"), 0.15,
                     0.45, 0.9, {"red": 0.25, "blue": 0.20, "yellow": 0.15, "green": 0.15, "purple": 0.15,
                                 "pink": 0.10}),
    "flower": Thing(nature.draw_flower, 1.0, (0.26, 0.33), ("grass", "brick wall", "forest", "sky"), 0.12, 0, 0.5,
                    {"red": 0.20, "pink": 0.20, "purple": 0.20, "yellow": 0.15, "white": 0.10, "blue": 0.15}),
    "bird": Thing(nature.draw_bird, 0.82, (0.25, 0.33), ("sky", "grass", "snow", "forest", "sea"), 0.12, 0, 0.75,
                  {"red": 0.25, "blue": 0.30, "green": 0.20, "yellow": 0.15, "brown": 0.10}),
    "umbrella": Thing(draw_umbrella, 1.0, (0.28, 0.36), ("road", "sea", "brick wall", "snow", "sky"), 0.2, 0, 0.6,
                      {"red": 0.25, "blue": 0.20, "green": 0.15, "purple": 0.15, "black": 0.10, "orange": 0.15}),
    "mug": Thing(draw_mug, 0.80, (0.23, 0.29), ("wooden table", "brick wall", "snow"), 0.03, 0, 0.6,
                 {"red": 0.20, "blue": 0.20, "white": 0.15, "green": 0.20, "orange": 0.15, "purple": 0.10}),
    "book": Thing(draw_book, 0.98, (0.23, 0.29), ("wooden table", "grass", "brick wall"), 0.12, 0, 0.3,
                  {"red": 0.22, "blue": 0.22, "green": 0.20, "brown": 0.20, "purple": 0.10, "black": 0.06}),
    "sailboat": Thing(draw_boat, 0.86, (0.27, 0.34), ("sea",), 0.06, 0.42, 0.5,
                      {"red": 0.25, "white": 0.20, "blue": 0.20, "orange": 0.15, "green": 0.20}),
}


def dye_of(name, word):
    """The colour range of a word on a class: a class of one colour has its own, all others share `DYES`."""
    thing = THINGS[name]
    return thing.dye if thing.dye and word in thing.colors else DYES[word]
