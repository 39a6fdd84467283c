"""``--storage``: several processes share one search, by way of SQLite, or a real PostgreSQL; what cannot be shared is one line."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path

import optuna
import pytest
from nasbench201_table import remember_tables, write_made_up
from optuna.trial import TrialState
from postgresql import PASSWORD, postgresql
from program import Program

from common.trial import Trial
from records.trials import TrialLog
from run_experiment import main
from strategies.optuna.shared_study import open_storage

SEARCH = ["--space", "nasbench201", "--evaluator", "table", "--table", "table.csv.gz", "--strategy", "tpe"]


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    remember_tables(monkeypatch)


@pytest.fixture
def table(tmp_path: Path) -> Path:
    return write_made_up(tmp_path / "table.csv.gz")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([*SEARCH, "--storage", "nonsense"], "--storage is not the URL of a storage; expected sqlite:///FILE, postgresql://"),
        ([*SEARCH, "--storage", "magic://host/db"], "magic://host/db is of an unknown kind; expected sqlite:///FILE"),
        ([*SEARCH, "--storage", "mysql://me:pass@host/db"], "mysql://me:***@host/db needs a driver that is not installed"),
        ([*SEARCH, "--storage", "sqlite:////nowhere/at/all.db"], "unable to open database file"),
        ([*SEARCH, "--storage", "sqlite:///table.csv.gz"], "file is not a database"),
        ([*SEARCH, "--storage", "journal:////nowhere/at/all.log"], "No such file or directory"),
        ([*SEARCH, "--study", "mine"], "--study names a study in a storage"),
        ([*SEARCH[:-1], "random", "--storage", "sqlite:///a.db"], "--storage works with Optuna's strategies only: use"),
        ([*SEARCH[:-1], "evolution", "--storage", "sqlite:///a.db"], "use tpe, gp, nsga2, hpo, not evolution"),
        (["--space", "darts", "--strategy", "darts", "--storage", "sqlite:///a.db"], "leave out --storage"),
        (["--retrain", "DARTS_V2", "--storage", "sqlite:///a.db"], "--storage is for searches and has no use with --retrain"),
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
    assert "--storage is not the URL of a storage; expected" in capsys.readouterr().err


def start(out: str, storage: str, *more: str) -> Program:
    return Program(*SEARCH, "--storage", storage, "--out", out, *more)


def has_trials(folder: str, number: int) -> bool:
    log = Path(folder) / "trials.jsonl"
    return log.exists() and log.read_bytes().count(b"\n") >= number


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
    with start("one", url, "--trials", "25", "--study", "mine") as one:
        with start("two", url, "--trials", "60", "--study", "mine") as two:
            two.wait_until(lambda: has_trials("two", 20))
            two.kill()
        kept = trials_of("two")
        assert len(kept) < 60
        _, error = one.communicate()
        assert one.returncode == 0, error
    with start("two", url, "--trials", "60", "--study", "mine", "--resume") as two:
        _, error = two.communicate()
        assert two.returncode == 0, error
    assert trials_of("two")[: len(kept)] == kept
    assert [len(trials_of(folder)) for folder in ("one", "two")] == [25, 60]
    check_together(url, "mine", ["one", "two"])


@pytest.mark.slow
def test_two_processes_share_a_postgresql_whose_password_nobody_reads(table: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with contextlib.ExitStack() as running:
        server = running.enter_context(postgresql())
        processes = [running.enter_context(start(out, server.url, "--trials", "12")) for out in ("one", "two")]
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

        endless = running.enter_context(start("long", server.url, "--trials", "5000"))
        endless.wait_until(lambda: has_trials("long", 3))
        server.stop()
        _, error = endless.communicate(timeout=100)
        assert endless.returncode == 1, error
        line = error.splitlines()[-1]  # the drivers of databases may have had words of their own before
        assert (
            "the storage of the study" in line
            and "continue the run with --resume" in line
            and PASSWORD not in error + Path("long/log.txt").read_text()
        )
        assert len(trials_of("long")) >= 3

    assert main([*SEARCH, "--storage", server.url, "--out", "no"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "cannot be used" in line and "onnection refused" in line and PASSWORD not in line
