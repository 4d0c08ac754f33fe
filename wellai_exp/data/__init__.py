"""Where the photographs come from, how they are parted, and how they are read."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from wellai_exp.data._base import Listing, Source, is_utf8, shown
    from wellai_exp.data._build import build_manifest
    from wellai_exp.data._demo import Demo
    from wellai_exp.data._describe import class_table, describe, twins_between
    from wellai_exp.data._difference import Difference
    from wellai_exp.data._feature_store import FeatureStore
    from wellai_exp.data._folder import ImageFolder
    from wellai_exp.data._link_table import LinkTable
    from wellai_exp.data._links import COLLECTED, GOT, Link, LinkedSource, LinkList
    from wellai_exp.data._manifest import Manifest
    from wellai_exp.data._near_duplicates import bits_apart, near_pairs, nearest_twins, perceptual_hash
    from wellai_exp.data._pictures import Picture, PictureReader, files_of
    from wellai_exp.data._pixel_store import PixelStore
    from wellai_exp.data._reader import (
        DECODABLE,
        ImageReader,
        TooManyPixelsError,
        UnknownFormatError,
        decode,
        fit,
        image_format,
        read_image,
    )
    from wellai_exp.data._split import Split
    from wellai_exp.data._table import ImageTable
    from wellai_exp.data._versions import keep_manifest, kept_manifest, manifests_folder
    from wellai_exp.data._video import VideoFrame, is_video, read_video
    from wellai_exp.data._yoga82 import Yoga82

_HOMES = {
    "COLLECTED": "_links",
    "DECODABLE": "_reader",
    "GOT": "_links",
    "Demo": "_demo",
    "Difference": "_difference",
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
    "Picture": "_pictures",
    "PictureReader": "_pictures",
    "PixelStore": "_pixel_store",
    "Source": "_base",
    "Split": "_split",
    "TooManyPixelsError": "_reader",
    "UnknownFormatError": "_reader",
    "VideoFrame": "_video",
    "Yoga82": "_yoga82",
    "bits_apart": "_near_duplicates",
    "build_manifest": "_build",
    "class_table": "_describe",
    "decode": "_reader",
    "describe": "_describe",
    "files_of": "_pictures",
    "fit": "_reader",
    "image_format": "_reader",
    "is_utf8": "_base",
    "is_video": "_video",
    "keep_manifest": "_versions",
    "kept_manifest": "_versions",
    "manifests_folder": "_versions",
    "near_pairs": "_near_duplicates",
    "nearest_twins": "_near_duplicates",
    "perceptual_hash": "_near_duplicates",
    "read_image": "_reader",
    "read_video": "_video",
    "shown": "_base",
    "twins_between": "_describe",
}

__all__ = [
    "COLLECTED",
    "DECODABLE",
    "GOT",
    "Demo",
    "Difference",
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
    "Picture",
    "PictureReader",
    "PixelStore",
    "Source",
    "Split",
    "TooManyPixelsError",
    "UnknownFormatError",
    "VideoFrame",
    "Yoga82",
    "bits_apart",
    "build_manifest",
    "class_table",
    "decode",
    "describe",
    "files_of",
    "fit",
    "image_format",
    "is_utf8",
    "is_video",
    "keep_manifest",
    "kept_manifest",
    "manifests_folder",
    "near_pairs",
    "nearest_twins",
    "perceptual_hash",
    "read_image",
    "read_video",
    "shown",
    "twins_between",
]


def __getattr__(name: str) -> object:
    """Import a member when it is first asked for, so that naming the room stays cheap."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
