"""Scores of a classifier from arrays, in NumPy alone, equal to scikit-learn's and fast enough for every trial.

Names follow the field: a score rises as the classifier improves; ``log_loss``, ``expected_calibration_error``,
``hierarchical_distance`` and ``mistake_severity`` fall. Every macro mean leaves out the classes that have no row among
the labels, because nothing was measured for them.
"""

from wellai_exp.metrics._average_precision import average_precision
from wellai_exp.metrics._bootstrap import (
    Interval,
    Resamples,
    Score,
    bootstrap,
    bootstrap_per_class,
    resample,
    resample_per_class,
)
from wellai_exp.metrics._calibration import Reliability, fit_temperature, reliability, scale_temperature
from wellai_exp.metrics._checks import ArrayError, check_labels, check_probabilities
from wellai_exp.metrics._classes import PARTS, parts_of
from wellai_exp.metrics._decisions import confusion_matrix, precision_recall_f1_per_class
from wellai_exp.metrics._folds import fold_summary
from wellai_exp.metrics._label_quality import LabelQuality, label_quality
from wellai_exp.metrics._log_me import log_me
from wellai_exp.metrics._mcnemar import McNemar, mcnemar
from wellai_exp.metrics._paired import (
    ClassDifferences,
    Difference,
    differences,
    holm,
    paired_bootstrap,
    paired_per_class,
)
from wellai_exp.metrics._scorer import Scorer
from wellai_exp.metrics._swaps import swap_test, swaps_enough

__all__ = [
    "PARTS",
    "ArrayError",
    "ClassDifferences",
    "Difference",
    "Interval",
    "LabelQuality",
    "McNemar",
    "Reliability",
    "Resamples",
    "Score",
    "Scorer",
    "average_precision",
    "bootstrap",
    "bootstrap_per_class",
    "check_labels",
    "check_probabilities",
    "confusion_matrix",
    "differences",
    "fit_temperature",
    "fold_summary",
    "holm",
    "label_quality",
    "log_me",
    "mcnemar",
    "paired_bootstrap",
    "paired_per_class",
    "parts_of",
    "precision_recall_f1_per_class",
    "reliability",
    "resample",
    "resample_per_class",
    "scale_temperature",
    "swap_test",
    "swaps_enough",
]
