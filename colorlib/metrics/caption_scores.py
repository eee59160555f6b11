"""acc@1 and acc@5 of colorizers that answer with a distribution over ab bins, with what a constant answer and a perfect observer score.

Accuracy as published (Manjunatha et al. 2018, `accuracy()` in the authors' utils.py): every 4th pixel of the picture in both directions, 56 x 56 cells at 224
px; a cell is right when its true bin, the nearest grid point, is among the k largest logits. A column is the share of right cells, pooled over the set:

    acc@k            all cells. Most are nearly grey, so always answering grey scores well: read it beside the constant bin
    acc@k balanced   the mean over true bins, each counted alike
    acc@k chromatic  cells whose true chroma is above 10 CIE units
    acc@k told       cells whose colour the caption tells: on procedural scenes, the main object's where its class comes in more than one colour

All numbers are in percent. Of the 625 grid points 261 can be right, and the 313 bins of Zhang et al. hold them all: both grids score alike.
"""
import re

import numpy as np
import torch
import torch.nn.functional as F

from colorlib import scenes as world
from colorlib.data.sources import resize
from colorlib.images import model_input
from colorlib.lab import AB_STEP, bin_prior, rgb_to_lab
from colorlib.metrics import CHROMATIC_MIN, accuracy, count_hits
from colorlib.progress import track
from colorlib.scenes import planning, rendering

__all__ = ["measure_accuracy", "constant_bin", "ceilings", "captions_of", "read_cells", "told_cells"]

STRIDE = 4                  # pixels between cells, the networks' output stride
SCENE_ID = re.compile(r"scene/(\d+)")
UNSEEN = 1e-12              # probability of a bin no training picture has, so that its logarithm is finite


def captions_of(samples):
    """What a measurement gives the networks beside L: the samples' captions, "" where there is none.

    >>> captions_of([{"caption": "a red car"}, {"id": 7}])
    {'caption': ['a red car', '']}
    """
    return {"caption": [sample.get("caption") or "" for sample in samples]}


def measure_accuracy(distributions, dataset, bins, side, conditions=captions_of, batch_size=20, progress=None):
    """{row: {"acc@1", "acc@5" and, where there are such cells, the same + " balanced", " chromatic", " told"}}, see the module's text.

    distributions: {row: function of a batch on the CPU, {"L": (N, 1, h, w), "caption": [str] * N} -> logits (N, Q, ceil(h/4), ceil(w/4)), or colours ab (N, 2,
    h', w') in CIE units}; colours get acc@1 only, by their nearest bin. dataset: map-style, square uint8 pictures `rgb`. bins `(Q, 2)`; side: the working size;
    conditions: samples -> what the batch holds beside L. The order is shuffled, so that a batch mixes classes; no batch holds a lone picture.
    Raises ValueError for an empty data set and for answers of another shape.

    >>> from colorlib.lab import ab_bins
    >>> dataset = [{"rgb": torch.full((3, 16, 16), level, dtype=torch.uint8)} for level in (90, 180)]        # two grey pictures
    >>> measure_accuracy({"grey": lambda batch: 0 * batch["L"].expand(-1, 2, -1, -1)}, dataset, ab_bins(625), side=16)
    {'grey': {'acc@1': 100.0, 'acc@1 balanced': 100.0}}
    """
    if len(dataset) == 0:
        raise ValueError("The data set is empty: there is nothing to measure accuracy on.")
    bins, tallies = torch.as_tensor(bins).cpu().float(), {row: {} for row in distributions}
    order = torch.randperm(len(dataset), generator=torch.Generator().manual_seed(0)).tensor_split(-(-len(dataset) // batch_size))
    for chosen in track(order, progress):
        samples = [dataset[int(i)] for i in chosen]
        L = torch.cat([model_input(rgb_to_lab(sample["rgb"])[0].numpy(), side) for sample in samples])                  # (N, 1, h, w)
        ab_true = torch.stack([read_cells(sample["rgb"], L.shape[-1]) for sample in samples])                           # (N, 2, h/4, w/4)
        told = torch.stack([told_cells(sample, L.shape[-1]) for sample in samples])                                     # (N, h/4, w/4)
        regions = {"": torch.ones_like(told), " chromatic": ab_true.norm(dim=1) > CHROMATIC_MIN, " told": told}
        batch = {"L": L} | conditions(samples)
        for row, answer in distributions.items():
            guess = fit_cells(answer(batch).detach().float().cpu(), row, bins, L)
            for k in (1,) if guess.shape[1] == 2 else (1, 5):
                for region, keep in regions.items():
                    counts = torch.stack([one.sum(0) for one in count_hits(*gather(keep, guess, ab_true), bins, k)])    # (2, Q): hits, cells
                    tallies[row][k, region] = tallies[row].get((k, region), 0) + counts
    return {row: summarize(tally) for row, tally in tallies.items()}


def summarize(tally):
    """{(k, region): hits and cells (2, Q)} -> {column: percent}, without columns that have no cell."""
    columns = {f"acc@{k}{region}": accuracy(*counts[:, None]).item() for (k, region), counts in tally.items() if counts[1].any()}
    balanced = {f"acc@{k} balanced": accuracy(*counts[:, None], balanced=True) for (k, region), counts in tally.items() if not region}
    return {column: 100 * share for column, share in (columns | balanced).items()}


def read_cells(rgb, side):
    """The true colours of a picture `(3, H, W)` uint8 at every 4th pixel of its copy at the working size: `(2, ceil(side/4), ceil(side/4))` CIE units.

    >>> read_cells(torch.zeros(3, 64, 64, dtype=torch.uint8), 32).shape
    torch.Size([2, 8, 8])
    """
    small = torch.from_numpy(np.ascontiguousarray(resize(rgb.permute(1, 2, 0).numpy(), side))).permute(2, 0, 1)
    return rgb_to_lab(small)[1:, ::STRIDE, ::STRIDE]


def told_cells(sample, side):
    """The cells of a scene's main object where its class comes in more than one colour, so that only a caption tells it: bool, all False otherwise.

    >>> from colorlib.data import SceneSet
    >>> sample = SceneSet(1, 32, cache=False)[0]
    >>> sample["caption"], told_cells(sample, 32).shape, bool(told_cells(sample, 32).any())
    ('a blue umbrella, by the blue sea', torch.Size([8, 8]), True)
    """
    if scene_seed(sample) is None or not {"mask", "label"} <= set(sample) or len(world.COLORS[world.CLASSES[int(sample["label"])]]) < 2:
        return torch.zeros(2 * (-(-side // STRIDE),), dtype=torch.bool)
    return F.interpolate(sample["mask"][None].float(), size=side, mode="nearest-exact")[0, 0, ::STRIDE, ::STRIDE] > 0.5


def scene_seed(sample):
    """The seed of a sample that is a procedural scene, else None."""
    found = SCENE_ID.fullmatch(str(sample.get("id")))
    return int(found[1]) if found else None


def fit_cells(guess, row, bins, L):
    """A row's answer on the cells of L `(N, 1, h, w)`: logits must have their number, colours of any size are taken at the cells' pixels. Raises
    ValueError, naming the row, for another shape."""
    cells = tuple(-(-length // STRIDE) for length in L.shape[2:])
    if guess.ndim == 4 and guess.shape[1] == 2 and guess.shape[2:] != cells:
        guess = F.interpolate(guess, size=L.shape[2:], mode="bilinear", antialias=True)[..., ::STRIDE, ::STRIDE]
    if guess.ndim != 4 or guess.shape[1] not in (2, len(bins)) or guess.shape[::2] + guess.shape[3:] != (len(L), *cells):
        raise ValueError(f"{row!r} answered {tuple(guess.shape)}: return logits {(len(L), len(bins), *cells)} or colours ({len(L)}, 2, h, w).")
    return guess


def gather(keep, *planes):
    """The kept cells `(N, h, w)` of planes `(N, C, h, w)` as one row of pixels each, `(1, C, 1, cells)`; counting them is quicker than counting all."""
    return [plane.movedim(1, -1)[keep].T[None, :, None] for plane in planes]


# ---------------------------------------------------------------- what costs nothing, and what nobody can beat

def constant_bin(dataset, bins, pictures=500):
    """A row for `measure_accuracy` that looks at nothing: every cell gets the logarithm of how often each bin occurs in a training set.

    acc@1 is then that of always answering the commonest bin, acc@5 that of the five commonest. pictures: at most so many of the set, evenly spread, are read.
    With the authors' own training prior the two are 33.1 and 59.2 % (`data/paper_tables/language.csv`), more than most of the published networks.

    >>> from colorlib.lab import ab_bins
    >>> answer = constant_bin([{"rgb": torch.full((3, 16, 16), 99, dtype=torch.uint8)}], ab_bins(625))
    >>> logits = answer({"L": torch.zeros(2, 1, 16, 16)})
    >>> logits.shape, ab_bins(625)[logits[0, :, 0, 0].argmax()].tolist()                 # always grey
    (torch.Size([2, 625, 4, 4]), [0.0, 0.0])
    """
    bins = torch.as_tensor(bins).cpu().float()
    chosen = range(0, len(dataset), max(1, len(dataset) // pictures))
    prior = torch.stack([bin_prior(rgb_to_lab(dataset[i]["rgb"])[None, 1:, ::STRIDE, ::STRIDE], bins) for i in chosen]).mean(0)
    logits = prior.clamp_min(UNSEEN).log().float().view(1, -1, 1, 1)

    def answer(batch):
        count, _, height, width = batch["L"].shape
        return logits.expand(count, -1, -(-height // STRIDE), -(-width // STRIDE))
    return answer


def ceilings(size=64, scenes=200, seed=world.SEED_OF_VAL, draws=256, cells=256, progress=None):
    """{"Bayes ceiling", "Bayes ceiling, told the caption": {"acc@1", "acc@5", "acc@1 told", "acc@5 told"}}: what no method can beat on average.

    The observer of `scenes.bayes_ceiling`, who knows how this world is made, asked about exactly the cells that `measure_accuracy` scores on the scenes seed ..
    seed + scenes - 1 at `size` px: their true bins are the same, and cells are pooled likewise, at most `cells` drawn from a scene's object and from its rest
    and weighted back. (`bayes_ceiling` itself draws pixels of the main object that it covers by more than half, and weights scenes alike.) Told the caption he
    knows the colour words of all objects, companions too.

    >>> rows = ceilings(size=16, scenes=1, draws=8, cells=8)
    >>> list(rows), rows["Bayes ceiling"]["acc@1"] <= rows["Bayes ceiling"]["acc@5"] <= 100
    (['Bayes ceiling', 'Bayes ceiling, told the caption'], True)
    """
    totals = {}                                                 # {region: [cells, their summed rows]}
    for number in track(range(seed, seed + scenes), progress):
        plan, rng = planning.plan_scene(number), planning.stream(number, planning.CEILING, 2)
        canvas = planning.paint_background(plan, size)
        planning.paint_objects(canvas, plan)
        is_cell = np.zeros((size, size), bool)
        is_cell[::STRIDE, ::STRIDE] = True
        told = rendering.cover(canvas, 1) > 0 if len(world.COLORS[plan.objects[0].name]) > 1 else np.zeros_like(is_cell)
        for region, where in (("told", is_cell & told), ("rest", is_cell & ~told)):
            if not (spots := np.flatnonzero(where)).size:
                continue
            light = rendering.gather_light(canvas, plan.exposure, rng.choice(spots, min(cells, spots.size), replace=False))
            row = world.observe(canvas, plan, light, "", AB_STEP, draws) | world.observe(canvas, plan, light, " caption", AB_STEP, draws)
            count, sums = totals.get(region, (0, {}))
            totals[region] = count + spots.size, {key: sums.get(key, 0) + spots.size * value for key, value in row.items()}
    empty = (0, {})
    regions = {"": [totals.get(region, empty) for region in ("told", "rest")], " told": [totals.get("told", empty)]}
    share = lambda key, parts: 100 * sum(sums.get(key, 0) for _, sums in parts) / sum(count for count, _ in parts)
    return {row: {f"acc@{k}{region}": share(f"acc@{k}{caption}", parts) for k in (1, 5) for region, parts in regions.items() if any(n for n, _ in parts)}
            for row, caption in (("Bayes ceiling", ""), ("Bayes ceiling, told the caption", " caption"))}
