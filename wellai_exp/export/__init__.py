"""A registered model as files for the runtimes where it will live, each checked there against Keras."""

from wellai_exp.export._browser import BrowserOpened, BrowserRuntime, browser_flags, find_chromium
from wellai_exp.export._browser_engines import LiteRTJs, TfJs
from wellai_exp.export._bundle import BUNDLE_FILE, SUMS_FILE, Artifact, Bundle, read_bundle, seal_bundle
from wellai_exp.export._folder import fresh_bundle
from wellai_exp.export._graph import random_operations, write_saved_model
from wellai_exp.export._litert import LiteRT
from wellai_exp.export._onnx import Onnx
from wellai_exp.export._onnxruntime import OnnxRuntime
from wellai_exp.export._opened import Opened
from wellai_exp.export._parity import ParityRules, Reference, check_artifact
from wellai_exp.export._runtime import Loaded, Runtime, random_frames
from wellai_exp.export._runtimes import all_runtimes
from wellai_exp.export._saved_model import SavedModelFolder
from wellai_exp.export._site import Site, bundle_site
from wellai_exp.export._sized import at_size
from wellai_exp.export._target import Served, Target
from wellai_exp.export._targets import target_named
from wellai_exp.export._tensorflow import Keras, SavedModel
from wellai_exp.export._tfjs import TfJsGraph
from wellai_exp.export._tflite import TFLite
from wellai_exp.export._vendor import add_page, page_libraries

__all__ = [
    "BUNDLE_FILE",
    "SUMS_FILE",
    "Artifact",
    "BrowserOpened",
    "BrowserRuntime",
    "Bundle",
    "Keras",
    "LiteRT",
    "LiteRTJs",
    "Loaded",
    "Onnx",
    "OnnxRuntime",
    "Opened",
    "ParityRules",
    "Reference",
    "Runtime",
    "SavedModel",
    "SavedModelFolder",
    "Served",
    "Site",
    "TFLite",
    "Target",
    "TfJs",
    "TfJsGraph",
    "add_page",
    "all_runtimes",
    "at_size",
    "browser_flags",
    "bundle_site",
    "check_artifact",
    "find_chromium",
    "fresh_bundle",
    "page_libraries",
    "random_frames",
    "random_operations",
    "read_bundle",
    "seal_bundle",
    "target_named",
    "write_saved_model",
]
