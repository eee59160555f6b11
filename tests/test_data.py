"""Batches are a function of (seed, update) alone; what a person types becomes a data set."""
import itertools

import numpy as np
import pytest
import torch

from colorlib import data, results
from tests.data_samples import REAL, colorful, fill, needs_real_data, packed, same, save, truncate


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("COLORLIB_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


# ---------------------------------------------------------------- batches

def test_batches_show_every_picture_once_an_epoch():
    feed = list(data.batches(packed(12), 4, steps=6))
    first, second = ([i for batch in feed[k:k + 3] for i in batch["id"]] for k in (0, 3))
    assert sorted(first) == sorted(second) == sorted(packed(12).ids)
    assert first != second and first != packed(12).ids


def test_batches_stay_whole_across_epochs_of_another_length():
    ids = [i for batch in data.batches(packed(5), 4, steps=5) for i in batch["id"]]
    assert len(ids) == 20 and all(sorted(ids[k:k + 5]) == packed(5).ids for k in (0, 5, 10, 15))


def test_batches_without_steps_never_end():
    feed = data.batches(packed(3), 2)
    assert len(list(itertools.islice(feed, 10))) == 10


@pytest.mark.parametrize("workers", [0, 2])
def test_starting_late_equals_skipping(workers):
    options = {"seed": 5, "steps": 9, "crop": 8}
    whole = list(data.batches(packed(), 4, **options))
    late = list(data.batches(packed(), 4, first=6, workers=workers, **options))
    assert len(late) == 3 and all(map(same, whole[6:], late))


def test_workers_do_not_change_the_batches():
    feeds = [list(data.batches(packed(), 4, seed=2, steps=5, crop=8, workers=workers)) for workers in (0, 2)]
    assert all(map(same, *feeds))


@pytest.mark.parametrize("world", [2, 4])
def test_the_shares_of_all_processes_are_the_batch_of_one(world):
    whole = list(data.batches(packed(), 8, steps=3, crop=8))
    shares = [list(data.batches(packed(), 8, steps=3, crop=8, rank=rank, world=world)) for rank in range(world)]
    for update, batch in enumerate(whole):
        for rank in range(world):
            share = shares[rank][update]
            assert share["id"] == batch["id"][rank::world]
            assert torch.equal(share["rgb"], batch["rgb"][rank::world])


def test_seeds_differ():
    a, b = (next(data.batches(packed(), 8, seed=seed, steps=1)) for seed in (0, 1))
    assert a["id"] != b["id"]


def test_the_random_state_of_the_run_is_left_alone():
    torch.manual_seed(0)
    before = torch.get_rng_state()
    list(data.batches(packed(), 4, steps=3, crop=8))
    assert torch.equal(before, torch.get_rng_state())


def test_everything_aligned_is_cropped_and_mirrored_alike():
    rgb = packed().rgb
    planes = np.ascontiguousarray(rgb.transpose(0, 3, 1, 2))
    clip = np.stack([planes, planes], 1)                                              # (N, T, 3, H, W)
    dataset = packed(nir=planes[:, :1], mask=planes[:, 1:2], clip=clip, box=planes[:, 0, 0, :4],
                     caption=[f"c{i}" for i in range(11)])
    mirrored = set()
    for batch in data.batches(dataset, 4, steps=8, crop=7):
        assert batch["rgb"].shape == (4, 3, 7, 7) and batch["clip"].shape == (4, 2, 3, 7, 7)
        assert batch["box"].shape == (4, 4)                                           # no picture: left alone
        assert torch.equal(batch["nir"], batch["rgb"][:, :1]) and torch.equal(batch["mask"], batch["rgb"][:, 1:2])
        assert torch.equal(batch["clip"][:, 0], batch["rgb"]) and torch.equal(batch["clip"][:, 1], batch["rgb"])
        for one, label, caption in zip(batch["rgb"], batch["label"], batch["caption"]):
            assert caption == f"c{label}"
            whole = torch.from_numpy(planes[label])
            found = {flip for flip in (False, True) for y in range(6) for x in range(10)
                     if torch.equal(whole[:, y:y + 7, x:x + 7].flip(-1) if flip else whole[:, y:y + 7, x:x + 7], one)}
            assert len(found) == 1
            mirrored |= found
    assert mirrored == {False, True}


def plain_batches(dataset, batch_size, seed, steps, crop, flip=True, rank=0, world=1):
    """What `batches` is to give, one sample and one pixel operation after the other."""
    count, orders = len(dataset), {}
    for update in range(steps):
        samples = []
        for position in range(update * batch_size, (update + 1) * batch_size):
            epoch = position // count
            if epoch not in orders:
                orders[epoch] = torch.randperm(count, generator=torch.Generator().manual_seed(seed * 1_000_003 + epoch))
            samples.append(dict(dataset[int(orders[epoch][position % count])]))
        draw = torch.Generator().manual_seed((seed * 1_000_003 + update) * 1009)
        height, width = samples[0]["rgb"].shape[-2:]
        side = (crop, crop) if crop else (height, width)
        top, left = (torch.randint(0, room + 1, (batch_size,), generator=draw) for room in (height - side[0], width - side[1]))
        mirror = torch.rand(batch_size, generator=draw) < 0.5 if flip else [False] * batch_size
        for sample, y, x, mirrored in zip(samples, top, left, mirror):
            for key, value in sample.items():
                if torch.is_tensor(value) and value.ndim >= 3:
                    value = value[..., y:y + side[0], x:x + side[1]]
                    sample[key] = torch.flip(value, [-1]) if mirrored else value
        chosen = samples[rank::world]
        yield {key: torch.stack([one[key] for one in chosen]) if torch.is_tensor(value) else [one[key] for one in chosen] for key, value in chosen[0].items()}


@pytest.mark.parametrize("workers", [0, 2])
def test_batches_are_what_sample_by_sample_gives(tmp_path, workers):
    """Whether whole batches are gathered from a pack, on disk or in memory, from some of it, or samples collated."""
    folder = fill(tmp_path / "photos", *[f"{kind}/{i}.png" for kind in "ab" for i in range(6)])
    planes = np.random.default_rng(0).integers(0, 256, (9, 2, 12, 16), dtype=np.uint8)
    pack = packed(9, mask=planes[:, :1], clip=np.stack([planes, planes], 1), box=planes[:, 0, 0].astype(np.float32), score=planes[:, 0, 0, 0] / 7,
                  caption=[f"c{i}" for i in range(9)])
    on_disk = data.pack(data.Pictures(folder, 16))
    some = data.choose(on_disk, limit=7)
    for dataset in (on_disk, some, data.combining.Chosen(some, [1, 2, 5]), pack, list(pack), data.Pictures(folder, 16)):
        for crop, flip, rank, world in ((7, True, 0, 1), (None, True, 1, 2), (12, False, 0, 2), (None, False, 0, 1))[:2 if workers else 4]:
            options = {"seed": 3, "steps": 5, "crop": crop, "flip": flip, "rank": rank, "world": world}
            found, expected = list(data.batches(dataset, 4, workers=workers, **options)), list(plain_batches(dataset, 4, **options))
            assert len(found) == 5 and all(map(same, expected, found)) and [*found[0]] == [*expected[0]]
            assert all(found[0][key].dtype == value.dtype and found[0][key].is_contiguous() for key, value in expected[0].items() if torch.is_tensor(value))


def test_workers_complain_in_one_sentence():
    with pytest.raises(ValueError, match="^crop 13 is larger than the pictures .12 x 16.: lower it or prepare larger pictures.$"):
        next(data.batches(packed(), 4, crop=13, workers=1))


def test_crops_and_mirrors_change_from_update_to_update():
    dataset = packed(1)
    crops = {batch["rgb"].numpy().tobytes() for batch in data.batches(dataset, 1, steps=30, crop=8)}
    assert len(crops) > 20
    assert len({batch["rgb"].numpy().tobytes() for batch in data.batches(dataset, 1, steps=30)}) == 2


def test_a_resident_set_gives_the_batches_of_its_pack():
    pack = packed(7, mask=np.arange(7 * 12 * 16, dtype=np.uint8).reshape(7, 1, 12, 16))
    whole = data.Resident(pack, "cpu")
    assert len(whole) == 7 and same(whole[3], pack[3])
    for one, other in zip(data.batches(pack, 3, seed=1, steps=6, crop=8), data.batches(whole, 3, seed=1, steps=6, crop=8)):
        assert same(one, other)


def test_some_of_a_pack_are_resident_too():
    pack = packed(7, mask=np.arange(7 * 12 * 16, dtype=np.uint8).reshape(7, 1, 12, 16))
    some = data.choose(pack, [pack.ids[i] for i in (1, 3, 4, 6)])
    whole = data.Resident(pack, "cpu", some.indices)
    assert len(whole) == 4 and whole.ids == some.ids and whole.whole["rgb"].shape == (4, 3, 12, 16)
    for one, other in zip(data.batches(some, 2, seed=1, steps=5, crop=8), data.batches(whole, 2, seed=1, steps=5, crop=8)):
        assert same(one, other)
    assert data.resident(some, "cpu") is some


def test_a_set_stays_where_it_is_without_a_gpu():
    pack = packed(3)
    assert data.resident(pack, "cpu") is pack


def test_crops_at_once_are_those_in_turn():
    value, where = torch.randint(0, 256, (5, 2, 3, 20, 30), dtype=torch.uint8), torch.Generator().manual_seed(0)
    top, left, mirror = torch.randint(0, 9, (5,), generator=where), torch.randint(0, 15, (5,), generator=where), torch.tensor([1, 0, 1, 1, 0]).bool()
    assert torch.equal(data.feeding.cut_at_once(value, top, left, (12, 16), mirror), data.feeding.cut_in_turn(value, top, left, (12, 16), mirror))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_gpu_holds_the_set():
    pack = packed(7)
    whole = data.resident(pack, "cuda")
    for one, other in zip(data.batches(pack, 3, steps=4, crop=8), data.batches(whole, 3, steps=4, crop=8)):
        assert other["rgb"].is_cuda and torch.equal(one["rgb"], other["rgb"].cpu())


def test_without_crop_and_flip_pictures_are_untouched():
    for batch in data.batches(packed(), 4, steps=2, flip=False):
        assert all(torch.equal(one, packed()[int(label)]["rgb"]) for one, label in zip(batch["rgb"], batch["label"]))


def test_planes_of_another_size_are_refused():
    dataset = packed(nir=np.zeros((11, 1, 6, 8), np.uint8))
    with pytest.raises(ValueError, match="nir is .6, 8. but rgb .12, 16."):
        next(data.batches(dataset, 4, steps=1))


@pytest.mark.parametrize("options, message", [
    ({"batch_size": 3, "world": 2}, "multiple of 2"), ({"batch_size": 4, "crop": 13}, "crop 13 is larger")])
def test_impossible_batches_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        next(data.batches(packed(), steps=1, **options))


def test_an_empty_data_set_is_refused():
    with pytest.raises(ValueError, match="empty"):
        next(data.batches([], 4))


def test_pictures_of_different_sizes_need_a_size(tmp_path):
    fill(tmp_path / "a", "1.png", "2.png")
    save(tmp_path / "a/3.png", colorful(3, 20, 20))
    with pytest.raises(ValueError, match="give the source a size"):
        next(data.batches(data.Pictures(tmp_path / "a"), 3, steps=1))
    assert next(data.batches(data.Pictures(tmp_path / "a", 16), 3, steps=1))["rgb"].shape == (3, 3, 16, 16)


def test_samples_with_other_keys_are_refused():
    with pytest.raises(ValueError, match="label of b is missing"):
        data.collate([{"id": "a", "label": torch.tensor(1)}, {"id": "b"}])


def test_a_streamed_source_is_refused(tmp_path):
    data.write_shards(packed(3), tmp_path / "tars")
    with pytest.raises(ValueError, match="pass pack"):
        next(data.batches(data.Shards(tmp_path / "tars"), 2))


# ---------------------------------------------------------------- what a person types

def test_a_folder_without_splits_is_cut_by_hash(tmp_path):
    folder = fill(tmp_path / "photos", *[f"{i}.png" for i in range(30)])
    train, val = (data.open_pictures(folder, 16, split) for split in ("train", "val"))
    assert len(val) == 3 and len(train) == 27 and not set(train.ids) & set(val.ids)
    assert [val[i]["id"] for i in range(3)] == val.ids
    assert val.report.kept == 30


def test_split_folders_are_found(tmp_path):
    fill(tmp_path / "set", "train/cat/1.png", "train/dog/2.png", "val/cat/3.png", "readme/4.png")
    assert data.open_pictures(tmp_path / "set", 16, "train").ids == ["cat/1.png", "dog/2.png"]
    assert data.open_pictures(tmp_path / "set", 16, "val").ids == ["cat/3.png"]
    fill(tmp_path / "test", "1.png", "2.png")
    assert len(data.open_pictures(tmp_path / "test", 16, "val")) == 2
    with pytest.raises(FileNotFoundError, match="val set by its name, so it has no train split"):
        data.open_pictures(tmp_path / "test", 16, "train")


def test_a_class_called_train_is_no_split(tmp_path):
    folder = fill(tmp_path / "set", *[f"{kind}/{i}.png" for kind in ("bus", "train") for i in range(5)])
    assert data.open_pictures(folder, 16, "val").classes == ["bus", "train"]


def test_split_shards_are_found(tmp_path):
    for name, count in (("train-000", 4), ("train-001", 3), ("val-000", 2)):
        path, = data.write_shards(packed(count), tmp_path / name)
        path.rename(tmp_path / f"{name}.tar")
    for name in ("train-000", "train-001", "val-000"):
        (tmp_path / name).rmdir()
    assert len(data.open_pictures(tmp_path, 12, "train")) == 7
    assert len(data.open_pictures(tmp_path, 12, "val")) == 2
    assert len(data.open_pictures(tmp_path / "train-{000..001}.tar", 12, "train", limit=5)) == 5


def test_a_limit_is_spread_over_the_classes(tmp_path):
    folder = fill(tmp_path / "train", *[f"{kind}/{i}.png" for kind in "abcd" for i in range(5)])
    chosen = data.open_pictures(folder, 16, limit=4)
    assert [chosen[i]["label"].item() for i in range(4)] == [0, 1, 2, 3] and chosen.classes == list("abcd")


def test_named_sets_come_from_the_photo_folder_when_they_are_there(tmp_path, monkeypatch):
    fill(tmp_path / "photos/imagenette/val", "n1/1.png", "n2/2.png")
    monkeypatch.setenv("COLORLIB_DATA", str(tmp_path / "photos"))
    assert data.open_pictures("imagenette", 16, "val").ids == ["n1/1.png", "n2/2.png"]
    monkeypatch.delenv("COLORLIB_DATA")
    with pytest.raises(FileNotFoundError, match="download=True"):
        data.open_pictures("imagenette", 16, "val", download=False)


def test_what_is_not_there_gets_one_sentence(tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere is neither a folder"):
        data.open_pictures(tmp_path / "nowhere", 16)
    with pytest.raises(ValueError, match="choose train or val"):
        data.open_pictures(tmp_path, 16, "dev")


# ---------------------------------------------------------------- describe

def test_describe_tells_what_is_in_a_folder(tmp_path):
    folder = fill(tmp_path / "photos", "a/1.png", "a/2.png", "b/3.jpg")
    save(folder / "b/gray.png", colorful()[..., 0])
    save(folder / "b/broken.jpg", colorful(5))
    truncate(folder / "b/broken.jpg")
    (folder / "notes.csv").write_text("a,b")
    text = data.describe(folder)
    for part in ("3 kept, 1 grey, 1 unreadable, 1 not pictures", "b/broken.jpg", "notes.csv", "32 x 24",
                 "labels: 2: a 2, b 1", "split hash"):
        assert part in text
    assert results.split_hash(["a/1.png", "a/2.png", "b/3.jpg"]) in text


def test_describe_takes_shards_sources_and_packs(tmp_path):
    data.write_shards(packed(3), tmp_path / "tars")
    assert "3 kept" in data.describe(tmp_path / "tars")
    assert "16 x 12" in data.describe(tmp_path / "tars/shard-000000.tar")
    assert "11 kept" in data.describe(packed())
    fill(tmp_path / "photos", "1.png")
    assert "1 kept" in data.describe(data.Pictures(tmp_path / "photos", 8))


def test_describe_refuses_a_single_picture(tmp_path):
    with pytest.raises(ValueError, match="single file"):
        data.describe(save(tmp_path / "1.png", colorful()))


@needs_real_data
def test_real_pictures_fill_real_batches():
    dataset = data.open_pictures(f"{REAL}/captions", 64, "train")
    batch = next(data.batches(dataset, 8, steps=1, crop=48))
    assert batch["rgb"].shape == (8, 3, 48, 48) and batch["rgb"].dtype == torch.uint8
    assert batch["rgb"].float().std() > 20
