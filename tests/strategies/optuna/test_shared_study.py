"""``--storage``: several processes share one search, by way of SQLite, a journal, or a real PostgreSQL."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import optuna
import pytest
from nasbench201_table import make_rows, write_table
from nni.nas.evaluator import FunctionalEvaluator
from nni.nas.space import SimplifiedModelSpace
from optuna.storages import BaseStorage
from optuna.trial import TrialState
from postgresql import PASSWORD, postgresql
from small_spaces import TinySpace, built

from common.errors import RecordError, StrategyError
from common.passwords import hide_passwords
from common.trial import Trial
from records.study_note import note_study
from records.trials import TrialLog
from run_experiment import main
from strategies import STRATEGIES
from strategies.engines.in_process import InProcessEngine
from strategies.optuna.shared_study import SharedStudy, name_study, open_storage

PROGRAM = Path(__file__).parents[3] / "run_experiment.py"
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"}
OPTUNAS = [name for name, kind in STRATEGIES.items() if kind.shares_study]
SEARCH = ["--space", "nasbench201", "--evaluator", "table", "--table", "table.csv.gz", "--strategy", "tpe"]


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def table(tmp_path: Path) -> Path:
    return write_table(tmp_path / "table.csv.gz", make_rows())


@pytest.fixture
def opened() -> Iterator[Callable[[str], BaseStorage]]:
    """Opens storages that the test's end closes."""
    with ExitStack() as stack:
        yield lambda url: stack.enter_context(open_storage(url))


def count_letters(model: Any) -> float:
    return sum(ord(name) for name in "ab")


def explore(strategy: str, shared: SharedStudy, *, trials: int = 5, known: list[Trial] | None = None) -> list[Trial]:
    """A search of a small space; results are told as facts too, for those that want several objectives."""
    engine = InProcessEngine(max_trials=trials, known=known or [], describe=lambda network: {"parameters": 3})
    space = SimplifiedModelSpace.from_model(TinySpace(), FunctionalEvaluator(count_letters))
    built(strategy, seed=0, trials=trials, shared=shared, costs=["parameters"])(space, engine)
    return engine.results


def samples_of(results: list[Trial]) -> set[str]:
    return {json.dumps(result.sample, sort_keys=True) for result in results}


@pytest.mark.parametrize("url", ["sqlite:///study.db", "journal:///study.log"])
@pytest.mark.parametrize("strategy", OPTUNAS)
def test_each_process_knows_the_trials_of_all(strategy: str, url: str, opened: Any) -> None:
    first = explore(strategy, SharedStudy(opened(url), "s", "1" * 32))
    second = explore(strategy, SharedStudy(opened(url), "s", "2" * 32))
    assert len(first) == len(second) == 5
    assert not samples_of(first) & samples_of(second), "with one seed, and yet none tries what the other has"
    study = optuna.load_study(study_name="s", storage=opened(url))
    complete = study.get_trials(states=[TrialState.COMPLETE])
    for member, results in (("1", first), ("2", second)):
        told = {str(trial.params) for trial in complete if trial.user_attrs["retiarius:member"] == member * 32}
        assert len(told) == len(results) > 0


def test_a_study_that_lags_behind_the_record_or_was_lost_is_put_in_order(opened: Any) -> None:
    shared = SharedStudy(opened("sqlite:///study.db"), "s", "1" * 32)
    results = explore("tpe", shared, trials=5)
    study = optuna.load_study(study_name="s", storage=shared.storage)
    other = study.ask()
    distributions, tried = study.trials[0].distributions, {str(trial.params) for trial in study.trials}
    cut = shared.ask(study, distributions)  # asked for, and killed before it had ended
    while str(cut.params) in tried:  # that would be another case: one that had ended
        study.tell(cut, state=TrialState.FAIL)
        cut = shared.ask(study, distributions)
    resumed = explore("tpe", shared, trials=7, known=results)
    assert resumed[:5] == results
    assert len(samples_of(resumed)) == 7
    states = {trial.number: trial.state for trial in study.trials}
    assert states[cut.number] == TrialState.FAIL
    assert states[other.number] == TrialState.RUNNING, "another's is left alone"
    complete = study.get_trials(states=[TrialState.COMPLETE])
    assert len(complete) == 7
    assert any(trial.params == cut.params for trial in complete), "what was cut off is run again"

    empty = SharedStudy(opened("sqlite:///new.db"), "s", "1" * 32)
    explore("tpe", empty, trials=8, known=resumed)
    assert len(optuna.load_study(study_name="s", storage=empty.storage).get_trials(states=[TrialState.COMPLETE])) == 8


def test_a_trial_that_ended_before_the_study_heard_of_it_is_told(opened: Any) -> None:
    shared = SharedStudy(opened("sqlite:///study.db"), "s", "1" * 32)
    results = explore("tpe", shared, trials=3)
    study = optuna.load_study(study_name="s", storage=shared.storage)
    copy = SharedStudy(opened("sqlite:///copy.db"), "s", "1" * 32)
    there = optuna.create_study(study_name="s", storage=copy.storage, direction="maximize")
    copy.begin(there, study.trials[1].params, study.trials[1].distributions)
    explore("tpe", copy, trials=4, known=results)
    assert there.trials[0].state == TrialState.COMPLETE
    assert sum(trial.state == TrialState.COMPLETE for trial in there.trials) == 4


def test_another_space_or_other_objectives_of_the_same_name_are_refused(opened: Any) -> None:
    shared = SharedStudy(opened("sqlite:///study.db"), "mine", "1" * 32)
    explore("tpe", shared)
    with pytest.raises(StrategyError, match="'mine' in this storage has other objectives; name another with --study NAME"):
        explore("nsga2", shared)
    study = optuna.load_study(study_name="mine", storage=shared.storage)
    with pytest.raises(StrategyError, match="has another search space"):
        shared.check(study, {"x": optuna.distributions.FloatDistribution(0, 1)})


def test_a_study_is_named_by_what_its_members_have_in_common() -> None:
    identity = {"seed": 0, "trials": 5, "epochs": 3, "--storage": "sqlite:///a.db", "--workers": 2}
    assert name_study("zoo", "tpe", identity) == name_study("zoo", "tpe", {"seed": 0, "epochs": 3})
    assert name_study("zoo", "tpe", identity) != name_study("zoo", "tpe", {**identity, "epochs": 4})
    assert name_study("zoo", "tpe", identity) != name_study("zoo", "tpe", {**identity, "seed": 1}), "it has other validation images"


def test_a_run_keeps_its_mark(tmp_path: Path) -> None:
    path = tmp_path / "study.json"
    study, member = note_study(path, f"postgresql://me:{PASSWORD}@host/db", None, "usual")
    assert study == "usual"
    assert PASSWORD not in path.read_text()
    assert note_study(path, "other", None, "of a newer version") == ("usual", member), "a run that is gone on with stays in its study"
    assert note_study(path, "other", "named", "usual") == ("named", member)
    named = tmp_path / "named.json"
    assert note_study(named, "other", "named", "usual") == note_study(named, "other", None, "usual")
    assert json.loads(named.read_text())["study"] == "named"
    path.write_text(json.dumps({"member": member}))
    assert note_study(path, "other", None, "usual") == ("usual", member), "written before it said which study"
    path.write_text(json.dumps({"study": "usual", "member": "me"}))
    with pytest.raises(RecordError, match="not the study"):
        note_study(path, "other", None, "usual")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("postgresql://me:pass@host/db", "postgresql://me:***@host/db"),
        ("--storage=postgresql+psycopg://me:p@ss:w/rd@host:5/db now", "--storage=postgresql+psycopg://me:***@host:5/db now"),
        ("postgresql://me@corp:pass@host/db", "postgresql://me@corp:***@host/db"),
        ("postgresql://me:my pass@host/db", "postgresql://me:***@host/db"),
        ("postgresql://host/db?user=me&password=pass&x=1", "postgresql://host/db?user=me&password=***&x=1"),
        ("postgresql://me@host/db", "postgresql://me@host/db"),
        ("sqlite:///a.db at 10:30, mail a@b", "sqlite:///a.db at 10:30, mail a@b"),
    ],
)
def test_passwords_are_hidden(text: str, shown: str) -> None:
    assert hide_passwords(text) == shown


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([*SEARCH, "--storage", "nonsense"], "this is no URL of a storage; give sqlite:///FILE, postgresql://"),
        ([*SEARCH, "--storage", "magic://host/db"], "magic://host/db names no kind of storage that is known; give sqlite:///FILE"),
        ([*SEARCH, "--storage", "mysql://me:pass@host/db"], "mysql://me:***@host/db needs a driver that is not installed"),
        ([*SEARCH, "--storage", "sqlite:////nowhere/at/all.db"], "unable to open database file"),
        ([*SEARCH, "--storage", "sqlite:///table.csv.gz"], "file is not a database"),
        ([*SEARCH, "--storage", "journal:////nowhere/at/all.log"], "No such file or directory"),
        ([*SEARCH, "--study", "mine"], "--study names a study in a storage"),
        ([*SEARCH[:-1], "random", "--storage", "sqlite:///a.db"], "--storage is for strategies of Optuna's"),
        ([*SEARCH[:-1], "evolution", "--storage", "sqlite:///a.db"], "tpe, gp, nsga2, hpo; not evolution"),
        (["--space", "darts", "--strategy", "darts", "--storage", "sqlite:///a.db"], "leave out --storage"),
        (["--retrain", "DARTS_V2", "--storage", "sqlite:///a.db"], "--storage goes with a search"),
    ],
)
def test_what_cannot_be_shared_is_one_line(table: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], words: str) -> None:
    assert main([*arguments, "--out", "run"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert words in line
    assert ":pass@" not in line
    assert not Path("run").exists()


def test_a_storage_is_tried_before_the_images_are_loaded(capsys: pytest.CaptureFixture[str]) -> None:
    Path("no-images").mkdir()
    assert main(["--space", "zoo", "--strategy", "tpe", "--dataset", "no-images", "--storage", "nonsense", "--out", "run"]) == 2
    assert "no URL of a storage" in capsys.readouterr().err


def start(out: str, storage: str, *more: str) -> subprocess.Popen[str]:
    command = [sys.executable, str(PROGRAM), *SEARCH, "--storage", storage, "--out", out, *more]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=ENVIRONMENT)


def trials_of(folder: str) -> list[Trial]:
    return TrialLog(Path(folder) / "trials.jsonl").read()


def check_together(url: str, study_name: str, folders: list[str]) -> None:
    """All trials of all folders are in the study, once."""
    with open_storage(url) as storage:
        study = optuna.load_study(study_name=study_name, storage=storage)
        complete = study.get_trials(states=[TrialState.COMPLETE])
        members = [json.loads((Path(folder) / "study.json").read_text())["member"] for folder in folders]
        assert len(set(members)) == len(folders)
        for folder, member in zip(folders, members, strict=True):
            told = sorted(trial.value or 0.0 for trial in complete if trial.user_attrs["retiarius:member"] == member)
            assert told == sorted(trial.score or 0.0 for trial in trials_of(folder))
        cut_off = study.get_trials(states=[TrialState.RUNNING])  # one may have been killed before it had an owner or anything else
        assert len(cut_off) <= 1 and not any(trial.params or trial.user_attrs for trial in cut_off)


@pytest.mark.slow
def test_two_processes_at_once_share_an_sqlite_file_and_one_is_killed_and_goes_on(table: Path) -> None:
    url = "sqlite:///study.db"
    one, two = start("one", url, "--trials", "25", "--study", "mine"), start("two", url, "--trials", "60", "--study", "mine")
    log, deadline = Path("two/trials.jsonl"), time.monotonic() + 200
    while not (log.exists() and log.read_bytes().count(b"\n") >= 20):
        assert two.poll() is None, two.communicate()[1]
        assert time.monotonic() < deadline
        time.sleep(0.01)
    two.send_signal(signal.SIGKILL)
    two.communicate()
    kept = trials_of("two")
    assert len(kept) < 60
    _, error = one.communicate()
    assert one.returncode == 0, error
    two = start("two", url, "--trials", "60", "--study", "mine", "--resume")
    _, error = two.communicate()
    assert two.returncode == 0, error
    assert trials_of("two")[: len(kept)] == kept
    assert [len(trials_of(folder)) for folder in ("one", "two")] == [25, 60]
    check_together(url, "mine", ["one", "two"])


@pytest.mark.slow
def test_two_processes_share_a_postgresql_whose_password_nobody_reads(table: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with postgresql() as server:
        processes = [start(out, server.url, "--trials", "12") for out in ("one", "two")]
        told = [process.communicate() for process in processes]
        assert [process.returncode for process in processes] == [0, 0], told
        study = json.loads(Path("one/study.json").read_text())
        assert study["study"].startswith("nasbench201-tpe-")
        check_together(server.url, study["study"], ["one", "two"])
        written = [path.read_text() for folder in ("one", "two") for path in Path(folder).glob("*.*") if path.is_file()]
        assert len(written) >= 8
        assert PASSWORD not in "".join(written) + str(told)
        assert f"tester:***@127.0.0.1:{server.port}" in Path("one/config.json").read_text()

        assert main([*SEARCH, "--storage", server.url.replace(PASSWORD, "wrong-one"), "--out", "no"]) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert "password authentication failed" in line and "wrong-one" not in line

        endless = start("long", server.url, "--trials", "5000")
        log, deadline = Path("long/trials.jsonl"), time.monotonic() + 200
        while not (log.exists() and log.read_bytes().count(b"\n") >= 3):
            assert endless.poll() is None, endless.communicate()
            assert time.monotonic() < deadline
            time.sleep(0.01)
        server.stop()
        _, error = endless.communicate(timeout=100)
        assert endless.returncode == 1, error
        line = error.splitlines()[-1]  # the drivers of databases may have had words of their own before
        assert (
            "the storage of the study" in line
            and "resume the run with --resume" in line
            and PASSWORD not in error + Path("long/log.txt").read_text()
        )
        assert len(trials_of("long")) >= 3

    assert main([*SEARCH, "--storage", server.url, "--out", "no"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "cannot be used" in line and "onnection refused" in line and PASSWORD not in line


def test_a_pruned_trial_that_the_study_has_not_heard_of_is_told_with_its_curve(opened: Any) -> None:
    first = SharedStudy(opened("sqlite:///study.db"), "s", "1" * 32)
    results = explore("tpe", first, trials=3)
    heard = optuna.load_study(study_name="s", storage=first.storage).trials[1]
    known = [replace(result, state="pruned", score=None, curve=[0.1, 0.2]) if result.number == 1 else result for result in results]
    shared = SharedStudy(opened("sqlite:///new.db"), "s", "1" * 32)
    study = optuna.create_study(study_name="s", storage=shared.storage, direction="maximize")
    shared.begin(study, heard.params, heard.distributions)  # killed between the end of the trial and the telling
    for _ in range(2):
        explore("tpe", shared, trials=4, known=known)
        told = study.get_trials(states=[TrialState.PRUNED])
        assert [(trial.params, trial.intermediate_values) for trial in told] == [(heard.params, {1: 0.1, 2: 0.2})]
        assert not study.get_trials(states=[TrialState.RUNNING])
