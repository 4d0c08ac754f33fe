"""What a run must carry to be made again: code, libraries, seed, machine."""

from __future__ import annotations

import platform
import shutil
import subprocess
from functools import cache
from importlib.metadata import version

from wellai_exp import __version__

_LIBRARIES = (
    "tensorflow",
    "keras",
    "optuna",
    "mlflow",
    "scikit-learn",
    "imbalanced-learn",
    "numpy",
    "opencv-python-headless",
    "hydra-core",
)


@cache
def git_commit() -> str:
    """Give the commit of the current folder, marked where files differ from it; ``none`` outside git."""
    git = shutil.which("git")
    if git is None:
        return "none"

    def ask(*arguments: str) -> str | None:
        done = subprocess.run([git, *arguments], capture_output=True, text=True, check=False)  # noqa: S603
        return done.stdout.strip() if done.returncode == 0 else None

    commit = ask("rev-parse", "HEAD")
    if not commit:
        return "none"
    return f"{commit}+changes" if ask("status", "--porcelain") else commit


@cache
def versions() -> str:
    """Give Python's and the deciding libraries' versions in one line."""
    libraries = [f"{library} {version(library)}" for library in _LIBRARIES]
    return ", ".join([f"wellai-exp {__version__}", f"python {platform.python_version()}", *libraries])


def provenance(seed: int) -> dict[str, str]:
    """Give the tags that every run carries."""
    commit = git_commit()
    tags = {"wellai.git_commit": commit, "wellai.seed": str(seed), "wellai.versions": versions()}
    if commit != "none":
        tags["mlflow.source.git.commit"] = commit.removesuffix("+changes")
    return tags
