"""The living things of the procedural world, drawn as in `objects.py`."""
import numpy as np

from colorlib.scenes.backgrounds import LEAF, WOOD
from colorlib.scenes.rendering import bend

__all__ = []      # `objects.THINGS` names what is drawn here

FLESH, FUR = 0.70, 0.62  # near-infrared reflectance of fruit and fur, linear (ours: not measured)


def eye(c, x, y, r):
    c.oval(x, y, r, r, c.ink("#22201f", nir=0.1))
    c.oval(x + 0.3 * r, y - 0.35 * r, 0.35 * r, 0.35 * r, c.ink("#ffffff", nir=0.6))


def draw_banana(c, dye, rng):
    fat = rng.uniform(0.9, 1.15)
    center = bend([(-0.95, -0.42), (-0.55, 0.75), (0.55, 0.75), (0.9, -0.38)], 18)
    widths = fat * 0.46 * np.sqrt(np.sin(np.linspace(0.10, np.pi - 0.08, 18)))
    tip = c.ink("#5b4226", nir=0.4)
    c.stroke(center[-3:] + (0.03, -0.12), [0.16, 0.11, 0.13], tip)
    body = c.ink(dye, nir=FLESH)
    c.stroke(center, widths, body)
    c.stroke(center[2:-2] + (0, -0.06), 0.22 * widths[2:-2], c.ink(dye, tone=1.3, nir=FLESH, line=body))
    c.stroke(center[2:-2] + (0, 0.12), 0.20 * widths[2:-2], c.ink(dye, tone=0.76, nir=FLESH - 0.1))
    c.oval(-0.95, -0.42, 0.09, 0.08, tip)
    for t in rng.integers(4, 14, 3):
        c.oval(*(center[t] + (rng.uniform(-0.05, 0.05), 0.02)), 0.04, 0.025, tip)


def draw_lemon(c, dye, rng):
    body, spot = c.ink(dye, nir=FLESH), c.ink(dye, tone=0.84, nir=FLESH - 0.05)
    for x, r in ((-0.80, 0.17), (0.82, 0.14)):
        c.oval(x, 0.05, r, r, body)
    c.oval(0, 0.05, 0.80, 0.62, body)
    for x, y in zip(rng.uniform(-0.5, 0.5, 9), rng.uniform(-0.3, 0.45, 9)):
        c.oval(x, y, 0.03, 0.025, spot)
    c.oval(-0.25, -0.25, 0.24, 0.12, c.ink(dye, tone=1.5, nir=FLESH + 0.1, line=body), -0.4)
    leaf = c.ink("#4f8f3a", nir=LEAF)
    c.oval(-0.72, -0.36, 0.30, 0.13, leaf, -0.7)
    c.stroke([(-0.94, 0.02), (-0.78, -0.28), (-0.56, -0.52)], 0.035, c.ink("#39702c", nir=LEAF - 0.1))


def draw_pumpkin(c, dye, rng):
    tones = [c.ink(dye, tone=t, nir=FLESH) for t in (0.78, 0.9, 1.0)]
    for x, r, tone in ((-0.62, 0.36, 0), (0.62, 0.36, 0), (-0.36, 0.38, 1), (0.36, 0.38, 1), (0, 0.34, 2)):
        c.oval(x, 0.15, r, 0.66 - 0.12 * abs(x), tones[tone])
    c.oval(-0.1, -0.12, 0.07, 0.2, c.ink(dye, tone=1.35, nir=FLESH + 0.1, line=tones[2]), 0.2)
    lean = rng.uniform(-0.15, 0.15)
    c.stroke(bend([(0, -0.42), (0.02, -0.66), (lean, -0.84)], 6), [0.26, 0.2, 0.17, 0.15, 0.15, 0.17],
             c.ink("#6f7a34", nir=0.55))
    c.oval(0.34, -0.55, 0.26, 0.14, c.ink("#4d8437", nir=LEAF), 0.3)
    c.stroke(bend([(0.05, -0.55), (-0.35, -0.85), (-0.45, -0.5), (-0.6, -0.62)]), 0.045, c.ink("#5f8a3b", nir=LEAF))


def draw_strawberry(c, dye, rng):
    body = c.ink(dye, nir=FLESH)
    right = bend([(0, -0.52), (0.75, -0.82), (0.95, 0.1), (0, 0.95)])
    c.poly(np.concatenate([right, right[::-1] * (-1, 1)]), body)
    c.oval(-0.34, -0.12, 0.1, 0.24, c.ink(dye, tone=1.25, nir=FLESH + 0.08, line=body), 0.3)
    seed = c.ink("#f3d276", nir=0.6)
    for k, y in enumerate((-0.28, -0.02, 0.24, 0.5)):
        for x in np.arange(-2, 3) * 0.25 + 0.125 * (k % 2):
            if abs(x) < 0.62 - 0.62 * max(y, 0):
                c.oval(x, y, 0.03, 0.05, seed)
    leaf, dark = c.ink("#4f9a3c", nir=LEAF), c.ink("#3b7d30", nir=LEAF - 0.1)
    for k, x in enumerate((-0.55, -0.28, 0.0, 0.28, 0.55)):
        tip = (1.15 * x, -0.30 - 0.1 * abs(x))
        c.poly([(0.5 * x - 0.14, -0.62), tip, (0.5 * x + 0.14, -0.62)], leaf if k % 2 else dark)
    c.stroke([(0, -0.6), (0.05, -0.85)], 0.09, dark)


def draw_frog(c, dye, rng):
    body, dark = c.ink(dye, nir=0.6), c.ink(dye, tone=0.75, nir=0.55)
    for side in (-1, 1):
        c.oval(side * 0.66, 0.45, 0.34, 0.42, dark, side * 0.5)
        c.oval(side * 0.72, 0.82, 0.32, 0.12, body)
    c.oval(0, 0.35, 0.62, 0.58, body)
    c.oval(0, 0.48, 0.42, 0.40, c.ink("#e4e9b0", nir=0.65))
    for side in (-1, 1):
        c.stroke([(side * 0.34, 0.3), (side * 0.3, 0.82)], 0.17, body)
        c.oval(side * 0.32, 0.85, 0.2, 0.09, body)
        c.oval(side * 0.4, -0.56, 0.24, 0.24, body)
    c.oval(0, -0.22, 0.74, 0.42, body)
    for side in (-1, 1):
        c.oval(side * 0.4, -0.58, 0.17, 0.17, c.ink("#fbfbf2", nir=0.6))
        eye(c, side * 0.37, -0.56, 0.11)
        c.oval(side * 0.52, -0.08, 0.1, 0.06, c.ink("#e58f8a", nir=0.6))
    c.stroke(bend([(-0.42, -0.10), (0, 0.12), (0.42, -0.10)]), 0.05, c.ink("#3c4a2a", nir=0.2))


def draw_bear(c, dye, rng):
    fur, dark, black = c.ink(dye, nir=FUR), c.ink(dye, tone=0.8, nir=FUR - 0.1), c.ink("#26262a", nir=0.08)
    for x in (-0.62, 0.22):
        c.rect(x, 0.2, x + 0.3, 0.78, dark, 0.1)
    c.oval(-0.18, 0.08, 0.74, 0.46, fur)
    for x in (-0.82, 0.02):
        c.rect(x, 0.2, x + 0.32, 0.82, fur, 0.12)
    c.oval(-0.9, 0.0, 0.11, 0.1, fur)
    c.stroke([(0.35, 0.0), (0.6, -0.2)], [0.62, 0.45], fur)
    c.oval(0.48, -0.52, 0.11, 0.11, dark)
    c.oval(0.66, -0.3, 0.27, 0.25, fur)
    c.oval(0.86, -0.22, 0.17, 0.12, fur)
    c.oval(0.99, -0.26, 0.06, 0.05, black)
    c.stroke([(0.84, -0.13), (0.97, -0.16)], 0.025, black)
    eye(c, 0.72, -0.36, 0.05)


def draw_tree(c, dye, rng):
    bark = c.ink("#74502f", nir=WOOD - 0.1)
    c.stroke([(0, 1.0), (0.0, 0.5), (0.03, -0.1)], [0.34, 0.22, 0.14], bark)
    c.stroke([(0.0, 0.35), (0.34, 0.02)], 0.10, bark)
    crown = c.ink(dye, nir=LEAF)
    dark, light = c.ink(dye, tone=0.74, nir=LEAF - 0.12, line=crown), c.ink(dye, tone=1.05, nir=LEAF + 0.1, line=crown)
    shift = rng.uniform(-0.08, 0.08, (7, 2))
    spots = shift + [(-0.5, 0.0), (0.5, 0.02), (0.0, 0.05), (-0.38, -0.4), (0.4, -0.38), (0.0, -0.62), (0, -0.25)]
    for ink, dx, dy, r in ((dark, 0, 0.07, 0.41), (crown, -0.03, -0.03, 0.38), (light, -0.12, -0.14, 0.17)):
        for x, y in spots:
            c.oval(x + dx, y + dy, r, r * 0.92, ink)


def draw_flamingo(c, dye, rng):
    body, dark = c.ink(dye, nir=0.6), c.ink(dye, tone=0.78, nir=0.55)
    leg = c.ink("#c9708a", nir=0.5)
    c.stroke([(-0.12, 0.2), (-0.1, 0.98)], 0.05, leg)
    c.stroke([(0.1, 0.2), (0.34, 0.52), (0.0, 0.6)], 0.05, leg)
    c.stroke([(-0.1, 0.97), (0.08, 0.98)], 0.05, leg)
    c.oval(-0.05, 0.05, 0.48, 0.30, body, -0.15)
    c.poly([(-0.35, -0.12), (-0.85, 0.05), (-0.3, 0.28)], dark)
    c.oval(-0.15, 0.06, 0.34, 0.18, c.ink(dye, tone=1.2, nir=0.65), 0.1)
    c.stroke(bend([(0.3, 0.02), (0.85, -0.2), (0.1, -0.55), (0.42, -0.84)]), 0.14, body)
    c.oval(0.45, -0.82, 0.15, 0.12, body)
    c.stroke([(0.55, -0.8), (0.68, -0.76)], [0.12, 0.09], c.ink("#f4e6da", nir=0.6))
    c.stroke([(0.68, -0.76), (0.72, -0.62)], [0.09, 0.04], c.ink("#2b2729", nir=0.1))
    eye(c, 0.46, -0.85, 0.035)


def draw_flower(c, dye, rng):
    stem, leaf = c.ink("#4d8b3a", nir=LEAF), c.ink("#5f9f45", nir=LEAF)
    c.stroke(bend([(0, -0.2), (rng.uniform(-0.2, 0.2), 0.4), (0, 1.0)]), 0.09, stem)
    c.oval(0.26, 0.52, 0.28, 0.11, leaf, -0.5)
    c.oval(-0.24, 0.68, 0.26, 0.10, leaf, 0.5)
    count, nir = int(rng.integers(5, 9)), rng.uniform(0.4, 0.75)
    petal, deep = c.ink(dye, nir=nir), c.ink(dye, tone=0.76, nir=nir)
    for k in range(count):
        turn = 2 * np.pi * k / count
        x, y = np.cos(turn), np.sin(turn)
        c.oval(0.36 * x, -0.35 + 0.36 * y, 0.30, 1.5 / count, (petal, deep)[k % 2 if count % 2 == 0 else 0], turn)
        c.stroke([(0.2 * x, -0.35 + 0.2 * y), (0.5 * x, -0.35 + 0.5 * y)], 0.03, deep)
    c.oval(0, -0.35, 0.2, 0.2, c.ink("#f0b429", nir=0.6))
    c.oval(-0.04, -0.39, 0.1, 0.1, c.ink("#f7cf5e", nir=0.65))


def draw_bird(c, dye, rng):
    body, dark, beak = c.ink(dye, nir=0.6), c.ink(dye, tone=0.7, nir=0.5), c.ink("#f0a12c", nir=0.6)
    c.poly([(-0.45, 0.12), (-1.0, -0.12), (-0.95, 0.12), (-0.72, 0.22), (-0.98, 0.36), (-0.4, 0.38)], dark)
    for x in (-0.02, 0.2):
        c.stroke([(x, 0.5), (x + 0.02, 0.78)], 0.045, beak)
        c.stroke([(x - 0.06, 0.8), (x + 0.14, 0.8)], 0.04, beak)
    c.oval(0.02, 0.18, 0.58, 0.42, body, -0.15)
    c.oval(0.45, -0.26, 0.36, 0.34, body)
    c.oval(0.16, 0.3, 0.36, 0.24, c.ink("#f7f0df", nir=0.7))
    c.poly([(0.76, -0.34), (1.02, -0.2), (0.76, -0.12)], beak)
    up = rng.uniform(-0.5, 0.1)
    c.poly(np.concatenate([bend([(0.2, 0.02), (-0.1, 0.6 + up), (-0.75, 0.30 + 1.2 * up)]),
                           bend([(-0.75, 0.30 + 1.2 * up), (-0.4, -0.15 + up), (0.2, 0.02)])]), dark)
    eye(c, 0.56, -0.34, 0.075)
