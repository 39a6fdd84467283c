"""What takes the place of a space's modules in a supernet that computes nothing but the drawn operation of each edge."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import nni.nas.strategy  # noqa: F401 (before nni.nas.oneshot: the other way round NNI's import goes in a circle and leaves its strategies broken)
from nni.nas.oneshot.pytorch.supermodule._expression_utils import weighted_sum
from nni.nas.oneshot.pytorch.supermodule.differentiable import DifferentiableMixedLayer
from torch import Tensor, nn

from strategies.one_shot.edge_normalization import EdgeShares
from strategies.one_shot.sampler import Sampler
from strategies.one_shot.supernet_modules import MixedForm, ScaledMixedInput


class PathLayer(DifferentiableMixedLayer):
    """A ``LayerChoice`` of which the drawn candidate is computed."""

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        chosen, weight = self._softmax.choose(str(self.label), self._arch_alpha)
        output = self[self.names[chosen]](*args, **kwargs)
        return output if weight is None else weighted_sum([output], [weight])


class PathInput(ScaledMixedInput):
    """An ``InputChoice`` whose inputs are drawn: the sum or the mean of those that are kept."""

    def forward(self, inputs: list[Any]) -> Any:
        kept = [inputs[position] for position in self._softmax.keep(str(self.label), self.n_candidates, self.n_chosen)]
        return weighted_sum(kept, len(kept) * [1 / len(kept) if self.reduction == "mean" else None])


class PathForm(MixedForm):
    """The single-path form of a module of the space (``OneShotFacts.path_form``), with the architecture parameters of all choices in it.

    Parameters
    ----------
    form, alphas, sampler
        The form, the parameters by label, and what draws.
    inputs
        By label of a node's choice of inputs the labels of its edges, and how many it keeps; of those edges, the others are not computed.
    """

    def __init__(
        self, form: nn.Module, alphas: Mapping[str, nn.Parameter], sampler: Sampler, inputs: Mapping[str, tuple[list[str], int]]
    ) -> None:
        super().__init__(form, alphas, sampler, EdgeShares({}, {}))
        self._inputs = dict(inputs)

    @classmethod
    def mutate(cls, module: nn.Module, name: str, memo: Any, mutate_kwargs: dict[str, Any]) -> tuple[MixedForm, bool] | None:
        form = None if mutate_kwargs["path_form"] is None else mutate_kwargs["path_form"](module)
        if form is None:
            return None
        edges, n_chosen = mutate_kwargs["input_edges"], mutate_kwargs["n_chosen"]
        inputs = {label: (edges[label], n_chosen[label]) for label in n_chosen if set(edges[label]) <= form.choices.keys()}
        return cls(form, {str(label): memo[label] for label in form.choices}, mutate_kwargs["softmax"], inputs), True

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        path, weights = self._draw()
        return self.form(path, weights, *args, **kwargs)

    def _draw(self) -> tuple[dict[str, str], dict[str, Tensor]]:
        """Return the drawn operations by the label of each edge that is kept, and the weights of those whose gradients are wanted."""
        unread: set[str] = set()
        for label, (edges, n_chosen) in self._inputs.items():
            kept = self._softmax.keep(label, len(edges), n_chosen)
            unread |= {edge for position, edge in enumerate(edges) if position not in kept}
        path, weights = {}, {}
        for label in (label for label in self._alphas if label not in unread):
            chosen, weight = self._softmax.choose(label, self._alphas[label])
            path[label] = self.form.choices[label][chosen]
            if weight is not None:
                weights[label] = weight
        return path, weights


def path_hooks(*, draws_inputs: bool) -> list[Any]:
    """Return what NNI is to ask before the hooks of mixtures, where drawn operations alone are computed and, maybe, inputs are drawn."""
    return [PathForm.mutate, PathLayer.mutate, *([PathInput.mutate] if draws_inputs else [])]
