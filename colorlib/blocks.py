"""Parts that several papers use in the same form: how infrared pairs reach a network, and what translation GANs share."""
import torch
import torch.nn.functional as F
from torch import nn

__all__ = ["pair_of", "to_unit", "from_unit", "at_any_size", "make_norm", "init_normal", "ResBlock",
           "PatchDiscriminator", "Pool", "one_cycle", "constant_then_linear"]

NORMS = {"batch": nn.BatchNorm2d, "instance": nn.InstanceNorm2d}


def pair_of(batch):
    """A batch of uint8 "nir" `(N, 1, H, W)` and "rgb" `(N, 3, H, W)` -> both as float in [0, 1].

    >>> nir, rgb = pair_of({"nir": torch.full((1, 1, 2, 2), 255).byte(), "rgb": torch.zeros(1, 3, 2, 2).byte()})
    >>> nir.max().item(), rgb.max().item()
    (1.0, 0.0)
    """
    return batch["nir"].float() / 255, batch["rgb"].float() / 255


def to_unit(x_n):
    """[-1, 1] -> [0, 1].

    >>> to_unit(torch.tensor([-1.0, 0.0, 1.0])).tolist()
    [0.0, 0.5, 1.0]
    """
    return 0.5 + 0.5 * x_n


def from_unit(x):
    """[0, 1] -> [-1, 1].

    >>> from_unit(torch.tensor([0.0, 0.5, 1.0])).tolist()
    [-1.0, 0.0, 1.0]
    """
    return 2 * x - 1


def at_any_size(network, x, multiple, least=0):
    """A network that takes heights and widths which are multiples of `multiple`, from `least` on, on x `(N, C, H, W)` of any: padded by repeating the
    border, then cut.

    >>> def network(x):
    ...     print("sees", *x.shape[2:])
    ...     return x
    >>> at_any_size(network, torch.rand(1, 1, 30, 41), multiple=16).shape
    sees 32 48
    torch.Size([1, 1, 30, 41])
    """
    height, width = x.shape[-2:]
    down, right = (-(-max(side, least) // multiple) * multiple - side for side in (height, width))
    return network(F.pad(x, (0, right, 0, down), mode="replicate"))[..., :height, :width]


def make_norm(kind, channels):
    """A normalisation layer: "batch", "instance" (no parameters) or "none". Raises ValueError for another word.

    >>> [sum(map(torch.numel, make_norm(kind, 8).parameters())) for kind in ("batch", "instance", "none")]
    [16, 0, 0]
    """
    if kind not in (*NORMS, "none"):
        raise ValueError(f"norm is {kind!r}: choose batch, instance or none.")
    return NORMS[kind](channels) if kind in NORMS else nn.Identity()


def init_normal(network, sd=0.02):
    """Convolutions from N(0, sd), batch norm's scales from N(1, sd), biases 0: what Isola et al. and Zhu et al. 2017 begin with. Returns the network.

    >>> layer = init_normal(nn.Conv2d(64, 64, 3))
    >>> round(layer.weight.std().item(), 3), layer.bias.abs().max().item()
    (0.02, 0.0)
    """
    for layer in network.modules():
        if isinstance(layer, (nn.Conv2d, nn.ConvTranspose2d)):
            nn.init.normal_(layer.weight, 0.0, sd)
        elif isinstance(layer, nn.BatchNorm2d):
            nn.init.normal_(layer.weight, 1.0, sd)
        if isinstance(layer, (nn.Conv2d, nn.ConvTranspose2d, nn.BatchNorm2d)) and layer.bias is not None:
            nn.init.zeros_(layer.bias)
    return network


class ResBlock(nn.Module):
    """x + two 3x3 convolutions with mirrored borders, each with a norm, ReLU between (Johnson et al. 2016, as in CycleGAN).

    >>> ResBlock(8)(torch.rand(1, 8, 5, 7)).shape
    torch.Size([1, 8, 5, 7])
    """

    def __init__(self, channels, norm="instance"):
        super().__init__()
        self.layers = nn.Sequential(nn.ReflectionPad2d(1), nn.Conv2d(channels, channels, 3), make_norm(norm, channels), nn.ReLU(inplace=True),
                                    nn.ReflectionPad2d(1), nn.Conv2d(channels, channels, 3), make_norm(norm, channels))

    def forward(self, x):
        return x + self.layers(x)


class PatchDiscriminator(nn.Sequential):
    """Scores of overlapping patches, `(N, C, H, W)` -> `(N, 1, h, w)`: `halvings` 4x4 convolutions of stride 2, two of stride 1.

    Three halvings see 70 x 70 pixels (Isola et al. 2017, section 6.1.2), two 34, four 142; the picture's sides must be at least 2 ^ (halvings + 1) +
    1 pixels or so. No norm after the first and last convolution.

    >>> PatchDiscriminator(6, width=8)(torch.zeros(1, 6, 256, 256)).shape
    torch.Size([1, 1, 30, 30])
    """

    def __init__(self, channels, width=64, halvings=3, norm="batch"):
        leak = lambda: nn.LeakyReLU(0.2, inplace=True)
        layers = [nn.Conv2d(channels, width, 4, 2, 1), leak()]
        for level in range(1, halvings + 1):
            before, after = (min(2 ** i, 8) * width for i in (level - 1, level))
            layers += [nn.Conv2d(before, after, 4, 2 if level < halvings else 1, 1, bias=norm != "batch"), make_norm(norm, after), leak()]
        super().__init__(*layers, nn.Conv2d(after, 1, 4, 1, 1))


class Pool:
    """The last pictures a generator painted: a critic is shown an old one half of the time, so that it does not forget (Shrivastava et al. 2017).

    Call it with pictures `(N, C, H, W)`; gives as many back. Its state goes into checkpoints.

    >>> pool = Pool(size=1)
    >>> pool(torch.zeros(1, 3, 4, 4)).sum().item(), len(pool.kept)
    (0.0, 1)
    """

    def __init__(self, size=50):
        self.size, self.kept = size, []

    def __call__(self, pictures):
        shown = []
        for picture in pictures.detach():
            if len(self.kept) < self.size:
                self.kept.append(picture)
                shown.append(picture)
            elif torch.rand(()) < 0.5:
                place = int(torch.randint(self.size, ()))
                shown.append(self.kept[place].to(picture))
                self.kept[place] = picture
            else:
                shown.append(picture)
        return torch.stack(shown)

    def state_dict(self):
        return {"kept": [picture.cpu() for picture in self.kept]}

    def load_state_dict(self, state):
        self.kept = list(state["kept"])


def one_cycle(optimizer, rate, steps):
    """A schedule that warms up to the rate for 15 % of the updates and falls to zero along a cosine; Adam's betas stay, as GANs choose them with
    care.

    >>> schedule = one_cycle(torch.optim.AdamW([nn.Parameter(torch.zeros(1))]), rate=0.1, steps=100)
    >>> [round(rate, 4) for rate in schedule.get_last_lr()]
    [0.004]
    """
    return torch.optim.lr_scheduler.OneCycleLR(optimizer, rate, total_steps=steps + 1, pct_start=0.15, cycle_momentum=False)


def constant_then_linear(optimizer, steps):
    """A schedule that keeps the rate for the first half of the updates and lets it fall to zero in the second (Zhu et al. 2017, section 7.1).

    >>> schedule = constant_then_linear(torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1.0), steps=4)
    >>> [schedule.lr_lambdas[0](done) for done in range(5)]
    [1.0, 1.0, 1.0, 0.5, 0.0]
    """
    return torch.optim.lr_scheduler.LambdaLR(optimizer, lambda done: min(1.0, 2 * max(0.0, 1 - done / max(1, steps))))
