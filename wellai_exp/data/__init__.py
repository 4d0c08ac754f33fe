"""Where the photographs come from, how they are parted, and how they are read."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from wellai_exp.data._base import Listing, Source
    from wellai_exp.data._build import build_manifest
    from wellai_exp.data._demo import Demo
    from wellai_exp.data._feature_store import FeatureStore
    from wellai_exp.data._folder import ImageFolder
    from wellai_exp.data._manifest import Manifest
    from wellai_exp.data._near_duplicates import near_pairs, perceptual_hash
    from wellai_exp.data._pixel_store import PixelStore
    from wellai_exp.data._reader import (
        DECODABLE,
        ImageReader,
        TooManyPixelsError,
        UnknownFormatError,
        decode,
        fit,
        read_image,
    )
    from wellai_exp.data._split import Split
    from wellai_exp.data._table import ImageTable
    from wellai_exp.data._yoga82 import Yoga82

_HOMES = {
    "DECODABLE": "_reader",
    "Demo": "_demo",
    "FeatureStore": "_feature_store",
    "ImageFolder": "_folder",
    "ImageReader": "_reader",
    "ImageTable": "_table",
    "Listing": "_base",
    "Manifest": "_manifest",
    "PixelStore": "_pixel_store",
    "Source": "_base",
    "Split": "_split",
    "TooManyPixelsError": "_reader",
    "UnknownFormatError": "_reader",
    "Yoga82": "_yoga82",
    "build_manifest": "_build",
    "decode": "_reader",
    "fit": "_reader",
    "near_pairs": "_near_duplicates",
    "perceptual_hash": "_near_duplicates",
    "read_image": "_reader",
}

__all__ = [
    "DECODABLE",
    "Demo",
    "FeatureStore",
    "ImageFolder",
    "ImageReader",
    "ImageTable",
    "Listing",
    "Manifest",
    "PixelStore",
    "Source",
    "Split",
    "TooManyPixelsError",
    "UnknownFormatError",
    "Yoga82",
    "build_manifest",
    "decode",
    "fit",
    "near_pairs",
    "perceptual_hash",
    "read_image",
]


def __getattr__(name: str) -> object:
    """Import a member when it is first asked for, so that naming the room stays cheap."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
