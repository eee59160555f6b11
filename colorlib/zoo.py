"""The catalogue of methods and their weights; `painting` paints a picture with any of them.

A new method is one file, `colorlib/papers/<module>.py`, and one row in METHODS; command line, tables, galleries and the
tests of all methods read the row. Of the file they use (CONTRIBUTING.md, "Add a paper", says more):

    PRESETS                      {"smoke", "class", "paper": Config}, a frozen dataclass; VARIANTS: {method: PRESETS} of a file with several
    build(config, pretrained)    the model, an nn.Module with its `config`
    make_step(config, fabric, dataset, ...)     a Step for `train.fit`: step(batch) -> {name: loss}; step.result() -> model
    colorize(model, batch)       {"L": (N, 1, h, w) in [0, 100], conditions} -> ab (N, 2, h, w) in CIE units
    networks(config)             {name: network}, to count and to draw
    variants(model)              {row of the tables: function of a batch -> ab}
"""
import difflib
import hashlib
import importlib
import json
import os
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path

import safetensors.torch
import torch

from colorlib import memory, results, weight_files
from colorlib.files import make_folder, scratch_file, stamp, write_atomic
from colorlib.train import compact, pick_device
from colorlib.weight_files import read_sidecar

__all__ = ["METHODS", "BEST", "CONDITIONS", "Method", "get", "choose", "check_conditions", "load", "save_weights", "read_sidecar",
           "weights_file", "weights_folder", "working_size", "count_parameters"]

CONDITIONS = ("hints", "caption", "reference")      # what a person can add to the grey picture


@dataclass(frozen=True)
class Method:
    """One row of the catalogue. `module` is the paper's file; `conditions` what it needs beside the grey picture; `notebook` the chapter.

    >>> METHODS["film"].conditions, METHODS["film"].papers.__name__, sorted(METHODS["film"].presets)
    (('caption',), 'colorlib.papers.language', ['class', 'paper', 'smoke'])
    """
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
TITLES = {      # of tables that several methods share
    "hints": "Hints: 0.5 % of the pixels told (protocol dense05)", "language": "Manjunatha et al. 2018, Learning to Color from Language, and its trunk",
    "references": "Colour from a reference picture", "infrared": "Colour from near infrared",
    "video": "Clips: colour that does not flicker", "automatic": "Automatic baselines of the papers' tables"}

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
    Method("tcvc", "Thasarathan et al. 2019, Automatic Temporally Coherent Video Colorization (arXiv 1904.09527)", "tcvc", VIDEO,
           data_licence=CLIPS, table="video"),
    Method("tcvc_lines", "TCVC, colour from line art", "tcvc", VIDEO, data_licence=CLIPS, table="video", sees="lines"),
    Method("photonet", "colorlib's own automatic network: what the chapters found, put together", "photonet", SURVEY, (), IMAGENETTE, "automatic"),
    Method("iizuka", "Iizuka et al. 2016, Let there be Color!", "iizuka", SURVEY, (), IMAGENETTE, "automatic", optional=("reference",)),
    Method("larsson", "Larsson et al. 2016, Learning Representations for Automatic Colorization (arXiv 1603.06668)", "larsson", SURVEY, (), IMAGENETTE,
           "automatic", optional=("reference",)),
    Method("dahl", "Dahl 2016, Automatic Colorization (tinyclouds.org/colorize): a residual encoder", "dahl", SURVEY, (), IMAGENETTE, "automatic"),
    Method("pix2pix", "Isola et al. 2017, pix2pix (arXiv 1611.07004), from lightness to a and b", "pix2pix", SURVEY, (), IMAGENETTE, "automatic"),
    Method("cyclegan", "Zhu et al. 2017, CycleGAN (arXiv 1703.10593), between grey and colour, unpaired", "cyclegan", SURVEY, (), IMAGENETTE, "automatic"),
)}


# what paints when nobody names a method: nothing but a photograph, or with a condition; `data/results/leaderboard.csv` and `conditions.csv` say why
BEST = {"": "photonet", "hints": "hintnet", "caption": "film", "reference": "gray2color"}


def get(name):
    """The catalogue row called `name`, "best" for the automatic method of BEST; raises ValueError with the list of names.

    >>> get("cic").paper
    'Zhang et al. 2016, Colorful Image Colorization (arXiv 1603.08511)'
    """
    name = BEST[""] if name == "best" else name
    if name not in METHODS:
        near = difflib.get_close_matches(str(name).lower(), METHODS, 1)
        raise ValueError(f"There is no method {name!r}{f', did you mean {near[0]!r}' if near else ''}: choose one of best, {', '.join(METHODS)}.")
    return METHODS[name]


def choose(name="best", model=None, weights=None, **conditions):
    """The catalogue row that is to paint: the one called `name`, or, where that is "best", the one a model or a weights
    file belongs to, else the BEST one for the conditions given.

    Raises ValueError for an unknown name, a model of several methods, or conditions that no method takes together;
    FileNotFoundError for weights that are not there.

    >>> choose().name, choose(caption="a red car").name, choose(hints=[(8, 8, "teal")]).name
    ('photonet', 'film', 'hintnet')
    """
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


def check_conditions(row, **given):
    """The conditions given, {name: value}. Raises ValueError when a method misses one it needs or is given one it cannot use.

    >>> check_conditions(get("film"), caption="a red car")
    {'caption': 'a red car'}
    """
    for condition in CONDITIONS:
        value = given.get(condition)
        if value is None and condition in row.conditions:
            raise ValueError(f"{row.name} needs {condition}: pass {condition}=... (on the command line --{condition}).")
        if value is not None and condition not in row.conditions + row.optional:
            able = [name for name, other in METHODS.items() if condition in other.conditions + other.optional]
            raise ValueError(f"{row.name} takes no {condition}; " + (f"methods that do: {', '.join(able)}." if able else f"leave {condition} out."))
    return {condition: value for condition, value in given.items() if value is not None}


# ---------------------------------------------------------------- weights

def weights_folder():
    """Where weights are read and written: the environment variable COLORLIB_WEIGHTS, else `data/weights` of the repository.

    >>> weights_folder() == weights_file("cic").parent
    True
    """
    return Path(os.environ.get("COLORLIB_WEIGHTS") or results.repository() / "data" / "weights")


def weights_file(name, size="class"):
    """Path of a method's weights for a size, whether it exists or not.

    >>> weights_file("scgan", "smoke").name
    'scgan-smoke.safetensors'
    """
    return weights_folder() / f"{name}-{size}.safetensors"


def save_weights(model, name, path, info):
    """Write a model's parameters as fp16 safetensors and, beside it, a JSON sidecar with config, provenance and SHA-256. Both atomically.

    model: an nn.Module with a `config` dataclass. info: dict of provenance (data, steps, seed, commit, device, metrics).
    Raises OSError where they cannot be written; an older pair then stays whole.

    >>> model = get("dahl").papers.build(get("dahl").presets["smoke"])
    >>> save_weights(model, "dahl", "dahl.safetensors", {"steps": 0})
    >>> read_sidecar("dahl.safetensors")["steps"], load("dahl", "dahl.safetensors").config == model.config
    (0, True)
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

    weights: a .safetensors file with its JSON sidecar; by default the shipped one of `size`. Raises ValueError for an
    unknown method, FileNotFoundError where no weights exist, ValueError for a file that was cut short, altered, or
    belongs to another method. Nothing is unpickled.

    >>> load("cic", weights="mine.safetensors")
    Traceback (most recent call last):
    FileNotFoundError: mine.safetensors does not exist: check the path given as weights.
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
    stamps = stamp(path), stamp(path.with_suffix(".json"))
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


# ---------------------------------------------------------------- what the catalogue says of a method

def working_size(config):
    """Shorter side, in pixels, at which a network sees a picture: what it was trained at unless its Config says otherwise.

    >>> working_size(get("cic").presets["paper"])
    256
    """
    return getattr(config, "working_size", config.image_size)


def count_parameters(name, size="paper"):
    """Parameters of each network at a size, {network: count}; frozen ones say so. Nothing is allocated.

    >>> count_parameters("cic")
    {'eight blocks': 32235385}
    """
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
        rows.append({"name": method.name, "paper": method.paper, "sees": method.sees, "conditions": list(method.conditions),
                     "optional": list(method.optional), "parameters": count_parameters(method.name),
                     "memory": memory.of_method(method.name, measured), "learns": method.learns, "weights": weights,
                     "notebook": f"notebooks/{method.notebook}", "data_licence": method.data_licence})
    return rows
