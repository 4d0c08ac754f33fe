"""One set of predictions, checked, with its tables."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field, replace
from functools import cached_property
from types import MappingProxyType
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
    groups : array_like of int, shape [N] or empty
        The near-duplicate group of each row; empty where each row is one of its own, and then filled in.
    paths, sha256 : sequence of str, length N or 0
        The image of each row, relative to `root`, and the hash of its content, by which the rows of two evaluations
        are paired; empty where they are not known.
    root : str
        The folder that `paths` start from.
    train_support : array_like of int, shape [C], optional
        Images of each class that the model was trained on.
    levels : mapping of str to sequence of str, length C
        For each level of a hierarchy, coarse first, the parent of each class.
    leaked : array_like of bool, shape [N], optional
        Whether the model was trained on a near-duplicate of the row; None where that is not known.

    Raises
    ------
    ArrayError
        Where the arrays are unsound (see `wellai_exp.metrics.check_probabilities`) or what describes rows and classes
        does not fit them.
    """

    labels: npt.NDArray[np.int64]
    probabilities: npt.NDArray[Any]
    class_names: tuple[str, ...]
    _: KW_ONLY
    groups: npt.NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))
    paths: tuple[str, ...] = ()
    sha256: tuple[str, ...] = ()
    root: str = ""
    train_support: npt.NDArray[np.int64] | None = None
    levels: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    leaked: npt.NDArray[np.bool_] | None = None

    def __post_init__(self) -> None:
        labels, probabilities = metrics.check_probabilities(self.labels, self.probabilities)
        object.__setattr__(self, "labels", _frozen(labels))
        object.__setattr__(self, "probabilities", _frozen(probabilities))
        object.__setattr__(self, "class_names", _names(self.class_names, probabilities.shape[1]))
        self._describe_rows()
        self._describe_classes()

    def _describe_rows(self) -> None:
        rows = len(self.labels)
        groups = metrics.check_labels(self.groups, name="groups") if len(self.groups) else np.arange(rows)
        object.__setattr__(self, "groups", _frozen(groups.astype(np.int64)))
        for name in ("paths", "sha256"):
            object.__setattr__(self, name, tuple(str(value) for value in getattr(self, name)))
        leaked = () if self.leaked is None else np.asarray(self.leaked, bool)
        if self.leaked is not None:
            object.__setattr__(self, "leaked", _frozen(np.asarray(leaked)))
        known = (("groups", self.groups), ("paths", self.paths), ("sha256", self.sha256), ("leaked", leaked))
        for name, values in known:
            if len(values) not in {0, rows}:
                raise ArrayError(f"There are {rows} rows but {len(values)} {name}; they must be as many.")

    def _describe_classes(self) -> None:
        if self.train_support is not None:
            support = metrics.check_labels(self.train_support, name="train_support")
            object.__setattr__(self, "train_support", _frozen(support))
        levels = {str(level): tuple(str(parent) for parent in parents) for level, parents in self.levels.items()}
        object.__setattr__(self, "levels", MappingProxyType(levels))
        for name, values in {"train_support": self.train_support, **levels}.items():
            if values is not None and len(values) != self.n_classes:
                raise ArrayError(
                    f"There are {self.n_classes} classes but {name} has {len(values)}; they must be as many."
                )

    def take(self, rows: npt.ArrayLike) -> Evaluation:
        """Give some of the rows, in this order."""
        chosen = np.asarray(rows, np.int64)
        return replace(
            self,
            labels=self.labels[chosen],
            probabilities=self.probabilities[chosen],
            groups=self.groups[chosen],
            paths=tuple(self.paths[row] for row in chosen) if self.paths else (),
            sha256=tuple(self.sha256[row] for row in chosen) if self.sha256 else (),
            leaked=None if self.leaked is None else self.leaked[chosen],
        )

    @cached_property
    def without_leaked(self) -> Evaluation | None:
        """The rows that are not leaked; None where none is, where it is not known, or where all are."""
        if self.leaked is None or not self.leaked.any() or self.leaked.all():
            return None
        return self.take(np.flatnonzero(~self.leaked))

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
    def parents(self) -> dict[str, npt.NDArray[np.int64]]:
        """For each level the index of each class's parent [C], parents in alphabetical order."""
        return {
            level: np.unique(names, return_inverse=True)[1].astype(np.int64) for level, names in self.levels.items()
        }

    @cached_property
    def scorer(self) -> metrics.Scorer:
        """What scores these rows, each as often as it is told."""
        return metrics.Scorer(
            self.labels, self.probabilities, train_support=self.train_support, parents=self.parents or None
        )

    @cached_property
    def auc_pr(self) -> npt.NDArray[np.float64]:
        """AUC-PR of each class against the rest [C]; NaN for a class without a row."""
        return _frozen(self.scorer.auc_pr())

    @cached_property
    def _aggregates(self) -> dict[str, float]:
        return self.scorer.scores()

    @property
    def aggregates(self) -> dict[str, float]:
        """The scores of `wellai_exp.metrics.Scorer`, by name."""
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


def _names(given: object, columns: int) -> tuple[str, ...]:
    """Check the class names against the columns of probabilities."""
    if isinstance(given, str) or not isinstance(given, Sequence):
        raise ArrayError(f"class_names must be a sequence of names, but it is {given!r}.")
    names = tuple(str(name) for name in given)
    if len(names) != columns:
        raise ArrayError(
            f"There are {len(names)} class names but {columns} columns of probabilities; they must be as many."
        )
    name, times = Counter(names).most_common(1)[0]
    if times > 1:
        raise ArrayError(f"Class names must differ, but {name!r} occurs {times} times.")
    for name in names:
        if name != name.encode("utf-8", "replace").decode("utf-8"):
            # Folder names that are not UTF-8 reach Python as lone surrogates, which no table or file can hold.
            raise ArrayError(f"Class name {name!r} is not valid text; rename its folder.")
    return names


def _frozen(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    copy = array.copy()
    copy.setflags(write=False)
    return copy
