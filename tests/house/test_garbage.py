"""Collections of garbage that pass over what imports made."""

import gc
import sys
import types

import pytest

from ui.shared import garbage


@pytest.fixture
def unfrozen(monkeypatch):
    monkeypatch.setattr(garbage, "_frozen_at", 0)
    gc.unfreeze()
    yield
    gc.unfreeze()


def test_what_is_alive_after_imports_is_not_looked_through_again(unfrozen):
    garbage.spare_modules()
    frozen = gc.get_freeze_count()
    assert frozen > len(sys.modules)
    assert len(gc.get_objects()) < frozen


def test_nothing_more_is_frozen_until_many_modules_are_new(unfrozen, monkeypatch):
    garbage.spare_modules()
    before = gc.get_freeze_count()
    kept = [[i] for i in range(1000)]
    garbage.spare_modules()
    assert gc.get_freeze_count() < before + len(kept)
    for i in range(garbage._STEP):
        monkeypatch.setitem(sys.modules, f"planted_{i}", types.ModuleType(f"planted_{i}"))
    garbage.spare_modules()
    assert gc.get_freeze_count() > before + len(kept)
