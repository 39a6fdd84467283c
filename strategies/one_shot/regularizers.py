"""What the architecture step adds to the validation loss: functions of the architecture parameters and of how far the search is."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.distributions import Dirichlet, kl_divergence

from strategies.one_shot.dirichlet import concentration_of

# The architecture parameters by label, each [operations], and the share of the epochs that are done, from 0 to below 1 -> a scalar.
Regularizer = Callable[[Mapping[str, Tensor], float], Tensor]


def beta_decay(largest: float) -> Regularizer:
    """Return beta-decay (Ye et al. 2022, arXiv 2203.01665).

    As its section on the regularization has it, it is lambda * mean over the choices of log(exp(alpha_1) + ... + exp(alpha_n)). Lambda is
    ``largest`` times the share of the epochs that are done: 0 in the first epoch, and ``largest`` after the last; the paper's is 50.
    """

    def penalty(alphas: Mapping[str, Tensor], progress: float) -> Tensor:
        return largest * progress * torch.stack([alpha.logsumexp(-1) for alpha in alphas.values()]).mean()

    return penalty


def dirichlet_divergence(weight: float) -> Regularizer:
    """Return DrNAS's distance to the even Dirichlet distribution (Chen et al. 2021, arXiv 2006.10355).

    As its section on distribution learning has it, it is ``weight`` times the sum over the choices of
    KL(Dirichlet(beta) || Dirichlet(1, ..., 1)), where beta = elu(alpha) + 1.
    """

    def penalty(alphas: Mapping[str, Tensor], progress: float) -> Tensor:
        even = (Dirichlet(torch.ones_like(alpha)) for alpha in alphas.values())
        learnt = (Dirichlet(concentration_of(alpha)) for alpha in alphas.values())
        return weight * torch.stack([kl_divergence(own, other) for own, other in zip(learnt, even, strict=True)]).sum()

    return penalty


def expected_cost(
    weight: float, costs: Mapping[str, float], names: Mapping[str, Sequence[Any]], probabilities: Callable[[Tensor], Tensor]
) -> Regularizer:
    """Return the cost to be expected (Cai et al. 2019, arXiv 1812.00332, equation 4): the mean over the choices, times ``weight``.

    Parameters
    ----------
    weight
        0 or more.
    costs
        By name of an operation what it costs, 0 where there is none.
    names
        By label the names of the operations, in order; choices without any are left out.
    probabilities
        Maps architecture parameters to probabilities.
    """
    tables = {label: torch.tensor([costs.get(name, 0.0) for name in known]) for label, known in names.items()}

    def penalty(alphas: Mapping[str, Tensor], progress: float) -> Tensor:
        known = {label: alpha for label, alpha in alphas.items() if label in tables}
        return weight * torch.stack([(probabilities(alpha) * tables[label].to(alpha)).sum() for label, alpha in known.items()]).mean()

    return penalty
