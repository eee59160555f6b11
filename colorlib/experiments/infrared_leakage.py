"""What a split that leaks is worth: one network trained twice, tested on the same pairs, once with other crops of the very photographs it is tested on.

Infrared pairs are often crops, two and more of a photograph. Cut by crop, a set has half of what is tested in its training part; published copies of the VCIP
2020 set even hold the same crop on both sides. Both trainings here have as many pairs.
"""
import hashlib
from dataclasses import replace

from colorlib import data, experiments, results, train, zoo

__all__ = ["run", "split_twins", "table", "FILE", "TESTED", "ROWS", "METRICS"]

FILE = "infrared_leakage"
METRICS = ("psnr", "ssim", "ae")
TESTED = 36                 # photographs tested on, at most
ROWS = ("photographs kept apart", "other crops of the test photographs")


def split_twins(groups, count=TESTED, seed=0):
    """{id: group} -> (test ids, {row of ROWS: ids trained on}): one crop each of `count` photographs that have several; trained on what shares no photograph
    with them, or on as many pairs, their other crops among these. Raises ValueError where no photograph has two crops or nothing else is left.

    >>> tested, trained = split_twins({"a1": "a", "a2": "a", "b1": "b", "c1": "c"})      # two crops of a, one of b and of c
    >>> tested[0][0], sorted(trained["photographs kept apart"]), len(trained["other crops of the test photographs"])
    ('a', ['b1', 'c1'], 2)
    """
    rank = lambda one: hashlib.sha256(f"{seed}/{one}".encode()).digest()
    members = {}
    for one in sorted(groups, key=rank):
        members.setdefault(groups[one], []).append(one)
    several = sorted((group for group, ids in members.items() if len(ids) > 1), key=rank)[:count]
    tested, twins = [members[group][0] for group in several], [one for group in several for one in members[group][1:]]
    apart = [one for one in sorted(groups, key=rank) if groups[one] not in several]
    if not tested or len(apart) <= len(twins):
        raise ValueError("Too few photographs have several crops here, or no others are left: name a folder of crops, such as the VCIP 2020 pairs.")
    return tested, {ROWS[0]: apart, ROWS[1]: apart[len(twins):] + twins}


def run(spec, name="unet_infrared", size=None, seed=0, changes=None, device="auto", precision=None, progress=None):
    """Train and measure a method on both training sets of `split_twins`, append a row each to `data/results/infrared_leakage.csv`, yield a line about each.

    spec: a folder of pairs, see `data.open_pairs`; all its pairs are divided anew. changes: {field of Config: value}. Raises ValueError, with what
    to do, for a folder without pairs or without several crops of a photograph.

    >>> next(run("a folder nobody has"))
    Traceback (most recent call last):
    ValueError: ...a folder nobody has is not a folder: check the path.
    """
    size, method = size or train.size(), zoo.get(name)
    config = replace(method.presets[size], seed=seed, **changes or {})
    side, test_side = round(experiments.ZOOM * config.image_size), experiments.INFRARED_TEST_SIZE[size]
    known = {pixels: data.pack(data.NirPairs(spec, pixels)) for pixels in (side, test_side)}
    tested, rows = split_twins(data.shared_photos(known[side]))
    test = data.choose(known[test_side], tested)
    for row, ids in rows.items():
        fabric = train.make_fabric(device, precision=precision)
        step = method.papers.make_step(config, fabric, pairs := data.choose(known[side], ids))
        train.fit(step, pairs, steps=config.steps, batch_size=config.batch_size, fabric=fabric, seed=seed, crop=config.image_size, progress=progress)
        summary = experiments.summarize_pairs(method, step.result(), test)
        found = {key: summary[key] for key in METRICS}
        results.append(FILE, {"method": name, "variant": row, "size": size, "dataset": experiments.data_name(spec), "split_hash": results.split_hash(tested),
                              "n": len(tested), "seed": seed, "steps": config.steps, "batch": config.batch_size, "trained_on": len(ids),
                              "config_hash": results.config_hash(config)} | found)
        yield f"{name}: {row}: " + ", ".join(f"{results.METRICS[key][0]} {value:.3f}" for key, value in found.items())


def table(size="class"):
    """The newest rows, Markdown. Raises ValueError where nothing was measured.

    >>> table("a size nobody has")
    Traceback (most recent call last):
    ValueError: No leak was measured at size a size nobody has: run `infrared_leakage.run` on a folder of crops.
    """
    rows = {(row["method"], row["variant"], row["seed"]): row for row in results.read(FILE) if row["size"] == size}
    if not rows:
        raise ValueError(f"No leak was measured at size {size}: run `infrared_leakage.run` on a folder of crops.")
    lines = [["system", "trained on", "pairs trained on", "tested on", *map(results.heading, METRICS)]]
    lines += [[row["method"], row["variant"], str(row["trained_on"]), str(row["n"]), *results.cells(row, METRICS)] for row in rows.values()]
    return results.markdown(lines)
