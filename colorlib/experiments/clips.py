"""A method is measured on whole shots, beside the rows that cost nothing: how good its frames are and how steady its colours, `evaluate METHOD --clips`."""
import torch

from colorlib import data, lab, results, train, zoo
from colorlib.experiments.opening import CLIP_TEST_SIZE, load_model
from colorlib.experiments.rows import columns_of_test, columns_of_training, known_trivial
from colorlib.metrics import learned_metrics, video_scores

__all__ = ["evaluate_clips", "CLIP_TABLE"]

CLIP_TABLE = "video"      # results file and table of what is measured on clips


def evaluate_clips(name, size=None, spec=None, weights=None, model=None, limit=None, device="auto", write=True, progress=None):
    """Measure a method and the trivial rows on whole shots, see `video_scores`, and append the rows to `data/results/video.csv`.

    spec: see `data.open_clips` (default: scenes). limit: at most so many shots. Returns {row name: summary}, with FID and KID of the frames where their
    weights are at hand. Raises ValueError for an unknown method, FileNotFoundError where there are no weights or no clips, each with what to do.

    >>> evaluate_clips("tcvc", weights="none.safetensors")
    Traceback (most recent call last):
    FileNotFoundError: ...
    """
    size, spec = size or train.size(), spec or "scenes"
    method, side = zoo.get(name), CLIP_TEST_SIZE[size]
    model, file = load_model(name, size, weights, model, device)
    colorizers = video_scores.clip_colorizers(method, model)
    dataset = data.open_clips(spec, side, "shot", split="val", limit=limit, with_flow=True)
    shared = columns_of_test(size, spec, dataset) | {"n": len(dataset), "frames": sum(len(dataset[i]["rgb"]) for i in range(len(dataset)))}
    known = known_trivial(CLIP_TABLE, shared)
    if "grey" not in known:
        colorizers = video_scores.trivial_colorizers(mean_clip_ab(spec, side)) | colorizers
    scores = video_scores.measure_clips(colorizers, dataset, progress, trivial=False)
    summaries = {row: video_scores.summarize(columns) for row, columns in scores.items()}
    if learned_metrics.inception_available():
        for row, distances in video_scores.frame_distances(colorizers, dataset, progress=progress).items():
            summaries[row] |= distances
    trained = columns_of_training(model, file)
    if write:
        for row, summary in summaries.items():
            own = {"method": row, "variant": ""} if row in results.TRIVIAL else {"method": name, "variant": row} | trained
            results.append(CLIP_TABLE, own | shared | summary)
    return known | summaries


def mean_clip_ab(spec, side, count=60):
    """`mean_ab` of single frames of a training set of clips; None where there is only a test folder."""
    try:
        known = data.open_clips(spec, side, 1, limit=count)
    except FileNotFoundError:
        return None
    return torch.stack([lab.rgb_to_lab(known[i]["rgb"])[0, 1:].mean((1, 2)) for i in range(len(known))]).mean(0)
