"""Scores from the gradients of an untrained network."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from evaluators.zero_cost.activations import NORMS


def logits_of(output: Tensor | tuple[Tensor, ...]) -> Tensor:
    """Return the logits, where a network in training also answers by an auxiliary head."""
    return output[0] if isinstance(output, tuple) else output


def _gradients(network: nn.Module, images: Tensor, labels: Tensor) -> list[Tensor]:
    """Return the gradient of the loss by each weight of a convolution or a matrix; zeros where it has none."""
    weights = [weight for weight in network.parameters() if weight.dim() > 1 and weight.requires_grad]
    loss = nn.functional.cross_entropy(logits_of(network(images)), labels)
    told = torch.autograd.grad(loss, weights, allow_unused=True)
    return [torch.zeros_like(weight) if gradient is None else gradient for weight, gradient in zip(weights, told, strict=True)]


def zico(network: nn.Module, images: Tensor, labels: Tensor) -> float:
    """Return the sum over layers of log(sum over weights of mean |gradient| / deviation of the gradient), over two halves of the images.

    Li et al., *ZiCo: Zero-shot NAS via Inverse Coefficient of Variation on Gradients* (ICLR 2023, arXiv 2301.11300). A layer
    without gradient counts nothing.
    """
    half = len(images) // 2
    halves = [_gradients(network, images[part], labels[part]) for part in (slice(half), slice(half, 2 * half))]
    total = 0.0
    for first, second in zip(*halves, strict=True):
        deviation = (first - second).abs() / 2  # of two values, over their number
        varies = deviation > 0
        if varies.any():
            mean = (first.abs() + second.abs()) / 2
            total += math.log(float((mean[varies] / deviation[varies]).double().sum()))
    return total


def synflow(network: nn.Module, images: Tensor, labels: Tensor) -> float:
    """Return log(sum over weights of weight x gradient) of a network whose weights are all positive, for an image of ones.

    Tanaka et al., *Pruning neural networks without any data by iteratively conserving synaptic flow* (NeurIPS 2020, arXiv 2006.05467),
    summed over the network as Abdelfattah et al., *Zero-Cost Proxies for Lightweight NAS* (ICLR 2021, arXiv 2101.08134) do.
    Normalisations are passed by. Minus infinity where nothing flows. The network is put back as it was.
    """
    kept = {name: value.clone() for name, value in network.state_dict().items()}
    dtype, training = images.dtype, network.training
    norms = [module for module in network.modules() if isinstance(module, NORMS)]
    try:
        network.double().eval()  # products of hundreds of layers leave float32
        for norm in norms:
            norm.forward = _pass_by  # type: ignore[method-assign, assignment]
        weights = [weight for weight in network.parameters() if weight.dim() > 1 and weight.requires_grad]
        with torch.no_grad():
            for parameter in network.parameters():
                parameter.abs_()
        flow = logits_of(network(torch.ones(1, *images.shape[1:], dtype=torch.float64, device=images.device))).sum()
        told = torch.autograd.grad(flow, weights, allow_unused=True)
        total = sum(
            float((weight.detach() * gradient).sum()) for weight, gradient in zip(weights, told, strict=True) if gradient is not None
        )
    finally:
        for norm in norms:
            norm.__dict__.pop("forward", None)
        network.to(dtype).load_state_dict(kept)
        network.train(training)
    return math.log(total) if total > 0 else -math.inf


def _pass_by(x: Tensor) -> Tensor:
    return x
