"""The figures beside a table: each drawn with a small network, at 64 pixels, and read back."""
import itertools
from dataclasses import replace

import numpy as np
import pytest
import safetensors.torch
import torch
from PIL import Image

from colorlib import experiments, figures, zoo
from colorlib.experiments import reproduction
from colorlib.figures import galleries
from colorlib.metrics import failures
from colorlib.papers import koalarization as koala
from colorlib.papers import scgan

TINY = replace(scgan.SMOKE, width=4, attention_width=4, feature_width=4, halvings=6, image_size=64)
SCGAN = zoo.Method("scgan", "Zhao et al. 2021, SCGAN (arXiv 2011.11377)", "scgan", "03_scgan_saliency.ipynb")
FIGURES = ["results", "automatic", "example_based", "semantic_confusion", "color_bleeding", "object_intervention", "attention", "evolution", "portraits",
           "landscapes", "legacy"]


@pytest.fixture(scope="module", autouse=True)
def workshop(tmp_path_factory):
    """Figures, caches and weights in a temporary folder, few pictures, no progress bars."""
    folder = tmp_path_factory.mktemp("gallery")
    with pytest.MonkeyPatch.context() as patch:
        for name in ("FIGURES", "CACHE", "WEIGHTS"):
            patch.setenv(f"COLORLIB_{name}", str(folder / name.lower()))
        patch.setattr(galleries, "SEARCHED", 20)
        patch.setattr(galleries, "LEARNT_FROM", 40)
        yield folder


@pytest.fixture(scope="module")
def model():
    """An untrained SCGAN that paints vividly: its last layer is zero otherwise."""
    torch.manual_seed(0)
    generator = scgan.build(TINY)
    torch.nn.init.normal_(generator.to_rgb.conv.weight, 0, 0.3)
    return generator.eval().requires_grad_(False)


@pytest.fixture
def drawn(monkeypatch):
    """{name: (rows, options)} of the grids drawn, which are drawn all the same."""
    seen, save_grid = {}, reproduction.save_grid

    def record(name, rows, scale=1, **options):
        seen[name] = rows, options
        return save_grid(name, rows, scale, **options)
    monkeypatch.setattr(reproduction, "save_grid", record)
    return seen


def pixels(path):
    return np.asarray(Image.open(path).convert("RGB")).astype(int)


def bus(body, seed=0, size=32):
    """An example as `paint_examples` makes them: a square of a colour on green; truly yellow."""
    mask = np.zeros((size, size), bool)
    mask[8:24, 8:24] = True
    put = lambda color: np.where(mask[..., None], np.uint8(color), np.uint8((60, 160, 60)))
    return {"pred": put(body), "true": put((230, 190, 30)), "mask": mask, "label": seed, "name": f"bus {seed}", "place": f"place {seed}"}


def sample_of(example):
    return {"rgb": torch.from_numpy(example["true"]).permute(2, 0, 1), "label": example["label"], "mask": torch.from_numpy(example["mask"])[None], "id": "x"}


# ---------------------------------------------------------------- all of them

def test_draws_the_whole_list(model, workshop, drawn):
    torch.manual_seed(0)
    zoo.save_weights(koala.build(replace(koala.PRESETS["smoke"], encoder=(8,) * 8, fusion=8, decoder=(8, 8, 8, 8), embedding=16)), "koalarization",
                     zoo.weights_file("koalarization"), {})
    found = dict(galleries.draw(SCGAN, model, "smoke", run=workshop / "nowhere"))
    assert list(found) == FIGURES
    assert found.pop("evolution") == (f"not drawn: {workshop / 'nowhere'} holds no snapshots; "
                                      f"`python -m colorlib train scgan --size smoke --run {workshop / 'nowhere'}` makes them")
    for figure, path in found.items():
        assert path == workshop / "figures" / f"03_scgan_{figure}_smoke.png" and path.stat().st_size <= 600_000
        assert Image.open(path).width == 800
    columns = {name.split("_", 2)[2].removesuffix("_smoke"): (len(rows), options["columns"]) for name, (rows, options) in drawn.items()}
    assert columns["results"] == (4, [(side, key) for side in (0, 1) for key in ("given", "painted", "truth")])
    assert columns["automatic"] == (3, ["given", "Baldassarre et al. 2017, Deep Koalarization", "Zhao et al. 2021, SCGAN", "truth"])
    assert columns["example_based"] == (5, ["given", "reference", "Welsh et al. 2002", "every pixel", "global statistics", "global histogram", "painted", "truth"])
    assert columns["attention"] == (4, ["given", "predicted saliency", "painting x saliency", "map of the source"])
    assert columns["legacy"] == (2, [(side, key) for side in (0, 1) for key in ("given", "painted")])
    assert columns["portraits"] == (1, [(side, key) for side in (0, 1) for key in ("given", "painted", "truth")])
    for panel in ("semantic_confusion", "color_bleeding", "object_intervention"):
        assert columns[panel][0] == 4 and len(columns[panel][1]) == galleries.PANEL


def test_reproduce_draws_galleries_for_papers_that_ask(model, monkeypatch, tmp_path):
    """The hook alone: measuring and the shared figures are tested elsewhere."""
    for name in ("evaluate_method", "paint_photos", "draw_results", "draw_banner", "write_table"):
        monkeypatch.setattr(reproduction, name, lambda *args, **options: None)
    monkeypatch.setattr("colorlib.experiments.protocols.PROTOCOLS", {})
    monkeypatch.setattr(zoo, "load", lambda *args, **options: model)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "weights").write_bytes(b"")
    monkeypatch.setattr(zoo, "weights_file", lambda *args: tmp_path / "weights")
    monkeypatch.setitem(zoo.METHODS, "scgan", SCGAN)
    monkeypatch.setattr(galleries, "draw", lambda method, model, size, spec, **options: iter([("results", f"{method.name} {size} {spec}.png")]))
    monkeypatch.setattr(scgan, "GALLERY", True, raising=False)
    assert "scgan: results scgan smoke scenes.png" in list(reproduction.reproduce("scgan", "smoke", "scenes"))
    monkeypatch.setattr(scgan, "GALLERY", False, raising=False)
    assert not any(line.endswith("scenes.png") for line in reproduction.reproduce("scgan", "smoke", "scenes"))


def test_methods_that_are_not_drawn(model):
    with pytest.raises(ValueError, match="scgan needs hints and caption"):
        next(galleries.draw(replace(SCGAN, conditions=("hints", "caption")), model, "smoke"))
    assert list(galleries.draw(replace(SCGAN, sees="infrared"), model, "smoke")) == [("gallery", "not drawn: scgan sees infrared, not grey")]


# ---------------------------------------------------------------- photos a person names

@pytest.fixture(scope="module")
def labelled(tmp_path_factory):
    """Photos of two classes, `train` and `val`, and a folder of the same without classes."""
    folder, random = tmp_path_factory.mktemp("photos"), np.random.default_rng(0)
    for split, count in (("train", 3), ("val", 2)):
        for label, color in (("bus", (230, 190, 30)), ("frog", (60, 160, 60))):
            for i in range(count):
                picture = np.full((80, 96, 3), 128, np.uint8)
                picture[20:60, 20 + i:70] = color
                picture = np.clip(picture + random.integers(-9, 9, picture.shape), 0, 255).astype(np.uint8)
                for place in (folder / "labelled" / split / label, folder / "plain" / split):
                    place.mkdir(parents=True, exist_ok=True)
                    Image.fromarray(picture).save(place / f"{label}_{i}.png")
    return folder


def test_labelled_photos_in_place_of_scenes(model, labelled, drawn):
    found = dict(itertools.islice(galleries.draw(SCGAN, model, "smoke", run="nowhere", spec=labelled / "labelled"), 4))
    rows, _ = drawn["03_scgan_example_based_smoke"]
    assert len(rows) == 2 and found["example_based"].exists()
    red = [row["reference"][32, 32].astype(int) - row["truth"][32, 32] for row in rows]
    assert np.abs(red).max() < 20 and any(not np.array_equal(row["reference"], row["truth"]) for row in rows)      # another photo of the same class
    titles = drawn["03_scgan_semantic_confusion_smoke"][1]["titles"]
    assert {text.split()[0] for text in titles.values() if text} <= {"bus", "frog"}


def test_photos_without_labels(model, labelled):
    found = dict(itertools.islice(galleries.draw(SCGAN, model, "smoke", run="nowhere", spec=labelled / "plain"), 5))
    for figure in ("example_based", "semantic_confusion"):
        assert found[figure].startswith("not drawn") and "one sub-folder a class" in found[figure]
    assert found["color_bleeding"].exists()


def test_own_portraits_landscapes_and_legacy_photos(model, tmp_path, drawn):
    for kind, size, count in (("portraits", (90, 60), 2), ("legacy", (300, 700), 9)):
        (tmp_path / kind).mkdir()
        for i in range(count):
            Image.fromarray(np.full((*size, 3), (200, 40 * i, 90) if kind == "portraits" else 20 * i, np.uint8)).save(tmp_path / kind / f"{i}.png")
    (tmp_path / "legacy" / "4.png").write_bytes(b"no picture")
    kinds = galleries.open_kinds(tmp_path)
    assert [one.shape for one in kinds["portraits"]] == [(90, 60, 3)] * 2 and len(kinds["landscapes"]) == 3
    assert 4 <= len(kinds["legacy"]) <= galleries.SHOWN and {one.shape for one in kinds["legacy"]} == {(219, 512, 3)}
    path = galleries.draw_results(SCGAN, model, "legacy", kinds["legacy"])
    rows, options = drawn["legacy"]
    assert options["columns"] == [(side, key) for side in (0, 1) for key in ("given", "painted")]
    assert all(picture.shape == (219, 512, 3) for row in rows for picture in row.values()) and path.exists()
    galleries.draw_results(SCGAN, model, "portrait", kinds["portraits"][:1])
    assert drawn["portrait"][1]["columns"] == [(0, "given"), (0, "painted"), (0, "truth")]


def test_folders_without_photos(tmp_path):
    with pytest.raises(ValueError, match="none of the sub-folders portraits, landscapes, legacy"):
        galleries.open_kinds(tmp_path)
    (tmp_path / "legacy").mkdir()
    with pytest.raises(ValueError, match="no picture that can be read"):
        galleries.open_kinds(tmp_path)


# ---------------------------------------------------------------- failures

def test_the_confusion_panel_shows_the_blue_bus(drawn):
    examples = [bus((230, 190, 30), 0), bus((40, 60, 220), 1), bus((200, 40, 40), 2), bus((40, 60, 220), 1)]
    colors = failures.learn_colors([sample_of(one) for one in examples])
    path = galleries.draw_confusion("confusion", examples, colors)
    rows, options = drawn["confusion"]
    assert options["columns"][:2] == [1, 2] and len(options["columns"]) == galleries.PANEL       # one of the two equal classes, not the good one
    assert options["titles"][1] == "bus 1 100%" and options["row_titles"] == ["given", "painted", "truth", "foreign to its class"]
    assert np.array_equal(rows[3][1], examples[1]["mask"]) and np.array_equal(rows[1][1], examples[1]["pred"])
    image = pixels(path)
    assert image.shape[1] == 800 and ((image == (40, 60, 220)).all(-1)).sum() > 500
    assert galleries.draw_confusion("none", examples[:1], colors) is None and "none" not in drawn


def test_the_intervention_panel_shows_the_spill(drawn):
    examples = [bus((230, 190, 30), 0), bus((60, 160, 60), 1), bus((110, 170, 55), 2)]
    assert galleries.draw_intervention("spill", examples).exists()
    _, options = drawn["spill"]
    assert options["columns"][:2] == [1, 2] and options["titles"][1] == "bus 1 0.00" and options["columns"][2] < 0
    assert galleries.draw_intervention("kept", examples[:1]) is None


def test_the_bleeding_panel_shows_the_displaced_color(drawn):
    examples = [bus((230, 190, 30), 0), bus((230, 190, 30), 1)]
    examples[1]["pred"] = np.roll(examples[1]["pred"], 5, axis=1)
    examples[1]["pred"] = galleries.images.merge_chroma(galleries.lab.rgb_to_lab(examples[1]["true"])[..., 0],
                                                        galleries.lab.rgb_to_lab(examples[1]["pred"])[..., 1:].transpose(2, 0, 1), "bilinear")
    assert galleries.draw_bleeding("bleeding", examples).exists()
    rows, options = drawn["bleeding"]
    assert options["columns"][0] == 1 and rows[3][1].max() > 0.5
    grey = [one | {"pred": np.full_like(one["pred"], 90)} for one in examples]
    assert galleries.draw_bleeding("grey", grey) is None


# ---------------------------------------------------------------- evolution and attention

def test_evolution_from_snapshots(model, tmp_path, drawn):
    assert galleries.draw_evolution(SCGAN, model, "evolution", tmp_path) is None
    for update in (12, 24, 120, 140, 160):
        state = {key: (value * update / 160).half() if key.startswith("to_rgb") else value.half() if value.is_floating_point() else value
                 for key, value in model.state_dict().items()}
        safetensors.torch.save_file(state, tmp_path / f"snapshot-{update:07d}.safetensors")
    assert galleries.draw_evolution(SCGAN, model, "evolution", tmp_path).exists()
    rows, options = drawn["evolution"]
    assert options["columns"] == ["given", "10% of phase 1", "20% of phase 1", "100% of phase 1", "50% of phase 2", "end", "truth"] and len(rows) == 4
    distance = [np.abs(rows[0][title].astype(int) - rows[0]["given"]).mean() for title in options["columns"][:-1]]
    assert distance[0] == 0 and sorted(distance) == distance and np.abs(rows[0]["end"].astype(int) - galleries.paint(SCGAN, model, rows[0]["truth"])).max() <= 3
    broken = tmp_path / "snapshot-0000012.safetensors"
    broken.write_bytes(broken.read_bytes()[:500])
    with pytest.raises(ValueError, match="0000012.safetensors is damaged or of another network"):
        galleries.draw_evolution(SCGAN, model, "evolution", tmp_path)
    safetensors.torch.save_file({"a": torch.zeros(1)}, broken)
    with pytest.raises(ValueError, match="of another network"):
        galleries.draw_evolution(SCGAN, model, "evolution", tmp_path)


def test_attention_shows_the_painting_under_the_predicted_map(model, drawn):
    galleries.draw_attention(SCGAN, model, "attention", "spectral_residual")
    rows, options = drawn["attention"]
    assert options["titles"] == {"map of the source": "map by spectral residual; of scenes the exact one"}
    for row in rows:
        predicted, product = row["predicted saliency"], row["painting x saliency"]
        assert predicted.shape == (1, 64, 64) and product.shape == (3, 64, 64) and (product <= predicted + 1e-6).all() and product.max() > 0.1
    scene = experiments.open_dataset("scenes", 64, "val", limit=8)[0]
    assert torch.equal(rows[2]["map of the source"], scene["saliency"]) and rows[0]["map of the source"].shape == (224, 224)


# ---------------------------------------------------------------- grids that fit

def test_rows_that_would_be_too_much_are_left_out(drawn):
    noise = [{"given": np.random.default_rng(i).integers(0, 256, (224, 224, 3), dtype=np.uint8)} | {"truth": None} for i in range(4)]
    path = galleries.save("noise", noise, ["given", "truth"], row_titles=list("abcd"))
    rows, options = drawn["noise"]
    assert path.stat().st_size <= galleries.MAX_BYTES and 1 <= len(rows) < 4 and options["row_titles"] == list("abcd")[:len(rows)]
    assert Image.open(path).width in (100 * figures.WIDTH, 80 * figures.WIDTH)
