"""How a supernet weighs its operations: what every sampler is, and the one of DARTS, which draws nothing.

A sampler takes the place of the softmax in every mixture of a supernet, NNI's included. It draws once a pass, for all cells: where a label
stands in many cells, it has the same weights in all of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from strategies.one_shot.perturbation import Perturbation


class Sampler(nn.Module):
    """Maps the architecture parameters of a choice to the weights of its operations, which add up to 1.

    A subclass overrides :meth:`probabilities` and, where it draws, :meth:`noise` and :meth:`weigh`. In evaluation mode the weights are the
    probabilities.

    Parameters
    ----------
    seed
        Of the generator that everything is drawn from.
    perturbation
        Moves the weights in the steps of the supernet's weights; ``None``: nothing does.

    Attributes
    ----------
    learns
        Whether the weights have a gradient for the architecture parameters.
    single_path
        Whether all weight is on one operation.
    draws_path
        Whether all weight is on one operation in the steps of the supernet's weights, too: nothing moves it.
    computes_path
        Whether the operations that are not drawn need never be computed.
    draws_inputs
        Whether it draws which inputs a node keeps, too.
    temperature
        That of the epoch, above 0; ``None`` where there is none.
    """

    learns: ClassVar[bool] = True
    single_path: ClassVar[bool] = False
    draws_inputs: ClassVar[bool] = False
    _needs_drawn_alone: ClassVar[bool] = False

    def __init__(self, seed: int = 0, perturbation: Perturbation | None = None) -> None:
        super().__init__()
        self.temperature: float | None = None
        self.generator = torch.Generator().manual_seed(seed)
        self.perturbation = perturbation
        self._alphas: dict[str, Tensor] = {}
        self._labels: dict[int, str] = {}  # by identity of the parameter
        self._drawn: dict[str, Tensor] = {}
        self._kept: dict[str, Tensor] = {}  # by label of a choice of inputs: 1 for those that are kept
        self._counts: dict[str, Tensor] = {}
        self._held: dict[str, Tensor] = {}
        self._kept_counts: dict[str, Tensor] = {}

    def bind(self, alphas: Mapping[str, Tensor]) -> None:
        """Learn the labels of the architecture parameters, which mixtures of NNI's do not tell."""
        self._alphas = dict(alphas)
        self._labels = {id(alpha): label for label, alpha in alphas.items()}

    @property
    def draws_path(self) -> bool:
        return self.single_path and self.perturbation is None

    @property
    def computes_path(self) -> bool:
        return self._needs_drawn_alone and self.draws_path

    @property
    def passes(self) -> int:
        """How many passes, each with a draw of its own, a step of the supernet's weights takes."""
        return 1

    def begin_epoch(self, epoch: int, epochs: int) -> None:
        """Take the temperature and so on of this epoch of so many; the first is 0."""
        if self.perturbation is not None:
            self.perturbation.begin_epoch(epoch, epochs)

    def draw(self, *, perturbed: bool = False) -> None:
        """Forget the last draw: the next pass makes a new one, perturbed where asked for and where there is a perturbation."""
        self._drawn.clear()
        self._kept.clear()
        if self.perturbation is not None:
            self.perturbation.renew(perturbed)

    def weights(self, label: str, alpha: Tensor) -> Tensor:
        """Return the weights of the operations of the choice ``label``, [operations], whose architecture parameters are ``alpha``."""
        if not self.training:
            return self.probabilities(alpha)
        weights = self._weights_drawn(label, alpha)
        return weights if self.perturbation is None else self.perturbation.move(label, weights)

    def choose(self, label: str, alpha: Tensor) -> tuple[int, Tensor | None]:
        """Return which operation of the choice ``label`` is drawn or held, in evaluation mode too, and its weight.

        The weight is a scalar of value 1; ``None`` where nobody wants its gradient.
        """
        if label in self._held:
            held = self._held[label].to(alpha)
            chosen = int(held.argmax())
            return chosen, None if held[chosen] == 1 else held[chosen]  # 0 for an edge that is cut
        weights = self._weights_drawn(label, alpha)
        chosen = int(weights.argmax())
        return chosen, weights[chosen] if weights.requires_grad else None

    def keep(self, label: str, candidates: int, n_chosen: int) -> list[int]:
        """Return which of so many inputs the node keeps whose choice this is: ``n_chosen`` where inputs are drawn, else all."""
        if label in self._held:
            return self._held[label].nonzero().flatten().tolist()
        if not self.draws_inputs:
            return list(range(candidates))
        if label not in self._kept:
            chosen = torch.randperm(candidates, generator=self.generator)[:n_chosen]
            self._kept[label] = torch.zeros(candidates, dtype=torch.long).index_fill(0, chosen, 1)
        return self._kept[label].nonzero().flatten().tolist()

    def _weights_drawn(self, label: str, alpha: Tensor) -> Tensor:
        if label not in self._drawn:
            self._alphas.setdefault(label, alpha)
            self._drawn[label] = self.noise(label, alpha.detach().cpu()).to(alpha.device)
        return self.weigh(alpha, self._drawn[label])

    def forward(self, alpha: Tensor) -> Tensor:
        """Return :meth:`weights` of the choice whose parameter ``alpha`` is, or those at which it is held."""
        label = self._labels.setdefault(id(alpha), f"unnamed {len(self._labels)}")
        held = self._held.get(label)
        return self.weights(label, alpha) if held is None else held.to(alpha) + 0 * alpha  # with a gradient, which is 0

    def hold(self, weights: Mapping[str, Tensor]) -> None:
        """Hold the choices that are named at these weights, [operations], from now on."""
        self._held = {**self._held, **weights}

    @contextmanager
    def holding(self, weights: Mapping[str, Tensor]) -> Iterator[None]:
        """Hold the choices that are named at these weights, [operations], while the ``with`` block lasts, whatever is drawn."""
        before = self._held
        self.hold(weights)
        try:
            yield
        finally:
            self._held = before

    def noise(self, label: str, alpha: Tensor) -> Tensor:
        """Return what is drawn for a choice: all that is random in its weights."""
        raise NotImplementedError

    def weigh(self, alpha: Tensor, noise: Tensor) -> Tensor:
        """Return the weights that follow from the architecture parameters and what was drawn."""
        raise NotImplementedError

    def probabilities(self, alpha: Tensor) -> Tensor:
        """Return the weights to be expected, [operations]."""
        return alpha.softmax(-1)

    @contextmanager
    def expected(self) -> Iterator[None]:
        """Give the weights to be expected while the ``with`` block lasts."""
        was = self.training
        self.training = False
        try:
            yield
        finally:
            self.training = was

    def count_paths(self) -> None:
        """Count what was drawn last; only where the weights of one operation alone learn by it."""
        if self.draws_path:
            for label, drawn in self._drawn.items():
                chosen = self.weigh(self._alphas[label], drawn).detach().round().long().cpu()
                self._counts[label] = chosen + self._counts.get(label, 0)
            for label, kept in self._kept.items():
                self._kept_counts[label] = kept + self._kept_counts.get(label, 0)

    def take_counts(self) -> dict[str, list[int]] | None:
        """Return by label how often each operation was drawn since the last call, and forget it; ``None`` where nothing was counted."""
        return _taken(self._counts)

    def take_kept_counts(self) -> dict[str, list[int]] | None:
        """Return by label of a choice of inputs how often each was kept since the last call, as above."""
        return _taken(self._kept_counts)

    def state(self) -> dict[str, Any]:
        """Return plain data of which :meth:`restore` makes the sampler that it was between two passes."""
        told = {"generator": self.generator.get_state()}
        return told if self.perturbation is None else {**told, "perturbation": self.perturbation.generator.get_state()}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Become the sampler whose :meth:`state` this is."""
        self.generator.set_state(state["generator"])
        if self.perturbation is not None:
            self.perturbation.generator.set_state(state["perturbation"])


def _taken(counts: dict[str, Tensor]) -> dict[str, list[int]] | None:
    told = {label: count.tolist() for label, count in counts.items()}
    counts.clear()
    return told or None


class Softmax(Sampler):
    """The mixture of DARTS (Liu et al. 2019, arXiv 1806.09055, equation 2): softmax of the architecture parameters; nothing is drawn."""

    def weights(self, label: str, alpha: Tensor) -> Tensor:
        weights = self.probabilities(alpha)
        return weights if self.perturbation is None or not self.training else self.perturbation.move(label, weights)
