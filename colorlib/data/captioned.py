"""Captions for any pictures: people's own, the procedural scenes', and captions derived from a label and the colour of what the eye falls on.

`WithCaptions` gives every sample captions and says where they come from, `colored` keeps those that name a colour, and `open_captioned` does both for
whatever a person types.
"""
import hashlib
import json
import re
from pathlib import Path

import cv2
import numpy as np
import torch

from colorlib import color_names
from colorlib.captions import COLOR_WORDS, color_words, with_article
from colorlib.data.combining import Joined, choose, ids_of
from colorlib.data.opening import SPLIT_WORDS, find_split, open_pictures, take_split
from colorlib.data.packing import Packed, cache_folder, pack, remember
from colorlib.data.pairs import Captioned
from colorlib.data.public_sets import torchvision_set
from colorlib.data.sources import PICTURE_SUFFIXES, list_files, photo_folder
from colorlib.progress import track
from colorlib.results import split_hash

__all__ = ["open_captioned", "WithCaptions", "colored", "derive", "class_names", "salient_word"]

WNID = re.compile(r"n\d{8}")                # a WordNet number, which ImageNet names its folders by
SCENE = re.compile(r"scene/\d+")            # an id of `SceneSet`
SALIENT = 2                                 # times its mean: from there on a saliency map counts as the object (Achanta et al., CVPR 2009)
CLEAR = 0.4                                 # share of the region that must have a colour for its word to get into a derived caption (ours)
FINGERPRINT = 32                            # pictures looked at to tell two sets with the same ids apart


class WithCaptions(torch.utils.data.Dataset):
    """A map-style data set of `colorlib.data` whose samples also hold captions (a list of strings), caption (the first, or "") and caption_source.

    caption_source: "scene" for procedural scenes, whose captions are exact; "human" for samples that bring captions
    otherwise; "derived" for samples with only a label: their captions hold the name of the class and the colour word of
    the salient region (`color_names.name_region`), such as "a red garbage truck", or no colour word where less than
    `CLEAR` of that region has one colour. They are as good as the saliency map: what a rule saw, not what a person said.

    source: "saliency" takes the sample's own mask or saliency map, otherwise `saliency.DEFAULT`; or one of saliency's
    sources. The words, `words`, are found once and kept as JSON in `cache_folder()`. progress: as in `track`. Raises
    ValueError for samples without caption and label, for labels without names, and for whatever saliency refuses.

    >>> sample = WithCaptions(Packed(np.full((2, 32, 32, 3), (200, 40, 30), np.uint8), ["a", "b"], [0, 0], classes=["car"]))[0]
    >>> sample["captions"], sample["caption_source"]
    (['a red car', 'a photo of a red car', 'a car that is red'], 'derived')
    """

    def __init__(self, dataset, source="saliency", progress=None):
        if isinstance(dataset, torch.utils.data.IterableDataset) or not len(dataset):
            raise ValueError(f"{type(dataset).__name__} is empty or can only be read from start to end: pass a data set with samples, such as pack(source).")
        self.dataset, self.words, self.names = dataset, None, None
        for name in ("ids", "classes", "report"):
            if hasattr(dataset, name):
                setattr(self, name, getattr(dataset, name))
        first = dataset[0]
        if not {"caption", "captions"} & first.keys():
            if "label" not in first:
                raise ValueError(f"{first.get('id', 'The first sample')} has neither a caption nor a label: put x.txt beside x.jpg, add a captions.json, or "
                                 "sort the pictures into folders named after what they show.")
            self.names = class_names(getattr(dataset, "classes", None))
            self.words = [word if share >= CLEAR else None for word, share in _cached_words(dataset, source, progress)]

    def __len__(self):
        return len(self.dataset)

    def __getitem__(self, i):
        i = range(len(self))[i]
        sample = self.dataset[i]
        if self.words is not None:
            captions, source = self._derive(i, sample["label"]), "derived"
        else:
            captions = clean(sample.get("captions")) or clean(sample.get("caption"))
            source = sample.get("caption_source") or ("scene" if SCENE.fullmatch(str(sample.get("id"))) else "human")
        return sample | {"caption": captions[0] if captions else "", "captions": captions, "caption_source": source}

    def _derive(self, i, label):
        return derive(self.names[label], self.words[i]) if 0 <= (label := int(label)) < len(self.names) else []      # -1: STL10's unlabelled pictures

    def all_captions(self):
        """The captions of all samples, a list of lists, without decoding pictures where the data set keeps its captions or labels."""
        if self.words is not None:
            return [self._derive(i, label) for i, label in enumerate(column(self.dataset, "label"))]
        captions = list(map(clean, column(self.dataset, "captions")))
        return captions if all(captions) else [many or clean(one) for many, one in zip(captions, column(self.dataset, "caption"))]


# ---------------------------------------------------------------- captions derived from a label and a colour

def derive(name, word):
    """The name of a class and a colour word or None -> a list of captions. Where the name itself holds a colour word ("red fox"), ours stays the first.

    >>> derive("garbage truck", "red")
    ['a red garbage truck', 'a photo of a red garbage truck', 'a garbage truck that is red']
    """
    first = with_article(name if word is None else f"{word} {name}")
    return [first, f"a photo of {first}"] + ([] if word is None or color_words(name) else [f"{with_article(name)} that is {word}"])


def class_names(classes):
    """Names of classes as they stand in folders and lists -> as people say them: "garbage_truck" -> "garbage truck", Imagenette's numbers -> their names.

    classes: a list of strings. Raises ValueError for None and for numbers that nobody here can name.

    >>> class_names(["garbage_truck", "001.Albatross", "n03445777"])
    ['garbage truck', 'Albatross', 'golf ball']
    """
    import torchvision                                                              # late: these take seconds that colouring a photo does not need

    from colorlib.classifiers import IMAGENETTE_CLASSES
    known = torchvision.models.SqueezeNet1_1_Weights.DEFAULT.meta["categories"]     # ImageNet's 1000 names, in the order of their WordNet numbers
    if not classes:
        raise ValueError("The labels have no names, so no captions can be derived: sort the pictures into folders named after what they show, or add captions.")
    if len(classes) == len(known) and all(map(WNID.fullmatch, classes)):
        return list(known)                                                          # folders are sorted, too
    names = []
    for one in classes:
        name = known[IMAGENETTE_CLASSES[one]] if one in IMAGENETTE_CLASSES else one
        name = re.sub(r"^/\w/|^\d+[._ -]+", "", name)                               # Places365's /a/airfield, CUB's 001.Albatross
        name = " ".join(re.sub(r"[_/-]", " ", name).split())
        if WNID.fullmatch(name) or not re.search(r"[^\W\d_]", name):
            raise ValueError(f"The class {one!r} has no name that could stand in a caption: name the folders after what they show.")
        names.append(name)
    return names


def salient_word(sample, source="saliency"):
    """(colour word of a sample's salient region, share of the region that has this colour). source: as in `WithCaptions`, but no folder.

    >>> salient_word({"rgb": torch.tensor([200, 40, 30], dtype=torch.uint8)[:, None, None].expand(3, 32, 32)})
    ('red', 1.0)
    """
    from colorlib import saliency            # late: it is built on colorlib.data
    rgb = sample["rgb"].permute(1, 2, 0).numpy()
    if source == "saliency" and "mask" in sample:
        weight = (sample["mask"][0].numpy() > 0).astype(np.float32)
    else:
        if "saliency" in sample and source in ("saliency", "given"):
            weight = sample["saliency"][0].numpy().astype(np.float32) / 255
        else:
            scale = min(1, color_names.LOOK_SIDE / min(rgb.shape[:2]))
            rgb = cv2.resize(rgb, [max(1, round(scale * side)) for side in rgb.shape[1::-1]], interpolation=cv2.INTER_AREA)
            weight = saliency.estimate(rgb, saliency.DEFAULT if source == "saliency" else source).astype(np.float32) / 255
        weight[weight < SALIENT * weight.mean()] = 0
    return color_names.name_region(rgb, weight if weight.any() else np.ones_like(weight))


def _cached_words(dataset, source, progress):
    """The `salient_word` of every sample, from the cache when it knows these pictures."""
    from colorlib import saliency
    kind = source if source == "saliency" else saliency.source_kind(source)
    ids = [str(one) for one in ids_of(dataset)]
    rule = [Path(color_names.__file__).read_text(encoding="utf-8"), SALIENT, saliency.MAPS_VERSION]          # another rule finds other words
    method = saliency.DEFAULT if kind == "saliency" else saliency.source_stamp(source, kind)
    digest = hashlib.sha256(json.dumps([ids, kind, method, rule]).encode())
    for i in range(0, len(ids), -(-len(ids) // FINGERPRINT)):
        sample = dataset[i]
        for key in sorted({"rgb", "mask", "saliency"} & sample.keys()):
            digest.update(sample[key].numpy().tobytes())
    file = cache_folder() / "captions" / f"{split_hash(ids)}-{Path(str(source)).stem[:40]}-{digest.hexdigest()[:16]}.json"
    if (found := _read_words(file, len(ids))) is not None:
        return found
    if kind in ("folder", "given"):
        dataset, source = saliency.WithSaliency(dataset, source, progress), "given"          # refuses samples without a map
    found = [salient_word(dataset[i], source) for i in track(range(len(ids)), progress, unit="picture", desc="colour words")]
    remember(file, {"words": found})
    return found


def _read_words(file, count):
    """The (word, share) pairs in a cache file, or None when there is none, it is damaged or it holds something else."""
    try:
        found = [(COLOR_WORDS[COLOR_WORDS.index(word)], float(share)) for word, share in json.loads(file.read_text())["words"]]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return found if len(found) == count else None


# ---------------------------------------------------------------- captions that name a colour

class Colored(torch.utils.data.Dataset):
    """What `colored` returns; `left_out` counts the samples that are not in it."""

    def __init__(self, dataset):
        kept = [[one for one in captions if color_words(one)] for captions in dataset.all_captions()]
        self.dataset, self.indices = dataset, [i for i, captions in enumerate(kept) if captions]
        if not self.indices:
            raise ValueError(f"None of the {len(kept):,} samples has a caption with a colour word: write some, such as 'a red car'.")
        ids = ids_of(dataset)
        self.kept, self.left_out = [kept[i] for i in self.indices], len(kept) - len(self.indices)
        self.ids, self.classes, self.report = [ids[i] for i in self.indices], getattr(dataset, "classes", None), getattr(dataset, "report", None)

    def __len__(self):
        return len(self.indices)

    def __getitem__(self, i):
        return self.dataset[self.indices[i]] | {"caption": self.kept[i][0], "captions": self.kept[i]}


def colored(dataset):
    """Only captions with a colour word: samples without one are left out (`left_out` says how many), and so are a sample's other captions.

    dataset: `WithCaptions`, or what it takes. No picture is decoded where the data set holds its captions. Raises ValueError when nothing is left.

    >>> captions = {"captions": [["a red car", "a car"], ["a street"]]}
    >>> kept = colored(Packed(np.zeros((2, 8, 8, 3), np.uint8), ["a", "b"], extra=captions))
    >>> kept.left_out, kept[0]["captions"]
    (1, ['a red car'])
    """
    return Colored(dataset if isinstance(dataset, WithCaptions) else WithCaptions(dataset))


def column(dataset, key):
    """One entry ("captions", "label", ...) of all samples, None where it is missing, read without decoding pictures where the data set keeps it."""
    if key == "captions" and isinstance(dataset, (WithCaptions, Colored)):
        return dataset.kept if isinstance(dataset, Colored) else dataset.all_captions()
    if isinstance(dataset, (torch.utils.data.Subset, Colored)):
        values = column(dataset.dataset, key)
        return [values[i] for i in dataset.indices]
    if isinstance(dataset, Joined):
        if key == "label" and key not in dataset.keys:                             # the parts number different classes
            return [None] * len(dataset)
        return [value for part in dataset.parts for value in column(part, key)]
    if isinstance(dataset, WithCaptions) or key == "label" and isinstance(getattr(dataset, "dataset", None), torch.utils.data.Dataset):
        return column(dataset.dataset, key)                                        # what adds maps or references leaves labels as they are
    dataset = getattr(dataset, "packed", None) or dataset                          # SceneSet
    if isinstance(dataset, Packed):
        values = dataset.labels if key == "label" else dataset.extra.get(key)
        return [None] * len(dataset) if values is None else list(values)
    if isinstance(dataset, Captioned) and key == "captions":
        known = dict(zip(dataset.names, dataset.captions))
        return [known[one] for one in dataset.ids]
    return [dataset[i].get(key) for i in range(len(dataset))]


def clean(captions):
    """What a sample holds as its caption or captions -> a list of strings, without blank ones."""
    captions = [captions] if isinstance(captions, str) else captions if isinstance(captions, (list, tuple)) else []
    return [one.strip() for one in captions if isinstance(one, str) and one.strip()]


# ---------------------------------------------------------------- from what a person types to captions

def open_captioned(spec, size, split="train", limit=None, source="saliency", progress=None):
    """A packed, map-style data set of `size`-pixel squares whose captions all name a colour: `colored(WithCaptions(...))`.

    spec: a folder with `captions.json` or with x.txt beside x.jpg (human captions); "cococaptions", which people unpack
    themselves, see `torchvision_set`; tar shards, human where their samples bring captions; or whatever else
    `open_pictures` opens, if it has labels (derived captions). split, limit: as there; limit counts captioned samples.
    source, progress: as in `WithCaptions`. Raises what these two raise: ValueError, FileNotFoundError, ConnectionError.

    >>> from colorlib.data import SceneSet, write_shards
    >>> paths = write_shards(SceneSet(10, size=32, cache=False), "tars")
    >>> len(open_captioned("tars", size=16)), open_captioned("tars", size=16)[0]["rgb"].shape
    (9, torch.Size([3, 16, 16]))
    """
    if split not in SPLIT_WORDS or limit is not None and limit < 1:
        raise ValueError(f"split is {split!r} and limit {limit}: choose train or val, and at least one picture.")
    path, local = Path(spec).expanduser(), photo_folder()
    if str(spec).lower() == "cococaptions" and not path.exists() and local and (local / "cococaptions").is_dir():
        found = pack(torchvision_set("CocoCaptions", local / "cococaptions", split, size))
    elif path.is_dir() and has_captions(path):
        found = _split_of_folder(path, size, split)
    else:
        found = open_pictures(spec, size, split=split)
    return choose(colored(WithCaptions(found, source, progress)), limit=limit)


def has_captions(folder):
    """Whether a folder holds pictures and captions of them: a captions.json, or x.txt beside x.jpg."""
    files = [Path(name) for name in list_files(folder)]
    pictures = {path.with_suffix("") for path in files if path.suffix.lower() in PICTURE_SUFFIXES}
    return bool(pictures) and any(path.name == "captions.json" or path.suffix == ".txt" and path.with_suffix("") in pictures for path in files)


def _split_of_folder(folder, size, split):
    """The packed split of a folder with captions."""
    found, is_marked = find_split(folder, size, split, open_folder=lambda path, size: path)
    if is_marked and found != folder and (folder / "captions.json").is_file() and not (found / "captions.json").is_file():
        packed = pack(Captioned(folder, size=size))                                # one table for both splits
        return choose(packed, [one for one in packed.ids if one.startswith(f"{found.name}/")])
    return take_split(pack(Captioned(found, size=size)), is_marked, folder, split)
