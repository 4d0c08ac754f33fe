"""From arrays to tables, figures and reports: the same for a Keras model, an exported bundle and the browser.

Figures are ``matplotlib.figure.Figure`` objects on an Agg canvas of their own: nothing is drawn on a screen, nothing is
kept in pyplot's global state, and the caller saves them (``figure.savefig(path)``).
"""

from wellai_exp.evaluation._cleaning_figures import (
    class_counts_figure,
    embedding_figure,
    embedding_map,
    threshold_figure,
)
from wellai_exp.evaluation._compare import FALLING, Comparison, compare, pair_evaluations, same_images
from wellai_exp.evaluation._compare_figures import (
    class_deltas_figure,
    confusion_difference_figure,
    metric_deltas_figure,
)
from wellai_exp.evaluation._confusion import confusion_figure
from wellai_exp.evaluation._contact_sheet import contact_sheet, thumbnails
from wellai_exp.evaluation._curves import pr_curves_figure
from wellai_exp.evaluation._evaluation import Evaluation
from wellai_exp.evaluation._explanations import explained_rows, explanations_figure
from wellai_exp.evaluation._learning_curves import learning_curves_figure
from wellai_exp.evaluation._manifest_figures import class_balance_figure, samples_sheet, sizes_figure, twins_sheet
from wellai_exp.evaluation._mistake_sheets import confused_pairs_sheet, likely_mislabelled_sheet, worst_mistakes_sheet
from wellai_exp.evaluation._mistakes import confused_pairs, likely_mislabelled, worst_mistakes
from wellai_exp.evaluation._pareto import pareto_figure
from wellai_exp.evaluation._per_class import per_class_figure
from wellai_exp.evaluation._perturbations import PERTURBATIONS, Perturbation
from wellai_exp.evaluation._power import power_figure, simulate_power
from wellai_exp.evaluation._pr_table import pr_table
from wellai_exp.evaluation._ranking_figure import ranking_figure
from wellai_exp.evaluation._reliability_figure import reliability_figure
from wellai_exp.evaluation._robustness import robustness
from wellai_exp.evaluation._robustness_figures import perturbations_sheet, robustness_figure
from wellai_exp.evaluation._seeds import seeds_figure, seeds_table
from wellai_exp.evaluation._simulation import PairedPredictions, TwoClassifiers
from wellai_exp.evaluation._slimming_figure import slimming_figure
from wellai_exp.evaluation._stored import PREDICTIONS, load_evaluation, save_evaluation
from wellai_exp.evaluation._stream_figure import stream_figure
from wellai_exp.evaluation._sweep_figures import history_figure, importance_figure, leaderboard_figure
from wellai_exp.evaluation._thresholds import thresholds_table
from wellai_exp.evaluation._trials import leaderboard
from wellai_exp.evaluation._worth import worth_by_metric, worth_table
from wellai_exp.evaluation._worth_figure import worth_figure
from wellai_exp.evaluation._worth_panels import worth_by_metric_figure
from wellai_exp.evaluation.interactive import (
    confusion_explorer,
    per_class_plot,
    pr_explorer,
    reliability_plot,
    write_interactive,
)

__all__ = [
    "FALLING",
    "PERTURBATIONS",
    "PREDICTIONS",
    "Comparison",
    "Evaluation",
    "PairedPredictions",
    "Perturbation",
    "TwoClassifiers",
    "class_balance_figure",
    "class_counts_figure",
    "class_deltas_figure",
    "compare",
    "confused_pairs",
    "confused_pairs_sheet",
    "confusion_difference_figure",
    "confusion_explorer",
    "confusion_figure",
    "contact_sheet",
    "embedding_figure",
    "embedding_map",
    "explained_rows",
    "explanations_figure",
    "history_figure",
    "importance_figure",
    "leaderboard",
    "leaderboard_figure",
    "learning_curves_figure",
    "likely_mislabelled",
    "likely_mislabelled_sheet",
    "load_evaluation",
    "metric_deltas_figure",
    "pair_evaluations",
    "pareto_figure",
    "per_class_figure",
    "per_class_plot",
    "perturbations_sheet",
    "power_figure",
    "pr_curves_figure",
    "pr_explorer",
    "pr_table",
    "ranking_figure",
    "reliability_figure",
    "reliability_plot",
    "robustness",
    "robustness_figure",
    "same_images",
    "samples_sheet",
    "save_evaluation",
    "seeds_figure",
    "seeds_table",
    "simulate_power",
    "sizes_figure",
    "slimming_figure",
    "stream_figure",
    "threshold_figure",
    "thresholds_table",
    "thumbnails",
    "twins_sheet",
    "worst_mistakes",
    "worst_mistakes_sheet",
    "worth_by_metric",
    "worth_by_metric_figure",
    "worth_figure",
    "worth_table",
    "write_interactive",
]
