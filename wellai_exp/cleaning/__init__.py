"""From folders of files of unknown worth to a data set that one can trust: a verdict and a reason for each file.

Files are looked at in processes with limits (`LookStore`); checks judge what was seen and what models say of it
(arrays: embeddings, out-of-fold probabilities, person scores); `decide` gives each file one verdict. Originals are only
ever read.
"""

from wellai_exp.cleaning._alike import Alike
from wellai_exp.cleaning._animated import Animated
from wellai_exp.cleaning._apply import Job, check_place, plan_copy, write_copy
from wellai_exp.cleaning._blank import Blank
from wellai_exp.cleaning._blurred import Blurred
from wellai_exp.cleaning._check import Check, Finding, Measured
from wellai_exp.cleaning._decide import CONVERTED, KEPT, OVERRIDE, SET_ASIDE, Decisions, Judged, decide
from wellai_exp.cleaning._evidence import Evidence
from wellai_exp.cleaning._exact_duplicate import ExactDuplicate
from wellai_exp.cleaning._extreme_shape import ExtremeShape
from wellai_exp.cleaning._files import Files
from wellai_exp.cleaning._isolated import Failure, Limits, isolated
from wellai_exp.cleaning._look import MEASURES, Look, look, measure
from wellai_exp.cleaning._look_store import Looks, LookStore
from wellai_exp.cleaning._low_information import LowInformation
from wellai_exp.cleaning._mislabelled import Mislabelled
from wellai_exp.cleaning._near_duplicate import NearDuplicate
from wellai_exp.cleaning._no_person import NoPerson
from wellai_exp.cleaning._not_an_image import NotAnImage
from wellai_exp.cleaning._outlier import Outlier
from wellai_exp.cleaning._overrides import Override, read_overrides
from wellai_exp.cleaning._too_bright import TooBright
from wellai_exp.cleaning._too_dark import TooDark
from wellai_exp.cleaning._too_large import TooLarge
from wellai_exp.cleaning._too_small import TooSmall
from wellai_exp.cleaning._two_labels import TwoLabels
from wellai_exp.cleaning._unreadable import Unreadable

__all__ = [
    "CONVERTED",
    "KEPT",
    "MEASURES",
    "OVERRIDE",
    "SET_ASIDE",
    "Alike",
    "Animated",
    "Blank",
    "Blurred",
    "Check",
    "Decisions",
    "Evidence",
    "ExactDuplicate",
    "ExtremeShape",
    "Failure",
    "Files",
    "Finding",
    "Job",
    "Judged",
    "Limits",
    "Look",
    "LookStore",
    "Looks",
    "LowInformation",
    "Measured",
    "Mislabelled",
    "NearDuplicate",
    "NoPerson",
    "NotAnImage",
    "Outlier",
    "Override",
    "TooBright",
    "TooDark",
    "TooLarge",
    "TooSmall",
    "TwoLabels",
    "Unreadable",
    "check_place",
    "decide",
    "isolated",
    "look",
    "measure",
    "plan_copy",
    "read_overrides",
    "write_copy",
]
