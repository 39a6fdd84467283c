"""What a strategy is told of the search that it is to make. Nothing heavy is imported here."""

from __future__ import annotations

from collections.abc import Callable, Mapping, MutableMapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from strategies.stages import ALONE, Place

if TYPE_CHECKING:
    from strategies.one_shot.search_epoch import SearchEpoch
    from strategies.optuna.shared_study import SharedStudy


@dataclass(frozen=True)
class OneShotFacts:
    """What a search space tells of itself to a one-shot strategy.

    Attributes
    ----------
    input_edges
        By label of an ``InputChoice`` the labels of the ``LayerChoice`` of each of its candidates, in order. Nodes that are named here add
        up their edges; all others are mixed by NNI.
    operation_costs
        By name of an operation what it costs, from 0 to 1.
    form
        Maps a module of the space to its differentiable form, or to ``None`` where it has none. A form computes the same faster: a module
        with the attribute ``choices`` (label -> names of the operations) whose ``forward`` takes a dict (label -> weights of the
        operations, which add up to 1, or to the weight of the edge) before the arguments of the module itself. Its
        ``candidates()`` are its operations, as (label, name, module). ``None``: no module has one.
    partial_form
        Maps a module and a number K to a form whose operations work on one K-th of the channels, or to ``None`` where it has none.
        ``None``: no module has one.
    node_edges
        By name of a node the labels of the edges that lead to it, in order. Where the name is that of an ``InputChoice``, its architecture
        parameters are those of the edges.
    path_form
        Maps a module of the space to its single-path form, which computes one operation an edge, or to ``None``. It has ``choices`` and
        ``candidates()`` as above. Its ``forward`` takes two dicts before the arguments of the module: label -> name of the operation, for
        the edges that are read; and label -> a scalar by which an edge is multiplied: of value 1 where its gradient is wanted. Where the
        module has a ``form``, too, both have the same parameters.
    """

    input_edges: Mapping[str, list[str]] = field(default_factory=dict)
    operation_costs: Mapping[str, float] = field(default_factory=dict)
    form: Callable[[Any], Any] | None = None
    partial_form: Callable[[Any, int], Any] | None = None
    node_edges: Mapping[str, list[str]] = field(default_factory=dict)
    path_form: Callable[[Any], Any] | None = None


@dataclass(frozen=True)
class SearchContext:
    """What a strategy is built from beside its own settings; each takes what it can use.

    Attributes
    ----------
    seed
        Of every generator that the strategy draws from.
    trials
        Number of trials of the search, 1 or more: strategies size their first, random part by it.
    open_trials
        Number of trials that are open at once, 1 or more.
    shared
        The study in which other processes take part; ``None``: the search is this process's alone.
    canonical
        Maps a sample to the one that stands for all that mean the same.
    features
        Numbers by name that say what the network of an architecture computes; ``None`` where the space tells none.
    described
        The labels of a sample that ``features`` tells of.
    usual
        Tells of a sample, by label, the good value of a number for its network and optimizer: strategies that can look for it near that.
        ``None``: in all of its range.
    scores_change
        Whether a trial that is told once may be told again, with another score, as it has gone on.
    costs
        Names of facts that are to be small, for strategies of several objectives; the score, which is to be high, comes before them.
    gradient_clip
        Largest norm of the gradient of a supernet's weights, above 0; ``None``: not clipped.
    one_shot
        What the space tells a one-shot strategy; ``None``: nothing.
    steps
        How many steps a one-shot strategy trains its supernet for; ``None``: nobody knows.
    score
        Returns the accuracy of a supernet, held at operations, with the weights it has, in [0, 1]: for one-shot strategies that select
        their architecture by it. ``None``: nothing is selected so.
    scores
        What ``score`` gave, by what was scored. Those of an interrupted run are there, and new ones are put there.
    reject
        Tells why an architecture is not to be selected by ``score``, a ``strategies.engines.recording.Rejection``, or ``None`` where it may
        be; ``None``: all may.
    place
        Where the supernet that a one-shot strategy trains stands in its search.
    on_step, on_epoch
        Called by a one-shot strategy with the number of pairs of steps done, those of an interrupted run included; and with each
        ``SearchEpoch`` that ended.
    """

    seed: int = 0
    trials: int = 1
    open_trials: int = 1
    shared: SharedStudy | None = None
    canonical: Callable[[dict[str, Any]], dict[str, Any]] = dict
    features: Callable[[Mapping[str, Any]], Mapping[str, float]] | None = None
    described: Sequence[str] = ()
    usual: Callable[[Mapping[str, Any]], Mapping[str, float]] | None = None
    scores_change: bool = False
    costs: Sequence[str] = ()
    gradient_clip: float | None = None
    one_shot: OneShotFacts | None = None
    steps: int | None = None
    score: Callable[[Any], float] | None = None
    scores: MutableMapping[str, float] = field(default_factory=dict)
    reject: Callable[[Mapping[str, Any]], Any] | None = None
    place: Place = ALONE
    on_step: Callable[[int], Any] | None = None
    on_epoch: Callable[[SearchEpoch], Any] | None = None
