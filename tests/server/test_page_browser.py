"""The page in a real browser: seen, read aloud, and used by keyboard alone.

With MREG_TEST_SCREENSHOTS set, what the page looks like is written to docs/images/.
"""

from __future__ import annotations

import base64
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from importlib.resources import files
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from selenium.webdriver import Chrome, ChromeOptions
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.wait import WebDriverWait

import mreg
from mreg.registry.local import LocalRegistry
from tests.conftest import ROOT, local_registry
from tests.forking import start_mreg
from tests.server.test_page import furnish

FLAGS = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
    "--disable-background-networking", "--disable-component-update", "--disable-dev-shm-usage", "--hide-scrollbars",
)  # fmt: skip

PAGES = {
    "models": "/ui",
    "models by search": "/ui?q=metrics.auc+%3E+0.9&sort=-metrics.auc",
    "a search that is wrong": "/ui?q=metrics.auc+%3E%3E+0.9",
    "a model": "/ui/models/fraud-detector",
    "a model without a metric": "/ui/models/empty-so-far",
    "a folder": "/ui/models/image-tagger/versions/1",
    "a version": "/ui/models/fraud-detector/versions/18",
    "a long name": f"/ui/models/{'long-' * 25}x",
    "a long version": f"/ui/models/{'long-' * 25}x/versions/1",
    "a comparison": "/ui/models/fraud-detector/compare?version_a=18&version_b=24",
    "a comparison of two models": "/ui/models/fraud-detector/compare?version_a=18&version_b=fraud-detector-lite%401",
    "history of a model": "/ui/models/fraud-detector/history",
    "history": "/ui/history",
    "an error": "/ui/models/fraud-detectr",
}
SCHEMES = ("light", "dark")

CONTRAST = """
const wanted = arguments[0];
const channel = value => { value /= 255; return value <= .03928 ? value / 12.92 : ((value + .055) / 1.055) ** 2.4; };
const parse = text => { const n = text.match(/[0-9.]+/g).map(Number); return n.length < 4 ? [...n, 1] : n; };
const light = ([r, g, b]) => .2126 * channel(r) + .7152 * channel(g) + .0722 * channel(b);
const ground = node => {
  for (; node; node = node.parentElement) {
    const found = parse(getComputedStyle(node).backgroundColor);
    if (found[3] === 1) return found;
  }
  return [255, 255, 255, 1];
};
return [...document.querySelectorAll(wanted)].filter(node => node.getClientRects().length && node.textContent.trim())
  .map(node => {
    const [one, other] = [light(parse(getComputedStyle(node).color)), light(ground(node))];
    return [node.outerHTML.slice(0, 120), (Math.max(one, other) + .05) / (Math.min(one, other) + .05)];
  });
"""

FOCUSABLE = """
return [...document.querySelectorAll('a[href], button, input:not([type=hidden]), select, summary, [tabindex="0"]')]
  .filter(node => node.tabIndex >= 0 && node.checkVisibility({visibilityProperty: true, contentVisibilityAuto: true})).length;
"""

FOCUSED = """
const node = document.activeElement;
if (!node || node === document.body) return null;
node.dataset.seen = (node.dataset.seen || '') + 'x';
const style = getComputedStyle(node);
const box = node.querySelector('.box');
const shown = style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) >= 2
  || box && parseFloat(getComputedStyle(box).strokeWidth) >= 3;
const place = node.getBoundingClientRect();
return {text: node.outerHTML.slice(0, 160), shown: Boolean(shown), again: node.dataset.seen.length > 1,
        seen: place.width > 0 && place.bottom > 0 && place.top < innerHeight};
"""


class Browser:
    """Chromium before a registry's page."""

    def __init__(self, driver: Chrome, url: str) -> None:
        self.driver = driver
        self.url = url

    def open(
        self, address: str, *, width: int = 1280, height: int = 900, scheme: str = "light", reduced: bool = False
    ) -> None:
        """Show a page; what the one before said is forgotten."""
        self.driver.get_log("browser")  # type: ignore[no-untyped-call]
        self.command(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 600
        )
        self.command(
            "Emulation.setEmulatedMedia",
            features=[
                {"name": "prefers-color-scheme", "value": scheme},
                {"name": "prefers-reduced-motion", "value": "reduce" if reduced else "no-preference"},
            ],
        )
        self.driver.get(self.url + address)

    def command(self, name: str, **values: object) -> dict[str, Any]:
        done: dict[str, Any] = self.driver.execute_cdp_cmd(name, values)
        return done

    def run(self, script: str, *values: object) -> Any:
        return self.driver.execute_script(script, *values)

    def press(self, *keys: str) -> None:
        ActionChains(self.driver).send_keys(*keys).perform()

    def enter(self) -> None:
        """Press Enter, and wait for the page that it leads to."""
        self.run("window.left = true")
        self.press(Keys.ENTER)
        self._arrive()

    def _arrive(self) -> None:
        there = "return !window.left && document.readyState === 'complete'"
        WebDriverWait(self.driver, 20, poll_frequency=0.02).until(lambda _driver: self.run(there))

    def click(self, node: WebElement) -> None:
        """Click, and wait for the page that it leads to."""
        self.run("window.left = true")
        ActionChains(self.driver).move_to_element(node).click().perform()
        self._arrive()

    def complaints(self) -> list[str]:
        """What the browser's console says but of the page's own status."""
        said = [str(line["message"]) for line in self.driver.get_log("browser")]  # type: ignore[no-untyped-call]
        return [line for line in said if not re.search(r"/ui\S* - Failed to load resource: .* status of 40[04]", line)]

    def find(self, selector: str) -> Any:
        return self.driver.find_element(By.CSS_SELECTOR, selector)

    def tab_to(self, selector: str) -> None:
        """Go on by Tab until the focus is on what is meant."""
        for _ in range(200):
            self.press(Keys.TAB)
            if self.run("return document.activeElement.matches(arguments[0])", selector):
                return
        raise AssertionError(f"Tab does not reach {selector}")

    def picture(self, clip: dict[str, float]) -> bytes:
        """A part of the page."""
        done = self.command("Page.captureScreenshot", format="png", captureBeyondViewport=True, clip=clip)
        return base64.b64decode(done["data"])


def add_hard_cases(registry: mreg.Registry, folder: Path) -> None:
    """What is as long as it may be, and what is empty."""
    registry.register("empty-so-far")
    file = folder / f"{'long-' * 40}.bin"
    file.write_bytes(b"1")
    for _ in range(2):
        registry.push(
            file,
            name=f"{'long-' * 25}x",
            description="w" * 400,
            metrics={f"{'metric_' * 20}x": 1e-300, "accuracy": 10**30},
            parameters={"p" * 200: "v" * 2_000},
            tags={"t" * 200: "v" * 300},
            aliases=["a" * 64],
            run_id="r" * 200,
            data={"d" * 100: f"https://h.example/{'d' * 200}"},
        )


@contextmanager
def serving(people: Path, *fill: Callable[[LocalRegistry, Path], None]) -> Iterator[str]:
    """A server, as a person starts it, of a registry that is filled like this; its address."""
    home = Path(tempfile.mkdtemp(dir=people))
    log = home / "log"
    with pytest.MonkeyPatch.context() as patch, log.open("wb") as stream:
        for name, value in (("HOME", str(home)), ("PYTHONPATH", str(ROOT)), ("MREG_USER", "ada")):
            patch.setenv(name, value)
        patch.chdir(home)
        with local_registry() as registry:
            for one in fill:
                one(registry, Path(tempfile.mkdtemp(dir=people)))
        process = start_mreg("serve", "--port", "0", "--read-only", stdout=stream)
    try:
        while not (match := re.search(r"at (http://\S+),", log.read_text())):
            assert process.poll() is None, log.read_text()
            with suppress(subprocess.TimeoutExpired):
                process.wait(timeout=0.05)
        yield match[1]
    finally:
        process.terminate()
        process.wait(timeout=60)


@pytest.fixture(scope="module")
def url(people: Path) -> Iterator[str]:
    with serving(people, furnish, add_hard_cases) as found:
        yield found


@pytest.fixture(scope="module")
def browser(url: str) -> Iterator[Browser]:
    chromium, chromedriver = shutil.which("chromium"), shutil.which("chromedriver")
    if chromium is None or chromedriver is None:
        pytest.skip("there is no chromium with its chromedriver: apt-get install chromium chromium-driver")
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        options = ChromeOptions()
        options.binary_location = chromium
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        for flag in (*FLAGS, f"--user-data-dir={folder}"):
            options.add_argument(flag)
        driver = Chrome(options=options, service=Service(chromedriver))
        yield Browser(driver, url)
        driver.quit()


@pytest.mark.parametrize("page", PAGES)
def test_a_browser_has_nothing_to_complain_of(browser: Browser, page: str) -> None:
    browser.open(PAGES[page])
    assert browser.complaints() == []
    hosts = browser.run("return performance.getEntriesByType('resource').map(one => new URL(one.name).origin)")
    assert set(hosts) <= {browser.url}
    assert browser.run("return getComputedStyle(document.querySelector('.top')).display") == "block"


@pytest.mark.parametrize("width", [320, 768])
@pytest.mark.parametrize("page", PAGES)
def test_a_narrow_screen_is_never_scrolled_sideways(browser: Browser, page: str, width: int) -> None:
    browser.open(PAGES[page], width=width)
    browser.run("for (const one of document.querySelectorAll('details')) one.open = true")
    assert browser.run("return document.documentElement.scrollWidth") <= width
    beyond = """
        const held = node => node.closest('.scroll, svg, .unseen, thead, .skip');
        return [...document.querySelectorAll('main *')].filter(node => !held(node) && node.getBoundingClientRect().right > innerWidth + 1)
          .map(node => node.outerHTML.slice(0, 120));"""
    assert browser.run(beyond) == []


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("page", PAGES)
def test_text_can_be_read_in_light_and_dark(browser: Browser, page: str, scheme: str) -> None:
    browser.open(PAGES[page], scheme=scheme, reduced=True)
    selector = "body, h1, h2, p, a, th, td, caption, dt, dd, label, input, button, .badge, .chip, .quiet, .verdict, .note, summary, .ticks li"
    for text, ratio in browser.run(CONTRAST, selector):
        assert ratio >= 4.5, (text, ratio)
    dark = browser.run("return getComputedStyle(document.body).backgroundColor.match(/[0-9]+/g).map(Number)")
    assert (max(dark) < 60) == (scheme == "dark")


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("page", PAGES)
def test_no_rule_of_accessibility_that_axe_knows_is_broken(browser: Browser, page: str, scheme: str) -> None:
    browser.open(PAGES[page], scheme=scheme, width=1280 if scheme == "light" else 320, reduced=True)
    browser.run("for (const one of document.querySelectorAll('details')) one.open = true")
    browser.run(files("axe_playwright_python").joinpath("axe.min.js").read_text())
    found = browser.driver.execute_async_script(
        "axe.run({runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice']}).then(arguments[0])"
    )
    broken = [(one["id"], [node["html"][:200] for node in one["nodes"]]) for one in found["violations"]]
    assert broken == []
    assert len(found["passes"]) > 15


@pytest.mark.parametrize("page", PAGES)
def test_who_listens_finds_their_way(browser: Browser, page: str) -> None:
    browser.open(PAGES[page])
    for selector, count in (
        ("main", 1),
        ("body > header", 1),
        ("body > footer", 1),
        ("nav[aria-label=Main]", 1),
        ("h1", 1),
    ):
        assert len(browser.driver.find_elements(By.CSS_SELECTOR, selector)) == count, selector
    assert browser.run("return document.documentElement.lang") == "en"
    levels = browser.run("return [...document.querySelectorAll('h1, h2, h3')].map(node => Number(node.tagName[1]))")
    assert all(after - before <= 1 for before, after in pairwise(levels))
    unnamed = """
        return [...document.querySelectorAll('input:not([type=hidden]), select')].filter(node => !node.labels.length)
          .concat([...document.querySelectorAll('table')].filter(node => !node.caption))
          .concat([...document.querySelectorAll('th')].filter(node => !node.scope))
          .concat([...document.querySelectorAll('[role=region], nav')].filter(node => !node.ariaLabel))
          .concat([...document.querySelectorAll('main svg[role]')].filter(node => !node.querySelector('title, desc')))
          .map(node => node.outerHTML.slice(0, 120));"""
    assert browser.run(unnamed) == []


@pytest.mark.parametrize("page", ["models", "a model", "a version", "a comparison", "an error"])
def test_everything_is_reached_by_tab_and_shows_that_it_is(browser: Browser, page: str) -> None:
    browser.open(PAGES[page], reduced=True)
    wanted = browser.run(FOCUSABLE)
    reached = 0
    for _ in range(wanted + 1):
        browser.press(Keys.TAB)
        found = browser.run(FOCUSED)
        if found is None or found["again"]:
            break
        assert found["shown"], found["text"]
        assert found["seen"], found["text"]
        reached += 1
    assert reached == wanted


def test_a_whole_visit_by_keyboard_alone(browser: Browser) -> None:
    browser.open(PAGES["models"])
    browser.press(Keys.TAB)
    assert browser.run("return document.activeElement.className") == "skip"
    browser.press(Keys.ENTER)
    assert browser.run("return document.activeElement.id") == "main"
    browser.tab_to("#q")
    browser.press("name = 'fraud-detector' and metrics.auc > 0.9")
    browser.enter()
    assert browser.find("h1").text == "Search results"
    browser.tab_to("a[href='/ui']")
    browser.enter()
    browser.tab_to("a[href='/ui/models/fraud-detector']")
    browser.enter()
    assert browser.find("h1").text == "fraud-detector"
    browser.tab_to("#metric")
    browser.press("recall")
    browser.tab_to(".inline button")
    browser.enter()
    assert browser.find("#trend").text == "Trend of recall"
    browser.tab_to("#version_a")
    browser.press("12")
    browser.tab_to("#version_b")
    browser.press("champion")
    browser.tab_to(".compare button")
    browser.enter()
    assert browser.find("h1").text == "fraud-detector version 18 compared with version 12"
    assert "better" in browser.find("main table").text
    browser.tab_to("a[href='/ui/models/fraud-detector/versions/18']")
    browser.enter()
    assert browser.find("h1").text == "fraud-detector version 18"
    browser.tab_to(".lineage a[href='/ui/models/fraud-detector/versions/17']")
    browser.enter()
    assert browser.find("h1").text == "fraud-detector version 17"


def test_points_of_the_chart_lead_to_versions(browser: Browser) -> None:
    browser.open(PAGES["a model"], width=320)
    browser.run("document.querySelector('.trend').scrollIntoView()")
    points = browser.driver.find_elements(By.CSS_SELECTOR, ".trend a")
    assert len(points) == 24
    browser.click(points[11])
    assert browser.find("h1").text == "fraud-detector version 12"


if os.environ.get("MREG_TEST_SCREENSHOTS"):  # not skipped: a skipped test is a failure in CI

    def test_pictures_of_the_page_are_made(browser: Browser, people: Path) -> None:
        with serving(people, furnish) as url:
            shown = Browser(browser.driver, url)
            for name, page, width, height, scheme, part in (
                ("page-1280", "models", 1280, 0, "light", "body"),
                ("page-320", "models", 320, 1_500, "light", "body"),
                ("page-model-1280", "a model", 1280, 1_320, "light", "body"),
                ("page-model-320", "a model", 320, 1_500, "dark", "body"),
                ("page-lineage-1280", "a version", 1280, 0, "dark", "[aria-labelledby=lineage]"),
                ("page-compare-1280", "a comparison", 1280, 1_150, "dark", "body"),
            ):
                shown.open(PAGES[page], width=width, height=900, scheme=scheme, reduced=True)
                box = shown.run("return document.querySelector(arguments[0]).getBoundingClientRect().toJSON()", part)
                clip = {key: box[key] for key in ("x", "y", "width", "height")} | {"scale": 1}
                clip["height"] = min(clip["height"], height or clip["height"])
                (ROOT / "docs/images" / f"{name}.png").write_bytes(shown.picture(clip))
