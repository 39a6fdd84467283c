"""The backbones of the zoo: ready-made networks of torchvision and timm, with their own stem or one for small images, and ``convnet32``.

The libraries build the networks, with random initial weights: nothing is downloaded. Their own stems are made for
images of 224x224 pixels: of a 32x32 image most of them leave 8x8 or 16x16 before the first block. The ``small`` stem
keeps the full resolution, as He et al. (2016, section 4.2) do for CIFAR-10: a 3x3 convolution of stride 1, no pooling.
Neither library has an argument for that, so one function per family edits the fresh network; its docstring says how.
``convnet32`` is our own, made for small images; it alone has a width and a depth to choose, and no other stem.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

from torch import nn

from common.errors import SpaceError, unknown_name
from common.text import show
from kernels.winograd import use_winograd
from spaces.zoo.convnet32 import ConvNet32
from spaces.zoo.vocabulary import BACKBONES, STEMS


def build_backbone(name: str, *, stem: str = "own", num_classes: int = 10, **size: int) -> nn.Module:
    """Build one backbone with random initial weights, drawn from torch's current random state.

    The network maps images ``[N, 3, H, W]`` to logits ``[N, num_classes]``; ``H`` and ``W`` are 28 pixels or more.

    Parameters
    ----------
    name
        A key of ``BACKBONES``.
    stem
        ``own`` or ``small``; the function of the family, in ``SMALL_STEMS``, says how that one is made.
    num_classes
        1 or more.
    size
        ``width`` and ``depth`` of ``convnet32``; the others have none.

    Raises
    ------
    SpaceError
        Unknown ``name`` or ``stem``, or ``num_classes`` that is not a positive integer.
    """
    if name not in BACKBONES:
        raise SpaceError(unknown_name("backbone", name, BACKBONES))
    if stem not in STEMS:
        raise SpaceError(unknown_name("stem", stem, STEMS))
    check_num_classes(num_classes)
    backbone = BACKBONES[name]
    network = PACKAGES[backbone.package](name, num_classes, **size)
    if stem == "small":
        SMALL_STEMS[backbone.stem](network)
    use_winograd(network)
    return network


def check_num_classes(num_classes: int) -> None:
    """Raise SpaceError unless ``num_classes`` is an integer of 1 or more (``True`` is none)."""
    if type(num_classes) is not int or num_classes < 1:
        raise SpaceError(f"num_classes is {show(num_classes)}; expected a whole number of at least 1")


def _build_torchvision(name: str, num_classes: int) -> nn.Module:
    import torchvision.models  # here, so that building the space does not wait for it

    network: nn.Module = torchvision.models.get_model(name, weights=None, num_classes=num_classes)
    for layer in network.modules():
        if isinstance(layer, nn.MaxPool2d | nn.AvgPool2d) and layer.kernel_size == 2:
            # VGG and DenseNet halve five times: rounded down, nothing is left of 28 pixels. Even sizes do not change.
            layer.ceil_mode = True
    return network


def _build_timm(name: str, num_classes: int) -> nn.Module:
    import timm  # here, so that building the space does not wait for it

    return timm.create_model(name, pretrained=False, num_classes=num_classes)


def _build_own(name: str, num_classes: int, **size: int) -> nn.Module:
    return ConvNet32(num_classes=num_classes, **size)


PACKAGES: dict[str, Callable[..., nn.Module]] = {"torchvision": _build_torchvision, "timm": _build_timm, "retiarius": _build_own}


def _full_resolution(module: nn.Module) -> None:
    """Set the stride of every convolution in ``module`` to 1; the weights stay."""
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d):
            layer.stride = (1, 1)


def small_resnet_stem(network: nn.Module) -> None:
    """Change a ResNet or ResNeXt: 7x7 convolution of stride 2 -> 3x3 of stride 1; the 3x3 pooling of stride 2 goes."""
    old = cast(nn.Conv2d, network.conv1)
    network.conv1 = nn.Conv2d(old.in_channels, old.out_channels, kernel_size=3, stride=1, padding=1, bias=False)
    nn.init.kaiming_normal_(network.conv1.weight, mode="fan_out", nonlinearity="relu")
    network.maxpool = nn.Identity()


def small_pooled_stem(network: nn.Module) -> None:
    """Change a ResNet-T of timm or a ShuffleNet v2: the first 3x3 convolution of ``conv1`` gets stride 1; the pooling goes."""
    _full_resolution(cast(nn.Module, network.conv1))
    network.maxpool = nn.Identity()


def small_densenet_stem(network: nn.Module) -> None:
    """Change a DenseNet: 7x7 convolution of stride 2 -> 3x3 of stride 1; the 3x3 pooling of stride 2 goes."""
    features = cast(nn.Module, network.features)
    old = cast(nn.Conv2d, features.conv0)
    features.conv0 = nn.Conv2d(old.in_channels, old.out_channels, kernel_size=3, stride=1, padding=1, bias=False)
    nn.init.kaiming_normal_(features.conv0.weight)
    features.pool0 = nn.Identity()


def small_vgg_stem(network: nn.Module) -> None:
    """Change a VGG: its convolutions are 3x3 of stride 1 already, so what changes is the other end, made for 224 pixels.

    Of a 32x32 image one pixel is left, which VGG copies 7 * 7 times into a layer of 102.8 million weights. The small
    form averages over the pixels that are left and gives that layer 512 inputs (2.1 million weights): at 32x32 the
    functions that it can express are the same.
    """
    network.avgpool = nn.AdaptiveAvgPool2d(1)
    classifier = cast(nn.Sequential, network.classifier)
    old = cast(nn.Linear, classifier[0])
    new = nn.Linear(old.in_features // 49, old.out_features)
    nn.init.normal_(new.weight, 0, 0.01)
    nn.init.zeros_(new.bias)
    classifier[0] = new


def small_squeezenet_stem(network: nn.Module) -> None:
    """Change a SqueezeNet 1.1: the first 3x3 convolution gets stride 1; the first pooling goes, the two later ones stay."""
    features = cast(nn.Sequential, network.features)
    _full_resolution(features[0])
    features[2] = nn.Identity()


def small_mobilenet_stem(network: nn.Module) -> None:
    """Change a MobileNet v2 of torchvision: the first 3x3 convolution gets stride 1; it has no pooling."""
    _full_resolution(cast(nn.Sequential, network.features)[0])


def small_mnasnet_stem(network: nn.Module) -> None:
    """Change an MNASNet of torchvision: the first 3x3 convolution gets stride 1; it has no pooling."""
    _full_resolution(cast(nn.Sequential, network.layers)[0])


def small_efficientnet_stem(network: nn.Module) -> None:
    """Change timm's EfficientNet, TinyNet, MobileNet v3 or v4, or GhostNet: the 3x3 ``conv_stem`` gets stride 1; no pooling."""
    _full_resolution(cast(nn.Module, network.conv_stem))


def small_regnet_stem(network: nn.Module) -> None:
    """Change timm's RegNet, RepVGG or MobileOne: the 3x3 convolution and 1x1 branches of ``stem`` get stride 1; no pooling."""
    _full_resolution(cast(nn.Module, network.stem))


def made_for_small_images(network: nn.Module) -> None:
    """Change nothing: the stem is a small one."""


# By family, as ``Backbone.stem`` names it: how the stem of a fresh network is made small, in place.
SMALL_STEMS: dict[str, Callable[[nn.Module], None]] = {
    "resnet": small_resnet_stem,
    "deep_resnet": small_pooled_stem,
    "densenet": small_densenet_stem,
    "vgg": small_vgg_stem,
    "squeezenet": small_squeezenet_stem,
    "shufflenet": small_pooled_stem,
    "mobilenet": small_mobilenet_stem,
    "mnasnet": small_mnasnet_stem,
    "efficientnet": small_efficientnet_stem,
    "regnet": small_regnet_stem,
    "small": made_for_small_images,
}
