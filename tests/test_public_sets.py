"""torchvision's data sets, from small copies of their folder layouts."""
import json

import numpy as np
import pytest
import scipy.io
import torchvision.datasets

from colorlib import data
from colorlib.data import public_sets
from colorlib.data.packing import pack
from colorlib.data.public_sets import NAMES, torchvision_set
from tests.data_samples import colorful, fill, same


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("COLORLIB_CACHE", str(tmp_path / "cache"))


def check(dataset, labels):
    """A source that packs, with these labels."""
    dataset_pack = pack(dataset)
    assert [int(s["label"]) for s in dataset] == labels and all(map(same, dataset, dataset_pack))
    assert dataset.classes == dataset_pack.classes
    return dataset


def test_imagenette(tmp_path):
    fill(tmp_path / "imagenette2-320", "train/n01440764/a.JPEG", "train/n03888257/b.JPEG", "val/n01440764/c.JPEG",
         height=320, width=330)
    dataset = check(torchvision_set("Imagenette", tmp_path, "train", 64), [0, 1])
    assert dataset.ids == ["imagenette2-320/train/n01440764/a.JPEG", "imagenette2-320/train/n03888257/b.JPEG"]
    assert dataset.classes == ["tench", "parachute"] and dataset[0]["rgb"].shape == (3, 64, 64)
    assert len(torchvision_set("imagenette", tmp_path, "val", 64)) == 1
    with pytest.raises(FileNotFoundError, match="download=True"):
        torchvision_set("Imagenette", tmp_path, "train", 400)                # needs the full-size archive
    fill(tmp_path / "imagenette2-160", "train/n01440764/a.JPEG", height=160, width=170)
    assert len(torchvision_set("Imagenette", tmp_path, "train", 64)) == 1    # the smallest that is large enough


def test_flowers(tmp_path, monkeypatch):
    folder = tmp_path / "flowers-102"
    fill(folder / "jpg", "image_00001.jpg", "image_00002.jpg", "image_00003.jpg")
    scipy.io.savemat(folder / "imagelabels.mat", {"labels": [[5, 6, 102]]})
    scipy.io.savemat(folder / "setid.mat", {"trnid": [[3, 1]], "valid": [[2, 1]], "tstid": [[1, 2, 3]]})
    files = {key: (name, None) for key, (name, _) in torchvision.datasets.Flowers102._file_dict.items()}
    monkeypatch.setattr(torchvision.datasets.Flowers102, "_file_dict", files)
    dataset = check(torchvision_set("Flowers102", tmp_path, "train", 16), [101, 4])
    assert dataset.classes[101] == "blackberry lily" and dataset.ids[0] == "flowers-102/jpg/image_00003.jpg"


def test_stl10(tmp_path, monkeypatch):
    folder = tmp_path / "stl10_binary"
    folder.mkdir()
    pictures = np.stack([colorful(i, 96, 96) for i in range(3)])
    for name in ("train_X.bin", "test_X.bin", "unlabeled_X.bin"):
        # columns first, as the authors' MATLAB wrote them
        pictures.transpose(0, 3, 2, 1).tofile(folder / name)
    for name in ("train_y.bin", "test_y.bin"):
        np.uint8([1, 10, 2]).tofile(folder / name)
    (folder / "class_names.txt").write_text("\n".join("abcdefghij"))
    for files in ("train_list", "test_list"):
        monkeypatch.setattr(torchvision.datasets.STL10, files,
                            [[name, None] for name, _ in getattr(torchvision.datasets.STL10, files)])
    dataset = check(torchvision_set("STL10", tmp_path, "val", 96), [0, 9, 1])
    assert np.array_equal(dataset[1]["rgb"].permute(1, 2, 0), pictures[1])
    assert dataset.ids[0] == "STL10/test/000000" and dataset.classes == list("abcdefghij")
    check(torchvision_set("STL10", tmp_path, "unlabeled", 32), [-1, -1, -1])


def test_places365(tmp_path, monkeypatch):
    fill(tmp_path / "val_256", "Places365_val_00000001.jpg", "Places365_val_00000002.jpg")
    (tmp_path / "categories_places365.txt").write_text("/a/airfield 0\n/b/bakery 1\n")
    (tmp_path / "places365_val.txt").write_text("Places365_val_00000001.jpg 1\nPlaces365_val_00000002.jpg 0\n")
    places = torchvision.datasets.Places365
    monkeypatch.setattr(places, "_CATEGORIES_META", (places._CATEGORIES_META[0], None))
    lists = {split: (name, None) for split, (name, _) in places._FILE_LIST_META.items()}
    monkeypatch.setattr(places, "_FILE_LIST_META", lists)
    dataset = check(torchvision_set("Places365", tmp_path, "val", 64), [1, 0])
    assert dataset.ids[0] == "val_256/Places365_val_00000001.jpg" and dataset.classes == ["/a/airfield", "/b/bakery"]
    with pytest.raises(FileNotFoundError, match="Places365"):
        torchvision_set("Places365", tmp_path, "val", 512)                    # the small pictures are too small


def test_coco(tmp_path):
    fill(tmp_path / "val2017", "000000000009.jpg")
    with pytest.raises(FileNotFoundError, match="annotations_trainval2017.zip"):
        torchvision_set("CocoCaptions", tmp_path, "val", 16)
    (tmp_path / "annotations").mkdir()
    (tmp_path / "annotations/captions_val2017.json").write_text(json.dumps(
        {"images": [{"id": 9, "file_name": "000000000009.jpg"}],
         "annotations": [{"image_id": 9, "caption": "A bowl of fruit."}]}))
    sample, = torchvision_set("CocoCaptions", tmp_path, "val", 16)
    assert sample["caption"] == "A bowl of fruit." and sample["id"] == "000000000009.jpg"


@pytest.mark.parametrize("name", NAMES)
def test_missing_data_say_what_to_do(tmp_path, name):
    with pytest.raises(FileNotFoundError, match=f"{name}.*{'unpack' if name == 'CocoCaptions' else 'download=True'}"):
        torchvision_set(name, tmp_path, "train", 64)


def test_without_a_network_a_download_says_so(tmp_path, monkeypatch):
    def refuse(*_, **__):
        raise ConnectionError("no route to host")
    monkeypatch.setattr(public_sets, "download_file", refuse)
    for name in NAMES[:4]:
        with pytest.raises(ConnectionError, match=f"{name} could not be downloaded .*check the network"):
            torchvision_set(name, tmp_path, "train", 64, download=True)
    monkeypatch.delenv("COLORLIB_DATA", raising=False)
    with pytest.raises(ConnectionError, match="Imagenette could not be downloaded"):
        data.open_pictures("Imagenette", 64)


def test_unknown_names_and_splits_are_refused(tmp_path):
    with pytest.raises(ValueError, match="choose one of Imagenette"):
        torchvision_set("ImageNet22k", tmp_path)
    with pytest.raises(ValueError, match="no split 'dev': choose one of train, val"):
        torchvision_set("Imagenette", tmp_path, "dev")
