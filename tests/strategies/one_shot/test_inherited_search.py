"""The evolutionary search by inherited weights: its numbers, what it finds, and what it may not select."""

from __future__ import annotations

from typing import Any

import pytest
from scored_supernets import TINY, Sum, supernet_of
from small_supernets import PlainSpace

from common.errors import StrategyError
from spaces.nasbench201.space import NasBench201Space
from strategies import SPOS
from strategies.engines.recording import Rejection
from strategies.one_shot.inherited import InheritedSearch
from strategies.one_shot.restriction import Supernet
from strategies.one_shot.selection import Scorer


def inherited(supernet: Supernet, known: dict[str, float], **settings: Any) -> tuple[InheritedSearch, Sum]:
    score = Sum(supernet)
    told = {"seed": 1, "population": 10, "generations": 6, "canonical": dict, **settings}
    search = InheritedSearch(scorer=Scorer(score, known), **told)
    search.bind(supernet)
    return search, score


def test_evolution_finds_better_networks_than_chance() -> None:
    supernet, known = supernet_of(NasBench201Space, TINY), {}
    search, score = inherited(supernet, known)
    selected = search.finish()
    assert score.calls == len(known) == 60, "six generations of ten, none twice"
    values = list(known.values())
    assert max(values[:10]) < selected.top[0][1] == max(values)
    assert [accuracy for _, accuracy in selected.top] == sorted(values, reverse=True), "all, of which any number can be trained"
    assert sum(values[-10:]) > sum(values[:10])
    assert selected.sample == selected.top[0][0]

    again, more = inherited(supernet, dict(list(known.items())[:37]))
    assert again.finish() == selected and more.calls == 60 - 37, "what was scored before is not scored again"


def test_evolution_has_the_numbers_of_the_paper(monkeypatch: pytest.MonkeyPatch) -> None:
    """Section 3.4 and algorithm 1: 50 networks, 20 generations; of the best 10 so far 25 are crossed, 25 mutated with probability 0.1."""
    supernet = supernet_of(NasBench201Space, TINY)
    made: list[tuple[str, list[Any], Any]] = []
    makers = {"_cross": InheritedSearch._cross, "_mutate": InheritedSearch._mutate}
    for kind in makers:

        def note(self: InheritedSearch, parents: list[Any], kind: str = kind) -> Any:
            made.append((kind, parents, makers[kind](self, parents)))
            return made[-1][2]

        monkeypatch.setattr(InheritedSearch, kind, note)
    settings = SPOS(selection="inherited")
    known: dict[str, float] = {}
    search, _ = inherited(supernet, known, population=settings.population, generations=2)
    search.finish()
    assert (settings.population, settings.generations, len(known)) == (50, 20, 100)

    first = sorted(list(search._scores.values())[:50], key=lambda scored: -scored[1])
    assert all(parents == [sample for sample, _ in first[:10]] for _, parents, _ in made), "of the best ten"
    children = [sample for sample, _ in list(search._scores.values())[50:]]
    crossed, mutated = ([child for kind, _, child in made if kind == asked] for asked in ("_cross", "_mutate"))
    assert all(child in crossed for child in children[:25]) and all(child in mutated for child in children[25:])


def test_a_mutated_child_has_one_value_of_ten_drawn_anew_and_a_crossed_one_none() -> None:
    search, _ = inherited(supernet_of(NasBench201Space, TINY), {})
    ones, others = (dict.fromkeys(search.supernet.mutables, name) for name in ("nor_conv_3x3", "skip_connect"))
    changed = sum(value != "nor_conv_3x3" for _ in range(2000) for value in (search._mutate([ones]) or {}).values())
    assert changed / (2000 * len(ones)) == pytest.approx(0.1 * 4 / 5, abs=0.01), "of five operations one is the parent's own"
    values = [value for _ in range(2000) for value in search._cross([ones, others]).values()]
    assert set(values) == {"nor_conv_3x3", "skip_connect"} and values.count("skip_connect") / len(values) == pytest.approx(0.5, abs=0.05)


def test_a_space_that_is_used_up_ends_the_evolution() -> None:
    supernet, known = supernet_of(PlainSpace, {}), {}
    search, _ = inherited(supernet, known, canonical=lambda sample: {**sample, "inputs": sorted(sample["inputs"])})
    assert search.finish().top[0][1] == max(known.values())
    assert len(known) == 2 * 3


def test_no_network_is_selected_that_is_not_allowed() -> None:
    supernet = supernet_of(NasBench201Space, TINY)
    asked: list[Any] = []

    def reject(sample: Any) -> Rejection | None:
        asked.append(sample)
        count = list(sample.values()).count("skip_connect")
        return Rejection(float(count - 1), f"{count} skip connections") if count > 1 else None

    search, score = inherited(supernet, {}, reject=reject)
    assert score.calls == 0 and asked, "the first generation is drawn before the training"
    networks = [sample for sample, _ in search.finish().top]
    assert len(networks) == 60 and all(list(sample.values()).count("skip_connect") <= 1 for sample in networks)
    free, _ = inherited(supernet, {})
    best = free.finish().top[0][0]
    assert list(best.values()).count("skip_connect") > 1, "which the best of all networks breaks"


def test_that_nothing_is_allowed_is_told_before_the_training() -> None:
    reasons = iter(range(10**6, 2 * 10**6))

    def reject(sample: Any) -> Rejection:
        size = next(reasons)
        return Rejection(float(size), f"{size:,} parameters")

    message = r"^all \d+ proposed networks are too large; the closest to the limit has 1,000,000 parameters: raise the limit$"
    with pytest.raises(StrategyError, match=message):
        inherited(supernet_of(NasBench201Space, TINY), {}, reject=reject)
