"""What stands where images would, in a search whose evaluator takes none: none are loaded, and none are downloaded."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class NoImages:
    """No data set."""

    name: str = "none"
    num_classes: None = None

    def describe(self) -> dict[str, str]:
        """Return plain data for a record."""
        return {"name": self.name}
