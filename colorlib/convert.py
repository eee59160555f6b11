"""PyTorch checkpoints (.pth, .pt, .ckpt) -> safetensors with a sidecar: `python -m colorlib convert OLD.pth`.

A checkpoint is a pickle, and a pickle is a program. Nothing else in the package reads one that somebody else wrote; what is read here, is read by torch's
unpickler for weights alone, which makes tensors, numbers, strings and containers of these, and refuses everything else.
"""
import argparse
import collections
import contextlib
import hashlib
import os
import pathlib
import re
import threading
import warnings
import zipfile
from functools import cache
from pathlib import Path

import numpy as np
import safetensors.torch
import torch

from colorlib import weight_files
from colorlib.files import write_atomic

__all__ = ["convert", "read_checkpoint", "state_dicts", "PUBLISHED"]

DEPTH = 4                                   # of entries in entries that are searched for weights
PREFIXES = ("module.", "_orig_mod.", "_forward_module.")      # of DataParallel, torch.compile, Fabric
# Configs of authors' files, by their names in the paper's module
PUBLISHED = {"cic": ("released",), "siggraph17": ("released", "caffe"), "hscau": ("released",), "gray2color": ("paper_probable",)}
# first digits of a file's SHA-256 -> its Config: siggraph17-df00044c.pth, the same names and shapes as latest_net_G.pth
KNOWN = {"df00044c": "caffe"}
FORCE, FORCE_NOT = "TORCH_FORCE_WEIGHTS_ONLY_LOAD", "TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD"      # which `torch.load` looks at
COUNTER = "num_batches_tracked"             # of batch norm; files older than PyTorch 0.4.1 have none
# Classes that many old files hold beside weights, and that do nothing: settings, paths, numbers of NumPy. torch fills no defaultdict, so it becomes a dict
PLAIN = [argparse.Namespace, dict, list, set, int, float, (lambda *_: collections.OrderedDict(), "collections.defaultdict"),
         *[(pathlib.PurePosixPath, name) for name in ("pathlib.PosixPath", "pathlib._local.PosixPath")], np.dtype,
         *{type(np.dtype(kind)) for kind in "?bBhHiIlLqQefdgSU"},
         *[(np.float64(0).__reduce__()[0], f"numpy.{core}.multiarray.scalar") for core in ("core", "_core")]]
STATE_DICT = "save the state dict alone (torch.save(model.state_dict(), ...)) where you trust the file, and convert that"
_alone = threading.RLock()


class _Program(ValueError):
    pass


@contextlib.contextmanager
def weights_only():
    """Inside, `torch.load` makes nothing but weights, whatever the library that calls it asks for: torch-fidelity and torchvision would run code in a file of
    torch's cache. Such a file raises `pickle.UnpicklingError`."""
    with _alone:
        before = {name: os.environ.pop(name, None) for name in (FORCE, FORCE_NOT)}
        os.environ[FORCE] = "1"
        try:
            yield
        finally:
            del os.environ[FORCE]
            os.environ.update({name: value for name, value in before.items() if value is not None})


def read_checkpoint(path):
    """What a checkpoint file holds: tensors, numbers and strings in dicts and lists, on the CPU. Code in it is not run. Raises
    FileNotFoundError, OSError, and ValueError that names the class a file wanted to have made, or says that it is no
    checkpoint.

    >>> torch.save({"weight": torch.ones(2), "hook": os.system}, "mine.pth")
    >>> read_checkpoint("mine.pth")
    Traceback (most recent call last):
    ValueError: mine.pth wants to run ...system, which weights do not need: nothing of it was run; ...
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f"{path} {'is no file' if Path(path).exists() else 'does not exist'}: check the path.")
    try:
        check_sums(path)
        with weights_only(), torch.serialization.safe_globals(PLAIN), warnings.catch_warnings():
            warnings.simplefilter("ignore")                    # of what torch cannot read either
            return torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, _Program):
        raise
    except Exception as error:      # noqa: BLE001 - for a damaged file torch raises whatever it stumbles over
        wanted = re.search(r"GLOBAL ([\w.]+)|(?:class|type|function) ['\"]?([\w.]+)", str(error)) if "nsupported" in str(error) else None
        if wanted is not None and (name := (wanted[1] or wanted[2]).rstrip(".")):
            raise ValueError(f"{path} wants to run {name}, which weights do not need: nothing of it was run; {STATE_DICT}.") from None
        raise ValueError(f"{path} is no PyTorch checkpoint, or a damaged one: copy or download it again.") from None


def check_sums(path):
    """Raises _Program for a TorchScript archive, `zipfile.BadZipFile` where a checkpoint differs from the sums that torch wrote into it and does
    not compare, or is packed, as torch packs none."""
    if zipfile.is_zipfile(path):            # others are of before 2020, without sums
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
            if any(member.filename.endswith("/constants.pkl") for member in members):
                raise _Program(f"{path} is a TorchScript archive, which is a program: nothing of it was run; {STATE_DICT}.")
            if any(member.compress_type != zipfile.ZIP_STORED for member in members) or any(member.CRC for member in members) and archive.testzip():
                raise zipfile.BadZipFile


def state_dicts(found, name="", depth=DEPTH):
    """{where: {name: tensor}} of every entry of a checkpoint that holds tensors, "" for the whole of it.

    >>> state_dicts({"epoch": 3, "netG": {"module.weight": torch.ones(2)}})      # saved from DataParallel
    {'netG': {'weight': tensor([1., 1.])}}
    """
    if not isinstance(found, dict) or depth < 0:
        return {}
    tensors = {key: value.detach() for key, value in found.items() if isinstance(key, str) and torch.is_tensor(value)}
    inner = [state_dicts(value, f"{name}/{key}".lstrip("/"), depth - 1) for key, value in found.items() if isinstance(key, str)]
    return ({name: strip(tensors)} if tensors else {}) | {key: value for one in inner for key, value in one.items()}


def strip(state):
    """Names without what wrappers put in front of all of them."""
    for prefix in PREFIXES * 2:             # a compiled network in DataParallel has both
        wrapped = {key: value for key, value in state.items() if key.startswith(prefix)}
        if wrapped and set(state) - set(wrapped) <= {"n_averaged"}:      # which an average of weights counts in
            state = {key.removeprefix(prefix): value for key, value in wrapped.items()}
    return state


def inner_networks(states):
    """As `state_dicts`, of networks that were parts of the module that was saved: names without their first part, by that."""
    found = {}
    for entry, state in states.items():
        for key, value in state.items():
            part, dot, rest = key.partition(".")
            if dot:
                found.setdefault(f"{entry}/{part}".lstrip("/"), {})[rest] = value
    return {entry: strip(state) for entry, state in found.items()}


def candidates(row):
    """[(name, Config, function that gives a state dict our names)]: the networks that a file may hold weights of, which are every preset of a method, under
    our names, and those of authors' files."""
    ours = [(size, config, dict) for size, config in row.presets.items()]
    return ours + [(name, getattr(row.papers, name.upper()), row.papers.from_official) for name in PUBLISHED.get(row.name, ())]


@cache
def shapes_of(name, config):
    """{tensor: shape} of a method's network for a Config; nothing is allocated."""
    from colorlib import zoo
    return {key: tuple(value.shape) for key, value in weight_files.outline(zoo.get(name).papers, config).state_dict().items()}


def compare(config, row, state):
    """None where a state dict is one of the network that a Config describes, else how many tensors fit and a sentence about the first that does not."""
    wanted, shapes = shapes_of(row.name, config), {key: tuple(value.shape) for key, value in state.items()}
    fitting = sum(shapes.get(key) == shape for key, shape in wanted.items())
    for key, shape in wanted.items():
        if key not in shapes and not key.endswith(COUNTER):
            return fitting, f"{key} is not in it"
        if shapes.get(key, shape) != shape:
            return fitting, f"{key} is {shapes[key]} in it, {shape} in the network"
    if extra := next((key for key in shapes if key not in wanted), None):
        return fitting, f"it holds {extra}, which the network lacks"
    return None


def identify(states, names, config=None):
    """[(entry, method's row, name of the Config, Config, state dict with our names)] of everything in a checkpoint that is the weights of a method; and why
    the nearest is not. config: only the one of this name."""
    from colorlib import zoo  # late: it reads this module's sentences
    found, nearest = [], (0 if len(names) > 1 else -1, "no tensor in it has a name that is known here")
    for row in map(zoo.get, names):
        for name, one, rename in candidates(row):
            for entry, state in states.items() if config in (None, name) else ():
                try:
                    renamed = rename(state)
                except (ValueError, KeyError, IndexError, RuntimeError):      # not the authors' names
                    continue
                reason = compare(one, row, renamed)
                if reason is None:
                    found.append((entry, row, name, one, renamed))
                elif reason[0] > nearest[0]:
                    nearest = reason[0], f"as weights of {row.name}, {reason[1]}"
    return found, nearest[1]


def convert(source, method=None, target=None, entry=None, config=None, overwrite=False):
    """Write the weights in a checkpoint as safetensors, with the JSON file that `colorize --weights` needs; returns the path.

    source: a file by `torch.save`, old or new: a state dict of the authors of PUBLISHED or of a method's network here, at
    the size of a preset, alone or in entries such as "state_dict" or "netG", or a part of a larger module. method: whose
    weights they are, where several methods share a network; "squeezenet1_1_caffe": the classifier COLORLIB_CLASSIFIER
    names. target: a .safetensors file, beside the source by default. entry: which of several entries. config: a size or a
    name of PUBLISHED, where several fit. Raises FileNotFoundError; FileExistsError unless overwrite; ValueError for a file
    that needs code, or fits no method, or several.

    >>> from colorlib.papers import cic
    >>> torch.save({"epoch": 3, "state_dict": cic.build(cic.PRESETS["smoke"]).state_dict()}, "mine.pth")
    >>> convert("mine.pth", method="cic", config="smoke").name
    'mine.safetensors'
    """
    from colorlib import classifiers, zoo
    source = Path(source)
    target = Path(target) if target is not None else source.with_suffix(".safetensors")
    if target.suffix != ".safetensors":
        raise ValueError(f"{target} does not end in .safetensors: name such a file with -o.")
    if not overwrite and (there := next((path for path in (target, target.with_suffix(".json")) if path.exists()), None)):
        raise FileExistsError(f"{there} exists: name another file with -o, or delete it.")
    if method is None:
        names = [name for name, row in zoo.METHODS.items() if row.learns]
    else:
        names = [method if method == classifiers.STAND_IN else zoo.get(method).name]
    known = dict.fromkeys(one[0] for name in names if name != classifiers.STAND_IN for one in candidates(zoo.get(name)))
    if config not in (None, *known):
        raise ValueError(f"There is no config {config!r}: choose one of {', '.join(known)}.")
    states = state_dicts(read_checkpoint(source))
    if not states:
        raise ValueError(f"{source} holds no tensors under names: give a file with a state dict.")
    if entry is not None and entry not in states:
        raise ValueError(f"{source} has no entry {entry!r} with weights: choose one of {', '.join(map(repr, states))}.")
    states = states if entry is None else {entry: states[entry]}
    if odd := next((key for state in states.values() for key, value in state.items() if not is_plain(value)), None):
        raise ValueError(f"{source}: {odd} is sparse, quantized, complex or without values, which no network's weights are here: save it as a plain tensor.")
    if method == classifiers.STAND_IN:
        return convert_classifier(source, states, target)
    digest = sha256(source)
    config = config or KNOWN.get(digest[:8])
    found, reason = identify(states, names, config)
    if not found:
        found, _ = identify(inner_networks(states), names, config)
    if not found:
        raise ValueError(f"{source} does not fit {'the network of ' + names[0] if method else 'any method'}: {reason}.")
    choose_one(source, "is in", "--entry", dict.fromkeys(one[0] for one in found))
    choose_one(source, "belongs to", "--method", dict.fromkeys(one[1].name for one in found))
    choose_one(source, "fits", "--config", dict.fromkeys(one[2] for one in found))
    _, row, name, config, state = found[0]
    if bad := next((key for key, value in state.items() if not bool(value.isfinite().all())), None):
        raise ValueError(f"{source}: {bad} holds values that are not finite, so its training broke down: take an earlier checkpoint.")
    model = row.papers.build(config, pretrained=False)
    counters = {key: value for key, value in model.state_dict().items() if key.endswith(COUNTER)}
    weight_files.fill(model, counters | state, source, row.name)
    zoo.save_weights(model, row.name, target, {"size": name, "converted_from": source.name, "source_sha256": digest})
    return target


def choose_one(source, what, option, names):
    """Raises ValueError where there are several names."""
    if len(names) > 1:
        raise ValueError(f"{source}: the network {what} {', '.join(name or 'the whole of it' for name in names)}: say which with {option}.")


def convert_classifier(source, states, target):
    """SqueezeNet 1.1 in torchvision's layout, as `classifiers.load_classifier` reads it."""
    import torchvision
    with torch.device("meta"):
        wanted = {key: value.shape for key, value in torchvision.models.squeezenet1_1(weights=None).state_dict().items()}
    state = next((state for state in states.values() if {key: value.shape for key, value in state.items()} == wanted), None)
    if state is None:
        raise ValueError(f"{source} does not hold torchvision's squeezenet1_1: give a file with the state dict of that network.")
    write_atomic(target, safetensors.torch.save({key: value.contiguous() for key, value in state.items()}))
    return target


def is_plain(value):
    """Whether a tensor has values that can be copied as they are."""
    return type(value) in (torch.Tensor, torch.nn.Parameter) and value.device.type == "cpu" and value.layout == torch.strided \
        and not value.is_quantized and not value.is_complex()


def sha256(path):
    """The sha256 of a file, 64 hex digits."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
