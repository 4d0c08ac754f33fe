"""Names of folders and files that any list may cause."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable

IMAGES = "images"
"""The folder of the class folders, in a source's root."""

EXTENSIONS = {
    "JPEG": ".jpg",
    "MPO": ".jpg",
    "PNG": ".png",
    "WEBP": ".webp",
    "GIF": ".gif",
    "BMP": ".bmp",
    "TIFF": ".tif",
    "AVIF": ".avif",
    "JPEG2000": ".jp2",
    "PPM": ".ppm",
}
"""The ending for each format that can be read; MPO is a JPEG with more pictures behind the first."""

# What Windows refuses, and what its users could not open; other systems' lists are shorter.
_FORBIDDEN = re.compile(r'[<>:"/\\|?*]')
_RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)
_LONGEST = 120
_SLUG = 40


def _folded(label: str) -> str:
    """Give what a file system that folds case and composition sees."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", label).casefold())


def _is_safe(label: str) -> bool:
    """Tell whether a label may name a folder as it stands, on any system."""
    return (
        label.isprintable()
        and unicodedata.is_normalized("NFC", label)
        and 0 < len(label.encode("utf-8", "surrogatepass")) <= _LONGEST
        and not _FORBIDDEN.search(label)
        and not _RESERVED.fullmatch(label)
        and label[0] not in ".-~ "
        and label[-1] not in ". "
        and not any(unicodedata.category(letter) == "Cs" for letter in label)
    )


def _slug(label: str) -> str:
    digest = hashlib.sha256(label.encode("utf-8", "surrogatepass")).hexdigest()[:10]
    words = re.sub(r"\W+", "_", unicodedata.normalize("NFC", label)).strip("_")
    # Cut by bytes, which are what a file system counts.
    short = words.encode("utf-8", "ignore")[:_SLUG].decode("utf-8", "ignore").strip("_")
    return f"{short or 'class'}-{digest}"


def class_folders(labels: Iterable[str]) -> dict[str, str]:
    """Give each label a folder name of its own that every file system takes.

    The label itself where it is such a name and no other label looks the same once case and composition are folded;
    else a few of its letters and a hash. Folder names are for people; nothing reads a label from them.

    Parameters
    ----------
    labels : iterable of str
        Any texts.

    Returns
    -------
    dict of str to str
        Label -> folder name: one path component, no leading dot.
    """
    different = sorted(set(labels))
    alike = Counter(_folded(label) for label in different)
    return {label: label if _is_safe(label) and alike[_folded(label)] == 1 else _slug(label) for label in different}
