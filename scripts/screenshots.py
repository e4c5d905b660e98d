"""
Take the pictures in docs/images again: python scripts/screenshots.py [FOLDER]

Each page is shown while something happens on it, in a window of 900 pixels. If a folder is given,
it also gets pictures of phones and of dark pages, for review.
"""

import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from PIL import Image  # noqa: E402
from selenium.webdriver import Chrome, ChromeOptions, ChromeService  # noqa: E402
from selenium.webdriver.common.by import By  # noqa: E402
from selenium.webdriver.support.ui import WebDriverWait  # noqa: E402

from tests.live.servers import Kind, Server  # noqa: E402

IMAGES = ROOT / "docs" / "images"
KIND = Kind(
    "gunicorn", "example", ("{bin}/gunicorn", "-c", "example_flask/gunicorn.conf.py"), True, "/"
)


def chat(browser):
    for text in ("Hello, is anybody here?", "<b>This</b> shows as it was written."):
        browser.find_element(By.NAME, "message").send_keys(text + "\n")
        time.sleep(0.3)


def orders(browser):
    for item, button in (("Coffee", "order"), ("Tea", "order"), ("Cake", "fail")):
        field = browser.find_element(By.NAME, "item")
        field.clear()
        field.send_keys(item)
        browser.find_element(By.ID, button).click()
        time.sleep(0.3)


def tokens(browser):
    button = browser.find_element(By.CSS_SELECTOR, "#ask button")
    button.click()
    state = browser.find_element(By.CLASS_NAME, "state")
    WebDriverWait(browser, 10).until(lambda browser: state.text == "finished")
    browser.find_element(By.NAME, "question").send_keys("What is the meaning of life?")
    button.click()
    time.sleep(1.5)
    browser.find_element(By.ID, "stop").click()
    WebDriverWait(browser, 10).until(lambda browser: state.text == "stopped")
    browser.find_element(By.NAME, "question").send_keys("Please boil over")
    button.click()


def click(selector):
    return lambda browser: browser.find_element(By.CSS_SELECTOR, selector).click()


def nothing(browser):
    pass


# Name, path, what to do there, and after how many seconds to take the picture.
PAGES = (
    ("index", "/", nothing, 2.5),
    ("counter", "/counter/", click("#five"), 3.5),
    ("clock", "/clock/", nothing, 7),
    ("live-users", "/live-users/", nothing, 3),
    ("smart-home", "/smart-home/", click("#kitchen tr:last-child input, #kitchen input"), 4),
    ("chat", "/chat/?id=7&name=Ada", chat, 1),
    ("updates", "/updates/", nothing, 5),
    ("updates-react", "/updates/react/", nothing, 5),
    ("updates-vue", "/updates/vue/", nothing, 5),
    ("progress", "/progress/", click("#start"), 4),
    ("tokens", "/tokens/", tokens, 2),
    ("assistant", "/assistant/", click("#ask button"), 1.5),
    ("orders", "/orders/", orders, 0.5),
    ("htmx", "/htmx/", click("button"), 3),
    ("datastar", "/datastar/", click("button"), 1.5),
)


def make(folder, dark=False, width=900, pages=PAGES):
    options = ChromeOptions()
    options.binary_location = "/usr/bin/chromium"
    for flag in (
        "headless=new",
        "no-sandbox",
        "disable-gpu",
        "hide-scrollbars",
        "disable-dev-shm-usage",
    ):
        options.add_argument(f"--{flag}")
    with tempfile.TemporaryDirectory() as temporary:
        env = {"DATABASE": f"{temporary}/database"}
        browser = Chrome(options=options, service=ChromeService("/usr/bin/chromedriver"))
        with Server(KIND, Path(temporary) / "log", env) as server:
            for name, path, act, seconds in pages:
                browser.execute_cdp_cmd(
                    "Emulation.setEmulatedMedia",
                    {
                        "features": [
                            {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
                        ]
                    },
                )
                metrics = {
                    "width": width,
                    "height": 500,
                    "deviceScaleFactor": 1,
                    "mobile": width < 500,
                }
                browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
                browser.get(server.url + path)
                time.sleep(1)
                act(browser)
                time.sleep(seconds)
                height = browser.execute_script("return document.documentElement.scrollHeight")
                browser.execute_cdp_cmd(
                    "Emulation.setDeviceMetricsOverride", {**metrics, "height": height}
                )
                path = folder / f"{name}.png"
                browser.save_screenshot(str(path))
                # A quarter of the size, and no visible difference.
                picture = Image.open(path).convert("RGB")
                picture.quantize(256, kmeans=1).save(path, optimize=True)
        browser.quit()


if __name__ == "__main__":
    if len(sys.argv) == 1:
        IMAGES.mkdir(exist_ok=True)
        make(IMAGES)
    else:
        for name, arguments in (
            ("desktop", {}),
            ("phone", {"width": 390}),
            ("dark", {"dark": True}),
        ):
            folder = Path(sys.argv[1]) / name
            folder.mkdir(parents=True, exist_ok=True)
            make(folder, **arguments)
