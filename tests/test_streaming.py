"""Training straight from shards: who reads what, that a run can go on, and what happens to damage."""
import itertools
import warnings
from collections import Counter

import pytest

from colorlib import data, experiments, zoo
from colorlib.data import feeding, streaming
from tests.data_samples import empty_workshop, fill, same, truncate
from tests.test_shards import make_tar, png


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("COLORLIB_CACHE", str(tmp_path / "cache"))


def write_tars(folder, *counts):
    """Tars a.tar, b.tar, ... of so many pictures each, named after their tar."""
    folder.mkdir(exist_ok=True)
    for name, count in zip("abcdefgh", counts):
        make_tar(folder / f"{name}.tar", {f"{name}{i}.png": png(ord(name) * 100 + i) for i in range(count)} | {f"__meta__/{name}": b"not a sample"})


def shards(folder, *counts, **options):
    """A `Streamed` of such tars with a small buffer."""
    write_tars(folder, *counts)
    return data.Streamed(data.Shards(folder, 16), **({"buffer": 3} | options))


def ids(feed):
    return [one for batch in feed for one in batch["id"]]


def feed(streamed, batch_size=4, steps=6, **options):
    return data.batches(streamed, batch_size, **({"seed": 1, "steps": steps, "crop": 12} | options))


@pytest.mark.parametrize("world, workers", [(1, 0), (2, 0), (2, 2)])
def test_an_epoch_shows_every_picture_once(tmp_path, world, workers):
    streamed = shards(tmp_path / "tars", 6, 6, 6, 6)
    epochs = []
    for start in (0, 6):      # six updates of four pictures are an epoch
        feeds = [feed(streamed, steps=12, workers=workers, rank=rank, world=world) for rank in range(world)]
        seen = Counter(ids(batch for one in feeds for batch in itertools.islice(one, start, start + 6)))
        assert sorted(seen) == sorted(f"{name}{i}.png" for name in "abcd" for i in range(6)) and set(seen.values()) == {1}
        epochs.append(list(seen))
    assert epochs[0] != epochs[1]


def test_batches_follow_from_the_seed_and_pictures_are_cut_as_ever(tmp_path):
    streamed = shards(tmp_path / "tars", 5, 5)
    one, again, other = (list(feed(streamed, seed=seed)) for seed in (1, 1, 2))
    assert all(map(same, one, again)) and ids(one) != ids(other)
    whole = {sample["id"]: sample for sample in streamed.shards}
    for update, batch in enumerate(one):
        expected = data.collate([whole[name] for name in batch["id"]])
        assert same(batch, data.augment(expected, feeding.Cutter(1, 12, True, 0, 1).generator(update), 12))
        assert batch["rgb"].shape == (4, 3, 12, 12)


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("counts", [(6, 6), (3, 8)])
def test_going_on_equals_not_having_stopped(tmp_path, monkeypatch, workers, counts):
    whole = list(feed(shards(tmp_path / "tars", *counts), 2, steps=13, workers=workers))
    for first in (1, 7):
        streamed = shards(tmp_path / "tars", *counts)
        opened = []
        monkeypatch.setattr(data.Shards, "members", lambda self, urls, *rest, before=data.Shards.members: opened.append(urls) or before(self, urls, *rest))
        late = list(feed(streamed, 2, steps=13, first=first, workers=workers))
        monkeypatch.undo()
        monkeypatch.setenv("COLORLIB_CACHE", str(tmp_path / "cache"))
        assert len(late) == 13 - first and all(map(same, whole[first:], late))
    if not workers:      # an epoch is 12 or 11 pictures; of those that are over no shard is opened
        assert len(opened) <= 2 * (-(-26 // sum(counts)) - 14 // sum(counts))


def test_what_a_run_skips_is_not_decoded(tmp_path, monkeypatch):
    streamed, decoded = shards(tmp_path / "tars", 30), []
    before = data.Shards.read_member
    monkeypatch.setattr(data.Shards, "read_member", lambda self, member, *rest: decoded.append(member) or before(self, member, *rest))
    next(feed(streamed, 4, steps=6, first=5))
    assert len(decoded) == 4


def test_unequal_shards_let_nobody_wait(tmp_path):
    """Two pictures for one process an epoch, nine for the other: both make as many updates, and go round as often as they can."""
    streamed = shards(tmp_path / "tars", 2, 9)
    seen = [Counter(ids(feed(streamed, 2, steps=18, rank=rank, world=2))) for rank in range(2)]
    assert [sum(one.values()) for one in seen] == [18, 18] and all(sum(one.values()) for one in seen)
    assert min(len(one) for one in seen) >= 2 and len(seen[0] | seen[1]) == 11


def test_every_worker_needs_a_shard(tmp_path):
    streamed = shards(tmp_path / "tars", 1, 1, 1)
    with pytest.raises(ValueError, match="^3 shards cannot be dealt to 2 processes with 2 workers each: write more and smaller ones, or start fewer.$"):
        next(feed(streamed, workers=2, world=2))


def test_damage_is_named_and_skipped(tmp_path):
    folder = tmp_path / "tars"
    folder.mkdir()
    make_tar(folder / "a.tar", {f"a{i}.png": png(i, height=200, width=300) for i in range(9)})
    truncate(folder / "a.tar", 0.6)
    (folder / "b.tar").write_bytes(b"not a tar" * 100)
    make_tar(folder / "c.tar", {"c0.png": png(50), "c1.png": png(51)[:60], "c2.png": png(52)})
    with pytest.warns(UserWarning, match="[ab].tar: the tar ends too early"):
        streamed = data.Streamed(data.Shards(folder, 16), buffer=2)
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        found = list(feed(streamed, 2, steps=8))
        late = list(feed(streamed, 2, steps=8, first=5))
    said = "\n".join(str(one.message) for one in told)
    assert "a.tar: the tar ends too early" in said and "b.tar" in said and "c1.png" in said
    assert {"a0.png", "c0.png", "c2.png"} < set(ids(found)) and "c1.png" not in ids(found) and all(len(batch["id"]) == 2 for batch in found)
    assert all(map(same, found[5:], late)) and streamed.count is None
    (folder / "a.tar").write_bytes(b"")
    (folder / "c.tar").write_bytes(b"")
    with pytest.raises(ValueError, match="Nothing usable is left"):
        data.Streamed(data.Shards(folder, 16))


def test_shards_without_pictures_do_not_turn_for_ever(tmp_path, monkeypatch):
    folder = tmp_path / "tars"
    folder.mkdir()
    make_tar(folder / "a.tar", {"a.png": png()} | {f"b{i}.txt": b"no picture" for i in range(9)})
    (folder / "b.tar").write_bytes(b"damaged")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        streamed = data.Streamed(data.Shards(folder, 16))
        assert all(len(ids(feed(streamed, 2, steps=4, rank=rank, world=2))) == 4 for rank in range(2))      # b.tar is one's this time, and the other's next
        monkeypatch.setattr(streaming, "PATIENCE", 5)
        with pytest.raises(ValueError, match="nearly none can be used: look through"):
            ids(feed(streamed, 2, steps=9))
        (folder / "a.tar").write_bytes(b"damaged since")
        with pytest.raises(ValueError, match="a.tar is gone or was changed since the training began"):
            ids(feed(streamed, 2, steps=9))
        monkeypatch.setattr(streamed, "stamps", {})      # as of tars on other machines, which nobody can watch
        with pytest.raises(ValueError, match="There is no picture in .*b.tar"):
            ids(feed(streamed, 2, steps=9))


def test_who_asks_by_number_gets_the_first_of_all_shards(tmp_path):
    streamed = shards(tmp_path / "tars", 4, 1, 4, head=6)
    assert streamed.ids == ["a0.png", "a1.png", "b0.png", "c0.png", "c1.png"] and len(streamed) == 5 and streamed[2]["id"] == "b0.png"
    assert streamed.count == 9 and list(streamed.counts.values()) == [4, 1, 4]
    make_tar(tmp_path / "tars/b.tar", {"b0.png": png(), "b0.cls": b"1", "b1.png": png()})
    again = data.Streamed(data.Shards(tmp_path / "tars", 16))
    assert again.count == 10 and streaming.count_samples(tmp_path / "tars/b.tar") == 2 == len(list(data.Shards(tmp_path / "tars/b.tar")))


# ---------------------------------------------------------------- what a person types

def test_trains_from_a_stream(tmp_path, monkeypatch):
    empty_workshop(tmp_path, monkeypatch)
    write_tars(tmp_path / "set", 8, 8, 8)
    spec, changes = f"stream:{tmp_path / 'set'}", {"width": 4, "image_size": 32, "working_size": 32, "steps": 3, "batch_size": 4}
    path = experiments.train_method("cic", "smoke", f"{spec}/[a-c].tar", device="cpu", changes=changes, progress=False)
    sidecar = zoo.read_sidecar(path)
    assert (sidecar["n"], sidecar["data"], sidecar["log"][-1]["step"]) == (24, "stream:[a-c].tar", 3)
    with pytest.raises(ValueError, match="no shards named train-.*such as stream:.*set/[*].tar"):
        experiments.train_method("cic", "smoke", spec, device="cpu", changes=changes)
    for name in "abc":
        (tmp_path / f"set/{name}.tar").rename(tmp_path / f"set/train-{name}.tar")
    assert len(experiments.open_training(zoo.get("cic"), zoo.get("cic").presets["smoke"], spec).shards.urls) == 3
    for name, given in (("scgan", spec), ("cic", f"scenes+{spec}"), ("tcvc", spec), ("film", spec)):
        with pytest.raises(ValueError, match=f"{name}.*leave out stream:|leave out stream: for {name}"):
            experiments.train_method(name, "smoke", given, device="cpu", changes={"steps": 1})
    fill(tmp_path / "photos", "1.png")
    with pytest.raises(ValueError, match="photos holds no tars"):
        experiments.train_method("cic", "smoke", f"stream:{tmp_path / 'photos'}", device="cpu")
