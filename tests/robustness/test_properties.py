"""What the docstrings of Lab, hints, histograms and masks promise, tried on whatever Hypothesis thinks of."""
import json

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from colorlib import hints, images, lab, references, saliency
from colorlib.hints import simulated_hints
from colorlib.hints import Hint, HintSet
from colorlib.hints.picking import AB_RANGE

few = settings(derandomize=True, max_examples=60, deadline=None, database=None)
fewer = settings(few, max_examples=25)

unit = st.floats(0, 1, width=32)
sides = st.integers(1, 9)
pictures = st.builds(lambda height, width, kind, seed: np.random.default_rng(seed).integers(0, np.iinfo(kind).max, (height, width, 3), kind, endpoint=True),
                     sides, sides, st.sampled_from([np.uint8, np.uint16]), st.integers(0, 10 ** 6))
float_pictures = arrays.arrays(np.float32, st.tuples(sides, sides, st.just(3)), elements=unit)
ab_maps = st.builds(lambda count, height, width, seed, spread: torch.from_numpy(np.random.default_rng(seed).normal(0, spread,
    (count, 2, height, width)).astype(np.float32)),
                    st.integers(1, 3), sides, sides, st.integers(0, 10 ** 6), st.sampled_from([0.0, 3.0, 40.0, 300.0]))
grids = st.sampled_from([313, 441, 625])


# ---------------------------------------------------------------- Lab

@few
@given(pictures)
def test_lab_and_back(rgb):
    """Every colour of 8 and of 16 bits comes back; L in [0, 100], a and b within what sRGB spans."""
    there = lab.rgb_to_lab(rgb)
    assert there.dtype == np.float32 and there.shape == rgb.shape and there[..., 0].min() >= -1e-4 and there[..., 0].max() <= 100.001
    assert (there[..., 1] >= -86.3).all() and (there[..., 1] <= 98.4).all() and (there[..., 2] >= -108).all() and (there[..., 2] <= 94.6).all()
    top = np.iinfo(rgb.dtype).max
    assert np.abs(np.round(lab.lab_to_rgb(there).astype(np.float64) * top) - rgb).max() <= (0 if top == 255 else 2)
    assert lab.in_gamut(there).all()


@few
@given(float_pictures, st.sampled_from([np.float32, np.float64]))
def test_lab_keeps_kind_and_layout(rgb, kind):
    """Arrays and tensors, any strides, float32 and float64: the same numbers in the same kind."""
    rgb = rgb.astype(kind)
    expected = lab.rgb_to_lab(rgb)
    assert expected.dtype == kind and np.isfinite(expected).all()
    tensor = lab.rgb_to_lab(torch.from_numpy(rgb).movedim(-1, 0))
    assert tensor.dtype == torch.from_numpy(rgb).dtype and tensor.shape == (3, *rgb.shape[:2])
    for other in (np.asfortranarray(rgb), np.repeat(rgb, 2, 1)[:, ::2], rgb[::-1][::-1], np.moveaxis(np.moveaxis(rgb, -1, 0).copy(), 0, -1)):
        assert np.allclose(lab.rgb_to_lab(other), expected, atol=2e-4)
    assert np.allclose(tensor.movedim(0, -1).numpy(), expected, atol=2e-4)
    parts = np.concatenate([lab.rgb_to_lab(rgb[y:y + 1]) for y in range(len(rgb))])
    assert np.allclose(parts, expected, atol=2e-4)                  # strip by strip, as a large picture is converted


@few
@given(st.lists(unit, min_size=2, max_size=40))
def test_lightness_rises_with_grey(levels):
    """A lighter grey has a higher L; greys have no colour, and come back grey."""
    grey = np.repeat(np.sort(np.float64(levels))[None, :, None], 3, -1)
    found = lab.rgb_to_lab(grey)
    assert (np.diff(found[0, :, 0]) >= 0).all() and np.abs(found[..., 1:]).max() < 0.02
    assert (np.diff(found[0, :, 0])[np.diff(grey[0, :, 0]) > 1e-6] > 0).all()
    assert np.ptp(lab.lab_to_rgb(found), -1).max() < 1e-3


@few
@given(st.integers(0, 10 ** 6), sides, st.sampled_from([20.0, 80.0, 300.0]))
def test_the_gamut_map(seed, side, spread):
    """L and hue stay, chroma only shrinks, by what is told; the result is a colour of sRGB, and mapping it again changes nothing."""
    random = np.random.default_rng(seed)
    colors = np.concatenate([random.uniform(0, 100, (side, side, 1)), random.normal(0, spread, (side, side, 2))], -1).astype(np.float32)
    mapped, less = lab.map_to_gamut(colors)
    chroma, before = (np.hypot(x[..., 1], x[..., 2]) for x in (mapped, colors))
    assert mapped.shape == colors.shape and less.shape == (side, side, 1) and (mapped[..., 0] == colors[..., 0]).all()
    assert lab.in_gamut(mapped, lab.GAMUT_TOLERANCE + 1e-5).all()                                # float32 on the edge itself
    assert (chroma <= before + 1e-3).all() and np.allclose(before - chroma, less[..., 0], atol=2e-3 + 1e-5 * spread)
    assert np.allclose(mapped[..., 1] * colors[..., 2], mapped[..., 2] * colors[..., 1], rtol=1e-3, atol=1e-2)
    assert np.abs(lab.map_to_gamut(mapped)[0] - mapped).max() < 0.1


@fewer
@given(pictures, st.integers(1, 6), st.integers(1, 6), st.sampled_from(["guided", "bicubic", "bilinear", "nearest"]))
def test_merged_colour_keeps_size_and_grey(rgb, height, width, method):
    """Any small ab under any L: the picture's size and depth; without chroma the grey that was there."""
    L = images.lightness(images.Picture(rgb))
    merged = images.merge_chroma(L, torch.randn(2, height, width, generator=torch.Generator().manual_seed(height)) * 40, method, rgb.dtype)
    assert merged.shape == rgb.shape and merged.dtype == rgb.dtype
    assert np.abs(images.lightness(images.Picture(merged)) - L).max() < 1
    assert np.ptp(images.merge_chroma(L, torch.zeros(2, height, width), method).astype(int), -1).max() <= 1


# ---------------------------------------------------------------- bins and histograms

@few
@given(ab_maps, grids, st.integers(1, 12), st.sampled_from([1.0, 5.0, 30.0]))
def test_soft_bins(ab, count, neighbors, sigma):
    """Shares are not negative, sum to 1 and fall with the distance; the first bin is the nearest; spread out, they are the same distribution."""
    bins = lab.ab_bins(count)
    index, share = lab.soft_bins(ab, bins, neighbors, sigma)
    assert index.shape == share.shape == (len(ab), neighbors, *ab.shape[2:]) and (share >= 0).all() and torch.allclose(share.sum(1), torch.ones(()), atol=1e-4)
    assert (share.diff(dim=1) <= 1e-5).all() and all(len(set(one.tolist())) == neighbors for one in index.movedim(1, -1).reshape(-1, neighbors))
    away = lambda chosen: (ab - bins[chosen].permute(0, 3, 1, 2)).norm(dim=1)
    assert torch.allclose(away(index[:, 0]), away(lab.nearest_bin(ab, bins)), atol=1e-2, rtol=1e-4)
    whole = lab.soft_encode(ab, bins, neighbors, sigma)
    assert whole.shape == (len(ab), count, *ab.shape[2:]) and torch.allclose(whole.sum(1), torch.ones(()),
        atol=1e-4) and torch.allclose(whole.gather(1, index), share)


@few
@given(ab_maps, st.integers(0, 10 ** 6))
def test_the_histogram(ab, seed):
    """Not negative, sums to 1, does not mind the order of pixels; a mask of ones changes nothing, a mask of some counts those alone."""
    histogram = lab.ab_histogram(ab)
    assert histogram.shape == (len(ab), 441) and (histogram >= 0).all() and torch.allclose(histogram.sum(1), torch.ones(()), atol=1e-4)
    order = torch.randperm(ab[0, 0].numel(), generator=torch.Generator().manual_seed(seed))
    assert torch.allclose(lab.ab_histogram(ab.flatten(2)[..., order].view_as(ab)), histogram, atol=1e-5)
    assert torch.allclose(lab.ab_histogram(ab, torch.ones_like(ab[:, :1])), histogram, atol=1e-5)
    mask = (torch.rand(ab[:, :1].shape, generator=torch.Generator().manual_seed(seed)) < 0.5).float()
    masked = lab.ab_histogram(ab, mask)
    for i in range(len(ab)):
        chosen = ab[i].flatten(1)[:, mask[i].flatten() > 0]
        assert torch.allclose(masked[i], lab.ab_histogram(chosen[None, :, None])[0] if chosen.numel() else torch.zeros(441), atol=1e-5)


@few
@given(ab_maps, grids, st.floats(0, 1), st.floats(0, 2))
def test_prior_and_weights(ab, count, uniform, alpha):
    """The prior sums to 1; the weights make the mean weight 1, and are not lower for rarer colours."""
    prior = lab.bin_prior(ab, lab.ab_bins(count))
    weights = lab.rebalancing_weights(prior, uniform, alpha)
    assert prior.shape == (count,) and abs(prior.sum().item() - 1) < 1e-9 and (weights >= 0).all() and abs((prior * weights).sum().item() - 1) < 1e-9
    seen = prior > 0
    assert (weights[~seen] == 0).all() and (weights[seen][prior[seen].argsort()].diff() <= 1e-9).all()


@few
@given(ab_maps, grids, st.sampled_from([0, 0.1, 0.38, 1.0]))
def test_the_annealed_mean_lies_among_the_bins(ab, count, temperature):
    """One colour a pixel, within the grid; at temperature 0 a bin's own; the same for logits shifted by a constant."""
    bins = lab.ab_bins(count)
    logits = torch.randn(len(ab), count, *ab.shape[2:], generator=torch.Generator().manual_seed(count)) * 5
    found = lab.annealed_mean(logits, bins, temperature)
    assert found.shape == ab.shape and (found.amin((0, 2, 3)) >= bins.amin(0) - 1e-3).all() and (found.amax((0, 2, 3)) <= bins.amax(0) + 1e-3).all()
    assert torch.allclose(lab.annealed_mean(logits + 7, bins, temperature), found, atol=2e-2)
    if temperature == 0:
        assert torch.equal(found, bins[logits.argmax(1)].permute(0, 3, 1, 2))


# ---------------------------------------------------------------- hints

@st.composite
def hint_sets(draw):
    height, width = draw(st.integers(1, 60)), draw(st.integers(1, 60))
    one = st.builds(Hint, st.floats(-0.5, height - 0.5), st.floats(-0.5, width - 0.5), st.floats(*AB_RANGE["a"]), st.floats(*AB_RANGE["b"]),
        st.integers(1, hints.MAX_SIZE))
    return HintSet(height, width, draw(st.lists(one, max_size=6)), draw(st.sampled_from([None, "0" * 64])))


@few
@given(hint_sets(), st.integers(1, 40), st.integers(1, 40))
def test_hint_maps(given_hints, height, width):
    """Colour only under the mask, at least a pixel a hint, at most its square; the last hint shows."""
    ab, mask = given_hints.maps(height, width)
    assert ab.shape == (2, height, width) and mask.shape == (1, height, width) and ab.dtype == mask.dtype == np.float32
    assert set(np.unique(mask)) <= {0, 1} and (ab[:, mask[0] == 0] == 0).all() and mask.sum() <= sum(hint.size ** 2 for hint in given_hints)
    assert bool(mask.sum()) == bool(len(given_hints))
    if given_hints:
        assert (ab == np.float32([given_hints[-1].a, given_hints[-1].b])[:, None, None]).all(0).any()


@few
@given(hint_sets(), st.integers(1, 20))
def test_hint_maps_of_a_mirrored_picture(given_hints, half):
    """Odd squares in the middle of a pixel: mirroring the hints mirrors the maps."""
    height, width = given_hints.height, given_hints.width
    odd = [Hint(round(hint.y), round(hint.x), hint.a, hint.b, hint.size | 1) for hint in given_hints if round(hint.y) < height and round(hint.x) < width]
    places = {(hint.y, hint.x): hint for hint in odd}.values()
    single = [HintSet(height, width, [hint]) for hint in places]
    for one in single:
        mirrored = HintSet(height, width, [Hint(one[0].y, width - 1 - one[0].x, one[0].a, one[0].b, one[0].size)])
        for found, expected in zip(mirrored.maps(height, width), one.maps(height, width)):
            assert (found == expected[..., ::-1]).all()


@few
@given(hint_sets(), st.integers(1, 200), st.integers(1, 200))
def test_hints_are_saved_and_loaded(given_hints, height, width):
    """A file gives the same set; on a copy of another size, the same maps; and it is JSON that others can read."""
    text = given_hints.to_json()
    assert HintSet.from_json(text) == given_hints == HintSet.from_json(text.encode(), given_hints.height, given_hints.width)
    assert all(0 <= hint["y"] <= 1 and 0 <= hint["x"] <= 1 for hint in json.loads(text)["hints"])
    there = HintSet.from_json(text, height, width)
    assert len(there) == len(given_hints) and [(hint.a, hint.b, hint.size) for hint in there] == [(hint.a, hint.b, hint.size) for hint in given_hints]
    assert all(-0.5 <= hint.y <= height - 0.5 and -0.5 <= hint.x <= width - 0.5 for hint in there)


@few
@given(hint_sets(), st.data())
def test_hints_are_undone(given_hints, data):
    """Undo after undo gives each set that was, redo after redo each set again."""
    states, color = [given_hints[:]], (1.0, 2.0)
    for _ in range(data.draw(st.integers(0, 6))):
        index = data.draw(st.integers(0, max(0, len(given_hints) - 1)))
        edit = data.draw(st.sampled_from(["add", "clear", "delete", "recolor"]))
        color = color[0] + 1, color[1]
        if edit == "add":
            given_hints.add(Hint(0, 0, *color))
        elif edit == "clear":
            given_hints.clear()
        elif given_hints:
            given_hints.delete(index) if edit == "delete" else given_hints.recolor(index, *color)
        states += [given_hints[:]] * (given_hints[:] != states[-1])
    for state in states[-2::-1]:
        assert given_hints.undo() and given_hints[:] == state
    assert not given_hints.undo()
    for state in states[1:]:
        assert given_hints.redo() and given_hints[:] == state
    assert not given_hints.redo()


@few
@given(ab_maps, st.sampled_from(simulated_hints.PROTOCOLS), st.integers(0, 10 ** 6), st.data())
def test_hints_of_the_test_protocols(ab, protocol, seed, data):
    """A picture's hints follow from its id alone, fewer are the first of more, and where the mask is 0 there is no colour."""
    most = data.draw(st.integers(0, ab[0, 0].numel()))
    ids = [f"{seed}-{i}" for i in range(len(ab))]
    found, mask = simulated_hints.protocol_hints(ab, ids, protocol, most)
    assert found.shape == ab.shape and mask.shape == ab[:, :1].shape and set(mask.unique().tolist()) <= {0, 1} and (found * (1 - mask) == 0).all()
    alone = simulated_hints.protocol_hints(ab[-1:], ids[-1:], protocol, most)
    assert torch.equal(alone[0], found[-1:]) and torch.equal(alone[1], mask[-1:])
    assert (simulated_hints.protocol_hints(ab, ids, protocol, most // 2)[1] <= mask).all()
    assert found.amax() <= max(ab.amax(), 0) + 1e-3 and found.amin() >= min(ab.amin(), 0) - 1e-3
    if protocol == "dense05":
        assert (mask.sum((1, 2, 3)) == most).all() and torch.allclose(found, ab * mask, atol=1e-3)


@few
@given(ab_maps, st.sampled_from(simulated_hints.SCHEMES), st.integers(0, 10 ** 6))
def test_hints_of_training(ab, scheme, seed):
    """Whatever is drawn: a mask of 0 and 1, mean colours under it, none elsewhere."""
    found, mask = simulated_hints.training_hints(ab, scheme, torch.Generator().manual_seed(seed))
    assert found.shape == ab.shape and set(mask.unique().tolist()) <= {0, 1} and (found * (1 - mask) == 0).all()
    assert found.amax() <= max(ab.amax(), 0) + 1e-3 and found.amin() >= min(ab.amin(), 0) - 1e-3 and (scheme != "none" or not mask.any())


# ---------------------------------------------------------------- masks and warps

@fewer
@given(st.integers(1, 40), st.integers(1, 40), st.integers(0, 10 ** 6), st.sampled_from(sorted(saliency.METHODS)))
def test_saliency_maps(height, width, seed, method):
    """Of the picture's size, stretched to 0..255, the same for the same input; a picture of one colour gives zeros."""
    random = np.random.default_rng(seed)
    rgb = random.integers(0, 256, (height, width, 3), np.uint8)
    found = saliency.estimate(rgb, method)
    assert found.shape == (height, width) and found.dtype == np.uint8 and (found == saliency.estimate(rgb.copy(), method)).all()
    assert not found.any() or (found.min(), found.max()) == (0, 255)
    assert not saliency.estimate(np.full_like(rgb, random.integers(256)), method).any()



@few
@given(st.integers(2, 40), st.integers(2, 40), st.integers(0, 10 ** 6))
def test_warps_keep_shape_kind_and_values(height, width, seed):
    """The same shape and dtype; a mask stays one, of the values it had; one seed warps picture and mask alike; nothing brighter or darker appears."""
    random = np.random.default_rng(seed)
    picture, mask = random.integers(0, 256, (height, width, 3), np.uint8), random.integers(0, 2, (height, width), np.uint8) * 9
    before = picture.copy()
    warped, warped_mask = references.warp(picture, seed), references.warp(mask, seed)
    assert warped.shape == picture.shape and warped.dtype == np.uint8 and (warped == references.warp(picture, seed)).all() and (picture == before).all()
    assert set(np.unique(warped_mask)) <= set(np.unique(mask)) and warped_mask.shape == mask.shape
    assert warped.max() <= picture.max() and warped.min() >= picture.min()
    even = np.full((height, width, 3), 77, np.uint8)
    assert (references.warp(even, seed) == even).all()


@few
@given(st.sampled_from(references.KINDS), st.integers(0, 10 ** 6), st.integers(8, 40), st.integers(8, 40))
def test_references_are_pictures(kind, seed, height, width):
    """Of the size of the picture, whatever the size of others; the picture's hues are gone from a grey one; the mask goes with its picture."""
    random = np.random.default_rng(seed)
    rgb, other = random.integers(0, 256, (height, width, 3), np.uint8), random.integers(0, 256, (20, 30, 3), np.uint8)
    made = references.make_reference(kind, rgb, other, other, seed)
    assert made.shape == rgb.shape and made.dtype == np.uint8 and (kind != "gray" or np.ptp(made, -1).max() == 0)
    mask = references.make_mask(kind, np.ones((height, width), np.uint8), np.ones((20, 30), np.uint8), seed)
    assert mask is None or mask.shape == (height, width) and set(np.unique(mask)) <= {0, 1}


@fewer
@given(st.integers(1, 3), st.integers(4, 24), st.integers(0, 10 ** 6))
def test_warped_batches(count, side, seed):
    """As many pictures, of the side asked for, no value beyond those there were."""
    torch.manual_seed(seed)
    rgb = torch.rand(count, 3, 20, 30)
    warped = references.warp_batch(rgb, side)
    assert warped.shape == (count, 3, side, side) and warped.min() >= rgb.min() - 1e-5 and warped.max() <= rgb.max() + 1e-5
