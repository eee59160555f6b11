"""PSNR against the number of hints: one harness for every method that takes hints, in three named protocols.

A number of dB without the number of hints says nothing: between one hint and 5 % of the pixels lie fifteen. Pictures go through at the
working size, so only colour is scored, as in the published tests.
"""
import numpy as np
import torch

from colorlib import data, figures, lab, metrics, results, train, zoo
from colorlib.experiments import TEST_SIZE, columns_of_test, columns_of_training, open_dataset
from colorlib.progress import track
from colorlib.simulated_hints import COUNTS, FRACTIONS, PROTOCOLS, protocol_hints

FILE = "hint_curves"
COLORFUL = 20.0             # Hasler and Suesstrunk's colourfulness above which a picture is in the colourful subset (ours)
PICTURES = 50               # a curve needs fewer pictures than a table: its points share them
AMOUNTS = {protocol: (*COUNTS, *(FRACTIONS if protocol == "dense05" else ())) for protocol in PROTOCOLS}


def score(colorizer, rgb, ids, protocol, amount, batch_size=10):
    """{"psnr", "hint_error": (n,) arrays} of a colorizer {"L", "hint_ab", "hint_mask"} -> ab on pictures `(n, 3, H, W)` uint8.

    psnr: of the 8-bit picture, as in Zhang et al.'s `test_sweep.py`. hint_error: mean distance in the ab plane, CIE units, between what was
    told and what was painted, at the hints; nan where there are none.
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
    """
    psnr, error = scores["psnr"], scores["hint_error"]
    return {"n": len(psnr), "psnr": psnr.mean(), "psnr_se": psnr.std(ddof=1) / len(psnr) ** 0.5 if len(psnr) > 1 else None,
            "psnr_median": np.median(psnr), "psnr_colorful": psnr[colorful].mean() if colorful.any() else None, "n_colorful": int(colorful.sum()),
            "hint_error": None if np.isnan(error).all() else np.nanmean(error)}


def measure_method(name, size=None, spec=None, weights=None, model=None, limit=None, device="auto", write=True, progress=None, amounts=AMOUNTS):
    """The curves of one method, and of grey, on the "val" split of `spec` (see `experiments.open_dataset`); returns the rows.

    amounts: {protocol: counts and fractions}. Rows go to `data/results/hint_curves.csv`. Raises ValueError for a method that takes no hints.
    """
    size, method = size or train.size(), zoo.get(name)
    zoo.check_conditions(method, hints=())
    given, model = model is not None, model if model is not None else zoo.load(name, weights, size=size, device=device)
    spec = spec or ("scenes" if size == "smoke" else "imagenette")
    dataset = data.choose(open_dataset(spec, zoo.working_size(model.config) if spec == "scenes" else TEST_SIZE[size], split="val"), limit=limit or PICTURES)
    samples = [dataset[i] for i in range(len(dataset))]
    rgb, ids = torch.stack([sample["rgb"] for sample in samples]), [sample["id"] for sample in samples]
    colorful = metrics.colorfulness(rgb).numpy() > COLORFUL
    place, papers = next(model.parameters()).device, method.papers
    colorizer = lambda batch: papers.colorize(model, {key: value.to(place) for key, value in batch.items()})
    shared, trained = columns_of_test(size, spec, dataset), columns_of_training(model, None if given else weights or zoo.weights_file(name, size))
    grey = summarize(score(lambda batch: torch.zeros_like(batch["hint_ab"]), rgb, ids, "dense05", 0), colorful)
    rows = [{"method": "grey", "protocol": "any", "amount": 0} | shared | grey]
    for protocol, amount in track([(protocol, amount) for protocol in amounts for amount in amounts[protocol]], progress):
        rows.append({"method": name, "variant": f"{protocol} {amount:g}", "protocol": protocol, "amount": amount} | shared | trained
                    | summarize(score(colorizer, rgb, ids, protocol, amount), colorful))
    for row in rows if write else ():
        results.append(FILE, row)
    return rows


def curves(size="class", dataset=None, metric="psnr"):
    """{protocol: {method: {amount: value}}} from the newest rows of `data/results/hint_curves.csv`; grey is at amount 0 of every protocol."""
    found = {protocol: {} for protocol in PROTOCOLS}
    for row in results.latest(FILE, size=size, **({"dataset": dataset} if dataset else {})):
        for protocol in PROTOCOLS if row["protocol"] == "any" else [row["protocol"]]:
            found[protocol].setdefault(row["method"], {})[row["amount"]] = row[metric]
    return found


def draw(size="class", protocol="dense05", published=True):
    """The newest curves of a protocol as a matplotlib Figure: PSNR over the number of hints, grey as a line, and Zhang et al.'s published curve.

    Fractions are turned into counts at the size the rows were measured at.
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
    return figure


def table(rows):
    """Rows of `measure_method` as a Markdown table: protocol, amount, PSNR with standard error, median, colourful pictures, error at the hints."""
    head = ["method", "protocol", "hints", "PSNR", "s.e.", "median", "colourful", "error at hints"]
    keys = (("psnr", 2), ("psnr_se", 2), ("psnr_median", 2), ("psnr_colorful", 2), ("hint_error", 2))
    amount = lambda value: f"{100 * value:g} %" if 0 < value < 1 else f"{value:g}"
    return results.markdown([head] + [[row["method"], row["protocol"], amount(row["amount"]), *(results.cell(row[key], decimals) for key, decimals in keys)]
                                      for row in rows])
