"""docs.scripts.shrink and run_commands: which lines are commands, and how they are made small."""

from __future__ import annotations

from pathlib import Path

import pytest

from docs.scripts.run_commands import commands, is_refused, run
from docs.scripts.shrink import Skipped, is_command, shrink

PROGRAM = "python run_experiment.py"
SEARCH = f"{PROGRAM} --space zoo --strategy tpe"
SMALL = "--dataset digits --epochs 1"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    best = tmp_path / "runs/cells/best.json"
    best.parent.mkdir(parents=True)
    best.write_text('{"space": {"name": "darts"}}')
    return tmp_path


@pytest.mark.parametrize(
    "shown, small",
    [
        (f"{SEARCH} --preset lab --trials 20", f"{SEARCH} {SMALL} --trials 2 --set backbone=convnet32 --set width=16"),
        (f"{SEARCH} --set backbone=vgg16 --jobs 4  # side by side", f"{SEARCH} --set backbone=vgg16 --jobs 2 {SMALL} --trials 2"),
        (f"{PROGRAM} --retrain convnet32 --set width=32", f"{PROGRAM} --retrain convnet32 {SMALL} --set width=16 --set depth=2"),
        (f"{PROGRAM} --retrain resnet18 --time-budget 20m", f"{PROGRAM} --retrain resnet18 {SMALL}"),
        (f"{SEARCH} --set backbone=vgg16 --then-retrain 60m", f"{SEARCH} --set backbone=vgg16 --then-retrain 5 {SMALL} --trials 2"),
        (f"{PROGRAM} --retrain runs/NAME/best.json", f"{PROGRAM} --retrain runs/cells/best.json {SMALL} --set width=2 --set num_cells=3"),
        (f"X=1 {PROGRAM} --space darts --strategy darts --set num_cells=20", None),
        (
            f"{PROGRAM} --space darts --strategy p_darts --epochs 75 --set stage_cells=[3,6] --set kept_operations=[4]",
            f"{PROGRAM} --space darts --strategy p_darts --dataset digits --epochs 2 --set width=2 --set num_nodes=1"
            " --set 'stage_cells=[3,3]' --set 'kept_operations=[3]' --set 'skip_dropout=[0,0.5]'",
        ),
        ("retiarius --list", f"{PROGRAM} --list"),
        (f"{PROGRAM} --space zoo --strategy tpe --dry-run", f"{PROGRAM} --space zoo --strategy tpe --dry-run"),
        (f"{PROGRAM} --config config.yml", f"{PROGRAM} --config examples/nni_trial/config.yml --trials 2"),
        ("python benchmarks/any_space.py --quick", "python benchmarks/any_space.py --help"),
        ("printf 'a,b\\n' > results.csv", "printf 'a,b\\n' > results.csv"),
    ],
)
def test_a_command_becomes_small(shown: str, small: str | None, folder: Path) -> None:
    small = small or f"X=1 {PROGRAM} --space darts --strategy darts {SMALL} --set width=2 --set num_cells=3 --set num_nodes=1"
    assert shrink(shown, folder, None) == small


@pytest.mark.parametrize(
    "shown, reason",
    [
        ("make test", "installs"),
        ("export RAY_AUTH_MODE=token", "shell"),
        (f"{SEARCH} --ray auto", "a cluster"),
        (f"{PROGRAM} --config config.yml --portal", "stays open"),
        (f"{PROGRAM} --space MODULE:CLASS --strategy tpe", "placeholder"),
        (f"{PROGRAM} --space nasbench201 --strategy bo --table FILE", "needs the table"),
        (f"{PROGRAM} --search-space course.json", "the reader's own"),
    ],
)
def test_what_cannot_be_run_is_skipped_with_a_reason(shown: str, reason: str, folder: Path) -> None:
    with pytest.raises(Skipped, match=reason):
        shrink(shown, folder, None)


def test_a_run_that_is_not_there_is_the_readers(tmp_path: Path) -> None:
    with pytest.raises(Skipped, match="needs a run"):
        shrink(f"{PROGRAM} --report runs/NAME", tmp_path, None)


def test_commands_are_told_from_what_they_print() -> None:
    shown = ["$ python a.py \\", "    --flag", "python said this", "$ make test", "", "Text", "", "import retiarius as rt", "make lint"]
    page = "# Page\n\n" + "\n".join(line if line in ("", "Text") else f"    {line}" for line in shown)
    assert list(commands(page)) == [(3, "python a.py --flag"), (6, "make test"), (11, "make lint")]
    assert [is_refused(page.replace("python said this", "error: no"), number) for number in (4, 6, 11)] == [True, False, False]
    assert not is_command("data = rt.load_data('digits')") and is_command("A=1 python x.py")


def test_a_command_is_run_to_its_end(tmp_path: Path) -> None:
    assert run("echo one; echo two; exit 3", tmp_path) == (3, "two")
