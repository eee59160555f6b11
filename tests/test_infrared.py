"""Colour from infrared: pairs that share no photo, a model that paints lightness, too, from file to file."""
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

import colorlib
from colorlib import __main__ as cli
from colorlib import data, experiments, images, results, zoo
from colorlib.experiments import ablations, reproduction
from colorlib.metrics import infrared_floors
from colorlib.data.infrared import set_of
from colorlib.papers import scgan

TINY = replace(scgan.VARIANTS["scgan_infrared"]["smoke"], width=4, attention_width=4, batch_size=4, phase_one=2, steps=4)


def write_pairs(folder, names, side=40, seed=0):
    """Random colour pictures with an infrared twin."""
    rng = np.random.default_rng(seed)
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        small = rng.integers(0, 256, (4, 4, 3), dtype=np.uint8)
        rgb = Image.fromarray(small).resize((side, side), Image.BICUBIC)
        rgb.save(folder / f"{name}_rgb.png")
        rgb.convert("L").save(folder / f"{name}_nir.png")


@pytest.fixture
def workshop(tmp_path, monkeypatch):
    """Pairs of three places, a tiny model as the shipped one, and nothing written elsewhere."""
    monkeypatch.chdir(tmp_path)
    for name in ("WEIGHTS", "RESULTS", "FIGURES", "CACHE"):
        monkeypatch.setenv(f"COLORLIB_{name}", str(tmp_path / name.lower()))
    write_pairs(tmp_path / "pairs", [f"{place}_{i:04}" for place in ("street", "forest", "field") for i in range(5)])
    whole = data.SceneSet
    monkeypatch.setattr(data, "SceneSet", lambda count, **options: whole(min(count, 24), **options))
    torch.manual_seed(0)
    model = scgan.build(TINY)
    torch.nn.init.normal_(model.to_rgb.conv.weight, 0, 0.3)
    zoo.save_weights(model, "scgan_infrared", zoo.weights_file("scgan_infrared"), {"size": "class"})
    return tmp_path


def test_sets():
    assert set_of("set00/V000/lwir/I00001") == "set00" and set_of("street_0007") == "street" and set_of("0007") == "0007"
    ids = [f"{place}_{i:04}" for place in "abcdefgh" for i in range(10)]
    rest, held = data.split_sets(ids)
    assert sorted(rest + held) == ids and not {set_of(one) for one in rest} & {set_of(one) for one in held}
    assert len(held) == 20                                                      # two whole sets of eight are a fifth or more
    assert data.split_sets(reversed(ids))[1][::-1] == held and data.split_sets(ids, seed=1)[1] != held
    rest, held = data.split_sets(["a_0", "a_1", "b_0"])
    assert rest and held                                                        # one set always stays
    rest, held = data.split_sets([f"a_{i}" for i in range(10)])                 # a single set: by pairs
    assert len(held) == 2


def test_open_pairs(workshop):
    train, val = (data.open_pairs("pairs", 32, split) for split in ("train", "val"))
    assert len(train) == 13 and len(val) == 2 and not set(train.ids) & set(val.ids)
    assert train[0]["nir"].shape == (1, 32, 32) and train[0]["rgb"].shape == (3, 32, 32)
    assert len(data.open_pairs("pairs", 32, limit=3)) == 3
    write_pairs(workshop / "marked" / "val", ["x_1"])
    write_pairs(workshop / "marked" / "train", ["x_2", "x_3"])
    assert data.open_pairs("marked", 32, "val").ids == ["x_1"] and len(data.open_pairs("marked", 32)) == 2
    with pytest.raises(FileNotFoundError, match="gone is not a folder"):
        data.open_pairs("gone", 32)
    with pytest.raises(ValueError, match="split is 'dev'"):
        data.open_pairs("pairs", 32, "dev")


@pytest.mark.parametrize("mode, depth", [("L", 255), ("RGB", 255), ("I;16", 65535)])
def test_an_infrared_photo_becomes_a_colour_picture(workshop, mode, depth):
    values = np.linspace(0, depth, 37 * 53).reshape(37, 53)
    photo = Image.fromarray(values.astype(np.uint16 if mode == "I;16" else np.uint8))
    photo.convert("RGB").save("nir.png") if mode == "RGB" else photo.save("nir.png")
    painted = colorlib.colorize("nir.png", "scgan_infrared", device="cpu")
    assert painted.rgb.shape == (37, 53, 3) and painted.rgb.std() > 0
    L, once_more = images.lightness(painted), colorlib.colorize("nir.png", "scgan_infrared", device="cpu")
    assert (painted.rgb == once_more.rgb).all() and np.abs(L - images.lightness(images.open_image("nir.png"))).max() > 1      # its own lightness
    with pytest.raises(ValueError, match="takes no hints"):
        colorlib.colorize("nir.png", "scgan_infrared", hints=[])


def test_three_channels(workshop):
    config = replace(TINY, in_channels=3)
    model = scgan.build(config)
    torch.nn.init.normal_(model.to_rgb.conv.weight, 0, 0.3)
    flat, tinted = np.full((32, 32, 3), 90, np.uint8), np.full((32, 32, 3), 90, np.uint8)
    tinted[..., 0] = 30
    one, other = (colorlib.colorize(picture, "scgan_infrared", model=model, device="cpu").rgb for picture in (flat, tinted))
    assert one.shape == other.shape == (32, 32, 3) and (one != other).any()                                                # it sees all three


def test_merge_picture():
    guide, small = np.full((40, 60), 50, np.float32), torch.rand(3, 10, 15)
    flat = images.merge_picture(guide, torch.full((3, 10, 15), 0.5))
    assert flat.shape == (40, 60, 3) and flat.dtype == np.uint8 and (flat == 128).all()
    assert images.merge_picture(guide, small, dtype=np.uint16).max() > 255
    ramp = np.tile(np.linspace(0, 100, 64, dtype=np.float32), (64, 1))
    grey = torch.nn.functional.interpolate(torch.from_numpy(ramp)[None, None] / 100, size=(8, 8), mode="area")[0].expand(3, -1, -1)
    sharp, soft = (np.abs(images.merge_picture(ramp, grey, how)[..., 0] / 255 - ramp / 100).mean() for how in ("guided", "nearest"))
    assert sharp < 0.5 * soft                                                                                              # the guide's detail
    with pytest.raises(ValueError, match="merge_picture needs"):
        images.merge_picture(guide, torch.rand(2, 5, 5))
    with pytest.raises(ValueError, match="method is 'sharp'"):
        images.merge_picture(guide, small, "sharp")


def test_train_evaluate_reproduce(workshop, monkeypatch, capsys):
    monkeypatch.setitem(scgan.VARIANTS["scgan_infrared"], "smoke", TINY)
    assert cli.main(["train", "scgan_infrared", "--size", "smoke", "--data", "pairs", "--save", "nir.safetensors"]) == 0
    assert "minimum_barrier" in zoo.read_sidecar("nir.safetensors")["notes"]                 # pairs carry no saliency of their own
    assert cli.main(["evaluate", "scgan_infrared", "--size", "smoke", "--data", "pairs", "--weights", "nir.safetensors"]) == 0
    printed = capsys.readouterr().out
    assert "infrared copied" in printed and "mean colour" in printed
    rows = {row["method"]: row for row in results.read("infrared")}
    assert list(rows) == [*infrared_floors.ROWS, "scgan_infrared"]
    assert all(row["ae"] is not None and row["ae_legacy"] is not None and row["ssim_challenge"] is not None for row in rows.values())
    assert rows["oracle luminance"]["psnr"] > rows["infrared copied"]["psnr"]
    assert rows["infrared copied"]["psnr"] > 5 and rows["scgan_infrared"]["dataset"] == "pairs val" and rows["scgan_infrared"]["n"] == 2
    assert rows["scgan_infrared"]["split_hash"] == results.split_hash(data.open_pairs("pairs", 64, "val").ids)
    again = experiments.evaluate_method("scgan_infrared", "smoke", "pairs", "nir.safetensors", device="cpu", progress=False)
    assert list(again) == [*infrared_floors.ROWS, "", "batch statistics"] and len(results.read("infrared")) == len(again) + 2      # the floors were known
    summaries = experiments.evaluate_method("scgan_infrared", "smoke", "scenes", "nir.safetensors", limit=3, device="cpu", write=False)
    assert list(summaries) == list(again)
    table = results.table("infrared", experiments.table_metrics("infrared"), size="smoke", published=False)
    assert "| AE ° ↓ (ours) |" in table and "challenge" not in table and table.index("| cubic fit |") < table.index("| oracle luminance |")


def test_the_split_published_numbers_were_measured_on(workshop, monkeypatch, capsys):
    monkeypatch.setitem(scgan.VARIANTS["scgan_infrared"], "smoke", TINY)
    write_pairs(workshop / "vcip" / "Validation", [f"validation_{i:04}" for i in range(2)], seed=1)
    write_pairs(workshop / "vcip" / "Testing", [f"testing_{i:04}" for i in range(1, 4)], seed=2)
    write_pairs(workshop / "all", [f"country_{i:04}" for i in range(6)], seed=3)
    for folder, kind in (("NIR", "nir"), ("RGB-Registered", "rgb")):
        (workshop / "vcip" / folder).mkdir()
        for path in (workshop / "all").glob(f"*_{kind}.png"):
            path.rename(workshop / "vcip" / folder / (path.name if kind == "nir" else path.name.replace("rgb", "rgb_reg")))
    weights = ["--size", "smoke", "--weights", str(zoo.weights_file("scgan_infrared")), "--device", "cpu"]
    assert cli.main(["evaluate", "scgan_infrared", "--data", "vcip", "--split", "legacy", *weights]) == 0
    assert cli.main(["evaluate", "scgan_infrared", "--data", "vcip", *weights]) == 0
    assert "AE °, challenge" in capsys.readouterr().out
    assert {(row["dataset"], row["n"]) for row in results.read("infrared")} == {("vcip legacy", 3), ("vcip val", 5)}
    for name, spec, told in (("scgan_infrared", "scenes", "has a split legacy"), ("scgan_infrared", "pairs", "pairs has no legacy split"),
                             ("levin", "scenes", "for levin")):
        assert cli.main(["evaluate", name, "--data", spec, "--split", "legacy", *(weights if name != "levin" else weights[:2])]) == 1
        assert told in capsys.readouterr().err


def test_ablations_and_figures(workshop):
    method, model = zoo.get("scgan_infrared"), zoo.load("scgan_infrared", device="cpu")
    on_scenes, on_pairs = (ablations.measure(method, model, 3, spec) for spec in ("scenes", "pairs"))
    assert set(on_scenes) == {"n", *ablations.INFRARED_METRICS} and (on_scenes["n"], on_pairs["n"]) == (3, 2)
    assert all(0 < summary["ae"] < 90 and 0 < summary["psnr"] < 60 for summary in (on_scenes, on_pairs))
    assert [heading for heading, _ in ablations.shown([on_scenes]).values()] == ["PSNR", "SSIM", "AE °", "colourfulness"]
    painted = reproduction.paint_photos(method, model, side=48)
    assert [row["title"] for row in painted] == ["scene"] * reproduction.PHOTOS + [reproduction.MADE_UP] * reproduction.MADE_UP_PHOTOS
    assert all(row["input"].shape == (48, 48) and row[""].shape == row["target"].shape == (48, 48, 3) for row in painted)
    reproduction.draw_results(method, model, painted, "strip")
    reproduction.draw_banner(method, model, painted, "banner")
    assert {path.stem for path in (workshop / "figures").iterdir()} == {"strip", "banner"}
