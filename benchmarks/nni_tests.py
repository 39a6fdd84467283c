"""NNI's own tests of strategies, engines, middleware and experiments, with parts of ours in the place of NNI's.

git clone --branch v3.0 https://github.com/microsoft/nni
python benchmarks/nni_tests.py nni                # half an hour on two cores, for gp and bo
python benchmarks/nni_tests.py nni --quick        # under 50 s: three combinations, and a part of the tests

The tests are copied to a temporary folder. Imports and constructors are replaced (``benchmarks/nni_stand_ins.py``), nothing else. Tests
that NNI itself marks as flaky have a second try. Left out are those of NNI's service (``ts``) and of one-shot strategies; those of
reinforcement learning where tianshou below 1 and gym are not installed. A test that takes over 20 s has failed, where pytest-timeout is
installed. The last line is JSON: passed and failed by combination.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import re
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from xml.etree import ElementTree

PROJECT = Path(__file__).parents[1]
SANITY, MIDDLEWARE = "ut/nas/strategy/test_sanity.py", "ut/nas/strategy/test_middleware.py"
ENGINE, EXPERIMENT, HPO = "ut/nas/test_engine.py", "ut/nas/experiment/test_experiment.py", "algo/nas/strategy/test_hpo.py"
MODELS = "ut/nas/nn/models.py"  # of the experiments
STRATEGIES = ("evolution", "local", "tpe", "gp", "bo", "nsga2")
QUICK = [
    ("our tpe on NNI's engine", "tpe", False),
    ("NNI's strategies on our engine", None, True),
    ("our local on our engine", "local", True),
]
REPLACED = {"nni.nas.strategy": ("Random", "RegularizedEvolution", "TPE"), "nni.nas.execution": ("SequentialExecutionEngine",)}
LEFT_OUT = ["ts", "oneshot", "experiment_sanity"]  # the last needs the service, too
SLOW = ["test_multiple", "test_failure", "test_tpe", "test_filter", "test_grid_search and numerical", "numerical and False"]
FLAKY = re.compile(r"test_evolution\[|reinforcement")
HAS_TIANSHOU = all(importlib.util.find_spec(name) is not None for name in ("tianshou", "gym"))  # what NNI's PolicyBasedRL imports
LIMIT = ["--timeout=20"] if importlib.util.find_spec("pytest_timeout") is not None else []
Outcomes = dict[str, tuple[str, str]]  # by file and name: passed, failed or skipped, and the first line of an error


def replace_imports(text: str, modules: set[str]) -> str:
    """Return the text of a test which takes from our stand-ins what it takes of ``modules``."""
    lines = []
    for line in text.splitlines():
        if line.startswith("from tianshou") and not HAS_TIANSHOU:
            names = line.partition(" import ")[2]
            line = f"{' = '.join(name.strip() for name in names.split(','))} = None"
        lines.append(line)
        found = re.match(r"from (\S+) import (.*)", line)
        if found and found[1] in modules:
            lines += [f"from nni_stand_ins import {name}" for name in re.findall(r"\w+", found[2]) if name in REPLACED[found[1]]]
    return "\n".join(lines) + "\n"


def copy_tests(source: Path, folder: Path, modules: set[str]) -> None:
    """Copy NNI's tests to ``folder``, with imports replaced, and make packages of their folders."""
    for name in (SANITY, MIDDLEWARE, ENGINE, EXPERIMENT, HPO, MODELS):
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(replace_imports((source / "test" / name).read_text(encoding="utf-8"), modules), encoding="utf-8")
        for parent in Path(name).parents:
            if parent != Path():
                (folder / parent / "__init__.py").touch()


def run_tests(folder: Path, files: list[str], strategy: str, chosen: str) -> Outcomes:
    """Run those of NNI's tests in ``files`` that ``chosen`` selects, as pytest's ``-k`` does."""
    report = folder / "report.xml"
    paths = [str(PROJECT), str(PROJECT / "benchmarks"), str(folder)]
    environment = {**os.environ, "NNI_TESTS_STRATEGY": strategy, "PYTHONPATH": os.pathsep.join(paths), "HOME": str(folder)}
    options = ["-q", "-p", "no:cacheprovider", f"--rootdir={folder}", f"--junitxml={report}", "-W", "ignore", "-o", "addopts=", *LIMIT]
    command = [sys.executable, "-m", "pytest", *options, "-k", chosen, *files]
    report.unlink(missing_ok=True)
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    if not report.is_file():
        raise SystemExit(f"error: pytest did not run NNI's tests:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    return dict(_read_report(report))


def _read_report(report: Path) -> Iterator[tuple[str, tuple[str, str]]]:
    for case in ElementTree.parse(report).iter("testcase"):
        name = f"{case.get('classname', '').rpartition('.')[2]}::{case.get('name')}"
        bad = next((part for part in case if part.tag in ("failure", "error")), None)
        if bad is not None:
            yield name, ("failed", (bad.get("message") or "").splitlines()[0][:110])
        else:
            yield name, ("passed" if case.find("skipped") is None else "skipped", "")


def run_combination(source: Path, strategy: str | None, our_engine: bool, quick: bool) -> Outcomes:
    """Run the tests that one combination concerns; ``None``: NNI's own strategies."""
    modules = {module for module, used in (("nni.nas.strategy", strategy), ("nni.nas.execution", our_engine)) if used}
    files = [SANITY, MIDDLEWARE]
    files += [ENGINE] if strategy is None else [] if our_engine or quick else [EXPERIMENT]
    files += [HPO] if strategy == "tpe" and not quick else []
    left_out = LEFT_OUT + (SLOW if quick else [])
    if strategy is not None:
        left_out = [*left_out, "test_grid_search"]  # which says nothing of ours
    if strategy is not None or not HAS_TIANSHOU:
        left_out = [*left_out, "reinforcement", "rl"]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        copy_tests(source, folder, modules)
        told = run_tests(folder, files, strategy or "", " and ".join(f"not ({words})" for words in left_out))
        again = {name.partition("::")[2].partition("[")[0] for name, (state, _) in told.items() if state == "failed" and FLAKY.search(name)}
        if again:
            second = run_tests(folder, files, strategy or "", " or ".join(sorted(again)))
            told |= {name: outcome for name, outcome in second.items() if name in told and told[name][0] == "failed"}
    return told


def show(words: str, told: Outcomes) -> None:
    """Print what passed and failed, by file, and why what failed did."""
    print(f"\n{words}")
    by_file: dict[str, Counter[str]] = {}
    for name, (state, _) in told.items():
        by_file.setdefault(name.partition("::")[0], Counter())[state] += 1
    for file, counts in by_file.items():
        print(f"  {file:20} {counts['passed']:3} passed {counts['failed']:3} failed {counts['skipped']:3} skipped")
    for name, (state, error) in told.items():
        if state == "failed":
            print(f"    failed {name.partition('::')[2]}: {error}")


def main() -> None:
    """Run all combinations and print what passed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path, help="a checkout of NNI v3.0")
    parser.add_argument("--quick", action="store_true", help="three combinations, and a part of the tests; under 50 s")
    parser.add_argument("--strategies", nargs="+", choices=STRATEGIES, default=STRATEGIES, help="of ours; all by default")
    arguments = parser.parse_args()
    if not (arguments.source / "test" / SANITY).is_file():
        parser.error(f"{arguments.source} is no checkout of NNI v3.0: there is no test/{SANITY}")
    if not HAS_TIANSHOU:
        print("tianshou or gym is not installed: tests of reinforcement learning are left out (pip install 'tianshou<1' 'gym<0.27')")
    combinations: list[tuple[str, str | None, bool]] = QUICK if arguments.quick else []
    if not arguments.quick:
        combinations = [("NNI's strategies on NNI's engine", None, False), ("NNI's strategies on our engine", None, True)]
        combinations += [
            (f"our {name} on {whose} engine", name, whose == "our") for name in arguments.strategies for whose in ("NNI's", "our")
        ]
    with ThreadPoolExecutor(2) as pool:
        runs = [(words, pool.submit(run_combination, arguments.source, name, ours, arguments.quick)) for words, name, ours in combinations]
        summary = {}
        for words, run in runs:
            show(words, run.result())
            counts = Counter(state for state, _ in run.result().values())
            summary[words] = {"passed": counts["passed"], "failed": counts["failed"]}
    print(json.dumps(summary))


if __name__ == "__main__":
    main()
