"""MLflow runs and the model registry; nothing else in the package imports MLflow."""

from wellai_exp.tracking._catalogue import CHAMPION, ModelRecord, VersionRecord
from wellai_exp.tracking._environment import quiet_mlflow, server_environment
from wellai_exp.tracking._names import legal_key
from wellai_exp.tracking._promotion import Judgement, Promotion
from wellai_exp.tracking._record import Ending, RunRecord
from wellai_exp.tracking._reference import ModelRef, load
from wellai_exp.tracking._registry import Registry
from wellai_exp.tracking._run import Run
from wellai_exp.tracking._server import server_command
from wellai_exp.tracking._store import Tracking
from wellai_exp.tracking._sync import Delivery, settle, sync
from wellai_exp.tracking._tracker import EVALUATED_TAG, Tracker

__all__ = [
    "CHAMPION",
    "EVALUATED_TAG",
    "Delivery",
    "Ending",
    "Judgement",
    "ModelRecord",
    "ModelRef",
    "Promotion",
    "Registry",
    "Run",
    "RunRecord",
    "Tracker",
    "Tracking",
    "VersionRecord",
    "legal_key",
    "load",
    "quiet_mlflow",
    "server_command",
    "server_environment",
    "settle",
    "sync",
]
