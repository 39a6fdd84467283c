"""Documents in two languages say the same: the same commands, flags, files and pictures; and what they link to is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[1]
TWINS = [("README.md", "README.zh-CN.md"), ("docs/lab8.md", "docs/lab8.zh-CN.md")]


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


@pytest.mark.parametrize("name", ["README.md", "README.zh-CN.md"])
def test_a_reader_finds_the_other_language(name: str) -> None:
    (other,) = {"README.md", "README.zh-CN.md"} - {name}
    assert f"({other})" in read(name).split("\n")[2]


@pytest.mark.parametrize("name", ["README.md", "docs/results.md", "docs/lab8.md", "CONTRIBUTING.md"])
def test_benchmarks_have_the_flags_that_are_shown(name: str) -> None:
    for script, rest in re.findall(r"python (benchmarks/\w+\.py)((?:.*\\\n)*.*)", read(name)):
        for flag in re.findall(r"(?<= )--[a-z][a-z-]+", rest.partition("#")[0]):
            assert f'"{flag}"' in read(script), f"{script} {flag}"


def test_cells_that_were_found_are_those_of_the_alphas_beside_them() -> None:
    from benchmarks.light_cells import KEPT, derive
    from records.best import load_best

    for name, cell in (("light-NAS.json", (1, 6, 0.8)), ("finer-light-NAS.json", (1, 5, 0.7))):
        kept = load_best(KEPT.with_name(name))
        told = kept.strategy
        assert (told["seed"], told["epoch"], told["cost_weight"]) == cell, "as the row of the lab's table says"
        assert kept.architecture == derive(*cell)
    assert load_best(KEPT.with_name("early-NAS.json")).architecture == derive(0, 2, 0.0)
