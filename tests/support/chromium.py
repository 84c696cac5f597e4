"""A real Chromium, driven as a person drives it: by what is seen, with keys and clicks."""

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import pytest
from selenium.common.exceptions import NoAlertPresentException, StaleElementReferenceException
from selenium.webdriver import Chrome, ChromeOptions, Keys
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.wait import WebDriverWait

from tests.support.patience import PATIENCE

T = TypeVar("T")

_FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--window-size=1200,900",
)
_LOOK_AGAIN = 0.05
_NOT_YET = (StaleElementReferenceException, NoAlertPresentException)


class Browser:
    """One window. Whatever is looked for is waited for."""

    def __init__(self, driver: Chrome) -> None:
        self._driver = driver

    def open(self, url: str) -> None:
        self._driver.get(url)

    def until(self, look: Callable[[], T | None], what: str) -> T:
        """What the look finds, once that is neither None nor empty."""
        wait = WebDriverWait(self._driver, PATIENCE, _LOOK_AGAIN, _NOT_YET)
        return wait.until(lambda _: look() or False, what)

    def find(self, xpath: str) -> WebElement:
        """The first that is shown."""
        return self.until(lambda: next((each for each in self.all(xpath) if each.is_displayed()), None), xpath)

    def all(self, xpath: str) -> list[WebElement]:
        return self._driver.find_elements(By.XPATH, xpath)

    def press(self, name: str) -> None:
        """A button or a link, by its text."""
        self.find(f"//*[self::button or self::a][normalize-space()='{name}']").click()

    def fill(self, label: str, text: str) -> None:
        field = self.find(f"//label[normalize-space()='{label}']/input")
        field.clear()
        field.send_keys(text)

    def choose(self, label: str, option: str) -> None:
        self.find(f"//label[starts-with(normalize-space(), '{label}')]/select/option[.='{option}']").click()

    def type(self, *keys: str) -> None:
        """To whatever has the focus."""
        self._driver.switch_to.active_element.send_keys(*keys)

    def focused(self) -> str:
        """The text of what has the focus, or the label of a field."""
        element = self._driver.switch_to.active_element
        return (element.text or self.run("return arguments[0].labels?.[0]?.textContent ?? ''", element)).strip()

    def tab_to(self, name: str) -> None:
        """With the Tab key alone, from where the focus is. Fails where it does not come there."""
        passed = []
        for _ in range(40):
            self.type(Keys.TAB)
            passed.append(self.focused())
            if passed[-1] == name:
                return
        raise AssertionError(f"Tab does not reach {name!r}, but {passed}")

    def rows(self, table: str) -> list[list[str]]:
        """What stands in the cells of the table that is labelled so. Empty where it is not there yet."""
        found: list[list[str]] = self.run(
            "return [...document.querySelectorAll(`[aria-label=${JSON.stringify(arguments[0])}] tbody tr`)]"
            ".map((row) => [...row.cells].map((cell) => cell.innerText))",
            table,
        )
        return found

    def agree(self) -> None:
        """To what a dialogue asks."""
        self.until(lambda: self._driver.switch_to.alert, "a dialogue").accept()

    def run(self, script: str, *arguments: object) -> Any:  # noqa: ANN401  any JSON
        return self._driver.execute_script(script, *arguments)

    def devtools(self, command: str, **parameters: object) -> None:
        self._driver.execute_cdp_cmd(command, parameters)

    def console(self) -> list[str]:
        """What was logged since the last look: errors and warnings of scripts, of loading, of the content policy."""
        lines = self._driver.get_log("browser")  # type: ignore[no-untyped-call]
        return [f"{line['level']}: {line['message']}" for line in lines]


@contextmanager
def chromium() -> Iterator[Browser]:
    options = ChromeOptions()
    options.binary_location = _program("chromium")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    with tempfile.TemporaryDirectory(prefix="gwz-chromium-", ignore_cleanup_errors=True) as profile:
        for flag in (*_FLAGS, f"--user-data-dir={profile}"):
            options.add_argument(flag)
        driver = Chrome(options=options, service=Service(_program("chromedriver")))
        try:
            yield Browser(driver)
        finally:
            driver.quit()


def _program(name: str) -> str:
    """Skips the test where it is not found, except in CI."""
    if (found := shutil.which(name)) is not None:
        return found
    missing = f"no {name} is on the PATH: `make browser` installs Debian's"
    if os.environ.get("CI"):
        pytest.fail(missing)
    pytest.skip(missing)
