"""Deep Koalarization: an encoder, one vector that says what the picture shows, and a decoder that paints.

Baldassarre, Gonzalez Morin, Rodes-Guirao, "Deep Koalarization: Image Colorization using CNNs and Inception-ResNet-v2" (2017, arXiv
1712.03400); layer by layer after the authors' `network_definition.py` and `fusion_layer.py`. L in, ab out. The fusion is
F(i, j) = ReLU(W [E(i, j); v] + b) with the same v everywhere: since W acts linearly on v, the global branch is one bias per picture.

Variants. FAITHFUL keeps the released code: TensorFlow's one-sided padding, chroma predicted at half size after tanh and doubled by nearest
neighbour, no normalisation. FIXED upsamples bilinearly and puts the last convolution after the last upsampling, with the same parameters.
The released text says the encoder ends in 512 maps; code and diagram say 256, and so do we. No weights were ever published.
"""
import os
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import nn

from colorlib import convert, lab, results, train, weight_files
from colorlib.data.downloads import is_offline
from colorlib.lab import gray_of, luma_of

__all__ = ["Config", "FAITHFUL", "FIXED", "PRESETS", "ABLATIONS", "FusionNet", "InceptionEmbedding", "GreyClassifier",
           "inputs_of", "fusion_loss", "vivid_loss", "Step", "Koalarization", "enliven", "build_extractor", "build",
           "colorize", "variants", "make_step", "networks"]


@dataclass(frozen=True)
class Config:
    """Defaults are the released code's; `(ours)` marks what it does not have.

    >>> Config().learning_rate, Config().batch_size, Config().embedding
    (0.001, 100, 1001)
    """
    encoder: tuple = (64, 128, 128, 256, 256, 512, 512, 256)    # output channels of the eight 3x3 convolutions, the 1st, 3rd, 5th with stride 2
    fusion: int = 256                                           # depth after fusion
    decoder: tuple = (128, 64, 64, 32)                          # output channels before the last convolution to ab
    extractor: str = "inception_resnet_v2"                      # or "grey_classifier" (ours): small, trained here, needs no download
    extractor_size: int = 299
    embedding: int = 1001                                       # TF-slim logits with a background class in front; timm's have 1000
    classes: int = 10                                           # (ours) what the grey classifier learns to tell apart
    classifier_steps: int = 0                                   # (ours) updates that train the grey classifier
    padding: str = "tensorflow"                                 # stride-2 'same' pads right and bottom; "symmetric" is PyTorch's padding=1
    chroma: str = "half"                                        # "half": predict at H/2 and double; "full" (ours): upsample, then predict
    upsampling: str = "nearest"                                 # or "bilinear" (ours)
    batch_norm: bool = False                                    # (ours) after every convolution but the last, for short trainings
    gray_source: str = "lab_L"                                  # L* of the colour picture, as released; "luma": of its grey version, as at test time
    ab_max: float = 127.0                                       # ab_n = ab / 127
    learning_rate: float = 1e-3                                 # Adam, no schedule
    loss_stages: tuple = ((0, None, 0.0),)                      # (from update, Huber delta in CIE units, vividness): None, 0 is the squared error
    one_cycle: bool = False                                     # (ours) warm-up and cosine decay, weight decay, averaged weights
    average_decay: float = 0.999                                # (ours) of the running average of the weights
    batch_size: int = 100
    steps: int = 12_420                                         # (ours: not stated) 23 passes over 54,000 pictures
    image_size: int = 224
    chroma_gain: float = 1.0                                    # (ours) multiplies ab in `colorize`, chosen on held-out training photographs
    chroma_knee: float = 0.0                                    # (ours) CIE units; see `enliven`
    seed: int = 0


ABLATIONS = ("true", "zeroed", "shuffled")      # what `colorize` tells the network of a picture
FAITHFUL = Config()
FIXED = replace(FAITHFUL, padding="symmetric", chroma="full", upsampling="bilinear")
PRESETS = {
    "paper": FAITHFUL,
    "class": replace(FIXED, encoder=(48, 80, 80, 160, 160, 320, 320, 160), fusion=160, decoder=(112, 72, 56, 24), extractor="grey_classifier",
                     extractor_size=112, embedding=128, classifier_steps=4_200, batch_norm=True, one_cycle=True, learning_rate=2e-3,
                     batch_size=32, steps=7_000, image_size=128, loss_stages=((0, None, 0.0), (2_500, 5.0, 0.25)),
                     chroma_knee=8.0),
    "smoke": replace(FIXED, encoder=(16, 16, 16, 24, 24, 32, 32, 24), fusion=24, decoder=(24, 16, 16, 16), extractor="grey_classifier",
                     extractor_size=64, embedding=128, classifier_steps=60, batch_norm=True, one_cycle=True, learning_rate=4e-3,
                     batch_size=16, steps=200, image_size=64, average_decay=0.95),
}


# ---------------------------------------------------------------- the network

class Conv(nn.Module):
    """3x3 convolution, optional batch norm, ReLU; TensorFlow's 'same' padding when asked."""

    def __init__(self, channels_in, channels_out, config, stride=1):
        super().__init__()
        self.stride, self.one_sided = stride, config.padding == "tensorflow" and stride == 2
        self.conv = nn.Conv2d(channels_in, channels_out, 3, stride, padding=0 if self.one_sided else 1, bias=not config.batch_norm)
        self.norm = nn.BatchNorm2d(channels_out) if config.batch_norm else nn.Identity()

    def forward(self, x):
        if self.one_sided:
            x = F.pad(x, (0, 1, 0, 1))        # what TensorFlow does for even sizes
        return F.relu(self.norm(self.conv(x)))


class FusionNet(nn.Module):
    """L_n `(N, 1, H, W)` in [-1, 1] and an embedding `(N, config.embedding)` -> ab_n `(N, 2, H, W)` in (-1, 1). H and W multiples of 8.
    Raises ValueError for other shapes of L_n. The paper's E is what `encoder` gives, W and b are `fuse`, v is the embedding.

    >>> FusionNet(PRESETS["smoke"])(torch.zeros(1, 1, 16, 24), torch.zeros(1, 128)).shape
    torch.Size([1, 2, 16, 24])
    >>> with torch.device("meta"):      # counted, without memory
    ...     print(sum(map(torch.numel, FusionNet(FAITHFUL).parameters())))
    6574050
    """

    def __init__(self, config):
        super().__init__()
        self.config = config
        widths = (1, *config.encoder)
        self.encoder = nn.Sequential(*(Conv(widths[i], widths[i + 1], config, 2 if i in (0, 2, 4) else 1) for i in range(8)))
        self.fuse = nn.Conv2d(config.encoder[-1] + config.embedding, config.fusion, 1)
        d = config.decoder
        self.decoder = nn.ModuleList([Conv(config.fusion, d[0], config), Conv(d[0], d[1], config), Conv(d[1], d[2], config), Conv(d[2], d[3], config)])
        self.to_ab = nn.Conv2d(d[3], 2, 3, padding=1)

    def upsample(self, x):
        return F.interpolate(x, scale_factor=2, mode=self.config.upsampling, align_corners=None if self.config.upsampling == "nearest" else False)

    def forward(self, L_n, embedding):
        if L_n.ndim != 4 or L_n.shape[1] != 1 or L_n.shape[2] % 8 or L_n.shape[3] % 8:
            raise ValueError(f"L_n must be (N, 1, H, W) with H and W multiples of 8, not {tuple(L_n.shape)}: resize or pad it.")
        x = self.encoder(L_n)                                              # (N, 256, H/8, W/8)
        v = embedding[:, :, None, None].expand(-1, -1, *x.shape[2:])       # the same vector everywhere
        x = F.relu(self.fuse(torch.cat([x, v], 1)))                        # (N, 256, H/8, W/8)
        x = self.upsample(self.decoder[0](x))                              # (N, 128, H/4, W/4)
        x = self.upsample(self.decoder[2](self.decoder[1](x)))             # (N, 64, H/2, W/2)
        x = self.decoder[3](x)                                             # (N, 32, H/2, W/2)
        if self.config.chroma == "half":
            return self.upsample(torch.tanh(self.to_ab(x)))
        return torch.tanh(self.to_ab(self.upsample(x)))                    # (N, 2, H, W)


# ---------------------------------------------------------------- what the picture shows

class InceptionEmbedding(nn.Module):
    """Frozen Inception-ResNet-v2 (timm, ImageNet): grey `(N, 1, H, W)` in [0, 1] -> logits `(N, 1001)`.

    timm dropped TF-slim's background class; it comes back as a zero in front, so the fusion has the paper's width and parameter count.
    timm downloads the weights once and keeps them; COLORLIB_INCEPTION names a file (.safetensors) to use instead. Raises FileNotFoundError
    when that file is not there, ValueError when it holds something else, ConnectionError when there are no weights and none to be had.

    >>> Config().extractor, Config().extractor_size, PRESETS["smoke"].extractor      # the small one needs no download
    ('inception_resnet_v2', 299, 'grey_classifier')
    """

    def __init__(self, size=299, classes=1001, pretrained=True):
        super().__init__()
        import huggingface_hub      # these two here, because only this extractor needs them
        import timm
        self.size, self.background = size, classes - 1000
        file = os.environ.get("COLORLIB_INCEPTION")
        if pretrained and file and not os.path.exists(file):
            raise FileNotFoundError(f"{file}, named by COLORLIB_INCEPTION, does not exist: correct the path or unset the variable.")
        if pretrained and file and file.endswith(".safetensors"):
            weight_files.read(file)
        elif pretrained and not file and is_offline():
            file = huggingface_hub.try_to_load_from_cache(timm.get_pretrained_cfg("inception_resnet_v2").hf_hub_id, "model.safetensors")
            if not isinstance(file, str):
                raise ConnectionError("The Inception-ResNet-v2 weights are not in timm's cache, and the network is off: name a copy of timm's "
                                      "inception_resnet_v2 with COLORLIB_INCEPTION, or use extractor='grey_classifier', which needs no download.")
        try:
            with convert.weights_only():
                self.network = timm.create_model("inception_resnet_v2", pretrained=pretrained, pretrained_cfg_overlay={"file": file} if file else None)
        except Exception as error:
            if pretrained and file:
                raise ValueError(f"{file}, named by COLORLIB_INCEPTION, does not hold the weights of timm's inception_resnet_v2: name another file, or unset "
                                 "the variable.") from error
            raise ConnectionError("The Inception-ResNet-v2 weights could not be downloaded: connect once so that timm can store them, "
                                  "or use extractor='grey_classifier', which needs no download.") from error

    @torch.no_grad()
    def forward(self, gray):
        gray = F.interpolate(gray, (self.size, self.size), mode="bilinear", antialias=True, align_corners=False)
        return F.pad(self.network.eval()(2 * gray.expand(-1, 3, -1, -1) - 1), (self.background, 0))


class GreyClassifier(nn.Module):
    """The stand-in extractor (ours): a residual network of 1.2 M parameters trained on grey pictures; grey `(N, 1, H, W)` in [0, 1] -> features `(N, 128)`.

    `classify` gives logits `(N, classes)` over the classes it was trained on, Imagenette's ten.

    >>> net = GreyClassifier().eval()
    >>> net(torch.rand(2, 1, 30, 41)).shape, net.classify(torch.rand(2, 1, 30, 41)).shape
    (torch.Size([2, 128]), torch.Size([2, 10]))
    """

    def __init__(self, size=112, features=128, classes=10, widths=(24, 48, 96, 160)):
        super().__init__()
        self.size = size
        layers, channels = [nn.Conv2d(1, widths[0], 5, 2, 2, bias=False), nn.BatchNorm2d(widths[0]), nn.ReLU(), nn.MaxPool2d(3, 2, 1)], widths[0]
        for i, width in enumerate(widths):
            layers += [Residual(channels, width, 2 if i else 1), Residual(width, width, 1)]
            channels = width
        self.trunk = nn.Sequential(*layers)
        self.to_features = nn.Linear(channels, features)
        self.to_classes = nn.Linear(features, classes)

    def forward(self, gray):
        if gray.shape[-2:] != (self.size, self.size):
            gray = F.interpolate(gray, (self.size, self.size), mode="bilinear", antialias=True, align_corners=False)
        return F.relu(self.to_features(self.trunk(4 * gray - 2).mean((2, 3))))

    def classify(self, gray):
        return self.to_classes(self(gray))


class Residual(nn.Module):
    """Two 3x3 convolutions with batch norm around a shortcut (He et al. 2016)."""

    def __init__(self, channels_in, channels_out, stride):
        super().__init__()
        self.first, self.first_norm = nn.Conv2d(channels_in, channels_out, 3, stride, 1, bias=False), nn.BatchNorm2d(channels_out)
        self.second, self.second_norm = nn.Conv2d(channels_out, channels_out, 3, 1, 1, bias=False), nn.BatchNorm2d(channels_out)
        same = channels_in == channels_out and stride == 1
        self.shortcut = nn.Identity() if same else nn.Sequential(nn.Conv2d(channels_in, channels_out, 1, stride, bias=False), nn.BatchNorm2d(channels_out))

    def forward(self, x):
        y = F.relu(self.first_norm(self.first(x)))
        return F.relu(self.second_norm(self.second(y)) + self.shortcut(x))


# ---------------------------------------------------------------- training

def inputs_of(rgb, config):
    """uint8 or [0, 1] rgb `(N, 3, H, W)` -> L_n for the encoder, grey [0, 1] for the extractor, and the ab_n to predict.

    >>> L_n, gray, ab_n = inputs_of(torch.full((1, 3, 2, 2), 255).byte(), FAITHFUL)      # white
    >>> round(L_n.max().item(), 2), round(gray.max().item(), 2), ab_n.abs().max().item() < 0.01
    (1.0, 1.0, True)
    """
    rgb = rgb.float() / 255 if rgb.dtype == torch.uint8 else rgb
    L, ab = lab.rgb_to_lab(rgb).split([1, 2], 1)
    gray = luma_of(rgb)
    if config.gray_source == "luma":
        L = lab.rgb_to_lab(gray.expand(-1, 3, -1, -1))[:, :1]
    return lab.scale_L(L), gray, lab.scale_ab(ab, config.ab_max)


def fusion_loss(ab_n_pred, ab_n_true):
    """C = 1 / (2 H W) sum_k sum_ij (ab_true - ab_pred)^2, k in {a, b}, averaged over the batch (paper, section 3.2; `training_utils.py`).

    >>> fusion_loss(torch.zeros(1, 2, 1, 1), torch.tensor([0.0, 2.0]).view(1, 2, 1, 1)).item()      # (0 + 4) / 2
    2.0
    """
    return (ab_n_pred.float() - ab_n_true).square().mean()


def vivid_loss(ab_n_pred, ab_n_true, delta, vividness):
    """Huber on the distance in the ab plane, less a bonus for chroma (ours); squared error is its limit for a large delta and no bonus.

    huber(|e|) - vividness delta |ab_pred|, averaged over pixels of `(N, 2, H, W)`; delta in units of ab_n. Beyond delta the loss is the plain
    distance, whose best answer is a median, not a pale mean. A pixel that is either grey or one colour is then painted once that colour's probability
    exceeds (1 - vividness) / 2.

    >>> red = torch.tensor([4.0, 3.0]).view(1, 2, 1, 1)      # 5 long, beyond delta: 2 (5 - 2 / 2); bonus 0.5 * 2 * 5
    >>> [round(vivid_loss(ab, red, delta=2.0, vividness=0.5).item(), 2) for ab in (0 * red, red)]
    [8.0, -5.0]
    """
    def length(x):
        return (x.float().square().sum(1) + 1e-8).sqrt()
    distance = length(ab_n_pred - ab_n_true)
    return (F.huber_loss(distance, torch.zeros_like(distance), delta=delta) - vividness * delta * length(ab_n_pred).mean())


class Step:
    """One update of Deep Koalarization. The extractor is frozen; only the encoder, the fusion and the decoder learn.

    >>> step = Step(PRESETS["smoke"], train.make_fabric("cpu"))
    >>> [*step({"rgb": torch.randint(256, (2, 3, 32, 32)).byte()})], step.updates
    (['loss', 'mse'], 1)
    """

    def __init__(self, config, fabric, extractor=None, parts=1, compile=False):
        self.config, self.fabric, self.parts = config, fabric, parts
        train.seed_everything(config.seed)
        self.extractor = fabric.to_device(extractor or build_extractor(config)).eval().requires_grad_(False)
        model = FusionNet(config)
        if config.one_cycle:
            optimizer = torch.optim.AdamW(model.parameters(), config.learning_rate, weight_decay=0.02)
            self.schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, config.learning_rate, total_steps=config.steps + 1, pct_start=0.15)
        else:
            optimizer = torch.optim.Adam(model.parameters(), config.learning_rate)
        self.model, self.optimizer = train.prepare(fabric, model, optimizer, compile)
        self.average = train.moving_average(model, config.average_decay) if config.one_cycle else None

    def __call__(self, batch):
        losses = train.descend(self.fabric, self.model, self.optimizer, self.losses, batch, self.parts)
        if self.config.one_cycle:
            self.schedule.step()
            self.average.update_parameters(self.model.module)
        return losses

    @property
    def updates(self):
        """Updates done so far; Adam counts them."""
        state = self.optimizer.optimizer.state
        return int(next(iter(state.values()))["step"]) if state else 0

    def losses(self, batch):
        L_n, gray, ab_n = inputs_of(batch["rgb"], self.config)
        ab_n_pred = self.model(L_n, self.extractor(gray))
        mse = fusion_loss(ab_n_pred, ab_n)
        _, delta, vividness = max(stage for stage in self.config.loss_stages if stage[0] <= self.updates)
        return {"loss": mse if delta is None else vivid_loss(ab_n_pred, ab_n, delta / self.config.ab_max, vividness), "mse": mse}

    def result(self):
        """The trained `Koalarization`, ready for `colorize` and for saving."""
        network = self.average.module if self.average is not None else self.model.module
        return Koalarization(self.config, self.extractor, network).eval()


class ClassifierStep:
    """One update of the stand-in extractor: cross-entropy on grey pictures with random contrast."""

    def __init__(self, config, fabric, learning_rate=4e-3):
        self.config, self.fabric = config, fabric
        train.seed_everything(config.seed)
        model = GreyClassifier(config.extractor_size, config.embedding, config.classes)
        optimizer = torch.optim.AdamW(model.parameters(), learning_rate, weight_decay=0.05)
        self.schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, learning_rate, total_steps=config.classifier_steps + 1, pct_start=0.2)
        self.model, self.optimizer = train.prepare(fabric, model, optimizer)
        self.model.mark_forward_method("classify")
        self.average = train.moving_average(model, config.average_decay)

    def __call__(self, batch):
        losses = train.descend(self.fabric, self.model, self.optimizer, self.losses, batch)
        self.schedule.step()
        self.average.update_parameters(self.model.module)
        return losses

    def losses(self, batch):
        gray = luma_of(batch["rgb"].float() / 255)
        gamma = torch.exp(0.3 * torch.randn(len(gray), 1, 1, 1, device=gray.device))
        return {"loss": F.cross_entropy(self.model.classify(gray.clamp_min(1e-3) ** gamma), batch["label"], label_smoothing=0.1)}


# ---------------------------------------------------------------- use

class Koalarization(nn.Module):
    """Extractor and fusion network together: what `colorize` takes and what a weights file holds.

    >>> net = Koalarization(FAITHFUL, extractor=None, network=FusionNet(PRESETS["smoke"]))
    >>> net(torch.rand(1, 1, 16, 24) * 100, torch.zeros(1, 128)).shape
    torch.Size([1, 2, 16, 24])
    """

    def __init__(self, config, extractor, network):
        super().__init__()
        self.config, self.extractor, self.network = config, extractor, network

    def forward(self, L, embedding=None):
        """L `(N, 1, H, W)` in [0, 100], H and W multiples of 8 -> ab `(N, 2, H, W)` in CIE units. embedding: replaces the extractor's (ablations)."""
        embedding = self.extractor(gray_of(L)) if embedding is None else embedding
        ab_n = self.network(lab.scale_L(L), embedding).float()
        return enliven(lab.unscale_ab(ab_n, self.config.ab_max), self.config.chroma_gain, self.config.chroma_knee)


def enliven(ab, gain=1.0, knee=0.0):
    """Multiply ab `(N, 2, H, W)` by a gain that leans on confidence (ours): a faint prediction is doubt and fades, a strong one is trusted.

    ab' = gain ab |ab| / (|ab| + knee) (20 + knee) / 20, knee in CIE units, so that a chroma of 20 is multiplied by just `gain`; knee 0 is the plain
    product.

    >>> ab = torch.tensor([[20.0, 2.0], [0.0, 0.0]]).view(1, 2, 1, 2)      # a strong and a faint red
    >>> [round(value, 1) for value in enliven(ab, gain=1.5, knee=8.0)[0, 0, 0].tolist()]
    [30.0, 0.8]
    """
    chroma = ab.square().sum(1, keepdim=True).clamp_min(1e-12).sqrt()
    return gain * (1 + knee / 20) * ab * chroma / (chroma + knee).clamp_min(1e-6)


def build_extractor(config, pretrained=True):
    """The frozen extractor a config names; raises ValueError for an unknown one and ConnectionError for weights that cannot be had.

    >>> type(build_extractor(PRESETS["smoke"])).__name__
    'GreyClassifier'
    >>> build_extractor(replace(FIXED, extractor="resnet"))
    Traceback (most recent call last):
        ...
    ValueError: There is no extractor 'resnet': choose 'inception_resnet_v2' or 'grey_classifier'.
    """
    if config.extractor == "inception_resnet_v2":
        return InceptionEmbedding(config.extractor_size, config.embedding, pretrained)
    if config.extractor == "grey_classifier":
        return GreyClassifier(config.extractor_size, config.embedding, config.classes)
    raise ValueError(f"There is no extractor {config.extractor!r}: choose 'inception_resnet_v2' or 'grey_classifier'.")


def build(config, pretrained=True):
    """A `Koalarization` with untrained fusion network. pretrained=False leaves the extractor untrained too (for loading a weights file).

    >>> {name: sum(map(torch.numel, part.parameters())) for name, part in build(PRESETS["smoke"]).named_children()}
    {'extractor': 1259954, 'network': 54154}
    """
    return Koalarization(config, build_extractor(config, pretrained), FusionNet(config))


@torch.no_grad()
def colorize(model, batch, embedding="true"):
    """batch {"L": `(N, 1, H, W)` in [0, 100]} -> ab `(N, 2, H, W)` in CIE units. Deterministic; any size of at least 1 x 1.

    embedding, for the fusion ablation: "true", "zeroed" (the network is told nothing) or "shuffled" (each picture is told about the next one).
    Raises ValueError for another word.

    >>> batch = {"L": torch.rand(2, 1, 30, 41) * 100}
    >>> colorize(build(PRESETS["smoke"]), batch, "shuffled").shape
    torch.Size([2, 2, 30, 41])
    """
    if embedding not in ABLATIONS:
        raise ValueError(f"embedding is {embedding!r}: choose one of {', '.join(ABLATIONS)}.")
    L = batch["L"]
    height, width = L.shape[-2:]
    padded = F.pad(L, (0, -width % 8, 0, -height % 8), mode="replicate")
    vector = model.eval().extractor(gray_of(padded))
    vector = {"true": vector, "zeroed": torch.zeros_like(vector), "shuffled": vector.roll(1, 0)}[embedding]
    return model(padded, vector)[..., :height, :width]


def variants(model):
    """What the results table compares: {row name: function of a batch -> ab}.

    >>> [*variants(build(PRESETS["smoke"]))]
    ['true embedding', 'zeroed embedding', 'shuffled embedding']
    """
    return {f"{name} embedding": (lambda batch, name=name: colorize(model, batch, name)) for name in ABLATIONS}


def make_step(config, fabric, dataset, run=None, progress=None, compile=False):
    """A `Step` for `config`; trains the grey classifier on the labels of `dataset` first when the config asks for one.

    Raises ValueError when it does and the data set has no labels.

    >>> make_step(PRESETS["smoke"], train.make_fabric("cpu"), [{"rgb": torch.zeros(3, 64, 64)}])
    Traceback (most recent call last):
        ...
    ValueError: The grey classifier learns from labels: give a data set with one sub-folder a class, or choose...
    """
    if not config.classifier_steps:
        return Step(config, fabric, compile=compile)
    if "label" not in dataset[0]:
        raise ValueError("The grey classifier learns from labels: give a data set with one sub-folder a class, or choose the extractor 'inception_resnet_v2'.")
    config = replace(config, classes=1 + max(int(dataset[i]["label"]) for i in range(len(dataset))))
    classifier = ClassifierStep(config, fabric)
    crop = config.image_size if dataset[0]["rgb"].shape[-1] > config.image_size else None
    train.fit(classifier, dataset, steps=config.classifier_steps, batch_size=2 * config.batch_size, fabric=fabric, seed=config.seed, crop=crop,
              run=run and f"{run}/classifier", tag=results.config_hash(config), progress=progress)
    return Step(config, fabric, classifier.average.module, compile=compile)


def networks(config):
    """The parts a parameter table lists.

    >>> [*networks(PRESETS["smoke"])]
    ['encoder, fusion, decoder', 'grey_classifier (frozen)']
    """
    return {"encoder, fusion, decoder": FusionNet(config), f"{config.extractor} (frozen)": build_extractor(config, pretrained=False)}
