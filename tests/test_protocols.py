"""A paper's own evaluation, and the ablations: small networks, few pictures, rows that say what they are."""
from dataclasses import replace

import numpy as np
import pytest
import torch

from colorlib import __main__ as cli
from colorlib import experiments, metrics, results, train, zoo
from colorlib.experiments import ablations, protocols
from colorlib.papers import scgan
from tests.data_samples import empty_workshop

TINY = replace(scgan.SMOKE, width=4, attention_width=4, feature_width=4, batch_size=4, phase_one=2, steps=3, pretraining=(2, 1e-3))


@pytest.fixture
def workshop(tmp_path, monkeypatch):
    empty_workshop(tmp_path, monkeypatch)
    monkeypatch.delenv("COLORLIB_CLASSIFIER", raising=False)
    monkeypatch.setitem(scgan.PRESETS, "smoke", TINY)
    monkeypatch.setitem(scgan.VARIANTS["scgan"], "smoke", TINY)
    return tmp_path


@pytest.fixture
def model():
    torch.manual_seed(0)
    generator = scgan.build(TINY)
    torch.nn.init.normal_(generator.to_rgb.conv.weight, 0, 0.2)
    return generator.eval()


def test_scgan_as_published(workshop, model):
    summaries = protocols.measure_scgan(size="smoke", model=model, limit=5, device="cpu", progress=False)
    assert list(summaries) == ["truth", "grey", "painted", "as published", "lightness kept"]
    assert summaries["truth"]["psnr"] is None and summaries["truth"]["nrmse"] == 0                 # infinite, so left out of the mean
    assert summaries["grey"]["colorfulness"] < 1e-6 and summaries["grey"]["cni"] == 0 and summaries["grey"]["cci_ratio"] == 0
    assert summaries["painted"]["psnr"] != summaries["as published"]["psnr"]                       # batch norm in training mode
    assert summaries["painted"]["ssim_range2"] > summaries["painted"]["ssim"]                      # the wrong range flatters
    rows = results.read("scgan_protocol")
    assert {(row["method"], row["variant"]) for row in rows} == {("truth", None), ("grey", None), *(
        ("scgan", variant) for variant in ("painted", "as published", "lightness kept"))}
    assert all("saliency given, classifier none" in row["notes"] and row.get("top1") is None for row in rows)
    assert "scgan (as published)" in protocols.table("scgan", "smoke")


def test_the_numbers_are_those_of_the_metrics(workshop, model):
    dataset = experiments.open_dataset("scenes", 64, split="val", limit=4)
    true = torch.stack([dataset[i]["rgb"] for i in range(4)])
    pred, predicted = protocols.paint_rows(scgan, model, true, "cpu")["painted"]
    summaries = protocols.measure_scgan(size="smoke", model=model, limit=4, device="cpu", write=False, progress=False)
    maps = torch.stack([dataset[i]["saliency"] for i in range(4)]).float() / 255
    assert summaries["painted"]["psnr"] == pytest.approx(metrics.psnr(pred, true).mean().item())
    assert summaries["painted"]["cci_ratio"] == pytest.approx(100 * metrics.cci_ratio(pred))
    found = metrics.saliency_scores(predicted, maps)["recall"].numpy()
    assert summaries["painted"]["recall"] == pytest.approx(100 * np.nanmean(found))
    assert not results.read("scgan_protocol")


def test_ablations(workshop):
    lines = list(ablations.run("scgan", "smoke", seeds=2, rows=["as it is", "no GAN"], device="cpu", folder=str(workshop / "runs"), progress=False))
    assert len(lines) == 4 and lines[0].startswith("scgan: as it is, seed 0: PSNR ")
    rows = results.read("scgan_ablation")
    assert [(row["variant"], row["seed"]) for row in rows] == [("as it is", 0), ("as it is", 1), ("no GAN", 0), ("no GAN", 1)]
    assert len({row["config_hash"] for row in rows}) == 4
    table = ablations.table("scgan", "smoke")
    assert "| as it is | 2 |" in table and " ± " in table
    mean = np.mean([row["psnr"] for row in rows[:2]])
    assert f"{mean:.2f} ±" in table
    longer = list(ablations.run("scgan", "smoke", seeds=1, rows=["as it is"], device="cpu", folder=str(workshop / "longer"), progress=False,
                                changes={"steps": 4, "phase_one": 3}))
    assert results.read("scgan_ablation")[-1]["steps"] == 4 and len(longer) == 1
    again = list(ablations.run("scgan", "smoke", seeds=1, rows=["no GAN"], device="cpu", folder=str(workshop / "runs"), progress=False))
    assert again[0] == lines[2]                                                                    # the finished run is read, not trained again
    with pytest.raises(ValueError, match="these ablations: as it is, attention weight 0"):
        next(ablations.run("scgan", "smoke", rows=["no such row"]))
    with pytest.raises(ValueError, match="koalarization has no ablations"):
        next(ablations.run("koalarization", "smoke"))


def test_every_ablation_is_a_config():
    for changes in scgan.TRAINING_ABLATIONS.values():
        scgan.Step(replace(TINY, **changes), train.make_fabric("cpu"))


def test_the_command_line(workshop, capsys):
    assert cli.main(["train", "scgan", "--data", "scenes", "--set", "attention_weight=0", "gan=lsgan", "pretraining=()", "--steps", "3"]) == 0
    config = zoo.read_sidecar(capsys.readouterr().out.strip())["config"]
    assert config["attention_weight"] == 0.0 and config["gan"] == "lsgan" and config["pretraining"] == []
    weights = str(workshop / "runs" / "scgan-smoke" / "scgan-smoke.safetensors")
    assert cli.main(["evaluate", "scgan", "--published", "--limit", "3", "--weights", weights, "--dry-run"]) == 0
    assert "| as published |" in capsys.readouterr().out and not results.read("scgan_protocol")
    for arguments, sentence in ((["train", "scgan", "--set", "attention=0"], "no setting 'attention'"),
                                (["train", "scgan", "--set", "gan=0", "width=wide"], "'width=wide' does not fit: width is like 4"),
                                (["evaluate", "koalarization", "--published"], "no evaluation of its own"),
                                (["evaluate", "scgan_infrared", "--published"], "scgan_infrared sees infrared")):
        assert cli.main(arguments) == 1 and sentence in capsys.readouterr().err
