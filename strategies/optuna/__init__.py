"""Optuna's samplers and pruners behind NNI's interfaces."""
