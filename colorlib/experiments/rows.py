"""What a row of results says of the pictures measured on and of the training, and which metrics a table of such rows shows."""
from pathlib import Path

from colorlib import data, results, zoo
from colorlib.experiments.opening import data_name
from colorlib.metrics import video_scores

__all__ = ["table_metrics", "summary_table", "columns_of_test", "columns_of_training", "METRICS", "COLOR_METRICS", "REFERENCE_METRICS",
           "INFRARED_METRICS", "CHALLENGE_METRICS", "CLIP_METRICS"]

METRICS = ("psnr", "ssim", "de2000", "ab_rmse", "colorfulness_ratio", "l_drift")      # of a table, where nothing below says otherwise
COLOR_METRICS = ("acc@1", "acc@5", "acc@1 balanced", "acc@1 chromatic", "acc@1 told", "plausibility", "quality", "manipulation", "auto manipulation",
                 "followed", "background change")      # of methods that choose among colours
REFERENCE_METRICS = ("psnr", "ssim", "de2000", "his", "his_file", "colorfulness_ratio")      # of methods that take colours from a reference
INFRARED_METRICS = ("psnr", "ssim", "ae", "de2000", "ab_rmse", "colorfulness_ratio")          # of methods that see infrared
CHALLENGE_METRICS = ("psnr_pooled", "ssim_challenge", "ae_legacy")                           # theirs, too, as the field computes them, see `infrared_scores`
CLIP_METRICS = ("psnr", "ssim", "colorfulness_ratio", "cdc", "cdc_gap", "warp_error", "chroma_warp_error", "static_flicker", "drift")      # on clips


# ---------------------------------------------------------------- rows

def columns_of_test(size, spec, dataset, split="val"):
    """What a result row says of the pictures it was measured on.

    >>> columns_of_test("class", "photos/flowers", [{"id": "rose"}, {"id": "daisy"}])
    {'size': 'class', 'dataset': 'flowers val', 'split_hash': '9b823e00b673'}
    """
    return {"size": size, "dataset": f"{data_name(spec)} {split}", "split_hash": results.split_hash(data.ids_of(dataset))}


def columns_of_training(model, weights):
    """What a result row says of a model: its config and, from the JSON beside its weights file, how it was trained. weights None: nobody knows.

    >>> model = zoo.get("cic").papers.build(zoo.get("cic").presets["smoke"], pretrained=False)
    >>> columns_of_training(model, None)["steps"], len(columns_of_training(model, None)["config_hash"])
    (None, 12)
    """
    source = zoo.read_sidecar(weights) if weights is not None and Path(weights).exists() else {}
    columns = {key: source.get(key) for key in ("seed", "steps", "batch", "minutes")} | {"config_hash": results.config_hash(model.config)}
    return columns | ({"notes": source["notes"]} if source.get("notes") else {})


def known_trivial(table, columns):
    """{name: row} of the trivial rows that a table has of these pictures already, so that they are measured once. columns: see `columns_of_test`."""
    return {row["method"]: row for row in results.latest(table, **columns) if row["method"] in results.TRIVIAL and not row["variant"]}


# ---------------------------------------------------------------- tables

def table_metrics(name):
    """The metrics of a method's table: METRICS, and LPIPS when some run could measure it; of methods that choose among colours COLOR_METRICS and fewer others,
    of methods that take a reference REFERENCE_METRICS, of methods that see infrared INFRARED_METRICS, of clips CLIP_METRICS.

    >>> table_metrics("of_which_nothing_was_measured")
    ('psnr', 'ssim', 'de2000', 'ab_rmse', 'colorfulness_ratio', 'l_drift')
    """
    rows = results.read(name)
    measured = lambda metric: any(row.get(metric) is not None for row in rows)
    chosen = (*(metric for metric in COLOR_METRICS if measured(metric) or metric in results.HUMAN), "psnr", "de2000", "colorfulness_ratio")
    own = {"acc@1": chosen, "his": REFERENCE_METRICS, "ae": INFRARED_METRICS, "cdc_gap": CLIP_METRICS}
    return (*next((own[metric] for metric in own if measured(metric)), METRICS), *filter(measured, ("lpips", "fid", "kid")))


def summary_table(summaries, metric_names=None):
    """{row name: summary} -> Markdown. metric_names: the columns, by default METRICS and those of COLOR_METRICS and HIS that were measured; of infrared
    INFRARED_METRICS and CHALLENGE_METRICS; of clips CLIP_METRICS, PSNR by frame, FID and KID.

    >>> print(summary_table({"grey": {"psnr": 24.126}, "ours": {"psnr": 25.9}}, ["psnr"]))
    | row | PSNR ↑ |
    | --- | ---: |
    | grey | 24.13 |
    | ours | 25.90 |
    """
    measured = lambda name: any(name in summary for summary in summaries.values())
    default = (*INFRARED_METRICS, *CHALLENGE_METRICS) if measured("ae") else (*filter(measured, (*COLOR_METRICS, "his", "his_file")), *METRICS)
    if measured("cdc_gap"):
        default = (*CLIP_METRICS, *filter(measured, (*(f"psnr@{k}" for k in video_scores.FRAME_NUMBERS), "fid", "kid")))
    metric_names = metric_names or default
    lines = [[row, *results.cells(summary, metric_names)] for row, summary in summaries.items()]
    return results.markdown([["row", *map(results.heading, metric_names)], *lines])
