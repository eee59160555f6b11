"""colorlib.classifiers: the same numbers as torchvision's networks fed by hand; weights are random, and real ones where COLORLIB_CLASSIFIER names them."""
import math
import os
import pickle

import pytest
import safetensors.torch
import torch
import torch.nn.functional as F
import torchvision
from torch import nn

from colorlib import classifiers, data, pretrained
from colorlib.classifiers import STAND_IN, Classifier, Features, imagenet_labels, load_classifier, top_k
from tests.data_samples import needs_real_data


@pytest.fixture(scope="module")
def squeezenet():
    torch.manual_seed(0)
    return torchvision.models.squeezenet1_1().eval()


@pytest.fixture(scope="module")
def file(squeezenet, tmp_path_factory):
    """A stand-in with random weights, fp16 as the real one."""
    path = tmp_path_factory.mktemp("weights") / "stand_in.safetensors"
    safetensors.torch.save_file({key: value.half() for key, value in squeezenet.state_dict().items()}, path)
    return path


@pytest.fixture
def offline(tmp_path, monkeypatch):
    """A machine without network and without cached weights."""
    def refuse(url, path, **_):
        if not path.is_file():
            raise ConnectionError("no network")
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr(pretrained, "download", refuse)
    monkeypatch.setattr(pretrained, "sum_of", lambda path: None)      # weights made here do not have the sum of those they stand for
    monkeypatch.delenv(classifiers.VARIABLE, raising=False)
    return tmp_path / "hub" / "checkpoints"


def vgg(seed=0):
    """VGG-16's convolutions with random weights, without the 120 million of its head."""
    torch.manual_seed(seed)
    network = nn.Module()
    network.features = torchvision.models.vgg.make_layers(torchvision.models.vgg.cfgs["D"])
    return Classifier("vgg16", network, torchvision.models.VGG16_Weights.DEFAULT.transforms())


def pictures(*size, seed=0):
    return torch.rand(size, generator=torch.Generator().manual_seed(seed))


# ---------------------------------------------------------------- classifiers

def test_stand_in_gets_bgr_minus_the_mean(squeezenet, file):
    """Fed by hand: B, G, R on 0..255 minus (104, 117, 123). 1e-3 of values around 20: half precision of the file, undone by reading it back."""
    rgb = pictures(2, 3, 227, 227)
    rounded = torchvision.models.squeezenet1_1().eval()
    rounded.load_state_dict({key: value.half().float() for key, value in squeezenet.state_dict().items()})
    with torch.no_grad():
        expected = rounded(rgb.flip(1) * 255 - torch.tensor([104.0, 117, 123]).view(3, 1, 1))
    logits = load_classifier(STAND_IN, file)(rgb)
    assert logits.shape == (2, 1000) and not logits.requires_grad
    torch.testing.assert_close(logits, expected, rtol=1e-4, atol=1e-3)
    assert (logits - squeezenet(rgb)).abs().max() > 1


def test_torchvisions_classifier_from_the_cache(squeezenet, offline):
    """The real path: weights in torch's cache, torchvision's own preparation, any size, bytes or floats; the generator is left as it was."""
    offline.mkdir(parents=True)
    torch.save(squeezenet.state_dict(), offline / "squeezenet1_1-b8a52dc0.pth")
    torch.manual_seed(5)
    classifier = load_classifier()
    drawn = torch.rand(3)
    torch.manual_seed(5)
    assert torch.equal(drawn, torch.rand(3))
    rgb = (pictures(2, 3, 40, 60) * 255).byte()
    with torch.no_grad():
        expected = squeezenet(torchvision.models.SqueezeNet1_1_Weights.DEFAULT.transforms()(rgb))
    torch.testing.assert_close(classifier(rgb), expected)
    torch.testing.assert_close(classifier(rgb / 255), expected, rtol=0, atol=0.05)        # torchvision resizes bytes to bytes
    assert not any(parameter.requires_grad for parameter in classifier.parameters())


def test_the_variable_names_the_stand_in(file, monkeypatch):
    monkeypatch.setenv(classifiers.VARIABLE, str(file))
    rgb = pictures(1, 3, 32, 32)
    assert torch.equal(load_classifier(STAND_IN)(rgb), load_classifier(STAND_IN, file)(rgb))


def test_missing_weights_are_named_in_one_sentence(offline, tmp_path):
    for load in (lambda: load_classifier("squeezenet1_1"), Features):
        with pytest.raises(ConnectionError, match="weights https://download.pytorch.org.*connect once.*checkpoints.*stand-in.*weight to 0"):
            load()
    with pytest.raises(FileNotFoundError, match=classifiers.VARIABLE):
        Features(STAND_IN)
    with pytest.raises(FileNotFoundError, match="absent.*does not exist"):
        load_classifier(STAND_IN, tmp_path / "absent.safetensors")
    with pytest.raises(ValueError, match="no classifier 'fcn_resnet50'.*resnet50"):
        load_classifier("fcn_resnet50")
    with pytest.raises(ValueError, match="leave file out"):
        load_classifier("vgg16", tmp_path / "vgg.pth")


def test_wrong_files_are_refused_and_run_nothing(offline, tmp_path, capsys):
    class Intruder:
        def __reduce__(self):
            return print, ("code ran",)
    offline.mkdir(parents=True)
    for path in (tmp_path / "pickled.safetensors", offline / "squeezenet1_1-b8a52dc0.pth"):
        path.write_bytes(pickle.dumps(Intruder(), protocol=2))
    other = tmp_path / "other.safetensors"
    safetensors.torch.save_file({"features.0.weight": torch.zeros(64, 3, 3, 3)}, other)
    for path, fault in ((tmp_path / "pickled.safetensors", "holds no weights that can be used: it is a PyTorch checkpoint"), (other, "does not hold the weights")):
        with pytest.raises(ValueError, match=f"{path.name} {fault}"):
            load_classifier(STAND_IN, path)
    with pytest.raises(ConnectionError, match="could not be downloaded or read"):
        load_classifier("squeezenet1_1")
    assert "code ran" not in capsys.readouterr().out


# ---------------------------------------------------------------- features

def test_vgg_features_are_conv3_3_before_its_relu():
    """Seven convolutions and two poolings written out; the picture goes in as it is, or normalised when asked."""
    classifier, rgb = vgg(), pictures(2, 3, 32, 48) * 2 - 1
    layers = [layer for layer in classifier.network.features if isinstance(layer, nn.Conv2d)][:7]

    def by_hand(x):
        for i, layer in enumerate(layers):
            x = F.conv2d(x if i == 0 else F.relu(x), layer.weight, layer.bias, padding=1)
            x = F.max_pool2d(F.relu(x), 2) if i in (1, 3) else x
        return x
    features = Features(classifier)
    assert features(rgb).shape == (2, 256, 8, 12) and features.label == "vgg16 conv3_3" and not features.is_stand_in
    torch.testing.assert_close(features(rgb), by_hand(rgb))
    assert features(rgb).min() < 0
    normalised = (rgb - torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1)) / torch.tensor([0.229, 0.224, 0.225]).view(3, 1, 1)
    torch.testing.assert_close(Features(classifier, normalise=True)(rgb), by_hand(normalised))
    assert sum(parameter.numel() for parameter in features.parameters()) == 1_735_488


def test_stand_in_features_are_squeezenets_fire4(file):
    """Fed by hand as in Caffe, over 57. Its name says that it stands in."""
    features, rgb = Features(STAND_IN, file), pictures(2, 3, 64, 64)
    network = torchvision.models.squeezenet1_1()
    network.load_state_dict({key: value.float() for key, value in safetensors.torch.load_file(file).items()})
    with torch.no_grad():
        expected = network.features[:7](rgb.flip(1) * 255 - torch.tensor([104.0, 117, 123]).view(3, 1, 1)) / 57
    assert isinstance(network.features[6], torchvision.models.squeezenet.Fire) and expected.shape[1] == 256
    torch.testing.assert_close(features(rgb), expected, rtol=1e-4, atol=1e-5)
    assert features.is_stand_in and features.label == "squeezenet1_1_caffe fire4 (stand-in)"


@pytest.mark.parametrize("layer", classifiers.LAYERS[STAND_IN])
@pytest.mark.parametrize("size", [(16, 16), (17, 31), (40, 16)])
def test_every_layer_takes_small_pictures_and_is_differentiable(file, layer, size):
    features, rgb = Features(STAND_IN, file, layer=layer), pictures(1, 3, *size).requires_grad_()
    maps = features(rgb)
    maps.square().mean().backward()
    assert min(maps.shape) > 0 and torch.isfinite(rgb.grad).all() and rgb.grad.abs().sum() > 0
    assert all(parameter.grad is None and not parameter.requires_grad for parameter in features.parameters())


def test_gradient_is_the_derivative(file):
    """Central differences in float64 along one random direction; 1e-4: ReLUs and poolings have kinks."""
    features = Features(STAND_IN, file).double()
    rgb, step = pictures(1, 3, 24, 24).double().requires_grad_(), pictures(1, 3, 24, 24, seed=1).double() - 0.5
    features(rgb).square().sum().backward()
    with torch.no_grad():
        ends = [features(rgb + sign * 1e-6 * step).square().sum() for sign in (1, -1)]
    assert (rgb.grad * step).sum().item() == pytest.approx(((ends[0] - ends[1]) / 2e-6).item(), rel=1e-4)


def test_features_refuse(file):
    with pytest.raises(ValueError, match="no features of 'resnet50'.*vgg16"):
        Features("resnet50")
    with pytest.raises(ValueError, match="no layer 'conv9'.*fire4"):
        Features(STAND_IN, file, layer="conv9")
    features = Features(STAND_IN, file)
    for rgb in (pictures(1, 3, 15, 40), pictures(1, 1, 32, 32), pictures(3, 32, 32), torch.zeros(1, 3, 32, 32, dtype=torch.uint8)):
        with pytest.raises(ValueError, match="at least 16 px"):
            features(rgb)


# ---------------------------------------------------------------- is it still recognised?

class Lookup(nn.Module):
    """Logits chosen by the mean of a picture: row 0, 1, 2, ... of a table for means 0, 0.1, 0.2, ..."""

    def __init__(self, *rows):
        super().__init__()
        self.table = nn.Parameter(torch.tensor(rows))

    def forward(self, rgb):
        return self.table[(rgb.mean((1, 2, 3)) * 10).round().long()]


def test_top_k_by_hand():
    """Ranks 1, 2 and 3; a tie and NaN are no recognition. Sizes mix, and the order stays."""
    classifier = Classifier("by hand", Lookup([5.0, 1, 2, 3], [5.0, 1, 2, 6], [0.0, 0, 0, 0], [math.nan, 0, 1, 2]), nn.Identity())
    rgb = [torch.full((3, 4 + i % 2, 4), mean) for i, mean in enumerate((0.0, 0.1, 0.0, 0.2, 0.3, 0.1))]
    hits = top_k(classifier, rgb, [0, 0, 2, 1, 0, 3], k=(1, 2, 3))
    assert {name: values.tolist() for name, values in hits.items()} == {
        "top1": [1, 0, 0, 0, 0, 1], "top2": [1, 1, 0, 0, 0, 1], "top3": [1, 1, 1, 0, 0, 1]}
    assert hits["top1"].dtype == torch.float64
    assert list(top_k(classifier, rgb, [0] * 6, k=4)) == ["top4"]
    for labels, k in (([0, 1], 1), ([4] * 6, 1), ([-1] * 6, 1), ([0] * 6, 5), ([0] * 6, 0), ([], 1)):
        with pytest.raises(ValueError, match="one label in 0..3"):
            top_k(classifier, rgb, labels, k)


def test_imagenette_classes_are_imagenets():
    """By torchvision's two lists of names, in the order folders are numbered in."""
    names, folders = torchvision.models.SqueezeNet1_1_Weights.DEFAULT.meta["categories"], torchvision.datasets.Imagenette._WNID_TO_CLASS
    assert {folder: names[number] for folder, number in classifiers.IMAGENETTE_CLASSES.items()} == {folder: words[0] for folder, words in folders.items()}
    assert list(classifiers.IMAGENETTE_CLASSES) == sorted(classifiers.IMAGENETTE_CLASSES)
    assert imagenet_labels([9, 0, 1]).tolist() == [701, 0, 217]
    assert imagenet_labels(torch.tensor([1, 0]), ["n03028079", "n03888257"]).tolist() == [701, 497]
    with pytest.raises(ValueError, match="'cats' is no Imagenette folder"):
        imagenet_labels([0], ["cats"])
    with pytest.raises(ValueError, match="0..9"):
        imagenet_labels([10])


@needs_real_data
@pytest.mark.skipif(not os.environ.get(classifiers.VARIABLE), reason="COLORLIB_CLASSIFIER names no real classifier")
def test_real_classifier_knows_colour_photos_better_than_grey_ones():
    photos = data.open_pictures("imagenette", 224, "val", limit=120)
    samples = [photos[i] for i in range(len(photos))]
    rgb, labels = torch.stack([sample["rgb"] for sample in samples]), imagenet_labels([int(sample["label"]) for sample in samples], photos.classes)
    classifier, grey = load_classifier(STAND_IN), rgb.float().mean(1, keepdim=True).round().byte().expand(-1, 3, -1, -1)
    colour, drained = top_k(classifier, rgb, labels), top_k(classifier, grey, labels)
    assert colour["top1"].mean() > 0.5 and colour["top5"].mean() > 0.75
    assert colour["top1"].mean() > drained["top1"].mean() + 0.1


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_the_device_does_not_matter(file):
    rgb, labels = pictures(4, 3, 64, 64), [0, 1, 2, 3]
    cpu, gpu = Features(STAND_IN, file), Features(STAND_IN, file).cuda()
    torch.testing.assert_close(gpu(rgb.cuda()).cpu(), cpu(rgb), rtol=1e-3, atol=1e-3)
    assert top_k(load_classifier(STAND_IN, file).cuda(), rgb, labels)["top5"].shape == (4,)
