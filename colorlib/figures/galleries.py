"""The figures a paper shows beside its table: results, comparisons, failures, attention, evolution, portraits, landscapes, legacy photos.

Made for SCGAN's list and usable by any automatic method; `draw` runs them all. They show scikit-image's photographs, scenes and what the user names.
Each is one PNG of at most 600 kB: what would be larger is drawn smaller, then without its last rows.
"""
import contextlib
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import safetensors.torch
import torch

from colorlib import data, experiments, images, lab, saliency, scenes, zoo
from colorlib.data.sources import PICTURE_SUFFIXES, decode, list_files, resize
from colorlib.experiments import reproduction
from colorlib.metrics import failures
from colorlib.scenes.planning import plan_scene

__all__ = ["draw", "paint", "sample_pictures", "paint_examples", "open_kinds", "reference_pairs",
           "MAX_BYTES", "KINDS"]

MAX_BYTES, SCALES = 600_000, (1, 0.8)
SIDE = 224                  # of the photographs, cut to squares
LONGEST = 512               # of the photographs that keep their shape
SEARCHED, LEARNT_FROM = 200, 1000       # pictures in which failures are looked for, and from which the colours of classes are learnt
PANEL = 7                   # failures in a panel
STEEP = 4.0                 # slope of colours that is shown white, CIE units a pixel
KINDS = {"portraits": ("astronaut", "chelsea"), "landscapes": ("rocket", "hubble_deep_field", "stereo_motorcycle"),
         "legacy": ("camera", "coins", "moon", "grass")}          # scikit-image's, where the user has none
SHOWN = 6                   # of each kind


def draw(method, model, size, run=None, photos=None, spec=None):
    """Draw every figure; yield (figure, Path of the file, or a sentence that says why it was not drawn).

    method: a catalogue row without conditions (nothing is drawn for one that sees infrared); model: its network. run: the folder the training wrote
    its snapshots to (default `runs/<name>-<size>`). photos: a folder with any of the sub-folders portraits, landscapes, legacy (kinds without one
    come from scikit-image). spec: where failures are looked for and references come from, see `experiments.open_dataset` (default: scenes); photos
    need labels for the figures on classes.
    Raises ValueError for a method that needs more than the grey picture, and for folders without photos.

    >>> list(draw(zoo.get("nirnet"), None, "smoke"))
    [('gallery', 'not drawn: nirnet sees infrared, not grey')]
    """
    if method.conditions:
        raise ValueError(f"{method.name} needs {' and '.join(method.conditions)}: galleries are drawn for methods that colour by themselves.")
    if method.sees != "grey":
        yield "gallery", f"not drawn: {method.name} sees {method.sees}, not grey"
        return
    name_of = lambda figure: f"{method.notebook[:2]}_{method.name}_{figure}_{size}"
    kinds, run = open_kinds(photos), Path(run or f"runs/{method.name}-{size}")
    source = getattr(model.config, "saliency", "")
    source = source if source in saliency.SOURCES or Path(source).is_file() else saliency.DEFAULT
    yield "results", draw_results(method, model, name_of("results"), sample_pictures(model, 4, 4)[0])
    yield "automatic", draw_automatic(method, model, name_of("automatic"))
    val, train = open_labelled(spec or "scenes", model.config.image_size if spec in (None, "scenes") else experiments.TEST_SIZE[size], source)
    has_labels, examples = "label" in val[0], paint_examples(method, model, val)
    no_labels = f"not drawn: {spec} has no labels; give a folder with one sub-folder a class, or scenes"
    none_found = f"not drawn: none found in {len(val)} pictures"
    yield "example_based", draw_example_based(method, model, name_of("example_based"), reference_pairs(val, train)) if has_labels else no_labels
    yield "semantic_confusion", draw_confusion(name_of("semantic_confusion"), examples, failures.learn_colors(train)) or none_found if has_labels else no_labels
    yield "color_bleeding", draw_bleeding(name_of("color_bleeding"), examples) or none_found
    yield "object_intervention", draw_intervention(name_of("object_intervention"), examples) or none_found
    if hasattr(method.papers, "paint"):
        yield "attention", draw_attention(method, model, name_of("attention"), source)
    yield "evolution", draw_evolution(method, model, name_of("evolution"), run) or (
        f"not drawn: {run} holds no snapshots; `python -m colorlib train {method.name} --size {size} --run {run}` makes them")
    for kind, pictures in kinds.items():
        yield kind, draw_results(method, model, name_of(kind), pictures) if pictures else "not drawn: no photographs of this kind are here"


# ---------------------------------------------------------------- pictures to show

@torch.no_grad()
def paint(method, model, picture, colorizer=None, **conditions):
    """Colour `(H, W, 3)` uint8 from its L alone, the way `colorlib.colorize` does: `(H, W, 3)` uint8. colorizer: a variant's, of a batch -> ab.

    >>> method = zoo.get("koalarization")
    >>> model = method.papers.build(method.presets["smoke"])
    >>> paint(method, model, np.zeros((48, 64, 3), np.uint8)).shape
    (48, 64, 3)
    """
    L, device = lab.rgb_to_lab(picture)[..., 0], next(model.parameters()).device
    batch = {"L": images.model_input(L, zoo.working_size(model.config)).to(device)} | conditions
    return images.merge_chroma(L, colorizer(batch) if colorizer else method.papers.colorize(model, batch))


def array_of(sample):
    """`(H, W, 3)` uint8"""
    return sample["rgb"].permute(1, 2, 0).numpy()


def one_a_class(dataset, count):
    """The first samples of `count` different classes, fewer where there are fewer."""
    return [dataset[int(i)] for i in failures.find_worst(np.zeros(len(dataset)), count, [int(one["label"]) for one in dataset])]


def sample_pictures(model, photos, scenery):
    """Some of scikit-image's photos, cut to squares, then scenes of different classes that no model was trained on.

    Returns (pictures, maps): lists of `(H, W, 3)` uint8 and of the scenes' saliency `(1, H, W)` uint8, None for photos.

    >>> from types import SimpleNamespace
    >>> pictures, maps = sample_pictures(SimpleNamespace(config=SimpleNamespace(image_size=32)), photos=1, scenery=1)
    >>> [picture.shape for picture in pictures], maps[0], maps[1].shape
    ([(224, 224, 3), (32, 32, 3)], None, torch.Size([1, 32, 32]))
    """
    samples = one_a_class(experiments.open_dataset("scenes", model.config.image_size, "val", limit=4 * scenery), scenery)
    pictures = [resize(rgb, SIDE) for _, rgb in data.sample_photos(photos)] + [array_of(one) for one in samples]
    return pictures, [None] * photos + [one["saliency"] for one in samples]


def open_labelled(spec, side, source):
    """(val, train): data sets whose samples say where their object is, by a mask or else by the saliency that `source` finds."""
    val = experiments.open_dataset(spec, side, "val", SEARCHED)
    try:
        train = experiments.open_dataset(spec, side, "train", LEARNT_FROM)
    except FileNotFoundError:      # a test folder alone: it knows its own colours
        train = val
    return [one if {"mask", "saliency"} & set(one[0]) else saliency.WithSaliency(one, source) for one in (val, train)]


def reference_pairs(val, train, count=5):
    """[(rgb, reference rgb)], one a class: a scene with another of its class, colour and background, a photo with the first other of its class in `train`.

    >>> scene = data.SceneSet(1, 32, cache=False)
    >>> [(rgb.shape, reference.shape) for rgb, reference in reference_pairs(scene, scene)]
    [((32, 32, 3), (32, 32, 3))]
    """
    pairs = []
    for sample in one_a_class(val, count):
        if (seed := seed_of(sample)) is not None:
            scene = scenes.make_scene(seed, sample["rgb"].shape[-1])
            alike = scenes.make_scene(seed + scenes.REFERENCE_STEP, len(scene.rgb), scene.name, scene.background, scene.color)
            pairs.append((scene.rgb, alike.rgb))
        elif other := next((one for one in train if one["label"] == sample["label"] and one["id"] != sample["id"]), None):
            pairs.append((array_of(sample), array_of(other)))
    return pairs


def seed_of(sample):
    """The seed of a scene, None for a photo."""
    kind, _, seed = sample["id"].rpartition("/")
    return int(seed) if kind == "scene" else None


def paint_examples(method, model, dataset):
    """[{"pred", "true": (H, W, 3) uint8, "mask": (H, W) bool, "label", "name", "place"}] of every sample; place: a scene's background, else the name.

    >>> method = zoo.get("koalarization")
    >>> model = method.papers.build(method.presets["smoke"])
    >>> example, = paint_examples(method, model, [data.SceneSet(1, 32, cache=False)[0]])
    >>> list(example), example["mask"].shape
    (['pred', 'true', 'mask', 'label', 'name', 'place'], (32, 32))
    """
    examples, classes = [], getattr(dataset, "classes", None)
    for sample in dataset:
        true, label, seed = array_of(sample), int(sample.get("label", -1)), seed_of(sample)
        name = classes[label] if label >= 0 and classes else Path(sample["id"]).stem[-20:]
        name = name[0] if isinstance(name, tuple) else str(name)               # torchvision's ImageNet classes are tuples of synonyms
        examples.append({"pred": paint(method, model, true), "true": true, "mask": failures.object_of(sample), "label": label, "name": name,
                         "place": name if seed is None else plan_scene(seed).background})
    return examples


# ---------------------------------------------------------------- results and comparisons

def draw_results(method, model, name, pictures):
    """Grey, painted and, where there is colour to compare with, true, two pictures a row, each in its own shape. Returns the file."""
    rows = [{"given": images.without_color(one), "painted": paint(method, model, one)} | ({} if data.is_gray(one) else {"truth": one}) for one in pictures]
    pairs = [{(side, key): row[key] for side, row in enumerate(rows[i:i + 2]) for key in row} for i in range(0, len(rows), 2)]
    columns = [(side, key) for side in range(min(2, len(rows))) for key in ("given", "painted", "truth") if any(key in row for row in rows)]
    columns = [column for column in columns if any(column in pair for pair in pairs)]
    return save(name, pairs, columns, {column: column[1] for column in columns})


def draw_painters(name, painters, pictures):
    """Grey, a column for each of {title: (method, model)}, truth. Returns the file."""
    rows = [{"given": images.without_color(one)} | {title: paint(*painter, one) for title, painter in painters.items()} | {"truth": one} for one in pictures]
    return save(name, rows, list(rows[0]))


def draw_automatic(method, model, name):
    """The method beside the automatic ones of the catalogue that have weights, each at its own working size. Returns the file."""
    device = next(model.parameters()).device
    others = [row for row in zoo.METHODS.values() if row.name != method.name and row.sees == "grey" and not row.conditions and row.learns]
    painters = {row.paper.partition(" (")[0]: (row, zoo.load(row.name, device=device)) for row in others if zoo.weights_file(row.name).exists()}
    return draw_painters(name, painters | {method.paper.partition(" (")[0]: (method, model)}, sample_pictures(model, 2, 1)[0])


def draw_example_based(method, model, name, pairs):
    """The method, which sees no reference, beside those that copy from one: Welsh et al., global statistics, the global histogram. pairs: [(rgb,
    reference rgb), ...]. Returns the file."""
    rows, welsh = [], zoo.get("welsh")
    for picture, reference in pairs:
        copyist = welsh.papers.build(replace(welsh.presets["paper"], working_size=min(picture.shape[:2])))
        given = {"reference": torch.from_numpy(reference.copy()).permute(2, 0, 1)[None]}
        copies = {variant or welsh.paper.partition(",")[0]: paint(welsh, copyist, picture, colorizer, **given)
                  for variant, colorizer in welsh.papers.variants(copyist).items()}
        rows.append({"given": images.without_color(picture), "reference": reference} | copies | {"painted": paint(method, model, picture), "truth": picture})
    return save(name, rows, list(rows[0]))


# ---------------------------------------------------------------- failures

def draw_confusion(name, examples, colors):
    """The objects whose colours are farthest from those of their class, at most one a class. Returns the file, or None when no colour is foreign."""
    pred, masks, labels = ([one[key] for one in examples] for key in ("pred", "mask", "label"))
    share = failures.semantic_confusion(pred, masks, labels, colors)
    strength = np.where(share > 0, failures.confusion_strength(pred, masks, labels, colors), np.nan)
    where = lambda one: one["mask"] & (failures.foreign_distance(one["pred"], one["label"], colors) > 0)
    return draw_panel(name, examples, failures.find_worst(strength, PANEL, labels), [f"{s:.0%}" for s in share], where, "foreign to its class")


def draw_bleeding(name, examples):
    """The pictures whose colours end most where nothing else does, at most one a class. Returns the file, or None for grey predictions."""
    scores = failures.color_bleeding([one["pred"] for one in examples], [one["true"] for one in examples])
    worst = failures.find_worst(np.where(scores > 0.05, scores, np.nan), PANEL, [one["name"] for one in examples])
    where = lambda one: np.clip(failures.unexplained_slope(one["pred"], one["true"])[0] / STEEP, 0, 1)
    return draw_panel(name, examples, worst, [f"{s:.0%}" for s in scores], where, "no edge explains")


def draw_intervention(name, examples):
    """The objects that most took the colour of what is behind them, at most one a class and one a background. Returns the file, or None when
    all are kept at least half as far apart as in the truth."""
    scores = failures.object_intervention(*([one[key] for one in examples] for key in ("pred", "true", "mask")), failures.CHROMATIC_MIN)
    worst = failures.find_worst(np.where(scores < 0.5, scores, np.nan), PANEL, [(one["name"], one["place"]) for one in examples], largest=False)
    return draw_panel(name, examples, worst, [f"{s:.2f}" for s in scores], lambda one: one["mask"], "object")


def draw_panel(name, examples, worst, scores, where, where_title):
    """One column a failure: given, painted, truth, and where it fails, under its name and score. Returns the file, or None without failures."""
    if not len(worst):
        return None
    rows = [{i: show(examples[i]) for i in worst} for show in (lambda one: images.without_color(one["true"]), lambda one: one["pred"], lambda one: one["true"], where)]
    rows = [row | {-1 - i: None for i in range(PANEL - len(worst))} for row in rows]                   # few failures are not drawn larger
    titles = {i: f"{examples[i]['name']} {scores[i]}" for i in worst} | {-1 - i: "" for i in range(PANEL)}
    return save(name, rows, list(rows[0]), titles, ["given", "painted", "truth", where_title])


# ---------------------------------------------------------------- inside the network, and over its training

@torch.no_grad()
def draw_attention(method, model, name, source=saliency.DEFAULT):
    """Grey, the saliency the network predicts, its painting under it, and the true map: of scenes their own, of photos the one `source` finds.

    Needs the paper's `paint(model, x) -> (rgb, saliency)`. source: see `saliency.estimate`. Returns the file.
    """
    rows, device = [], next(model.parameters()).device
    for picture, true in zip(*sample_pictures(model, 2, 2)):
        L = images.model_input(lab.rgb_to_lab(picture)[..., 0], zoo.working_size(model.config)).to(device)
        x = lab.lab_to_rgb(torch.cat([L, torch.zeros_like(L), torch.zeros_like(L)], 1))[:, :1]        # (1, 1, h, w) in [0, 1]
        rgb, predicted = (part[0].float().cpu() for part in method.papers.paint(model, x))
        rows.append({"given": images.without_color(picture), "predicted saliency": predicted, "painting x saliency": rgb * predicted,
                     "map of the source": saliency.estimate(picture, source) if true is None else true})
    return save(name, rows, list(rows[0]), {"map of the source": f"map by {Path(source).stem.replace('_', ' ')}; of scenes the exact one"})


def draw_evolution(method, model, name, run):
    """Grey, the paintings of the snapshots `run/snapshot-<update>.safetensors`, truth. Returns the file, or None where there are no snapshots.

    Raises ValueError for a snapshot of another network.
    """
    painters = {}
    for path in sorted(Path(run).glob("snapshot-*.safetensors")):
        network = method.papers.build(model.config, pretrained=False)
        try:
            network.load_state_dict({key: value.float() if value.is_floating_point() else value for key, value in safetensors.torch.load_file(path).items()})
        except (RuntimeError, safetensors.SafetensorError) as error:
            raise ValueError(f"{path} is damaged or of another network ({str(error).splitlines()[0]}): delete it and train again.") from None
        painters[moment(int(path.stem.rpartition("-")[2]), model.config)] = method, network.to(next(model.parameters()).device).eval()
    return draw_painters(name, painters, sample_pictures(model, 2, 2)[0]) if painters else None


def moment(update, config):
    """What a snapshot is called: the share of its phase that was over, or "end"."""
    first = getattr(config, "phase_one", config.steps)
    if update >= config.steps:
        return "end"
    return f"{update / first:.0%} of phase 1" if update <= first else f"{(update - first) / (config.steps - first):.0%} of phase 2"


# ---------------------------------------------------------------- portraits, landscapes, legacy photos

def open_kinds(folder=None):
    """{kind: [(H, W, 3) uint8]}: a folder's portraits, landscapes and legacy photos, scikit-image's for kinds that it lacks. Raises ValueError.

    >>> {kind: [photo.shape for photo in photos][:1] for kind, photos in open_kinds().items()}["portraits"]
    [(512, 512, 3)]
    """
    given = {} if folder is None else {kind: Path(folder).expanduser() / kind for kind in KINDS if (Path(folder).expanduser() / kind).is_dir()}
    if folder is not None and not given:
        raise ValueError(f"{folder} has none of the sub-folders {', '.join(KINDS)}: make one and put photos into it.")
    found = {kind: read_photos(given[kind]) if kind in given else bundled_photos(names) for kind, names in KINDS.items()}
    shrink = lambda photo, scale: cv2.resize(photo, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA) if scale < 1 else photo
    return {kind: [shrink(photo, LONGEST / max(photo.shape[:2])) for photo in photos] for kind, photos in found.items()}


def read_photos(folder):
    """At most SHOWN pictures of a folder, evenly spread; files that cannot be read are left out. Raises ValueError when none is left."""
    names, found = [name for name in list_files(folder) if Path(name).suffix.lower() in PICTURE_SUFFIXES], []
    for name in names[::-(-len(names) // SHOWN) or 1]:
        with contextlib.suppress(ValueError):
            found.append(decode(folder / name))
    if not found:
        raise ValueError(f"{folder} holds no picture that can be read: put JPEG or PNG files into it.")
    return found


def bundled_photos(names):
    """scikit-image's pictures of these names as (H, W, 3) uint8, without those that it would have to download."""
    import skimage.data
    found = []
    for name in names:
        with contextlib.suppress(AttributeError, ImportError, OSError):       # not in this wheel, or no network
            photo = getattr(skimage.data, name)()
            photo = photo[0] if isinstance(photo, tuple) else photo
            found.append(photo if photo.ndim == 3 else np.repeat(photo[..., None], 3, -1))
    return found


def save(name, rows, columns=None, titles=None, row_titles=None):
    """Draw and save a grid, smaller if it would be larger than MAX_BYTES, and at last without its last rows. Returns the file."""
    for count in range(len(rows), 0, -1):
        for scale in SCALES:
            path = reproduction.save_grid(name, rows[:count], scale, columns=columns, titles=titles, row_titles=row_titles and row_titles[:count])
            if path.stat().st_size <= MAX_BYTES:
                return path
    return path
