"""The catalogue of methods, their weights, and one call that colorizes a picture with any of them.

A new paper is one row in METHODS. Everything else (command line, tables, notebooks) reads the catalogue.
"""
import contextlib
import hashlib
import importlib
import json
import os
import warnings
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np
import safetensors.torch
import torch

from colorlib import hints as color_hints
from colorlib import images, memory, results, weight_files
from colorlib.data.sources import decode
from colorlib.files import make_folder, printable, scratch_file, write_atomic
from colorlib.interruptions import LACKING
from colorlib.train import compact, pick_device
from colorlib.weight_files import read_sidecar

CONDITIONS = ("hints", "caption", "reference")      # what a person can add to the grey picture
CAPTION_WORDS = 10_000                              # a network reads them one after the other: a quarter of a second
WORDS, WORD = 8, 40                                 # of a caption's unknown words, so many are named, by so many characters
REFERENCE_SIDE = 256                                # shorter side of a reference: its palette needs no more pixels, and matching slows down with them


@dataclass(frozen=True)
class Method:
    """One row of the catalogue. `module` is the paper's file; `conditions` what it needs beside the grey picture; `notebook` the chapter."""
    name: str
    paper: str
    module: str
    notebook: str
    conditions: tuple = ()
    data_licence: str = ""      # licence of the pictures the shipped weights were trained on
    table: str = ""             # results file and table shared by a chapter's methods; "": one of its own
    sees: str = "grey"          # what it paints from: "grey", whose lightness it keeps, or "infrared" or "lines", from which it paints all of the picture
    optional: tuple = ()        # conditions it can do without

    @property
    def results(self):
        """Name of its results: `data/results/<name>.csv`."""
        return self.table or self.name

    @property
    def title(self):
        """What its table is called."""
        return TITLES.get(self.table, self.paper)

    @property
    def papers(self):
        """The paper's module, imported on first use."""
        return importlib.import_module(f"colorlib.papers.{self.module}")

    @property
    def presets(self):
        """{size: Config}; a module with several methods lists theirs in `VARIANTS`."""
        return getattr(self.papers, "VARIANTS", {}).get(self.name) or self.papers.PRESETS

    @property
    def learns(self):
        """Whether the method has weights; Levin's optimization has none."""
        return getattr(self.papers, "NEEDS_WEIGHTS", True)


IMAGENETTE = "Imagenette (ImageNet photographs): non-commercial research and education"
VCIP = "VCIP 2020 grand challenge's pairs, cut from the EPFL RGB-NIR scenes: research and education"
CLIPS = f"{IMAGENETTE}; Big Buck Bunny (c) 2008 Blender Foundation, www.bigbuckbunny.org: CC BY 3.0"
HINTS = "04_hint_unet.ipynb"
SALIENCY = "03_scgan_saliency.ipynb"
LANGUAGE = "05_language_film_concat.ipynb"
REFERENCES = "06_gray2colornet.ipynb"
INFRARED = "07_nir_gans.ipynb"
VIDEO = "08_video_tcvc.ipynb"
SURVEY = "09_survey.ipynb"
TITLES = {"hints": "Hints: 0.5 % of the pixels told (protocol dense05)", "language": "Manjunatha et al. 2018, Learning to Color from Language, and its trunk",
          "references": "Colour from a reference picture", "infrared": "Colour from near infrared", "video": "Clips: colour that does not flicker", "automatic": "Automatic baselines of the papers' tables"}

METHODS = {method.name: method for method in (
    Method("koalarization", "Baldassarre et al. 2017, Deep Koalarization (arXiv 1712.03400)", "koalarization", "02_koalarization.ipynb",
           data_licence=IMAGENETTE),
    Method("scgan", "Zhao et al. 2021, SCGAN: saliency map-guided colorization (arXiv 2011.11377), settings of November 2020", "scgan", SALIENCY,
           data_licence=IMAGENETTE, table="scgan"),
    Method("scgan_released", "SCGAN, settings of the code's last state", "scgan", SALIENCY, data_licence=IMAGENETTE, table="scgan"),
    Method("scgan_infrared", "SCGAN, multispectral variant: colour from infrared", "scgan", SALIENCY, data_licence=VCIP, table="infrared",
           sees="infrared"),
    Method("hscau", "Team 6 2022, HSCAU-Net as released (two spatial gates)", "hscau", HINTS, ("hints",), IMAGENETTE, "hints"),
    Method("hscau_named", "HSCAU-Net as named (channel, spatial and hint gate)", "hscau", HINTS, ("hints",), IMAGENETTE, "hints"),
    Method("unet", "Ronneberger et al. 2015, U-Net (arXiv 1505.04597), HSCAU-Net's trunk without gates", "hscau", HINTS, ("hints",), IMAGENETTE, "hints"),
    Method("attunet", "Oktay et al. 2018, Attention U-Net (arXiv 1804.03999) on the same trunk", "hscau", HINTS, ("hints",), IMAGENETTE, "hints"),
    Method("siggraph17", "Zhang et al. 2017, Real-Time User-Guided Image Colorization (arXiv 1705.02999)", "siggraph17", HINTS, ("hints",),
           IMAGENETTE, "hints"),
    Method("levin", "Levin et al. 2004, Colorization using Optimization", "levin", HINTS, ("hints",), table="hints"),
    Method("hintnet", "colorlib's own hint network: any number of hints", "hintnet", HINTS, ("hints",), IMAGENETTE, "hints"),
    Method("cic", "Zhang et al. 2016, Colorful Image Colorization (arXiv 1603.08511)", "cic", LANGUAGE, data_licence=IMAGENETTE, table="language"),
    Method("fcnn", "Manjunatha et al. 2018, Learning to Color from Language (arXiv 1804.06026): FCNN, which reads no caption", "language", LANGUAGE,
           data_licence=IMAGENETTE, table="language"),
    Method("concat", "Learning to Color from Language: CONCAT", "language", LANGUAGE, ("caption",), IMAGENETTE, "language"),
    Method("film", "Learning to Color from Language: FiLM", "language", LANGUAGE, ("caption",), IMAGENETTE, "language"),
    Method("film_released", "Learning to Color from Language: the network of the published code", "language", LANGUAGE, ("caption",), IMAGENETTE, "language"),
    Method("welsh", "Welsh et al. 2002, Transferring Color to Greyscale Images", "welsh", REFERENCES, ("reference",), table="references"),
    Method("gray2color", "Lu et al. 2020, Gray2ColorNet (ACM Multimedia), settings probably the paper's", "gray2color", REFERENCES, ("reference",), IMAGENETTE,
           "references"),
    Method("gray2color_seed", "Gray2ColorNet, settings of a student project's last state", "gray2color", REFERENCES, ("reference",), IMAGENETTE, "references"),
    Method("color2embed", "Zhao et al. 2021, Color2Embed (arXiv 2106.08017)", "color2embed", REFERENCES, ("reference",), IMAGENETTE, "references"),
    Method("unet_infrared", "U-Net with an L1 loss, pix2pix without its discriminator", "pix2pix", INFRARED, (), VCIP, "infrared", "infrared"),
    Method("pix2pix_infrared", "Isola et al. 2017, pix2pix (arXiv 1611.07004), from infrared", "pix2pix", INFRARED, (), VCIP, "infrared", "infrared"),
    Method("sshape", "Dong et al. 2018, Infrared Image Colorization Using a S-Shape Network", "sshape", INFRARED, (), VCIP, "infrared", "infrared"),
    Method("sshape_refiner", "S-shape network as a survey reads it: EdgeNet paints", "sshape", INFRARED, (), VCIP, "infrared", "infrared"),
    Method("stacked_gan", "Suarez et al. 2018, stacked conditional GAN (a reconstruction)", "stacked_gan", INFRARED, (), VCIP, "infrared", "infrared"),
    Method("triplet_gan", "Suarez et al. 2017, triplet DCGAN (a reconstruction)", "stacked_gan", INFRARED, (), VCIP, "infrared", "infrared"),
    Method("asym_cyclegan", "Sun et al. 2019, asymmetric cycle GAN (a reconstruction)", "asym_cyclegan", INFRARED, (), VCIP, "infrared", "infrared"),
    Method("asym_cyclegan_paired", "Asymmetric cycle GAN, paired and unpaired epochs in turn", "asym_cyclegan", INFRARED, (), VCIP, "infrared", "infrared"),
    Method("cyclegan_infrared", "Zhu et al. 2017, CycleGAN (arXiv 1703.10593), from infrared", "cyclegan", INFRARED, (), VCIP, "infrared", "infrared"),
    Method("nirnet", "colorlib's own infrared network: true pairs and made-up ones", "nirnet", INFRARED, (), VCIP, "infrared", "infrared"),
    Method("unit", "Liu et al. 2017, UNIT (arXiv 1703.00848), from infrared", "unit", INFRARED, (), VCIP, "infrared", "infrared"),
    Method("tcvc", "Thasarathan et al. 2019, Automatic Temporally Coherent Video Colorization (arXiv 1904.09527)", "tcvc", VIDEO, data_licence=CLIPS, table="video"),
    Method("tcvc_lines", "TCVC, colour from line art", "tcvc", VIDEO, data_licence=CLIPS, table="video", sees="lines"),
    Method("photonet", "colorlib's own automatic network: what the chapters found, put together", "photonet", SURVEY, (), IMAGENETTE, "automatic"),
    Method("iizuka", "Iizuka et al. 2016, Let there be Color!", "iizuka", SURVEY, (), IMAGENETTE, "automatic", optional=("reference",)),
    Method("larsson", "Larsson et al. 2016, Learning Representations for Automatic Colorization (arXiv 1603.06668)", "larsson", SURVEY, (), IMAGENETTE, "automatic",
           optional=("reference",)),
    Method("dahl", "Dahl 2016, Automatic Colorization (tinyclouds.org/colorize): a residual encoder", "dahl", SURVEY, (), IMAGENETTE, "automatic"),
    Method("pix2pix", "Isola et al. 2017, pix2pix (arXiv 1611.07004), from lightness to a and b", "pix2pix", SURVEY, (), IMAGENETTE, "automatic"),
    Method("cyclegan", "Zhu et al. 2017, CycleGAN (arXiv 1703.10593), between grey and colour, unpaired", "cyclegan", SURVEY, (), IMAGENETTE, "automatic"),
)}


# what paints when nobody names a method: nothing but a photograph, or with a condition; `data/results/leaderboard.csv` and `conditions.csv` say why
BEST = {"": "photonet", "hints": "hintnet", "caption": "film", "reference": "gray2color"}


def get(name):
    """The catalogue row called `name`, "best" for the automatic method of BEST; raises ValueError with the list of names."""
    name = BEST[""] if name == "best" else name
    if name not in METHODS:
        raise ValueError(f"There is no method {name!r}: choose one of best, {', '.join(METHODS)}.")
    return METHODS[name]


def choose(name="best", model=None, weights=None, **conditions):
    """The catalogue row that is to paint: the one called `name`, or, where that is "best", the one a model or a weights file belongs to, else the BEST one for the
    conditions given. Raises ValueError for an unknown name, a model of several methods, or conditions that no method takes together."""
    if name != "best":
        return get(name)
    if model is not None:
        able = [row for row in METHODS.values() if f"colorlib.papers.{row.module}" == type(model.config).__module__]
        if len({(row.sees, row.conditions) for row in able}) != 1:
            raise ValueError(f"The model may belong to {' or '.join(row.name for row in able) or 'no method of the catalogue'}: say which with method=.")
        return able[0]
    if weights is not None:
        if not os.path.exists(weights):
            raise FileNotFoundError(f"{weights} does not exist: check the path given as weights.")
        if not isinstance(method := read_sidecar(weights).get("method"), str) or method not in METHODS:
            raise ValueError(f"{Path(weights).with_suffix('.json')} names no method of the catalogue: name it with method= (on the command line --method), or "
                             "fetch both files again.")
        return get(method)
    given = [condition for condition in CONDITIONS if conditions.get(condition) is not None]
    if len(given) > 1:
        raise ValueError(f"No method takes {' and '.join(given)} together: leave one out, or name a method with method= (on the command line --method).")
    return get(BEST["".join(given)])


# ---------------------------------------------------------------- weights

def weights_folder():
    """Where weights are read and written: COLORLIB_WEIGHTS, else `data/weights` of the repository."""
    return Path(os.environ.get("COLORLIB_WEIGHTS") or results.repository() / "data" / "weights")


def weights_file(name, size="class"):
    """Path of a method's weights for a size, whether it exists or not."""
    return weights_folder() / f"{name}-{size}.safetensors"


def save_weights(model, name, path, info):
    """Write a model's parameters as fp16 safetensors and, beside it, a JSON sidecar with config, provenance and SHA-256. Both atomically.

    model: an nn.Module with a `config` dataclass. info: dict of provenance (data, steps, seed, commit, device, metrics).
    """
    path = Path(path)
    make_folder(path.parent)
    content = safetensors.torch.save(compact(model.state_dict()))
    sidecar = {"method": name, "config": asdict(model.config)} | info | {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}
    with scratch_file(path) as file:          # both are on the disk before either gets its name: an old pair stays whole
        file.write(content)
        file.flush()
        write_sidecar(path, sidecar)


def write_sidecar(path, sidecar):
    """Write the JSON beside a weights file, atomically, each row of the training log on a line of its own, with the hash of the config it holds."""
    sidecar = sidecar | {"config_sha256": weight_files.hash_config(sidecar["config"])}
    text = json.dumps({key: value for key, value in sidecar.items() if key != "log"}, indent=1)
    if rows := sidecar.get("log"):
        text = text.removesuffix("\n}") + ',\n "log": [\n  ' + ",\n  ".join(map(json.dumps, rows)) + "\n ]\n}"
    write_atomic(Path(path).with_suffix(".json"), (text + "\n").encode())


def load(name, weights=None, size="class", device="auto", precision="32-true", compile=False, channels_last=False):
    """A method's model with its weights, in eval mode on the device; precision, compile and channels_last: see `speed.speed_up`.

    weights: a .safetensors file with its JSON sidecar; by default the shipped one of `size`. Raises ValueError for an unknown method, FileNotFoundError
    where no weights exist, ValueError for a file that was cut short, altered, or belongs to another method. Nothing is unpickled.
    """
    method = get(name)
    if not method.learns:
        return method.papers.build(method.presets[size]).to(pick_device(device))
    path = Path(weights) if weights is not None else weights_file(name, size)
    if not os.path.exists(path):                     # Path.exists raises for a name that is too long
        if weights is not None:
            raise FileNotFoundError(f"{path} does not exist: check the path given as weights.")
        raise FileNotFoundError(f"No {size} weights of {name} are here ({path}): train them with `python -m colorlib train {name} --size {size}`, "
                                "or name a file with weights=.")
    weight_files.check_kind(path)
    stamps = tuple((file.stat().st_mtime_ns, file.stat().st_size) for file in (path, path.with_suffix(".json")) if file.exists())
    return _speed_up(method.name, str(path), stamps, str(pick_device(device)), precision, compile, channels_last)


@lru_cache(maxsize=4)
def _speed_up(name, path, stamps, device, precision, compile, channels_last):
    model = _load(name, path, stamps, device)
    if (precision, compile, channels_last) == ("32-true", False, False):
        return model
    from colorlib import speed                   # late: it imports this module
    return speed.speed_up(get(name), model, precision, compile, channels_last)


@lru_cache(maxsize=4)
def _load(name, path, stamps, device):
    paper, sidecar = get(name).papers, read_sidecar(path)
    if not isinstance(sidecar.get("method"), str):
        raise ValueError(f"{Path(path).with_suffix('.json')} does not say of which method the weights are: fetch it again together with {Path(path).name}.")
    if sidecar["method"] != name:
        raise ValueError(f"{path} holds weights of {sidecar.get('method')}, not of {name}: name the file that belongs to the method.")
    content = Path(path).read_bytes() if sidecar.get("bytes") in (None, Path(path).stat().st_size) else b""      # any other size is wrong, however large
    if hashlib.sha256(content).hexdigest() != sidecar.get("sha256"):
        raise ValueError(f"{path} does not match the SHA-256 in its JSON file: it is damaged or altered, fetch both again.")
    if sidecar.get("config_sha256") not in (None, weight_files.hash_config(sidecar.get("config"))):
        raise ValueError(f"{Path(path).with_suffix('.json')} has a config that was altered: fetch it again together with {Path(path).name}.")
    config = weight_files.read_config(sidecar, paper.Config, next(iter(get(name).presets.values())), path)
    model = weight_files.build(paper, config, weight_files.read(path, content), path)
    return model.to(device).eval().requires_grad_(False)


# ---------------------------------------------------------------- colorize

def colorize(picture, method="best", *, hints=None, caption=None, reference=None, weights=None, model=None, working_size=None,
             device="auto", merge="guided", precision="32-true", compile=False):
    """Colour a picture. method: a name of the catalogue, or "best", see `choose`. `picture`: path, open file, PIL image or array (see `images.open_image`). Returns an `images.Picture` of the same size.

    The network sees L at its working size (shorter side, in pixels; default: what it was trained at); its ab is joined to the
    full-resolution L by `images.merge_chroma` (`merge`: "guided" or "bilinear"). Colours already in the picture are not looked at. A method that
    sees infrared paints the lightness, too, and only takes detail from the picture (`images.merge_picture`); one that sees lines draws them first, unless the
    picture is a line drawing (`images.line_art`).
    hints, caption, reference: the condition a method needs; hints: whatever `hints.as_hints` takes, [] for none; caption: a sentence, "" for none,
    with a warning that names the words the network does not know; reference: a picture to take colours from, whatever `images.open_image` takes, of any
    size, transparent parts shown on white; a grey one is a reference, too. precision "bf16" and compile: quicker, and the same picture within one level of 255,
    see `speed.speed_up`; for a model that is given they count for nothing. Many pictures: see `albums.colorize_many`. Raises ValueError for an unknown method, a missing or an unused condition,
    FileNotFoundError for missing weights or picture.
    """
    row = choose(method, model, weights, hints=hints, caption=caption, reference=reference)
    conditions = check_conditions(row, hints=hints, caption=caption, reference=reference)
    picture = images.open_image(picture)
    model = model if model is not None else load(row.name, weights, device=device, precision=precision, compile=compile, channels_last=True)
    with enough_memory(picture):
        L = images.lightness(picture)                                                               # (H, W)
        planes = paint_small(row, model, picture, L, working_size, **read_conditions(row, model, L, **conditions))
        picture = without_pixels(picture)
        return replace(picture, rgb=enlarge(row, picture, L, planes, merge))


@contextlib.contextmanager
def enough_memory(picture):
    """What libraries say of a want of memory becomes a MemoryError with a sentence that names the picture, an `images.Picture`."""
    name = name_of(picture)
    try:
        yield
    except (MemoryError, RuntimeError, cv2.error) as error:
        if not (isinstance(error, (MemoryError, torch.OutOfMemoryError)) or LACKING.search(str(error))):
            raise
        raise MemoryError(f"There is not enough memory to colour {name}: choose a smaller working_size (on the command line --working-size), make the picture "
                          "smaller, or close other programs.") from error


def name_of(picture, size=None):
    """What to call an `images.Picture` in a sentence. size: (width, height), by default its own."""
    return printable(picture.path) if picture.path else "the picture of {} x {} pixels".format(*size or picture.size)


def without_pixels(picture):
    """The same `images.Picture` with alpha, EXIF and depth, but not its pixels, which are most of a large one: L is what is painted under."""
    return replace(picture, rgb=np.empty((0, 0, 3), picture.rgb.dtype))


def read_conditions(row, model, L, hints=None, caption=None, reference=None):
    """Conditions as a person gives them for a picture of lightness L `(H, W)` -> as `paint_small` takes them. Warns of words the model does not know."""
    if isinstance(caption, str) and len(caption.split()) > CAPTION_WORDS:
        raise ValueError(f"The caption has {len(caption.split()):,} words: a sentence or two will do, at most {CAPTION_WORDS:,} words.")
    if caption is not None and (unknown := model.vocabulary.unknown(caption)):
        some = [*(repr(word[:WORD]) for word in unknown[:WORDS]), *[f"{len(unknown) - WORDS:,} more"] * (len(unknown) > WORDS)]
        warnings.warn(f"{row.name} does not know {', '.join(some)}: it reads {'them as unknown words' if len(unknown) > 1 else 'an unknown word'}.",
                      stacklevel=3)
    given = {"hints": None if hints is None else color_hints.as_hints(hints, L), "caption": caption, "reference": None if reference is None else decode(reference)}
    return {name: value for name, value in given.items() if value is not None}


def paint_small(row, model, picture, L, side=None, **conditions):
    """What a method paints at its working size, array: ab `(2, h, w)` in CIE units, or rgb `(3, h, w)` in [0, 1] where it sees infrared or lines.

    picture: an `images.Picture`; L: its lightness `(H, W)`; conditions: see `read_conditions`.
    """
    return row.papers.colorize(model, batch_of(row, model, picture, L, side, **conditions))[0].float().cpu().numpy()


def batch_of(row, model, picture, L, side=None, **conditions):
    """The batch of one that `paint_small` gives a method's network: tensors on the model's device, conditions that are no maps in lists of one."""
    return grey_batch(model, L, side, **conditions) if row.sees == "grey" else see(row, model, picture, L, side)


def see(row, model, picture, L, side=None):
    """What a network without conditions gets of a picture: {"L": `(1, 1, h, w)` in [0, 100]}, {"nir": ...} (see `see_infrared`), or {"lines": `(1, 1, h, w)`
    in [0, 1]}, lines 0 on paper 1 (see `images.line_art`)."""
    device, side = next(model.parameters()).device, working_size(model.config) if side is None else side
    if row.sees == "infrared":
        return {"nir": see_infrared(model, picture, side)}
    small = images.model_input(L, side)
    return {"L": small.to(device)} if row.sees == "grey" else {"lines": images.line_art(L, small).to(device)}


def enlarge(row, picture, L, planes, method="guided"):
    """What `paint_small` gave at the picture's size, `(H, W, 3)` of its dtype: under its L, with its detail (infrared), or, painted from lines, as it is."""
    if not np.isfinite(planes).all():
        raise ValueError(f"{row.name} gave values that are no numbers for {name_of(picture, L.shape[::-1])}: its weights are damaged or not trained to the "
                         "end, name others with weights=.")
    if row.sees == "grey":
        return images.merge_chroma(L, planes, method=method, dtype=picture.rgb.dtype)
    return images.merge_picture(L, planes, method="bicubic" if row.sees == "lines" and method == "guided" else method, dtype=picture.rgb.dtype)


def check_conditions(row, **given):
    """The conditions given, {name: value}. Raises ValueError when a method misses one it needs or is given one it cannot use."""
    for condition in CONDITIONS:
        value = given.get(condition)
        if value is None and condition in row.conditions:
            raise ValueError(f"{row.name} needs {condition}: pass {condition}=... (on the command line --{condition}).")
        if value is not None and condition not in row.conditions + row.optional:
            able = [name for name, other in METHODS.items() if condition in other.conditions + other.optional]
            raise ValueError(f"{row.name} takes no {condition}; " + (f"methods that do: {', '.join(able)}." if able else f"leave {condition} out."))
    return {condition: value for condition, value in given.items() if value is not None}


def working_size(config):
    """Shorter side, in pixels, at which a network sees a picture: what it was trained at unless its Config says otherwise."""
    return getattr(config, "working_size", config.image_size)


def join_batches(batches):
    """Batches whose maps have the same sizes -> one."""
    first = batches[0]
    return {name: torch.cat([batch[name] for batch in batches]) if torch.is_tensor(first[name]) else [one for batch in batches for one in batch[name]] for name in first}


def predict_ab(paper, model, L, side=None, hints=None, reference=None, **conditions):
    """L `(H, W)` in [0, 100], array -> ab `(2, h, w)` in CIE units, array, with the shorter side `side` (default: the model's working size).

    hints: a `HintSet` of the picture or of a copy of it. reference: `(H', W', 3)` uint8, of which the network sees `reduce_reference`. Other conditions
    (caption, a string) reach the paper in lists of one.
    """
    return paper.colorize(model, grey_batch(model, L, side, hints, reference, **conditions))[0].float().cpu().numpy()


def grey_batch(model, L, side=None, hints=None, reference=None, **conditions):
    """What `predict_ab` gives a network: {"L": `(1, 1, h, w)`, "hint_ab", "hint_mask", "reference", others in lists of one}."""
    device, side = next(model.parameters()).device, working_size(model.config) if side is None else side
    small = images.model_input(L, side)                                                             # (1, 1, h, w)
    batch = {"L": small.to(device)} | {key: [value] for key, value in conditions.items() if value is not None}
    if hints is not None:
        for name, values in zip(("hint_ab", "hint_mask"), hints.maps(*small.shape[2:])):
            batch[name] = torch.from_numpy(values)[None].to(device)                                 # (1, 2 or 1, h, w)
    if reference is not None:
        reference = reduce_reference(reference, side)
        batch["reference"] = torch.from_numpy(np.ascontiguousarray(reference)).permute(2, 0, 1)[None].to(device)      # (1, 3, h', w') uint8
    return batch


def reduce_reference(reference, side):
    """`(H, W, 3)` uint8, reduced by areas until its shorter side is at most `side` or REFERENCE_SIDE, whichever is larger."""
    scale = max(side, REFERENCE_SIDE) / min(reference.shape[:2])
    size = [max(1, round(scale * length)) for length in reference.shape[1::-1]]
    return cv2.resize(reference, size, interpolation=cv2.INTER_AREA) if scale < 1 else reference


def see_infrared(model, picture, side):
    """An infrared `images.Picture` -> nir `(1, C, h, w)` in [0, 1] on the model's device. Three channels go to a network that takes three, their mean to one
    that takes one."""
    rgb, white = picture.rgb, np.float32(np.iinfo(picture.rgb.dtype).max)
    planes = np.moveaxis(rgb, -1, 0) if model.config.in_channels == 3 else [rgb.mean(-1, dtype=np.float32)]
    small = [images.shrink(torch.from_numpy(plane / white)[None], side) for plane in planes]      # one by one: all of a large photo in floats is much
    return torch.cat(small, 1).to(next(model.parameters()).device)


# ---------------------------------------------------------------- the catalogue

def count_parameters(name, size="paper"):
    """Parameters of each network at a size, {network: count}; frozen ones say so. Nothing is allocated."""
    paper = get(name).papers
    with torch.device("meta"):
        networks = paper.networks(get(name).presets[size])
    return {part: sum(p.numel() for p in network.parameters()) for part, network in networks.items()}


def catalogue():
    """What `python -m colorlib list --json` prints: one dict a method."""
    rows, measured = [], memory.latest()
    for method in METHODS.values():
        path = weights_file(method.name)
        weights = None
        if path.exists():
            weights = {"file": path.name, "bytes": path.stat().st_size, "sha256": hashlib.sha256(path.read_bytes()).hexdigest()}
        rows.append({"name": method.name, "paper": method.paper, "sees": method.sees,
                     "conditions": list(method.conditions), "optional": list(method.optional), "parameters": count_parameters(method.name),
                     "memory": memory.of_method(method.name, measured), "learns": method.learns, "weights": weights, "notebook": f"notebooks/{method.notebook}", "data_licence": method.data_licence})
    return rows
