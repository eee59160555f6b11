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
SMALL_NOTEBOOK = ("""
import numpy as np, cv2
from colorlib import widgets

def spread(L, hints):
    ab, mask = (cv2.GaussianBlur(np.moveaxis(x, 0, -1), (0, 0), L.shape[0] / 12).reshape(*L.shape, -1) for x in hints.maps(*L.shape))
    return np.moveaxis(ab / (mask + 1e-3), -1, 0)
""", """
picker = widgets.HintPicker("scene.png", predict=spread, reference="other.png")
picker
""", "print(len(picker.hints), 'hints')")
CAPTION_NOTEBOOK = ("""
import numpy as np
from colorlib import captions, widgets
AB = {"red": (60, 45), "green": (-50, 45), "blue": (10, -55)}

def paint(L, caption):
    said = [word for word in captions.color_words(caption) if word in AB]
    return np.broadcast_to(np.float32(AB[said[0]] if said else (0, 0))[:, None, None], (2, *L.shape))

paint.vocabulary = captions.Vocabulary(["a", "car", "on", "road", "the", *captions.COLOR_WORDS])
""", """
box = widgets.CaptionBox("scene.png", method=paint)
box
""")
FOOLING_NOTEBOOK = ("""
import numpy as np
from colorlib import fooling, scenes, widgets
real = [scenes.make_scene(i, 64).rgb for i in range(3)]
session = fooling.FoolingSession({"mirrored": [rgb[..., ::-1] for rgb in real], "swapped": [rgb[..., [1, 0, 2]] for rgb in real]}, real, ["a red car"] * 3)
""", """
test = widgets.FoolingTest(session, "answers.csv")
test
""")
EVIL = "a red <script>window.pwned = 1</script><img src=x onerror=\"window.pwned = 2\"> ' " \
    "onmouseover='window.pwned = 3' <svg onload=window.pwned=4></p></style>"
HOSTILE_NAME = "<img src=x onerror=window.pwned=5>'.png"      # of a file
HOSTILE_NOTEBOOK = (CAPTION_NOTEBOOK[0] + f"""
from pathlib import Path
from IPython.display import Markdown, display
from ipywidgets import VBox
from colorlib import fooling, results, scenes
EVIL, NAME = {EVIL!r}, {HOSTILE_NAME!r}
rgb = scenes.make_scene(5, 48).rgb
from colorlib import images
images.save_image(NAME, rgb)
flat = lambda L, *_: np.zeros((2, *L.shape), np.float32)
flat.vocabulary = paint.vocabulary
""", """
box = widgets.CaptionBox(NAME, EVIL, method=paint)
box.path.value = "nothing/" + EVIL
chooser = widgets.ReferenceChooser(NAME, {EVIL: rgb, NAME: rgb[::-1]}, flat)
drop = widgets.PhotoDrop()
drop.path.value = "nothing/" + EVIL
form = widgets.HintForm(NAME, predict=flat)
form.act("load", path=EVIL)
hostile = widgets.HintPicker(NAME, predict=flat)
hostile.act("load", path=EVIL)
test = widgets.FoolingTest(fooling.FoolingSession({EVIL: [rgb[..., ::-1]] * 2, "other": [rgb] * 2}, [rgb] * 2, [EVIL] * 2), "<b onclick=x>.csv", EVIL)
test.start()
while test.sitting.trial.task == "quality":
    test.sitting.started -= 1
    test.choose(0)
display(VBox([box, chooser, drop, form, test]))
display(hostile)
display(widgets.ClipPlayer({EVIL: np.stack([rgb] * 2), NAME: np.stack([rgb] * 2)}, alt=EVIL))
display(Markdown(results.markdown([["name"], [results.cell(EVIL)]])))
""")


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
    for name, cells in (("small", SMALL_NOTEBOOK), ("caption", CAPTION_NOTEBOOK), ("fooling", FOOLING_NOTEBOOK), ("hostile", HOSTILE_NOTEBOOK)):
        write_notebook(folder / f"{name}.ipynb", cells)
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


@pytest.fixture
def open_page(browser, lab):
    pages = []

    def start(notebook, awaited=None, **options):
        pages.append(page := Page(browser, lab.address, notebook, **options))
        if awaited is None:
            page.show_picker()
        else:
            page.run([0, 1], awaited(page.page))
        return page
    yield start
    for page in pages:
        with contextlib.suppress(Exception):
            page.page.screenshot(path=lab.home / f"last-{len(pages)}.png")
        page.context.close()


def course(folder, notebook):
    """A copy of a notebook in the served folder; its name there."""
    if not notebook.exists():
        pytest.skip(f"{notebook.name} is not in this checkout.")
    shutil.copy(notebook, folder)
    return notebook.name


@pytest.mark.parametrize("notebook", ["small.ipynb", NOTEBOOK], ids=["small", "course"])
def test_clicks_become_hints_and_the_picture_follows(open_page, lab, notebook):
    folder = lab.folder
    page = open_page(notebook if isinstance(notebook, str) else course(folder, notebook))
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

    file = folder / f"clicks of {Path(notebook).stem}.json"
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
    page.field("Picture").fill(str(folder / f"{Path(notebook).stem}.png"))
    page.after(page.button("Export full size").click)
    assert images.open_image(folder / f"{Path(notebook).stem}.png").size == (width, height)
    page.field("Hints").fill(str(folder / "nowhere.json"))
    page.after(page.button("Load").click)                                                            # an error is a sentence in the picker
    assert "nowhere.json" in page.root.get_by_role("alert").inner_text() and page.hints() == [first, second]
    assert page.log == []


def test_clicks_arrive_while_a_cell_runs(open_page):
    page = open_page("small.ipynb")
    page.page.evaluate("""() => { window.training = window.jupyterapp.shell.currentWidget.sessionContext.session.kernel.requestExecute({
        code: "import time\\nstop = time.monotonic() + 60\\nwhile time.monotonic() < stop: time.sleep(0.01)\\nprint(len(picker.hints))" }); }""")
    page.click(0.4, 0.4)                                             # JupyterLab hands it to a thread of its own (a subshell)
    page.click(0.6, 0.6)
    page.open("Hints (")
    page.wait("root.querySelectorAll('.hp-table tbody tr').length === 2")
    page.page.evaluate("() => window.jupyterapp.shell.currentWidget.sessionContext.session.kernel.interrupt()")
    assert len(page.hints()) == 2 and page.log == []


def test_keyboard_touch_colours_and_themes(open_page, lab):
    page = open_page("small.ipynb", has_touch=True)
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
        page.page.set_viewport_size({"width": size[0], "height": size[1]})
        page.page.evaluate("(theme) => window.jupyterapp.commands.execute('apputils:change-theme', { theme })", f"JupyterLab {theme}")
        page.page.wait_for_function("(dark) => (document.body.dataset.jpThemeLight === 'false') === dark", arg=theme == "Dark", timeout=SOON)
        page.page.locator("#jupyterlab-splash, .jp-LabSplash").wait_for(state="hidden", timeout=SOON)
        page.canvas.scroll_into_view_if_needed()
        page.page.screenshot(path=lab.home / f"{name}.png")
        frame, panel, shown = (page.root.locator(part).bounding_box() for part in ("xpath=.", ".hp-side", ".hp-canvas"))
        assert panel["x"] + panel["width"] <= frame["x"] + frame["width"] - 10                       # nothing sticks out or is stretched
        assert abs(shown["width"] / shown["height"] - width / height) < 0.02
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


def test_a_caption_is_typed_and_the_picture_follows(open_page, lab):
    caption = lambda page: page.get_by_label("Caption", exact=True)
    page = open_page("caption.ipynb", caption)
    view, text = page.page, caption(page.page)
    coloured = lambda said: view.locator(f"img[alt=\"The picture coloured for the caption '{said}'\"]")
    assert np.ptp(mean_color(view.get_by_alt_text("The picture coloured for no caption"))) <= 2
    text.press_sequentially("a red car", delay=40)                   # letter by letter
    coloured("a red car").wait_for(timeout=SOON)
    red = mean_color(coloured("a red car"))
    assert red[0] > red[2] + 30 and page.python("box.text.value") == "a red car"
    assert np.ptp(mean_color(view.get_by_alt_text("The picture in grey"))) <= 2
    text.press_sequentially(" zebra")
    view.get_by_role("status").filter(has_text="'zebra' is not one of the").wait_for(timeout=SOON)
    assert view.locator("mark").inner_text() == "zebra (?)"
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
    view.get_by_role("button", name="Undo").click()
    coloured("a red car zebra").wait_for(timeout=SOON)
    view.screenshot(path=lab.home / "caption.png")
    view.get_by_role("button", name="Save full size").click()
    view.get_by_role("status").filter(has_text="Saved").wait_for(timeout=SOON)
    saved = images.open_image(lab.folder / "scene_colorized.png")
    assert saved.size == (256, 192) and saved.rgb[..., 0].mean() > saved.rgb[..., 2].mean() + 30
    view.evaluate("""() => { window.training = window.jupyterapp.shell.currentWidget.sessionContext.session.kernel.requestExecute({
        code: "import time\\nstop = time.monotonic() + 60\\nwhile time.monotonic() < stop: time.sleep(0.01)" }); }""")
    text.fill("a green car")                                         # while a cell runs
    coloured("a green car").wait_for(timeout=SOON)
    view.evaluate("() => window.jupyterapp.shell.currentWidget.sessionContext.session.kernel.interrupt()")
    assert page.log == []


def test_the_fooling_test_is_taken_with_the_keyboard(open_page, lab):
    page = open_page("fooling.ipynb", lambda view: view.get_by_label("Your name or a nickname"))
    view = page.page
    view.get_by_label("Your name or a nickname").fill("Ann")
    view.get_by_role("button", name="Begin or go on").click()
    for number in range(1, 10):                                      # 6 of quality, 3 of plausibility
        view.get_by_role("status").filter(has_text=f"Question {number} of 9").wait_for(timeout=SOON)
        if number in (1, 7):
            view.get_by_role("button", name="Real" if number == 1 else "Picture B", exact=True).focus()
            view.screenshot(path=lab.home / f"fooling-{number}.png")
        view.wait_for_timeout(400)                                   # nobody answers faster
        view.keyboard.press("Enter")                                 # the focus stays on the button from question to question
    view.get_by_text("9 answers by 1 person").wait_for(timeout=SOON)
    view.screenshot(path=lab.home / "fooling-end.png")
    lines = (lab.folder / "answers.csv").read_text().splitlines()
    assert len(lines) == 10 and sum(",quality," in line and ",real," in line for line in lines) == 6
    assert [view.get_by_role("rowheader").nth(i).inner_text() for i in range(2)] == ["mirrored", "swapped"] and page.log == []


def test_captions_and_names_with_scripts_do_nothing(open_page, lab):
    page = open_page("hostile.ipynb", lambda view: view.locator(".hp-root"))
    view = page.page
    view.get_by_label("Caption", exact=True).wait_for(timeout=SOON)
    text = view.get_by_label("Caption", exact=True)
    text.fill(EVIL + " blue")                                        # typed, not only given
    view.get_by_text("<script>window.pwned = 1</script>").first.wait_for(timeout=SOON)       # it stands there, as text
    assert view.locator("mark", has_text="script").count() and view.get_by_role("alert").count() >= 1
    for place in (text, view.locator("figure").first, view.get_by_role("button", name="Save full size").first):
        place.hover()
    view.wait_for_timeout(500)                                       # an onerror would have had its time
    outputs = view.locator(".jp-OutputArea")
    assert view.evaluate("window.pwned") is None
    for hostile in ("script", "svg[onload]", "[onerror]", "[onmouseover]", "[onclick]", "img[src='x']", "a[href^='javascript']"):
        assert outputs.locator(hostile).count() == 0, hostile
    view.screenshot(path=lab.home / "hostile.png")
    assert not any("pwned" in line for line in page.log)
