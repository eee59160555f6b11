"""Saliency: three methods on pictures whose answer is known, networks against torch, maps computed once and never wrong."""
import io
import multiprocessing
import pickle
import sys
import threading
import warnings

import cv2
import numpy as np
import pytest
import torch

from colorlib import saliency
from colorlib.data import Masked, Pictures, SceneSet, batches, choose, pack
from colorlib.data.packing import Packed
from colorlib.saliency import METHODS, WithSaliency, estimate
from tests.test_downloads import files, server  # noqa: F401


def blob_picture(height=96, width=96, center=(40, 52), radius=12, ground=(60, 90, 60), color=(230, 120, 40)):
    """A disc on flat ground: (rgb, mask)."""
    y, x = np.mgrid[:height, :width]
    mask = (y - center[0]) ** 2 + (x - center[1]) ** 2 <= radius ** 2
    return np.where(mask[..., None], np.uint8(color), np.uint8(ground)), mask


def random_pictures(count, size=24, seed=0):
    rgb = np.random.default_rng(seed).integers(0, 256, (count, 6, 6, 3), np.uint8)
    return Packed(np.stack([cv2.resize(one, (size, size), interpolation=cv2.INTER_CUBIC) for one in rgb]),
                  [f"p{seed}/{i}.jpg" for i in range(count)])


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("COLORLIB_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "saliency"


@pytest.fixture
def counted(monkeypatch):
    """The pictures that were mapped, in order, by a method that can be told apart."""
    seen = []

    def method(rgb):
        seen.append(rgb)
        return (rgb[..., 0] / 255).astype(np.float32)
    monkeypatch.setitem(METHODS, "spectral_residual", method)
    return seen


# ---------------------------------------------------------------- classical methods

@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("center", [(40, 52), (30, 30), (20, 70)])
def test_a_disc_on_flat_ground_is_found(method, center):
    rgb, mask = blob_picture(center=center)
    found = estimate(rgb, method)
    assert found.shape == (96, 96) and found.dtype == np.uint8 and found.min() == 0 and found.max() == 255
    inside = cv2.dilate(mask.astype(np.uint8), np.ones((9, 9))) > 0         # spectral residual and centre-surround favour the edge
    assert found[inside].mean() > 3 * found[~inside].mean()
    y, x = np.unravel_index(found.argmax(), found.shape)
    assert inside[y, x]


def test_the_minimum_barrier_map_fills_the_disc_and_nothing_else():
    rgb, mask = blob_picture()
    found = estimate(rgb)
    core, far = cv2.erode(mask.astype(np.uint8), np.ones((5, 5))) > 0, cv2.dilate(mask.astype(np.uint8), np.ones((9, 9))) == 0
    assert found[core].min() > 200 and found[far].max() < 5


@pytest.mark.parametrize("method", METHODS)
def test_estimating_is_deterministic_and_leaves_its_input(method):
    rgb = random_pictures(1, 61).rgb[0]
    before = rgb.copy()
    assert (estimate(rgb, method) == estimate(rgb, method)).all() and (rgb == before).all()
    assert (estimate(rgb[:, ::-1][:, ::-1], method) == estimate(rgb, method)).all()                # views will do


@pytest.mark.parametrize("method", METHODS)
def test_a_mirrored_picture_has_a_mirrored_map(method):
    rgb = random_pictures(1, 64, seed=3).rgb[0]
    there = estimate(rgb, method).astype(int)
    for flip in (np.s_[:, ::-1], np.s_[::-1]):
        assert np.abs(estimate(rgb[flip], method)[flip] - there).mean() < 4      # sweeps start at one side, FFT grids at one corner


@pytest.mark.parametrize("method", METHODS)
def test_the_map_of_an_enlarged_picture_is_the_enlarged_map(method):
    rgb, _ = blob_picture(80, 80, (38, 42), 16)
    large = cv2.resize(rgb, (160, 160), interpolation=cv2.INTER_NEAREST)
    difference = cv2.resize(estimate(large, method), (80, 80), interpolation=cv2.INTER_AREA).astype(int) - estimate(rgb, method)
    assert np.abs(difference).mean() < (30 if method == "fine_grained" else 6)       # its scales are in pixels


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("shape", [(1, 1), (1, 2), (2, 1), (3, 3), (1, 200), (200, 1), (5, 301), (97, 61)])
def test_any_size_works_without_a_warning(method, shape):
    rgb = np.random.default_rng(0).integers(0, 256, (*shape, 3), np.uint8)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = estimate(rgb, method)
    assert found.shape == shape and found.dtype == np.uint8


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("color", [(0, 0, 0), (255, 255, 255), (13, 200, 77)])
def test_one_color_has_nothing_salient(method, color):
    assert not estimate(np.full((40, 30, 3), color, np.uint8), method).any()


def test_colors_of_one_gray_value_are_seen_by_barriers_only():
    rgb, mask = blob_picture(ground=(76, 76, 76), color=(255, 0, 0))               # 0.299 * 255 = 76
    assert not estimate(rgb, "spectral_residual").any() and not estimate(rgb, "fine_grained").any()
    assert estimate(rgb)[mask].mean() > 200


def exact_barriers(plane):
    """Brute force: for each lowest allowed value, the smallest reachable maximum, by growing from the border."""
    import heapq
    height, width = plane.shape
    best = np.full(plane.shape, np.inf)
    for lowest in np.unique(plane):
        highest, queue = np.full(plane.shape, np.inf), []
        for y, x in np.ndindex(*plane.shape):
            if (y in (0, height - 1) or x in (0, width - 1)) and plane[y, x] >= lowest:
                highest[y, x] = plane[y, x]
                heapq.heappush(queue, (plane[y, x], y, x))
        while queue:
            value, y, x = heapq.heappop(queue)
            for a, b in ((y + 1, x), (y - 1, x), (y, x + 1), (y, x - 1)):
                if 0 <= a < height and 0 <= b < width and plane[a, b] >= lowest and max(value, plane[a, b]) < highest[a, b]:
                    highest[a, b] = max(value, plane[a, b])
                    heapq.heappush(queue, (highest[a, b], a, b))
        best = np.minimum(best, highest - lowest)
    best[[0, -1]] = best[:, [0, -1]] = 0
    return best


@pytest.mark.parametrize("smooth", [0, 1.5])
def test_barrier_distances_are_those_of_real_paths_and_nearly_the_smallest(smooth):
    plane = np.random.default_rng(1).integers(0, 50, (15, 18)).astype(np.float32)
    plane = np.round(cv2.GaussianBlur(plane, (0, 0), smooth)) if smooth else plane
    exact = exact_barriers(plane)
    found = saliency.barrier_distance(plane[None], rounds=8)[0]
    assert (found >= exact).all() and (found == exact).mean() > 0.8 and (found - exact).mean() < 0.1 * exact.mean()
    two, one = (saliency.barrier_distance(plane[None], rounds=k)[0] for k in (2, 1))
    assert (found <= two).all() and (two <= one).all()                              # more rounds never hurt


def test_a_wall_is_a_barrier_and_a_gap_in_it_is_not():
    plane = np.zeros((2, 20, 20), np.float32)
    plane[:, 5, 5:15] = plane[:, 14, 5:15] = plane[:, 5:15, 5] = plane[:, 5:15, 14] = 7
    plane[1, 5, 9] = 3
    closed, open_ = saliency.barrier_distance(plane)[:, 10, 10]
    assert closed == 7 and open_ == 3


def test_barriers_beat_the_other_methods_on_scenes():
    scenes = SceneSet(24, 96, seed=40, cache=False)
    errors = {method: 0.0 for method in METHODS}
    for sample in (scenes[i] for i in range(24)):
        for method in METHODS:
            found = estimate(sample["rgb"].permute(1, 2, 0).numpy(), method)
            errors[method] += np.abs(found / 255 - sample["saliency"][0].numpy() / 255).mean() / 24
    assert errors["minimum_barrier"] < 0.15 and min(errors, key=errors.get) == saliency.DEFAULT


@pytest.mark.parametrize("rgb", [np.zeros((4, 4), np.uint8), np.zeros((4, 4, 4), np.uint8), np.zeros((0, 4, 3), np.uint8),
                                 np.zeros((4, 4, 3)), np.zeros((3, 4, 5), np.uint8)])
def test_other_arrays_are_refused(rgb):
    with pytest.raises(ValueError, match="estimated from .H, W, 3. uint8"):
        estimate(rgb)


@pytest.mark.parametrize("source", ["spectral", "missing.onnx", None, 3, "", "no/such/folder"])
def test_unknown_sources_are_refused_with_the_list(source):
    with pytest.raises(ValueError, match="no saliency source .*minimum_barrier, spectral_residual.*u2netp.*onnx.*given") as error:
        estimate(blob_picture()[0], source)
    assert "\n" not in str(error.value)
    with pytest.raises(ValueError, match="no saliency source"):
        WithSaliency(random_pictures(1), source)


def test_sources_with_maps_by_id_are_not_for_single_pictures(tmp_path):
    for source in ("given", tmp_path):
        with pytest.raises(ValueError, match="holds maps by the ids of samples: use WithSaliency"):
            estimate(blob_picture()[0], source)


# ---------------------------------------------------------------- networks

class TinyNet(torch.nn.Module):
    """What U-2-Net is made of: strided pooling, dilation, bilinear enlargement, several outputs of which the first is the map."""

    def __init__(self, channels=1):
        super().__init__()
        torch.manual_seed(0)
        self.first, self.wide = torch.nn.Conv2d(3, 4, 3, padding=1), torch.nn.Conv2d(4, 4, 3, padding=2, dilation=2)
        self.norm, self.last = torch.nn.BatchNorm2d(4), torch.nn.Conv2d(8, channels, 3, padding=1)

    def forward(self, x):
        fine = torch.relu(self.norm(self.first(x)))
        coarse = self.wide(torch.nn.functional.max_pool2d(fine, 2, 2, ceil_mode=True))
        coarse = torch.nn.functional.interpolate(coarse, size=fine.shape[2:], mode="bilinear", align_corners=False)
        side = torch.sigmoid(coarse[:, :1])
        return torch.sigmoid(self.last(torch.cat([fine, coarse], 1))), side


def export(network, shape=(1, 3, 320, 320)):
    """ONNX bytes; torch's own exporter needs the onnx package for custom operators only, of which there are none."""
    from torch.onnx._internal.torchscript_exporter import onnx_proto_utils
    file, plain = io.BytesIO(), onnx_proto_utils._add_onnxscript_fn
    onnx_proto_utils._add_onnxscript_fn = lambda model_bytes, custom_opsets: model_bytes
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            torch.onnx.export(network.eval(), (torch.zeros(shape),), file, dynamo=False, opset_version=11)
    finally:
        onnx_proto_utils._add_onnxscript_fn = plain
    return file.getvalue()


def map_by_torch(network, rgb):
    """U-2-Net's recipe in other words."""
    small = cv2.resize(rgb, (320, 320), interpolation=cv2.INTER_LINEAR)
    x = torch.from_numpy(small).permute(2, 0, 1)[None].double()
    x = x / x.max()
    x = (x - torch.tensor([0.485, 0.456, 0.406]).view(1, 3, 1, 1)) / torch.tensor([0.229, 0.224, 0.225]).view(1, 3, 1, 1)
    with torch.no_grad():
        found = network.double().eval()(x)[0][0, 0]
    found = (found - found.min()) / (found.max() - found.min())
    return cv2.resize(found.numpy(), rgb.shape[1::-1], interpolation=cv2.INTER_AREA) * 255


@pytest.fixture(scope="module")
def onnx_bytes():
    return export(TinyNet())


def test_a_network_gives_what_torch_gives(onnx_bytes, tmp_path):
    (tmp_path / "tiny.onnx").write_bytes(onnx_bytes)
    rgb = random_pictures(1, 90).rgb[0][:70] // 2                                    # not square, and dark: divided by its maximum
    found = estimate(rgb, tmp_path / "tiny.onnx")
    assert np.abs(found - map_by_torch(TinyNet(), rgb)).max() < 0.51 and found.std() > 5
    assert (estimate(rgb, str(tmp_path / "tiny.onnx")) == found).all()
    assert not estimate(np.full((20, 20, 3), 9, np.uint8), tmp_path / "tiny.onnx").any()


def test_a_replaced_network_is_loaded_again(onnx_bytes, tmp_path):
    path, rgb = tmp_path / "tiny.onnx", random_pictures(1, 40).rgb[0]
    path.write_bytes(onnx_bytes)
    before = estimate(rgb, path)
    other = TinyNet()
    torch.nn.init.normal_(other.last.weight)
    path.write_bytes(export(other))
    assert (estimate(rgb, path) != before).any()


@pytest.mark.parametrize("make, message", [
    (lambda: b"not a network", "cannot be read as an ONNX network"), (lambda: b"", "cannot be read as an ONNX network"),
    (lambda: export(TinyNet(channels=2)), r"gives \(1, 2, 320, 320\) instead of one finite map"),
    (lambda: export(torch.nn.Conv2d(4, 1, 1), (1, 4, 320, 320)), r"takes \[1, 4, 320, 320\] instead of a picture"),
    (lambda: export(torch.nn.Conv2d(3, 1, 1), (1, 3, 64, 64)), r"takes \[1, 3, 64, 64\] instead of a picture"),
    (lambda: export(torch.nn.Linear(4, 1), (1, 4)), r"takes \[1, 4\] instead of a picture"),
    (lambda: export(torch.nn.Flatten()), r"gives \(1, 307200\) instead of one finite map"),
    (lambda: export(TinyNet())[:-400], "cannot be read as an ONNX network")])
def test_other_files_are_refused_by_name(make, message, tmp_path, capfd):
    path = tmp_path / "other.onnx"
    path.write_bytes(make())
    with pytest.raises(ValueError, match=message) as error:
        estimate(blob_picture()[0], path)
    assert "other.onnx" in str(error.value) and "\n" not in str(error.value)


def serve(server, monkeypatch, content, name="u2netp"):                              # noqa: F811
    import hashlib
    server.files[f"/{name}.onnx"] = content
    monkeypatch.setitem(saliency.NETWORKS, name, (f"{server.url}/{name}.onnx", hashlib.sha256(content).hexdigest(), len(content)))


def test_a_network_is_downloaded_once_and_used(server, monkeypatch, onnx_bytes, tmp_path):           # noqa: F811
    serve(server, monkeypatch, onnx_bytes)
    rgb = random_pictures(1, 40).rgb[0]
    found = estimate(rgb, "u2netp")
    path = saliency.download_network()
    assert path == tmp_path / "cache/networks/u2netp.onnx" and path.read_bytes() == onnx_bytes
    assert (estimate(rgb, "u2netp") == found).all() and (estimate(rgb, path) == found).all() and len(server.seen) == 1
    assert saliency.download_network("u2netp", tmp_path / "mine") == tmp_path / "mine/u2netp.onnx" and len(server.seen) == 2


def test_downloads_that_fail_say_why(server, monkeypatch, onnx_bytes, cache, tmp_path):              # noqa: F811
    serve(server, monkeypatch, onnx_bytes)
    server.files["/u2netp.onnx"] = onnx_bytes[:-1] + b"?"
    with pytest.raises(ValueError, match="u2netp.onnx could not be fetched: .*sha256"):
        WithSaliency(random_pictures(2), "u2netp")
    server.files.clear()
    with pytest.raises(ConnectionError, match="404.*put the file at .*networks.u2netp.onnx yourself") as error:
        WithSaliency(random_pictures(2), "u2netp")
    assert "COLORLIB_CACHE" not in str(error.value) and not list(tmp_path.rglob("*.npy"))
    with pytest.raises(ValueError, match="no network 'resnet': choose u2netp or u2net"):
        saliency.download_network("resnet")


def test_the_checksums_are_whole():
    for name, (url, sha256, size) in saliency.NETWORKS.items():
        assert url.startswith("https://") and url.endswith(f"/{name}.onnx") and len(bytes.fromhex(sha256)) == 32 and size > 4e6


# ---------------------------------------------------------------- given maps

def test_scenes_pass_their_exact_maps_on():
    scenes = SceneSet(5, 48, seed=3, cache=False)
    data = WithSaliency(scenes)
    assert len(data) == 5 and data.ids == scenes.ids and data.classes == scenes.classes and data.source == "given"
    for i in range(-1, 5):
        assert data[i].keys() == scenes[i].keys() and (data[i]["saliency"] == scenes[i]["saliency"]).all()
    with pytest.raises(IndexError):
        data[5]


def test_given_maps_must_be_there(cache):
    with pytest.raises(ValueError, match="p0/0.jpg carries no saliency map of its own: choose minimum_barrier, .*u2net, an .onnx") as error:
        WithSaliency(random_pictures(2))
    assert "\n" not in str(error.value) and not cache.exists()


def test_another_source_replaces_given_maps():
    scenes = SceneSet(3, 48, cache=False)
    data = WithSaliency(scenes, "minimum_barrier")
    for i in range(3):
        assert (data[i]["saliency"][0].numpy() == estimate(scenes[i]["rgb"].permute(1, 2, 0).numpy())).all()
        assert (data[i]["rgb"] == scenes[i]["rgb"]).all() and (data[i]["mask"] == scenes[i]["mask"]).all()


def test_data_sets_without_an_order_or_samples_are_refused():
    class Stream(torch.utils.data.IterableDataset):
        def __iter__(self):
            return iter(())
    with pytest.raises(ValueError, match="Stream .*such as pack"):
        WithSaliency(Stream(), "minimum_barrier")
    with pytest.raises(ValueError, match="empty"):
        WithSaliency([], "minimum_barrier")


# ---------------------------------------------------------------- the cache

def test_maps_are_computed_once_and_batched_aligned(cache, counted):
    data = WithSaliency(random_pictures(6), "spectral_residual")
    assert len(counted) == 6 and [p.suffix for p in cache.glob("*.npy*")].count(".npy") == 1
    again = WithSaliency(random_pictures(6), "spectral_residual")
    assert len(counted) == 6 and again.source == "spectral_residual"
    assert isinstance(again.maps, np.memmap) and not list(cache.glob("*.partial"))
    for batch in batches(again, 4, steps=3, crop=16):
        assert batch["saliency"].shape == (4, 1, 16, 16) and batch["saliency"].dtype == torch.uint8
        assert (batch["saliency"][:, 0] == batch["rgb"][:, 0]).all()                        # cropped and mirrored with its picture
    assert (data[2]["saliency"] == again[2]["saliency"]).all()
    chosen = choose(again, limit=2)
    assert len(chosen) == 2 and (chosen[1]["saliency"] == again[3]["saliency"]).all()


def test_other_pictures_sizes_orders_and_sources_have_files_of_their_own(cache, counted):
    def make(dataset, source="spectral_residual"):
        data = WithSaliency(dataset, source)
        for i in range(len(data)):
            assert (data[i]["saliency"][0].numpy() == estimate(data[i]["rgb"].permute(1, 2, 0).numpy(), source)).all()
        return len(list(cache.glob("*.npy")))
    one = random_pictures(4)
    assert make(one) == 1 and make(random_pictures(3)) == 2 and make(random_pictures(4, 20)) == 3 and make(one, "fine_grained") == 4
    assert make(torch.utils.data.Subset(one, [3, 2, 1, 0])) == 5                           # Subset has no ids of its own
    changed = random_pictures(4)
    changed.rgb[2] = 255 - changed.rgb[2]
    assert make(changed) == 6 and make(one) == 6


@pytest.mark.parametrize("spoil", [lambda b: b[:-1], lambda b: b[:200], lambda b: b"", lambda b: b[:500] + b"\0\1\2" + b[503:],
                                   lambda b: b"x" * len(b), lambda b: b + b"more"])
def test_a_damaged_file_is_made_again(cache, counted, spoil):
    data = WithSaliency(random_pictures(3), "spectral_residual")
    before = [data[i]["saliency"].clone() for i in range(3)]
    path = next(cache.glob("*.npy"))
    content = path.read_bytes()
    del data
    path.write_bytes(spoil(content))
    data = WithSaliency(random_pictures(3), "spectral_residual")
    assert len(counted) == 6 and path.read_bytes() == content
    assert all((data[i]["saliency"] == before[i]).all() for i in range(3))


@pytest.mark.parametrize("tail", [b"", b"half a map"])
def test_an_interrupted_computation_goes_on(cache, counted, monkeypatch, tail):
    method = METHODS["spectral_residual"]

    def interrupted(rgb):
        if len(counted) == 3:
            raise KeyboardInterrupt
        return method(rgb)
    monkeypatch.setitem(METHODS, "spectral_residual", interrupted)
    with pytest.raises(KeyboardInterrupt):
        WithSaliency(random_pictures(5), "spectral_residual")
    partial = next(cache.glob("*.partial"))
    assert not list(cache.glob("*.npy"))
    with open(partial, "ab") as file:
        file.write(tail)
    monkeypatch.setitem(METHODS, "spectral_residual", method)
    data = WithSaliency(random_pictures(5), "spectral_residual")
    assert len(counted) == 5 and not partial.exists()
    assert all((data[i]["saliency"][0] == data[i]["rgb"][0]).all() for i in range(5))


def test_a_spoilt_part_is_not_trusted_beyond_its_rows(cache, counted):
    whole = WithSaliency(random_pictures(3), "spectral_residual")
    path = next(cache.glob("*.npy"))
    content = path.read_bytes()
    del whole
    path.unlink()
    for spoilt in (b"short", content + content):
        path.with_name(path.name + ".partial").write_bytes(spoilt)
        WithSaliency(random_pictures(3), "spectral_residual")
        assert path.read_bytes() == content
        path.unlink()


def test_two_at_once_compute_once(counted):
    made = []
    threads = [threading.Thread(target=lambda: made.append(WithSaliency(random_pictures(8), "spectral_residual"))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(counted) == 8 and (made[0].maps == made[1].maps).all()


def test_maps_travel_to_workers_by_name():
    data = WithSaliency(random_pictures(4, 64), "minimum_barrier")
    content = pickle.dumps(data)
    assert data.maps.tobytes() not in content and len(content) < data.dataset.rgb.nbytes + 4000
    assert (pickle.loads(content)[3]["saliency"] == data[3]["saliency"]).all()
    given = pickle.loads(pickle.dumps(WithSaliency(SceneSet(1, 32, cache=False))))
    assert given[0]["saliency"].shape == (1, 32, 32)
    if sys.platform == "linux":
        loader = torch.utils.data.DataLoader(data, 2, num_workers=1, multiprocessing_context=multiprocessing.get_context("fork"))
        assert (torch.cat([batch["saliency"] for batch in loader])[:, 0].numpy() == data.maps).all()


def test_pictures_of_several_sizes_are_refused(tmp_path):
    for i, size in enumerate((20, 30)):
        cv2.imwrite(str(tmp_path / f"{i}.png"), random_pictures(1, size).rgb[0])
    with pytest.raises(ValueError, match=r"is \(30, 30\), the first \(20, 20\): give the source a size"):
        WithSaliency(Pictures(tmp_path), "minimum_barrier")


def test_a_cache_that_cannot_be_written_says_so(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("COLORLIB_CACHE", str(tmp_path / "file"))
    with pytest.raises(OSError, match="could not be kept in .*COLORLIB_CACHE"):
        WithSaliency(random_pictures(1), "minimum_barrier")


def test_the_bar_is_silent_on_request(capfd):
    WithSaliency(random_pictures(2), "minimum_barrier", progress=False)
    assert capfd.readouterr() == ("", "")
    WithSaliency(random_pictures(3), "minimum_barrier", progress=True)
    assert "minimum_barrier" in capfd.readouterr().err


# ---------------------------------------------------------------- folders of maps

def write_photos(folder, names, width=40, height=30):
    """Photos whose red is their map, times a mask that keeps them coloured; returns {name: map}."""
    maps = {}
    for i, name in enumerate(names):
        rgb = cv2.resize(random_pictures(1, 64, seed=i).rgb[0], (width, height))
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(folder / name), rgb[..., ::-1])
        maps[name] = rgb[..., 0]
    return maps


def save_map(path, plane):
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), plane)


@pytest.mark.parametrize("place", ["a/x.png", "a/x_saliency.png", "a/x_mask.png", "x.png", "other/x.png"])
@pytest.mark.parametrize("crop", ["center", "squash"])
def test_a_folder_of_maps_is_cut_as_the_photos_are(tmp_path, place, crop):
    maps = write_photos(tmp_path / "photos", ["a/x.png"])
    save_map(tmp_path / "maps" / place, maps["a/x.png"])
    photos = Pictures(tmp_path / "photos", size=24, crop=crop)
    data = WithSaliency(photos, tmp_path / "maps")
    assert data.source == "maps" and data.report.kept == 1
    assert (data[0]["saliency"][0].int() - data[0]["rgb"][0].int()).abs().max() <= 1


def test_maps_in_the_folder_of_the_photos_and_ids_with_dots(tmp_path):
    maps = write_photos(tmp_path, ["v1.2.png", "scene.png"])
    for name, plane in maps.items():
        save_map(tmp_path / f"{name[:-4]}_mask.png", 255 - plane)
    data = WithSaliency(Masked(tmp_path, size=24), str(tmp_path))
    for i in range(2):
        assert (data[i]["saliency"] == 255 - data[i]["rgb"][:1]).float().mean() > 0.9
        assert (data[i]["saliency"] == data.dataset[i]["saliency"]).all()
    scenes = SceneSet(2, 16, seed=7, cache=False)                                            # ids without a suffix: scene/7
    for i, name in enumerate(scenes.ids):
        save_map(tmp_path / "drawn" / f"{name}.png", np.full((16, 16), 40 + i, np.uint8))
    assert [int(one["saliency"].max()) for one in WithSaliency(scenes, tmp_path / "drawn")] == [40, 41]


def test_a_changed_map_is_read_again(tmp_path):
    write_photos(tmp_path / "photos", ["x.png"], 24, 24)
    packed = pack(Pictures(tmp_path / "photos", size=24))
    for level in (30, 200):
        save_map(tmp_path / "maps/x.png", np.full((24, 24), level, np.uint8))
        assert (WithSaliency(packed, tmp_path / "maps")[0]["saliency"] == level).all()


@pytest.mark.parametrize("plane, message", [
    (None, "maps has no map for x.png: add x.png"), (np.zeros((24, 24, 3), np.uint8) + np.uint8([0, 0, 250]), "x.png is a colour picture"),
    (np.zeros((8, 60), np.uint8), "x.png is 60 x 8 but its picture 40 x 30: crop them alike")])
def test_folders_without_the_right_maps_are_refused(tmp_path, plane, message):
    write_photos(tmp_path / "photos", ["x.png"])
    (tmp_path / "maps").mkdir()
    if plane is not None:
        save_map(tmp_path / "maps/x.png", plane)
    with pytest.raises(ValueError, match=message) as error:
        WithSaliency(Pictures(tmp_path / "photos"), tmp_path / "maps")
    assert "\n" not in str(error.value)
    assert files(tmp_path / "photos") == ["x.png"]
