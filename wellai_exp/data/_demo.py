"""The drawn demonstration data set."""

from __future__ import annotations

from dataclasses import dataclass

from wellai_exp.data._base import Listing, Source
from wellai_exp.data._folder import list_folder
from wellai_exp.errors import SettingError


@dataclass(frozen=True)
class Demo(Source):
    """Figures in yoga poses, drawn once into a folder of class folders: no download, no one's photographs.

    Parameters
    ----------
    root : Path
        Where they are drawn.
    n_images : int
        How many images there are in all.
    ratio : float
        The largest class's size over the smallest's.
    size : int
        Width and height of an image, in pixels.
    seed : int
        Decides every figure.
    """

    n_images: int = 1500
    ratio: float = 20.0
    size: int = 128
    seed: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.n_images < 1:
            raise SettingError("data.n_images", self.n_images, "there must be images", "set data.n_images=1500")
        if not 1 <= self.ratio < float("inf"):
            raise SettingError("data.ratio", self.ratio, "the ratio must be at least 1", "set data.ratio=20")
        if self.size < 16:
            raise SettingError("data.size", self.size, "no pose can be seen below 16 pixels", "set data.size=128")

    def _list(self) -> Listing:
        from wellai_exp.data._figures import draw_demo

        draw_demo(self.root, n_images=self.n_images, ratio=self.ratio, size=self.size, seed=self.seed)
        return list_folder(self)
