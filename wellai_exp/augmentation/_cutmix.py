"""CutMix, on images."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from wellai_exp.augmentation._checks import check_between, check_flag
from wellai_exp.augmentation._policy import Policy


@dataclass(frozen=True)
class CutMix(Policy):
    """Paste a rectangle of one image into another (Yun et al., ICCV 2019, arXiv 1905.04899, equations 1 and 2).

    The rectangle's area is 1 - Beta(alpha, alpha) of the image, its centre uniform, and what falls outside is cut off;
    targets are blended by the pixels that are really pasted.

    Parameters
    ----------
    alpha : float
        Small: rectangles of nearly nothing or nearly all; 1: any area is as likely.
    flip : bool
        Also mirror images left to right at random.
    """

    name: ClassVar[str] = "cutmix"
    regimes: ClassVar[frozenset[str]] = frozenset({"finetune", "representation"})
    mixes_labels: ClassVar[bool] = True
    alpha: float = 1.0
    flip: bool = True

    def __post_init__(self) -> None:
        check_between("alpha", self.alpha, 0.05, 8, "the Beta distribution's parameter", 1)
        check_flag("flip", self.flip)

    @property
    def views(self) -> int:  # type: ignore[override]
        """Two with `flip`, else one."""
        return 2 if self.flip else 1

    @property
    def mirror_view(self) -> bool:
        """View 1, where there is one, is the plain mirror image."""
        return self.flip

    def _refusal(self, regime: str) -> tuple[str, str]:
        return (
            f"the {regime} regime keeps the features of single images, and a view pasted together from two images "
            "would carry one fold's image into another",
            "set augmentation=mixup, which mixes features within the training fold, or regime=finetune",
        )

    def layers(self) -> list[Any]:
        """Give a horizontal flip, if asked for."""
        from wellai_exp.augmentation._layers import RandomWarp

        return [RandomWarp()] if self.flip else []

    def _mix(self, x: Any, targets: Any, weights: Any, stream: Any) -> tuple[Any, Any, Any]:
        import keras
        from keras import ops

        from wellai_exp.augmentation._mixing import blend, draw_partners, draw_shares, take_rows

        if len(x.shape) != len(weights.shape) + 3:
            raise ValueError(f"augmentation=cutmix mixes images [..., N, H, W, 3], not features {tuple(x.shape)}")
        partners = draw_partners(weights, stream)
        side = ops.sqrt(1.0 - draw_shares(weights, self.alpha, stream))
        inside = []
        for axis in (-3, -2):
            pixels = ops.shape(x)[axis]
            place = (ops.cast(ops.arange(pixels), "float32") + 0.5) / ops.cast(pixels, "float32")
            centre = keras.random.uniform(ops.shape(weights), dtype="float32", seed=stream)
            inside.append(ops.abs(place - centre[..., None]) < side[..., None] / 2.0)
        mask = ops.logical_and(inside[0][..., :, None], inside[1][..., None, :])
        kept = 1.0 - ops.mean(ops.cast(mask, "float32"), axis=(-2, -1))
        mixed = ops.where(mask[..., None], take_rows(x, partners), x)
        return (
            mixed,
            blend(targets, take_rows(targets, partners), kept),
            blend(weights, take_rows(weights, partners), kept),
        )
