"""The loop: batches depend on the update alone, checkpoints resume bit-equal, accumulation equals the whole batch."""
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from colorlib import __main__ as cli
from colorlib import data, train
from colorlib.train import checkpoints, interruptions
from tests.data_samples import empty_workshop
from tests.robustness.crash_runs import TinyStep, fit, rows

ROOT = Path(__file__).parents[1]


@pytest.fixture
def fabric():
    return train.make_fabric("cpu")


def test_training_lowers_the_loss(fabric):
    log = fit(TinyStep(fabric, dropout=0), fabric, steps=200)
    assert log[-1]["loss"] < 0.5 * log[0]["loss"] and log[-1]["step"] == 200


def test_resume_is_bit_equal(fabric, tmp_path):
    whole_step = TinyStep(fabric)
    whole = fit(whole_step, fabric, tmp_path / "whole")
    fit(TinyStep(fabric), fabric, tmp_path / "cut", steps=13)      # 13 is neither a logging nor a saving step of the whole run
    torch.manual_seed(999)                                         # a new process has another random state
    resumed_step = TinyStep(fabric)
    resumed = fit(resumed_step, fabric, tmp_path / "cut")
    later = [row for row in whole if row["step"] > 13]
    assert [row for row in resumed if row["step"] > 13] == later
    for name, value in whole_step.model.state_dict().items():
        assert torch.equal(value, resumed_step.model.state_dict()[name])
    assert torch.equal(whole_step.average.module[0].weight, resumed_step.average.module[0].weight)


def test_accumulation_equals_the_whole_batch(fabric):
    whole = fit(TinyStep(fabric, dropout=0), fabric, steps=10)
    parts = fit(TinyStep(fabric, parts=4, dropout=0), fabric, steps=10)
    assert [r["loss"] for r in parts] == pytest.approx([r["loss"] for r in whole], rel=1e-5)
    with pytest.raises(ValueError, match="equal parts"):
        fit(TinyStep(fabric, parts=3), fabric, steps=1)


def test_a_loss_that_is_not_finite_stops_before_the_update(fabric):
    step = TinyStep(fabric)
    before = {k: v.clone() for k, v in step.model.state_dict().items()}
    step.losses = lambda batch: {"loss": step.model(batch["rgb"].float()).sum() * float("nan")}
    with pytest.raises(FloatingPointError, match="not finite"):
        fit(step, fabric, steps=1)
    assert all(torch.equal(v, before[k]) for k, v in step.model.state_dict().items())


def test_a_loss_that_a_step_only_reports_stops_before_it_is_kept(fabric, tmp_path):
    whole = fit(TinyStep(fabric), fabric, tmp_path / "whole")

    class Wrong(TinyStep):
        def __call__(self, batch):
            return super().__call__(batch) | {"loss": torch.tensor(float("nan"))}
    fit(TinyStep(fabric), fabric, tmp_path / "cut", steps=13)
    with pytest.raises(FloatingPointError, match="The loss is not finite"):
        fit(Wrong(fabric), fabric, tmp_path / "cut")
    assert fit(TinyStep(fabric), fabric, tmp_path / "cut")[-1] == whole[-1]


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="no terminals that hang up")
def test_a_closed_terminal_ends_the_training_with_a_checkpoint(fabric, tmp_path):
    whole = fit(TinyStep(fabric), fabric, tmp_path / "whole")

    class Closed(TinyStep):
        def __call__(self, batch):
            os.kill(os.getpid(), signal.SIGHUP)
            return super().__call__(batch)
    with pytest.raises(interruptions.Stopped, match="stopped at update 1;"):
        fit(Closed(fabric), fabric, tmp_path / "cut")
    assert fit(TinyStep(fabric), fabric, tmp_path / "cut") == whole


@pytest.mark.parametrize("line", ['{"step": 1e999}', "[" * 100_000], ids=["infinite", "deep"])
def test_a_damaged_log_is_no_hindrance(line, tmp_path):
    (tmp_path / "log.jsonl").write_text(line + '\n{"step": 2, "loss": 1.0}\n')
    assert list(checkpoints.read_rows(tmp_path / "log.jsonl")) == [2]


def test_slips_of_the_finger_in_batches_and_workers():
    with pytest.raises(ValueError, match="lower --batch-size"):
        next(data.batches(data.SceneSet(2, size=16), 10 ** 9))
    with pytest.raises(ValueError, match="workers is 100000: "):
        data.check_feed(4, workers=100_000)


def test_sizes(monkeypatch):
    monkeypatch.delenv("COLORLIB_SIZE", raising=False)
    assert train.size() == "smoke"
    monkeypatch.setenv("COLORLIB_SIZE", "huge")
    with pytest.raises(ValueError, match="smoke, class or paper"):
        train.size()


def test_bf16_and_compile_flags(fabric):
    bf16 = train.make_fabric("cpu", precision="bf16-mixed")
    log = fit(TinyStep(bf16, dropout=0), bf16, steps=50)
    assert log[-1]["loss"] < log[0]["loss"]
    with pytest.raises(ValueError, match="not a device"):
        train.make_fabric("quantum")
    if not torch.cuda.is_available():
        with pytest.raises(ValueError, match="No CUDA device"):
            train.make_fabric("cuda")


def test_two_processes_train_as_one_does(tmp_path, monkeypatch):
    """The command itself, on a network without batch norm. At a rate this low rounding does not grow, as it does in any GAN."""
    empty_workshop(tmp_path, monkeypatch)
    command = ["train", "cyclegan", "--data", "scenes:12", "--device", "cpu", "--batch-size", "4", "--steps", "6"]
    command += [word for setting in ("width=4", "blocks=1", "image_size=32", "learning_rate=1e-5") for word in ("--set", setting)]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    parallel = [sys.executable, "-m", "colorlib", *command, "--devices", "2", "--run", "two"]
    two = subprocess.Popen(parallel, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert cli.main([*command, "--devices", "1", "--run", "one"]) == 0
    out, error = two.communicate(timeout=300)
    assert two.returncode == 0, error.decode()
    assert out.decode().split() == ["two/cyclegan-smoke.safetensors"] and sorted(os.listdir("two")) == sorted(os.listdir("one"))
    (one_row,), (row,) = rows(tmp_path / "one"), rows(tmp_path / "two")
    assert row == pytest.approx(one_row, rel=1e-5) and row["step"] == 6
    whole, shared = (torch.load(tmp_path / run / "last.ckpt", weights_only=True)["parts"] for run in ("one", "two"))
    for part in ("model", "critics"):
        weights = [name for name in whole[part] if name.endswith("weight")]      # biases before a norm have no gradient but rounding
        assert weights and all((whole[part][name] - shared[part][name]).abs().mean() < 1e-6 for name in weights)       # they moved by up to 6e-5


def test_devices_are_what_torchrun_started(monkeypatch):
    for name, value in {"TORCHELASTIC_RUN_ID": "x", "WORLD_SIZE": 4, "LOCAL_WORLD_SIZE": 2, "RANK": 3, "LOCAL_RANK": 1, "GROUP_RANK": 1}.items():
        monkeypatch.setenv(name, str(value))
    fabric = train.make_fabric("cpu")
    assert (fabric.world_size, fabric.global_rank, fabric.local_rank, fabric.node_rank) == (4, 3, 1, 1)
    with pytest.raises(ValueError, match="torchrun started 2 processes on each of 2 machines, which 3 devices on 1 contradicts: leave those out"):
        train.make_fabric("cpu", devices=3)


FAULTS = """
import resource, sys, torch
from colorlib import train
torch.set_num_threads(1)
if sys.argv[1] == "kept":
    train.keep_freed_memory()
for i in range(12):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    torch.ones(2 ** 24)
    found = resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
print(found)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only the C library of Linux is told")
def test_freed_memory_is_used_again():
    """64 MiB, again and again: fresh pages each time by default, none when they are kept."""
    fresh, kept = (int(subprocess.run([sys.executable, "-c", FAULTS, word], capture_output=True, text=True, check=True).stdout) for word in ("fresh", "kept"))
    assert kept < 100 and kept < fresh / 5 or fresh < 100      # fresh: another C library than glibc may keep it anyway


def test_update_refuses_what_is_not_finite():
    weight = torch.nn.Parameter(torch.ones(1))
    optimizer, fabric = torch.optim.SGD([weight], 0.1), train.make_fabric("cpu")
    with pytest.raises(FloatingPointError, match="not finite"):
        train.update(fabric, optimizer, weight.sum() * float("nan"))
    assert weight.item() == 1
    train.update(fabric, optimizer, weight.sum())
    assert weight.item() == pytest.approx(0.9)


def test_frozen():
    layer, x = torch.nn.Linear(2, 1), torch.ones(1, 2, requires_grad=True)
    with train.frozen(layer):
        layer(x).sum().backward()
    assert layer.weight.grad is None and torch.equal(x.grad, layer.weight)
    with train.frozen(layer, on=False):
        layer(x).sum().backward()
    assert layer.weight.grad is not None and layer.weight.requires_grad
