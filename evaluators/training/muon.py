"""Muon (Jordan et al. 2024, kellerjordan.github.io/posts/muon) for processors without fast half precision.

torch's and timm's Muon orthogonalise in bfloat16, step by step on the whole matrix. On a CPU without units for that, the largest matrices
of resnet18 take four times as long as in this form (docs/measurements/2026-11-training-step.md). Here
the iteration runs on the Gram matrix,
in float32: it is a polynomial in it, so the long side of the matrix is multiplied twice instead of twice a step.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer
from torch.optim.adamw import adamw

# Of the quintic iteration; they bring singular values near 1 fast rather than to 1 (Jordan et al. 2024).
A, B, C = 3.4445, -4.7750, 2.0315
SMALL = 16384  # weights up to so many numbers are orthogonalised together


class Muon(Optimizer):
    """Orthogonal steps for the weights of groups with ``"orthogonal": True``, AdamW for those of the others.

    A weight tensor [out, ...] is taken as a matrix [out, inputs]. Its step is the momentum's, with all singular values near 1, times
    ``lr * sqrt(max(1, out / inputs))``: of the norm ``lr * sqrt(out)``, so that for filters of norm 1 ``lr`` is the relative size of a
    step, at any width.

    Parameters
    ----------
    groups
        Parameter groups; each may have its own ``lr`` and ``weight_decay`` (decoupled).
    lr, momentum, nesterov
        As in SGD, with a momentum that averages; the first beta of AdamW is ``momentum``, too.
    beta2
        The second beta of AdamW.
    steps
        Of the iteration, 1 or more.
    """

    def __init__(self, groups: list[dict[str, Any]], *, lr: float, momentum: float, nesterov: bool, beta2: float, steps: int) -> None:
        defaults = {"lr": lr, "momentum": momentum, "nesterov": nesterov, "beta2": beta2, "steps": steps}
        super().__init__(groups, {**defaults, "weight_decay": 0.0, "orthogonal": False})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """Take one step; return what ``closure`` returns."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            weights = [p for p in group["params"] if p.grad is not None]
            if group["orthogonal"]:
                for alike in _of_one_shape(weights):
                    self._step_orthogonally(alike, group)
            elif weights:
                self._step_by_adamw(weights, group)
        return loss

    def _step_orthogonally(self, weights: list[Tensor], group: dict[str, Any]) -> None:
        """``weights`` are of one shape."""
        gradients = [weight.grad for weight in weights if weight.grad is not None]
        for weight in weights:
            if not self.state[weight]:
                self.state[weight]["momentum_buffer"] = torch.zeros_like(weight)
        averages = [self.state[weight]["momentum_buffer"] for weight in weights]
        torch._foreach_lerp_(averages, gradients, 1 - group["momentum"])
        updates = torch._foreach_lerp(gradients, averages, group["momentum"]) if group["nesterov"] else averages
        stacked = torch.stack([update.flatten(1) for update in updates]) if len(updates) > 1 else updates[0].flatten(1)
        steps = orthogonalize(stacked, group["steps"]).view(len(weights), *weights[0].shape)
        torch._foreach_mul_(weights, 1 - group["lr"] * group["weight_decay"])
        rows, columns = len(weights[0]), weights[0][0].numel()
        torch._foreach_add_(weights, list(steps), alpha=-group["lr"] * max(1.0, rows / columns) ** 0.5)

    def _step_by_adamw(self, weights: list[Tensor], group: dict[str, Any]) -> None:
        for weight in weights:
            if not self.state[weight]:
                zeros = {name: torch.zeros_like(weight) for name in ("exp_avg", "exp_avg_sq")}
                self.state[weight].update(step=torch.zeros((), device=weight.device), **zeros)
            # One that was loaded lies on the CPU: torch moves it only where an optimizer's groups say that they are fused.
            self.state[weight]["step"] = self.state[weight]["step"].to(weight.device)
        states = [self.state[weight] for weight in weights]
        gradients = [weight.grad for weight in weights if weight.grad is not None]
        averages, squares = ([state[name] for state in states] for name in ("exp_avg", "exp_avg_sq"))
        counts = [state["step"] for state in states]
        rates = {"lr": group["lr"], "beta1": group["momentum"], "beta2": group["beta2"], "weight_decay": group["weight_decay"], "eps": 1e-8}
        adamw(weights, gradients, averages, squares, [], counts, fused=True, amsgrad=False, maximize=False, **rates)


def _of_one_shape(weights: list[Tensor]) -> list[list[Tensor]]:
    """Group small ones of one shape together, as a cell network has hundreds of them; the others one by one."""
    groups: dict[Any, list[Tensor]] = {}
    for number, weight in enumerate(weights):
        groups.setdefault((weight.shape, None if weight.numel() <= SMALL else number), []).append(weight)
    return list(groups.values())


def orthogonalize(matrix: Tensor, steps: int) -> Tensor:
    """Return ``matrix`` [..., m, n] with its singular values brought near 1 by ``steps`` of the quintic Newton-Schulz iteration.

    With X_0 = matrix / |matrix| the iteration is X_(k+1) = (A + B G + C G^2) X_k, G = X_k X_k^T; the product of these polynomials in G_0 is
    gathered and applied once.
    """
    if matrix.shape[-2] > matrix.shape[-1]:
        return orthogonalize(matrix.mT, steps).mT
    x = matrix.float()
    x = x / torch.linalg.vector_norm(x, dim=(-2, -1), keepdim=True).clamp_min(1e-7)
    gram = x @ x.mT
    multiply_add = torch.baddbmm if x.dim() == 3 else torch.addmm
    product: Tensor | None = None
    for step in range(steps):
        factor = multiply_add(gram, gram, gram, beta=B, alpha=C)
        factor.diagonal(dim1=-2, dim2=-1).add_(A)
        product = factor if product is None else factor @ product
        if step < steps - 1:
            gram = factor @ gram @ factor  # all are polynomials in the first one, so they commute
    assert product is not None
    return (product @ x).to(matrix.dtype)
