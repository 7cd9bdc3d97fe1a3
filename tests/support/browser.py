"""Headless Chromium for tests, with checks for requests, console messages and pages wider than the window."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
)
ADVICE = "needs Chromium and its driver (Debian: apt-get install chromium chromium-driver) and the extra `dev`"


def require() -> tuple[str, str]:
    """(chromium, chromedriver); without them the test is skipped, or fails where HARNESS_REQUIRE_BROWSER is 1."""
    found = shutil.which("chromium"), shutil.which("chromedriver")
    try:
        import selenium  # noqa: F401
    except ModuleNotFoundError:
        found = None, None
    if found[0] is None or found[1] is None:
        if os.environ.get("HARNESS_REQUIRE_BROWSER") == "1":
            pytest.fail(f"HARNESS_REQUIRE_BROWSER=1, but this test {ADVICE}")
        pytest.skip(ADVICE)
    return found[0], found[1]


@contextmanager
def chromium(width: int = 1440, height: int = 900, *, dark: bool = False) -> Iterator[Any]:
    """A fresh browser with an empty profile, its console and its requests logged."""
    browser, driver = require()
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    with TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        options = webdriver.ChromeOptions()
        options.binary_location = browser
        for flag in (*FLAGS, f"--user-data-dir={profile}", f"--window-size={width},{height}"):
            options.add_argument(flag)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
        page = webdriver.Chrome(options=options, service=Service(driver))
        try:
            resize(page, width, height)
            theme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
            page.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [theme]})
            yield page
        finally:
            page.quit()


def resize(page: Any, width: int, height: int) -> None:
    """The window's size in CSS pixels, phones included."""
    metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
    page.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)


def visit(page: Any, path: Path, place: str = "") -> None:
    """Open a page of the report at an address and wait until it is there."""
    page.get("about:blank")
    page.get(f"{path.resolve().as_uri()}#{place}")
    wait(page, "return document.documentElement.dataset.ready")


def wait(page: Any, script: str, seconds: float = 20) -> Any:
    """The script's value as soon as it is true."""
    from selenium.webdriver.support.ui import WebDriverWait

    return WebDriverWait(page, seconds, poll_frequency=0.02).until(lambda d: d.execute_script(script))


def complaints(page: Any) -> list[str]:
    """Every console message, warnings included, since the last call."""
    return [entry["message"] for entry in page.get_log("browser")]


def requests(page: Any) -> list[str]:
    """Every address asked for since the last call, but for files, data and the browser's own pages."""
    sent = [json.loads(entry["message"])["message"] for entry in page.get_log("performance")]
    urls = [m["params"]["request"]["url"] for m in sent if m["method"] == "Network.requestWillBeSent"]
    return [url for url in urls if not url.startswith(("file://", "data:", "about:", "chrome://"))]


def overflow(page: Any) -> int:
    """By how many pixels the page is wider than its window."""
    return int(
        page.execute_script("return document.documentElement.scrollWidth - document.documentElement.clientWidth")
    )


def violations(page: Any) -> list[str]:
    """What axe finds serious or critical."""
    from selenium_axe_python import Axe

    axe = Axe(page)
    axe.inject()
    found = axe.run()["violations"]
    return [
        f"{v['id']}: {v['help']} ({v['nodes'][0]['html'][:120]}, {len(v['nodes'])} places)"
        for v in found
        if v["impact"] in ("serious", "critical")
    ]
