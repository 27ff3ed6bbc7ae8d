"""Firefox without a window and without geckodriver, which Debian and the package index do not have.

Firefox itself speaks Marionette, a protocol whose commands are those of WebDriver: geckodriver only passes them on. So
does this, to Selenium. See https://firefox-source-docs.mozilla.org/testing/marionette/Protocol.html.
"""

import json
import os
import shutil
import socket
import subprocess
import time
from pathlib import Path
from typing import Any

from selenium import webdriver
from selenium.webdriver import FirefoxOptions
from selenium.webdriver.remote.command import Command

FIREFOX = shutil.which("firefox-esr") or shutil.which("firefox")
START_S = 120
PREFERENCES = {
    "marionette.port": 0,  # any that is free; Firefox writes it into the profile
    "browser.download.folderList": 2,  # into browser.download.dir
    "browser.download.alwaysOpenPanel": False,
    "browser.download.useDownloadDir": True,
    "ui.prefersReducedMotion": 1,
    "webgl.force-enabled": True,  # without a graphics card
    "layout.css.prefers-color-scheme.content-override": 1,  # light
    "browser.shell.checkDefaultBrowser": False,
    "datareporting.policy.dataSubmissionEnabled": False,
}
CAMERA = {"media.navigator.streams.fake": True, "media.navigator.permission.disabled": True}
PRIVATE = {"privacy.resistFingerprinting": True}
COMMANDS = {
    Command.NEW_SESSION: "NewSession",
    Command.GET: "Navigate",
    Command.GET_CURRENT_URL: "GetCurrentURL",
    Command.W3C_EXECUTE_SCRIPT: "ExecuteScript",
    Command.W3C_EXECUTE_SCRIPT_ASYNC: "ExecuteAsyncScript",
    Command.FIND_ELEMENT: "FindElement",
    Command.FIND_ELEMENTS: "FindElements",
    Command.FIND_CHILD_ELEMENT: "FindElement",
    Command.FIND_CHILD_ELEMENTS: "FindElements",
    Command.CLICK_ELEMENT: "ElementClick",
    Command.SEND_KEYS_TO_ELEMENT: "ElementSendKeys",
    Command.GET_ELEMENT_TEXT: "GetElementText",
    Command.GET_ELEMENT_RECT: "GetElementRect",
    Command.GET_ELEMENT_PROPERTY: "GetElementProperty",
    Command.IS_ELEMENT_ENABLED: "IsElementEnabled",
    Command.IS_ELEMENT_SELECTED: "IsElementSelected",
    Command.GET_ELEMENT_ATTRIBUTE: "GetElementAttribute",
    Command.GET_ELEMENT_TAG_NAME: "GetElementTagName",
    Command.W3C_ACTIONS: "PerformActions",
    Command.SCREENSHOT: "TakeScreenshot",
    Command.ELEMENT_SCREENSHOT: "TakeScreenshot",
    Command.SET_TIMEOUTS: "SetTimeouts",
}

# Scripts with the rights of the browser itself.
PREFER = """for (const [name, value] of Object.entries(arguments[0])) {
  const kind = {string: "setStringPref", number: "setIntPref", boolean: "setBoolPref"}[typeof value];
  Services.prefs[kind](name, value);
}"""
RESIZE = """const tab = gBrowser.selectedBrowser, done = arguments[2];
for (const [side, pixels] of [["width", arguments[0]], ["height", arguments[1]]]) {
  for (const most of ["", "min-", "max-"]) tab.style.setProperty(most + side, `${pixels}px`, "important");
}
tab.style.setProperty("flex", "none");
setTimeout(done, 200);"""
SAID = """const said = Services.console.getMessageArray().filter((one) =>
    one instanceof Ci.nsIScriptError && /^(file|http|blob|data):/.test(one.sourceName)).map((one) => one.errorMessage);
Services.console.reset();
return said;"""
RUN_FIRST = """const watch = () => addEventListener("DOMWindowCreated", ({ target }) => {
  const script = Services.cpmm.sharedData.get("first"), page = target.defaultView;
  if (script) Cu.evalInSandbox(script, new Cu.Sandbox(page, { sandboxPrototype: page, wantXrays: false }));
}, true);
window.messageManager.loadFrameScript(`data:,(${watch})()`, true);"""
SHARE = "Services.ppmm.sharedData.set('first', arguments[0]); Services.ppmm.sharedData.flush();"


class Marionette:
    """A connection to Firefox, as Selenium's command executor."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=600)
        self.file = self.socket.makefile("rb")
        self.count = 0
        self.receive()  # its greeting

    def receive(self) -> Any:
        """Receive a message: its length, a colon, JSON."""
        length = b""
        while (digit := self.file.read(1)) != b":":
            assert digit, "Firefox has closed the connection"
            length += digit
        return json.loads(self.file.read(int(length)))

    def ask(self, name: str, /, **asked: Any) -> tuple[Any, Any]:
        """Send a command; return the error and the result, of which one is None."""
        self.count += 1
        content = json.dumps([0, self.count, name, asked]).encode()
        self.socket.sendall(b"%d:%s" % (len(content), content))
        _, number, error, result = self.receive()
        assert number == self.count
        return error, result

    def close(self) -> None:
        """End the connection."""
        self.socket.close()

    def execute(self, command: str, params: dict[str, Any]) -> dict[str, Any]:
        """Carry out a command of Selenium."""
        asked = {key: value for key, value in params.items() if key != "sessionId"}
        if command == Command.QUIT:
            error, result = self.ask("Marionette:Quit", flags=["eForceQuit"])
        else:
            if command == Command.ELEMENT_SCREENSHOT or command == Command.SCREENSHOT:
                asked["full"] = False
            elif command == Command.NEW_SESSION:
                asked = asked["capabilities"]
            elif command in (Command.FIND_CHILD_ELEMENT, Command.FIND_CHILD_ELEMENTS):
                asked["element"] = asked.pop("id")
            error, result = self.ask(f"WebDriver:{COMMANDS[command]}", **asked)
        if error:
            return {"status": 500, "value": json.dumps(error)}
        return {"value": result["value"] if isinstance(result, dict) and set(result) == {"value"} else result}


class Firefox(webdriver.Remote):
    """Firefox, with what tests of pages need beside WebDriver; `Chromium` in browser.py has the same methods."""

    def __init__(self, profile: Path, **preferences: Any) -> None:
        profile.mkdir(exist_ok=True)
        lines = [f"user_pref({json.dumps(key)}, {json.dumps(value)});" for key, value in preferences.items()]
        (profile / "user.js").write_text("\n".join(lines))
        written = profile / "MarionetteActivePort"
        written.unlink(missing_ok=True)
        flags = ("--headless", "--no-remote", "--marionette", "--remote-allow-system-access", "--profile", profile)
        self.process = subprocess.Popen(
            [FIREFOX, *flags], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env={**os.environ, "HOME": profile}
        )
        try:
            end = time.monotonic() + START_S
            while not (written.is_file() and written.read_text()):
                assert time.monotonic() < end and self.process.poll() is None, "Firefox does not start"
                time.sleep(0.05)
            self.wire = Marionette(int(written.read_text()))
            super().__init__(self.wire, options=FirefoxOptions())
            self.privileged(RUN_FIRST)
        except BaseException:
            self.process.kill()
            raise

    def quit(self) -> None:
        """End Firefox."""
        super().quit()
        self.process.wait(60)

    def privileged(self, script: str, *args: Any) -> Any:
        """Run a script with the rights of the browser itself."""
        self.wire.ask("Marionette:SetContext", value="chrome")
        try:
            return self.execute_async_script(script, *args) if "done" in script else self.execute_script(script, *args)
        finally:
            self.wire.ask("Marionette:SetContext", value="content")

    def resize(self, size: tuple[int, int]) -> None:
        """Give the page a size in CSS pixels."""
        self.wire.ask("WebDriver:SetWindowRect", width=1600, height=1200)
        self.privileged(RESIZE, *size)

    def save_to(self, folder: Path) -> None:
        """Let downloads go into a folder."""
        self.privileged(PREFER, {"browser.download.dir": str(folder)})

    def said(self) -> list[str]:
        """Return what pages wrote to the console, and forget it."""
        return self.privileged(SAID)

    def use_scripts(self, allowed: bool) -> None:
        """Let pages run scripts, or not."""
        self.privileged("gBrowser.selectedBrowser.browsingContext.allowJavascript = arguments[0]", allowed)

    def use_scheme(self, scheme: str) -> None:
        """Prefer "light" or "dark"."""
        value = ("dark", "light").index(scheme)
        self.privileged(PREFER, {"layout.css.prefers-color-scheme.content-override": value})

    def run_first(self, script: str) -> None:
        """Run a script in each page before its own; an empty one ends that."""
        self.privileged(SHARE, script)
