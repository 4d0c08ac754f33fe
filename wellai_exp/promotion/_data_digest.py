"""Whether the data that a model was trained on are known."""

from __future__ import annotations

from dataclasses import dataclass

from wellai_exp.promotion._evidence import Evidence
from wellai_exp.promotion._gate import Finding, Gate


@dataclass(frozen=True)
class DataDigest(Gate):
    """The manifest of the challenger's training data is kept in the store, and hashes to the digest of its model."""

    def _judge(self, evidence: Evidence) -> Finding:
        digest, manifest = evidence.challenger.data_digest, evidence.manifest
        if not digest:
            return False, f"{evidence.challenger.title} does not say what data it was trained on", {}
        if manifest is None:
            return False, f"its data {digest} are not known: {evidence.manifest_problem or 'no manifest is kept'}", {}
        if manifest.digest != digest:
            return False, f"the manifest kept for its data {digest} hashes to {manifest.digest}", {}
        images = len(manifest.frame)
        return True, f"its data are {manifest.name}, {images} images, digest {digest}", {"images": images}
