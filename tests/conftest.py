"""Fixtures that several test files share."""

import pytest


@pytest.fixture
def umap_here(monkeypatch):
    """Run umap-learn in this process, where it compiles once for all tests; its own process would each time."""
    from core import umap_layout

    monkeypatch.setattr(umap_layout, "run_embedder", lambda module, inputs, **how: umap_layout.fit(inputs))
