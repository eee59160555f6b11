"""Files of weights, looked at before they are used: what they really are, whether they fit the network, whether every value
is a number. No code in them is run."""
import hashlib
import json
import math
from pathlib import Path

import safetensors.torch
import torch
from torch.overrides import TorchFunctionMode

from colorlib.data.downloads import HEAD, not_the_file

__all__ = ["read", "read_sidecar", "check_kind", "fill", "hash_config"]

LONGEST_HEADER = 100_000_000       # bytes; safetensors' own limit
RANDOM = {"normal_", "uniform_", "trunc_normal_", "kaiming_uniform_"}      # what fills a tensor in place
CONVERT = "turn it into safetensors with `python -m colorlib convert {path} -o NEW.safetensors`"
MAGIC = (
    (b"\x89HDF", "an HDF5 file, as Keras writes: save the weights as safetensors"), (b"\x93NUMPY", "a NumPy array: name a .safetensors file"),
    (b"\x89PNG", "a picture: name a .safetensors file"), (b"\xff\xd8\xff", "a picture: name a .safetensors file"),
    (b"GIF8", "a picture: name a .safetensors file"),
    (b"RIFF", "a picture: name a .safetensors file"), (b"\x1f\x8b", "a compressed archive: unpack it first"), (b"BZh", "a compressed archive: unpack it first"),
    (b"\xfd7zXZ", "a compressed archive: unpack it first"), (b"7z\xbc\xaf", "a compressed archive: unpack it first"),
    (b"(\xb5/\xfd", "a compressed archive: unpack it first"), (b"GGUF", "a GGUF file: name a .safetensors file"))


def check_kind(path):
    """Raises ValueError, with what it is, for a file that cannot be safetensors; FileNotFoundError, IsADirectoryError or
    another OSError where it cannot be read.

    >>> Path("cic.safetensors").write_bytes(b"GIF89a") and check_kind("cic.safetensors")
    Traceback (most recent call last):
    ValueError: cic.safetensors holds no weights that can be used: it is a picture: name a .safetensors file.
    """
    path = Path(path)
    if path.is_dir():
        raise IsADirectoryError(f"{path} is a folder: check the path given as weights.")
    if not path.is_file():
        raise FileNotFoundError(f"{path} {'is no regular file' if path.exists() else 'does not exist'}: check the path given as weights.")
    try:
        with open(path, "rb") as file:
            head = file.read(HEAD)
    except OSError as error:
        told = type(error)(f"{path} cannot be read ({error.strerror}): check its permissions.")
        raise told from error
    size = path.stat().st_size
    if what := _other_kind(head, path):
        raise ValueError(f"{path} holds no weights that can be used: it is {what}.")
    length = int.from_bytes(head[:8], "little")
    if size < 8 or length > min(size - 8, LONGEST_HEADER) or head[8:9] not in (b"{", b""):
        raise ValueError(f"{path} is no safetensors file, or is cut short or damaged: copy or download it again.")


def _other_kind(head, path):
    """What a file is instead, and what to do, in words; None where it may be safetensors."""
    if not head:
        return "empty: copy or download it again"
    if head.startswith(b"PK\x03\x04") and b".pkl" in head or head[:1] == b"\x80" and head[1:2] in (b"\x02", b"\x03", b"\x04", b"\x05") and head[8:9] != b"{":
        return f"a PyTorch checkpoint, a pickle, which may hold code and is not read: {CONVERT.format(path=path)}"
    if head.startswith(b"PK\x03\x04"):
        return "a ZIP archive: unpack it first"
    if path.suffix.lower() == ".onnx" or head[:1] == b"\x08" and (b"pytorch" in head or b"onnx" in head) and head[8:9] != b"{":
        return "an ONNX network, which paints in other programs: name the .safetensors file it was made from"
    for magic, what in MAGIC:
        if head.startswith(magic) and head[8:9] != b"{":
            return what
    if head.lstrip()[:1] == b"{":
        if b'"hints"' in head or b'"image_hash"' in head:
            return "a file of hints: give it as hints, and name a .safetensors file"
        if b'"method"' in head and b'"config"' in head:
            return f"the JSON file beside weights: name {path.with_suffix('.safetensors').name} instead"
    if found := not_the_file(head, path.name):
        return f"{found}: download it again"
    return None


def read(path, content=None):
    """{name: tensor} of a safetensors file, whole, all values finite. content: its bytes, where they are read already. Raises
    ValueError with the cause, OSError.

    >>> safetensors.torch.save_file({"weight": torch.ones(2)}, "tiny.safetensors")
    >>> read("tiny.safetensors")
    {'weight': tensor([1., 1.])}
    """
    path = Path(path)
    check_kind(path)
    try:
        state = safetensors.torch.load(path.read_bytes() if content is None else content)
    except (OSError, MemoryError):
        raise
    except Exception as error:      # noqa: BLE001 - its own error for a header that does not fit, others for kinds of numbers torch does not know
        raise ValueError(f"{path} is damaged or altered, as its header does not fit its content ({str(error).partition(chr(10))[0]}): "
                         "copy or download it again.") from None
    for name, value in state.items():
        if value.is_floating_point() and not bool(value.isfinite().all()):
            raise ValueError(f"{path}: {name} holds values that are not finite: its training broke down, or the file is damaged; take another.")
    return state


def read_sidecar(path):
    """The JSON beside a weights file. Raises FileNotFoundError, ValueError or another OSError with what to do.

    >>> Path("tiny.json").write_text('{"method": "cic", "config": {"width": 8}}') and read_sidecar("tiny.safetensors")
    {'method': 'cic', 'config': {'width': 8}}
    """
    path = Path(path)
    if path.exists():
        check_kind(path)
    sidecar = path.with_suffix(".json")
    if not sidecar.exists():
        raise FileNotFoundError(f"{sidecar} is missing: keep the JSON file beside {path.name}, it holds the network's shape.")
    try:
        found = json.loads(sidecar.read_bytes())
    except (ValueError, RecursionError):
        raise ValueError(f"{sidecar} is not valid JSON: fetch it again together with {path.name}.") from None
    except OSError as error:
        told = type(error)(f"{sidecar} cannot be read ({error.strerror}): check its permissions.")
        raise told from error
    if not isinstance(found, dict):
        raise ValueError(f"{sidecar} lacks 'config': fetch it again together with {path.name}.")
    return found


def read_config(sidecar, Config, like, path):
    """The Config that a sidecar describes. like: one of the same class, whose values say of what kind each must be. Raises ValueError."""
    file, given = Path(path).with_suffix(".json"), sidecar.get("config")
    again = f"fetch it again together with {Path(path).name}"
    if not isinstance(given, dict):
        raise ValueError(f"{file} has no config: {again}.")
    for name, value in given.items():
        if not hasattr(like, name):
            raise ValueError(f"{file} has a config with {name!r}, which {Config.__module__} does not know: {again}, or use the version of colorlib that wrote "
                             "it.")
        if not _alike(value, getattr(like, name)):
            raise ValueError(f"{file} has a config with {name}: {str(value)[:60]!r}, where {_kind(getattr(like, name))} is needed: {again}.")
    try:
        return Config(**{name: as_tuples(value) for name, value in given.items()})
    except (TypeError, ValueError) as error:
        raise ValueError(f"{file} has a config that is not one of this network ({error}): {again}.") from None


def hash_config(config):
    """sha256 of a config's JSON, tuples and lists alike: what a sidecar notes of it, so that a change shows.

    >>> hash_config({"widths": (8, 16)}) == hash_config({"widths": [8, 16]})
    True
    """
    return hashlib.sha256(json.dumps(config, sort_keys=True).encode()).hexdigest()


def _kind(value):
    return "yes or no" if isinstance(value, bool) else "a number" if isinstance(value, (int, float)) else "a word" if isinstance(value, str) else "a list"


def _alike(value, other):
    if isinstance(value, float) and not math.isfinite(value):
        return False
    return value is None or other is None or _kind(value) == _kind(other)


def as_tuples(value):
    """JSON's lists as the tuples they were, also in lists."""
    return tuple(map(as_tuples, value)) if isinstance(value, list) else value


def fill(network, state, path, of="the network"):
    """Load a state dict into a network as float32; returns the network. Raises ValueError that names the file and the first
    tensor that does not fit.

    >>> fill(torch.nn.Linear(2, 1), {"weight": torch.ones(1, 3)}, "mine.safetensors")
    Traceback (most recent call last):
    ValueError: mine.safetensors does not hold the weights of the network: weight is (1, 3) in it and (1, 2) in the network.
    """
    if fault := misfit(network, state):
        raise ValueError(f"{path} does not hold the weights of {of}: {fault}.")
    network.load_state_dict({name: value.float() if value.is_floating_point() else value for name, value in state.items()})
    return network


def misfit(network, state):
    """What of a state dict does not fit a network, which may be on the meta device; "" where all does."""
    wanted = network.state_dict()
    for name, value in wanted.items():
        if name not in state:
            return f"{name} is not in it"
        if state[name].shape != value.shape:
            return f"{name} is {tuple(state[name].shape)} in it and {tuple(value.shape)} in the network"
        if state[name].is_floating_point() != value.is_floating_point():
            return f"{name} is {str(state[name].dtype).removeprefix('torch.')} in it"
    return next((f"it holds {name}, which the network lacks" for name in state if name not in wanted), "")


class _Unfilled(TorchFunctionMode):
    """Inside, no tensor gets random values: to fill one without memory torch imports its compiler, which takes a second."""

    def __torch_function__(self, function, types, arguments=(), options=None):
        options = options or {}
        if getattr(function, "__name__", "") in RANDOM:
            return arguments[0] if arguments else options["tensor"]
        return function(*arguments, **options)


def outline(paper, config):
    """A method's network without memory: names and shapes only."""
    with torch.device("meta"), _Unfilled():
        return paper.build(config, pretrained=False)


def build(paper, config, state, path):
    """A method's network with the weights of a file. It is laid out without memory first, as a config that was altered may ask for any amount. Raises
    ValueError."""
    file = Path(path).with_suffix(".json")
    try:
        laid_out = outline(paper, config)
    except Exception as error:      # noqa: BLE001 - a config with other numbers than networks have may fail anywhere
        raise ValueError(f"{file} has a config of which no network can be built ({str(error).partition(chr(10))[0]}): fetch it again together with "
                         f"{Path(path).name}.") from None
    if fault := misfit(laid_out, state):
        raise ValueError(f"{path} does not hold the weights of the network that {file.name} describes: {fault}; fetch both again.")
    return fill(paper.build(config, pretrained=False), state, path)
