"""What takes the place of a space's modules in a DARTS supernet: sums of mixed edges, differentiable forms, mixtures of NNI's."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import nni.nas.strategy  # noqa: F401 (before nni.nas.oneshot: the other way round NNI's import goes in a circle and leaves its strategies broken)
import torch
from nni.mutable import Categorical, CategoricalMultiple, Constraint
from nni.nas.nn.pytorch import InputChoice, ModelSpace
from nni.nas.oneshot.pytorch.strategy import no_default_hook
from nni.nas.oneshot.pytorch.supermodule._expression_utils import traverse_all_options
from nni.nas.oneshot.pytorch.supermodule.base import BaseSuperNetModule
from nni.nas.oneshot.pytorch.supermodule.differentiable import (
    DifferentiableMixedCell,
    DifferentiableMixedInput,
    DifferentiableMixedLayer,
    DifferentiableMixedRepeat,
)
from nni.nas.oneshot.pytorch.supermodule.operation import NATIVE_MIXED_OPERATIONS, MixedLayerNorm
from torch import Tensor, nn
from torch.nn import functional

from common.errors import StrategyError
from strategies.one_shot.edge_normalization import EdgeShares
from strategies.one_shot.sampler import Sampler


class SummedInput(InputChoice, BaseSuperNetModule):
    """An ``InputChoice`` whose candidates are mixed edges: their sum, by shares where edges are normalised.

    Which of them stay is read off the edges' own parameters.
    """

    def __init__(self, choice: InputChoice, shares: EdgeShares) -> None:
        super().__init__(choice.n_candidates, n_chosen=choice.n_chosen, reduction=choice.reduction, label=choice.label)
        self._shares = shares

    def resample(self, memo: Any) -> dict[str, Any]:
        return {}

    def export(self, memo: Any) -> dict[str, Any]:
        return {}

    def export_probs(self, memo: Any) -> dict[str, Any]:
        return self._shares.probabilities()

    def arch_parameters(self) -> Iterable[nn.Parameter]:
        return self._shares.parameters()

    @classmethod
    def mutate(cls, module: nn.Module, name: str, memo: Any, mutate_kwargs: dict[str, Any]) -> SummedInput | None:
        if type(module) is InputChoice and module.label in mutate_kwargs["input_edges"]:
            if module.reduction != "sum":
                raise StrategyError(f"{module.label}: a supernet needs reduction='sum', not {module.reduction!r}")
            nodes = {label: edges for label, edges in mutate_kwargs["weighed_nodes"].items() if label == module.label}
            return cls(module, EdgeShares(nodes, memo))
        return None

    def forward(self, candidate_inputs: list[Tensor]) -> Tensor:
        total, *others = self._shares.scale(candidate_inputs)
        for candidate in others:
            total = total + candidate
        return total


class MixedLayer(DifferentiableMixedLayer):
    """NNI's mixture of a ``LayerChoice``; of a drawn path the drawn candidate alone is computed where its weight needs no gradient."""

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        weights = self._softmax(self._arch_alpha)
        names = list(self.names)
        if self._softmax.draws_path and not weights.requires_grad:
            used = weights.nonzero().flatten().tolist() or [0]
            names, weights = [names[place] for place in used], weights[used]
        return self._reduction([self[name](*args, **kwargs) for name in names], weights)


class MixedForm(BaseSuperNetModule):
    """The differentiable form of a module of the space (``OneShotFacts.form``), with the architecture parameters of all choices in it.

    Parameters
    ----------
    form, alphas, softmax, shares
        The form, the parameters by label, what weighs operations, and what weighs edges.
    path_form
        The single-path form of the same module, with the same parameters, which stands for it where every edge has one operation of any
        weight and no weight needs a gradient: in the steps of the supernet's weights. ``None``: there is none.
    """

    def __init__(
        self, form: nn.Module, alphas: Mapping[str, nn.Parameter], softmax: nn.Module, shares: EdgeShares, path_form: Any = None
    ) -> None:
        super().__init__()
        self._path_form = (path_form,)  # not registered: the form has its modules already
        self.form: Any = form
        self._alphas = nn.ParameterDict(list(alphas.items()))  # in this order; it would sort a dict
        self._softmax: Any = softmax
        self._shares = shares

    @classmethod
    def mutate(cls, module: nn.Module, name: str, memo: Any, mutate_kwargs: dict[str, Any]) -> tuple[MixedForm, bool] | None:
        form = None if mutate_kwargs["form"] is None else mutate_kwargs["form"](module)
        if form is None:
            return None
        nodes = {label: edges for label, edges in mutate_kwargs["weighed_nodes"].items() if set(edges) <= set(form.choices)}
        alphas, softmax = {label: memo[label] for label in form.choices}, mutate_kwargs["softmax"]
        draws = softmax.draws_path and mutate_kwargs["path_form"] is not None
        return cls(form, alphas, softmax, EdgeShares(nodes, memo), mutate_kwargs["path_form"](module) if draws else None), True

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        mixing = self._shares({label: self._softmax(alpha) for label, alpha in self._alphas.items()})
        (path_form,) = self._path_form
        drawn = None if path_form is None else path_in(mixing, self.form.choices)
        return self.form(mixing, *args, **kwargs) if drawn is None else path_form(*drawn, *args, **kwargs)

    def resample(self, memo: Any) -> dict[str, Any]:
        return {}

    def export(self, memo: Any) -> dict[str, Any]:
        names = self.form.choices
        return {label: names[label][int(alpha.argmax())] for label, alpha in self._alphas.items() if label not in memo}

    def export_probs(self, memo: Any) -> dict[str, Any]:
        names = self.form.choices
        told = {label: dict(zip(names[label], self._softmax(alpha).tolist(), strict=True)) for label, alpha in self._alphas.items()}
        return {label: each for label, each in {**told, **self._shares.probabilities()}.items() if label not in memo}

    def arch_parameters(self) -> Iterable[nn.Parameter]:
        return [*self._alphas.values(), *self._shares.parameters()]


def path_in(mixing: Mapping[str, Tensor], choices: Mapping[str, list[str]]) -> tuple[dict[str, str], dict[str, Tensor]] | None:
    """Return the one operation of each edge, and by label its weight where that is not 1; ``None`` where the mixture has to be computed.

    That is where an edge mixes several operations, or the gradient of a weight is wanted.
    """
    if any(weights.requires_grad for weights in mixing.values()):
        return None
    known = torch.cat(list(mixing.values())).tolist()  # one wait for the device
    path, scales, first = {}, {}, 0
    for label, weights in mixing.items():
        own = known[first : first + len(weights)]
        first += len(own)
        used = [place for place, weight in enumerate(own) if weight != 0] or [0]
        if len(used) > 1:
            return None
        path[label] = choices[label][used[0]]
        if own[used[0]] != 1:
            scales[label] = weights[used[0]]
    return path, scales


class ScaledMixedInput(DifferentiableMixedInput):
    """NNI's mixed input for spaces that do not say which edges lead to it, at the size of the ``n_chosen`` inputs that are kept."""

    @classmethod
    def mutate(cls, module: nn.Module, name: str, memo: Any, mutate_kwargs: dict[str, Any]) -> ScaledMixedInput | None:
        if type(module) is InputChoice:
            _check_inputs(module, mutate_kwargs["softmax"])
        mixed = super().mutate(module, name, memo, mutate_kwargs)
        if mixed is not None:
            mixed.reduction = module.reduction  # NNI forgets it
        return mixed

    def _reduction(self, items: list[Any], weights: Tensor) -> Any:
        return super()._reduction(items, weights * (self.n_chosen if self.reduction == "sum" else 1))


class MixedRepeat(DifferentiableMixedRepeat):
    """NNI's mixture of depths, with depth 0 among them: there the input passes as it is. NNI leaves it out, and its share is lost."""

    def forward(self, x: Any) -> Any:
        shares = {label: self._softmax(alpha) for label, alpha in self._arch_alpha.items()}
        by_depth = dict(traverse_all_options(self.depth_choice, weights=shares))
        outputs, weights, depths = [], [], []
        for depth in range(len(self.blocks) + 1):
            x = self.blocks[depth - 1](x) if depth else x
            if depth in by_depth:
                outputs.append(x)
                weights.append(by_depth[depth])
                depths.append(depth)
        return self._reduction(outputs, weights, depths)


class MixedNorm(MixedLayerNorm):
    """NNI's mixture of layer norms, each over the features of its choice alone. NNI norms over all, those that a choice lacks included."""

    def freeze_weight(self, normalized_shape: Any, **others: Any) -> dict[str, Any]:
        part = _leading(normalized_shape)
        return {name: None if whole is None else whole[part] for name, whole in (("weight", self.weight), ("bias", self.bias))}

    def forward_with_args(self, normalized_shape: Any, eps: Any, inputs: Tensor) -> Tensor:
        if isinstance(eps, dict):
            raise ValueError("the eps of a layer norm is a choice, which cannot be mixed")
        shares = normalized_shape if isinstance(normalized_shape, dict) else {normalized_shape: 1.0}
        total = torch.zeros_like(inputs)
        for shape, share in shares.items():
            part: tuple[Any, ...] = (..., *_leading(shape))
            own = inputs[part]
            normed = functional.layer_norm(own, own.shape[1 - len(part) :], eps=eps, **self.freeze_weight(shape))
            missing = [(0, whole - kept) for whole, kept in zip(inputs.shape, normed.shape, strict=True)]
            total = total + share * functional.pad(normed, [side for pair in reversed(missing) for side in pair])
        return total


def _leading(shape: Any) -> tuple[slice, ...]:
    """Return what takes the first features of each dimension of ``shape``, a size or several."""
    return tuple(slice(size) for size in ((shape,) if isinstance(shape, int) else shape))


def mutation_hooks() -> list[Any]:
    """Return what makes a supernet of a space, in the order in which NNI asks: ours, then NNI's, then the refusal of all else."""
    ours = [MixedForm.mutate, MixedLayer.mutate, SummedInput.mutate, ScaledMixedInput.mutate]
    nnis = [
        DifferentiableMixedCell.mutate,
        MixedRepeat.mutate,
        MixedNorm.mutate,
        *(operation.mutate for operation in NATIVE_MIXED_OPERATIONS),
    ]
    return [*ours, *nnis, _refuse]


def _refuse(module: nn.Module, name: str, memo: Any, mutate_kwargs: Any) -> bool:
    """Raise ``StrategyError`` for a module with choices of which no hook made a mixture."""
    try:
        return no_default_hook(module, name, memo, mutate_kwargs)
    except TypeError:
        choices: Any = module
        labels = ", ".join(list(choices.simplify())[:3])
        why = f"its {type(module).__name__} ({name}) has no differentiable form"
        raise _cannot_mix(labels, why) from None


def _check_inputs(choice: Any, sampler: Sampler) -> None:
    """Raise ``StrategyError`` for a choice of inputs that no supernet, or none of this sampler, can mix."""
    why = f"its inputs are joined by reduction={choice.reduction!r}" if choice.reduction not in ("sum", "mean") else None
    if choice.n_chosen is None and sampler.draws_inputs:
        why = "it takes any number of inputs, and paths are drawn with a fixed one: set n_chosen"
    if why is not None:
        raise _cannot_mix(choice.label, why)


def _cannot_mix(labels: str, why: str) -> StrategyError:
    return StrategyError(f"one-shot: the choice {labels} cannot be mixed: {why}; use a multi-trial strategy, such as tpe")


def require_categorical(model: ModelSpace) -> None:
    """Raise ``StrategyError`` where ``model`` has none but categorical choices, which alone can be mixed; it names the first other one."""
    choices = model.simplify()
    if not choices:
        raise StrategyError("one-shot: the space has no choices to search")
    for label, mutable in choices.items():
        if not isinstance(mutable, Categorical | CategoricalMultiple):
            kind = "a constraint between choices" if isinstance(mutable, Constraint) else f"a range ({type(mutable).__name__})"
            what = f"{label} is {kind}, and only choices among candidates can be mixed"
            raise StrategyError(f"one-shot: {what}; use a multi-trial strategy, such as tpe")


def alphas_by_label(model: nn.Module, labelled: Mapping[Any, nn.Parameter]) -> dict[str, nn.Parameter]:
    """Return the architecture parameters of a supernet by label: those of the space's labels, and of the edges in NNI's cells."""
    named = {str(label): parameter for label, parameter in labelled.items()}
    for module in model.modules():
        own = getattr(module, "_arch_alpha", None)
        if isinstance(module, BaseSuperNetModule) and isinstance(own, nn.ParameterDict):
            named = {**own, **named}
    return named


def used_parameters(modules: Iterable[Any], labelled: Iterable[nn.Parameter]) -> list[nn.Parameter]:
    """Return the architecture parameters that a supernet's ``modules`` use: first those that are ``labelled``, in their order."""
    own = [module.arch_parameters() for module in modules if hasattr(module, "arch_parameters")]
    used = {id(parameter): parameter for parameters in own for parameter in parameters}
    first = [parameter for parameter in labelled if id(parameter) in used]
    known = {id(parameter) for parameter in first}
    return [*first, *(parameter for key, parameter in used.items() if key not in known)]


def blamed_choice(error: BaseException) -> str | None:
    """Return the label of the choice in whose mixture ``error`` was raised; ``None`` where it was raised elsewhere."""
    found, step = None, error.__traceback__
    while step is not None:
        module: Any = step.tb_frame.f_locals.get("self")
        if isinstance(module, BaseSuperNetModule):
            found = getattr(module, "label", None) or ", ".join(list(module.export({}))[:3]) or found
        step = step.tb_next
    return found
