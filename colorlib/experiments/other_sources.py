"""How far a method carries: photographs of other sources than it was trained on, each source on its own, since a narrow one (groceries) has its own colours.

A source is a folder; all its pictures are measured. A gain over the same pictures left grey can be compared between sources, a PSNR cannot. Rows go to
`data/results/natural.csv`.
"""
from colorlib import experiments, results, train, zoo

__all__ = ["measure", "table", "can_be_measured", "needs_little"]

TABLE = "natural"


def can_be_measured(name, size="class"):
    """Whether a method has weights, or needs none, and `needs_little`.

    >>> can_be_measured("levin"), can_be_measured("film")      # who learns nothing needs no weights; FiLM needs words
    (True, False)
    """
    method = zoo.get(name)
    return (not method.learns or zoo.weights_file(name, size).exists()) and needs_little(method)


def needs_little(method):
    """Whether a method sees grey pictures and needs nothing beside them, or hints, which the pictures themselves give.

    >>> needs_little(zoo.get("siggraph17")), needs_little(zoo.get("gray2color"))
    (True, False)
    """
    return method.sees == "grey" and not set(method.conditions) - {"hints"} and not experiments.reads_clips(method)


def measure(name, folder, size=None, weights=None, limit=None, device="auto", progress=None, write=True):
    """Paint all pictures of a folder (at most `limit`, evenly spread) and append a row. Returns {"n", metric: mean}, with "gain", in dB over grey, and its
    95 % interval "gain_low", "gain_high". Raises ValueError for a method that needs a caption, a reference, infrared or clips.

    >>> measure("film", "photos/")
    Traceback (most recent call last):
    ValueError: film needs more than a grey picture: choose a method that is automatic or takes hints, such as ...
    """
    size, method = size or train.size(), zoo.get(name)
    if not needs_little(method):
        raise ValueError(f"{name} needs more than a grey picture: choose a method that is automatic or takes hints, such as {zoo.BEST['']}.")
    model = zoo.load(name, weights, size, device)
    dataset = experiments.open_dataset(folder, experiments.TEST_SIZE[size], "all", limit)
    summary = experiments.measure_over_grey(method, model, dataset, progress)
    if write:
        trained = experiments.columns_of_training(model, weights or zoo.weights_file(name, size)) if method.learns else {}
        results.append(TABLE, {"method": name, "variant": "", **experiments.columns_of_test(size, folder, dataset, "all"), **trained} | summary)
    return summary


def table(size="class"):
    """Markdown: a row a method, of each source the gain over grey with its 95 % interval and how colourful, beside the number of pictures.

    >>> table("a size nobody has")
    '| method |\\n| --- |'
    """
    rows = [row for row in results.read(TABLE) if row["size"] == size]
    latest = {(row["method"], row["dataset"]): row for row in rows}
    sources = list(dict.fromkeys(row["dataset"] for row in rows))
    count = {row["dataset"]: row["n"] for row in latest.values()}
    short = {source: source.removesuffix(" all") for source in sources}
    lines = [["method", *(f"{short[source]} ({count[source]}): over grey, dB" for source in sources), *(f"{short[source]}: colour" for source in sources)]]
    mean = lambda name: sum(latest[name, source]["gain"] for source in sources if (name, source) in latest)
    for name in sorted(dict.fromkeys(row["method"] for row in rows), key=mean, reverse=True):
        found = [latest.get((name, source)) for source in sources]
        gain = lambda row: f"{row['gain']:+.2f} [{row['gain_low']:.2f}, {row['gain_high']:.2f}]" if row else "—"
        lines.append([name, *map(gain, found), *(f"{row['colorfulness_ratio']:.2f}" if row else "—" for row in found)])
    return results.markdown(lines)
