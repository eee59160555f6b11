"""Pictures of networks drawn from what they do, so that they cannot drift from the code: change a width in a `Config`, and its picture changes.

`describe(name)` is the record of `tracing` as a table, `draw(name)` the same as a figure.
"""
import math
import textwrap

import matplotlib.pyplot as plt
from matplotlib.patches import FancyArrowPatch, Patch, Rectangle
from matplotlib.path import Path

from colorlib import figures, results, zoo
from colorlib.figures import grouping, tracing

__all__ = ["describe", "draw", "draw_rows", "save", "KEPT", "KINDS"]

KINDS = {"convolution": "#9ecae1", "strided": "#3182bd", "upsampling": "#a1d99b", "fusion": "#fdae6b", "attention": "#cc79a7", "linear": "#d9d9d9",
         "other network": "#f0e442", "input": "#ffffff"}
LEGEND = {"fusion": "joins tensors", "attention": "multiplies them (gate, FiLM, matching)", "strided": "halves", "upsampling": "enlarges"}
MAX_BYTES = 150_000                         # of a figure that is kept
UNIT = 0.19                                 # inches per octave of a box's height
GAP = 0.24                                  # inches between boxes
SLOT = 0.12                                 # inches between arrows that run over them
LETTER = 0.072                              # inches a letter takes
LINE = 0.16                                 # inches between lines of text
WRAP = 24                                   # letters of a label's line
KEPT = ("koalarization", "tcvc", "sshape", "film", "asym_cyclegan", "stacked_gan", "scgan", "hscau", "gray2color",      # the nine systems
        "iizuka", "larsson", "dahl")                                                                      # and older ones


def describe(name, size="paper"):
    """The parts of a method's network as a Markdown table: what is in a part, which parts it reads, its output (channels × side), its parameters.

    Raises ValueError for an unknown method and for one that has no network.

    >>> print(describe("iizuka", "smoke").splitlines()[0])
    |  | part | layers | reads | output | parameters |
    """
    found = grouping.rows(tracing.record_method(name, size)[0])
    lines = [["", "part", "layers", "reads", "output", "parameters"]]
    for row in found:
        reads, output = ", ".join(map(str, row["reads"])), grouping.shape_text(row["output"])
        lines.append([str(row["number"]), row["part"], row["layers"], reads, output, f"{row['parameters']:,}"])
    return results.markdown([*lines, ["", "all of them", "", "", "", f"{sum(row['parameters'] for row in found):,}"]])


def draw(name, size="paper"):
    """A method's network as a Figure: every block of `grouping.rows` as a box, as high as its output has rows and as wide as it has channels (log
    scales), in the colour of its kind; arrows and, over the boxes, skip connections are what the record says. Raises ValueError as `describe`.

    >>> figure = draw("iizuka", "smoke")
    >>> figure.axes[0].texts[-1].get_text()
    'Iizuka et al. 2016, Let there be Color!: iizuka, smoke size'
    """
    layers, ends = tracing.record_method(name, size)
    last = {number for number, block in enumerate(grouping.group(layers)) if ends & set(block.layers)}
    figure = draw_rows(grouping.rows(layers), last, f"{zoo.get(name).paper}: {name}, {size} size")
    counts = ", ".join(f"{part} {count:,}" for part, count in zoo.count_parameters(name, size).items())
    text = f"{sum(layer.parameters for layer in layers):,} parameters run to paint. All networks: {counts}."
    with plt.rc_context(figures.STYLE):
        figure.text(0.012, 0.1 / figure.get_figheight(), textwrap.fill(text, int(figure.get_figwidth() / LETTER) - 4), va="bottom")
    return figure


def arrange(found, ends):
    """(level, lane) of each row. Lane 0: the longest way to what comes out, each box one level on; others in lanes below, near what reads them."""
    levels, lanes = [], {}
    for row in found:
        levels.append(1 + max((levels[one] for one in row["reads"]), default=-1))
    at = max(ends, key=lambda one: levels[one])
    while at is not None:
        lanes[at] = 0
        at = max(found[at]["reads"], key=lambda one: levels[one], default=None)
    for row in reversed(found):
        readers = [levels[one["number"]] for one in found if row["number"] in one["reads"]]
        if readers and row["number"] not in lanes:
            levels[row["number"]] = min(readers) - 1
    chains, taken = [], {}
    for row in found:
        if row["number"] not in lanes:
            chain = next((chain for chain in chains if chain[-1] in row["reads"]), None)
            chains += [[row["number"]]] if chain is None else []
            (chains[-1] if chain is None else chain).append(row["number"])
    for chain in sorted(chains, key=lambda chain: -len(set(chain))):
        span = {level for one in chain for level in (levels[one] - 1, levels[one])} | set(range(levels[chain[0]], levels[chain[-1]]))
        lane = next(lane for lane in range(1, len(found)) if not span & taken.get(lane, set()))
        taken[lane] = taken.get(lane, set()) | span
        lanes |= dict.fromkeys(chain, lane)
    return levels, [lanes[row["number"]] for row in found]


def size_of(row):
    """(width, height) of a box in inches."""
    shape = row["output"]
    return 0.12 + 0.05 * math.log2(1 + shape[0]), 0.22 + UNIT * math.log2(1 + (shape[-2] if len(shape) == 3 else 1))


def draw_rows(found, ends, title):
    """The Figure of blocks as `grouping.rows` gives them; ends: numbers of those that come out.

    >>> rows = grouping.rows(tracing.record_method("iizuka", "smoke")[0])
    >>> figure = draw_rows(rows, {len(rows) - 1}, "Let there be Color!")
    >>> figure.axes[0].texts[-1].get_text()
    'Let there be Color!'
    """
    levels, lanes = arrange(found, ends)
    labels = [wrap(row["layers"]) + [grouping.shape_text(row["output"])] for row in found]
    across, x = {}, 0.3      # level: (left, width)
    for level in range(min(levels), max(levels) + 1):
        here = [max(size_of(row)[0], LINE * len(label)) for row, label, one in zip(found, labels, levels) if one == level]
        across[level] = x, max(here, default=0)
        x += across[level][1] + GAP
    arrows = [(one, row["number"]) for row in found for one in row["reads"]]
    slots = find_slots(arrows, levels, lanes)
    down, y = {}, 0.6      # lane: (top of its tallest box, its height)
    for lane in sorted(set(lanes)):
        y += SLOT * (1 + max((slot + 1 for (one, _), slot in slots.items() if one == lane), default=0))
        down[lane] = y, max(size_of(row)[1] for row, one in zip(found, lanes) if one == lane)
        y += down[lane][1] + LETTER * max(len(line) for label, one in zip(labels, lanes) for line in label if one == lane) + 0.15
    width, height = max(figures.WIDTH, x + 0.1), y + 0.5
    boxes = []
    for row, level, lane in zip(found, levels, lanes):
        (w, h), (left, wide), (top, tall) = size_of(row), across[level], down[lane]
        boxes.append((left + (wide - w) / 2, top + (tall - h) / 2, w, h))
    with plt.rc_context(figures.STYLE):
        figure = plt.figure(figsize=(width, height))
        axes = figure.add_axes((0, 0, 1, 1), xlim=(0, width), ylim=(height, 0))
        axes.set_axis_off()
        for row, box, label, level, lane in zip(found, boxes, labels, levels, lanes):
            axes.add_patch(Rectangle(box[:2], *box[2:], facecolor=KINDS[row["kind"]], edgecolor="black", linewidth=0.8, zorder=3))
            middle = across[level][0] + across[level][1] / 2
            axes.text(middle, sum(down[lane]) + 0.06, "\n".join(label), rotation=90, ha="center", va="top", linespacing=1.05)
        for one, other in arrows:
            key = lanes[one], one
            over = down[lanes[one]][0] - SLOT * (1 + slots[key]) if key in slots else None
            gap = across[levels[other]][0] - GAP / 2 - 0.02 * lanes[other]
            path = route(boxes[one], boxes[other], gap, lanes[one] - lanes[other], over if levels[other] - levels[one] > 1 else None)
            axes.add_patch(FancyArrowPatch(path=path, arrowstyle="-|>", mutation_scale=7, color="#555555", linewidth=0.9, zorder=2))
        kinds = [kind for kind in KINDS if kind in {row["kind"] for row in found} and kind != "input"]
        axes.text(0.12, 0.22, title, fontsize=10, va="center")
        axes.legend(handles=[Patch(facecolor=KINDS[kind], edgecolor="black", label=LEGEND.get(kind, kind)) for kind in kinds], loc="upper left",
                    bbox_to_anchor=(0.04 / width, 1 - 0.33 / height), ncols=len(kinds), columnspacing=1, handlelength=1.2, borderpad=0)
    return figure


def wrap(text):
    """Lines of a label, broken after commas only."""
    tied = text.replace(" ", "~").replace(",~", ", ").replace(":~", ": ")
    return [line.replace("~", " ") for line in textwrap.wrap(tied, WRAP, break_long_words=False)]


def find_slots(arrows, levels, lanes):
    """{(lane, box): slot} of the boxes from which arrows skip levels: those of a lane run above it, the shorter below, none on another."""
    ends = {}
    for one, other in arrows:
        if levels[other] - levels[one] > 1:
            ends[one] = max(ends.get(one, 0), levels[other])
    slots = {}
    for one in sorted(ends, key=lambda one: ends[one] - levels[one]):
        taken = {slots[lanes[one], two] for two in ends if (lanes[one], two) in slots and levels[two] < ends[one] and levels[one] < ends[two]}
        slots[lanes[one], one] = next(slot for slot in range(len(ends)) if slot not in taken)
    return slots


def route(source, target, gap, fall, over):
    """The `Path` of an arrow between boxes (left, top, width, height). gap: where it may go up and down before the target; fall: lanes it climbs;
    over: the height at which it passes over the boxes between, None where there are none."""
    left, top, width, height = source
    if over is None:
        points = [(left + width, top + height / 2)]
    else:
        points = [(left + 0.6 * width, top), (left + 0.6 * width, over)]
    if over is not None and fall == 0:
        points += [(target[0] + 0.3 * target[2], over), (target[0] + 0.3 * target[2], target[1])]
    else:
        y = target[1] + target[3] * (0.85 if fall > 0 else 0.5)
        points += [] if fall == 0 else [(gap, points[-1][1]), (gap, y)]
        points.append((target[0], y))
    return Path(points)


def save(name, size="paper"):
    """Write `figures/09_<name>_architecture.png`, smaller where it would be larger than MAX_BYTES. Returns the file.

    >>> from unittest.mock import patch
    >>> with patch.dict("os.environ", COLORLIB_FIGURES="."):
    ...     save("iizuka", "smoke").name
    '09_iizuka_architecture.png'
    """
    figure = draw(name, size)
    for scale in (1, 0.9, 0.8, 0.7):
        path = figures.save(figure, f"09_{name}_architecture", scale)
        if path.stat().st_size <= MAX_BYTES:
            break
    plt.close(figure)
    return path
