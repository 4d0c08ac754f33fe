"""No answer to imbalance: the baseline of every comparison."""

from __future__ import annotations

from dataclasses import dataclass

from wellai_exp.imbalance._base import Strategy


@dataclass(frozen=True)
class NoStrategy(Strategy):
    """Change nothing: all rows, weight 1, softmax cross-entropy, the layer as trained."""

    @property
    def name(self) -> str:
        """The option's name."""
        return "none"
