"""Fit one trial: features, folds, heads; or backbone and head together."""

from wellai_exp.training._checkpoint import EpochRecord
from wellai_exp.training._contrastive import ContrastiveWarmUp
from wellai_exp.training._features import picture_features, traced
from wellai_exp.training._finetune import Decoupled, FineTune, FineTuneTask, member_seed
from wellai_exp.training._machine_rate import MachineRates, MachineSetting, measure_machine, settings_around
from wellai_exp.training._network import Teacher
from wellai_exp.training._optimizers import SGD, AdamW, Lion, Optimizer
from wellai_exp.training._out_of_fold import out_of_fold
from wellai_exp.training._pipeline_rate import PipelineRates, measure_input_pipeline
from wellai_exp.training._probe import DecoupledTask, Probe, ProbeTask, Representation
from wellai_exp.training._probe_rate import ExtractionRates, SolverRate, measure_extraction, measure_solver
from wellai_exp.training._ranking import LinearProbe, LogME, NoRanking, Ranking
from wellai_exp.training._results import Choices, CrossValidation, Fitted, Nobody, Task, Watcher
from wellai_exp.training._shared import Shared
from wellai_exp.training._trained import TrainedBackbone

__all__ = [
    "SGD",
    "AdamW",
    "Choices",
    "ContrastiveWarmUp",
    "CrossValidation",
    "Decoupled",
    "DecoupledTask",
    "EpochRecord",
    "ExtractionRates",
    "FineTune",
    "FineTuneTask",
    "Fitted",
    "LinearProbe",
    "Lion",
    "LogME",
    "MachineRates",
    "MachineSetting",
    "NoRanking",
    "Nobody",
    "Optimizer",
    "PipelineRates",
    "Probe",
    "ProbeTask",
    "Ranking",
    "Representation",
    "Shared",
    "SolverRate",
    "Task",
    "Teacher",
    "TrainedBackbone",
    "Watcher",
    "measure_extraction",
    "measure_input_pipeline",
    "measure_machine",
    "measure_solver",
    "member_seed",
    "out_of_fold",
    "picture_features",
    "settings_around",
    "traced",
]
