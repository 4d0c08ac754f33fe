"""Workers as jobs of Slurm, by submitit, which Hydra's own launcher uses too."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from wellai_exp.compute._entrance import Errand
from wellai_exp.compute._remote import Remote, Ticket
from wellai_exp.errors import SettingError


@dataclass(frozen=True)
class Slurm(Remote):
    """Evaluate trials by Slurm jobs, each of which is a worker for as long as it may run.

    Parameters
    ----------
    workers, grace_seconds, retries, cpus, gpus, host, environment
        As for every remote place; GPUs are whole ones.
    minutes : int
        How long a job may run; a trial that it cuts off goes on in the next one.
    parameters : mapping
        What else submitit's ``update_parameters`` takes, e.g. ``slurm_partition`` or ``mem_gb``.
    cluster : str
        ``slurm``, or ``local`` for jobs on this machine, to try.
    """

    minutes: int = 240
    parameters: Mapping[str, Any] = field(default_factory=dict)
    cluster: str = "slurm"

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check_whole("minutes", 1)
        self._check_whole("gpus", 0)

    def _submit(self, errand: Errand) -> Ticket:
        try:
            import submitit
        except ImportError as error:
            raise SettingError(
                "compute", "slurm", "the package submitit is missing", "type pip install 'wellai-exp[slurm]'"
            ) from error
        folder = Path(errand.log).parent / "slurm"
        try:
            executor = submitit.AutoExecutor(folder, cluster=self.cluster)
        except (RuntimeError, ValueError) as error:
            raise SettingError(
                "compute.cluster", self.cluster, f"it cannot be used here ({error})", "type this where sbatch is found"
            ) from error
        try:
            executor.update_parameters(
                name="wellai_exp",
                timeout_min=self.minutes,
                cpus_per_task=self.cpus,
                gpus_per_node=self.gpus,
                **self.parameters,
            )
            return _SlurmTicket(executor.submit(errand.run))
        except (NameError, TypeError, submitit.core.utils.FailedJobError) as error:
            raise SettingError(
                "compute.parameters", dict(self.parameters), f"Slurm takes no such job ({error})", "mend them"
            ) from error


class _SlurmTicket:
    """A job of Slurm's."""

    def __init__(self, job: Any) -> None:
        self._job = job

    def ended(self, seconds: float) -> str:
        """Say how it ended; Slurm is asked now and then, whatever `seconds` says."""
        if not self._job.done():
            return ""
        return f"its job {self._job.job_id} ended as {self._job.state}"

    def cancel(self) -> None:
        """End it, running or waiting."""
        self._job.cancel()
