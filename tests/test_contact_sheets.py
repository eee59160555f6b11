"""Contact sheets: nothing is chosen, the worst are the worst, every kind of method has one."""
import numpy as np
import pytest

from colorlib import contact_sheets, figures, lab, metrics, zoo
from tests.data_samples import empty_workshop, fill


def test_the_worst_come_from_the_rest():
    rows = [{"gain": gain, "id": i} for i, gain in enumerate((1, -5, 3, 0, -2, 4, -1))]
    by_lot, worst = contact_sheets.choose(rows, 3, 2)
    assert [row["id"] for row in by_lot] == [0, 1, 2] and [row["id"] for row in worst] == [4, 6]


def test_left_grey_has_the_lightness_and_no_colour():
    import torch
    true = torch.randint(0, 256, (3, 24, 30), dtype=torch.uint8)
    grey = contact_sheets.left_grey(true)
    assert np.ptp(grey, -1).max() <= 1 and abs(lab.rgb_to_lab(grey)[..., 0] - lab.rgb_to_lab(true[None])[0, 0].numpy()).max() < 0.6


@pytest.mark.parametrize("name", ["iizuka", "levin", "nirnet"])
def test_every_kind_of_method_has_a_sheet(name, tmp_path, monkeypatch):
    empty_workshop(tmp_path, monkeypatch)
    method = zoo.get(name)
    model = method.papers.build(method.presets["smoke"]).eval()
    rows = contact_sheets.paint_all(method, model, limit=8, progress=False)
    assert len({row["id"] for row in rows}) == 8
    for row in rows[:3]:
        plain = np.repeat(row["given"][..., None], 3, -1) if row["given"].ndim == 2 else row["given"]
        assert row["gain"] == pytest.approx(float(metrics.psnr(row["painted"], row["true"]) - metrics.psnr(plain, row["true"])))
    monkeypatch.setattr(zoo, "load", lambda *args: model)
    path, gain, share = contact_sheets.draw(name, limit=8, progress=False)
    assert path == figures.figures_folder() / f"{method.notebook[:2]}_{name}_sheet_smoke.png" and path.exists()
    assert gain == pytest.approx(np.mean([row["gain"] for row in rows])) and share == np.mean([row["gain"] < 0 for row in rows])


def test_a_folder_of_photos_and_a_method_for_clips(tmp_path, monkeypatch):
    empty_workshop(tmp_path, monkeypatch)
    photos = fill(tmp_path / "photos", *(f"{i}.png" for i in range(30)), height=64, width=80)
    method = zoo.get("iizuka")
    rows = contact_sheets.paint_all(method, method.papers.build(method.presets["smoke"]), str(photos), progress=False)
    assert rows and rows[0]["true"].shape == (160, 160, 3)
    with pytest.raises(ValueError, match="tcvc paints clips"):
        contact_sheets.paint_all(zoo.get("tcvc"), None)
