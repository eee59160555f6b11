"""Losses, one function an equation: adversarial, classification, histograms, smoothness, structure.

Each returns one number, a tensor `()` to be minimised, unless it says otherwise; none has a weight inside. A discriminator's scores are its raw output,
before any sigmoid, of any shape.
"""
import torch
import torch.nn.functional as F

__all__ = ["critic_loss", "generator_loss", "gradient_penalty", "rebalanced_cross_entropy", "chi_square",
           "squared_variation", "mean_ssim", "GAN_KINDS"]

GAN_KINDS = ("wgan_gp", "wgan", "lsgan", "bce")
WINDOW, WINDOW_SIGMA, C1, C2 = 11, 1.5, 0.01 ** 2, 0.03 ** 2       # of the structural similarity, Wang et al. 2004


def critic_loss(real, fake, kind):
    """What a discriminator minimises, without the gradient penalty. Raises ValueError for an unknown kind.

    "wgan", "wgan_gp": mean fake - mean real (Arjovsky et al. 2017). "lsgan": half the mean squared distance to 1 and 0 (Mao et al. 2017).
    "bce": half the sum of the two binary cross-entropies (Goodfellow et al. 2014; the half as in Isola et al. 2017, section 3.3).

    >>> real, fake = torch.full((2, 1), 0.9), torch.full((2, 1), 0.1)
    >>> [round(critic_loss(real, fake, kind).item(), 2) for kind in ("wgan", "lsgan", "bce")]
    [-0.8, 0.01, 0.54]
    """
    if kind in ("wgan", "wgan_gp"):
        return fake.mean() - real.mean()
    if kind == "lsgan":
        return 0.5 * (F.mse_loss(real, torch.ones_like(real)) + F.mse_loss(fake, torch.zeros_like(fake)))
    if kind == "bce":
        return 0.5 * (F.softplus(-real).mean() + F.softplus(fake).mean())
    raise ValueError(f"The GAN kind is {kind!r}: choose one of {', '.join(GAN_KINDS)}.")


def generator_loss(fake, kind):
    """What the generator minimises: - mean score (WGAN), the mean squared distance of the scores to 1 (LSGAN), or - mean log sigmoid(score) (BCE).

    kind: as in `critic_loss`. Raises ValueError for an unknown one.

    >>> [round(generator_loss(torch.full((2, 1), 0.5), kind).item(), 2) for kind in ("wgan", "lsgan", "bce")]
    [-0.5, 0.25, 0.47]
    """
    if kind in ("wgan", "wgan_gp"):
        return -fake.mean()
    if kind == "lsgan":
        return F.mse_loss(fake, torch.ones_like(fake))
    if kind == "bce":
        return F.softplus(-fake).mean()
    raise ValueError(f"The GAN kind is {kind!r}: choose one of {', '.join(GAN_KINDS)}.")


def gradient_penalty(critic, real, fake, reduce="sum", share=None):
    """mean over pictures of (|grad of reduce(critic(z))| - 1)^2, z on the line between real and fake (Gulrajani et al. 2017, eq. 3).

    critic: function of pictures `(N, C, H, W)` -> scores `(N, ...)`. reduce: "sum" or "mean" of a picture's scores; a patch critic whose *mean*
    enters the loss but whose *sum* is penalised is pushed to a slope of 1 / (number of patches). share: where on the line, `(N, 1, 1, 1)` in
    [0, 1]; random by default. Returns (penalty, mean gradient norm, detached).

    >>> real, fake = torch.rand(2, 3, 4, 4), torch.rand(2, 3, 4, 4)
    >>> penalty, norm = gradient_penalty(lambda z: 2 * z[:, 0, 0, 0], real, fake)        # a critic whose slope is 2
    >>> penalty.item(), norm.item()
    (1.0, 2.0)
    """
    share = torch.rand(len(real), 1, 1, 1, device=real.device, dtype=real.dtype) if share is None else share
    between = (share * real.detach() + (1 - share) * fake.detach()).requires_grad_()
    precise = torch.promote_types(real.dtype, torch.float32)
    scores = critic(between).reshape(len(real), -1).to(precise)
    scores = scores.sum() if reduce == "sum" else scores.mean(1).sum()
    slope = torch.autograd.grad(scores, between, create_graph=True)[0].flatten(1).to(precise).norm(dim=1)    # (N,)
    return (slope - 1).square().mean(), slope.detach().mean()


def rebalanced_cross_entropy(logits, target, weights, normalize="pixels", share=None):
    """Cross-entropy with one weight a class. logits `(N, Q, H, W)`; target bins `(N, H, W)` int64, distributions `(N, Q, H, W)`, or a few bins and their shares,
    two `(N, k, H, W)`, largest first (`lab.soft_bins`); weights `(Q,)`.

    A distribution counts with the weight of its largest bin (Zhang et al. 2016, Eqs. 2 and 3). normalize: "pixels", the mean over all pixels, as
    Zhang et al.; "weights", divided by the sum of the weights met in the batch, as torch's `CrossEntropyLoss` and so Manjunatha et al. share: `(N,)`,
    0 leaves a picture out. Raises ValueError for another word.

    >>> logits, target = torch.zeros(1, 313, 4, 4), torch.zeros(1, 4, 4, dtype=torch.long)
    >>> round(rebalanced_cross_entropy(logits, target, torch.ones(313)).item(), 3)       # who knows nothing: log 313
    5.746
    """
    if normalize not in ("pixels", "weights"):
        raise ValueError(f"normalize is {normalize!r}: choose pixels or weights.")
    log_probability = F.log_softmax(logits.float(), 1)
    if isinstance(target, tuple):
        bins, entropy = target[0][:, 0], -(target[1] * log_probability.gather(1, target[0])).sum(1)
    elif target.ndim == 3:
        bins, entropy = target, F.nll_loss(log_probability, target, reduction="none")                     # (N, H, W)
    else:
        bins, entropy = target.argmax(1), -(target * log_probability).sum(1)
    weight = weights.to(entropy)[bins] if share is None else weights.to(entropy)[bins] * share.view(-1, 1, 1).to(entropy)
    return (weight * entropy).sum() / (weight.sum().clamp_min(1e-12) if normalize == "weights" else weight.numel())


def chi_square(h, r, eps=2.2204e-16):
    """2 sum_q (h_q - r_q)^2 / (h_q + r_q): the symmetric chi-square distance of histograms `(N, Q)` that sum to 1, mean over N; from 0 to 4, for disjoint ones.

    Gray2ColorNet's histogram loss. Bins that are empty in both count nothing and get no gradient.

    >>> h, r = torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 1.0]])
    >>> chi_square(h, h).item(), chi_square(h, r).item()
    (0.0, 4.0)
    """
    total = h + r
    is_met = total > eps
    return (2 * torch.where(is_met, (h - r).square() / torch.where(is_met, total, 1), 0)).sum(1).mean()


def squared_variation(x):
    """Squared total variation of maps `(N, C, H, W)`: twice the sum of the mean squared differences of vertical and of horizontal neighbours.

    Gray2ColorNet's smoothness, 0 for an even map.

    >>> squared_variation(torch.ones(1, 2, 8, 8)).item(), squared_variation(torch.eye(2)[None, None]).item()
    (0.0, 4.0)
    """
    return 2 * (x.diff(dim=-2).square().mean() + x.diff(dim=-1).square().mean())


@torch.autocast("cuda", enabled=False)
@torch.autocast("cpu", enabled=False)
def mean_ssim(pred, true):
    """Structural similarity (Wang et al. 2004) of `(N, C, H, W)` in [0, 1], mean over all pixels and maps; zeros outside the picture. 1 - it is the loss.

    In half precision the variances, small differences of large numbers, would be noise, so it is computed in float32 at least.

    >>> x = torch.rand(1, 1, 16, 16)
    >>> round(mean_ssim(x, x).item(), 4), round(mean_ssim(x.round(), 1 - x.round()).item(), 1)
    (1.0, -0.7)
    """
    pred, true = (x.to(torch.promote_types(x.dtype, torch.float32)) for x in (pred, true))
    axis = torch.arange(WINDOW, device=pred.device, dtype=pred.dtype) - WINDOW // 2
    window = (-axis.square() / (2 * WINDOW_SIGMA ** 2)).exp()
    window = (window / window.sum()).expand(pred.shape[1], 1, 1, -1)

    def blur(x):
        x = F.conv2d(x, window, padding=(0, WINDOW // 2), groups=x.shape[1])
        return F.conv2d(x, window.transpose(2, 3), padding=(WINDOW // 2, 0), groups=x.shape[1])
    mean_p, mean_t = blur(pred), blur(true)
    var_p, var_t, cov = blur(pred * pred) - mean_p ** 2, blur(true * true) - mean_t ** 2, blur(pred * true) - mean_p * mean_t
    return ((2 * mean_p * mean_t + C1) * (2 * cov + C2) / ((mean_p ** 2 + mean_t ** 2 + C1) * (var_p + var_t + C2))).mean()
