"""What each artifact of a bundle does before a camera, in each of its runtimes."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
from omegaconf import DictConfig
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from wellai_exp.benchmark import (
    CameraFrames,
    Frames,
    StreamResult,
    StreamTask,
    VideoFrames,
    machine,
    measure_stream,
)
from wellai_exp.config import build
from wellai_exp.data import build_manifest, read_video
from wellai_exp.errors import SettingError, TrialFailed
from wellai_exp.evaluation import stream_figure
from wellai_exp.export import SUMS_FILE, Artifact, BrowserRuntime, Bundle, Runtime, read_bundle
from wellai_exp.paths import ensure_dir, sha256_of
from wellai_exp.seeding import generator
from wellai_exp.tracking import Run
from wellai_exp.verbs._listed import listed
from wellai_exp.verbs._numbers import real_number, whole_number
from wellai_exp.verbs._provenance import provenance
from wellai_exp.verbs._runtimes import runtime_named, runtime_names
from wellai_exp.verbs._screen import Speaker
from wellai_exp.verbs._workbench import open_tracker

_PICTURES = 60
_IN_A_BROWSER = "In a browser the page itself is the camera, and decodes JPEG pictures, those of a video too."
# What stands above and below in each column.
_HEADINGS = (
    "FPS\ndropped",
    "latency\np50 (ms)",
    "p95\np99",
    "decode\nprepare",
    "infer\nwait",
    "memory\nsize (MB)",
    "load\n(s)",
)
_PARTS = ("decode", "preprocess", "inference", "wait")


@dataclass(frozen=True)
class Row:
    """An artifact in a runtime, and what was found.

    Parameters
    ----------
    artifact : Artifact
        What was run.
    runtime : Runtime
        What ran it.
    results : tuple of StreamResult
        One a round; none where it could not be measured.
    problem : str
        Why.
    """

    artifact: Artifact
    runtime: Runtime
    results: tuple[StreamResult, ...] = ()
    problem: str = ""

    @property
    def name(self) -> str:
        """Name both."""
        return f"{self.artifact.name}/{self.runtime.name}"

    def figures(self) -> dict[str, float]:
        """Give all figures by name, each the median of its rounds; none where it could not be measured."""
        rounds = [self._of(result) for result in self.results]
        return {name: float(np.median([each[name] for each in rounds])) for name in (rounds[0] if rounds else ())}

    def _of(self, result: StreamResult) -> dict[str, float]:
        stream = result.stream
        p50, p95, p99 = np.percentile(stream.milliseconds("latency"), [50, 95, 99]).tolist()
        parts = {f"{part}_ms": float(np.median(stream.milliseconds(part))) for part in _PARTS}
        return {
            "fps": stream.effective_fps,
            "captured": stream.captured,
            "dropped": stream.dropped,
            "dropped_share": stream.dropped_share,
            "latency_p50_ms": p50,
            "latency_p95_ms": p95,
            "latency_p99_ms": p99,
            **parts,
            "memory_mb": result.memory_mb,
            "memory_before_mb": result.before_mb,
            "load_s": result.load_s,
            "size_mb": self.artifact.size_mb,
        }


def stream_benchmark(cfg: DictConfig) -> None:
    """Feed each artifact in each runtime, log what was found, and show it."""
    if cfg.what is not None:
        raise SettingError("what", cfg.what, "a bundle is measured before a camera and no other way", "leave it out")
    bundle = read_bundle(Path(str(cfg.bundle)))
    threads = whole_number("threads", cfg.threads, "set threads=1", least=1)
    pairs = _pairs(bundle, _artifacts(bundle, listed(cfg.artifacts)), listed(cfg.runtimes), threads)
    tasks = _tasks(cfg, bundle, pairs)
    rounds = whole_number("rounds", cfg.rounds, "set rounds=3", least=1)
    tracker, console = open_tracker(cfg), Console()
    tags = {
        **provenance(int(cfg.seed)),
        "wellai.kind": "benchmark",
        "wellai.bundle": bundle.title,
        "wellai.bundle_sha256": sha256_of(bundle.folder / SUMS_FILE),
        "wellai.bundle_model_sha256": bundle.model_sha256,
        "wellai.machine": machine(),
        "wellai.load_average": f"{os.getloadavg()[0]:.1f}",
    }
    with tracker.run(f"benchmark {bundle.title} at {tasks[0].fps:g} FPS", tags=tags) as run:
        with Speaker(console).line("before the camera") as speaker:
            rows = [Row(artifact, runtime) for artifact, runtime in pairs]
            # In turn: what slows the machine down for a minute meets one round of each, and no artifact alone.
            for number in range(rounds):
                for index, task in enumerate(tasks):
                    row = rows[index]
                    said = f"{row.artifact.name} in {row.runtime.name}, {index + 1} of {len(rows)}"
                    speaker.say(f"{said}, round {number + 1} of {rounds}")
                    rows[index] = _measured(row, task)
        _log(run, rows, tasks[0], threads)
        console.print(_table(rows, tasks[0], bundle))
        _say_problems(console, rows)
        console.print(
            f"threads: {threads}, batch: {tasks[0].batch}; {machine()}; load average {tags['wellai.load_average']} "
            "when it began",
            highlight=False,
            soft_wrap=True,
        )
        if any(row.results and isinstance(row.runtime, BrowserRuntime) for row in rows):
            console.print(_IN_A_BROWSER, highlight=False, soft_wrap=True)
        if not any(row.results for row in rows):
            raise SettingError("runtimes", ",".join(sorted({row.runtime.name for row in rows})),
                "nothing could be measured, see above", "name others")  # fmt: skip
    console.print(Text(f"run {run.id} of experiment {cfg.name} has the plot; look at it with wellai-exp ui"))


def _artifacts(bundle: Bundle, asked: Sequence[object]) -> list[Artifact]:
    """Give the artifacts asked for; of all, those that are known not to give what Keras gives are left out."""
    if asked:
        return [bundle.artifact(str(name)) for name in asked]
    return [artifact for artifact in bundle.artifacts if artifact.fit is not False]


def _pairs(
    bundle: Bundle, artifacts: Sequence[Artifact], asked: Sequence[object], threads: int
) -> list[tuple[Artifact, Runtime]]:
    """Bring each artifact together with each runtime that reads it."""
    runtimes = [runtime_named(str(name), "runtimes") for name in asked or runtime_names()]
    formats = {artifact.format for artifact in artifacts}
    for runtime in runtimes:
        if asked and runtime.format not in formats:
            raise SettingError(
                "runtimes",
                runtime.name,
                f"it reads {runtime.format}, and what is to be measured of {bundle.folder} is "
                f"{', '.join(sorted(formats)) or 'nothing'}",
                "name others, or export that target",
            )
    pairs = [
        (artifact, replace(runtime, threads=threads))
        for artifact in artifacts
        for runtime in runtimes
        if runtime.format == artifact.format
    ]
    if not pairs:
        raise SettingError(
            "artifacts",
            ",".join(artifact.name for artifact in artifacts) or "[]",
            f"{bundle.folder} holds nothing that is fit and that a runtime here reads",
            "name one with artifacts=[NAME] to measure it all the same",
        )
    return pairs


def _tasks(cfg: DictConfig, bundle: Bundle, pairs: Sequence[tuple[Artifact, Runtime]]) -> list[StreamTask]:
    fps = real_number("fps", cfg.fps, "set fps=30")
    seconds = real_number("seconds", 5 if cfg.seconds is None else cfg.seconds, "set seconds=5")
    batch = whole_number("batch", cfg.batch, "set batch=1")
    frames = _frames(cfg)
    return [
        StreamTask(runtime, bundle.path(artifact), artifact.size, bundle.resize, frames, fps, seconds, batch)
        for artifact, runtime in pairs
    ]


def _frames(cfg: DictConfig) -> Frames:
    """Give the video, or pictures from the data's test part."""
    if cfg.video is not None:
        path = Path(str(cfg.video)).expanduser().absolute()
        # What is no video is told now, and not once a runtime.
        next(read_video(path))
        return VideoFrames(path)
    manifest = build_manifest(
        build(cfg, "data"), build(cfg, "split"), ensure_dir(Path(str(cfg.paths.store)), "paths.store")
    )
    rows = generator(int(cfg.seed), "benchmark", "stream").permutation(manifest.test)[:_PICTURES]
    return CameraFrames.of(manifest.files(int(row) for row in rows))


def _measured(row: Row, task: StreamTask) -> Row:
    """Give the row with one more round; what could not be measured once is not tried again."""
    if row.problem:
        return row
    try:
        return replace(row, results=(*row.results, measure_stream(task)))
    except TrialFailed as failed:
        return replace(row, results=(), problem=str(failed))


def _log(run: Run, rows: Sequence[Row], task: StreamTask, threads: int) -> None:
    found = [row for row in rows if row.results]
    rounds = max((len(row.results) for row in found), default=0)
    feed = {"fps": task.fps, "seconds": task.seconds, "rounds": rounds, "frames": task.frames.title}
    run.log_params({**feed, "batch": task.batch, "threads": threads})
    run.log_metrics({f"{row.name}/{name}": value for row in found for name, value in row.figures().items()})
    run.log_table(
        pd.DataFrame(
            [
                {"artifact": row.artifact.name, "runtime": row.runtime.name, **row.figures(), "problem": row.problem}
                for row in rows
            ]
        ),
        "stream.csv",
    )
    run.log_table(_every_answer(found), "answers.csv")
    latencies = {
        row.name: np.concatenate([result.stream.milliseconds("latency") for result in row.results]) for row in found
    }
    dropped = [row.figures()["dropped_share"] for row in found]
    run.log_figure(stream_figure(latencies, dropped, task.fps, task.frames.title), "stream.png")


def _every_answer(rows: Sequence[Row]) -> pd.DataFrame:
    """Give one line a frame that was answered, milliseconds."""
    columns: list[Mapping[str, object]] = [
        {
            "artifact": row.artifact.name,
            "runtime": row.runtime.name,
            "round": number,
            "frame": answer.slot,
            **{f"{part}_ms": round(1000 * getattr(answer, part), 4) for part in ("latency", *_PARTS)},
        }
        for row in rows
        for number, result in enumerate(row.results)
        for answer in result.stream.answers
    ]
    return pd.DataFrame(columns)


def _table(rows: Sequence[Row], task: StreamTask, bundle: Bundle) -> Table:
    rounds = max(len(row.results) for row in rows)
    feed = f"{rounds} rounds of {task.seconds:g} s of {task.frames.title}"
    title = f"{bundle.title} before a camera of {task.fps:g} FPS: {feed}"
    table = Table(title=Text(title), title_justify="left", box=box.SIMPLE_HEAD)
    table.add_column("artifact\n  runtime", overflow="fold", min_width=14)
    for heading in _HEADINGS:
        table.add_column(heading, justify="right")
    for row in rows:
        known = row.figures()
        if not known:
            continue
        # Two lines a row, so that a terminal of 80 columns holds all.
        table.add_row(
            f"{row.artifact.name}\n  {row.runtime.name}",
            f"{known['fps']:.1f}\n{100 * known['dropped_share']:.1f} %",
            f"{known['latency_p50_ms']:.1f}\n",
            f"{known['latency_p95_ms']:.1f}\n{known['latency_p99_ms']:.1f}",
            f"{known['decode_ms']:.2f}\n{known['preprocess_ms']:.2f}",
            f"{known['inference_ms']:.2f}\n{known['wait_ms']:.2f}",
            f"{known['memory_mb']:.0f}\n{known['size_mb']:.2f}",
            f"{known['load_s']:.2f}",
        )
    return table


def _say_problems(console: Console, rows: Sequence[Row]) -> None:
    for row in rows:
        if row.problem:
            console.print(Text(f"{row.artifact.name} in {row.runtime.name}: {row.problem}", style="yellow"))
