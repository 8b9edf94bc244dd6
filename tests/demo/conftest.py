"""A browser that reads the pages."""

import os
from pathlib import Path

import pytest

CHROMIUM = Path(os.environ.get("HUBTL_CHROMIUM", "/usr/bin/chromium"))


@pytest.fixture(scope="module")
def browser():
    playwright = pytest.importorskip("playwright.sync_api", reason="there is no playwright")
    if not CHROMIUM.exists():
        pytest.skip(f"there is no browser at {CHROMIUM}")
    with playwright.sync_playwright() as started:
        chromium = started.chromium.launch(executable_path=str(CHROMIUM), args=["--no-sandbox"])
        context = chromium.new_context(viewport={"width": 1200, "height": 1000})
        context.set_default_timeout(20_000)
        yield context
        chromium.close()
