"""Hints drawn from true pictures: the three test protocols, the training schemes, and how squares become maps."""
import hashlib

import numpy as np
import pytest
import torch

from colorlib.hints import simulated_hints as sim

IDS = [f"picture {i}" for i in range(600)]


def ramp(number=1, height=40, width=56):
    """Pictures whose ab tells the place: a = column, b = row."""
    y, x = torch.meshgrid(torch.arange(float(height)), torch.arange(float(width)), indexing="ij")
    return torch.stack([x, y]).expand(number, -1, -1, -1).clone()


def noise(number=1, height=40, width=56):
    return 100 * torch.rand(number, 2, height, width, generator=torch.Generator().manual_seed(0)) - 50


def shares(hint_mask):
    """Hinted share of each picture."""
    return hint_mask.mean((1, 2, 3)).double().numpy()


def corners(hint_mask):
    """(N, 2): first hinted row and column of each picture."""
    return np.array([[one[0].any(1).nonzero()[0, 0], one[0].any(0).nonzero()[0, 0]] for one in hint_mask > 0])


# ---------------------------------------------------------------- painting

def paint_by_loops(ab, squares):
    hint_ab, hint_mask = np.zeros_like(ab), np.zeros_like(ab[:, :1])
    for i, one in enumerate(squares):
        for top, left, side in one:
            inside = i, slice(None), slice(top, top + side), slice(left, left + side)
            hint_ab[inside] = ab[inside].mean((1, 2), keepdims=True)
            hint_mask[inside] = 1
    return hint_ab, hint_mask


def test_paint_is_a_loop_over_the_squares():
    """Squares of 1 to 9 px that overlap: the mean is of the picture, not of what lies there, and later squares lie on top."""
    random, ab = np.random.default_rng(0), noise(4, 20, 30)
    squares = [np.stack([random.integers(0, 12, n), random.integers(0, 22, n), random.integers(1, 10, n)], 1) for n in (0, 1, 7, 60)]
    squares[1][0] = 11, 21, 9                                                         # up to the last row and column
    found = sim.paint(ab, [torch.from_numpy(one) for one in squares])
    for one, expected in zip(found, paint_by_loops(ab.numpy(), squares)):
        assert one.dtype == torch.float32 and np.abs(one.numpy() - expected).max() < 1e-4
    backwards = sim.paint(ab, [torch.from_numpy(one[::-1].copy()) for one in squares])
    assert torch.equal(found[1], backwards[1]) and not torch.allclose(found[0], backwards[0])


def test_the_last_of_two_squares_wins():
    ab = ramp(1, 8, 8)
    for first, last in (((2, 2, 3), (3, 3, 1)), ((3, 3, 1), (2, 2, 3))):
        hint_ab, hint_mask = sim.paint(ab, [torch.tensor([first, last])])
        assert hint_ab[0, :, 3, 3].tolist() == [3, 3] and hint_ab[0, :, 2, 4].tolist() == [3, 3] and hint_mask.sum() == 9
    hint_ab, _ = sim.paint(ab, [torch.tensor([(0, 0, 3), (1, 1, 4)])])
    assert hint_ab[0, 0, :5, :5].tolist() == [[1, 1, 1, 0, 0]] + [[1, 2.5, 2.5, 2.5, 2.5]] * 2 + [[0, 2.5, 2.5, 2.5, 2.5]] * 2
    assert sim.paint(ab.double(), [torch.tensor([(0, 0, 3)])])[0].dtype == torch.float64


# ---------------------------------------------------------------- test protocols

@pytest.mark.parametrize("protocol", sim.PROTOCOLS)
def test_hints_follow_from_the_id_alone(protocol):
    ab = noise(12)
    whole = sim.protocol_hints(ab, IDS[:12], protocol, 20)
    order = torch.randperm(12, generator=torch.Generator().manual_seed(1))
    torch.manual_seed(5)                                                              # torch's own generator is neither used nor moved
    state = torch.get_rng_state()
    shuffled = sim.protocol_hints(ab[order], [IDS[i] for i in order], protocol, 20)
    alone = sim.protocol_hints(ab[7:8], IDS[7:8], protocol, 20)
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(one[order], other) for one, other in zip(whole, shuffled)) and all(torch.equal(one[7:8], other) for one, other in zip(whole, alone))
    assert not torch.equal(whole[1][0], whole[1][1]) and torch.equal(whole[1][3], sim.protocol_hints(0 * ab, IDS[:12], protocol, 20)[1][3])


def test_hints_are_the_same_on_every_machine():
    """The places themselves; SHA-256 and torch's Mersenne twister decide them."""
    assert sim.generator_of("a").initial_seed() == int(hashlib.sha256(b"a").hexdigest()[:12], 16)
    found = {protocol: sim._test_squares(224, 224, protocol, 4, sim.generator_of(f"{protocol}:n01440764_42")).tolist() for protocol in sim.PROTOCOLS}
    assert found == {"dense05": [[75, 48, 1], [84, 27, 1], [150, 76, 1], [86, 85, 1]], "zhang6": [[149, 174, 6], [47, 113, 6], [113, 125, 6], [31, 87, 6]],
                     "icolorit2": [[136, 184, 2], [166, 216, 2], [164, 60, 2], [180, 14, 2]]}


@pytest.mark.parametrize("protocol", sim.PROTOCOLS)
@pytest.mark.parametrize("shape", [(64, 48), (224, 224)])
def test_fewer_hints_are_the_first_of_more(protocol, shape):
    squares = [sim._test_squares(*shape, protocol, amount, sim.generator_of("a picture")) for amount in sim.COUNTS]
    for count, few, more in zip(sim.COUNTS, squares, squares[1:]):
        assert len(few) == count and torch.equal(few, more[:count])
    masks = [sim.protocol_hints(noise(3, *shape), IDS[:3], protocol, amount)[1] for amount in (0, *sim.FRACTIONS)]
    assert all((few <= more).all() and few.sum() < more.sum() for few, more in zip(masks, masks[1:]))
    assert all((0 <= one[:, :2]).all() and (one[:, 0] + one[:, 2] <= shape[0]).all() and (one[:, 1] + one[:, 2] <= shape[1]).all() for one in squares)


def test_dense05():
    ab = noise(200, 64, 64)
    for fraction in sim.FRACTIONS:
        hint_ab, hint_mask = sim.protocol_hints(ab, IDS[:200], "dense05", fraction)
        counts = hint_mask.sum((1, 2, 3)).numpy()
        expected, sd = 4096 * fraction, (4096 * fraction * (1 - fraction)) ** 0.5     # binomial: every pixel alone
        assert abs(counts.mean() - expected) < 4 * sd / 200 ** 0.5 and 0.8 < counts.std() / sd < 1.2
        assert torch.allclose(hint_ab, ab * hint_mask, atol=1e-4)
    everywhere = hint_mask.sum((0, 1))
    assert everywhere.max() < 35 and everywhere.float().mean() == pytest.approx(10, abs=0.2)      # 200 x 5 %: no place is dear
    assert sim.protocol_hints(ab[:3], IDS[:3], "dense05", 4096)[1].all() and sim.protocol_hints(ab[:3], IDS[:3], "dense05", 1)[1].sum() == 3


def test_zhang6():
    ab = noise(600)
    hint_ab, hint_mask = sim.protocol_hints(ab, IDS, "zhang6", 1)
    assert (hint_mask.sum((1, 2, 3)) == 36).all()
    places = corners(hint_mask)
    for (top, left), one, told in zip(places[:20], ab, hint_ab):
        square = (slice(None), slice(top, top + 6), slice(left, left + 6))
        assert torch.allclose(told[square], one[square].mean((1, 2), keepdim=True).expand(2, 6, 6), atol=1e-4)
    # int(clip(N((H - P + 1) / 2, (H - P + 1) / 4), 0, H - P)): clipped at two SD, so its SD is 0.963 of the normal's
    for found, room in zip(places.T, (40 - 5, 56 - 5)):
        assert abs(found.mean() - (room / 2 - 0.5)) < 4 * room / 4 / 600 ** 0.5 and found.std() == pytest.approx(0.963 * room / 4, rel=0.1)
        assert found.min() == 0 and found.max() == room - 1 and 0.01 < (found == 0).mean() < 0.06
    assert abs(np.corrcoef(places.T)[0, 1]) < 0.15


def test_icolorit2():
    ab = noise(300, 24, 30)
    hint_ab, hint_mask = sim.protocol_hints(ab, IDS[:300], "icolorit2", 5)
    cells = torch.nn.functional.avg_pool2d(hint_mask, 2)
    assert set(cells.unique().tolist()) == {0.0, 1.0}                                 # whole cells of the even grid
    means = torch.nn.functional.interpolate(torch.nn.functional.avg_pool2d(ab, 2), scale_factor=2)
    assert torch.allclose(hint_ab, means * hint_mask, atol=1e-4)
    counts = cells.sum((1, 2, 3))
    assert counts.max() == 5 and 0 < (counts < 5).float().mean() < 0.15               # with replacement: 1 - (179/180 ... 176/180) = 5 %
    everywhere = cells.sum((0, 1))
    assert everywhere.shape == (12, 15) and everywhere.min() > 0 and everywhere.max() < 22      # 8.3 each


@pytest.mark.parametrize("protocol", sim.PROTOCOLS)
@pytest.mark.parametrize("shape", [(1, 1), (1, 7), (3, 2), (8, 5)])
def test_protocols_on_tiny_pictures(protocol, shape):
    ab = noise(2, *shape)
    for amount in (0, 1, shape[0] * shape[1], 0.5):
        hint_ab, hint_mask = sim.protocol_hints(ab, ["a", "b"], protocol, amount)
        assert hint_ab.isfinite().all() and ((hint_ab != 0).any(1, keepdim=True) <= (hint_mask > 0)).all()
        assert hint_mask.any() or amount < 1
    assert sim.protocol_hints(ab, ["a", "b"], protocol, 1)[1].amax((1, 2, 3)).tolist() == [1, 1]


@pytest.mark.parametrize("amount", [-1, 2.5, 1.5, 2241, float("nan"), float("inf")])
def test_impossible_amounts(amount):
    with pytest.raises(ValueError, match="amount is .*: give a whole number of hints, at most one a pixel, or a fraction of the pixels below 1.$"):
        sim.protocol_hints(noise(), ["a"], "zhang6", amount)


def test_other_mistakes():
    with pytest.raises(ValueError, match="no protocol 'dense': choose one of dense05, zhang6, icolorit2.$"):
        sim.protocol_hints(noise(), ["a"], "dense", 5)
    with pytest.raises(ValueError, match="2 ids for 1 pictures"):
        sim.protocol_hints(noise(), ["a", "b"])
    with pytest.raises(ValueError, match="no hint scheme 'zhang6': choose one of dense, zhang, icolorit, every_count, none.$"):
        sim.training_hints(noise(), "zhang6")


# ---------------------------------------------------------------- training schemes

def squares_of(scheme, number, height=64, width=64, seed=0):
    """What a scheme draws for `number` pictures."""
    generator = torch.Generator().manual_seed(seed)
    return [sim._training_squares(height, width, scheme, lambda *shape: torch.rand(*shape, generator=generator)) for _ in range(number)]


def test_dense_densities():
    """Each of 0.5, 1 and 3 % a third of the pictures; HSCAU-Net never sees fewer."""
    hint_ab, hint_mask = sim.training_hints(ab := noise(1, 128, 128).expand(300, -1, -1, -1), "dense", torch.Generator().manual_seed(0))
    found = shares(hint_mask)
    nearest = np.abs(found[:, None] / np.array(sim.DENSE) - 1).argmin(1)
    assert [(nearest == i).mean() for i in range(3)] == pytest.approx([1 / 3] * 3, abs=0.1)
    assert [found[nearest == i].mean() for i in range(3)] == pytest.approx([0.03, 0.01, 0.005], rel=0.05) and found.min() > 0.003
    assert torch.allclose(hint_ab, ab * hint_mask, atol=1e-4)


def test_zhang_counts_sizes_and_places():
    squares = squares_of("zhang", 4000)
    counts = np.array([len(one) for one in squares])                                  # P(n) = 1/8 (7/8)^n
    assert counts.mean() == pytest.approx(7, abs=0.5) and (counts == 0).mean() == pytest.approx(1 / 8, abs=0.02)
    assert (counts > 20).mean() == pytest.approx((7 / 8) ** 21, abs=0.015) and counts.std() == pytest.approx(56 ** 0.5, abs=0.5)
    top, left, side = torch.cat(squares).double().numpy().T
    assert np.bincount(side.astype(int), minlength=10)[1:] / len(side) == pytest.approx([1 / 9] * 9, abs=0.01)
    for place in (top, left):
        room = 64 - side + 1
        assert (0 <= place).all() and (place < room).all()
        centred = (place + 0.5 - room / 2) / (room / 4)
        assert abs(centred.mean()) < 0.03 and centred.std() == pytest.approx(0.963, abs=0.02)
    assert abs(np.corrcoef(top, left)[0, 1]) < 0.03


def test_icolorit_counts_and_places():
    squares = squares_of("icolorit", 1500)
    counts = np.array([len(one) for one in squares])
    assert counts.min() == 0 and counts.max() == 128 and counts.mean() == pytest.approx(64, abs=4) and counts.std() == pytest.approx(37.2, abs=2)
    assert all((one[:, 2] == 2).all() and (one[:, :2] % 2 == 0).all() and len(one.unique(dim=0)) == len(one) for one in squares)      # no cell twice
    assert torch.cat(squares)[:, :2].max() == 62


def test_every_count():
    squares = squares_of("every_count", 3000)
    counts = np.array([len(one) for one in squares])
    most = 0.03 * 64 * 64
    assert (counts == 0).any() and (counts == 1).any() and most * 0.9 < counts.max() <= most + 1
    below = [(counts <= n).mean() for n in (10, 33)]                                  # log-uniform: log(n + 1) / log(most + 1)
    assert below == pytest.approx([np.log(n + 1.5) / np.log(most + 1) for n in (10, 33)], abs=0.05) and 0.05 < (counts == 0).mean() < 0.2
    largest = np.array([int(one[:, 2].max()) for one in squares if len(one)])
    many = counts[counts > 0] * 81 >= 64 * 64
    assert (largest[many] == 1).all() and largest.max() == 9 and 0.3 < (largest[~many] > 1).mean() < 0.7
    chosen = torch.cat(squares)
    assert (chosen[:, :2] >= 0).all() and (chosen[:, :2] + chosen[:, 2:] <= 64).all() and chosen[:, 0].max() == 63
    assert chosen[:, :2].double().mean(0).tolist() == pytest.approx([31.3, 31.3], abs=1)


@pytest.mark.parametrize("scheme", sim.SCHEMES)
def test_seeding_repeats_the_hints(scheme):
    ab = noise(6)

    def drawn(seed, generator=None):
        torch.manual_seed(seed)
        return sim.training_hints(ab, scheme, generator)
    first, again, other = drawn(1), drawn(1), drawn(2)
    assert all(torch.equal(one, same) for one, same in zip(first, again))
    assert torch.equal(first[1], other[1]) == (scheme == "none") and (scheme == "none") == (not first[1].any())
    own = [drawn(seed, torch.Generator().manual_seed(1)) for seed in (1, 2)]
    assert all(torch.equal(one, same) for one, same in zip(*own)) and torch.equal(own[0][1], first[1])


@pytest.mark.parametrize("scheme", sim.SCHEMES)
@pytest.mark.parametrize("shape", [(1, 1), (1, 12), (5, 3), (8, 8)])
def test_schemes_on_tiny_pictures(scheme, shape):
    ab = noise(60, *shape)
    hint_ab, hint_mask = sim.training_hints(ab, scheme, torch.Generator().manual_seed(0))
    assert hint_ab.shape == ab.shape and hint_mask.shape == (60, 1, *shape) and set(hint_mask.unique().tolist()) <= {0.0, 1.0}
    assert (hint_ab * (1 - hint_mask) == 0).all() and hint_ab.abs().max() <= 50
    assert hint_mask.any() or scheme == "none" or scheme == "dense" and shape == (1, 1)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("scheme", sim.SCHEMES)
def test_hints_of_pictures_on_a_gpu(scheme):
    ab = noise(4)
    torch.manual_seed(0)
    here = sim.training_hints(ab, scheme)
    torch.manual_seed(0)
    there = sim.training_hints(ab.cuda(), scheme)
    assert all(one.is_cuda and torch.allclose(one.cpu(), other, atol=1e-4) for one, other in zip(there, here))
