"""SCGAN's benchmarks: somebody's training program an update at a time, contestants that do the same work, convolutions whose derivatives are torch's."""
import contextlib
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torchvision.models import vgg

from colorlib import convolution
from colorlib.bench import loops, official, train_scgan
from colorlib.papers import gray_vgg, scgan

TINY = replace(scgan.PAPER, width=2, attention_width=2, feature_width=2)
TRAIN = """
import argparse, os, cv2, torch
from torch.utils.data import DataLoader, Dataset
parser = argparse.ArgumentParser()
for name in ("gan_mode", "lr_g", "baseroot_rgb", "baseroot_sal", "global_feature_network_path", "perceptual_path"):
    parser.add_argument("--" + name)
parser.add_argument("--batch_size", type=int)
parser.add_argument("--num_workers", type=int)
opt = parser.parse_args()
assert opt.gan_mode == "WGANGP" and torch.load(opt.global_feature_network_path) == {}
class Pictures(Dataset):
    names = sorted(os.listdir(opt.baseroot_sal))
    def __len__(self):
        return len(self.names)
    def __getitem__(self, i):
        rgb, saliency = cv2.imread(f"{opt.baseroot_rgb}/{self.names[i]}"), cv2.imread(f"{opt.baseroot_sal}/{self.names[i]}", -1)
        assert rgb.shape == (256, 256, 3) and saliency.shape == (256, 256)
        return torch.from_numpy(rgb / 255).float().permute(2, 0, 1)
net = torch.nn.DataParallel(torch.nn.Conv2d(3, 1, 3)).cuda()
optimizer, updates = torch.optim.Adam(net.parameters()), 0
one = torch.cuda.FloatTensor(1).fill_(1.0)
for epoch in range(2):
    for x in DataLoader(Pictures(), batch_size=opt.batch_size * torch.cuda.device_count(), num_workers=opt.num_workers, pin_memory=False):
        optimizer.zero_grad()
        (net(x.cuda()).mean() * one).backward()
        optimizer.step()
        updates += 1
        open("updates.txt", "w").write(str(updates))
        print("epoch", epoch)
        if os.path.exists("stop"):
            raise ValueError("this is why")
"""
MODULE = """
import torch
from torch import nn
class TransposeConv2dLayer(nn.Module):
    def __init__(self, a, b, kernel, stride, padding, pad_type, activation, norm):
        super().__init__()
        self.conv = nn.Conv2d(a, b, kernel, stride, padding)
    def forward(self, x):
        return self.conv(nn.functional.interpolate(x, scale_factor=2))
class SpectralNorm(nn.Module):
    def __init__(self, module):
        super().__init__()
        self.module, self.updates = module, 0
    def _update_u_v(self):
        self.updates += 1
"""


@pytest.fixture
def clone(tmp_path, monkeypatch):
    """A folder with files named and shaped like the authors'."""
    folder = tmp_path / train_scgan.REPOSITORY.replace("/", "+") / "train"
    folder.mkdir(parents=True)
    (folder / "train.py").write_text(TRAIN)
    (folder / "network_module.py").write_text(MODULE)
    monkeypatch.setenv(official.FOLDER, str(tmp_path))
    make_layers = vgg.make_layers
    monkeypatch.setattr(vgg, "make_layers", lambda widths, batch_norm: make_layers([w if w == "M" else w // 16 for w in widths], batch_norm))
    return folder


def test_a_program_runs_an_update_at_a_time(clone, tmp_path):
    train_scgan.write_pictures(tmp_path, 3, 256)
    arguments = train_scgan.authors_arguments(tmp_path, train_scgan.random_features(), 2, workers=0)
    done = lambda: int((tmp_path / "updates.txt").read_text())
    with loops.Loop(clone / "train.py", arguments, tmp_path) as loop:
        counts = [done()] + [loop() or done() for _ in range(5)]                            # beyond its two epochs of two batches
        assert counts == [1, 2, 3, 4, 5, 6]
        (tmp_path / "stop").touch()
        with pytest.raises(RuntimeError, match="train.py ended by itself, so it cannot be measured: ValueError: this is why"):
            loop()
    assert loop.process.poll() is not None


def test_updates_of_scgan(clone, monkeypatch):
    """The authors' program itself is not started here: see above."""
    started = []
    monkeypatch.setattr(train_scgan.loops, "Loop", lambda *arguments, **options: started.append(arguments) or contextlib.nullcontext(lambda: None))
    monkeypatch.setattr(train_scgan.contestants, "best_precision", lambda device: "32-true")
    rows = train_scgan.update(1, config=TINY)
    assert [row["method"] for row in rows] == ["colorlib", "plain form", "the authors' loop"] and started[0][0] == clone / "train.py"
    assert rows[0]["median_ms"] > 0 and rows[0]["ratio"] == 1
    assert rows[0]["notes"] == "1 picture of 256 px, float32" and rows[2]["notes"] == "1 picture of 256 px, float32, authors' code at no commit"


def test_parts_of_an_update(clone, monkeypatch):
    rows = train_scgan.fold(1, maps=(6, 4), side=24)
    assert [row["method"] for row in rows] == ["colorlib", "plain form", "the authors' module"] and float(rows[0]["notes"].split()[-1]) < 1e-4
    assert [row["method"] for row in train_scgan.spectral(1, config=TINY)] == ["colorlib", "plain form", "torch's", "the authors' module"]
    monkeypatch.delenv(official.FOLDER)
    assert [row["method"] for row in train_scgan.spectral(1, config=TINY)] == ["colorlib", "plain form", "torch's"]


# ---------------------------------------------------------------- what makes it faster computes the same

@pytest.mark.parametrize("stride, padding, dilation, kernel", [(2, 1, 1, 3), (1, (2, 0), 2, (3, 2))])
def test_derivatives_of_a_convolution(stride, padding, dilation, kernel):
    shape = kernel if isinstance(kernel, tuple) else (kernel, kernel)
    tensors = [torch.randn(size, dtype=torch.float64, requires_grad=True) for size in ((1, 2, 5, 4), (2, 2, *shape), (2,))]
    ours = lambda x, weight, bias: convolution.conv2d(x, weight, bias, stride, padding, dilation)
    torch.testing.assert_close(ours(*tensors), F.conv2d(*tensors, stride, padding, dilation))
    assert "Product" in str(ours(*tensors).grad_fn.name()) and ours(*tensors).is_contiguous(memory_format=torch.channels_last)
    assert torch.autograd.gradcheck(ours, tensors) and torch.autograd.gradgradcheck(ours, tensors)


def test_layers_in_single_precision():
    """Transposed convolution, instance norm, copies into another layout; gradients, too."""
    torch.manual_seed(0)
    x = torch.randn(2, 6, 8, 7).contiguous(memory_format=torch.channels_last).requires_grad_()
    assert torch.equal(convolution.channels_first(x.detach()), x.detach()) and convolution.channels_first(x.detach()).is_contiguous()
    for ours, theirs in ((convolution.ConvTranspose2d(6, 4, 4, 2, 1), torch.nn.ConvTranspose2d(6, 4, 4, 2, 1)),
                         (convolution.Conv2d(6, 4, 3), torch.nn.Conv2d(6, 4, 3)), (convolution.InstanceNorm2d(6), torch.nn.InstanceNorm2d(6))):
        theirs.load_state_dict(ours.state_dict())
        results = [(y := layer(x), *torch.autograd.grad(y.square().sum(), [x, *layer.parameters()])) for layer in (ours, theirs)]
        for one, other in zip(*results):
            torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4)
        with torch.no_grad():
            torch.testing.assert_close(ours(x), theirs(x))


def test_convolutions_follow_autocast():
    x, weight = torch.randn(1, 3, 8, 8), torch.randn(4, 3, 3, 3, requires_grad=True)
    with torch.autocast("cpu"):
        y = convolution.conv2d(x, weight)
        assert y.dtype == torch.bfloat16
    [gradient] = torch.autograd.grad(y.float().sum(), weight)
    assert gradient.dtype == torch.float32
    torch.testing.assert_close(gradient, torch.autograd.grad(F.conv2d(x, weight).sum(), weight)[0], rtol=0.02, atol=0.2)


def test_the_gradient_through_sigma():
    weight, u, v = (torch.randn(shape, dtype=torch.float64) for shape in ((3, 2, 2, 2), (3,), (8,)))
    weight.requires_grad_()
    theirs = lambda weight: weight / torch.dot(u, weight.flatten(1) @ v)
    torch.testing.assert_close(gray_vgg.DivideBySigma.apply(weight, u, v), theirs(weight))
    found, expected = (torch.autograd.grad((look(weight) ** 3).sum(), weight)[0] for look in (lambda w: gray_vgg.DivideBySigma.apply(w, u, v), theirs))
    torch.testing.assert_close(found, expected)


def test_phases_interleaved():
    weight, x = torch.randn(3, 2, 3, 3, dtype=torch.float64), torch.randn(2, 12, 4, 5, dtype=torch.float64, requires_grad=True)
    torch.testing.assert_close(scgan.folded_phases(weight), scgan.phases(scgan.folded(weight)))
    plain = F.pixel_shuffle(x, 2)[..., 1:-1, 1:-1]
    assert torch.equal(scgan.interleave(x), plain)
    weights = torch.randn_like(plain)
    assert torch.equal(*(torch.autograd.grad((y * weights).sum(), x)[0] for y in (scgan.interleave(x), plain)))
