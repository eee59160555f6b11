"""The table that grows through the course: every chapter adds its systems as rows, in the same columns, beside grey and the mean colour.

Nearly all rows are those of `data/results/conditions.csv`: class weights, the same test photographs for every system. A system that was never measured on these
(it needs infrared pictures or clips) stands with its own pictures, and *over grey* then counts from these pictures left grey.
"""
from typing import NamedTuple

from colorlib import results

__all__ = ["so_far", "chapters", "ROWS", "Row"]

COLUMNS = ("psnr", "over grey", "de2000", "colorfulness_ratio")
SIZE, SHARED = "class", ("conditions", "imagenette val")      # weights; file and data set of the photographs that most rows share
LEFT_GREY = ("grey", "infrared copied")                       # the row that "over grey" counts from
INFRARED, CLIP = ("infrared", "vcip2020 val"), ("video", "big_buck_bunny val")


class Row(NamedTuple):
    """One row of the table: the chapter that adds it, the method's name in the catalogue, what it is given, and the results it is read from.

    measured: (file of `data/results`, data set). variant: of that file's row.

    >>> [row.method for row in ROWS if row.chapter == "02"]
    ['koalarization']
    """
    chapter: str
    method: str
    given: str = "nothing"
    measured: tuple = SHARED
    variant: str = ""


ROWS = (
    Row("00", "grey"), Row("00", "mean colour"), Row("00", "photonet"),
    Row("01", "cic"),
    Row("02", "koalarization"),
    Row("03", "scgan"),
    Row("04", "siggraph17", "50 hints", variant="50 hints"), Row("04", "hintnet", "50 hints", variant="50 hints"),
    Row("04", "levin", "50 hints", variant="50 hints"), Row("04", "hscau", "50 hints", variant="50 hints"),
    Row("05", "concat", "its caption", variant="its caption"), Row("05", "film", "its caption", variant="its caption"),
    Row("06", "welsh", "a related reference", variant="a related reference"), Row("06", "color2embed", "a related reference", variant="a related reference"),
    Row("06", "gray2color", "a related reference", variant="a related reference"),
    Row("07", "infrared copied", "infrared", INFRARED), Row("07", "unet_infrared", "infrared", INFRARED), Row("07", "sshape", "infrared", INFRARED),
    Row("07", "stacked_gan", "infrared", INFRARED), Row("07", "asym_cyclegan", "infrared", INFRARED), Row("07", "nirnet", "infrared", INFRARED),
    Row("08", "tcvc", "the frame before, as it painted it", CLIP),
)


def chapters():
    """The numbers of the notebooks there are, in order.

    >>> chapters()[:3]
    ['00', '01', '02']
    """
    return sorted(path.name[:2] for path in (results.repository() / "notebooks").glob("[0-9][0-9]_*.ipynb"))


def so_far(chapter):
    """Markdown: the rows of all chapters up to this one, such as "09", those of the chapter itself in bold; what has no result yet is an em dash.

    Raises ValueError for what is no chapter.

    >>> [line.split(" | ")[1] for line in so_far("00").splitlines()[2:]]
    ['**grey**', '**mean colour**', '**photonet**']
    """
    if chapter not in chapters():
        raise ValueError(f"There is no chapter {chapter!r}: choose among {', '.join(chapters())}.")
    heads = [" ".join(results.METRICS[column][::2]).strip() if column in results.METRICS else f"{column}, dB" for column in COLUMNS]
    rows = [row for row in ROWS if row.chapter <= chapter]
    return results.markdown([["chapter", "system", "is given", *heads, "measured on"], *(_line(row, chapter) for row in rows)])


def _line(row, chapter):
    name = f"**{row.method}**" if row.chapter == chapter else row.method
    file, where = row.measured[0], {"dataset": row.measured[1], "size": SIZE}
    found = next((one for one in results.latest(file, **where) if (one["method"], one["variant"]) == (row.method, row.variant or None)), None)
    if found is None:
        return [row.chapter, name, row.given, *["—"] * (len(COLUMNS) + 1)]
    same = where | {"n": found["n"], "split_hash": found["split_hash"]}
    grey = next((left for name in LEFT_GREY for left in reversed(results.matching(file, method=name, **same))), {})
    gain = f"{found['psnr'] - grey['psnr']:+.2f}" if grey else "—"
    cells = [gain if column not in results.METRICS else results.cell(found.get(column), results.METRICS[column][1]) for column in COLUMNS]
    return [row.chapter, name, row.given, *cells, _pictures(row, found["n"], grey)]


def _pictures(row, count, grey):
    """What a row was measured on, and what these pictures score when they are left grey, where they are not those of most rows."""
    if row.measured == SHARED:
        return f"the {count:,} photographs"
    what = {INFRARED: f"{count:,} infrared pictures", CLIP: "one clip"}.get(row.measured, f"{count:,} photographs")
    return f"others: {what}" + (f"; left grey {grey['psnr']:.2f} dB" if grey and row.method not in LEFT_GREY else "")
