"""The one function that hides secrets: those it can know it hides, and it leaves the rest of a text alone."""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wellai_exp import masking
from wellai_exp.masking import Masking, is_secret_name, masked, remember, remember_arguments, without_known

CANARY = "cAnary51x7Q"


@pytest.fixture(autouse=True)
def _forget() -> Iterator[None]:
    before = set(masking._remembered)
    yield
    masking._remembered.clear()
    masking._remembered.update(before)


@pytest.mark.parametrize(
    "text",
    [
        f"postgresql://wellai:{CANARY}@db.example.org:5432/mlflow",
        f"postgresql+psycopg://wellai:{CANARY}@/x@db/mlflow",
        f"https://{CANARY}@github.com/us/it.git",
        f"HTTPS_PROXY is http://user:{CANARY}@proxy:3128, which refused",
        f"sqlite:///x.db?password={CANARY}&x=1",
        f"http://host/x?api_key={CANARY}",
        f'{{"access_token": "{CANARY}", "x": 1}}',
        f"db_password: {CANARY}",
        f"Authorization: Bearer {CANARY}",
        f"MLFLOW_TRACKING_TOKEN={CANARY} wellai-exp sweep",
        f"headers {{'authorization': 'Basic {CANARY}'}}",
        f"the answer was: bearer {CANARY}",
    ],
)
def test_a_secret_is_known_by_its_place(text: str) -> None:
    assert CANARY not in masked(text)
    assert "***" in masked(text)


@pytest.mark.parametrize(
    "secret",
    [
        "ghp_" + "a1B2" * 9,
        "glpat-" + "x" * 20,
        "AKIA" + "ABCD" * 4,
        "hf_" + "Q" * 30,
        "eyJhbGciOiJ9.eyJzdWIiOiIx.abc_def",
    ],
)
def test_a_secret_is_known_by_its_beginning(secret: str) -> None:
    assert masked(f"it said {secret}, and left") == "it said ***, and left"


def test_a_secret_is_known_by_its_value(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", CANARY)
    monkeypatch.setenv("SOME_PROXY", "http://me:another-one@proxy:1")
    remember({"db": {"password": "third/one", "hosts": ["mysql://u:fourth-one@h/d"]}})
    remember_arguments(["+api_token=fifth-one", "experiment=demo"])
    remember({"card": {"owner": "who asks with token=sixth-one"}})
    text = f"{CANARY} another-one third/one third%2Fone fourth-one fifth-one sixth-one demo"
    assert masked(text) == "*** *** *** *** *** *** *** demo"
    assert without_known(text) == masked(text)


@pytest.mark.parametrize(
    "text",
    [
        "search.space.imbalance='choice(none, smote)'",
        "wellai-exp train experiment=demo head.l2=0.001",
        "tracking.uri=http://127.0.0.1:5000: no server answers there",
        "sqlite:////tmp/a b/mlruns/mlflow.db",
        "https://example.org/a/b?c=d#e",
        "/home/me/poses/secretary_pose/1.png",
        "a tokenizer: of words; write to me@example.org",
        "postgresql://wellai@db/mlflow",
    ],
)
def test_what_holds_no_secret_stays_as_it_is(text: str) -> None:
    assert masked(text) == text


def test_names_of_secrets() -> None:
    secret = ["AWS_SECRET_ACCESS_KEY", "MLFLOW_TRACKING_PASSWORD", "PGPASSWORD", "MLFLOW_TRACKING_TOKEN", "db.api_key"]
    plain = ["PATH", "PWD", "OLDPWD", "HOME", "WELLAI_ASSETS", "n_tokens", "keyboard", "TOKENIZERS_PARALLELISM"]
    assert [name for name in secret + plain if is_secret_name(name)] == secret


@given(st.text(st.characters(codec="utf-8", categories=("L", "N")), min_size=6, max_size=30), st.text(), st.text())
def test_whatever_is_remembered_is_gone(secret: str, before: str, after: str) -> None:
    remember(secret, "password")
    assert secret not in masked(before + secret + after)
    masking._remembered.clear()


def test_masking_twice_changes_nothing_more() -> None:
    once = masked(f"password={CANARY} postgresql://u:{CANARY}@h/d Bearer {CANARY}")
    assert masked(once) == once


def test_what_is_logged_is_masked_with_its_traceback() -> None:
    held = io.StringIO()
    handler = logging.StreamHandler(held)
    handler.addFilter(Masking())
    logger = logging.Logger("apart")
    logger.addHandler(handler)
    try:
        raise RuntimeError(f"password={CANARY}")
    except RuntimeError:
        logger.exception("at %s", f"http://u:{CANARY}@h")
    assert CANARY not in held.getvalue()
    assert "RuntimeError: password=***" in held.getvalue()


@pytest.mark.parametrize("text", ["a", "user:", "://a:", "password", "token_", "bearer ", "eyJ", "a.", "= ", "sk-a-"])
def test_a_long_text_is_searched_in_linear_time(text: str) -> None:
    """A text twenty times as long must not take four hundred times the steps: none here would end in time."""
    assert len(masked(text * (400_000 // len(text)))) > 0
