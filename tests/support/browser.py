"""A headless Chromium: the machine's own, or the one that `playwright install chromium` brings."""

import contextlib
import shutil

from playwright.sync_api import sync_playwright


@contextlib.contextmanager
def browsing():
    """Yields a browser that lets nothing out of the machine."""
    path = shutil.which("chromium") or shutil.which("chromium-browser")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=path,
            args=["--no-sandbox", "--disable-gpu", "--disable-background-networking"],
        )
        yield browser
        browser.close()
