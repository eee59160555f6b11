"""Infrared pairs as a training and a test set that share no place: whole sets are held out, never single frames."""
import hashlib
from pathlib import Path

from colorlib.data.packing import pack
from colorlib.data.pairs import NirPairs, split_ids

HELD_OUT_SETS = 0.2         # share of the pairs aimed at; whole sets, at least one


def set_of(name):
    """The set a pair belongs to: its topmost folder (`set00/V000/I0001` -> set00), else its name up to the last _ (`street_0007` -> street)."""
    return name.split("/")[0] if "/" in name else name.rpartition("_")[0] or name


def split_sets(ids, fraction=HELD_OUT_SETS, seed=0):
    """Cut ids into (rest, held out) by whole sets, the same way on every machine. Frames of one walk, crops of one photo stay together.

    The sets, ranked by a hash of seed and name, are held out until they make up `fraction` of the ids; one always is, one always stays. A single
    set (one folder, no numbering) is cut by pairs, since nothing else is known.
    """
    ids = list(ids)
    sets = {one: set_of(one) for one in ids}
    if len(set(sets.values())) < 2:
        return split_ids(ids, fraction, seed)
    ranked = sorted(set(sets.values()), key=lambda name: hashlib.sha256(f"{seed}/{name}".encode()).digest())
    held = {ranked[0]}
    for name in ranked[1:-1]:
        if sum(sets[one] in held for one in ids) >= fraction * len(ids):
            break
        held.add(name)
    return [one for one in ids if sets[one] not in held], [one for one in ids if sets[one] in held]


def open_pairs(folder, size, split="train", limit=None):
    """Pairs of a folder (see `NirPairs`) as a packed, map-style data set of `size`-pixel squares: rgb, nir.

    split: "train" or "val". Sub-folders `train` and `val` are taken as they are; otherwise `split_sets` cuts. Raises FileNotFoundError when the
    folder is not there, ValueError when it holds no pairs.
    """
    from colorlib.data import SPLIT_WORDS, choose      # here, because the package imports this module
    folder = Path(folder).expanduser()
    if split not in SPLIT_WORDS:
        raise ValueError(f"split is {split!r}: choose train or val.")
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder} is not a folder of infrared pairs: check the path.")
    marked = [folder / word for word in SPLIT_WORDS[split] if (folder / word).is_dir()]
    if marked:
        return choose(pack(NirPairs(marked[0], size)), limit=limit)
    packed = pack(NirPairs(folder, size))
    rest, held = split_sets(packed.ids)
    return choose(packed, {"train": rest, "val": held}[split], limit)
