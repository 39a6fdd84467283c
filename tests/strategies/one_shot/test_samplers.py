"""Samplers against their papers: what they draw, how it follows the temperature, and their gradient for the architecture parameters."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from scipy import special
from torch import Tensor

from strategies.one_shot.dirichlet import Dirichlet, concentration_of
from strategies.one_shot.gumbel import GumbelHard, GumbelSoftmax
from strategies.one_shot.perturbation import Perturbation
from strategies.one_shot.reinmax import ReinMax
from strategies.one_shot.sampler import Sampler, Softmax
from strategies.one_shot.single_path import FairPaths, UniformPath

KINDS: list[type[Sampler]] = [Softmax, GumbelHard, Dirichlet, ReinMax, GumbelSoftmax, UniformPath, FairPaths]
SINGLE = [kind for kind in KINDS if kind.single_path]
ALPHA = (0.4, -0.3, 0.1, 0.9)


def alphas(dtype: torch.dtype = torch.float32) -> dict[str, torch.nn.Parameter]:
    return {label: torch.nn.Parameter(torch.tensor(ALPHA, dtype=dtype) * scale) for label, scale in (("a", 1.0), ("b", -0.5))}


def bound(kind: Any, known: Any, **settings: Any) -> Sampler:
    sampler: Sampler = kind(**settings)
    sampler.bind(known)
    return sampler


def draws(sampler: Sampler, known: dict[str, Any], count: int) -> list[Tensor]:
    told = []
    for _ in range(count):
        sampler.draw()
        told.append(torch.stack([sampler(alpha).detach() for alpha in known.values()]))
    return told


@pytest.mark.parametrize("kind", KINDS)
def test_weights_add_up_to_one_and_are_the_same_in_all_cells_of_a_pass(kind: Any) -> None:
    known = alphas()
    sampler = bound(kind, known)
    for _ in range(20):
        sampler.draw()
        first, again = ([sampler(alpha) for alpha in known.values()] for _ in range(2))
        assert all(torch.equal(one, other) for one, other in zip(first, again, strict=True))
        assert all(weights.sum().item() == pytest.approx(1) and (weights >= 0).all() for weights in first)
        if kind.single_path:
            assert all(set(weights.tolist()) == {0.0, 1.0} for weights in first), "exactly one operation"


@pytest.mark.parametrize("kind", KINDS)
def test_draws_follow_the_seed_and_go_on_from_a_kept_state(kind: Any) -> None:
    known = alphas()
    sampler, same, other = (bound(kind, known, seed=seed) for seed in (0, 0, 1))
    first = draws(sampler, known, 7)
    assert all(torch.equal(one, two) for one, two in zip(first, draws(same, known, 7), strict=True))
    assert kind is Softmax or not all(torch.equal(one, two) for one, two in zip(first, draws(other, known, 7), strict=True))
    resumed = bound(kind, known, seed=5)
    resumed.restore(sampler.state())
    assert all(torch.equal(one, two) for one, two in zip(draws(sampler, known, 7), draws(resumed, known, 7), strict=True))


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind is not GumbelSoftmax])  # whose mean is between them and even ones
def test_the_mean_of_the_draws_are_the_probabilities(kind: Any) -> None:
    known = alphas()
    sampler = bound(kind, known)
    mean = torch.stack(draws(sampler, known, 3000)).mean(0)
    with sampler.expected():
        expected = torch.stack([sampler(alpha) for alpha in known.values()])
    assert sampler.training and (mean - expected).abs().max() < 0.04
    assert torch.equal(sampler.eval()(known["a"]), expected[0]), "a network that is not trained is weighed so, too"
    if kind in (Softmax, GumbelHard, ReinMax):
        assert torch.allclose(expected[0], torch.tensor(ALPHA).softmax(0))


@pytest.mark.parametrize("kind", SINGLE)
def test_paths_are_counted(kind: Any) -> None:
    known = alphas()
    sampler = bound(kind, known)
    seen = torch.zeros(2, 4)
    for _ in range(9):
        seen += draws(sampler, known, 1)[0]
        sampler.count_paths()
    draws(sampler, known, 1)
    assert sampler.take_counts() == {"a": seen[0].long().tolist(), "b": seen[1].long().tolist()}, "those alone that were counted"
    assert sampler.take_counts() is None


def test_no_path_is_counted_where_noise_lets_all_operations_learn() -> None:
    sampler = bound(GumbelHard, known := alphas(), perturbation=Perturbation(0, 0.3))
    sampler.begin_epoch(5, 6)
    sampler.draw(perturbed=True)
    assert (sampler(known["a"]) > 0).sum() > 1
    sampler.count_paths()
    assert sampler.take_counts() is None


def test_gdas_draws_by_the_gumbel_max_trick_and_the_drawn_weight_alone_has_the_gradient_of_the_gumbel_softmax() -> None:
    """Equations 3 to 5: h = one_hot(argmax(log p + o)), and d h~ of the drawn operation for h~ = softmax((log p + o) / tau)."""
    alpha = torch.nn.Parameter(torch.tensor(ALPHA, dtype=torch.float64))
    sampler = bound(GumbelHard, {"a": alpha}, temperatures=(0.7, 0.7))
    worth = torch.tensor([1.0, -2.0, 0.5, 3.0], dtype=torch.float64)
    (gradient,) = torch.autograd.grad(sampler(alpha) @ worth, alpha)
    noise = sampler._drawn["a"]
    relaxed = ((alpha.log_softmax(0) + noise) / 0.7).softmax(0)
    chosen = int((alpha + noise).argmax())
    assert sampler(alpha).argmax() == chosen
    (of_drawn,) = torch.autograd.grad(relaxed[chosen] * worth[chosen], alpha)
    assert torch.allclose(gradient, of_drawn)
    place, weight = sampler.choose("a", alpha)
    assert place == chosen and weight is not None and weight.item() == 1
    assert torch.allclose(torch.autograd.grad(weight * worth[chosen], alpha)[0], of_drawn), "the same where it alone is computed"


def test_the_gumbel_softmax_is_torchs() -> None:
    """The equation for the noise that was drawn, and the mean and deviation of ``torch.nn.functional.gumbel_softmax``."""
    alpha = torch.nn.Parameter(torch.tensor(ALPHA))
    sampler = bound(GumbelSoftmax, {"a": alpha}, seed=4)
    assert sampler.temperature == 1.0
    sampler.begin_epoch(9, 10)
    assert sampler.temperature == pytest.approx(0.33), "as NNI has it"
    weights = sampler(alpha)
    assert torch.allclose(weights, ((alpha + sampler._drawn["a"]) / 0.33).softmax(0)) and weights.requires_grad
    ours = torch.stack(draws(sampler, {"a": alpha}, 4000))[:, 0]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        torchs = torch.nn.functional.gumbel_softmax(alpha.detach().expand(4000, -1), tau=0.33)
    assert (ours.mean(0) - torchs.mean(0)).abs().max() < 0.03 and (ours.std(0) - torchs.std(0)).abs().max() < 0.03
    assert not ours.max(1).values.allclose(torch.ones(4000), atol=1e-3), "no operation has all weight"


def test_the_temperature_of_gdas_falls_in_equal_steps_from_ten_to_a_tenth() -> None:
    sampler = GumbelHard()
    seen = []
    for epoch in range(5):
        sampler.begin_epoch(epoch, 5)
        seen.append(sampler.temperature)
    assert seen == pytest.approx([10, 7.525, 5.05, 2.575, 0.1])
    sampler.begin_epoch(0, 1)
    assert sampler.temperature == 10


def test_the_temperature_of_reinmax_stays_at_one_unless_told_otherwise() -> None:
    """And it is that of the gradient alone: algorithm 2 draws by the plain softmax."""
    alpha = torch.nn.Parameter(torch.tensor(ALPHA, dtype=torch.float64))
    usual, warm = ReinMax(), bound(ReinMax, {"a": alpha}, temperatures=(3, 1))
    for epoch, expected in enumerate((3.0, 2.0, 1.0)):
        usual.begin_epoch(epoch, 3)
        warm.begin_epoch(epoch, 3)
        assert (usual.temperature, warm.temperature) == (1.0, expected)
    warm.begin_epoch(0, 3)
    assert all(
        torch.equal(*pair) for pair in zip(draws(bound(ReinMax, {"a": alpha}), {"a": alpha}, 9), draws(warm, {"a": alpha}, 9), strict=True)
    )
    worth, hot, p = torch.tensor([1.0, -2.0, 0.5, 3.0], dtype=torch.float64), torch.eye(4, dtype=torch.float64)[1], alpha.softmax(0)
    middle = (hot + (alpha / 3).softmax(0)).detach() / 2
    by_hand = 2 * middle * (worth - middle @ worth) - p.detach() * (worth - p.detach() @ worth) / 2
    (gradient,) = torch.autograd.grad(warm.weigh(alpha, torch.tensor(1)) @ worth, alpha)
    assert torch.allclose(gradient, by_hand)


def test_drnas_draws_from_its_dirichlet_distribution_with_the_pathwise_gradient() -> None:
    """Of two operations the weight is Beta(a, b), and d theta / d a = -(dF / da) / f, as the paper has it for each coordinate."""
    alpha = torch.nn.Parameter(torch.tensor([0.4, -0.3], dtype=torch.float64))
    sampler = bound(Dirichlet, {"a": alpha})
    a, b = concentration_of(alpha).tolist()
    assert (a, b) == (pytest.approx(1.4), pytest.approx(math.exp(-0.3))), "elu(alpha) + 1"
    for _ in range(5):
        sampler.draw()
        weights = sampler(alpha)
        (gradient,) = torch.autograd.grad(weights[0], alpha)
        x, step = weights[0].item(), 1e-5
        density = x ** (a - 1) * (1 - x) ** (b - 1) / special.beta(a, b)
        by_a, by_b = (
            (special.betainc(a + i * step, b + j * step, x) - special.betainc(a - i * step, b - j * step, x)) / (2 * step)
            for i, j in ((1, 0), (0, 1))
        )
        slopes = [1.0, math.exp(-0.3)]  # of elu
        assert gradient.tolist() == pytest.approx([-by_a / density * slopes[0], -by_b / density * slopes[1]], rel=1e-3)


def exact_and_mean_gradient(sampler: Sampler, alpha: Any, loss: Any) -> tuple[Tensor, Tensor]:
    """The gradient of the mean loss over all one-hot draws, and the mean of the sampler's estimates of it."""
    hots = torch.eye(len(alpha), dtype=alpha.dtype)
    p = alpha.softmax(0)
    (exact,) = torch.autograd.grad(sum(share * loss(hot) for share, hot in zip(p, hots, strict=True)), alpha)
    mean = torch.zeros_like(alpha)
    for index, share in enumerate(p.detach()):
        mean += share * torch.autograd.grad(loss(sampler.weigh(alpha, torch.tensor(index))), alpha)[0]
    return exact, mean


def test_reinmax_is_exact_in_the_mean_for_quadratic_losses() -> None:
    """Algorithm 2 at temperature 1: Heun's method has no error of second order, straight-through has."""
    alpha = torch.nn.Parameter(torch.tensor(ALPHA, dtype=torch.float64))
    generator = torch.Generator().manual_seed(0)
    matrix, line = (torch.randn(*size, dtype=torch.float64, generator=generator) for size in ((4, 4), (4,)))

    def quadratic(weights: Tensor) -> Tensor:
        return weights @ matrix @ weights + line @ weights

    exact, mean = exact_and_mean_gradient(ReinMax(), alpha, quadratic)
    assert torch.allclose(mean, exact, atol=1e-12)

    class StraightThrough(ReinMax):
        def weigh(self, alpha: Tensor, noise: Tensor) -> Tensor:
            soft = alpha.softmax(0)
            return torch.nn.functional.one_hot(noise, 4) + (soft - soft.detach())

    assert (exact_and_mean_gradient(StraightThrough(), alpha, quadratic)[1] - exact).norm() > 0.1 * exact.norm(), (
        "there was an error to mend"
    )
    assert not torch.allclose(exact_and_mean_gradient(ReinMax(temperatures=(2.0, 2.0)), alpha, quadratic)[1], exact, atol=1e-3)


def test_even_paths_teach_the_alphas_nothing() -> None:
    known = alphas()
    assert not any(bound(kind, known)(known["a"]).requires_grad for kind in (UniformPath, FairPaths))
    assert not UniformPath.learns and not FairPaths.learns and all(kind.learns for kind in KINDS[:5])


def test_a_fair_round_has_every_operation_once() -> None:
    """Algorithm 1 of FairNAS: per choice a permutation of its operations, one of them in each pass of a step."""
    known = {**alphas(), "few": torch.nn.Parameter(torch.zeros(2))}
    sampler = bound(FairPaths, known)
    assert sampler.passes == 4 and bound(UniformPath, known).passes == 1
    orders = set()
    for _ in range(6):
        drawn = []
        for _ in range(sampler.passes):
            sampler.draw()
            drawn.append({label: int(sampler(alpha).argmax()) for label, alpha in known.items()})
        for label, of in (("a", 4), ("b", 4), ("few", 2)):
            order = [path[label] for path in drawn]
            assert sorted(order) == sorted(list(range(of)) * (4 // of)), "as often as every other"
            orders.add((label, *order))
    assert len(orders) > 12, "in random order, of each choice by itself"


def test_sdarts_moves_the_weights_of_operations_by_uniform_noise_in_the_step_of_the_weights_alone() -> None:
    known = alphas()
    sampler = bound(Softmax, known, perturbation=Perturbation(seed=1, largest=0.3))
    plain = known["a"].softmax(0)
    sampler.draw()
    assert torch.equal(sampler(known["a"]), plain), "the architecture step"
    sampler.begin_epoch(5, 10)
    radius = 0.03 + 0.27 * 5 / 10
    expected = torch.rand(4, generator=torch.Generator().manual_seed(1)) * 2 - 1
    sampler.draw(perturbed=True)
    moved = (plain + radius * expected).clamp(0, 1)
    assert torch.allclose(sampler(known["a"]), moved / moved.sum())
    assert torch.equal(sampler(known["a"]), sampler(known["a"])), "alike in all cells"
    assert sampler(known["a"]).sum().item() == pytest.approx(1)
    with sampler.expected():
        assert torch.equal(sampler(known["a"]), plain)
    resumed = bound(Softmax, known, perturbation=Perturbation(seed=7, largest=0.3))
    resumed.begin_epoch(5, 10)
    resumed.restore(sampler.state())
    for each in (sampler, resumed):
        each.draw(perturbed=True)
    assert torch.equal(sampler(known["b"]), resumed(known["b"]))


def test_noise_that_takes_all_weight_leaves_it_to_the_largest() -> None:
    """As the authors' code does where no weight of an edge is above 0."""
    noise = Perturbation(seed=0, largest=1.0)
    noise.begin_epoch(9, 10)
    weights = torch.full((4,), 0.25)
    for _ in range(200):
        noise.renew(True)
        moved = noise.move("edge", weights)
        drawn = weights + noise._drawn["edge"]
        if bool((drawn <= 0).all()):
            break
    assert bool((drawn <= 0).all()), "such a draw is one of some dozens"
    assert moved.tolist() == [float(index == int(drawn.argmax())) for index in range(4)]
