"""A data set in a few numbers, and in a row for each class."""

from __future__ import annotations

import numpy as np
import pandas as pd

from wellai_exp.data._manifest import Manifest
from wellai_exp.data._near_duplicates import nearest_twins


def describe(manifest: Manifest) -> dict[str, float]:
    """Give what one asks first of a data set.

    Returns
    -------
    dict of str to float
        ``images``, ``classes``, ``train``, ``test``, ``folds``; ``largest_class`` and ``smallest_class`` (images),
        ``imbalance_ratio`` (their quotient), ``effective_classes`` (the exponential of the entropy, in nats, of the
        classes' shares: C where all are alike); ``twins`` (images with a near-duplicate), ``twins_of_other_label``
        (those with one under another label), ``leaked_images`` (test images with a near-duplicate in the training
        part); ``shorter_side_median``, ``shorter_side_min`` and ``shorter_side_max`` (pixels), ``aspect_median``
        (width over height), ``megabytes``.
    """
    frame = manifest.frame
    counts = manifest.counts.sum(axis=1).to_numpy()
    shares = counts / counts.sum()
    side = frame[["width", "height"]].min(axis=1)
    groups = frame.groupby("twin")
    return {
        "images": len(frame),
        "classes": len(manifest.classes),
        "train": len(manifest.train),
        "test": len(manifest.test),
        "folds": manifest.n_folds,
        "largest_class": int(counts.max()),
        "smallest_class": int(counts.min()),
        "imbalance_ratio": float(counts.max() / counts.min()),
        "effective_classes": float(np.exp(-(shares * np.log(shares)).sum())),
        "twins": int((groups["path"].transform("size") > 1).sum()),
        "twins_of_other_label": int((groups["label"].transform("nunique") > 1).sum()),
        "leaked_images": int(manifest.leaked.sum()),
        "shorter_side_median": float(side.median()),
        "shorter_side_min": int(side.min()),
        "shorter_side_max": int(side.max()),
        "aspect_median": float((frame["width"] / frame["height"]).median()),
        "megabytes": float(frame["bytes"].sum() / 1e6),
    }


def class_table(manifest: Manifest) -> pd.DataFrame:
    """Give a row for each class, the largest first.

    Returns
    -------
    DataFrame
        ``label``; ``train`` and ``test`` (images); ``share`` of all images; ``twins`` (images with a near-duplicate);
        ``shorter_side`` (pixels) and ``aspect`` (width over height), medians.
    """
    frame = manifest.frame.assign(
        shorter_side=manifest.frame[["width", "height"]].min(axis=1),
        aspect=manifest.frame["width"] / manifest.frame["height"],
        twins=manifest.frame.groupby("twin")["path"].transform("size") > 1,
    )
    grouped = frame.groupby("label")
    counts = manifest.counts
    table = pd.DataFrame(
        {
            "train": counts["train"],
            "test": counts["test"],
            "share": counts.sum(axis=1) / len(frame),
            "twins": grouped["twins"].sum(),
            "shorter_side": grouped["shorter_side"].median(),
            "aspect": grouped["aspect"].median(),
        }
    ).reset_index(names="label")
    order = np.lexsort((table["label"], -(table["train"] + table["test"])))
    return table.iloc[order].reset_index(drop=True)


def twins_between(one: Manifest, other: Manifest, threshold: int) -> pd.DataFrame:
    """Find the images of one version that have a near-duplicate in another.

    Parameters
    ----------
    one, other : Manifest
        The versions.
    threshold : int
        How many bits of 255 two perceptual hashes, one of them perhaps mirrored, may differ in.

    Returns
    -------
    DataFrame
        One row an image of `one` that has any: ``path``, ``label``, ``split``, and those of its nearest twin in
        `other` with the ending ``_twin``.
    """
    everything = np.arange(len(one.frame)), np.arange(len(other.frame))
    nearest = nearest_twins(one.hashes(everything[0]), other.hashes(everything[1]), threshold)
    columns = ["path", "label", "split"]
    left = one.frame.loc[nearest >= 0, columns].reset_index(drop=True)
    right = other.frame[columns].iloc[nearest[nearest >= 0]].reset_index(drop=True)
    return left.join(right.add_suffix("_twin"))
