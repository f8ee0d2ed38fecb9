"""The studies: their changes and options exist, their record reads back whole, and the page shows it."""

from __future__ import annotations

import inspect
import shlex
from pathlib import Path

import pandas as pd
import pytest

from studies import changes, study
from studies.page import PAGE, STUDIES, page
from studies.study import Row, Study, recorded
from tests.conftest import call


def test_every_change_exists() -> None:
    words = [word for one in STUDIES for options in one.variants.values() for word in shlex.split(options)]
    names = {word[1:] for word in words if word.startswith("+")}
    assert names <= {name for name, value in vars(changes).items() if inspect.getmodule(value) is changes}


@pytest.mark.parametrize("one", STUDIES, ids=lambda one: one.name)
def test_every_option_is_one_of_pie_train(
    one: Study, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for variant in one.variants:
        options = " ".join(word for word in shlex.split(one.options(variant)) if not word.startswith("+"))
        code, _, errors = call(f"train --dry-run --results-dir {tmp_path} {options}", capsys, monkeypatch)
        assert code == 0, f"{variant}: {errors}"


def test_a_study_of_failed_trainings_has_a_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(study, "TABLES", tmp_path)
    Study("one", "What?", {"bad": "--lr 9"}).write({"--lr 9 --epochs 3": {"options": "", "remark": "error: no"}})
    assert "error: no" in (tmp_path / "one.md").read_text(encoding="utf-8")
    assert recorded() == {}


def test_page_shows_the_tables_as_they_are() -> None:
    assert PAGE.read_text(encoding="utf-8") == page()


def test_record_is_read_back_whole_but_for_failed_trainings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(study, "TABLES", tmp_path)
    one = Study("one", "What?", {"good": "", "bad": "--lr 9", "not run": "--lr 8", "longer": "--epochs 6"})
    good: Row = {"options": "--epochs 3", "commit": "a" * 40, "mse": 0.1 + 0.2, "mse_by_epoch": ".5 .4 .3"}
    bad: Row = {"options": "--lr 9 --epochs 3", "remark": "error: the loss is not finite"}
    longer: Row = {"options": "--epochs 6", "commit": "b" * 40, "mse": 0.25, "mse_by_epoch": ".5 .3"}
    one.write({row["options"]: row for row in (longer, bad, good)})

    rows = recorded()
    assert set(rows) == {"--epochs 3", "--epochs 6"}
    assert {name: rows["--epochs 3"][name] for name in good} == good
    table = pd.read_csv(tmp_path / "one.csv")
    assert list(table["variant"]) == ["good", "bad", "longer"]
    shown = (tmp_path / "one.md").read_text(encoding="utf-8")
    assert [word in shown for word in ("the loss is not finite", "aaaaaaa", "bbbbbbb")] == [True] * 3
