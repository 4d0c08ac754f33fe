"""AutoKeras' image classifier, which without a network to fetch weights from starts from nothing."""

from __future__ import annotations

import tempfile
from typing import Any

import autokeras
import keras_tuner
from common import Contest
from networks import Offering, fit_arguments, one_vs_rest_auc_pr


class Head(autokeras.ClassificationHead):  # type: ignore[misc]
    """AutoKeras 3.0's head, which hands Keras a number of NumPy's where Keras 3.15 wants Python's."""

    def build(self, hp: Any, inputs: Any = None) -> Any:
        """Build it."""
        self.shape: list[int] = [int(side) for side in self.shape]
        return super().build(hp, inputs)


def main() -> None:
    """Search until stopped."""
    contest = Contest()
    arguments, test = fit_arguments(contest), contest.read("test")

    image = autokeras.ImageInput()
    seen = autokeras.ImageAugmentation(vertical_flip=False)(autokeras.Normalization()(image))
    # Its other blocks fetch ImageNet weights.
    features: Any = autokeras.ResNetBlock(pretrained=False)(seen)
    head = Head(num_classes=contest.n_classes, metrics=[one_vs_rest_auc_pr(contest.n_classes)])(features)
    search = autokeras.AutoModel(
        image,
        head,
        max_trials=10_000,
        objective=keras_tuner.Objective("val_auc_pr", "max"),
        directory=tempfile.mkdtemp(),
        seed=contest.seed + 1,  # KerasTuner takes 0 for none
    )
    search.fit(
        **arguments,
        callbacks=[Offering(contest, test)],
    )


if __name__ == "__main__":
    main()
