"""What stands where NNI wants a model, and trials run a program."""

from __future__ import annotations

from nni.nas.nn.pytorch import ModelSpace


class TrialProgram(ModelSpace):
    """No network of ours, and nothing to choose in it: the parameters of the program are searched beside it."""
