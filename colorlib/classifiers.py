"""ImageNet classifiers that judge colours: does one still recognise the recoloured photo, and how far apart do two pictures look to it?

Networks and preparation are torchvision's, with its own weights, downloaded once. `STAND_IN` names a small classifier read from a file instead, for
machines without a download: its features stand in for VGG-16's in a perceptual loss, and its distances are neither VGG's nor LPIPS. Say so beside a result.
"""
import os
from pathlib import Path

import torch
from torch import nn

from colorlib import pretrained, weight_files

__all__ = ["load_classifier", "Classifier", "Features", "FeaturePyramid", "top_k", "imagenet_labels", "STAND_IN",
           "VARIABLE", "LAYERS", "IMAGENETTE_CLASSES"]

STAND_IN = "squeezenet1_1_caffe"      # SqueezeNet 1.1 as its authors released it for Caffe (Iandola et al. 2016), in torchvision's layout
VARIABLE = "COLORLIB_CLASSIFIER"      # names the file of the stand-in
CAFFE_MEAN = (123, 117, 104)          # R, G, B on 0..255: what the stand-in was trained to see subtracted, without a division
CAFFE_SIZE = 227                      # px, shorter side and crop
CAFFE_SD = 57                         # of ImageNet on 0..255: what dividing the input by it would have done to the stand-in's features
SMALLEST = 16                         # px a side that every layer of `LAYERS` can take
BATCH = 16                            # pictures at a time

# ends of `network.features[:end]`: VGG-16 before the ReLU of that convolution, VGG-19 after it, SqueezeNet after that fire module
LAYERS = {"vgg16": {"conv3_3": 15, "conv1_2": 3, "conv2_2": 8, "conv4_3": 22},
          "vgg19": {"relu1_1": 2, "relu2_1": 7, "relu2_2": 9, "relu3_1": 12, "relu3_4": 18, "relu4_1": 21, "relu4_4": 27, "relu5_1": 30, "relu5_2": 32},
          "squeezenet1_1": {"fire4": 7, "conv1": 1, "fire2": 4, "fire3": 5, "fire5": 8}}
LAYERS[STAND_IN] = LAYERS["squeezenet1_1"]

# Imagenette's folders (fastai), in the order of their labels -> ImageNet's class numbers, 0..999
IMAGENETTE_CLASSES = {
    "n01440764": 0, "n02102040": 217, "n02979186": 482, "n03000684": 491, "n03028079": 497,      # tench, springer, cassette player, chain saw, church
    "n03394916": 566, "n03417042": 569, "n03425413": 571, "n03445777": 574, "n03888257": 701}    # horn, garbage truck, gas pump, golf ball, parachute


class Classifier(nn.Module):
    """A frozen network and how its pictures are prepared: rgb `(N, 3, H, W)`, uint8 or float in [0, 1] -> logits `(N, 1000)`.

    >>> network = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())                   # answers with the mean colour
    >>> Classifier("mean colour", network, prepare=lambda rgb: rgb / 255)(torch.full((1, 3, 8, 8), 255.0))
    tensor([[1., 1., 1.]])
    """

    def __init__(self, name, network, prepare):
        super().__init__()
        self.name, self.network, self.prepare = name, network.eval().requires_grad_(False), prepare

    @torch.no_grad()
    def forward(self, rgb):
        return self.network.eval()(self.prepare(rgb))


def load_classifier(name="squeezenet1_1", file=None):
    """A `Classifier` on the CPU: torchvision's network of that name with its default ImageNet weights and preparation, or `STAND_IN`.

    file: safetensors of the stand-in, torchvision's squeezenet1_1 keys, trained on BGR 0..255 minus (104, 117, 123); by default the file COLORLIB_CLASSIFIER
    names. Raises ValueError for another name or a file that holds something else, FileNotFoundError where the file is not there, and ConnectionError where
    torchvision's weights can neither be found nor downloaded.

    >>> load_classifier("vgg20")
    Traceback (most recent call last):
        ...
    ValueError: There is no classifier 'vgg20': choose one of torchvision's, such as 'vgg16', 'squeezenet1_1' or 'resnet50', or 'squeezenet1_1_caffe'.
    """
    import torchvision                 # late: it takes a second that colouring a photo does not need
    if name == STAND_IN:
        prepare = torchvision.models.SqueezeNet1_1_Weights.DEFAULT.transforms(
            resize_size=CAFFE_SIZE, crop_size=CAFFE_SIZE, mean=[value / 255 for value in CAFFE_MEAN], std=[1 / 255] * 3)
        return Classifier(name, _read_stand_in(file or os.environ.get(VARIABLE)), prepare)
    if file is not None:
        raise ValueError(f"file belongs to {STAND_IN!r}, and torchvision brings the weights of {name!r}: leave file out, or name {STAND_IN!r}.")
    if name not in torchvision.models.list_models(module=torchvision.models):
        raise ValueError(f"There is no classifier {name!r}: choose one of torchvision's, such as 'vgg16', 'squeezenet1_1' or 'resnet50', or {STAND_IN!r}.")
    weights = torchvision.models.get_model_weights(name).DEFAULT
    try:
        with torch.random.fork_rng(devices=[]):      # its random start is overwritten, and must not change what a training draws next
            network = pretrained.torchvision_network(name, weights)
    except ConnectionError as error:
        raise ConnectionError(f"The {name} weights {weights.url} could not be downloaded or read ({error}): connect once so that they can be stored in "
                              f"{torch.hub.get_dir()}/checkpoints, or name the stand-in {STAND_IN!r} with a file, or, for a perceptual loss, "
                              "set its weight to 0.") from error
    return Classifier(name, network, weights.transforms())


def _read_stand_in(file):
    if not file:
        raise FileNotFoundError(f"{STAND_IN} comes from a file: give file=, or set {VARIABLE} to a safetensors file in torchvision's squeezenet1_1 layout.")
    if not Path(file).is_file():
        raise FileNotFoundError(f"{file}, the weights of {STAND_IN}, does not exist: correct file= or {VARIABLE}.")
    import torchvision
    with torch.random.fork_rng(devices=[]):      # its random start is overwritten
        network = torchvision.models.squeezenet1_1()
    state = weight_files.read(file)
    weight_files.fill(network, state, file, "torchvision's squeezenet1_1")
    with torch.no_grad():
        network.features[0].weight.copy_(network.features[0].weight.flip(1))        # BGR -> RGB: then it is prepared like the others
    return network


class Features(nn.Module):
    """What a classifier sees, for a perceptual loss: rgb `(N, 3, H, W)` float in [0, 1] -> maps of one layer, differentiable in rgb; itself frozen.

    Features() is VGG-16's conv3_3 before its ReLU, `(N, 256, H/4, W/4)`, as in SCGAN's released code. Features(STAND_IN, file) is the named stand-in:
    SqueezeNet's fire4, `(N, 256, about H/8, W/8)`, divided by 57, which brings it to the scale of networks that see normalised pictures (RMS about 1.3 on
    photos). layer: one of `LAYERS[name]`, the first by default. Any size of at least 16 px a side.
    normalise, VGG's alone: subtract ImageNet's mean and divide by its SD, as in VGG-16's training. SCGAN does not and hands over its own range, [0, 1] or
    [-1, 1], as it is. SqueezeNets always get what they were trained on. `label` says what it is, for a result's row. Errors as in `load_classifier`, and
    ValueError for a layer or a size that does not exist.

    >>> import torchvision
    >>> prepare = torchvision.models.SqueezeNet1_1_Weights.DEFAULT.transforms()
    >>> features = Features(Classifier("squeezenet1_1", torchvision.models.squeezenet1_1(), prepare))    # from chance
    >>> features.label, features(torch.rand(1, 3, 64, 64)).shape
    ('squeezenet1_1 fire4', torch.Size([1, 256, 7, 7]))
    """

    def __init__(self, name="vgg16", file=None, *, layer=None, normalise=False):
        super().__init__()
        given = name.name if isinstance(name, Classifier) else name
        if given not in LAYERS:
            raise ValueError(f"There are no features of {given!r}: choose one of {', '.join(LAYERS)}.")
        self.layer = layer or next(iter(LAYERS[given]))
        if self.layer not in LAYERS[given]:
            raise ValueError(f"{given} has no layer {layer!r} here: choose one of {', '.join(LAYERS[given])}.")
        classifier = name if isinstance(name, Classifier) else load_classifier(name, file)
        self.name, self.is_stand_in = given, given == STAND_IN
        self.scale = CAFFE_SD if self.is_stand_in else 1
        self.network = classifier.network.features[:LAYERS[given][self.layer]].eval().requires_grad_(False)
        mean, sd = (classifier.prepare.mean, classifier.prepare.std) if normalise or given != "vgg16" else ([0.0] * 3, [1.0] * 3)
        self.register_buffer("mean", torch.tensor(mean).view(3, 1, 1), persistent=False)
        self.register_buffer("sd", torch.tensor(sd).view(3, 1, 1), persistent=False)

    @property
    def label(self):
        """What made these features: "vgg16 conv3_3", "squeezenet1_1_caffe fire4 (stand-in)"."""
        return f"{self.name} {self.layer}" + " (stand-in)" * self.is_stand_in

    def forward(self, rgb):
        if rgb.ndim != 4 or rgb.shape[1] != 3 or min(rgb.shape[2:]) < SMALLEST or not rgb.is_floating_point():
            raise ValueError(f"rgb must be floats (N, 3, H, W) of at least {SMALLEST} px a side, not {rgb.dtype} {tuple(rgb.shape)}.")
        return self.network((rgb - self.mean) / self.sd) / self.scale


class FeaturePyramid(nn.Module):
    """Several layers of one frozen network: rgb `(N, 3, H, W)` float in [0, 1] -> {layer: maps}, differentiable in rgb. For style and content losses.

    name: "vgg19", `STAND_IN` with a file (see `Features`, divided by 57 alike), or "random": VGG-19's first nine convolutions, an eighth as wide, with weights
    from chance that are always the same, which needs no file; Gram matrices of such features still tell textures apart (He et al. 2016, arXiv 1606.04801). layers:
    of `LAYERS[name]`. normalise: VGG-19 gets ImageNet's mean and SD subtracted and divided out. `label` says what it is, for a result's row. Raises what `Features`
    raises, and ValueError for a layer that is not there. Pictures must have 16 px a side, for relu5 of VGG-19 at least.

    >>> pyramid = FeaturePyramid("random", ("relu1_1", "relu3_4"))
    >>> {layer: maps.shape for layer, maps in pyramid(torch.rand(1, 3, 64, 64)).items()}
    {'relu1_1': torch.Size([1, 8, 64, 64]), 'relu3_4': torch.Size([1, 32, 16, 16])}
    """

    def __init__(self, name, layers, file=None, *, normalise=False):
        super().__init__()
        known = LAYERS["vgg19" if name == "random" else name]
        if unknown := [layer for layer in layers if layer not in known]:
            raise ValueError(f"{name} has no layer {unknown[0]!r} here: choose from {', '.join(known)}.")
        self.ends = {known[layer]: layer for layer in layers}
        classifier = None if name == "random" else load_classifier(name, file)
        network = _random_features() if name == "random" else classifier.network.features
        self.network = network[:max(self.ends)].eval().requires_grad_(False)
        for layer in self.network:
            if isinstance(layer, nn.ReLU):
                layer.inplace = False      # maps that are kept must not be overwritten
        self.label = f"{name} {', '.join(self.ends.values())}" + " (stand-in)" * (name != "vgg19")
        self.scale = CAFFE_SD if name == STAND_IN else 1
        mean, sd = (classifier.prepare.mean, classifier.prepare.std) if name == STAND_IN or normalise and classifier else ([0.0] * 3, [1.0] * 3)
        self.register_buffer("mean", torch.tensor(mean).view(3, 1, 1), persistent=False)
        self.register_buffer("sd", torch.tensor(sd).view(3, 1, 1), persistent=False)

    def forward(self, rgb):
        maps, found = (rgb - self.mean) / self.sd, {}
        for place, layer in enumerate(self.network, 1):
            maps = layer(maps)
            if place in self.ends:
                found[self.ends[place]] = maps / self.scale
        return found


def _random_features(width=8):
    """VGG-19's convolutions up to relu3_4, `width` maps in the first, from chance (Kaiming), always the same."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        layers, before = [], 3
        for blocks, factor in ((2, 1), (2, 2), (4, 4)):
            for _ in range(blocks):
                convolution = nn.Conv2d(before, before := factor * width, 3, padding=1)
                nn.init.kaiming_normal_(convolution.weight)
                layers += [convolution, nn.ReLU()]
            layers.append(nn.MaxPool2d(2))
    return nn.Sequential(*layers)


def imagenet_labels(labels, classes=tuple(IMAGENETTE_CLASSES)):
    """Labels of a data set of Imagenette folders -> ImageNet's class numbers, int64 `(N,)`.

    classes: its sorted folder names, `dataset.classes`, when some of the ten are missing. Raises ValueError for a folder or a label it does not know.

    >>> imagenet_labels([0, 9])                                  # tench, parachute
    tensor([  0, 701])
    """
    if unknown := [name for name in classes if name not in IMAGENETTE_CLASSES]:
        raise ValueError(f"{unknown[0]!r} is no Imagenette folder: give class numbers of ImageNet yourself.")
    labels = torch.as_tensor(labels, dtype=torch.long).reshape(-1)
    if labels.numel() and not 0 <= labels.min() <= labels.max() < len(classes):
        raise ValueError(f"labels must lie in 0..{len(classes) - 1}, the classes given, not {labels.min()}..{labels.max()}.")
    return torch.tensor([IMAGENETTE_CLASSES[name] for name in classes])[labels]


def top_k(classifier, rgb, labels, k=(1, 5)):
    """Is the true class among the k the classifier finds likeliest? {"top1": `(N,)`, "top5": `(N,)`}, float64, 1 for yes.

    rgb: pictures as in `metrics`, of any size. labels: `(N,)` ImageNet class numbers, see `imagenet_labels`. The means are the accuracies of CIC and SCGAN;
    print those of the true colour pictures beside them. Raises ValueError where pictures and labels do not pair up.

    >>> network = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, 3))
    >>> network[2].weight.data, network[2].bias.data = torch.eye(3), torch.zeros(3)      # three classes: red, green, blue
    >>> bluish_red = torch.tensor([0.8, 0.2, 0.5]).view(3, 1, 1)
    >>> top_k(Classifier("mean colour", network, nn.Identity()), [bluish_red], [2], k=(1, 2))
    {'top1': tensor([0.], dtype=torch.float64), 'top2': tensor([1.], dtype=torch.float64)}
    """
    device = next(classifier.network.parameters()).device
    from colorlib.metrics.learned_metrics import picture_batches      # late: the metrics take a second that colouring a photo does not need
    logits = torch.cat([classifier(batch.float().to(device)).cpu() for batch in picture_batches(rgb, "rgb", BATCH)])       # (N, classes)
    labels = torch.as_tensor(labels, dtype=torch.long).cpu().reshape(-1)
    ks = (k,) if isinstance(k, int) else tuple(k)
    if len(labels) != len(logits) or not all(1 <= one <= logits.shape[1] for one in ks) or not 0 <= labels.min() <= labels.max() < logits.shape[1]:
        raise ValueError(f"top_k needs one label in 0..{logits.shape[1] - 1} for each of the {len(logits)} pictures, and k from 1 to {logits.shape[1]}; "
                         f"got {len(labels)} labels and k = {k}.")
    rank = (~(logits < logits.gather(1, labels[:, None]))).sum(1) - 1         # classes as likely or likelier, so that ties and NaN are misses
    return {f"top{one}": (rank < one).double() for one in ks}
