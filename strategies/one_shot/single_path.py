"""Single paths whose operations are drawn evenly, whatever the architecture parameters: SPOS and FairNAS."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from strategies.one_shot.sampler import Sampler


class UniformPath(Sampler):
    """SPOS (Guo et al. 2020, arXiv 1904.00420, section 3.3): every architecture with the same probability in every step.

    The inputs that a node keeps are part of it: they are drawn before the operations, and of the edges that are not kept nothing is drawn.
    """

    learns = False
    single_path = True
    draws_inputs = True
    _needs_drawn_alone = True

    def noise(self, label: str, alpha: Tensor) -> Tensor:
        return torch.randint(len(alpha), (), generator=self.generator)

    def weigh(self, alpha: Tensor, noise: Tensor) -> Tensor:
        return functional.one_hot(noise, len(alpha)).to(alpha)

    def probabilities(self, alpha: Tensor) -> Tensor:
        return torch.full_like(alpha, 1 / len(alpha))


class FairPaths(UniformPath):
    """FairNAS (Chu et al. 2021, arXiv 1907.01845, algorithm 1, strict fairness): a step takes a round of as many passes as operations.

    In a round every operation of a choice is drawn once, in random order, and the gradients of the passes add up to one step. Choices that
    have fewer operations than others begin their next round within it. The paper has chains of layers; where nodes choose their inputs,
    those are drawn evenly once a round, so that every operation of an edge that is kept is trained once in it.
    """

    def __init__(self, seed: int = 0, **others: Any) -> None:
        super().__init__(seed, **others)
        self._left: dict[str, list[int]] = {}
        self._passes_done = 0  # of the round

    def draw(self, *, perturbed: bool = False) -> None:
        kept = dict(self._kept)
        super().draw(perturbed=perturbed)
        if self._passes_done > 0:
            self._kept = kept
        self._passes_done = (self._passes_done + 1) % self.passes

    @property
    def passes(self) -> int:
        return max((len(alpha) for alpha in self._alphas.values()), default=1)

    def noise(self, label: str, alpha: Tensor) -> Tensor:
        if not self._left.get(label):
            self._left[label] = torch.randperm(len(alpha), generator=self.generator).tolist()
        return torch.tensor(self._left[label].pop())

    def state(self) -> dict[str, Any]:
        kept = {label: kept.clone() for label, kept in self._kept.items()}
        left = {label: list(left) for label, left in self._left.items()}
        return {**super().state(), "left": left, "kept": kept, "passes_done": self._passes_done}

    def restore(self, state: Mapping[str, Any]) -> None:
        super().restore(state)
        self._left = {label: list(left) for label, left in state["left"].items()}
        self._kept, self._passes_done = dict(state["kept"]), state["passes_done"]
