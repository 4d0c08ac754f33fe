"""A registered model as files for the runtimes where it will live, each checked there against Keras."""

from wellai_exp.export._bundle import Artifact, Bundle, read_bundle, seal_bundle

__all__ = [
    "Artifact",
    "Bundle",
    "read_bundle",
    "seal_bundle",
]
