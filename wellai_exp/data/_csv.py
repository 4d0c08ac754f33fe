"""Tables of text, as the user's spreadsheet and this program write them."""

from __future__ import annotations

import warnings
from pathlib import Path

import pandas as pd

from wellai_exp.data._base import shown
from wellai_exp.errors import DataError, SettingError


def read_csv(path: Path, setting: str) -> pd.DataFrame:
    """Read a CSV file (UTF-8, a header) whose cells are text as it stands: a class may be called "NA" or "007".

    Parameters
    ----------
    path : Path
        The file.
    setting : str
        The setting that names it, for the error.

    Raises
    ------
    SettingError, DataError
        Where there is no such file, or it is not UTF-8 or no CSV.
    """
    where = shown(str(path))
    if not path.is_file():
        raise SettingError(setting, where, "there is no such file", f"set {setting} to a CSV file")
    try:
        with warnings.catch_warnings():
            # A row with more cells than the header is otherwise cut with a warning.
            warnings.simplefilter("error", pd.errors.ParserWarning)
            return pd.read_csv(path, dtype=object, keep_default_na=False, encoding="utf-8-sig", index_col=False)
    except UnicodeDecodeError as error:
        raise DataError(f"{setting}={where} is not UTF-8; save it as CSV UTF-8.") from error
    except (OSError, ValueError, pd.errors.ParserWarning) as error:
        reason = " ".join(str(error).split())
        raise DataError(f"{setting}={where} cannot be read as CSV ({reason}); save it as CSV UTF-8.") from error


def column(frame: pd.DataFrame, path: Path, setting: str, name: str) -> tuple[str, ...]:
    """Give a column's cells.

    Raises
    ------
    SettingError
        Where the table has no such column.
    """
    if name not in frame.columns:
        raise SettingError(
            setting,
            name,
            f"{shown(str(path))} has no such column",
            f"set {setting} to one of {', '.join(map(str, frame.columns))}",
        )
    # A row with too few cells has NaN where the others have text.
    return tuple(cell if isinstance(cell, str) else "" for cell in frame[name])
