"""Histogram intersection in its two protocols, matches, and the columns a method gets."""
import types

import numpy as np
import pytest
import torch
from PIL import Image

from colorlib import data, experiments, lab, scenes, zoo
from colorlib.metrics import reference_scores
from colorlib.papers import welsh
from colorlib.metrics.reference_scores import gate_against_similarity, his_file, his_tensor, match_accuracy, measure, palette_similarity
from colorlib.references import WithReferences


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("COLORLIB_CACHE", str(tmp_path / "cache"))


def tensor(*pictures):
    return torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2)


def ab_of(*pictures):
    return lab.rgb_to_lab(tensor(*pictures))[:, 1:]


def plain(color, size=128):
    return np.full((size, size, 3), color, np.uint8)


def intersect(ab, other):
    """From the equation: 441 bins, a pixel after the other."""
    centres = np.linspace(-110, 110, 21)
    tents = lambda x: np.maximum(1 - np.abs(x[:, None] - centres) / 11, 0)
    h, r = (np.einsum("pa,pb->ab", tents(one[0].ravel()), tents(one[1].ravel())) / one[0].size for one in (ab, other))
    return np.minimum(h, r).sum()


# ---------------------------------------------------------------- histogram intersection

def test_what_his_promises():
    rgb = scenes.make_scene(8, 128).rgb
    shuffled = np.random.default_rng(0).permutation(rgb.reshape(-1, 3)).reshape(rgb.shape)
    assert his_tensor(ab_of(rgb), tensor(rgb)).tolist() == pytest.approx([1], abs=1e-6)       # of 128 x 128 nothing is squashed
    assert his_file([rgb], [rgb]).tolist() == pytest.approx([1]) and palette_similarity(tensor(rgb), tensor(rgb)).tolist() == pytest.approx([1])
    assert his_tensor(ab_of(shuffled), tensor(rgb)).tolist() == pytest.approx([1], abs=1e-6)  # places do not count
    red, blue, grey = plain((200, 30, 30)), plain((30, 40, 200)), plain((90, 90, 90))
    answers, references = (red, grey, grey), (blue, blue, plain((200, 200, 200)))
    for found in (his_tensor(ab_of(*answers), tensor(*references)), his_file(answers, references)):
        assert found.dtype == torch.float64 and found.tolist() == pytest.approx([0, 0, 1], abs=2e-3)      # 8-bit greys are a few thousandths of a bin off
    half = np.concatenate([red[:64], blue[:64]])
    assert his_tensor(ab_of(half), tensor(red)).item() == pytest.approx(0.5, abs=1e-6)
    assert his_tensor(torch.zeros(1, 2, 1, 1), tensor(grey)).item() == pytest.approx(1, abs=2e-3)
    assert his_tensor(torch.tensor([500.0, 0]).view(1, 2, 1, 1), tensor(red)).item() == 0      # outside the grid: its last bin


def test_the_tensor_protocol_step_by_step():
    rgb, reference = scenes.make_scene(1, 96).rgb, scenes.make_scene(2, 200).rgb
    ab = ab_of(rgb) * 1.2                                                                    # not cut to sRGB
    squashed = lab.rgb_to_lab(np.asarray(Image.fromarray(reference).resize((128, 128), Image.BICUBIC)))
    expected = intersect(ab[0].numpy(), np.moveaxis(squashed[..., 1:], -1, 0))
    assert his_tensor(ab, tensor(reference)).item() == pytest.approx(expected, abs=1e-6)


def test_the_file_protocol_step_by_step():
    import cv2
    pred, reference = scenes.make_scene(1, 512).rgb, scenes.make_scene(2, 200).rgb
    small = cv2.resize(cv2.resize(reference, (128, 128), interpolation=cv2.INTER_AREA), (512, 512))
    expected = intersect(*(np.moveaxis(lab.rgb_to_lab(one)[..., 1:], -1, 0) for one in (pred, small)))
    assert his_file([pred], [reference]).item() == pytest.approx(expected, abs=1e-6)
    assert his_file(tensor(pred), tensor(reference)).item() == pytest.approx(expected, abs=1e-6)
    itself = his_file([pred, pred[::4, ::4]], [pred, pred[::4, ::4]])
    assert itself[0] < 0.999 < itself[1]                                                     # of large pictures the protocol blurs the reference alone


def test_the_quick_histogram_is_the_soft_one():
    ab = torch.randn(3, 2, 17, 23, generator=torch.Generator().manual_seed(0)) * 70          # some outside the grid
    ab[0, :, 0, 0] = torch.tensor([110.0, -110.0])
    quick = np.stack([reference_scores._histogram(one) for one in ab.numpy()])
    assert quick == pytest.approx(lab.ab_histogram(ab).numpy(), abs=1e-6) and quick.sum(1) == pytest.approx(np.ones(3))


def test_refuses_what_is_no_pair_of_pictures():
    one = tensor(plain((1, 2, 3)))
    for pred, reference in ((one.float(), one), (one, one[:, :1]), (one[:0], one)):
        with pytest.raises(ValueError, match="8-bit pictures"):
            his_file(pred, reference)
    with pytest.raises(ValueError, match="1 answers for 2 references"):
        his_tensor(torch.zeros(1, 2, 4, 4), one.repeat(2, 1, 1, 1))


# ---------------------------------------------------------------- matches

def test_match_accuracy():
    mask = torch.zeros(2, 1, 8, 8, dtype=torch.uint8)
    mask[:, :, :4, :4] = 1                                                                   # a quarter is the object
    there = mask.flip(-1)
    index = torch.arange(16).view(4, 4).flip(-1)[None].repeat(2, 1, 1)                       # each position to its mirror image
    index[1, 0, 0] = 0                                                                       # one of four object positions astray
    on_object, on_ground = match_accuracy(index, mask, there, 4)
    assert on_object.tolist() == [100, 75] and on_ground.tolist() == [100, 100]
    index[1, 3, 3] = 3                                                                       # one of twelve others, onto the object
    assert match_accuracy(index, mask, there, 4)[1].tolist() == pytest.approx([100, 100 * 11 / 12])
    empty = torch.zeros_like(mask)
    assert torch.isnan(match_accuracy(index, empty, there, 4)[0]).all() and match_accuracy(index, mask, empty, 4)[0].tolist() == [0, 0]
    finer = torch.zeros(1, 2, 2, dtype=torch.int64)                                          # grids of two sizes
    assert match_accuracy(finer, mask[:1], mask[:1], 8)[0].item() == 100
    for wrong, side in ((index, 3), (index[:1], 4), (index - 1, 4)):
        with pytest.raises(ValueError, match="numbers from 0"):
            match_accuracy(wrong, mask, there, side)


# ---------------------------------------------------------------- a method

def paper(**more):
    """A method that paints its reference's mean ab; its gate is the share of bright pixels in the reference."""
    def colorize(model, batch):
        return lab.rgb_to_lab(batch["reference"])[:, 1:].mean((2, 3), keepdim=True).expand(-1, -1, *batch["L"].shape[2:])
    return types.SimpleNamespace(name="echo", papers=types.SimpleNamespace(colorize=colorize, **more))


def model(side=32):
    return types.SimpleNamespace(config=types.SimpleNamespace(image_size=side), parameters=lambda: iter([torch.zeros(1)]))


def test_measure_gives_what_a_paper_offers():
    dataset = data.SceneSet(5, size=32, seed=40)
    plain_columns = measure(paper(), model(), dataset, batch_size=4, progress=False)
    assert set(plain_columns) == {"related", "unrelated"}
    assert set(plain_columns["related"]) == {"psnr", "de2000", "colorfulness", "his", "his_file", "palette_similarity"}
    gate = lambda model, batch: batch["reference"].float().mean((1, 2, 3)).view(-1, 1, 1, 1) / 255
    anywhere = lambda model, batch: torch.zeros(len(batch["L"]), 4, 4, dtype=torch.int64)
    found = measure(paper(gate=gate, match=anywhere, match_side=lambda model: 8), model(), dataset, ("self", "unrelated"), batch_size=4, progress=False)
    assert {"gate", "match_accuracy", "match_ground"} <= set(found["self"]) and "match_accuracy" not in found["unrelated"]
    samples = [WithReferences(dataset, "self")[i] for i in range(5)]
    assert found["self"]["gate"] == pytest.approx(np.mean([one["reference"].float().mean().item() / 255 for one in samples]), abs=1e-6)
    alike = [palette_similarity(one["rgb"][None], one["reference"][None]).item() for one in samples]
    assert found["self"]["palette_similarity"] == pytest.approx(np.mean(alike))
    assert np.mean(alike) > plain_columns["unrelated"]["palette_similarity"]
    points = gate_against_similarity(paper(gate=gate), model(), dataset, ("self", "noise"), batch_size=4, progress=False)
    assert [kind for kind, _, _ in points] == ["self"] * 5 + ["noise"] * 5 and [point[1] for point in points[:5]] == pytest.approx(alike)
    for without in (paper(), paper(gate=lambda model, batch: None)):
        with pytest.raises(ValueError, match="has no gate"):
            gate_against_similarity(without, model(), dataset, progress=False)
    assert "gate" not in measure(paper(gate=lambda model, batch: None), model(), dataset, ("self",), progress=False)["self"]


def test_welsh_by_the_numbers():
    """The global histogram copies a palette almost whole; own colours are told apart from foreign ones."""
    dataset = WithReferences(data.SceneSet(5, size=64, seed=60))
    rows = {name: colorizer for name, colorizer in welsh.variants(welsh.build(welsh.PRESETS["smoke"])).items() if name.startswith("global")}
    conditions = lambda samples: experiments.conditions_of(zoo.get("welsh"), None, None, 64, references=[one["reference"] for one in samples])
    scores = experiments.evaluate(rows, dataset, 64, progress=False, conditions=conditions)
    his = {row: columns["his"].mean() for row, columns in scores.items()}
    assert his["global histogram"] > 0.95 > his["global statistics"] + 0.2 and his["global histogram"] > scores["global histogram"]["his_file"].mean()
    truth = experiments.score_truth(dataset, batch_size=3)
    assert len(truth["his"]) == 5 and truth["his"].mean() < his["global histogram"]
