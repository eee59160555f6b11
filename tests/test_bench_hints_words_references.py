"""Updates of HSCAU-Net, language and Gray2ColorNet beside the authors' programs: who races, and what the programs are run with, on files of their shape."""
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch

from colorlib.bench import contestants, train_gray2color, train_hscau, train_language, training
from colorlib.papers import gray2color, hscau, language

MODEL = """
from torch import nn
from util import *
class HINT_CSATUNet(nn.Module):
    def __init__(self, n_channels, n_classes):
        super().__init__()
        self.conv = nn.Conv2d(n_channels, n_classes, 1)
    def forward(self, x, hint):
        return self.conv(x)
"""
DATA = """
import os, torch
class ColorHintDataset(torch.utils.data.Dataset):
    def __init__(self, root, size, mode):
        self.files, self.size = os.listdir(os.path.join(root, mode)), size
    def __len__(self):
        return len(self.files)
    def __getitem__(self, i):
        return {"l": torch.zeros(1, self.size, self.size)}
"""
SOLVER = """
import torch
seen = []
def generator(model, loader, opt, criterion, epoch, device):
    before = model.conv.weight.clone()
    for batch in loader:
        shape = batch["l"].shape
        x = torch.rand(len(batch["l"]), 4, 8, 8)
        loss = criterion(model(x, x[:, 1:3]), x[:, :2])
        opt.zero_grad(); loss.backward(); opt.step()
    seen.append((tuple(shape), not torch.equal(before, model.conv.weight), opt.defaults["betas"]))
"""
UTILS = """from __future__ import division
import numpy as np, pudb
from torch.nn.init import kaiming_normal, \\
    kaiming_uniform
def prior_boosting(prior_file, alpha, gamma):
    print 'boosting %s, %f, %f' % \\
        (prior_file, alpha, gamma)
    return 1 / (np.load(prior_file) + gamma)
def init_modules(modules):
    for m in modules:
\tif isinstance(m, nn.Conv2d):
\t    kaiming_uniform(m.weight)
class LookupEncode():
    def __init__(self, km_filepath=''):
        self.cc = np.load(km_filepath)
    def encode_points(self, ab):
        return (ab[..., 0] > 0).astype('int32')
def cvrgb2lab(rgb):
    return cv2.cvtColor(rgb, cv2.COLOR_RGB2LAB).astype('float32')
"""
AUTOCOLORIZE = """import cPickle as pickle
from utils import prior_boosting, \\
    cvrgb2lab
class Block(nn.Module):
    def __init__(self, channels):
        super(Block, self).__init__()
\tself.conv = nn.Conv2d(channels, channels, 1)
        init_modules(self.modules())
    def forward(self, x):
        out = F.relu(self.conv(x))
        out += x
        return out
class AutocolorizeResnet(nn.Module):
    def __init__(self, vocab_size, feature_dim=(512, 28, 28), train_vocab_embeddings=None):
        super(AutocolorizeResnet, self).__init__()
        self.embedding = nn.Embedding(vocab_size, 300)
        self.embedding.weight.data.copy_(torch.from_numpy(train_vocab_embeddings))
        self.block, self.classifier = Block(feature_dim[0]), nn.Linear(feature_dim[0], 2)
    def forward(self, x, captions, lengths):
        return self.classifier(self.block(x).mean((2, 3)) + self.embedding(captions).sum()), x
losses = []
def train(minibatches, net, optimizer, epoch, prior_probs, img_save_folder):
    for i, (batch_start, batch_end) in enumerate(minibatches):
        labs = np.array([cvrgb2lab(rgb) for rgb in train_origs[batch_start:batch_end]])
        target = torch.from_numpy(lookup_enc.encode_points(labs[:, 0, 0, 1:])).long().cuda()
        words = Variable(torch.from_numpy(train_words[batch_start:batch_end].astype('int32')).long().cuda())
        output, _ = net(torch.from_numpy(train_ims[batch_start:batch_end]).cuda(), words, train_lengths[batch_start:batch_end])
        loss = loss_function(output, target)
        optimizer.zero_grad(); loss.backward(); optimizer.step()
        print 'loss at %d / %d = %f' % \\
            (i, len(minibatches), loss.data[0])
        losses.append((batch_end - batch_start, loss.data[0]))
    open(args.model_save_file, 'w').write(repr(losses))
    return net
if __name__ == '__main__':
    print pickle
"""
NETWORKS = """
import torch
from torch import nn
made = []
class Painter(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.fc = nn.Conv2d(5, 2, 1), nn.Linear(441, 5)
    def forward(self, L_n, histogram, reference_L_n, reference_ab_n):
        ab_n = self.conv(torch.cat([L_n, reference_L_n, reference_ab_n, L_n], 1))
        return [ab_n[..., ::4, ::4], ab_n[..., ::2, ::2], ab_n], self.fc(histogram), None
def define_G(input_nc, bias_input_nc, output_nc, norm):
    assert (input_nc, bias_input_nc, output_nc, norm) == (1, 441, 2, "instance")
    print("initialize network")
    made.append(Painter())
    return made[-1]
"""
FILES = {train_hscau.REPOSITORY: {"model.py": MODEL, "util.py": "import natsort\n", "data/dataset.py": DATA, "solver.py": SOLVER},
         train_language.REPOSITORY: {"utils.py": UTILS, "autocolorize_resnet.py": AUTOCOLORIZE}, train_gray2color.REPOSITORY: {"models/networks.py": NETWORKS}}
HSCAU = replace(hscau.RELEASED, width=2, image_size=32)
WORDS = {"width": 4, "embedding": 8, "hidden": 6, "vocabulary_size": 120, "image_size": 32}
GRAY = replace(gray2color.PAPER_PROBABLE, width=4, gate_width=8, classes=5, reference_size=32, critic_width=4, image_size=32)


class StandIn:
    """A `loops.Loop` that starts no process: its calls and arguments are kept."""
    made = []

    def __init__(self, script, arguments, work, device, threads):
        self.script, self.arguments, self.calls = script, arguments, 0
        self.made.append(self)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def __call__(self):
        self.calls += 1


@pytest.fixture
def clones(tmp_path, monkeypatch):
    """A folder of repositories whose files are named and shaped like the authors'; loops start no process."""
    for repository, files in FILES.items():
        for name, text in files.items():
            path = tmp_path / repository.replace("/", "+") / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
    monkeypatch.setenv("COLORLIB_OFFICIAL", str(tmp_path))
    monkeypatch.setattr("colorlib.bench.loops.Loop", StandIn)
    monkeypatch.setattr(StandIn, "made", [])
    return tmp_path


@pytest.fixture
def in_this_process(monkeypatch):
    """What the authors' programs change, put back afterwards."""
    known = set(sys.modules)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(torch.Tensor, "cuda", lambda self: self)
    monkeypatch.setattr(torch.nn.Module, "cuda", lambda self: self)
    yield
    for name in set(sys.modules) - known:
        if name.split(".")[0] in ("model", "util", "data", "solver", "natsort"):
            del sys.modules[name]


def check(rows, last, number):
    """Ours first, in float32 as well where that is not the quickest; the peer last. Returns the rows."""
    names = [row["method"] for row in rows]
    assert names[0] == "colorlib" and ("colorlib, float32" in names) == (contestants.best_precision("cpu") != "32-true") and names[-1] == last
    assert rows[0]["ratio"] == 1 and all(row["n"] == 1 and row["pictures_per_s"] == pytest.approx(1e3 * number / row["median_ms"]) for row in rows)
    return rows


def test_the_kinds_are_known():
    assert training.VARIANTS.items() >= {"HSCAU-Net": train_hscau.update, "language, published network": train_language.released,
                                         "language, FiLM": train_language.film, "Gray2ColorNet": train_gray2color.update}.items()


def test_hscau(clones, monkeypatch):
    rows = check(train_hscau.update(1, config=HSCAU), "the authors' loop", 2)
    assert "2 pictures of 32 px" in rows[0]["notes"] and "authors' code at" in rows[-1]["notes"]
    loop, = StandIn.made
    assert loop.calls == 2 and loop.script == train_hscau.__file__ and loop.arguments[0] == clones / "catsaveearth+Hint-based-Image-Colorization-Using-HSCAU-Net"
    monkeypatch.delenv("COLORLIB_OFFICIAL")
    assert train_hscau.update(1, config=HSCAU)[-1]["method"] != "the authors' loop"


def test_the_authors_hscau_learns(clones, in_this_process):
    train_hscau.write_pictures(clones / "pictures" / "train", 3, 32)
    train_hscau.run(str(clones / "catsaveearth+Hint-based-Image-Colorization-Using-HSCAU-Net"), str(clones / "pictures"), "2", "cpu")
    assert sys.modules["solver"].seen == [((1, 1, 256, 256), True, (0.5, 0.999))]


def test_language(clones):
    rows = check(train_language.released(1, config=replace(language.VARIANTS["film_released"]["smoke"], **WORDS), number=2), "the authors' loop", 2)
    assert "authors' code at" in rows[-1]["notes"] and StandIn.made[0].arguments[2:] == [2, 120]
    check(train_language.film(1, config=replace(language.VARIANTS["film"]["smoke"], **WORDS), number=2), "plain form", 2)


def test_the_plain_form_learns():
    torch.manual_seed(0)
    update = train_language.plain_update(replace(language.VARIANTS["film"]["smoke"], **WORDS, learning_rate=1e-2), "cpu", 24)
    found = [float(update()) for _ in range(8)]
    assert found[-1] < 0.9 * found[0]


def test_the_authors_words_are_read_and_learnt_from(clones, in_this_process, capsys):
    samples = train_language.scenes_of(replace(language.RELEASED, image_size=32))[:5]
    arrays = train_language.arrays(samples, replace(language.RELEASED, image_size=32, vocabulary_size=120), 6)
    assert arrays["features"].shape == (5, 6, 4, 4) and arrays["pictures"].shape == (5, 32, 32, 3) and arrays["pictures"].dtype == np.uint8
    assert ((arrays["words"] > 0).sum(1) == arrays["lengths"]).all() and arrays["words"].max() < 120
    np.savez(clones / "data.npz", **arrays)
    folder = clones / "superhans+colorfromlanguage"
    (folder / "priors").mkdir()
    np.save(folder / "priors" / "full_lab_grid_10.npy", np.zeros((2, 2)))
    np.save(folder / "priors" / "coco_priors_onehot_625.npy", np.ones(2))
    train_language.run(folder, clones, "2", "120")
    counts, losses = zip(*eval((clones / "saved").read_text()))
    assert counts == (2, 2) and np.isfinite(losses).all() and "loss at 1 / 2 = " in capsys.readouterr().out


def test_gray2color(clones):
    rows = check(train_gray2color.update(1, config=GRAY, number=2), "the authors' network", 2)
    assert rows[-2]["method"] == "straight port" and rows[0]["peak_mib"] > 0 and rows[-1]["peak_mib"] > 0 and "peak_mib" not in rows[-2]


def test_the_authors_gray2color_learns(clones):
    folder = clones / "CV-xueba+Gray2ColorNet" / "models"
    with train_gray2color.official.modules(folder, "networks") as [networks]:
        network = train_gray2color.published(networks)
    step = gray2color.Step(GRAY, train_gray2color.train.make_fabric("cpu"))
    train_gray2color.use(step, network)
    before = network.network.conv.weight.clone()
    pictures = torch.randint(0, 256, (2, 3, 32, 32), dtype=torch.uint8)
    assert step({"rgb": pictures, "reference": pictures.flip(0), "label": torch.zeros(2, dtype=torch.long)})["loss"] > 0
    assert not torch.equal(before, network.network.conv.weight)
