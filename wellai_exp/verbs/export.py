"""Write a model in every format as one folder, each artifact run in its own runtime and compared with Keras."""

from __future__ import annotations

import shlex
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf
from rich.console import Console
from rich.progress import Progress
from rich.text import Text

from wellai_exp.config import build
from wellai_exp.errors import SettingError, StoreError, TrialFailed
from wellai_exp.evaluation import slimming_figure
from wellai_exp.export import (
    Artifact,
    Bundle,
    ParityRules,
    Reference,
    Runtime,
    Served,
    Target,
    add_page,
    all_runtimes,
    at_size,
    check_artifact,
    fresh_bundle,
    seal_bundle,
    write_saved_model,
)
from wellai_exp.paths import ensure_dir
from wellai_exp.promotion import PARITY_TAG, UNFIT_TAG, part_of
from wellai_exp.rendering import png
from wellai_exp.runtime import prepare_tensorflow
from wellai_exp.tracking import ModelRef, Registry, load
from wellai_exp.verbs._export_card import PICTURE, CardMaker, Known, export_path, licence_notes, write_notes
from wellai_exp.verbs._export_images import ExportImages
from wellai_exp.verbs._export_table import artifact_rows, artifacts_table, largest_difference, problems_of
from wellai_exp.verbs._listed import listed
from wellai_exp.verbs._numbers import whole_number
from wellai_exp.verbs._workbench import open_tracker

_METRIC = "auc_pr_macro"


def run(cfg: DictConfig) -> None:
    """Export; what is written is whole, verified, attached to its version, and named in the last line."""
    store = ensure_dir(Path(str(cfg.paths.store)), "paths.store")
    targets, rules, seed = _targets(cfg), build(cfg, "parity"), whole_number("seed", cfg.seed, "set seed=0")
    precision = _precision(cfg)
    tracker = open_tracker(cfg)
    registry = Registry(tracker.tracking)
    ref = registry.resolve(str(cfg.model))
    sizes = [whole_number("sizes", size, "set sizes=[160,224]", least=1) for size in listed(cfg.sizes)] or [ref.size]
    place = Path(str(cfg.out)) if cfg.out is not None else store / "bundles" / _folder_name(ref)
    prepare_tensorflow()
    known, images = Known.of(tracker, ref), ExportImages(ref, store, seed)
    model, console = load(ref), Console()
    with fresh_bundle(place, "out") as folder:
        thresholds, rows = known.thresholds(len(ref.class_names), precision)
        bundle = _bundle(folder, ref, images, thresholds, rows)
        maker = Maker(folder, ref, model, images, rules, seed, all_runtimes(store))
        with Progress(console=console) as shown:
            bundle = maker.make(bundle, targets, list(dict.fromkeys(sizes)), shown)
        bundle = _with_page(bundle, store)
        write_notes(folder, bundle, licence_notes(ref, str(cfg.card.licence or "")))
        picture = slimming_figure(_for_picture(bundle), _METRIC, maker.keras_score)
        (folder / PICTURE).write_bytes(png(picture))
        checked = max((len(each.images) for each in maker.references.values()), default=0)
        CardMaker(ref, model, known, cfg.card, seed).write(folder, bundle, checked, picture)
        sha256 = seal_bundle(bundle)
        # From here and not from its place, where another export may lie by then.
        registry.attach(ref, folder, export_path(part_of(ref)), _tags(bundle, sha256, targets))
    _show(console, bundle, place, store)


@dataclass(eq=False)
class Maker:
    """Writes and checks the artifacts of one bundle.

    Parameters
    ----------
    folder : Path
        The bundle's.
    ref : ModelRef
        The model's verified file.
    model : keras.Model
        The same, loaded.
    images : ExportImages
        Its data.
    rules : ParityRules
        What an artifact must reach.
    seed : int
        Of the intervals.
    runtimes : sequence of Runtime
        Those that it may be run in.
    """

    folder: Path
    ref: ModelRef
    model: Any
    images: ExportImages
    rules: ParityRules
    seed: int
    runtimes: Sequence[Runtime]

    def __post_init__(self) -> None:
        self.references: dict[int, Reference] = {}
        self.keras_score: float | None = None

    def make(self, bundle: Bundle, targets: Sequence[Target], sizes: Sequence[int], shown: Progress) -> Bundle:
        """Write every target at every size."""
        artifacts: list[Artifact] = []
        missing: dict[str, str] = {}
        task = shown.add_task("exporting", total=len(targets) * len(sizes))
        for size in sizes:
            names = {target.name: self._name(target, size) for target in targets}
            try:
                model = at_size(self.model, size)
                with tempfile.TemporaryDirectory(prefix="wellai-") as scratch:
                    write_saved_model(model, Path(scratch) / "served")
                    served = Served(Path(scratch) / "served", self.model.name, size, self._photographs(size))
                    reference = self._reference(model, size)
                    for target in targets:
                        shown.update(task, description=f"exporting {names[target.name]}")
                        made = self._artifact(target, served, reference, names[target.name])
                        if isinstance(made, str):
                            missing[names[target.name]] = made
                        else:
                            artifacts.append(made)
                        shown.advance(task)
            except TrialFailed as failed:
                missing |= dict.fromkeys(names.values(), f"{_sentence(failed)}")
                shown.advance(task, len(targets))
        return replace(bundle, artifacts=tuple(artifacts), missing=missing)

    def _name(self, target: Target, size: int) -> str:
        return target.name if size == self.ref.size else f"{target.name}@{size}"

    def _artifact(self, target: Target, served: Served, reference: Reference | str, name: str) -> Artifact | str:
        """Write and check one; or say in a sentence why it cannot be written."""
        relative = target.path(None if served.size == self.ref.size else served.size)
        try:
            megabytes = target.write(served, self.folder / relative)
        except TrialFailed as failed:
            return _sentence(failed)
        artifact = Artifact(name, target.format, relative, served.size, megabytes)
        return check_artifact(artifact, self.folder, target.weights, self.runtimes, reference, self.rules)

    def _photographs(self, size: int) -> Any:
        if self.images.manifest is None:
            return None
        return lambda n: self.images.read(self.images.chosen("train", n)[0], size)

    def _reference(self, model: Any, size: int) -> Reference | str:
        if self.images.manifest is None:
            return self.images.problem
        rows, labels, groups = self.images.chosen("test", self.rules.images)
        found = Reference.of(model, self.images.read(rows, size), labels, groups, self.rules, self.seed)
        self.references[size] = found
        if size == self.ref.size:
            self.keras_score = float(found.scores.estimates[found.scores.names.index(_METRIC)])
        return found


def _targets(cfg: DictConfig) -> list[Target]:
    """Make the targets that the config lists, and of those the ones that are asked for."""
    known = [str(name) for name in OmegaConf.select(cfg, "target") or ()]
    asked = [str(name) for name in listed(cfg.targets)]
    for name in asked:
        if not any(_means(name, each) for each in known):
            raise SettingError("targets", name, "there is no such target", f"choose among {', '.join(known)}")
    chosen = [each for each in known if not asked or any(_means(name, each) for name in asked)]
    if not chosen:
        raise SettingError("target", "[]", "nothing would be exported", "set target=default")
    made = [build(cfg, f"target.{name}") for name in chosen]
    for target, name in zip(made, chosen, strict=True):
        if not isinstance(target, Target):
            raise SettingError(f"target.{name}", type(target).__name__, "it is no target", "choose one of target=")
    return made


def _means(asked: str, name: str) -> bool:
    return name == asked or name.startswith(f"{asked}_")


def _precision(cfg: DictConfig) -> float:
    try:
        precision = float(str(cfg.precision))
    except ValueError:
        precision = 0.0
    if not 0 < precision <= 1:
        raise SettingError("precision", cfg.precision, "it must be above 0 and at most 1", "set precision=0.9")
    return precision


def _folder_name(ref: ModelRef) -> str:
    name = Path(ref.name).stem if ref.name.endswith(".keras") else ref.name
    return f"{name}-{ref.sha256[:8] if ref.version is None else ref.version}"


def _bundle(
    folder: Path, ref: ModelRef, images: ExportImages, thresholds: tuple[float | None, ...], rows: str
) -> Bundle:
    return Bundle(
        folder,
        Path(ref.name).stem if ref.name.endswith(".keras") else ref.name,
        ref.version,
        ref.sha256,
        ref.class_names,
        images.parents(),
        thresholds,
        ref.size,
        str(ref.metadata.get("resize", "stretch")),
        (),
        datetime.now(UTC).isoformat(timespec="seconds"),
        rows,
    )


def _with_page(bundle: Bundle, store: Path) -> Bundle:
    """Add the live page; where its libraries cannot be had, the rest is a bundle all the same."""
    try:
        add_page(bundle.folder, store)
    except StoreError as error:
        said = str(error)
        return replace(bundle, missing={**bundle.missing, "page": f"{said[:1].upper()}{said[1:]}"})
    return bundle


def _for_picture(bundle: Bundle) -> Any:
    rows = artifact_rows(bundle)
    if rows.empty:
        return rows.reindex(columns=["artifact", "runtime", "format", "size_mb", "latency_ms", "quality", "fit"])
    return rows.assign(quality=rows[_METRIC], fit=rows["verdict"] == "fit")


def _tags(bundle: Bundle, sha256: str, targets: Sequence[Target]) -> Mapping[str, str]:
    """Give what promotion's gate and others read of the version."""
    exact = {target.name for target in targets if target.weights == "float32"}
    names = {artifact.name for artifact in bundle.artifacts if artifact.name.partition("@")[0] in exact}
    largest = largest_difference(bundle.artifacts, names)
    unfit = ", ".join(artifact.name for artifact in bundle.artifacts if artifact.fit is False)
    known = {} if largest is None else {PARITY_TAG: f"{largest:.3e}"}
    return {**known, UNFIT_TAG: unfit, "export/bundle_sha256": sha256}


def _sentence(failed: TrialFailed) -> str:
    text = str(failed).rstrip(".")
    return f"{text[:1].upper()}{text[1:]}."


def _show(console: Console, bundle: Bundle, place: Path, store: Path) -> None:
    rows = artifact_rows(bundle)
    if not rows.empty:
        console.print(artifacts_table(rows, f"{bundle.title} in its runtimes, beside Keras"))
    for problem in problems_of(bundle):
        console.print(Text(problem, "yellow"), soft_wrap=True)
    console.print(Text(f"{len(bundle.artifacts)} artifacts in {place}"), soft_wrap=True)
    for command in _next(bundle, place, store):
        console.print(Text(f"  {command}", "bold"), soft_wrap=True)


def _next(bundle: Bundle, place: Path, store: Path) -> Iterator[str]:
    where = f" paths.store={shlex.quote(str(store))}" if str(store) != "mlruns" else ""
    if bundle.version is not None:
        yield f"wellai-exp promote {shlex.quote(bundle.model)} 'promotion=[default,export_parity]'{where}"
    yield f"wellai-exp benchmark {shlex.quote(str(place))} fps=30"
    yield f"wellai-exp serve {shlex.quote(str(place))}"
