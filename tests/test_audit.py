"""The audit of dependencies: exceptions have a last day, and a service that cannot be reached is not taken for a clean bill. pip-audit is played by a program
of the test's."""
import datetime
import importlib.util
import json
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
TODAY = datetime.date(2026, 6, 1)
EXCEPTION = """[[exception]]
id = "GHSA-1"
package = "torch"
reason = "not called"
expires = {}
"""
FAKE = """import json, os, sys
open({log!r}, "w").write(json.dumps(sys.argv[1:]))
sys.stdout.write({answer!r})
sys.exit({status})
"""


@pytest.fixture(scope="module")
def audit():
    spec = importlib.util.spec_from_file_location("audit", ROOT / ".ci" / "audit.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A function that lays out a project and a pip-audit with this answer; (its .ci folder, a function for the arguments pip-audit got)."""
    def make(exceptions="", answer="", status=0):
        (tmp_path / ".ci").mkdir()
        (tmp_path / ".ci" / "audit.toml").write_text(exceptions)
        (tmp_path / "requirements.txt").write_text("# a comment\ntorch==2.11.0\nopencv_python==5.0\n-e .\n")
        (tmp_path / "pip_audit").mkdir()
        (tmp_path / "pip_audit" / "__main__.py").write_text(FAKE.format(log=str(tmp_path / "log"), answer=answer, status=status))
        monkeypatch.setenv("PYTHONPATH", str(tmp_path))
        return tmp_path / ".ci", lambda: json.loads((tmp_path / "log").read_text())
    return make


def said(*packages):
    return json.dumps({"dependencies": [*packages], "fixes": []})


TORCH, CV = {"name": "torch", "version": "2.11.0", "vulns": []}, {"name": "opencv-python", "version": "5.0", "vulns": []}
FLAW = {"id": "GHSA-2", "fix_versions": ["2.12.0"], "aliases": ["CVE-2026-1"], "description": "x"}


def test_all_is_well(audit, project, capsys):
    folder, arguments = project(EXCEPTION.format("2026-06-01"), said(TORCH, CV, {"name": "colorlib", "skip_reason": "editable"}))
    assert audit.main(folder, TODAY) == 0
    assert arguments()[-2:] == ["--ignore-vuln", "GHSA-1"]
    assert "2 packages looked up, 0 vulnerabilities, 1 exceptions; GHSA-1 (torch) until 2026-06-01: not called" in capsys.readouterr().out


def test_a_vulnerability_fails(audit, project, capsys):
    folder, _ = project("", said(TORCH | {"vulns": [FLAW]}, CV), status=1)
    assert audit.main(folder, TODAY) == 1 and "torch 2.11.0: GHSA-2, mended in 2.12.0" in capsys.readouterr().err


def test_what_was_not_looked_up_fails(audit, project, capsys):
    """pip-audit says "No known vulnerabilities" where the service knows no package at all."""
    folder, _ = project("", said(TORCH, {"name": "opencv-python", "skip_reason": "not found"}))
    assert audit.main(folder, TODAY) == 1 and "Not looked up: opencv-python." in capsys.readouterr().err


@pytest.mark.parametrize("answer", ("", "<html>", "[]", "{}"))
def test_no_answer_fails(audit, project, capsys, answer):
    folder, _ = project("", answer, status=1)
    assert audit.main(folder, TODAY) == 1 and "pip-audit gave no answer" in capsys.readouterr().err


@pytest.mark.parametrize(("text", "sentence"), (
    (EXCEPTION.format("2026-05-31"), "GHSA-1 for torch was good until 2026-05-31: update the package"), (EXCEPTION.format("2027-07-01"),
                                                                                                         "a year is the longest"),
    (EXCEPTION.format('"2026-06-02"'), "needs expires, a date"), (EXCEPTION.format("2026-06-02").replace("not called", ""), "needs reason, a text"),
    (EXCEPTION.format("2026-06-02") + "until = 1\n", "has until, which means nothing")))
def test_exceptions_end(audit, project, capsys, text, sentence):
    folder, _ = project(text, said(TORCH, CV))
    assert audit.main(folder, TODAY) == 1 and sentence in capsys.readouterr().err


def test_the_projects_own_exceptions_are_in_force(audit):
    assert isinstance(audit.read_exceptions(ROOT / ".ci" / "audit.toml", datetime.date.today()), list)
    assert {"torch", "pillow", "opencv-python", "webdataset"} <= audit.pinned(ROOT / "requirements.txt")


def test_the_workflow_runs_the_audit_each_week_with_few_rights():
    text = (ROOT / ".github" / "workflows" / "tests.yml").read_text()
    assert "python .ci/audit.py" in text and re.search(r"schedule:\n\s+- cron:", text) and re.search(r"^permissions:\n  contents: read$", text, re.M)
    assert all(re.fullmatch(r"[\w-]+/[\w-]+@(v\d+|[0-9a-f]{40})", used) for used in re.findall(r"uses: (\S+)", text))
