"""TCVC 2019: layer counts and outputs of the authors' code, which frame before a network is shown, clips painted frame by frame."""
import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from colorlib import classifiers, data, images, lab, losses, painting, scenes, train, zoo
from colorlib.frames import FramePainter
from colorlib.papers import tcvc
from tests.data_samples import colorful, fill_parameters

TINY = replace(tcvc.SMOKE, width=4, residual_blocks=1, batch_size=2, steps=8, image_size=32)
AS_PUBLISHED = replace(tcvc.PAPER, features="random", width=4, residual_blocks=1, batch_size=2, steps=8, image_size=32)
LINES = replace(TINY, **tcvc.LINES)


@pytest.fixture(scope="module")
def fabric():
    return train.make_fabric("cpu")


def windows(n=2, side=32, seed=0):
    """A batch of two frames each, the second a moved copy of the first."""
    first = torch.from_numpy(np.stack([colorful(seed + i, side, side) for i in range(n)])).permute(0, 3, 1, 2)
    rgb = torch.stack([first, first.roll(1, -1)], 1)
    return {"rgb": rgb, "has_previous": torch.ones(n, dtype=torch.bool), "lines": rgb[:, :, :1].clone()}


def clip_of(seed=3, frames=6, side=32):
    return torch.from_numpy(scenes.make_clip(seed, frames, side).rgb).permute(0, 3, 1, 2)


# ---------------------------------------------------------------- the authors' networks and losses

def test_parameter_counts():
    counts = {name: sum(p.numel() for p in network.parameters()) for name, network in tcvc.networks(tcvc.PAPER).items()}
    assert counts == {"generator": 10_774_595, "discriminator": 2_767_872}
    assert zoo.count_parameters("tcvc") == zoo.count_parameters("tcvc_lines") == counts


def test_the_class_size_is_small_enough_to_ship():
    assert sum(p.numel() for p in tcvc.Generator(tcvc.CLASS).parameters()) * 2 < 8e6


def wave(factor, *shape):
    return 0.5 + 0.5 * torch.sin(factor * torch.arange(math.prod(shape), dtype=torch.float64) + (math.pi / 2 if factor != 0.05 else 0)).view(shape)


def test_what_the_published_generator_answers():
    """Mean, SD and one pixel of `InpaintGenerator` of src/models.py on the same parameters and input."""
    rgb = fill_parameters(tcvc.Generator(tcvc.PAPER))(wave(0.05, 2, 1, 32, 40), wave(0.03, 2, 3, 32, 40)).detach()
    assert [rgb.mean().item(), rgb.std().item(), rgb[1, 2, 5, 7].item()] == pytest.approx([0.48694392701, 0.04072375468, 0.55639015719], abs=1e-9)


def test_what_the_published_discriminator_answers():
    """The same of `Discriminator`, before its sigmoid, after its spectral norm has settled."""
    network = tcvc.Discriminator(tcvc.PAPER).double().train()
    for i, p in enumerate(network.parameters()):
        p.data = torch.from_numpy(np.random.RandomState(i).standard_normal(p.shape) + 0.1)
    inputs = wave(0.05, 2, 1, 32, 40), wave(0.03, 2, 3, 32, 40), wave(0.07, 2, 3, 32, 40)
    with torch.no_grad():
        for _ in range(300):
            network.patches(torch.cat([one[:1, :, :24, :24] for one in inputs], 1))
        scores = network.eval()(*inputs)
    assert scores.shape == (2, 1, 2, 3)
    assert [scores.mean().item(), scores.std().item(), scores[0, 0, 1, 1].item()] == pytest.approx([12.9665636, 1.6617357, 15.5261569], abs=1e-5)


def test_what_the_published_losses_answer():
    """`StyleLoss`, `PerceptualLoss` and `AdversarialLoss` of src/loss.py on given maps and scores."""
    names = ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1", "relu2_2", "relu3_4", "relu4_4", "relu5_2")
    maps = lambda k: {name: torch.sin(k * (i + 1) * 0.1 * torch.arange(120, dtype=torch.float64)).view(2, 3, 4, 5).relu() for i, name in enumerate(names)}
    style, content = tcvc.style_and_content(maps(1.0), maps(1.3))
    assert [style.item(), content.item()] == pytest.approx([0.12669078613, 2.03081335246], abs=1e-9)
    scores = torch.tensor([[0.3, -1.2]], dtype=torch.float64)
    assert losses.generator_loss(scores, "bce").item() == pytest.approx(1.00881885590, abs=1e-9)
    assert losses.critic_loss(-scores, scores, "bce").item() == pytest.approx(0.55881885590, abs=1e-9)


def test_vgg19s_layers_are_the_named_ones(monkeypatch):
    """relu3_4 is what comes out of the 8th convolution's ReLU, and so on; kept maps are not overwritten by a ReLU that works in place."""
    import torchvision
    with torch.random.fork_rng():
        network = torchvision.models.vgg19(weights=None)
    monkeypatch.setattr(classifiers, "load_classifier", lambda name, file=None: classifiers.Classifier(name, network, None))
    pyramid = classifiers.FeaturePyramid("vgg19", tcvc.STYLE["vgg19"] + tcvc.CONTENT["vgg19"])
    rgb, found, block, place = torch.rand(1, 3, 32, 32), {}, 1, 0
    with torch.no_grad():
        x = rgb
        for layer in network.features:
            x = layer(x)
            if isinstance(layer, torch.nn.ReLU):
                place += 1
                found[f"relu{block}_{place}"] = x.clone()
            if isinstance(layer, torch.nn.MaxPool2d):
                block, place = block + 1, 0
        maps = pyramid(rgb)
    assert len(maps) == 9 and all(torch.equal(maps[name], found[name]) for name in maps) and pyramid.label.startswith("vgg19 relu2_2, relu3_4")


def test_a_pyramid_names_unknown_layers_and_missing_weights(monkeypatch):
    with pytest.raises(ValueError, match="random has no layer 'relu9_9' here: choose from relu1_1"):
        classifiers.FeaturePyramid("random", ("relu9_9",))
    monkeypatch.delenv(classifiers.VARIABLE, raising=False)
    with pytest.raises(FileNotFoundError, match="comes from a file"):
        classifiers.FeaturePyramid(classifiers.STAND_IN, ("conv1",))
    one, two = (classifiers.FeaturePyramid("random", ("relu3_4",))(torch.full((1, 3, 32, 32), 0.5))["relu3_4"] for _ in range(2))
    assert torch.equal(one, two) and one.std() > 0


# ---------------------------------------------------------------- training

@pytest.mark.parametrize("config", [TINY, AS_PUBLISHED, LINES, *(replace(TINY, **changes) for changes in tcvc.TRAINING_ABLATIONS.values())], ids=str)
def test_every_variant_learns(config, fabric):
    step = tcvc.Step(config, fabric)
    before = [p.detach().clone() for p in step.model.parameters()]
    found = step(windows())
    assert all(torch.isfinite(value) for value in found.values()) and ("style" in found) == bool(config.style_weight or config.content_weight)
    assert any(not torch.equal(p, q) for p, q in zip(before, step.model.parameters()))
    torch.testing.assert_close(found["loss"], sum(value for name, value in found.items() if name not in ("loss", "critic")))


def test_the_published_weights_of_the_losses(fabric):
    """1 adversarial + 10 L1 + 1000 style + 1 content."""
    assert (tcvc.PAPER.adversarial_weight, tcvc.PAPER.l1_weight, tcvc.PAPER.style_weight, tcvc.PAPER.content_weight) == (1, 10, 1000, 1)
    step, batch = tcvc.Step(AS_PUBLISHED, fabric), windows()
    step.prepare = lambda batch, made=step.prepare(batch): made
    x, previous, true, _ = step.prepare(batch)
    with torch.no_grad():
        painted = step.model.module(x, previous)
        style, content = tcvc.style_and_content(step.features[0](painted), step.features[0](true), tcvc.STYLE["random"], tcvc.CONTENT["random"])
    found = step(batch)
    assert found["l1"].item() == pytest.approx(10 * (painted - true).abs().mean().item(), rel=1e-4)
    assert found["style"].item() == pytest.approx(1000 * style.item(), rel=1e-3) and found["content"].item() == pytest.approx(content.item(), rel=1e-3)


def test_the_discriminator_learns_at_the_first_and_every_twelfth_update(fabric):
    step, moved = tcvc.Step(AS_PUBLISHED, fabric), []
    for update in range(1, 25):
        before = [p.detach().clone() for p in step.critic.parameters()]
        step(windows(seed=update))
        if any(not torch.equal(p, q) for p, q in zip(before, step.critic.parameters())):
            moved.append(update)
    assert moved == [1, 12, 24]


@pytest.mark.parametrize("p", [0.0, 0.25, 1.0])
def test_the_frame_before_is_shown_with_probability_p(p, fabric):
    step = tcvc.Step(replace(AS_PUBLISHED, previous_share=p), fabric)
    batch = windows(200, 8)
    _, previous, true, before = step.prepare(batch)
    shown = previous.flatten(1).any(1)
    assert abs(shown.float().mean() - p) <= 0.1 and torch.equal(previous[shown], before[shown])        # the true one, whole
    torch.testing.assert_close(true, batch["rgb"][:, 1] / 255)
    _, previous, _, _ = step.prepare(batch | {"has_previous": torch.zeros(200, dtype=torch.bool)})
    assert not previous.any()                                                                            # a shot's first frame has none


def test_own_pictures_stand_in_for_true_ones(fabric):
    step = tcvc.Step(replace(TINY, align=False, previous_share=1.0, own_share=1.0), fabric)
    _, previous, _, before = step.prepare(windows())
    assert (lab.rgb_to_lab(previous)[:, 0] - lab.rgb_to_lab(before)[:, 0]).abs().mean() < 0.2      # its lightness is put back, as far as colours go
    assert (previous - before).abs().mean() > 0.02


def test_frames_below_ten_thousand_find_the_one_before(tmp_path):
    """The published loader looked for `frame9.jpg` where the file was `frame00009.jpg`."""
    import cv2
    for i in range(8, 13):
        cv2.imwrite(str(tmp_path / f"frame{i:05d}.png"), np.full((16, 16, 3), 10 * i, np.uint8))
    found = data.Clips(tmp_path, 2, 16)
    assert [tuple(found[i]["rgb"][:, 0, 0, 0].tolist()) for i in range(len(found))] == [(80, 90), (90, 100), (100, 110), (110, 120)]


def test_a_shots_first_frame_is_trained_with_black():
    clips = data.open_clips("scenes:2", 16, 2)
    found = tcvc.prepare_data(clips, TINY)
    assert len(found) == len(clips) + 2 and len(set(found.ids)) == len(found)
    last = found[len(found) - 1]
    assert not last["has_previous"] and torch.equal(last["rgb"][0], last["rgb"][1]) and found[0]["has_previous"]
    assert torch.equal(last["rgb"][1], clips[clips.starts.index(True, 1)]["rgb"][0])


def test_lines_are_those_of_canny():
    from skimage.feature import canny
    sample = tcvc.prepare_data(data.open_clips("scenes:1", 32, 2), LINES)[0]
    L = lab.rgb_to_lab(sample["rgb"])[:, :1]
    expected = 1 - canny(lab.gray_of(L[1:])[0, 0].double().numpy(), 1.0)
    assert (sample["lines"][1, 0].numpy() / 255 == expected).mean() > 0.999 and 0 < expected.mean() < 1


def test_an_interrupted_run_goes_on_bit_equal(fabric, tmp_path):
    dataset = tcvc.prepare_data(data.open_clips("scenes:2", 32, 2), TINY)
    fit = lambda run, steps: train.fit(step := tcvc.make_step(TINY, fabric, dataset), dataset, steps=steps, batch_size=2, fabric=fabric, run=run, tag="t",
                                       log_every=1, progress=False) and step.result().state_dict()
    fit(tmp_path / "cut", 4)
    cut, whole = fit(tmp_path / "cut", 8), fit(tmp_path / "whole", 8)
    assert all(torch.equal(cut[name], whole[name]) for name in whole)


# ---------------------------------------------------------------- painting

@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    return tcvc.Generator(TINY).eval()


def test_a_single_picture_keeps_its_size(model):
    ab = tcvc.colorize(model, {"L": torch.rand(1, 1, 21, 35) * 100})
    assert ab.shape == (1, 2, 21, 35) and ab.abs().max() > 0


@pytest.mark.parametrize("config", [TINY, replace(TINY, align=False, feeds="painted"), LINES], ids=["ours", "as published", "lines"])
def test_the_next_frame_depends_on_the_one_before(config):
    torch.manual_seed(0)
    model = tcvc.Generator(config).eval()
    batch = {"lines": torch.rand(1, 1, 24, 32)} if config.sees == "lines" else {"L": torch.rand(1, 1, 24, 32) * 100}
    first, state = tcvc.colorize_next(model, batch)
    again, _ = tcvc.colorize_next(model, batch, state)
    assert (first - again).abs().max() > 1e-4
    assert torch.equal(first, tcvc.colorize_next(model, batch)[0])


def test_a_network_never_shown_a_frame_is_not_shown_one():
    torch.manual_seed(0)
    model, batch = tcvc.Generator(replace(TINY, previous_share=0.0)).eval(), {"L": torch.rand(1, 1, 24, 32) * 100}
    first, state = tcvc.colorize_next(model, batch)
    assert torch.equal(first, tcvc.colorize_next(model, batch, state)[0]) and set(tcvc.clip_variants(model)) == {"", "lightness painted"}


def test_alignment_moves_the_frame_before_and_blackens_what_it_cannot_know():
    clip = scenes.make_clip(5, 3, 64)
    rgb = torch.from_numpy(clip.rgb).permute(0, 3, 1, 2).float() / 255
    L = lab.rgb_to_lab(rgb)[:, :1]
    moved = tcvc.align(rgb[:1], L[:1], L[1:2])
    known = moved.any(1)
    assert known.float().mean() > 0.7
    error = lambda picture: (picture - rgb[1]).abs().mean(0)[known[0]].mean().item()
    assert error(moved[0]) < 0.5 * error(rgb[0])
    unlike = tcvc.align(rgb[:1], torch.full_like(L[:1], 20), torch.full_like(L[:1], 60))
    assert not unlike.any()


def test_clip_variants(model):
    frames = clip_of()
    painted = {row: paint(frames) for row, paint in tcvc.clip_variants(model).items()}
    assert painted.keys() == {"", "every frame alone", "true frame before", "lightness painted"}
    assert all(one.shape == frames.shape and one.dtype == torch.uint8 for one in painted.values())
    assert all(torch.equal(one[0], painted[""][0]) for row, one in painted.items() if row != "lightness painted")           # the first frame has none before
    assert not torch.equal(painted[""][1:], painted["every frame alone"][1:])
    drift = lambda row: (lab.rgb_to_lab(painted[row])[:, 0] - lab.rgb_to_lab(frames)[:, 0]).abs().mean()
    assert drift("") < 0.5 < drift("lightness painted")                                                                      # lightness is put back, or is not
    wrong = tcvc.paint_clip(model, frames, first=torch.rand(3, 32, 32))
    assert not torch.equal(wrong[0], painted[""][0])
    with pytest.raises(ValueError, match="shows is 'mine': choose own, truth or nothing"):
        tcvc.paint_clip(model, frames, shows="mine")


def test_the_frame_painter_remembers_and_forgets(model):
    frames = clip_of(side=48).permute(0, 2, 3, 1).numpy()
    painter = FramePainter("tcvc", model)
    whole = [painter(frame) for frame in frames]
    assert all(one.shape == frames[0].shape and one.dtype == np.uint8 for one in whole)
    half = FramePainter("tcvc", model)
    for frame in frames[:3]:
        half(frame)
    other = FramePainter("tcvc", model)
    other.load_state_dict(half.state_dict())
    assert all((other(frame) == one).all() for frame, one in zip(frames[3:], whole[3:]))                               # goes on bit-equal
    assert (painter(frames[0], cut=True) == whole[0]).all() and (painter(frames[0]) != whole[0]).any()


def test_smoothing_carries_colours_along(monkeypatch):
    """A painter that gives every frame another colour: smoothed ones differ less; a cut ends it; so does a picture that shows something else."""
    ab = iter(np.tile([[[[40.0]], [[0.0]]], [[[-40.0]], [[0.0]]]], (20, 1, 1, 1)))
    monkeypatch.setattr(painting, "paint_small", lambda *_, **__: np.broadcast_to(next(ab), (2, 32, 32)).astype(np.float32))
    monkeypatch.setattr(zoo, "working_size", lambda config: 32)
    network = torch.nn.Linear(1, 1)
    network.config = None
    picture = images.to_8bit(np.repeat(colorful(0, 32, 32).mean(-1, keepdims=True), 3, -1).astype(np.uint8))
    change = lambda a, b: np.abs(lab.rgb_to_lab(a)[..., 1] - lab.rgb_to_lab(b)[..., 1]).mean()
    rough = [FramePainter("koalarization", network)(picture) for _ in range(2)]
    painter = FramePainter("koalarization", network, smooth=0.8)
    smoothed = [painter(picture), painter(picture)]
    assert change(*smoothed) < 0.3 * change(*rough)
    assert change(painter(picture, cut=True), rough[0]) < 1                                                             # new shot, colours as painted
    assert change(painter(255 - picture), rough[1]) < 0.5 * change(*rough)                                             # nothing agrees: as painted
    with pytest.raises(ValueError, match="smooth is 1.5"):
        FramePainter("koalarization", network, smooth=1.5)


def test_line_art_drawn_and_given():
    picture = np.full((64, 64, 3), 250, np.uint8)
    picture[20:40, 30:32] = 10
    L = images.lightness(images.open_image(picture))
    assert images.is_drawing(L)
    given = images.line_art(L)[0, 0].numpy()
    assert given[0, 0] == pytest.approx(1, abs=0.01) and given[30, 31] < 0.15 and (given < 0.5).sum() == 40              # as it is, not outlined anew
    photo = lab.rgb_to_lab(colorful(0, 64, 64))[..., 0]
    assert not images.is_drawing(photo) and set(np.unique(images.line_art(photo))) == {0.0, 1.0}


def test_wrong_settings_are_named():
    with pytest.raises(ValueError, match="sees is 'edges': choose one of grey, lines"):
        replace(TINY, sees="edges")
    with pytest.raises(ValueError, match="previous_share is 1.5: choose a probability"):
        replace(TINY, previous_share=1.5)
