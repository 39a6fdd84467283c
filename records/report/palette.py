"""The colours of the report and of its charts, in the page as variables of CSS, and in a figure of matplotlib as they are."""

from __future__ import annotations

from collections.abc import Mapping

LIGHT = {
    "paper": "#fdfdfc",
    "card": "#ffffff",
    "ink": "#1d2330",
    "soft": "#596377",
    "grid": "#e6e8ec",
    "accent": "#0f6fde",
    "best": "#d9480f",
    "good": "#12805c",
    "pruned": "#a06f00",
    "failed": "#c62828",
    "node": "#dcebfb",
    "input": "#ddf3e4",
    "output": "#fcf0cf",
    "conv": "#e9f1fc",
    "pool": "#fbe9df",
    "skip": "#f1f2f4",
    "c0": "#0f6fde",
    "c1": "#d9480f",
    "c2": "#12805c",
    "c3": "#8b3fc7",
    "c4": "#b78103",
    "c5": "#0b8ea3",
    "c6": "#c2255c",
    "c7": "#667085",
}
DARK = {
    "paper": "#12151b",
    "card": "#191d25",
    "ink": "#e4e7ec",
    "soft": "#a3adbd",
    "grid": "#2c323d",
    "accent": "#6cb2ff",
    "best": "#ff9a62",
    "good": "#4cc38a",
    "pruned": "#e2b93b",
    "failed": "#ff7b72",
    "node": "#1f3a57",
    "input": "#1d4230",
    "output": "#4d4118",
    "conv": "#20324a",
    "pool": "#4a3020",
    "skip": "#2b303a",
    "c0": "#6cb2ff",
    "c1": "#ff9a62",
    "c2": "#4cc38a",
    "c3": "#c792ff",
    "c4": "#e2b93b",
    "c5": "#4fd0e3",
    "c6": "#ff7eb0",
    "c7": "#98a2b3",
}
SERIES = 8  # c0 to c7


def as_css() -> str:
    """Return the rules that set the variables, by what the reader's system asks for: light or dark; paper is light."""
    return f":root {{ {_variables(LIGHT)} }}\n@media screen and (prefers-color-scheme: dark) {{ :root {{ {_variables(DARK)} }} }}\n"


def _variables(colours: Mapping[str, str]) -> str:
    return " ".join(f"--{name}: {colour};" for name, colour in colours.items())
