"""``fit_once.py OVERRIDES``: what a trial's configuration scores on the test part, and how long fitting it takes.

The arguments are those of the line that an MLflow run carries in ``wellai.reproduce``. Neither cross-validation nor
evidence is computed.
"""

from __future__ import annotations

import json
import time

from common import auc_pr_macro
from omegaconf import DictConfig

from wellai_exp.cli import main
from wellai_exp.verbs import train
from wellai_exp.verbs._workbench import Workbench, make_choices


def measure(cfg: DictConfig) -> None:
    """Fit on the training part, predict the test part and print both figures."""
    bench, choices = Workbench.open(cfg), make_choices(cfg)
    began = time.perf_counter()
    fitted = bench.task(cfg).fit(choices)
    seconds = time.perf_counter() - began
    score = auc_pr_macro(bench.manifest.labels[bench.manifest.test], fitted.probabilities)
    print(json.dumps({"seconds": seconds, "test": score}))


train.run = measure
main()
