"""What can go wrong, told apart by what has to happen next."""

from __future__ import annotations


class WellaiError(Exception):
    """A problem that the user can mend; the message is one plain sentence."""


class SettingError(WellaiError):
    """A setting has a value that cannot work.

    Parameters
    ----------
    setting : str
        The setting as it is typed on the command line, e.g. ``split.folds``.
    value : object
        The value it has.
    problem : str
        Why that cannot work.
    remedy : str
        What to type or do next.
    """

    def __init__(self, setting: str, value: object, problem: str, remedy: str) -> None:
        self.setting = setting
        self.value = value
        super().__init__(f"{setting}={value}: {problem}; {remedy}.")


class DataError(WellaiError):
    """The data cannot be used as they are."""


class StoreError(WellaiError):
    """A file or database of ours cannot be written or read."""


class TrialFailed(Exception):
    """One trial cannot give a value; the sweep goes on without it."""
