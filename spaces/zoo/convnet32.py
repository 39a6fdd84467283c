"""A small convolutional network for images of about 32x32 pixels, made for short trainings on a CPU.

After Keller Jordan's airbench (arXiv 2404.00498): a first layer that whitens patches, three stages of 3x3 convolutions, each halved by
pooling as early as it can be, convolutions that begin as the identity, norms without a scale, and the maximum over the image at the end.
"""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

LOGIT_SCALE = 1 / 9
PATCH = 2


class ConvNet32(nn.Module):
    """Images [N, 3, H, W], normalised, 28 pixels or more -> logits [N, num_classes].

    Parameters
    ----------
    width
        Channels of the first stage, one of ``spaces.zoo.vocabulary.WIDTHS`` in the zoo; the second and third have four times as many.
    depth
        3x3 convolutions a stage, 2 or 3; with 3 the last two are a residual block.
    num_classes
        1 or more.
    """

    def __init__(self, *, width: int = 64, depth: int = 2, num_classes: int = 10) -> None:
        super().__init__()
        self.whitening = PatchWhitening()
        widths = (self.whitening.out_channels, width, 4 * width, 4 * width)
        self.stages = nn.Sequential(*(Stage(widths[i], widths[i + 1], depth) for i in range(3)))
        self.head = nn.Linear(widths[-1], num_classes, bias=False)

    def forward(self, images: Tensor) -> Tensor:
        x = self.stages(functional.relu(self.whitening(images)))
        return cast(Tensor, self.head(x.amax((2, 3))) * LOGIT_SCALE)


class PatchWhitening(nn.Conv2d):
    """A convolution of 2x2 patches with the eigenvectors of their covariance, each scaled to unit variance, and with their negatives.

    airbench: frozen patch-whitening. The filters stay as they are, the bias is trained. Before ``initialize_from`` they are random.
    """

    def __init__(self) -> None:
        super().__init__(3, 2 * 3 * PATCH**2, PATCH)
        self.weight.requires_grad = False
        nn.init.zeros_(cast(Tensor, self.bias))

    @torch.no_grad()
    def initialize_from(self, images: Tensor, smallest_variance: float = 5e-4) -> None:
        """Take the filters from the patches of ``images`` [N, 3, H, W], training images as ``forward`` takes them.

        ``smallest_variance`` is added to the variances: components that are hardly there are not blown up to noise.
        """
        patches = images.unfold(2, PATCH, 1).unfold(3, PATCH, 1).permute(0, 2, 3, 1, 4, 5).reshape(-1, 3 * PATCH**2)
        variances, vectors = torch.linalg.eigh(patches.T @ patches / len(patches))
        filters = (vectors / (variances + smallest_variance).sqrt()).T.reshape(-1, 3, PATCH, PATCH)
        self.weight.copy_(torch.cat([filters, -filters]))


class Stage(nn.Module):
    """[N, C, H, W] -> [N, out_channels, H // 2, W // 2]: a convolution, a pooling, and one or two convolutions more."""

    def __init__(self, in_channels: int, out_channels: int, depth: int) -> None:
        super().__init__()
        self.first = nn.Sequential(_convolution(in_channels, out_channels), nn.MaxPool2d(2), _norm(out_channels), nn.ReLU())
        layers: list[nn.Module] = []
        for _ in range(depth - 1):
            layers += [_convolution(out_channels, out_channels), _norm(out_channels), nn.ReLU()]
        self.rest = nn.Sequential(*layers[:-1])  # the last ReLU comes after the residual sum
        self.is_residual = depth > 2

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x)
        y = self.rest(x)
        return functional.relu(y + x if self.is_residual else y)


def _convolution(in_channels: int, out_channels: int) -> nn.Conv2d:
    """Return a 3x3 convolution whose first filters begin as the identity (airbench: identity initialization)."""
    convolution = nn.Conv2d(in_channels, out_channels, 3, padding=1, bias=False)
    nn.init.dirac_(convolution.weight.data[:in_channels])
    return convolution


def _norm(channels: int) -> nn.BatchNorm2d:
    """Return a norm without a scale to train, which the next convolution has anyway; its averages follow the short training."""
    norm = nn.BatchNorm2d(channels, momentum=0.4)
    norm.weight.requires_grad = False
    return norm
