"""One contract for every kind of source, and one sentence for everything that can be wrong with one."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Callable
from dataclasses import FrozenInstanceError
from pathlib import Path
from typing import Any

import pytest
import yaml

import wellai_exp.data as room
from wellai_exp.data import Demo, ImageFolder, ImageTable, Source, Yoga82
from wellai_exp.errors import DataError, SettingError, WellaiError

CONF = Path(__file__).resolve().parents[2] / "conf"
OPTIONS = sorted((CONF / "data").glob("*.yaml")) + sorted((CONF / "split").glob("*.yaml"))
POSES = ("tree", "crow", "bow")


def _fill(root: Path, labels: tuple[str, ...] = POSES, n: int = 2) -> Path:
    for label in labels:
        (root / label).mkdir(parents=True, exist_ok=True)
        for number in range(n):
            (root / label / f"{number}.jpg").write_bytes(b"never opened by a listing")
    return root


def _folder(root: Path) -> Source:
    return ImageFolder(_fill(root / "photos"))


def _table(root: Path) -> Source:
    _fill(root / "photos")
    rows = [f"{label}/{number}.jpg,{label}" for label in POSES for number in range(2)]
    (root / "t.csv").write_text("\n".join(["path,label", *rows]))
    return ImageTable(root / "photos", root / "t.csv")


def _yoga82(root: Path) -> Source:
    _fill(root / "photos")
    for name, number in (("yoga_train.txt", 0), ("yoga_test.txt", 1)):
        rows = [f"{label}/{number}.jpg,0,{place},{place}\n" for place, label in enumerate(POSES)]
        (root / "photos" / name).write_text("".join(rows))
    return Yoga82(root / "photos")


def _demo(root: Path) -> Source:
    return Demo(root / "demo", n_images=40, ratio=2, size=32)


FAMILY = (_folder, _table, _yoga82, _demo)


@pytest.mark.parametrize("make", FAMILY)
def test_a_listing_is_sorted_labelled_and_inside_the_root(make: Callable[[Path], Source], tmp_path: Path) -> None:
    source = make(tmp_path)
    listing = source.listing()
    assert list(listing.paths) == sorted(set(listing.paths))
    assert all((source.root / path).is_file() for path in listing.paths)
    assert [Path(path).parts[0] for path in listing.paths] == list(listing.labels)
    assert listing == make(tmp_path).listing()
    assert source.name == source.root.name


@pytest.mark.parametrize("make", FAMILY)
@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("min_per_class", 0),
        ("long_tail", 0.5),
        ("long_tail", float("nan")),
        ("long_tail", float("inf")),
        ("unreadable", "ignore"),
    ],
)
def test_common_settings_are_checked_at_birth(
    make: Callable[[Path], Source], setting: str, value: Any, tmp_path: Path
) -> None:
    source = make(tmp_path)
    fields = {name: getattr(source, name) for name in source.__dataclass_fields__ if name != "_"}
    with pytest.raises(SettingError, match=f"data.{setting}=") as caught:
        type(source)(**{**fields, setting: value})
    assert str(caught.value).count(";") == 1
    with pytest.raises(FrozenInstanceError):
        source.min_per_class = 3  # type: ignore[misc]


@pytest.mark.parametrize("option", OPTIONS, ids=lambda path: path.stem)
def test_every_option_builds_its_class_with_its_own_defaults(option: Path) -> None:
    settings = yaml.safe_load(option.read_text())
    target = settings.pop("_target_").split(".")
    settings.pop("_space_", None)
    assert target[:-1] == ["wellai_exp", "data"]
    made = getattr(room, target[-1])(**settings)
    fields = set(type(made).__dataclass_fields__) - {"_"}
    assert set(settings) == fields, "an option spells out every argument"


def test_a_file_of_any_name_counts_and_a_hidden_one_does_not(tmp_path: Path) -> None:
    root = _fill(tmp_path)
    (root / "tree" / "notes.txt").write_text("x")
    (root / "tree" / "deeper").mkdir()
    (root / "tree" / "deeper" / "9.jpg").write_text("x")
    for hidden in ("tree/.DS_Store", "tree/Thumbs.db", "README.md"):
        (root / hidden).write_text("x")
    (root / ".git").mkdir()
    listing = ImageFolder(root).listing()
    assert {"tree/notes.txt", "tree/deeper/9.jpg"} <= set(listing.paths)
    assert len(listing) == 8


def test_a_missing_folder(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match=r"data.root=.*no such folder; set data.root"):
        ImageFolder(tmp_path / "gone").listing()
    (tmp_path / "file").write_text("x")
    with pytest.raises(SettingError, match="not a folder"):
        ImageFolder(tmp_path / "file").listing()


def test_a_folder_without_class_folders(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_text("x")
    with pytest.raises(DataError, match="holds no class folder"):
        ImageFolder(tmp_path).listing()


def test_an_empty_class_folder(tmp_path: Path) -> None:
    (_fill(tmp_path) / "empty one").mkdir()
    with pytest.raises(DataError, match="empty one is empty; remove it"):
        ImageFolder(tmp_path).listing()


def test_only_one_class(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="only one class, 'tree'"):
        ImageFolder(_fill(tmp_path, ("tree",))).listing()


def test_lookalike_classes_stay_apart_and_are_said(tmp_path: Path) -> None:
    composed = unicodedata.normalize("NFC", "나무")
    decomposed = unicodedata.normalize("NFD", "나무")
    labels = ("Tree", "tree", composed, decomposed)
    _fill(tmp_path, labels)
    if len(list(tmp_path.iterdir())) < 4:
        pytest.skip("this file system folds names")
    listing = ImageFolder(tmp_path).listing()
    assert set(listing.labels) == set(labels)
    assert len(listing.notes) == 2
    assert any("'Tree' and 'tree'" in note for note in listing.notes)


def test_a_class_name_that_is_not_utf8(tmp_path: Path) -> None:
    _fill(tmp_path)
    odd = tmp_path / "caf\udce9"
    try:
        odd.mkdir()
    except OSError:
        pytest.skip("this file system takes UTF-8 names only")
    (odd / "1.jpg").write_text("x")
    with pytest.raises(DataError, match=r"caf\\xe9 is not UTF-8; rename it") as caught:
        ImageFolder(tmp_path).listing()
    str(caught.value).encode()


def _csv(tmp_path: Path, text: str | bytes) -> ImageTable:
    _fill(tmp_path / "p")
    (tmp_path / "t.csv").write_bytes(text if isinstance(text, bytes) else text.encode())
    return ImageTable(tmp_path / "p", tmp_path / "t.csv")


def test_labels_of_a_table_are_taken_as_they_stand(tmp_path: Path) -> None:
    labels = ["Crane, (Crow) [Bakasana]", "Bharadvaja's\nTwist", "나무자세", "NA", "007"]
    quoted = [f'tree/{number}.jpg,"{label}"' for number, label in enumerate(labels)]
    table = _csv(tmp_path, "\ufeffpath,label\n" + "\n".join(quoted))
    assert list(table.listing().labels) == labels


def test_paths_of_a_table_may_be_absolute_or_roundabout_below_the_root(tmp_path: Path) -> None:
    table = _csv(tmp_path, f"path,label\n{tmp_path}/p/tree/0.jpg,a\n./crow/../bow/1.jpg,b\n")
    assert table.listing().paths == ("bow/1.jpg", "tree/0.jpg")


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (
            "path,pose\na.jpg,tree\n",
            r"data.label_column=label: .* no such column; set data.label_column to one of path",
        ),
        ("file,label\na.jpg,tree\n", "data.path_column=path: "),
        ("path,label\na.jpg,tree\nb.jpg, \n", "Row 2 of .* empty label"),
        ("path,label\na.jpg,tree\nb.jpg\n", "Row 2 of .* empty label"),
        ("path,label\n,tree\n", "Row 1 of .* empty path"),
        ("path,label\na.jpg,tree,more\n", "cannot be read as CSV"),
        ("path,label\n../../etc/passwd,tree\nb.jpg,crow\n", r"passwd lies outside data.root"),
        ("path,label\n/etc/passwd,tree\nb.jpg,crow\n", r"passwd lies outside data.root"),
        ("path,label\na.jpg,tree\na.jpg,crow\n", "1 files are listed twice, the first is a.jpg"),
        ("path,label\na.jpg,tree\n./a.jpg,tree\n", "listed twice"),
        ("path,label\na.jpg,tree\nb.jpg,tree\n", "only one class"),
        ("path,label\n", "holds no photograph"),
        ("", "cannot be read as CSV"),
        ("path,label\na.jpg,나무\n".encode("cp949"), "not UTF-8; save it as CSV UTF-8"),
    ],
)
def test_a_table_that_cannot_be_used_is_refused_in_a_sentence(text: str | bytes, sentence: str, tmp_path: Path) -> None:
    with pytest.raises(WellaiError, match=sentence) as caught:
        _csv(tmp_path, text).listing()
    assert "\n" not in str(caught.value)


def test_a_missing_table(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match=r"data.table=.*no such file"):
        ImageTable(_fill(tmp_path), tmp_path / "t.csv").listing()


def test_the_split_column_of_a_table(tmp_path: Path) -> None:
    _csv(tmp_path, "path,label,part\na.jpg,tree,train\nb.jpg,crow,test\n")
    table = ImageTable(tmp_path / "p", tmp_path / "t.csv", split_column="part")
    assert table.listing().sides == ("train", "test")
    (tmp_path / "t.csv").write_text("path,label,part\na.jpg,tree,train\nb.jpg,crow,dev\n")
    with pytest.raises(DataError, match=r"b.jpg is listed for the part 'dev'; write train or test"):
        table.listing()


def _lists(root: Path, train: str, test: str = "") -> Yoga82:
    (root / "yoga_train.txt").write_text(train)
    (root / "yoga_test.txt").write_text(test)
    return Yoga82(root)


def test_yoga82_lines_are_read_from_the_right(tmp_path: Path) -> None:
    label = "Crane, (Crow) [or] Bharadvaja's_Pose"
    _fill(tmp_path, (label, "tree"), 1)
    listing = _lists(tmp_path, f"{label}/0.jpg,1,8,0\n\n", "tree/0.jpg,2,9,14\n").listing()
    assert listing.labels == (label, "tree")
    assert listing.sides == ("train", "test")
    assert listing.levels == {"level_1": (1, 2), "level_2": (8, 9), "level_3": (0, 14)}


def test_yoga82_counts_what_is_missing_and_refuses_only_a_whole_class(tmp_path: Path) -> None:
    _fill(tmp_path, ("tree", "crow"), 1)
    some = "tree/0.jpg,0,0,0\ncrow/0.jpg,0,0,1\ncrow/7.jpg,0,0,1\n"
    assert "1 of the 3 listed photographs are missing" in _lists(tmp_path, some).listing().notes[0]
    with pytest.raises(DataError, match="All 1 photographs of the class 'bow' are missing"):
        _lists(tmp_path, some + "bow/1.jpg,0,0,2\n").listing()
    with pytest.raises(DataError, match="None of the 2 listed photographs"):
        _lists(tmp_path, "gone/1.jpg,0,0,0\ngone/2.jpg,0,0,0\n").listing()


@pytest.mark.parametrize("line", ["tree/0.jpg,1,2", "tree/0.jpg,1,2,x", "0.jpg,1,2,3", "tree/0.jpg"])
def test_a_yoga82_line_that_is_none_names_its_number(line: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"Line 2 of .*yoga_train.txt is not"):
        _lists(tmp_path, f"tree/0.jpg,1,2,3\n{line}\n").listed()


def test_yoga82_without_its_lists_or_with_levels_it_has_not(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match=r"data.lists=.*holds no yoga_train.txt"):
        Yoga82(tmp_path).listing()
    for levels in ((4,), (0,), (1, 1)):
        with pytest.raises(SettingError, match=r"data.levels=.*set data.levels="):
            Yoga82(tmp_path, levels=levels)
    _fill(tmp_path, ("tree", "crow"), 1)
    _lists(tmp_path, "tree/0.jpg,1,8,0\n", "crow/0.jpg,2,9,14\n")
    assert set(Yoga82(tmp_path, levels=[2]).listing().levels) == {"level_2"}


def test_the_official_yoga82_lists() -> None:
    assets = os.environ.get("WELLAI_ASSETS")
    if not assets:
        pytest.skip("WELLAI_ASSETS names no folder of photographs")
    listing = Yoga82(Path("unused"), lists=Path(assets) / "data" / "yoga82-annotations").listed()
    sides = listing.sides or ()
    assert (sides.count("train"), sides.count("test")) == (20_994, 7_456)
    assert [len(set(ids)) for ids in listing.levels.values()] == [6, 20, 82]
    assert len(set(listing.labels)) == 82


@pytest.mark.parametrize(("setting", "value"), [("n_images", 0), ("ratio", 0.5), ("size", 4)])
def test_a_demo_that_cannot_be_drawn_is_refused_at_birth(setting: str, value: Any, tmp_path: Path) -> None:
    with pytest.raises(SettingError, match=f"data.{setting}={value}"):
        Demo(tmp_path, **{setting: value})
