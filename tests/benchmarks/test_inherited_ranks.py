"""The benchmark of inherited weights: by a supernet of its own, and by one that is there."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from bright_bars import make_data
from nasbench201_table import write_made_up

import retiarius as rt
from benchmarks import inherited_ranks
from benchmarks.one_shot_quality import Size

TINY = Size(width=2, epochs=1, batch_size=20)


def numbered(cells: Sequence[Any], *_: Any) -> list[dict[str, float]]:
    """Scores in the order of the cells, which takes no time."""
    return [dict.fromkeys(inherited_ranks.ENSEMBLE, float(place)) for place, _ in enumerate(cells)]


@pytest.mark.slow
def test_a_supernet_that_is_there_ranks_as_the_one_that_was_trained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rt, "load_data", lambda *_, **__: make_data())
    monkeypatch.setattr(inherited_ranks, "IMAGES", {"statistics_images": 10, "validation_images": 30})
    monkeypatch.setattr(inherited_ranks, "untrained", numbered)
    asked: dict[str, Any] = {"table": write_made_up(tmp_path / "table.csv.gz"), "data_dir": tmp_path, "sampler": "uniform", "seed": 0}
    own = inherited_ranks.measure(Namespace(**asked, supernet=None), TINY, 12, tmp_path)
    assert (own["sampler"], own["epochs"], own["cells"]) == ("uniform", 1, 12) and own["training_seconds"] > 0
    assert -1 <= own["inherited"]["all"] <= 1 and own["inherited"]["first"] <= own["best"]
    supernet = tmp_path / "supernet-uniform-0-1"
    there = inherited_ranks.measure(Namespace(**asked, supernet=supernet), Size(), 12, tmp_path / "other")
    assert there["sampler"] == "spos", "the strategy of the run"
    same = ("epochs", "cells", "best", "training_seconds", *(name for name in own if name.startswith("inherited")))
    assert [there[name] for name in same] == [own[name] for name in same]
