"""MLflow's exceptions, told in one sentence."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from wellai_exp.errors import StoreError
from wellai_exp.masking import masked


def short(error: BaseException) -> str:
    """Give the first line of an exception's message, at most 300 characters, without a closing full stop."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return masked(lines[0])[:300].rstrip(". ")


def unreachable(error: BaseException) -> bool:
    """Whether a server did not answer, or only to say that it cannot now: what was asked may be asked again later.

    MLflow gives such failures the code of an internal error, the ones that it never sent included.
    """
    import requests
    from mlflow.exceptions import MlflowException

    if isinstance(error, MlflowException):
        return _for_now(error.get_http_status_code())  # type: ignore[no-untyped-call]
    if isinstance(error, requests.HTTPError):
        return error.response is None or _for_now(error.response.status_code)
    return isinstance(error, (requests.ConnectionError, requests.Timeout))


def _for_now(status: int) -> bool:
    return status >= 500 or status in {408, 429}


@contextmanager
def told(uri: str) -> Iterator[None]:
    """Turn whatever MLflow, its database or its file store raises inside the block into a StoreError.

    Parameters
    ----------
    uri : str
        The tracking URI, for the sentence.

    Raises
    ------
    StoreError
        Instead of the library's exception.
    """
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    try:
        yield
    except (MlflowException, SQLAlchemyError, OSError) as error:
        place = f"tracking.uri={masked(uri)}"
        if uri.startswith("http"):
            sentence = (
                f"{place}: the MLflow server did not do what was asked ({short(error)}); "
                "start the server, or set tracking.uri=null to use the local store."
            )
        else:
            sentence = (
                f"{place}: MLflow's store did not do what was asked ({short(error)}); "
                "see that the disk has room and the store may be written, and type the same command."
            )
        raise StoreError(sentence) from error
