"""What a person types is opened: "scenes:8000+imagenette", a folder, a pattern of shards become a data set; a name and a size the model that is measured."""
from pathlib import Path

from colorlib import data, references, zoo
from colorlib.scenes import SEED_OF_VAL

__all__ = ["open_dataset", "open_training", "open_test", "default_data", "data_name", "is_scenes", "TEST_SIZE", "INFRARED_TEST_SIZE",
           "CLIP_TEST_SIZE", "ZOOM", "STREAM"]

TEST_SIZE = {"smoke": 64, "class": 224, "paper": 224}       # side of the pictures results are measured on
INFRARED_TEST_SIZE = TEST_SIZE | {"class": 256, "paper": 256}      # that of the VCIP 2020 challenge
CLIP_TEST_SIZE = {"smoke": 64, "class": 128, "paper": 256}         # of frames; the last is TCVC's
ZOOM = 1.25                                                 # photos are stored this much larger than the crops trained on
STREAM = "stream:"                                          # in front of shards that are read again and again instead of being packed, see `data.Streamed`
SCENES = 2000                                               # how many "scenes" are, where nobody says
TUNING = 0.05                                               # share of the training split that recipes are compared on, see `tuning`


# ---------------------------------------------------------------- data sets

def open_dataset(spec, side, split="train", limit=None, seed=0, sees="grey", captions=False):
    """A map-style data set from what a person types: "scenes" or, so many of them, "scenes:8000"; a torchvision set ("imagenette", ...), a folder, tar shards;
    or several with + between.

    Photos become squares of `side` pixels, decoded once into the cache. split: "train" or "val" (of infrared pairs also "legacy", see `data.open_pairs`);
    scenes of the two never share a seed; or "fit" and "tuning", two parts of "train", cut by hash; "all" of a folder.
    limit: at most that many samples, of each. sees="infrared": the folder holds infrared pairs, see `data.open_pairs`. captions: samples hold captions that
    name a colour, see `data.open_captioned`. Raises FileNotFoundError or ValueError with what to do.

    >>> scenes = open_dataset("scenes:4", side=32)
    >>> len(scenes), scenes[0]["rgb"].shape, scenes[0]["rgb"].dtype
    (4, torch.Size([3, 32, 32]), torch.uint8)
    """
    if "+" in str(spec) and not Path(spec).exists():
        if "" in (parts := str(spec).split("+")):
            raise ValueError(f"{spec!r} does not say which sets: write a name on both sides of every +.")
        return data.join([open_dataset(part, side, split, limit, seed, sees, captions) for part in parts])
    if split in ("fit", "tuning"):
        whole = open_dataset(spec, side, "train", None, seed, sees, captions)
        fit, tuning = data.split_ids(data.ids_of(whole), TUNING)
        return data.choose(whole, {"fit": fit, "tuning": tuning}[split], limit)
    if is_scenes(spec):
        if split == "all":
            raise ValueError(f"{spec} has no end, and only of a folder can all pictures be taken: choose train or val.")
        count = str(spec).partition(":")[2] or str(SCENES)
        if not count.isdecimal() or not 1 <= int(count) <= SEED_OF_VAL:
            raise ValueError(f"{spec!r} does not say how many scenes: write a number, such as scenes:8000, up to {SEED_OF_VAL:,}.")
        found = data.SceneSet(limit or (int(count) if split == "train" else 200), size=side, seed=seed + (0 if split == "train" else SEED_OF_VAL))
        return data.WithCaptions(found) if captions else found
    if sees == "infrared":
        return data.open_pairs(spec, side, split=split, limit=limit)
    if captions:
        return data.open_captioned(spec, side, split=split, limit=limit)
    return data.open_pictures(spec, side, split=split, limit=limit)


def open_training(method, config, spec, split="train"):
    """What a method is trained on with a Config, before its paper prepares it. spec: see `open_dataset`, or "stream:" and a folder, path or pattern of shards;
    split: "train" or, of single pictures, "fit". Raises ValueError for a stream where more is needed than its pictures.

    >>> film = zoo.get("film")
    >>> open_training(film, film.presets["smoke"], "stream:shards/")
    Traceback (most recent call last):
    ValueError: Only pictures alone, of one set and the whole of its training part, can be streamed: leave out stream: for film.
    """
    side = config.image_size if is_scenes(spec) else getattr(config, "working_size", round(ZOOM * config.image_size))
    if STREAM in str(spec):
        if reads_clips(method) or reads_captions(method) or method.sees == "infrared" or split != "train" or not str(spec).startswith(STREAM):
            raise ValueError(f"Only pictures alone, of one set and the whole of its training part, can be streamed: leave out {STREAM} for {method.name}.")
        return data.open_stream(str(spec).removeprefix(STREAM), side)
    if reads_clips(method):
        return data.open_clips(spec, side, method.papers.FRAMES)
    return open_dataset(spec, side, split, sees=method.sees, captions=reads_captions(method))


def open_test(method, spec, side, limit=None, split="val"):
    """The split a method is measured on. Where others of its table read captions, it is measured on their pictures, if there are captions at all.
    With related references for a method that takes one; they come from the whole split, whatever the limit. split: "val", "all" of a folder, or "legacy".
    Raises ValueError for "legacy" unless the method sees infrared and spec is a folder.

    >>> open_test(zoo.get("cic"), "photos/", side=224, split="legacy")
    Traceback (most recent call last):
    ValueError: Only a folder of infrared pairs, for a method that sees infrared, has a split legacy: leave it out for cic on photos/.
    """
    if method.sees == "infrared" and not is_scenes(spec):
        return open_dataset(spec, side, split=split, limit=limit, sees=method.sees)
    if split == "legacy":
        raise ValueError(f"Only a folder of infrared pairs, for a method that sees infrared, has a split {split}: leave it out for {method.name} on {spec}.")
    if "reference" in method.conditions:
        return references.WithReferences(open_dataset(spec, side, split=split, limit=limit), pool=open_dataset(spec, side, split=split))
    shared = {other.results for other in zoo.METHODS.values() if "caption" in other.conditions}
    try:
        return open_dataset(spec, side, split=split, limit=limit, sees=method.sees, captions=method.results in shared)
    except ValueError:
        if reads_captions(method) or method.results not in shared:
            raise
        return open_dataset(spec, side, split=split, limit=limit, sees=method.sees)


def default_data(method, size):
    """What a method is trained and measured on unless a person says otherwise; infrared and clips have no set that may be fetched.

    >>> default_data(zoo.get("cic"), "class"), default_data(zoo.get("nirnet"), "class")
    ('imagenette', 'scenes')
    """
    return "scenes" if size == "smoke" or method.sees == "infrared" or reads_clips(method) else "imagenette"


def data_name(spec):
    """A data set's name in results: the last part of its path, with "pseudo:" in front where infrared is made up, wherever the folder lies, and "stream:" where
    tars were streamed; of several sets with + between, of all of them.

    >>> data_name("/home/me/holiday"), data_name("scenes:9000+photos/flowers")
    ('holiday', 'scenes:9000+flowers')
    """
    if "+" in str(spec) and not Path(spec).exists():
        return "+".join(map(data_name, str(spec).split("+")))
    kind = next((kind for kind in ("pseudo:", STREAM) if kind in str(spec)), "")
    return kind + Path(str(spec)).name.removeprefix(kind)


def is_scenes(spec):
    """Whether what a person typed means procedural scenes and nothing else.

    >>> is_scenes("scenes:8000"), is_scenes("scenes+imagenette")
    (True, False)
    """
    return str(spec).partition(":")[0] == "scenes" and "+" not in str(spec)


def test_side(method, config, size, spec):
    """Side of the pictures a method is measured on: of scenes what its network sees."""
    return zoo.working_size(config) if is_scenes(spec) else (INFRARED_TEST_SIZE if method.sees == "infrared" else TEST_SIZE)[size]


# ---------------------------------------------------------------- methods

def reads_captions(method):
    """Whether a method's pictures must come with captions; FCNN's do, though it does not read them, so that all three see the same pictures."""
    return getattr(method.papers, "READS_CAPTIONS", False)


def reads_clips(method):
    """Whether a method is trained on windows of frames."""
    return getattr(method.papers, "READS_CLIPS", False)


def load_model(name, size, weights=None, model=None, device="auto"):
    """(the model that is measured, its weights file): a model that is given, whose file nobody knows (None), else the weights given or the shipped ones."""
    if model is not None:
        return model, None
    return zoo.load(name, weights, size=size, device=device), weights or zoo.weights_file(name, size)
