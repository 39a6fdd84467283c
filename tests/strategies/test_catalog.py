"""The contract of ``STRATEGIES`` and ``PRUNERS``: small frozen objects that refuse what cannot be, and build NNI's and Optuna's own."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import FrozenInstanceError, dataclass, fields
from typing import Any, ClassVar

import pytest
from project import SEARCH_PATH

from common.errors import StrategyError
from strategies import (
    GDAS,
    HPO,
    NSGA2,
    OLES,
    PRUNERS,
    SPOS,
    STRATEGIES,
    TPE,
    BetaDarts,
    Darts,
    DartsPT,
    DrNAS,
    FairNAS,
    Grid,
    Halving,
    Hyperband,
    Median,
    OneShotFacts,
    PCDarts,
    PDarts,
    Pruner,
    SDarts,
    SearchContext,
    Strategy,
    TrialStrategy,
    check_storage,
    make_pruner,
    make_strategy,
)


@pytest.mark.parametrize("name", STRATEGIES)
def test_every_strategy_builds_an_nni_strategy_of_what_it_is_told(name: str) -> None:
    from nni.nas.strategy.base import Strategy as NniStrategy

    strategy = make_strategy(name)
    assert (strategy.name, type(strategy), strategy.settings()) == (name, STRATEGIES[name], {})
    assert strategy.summary and strategy.one_shot != isinstance(strategy, TrialStrategy)
    context = SearchContext(seed=3, trials=20, open_trials=2, costs=["parameters"], one_shot=OneShotFacts())
    first, second = strategy.build(context), strategy.build(SearchContext())
    assert isinstance(first, NniStrategy) and isinstance(second, NniStrategy)
    assert first is not second, "each makes one search"


@pytest.mark.parametrize("name", PRUNERS)
def test_every_pruner_builds_an_optuna_pruner(name: str) -> None:
    from optuna.pruners import BasePruner

    pruner = make_pruner(name)
    assert pruner is not None and (pruner.name, type(pruner)) == (name, PRUNERS[name])
    assert pruner.summary and pruner.after >= 1 and pruner.first_step == 1
    assert isinstance(pruner.build(9), BasePruner)


@pytest.mark.parametrize("made", [*(kind() for kind in STRATEGIES.values()), *(kind() for kind in PRUNERS.values())], ids=lambda m: m.name)
def test_they_are_frozen_plain_values(made: Any) -> None:
    assert made == type(made)() and hash(made) == hash(type(made)())
    for field in [*(field.name for field in fields(made)), "other"]:
        with pytest.raises(FrozenInstanceError):
            setattr(made, field, 1)


def test_the_room_is_imported_without_heavy_libraries() -> None:
    heavy = ("torch", "nni", "optuna", "numpy", "scipy", "sklearn")
    program = (
        "import sys, strategies\n"
        "strategies.Darts(order=2), strategies.TPE(pruner=strategies.Median()), strategies.make_strategy('bo')\n"
        f"print(*sorted({{name.split('.')[0] for name in sys.modules}} & set({heavy})))"
    )
    environment = {"PYTHONPATH": SEARCH_PATH, "PATH": ""}
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, env=environment)
    assert done.stdout.split() == []


def test_settings_are_those_that_differ_by_the_flags_words() -> None:
    darts = Darts(order=2, cost_weight=0.5, collapse_guard="stop", supernet="stock", alpha_lr=0.1)
    assert list(darts.settings().items()) == [("--supernet", "stock"), ("--order", 2), ("--cost-weight", 0.5), ("--collapse-guard", "stop")]
    assert Darts(order=1, alpha_lr=0.1).settings() == {}, "of the alphas' optimizer --set tells"
    assert TPE(pruner=Median(start_step=2)).settings() == {"--pruner": "median"}
    assert [strategy.start_step for strategy in (TPE(pruner=Median(start_step=2)), TPE(pruner=Halving()), TPE())] == [2, None, None]


def test_the_settings_of_the_alphas_reach_their_optimizer() -> None:
    betas: Any = [0.9, 0.99]
    darts = Darts(alpha_lr=0.1, alpha_betas=betas, alpha_weight_decay=0)
    assert darts.alpha_betas == (0.9, 0.99) and hash(darts)
    built = darts.build(SearchContext(gradient_clip=3.0))
    assert (built._alpha_optimizer, built.gradient_clip_val) == (darts.alpha_optimizer, 3.0)


def test_alphas_can_go_as_far_as_the_authors_in_fewer_steps() -> None:
    authors = {Darts: 3e-4 * 19_500, GDAS: 3e-4 * 24_250, DrNAS: 6e-4 * 19_500, BetaDarts: 3e-4 * 39_000, PCDarts: 6e-4 * 4_850}
    for kind, reach in {**authors, PDarts: 6e-4 * 6_500}.items():
        auto = kind(alpha_lr="auto")
        assert auto.rate_in(100) * 100 == pytest.approx(reach) == kind().alpha_lr * kind.authors_steps, kind
        assert auto.rate_in(10**6) == kind().alpha_lr == kind().rate_in(100), "never slower than the authors', and theirs if not asked"
        assert auto.rate_in(None) == kind().alpha_lr
        built = auto.build(SearchContext(steps=100))
        assert built._alpha_optimizer.alpha_lr == built.arc_learning_rate == pytest.approx(reach / 100)
    assert DrNAS(alpha_lr=0.5).rate_in(100) == 0.5


def test_the_published_combinations_have_their_papers_parts() -> None:
    built = {kind: kind().build(SearchContext(seed=5)) for kind in (GDAS, DrNAS, BetaDarts, SDarts)}
    assert {kind: type(strategy._sampler).__name__ for kind, strategy in built.items()} == {
        **{GDAS: "GumbelHard", DrNAS: "Dirichlet"},
        **{BetaDarts: "Softmax", SDarts: "Softmax"},
    }
    assert [len(strategy._regularizers) for strategy in built.values()] == [0, 0, 1, 0]
    assert [strategy._sampler.perturbation is not None for strategy in built.values()] == [False, False, False, True]
    assert (DrNAS().alpha_lr, BetaDarts().beta_weight, SDarts().perturbation) == (6e-4, 50.0, 0.3)
    assert (PCDarts().partial_channels, PCDarts().edge_normalization, PCDarts().alpha_warmup, PCDarts().alpha_lr) == (4, True, 0.3, 6e-4)
    assert (OLES().early_stop, OLES().early_stop_steps, GDAS().early_stop) == (0.4, 20, 0.0)
    assert type(soft := GDAS(sampler="gumbel_softmax").build(SearchContext())._sampler).__name__ == "GumbelSoftmax"
    assert (soft._first, soft._last) == (1.0, 0.33), "those of the sampler unless told otherwise"
    assert (built[GDAS]._sampler._first, built[GDAS]._sampler._last) == (10.0, 0.1)
    assert GDAS(temperatures=(5, 1)).build(SearchContext())._sampler._first == 5
    both = DrNAS(kl_weight=1e-3, beta_weight=1.0, perturbation=0.1).build(SearchContext())
    assert len(both._regularizers) == 2 and both._sampler.perturbation is not None, "parts compose"
    assert type(GDAS(sampler="reinmax").build(SearchContext())._sampler).__name__ == "ReinMax"
    assert GDAS(sampler="reinmax", temperatures=[2, 1]).build(SearchContext())._sampler.temperature == 2  # type: ignore[arg-type]
    projection = DartsPT().build(SearchContext())._selection
    assert (type(projection).__name__, projection._tuning_epochs, DartsPT().sampler) == ("Projection", 10, "softmax")
    assert DartsPT(selection="inherited").build(SearchContext())._selection.scores_networks, "parts compose here, too"
    assert type(Darts().build(SearchContext())._sampler).__name__ == "Softmax" and Darts()._parts(0) == {}


def test_spos_draws_paths_evenly_or_fairly_and_its_supernet_uses_no_weight_of_others() -> None:
    kinds = {sampler: type(SPOS(sampler=sampler).build(SearchContext())._sampler).__name__ for sampler in ("uniform", "fair")}
    assert kinds == {"uniform": "UniformPath", "fair": "FairPaths"}
    assert type(FairNAS().build(SearchContext())._sampler).__name__ == "FairPaths" and FairNAS().selection == "strongest"
    assert SPOS().build(SearchContext()).guard.mode == "off", "skip connections of a draw are no collapse"
    assert SPOS(supernet="stock").settings() == {"--supernet": "stock"}
    using_all = {kind: kind().uses_all_weights for kind in (Darts, GDAS, DrNAS, SDarts, SPOS, TPE)}
    assert using_all == {Darts: True, GDAS: False, DrNAS: True, SDarts: True, SPOS: False, TPE: False}
    assert not GDAS(sampler="reinmax").uses_all_weights and GDAS(perturbation=0.1).uses_all_weights


@pytest.mark.parametrize(
    ("make", "line"),
    [
        (lambda: GDAS(order=3), "gdas: the order is 3"),
        (
            lambda: GDAS(sampler="gumble"),
            "gdas: unknown sampler 'gumble' (did you mean gumbel?); known: softmax, gumbel, dirichlet, reinmax, gumbel_softmax",
        ),
        (lambda: SPOS(sampler="gumbel"), "spos: unknown sampler 'gumbel'; known: uniform, fair"),
        (lambda: SPOS(supernet="thin"), "spos: the supernet is 'thin'; expected one of fused, stock"),
        (lambda: make_strategy("spos", order=2), "spos: unknown setting 'order'"),
        (lambda: GDAS(temperatures=(0, 1)), "temperatures: (0, 1) is not a pair of numbers above 0, such as [10, 0.1]"),
        (
            lambda: GDAS(sampler="reinmax", temperatures=(2, 0.5)),
            "temperatures: (2, 0.5) is not a pair of numbers of at least 1, such as [2, 1]",
        ),
        (lambda: BetaDarts(beta_weight=-1), "beta_weight: -1 is not a number of at least 0"),
        (lambda: SDarts(perturbation=2), "perturbation: 2 is not a number from 0 to 1"),
        (lambda: SDarts(kl_weight=0.1), "kl_weight: it needs sampler='dirichlet', not 'softmax'"),
        (lambda: PCDarts(partial_channels=0), "partial_channels: 0 is not a whole number of at least 1"),
        (lambda: PCDarts(partial_channels=2.0), "partial_channels: 2.0 is not a whole number of at least 1"),
        (lambda: PCDarts(supernet="stock"), "partial_channels: it works with `supernet='fused'` only"),
        (lambda: PCDarts(edge_normalization=1), "edge_normalization: 1 is neither true nor false"),
        (lambda: PCDarts(alpha_warmup=1), "alpha_warmup: 1 is not a number from 0 to below 1"),
        (lambda: OLES(early_stop=1.1), "early_stop: 1.1 is not a number from 0 to 1"),
        (lambda: OLES(early_stop_steps=True), "early_stop_steps: True is not a whole number of at least 1"),
        (lambda: OLES(order=2), "early_stop: it works with `order=1` only"),
        (lambda: DrNAS(collapse_guard="panic"), "drnas: the collapse guard is 'panic'"),
        (lambda: Darts(order=3), "darts: the order is 3"),
        (lambda: Darts(supernet="thin"), "darts: the supernet is 'thin'; expected one of fused, stock"),
        (lambda: Darts(cost_weight=-1), "darts: the cost weight is -1"),
        (lambda: Darts(collapse_guard="panic"), "darts: the collapse guard is 'panic'; expected one of off, warn, stop"),
        (lambda: Darts(alpha_lr=0), "alpha_lr: 0 is neither a number above 0 nor 'auto'"),
        (lambda: TPE(pruner="median"), "tpe: the pruner is 'median'"),  # type: ignore[arg-type]
        (lambda: NSGA2(pruner=Median()), "nsga2 has several objectives, which pruners do not support: leave out `pruner`"),
        (lambda: Median(start_step=-1), "median: the start step is -1"),
        (lambda: Median(start_step=True), "median: the start step is True"),
        (lambda: Hyperband().build(None), "hyperband needs the number of results per trial: set `epochs`, or use median or halving"),
        (lambda: make_strategy("darts", ordr=2), "darts: unknown setting 'ordr' (did you mean order?); known: order, cost_weight, "),
        (lambda: make_strategy("tpe", order=2), "tpe: unknown setting 'order'; known: pruner"),
        (lambda: make_strategy("tpe", pruner=0), "tpe: the pruner is 0"),
        (lambda: make_pruner("halving", start_step=2), "halving: unknown setting 'start_step'; it has none"),
        (lambda: make_pruner("medium"), "unknown pruner 'medium' (did you mean median?); known: none, median, halving, hyperband"),
        (lambda: make_pruner("foo"), "unknown pruner 'foo'; known: none, median, halving, hyperband"),
        (lambda: make_pruner("none", start_step=2), "unknown pruner 'none'; known: median, halving, hyperband"),
        (
            lambda: check_storage(Grid()),
            "`storage` works with Optuna's strategies only: use tpe, gp, nsga2, hpo, not ",
        ),
        (
            lambda: Darts(cost_weight=1.0).build(SearchContext()),
            "`cost_weight` needs the costs of operations: a space with operation_costs(), or `cost='latency'`",
        ),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(make: Any, line: str) -> None:
    with pytest.raises(StrategyError) as caught:
        make()
    assert str(caught.value).startswith(line)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 200


def test_no_pruner_has_a_name_too() -> None:
    assert make_pruner("none") is None


def test_long_values_are_cut() -> None:
    with pytest.raises(StrategyError) as caught:
        make_strategy("darts", supernet="x" * 100_000)
    assert len(str(caught.value)) < 200


def test_a_strategy_and_a_pruner_of_ones_own_need_no_registration() -> None:
    @dataclass(frozen=True, kw_only=True)
    class Walk(TrialStrategy):
        step: int
        far: bool = False

        def build(self, context: SearchContext) -> Any:
            return context.seed + self.step

    class Never(Pruner):
        after: ClassVar[int] = 7

    class Plain(Strategy):
        def __init__(self, step: int) -> None:
            self.step = step

    walk = Walk(step=2, far=True, pruner=Never())
    assert (walk.name, walk.build(SearchContext(seed=5)), walk.pruner and walk.pruner.after) == ("Walk", 7, 7)
    assert walk.settings() == {"--step": 2, "--far": True, "--pruner": "Never"}
    assert (Plain(3).step, Plain(3).name, Plain(3).settings()) == (3, "Plain", {})
    assert (HPO.name, TPE.name) == ("hpo", "tpe")


@pytest.mark.parametrize(
    ("kind", "words"), [(STRATEGIES["tpe"], "tpe: unknown setting 'prunner'"), (PRUNERS["halving"], "halving: unknown")]
)
def test_a_setting_that_does_not_exist_is_refused_in_one_line(kind: Any, words: str) -> None:
    with pytest.raises(StrategyError, match=words):
        kind(prunner=3)
