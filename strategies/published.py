"""Published one-shot methods that are combinations of parts, with defaults of their own. Nothing heavy is imported here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from common.errors import StrategyError, unknown_name
from strategies.context import SearchContext
from strategies.one_shot.search_epoch import check_darts
from strategies.selections import NEAREST, PERTURBATION, SelectionSettings
from strategies.strategy import Strategy, changed_settings
from strategies.supernets import EPOCH, OF_SAMPLER, ComposedDarts

PATH_SAMPLERS = ("uniform", "fair")


@dataclass(frozen=True, kw_only=True)
class GDAS(ComposedDarts):
    """GDAS (Dong and Yang 2019, arXiv 1910.04465): a step draws one operation an edge, by a Gumbel softmax whose temperature falls."""

    name: ClassVar[str] = "gdas"
    summary: ClassVar[str] = "one-shot GDAS, one operation an edge drawn by Gumbel"
    authors_steps: ClassVar[int] = 250 * 97  # batches of 256
    sampler: str = "gumbel"


@dataclass(frozen=True, kw_only=True)
class DrNAS(ComposedDarts):
    """DrNAS (Chen et al. 2021, arXiv 2006.10355): learns a Dirichlet distribution of the weights of operations; without partial channels.

    ``alpha_lr`` is 6e-4, as the authors have it for the space of DARTS; for NAS-Bench-201 they have 3e-4. Their default regularizer is the
    alphas' weight decay; for ``kl_weight`` in its place, set ``alpha_weight_decay`` to 0.
    """

    name: ClassVar[str] = "drnas"
    summary: ClassVar[str] = "one-shot DrNAS, weights drawn from a Dirichlet distribution"
    sampler: str = "dirichlet"
    alpha_lr: float | str = 6e-4


@dataclass(frozen=True, kw_only=True)
class BetaDarts(ComposedDarts):
    """beta-DARTS (Ye et al. 2022, arXiv 2203.01665): DARTS whose alphas are held together by beta-decay, more from epoch to epoch.

    The default ``beta_weight`` is what lambda reaches in the authors' 100 epochs on NAS-Bench-201. In their 50 on the space of DARTS it
    reaches 25. ``alpha_lr="auto"`` counts the 100.
    """

    name: ClassVar[str] = "beta_darts"
    summary: ClassVar[str] = "one-shot beta-DARTS, alphas held by beta-decay"
    authors_steps: ClassVar[int] = 100 * EPOCH
    beta_weight: float = 50.0


@dataclass(frozen=True, kw_only=True)
class SDarts(ComposedDarts):
    """SDARTS-RS (Chen and Hsieh 2020, arXiv 2002.05283): DARTS whose supernet learns under random noise on the weights of operations."""

    name: ClassVar[str] = "sdarts"
    summary: ClassVar[str] = "one-shot SDARTS-RS, noise on the operations' weights"
    perturbation: float = 0.3


@dataclass(frozen=True, kw_only=True)
class PCDarts(ComposedDarts):
    """PC-DARTS (Xu et al. 2020, arXiv 1907.05737): a quarter of the channels goes through the operations, and nodes weigh their edges.

    For the first 15 of its 50 epochs, a share of 0.3, the weights learn alone.
    """

    name: ClassVar[str] = "pc_darts"
    summary: ClassVar[str] = "one-shot PC-DARTS, partial channels and weighed edges"
    authors_steps: ClassVar[int] = 50 * 97  # batches of 256
    partial_channels: int = 4
    edge_normalization: bool = True
    alpha_warmup: float = 0.3
    alpha_lr: float | str = 6e-4


@dataclass(frozen=True, kw_only=True)
class OLES(ComposedDarts):
    """OLES (Jiang et al. 2023, NeurIPS): DARTS whose operations stop learning, each on its own, when they begin to overfit."""

    name: ClassVar[str] = "oles"
    summary: ClassVar[str] = "one-shot OLES, operations that overfit are frozen"
    early_stop: float = 0.4


@dataclass(frozen=True, kw_only=True)
class DartsPT(ComposedDarts):
    """DARTS-PT (Wang et al. 2021, arXiv 2108.04392): DARTS whose operations are kept by what the supernet loses without them.

    Between two choices the supernet is tuned for the authors' 10 epochs.
    """

    name: ClassVar[str] = "darts_pt"
    summary: ClassVar[str] = "one-shot DARTS-PT, operations kept by what they are worth"
    selection: str = PERTURBATION
    tuning_epochs: int = 10


@dataclass(frozen=True, kw_only=True)
class SPOS(SelectionSettings, Strategy):
    """SPOS (Guo et al. 2020, arXiv 1904.00420): trains a supernet one evenly drawn architecture a step, at the cost of that one.

    With ``selection="strongest"`` the best of 20 draws is told after each epoch, by inherited weights on validation images, and the last is
    the search's. ``"inherited"`` is the paper's evolutionary search.

    Parameters
    ----------
    sampler
        ``"uniform"`` as in the paper. ``"fair"`` as in FairNAS (Chu et al. 2021, arXiv 1907.01845). A step then adds up the gradients of as
        many passes as a choice has operations, and each operation is drawn once in it.
    supernet
        ``"fused"``: modules that have a single-path form are replaced by it. ``"stock"``: every choice is drawn on its own.
    """

    name: ClassVar[str] = "spos"
    summary: ClassVar[str] = "one-shot SPOS, one evenly drawn architecture a step"
    needs: ClassVar[frozenset[str]] = frozenset({"one_shot"})
    one_shot: ClassVar[bool] = True
    set_by_name: ClassVar[tuple[str, ...]] = ("sampler", *SelectionSettings.selection_names)
    sampler: str = "uniform"
    supernet: str = "fused"

    def __post_init__(self) -> None:
        if self.sampler not in PATH_SAMPLERS:
            raise StrategyError(f"{self.name}: {unknown_name('sampler', self.sampler, PATH_SAMPLERS)}")
        check_darts(supernet=self.supernet, order=1, cost_weight=0.0, name=self.name)
        self.check_selection(self.name)
        if self.selection in (PERTURBATION, NEAREST):
            raise StrategyError(f"{self.name}: a single path has no operations to compare: use `selection='inherited'` or 'trained'")

    def settings(self) -> dict[str, Any]:
        return changed_settings(self, ["supernet"])

    def build(self, context: SearchContext) -> Any:
        from strategies.one_shot.darts import DartsStrategy
        from strategies.one_shot.single_path import FairPaths, UniformPath

        sampler = (FairPaths if self.sampler == "fair" else UniformPath)(seed=context.seed + OF_SAMPLER)
        return DartsStrategy(
            seed=context.seed,
            gradient_clip_val=context.gradient_clip,
            supernet=self.supernet,
            collapse_guard="off",  # skip connections of a draw are no collapse
            facts=context.one_shot,
            sampler=sampler,
            selection=self.make_selection(context),
            on_step=context.on_step,
            on_epoch=context.on_epoch,
        )


@dataclass(frozen=True, kw_only=True)
class FairNAS(SPOS):
    """FairNAS (Chu et al. 2021, arXiv 1907.01845): SPOS whose every step trains each operation of a choice once."""

    name: ClassVar[str] = "fairnas"
    summary: ClassVar[str] = "one-shot FairNAS, every operation once a step"
    sampler: str = "fair"
