"""What operations cost in a one-shot search that weighs them: what their space says, or their latency."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from common.errors import RetiariusError, SpaceError, StrategyError, describe_error
from retiarius.context import RunContext
from retiarius.settings import SearchSettings
from strategies import Darts, OneShotFacts
from strategies.supernets import LATENCY

KEY = "operation_costs"  # in config.json, and of the strategy in best.json


def require_costs(settings: SearchSettings) -> None:
    """Raise ``SpaceError`` where operations are weighed by costs that the space does not tell."""
    strategy, space = settings.strategy, settings.space
    if isinstance(strategy, Darts) and not measures_costs(strategy) and not space.tells_costs:
        for name in strategy.weights_in_use:
            raise SpaceError(f"`{name}` needs the costs of operations: {space.name} lacks operation_costs(); set `fixed['cost']='latency'`")


def measures_costs(strategy: Any) -> bool:
    """Return whether the costs of operations are their latency."""
    return isinstance(strategy, Darts) and strategy.cost == LATENCY


def stand_in_costs(strategy: Any, model: Any) -> dict[str, float]:
    """Return costs of the operations of ``model``, an unfrozen space, as long as they are not measured; nothing where they need not be."""
    if not measures_costs(strategy):
        return {}
    from evaluators.operation_latency import operation_names

    return dict.fromkeys(operation_names(model), 1.0)


def with_costs(facts: Any, costs: Mapping[str, float]) -> OneShotFacts:
    """Return what a space tells a one-shot strategy, with these costs, if any, in the place of its own."""
    told = OneShotFacts(**vars(facts))
    return replace(told, operation_costs=costs) if costs else told


def measured_costs(context: RunContext, settings: SearchSettings) -> dict[str, float]:
    """Return by name the latencies of operations in the supernet, as shares; nothing where costs are those that the space tells.

    A resumed search has those that were measured when it began: a measurement may come out otherwise the second time.

    Raises
    ------
    StrategyError
        They cannot be measured.
    """
    if not measures_costs(settings.strategy):
        return {}
    stored = context.stored.get(KEY)
    if isinstance(stored, dict):
        return stored
    if context.image_shape is None:
        raise StrategyError("`cost='latency'` is measured on images, and there are none: leave out `evaluator`")
    from evaluators.operation_latency import measure_operations

    where: dict[str, Any] = {"device": context.device, "precision": context.precision}
    try:
        costs = measure_operations(context.build(None), context.image_shape, **where)
    except RetiariusError:
        raise
    except Exception as error:
        raise StrategyError(f"`cost='latency'`: {settings.space.name} does not run as a whole: {describe_error(error)}") from error
    slowest = ", ".join(f"{name} {cost:.2f}" for name, cost in sorted(costs.items(), key=lambda item: -item[1]))
    context.reporter.say(f"latencies of operations, as shares of the longest: {slowest}")
    return costs
