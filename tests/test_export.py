"""ONNX files: onnxruntime paints the picture that `colorlib.colorize` paints; what cannot be written says why."""
import importlib.util
from dataclasses import replace

import numpy as np
import pytest
import torch

from colorlib import __main__ as cli
from colorlib import export, hints, images, painting, zoo
from colorlib.papers import hscau, photonet, pix2pix

PHOTONET = photonet.PRESETS["smoke"]
MODELS = {"photonet": lambda: photonet.build(replace(PHOTONET, channels=(8, 8), blocks=1, hidden=16, mirror=False)),
          "unet": lambda: hscau.build(replace(zoo.get("unet").presets["smoke"], width=2)),
          "unet_infrared": lambda: pix2pix.build(replace(zoo.get("unet_infrared").presets["smoke"], width=4, halvings=2))}


@pytest.mark.parametrize("name", MODELS)
def test_onnxruntime_paints_the_same_picture(name, tmp_path, monkeypatch):
    monkeypatch.setattr(hscau, "LEVELS", 1)      # fewer layers: each costs the exporter a while
    for package in (*export.NEEDED, "onnxruntime"):
        pytest.importorskip(package)
    import onnxruntime
    torch.manual_seed(0)
    row, model = zoo.get(name), MODELS[name]().eval()
    for layer in model.modules():
        if isinstance(layer, torch.nn.BatchNorm2d):
            layer.running_mean.normal_(0, 0.1)
            layer.running_var.uniform_(0.5, 2)
    session = onnxruntime.InferenceSession(export.export_onnx(name, tmp_path / "network.onnx", model=model), providers=["CPUExecutionProvider"])
    facts = session.get_modelmeta().custom_metadata_map
    assert facts["method"] == name and len(facts["weights_sha256"]) == 64 and int(facts["working_size"]) == zoo.working_size(model.config)
    for height, width in ((70, 90), (128, 61)):
        picture = images.open_image(np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8))
        L, given = images.lightness(picture), [(10, 12, 40, 30), (50, 40, "teal")] if row.conditions else None
        batch = painting.batch_of(row, model, picture, L, **({"hints": hints.as_hints(given, L)} if given else {}))
        planes = session.run(None, {one: value.numpy() for one, value in batch.items()})[0][0]
        expected = painting.colorize(picture, name, model=model, hints=given).rgb
        assert np.abs(painting.enlarge(row, picture, L, planes).astype(int) - expected).max() <= 1
    twice = session.run(None, {one: torch.cat([value, value.flip(-1)]).numpy() for one, value in batch.items()})[0]
    assert len(twice) == 2 and np.abs(twice[0] - planes).max() < 1e-2


def test_what_cannot_be_written(tmp_path, monkeypatch, capsys):
    for name, reason in (("hintnet", "every hint"), ("film", "vocabulary"), ("levin", "solves equations")):
        with pytest.raises(ValueError, match=reason):
            export.export_onnx(name, tmp_path / "network.onnx")
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *rest: None if name == "onnxscript" else find(name, *rest))
    if find("onnx"):
        assert cli.main(["export", "photonet", "-o", str(tmp_path / "network.onnx")]) == 1
        assert "Writing ONNX needs onnxscript: install it with `pip install onnxscript`." in capsys.readouterr().err
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *rest: True)
    with pytest.raises(FileNotFoundError, match="create it first"):
        export.export_onnx("photonet", tmp_path / "nowhere" / "network.onnx")
