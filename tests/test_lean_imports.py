"""Libraries without what is not used of them here."""

from __future__ import annotations

import gc
import sys
from types import ModuleType

import pytest

from psann import _lean_imports
from psann._lean_imports import import_scikit_learn, lasting_imports, unasked_packages


def test_no_garbage_is_looked_for_while_a_process_imports_what_it_keeps(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    frozen_while_on = []
    monkeypatch.setattr(gc, "freeze", lambda: frozen_while_on.append(gc.isenabled()))
    with lasting_imports("gc"):  # which is there already
        assert gc.isenabled()
    assert frozen_while_on == []
    with pytest.raises(ImportError), lasting_imports("not_imported"):
        assert not gc.isenabled()
        raise ImportError("a broken installation")
    assert gc.isenabled()
    assert frozen_while_on == [False]


def test_what_is_asked_of_a_stand_in_comes_from_the_module(monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in = _lean_imports._StandIn("colorsys")
    monkeypatch.setitem(sys.modules, "colorsys", stand_in)
    assert stand_in.rgb_to_hls(0.0, 0.0, 0.0) == (0.0, 0.0, 0.0)
    assert sys.modules["colorsys"] is not stand_in


@pytest.fixture
def without(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A process that has imported none of them; what the import then sees of pandas."""
    for name in ("sklearn", "pandas", "scipy.stats"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    return []


def test_stand_ins_are_gone_after_the_import_also_after_one_that_failed(
    without: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(name: str) -> ModuleType:
        without.extend(each for each in ("pandas", "scipy.stats") if each in sys.modules)
        raise ImportError(name)

    monkeypatch.setattr(_lean_imports.importlib, "import_module", refuse)
    with pytest.raises(ImportError, match=r"sklearn\.base"):
        import_scikit_learn()
    assert without == ["pandas", "scipy.stats"]
    assert not {"pandas", "scipy.stats"} & set(sys.modules)


def test_what_somebody_has_imported_already_stays(
    without: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = ModuleType("pandas")
    monkeypatch.setitem(sys.modules, "pandas", mine)
    monkeypatch.setattr(_lean_imports.importlib, "import_module", without.append)
    import_scikit_learn()
    assert without == ["sklearn.base"]
    assert sys.modules["pandas"] is mine


def test_packages_are_looked_through_when_somebody_asks_and_not_before(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delitem(sys.modules, "importlib.metadata", raising=False)
    with unasked_packages():
        from importlib.metadata import entry_points
    assert "importlib.metadata" not in sys.modules
    assert {each.name for each in entry_points(group="console_scripts")} >= {"hisso-log-run"}
    assert entry_points is not sys.modules["importlib.metadata"].entry_points
    with unasked_packages():  # of a process that has it already
        from importlib.metadata import entry_points as asked
    assert asked is sys.modules["importlib.metadata"].entry_points
