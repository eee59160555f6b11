"""Recorded layers put together into the blocks that a diagram shows and a table lists.

Whether layers belong together is read off the record: which module they ran in, at which resolution, and who else reads what they make.
"""
from dataclasses import dataclass, field

__all__ = ["rows", "group", "Block", "shape_text", "LARGEST_UNIT"]

LARGEST_UNIT = 8                            # layers of a module that is one box


@dataclass
class Block:
    """Layers that follow each other at one resolution, drawn as one box.

    >>> Block([0, 1]).times
    1
    """
    layers: list = field(default_factory=list)      # their indices
    reads: set = field(default_factory=set)         # layers outside that it reads
    times: int = 1                                  # how often it stands there in a row


def group(layers):
    """[Block]: small modules (a residual block, a gate), and what stands between them: layers that follow each other at one resolution, each
    reading the one before, up to one that somebody else reads, too. Layers without parameters that belong together (a matching) are one block; so
    are equal blocks in a row.

    >>> from colorlib.figures.tracing import record_method
    >>> layers, ends = record_method("iizuka", "smoke")
    >>> len(group(layers)) < len(layers)                         # several layers are one box
    True
    """
    readers, units, blocks = {}, find_units(layers), []
    for i, layer in enumerate(layers):
        for one in layer.reads:
            readers.setdefault(one, []).append(i)
    for i, layer in enumerate(layers):
        block = blocks[-1] if blocks else None
        if block is None or not (units[i] == units[i - 1] if units[i] or units[i - 1] else fits(layers, block, i, readers)):
            blocks.append(block := Block())
        block.layers.append(i)
        block.reads |= layer.reads - set(block.layers)
    return put_inputs_together(layers, fold(layers, absorb(layers, blocks)))


def put_inputs_together(layers, blocks):
    """Inputs of one size that the same blocks read, as one block."""
    found = {}
    for block in blocks:
        first, key = layers[block.layers[0]], block.layers[0]
        if first.kind == "input":
            key = first.shape[1:], tuple(one.layers[0] for one in blocks if one.reads & set(block.layers))
        found[key] = join([found[key], block]) if key in found else block
    return list(found.values())


def find_units(layers):
    """[name or None] of each layer's outermost module that is one box: all its layers follow each other, and either all run in itself, not in a
    part of it, or there are at most LARGEST_UNIT, at one resolution."""
    inside = {}
    for i, layer in enumerate(layers):
        for name in layer.place:
            inside.setdefault(name, []).append(i)
    is_unit = {name: 2 <= len(found) == found[-1] - found[0] + 1 and
               (all(layers[i].part == name for i in found) or (len(found) <= LARGEST_UNIT and len({layers[i].side for i in found}) == 1))
               for name, found in inside.items()}
    return [next((name for name in layer.place if is_unit[name]), None) for layer in layers]


def absorb(layers, blocks):
    """Put what has no parameters (a pool, a concatenation) into the one block that reads it, and rows of such that multiply (a matching) together."""
    is_free = lambda block: not any(layers[i].parameters or layers[i].kind in ("input", "other network") for i in block.layers)
    runs = []
    for block in blocks:
        if runs and is_free(block) and is_free(runs[-1][-1]):
            runs[-1].append(block)
        else:
            runs.append([block])
    blocks = []
    for run in runs:
        kinds = [layers[i].kind for block in run for i in block.layers]
        blocks += [join(run)] if len(kinds) > 3 and "attention" in kinds else run
    for block in reversed(list(blocks)):
        found = [one for one in blocks if one.reads & set(block.layers)]
        if len(found) == 1 and is_free(block) and len(block.layers) <= 3 and block.layers[-1] < found[0].layers[0]:
            blocks[blocks.index(found[0])] = join([block, found[0]])
            blocks.remove(block)
    return blocks


def join(blocks):
    """Several blocks as one."""
    layers = sorted(i for block in blocks for i in block.layers)
    return Block(layers, set().union(*(block.reads for block in blocks)) - set(layers))


def fits(layers, block, i, readers):
    """Whether layer i goes into the block."""
    layer, last, inside = layers[i], layers[block.layers[-1]], set(block.layers)
    if {"input", "other network"} & {layer.kind, last.kind}:
        return False
    is_alone = all(reader == i for reader in readers.get(block.layers[-1], ()))
    if layer.text == "interleave":
        return is_alone and layer.reads == {i - 1}
    if not layer.parameters and not any(layers[one].parameters for one in inside) and {layer.kind, last.kind} <= {"attention", "fusion"}:
        return bool(layer.reads & inside) or "attention" in {layer.kind, last.kind}
    if not 0.8 < layer.side / last.side < 1.25 or not layer.reads & inside or not is_alone:
        return False
    does_enlarge = layers[block.layers[0]].kind == "upsampling" or last.kind == "upsampling"
    return layer.reads <= inside | block.reads or (layer.kind == "fusion" and does_enlarge and len(inside) <= 2)


def fold(layers, blocks):
    """Blocks with the same layers and shapes that follow each other, as one that stands there `times`."""
    alike = lambda block: [(layers[i].text, layers[i].shape) for i in block.layers]
    folded = []
    for block in blocks:
        before = folded[-1] if folded else None
        if before and len(block.layers) > 1 and len(before.layers) % len(block.layers) == 0 \
                and block.reads <= set(before.layers[-len(block.layers):]) and alike(before) == alike(block) * before.times:
            before.layers += block.layers
            before.times += 1
        else:
            folded.append(block)
    return folded


def kind_of(layers, block):
    """What a block's colour says: the most telling of its layers."""
    kinds = [layers[i].kind for i in block.layers]
    order = ("input", "other network", "attention", "fusion", "upsampling", "strided", "linear")
    return next((kind for kind in order if kind in kinds), "convolution")


def text_of(layers, block):
    """"8 times: conv 3×3, conv 3×3, sum"; equal neighbours are counted."""
    texts, runs = [layers[i].text for i in block.layers[:len(block.layers) // block.times]], []
    for text in texts:
        if runs and runs[-1][0] == text:
            runs[-1][1] += 1
        else:
            runs.append([text, 1])
    if len(runs) > 5:
        counts = {text: texts.count(text) for text in dict.fromkeys(texts)}
        runs = list(counts.items())
    line = ", ".join(f"{count} {text}" if count > 1 else text for text, count in runs)
    return f"{block.times} times: {line}" if block.times > 1 else line


def shape_text(shape):
    """"256 × 28²", "2 × 96 × 128", "512".

    >>> shape_text((256, 28, 28)), shape_text((2, 96, 128)), shape_text((512,))
    ('256 × 28²', '2 × 96 × 128', '512')
    """
    if len(shape) == 3 and shape[1] == shape[2]:
        return f"{shape[0]} × {shape[1]}²"
    return " × ".join(map(str, shape))


def part_of(layers, block):
    """The name the block's layers share; "input" of what the network is given."""
    if layers[block.layers[0]].kind == "input":
        return "input"
    named = [i for i in block.layers if layers[i].part]
    names = [layers[i].part.split(".") for i in [i for i in named if layers[i].parameters] or named]
    shared = []
    for words in zip(*names):
        if len(set(words)) > 1:
            break
        shared.append(words[0])
    return ".".join(shared) or (".".join(names[0]) if names else "")


def shape_of(layers, block):
    """Of a block's output; of inputs that are read together, their channels added up."""
    if layers[block.layers[0]].kind == "input":
        return (sum(layers[i].shape[0] for i in block.layers), *layers[block.layers[0]].shape[1:])
    return layers[block.layers[-1]].shape


def rows(layers):
    """[{"number", "part", "layers", "reads", "output", "parameters"}], one a block, in the order in which they ran.

    >>> from colorlib.figures.tracing import record_method
    >>> layers, ends = record_method("iizuka", "smoke")
    >>> [(row["part"], row["output"]) for row in rows(layers)][:2]
    [('input', (1, 64, 64)), ('low', (16, 32, 32))]
    """
    blocks = group(layers)
    home = {i: number for number, block in enumerate(blocks) for i in block.layers}
    return [{"number": number, "part": part_of(layers, block) or "—", "layers": text_of(layers, block),
             "reads": sorted({home[one] for one in block.reads}),
             "output": shape_of(layers, block), "parameters": sum(layers[i].parameters for i in block.layers), "kind": kind_of(layers, block)}
            for number, block in enumerate(blocks)]
