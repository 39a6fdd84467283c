"""benchmarks.light_cells: the cells that are kept are those of the alphas beside them."""

from __future__ import annotations

import pytest


@pytest.mark.slow
def test_cells_that_were_found_are_those_of_the_alphas_beside_them() -> None:
    from benchmarks.light_cells import KEPT, derive
    from records.best import load_best

    for name, cell in (("light-NAS.json", (1, 6, 0.8)), ("finer-light-NAS.json", (1, 5, 0.7))):
        kept = load_best(KEPT.with_name(name))
        told = kept.strategy
        assert (told["seed"], told["epoch"], told["cost_weight"]) == cell, "as the row of the lab's table says"
        assert kept.architecture == derive(*cell)
    assert load_best(KEPT.with_name("early-NAS.json")).architecture == derive(0, 2, 0.0)
