"""What a sweep found: its best trials, what each option was worth, and how sure that is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pandas as pd

from wellai_exp.errors import DataError
from wellai_exp.evaluation import history_figure, importance_figure, leaderboard
from wellai_exp.report._blocks import Block, Highlight, Highlights, Picture, Section, Table
from wellai_exp.report._values import Term, Whisker, number

if TYPE_CHECKING:
    from wellai_exp.report._pictures import Image

_WORTH = ("option", "trials", "best", "median", "adjusted_gain", "adjusted_gain_low", "adjusted_gain_high", "failed")


@dataclass(frozen=True, eq=False)
class SweepFacts:
    """What a sweep left behind.

    Parameters
    ----------
    trials : DataFrame
        As for `wellai_exp.evaluation.leaderboard`.
    objective : str
        What was maximised, in words.
    worth : mapping of str to DataFrame
        Group -> its table from `wellai_exp.evaluation.worth_table`.
    worth_figures : mapping of str to Figure or bytes
        Group -> the picture of that table.
    importances : mapping of str to float
        Parameter -> its share of the objective's variation.
    trade_offs : mapping of str to Figure or bytes
        Caption -> picture of a trade-off.
    """

    trials: pd.DataFrame
    objective: str = "objective"
    worth: Mapping[str, pd.DataFrame] = field(default_factory=dict)
    worth_figures: Mapping[str, Image] = field(default_factory=dict)
    importances: Mapping[str, float] = field(default_factory=dict)
    trade_offs: Mapping[str, Image] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for group, table in self.worth.items():
            if lacking := [name for name in _WORTH if name not in table.columns]:
                raise DataError(f"The table of what {group} was worth lacks the column {lacking[0]!r}.")


def sweep_sections(facts: SweepFacts, top: int = 20) -> list[Section]:
    """Assemble what a sweep found.

    Parameters
    ----------
    facts : SweepFacts
        Its trials, tables and pictures.
    top : int
        Rows of the leaderboard.

    Returns
    -------
    list of Section
        Search and leaderboard; then, where they are known, what each option was worth, importances and trade-offs.

    Raises
    ------
    DataError
        Where the table of trials is unsound.
    """
    sections = [_search(facts), _leaderboard(facts, top)]
    if facts.worth:
        sections.append(_worth(facts))
    if facts.importances:
        picture = Picture(importance_figure(facts.importances), "Importance of each parameter as a bar")
        lead = "How much of the objective's variation among the trials each parameter explains."
        sections.append(Section("What mattered", [picture], lead))
    if facts.trade_offs:
        pictures = [Picture(image, caption, caption) for caption, image in facts.trade_offs.items()]
        sections.append(Section("Trade-offs", pictures, "What a better score costs."))
    return sections


def _search(facts: SweepFacts) -> Section:
    states = facts.trials["state"].value_counts()
    best = leaderboard(facts.trials, 1)
    items = [Highlight("Trials", f"{len(facts.trials):,}", _states(states))]
    if not best.empty:
        row = best.iloc[0]
        items.append(Highlight(f"Best {facts.objective}", number(row["value"], 4), f"trial {row['number']}"))
    hours = facts.trials["seconds"].sum() / 3600
    items.append(
        Highlight("Time of all trials", f"{number(hours, 1)} h" if hours >= 1 else f"{number(60 * hours, 1)} min")
    )
    history = history_figure(facts.trials, objective=facts.objective)
    blocks: list[Block] = [
        Highlights(items),
        Picture(history, f"{facts.objective} of each trial, with the best so far"),
    ]
    return Section("Search", blocks)


def _states(states: pd.Series[int]) -> str:
    words = {"COMPLETE": "finished", "PRUNED": "pruned", "FAIL": "failed"}
    return ", ".join(f"{states[state]:,} {word}" for state, word in words.items() if state in states)


def _leaderboard(facts: SweepFacts, top: int) -> Section:
    board = leaderboard(facts.trials, top)
    headings = {"rank": "Rank", "number": "Trial", "value": facts.objective, "seconds": "Seconds"}
    table = Table(board, "The best finished trials.", headings=headings, digits={"value": 4, "seconds": 1})
    lead = "The best of many trials is the luckiest of them too: its value here is better than it will do again."
    return Section("Leaderboard", [table], lead)


def _worth(facts: SweepFacts) -> Section:
    blocks: list[Block] = []
    for group, table in facts.worth.items():
        blocks.append(_worth_table(group, table))
        if group in facts.worth_figures:
            blocks.append(Picture(facts.worth_figures[group], f"What each option of {group} was worth"))
    lead = (
        f"Gain: what an option adds to {facts.objective} with the other choices held equal (least squares over the "
        "finished trials), with the 95 % interval over other trials of this search. Where it crosses the dashed zero, "
        "chance alone may explain it."
    )
    return Section("What each option was worth", blocks, lead)


def _worth_table(group: str, table: pd.DataFrame) -> Table:
    gains = zip(table["adjusted_gain"], table["adjusted_gain_low"], table["adjusted_gain_high"], strict=True)
    frame = pd.DataFrame(
        {
            group: [
                Term(str(option), _failures(failed))
                for option, failed in zip(table["option"], table["failed"], strict=True)
            ],
            "Trials": table["trials"].to_numpy(),
            "Best": table["best"].to_numpy(),
            "Median": table["median"].to_numpy(),
            "Gain": table["adjusted_gain"].to_numpy(),
            "Gain and interval": [Whisker(*gain) for gain in gains],
        }
    )
    return Table(frame, f"Options of {group}, the best first.", digits={"Best": 4, "Median": 4, "Gain": 4})


def _failures(failed: int) -> str:
    return f"{failed} failed" if failed else ""


def seeds_section(table: pd.DataFrame, figure: Image) -> Section:
    """Show what the same configuration gave with several seeds.

    Parameters
    ----------
    table : DataFrame
        From `wellai_exp.evaluation.seeds_table`.
    figure : Figure or bytes
        Its picture.
    """
    headings = {
        "candidate": "Candidate",
        "metric": "Metric",
        "mean": "Mean",
        "std": "Standard deviation",
        "min": "Least",
        "max": "Greatest",
        "n": "Seeds",
    }
    blocks: list[Block] = [
        Picture(figure, "Every seed of every candidate, with means and spread"),
        Table(table, "Each metric over the seeds.", headings=headings, digits={"std": 4}),
    ]
    return Section("Spread over seeds", blocks, "A difference smaller than the seeds' own spread is not a difference.")
