"""Every target by its name, for those who have no configuration at hand."""

from __future__ import annotations

from functools import cache

from wellai_exp.errors import SettingError
from wellai_exp.export._onnx import Onnx
from wellai_exp.export._saved_model import SavedModelFolder
from wellai_exp.export._target import Target
from wellai_exp.export._tfjs import TfJsGraph
from wellai_exp.export._tflite import TFLite


@cache
def _known() -> dict[str, Target]:
    families: tuple[type[Target], ...] = (SavedModelFolder, TFLite, Onnx, TfJsGraph)
    made = [family(weights) for family in families for weights in family.kinds]
    return {target.name: target for target in made}


def target_named(name: str) -> Target:
    """Give the target of that name with its usual settings.

    Raises
    ------
    SettingError
        Where there is none.
    """
    if name not in _known():
        raise SettingError("target", name, "there is no such target", f"choose one of {', '.join(_known())}")
    return _known()[name]
