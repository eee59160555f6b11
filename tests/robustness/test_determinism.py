"""The same seed on the same machine gives the same numbers, for every method: log, weights, optimizers, random states, conditions, pictures, bit for bit; in
another process with another hash seed, too. With another number of threads sums are taken in another order, and the numbers differ by rounding:

after one update     losses by at most 5e-5 of their value (measured 6e-6); where something is trained before, by 5e-2 (measured 1e-2)
                     weights, as vectors, by at most 5e-2 of their length (measured 1e-2): Adam's first step is the sign of a gradient, also of one that is
                     zero but for rounding
painting             pictures from the same weights by at most one level of 255 (measured 1)

Trainings then part like those of two seeds: after 20 updates at smoke size the losses differed by up to a tenth of their value (a critic's score near zero by
all of it), the weights by as much as their length.
"""
import json
import os
import subprocess
import sys
import warnings

import numpy as np
import pytest
import torch

from colorlib import data, images, scenes, video, zoo
from colorlib.data.sources import Pictures
from colorlib.data.streaming import Streamed
from tests.robustness import tiny_runs

LOSS, LOSS_AFTER_PRETRAINING, WEIGHTS, LEVELS = 5e-5, 5e-2, 5e-2, 1
PRETRAINED = ("pretraining", "stage_one", "classifier_steps")
SEED_OF_HASHES = "4711"


@pytest.fixture(scope="module", params=list(zoo.METHODS))
def first(request, tmp_path_factory):
    """(a method's name, its model after a few updates, the numbers of that)."""
    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
        patch.setenv("COLORLIB_CACHE", str(tmp_path_factory.mktemp("cache")))
        warnings.simplefilter("ignore")
        yield request.param, *tiny_runs.numbers(request.param)


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory):
    """{method: digest of its numbers} from a process of its own, with another hash seed."""
    environment = os.environ | {"PYTHONHASHSEED": SEED_OF_HASHES, "COLORLIB_CACHE": str(tmp_path_factory.mktemp("cache"))}
    done = subprocess.run([sys.executable, "-m", "tests.robustness.tiny_runs"], capture_output=True, text=True, env=environment, check=True)
    return json.loads(done.stdout)


def differing(one, other):
    """Paths whose values are not the same, bit for bit."""
    assert one.keys() == other.keys()
    return [path for path, value in one.items() if not (torch.equal(value, other[path]) if torch.is_tensor(value) else value == other[path])]


def test_the_same_numbers_again(first, tally):
    name, model, numbers = first
    again, same = tiny_runs.numbers(name)
    assert differing(numbers, same) == [] and torch.equal(tiny_runs.paint(name, model), tiny_runs.paint(name, again))
    assert sum(path.startswith("/weights") for path in numbers) > 5 or not zoo.get(name).learns
    tally(methods=1)


def test_the_same_numbers_in_another_process(first, elsewhere):
    name, _, numbers = first
    assert os.environ.get("PYTHONHASHSEED") != SEED_OF_HASHES and tiny_runs.digest(numbers) == elsewhere[name]


def test_another_seed_gives_other_numbers(first):
    name, _, numbers = first
    if not zoo.get(name).learns:
        pytest.skip("nothing is drawn by chance")
    other = tiny_runs.train_tiny(name, steps=1, seed=4)[1]
    assert not torch.equal(numbers["/torch"], other["/torch"])
    assert any("/weights" in path for path in differing({path: value for path, value in numbers.items() if path in other},
                                                        {path: other[path] for path in other if path in numbers}))


def test_other_threads_give_the_same_within_rounding(first):
    name, model, _ = first
    method, before = zoo.get(name), torch.get_num_threads()
    runs, pictures = [], []
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            runs += [tiny_runs.train_tiny(name, steps=1)[1]] if method.learns else []
            pictures.append(tiny_runs.paint(name, model).int())
    finally:
        torch.set_num_threads(before)
    assert (pictures[0] - pictures[1]).abs().max() <= LEVELS
    if runs:
        one, two = runs
        assert torch.equal(one["/torch"], two["/torch"])                      # the same was drawn
        allowed = LOSS_AFTER_PRETRAINING if any(tiny_runs.small_config(name).get(field) for field in PRETRAINED) else LOSS
        last = max(path.split("/")[2] for path in one if path.startswith("/log/"))
        losses = [(float(one[path]), float(two[path])) for path in one if path.startswith(f"/log/{last}/") and not path.endswith("/step")]
        assert losses and all(abs(a - b) <= allowed * max(abs(a), 1e-3) for a, b in losses), losses
        weights = [path for path, value in one.items() if path.startswith("/weights") and torch.is_tensor(value) and value.is_floating_point()]
        length = lambda values: sum(float(value.double().square().sum()) for value in values) ** 0.5
        assert length(one[path] - two[path] for path in weights) <= WEIGHTS * length(one[path] for path in weights)


def test_what_is_compared_would_show_a_difference():
    one = {"/weights/a": torch.tensor([1.0, 2.0]), "/log/0/loss": "0.5"}
    assert differing(one, dict(one)) == [] and differing(one, one | {"/weights/a": torch.tensor([1.0, 2.0000002])}) == ["/weights/a"]
    assert differing(one, one | {"/log/0/loss": "0.50000001"}) == ["/log/0/loss"] and tiny_runs.digest(one) != tiny_runs.digest(one | {"/log/0/loss": "0.51"})


@pytest.fixture
def photos(tmp_path):
    for seed in range(12):
        folder = tmp_path / "photos" / f"class{seed % 3}"
        folder.mkdir(parents=True, exist_ok=True)
        images.save_image(folder / f"{seed}.png", scenes.make_scene(seed, 24).rgb)
    return tmp_path / "photos"


def backwards(patch):
    """Folders are listed the other way round, as another file system may."""
    listdir, walk, scandir = os.listdir, os.walk, os.scandir

    def walked(*arguments, **options):
        for parent, folders, files in walk(*arguments, **options):
            folders.sort(reverse=True)
            yield parent, folders, sorted(files, reverse=True)

    class Scanned:
        def __init__(self, entries):
            self.entries = iter(entries)
        __iter__, __enter__, __exit__, __next__ = lambda self: self, lambda self: self, lambda self, *_: None, lambda self: next(self.entries)
        close = __exit__
    patch.setattr(os, "listdir", lambda *arguments: sorted(listdir(*arguments), reverse=True))
    patch.setattr(os, "walk", walked)
    patch.setattr(os, "scandir", lambda *arguments: Scanned(sorted(scandir(*arguments), key=lambda entry: entry.name, reverse=True)))


def test_pictures_and_splits_do_not_depend_on_the_order_of_a_folder(photos, tmp_path, monkeypatch):
    def look():
        source = Pictures(photos, size=16)
        packed = data.pack(source, folder=tmp_path / f"pack{len(list(tmp_path.iterdir()))}")
        batch = next(data.batches(packed, 4, seed=1, steps=1, crop=12))
        opened = [data.open_pictures(photos, 16, split=split).ids for split in ("train", "val")]
        return packed.ids, packed.classes, packed.labels.tolist(), data.split_ids(packed.ids, 0.3), opened, batch
    before = look()
    with monkeypatch.context() as patch:
        backwards(patch)
        assert os.listdir(photos) == ["class2", "class1", "class0"]
        patch.setenv("COLORLIB_CACHE", str(tmp_path / "other"))
        after = look()
    assert before[:5] == after[:5] and len(before[0]) == 12
    assert all(torch.equal(value, after[5][key]) if torch.is_tensor(value) else value == after[5][key] for key, value in before[5].items())


def test_splits_depend_on_names_alone():
    ids = [f"photo{i}" for i in range(50)]
    train, held = data.split_ids(ids, 0.2)
    again = data.split_ids(ids[::-1], 0.2)
    assert sorted(train) == sorted(again[0]) and sorted(held) == sorted(again[1]) and len(held) == 10


def test_streamed_shards_come_in_the_same_order(photos, tmp_path, monkeypatch):
    monkeypatch.setenv("COLORLIB_CACHE", str(tmp_path / "cache"))
    data.write_shards(data.pack(Pictures(photos, size=16)), tmp_path / "tars", per_shard=4)

    def look():
        feed = data.batches(Streamed(data.Shards(tmp_path / "tars", 16), buffer=3), 4, seed=2, steps=4, crop=12)
        return torch.stack([batch["rgb"] for batch in feed])
    before = look()
    backwards(monkeypatch)
    assert torch.equal(before, look())


def test_a_clip_is_painted_the_same_again(tmp_path):
    frames = np.stack([scenes.make_scene(1, 48).rgb, *(scenes.make_scene(seed, 48).rgb for seed in (1, 1, 2))])
    for i, frame in enumerate(frames):
        images.save_image(tmp_path / "frames" / f"{i}.png", frame) if (tmp_path / "frames").is_dir() or (tmp_path / "frames").mkdir() is None else None
    torch.manual_seed(0)
    model = zoo.get("photonet").papers.build(zoo.get("photonet").presets["smoke"], pretrained=False).eval()
    painted = [video.colorize_video(tmp_path / "frames", tmp_path / f"out{i}", method="photonet", model=model, progress=False) for i in range(2)]
    files = [sorted(path.iterdir()) for path in painted]
    assert len(files[0]) == 4 and [path.read_bytes() for path in files[0]] == [path.read_bytes() for path in files[1]]
