"""What races in the benchmarks of updates: a method's own steps in the precisions a machine offers, and the pictures they learn from."""
import torch

from colorlib import train

__all__ = ["make_ours", "updates", "choose", "best_precision"]


def best_precision(device):
    """ "bf16-mixed" where the processor has instructions for bfloat16, "32-true" elsewhere.

    >>> best_precision("cpu") in ("bf16-mixed", "32-true")
    True
    """
    on_gpu = torch.device(device).type == "cuda"
    ask = torch.cuda.is_bf16_supported if on_gpu else getattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)      # no public question yet
    return "bf16-mixed" if ask() else "32-true"


def choose(device, on_cpu, on_gpu):
    """How many pictures or rounds: on a CPU few, on a GPU as many as the paper has.

    >>> choose("cpu", 1, 64), choose("cuda", 1, 64)
    (1, 64)
    """
    return on_gpu if torch.device(device).type == "cuda" else on_cpu


def make_ours(start, device, what):
    """Contestants ({name: function}, {name: note}): ours as `train --precision` is quickest here, in float32, and on a GPU compiled.

    start: function of a fabric and of whether to compile that makes one; what: text for the notes, of how much an update works on.

    >>> found, notes = make_ours(lambda fabric, compile: lambda: None, "cpu", "8 pictures of 64 px")
    >>> next(iter(found)), notes["colorlib"].startswith("8 pictures of 64 px, ")
    ('colorlib', True)
    """
    best = best_precision(device)
    ways = {"colorlib": (best, False)} | ({"colorlib, float32": ("32-true", False)} if best != "32-true" else {})
    ways |= {"colorlib, compiled": (best, True)} if torch.device(device).type == "cuda" else {}
    found = {name: start(train.make_fabric(device, 1, precision), is_compiled) for name, (precision, is_compiled) in ways.items()}
    return found, {name: f"{what}, {'float32' if precision == '32-true' else precision}" for name, (precision, _) in ways.items()}


def updates(step, batches, fabric):
    """A function of one update on the next of the batches.

    >>> update = updates(lambda batch: batch["L"].sum().item(), [{"L": torch.ones(2)}, {"L": torch.ones(3)}], train.make_fabric("cpu", 1))
    >>> update(), update()
    (2.0, 3.0)
    """
    batches = iter(batches)
    return lambda: step(fabric.to_device(next(batches)))
