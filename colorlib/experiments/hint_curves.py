"""PSNR against the number of hints: one harness for every method that takes hints, in three named protocols.

A number of dB without the number of hints says nothing: between one hint and 5 % of the pixels lie fifteen. Pictures go through at the
working size, so only colour is scored, as in the published tests.
"""
import numpy as np
import torch

from colorlib import data, figures, lab, metrics, results, train, zoo
from colorlib.experiments.opening import TEST_SIZE, default_data, load_model, open_dataset, test_side
from colorlib.experiments.rows import columns_of_test, columns_of_training
from colorlib.hints.simulated_hints import COUNTS, FRACTIONS, PROTOCOLS, protocol_hints
from colorlib.progress import track

__all__ = ["measure_method", "score", "summarize", "curves", "draw", "table", "FILE", "COLORFUL", "PICTURES", "AMOUNTS"]

FILE = "hint_curves"
COLORFUL = 20.0             # Hasler and Suesstrunk's colourfulness above which a picture is in the colourful subset (ours)
PICTURES = 50               # a curve needs fewer pictures than a table: its points share them
AMOUNTS = {protocol: (*COUNTS, *(FRACTIONS if protocol == "dense05" else ())) for protocol in PROTOCOLS}


def score(colorizer, rgb, ids, protocol, amount, batch_size=10):
    """{"psnr", "hint_error": (n,) arrays} of a colorizer {"L", "hint_ab", "hint_mask"} -> ab on pictures `(n, 3, H, W)` uint8.

    psnr: of the 8-bit picture, as in Zhang et al.'s `test_sweep.py`. hint_error: mean distance in the ab plane, CIE units, between what was
    told and what was painted, at the hints; nan where there are none.

    >>> rgb = torch.full((1, 3, 32, 32), 128, dtype=torch.uint8)      # grey, so that leaving it grey is right
    >>> score(lambda batch: torch.zeros_like(batch["hint_ab"]), rgb, ["a"], "icolorit2", 5)["hint_error"].round(1).tolist()
    [0.0]
    """
    psnr, errors = [], []
    for start in range(0, len(rgb), batch_size):
        part, names = rgb[start:start + batch_size], ids[start:start + batch_size]
        L, ab = lab.rgb_to_lab(part).split([1, 2], 1)
        hint_ab, hint_mask = protocol_hints(ab, names, protocol, amount)
        pred = colorizer({"L": L, "hint_ab": hint_ab, "hint_mask": hint_mask}).float().cpu()
        painted = (lab.lab_to_rgb(torch.cat([L, pred], 1)) * 255).round().byte()
        psnr.append(metrics.psnr(painted, part))
        distance = (pred - hint_ab).square().sum(1, keepdim=True).sqrt() * hint_mask
        errors.append(distance.sum((1, 2, 3)).double() / hint_mask.sum((1, 2, 3)))
    return {"psnr": torch.cat(psnr).numpy(), "hint_error": torch.cat(errors).numpy()}


def summarize(scores, colorful):
    """Mean with its standard error, median, mean over the colourful pictures (`colorful` is boolean (n,)), and the mean error at the hints.

    A number that needs two pictures, a colourful one or a hint is None where there are none.

    >>> found = summarize({"psnr": np.array([24.0, 30.0]), "hint_error": np.array([np.nan, np.nan])}, colorful=np.array([True, False]))
    >>> found["psnr"].item(), found["psnr_colorful"].item(), found["hint_error"]
    (27.0, 24.0, None)
    """
    psnr, error = scores["psnr"], scores["hint_error"]
    return {"n": len(psnr), "psnr": psnr.mean(), "psnr_se": psnr.std(ddof=1) / len(psnr) ** 0.5 if len(psnr) > 1 else None,
            "psnr_median": np.median(psnr), "psnr_colorful": psnr[colorful].mean() if colorful.any() else None, "n_colorful": int(colorful.sum()),
            "hint_error": None if np.isnan(error).all() else np.nanmean(error)}


def measure_method(name, size=None, spec=None, weights=None, model=None, limit=None, device="auto", write=True, progress=None, amounts=AMOUNTS):
    """The curves of one method, and of grey, on the "val" split of `spec` (see `experiments.open_dataset`); returns the rows.

    amounts: {protocol: counts and fractions}. Rows go to `data/results/hint_curves.csv`. Raises ValueError for a method that takes no hints.

    >>> measure_method("cic")
    Traceback (most recent call last):
    ValueError: cic ...
    """
    size, method = size or train.size(), zoo.get(name)
    zoo.check_conditions(method, hints=())
    model, file = load_model(name, size, weights, model, device)
    spec = spec or default_data(method, size)
    dataset = data.choose(open_dataset(spec, test_side(method, model.config, size, spec), split="val"), limit=limit or PICTURES)
    samples = [dataset[i] for i in range(len(dataset))]
    rgb, ids = torch.stack([sample["rgb"] for sample in samples]), [sample["id"] for sample in samples]
    colorful = metrics.colorfulness(rgb).numpy() > COLORFUL
    place, papers = next(model.parameters()).device, method.papers
    colorizer = lambda batch: papers.colorize(model, {key: value.to(place) for key, value in batch.items()})
    shared, trained = columns_of_test(size, spec, dataset), columns_of_training(model, file)
    grey = summarize(score(lambda batch: torch.zeros_like(batch["hint_ab"]), rgb, ids, "dense05", 0), colorful)
    rows = [{"method": "grey", "protocol": "any", "amount": 0} | shared | grey]
    for protocol, amount in track([(protocol, amount) for protocol in amounts for amount in amounts[protocol]], progress):
        rows.append({"method": name, "variant": f"{protocol} {amount:g}", "protocol": protocol, "amount": amount} | shared | trained
                    | summarize(score(colorizer, rgb, ids, protocol, amount), colorful))
    for row in rows if write else ():
        results.append(FILE, row)
    return rows


def curves(size="class", dataset=None, metric="psnr"):
    """{protocol: {method: {amount: value}}} from the newest rows of `data/results/hint_curves.csv`; grey is at amount 0 of every protocol.

    >>> sorted(curves("class"))
    ['dense05', 'icolorit2', 'zhang6']
    """
    found = {protocol: {} for protocol in PROTOCOLS}
    for row in results.latest(FILE, size=size, **({"dataset": dataset} if dataset else {})):
        for protocol in PROTOCOLS if row["protocol"] == "any" else [row["protocol"]]:
            found[protocol].setdefault(row["method"], {})[row["amount"]] = row[metric]
    return found


def draw(size="class", protocol="dense05", published=True):
    """The newest curves of a protocol as a matplotlib Figure: PSNR over the number of hints, grey as a line, and Zhang et al.'s published curve.

    Fractions are turned into counts at the size the rows were measured at.

    >>> draw("class").axes[0].get_ylabel()
    'PSNR, dB'
    """
    found, pixels = curves(size)[protocol], TEST_SIZE[size] ** 2
    grey = found.pop("grey", {}).get(0)
    series = {name: sorted((round(n * pixels) if 0 < n < 1 else n, psnr) for n, psnr in points.items()) for name, points in found.items()}
    if published:
        read = [(int(row["split"].split()[0]), row["value"]) for row in results.read_published("zhang2017_hint_curve")]
        series["siggraph17 as published*"] = sorted(point for point in read if point[0] <= max(COUNTS))
    if grey is not None:
        series["grey"] = [(0, grey), (max(n for points in series.values() for n, _ in points), grey)]
    figure = figures.curves({name: tuple(zip(*points)) for name, points in series.items()}, ylabel="PSNR, dB",
                            xlabel=f"hints ({protocol})" + ("; * squares of 6 px, other pictures" if published else ""))
    figure.axes[0].set_xscale("symlog", linthresh=1)
    figure.axes[0].xaxis.set_major_formatter("{x:g}")
    return figure


def table(rows):
    """Rows of `measure_method` as a Markdown table: protocol, amount, PSNR with standard error, median, colourful pictures, error at the hints.

    >>> row = {"method": "hintnet", "protocol": "dense05", "amount": 0.05, "psnr": 31.234, "psnr_se": 0.5, "psnr_median": 31.0, "psnr_colorful": None}
    >>> table([row | {"hint_error": 4.2}]).splitlines()[-1]
    '| hintnet | dense05 | 5 % | 31.23 | 0.50 | 31.00 | — | 4.20 |'
    """
    head = ["method", "protocol", "hints", "PSNR", "s.e.", "median", "colourful", "error at hints"]
    keys = (("psnr", 2), ("psnr_se", 2), ("psnr_median", 2), ("psnr_colorful", 2), ("hint_error", 2))
    amount = lambda value: f"{100 * value:g} %" if 0 < value < 1 else f"{value:g}"
    return results.markdown([head] + [[row["method"], row["protocol"], amount(row["amount"]), *(results.cell(row[key], decimals) for key, decimals in keys)]
                                      for row in rows])
