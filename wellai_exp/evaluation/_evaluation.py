"""One set of predictions, checked, with its tables."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from wellai_exp import metrics
from wellai_exp.metrics import ArrayError


# Generated equality would compare arrays with ==, which has no single truth value.
@dataclass(frozen=True, eq=False)
class Evaluation:
    """Labels and predicted probabilities of one set of images, checked when made and read-only afterwards.

    Parameters
    ----------
    labels : array_like of int, shape [N]
        True class indices.
    probabilities : array_like of float, shape [N, C]
        Predicted probabilities; rows sum to 1 within 1e-3.
    class_names : sequence of str, length C
        Names in index order; they must differ.

    Raises
    ------
    ArrayError
        Where the arrays are unsound (see `wellai_exp.metrics.check_probabilities`) or the names do not fit them.
    """

    labels: npt.NDArray[np.int64]
    probabilities: npt.NDArray[Any]
    class_names: tuple[str, ...]

    def __post_init__(self) -> None:
        labels, probabilities = metrics.check_probabilities(self.labels, self.probabilities)
        given: object = self.class_names
        if isinstance(given, str):
            raise ArrayError(f"class_names must be a sequence of names, but it is the text {given!r}.")
        names = tuple(str(name) for name in self.class_names)
        if len(names) != probabilities.shape[1]:
            raise ArrayError(
                f"There are {len(names)} class names but {probabilities.shape[1]} columns of probabilities; "
                "they must be as many."
            )
        name, times = Counter(names).most_common(1)[0]
        if times > 1:
            raise ArrayError(f"Class names must differ, but {name!r} occurs {times} times.")
        for name in names:
            if name != name.encode("utf-8", "replace").decode("utf-8"):
                # Folder names that are not UTF-8 reach Python as lone surrogates, which no table or file can hold.
                raise ArrayError(f"Class name {name!r} is not valid text; rename its folder.")
        object.__setattr__(self, "labels", _frozen(labels))
        object.__setattr__(self, "probabilities", _frozen(probabilities))
        object.__setattr__(self, "class_names", names)

    @property
    def n_classes(self) -> int:
        """C, the number of classes."""
        return len(self.class_names)

    @cached_property
    def predictions(self) -> npt.NDArray[np.int64]:
        """Predicted class indices [N]: the first of the most probable."""
        return _frozen(self.probabilities.argmax(axis=1))

    @cached_property
    def support(self) -> npt.NDArray[np.int64]:
        """Rows of each class [C]."""
        return _frozen(np.bincount(self.labels, minlength=self.n_classes))

    @cached_property
    def confusion(self) -> npt.NDArray[np.int64]:
        """Rows counted by (true class, predicted class), int64 [C, C]."""
        return _frozen(metrics.confusion_matrix(self.labels, self.predictions, self.n_classes))

    @cached_property
    def auc_pr(self) -> npt.NDArray[np.float64]:
        """AUC-PR of each class against the rest [C]; NaN for a class without a row."""
        targets = self.labels[:, None] == np.arange(self.n_classes)
        return _frozen(metrics.average_precision(targets, self.probabilities))

    @cached_property
    def _aggregates(self) -> dict[str, float]:
        return metrics.aggregates(self.labels, self.probabilities)

    @property
    def aggregates(self) -> dict[str, float]:
        """The scores of `wellai_exp.metrics.aggregates`, by name."""
        return dict(self._aggregates)

    @property
    def per_class(self) -> pd.DataFrame:
        """One row a class, in index order.

        Columns: ``class``, ``support`` (rows), ``precision``, ``recall``, ``f1``, ``auc_pr`` and
        ``most_confused_with``, the class that most of its mistaken rows were given to ("" where none was mistaken).
        Recall, F1 and AUC-PR of a class without a row are NaN.
        """
        precision, recall, f1 = metrics.precision_recall_f1_per_class(self.labels, self.predictions, self.n_classes)
        absent = self.support == 0
        recall[absent] = np.nan
        f1[absent] = np.nan
        mistakes = self.confusion.copy()
        np.fill_diagonal(mistakes, 0)
        rival = [self.class_names[row.argmax()] if row.any() else "" for row in mistakes]
        return pd.DataFrame(
            {
                "class": self.class_names,
                "support": self.support,
                "precision": precision,
                "recall": recall,
                "f1": f1,
                "auc_pr": self.auc_pr,
                "most_confused_with": rival,
            }
        )

    @cached_property
    def report(self) -> str:
        """scikit-learn's ``classification_report``; its macro average counts a class without a row as 0."""
        from sklearn.metrics import classification_report

        return str(
            classification_report(
                self.labels,
                self.predictions,
                labels=np.arange(self.n_classes),
                target_names=list(self.class_names),
                digits=3,
                zero_division=0,
            )
        )


def _frozen(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    copy = array.copy()
    copy.setflags(write=False)
    return copy
