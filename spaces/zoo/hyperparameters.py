"""The lab's hyperparameters as NNI mutables; the labels are the argument names of the evaluator."""

from __future__ import annotations

from nni.mutable import Categorical, LabeledMutable, Numerical, Sample, SampleValidationError

from common.mutables import check_is_real
from spaces.zoo.vocabulary import RATES


class FiniteNumerical(Numerical):
    """A ``Numerical`` that takes real numbers only."""

    def check_contains(self, sample: Sample) -> SampleValidationError | None:
        error = check_is_real(self.label, sample, f"a number from {self.low} to {self.high}")
        return error if error is not None else super().check_contains(sample)


def search_hyperparameters() -> dict[str, LabeledMutable]:
    """Return the hyperparameters that a trial can vary, by label, each with the lab's default.

    The ranges hold every value that the lab's own answer tries, and its defaults. ``grad_clip`` is the largest norm of
    the gradient, and 0 switches clipping off, which is why it is uniform: a logarithmic range cannot start at 0.
    """
    mutables: list[LabeledMutable] = [
        FiniteNumerical(*RATES, log_distributed=True, default=0.1, label="initial_lr"),
        FiniteNumerical(1e-6, 1e-3, log_distributed=True, default=5e-4, label="weight_decay"),
        Categorical(["sgd", "adam", "rmsprop", "muon"], default="sgd", label="optimizer"),
        FiniteNumerical(0.8, 0.99, default=0.9, label="momentum"),
        Categorical([64, 128, 256], default=128, label="batch_size"),
        Categorical([0, 8, 16], default=0, label="cutout"),
        FiniteNumerical(0.0, 5.0, default=0.0, label="grad_clip"),
        FiniteNumerical(0.0, 0.2, default=0.0, label="label_smoothing"),
    ]
    return {mutable.label: mutable for mutable in mutables}
