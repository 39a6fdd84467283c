"""The page of a report, taken apart, and what must hold of every one."""

from __future__ import annotations

import base64
import hashlib
from html.parser import HTMLParser
from pathlib import Path

from project import PROJECT

from records.report import write_report

VOID = {"meta", "link", "br", "img", "input"}


class Page(HTMLParser):
    """The elements of a page: (tag, attributes), the text inside each kind of tag, and the tags that were never closed."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.source = path.read_text(encoding="utf-8")
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.texts: dict[str, list[str]] = {}
        self.open: list[str] = []
        self.feed(self.source)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert len({name for name, _ in attrs}) == len(attrs), f"an attribute twice in {tag}"
        self.elements.append((tag, {name: value or "" for name, value in attrs}))
        self.texts.setdefault(tag, []).append("")
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag, f"</{tag}> closes another element"

    def handle_data(self, data: str) -> None:
        for tag in self.open:
            self.texts[tag][-1] += data

    def of(self, tag: str, css: str = "") -> list[dict[str, str]]:
        return [attributes for name, attributes in self.elements if name == tag and (not css or css in attributes.get("class", "").split())]

    def text(self) -> str:
        return self.texts["body"][0]


def report(*folders: Path) -> Page:
    page = Page(write_report(folders)[0])
    check_safe(page)
    return page


def check_safe(page: Page) -> None:
    """Whole, no address but its own parts, one script, which is ours, and a policy that lets nothing else in."""
    assert page.open == []
    (policy,) = [meta["content"] for meta in page.of("meta") if meta.get("http-equiv") == "Content-Security-Policy"]
    (script,) = page.texts["script"]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert policy.startswith("default-src 'none'; ")
    assert f"script-src 'sha256-{digest}'" in policy
    assert script == (PROJECT / "records" / "report" / "page.js").read_text(encoding="utf-8")
    identifiers = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(identifiers) == len(set(identifiers))
    assert not {tag for tag, _ in page.elements} & {"img", "iframe", "object", "embed", "form", "a", "base", "foreignobject", "image"}
    for tag, attributes in page.elements:
        assert not [name for name in attributes if name.startswith("on") or name in ("src", "action", "xlink:href")], tag
        assert attributes.get("href", "#").startswith("#") or attributes["href"] == "data:,"
        assert "url(" not in attributes.get("style", "")
    assert "http" not in page.texts["style"][0]
