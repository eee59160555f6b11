"""The ten backgrounds of the procedural world. Each `paint_*(c, rng)` fills canvas `c` in unit coordinates (y down).

A background is painted for any aspect, so that a clip's camera can pan over it. The reflectances follow what plants
(bright), clear sky and water (dark), snow and stone do at 700-1000 nm, in round numbers (ours: not measured).
"""
from typing import NamedTuple

import numpy as np

__all__ = ["BACKGROUNDS", "Background"]

LEAF, GRASS, SKY, CLOUD, WATER, SNOW, SAND, ASPHALT, BRICK, WOOD, STONE, GLASS = (
    0.75, 0.68, 0.10, 0.72, 0.04, 0.80, 0.55, 0.14, 0.40, 0.50, 0.32, 0.12)  # near-infrared reflectance, linear


def fade(c, y0, y1, g0, g1):
    """Multiply the light of the rows y0..y1 by a ramp from g0 to g1."""
    a, b = (int(round(y * c.rows)) for y in (y0, y1))
    c.gain[a:b] *= np.linspace(g0, g1, b - a, dtype=np.float32)[:, None]


def roughen(c, y0, y1, kind, amount, rng):
    """Lay a texture over the light of the rows y0..y1; it only darkens, so that nothing clips."""
    a, b = (int(round(y * c.rows)) for y in (y0, y1))
    noise = c.noise(kind, rng.integers(0, 512, 2), (b - a, c.ids.shape[1]))
    c.gain[a:b] *= 1 - amount * (0.5 + 0.5 * noise)


def speckle(c, ink, variant, kind, threshold, rng):
    """Turn the parts of `ink` where a noise is above `threshold` into `variant`."""
    noise = c.noise(kind, rng.integers(0, 512, 2))
    c.ids[(c.ids == ink) & (noise > threshold)] = variant


def hill(c, y, height, ink, rng, waves=1.3):
    """A rolling ridge around the row y, filled to the bottom."""
    wide = c.ids.shape[1] / c.rows
    x = np.linspace(-0.05, wide + 0.05, 40)
    phase = rng.uniform(0, 2 * np.pi, 2)
    ridge = y - height * (np.sin(x * waves * 2 * np.pi + phase[0]) + 0.4 * np.sin(x * waves * 5 * np.pi + phase[1]))
    c.poly(np.concatenate([np.stack([x, ridge], 1), [(wide + 0.05, 1.05), (-0.05, 1.05)]]), ink)


def fill(c, y0, y1, ink):
    """Fill the rows y0..y1 over the whole width."""
    c.rect(-0.1, y0, c.ids.shape[1] / c.rows + 0.1, y1, ink)


def scatter(c, rng, count, y0, y1):
    """`count` random points per unit of width between two rows."""
    wide = c.ids.shape[1] / c.rows
    n = int(round(count * wide))
    return zip(rng.uniform(0, wide, n), rng.uniform(y0, y1, n), rng.uniform(0, 1, n))


def blue_sky(c, rng, horizon, clouds=2.0, top="#4f97dd", low="#a9d3f2"):
    """A sky of seven bands that grow paler downwards, with flat-bottomed clouds."""
    base = c.ink(top, nir=SKY)
    fill(c, -0.1, horizon + 0.05, base)
    for k in range(1, 7):
        mix = k / 6
        levels = ((1 - mix) * int(top[i:i + 2], 16) + mix * int(low[i:i + 2], 16) for i in (1, 3, 5))
        code = "#" + "".join(f"{round(level):02x}" for level in levels)
        fill(c, horizon * (k - 0.5) / 6.5, horizon + 0.05, c.ink(code, nir=SKY + 0.03 * k, line=base))
    white, under = c.ink("#ffffff", nir=CLOUD), c.ink("#d9e6f2", nir=CLOUD - 0.1)
    for x, y, u in scatter(c, rng, clouds, 0.06, max(horizon * 0.62, 0.1)):
        s = 0.06 + 0.05 * u
        for dx, dy, r in ((-1.3, 0.1, 0.6), (-0.5, -0.25, 0.85), (0.5, -0.1, 0.75), (1.3, 0.15, 0.5)):
            c.oval(x + dx * s, y + dy * s * 0.7, r * s * 1.2, r * s * 0.75, white)
        c.rect(x - 1.9 * s, y + 0.22 * s, x + 1.8 * s, y + 0.5 * s, under, 0.14 * s)


def tufts(c, rng, ink, y0, y1, count, size=0.03):
    for x, y, u in scatter(c, rng, count, y0, y1):
        h = size * (0.5 + y - y0) * (0.7 + 0.6 * u)
        c.poly([(x - h, y - h), (x - 0.2 * h, y), (x, y - 1.5 * h), (x + 0.3 * h, y), (x + 1.1 * h, y - h),
                (x + 0.4 * h, y + 0.3 * h), (x - 0.4 * h, y + 0.3 * h)], ink)


def paint_sky(c, rng):
    blue_sky(c, rng, 0.95, clouds=4)
    hill(c, 0.90, 0.02, c.ink("#7fae8a", nir=LEAF - 0.2), rng)
    hill(c, 0.95, 0.015, c.ink("#5f9a4f", nir=LEAF), rng, 0.8)


def paint_sea(c, rng):
    horizon, shore = 0.42, 0.74
    blue_sky(c, rng, horizon, clouds=2, top="#5aa5e0", low="#cfe6f3")
    sea = c.ink("#1f6fa8", nir=WATER)
    fill(c, horizon, 1.05, sea)
    light, foam = c.ink("#3f93c0", nir=WATER + 0.02, line=sea), c.ink("#f4fbfb", nir=0.5)
    speckle(c, sea, light, "streak", 0.12, rng)
    fade(c, horizon, shore, 0.82, 1.0)
    hill(c, shore - 0.015, 0.012, foam, rng, 1.1)
    sand, wet = c.ink("#e3c68f", nir=SAND), c.ink("#b99a66", nir=SAND - 0.25)
    for y, ink in ((shore + 0.005, wet), (shore + 0.04, sand)):
        hill(c, y, 0.012, ink, rng, 1.1)
    roughen(c, shore, 1, "grain", 0.16, rng)
    if rng.uniform() < 0.7:  # a far sail
        x = rng.uniform(0.1, 0.9)
        c.poly([(x, horizon - 0.09), (x + 0.05, horizon - 0.005), (x, horizon - 0.005)], c.ink("#fbfaf4", nir=0.7))
        c.rect(x - 0.03, horizon - 0.004, x + 0.06, horizon + 0.012, c.ink("#6b4a35", nir=0.3), 0.006)


def paint_grass(c, rng):
    horizon = rng.uniform(0.44, 0.52)
    blue_sky(c, rng, horizon)
    hill(c, horizon - 0.05, 0.035, c.ink("#8fb79a", nir=LEAF - 0.25), rng)
    hill(c, horizon, 0.02, c.ink("#6da35a", nir=LEAF - 0.1), rng, 0.9)
    meadow = c.ink("#6fae3f", nir=GRASS)
    hill(c, horizon + 0.06, 0.01, meadow, rng, 0.6)
    speckle(c, meadow, c.ink("#5f9c36", nir=GRASS - 0.06, line=meadow), "cloud", 0.10, rng)
    speckle(c, meadow, c.ink("#82bd4d", nir=GRASS + 0.05, line=meadow), "grain", 0.35, rng)
    tufts(c, rng, c.ink("#4c8a2e", nir=GRASS), horizon + 0.1, 1.0, 16)
    petals = [c.ink(code, nir=0.6) for code in ("#fff6d8", "#f7d54a")]
    for x, y, u in scatter(c, rng, 9, horizon + 0.12, 1.0):
        c.oval(x, y, 0.008 + 0.006 * u, 0.007 + 0.005 * u, petals[int(u > 0.5)])
    fade(c, horizon, 1, 1.0, 0.84)


def paint_road(c, rng):
    blue_sky(c, rng, 0.55, clouds=1.5, top="#86b9df", low="#dfeaf0")
    codes = ("#c9a58c", "#a9b4bd", "#d8c7a3", "#b98f83", "#93a5a3")
    wide, x = c.ids.shape[1] / c.rows, -0.05
    window, lit = c.ink("#4d5f70", nir=GLASS), c.ink("#dfe9ee", nir=GLASS + 0.1)
    while x < wide + 0.05:
        w, top = rng.uniform(0.15, 0.26), rng.uniform(0.12, 0.38)
        wall = c.ink(codes[rng.integers(0, len(codes))], nir=STONE + rng.uniform(0, 0.2))
        c.rect(x, top, x + w, 0.62, wall)
        c.rect(x - 0.006, top - 0.014, x + w + 0.006, top + 0.012, c.ink("#7d6f68", nir=STONE))
        step, bright = w / 3, rng.uniform(0, 1, 24) < 0.25
        for k in range(3 * int((0.52 - top) / 0.085)):
            wx, wy = x + (k % 3 + 0.27) * step, top + 0.04 + (k // 3) * 0.085
            c.rect(wx, wy, wx + 0.46 * step, wy + 0.048, lit if bright[k % 24] else window)
        x += w
    walk, curb, road = c.ink("#b9b3aa", nir=STONE), c.ink("#d9d5cd", nir=STONE + 0.15), c.ink("#5d6066", nir=ASPHALT)
    fill(c, 0.58, 0.68, walk)
    fill(c, 0.66, 0.685, curb)
    fill(c, 0.685, 1.05, road)
    paint = c.ink("#efeadb", nir=0.55)
    for x in np.arange(rng.uniform(-0.3, 0), wide, 0.3):
        c.poly([(x, 0.905), (x + 0.16, 0.905), (x + 0.15, 0.94), (x - 0.015, 0.94)], paint)
    roughen(c, 0.685, 1, "grain", 0.22, rng)
    fade(c, 0.58, 0.7, 0.85, 1.0)


def paint_wall(c, rng):
    ground, h, w = 0.78, 0.072, 0.15
    mortar, brick = c.ink("#c9bba9", nir=STONE + 0.1), c.ink("#a9543c", nir=BRICK)
    tones = np.array([brick, c.ink("#b8634a", nir=BRICK + 0.05), c.ink("#974731", nir=BRICK - 0.05), brick,
                      c.ink("#b3705a", nir=BRICK + 0.1)], np.uint8)
    v = (np.arange(c.rows) + 0.5) / c.rows / h + rng.uniform(0, 1)
    u = (np.arange(c.ids.shape[1]) + 0.5) / c.rows / w + rng.uniform(0, 1)
    row = v.astype(int)
    across = u[None] + 0.5 * (row % 2)[:, None]
    column = across.astype(int)
    pick = rng.integers(0, len(tones), (row.max() + 1, column.max() + 1))
    joint = ((v - row < 0.13)[:, None]) | (across - column < 0.065)
    c.ids[:] = np.where(joint, mortar, tones[pick[row[:, None], column]])
    roughen(c, 0, ground, "grain", 0.22, rng)
    roughen(c, 0, ground, "cloud", 0.18, rng)
    fade(c, 0, ground, 1.0, 0.86)
    pavement = c.ink("#a7a39b", nir=STONE)
    fill(c, ground, 1.05, pavement)
    seam = c.ink("#85817b", nir=STONE - 0.08)
    fill(c, ground, ground + 0.012, seam)
    for x in np.arange(rng.uniform(0, 0.25), c.ids.shape[1] / c.rows, 0.27):
        c.poly([(x, ground), (x + 0.008, ground), (x - 0.03, 1.02), (x - 0.045, 1.02)], seam)
    c.gain[int(ground * c.rows):] = 1.0
    roughen(c, ground, 1, "grain", 0.15, rng)


def paint_snow(c, rng):
    horizon = 0.52
    blue_sky(c, rng, horizon, clouds=1.5, top="#9fc1de", low="#e6eef5")
    hill(c, horizon - 0.04, 0.05, c.ink("#b9cbdc", nir=SNOW - 0.25), rng)
    pine, tip = c.ink("#3d6152", nir=LEAF), c.ink("#eef4f8", nir=SNOW)
    for x, y, u in scatter(c, rng, 6, horizon, horizon + 0.05):
        h = 0.10 + 0.08 * u
        for k in range(3):
            top, half = y - h + k * h * 0.28, h * (0.20 + 0.09 * k)
            c.poly([(x, top), (x + half, top + h * 0.42), (x - half, top + h * 0.42)], pine)
        c.poly([(x, y - h), (x + 0.09 * h, y - 0.8 * h), (x - 0.09 * h, y - 0.8 * h)], tip)
    snow = c.ink("#f1f5fa", nir=SNOW)
    hill(c, horizon + 0.06, 0.012, snow, rng, 0.7)
    speckle(c, snow, c.ink("#dbe6f1", nir=SNOW - 0.06, line=snow), "cloud", 0.14, rng)
    fade(c, horizon, 1, 1.0, 0.9)
    for x, y, u in scatter(c, rng, 22, 0, 0.95):
        c.oval(x, y, 0.004 + 0.004 * u, 0.004 + 0.004 * u, tip)


def paint_night(c, rng):
    blue_sky(c, rng, 0.66, clouds=0, top="#0c1638", low="#31407a")
    star, moon = c.ink("#fdf6d0", nir=0.7, glow=True), c.ink("#f7edc0", nir=0.6, glow=True)
    for x, y, u in scatter(c, rng, 26, 0.02, 0.5):
        c.oval(x, y, 0.003 + 0.004 * u, 0.003 + 0.004 * u, star)
    x, y = rng.uniform(0.12, 0.88), rng.uniform(0.1, 0.24)
    c.oval(x, y, 0.065, 0.065, moon)
    c.oval(x - 0.02, y - 0.015, 0.014, 0.012, c.ink("#ddd2a2", nir=0.5, glow=True))
    hill(c, 0.60, 0.035, c.ink("#1d2547", nir=LEAF - 0.35), rng)
    wall, roof, lit = c.ink("#2b2a45", nir=STONE), c.ink("#1b1830", nir=STONE), c.ink("#f6c65a", nir=0.5, glow=True)
    for x, y, u in scatter(c, rng, 3, 0.66, 0.69):
        w = 0.07 + 0.03 * u
        c.rect(x - w, y - 1.2 * w, x + w, y + 0.04, wall)
        c.poly([(x - 1.2 * w, y - 1.15 * w), (x, y - 2 * w), (x + 1.2 * w, y - 1.15 * w)], roof)
        c.rect(x - 0.55 * w, y - 0.75 * w, x - 0.1 * w, y - 0.25 * w, lit)
        c.rect(x + 0.2 * w, y - 0.75 * w, x + 0.65 * w, y - 0.25 * w, lit)
    ground = c.ink("#333f52", nir=GRASS)
    hill(c, 0.70, 0.012, ground, rng, 0.6)
    speckle(c, ground, c.ink("#2a3546", nir=GRASS - 0.05, line=ground), "cloud", 0.1, rng)
    tufts(c, rng, c.ink("#25303f", nir=GRASS), 0.74, 1.0, 12)


def paint_desert(c, rng):
    blue_sky(c, rng, 0.55, clouds=0.5, top="#7fc0dd", low="#fbe6c2")
    c.oval(rng.uniform(0.1, 0.9), rng.uniform(0.12, 0.25), 0.06, 0.06, c.ink("#fff3c4", nir=0.8, glow=True))
    hill(c, 0.50, 0.03, c.ink("#d99a63", nir=SAND - 0.15), rng, 1.0)
    cactus = c.ink("#5a8a4a", nir=LEAF)
    for x, y, u in scatter(c, rng, 2, 0.58, 0.62):
        h = 0.12 + 0.06 * u
        c.stroke([(x, y), (x, y - h)], 0.24 * h, cactus)
        for side, low, high in ((-1, 0.37, 0.75), (1, 0.52, 0.85)):
            elbow, hand = (x + 0.32 * side * h, y - low * h), (x + 0.34 * side * h, y - high * h)
            c.stroke([(x, y - low * h), elbow, hand], 0.16 * h, cactus)
    far, near = c.ink("#e8b36e", nir=SAND), c.ink("#e2a458", nir=SAND)
    hill(c, 0.60, 0.025, far, rng, 0.8)
    hill(c, 0.72, 0.02, near, rng, 0.7)
    speckle(c, near, c.ink("#d3924a", nir=SAND - 0.05, line=near), "streak", 0.30, rng)
    roughen(c, 0.6, 1, "grain", 0.12, rng)
    fade(c, 0.55, 1, 1.0, 0.85)


def paint_table(c, rng):
    edge = 0.50
    paper, stripe = (("#e9dcc3", "#e1d1b3"), ("#cfdcd8", "#c2d2cd"), ("#e6cfc6", "#dcc0b5"))[rng.integers(0, 3)]
    wall = c.ink(paper, nir=0.6)
    fill(c, -0.1, 1.05, wall)
    other = c.ink(stripe, nir=0.58, line=wall)
    wide = c.ids.shape[1] / c.rows
    for x in np.arange(rng.uniform(-0.12, 0), wide, 0.12):
        c.rect(x, -0.1, x + 0.06, edge, other)
    wood, dark = c.ink("#a9713f", nir=WOOD), c.ink("#6f4524", nir=WOOD - 0.15)
    planks = [wood, c.ink("#b57d4a", nir=WOOD + 0.04), c.ink("#9a6537", nir=WOOD - 0.04)]
    rows = np.array([0.0, 0.10, 0.22, 0.36, 0.56]) + edge + 0.02
    for k, y in enumerate(rows):
        fill(c, y, 1.05, planks[(k + int(rng.integers(0, 2))) % 3])
        fill(c, y, y + 0.008, dark)
        x = rng.uniform(0, wide)
        c.rect(x, y, x + 0.008, 1.05 if k == 4 else rows[k + 1], dark)
    fill(c, edge, edge + 0.02, c.ink("#c48e58", nir=WOOD + 0.08))
    roughen(c, edge, 1, "streak", 0.42, rng)
    fade(c, 0, edge, 1.0, 0.82)


def paint_forest(c, rng):
    fill(c, -0.1, 1.05, c.ink("#b7d3a8", nir=LEAF - 0.2))
    for depth, (leaf, bark) in enumerate((("#8fb583", "#8a8468"), ("#5f9156", "#6b5640"), ("#3f6f3c", "#4f3c2c"))):
        trunk, crown = c.ink(bark, nir=WOOD - 0.1), c.ink(leaf, nir=LEAF - 0.1 + 0.08 * depth)
        shade = c.ink(leaf, tone=0.86, nir=LEAF - 0.12 + 0.08 * depth, line=crown)
        base, thick = 0.60 + 0.04 * depth, 0.022 + 0.014 * depth
        for x, y, u in scatter(c, rng, (7, 5, 4)[depth], 0.0, 0.06):
            foot = base + y
            c.poly([(x - 0.5 * thick, -0.1), (x + 0.5 * thick, -0.1), (x + 0.7 * thick, foot), (x - 0.7 * thick, foot)],
                   trunk)
            for k in range(3):
                c.oval(x + (k - 1) * 0.07, 0.10 + y + 0.07 * (k % 2) + 0.05 * u - 0.05 * depth, 0.09, 0.08, crown)
        speckle(c, crown, shade, "cloud", 0.05, rng)
    moss = c.ink("#5b8240", nir=GRASS)
    hill(c, 0.69, 0.012, moss, rng, 0.9)
    speckle(c, moss, c.ink("#7a7a3d", nir=GRASS - 0.1, line=moss), "cloud", 0.16, rng)
    speckle(c, moss, c.ink("#6e9a4b", nir=GRASS + 0.05, line=moss), "grain", 0.3, rng)
    tufts(c, rng, c.ink("#43692f", nir=GRASS), 0.74, 1.0, 14)
    fade(c, 0, 0.6, 0.9, 1.0)
    fade(c, 0.7, 1, 1.0, 0.82)


class Background(NamedTuple):
    """A scenery: how it is painted and lit, and how captions call it.

    >>> f"a car {BACKGROUNDS['snow'].place}"
    'a car in the white snow'
    """
    paint: object       # function (canvas, rng), in unit coordinates
    ground: float       # the row where things stand
    exposure: tuple     # range of the light level
    warmth: tuple       # range of the light's tint: -1 cool, 1 warm
    place: str          # "a car {place}"
    scenery: str        # "the {scenery}" with a colour word


BACKGROUNDS = {
    "sky": Background(paint_sky, 0.90, (0.85, 1.0), (-0.5, 0.5), "in the blue sky", "blue sky"),
    "sea": Background(paint_sea, 0.88, (0.80, 1.0), (-0.5, 0.6), "by the blue sea", "blue sea"),
    "grass": Background(paint_grass, 0.84, (0.75, 1.0), (-0.4, 0.7), "on the green grass", "green meadow"),
    "road": Background(paint_road, 0.84, (0.70, 1.0), (-0.7, 0.5), "on a grey road", "grey street"),
    "brick wall": Background(paint_wall, 0.87, (0.70, 1.0), (-0.4, 0.6), "in front of a red brick wall",
                             "red brick wall"),
    "snow": Background(paint_snow, 0.84, (0.80, 1.0), (-0.9, 0.2), "in the white snow", "white snow"),
    "night": Background(paint_night, 0.86, (0.42, 0.6), (-0.9, -0.1), "under the dark blue night sky",
                        "dark blue night"),
    "desert": Background(paint_desert, 0.84, (0.80, 1.0), (0.0, 0.9), "on the orange sand", "orange desert"),
    "wooden table": Background(paint_table, 0.78, (0.65, 1.0), (-0.3, 0.9), "on a brown wooden table",
                               "brown wooden table"),
    "forest": Background(paint_forest, 0.86, (0.60, 0.9), (-0.4, 0.5), "in the green forest", "green forest"),
}
