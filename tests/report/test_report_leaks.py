"""Test images that the model has as good as seen: every page says so, with the scores without them."""

from __future__ import annotations

import numpy as np
import pytest
from test_report_sections import generated, texts_of

from wellai_exp.evaluation import Evaluation
from wellai_exp.metrics import ArrayError
from wellai_exp.report import CardFacts, Table, evaluation_sections, leaks_sentence, model_card

ROWS = 210


def leaky(share: float) -> Evaluation:
    """Give predictions that are right wherever the image is leaked."""
    plain = generated()
    leaked = np.arange(ROWS) < share * ROWS
    sure = np.where(leaked[:, None], np.eye(plain.n_classes)[plain.labels], plain.probabilities)
    return Evaluation(plain.labels, sure, plain.class_names, leaked=leaked)


def test_the_scores_without_the_leaked_images_are_those_of_the_others_alone() -> None:
    evaluation = leaky(0.5)
    honest = evaluation.without_leaked
    assert honest is not None
    rows = np.flatnonzero(~np.asarray(evaluation.leaked))
    alone = Evaluation(evaluation.labels[rows], evaluation.probabilities[rows], evaluation.class_names)
    assert honest.aggregates == pytest.approx(alone.aggregates, nan_ok=True)
    assert honest.aggregates["accuracy"] < evaluation.aggregates["accuracy"]
    sentence = leaks_sentence(evaluation)
    assert sentence.startswith("105 of the 210 test images")
    assert f"accuracy {evaluation.aggregates['accuracy']:.3f}" in sentence
    assert f"{alone.aggregates['accuracy']:.3f} and {alone.aggregates['auc_pr_macro']:.3f} without" in sentence


def test_the_page_tabulates_both_and_the_card_warns() -> None:
    evaluation = leaky(0.5)
    section = next(each for each in evaluation_sections(evaluation) if each.title == "Leaked images")
    (table,) = [block for block in section.blocks if isinstance(block, Table)]
    accuracy = next(row for row in table.frame.itertuples(index=False) if str(row[0]) == "Accuracy")
    honest = evaluation.without_leaked
    assert honest is not None
    assert list(accuracy[1:3]) == [evaluation.aggregates["accuracy"], honest.aggregates["accuracy"]]
    assert accuracy[3] == pytest.approx(accuracy[1] - accuracy[2])
    assert leaks_sentence(evaluation) in texts_of(model_card(CardFacts(name="poses"), evaluation))


def test_where_all_are_leaked_there_is_no_honest_score() -> None:
    evaluation = leaky(1.0)
    assert evaluation.without_leaked is None
    assert leaks_sentence(evaluation).startswith("Each of the 210 test images")
    assert "Leaked images" in [section.title for section in evaluation_sections(evaluation)]


def test_none_and_unknown_are_told_apart() -> None:
    apart, unknown = leaky(0.0), generated()
    for evaluation in (apart, unknown):
        assert leaks_sentence(evaluation) == ""
        assert "Leaked images" not in [section.title for section in evaluation_sections(evaluation)]
    clean, silent = (texts_of(model_card(CardFacts(name="poses"), each)) for each in (apart, unknown))
    assert "None of them has a near-duplicate among the training images" in clean
    assert "Whether test images have near-duplicates" not in clean
    assert "Whether test images have near-duplicates" in silent
    assert "None of them has a near-duplicate" not in silent


def test_as_many_marks_as_rows() -> None:
    with pytest.raises(ArrayError, match="210 rows but 3 leaked"):
        Evaluation(generated().labels, generated().probabilities, generated().class_names, leaked=np.ones(3, bool))
