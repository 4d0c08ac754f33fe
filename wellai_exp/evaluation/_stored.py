"""Predictions kept in a file, so that whoever asks later need not predict again."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from wellai_exp.errors import StoreError
from wellai_exp.evaluation._evaluation import Evaluation
from wellai_exp.metrics import ArrayError
from wellai_exp.paths import sealed, unsealed

if TYPE_CHECKING:
    import pyarrow as pa

PREDICTIONS = "predictions.parquet"
"""How the file is called in a run, below the folder of the part."""
_KEY = b"wellai_exp.evaluation"


def save_evaluation(evaluation: Evaluation, path: Path) -> None:
    """Write an evaluation as Parquet: one row an image, probabilities to the bit, classes in the file's metadata.

    Parameters
    ----------
    evaluation : Evaluation
        Predictions of N rows and C classes.
    path : Path
        File to write. Its columns are ``label`` and ``predicted`` (names), ``group``, ``path`` and ``sha256`` (empty
        where unknown), ``leaked`` (null where unknown) and ``probabilities`` (a list of C), so that any reader of
        Parquet can ask of it.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    names, rows = evaluation.class_names, len(evaluation.labels)
    flat = pa.array(np.ascontiguousarray(evaluation.probabilities).ravel())
    table = pa.table(
        {
            "label": [names[index] for index in evaluation.labels],
            "predicted": [names[index] for index in evaluation.predictions],
            "group": evaluation.groups,
            "path": list(evaluation.paths) or [""] * rows,
            "sha256": list(evaluation.sha256) or [""] * rows,
            "leaked": pa.array([None] * rows if evaluation.leaked is None else evaluation.leaked, pa.bool_()),
            "probabilities": pa.FixedSizeListArray.from_arrays(flat, evaluation.n_classes),
        }
    )
    facts = {
        "class_names": names,
        "root": evaluation.root,
        "train_support": None if evaluation.train_support is None else evaluation.train_support.tolist(),
        "levels": dict(evaluation.levels),
    }
    body = sealed({**facts, "cells": _cells(table)})
    described = table.replace_schema_metadata({_KEY: json.dumps(body, ensure_ascii=False).encode()})
    pq.write_table(described, path, compression="zstd", write_page_checksum=True)


def load_evaluation(path: Path) -> Evaluation:
    """Read what `save_evaluation` wrote.

    Raises
    ------
    StoreError
        Where the file cannot be read, holds something else, or is not as it was written.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(path, page_checksum_verification=True)
        facts = unsealed(json.loads((table.schema.metadata or {})[_KEY]))
        if _cells(table) != facts["cells"]:
            raise ValueError("its rows are not as they were written")
        return _evaluation(table, facts)
    except (OSError, KeyError, ValueError, TypeError, pa.ArrowException, ArrayError) as error:
        raise StoreError(
            f"{path} holds no predictions that can be read ({error}); evaluate the model again."
        ) from error


def _cells(table: pa.Table) -> str:
    """Hash every cell in its place; a flipped bit in the file's own header can exchange columns."""
    digest = hashlib.sha256()
    for name in table.column_names:
        column = table[name].combine_chunks()
        digest.update(f"{name} {len(column)}".encode())
        if name == "probabilities":
            flat = column.flatten().to_numpy(zero_copy_only=False)
            digest.update(f"{flat.dtype}".encode() + flat.tobytes())
        else:
            digest.update(json.dumps(column.to_pylist()).encode())
    return digest.hexdigest()


def _evaluation(table: pa.Table, facts: Mapping[str, Any]) -> Evaluation:
    names = tuple(facts["class_names"])
    place = {name: index for index, name in enumerate(names)}
    flat = table["probabilities"].combine_chunks().flatten().to_numpy(zero_copy_only=False)
    return Evaluation(
        np.array([place[name] for name in table["label"].to_pylist()], np.int64),
        flat.reshape(-1, len(names)),
        names,
        groups=table["group"].to_numpy(),
        paths=_known(table["path"].to_pylist()),
        sha256=_known(table["sha256"].to_pylist()),
        root=facts["root"],
        train_support=facts["train_support"],
        levels=facts["levels"],
        leaked=None if table["leaked"].null_count else table["leaked"].to_numpy(),
    )


def _known(values: list[str]) -> tuple[str, ...]:
    return tuple(values) if any(values) else ()
