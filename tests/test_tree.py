"""The tree of unchecked values and their origins."""

from __future__ import annotations

from psann._tree import MISSING, ConfigTree, Origins


def _tree() -> ConfigTree:
    places = {("a",): "f line 1", ("a", "b"): "f line 2", ("a", "b", "c"): "f line 3"}
    return ConfigTree({"a": {"b": {"c": 1}, "n": None}}, Origins(source="f", places=places))


def test_null_is_a_value_and_missing_is_none() -> None:
    tree = _tree()
    assert tree.get(("a", "n")) is None
    assert tree.get(("a", "z")) is MISSING
    assert tree.get(("a", "b", "c", "d")) is MISSING
    assert tree.get(()) == tree.values


def test_set_makes_sections_and_forgets_the_origins_below() -> None:
    tree = _tree()
    tree.set(("a", "b"), {"d": 2}, origin="--set a.b")
    tree.set(("x", "y", "z"), 3, origin="--set x")
    tree.set(("a", "n", "m"), 4, origin="--set m")
    assert tree.values == {"a": {"b": {"d": 2}, "n": {"m": 4}}, "x": {"y": {"z": 3}}}
    assert tree.where(("a", "b", "c")) == "--set a.b"
    assert tree.where(("x", "y", "misspelt")) == tree.where(("x",)) == "--set x"
    assert tree.where(("a", "n")) == "--set m"
    assert tree.where(("a",)) == "f line 1"


def test_pop_takes_emptied_sections_with_it() -> None:
    tree = _tree()
    assert tree.pop(("a", "b", "c")) == 1
    assert tree.values == {"a": {"n": None}}
    assert tree.pop(("a", "b", "c")) is MISSING
    assert tree.pop(("a", "n")) is None
    assert tree.values == {}


def test_leaves_stop_at_what_is_asked_for_as_a_whole() -> None:
    tree = ConfigTree({"a": {"b": {"c": 1}}, "e": {}, "f": [1]}, Origins())
    assert list(tree.leaves()) == [(("a", "b", "c"), 1), (("e",), {}), (("f",), [1])]
    assert next(tree.leaves(whole=("a", "b"))) == (("a", "b"), {"c": 1})
    assert list(ConfigTree({}, Origins()).leaves()) == []


def test_origins_are_no_part_of_equality() -> None:
    assert Origins(source="a", places={("x",): "1"}) == Origins(source="b")


def test_a_refusal_says_where_and_what() -> None:
    tree = _tree()
    tree.refuse(("a", "b"), "must go")
    assert tree.problems == ["f line 2: a.b must go."]
