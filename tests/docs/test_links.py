"""What pages link to and name is there, and every page of docs/ can be reached."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from docs.scripts.pages import ROOT, anchors, links, list_pages, name_of, read_blocks

PAGES = [name_of(page) for page in list_pages()]
DIARY = "docs/measurements/"
# Folders of a run or of a reader, and the beginning of a label.
NOT_OURS = ("runs", "data", "trials", "nni", "tensorboard", "checkpoints", "normal", "train", "test", "site", "retrain")


def read(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def pages_of_the_nav(entries: Any) -> list[str]:
    if isinstance(entries, str):
        return [entries]
    values = entries.values() if isinstance(entries, dict) else entries
    return [page for entry in values for page in pages_of_the_nav(entry)]


@pytest.mark.parametrize("name", PAGES)
def test_links_lead_somewhere(name: str) -> None:
    for link in links(read(name)):
        if link.startswith(("http://", "https://", "mailto:")):
            continue
        target, _, anchor = link.partition("#")
        path = (ROOT / name).parent / target if target else ROOT / name
        assert path.exists(), link
        if anchor:
            assert anchor in anchors(path.read_text(encoding="utf-8")), link


@pytest.mark.parametrize("name", PAGES)
def test_files_that_are_named_are_there(name: str) -> None:
    if name.startswith(DIARY) or name == "CHANGELOG.md":
        return  # these tell of what was
    prose = "\n".join(block.text for block in read_blocks(read(name)) if block.kind != "code")
    for path in re.findall(r"`((?:[a-z_0-9]+/)+[\w.-]*)`", prose):
        if path.split("/")[0] not in NOT_OURS and "NAME" not in path and not path.endswith("__pycache__"):
            assert (ROOT / path).exists(), path


def test_the_nav_has_every_page_once() -> None:
    nav = pages_of_the_nav(yaml.safe_load(read("mkdocs.yml"))["nav"])
    assert len(nav) == len(set(nav))
    there = {name.removeprefix("docs/") for name in PAGES if name.startswith("docs/")}
    in_the_diary = {name for name in there if f"docs/{name}".startswith(DIARY) and not name.endswith("/index.md")}
    assert set(nav) == there - in_the_diary


def test_the_diary_has_a_way_in() -> None:
    entries = [name for name in PAGES if name.startswith(DIARY) and not name.endswith("/index.md")]
    if entries:
        linked = {Path(DIARY + link.partition("#")[0]).as_posix() for link in links(read(f"{DIARY}index.md"))}
        assert set(entries) <= linked


@pytest.mark.parametrize("name", ["README.md", "README.zh-CN.md"])
def test_a_reader_finds_the_other_language(name: str) -> None:
    (other,) = {"README.md", "README.zh-CN.md"} - {name}
    assert f"({other})" in read(name).split("\n")[2]
