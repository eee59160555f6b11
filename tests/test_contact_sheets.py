"""Contact sheets: nothing is chosen, the worst are the worst, every kind of method has one."""
from functools import partial

import cv2
import numpy as np
import pytest
import torch

from colorlib import data, figures, lab, metrics, zoo
from colorlib.figures import contact_sheets
from tests.data_samples import empty_workshop, fill


def test_the_worst_come_from_the_rest():
    rows = [{"gain": gain, "id": i, "clip": i} for i, gain in enumerate((1, -5, 3, 0, -2, 4, -1))]
    by_lot, worst = contact_sheets.choose(rows, 3, 2)
    assert [row["id"] for row in by_lot] == [0, 1, 2] and [row["id"] for row in worst] == [4, 6]


def test_the_worst_frames_are_of_different_shots_while_there_are_any():
    rows = [{"gain": gain, "clip": clip} for gain, clip in ((-9, "a"), (-8, "a"), (-7, "a"), (-1, "b"), (2, "c"))]
    assert [row["gain"] for row in contact_sheets.choose(rows, 0, 3)[1]] == [-9, -1, 2]
    assert [row["gain"] for row in contact_sheets.choose(rows, 0, 4)[1]] == [-9, -8, -1, 2]


def test_left_grey_has_the_lightness_and_no_colour():
    true = torch.randint(0, 256, (3, 24, 30), dtype=torch.uint8)
    grey = contact_sheets.left_grey(true)
    assert np.ptp(grey, -1).max() <= 1 and abs(lab.rgb_to_lab(grey)[..., 0] - lab.rgb_to_lab(true[None])[0, 0].numpy()).max() < 0.6


def built(name, monkeypatch):
    """A method and an untrained model of its smoke preset, which `zoo.load` gives, too."""
    method = zoo.get(name)
    model = method.papers.build(method.presets["smoke"]).eval()
    monkeypatch.setattr(zoo, "load", lambda *args: model)
    return method, model


@pytest.mark.parametrize("name, plain", [("iizuka", "grey"), ("levin", "grey"), ("nirnet", "infrared"), ("tcvc", "grey")])
def test_every_kind_of_method_has_a_sheet(name, plain, tmp_path, monkeypatch):
    empty_workshop(tmp_path, monkeypatch)
    method, model = built(name, monkeypatch)
    monkeypatch.setattr(data, "open_clips", partial(data.open_clips, limit=2))
    seen, arrange = [], contact_sheets.arrange
    monkeypatch.setattr(contact_sheets, "arrange", lambda rows, *args: seen.extend(rows) or arrange(rows, *args))
    path, gain, share = contact_sheets.draw(name, limit=8, progress=False)
    assert path == figures.figures_folder() / f"{method.notebook[:2]}_{name}_sheet_smoke.jpg" and path.stat().st_size > 10_000
    assert len({row["id"] for row in seen}) == 8
    for row in seen[:3]:
        left = contact_sheets.left_grey(torch.from_numpy(row["true"]).permute(2, 0, 1)) if plain == "grey" else np.repeat(row["given"][..., None], 3, -1)
        assert row["gain"] == pytest.approx(float(metrics.psnr(row["painted"], row["true"]) - metrics.psnr(left, row["true"])))
    assert gain == pytest.approx(np.mean([row["gain"] for row in seen])) and share == np.mean([row["gain"] < 0 for row in seen])


def test_the_sheet_shows_what_was_given(tmp_path, monkeypatch):
    empty_workshop(tmp_path, monkeypatch)
    monkeypatch.setattr(data, "open_clips", partial(data.open_clips, limit=1))
    given = {name: contact_sheets.paint_all(*built(name, monkeypatch), limit=4, progress=False)[0] for name in ("levin", "welsh", "film", "tcvc_lines", "iizuka")}
    grey = {name: contact_sheets.left_grey(torch.from_numpy(row["true"]).permute(2, 0, 1)) for name, row in given.items()}
    changed = {name: np.any(row["given"] != grey[name], -1).mean() for name, row in given.items() if name in ("levin", "iizuka", "film")}
    assert 0.001 < changed["levin"] < 0.5 and changed["iizuka"] == changed["film"] == 0      # some pixels are hints
    assert len(given["film"]["caption"].split()) > 2 and given["iizuka"]["caption"] == ""
    assert np.ptp(given["welsh"]["given"], -1).max() > 20                                     # the reference has colours
    assert given["tcvc_lines"]["given"].ndim == 2 and set(np.unique(given["tcvc_lines"]["given"])) <= {0, 1}
    figure = contact_sheets.arrange([given["film"]], "a title")
    assert given["film"]["caption"].split() == figure.axes[0].texts[0].get_text().split() and "a title" in [text.get_text() for text in figure.texts]


def test_a_folder_of_photos_is_looked_through_whole_or_in_its_test_part(tmp_path, monkeypatch):
    empty_workshop(tmp_path, monkeypatch)
    photos = str(fill(tmp_path / "photos", *(f"{i}.png" for i in range(30)), height=64, width=80))
    method, model = built("iizuka", monkeypatch)
    part, whole = (contact_sheets.paint_all(method, model, photos, progress=False, split=split) for split in ("val", "all"))
    assert 0 < len(part) < len(whole) == 30 and part[0]["true"].shape == (160, 160, 3)
    assert [row["id"] for row in whole] != sorted(row["id"] for row in whole)


def test_a_full_sheet_has_twelve_by_lot_and_the_ten_worst():
    random = np.random.default_rng(0)
    photo = lambda: cv2.resize(random.integers(0, 256, (40, 40, 3), dtype=np.uint8), (160, 160), interpolation=cv2.INTER_CUBIC)
    rows = [{key: photo() for key in ("given", "painted", "true")} | {"gain": -i, "clip": i, "caption": ""} for i in range(30)]
    figure = contact_sheets.arrange(rows, "30 pictures")
    assert len(figure.axes) == 6 * 11 and all(axes.get_images() for axes in figure.axes)      # 12 by lot, 10 of the worst, three tiles each
