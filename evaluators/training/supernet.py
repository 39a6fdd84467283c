"""The Lightning evaluator that NNI's one-shot strategies need: how a supernet's weights are trained, and on which images.

The training set is cut into two disjoint halves, one for the weights and one for the architecture parameters (Liu et al. 2019, section
3.1). NNI leaves this cut to its user: with one loader for both, the architecture would be chosen on images the weights were trained on.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from nni.nas.evaluator.pytorch import Lightning, LightningModule, Trainer
from pytorch_lightning.callbacks import Checkpoint
from pytorch_lightning.plugins.io import TorchCheckpointIO
from torch import Tensor
from torch.nn import functional
from torch.optim.lr_scheduler import LambdaLR

from common.nni_evaluators import fresh, loader_generators
from evaluators.data.images import Split
from evaluators.data.splits import Dataset
from evaluators.memory import keep_freed_memory
from evaluators.training.batches import TrainingBatches
from evaluators.training.checkpoints import broken, random_state, read_checkpoint, restore_random_state, write_checkpoint
from evaluators.training.inherited import supernet_halves
from evaluators.training.optimizers import learning_rate_factor, make_optimizer
from evaluators.training.recipes import Recipe

CHECKPOINT = "supernet.ckpt"


class BatchLoader:
    """Augmented, normalised batches of a split, shuffled anew in every epoch: ([B, 3, H, W] float32 in channels_last, [B] int64).

    Parameters
    ----------
    split
        The images; they stay on ``device``, where batches are made and used.
    data
        Says how they are normalised.
    batch_size, cutout
        As ``Recipe`` has them.
    seed
        Of order and augmentation.
    device
        Where batches are made.
    """

    def __init__(self, split: Split, data: Dataset, batch_size: int, cutout: int, seed: int, device: torch.device) -> None:
        self.generator = torch.Generator().manual_seed(seed)
        # The paper's augmentation in every epoch, whatever the recipe has for networks that are trained alone.
        plain = Recipe(batch_size=batch_size, cutout=cutout)
        self.batches = TrainingBatches(split, data, plain, 1, self.generator, device)

    def __len__(self) -> int:
        return self.batches.steps

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        return self.batches.epoch(0)


class SupernetTraining(LightningModule):
    """Cross-entropy on a batch, and the optimizer and schedule of a recipe for the supernet's weights; see the function below."""

    def __init__(self, recipe: Recipe, epochs: int, steps: int, *, uses_all: bool) -> None:
        super().__init__()
        self._recipe, self._epochs, self._steps, self._uses_all = recipe, epochs, steps, uses_all

    def forward(self, images: Tensor) -> Tensor:
        """Return the supernet's logits [B, classes]."""
        return self.model(images)

    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> dict[str, Tensor]:
        """Return ``{"loss": scalar, "accuracy": scalar in [0, 1]}`` of one batch; the loss carries the gradient."""
        images, labels = batch
        logits = self.model(images).float()
        loss = functional.cross_entropy(logits, labels, label_smoothing=self._recipe.label_smoothing)
        return {"loss": loss, "accuracy": (logits.detach().argmax(1) == labels).float().mean()}

    def validation_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:
        """Log ``val_loss`` and ``val_acc`` of a batch: for strategies of NNI's that look at them."""
        measured = self.training_step(batch, batch_idx)
        self.log("val_loss", measured["loss"])
        self.log("val_acc", measured["accuracy"])

    def configure_optimizers(self) -> dict[str, Any]:
        """Return the optimizer of the recipe, and its schedule by steps."""
        # In half precision Lightning refuses to clip the gradients of a fused optimizer, which might have scaled them.
        # One with momentum refuses weights that have had no gradient yet, as those of paths that were not sampled.
        optimizer = make_optimizer(self.model, self._recipe, fused=self._uses_all and self.trainer.precision == "32-true")
        schedule = LambdaLR(optimizer, learning_rate_factor(self._recipe, self._epochs, self._steps))
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


class EpochCheckpoint(Checkpoint):
    """Keeps the state of the search, the generators' included, in one file that is replaced after every epoch.

    A ``Checkpoint`` by type, since Lightning calls those last: what the module notes at the end of the epoch is in the file.
    """

    def __init__(self, path: Path, generators: list[torch.Generator]) -> None:
        self._path, self._generators = path, generators

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Write the checkpoint of a whole epoch."""
        if trainer.is_last_batch:  # an epoch that a time budget cut short is run again by a resumed search
            trainer.save_checkpoint(self._path, weights_only=False)  # the optimizers' state too

    def state_dict(self) -> dict[str, Any]:
        """Return the states of all generators."""
        return {"own": [generator.get_state() for generator in self._generators], **random_state()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Put the generators back."""
        for generator, state in zip(self._generators, state_dict["own"], strict=True):
            generator.set_state(state)
        restore_random_state(state_dict)


class CheckpointFiles(TorchCheckpointIO):
    """Writes a checkpoint beside the one that it replaces; Lightning's own way leads through the system's folder for temporary files."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        """Replace ``path`` by ``checkpoint``, atomically."""
        write_checkpoint(Path(path), checkpoint)


class StopAfter(pl.Callback):
    """Ends the training after so many seconds of this process (Lightning's own timer counts those of interrupted runs too)."""

    def __init__(self, seconds: float) -> None:
        self._seconds, self._end = seconds, float("inf")

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Start the clock."""
        self._end = time.monotonic() + self._seconds

    def on_train_batch_end(self, trainer: pl.Trainer, *arguments: Any, **options: Any) -> None:
        """Stop where the time is up."""
        if time.monotonic() > self._end:
            trainer.should_stop = True


def finished_epochs(checkpoints: Path) -> int:
    """Return how many epochs the search whose checkpoint lies in this folder has finished; 0 where there is none.

    Raises
    ------
    EvaluatorError
        The file is broken.
    """
    path = checkpoints / CHECKPOINT
    if not path.exists():
        return 0
    content = read_checkpoint(path)
    if "pytorch-lightning_version" not in content:
        raise broken(path)
    return int(content["epoch"]) + 1


def make_supernet_evaluator(
    *,
    data: Dataset,
    epochs: int,
    recipe: Recipe,
    seed: int,
    device: torch.device,
    precision: torch.dtype,
    checkpoints: Path,
    time_budget: float | None = None,
    uses_all: bool = True,
) -> Lightning:
    """Return NNI's Lightning evaluator for a one-shot strategy.

    Validation batches are the other half of the training set; NNI hands them to the architecture step.

    Parameters
    ----------
    data
        Its training and validation images together are cut in two halves.
    epochs, recipe, device, precision
        How long, by which hyperparameters, where and how exactly the supernet's weights are trained.
    seed
        Of the cut, of the order of the images and of their augmentation.
    checkpoints
        The folder of ``supernet.ckpt``, written after every epoch; a training whose file exists is resumed.
    time_budget
        Seconds of this process after which the training ends, in the middle of an epoch if need be; ``None``: no limit.
    uses_all
        Whether every step uses every weight of the supernet, and no sampled path alone.

    Raises
    ------
    EvaluatorError
        The checkpoint is broken.
    """
    keep_freed_memory()
    halves = supernet_halves(data, seed)
    loaders = [
        BatchLoader(half, data, recipe.batch_size, recipe.cutout, seed + offset, device)
        for offset, half in ((1, halves.train), (2, halves.validation))
    ]
    finished_epochs(checkpoints)  # a broken file is told before the training
    trainer = Trainer(
        accelerator="gpu" if device.type == "cuda" else device.type,
        devices=[device.index or 0] if device.type == "cuda" else 1,
        max_epochs=epochs,
        precision="bf16-mixed" if precision == torch.bfloat16 else "32-true",
        plugins=[CheckpointFiles()],
        logger=False,
        enable_progress_bar=False,
        enable_checkpointing=False,  # EpochCheckpoint does it
        enable_model_summary=False,
        num_sanity_val_steps=0,
        default_root_dir=checkpoints,
    )
    training = SupernetTraining(recipe, epochs, len(loaders[0]), uses_all=uses_all)
    evaluator = Lightning(training, trainer, train_dataloaders=loaders[0], val_dataloaders=loaders[1])
    return _kept(evaluator, checkpoints, [loader.generator for loader in loaders], time_budget)


def adopt_evaluator(evaluator: Lightning, *, checkpoints: Path, time_budget: float | None = None) -> Lightning:
    """Return a copy of a person's Lightning ``evaluator``, fresh, whose training can be resumed and ended; see the function above."""
    finished_epochs(checkpoints)
    adopted = fresh(evaluator)
    adopted.trainer.strategy.checkpoint_io = CheckpointFiles()
    return _kept(adopted, checkpoints, loader_generators(adopted), time_budget)


def _kept(evaluator: Lightning, checkpoints: Path, generators: list[torch.Generator], time_budget: float | None) -> Lightning:
    """Return ``evaluator``, whose training is kept in ``checkpoints``, goes on where it ended there, and ends with the budget."""
    path = checkpoints / CHECKPOINT
    evaluator.trainer.callbacks.append(EpochCheckpoint(path, generators))
    if time_budget is not None:
        evaluator.trainer.callbacks.insert(0, StopAfter(time_budget))
    if path.exists():
        evaluator.fit_kwargs = {**evaluator.fit_kwargs, "ckpt_path": str(path), "weights_only": True}
    return evaluator
