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
    from wellai_exp.data._link_table import LinkTable
    from wellai_exp.data._links import COLLECTED, GOT, Link, LinkedSource, LinkList
    from wellai_exp.data._manifest import Manifest
    from wellai_exp.data._pixel_store import PixelStore
    from wellai_exp.data._reader import ImageReader, decode, fit, image_format, read_image
    from wellai_exp.data._split import Split
    from wellai_exp.data._table import ImageTable
    from wellai_exp.data._yoga82 import Yoga82

_HOMES = {
    "COLLECTED": "_links",
    "GOT": "_links",
    "Demo": "_demo",
    "FeatureStore": "_feature_store",
    "ImageFolder": "_folder",
    "ImageReader": "_reader",
    "ImageTable": "_table",
    "Link": "_links",
    "LinkList": "_links",
    "LinkTable": "_link_table",
    "LinkedSource": "_links",
    "Listing": "_base",
    "Manifest": "_manifest",
    "PixelStore": "_pixel_store",
    "Source": "_base",
    "Split": "_split",
    "Yoga82": "_yoga82",
    "build_manifest": "_build",
    "decode": "_reader",
    "fit": "_reader",
    "image_format": "_reader",
    "read_image": "_reader",
}

__all__ = [
    "COLLECTED",
    "GOT",
    "Demo",
    "FeatureStore",
    "ImageFolder",
    "ImageReader",
    "ImageTable",
    "Link",
    "LinkList",
    "LinkTable",
    "LinkedSource",
    "Listing",
    "Manifest",
    "PixelStore",
    "Source",
    "Split",
    "Yoga82",
    "build_manifest",
    "decode",
    "fit",
    "image_format",
    "read_image",
]


def __getattr__(name: str) -> object:
    """Import a member when it is first asked for, so that naming the room stays cheap."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
