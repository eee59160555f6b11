"""Deep Koalarization against its released code: sizes, parameter counts, outputs, and what training does to it."""
from dataclasses import replace

import numpy as np
import pytest
import torch

from colorlib import data, train
from colorlib.papers import koalarization as koala

SMALL = replace(koala.PRESETS["smoke"], encoder=(8,) * 8, fusion=8, decoder=(8, 8, 8, 8), embedding=16, steps=200, batch_size=4, classifier_steps=5)


def convolutions(model):
    return [module for module in model.modules() if isinstance(module, torch.nn.Conv2d)]


def count(module):
    return sum(p.numel() for p in module.parameters())


def test_parameter_counts():
    assert count(koala.FusionNet(koala.FAITHFUL)) == 6_574_050
    assert count(koala.FusionNet(koala.FIXED)) == 6_574_050
    assert count(koala.FusionNet(replace(koala.FAITHFUL, embedding=1000))) == 6_574_050 - 256
    net = koala.FusionNet(koala.FAITHFUL)
    assert (count(net.encoder), count(net.fuse), count(net.decoder) + count(net.to_ab)) == (5_827_200, 322_048, 424_802)


def test_outputs_of_the_released_code():
    """The authors' network_definition.py, its 12 convolutions filled by this formula in float64, gave these numbers (Keras 3 on torch)."""
    def fill(shape, layer):
        i, fan = np.arange(np.prod(shape), dtype=np.float64), np.prod(shape[1:])
        return torch.from_numpy((np.sin(0.37 * i + 1.3 * layer) * np.sqrt(2 / fan) if len(shape) > 1 else 0.02 * np.cos(0.9 * i + layer)).reshape(shape))
    net = koala.FusionNet(koala.FAITHFUL).double().eval()
    for layer, conv in enumerate(convolutions(net)):
        conv.weight.data, conv.bias.data = fill(tuple(conv.weight.shape), layer), fill(tuple(conv.bias.shape), layer)
    L_n = torch.from_numpy(np.sin(np.arange(40 * 56) * 0.11).reshape(1, 1, 40, 56))
    with torch.no_grad():
        ab_n = net(L_n, torch.from_numpy(np.cos(np.arange(1001) * 0.7))[None])[0]
    found = [ab_n.mean(), ab_n.std(correction=0), ab_n[0, 0, 0], ab_n[1, 17, 23], ab_n[0, 39, 55], ab_n[1, 20, 2]]
    assert [float(x) for x in found] == pytest.approx([0.00896088, 0.00685426, 0.01785527, 0.00200379, 0.01665691, 0.00209772], abs=1e-8)


@pytest.mark.parametrize("config", [koala.FAITHFUL, koala.FIXED, koala.PRESETS["class"], koala.PRESETS["smoke"]], ids=["faithful", "fixed", "class", "smoke"])
@pytest.mark.parametrize("size", [(32, 32), (40, 24)])
def test_output_shapes(config, size):
    ab_n = koala.FusionNet(config).eval()(torch.zeros(2, 1, *size), torch.zeros(2, config.embedding))
    assert ab_n.shape == (2, 2, *size) and ab_n.abs().max() <= 1


def test_faithful_chroma_comes_in_blocks():
    ab_n = koala.FusionNet(koala.FAITHFUL)(torch.randn(1, 1, 32, 32), torch.randn(1, 1001))
    blocks = ab_n.view(1, 2, 16, 2, 16, 2)
    assert torch.equal(blocks[:, :, :, :1, :, :1].expand_as(blocks), blocks)


def test_sizes_that_are_not_multiples_of_8():
    with pytest.raises(ValueError, match="multiples of 8"):
        koala.FusionNet(SMALL)(torch.zeros(1, 1, 30, 32), torch.zeros(1, 16))
    model = koala.build(SMALL)
    for size in [(1, 1), (13, 30), (64, 7)]:
        assert koala.colorize(model, {"L": torch.full((1, 1, *size), 50.0)}).shape == (1, 2, *size)


def test_the_global_branch_is_one_bias_per_picture():
    """W [E; v] + b = W_E E + (W_v v + b): FiLM with gamma fixed at 1."""
    net = koala.FusionNet(SMALL).eval()
    E, v = torch.randn(2, 8, 5, 5), torch.randn(2, 16)
    fused = net.fuse(torch.cat([E, v[:, :, None, None].expand(-1, -1, 5, 5)], 1))
    W_E, W_v = net.fuse.weight.split([8, 16], 1)
    beta = v @ W_v[:, :, 0, 0].T + net.fuse.bias
    assert torch.allclose(fused, torch.nn.functional.conv2d(E, W_E) + beta[:, :, None, None], atol=1e-5)


def test_every_parameter_learns_and_the_extractor_does_not():
    fabric = train.make_fabric("cpu")
    step = koala.Step(SMALL, fabric)
    frozen = {k: v.clone() for k, v in step.extractor.state_dict().items()}
    before = {k: v.detach().clone() for k, v in step.model.named_parameters()}
    batch = {"rgb": torch.randint(0, 256, (4, 3, 32, 32), dtype=torch.uint8)}
    for _ in range(2):
        step(batch)
    assert all(not torch.equal(before[k], v) for k, v in step.model.named_parameters())
    assert all(torch.equal(frozen[k], v) for k, v in step.extractor.state_dict().items())


def test_training_on_one_batch_learns_its_colours():
    fabric = train.make_fabric("cpu")
    stripes = torch.zeros(4, 3, 32, 32, dtype=torch.uint8)
    stripes[:, 0, :16], stripes[:, 2, 16:] = 200, 220                     # red above, blue below: L tells them apart
    step = koala.Step(replace(SMALL, steps=60, learning_rate=1e-2), fabric)
    losses = [step({"rgb": stripes})["mse"].item() for _ in range(60)]
    assert losses[-1] < 0.1 * losses[0]


def test_loss_stages():
    fabric, batch = train.make_fabric("cpu"), {"rgb": torch.randint(0, 256, (4, 3, 32, 32), dtype=torch.uint8)}
    step = koala.Step(replace(SMALL, loss_stages=((0, None, 0.0), (2, 5.0, 0.0))), fabric)
    rows = [step(batch) for _ in range(3)]
    assert [bool(row["loss"] == row["mse"]) for row in rows] == [True, True, False] and step.updates == 3


def test_vivid_loss():
    true, pred = torch.zeros(1, 2, 1, 2), torch.tensor([[3.0, 0.0], [4.0, 0.0]]).view(1, 2, 1, 2)      # distances 5 and 0
    assert koala.vivid_loss(pred, true, 1.0, 0.0).item() == pytest.approx((5 - 0.5) / 2, abs=1e-3)       # linear beyond delta
    assert koala.vivid_loss(pred, true, 1.0, 0.2).item() == pytest.approx((5 - 0.5 - 0.2 * 5) / 2, abs=1e-3)
    small = 0.01 * pred
    assert koala.vivid_loss(small, true, 1.0, 0.0).item() == pytest.approx(koala.fusion_loss(small, true).item(), abs=1e-6)
    p, colour = torch.tensor([0.36, 0.40]), torch.tensor([60.0, 0.0]).view(1, 2, 1, 1)                   # grey or this colour: what to paint?
    for probability in p:
        def risk(ab, v=0.25):
            return (1 - probability) * koala.vivid_loss(ab, 0 * colour, 0.1, v) + probability * koala.vivid_loss(ab, colour, 0.1, v)
        assert bool(risk(colour) < risk(0 * colour)) == bool(probability > (1 - 0.25) / 2)


def test_colorize_is_deterministic_and_ablations_differ():
    torch.manual_seed(0)
    model = koala.build(SMALL)
    batch = {"L": torch.rand(3, 1, 16, 16) * 100}
    true = koala.colorize(model, batch)
    assert torch.equal(true, koala.colorize(model, batch))
    zeroed, shuffled = koala.colorize(model, batch, "zeroed"), koala.colorize(model, batch, "shuffled")
    assert not torch.equal(true, zeroed) and not torch.equal(true, shuffled)
    swapped = model(batch["L"], model.extractor(koala.gray_of(batch["L"])).roll(1, 0))
    assert torch.equal(shuffled, swapped)
    with pytest.raises(ValueError, match="true, zeroed, shuffled"):
        koala.colorize(model, batch, "other")


def test_enliven():
    ab = torch.tensor([[0.0, 12.0, 3.0], [0.0, 16.0, 4.0]]).view(1, 2, 1, 3)                # chroma 0, 20, 5
    assert torch.allclose(koala.enliven(ab), ab, atol=1e-5) and torch.allclose(koala.enliven(ab, 1.5), 1.5 * ab, atol=1e-5)
    chroma = koala.enliven(ab, 1.5, 10.0).norm(dim=1).flatten()
    assert chroma.tolist() == pytest.approx([0, 30, 1.5 * 1.5 * 5 / 15 * 5], abs=1e-4)


def test_config_is_the_released_one():
    c = koala.PRESETS["paper"]
    assert (c.encoder, c.fusion, c.decoder) == ((64, 128, 128, 256, 256, 512, 512, 256), 256, (128, 64, 64, 32))
    assert (c.learning_rate, c.batch_size, c.image_size, c.extractor_size, c.embedding, c.ab_max) == (1e-3, 100, 224, 299, 1001, 127)
    assert not c.batch_norm and not c.one_cycle


def test_inputs():
    rgb = torch.randint(0, 256, (2, 3, 8, 8), dtype=torch.uint8)
    L_n, gray, ab_n = koala.inputs_of(rgb, koala.FAITHFUL)
    assert L_n.abs().max() <= 1 and gray.min() >= 0 and gray.max() <= 1 and ab_n.shape == (2, 2, 8, 8)
    assert gray[0, 0, 0, 0].item() == pytest.approx((rgb[0, :, 0, 0].float() / 255 @ torch.tensor([0.299, 0.587, 0.114])).item(), abs=1e-6)
    same = koala.inputs_of(gray.expand(-1, 3, -1, -1), replace(koala.FAITHFUL, gray_source="luma"))
    assert torch.allclose(koala.inputs_of(rgb, replace(koala.FAITHFUL, gray_source="luma"))[0], same[0], atol=1e-5)
    grey_again = koala.gray_of((same[0] + 1) * 50)
    assert torch.allclose(grey_again, gray, atol=1e-3)


def test_inception_embedding_has_a_background_class(monkeypatch):
    embedding = koala.InceptionEmbedding(size=96, pretrained=False)
    vector = embedding(torch.rand(1, 1, 40, 40))
    assert vector.shape == (1, 1001) and vector[0, 0] == 0 and not vector.requires_grad
    assert count(embedding.network) == 55_843_464


def test_inception_loads_real_weights_from_a_file(monkeypatch, tmp_path):
    """timm's own loading code, from a local file in the layout of its download."""
    import timm
    from safetensors.torch import save_file
    source = timm.create_model("inception_resnet_v2", pretrained=False).eval()
    torch.nn.init.normal_(source.classif.weight, std=0.1)
    save_file({name: value.half().contiguous() for name, value in source.state_dict().items()}, tmp_path / "inception.safetensors")
    monkeypatch.setenv("COLORLIB_INCEPTION", str(tmp_path / "inception.safetensors"))
    extractor = koala.build_extractor(replace(koala.FAITHFUL, extractor_size=96))
    gray = torch.rand(1, 1, 96, 96)
    with torch.no_grad():
        expected = source.half().float()(2 * gray.expand(-1, 3, -1, -1) - 1)
    assert torch.allclose(extractor(gray)[:, 1:], expected, atol=1e-3) and extractor(gray)[0, 0] == 0
    monkeypatch.setenv("COLORLIB_INCEPTION", str(tmp_path / "gone.safetensors"))
    with pytest.raises(FileNotFoundError, match="COLORLIB_INCEPTION"):
        koala.build_extractor(koala.FAITHFUL)


def test_inception_without_network_says_what_to_do(monkeypatch, tmp_path):
    import timm
    monkeypatch.setattr(timm, "create_model", lambda *args, **options: (_ for _ in ()).throw(OSError("no route")))
    with pytest.raises(ConnectionError, match="grey_classifier"):
        koala.build_extractor(koala.FAITHFUL)
    with pytest.raises(ValueError, match="choose 'inception_resnet_v2'"):
        koala.build_extractor(replace(koala.FAITHFUL, extractor="vgg"))


def test_make_step_trains_the_classifier_and_needs_labels(tmp_path):
    fabric = train.make_fabric("cpu")
    rgb = np.random.default_rng(0).integers(0, 256, (8, 64, 64, 3), dtype=np.uint8)
    ids = [str(i) for i in range(8)]
    step = koala.make_step(SMALL, fabric, data.Packed(rgb, ids, [0, 1] * 4), progress=False)
    assert step(next(data.batches(data.Packed(rgb, ids), 4, steps=1)))["mse"] > 0
    with pytest.raises(ValueError, match="labels"):
        koala.make_step(SMALL, fabric, data.Packed(rgb, ids), progress=False)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_training_and_colorizing_on_a_gpu():
    fabric = train.make_fabric("cuda", devices=1)
    step = koala.Step(SMALL, fabric)
    batch = fabric.to_device({"rgb": torch.randint(0, 256, (4, 3, 32, 32), dtype=torch.uint8)})
    assert all(torch.isfinite(step(batch)["loss"]) for _ in range(3))
    model, L = step.result(), torch.rand(2, 1, 32, 32) * 100
    on_gpu = koala.colorize(model, {"L": L.cuda()}).cpu()
    assert torch.allclose(on_gpu, koala.colorize(model.cpu(), {"L": L}), atol=0.5)
