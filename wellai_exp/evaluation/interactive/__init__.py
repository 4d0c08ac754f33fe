"""Figures to explore in a browser: plotly figures, and one page that holds several and opens without a network."""

from wellai_exp.evaluation.interactive._confusion_explorer import confusion_explorer
from wellai_exp.evaluation.interactive._page import write_interactive
from wellai_exp.evaluation.interactive._per_class_plot import per_class_plot
from wellai_exp.evaluation.interactive._pr_explorer import pr_explorer
from wellai_exp.evaluation.interactive._reliability_plot import reliability_plot

__all__ = ["confusion_explorer", "per_class_plot", "pr_explorer", "reliability_plot", "write_interactive"]
