"""The table that grows through the course: which rows a chapter shows, where they come from, and that none pretends to share its pictures."""
import pytest

from colorlib import results, zoo
from colorlib.results import course


def cells(chapter):
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in course.so_far(chapter).splitlines()[2:]]


def test_it_grows_and_marks_what_is_new():
    tables = [cells(chapter) for chapter in course.chapters()]
    bare = [[[cell.strip("*") for cell in row] for row in table] for table in tables]
    for number, (before, after) in enumerate(zip(bare, bare[1:]), 1):
        assert after[:len(before)] == before, f"chapter {number:02d} changes the rows before it"
    for number, table in enumerate(tables):
        assert [row[0] for row in table if row[1].startswith("**")] == [row[0] for row in table if row[0] == f"{number:02d}"]
    assert [row[0] for row in bare[-1]] == sorted(row[0] for row in bare[-1]) and len(bare[-1]) == len(course.ROWS)


def test_every_row_was_measured_and_every_method_is_in_the_catalogue():
    assert [row[1] for row in cells(course.chapters()[-1]) if "—" in row] == []
    assert {row.method for row in course.ROWS} - set(zoo.METHODS) <= set(results.TRIVIAL)


def test_what_was_measured_on_other_pictures_says_so():
    for row, line in zip(course.ROWS, cells(course.chapters()[-1])):
        assert line[-1].startswith("the ") == (row.measured == course.SHARED), line
        assert line[4] == "+0.00" if row.method in course.LEFT_GREY else True
    shared = {line[-1] for row, line in zip(course.ROWS, cells(course.chapters()[-1])) if row.measured == course.SHARED}
    assert len(shared) == 1, "rows that share their pictures share all of them"


def test_over_grey_counts_from_the_same_pictures(tmp_path, monkeypatch):
    monkeypatch.setenv("COLORLIB_RESULTS", str(tmp_path))
    row = {"size": "class", "dataset": "imagenette val", "commit": "x", "device": "x", "torch": "x", "date": "x", "de2000": 9, "colorfulness_ratio": 0.5}
    for method, split, n, psnr in (("grey", "a", 5, 20.0), ("grey", "b", 7, 30.0), ("cic", "a", 5, 21.5)):
        results.append("conditions", row | {"method": method, "split_hash": split, "n": n, "psnr": psnr})
    line = next(line for line in cells("01") if "cic" in line[1])
    assert line[3:] == ["21.50", "+1.50", "9.00", "0.50", "the 5 photographs"]
    results.append("conditions", row | {"method": "cic", "split_hash": "c", "n": 2, "psnr": 40.0})
    assert next(line for line in cells("01") if "cic" in line[1]) == line, "a quick look at two pictures replaces no row"
    assert next(line for line in cells("01") if line[1] == "photonet")[3:] == ["—"] * 5
    results.append("infrared", row | {"method": "nirnet", "dataset": "vcip2020 val", "split_hash": "c", "n": 9, "psnr": 25.0})
    assert next(line for line in cells("07") if "nirnet" in line[1])[3:5] == ["25.00", "—"], "these pictures left grey were not measured"


def test_an_unknown_chapter_is_named():
    with pytest.raises(ValueError, match="no chapter '99'"):
        course.so_far("99")
