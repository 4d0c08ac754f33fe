"""From an answer's bytes to a file that can be trusted, and the files that are there already."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from wellai_exp.collecting._answers import Answer, Refusal, unpacked
from wellai_exp.collecting._folders import EXTENSIONS, IMAGES
from wellai_exp.collecting._journal import Record
from wellai_exp.data import GOT, Link, decode, image_format
from wellai_exp.errors import DataError, StoreError
from wellai_exp.paths import write_whole

# Beside a file that is being written, as paths.write_whole calls it.
_LEFT_BEHIND = re.compile(r"\.\d+\.[0-9a-f]{32}\.\w+")
_STORED = re.compile(r"[0-9a-f]{32}\.\w+")
_SHOWN = 200


def checked_image(data: bytes) -> str:
    """Prove that bytes are a whole photograph, by decoding it as a training would; give the ending of its file.

    Raises
    ------
    Refusal
        Where they are none.
    """
    if not data:
        raise Refusal("its answer is empty")
    head = data[:512].lstrip().lower()
    if head.startswith((b"<", b"{", b"\xef\xbb\xbf<")):
        raise Refusal("it is a page or a text, not an image")
    try:
        ending = EXTENSIONS[image_format(data, "it")]
        decode(data, "it")
    except DataError as error:
        # What is to be done about a file of one's own does not apply.
        raise Refusal(str(error).partition(";")[0]) from None
    return ending


@dataclass(frozen=True)
class Stored:
    """A file that is there.

    Parameters
    ----------
    path : str
        Relative to the root.
    bytes : int
        Its size.
    """

    path: str
    bytes: int


class Storage:
    """The images below a root.

    Parameters
    ----------
    root : Path
        The folder.
    folders : mapping of str to str
        Label -> folder name, see :func:`class_folders`.
    most_bytes : int
        The most bytes of a photograph.
    """

    def __init__(self, root: Path, folders: Mapping[str, str], most_bytes: int) -> None:
        self._root = root
        self._folders = folders
        self._most_bytes = most_bytes

    def found(self) -> dict[str, Stored]:
        """List the files that are there by their entries' keys, and clear away what a kill has left half-written."""
        there: dict[str, Stored] = {}
        try:
            for file in (self._root / IMAGES).glob("*/*"):
                if _LEFT_BEHIND.fullmatch(file.name):
                    file.unlink()
                elif _STORED.fullmatch(file.name):
                    there[file.stem] = Stored(file.relative_to(self._root).as_posix(), file.stat().st_size)
        except OSError as error:
            raise StoreError(
                f"{error.filename} cannot be read ({error.strerror}); let this user read and write data.root."
            ) from error
        return there

    def adopted(self, link: Link, stored: Stored) -> Record | None:
        """Give the record of a file that is there without one; None where it is not a whole photograph."""
        try:
            data = (self._root / stored.path).read_bytes()
            checked_image(data)
        except (OSError, Refusal):
            return None
        made = record(link, Answer(), GOT, "it was there already")
        return replace(made, path=stored.path, bytes=len(data), sha256=hashlib.sha256(data).hexdigest())

    def kept(self, links: Iterable[Link], answer: Answer, final_url: str) -> list[Record]:
        """Judge an answer, write the photograph for each entry that wants it, and give their records.

        Raises
        ------
        StoreError
            Where a file cannot be written.
        """
        if answer.verdict:
            return [record(link, answer, answer.verdict, answer.reason, final_url) for link in links]
        try:
            data = unpacked(answer.body, answer.encoding, self._most_bytes)
            ending = checked_image(data)
        except Refusal as refusal:
            return [record(link, answer, "refused", str(refusal), final_url) for link in links]
        digest = hashlib.sha256(data).hexdigest()
        return [self._written(link, answer, final_url, data, digest, ending) for link in links]

    def _written(self, link: Link, answer: Answer, final_url: str, data: bytes, digest: str, ending: str) -> Record:
        path = f"{IMAGES}/{self._folders[link.label]}/{link.key}{ending}"
        with write_whole(self._root / path) as beside:
            beside.write_bytes(data)
        made = record(link, answer, GOT, "", final_url)
        return replace(made, path=path, bytes=len(data), sha256=digest)


def record(link: Link, answer: Answer, verdict: str, reason: str, final_url: str = "") -> Record:
    """Give the record of an entry without a file."""
    return Record(
        path="",
        label=link.label,
        split=link.split,
        listed=link.listed,
        verdict=verdict,
        reason=reason,
        url=link.url,
        final_url=final_url,
        status=answer.status,
        content_type="".join(letter for letter in answer.content_type[:_SHOWN] if letter.isprintable()),
        time=datetime.now(UTC).isoformat(timespec="seconds"),
    )
