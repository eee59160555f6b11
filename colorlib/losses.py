"""Adversarial losses, one function an equation. Scores are a discriminator's raw output, any shape; results are one number."""
import torch
import torch.nn.functional as F

GAN_KINDS = ("wgan_gp", "wgan", "lsgan")


def critic_loss(real, fake, kind):
    """What a discriminator minimises, without the gradient penalty. Raises ValueError for an unknown kind.

    "wgan", "wgan_gp": mean fake - mean real (Arjovsky et al. 2017). "lsgan": half the mean squared distance to 1 and 0 (Mao et al. 2017).
    """
    if kind in ("wgan", "wgan_gp"):
        return fake.mean() - real.mean()
    if kind == "lsgan":
        return 0.5 * (F.mse_loss(real, torch.ones_like(real)) + F.mse_loss(fake, torch.zeros_like(fake)))
    raise ValueError(f"The GAN kind is {kind!r}: choose one of {', '.join(GAN_KINDS)}.")


def generator_loss(fake, kind):
    """What the generator minimises: - mean score (WGAN), or the mean squared distance of the scores to 1 (LSGAN)."""
    if kind in ("wgan", "wgan_gp"):
        return -fake.mean()
    if kind == "lsgan":
        return F.mse_loss(fake, torch.ones_like(fake))
    raise ValueError(f"The GAN kind is {kind!r}: choose one of {', '.join(GAN_KINDS)}.")


def gradient_penalty(critic, real, fake, reduce="sum", share=None):
    """mean over pictures of (|grad of reduce(critic(z))| - 1)^2, z on the line between real and fake (Gulrajani et al. 2017, eq. 3).

    critic: function of pictures `(N, C, H, W)` -> scores `(N, ...)`. reduce: "sum" or "mean" of a picture's scores; a patch critic whose *mean*
    enters the loss but whose *sum* is penalised is pushed to a slope of 1 / (number of patches). share: where on the line, `(N, 1, 1, 1)` in
    [0, 1]; random by default. Returns (penalty, mean gradient norm, detached).
    """
    share = torch.rand(len(real), 1, 1, 1, device=real.device, dtype=real.dtype) if share is None else share
    between = (share * real.detach() + (1 - share) * fake.detach()).requires_grad_()
    precise = torch.promote_types(real.dtype, torch.float32)
    scores = critic(between).reshape(len(real), -1).to(precise)
    scores = scores.sum() if reduce == "sum" else scores.mean(1).sum()
    slope = torch.autograd.grad(scores, between, create_graph=True)[0].flatten(1).to(precise).norm(dim=1)    # (N,)
    return (slope - 1).square().mean(), slope.detach().mean()
