"""Folders of pictures as they are: grey, damaged, of any size and depth, and packed once."""
import json
import pickle
import time
from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
import pytest
import torch
from PIL import Image

from colorlib.data import packing, sources
from colorlib.data.packing import Report, pack
from colorlib.data.sources import Pictures, is_gray, resize, sample_photos
from tests.data_samples import REAL, colorful, fill, needs_real_data, packed, same, save, truncate


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("COLORLIB_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def messy(tmp_path):
    """Two good pictures, a grey one, a truncated one, an empty one, a HEIC and a text file."""
    folder = fill(tmp_path / "messy", "b.png", "a/c.jpg")
    save(folder / "gray.png", colorful(7)[..., 0])
    save(folder / "cut.jpg", colorful(8, 200, 200))
    truncate(folder / "cut.jpg")
    (folder / "empty.png").write_bytes(b"")
    (folder / "README.md").write_text("no picture")
    (folder / "phone.heic").write_bytes(b"\0\0\0\x18ftypheic" + bytes(50))
    (folder / ".hidden.jpg").write_bytes(b"no picture")
    return folder


# ---------------------------------------------------------------- grey

@pytest.mark.parametrize("name", ["astronaut", "coffee", "chelsea", "rocket"])
def test_photos_are_coloured_until_they_are_desaturated(name):
    rgb = dict(sample_photos())[name]
    gray = np.repeat(rgb.mean(-1, keepdims=True), 3, -1).astype(np.uint8)
    assert not is_gray(rgb) and is_gray(gray)
    assert not is_gray(torch.from_numpy(rgb).permute(2, 0, 1)) and is_gray(torch.from_numpy(gray).permute(2, 0, 1))
    assert not is_gray(rgb.astype(np.float32) / 255)


def test_compression_noise_is_grey_and_one_red_toy_is_not():
    gray = np.repeat(dict(sample_photos(1))["astronaut"].mean(-1, keepdims=True), 3, -1).astype(np.uint8)
    assert is_gray(cv2.imdecode(cv2.imencode(".jpg", gray, [cv2.IMWRITE_JPEG_QUALITY, 30])[1], 1))
    toy = gray.copy()
    toy[200:280, 200:280] = (200, 30, 30)                     # 2.4 % of the picture: its mean chroma is below 2.5
    assert not is_gray(toy)


@pytest.mark.parametrize("height, width", [(1, 1), (1, 300), (5000, 20)])
def test_is_gray_takes_any_shape(height, width):
    assert is_gray(np.full((height, width, 3), 90, np.uint8))
    assert not is_gray(np.full((height, width, 3), (255, 0, 0), np.uint8))


@needs_real_data
def test_old_photographs_are_grey_and_modern_ones_are_not():
    legacy, modern = Pictures(f"{REAL}/legacy", 64), Pictures(f"{REAL}/natural/open", 64)
    assert len(legacy) == 0 and len(legacy.report.gray) == 70
    assert len(modern.report.gray) == 0 and len(modern) == 251
    assert len(Pictures(f"{REAL}/legacy", 64, drop_gray=False)) == 70


# ---------------------------------------------------------------- resizing and decoding

def test_center_takes_the_middle_and_squash_everything():
    picture = np.zeros((20, 60, 3), np.uint8)
    picture[:, 20:40] = 255
    assert (resize(picture, 10) == 255).all()
    squashed = resize(picture, 30, "squash")
    assert squashed.shape == (30, 30, 3) and abs(squashed.mean() - 85) < 1
    assert resize(picture, None) is picture


def test_shrinking_averages_areas():
    stripes = np.tile(np.uint8([0, 255]), (64, 32))
    assert (abs(resize(stripes, 8).astype(int) - 127.5) < 1).all()
    photo = dict(sample_photos(1))["astronaut"]
    blocks = photo.reshape(64, 8, 64, 8, 3).mean((1, 3))
    assert abs(resize(photo, 64) - blocks).max() <= 0.51


def test_16_bit_and_transparent_pictures_become_8_bit_rgb(tmp_path):
    deep = np.random.default_rng(0).integers(0, 65536, (6, 8, 3), dtype=np.uint16)
    save(tmp_path / "deep.png", deep)
    assert np.array_equal(sources.decode(tmp_path / "deep.png"), np.rint(deep / 257).astype(np.uint8))
    rgba = np.dstack([colorful(), np.zeros((24, 32), np.uint8)])
    rgba[:, 16:, 3] = 255
    Image.fromarray(rgba).save(tmp_path / "clear.png")
    shown = sources.decode(tmp_path / "clear.png")
    assert (shown[:, :16] == 255).all() and np.array_equal(shown[:, 16:], colorful()[:, 16:])


# ---------------------------------------------------------------- folders

def test_samples_are_dicts_of_uint8(tmp_path):
    dataset = Pictures(fill(tmp_path / "photos", "1.png", "2.jpg", "3.webp", "4.TIFF", "5.bmp"), 16)
    assert len(dataset) == 5 and dataset.ids == ["1.png", "2.jpg", "3.webp", "4.TIFF", "5.bmp"]
    sample = dataset[0]
    assert set(sample) == {"rgb", "id"} and sample["rgb"].shape == (3, 16, 16) and sample["rgb"].dtype == torch.uint8
    assert np.array_equal(sample["rgb"].permute(1, 2, 0), resize(colorful(), 16))
    assert [s["id"] for s in dataset] == dataset.ids


def test_labels_are_the_sub_folders(tmp_path):
    folder = fill(tmp_path / "photos", "train/dog/1.png", "train/cat/2.png", "val/dog/3.png")
    dataset = Pictures(folder, 8)
    assert dataset.classes == ["cat", "dog"]
    assert {s["id"]: int(s["label"]) for s in dataset} == {"train/cat/2.png": 0, "train/dog/1.png": 1,
                                                           "val/dog/3.png": 1}
    save(folder / "loose.png", colorful())
    assert Pictures(folder, 8).classes is None and "label" not in Pictures(folder, 8)[0]


def test_without_recursion_sub_folders_are_left_out(messy):
    assert Pictures(messy, 8, recursive=False).ids == ["b.png"]


@pytest.mark.parametrize("use", [lambda folder: Pictures(folder, 16), lambda folder: pack(Pictures(folder, 16))])
def test_what_cannot_be_used_is_named_and_skipped(messy, use):
    dataset = use(messy)
    assert [dataset[i]["id"] for i in range(len(dataset))] == list(dataset.ids) == ["a/c.jpg", "b.png"]
    report = dataset.report
    assert report.kept == 2 and report.gray == ["gray.png"] and report.other == ["README.md"]
    assert [name for name, _ in report.corrupt] == ["cut.jpg", "empty.png", "phone.heic"]
    assert "HEIC" in dict(report.corrupt)["phone.heic"]
    assert "cut.jpg" in dict(report.corrupt)["cut.jpg"] and "empty" in dict(report.corrupt)["empty.png"]
    assert "2 kept, 1 grey, 3 unreadable, 1 not pictures" in str(report)


def test_a_data_loader_takes_an_unpacked_folder(messy):
    loader = torch.utils.data.DataLoader(Pictures(messy, 16), batch_size=2, num_workers=2)
    batch, = loader
    assert batch["rgb"].shape == (2, 3, 16, 16) and batch["id"] == ["a/c.jpg", "b.png"]


def test_a_second_look_is_remembered_until_a_file_changes(messy, monkeypatch):
    report = Pictures(messy, 16).report
    with monkeypatch.context() as patch:
        patch.setattr(Pictures, "read", lambda self, i: pytest.fail("decoded again"))
        assert Pictures(messy, 16).report == report
    save(messy / "d.png", colorful(9))
    assert len(Pictures(messy, 16)) == 3


def test_links_in_a_circle_or_into_nothing_do_no_harm(tmp_path):
    folder = fill(tmp_path / "photos", "a/1.png")
    (folder / "a/back").symlink_to(folder, target_is_directory=True)
    (folder / "a/gone.png").symlink_to(folder / "nowhere.png")
    dataset = Pictures(folder, 8)
    assert dataset.ids == ["a/1.png"] and [name for name, _ in dataset.report.corrupt] == ["a/gone.png"]


@pytest.mark.parametrize("options, message", [
    ({"size": 0}, "size is 0"), ({"size": 12.5}, "size is 12.5"), ({"size": 8, "crop": "zoom"}, "crop is 'zoom'")])
def test_bad_options_are_refused(messy, options, message):
    with pytest.raises(ValueError, match=message):
        Pictures(messy, **options)


def test_missing_and_empty_folders_are_refused(tmp_path):
    with pytest.raises(ValueError, match="nowhere is not a folder"):
        Pictures(tmp_path / "nowhere", 8)
    with pytest.raises(ValueError, match="holds no files"):
        Pictures(tmp_path, 8)


# ---------------------------------------------------------------- packs

def test_a_pack_equals_its_source(messy):
    for crop in ("center", "squash"):
        source = Pictures(messy, 16, crop)
        assert all(map(same, source, pack(source))) and len(source) == len(pack(source)) == 2


def test_a_pack_is_reused_until_files_or_settings_change(messy, monkeypatch):
    first = pack(Pictures(messy, 16))
    with monkeypatch.context() as patch:
        patch.setattr(Pictures, "read", lambda self, i: pytest.fail("decoded again"))
        again = pack(Pictures(messy, 16))
    assert isinstance(again.rgb, np.memmap) and again.report == first.report and all(map(same, first, again))
    assert pack(Pictures(messy, 12)).rgb.shape == (2, 12, 12, 3)
    assert len(pack(Pictures(messy, 16, drop_gray=False))) == 3
    (messy / "b.png").unlink()
    assert pack(Pictures(messy, 16)).ids == ["a/c.jpg"]


@pytest.mark.parametrize("damage", [
    lambda pack: truncate(pack / "rgb.npy"), lambda pack: truncate(pack / "index.json"),
    lambda pack: (pack / "rgb.npy").unlink(), lambda pack: (pack / "index.json").write_text("[]")])
def test_a_damaged_pack_is_made_again(messy, cache, damage):
    first = [s for s in pack(Pictures(messy, 16))]
    folder, = (path for path in cache.iterdir() if path.is_dir())
    damage(folder)
    assert all(map(same, first, pack(Pictures(messy, 16))))


def test_an_interrupted_pack_leaves_nothing(messy, cache, monkeypatch):
    def stop(self, report, threads=None):
        raise KeyboardInterrupt
    monkeypatch.setattr(Pictures, "stream", stop)
    with pytest.raises(KeyboardInterrupt):
        pack(Pictures(messy, 16))
    assert [path.suffix for path in cache.iterdir()] == [".lock"]


def test_packs_are_plain_numpy_files_in_the_folder_asked_for(messy, tmp_path):
    pack(Pictures(messy, 16), tmp_path / "packs")
    folder, = (path for path in (tmp_path / "packs").iterdir() if path.is_dir())
    assert np.load(folder / "rgb.npy").shape == (2, 16, 16, 3)
    assert json.loads((folder / "index.json").read_text())["lists"]["id"] == ["a/c.jpg", "b.png"]


def test_threads_do_not_change_a_pack(tmp_path):
    source = Pictures(fill(tmp_path / "photos", *[f"{i}.png" for i in range(40)]), 8)
    one, many = pack(source, tmp_path / "one", threads=1), pack(source, tmp_path / "many", threads=6)
    assert one.ids == many.ids == source.names and np.array_equal(one.rgb, many.rgb)


def test_nothing_usable_and_nothing_packable_are_told_apart(messy, tmp_path):
    save(tmp_path / "grays/1.png", colorful()[..., 0])
    with pytest.raises(ValueError, match="Nothing usable is left .*1 grey"):
        pack(Pictures(tmp_path / "grays", 8))
    with pytest.raises(ValueError, match="with a size"):
        pack(Pictures(messy))


def test_maps_travel_to_other_processes_by_name(messy):
    dataset = pack(Pictures(messy, 64))
    assert len(pickle.dumps(dataset)) < 3000 and all(map(same, dataset, pickle.loads(pickle.dumps(dataset))))
    in_memory = packed()
    assert all(map(same, in_memory, pickle.loads(pickle.dumps(in_memory))))


def test_of_two_that_pack_at_once_one_decodes(messy, monkeypatch):
    reads, read = [], Pictures.read

    def note(self, i):
        time.sleep(0.02)
        reads.append(i)
        return read(self, i)
    monkeypatch.setattr(Pictures, "read", note)
    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(lambda _: pack(Pictures(messy, 16)), range(2))
    assert all(map(same, first, second)) and len(first) == 2
    assert sorted(reads) == list(range(len(Pictures(messy, 16).names)))


def test_a_cache_that_cannot_be_written_is_named(messy, tmp_path):
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(OSError, match="COLORLIB_CACHE"):
        pack(Pictures(messy, 16), tmp_path / "file")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COLORLIB_CACHE", str(tmp_path / "file"))
        assert len(Pictures(messy, 16)) == 2


def test_samples_that_do_not_fit_the_first_are_reported(tmp_path, monkeypatch):
    source = Pictures(fill(tmp_path / "photos", "1.png", "2.png", "3.png"), 8)
    read = Pictures.read
    nir = {"nir": torch.zeros(1, 8, 8)}
    monkeypatch.setattr(Pictures, "read", lambda self, i: read(self, i) | ({} if i == 1 else nir))
    dataset = pack(source)
    assert dataset.ids == ["1.png", "3.png"] and dataset.report.kept == 2 and dataset.report.corrupt[0][0] == "2.png"


def test_the_cache_is_in_the_home_folder_unless_named(monkeypatch):
    monkeypatch.delenv("COLORLIB_CACHE")
    assert packing.cache_folder().parts[-2:] == (".cache", "colorlib")


def test_long_reports_are_cut():
    report = Report(corrupt=[(f"{i}.jpg", "damaged") for i in range(30)])
    assert "10 more" in str(report) and "19.jpg" in str(report) and "20.jpg" not in str(report)


# ---------------------------------------------------------------- photos at hand

def test_bundled_photos_need_no_network(monkeypatch):
    import socket
    monkeypatch.setattr(socket, "socket", lambda *_, **__: pytest.fail("the network was used"))
    photos = sample_photos()
    assert [name for name, _ in photos[:3]] == ["astronaut", "coffee", "chelsea"] and len(sample_photos(2)) == 2
    assert all(rgb.ndim == 3 and rgb.shape[2] == 3 and rgb.dtype == np.uint8 and not is_gray(rgb) for _, rgb in photos)
    with pytest.raises(ValueError, match="of the 99 photos"):
        sample_photos(99)


def test_the_photo_folder_must_exist(monkeypatch, tmp_path):
    monkeypatch.delenv("COLORLIB_DATA", raising=False)
    assert sources.photo_folder() is None
    monkeypatch.setenv("COLORLIB_DATA", str(tmp_path))
    assert sources.photo_folder() == tmp_path
    monkeypatch.setenv("COLORLIB_DATA", str(tmp_path / "gone"))
    with pytest.raises(ValueError, match="not a folder"):
        sources.photo_folder()
