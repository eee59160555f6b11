"""How well colour was painted from near infrared: the angular error right and as the field computes it, and our numbers beside published ones.

Lightness is painted, too, so PSNR and SSIM mostly say how well it and the registration were met: a truth moved by one pixel scores about 22 dB against itself.
The angular error sees no brightness, CIEDE2000 sees both, the ab error colour alone. None is to be read without the rows of `infrared_floors`.

| column | the field's scripts (`test-NIR.py` of MCFNet; the same lines in ColorMamba, DCT-RCAN) | done right |
|---|---|---|
| AE | `ae_legacy`: float32, 1e-6 in the denominator; black pixels score 90 degrees, identical pictures more than 0 | `ae` |
| SSIM | `ssim_challenge`: see "challenge" of `metrics.ssim` | `ssim` |
| PSNR | `psnr`: mean of dB (`psnr_pooled`, of the mean squared error, is 2 dB lower for MCFNet) | either, if it is said which |
"""
import numpy as np

from colorlib import metrics, results

SURVEY = ("urban", "old building")                                            # the splits of the survey's table, Sun et al. 2019's
# a system of the survey: our method of the same idea
OURS = {"Stacked conditional GAN": "stacked_gan", "UNIT (Liu et al. 2017)": "unit", "CycleGAN": "cyclegan_infrared", "ACGAN": "asym_cyclegan"}


# ---------------------------------------------------------------- metrics

def angular_error(pred, true, legacy=False):
    """Mean angle between the colours of pred and true as vectors from black, in degrees, `(N,)` float64; pictures as in `metrics`. Brightness is free.

    Pixels that are black on either side have no direction and are left out; NaN where no pixel is left. legacy=True: the mean over all pixels of
    arccos(<p, t> / (|p| |t| + 1e-6)) in float32 as in `test-NIR.py`, not clipped (NaN where rounding exceeds 1), a black pixel 90 degrees.
    """
    return metrics.score_pairs(_legacy_angle if legacy else _angle, pred, true)


def _angle(p, t):
    lengths = np.linalg.norm(p, axis=-1) * np.linalg.norm(t, axis=-1)                              # (H, W)
    seen = lengths > 0
    cosine = (p * t).sum(-1)[seen] / lengths[seen]
    return np.degrees(np.arccos(np.clip(cosine, -1, 1))).mean() if seen.any() else np.nan


def _legacy_angle(p, t):
    p, t = p.astype(np.float32), t.astype(np.float32)
    lengths = np.sqrt((p * p).sum(-1)) * np.sqrt((t * t).sum(-1))
    with np.errstate(invalid="ignore"):
        return (180 / np.pi * np.arccos((p * t).sum(-1) / (lengths + 1e-6))).mean()


def score_pictures(pred, true):
    """The columns only infrared methods have: {"ae", "ae_legacy", "ssim_challenge": `(N,)` float64}."""
    return {"ae": angular_error(pred, true), "ae_legacy": angular_error(pred, true, legacy=True), "ssim_challenge": metrics.ssim(pred, true, "challenge")}


# ---------------------------------------------------------------- tables

def survey_table(size=None, name="infrared", datasets=None):
    """The survey's table and, in columns of their own that name the data set, ours; other pictures and another protocol, so no cell holds both.

    Systems of the survey first, those we have in the same line; then what costs nothing and our other methods. size: of our rows, by default the
    largest run. datasets: of ours, by default all. Markdown.
    """
    published = {(row["system"], row["metric"], row["split"]): row["value"] for row in results.read_published(name) if row["split"] in SURVEY}
    ours = [row for row in results.latest(name, **({} if size is None else {"size": size})) if row.get("ae") is not None]
    datasets = datasets or list(dict.fromkeys(row["dataset"] for row in ours))
    found = {(label_of(row), row["dataset"]): row for row in ours if row["dataset"] in datasets}
    systems = list(dict.fromkeys(system for system, _, _ in published))
    rest = sorted((one for one in dict.fromkeys(label for label, _ in found) if one not in OURS.values()), key=rank)
    lines = [["system", *(f"{heading}, {split} (published)" for heading in ("AE °", "SSIM") for split in SURVEY),
              *(f"{heading} (ours, {dataset})" for dataset in datasets for heading in ("AE °", "SSIM"))]]
    for system in (*systems, *rest):
        own = OURS.get(system, system)
        label = f"{system}; {own}" if own != system and any((own, one) in found for one in datasets) else system
        mine = [results.cell(found.get((own, dataset), {}).get(metric), results.METRICS[metric][1]) for dataset in datasets for metric in ("ae", "ssim")]
        theirs = [results.cell(published.get((system, metric, split)), 2) for metric in ("ae", "ssim") for split in SURVEY]
        lines.append([label, *theirs, *mine])
    return results.markdown(lines)


def challenge_table(size=None, name="infrared"):
    """Published numbers on VCIP2020 and ours on split "legacy" of it, its 28 test pairs, as the field's scripts compute them; Markdown.

    PSNR is the mean of dB, ours under SSIM and AE are `ssim_challenge` and `ae_legacy`. size: of our rows, by default the largest run.
    """
    columns = {"psnr": "psnr", "ssim": "ssim_challenge", "ae": "ae_legacy", "lpips": "lpips"}      # a published metric: ours
    ours = [row for row in results.latest(name, **({} if size is None else {"size": size})) if (row["dataset"] or "").endswith(" legacy")]
    ours.sort(key=lambda row: rank(row["method"]))
    published = {}
    for row in results.read_published(name):
        if row["split"] not in SURVEY:
            published.setdefault((row["system"], row["split"]), {})[row["metric"]] = row["value"]
    decimals = [results.METRICS[metric][1] for metric in columns]
    lines = [["system", *(f"{heading} {arrow}" for heading, _, arrow in map(results.METRICS.get, columns)), "measured on"]]
    lines += [[system, *(results.cell(row.get(metric), 2) for metric in columns), f"{split} (published)"] for (system, split), row in published.items()]
    lines += [[label_of(row), *map(results.cell, map(row.get, columns.values()), decimals), row["dataset"]] for row in ours]
    return results.markdown(lines)


def label_of(row):
    """What a table calls one of our rows."""
    return row["method"] + (f" ({row['variant']})" if row["variant"] else "")


def rank(label):
    """What costs nothing stands first, in the order of `results.TRIVIAL`."""
    return results.TRIVIAL.index(label) if label in results.TRIVIAL else len(results.TRIVIAL)
