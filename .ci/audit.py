"""Known vulnerabilities in what is installed: pip-audit, with the exceptions of audit.toml, each of which has a last day.

python .ci/audit.py       exit status 0 only where every package pinned in requirements.txt was looked up and nothing was found beyond the exceptions
"""
import datetime
import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

HERE = Path(__file__).parent
FIELDS = {"id": str, "package": str, "reason": str, "expires": datetime.date}
LONGEST = datetime.timedelta(days=366)


def read_exceptions(path, today):
    """The exceptions of a file, dicts with FIELDS. Raises ValueError for one that is incomplete, too far ahead, or over."""
    found = tomllib.loads(Path(path).read_text()).get("exception", [])
    for one in found:
        for field, kind in FIELDS.items():
            if not isinstance(one.get(field), kind) or not one[field]:
                raise ValueError(f"{path}: the exception {one.get('id', '?')} needs {field}, {'a date' if kind is datetime.date else 'a text'}.")
        if unknown := one.keys() - FIELDS.keys():
            raise ValueError(f"{path}: the exception {one['id']} has {min(unknown)}, which means nothing: it has {', '.join(FIELDS)}.")
        if one["expires"] < today:
            raise ValueError(f"{path}: the exception {one['id']} for {one['package']} was good until {one['expires']}: update the package, or look again "
                             "and date it anew.")
        if one["expires"] > today + LONGEST:
            raise ValueError(f"{path}: the exception {one['id']} for {one['package']} holds until {one['expires']}: a year is the longest.")
    return found


def pinned(path):
    """Names of the packages a requirements file pins, as the index spells them."""
    lines = Path(path).read_text().splitlines()
    return {re.sub(r"[-_.]+", "-", line.partition("==")[0].strip()).lower() for line in lines if "==" in line and not line.lstrip().startswith("#")}


def audit(exceptions, options=()):
    """What pip-audit says of this interpreter's packages: its JSON. Raises ValueError where it says none."""
    command = [sys.executable, "-m", "pip_audit", "--format", "json", "--progress-spinner", "off", "--skip-editable", *options]
    for one in exceptions:
        command += ["--ignore-vuln", one["id"]]
    done = subprocess.run(command, capture_output=True, text=True)
    try:
        return json.loads(done.stdout)["dependencies"]
    except (ValueError, KeyError, TypeError):
        raise ValueError(f"pip-audit gave no answer: {(done.stderr.strip().splitlines() or ['it said nothing'])[-1]}") from None


def main(folder=HERE, today=None, options=()):
    """Print what was found; the exit status."""
    try:
        exceptions = read_exceptions(folder / "audit.toml", today or datetime.date.today())
        packages = audit(exceptions, options)
    except ValueError as error:
        print(error, file=sys.stderr)
        return 1
    looked_up = {re.sub(r"[-_.]+", "-", one["name"]).lower() for one in packages if "skip_reason" not in one}
    found = [(one["name"], one["version"], flaw) for one in packages for flaw in one.get("vulns", ())]
    for name, version, flaw in found:
        print(f"{name} {version}: {flaw['id']}, mended in {', '.join(flaw['fix_versions']) or 'no version yet'}", file=sys.stderr)
    if missing := sorted(pinned(folder.parent / "requirements.txt") - looked_up):
        print(f"Not looked up: {', '.join(missing)}. Install requirements.txt, and check that the vulnerability service can be reached.", file=sys.stderr)
    print(f"{len(looked_up)} packages looked up, {len(found)} vulnerabilities, {len(exceptions)} exceptions" +
          "".join(f"; {one['id']} ({one['package']}) until {one['expires']}: {one['reason']}" for one in exceptions))
    return 1 if found or missing else 0


if __name__ == "__main__":
    sys.exit(main(options=sys.argv[1:]))
