"""The ends of an interpolation by the names of classes, in any script, and the name of the figure's file."""

from __future__ import annotations

import pytest

from pie_cli.data.digits import DIGITS
from pie_cli.errors import UsageError
from pie_cli.io.text import file_name
from pie_cli.report.pairs import choose_pairs
from tests import made_up

NOTHING = (None, None)
NAMES = ("cat", "Cat", "Dog", "T-shirt/top", "Кошка", "café", "猫 犬")


@pytest.mark.parametrize(
    ("start", "end", "pair", "stem"),
    [
        ("cat", "Cat", (0, 1), "interpolation_classes_cat_Cat"),
        ("dog", "t-SHIRT/top", (2, 3), "interpolation_classes_Dog_T-shirt-top"),
        ("кошка", "cafe\u0301", (4, 5), "interpolation_classes_Кошка_café"),
        ("猫 犬", "猫 犬", (6, 34), "interpolation_classes_猫 犬_猫 犬"),
    ],
)
def test_classes_are_found_by_name(start: str, end: str, pair: tuple[int, int], stem: str) -> None:
    assert choose_pairs(made_up.dataset(classes=NAMES), None, (start, end), NOTHING) == ([pair], stem)


def test_a_digit_is_the_class_of_its_name() -> None:
    found = choose_pairs(made_up.dataset(classes=DIGITS), None, ("7", "2"), NOTHING)
    assert found == ([(7, 2)], "interpolation_digits_7_2")


@pytest.mark.parametrize(
    ("classes", "typed", "message"),
    [
        (("a", "b"), "c", "`from`: 'c' is not one of the classes a, b"),
        (("cat", "Cat"), "CAT", "`from`: 'CAT' is not one of the classes cat, Cat"),
        (tuple("abcdefghijkl"), "z", "the classes a, b, c, d, e, f, g, h, i, j, …"),
        (tuple(f"c{n}" for n in range(60)), "c50", "the test set has no image of the class c50"),
        (None, "a", "no classes for `from` and `to`; give `from_index` and `to_index`"),
    ],
)
def test_what_cannot_be_joined_is_one_line(classes: tuple[str, ...] | None, typed: str, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        choose_pairs(made_up.dataset(classes=classes), None, (typed, typed), NOTHING)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_name_is_safe_in_a_files() -> None:
    assert file_name('a/b\\c:d*e?"<>|\n') == "a-b-c-d-e------"
    assert file_name("\udcffa") == "-a"
    assert len(file_name("猫" * 100).encode()) <= 80
