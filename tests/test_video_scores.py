"""Scores of painted clips, their rows, and the commands that write them."""
from dataclasses import replace

import numpy as np
import pytest
import torch

from colorlib import __main__ as cli
from colorlib import data, experiments, lab, metrics, painting, results, zoo
from colorlib.metrics import learned_metrics, temporal_metrics, video_scores
from colorlib.frames import SMOOTH, FramePainter
from colorlib.papers import cic, tcvc
from tests.data_samples import empty_workshop, save

CIC = replace(cic.PRESETS["smoke"], width=4, image_size=32, working_size=32)
TCVC = replace(tcvc.PRESETS["smoke"], width=4, residual_blocks=1, image_size=32, batch_size=2, steps=2)


@pytest.fixture
def clips():
    return data.open_clips("scenes:2", 16, "shot", split="val", with_flow=True)


@pytest.fixture
def workshop(tmp_path, monkeypatch):
    """An empty folder to work in, results that go nowhere else, small frames, few and short procedural clips."""
    empty_workshop(tmp_path, monkeypatch)
    monkeypatch.setitem(experiments.CLIP_TEST_SIZE, "smoke", 32)
    monkeypatch.setattr(data.clip_sets, "SCENE_SHOT", 8)
    monkeypatch.setattr(learned_metrics, "inception_available", lambda: False)
    monkeypatch.setattr(data.clip_sets, "SCENE_CLIPS", {"train": 3, "val": 2})
    return tmp_path


def flickering(frames):
    """The truth, every second frame with weaker colours."""
    faded = [lab.lab_to_rgb(torch.stack([L, a / 2, b / 2])) for L, a, b in map(lab.rgb_to_lab, frames)]
    return torch.stack([frame if t % 2 else faded[t].mul(255).round().byte() for t, frame in enumerate(frames)])


def fading(frames):
    """The truth, its colours weaker from frame to frame."""
    weight = torch.linspace(1, 0.2, len(frames))
    faded = [lab.lab_to_rgb(torch.stack([L, w * a, w * b])) for w, (L, a, b) in zip(weight, map(lab.rgb_to_lab, frames))]
    return torch.stack(faded).mul(255).round().byte()


# ---------------------------------------------------------------- scores

def test_scores_tell_steady_from_flickering(clips):
    found = video_scores.measure_clips({"flickering": flickering, "fading": fading}, clips, mean_ab=(20, 10))
    assert list(found) == ["truth", "grey", "mean colour", "flickering", "fading"]
    truth, grey, flicker, fade = (found[row] for row in ("truth", "grey", "flickering", "fading"))
    assert all(values.shape == (2,) and values.dtype == np.float64 for columns in found.values() for values in columns.values())
    assert np.isinf(truth["psnr"]).all() and (truth["cdc_gap"] == 0).all() and (truth["cdc"] > 0).all() and (truth["warp_error"] > 0).all()
    assert (grey["chroma_warp_error"] < 0.1).all() and (flicker["chroma_warp_error"] > 3 * truth["chroma_warp_error"]).all()
    assert (flicker["cdc"] > 2 * truth["cdc"]).all() and (flicker["warp_error"] > truth["warp_error"]).all()
    assert (fade["drift"] < -3).all() and (fade["psnr@2"] > fade["psnr@32"]).all() and (np.abs(grey["drift"]) < 3).all()
    tinted = video_scores.trivial_colorizers((20, 10))["mean colour"](clips[0]["rgb"])
    assert lab.rgb_to_lab(tinted)[:, 1:].median() > 5
    assert found["mean colour"]["ab_rmse"][0] == pytest.approx(metrics.ab_rmse(tinted, clips[0]["rgb"]).mean())


def test_scores_are_means_over_frames_and_use_the_known_motion(clips):
    sample = clips[1]
    painted = flickering(sample["rgb"])
    found = {key: values[1] for key, values in video_scores.measure_clips({"": flickering}, clips, trivial=False)[""].items()}
    by_frame = metrics.psnr(painted, sample["rgb"]).numpy()
    for metric in ("ssim", "delta_e2000", "ab_rmse"):
        assert found[metric.replace("delta_e", "de")] == pytest.approx(getattr(metrics, metric)(painted, sample["rgb"]).mean().item())
    assert found["psnr@1"] == by_frame[0] and found["psnr@16"] == by_frame[15] and np.isinf(found["psnr@32"])
    motion = sample["flow"], sample["occlusion"]
    assert found["warp_error"] == temporal_metrics.warp_error(painted, *motion)
    assert found["chroma_warp_error"] == temporal_metrics.chroma_warp_error(painted, *motion)
    assert found["cdc_gap"] == abs(temporal_metrics.cdc(painted) - temporal_metrics.cdc(sample["rgb"]))


def test_motion_is_estimated_where_it_is_not_known(clips):
    unknown = data.open_clips("scenes:2", 16, "shot", split="val")
    known, guessed = (video_scores.measure_clips({"": fading}, one, trivial=False)[""] for one in (clips, unknown))
    assert (known["psnr"] == guessed["psnr"]).all() and (known["warp_error"] != guessed["warp_error"]).all()
    assert guessed["warp_error"][0] == temporal_metrics.warp_error(fading(unknown[0]["rgb"]), *temporal_metrics.estimate_flow(unknown[0]["rgb"]))


def test_clips_of_different_lengths():
    noise = lambda count: torch.randint(0, 256, (count, 3, 16, 16), dtype=torch.uint8, generator=torch.Generator().manual_seed(count))
    short, long = ({"rgb": noise(count)} for count in (3, 9))
    found = video_scores.measure_clips({}, [short, long])["grey"]
    assert [key for key in found if key.startswith("psnr@")] == ["psnr@1", "psnr@2", "psnr@4", "psnr@8"]
    assert np.isnan(found["psnr@4"]).tolist() == np.isnan(found["cdc"]).tolist() == [True, False]
    summary = video_scores.summarize(found)
    assert summary["n"] == 2 and summary["psnr@4"] == found["psnr@4"][1] and summary["psnr"] == found["psnr"].mean() and "psnr_pooled" not in summary
    assert "cdc" not in video_scores.summarize({key: values[:1] for key, values in found.items()})


def test_fid_and_kid_of_the_frames_of_all_clips(clips):
    pixels = torch.nn.Sequential(torch.nn.AdaptiveAvgPool2d(2), torch.nn.Flatten())
    found = video_scores.frame_distances(video_scores.trivial_colorizers(), clips, feature=pixels)
    assert found["truth"]["fid"] == pytest.approx(0, abs=1e-6) and found["grey"]["fid"] > 0.01 and found["grey"]["kid"] > found["truth"]["kid"]
    true = torch.cat([one["rgb"] for one in clips])
    assert found["grey"]["fid"] == learned_metrics.fid(video_scores.trivial_colorizers()["grey"](true), true, feature=pixels)


def test_whether_fid_runs_without_a_download(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    assert not learned_metrics.inception_available()
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / "weights-inception-2015-12-05-6726825d.pth").write_bytes(b"")
    assert learned_metrics.inception_available()


# ---------------------------------------------------------------- rows

def test_a_method_for_pictures_paints_every_frame_alone_and_smoothed(clips):
    torch.manual_seed(0)
    method, model = zoo.get("cic"), cic.build(CIC, pretrained=False).eval()
    rows = video_scores.clip_colorizers(method, model)
    frames = clips[0]["rgb"][:3]
    assert list(rows) == ["", "smoothed"]
    for row, smooth in (("", 0.0), ("smoothed", SMOOTH)):
        painter = FramePainter("cic", model, smooth=smooth)
        wanted = np.stack([painter(frame.permute(1, 2, 0).numpy()) for frame in frames])
        painted = rows[row](frames)
        assert painted.dtype == torch.uint8 and (painted.permute(0, 2, 3, 1).numpy() == wanted).all()
        assert torch.equal(rows[row](frames), painted)      # nothing is remembered from clip to clip
    alone = [painting.colorize(frame.permute(1, 2, 0).numpy(), "cic", model=model).rgb for frame in frames]
    assert (rows[""](frames).permute(0, 2, 3, 1).numpy() == np.stack(alone)).all()


def test_a_recurrent_method_brings_its_own_rows(clips):
    model = tcvc.build(TCVC).eval()
    assert list(video_scores.clip_colorizers(zoo.get("tcvc"), model)) == list(tcvc.clip_variants(model))


def test_methods_that_cannot_paint_clips_are_named():
    for name, message in (("nirnet", "nirnet sees infrared"), ("gray2color", "gray2color needs a reference")):
        with pytest.raises(ValueError, match=message):
            video_scores.clip_colorizers(zoo.get(name), None)


@pytest.mark.parametrize("name", ["hintnet", "film"])
def test_methods_that_can_do_without_their_condition_do(name, clips):
    method = zoo.get(name)
    config = method.presets["smoke"]
    model = method.papers.build(replace(config, vocabulary=("red",)) if name == "film" else config, pretrained=False).eval()
    assert video_scores.clip_colorizers(method, model)[""](clips[0]["rgb"][:1]).shape == (1, 3, 16, 16)


# ---------------------------------------------------------------- commands

def film(folder, count=10):
    """A clip of two shots of a moving bar, with its shots.json."""
    for i in range(count):
        frame = np.full((32, 32, 3), (90, 120, 60) if i < count // 2 else (60, 60, 150), np.uint8)
        frame[4:12, 2 + i:10 + i] = 200, 60, 40
        save(folder / f"{i:03}.png", frame)
    (folder / "shots.json").write_text('{"clip": "%s", "first_frame_of_each_shot": [0, %d]}' % (folder.name, count // 2))
    return folder


def test_evaluate_on_clips_through_the_command_line(workshop, capsys):
    torch.manual_seed(0)
    zoo.save_weights(cic.build(CIC, pretrained=False), "cic", "cic.safetensors", {"size": "smoke", "steps": 3, "seed": 1})
    arguments = ["evaluate", "cic", "--clips", "--weights", "cic.safetensors", "--data", str(film(workshop / "film")), "--device", "cpu"]
    assert cli.main([*arguments, "--dry-run"]) == 0 and not results.read("video")
    assert cli.main(arguments) == 0
    table = capsys.readouterr().out
    assert "| smoothed |" in table and "ab warp error" in table and "PSNR, frame 4" in table and "PSNR, frame 8" not in table
    rows = results.read("video")
    assert [row["method"] for row in rows] == ["truth", "grey", "mean colour", "cic", "cic"] and rows[4]["variant"] == "smoothed"
    for row in rows:
        assert (row["dataset"], row["size"], row["n"], row["frames"]) == ("film val", "smoke", 1, 5)
        assert row["split_hash"] and row["commit"] and row["date"]
    assert rows[0]["psnr"] is None and rows[3]["steps"] == 3 and rows[1]["steps"] is None and rows[3]["config_hash"] == results.config_hash(CIC)
    assert rows[3]["static_flicker"] is not None and rows[1]["chroma_warp_error"] < rows[0]["chroma_warp_error"]
    assert cli.main(arguments) == 0
    again = capsys.readouterr().out
    assert again.count("| mean colour |") == 1 and len(results.read("video")) == 7      # the trivial rows are not measured again
    written = results.table("video", experiments.table_metrics("video"), published=False)
    assert written.count("\n") == 6 and "CDC gap ↓ (ours)" in written and "mean colour" in written


def test_what_cannot_be_asked_for_is_one_sentence(workshop, capsys):
    torch.manual_seed(0)
    zoo.save_weights(cic.build(CIC, pretrained=False), "cic", "cic.safetensors", {"size": "smoke"})
    for more, message in ((("--split", "legacy"), "Clips have no split legacy"), (("--curve",), "ask for one at a time"),
                          (("--data", "nowhere"), "nowhere is neither scenes"), (("--data", "scenes:few"), "how many clips")):
        assert cli.main(["evaluate", "cic", "--clips", "--weights", "cic.safetensors", "--device", "cpu", *more]) == 1
        assert message in capsys.readouterr().err.splitlines()[-1]


def test_a_test_folder_alone_has_no_mean_color(workshop):
    film(workshop / "val" / "film")
    model = cic.build(CIC, pretrained=False).eval()
    found = experiments.evaluate_clips("cic", spec=str(workshop / "val"), model=model, device="cpu", write=False)
    assert list(found) == ["truth", "grey", "", "smoothed"] and not results.read("video")


def test_fid_and_kid_are_in_the_table_where_their_weights_are(workshop, monkeypatch, capsys):
    monkeypatch.setattr(learned_metrics, "inception_available", lambda: True)
    for metric, answer in (("fid", 12.25), ("kid", (0.125, 0.5))):
        monkeypatch.setattr(learned_metrics, metric, lambda pred, true, *options, answer=answer: answer)
    found = experiments.evaluate_clips("cic", model=cic.build(CIC, pretrained=False).eval(), device="cpu")
    assert {(row["fid"], row["kid"]) for row in found.values()} == {(12.25, 0.125)}
    assert "| FID ↓ | KID ↓ |" in experiments.summary_table(found) and experiments.table_metrics("video")[-2:] == ("fid", "kid")


def test_a_method_trained_on_clips_is_measured_on_clips(workshop):
    found = experiments.evaluate_method("tcvc", model=tcvc.build(TCVC).eval(), device="cpu", limit=1)
    assert {"truth", "grey", "mean colour", *tcvc.clip_variants(tcvc.build(TCVC))} == set(found) and found[""]["n"] == 1
    assert {row["dataset"] for row in results.read("video")} == {"scenes val"} and results.read("video")[0]["frames"] == 8


def test_ablations_of_a_method_trained_on_clips(workshop, monkeypatch, capsys):
    monkeypatch.setitem(tcvc.PRESETS, "smoke", TCVC)
    arguments = ["ablate", "tcvc", "--rows", "p 0.5", "p 0", "--seeds", "2", "--device", "cpu"]
    assert cli.main(arguments) == 0
    table = capsys.readouterr().out
    rows = results.read("tcvc_ablation")
    assert [row["variant"] for row in rows] == ["truth", "grey", "mean colour", "p 0.5", "p 0.5", "p 0", "p 0"]
    assert [row["seed"] for row in rows] == [None] * 3 + [0, 1] * 2
    assert [row["n"] for row in rows] == [2] * 7
    assert all(row[key] is not None for row in rows[3:] for key in ("psnr", "ssim", "warp_error", "chroma_warp_error", "cdc_gap", "drift", "psnr@8"))
    lines = {line.split(" | ")[0].strip("| "): line for line in table.splitlines() if line.startswith("| ")}
    assert lines["grey"].count("±") == 0 and lines["truth"].startswith("| truth | — |")
    assert lines["p 0"].count("±") > 5 and lines["p 0"].startswith("| p 0 | 2 |")
    assert "ab warp error" in lines["changed"] and "PSNR, frame 8" in lines["changed"]
