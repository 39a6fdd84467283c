"""The one-shot strategies: DARTS, and what others made of it, each as settings of the same parts. Nothing heavy is imported here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar, cast

from common.errors import StrategyError, unknown_name
from common.text import show
from strategies.context import SearchContext
from strategies.one_shot.search_epoch import AUTO, AlphaOptimizer, CollapseGuard, check_darts, is_number
from strategies.selections import NEAREST, READS_ALPHAS, STRONGEST, SelectionSettings
from strategies.strategy import Strategy, changed_settings

MULTIPLY_ADDS, LATENCY = COSTS = ("multiply_adds", "latency")
EPOCH = 390  # steps of a search's epoch in most papers: half of CIFAR-10's training images, 64 at a time
SAMPLERS = ("softmax", "gumbel", "dirichlet", "reinmax", "gumbel_softmax")
_OF_PATHS = ("gumbel", "reinmax")  # the steps of the supernet's weights compute the drawn operations alone
_ABOVE_0 = (lambda temperature: temperature > 0, "above 0, such as [10, 0.1]")
_AT_LEAST_1 = (lambda temperature: temperature >= 1, "of at least 1, such as [2, 1]")
_TEMPERATURES: Mapping[str, tuple[Callable[[float], bool], str]] = {"gumbel": _ABOVE_0, "reinmax": _AT_LEAST_1, "gumbel_softmax": _ABOVE_0}
# Of generators that draw something else from the same seed, as the batches of the two halves do.
OF_SAMPLER, _OF_PERTURBATION = 3, 4


@dataclass(frozen=True, kw_only=True)
class Darts(Strategy):
    """DARTS (Liu et al. 2019, arXiv 1806.09055): trains one supernet, and reads the architecture off it.

    Parameters
    ----------
    order
        1, or 2: the architecture parameters' gradient goes through one step of the weights; five passes of the supernet in place of two.
    cost_weight
        This times what an operation costs is taken off its architecture parameter where a cell is read off the supernet; 0 or more.
    cost
        What operations cost: ``"multiply_adds"``, which the space has to tell, or ``"latency"``, which ``rt.search`` measures.
    collapse_guard
        What happens when skip connections take over: ``"off"``, ``"warn"`` or ``"stop"``. In DARTS+ that is when
        the normal cell has two or more. In a space without such a cell it is when they are more than half of all edges.
    supernet
        ``"fused"``: modules that have a differentiable form are replaced by it. ``"stock"``: every choice is mixed on its own, by NNI.
    alpha_lr, alpha_betas, alpha_weight_decay
        Of Adam for the architecture parameters: above 0; two numbers from 0 to below 1; 0 or more. The defaults are the paper's. A rate of
        ``"auto"`` lets them go as far as the authors' in a search of fewer steps. It is the authors' rate times their steps, divided by the
        steps of the search, or of each stage; and never less than the authors' rate.

    Attributes
    ----------
    authors_steps
        How many steps the authors' search has, or a stage of it.
    """

    name: ClassVar[str] = "darts"
    summary: ClassVar[str] = "one-shot DARTS, first or second order"
    needs: ClassVar[frozenset[str]] = frozenset({"one_shot"})
    one_shot: ClassVar[bool] = True
    set_by_name: ClassVar[tuple[str, ...]] = ("alpha_lr", "alpha_betas", "alpha_weight_decay", "cost")
    authors_steps: ClassVar[int] = 50 * EPOCH
    _cost_weights: ClassVar[tuple[str, ...]] = ("cost_weight",)
    order: int = 1
    cost_weight: float = 0.0
    cost: str = MULTIPLY_ADDS
    collapse_guard: str = "warn"
    supernet: str = "fused"
    alpha_lr: float | str = AlphaOptimizer.alpha_lr
    alpha_betas: tuple[float, float] = AlphaOptimizer.alpha_betas
    alpha_weight_decay: float = AlphaOptimizer.alpha_weight_decay

    def __post_init__(self) -> None:
        check_darts(supernet=self.supernet, order=self.order, cost_weight=self.cost_weight, name=self.name)
        CollapseGuard(self.collapse_guard, self.name)
        object.__setattr__(self, "alpha_betas", self.alpha_optimizer.alpha_betas)
        if self.cost not in COSTS:
            raise StrategyError(f"{self.name}: {unknown_name('cost', self.cost, COSTS)}")
        if self.cost != MULTIPLY_ADDS and not self.weights_in_use:
            raise StrategyError(f"cost: it needs {' or '.join(f'`{name}`' for name in self._cost_weights)} above 0")

    @property
    def weights_in_use(self) -> list[str]:
        """The names of the settings by which costs of operations are weighed."""
        return [name for name in self._cost_weights if getattr(self, name) != 0]

    @property
    def uses_all_weights(self) -> bool:
        return True

    @property
    def alpha_optimizer(self) -> AlphaOptimizer:
        """Adam for the architecture parameters, at the authors' rate where that is ``"auto"``."""
        return AlphaOptimizer(self.rate_in(None), self.alpha_weight_decay, self.alpha_betas)

    def rate_in(self, steps: int | None) -> float:
        """Return the learning rate of the architecture parameters in a search, or a stage, of so many steps.

        Where ``alpha_lr`` is ``"auto"`` and ``steps`` None, as nobody knows how many there are, that is the authors' rate.
        """
        if self.alpha_lr != AUTO:
            return cast(float, self.alpha_lr)
        authors_rate = cast(float, type(self).alpha_lr)  # the default
        return authors_rate if steps is None else max(authors_rate, authors_rate * self.authors_steps / steps)

    def settings(self) -> dict[str, Any]:
        return changed_settings(self, ["supernet", "order", "cost_weight", "collapse_guard"])  # the others are set with --set, not by flags

    def _parts(self, seed: int) -> dict[str, Any]:
        """Return what takes the place of the paper's own parts, as ``DartsStrategy`` takes it, with generators of this seed."""
        return {}

    def make_selection(self, context: SearchContext) -> Any:
        """Return what selects the architecture in the search of ``context``; None where the largest parameters do."""
        return None

    def build(self, context: SearchContext) -> Any:
        from strategies.one_shot.darts import DartsStrategy

        return DartsStrategy(
            seed=context.seed,
            alpha_optimizer=replace(self.alpha_optimizer, alpha_lr=self.rate_in(context.steps)),
            gradient_clip_val=context.gradient_clip,
            supernet=self.supernet,
            order=self.order,
            cost_weight=self.cost_weight,
            collapse_guard=self.collapse_guard,
            facts=context.one_shot,
            place=context.place,
            **self._parts(context.seed),
            selection=self.make_selection(context),
            on_step=context.on_step,
            on_epoch=context.on_epoch,
        )


@dataclass(frozen=True, kw_only=True)
class ComposedDarts(SelectionSettings, Darts):
    """DARTS with other parts; most of ``strategies.published`` is this with defaults of its own.

    Parameters
    ----------
    sampler
        What weighs the operations: ``"softmax"`` as in DARTS, ``"gumbel"`` as in GDAS, ``"dirichlet"`` as in DrNAS, ``"reinmax"`` or
        ``"gumbel_softmax"``. ReinMax (Liu et al. 2023, arXiv 2304.08612) draws one operation an edge by the softmax, with a gradient of
        second order. The Gumbel softmax weighs all operations, as NNI's GumbelDARTS does.
    temperatures
        Of ``"gumbel"``, ``"gumbel_softmax"`` and ``"reinmax"``, in the first and in the last epoch; in equal steps between them. By default
        from 10 to 0.1, from 1 to 0.33, and 1 throughout. Above 0, for ReinMax 1 or more.
    beta_weight
        Of beta-decay in the loss of the alphas: this times the share of the epochs that are done; 0 or more.
    kl_weight
        Of the Kullback-Leibler divergence from the even Dirichlet distribution in that loss; 0 or more, with ``"dirichlet"`` only.
    perturbation
        Largest uniform noise on the weights of operations in the steps of the supernet's weights, from 0 to 1; 0: none.
    cost_penalty
        Of the expected cost of the operations, as ``cost`` says, in the loss of the alphas; 0 or more.
    partial_channels
        One of so many parts of the channels goes through the operations, as in PC-DARTS; 1 or more, 1: all of them. Channels are cut in the
        largest number of parts up to this that divides them and leaves two in each: 6 becomes 4 at 16 channels.
    edge_normalization
        Whether a node weighs its edges by a softmax of parameters of theirs, as in PC-DARTS.
    alpha_warmup
        The share of the epochs, the first ones, in which the weights learn alone; from 0 to below 1.
    early_stop
        As in OLES: an operation is frozen where its gradients on training and validation images are less alike than this. From 0 to 1,
        0: none is.
    early_stop_steps
        The number of steps over which that mean is taken, 1 or more.
    """

    set_by_name: ClassVar[tuple[str, ...]] = (
        *Darts.set_by_name,
        *("sampler", "temperatures", "beta_weight", "kl_weight", "perturbation", "cost_penalty"),
        *("partial_channels", "edge_normalization", "alpha_warmup", "early_stop", "early_stop_steps"),
        *SelectionSettings.selection_names,
    )
    _cost_weights: ClassVar[tuple[str, ...]] = ("cost_weight", "cost_penalty")
    sampler: str = "softmax"
    temperatures: tuple[float, float] | None = None
    beta_weight: float = 0.0
    kl_weight: float = 0.0
    perturbation: float = 0.0
    cost_penalty: float = 0.0
    partial_channels: int = 1
    edge_normalization: bool = False
    alpha_warmup: float = 0.0
    early_stop: float = 0.0
    early_stop_steps: int = 20

    def __post_init__(self) -> None:
        super().__post_init__()
        self.check_selection(self.name)
        if self.sampler not in SAMPLERS:
            raise StrategyError(f"{self.name}: {unknown_name('sampler', self.sampler, SAMPLERS)}")
        self._check_temperatures()
        for name in ("beta_weight", "kl_weight", "cost_penalty"):
            if not (is_number(getattr(self, name)) and getattr(self, name) >= 0):
                raise StrategyError(f"{name}: {show(getattr(self, name))} is not a number of at least 0")
        if not (is_number(self.perturbation) and 0 <= self.perturbation <= 1):
            raise StrategyError(f"perturbation: {show(self.perturbation)} is not a number from 0 to 1")
        if self.kl_weight > 0 and self.sampler != "dirichlet":
            raise StrategyError(f"kl_weight: it needs sampler='dirichlet', not {self.sampler!r}")
        self._check_parts()
        self._check_reading()

    def _check_temperatures(self) -> None:
        pair: Any = self.temperatures
        if pair is None:
            return
        if self.sampler not in _TEMPERATURES:
            fitting = " or ".join(f"sampler={name!r}" for name in _TEMPERATURES)
            raise StrategyError(f"temperatures: it needs {fitting}, not {self.sampler!r}")
        can_be, words = _TEMPERATURES[self.sampler]
        if not isinstance(pair, list | tuple) or len(pair) != 2 or not all(is_number(each) and can_be(each) for each in pair):
            raise StrategyError(f"temperatures: {show(pair)} is not a pair of numbers {words}")
        object.__setattr__(self, "temperatures", tuple(pair))

    def _check_reading(self) -> None:
        """Refuse what is about reading an architecture off alphas, where it is selected by accuracies."""
        told = {"cost_weight": self.cost_weight > 0, "collapse_guard='stop'": self.collapse_guard == "stop"}
        if self.selection not in READS_ALPHAS and (unread := [name for name, is_told in told.items() if is_told]):
            raise StrategyError(f"{unread[0]}: it works with `selection='{STRONGEST}'` and '{NEAREST}' only")

    def _check_parts(self) -> None:
        for name in ("partial_channels", "early_stop_steps"):
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or value < 1:
                raise StrategyError(f"{name}: {show(value)} is not a whole number of at least 1")
        if not isinstance(self.edge_normalization, bool):
            raise StrategyError(f"edge_normalization: {show(self.edge_normalization)} is neither true nor false")
        if not (is_number(self.alpha_warmup) and 0 <= self.alpha_warmup < 1):
            raise StrategyError(f"alpha_warmup: {show(self.alpha_warmup)} is not a number from 0 to below 1")
        if not (is_number(self.early_stop) and 0 <= self.early_stop <= 1):
            raise StrategyError(f"early_stop: {show(self.early_stop)} is not a number from 0 to 1")
        if self.early_stop == 0 and self.early_stop_steps != type(self).early_stop_steps:
            raise StrategyError("early_stop_steps: it needs `early_stop` above 0")
        if self.early_stop > 0 and self.order == 2:
            raise StrategyError("early_stop: it works with `order=1` only")
        if self.partial_channels > 1 and self.supernet != "fused":
            raise StrategyError("partial_channels: it works with `supernet='fused'` only")

    @property
    def uses_all_weights(self) -> bool:
        return self.sampler not in _OF_PATHS or self.perturbation > 0 or self.partial_channels > 1

    def _parts(self, seed: int) -> dict[str, Any]:
        from strategies.one_shot.early_stop import EarlyStop
        from strategies.one_shot.perturbation import Perturbation
        from strategies.one_shot.regularizers import beta_decay, dirichlet_divergence

        moved = Perturbation(seed + _OF_PERTURBATION, self.perturbation) if self.perturbation > 0 else None
        regularizers = [beta_decay(self.beta_weight)] if self.beta_weight > 0 else []
        if self.kl_weight > 0:
            regularizers.append(dirichlet_divergence(self.kl_weight))
        sampler = self._make_sampler(seed=seed + OF_SAMPLER, perturbation=moved)
        stop = EarlyStop(self.early_stop, self.early_stop_steps) if self.early_stop > 0 else None
        plain = {name: getattr(self, name) for name in ("cost_penalty", "partial_channels", "edge_normalization", "alpha_warmup")}
        return {"sampler": sampler, "regularizers": regularizers, "early_stop": stop, **plain}

    def _make_sampler(self, **told: Any) -> Any:
        from strategies.one_shot.dirichlet import Dirichlet
        from strategies.one_shot.gumbel import GumbelHard, GumbelSoftmax
        from strategies.one_shot.reinmax import ReinMax
        from strategies.one_shot.sampler import Softmax

        kinds: Mapping[str, Any] = {"softmax": Softmax, "dirichlet": Dirichlet, "reinmax": ReinMax}
        kinds = {**kinds, "gumbel": GumbelHard, "gumbel_softmax": GumbelSoftmax}
        temperatures = {} if self.temperatures is None else {"temperatures": self.temperatures}
        return kinds[self.sampler](**temperatures, **told)
