"""What a one-shot search is told beside its space, and what it tells of every epoch: plain values, with the guard against collapse."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from common.errors import StrategyError
from common.text import show

SUPERNETS = ("fused", "stock")
ORDERS = (1, 2)
GUARDS = ("off", "warn", "stop")
AUTO = "auto"
SKIP = "skip_connect"
NONE = "none"  # the operation that cuts an edge
GUARDED_CELL, MOST_SKIPS = "normal", 1  # DARTS+ (arXiv 1909.06035): two skips or more in the normal cell are a collapse
# Where there is no such cell. Of the 1,562 best cells of NAS-Bench-201, a tenth, none has more than three skips on its six edges, the best
# with four reaches 92.3% of 94.4%, and the one with six, with which DARTS ends there, 54.3%.
MOST_SKIP_SHARE = 0.5
UNNAMED_CELL = "cell"


@dataclass(frozen=True)
class AlphaOptimizer:
    """Adam for the architecture parameters; the defaults are the paper's.

    Attributes
    ----------
    alpha_lr
        Learning rate, above 0.
    alpha_weight_decay
        Weight decay, 0 or more.
    alpha_betas
        Decay rates of the two moments, from 0 to below 1.

    Raises
    ------
    StrategyError
        A value is none of these; names it and the legal ones.
    """

    alpha_lr: float = 3e-4
    alpha_weight_decay: float = 1e-3
    alpha_betas: tuple[float, float] = (0.5, 0.999)

    def __post_init__(self) -> None:
        rate, decay, betas = self.alpha_lr, self.alpha_weight_decay, self.alpha_betas
        if not (is_number(rate) and rate > 0):
            raise StrategyError(f"alpha_lr: {show(rate)} is neither a number above 0 nor '{AUTO}'")
        if not (is_number(decay) and decay >= 0):
            raise StrategyError(f"alpha_weight_decay: {show(decay)} is not a number of at least 0")
        if not isinstance(betas, list | tuple) or len(betas) != 2 or not all(is_number(beta) and 0 <= beta < 1 for beta in betas):
            raise StrategyError(f"alpha_betas: {show(betas)} is not a pair of numbers from 0 to below 1, such as [0.5, 0.999]")
        object.__setattr__(self, "alpha_betas", tuple(betas))  # a list, of a file or a person, becomes a tuple


def is_number(value: Any) -> bool:
    """Return whether it is a finite one that a float can hold, and no truth value."""
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= sys.float_info.max


def check_darts(*, supernet: Any, order: Any, cost_weight: Any, name: str = "darts") -> None:
    """Raise ``StrategyError``, one line, where one of these settings of DARTS, or of what is built on it, cannot be."""
    if supernet not in SUPERNETS:
        raise StrategyError(f"{name}: the supernet is {show(supernet)}; expected one of {', '.join(SUPERNETS)}")
    if order not in ORDERS:
        raise StrategyError(f"{name}: the order is {show(order)}; expected 1 or 2")
    if not (is_number(cost_weight) and cost_weight >= 0):
        raise StrategyError(f"{name}: the cost weight is {show(cost_weight)}; expected a number of at least 0")


@dataclass(frozen=True)
class SearchEpoch:
    """What one epoch of a one-shot search brought.

    Losses and accuracies (fractions; ``None`` where the evaluator does not tell them) are means over the epoch's batches.

    Attributes
    ----------
    number
        Of the epoch in the whole search, from 1.
    train_loss, train_accuracy
        Of the weights' half of the images.
    validation_loss, validation_accuracy
        Of the architecture's half, measured before each architecture step; in second order with the weights one step ahead.
    alphas
        The architecture parameters by label and operation; those of weighed edges by node and position of the edge.
    probabilities
        The weights to be expected of the operations: their softmax, except where a method says otherwise; and of weighed edges.
    entropy
        Of the weights of operations, the mean over the labels, in nats.
    skips
        By cell how many of the edges that would be kept without costs are skip connections, of how many; empty where none can be one.
    sample
        The architecture that the alphas stand for now, less what operations cost; of even paths the best of some draws. Empty where even
        paths are trained and the architecture is selected afterwards.
    temperature
        Of the method's draws in this epoch; ``None`` where there is none.
    paths
        By label and operation how often it was the one on which the supernet's weights learned; ``None`` where all learn at once.
    stage
        Of the search, from 1; ``None`` where there is one alone.
    frozen
        By operation how many of its copies in the supernet no longer learn; ``None`` where none is ever frozen.
    kept_inputs
        By label of a node's choice of inputs, and input, how often the weights learned with it kept; ``None`` where all are.
    """

    number: int
    train_loss: float | None
    train_accuracy: float | None
    validation_loss: float | None
    validation_accuracy: float | None
    alphas: dict[str, dict[Any, float]]
    probabilities: dict[str, dict[Any, float]]
    entropy: float
    skips: dict[str, tuple[int, int]]
    sample: dict[str, Any]
    temperature: float | None = None
    paths: dict[str, dict[Any, int]] | None = None
    frozen: dict[str, int] | None = None
    kept_inputs: dict[str, dict[int, int]] | None = None
    stage: int | None = None

    @property
    def skip_share(self) -> float | None:
        """Share of skip connections among the edges kept, in [0, 1]; ``None`` where none can be one."""
        kept = sum(of for _, of in self.skips.values())
        return sum(skips for skips, _ in self.skips.values()) / kept if kept else None

    @property
    def collapsed(self) -> bool:
        """Whether skip connections have taken over the normal cell or, in a space without one, all cells together."""
        if GUARDED_CELL in self.skips:
            return self.skips[GUARDED_CELL][0] > MOST_SKIPS
        return (self.skip_share or 0.0) > MOST_SKIP_SHARE


def mean_entropy(probabilities: Mapping[str, Mapping[Any, float]]) -> float:
    """Return the mean over the labels of the entropy of their operations, in nats."""
    entropies = [-sum(p * math.log(p) for p in operations.values() if p > 0) for operations in probabilities.values()]
    return sum(entropies) / len(entropies)


def count_skips(sample: Mapping[str, Any], input_edges: Mapping[str, list[str]]) -> dict[str, tuple[int, int]]:
    """Return, by cell (what stands before the slash of a label), the number of skip connections among the edges kept, and of those."""
    return _tally((label, sample[edges[source]]) for label, edges in input_edges.items() for source in sample[label])


def count_skips_among(sample: Mapping[str, Any], labels: Iterable[str]) -> dict[str, tuple[int, int]]:
    """Return the same of a space in which all edges are kept: those that have these ``labels``."""
    return _tally((label, sample[label]) for label in labels)


def _tally(edges: Iterable[tuple[str, Any]]) -> dict[str, tuple[int, int]]:
    """Count skip connections and edges by cell; ``edges`` are pairs of a label and an operation."""
    counts: dict[str, tuple[int, int]] = {}
    for label, operation in edges:
        cell, slash, _ = label.partition("/")
        skips, kept = counts.get(cell if slash else UNNAMED_CELL, (0, 0))
        counts[cell if slash else UNNAMED_CELL] = (skips + (operation == SKIP), kept + 1)
    return counts


class CollapseGuard:
    """Watches for epochs whose normal cell has more than ``MOST_SKIPS`` skip connections, after one whose had not.

    DARTS+ counts so in cells of four nodes; cells of more or fewer are held to the same number. Where no cell is called normal, as in
    NAS-Bench-201, more than ``MOST_SKIP_SHARE`` of all edges are a collapse. The first epochs' cells are a draw, so a search that has had
    no good epoch yet has nothing to collapse from and goes on.

    Attributes
    ----------
    mode
        One of ``GUARDS``.
    last_good
        The last epoch that had not collapsed, or ``None``.
    collapsed_at
        Number of the epoch that set it off, or ``None``.

    Raises
    ------
    StrategyError
        The mode is none of ``GUARDS``.
    """

    def __init__(self, mode: str, name: str = "darts") -> None:
        if mode not in GUARDS:
            raise StrategyError(f"{name}: the collapse guard is {show(mode)}; expected one of {', '.join(GUARDS)}")
        self.mode = mode
        self.last_good: SearchEpoch | None = None
        self.collapsed_at: int | None = None

    @property
    def stops(self) -> bool:
        """Whether the search is to end."""
        return self.mode == "stop" and self.collapsed_at is not None

    def watch(self, epoch: SearchEpoch) -> None:
        """Take note of ``epoch``."""
        if not epoch.collapsed:
            self.last_good = epoch
        elif self.mode != "off" and self.last_good is not None and self.collapsed_at is None:
            self.collapsed_at = epoch.number

    def warning(self, number: int) -> str | None:
        """Return a line to say of the epoch of this number, which was watched, where it set the guard off; else ``None``."""
        if self.collapsed_at != number:
            return None
        end = "the search ends here" if self.stops else "`collapse_guard='stop'` would end the search here"
        return f"skip connections take over; {end}"

    def result(self, last: SearchEpoch) -> SearchEpoch:
        """Return the epoch whose architecture is the search's: the last, or the last good one where the guard ended it."""
        return self.last_good if self.stops and self.last_good is not None else last

    def describe(self) -> dict[str, Any]:
        """Return what ``best.json`` tells of the guard."""
        return {"mode": self.mode, "collapsed_at_epoch": self.collapsed_at, "stopped": self.stops}

    def state_dict(self) -> dict[str, Any]:
        """Return plain data of which :meth:`load_state_dict` makes the guard that it was."""
        return {"last_good": None if self.last_good is None else asdict(self.last_good), "collapsed_at": self.collapsed_at}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Become the guard whose :meth:`state_dict` this is."""
        self.last_good = None if state["last_good"] is None else SearchEpoch(**state["last_good"])
        self.collapsed_at = state["collapsed_at"]


def less_costs(
    probabilities: Mapping[str, Mapping[Any, float]], costs: Mapping[str, float], weight: float
) -> Mapping[str, Mapping[Any, float]]:
    """Return ``probabilities`` as they are where ``weight * cost`` is taken off the logit of each operation.

    A penalty for costs is usual in the loss of a search (Cai et al. 2019, arXiv 1812.00332, equation 6); here it is taken off what the
    search has learnt, so that one search has a cell for every weight.

    Parameters
    ----------
    probabilities
        By label and operation.
    costs
        By operation, 0 where there is none.
    weight
        0 or more.
    """
    if weight == 0:
        return probabilities
    charged: dict[str, dict[Any, float]] = {}
    for label, operations in probabilities.items():
        least = min(costs.get(name, 0.0) for name in operations)  # off all alike: else all shares may come to 0
        shares = {name: p * math.exp(-weight * (costs.get(name, 0.0) - least)) for name, p in operations.items()}
        total = sum(shares.values())
        charged[label] = {name: share / total for name, share in shares.items()}
    return charged


def choose_edges(
    probabilities: Mapping[str, Mapping[Any, float]], input_edges: Mapping[str, list[str]], n_chosen: Mapping[str, int]
) -> dict[str, Any]:
    """Return the cells that architecture parameters stand for (section 2.4 of the paper): the labels of ``input_edges`` and of their edges.

    On every edge the likeliest operation other than ``none``; at every node the ``n_chosen`` edges on which that operation is likeliest,
    the earlier state first where two are equal.

    Parameters
    ----------
    probabilities
        By label of an edge and operation.
    input_edges
        By label of a node's choice of inputs the labels of its edges, in order.
    n_chosen
        By label of a node's choice of inputs how many it keeps.
    """
    sample: dict[str, Any] = {}
    strength: dict[str, float] = {}
    for label in dict.fromkeys(edge for edges in input_edges.values() for edge in edges):
        candidates = {name: p for name, p in probabilities[label].items() if name != NONE}
        sample[label] = max(candidates, key=lambda name: candidates[name])
        strength[label] = candidates[sample[label]]
    for label, sources in input_edges.items():
        strongest = sorted(range(len(sources)), key=lambda index: -strength[sources[index]])
        sample[label] = sorted(strongest[: n_chosen[label]])
    return sample
