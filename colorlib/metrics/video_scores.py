"""Painted clips against true ones: errors of the frames, steadiness of the colours, and whether errors grow from frame to frame."""
import numpy as np
import torch

from colorlib import images, lab, metrics
from colorlib.frames import SMOOTH, FramePainter
from colorlib.metrics import learned_metrics, temporal_metrics
from colorlib.progress import track

__all__ = ["measure_clips", "score_clip", "reduce_frames", "summarize", "frame_distances", "clip_colorizers",
           "trivial_colorizers", "FRAME_NUMBERS", "STEADINESS"]

FRAME_NUMBERS = (1, 2, 4, 8, 16, 32)        # of the metrics psnr@1, psnr@2, ..., counted from 1
STEADINESS = ("cdc", "cdc_gap", "warp_error", "chroma_warp_error", "static_flicker", "drift")
WITHOUT = {"hints": [], "caption": ""}      # conditions a method can do without, and how to say so


def measure_clips(colorizers, dataset, progress=None, mean_ab=None, trivial=True):
    """Score {row name: function of true frames `(T, 3, H, W)` uint8 -> painted ones} on a data set of clips, see `data.open_clips`.

    Returns {row name: {metric: `(n,)` float64}}, one number a clip: means over frames of `metrics.STANDARD_SET`; STEADINESS, see `temporal_metrics`:
    cdc_gap is |cdc - the truth's|, drift the mean PSNR of the last quarter of the frames minus that of the first; psnr@k, the PSNR of frame k, for
    the FRAME_NUMBERS that the longest clip has. NaN where a clip is too short or nothing in it stands still. The motion is the sample's own or,
    without flow, estimated on the truth. What is harder to paint in the last quarter is drift, too: compare it with that of a method that paints
    every frame alone. trivial: also the rows truth, grey and, with mean_ab `(2,)` in CIE units, mean colour.

    >>> clip = torch.randint(0, 256, (6, 3, 16, 16), dtype=torch.uint8)
    >>> scores = measure_clips({}, [{"rgb": clip}])              # the rows that cost nothing
    >>> list(scores), scores["truth"]["psnr"]
    (['truth', 'grey'], array([inf]))
    """
    colorizers = (trivial_colorizers(mean_ab) if trivial else {}) | colorizers
    scores = {row: [] for row in colorizers}
    for i in track(range(len(dataset)), progress):
        sample = dataset[i]
        true = sample["rgb"]
        motion = (sample["flow"], sample["occlusion"]) if "flow" in sample else temporal_metrics.estimate_flow(true)
        for row, colorizer in colorizers.items():
            scores[row].append(score_clip(colorizer(true), true, *motion))
    longest = max(len(columns["psnr"]) for parts in scores.values() for columns in parts)
    reduced = {row: [reduce_frames(columns, longest) for columns in parts] for row, parts in scores.items()}
    return {row: {key: np.array([clip[key] for clip in clips]) for key in clips[0]} for row, clips in reduced.items()}


def score_clip(pred, true, flow, occlusion):
    """{metric of STANDARD_SET: `(T,)` by frame; of STEADINESS but drift: one float} of painted and true frames `(T, 3, H, W)` uint8.

    >>> clip = torch.zeros(6, 3, 16, 16, dtype=torch.uint8)
    >>> scores = score_clip(clip, clip, np.zeros((5, 16, 16, 2)), np.zeros((5, 16, 16), bool))
    >>> scores["ssim"].shape, scores["warp_error"]
    ((6,), 0.0)
    """
    long_enough = len(true) > max(temporal_metrics.CDC_LAGS)
    own, truths = (temporal_metrics.cdc(clip) if long_enough else float("nan") for clip in (pred, true))
    frames = {name: column.numpy() for name, column in metrics.evaluate_pictures(pred, true).items()}
    return frames | {"cdc": own, "cdc_gap": abs(own - truths), "warp_error": temporal_metrics.warp_error(pred, flow, occlusion),
                     "chroma_warp_error": temporal_metrics.chroma_warp_error(pred, flow, occlusion),
                     "static_flicker": temporal_metrics.static_flicker(pred, true, flow, occlusion)}


def reduce_frames(columns, longest):
    """`score_clip`'s answer -> {metric: float}: means over frames, drift, and psnr@k for the frames that a clip of `longest` frames has.

    >>> reduce_frames({"psnr": np.float64([30, 28, 26, 24])}, longest=4)
    {'psnr': 27.0, 'drift': -6.0, 'psnr@1': 30.0, 'psnr@2': 28.0, 'psnr@4': 24.0}
    """
    psnr = columns["psnr"]
    quarter = max(1, len(psnr) // 4)
    with np.errstate(invalid="ignore"):      # the truth's PSNR is infinite
        drift = float(psnr[-quarter:].mean() - psnr[:quarter].mean())
    by_frame = {f"psnr@{k}": float(psnr[k - 1]) if k <= len(psnr) else float("nan") for k in FRAME_NUMBERS if k <= longest}
    return {key: float(np.mean(value)) for key, value in columns.items()} | {"drift": drift} | by_frame


def summarize(columns):
    """{metric: `(n,)`} of one row -> {"n", metric: mean over clips} as `metrics.summarize` takes it, without what these clips do not allow.

    >>> summarize({"psnr": np.float64([20, 30]), "warp_error": np.float64([np.nan, np.nan])})
    {'n': 2, 'psnr': 25.0}
    """
    found = metrics.summarize(columns)
    return {key: value for key, value in found.items() if key != "psnr_pooled" and np.isfinite(value)}


def frame_distances(colorizers, dataset, feature=2048, weights_path=None, progress=None):
    """{row name: {"fid", "kid"}} of all frames of a data set of clips, painted against true; see `learned_metrics.fid`. Raises FileNotFoundError
    where the Inception network's weights are neither cached nor downloadable.

    >>> mean_color = torch.nn.Sequential(torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten())              # for Inception
    >>> clips = [{"rgb": torch.full((4, 3, 8, 8), 255, dtype=torch.uint8)}]
    >>> round(frame_distances({"black": lambda frames: 0 * frames}, clips, mean_color)["black"]["fid"], 3)
    3.0
    """
    true = torch.cat([dataset[i]["rgb"] for i in range(len(dataset))])                                             # (frames, 3, H, W) uint8
    rows = {}
    for row, colorizer in colorizers.items():
        painted = torch.cat([colorizer(dataset[i]["rgb"]) for i in track(range(len(dataset)), progress)])
        rows[row] = {"fid": learned_metrics.fid(painted, true, feature, weights_path),
                     "kid": learned_metrics.kid(painted, true, feature, weights_path)[0]}
    return rows


# ---------------------------------------------------------------- rows

def trivial_colorizers(mean_ab=None):
    """What costs nothing, {row: function of true frames -> frames}: the truth, grey and, with mean_ab `(2,)`, one colour everywhere.

    >>> red = torch.tensor([255, 0, 0], dtype=torch.uint8).view(1, 3, 1, 1).expand(2, 3, 4, 4)
    >>> {row: paint(red)[0, :, 0, 0].tolist() for row, paint in trivial_colorizers(mean_ab=(20, 20)).items()}
    {'truth': [255, 0, 0], 'grey': [127, 127, 127], 'mean colour': [170, 113, 94]}
    """
    def tint(ab):
        plane = np.asarray(ab, np.float32).reshape(2, 1, 1)
        return lambda frames: _stack([images.merge_chroma(lab.rgb_to_lab(frame)[0].numpy(), plane) for frame in frames])
    return {"truth": lambda frames: frames, "grey": tint((0, 0))} | ({"mean colour": tint(mean_ab)} if mean_ab is not None else {})


def clip_colorizers(method, model):
    """What the table of clips compares of a method, {row: function of true frames `(T, 3, H, W)` uint8 -> painted ones}: the paper's own
    `clip_variants` or, of a method that paints single pictures, "", every frame by itself, and "smoothed" (`frames.FramePainter`).

    Raises ValueError for a method that sees infrared or needs a reference.

    >>> from colorlib import zoo
    >>> clip_colorizers(zoo.get("gray2color"), None)
    Traceback (most recent call last):
        ...
    ValueError: gray2color needs a reference, and a clip brings none: choose a method that paints without.
    """
    if method.sees == "infrared":
        raise ValueError(f"{method.name} sees infrared, and clips are in colour: choose a method that paints grey pictures.")
    if needed := [condition for condition in method.conditions if condition not in WITHOUT]:
        raise ValueError(f"{method.name} needs a {needed[0]}, and a clip brings none: choose a method that paints without.")
    if hasattr(method.papers, "clip_variants"):
        return method.papers.clip_variants(model)
    given = {condition: WITHOUT[condition] for condition in method.conditions}

    def paint(frames, smooth):
        painter = FramePainter(method.name, model, smooth=smooth, **given)
        return _stack([painter(frame.permute(1, 2, 0).numpy()) for frame in frames])
    return {"": lambda frames: paint(frames, 0.0), "smoothed": lambda frames: paint(frames, SMOOTH)}


def _stack(pictures):
    """Pictures `(H, W, 3)` uint8 -> `(T, 3, H, W)`."""
    return torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2)
