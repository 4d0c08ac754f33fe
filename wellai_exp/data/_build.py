"""From a source to a manifest."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable
from functools import partial
from importlib.metadata import version
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from wellai_exp.data._base import Listing, Source, check_two_classes, shown
from wellai_exp.data._index import Index, index_files
from wellai_exp.data._manifest import Manifest
from wellai_exp.data._near_duplicates import hash_texts
from wellai_exp.data._remembered import remembered
from wellai_exp.data._split import Split
from wellai_exp.errors import DataError, SettingError
from wellai_exp.ledger import spent
from wellai_exp.seeding import generator

_LOG = logging.getLogger("wellai_exp.data")
# Raised whenever the same photographs would be dealt otherwise.
_VERSION = 1
IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]


@spent("read")
def build_manifest(source: Source, split: Split, store: Path) -> Manifest:
    """Read a source, part it, and fix both in a manifest.

    Parameters
    ----------
    source : Source
        Where the photographs lie.
    split : Split
        How they are parted.
    store : Path
        The experiment's store, where what was read of each file is remembered.

    Returns
    -------
    Manifest
        Its rows sorted by path.

    Raises
    ------
    SettingError, DataError
        Where the data or a setting cannot be used.
    StoreError
        Where the store cannot be written.
    """
    listing, index = _readable(source, store)
    names = sorted(set(listing.labels))
    place = {name: number for number, name in enumerate(names)}
    labels = np.array([place[label] for label in listing.labels], np.int64)
    twins = split.twins(index, store)
    groups = split.groups(index, twins)
    notes = _two_labels(listing, index)
    if listing.sides is None:
        find = partial(split.test_part, labels, groups, names)
        test = _dealt("test", split, labels, groups, store, find) == 1
    else:
        test = np.array(listing.sides) == "test"
        _check_official(labels, names, test)
    notes += _leaks(twins, test, "split.near_duplicates=false" if listing.sides is None else "the official split")
    totals = np.bincount(labels, minlength=len(names))
    kept = np.sort(np.concatenate([np.flatnonzero(test), _long_tail(source, split, labels, groups, names, test)]))
    listing, index = listing.take(kept.tolist()), index.take(kept.tolist())
    labels, groups, twins, test = labels[kept], groups[kept], twins[kept], test[kept]
    fold = np.full(len(labels), -1, np.int64)
    parted = labels[~test], groups[~test]
    fold[~test] = _dealt("folds", split, *parted, store, partial(split.fold_of, *parted, names, totals))
    notes += _unvalidated(labels[~test], fold[~test], names, split.folds)
    listing = listing.noted(*notes)
    for note in listing.notes:
        _LOG.warning(note)
    frame = _frame(listing, index, test, fold, groups, twins)
    return Manifest(frame, source.root.resolve(), tuple(names), source.name, notes=listing.notes)


def _frame(
    listing: Listing, index: Index, test: BoolArray, fold: IntArray, groups: IntArray, twins: IntArray
) -> pd.DataFrame:
    """Put what is known of each photograph side by side."""
    return pd.DataFrame(
        {
            "path": listing.paths,
            "label": listing.labels,
            **listing.levels,
            "split": np.where(test, "test", "train"),
            "fold": fold,
            "group": groups,
            "twin": twins,
            "sha256": index.sha256,
            "hash": hash_texts(index.hashes, index.mirrored),
            "width": index.width,
            "height": index.height,
            "bytes": index.bytes,
        }
    )


def _readable(source: Source, store: Path) -> tuple[Listing, Index]:
    """List the source, and leave out files that cannot be read and classes that are too small."""
    listing = source.listing()
    index = index_files(source.root, listing.paths, store)
    bad = [row for row, reason in enumerate(index.reason) if reason]
    if bad:
        first = f"the first is {shown(listing.paths[bad[0]])}: {index.reason[bad[0]]}"
        count = f"{len(bad)} of {len(listing)} files cannot be read"
        if source.unreadable == "error":
            raise DataError(f"{count}, {first}; mend or remove them, or set data.unreadable=skip to leave them out.")
        listing = listing.noted(f"{count} and are left out, {first}.")
    before = Counter(listing.labels)
    readable = Counter(label for label, reason in zip(listing.labels, index.reason, strict=True) if not reason)
    small = sorted(label for label in before if readable[label] < source.min_per_class)
    if small:
        listing = listing.noted(
            f"{len(small)} classes with fewer than data.min_per_class={source.min_per_class} readable images are left "
            f"out: {', '.join(f'{shown(label)} ({readable[label]})' for label in small)}."
        )
    gone = set(small)
    rows = [row for row, label in enumerate(listing.labels) if not index.reason[row] and label not in gone]
    listing = listing.take(rows)
    check_two_classes(listing, source.root)
    return listing, index.take(rows)


def _dealt(
    part: str,
    split: Split,
    labels: IntArray,
    groups: IntArray,
    store: Path,
    deal: Callable[[], IntArray | BoolArray],
) -> IntArray:
    """Give what `deal` gives, dealt once: for 100,000 photographs scikit-learn takes ten seconds and more."""
    asked = f"{_VERSION} {part} {split} {version('scikit-learn')}"
    return remembered(store / "splits", asked, [labels, groups], lambda: deal().astype(np.int64), "The split's parts")


def _two_labels(listing: Listing, index: Index) -> tuple[str, ...]:
    """Say which files have the same bytes under two labels: one of them must be wrong."""
    labels: dict[str, set[str]] = {}
    first: dict[str, str] = {}
    for path, label, sha256 in zip(listing.paths, listing.labels, index.sha256, strict=True):
        labels.setdefault(sha256, set()).add(label)
        first.setdefault(sha256, path)
    torn = [first[sha256] for sha256, found in labels.items() if len(found) > 1]
    if not torn:
        return ()
    return (f"Photographs whose bytes lie under two labels: {len(torn)}, the first is {shown(torn[0])}; one is wrong.",)


def _check_official(labels: IntArray, names: list[str], test: BoolArray) -> None:
    for side, part in (("test", labels[test]), ("training", labels[~test])):
        absent = np.setdiff1d(np.arange(len(names)), part)
        if len(absent):
            raise DataError(
                f"The official split has no image of the class {shown(names[absent[0]])!r} in its {side} part "
                f"({len(absent)} such classes); mend the list, or leave the class out."
            )


def _leaks(twins: IntArray, test: BoolArray, why: str) -> tuple[str, ...]:
    """Count the groups that a split tears; they stay as it has them, so that results stay comparable."""
    torn = np.intersect1d(twins[test], twins[~test])
    if not len(torn):
        return ()
    return (
        f"{len(torn)} groups of near-duplicates lie on both sides by {why} ({np.isin(twins[test], torn).sum()} test "
        "images): scores are too high, and every report has them without these images too.",
    )


def _unvalidated(labels: IntArray, fold: IntArray, names: list[str], folds: int) -> tuple[str, ...]:
    have = np.array([len(np.unique(fold[labels == label])) for label in range(len(names))])
    short = np.flatnonzero(have < folds)
    if not len(short):
        return ()
    worst = short[have[short].argmin()]
    return (
        f"{len(short)} classes have no validation image in some of the {folds} folds, {shown(names[worst])!r} is in "
        f"{have[worst]} of them; split.folds={have[worst]} would reach them all.",
    )


def tail_profile(sizes: IntArray, ratio: float) -> IntArray:
    """Give the largest exponential class-size profile that fits below the sizes there are.

    The i-th largest of C classes keeps ``head * ratio ** (-i / (C - 1))`` images (Cui et al., CVPR 2019, arXiv
    1901.05555, section 5), with the largest head that no class is too small for.

    Parameters
    ----------
    sizes : array of int64, shape (C,)
        Images of each class.
    ratio : float
        The head's size over the tail's, at least 1.

    Returns
    -------
    array of int64, shape (C,)
        Images to keep, at least 1 of each class, never more than there are.
    """
    order = np.argsort(-sizes, kind="stable")
    shrink = float(ratio) ** (-np.arange(len(sizes)) / max(1, len(sizes) - 1))
    head = float((sizes[order] / shrink).min())
    keep = np.empty_like(sizes)
    # Rounded to the nearest, because a tail of 4.8 cut to 4 would overshoot the ratio by a fifth; it still fits, since
    # no class's share exceeds the whole number that it has.
    keep[order] = np.maximum(1, np.rint(head * shrink))
    return keep


def _long_tail(
    source: Source, split: Split, labels: IntArray, groups: IntArray, names: list[str], test: BoolArray
) -> IntArray:
    """Give the training rows that a long-tailed cut keeps."""
    train = np.flatnonzero(~test)
    if source.long_tail is None:
        return train
    sizes = np.bincount(labels[train], minlength=len(names))
    keep = tail_profile(sizes, source.long_tail)
    if keep.min() < min(2, sizes.min()):
        fits = next(ratio for ratio in range(int(source.long_tail), 0, -1) if tail_profile(sizes, ratio).min() >= 2)
        raise SettingError(
            "data.long_tail",
            source.long_tail,
            f"it leaves the class {names[int(keep.argmin())]!r} {keep.min()} image to train on, and 2 are needed",
            f"set data.long_tail={fits}",
        )
    rng = generator(split.seed, "long_tail")
    chosen: list[int] = []
    for label, size in enumerate(keep):
        rows = rng.permutation(train[labels[train] == label])
        seen: Counter[int] = Counter()
        turns = []
        for row in rows:
            turns.append(seen[groups[row]])
            seen[groups[row]] += 1
        # Different photographs before second copies of one, so that a class cut to a few is not cut to twins.
        chosen += rows[np.argsort(turns, kind="stable")[:size]].tolist()
    return np.sort(np.array(chosen, np.int64))
