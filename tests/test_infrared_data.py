"""Infrared pairs on disk: which were cut from one photo, who is held out, the layouts people have, and the look of made-up infrared."""
from collections import Counter
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from PIL import Image

from colorlib import __main__ as cli
from colorlib import data, experiments
from colorlib.data import infrared
from colorlib.data.packing import Packed
from colorlib.data.pairs import NirPairs, find_twins
from tests.data_samples import REAL, fill, needs_real_data, save


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("COLORLIB_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def photo(seed, height=136, width=204):
    """A textured photo with its infrared twin, `(height, width, 4)` uint8: coarse patches with finer ones on them."""
    rng = np.random.default_rng(seed)
    layers = [cv2.resize(rng.normal(0, sigma, (height // cell, width // cell, 4)), (width, height), interpolation=cv2.INTER_CUBIC)
              for cell, sigma in ((34, 40), (8, 30), (4, 15))]
    return np.clip(128 + sum(layers), 0, 255).astype(np.uint8)


def write_pair(stem, picture):
    """`(H, W, 4)` as stem_rgb.png and stem_nir.png."""
    save(Path(f"{stem}_rgb.png"), picture[..., :3])
    save(Path(f"{stem}_nir.png"), picture[..., 3])


def packed(pictures):
    """{id: `(H, W, 4)`} as a data set of pairs in memory."""
    stack = np.stack(list(pictures.values()))
    return Packed(stack[..., :3], list(pictures), extra={"nir": stack[:, None, ..., 3]})


# ---------------------------------------------------------------- crops of one photo

def test_crops_of_one_photo_are_found():
    wide, tall, narrow = photo(0), photo(1, 204, 136), photo(2, 136, 244)
    other_nir = wide[:, 68:].copy()
    other_nir[..., 3] = photo(3, 136, 136)[..., 3]                         # the same colours, another infrared: no partner
    pictures = {"wide left": wide[:, :136], "wide right": wide[:, 68:], "tall top": tall[:136], "tall bottom": tall[68:],
                "narrow left": narrow[:, :136], "narrow right": narrow[:, 108:],
                "other nir": other_nir, "alone": photo(4, 136, 136), "copy": wide[:, :136]}
    groups = data.shared_photos(packed(pictures))
    members = {frozenset(one for one in groups if groups[one] == group) for group in groups.values()}
    assert members == {frozenset({"wide left", "wide right", "copy"}), frozenset({"tall top", "tall bottom"}),
                       frozenset({"narrow left", "narrow right"}), frozenset({"other nir"}), frozenset({"alone"})}


def test_skies_are_not_one_photo():
    """A smooth gradient is alike in many photos; only detail tells. The ground below differs."""
    sky = np.linspace(200, 90, 136)[:, None, None].repeat(136, 1).repeat(4, 2)
    pictures = {}
    for i in range(6):
        picture = sky + np.random.default_rng(i).normal(0, 0.5, sky.shape)
        picture[110:] = photo(10 + i, 136, 136)[110:]
        pictures[f"sky {i}"] = picture.astype(np.uint8)
    assert len(set(data.shared_photos(packed(pictures)).values())) == 6
    blank = {f"blank {i}": np.full((64, 64, 4), 30 * i, np.uint8) for i in range(3)}
    assert len(set(data.shared_photos(packed(blank)).values())) == 3
    copies = packed(blank | {"copy": blank["blank 1"]})                    # without any texture copies are still copies
    assert data.shared_photos(copies)["copy"] == data.shared_photos(copies)["blank 1"]


@needs_real_data
def test_crops_of_real_photos_are_found():
    """Known crops of the VCIP2020 challenge, by how much they share, and two photos of mountains that only look alike."""
    source = NirPairs(f"{REAL}/nir/vcip2020_train", 128)
    crops = [("country_0006", "country_0039"), ("field_0042", "field_0072"), ("mountain_0013", "mountain_0018"), ("country_0017", "country_0001")]
    names = [name for pair in crops for name in pair] + ["mountain_0036", "mountain_0069", "mountain_0007", "mountain_0087"]
    samples = [source.read(source.names.index(name)) for name in names]
    pictures = {name: np.dstack([sample["rgb"].permute(1, 2, 0), sample["nir"][0]]) for name, sample in zip(names, samples)}
    groups = data.shared_photos(packed(pictures))
    assert all(groups[one] == groups[other] for one, other in crops) and len(set(groups.values())) == len(crops) + 4


def test_the_search_is_remembered_for_the_same_pictures(cache, monkeypatch):
    wide = photo(0)
    pictures = {"a": wide[:, :136], "b": wide[:, 68:], "c": photo(1, 136, 136)}
    first = data.shared_photos(packed(pictures))
    assert first["a"] == first["b"] != first["c"]
    looked = []
    search = infrared.find_overlaps
    monkeypatch.setattr(infrared, "find_overlaps", lambda found: looked.append(len(found)) or search(found))
    assert data.shared_photos(packed(pictures)) == first and not looked
    assert data.shared_photos(packed(pictures | {"c": wide[:, 60:196]}))["c"] == first["a"] and looked == [3]
    for file in cache.glob("photos-*.json"):
        file.write_text("{")
    assert data.shared_photos(packed(pictures)) == first and looked == [3, 3]


# ---------------------------------------------------------------- who is held out

def test_photos_are_held_out_whole(tmp_path):
    for i in range(12):
        picture = photo(i)
        write_pair(tmp_path / "pairs" / f"field_{2 * i:04}", picture[:, :136])
        write_pair(tmp_path / "pairs" / f"field_{2 * i + 1:04}", picture[:, 68:])
    train, val = (data.open_pairs(tmp_path / "pairs", 32, split) for split in ("train", "val"))
    assert len(train) == 22 and len(val) == 2
    assert len({int(one[-4:]) // 2 for one in val.ids}) == 1               # both crops of one photo
    assert sorted(train.ids + val.ids) == NirPairs(tmp_path / "pairs").ids
    assert data.open_pairs(tmp_path / "pairs", 48, "val").ids == val.ids   # whatever the size
    assert data.open_pairs(tmp_path / "pairs", 48, "train", limit=5)[0]["nir"].shape == (1, 48, 48)


def test_names_tell_before_pictures_do(tmp_path, monkeypatch):
    monkeypatch.setattr(infrared, "find_overlaps", lambda pictures: pytest.fail("nobody needs to look"))
    for i in range(10):
        for side in ("left", "right"):
            write_pair(tmp_path / "crops" / f"urban_{i:04}_{side}", photo(i, 40, 40))
    train, val = (data.open_pairs(tmp_path / "crops", 16, split).ids for split in ("train", "val"))
    assert len(val) == 2 and val[0].removesuffix("_left") == val[1].removesuffix("_right") and len(train) == 18
    for k in range(4):
        for i in range(3):
            write_pair(tmp_path / "walks" / f"set{k:02}" / "V000" / f"I{i:05}", photo(i, 40, 40))
    train, val = (data.open_pairs(tmp_path / "walks", 16, split).ids for split in ("train", "val"))
    assert Counter(one.split("/")[0] for one in val) == {val[0].split("/")[0]: 3} and len(train) == 9      # a walk stays together


def test_mistakes_say_what_to_do(tmp_path, monkeypatch):
    write_pair(tmp_path / "few" / "a", photo(0, 40, 40))
    write_pair(tmp_path / "few" / "b", photo(1, 40, 40))
    with pytest.raises(FileNotFoundError, match="few has too few photos .* make folders train and val"):
        data.open_pairs(tmp_path / "few", 16)
    with pytest.raises(ValueError, match="few has no legacy split: only the folder of VCIP2020"):
        data.open_pairs(tmp_path / "few", 16, "legacy")
    with pytest.raises(ValueError, match="split is 'test'"):
        data.open_pairs(tmp_path / "few", 16, "test")
    monkeypatch.setattr(infrared, "MOST_PAIRS", 1)
    with pytest.raises(ValueError, match="few holds 2 pairs, too many to look for crops of one photo: make folders train and val"):
        data.open_pairs(tmp_path / "few", 16)
    fill(tmp_path / "lonely", "a_rgb.png", "b_rgb.png")
    with pytest.raises(ValueError, match="holds no pairs, only a_rgb.png without its partner: name the pictures x_rgb.png and x_nir.png"):
        data.open_pairs(tmp_path / "lonely", 16)


# ---------------------------------------------------------------- layouts

@pytest.fixture
def challenge(tmp_path):
    """A little VCIP2020: six photos cut in two for training; of the tests one is a copy, one the other crop of a training photo, one shared by both
    tests."""
    top = tmp_path / "challenge"

    def write(folders, stems, picture):
        for folder, stem, plane in zip(folders, stems, (picture[..., :3], picture[..., 3])):
            save(top / folder / f"{stem}.png", plane)
    photos = [photo(i) for i in range(6)]
    for i, picture in enumerate(photos):
        write(("RGB-Registered", "NIR"), (f"field_{2 * i:04}_rgb_reg", f"field_{2 * i:04}_nir"), picture[:, :136])
        if i != 1:
            write(("RGB-Registered", "NIR"), (f"field_{2 * i + 1:04}_rgb_reg", f"field_{2 * i + 1:04}_nir"), picture[:, 68:])
    new = [photo(20, 136, 136), photo(21, 136, 136), np.repeat(photo(22, 136, 136)[..., :1], 4, 2)]      # the last one grey
    for i, picture in enumerate((photos[0][:, :136], photos[1][:, 68:], new[0])):
        write(("Testing", "Testing"), (f"Testing_{i + 1:04}_rgb_reg", f"testing_{i + 1:04}_nir_reg"), picture)
    for i, picture in enumerate((new[0], new[1], new[2])):
        write(("Validation", "Validation"), (f"validation_{i:04}_rgb_reg", f"validation_{i:04}_nir"), picture)
    save(top / "Testing" / "visual" / "vis_testing_0001_nir.png", new[0][..., :3])
    (top / "Validation" / "test_options.py").write_text("")
    return top


def test_the_challenge_is_cut_clean(challenge):
    splits = {split: data.open_pairs(challenge, 32, split) for split in ("train", "val", "legacy")}
    assert splits["legacy"].ids == ["Testing/Testing_0001", "Testing/Testing_0002", "Testing/Testing_0003"]
    assert splits["val"].ids == [*splits["legacy"].ids, "Validation/validation_0001", "Validation/validation_0002"]      # without the copy
    assert splits["train"].ids == [f"field_{i:04}" for i in range(4, 12)]          # 0 and 1 are the copy's photo, 2 the other crop's
    assert splits["train"][0]["rgb"].shape == (3, 32, 32) and len(data.open_pairs(challenge, 32, limit=3)) == 3
    assert data.open_pairs(challenge / "NIR" / "..", 32, "val").ids == splits["val"].ids


def test_twins_are_found_across_case_and_folders():
    rgb, nir = find_twins(["NIR/a_nir.png", "RGB-Registered/a_rgb_reg.png", "T/B_rgb.png", "T/b_nir_reg.PNG", "nir/c_rgb.png", "nir/c_nir.png",
                           "x/d_rgb.png", "y/d_nir.png", "rgb/e_rgb.png", "notes_nir.txt"])
    pairs = {one: (rgb[one], nir[one]) for one in rgb.keys() & nir.keys()}
    assert pairs == {"a": ("RGB-Registered/a_rgb_reg.png", "NIR/a_nir.png"), "T/B": ("T/B_rgb.png", "T/b_nir_reg.PNG"),
                     "nir/c": ("nir/c_rgb.png", "nir/c_nir.png")}
    assert set(rgb) ^ set(nir) == {"x/d", "y/d", "rgb/e"}
    assert find_twins(["a_rgb.png", "a_nir.png", "rgb/a_rgb.png", "nir/a_nir.png"])[0] == {"a": "a_rgb.png", "rgb/a": "rgb/a_rgb.png"}


# ---------------------------------------------------------------- a set like the challenge's

@pytest.fixture
def epfl(tmp_path):
    """Photos in the layout of the EPFL set: a wide one of 16 bits, a tall and a square one of 8, and one whose infrared has another shape."""
    folder = tmp_path / "nirscene1"
    for name, picture in (("urban/0003", photo(0, 720, 1088)), ("country/0000", photo(1, 204, 136)), ("water/0001", photo(2, 136, 136))):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        deep = lambda plane: plane.astype(np.uint16) * 257 if name == "urban/0003" else plane
        for kind, plane in (("rgb", picture[..., 2::-1]), ("nir", picture[..., 3])):
            assert cv2.imwrite(str(folder / f"{name}_{kind}.tiff"), deep(plane))
    save(folder / "water" / "0002_rgb.tiff", photo(3, 40, 80)[..., :3])
    save(folder / "water" / "0002_nir.tiff", photo(3, 40, 40)[..., 3])
    return folder


def test_the_epfl_layout_is_read(epfl):
    dataset = NirPairs(epfl, drop_gray=False)
    assert dataset.ids == ["country/0000", "urban/0003", "water/0001"] and "0002_nir.tiff is 40 x 40" in dict(dataset.report.corrupt)["water/0002"]
    sample, picture = dataset[1], photo(0, 720, 1088)
    assert np.array_equal(sample["rgb"].permute(1, 2, 0).numpy(), picture[..., :3]) and np.array_equal(sample["nir"][0].numpy(), picture[..., 3])


def test_crops_like_the_challenge(epfl, tmp_path, capsys):
    target = tmp_path / "made"
    assert cli.main(["data", str(epfl), "--vcip-like", str(target)]) == 0
    captured = capsys.readouterr()
    assert captured.out == f"{target}: 6 pairs\n" and "water/0002 is left out" in captured.err
    names = sorted(path.name for path in target.iterdir())
    assert len(names) == 12 and names[:4] == [f"country_0000_{crop}_{kind}.png" for crop in ("left", "right") for kind in ("nir", "rgb")]
    wide = photo(0, 720, 1088)
    for crop, part in (("left", wide[:680, :680]), ("right", wide[40:, 408:])):
        read = np.dstack([Image.open(target / f"urban_0003_{crop}_{kind}.png") for kind in ("rgb", "nir")])
        area = cv2.resize(part, (256, 256), interpolation=cv2.INTER_AREA)
        assert read.shape == (256, 256, 4) and np.abs(read.astype(int) - area).mean() < 4
    tall, small = photo(1, 204, 136), np.asarray(Image.open(target / "country_0000_right_nir.png"))
    assert np.abs(small.astype(int) - cv2.resize(tall[68:, :, 3], (256, 256), interpolation=cv2.INTER_CUBIC)).mean() < 4
    changed = target / "urban_0003_left_rgb.png"
    changed.write_bytes(b"kept")
    (target / "urban_0003_right_nir.png").unlink()
    with pytest.warns(UserWarning, match="water/0002"):
        assert data.build_vcip_like(epfl, target) == 6
    assert changed.read_bytes() == b"kept" and sorted(path.name for path in target.iterdir()) == names
    assert cli.main(["data", str(tmp_path / "nowhere"), "--vcip-like", str(target)]) == 1 and "nowhere is not a folder" in capsys.readouterr().err


# ---------------------------------------------------------------- made-up infrared

def flat(color, side=16):
    return np.full((side, side, 3), color, np.uint8)


def test_leaves_glow_and_skies_are_dark():
    luma = lambda color: np.dot(color, (0.299, 0.587, 0.114))
    leaf, sky, grey, black = (60, 110, 40), (110, 150, 220), (120, 120, 120), (0, 0, 0)
    level = {color: [data.pseudo_nir(flat(color), seed).mean() for seed in range(20)] for color in (leaf, sky, grey, black)}
    assert min(level[leaf]) > luma(leaf) + 60 and max(level[sky]) < 0.6 * luma(sky)
    assert level[grey] == pytest.approx([120] * 20, abs=3) and max(level[black]) < 8             # no colour, no surprise
    shirts = [data.pseudo_nir(flat((200, 40, 40)), seed).mean() for seed in range(20)]
    assert min(shirts) < 0.8 * luma((200, 40, 40)) and max(shirts) > 1.2 * luma((200, 40, 40))   # a dye tells nothing
    assert shirts[3] == data.pseudo_nir(flat((200, 40, 40)), 3).mean()
    ramp = np.stack([np.linspace(60, 130, 71), np.full(71, 110), np.full(71, 40)], -1)[None].astype(np.uint8)
    assert np.abs(np.diff(data.pseudo_nir(ramp)[0].astype(int))).max() < 12                       # soft from leaf to straw


def test_arrays_and_tensors_alike():
    picture = photo(0)[..., :3]
    made = data.pseudo_nir(picture, 5)
    assert made.shape == picture.shape[:2] and made.dtype == np.uint8
    assert np.array_equal(data.pseudo_nir(torch.from_numpy(picture).permute(2, 0, 1), 5).numpy(), made)
    for wrong in (picture[..., 0], picture / 255):
        with pytest.raises(ValueError, match="pseudo_nir needs a colour picture in uint8"):
            data.pseudo_nir(wrong)


def test_made_up_pairs_say_what_they_are(tmp_path):
    fill(tmp_path / "album", *(f"{i}.png" for i in range(20)), height=40, width=40)
    train, val = (data.open_pairs(f"pseudo:{tmp_path}/album", 32, split) for split in ("train", "val"))
    assert len(train) == 18 and len(val) == 2 and all(one.startswith("pseudo/") for one in train.ids + val.ids) and val.synthetic
    sample = train[0]
    assert sample["id"] == train.ids[0] and sample["nir"].shape == (1, 32, 32) and sample["nir"].dtype == torch.uint8
    assert torch.equal(sample["nir"], train[0]["nir"]) and not torch.equal(sample["nir"], data.PseudoInfrared(train.dataset, seed=1)[0]["nir"])
    assert len(data.open_pairs(f"pseudo:{tmp_path}/album", 32, limit=4)) == 4
    opened = experiments.open_dataset(f"pseudo:{tmp_path}/album", 32, "val", sees="infrared")
    assert opened.ids == val.ids and experiments.data_name(f"pseudo:{tmp_path}/album") == "pseudo:album"
    specs = ("pseudo:imagenette", f"pseudo:{tmp_path}/album/", "some/album")
    assert list(map(experiments.data_name, specs)) == ["pseudo:imagenette", "pseudo:album", "album"]
    with pytest.raises(FileNotFoundError, match="gone is neither a folder"):
        data.open_pairs("pseudo:gone", 32)


def test_a_test_folder_alone_has_no_train_split(tmp_path):
    (tmp_path / "old" / "val").mkdir(parents=True)
    for i in range(3):
        write_pair(tmp_path / "old" / "val" / f"{i}", photo(i))
    assert len(data.open_pairs(tmp_path / "old", 64, "val")) == 3
    with pytest.raises(FileNotFoundError, match="has no train split: add a folder train"):      # never the test pictures in its place
        data.open_pairs(tmp_path / "old", 64, "train")
    floors = experiments.trivial_colorizers(tmp_path / "old", 64, "infrared")
    assert "cubic fit" not in floors and "oracle luminance" in floors
