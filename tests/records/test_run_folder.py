"""The run folder: its name, its config.json, and what it refuses."""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from messages import get_message
from recorded_trials import make_trial

from common.errors import RecordError
from common.files import read_json
from records.log import log_to
from records.run_folder import RunFolder
from records.trials import TrialLog

PROJECT = Path(__file__).resolve().parents[2]
IDENTITY: dict[str, Any] = {"space": {"name": "darts", "arguments": {"width": 4}}, "strategy": "tpe", "seed": 0}


def create(out: Path | None, **options: Any) -> RunFolder:
    return RunFolder.create(out, **{"space": "darts", "strategy": "tpe", "identity": IDENTITY, **options})


@contextlib.contextmanager
def without_privileges() -> Iterator[None]:
    """Root may write everywhere: be nobody for a while."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder below which every user may look; pytest's own are closed to others."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


def test_named_folders_are_unique_and_say_what_they_hold(tmp_path: Path) -> None:
    with contextlib.ExitStack() as stack:
        folders = [stack.enter_context(create(None, root=tmp_path / "runs")) for _ in range(3)]
        assert len({folder.path for folder in folders}) == 3
        for folder in folders:
            assert re.fullmatch(r"\d{8}-\d{6}-darts-tpe(-\d)?", folder.path.name)
            assert folder.path.is_dir() and folder.checkpoints_path.is_dir() and not folder.resumed
            names = [folder.config_path, folder.trials_path, folder.best_path, folder.log_path]
            assert [path.name for path in names] == ["config.json", "trials.jsonl", "best.json", "log.txt"]
    assert list((tmp_path / "runs").iterdir()) == [], "a folder that was never written to is taken away"


def test_config_says_what_was_run(tmp_path: Path) -> None:
    with create(tmp_path / "run") as folder:
        folder.write_config({"trials": 5, "data_dir": Path("data")}, "python run_experiment.py --trials 5")
    config = read_json(folder.config_path)
    assert config["settings"] == {"trials": 5, "data_dir": "data"} and config["identity"] == IDENTITY
    assert config["versions"]["python"].count(".") == 2 and "torch" in config["versions"]
    assert config["command"] == "python run_experiment.py --trials 5" and config["created"].endswith("+00:00")
    assert "commit" in config and config["resumed"] == []


def test_an_out_that_holds_something_is_refused(tmp_path: Path) -> None:
    with create(tmp_path / "run") as folder:
        folder.write_config({})
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "cat.png").touch()
    (tmp_path / "file").touch()
    for name, said in [
        ("run", "already holds a run; set `out` to another folder, or continue the run with `resume`"),
        ("photos", "is not empty; set `out` to a new or an empty folder"),
        ("file", "is a file; `out` takes a folder"),
        ("file/below", "cannot write to"),
        ("x" * 300, "cannot write to"),
        ("a\0b", "cannot be a folder's name"),
    ]:
        with pytest.raises(RecordError) as error:
            create(tmp_path / name)
        assert said in get_message(error)
    assert os.listdir(tmp_path / "photos") == ["cat.png"], "nothing is left in somebody's folder"


def test_an_empty_out_and_the_rest_of_a_failed_start_are_fine(tmp_path: Path) -> None:
    with create(tmp_path) as folder, log_to(folder.log_path):
        logging.getLogger("retiarius.records").info("begun")
    (tmp_path / ".config.json.123.tmp").touch()
    with create(tmp_path) as folder:
        folder.write_config({})
    assert tmp_path.is_dir()


def test_resume_goes_on_with_the_same_run_only(tmp_path: Path) -> None:
    out = tmp_path / "run"
    with create(out) as folder:
        folder.write_config({"trials": 5})
        TrialLog(folder.trials_path).append(make_trial(0, "complete", {}, {}, 0.5))
    created = read_json(folder.config_path)["created"]
    halves = [out / ".best.json.123.tmp", folder.checkpoints_path / ".trial-3.json.123.tmp"]
    for half in halves:
        half.touch()
    with create(out, resume=True) as folder:
        assert folder.resumed and not any(half.exists() for half in halves), "what a killed run was writing is taken away"
        folder.write_config({"trials": 10})
    config = read_json(folder.config_path)
    assert (config["settings"], config["created"]) == ({"trials": 5}, created)
    assert [occasion["settings"] for occasion in config["resumed"]] == [{"trials": 10}]
    assert len(TrialLog(folder.trials_path).read()) == 1

    different: list[tuple[dict[str, Any], str]] = [
        ({"seed": 1}, "seed was 0 and is 1 now"),
        ({"space": {"name": "darts", "arguments": {"width": 8}}}, "space.arguments.width was 4 and is 8 now"),
        ({"space": "darts"}, "space was {'name': 'darts', 'arguments': {'width': 4}} and is 'darts' now"),
        ({"pruner": "median"}, "pruner is 'median' and was not set in the run"),
    ]
    for changes, said in different:
        with pytest.raises(RecordError) as error:
            create(out, resume=True, identity={**IDENTITY, **changes})
        assert said in get_message(error)
    with pytest.raises(RecordError, match="strategy was 'tpe' and is not set now"):
        create(out, resume=True, identity={key: IDENTITY[key] for key in ("space", "seed")})


SHARE = {"seconds_per_trial": 450.0}


@pytest.mark.parametrize(
    ("stored", "given", "said"),
    [
        (
            {},
            SHARE,
            "it began without `time_budget`, and its trials do not wait; leave that out, and extend it by more `trials`, or set `out`",
        ),
        (SHARE, {}, "it began with `time_budget`, and its trials wait; set that again, where more time extends it, or set `out`"),
        (SHARE, {"--pruner": "median"}, "--pruner is 'median' and was not set in the run; use the same settings, or set `out`"),
        ({"--workers": 2}, SHARE, "--workers was 2 and is not set now; use the same settings, or set `out`"),
    ],
)
def test_trials_that_wait_are_not_resumed_as_others(tmp_path: Path, stored: dict[str, Any], given: dict[str, Any], said: str) -> None:
    with create(tmp_path / "run", identity=IDENTITY | stored) as folder:
        folder.write_config({})
    with pytest.raises(RecordError) as error:
        create(tmp_path / "run", resume=True, identity=IDENTITY | given)
    assert said in get_message(error) and "seconds_per_trial" not in get_message(error)


ONE_SHOT = {"--order": 1, "--supernet": "fused", "--cost-weight": 0.0, "--collapse-guard": "warn"}


@pytest.mark.parametrize("name", ONE_SHOT)
def test_a_setting_at_its_default_is_as_good_as_absent(tmp_path: Path, name: str) -> None:
    default, other = {name: ONE_SHOT[name]}, {name: {"--order": 2, "--cost-weight": 0.5}.get(name, "other")}
    with create(tmp_path / "without") as folder:
        folder.write_config({})
    with create(tmp_path / "typed", identity=IDENTITY | default) as folder:
        folder.write_config({})
    for out in ("without", "typed"):
        for identity in (IDENTITY, IDENTITY | default):
            create(tmp_path / out, resume=True, identity=identity).close()
    for out, said in (
        ("without", f"{name} is {other[name]!r} and was not set in the run"),
        ("typed", f"{name} was {ONE_SHOT[name]!r} and is"),
    ):
        with pytest.raises(RecordError) as error:
            create(tmp_path / out, resume=True, identity=IDENTITY | other)
        assert said in get_message(error)


def test_another_setting_at_0_is_not(tmp_path: Path) -> None:
    with create(tmp_path / "run") as folder:
        folder.write_config({})
    with pytest.raises(RecordError, match="--max-params is 0 and was not set in the run"):
        create(tmp_path / "run", resume=True, identity=IDENTITY | {"--max-params": 0})


def test_resume_without_a_run_is_refused(tmp_path: Path) -> None:
    for out, said in [(None, "`resume` needs the run's folder: set `out`"), (tmp_path, "no run to resume"), (tmp_path / "x", "no run")]:
        with pytest.raises(RecordError) as error:
            create(out, resume=True, root=tmp_path)
        assert said in get_message(error)
    assert os.listdir(tmp_path) == []
    for text in ["{", "[]", '{"format": "other"}', '{"format": "retiarius-run", "version": 2}']:
        (tmp_path / "config.json").write_text(text)
        with pytest.raises(RecordError) as error:
            create(tmp_path, resume=True)
        assert "config.json" in get_message(error)


def test_no_permission_is_one_line(open_folder: Path) -> None:
    with without_privileges():
        open_folder_is_mine = os.geteuid() == open_folder.stat().st_uid
    if open_folder_is_mine:
        open_folder.chmod(0o555)
    for out, root in [(open_folder / "run", open_folder), (open_folder, open_folder), (None, open_folder / "runs")]:
        with without_privileges(), pytest.raises(RecordError) as error:
            create(out, root=root)
        assert "cannot write to" in get_message(error) and "Permission denied; set `out`" in get_message(error)
    open_folder.chmod(0o755)
    assert os.listdir(open_folder) == []


def test_a_full_disk_is_not_bad_input(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "mkdir", fail)
    with pytest.raises(OSError, match="No space left"):
        create(tmp_path / "run")
