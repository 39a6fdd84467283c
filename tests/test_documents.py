"""Documents in two languages say the same: the same commands, flags, files and pictures; and what they link to is there."""

from __future__ import annotations

import re
import runpy
import shlex
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[1]
TWINS = [("README.md", "README.zh-CN.md"), ("docs/lab8.md", "docs/lab8.zh-CN.md")]
# Folders of a run or of a reader, and the beginning of a label.
NOT_OURS = ("runs", "data", "trials", "nni", "tensorboard", "checkpoints", "normal")
SMALLER = {
    '"cifar10", limit=4_000': '"digits", limit=200',
    "epochs=2": "epochs=1",
    "epochs=30": 'epochs=1, fixed={"num_cells": 3, "width": 4}',
    "rt.Darts(order=1), data=data": 'rt.Darts(order=1), data=data, fixed={"num_cells": 3, "width": 2, "num_nodes": 1}',
    "data=own, trials=20": "data=own, trials=1, epochs=1",
    "evaluator=score, trials=20": "evaluator=score, trials=2",
}
READERS_OWN = """
import nni.nas.nn.pytorch as nas
import torch

images, labels = torch.randint(0, 256, (80, 3, 16, 16), dtype=torch.uint8), torch.arange(80) % 2


class MySpace(nas.ModelSpace):
    def __init__(self):
        super().__init__()
        self.size = nas.LayerChoice([torch.nn.Conv2d(3, 4, 3), torch.nn.Conv2d(3, 4, 5)], label="size")

    def forward(self, images):
        return self.size(images).mean((2, 3))[:, :2]


def score(network):
    return sum(parameter.numel() for parameter in network.parameters()) / 1000


"""


def read(name: str) -> str:
    return (PROJECT / name).read_text(encoding="utf-8")


def code_lines(text: str) -> list[str]:
    """The lines of code, without comments, which each language has of its own; the picture of the rooms is no code."""
    lines = [line[4:] for line in text.splitlines() if line.startswith("    ")]
    kept = [re.sub(r"\s+# .*", "", line).rstrip() for line in lines]
    return [line for line in kept if not re.match(r"(run_experiment\.py  |  \||\s*\w+/  )", line)]


@pytest.mark.parametrize("twins", TWINS)
def test_both_languages_show_the_same_commands(twins: tuple[str, str]) -> None:
    english, chinese = (read(name) for name in twins)
    assert code_lines(english) == code_lines(chinese)
    assert len(code_lines(english)) > 10


@pytest.mark.parametrize("twins", TWINS)
def test_both_languages_know_the_same_flags_and_files(twins: tuple[str, str]) -> None:
    english, chinese = (set(re.findall(r"--[a-z][a-z_-]+|`[\w/.<>-]+\.(?:py|json|jsonl|md|yml|html)`", read(name))) for name in twins)
    assert english == chinese


@pytest.mark.parametrize("name", [*(name for twins in TWINS for name in twins), "docs/results.md", "CONTRIBUTING.md"])
def test_links_lead_somewhere(name: str) -> None:
    for target in re.findall(r"\]\(([^)#:]+)\)", read(name)):
        assert (PROJECT / name).parent.joinpath(target).exists(), target


@pytest.mark.parametrize("name", [name for twins in TWINS for name in twins])
def test_commands_that_are_shown_are_understood(name: str) -> None:
    from retiarius.cli.command_line import make_parser

    commands = [
        line.removeprefix("$ ") for line in code_lines(read(name)) if line.removeprefix("$ ").startswith("python run_experiment.py")
    ]
    assert len(commands) > 2
    for command in commands:
        make_parser("", "").parse_args(shlex.split(command)[2:])


@pytest.mark.parametrize("name", ["README.md", "README.zh-CN.md", "CONTRIBUTING.md", "docs/results.md", "docs/lab8.md"])
def test_files_that_are_named_are_there(name: str) -> None:
    named = re.findall(r"`((?:[a-z_0-9]+/)+[\w.-]*)`", read(name))
    assert named
    for path in named:
        if path.split("/")[0] not in NOT_OURS and "NAME" not in path and not path.endswith("__pycache__"):
            assert (PROJECT / path).exists(), path


def test_the_rooms_are_those_of_the_import_rule() -> None:
    arrows = runpy.run_path(str(PROJECT / "tests/test_import_rule.py"))["ARROWS"]
    rows = re.findall(r"^\| `(\w+)/` \| ([^|]+) \|", read("CONTRIBUTING.md"), re.MULTILINE)
    everything = {"nothing of ours": set(), "all of these": set(arrows) - {"retiarius"}}
    told = {room: everything.get(others, set(re.findall(r"`(\w+)`", others))) for room, others in rows}
    assert told == {room: set(allowed) for room, allowed in arrows.items()}
    assert set(re.findall(r"^    (\w+)/   ", read("CONTRIBUTING.md"), re.MULTILINE)) == set(arrows)


@pytest.mark.parametrize("name", ["README.md", "README.zh-CN.md", "CHANGELOG.md", "CONTRIBUTING.md"])
def test_names_of_the_library_are_exported(name: str) -> None:
    import retiarius

    names = set(re.findall(r"\brt\.(\w+)", read(name)))
    assert names and names <= set(retiarius.__all__)


@pytest.mark.slow
def test_what_is_shown_of_the_library_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """README's lines, on a few images and with few epochs and trials, after what they say of a reader's own parts."""
    monkeypatch.chdir(tmp_path)
    section = read("README.md").partition("## From Python\n")[2].partition("\n## ")[0]
    lines = "\n".join(line[4:] for line in section.splitlines() if line.startswith("    "))
    for shown, small in SMALLER.items():
        assert shown in lines
        lines = lines.replace(shown, small)
    names: dict[str, object] = {}
    exec(compile(READERS_OWN + lines, "README.md", "exec"), names)
    assert names["final"].path.parent == Path("runs")  # type: ignore[attr-defined]
    assert Path("runs/cells/report.html").exists() and len(list(Path("runs").iterdir())) == 4


@pytest.mark.parametrize("name", ["README.md", "README.zh-CN.md"])
def test_a_reader_finds_the_other_language(name: str) -> None:
    (other,) = {"README.md", "README.zh-CN.md"} - {name}
    assert f"({other})" in read(name).split("\n")[2]


@pytest.mark.parametrize("name", ["README.md", "docs/results.md", "docs/lab8.md", "CONTRIBUTING.md"])
def test_benchmarks_have_the_flags_that_are_shown(name: str) -> None:
    for script, rest in re.findall(r"python (benchmarks/\w+\.py)((?:.*\\\n)*.*)", read(name)):
        for flag in re.findall(r"(?<= )--[a-z][a-z-]+", rest.partition("#")[0]):
            assert f'"{flag}"' in read(script), f"{script} {flag}"


@pytest.mark.slow
def test_cells_that_were_found_are_those_of_the_alphas_beside_them() -> None:
    from benchmarks.light_cells import KEPT, derive
    from records.best import load_best

    for name, cell in (("light-NAS.json", (1, 6, 0.8)), ("finer-light-NAS.json", (1, 5, 0.7))):
        kept = load_best(KEPT.with_name(name))
        told = kept.strategy
        assert (told["seed"], told["epoch"], told["cost_weight"]) == cell, "as the row of the lab's table says"
        assert kept.architecture == derive(*cell)
    assert load_best(KEPT.with_name("early-NAS.json")).architecture == derive(0, 2, 0.0)
