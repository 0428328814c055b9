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


def pytest_generate_tests(metafunc):
    """Run who asks for a `device` on the compiled loops, on torch's CPU, and on each other device of this machine."""
    if "device" in metafunc.fixturenames:
        from core.devices.device import TORCH_CPU, available

        devices = [available()[0], TORCH_CPU, *(device for device in available()[1:] if device.runs_kernels)]
        ids = [f"torch-{d.setting}" if d.whole_arrays else d.setting for d in devices]
        metafunc.parametrize("device", devices, ids=ids)
