"""The operations on the edges of a cell by the compiled kernels, one an edge, forward and backward.

What a node sums up of an edge is ``factor * (scale * source + shift)``, which whoever sums up carries out.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from kernels.layout import count_of
from kernels.pools import Pools, pool, pool_back
from kernels.sums import mix, products
from spaces.darts.operations import DilatedConv, FactorizedReduce, SeparableConv, Zero
from spaces.darts.trained.units import CornersUnit, Normalisation, Normed, Unit, rows, sums_of, with_their_own

Summand = tuple[Tensor, Tensor, Tensor]  # the source [N, H, W, 1, C], its scale and its shift [1, C]


class Edge:
    """One pass through the operation of an edge; a subclass says what it computes.

    Parameters
    ----------
    source
        Which state of the cell it reads.
    factor
        [N], of drop-path, or the share of an edge; ``None``: 1.
    weight
        A scalar of value 1 by which the edge is multiplied, and whose gradient is wanted; ``None``: there is none.

    Attributes
    ----------
    parameters
        Of the operation, and the weight after them.
    """

    def __init__(self, source: int, parameters: Sequence[Tensor] = (), factor: Tensor | None = None, weight: Tensor | None = None) -> None:
        self.source, self.factor, self.weight = source, factor, weight
        self._learns = any(parameter.requires_grad for parameter in parameters)  # else no time is spent on their gradients
        self.parameters = [*parameters, *([] if weight is None else [weight])]

    def forward(self, x: Tensor, parameters: Sequence[Tensor]) -> tuple[list[Tensor], Summand]:
        """Return of state ``x`` [N, H, W, 1, C] what is kept, and what a node is to sum up."""
        raise NotImplementedError

    def backward(
        self, x: Tensor, gradient: Tensor, parameters: Sequence[Tensor], kept: Sequence[Tensor], state_gradient: Tensor
    ) -> list[Tensor | None]:
        """Return the gradients of ``parameters``, and add to that of the state."""
        raise NotImplementedError

    def _of_weight(self, source: Tensor, gradient: Tensor) -> list[Tensor | None]:
        """Return the gradient of the weight, where there is one, for an edge that puts out ``source`` as it is."""
        if self.weight is None:
            return []
        of_product, _ = products([source], gradient, None if self.factor is None else self.factor[None])
        return [of_product.sum().to(self.weight.dtype)]

    def _of_weight_by_sums(self, normed: Normed, sums: Any) -> list[Tensor | None]:
        """Return the same for an edge that puts out ``normed``."""
        if self.weight is None:
            return []
        return [(normed.scale[0] * sums.of_product + normed.shift[0] * sums.of_gradient).sum().to(self.weight.dtype)]


class IdentityEdge(Edge):
    """The state itself."""

    def forward(self, x: Tensor, parameters: Sequence[Tensor]) -> tuple[list[Tensor], Summand]:
        return [], _as_it_is(x)

    def backward(
        self, x: Tensor, gradient: Tensor, parameters: Sequence[Tensor], kept: Sequence[Tensor], state_gradient: Tensor
    ) -> list[Tensor | None]:
        of_this = gradient.dtype, gradient.shape[4]
        factors = None if self.factor is None else self.factor[None]
        mix([gradient], rows(*of_this, 1), rows(*of_this, 0), factors, state_gradient, adds=True)
        return self._of_weight(x, gradient)


class ZeroEdge(Edge):
    """Zeros: no connection."""

    def __init__(self, operation: Zero, source: int, factor: Tensor | None, weight: Tensor | None) -> None:
        super().__init__(source, (), factor, weight)
        self._stride = operation.stride

    def forward(self, x: Tensor, parameters: Sequence[Tensor]) -> tuple[list[Tensor], Summand]:
        return [], _as_it_is(torch.zeros_like(x[:, :: self._stride, :: self._stride]))

    def backward(
        self, x: Tensor, gradient: Tensor, parameters: Sequence[Tensor], kept: Sequence[Tensor], state_gradient: Tensor
    ) -> list[Tensor | None]:
        return [] if self.weight is None else [torch.zeros_like(self.weight)]


class PoolEdge(Edge):
    """A pool; in a supernet its normalisation follows."""

    def __init__(self, operation: Any, source: int, factor: Tensor | None, weight: Tensor | None) -> None:
        pooling: Any
        norm: Any
        pooling, norm = operation if isinstance(operation, nn.Sequential) else (operation, None)
        self._norm = None if norm is None else Normalisation(norm)
        super().__init__(source, () if self._norm is None else self._norm.parameters, factor, weight)
        self._stride, self._is_largest = pooling.stride, isinstance(pooling, nn.MaxPool2d)

    def forward(self, x: Tensor, parameters: Sequence[Tensor]) -> tuple[list[Tensor], Summand]:
        pools = pool(x, self._stride, largest=self._is_largest, mean=not self._is_largest)
        kept = [value for value in (pools.largest, pools.mean, pools.index) if value is not None]
        if self._norm is None:
            return kept, _as_it_is(kept[0])
        assert pools.sums is not None
        sums = pools.sums[:1] if self._is_largest else pools.sums[1:]
        normed = Normed(kept[0], self._norm.normalisation(sums, count_of(kept[0]), parameters[:2]))
        return [*kept, normed.norm], (normed.y, normed.scale, normed.shift)

    def backward(
        self, x: Tensor, gradient: Tensor, parameters: Sequence[Tensor], kept: Sequence[Tensor], state_gradient: Tensor
    ) -> list[Tensor | None]:
        of_this = gradient.dtype, gradient.shape[4]
        pools = Pools(kept[0], None, kept[1]) if self._is_largest else Pools(None, kept[0], None)
        gradients: list[Tensor] = []
        if self._norm is None:
            rates, tails = rows(*of_this, self._is_largest, not self._is_largest, 0), rows(*of_this, 0, 0, 0, 0)
            of_weight = self._of_weight(kept[0], gradient)
        else:
            normed = Normed(kept[0], kept[-1])
            sums = sums_of(normed, gradient, self.factor)
            rate, *gradients = self._norm.normalisation_back(parameters[:2], normed.norm, count_of(normed.y), sums)
            which = 0 if self._is_largest else 1
            rates, tails = torch.zeros_like(rows(*of_this, 0, 0, 0)), torch.zeros_like(rows(*of_this, 0, 0, 0, 0))
            rates[which], tails[2 * which : 2 * which + 2] = rate[:, 0], rate[0, 1:, None]
            of_weight = self._of_weight_by_sums(normed, sums)
        pool_back(pools, self._stride, gradient, rates, tails, state_gradient, gradient.dtype, factor=self.factor)
        return [*gradients, *of_weight]


class UnitsEdge(Edge):
    """Convolutions with their normalisations, one ``Unit`` after the other."""

    def __init__(self, units: Sequence[Unit], source: int, factor: Tensor | None, weight: Tensor | None) -> None:
        super().__init__(source, [parameter for unit in units for parameter in unit.parameters], factor, weight)
        self._units = units

    def forward(self, x: Tensor, parameters: Sequence[Tensor]) -> tuple[list[Tensor], Summand]:
        passes: list[Normed] = []
        for unit, own in with_their_own(self._units, parameters):
            before = passes[-1] if passes else None
            passes.append(unit.forward(x if before is None else before.y, own, before))
        return [tensor for each in passes for tensor in each], (passes[-1].y, passes[-1].scale, passes[-1].shift)

    def backward(
        self, x: Tensor, gradient: Tensor, parameters: Sequence[Tensor], kept: Sequence[Tensor], state_gradient: Tensor
    ) -> list[Tensor | None]:
        passes = [Normed(*kept[first : first + 2]) for first in range(0, len(kept), 2)]
        sums = sums_of(passes[-1], gradient, self.factor)
        gradients = self._of_weight_by_sums(passes[-1], sums)
        of_source: Tensor | None = gradient
        for index, (unit, own) in reversed(list(enumerate(with_their_own(self._units, parameters)))):
            before = passes[index - 1] if index > 0 else None
            source, state = (x, state_gradient) if before is None else (before.y, None)
            assert of_source is not None
            factor = self.factor if index == len(passes) - 1 else None
            of_source, sums, of_own = unit.backward(
                source, own, passes[index], of_source, sums, before, factor=factor, state_gradient=state, learns=self._learns
            )
            gradients = of_own + gradients
        return gradients


def make_edge(operation: Any, source: int, factor: Tensor | None = None, weight: Tensor | None = None) -> Edge:
    """Return one pass through ``operation``, one of ``OPERATIONS``, from state ``source``; the others are as ``Edge`` has them."""
    if isinstance(operation, nn.Identity):
        return IdentityEdge(source, (), factor, weight)
    if isinstance(operation, Zero):
        return ZeroEdge(operation, source, factor, weight)
    if isinstance(operation, FactorizedReduce):
        return UnitsEdge([CornersUnit(operation)], source, factor, weight)
    if isinstance(operation, SeparableConv | DilatedConv):
        layers: list[Any] = list(operation)
        return UnitsEdge([Unit(*layers[first : first + 3]) for first in range(1, len(layers), 4)], source, factor, weight)
    return PoolEdge(operation, source, factor, weight)


def _as_it_is(source: Tensor) -> Summand:
    ones, zeros = rows(source.dtype, source.shape[4], 1, 0)
    return source, ones, zeros
