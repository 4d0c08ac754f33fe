"""A backbone whose weights were trained here."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

from wellai_exp.errors import StoreError
from wellai_exp.models import Backbone
from wellai_exp.paths import sha256_of


@dataclass(frozen=True)
class TrainedBackbone(Backbone):
    """A backbone with weights that were trained here.

    Parameters
    ----------
    plain : Backbone
        The architecture.
    weights_path : Path
        Its weights.
    sha256 : str
        Of that file.
    """

    plain: Backbone
    weights_path: Path
    sha256: str

    @property
    def name(self) -> str:
        """The architecture's name."""
        return self.plain.name

    @property
    def size(self) -> int:
        """The architecture's input size, in pixels."""
        return self.plain.size

    @property
    def pretrained(self) -> bool:
        """Weights are there."""
        return True

    def weights_digest(self) -> str:
        """Give the weights' hash."""
        return self.sha256

    def feature_settings(self) -> dict[str, object]:
        """Give the architecture's settings."""
        return self.plain.feature_settings()

    def at_size(self, size: int) -> Self:
        """Give the same network for another image size, as `Backbone.at_size`."""
        return replace(self, plain=self.plain.at_size(size))

    def build(self) -> Any:
        """Build the frozen model.

        Raises
        ------
        StoreError
            Where the file is no longer the one that the training wrote.
        """
        if not self.weights_path.is_file() or sha256_of(self.weights_path) != self.sha256:
            raise StoreError(
                f"{self.weights_path} is not as the training wrote it; type the same command, which writes it again."
            )
        model = self.plain.build()
        model.load_weights(self.weights_path)
        model.trainable = False
        return model
