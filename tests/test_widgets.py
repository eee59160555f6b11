"""The notebook views without a browser: traits change as a front end would change them, and the HTML is read back."""
import base64
import html
import io
import re
import threading
import time
import warnings

import ipywidgets
import numpy as np
import pytest
import traitlets
from PIL import Image

from colorlib import images, painting, scenes, widgets, zoo
from colorlib.lab import ab_bins, gamut_mask, rgb_to_lab


def pictures_in(markup):
    """Decode every picture of an HTML string: list of (alt text, array)."""
    found = re.findall(r'<img alt="([^"]+)" src="data:image/\w+;base64,([^"]+)"', markup)
    return [(alt, np.asarray(Image.open(io.BytesIO(base64.b64decode(data))).convert("RGB"))) for alt, data in found]


def png(rgb):
    file = io.BytesIO()
    Image.fromarray(rgb).save(file, "PNG")
    return file.getvalue()


def upload(view, name, content):
    """What arrives from a browser when a file is chosen."""
    view.upload.set_state({"value": [{"name": name, "type": "image/png", "size": len(content),
                                      "content": memoryview(content), "last_modified": 1_700_000_000_000}]})


@pytest.fixture
def photo():
    return scenes.make_scene(3, 80).rgb[:56]      # 80 x 56: not square, so that swapped sides show


# ---------------------------------------------------------------- Lab explorer

def test_ab_plane_shows_the_colours_of_its_lightness():
    plane = widgets.draw_ab_plane(60)
    assert plane.shape == (441, 441, 3) and plane.dtype == np.uint8
    lab = rgb_to_lab(plane)
    inside = np.ones((441, 441), bool)
    inside[220], inside[:, 220] = False, False                   # the axes
    inside &= (plane != round(255 * 0.85)).any(-1)
    rows, columns = np.nonzero(inside)
    assert inside.mean() > 0.15
    assert np.abs(lab[inside][:, 0] - 60).max() < 0.5            # 8-bit rounding
    assert np.abs(lab[inside][:, 1] - (columns - 220) / 2).max() < 1.5
    assert np.abs(lab[inside][:, 2] - (220 - rows) / 2).max() < 1.5


def test_ab_plane_marks_the_bins():
    bins = ab_bins(313)
    difference = (widgets.draw_ab_plane(50, bins) != widgets.draw_ab_plane(50)).any(-1)
    for (a, b), live in zip(bins.tolist(), gamut_mask(50, bins).tolist()):
        x, y = round(220 + 2 * a), round(220 - 2 * b)
        if y > 0 and a and b:        # the picture ends at b = 110, and the axes have a ring's grey
            assert difference[y, x] or not live, (a, b)
    assert 0.005 < difference.mean() < 0.1


@pytest.mark.parametrize("L", (-1, 101, float("nan")))
def test_ab_plane_refuses_other_lightness(L):
    with pytest.raises(ValueError, match="between 0 and 100"):
        widgets.draw_ab_plane(L)


def test_plane_is_described_in_a_sentence():
    live = int(gamut_mask(50.0, ab_bins(313)).sum())
    assert widgets.describe_plane(50) == f"At L = 50, {live} of the 313 bin centres are colours a screen can show."
    assert "1 of the 625 bin centres is a colour" in widgets.describe_plane(0, 625)      # black


def test_lab_explorer_follows_its_slider():
    view = widgets.LabExplorer(L=20)
    (alt, before), = pictures_in(view.plane.value)
    assert "lightness 20" in alt and "At L = 20," in view.sentence.value
    view.slider.value = 80
    (alt, after), = pictures_in(view.plane.value)
    assert "lightness 80" in alt and "At L = 80," in view.sentence.value and "At L = 20," not in view.sentence.value
    assert np.array_equal(after, widgets.draw_ab_plane(80, ab_bins(313))) and not np.array_equal(before, after)
    assert repr(view) == "LabExplorer(L=80)"


# ---------------------------------------------------------------- photos

@pytest.mark.parametrize("name, expected", (
    ("cat.jpg", "cat_colorized.jpg"), ("CAT.PNG", "CAT_colorized.PNG"), ("a.b.webp", "a.b_colorized.webp"),
    ("scan.gif", "scan_colorized.png"), ("noending", "noending_colorized.png"), ("", "photo_colorized.png"),
    ("../../etc/x.jpg", "x_colorized.jpg"), ("C:\\photos\\x.jpg", "x_colorized.jpg")))
def test_colorized_name(name, expected):
    assert images.colorized_name(name) == expected


def test_shrink():
    assert widgets.shrink(np.zeros((1000, 500, 3), np.uint8), 420).shape == (420, 210, 3)
    small = np.full((9, 5, 3), 65535, np.uint16)
    assert widgets.shrink(small).dtype == np.uint8 and np.array_equal(widgets.shrink(small), np.full((9, 5, 3), 255))
    assert widgets.shrink(np.zeros((1, 9000, 3), np.uint8), 420).shape == (1, 420, 3)


def test_image_html_escapes_and_keeps_the_pixels(photo):
    markup = widgets.image_html(photo, 'a "cat" <b>', caption="<i>")
    assert "<b>" not in markup and "<i>" not in markup and "&lt;i&gt;" in markup
    (alt, shown), = pictures_in(markup)
    assert alt == "a &quot;cat&quot; &lt;b&gt;" and np.array_equal(shown, photo)


def test_comparison_shows_grey_and_colour_of_one_lightness(photo):
    (_, gray), (_, color) = pictures_in(page := widgets.compare_html(images.Picture(photo), (4032, 2899)))
    assert "what the network sees" in page and "<i>Save full size</i> writes 4032 x 2899 pixels" in page
    assert gray.shape == color.shape == photo.shape
    gray, color = rgb_to_lab(gray), rgb_to_lab(color)
    assert np.abs(gray[..., 1:]).max() < 2 < np.abs(color[..., 1:]).max()
    assert np.abs(gray[..., 0] - color[..., 0]).mean() < 1.5      # JPEG's loss


def test_colorize_file_writes_beside_the_input_once(tmp_path, photo):
    source = tmp_path / "cat.png"
    images.save_image(source, photo)
    written = widgets.colorize_file(source)
    assert written == tmp_path / "cat_colorized.png"
    result = images.open_image(written)
    assert result.size == (80, 56) and np.array_equal(result.rgb, painting.colorize(photo).rgb)
    with pytest.raises(ValueError, match="exists already"):
        widgets.colorize_file(source)
    assert widgets.colorize_file(source, overwrite=True) == written
    assert widgets.colorize_file(str(source), save_as=tmp_path / "other.jpg").name == "other.jpg"
    with pytest.raises(FileNotFoundError):
        widgets.colorize_file(tmp_path / "none.png")


# ---------------------------------------------------------------- photo drop

def test_upload_colour_save(tmp_path, photo):
    view = widgets.PhotoDrop(folder=tmp_path)
    assert view.save.disabled and view.picture is None and repr(view) == "PhotoDrop(method='best')"
    upload(view, "cat.png", png(photo))
    assert view.upload.value == () and not view.save.disabled
    assert view.name.value == "cat_colorized.png" and "cat.png is coloured" in view.message.value
    assert len(pictures_in(view.view.value)) == 2
    assert np.array_equal(view.picture.rgb, painting.colorize(photo).rgb)
    view.save.click()
    assert "80 x 56 pixels" in view.message.value and 'role="status"' in view.message.value
    assert np.array_equal(images.open_image(tmp_path / "cat_colorized.png").rgb, view.picture.rgb)
    view.save.click()                                             # a second save must not overwrite
    assert 'role="alert"' in view.message.value and "exists already" in view.message.value


def test_a_path_can_be_typed(tmp_path, photo):
    images.save_image(tmp_path / "old cat.png", photo)
    view = widgets.PhotoDrop(folder=tmp_path)
    view.path.value = f"  {tmp_path / 'old cat.png'} "
    assert view.name.value == "old cat_colorized.png" and view.picture.size == (80, 56)
    view.path.value = f'"{tmp_path / "missing.png"}"'             # as Windows copies a path
    view.path.value = f'"{tmp_path / "old cat.png"}"'
    assert "old cat.png is coloured" in view.message.value
    view.name.value = "'new cat.png'"
    view.save.click()
    assert (tmp_path / "new cat.png").exists()


def test_errors_are_one_sentence_and_keep_the_last_result(tmp_path, photo):
    view = widgets.PhotoDrop(folder=tmp_path)
    upload(view, "cat.png", png(photo))
    good, shown = view.picture, view.view.value
    upload(view, "<script>.png", b"<html><body>not a picture")
    assert 'role="alert"' in view.message.value and "web page" in view.message.value
    assert "<script>" not in view.message.value
    assert "The picture below is still cat.png." in view.message.value
    view.path.value = str(tmp_path / "missing.jpg")
    assert "missing.jpg does not exist" in view.message.value and "still cat.png" in view.message.value
    assert view.picture is good and view.view.value == shown
    view.name.value = "cat.xyz"
    view.save.click()
    assert "does not end in a suffix" in view.message.value and "still" not in view.message.value and list(tmp_path.iterdir()) == []


def test_too_large_for_the_memory(monkeypatch, photo):
    def fail(source, method):
        raise MemoryError
    monkeypatch.setattr(widgets.photo, "Painted", fail)
    view = widgets.PhotoDrop()
    upload(view, "cat.png", png(photo))
    assert "not enough memory" in view.message.value


def test_nothing_to_save_and_unknown_method(tmp_path, photo):
    view = widgets.PhotoDrop(method="crystal ball", folder=tmp_path)
    view.save_picture()
    assert "choose a photo first" in view.message.value
    upload(view, "cat.png", png(photo))
    assert "There is no method" in view.message.value and view.picture is None and view.save.disabled


def test_warnings_of_a_save_reach_the_reader(tmp_path, photo):
    half = images.Picture(photo, alpha=np.full(photo.shape[:2], 128, np.uint8))
    images.save_image(tmp_path / "cat.png", half)
    view = widgets.PhotoDrop(folder=tmp_path)
    view.path.value = str(tmp_path / "cat.png")
    view.name.value = "cat.jpg"
    view.save.click()
    assert "Saved" in view.message.value and "laid on white" in view.message.value and (tmp_path / "cat.jpg").exists()


def test_conditions_reach_the_method(photo):
    hints = [(20, 30, 40.0, 20.0)]
    view = widgets.PhotoDrop(method="levin", hints=hints)
    upload(view, "cat.png", png(photo))
    assert "coloured by levin" in view.message.value and np.array_equal(view.picture.rgb, painting.colorize(photo, "levin", hints=hints).rgb)


def test_words_a_method_does_not_know_are_told(photo):
    view = widgets.PhotoDrop(caption="a red zebra")
    upload(view, "cat.png", png(photo))
    assert "coloured by film" in view.message.value and "does not know &#x27;zebra&#x27;" in view.message.value


def test_a_second_photo_waits_for_the_first(monkeypatch, photo):
    entered, release, calls, real = threading.Event(), threading.Event(), [], widgets.photo.Painted

    def slow(source, method):
        calls.append(source)
        entered.set()
        assert release.wait(5)
        return real(photo, method)
    monkeypatch.setattr(widgets.photo, "Painted", slow)
    view = widgets.PhotoDrop()
    worker = threading.Thread(target=view.show_photo, args=(b"1", "first.png"))
    worker.start()
    assert entered.wait(5) and "Colouring first.png" in view.message.value
    other = threading.Thread(target=view.show_photo, args=(b"2", "second.png"))
    other.start()                                                 # while the first is at work
    time.sleep(0.05)
    assert calls == [b"1"] and "Colouring first.png" in view.message.value
    release.set()
    worker.join(5), other.join(5)
    assert calls == [b"1", b"2"] and view.name.value == "second_colorized.png"


# ---------------------------------------------------------------- a dropped file

def give(area, name, content, piece=1000, turn=1):
    """What arrives from a browser when a file is dropped; what it is answered."""
    answers, area.send = [], lambda content: answers.append(content)
    for start in range(0, max(1, len(content)), piece):
        message = {"do": "piece", "turn": turn, "name": name, "size": len(content), "start": start}
        area._handle_custom_msg(message, [memoryview(content[start:start + piece])])
    return answers


def test_a_dropped_file_arrives_in_pieces_and_is_coloured(tmp_path, photo):
    view, content = widgets.PhotoDrop(folder=tmp_path), png(photo)
    assert view.upload.layout.display is None
    view.area._handle_custom_msg({"do": "ready"}, [])
    assert view.upload.layout.display == "none"                   # where the place to drop on is shown, one button is enough
    answers = give(view.area, "cat.png", content)
    assert len(answers) > 2 and [answer["done"] for answer in answers] == [False] * (len(answers) - 1) + [True]
    assert view.name.value == "cat_colorized.png" and np.array_equal(view.picture.rgb, painting.colorize(photo).rgb)
    give(view.area, "<b>.png", b"not a picture")
    assert 'role="alert"' in view.message.value and "&lt;b&gt;.png" in view.message.value
    give(view.area, "empty.png", b"")
    assert 'role="alert"' in view.message.value and "empty.png" in view.message.value and view.picture.size == (80, 56)


def test_photos_and_references_are_dropped_on_the_other_widgets(photo):
    flat = lambda L, *_: np.zeros((2, *L.shape), np.float32)
    box, chooser = widgets.CaptionBox(photo, "", flat), widgets.ReferenceChooser(photo, {"a": photo}, flat)
    for view in (box, chooser):
        assert view.upload.layout.display is None
        view.area._handle_custom_msg({"do": "ready"}, [])
        assert view.upload.layout.display == "none" and view.area in view.children
    give(box.area, "cat.png", png(photo[:40]))
    give(chooser.area, "IMG_1.png", png(photo[:40]))
    assert box.result.shape == (40, 80, 3) and box.name.value == "cat_colorized.png" and list(chooser.buttons) == ["a", "IMG_1.png"]
    for view in (box, chooser):
        give(view.area, "<b>.png", b"not a picture")
        assert 'role="alert"' in view.message.value and "&lt;b&gt;.png" in view.message.value
        view.area.take_piece({"turn": 2, "name": "huge.tif", "size": 2 << 30, "start": 0}, b"c")
        assert "huge.tif has 2,147,483,648 bytes" in view.message.value
    assert box.result.shape == (40, 80, 3) and "still cat.png" in box.message.value and list(chooser.buttons) == ["a", "IMG_1.png"]


def test_pieces_of_two_files_are_not_mixed():
    taken, refused = [], []
    area = widgets.DropArea(lambda file: taken.append((file.name, file.read())), refused.append)
    area.take_piece({"turn": 1, "name": "a", "size": 4, "start": 0}, b"aa")
    area.take_piece({"turn": 2, "name": "b", "size": 2, "start": 0}, b"bb")          # another was dropped meanwhile
    area.take_piece({"turn": 1, "name": "a", "size": 4, "start": 2}, b"aa")          # the end of the first: too late
    area.take_piece({"turn": 3, "name": "c", "size": 2 << 30, "start": 0}, b"c" * 9)
    area.take_piece({"turn": 3, "name": "c", "size": 2 << 30, "start": 9}, b"c" * 9)
    assert taken == [("b", b"bb")] and len(refused) == 1 and "c has 2,147,483,648 bytes" in refused[0]


def test_a_copy_can_be_downloaded(tmp_path, photo, monkeypatch):
    view = widgets.PhotoDrop(folder=tmp_path)
    upload(view, "'><b>.png", png(photo))
    view.save.click()
    written, = tmp_path.iterdir()
    name, data = re.search('download="([^"]+)" href="data:application/octet-stream;base64,([^"]+)"', view.link.value).groups()
    assert html.unescape(name) == written.name and base64.b64decode(data) == written.read_bytes() and "<b>" not in view.link.value
    monkeypatch.setattr(widgets.pictures, "DOWNLOAD_LIMIT", 100)
    view.name.value = "other.png"
    view.save.click()
    assert "too large for a link" in view.link.value and "href" not in view.link.value
    upload(view, "next.png", png(photo))
    assert view.link.value == ""                                  # it belonged to another photo


def test_without_anywidget_the_plain_button_remains(tmp_path, photo, monkeypatch):
    monkeypatch.setattr(widgets.controls, "DropArea", None)
    monkeypatch.setattr(widgets.explorer, "Slider", None)
    view, explorer = widgets.PhotoDrop(folder=tmp_path), widgets.LabExplorer(L=20)
    assert view.area is None and "up to 10 MB" in view.message.value
    assert widgets.CaptionBox(photo, "", lambda L, caption: np.zeros((2, *L.shape), np.float32)).area is None
    upload(view, "cat.png", png(photo))
    view.save.click()
    assert (tmp_path / "cat_colorized.png").exists()
    explorer.slider.value = 80
    assert isinstance(explorer.slider, ipywidgets.IntSlider) and "At L = 80," in explorer.sentence.value


def test_slider_keeps_its_limits():
    slider = widgets.LabExplorer(L=20).slider
    for wrong in (101, -1):
        with pytest.raises(traitlets.TraitError, match="Lightness L must be between 0 and 100"):
            slider.value = wrong
    assert slider.value == 20 and repr(slider) == "Slider('Lightness L', value=20)"


# ---------------------------------------------------------------- every condition on one photo

def test_every_condition_on_one_photo(photo, tmp_path):
    other = scenes.make_scene(8, 64).rgb
    big = np.kron(photo, np.ones((10, 10, 1), np.uint8))           # 800 x 560: larger than its preview
    board = widgets.ConditionBoard(big, "a red car on a zebra", other, [(280, 400, "#c03020")])
    assert list(board.pictures) == ["nothing", "caption", "reference", "hints"] and board.gray.shape == (266, 380, 3)
    assert [row.name for row in board.painters.values()] == [zoo.BEST[condition] for condition in ("", "caption", "reference", "hints")]
    small = widgets.shrink(big)
    for condition, value in (("caption", "a red car on a zebra"), ("reference", other), ("hints", [(133, 190, "#c03020")])):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            expected = painting.colorize(small, zoo.BEST[condition], **{condition: value}).rgb
        assert np.abs(board.pictures[condition].astype(int) - expected).mean() < 1, condition
    assert len({picture.tobytes() for picture in board.pictures.values()}) == 4
    assert list(board.notes) == ["caption"] and "'zebra'" in board.notes["caption"]
    page = board._repr_html_()
    dots = next(rgb for alt, rgb in pictures_in(page) if alt.startswith("1 hint"))
    y, x, step = dots.shape[0] // 2, dots.shape[1] // 2, widgets.condition_board.DOT + 2
    assert dots[y, x + step].max() < 60 and dots[y, x + step - 1].min() > 150 and np.ptp(dots[y, x].astype(int)) > 40       # dark round white round colour
    alts = [alt for alt, _ in pictures_in(page)]
    assert len(alts) == 7 and "1 hint on the picture in grey" in alts and all(row.name in page for row in board.painters.values())
    assert repr(board) == "ConditionBoard(266 x 380 pixels: nothing (photonet), caption (film), reference (gray2color), hints (hintnet))"


def test_a_condition_that_fails_leaves_the_others(photo, monkeypatch):
    board = widgets.ConditionBoard(photo, "<script>1</script>", "<b>.png", [(999, 0, "red")])
    assert list(board.pictures) == ["nothing", "caption"] and "does not exist" in board.notes["reference"] and "999" in board.notes["hints"]
    page = board._repr_html_()
    assert "<script>" not in page and "<b>.png" not in page and "&lt;b&gt;.png" in page and page.count("no picture") == 2
    monkeypatch.setattr(zoo, "load", lambda name, *_, **__: (_ for _ in ()).throw(FileNotFoundError(f"No weights of {name}.")))
    board = widgets.ConditionBoard(photo)
    assert board.pictures == {} and board.notes == {"nothing": "No weights of photonet."}
    assert "photonet: no picture" in re.sub("<[^>]+>", "", board._repr_html_())


def test_board_refuses_methods_that_cannot_paint_from_a_condition(photo):
    for methods, message in (({"caption": "hintnet"}, "needs hints"), ({"smell": "film"}, "no condition 'smell'"),
                             ({"nothing": "ghost"}, "no method 'ghost'")):
        with pytest.raises(ValueError, match=message):
            widgets.ConditionBoard(photo, "a cat", methods=methods)
    with pytest.raises(FileNotFoundError):
        widgets.ConditionBoard("nowhere.png")
    assert widgets.ConditionBoard(photo, methods={"nothing": "koalarization"}).painters["nothing"].name == "koalarization"


def test_every_control_has_a_label_and_no_output_widget_is_used():
    for view in (widgets.LabExplorer(), widgets.PhotoDrop()):
        queue, controls = list(view.children), 0
        while queue:
            item = queue.pop()
            assert not isinstance(item, ipywidgets.Output)
            queue += getattr(item, "children", ())
            if hasattr(item, "disabled") or isinstance(item, widgets.DropArea):
                controls += 1
                assert item.description
        assert controls


def test_a_bad_upload_is_called_by_its_name():
    drop = widgets.PhotoDrop()
    upload(drop, "holiday.docx", b"not a picture at all")
    assert "holiday.docx" in drop.message.value and "memory" not in drop.message.value


@pytest.mark.parametrize("kind", ("DropArea", "Slider", "KeyGuard"))
def test_front_ends_need_no_network(kind):
    view = widgets.controls.KeyGuard if kind == "KeyGuard" else getattr(widgets, kind)
    script, style = str(view._esm), str(getattr(view, "_css", ""))
    assert "export default { render }" in script and "import " not in script and "http" not in script + style and "url(" not in style
