"""Scores of a classifier from arrays, in NumPy alone, equal to scikit-learn's and fast enough for every trial.

Names follow the field: a score rises as the classifier improves, ``log_loss`` falls. Every macro mean leaves out the
classes that have no row among the labels, because nothing was measured for them.
"""

from wellai_exp.metrics._aggregates import aggregates, fold_summary
from wellai_exp.metrics._average_precision import auc_pr_macro, auc_pr_micro, auc_pr_weighted, average_precision
from wellai_exp.metrics._checks import ArrayError, check_labels, check_probabilities
from wellai_exp.metrics._decisions import (
    accuracy,
    balanced_accuracy,
    confusion_matrix,
    f1_macro,
    precision_recall_f1_per_class,
)
from wellai_exp.metrics._log_me import log_me
from wellai_exp.metrics._probabilities import log_loss, top_k_accuracy

__all__ = [
    "ArrayError",
    "accuracy",
    "aggregates",
    "auc_pr_macro",
    "auc_pr_micro",
    "auc_pr_weighted",
    "average_precision",
    "balanced_accuracy",
    "check_labels",
    "check_probabilities",
    "confusion_matrix",
    "f1_macro",
    "fold_summary",
    "log_loss",
    "log_me",
    "precision_recall_f1_per_class",
    "top_k_accuracy",
]
