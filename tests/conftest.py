"""Fixtures that several test files share."""

import sys

import pytest


@pytest.fixture
def umap_here(monkeypatch):
    """Run umap-learn in this process, where it compiles once for all tests; its own process would each time."""
    from core.feature_map import umap_layout

    monkeypatch.setattr(umap_layout, "run_embedder", lambda module, inputs, **how: umap_layout.fit(inputs))


@pytest.fixture(autouse=True)
def no_packages_searched(monkeypatch):
    """Keep Streamlit from searching all installed packages for components, which takes half of every page's run."""
    if "streamlit" in sys.modules:
        monkeypatch.setattr("streamlit.components.v2.manifest_scanner.scan_component_manifests", list)
