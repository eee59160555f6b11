"""Many pictures: in their order, one bad file among them, the pictures `colorlib.colorize` paints, no more in memory than needed."""
import threading
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

import colorlib
from colorlib import albums, images, speed, zoo
from colorlib.papers import hscau, photonet

TINY = replace(photonet.PRESETS["smoke"], channels=(8, 8), blocks=1, hidden=16, image_size=48)


@pytest.fixture
def model():
    torch.manual_seed(0)
    return photonet.build(TINY).eval()


@pytest.fixture
def photos(tmp_path):
    """Nine small pictures of three shapes, a text file among them."""
    random = np.random.default_rng(0)
    for i in range(9):
        shape = ((60, 80), (80, 60), (60, 80), (50, 50))[i % 4]
        Image.fromarray(random.integers(0, 256, (*shape, 3), dtype=np.uint8)).save(tmp_path / f"{i}.png")
    (tmp_path / "4.png").write_text("no picture")
    return [tmp_path / f"{i}.png" for i in range(9)]


@pytest.mark.parametrize("size", [1, 4])
def test_the_pictures_that_colorize_paints(model, photos, size):
    found = list(albums.colorize_many(photos, "photonet", model=model, batch_size=size, threads=2))
    assert [source for source, _ in found] == photos
    for source, picture in found:
        if source.name == "4.png":
            assert isinstance(picture, ValueError) and "4.png" in str(picture)
            continue
        alone = colorlib.colorize(source, "photonet", model=model).rgb
        assert np.abs(picture.rgb.astype(int) - alone).max() <= (0 if size == 1 else 1)


def test_what_goes_wrong_with_one_leaves_the_others(model, photos, tmp_path):
    """A saver that fails once, conditions that do not fit, and a generator that is left early: read no further than needed."""
    def save(source, picture):
        if source.name == "2.png":
            raise OSError("the disk is full")
        return images.save_image(tmp_path / f"{source.stem}.jpg", picture)
    results = [result for _, result in albums.colorize_many(photos[:4], "photonet", model=model, save=save)]
    assert str(results[2]) == "the disk is full" and [one.name for one in results if not isinstance(one, Exception)] == ["0.jpg", "1.jpg", "3.jpg"]
    with pytest.raises(ValueError, match="takes no caption"):
        next(albums.colorize_many(photos, "photonet", model=model, caption="a red car"))
    taken = []
    endless = (taken.append(i) or np.zeros((40, 40), np.uint8) for i in range(10_000))
    album = albums.colorize_many(endless, "photonet", model=model, threads=2)
    assert next(album)[1].rgb.shape == (40, 40, 3)
    album.close()
    assert len(taken) < 100


def test_few_pictures_are_held_at_once(model, monkeypatch):
    """With room for two pictures, savers that wait hold up the painting."""
    monkeypatch.setattr(albums, "PIXELS", 2 * 40 * 40)
    held, most, lock = [0], [0], threading.Lock()
    begin = images.open_image

    def opened(source):
        with lock:
            held[0] += 1
            most[0] = max(most[0], held[0])
        return begin(source)

    def save(source, picture):
        with lock:
            held[0] -= 1
    monkeypatch.setattr(images, "open_image", opened)
    list(albums.colorize_many([np.zeros((40, 40), np.uint8)] * 40, "photonet", model=model, threads=2, save=save))
    assert most[0] <= 8 and held[0] == 0


def test_hints_and_batches(photos):
    torch.manual_seed(0)
    model = hscau.build(replace(hscau.PRESETS["smoke"], width=2)).eval()
    hints = [(10, 12, 40, 30)]
    found = [picture.rgb for _, picture in albums.colorize_many(photos[:3], "unet", model=model, hints=hints, batch_size=3, working_size=32)]
    for source, rgb in zip(photos, found):
        assert np.abs(rgb.astype(int) - colorlib.colorize(source, "unet", model=model, hints=hints, working_size=32).rgb).max() <= 1


def test_quicker_forms_paint_the_same(model, photos):
    """channels_last, and bf16 in the layers where it does not show; the model given stays as it is."""
    row, before = zoo.get("photonet"), {name: value.clone() for name, value in model.state_dict().items()}
    plain = colorlib.colorize(photos[0], "photonet", model=model).rgb.astype(int)
    for precision in speed.PRECISIONS:
        fast = speed.speed_up(row, model, precision)
        rounded = [layer for layer in fast.modules() if isinstance(layer, speed.LAYERS) and layer.weight.dtype == torch.bfloat16]
        assert bool(rounded) == (precision == "bf16")
        assert np.abs(colorlib.colorize(photos[0], "photonet", model=fast).rgb - plain).max() <= 1
    assert all(torch.equal(value, before[name]) and value.dtype == before[name].dtype for name, value in model.state_dict().items())
    with pytest.raises(ValueError, match="choose 32-true or bf16"):
        speed.speed_up(row, model, "fp8")
    assert speed.outermost(row, model) == [model]


def test_where_bf16_would_show_nothing_changes(model, monkeypatch):
    monkeypatch.setattr(speed, "LEVELS", -1.0)
    with pytest.warns(UserWarning, match="photonet paints in float32"):
        fast = speed.speed_up(zoo.get("photonet"), model, "bf16")
    assert all(value.dtype != torch.bfloat16 for value in fast.state_dict().values())
