"""The words of the zoo: its backbones and where they come from, their choices, what a preset leaves out. Nothing heavy is imported here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal


@dataclass(frozen=True)
class Backbone:
    """Where a backbone comes from, and which kind of stem it has.

    Attributes
    ----------
    package
        Who builds it.
    stem
        Its family: a key of ``spaces.zoo.backbones.SMALL_STEMS``, which says how the stem of a fresh network is made small.
    """

    package: Literal["torchvision", "timm", "retiarius"]
    stem: str


BACKBONES: dict[str, Backbone] = {
    # the lab's ten
    "resnet18": Backbone("torchvision", "resnet"),
    "resnet50": Backbone("torchvision", "resnet"),
    "vgg16": Backbone("torchvision", "vgg"),
    "vgg16_bn": Backbone("torchvision", "vgg"),
    "densenet121": Backbone("torchvision", "densenet"),
    "squeezenet1_1": Backbone("torchvision", "squeezenet"),
    "shufflenet_v2_x1_0": Backbone("torchvision", "shufflenet"),
    "mobilenet_v2": Backbone("torchvision", "mobilenet"),
    "resnext50_32x4d": Backbone("torchvision", "resnet"),
    "mnasnet1_0": Backbone("torchvision", "mnasnet"),
    # timm's that suit small images and a CPU
    "resnet10t": Backbone("timm", "deep_resnet"),
    "resnet14t": Backbone("timm", "deep_resnet"),
    "mobilenetv3_small_100": Backbone("timm", "efficientnet"),
    "mobilenetv3_large_100": Backbone("timm", "efficientnet"),
    "mobilenetv4_conv_small": Backbone("timm", "efficientnet"),
    "efficientnet_lite0": Backbone("timm", "efficientnet"),
    "efficientnet_b0": Backbone("timm", "efficientnet"),
    "tinynet_e": Backbone("timm", "efficientnet"),
    "ghostnet_100": Backbone("timm", "efficientnet"),
    "regnetx_002": Backbone("timm", "regnet"),
    "regnety_002": Backbone("timm", "regnet"),
    "repvgg_a0": Backbone("timm", "regnet"),
    "mobileone_s0": Backbone("timm", "regnet"),
    # our own
    "convnet32": Backbone("retiarius", "small"),
}
STEMS = ("own", "small")
# Of convnet32, the one backbone whose size is chosen, too: channels of its first stage, and convolutions a stage.
SIZED = "convnet32"
WIDTHS = (16, 32, 48, 64, 96, 128)
DEPTHS = (2, 3)
SIZE_LABELS = ("width", "depth")
RATES = (1e-4, 0.5)  # learning rates that are searched

LEGAL: dict[str, tuple[Any, ...]] = {"backbone": tuple(BACKBONES), "stem": STEMS, "width": WIDTHS, "depth": DEPTHS}
DEFAULT: dict[str, Any] = {"backbone": "resnet18", "stem": "own", "width": 64, "depth": 2}  # the lab's baseline
# A first look stays with networks that train in seconds on two CPU cores.
NARROWED: dict[str, dict[str, list[Any]]] = {
    "quick": {
        "backbone": [
            "resnet18",
            "squeezenet1_1",
            "shufflenet_v2_x1_0",
            "resnet10t",
            "mobilenetv3_small_100",
            "regnetx_002",
            "tinynet_e",
            SIZED,
        ],
        "stem": ["own"],
    }
}


def unread_by(backbone: str) -> tuple[str, ...]:
    """Return the labels that do not matter to ``backbone``."""
    return ("stem",) if backbone == SIZED else SIZE_LABELS


def vocabulary(arguments: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the choices of the space, as ``spaces.choices.legal_choices`` tells them; no argument changes them."""
    in_order = sorted(LEGAL, key=lambda label: label == "backbone")  # NNI tells a choice that is a module after those that are none
    return {label: {"kind": "one", "values": list(LEGAL[label]), "n_chosen": None} for label in in_order}
