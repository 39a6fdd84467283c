"""The zoo: a space of ready-made backbones (torchvision, timm), each with its own stem or one for small images."""

from __future__ import annotations

from typing import Any, ClassVar, cast

import nni.nas.nn.pytorch as nas
import torch
from nni.mutable import Categorical, LabeledMutable, Sample
from nni.nas.space import current_model, model_context
from torch import nn

from common.errors import SpaceError
from common.text import show
from kernels.winograd import kernels_note, use_winograd
from spaces.zoo.backbones import build_backbone, check_num_classes
from spaces.zoo.hyperparameters import search_hyperparameters
from spaces.zoo.networks import portfolio, usual_values
from spaces.zoo.vocabulary import BACKBONES, DEFAULT, LEGAL, NARROWED, SIZE_LABELS, SIZED, unread_by


class LazyBackbone(nn.Module):
    """A candidate that costs nothing until it is needed: the network is built at the first forward."""

    def __init__(self, name: str, num_classes: int, choices: Sample) -> None:
        super().__init__()
        self.name, self.num_classes, self.choices = name, num_classes, choices
        self.network: nn.Module | None = None

    def build(self) -> nn.Module:
        """Return a new network, with random initial weights."""
        size = {label: self.choices[label] for label in SIZE_LABELS} if self.name == SIZED else {}
        return build_backbone(self.name, stem=self.choices["stem"], num_classes=self.num_classes, **size)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Map images ``[N, 3, H, W]`` to logits ``[N, num_classes]``."""
        if self.network is None:
            self.network = self.build().to(images.device)
        return cast(torch.Tensor, self.network(images))

    def extra_repr(self) -> str:
        return f"{self.name}, num_classes={self.num_classes}, {self.choices}"


class ZooSpace(nas.ModelSpace):
    """Choose a ``backbone`` (a key of ``BACKBONES``) and its ``stem`` (``own`` or ``small``); of ``convnet32``, width and depth.

    The unfrozen space holds placeholders and costs next to nothing. A backbone is built when it is chosen: by
    :meth:`freeze`, or by building the space under ``nni.nas.space.model_context(sample)``. The forward of the unfrozen
    space is NNI's dry run: it builds and applies the first candidate.

    The frozen space maps images ``[N, 3, H, W]``, 28 pixels or more, to logits ``[N, num_classes]``.

    Parameters
    ----------
    num_classes
        1 or more.

    Raises
    ------
    SpaceError
        ``num_classes`` is not a positive integer.
    nni.mutable.SampleValidationError
        The sample of the model context lacks a label, or a choice is not legal.
    """

    NARROWED: ClassVar = NARROWED

    def __init__(self, *, num_classes: int = 10) -> None:
        super().__init__()
        check_num_classes(num_classes)
        sample = current_model()
        others = {
            label: Categorical(list(values), default=DEFAULT[label], label=label) for label, values in LEGAL.items() if label != "backbone"
        }
        choices = {label: choice.default() if sample is None else choice.freeze(sample) for label, choice in others.items()}
        # Under a model context NNI returns the chosen candidate in place of the LayerChoice.
        candidates = {name: LazyBackbone(name, num_classes, choices) for name in BACKBONES}
        backbone = nas.LayerChoice(candidates, label="backbone")
        if sample is None:
            self.backbone = backbone
            for choice in others.values():
                self.add_mutable(choice)
        else:
            self.backbone = cast(LazyBackbone, backbone).build()

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Map images ``[N, 3, H, W]``, normalised floats, to logits ``[N, num_classes]``."""
        return cast(torch.Tensor, self.backbone(images))

    def freeze(self, sample: Sample) -> nn.Module:
        """Return the network that ``sample`` chooses, with random initial weights. Labels of other spaces are ignored.

        Raises
        ------
        nni.mutable.SampleValidationError
            The sample lacks a label, or a choice is not legal.
        """
        self.validate(sample)
        with model_context(sample):
            return type(self)(**self.trace_kwargs)

    @classmethod
    def default_architecture(cls) -> dict[str, Any]:
        """Return the lab's baseline: resnet18 with its own stem."""
        return dict(DEFAULT)

    @staticmethod
    def describe(architecture: Sample) -> dict[str, str]:
        """Return an architecture for people to read: its choices, without those that its backbone does not have."""
        unread = unread_by(architecture["backbone"])
        return {label: str(value) for label, value in architecture.items() if label not in unread}

    @classmethod
    def canonical(cls, sample: Sample) -> dict[str, Any]:
        """Return the architecture in ``sample``, without other labels; what its backbone does not read is at its default.

        Two samples that differ here are two networks.

        Raises
        ------
        SpaceError
            A label is missing, or a choice is not legal.
        """
        for label, choices in LEGAL.items():
            known = ", ".join(map(str, choices))
            if label not in sample:
                raise SpaceError(f"the architecture lacks {label!r}; expected one of {known}")
            if sample[label] not in choices:
                raise SpaceError(f"{label} is {show(sample[label])}; expected one of {known}")
        unread = unread_by(sample["backbone"])
        return {label: DEFAULT[label] if label in unread else sample[label] for label in LEGAL}

    @staticmethod
    def hyperparameters() -> dict[str, LabeledMutable]:
        """Return the hyperparameters that can be searched together with the architecture, by label."""
        return search_hyperparameters()

    @staticmethod
    def usual(sample: Sample) -> dict[str, float]:
        """Return by label the good learning rate and weight decay for the backbone, optimizer and batch size of ``sample``."""
        return usual_values(sample)

    @classmethod
    def portfolio(cls) -> list[dict[str, Any]]:
        """Return configurations that are worth a try first, in this order, each ``{"architecture": ..., "hyperparameters": ...}``."""
        return portfolio()

    kernels_note = staticmethod(kernels_note)
    speed_up = staticmethod(use_winograd)
