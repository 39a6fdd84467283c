"""What takes the place of a space's modules in a DARTS supernet: sums of mixed edges, differentiable forms, scaled mixed inputs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import nni.nas.strategy  # noqa: F401 (before nni.nas.oneshot: the other way round NNI's import goes in a circle and leaves its strategies broken)
from nni.nas.nn.pytorch import InputChoice
from nni.nas.oneshot.pytorch.supermodule.base import BaseSuperNetModule
from nni.nas.oneshot.pytorch.supermodule.differentiable import DifferentiableMixedInput
from torch import Tensor, nn

from common.errors import StrategyError


class SummedInput(InputChoice, BaseSuperNetModule):
    """An ``InputChoice`` whose candidates are mixed edges: their sum. Which of them stay is read off the edges' own parameters."""

    def resample(self, memo: Any) -> dict[str, Any]:
        return {}

    def export(self, memo: Any) -> dict[str, Any]:
        return {}

    def export_probs(self, memo: Any) -> dict[str, Any]:
        return {}

    @classmethod
    def mutate(cls, module: nn.Module, name: str, memo: Any, mutate_kwargs: dict[str, Any]) -> SummedInput | None:
        if type(module) is InputChoice and module.label in mutate_kwargs["input_edges"]:
            if module.reduction != "sum":
                raise StrategyError(f"{module.label}: the supernet adds up the edges of a node: reduction='sum', not {module.reduction!r}")
            return cls(module.n_candidates, n_chosen=module.n_chosen, reduction=module.reduction, label=module.label)
        return None

    def forward(self, candidate_inputs: list[Tensor]) -> Tensor:
        total = candidate_inputs[0]
        for candidate in candidate_inputs[1:]:
            total = total + candidate
        return total


class MixedForm(BaseSuperNetModule):
    """The differentiable form of a module of the space (``OneShotFacts.form``), with the architecture parameters of all choices in it."""

    def __init__(self, form: nn.Module, alphas: Mapping[str, nn.Parameter], softmax: nn.Module) -> None:
        super().__init__()
        self.form: Any = form
        self._alphas = nn.ParameterDict(list(alphas.items()))  # in this order; it would sort a dict
        self._softmax = softmax

    @classmethod
    def mutate(cls, module: nn.Module, name: str, memo: Any, mutate_kwargs: dict[str, Any]) -> tuple[MixedForm, bool] | None:
        form = None if mutate_kwargs["form"] is None else mutate_kwargs["form"](module)
        if form is None:
            return None
        return cls(form, {label: memo[label] for label in form.choices}, mutate_kwargs["softmax"]), True

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        return self.form({label: self._softmax(alpha) for label, alpha in self._alphas.items()}, *args, **kwargs)

    def resample(self, memo: Any) -> dict[str, Any]:
        return {}

    def export(self, memo: Any) -> dict[str, Any]:
        names = self.form.choices
        return {label: names[label][int(alpha.argmax())] for label, alpha in self._alphas.items() if label not in memo}

    def export_probs(self, memo: Any) -> dict[str, Any]:
        names = self.form.choices
        return {
            label: dict(zip(names[label], self._softmax(alpha).tolist(), strict=True))
            for label, alpha in self._alphas.items()
            if label not in memo
        }

    def arch_parameters(self) -> Iterable[nn.Parameter]:
        return self._alphas.values()


class ScaledMixedInput(DifferentiableMixedInput):
    """NNI's mixed input for spaces that do not say which edges lead to it, at the size of the ``n_chosen`` inputs that are kept."""

    @classmethod
    def mutate(cls, module: nn.Module, name: str, memo: Any, mutate_kwargs: dict[str, Any]) -> ScaledMixedInput | None:
        mixed = super().mutate(module, name, memo, mutate_kwargs)
        if mixed is not None:
            mixed.reduction = module.reduction  # NNI forgets it
        return mixed

    def _reduction(self, items: list[Any], weights: Tensor) -> Any:
        return super()._reduction(items, weights * (self.n_chosen if self.reduction == "sum" else 1))
