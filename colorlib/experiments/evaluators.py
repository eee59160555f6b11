"""Two evaluators: how published numbers of automatic colorization came about, and how to measure right. Both score pairs, painted and true.

| | `legacy` | `standard` |
|---|---|---|
| whose | CT2 (ECCV 2022, `segm/metrics.py`, `segm/eval_colorfullness.py`) and DDColor (ICCV 2023, Table 1) | ours |
| pictures | 256 x 256: the central square, or everything squashed, as the set has it | as they are, both sides alike |
| PSNR | mean of dB over pictures | the same, and from the mean squared error |
| SSIM | 7 x 7 box, data_range=225 | Wang et al. 2004 |
| colourfulness | of absolute R - G and (R + G) / 2 - B: pictures of many hues seem dull | of the signed ones (Hasler & Suesstrunk 2003) |
| its difference | of the two means: pictures too dull and too gaudy cancel | per picture; that of the means beside it |
| LPIPS | VGG | AlexNet |
| FID | torchvision's Inception, normalized twice, see `learned_metrics.LegacyInception` | the network FID is defined by; KID, which has no bias, beside it |
| lightness | nobody looks | L drift: clipping to sRGB changes lightness even where L was copied |
| certainty | none | 95 % bootstrap intervals over pictures, `<metric>_low` and `<metric>_high` |

Neither FID is comparable between sets of different sizes. LPIPS, FID and KID are measured where their weights are at hand; nothing is downloaded, and
`missing` tells which are not. `protocols` lists every other way to measure.
"""
from pathlib import Path

import cv2
import numpy as np
import torch
from PIL import Image

from colorlib import experiments, metrics, results, train, zoo
from colorlib.data.sources import PICTURE_SUFFIXES, decode, list_files
from colorlib.metrics import learned_metrics
from colorlib.progress import track

__all__ = ["measure_method", "score_folders", "score_pairs", "table", "Tally", "fit_legacy", "LegacyPictures", "match_folders", "list_pictures",
           "missing", "legacy_columns", "standard_columns", "EVALUATORS", "LEGACY_METRICS", "STANDARD_METRICS", "INTERVALS", "GEOMETRIES", "KERNELS",
           "SIDE", "MARKS"]

SIDE = 256                                                  # of legacy pictures
GEOMETRIES = ("crop", "squash")                             # of ImageNet val5k; of val50k, COCO-Stuff and ADE20K (issue 9 of DDColor's repository)
KERNELS = {                                                 # (H, W, 3) uint8 -> a square of side n; "pil bilinear" is torchvision's Resize, so CT2's
    "pil bilinear": lambda rgb, n: np.asarray(Image.fromarray(rgb).resize((n, n), Image.Resampling.BILINEAR)),
    "cv2 bilinear": lambda rgb, n: cv2.resize(rgb, (n, n), interpolation=cv2.INTER_LINEAR),      # DDColor's; it aliases
    "pil bicubic": lambda rgb, n: np.asarray(Image.fromarray(rgb).resize((n, n), Image.Resampling.BICUBIC)),
    "pil lanczos": lambda rgb, n: np.asarray(Image.fromarray(rgb).resize((n, n), Image.Resampling.LANCZOS)),
    "pil nearest": lambda rgb, n: np.asarray(Image.fromarray(rgb).resize((n, n), Image.Resampling.NEAREST)),
    "cv2 bicubic": lambda rgb, n: cv2.resize(rgb, (n, n), interpolation=cv2.INTER_CUBIC),
    "cv2 area": lambda rgb, n: cv2.resize(rgb, (n, n), interpolation=cv2.INTER_AREA),
}
LEGACY_METRICS = ("psnr", "ssim_ct2", "colorfulness_abs", "colorfulness_abs_true", "colorfulness_abs_gap", "lpips_vgg", "fid_ct2", "fid_ddcolor")
STANDARD_METRICS = ("psnr", "psnr_pooled", "ssim", "de2000", "ab_rmse", "l_drift", "colorfulness", "colorfulness_true", "colorfulness_gap",
                    "colorfulness_gap_of_means", "lpips", "fid", "kid")
INTERVALS = ("psnr", "ssim", "de2000", "ab_rmse", "colorfulness_gap", "lpips")
EVALUATORS = {"legacy": LEGACY_METRICS, "standard": STANDARD_METRICS}                        # and the columns of their tables
MARKS = ("fake_", "_colorized")                             # what programs add to a picture's name: CT2 in front, colorlib behind


# ---------------------------------------------------------------- pictures

def fit_legacy(rgb, geometry="crop", kernel="pil bilinear", side=SIDE):
    """`(H, W, 3)` uint8 -> `(side, side, 3)` through a kernel: the central square ("crop", as torchvision cuts it) or everything, distorted ("squash"). Raises
    ValueError for another geometry or kernel.

    >>> fit_legacy(np.zeros((300, 400, 3), np.uint8)).shape, fit_legacy(np.zeros((300, 400, 3), np.uint8), "squash", "cv2 area", 64).shape
    ((256, 256, 3), (64, 64, 3))
    """
    if geometry not in GEOMETRIES or kernel not in KERNELS:
        raise ValueError(f"geometry is one of {', '.join(GEOMETRIES)} and kernel one of {', '.join(KERNELS)}, not {geometry!r} and {kernel!r}.")
    if geometry == "crop":
        height, width = rgb.shape[:2]
        short = min(height, width)
        top, left = round((height - short) / 2), round((width - short) / 2)
        rgb = rgb[top:top + short, left:left + short]
    return np.array(KERNELS[kernel](np.ascontiguousarray(rgb), side))


def list_pictures(folder):
    """The pictures of a folder and its sub-folders, sorted paths. Raises ValueError for a missing and for an empty one.

    >>> Path("empty").mkdir()
    >>> list_pictures("empty")
    Traceback (most recent call last):
    ValueError: empty holds no pictures: check the path.
    """
    found = [Path(folder).expanduser() / name for name in list_files(folder) if Path(name).suffix.lower() in PICTURE_SUFFIXES]
    if not found:
        raise ValueError(f"{folder} holds no pictures: check the path.")
    return found


def stem_of(path):
    """A picture's name without its suffix and without MARKS, by which two folders are matched.

    >>> stem_of("out/fake_rose.png") == stem_of("rose_colorized.jpg") == stem_of("true/rose.JPEG")
    True
    """
    return Path(path).stem.removeprefix(MARKS[0]).removesuffix(MARKS[1])


def match_folders(pred_folder, true_folder):
    """[(painted, true)] paths of two folders, matched by stem. Raises ValueError where a picture has no partner or two share a stem.

    >>> for name in ("painted/rose_colorized.png", "true/rose.jpg"):
    ...     Path(name).parent.mkdir()
    ...     Image.new("RGB", (8, 8)).save(name)
    >>> [(one.name, other.name) for one, other in match_folders("painted", "true")]
    [('rose_colorized.png', 'rose.jpg')]
    """
    sides = {}
    for folder in (pred_folder, true_folder):
        paths = list_pictures(folder)
        by_stem = {stem_of(path): path for path in paths}
        if len(by_stem) < len(paths):
            twice = next(path for path in paths if by_stem[stem_of(path)] != path)
            raise ValueError(f"{twice} and {by_stem[stem_of(twice)]} have one stem, {stem_of(twice)!r}: keep one of them in {folder}.")
        sides[folder] = by_stem
    pred, true = (sides[folder] for folder in (pred_folder, true_folder))
    for one, other, here, there in ((pred, true, pred_folder, true_folder), (true, pred, true_folder, pred_folder)):
        if lonely := sorted(one.keys() - other.keys()):
            raise ValueError(f"{len(lonely)} pictures of {here} have no partner in {there}, the first is {one[lonely[0]].name}: both folders must hold the same "
                             "names, whatever the suffix.")
    return [(pred[stem], true[stem]) for stem in sorted(pred)]


class LegacyPictures(torch.utils.data.Dataset):
    """All pictures of a folder as the legacy evaluator sees them, grey ones included. Samples: rgb `(3, 256, 256)` uint8, id. Raises ValueError
    for a folder without pictures.

    >>> Path("photos").mkdir()
    >>> Image.new("L", (300, 200)).save("photos/grey.png")
    >>> LegacyPictures("photos")[0]["rgb"].shape
    torch.Size([3, 256, 256])
    """

    def __init__(self, folder, geometry="crop", kernel="pil bilinear", limit=None):
        self.paths, self.how = list_pictures(folder)[:limit], (geometry, kernel)
        self.ids = [path.relative_to(Path(folder).expanduser()).as_posix() for path in self.paths]

    def __len__(self):
        return len(self.paths)

    def __getitem__(self, i):
        return {"rgb": torch.from_numpy(fit_legacy(decode(self.paths[i]), *self.how)).permute(2, 0, 1), "id": self.ids[i]}


# ---------------------------------------------------------------- scores

class Tally:
    """What an evaluator remembers of the pairs it has seen: a number a picture and metric, and the features of networks. Raises ValueError
    for a protocol that is neither "standard" nor "legacy".

    >>> tally = Tally("standard")
    >>> tally.add([np.full((32, 32, 3), 100, np.uint8)], [np.full((32, 32, 3), 110, np.uint8)])
    >>> round(tally.summary()["psnr"], 2), tally.summary()["n"]      # 10 of 255 levels off
    (28.13, 1)
    """

    def __init__(self, protocol):
        if protocol not in EVALUATORS:
            raise ValueError(f"protocol is one of {', '.join(EVALUATORS)}, not {protocol!r}.")
        self.protocol, self.columns, self.features = protocol, {}, {name: ([], []) for name in feature_networks(protocol)}

    def add(self, pred, true):
        """A few pairs: iterables of pictures as `metrics` takes them, pair by pair of one size."""
        pred, true = list(pred), list(true)
        for key, values in (legacy_columns if self.protocol == "legacy" else standard_columns)(pred, true).items():
            self.columns.setdefault(key, []).append(values.numpy())
        for name, network in feature_networks(self.protocol).items():
            for kept, pictures in zip(self.features[name], (pred, true)):
                kept.append(learned_metrics.extract_features(network, pictures).float())

    def summary(self):
        """{"n", metric: number}. Raises ValueError when nothing was added."""
        if not self.columns:
            raise ValueError("There are no pictures to score.")
        columns = {key: np.concatenate(parts) for key, parts in self.columns.items()}
        found = metrics.summarize(columns)
        if self.protocol == "legacy":
            del found["psnr_pooled"]
            found["colorfulness_abs_gap"] = abs(found["colorfulness_abs"] - found["colorfulness_abs_true"])
        else:
            found["colorfulness_gap_of_means"] = abs(found["colorfulness"] - found["colorfulness_true"])
            for key in INTERVALS:
                if key in columns and np.isfinite(columns[key]).all():
                    found[f"{key}_low"], found[f"{key}_high"] = metrics.bootstrap_ci(columns[key])
        for name, (pred, true) in self.features.items() if found["n"] > 1 else ():
            pred, true = torch.cat(pred), torch.cat(true)
            found[name] = learned_metrics.fid_of_features(pred, true)
            if name == "fid":
                found["kid"], found["kid_sd"] = learned_metrics.kid_of_features(pred, true)
        return found


def legacy_columns(pred, true):
    """{metric: `(N,)`} of pairs, as CT2's scripts score them. Faults: absolute opponents, 225 for 255, LPIPS with the net its authors keep for losses.

    The scripts also print each score against the truth taken to Lab and back, in 8 bits; that is left out.

    >>> grey, red = np.full((32, 32, 3), 128, np.uint8), np.full((32, 32, 3), (200, 60, 60), np.uint8)
    >>> found = legacy_columns([grey], [red])
    >>> found["colorfulness_abs"].tolist(), found["colorfulness_abs_true"].item() > 0
    ([0.0], True)
    """
    found = {"psnr": metrics.psnr(pred, true), "ssim_ct2": metrics.ssim(pred, true, "ct2"),
             "colorfulness_abs": metrics.colorfulness(pred, signed=False), "colorfulness_abs_true": metrics.colorfulness(true, signed=False)}
    return found | ({"lpips_vgg": learned_metrics.lpips(pred, true, "vgg")} if learned_metrics.lpips_available("vgg") else {})


def standard_columns(pred, true):
    """{metric: `(N,)`} of pairs, see the table above.

    >>> grey, red = np.full((32, 32, 3), 128, np.uint8), np.full((32, 32, 3), (200, 60, 60), np.uint8)
    >>> found = standard_columns([grey], [red])
    >>> found["colorfulness_gap"].item() == found["colorfulness_true"].item()      # nothing but the colour is missing
    True
    """
    found = metrics.evaluate_pictures(pred, true)
    found["colorfulness_gap"] = (found["colorfulness"] - found["colorfulness_true"]).abs()
    return found | ({"lpips": learned_metrics.lpips(pred, true)} if learned_metrics.lpips_available() else {})


def feature_networks(protocol):
    """{name of a distance: network} for `learned_metrics.extract_features`, of those whose weights are at hand."""
    if protocol == "standard":
        return {"fid": learned_metrics.standard_inception()} if learned_metrics.inception_available() else {}
    found = learned_metrics.legacy_inception() if learned_metrics.legacy_inception_path() else {}
    return {f"fid_{input}": network for input, network in found.items()}


def missing(protocol):
    """One sentence on what an evaluator leaves out for want of weights, "" for nothing.

    >>> missing("standard") == "" or missing("standard").startswith("Left out, as their weights are not in ")
    True
    """
    is_legacy = protocol == "legacy"
    net = "vgg" if is_legacy else "alex"
    absent = [] if learned_metrics.lpips_available(net) else [f"LPIPS ({learned_metrics.lpips_file(net)})"]
    if not (learned_metrics.legacy_inception_path() if is_legacy else learned_metrics.inception_available()):
        absent.append(f"FID ({' or '.join(learned_metrics.LEGACY_INCEPTION)})" if is_legacy else f"FID and KID ({learned_metrics.inception_file()})")
    return f"Left out, as their weights are not in {torch.hub.get_dir()}/checkpoints: {', '.join(absent)}." if absent else ""


def score_pairs(pairs, protocol="standard", progress=None, total=None):
    """The summary of an iterable of (painted, true) pictures, each pair of one size; legacy pictures are what `fit_legacy` gives. Raises
    ValueError when there are none.

    >>> score_pairs([], progress=False)
    Traceback (most recent call last):
    ValueError: There are no pictures to score.
    """
    tally = Tally(protocol)
    for pred, true in track(pairs, progress, total=total, unit="picture"):
        tally.add([pred], [true])
    return tally.summary()


def score_folders(pred_folder, true_folder, protocol="standard", geometry="crop", kernel="pil bilinear", progress=None):
    """The summary of two folders of pictures, matched by stem.

    legacy: both sides go through `fit_legacy`, which leaves pictures of 256 x 256 px as they are. standard: as they are. Raises ValueError for pictures
    without a partner or, standard, of another size than their partner.

    >>> for place, level in (("ours", 100), ("truth", 110)):
    ...     Path(place).mkdir()
    ...     Image.new("RGB", (32, 32), (level, level, level)).save(f"{place}/rose.png")
    >>> round(score_folders("ours", "truth", progress=False)["psnr"], 2)
    28.13
    """
    def read(paths):
        pred, true = map(decode, paths)
        if protocol == "legacy":
            return fit_legacy(pred, geometry, kernel), fit_legacy(true, geometry, kernel)
        if pred.shape != true.shape:
            (height, width), (other_height, other_width) = pred.shape[:2], true.shape[:2]
            raise ValueError(f"{paths[0]} is {width} x {height} px but {paths[1]} is {other_width} x {other_height}: resize one.")
        return pred, true
    pairs = match_folders(pred_folder, true_folder)
    return score_pairs(map(read, pairs), protocol, progress, len(pairs))


def measure_method(name, protocol, size=None, spec=None, weights=None, model=None, limit=None, device="auto", write=True, progress=None,
                   geometry="crop", kernel="pil bilinear"):
    """Measure a method as a person gets it, its first variant, and the trivial rows; append them to `data/results/<protocol>.csv`.

    spec: see `experiments.open_dataset`, the "val" split, in squares of `experiments.TEST_SIZE`; of a folder of pictures, legacy takes every one, grey
    ones too, as `geometry` and `kernel` say. The column `protocol` tells which. Trivial rows that are measured already, on the same pictures, are not
    measured again. Returns {row name: summary}.
    Raises ValueError for a method that does not see grey pictures or is trained on clips.

    >>> measure_method("tcvc", "standard")
    Traceback (most recent call last):
    ValueError: tcvc does not paint single grey pictures: use `python -m colorlib evaluate tcvc` alone.
    """
    size, method = size or train.size(), zoo.get(name)
    if method.sees != "grey" or experiments.reads_clips(method):
        raise ValueError(f"{name} does not paint single grey pictures: use `python -m colorlib evaluate {name}` alone.")
    model, file = experiments.load_model(name, size, weights, model, device)
    spec, working_size = spec or experiments.default_data(method, size), zoo.working_size(model.config)
    if protocol == "legacy" and not method.conditions and holds_pictures(spec):
        dataset, how, side = LegacyPictures(spec, geometry, kernel, limit), f"{geometry}, {kernel}, {SIDE} px", SIDE
    else:
        side = experiments.test_side(method, model.config, size, spec)
        dataset = experiments.open_test(method, spec, side, limit) if method.conditions else experiments.open_dataset(spec, side, "val", limit)
        how = f"squares of {side} px"
    shared = experiments.columns_of_test(size, spec, dataset) | {"n": len(dataset), "protocol": how}
    known = experiments.known_trivial(protocol, shared)
    paint = experiments.on_device(next(iter(method.papers.variants(model).values())), model)
    colorizers = ({} if "grey" in known else experiments.trivial_colorizers(spec, side)) | {name: paint}
    conditions = experiments.conditions_for(method, working_size)
    tallies = {row: Tally(protocol) for row in colorizers}

    def score(row, pred, true):
        tallies[row].add(pred, true)
        return {}
    experiments.evaluate(colorizers, dataset, working_size, progress=progress, conditions=conditions, score=score)
    summaries = {row: tally.summary() for row, tally in tallies.items()}
    trained = experiments.columns_of_training(model, file)
    for row, summary in summaries.items() if write else ():
        results.append(protocol, {"method": row} | shared | (trained if row == name else {}) | summary)
    return known | summaries


def holds_pictures(spec):
    """Whether what a person typed names a folder with loose pictures in it, not shards, a set or scenes."""
    is_folder = not experiments.is_scenes(spec) and Path(spec).is_dir()
    return is_folder and any(Path(name).suffix.lower() in PICTURE_SUFFIXES for name in list_files(spec))


def table(protocol, size=None, **where):
    """The Markdown table of an evaluator's rows from `data/results/<protocol>.csv`.

    >>> table("standard", size="a size nobody has").startswith("| system | protocol | n |")
    True
    """
    measured = {key for row in results.read(protocol) for key, value in row.items() if value is not None}
    shown = [metric for metric in EVALUATORS[protocol] if metric in measured]
    return results.table(protocol, shown, published=False, columns=("protocol", "n"), size=size or train.size(), **where)
