"""The network that the DARTS authors train in the end, as their ``model.py`` and ``operations.py`` have it: stock modules of torch.

Written anew from their description as an independent reference: contiguous tensors, one module after the other, nothing shared. Its
parameters come in the order of those of ``spaces.darts.space.DartsSpace`` (of the same shapes), so that weights can be copied one by one.

    python benchmarks/authors_network.py     # counts the parameters of DARTS_V2 in this form and in ours; the last line is one JSON object
"""

# ruff: noqa: E402 (a script of the checkout, which need not be installed: the imports follow the path)
from __future__ import annotations

import json
import sys
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))
warnings.filterwarnings("ignore", message=".*is found to be not a nn.Module")

import torch
from torch import Tensor, nn


def _relu_conv_norm(c_in: int, c_out: int) -> nn.Module:
    return nn.Sequential(nn.ReLU(inplace=False), nn.Conv2d(c_in, c_out, 1, bias=False), nn.BatchNorm2d(c_out))


def _dilated(channels: int, size: int, stride: int) -> nn.Module:
    depthwise = nn.Conv2d(channels, channels, size, stride, size - 1, dilation=2, groups=channels, bias=False)
    return nn.Sequential(nn.ReLU(inplace=False), depthwise, nn.Conv2d(channels, channels, 1, bias=False), nn.BatchNorm2d(channels))


def _separable(channels: int, size: int, stride: int) -> nn.Module:
    layers: list[nn.Module] = []
    for step in (stride, 1):
        layers += [nn.ReLU(inplace=False), nn.Conv2d(channels, channels, size, step, size // 2, groups=channels, bias=False)]
        layers += [nn.Conv2d(channels, channels, 1, bias=False), nn.BatchNorm2d(channels)]
    return nn.Sequential(*layers)


class _FactorizedReduce(nn.Module):
    def __init__(self, c_in: int, c_out: int) -> None:
        super().__init__()
        self.conv_1 = nn.Conv2d(c_in, c_out // 2, 1, stride=2, bias=False)
        self.conv_2 = nn.Conv2d(c_in, c_out // 2, 1, stride=2, bias=False)
        self.bn = nn.BatchNorm2d(c_out)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(x)
        return self.bn(torch.cat([self.conv_1(x), self.conv_2(x[:, :, 1:, 1:])], dim=1))


def _operation(name: str, channels: int, stride: int) -> nn.Module:
    if name == "skip_connect":
        return nn.Identity() if stride == 1 else _FactorizedReduce(channels, channels)
    if name == "max_pool_3x3":
        return nn.MaxPool2d(3, stride=stride, padding=1)
    if name == "avg_pool_3x3":
        return nn.AvgPool2d(3, stride=stride, padding=1, count_include_pad=False)
    size = int(name[-1])
    return _separable(channels, size, stride) if name.startswith("sep") else _dilated(channels, size, stride)


class _Cell(nn.Module):
    def __init__(
        self, architecture: Mapping[str, Any], kind: str, c_before: int, c_last: int, channels: int, after_reduction: bool
    ) -> None:
        super().__init__()
        self.preprocess0 = (_FactorizedReduce if after_reduction else _relu_conv_norm)(c_before, channels)
        self.preprocess1 = _relu_conv_norm(c_last, channels)
        self.sources: list[int] = []
        self.ops = nn.ModuleList()
        for node in range(2, 6):
            for source in sorted(architecture[f"{kind}/inputs_{node}"]):
                stride = 2 if kind == "reduce" and source < 2 else 1
                self.sources.append(source)
                self.ops.append(_operation(architecture[f"{kind}/edge_{source}_{node}"], channels, stride))

    def forward(self, before_last: Tensor, last: Tensor, drop_path: float) -> Tensor:
        states = [self.preprocess0(before_last), self.preprocess1(last)]
        for node in range(4):
            pair = []
            for index in (2 * node, 2 * node + 1):
                h = self.ops[index](states[self.sources[index]])
                if drop_path > 0 and not isinstance(self.ops[index], nn.Identity):
                    h = h.div(1 - drop_path) * torch.empty(len(h), 1, 1, 1, dtype=h.dtype).bernoulli_(1 - drop_path)
                pair.append(h)
            states.append(pair[0] + pair[1])
        return torch.cat(states[2:], dim=1)


class _AuxiliaryHead(nn.Module):
    def __init__(self, channels: int, num_classes: int) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.ReLU(),
            nn.AvgPool2d(5, stride=3, padding=0, count_include_pad=False),
            nn.Conv2d(channels, 128, 1, bias=False),
            nn.BatchNorm2d(128),
            nn.ReLU(),
            nn.Conv2d(128, 768, 2, bias=False),
            nn.BatchNorm2d(768),
            nn.ReLU(),
        )
        self.classifier = nn.Linear(768, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(self.features(x).flatten(1))


class AuthorsNetwork(nn.Module):
    """Images [N, 3, 32, 32] -> (logits, auxiliary logits), [N, num_classes] each; ``drop_path`` is the probability to drop a path."""

    def __init__(self, architecture: Mapping[str, Any], width: int, num_cells: int, num_classes: int = 10) -> None:
        super().__init__()
        self.drop_path = 0.0
        reductions = (num_cells // 3, 2 * num_cells // 3)
        self.stem = nn.Sequential(nn.Conv2d(3, 3 * width, 3, padding=1, bias=False), nn.BatchNorm2d(3 * width))
        self.cells = nn.ModuleList()
        c_before, c_last, channels, after_reduction = 3 * width, 3 * width, width, False
        for index in range(num_cells):
            kind = "reduce" if index in reductions else "normal"
            channels *= 2 if kind == "reduce" else 1
            self.cells.append(_Cell(architecture, kind, c_before, c_last, channels, after_reduction))
            after_reduction = kind == "reduce"
            c_before, c_last = c_last, 4 * channels
            if index == reductions[1]:
                self.auxiliary, self.auxiliary_after = _AuxiliaryHead(c_last, num_classes), index
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.Linear(c_last, num_classes)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        before_last = last = self.stem(images)
        for index, cell in enumerate(self.cells):
            before_last, last = last, cell(before_last, last, self.drop_path)
            if index == self.auxiliary_after:
                auxiliary = self.auxiliary(last)
        return self.classifier(self.pool(last).flatten(1)), auxiliary


def count_parameters() -> dict[str, int]:
    """Parameters of DARTS_V2 at the paper's size, without the auxiliary head, which only the training has."""
    from nni.nas.space import model_context

    from spaces.darts.genotypes import GENOTYPES, architecture_from_genotype
    from spaces.darts.space import DartsSpace

    architecture = architecture_from_genotype(GENOTYPES["DARTS_V2"])
    authors = AuthorsNetwork(architecture, width=36, num_cells=20)
    with model_context(architecture):
        ours = DartsSpace(width=36, num_cells=20, auxiliary=True)
    told = {}
    for name, network in (("authors", authors), ("ours", ours)):
        named = [(label, weight.numel()) for label, weight in network.named_parameters()]
        told[name] = sum(size for label, size in named if not label.startswith("auxiliary"))
    return told


if __name__ == "__main__":
    print(json.dumps(count_parameters()))
