"""Parts of data sets, and several data sets as one."""
from bisect import bisect_right
from itertools import accumulate

import torch

__all__ = ["choose", "join", "ids_of"]


def ids_of(dataset):
    """The ids of a map-style data set, in order; pictures are decoded only where the data set does not keep its ids.

    >>> ids_of([{"id": "rose"}, {"id": "daisy"}])
    ['rose', 'daisy']
    """
    return dataset.ids if hasattr(dataset, "ids") else [dataset[i]["id"] for i in range(len(dataset))]


# ---------------------------------------------------------------- some samples

class Chosen(torch.utils.data.Subset):
    """Some samples of a data set, with their ids."""

    @property
    def ids(self):
        return [self.dataset.ids[i] for i in self.indices]

    report = property(lambda self: getattr(self.dataset, "report", None))
    left_out = property(lambda self: getattr(self.dataset, "left_out", 0))
    classes = property(lambda self: getattr(self.dataset, "classes", None))
    starts = property(lambda self: [self.dataset.starts[i] for i in self.indices])


def choose(dataset, ids=None, limit=None):
    """The samples with these ids, in the data set's order, and of those at most `limit`, evenly spread (so over all classes).

    >>> from colorlib.data import SceneSet
    >>> choose(SceneSet(8, size=16, cache=False), limit=2).ids
    ['scene/0', 'scene/4']
    """
    wanted = None if ids is None else set(ids)
    indices = [i for i, one in enumerate(dataset.ids) if wanted is None or one in wanted]
    if limit is not None and limit < len(indices):
        indices = [indices[i * len(indices) // limit] for i in range(limit)]
    return dataset if len(indices) == len(dataset) else Chosen(dataset, indices)


# ---------------------------------------------------------------- several data sets as one

class Joined(torch.utils.data.Dataset):
    """What `join` returns."""

    def __init__(self, parts):
        classes = [getattr(part, "classes", None) for part in parts]
        self.parts, self.ends, self.left_out = parts, list(accumulate(map(len, parts))), sum(getattr(part, "left_out", 0) for part in parts)
        self.classes = classes[0] if all(one == classes[0] for one in classes) else None
        self.keys = set.intersection(*(set(part[0]) for part in parts)) - (set() if self.classes else {"label"})
        found = {}                                                                 # a dict, for its order
        for number, one in ((number, one) for number, part in enumerate(parts) for one in ids_of(part)):
            while one in found:                                                    # another set's picture has this name
                one = f"{number}/{one}"
            found[one] = number
        self.ids = list(found)

    starts = property(lambda self: [one for part in self.parts for one in part.starts])      # of clips

    def __len__(self):
        return len(self.ids)

    def __getitem__(self, i):
        i = range(len(self))[i]
        number = bisect_right(self.ends, i)
        sample = self.parts[number][i - (self.ends[number - 1] if number else 0)]
        return {key: sample[key] for key in sample if key in self.keys} | {"id": self.ids[i]}


def join(datasets):
    """Map-style data sets one after another, as one: its samples hold what the samples of all hold.

    ids stay unique: one that comes a second time gets its data set's number in front. classes, and with them label, stay
    only when all data sets have the same. Raises ValueError for no data set, an empty one, and pictures of different sizes.

    >>> import numpy as np
    >>> from colorlib.data import Packed
    >>> one = Packed(np.zeros((2, 8, 8, 3), np.uint8), ["a", "b"])
    >>> join([one, one]).ids
    ['a', 'b', '1/a', '1/b']
    """
    parts = list(datasets)
    if not parts or any(isinstance(part, torch.utils.data.IterableDataset) or not len(part) for part in parts):
        raise ValueError("join needs data sets with samples that can be shuffled: pass a list of packs, scenes and the like.")
    sizes = {tuple(part[0]["rgb"].shape[1:]) for part in parts}
    if len(sizes) > 1:
        raise ValueError(f"The pictures are {' and '.join(f'{w} x {h}' for h, w in sorted(sizes))}: open all data sets with one size to join them.")
    return parts[0] if len(parts) == 1 else Joined(parts)
