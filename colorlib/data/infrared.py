"""Infrared pairs as a training and a test set that share no photo: the crops of one photo, the frames of one walk stay on one side."""
import hashlib
import io
import json
import re
import warnings
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from colorlib.data.combining import choose
from colorlib.data.opening import HELD_OUT, SPLIT_WORDS, open_pictures
from colorlib.data.packing import cache_folder, pack, remember
from colorlib.data.pairs import NirPairs, join_groups, match, split_ids
from colorlib.data.pseudo_infrared import PseudoInfrared
from colorlib.files import write_atomic
from colorlib.progress import track

__all__ = ["open_pairs", "split_sets", "split_pairs", "split_vcip2020", "shared_photos", "build_vcip_like"]

HELD_OUT_SETS = 0.2         # of frames in sets: share of the pairs aimed at; whole sets, at least one
CROP_SIDE = 680             # pixels of a photo that a crop of VCIP2020 shows, where there are so many
CROP_NAME = re.compile(r"(.+)[_-](left|right)", re.IGNORECASE)      # the two crops of one photo, see `build_vcip_like`
VCIP_PARTS = {"validation": "val", "testing": "legacy"}             # folders of the VCIP2020 challenge beside its training pairs
# The search for crops of one photo. The two of VCIP2020 share from half of their width down to 30 of 128 pixels; strips are narrower than that. The
# correlations of its 418 pairs lie above 0.92 or below 0.82; of 50 looked at above it, none was wrong.
PHOTO_SIDE, STRIP, MARGIN = 128, 20, 4                  # pixels; the margin, where filters lack neighbours and the other crop may lie off, is not used
COARSE, COARSE_STRIP, COARSE_NCC = 32, 5, 0.7           # the first, quick look
DETAIL = 1.0, 4.0                                       # the second sees the difference of two Gaussians of these sigmas, pixels
MOST_PAIRS = 5_000                                      # the time grows with the square; 363 pairs take five seconds
SAME_PHOTO = 0.85                                       # correlation, of colour and of infrared, above which two crops show one photo


def set_of(name):
    """The set a pair belongs to: its topmost folder (`set00/V000/I0001` -> set00), else its name up to the last _ (`street_0007` -> street)."""
    return name.split("/")[0] if "/" in name else name.rpartition("_")[0] or name


def split_sets(ids, fraction=HELD_OUT_SETS, seed=0):
    """Cut ids into (rest, held out) by whole sets, the same way on every machine. Frames of one walk stay together.

    The sets, ranked by a hash of seed and name, are held out until they make up `fraction` of the ids; one always is, one
    always stays. A single set (one folder, no numbering) is cut by pairs, since nothing else is known.

    >>> split_sets(["street_1", "street_2", "harbour_1", "harbour_2", "park_1", "park_2"])
    (['street_1', 'street_2', 'park_1', 'park_2'], ['harbour_1', 'harbour_2'])
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


def split_photos(ids, groups, folder):
    """Cut ids into {"train": ids, "val": ids} that share no group; a fixed tenth of the pairs, chosen by hash, is "val". Raises FileNotFoundError for
    too few."""
    rest, held = split_ids(ids, HELD_OUT, groups=groups)
    if not rest or not held:
        raise FileNotFoundError(f"{folder} has too few photos for a train and a val split: add some, or make folders train and val.")
    return {"train": rest, "val": held}


def split_pairs(folder):
    """The ids of a folder of pairs as {"train": ids, "val": ids}: by sets where every pair lies two folders deep
    (`set00/V000/I0001`), otherwise by photo, as its name tells (`urban_0003_left`) or else as `shared_photos` sees it.
    Raises ValueError for a folder without pairs or with too many to look at, FileNotFoundError for too few photos.

    >>> for name in (f"street_{i:04d}_{crop}_{kind}.png" for i in range(10) for crop in ("left", "right") for kind in ("rgb", "nir")):
    ...     path = Path(name).write_bytes(b"")
    >>> {split: len(ids) for split, ids in split_pairs(".").items()}
    {'train': 18, 'val': 2}
    """
    source = NirPairs(folder, PHOTO_SIDE)             # of one size, so that every size is cut alike
    if all(one.count("/") > 1 for one in source.names):
        return dict(zip(("train", "val"), split_sets(source.names)))
    crops = {one: CROP_NAME.fullmatch(one) for one in source.names}
    if all(crops.values()):
        return split_photos(source.names, {one: crop[1].lower() for one, crop in crops.items()}, folder)
    if len(source.names) > MOST_PAIRS:
        raise ValueError(f"{folder} holds {len(source.names):,} pairs, too many to look for crops of one photo: make folders train and val.")
    dataset = pack(source)
    return split_photos(dataset.ids, shared_photos(dataset), folder)


def split_vcip2020(folder):
    """The ids of the VCIP2020 challenge's folder as {"train", "val", "legacy"}.

    legacy: its Testing pairs, on which published numbers were measured. val: Validation and Testing, copies left out.
    train: the training pairs that are neither copies of these nor cut from the same photo; eight of the 28 Testing pairs
    are copies of training pairs. Raises ValueError for a folder without pairs.

    >>> random = np.random.default_rng(0)
    >>> for name in ("1", "2", "Validation/3", "Testing/4"):
    ...     Path(name).parent.mkdir(exist_ok=True)
    ...     for kind in ("rgb", "nir"):
    ...         Image.fromarray(random.integers(0, 256, (32, 32, 3), np.uint8)).save(f"{name}_{kind}.png")
    >>> split_vcip2020(".")
    {'train': ['1', '2'], 'val': ['Testing/4', 'Validation/3'], 'legacy': ['Testing/4']}
    """
    dataset = pack(NirPairs(folder, PHOTO_SIDE, drop_gray=False))
    part_of = lambda one: VCIP_PARTS.get(one.split("/")[0].lower(), "train") if "/" in one else "train"
    legacy = [one for one in dataset.ids if part_of(one) == "legacy"]
    tested = {}
    for i, one in enumerate(dataset.ids):
        if part_of(one) != "train":
            tested.setdefault(small_pair(dataset[i]).tobytes(), one)
    groups = shared_photos(dataset)
    seen = {groups[one] for one in tested.values()}
    train = [one for one in dataset.ids if part_of(one) == "train" and groups[one] not in seen]
    return {"train": train, "val": list(tested.values()), "legacy": legacy}


def is_vcip2020(folder):
    """Whether a folder has the layout of the VCIP2020 challenge: NIR and RGB-Registered, with Validation and Testing beside."""
    return {"nir", "rgb-registered", *VCIP_PARTS} <= {child.name.lower() for child in folder.iterdir() if child.is_dir()}


def open_pairs(folder, size, split="train", limit=None):
    """Pairs of a folder (see `NirPairs`) as a packed, map-style data set of `size`-pixel squares: rgb `(3, size, size)`, nir
    `(1, size, size)`, uint8.

    split: "train", "val" or "all", and for the folder of the VCIP2020 challenge "legacy" (see `split_vcip2020`).
    Sub-folders `train` and `val` are taken as they are; otherwise `split_pairs` cuts. "pseudo:" before the name of a
    folder or set of colour photos means made-up infrared, see `PseudoInfrared`. Raises FileNotFoundError when the folder
    is not there or has too few photos, ValueError when it holds no pairs.

    >>> from colorlib.data import SceneSet, write_shards
    >>> paths = write_shards(SceneSet(10, size=32, cache=False), "tars")
    >>> sample = open_pairs("pseudo:tars", size=16, split="val")[0]
    >>> sample["nir"].shape, sample["id"].partition("/")[0]
    (torch.Size([1, 16, 16]), 'pseudo')
    """
    if split not in (*SPLIT_WORDS, "legacy", "all"):
        raise ValueError(f"split is {split!r}: choose train, val or all (of VCIP2020 also legacy).")
    if str(folder).startswith("pseudo:"):
        return PseudoInfrared(open_pictures(str(folder).partition(":")[2], size, split, limit))
    folder = Path(folder).expanduser()
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder} is not a folder of infrared pairs: check the path.")
    if split == "all":
        return choose(pack(NirPairs(folder, size)), limit=limit)
    if is_vcip2020(folder):
        return choose(pack(NirPairs(folder, size, drop_gray=False)), split_vcip2020(folder)[split], limit)
    if split == "legacy":
        raise ValueError(f"{folder} has no legacy split: only the folder of VCIP2020 (NIR, RGB-Registered, Validation, Testing) has one.")
    marked = {part: folder / word for part, words in SPLIT_WORDS.items() for word in words if (folder / word).is_dir()}
    if marked and split not in marked:
        raise FileNotFoundError(f"{folder} has no {split} split: add a folder {split} to it.")
    if marked:
        return choose(pack(NirPairs(marked[split], size)), limit=limit)
    return choose(pack(NirPairs(folder, size)), split_pairs(folder)[split], limit)


# ---------------------------------------------------------------- which pairs were cut from one photo?

def shared_photos(dataset):
    """{id: group} of pairs (samples with rgb, nir of one square size): those cut from one photo, and copies, have the same group.

    Two square crops of one photo overlap, side by side or one above the other: a strip at an edge of the one lies
    somewhere in the other. Colour and infrared must agree on it at the same place, at a normalised correlation above
    SAME_PHOTO. Found once and remembered in the cache folder under a hash of the pictures.

    >>> from colorlib.data.sources import sample_photos
    >>> for kind in ("rgb", "nir"):
    ...     Image.fromarray(dict(sample_photos())["coffee"]).save(f"cup_{kind}.png")
    >>> build_vcip_like(".", "crops", side=128), shared_photos(pack(NirPairs("crops", 128), "packs"))
    (2, {'cup_left': 'cup_left', 'cup_right': 'cup_left'})
    """
    pictures, ids = [small_pair(dataset[i]) for i in range(len(dataset))], list(dataset.ids)
    digest = hashlib.sha256(repr((ids, PHOTO_SIDE, STRIP, MARGIN, COARSE, COARSE_STRIP, COARSE_NCC, DETAIL, SAME_PHOTO)).encode())
    for picture in pictures:
        digest.update(picture.tobytes())
    file = cache_folder() / f"photos-{digest.hexdigest()[:16]}.json"
    try:
        links = json.loads(file.read_text())["links"]
    except (OSError, ValueError, KeyError, TypeError):      # none yet, or a damaged one: look again
        links = [[ids[i], ids[k]] for i, k, score in find_overlaps(pictures) if score > SAME_PHOTO] + find_copies(pictures, ids)
        remember(file, {"links": links})
    return {one: one for one in ids} | join_groups(links)


def small_pair(sample):
    """rgb and nir of a sample as one `(PHOTO_SIDE, PHOTO_SIDE, 4)` uint8 array."""
    planes = np.concatenate([sample["rgb"].numpy(), sample["nir"].numpy()]).transpose(1, 2, 0)
    return cv2.resize(planes, (PHOTO_SIDE, PHOTO_SIDE), interpolation=cv2.INTER_AREA)


def find_copies(pictures, ids):
    """[[id, id]] of equal pictures, which `find_overlaps` does not see where they have no texture."""
    first = {}
    return [[first[key], one] for picture, one in zip(pictures, ids) if first.setdefault(key := picture.tobytes(), one) != one]


def find_overlaps(pictures):
    """[(i, k, correlation)] of the pictures `(PHOTO_SIDE, PHOTO_SIDE, 4)` that may overlap: a coarse look at every two, a fine one where that is
    promising.

    The fine look is at detail alone: skies and ridges are alike in many photos.
    """
    coarse = np.stack([cv2.resize(picture, (COARSE, COARSE), interpolation=cv2.INTER_AREA) for picture in pictures])
    detail = [cv2.GaussianBlur(picture, (0, 0), DETAIL[0]) - cv2.GaussianBlur(picture, (0, 0), DETAIL[1]) for picture in map(np.float32, pictures)]
    best = {}
    for turn in (lambda array: array, lambda array: array.swapaxes(-3, -2)):      # side by side; one above the other
        turned = [np.ascontiguousarray(turn(picture)) for picture in detail]
        for i, k in find_similar(turn(coarse)):
            pair = min(i, k), max(i, k)
            best[pair] = max(overlap(turned[i], turned[k]), best.get(pair, -1.0))
    return [(*pair, score) for pair, score in best.items()]


def find_similar(pictures):
    """[(i, k)] of small pictures `(N, COARSE, COARSE, 4)`: a strip at the right edge of i correlates with some place in k by more than COARSE_NCC."""
    part = (COARSE - 2, COARSE_STRIP)
    windows = np.lib.stride_tricks.sliding_window_view(pictures, part, (1, 2))      # (N, 3, places, 4, height, width)
    strips = [normalize(windows[:, 1, -2, channels]) for channels in (slice(0, 3), slice(3, 4))]
    found = []
    for k, places in enumerate(windows):
        places = places.reshape(-1, 4, *part)
        rgb, nir = (strip @ normalize(places[:, channels]).T for strip, channels in zip(strips, (slice(0, 3), slice(3, 4))))      # (N, places)
        found += [(int(i), k) for i in np.flatnonzero(np.minimum(rgb, nir).max(1) > COARSE_NCC) if i != k]
    return found


def normalize(parts):
    """`(N, C, H, W)` -> `(N, C H W)` float32 rows whose products are correlations: without their channels' means, of length 1."""
    parts = parts.astype(np.float32)
    rows = (parts - parts.mean((2, 3), keepdims=True)).reshape(len(parts), -1)
    return rows / (np.linalg.norm(rows, axis=1, keepdims=True) + 1e-6)


def overlap(one, other):
    """How well a strip at the right edge of `one` is found in `other`, `(H, W, 4)` float32: the largest, over places, of the smaller correlation of
    rgb and nir. A strip without texture is found nowhere (-1)."""
    strip = one[MARGIN:-MARGIN, -STRIP - MARGIN:-MARGIN]
    if min(strip[..., :3].std(), strip[..., 3].std()) < 1:
        return -1.0
    maps = [cv2.matchTemplate(np.ascontiguousarray(other[..., channels]), np.ascontiguousarray(strip[..., channels]), cv2.TM_CCOEFF_NORMED)
            for channels in (slice(3), 3)]
    return float(np.minimum(*maps).max())


# ---------------------------------------------------------------- making such a set

def build_vcip_like(epfl_dir, target, side=256, progress=None):
    """Cut pairs the way the VCIP2020 challenge did from the photos of the EPFL RGB-NIR Scene set (Brown and Suesstrunk, CVPR 2011;
    `country/0000_rgb.tiff` with `country/0000_nir.tiff`, nine categories); returns the number of pairs in the end.

    Of each photo two squares, as large as it allows but at most CROP_SIDE pixels, top left and bottom right, shrunk
    bicubically to `side` pixels: `target/urban_0003_left_rgb.png`, `_left_nir.png`, `_right_...`. The challenge also
    sorted photos out by hand; this does not. Files that are there are kept, so an interrupted run goes on. A photo that
    cannot be read is warned about and left out. Raises ValueError for a folder without pairs.

    >>> Path("epfl/urban").mkdir(parents=True)
    >>> for kind in ("rgb", "nir"):
    ...     Image.new("RGB", (90, 60)).save(f"epfl/urban/0003_{kind}.png")
    >>> build_vcip_like("epfl", "pairs", side=32), sorted(path.name for path in Path("pairs").glob("*_rgb.png"))
    (2, ['urban_0003_left_rgb.png', 'urban_0003_right_rgb.png'])
    """
    source, target = NirPairs(epfl_dir), Path(target).expanduser()
    target.mkdir(parents=True, exist_ok=True)
    count = 0
    for i, name in enumerate(track(source.names, progress, unit="photo")):
        names = {(crop, kind): target / f"{name.replace('/', '_')}_{crop}_{kind}.png" for crop in ("left", "right") for kind in ("rgb", "nir")}
        if not all(path.exists() for path in names.values()):
            try:
                rgb, nir = source.decode(i)
                nir = match(nir, rgb, source.pairs[i][1].name)
            except (ValueError, OSError) as error:
                warnings.warn(f"{name} is left out: {error}", stacklevel=2)
                continue
            height, width = nir.shape
            cut = min(CROP_SIDE, height, width)
            places = {"left": np.s_[:cut, :cut], "right": np.s_[height - cut:, width - cut:]}
            for (crop, kind), path in names.items():
                save_crop(path, (rgb if kind == "rgb" else nir)[places[crop]], side)
        count += 2
    return count


def save_crop(path, picture, side):
    """Write a square `(H, W[, 3])` uint8 as a PNG of `side` pixels, whole or not at all; a file that is there stays."""
    if not path.exists():
        content = io.BytesIO()
        Image.fromarray(picture).resize((side, side), Image.BICUBIC).save(content, "png")
        write_atomic(path, content.getvalue())
