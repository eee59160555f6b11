"""Tar shards: written, streamed, damaged."""
import io
import tarfile

import cv2
import numpy as np
import pytest
import torch

from colorlib.data.packing import pack
from colorlib.data.shards import Shards, split_name, write_shards
from tests.data_samples import REAL, colorful, needs_real_data, packed, same, save, truncate


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("COLORLIB_CACHE", str(tmp_path / "cache"))


def png(seed=0, **options):
    return cv2.imencode(".png", colorful(seed, **options)[..., ::-1])[1].tobytes()


def make_tar(path, members, mode="w"):
    """members: {name: bytes} in order."""
    with tarfile.open(path, mode) as tar:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return path


def test_what_is_written_comes_back(tmp_path):
    planes = np.random.default_rng(0).integers(0, 256, (7, 1, 12, 16), dtype=np.uint8)
    dataset = packed(7, nir=planes, mask=planes // 128, saliency=planes, line_art=planes,
                     caption=[f"caption {i}, ü" for i in range(7)],
                     captions=[[f"caption {i}, ü", "another"] for i in range(7)])
    paths = write_shards(dataset, tmp_path / "tars", per_shard=3)
    assert [path.name for path in paths] == ["shard-000000.tar", "shard-000001.tar", "shard-000002.tar"]
    assert all(map(same, dataset, Shards(tmp_path / "tars"))) and len(list(Shards(tmp_path / "tars"))) == 7
    assert tarfile.open(paths[2]).getnames()[0].startswith("00000006.")
    with pytest.raises(ValueError, match="already holds shards"):
        write_shards(dataset, tmp_path / "tars")


def test_jpeg_shards_are_close(tmp_path):
    dataset = [{"rgb": torch.from_numpy(colorful(3, 64, 64)).permute(2, 0, 1), "id": "a"}]
    write_shards(dataset, tmp_path / "tars", picture_format="jpg")
    sample, = Shards(tmp_path / "tars")
    assert sample["id"] == "a" and (sample["rgb"].int() - dataset[0]["rgb"].int()).abs().float().mean() < 2


def test_folders_in_a_tar_are_labels(tmp_path):
    make_tar(tmp_path / "a.tar", {"train/dog/1.JPEG": png(1), "train/cat/2.x.png": png(2), "train/cat/2.y.png": png(3),
                                  "train/notes.txt": b"hi"})
    shards = Shards(tmp_path / "a.tar", 16)
    samples = list(shards)
    assert shards.classes == ["cat", "dog"]
    assert [(s["id"], int(s["label"])) for s in samples] == [("train/dog/1.JPEG", 1), ("train/cat/2.x.png", 0),
                                                             ("train/cat/2.y.png", 0)]
    assert shards.report.other == ["train/notes.txt"] and samples[0]["rgb"].shape == (3, 16, 16)
    assert all(map(same, samples, pack(shards))) and pack(shards).classes == ["cat", "dog"]


def test_webdataset_keys_are_read(tmp_path):
    make_tar(tmp_path / "a.tar", {"0.jpg": png(1), "0.cls": b"7", "0.txt": b"a red bus\n", "0.json": b'{"width": 3}',
                                  "0.nir.png": png(1)})
    sample, = Shards(tmp_path / "a.tar", 8)
    assert (int(sample["label"]), sample["caption"], sample["id"]) == (7, "a red bus", "0.jpg")
    assert sample["nir"].shape == (1, 8, 8)


@pytest.mark.parametrize("member, parts", [
    ("a/photo.v2.jpg", ("a/photo.v2", "jpg")), ("k.nir.png", ("k", "nir.png")), ("a.b/c", (None, None)),
    ("a/.hidden", (None, None)), ("a/._x.jpg", (None, None)), ("README", (None, None)),
                                           ("./a/x.JPEG", ("./a/x", "JPEG"))])
def test_names_are_split_at_the_last_dot(member, parts):
    assert split_name(member) == parts


def test_damaged_and_grey_members_are_named_and_skipped(tmp_path):
    gray = cv2.imencode(".png", colorful()[..., 0])[1].tobytes()
    make_tar(tmp_path / "a.tar", {"1.png": png(1), "2.png": png(2)[:60], "3.png": gray, "4.cls": b"1", "5.png": png(5)})
    shards = Shards(tmp_path / "a.tar", 8)
    dataset = pack(shards)
    assert dataset.ids == ["1.png", "5.png"] and [s["id"] for s in shards] == dataset.ids
    for report in (dataset.report, shards.report):
        assert report.gray == ["3.png"] and "2.png" in dict(report.corrupt)["2.png"]
        assert report.other == ["4.cls"]


@pytest.mark.parametrize("mode", ["w", "w:gz"])
def test_a_truncated_tar_keeps_what_was_read_and_goes_on_with_the_next(tmp_path, mode):
    names = [f"{i}.png" for i in range(9)]
    noise = lambda i: png(i, height=200, width=300)
    make_tar(tmp_path / "a.tar", {name: noise(i) for i, name in enumerate(names)}, mode)
    truncate(tmp_path / "a.tar", 0.6)
    make_tar(tmp_path / "b.tar", {"last.png": png(20)})
    shards = Shards(tmp_path, 16)
    ids = [s["id"] for s in shards]
    assert 2 < len(ids) < 9 and ids == names[:len(ids) - 1] + ["last.png"]
    named = dict(shards.report.corrupt)
    assert "the tar ends too early" in named[str((tmp_path / "a.tar").resolve())] and len(named) == 1
    assert pack(shards).ids == ids


def test_a_tar_cut_between_two_members_is_noticed(tmp_path):
    path = make_tar(tmp_path / "a.tar", {f"{i}.png": png(i) for i in range(4)})
    with tarfile.open(path) as tar:
        third = tar.getmembers()[2].offset
    for content in (path.read_bytes()[:third], path.read_bytes()[:third] + b"x" * 2000):
        path.write_bytes(content)
        shards = Shards(path, 8)
        assert [s["id"] for s in shards] == ["0.png", "1.png"]
        assert "ends too early" in dict(shards.report.corrupt)[str(path)]


@pytest.mark.parametrize("content", [b"", b"not a tar" * 100])
def test_what_is_no_tar_is_named(tmp_path, content):
    (tmp_path / "a.tar").write_bytes(content)
    make_tar(tmp_path / "b.tar", {"1.png": png()})
    shards = Shards(tmp_path, 8)
    assert len(list(shards)) == 1 and "a.tar" in shards.report.corrupt[0][0]


def test_equal_keys_in_two_shards_stay_apart(tmp_path):
    for name in "ab":
        make_tar(tmp_path / f"{name}.tar", {"0.png": png(ord(name))})
    assert [s["id"] for s in Shards(tmp_path, 8)] == ["0.png", "b.tar/0.png"]


def test_patterns_lists_and_single_tars_are_found(tmp_path):
    for i in range(3):
        make_tar(tmp_path / f"t-{i:03d}.tar", {f"{i}.png": png(i)})
    ids = lambda shards: [s["id"] for s in Shards(shards, 8)]
    for shards in (tmp_path, str(tmp_path / "t-{000..002}.tar"), str(tmp_path / "t-*.tar")):
        assert ids(shards) == ["0.png", "1.png", "2.png"]
    assert ids([tmp_path / "t-002.tar", tmp_path / "t-000.tar"]) == ["2.png", "0.png"]
    with pytest.raises(ValueError, match="t-003.tar does not exist"):
        Shards(str(tmp_path / "t-{002..003}.tar"))
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="no .tar file"):
        Shards(tmp_path / "empty")


def test_shards_from_an_address(tmp_path, monkeypatch):
    from webdataset.gopen import gopen_schemes
    path = make_tar(tmp_path / "a.tar", {"x/0.png": png(1), "y/1.png": png(2)})
    monkeypatch.setitem(gopen_schemes, "gs", lambda url, mode: open(path, mode))
    shards = Shards("gs://bucket/a.tar", 8)
    assert [(s["id"], int(s["label"])) for s in shards] == [("x/0.png", 0), ("y/1.png", 1)]
    assert pack(shards).ids == ["x/0.png", "y/1.png"]


def test_loader_workers_share_the_shards(tmp_path):
    write_shards(packed(8), tmp_path / "tars", per_shard=2)
    loader = torch.utils.data.DataLoader(Shards(tmp_path / "tars"), batch_size=None, num_workers=2)
    assert sorted(s["id"] for s in loader) == packed(8).ids


def test_a_changed_shard_is_packed_again(tmp_path):
    make_tar(tmp_path / "a.tar", {"0.png": png(1)})
    assert len(pack(Shards(tmp_path, 8))) == 1
    make_tar(tmp_path / "a.tar", {"0.png": png(1), "1.png": png(2)})
    assert len(pack(Shards(tmp_path, 8))) == 2
    save(tmp_path / "other.png", colorful())
    assert len(pack(Shards(tmp_path, 8))) == 2


@needs_real_data
def test_imagenette_shards_have_their_classes():
    shards = Shards(f"{REAL}/imagenette/val-000.tar", 32)
    assert len(shards.classes) == 10 and shards.classes[0] == "n01440764"
    sample = next(iter(shards))
    assert sample["id"].startswith("val/n01440764/") and int(sample["label"]) == 0
    assert sample["rgb"].shape == (3, 32, 32)
