"""Secrets, kept out of everything that is written or printed."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Mapping
from functools import lru_cache
from urllib.parse import quote, unquote

_STARS = "***"
# Words that make a name secret: of a setting, of an environment variable, of a part of a query.
_WORDS = (
    r"passw(?:or)?d|passphrase|pgpass|secret|credentials?|authorization"
    r"|(?:api|access|private|account|signing)[_-]?key|(?<![a-z])(?:auth[_-]?)?token(?![a-z])|[_.-]pwd(?![a-z])"
)
_SECRET_NAME = re.compile(_WORDS, re.IGNORECASE)
# Every repetition has an end: texts are long, some are a stranger's, and a search must stay linear.
_NAMED = re.compile(
    rf"((?:{_WORDS})[\w.-]{{0,40}}[\"']?\s{{0,4}}[=:]\s{{0,4}}[\"']?(?:(?:bearer|basic|token)\s{{1,4}})?)"
    r"([^\s\"'&,;<>]+)",
    re.IGNORECASE,
)
_BEARER = re.compile(r"\b((?:bearer|basic)\s{1,4})[\w.~+/=-]{8,}", re.IGNORECASE)
# To the last @ before a blank: whoever forgot to quote an @ or / in a password has it masked all the same.
_IN_URL = re.compile(r"(?<=[a-z0-9])://([^\s:/@\"'<>]{0,200})(?::([^\s\"'<>]{0,1000}))?@", re.IGNORECASE)
# What well-known services give out is known by its beginning.
_ISSUED = re.compile(
    r"\b(?:gh[pousr]_\w{20,}|github_pat_\w{20,}|glpat-[\w-]{16,}|(?:AKIA|ASIA)[A-Z0-9]{16}|hf_\w{20,}|sk-[\w-]{20,}"
    r"|xox[abprs]-[\w-]{10,}|eyJ[\w-]{8,2000}\.[\w-]{8,8000}\.[\w-]*)"
)
# A shorter one would be found in words that mean something else.
_SHORTEST = 6

_remembered: set[str] = set()


def is_secret_name(name: str) -> bool:
    """Tell whether a setting or an environment variable of this name holds a secret."""
    return _SECRET_NAME.search(name) is not None


def remember(node: object, name: str = "") -> None:
    """Learn the secrets in a setting, so that they are masked wherever they turn up.

    Parameters
    ----------
    node : object
        A value, or containers of values.
    name : str
        The setting's name.
    """
    if isinstance(node, Mapping):
        for key, value in node.items():
            remember(value, str(key))
    elif isinstance(node, (list, tuple)):
        for value in node:
            remember(value, name)
    elif isinstance(node, str):
        _remembered.update(_secrets_in(name, node))


def remember_arguments(arguments: list[str]) -> None:
    """Learn the secrets in ``KEY=VALUE`` arguments."""
    for argument in arguments:
        name, _, value = argument.partition("=")
        remember(value, name)


def masked(text: str) -> str:
    """Give a text with its secrets replaced by stars.

    A secret is known by its place (a password in a URL, a value after a secret name), by its beginning (what GitHub,
    AWS and others issue), or by its value (that of a secret environment variable or setting).
    """
    text = without_known(text)
    text = _IN_URL.sub(_hidden_user, text)
    text = _BEARER.sub(rf"\1{_STARS}", text)
    text = _NAMED.sub(rf"\1{_STARS}", text)
    return _ISSUED.sub(_STARS, text)


def without_known(text: str) -> str:
    """Give a text without the secrets known by their values alone: for pages, whose scripts would not bear more."""
    # The longest first: one may be part of another.
    for secret in sorted(_remembered | _of_environment(tuple(sorted(os.environ.items()))), key=len, reverse=True):
        if secret in text:
            text = text.replace(secret, _STARS)
    return text


def _hidden_user(found: re.Match[str]) -> str:
    user, password = found[1], found[2]
    if password is not None:
        return f"://{user}:{_STARS}@"
    # A name without a password is a token on the web, and a name for a database.
    return f"://{_STARS if _on_the_web(found) else user}@"


def _on_the_web(found: re.Match[str]) -> bool:
    return found.string[max(0, found.start() - 5) : found.start()].lower().endswith(("http", "https"))


def _secrets_in(name: str, value: str) -> set[str]:
    found = {value} if is_secret_name(name) else set()
    found.update(named[2] for named in _NAMED.finditer(value))
    found.update(issued[0] for issued in _ISSUED.finditer(value))
    for url in _IN_URL.finditer(value):
        user, password = url[1], url[2]
        if password is not None:
            found.add(password)
        elif _on_the_web(url):
            found.add(user)
    written = {form for secret in found for form in (secret, quote(secret, safe=""), unquote(secret))}
    return {secret for secret in written if len(secret) >= _SHORTEST}


@lru_cache(maxsize=4)
def _of_environment(variables: tuple[tuple[str, str], ...]) -> frozenset[str]:
    return frozenset(secret for name, value in variables for secret in _secrets_in(name, value))


class Masking(logging.Filter):
    """Mask what is logged, tracebacks too; every handler of a command has it."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Rewrite the record; it always passes."""
        if record.exc_info and record.exc_info[0] is not None and not record.exc_text:
            record.exc_text = logging.Formatter().formatException(record.exc_info)
        record.exc_text = masked(record.exc_text) if record.exc_text else record.exc_text
        record.msg, record.args = masked(record.getMessage()), None
        return True
