"""NNI's own evaluators: which is which, and one made again for each network. NNI is not imported: who has one has imported it."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

SHARED = ("train_dataloaders", "val_dataloaders", "train_dataloader", "datamodule")  # large, and not changed by a training
# What Lightning prints and writes beside a training unless its person says so: the run has a screen and a record of its own.
QUIET = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False, "enable_model_summary": False}


def is_nni_evaluator(what: Any) -> bool:
    """Return whether ``what`` is an evaluator of NNI's."""
    return _is_a(what, "nni.nas.evaluator.evaluator:Evaluator")


def is_lightning(what: Any) -> bool:
    """Return whether ``what`` is one that trains by Lightning, which alone can train a supernet."""
    return _is_a(what, "nni.nas.evaluator.pytorch.lightning:Lightning")


def reports_errors(what: Any) -> bool:
    """Return whether ``what`` is NNI's regression, whose score is to be small."""
    return _is_a(what, "nni.nas.evaluator.pytorch.lightning:Regression")


def _is_a(what: Any, name: str) -> bool:
    # By name: in another process NNI makes the classes that it traces anew, and they are no subclasses of those in their modules.
    return any(f"{kind.__module__}:{kind.__qualname__}" == name for kind in type(what).__mro__)


def evaluate_by_nni(evaluator: Any, network: Any) -> Any:
    """Return what ``evaluator``, made again, returns of ``network``; generators of its loaders are put back, so that trials are alike."""
    generators = loader_generators(evaluator)
    before = [generator.get_state() for generator in generators]
    try:
        return fresh(evaluator).evaluate(network)
    except SystemExit as error:
        if is_lightning(evaluator):  # what Lightning makes of Ctrl-C
            raise KeyboardInterrupt from error
        raise
    finally:
        for generator, state in zip(generators, before, strict=True):
            generator.set_state(state)


def loader_generators(evaluator: Any) -> list[Any]:
    """Return the generators from which the loaders of ``evaluator`` draw the order of their data, each once."""
    found: dict[int, Any] = {}
    loaders = [getattr(evaluator, name, None) for name in ("train_dataloaders", "val_dataloaders")]
    while loaders:
        loader = loaders.pop()
        if isinstance(loader, list | tuple):
            loaders.extend(loader)
        elif isinstance(loader, Mapping):
            loaders.extend(loader.values())
        else:
            batches = getattr(loader, "batch_sampler", None)
            parts = (loader, getattr(loader, "sampler", None), batches, getattr(batches, "sampler", None))
            drawn_from = [getattr(part, "generator", None) for part in parts]
            found |= {id(generator): generator for generator in drawn_from if generator is not None}
    return list(found.values())


def told_arguments(made: Any) -> dict[str, Any]:
    """Return those arguments of an object that NNI traced which a file can hold, those of its traced parts among them."""
    told: dict[str, Any] = {}
    for name, value in getattr(made, "trace_kwargs", {}).items():
        if hasattr(value, "trace_kwargs") and not isinstance(value, type):
            told[name] = told_arguments(value)
        elif value is None or isinstance(value, str | bool | int | float):
            told[name] = value
    return told


def fresh(evaluator: Any) -> Any:
    """Return ``evaluator`` as it was made: a trainer that has trained once trains no second time."""
    evaluator = evaluator.get() if hasattr(evaluator, "frozen_obj") else evaluator  # NNI keeps one of chosen values as a recipe
    return _made_again(evaluator) if is_lightning(evaluator) else evaluator


def _made_again(made: Any) -> Any:
    """Return an object that NNI traced, made again of the same arguments."""
    again = made.trace_copy()
    said = again.trace_kwargs
    if _is_a(made, "pytorch_lightning.trainer.trainer:Trainer") or (is_lightning(made) and "trainer" not in said):
        said.update({name: value for name, value in QUIET.items() if name not in said})
    said.update({name: value if name in SHARED else _copied(value) for name, value in said.items()})
    return again.get()


def _copied(value: Any) -> Any:
    return _made_again(value) if hasattr(value, "trace_copy") and not isinstance(value, type) else copy.deepcopy(value)
