"""docs/reference/ is what the code says, whole, and in Markdown that a reader can follow."""

from __future__ import annotations

import re

import pytest

import retiarius as rt
from docs.scripts.generate import COMMAND, ROOT, write_pages
from docs.scripts.numpy_docstring import markdown, read_docstring
from docs.scripts.python_api import signature
from evaluators.training.recipes import RECIPES
from retiarius.cli.command_line import make_parser


@pytest.fixture(scope="module")
def pages() -> dict[str, str]:
    return {path.stem: text for path, text in write_pages().items()}


@pytest.mark.slow
def test_the_pages_are_current(pages: dict[str, str]) -> None:
    for name, text in pages.items():
        kept = (ROOT / f"docs/reference/{name}.md").read_text(encoding="utf-8")
        assert kept == text, f"docs/reference/{name}.md is out of date: {COMMAND}"


@pytest.mark.slow
def test_every_flag_and_every_name_has_its_place(pages: dict[str, str]) -> None:
    told = set(re.findall(r"--?[\w-]+", " ".join(re.findall(r"^- `(-[^`]*)`", pages["command_line"], re.MULTILINE))))
    assert told == set(make_parser("", "")._option_string_actions)
    assert sorted(re.findall(r"^### `(\w+)`", pages["python_api"], re.MULTILINE)) == sorted(rt.__all__)
    assert f"| `batch_size` | {rt.Recipe().batch_size} | {RECIPES['fast'].batch_size} |" in pages["settings"]


def test_a_docstring_is_taken_apart() -> None:
    def shown(first: int, *, second: str = "x") -> int:
        """Do this with ``first``.

        More of it.

        Parameters
        ----------
        first
            A number,
            on two lines.
        second, third
            Two, as :func:`other` has them.

        Raises
        ------
        ValueError
            Always.
        """
        raise ValueError(first, second)

    docstring = read_docstring(shown)
    assert docstring.prose == "Do this with `first`.\n\nMore of it."
    assert docstring.sections == {
        "Parameters": [("first", "A number, on two lines."), ("second, third", "Two, as `other` has them.")],
        "Raises": [("ValueError", "Always.")],
    }
    assert signature("shown", shown) == "shown(first: int, *, second: str = 'x') -> int"


def test_lists_of_a_docstring_stay_lists() -> None:
    assert markdown("One:\n\n- a\n  b\n- ``c``") == "One:\n\n- a b\n- `c`"
