"""What is known of a run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mlflow.entities import Run as MlflowRun


@dataclass(frozen=True)
class RunRecord:
    """What is known of a run in the store."""

    id: str
    experiment: str
    """MLflow's id of the experiment that it belongs to."""
    name: str
    status: str
    tags: Mapping[str, str]
    params: Mapping[str, str]
    metrics: Mapping[str, float]


@dataclass(frozen=True)
class Ending:
    """How work has ended whose run may not say so.

    Parameters
    ----------
    name : str
        Of a run that has to be made for it.
    tags : mapping
        What tells the work from all other.
    status : str
        ``FINISHED``, ``FAILED`` or ``KILLED``.
    error : str
        Kept with a run whose status is changed, where there is anything to say.
    """

    name: str
    tags: Mapping[str, object]
    status: str
    error: str = ""


def record_of(run: MlflowRun) -> RunRecord:
    """Give what MLflow knows of a run."""
    return RunRecord(
        id=str(run.info.run_id),
        experiment=str(run.info.experiment_id),
        name=str(run.info.run_name),
        status=str(run.info.status),
        tags=dict(run.data.tags),
        params=dict(run.data.params),
        metrics=dict(run.data.metrics),
    )
