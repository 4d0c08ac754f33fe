"""MixUp, on features or images."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from wellai_exp.augmentation._checks import check_between, check_flag
from wellai_exp.augmentation._policy import Policy


@dataclass(frozen=True)
class MixUp(Policy):
    """Blend pairs of rows and their targets (Zhang et al., ICLR 2018, arXiv 1710.09412, equation 1).

    On a backbone's features it is manifold mixup (Verma et al., ICML 2019, arXiv 1806.05236). Each row draws its own
    share from Beta(alpha, alpha). Weights are blended with the same share, so the total weight is kept on average.

    Parameters
    ----------
    alpha : float
        Small: most rows stay nearly as they are; 1: any share is as likely.
    flip : bool
        Also mirror images left to right: at random in training, as view 1 in a probe.
    """

    name: ClassVar[str] = "mixup"
    mixes_labels: ClassVar[bool] = True
    numbers: ClassVar[tuple[str, ...]] = ("alpha",)
    alpha: float = 0.2
    flip: bool = True

    def __post_init__(self) -> None:
        check_between("alpha", self.alpha, 0.05, 8, "the Beta distribution's parameter", 0.2)
        check_flag("flip", self.flip)

    @property
    def views(self) -> int:  # type: ignore[override]
        """Two with `flip`, else one."""
        return 2 if self.flip else 1

    @property
    def mirror_view(self) -> bool:
        """View 1, where there is one, is the plain mirror image."""
        return self.flip

    def layers(self) -> list[Any]:
        """Give a horizontal flip, if asked for."""
        from wellai_exp.augmentation._layers import RandomWarp

        return [RandomWarp()] if self.flip else []

    def _mix(self, x: Any, targets: Any, weights: Any, stream: Any) -> tuple[Any, Any, Any]:
        from wellai_exp.augmentation._mixing import blend, draw_partners, draw_shares, take_rows

        partners = draw_partners(weights, stream)
        shares = draw_shares(weights, self.alpha, stream)
        mixed = (blend(value, take_rows(value, partners), shares) for value in (x, targets, weights))
        return next(mixed), next(mixed), next(mixed)
