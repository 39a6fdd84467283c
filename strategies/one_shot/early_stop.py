"""OLES (Jiang et al. 2023, NeurIPS, "Operation-Level Early Stopping for Robustifying Differentiable NAS"): what overfits stops learning.

Where the gradients of an operation's weights on a training and on a validation batch no longer point in one direction, what it learns is of
the training images alone. Its weights are frozen; its architecture parameter goes on.

The paper writes down the cosine of the two gradients, cos(g_train, g_validation). Its code, to which its threshold of 0.4 belongs, compares
the training gradient with the sum of both, cos(g_train, g_train + g_validation). A validation gradient that is as long and at a right angle
still makes 0.71 of it. So it is here: of batches of 64 the cosine of the two alone is 0.3 at most from the first steps on, and every
operation would be frozen.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from typing import Any

import nni.nas.strategy  # noqa: F401 (before nni.nas.oneshot: the other way round NNI's import goes in a circle and leaves its strategies broken)
import torch
from nni.nas.oneshot.pytorch.supermodule.differentiable import DifferentiableMixedLayer
from torch import Tensor, nn
from torch.nn import functional

from strategies.one_shot.search_epoch import SKIP
from strategies.one_shot.supernet_modules import MixedForm


class EarlyStop:
    """Watches the operations of a supernet that have weights, each in every cell on its own; skip connections are left alone.

    Parameters
    ----------
    threshold
        An operation is frozen where the mean similarity of its gradients is below this; above 0, at most 1.
    steps
        Over how many steps in which it had both gradients the mean is taken, 1 or more; then it begins anew.
    """

    def __init__(self, threshold: float, steps: int) -> None:
        self._threshold, self._steps = threshold, steps
        self._names: list[str] = []
        self._weights: list[nn.Parameter] = []
        self._owner: list[int] = []  # of a weight, the position of its operation
        self._sums = self._counts = torch.empty(0)
        self._frozen = torch.empty(0, dtype=torch.bool)
        self._of_validation: list[Tensor | None] | None = None

    def bind(self, model: nn.Module) -> None:
        """Watch the operations of this supernet."""
        for name, operation in _operations(model):
            weights = list(operation.parameters())
            if weights and name != SKIP:
                self._owner += len(weights) * [len(self._names)]
                self._names.append(name)
                self._weights += weights
        self._sums, self._counts = torch.zeros(2, len(self._names), dtype=torch.float64)
        self._frozen = torch.zeros(len(self._names), dtype=torch.bool)

    def expect_validation(self) -> None:
        """Let the next backward pass, that of a validation batch, compute the gradients of the weights that still learn."""
        for weight, owner in zip(self._weights, self._owner, strict=True):
            weight.grad = None
            weight.requires_grad_(not self._frozen[owner])

    def note_validation(self) -> None:
        """Keep the gradients that the validation batch left, and take them off the weights."""
        self._of_validation = [weight.grad for weight in self._weights]
        for weight in self._weights:
            weight.grad = None

    def note_training(self) -> None:
        """Compare with those the gradients that the training batch of the same step left; freeze what has overfitted."""
        if self._of_validation is None:
            return
        by_shape: dict[torch.Size, list[tuple[int, Tensor, Tensor]]] = defaultdict(list)
        for owner, weight, of_validation in zip(self._owner, self._weights, self._of_validation, strict=True):
            if of_validation is not None and weight.grad is not None:
                by_shape[weight.shape].append((owner, of_validation, weight.grad))
        self._of_validation = None
        sums, counts = torch.zeros(2, len(self._names), dtype=torch.float64)
        for group in by_shape.values():
            owners, *gradients = zip(*group, strict=True)
            similar, known = similarity(*(torch.stack(each) for each in gradients))
            sums.index_add_(0, torch.tensor(owners), (similar * known).double().cpu())
            counts.index_add_(0, torch.tensor(owners), known.double().cpu())
        seen = (counts > 0) & ~self._frozen
        self._sums[seen] += sums[seen] / counts[seen]
        self._counts[seen] += 1
        ripe = self._counts >= self._steps
        self._frozen |= ripe & (self._sums < self._threshold * self._counts)
        self._sums[ripe], self._counts[ripe] = 0, 0
        self.freeze()

    def freeze(self) -> None:
        """Let the weights of frozen operations stay as they are; after a resume, once the optimizer knows them."""
        for weight, owner in zip(self._weights, self._owner, strict=True):
            if self._frozen[owner]:
                weight.requires_grad_(False)
                weight.grad = None

    def frozen(self) -> dict[str, int]:
        """Return by name of an operation how many of its copies are frozen, 0 included."""
        stopped = Counter(name for name, frozen in zip(self._names, self._frozen.tolist(), strict=True) if frozen)
        return {name: stopped[name] for name in dict.fromkeys(self._names)}

    def state(self) -> dict[str, Any]:
        """Return plain data of which :meth:`restore` makes what it was between two steps."""
        return {"sums": self._sums.clone(), "counts": self._counts.clone(), "frozen": self._frozen.clone()}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Become what it was whose :meth:`state` this is; the weights are frozen by :meth:`freeze`."""
        self._sums, self._counts, self._frozen = state["sums"], state["counts"], state["frozen"]


def _operations(model: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """Return the operations of a supernet with their names, edge by edge and cell by cell."""
    for module in model.modules():
        if isinstance(module, MixedForm):
            yield from ((name, operation) for _, name, operation in module.form.candidates())
        elif isinstance(module, DifferentiableMixedLayer):
            yield from ((name, module[name]) for name in module.names)


def similarity(of_validation: Tensor, of_training: Tensor) -> tuple[Tensor, Tensor]:
    """Return how alike the gradients of several weights of one shape are, and of which both are there at all; see the top of this file.

    Parameters
    ----------
    of_validation, of_training
        [weights, channels out, ...].

    Returns
    -------
    similar
        [weights], from -1 to 1: the mean of the cosines along the channels out, as in the authors' code.
    known
        [weights], whether neither gradient is 0, as it is where the operation was not drawn.
    """
    first, second = of_validation.float(), of_training.float()
    cosines = functional.cosine_similarity(first + second, second, dim=1)
    known = first.flatten(1).any(1) & second.flatten(1).any(1)
    return cosines.reshape(len(cosines), -1).mean(1), known
