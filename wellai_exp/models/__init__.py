"""Backbones that turn photographs into features, and heads that turn features into classes."""

from wellai_exp.models._application import Application
from wellai_exp.models._backbone import Backbone
from wellai_exp.models._blocks import blocks, set_trainable
from wellai_exp.models._crossed import crossed_logits, partners
from wellai_exp.models._folding import folded
from wellai_exp.models._fusion import Fusion
from wellai_exp.models._grad_cam import grad_cam
from wellai_exp.models._heads import CosineHead, FittedHead, Head, LinearHead, MLPHead, Scaler, assemble
from wellai_exp.models._hierarchy import HierarchicalHead
from wellai_exp.models._move_net import MoveNet
from wellai_exp.models._person import PersonModel
from wellai_exp.models._small_conv import SmallConvNet

__all__ = [
    "Application",
    "Backbone",
    "CosineHead",
    "FittedHead",
    "Fusion",
    "Head",
    "HierarchicalHead",
    "LinearHead",
    "MLPHead",
    "MoveNet",
    "PersonModel",
    "Scaler",
    "SmallConvNet",
    "assemble",
    "blocks",
    "crossed_logits",
    "folded",
    "grad_cam",
    "partners",
    "set_trainable",
]
