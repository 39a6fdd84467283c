"""Which flags of the command line a strategy can do something with."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from common.errors import StrategyError
from strategies import NO_PRUNER, STRATEGIES, strategy_entry


def check_flags(
    strategy: str,
    *,
    evaluator: str,
    looks_up: bool,
    objectives: Sequence[str],
    measures_latency: bool,
    pruner: str,
    workers: int,
    trials: int,
    shares_study: bool,
    trial_flags: Collection[str],
    one_shot_flags: Collection[str],
    training_flags: Collection[str],
    searches_file: bool,
) -> None:
    """Raise ``StrategyError``, one line, where ``strategy`` can do nothing with what else was asked for.

    ``evaluator`` is empty where none was asked for beside the usual one; ``looks_up`` says whether it answers from a table;
    ``objectives``, ``pruner``, ``workers`` and ``trials`` are what was given, an empty sequence, ``none`` and 1 where nothing was;
    ``measures_latency`` says whether the latency is among the objectives, ``shares_study`` whether a storage was named; ``trial_flags``,
    ``one_shot_flags`` and ``training_flags`` are those that were given of the flags that steer trials and a supernet, and that say how to
    train; ``searches_file`` says whether a search space of NNI's was given.
    """
    entry = strategy_entry(strategy)
    if searches_file and (entry.one_shot or looks_up):
        raise StrategyError("a search space of NNI's goes with trials that are trained: no table, and a strategy such as tpe or evolution")
    if looks_up and workers > 1:
        raise StrategyError("--workers is for trainings; a table answers at once: leave it out")
    if looks_up and training_flags:
        raise StrategyError(f"nothing is trained where a table answers: leave out {', '.join(training_flags)}")
    if evaluator and entry.one_shot:
        raise StrategyError(f"{strategy} trains a supernet, in a way of its own: leave out --evaluator {evaluator}")
    if objectives and not entry.several_objectives:
        fitting = ", ".join(name for name, other in STRATEGIES.items() if other.several_objectives)
        raise StrategyError(f"{strategy} has one objective, the accuracy: leave out --objectives, or take {fitting}")
    if measures_latency and workers > 1:
        raise StrategyError("trials side by side slow each other down, so that no latency can be measured: --workers 1")
    if measures_latency and shares_study:
        raise StrategyError("latencies of different machines cannot be compared: leave out --storage")
    if entry.several_objectives and pruner != NO_PRUNER:
        raise StrategyError(f"a trial that ends early can be best in its size: --pruner none for {strategy}")
    if entry.one_shot and trial_flags:
        flags = ", ".join(trial_flags)
        raise StrategyError(f"{strategy} trains one supernet, which has no trials to compare or to leave out: leave out {flags}")
    if entry.one_shot and trials > 1:
        raise StrategyError(f"{strategy} trains one supernet, and tries no networks: leave out --trials")
    if not entry.one_shot and one_shot_flags:
        raise StrategyError(f"{strategy} trains no supernet: leave out {', '.join(one_shot_flags)}")


def check_order(order: int | None, optimizer: str) -> None:
    """Raise ``StrategyError`` where an architecture step of second order is asked for and the weights are moved by another than SGD."""
    if order == 2 and optimizer != "sgd":
        raise StrategyError(f"--order 2 looks one step of SGD ahead, and not one of {optimizer}: --set optimizer=sgd, or leave out --order")


def check_takes_commands(strategy: str) -> None:
    """Raise ``StrategyError`` unless ``strategy`` can search by running somebody's program for each trial."""
    fitting = [name for name, entry in STRATEGIES.items() if not (entry.one_shot or entry.several_objectives)]
    if strategy not in fitting:
        raise StrategyError(f"{strategy} is for networks of ours; a trial command goes with {', '.join(fitting)}")
