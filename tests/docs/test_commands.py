"""What pages show can be typed: commands are understood, flags exist, Python lines run, and both languages show the same."""

from __future__ import annotations

import ast
import inspect
import re
import runpy
import shlex
from pathlib import Path

import pytest

from docs.scripts.pages import ROOT, code_lines, list_pages, name_of, read_blocks
from docs.scripts.shrink import is_command

TWINS = [("README.md", "README.zh-CN.md"), ("docs/lab8.md", "docs/lab8.zh-CN.md")]
PAGES = [name_of(page) for page in list_pages() if page.name != "CHANGELOG.md"]
PROGRAMS = ("python run_experiment.py ", "retiarius ")
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
    return (ROOT / name).read_text(encoding="utf-8")


def commands(name: str) -> list[str]:
    """The commands of the program on a page, those that go on in another line in one piece."""
    lines = "\n".join(line.removeprefix("$ ") for line in code_lines(read(name))).replace("\\\n", " ").splitlines()
    return [line for line in lines if line.startswith(PROGRAMS)]


@pytest.mark.parametrize("twins", TWINS)
def test_both_languages_show_the_same_commands(twins: tuple[str, str]) -> None:
    english, chinese = (code_lines(read(name)) for name in twins)
    assert english == chinese
    assert len(english) > 10


@pytest.mark.parametrize("twins", TWINS)
def test_both_languages_know_the_same_flags_and_files(twins: tuple[str, str]) -> None:
    english, chinese = (set(re.findall(r"--[a-z][a-z_-]+|`[\w/.<>-]+\.(?:py|json|jsonl|md|yml|html)`", read(name))) for name in twins)
    assert english == chinese


@pytest.mark.parametrize("name", PAGES)
def test_commands_that_are_shown_are_understood(name: str) -> None:
    from retiarius.cli.command_line import make_parser

    for command in commands(name):
        words = shlex.split(command.replace("[flags]", ""), comments=True)
        make_parser("", "").parse_args(words[words.index("run_experiment.py") + 1 :] if words[0] == "python" else words[1:])


def test_there_are_commands_to_understand() -> None:
    assert len(commands("README.md")) >= 3 and sum(len(commands(name)) for name in PAGES) > 50


@pytest.mark.parametrize("name", PAGES)
def test_scripts_have_the_flags_that_are_shown(name: str) -> None:
    for script, rest in re.findall(r"python ((?:benchmarks|examples|docs/scripts)/\w+\.py)((?:.*\\\n)*[^`\n]*)", read(name)):
        for flag in re.findall(r"(?<= )--[a-z][a-z-]+", rest.partition("#")[0]):
            assert f'"{flag}"' in read(script), f"{script} {flag}"


@pytest.mark.parametrize("name", PAGES)
def test_names_of_the_library_are_exported(name: str) -> None:
    import retiarius

    assert set(re.findall(r"\brt\.([a-zA-Z]\w*)", read(name))) <= set(retiarius.__all__)


@pytest.mark.parametrize("name", PAGES)
def test_calls_of_the_library_have_arguments_that_are_there(name: str) -> None:
    import retiarius

    for block in read_blocks(read(name)):
        if block.kind != "code" or not any(re.search(r"\brt\.", line) for line in block.lines):
            continue
        for call in ast.walk(ast.parse("\n".join(line for line in block.lines if not is_command(line)))):
            if isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute) and getattr(call.func.value, "id", "") == "rt":
                parameters = inspect.signature(getattr(retiarius, call.func.attr)).parameters
                assert {keyword.arg for keyword in call.keywords} <= set(parameters), ast.unparse(call)


def test_the_rooms_are_those_of_the_import_rule() -> None:
    arrows = runpy.run_path(str(ROOT / "tests/test_import_rule.py"))["ARROWS"]
    rows = re.findall(r"^\| `(\w+)/` \| ([^|]+) \|", read("CONTRIBUTING.md"), re.MULTILINE)
    everything = {"nothing of ours": set(), "all of these": set(arrows) - {"retiarius"}}
    told = {room: everything.get(others, set(re.findall(r"`(\w+)`", others))) for room, others in rows}
    assert told == {room: set(allowed) for room, allowed in arrows.items()}
    assert set(re.findall(r"^    (\w+)/   ", read("CONTRIBUTING.md"), re.MULTILINE)) == set(arrows)


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
