"""Run a benchmark, and keep the line of JSON at its end in benchmarks/records/, with machine, commit and date.

    python benchmarks/record.py search-step --seeds 0 -- python benchmarks/supernet_step.py --quick

A record is a file of one claim: what is measured, in which units, and each run of it. The pages are written from these files by
``benchmarks/results_page.py``. A claim's first record needs ``--title`` and a ``--unit`` for each name in its values.
"""

# ruff: noqa: E402 (a script of the checkout, which need not be installed: the imports follow the path)
from __future__ import annotations

import argparse
import datetime
import json
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.arguments import refuse
from benchmarks.machine import describe
from common.files import write_text_atomically

RECORDS = ROOT / "benchmarks" / "records"
FIELDS = {"title": str, "units": dict, "runs": list}
RUN_FIELDS = {"command": str, "machine": dict, "commit": str, "date": str, "seeds": list, "source": str, "values": dict}
MACHINE_FIELDS = {"processor": str, "cores": int, "units": list, "torch": str}
MEASURED, TRANSCRIBED = "measured", "transcribed from docs/measurements/"
NO_UNIT = (str, bool, type(None))  # words and truths need none


class RecordFault(ValueError):
    """A record lacks something; the text says where and what."""


def read_record(name: str) -> dict[str, Any]:
    """A record of benchmarks/records/, checked."""
    record = json.loads((RECORDS / f"{name}.json").read_text(encoding="utf-8"))
    check(name, record)
    return record


def check(name: str, record: Mapping[str, Any]) -> None:
    """Raise :class:`RecordFault` where a record or one of its runs lacks a field, or a value lacks its unit."""
    _check_fields(name, record, FIELDS)
    for number, run in enumerate(record["runs"]):
        where = f"{name}, run {number}"
        _check_fields(where, run, RUN_FIELDS)
        _check_fields(f"{where}, machine", run["machine"], MACHINE_FIELDS)
        datetime.date.fromisoformat(run["date"])
        if run["source"] != MEASURED and not (run["source"].startswith(TRANSCRIBED) and (ROOT / run["source"].split()[-1]).is_file()):
            raise RecordFault(f"{where}: source is {run['source']!r}; write {MEASURED!r} or '{TRANSCRIBED}' and the name of a page")
        lacking = {key for key, value in numbers(run["values"]) if key not in record["units"]}
        if lacking:
            raise RecordFault(f"{where}: no unit of {', '.join(sorted(lacking))}")


def _check_fields(where: str, told: Mapping[str, Any], fields: Mapping[str, type]) -> None:
    for field, kind in fields.items():
        if not isinstance(told.get(field), kind):
            raise RecordFault(f"{where}: {field} is no {kind.__name__}")


def numbers(values: Any, key: str = "") -> Iterator[tuple[str, float]]:
    """Each number in ``values``, with the name it stands under; that of a list is the list's."""
    if isinstance(values, Mapping):
        for name, value in values.items():
            yield from numbers(value, name)
    elif isinstance(values, Sequence) and not isinstance(values, str):
        for value in values:
            yield from numbers(value, key)
    elif not isinstance(values, NO_UNIT):
        yield key, values


def commit() -> str:
    """The commit of the checkout, with a plus where tracked files have changed since."""
    told = [
        subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True, check=False).stdout.strip()
        for words in (["rev-parse", "--short", "HEAD"], ["status", "--porcelain", "--untracked-files=no"])
    ]
    return (told[0] or "unknown") + ("+" if told[1] else "")


def make_run(command: str, values: dict[str, Any], seeds: Sequence[int], note: str = "", *, shared: bool = False) -> dict[str, Any]:
    """A run that was just measured here; ``shared``: other work kept the machine busy, so that its times say little."""
    told = {"command": command, "machine": describe(), "commit": commit(), "date": datetime.date.today().isoformat()}
    extra = {**({"note": note} if note else {}), **({"shared": True} if shared else {})}
    return {**told, "seeds": list(seeds), "source": MEASURED, **extra, "values": values}


def append_run(name: str, run: dict[str, Any], title: str = "", units: Mapping[str, str] | None = None) -> None:
    """Add a run to a record, which is made where it is new."""
    path = RECORDS / f"{name}.json"
    record = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {"title": "", "units": {}, "runs": []}
    record |= {"title": title or record["title"], "units": {**record["units"], **(units or {})}, "runs": [*record["runs"], run]}
    if not record["title"]:
        raise RecordFault(f"{name}: a new record needs a title")
    check(name, record)
    RECORDS.mkdir(exist_ok=True)
    write_record(path, record)


def write_record(path: Path, record: Mapping[str, Any]) -> None:
    """Write a record, its lists of plain values on one line each."""
    text = json.dumps(record, indent=2, ensure_ascii=False, allow_nan=False)
    text = re.sub(r"\[\n\s+([^\[\]{}]*?)\n\s+\]", lambda found: "[" + re.sub(r",\n\s+", ", ", found[1]) + "]", text)
    write_text_atomically(path, text + "\n")


def last_line(command: Sequence[str]) -> dict[str, Any]:
    """Run a command, whose output is shown as it comes; the JSON object in its last line."""
    line = ""
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        assert process.stdout is not None
        for text in process.stdout:
            line = text.strip() or line
            print(text, end="", flush=True)
    if process.returncode != 0:
        raise RecordFault(f"exit status {process.returncode}: {shlex.join(command)}")
    try:
        told = json.loads(line)
    except ValueError:
        told = None
    if not isinstance(told, dict):
        raise RecordFault(f"the last line is no JSON object: {shlex.join(command)}")
    return told


def pair(text: str) -> tuple[str, str]:
    """``NAME=UNIT``, as a type of ``argparse``."""
    name, equals, unit = text.partition("=")
    if not (name and equals and unit):
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=UNIT")
    return name, unit


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", help="of the record: benchmarks/records/NAME.json")
    parser.add_argument("--title", default="", help="what is measured, for a new record")
    parser.add_argument("--unit", dest="units", action="append", type=pair, default=[], metavar="NAME=UNIT", help="of values of this name")
    parser.add_argument("--seeds", type=int, nargs="*", default=[], help="seeds of the run")
    parser.add_argument("--shared", action="store_true", help="other work keeps the machine busy: times are kept, and not shown")
    parser.add_argument("--note", default="", help="what else has to be known, such as other work beside it")
    parser.add_argument("command", nargs="+", help="after --: the benchmark")
    arguments = parser.parse_args()
    command = [sys.executable if word in ("python", "python3") else word for word in arguments.command]
    with refuse(RecordFault):
        run = make_run(shlex.join(arguments.command), last_line(command), arguments.seeds, arguments.note, shared=arguments.shared)
        append_run(arguments.name, run, arguments.title, dict(arguments.units))


if __name__ == "__main__":
    main()
