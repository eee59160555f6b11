"""Learning to Color from Language: a caption steers a colorization network, by concatenation or by FiLM, at every block.

Manjunatha, Iyyer, Boyd-Graber, Davis (NAACL 2018, arXiv 1804.06026). The paper's networks are Zhang et al.'s (`cic.py`) with 625 colours: FCNN sees
the grey picture alone; CONCAT and FiLM join a bidirectional LSTM's sentence vector h to the output Z of every block. Their code was never published;
what was (superhans/colorfromlanguage) is another network, FiLM on the features of a frozen ResNet-101: `film_released` here.

Where the sources differ or are silent. The released code's FiLM is gamma Z + beta; (1 + gamma) Z + beta, as in Perez et al.'s code, starts as no
change: `film_form`. CONCAT's place is not certain: a 1x1 convolution of [Z; h] (`concat_form="fuse"`, 2.6 M more weights, fewer than FiLM's 2.8 M) or
h joined to the input of the next layer ("next", 13.3 M); only the second agrees with FiLM being the smaller one. The released arrays are BGR read as
RGB, so its prior has red and blue exchanged: ours is counted anew, in RGB. Its embedding has one row too few for its last word; ours has rows for
padding and for unknown words. An empty caption, which the paper does not know, gives h = 0.
"""
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import nn

from colorlib import captions, convert, data, lab, train
from colorlib import pretrained as pretrained_weights
from colorlib.papers import cic

__all__ = ["Config", "PAPER", "RELEASED", "VARIANTS", "TRAINING_ABLATIONS", "CaptionEncoder", "film", "Film", "Concat",
           "LanguageNet", "ReleasedNet", "build", "Step", "prepare_data", "make_step", "bins", "predict", "colorize",
           "distributions", "variants", "activations", "modulation", "networks"]

READS_CAPTIONS = True
FUSIONS = ("none", "concat", "film", "released")
WORDS = 10_004              # in the released vocabulary
RESNETS = {"resnet101": 512, "resnet18": 128}           # channels after layer2


@dataclass(frozen=True)
class Config(cic.Config):
    """Fields of `cic.Config`, then the language paper's; schedule and sizes are the released code's (the paper's are not known).

    >>> Config().embedding, Config().hidden, PAPER.bins
    (300, 256, 625)
    """
    fusion: str = "film"                    # how words enter: FUSIONS
    film_form: str = "residual"             # "residual": (1 + gamma) Z + beta; "plain": gamma Z + beta
    concat_form: str = "fuse"               # "fuse": ReLU of a 1x1 convolution of [Z; h]; "next": h joined to what the next layer sees
    embedding: int = 300
    hidden: int = 256                       # of the LSTM, a direction; h has twice as many numbers
    dropout: float = 0.2                    # on the word vectors
    vocabulary: tuple = ()                  # the words; () until a data set is known
    vocabulary_size: int = WORDS
    forgotten_captions: float = 0.0         # (ours) how often training says nothing, so that an empty caption works
    forgotten_words: float = 0.0            # (ours) how often a word counts as unknown, so that unknown words do no harm
    trunk_weights: str = ""                 # where the eight blocks start: Zhang et al.'s checkpoint (`cic.from_official`) or weights of `cic` of this width
    backbone: str = "resnet101"             # of "released": RESNETS
    frozen_backbone: bool = True            # and from ImageNet; False: trained along, from random weights


PAPER = Config(bins=625, soft_labels=False, normalize="weights", mask_dead=True, least_colour=-1.0, learning_rate=1e-3, betas=(0.9, 0.999), weight_decay=0.0,
               decay_every=10 ** 9, batch_size=24, steps=82_710, image_size=224, working_size=224)      # 30 epochs of 66,165 captioned pictures
RELEASED = replace(PAPER, fusion="released", film_form="plain", mask_dead=False, temperature=1.0, upsampling="bicubic")
OURS = replace(PAPER, weight_decay=1e-2, he_start=True, alpha=0.5, embedding=64, hidden=64, forgotten_captions=0.1, forgotten_words=0.02)
CLASS = replace(OURS, width=16, one_cycle=5e-3, batch_size=16, steps=10_000, image_size=64, working_size=96)
SMOKE = replace(OURS, width=8, one_cycle=1e-2, batch_size=8, steps=800, image_size=64, working_size=64)
SMALL_RESNET = dict(fusion="released", film_form="plain", backbone="resnet18", frozen_backbone=False, upsampling="bicubic", temperature=1.0)
VARIANTS = {
    "fcnn": {"paper": replace(PAPER, fusion="none"), "class": replace(CLASS, fusion="none"), "smoke": replace(SMOKE, fusion="none")},
    "concat": {"paper": replace(PAPER, fusion="concat"), "class": replace(CLASS, fusion="concat"), "smoke": replace(SMOKE, fusion="concat")},
    "film": {"paper": PAPER, "class": CLASS, "smoke": SMOKE},
    "film_released": {"paper": RELEASED, "class": replace(CLASS, **SMALL_RESNET, steps=3_000), "smoke": replace(SMOKE, **SMALL_RESNET)},
}

TRAINING_ABLATIONS = {                      # of the method film, see `ablations.py`
    "FiLM": {}, "CONCAT": {"fusion": "concat"}, "FCNN": {"fusion": "none"}, "FiLM, gamma Z + beta": {"film_form": "plain"},
    "CONCAT, h to the next layer": {"fusion": "concat", "concat_form": "next"}, "FiLM, mean over pixels": {"normalize": "pixels"},
    "FiLM, full rebalancing": {"alpha": 1.0}, "FiLM, no rebalancing": {"alpha": 0.0}, "FiLM, soft labels": {"soft_labels": True},
}


# ---------------------------------------------------------------- words

class CaptionEncoder(nn.Module):
    """tokens `(N, T)` int64 and lengths `(N,)` -> sentence vectors `(N, 2 hidden)`: word vectors, a bidirectional LSTM, its two last states side by
    side.

    >>> tokens, lengths = torch.tensor([[5, 9, 2], [0, 0, 0]]), torch.tensor([3, 0])
    >>> h = CaptionEncoder(replace(PAPER, embedding=8, hidden=4, vocabulary_size=20))(tokens, lengths)
    >>> h.shape, h[1].abs().sum().item()      # nothing said: zeros
    (torch.Size([2, 8]), 0.0)
    """

    def __init__(self, config):
        super().__init__()
        rows = 2 + (len(config.vocabulary) or config.vocabulary_size)
        self.embedding = nn.Embedding(rows, config.embedding, padding_idx=captions.PADDING)
        self.dropout = nn.Dropout(config.dropout)
        self.lstm = nn.LSTM(config.embedding, config.hidden, batch_first=True, bidirectional=True)

    def forward(self, tokens, lengths):
        """tokens `(N, T)` int64, lengths `(N,)` -> h `(N, 2 hidden)`; zeros where the length is 0."""
        with torch.autocast(tokens.device.type, enabled=False):
            seen = self.dropout(self.embedding(tokens))                                             # (N, T, embedding)
            packed = nn.utils.rnn.pack_padded_sequence(seen, lengths.cpu().clamp_min(1), batch_first=True, enforce_sorted=False)
            _, (last, _) = self.lstm(packed)                                                        # (2, N, hidden)
            return last.transpose(0, 1).flatten(1) * (lengths > 0).to(last)[:, None]


def film(x, gamma, beta, form="plain"):
    """Feature-wise linear modulation: x `(N, C, H, W)`, gamma and beta `(N, C)` -> gamma x + beta, with form "residual" (1 + gamma) x + beta.

    Perez et al. 2018 (arXiv 1709.07871), Eq. 2. Deep Koalarization's fusion is the case of gamma fixed at 1. Raises ValueError for another form.

    >>> x, gamma, beta = torch.ones(1, 1, 1, 2), torch.tensor([[2.0]]), torch.tensor([[0.5]])
    >>> film(x, gamma, beta).flatten().tolist(), film(x, gamma, beta, "residual").flatten().tolist()
    ([2.5, 2.5], [3.5, 3.5])
    """
    if form not in ("plain", "residual"):
        raise ValueError(f"The form of FiLM is {form!r}: choose plain or residual.")
    gamma, beta = gamma[:, :, None, None], beta[:, :, None, None]
    return (1 + gamma) * x + beta if form == "residual" else gamma * x + beta


class Film(nn.Module):
    """x `(N, C, h, w)` and h `(N, 2 hidden)` -> x modulated: gamma and beta of one block by one linear layer of h.

    >>> Film(8, VARIANTS["film"]["smoke"])(torch.rand(2, 8, 4, 4), torch.rand(2, 128)).shape
    torch.Size([2, 8, 4, 4])
    """

    def __init__(self, channels, config, start=None):
        super().__init__()
        self.form, self.layer = config.film_form, nn.Linear(2 * config.hidden, 2 * channels)
        if self.form == "plain" and start is not None:
            nn.init.constant_(self.layer.bias[:channels], start)

    def modulation(self, h):
        return self.layer(h).chunk(2, 1)                                                            # (N, C) each, gamma first

    def forward(self, x, h):
        return film(x, *self.modulation(h), self.form)


class Concat(nn.Module):
    """Z `(N, C, h, w)` and h `(N, 2 hidden)` -> ReLU(W [Z; h] + b) at every pixel. As h is the same everywhere, W's part for it is applied once and
    added.

    >>> Concat(8, VARIANTS["concat"]["smoke"])(torch.rand(2, 8, 4, 4), torch.rand(2, 128)).shape
    torch.Size([2, 8, 4, 4])
    """

    def __init__(self, channels, config):
        super().__init__()
        self.picture, self.words = nn.Conv2d(channels, channels, 1), nn.Linear(2 * config.hidden, channels, bias=False)

    def forward(self, x, h):
        return F.relu(self.picture(x) + self.words(h)[:, :, None, None])


class Join(nn.Module):
    """[Z; h]: h beside the channels of every pixel, for the next layer to see."""

    def forward(self, x, h):
        return torch.cat([x, h[:, :, None, None].expand(-1, -1, *x.shape[2:]).to(x)], 1)


# ---------------------------------------------------------------- the networks

class LanguageNet(cic.ColorfulNet):
    """L and a caption -> logits over the 625 colours `(N, 625, H/4, W/4)`; fusion "none", "concat" or "film".
    Raises ValueError for another fusion or concat_form.

    >>> net = LanguageNet(replace(VARIANTS["film"]["smoke"], vocabulary=("red", "car")))
    >>> net(torch.zeros(1, 1, 16, 24), *net.vocabulary.encode(["a red car"])).shape
    torch.Size([1, 625, 4, 6])
    """

    def __init__(self, config):
        super().__init__(config, extra=2 * config.hidden if config.fusion == "concat" and config.concat_form == "next" else 0)
        if config.fusion not in FUSIONS[:3] or config.concat_form not in ("fuse", "next"):
            raise ValueError(f"fusion is {config.fusion!r} and concat_form {config.concat_form!r}: choose from {', '.join(FUSIONS)}, and fuse or next.")
        self.vocabulary = captions.Vocabulary(config.vocabulary)
        if config.fusion == "none":
            return
        self.encoder = CaptionEncoder(config)
        if config.fusion == "film":       # plain FiLM starts at gamma = 1, or eight factors near 0 would silence the network (ours)
            self.fusions = nn.ModuleList([Film(channels, config, start=1.0) for channels in cic.widths(config)])
        elif config.concat_form == "fuse":
            self.fusions = nn.ModuleList([Concat(channels, config) for channels in cic.widths(config)])
        else:
            self.fusions = nn.ModuleList([Join() for _ in range(8)])

    def forward(self, L, tokens=None, lengths=None, record=None):
        """L `(N, 1, H, W)` in [0, 100], H and W multiples of 8; tokens, lengths: of `Vocabulary.encode`. record: a dict that takes every block's
        output."""
        h = self.encoder(tokens, lengths) if self.config.fusion != "none" else None

        def after(number, x):
            x = x if h is None else self.fusions[number - 1](x, h)
            if record is not None:
                record[number] = x
            return x
        return super().forward(L, after)


class ReleasedBlock(nn.Module):
    """u = ReLU(1x1 conv x); u = batch norm of ReLU(3x3 conv u); out = ReLU(FiLM u) + x."""

    def __init__(self, channels, config):
        super().__init__()
        self.narrow, self.wide, self.norm = nn.Conv2d(channels, channels, 1), nn.Conv2d(channels, channels, 3, padding=1), nn.BatchNorm2d(channels)
        self.film = Film(channels, config)
        for layer in (self.narrow, self.wide):
            nn.init.kaiming_uniform_(layer.weight)

    def forward(self, x, h):
        u = self.norm(F.relu(self.wide(F.relu(self.narrow(x)))))
        return F.relu(self.film(u, h)) + x


class ReleasedNet(nn.Module):
    """The published code's network: features of a ResNet up to layer2, four modulated residual blocks, enlarged twice, 625 logits
    a pixel. Raises ValueError for a backbone that is none of RESNETS, and what `open_backbone` raises.

    >>> RESNETS[RELEASED.backbone], RELEASED.fusion, RELEASED.film_form
    (512, 'released', 'plain')
    """

    def __init__(self, config, pretrained=False):
        super().__init__()
        if config.backbone not in RESNETS:
            raise ValueError(f"backbone is {config.backbone!r}: choose one of {', '.join(RESNETS)}.")
        self.config, self.vocabulary, channels = config, captions.Vocabulary(config.vocabulary), RESNETS[config.backbone]
        self.backbone = open_backbone(config, pretrained)
        self.encoder = CaptionEncoder(config)
        self.blocks = nn.ModuleList([ReleasedBlock(channels, config) for _ in range(4)])
        self.to_bins = nn.Conv2d(channels, config.bins, 1)
        self.register_buffer("dead", cic.dead_bins(config), persistent=False)
        self.register_buffer("class_weights", torch.ones(config.bins))
        self.register_buffer("mean", torch.tensor([0.485, 0.456, 0.406]).view(1, 3, 1, 1), persistent=False)        # ImageNet's
        self.register_buffer("spread", torch.tensor([0.229, 0.224, 0.225]).view(1, 3, 1, 1), persistent=False)

    def train(self, mode=True):
        super().train(mode)
        if self.config.frozen_backbone:      # its batch norms stay as ImageNet left them
            self.backbone.eval()
        return self

    def forward(self, L, tokens, lengths, record=None):
        """As `LanguageNet`; record takes the output of blocks 1 to 4."""
        cic.check_size(L)
        with torch.autocast(L.device.type, enabled=False):
            gray = lab.gray_of(L.float())
        x = self.backbone((gray - self.mean) / self.spread)                                         # (N, 512, H/8, W/8)
        h = self.encoder(tokens, lengths)
        for number, block in enumerate(self.blocks, 1):
            x = block(x, h)
            if record is not None:
                record[number] = x
        logits = F.interpolate(self.to_bins(x), scale_factor=2, mode="bilinear")      # they enlarge first: the same, for four times the arithmetic
        return cic.hide(logits, self.dead if self.config.mask_dead else None)


def open_backbone(config, pretrained):
    """torchvision's ResNet from the stem to layer2. pretrained and frozen: with ImageNet's weights, downloaded once by torchvision."""
    import torchvision                 # late: it takes a second that the paper's own networks do not need
    if pretrained and config.frozen_backbone:
        weights = torchvision.models.get_model_weights(config.backbone).IMAGENET1K_V1
        try:
            net = pretrained_weights.torchvision_network(config.backbone, weights)
        except ConnectionError as error:
            raise ConnectionError(f"The {config.backbone} weights {weights.url} could not be downloaded or read ({error}): connect once, so that torchvision "
                                  "can store them in its cache, or train without them with --set frozen_backbone=false.") from error
    else:
        net = torchvision.models.get_model(config.backbone)
    backbone = nn.Sequential(net.conv1, net.bn1, net.relu, net.maxpool, net.layer1, net.layer2)
    return backbone.requires_grad_(not config.frozen_backbone)


def build(config, pretrained=True):
    """An untrained network; pretrained: with ImageNet's backbone (`film_released`) and with `trunk_weights`, where the config asks for them.

    >>> build(replace(VARIANTS["film"]["smoke"], vocabulary=("red", "car"))).vocabulary.unknown("a red bus")
    ['a', 'bus']
    """
    if config.fusion == "released":
        return ReleasedNet(config, pretrained)
    model = LanguageNet(config)
    return load_trunk(model, config.trunk_weights) if pretrained and config.trunk_weights else model


def load_trunk(model, path):
    """Fill the eight blocks from a checkpoint of Zhang et al.'s network (.pth) or from weights of `cic` (.safetensors); the last layer stays as it
    is.

    Raises FileNotFoundError, and ValueError for a file of another network or width.
    """
    import safetensors.torch
    try:
        own = str(path).endswith(".safetensors")
        state = safetensors.torch.load_file(path) if own else cic.from_official(convert.read_checkpoint(path))
    except safetensors.SafetensorError as error:
        raise ValueError(f"trunk_weights names {path}, which is no safetensors file ({error}): name another.") from error
    except OSError as error:
        raise FileNotFoundError(f"trunk_weights names {path}, which cannot be read ({error}): check the path.") from error
    blocks = {name: value.float() if value.is_floating_point() else value for name, value in state.items() if name.startswith("blocks.")}
    wanted = {name: value.shape for name, value in model.state_dict().items() if name.startswith("blocks.") and "tracked" not in name}    # not in old files
    if {name: value.shape for name, value in blocks.items() if name in wanted} != wanted:
        raise ValueError(f"{path} does not fit the eight blocks at width {model.config.width}: give weights of cic of the same width, with concat_form=fuse.")
    model.load_state_dict(blocks, strict=False)
    return model


# ---------------------------------------------------------------- training

class Step(cic.Step):
    """One update of `cic.Step`, with one of each picture's captions.

    >>> config = replace(VARIANTS["film"]["smoke"], vocabulary=("red", "car"))
    >>> step = Step(config, train.make_fabric("cpu"), prior=torch.full((625,), 1 / 625), model=build(config))
    >>> [*step({"rgb": torch.randint(256, (1, 3, 32, 32)).byte(), "captions": [["a red car", "a car"]]})]
    ['loss']
    """

    def answer(self, L, batch):
        if self.config.fusion == "none":
            return self.model(L)
        chosen = [texts[int(torch.randint(len(texts), ()))] for texts in batch["captions"]]
        tokens, lengths = self.model.module.vocabulary.encode(chosen)
        forgotten = (torch.rand(tokens.shape) < self.config.forgotten_words) & (tokens != captions.PADDING)
        tokens = tokens.masked_fill(forgotten, captions.UNKNOWN)
        lengths = lengths.masked_fill(torch.rand(len(lengths)) < self.config.forgotten_captions, 0)
        return self.model(L, tokens.to(L.device), lengths)


def prepare_data(dataset, config):
    """Every picture with captions that name a colour: its own, or derived from class and salient colour; see `data.WithCaptions`.

    >>> said = [{"rgb": torch.zeros(3, 8, 8).byte(), "id": "a", "captions": ["a red car"]}]
    >>> prepare_data(said, PAPER)[0]["captions"]
    ['a red car']
    """
    return data.colored(data.WithCaptions(dataset))


def make_step(config, fabric, dataset, run=None, progress=None, compile=False):
    """A `Step` for `config`, with prior and vocabulary of `dataset`, whose samples hold captions.

    >>> said = [{"rgb": torch.zeros(3, 32, 32).byte(), "captions": ["a red car"], "caption_source": "given"}]
    >>> step = make_step(VARIANTS["film"]["smoke"], train.make_fabric("cpu"), said)
    >>> "car" in step.config.vocabulary, step.notes
    (True, 'captions: given')
    """
    if not config.vocabulary and config.fusion != "none":
        texts = [text for several in data.captioned.column(dataset, "captions") for text in several]
        config = replace(config, vocabulary=captions.Vocabulary.build(texts, config.vocabulary_size).words)
    train.seed_everything(config.seed)
    step = Step(config, fabric, cic.measure_prior(dataset, config), build(config), compile)
    step.notes = "captions: " + ", ".join(sorted({dataset[i]["caption_source"] for i in range(0, len(dataset), max(1, len(dataset) // 50))}))
    return step


# ---------------------------------------------------------------- use

bins = cic.bins


def words_of(model, batch):
    """(tokens, lengths) of a batch's captions, () for a network that reads none."""
    if model.config.fusion == "none":
        return ()
    tokens, lengths = model.vocabulary.encode(batch.get("caption") or [""] * len(batch["L"]))
    if len(tokens) != len(batch["L"]):
        raise ValueError(f"There are {len(batch['L'])} pictures and {len(tokens)} captions: give one caption a picture.")
    return tokens.to(batch["L"].device), lengths


def predict(model, batch):
    """Logits `(N, 625, ceil(H/4), ceil(W/4))`, float32; see `colorize` for the batch.

    >>> model = build(replace(VARIANTS["film"]["smoke"], vocabulary=("red", "car")))
    >>> predict(model, {"L": torch.rand(1, 1, 30, 41) * 100, "caption": ["a red car"]}).shape
    torch.Size([1, 625, 8, 11])
    """
    return cic.predict(model, batch, *words_of(model, batch))


def colorize(model, batch):
    """batch {"L": `(N, 1, H, W)` in [0, 100], "caption": N strings} -> ab `(N, 2, H, W)` in CIE units. Deterministic; any size of at least 1 x 1.

    "" or no caption: nothing is said. Words the vocabulary lacks count as unknown; `model.vocabulary.unknown` names them. Raises ValueError for a
    lone string and for a wrong number of captions.

    >>> model = build(replace(VARIANTS["film"]["smoke"], vocabulary=("red", "car")))
    >>> colorize(model, {"L": torch.rand(2, 1, 30, 41) * 100, "caption": ["a red car", ""]}).shape
    torch.Size([2, 2, 30, 41])
    """
    return cic.decode(predict(model, batch), model.config, batch["L"].shape[-2:])


def distributions(model):
    """The rows of `variants` before they are made one colour: {row name: function of a batch -> logits}.

    >>> [*distributions(build(VARIANTS["fcnn"]["smoke"]))]
    ['', 'rebalancing undone']
    """
    rows = {"": lambda batch: predict(model, batch), "rebalancing undone": lambda batch: cic.undo_rebalancing(predict(model, batch), model.class_weights)}
    if model.config.fusion == "none":
        return rows
    other = lambda said: [*said[1:], said[0]]                                                       # everybody gets a neighbour's words
    return rows | {"no caption": lambda batch: predict(model, {"L": batch["L"]}),
                   "another's caption": lambda batch: predict(model, {"L": batch["L"], "caption": other(batch["caption"])})}


def variants(model):
    """What the results table compares: {row name: function of a batch -> ab}.

    >>> [*variants(build(VARIANTS["film"]["smoke"]))]
    ['', 'rebalancing undone', 'no caption', "another's caption"]
    """
    return cic.decode_rows(model, distributions(model))


@torch.no_grad()
def activations(model, batch, blocks=(6, 7, 8)):
    """What some blocks hand on after the words came in: {block: `(N, C, h, w)`}. batch as for `colorize`, its height and width multiples of 8.

    Raises ValueError for blocks the network does not have.

    >>> model = build(replace(VARIANTS["film"]["smoke"], vocabulary=("red", "car")))
    >>> found = activations(model, {"L": torch.rand(1, 1, 16, 24) * 100, "caption": ["a red car"]})
    >>> {block: tuple(maps.shape) for block, maps in found.items()}
    {6: (1, 64, 2, 3), 7: (1, 64, 2, 3), 8: (1, 32, 4, 6)}
    """
    record = {}
    model.eval()(batch["L"], *words_of(model, batch), record=record)
    if missing := [number for number in blocks if number not in record]:
        raise ValueError(f"The network has no block {missing[0]}: choose from 1 to {max(record)}.")
    return {number: record[number].float() for number in blocks}


@torch.no_grad()
def modulation(model, said):
    """What captions (a list of N strings) do to a FiLM network: {block: (gamma `(N, C)`, beta `(N, C)`)}; "residual" multiplies by 1 + gamma.

    Raises ValueError for a network without FiLM.

    >>> model = build(replace(VARIANTS["film"]["smoke"], vocabulary=("red", "car")))
    >>> {block: gamma.shape[1] for block, (gamma, beta) in modulation(model, ["a red car"]).items()}
    {1: 8, 2: 16, 3: 32, 4: 64, 5: 64, 6: 64, 7: 64, 8: 32}
    """
    if model.config.fusion not in ("film", "released"):
        raise ValueError(f"The network's fusion is {model.config.fusion}: only FiLM has gamma and beta.")
    tokens, lengths = model.vocabulary.encode(said)
    h = model.eval().encoder(tokens.to(next(model.parameters()).device), lengths)
    layers = model.fusions if model.config.fusion == "film" else [block.film for block in model.blocks]
    return {number: layer.modulation(h) for number, layer in enumerate(layers, 1)}


def networks(config):
    """The parts a parameter table lists, at the released vocabulary's size.

    >>> [*networks(VARIANTS["film"]["smoke"])]
    ['eight blocks', 'caption encoder', 'fusion']
    """
    if config.fusion == "released":
        net = ReleasedNet(config)
        return {"ResNet to layer2, frozen": net.backbone, "four blocks": nn.ModuleList([net.blocks, net.to_bins]), "caption encoder": net.encoder}
    net = LanguageNet(config)
    parts = {"eight blocks": nn.ModuleList([net.blocks, net.to_bins])}
    return parts if config.fusion == "none" else parts | {"caption encoder": net.encoder, "fusion": net.fusions}
