"""TCVC 2019: a network that colours a frame while it looks at the coloured frame before.

Thasarathan, Nazeri, Ebrahimi, "Automatic Temporally Coherent Video Colorization" (2019, arXiv 1904.09527), and the authors' code
(github.com/Harry-Thasarathan/TCVC: `src/models.py`, `src/loss.py`, `train.py`). Not the TCVC of Liu et al. 2021. With x a grey frame or its line art,
p the colour frame before, y the true frame and g = G(x, p):

    L_D = 1/2 [BCE(D(x, p, y), 1) + BCE(D(x, p, g), 0)]                                  every 12th update
    L_G = BCE(D(x, p, g), 1) + 10 |g - y| + 1000 style + 1 content
    content = sum over relu1_1, 2_1, 3_1, 4_1, 5_1 of VGG-19 of mean |phi(g) - phi(y)|
    style   = sum over relu2_2, 3_4, 4_4, 5_2 of mean |Gram(phi(g)) - Gram(phi(y))|,     Gram = F F^T / (C H W)

In training p is the *true* frame before with probability 1/2 and black otherwise; when the network paints a clip, p is what it painted itself.

Slips of the published code that are not repeated: its loader looks for the frame before under a name without leading zeros, so frames below number
10,000 never found one and were always trained with black; it reads frames in the order of the file system; it conditions across scene cuts. A weight
of 0.1 for the adversarial loss is read and never used: the one that counts is 1. Kept: VGG-19 gets [0, 1] without ImageNet's mean and SD
(`normalise_features`), and g is free to change the lightness, too. `colorize` puts the true lightness back; `clip_variants` measures both.
"""
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils.parametrizations import spectral_norm

from colorlib import images, lab, losses, motion, train
from colorlib.blocks import at_any_size, init_normal, one_cycle
from colorlib.classifiers import FeaturePyramid
from colorlib.convolution import Conv2d, ConvTranspose2d, InstanceNorm2d

__all__ = ["FRAMES", "MISMATCH", "Config", "PAPER", "SMOKE", "PRESETS", "VARIANTS", "TAUGHT", "TRAINING_ABLATIONS",
           "Generator", "Discriminator", "gram", "style_and_content", "WithLines", "WithFirstFrames", "prepare_data",
           "Step", "align", "make_step", "build", "paint", "colorize_next", "colorize", "variants", "clip_variants",
           "paint_clip", "networks"]

READS_CLIPS = True
FRAMES = 2                                      # of a training sample: the one before and the one to paint
GRAY = (0.2125, 0.7154, 0.0721)                 # weights of red, green, blue in scikit-image's `rgb2gray`
LEAST = 12                                      # pixels a side: at a quarter of it two are mirrored in
MISMATCH = 8.0                                  # units of L beyond which a followed place counts as another surface
CONTENT = {"vgg19": ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1"), "squeezenet1_1_caffe": ("conv1", "fire2", "fire3", "fire4", "fire5"),
           "random": ("relu1_1", "relu2_1", "relu3_1")}
STYLE = {"vgg19": ("relu2_2", "relu3_4", "relu4_4", "relu5_2"), "squeezenet1_1_caffe": ("fire2", "fire3", "fire4", "fire5"), "random": ("relu2_2", "relu3_4")}
CHOICES = {"sees": ("grey", "lines"), "gray": ("luma", "lightness"), "features": tuple(CONTENT), "feeds": ("painted", "pasted")}


@dataclass(frozen=True)
class Config:
    """Defaults are the published code's; `(ours)` marks what it does not have. Raises ValueError for a value that cannot be.

    >>> Config().style_weight, Config().l1_weight, Config().critic_every
    (1000.0, 10.0, 12)
    >>> Config(previous_share=2)
    Traceback (most recent call last):
        ...
    ValueError: previous_share is 2: choose a probability from 0 to 1.
    """
    sees: str = "grey"                  # "lines": Canny's edges of the grey frame, sigma 1, inverted
    gray: str = "luma"                  # what "grey" is: scikit-image's `rgb2gray`; (ours) "lightness": the grey of L*
    width: int = 64
    residual_blocks: int = 8
    previous_share: float = 0.5         # p: how often a training sample shows the frame before
    own_share: float = 0.0              # (ours) how often a shown frame before is the network's own picture of it, painted from black, not the true one
    temporal_weight: float = 0.0        # (ours) on how much the painted frame's error differs from that of the frame it was shown
    align: bool = False                 # (ours) the frame before is moved along the optical flow of the lightness first; black where that fails; of grey frames
    gate: bool = False                  # (ours) a fourth map says where the frame before is kept, as in vid2vid (Wang et al. 2018, arXiv 1808.06601, eq. 4)
    feeds: str = "painted"              # what the next frame is shown: what was painted; (ours) "pasted": with the true lightness put back, of grey frames
    adversarial_weight: float = 1.0
    l1_weight: float = 10.0
    style_weight: float = 1000.0
    content_weight: float = 1.0
    features: str = "vgg19"             # (ours) "squeezenet1_1_caffe": a stand-in; "random": one that needs no file
    normalise_features: bool = False
    critic_every: int = 12              # updates of the generator for one of the discriminator; the first one counts
    learning_rate: float = 1e-4         # Adam, betas (0, 0.999)
    critic_rate: float = 1e-5
    one_cycle: bool = False             # (ours) AdamW (0.5, 0.999), a warm-up and a cosine to zero
    batch_size: int = 16
    steps: int = 50 * 60_000 // 16      # 50 epochs of about 60,000 frames
    image_size: int = 256
    seed: int = 0

    def __post_init__(self):
        for field, choices in CHOICES.items():
            if getattr(self, field) not in choices:
                raise ValueError(f"{field} is {getattr(self, field)!r}: choose one of {', '.join(choices)}.")
        if not 0 <= self.previous_share <= 1:
            raise ValueError(f"previous_share is {self.previous_share}: choose a probability from 0 to 1.")


PAPER = Config()
OURS = dict(gray="lightness", feeds="pasted", align=True, gate=True, own_share=0.9, temporal_weight=10.0, one_cycle=True, learning_rate=1e-3,
            critic_rate=1e-4, batch_size=8)
CLASS = replace(PAPER, **OURS, features="squeezenet1_1_caffe", style_weight=200.0, content_weight=0.3, width=24, steps=2_800, image_size=128)
SMOKE = replace(PAPER, **OURS, features="random", width=12, residual_blocks=4, steps=400, image_size=64)
PRESETS = {"paper": PAPER, "class": CLASS, "smoke": SMOKE}
LINES = dict(sees="lines", feeds="painted", align=False, gate=False, own_share=0.5)      # lines have no flow to follow, and a gate then freezes
VARIANTS = {"tcvc": PRESETS, "tcvc_lines": {size: replace(config, **LINES) for size, config in PRESETS.items()}}
VARIANTS["tcvc_lines"]["class"] = replace(VARIANTS["tcvc_lines"]["class"], width=16, steps=1_800, image_size=96)
TAUGHT = dict(align=False, gate=False, own_share=0.0, temporal_weight=0.0)      # as published: shown true frames, as they are; rows "p ..." and the losses
TRAINING_ABLATIONS = {
    "as it is": {}, "never shown a frame": {"previous_share": 0.0}, "no gate": {"gate": False}, "not aligned": {"align": False},
    "no temporal loss": {"temporal_weight": 0.0}, "true frames only": {"own_share": 0.0},
    **{f"p {p:g}": TAUGHT | {"previous_share": p} for p in (0.0, 0.25, 0.5, 0.75, 1.0)},
    "GAN only": TAUGHT | {"previous_share": 0.0, "l1_weight": 0.0, "style_weight": 0.0, "content_weight": 0.0},
    "GAN + L1 + style": TAUGHT | {"previous_share": 0.0, "content_weight": 0.0}}      # + content: "p 0"; + frame before: "p 0.5"


# ---------------------------------------------------------------- networks

class DilatedBlock(nn.Module):
    """x + two 3x3 convolutions, the first with holes (dilation 2), each with instance norm; no ReLU after the sum."""

    def __init__(self, channels):
        super().__init__()
        self.layers = nn.Sequential(nn.ReflectionPad2d(2), Conv2d(channels, channels, 3, dilation=2), InstanceNorm2d(channels), nn.ReLU(inplace=True),
                                    nn.ReflectionPad2d(1), Conv2d(channels, channels, 3), InstanceNorm2d(channels))

    def forward(self, x):
        return x + self.layers(x)


class Generator(nn.Module):
    """x `(N, 1, H, W)`, grey or lines, and the colour frame before `(N, 3, H, W)`, both in [0, 1] -> rgb `(N, 3, H, W)` in [0, 1]; H, W multiples of
    4.

    Down twice, residual blocks, up twice: EdgeConnect's inpainting network (Nazeri et al. 2019), without skip connections. 10,774,595 parameters.

    >>> Generator(SMOKE)(torch.rand(1, 1, 32, 48), previous=torch.zeros(1, 3, 32, 48)).shape
    torch.Size([1, 3, 32, 48])
    """

    def __init__(self, config):
        super().__init__()
        self.config, width = config, config.width
        norm = lambda channels: (InstanceNorm2d(channels), nn.ReLU(inplace=True))
        self.encoder = nn.Sequential(nn.ReflectionPad2d(3), Conv2d(4, width, 7), *norm(width),
                                     Conv2d(width, 2 * width, 4, 2, 1), *norm(2 * width),
                                     Conv2d(2 * width, 4 * width, 4, 2, 1), *norm(4 * width))
        self.middle = nn.Sequential(*[DilatedBlock(4 * width) for _ in range(config.residual_blocks)])                     # (N, 256, H/4, W/4)
        self.decoder = nn.Sequential(ConvTranspose2d(4 * width, 2 * width, 4, 2, 1), *norm(2 * width),
                                     ConvTranspose2d(2 * width, width, 4, 2, 1), *norm(width), nn.ReflectionPad2d(3))
        self.to_rgb = Conv2d(width, 4 if config.gate else 3, 7)
        init_normal(self)

    def forward(self, x, previous):
        maps = self.decoder(self.middle(self.encoder(torch.cat([x, previous], 1))))         # (N, 64, H + 6, W + 6)
        with torch.autocast(x.device.type, enabled=False):                                  # half precision would show in the colours
            last = self.to_rgb(maps.to(self.to_rgb.weight.dtype))
            rgb = 0.5 + 0.5 * torch.tanh(last[:, :3])
            if self.config.gate:
                rgb = torch.lerp(rgb, previous.to(rgb.dtype), torch.sigmoid(last[:, 3:]) * previous.any(1, keepdim=True))       # black: nothing is known
            return rgb


class Discriminator(nn.Module):
    """x, the frame before and a colour frame -> scores of patches before the sigmoid, `(N, 1, 30, 30)` at 256 px. With more colour frames, a tuple of
    scores.

    All convolutions have spectral norm and no bias. 2,767,872 parameters.

    >>> x, previous, painted, true = torch.rand(1, 1, 64, 64), *torch.rand(3, 1, 3, 64, 64)
    >>> [scores.shape for scores in Discriminator(SMOKE)(x, previous, painted, true)]
    [torch.Size([1, 1, 6, 6]), torch.Size([1, 1, 6, 6])]
    """

    def __init__(self, config):
        super().__init__()
        channels, layers = (7, *(config.width * factor for factor in (1, 2, 4, 8)), 1), []
        for before, after, stride in zip(channels, channels[1:], (2, 2, 2, 1, 1)):
            layers += [Conv2d(before, after, 4, stride, 1, bias=False), nn.LeakyReLU(0.2, inplace=True)]
        self.patches = init_normal(nn.Sequential(*layers[:-1]))
        for layer in self.patches[::2]:
            spectral_norm(layer)

    def forward(self, x, previous, rgb, *others):
        see = lambda one: torch.cat([x, previous, one], 1).contiguous(memory_format=torch.channels_last)
        scores = tuple(self.patches(see(one)).float() for one in (rgb, *others))
        return scores if others else scores[0]


# ---------------------------------------------------------------- losses

def gram(maps):
    """Which maps occur together: F F^T / (C H W) of F `(N, C, H, W)`, `(N, C, C)`, in float32 at least.

    >>> gram(torch.tensor([[1.0, 1.0], [2.0, 0.0]]).view(1, 2, 1, 2)).tolist()      # divided by 2 * 1 * 2
    [[[0.5, 0.5], [0.5, 1.0]]]
    """
    rows = maps.flatten(2).to(torch.promote_types(maps.dtype, torch.float32))
    return rows @ rows.transpose(1, 2) / rows[0].numel()


def style_and_content(seen, aim, style=STYLE["vgg19"], content=CONTENT["vgg19"]):
    """(style, content) distances of two pictures' features, {layer: `(N, C, H, W)`}: sums over layers of the mean absolute difference, of Gram
    matrices and of maps (`src/loss.py`).

    >>> seen, aim = ({"relu1_1": torch.full((1, 1, 2, 2), value)} for value in (1.0, 3.0))
    >>> [one.item() for one in style_and_content(seen, aim, style=("relu1_1",), content=("relu1_1",))]
    [8.0, 2.0]
    """
    total = lambda look, layers: sum((F.l1_loss(look(seen[one]), look(aim[one])) for one in layers), torch.zeros((), device=next(iter(aim.values())).device))
    return total(gram, style), total(lambda maps: maps.to(torch.promote_types(maps.dtype, torch.float32)), content)


# ---------------------------------------------------------------- training

class WithLines(torch.utils.data.Dataset):
    """Windows of frames, each with "lines" `(T, 1, H, W)` uint8, their line art.

    >>> windows = type("Windows", (list,), {"ids": ["a"]})([{"rgb": torch.zeros(2, 3, 32, 32).byte()}])
    >>> WithLines(windows)[0]["lines"].shape
    torch.Size([2, 1, 32, 32])
    """

    def __init__(self, dataset):
        self.dataset = dataset

    @property
    def ids(self):
        return self.dataset.ids

    def __len__(self):
        return len(self.dataset)

    def __getitem__(self, i):
        sample = self.dataset[i]
        L = lab.rgb_to_lab(sample["rgb"])[:, 0].numpy()
        return sample | {"lines": torch.cat([images.line_art(one, drawing=False) for one in L]).mul(255).byte()}


class WithFirstFrames(torch.utils.data.Dataset):
    """Windows of two frames and, for each that begins a shot, one whose frame before is black: a shot's first frame has none.

    >>> windows = type("Windows", (list,), {"ids": ["a", "b"], "starts": [True, False]})([{}, {}])
    >>> WithFirstFrames(windows).ids
    ['a', 'b', 'a first']
    """

    def __init__(self, dataset):
        self.dataset, self.first = dataset, [i for i, starts in enumerate(dataset.starts) if starts]

    @property
    def ids(self):
        return [*self.dataset.ids, *(f"{self.dataset.ids[i]} first" for i in self.first)]

    def __len__(self):
        return len(self.dataset) + len(self.first)

    def __getitem__(self, i):
        if i < len(self.dataset):
            return self.dataset[i] | {"has_previous": torch.tensor(True)}
        sample = self.dataset[self.first[i - len(self.dataset)]]
        return sample | {"rgb": sample["rgb"][:1].expand_as(sample["rgb"]).clone(), "has_previous": torch.tensor(False)}


def prepare_data(dataset, config):
    """What the network is trained on: see `WithFirstFrames`, `WithLines`.

    >>> shot = type("Windows", (list,), {"ids": ["a"], "starts": [True]})([{"rgb": torch.zeros(2, 3, 32, 32).byte()}])
    >>> [*prepare_data(shot, VARIANTS["tcvc_lines"]["smoke"])[0]]
    ['rgb', 'has_previous', 'lines']
    """
    dataset = WithFirstFrames(dataset)
    return WithLines(dataset) if config.sees == "lines" else dataset


class Step:
    """One update: the discriminator, whose parameters change at the first and every 12th update only, then the generator.

    >>> step = Step(SMOKE, train.make_fabric("cpu"))
    >>> [*step({"rgb": torch.randint(256, (1, 2, 3, 32, 32)).byte(), "has_previous": torch.tensor([True])})]
    ['critic', 'loss', 'l1', 'temporal', 'adversarial', 'style', 'content']
    """

    def __init__(self, config, fabric, compile=False):
        self.config, self.fabric, self.updates = config, fabric, Count()
        train.seed_everything(config.seed)
        generator, critic, on_gpu = Generator(config), Discriminator(config), fabric.device.type == "cuda"      # on a CPU the layers see to their layout
        self.model, self.optimizer = train.prepare(fabric, generator, make_adam(generator, config.learning_rate, config), compile, on_gpu)
        self.critic, self.critic_optimizer = train.prepare(fabric, critic, make_adam(critic, config.critic_rate, config), compile, on_gpu)
        if config.one_cycle:
            self.schedule = one_cycle(self.optimizer, config.learning_rate, config.steps)
        wanted = config.style_weight or config.content_weight
        features = FeaturePyramid(config.features, STYLE[config.features] + CONTENT[config.features], normalise=config.normalise_features) if wanted else None
        self.features = [fabric.to_device(features).to(memory_format=torch.channels_last)] if wanted else []      # in a list, so that no checkpoint holds it
        self.notes = f"features {self.features[0].label if wanted else 'none'}"

    def __call__(self, batch):
        x, previous, true, before = self.prepare(batch)
        painted = self.model(x, previous)
        critic = self.teach_critic(x, previous, painted.detach(), true)
        with train.frozen(self.critic):
            terms = self.terms(x, previous, painted, true, before)
            train.update(self.fabric, self.optimizer, sum(terms.values()))
        if self.config.one_cycle:
            self.schedule.step()
        return {name: value.detach() for name, value in ({"critic": critic, "loss": sum(terms.values())} | terms).items()}

    def terms(self, x, previous, painted, true, before):
        """What the generator minimises, {name: weighted value}; see `prepare`."""
        config, found = self.config, {"l1": self.config.l1_weight * F.l1_loss(painted, true)}
        if config.temporal_weight:
            is_shown = previous.any(1, keepdim=True)                                        # where the frame before is not black
            found["temporal"] = config.temporal_weight * (is_shown * ((painted - true) - (previous - before)).abs()).mean()
        if config.adversarial_weight:
            with self.fabric.autocast():      # the bare module: frozen, so that parallel processes have nothing to exchange
                found["adversarial"] = config.adversarial_weight * losses.generator_loss(self.critic.module(x, previous, painted), "bce")
        if self.features:
            with self.fabric.autocast():
                seen, aim = (self.features[0](one.contiguous(memory_format=torch.channels_last)) for one in (painted, true))
            style, content = style_and_content(seen, aim, STYLE[config.features], CONTENT[config.features])
            found |= {"style": config.style_weight * style, "content": config.content_weight * content}
        return found

    def prepare(self, batch):
        """uint8 batch -> x `(N, 1, H, W)`, the frame before as shown or black, the true frame, the true frame before `(N, 3, H, W)`, all in [0, 1].
        """
        config, (before, true) = self.config, batch["rgb"].float().div(255).unbind(1)
        L_before, L = (lab.rgb_to_lab(one)[:, :1] for one in (before, true))
        if config.sees == "lines":
            x_before, x = batch["lines"].float().div(255).unbind(1)
        else:
            x_before, x = gray_frame(before, L_before, config.gray), gray_frame(true, L, config.gray)
        chance = torch.rand(2, len(true))      # drawn in any case, so that settings differ in nothing else
        shown = before
        if config.own_share:
            with torch.no_grad():
                own = self.model(x_before, torch.zeros_like(before)).float()
            own = put_lightness(own, L_before) if config.feeds == "pasted" else own
            shown = torch.where((chance[1] < config.own_share).to(true.device).view(-1, 1, 1, 1), own, before)
        if config.align:
            shown, before = align(torch.cat([shown, before], 1), L_before, L).chunk(2, 1)
        is_shown = (chance[0] < config.previous_share).to(true.device) & batch["has_previous"]
        return x, shown * is_shown.view(-1, 1, 1, 1), true, before

    def teach_critic(self, x, previous, painted, true):
        """The discriminator's loss and, when it is its turn, an update."""
        due = self.updates.done % self.config.critic_every == self.config.critic_every - 1 or self.updates.done == 0
        self.updates.done += 1
        with torch.set_grad_enabled(due):
            fake, real = self.critic(x, previous, painted, true)
            loss = losses.critic_loss(real, fake, "bce")
        if due:
            train.update(self.fabric, self.critic_optimizer, loss)
        return loss

    def result(self):
        """The trained generator."""
        return self.model.module.eval()


class Count:
    """A number that checkpoints keep."""

    def __init__(self):
        self.done = 0

    def state_dict(self):
        return {"done": self.done}

    def load_state_dict(self, state):
        self.done = state["done"]


def gray_frame(rgb, L, kind):
    """rgb `(N, 3, H, W)` in [0, 1] and its lightness L `(N, 1, H, W)` in [0, 100] -> grey `(N, 1, H, W)` in [0, 1]: "luma", scikit-image's
    weights, or "lightness", the grey of the same L*."""
    if kind == "lightness":
        return lab.gray_of(L).clamp(0, 1)
    return (rgb * rgb.new_tensor(GRAY).view(3, 1, 1)).sum(1, keepdim=True)


def put_lightness(rgb, L):
    """rgb `(N, 3, H, W)` in [0, 1] with the lightness L `(N, 1, H, W)` in [0, 100] and, as far as there are such colours, its own a and b."""
    return lab.lab_to_rgb(torch.cat([L, lab.rgb_to_lab(rgb)[:, 1:]], 1))


def align(previous, L_before, L):
    """The frame before `(N, C, H, W)`, moved to where the frame of lightness L `(N, 1, H, W)` shows the same surfaces; black where the two frames'
    lightness, so followed, differs by more than MISMATCH.

    >>> L = torch.rand(1, 1, 32, 32) * 100
    >>> align(torch.rand(1, 3, 32, 32), L, L).shape
    torch.Size([1, 3, 32, 32])
    """
    moved, mismatch = motion.follow(previous, L_before, L)
    return moved * (mismatch < MISMATCH)


def make_adam(network, rate, config):
    """Adam (0, 0.999); with one_cycle AdamW (0.5, 0.999)."""
    if config.one_cycle:
        return torch.optim.AdamW(network.parameters(), rate, betas=(0.5, 0.999), weight_decay=0.01, fused=True)
    return torch.optim.Adam(network.parameters(), rate, betas=(0.0, 0.999), fused=True)


def make_step(config, fabric, dataset, run=None, progress=None, compile=False):
    """A `Step` for `config`; windows of two frames.

    >>> step = make_step(SMOKE, train.make_fabric("cpu"), dataset=None)
    >>> colorize(step.result(), {"L": torch.rand(1, 1, 9, 13) * 100}).shape
    torch.Size([1, 2, 9, 13])
    """
    return Step(config, fabric, compile)


# ---------------------------------------------------------------- use

def build(config, pretrained=False):
    """An untrained `Generator`.

    >>> with torch.device("meta"):      # counted, without memory
    ...     print(sum(map(torch.numel, build(PAPER).parameters())))
    10774595
    """
    return Generator(config)


@torch.no_grad()
def paint(model, x, previous=None):
    """x `(N, 1, H, W)`, grey or lines in [0, 1], any size; the frame before `(N, 3, H, W)` in [0, 1] or None for black -> rgb `(N, 3, H, W)` in [0,
    1].

    >>> paint(build(SMOKE), torch.rand(1, 1, 30, 41)).shape
    torch.Size([1, 3, 30, 41])
    """
    previous = torch.zeros_like(x).expand(-1, 3, -1, -1) if previous is None else previous
    return at_any_size(lambda both: model.eval()(both[:, :1], both[:, 1:]), torch.cat([x, previous], 1), 4, LEAST)


def colorize_next(model, batch, state=None):
    """The next frame of a clip: (painted, state). batch: {"L": `(N, 1, H, W)` in [0, 100]} -> ab `(N, 2, H, W)`, or, of a network that sees lines,
    {"lines": `(N, 1, H, W)` in [0, 1]} -> rgb `(N, 3, H, W)` in [0, 1]. state: what came with the frame before, None at the beginning of a shot.

    >>> model, frame = build(SMOKE), {"L": torch.rand(1, 1, 32, 48) * 100}
    >>> ab, state = colorize_next(model, frame)      # a shot begins
    >>> ab, state = colorize_next(model, frame, state)
    >>> ab.shape, [*state]
    (torch.Size([1, 2, 32, 48]), ['previous', 'L'])
    """
    rgb = paint_next(model, batch, state)
    if model.config.sees == "lines":
        return rgb, {"previous": rgb}
    return lab.rgb_to_lab(rgb)[:, 1:], {"previous": put_lightness(rgb, batch["L"]) if model.config.feeds == "pasted" else rgb, "L": batch["L"]}


def paint_next(model, batch, state=None):
    """The next frame as the network paints it, rgb `(N, 3, H, W)` in [0, 1], lightness and all; see `colorize_next`."""
    previous = state["previous"] if state and model.config.previous_share else None
    if model.config.sees == "lines":
        return paint(model, batch["lines"], previous)
    if previous is not None and model.config.align:
        previous = align(previous, state["L"], batch["L"])
    return paint(model, lab.gray_of(batch["L"]).clamp(0, 1), previous)


def colorize(model, batch):
    """A single picture, as a shot's first frame; see `colorize_next`.

    >>> colorize(build(SMOKE), {"L": torch.rand(1, 1, 30, 41) * 100}).shape
    torch.Size([1, 2, 30, 41])
    >>> colorize(build(VARIANTS["tcvc_lines"]["smoke"]), {"lines": torch.rand(1, 1, 30, 41)}).shape
    torch.Size([1, 3, 30, 41])
    """
    return colorize_next(model, batch)[0]


def variants(model):
    """What the results table of single pictures compares: {row name: function of a batch -> ab, or rgb from lines}.

    >>> rows = variants(build(SMOKE))
    >>> [*rows], rows[""]({"L": torch.rand(1, 1, 9, 13) * 100}).shape
    ([''], torch.Size([1, 2, 9, 13]))
    """
    return {"": lambda batch: colorize(model, batch)}


def clip_variants(model):
    """What the results table of clips compares: {row name: function of true frames `(T, 3, H, W)` uint8 -> painted ones}. A network that was never
    shown a frame before (previous_share 0) is not shown one here.

    "": every frame is shown the one painted before; of grey frames the lightness is put back. "every frame alone": never. "true frame before": as in
    training. "lightness painted": of grey frames, as published, lightness and all as painted, and so shown to the next frame.

    >>> [*clip_variants(build(SMOKE))]
    ['', 'every frame alone', 'true frame before', 'lightness painted']
    """
    own = "own" if model.config.previous_share else "nothing"
    rows = {"": {"shows": own}} | ({"every frame alone": {"shows": "nothing"}, "true frame before": {"shows": "truth"}} if model.config.previous_share else {})
    rows |= {"lightness painted": {"shows": own, "keeps_lightness": False}} if model.config.sees == "grey" else {}
    return {row: lambda frames, how=how: paint_clip(model, frames, **how) for row, how in rows.items()}


def paint_clip(model, frames, shows="own", keeps_lightness=True, first=None):
    """Paint true frames `(T, 3, H, W)` uint8 from their lightness or line art; uint8 of the same shape.

    shows: the frame before that the network is shown: "own", what it painted itself, "truth", or "nothing". first: a colour frame `(3, H, W)` in [0,
    1], or uint8, that stands before the first one. keeps_lightness: of grey frames, the true lightness is put back. Raises ValueError for another
    word.

    >>> painted = paint_clip(build(SMOKE), torch.randint(256, (2, 3, 32, 32)).byte())
    >>> painted.shape, painted.dtype
    (torch.Size([2, 3, 32, 32]), torch.uint8)
    """
    if shows not in ("own", "truth", "nothing"):
        raise ValueError(f"shows is {shows!r}: choose own, truth or nothing.")
    device, painted, state = next(model.parameters()).device, [], None
    if first is not None:
        first = (first / 255 if first.dtype == torch.uint8 else first)[None].to(device)
        state = {"previous": first, "L": lab.rgb_to_lab(first)[:, :1]}
    for frame in frames:
        true = (frame.float() / 255)[None].to(device)
        L = lab.rgb_to_lab(true)[:, :1]
        if model.config.sees == "lines":
            rgb, state = colorize_next(model, {"lines": images.line_art(L[0, 0].cpu().numpy(), drawing=False).to(device)}, state)
        elif keeps_lightness:
            ab, state = colorize_next(model, {"L": L}, state)
            rgb = torch.from_numpy(images.merge_chroma(L[0, 0].cpu().numpy(), ab[0])).permute(2, 0, 1)[None] / 255
        else:
            rgb = paint_next(model, {"L": L}, state)
            state = {"previous": rgb, "L": L}
        painted.append(rgb[0].cpu().mul(255).round().byte())
        state = {"own": state, "truth": {"previous": true, "L": L}, "nothing": None}[shows]
    return torch.stack(painted)


def networks(config):
    """The parts a parameter table lists.

    >>> [*networks(SMOKE)]
    ['generator', 'discriminator']
    """
    return {"generator": Generator(config), "discriminator": Discriminator(config)}
