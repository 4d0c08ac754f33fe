"""How large a difference between two models must be for a test set to show it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import product
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pandas as pd

from wellai_exp.errors import DataError
from wellai_exp.evaluation._simulation import TwoClassifiers
from wellai_exp.evaluation._style import CYCLE, INK, canvas, grid_along, message_figure, printable
from wellai_exp.metrics import Scorer, paired_bootstrap
from wellai_exp.seeding import derive_seed, generator

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_TITLE = "Detected differences by true difference"
_REQUIRED = ("images", "metric", "difference", "detected", "low", "high", "pairs")
# Two-sided 95 % of the standard normal.
_NORMAL = 1.959964


def simulate_power(
    classifiers: TwoClassifiers,
    *,
    factors: Sequence[int] = (1, 4),
    gaps: Sequence[float] = (0.0, 0.2, 0.4, 0.8),
    metrics: Sequence[str] = ("accuracy", "balanced_accuracy", "auc_pr_macro"),
    n_pairs: int = 100,
    n_resamples: int = 100,
    level: float = 0.95,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> pd.DataFrame:
    """Draw test sets and pairs of models of known difference, and count how often the paired bootstrap finds it.

    Parameters
    ----------
    classifiers : TwoClassifiers
        The models and the smallest test set.
    factors : sequence of int
        How many times as large the test sets are.
    gaps : sequence of float
        Differences in skill (see `TwoClassifiers`).
    metrics : sequence of str
        Scores of `wellai_exp.metrics.Scorer`.
    n_pairs : int
        Test sets for each factor and gap.
    n_resamples : int
        Of each test set.
    level : float
        Of the test: a difference is detected where p < 1 - level.
    seed : int
        Decides everything drawn.
    progress : callable, optional
        Told after each factor and gap how many pairs of how many were compared.

    Returns
    -------
    DataFrame
        One row a factor, gap and metric: ``images`` (mean rows of the test sets, rounded), ``metric``, ``difference``
        (true, B minus A), ``detected`` (share of the pairs), ``low`` and ``high`` (its 95 % interval of Wilson, Journal
        of the American Statistical Association 1927) and ``pairs``.

    Raises
    ------
    DataError
        Where a metric is not one of the scorer's.
    """
    rows = []
    settings = list(product(factors, gaps))
    for done, (factor, gap) in enumerate(settings, 1):
        pair = replace(classifiers, class_groups=tuple(factor * k for k in classifiers.class_groups), gap=gap)
        # The truth of a gap is the same for every size.
        of_a, of_b = pair.true_scores(generator(seed, "power", "truth", gap))
        unknown = [name for name in metrics if name not in of_a]
        if unknown:
            raise DataError(f"There is no score {unknown[0]!r}; choose among {', '.join(of_a)}.")
        found = _detections(pair, metrics, n_pairs, n_resamples, level, derive_seed(seed, factor, gap))
        for name, count in zip(metrics, found, strict=True):
            low, high = _wilson(int(count), n_pairs)
            rows.append((pair.images, name, of_b[name] - of_a[name], count / n_pairs, low, high, n_pairs))
        if progress is not None:
            progress(n_pairs * done, n_pairs * len(settings))
    return pd.DataFrame(rows, columns=list(_REQUIRED))


def power_figure(table: pd.DataFrame, *, level: float = 0.95) -> Figure:
    """Draw the share of detected differences against the true difference, a panel a metric and a line a test-set size.

    Parameters
    ----------
    table : DataFrame
        As `simulate_power` gives it.
    level : float
        Of the test; the share of false alarms it promises, 1 - level, is drawn as a line.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    DataError
        Where a column is missing.
    """
    missing = [name for name in _REQUIRED if name not in table.columns]
    if missing:
        raise DataError(f"A power figure needs the columns {', '.join(_REQUIRED)}, but lacks {', '.join(missing)}.")
    if table.empty:
        return message_figure(_TITLE, "No pair of models was compared.")
    names = list(dict.fromkeys(table["metric"]))
    width = max(5.0, 3.2 * len(names) + 0.8)
    with canvas(width, 3.9, columns=len(names), squeeze=False, sharey=True) as (figure, axes):
        for panel, name in zip(axes[0], names, strict=True):
            _draw(panel, table[table["metric"] == name], 1 - level)
            panel.set_title(printable(name, 30), fontsize=9)
            panel.set_xlabel("true difference (points)")
        axes[0, 0].set_ylabel("detected (% of the pairs)")
        handles, labels = axes[0, 0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=4 if len(names) > 1 else 2)
        figure.suptitle(_TITLE, x=0.01, ha="left", fontweight="bold", fontsize=11)
    return figure


def _draw(axes: Axes, table: pd.DataFrame, false_alarms: float) -> None:
    for place, (images, of_size) in enumerate(table.groupby("images", sort=True)):
        drawn = of_size.sort_values("difference")
        difference, detected, low, high = 100 * drawn[["difference", "detected", "low", "high"]].to_numpy(float).T
        colour = CYCLE[place % len(CYCLE)]
        axes.fill_between(difference, low, high, color=colour, alpha=0.15, linewidth=0)
        axes.plot(difference, detected, "o-", color=colour, ms=4, label=f"{images:,} images")
    axes.axhline(
        100 * false_alarms, color=INK, linewidth=1, linestyle="--", label=f"{100 * false_alarms:.3g} % false alarms"
    )
    axes.set_ylim(-3, 103)
    grid_along(axes, "y")


def _detections(
    pair: TwoClassifiers, metrics: Sequence[str], n_pairs: int, n_resamples: int, level: float, seed: int
) -> npt.NDArray[np.int64]:
    """Give in how many of the test sets each metric's difference is found [M]."""
    rng = generator(seed, "power", "pairs")
    found = np.zeros(len(metrics), np.int64)
    for _ in range(n_pairs):
        drawn = pair.draw(rng)
        compared = paired_bootstrap(
            Scorer(drawn.labels, drawn.a).weighted_scores,
            Scorer(drawn.labels, drawn.b).weighted_scores,
            drawn.labels,
            drawn.groups,
            n_resamples=n_resamples,
            seed=seed,
            level=level,
        )
        found += np.array([compared[name].p_value < 1 - level for name in metrics])
    return found


def _wilson(count: int, trials: int) -> tuple[float, float]:
    """Give the 95 % interval of a share."""
    share, square = count / trials, _NORMAL**2 / trials
    middle = (share + square / 2) / (1 + square)
    reach = np.sqrt(square * (share * (1 - share) + square / 4)) / (1 + square)
    # Rounding must not part none or all from their end.
    return float(min(share, max(0.0, middle - reach))), float(max(share, min(1.0, middle + reach)))
