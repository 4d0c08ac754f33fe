"""Lists of URLs: what they name, what is wrong with them, and what was collected of them."""

from __future__ import annotations

import csv
from collections import Counter
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wellai_exp.data import COLLECTED, Link, LinkTable, Split, Yoga82, build_manifest
from wellai_exp.errors import DataError, SettingError, WellaiError


def _table(folder: Path, text: str | bytes, split_column: str | None = None) -> LinkTable:
    (folder / "urls.csv").write_bytes(text if isinstance(text, bytes) else text.encode())
    return LinkTable(folder / "photos", folder / "urls.csv", split_column=split_column)


def _collected(root: Path, rows: list[tuple[str, str, str, str, str]]) -> None:
    """Write a provenance table of paths, labels, names, URLs and verdicts, and a small image for each path."""
    root.mkdir(parents=True, exist_ok=True)
    with (root / COLLECTED).open("w", newline="", encoding="utf-8") as handle:
        csv.writer(handle).writerows([("path", "label", "listed", "url", "verdict"), *rows])
    for number, (path, *_) in enumerate(rows):
        if path and not Path(path).is_absolute() and ".." not in path:
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            pixels = np.random.default_rng(number).integers(0, 255, (40, 40, 3), dtype=np.uint8)
            (root / path).write_bytes(cv2.imencode(".png", pixels)[1].tobytes())


def test_a_table_keeps_every_row_and_says_what_is_wrong_with_it(tmp_path: Path) -> None:
    rows = "label,url\ntree,http://a/1\ntree, http://a/1 \ncrow,http://a/1\n,http://a/2\ncrow,\n../..,http://a/3\n"
    found = _table(tmp_path, "\ufeff" + rows).links()
    assert [(link.label, link.url, link.problem) for link in found.links] == [
        ("tree", "http://a/1", ""),
        ("tree", "http://a/1", "the list repeats an earlier entry"),
        ("crow", "http://a/1", ""),
        ("", "http://a/2", "it has no label"),
        ("crow", "", "it has no URL"),
        ("../..", "http://a/3", ""),
    ]
    assert found.counts == {
        "rows": 6,
        "the list repeats an earlier entry": 1,
        "it has no label": 1,
        "it has no URL": 1,
        "different URLs": 3,
        "URLs under several labels": 1,
    }


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("pose,url\ntree,http://a\n", r"data.label_column=label: .*set data.label_column to one of pose, url"),
        ("label,link\ntree,http://a\n", r"data.url_column=url: "),
        ("label,url\ntree,http://a,more\n", "cannot be read as CSV"),
        ("", "cannot be read as CSV"),
        ("label,url\n나무,http://a\n".encode("cp949"), "not UTF-8; save it as CSV UTF-8"),
    ],
)
def test_a_table_that_cannot_be_used_is_refused_in_a_sentence(text: str | bytes, sentence: str, tmp_path: Path) -> None:
    with pytest.raises(WellaiError, match=sentence):
        _table(tmp_path, text).links()


def test_another_part_than_train_and_test_is_refused_before_anything_is_fetched(tmp_path: Path) -> None:
    table = _table(tmp_path, "label,url,part\ntree,http://a/1,train\ncrow,http://a/2,dev\n", split_column="part")
    with pytest.raises(DataError, match=r"http://a/2 is listed for the part 'dev'; write train or test"):
        table.links()


@given(st.lists(st.tuples(*[st.text(st.characters(codec="utf-8"), max_size=8)] * 3), unique=True, max_size=20))
def test_different_entries_have_different_files(entries: list[tuple[str, str, str]]) -> None:
    keys = [Link(url, label, listed).key for url, label, listed in entries]
    assert len(set(keys)) == len(keys)
    assert all(len(key) == 32 and set(key) <= set("0123456789abcdef") for key in keys)


def test_what_was_collected_of_a_table_becomes_a_manifest_with_true_labels(tmp_path: Path) -> None:
    labels = ("Crane [(Crow)] Pose", "a/b\nc", "..", "007")
    entries = [(label, f"http://a/{place}/{number}") for place, label in enumerate(labels) for number in range(8)]
    with (tmp_path / "urls.csv").open("w", newline="", encoding="utf-8") as handle:
        csv.writer(handle).writerows([("label", "url"), *entries, ("007", "http://a/dead")])
    rows = [(f"images/f{n % 3}/{n}.png", label, "", url, "got") for n, (label, url) in enumerate(entries)]
    table = LinkTable(tmp_path / "photos", tmp_path / "urls.csv")
    _collected(table.root, [*rows, ("", "007", "", "http://a/dead", "dead")])
    manifest = build_manifest(table, Split(folds=2), tmp_path / "store")
    assert manifest.classes == tuple(sorted(labels))
    assert Counter(manifest.frame["label"]) == dict.fromkeys(labels, 8)
    assert "1 of the 33 listed photographs were not collected." in manifest.notes


def test_a_collected_table_may_not_lead_out_of_the_root(tmp_path: Path) -> None:
    for path in ("../outside.png", "/etc/passwd"):
        table = _table(tmp_path, "label,url\ntree,http://a/1\ncrow,http://a/2\n")
        _collected(
            table.root, [("images/x/1.png", "tree", "", "http://a/1", "got"), (path, "crow", "", "http://a/2", "got")]
        )
        with pytest.raises(DataError, match=r"lies outside data.root"):
            table.listing()


def test_a_collected_table_of_another_make_is_refused(tmp_path: Path) -> None:
    table = _table(tmp_path, "label,url\ntree,http://a/1\n")
    table.root.mkdir()
    (table.root / COLLECTED).write_text("path,label\n")
    with pytest.raises(DataError, match=r"collected.csv has no column 'listed'; type wellai-exp collect"):
        table.listing()


def _yoga82(folder: Path, links: dict[str, bytes], train: str, test: str = "") -> Yoga82:
    lists = folder / "lists"
    (lists / "yoga_dataset_links").mkdir(parents=True)
    (lists / "yoga_train.txt").write_text(train, encoding="utf-8")
    (lists / "yoga_test.txt").write_text(test, encoding="utf-8")
    for name, data in links.items():
        (lists / "yoga_dataset_links" / name).write_bytes(data)
    return Yoga82(folder / "photos", lists=lists)


HOSTILE_LINES = {
    "climbing": b"../../etc/passwd.jpg\thttp://a/1",
    "absolute": b"/etc/passwd.jpg\thttp://a/1",
    "bare": b"passwd.jpg\thttp://a/1",
    "NUL": b"tr\0ee/1.jpg\thttp://a/1",
    "other class": b"willow/1.jpg\thttp://a/1",
    "other case": b"TREE/99.jpg\thttp://a/1",
    "backslash": b"tree\\1.jpg\thttp://a/1",
    "over-long": b"x" * 5_000 + b"/1.jpg\thttp://a/1",
    "unlisted": b"tree/99.jpg\thttp://a/1",
    "no tab": b"tree/1.jpg http://a/1",
    "two tabs": b"tree/1.jpg\thttp://a/1\tmore",
    "no name": b"\thttp://a/1",
    "no URL": b"tree/1.jpg\t",
    "not UTF-8": b"tree/1.jpg\thttp://a/\xff\xfe",
    "name not UTF-8": b"tree/\xff.jpg\thttp://a/1",
    "UTF-16": "tree/1.jpg\thttp://a/1".encode("utf-16"),
}


@pytest.mark.parametrize("name", HOSTILE_LINES)
def test_a_line_that_fits_no_row_is_an_entry_with_a_reason(name: str, tmp_path: Path) -> None:
    lines = {"tree.txt": b"tree/2.jpg\thttp://a/2\r\n" + HOSTILE_LINES[name] + b"\n"}
    found = _yoga82(tmp_path, lines, "tree/1.jpg,0,0,0\ntree/2.jpg,0,0,0\n").links()
    good, bad, lacking = found.links
    assert (good.listed, good.url, good.problem) == ("tree/2.jpg", "http://a/2", "")
    assert bad.problem in ("the official lists have no such row", "its line is not NAME<tab>URL in UTF-8")
    assert (lacking.listed, lacking.url, lacking.problem) == ("tree/1.jpg", "", "no URL is listed for it")
    assert found.counts["URLs without a row"] + found.counts["lines that cannot be read"] == 1
    assert found.counts["rows without a URL"] == 1


def test_lines_are_matched_by_name_or_by_the_classs_spelling(tmp_path: Path) -> None:
    train = "Sitting pose 1 (normal)/1.jpg,0,0,0\nBharadvaja's_Twist_I_/2.jpg,1,1,1\n"
    lines = {
        "Sitting pose 1 (normal).txt": b"\xef\xbb\xbfSitting_pose_1_normal/1.jpg\thttp://a/1\n\n",
        "Bharadvaja's_Twist_I_.txt": b"Bharadvaja's_Twist_I_/2.jpg\thttp://a/2\nBharadvaja's_Twist_I_/2.jpg\thttp://a/3",
    }
    found = _yoga82(tmp_path, lines, train, "tree/3.jpg,2,2,2\n").links()
    by_name = {(link.listed, link.url): link for link in found.links}
    assert by_name["Sitting pose 1 (normal)/1.jpg", "http://a/1"].label == "Sitting pose 1 (normal)"
    assert by_name["Bharadvaja's_Twist_I_/2.jpg", "http://a/2"].split == "train"
    assert by_name["Bharadvaja's_Twist_I_/2.jpg", "http://a/3"].problem == "the list repeats an earlier entry"
    assert by_name["tree/3.jpg", ""].split == "test"
    assert found.counts == {
        "rows to train on": 2,
        "rows to test on": 1,
        "classes at level 1": 3,
        "classes at level 2": 3,
        "classes at level 3": 3,
        "lines of URLs": 3,
        "rows with a URL": 2,
        "of these by the class's spelling alone": 1,
        "URLs without a row": 0,
        "repeated entries": 1,
        "lines that cannot be read": 0,
        "rows without a URL": 1,
        "different URLs": 3,
        "URLs under several labels": 0,
    }


def test_a_spelling_that_two_classes_share_is_no_match(tmp_path: Path) -> None:
    train = "Split pose/1.jpg,0,0,0\nsplit_pose/1.jpg,0,0,1\n"
    found = _yoga82(tmp_path, {"s.txt": b"SPLIT-POSE/1.jpg\thttp://a/1\n"}, train).links()
    assert found.links[0].problem == "the official lists have no such row"


def test_yoga82_without_lists_of_urls(tmp_path: Path) -> None:
    source = _yoga82(tmp_path, {}, "tree/1.jpg,0,0,0\n")
    with pytest.raises(SettingError, match=r"data.lists=.*it holds no folder yoga_dataset_links"):
        source.links()


def test_yoga82_reads_what_was_collected_and_what_lies_where_the_lists_name_it(tmp_path: Path) -> None:
    rows = "tree/1.jpg,0,0,0\ncrow/1.jpg,0,1,1\ntree/2.jpg,0,0,0\ncrow/2.jpg,0,1,1\n"
    source = _yoga82(tmp_path, {"t.txt": b"tree/1.jpg\thttp://a/1\n"}, rows)
    _collected(
        source.root,
        [
            ("images/tree/aa.png", "tree", "tree/1.jpg", "http://a/1", "got"),
            ("images/crow/bb.png", "crow", "crow/1.jpg", "http://a/2", "got"),
            ("", "tree", "tree/2.jpg", "http://a/3", "dead"),
        ],
    )
    (source.root / "crow").mkdir()
    (source.root / "crow" / "2.jpg").write_bytes(b"never opened by a listing")
    listing = source.listing()
    assert dict(zip(listing.paths, listing.labels, strict=True)) == {
        "crow/2.jpg": "crow",
        "images/crow/bb.png": "crow",
        "images/tree/aa.png": "tree",
    }
    assert listing.levels["level_3"] == (1, 1, 0)
    assert listing.notes[0].startswith("1 of the 4 listed photographs are missing")


def test_the_official_lists_of_urls(assets: Path) -> None:
    found = Yoga82(Path("unused"), lists=assets / "data" / "yoga82-annotations").links()
    assert found.counts == {
        "rows to train on": 20_994,
        "rows to test on": 7_456,
        "classes at level 1": 6,
        "classes at level 2": 20,
        "classes at level 3": 82,
        "lines of URLs": 28_450,
        "rows with a URL": 28_450,
        "of these by the class's spelling alone": 1_378,
        "URLs without a row": 0,
        "repeated entries": 0,
        "lines that cannot be read": 0,
        "rows without a URL": 0,
        "different URLs": 28_403,
        "URLs under several labels": 5,
    }
    assert len(found.links) == len({link.key for link in found.links}) == 28_450
    assert all(link.listed.startswith(f"{link.label}/") for link in found.links)
