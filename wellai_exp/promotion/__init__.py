"""Whether a registered model may take the champion's place: gates that must all be passed.

A gate judges evidence (the predictions of challenger and champion on the same images, files, tags, data), and says in a
sentence what it found. Nothing here changes a store.
"""

from wellai_exp.promotion._absolute import Absolute
from wellai_exp.promotion._calibration import Calibration
from wellai_exp.promotion._data_digest import DataDigest
from wellai_exp.promotion._evidence import Contender, Evidence
from wellai_exp.promotion._export_parity import PARITY_TAG, UNFIT_TAG, ExportParity
from wellai_exp.promotion._gate import Gate
from wellai_exp.promotion._gather import gather
from wellai_exp.promotion._latency import Latency
from wellai_exp.promotion._manifest import Manifest
from wellai_exp.promotion._no_class_worse import NoClassWorse
from wellai_exp.promotion._paired_improvement import PairedImprovement
from wellai_exp.promotion._predictions import Source, kept_predictions, part_of, sources_of
from wellai_exp.promotion._size import Size
from wellai_exp.promotion._verdict import Verdict, document, judge

__all__ = [
    "PARITY_TAG",
    "UNFIT_TAG",
    "Absolute",
    "Calibration",
    "Contender",
    "DataDigest",
    "Evidence",
    "ExportParity",
    "Gate",
    "Latency",
    "Manifest",
    "NoClassWorse",
    "PairedImprovement",
    "Size",
    "Source",
    "Verdict",
    "document",
    "gather",
    "judge",
    "kept_predictions",
    "part_of",
    "sources_of",
]
