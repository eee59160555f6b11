"""Nothing that is given to the package runs: no pickle, no shell, no markup, no connection. A look through the source, then hostile files at every door."""
import argparse
import ast
import collections
import html.parser
import io
import json
import os
import pathlib
import pickle
import subprocess
import sys
import tarfile
import time
from pathlib import Path
from types import SimpleNamespace

import av
import ipywidgets
import numpy as np
import pytest
import torch

from colorlib import __main__ as command
from colorlib import captions, classifiers, convert, experiments, fooling, images, results, saliency, scenes, vgg, widgets, zoo
from colorlib.fooling import fooling_answers
from colorlib.metrics import learned_metrics
from colorlib.data import Shards, packing
from colorlib.data.sources import Pictures
from colorlib.data.videos import Video
from colorlib.papers import gray_vgg, koalarization, language
from tests import test_hscau, test_siggraph17
from tests.robustness import tiny_runs

ROOT = Path(__file__).parents[2]
GUARD = Path(__file__).parent / "guard"
SENTENCE = (ValueError, OSError)            # what ends in one sentence; `colorlib: sentence` and exit status 1 on the command line

# ---------------------------------------------------------------- the source

SOURCES = sorted((ROOT / "colorlib").rglob("*.py")) + sorted((ROOT / "notebooks").glob("*.ipynb")) + sorted((ROOT / ".ci").glob("*.py"))
BUILT_IN = {"eval", "exec", "compile", "__import__"}
CALLS = {"os.system", "os.popen", "os.execv", "os.execvp", "os.spawnv", "pickle.load", "pickle.loads", "pickle.Unpickler", "joblib.load", "dill.load",
         "dill.loads",
         "marshal.load", "marshal.loads", "shelve.open", "yaml.load", "yaml.unsafe_load", "torch.hub.load", "torch.jit.load", "tempfile.mktemp",
         "pandas.read_pickle",
         "pd.read_pickle", "subprocess.getoutput", "subprocess.getstatusoutput", "timm.models.load_checkpoint"}
NETWORK = {"urllib.request.urlopen", "urllib.request.urlretrieve", "urlopen", "urlretrieve", "socket.socket", "socket.create_connection",
           "http.client.HTTPConnection",
           "http.client.HTTPSConnection", "hf_hub_download", "snapshot_download", "huggingface_hub.hf_hub_download", "huggingface_hub.snapshot_download"}
MAY_FETCH = {"downloads.py"}
FOREIGN = ("joblib", "dill", "marshal", "shelve", "yaml", "requests")       # modules nothing here needs


def dotted(node):
    """`np.random.seed` of an expression, "" for others."""
    parts = []
    while isinstance(node, ast.Attribute):
        parts, node = [node.attr, *parts], node.value
    return ".".join([node.id, *parts]) if isinstance(node, ast.Name) else ""


def faults(tree, name=""):
    """What in a syntax tree could run what it is given, [(line, words)]."""
    found = []
    for node in ast.walk(tree):
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            modules = [one.name for one in node.names] if isinstance(node, ast.Import) else [node.module or ""]
            found += [(node.lineno, f"imports {module}") for module in modules
                      if module.split(".")[0] in FOREIGN]
        if not isinstance(node, ast.Call):
            continue
        called, options = dotted(node.func), {one.arg: getattr(one.value, "value", "?") for one in node.keywords}
        if isinstance(node.func, ast.Name) and node.func.id in BUILT_IN or called in CALLS:
            found.append((node.lineno, f"calls {called}"))
        if called in NETWORK and name not in MAY_FETCH:
            found.append((node.lineno, f"{called} outside of {', '.join(MAY_FETCH)}"))
        if called == "torch.load" and options.get("weights_only") is not True:
            found.append((node.lineno, "torch.load without weights_only=True"))
        if called in ("np.load", "numpy.load") and options.get("allow_pickle") is not False:
            found.append((node.lineno, f"{called} without allow_pickle=False"))
        if options.get("shell", False) is not False or options.get("trust_remote_code", False) is not False:
            found.append((node.lineno, "a shell, or remote code"))
        if called.startswith("subprocess.") and node.args and isinstance(node.args[0], (ast.JoinedStr, ast.Constant,
                                                                                        ast.BinOp)) and called != "subprocess.list2cmdline" \
                and not isinstance(getattr(node.args[0], "left", None), ast.List):
            found.append((node.lineno, f"{called} of a string"))
    return found


def code_of(path):
    """Python source of a module, or of a notebook's code cells without their magics."""
    if path.suffix == ".py":
        return path.read_text()
    cells = json.loads(path.read_text())["cells"]
    code = "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "code")
    assert not any(line.lstrip().startswith("!") for line in code.splitlines()), f"{path.name} runs a shell"
    return "\n".join("pass" if line.startswith("%") else line for line in code.splitlines())


def test_no_source_runs_what_it_is_given(tally):
    found = {str(path.relative_to(ROOT)): faults(ast.parse(code_of(path)), path.name) for path in SOURCES}
    assert {path: lines for path, lines in found.items() if lines} == {} and len(found) > 120
    tally(inputs=len(found))


def test_no_test_loads_a_pickle_of_weights():
    found = {path.name: [words for _, words in faults(ast.parse(path.read_text())) if words.startswith(("torch.load", "a shell", "torch.hub"))]
             for path in (ROOT / "tests").rglob("*.py") if path != Path(__file__)}
    assert {name: words for name, words in found.items() if words} == {}


@pytest.mark.parametrize("code", (
    "torch.load(path)", "torch.load(path, weights_only=False)", "np.load(path)", "np.load(path, allow_pickle=True)", "eval(text)", "exec(text)",
    "os.system('ls')",
    "pickle.load(file)", "subprocess.run('ls', shell=True)", "subprocess.run(f'ls {folder}')", "subprocess.Popen('ls ' + folder)", "torch.hub.load('a', 'b')",
    "import requests",
    "urlopen(address)", "socket.create_connection(place)", "import joblib", "yaml.load(file)", "AutoModel.from_pretrained(name, trust_remote_code=True)",
    "tempfile.mktemp()"))
def test_the_look_through_the_source_finds(code):
    assert faults(ast.parse(code))


# ---------------------------------------------------------------- pickles

class Bomb:
    """Makes a file as soon as it is unpickled."""

    def __init__(self, mark):
        self.mark = mark

    def __reduce__(self):
        return os.mkdir, (str(self.mark),)


@pytest.fixture
def bombs(tmp_path):
    """{kind: bytes}, each of which would make the folder `mark` when unpickled; `went_off` says whether one did."""
    bomb, mark = Bomb(tmp_path / "mark"), tmp_path / "mark"

    def written(write, *arguments, **options):
        file = io.BytesIO()
        write(*((arguments[0], file) if write is torch.save else (file, *arguments)), **options)
        return file.getvalue()
    objects = np.array([bomb], dtype=object)
    found = {"pickle": pickle.dumps(bomb, protocol=2), "zip": written(torch.save, {"weights": bomb}),
             "old": written(torch.save, {"weights": bomb}, _use_new_zipfile_serialization=False),
             "npy": written(np.save, objects), "npz": written(np.savez, a=objects)}
    yield found
    assert not mark.exists()


def test_the_bombs_are_live(tmp_path):
    file = io.BytesIO()
    torch.save(Bomb(tmp_path / "one"), file)
    file.seek(0)
    torch.load(file, weights_only=False)
    pickle.loads(pickle.dumps(Bomb(tmp_path / "two")))
    assert (tmp_path / "one").is_dir() and (tmp_path / "two").is_dir()


def run(capsys, *arguments):
    """A command's exit status and what it says on stderr, line by line."""
    status = command.main(list(map(str, arguments)))
    return status, [line for line in capsys.readouterr().err.splitlines() if line]


@pytest.fixture
def photo(tmp_path):
    images.save_image(tmp_path / "photo.png", scenes.make_scene(1, 32).rgb)
    return tmp_path / "photo.png"


COMMANDS = {
    "weights.pth": ("colorize", "{photo}", "--weights", "{bomb}"), "weights.safetensors": ("colorize", "{photo}", "--method", "photonet", "--weights",
                                                                                           "{bomb}"),
    "hints.json": ("colorize", "{photo}", "--method", "hintnet", "--hints", "{bomb}"), "reference.png": ("colorize", "{photo}", "--reference", "{bomb}"),
    "picture.jpg": ("colorize", "{bomb}"), "clip.mp4": ("colorize", "{bomb}"), "moving.gif": ("colorize", "{bomb}"), "data.npy": ("train", "photonet",
                                                                                                                                  "--data", "{bomb}"),
    "shard.tar": ("train", "photonet", "--data", "{bomb}"), "old.pth": ("convert", "{bomb}"), "old.ckpt": ("convert", "{bomb}", "--method", "scgan"),
    "trunk.pth": ("train", "film", "--set", "trunk_weights={bomb}", "width=8", "--data", "scenes:6", "--run", "{folder}/run"), "look.tar": ("data", "{bomb}"),
    "network.onnx": ("train", "scgan", "--set", "saliency={bomb}", "--data", "scenes:6", "--run", "{folder}/run"), "export.pth": ("export", "photonet",
                                                                                                                                  "--weights", "{bomb}")}


@pytest.mark.parametrize("name", COMMANDS)
def test_a_pickle_given_to_a_command_ends_in_one_sentence(name, bombs, photo, tmp_path, capsys, monkeypatch, tally):
    monkeypatch.setenv("COLORLIB_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    for kind, content in bombs.items():
        bomb = tmp_path / kind / name
        bomb.parent.mkdir()
        bomb.write_bytes(content)
        bomb.with_suffix(".json").write_text(json.dumps({"method": "photonet", "config": {}, "sha256": ""}))
        status, said = run(capsys, *(part.format(bomb=bomb, photo=photo, folder=tmp_path) for part in COMMANDS[name]))
        if COMMANDS[name][0] == "data":          # which is there to say what is wrong with data
            assert (status, said) == (0, [])
        else:
            assert status == 1 and len(said) == 1 and said[0].startswith("colorlib: "), said
    tally(inputs=len(bombs), sentences=len(bombs))


def last_checkpoint(bomb, tmp_path, name):
    (tmp_path / "run").mkdir(exist_ok=True)
    for one in ("last.ckpt", "previous.ckpt"):
        (tmp_path / "run" / one).write_bytes(bomb.read_bytes())
    experiments.train_method("photonet", "smoke", "scenes:6", run=tmp_path / "run", steps=1, batch_size=2, device="cpu", progress=False,
                             changes=tiny_runs.small_config("photonet"))


def in_cache(read):
    """A door that looks for a file of torch's cache: every name that it could have is a bomb."""
    def door(bomb, tmp_path, name):
        folder = Path(torch.hub.get_dir(), "checkpoints")
        folder.mkdir(parents=True, exist_ok=True)
        for one in ("vgg16-397923af.pth", "alexnet-owt-7be5be79.pth", "squeezenet1_1-b8a52dc0.pth", "resnet18-f37072fd.pth", "resnet101-63fe2227.pth",
                    "pt_inception-2015-12-05-6726825d.pth", *learned_metrics.LEGACY_INCEPTION):
            (folder / one).write_bytes(bomb.read_bytes())
        read()
    return door


def named_by(variable, read):
    """A door that reads the file an environment variable names."""
    def door(bomb, tmp_path, name):
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv(variable, str(bomb))
            read(bomb)
    return door


def two(side=64):
    return torch.zeros(2, 3, side, side, dtype=torch.uint8)


DOORS = {
    "a run's checkpoints": last_checkpoint, "read_checkpoint": lambda bomb, *_: convert.read_checkpoint(bomb), "weights": lambda bomb,
    *_: zoo.load("photonet", bomb),
    "the classifier": named_by(classifiers.VARIABLE, lambda bomb: classifiers.load_classifier(classifiers.STAND_IN)),
    "the global features": lambda bomb, *_: gray_vgg.load_features(gray_vgg.GlobalFeatures(zoo.get("scgan").presets["smoke"]), bomb),
    "Inception-ResNet's file": named_by("COLORLIB_INCEPTION", lambda bomb: koalarization.InceptionEmbedding()),
    "the trunk": lambda bomb, *_: language.load_trunk(torch.nn.Linear(1, 1), bomb), "VGG-16": in_cache(lambda: vgg.load_imagenet(None)),
    "a classifier of torchvision's": in_cache(lambda: classifiers.load_classifier("squeezenet1_1")), "LPIPS": in_cache(lambda: learned_metrics.lpips(two(),
                                                                                                                                                     two())),
    "FID": in_cache(learned_metrics.standard_inception), "the legacy FID": in_cache(learned_metrics.legacy_inception),
    "the ResNet": in_cache(lambda: language.open_backbone(language.RELEASED, True)), "the answers": lambda bomb, *_: fooling_answers.read_answers(bomb),
    "a saliency network": lambda bomb, *_: saliency.estimate(scenes.make_scene(0, 32).rgb, bomb.rename(bomb.with_suffix(".onnx")))}


@pytest.mark.parametrize("name", DOORS)
def test_a_pickle_in_place_of_a_file_is_not_run(name, bombs, tmp_path, monkeypatch, tally):
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr("socket.socket.connect", lambda *_: (_ for _ in ()).throw(ConnectionRefusedError("no network")))
    monkeypatch.setattr("socket.getaddrinfo", lambda *_, **__: (_ for _ in ()).throw(ConnectionRefusedError("no network")))
    monkeypatch.setattr("time.sleep", lambda seconds: None)          # between attempts to fetch
    for kind in ("pickle", "zip", "old"):
        for cached in (learned_metrics._inception, learned_metrics._legacy_inception, learned_metrics._lpips_network):
            cached.cache_clear()
        bomb = tmp_path / f"{kind}.pth"
        bomb.write_bytes(bombs[kind])
        with pytest.raises(SENTENCE) as caught:
            DOORS[name](bomb, tmp_path, name)
        assert "\n" not in str(caught.value) and len(str(caught.value)) < 900
    tally(inputs=3, sentences=3)


def test_arrays_of_objects_in_the_caches_are_made_again(bombs, tmp_path, monkeypatch, tally):
    monkeypatch.setenv("COLORLIB_CACHE", str(tmp_path / "cache"))
    folder = tmp_path / "photos"
    folder.mkdir()
    for seed in range(3):
        images.save_image(folder / f"{seed}.png", scenes.make_scene(seed, 32).rgb)
    true = packing.pack(Pictures(folder, size=16))[1]["rgb"]
    for path in (tmp_path / "cache").rglob("*.npy"):
        path.write_bytes(bombs["npy"])
        assert torch.equal(packing.pack(Pictures(folder, size=16))[1]["rgb"], true)
        tally(inputs=1, right_pictures=1)
    path = tmp_path / "maps" / "one.npy"
    path.parent.mkdir()
    path.write_bytes(bombs["npy"])
    bar = saliency.track(None, False, total=2)
    assert saliency.cached_maps(path, (2, 4, 4), lambda i: np.full((4, 4), i, np.uint8), bar)[1].max() == 1
    tally(inputs=1, right_pictures=1)


def test_members_of_shards_that_webdataset_would_unpickle(bombs, tmp_path, tally):
    picture = io.BytesIO()
    images.save_image(tmp_path / "a.png", scenes.make_scene(1, 32).rgb)
    picture = (tmp_path / "a.png").read_bytes()
    unpickled = {"pyd": "pickle", "pickle": "pickle", "pkl": "pickle", "pth": "zip", "ten": "old", "npy": "npy", "npz": "npz", "mp": "pickle", "cbor": "pickle"}
    members = {"0.png": picture, "0.json": b'{"label": 3}'} | {f"0.{suffix}": bombs[kind] for suffix, kind in unpickled.items()}
    members |= {"1.pyd": bombs["pickle"], "2.png": bombs["pickle"], "__meta__.pyd": bombs["pickle"]}
    with tarfile.open(tmp_path / "s.tar", "w") as tar:
        for name, content in members.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    shards = Shards(tmp_path / "s.tar", 32)
    [sample] = shards
    assert set(sample) == {"id", "rgb", "label"} and [name for name, _ in shards.report.corrupt] == ["2.png"]
    tally(inputs=len(members))


# ---------------------------------------------------------------- the converter of checkpoints

def save(path, found, **options):
    torch.save(found, path, **options)
    return path


def small(name):
    """An untrained network of a method at smoke size."""
    torch.manual_seed(1)
    return zoo.get(name).papers.build(zoo.get(name).presets["smoke"], pretrained=False)


def same(one, other):
    return all(torch.allclose(value.float(), other.state_dict()[key].float(), atol=2e-3, rtol=2e-3) for key, value in one.state_dict().items())


def under(prefix, state):
    return {f"{prefix}.{key}": value for key, value in state.items()}


SETTINGS = {"args": argparse.Namespace(lr=0.1, folder=pathlib.PosixPath("runs/1")), "best": np.float32(0.5), "kinds": np.dtype("int64"), "seen": {1, 2},
            "history": collections.defaultdict(list, loss=[1.0])}
WRAPPINGS = {
    "alone": lambda state: state,
    "state_dict": lambda state: {"epoch": 3, "state_dict": state},
    "model": lambda state: {"model": state, "optimizer": {"lr": 0.1}},
    "netG": lambda state: {"netG": state, "netD": {"layer.weight": torch.zeros(3)}},
    "DataParallel": lambda state: under("module", state),
    "compiled": lambda state: under("module._orig_mod", state),
    "half": lambda state: {key: value.half() if value.is_floating_point() else value for key, value in state.items()},
    "an average": lambda state: {"ema": {"n_averaged": torch.tensor(4)} | under("module", state)},
    "no counters": lambda state: {key: value for key, value in state.items() if not key.endswith(convert.COUNTER)},
    "beside settings": lambda state: SETTINGS | {"state_dict": state},
    "part of a module": lambda state: {"state_dict": under("net", state)},
    "one of two networks": lambda state: {"state_dict": under("generator", under("module", state)) | under("critic", {"layer.weight": torch.zeros(3)})}}


@pytest.mark.parametrize("old", (False, True), ids=("zip", "before 1.6"))
@pytest.mark.parametrize("wrapping", WRAPPINGS)
def test_old_checkpoints_become_weights(wrapping, old, tmp_path, photo, capsys, tally):
    network = small("unet")
    path = save(tmp_path / "old.pth", WRAPPINGS[wrapping](network.state_dict()), _use_new_zipfile_serialization=not old)
    assert run(capsys, "convert", path, "--method", "unet", "-o", tmp_path / "new.safetensors") == (0, [])
    sidecar = zoo.read_sidecar(tmp_path / "new.safetensors")
    assert same(network, zoo.load("unet", tmp_path / "new.safetensors", device="cpu")) and (sidecar["converted_from"], sidecar["size"]) == ("old.pth", "smoke")
    tally(inputs=1)


def test_converted_weights_paint_and_the_method_is_found(tmp_path, photo, capsys):
    path = save(tmp_path / "photonet.ckpt", {"state_dict": small("photonet").state_dict()})
    assert run(capsys, "convert", path) == (0, [])
    assert run(capsys, "colorize", photo, "--weights", tmp_path / "photonet.safetensors", "-o", tmp_path / "out.png") == (0, [])
    assert images.open_image(tmp_path / "out.png").size == (32, 32)


def test_published_checkpoints_at_their_full_size(tmp_path):
    def of(shapes, wrapped=""):
        return {"": {wrapped + name: torch.empty(shape, device="meta") for name, shape in shapes.items()}}

    def names(found):
        return [(row.name, name) for _, row, name, *_ in found]
    siggraph = of(test_siggraph17.official_shapes())
    assert names(convert.identify(siggraph, ["cic", "siggraph17"])[0]) == [("siggraph17", "released"), ("siggraph17", "caffe")]
    [(_, _, _, config, state)] = convert.identify(siggraph, ["siggraph17"], "caffe")[0]
    assert config.mask_centre == 0.0 and "conv1.0.weight" in state
    assert names(convert.identify(of(test_hscau.official_shapes()), ["hscau", "unet"])[0]) == [("hscau", "released")]
    with pytest.raises(ValueError, match="the network fits released, caffe: say which with --config"):
        convert.choose_one("latest_net_G.pth", "fits", "--config", ["released", "caffe"])


def test_published_names_are_known(tmp_path, monkeypatch):
    from dataclasses import replace

    from colorlib.papers import gray2color
    tiny = replace(gray2color.PAPER_PROBABLE, width=2, gate_width=4)
    monkeypatch.setattr(gray2color, "PAPER_PROBABLE", tiny)
    network = gray2color.build(tiny)
    names = {ours: theirs for theirs, ours in gray2color.OFFICIAL.items()}

    def theirs(name):
        part = max((one for one in names if name.startswith(one + ".")), key=len)
        return names[part] + name[len(part):]
    path = save(tmp_path / "netG.pth", {f"module.{theirs(name)}": value for name, value in network.state_dict().items()})
    assert same(network, zoo.load("gray2color", convert.convert(path), device="cpu"))


REFUSED = {
    "a module": (lambda: torch.nn.Linear(2, 2), "wants to run torch.nn.modules.linear.Linear, which weights do not need"),
    "arguments": (lambda: {"args": SimpleNamespace(lr=1), "state_dict": {}}, "wants to run types.SimpleNamespace"),
    "no tensors": (lambda: {"epoch": 3}, "holds no tensors under names"), "a list": (lambda: [torch.zeros(3)], "holds no tensors under names"),
    "foreign names": (lambda: {"fc.weight": torch.zeros(3)}, "does not fit the network of unet: .* is not in it"),
    "another shape": (lambda: small("unet").state_dict() | {"to_ab.bias": torch.zeros(5)}, r"to_ab.bias is \(5,\) in it, \(2,\) in the network"),
    "one too many": (lambda: small("unet").state_dict() | {"more": torch.zeros(5)}, "it holds more, which the network lacks"),
    "one is missing": (lambda: {key: value for key, value in small("unet").state_dict().items() if key != "to_ab.bias"}, "to_ab.bias is not in it"),
    "not finite": (lambda: small("unet").state_dict() | {"to_ab.bias": torch.tensor([1.0, torch.nan])}, "to_ab.bias holds values that are not finite"),
    "two of them": (lambda: {"one": small("unet").state_dict(), "two": small("unet").state_dict()}, "the network is in one, two: say which with --entry"),
    "without values": (lambda: {key: value.to("meta") for key, value in small("unet").state_dict().items()}, "without values"),
    "complex": (lambda: small("unet").state_dict() | {"to_ab.bias": torch.zeros(2, dtype=torch.cfloat)}, "to_ab.bias is sparse, quantized, complex"),
    "sparse": (lambda: small("unet").state_dict() | {"to_ab.bias": torch.zeros(2).to_sparse()}, "to_ab.bias is sparse"),
    "whole numbers": (lambda: small("unet").state_dict() | {"to_ab.bias": torch.zeros(2, dtype=torch.int32)}, "to_ab.bias is int32 in it")}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_converted_is_refused_in_one_sentence(name, tmp_path, capsys, tally):
    make, sentence = REFUSED[name]
    path = save(tmp_path / "old.pth", make())
    with pytest.raises(ValueError, match=sentence):
        convert.convert(path, "unet")
    status, said = run(capsys, "convert", path, "--method", "unet")
    assert status == 1 and len(said) == 1 and str(path) in said[0] and not list(tmp_path.glob("*.safetensors"))
    tally(inputs=1, sentences=1)


@pytest.mark.filterwarnings("ignore:`torch.jit")
def test_checkpoints_that_were_altered_or_are_programs(tmp_path, monkeypatch, tally):
    path = save(tmp_path / "old.pth", small("unet").state_dict())
    whole, bias = path.read_bytes(), small("unet").state_dict()["to_ab.bias"].numpy().tobytes()
    path.write_bytes(whole.replace(bias, bytes(value ^ 1 for value in bias)))
    assert path.read_bytes() != whole
    with pytest.raises(ValueError, match="old.pth is no PyTorch checkpoint, or a damaged one"):
        convert.convert(path, "unet")
    torch.jit.save(torch.jit.script(torch.nn.Linear(2, 2)), path)
    with pytest.raises(ValueError, match="old.pth is a TorchScript archive, which is a program"):
        convert.convert(path, "unet")
    with pytest.raises(FileNotFoundError, match="is no file"):
        convert.convert(tmp_path, "unet", target=tmp_path / "new.safetensors")
    path.write_bytes(whole)
    with pytest.raises(ValueError, match="There is no config 'huge': choose one of"):
        convert.convert(path, "unet", config="huge")
    monkeypatch.setenv(convert.FORCE, "1")                     # torch refuses to choose between the two
    monkeypatch.setenv(convert.FORCE_NOT, "1")
    assert convert.convert(path, "unet").exists() and os.environ[convert.FORCE_NOT] == "1"
    tally(inputs=5, sentences=4)


def test_the_converter_replaces_nothing_and_names_what_it_can(tmp_path):
    path = save(tmp_path / "old.pth", {"one": small("unet").state_dict(), "two": {"x": torch.zeros(2)}})
    with pytest.raises(FileNotFoundError, match="not there.pth does not exist"):
        convert.convert(tmp_path / "not there.pth")
    with pytest.raises(ValueError, match="does not end in .safetensors"):
        convert.convert(path, target=tmp_path / "new.pth")
    with pytest.raises(ValueError, match="has no entry 'three' with weights: choose one of 'one', 'two'"):
        convert.convert(path, "unet", entry="three")
    with pytest.raises(ValueError, match="There is no method 'nothing'"):
        convert.convert(path, "nothing")
    assert convert.convert(path, "unet", entry="one") == tmp_path / "old.safetensors"
    with pytest.raises(FileExistsError, match="old.safetensors exists: name another file"):
        convert.convert(path, "unet", entry="one")


def test_the_classifiers_checkpoint(tmp_path, capsys):
    import torchvision
    network = torchvision.models.squeezenet1_1()
    path = save(tmp_path / "squeezenet.pth", network.state_dict())
    assert run(capsys, "convert", path, "--method", classifiers.STAND_IN) == (0, [])
    loaded = classifiers.load_classifier(classifiers.STAND_IN, tmp_path / "squeezenet.safetensors").network
    assert torch.equal(loaded.classifier[1].weight, network.classifier[1].weight)
    with pytest.raises(ValueError, match="does not hold torchvision's squeezenet1_1"):
        convert.convert(save(tmp_path / "other.pth", {"a": torch.zeros(2)}), classifiers.STAND_IN)


def test_libraries_that_ask_for_pickles_get_weights(bombs, tmp_path, monkeypatch):
    path = tmp_path / "bomb.pth"
    path.write_bytes(bombs["zip"])
    monkeypatch.setenv(convert.FORCE_NOT, "1")
    with convert.weights_only(), pytest.raises(pickle.UnpicklingError):
        torch.load(path, weights_only=False)
    assert os.environ[convert.FORCE_NOT] == "1" and convert.FORCE not in os.environ


# ---------------------------------------------------------------- commands and addresses in what is given

@pytest.mark.parametrize("spec", ("pipe:mkdir {mark}", "pipe:mkdir {mark} |", "a.tar; mkdir {mark}", "$(mkdir {mark}).tar", "`mkdir {mark}`.tar",
                                  "file:///$(mkdir {mark})", "gopher://x/a.tar",
                                  "{{0..99999999999}}.tar", "{{a,b}}" * 40 + ".tar", "{{" * 2000 + "a,b" + "}}" * 2000, "{{0..3", "x}}{{", "{{0..1}}" * 30,
                                  "http:", "://a"))
def test_shards_that_name_a_command_or_too_much(spec, tmp_path, capsys, tally):
    start = time.process_time()
    text = spec.format(mark=tmp_path / "mark")
    for arguments in (("data", text), ("train", "photonet", "--data", f"stream:{text}", "--run", tmp_path / "run")):
        status, said = run(capsys, *arguments)
        assert status == 1 and len(said) == 1, said
    assert not (tmp_path / "mark").exists() and time.process_time() - start < 5
    tally(inputs=2, sentences=2)


def test_addresses_are_not_rewritten_into_commands(tmp_path, monkeypatch):
    monkeypatch.setenv("GOPEN_REWRITE", f"file://=pipe:mkdir {tmp_path / 'mark'};#")
    images.save_image(tmp_path / "a.png", scenes.make_scene(1, 32).rgb)
    with tarfile.open(tmp_path / "s.tar", "w") as tar:
        tar.add(tmp_path / "a.png", "a.png")
    assert len(list(Shards(tmp_path / "s.tar", 16))) == 1 and not (tmp_path / "mark").exists()


def write_clip(path, kind=None, codec="mpeg4"):
    with av.open(str(path), "w", format=kind) as output:
        stream = output.add_stream(codec, rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv420p"
        for i in range(5):
            output.mux(stream.encode(av.VideoFrame.from_ndarray(np.full((64, 64, 3), 40 * i, np.uint8), format="rgb24")))
        output.mux(stream.encode())


PLAYLISTS = {"concat": "ffconcat version 1.0\nfile secret.mp4\n", "hls": "#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:1,\nsecret.ts\n#EXT-X-ENDLIST\n",
             "hls over the network": "#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:1,\nhttp://127.0.0.1:9/a.ts\n#EXT-X-ENDLIST\n",
             "sdp": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 23456 RTP/AVP 96\n",
             "svg": '<?xml version="1.0"?><!DOCTYPE svg [<!ENTITY x SYSTEM "file:///etc/passwd">]>'
                    '<svg xmlns="http://www.w3.org/2000/svg"><text>&x;</text></svg>'}


@pytest.mark.parametrize("suffix", (".mp4", ".m3u8", ".mkv"))
@pytest.mark.parametrize("name", PLAYLISTS)
def test_a_clip_that_names_other_files_opens_none(name, suffix, tmp_path, tally):
    write_clip(tmp_path / "secret.mp4")
    write_clip(tmp_path / "secret.ts", "mpegts", "mpeg2video")
    assert len(list(Video(tmp_path / "secret.ts"))) == 5            # by itself it can be read
    path = tmp_path / f"clip{suffix}"
    path.write_text(PLAYLISTS[name])
    with pytest.raises(SENTENCE, match=f"clip{suffix} "):
        list(Video(path))
    tally(inputs=1, sentences=1)


@pytest.mark.parametrize("name", ("concat:secret.ts|secret.ts", "file:secret.mp4", "http://127.0.0.1:9/a.mp4", "pipe:0.mp4", "tcp://127.0.0.1:9",
                                  "subfile,,start,0,end,9,,:secret.mp4"))
def test_protocols_in_the_name_of_a_clip(name, tmp_path, monkeypatch, capsys, tally):
    write_clip(tmp_path / "secret.mp4")
    write_clip(tmp_path / "secret.ts", "mpegts", "mpeg2video")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SENTENCE):
        list(Video(name))
    status, said = run(capsys, "colorize", name)
    assert status == 1 and len(said) == 1
    tally(inputs=2, sentences=2)


def test_file_names_that_look_like_something_else_are_file_names(tmp_path, monkeypatch, capsys, tally):
    monkeypatch.chdir(tmp_path)
    network = small("photonet")
    zoo.save_weights(network, "photonet", tmp_path / "w.safetensors", {})
    for name in ("-rf.png", "--help.png", "$(touch x).png", "a;touch x.png", "a\nb.png", "file:x.png", "concat:a.png", "%d.png",
                 "<img src=x onerror=alert(1)>.png", "'\"`.png"):
        images.save_image(Path(tmp_path, name), scenes.make_scene(1, 32).rgb)
        status, said = run(capsys, "colorize", "--weights", "w.safetensors", "--", name)
        assert (status, said) == (0, []) and Path(tmp_path, images.colorized_name(name)).exists()
        tally(inputs=1, right_pictures=1)
    assert not Path(tmp_path, "x").exists()


# ---------------------------------------------------------------- text without an end

def test_settings_of_a_million_brackets(capsys, tally):
    for text in ("(" * 100_000, "[" * 200 + "]" * 200, "-" * 100_000 + "1", "{1:" * 5000, "9" * 10_000, "'" + "a" * 10, "1e999999", "__import__('os')",
                 "a" * 1_000_000):
        status, said = run(capsys, "train", "photonet", "--set", f"steps={text}")
        assert status == 1 and len(said) == 1 and len(said[0]) < 300, said
        tally(inputs=1, sentences=1)


@pytest.mark.parametrize("text", ("red " * 250_000, "a" * 1_000_000, "a" + " " * 1_000_000 + "b", "a " * 500_000, "'" * 1_000_000, "a'" * 500_000,
                                  "\u0301" * 300_000, "<" * 1_000_000),
                         ids=("words", "one word", "spaces", "articles", "quotes", "apostrophes", "accents", "brackets"))
def test_captions_of_a_megabyte_take_a_moment(text, tally):
    start = time.process_time()
    captions.words(text)
    vocabulary = captions.Vocabulary(["a", *captions.COLOR_WORDS])
    vocabulary.encode([text])
    vocabulary.unknown(text)
    if captions.color_words(text):
        captions.swap_color(text, "blue")
    else:
        with pytest.raises(ValueError, match="no colour word"):
            captions.swap_color(text, "blue")
    assert time.process_time() - start < 4
    tally(inputs=1)


@pytest.mark.parametrize("name", ("hints", "sidecar", "captions"))
def test_json_nested_without_an_end(name, tmp_path, photo, capsys, tally):
    deep = "[" * 200_000 + "]" * 200_000
    path = tmp_path / "deep.json"
    path.write_text(deep)
    if name == "hints":
        status, said = run(capsys, "colorize", photo, "--method", "hintnet", "--hints", path)
    elif name == "sidecar":
        zoo.save_weights(small("photonet"), "photonet", tmp_path / "deep.safetensors", {})
        path.write_text(deep)
        status, said = run(capsys, "colorize", photo, "--weights", tmp_path / "deep.safetensors")
    else:
        (tmp_path / "set").mkdir()
        photo.rename(tmp_path / "set" / "1.png")
        path.rename(tmp_path / "set" / "captions.json")
        status, said = run(capsys, "train", "film", "--data", tmp_path / "set", "--run", tmp_path / "run")
    assert status == 1 and len(said) == 1 and len(said[0]) < 600, said
    tally(inputs=1, sentences=1)


# ---------------------------------------------------------------- markup

EVIL = "a red <script>window.pwned = 1</script><img src=x onerror=\"window.pwned = 2\"> car' \" " \
    "onmouseover='window.pwned = 3' javascript:alert(1) </p></style><svg/onload=alert(1)>"
NAMES = ("<img src=x onerror=window.pwned=4>.png", "'\"><script>window.pwned=5<;script>.jpg", "javascript:window.pwned=6.png")
HARMLESS = {"p", "b", "span", "figure", "figcaption", "img", "div", "table", "thead", "tbody", "tr", "th", "td", "mark", "style", "video", "br"}


class Markup(html.parser.HTMLParser):
    """Fails for a tag, an attribute or an address that could run something."""

    def handle_starttag(self, tag, attributes):
        assert tag in HARMLESS, tag
        for name, value in attributes:
            assert not name.startswith("on") and (name not in ("src", "href", "action") or value.startswith("data:")), (tag, name, value)

    def handle_data(self, data):
        if self.cdata_elem == "style":
            assert "pwned" not in data and "script" not in data


def check_markup(text):
    parser = Markup()
    parser.feed(text)
    parser.close()
    return text


def markup_of(widget):
    """The HTML of a widget and of all in it."""
    found = [widget.value] if isinstance(widget, (ipywidgets.HTML, ipywidgets.HTMLMath, ipywidgets.Label)) else []
    assert not getattr(widget, "description_allow_html", False)
    return found + [text for child in getattr(widget, "children", ()) for text in markup_of(child)]


def flat(L, *_):
    """A model without learning: no colour."""
    return np.zeros((2, *L.shape), np.float32)


flat.vocabulary = captions.Vocabulary(["a", "car", *captions.COLOR_WORDS])


def caption_box(path):
    box = widgets.CaptionBox(path, EVIL, method=flat)
    box.result
    box.text.value = EVIL + " blue"
    box.result
    box.show_photo(path, EVIL)
    box.path.value = "nothing/" + EVIL
    return box


def fooling_test(path):
    rgb = scenes.make_scene(1, 32).rgb
    session = fooling.FoolingSession({EVIL: [rgb[..., ::-1]] * 2, "other": [rgb] * 2}, [rgb] * 2, [EVIL] * 2)
    test = widgets.FoolingTest(session, path.with_name("<b onclick=alert(1)>.csv"))
    test.name.value = EVIL
    test.start()
    seen = []
    while test.sitting.trial is not None:
        seen += markup_of(test)
        test.sitting.started -= 1
        test.choose(0)
    return ipywidgets.VBox([test, *(ipywidgets.HTML(text) for text in seen)])


def photo_drop(path):
    drop = widgets.PhotoDrop(method=EVIL)
    drop.path.value = str(path)
    shown = ipywidgets.HTML(drop.message.value)
    drop.path.value = f"nothing/{EVIL}"
    return ipywidgets.VBox([drop, shown])


def reference_chooser(path):
    chooser = widgets.ReferenceChooser(path, {EVIL: scenes.make_scene(2, 32).rgb, "two": scenes.make_scene(3, 32).rgb}, flat)
    chooser.choose(EVIL)
    chooser.result
    chooser.add(path)
    chooser.result
    chooser.path.value = f"nothing/{EVIL}"
    return chooser


def hint_form(path):
    form = widgets.HintForm(path, predict=flat)
    form.put()
    form.act("load", path=EVIL)
    form.act("color", color=EVIL)
    return form


def clip_player(path):
    frames = np.zeros((3, 16, 16, 3), np.uint8)
    return ipywidgets.HTML(widgets.ClipPlayer({EVIL: frames, "b": frames}, alt=EVIL)._repr_html_())


WIDGETS = {make.__name__: make for make in (caption_box, fooling_test, photo_drop, reference_chooser, hint_form, clip_player)}


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("widget", WIDGETS)
def test_no_widget_shows_markup_it_was_given(widget, name, tmp_path, tally):
    path = tmp_path / name
    images.save_image(path, scenes.make_scene(1, 32).rgb)
    shown = [check_markup(text) for text in markup_of(WIDGETS[widget](path))]
    assert sum(len(text) for text in shown) > 40
    tally(inputs=1)


@pytest.mark.parametrize("name", NAMES)
def test_the_hint_picker_sends_text_and_its_script_makes_no_markup(name, tmp_path):
    path = tmp_path / name
    images.save_image(path, scenes.make_scene(1, 32).rgb)
    picker = widgets.HintPicker(path, predict=flat)
    assert picker.picture["export_name"] == images.colorized_name(name)
    for script in (ROOT / "colorlib" / "widgets").glob("*.js"):
        code = script.read_text()
        assert not any(word in code for word in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "new Function", "DOMParser",
                                                 "fetch(", "XMLHttpRequest", "import("))


def test_markup_is_checked():
    for text in ("<script>x</script>", "<img src=x onerror=y>", '<p onclick="x">', '<a href="javascript:x">', "<iframe>", '<img src="http://a/b.png">'):
        with pytest.raises(AssertionError):
            check_markup(text)


def test_table_cells_are_text():
    shown = results.markdown([["name"], [results.cell(EVIL)]])
    check_markup(shown)
    assert "<" not in shown and "&lt;script>" in shown


@pytest.mark.parametrize("name", ("=cmd|' /C calc'!A0", "+1+1", "-2+3", "@SUM(A1)", " =1+1", "=HYPERLINK(\"http://a\")"))
def test_a_name_cannot_be_a_formula_of_a_spreadsheet(name, tmp_path, tally):
    rgb = scenes.make_scene(1, 16).rgb
    session = fooling.FoolingSession({"one": [rgb]}, [rgb], ["a red car"])
    with pytest.raises(ValueError, match="begin"):
        fooling_answers.Sitting(session, name, tmp_path / "answers.csv")
    tally(inputs=1, sentences=1)


def test_uploads_lose_their_folders():
    upload = SimpleNamespace(value=({"name": "../../.bashrc", "content": b""},))
    assert images.colorized_name(widgets.controls.take_upload(upload).name) == ".bashrc_colorized.png"
    assert images.colorized_name("..\\..\\x.png") == "x_colorized.png"


# ---------------------------------------------------------------- the network

def guarded(tmp_path, *command, **options):
    """Run a command whose Python processes are refused the network; (the finished process, what they asked for, line by line)."""
    log = tmp_path / "connections"
    places = os.pathsep.join([str(GUARD), str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    environment = os.environ | {"PYTHONPATH": places, "COLORLIB_CONNECTIONS": str(log), "COLORLIB_CACHE": str(tmp_path / "cache")}
    done = subprocess.run([sys.executable, *command], capture_output=True, text=True, env=environment, cwd=tmp_path, **options)
    return done, log.read_text().splitlines() if log.exists() else []


def test_the_guard_refuses_the_network_and_not_this_machine(tmp_path):
    code = "import socket\nfor host in ('192.0.2.1', 'example.org', '127.0.0.1', 'localhost'):\n    try:\n" \
        "        socket.create_connection((host, 9), timeout=1)\n    except OSError as error:\n        print(type(error).__name__)"
    done, asked = guarded(tmp_path, "-c", code)
    assert done.stdout.split() == ["PermissionError"] * 2 + ["ConnectionRefusedError"] * 2 and len(asked) == 2


def test_a_days_work_asks_nothing_of_the_network(tmp_path, tally):
    done, asked = guarded(tmp_path, "-m", "tests.robustness.tiny_work", str(tmp_path))
    assert done.returncode == 0, done.stderr[-2000:]
    assert asked == [] and int(done.stdout.split()[0]) > 120
    tally(inputs=int(done.stdout.split()[0]))


def test_a_notebooks_kernel_asks_nothing_of_the_network(tmp_path, monkeypatch):
    """Kernels have the guard when PYTHONPATH names it, as `conftest.py` does for all notebooks; one that starts asks for nothing."""
    manager = pytest.importorskip("jupyter_client.manager")
    log = tmp_path / "connections"
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(GUARD), str(ROOT)]))
    monkeypatch.setenv("COLORLIB_CONNECTIONS", str(log))
    kernel, client = manager.start_new_kernel(cwd=str(ROOT / "notebooks"))
    try:
        answer = client.execute_interactive("import sitecustomize; assert sitecustomize.LOG", timeout=60, output_hook=lambda message: None)
        assert answer["content"]["status"] == "ok"
        assert not log.exists()
        answer = client.execute_interactive("import socket; socket.create_connection(('192.0.2.1', 9), timeout=1)", timeout=60,
                                            output_hook=lambda message: None)
        assert answer["content"]["ename"] == "PermissionError"
    finally:
        client.stop_channels()
        kernel.shutdown_kernel(now=True)
    assert len(log.read_text().splitlines()) == 1
