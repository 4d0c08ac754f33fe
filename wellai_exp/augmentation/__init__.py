"""Augmentation policies: what may change in a photograph without changing what it shows.

A policy works on images before the model and never enters the inference graph. Adding one is a private file, a line
here and ``conf/augmentation/<name>.yaml``.
"""

from wellai_exp.augmentation._cutmix import CutMix
from wellai_exp.augmentation._flip import HorizontalFlip
from wellai_exp.augmentation._light import Light
from wellai_exp.augmentation._mixup import MixUp
from wellai_exp.augmentation._none import NoAugmentation
from wellai_exp.augmentation._policy import VERSION, Policy
from wellai_exp.augmentation._pose_safe import PoseSafe
from wellai_exp.augmentation._rand_augment import RandAugment
from wellai_exp.augmentation._strong import Strong

__all__ = [
    "VERSION",
    "CutMix",
    "HorizontalFlip",
    "Light",
    "MixUp",
    "NoAugmentation",
    "Policy",
    "PoseSafe",
    "RandAugment",
    "Strong",
]
