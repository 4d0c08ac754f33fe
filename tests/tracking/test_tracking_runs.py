from __future__ import annotations

import io
import json
import math
import pickle
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from tracking_stores import tracking_in, write_run

from wellai_exp.errors import StoreError, WellaiError
from wellai_exp.tracking import Ending, Tracker, legal_key
from wellai_exp.tracking._names import legal_keys


@pytest.fixture
def tracker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Tracker:
    monkeypatch.chdir(tmp_path)
    return Tracker(tracking_in(tmp_path / "store"))


def _artifact(tracker: Tracker, run_id: str, path: str) -> bytes:
    (found,) = (tracker.tracking.store / "artifacts").rglob(f"{run_id}/artifacts/{path}")
    return found.read_bytes()


@pytest.mark.parametrize(
    ("raised", "status"),
    [(None, "FINISHED"), (ValueError("no"), "FAILED"), (KeyboardInterrupt(), "KILLED"), (SystemExit(1), "KILLED")],
)
def test_the_end_of_the_block_decides_the_status(tracker: Tracker, raised: BaseException | None, status: str) -> None:
    seen = ""
    try:
        with tracker.run("one", tags={"a": 1}) as run:
            seen = run.id
            if raised is not None:
                raise raised
    except BaseException as error:
        assert error is raised
    record = tracker.get(seen)
    assert record.status == status
    assert record.tags["a"] == "1"
    assert ("error" in record.tags) == (raised is not None)


def test_a_status_set_in_the_block_stays(tracker: Tracker) -> None:
    with tracker.run("pruned") as run:
        run.finish("KILLED")
    assert tracker.get(run.id).status == "KILLED"
    with pytest.raises(WellaiError, match="FINISHED, FAILED, KILLED"):
        run.finish("DONE")


def test_parameters_of_any_number_length_and_name(tracker: Tracker) -> None:
    values = {f"a[{index}]": "x" * 7_000 for index in range(230)} | {"none": None, "list": [1, 2]}
    with tracker.run("one") as run:
        run.log_params(values)
        run.log_params(values)
    kept = tracker.get(run.id).params
    assert len(kept) == 232
    assert len(kept["a_0_"]) == 6_000
    assert kept["a_0_"].endswith("[cut; 7000 characters in all]")
    assert (kept["none"], kept["list"]) == ("None", "[1, 2]")


def test_a_changed_parameter_of_a_resumed_run_becomes_a_tag(tracker: Tracker) -> None:
    with tracker.run("one") as run:
        run.log_params({"budget": 10, "seed": 0})
    with tracker.run("one", resume=run.id, tags={"again": True}) as again:
        assert tracker.get(run.id).status == "RUNNING"
        again.log_params({"budget": 20, "seed": 0, "more": 1})
    record = tracker.get(run.id)
    assert again.id == run.id
    assert record.status == "FINISHED"
    assert record.params == {"budget": "10", "seed": "0", "more": "1"}
    assert record.tags["changed.budget"] == "20"
    assert "changed.seed" not in record.tags


def test_a_run_that_does_not_exist_cannot_be_resumed(tracker: Tracker) -> None:
    with pytest.raises(StoreError, match="not found"), tracker.run("one", resume="0" * 32):
        pass


def test_metrics_with_names_of_classes(tracker: Tracker) -> None:
    metrics = {"recall.Child's_Pose": 0.5, "recall.Plank (low)": 0.25, "a[b]": 1.0, "a(b)": 2.0, "a_b_": 3.0}
    with tracker.run("one") as run:
        run.log_metrics(metrics, step=3)
        run.log_metrics({f"m{index}": float(index) for index in range(1_500)})
    kept = tracker.get(run.id).metrics
    assert kept["recall.Child_s_Pose"] == 0.5
    assert kept["a_b_"] == 3.0
    assert sorted(value for key, value in kept.items() if key.startswith("a_b_")) == [1.0, 2.0, 3.0]
    assert len(kept) == 1_505
    assert tracker.tracking.client().get_metric_history(run.id, "recall.Child_s_Pose")[0].step == 3


def test_values_that_are_not_finite_are_named_in_a_tag(tracker: Tracker) -> None:
    with tracker.run("one") as run:
        run.log_metrics({"loss": math.nan, "gap": -math.inf, "ok": 1.0}, step=2)
    record = tracker.get(run.id)
    assert record.metrics == {"ok": 1.0}
    assert record.tags["nonfinite_metrics"] == "loss=nan (step 2), gap=-inf (step 2)"


def test_several_steps_are_written_in_one_call(tracker: Tracker) -> None:
    with tracker.run("one") as run:
        run.log_steps({0: {"recall.Child's": 0.5, "loss": math.nan}, 1: {"recall.Child's": 0.75}, 4: {}})
    record = tracker.get(run.id)
    history = tracker.tracking.client().get_metric_history(run.id, "recall.Child_s")
    assert [(point.step, point.value) for point in history] == [(0, 0.5), (1, 0.75)]
    assert record.metrics == {"recall.Child_s": 0.75}
    assert record.tags["nonfinite_metrics"] == "loss=nan (step 0)"


@given(st.text())
def test_any_text_becomes_a_name_that_mlflow_takes(name: str) -> None:
    from mlflow.utils.validation import (
        _validate_metric,
        _validate_metric_name,
        _validate_param_name,
        _validate_tag_name,
    )

    key = legal_key(name)
    assert key == legal_key(name)
    _validate_metric(key, 1.0, 0, 0)  # type: ignore[no-untyped-call]
    for validate in (_validate_metric_name, _validate_param_name, _validate_tag_name):
        validate(key)  # type: ignore[no-untyped-call]
    assert legal_key(key) == key


@given(st.lists(st.text(alphabet="ab[]()_/.'", max_size=6), unique=True))
def test_different_names_never_share_a_key(names: list[str]) -> None:
    keys = legal_keys(names)
    assert len(set(keys.values())) == len(names)


def test_artifacts_come_back_as_they_were(tracker: Tracker, tmp_path: Path) -> None:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib.figure import Figure

    table = pd.DataFrame({"class": ["Child's pose", "a,b"], "recall": [0.5, 1.0]})
    figure = Figure()
    figure.subplots().plot([0, 1])
    (tmp_path / "some.bin").write_bytes(b"\0\1")
    with tracker.run("one") as run:
        run.log_text("häst\n", "notes/a.txt")
        run.log_dict({"z": 1, "a": ["é"]}, "config.yaml")
        run.log_dict({"z": 1}, "config.json")
        run.log_table(table, "tables/classes.csv")
        run.log_table(table.set_index("class"), "indexed.csv")
        run.log_figure(figure, "figures/curve.png")
        run.log_file(tmp_path / "some.bin", "files")
    assert _artifact(tracker, run.id, "notes/a.txt").decode() == "häst\n"
    assert yaml.safe_load(_artifact(tracker, run.id, "config.yaml")) == {"z": 1, "a": ["é"]}
    assert json.loads(_artifact(tracker, run.id, "config.json")) == {"z": 1}
    for path in ("tables/classes.csv", "indexed.csv"):
        pd.testing.assert_frame_equal(pd.read_csv(io.BytesIO(_artifact(tracker, run.id, path))), table)
    assert _artifact(tracker, run.id, "figures/curve.png").startswith(b"\x89PNG")
    assert _artifact(tracker, run.id, "files/some.bin") == b"\0\1"
    listed = tracker.tracking.client().list_artifacts(run.id)
    assert {item.path for item in listed} >= {"notes", "config.yaml", "tables", "figures"}


def test_a_figure_of_another_format_is_refused(tracker: Tracker) -> None:
    from matplotlib.figure import Figure

    with tracker.run("one") as run, pytest.raises(WellaiError, match=r"'curve\.svg' needs a name that ends with \.png"):
        run.log_figure(Figure(), "curve.svg")


def _pr_table(rows: int) -> pd.DataFrame:
    shares = [1 / (3 + row) for row in range(rows)]
    return pd.DataFrame(
        {"class": ["Child's pose", "나무 자세"][:rows] * (rows // 2), "precision": shares, "recall": math.nan}
    )


def test_tables_of_many_runs_are_queried_together(tracker: Tracker, monkeypatch: pytest.MonkeyPatch) -> None:
    tables = {}
    for rows in (2, 4):
        with tracker.run(f"run of {rows}") as run:
            run.log_queryable(_pr_table(8), "test/pr_table.json")
            run.log_queryable(_pr_table(rows), "test/pr_table.json")
            run.log_queryable(_pr_table(2), "test/thresholds.json")
        tables[run.id] = _pr_table(rows)
    with tracker.run("without a table"):
        pass
    # MLflow looks for the runs where the process points, whatever its client was made with.
    monkeypatch.setenv("MLFLOW_TRACKING_URI", tracker.tracking.resolved_uri)
    client = tracker.tracking.client()
    read = client.load_table(tracker.experiment_id, "test/pr_table.json", extra_columns=["run_id"])
    assert set(read["run_id"]) == set(tables)
    for run_id, table in tables.items():
        part = read[read["run_id"] == run_id].drop(columns="run_id").reset_index(drop=True)
        pd.testing.assert_frame_equal(part, table, check_dtype=False, rtol=1e-14, atol=0)
    alone = client.load_table(tracker.experiment_id, "test/thresholds.json", run_ids=[run.id])
    assert len(alone) == 2


@pytest.mark.parametrize("path", ["table.csv", "a,b.json", "Child's.json", "a[0].json", "../a.json"])
def test_a_table_that_mlflow_could_not_read_again_is_refused(tracker: Tracker, path: str) -> None:
    with tracker.run("one") as run, pytest.raises(WellaiError, match=r"ends with \.json|artifact path"):
        run.log_queryable(_pr_table(2), path)


@pytest.mark.parametrize("path", ["", "/etc/x.txt", "../x.txt", "a/../b.txt", "a//b.txt", ".", "a\\b.txt"])
def test_an_artifact_stays_in_its_run(tracker: Tracker, path: str) -> None:
    with tracker.run("one") as run, pytest.raises(WellaiError, match="artifact path"):
        run.log_text("x", path)


def test_the_data_set_has_our_digest(tracker: Tracker) -> None:
    with tracker.run("one") as run:
        run.log_dataset("yoga", "0123456789" * 6, "mlruns/manifests/yoga.parquet", 3_138, {"classes": 62}, "test")
    inputs = tracker.tracking.client().get_run(run.id).inputs
    assert inputs is not None
    (item,) = inputs.dataset_inputs
    assert (item.dataset.name, item.dataset.digest) == ("yoga", ("0123456789" * 6)[:36])
    assert json.loads(item.dataset.profile or "") == {"num_rows": 3_138, "classes": 62}
    assert [(tag.key, tag.value) for tag in item.tags] == [("mlflow.data.context", "test")]


def _trial(tracker: Tracker, parent: str | None, number: int, **more: Any) -> str:
    return write_run(
        tracker,
        f"trial {number}",
        parent=parent,
        tags={"trial": number},
        params={f"p[{index}]": index for index in range(150)},
        metrics={"score": number / 10, "bad": math.inf},
        texts={"overrides.txt": "imbalance=smote\n", "tables/x.csv": "a,b\n1,2\n"},
        **more,
    )


def test_a_trial_is_a_whole_run(tracker: Tracker) -> None:
    with tracker.run("sweep") as sweep:
        run_id = _trial(tracker, sweep.id, 3, status="KILLED")
    (record,) = tracker.children(sweep.id)
    assert (record.id, record.name, record.status) == (run_id, "trial 3", "KILLED")
    assert record.metrics == {"score": 0.3}
    assert len(record.params) == 150
    assert record.tags["mlflow.parentRunId"] == sweep.id
    assert record.tags["nonfinite_metrics"] == "bad=inf (step 0)"
    assert _artifact(tracker, run_id, "tables/x.csv") == b"a,b\n1,2\n"


def test_runs_are_found_page_by_page(tracker: Tracker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wellai_exp.tracking._tracker._PAGE", 3)
    with tracker.run("sweep", tags={"study": 'it\'s "odd"'}) as sweep:
        ids = [_trial(tracker, sweep.id, number) for number in range(8)]
    with tracker.run("another"):
        pass
    assert [record.id for record in tracker.children(sweep.id)] == ids
    assert tracker.find_run({"trial": 5}) == ids[5]
    assert tracker.find_run({"trial": 5, "mlflow.parentRunId": sweep.id}, "FINISHED") == ids[5]
    assert tracker.find_run({"trial": 5}, "RUNNING") is None
    assert tracker.find_run({"study": 'it\'s "odd"'}) == sweep.id
    assert tracker.find_run({"study": "it's"}) is None


def test_the_newest_of_several_runs_is_found(tracker: Tracker) -> None:
    old = _trial(tracker, None, 1)
    time.sleep(0.002)  # MLflow counts milliseconds
    new = _trial(tracker, None, 1)
    assert old != new
    assert tracker.find_run({"trial": 1}) == new


def test_what_a_stopped_process_left_behind_is_mended(tracker: Tracker) -> None:
    client, experiment = tracker.tracking.client(), tracker.experiment_id
    parent = client.create_run(experiment).info.run_id
    nested = {"mlflow.parentRunId": parent}
    done, undone = (client.create_run(experiment, tags={**nested, "trial": name}).info.run_id for name in ("7", "8"))
    recorded, unrecorded = _trial(tracker, parent, 0), _trial(tracker, parent, 1)
    stopped = client.create_run(experiment, tags={**nested, "trial": "9", "error": "Terminated: "}).info.run_id
    client.set_terminated(stopped, "KILLED", 1_000)
    another = client.create_run(experiment, tags={**nested, "trial": "of another study"}).info.run_id
    stranger = client.create_run(experiment).info.run_id
    known = {"7": True, "0": True, "9": True, "of another study": None}

    assert tracker.reconcile(parent, lambda tags: known.get(tags.get("trial", ""), False)) == 5
    runs = (parent, done, undone, recorded, unrecorded, stopped, another, stranger)
    assert {run: tracker.get(run).status for run in runs} == {
        parent: "KILLED",
        done: "FINISHED",
        undone: "KILLED",
        recorded: "FINISHED",
        unrecorded: "KILLED",
        stopped: "FINISHED",
        another: "RUNNING",
        stranger: "RUNNING",
    }
    # It was done when it was stopped, and nothing went wrong with it.
    assert "error" not in tracker.get(stopped).tags
    assert client.get_run(stopped).info.end_time == 1_000
    assert tracker.reconcile(parent, lambda tags: known.get(tags.get("trial", ""), False)) == 0


def test_an_attempt_has_one_run_whatever_its_worker_left(tracker: Tracker) -> None:
    client, experiment = tracker.tracking.client(), tracker.experiment_id
    parent = client.create_run(experiment).info.run_id
    running = client.create_run(experiment, tags={"trial": "1"}).info.run_id
    assert tracker.settle(parent, Ending("1", {"trial": 1}, "KILLED", "its worker was lost")) == running
    assert (tracker.get(running).status, tracker.get(running).tags["error"]) == ("KILLED", "its worker was lost")
    ended = _trial(tracker, parent, 2)
    assert tracker.settle(parent, Ending("2", {"trial": 2}, "FINISHED")) == ended
    assert tracker.get(ended).status == "FINISHED"
    # It says FINISHED, but the study has no value of it.
    tracker.settle(parent, Ending("2", {"trial": 2}, "KILLED"))
    assert tracker.get(ended).status == "KILLED"
    missing = tracker.settle(parent, Ending("3 cut off", {"trial": 3}, "KILLED"))
    assert tracker.settle(parent, Ending("3 cut off", {"trial": 3}, "KILLED")) == missing
    assert [(each.name, each.status) for each in tracker.children(parent)][-1] == ("3 cut off", "KILLED")


def test_a_tracker_can_be_sent_to_a_worker(tracker: Tracker) -> None:
    run_id = _trial(tracker, None, 1)
    assert pickle.loads(pickle.dumps(tracker)).get(run_id).metrics == {"score": 0.1}


def test_a_store_that_was_taken_away_is_told_in_one_line(tracker: Tracker, capsys: pytest.CaptureFixture[str]) -> None:
    import sqlite3

    _trial(tracker, None, 1)
    with sqlite3.connect(tracker.tracking.store / "mlflow.db") as connection:
        connection.execute("DROP TABLE params")
    connection.close()
    with pytest.raises(StoreError, match=r"^tracking\.uri=.*no such table") as caught:
        _trial(tracker, None, 2)
    assert "\n" not in str(caught.value)
    assert "Traceback" not in capsys.readouterr().err


def test_another_experiment_of_the_store_is_found_by_its_id(tracker: Tracker) -> None:
    other = Tracker(replace(tracker.tracking, experiment="나무 [2]"))
    run_id = write_run(other, "there", tags={"kind": "x"})
    record = tracker.get(run_id)
    assert tracker.experiments()[record.experiment] == "나무 [2]"
    assert tracker.find_run({"kind": "x"}) is None
    assert tracker.within(record.experiment).find_run({"kind": "x"}) == run_id
    with pytest.raises(StoreError, match="77 was deleted"):
        tracker.within("77")
