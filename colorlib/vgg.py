"""VGG-16 as a column of features, every layer within reach: what hypercolumns and residual encoders read a grey picture with.

Simonyan and Zisserman 2015 (arXiv 1409.1556), configuration D. With ImageNet's weights from torchvision or, for trainings that need no download, of
any width and trained here to tell grey pictures apart.
"""
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import nn

from colorlib import lab, pretrained, results, train

__all__ = ["LAYERS", "VGG16", "scale_of", "prepare", "fold_colors", "pretrain"]

BLOCKS = (2, 2, 3, 3, 3)                                    # convolutions between two poolings
LAYERS = {f"conv{block}_{i}": min(2 ** (block - 1), 8) for block, count in enumerate(BLOCKS, 1) for i in range(1, count + 1)}      # name: channels / width
FULLY_CONNECTED = ("fc6", "fc7")
MEAN, SD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)     # of ImageNet's R, G and B, which torchvision's weights expect subtracted and divided out
NORMS = {"batch": lambda channels: nn.BatchNorm2d(channels), "caffe": lambda channels: nn.BatchNorm2d(channels, affine=False)}


class VGG16(nn.Module):
    """x `(N, C, H, W)` -> {layer: maps after its ReLU}, up to and with `last`; maps of conv k_i are `(N, ., H / 2^(k-1), W / 2^(k-1))`, sides rounded
    down.

    norm: "none", as published; "batch" in front of each ReLU; "caffe", the same without scale and shift, as in Larsson et al. 2016. fully_connected:
    channels of fc6 and fc7 as convolutions (7x7 and 1x1, at 1/32 of the size), 0 for none; dropout follows them. Sides of at least 2^4 px, with fc6
    2^5.

    >>> maps = VGG16(channels=1, width=4, last="conv3_1")(torch.rand(1, 1, 32, 48))
    >>> {name: tuple(found.shape[1:]) for name, found in maps.items() if name.endswith("_1")}
    {'conv1_1': (4, 32, 48), 'conv2_1': (8, 16, 24), 'conv3_1': (16, 8, 12)}
    """

    def __init__(self, channels=3, width=64, norm="none", fully_connected=0, dropout=0.0, last="conv5_3"):
        super().__init__()
        names = [*LAYERS, *FULLY_CONNECTED] if fully_connected else [*LAYERS]
        self.names, self.layers, before = names[:names.index(last) + 1], nn.ModuleDict(), channels
        for name in self.names:
            kernel = {"fc6": 7, "fc7": 1}.get(name, 3)
            after = fully_connected if name in FULLY_CONNECTED else width * LAYERS[name]
            rest = [nn.Dropout(dropout)] if name in FULLY_CONNECTED and dropout else []
            normed = [NORMS[norm](after)] if norm != "none" else []
            self.layers[name] = nn.Sequential(nn.Conv2d(before, after, kernel, padding=kernel // 2), *normed, nn.ReLU(), *rest)
            before = after
            nn.init.kaiming_normal_(self.layers[name][0].weight, nonlinearity="relu")
            nn.init.zeros_(self.layers[name][0].bias)
        self.channels = {name: self.layers[name][0].out_channels for name in self.names}

    def forward(self, x):
        found = {}
        for name in self.names:
            if name in ("conv2_1", "conv3_1", "conv4_1", "conv5_1", "fc6"):
                x = F.max_pool2d(x, 2)
            found[name] = x = self.layers[name](x)
        return found


def scale_of(name):
    """How many pixels of the picture one step in a layer's maps is.

    >>> scale_of("conv1_2"), scale_of("conv5_3"), scale_of("fc6")
    (1, 16, 32)
    """
    return 32 if name in FULLY_CONNECTED else 2 ** (int(name[4]) - 1)


def prepare(gray, channels):
    """Grey `(N, 1, H, W)` in [0, 1] -> what `load_imagenet` networks expect: three equal channels less ImageNet's mean, over its SD, or their mean in
    one.

    >>> [round(value, 2) for value in prepare(torch.full((1, 1, 1, 1), 0.5), channels=3).flatten().tolist()]
    [0.07, 0.2, 0.42]
    """
    mean, sd = (gray.new_tensor(one).view(1, 3, 1, 1) for one in (MEAN, SD))
    x = (gray - mean) / sd
    return x if channels == 3 else x.mean(1, keepdim=True)


def load_imagenet(network):
    """Fill a `VGG16` of the published width, without norms, with torchvision's ImageNet weights; a network of one channel gets the first layer folded
    (`fold_colors`), so that a grey picture looks the same to it. Raises ConnectionError where the weights are neither in torch's cache nor to be
    fetched."""
    import torchvision                 # late: it takes a second that colouring a photo does not need
    try:
        source = pretrained.torchvision_network("vgg16", torchvision.models.VGG16_Weights.IMAGENET1K_V1)
    except ConnectionError as error:
        raise ConnectionError(f"VGG-16's weights could not be fetched or read ({error}): connect to the network once, so that torchvision can store them "
                              f"in {torch.hub.get_dir()}/checkpoints, or train with backbone='trained'.") from None
    copy_torchvision(source, network)
    return network


@torch.no_grad()
def copy_torchvision(source, network):
    """Copy the weights of torchvision's `vgg16` into a `VGG16`; fc6 and fc7, too, where it has them: a 7x7 convolution is a layer over 7x7 maps."""
    theirs = [layer for layer in source.features if isinstance(layer, nn.Conv2d)] + [source.classifier[0], source.classifier[3]]
    for name, layer in zip(network.names, theirs):
        mine, weight, bias = network.layers[name][0], layer.weight, layer.bias
        if name == "conv1_1" and mine.in_channels == 1:
            weight, bias = fold_colors(weight, bias)
        mine.weight.copy_(weight.view_as(mine.weight))
        mine.bias.copy_(bias)


def fold_colors(weight, bias):
    """A first layer for the three prepared channels, `(O, 3, k, k)` and `(O,)`, -> one for their mean, `(O, 1, k, k)` and `(O,)`, that answers the
    same to a grey picture, but for the border, where padding is zero in all three.

    >>> gray, weight, bias = torch.rand(1, 1, 5, 5), torch.rand(4, 3, 1, 1), torch.rand(4)
    >>> answer = F.conv2d(prepare(gray, 3), weight, bias)
    >>> torch.allclose(answer, F.conv2d(prepare(gray, 1), *fold_colors(weight, bias)), atol=1e-4)
    True
    """
    mean, sd = (weight.new_tensor(one).view(1, 3, 1, 1) for one in (MEAN, SD))
    slope, offset = (1 / sd).mean(), (mean / sd).mean()                         # mean channel = slope g - offset
    constant = (weight * (offset / slope - mean) / sd).sum((1, 2, 3))           # what the three differ from it by
    return (weight / sd).sum(1, keepdim=True) / slope, bias + constant


# ---------------------------------------------------------------- trained here

class Classifier(nn.Module):
    """A `VGG16` under one linear layer on the mean of its last maps: grey as prepared -> logits `(N, classes)`."""

    def __init__(self, features, classes):
        super().__init__()
        self.features = features
        self.to_classes = nn.Linear(features.channels[features.names[-1]], classes)

    def forward(self, x):
        return self.to_classes(self.features(x)[self.features.names[-1]].mean((2, 3)))


class PretrainingStep:
    """One update of the grey classifier: cross-entropy with 0.1 label smoothing, AdamW, one cycle, random contrast."""

    def __init__(self, features, classes, fabric, updates, rate, channels, seed):
        self.fabric, self.channels = fabric, channels
        train.seed_everything(seed)
        model = Classifier(features, classes)
        optimizer = torch.optim.AdamW(model.parameters(), rate, weight_decay=0.05)
        self.schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, rate, total_steps=updates + 1, pct_start=0.2)
        self.model, self.optimizer = train.prepare(fabric, model, optimizer)

    def __call__(self, batch):
        found = train.descend(self.fabric, self.model, self.optimizer, self.losses, batch)
        self.schedule.step()
        return found

    def losses(self, batch):
        gray = lab.luma_of(batch["rgb"].float() / 255).clamp_min(1e-3)
        gray = gray ** torch.exp(0.3 * torch.randn(len(gray), 1, 1, 1, device=gray.device))
        logits = self.model(prepare(gray, self.channels))
        return {"loss": F.cross_entropy(logits, batch["label"], label_smoothing=0.1), "accuracy": (logits.argmax(1) == batch["label"]).float().mean()}


def begin(network, config, fabric, dataset, run=None, progress=None):
    """Fill a `VGG16` as a paper's Config says: backbone "vgg16" from ImageNet's weights; "trained" by config.pretraining = (updates, peak rate) in
    squares of config.pretraining_size px, twice as many at a time as config.batch_size. Raises what `load_imagenet` and `pretrain` raise."""
    if config.backbone == "vgg16":
        load_imagenet(network)
    elif config.pretraining[0]:
        pretrain(network, fabric, dataset, *config.pretraining, batch_size=2 * config.batch_size, side=config.pretraining_size, seed=config.seed, run=run,
                 tag=results.config_hash(config), progress=progress)


def pretrain(network, fabric, dataset, updates, rate, batch_size, side, seed=0, run=None, tag="", progress=None):
    """Train a `VGG16`, as far as it goes, to tell apart the labels of a data set in grey squares of `side` px; fills it in place.

    run: folder of the training that uses it, whose sub-folder "vgg" this training's checkpoints go to. Raises ValueError for data without labels.

    >>> pretrain(VGG16(1, 4), None, [{"rgb": torch.zeros(3, 8, 8)}], updates=1, rate=1e-3, batch_size=1, side=8)
    Traceback (most recent call last):
        ...
    ValueError: The grey VGG-16 learns from labels: give a data set with one sub-folder a class, or...
    """
    if "label" not in dataset[0]:
        raise ValueError("The grey VGG-16 learns from labels: give a data set with one sub-folder a class, or backbone='vgg16'.")
    classes = 1 + max(int(dataset[i]["label"]) for i in range(len(dataset)))
    step = PretrainingStep(network, classes, fabric, updates, rate, network.layers["conv1_1"][0].in_channels, seed)
    train.fit(step, dataset, steps=updates, batch_size=batch_size, fabric=fabric, seed=seed, crop=side if dataset[0]["rgb"].shape[-1] > side else None,
              run=run and Path(run) / "vgg", tag=tag, progress=progress)
    network.load_state_dict(step.model.module.features.state_dict())
    return network
