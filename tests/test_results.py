"""colorlib.results: rows survive, concurrent writers included; tables are exact text; provenance tells the truth."""
import csv
import dataclasses
import multiprocessing
import os
import re
import statistics
import subprocess

import numpy as np
import pytest
import torch
from filelock import FileLock

from colorlib import results


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """An empty checkout: published tables in data/paper_tables, ours in data/results."""
    (tmp_path / "data" / "paper_tables").mkdir(parents=True)
    monkeypatch.delenv("COLORLIB_RESULTS", raising=False)
    monkeypatch.setattr(results, "repository", lambda: tmp_path)
    return tmp_path


def publish(folder, name, *rows):
    lines = ["system,metric,split,value,source", *(",".join(map(str, row)) for row in rows)]
    (folder / "data" / "paper_tables" / f"{name}.csv").write_text("\n".join(lines) + "\n")


# ---------------------------------------------------------------- rows

def test_a_row_comes_back_as_it_went(folder):
    results.append("x", {"method": "film", "n": torch.tensor(7), "psnr": np.float64(23.5), "note": 'a "b", c'})
    row, = results.read("x")
    assert row["n"] == 7 and isinstance(row["n"], int) and row["psnr"] == 23.5 and row["note"] == 'a "b", c'
    assert row["method"] == "film" and row["seed"] is None
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", row["date"]) and row["torch"] == str(torch.__version__)
    header = (folder / "data" / "results" / "x.csv").read_text().splitlines()[0].split(",")
    assert header == [*results.COLUMNS, "psnr", "note"]


def test_new_columns_widen_old_rows(folder):
    results.append("x", {"method": "a", "psnr": 20.0})
    results.append("x", {"method": "b", "ssim": 0.9})
    first, second = results.read("x")
    assert (first["psnr"], first["ssim"], second["psnr"], second["ssim"]) == (20, None, None, 0.9)


def test_names_that_look_like_numbers_stay_text(folder):
    """A hash such as 12345678e123 would otherwise be read as infinity, a variant 313 as a number."""
    results.append("x", {"method": "a", "split_hash": "12345678e123", "variant": 313})
    row, = results.read("x")
    assert row["split_hash"] == "12345678e123" and row["variant"] == "313"


def append_many(process):
    for i in range(10):
        results.append("shared", {"method": f"m{process}", "seed": i, f"metric_{process}": i})


@pytest.mark.skipif(not hasattr(os, "fork"), reason="starting eight processes takes long without fork")
def test_eight_processes_lose_nothing(tmp_path, monkeypatch):
    """Every process also adds a column of its own, so rows and header both must survive."""
    monkeypatch.setenv("COLORLIB_RESULTS", str(tmp_path))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)     # a forked process must not touch the GPU
    with multiprocessing.get_context("fork").Pool(8) as pool:
        pool.map(append_many, range(8))
    rows = results.read("shared")
    assert sorted((row["method"], row["seed"]) for row in rows) == [(f"m{p}", i) for p in range(8) for i in range(10)]
    assert all(row[f"metric_{row['method'][1:]}"] == row["seed"] for row in rows)
    assert not list(tmp_path.glob("*.tmp")) and not list(tmp_path.glob(".*.tmp"))


def test_a_stuck_lock_is_reported(folder, monkeypatch):
    results.append("x", {"method": "a"})
    monkeypatch.setattr(results, "LOCK_SECONDS", 0.05)
    with FileLock(folder / "data" / "results" / ".x.csv.lock"):
        with pytest.raises(TimeoutError, match="x.csv stayed locked"):
            results.append("x", {"method": "b"})


@pytest.mark.parametrize(("name", "row", "message"), [
    ("../x", {"method": "a"}, "name"), ("x", {"psnr": 1.0}, "method"),
    ("x", {"method": "a", "psnr": [1, 2]}, "one number"), ("x", {"method": "a", "psnr": torch.ones(2)}, "'psnr' holds a Tensor"),
    ("x", {"method": "a", "psnr": np.ones(2)}, "'psnr' holds a ndarray"), ("x", {"method": "a", "notes": "x\r=======\ry"}, "'notes' holds .* git's mark"),
])
def test_append_refuses(folder, name, row, message):
    with pytest.raises(ValueError, match=message):
        results.append(name, row)
    assert not (folder / "data" / "results" / "x.csv").exists()


def test_any_line_end_in_a_text_leaves_the_table_whole(folder):
    """A lone carriage return `csv` writes without quotes and reads as the end of a line."""
    for text in ("a\rb", "a\r\nb", "a\nb"):
        results.append("x", {"method": "m", "notes": text})
    path = folder / "data" / "results" / "x.csv"
    path.write_bytes(path.read_bytes().replace(b'"a\nb"', b'"a\rb"', 1))      # as a program that quotes it
    results.append("x", {"method": "m"})
    assert [row["notes"] for row in results.read("x")] == ["a\nb"] * 3 + [None]


def test_a_broken_file_is_named_and_not_overwritten(folder):
    results.append("x", {"method": "a"})
    path = folder / "data" / "results" / "x.csv"
    broken = path.read_text() + "<<<<<<< HEAD\n"
    path.write_text(broken)
    with pytest.raises(ValueError, match="x.csv, line 3: here is git's mark"):
        results.append("x", {"method": "b"})
    assert path.read_text() == broken


def test_latest_prefers_the_larger_size_then_the_newer_run(folder):
    for size, psnr in (("class", 21.0), ("class", 22.0), ("smoke", 15.0)):
        results.append("x", {"method": "a", "size": size, "psnr": psnr, "de2000": psnr})
    assert [row["psnr"] for row in results.latest("x")] == [22.0]
    assert [row["psnr"] for row in results.latest("x", size="smoke")] == [15.0]
    assert [row["psnr"] for row in results.latest("x", best="psnr")] == [22.0]
    assert [row["de2000"] for row in results.latest("x", best="de2000")] == [15.0]       # lower is better
    assert results.latest("nothing") == []


def test_a_quick_look_replaces_no_row_beside_which_it_could_not_stand(folder):
    known = {"size": "class", "dataset": "d val"}
    for method in ("grey", "a", "b"):
        results.append("x", known | {"method": method, "n": 400, "split_hash": "whole", "psnr": 24.0})
    for method in ("grey", "b"):
        results.append("x", known | {"method": method, "n": 20, "split_hash": "few", "psnr": 30.0})
    results.append("x", known | {"method": "c", "n": 20, "split_hash": "few", "psnr": 31.0})
    assert {row["method"]: row["psnr"] for row in results.latest("x")} == {"grey": 24.0, "a": 24.0, "b": 24.0, "c": 31.0}
    for method in ("grey", "a", "b", "c"):                                   # another test set, for all: it takes the old one's place
        results.append("x", known | {"method": method, "n": 300, "split_hash": "new", "psnr": 25.0})
    assert {row["psnr"] for row in results.latest("x")} == {25.0}


def test_the_file_keeps_its_permissions_and_survives_a_failed_write(tmp_path, monkeypatch):
    path = tmp_path / "README.md"
    path.write_text("old")
    path.chmod(0o640)
    results.write_atomic(path, b"new")
    assert path.read_text() == "new" and path.stat().st_mode & 0o777 == 0o640

    def fail(*_):
        raise OSError("disk full")
    monkeypatch.setattr(results.os, "fsync", fail)
    with pytest.raises(OSError, match="disk full"):
        results.write_atomic(path, b"newer")
    assert path.read_text() == "new" and os.listdir(tmp_path) == ["README.md"]


# ---------------------------------------------------------------- provenance

def git(folder, *arguments):
    command = ["git", "-C", folder, "-c", "user.name=t", "-c", "user.email=t@t", *arguments]
    subprocess.run(command, check=True, capture_output=True)


def test_commit_is_dirty_only_by_changes_that_matter(folder):
    assert results.provenance()["commit"] == "unknown"
    git(folder, "init")
    (folder / "code.py").write_text("1")
    git(folder, "add", ".")
    git(folder, "commit", "-m", "first")
    clean = results.provenance()["commit"]
    assert re.fullmatch(r"[0-9a-f]{12}", clean)
    results.append("x", {"method": "a"})                             # results and figures are products, not causes
    os.utime(folder / "code.py", (1, 1))                             # git would note that, under a lock that a killed process leaves behind
    index = (folder / ".git" / "index").read_bytes()
    assert results.provenance()["commit"] == clean and (folder / ".git" / "index").read_bytes() == index
    (folder / "code.py").write_text("2")
    assert results.provenance()["commit"] == clean + "+dirty"


def test_hashes():
    """7e18f737311b is what `printf 'a\\nb' | sha256sum` begins with, so rows of different versions stay comparable."""
    assert results.split_hash(["b", "a"]) == results.split_hash(("a", "b")) == "7e18f737311b"
    assert results.split_hash(["a", "c"]) != results.split_hash(["a", "b"])
    for bad in ("ab", []):
        with pytest.raises(ValueError):
            results.split_hash(bad)

    @dataclasses.dataclass(frozen=True)
    class Config:
        width: int = 64
        betas: tuple = (0.5, 0.999)
    assert results.config_hash(Config()) == results.config_hash({"betas": [0.5, 0.999], "width": 64})
    assert results.config_hash(Config()) != results.config_hash(Config(width=32))


def test_results_lie_in_the_checkout_unless_redirected(monkeypatch, tmp_path):
    monkeypatch.delenv("COLORLIB_RESULTS", raising=False)
    assert (results.repository() / "colorlib" / "results" / "__init__.py").exists()
    assert results.results_folder() == results.repository() / "data" / "results"
    monkeypatch.setenv("COLORLIB_RESULTS", str(tmp_path))
    assert results.results_folder() == tmp_path
    monkeypatch.setattr(results, "__file__", str(tmp_path / "site-packages" / "colorlib" / "results" / "__init__.py"))
    monkeypatch.chdir(tmp_path)
    assert results.repository() == tmp_path                          # installed without the repository


# ---------------------------------------------------------------- tables

@pytest.fixture
def language(folder):
    publish(folder, "language", ("FCNN", "acc@1", "coco", 15.4, "survey"), ("FCNN", "acc@5", "coco", 45.8, "survey"),
            ("FiLM", "acc@1", "coco", 23.7, "survey"), ("FiLM", "quality", "coco", 32.1, "survey"))
    results.append("language", {"method": "language", "variant": "film", "size": "class", "n": 100, "acc@1": 21.26,
                                "psnr": 20.0})
    results.append("language", {"method": "constant bin", "n": 100, "acc@1": 33.1})
    results.append("language", {"method": "grey", "n": 100, "psnr": 22.875})


def test_table_golden(language):
    """Published beside ours, trivial rows first, a dash for the unknown, no "ours" for what only people can judge."""
    assert results.table("language", ["acc@1", "acc@5", "quality", "psnr"], bold=True) == "\n".join([
        "| system | acc@1 % ↑ (paper) | acc@1 % ↑ (ours) | acc@5 % ↑ (paper) | acc@5 % ↑ (ours) "
        "| quality % ↑ (paper) | PSNR ↑ (ours) |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: |",
        "| grey | — | — | — | — | — | **22.88** |",
        "| constant bin | — | **33.1** | — | — | — | — |",
        "| FiLM | **23.7** | 21.3 | — | — | **32.1** | 20.00 |",
        "| FCNN | 15.4 | — | **45.8** | — | — | — |"])


def test_table_rows_columns_and_unpublished(language):
    assert results.table("language", ["acc@1"], rows=["FCNN", "film"], columns=("size", "n")) == "\n".join([
        "| system | size | n | acc@1 % ↑ (paper) | acc@1 % ↑ (ours) |",
        "| --- | ---: | ---: | ---: | ---: |",
        "| FCNN | — | — | 15.4 | — |",
        "| FiLM | class | 100 | 23.7 | 21.3 |"])
    assert results.table("language", ["acc@1"], published=False, size="class") == "\n".join([
        "| system | acc@1 % ↑ (ours) |", "| --- | ---: |", "| language (film) | 21.3 |"])
    with pytest.raises(ValueError, match="no row 'concat'; it has: .*FiLM"):
        results.table("language", ["acc@1"], rows=["concat"])


def test_best_follows_the_arrow(folder):
    for method, de, cf in (("a", 9.0, 30.0), ("b", 12.0, 50.0)):
        results.append("x", {"method": method, "de2000": de, "colorfulness": cf})
    assert results.table("x", ["de2000", "colorfulness"], bold=True).splitlines()[2:] == [
        "| a | **9.00** | 30.00 |", "| b | 12.00 | 50.00 |"]


def test_two_data_sets_show_a_column(folder):
    for dataset in ("imagenette", "natural"):
        results.append("x", {"method": "a", "dataset": dataset, "psnr": 20.0})
    assert "| a | natural | 20.00 |" in results.table("x", ["psnr"])
    assert "natural" not in results.table("x", ["psnr"], dataset="imagenette")


def test_a_split_must_be_named_where_there_are_two(folder):
    publish(folder, "x", ("DDColor", "fid", "val5k", 3.92, "Table 1"), ("DDColor", "fid", "val50k", 0.96, "Table 1"))
    with pytest.raises(ValueError, match="'val5k' and 'val50k'"):
        results.table("x", ["fid"])
    assert "| DDColor | 0.96 | — |" in results.table("x", ["fid"], split="val50k")


def test_published_tables_are_checked(folder):
    path = folder / "data" / "paper_tables" / "x.csv"
    with pytest.raises(FileNotFoundError, match="x.csv"):
        results.read_published("x")
    path.write_text("system,metric,split,value\na,psnr,,1\n")
    with pytest.raises(ValueError, match="x.csv lacks the column 'source'"):
        results.read_published("x")
    publish(folder, "x", ("a", "psnr", "", "about 3", "here"))
    with pytest.raises(ValueError, match="x.csv holds a value that is no number"):
        results.read_published("x")


def test_shipped_tables_are_well_formed():
    tables = sorted((results.repository() / "data" / "paper_tables").glob("*.csv"))
    assert tables
    for path in tables:
        rows = results.read_published(path.stem)
        keys = [(row["system"], row["metric"], row["split"]) for row in rows]
        assert len(set(keys)) == len(keys), f"{path.name} types one number twice"
        assert all(row["source"] for row in rows), f"{path.name} has a number without a source"


def test_user_study_numbers_agree_with_each_other():
    """The nine pictures of 2017 must give the typed mean and sample SD: a slip of one digit would show."""
    rows = results.read_published("koalarization_user_study")
    rows = [row for row in rows if row["system"] == "Deep Koalarization 2017"]
    pictures = [row["value"] for row in rows if row["metric"].startswith("judged real % of picture")]
    typed = {row["metric"]: row["value"] for row in rows}
    assert len(pictures) == 9 and pictures == sorted(pictures, reverse=True)
    assert statistics.mean(pictures) == pytest.approx(typed["judged real %"], abs=0.005)
    assert statistics.stdev(pictures) == pytest.approx(typed["SD over pictures"], abs=0.005)
    assert all("secondary source" in row["source"] or "calculated" in row["source"] for row in rows)


def test_user_study_table_golden():
    assert results.user_study_table().splitlines()[2:] == [
        "| Deep Koalarization 2017 | about 41 | 9 | 45.87 | 22.37 | 3 | — | — "
        "| Casper-Smet's report 2022 (secondary source); calculated from the nine pictures |",
        "| Casper-Smet replication 2022 | 60 | 9 | 48.5 | 17.1 | 3 | 66.67 | 24.7 "
        "| report and notebook in the replication's repository |"]


def test_show_is_markdown_for_a_notebook():
    assert results.show("| a |").data == "| a |"


# ---------------------------------------------------------------- README

@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_replace_section_changes_only_the_section(tmp_path, newline):
    path = tmp_path / "README.md"
    text = newline.join(["# Über", "<!-- results:begin -->", "old", "<!-- results:end -->", "after", ""])
    path.write_bytes(text.encode())
    results.replace_section(path, "results", "\n| a |\n| b |\n")
    expected = text.replace("old", f"| a |{newline}| b |").encode()
    assert path.read_bytes() == expected
    results.replace_section(path, "results", "| a |\n| b |")
    assert path.read_bytes() == expected


@pytest.mark.parametrize("text", ["nothing", "<!-- results:begin -->", "<!-- results:end --><!-- results:begin -->",
                                  "<!-- results:begin --><!-- results:end -->" * 2])
def test_replace_section_refuses_a_file_without_the_section(tmp_path, text):
    path = tmp_path / "README.md"
    path.write_text(text)
    with pytest.raises(ValueError, match="README.md must hold <!-- results:begin -->"):
        results.replace_section(path, "results", "new")
    assert path.read_text() == text


def test_the_csv_is_plain(folder):
    """Other programs read it, too: one header, one line a row, no byte order mark."""
    results.append("x", {"method": "a", "psnr": 1 / 3})
    with open(folder / "data" / "results" / "x.csv", newline="", encoding="utf-8") as file:
        header, row = csv.reader(file)
    assert header[0] == "method" and row[header.index("psnr")] == "0.33333333"
