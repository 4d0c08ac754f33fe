"""Fit one trial: features, folds, heads."""

from wellai_exp.training._probe import Choices, CrossValidation, Fitted, Probe, ProbeTask
from wellai_exp.training._representation import Representation, TrainedBackbone

__all__ = [
    "Choices",
    "CrossValidation",
    "Fitted",
    "Probe",
    "ProbeTask",
    "Representation",
    "TrainedBackbone",
]
