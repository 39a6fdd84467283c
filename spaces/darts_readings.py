"""What the cells of a frozen network make of the outputs that they read, by the compiled kernels: the widest tensors there are."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from spaces.cell_kernels import Convolution, convolve, convolve_back, mix, products
from spaces.darts_compiled import nchw, nhwc
from spaces.darts_operations import FactorizedReduce
from spaces.darts_units import CornersUnit, Normed, Sums, Unit, sums_of


class Readers:
    """``ReluConvNorm``s of one by one and of one width that read the same state: one convolution, on as many edges."""

    def __init__(self, modules: Sequence[Any]) -> None:
        self.units = [Unit(None, *list(module)[1:]) for module in modules]
        self.parameters = [parameter for unit in self.units for parameter in unit.parameters]

    def forward(self, x: Tensor, parameters: Sequence[Tensor]) -> tuple[Tensor, list[Tensor]]:
        """Of ``x`` [N, H, W, 1, C_in]: y [N, H, W, edges, C], not normalised, and of each edge the ``values`` of ``Normed``."""
        y, sums = convolve(self._on_edges(x), self._convolution(parameters))
        settled = zip(self.units, sums.split(1), self._by_unit(parameters), strict=True)
        return y, [unit.settle(y, of_edge, own) for unit, of_edge, own in settled]

    def backward(
        self,
        x: Tensor,
        parameters: Sequence[Tensor],
        y: Tensor,
        values: Sequence[Tensor],
        gradients: Sequence[Tensor],
        of_x: Tensor,
        adds: bool,
    ) -> list[Tensor]:  # fmt: skip
        """From the ``gradients`` [N, H, W, 1, C] of what is normalised those of the parameters; that of x is put into ``of_x`` or added."""
        gradient = torch.stack([each.squeeze(3) for each in gradients]).permute(1, 2, 3, 0, 4)
        of_product, of_gradient = products([y], gradient)
        all_rates, of_norms = [], []
        for edge, (unit, own) in enumerate(zip(self.units, self._by_unit(parameters), strict=True)):
            rates, *of_norm = unit.settle_back(own, Normed(y, values[edge]), Sums(of_gradient[0, edge], of_product[0, edge]))
            all_rates.append(rates)
            of_norms.append(of_norm)
        convolution = self._convolution(parameters)
        *_, of_matrix = convolve_back(self._on_edges(x), convolution, gradient, y, torch.cat(all_rates), state_gradient=of_x, adds=adds)
        assert of_matrix is not None
        return [part for of_edge, of_norm in zip(of_matrix, of_norms, strict=True) for part in (of_edge[:, :, None, None], *of_norm)]

    def _on_edges(self, x: Tensor) -> Tensor:
        return x.expand(-1, -1, -1, len(self.units), -1)

    def _by_unit(self, parameters: Sequence[Tensor]) -> list[Sequence[Tensor]]:
        return [parameters[first : first + 3] for first in range(0, len(parameters), 3)]

    def _convolution(self, parameters: Sequence[Tensor]) -> Convolution:
        return Convolution(None, torch.stack(list(parameters[::3])).flatten(2))


class CornersReader:
    """A ``FactorizedReduce`` that reads a state, as ``Readers`` do."""

    def __init__(self, module: FactorizedReduce) -> None:
        self.unit = CornersUnit(module)
        self.units, self.parameters = [self.unit], self.unit.parameters

    def forward(self, x: Tensor, parameters: Sequence[Tensor]) -> tuple[Tensor, list[Tensor]]:
        normed = self.unit.forward(x, parameters)
        return normed.y, [normed.values]

    def backward(
        self,
        x: Tensor,
        parameters: Sequence[Tensor],
        y: Tensor,
        values: Sequence[Tensor],
        gradients: Sequence[Tensor],
        of_x: Tensor,
        adds: bool,
    ) -> list[Tensor]:  # fmt: skip
        normed = Normed(y, values[0])
        sums = sums_of(normed, gradients[0])
        *_, of_parameters = self.unit.backward(x, parameters, normed, gradients[0], sums, state_gradient=of_x, adds=adds)
        return of_parameters


class Readings(torch.autograd.Function):
    """What cells make of a state [N, C_in, H, W] before they use it: for all units of the ``readers``, normalised, [N, C, H', W'].

    One function for all, as the state and its gradient are the widest tensors there are: the gradient is summed up in place.
    """

    @staticmethod
    def forward(ctx: Any, readers: Sequence[Readers | CornersReader], x: Tensor, *parameters: Tensor) -> tuple[Tensor, ...]:
        ctx.readers, saved, results = readers, [], []
        for reader, own in _parts(readers, parameters):
            y, values = reader.forward(nhwc(x), own)
            for edge, each in enumerate(values):
                of_edge = y[:, :, :, edge : edge + 1]
                result = of_edge.new_empty(of_edge.shape)
                mix([of_edge], each[None, 2:3], each[None, 3:4], None, result, adds=False)
                results.append(nchw(result))
            saved += [y, *values]
        ctx.save_for_backward(x, *parameters, *saved)
        return tuple(results)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Any, ...]:
        x, *tensors = ctx.saved_tensors
        number = sum(len(reader.parameters) for reader in ctx.readers)
        kept, remaining = tensors[number:], [nhwc(gradient.contiguous(memory_format=torch.channels_last)) for gradient in gradients]
        of_x = torch.empty_like(nhwc(x))
        of_parameters: list[Tensor] = []
        for index, (reader, own) in enumerate(_parts(ctx.readers, tensors[:number])):
            edges = len(reader.units)
            y, *values = kept[: edges + 1]
            of_parameters += reader.backward(nhwc(x), own, y, values, remaining[:edges], of_x, index > 0)
            kept, remaining = kept[edges + 1 :], remaining[edges:]
        return None, nchw(of_x), *of_parameters


def _parts(readers: Sequence[Any], parameters: Sequence[Tensor]) -> Iterator[tuple[Any, Sequence[Tensor]]]:
    """Each of the ``readers`` with its own of all ``parameters``."""
    for reader in readers:
        yield reader, parameters[: len(reader.parameters)]
        parameters = parameters[len(reader.parameters) :]


def read(x: Tensor, modules: Sequence[Any]) -> list[Tensor]:
    """What each of the ``modules``, those that preprocess the inputs of cells, makes of the state ``x`` [N, C, H, W] in training."""
    groups: dict[Any, list[int]] = {}
    for number, module in enumerate(modules):
        groups.setdefault(number if isinstance(module, FactorizedReduce) else module[1].weight.shape, []).append(number)
    chosen = [[modules[number] for number in group] for group in groups.values()]
    readers = [CornersReader(group[0]) if isinstance(group[0], FactorizedReduce) else Readers(group) for group in chosen]
    parameters = [parameter for reader in readers for parameter in reader.parameters]
    results = Readings.apply(readers, x.contiguous(memory_format=torch.channels_last), *parameters)
    order = [number for group in groups.values() for number in group]
    return [result for _, result in sorted(zip(order, results, strict=True), key=lambda pair: pair[0])]
