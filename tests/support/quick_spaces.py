"""Spaces as the quick preset searches them."""

from __future__ import annotations

from typing import Any

from spaces.adapter import find_space


def quick_arguments(name: str) -> dict[str, Any]:
    return find_space(name).preset_arguments("quick", "search")
