"""What methods were found to hold in memory (`colorlib.bench.memory` measures it), and how to hold less: activations that are
computed again instead of being kept."""
import contextlib
from fnmatch import fnmatchcase
from functools import lru_cache, partial

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from colorlib import results, train

__all__ = ["checkpoint_step", "blocks_of", "BLOCKS", "of_method", "in_words"]

FILE = "memory"      # results file
# by paper, parts of its Step's networks that are worth computing again: by it the bytes a picture fall by more than a quarter at the paper's size
# (of Gray2ColorNet, whose attention holds most, by a fifth, of the residual encoder by an eighth); none may begin by overwriting its input
BLOCKS = {
    "cic": ("model.blocks.*",), "language": ("model.blocks.*",), "siggraph17": ("model.conv[1-7]",),
    "hscau": ("model.trunk.inc", "model.trunk.down.*", "model.trunk.up.*"), "hintnet": ("model.trunk.inc", "model.trunk.down.*", "model.trunk.up.*"),
    "scgan": ("generator.features.*", "generator.down.*", "generator.up.*", "generator.saliency"),
    "koalarization": ("model.encoder.*", "model.decoder.*"), "tcvc": ("model.encoder", "model.middle.*", "model.decoder"),
    "color2embed": ("model.first", "model.down.*", "model.up.*"),
    "iizuka": ("model.low.*", "model.mid.*", "model.whole.convs.*", "model.paint.*"), "larsson": ("model.vgg.layers.*",),
    "photonet": ("model.stem", "model.stages.*")}


def blocks_of(method, compile=False):
    """The entry of BLOCKS of a catalogue row. Raises ValueError where there is none, or where torch.compile, which would see
    through it, is asked for, too.

    >>> from colorlib import zoo
    >>> blocks_of(zoo.get("cic"))
    ('model.blocks.*',)
    """
    if method.module not in BLOCKS:
        raise ValueError(f"Nothing is known that {method.name} could compute again for a larger batch: leave it out, or choose a method of "
                         f"{', '.join(BLOCKS)}.")
    if compile:
        raise ValueError("Networks are either compiled or compute activations again: leave one out.")
    return BLOCKS[method.module]


def checkpoint_step(step, patterns):
    """Let parts of a Step's networks keep only their inputs for the backward pass, which computes what lies between again
    (Chen et al. 2016, Training Deep Nets with Sublinear Memory Cost, arXiv 1604.06174). Losses, gradients, buffers and
    names in state dicts stay what they were.

    patterns: as in file names, of the Step's attribute and the names of `named_modules`, see BLOCKS; of parts inside each
    other the outermost counts. Returns the names found. Raises ValueError for a pattern that fits nothing.

    >>> class Step:
    ...     def __init__(self):
    ...         self.model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 2, 3))
    >>> checkpoint_step(Step(), ["model.[02]"])
    ['model.0', 'model.2']
    """
    networks = {name: getattr(value, "module", value) for name, value in vars(step).items() if isinstance(value, nn.Module)}
    known, chosen = {f"{name}.{inner}": part for name, network in networks.items() for inner, part in network.named_modules() if inner}, {}
    for pattern in patterns:
        if not (found := [name for name in known if fnmatchcase(name, pattern)]):
            raise ValueError(f"Nothing is called {pattern!r} in the networks of {type(step).__module__}: name parts of {', '.join(networks)}.")
        chosen |= {name: known[name] for name in found if not any(name.startswith(f"{other}.") for other in found)}
    for part in chosen.values():
        part.__class__ = recomputing(type(part))
    return list(chosen)


@lru_cache(maxsize=None)
def recomputing(kind):
    """The class of a module whose forward pass happens again during the backward pass."""
    class Recomputing(kind):
        def forward(self, *args, **kwargs):
            if not torch.is_grad_enabled():
                return super().forward(*args, **kwargs)
            return checkpoint(super().forward, *args, use_reentrant=False, context_fn=partial(second_time, self), **kwargs)
    Recomputing.__name__ = Recomputing.__qualname__ = kind.__name__
    return Recomputing


def second_time(module):
    """Contexts of a forward pass and of its repetition, which begins with the buffers of the first (a power iteration's
    vectors) and leaves them as it finds them (batch norm's running statistics, else updated twice)."""
    kept = [(owner, name, value.clone()) for owner in module.modules() for name, value in owner._buffers.items() if value is not None]
    return contextlib.nullcontext(), Buffers(kept)


class Buffers:
    """A context, any number of times, in which modules have other buffers: [(module, name, value)]."""

    def __init__(self, values):
        self.values, self.own = values, []

    def __enter__(self):
        self.own = [(owner, name, owner._buffers[name]) for owner, name, _ in self.values]
        for owner, name, value in self.values:
            owner._buffers[name] = value.clone()

    def __exit__(self, *_):
        for owner, name, value in self.own:
            owner._buffers[name] = value


# ---------------------------------------------------------------- what was measured

def latest():
    """{(method, size, variant, settings): row} of `data/results/memory.csv`, the newest of each."""
    return {(row["method"], row["size"], row["variant"], row["settings"]): row for row in results.read(FILE)}


def of_method(name, rows=None):
    """What a method holds at most in float32, as far as it was measured: {size: {"painting": MiB, "update": MiB at the preset's
    batch size, "batch": that}}. rows: `latest()`.

    >>> of_method("cic", {("cic", "class", "painting", "float32"): {"mib": 12.34}})
    {'class': {'painting': 12.3}}
    """
    rows, found = latest() if rows is None else rows, {}
    for size in train.SIZES:
        painting, update = (rows.get((name, size, variant, "float32")) for variant in ("painting", "update"))
        found[size] = {"painting": round(painting["mib"], 1)} if painting else {}
        found[size] |= {"update": round(update["mib"], 1), "batch": update["batch"]} if update else {}
    return {size: one for size, one in found.items() if one}


def in_words(found):
    """What `of_method` gives, as a line; "" for nothing.

    >>> in_words({"class": {"painting": 3.0, "update": 120.0, "batch": 16}})
    'class 3 MiB to paint, 120 MiB for an update of 16'
    """
    said = {"painting": "{painting:,.0f} MiB to paint", "update": "{update:,.0f} MiB for an update of {batch}"}
    return "; ".join(f"{size} " + ", ".join(text.format(**one) for key, text in said.items() if key in one) for size, one in found.items())
