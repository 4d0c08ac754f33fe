"""One HTML file worth sending: sections of text, tables, pictures and plots, rendered without a network.

`model_card`, `evaluation_sections` and `sweep_sections` assemble what is known; `render` makes a `Report` of any
sections into a file that opens, prints and reads anywhere.
"""

from wellai_exp.report._blocks import (
    Block,
    Facts,
    Highlight,
    Highlights,
    Picture,
    Plot,
    Points,
    Report,
    Section,
    Table,
    Text,
)
from wellai_exp.report._card import CardFacts, model_card
from wellai_exp.report._cleaning_sections import CleaningFacts, cleaning_sections
from wellai_exp.report._data_sections import DataFacts, data_sections
from wellai_exp.report._evaluation_sections import Extras, evaluation_sections
from wellai_exp.report._export_section import export_section, licences_section
from wellai_exp.report._leaks import leaks_sentence
from wellai_exp.report._measures import metrics_table
from wellai_exp.report._render import render
from wellai_exp.report._sweep_sections import SweepFacts, seeds_section, sweep_sections
from wellai_exp.report._values import Code, Term, Whisker

__all__ = [
    "Block",
    "CardFacts",
    "CleaningFacts",
    "Code",
    "DataFacts",
    "Extras",
    "Facts",
    "Highlight",
    "Highlights",
    "Picture",
    "Plot",
    "Points",
    "Report",
    "Section",
    "SweepFacts",
    "Table",
    "Term",
    "Text",
    "Whisker",
    "cleaning_sections",
    "data_sections",
    "evaluation_sections",
    "export_section",
    "leaks_sentence",
    "licences_section",
    "metrics_table",
    "model_card",
    "render",
    "seeds_section",
    "sweep_sections",
]
