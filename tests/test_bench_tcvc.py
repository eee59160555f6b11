"""TCVC's benchmark: the authors' program runs with stand-ins for what today's libraries lack, beside ours on the same frames."""
from dataclasses import replace

import torch

from colorlib import convolution
from colorlib.bench import official, train_tcvc
from colorlib.papers import tcvc
from tests.test_tcvc import AS_PUBLISHED

TRAIN = """
import argparse, os
import torch, torchvision
import torch.optim as optim
from torch.utils.data import DataLoader
from src.models import define_D, define_G
from scipy.misc import imread, imresize
parser = argparse.ArgumentParser()
for name in ("root", "dataset", "logfile"):
    parser.add_argument("--" + name)
parser.add_argument("--batchSize", type=int)
parser.add_argument("--beta1", type=int, default=0)
parser.add_argument("--cuda", action="store_true")
opt = parser.parse_args()
netG, netD = define_G(opt.ngf), define_D(opt.ndf)
optimizer = optim.Adam(netG.parameters(), lr=1e-3, betas=(opt.beta1, 0.999))
assert len(torchvision.models.vgg19(pretrained=True).features) == 37 and not opt.cuda
folder = f"{opt.root}/{opt.dataset}/Train"
frames = [imresize(imread(f"{folder}/frame{i}.jpg"), (24, 20)) for i in range(1, 1 + len(os.listdir(folder)))]
for epoch in range(9):
    for frame in DataLoader(frames, batch_size=opt.batchSize):
        assert frame.shape[1:] == (24, 20, 3)
        optimizer.zero_grad()
        netG(frame.permute(0, 3, 1, 2) / 255).mean().backward()
        optimizer.step()
"""
MODELS = """
import torch
def define_G(ngf):
    assert torch.cuda.is_available() and ngf == 64
    return torch.nn.Conv2d(3, 3, 1).cuda(0)
def define_D(ndf):
    return define_G(ndf)
"""


def test_updates_of_tcvc(tmp_path, monkeypatch):
    folder = tmp_path / train_tcvc.REPOSITORY.replace("/", "+")
    (folder / "src").mkdir(parents=True)
    (folder / "train.py").write_text(TRAIN)
    (folder / "src" / "models.py").write_text(MODELS)
    monkeypatch.setenv(official.FOLDER, str(tmp_path))
    monkeypatch.setattr(train_tcvc, "VGG19", [w if w == "M" else w // 16 for w in train_tcvc.VGG19])
    monkeypatch.setattr(train_tcvc.contestants, "best_precision", lambda device: "bf16-mixed")
    rows = train_tcvc.update(1, config=replace(tcvc.PAPER, width=4, residual_blocks=1), side=32)
    assert [row["method"] for row in rows] == ["colorlib", "colorlib, float32", "plain form", "the authors' loop"]
    assert rows[0]["notes"] == "1 frame of 32 px, bf16-mixed" and rows[3]["notes"] == "1 frame of 32 px, float32, authors' code at no commit"


def test_the_plain_form_does_the_same_work():
    """With torch's own layers, an update has the same losses."""
    from colorlib import train
    from tests.test_tcvc import windows
    steps = [tcvc.Step(AS_PUBLISHED, train.make_fabric("cpu")) for _ in range(2)]
    found = []
    for step, run in zip(steps, (lambda function: function, train_tcvc.plainly)):
        for _ in range(2):
            torch.manual_seed(0)
            losses = run(lambda step=step: step(windows()))()
        found.append(losses)
    assert all(torch.allclose(found[0][name], found[1][name], rtol=1e-3) for name in found[0])
    assert convolution.pays(torch.ones(1, requires_grad=True), torch.ones(1))
