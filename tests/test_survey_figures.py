"""The figures that hold several methods: which columns and rows they have, drawn with tiny networks and with rows known beforehand."""
from dataclasses import replace

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from PIL import Image

from colorlib import figures, images, results, zoo
from colorlib.experiments import reproduction
from colorlib.figures import galleries, survey_figures
from colorlib.papers import koalarization as koala

TINY = replace(koala.PRESETS["smoke"], encoder=(8,) * 8, fusion=8, decoder=(8, 8, 8, 8), embedding=16)


@pytest.fixture(autouse=True)
def workshop(tmp_path, monkeypatch):
    """Results, weights and figures that go nowhere else, and few pictures."""
    for name in ("WEIGHTS", "RESULTS", "FIGURES", "CACHE"):
        monkeypatch.setenv(f"COLORLIB_{name}", str(tmp_path / name.lower()))
    monkeypatch.setattr(survey_figures, "PICTURES", 2)
    monkeypatch.setattr(survey_figures, "HINT_METHODS", ("hscau",))
    monkeypatch.setattr(reproduction, "PHOTOS", 2)
    yield tmp_path
    plt.close("all")


@pytest.fixture
def drawn(monkeypatch):
    """{name: (rows, options)} of the grids drawn, which are drawn all the same."""
    seen, save_grid = {}, reproduction.save_grid

    def record(name, rows, scale=1, **options):
        seen[name] = rows, options
        return save_grid(name, rows, scale, **options)
    monkeypatch.setattr(reproduction, "save_grid", record)
    return seen


def pictures(seed, **more):
    """Two rows as `survey_figures.paint` gives them."""
    random = np.random.default_rng(seed)
    return [{key: random.integers(0, 256, (24, 24, 3), dtype=np.uint8) for key in ("input", "painted", "target", *more)} for _ in range(2)]


def rows_of(variant, **metrics):
    for seed in range(2):
        results.append("scgan_ablation", {"method": "scgan", "variant": variant, "size": "smoke", "dataset": "scenes val", "seed": seed,
                                          **{key: value + seed for key, value in metrics.items()}})


def test_draws_what_has_weights_and_says_what_has_none(workshop, drawn):
    torch.manual_seed(0)
    zoo.save_weights(koala.build(TINY), "koalarization", zoo.weights_file("koalarization", "smoke"), {})
    rows_of("as it is", psnr=20.0, object_error=30.0)
    found = dict(survey_figures.draw("smoke"))
    charts = [f"{name}_ablation" for name in survey_figures.ABLATIONS]
    assert list(found) == ["automatic", "conditions", "hints", "references", "his", "scales", *charts, "language"]
    assert found["hints"] == "not drawn: there are no smoke weights of hscau"
    assert found["scales"] == "not drawn: there are no smoke weights of gray2color"
    assert found["film_ablation"] == "not drawn: `python -m colorlib ablate film` has not run" and found["language"].startswith("not drawn")
    for figure in ("automatic", "conditions", "references", "his", "scgan_ablation"):
        assert found[figure].parent == workshop / "figures" and Image.open(found[figure]).width >= 640
    columns = {name: options["columns"] for name, (_, options) in drawn.items()}
    assert columns["09_automatic_smoke"] == ["grey", "koalarization", "truth"] == columns["09_conditions_smoke"]
    assert columns["09_references_smoke"] == ["grey", "reference", "welsh", "truth"] and len(drawn["09_references_smoke"][0]) == 4


def test_columns_of_conditions_stand_behind_what_was_given(drawn):
    painted = {"koalarization": pictures(0), "hintnet": pictures(1), "film": pictures(2), "gray2color": pictures(3, reference=None)}
    painted["gray2color"] = [{**row, "target": painted["koalarization"][i]["target"]} for i, row in enumerate(painted["gray2color"])]
    survey_figures.draw_conditions(painted, "conditions")
    rows, options = drawn["conditions"]
    assert options["columns"] == ["grey", "koalarization", "hints", "hintnet", "film", "reference", "gray2color", "truth"]
    assert options["row_titles"] == list(reproduction.PHOTO_CAPTIONS.values())[:2]
    assert np.array_equal(rows[1]["hints"], painted["hintnet"][1]["input"]) and np.array_equal(rows[1]["hintnet"], painted["hintnet"][1]["painted"])
    assert np.array_equal(rows[0]["grey"], images.without_color(painted["koalarization"][0]["target"]))


def test_three_scales_grow(drawn):
    torch.manual_seed(0)
    config = zoo.get("gray2color").presets["smoke"]
    survey_figures.draw_scales(zoo.get("gray2color").papers.build(config).eval(), "scales")
    rows, options = drawn["scales"]
    side = zoo.working_size(config)
    assert options["columns"] == ["grey", "reference", *(f"{one} × {one}" for one in (side // 4, side // 2, side)), "truth"]
    assert len(rows) == 3 and all(row[column].shape == row["truth"].shape for row in rows for column in row if column != "reference")


def test_an_ablation_is_a_dot_a_seed_and_a_line_at_the_first_row():
    rows_of("as it is", psnr=20.0, object_error=30.0)
    rows_of("no GAN", psnr=22.0)
    results.append("scgan_ablation", {"method": "scgan", "variant": "elsewhere", "size": "class", "dataset": "photos", "psnr": 1.0})
    rows = survey_figures.ablation_rows("scgan")
    assert rows == {"as it is": {"psnr": [20, 21], "object_error": [30, 31]}, "no GAN": {"psnr": [22, 23]}}
    figure = survey_figures.draw_ablation(rows, {"psnr": "PSNR ↑", "object_error": "error ↓"})
    left, right = figure.axes
    assert [list(line.get_xdata()) for line in left.lines] == [[20, 21], [20.5], [22, 23], [22.5], [20.5, 20.5]] and len(right.lines) == 3
    assert [text.get_text() for text in left.get_yticklabels()] == ["as it is", "no GAN"]
    assert survey_figures.ablation_rows("film") == {}


def test_his_has_a_mark_a_picture_and_the_line_of_the_truth():
    columns = {"palette_similarity": np.array([0.2, 0.6]), "his_file": np.array([0.5, 0.4])}
    axes = survey_figures.draw_his({"welsh": columns, "gray2color": columns}).axes[0]
    assert np.allclose(axes.collections[1].get_offsets(), [[0.2, 0.5], [0.6, 0.4]]) and len(axes.collections) == 2
    assert axes.get_xlim() == axes.get_ylim() == (0, 1) and list(axes.lines[0].get_xdata()) == [0, 1]


def test_language_scores_stand_beside_the_constant_answer():
    for dataset in ("scenes val", "imagenette val"):
        for method, score in (("film", 30.0), ("constant bin", 35.0), ("cic", 10.0)):
            results.append("language", {"method": method, "size": "class", "dataset": dataset, "acc@1": score, "acc@5": 2 * score})
    rows = survey_figures.language_rows("class")
    published = [row for row in rows if row[1] == "published"]
    assert rows[len(published):] == [(method, dataset, {"acc@1": score, "acc@5": 2 * score}) for dataset in ("imagenette val", "scenes val")
                                     for method, score in (("constant bin", 35.0), ("film", 30.0))]
    assert {"acc@1", "acc@5"} == set(published[0][2])
    axes = survey_figures.draw_language(rows).axes[0]
    assert [round(bar.get_width(), 1) for bar in axes.patches] == [row[2]["acc@1"] for row in rows]
    assert survey_figures.language_rows("paper") == []


def test_grids_are_made_smaller_until_they_fit(monkeypatch, drawn):
    noise = [{"grey": np.random.default_rng(i).integers(0, 256, (224, 224, 3), dtype=np.uint8)} for i in range(2)]
    large = survey_figures.save("noise", noise)
    assert Image.open(large).width == survey_figures.SCALES[0] * 100 * figures.WIDTH or large.stat().st_size <= galleries.MAX_BYTES
    monkeypatch.setattr(galleries, "MAX_BYTES", 1)
    assert Image.open(survey_figures.save("noise", noise)).width == survey_figures.SCALES[-1] * 100 * figures.WIDTH
