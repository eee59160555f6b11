"""Learning to Color from Language: counts, what the words do and where, the published code's numbers, weights that bring their vocabulary, and training."""
import zlib
from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
import torchvision

from colorlib import captions, data, lab, painting, pretrained, train, zoo
from colorlib.papers import cic, koalarization
from colorlib.papers import language as lg

WORDS = captions.Vocabulary.build(["a red car on the road beside two buses"]).words
TINY = {"width": 4, "embedding": 8, "hidden": 6, "vocabulary": WORDS, "image_size": 32, "working_size": 32, "batch_size": 4, "steps": 60}
SMALL = {name: replace(lg.VARIANTS[name]["smoke"], **TINY) for name in lg.VARIANTS}
SMALL |= {"next": replace(SMALL["concat"], concat_form="next"), "plain": replace(SMALL["film"], film_form="plain")}
READERS = [name for name in SMALL if name != "fcnn"]
SAID = ["a red car", "", "two blue buses on the road", "红色的汽车 🚗 zebra"]


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


def count(module):
    return sum(p.numel() for p in module.parameters())


def build(name, **changes):
    torch.manual_seed(0)
    return lg.build(replace(SMALL[name], **changes), pretrained=False).eval()


def random_batch(number=4, side=32):
    generator = torch.Generator().manual_seed(0)
    return {"L": 100 * torch.rand(number, 1, side, side, generator=generator), "caption": SAID[:number],
            "rgb": torch.randint(0, 256, (number, 3, side, side), dtype=torch.uint8, generator=generator),
            "captions": [[said or "a gray road", f"{said} beside a white bus"] for said in SAID[:number]]}


def even(config):
    """A prior of a network's live bins, all alike."""
    live = (lab.live_bins() if config.bins == 625 else torch.ones(config.bins)).double()
    return live / live.sum()


# ---------------------------------------------------------------- sizes

def test_parameter_counts():
    trunk, encoder = 32_315_569, 4_144_584              # 10,004 words, padding and unknown: (10_006 * 300) + the LSTM's 1_142_784
    assert zoo.count_parameters("fcnn") == {"eight blocks": trunk}
    assert zoo.count_parameters("concat") == {"eight blocks": trunk, "caption encoder": encoder, "fusion": 2_611_904}
    assert zoo.count_parameters("film") == {"eight blocks": trunk, "caption encoder": encoder, "fusion": 2_823_552}
    released = zoo.count_parameters("film_released")
    assert list(released.values()) == [1_444_928, 12_915_825, encoder] and "frozen" in next(iter(released))
    with torch.device("meta"):
        joined = lg.LanguageNet(replace(lg.VARIANTS["concat"]["paper"], concat_form="next"))
        assert count(joined) - encoder == 45_939_377 and count(joined) - encoder - trunk == 13_623_808
        assert count(lg.LanguageNet(replace(lg.PAPER, vocabulary=WORDS)).encoder) == encoder - 300 * (10_004 - len(WORDS))
        for name in lg.VARIANTS:                        # with the largest vocabulary; fp16
            assert 2 * sum(value.numel() for value in lg.build(lg.VARIANTS[name]["class"], pretrained=False).state_dict().values()) <= 8_000_000


def test_config_is_the_released_code():
    c = lg.VARIANTS["film"]["paper"]
    assert (c.bins, c.width, c.embedding, c.hidden, c.dropout, c.soft_labels, c.normalize) == (625, 64, 300, 256, 0.2, False, "weights")
    assert (c.learning_rate, c.betas, c.weight_decay, c.batch_size, c.image_size, c.uniform, c.alpha) == (1e-3, (0.9, 0.999), 0.0, 24, 224, 0.5, 1.0)
    assert c.steps == 30 * -(-66_165 // 24) and lg.RELEASED.film_form == "plain" and lg.RELEASED.temperature == 1.0 and lg.RELEASED.backbone == "resnet101"
    assert all(config.fusion == fusion for (name, fusion) in zip(lg.VARIANTS, ("none", "concat", "film", "released")) for config in lg.VARIANTS[name].values())


@pytest.mark.parametrize("changes, sentence", [({"fusion": "sum"}, "fusion is 'sum'"), ({"concat_form": "sum"}, "concat_form 'sum'"),
                                               ({"fusion": "released", "backbone": "vgg16"}, "choose one of resnet101, resnet18"),
                                               ({"vocabulary": ("red", "red")}, "twice"), ({"bins": 500}, "313, 441 or 625")])
def test_configs_that_cannot_be(changes, sentence):
    with pytest.raises(ValueError, match=sentence):
        model = build("film", **changes)
        lg.colorize(model, {"L": torch.zeros(1, 1, 8, 8)})


# ---------------------------------------------------------------- FiLM, CONCAT and Koalarization's fusion

def test_film_by_hand():
    x, gamma, beta = torch.tensor([[[[1.0, 2.0]], [[3.0, -4.0]]]]), torch.tensor([[2.0, 0.5]]), torch.tensor([[10.0, -1.0]])
    assert lg.film(x, gamma, beta).tolist() == lg.film(x, gamma, beta, "plain").tolist() == [[[[12.0, 14.0]], [[0.5, -3.0]]]]
    assert lg.film(x, gamma, beta, "residual").tolist() == [[[[13.0, 16.0]], [[3.5, -7.0]]]]
    assert torch.equal(lg.film(x, gamma, beta, "residual"), lg.film(x, 1 + gamma, beta))
    assert torch.equal(lg.film(x, torch.zeros(1, 2), torch.zeros(1, 2), "residual"), x)                # residual FiLM starts from no change
    with pytest.raises(ValueError, match="FiLM is 'sum': choose plain or residual"):
        lg.film(x, gamma, beta, "sum")


def test_koalarizations_fusion_is_film_with_gamma_fixed_at_one():
    """[Z; e] through a 1x1 convolution = FiLM of the convolution's part for Z, with gamma = 1 and beta = its part for e."""
    net = koalarization.FusionNet(replace(koalarization.PRESETS["smoke"], encoder=(8,) * 8, fusion=12, embedding=10)).double()
    seen = {}
    net.fuse.register_forward_hook(lambda module, inputs, output: seen.update(joined=inputs[0], fused=output))
    embedding = torch.randn(3, 10, dtype=torch.double)
    net(torch.rand(3, 1, 16, 24, dtype=torch.double) * 2 - 1, embedding)
    Z, weight = seen["joined"][:, :8], net.fuse.weight                                                  # (12, 18, 1, 1)
    beta = embedding @ weight[:, 8:, 0, 0].T
    fused = lg.film(F.conv2d(Z, weight[:, :8], net.fuse.bias), torch.ones_like(beta), beta, "plain")
    assert Z.shape == (3, 8, 2, 3) and torch.allclose(fused, seen["fused"], rtol=0, atol=1e-12) and beta.abs().max() > 0.1
    assert torch.equal(fused, lg.film(F.conv2d(Z, weight[:, :8], net.fuse.bias), torch.zeros_like(beta), beta, "residual"))


def test_concat_is_tiling_and_joining():
    layer = lg.Concat(5, SMALL["concat"]).double()
    x, h = torch.randn(2, 5, 3, 4, dtype=torch.double), torch.randn(2, 12, dtype=torch.double)
    weight = torch.cat([layer.picture.weight, layer.words.weight[:, :, None, None]], 1)                 # (5, 5 + 12, 1, 1)
    tiled = h[:, :, None, None].expand(-1, -1, 3, 4)
    assert torch.allclose(layer(x, h), F.relu(F.conv2d(torch.cat([x, tiled], 1), weight, layer.picture.bias)), rtol=0, atol=1e-12)
    assert count(layer) == weight.numel() + 5
    joined = lg.Join()(x, h)
    assert torch.equal(joined, torch.cat([x, tiled], 1))


@pytest.mark.parametrize("name", ["film", "plain", "concat", "next"])
def test_words_come_in_after_each_of_the_eight_blocks(name):
    model, batch = build(name), random_batch()
    tokens, lengths = model.vocabulary.encode(batch["caption"])
    h, x = model.encoder(tokens, lengths), (batch["L"] - 50) / 100
    assert h.shape == (4, 12) and len(model.fusions) == 8
    record, blocks = lg.activations(model, batch, range(1, 9)), model.blocks
    for number, (block, fusion) in enumerate(zip(blocks, model.fusions), 1):
        z = block(x)
        tiled = h[:, :, None, None].expand(-1, -1, *z.shape[2:])
        if name in ("film", "plain"):
            gamma, beta = (one[:, :, None, None] for one in lg.modulation(model, batch["caption"])[number])
            x = (gamma if name == "plain" else 1 + gamma) * z + beta
        elif name == "concat":
            x = F.relu(F.conv2d(z, fusion.picture.weight, fusion.picture.bias) + F.linear(h, fusion.words.weight)[:, :, None, None])
        else:
            x = torch.cat([z, tiled], 1)
        assert torch.allclose(record[number], x, atol=1e-5)
    logits = F.conv2d(x, model.to_bins.weight, model.to_bins.bias).masked_fill(~lab.live_bins().view(1, -1, 1, 1), -1e4)
    assert torch.allclose(lg.predict(model, batch), logits, atol=1e-5)


def test_plain_film_does_not_silence_the_network_at_its_start():
    for name, centre in (("plain", 1.0), ("film", 0.0)):
        for gamma, beta in lg.modulation(build(name), [""]).values():          # h = 0: the biases alone
            assert abs(gamma.mean().item() - centre) < 0.15 and beta.abs().mean() < 0.6 and (name == "film" or bool((gamma == 1).all()))


# ---------------------------------------------------------------- the published code

def fill(name, shape):
    """Numbers from a formula, so that every machine has the same: u_j = (3 j^2 + 7919 j + 104729 c) mod 10007 / 10007 - 1/2, c from the name."""
    j = torch.arange(int(np.prod(shape)))
    u = ((3 * j * j + 7919 * j + 104729 * (zlib.crc32(name.encode()) % 10007)) % 10007 / 10007.0 - 0.5).double().reshape(shape)
    if name.endswith("embedding.weight"):
        return 4 * u
    if len(shape) > 1:
        return u * np.sqrt(24 / np.prod(shape[1:]))
    if name.endswith("running_mean"):
        return 0.2 * u
    return 1 + u if name.endswith(("running_var", "weight")) else 0.2 * u


class Features(torch.nn.Module):
    """Stands in for the ResNet: 512 channels from a formula."""

    def forward(self, x):
        number, _, height, width = x.shape
        shape = (number, 512, height // 8, width // 8)
        j = torch.arange(int(np.prod(shape)))
        return 8 * ((3 * j * j + 7919 * j + 104729 * 3) % 10007 / 10007.0 - 0.5).double().reshape(shape).clamp_min(0)


def test_outputs_of_the_released_code(monkeypatch):
    """AutocolorizeResnet of superhans/colorfromlanguage, its weights from `fill` under our names, float64, on `Features`; ours differs by less than 1e-6."""
    monkeypatch.setattr(lg, "open_backbone", lambda config, pretrained: Features())
    vocabulary = ("blue", "bus", "car", "on", "red", "road", "the", "yellow")
    model = lg.build(replace(lg.RELEASED, vocabulary=vocabulary, dropout=0.0)).double()
    model.load_state_dict({name: value if value.ndim == 0 or name == "class_weights" else fill(name, tuple(value.shape))
                           for name, value in model.state_dict().items()})
    batch = {"L": torch.full((3, 1, 24, 40), 50.0, dtype=torch.double), "caption": ["the red car on the road", "yellow bus", "blue"]}
    h = model.encoder(*model.vocabulary.encode(batch["caption"])).detach()
    assert [float(one) for one in (h.mean(), h.std(correction=0), h[0, 0], h[1, 255], h[2, 511])] == \
        pytest.approx([-0.0043491, 0.2305641, -0.0032823, -0.1573686, -0.5034061], abs=1e-6)
    logits, last, ab = lg.predict(model, batch), lg.activations(model, batch, (4,))[4], lg.colorize(model, batch)
    found = [logits.mean(), logits.std(correction=0), logits[0, 0, 0, 0], logits[1, 312, 3, 5], logits[2, 624, 5, 9], last.mean(), last[2, 511, 2, 4]]
    assert [float(one) for one in found] == pytest.approx([0.2542432, 3.1278646, -5.4983971, 4.3650504, 0.7704809, 1.8673755, 0.3596639], abs=1e-5)
    found = [ab.mean(), ab.std(correction=0), ab[0, 0, 0, 0], ab[1, 1, 12, 22], ab[2, 0, 23, 39]]        # theirs: softmax, grid, cv2.resize with INTER_CUBIC
    assert [float(one) for one in found] == pytest.approx([-3.6675098, 13.9001655, -5.5977583, -6.7490218, 4.0145503], abs=5e-4)
    with torch.no_grad():
        logits = model.train()(batch["L"], *model.vocabulary.encode(batch["caption"]))                   # batch norm of the batch
    found = [logits.mean(), logits.std(correction=0), logits[0, 0, 0, 0], logits[1, 312, 3, 5], logits[2, 624, 5, 9]]
    assert [float(one) for one in found] == pytest.approx([0.2066072, 2.8097572, -4.1214759, 3.4852691, 1.7633889], abs=1e-5)


def test_the_backbone_sees_grey_as_imagenet_networks_want_it():
    model, seen = build("film_released"), []
    model.backbone.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    lg.colorize(model, {"L": torch.tensor([0.0, 50.0, 100.0]).view(3, 1, 1, 1).expand(3, 1, 8, 8)})
    grey = torch.from_numpy(np.stack([lab.lab_to_rgb(np.array([L, 0.0, 0.0])) for L in (0, 50, 100)])).float()
    expected = (grey - torch.tensor([0.485, 0.456, 0.406])) / torch.tensor([0.229, 0.224, 0.225])
    assert torch.allclose(seen[0][:, :, 0, 0], expected, atol=2e-3) and seen[0].shape == (3, 3, 8, 8)


# ---------------------------------------------------------------- words

def test_a_caption_reads_the_same_alone_and_beside_longer_ones():
    encoder = build("film").encoder
    encode = captions.Vocabulary(WORDS).encode
    long = "the car on the road beside a car on a road beside the two blue buses"
    together = encoder(*encode(["a red car", long, "blue"]))
    for i, said in enumerate(["a red car", long, "blue"]):
        assert torch.allclose(encoder(*encode([said])), together[i:i + 1], atol=1e-6)
    assert not torch.allclose(together[0], together[2], atol=1e-3)


def test_an_empty_caption_is_zero_and_unknown_words_are_one_word():
    model = build("film")
    h = model.encoder(*model.vocabulary.encode(["", "a red car", "🚗", "zebra", "quokka", "a zebra", "red car a", "a a"]))
    assert not h[[0, 2]].any() and h[1].any() and torch.equal(h[3], h[4]) and h[3].any()
    assert not torch.allclose(h[1], h[6], atol=1e-4)                                # the order of words matters
    assert not torch.allclose(h[5], h[7], atol=1e-4)
    assert not model.encoder.embedding.weight[captions.PADDING].any()


@pytest.mark.parametrize("name", READERS)
def test_a_caption_changes_its_picture_only(name):
    model, batch = build(name), random_batch()
    as_said, other = lg.colorize(model, batch), lg.colorize(model, batch | {"caption": ["a green car", *SAID[1:]]})
    changed = (as_said - other).abs().amax((1, 2, 3))
    assert changed[0] > 1e-3 and changed[1:].max() < 1e-4
    unsaid = lg.colorize(model, {"L": batch["L"]})
    assert torch.equal(unsaid, lg.colorize(model, batch | {"caption": [""] * 4})) and torch.equal(unsaid, lg.colorize(model, batch | {"caption": None}))
    assert (unsaid[1] - as_said[1]).abs().max() < 1e-4 < (unsaid[0] - as_said[0]).abs().max()


def test_no_caption_changes_what_fcnn_paints():
    model, batch = build("fcnn"), random_batch()
    assert torch.equal(lg.colorize(model, batch), lg.colorize(model, {"L": batch["L"]})) and not hasattr(model, "encoder")


@pytest.mark.parametrize("name", READERS)
def test_captions_that_do_not_fit(name):
    model, L = build(name), torch.zeros(2, 1, 8, 8)
    for said, sentence in (("a red car", "put the caption into a list"), (["a red car"], "2 pictures and 1 captions"), (["red", 3], "string, not int"),
                           (["red", None], "string, not NoneType"), (["red", "red", "red"], "2 pictures and 3 captions")):
        with pytest.raises(ValueError, match=sentence):
            lg.colorize(model, {"L": L, "caption": said})


# ---------------------------------------------------------------- use

@pytest.mark.parametrize("name", SMALL)
def test_any_size_and_any_words(name):
    model = build(name)
    for size in ((1, 1), (37, 50), (8, 64)):
        batch = {"L": 100 * torch.rand(4, 1, *size), "caption": ["red " * 60, *SAID[1:]]}
        logits = {row: answer(batch) for row, answer in lg.distributions(model).items()}
        assert all(one.shape == (4, 625, -(-size[0] // 4), -(-size[1] // 4)) and one.dtype == torch.float32 for one in logits.values())
        painted = {row: paint(batch) for row, paint in lg.variants(model).items()}
        assert painted.keys() == logits.keys() and torch.equal(painted[""], lg.colorize(model, batch))
        assert all(ab.shape == (4, 2, *size) and ab.isfinite().all() for ab in painted.values())
    assert lg.bins(model.config).shape == (625, 2)
    with pytest.raises(ValueError, match="multiples of 8"):
        model(torch.zeros(1, 1, 12, 8), *model.vocabulary.encode([""]))


def test_a_caption_of_five_thousand_words():
    model = build("film")
    said = ["red " * 5000, "x" * 100_000]
    assert lg.colorize(model, {"L": torch.zeros(2, 1, 8, 8), "caption": said}).isfinite().all()


def test_the_rows_of_the_table():
    for name in SMALL:
        model = build(name)
        rows = set(lg.distributions(model)) - {"rebalancing undone"}
        assert rows == ({""} if name == "fcnn" else {"", "no caption", "another's caption"})
    model, batch = build("film"), random_batch()
    rows = {row: paint(batch) for row, paint in lg.variants(model).items()}
    assert torch.equal(rows["no caption"], lg.colorize(model, {"L": batch["L"]}))
    assert torch.equal(rows["another's caption"], lg.colorize(model, {"L": batch["L"], "caption": [*SAID[1:], SAID[0]]}))


@pytest.mark.parametrize("name", SMALL)
def test_same_input_same_picture(name):
    model, batch = build(name), random_batch()
    first = lg.colorize(model.train(), batch)
    assert torch.equal(first, lg.colorize(model.train(), batch)) and not model.training
    alone = lg.colorize(model, {"L": batch["L"][2:3], "caption": batch["caption"][2:3]})
    assert torch.allclose(alone, first[2:3], atol=1e-3)


def test_dead_bins_never_win():
    dead = ~lab.live_bins()
    for name in ("fcnn", "film_released"):
        model = build(name)
        with torch.no_grad():
            model.to_bins.bias[dead] = 1e3
        assert not dead[lg.predict(model, random_batch()).argmax(1)].any()


def test_activations_and_modulation():
    model, batch = build("film"), random_batch()
    found = lg.activations(model, batch)
    assert {number: tuple(one.shape) for number, one in found.items()} == {6: (4, 32, 4, 4), 7: (4, 32, 4, 4), 8: (4, 16, 8, 8)}
    other = lg.activations(model, batch | {"caption": ["a blue car", *SAID[1:]]})
    assert all(not torch.equal(found[number][0], other[number][0]) and torch.allclose(found[number][1:], other[number][1:], atol=1e-4) for number in found)
    assert lg.activations(model, batch, (1,))[1].shape == (4, 4, 16, 16)
    released = build("film_released")
    assert {number: tuple(one.shape) for number, one in lg.activations(released, batch, (1, 4)).items()} == {1: (4, 128, 4, 4), 4: (4, 128, 4, 4)}
    for one, blocks, sentence in ((model, (8, 9), "no block 9: choose from 1 to 8"), (released, (6,), "no block 6: choose from 1 to 4"),
                                  (model, (0,), "no block 0")):
        with pytest.raises(ValueError, match=sentence):
            lg.activations(one, batch, blocks)
    with pytest.raises(ValueError, match="multiples of 8"):
        lg.activations(model, {"L": torch.zeros(1, 1, 37, 50)})
    for one, widths in ((model, cic.widths(model.config)), (released, [128] * 4)):
        found = lg.modulation(one, ["red", "blue", ""])
        assert [tuple(gamma.shape) == tuple(beta.shape) and tuple(gamma.shape) for gamma, beta in found.values()] == [(3, width) for width in widths]
        assert list(found) == list(range(1, len(widths) + 1))
        assert all(not torch.equal(gamma[0], gamma[1]) and not gamma.requires_grad for gamma, _ in found.values())
    for name in ("fcnn", "concat"):
        with pytest.raises(ValueError, match="only FiLM has gamma and beta"):
            lg.modulation(build(name), ["red"])


# ---------------------------------------------------------------- weights

@pytest.mark.parametrize("name", ["fcnn", "concat", "film", "film_released"])
def test_weights_bring_their_vocabulary(name, tmp_path):
    model = build(name, image_size=16, working_size=16)
    path = tmp_path / "mine.safetensors"
    zoo.save_weights(model, name, path, {"size": "smoke"})
    again = zoo.load(name, path, device="cpu")
    assert again.config == model.config and again.vocabulary.words == WORDS and again.vocabulary.encode(SAID)[0].equal(model.vocabulary.encode(SAID)[0])
    batch = random_batch(side=16)
    assert torch.allclose(lg.colorize(again, batch), lg.colorize(model, batch), atol=0.3)                # weights are kept in half precision
    picture = np.random.default_rng(0).integers(0, 65536, (9, 14), dtype=np.uint16)
    if name == "fcnn":
        with pytest.raises(ValueError, match="fcnn takes no caption; methods that do: concat, film, film_released"):
            painting.colorize(picture, name, caption="a red car", weights=path)
        return
    with pytest.warns(UserWarning, match=f"{name} does not know 'zebra', 'quokka': it reads them as unknown words"):
        painted = painting.colorize(picture, name, caption="A Zebra beside a quokka, a zebra", weights=path, device="cpu")
    assert painted.rgb.shape == (9, 14, 3) and painted.rgb.dtype == np.uint16
    assert not np.array_equal(painted.rgb, painting.colorize(picture, name, caption="", weights=path, device="cpu").rgb)
    for said, sentence in ((None, f"{name} needs caption"), (["a red car"], "must be a string, not list")):
        with pytest.raises(ValueError, match=sentence):
            painting.colorize(picture, name, caption=said, weights=path, device="cpu")


def test_the_trunk_of_another_network(tmp_path):
    torch.manual_seed(1)
    trunk = cic.build(replace(cic.PRESETS["smoke"], width=4))
    own, official = tmp_path / "cic.safetensors", tmp_path / "eccv16.pth"
    zoo.save_weights(trunk, "cic", own, {})
    state = {}
    for name, value in trunk.state_dict().items():
        part, *rest = name.split(".")
        if part in ("blocks", "to_bins"):
            state["model8.6." + rest[0] if part == "to_bins" else f"model{int(rest[0]) + 1}.{'.'.join(rest[1:])}"] = value
    state = {name: value for name, value in state.items() if "batches_tracked" not in name}             # as old versions of PyTorch wrote it
    torch.save(state | {"model_out.weight": (lab.ab_bins(313) / 110).T[:, :, None, None]}, official)
    for name in ("fcnn", "concat", "film"):
        for path, precision in ((own, 1e-2), (official, 0.0)):
            start, model = build(name), lg.build(replace(SMALL[name], trunk_weights=str(path)))
            assert model.blocks.state_dict().keys() == trunk.blocks.state_dict().keys()
            for key, value in trunk.blocks.state_dict().items():
                assert torch.allclose(model.blocks.state_dict()[key].double(), value.double(), atol=precision, rtol=0)
            assert model.to_bins.weight.shape == start.to_bins.weight.shape == (625, 16, 1, 1)          # 625 bins: a last layer of its own
    for other in (build("film", width=8), build("next")):
        with pytest.raises(ValueError, match="does not fit the eight blocks at width .*concat_form=fuse"):
            lg.load_trunk(other, own)
    for name in ("gone.pth", "gone.safetensors"):
        with pytest.raises(FileNotFoundError, match=f"{name}, which cannot be read"):
            lg.build(replace(SMALL["film"], trunk_weights=str(tmp_path / name)))
    torch.save({"encoder.weight": torch.zeros(1)}, official)
    with pytest.raises(ValueError, match="no checkpoint of ECCVGenerator"):
        lg.load_trunk(build("film"), official)
    assert lg.build(replace(SMALL["film"], trunk_weights="gone.pth"), pretrained=False)                 # trained weights come next: the start is not read


def test_the_frozen_backbone_comes_from_torchvision_or_says_so(monkeypatch, tmp_path):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))

    def refuse(url, path, **_):
        if not path.is_file():
            raise ConnectionError("no network")
    monkeypatch.setattr(pretrained, "download", refuse)
    monkeypatch.setattr(pretrained, "sum_of", lambda path: None)      # weights made here do not have the sum of those they stand for
    config = replace(SMALL["film_released"], frozen_backbone=True)
    with pytest.raises(ConnectionError, match="resnet18 weights https://download.*could not be downloaded.*frozen_backbone=false"):
        lg.build(config)
    assert not any(p.requires_grad for p in lg.build(config, pretrained=False).backbone.parameters())    # weights of one's own are loaded next
    theirs = torchvision.models.resnet18()
    weights = torchvision.models.get_model_weights("resnet18").IMAGENET1K_V1
    (tmp_path / "hub" / "checkpoints").mkdir(parents=True, exist_ok=True)
    torch.save(theirs.state_dict(), tmp_path / "hub" / "checkpoints" / weights.url.rpartition("/")[2])  # as torchvision stores what it has downloaded
    backbone = lg.build(config).backbone.eval()
    x = torch.rand(1, 3, 32, 32)
    with torch.no_grad():
        stem = theirs.eval().layer2(theirs.layer1(theirs.maxpool(theirs.relu(theirs.bn1(theirs.conv1(x))))))
        assert torch.allclose(backbone(x), stem, atol=1e-5) and stem.shape == (1, 128, 4, 4)
    assert all(p.requires_grad for p in lg.build(SMALL["film_released"]).backbone.parameters())          # trained along: nothing is fetched


# ---------------------------------------------------------------- training

@pytest.mark.parametrize("name", SMALL)
def test_every_parameter_learns(name):
    config = replace(SMALL[name], weight_decay=0.0)
    step = lg.Step(config, train.make_fabric("cpu"), even(config), lg.build(config))
    before = {key: value.detach().clone() for key, value in step.model.named_parameters()}
    for _ in range(4):
        assert set(step(random_batch())) == {"loss"}
    assert not [key for key, value in step.model.named_parameters() if torch.equal(before[key], value)]
    if name != "fcnn":
        assert not step.result().encoder.embedding.weight[captions.PADDING].any()


def test_a_frozen_backbone_stays_as_it_is():
    config = replace(SMALL["film_released"], frozen_backbone=True)
    model = lg.build(config, pretrained=False)
    before = {key: value.clone() for key, value in model.state_dict().items()}
    step = lg.Step(config, train.make_fabric("cpu"), even(config), model)
    step.model.train()
    for _ in range(2):
        step(random_batch())
    after = step.result().state_dict()
    learning = [key for key in before if key.endswith((".weight", "running_mean", "running_var"))]
    assert all(torch.equal(before[key], after[key]) == key.startswith("backbone") for key in learning)


def alike(number=8, side=16):
    """Pairs of a red and a blue picture of the same lightness: only the caption tells which is which."""
    L = (40 + 20 * torch.rand(number // 2, 1, side, side, generator=torch.Generator().manual_seed(0))).repeat_interleave(2, 0)
    ab = torch.tensor([[40.0, 25.0], [5.0, -40.0]]).view(2, 2, 1, 1).expand(2, 2, side, side).repeat(number // 2, 1, 1, 1)
    said = ["a red car", "a blue car"] * (number // 2)
    return {"rgb": lab.lab_to_rgb(torch.cat([L, ab], 1)), "captions": [[one, f"the car {one.split()[1]}"] for one in said]}, L


@pytest.mark.parametrize("name", ["concat", "film"])
def test_training_learns_to_listen(name):
    batch, L = alike()
    config = replace(SMALL[name], width=8, steps=40, one_cycle=1.5e-2, forgotten_captions=0.0, forgotten_words=0.0, dropout=0.0)
    step = lg.Step(config, train.make_fabric("cpu"), even(config), lg.build(config))
    found = [step(batch)["loss"].item() for _ in range(40)]
    ab = lg.colorize(step.result(), {"L": L[:2], "caption": ["a red car", "a blue car"]}).mean((2, 3))
    assert found[-1] < 0.3 * found[0] and ab[0, 0] > ab[1, 0] + 1 and ab[0, 1] > ab[1, 1] + 1


def test_what_training_forgets():
    """forgotten_captions: nothing reaches the words. forgotten_words: every word counts as unknown, padding as padding."""
    batch = random_batch()
    for changes, learning in (({"forgotten_captions": 1.0}, []), ({"forgotten_words": 1.0}, [captions.UNKNOWN])):
        config = replace(SMALL["film"], dropout=0.0, **({"forgotten_captions": 0.0, "forgotten_words": 0.0} | changes))
        step = lg.Step(config, train.make_fabric("cpu"), even(config), lg.build(config))
        step.losses(batch)["loss"].backward()
        slope = step.model.module.encoder.embedding.weight.grad
        assert slope.abs().sum(1).nonzero().flatten().tolist() == learning


def test_captions_of_a_picture_take_turns():
    config = replace(SMALL["film"], forgotten_captions=0.0, forgotten_words=0.0)
    step = lg.Step(config, train.make_fabric("cpu"), even(config), lg.build(config))
    seen, vocabulary = set(), step.model.module.vocabulary
    step.model.module.encoder.register_forward_pre_hook(lambda module, inputs: seen.add(tuple(inputs[0][0, :inputs[1][0]].tolist())))
    batch = random_batch()
    for _ in range(20):
        step.losses(batch)
    assert seen == {tuple(vocabulary.encode([text])[0][0].tolist()) for text in batch["captions"][0]}


def test_an_interrupted_training_goes_on_bit_equal(tmp_path):
    config, fabric = replace(SMALL["film"], steps=6, vocabulary=()), train.make_fabric("cpu")
    dataset = lg.prepare_data(data.SceneSet(8, size=32, cache=False), config)

    def losses_of(run, *stops):
        for steps in stops:
            step = lg.make_step(config, fabric, dataset)
            log = train.fit(step, dataset, steps=steps, batch_size=4, fabric=fabric, run=run, log_every=1, progress=False)
        return [row["loss"] for row in log], step
    (whole, one), (parts, other) = losses_of(tmp_path / "whole", 6), losses_of(tmp_path / "parts", 3, 6)
    same = other.result().state_dict()
    assert whole == parts and all(torch.equal(value, same[name]) for name, value in one.result().state_dict().items())
    assert one.notes == "captions: scene" and set(captions.COLOR_WORDS) <= set(one.result().vocabulary.words)
    said = [text for i in range(8) for text in dataset[i]["captions"]]
    assert not [word for text in said for word in one.result().vocabulary.unknown(text)] and all(map(captions.color_words, said))


def test_the_prior_is_that_of_the_pictures():
    config, fabric = replace(SMALL["fcnn"], alpha=1.0), train.make_fabric("cpu")
    dataset = lg.prepare_data(data.SceneSet(4, size=32, cache=False), config)
    step = lg.make_step(config, fabric, dataset)
    true = torch.stack([lab.nearest_bin(lab.rgb_to_lab(dataset[i]["rgb"])[None, 1:, ::4, ::4], lab.ab_bins(625)) for i in range(4)])
    expected = lab.rebalancing_weights(torch.bincount(true.flatten(), minlength=625) / true.numel())
    assert torch.allclose(step.weights.double(), expected.double(), rtol=1e-4) and step.result().vocabulary.words == WORDS


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("name", SMALL)
def test_training_and_colorizing_on_a_gpu(name):
    fabric, config = train.make_fabric("cuda", devices=1), SMALL[name]
    step = lg.Step(config, fabric, even(config), lg.build(config))
    assert all(torch.isfinite(step(fabric.to_device(random_batch()))["loss"]) for _ in range(3))
    model, batch = step.result(), random_batch()
    on_gpu = lg.colorize(model, batch | {"L": batch["L"].cuda()}).cpu()
    assert torch.allclose(on_gpu, lg.colorize(model.cpu(), batch), atol=0.5)
