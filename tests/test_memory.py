"""Memory: peaks of known functions, with numbers and without, equal trainings with activations computed again, the tables made of it."""
from dataclasses import replace

import pytest
import torch
from torch import nn
from torch.nn.utils.parametrizations import spectral_norm

from colorlib import __main__ as cli
from colorlib import experiments, memory, results, zoo
from colorlib.bench import memory as measured
from colorlib.bench.held import MIB, Held, shapes_only
from colorlib.papers import scgan


def five_of_seven():
    """Makes tensors of 7 MiB, of which at most 5 live at a time."""
    first = torch.zeros(3 * MIB, dtype=torch.uint8)
    second = torch.zeros(MIB // 2)
    del first
    return second.view(2, -1)[0].sum() + torch.zeros(MIB // 2, dtype=torch.float32).sum()


def test_the_peak_of_a_known_function():
    assert measured.peak_memory(five_of_seven) == pytest.approx(5, abs=1e-3)
    with Held() as held:
        five_of_seven()
    assert held.most == pytest.approx(5, abs=1e-3) and held.now == pytest.approx(0, abs=1e-3)
    with shapes_only(), Held() as held:
        five_of_seven()
    assert held.most == pytest.approx(5, abs=1e-3)


def test_an_update_with_numbers_and_without_holds_the_same():
    counted = []
    for context in (None, shapes_only):
        with Held() as held:
            model = nn.Linear(1024, 1024, bias=False)                       # 4 MiB
            optimizer = torch.optim.Adam(model.parameters(), foreach=False)
        assert held.now == pytest.approx(4, abs=0.01)
        with (context or torch.enable_grad)(), held:
            model(torch.ones(256, 1024)).sum().backward()                   # the batch, what came of it, the gradient
            optimizer.step()
        del model, optimizer
        counted.append(held.most)
    assert counted[0] == pytest.approx(counted[1], rel=0.01) and 4 * 4 <= counted[0] <= 4 * 4 + 3 * 4      # weights, gradient, two moments, and what Adam works in
    with shapes_only(), Held():
        mask = torch.zeros(4, 4) > 1
        assert torch.ones(4, 4)[mask].shape == (0,) and bool(mask.any()) and int(mask.sum()) == 0


@pytest.mark.parametrize("name", ["hscau"])
def test_computed_is_what_is_run(name):
    run, computed = (measured.hold_at_most(name, "smoke", (2, 4), run=run) for run in (True, False))
    assert computed == {number: pytest.approx(value, rel=0.06) for number, value in run.items()}
    fixed, slope = measured.fit(run)
    assert slope > 0 and fixed + 4 * slope == pytest.approx(run[4])


class Toy(nn.Module):
    """Every kind of layer that a second forward pass could disturb."""

    def __init__(self):
        super().__init__()
        self.blocks = nn.Sequential(*(nn.Sequential(spectral_norm(nn.Conv2d(4, 4, 3, padding=1)), nn.BatchNorm2d(4, momentum=momentum), nn.Dropout(0.5), nn.ReLU())
                                      for momentum in (0.1, None)))

    def forward(self, x):
        return self.blocks(x)


class ToyStep:
    def __init__(self, recompute):
        torch.manual_seed(0)
        self.model = Toy()
        self.optimizer = torch.optim.Adam(self.model.parameters(), 0.1)
        self.names = memory.checkpoint_step(self, ["model.blocks.?"] if recompute else [])

    def __call__(self, x):
        self.optimizer.zero_grad()
        loss = self.model(x).square().mean() + self.model(x.flip(0)).mean()      # the same blocks twice before the backward pass
        loss.backward()
        self.optimizer.step()
        return loss.detach()


def state_of(step):
    """{name: tensor} of a Step's networks, gradients among them."""
    networks = {name: value for name, value in vars(step).items() if isinstance(value, nn.Module)}
    state = {f"{name}.{key}": value for name, network in networks.items() for key, value in network.state_dict().items()}
    return state | {f"gradient of {name}.{key}": one.grad for name, network in networks.items() for key, one in network.named_parameters() if one.grad is not None}


def same(ours, theirs):
    return list(ours) == list(theirs) and all(torch.equal(ours[key], theirs[key]) for key in ours)


def test_computing_activations_again_changes_nothing():
    plain, again = ToyStep(False), ToyStep(True)
    assert again.names == ["model.blocks.0", "model.blocks.1"] and type(again.model.blocks[0]).__name__ == "Sequential"
    for seed in range(3):
        x = torch.randn(4, 4, 8, 8, generator=torch.Generator().manual_seed(seed))
        torch.manual_seed(seed)
        expected = plain(x)
        torch.manual_seed(seed)
        assert torch.equal(again(x), expected) and same(state_of(again), state_of(plain))
    with pytest.raises(ValueError, match="Nothing is called 'model.nowhere'"):
        memory.checkpoint_step(again, ["model.nowhere"])


def test_papers_learn_the_same(monkeypatch):
    shapes = {"spectral_norm": "all"}      # SCGAN as published: power iterations everywhere
    monkeypatch.setitem(scgan.VARIANTS["scgan"], "smoke", replace(scgan.VARIANTS["scgan"]["smoke"], **shapes))
    for name in ("scgan", "hscau", "photonet"):
        found = []
        for recompute in (False, True):
            step, batch = measured.open_update(name, "smoke", 2, recompute=recompute)
            torch.manual_seed(0)
            with Held() as held:
                losses = [step(batch)["loss"] for _ in range(2)]
            found.append((losses, state_of(step), held.most))
        (plain_losses, plain, most), (losses, again, less) = found
        assert losses == plain_losses and same(again, plain) and less < most


def test_every_block_is_there():
    modules = {method.module: name for name, method in zoo.METHODS.items()}
    assert set(memory.BLOCKS) <= set(modules)
    for module in set(memory.BLOCKS) - {"scgan", "hscau", "photonet"}:
        step, _ = measured.open_update(modules[module], "smoke", 2)
        assert memory.checkpoint_step(step, memory.BLOCKS[module])


def test_train_saves_the_same_weights(tmp_path):
    shared = {"steps": 2, "batch_size": 2, "device": "cpu", "progress": False}
    paths = [experiments.train_method("unet", "smoke", "scenes:4", tmp_path / str(again), checkpoint_activations=again, **shared) for again in (False, True)]
    assert paths[0].read_bytes() == paths[1].read_bytes()
    with pytest.raises(ValueError, match="Nothing is known that unit"):
        experiments.train_method("unit", "smoke", "scenes:4", tmp_path, checkpoint_activations=True)
    with pytest.raises(ValueError, match="compiled or"):
        memory.blocks_of(zoo.get("cic"), compile=True)


def test_what_cannot_be_measured_is_said():
    for name, size, precision, message in (("nothing", "smoke", "float32", "There is no method 'nothing'"), ("welsh", "smoke", "float32", "welsh learns nothing"),
                                           ("cic", "smoke", "float8", "no smoke size in float8"), ("cic", "huge", "float32", "no huge size")):
        with pytest.raises(ValueError, match=message):
            measured.open_update(name, size, 2, precision)


def row(variant="update", settings="float32", size="paper", fixed=1024.0, slope=100.0):
    return {"method": "cic", "variant": variant, "size": size, "dataset": "176 px", "settings": settings, "batch": 40, "n": 80, "fixed_mib": fixed,
            "mib_per_picture": slope, "mib": fixed + 40 * slope, "notes": "computed from shapes, 40 and 80 pictures"}


def test_tables_are_made_of_the_rows(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("COLORLIB_RESULTS", str(tmp_path))
    assert measured.largest_batches() == "" and memory.of_method("cic") == {} and memory.in_words({}) == ""
    for one in (row(slope=1.0), row(), row(settings="float32, recomputed", slope=50.0), row(settings="bf16"), row(settings="bf16, recomputed", slope=80.0),
                row("painting", size="class", fixed=2.0, slope=1.0)):
        results.append(memory.FILE, one)
    lines = measured.largest_batches().splitlines()
    assert len(lines) == 2 + 1 and "bf16: 8, 24, 80 GB" in lines[0]      # the last of two alike counts; a fifth saved is not shown
    assert lines[2] == "| cic | 176 px | 63, 210, 727 | 126, 421, > 1024 | 63, 210, 727 | — |"      # (0.9 8192 - 1024) / 100 = 63.5
    found = memory.of_method("cic")
    assert found == {"class": {"painting": 42.0}, "paper": {"update": 5024.0, "batch": 40}}
    assert memory.in_words(found) == "class 42 MiB to paint; paper 5,024 MiB for an update of 40"
    monkeypatch.setattr(zoo, "METHODS", {"cic": zoo.METHODS["cic"]})
    assert zoo.catalogue()[0]["memory"] == found
    assert cli.main(["list"]) == 0 and "at most: class 42 MiB to paint; paper 5,024 MiB for an update of 40" in capsys.readouterr().out
    assert measured.largest_batch(row(fixed=1e5), 8) == 0


def test_what_is_there_is_not_measured_again(tmp_path, monkeypatch):
    monkeypatch.setenv("COLORLIB_RESULTS", str(tmp_path))
    made = lambda name, size, precision="float32", recompute=False: row(settings=precision + recompute * ", recomputed", size=size)
    monkeypatch.setattr(measured, "measure_update", made)
    monkeypatch.setattr(measured, "measure_painting", lambda name, size: row("painting", size=size))
    lines = list(measured.measure_all(["cic"], ["paper"]))
    assert len(lines) == 5 and lines[0].startswith("cic paper painting float32: ")
    assert list(measured.measure_all(["cic"], ["paper"])) == []
