"""Pictures that come with something aligned to them: near infrared, captions, masks, or everything a procedural scene
knows."""
import hashlib
import json
import re
from pathlib import Path

import cv2
import numpy as np
import torch

from colorlib.data.packing import Report, pack
from colorlib.data.sources import PICTURE_SUFFIXES, Source, decode, list_files, to_tensor

__all__ = ["NirPairs", "Captioned", "Masked", "SceneSet", "split_ids", "join_groups"]

TWIN = re.compile(r"(.+)[_-](rgb|nir)([_-]reg)?", re.IGNORECASE)      # stems such as 0001_rgb, 0001_rgb_reg, 0001_nir
TWIN_FOLDER = re.compile(r"(rgb|nir)([_-]reg(istered)?)?", re.IGNORECASE)      # folders of one kind: NIR, RGB-Registered


def split_ids(ids, fraction, seed=0, groups=None):
    """Cut ids into (rest, held out), the same way on every machine and in any order of the ids.

    The ids are ranked by sha256 of seed and group; the first `fraction` of them (rounded) are held out. groups: {id:
    group} or a function of the id; all ids of a group land on the same side, such as the crops of one photo. Default:
    each id alone. Raises ValueError for a fraction beyond 0 to 1.

    >>> split_ids(["a1", "a2", "b1", "b2", "c1", "c2"], 1 / 3, groups=lambda one: one[0])
    (['a1', 'a2', 'b1', 'b2'], ['c1', 'c2'])
    """
    if not 0 <= fraction <= 1:
        raise ValueError(f"fraction is {fraction}: give the share to hold out, from 0 to 1.")
    ids = list(ids)
    group_of = groups if callable(groups) else (groups or {}).get
    members = {}
    for one in ids:
        group = one if groups is None else group_of(one)
        members.setdefault(one if group is None else group, []).append(one)
    ranked = sorted(members, key=lambda group: hashlib.sha256(f"{seed}/{group}".encode()).digest())
    held, wanted = set(), round(fraction * len(ids))
    for group in ranked:
        if len(held) + len(members[group]) <= wanted:
            held.update(members[group])
    return [one for one in ids if one not in held], [one for one in ids if one in held]


def join_groups(pairs):
    """Pairs of ids that belong together (two crops of one photo) -> {id: group} for `split_ids`; links are followed to their end.

    >>> join_groups([("a", "b"), ("b", "c"), ("d", "e")])
    {'a': 'a', 'b': 'a', 'c': 'a', 'd': 'd', 'e': 'd'}
    """
    group = {}

    def root(one):
        while group.setdefault(one, one) != one:
            one = group[one]
        return one

    for a, b in pairs:
        group[max(root(a), root(b))] = min(root(a), root(b))
    return {one: root(one) for one in list(group)}


class NirPairs(Source):
    """Colour photos and near-infrared photos of the same places: `x_rgb.*` with `x_nir.*`, at any depth. Samples: rgb,
    nir `(1, H, W)`.

    Partners may differ in case and lie in folders named after their kind (`RGB-Registered/x_rgb_reg.png` with
    `NIR/x_nir.png`, as VCIP2020 has them); an id is the path without these, such as `country/0000` in the EPFL set.

    affine: for pairs that are not registered, a JSON file or dict {x: {"matrix_rgb_to_nir_fullsize": 2 x 3, "fullsize":
    [width, height]}} whose matrix takes an RGB pixel (x, y) to its NIR pixel, in pictures of that size; smaller copies
    of the pictures are fine. The NIR photo is then warped onto the RGB one, and `valid` `(1, H, W)` is 1 where it had
    pixels (0 at margins, where nir is 0). None: as they are. A photo without its partner, without a matrix, or whose
    partner has another shape is named in the report and skipped. Raises ValueError for a folder without pairs and for an
    affine table of another form.

    >>> from PIL import Image
    >>> for kind in ("rgb", "nir"):
    ...     Image.new("RGB", (40, 30), (90, 160, 60)).save(f"park_{kind}.png")
    >>> NirPairs(".", size=16)[0]["nir"].shape
    torch.Size([1, 16, 16])
    """

    def __init__(self, folder, size=None, affine=None, crop="center", drop_gray=True):
        self.folder = Path(folder).expanduser().resolve()
        rgb, nir = find_twins(list_files(self.folder))
        if not rgb.keys() & nir.keys():
            one = next(iter([*rgb.values(), *nir.values()]), None)
            raise ValueError(f"{self.folder} holds no pairs{f', only {one} without its partner' if one else ''}: name the "
                             "pictures x_rgb.png and x_nir.png.")
        self.affine = read_affine(affine)
        self.names = sorted(rgb.keys() & nir.keys())
        self.rejected = [(rgb.get(x) or nir[x], "its partner is missing") for x in sorted(rgb.keys() ^ nir.keys())]
        if self.affine is not None:
            self.rejected += [(rgb[x], "it has no matrix in the affine file") for x in self.names
                              if Path(x).name not in self.affine]
            self.names = [x for x in self.names if Path(x).name in self.affine]
        self.pairs = [(self.folder / rgb[x], self.folder / nir[x]) for x in self.names]
        self.paths = [path for pair in self.pairs for path in pair]
        digest = hashlib.sha256(json.dumps(self.affine, sort_keys=True).encode()).hexdigest()
        super().__init__(size, crop, drop_gray, folder=str(self.folder), affine=digest if self.affine else None,
                         rejected=self.rejected)

    def decode(self, i):
        """Candidate i as stored: rgb `(H, W, 3)`, nir `(h, w)`, uint8."""
        rgb, nir = (decode(path) for path in self.pairs[i])
        return rgb, np.rint(nir.astype(np.float32).mean(-1)).astype(np.uint8) if (nir[..., :1] != nir).any() else nir[..., 0]

    def read(self, i):
        rgb, nir = self.decode(i)
        if self.affine is None:
            nir = match(nir, rgb, self.pairs[i][1].name)
            return {"rgb": self.fit(rgb), "nir": self.fit(nir)}
        nir, valid = align(nir, rgb, **self.affine[Path(self.names[i]).name])
        valid = self.fit(255 * valid) == 255                            # a pixel mixed with the margin is not valid
        return {"rgb": self.fit(rgb), "nir": self.fit(nir), "valid": valid.to(torch.uint8)}


def find_twins(names):
    """File names -> ({id: colour file}, {id: infrared file}). First those of one name in one folder; of the rest, names
    that differ in case or in a folder named after its kind."""
    found = {"rgb": {}, "nir": {}}
    for path in map(Path, names):
        twin = TWIN.fullmatch(path.stem)
        if twin and path.suffix.lower() in PICTURE_SUFFIXES:
            found[twin[2].lower()].setdefault(path.with_name(twin[1]).as_posix(), path.as_posix())
    rgb, nir = found["rgb"], found["nir"]
    lonely = {_plain(one).lower(): one for one in sorted(nir.keys() - rgb.keys())}
    for one in sorted(rgb.keys() - nir.keys()):
        name = _plain(one)
        partner = lonely.pop(name.lower(), None)
        if partner is not None and (name == one or name not in rgb):
            rgb[name], nir[name] = rgb.pop(one), nir.pop(partner)
    return rgb, nir


def _plain(name):
    *parents, last = Path(name).parts
    return "/".join([*(parent for parent in parents if not TWIN_FOLDER.fullmatch(parent)), last])


def read_affine(affine):
    """A JSON file or dict -> {name: {"matrix": 2 x 3 list, "fullsize": [width, height]}}, checked; None stays None."""
    if affine is None:
        return None
    source = "The affine table"
    if not isinstance(affine, dict):
        source = str(affine)
        affine = read_json(affine)
    try:
        table = {name: {"matrix": np.asarray(entry["matrix_rgb_to_nir_fullsize"], float)[:2].reshape(2, 3).tolist(),
                        "fullsize": [float(side) for side in entry["fullsize"]]} for name, entry in affine.items()}
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ValueError(f"{source} is not a table of matrices ({error!r}): see NirPairs for its form.") from error
    return table


def align(nir, rgb, matrix, fullsize):
    """Warp nir `(h, w)` onto rgb `(H, W, 3)`: (nir, valid) `(H, W)` uint8, valid 0 or 1. The matrix holds for pictures
    of `fullsize`."""
    full = np.vstack([matrix, [0, 0, 1]])
    matrix = np.linalg.inv(_to_full(nir, fullsize)) @ full @ _to_full(rgb, fullsize)      # stored RGB -> stored NIR
    size, flags = rgb.shape[1::-1], cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    warp = lambda plane: cv2.warpAffine(plane, matrix[:2], size, flags=flags)
    return warp(nir), (warp(np.full_like(nir, 255)) == 255).astype(np.uint8)


def _to_full(picture, fullsize):
    """Pixel coordinates of a stored picture -> of the full-size one; pixel centres lie at whole numbers."""
    (height, width), (full_width, full_height) = picture.shape[:2], fullsize
    x, y = full_width / width, full_height / height
    return np.array([[x, 0, (x - 1) / 2], [0, y, (y - 1) / 2], [0, 0, 1]])


def match(plane, rgb, name):
    """A plane `(h, w)` at the size of its photo. Raises ValueError when the shapes differ by more than rounding."""
    if plane.shape == rgb.shape[:2]:
        return plane
    height, width = rgb.shape[:2]
    if abs(plane.shape[1] * height / plane.shape[0] - width) > 1 + width / 100:
        raise ValueError(f"{name} is {plane.shape[1]} x {plane.shape[0]} but its photo {width} x {height}: crop them "
                         "alike.")
    shrinks = plane.shape[0] > height
    return cv2.resize(plane, (width, height), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)


def read_json(path):
    """The content of a JSON file. Raises ValueError naming the file."""
    try:
        return json.loads(Path(path).expanduser().read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:      # the last for thousands of brackets in each other
        raise ValueError(f"{path} cannot be read as JSON ({error}): check the path and the file.") from error


def read_text(path):
    """A UTF-8 text file. Raises ValueError that names a file of another encoding."""
    try:
        return Path(path).read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise ValueError(f"{path} is not UTF-8 text: save it as UTF-8.") from None


# ---------------------------------------------------------------- captions and masks

class Captioned(Source):
    """Photos with captions. Samples: rgb, captions (a list of strings) and caption (the first).

    captions_json: a list of {"file", "captions"}, a dict {file: captions}, or COCO's own file ({"images",
    "annotations"}); files are paths inside the folder. None: `captions.json` of the folder if it is there, otherwise
    the lines of `x.txt` beside `x.jpg`. Raises ValueError for a folder without captions and a table of another form.

    >>> from PIL import Image
    >>> Image.new("RGB", (40, 30), (90, 160, 60)).save("park.png")
    >>> Path("park.txt").write_text("a green park") and Captioned(".", size=16)[0]["captions"]
    ['a green park']
    """

    def __init__(self, folder, captions_json=None, size=None, crop="center", drop_gray=True):
        self.folder = Path(folder).expanduser().resolve()
        files = list_files(self.folder)
        if captions_json is None and "captions.json" in files:
            captions_json = self.folder / "captions.json"
        table = _captions_beside(self.folder, files) if captions_json is None else _captions_listed(captions_json)
        if not table:
            raise ValueError(f"{self.folder} holds no captions: put x.txt beside x.jpg or pass captions_json.")
        there = set(files)
        self.names = [name for name in table if name in there and table[name]]
        self.rejected = [(name, "it has no caption" if name in there else "the file is missing") for name in table
                         if name not in self.names]
        self.captions = [table[name] for name in self.names]
        self.paths = [self.folder / name for name in self.names]
        digest = hashlib.sha256(json.dumps(table).encode()).hexdigest()
        super().__init__(size, crop, drop_gray, folder=str(self.folder), captions=digest)

    def read(self, i):
        return {"rgb": self.fit(decode(self.paths[i])), "caption": self.captions[i][0], "captions": self.captions[i]}


def _captions_beside(folder, files):
    pictures = [name for name in files if Path(name).suffix.lower() in PICTURE_SUFFIXES]
    there = set(files)
    texts = {name: Path(name).with_suffix(".txt").as_posix() for name in pictures}
    return {name: _clean(read_text(folder / text).splitlines()) for name, text in texts.items() if text in there}


def _captions_listed(path):
    found, table = read_json(path), {}
    try:
        if isinstance(found, dict) and "annotations" in found:
            files = {image["id"]: image["file_name"] for image in found["images"]}
            entries = [(files[note["image_id"]], note["caption"]) for note in found["annotations"]]
        elif isinstance(found, dict):
            entries = list(found.items())
        else:
            entries = [(entry["file"], entry["captions"]) for entry in found]
        for name, captions in entries:
            table.setdefault(name, []).extend(_clean([captions] if isinstance(captions, str) else captions))
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{path} is not a table of captions ({error!r}): see Captioned for its forms.") from error
    return table


def _clean(captions):
    return [" ".join(caption.split()) for caption in captions if caption.strip()]


class Masked(Source):
    """Photos with masks of their salient objects: `x.jpg` with `x_mask.png`. Samples: rgb, mask `(1, H, W)` uint8 0 or
    1 (from half white on), saliency `(1, H, W)` uint8 0..255, the mask as it is stored. Photos without a mask are named
    in the report and skipped. Raises ValueError for a folder without masks.

    >>> from PIL import Image
    >>> for name, level in (("park.png", (90, 160, 60)), ("park_mask.png", (200, 200, 200))):
    ...     Image.new("RGB", (40, 30), level).save(name)
    >>> int(Masked(".", size=16)[0]["mask"].sum())
    256
    """

    def __init__(self, folder, size=None, crop="center", drop_gray=True):
        self.folder = Path(folder).expanduser().resolve()
        pictures = [Path(name) for name in list_files(self.folder) if Path(name).suffix.lower() in PICTURE_SUFFIXES]
        masks = {path.with_name(path.stem[:-5]).as_posix(): path for path in pictures if path.stem.endswith("_mask")}
        photos = [path for path in pictures if not path.stem.endswith("_mask")]
        stems = [path.with_suffix("").as_posix() for path in photos]
        self.names = [path.as_posix() for path, stem in zip(photos, stems) if stem in masks]
        self.pairs = [(self.folder / path, self.folder / masks[stem]) for path, stem in zip(photos, stems)
                      if stem in masks]
        self.paths = [path for pair in self.pairs for path in pair]
        self.rejected = [(path.as_posix(), "its mask is missing") for path, stem in zip(photos, stems)
                         if stem not in masks]
        self.rejected += [(path.as_posix(), "its photo is missing") for stem, path in sorted(masks.items())
                          if stem not in stems]
        if not self.names:
            raise ValueError(f"{self.folder} holds no masks: name them x_mask.png beside x.jpg.")
        super().__init__(size, crop, drop_gray, folder=str(self.folder), rejected=self.rejected)

    def read(self, i):
        rgb, mask = (decode(path) for path in self.pairs[i])
        saliency = self.fit(match(mask[..., 0], rgb, self.pairs[i][1].name))
        return {"rgb": self.fit(rgb), "mask": (saliency >= 128).to(torch.uint8), "saliency": saliency}


# ---------------------------------------------------------------- procedural scenes

class SceneSet(Source):
    """The scenes of the seeds seed .. seed + count - 1, painted once into memory maps (cache=False: painted when asked for).

    Samples: rgb; label (into `classes`); mask `(1, H, W)` 0 or 1 of the main object; saliency, nir, line_art `(1, H,
    W)` 0..255; captions (3 strings) and caption (the first); color, the main object's colour word. Two sets share no
    scene when their seeds lie `count` apart. The same seeds go into `scenes.bayes_ceiling`. Raises ValueError for a count
    below 1 or a seed below 0.

    >>> sample = SceneSet(1, size=32, cache=False)[0]
    >>> sample["rgb"].shape, sample["nir"].shape, sample["caption"]
    (torch.Size([3, 32, 32]), torch.Size([1, 32, 32]), 'a blue umbrella, by the blue sea')
    """

    def __init__(self, count, size=64, seed=0, cache=True):
        from colorlib import scenes
        if count < 1 or seed < 0:
            raise ValueError(f"count is {count} and seed {seed}: ask for at least one scene, and a seed from 0 on.")
        super().__init__(size, drop_gray=False, count=count, seed=seed)
        self.count, self.seed, self.classes = count, seed, list(scenes.CLASSES)
        self.names = [f"scene/{seed + i}" for i in range(count)]
        self.paths = sorted(Path(scenes.__file__).parent.glob("*.py"))      # another world is another cache
        self.packed = pack(self) if cache else None

    def read(self, i):
        from colorlib import scenes
        scene = scenes.make_scene(self.seed + i, self.size)
        planes = {"mask": scene.masks[0].astype(np.uint8), "saliency": scene.saliency, "nir": scene.nir,
                  "line_art": scene.line_art}
        return {"rgb": to_tensor(scene.rgb), "label": torch.tensor(scene.label), "caption": scene.captions[0], "color": scene.color,
                "captions": list(scene.captions)} | {key: to_tensor(plane) for key, plane in planes.items()}

    ids = property(lambda self: self.names)
    report = property(lambda self: Report(kept=self.count))      # every scene is usable: none need be painted to know it

    def stamp(self):
        return hashlib.sha256(b"".join(path.read_bytes() for path in self.paths)).hexdigest()

    def __len__(self):
        return self.count

    def __getitem__(self, i):
        if self.packed is not None:
            return self.packed[i]
        i = range(self.count)[i]
        return {"id": self.names[i]} | self.read(i)
