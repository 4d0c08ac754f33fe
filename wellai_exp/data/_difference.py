"""What changed from one version of the data to the next."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd

from wellai_exp.data._manifest import Manifest

ADDED, REMOVED = "added", "removed"
RELABELLED, MOVED, RENAMED = "relabelled", "other part", "renamed"
CHANGES = (ADDED, REMOVED, RELABELLED, MOVED, RENAMED)
"""What may have happened to an image, the first that applies: a new label matters more than a new name."""


@dataclass(frozen=True, eq=False)
class Difference:
    """Two versions of data, image by image; an image is known by the bytes of its file.

    Parameters
    ----------
    old, new : Manifest
        The versions.
    """

    old: Manifest
    new: Manifest

    @cached_property
    def rows(self) -> pd.DataFrame:
        """One row an image that changed.

        Columns: ``change`` (one of `CHANGES`), ``sha256``, and ``path``, ``label`` and ``split`` before and after with
        the endings ``_old`` and ``_new``, "" where the image is not in that version. Copies of the same bytes are
        paired one by one, so that as many rows are added and removed as the versions differ in.
        """
        both = _copies(self.old).merge(
            _copies(self.new), how="outer", on=["sha256", "copy"], suffixes=("_old", "_new"), indicator=True
        )
        side = both.pop("_merge")
        texts = [name for name in both.columns if name.endswith(("_old", "_new"))]
        both[texts] = both[texts].fillna("")
        checks = [
            side == "right_only",
            side == "left_only",
            both["label_old"] != both["label_new"],
            both["split_old"] != both["split_new"],
            both["path_old"] != both["path_new"],
        ]
        both.insert(0, "change", np.select(checks, CHANGES, ""))
        changed = both[both["change"] != ""].drop(columns="copy")
        order = changed["change"].map(CHANGES.index)
        where = changed["path_new"].where(changed["path_new"] != "", changed["path_old"])
        return changed.iloc[np.lexsort((where, order))].reset_index(drop=True)

    @property
    def counts(self) -> dict[str, int]:
        """Images that each of `CHANGES` happened to."""
        found = self.rows["change"].value_counts()
        return {change: int(found.get(change, 0)) for change in CHANGES}

    @cached_property
    def classes(self) -> pd.DataFrame:
        """One row a class of either version that changed.

        Columns: ``label``, ``before`` and ``after`` (images), ``added``, ``removed``, ``came`` and ``went`` (images
        relabelled to it and away from it).
        """
        names = sorted({*self.old.classes, *self.new.classes})
        rows, relabelled = self.rows, self.rows[self.rows["change"] == RELABELLED]

        def images(labels: pd.Series) -> list[int]:
            counts = labels.value_counts()
            return [int(counts.get(name, 0)) for name in names]

        table = pd.DataFrame(
            {
                "label": names,
                "before": images(self.old.frame["label"]),
                "after": images(self.new.frame["label"]),
                "added": images(rows.loc[rows["change"] == ADDED, "label_new"]),
                "removed": images(rows.loc[rows["change"] == REMOVED, "label_old"]),
                "came": images(relabelled["label_new"]),
                "went": images(relabelled["label_old"]),
            }
        )
        return table[table[["added", "removed", "came", "went"]].any(axis=1)].reset_index(drop=True)


def _copies(manifest: Manifest) -> pd.DataFrame:
    """Give each image the number of its copy, so that those of two versions pair off, alike ones first."""
    frame = manifest.frame[["sha256", "label", "split", "path"]].sort_values(["sha256", "label", "split", "path"])
    return frame.assign(copy=frame.groupby("sha256").cumcount())
