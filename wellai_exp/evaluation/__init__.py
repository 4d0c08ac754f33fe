"""From arrays to tables, figures and reports: the same for a Keras model, an exported bundle and the browser.

Figures are ``matplotlib.figure.Figure`` objects on an Agg canvas of their own: nothing is drawn on a screen, nothing is
kept in pyplot's global state, and the caller saves them (``figure.savefig(path)``).
"""

from wellai_exp.evaluation._confusion import confusion_figure
from wellai_exp.evaluation._curves import pr_curves_figure
from wellai_exp.evaluation._evaluation import Evaluation
from wellai_exp.evaluation._learning_curves import learning_curves_figure
from wellai_exp.evaluation._pareto import pareto_figure
from wellai_exp.evaluation._per_class import per_class_figure
from wellai_exp.evaluation._ranking_figure import ranking_figure
from wellai_exp.evaluation._seeds import seeds_figure, seeds_table
from wellai_exp.evaluation._sweep_figures import history_figure, importance_figure, leaderboard_figure
from wellai_exp.evaluation._trials import leaderboard
from wellai_exp.evaluation._worth import worth_table
from wellai_exp.evaluation._worth_figure import worth_figure

__all__ = [
    "Evaluation",
    "confusion_figure",
    "history_figure",
    "importance_figure",
    "leaderboard",
    "leaderboard_figure",
    "learning_curves_figure",
    "pareto_figure",
    "per_class_figure",
    "pr_curves_figure",
    "ranking_figure",
    "seeds_figure",
    "seeds_table",
    "worth_figure",
    "worth_table",
]
