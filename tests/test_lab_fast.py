"""The quick ways of `colorlib.lab`: on a CPU in strips, on a GPU in one kernel, which Triton's interpreter runs here; the nearest bins by a table."""
import importlib
import subprocess
import sys

import cv2
import numpy as np
import pytest
import torch

from colorlib import lab
from colorlib.lab import bin_table, lab_cpu

SHAPES = [(3, 1, 1), (2, 3, 5, 7), (2, 2, 3, 4, 4), (0, 3, 4, 4), (1, 3, 300, 450)]      # the last: more than one strip


def formula(rgb):
    return lab.plain_to_lab()[1](rgb)


def inverse(x, clip=True):
    return lab.plain_to_rgb(clip)[1](x)


@pytest.mark.parametrize("shape", SHAPES)
def test_strips_equal_the_formulas(shape):
    rgb = torch.rand(shape) * 1.4 - 0.2
    found = lab.rgb_to_lab(rgb)
    assert found.shape == rgb.shape and found.dtype == torch.float32 and found.is_contiguous()
    assert torch.allclose(found, formula(rgb.double()).float(), atol=5e-4)
    assert np.allclose(lab.rgb_to_lab(rgb.movedim(-3, -1).numpy()), found.movedim(-3, -1).numpy(), atol=1e-4)
    for clip in (True, False):
        wide = found * torch.tensor([1.0, 2, 2])[:, None, None]                            # far outside the gamut, too
        assert torch.allclose(lab.lab_to_rgb(wide, clip), inverse(wide.double(), clip).float(), atol=2e-5, rtol=1e-5)


def test_integers_equal_the_formulas():
    for dtype, top in ((torch.uint8, 255), (torch.uint16, 65535)):
        rgb = torch.from_numpy(np.random.default_rng(0).integers(0, top + 1, (3, 40, 50)).astype(str(dtype)[6:]))
        expected = formula(torch.from_numpy(rgb.numpy().astype(np.float64) / top))
        assert (lab.rgb_to_lab(rgb) - expected).abs().max() < 5e-4
        assert np.abs(lab.rgb_to_lab(rgb.permute(1, 2, 0).numpy()) - expected.permute(1, 2, 0).numpy()).max() < 5e-4


def test_layouts_that_are_not_contiguous():
    whole = torch.rand(2, 3, 20, 30)
    for view in (whole[..., ::2], whole.transpose(-1, -2), whole.contiguous(memory_format=torch.channels_last), whole[:, :, 3:9, 4:11]):
        assert torch.allclose(lab.rgb_to_lab(view), lab.rgb_to_lab(view.contiguous()), atol=1e-4)
    array = np.random.default_rng(0).random((9, 8, 3), dtype=np.float32)
    array.flags.writeable = False
    assert np.allclose(lab.rgb_to_lab(array[:, ::-1]), lab.rgb_to_lab(array)[:, ::-1], atol=1e-4)


def test_what_the_quick_way_cannot_take_goes_the_plain_way():
    for value in (float("nan"), float("inf"), 1e30, -1e30):
        rgb = torch.tensor([0.5, value, 0.2]).view(3, 1, 1)
        assert not lab_cpu.fits(rgb) and not lab_cpu.fits(rgb.numpy()) and torch.equal(lab.rgb_to_lab(rgb).nan_to_num(), formula(rgb).nan_to_num())
    leaf = torch.rand(3, 4, 4, requires_grad=True)
    assert lab.rgb_to_lab(leaf).requires_grad and not lab_cpu.fits(leaf)
    with torch.no_grad():
        assert lab_cpu.fits(leaf)
    assert not lab_cpu.fits(torch.rand(3, 4, 4, dtype=torch.float64)) and not lab_cpu.fits(torch.rand(3, 4, 4, device="meta"))


def test_a_colour_is_the_same_wherever_it_lies():
    for count in (1, 7, 63, 65, 1000):
        for rgb in (torch.tensor([0.3, 0.6, 0.1]), torch.tensor([200, 13, 90], dtype=torch.uint8)):
            found = lab.rgb_to_lab(rgb.view(3, 1, 1).expand(3, 1, count))
            assert torch.equal(found, lab.rgb_to_lab(rgb.view(3, 1, 1)).expand(3, 1, count))
            assert len(lab.lab_to_rgb(found).flatten(1).unique(dim=1)[0]) == 1


def test_inputs_are_left_alone():
    rgb, found = torch.rand(3, 6, 6), lab.rgb_to_lab(torch.rand(3, 6, 6))
    before, lab_before = rgb.clone(), found.clone()
    lab.rgb_to_lab(rgb), lab.lab_to_rgb(found)
    assert torch.equal(rgb, before) and torch.equal(found, lab_before)


def test_as_quick_as_opencv():
    """A generous bound, for busy machines: `python -m colorlib bench lab` measures."""
    from colorlib import bench
    rgb = torch.rand(1, 3, 256, 256)
    array, threads = rgb[0].permute(1, 2, 0).contiguous().numpy(), cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        rows = bench.race({"ours": lambda: lab.rgb_to_lab(rgb), "OpenCV": lambda: cv2.cvtColor(array, cv2.COLOR_RGB2Lab)}, 30)
    finally:
        cv2.setNumThreads(threads)
    assert rows[0]["low_ms"] < 2 * rows[1]["low_ms"]


# ---------------------------------------------------------------- the nearest bins

@pytest.mark.parametrize("count", [313, 441, 625])
@pytest.mark.parametrize("k", [1, 10])
def test_nearest_bins_by_table(count, k):
    """As all distances in float64 say, inside the table, on its edge, and far outside of it; equal distances may change places."""
    bins, draw = lab.ab_bins(count), torch.Generator().manual_seed(0)
    points = torch.cat([(torch.rand(4000, 2, generator=draw) - 0.5) * span for span in (220.0, 40.0, 700.0)] + [torch.tensor([[130.0, -130.0], [0, 0], [2.5, 2.5], [1e6, -3]])])
    index, distance = bin_table.nearest(points, bins, k)
    expected = torch.cdist(points.double(), bins.double()).topk(k, largest=False).values
    assert torch.allclose(distance.double().sqrt(), expected, rtol=1e-5, atol=1e-3)
    assert torch.allclose((bins[index] - points[:, None]).double().norm(dim=2), expected, rtol=1e-5, atol=1e-3)
    assert all(len(set(row)) == k for row in index[::97].tolist())


def test_points_that_are_no_numbers():
    index, distance = bin_table.nearest(torch.tensor([[float("nan"), 0.0]]).expand(2000, 2), lab.ab_bins(313), 1)
    assert index.shape == (2000, 1) and bool(((index >= 0) & (index < 313)).all()) and distance.isnan().all()


# ---------------------------------------------------------------- the GPU's kernels

@pytest.fixture(scope="module")
def gpu():
    """`lab_gpu` on Triton's interpreter."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TRITON_INTERPRET", "1")
        sys.modules.pop("colorlib.lab.lab_gpu", None)
        yield importlib.import_module("colorlib.lab.lab_gpu")
    sys.modules.pop("colorlib.lab.lab_gpu", None)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.uint8])
def test_kernel_to_lab(gpu, dtype):
    x = (torch.rand(2, 3, 33, 41) * 255).byte() if dtype == torch.uint8 else (torch.rand(2, 3, 33, 41) * 1.4 - 0.2).to(dtype)      # two blocks a picture
    found = gpu.rgb_to_lab(x, *lab.plain_to_lab())
    assert found.dtype == torch.float32 and (found - formula(x)).abs().max() < 1e-3


def test_kernel_gradients(gpu):
    rgb, gradient = (torch.rand(2, 3, 33, 41) * 1.4 - 0.2).requires_grad_(), torch.randn(2, 3, 33, 41)
    slope = lambda convert, x: torch.autograd.grad(convert(x), x, gradient)[0]
    assert torch.allclose(slope(lambda x: gpu.rgb_to_lab(x, *lab.plain_to_lab()), rgb), slope(formula, rgb), rtol=1e-4, atol=1e-3)
    wide = (torch.rand(2, 3, 33, 41) * torch.tensor([120.0, 300, 300])[:, None, None] - torch.tensor([10.0, 150, 150])[:, None, None]).requires_grad_()
    for clip in (True, False):
        kernel = lambda x, clip=clip: gpu.lab_to_rgb(x, clip, *lab.plain_to_rgb(clip))
        assert torch.allclose(kernel(wide), inverse(wide, clip), rtol=1e-5, atol=1e-4)
        assert torch.allclose(slope(kernel, wide), slope(lambda x, clip=clip: inverse(x, clip), wide), rtol=1e-4, atol=1e-5)


def test_a_gradient_of_the_gradient(gpu):
    x = (torch.rand(1, 3, 4, 4, generator=torch.Generator().manual_seed(0)) * 0.8 + 0.1).requires_grad_()

    def twice(convert):
        (first,) = torch.autograd.grad(convert(x).square().sum(), x, create_graph=True)
        return torch.autograd.grad(first.square().sum(), x)[0]
    found, expected = twice(lambda x: gpu.rgb_to_lab(x, *lab.plain_to_lab())), twice(formula)
    assert (found - expected).abs().max() < 1e-4 * expected.abs().max()


COMPILE = """
import sys, triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource
from colorlib import lab
from colorlib.lab import lab_gpu
for kernel, constant, matrix in ((lab_gpu.rgb_to_lab_kernel, {"scale": 1 / 255}, lab.plain_to_lab()[0]), (lab_gpu.lab_to_rgb_kernel, {"clip": True}, lab.plain_to_rgb(True)[0])):
    x, y, slope, *_ = kernel.arg_names
    constants = constant | {"backward": True, "block": lab_gpu.BLOCK} | {f"m{i}": value for i, value in enumerate(matrix)}
    types = {x: "*fp32", y: "*fp32", slope: "*fp32", "plane": "i32"} | dict.fromkeys(constants, "constexpr")
    text = triton.compile(ASTSource(kernel, types, constexprs=constants, attrs={}), target=GPUTarget("cuda", 90, 32)).asm["ptx"]
    print("lg2.approx" in text, "div." in text)
"""


def test_kernels_compile_for_a_gpu(tmp_path, monkeypatch):
    """Without a GPU: the compiler alone, for compute capability 9.0. The logarithm is one instruction, and no pixel is divided for."""
    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))
    monkeypatch.delenv("TRITON_INTERPRET", raising=False)
    done = subprocess.run([sys.executable, "-c", COMPILE], capture_output=True, text=True)
    assert done.stdout.split() == ["True", "False"] * 2, done.stderr[-2000:]


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_on_a_gpu():
    rgb = torch.rand(3, 3, 65, 130, device="cuda", requires_grad=True)
    found = lab.rgb_to_lab(rgb)
    assert (found - formula(rgb)).abs().max() < 1e-3 and found.is_cuda
    ramp = (torch.arange(256, device="cuda") / 255).view(1, 1, 256).expand(3, 1, 256)
    assert lab.rgb_to_lab(ramp)[1:].norm(dim=0).max() < 0.02
    (ours,), (plain,) = torch.autograd.grad(found.square().sum(), rgb), torch.autograd.grad(formula(rgb).square().sum(), rgb)
    assert torch.allclose(ours, plain, rtol=1e-3, atol=1e-2)
    assert (lab.lab_to_rgb(found.detach()) - rgb).abs().max() < 1e-4
