"""Answers to class imbalance: on the rows, the weights, the batches, the loss or the trained layer."""

from wellai_exp.imbalance._adasyn import Adasyn
from wellai_exp.imbalance._balanced_softmax import BalancedSoftmax
from wellai_exp.imbalance._base import BatchPlan, Resampled, Strategy, smoothed
from wellai_exp.imbalance._borderline_smote import BorderlineSmote
from wellai_exp.imbalance._class_balanced_batches import ClassBalancedBatches
from wellai_exp.imbalance._class_weight import ClassWeight
from wellai_exp.imbalance._effective_number import EffectiveNumber
from wellai_exp.imbalance._feature_oversampler import FeatureOversampler
from wellai_exp.imbalance._focal import Focal
from wellai_exp.imbalance._index_resampler import IndexResampler
from wellai_exp.imbalance._logit_adjustment import LogitAdjustment
from wellai_exp.imbalance._none import NoStrategy
from wellai_exp.imbalance._power_weight import PowerWeight
from wellai_exp.imbalance._random_over import RandomOver
from wellai_exp.imbalance._random_under import RandomUnder
from wellai_exp.imbalance._smote import Smote
from wellai_exp.imbalance._smote_enn import SmoteEnn
from wellai_exp.imbalance._smote_tomek import SmoteTomek
from wellai_exp.imbalance._svm_smote import SvmSmote
from wellai_exp.imbalance._tau_norm import TauNorm

__all__ = [
    "Adasyn",
    "BalancedSoftmax",
    "BatchPlan",
    "BorderlineSmote",
    "ClassBalancedBatches",
    "ClassWeight",
    "EffectiveNumber",
    "FeatureOversampler",
    "Focal",
    "IndexResampler",
    "LogitAdjustment",
    "NoStrategy",
    "PowerWeight",
    "RandomOver",
    "RandomUnder",
    "Resampled",
    "Smote",
    "SmoteEnn",
    "SmoteTomek",
    "Strategy",
    "SvmSmote",
    "TauNorm",
    "smoothed",
]
