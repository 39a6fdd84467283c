"""What the cells of a frozen network make of the outputs that they read, by the compiled kernels: the widest tensors there are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from kernels.convolutions import Convolution, convolve, convolve_back
from kernels.layout import count_of, nchw, nhwc, on_edges
from kernels.sums import mix, products
from spaces.darts.operations import FactorizedReduce
from spaces.darts.trained.units import CornersUnit, Normed, Sums, Unit, sums_of, with_their_own


class JointReader:
    """``ReluConvNorm``s of one by one and of one width that read the same state: one convolution, on as many edges."""

    def __init__(self, modules: Sequence[Any]) -> None:
        self.units = [Unit(None, *list(module)[1:]) for module in modules]
        self.parameters = [parameter for unit in self.units for parameter in unit.parameters]

    def forward(self, x: Tensor, parameters: Sequence[Tensor]) -> tuple[Tensor, list[Tensor]]:
        """Return of ``x``, as ``nhwc`` has it, y [N, H, W, edges, C], not normalised, and for each edge what normalises it (``Normed``)."""
        y, sums = convolve(on_edges(x, len(self.units)), self._convolution(parameters))
        parts = zip(with_their_own(self.units, parameters), sums.split(1), strict=True)
        return y, [unit.normalisation(of_edge, count_of(y), own) for (unit, own), of_edge in parts]

    def backward(
        self, x: Tensor, parameters: Sequence[Tensor], y: Tensor, norms: Sequence[Tensor], gradients: Sequence[Tensor], of_x: Tensor, *,
        adds: bool, learns: bool,
    ) -> list[Tensor | None]:  # fmt: skip
        """Return the gradients of the parameters, and put that of x into ``of_x`` or, where ``adds``, add it there.

        Those of the kernels are ``None`` unless it ``learns``.
        ``gradients`` [N, H, W, 1, C] are those of what is normalised.
        """
        gradient = torch.stack([each.squeeze(3) for each in gradients]).permute(1, 2, 3, 0, 4) if len(gradients) > 1 else gradients[0]
        of_product, of_gradient = products([y], gradient)
        all_rates, of_norms = [], []
        for edge, (unit, own) in enumerate(with_their_own(self.units, parameters)):
            sums = Sums(of_gradient[0, edge], of_product[0, edge])
            rates, *of_norm = unit.normalisation_back(own, norms[edge], count_of(y), sums)
            all_rates.append(rates)
            of_norms.append(of_norm)
        source, rates = on_edges(x, len(self.units)), torch.cat(all_rates)
        how: dict[str, Any] = {"state_gradient": of_x, "adds": adds, "want_kernels": learns}
        *_, of_matrix = convolve_back(source, self._convolution(parameters), gradient, y, rates, **how)
        of_kernels = len(of_norms) * [None] if of_matrix is None else of_matrix[..., None, None]
        return [part for of_kernel, of_norm in zip(of_kernels, of_norms, strict=True) for part in (of_kernel, *of_norm)]

    def _convolution(self, parameters: Sequence[Tensor]) -> Convolution:
        return Convolution(None, torch.stack(list(parameters[::3])).flatten(2))


class CornersReader:
    """A ``FactorizedReduce`` that reads a state, as a ``JointReader`` of one."""

    def __init__(self, module: FactorizedReduce) -> None:
        self.units = [CornersUnit(module)]
        self.parameters = self.units[0].parameters

    def forward(self, x: Tensor, parameters: Sequence[Tensor]) -> tuple[Tensor, list[Tensor]]:
        normed = self.units[0].forward(x, parameters)
        return normed.y, [normed.norm]

    def backward(
        self, x: Tensor, parameters: Sequence[Tensor], y: Tensor, norms: Sequence[Tensor], gradients: Sequence[Tensor], of_x: Tensor, *,
        adds: bool, learns: bool,
    ) -> list[Tensor | None]:  # fmt: skip
        normed = Normed(y, norms[0])
        sums = sums_of(normed, gradients[0])
        *_, of_parameters = self.units[0].backward(x, parameters, normed, gradients[0], sums, state_gradient=of_x, adds=adds, learns=learns)
        return of_parameters


class ReadState(torch.autograd.Function):
    """What cells make of a state before they use it: for all units of the ``readers``, normalised, [N, C, H', W'].

    One function for all, as the state and its gradient are the widest tensors there are: readers of one width share a pass over them, and
    further ones add to the gradient in place.
    """

    @staticmethod
    def forward(ctx: Any, readers: Sequence[JointReader | CornersReader], x: Tensor, *parameters: Tensor) -> tuple[Tensor, ...]:
        ctx.readers, saved, results = readers, [], []
        for reader, own in with_their_own(readers, parameters):
            y, norms = reader.forward(nhwc(x), own)
            for edge, norm in enumerate(norms):
                normed = Normed(y[:, :, :, edge : edge + 1], norm)
                result = y.new_empty(normed.y.shape)
                mix([normed.y], normed.scale[None], normed.shift[None], None, result, adds=False)
                results.append(nchw(result))
            saved += [y, *norms]
        ctx.save_for_backward(x, *parameters, *saved)
        return tuple(results)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Any, ...]:
        x, *tensors = ctx.saved_tensors
        number = sum(len(reader.parameters) for reader in ctx.readers)
        kept, remaining = tensors[number:], [nhwc(gradient.contiguous(memory_format=torch.channels_last)) for gradient in gradients]
        of_x = torch.empty_like(nhwc(x))
        of_parameters: list[Tensor | None] = []
        learns = any(ctx.needs_input_grad[2:])
        for index, (reader, own) in enumerate(with_their_own(ctx.readers, tensors[:number])):
            edges = len(reader.units)
            y, *norms = kept[: edges + 1]
            of_parameters += reader.backward(nhwc(x), own, y, norms, remaining[:edges], of_x, adds=index > 0, learns=learns)
            kept, remaining = kept[edges + 1 :], remaining[edges:]
        return None, nchw(of_x), *of_parameters


def read(x: Tensor, modules: Sequence[Any]) -> list[Tensor]:
    """Return what each of the ``modules``, those that preprocess the inputs of cells, makes of the state ``x`` in training.

    It is [N, C, H, W], or an output of nodes that lie apart, [N, H, W, nodes, 8].
    """
    groups: dict[Any, list[int]] = {}
    for number, module in enumerate(modules):
        groups.setdefault(number if isinstance(module, FactorizedReduce) else module[1].weight.shape, []).append(number)
    chosen = [[modules[number] for number in group] for group in groups.values()]
    readers = [CornersReader(group[0]) if isinstance(group[0], FactorizedReduce) else JointReader(group) for group in chosen]
    parameters = [parameter for reader in readers for parameter in reader.parameters]
    state = x.contiguous(memory_format=torch.channels_last) if x.dim() == 4 else x
    results = ReadState.apply(readers, state, *parameters)
    by_number = dict(zip((number for group in groups.values() for number in group), results, strict=True))
    return [by_number[number] for number in range(len(modules))]
