"""Zhang et al. 2016 at the paper's width (eccv16): how near its training comes to what the processor can do, and where the rest goes."""
import torch
from torch.utils.flop_counter import FlopCounterMode

from colorlib import bench, lab, train
from colorlib.bench import contestants
from colorlib.papers import cic

__all__ = ["VARIANTS", "forward_operations"]

SIDE, GPU_BATCH, CPU_BATCH = 256, 64, 1
KINDS = {"convolutions": ("conv",), "normalisation": ("batch_norm",), "loss": ("softmax", "gather", "scatter", "topk", "min", "sort", "index", "nll"),
         "optimizer": ("adam", "foreach", "addcdiv", "lerp")}      # of operations: words in their names


class Dense(cic.Step):
    """The step as it was first written, after the published layers: labels spread over all 313 colours, found among all distances."""

    def losses(self, batch):
        L, ab = lab.plain_to_lab()[1](batch["rgb"]).split([1, 2], 1)
        ab = ab[..., ::4, ::4]
        pixels = ab.permute(0, 2, 3, 1).flatten(0, 2)
        distance, index = torch.cdist(pixels, self.centres).topk(self.config.neighbors, largest=False)
        share = torch.softmax(-distance.square() / (2 * self.config.sigma ** 2), 1)
        label = torch.zeros(len(pixels), len(self.centres), device=ab.device).scatter_(1, index, share).view(*ab[:, 0].shape, -1).permute(0, 3, 1, 2)
        entropy = -(label * self.answer(L, batch).log_softmax(1)).sum(1)
        return {"loss": (self.weights[label.argmax(1)] * entropy).mean()}


def update(rounds=None, device="cpu", config=cic.PAPER, number=None):
    """One update at 256 x 256: on a CPU of one picture on one core, on a GPU of 64; notes: the arithmetic a second, three forward passes counted, and where our
    time goes."""
    gpu = torch.device(device).type == "cuda"
    number, draw = number or contestants.choose(device, CPU_BATCH, GPU_BATCH), torch.Generator().manual_seed(0)
    batch = {"rgb": torch.randint(0, 256, (number, 3, SIDE, SIDE), dtype=torch.uint8, generator=draw).to(device)}
    prior = torch.full((config.bins,), 1 / config.bins, dtype=torch.float64)
    kind = "cuda" if gpu else "cpu"

    def contestant(step, precision, **options):
        made = step(config, train.make_fabric(kind, precision=precision), prior, **options)
        return lambda: made(batch)
    found = {"colorlib, bfloat16": contestant(cic.Step, "bf16-mixed"), "colorlib, float32": contestant(cic.Step, "32-true"),
             "dense labels, float32": contestant(Dense, "32-true")}
    if gpu:
        found = {"colorlib, bfloat16, compiled": contestant(cic.Step, "bf16-mixed", compile=True)} | found
    work = 3 * forward_operations(config, number)
    rows = bench.race(found, rounds or bench.SLOW_ROUNDS, device, number)
    for row in rows:
        row["notes"] = f"{work / row['median_ms'] / 1e9:,.3g} TFLOP/s"
    rows[0]["notes"] += "; " + shares(next(iter(found.values())), gpu)
    return rows


def forward_operations(config, number):
    """Floating-point operations of a forward pass at 256 x 256, a multiplication and an addition counted as two; nothing is computed.

    >>> forward_operations(cic.PRESETS["smoke"], 2) == 2 * forward_operations(cic.PRESETS["smoke"], 1)
    True
    """
    with torch.device("meta"), FlopCounterMode(display=False) as counter:
        cic.ColorfulNet(config).to("meta")(torch.empty(number, 1, SIDE, SIDE))
    return counter.get_total_flops()


def shares(function, gpu=False):
    """Where the time of a call goes, in words: shares of KINDS and of all the rest, by torch's profiler."""
    activities = [torch.profiler.ProfilerActivity.CPU] + [torch.profiler.ProfilerActivity.CUDA] * gpu
    with torch.profiler.profile(activities=activities, acc_events=True) as profile:
        function()
    spent = {}
    for event in profile.key_averages():
        name = event.key.lower()
        kind = next((kind for kind, words in KINDS.items() if any(word in name for word in words)), "the rest")
        spent[kind] = spent.get(kind, 0) + (event.self_device_time_total if gpu else event.self_cpu_time_total)
    return ", ".join(f"{kind} {value / sum(spent.values()):.0%}" for kind, value in sorted(spent.items(), key=lambda pair: -pair[1]))


VARIANTS = {"eccv16": update}
