"""The zoo: a space of ready-made backbones (torchvision, timm), each with its own stem or one for small images."""

from __future__ import annotations

from typing import Any, ClassVar, cast

import nni
import nni.nas.nn.pytorch as nas
import torch
from nni.mutable import LabeledMutable, Sample
from nni.nas.space import current_model, model_context
from torch import nn

from spaces import SpaceError
from spaces.backbones import BACKBONES, STEMS, build_backbone, check_num_classes
from spaces.hyperparameters import search_hyperparameters


class LazyBackbone(nn.Module):
    """A candidate that costs nothing until it is needed: the network is built at the first forward."""

    def __init__(self, name: str, stem: str, num_classes: int) -> None:
        super().__init__()
        self.name, self.stem, self.num_classes = name, stem, num_classes
        self.network: nn.Module | None = None

    def build(self) -> nn.Module:
        """A new network, with random initial weights."""
        return build_backbone(self.name, stem=self.stem, num_classes=self.num_classes)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Images ``[N, 3, H, W]`` -> logits ``[N, num_classes]``."""
        if self.network is None:
            self.network = self.build().to(images.device)
        return cast(torch.Tensor, self.network(images))

    def extra_repr(self) -> str:
        return f"{self.name}, stem={self.stem}, num_classes={self.num_classes}"


class ZooSpace(nas.ModelSpace):
    """Choose a ``backbone`` (a key of ``BACKBONES``) and its ``stem`` (``own`` or ``small``).

    The unfrozen space holds placeholders and costs next to nothing. A backbone is built when it is chosen: by
    :meth:`freeze`, or by building the space under ``nni.nas.space.model_context(sample)``. The forward of the unfrozen
    space is NNI's dry run: it builds and applies the first candidate.

    The frozen space maps images ``[N, 3, H, W]``, 28 pixels or more, to logits ``[N, num_classes]``.

    Args:
        num_classes: 1 or more.

    Raises:
        SpaceError: ``num_classes`` is not a positive integer.
        nni.mutable.SampleValidationError: the sample lacks a label, or a choice is not legal.
    """

    # A first look stays with networks that train in seconds on two CPU cores.
    NARROWED: ClassVar[dict[str, dict[str, list[str]]]] = {
        "quick": {
            "backbone": [
                "resnet18",
                "squeezenet1_1",
                "shufflenet_v2_x1_0",
                "resnet10t",
                "mobilenetv3_small_100",
                "regnetx_002",
                "tinynet_e",
            ],
            "stem": ["own"],
        }
    }

    def __init__(self, *, num_classes: int = 10) -> None:
        super().__init__()
        check_num_classes(num_classes)
        stem_choice = nni.choice("stem", list(STEMS))
        sample = current_model()
        stem = stem_choice.default() if sample is None else stem_choice.freeze(sample)
        # Under a model context NNI returns the chosen candidate in place of the LayerChoice.
        candidates = {name: LazyBackbone(name, stem, num_classes) for name in BACKBONES}
        backbone = nas.LayerChoice(candidates, label="backbone")
        if sample is None:
            self.backbone = backbone
            self.add_mutable(stem_choice)
        else:
            self.backbone = cast(LazyBackbone, backbone).build()

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Images ``[N, 3, H, W]``, normalised floats -> logits ``[N, num_classes]``."""
        return cast(torch.Tensor, self.backbone(images))

    def freeze(self, sample: Sample) -> nn.Module:
        """The network that ``sample`` chooses, with random initial weights. Labels of other spaces are ignored.

        Raises:
            nni.mutable.SampleValidationError: the sample lacks a label, or a choice is not legal.
        """
        self.validate(sample)
        with model_context(sample):
            return type(self)(**self.trace_kwargs)

    @classmethod
    def default_architecture(cls) -> dict[str, Any]:
        """The lab's baseline: resnet18 with its own stem."""
        return {"backbone": next(iter(BACKBONES)), "stem": STEMS[0]}

    @staticmethod
    def describe(architecture: Sample) -> dict[str, str]:
        """An architecture for people to read: its choices."""
        return {label: str(value) for label, value in architecture.items()}

    @classmethod
    def canonical(cls, sample: Sample) -> dict[str, Any]:
        """The architecture in ``sample``, without other labels. Two samples that differ here are two networks.

        Raises:
            SpaceError: a label is missing, or a choice is not legal.
        """
        legal = {"backbone": tuple(BACKBONES), "stem": STEMS}
        for label, choices in legal.items():
            if label not in sample:
                raise SpaceError(f"the architecture has no {label!r}; it is one of {', '.join(choices)}")
            if sample[label] not in choices:
                raise SpaceError(f"{label} is {sample[label]!r}; it is one of {', '.join(choices)}")
        return {label: sample[label] for label in legal}

    @staticmethod
    def hyperparameters() -> dict[str, LabeledMutable]:
        """The hyperparameters that can be searched together with the architecture."""
        return search_hyperparameters()
