"""Adversarial losses: values worked out by hand, and critics whose slope is known. Weighted cross-entropy: by hand and against torch's own."""
import math

import pytest
import torch
import torch.nn.functional as F

from colorlib import losses

REAL, FAKE = torch.tensor([[1.0, 3.0], [-1.0, 5.0]]), torch.tensor([[0.5, -0.5], [2.0, 0.0]])


def test_losses_of_the_critic():
    for kind in ("wgan", "wgan_gp"):
        assert losses.critic_loss(REAL, FAKE, kind).item() == pytest.approx(0.5 - 2)                    # mean fake - mean real
    expected = 0.5 * ((0 + 4 + 4 + 16) / 4 + (0.25 + 0.25 + 4 + 0) / 4)
    assert losses.critic_loss(REAL, FAKE, "lsgan").item() == pytest.approx(expected)


def test_losses_of_the_generator():
    assert [losses.generator_loss(FAKE, kind).item() for kind in ("wgan", "wgan_gp")] == pytest.approx([-0.5, -0.5])
    assert losses.generator_loss(FAKE, "lsgan").item() == pytest.approx((0.25 + 2.25 + 1 + 1) / 4)
    assert losses.generator_loss(torch.ones(2, 1, 30, 30), "lsgan").item() == 0


def test_a_perfect_critic_has_no_loss_and_each_side_pulls_its_way():
    assert losses.critic_loss(torch.ones(3), torch.zeros(3), "lsgan").item() == 0
    for kind in losses.GAN_KINDS:
        real, fake = torch.zeros(4, requires_grad=True), torch.zeros(4, requires_grad=True)
        losses.critic_loss(real, fake, kind).backward()
        assert (real.grad < 0).all() and (fake.grad >= 0).all()                                        # the critic wants real above fake
        fake = torch.zeros(4, requires_grad=True)
        losses.generator_loss(fake, kind).backward()
        assert (fake.grad < 0).all()                                                                   # the generator wants fake higher


@pytest.mark.parametrize("loss", [lambda kind: losses.critic_loss(REAL, FAKE, kind), lambda kind: losses.generator_loss(FAKE, kind)])
def test_an_unknown_kind_is_named(loss):
    with pytest.raises(ValueError, match="The GAN kind is 'hinge': choose one of wgan_gp, wgan, lsgan, bce."):
        loss("hinge")


def pictures(number=3):
    generator = torch.Generator().manual_seed(0)
    return [torch.rand(number, 2, 4, 5, generator=generator, dtype=torch.float64) for _ in range(2)]


def test_slope_of_a_linear_critic():
    """D(z) = <w, z> has the gradient w everywhere: the penalty is (|w| - 1)^2 whatever the pictures."""
    real, fake = pictures()
    for length in (0.0, 1.0, 3.0):
        w = torch.ones(2, 4, 5, dtype=torch.float64) * length / 40 ** 0.5
        penalty, slope = losses.gradient_penalty(lambda z, w=w: (w * z).sum((1, 2, 3)), real, fake)
        assert penalty.item() == pytest.approx((length - 1) ** 2, abs=1e-6) and slope.item() == pytest.approx(length, abs=1e-6)


def test_sum_and_mean_of_patch_scores():
    """20 scores a picture, each 2 sqrt(40) / 20 times the mean over the channels: the slope of their sum is 20 times that of their mean."""
    real, fake = pictures()
    w = 2 / 20 * 40 ** 0.5
    critic = lambda z: w * z.mean(1, keepdim=True)                                                      # (N, 1, 4, 5)
    found = {reduce: losses.gradient_penalty(critic, real, fake, reduce) for reduce in ("sum", "mean")}
    slope = w * (40 * 0.5 ** 2) ** 0.5                                                                  # of the sum: w / 2 at each of 40 values
    assert found["sum"][1].item() == pytest.approx(slope, rel=1e-6) and found["mean"][1].item() == pytest.approx(slope / 20, rel=1e-6)
    assert found["sum"][0].item() == pytest.approx((slope - 1) ** 2, rel=1e-5)
    assert found["mean"][0].item() == pytest.approx((slope / 20 - 1) ** 2, rel=1e-5)


def test_where_on_the_line_the_slope_is_taken():
    """D(z) = |z|^2 / 2 has the gradient z."""
    real, fake = pictures()
    critic = lambda z: z.square().sum((1, 2, 3)) / 2
    for share, place in ((1.0, real), (0.0, fake), (0.25, 0.25 * real + 0.75 * fake)):
        lengths = place.flatten(1).norm(dim=1)
        penalty, slope = losses.gradient_penalty(critic, real, fake, share=torch.full((3, 1, 1, 1), share, dtype=torch.float64))
        assert slope.item() == pytest.approx(lengths.mean().item(), rel=1e-6)
        assert penalty.item() == pytest.approx((lengths - 1).square().mean().item(), rel=1e-5)
    torch.manual_seed(0)
    drawn = [losses.gradient_penalty(critic, real, fake)[1].item() for _ in range(3)]
    assert len(set(drawn)) == 3                                                                         # a new place each time


def test_the_penalty_teaches_the_critic_and_nobody_else():
    real, fake = (x.requires_grad_() for x in pictures())
    w = torch.full((2, 4, 5), 0.5, dtype=torch.float64, requires_grad=True)
    penalty, slope = losses.gradient_penalty(lambda z: (w * z).sum((1, 2, 3)), real, fake)
    penalty.backward()
    length = 0.5 * 40 ** 0.5
    assert torch.allclose(w.grad, torch.full_like(w, 2 * (length - 1) * 0.5 / length), rtol=1e-5)       # d (|w| - 1)^2 / dw
    assert real.grad is None and fake.grad is None and not slope.requires_grad


# ---------------------------------------------------------------- classification with weights

def classes(kind="bins"):
    """Logits (2, 5, 3, 4), a target and weights, of which one is 0."""
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(2, 5, 3, 4, generator=generator, dtype=torch.double)
    target = torch.randint(0, 5, (2, 3, 4), generator=generator)
    if kind == "distributions":
        target = torch.softmax(3 * torch.randn(2, 5, 3, 4, generator=generator, dtype=torch.double), 1)
    return logits, target, torch.tensor([1.0, 0.5, 2.0, 0.0, 3.0], dtype=torch.double)


def test_weighted_cross_entropy_by_hand():
    """Two pixels, two classes: probabilities 0.5 and 0.8 of what is right, weights 1 and 3."""
    logits = torch.tensor([[[[0.0, 0.0]], [[0.0, math.log(4)]]]])
    target, weights = torch.tensor([[[0, 1]]]), torch.tensor([1.0, 3.0])
    total = -math.log(0.5) - 3 * math.log(0.8)
    assert losses.rebalanced_cross_entropy(logits, target, weights, "pixels").item() == pytest.approx(total / 2)
    assert losses.rebalanced_cross_entropy(logits, target, weights, "weights").item() == pytest.approx(total / 4)
    soft = torch.tensor([[[[0.6, 0.3]], [[0.4, 0.7]]]])          # largest bins 0 and 1
    total = -math.log(0.5) - 3 * (0.3 * math.log(0.2) + 0.7 * math.log(0.8))
    assert losses.rebalanced_cross_entropy(logits, soft, weights, "pixels").item() == pytest.approx(total / 2)
    assert losses.rebalanced_cross_entropy(logits, soft, weights, "weights").item() == pytest.approx(total / 4)


def test_weighted_cross_entropy_is_torchs_own():
    logits, target, weights = classes()
    for normalize, theirs in (("weights", F.cross_entropy(logits.float(), target, weights.float())),
                              ("pixels", F.cross_entropy(logits.float(), target, weights.float(), reduction="sum") / target.numel())):
        assert losses.rebalanced_cross_entropy(logits, target, weights, normalize).item() == pytest.approx(theirs.item(), rel=1e-5)
    assert losses.rebalanced_cross_entropy(logits, target, torch.ones(5), "pixels").item() == pytest.approx(F.cross_entropy(logits, target).item(), rel=1e-5)


def test_a_few_bins_and_their_shares_are_a_distribution():
    logits, target, weights = classes("distributions")
    share, index = target.sort(1, descending=True)
    for normalize in ("pixels", "weights"):
        whole = losses.rebalanced_cross_entropy(logits, target, weights, normalize)
        assert losses.rebalanced_cross_entropy(logits, (index, share), weights, normalize).item() == pytest.approx(whole.item(), rel=1e-5)


def test_a_soft_label_has_the_weight_of_its_largest_bin():
    logits, target, weights = classes("distributions")
    entropy = -(target * logits.log_softmax(1)).sum(1)
    weight = weights[target.argmax(1)]
    assert losses.rebalanced_cross_entropy(logits, target, weights).item() == pytest.approx((weight * entropy).mean().item(), rel=1e-5)
    shared = ((weight * entropy).sum() / weight.sum()).item()
    assert losses.rebalanced_cross_entropy(logits, target, weights, "weights").item() == pytest.approx(shared, rel=1e-5)
    hard = classes()[1]
    certain = F.one_hot(hard, 5).movedim(-1, 1).double()         # a distribution that is sure is a bin
    for normalize in ("pixels", "weights"):
        assert losses.rebalanced_cross_entropy(logits, certain, weights, normalize).item() == \
            pytest.approx(losses.rebalanced_cross_entropy(logits, hard, weights, normalize).item(), rel=1e-5)


def test_pictures_that_do_not_count():
    logits, target, weights = classes()
    first = torch.tensor([1.0, 0.0])
    alone = {normalize: losses.rebalanced_cross_entropy(logits[:1], target[:1], weights, normalize).item() for normalize in ("pixels", "weights")}
    assert losses.rebalanced_cross_entropy(logits, target, weights, "weights", first).item() == pytest.approx(alone["weights"], rel=1e-5)
    assert losses.rebalanced_cross_entropy(logits, target, weights, "pixels", first.bool()).item() == pytest.approx(alone["pixels"] / 2, rel=1e-5)
    for normalize in ("pixels", "weights"):                      # nobody counts, or nothing has weight: 0, not 0 / 0
        assert losses.rebalanced_cross_entropy(logits, target, weights, normalize, torch.zeros(2)).item() == 0
        assert losses.rebalanced_cross_entropy(logits, target, torch.zeros(5), normalize).item() == 0
    with pytest.raises(ValueError, match="normalize is 'mean': choose pixels or weights"):
        losses.rebalanced_cross_entropy(logits, target, weights, "mean")


def test_half_precision_logits_are_summed_in_float32():
    logits, target, weights = classes()
    half = losses.rebalanced_cross_entropy(logits.bfloat16(), target, weights)
    assert half.dtype == torch.float32 and half.item() == pytest.approx(losses.rebalanced_cross_entropy(logits.bfloat16().float(), target, weights).item())


def test_ssim_is_not_computed_in_half_precision():
    pred, true = (0.9 + 0.02 * torch.rand(1, 3, 24, 24, generator=torch.Generator().manual_seed(seed)) for seed in (0, 1))
    plain = losses.mean_ssim(pred, true)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert losses.mean_ssim(pred, true).item() == plain.item() < 0.99
    assert losses.mean_ssim(pred.bfloat16(), true.bfloat16()).dtype == torch.float32
