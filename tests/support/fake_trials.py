"""Trials that end when a test says so."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from nni_compat.search_space import parse_search_space

SPACE = parse_search_space({"x": {"_type": "uniform", "_value": [0, 1]}, "n": {"_type": "choice", "_value": [1, 2, 3]}})


class Trials:
    """Trials without processes: each ends after so many looks as its sample says, and counts how many run at once."""

    def __init__(
        self, score: Any = lambda sample: sample["x"] * sample["n"], looks: Any = lambda sample: int(sample["x"] * 97) % 7
    ) -> None:
        self.score, self.looks = score, looks
        self.started: list[tuple[int, dict[str, Any]]] = []
        self.running = self.most = 0
        self.stopped: list[int] = []

    def start(self, number: int, sample: Mapping[str, Any]) -> Any:
        trials = self
        trials.started.append((number, dict(sample)))
        trials.running += 1
        trials.most = max(trials.most, trials.running)

        class Trial:
            left = trials.looks(sample)
            facts: ClassVar[dict[str, Any]] = {}
            start = 0.0

            def read_reports(self) -> list[float]:
                return [sample["x"]]

            def outcome(self) -> tuple[float | None, str | None] | None:
                self.left -= 1
                if self.left >= 0:
                    return None
                trials.running -= 1
                score = trials.score(sample)
                return (score, None) if score is not None else (None, "it failed")

            def stop(self) -> None:
                trials.running -= 1
                trials.stopped.append(number)

        return Trial()
