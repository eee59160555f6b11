"""Captions: passed on, derived from a label and a colour, kept when they name a colour, and opened from whatever a person types."""
import json
import pickle

import numpy as np
import pytest
import torch

from colorlib import data
from colorlib.captions import basic, color_words
from colorlib.data import Packed, Pictures, SceneSet, WithCaptions, captioned, colored, join, open_captioned, pack, write_shards
from colorlib.data.captioned import class_names, column, derive
from colorlib.data.combining import Chosen
from tests.data_samples import REAL, colorful, fill, needs_real_data, same, save, truncate

COLORS = {"red": (190, 30, 35), "green": (40, 140, 50), "blue": (40, 80, 200), "yellow": (240, 220, 30)}


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("COLORLIB_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("COLORLIB_DATA", raising=False)
    return tmp_path / "cache"


def thing(color, size=48):
    """A disc of a colour on a gray ground."""
    y, x = np.mgrid[:size, :size]
    disc = (y - size / 2) ** 2 + (x - size / 2) ** 2 < (size / 3) ** 2
    return np.where(disc[..., None], np.uint8(COLORS[color]), np.uint8((150, 152, 155)))


def things(folder, **colors):
    """Discs in a folder: {class: words} -> class/0.png, class/1.png, ..."""
    for name, words in colors.items():
        for i, word in enumerate(words):
            save(folder / name / f"{i}.png", thing(word))
    return folder


def labelled(count=6, **extra):
    """A `Packed` of discs of alternating colours, labels of two classes."""
    words = [list(COLORS)[i % 4] for i in range(count)]
    return Packed(np.stack([thing(word) for word in words]), [f"p{i}" for i in range(count)], [i % 2 for i in range(count)], extra, None, ["cup", "old_kettle"])


def captions(**extra):
    texts = [["a red cup", "nice cup"], ["a cup"], ["old", "a Teal cup", "a cup, grey or black"]]
    rgb = np.stack([colorful(i, 16, 16) for i in range(3)])
    return Packed(rgb, list("abc"), [0, 1, 0], {"caption": [text[0] for text in texts], "captions": texts} | extra, None, ["cup", "cat"])


# ---------------------------------------------------------------- derived captions

def test_templates():
    assert derive("garbage truck", "red") == ["a red garbage truck", "a photo of a red garbage truck", "a garbage truck that is red"]
    assert derive("owl", "orange") == ["an orange owl", "a photo of an orange owl", "an owl that is orange"]
    assert derive("owl", None) == ["an owl", "a photo of an owl"]
    assert all(color_words(one)[0] == "brown" for one in derive("red fox", "brown")) and len(derive("red fox", "brown")) == 2


def test_names_of_classes():
    assert class_names(["n03417042", "n02102040", "garbage_truck", "golf-ball", "/a/apartment_building/outdoor", "001.Laysan_Albatross", "Käse"]) == [
        "garbage truck", "English springer", "garbage truck", "golf ball", "apartment building outdoor", "Laysan Albatross", "Käse"]
    all_of_imagenet = class_names([f"n{i:08d}" for i in range(1000)])
    assert all_of_imagenet[0] == "tench" and all_of_imagenet[569] == "garbage truck"
    for unnamed in (["n04285008"], ["cup", "7"], ["__"], None, []):
        with pytest.raises(ValueError, match="name"):
            class_names(unnamed)


def test_a_labelled_folder(tmp_path):
    folder = things(tmp_path / "photos", cup=["red", "green"], old_kettle=["blue", "yellow", "red"])
    dataset = WithCaptions(pack(Pictures(folder, 48)))
    assert dataset.words == ["red", "green", "blue", "yellow", "red"]
    assert [dataset[1][key] for key in ("id", "label", "caption", "caption_source")] == ["cup/1.png", 0, "a green cup", "derived"]
    assert dataset[2]["captions"] == ["a blue old kettle", "a photo of a blue old kettle", "an old kettle that is blue"]
    assert dataset.all_captions() == [sample["captions"] for sample in dataset]
    assert dataset.ids == pack(Pictures(folder, 48)).ids and dataset.classes == ["cup", "old_kettle"] and dataset.report.kept == 5
    assert dataset[-1]["id"] == "old_kettle/2.png" and len(list(dataset)) == 5
    with pytest.raises(IndexError):
        dataset[5]


def test_words_are_found_once(cache, monkeypatch):
    words = WithCaptions(labelled()).words
    file, = (cache / "captions").glob("*.json")
    monkeypatch.setattr(captioned, "salient_word", lambda *_: pytest.fail("the words are in the cache"))
    assert WithCaptions(labelled()).words == words == ["red", "green", "blue", "yellow", "red", "green"]
    others = labelled()
    others.rgb = others.rgb[::-1].copy()                         # the same ids, other pictures
    for dataset, source in ((labelled(), "spectral_residual"), (others, "saliency"), (labelled(mask=np.ones((6, 1, 48, 48), np.uint8)), "saliency")):
        with pytest.raises(pytest.fail.Exception):
            WithCaptions(dataset, source)
    assert [path.name for path in (cache / "captions").glob("*")] == [file.name]


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"words": 3}', '{"words": [["red", 1]]}', '{"words": [["teal", 1], ["red", 1]]}',
                                     '{"words": ["red", "red"]}', '{"words": [["red", 1], ["red", null]]}', "\0\xff"])
def test_a_damaged_cache_is_made_again(cache, content):
    assert WithCaptions(labelled(2)).words == ["red", "green"]
    file, = (cache / "captions").glob("*.json")
    whole = json.loads(file.read_text())
    file.write_text(content)
    assert WithCaptions(labelled(2)).words == ["red", "green"] and json.loads(file.read_text()) == whole
    truncate(file)
    assert WithCaptions(labelled(2)).words == ["red", "green"]


def test_a_cache_that_cannot_be_written(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("COLORLIB_CACHE", str(tmp_path / "file"))
    assert WithCaptions(labelled(2)).words == ["red", "green"]


def test_the_samples_own_mask_and_map():
    corner = np.zeros((2, 1, 48, 48), np.uint8)
    corner[..., :8, :8] = 1
    assert WithCaptions(labelled(2, mask=corner)).words == WithCaptions(labelled(2, saliency=255 * corner)).words == ["gray", "gray"]
    assert WithCaptions(labelled(2, mask=corner), "minimum_barrier").words == ["red", "green"]
    assert WithCaptions(labelled(2, saliency=255 * corner), "given").words == ["gray", "gray"]
    nothing = np.zeros((2, 1, 48, 48), np.uint8)
    assert WithCaptions(labelled(2, mask=nothing)).words == WithCaptions(labelled(2, saliency=nothing)).words      # the whole picture
    with pytest.raises(ValueError, match="no saliency map"):
        WithCaptions(labelled(2), "given")
    with pytest.raises(ValueError, match="saliency source"):
        WithCaptions(labelled(2), "nonsense")


def test_a_folder_of_maps(tmp_path):
    corner = np.zeros((48, 48), np.uint8)
    corner[:8, :8] = 255
    for i in range(2):
        save(tmp_path / "maps" / f"p{i}.png", corner)
    assert WithCaptions(labelled(2), tmp_path / "maps").words == ["gray", "gray"]
    with pytest.raises(ValueError, match="no map for p2"):
        WithCaptions(labelled(3), tmp_path / "maps")


def test_a_region_of_many_colours_gets_no_word():
    stripes = np.concatenate([np.tile(np.uint8(rgb), (48, 12, 1)) for rgb in COLORS.values()], 1)
    dataset = Packed(np.stack([thing("red"), stripes]), ["disc", "stripes"], [0, 0], {"mask": np.ones((2, 1, 48, 48), np.uint8)}, None, ["ball"])
    dataset.extra["mask"][0, 0] = thing("red")[..., 0] == COLORS["red"][0]
    found = WithCaptions(dataset)
    assert found[1]["captions"] == ["a ball", "a photo of a ball"] and colored(found).ids == ["disc"] and colored(found).left_out == 1


def test_labels_without_a_class():
    dataset = labelled(3)
    dataset.labels[1] = -1                                       # as STL10 marks unlabelled pictures
    found = WithCaptions(dataset)
    assert found[1]["captions"] == [] and found[1]["caption"] == "" and colored(found).ids == ["p0", "p2"]


def test_what_cannot_be_captioned(tmp_path):
    folder = fill(tmp_path / "flat", "a.png", "b.png")
    with pytest.raises(ValueError, match="neither a caption nor a label"):
        WithCaptions(Pictures(folder, 16))
    nameless = labelled(2)
    nameless.classes = None
    with pytest.raises(ValueError, match="have no names"):
        WithCaptions(nameless)
    with pytest.raises(ValueError, match="pack"):
        WithCaptions(torch.utils.data.ChainDataset([]))
    with pytest.raises(ValueError, match="empty"):
        WithCaptions(Chosen(labelled(2), []))


# ---------------------------------------------------------------- captions that are there, and those with a colour

def test_captions_are_passed_on():
    assert [sample["caption_source"] for sample in WithCaptions(captions())] == ["human"] * 3
    scenes = SceneSet(3, 32)
    assert [(sample["caption"], sample["caption_source"]) for sample in WithCaptions(scenes)] == [(sample["caption"], "scene") for sample in scenes]
    assert WithCaptions(captions(caption_source=["derived"] * 3))[0]["caption_source"] == "derived"
    alone = Packed(captions().rgb, list("abc"), None, {"caption": ["a red cup", "", "  a cup "]})
    assert WithCaptions(alone).all_captions() == [["a red cup"], [], ["a cup"]] and WithCaptions(alone)[1]["caption"] == ""


def test_only_captions_with_a_colour_stay():
    kept = colored(captions())
    assert kept.ids == ["a", "c"] and kept.left_out == 1 and kept.classes == ["cup", "cat"]
    assert kept[0]["captions"] == ["a red cup"] and kept[1]["captions"] == ["a Teal cup", "a cup, grey or black"] and kept[1]["caption"] == "a Teal cup"
    assert colored(Chosen(captions(), [2, 1])).ids == ["c"] and column(kept, "label") == [0, 0] and same(colored(kept)[1], kept[1])
    with pytest.raises(IndexError):
        kept[2]
    with pytest.raises(ValueError, match="None of the 1 samples"):
        colored(Chosen(captions(), [1]))


def test_no_picture_is_decoded_for_it(tmp_path, monkeypatch):
    fill(tmp_path / "photos", *(f"{i}.png" for i in range(30)))
    (tmp_path / "photos/captions.json").write_text(json.dumps({f"{i}.png": ["a red cup"] for i in range(30)}))
    source = data.Captioned(tmp_path / "photos", size=16)
    sets = [source, pack(source), data.choose(pack(source), limit=10), SceneSet(30, 32), Chosen(SceneSet(30, 32), range(3, 9))]
    expected = [[sample["captions"] for sample in dataset] for dataset in sets]
    read = []
    for kind in (data.Captioned, Packed):
        monkeypatch.setattr(kind, "__getitem__", lambda self, i, old=kind.__getitem__: read.append(i) or old(self, i))
    for dataset, captions_there in zip(sets, expected):
        read.clear()
        assert colored(dataset).kept == [[one for one in some if color_words(one)] for some in captions_there] and len(read) <= 1


def test_loading_in_worker_processes():
    dataset = colored(WithCaptions(labelled()))
    assert all(map(same, dataset, pickle.loads(pickle.dumps(dataset))))
    batch, = data.batches(dataset, 6, workers=1, steps=1, flip=False)
    assert {one.split()[1] for one in batch["caption"]} == set(COLORS) and batch["rgb"].shape == (6, 3, 48, 48)


# ---------------------------------------------------------------- from what a person types

def write_captions(folder, names):
    fill(folder, *names)
    (folder / "captions.json").write_text(json.dumps([{"file": name, "captions": [f"a {word} thing" for word in ("red", "big")]} for name in names]))
    return folder


def test_a_folder_with_captions(tmp_path):
    folder = write_captions(tmp_path / "photos", [f"{i}.png" for i in range(20)])
    train, val = (open_captioned(folder, 16, split) for split in ("train", "val"))
    assert len(val) == 2 and sorted(train.ids + val.ids) == sorted(f"{i}.png" for i in range(20))
    assert train[0]["captions"] == ["a red thing"] and train[0]["caption_source"] == "human" and train[0]["rgb"].shape == (3, 16, 16)
    assert open_captioned(folder, 16, limit=5).ids == [train.ids[i * 18 // 5] for i in range(5)]
    folder = fill(tmp_path / "texts", *(f"{i}.png" for i in range(10)))
    for i in range(10):
        (folder / f"{i}.txt").write_text("a cup\na blue cup\n" if i else "a cup\n")
    both = [open_captioned(folder, 16, split) for split in ("train", "val")]
    assert sum(map(len, both)) == 9 and sum(one.left_out for one in both) == 1 and both[0][0]["captions"] == ["a blue cup"]


def test_marked_splits(tmp_path):
    own = tmp_path / "own"
    for split in ("train", "val"):
        write_captions(own / split, [f"{split}{i}.png" for i in range(3)])
    shared = write_captions(tmp_path / "shared", ["train/a.png", "train/b.png", "val/c.png"])
    assert open_captioned(own, 16, "val").ids == ["val0.png", "val1.png", "val2.png"]
    assert open_captioned(shared, 16, "train").ids == ["train/a.png", "train/b.png"] and open_captioned(shared, 16, "val").ids == ["val/c.png"]
    assert open_captioned(own / "train", 16).ids == ["train0.png", "train1.png", "train2.png"]
    with pytest.raises(FileNotFoundError, match="no val split"):
        open_captioned(own / "train", 16, "val")


def test_labelled_folders_and_shards(tmp_path):
    folder = things(tmp_path / "photos", cup=["red", "green"] * 4, cat=["blue", "yellow"] * 4)
    (folder / "cup/notes.txt").write_text("no picture has this name")
    found = [open_captioned(folder, 48, split) for split in ("train", "val")]
    assert sorted(map(len, found)) == [2, 14] and {sample["caption_source"] for one in found for sample in one} == {"derived"}
    assert {one.split()[1] for sample in found[0] for one in sample["captions"][:1]} == set(COLORS)
    write_shards(captions(), tmp_path / "human/train")
    assert [sample["caption_source"] for sample in open_captioned(tmp_path / "human", 16)] == ["human"] * 2
    write_shards(SceneSet(3, 32), tmp_path / "scenes/train")
    assert {sample["caption_source"] for sample in open_captioned(tmp_path / "scenes", 32)} == {"scene"}


def test_coco(tmp_path, monkeypatch):
    coco = fill(tmp_path / "data/cococaptions", "val2017/9.jpg", "val2017/10.jpg")
    (coco / "annotations").mkdir()
    (coco / "annotations/captions_val2017.json").write_text(json.dumps({
        "images": [{"id": 9, "file_name": "9.jpg"}, {"id": 10, "file_name": "10.jpg"}],
        "annotations": [{"image_id": 9, "caption": "A cat."}, {"image_id": 9, "caption": "A gray cat."}, {"image_id": 10, "caption": "A dog."}]}))
    with pytest.raises(FileNotFoundError, match="CocoCaptions needs"):
        open_captioned("cococaptions", 16, "val")
    monkeypatch.setenv("COLORLIB_DATA", str(tmp_path / "data"))
    dataset = open_captioned("cococaptions", 16, "val")
    assert dataset.ids == ["9.jpg"] and dataset[0]["captions"] == ["A gray cat."] and dataset[0]["caption_source"] == "human" and dataset.left_out == 1


def test_what_cannot_be_opened(tmp_path):
    folder = write_captions(tmp_path / "photos", ["a.png"])
    for arguments in ({"split": "dev"}, {"limit": 0}):
        with pytest.raises(ValueError, match="choose train or val"):
            open_captioned(folder, 16, **arguments)
    with pytest.raises(FileNotFoundError, match="too few"):
        open_captioned(folder, 16, "val")
    with pytest.raises(FileNotFoundError, match="neither a folder"):
        open_captioned(tmp_path / "nowhere", 16)
    (folder / "captions.json").write_text("{")
    with pytest.raises(ValueError, match="captions.json cannot be read as JSON"):
        open_captioned(folder, 16)
    (folder / "captions.json").write_text('{"gone.png": "a red cup"}')
    with pytest.raises(ValueError, match="Nothing usable is left"):
        open_captioned(folder, 16)
    truncate(save(tmp_path / "cut/a.png", colorful(0, 99, 99)))
    fill(tmp_path / "cut", "b.png")
    (tmp_path / "cut/captions.json").write_text('{"a.png": "a red cup", "b.png": "a blue cup"}')
    kept = open_captioned(tmp_path / "cut", 16)
    assert kept.ids == ["b.png"] and [name for name, _ in kept.report.corrupt] == ["a.png"]
    with pytest.raises(ValueError, match="neither a caption nor a label"):
        open_captioned(fill(tmp_path / "flat", *(f"{i}.png" for i in range(9))), 16)


# ---------------------------------------------------------------- several data sets as one

def test_join():
    scenes, photos = colored(SceneSet(4, 48)), colored(WithCaptions(labelled(3)))
    both = join([scenes, photos])
    assert len(both) == 7 and both.ids == scenes.ids + ["p0", "p1", "p2"] == [sample["id"] for sample in both]
    assert all(sample.keys() == {"rgb", "id", "caption", "captions", "caption_source"} for sample in both) and both.classes is None
    assert torch.equal(both[5]["rgb"], photos[1]["rgb"]) and both[-1]["caption"] == photos[2]["caption"]
    assert column(both, "captions") == [sample["captions"] for sample in both] and same(colored(both)[4], both[4])
    assert len(next(data.batches(both, 7, steps=1))["caption"]) == 7
    with pytest.raises(IndexError):
        both[7]


def test_join_the_same_classes_twice():
    both = join([labelled(3), labelled(2), labelled(2)])
    assert both.classes == ["cup", "old_kettle"] and both[3].keys() == {"rgb", "id", "label"}
    assert both.ids == ["p0", "p1", "p2", "1/p0", "1/p1", "2/p0", "2/p1"] == [sample["id"] for sample in both]
    assert all(map(same, both, pickle.loads(pickle.dumps(both)))) and len(join([labelled(3)])) == 3
    assert join([colored(captions()), colored(captions())]).left_out == 2


def test_what_cannot_be_joined():
    for parts in ([], [labelled(2), Chosen(labelled(2), [])]):
        with pytest.raises(ValueError, match="list of packs"):
            join(parts)
    with pytest.raises(ValueError, match="16 x 16 and 48 x 48"):
        join([labelled(2), captions()])


# ---------------------------------------------------------------- real photos

@needs_real_data
def test_real_captions():
    both = [open_captioned(f"{REAL}/captions", 32, split) for split in ("train", "val")]
    assert sum(len(one) + one.left_out for one in both) + len(both[0].report.gray) == 116 and len(both[0]) > 30
    assert all(basic(color_words(caption)[0]) for one in both for some in one.kept for caption in some)
