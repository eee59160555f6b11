"""What a network does, not what somebody remembers of it: it is run once, and every layer's output and every use of a tensor are recorded.

Nothing is computed: the run is PyTorch's fake one, in which tensors have shapes and no values. Only networks whose shapes depend on values (how many
hints, how many words) are run for real. `diagrams` draws the record.
"""
import sys
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from functools import lru_cache

import torch
from torch._subclasses.fake_tensor import DynamicOutputShapeException, FakeTensorMode
from torch.nn.modules import module as hooks
from torch.overrides import TorchFunctionMode

from colorlib import zoo

__all__ = ["record_method", "record", "Recorder", "Layer", "sample_batch", "CONVOLUTIONS"]

CONVOLUTIONS = {"conv1d", "conv2d", "conv3d", "conv_transpose2d"}
RESAMPLERS = {"interpolate", "upsample", "pixel_shuffle", "pixel_unshuffle"}
DENSE = {"linear", "embedding", "lstm", "gru"}
PRODUCTS = {"mul", "div", "matmul", "bmm", "einsum", "baddbmm", "scaled_dot_product_attention",
            "multi_head_attention_forward", "truediv"}
LIKE = {"to", "type_as", "expand_as", "view_as", "reshape_as"}      # their second argument gives a type or a shape, no values
OPAQUE = ("timm", "torchvision")            # networks of other libraries are one box
CAPTION = "a red car"                       # what networks that read are given


@dataclass
class Layer:
    """One recorded step. `shape`: of its output, without the batch; `place`: names of the modules it
    ran in, the outermost first; `reads`: indices of the layers and inputs its arguments came from.

    >>> layer = Layer("convolution", "conv 3×3", ("trunk", "trunk.0"), (64, 28, 28), frozenset([0]))
    >>> layer.part, layer.side
    ('trunk.0', 28)
    """
    kind: str
    text: str
    place: tuple
    shape: tuple
    reads: frozenset
    parameters: int = 0

    @property
    def part(self):
        """Name of the module it ran in."""
        return self.place[-1] if self.place else ""

    @property
    def side(self):
        """Height of its output, 1 for a vector."""
        return self.shape[-2] if len(self.shape) == 3 else 1


class Recorder(TorchFunctionMode):
    """Notes every layer and every joining of tensors while a module runs. `layers`: a list of `Layer`, inputs first.

    >>> model, x = torch.nn.Sequential(torch.nn.Conv2d(1, 8, 3), torch.nn.ReLU()), torch.zeros(1, 1, 8, 8)
    >>> with Recorder(model, {"x": x}) as recorder:
    ...     y = model(x)
    >>> [(layer.kind, layer.text, layer.shape) for layer in recorder.layers]             # a ReLU is no box
    [('input', 'x', (1, 8, 8)), ('convolution', 'conv 3×3', (8, 6, 6))]
    """

    def __init__(self, model, inputs):
        super().__init__()
        self.layers, self.stack, self.counted, self.alive, self.waiting = [], [], set(), [], []
        self.sources = {}      # id of a tensor: the layers it came from
        self.weights = {id(p): frozenset([id(p)]) for p in model.parameters()}      # id of a tensor made of parameters alone: their ids
        self.sizes = {id(p): p.numel() for p in model.parameters()}
        self.names = {id(one): name for name, one in model.named_modules()}
        self.words = [name for name, value in inputs.items() if not torch.is_tensor(value)]
        for name, tensor in inputs.items():
            if torch.is_tensor(tensor):
                self.note("input", name, (), tensor, frozenset())

    def note(self, kind, text, part, output, reads):
        """Add a layer whose output is `output`."""
        shape = next(tensors_in(output)).shape
        self.layers.append(Layer(kind, text, part, tuple(int(n) for n in shape[1:]), reads))
        self.keep(self.sources, output, frozenset([len(self.layers) - 1]))

    def keep(self, table, output, value):
        """Write down where tensors came from, and hold them, lest another gets their id."""
        for tensor in tensors_in(output):
            table[id(tensor)] = value
            self.alive.append(tensor)

    def find(self, table, *values):
        """What a table says of the tensors among values, each once."""
        return list(dict.fromkeys(table[id(tensor)] for tensor in tensors_in(values) if id(tensor) in table))

    def count(self, index, weights):
        """Add parameters that nobody has counted to a layer."""
        fresh = frozenset().union(*weights) - self.counted
        self.counted |= fresh
        self.layers[index].parameters += sum(self.sizes[one] for one in fresh)

    def __torch_function__(self, function, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        name = plain_name(function)
        given = args[:1] if name in LIKE else (args, kwargs)
        found, weights = self.find(self.sources, given), self.find(self.weights, given)      # before the call, which may write into its argument
        output = function(*args, **kwargs)
        if any(map(is_other, self.stack)) or next(tensors_in(output), None) is None:
            return output
        if name == "embedding" and not found and self.words:      # what is read becomes numbers inside the network
            self.note("input", self.words[0], (), args[0], frozenset())
            found = [frozenset([len(self.layers) - 1])]
        if not found:
            if weights:
                self.keep(self.weights, output, frozenset().union(*weights))
            return output
        reads = frozenset().union(*found)
        is_layer = is_thinning(name, args, output) or name in CONVOLUTIONS | RESAMPLERS | DENSE or "pool" in name
        is_layer = is_layer or bool(name in PRODUCTS - {"mul", "div", "truediv"} and weights)
        if is_layer or (all(reads != one for one in found) and self.stack):
            self.note(*describe_call(name, args, kwargs, output, bool(weights)), self.place(), output, reads)
            self.count(-1, weights + self.waiting)
            self.waiting = []
        else:
            shape = next(tensors_in(output)).shape
            does_scale = any(self.sources.get(id(one)) and one.shape == shape for one in tensors_in((args, kwargs)))
            self.keep(self.sources, output, reads)
            if does_scale and self.layers[max(reads)].kind != "input":
                self.count(max(reads), weights)      # norms and scales belong to the layer before them
            else:
                self.waiting += weights      # a kernel is being made, for the layer that comes next
        return output

    def place(self):
        """Names of the modules that are running, the outermost first, without the model itself."""
        return tuple(name for one in self.stack if (name := self.names.get(id(one))))

    def enter(self, module, args):
        self.stack.append(module)

    def leave(self, module, args, output):
        self.stack.pop()
        if is_other(module) and not any(map(is_other, self.stack)):
            place = (*self.place(), self.names.get(id(module), ""))
            self.note("other network", type(module).__name__, place, output, frozenset().union(*self.find(self.sources, args)))
            self.count(-1, [frozenset(map(id, module.parameters()))])

    def __enter__(self):
        self.handles = [hooks.register_module_forward_pre_hook(self.enter), hooks.register_module_forward_hook(self.leave)]
        return super().__enter__()

    def __exit__(self, *error):
        for handle in self.handles:
            handle.remove()
        return super().__exit__(*error)


def tensors_in(value):
    """The tensors of a nest of lists, tuples and dicts."""
    if torch.is_tensor(value):
        yield value
    elif isinstance(value, dict):
        for one in value.values():
            yield from tensors_in(one)
    elif isinstance(value, (list, tuple)):
        for one in value:
            yield from tensors_in(one)


def is_other(module):
    """Whether a module is of another library, which is drawn as one box."""
    return type(module).__module__.split(".")[0] in OPAQUE


def is_thinning(name, args, output):
    """Whether a call takes every other pixel."""
    return name == "getitem" and torch.is_tensor(output) and output.dim() == args[0].dim() == 4 and output.shape[-1] <= args[0].shape[-1] // 2 > 1


def plain_name(function):
    """"add" of `Tensor.__radd__`, `torch.add`, `add_`."""
    name = getattr(function, "__name__", "").strip("_")
    return name[1:] if name in ("radd", "iadd", "rmul", "imul", "rsub", "isub") else name


def describe_call(name, args, kwargs, output, has_weights):
    """(kind, text) of a function call: ("strided", "conv 3×3 /2")."""
    first = next(tensors_in((args, kwargs)))
    before, after = (one.shape[-1] if one.dim() == 4 else 1 for one in (first, next(tensors_in(output))))
    moved = "strided" if after < before else "upsampling" if after > before else "convolution"
    if name in CONVOLUTIONS:
        turned = name == "conv_transpose2d"
        size = "×".join(map(str, (args[1] if len(args) > 1 else kwargs["weight"]).shape[2:]))
        pick = lambda key, place: first_of(kwargs.get(key, args[place] if len(args) > place else 1))
        stride, holes = pick("stride", 3), pick("dilation", 7 if turned else 5)
        kind = "convolution" if stride == 1 else "upsampling" if turned else "strided"
        text = f"{'up-' if turned else ''}conv {size}" + (f" /{stride}" if stride > 1 and not turned else "")
        return kind, text + (f" holes {holes}" if holes > 1 else "")
    if name in DENSE or (name in PRODUCTS and has_weights):
        return "linear", {"embedding": "word vectors", "lstm": "LSTM", "gru": "GRU"}.get(name, "linear")
    if name in RESAMPLERS or "pool" in name:
        return moved, "interleave" if "shuffle" in name else "resize" if name in RESAMPLERS else "global pool" if after == 1 else "pool"
    if name == "getitem":
        return moved, "every other pixel"
    if name in ("cat", "concat", "concatenate", "stack"):
        return "fusion", "concatenate" if (kwargs.get("dim", args[1] if len(args) > 1 else 0)) else "batch"
    return ("attention", "product") if name in PRODUCTS else ("fusion", {"add": "sum", "sub": "difference", "truediv": "quotient"}.get(name, name))


def first_of(value):
    """The first of several numbers, such as a stride for rows and columns."""
    return int(value[0] if isinstance(value, (list, tuple)) else value)


@torch.no_grad()
def record(call, model, inputs):
    """Run `call(model, inputs)` once, recording. inputs: {name: tensor or other}. Returns ([Layer], the indices of those the result came from).

    >>> model = torch.nn.Conv2d(1, 8, 3)
    >>> layers, ends = record(lambda model, inputs: model(inputs["x"]), model, {"x": torch.zeros(1, 1, 8, 8)})
    >>> [layer.text for layer in layers], layers[1].parameters, ends
    (['x', 'conv 3×3'], 80, frozenset({1}))
    """
    recorder = Recorder(model, inputs)
    with recorder:
        result = call(model, inputs)
    return prune(recorder.layers, frozenset().union(*recorder.find(recorder.sources, result)))


def prune(layers, ends):
    """(layers, ends) without what has no parameters and reaches nothing that has any or that comes out."""
    used = set(ends)
    for i in reversed(range(len(layers))):
        if i in used or layers[i].parameters or layers[i].kind == "input":
            used |= {i, *layers[i].reads}
    place = {i: number for number, i in enumerate(sorted(used))}
    return [replace(layers[i], reads=frozenset(place[one] for one in layers[i].reads)) for i in sorted(used)], frozenset(place[i] for i in ends)


def record_method(name, size="paper"):
    """What `record` gives of what a method of the catalogue runs to paint one square picture at the size of its preset.

    Raises ValueError for an unknown method and for one that has no network.

    >>> layers, ends = record_method("iizuka", "smoke")
    >>> layers[0].text, sum(layer.parameters for layer in layers) == sum(zoo.count_parameters("iizuka", "smoke").values())
    ('L', True)
    """
    method = zoo.get(name)
    if not method.learns:
        raise ValueError(f"{name} has no network to draw: it computes its colours.")
    layers, ends = _record_preset(name, method.presets[size])
    return list(layers), ends


@lru_cache
def _record_preset(name, config):      # a Config says all of a network, and a fake run takes a second
    method = zoo.get(name)
    for mode in (pretend(), nullcontext()):
        try:
            with mode:
                model = method.papers.build(config, pretrained=False).eval()
                return record(call_of(method), model, sample_batch(method, config))
        except DynamicOutputShapeException:      # shapes that depend on values: once more, for real
            continue


@contextmanager
def pretend():
    """Inside, tensors have shapes and no values. What colorlib's functions remembered meanwhile is forgotten, for it has none either."""
    modules = [module for name, module in sys.modules.items() if name.startswith("colorlib")]
    known = [one for module in modules for one in vars(module).values() if hasattr(one, "cache_info") and not isinstance(one, type)]
    before = [one.cache_info().misses for one in known]
    try:
        with FakeTensorMode(allow_non_fake_inputs=True):
            yield
    finally:
        for one, misses in zip(known, before):
            if one.cache_info().misses > misses:
                one.cache_clear()


def call_of(method):
    """How a method paints from what `sample_batch` gives. One that looks at the frame before is shown it as it is: to move it takes optical flow."""
    if not hasattr(method.papers, "colorize_next"):
        return method.papers.colorize
    return lambda model, batch: method.papers.paint(model, batch.get("L", batch.get("lines")), batch["frame before"])


def sample_batch(method, config):
    """What `colorize` of a method takes, for one square picture: zeros, one hint, one short caption.

    >>> method = zoo.get("film")
    >>> batch = sample_batch(method, method.presets["smoke"])
    >>> batch["caption"], batch["L"].shape[:2]
    (['a red car'], torch.Size([1, 1]))
    """
    side = config.image_size
    channels = {"grey": ("L", 1), "lines": ("lines", 1), "infrared": ("nir", getattr(config, "in_channels", 1))}[method.sees]
    batch = {channels[0]: torch.zeros(1, channels[1], side, side)}
    if hasattr(method.papers, "colorize_next"):
        batch["frame before"] = torch.zeros(1, 3, side, side)
    if "hints" in method.conditions:
        mask = torch.zeros(1, 1, side, side)
        mask[..., :2, :2] = 1
        batch |= {"hint_ab": torch.zeros(1, 2, side, side), "hint_mask": mask}
    if "caption" in method.conditions:
        batch["caption"] = [CAPTION]
    if "reference" in method.conditions:
        batch["reference"] = torch.zeros(1, 3, side, side, dtype=torch.uint8)
    return batch
