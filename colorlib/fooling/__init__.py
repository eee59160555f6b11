"""The fooling test: what people say of coloured pictures, in the three tasks behind the human columns of Manjunatha et al. 2018 (Table 1).

quality: one picture; is it real, or did a program colour it? The share of generated pictures that is taken for real.
plausibility: the systems' colourings of one picture; which fits the caption best? The shares of the systems sum to 100.
manipulation: three colourings of one picture by one system, its caption's colour word swapped; which fits the caption? The share answered right.

How the authors chose and showed their pictures is not known in detail; the rest is ours. Half of the pictures in "quality" are real. It comes first, and
each picture comes once in it: who has seen three colourings of a photo would know the fourth for the true one. A few more are in the colours of the
rainbow, which nobody takes for real: together with the real ones they show who looks and who only clicks (`controls`).

In a class each person has a notebook of their own, or all take turns at one; several may write to the same file. Everybody types a name of their own: who
types it again goes on where they stopped.
"""
import hashlib
from dataclasses import dataclass
from itertools import permutations

import numpy as np
import torch

from colorlib import images, results, zoo
from colorlib.captions import COLOR_WORDS, basic, color_words, swap_color
from colorlib.fooling.fooling_answers import CHANCE, FALSE, GENERATED, REAL, TASKS, Share, Sitting, controls, read_answers, summary, table

__all__ = ["FoolingSession", "Trial", "Sitting", "make_session_from_models", "table", "summary", "controls",
           "read_answers", "false_colors", "other_words", "Share", "TASKS", "REAL", "GENERATED", "FALSE", "CHANCE"]

LEAST_FALSE, FALSE_SHARE = 4, 5                            # pictures in false colours: one for every five, at least four
FALSE_CHROMA = 45.0                                        # CIE units
SWAPS = 3                                                  # colourings to choose from in "manipulation", as in the paper
ACHROMATIC = {"black", "white", "gray"}                    # under one lightness they look alike: at most one of them in a trial


@dataclass(frozen=True, eq=False)
class Trial:
    """One question. item: names the picture; system: who coloured it, "" where all did; caption: what to match, "" in "quality"; pictures: `(H, W, 3)`
    uint8 arrays as they are laid out; shown: what each of them is; choices: the possible answers, in "quality" real or generated, else one a picture;
    right: the right one, "" where there is none.

    >>> Trial("quality", "photo 1", "film", "", (), ("film",), (REAL, GENERATED), GENERATED).right
    'generated'
    """
    task: str
    item: str
    system: str
    caption: str
    pictures: tuple
    shown: tuple
    choices: tuple
    right: str = ""


class FoolingSession:
    """The pictures of a test, from which `plan` makes each person's questions.

    colored: {system: N pictures `(H, W, 3)` uint8}; real: the N true ones; captions: N strings; swapped: {system: N dicts {caption: picture}}, of the
    systems that listen to captions; names: N ids for the file of answers; tasks: which to ask (default: all that the pictures allow); seed: of every
    order; version: whatever else makes this session another one, such as the models' weights. `id` names it in the file of answers.
    Raises ValueError when lengths or shapes do not fit.

    >>> real = [np.full((4, 4, 3), level, np.uint8) for level in (50, 150)]
    >>> session = FoolingSession({"film": real, "fcnn": real}, real, ["a red bus", "a blue car"])
    >>> plan = session.plan("Ada")
    >>> session.tasks, [(trial.task, len(trial.pictures)) for trial in plan][-2:]
    (['quality', 'plausibility'], [('plausibility', 2), ('plausibility', 2)])
    """

    def __init__(self, colored, real, captions, swapped=None, names=None, tasks=None, seed=0, version=""):
        self.real, self.captions, self.seed, self._false = [_checked(picture, REAL) for picture in real], list(captions), int(seed), {}
        names = [f"picture {i + 1}" for i in range(len(self.real))] if names is None else names
        self.names = [" ".join(str(name).split()) for name in names]
        if not self.real or not len({*self.names}) == len(self.names) == len(self.captions) == len(self.real):
            raise ValueError(f"A test needs real pictures, each with a caption and a name of its own; there are {len(self.real)} pictures, "
                             f"{len(self.captions)} captions and {len({*self.names})} different names.")
        if not colored or {REAL, GENERATED, FALSE, ""} & {*colored} or any("|" in name or name != " ".join(name.split()) for name in colored):
            raise ValueError(f"colored must map names of systems to pictures; a name is one line without '|', and not {REAL}, {GENERATED} or {FALSE}.")
        self.colored = {system: self._fitting(system, pictures) for system, pictures in colored.items()}
        self.swapped = {system: self._fitting_swaps(system, rows) for system, rows in (swapped or {}).items()}
        possible = [task for task, can in zip(TASKS, (True, len(self.colored) > 1, self.swapped)) if can]
        self.tasks = possible if tasks is None else [task for task in possible if task in tasks]
        if not self.tasks or {*(tasks or ())} - {*possible}:
            raise ValueError(f"These pictures allow the tasks {', '.join(possible)}: plausibility needs two systems, manipulation needs swapped.")
        parts = [f"{i} {name} {caption}" for i, (name, caption) in enumerate(zip(self.names, self.captions))]
        self.id = results.split_hash([*parts, f"systems {sorted(self.colored)} {sorted(self.swapped)}", f"seed {self.seed}", f"version {version}"])

    def _fitting(self, system, pictures):
        pictures = [_checked(picture, system) for picture in pictures]
        if [picture.shape for picture in pictures] != [picture.shape for picture in self.real]:
            raise ValueError(f"{system} must have one picture for every real one, of its size: or the size would tell them apart.")
        return pictures

    def _fitting_swaps(self, system, rows):
        rows = [{caption: _checked(picture, system) for caption, picture in row.items()} for row in rows]
        if len(rows) != len(self.real) or any(len(row) < 2 or {one.shape for one in row.values()} != {real.shape} for row, real in zip(rows, self.real)):
            raise ValueError(f"swapped[{system!r}] must hold one dict for every real picture: two captions or more, each with a picture of its size.")
        return rows

    def plan(self, answerer):
        """One person's questions, a list of `Trial`. The same name always gets the same ones; choices are balanced over systems and places."""
        digest = hashlib.sha256(f"{self.id} {answerer}".encode()).hexdigest()
        rng = np.random.default_rng(int(digest, 16))
        return [trial for task in self.tasks for trial in getattr(self, f"_{task}")(rng)]

    def _quality(self, rng):
        count, systems = len(self.real), list(self.colored)
        kinds = [REAL] * (count - count // 2) + [systems[i] for i in _balanced(count // 2, len(systems), rng)]
        trials = [self._one(kinds[j], i) for j, i in enumerate(rng.permutation(count))]
        trials += [self._one(FALSE, i) for i in rng.permutation(count)[:max(LEAST_FALSE, count // FALSE_SHARE)]]
        return [trials[i] for i in rng.permutation(len(trials))]

    def _one(self, kind, i):
        if kind == FALSE and i not in self._false:
            self._false[i] = false_colors(self.real[i])
        picture = ({REAL: self.real, FALSE: self._false} | self.colored)[kind][i]
        return Trial("quality", self.names[i], kind, "", (picture,), (kind,), (REAL, GENERATED), REAL if kind == REAL else GENERATED)

    def _plausibility(self, rng):
        orders = list(permutations(self.colored))
        trials = []
        for i, j in zip(rng.permutation(len(self.real)), _balanced(len(self.real), len(orders), rng)):
            pictures = tuple(self.colored[system][i] for system in orders[j])
            trials.append(Trial("plausibility", self.names[i], "", self.captions[i], pictures, orders[j], orders[j]))
        return trials

    def _manipulation(self, rng):
        count, systems, trials = len(self.real), list(self.swapped), []
        for i, who, place in zip(rng.permutation(count), _balanced(count, len(systems), rng), _balanced(count, SWAPS, rng)):
            row = self.swapped[systems[who]][i]
            right, *said = rng.permutation(list(row)).tolist()
            said.insert(place % len(row), right)
            trials.append(Trial("manipulation", self.names[i], systems[who], right, tuple(row[caption] for caption in said), tuple(said), tuple(said), right))
        return trials


def _checked(picture, owner):
    picture = np.asarray(picture)
    if picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[2] != 3 or not picture.size:
        raise ValueError(f"Pictures must be uint8 arrays (H, W, 3); one of {owner} is {picture.dtype} {picture.shape}.")
    return picture


def _balanced(count, kinds, rng):
    """`count` numbers below `kinds` in random order, each as often as the others or once more."""
    rounds = [rng.permutation(kinds) for _ in range(-(-count // kinds))]
    return rng.permutation(np.concatenate([*rounds, np.empty(0, int)])[:count]).tolist()


def false_colors(rgb):
    """A picture `(H, W, 3)` uint8 in all colours of the rainbow, from left to right, under its own lightness.

    >>> false_colors(np.full((4, 4, 3), 128, np.uint8)).shape
    (4, 4, 3)
    """
    hue = np.broadcast_to(np.linspace(0, 2 * np.pi, rgb.shape[1], endpoint=False), rgb.shape[:2])
    return images.merge_chroma(images.lightness(images.Picture(rgb)), FALSE_CHROMA * np.stack([np.cos(hue), np.sin(hue)]), "bilinear")


def make_session_from_models(models, dataset, count=10, seed=0):
    """A `FoolingSession` of `count` pictures of a data set whose samples have a caption with a colour word.

    models: {method of the catalogue: its network}. For "manipulation" the colour word of the main object where the sample knows it ("color"), else the
    first one, is swapped for two others, the same for all systems. Raises ValueError for an unknown method and when too few pictures have such a caption.

    >>> from colorlib.data import SceneSet
    >>> model = zoo.get("koalarization").papers.build(zoo.get("koalarization").presets["smoke"])
    >>> session = make_session_from_models({"koalarization": model}, SceneSet(3, 32, cache=False), count=2)
    >>> session.tasks, len(session.real)                         # one system, which reads no captions
    (['quality'], 2)
    """
    rng, chosen, papers = np.random.default_rng(seed), [], {name: zoo.get(name).papers for name in models}
    listening = [name for name in models if "caption" in zoo.get(name).conditions]
    for i in rng.permutation(len(dataset)):
        if len(chosen) == count:
            break
        sample = dataset[int(i)]
        said = [text for text in (sample.get("caption", ""), *sample.get("captions", ())) if color_words(text)]
        if said:
            chosen.append((sample, said[0]))
    if not 0 < len(chosen) == count:
        raise ValueError(f"{count} pictures were asked for and {len(chosen)} of {len(dataset)} have a caption with a colour word: ask for fewer, or open the "
                         "data with captions.")
    real, colored, swapped = [], {name: [] for name in models}, {name: [] for name in listening}
    for sample, caption in chosen:
        found = color_words(caption)
        old = sample["color"] if sample.get("color") in found else found[0]
        captions = [caption, *(swap_color(caption, word, old) for word in other_words(old, rng))]
        real.append(np.ascontiguousarray(sample["rgb"].permute(1, 2, 0).numpy()))
        L = images.lightness(images.Picture(real[-1]))
        for name, model in models.items():
            pictures = _paint(papers[name], model, L, captions if name in listening else [None])
            colored[name].append(pictures[0])
            if name in listening:
                swapped[name].append(dict(zip(captions, pictures)))
    version = " ".join(f"{name} {_fingerprint(model)}" for name, model in models.items())
    return FoolingSession(colored, real, [caption for _, caption in chosen], swapped, [sample["id"] for sample, _ in chosen], seed=seed, version=version)


def other_words(word, rng, count=SWAPS - 1):
    """`count` basic colour terms other than the word's own, drawn by `rng`; with it, at most one of black, white and gray.

    >>> rng = np.random.default_rng(0)
    >>> len(other_words("red", rng)), "green" in other_words("teal", rng, count=8)       # teal is a green
    (2, False)
    """
    kept = [basic(word)]
    for other in rng.permutation(COLOR_WORDS).tolist():
        if other not in kept and not (other in ACHROMATIC and ACHROMATIC & {*kept}):
            kept.append(other)
    return kept[1:count + 1]


def _paint(paper, model, L, captions):
    """L `(H, W)` under each of the captions, None for none: a list of rgb `(H, W, 3)` uint8."""
    small = images.model_input(L, zoo.working_size(model.config)).to(next(model.parameters()).device)
    batch = {"L": small.expand(len(captions), -1, -1, -1)} | ({} if captions == [None] else {"caption": captions})
    return [images.merge_chroma(L, ab) for ab in paper.colorize(model, batch)]


def _fingerprint(model):
    """Eight hex digits for a model's weights."""
    state = b"".join(value.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes() for value in model.state_dict().values())
    return hashlib.sha256(state).hexdigest()[:8]
