"""The widgets in a real browser: JupyterLab on a loopback port, Chromium driven by Playwright; clicks and keys in, hints, captions and answers in Python out.

Skips where Playwright (`pip install playwright`) or a browser (`apt install chromium`, or `playwright install chromium`) is missing.
"""
import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from types import SimpleNamespace

import nbformat
import numpy as np
import pytest

from colorlib import images, scenes
from colorlib.hints import HintSet
from colorlib.widgets.hint_actions import hex_color

NOTEBOOK = Path(__file__).parents[1] / "notebooks" / "04_hint_unet.ipynb"      # its setup cell and the cell that shows the picker are run
PICKER = "picker"                       # what that cell calls the picker
PATIENCE = 60_000                       # ms for anything that starts: a kernel on a busy machine
SOON = 20_000                           # ms for anything that answers
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update",
         "--disable-sync", "--disable-dev-shm-usage"]
SETTINGS = {                            # no questions over the page, and cells that exist even where nobody looks
    "apputils-extension/notification": {"fetchNews": "false", "checkForUpdates": False, "doNotDisturbMode": True},
    "notebook-extension/tracker": {"windowingMode": "none"}}
SETUP = """
import numpy as np, cv2
from colorlib import captions, fooling, images, lab, results, scenes, widgets
from IPython.display import Markdown, display
from ipywidgets import VBox
AB = {"red": (60, 45), "green": (-50, 45), "blue": (10, -55)}

def spread(L, hints):
    ab, mask = (cv2.GaussianBlur(np.moveaxis(x, 0, -1), (0, 0), L.shape[0] / 12).reshape(*L.shape, -1) for x in hints.maps(*L.shape))
    return np.moveaxis(ab / (mask + 1e-3), -1, 0)

def paint(L, caption):
    said = [word for word in captions.color_words(caption) if word in AB]
    return np.broadcast_to(np.float32(AB[said[0]] if said else (0, 0))[:, None, None], (2, *L.shape))

paint.vocabulary = captions.Vocabulary(["a", "car", "on", "road", "the", *captions.COLOR_WORDS])

def mean(L, reference):
    return np.broadcast_to(lab.rgb_to_lab(reference)[..., 1:].mean((0, 1))[:, None, None], (2, *L.shape))

real = [scenes.make_scene(i, 64).rgb for i in range(3)]
session = fooling.FoolingSession({"mirrored": [rgb[..., ::-1] for rgb in real], "swapped": [rgb[..., [1, 0, 2]] for rgb in real]}, real, ["a red car"] * 3)
clip = scenes.make_clip(3, 24, 64).rgb
"""
WIDGETS = {                             # what the cells make, each in a variable of its own
    "explorer": "widgets.LabExplorer(L=60)",
    "picker": "widgets.HintPicker('scene.png', predict=spread, reference='other.png')",
    "form": "widgets.HintForm('scene.png', predict=spread)",
    "box": "widgets.CaptionBox('scene.png', method=paint)",
    "chooser": "widgets.ReferenceChooser('scene.png', {name: np.full((40, 60, 3), rgb, np.uint8) for name, rgb in "
               "(('a red_wall', (200, 40, 40)), ('a blue wall', (40, 60, 200)), ('a green wall', (40, 160, 60)))}, mean)",
    "test": "widgets.FoolingTest(session, 'answers.csv')",
    "drop": "widgets.PhotoDrop()",
    "player": "widgets.ClipPlayer({'truth': clip, 'mirrored': clip[..., ::-1]})",
    "board": "widgets.ConditionBoard('scene.png', 'a red car on a zebra', 'other.png', [(90, 120, '#c03020')])"}
EVIL = "a red <script>window.pwned = 1</script><img src=x onerror=\"window.pwned = 2\"> ' " \
    "onmouseover='window.pwned = 3' <svg onload=window.pwned=4></p></style>"
HOSTILE_NAME = "<img src=x onerror=window.pwned=5>'.png"      # of a file
HOSTILE = f"""
EVIL, NAME = {EVIL!r}, {HOSTILE_NAME!r}
rgb = scenes.make_scene(5, 48).rgb
images.save_image(NAME, rgb)
flat = lambda L, *_: np.zeros((2, *L.shape), np.float32)
box = widgets.CaptionBox(NAME, EVIL, method=paint)
box.path.value = "nothing/" + EVIL
chooser = widgets.ReferenceChooser(NAME, {{EVIL: rgb, NAME: rgb[::-1]}}, flat)
drop = widgets.PhotoDrop()
drop.path.value = "nothing/" + EVIL
form = widgets.HintForm(NAME, predict=flat)
form.act("load", path=EVIL)
hostile = widgets.HintPicker(NAME, predict=flat)
hostile.act("load", path=EVIL)
test = widgets.FoolingTest(fooling.FoolingSession({{EVIL: [rgb[..., ::-1]] * 2, "other": [rgb] * 2}}, [rgb] * 2, [EVIL] * 2), "<b onclick=x>.csv", EVIL)
test.start()
while test.sitting.trial.task == "quality":
    test.sitting.started -= 1
    test.choose(0)
display(VBox([box, chooser, drop, form, test]))
display(hostile)
display(widgets.ClipPlayer({{EVIL: np.stack([rgb] * 2), NAME: np.stack([rgb] * 2)}}, alt=EVIL))
display(widgets.ConditionBoard(rgb, EVIL, EVIL))
display(Markdown(results.markdown([["name"], [results.cell(EVIL)]])))
"""
CELLS = [SETUP, *(f"{name} = {text}\n{name}" for name, text in WIDGETS.items()), HOSTILE]


@pytest.fixture(scope="module")
def browser():
    api = pytest.importorskip("playwright.sync_api", reason="Playwright drives the browser: pip install playwright")
    with api.sync_playwright() as playwright:
        path = next(filter(None, map(shutil.which, BROWSERS)), None) or playwright.chromium.executable_path
        if not os.path.exists(path):
            pytest.skip("No browser is installed: apt install chromium, or playwright install chromium")
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """A JupyterLab of this interpreter over a temporary folder, with nobody's settings; gone at the end, whatever happens."""
    folder, home = tmp_path_factory.mktemp("course"), tmp_path_factory.mktemp("jupyter")
    write_pictures(folder)
    write_notebook(folder / "widgets.ipynb", CELLS)
    for name, values in SETTINGS.items():
        write_setting(home, name, values)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    places = {name: str(home / name.lower()) for name in ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR")}
    command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", "--ServerApp.ip=127.0.0.1", f"--ServerApp.port={port}",
               "--ServerApp.port_retries=0", "--IdentityProvider.token=", f"--ServerApp.root_dir={folder}", "--LabApp.expose_app_in_browser=True",
               f"--LabApp.user_settings_dir={home / 'settings'}", f"--LabApp.workspaces_dir={home / 'workspaces'}"]
    environment = {name: value for name, value in os.environ.items() if name != "PYTEST_CURRENT_TEST"}     # ipykernel behaves otherwise under pytest
    with open(home / "server.log", "wb") as log:
        server = subprocess.Popen(command, cwd=folder, env=environment | places, stdout=log, stderr=log, start_new_session=True)
    address = f"http://127.0.0.1:{port}"
    try:
        wait_for_server(server, address, home / "server.log")
        yield SimpleNamespace(address=address, folder=folder, home=home)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(server.pid, signal.SIGTERM)                      # it ends its kernels; if it cannot, they notice that it is gone
        try:
            server.wait(10)
        except subprocess.TimeoutExpired:
            pass
        with contextlib.suppress(ProcessLookupError):
            os.killpg(server.pid, signal.SIGKILL)


def write_setting(home, name, values):
    path = home / "settings" / "@jupyterlab" / f"{name}.jupyterlab-settings"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(values))


def write_pictures(folder):
    images.save_image(folder / "scene.png", scenes.make_scene(5, 256).rgb[:192])
    images.save_image(folder / "other.png", scenes.make_scene(8, 96).rgb)


def write_notebook(path, cells):
    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(text.strip()) for text in cells])
    book.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
    book.cells[0].metadata["tags"] = ["setup"]
    nbformat.write(book, path)


def wait_for_server(server, address, log, limit=60):
    end = time.monotonic() + limit
    while time.monotonic() < end:
        if server.poll() is not None:
            break
        with contextlib.suppress(OSError, urllib.error.URLError):
            if urllib.request.urlopen(f"{address}/api/status", timeout=2).status == 200:
                return
        time.sleep(0.1)
    raise AssertionError(f"JupyterLab did not start:\n{log.read_text()[-3000:]}")


class Page:
    """A notebook in JupyterLab, and the picker in it."""

    def __init__(self, browser, address, notebook, **options):
        self.context = browser.new_context(**({"viewport": {"width": 1300, "height": 1100}} | options))
        self.page = self.context.new_page()
        self.log = []
        self.page.on("console", lambda message: self.log.append(message.text) if message.type == "error" else None)
        self.page.on("pageerror", lambda error: self.log.append(str(error)))
        self.page.goto(f"{address}/lab/tree/{notebook}?reset", wait_until="domcontentloaded")
        self.page.wait_for_function("""() => {
            const panel = window.jupyterapp?.shell.currentWidget;
            return panel?.sessionContext?.session?.kernel?.connectionStatus === "connected" && panel.content?.widgets.length > 0;
        }""", timeout=PATIENCE)
        self.root = self.page.locator(".hp-root").first
        self.canvas = self.root.locator(".hp-canvas")

    def show_picker(self):
        """Run the setup cells and the cell that makes the picker, as Shift+Enter does."""
        cells = self.page.evaluate("""() => window.jupyterapp.shell.currentWidget.content.widgets.map((cell) => [
            cell.model.type, cell.model.sharedModel.source, cell.model.getMetadata("tags") || []])""")
        self.run([i for i, (kind, source, tags) in enumerate(cells)
                  if kind == "code" and ("setup" in tags or "HintPicker(" in source or "pick_hints(" in source)], self.canvas)
        self.wait("root.dataset.drawn !== undefined && root.dataset.seq !== undefined")
        self.canvas.scroll_into_view_if_needed()

    def run(self, cells, awaited):
        """Run cells, by number, until what is awaited can be seen."""
        for index in cells:
            self.page.evaluate("""async (index) => {
                const app = window.jupyterapp;
                app.shell.currentWidget.content.activeCellIndex = index;
                await app.commands.execute("notebook:run-cell");
            }""", index)
        failed = self.page.locator("[data-mime-type='application/vnd.jupyter.stderr'], [data-mime-type='application/vnd.jupyter.error']")
        awaited.or_(failed).first.wait_for(state="visible", timeout=PATIENCE)
        assert failed.count() == 0, failed.first.inner_text()

    def fresh(self, name):
        """Run the cell of WIDGETS (or the hostile one) anew; its output area, with the widget in it."""
        index = list(WIDGETS).index(name) + 1 if name in WIDGETS else len(CELLS) - 1
        self.log.clear()
        self.page.evaluate("(index) => window.jupyterapp.shell.currentWidget.content.widgets[index].outputArea.model.clear()", index)
        output = self.output(name)
        self.run([index], output.locator(".jp-OutputArea-output").last)
        output.scroll_into_view_if_needed()
        if name == "picker":
            self.wait("root.dataset.drawn !== undefined && root.dataset.seq !== undefined")
            self.canvas.scroll_into_view_if_needed()
        return output

    def output(self, name):
        index = list(WIDGETS).index(name) + 1 if name in WIDGETS else len(CELLS) - 1
        return self.page.locator(".jp-Notebook .jp-Cell").nth(index).locator(".jp-Cell-outputArea")

    def set_theme(self, name, width, height):
        self.page.set_viewport_size({"width": width, "height": height})
        self.page.evaluate("(theme) => window.jupyterapp.commands.execute('apputils:change-theme', { theme })", f"JupyterLab {name}")
        self.page.wait_for_function("(dark) => (document.body.dataset.jpThemeLight === 'false') === dark", arg=name == "Dark", timeout=SOON)
        self.page.locator("#jupyterlab-splash, .jp-LabSplash").wait_for(state="hidden", timeout=SOON)

    def python(self, expression):
        """The value of a Python expression in the notebook's kernel, through JSON."""
        answer = self.page.evaluate("""async (code) => {
            const future = window.jupyterapp.shell.currentWidget.sessionContext.session.kernel.requestExecute({ code, store_history: false });
            let text = "";
            future.onIOPub = (message) => { text += message.content.text || (message.content.traceback || []).join("\\n"); };
            await future.done;
            return text;
        }""", f"import json; print(json.dumps({expression}))")
        return json.loads(answer)

    def wait(self, condition):
        """Until a JavaScript condition on the picker's `root` holds."""
        self.page.wait_for_function(f"() => {{ const root = document.querySelector('.hp-root'); return root && ({condition}); }}", timeout=SOON)

    def after(self, act):
        """Do something that sends a command; wait until Python's answer is drawn."""
        before = self.root.get_attribute("data-seq")
        act()
        self.wait(f"root.dataset.seq !== '{before}' && !root.classList.contains('hp-busy')")

    def click(self, y, x):
        """Click the picture at these fractions of its height and width."""
        self.after(lambda: self.canvas.click(position=self.spot(y, x)))

    def spot(self, y, x):
        box = self.canvas.bounding_box()
        return {"x": x * box["width"], "y": y * box["height"]}

    def press(self, key):
        self.after(lambda: self.canvas.press(key))

    def hints(self):
        return [tuple(hint) for hint in self.python(f"[(h.y, h.x, h.a, h.b, h.size) for h in {PICKER}.hints]")]

    def pixel(self, y, x):
        """RGB of the picture as it stands on the screen, at fractions of height and width."""
        return np.array(self.page.evaluate("""([y, x]) => {
            const canvas = document.querySelector(".hp-canvas"), copy = document.createElement("canvas");
            Object.assign(copy, { width: canvas.width, height: canvas.height });
            const context = copy.getContext("2d");
            context.drawImage(canvas, 0, 0);
            return Array.from(context.getImageData(Math.floor(x * canvas.width), Math.floor(y * canvas.height), 1, 1).data).slice(0, 3);
        }""", [y, x]))

    def open(self, title):
        self.root.locator("summary", has_text=title).click()

    def field(self, name):
        return self.root.get_by_label(name, exact=True)

    def button(self, name):
        return self.root.get_by_role("button", name=name, exact=True)


@pytest.fixture(scope="module")
def gallery(browser, lab):
    """One page with one kernel for all widgets: each test runs the cell of its own."""
    page = Page(browser, lab.address, "widgets.ipynb", viewport={"width": 1366, "height": 1100}, has_touch=True)
    page.run([0], page.page.locator(".jp-Notebook .jp-Cell").first)
    yield page
    with contextlib.suppress(Exception):
        page.page.screenshot(path=lab.home / "last.png")
    page.context.close()


@pytest.fixture
def course_page(browser, lab):
    page = Page(browser, lab.address, course(lab.folder, NOTEBOOK))
    page.show_picker()
    yield page
    page.context.close()


def course(folder, notebook):
    """A copy of a notebook in the served folder; its name there."""
    if not notebook.exists():
        pytest.skip(f"{notebook.name} is not in this checkout.")
    shutil.copy(notebook, folder)
    return notebook.name


@pytest.mark.parametrize("notebook", ["gallery", "course_page"])
def test_clicks_become_hints_and_the_picture_follows(request, lab, notebook):
    folder, page = lab.folder, request.getfixturevalue(notebook)
    if notebook == "gallery":
        page.fresh("picker")
    page.after(page.button("Clear").click if page.hints() else lambda: page.canvas.press("]"))       # a course may begin with some
    height, width = page.python(f"{PICKER}.session.L.shape")
    before, shown = page.python(f"{PICKER}.result.astype(int).sum((0, 1)).tolist()"), page.pixel(0.3, 0.28)

    page.click(0.3, 0.25)
    page.click(0.7, 0.8)
    first, second = page.hints()
    assert np.allclose((first[0] / height, first[1] / width, second[0] / height, second[1] / width), (0.3, 0.25, 0.7, 0.8), atol=0.01)
    assert page.python(f"{PICKER}.result.astype(int).sum((0, 1)).tolist()") != before
    assert not np.array_equal(page.pixel(0.3, 0.28), shown)                                          # and on the screen

    page.after(page.button("Undo").click)
    assert page.hints() == [first]
    page.after(page.button("Redo").click)
    assert page.hints() == [first, second]

    file = folder / f"clicks of {notebook}.json"
    page.open("Save and load")
    page.field("Hints").fill(str(file))
    page.after(page.button("Save").click)
    assert len(HintSet.load(file)) == 2
    page.after(lambda: page.canvas.click(button="right", position=page.spot(0.7, 0.8)))               # a right click takes a hint away
    assert page.hints() == [first]
    page.after(page.button("Clear").click)
    assert page.hints() == []
    page.after(page.button("Load").click)
    assert page.hints() == [first, second]
    page.field("Picture").fill(str(folder / f"{notebook}.png"))
    page.after(page.button("Save full size").click)
    assert images.open_image(folder / f"{notebook}.png").size == (width, height)
    page.field("Hints").fill(str(folder / "nowhere.json"))
    page.after(page.button("Load").click)                                                            # an error is a sentence in the picker
    assert "nowhere.json" in page.root.get_by_role("alert").inner_text() and page.hints() == [first, second]
    assert page.log == []


def test_clicks_arrive_while_a_cell_runs(gallery):
    page = gallery
    page.fresh("picker")
    page.page.evaluate("""() => { window.training = window.jupyterapp.shell.currentWidget.sessionContext.session.kernel.requestExecute({
        code: "import time\\nstop = time.monotonic() + 60\\nwhile time.monotonic() < stop: time.sleep(0.01)\\nprint(len(picker.hints))" }); }""")
    page.click(0.4, 0.4)                                             # JupyterLab hands it to a thread of its own (a subshell)
    page.click(0.6, 0.6)
    page.open("Hints (")
    page.wait("root.querySelectorAll('.hp-table tbody tr').length === 2")
    page.page.evaluate("() => window.jupyterapp.shell.currentWidget.sessionContext.session.kernel.interrupt()")
    assert len(page.hints()) == 2 and page.log == []


def test_keyboard_touch_colours_and_themes(gallery, lab):
    page = gallery
    page.fresh("picker")
    height, width = page.python(f"{PICKER}.session.L.shape")

    page.canvas.focus()                                                                              # the cursor begins in the middle
    for key in ("ArrowLeft", "ArrowUp", "Shift+ArrowUp"):
        page.canvas.press(key)
    page.press("Enter")
    hint, = page.hints()
    assert hint[:2] == (height // 2 - 4 - 1, width // 2 - 4)
    page.canvas.press(" ")                                                                           # pick up, move, put down: one step of undo
    page.after(lambda: (page.canvas.press("ArrowRight"), page.canvas.press("ArrowRight")))
    page.press(" ")
    assert page.hints()[0][:2] == (hint[0], hint[1] + 8)
    page.press("Control+z")
    assert page.hints() == [hint]
    page.press("]")
    assert page.hints() == [(*hint[:4], 2)]
    page.press("Delete")
    assert page.hints() == []
    page.canvas.press("s")
    box, handle = page.canvas.bounding_box(), page.root.locator(".hp-handle")
    assert handle.get_attribute("aria-valuenow") == "50"
    page.page.mouse.move(box["x"] + 0.5 * box["width"], box["y"] + 0.2 * box["height"])
    page.page.mouse.down()
    page.page.mouse.move(box["x"] + 0.8 * box["width"], box["y"] + 0.2 * box["height"], steps=3)
    page.page.mouse.up()
    assert abs(int(handle.get_attribute("aria-valuenow")) - 80) <= 1 and page.hints() == []
    for key, view in (("g", "Grey"), ("s", "Split"), ("o", "Original"), ("r", "Result")):
        page.canvas.press(key)
        assert page.button(view).get_attribute("aria-pressed") == "true"

    box = page.canvas.bounding_box()
    page.after(lambda: page.page.touchscreen.tap(box["x"] + 0.6 * box["width"], box["y"] + 0.4 * box["height"]))
    (y, x, *_), = page.hints()
    assert abs(y - 0.4 * height) <= 1 and abs(x - 0.6 * width) <= 1
    page.page.mouse.move(box["x"] + 0.6 * box["width"], box["y"] + 0.4 * box["height"])              # drag the hint with the mouse
    page.page.mouse.down()
    page.page.mouse.move(box["x"] + 0.5 * box["width"], box["y"] + 0.5 * box["height"], steps=5)
    page.after(page.page.mouse.up)
    (y, x, *_), = page.hints()
    assert abs(y - 0.5 * height) <= 1 and abs(x - 0.5 * width) <= 1

    entry = page.root.get_by_label("Colour as hex, RGB, Lab or name")
    entry.fill("lab(50, 20, -30)")
    page.after(lambda: entry.press("Enter"))
    (_, _, a, b, _), = page.hints()
    assert np.allclose(np.arctan2(b, a), np.arctan2(-30, 20), atol=1e-3)
    plane = page.root.locator(".hp-plane")
    side = plane.bounding_box()["width"]
    page.after(lambda: plane.click(position={"x": (1 + 90 / 110) * side / 2, "y": (1 - 80 / 110) * side / 2}))        # a = 90, b = 80: no such colour
    assert page.root.locator(".hp-snapped").is_visible() and page.python(f"{PICKER}.session.snapped")
    L, a, b = page.python(f"(lambda s: (s.lightness_at(s.hints[0].y, s.hints[0].x), s.hints[0].a, s.hints[0].b))({PICKER}.session)")
    assert page.root.locator(".hp-values code").inner_text() == hex_color(L, a, b)                   # the browser's arithmetic is lab.py's
    page.wait("root.querySelectorAll('.hp-swatches')[0].querySelectorAll('button').length >= 2")     # suggestions come by themselves

    page.open("Simulated student")
    page.after(page.button("1 click").click)
    page.wait("root.querySelector('.hp-plot').getAttribute('aria-label')?.includes('2:')")
    assert len(page.hints()) == 2 and [n for n, _ in page.python(f"{PICKER}.session.curve")] == [0, 1, 2]
    page.open("Eyedropper")
    reference = page.root.locator(".hp-reference")
    reference.wait_for(state="visible")
    page.after(lambda: reference.click(position={"x": 10, "y": 10}))
    expected = page.python(f"__import__('colorlib').lab.rgb_to_lab({PICKER}.session.reference[9:12, 9:12]).mean((0, 1)).tolist()")
    assert np.allclose(page.python(f"{PICKER}.session.color"), expected[1:], atol=8)                 # a pixel or two beside: the page may be scaled
    page.open("Hints (")
    page.wait("root.querySelectorAll('.hp-table tbody tr').length === 2")
    for theme, size, name in (("Light", (1300, 1500), "light"), ("Dark", (1300, 1500), "dark"), ("Light", (620, 1700), "narrow")):
        page.set_theme(theme, *size)
        page.canvas.scroll_into_view_if_needed()
        page.page.screenshot(path=lab.home / f"{name}.png")
        frame, panel, shown = (page.root.locator(part).bounding_box() for part in ("xpath=.", ".hp-side", ".hp-canvas"))
        assert panel["x"] + panel["width"] <= frame["x"] + frame["width"] - 10                       # nothing sticks out or is stretched
        assert abs(shown["width"] / shown["height"] - width / height) < 0.02
    page.set_theme("Light", 1366, 1100)
    assert page.log == []


def test_another_theme_keeps_the_picture(gallery):
    """JupyterLab drops its style sheet and lays the page out without it, for a moment."""
    page = gallery
    page.set_theme("Light", 1366, 768)
    page.fresh("picker")
    page.click(0.3, 0.25)
    page.click(0.7, 0.8)
    places = [(y, x) for y in (0.1, 0.35, 0.6, 0.9) for x in (0.1, 0.35, 0.6, 0.9)]
    size = "[root.querySelector('.hp-canvas').width, root.querySelector('.hp-canvas').height]"
    before, shown = page.page.evaluate(f"() => {{ const root = document.querySelector('.hp-root'); return {size}; }}"), [page.pixel(*place) for place in places]
    assert before[0] > 300 and np.ptp(shown, 0).max() > 40
    for theme in ("Dark", "Light"):
        page.set_theme(theme, 1366, 768)
        page.wait(f"{size}.join() === '{before[0]},{before[1]}'")
        assert np.array_equal([page.pixel(*place) for place in places], shown), theme
        page.wait("""(() => {                                        // the words in the colour panel are in the new theme's ink
            const plane = root.querySelector(".hp-plane"), side = plane.width;
            const word = plane.getContext("2d").getImageData(side / 2 + 4, 0, 36, 16).data, ink = getComputedStyle(plane).color.match(/[0-9.]+/g).map(Number);
            let best = 0;
            for (let i = 0; i < word.length; i += 4) if (word[i + 3] > word[best + 3]) best = i;
            return [0, 1, 2].every((i) => Math.abs(word[best + i] - ink[i]) < 12);
        })()""")
    page.set_theme("Light", 1366, 1100)
    assert page.log == []


def test_what_came_of_a_file_stands_beside_its_button(gallery, lab):
    page = gallery
    page.fresh("picker")
    page.page.set_viewport_size({"width": 1366, "height": 768})
    page.click(0.3, 0.25)
    page.open("Save and load")
    page.page.evaluate("document.querySelector('.hp-sections details:last-child').scrollIntoView({ block: 'end' })")
    section = page.root.locator("details").last
    page.field("Picture").fill(f'"{lab.folder / "beside <b>.png"}"')                                 # in quotes, as Windows copies a path
    page.after(page.button("Save full size").click)
    link = section.get_by_role("link", name="Download beside <b>.png")
    link.wait_for(timeout=SOON)
    seen, below = page.page.locator(".jp-WindowedPanel-outer").first.bounding_box(), link.bounding_box()
    assert "at 256 x 192 pixels" in section.inner_text() and below["y"] + below["height"] <= seen["y"] + seen["height"]     # without scrolling
    with page.page.expect_download() as download:
        link.click()
    assert download.value.suggested_filename.startswith("beside ")
    assert Path(download.value.path()).read_bytes() == (lab.folder / "beside <b>.png").read_bytes()
    page.field("Picture").fill("scene.png")                                                          # never over a file that was there before
    page.after(page.button("Save full size").click)
    assert "Not done" in section.inner_text() and "exists already" in section.inner_text() and link.count() == 0
    page.page.set_viewport_size({"width": 1366, "height": 1100})
    assert page.log == []


def mean_color(picture):
    """Mean RGB of an <img> as the browser decoded it."""
    return np.array(picture.evaluate("""(image) => {
        const copy = document.createElement("canvas");
        Object.assign(copy, { width: 1, height: 1 });
        const context = copy.getContext("2d");
        context.drawImage(image, 0, 0, 1, 1);
        return Array.from(context.getImageData(0, 0, 1, 1).data).slice(0, 3);
    }"""))


def test_a_caption_is_typed_and_the_picture_follows(gallery, lab):
    page, box = gallery, gallery.fresh("box")
    view, text = page.page, box.get_by_label("Caption", exact=True)
    coloured = lambda said: box.locator(f"img[alt=\"The picture coloured for the caption '{said}'\"]")
    assert np.ptp(mean_color(box.get_by_alt_text("The picture coloured for no caption"))) <= 2
    text.press_sequentially("a red car", delay=40)                   # letter by letter
    coloured("a red car").wait_for(timeout=SOON)
    red = mean_color(coloured("a red car"))
    assert red[0] > red[2] + 30 and page.python("box.text.value") == "a red car"
    assert np.ptp(mean_color(box.get_by_alt_text("The picture in grey"))) <= 2
    text.press_sequentially(" zebra")
    box.get_by_role("status").filter(has_text="'zebra' is not one of the").wait_for(timeout=SOON)
    assert box.locator("mark").inner_text() == "zebra (?)"
    text.press("Tab")                                                # over the choice of the word, which is off, to the colours
    view.keyboard.press("Tab")
    for _ in range(12):
        if view.evaluate("document.activeElement.textContent") == "blue":
            break
        view.keyboard.press("Tab")
    view.keyboard.press("Enter")
    coloured("a blue car zebra").wait_for(timeout=SOON)
    blue = mean_color(coloured("a blue car zebra"))
    assert blue[2] > blue[0] + 30 and text.input_value() == "a blue car zebra"
    box.get_by_role("button", name="Undo").click()
    coloured("a red car zebra").wait_for(timeout=SOON)
    view.screenshot(path=lab.home / "caption.png")
    box.get_by_role("button", name="Save full size").click()
    box.get_by_role("status").filter(has_text="Saved").wait_for(timeout=SOON)
    saved = images.open_image(lab.folder / "scene_colorized.png")
    assert saved.size == (256, 192) and saved.rgb[..., 0].mean() > saved.rgb[..., 2].mean() + 30
    view.evaluate("""() => { window.training = window.jupyterapp.shell.currentWidget.sessionContext.session.kernel.requestExecute({
        code: "import time\\nstop = time.monotonic() + 60\\nwhile time.monotonic() < stop: time.sleep(0.01)" }); }""")
    text.fill("a green car")                                         # while a cell runs
    coloured("a green car").wait_for(timeout=SOON)
    view.evaluate("() => window.jupyterapp.shell.currentWidget.sessionContext.session.kernel.interrupt()")
    assert page.log == []


def test_the_fooling_test_is_taken_with_the_keyboard(gallery, lab):
    page, test = gallery, gallery.fresh("test")
    view = page.page
    test.get_by_label("Your name or a nickname").fill("Ann")
    test.get_by_role("button", name="Begin or go on").click()
    for number in range(1, 10):                                      # 6 of quality, 3 of plausibility
        test.get_by_role("status").filter(has_text=f"Question {number} of 9").wait_for(timeout=SOON)
        if number in (1, 7):
            test.get_by_role("button", name="Real" if number == 1 else "Picture B", exact=True).focus()
            view.screenshot(path=lab.home / f"fooling-{number}.png")
        view.wait_for_timeout(400)                                   # nobody answers faster
        view.keyboard.press("Enter")                                 # the focus stays on the button from question to question
    test.get_by_text("9 answers by 1 person").wait_for(timeout=SOON)
    view.screenshot(path=lab.home / "fooling-end.png")
    lines = (lab.folder / "answers.csv").read_text().splitlines()
    assert len(lines) == 10 and sum(",quality," in line and ",real," in line for line in lines) == 6
    assert [test.get_by_role("rowheader").nth(i).inner_text() for i in range(2)] == ["mirrored", "swapped"] and page.log == []


def test_captions_and_names_with_scripts_do_nothing(gallery, lab):
    page, outputs = gallery, gallery.fresh("hostile")
    view = page.page
    outputs.locator(".hp-root").wait_for(timeout=SOON)
    text = outputs.get_by_label("Caption", exact=True)
    text.fill(EVIL + " blue")                                        # typed, not only given
    outputs.get_by_text("<script>window.pwned = 1</script>").first.wait_for(timeout=SOON)       # it stands there, as text
    assert outputs.locator("mark", has_text="script").count() and outputs.get_by_role("alert").count() >= 1
    for place in (text, outputs.locator("figure").first, outputs.get_by_role("button", name="Save full size").first):
        place.hover()
    view.wait_for_timeout(500)                                       # an onerror would have had its time
    assert view.evaluate("window.pwned") is None
    for hostile in ("script", "svg[onload]", "[onerror]", "[onmouseover]", "[onclick]", "img[src='x']", "a[href^='javascript']"):
        assert outputs.locator(hostile).count() == 0, hostile
    view.screenshot(path=lab.home / "hostile.png")
    assert not any("pwned" in line for line in page.log)


# ---------------------------------------------------------------- the other widgets, with the mouse and with the keyboard

def test_the_lab_explorer_follows_mouse_and_keys(gallery):
    output = gallery.fresh("explorer")
    slider, said = output.get_by_role("slider", name="Lightness L"), output.get_by_role("status")
    box = slider.bounding_box()
    slider.click(position={"x": 0.8 * box["width"], "y": box["height"] / 2})
    said.filter(has_text="At L = 8").wait_for(timeout=SOON)
    assert abs(gallery.python("explorer.slider.value") - 80) <= 2
    for key, L in (("Home", 0), ("ArrowRight", 1), ("ArrowUp", 2), ("End", 100), ("ArrowLeft", 99)):
        slider.press(key)
        output.get_by_alt_text(f"lightness {L}.").wait_for(timeout=SOON)
        assert said.inner_text().startswith(f"At L = {L},") and gallery.python("explorer.slider.value") == L
    gallery.python("setattr(explorer.slider, 'value', 42)")          # and it follows Python
    gallery.page.wait_for_function("(input) => input.value === '42'", arg=slider.element_handle(), timeout=SOON)
    assert gallery.log == []


def test_the_plain_form_takes_hints_from_mouse_and_keys(gallery, lab):
    output, keys = gallery.fresh("form"), gallery.page.keyboard
    said = output.get_by_role("status")
    output.get_by_label("Row y").fill("40")
    output.get_by_label("Column x").fill("200")
    output.get_by_role("button", name="blue").click()
    output.get_by_role("button", name="Add").click()
    said.filter(has_text="Hint 1 at row 40, column 200").wait_for(timeout=SOON)
    assert gallery.python("[(h.y, h.x, h.b < -20) for h in form.hints]") == [[40, 200, True]]
    output.get_by_label("Hint to edit").focus()                      # from here on without the mouse
    keys.press("Control+a")
    keys.type("0")                                                   # a new hint
    keys.press("Tab")
    keys.type("100")
    keys.press("Tab")
    keys.type("60")
    keys.press("Tab")
    keys.type("red")
    keys.press("Enter")
    said.filter(has_text="This is the colour of the next hint").wait_for(timeout=SOON)
    tab_to(gallery.page, "Add")
    keys.press(" ")
    said.filter(has_text="Hint 2 at row 100, column 60").wait_for(timeout=SOON)
    assert gallery.python("[(h.y, h.x, h.a > 20) for h in form.hints]")[1] == [100, 60, True]
    tab_to(gallery.page, "Grey")
    keys.press(" ")
    output.get_by_alt_text("Grey with 2 hints").wait_for(timeout=SOON)
    tab_to(gallery.page, "Save full size")
    keys.press("Enter")
    said.filter(has_text="Saved scene_colorized").wait_for(timeout=SOON) if not (lab.folder / "scene_colorized.png").exists() else \
        output.get_by_role("alert").filter(has_text="exists already").wait_for(timeout=SOON)
    assert gallery.log == []


def test_a_reference_is_chosen_with_mouse_and_keys(gallery, lab):
    output, keys = gallery.fresh("chooser"), gallery.page.keyboard
    result = lambda source: output.get_by_alt_text(f"The picture coloured from {source}", exact=True)
    red = mean_color(result("a red_wall"))
    output.get_by_role("button", name="a blue wall").click()
    result("a blue wall").wait_for(timeout=SOON)
    blue = mean_color(result("a blue wall"))
    assert red[0] > red[2] + 30 and blue[2] > blue[0] + 30 and gallery.python("chooser.session.chosen") == "a blue wall"
    keys.press("Tab")                                                # to the next picture
    keys.press("Enter")
    result("a green wall").wait_for(timeout=SOON)
    output.get_by_label("Reference", exact=True).focus()
    for key in ("ArrowDown", "ArrowUp"):                             # JupyterLab does not take them to go through its cells
        keys.press(key)
        output.get_by_role("status").filter(has_text="Coloured from a green wall" + ", turned" * (key == "ArrowDown")).wait_for(timeout=SOON)
    tab_to(gallery.page, "Mirror it")
    keys.press(" ")
    result("a green wall, mirrored").wait_for(timeout=SOON)
    output.get_by_role("status").filter(has_text="Coloured from a green wall, mirrored.").wait_for(timeout=SOON)
    green = gallery.python("chooser.result.mean((0, 1)).tolist()")
    assert green[1] > green[0] + 15 and gallery.python("chooser.session.painted") == ["a green wall", "plain", True]
    output.get_by_label("or its path").fill("other.png")
    keys.press("Enter")
    result("other.png, mirrored").wait_for(timeout=SOON)
    output.get_by_label("Save as").fill("walls.png")
    tab_to(gallery.page, "Save full size")
    keys.press("Enter")
    output.get_by_role("status").filter(has_text="Saved walls.png at 256 x 192 pixels").wait_for(timeout=SOON)
    assert images.open_image(lab.folder / "walls.png").size == (256, 192) and gallery.log == []


def test_a_photo_is_dropped_chosen_and_saved(gallery, lab, tmp_path):
    output, keys, view = gallery.fresh("drop"), gallery.page.keyboard, gallery.page
    said = lambda text: output.get_by_role("status").filter(has_text=text)
    place = output.get_by_label("Drop a photo here, or press to choose one")
    place.wait_for(timeout=SOON)
    assert output.get_by_role("button", name="Choose a photo").is_hidden() and output.get_by_role("button", name="Save full size").is_disabled()

    images.save_image(tmp_path / "beach.png", scenes.make_scene(7, 300).rgb[:200])
    file = view.evaluate_handle("""(bytes) => {
        const data = new DataTransfer();
        data.items.add(new File([new Uint8Array(bytes)], "beach.png", { type: "image/png" }));
        return data;
    }""", list((tmp_path / "beach.png").read_bytes()))
    for event in ("dragenter", "dragover"):
        place.dispatch_event(event, {"dataTransfer": file})
    assert output.locator(".cl-over").count() == 1
    place.dispatch_event("drop", {"dataTransfer": file})
    said("beach.png is coloured by photonet").wait_for(timeout=SOON)
    grey, colored = output.get_by_alt_text("The photo in grey"), output.get_by_alt_text("The photo in predicted colours")
    assert np.ptp(mean_color(grey)) <= 2 < np.ptp(mean_color(colored)) and output.locator(".cl-over").count() == 0
    assert abs(grey.bounding_box()["y"] - colored.bounding_box()["y"]) < 2                           # side by side
    output.get_by_role("button", name="Save full size").click()
    said("Saved beach_colorized.png at 300 x 200 pixels").wait_for(timeout=SOON)
    saved = images.open_image(lab.folder / "beach_colorized.png")
    assert saved.size == (300, 200) and gallery.python("drop.picture.size") == [300, 200]
    with view.expect_download() as download:
        output.get_by_role("link", name="Download beach_colorized.png").click()
    assert download.value.suggested_filename == "beach_colorized.png"
    assert Path(download.value.path()).read_bytes() == (lab.folder / "beach_colorized.png").read_bytes()

    noise = np.random.default_rng(0).integers(0, 256, (1400, 2600, 3), np.uint8)                     # more than a server takes at once
    images.save_image(tmp_path / "large.ppm", noise)
    assert (tmp_path / "large.ppm").stat().st_size > 10 << 20
    with view.expect_file_chooser() as chooser:
        place.click()
    chooser.value.set_files(tmp_path / "large.ppm")
    said("large.ppm is coloured").wait_for(timeout=PATIENCE)
    assert gallery.python("drop.painted.size") == [2600, 1400] and output.get_by_role("link").count() == 0
    with view.expect_file_chooser() as chooser:
        place.press("Enter")                        # which gives it the focus first
    (tmp_path / "notes.txt").write_text("no picture")
    chooser.value.set_files(tmp_path / "notes.txt")
    output.get_by_role("alert").filter(has_text="notes.txt is not a picture").wait_for(timeout=SOON)
    tab_to(view, "or its path")
    keys.type("scene.png\n")
    said("scene.png is coloured").wait_for(timeout=SOON)
    assert gallery.python("drop.picture.size") == [256, 192] and gallery.log == []


def test_clips_play_when_asked(gallery):
    output = gallery.fresh("player")
    video = output.locator("video")
    if not video.evaluate("(video) => video.canPlayType('video/mp4; codecs=\"avc1.42E01E\"')"):
        pytest.skip("This browser plays no H.264.")
    gallery.page.wait_for_function("(video) => video.readyState >= 2", arg=video.element_handle(), timeout=SOON)
    assert video.evaluate("(video) => [video.paused, video.videoWidth, video.videoHeight]") == [True, 132, 64]
    video.focus()
    video.press(" ")
    gallery.page.wait_for_function("(video) => !video.paused && video.currentTime > 0.2", arg=video.element_handle(), timeout=SOON)
    video.press(" ")
    gallery.page.wait_for_function("(video) => video.paused", arg=video.element_handle(), timeout=SOON)
    video.click(position={"x": 60, "y": 20})
    gallery.page.wait_for_function("(video) => !video.paused", arg=video.element_handle(), timeout=SOON)
    video.evaluate("(video) => video.pause()")
    assert video.get_attribute("aria-label") == gallery.python("player.alt") and gallery.log == []


# ---------------------------------------------------------------- for every widget: seen, read aloud, reached

FOCUSABLE = "button:enabled, input:enabled, select:enabled, summary, video, a[href], [tabindex='0']"
NAMED = {"button", "slider", "textbox", "spinbutton", "image", "img", "combobox", "checkbox", "radio", "radiogroup", "link", "Video", "application",
         "Canvas", "ColorWell", "DisclosureTriangle", "listbox", "searchbox"}


def tab_to(view, name, limit=45):
    """Press Tab until the control of this name has the focus."""
    for _ in range(limit):
        if name in view.evaluate("""() => {
                const node = document.activeElement;
                return [node.textContent.trim(), node.getAttribute("aria-label"), ...[...(node.labels || [])].map((label) => label.textContent.trim())];
            }"""):
            return
        view.keyboard.press("Tab")
    raise AssertionError(f"Tab does not reach {name}.")


@pytest.fixture(scope="module")
def everything(gallery):
    """All widgets on one page, in use: hints placed, a photo coloured, sections open."""
    for name in WIDGETS:
        gallery.fresh(name)
    for line in ("picker.act('add', y=40, x=50)", "picker.act('load', path='nowhere.json')", "form.act('add', y=40, x=50)",
                 "form.act('load', path='nowhere.json')", "drop.show_photo('scene.png', 'scene.png')", "setattr(drop.name, 'value', 'everything.png')",
                 "drop.save.click()",
                 "setattr(box.text, 'value', 'a red car and a zebra')"):
        gallery.python(f"[{line}, 1][1]")
    gallery.output("drop").get_by_role("link").wait_for(timeout=SOON)
    gallery.page.evaluate("() => document.querySelectorAll('.hp-root details').forEach((section) => { section.open = true; })")
    gallery.wait("root.querySelectorAll('.hp-table tbody tr').length === 1")
    return gallery


def test_everything_has_a_name(everything):
    """Chromium's accessibility tree, which screen readers read from."""
    client, found = everything.page.context.new_cdp_session(everything.page), {}
    document = client.send("DOM.getDocument")["root"]["nodeId"]
    outputs = client.send("DOM.querySelectorAll", {"nodeId": document, "selector": ".jp-Notebook .jp-Cell .jp-Cell-outputArea"})["nodeIds"]
    for name in WIDGETS:
        nodes = client.send("Accessibility.queryAXTree", {"nodeId": outputs[list(WIDGETS).index(name) + 1]})["nodes"]
        nodes = [node for node in nodes if not node.get("ignored") and node["role"]["value"] in NAMED]
        read = [(node["role"]["value"], node.get("name", {}).get("value", "")) for node in nodes]
        found[name] = [(role, "".join(letter for letter in text if letter.isprintable()).strip()) for role, text in read]       # an icon is no name
    assert {name: [role for role, text in roles if not text] for name, roles in found.items()} == {name: [] for name in WIDGETS}
    assert all(found.values()) and ("slider", "Lightness L") in found["explorer"] and ("Video", everything.python("player.alt")) in found["player"]
    assert everything.root.locator(".hp-status[role=status][aria-live]").count() == everything.root.locator("[role=alert]").count() == 1
    client.detach()


@pytest.mark.parametrize("name", [name for name in WIDGETS if name != "board"])
def test_tab_reaches_every_control_and_shows_where_it_is(everything, name):
    """The looks of a control are compared with what they are one Tab later; a video has a frame, and controls of its own that the browser steps through."""
    stops = everything.output(name).evaluate("""(output, focusable) => {
        const called = (node) => node.getAttribute("aria-label") || node.labels?.[0]?.textContent || node.textContent.trim() || node.tagName;
        const looks = (node) => [node, node.parentElement].map((one) => { const style = getComputedStyle(one);
            return [style.outlineStyle, style.outlineWidth, style.outlineColor, style.boxShadow, style.borderColor, style.backgroundColor].join(); }).join();
        const stops = [...output.querySelectorAll(focusable)].filter((node) => node.offsetParent && node.tabIndex >= 0 && !node.matches("[class*='jp-Output']")
            && (node.type !== "radio" || node.checked));
        let last = null, seen = "";
        window.step = () => {
            const left = last?.isConnected && output.contains(last) && last.tagName !== "VIDEO" && last !== document.activeElement;
            const dull = left && looks(last) === seen ? called(last) : null;
            last = document.activeElement;
            seen = looks(last);
            return [output.contains(last) ? called(last) : null, dull];
        };
        stops[0].focus();
        return stops.map(called);
    }""", FOCUSABLE)
    everything.page.keyboard.press("Shift+Tab")                      # so that it was the keyboard that moved the focus
    everything.page.keyboard.press("Tab")
    steps = [everything.page.evaluate("window.step()")]
    for _ in range(len(stops) + 4):
        everything.page.keyboard.press("Tab")
        steps.append(everything.page.evaluate("window.step()"))
    reached = list(dict.fromkeys(name for name, _ in steps if name))
    assert reached[:len(stops)] == list(dict.fromkeys(stops)) and [dull for _, dull in steps if dull] == []


CONTRAST = """(output) => {
    const parse = (text) => { const parts = text.match(/[\\d.]+/g).map(Number); return [...parts.slice(0, 3), parts.length > 3 ? parts[3] : 1]; };
    const over = (top, below) => [0, 1, 2].map((i) => top[i] * top[3] + below[i] * (1 - top[3])).concat(1);
    const light = (color) => color.slice(0, 3).map((v) => (v / 255 <= 0.04045 ? v / 255 / 12.92 : ((v / 255 + 0.055) / 1.055) ** 2.4))
        .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
    const behind = (node) => { const layers = [];
        for (let one = node; one; one = one.parentElement) {
            const color = parse(getComputedStyle(one).backgroundColor);
            if (color[3]) layers.push(color);
            if (color[3] === 1) break;
        }
        return layers.reverse().reduce((below, top) => over(top, below), [255, 255, 255, 1]); };
    const found = [];
    const check = (text, node, color, size, weight) => {
        if (!text.trim() || node.closest("[disabled], .jp-OutputPrompt, video") || !node.offsetParent) return;
        let opacity = 1;
        for (let one = node; one; one = one.parentElement) opacity *= Number(getComputedStyle(one).opacity);
        if (!opacity) return;
        const back = behind(node), ink = parse(color);
        const [a, b] = [light(over([...ink.slice(0, 3), ink[3] * opacity], back)), light(back)].sort((x, y) => y - x), ratio = (a + 0.05) / (b + 0.05);
        const large = size >= 24 || (size >= 18.66 && weight >= 700);
        found.push([text.trim().slice(0, 40), Math.round(100 * ratio) / 100, ratio >= (large ? 3 : 4.5)]);
    };
    const walker = document.createTreeWalker(output, NodeFilter.SHOW_TEXT);
    while (walker.nextNode()) { const node = walker.currentNode.parentElement, style = getComputedStyle(node);
        if (["STYLE", "OPTION"].includes(node.tagName)) continue;
        check(walker.currentNode.data, node, style.color, parseFloat(style.fontSize), Number(style.fontWeight)); }
    for (const node of output.querySelectorAll("input, select, textarea")) {
        if (["checkbox", "radio", "range", "color", "file"].includes(node.type)) continue;
        const style = getComputedStyle(node), hint = getComputedStyle(node, "::placeholder");
        if (node.value) check(node.tagName === "SELECT" ? node.selectedOptions[0]?.text || "" : node.value, node, style.color, 13, 400);
        else if (node.placeholder) check(node.placeholder, node, hint.color, 13, 400);
    }
    return found;
}"""


def test_text_stands_out_in_both_themes_and_nothing_is_wider_than_its_cell(everything):
    faint, wide = [], []
    for theme, width in (("Light", 1366), ("Dark", 1366), ("Light", 900)):
        everything.set_theme(theme, width, 768)
        for name in WIDGETS:
            output = everything.output(name)
            if width > 900:
                found = output.evaluate(CONTRAST)
                assert found
                faint += [(theme, name, text, ratio) for text, ratio, good in found if not good]
            wide += [(width, name, *one) for one in output.evaluate("""(output) => {
                const edge = output.getBoundingClientRect().right + 1;
                const cut = (node) => node.tagName === "BUTTON" && node.scrollWidth > node.clientWidth + 1;
                return [...output.querySelectorAll("*")].filter((node) => node.offsetParent && !node.closest("table, svg")
                    && (node.getBoundingClientRect().right > edge || cut(node))).map((node) => [node.tagName, node.className, node.textContent.slice(0, 30)]);
            }""")]
    everything.set_theme("Light", 1366, 1100)
    assert faint == [] and wide == []
