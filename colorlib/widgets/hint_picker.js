// The view of a HintSession: it draws, and sends what a person does as commands { do, seq, ... }. Python keeps the hints and answers with traits;
// `seq` of the last command it has worked off comes back in `state`, so that late answers are not drawn over newer ones.
// Plain canvas and DOM, no imports: it works without a network.

// ---------------------------------------------------------------- colour: colorlib/lab.py's sRGB and CIELAB (D65, 2 degrees), for swatches and the ab plane

const WHITE = [0.95047, 1, 1.08883];
const XYZ_TO_RGB = [[3.240481343, -1.537151516, -0.498536326], [-0.96925495, 1.87599, 0.041555927], [0.055646639, -0.204041338, 1.057311070]];
const GAMUT_TOLERANCE = 5e-4;
const AB_LIMIT = 110;

function labToRgb(L, a, b) {
  const fy = (L + 16) / 116;
  const xyz = [fy + a / 500, fy, fy - b / 200].map((t, i) => (t > 0.2068966 ? t ** 3 : (t - 16 / 116) / 7.787) * WHITE[i]);
  return XYZ_TO_RGB.map((row) => {
    const c = row[0] * xyz[0] + row[1] * xyz[1] + row[2] * xyz[2];
    return c > 0.0031308 ? 1.055 * c ** (1 / 2.4) - 0.055 : 12.92 * c;
  });
}

const inGamut = (rgb) => rgb.every((c) => c >= -GAMUT_TOLERANCE && c <= 1 + GAMUT_TOLERANCE);

function snap(L, a, b) {                            // the most colourful in-gamut colour of the hue, as colorlib.hints.snap
  if (inGamut(labToRgb(L, a, b))) return [a, b, false];
  let low = 0, high = 1;
  for (let i = 0; i < 12; i++) {
    const middle = (low + high) / 2;
    if (inGamut(labToRgb(L, a * middle, b * middle))) low = middle; else high = middle;
  }
  return [a * low, b * low, true];
}

function hex(L, a, b) {
  const bytes = labToRgb(L, a, b).map((c) => Math.round(255 * Math.min(1, Math.max(0, c))));
  return "#" + bytes.map((v) => v.toString(16).padStart(2, "0")).join("");
}

function lightnessOfGray(level) {                    // 0..255 -> L
  const c = level / 255;
  const y = c > 0.04045 ? ((c + 0.055) / 1.055) ** 2.4 : c / 12.92;
  return 116 * (y > 0.008856 ? Math.cbrt(y) : 7.787 * y + 16 / 116) - 16;
}

// ---------------------------------------------------------------- small tools

function make(tag, properties = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (name in node) node[name] = value;
    else node.setAttribute(name, value);
  }
  node.append(...children);
  return node;
}

const clamp = (value, low, high) => Math.min(high, Math.max(low, value));
const button = (text, title, onclick, more = {}) => make("button", { type: "button", title, onclick, ...more }, text);
const ARROWS = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] };

function rebuild(box, nodes) {                       // new children; the keyboard stays where it was
  const index = Array.from(box.querySelectorAll("button")).indexOf(document.activeElement);
  box.replaceChildren(...nodes);
  if (index >= 0) { const left = box.querySelectorAll("button"); left[Math.min(index, left.length - 1)]?.focus(); }
}

function fit(canvas) {                               // give a canvas the pixels it is shown with; returns a context in CSS pixels,
  const box = canvas.getBoundingClientRect(), scale = window.devicePixelRatio || 1;
  if (box.width < 1 || box.height < 1) return null;  // or nothing while it is not shown: JupyterLab drops its style sheet to change the theme
  const [width, height] = [Math.max(1, Math.round(box.width * scale)), Math.max(1, Math.round(box.height * scale))];
  if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
  const context = canvas.getContext("2d");
  context.setTransform(width / box.width, 0, 0, height / box.height, 0, 0);
  context.clearRect(0, 0, box.width, box.height);
  return [context, box.width, box.height];
}

function ring(context, x, y, radius, color, strong) { // readable on any colour: white in black
  for (const [width, ink] of [[strong ? 5 : 3.5, "#000"], [strong ? 3 : 1.5, "#fff"]]) {
    context.beginPath();
    context.arc(x, y, radius, 0, 2 * Math.PI);
    Object.assign(context, { lineWidth: width, strokeStyle: ink });
    context.stroke();
  }
  if (color) { context.fillStyle = color; context.fill(); }
}

// ---------------------------------------------------------------- the view

const LONGEST = 560;                                 // CSS pixels of the picture's longer side
const NEAR = { mouse: 11, pen: 14, touch: 22 };      // CSS pixels from which a hint is taken hold of
const PREVIEW_EVERY = 100;                           // ms between live results of a drag
const PLANE_LATER = 20;                              // ms
const IDLE = 350;                                    // ms of rest after which suggestions are asked for
const PATIENCE = 2000;                               // ms after which a busy kernel is mentioned
const THEME_FRAMES = 120;                            // until a page without its style sheet has the next one
const STUDENT_RUN = 10;
const FILES = ["save", "load", "export"];            // the commands of the section "Save and load"
const HELP = "Arrow keys move the cursor, with Shift by one pixel. Enter adds a hint or selects the one there, Space picks the selected hint up and " +
  "puts it down, Delete removes it. Comma and full stop go through the hints, square brackets change the size. G, R, S and O switch the view. " +
  "Control Z takes back, Control Y does again.";

function render({ model, el }) {
  const picture = model.get("picture");
  const { height: H, width: W } = picture;
  let state = model.get("state"), hints = model.get("hint_list");
  let view = "result", split = 0.5, cursor = null, keyboard = false, grabbed = null, drag = null, seq = 0, drawn = 0, studentRun = 0;
  let images = {}, decoded = {}, grayLevels = null, waiting = [], lastPreview = 0, previewTimer = 0, suggestTimer = 0, patienceTimer = 0, planeTimer = 0, panelL = null;

  // ------------------------------------------------------------ commands to Python

  function send(command, more = {}) {
    seq = Math.max(seq + 1, Date.now());             // grows across several views of one widget
    waiting.push({ seq, do: command, ...more });
    model.send({ do: command, seq, ...more });
    clearTimeout(suggestTimer);
    clearTimeout(patienceTimer);
    patienceTimer = setTimeout(() => waiting.length && say("Waiting for Python, where a cell may be running. Nothing you do here is lost."), PATIENCE);
    root.classList.add("hp-busy");
    return seq;
  }

  function preview(more) {                           // at most one in flight, and not more often than PREVIEW_EVERY
    clearTimeout(previewTimer);
    const rest = lastPreview + PREVIEW_EVERY - Date.now();
    if (rest > 0 || waiting.some((command) => command.do === "preview")) previewTimer = setTimeout(() => dragging() && preview(more), Math.max(rest, 20));
    else { lastPreview = Date.now(); send("preview", more); }
  }
  const dragging = () => drag || grabbed || panelDrag;

  function askSuggestions() {
    clearTimeout(suggestTimer);
    suggestTimer = setTimeout(() => {
      const place = focusPlace();
      if (place && !waiting.length && !dragging() && !studentRun) send("suggest", { y: place.y, x: place.x });
    }, IDLE);
  }

  // ------------------------------------------------------------ what is where

  const selected = () => (state.selected === null || state.selected >= hints.length ? null : hints[state.selected]);
  const focusPlace = () => selected() || cursor;
  const position = (index) => {
    const held = (drag && drag.kind === "hint" && drag.index === index && drag.moved && drag) || (grabbed && grabbed.index === index && grabbed);
    const sent = waiting.findLast?.((command) => command.do === "move" && command.index === index);
    return held || sent || hints[index];
  };

  function place(event) {                            // pointer -> whole pixel of the picture, whatever the CSS size
    const box = canvas.getBoundingClientRect();
    return {
      y: clamp(Math.floor((event.clientY - box.top) / box.height * H), 0, H - 1),
      x: clamp(Math.floor((event.clientX - box.left) / box.width * W), 0, W - 1),
    };
  }

  function hintNear(event) {
    const box = canvas.getBoundingClientRect();
    let best = -1, least = NEAR[event.pointerType] || NEAR.mouse;
    hints.forEach((_, index) => {
      const { y, x } = position(index);
      const distance = Math.hypot(event.clientX - box.left - (x + 0.5) / W * box.width, event.clientY - box.top - (y + 0.5) / H * box.height);
      if (distance <= least) [best, least] = [index, distance];
    });
    return best;
  }

  function lightnessAt({ y, x }) {
    if (!grayLevels) return 50;
    const column = clamp(Math.floor((x + 0.5) / W * grayLevels.width), 0, grayLevels.width - 1);
    const row = clamp(Math.floor((y + 0.5) / H * grayLevels.height), 0, grayLevels.height - 1);
    return clamp(lightnessOfGray(grayLevels.data[4 * (row * grayLevels.width + column)]), 0, 100);
  }

  const currentL = () => (selected() ? selected().L : cursor ? lightnessAt(cursor) : 60);

  // ------------------------------------------------------------ the picture

  const canvas = make("canvas", { className: "hp-canvas", tabIndex: 0, role: "application", "aria-roledescription": "picture to colour", "aria-label":
    `Picture of ${H} rows and ${W} columns. ${HELP}` });
  const handle = make("div", { className: "hp-handle", tabIndex: 0, role: "slider", "aria-label": "Split between grey and result", "aria-valuemin": "0",
    "aria-valuemax": "100", onkeydown: (event) => {
      const step = { ArrowLeft: -0.02, ArrowDown: -0.02, ArrowRight: 0.02, ArrowUp: 0.02, Home: -1, End: 1 }[event.key];
      if (step) { split = clamp(split + step, 0, 1); draw(); event.preventDefault(); event.stopPropagation(); }
    } });
  const stage = make("div", { className: "hp-stage" }, canvas, handle);
  stage.style.aspectRatio = `${W} / ${H}`;

  function draw() {
    const fitted = fit(canvas);
    if (!fitted) return;
    const [context, width, height] = fitted;
    const layer = (name) => decoded[name] && context.drawImage(decoded[name], 0, 0, width, height);
    context.imageSmoothingQuality = "high";
    layer(view === "gray" ? "gray_jpg" : view === "truth" ? "truth_jpg" : "result_jpg");
    handle.hidden = view !== "split";
    if (view === "split") {
      context.save();
      context.beginPath();
      context.rect(0, 0, split * width, height);
      context.clip();
      layer("gray_jpg");
      context.restore();
      context.fillStyle = "#fff";
      context.fillRect(split * width - 1, 0, 2, height);
      handle.style.left = `${100 * split}%`;
      handle.setAttribute("aria-valuenow", Math.round(100 * split));
    }
    const mark = ({ y, x }, color, size, strong) => {
      const side = size * picture.pixel * width / W;   // the square the model is told about
      const [centerX, centerY] = [(x + 0.5) / W * width, (y + 0.5) / H * height];
      ring(context, centerX, centerY, strong ? 7.5 : 5.5, color, strong);
      if (side > 12) { context.lineWidth = 1; context.strokeStyle = "#fff"; context.strokeRect(centerX - side / 2, centerY - side / 2, side, side); }
    };
    hints.forEach((hint, index) => index !== state.selected && mark(position(index), hint.hex, hint.size, false));
    if (selected()) mark(position(state.selected), selected().hex, selected().size, true);
    const ghosts = waiting.filter((command) => command.do === "add").concat(drag && drag.kind === "new" && !drag.off ? [drag] : []);
    for (const ghost of ghosts) {
      const L = lightnessAt(ghost), [a, b] = snap(L, ...state.color);
      mark(ghost, hex(L, a, b), state.size, true);
    }
    if (cursor && keyboard && !grabbed) {
      const [x, y] = [(cursor.x + 0.5) / W * width, (cursor.y + 0.5) / H * height];
      for (const [ink, thick] of [["#000", 3], ["#fff", 1]]) {
        Object.assign(context, { strokeStyle: ink, lineWidth: thick });
        context.beginPath();
        for (const [dx, dy] of [[1, 0], [-1, 0], [0, 1], [0, -1]]) { context.moveTo(x + 4 * dx, y + 4 * dy); context.lineTo(x + 13 * dx, y + 13 * dy); }
        context.stroke();
      }
    }
  }

  function load(name) {
    const bytes = model.get(name);
    if (!bytes || !bytes.byteLength) { delete decoded[name]; return Promise.resolve(); }
    const turn = images[name] = (images[name] || 0) + 1, answered = model.get("state").seq;
    return createImageBitmap(new Blob([bytes], { type: "image/jpeg" })).then((bitmap) => {
      if (images[name] !== turn) return;             // a newer one is on its way
      decoded[name] = bitmap;
      if (name === "gray_jpg") {
        const copy = make("canvas", { width: bitmap.width, height: bitmap.height }).getContext("2d", { willReadFrequently: true });
        copy.drawImage(bitmap, 0, 0);
        grayLevels = copy.getImageData(0, 0, bitmap.width, bitmap.height);
      }
      if (name === "reference_jpg") drawReference();
      if (name === "result_jpg") drawn = Math.max(drawn, answered);
      draw();
      root.dataset.drawn = drawn;                    // what the browser test waits for
    });
  }

  canvas.addEventListener("pointerdown", (event) => {
    if (event.button || event.ctrlKey || !event.isPrimary) return;       // Control and click is a Mac's right click
    if (event.pointerType === "touch") canvas.focus({ preventScroll: true });
    keyboard = false;
    const box = canvas.getBoundingClientRect(), spot = place(event), index = hintNear(event);
    const onSplit = view === "split" && Math.abs(event.clientX - box.left - split * box.width) < NEAR[event.pointerType];
    drag = { startX: event.clientX, startY: event.clientY, moved: false, kind: index >= 0 ? "hint" : onSplit ? "split" : "new", index, ...spot };
    if (drag.kind === "hint" && index !== state.selected) { state = { ...state, selected: index }; send("select", { index }); }
    try { canvas.setPointerCapture(event.pointerId); } catch { /* the pointer has gone already */ }
    draw();
  });
  canvas.addEventListener("pointermove", (event) => {
    if (!drag || !event.isPrimary) return;
    const far = Math.hypot(event.clientX - drag.startX, event.clientY - drag.startY) > (event.pointerType === "touch" ? 8 : 3);
    drag.moved = drag.moved || far;
    if (!drag.moved) return;
    const box = canvas.getBoundingClientRect();
    if (drag.kind === "split") split = clamp((event.clientX - box.left) / box.width, 0, 1);
    else Object.assign(drag, place(event), { off: event.pointerType === "touch" && drag.kind === "new" });       // a swipe is no tap
    if (drag.kind === "hint") preview({ index: drag.index, y: drag.y, x: drag.x });
    draw();
  });
  canvas.addEventListener("pointerup", (event) => {
    if (!drag || !event.isPrimary) return;
    clearTimeout(previewTimer);
    const done = drag;
    drag = null;
    cursor = { y: done.y, x: done.x };
    if (done.kind === "new" && !done.off) send("add", { y: done.y, x: done.x });
    if (done.kind === "hint" && done.moved) send("move", { index: done.index, y: done.y, x: done.x });
    update();
  });
  canvas.addEventListener("pointercancel", () => {
    clearTimeout(previewTimer);
    if (drag && drag.kind === "hint" && drag.moved) send("refresh");
    drag = null;
    draw();
  });
  canvas.addEventListener("touchstart", (event) => {  // a finger on a hint or on the divider drags it; elsewhere it scrolls the page
    const touch = event.touches[0], box = canvas.getBoundingClientRect();
    const like = { clientX: touch.clientX, clientY: touch.clientY, pointerType: "touch" };
    const onSplit = view === "split" && Math.abs(touch.clientX - box.left - split * box.width) < NEAR.touch;
    if (event.touches.length === 1 && (onSplit || hintNear(like) >= 0)) event.preventDefault();
  }, { passive: false });
  canvas.addEventListener("contextmenu", (event) => {
    event.preventDefault();
    event.stopPropagation();
    const index = hintNear(event);
    if (index >= 0 && (event.pointerType || "mouse") === "mouse") send("delete", { index });       // a long touch is no right click
  });
  canvas.addEventListener("focus", () => { cursor = cursor || { y: Math.floor(H / 2), x: Math.floor(W / 2) }; keyboard = canvas.matches(":focus-visible"); update(); });
  canvas.addEventListener("blur", () => { keyboard = false; drop(false); draw(); });

  function drop(commit) {                            // put a hint that was picked up with Space down again
    if (!grabbed) return;
    clearTimeout(previewTimer);
    const { index, y, x } = grabbed;
    grabbed = null;
    if (commit) send("move", { index, y, x }); else send("refresh");
  }

  canvas.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const step = ARROWS[event.key], near = Math.max(1, Math.round(Math.max(H, W) / 64));
    if (step) {
      keyboard = true;
      const target = grabbed || cursor, length = event.shiftKey ? 1 : near;
      Object.assign(target, { y: clamp(target.y + step[0] * length, 0, H - 1), x: clamp(target.x + step[1] * length, 0, W - 1) });
      if (grabbed) { cursor = { y: grabbed.y, x: grabbed.x }; preview({ index: grabbed.index, y: grabbed.y, x: grabbed.x }); }
      say(`Row ${Math.round(target.y)}, column ${Math.round(target.x)}, lightness ${Math.round(lightnessAt(target))}.`);
    } else if (event.key === "Enter") {
      const under = hints.findIndex((hint) => Math.hypot(hint.y - cursor.y, hint.x - cursor.x) < near / 2);
      if (grabbed) drop(true);
      else if (under >= 0) send("select", { index: under });
      else send("add", { y: cursor.y, x: cursor.x });
    } else if (event.key === " ") {
      if (grabbed) drop(true);
      else if (selected()) { grabbed = { index: state.selected, y: selected().y, x: selected().x }; cursor = { ...selected() }; say("Picked up: arrow keys move the hint, Space puts it down."); }
    } else if (event.key === "Escape") {
      if (grabbed) drop(false); else if (selected()) send("select", { index: null }); else return;
    } else if (event.key === "Delete" || event.key === "Backspace") {
      if (selected()) send("delete");
    } else if ((event.key === "," || event.key === ".") && hints.length) {
      const from = state.selected === null ? (event.key === "." ? -1 : 0) : state.selected;
      send("select", { index: (from + (event.key === "." ? 1 : hints.length - 1)) % hints.length });
    } else if (event.key === "[" || event.key === "]") {
      send("size", { size: clamp(state.size + (event.key === "]" ? 1 : -1), 1, picture.largest) });
    } else {
      const chosen = { g: "gray", r: "result", s: "split", o: picture.has_truth && "truth" }[event.key.toLowerCase()];
      if (!chosen) return;
      setView(chosen);
    }
    event.preventDefault();
    event.stopPropagation();
    update();
  });

  // ------------------------------------------------------------ the colour panel

  const plane = make("canvas", { className: "hp-plane", tabIndex: 0, role: "application", "aria-roledescription": "colour plane" });
  let panelDrag = null, planeImage = null;

  function paintPlane(L) {                           // the colours of lightness L, a to the right, b upwards
    const side = 2 * AB_LIMIT + 1, copy = make("canvas", { width: side, height: side }), context = copy.getContext("2d");
    const pixels = context.createImageData(side, side);
    for (let row = 0, k = 0; row < side; row++) {
      for (let column = 0; column < side; column++, k += 4) {
        const rgb = labToRgb(L, column - AB_LIMIT, AB_LIMIT - row);
        if (inGamut(rgb)) { for (let i = 0; i < 3; i++) pixels.data[k + i] = Math.round(255 * clamp(rgb[i], 0, 1)); pixels.data[k + 3] = 255; }
      }
    }
    context.putImageData(pixels, 0, 0);
    return copy;
  }

  function drawPlane() {
    const L = currentL();
    if (panelL !== L) [planeImage, panelL] = [paintPlane(L), L];
    const fitted = fit(plane), ink = getComputedStyle(plane).color;
    if (!fitted) return;
    const [context, width, height] = fitted;
    context.fillStyle = ink;
    context.globalAlpha = 0.3;
    for (const line of [[width / 2, 0, 1, height], [0, height / 2, width, 1]]) context.fillRect(...line);
    context.globalAlpha = 1;
    context.drawImage(planeImage, 0, 0, width, height);
    context.font = "11px sans-serif";
    context.textAlign = "left"; context.fillText("green", 4, height / 2 - 4);
    context.textAlign = "right"; context.fillText("red", width - 4, height / 2 - 4);
    context.textAlign = "left"; context.fillText("yellow", width / 2 + 4, 12); context.fillText("blue", width / 2 + 4, height - 5);
    const wanted = panelDrag || { a: state.color[0], b: state.color[1] }, [a, b, moved] = snap(L, wanted.a, wanted.b);
    const spot = (p, q) => [(p + AB_LIMIT) / (2 * AB_LIMIT) * width, (AB_LIMIT - q) / (2 * AB_LIMIT) * height];
    if (moved) {
      context.setLineDash([3, 3]);
      context.strokeStyle = ink;
      context.beginPath(); context.moveTo(...spot(wanted.a, wanted.b)); context.lineTo(...spot(a, b)); context.stroke();
      context.beginPath(); context.arc(...spot(wanted.a, wanted.b), 5, 0, 7); context.stroke();
      context.setLineDash([]);
    }
    ring(context, ...spot(a, b), 6, hex(L, a, b), true);
    const text = hex(L, a, b);
    nowSwatch.style.background = text;
    nowText.textContent = text;
    nowLab.textContent = `L ${L.toFixed(0)}   a ${a.toFixed(0)}   b ${b.toFixed(0)}`;
    snapped.hidden = !moved;
    if (document.activeElement !== chooser) chooser.value = text;
    plane.setAttribute("aria-label", `Colours of lightness ${L.toFixed(0)}; chosen: a ${a.toFixed(0)}, b ${b.toFixed(0)}, ${text}${moved ? ", snapped" : ""}. ` +
      "Arrow keys change a and b by 2, with Shift by 10.");
  }

  const planePlace = (event) => {
    const box = plane.getBoundingClientRect();
    return { a: clamp((2 * (event.clientX - box.left) / box.width - 1) * AB_LIMIT, -AB_LIMIT, AB_LIMIT),
      b: clamp((1 - 2 * (event.clientY - box.top) / box.height) * AB_LIMIT, -AB_LIMIT, AB_LIMIT) };
  };
  const choose = (color) => { state = { ...state, color }; send("color", { color }); update(); };
  plane.addEventListener("pointerdown", (event) => {
    if (event.button || !event.isPrimary) return;
    panelDrag = planePlace(event);
    try { plane.setPointerCapture(event.pointerId); } catch { /* the pointer has gone already */ }
    drawPlane();
  });
  plane.addEventListener("pointermove", (event) => {
    if (!panelDrag || !event.isPrimary) return;
    panelDrag = planePlace(event);
    if (selected()) preview({ index: state.selected, ...panelDrag });
    drawPlane();
  });
  plane.addEventListener("pointerup", () => {
    if (!panelDrag) return;
    clearTimeout(previewTimer);
    const { a, b } = panelDrag;
    panelDrag = null;
    choose([a, b]);
  });
  plane.addEventListener("pointercancel", () => { clearTimeout(previewTimer); panelDrag = null; send("refresh"); drawPlane(); });
  plane.addEventListener("keydown", (event) => {
    const step = ARROWS[event.key], length = event.shiftKey ? 10 : 2;
    if (!step) return;
    choose([clamp(state.color[0] + step[1] * length, -AB_LIMIT, AB_LIMIT), clamp(state.color[1] - step[0] * length, -AB_LIMIT, AB_LIMIT)]);
    event.preventDefault();
    event.stopPropagation();
  });

  const nowSwatch = make("span", { className: "hp-now" }), nowText = make("code"), nowLab = make("span", { className: "hp-lab" });
  const snapped = make("span", { className: "hp-snapped", title: "This lightness has no such colour: the nearest of its hue is used", hidden: true }, "snapped");
  const chooser = make("input", { type: "color", title: "Choose a colour", "aria-label": "Choose a colour", onchange: () => choose_text(chooser.value) });
  const entry = make("input", { type: "text", placeholder: "darkgreen, #c03020 or 192,48,32", "aria-label": "Colour as hex, RGB, Lab or name", spellcheck: false,
    onkeydown: (event) => { if (event.key === "Enter" && entry.value.trim()) choose_text(entry.value); } });
  const choose_text = (text) => send("color", { color: text });
  const suggestions = make("div", { className: "hp-swatches", role: "group", "aria-label": "Suggested colours" });
  const recents = make("div", { className: "hp-swatches", role: "group", "aria-label": "Recent colours" });

  function swatches(box, colors, kind, empty) {
    const L = currentL();
    rebuild(box, colors.length ? colors.map(([a, b], i) => {
      const text = hex(L, ...snap(L, a, b).slice(0, 2));
      const chip = button("", text, () => choose([a, b]), { className: "hp-chip", "aria-label": `${kind} colour ${i + 1}: ${text}` });
      chip.style.background = text;
      return chip;
    }) : [make("span", { className: "hp-quiet" }, empty)]);
  }

  // ------------------------------------------------------------ toolbar and sections

  const views = [["result", "Result", "R"], ["gray", "Grey", "G"], ["split", "Split", "S"], ...(picture.has_truth ? [["truth", "Original", "O"]] : [])]
    .map(([name, text, key]) => [name, button(text, `${text} view (${key})`, () => { setView(name); update(); })]);
  const setView = (name) => { view = name; };
  const undo = button("Undo", "Take back (Ctrl+Z)", () => send("undo")), redo = button("Redo", "Do again (Ctrl+Y)", () => send("redo"));
  const remove = button("Delete", "Delete the selected hint (Delete)", () => send("delete")), clear = button("Clear", "Delete all hints; Undo brings them back", () => send("clear"));
  const size = make("select", { title: `Side of a hint's square, in pixels of the model's ${picture.working_size} px input`, "aria-label": "Hint size in pixels",
    onchange: () => send("size", { size: Number(size.value) }) },
    ...Array.from({ length: picture.largest }, (_, i) => make("option", { value: i + 1 }, `${i + 1} px`)));
  const trained = make("span", { className: "hp-quiet" }, picture.trained_text);
  const exact = make("input", { type: "checkbox", onchange: () => send("clamp", { on: exact.checked }) });
  const toolbar = make("div", { className: "hp-bar", role: "group", "aria-label": "View and edit" },
    make("div", { className: "hp-group", role: "group", "aria-label": "View" }, ...views.map(([, node]) => node)),
    make("div", { className: "hp-group", role: "group", "aria-label": "Edit" }, undo, redo, remove, clear));
  const options = make("div", { className: "hp-bar hp-options" }, make("label", {}, "Hint size ", size), trained,
    make("label", { title: "The pixels you hinted keep exactly your colour; otherwise the model may change it a little" }, exact, " Keep my colours exactly"));

  const keys = make("p", { className: "hp-quiet hp-keys", "aria-hidden": "true" },          // a screen reader has HELP
    `Keys: arrows move, Enter adds, Space picks up, Delete removes, [ ] size, G R S${picture.has_truth ? " O" : ""} view.`);

  const rows = make("tbody");
  const table = make("table", { className: "hp-table" }, make("thead", {}, make("tr", {}, ...["", "Colour", "Row", "Column", "L", "a", "b", "Size", ""]
    .map((text) => make("th", { scope: "col" }, text)))), rows);
  const noHints = make("p", { className: "hp-quiet" }, "No hints yet: click the picture where you know a colour.");
  const section = (title, ...children) => make("details", {}, make("summary", {}, title), make("div", { className: "hp-body" }, ...children));
  const hintsTitle = make("span", {}, "Hints");

  const referenceCanvas = make("canvas", { className: "hp-reference", tabIndex: 0, role: "application", hidden: true,
    "aria-label": "Reference picture: click to take a colour; arrow keys move the eyedropper, Enter takes the colour" });
  let dropper = null;
  const referencePlace = (event) => {
    const box = referenceCanvas.getBoundingClientRect(), image = decoded.reference_jpg;
    return { y: clamp(Math.floor((event.clientY - box.top) / box.height * image.height), 0, image.height - 1),
      x: clamp(Math.floor((event.clientX - box.left) / box.width * image.width), 0, image.width - 1) };
  };
  function drawReference() {
    const image = decoded.reference_jpg;
    referenceCanvas.hidden = !image;
    if (!image) return;
    Object.assign(referenceCanvas.style, { aspectRatio: `${image.width} / ${image.height}`, width: `${image.width}px` });
    const fitted = fit(referenceCanvas);
    if (!fitted) return;
    const [context, width, height] = fitted;
    context.drawImage(image, 0, 0, width, height);
    if (dropper) ring(context, (dropper.x + 0.5) / image.width * width, (dropper.y + 0.5) / image.height * height, 5, null, true);
  }
  referenceCanvas.addEventListener("click", (event) => { dropper = referencePlace(event); send("pick", dropper); drawReference(); });
  referenceCanvas.addEventListener("keydown", (event) => {
    const step = ARROWS[event.key], image = decoded.reference_jpg;
    if (event.key === "Enter" && dropper) send("pick", dropper);
    else if (step) {
      const from = dropper || { y: image.height >> 1, x: image.width >> 1 }, length = event.shiftKey ? 1 : 5;
      dropper = { y: clamp(from.y + step[0] * length, 0, image.height - 1), x: clamp(from.x + step[1] * length, 0, image.width - 1) };
      drawReference();
    } else return;
    event.preventDefault();
    event.stopPropagation();
  });

  const path = (label, value, command, action, ...more) => {
    const field = make("input", { type: "text", value, "aria-label": label, spellcheck: false, onkeydown: (event) => { if (event.key === "Enter") go(command); } });
    const go = (what) => { if (what === "export") copyLine.hidden = true; send(what, { path: field.value }); };
    return make("div", { className: "hp-path" }, make("span", {}, label), field, button(action, "", () => go(command)), ...more.map(([text, what]) => button(text, "", () => go(what))));
  };
  const plot = make("canvas", { className: "hp-plot", role: "img" });
  const once = button("1 click", "The student gives the true colour of one badly wrong pixel", () => { studentRun = 1; send("student"); });
  const often = button(`${STUDENT_RUN} clicks`, "", () => { studentRun = studentRun ? 0 : STUDENT_RUN; if (studentRun) send("student"); update(); });

  function drawPlot() {
    const points = state.curve, fitted = fit(plot), ink = getComputedStyle(plot).color;
    if (!fitted || !points.length) return;
    const [context, width, height] = fitted;
    const left = 46, bottom = 34, top = 12, right = 12, scores = points.map((p) => p[1]);
    const most = Math.max(5, points[points.length - 1][0]);
    const low = Math.floor(Math.min(...scores)) , high = Math.max(low + 2, Math.ceil(Math.max(...scores)));
    const at = ([n, score]) => [left + n / most * (width - left - right), top + (high - score) / (high - low) * (height - top - bottom)];
    Object.assign(context, { font: "11px sans-serif", fillStyle: ink, strokeStyle: ink, lineWidth: 1, textAlign: "right", textBaseline: "middle" });
    const ticks = (from, to) => { const step = [1, 2, 5, 10, 20, 50, 100, 200].find((s) => (to - from) / s <= 5) || 500; return Array.from({ length: Math.floor((to - from) / step) + 1 }, (_, i) => from + i * step); };
    for (const score of ticks(low, high)) {
      const [, y] = at([0, score]);
      context.globalAlpha = 0.18; context.beginPath(); context.moveTo(left, y); context.lineTo(width - right, y); context.stroke(); context.globalAlpha = 1;
      context.fillText(score, left - 6, y);
    }
    context.textAlign = "center";
    for (const n of ticks(0, most)) context.fillText(n, at([n, low])[0], height - bottom + 11);
    context.fillText("clicks", (left + width - right) / 2, height - 8);
    context.save(); context.translate(11, (top + height - bottom) / 2); context.rotate(-Math.PI / 2); context.fillText("PSNR in dB", 0, 0); context.restore();
    context.strokeStyle = context.fillStyle = getComputedStyle(plot).getPropertyValue("--hp-accent");
    context.lineWidth = 2;
    context.beginPath(); points.forEach((point, i) => context[i ? "lineTo" : "moveTo"](...at(point))); context.stroke();
    for (const point of points) { context.beginPath(); context.arc(...at(point), 3, 0, 7); context.fill(); }
    plot.setAttribute("aria-label", `PSNR against clicks: ${points.map(([n, score]) => `${n}: ${score.toFixed(1)} dB`).join(", ")}.`);
  }

  const fileSaid = make("p", { className: "hp-said", hidden: true });      // what the status says of a file, where the buttons are; read aloud once, there
  const copyLine = make("p", { className: "hp-said", hidden: true });
  const showFileLine = (line) => { if (fileSection.contains(document.activeElement)) line.scrollIntoView({ block: "nearest" }); };
  let copyAddress = "";

  function offerCopy({ name, note }, buffers) {      // a file that Python has saved, for the computer of this browser
    URL.revokeObjectURL(copyAddress);
    copyAddress = buffers.length ? URL.createObjectURL(new Blob(buffers, { type: "application/octet-stream" })) : "";
    copyLine.replaceChildren(...(copyAddress ? [make("a", { href: copyAddress, download: name }, `Download ${name}`), ` ${note}`] : [note]));
    copyLine.hidden = false;
    showFileLine(copyLine);
  }

  const status = make("p", { className: "hp-status", role: "status", "aria-live": "polite" });
  const alert = make("p", { className: "hp-alert", role: "alert", hidden: true });
  const say = (text) => { status.textContent = text; status.hidden = false; };
  const hintSection = section(hintsTitle, noHints, make("div", { className: "hp-scroll" }, table));
  const studentSection = section("Simulated student", make("p", { className: "hp-quiet" }, picture.has_truth
    ? "The student looks where the colours are most wrong and gives the true colour of one pixel."
    : "Open a colour picture: the student needs to know its true colours."), make("div", { className: "hp-bar" }, once, often), plot);
  const referenceSection = section("Eyedropper: take colours from another picture", path("File", "", "reference", "Open"), referenceCanvas);
  const fileSection = section("Save and load", path("Hints", "hints.json", "save", "Save", ["Load", "load"]), path("Picture", picture.export_name, "export", "Save full size"), fileSaid, copyLine);
  for (const node of [hintSection, studentSection, referenceSection]) node.addEventListener("toggle", () => update());

  const root = make("div", { className: "hp-root", "data-lm-suppress-shortcuts": "true", "data-jp-suppress-context-menu": "" },
    toolbar,
    make("div", { className: "hp-main" },
      make("div", { className: "hp-left", style: `max-width: ${Math.round(Math.min(LONGEST, LONGEST * W / H))}px` }, stage, make("div", { className: "hp-progress" }), status, alert, options, keys),
      make("div", { className: "hp-side" },
        make("div", { className: "hp-label" }, "Colour"), plane,
        make("div", { className: "hp-row" }, nowSwatch, make("span", { className: "hp-values" }, nowText, nowLab), snapped),
        make("div", { className: "hp-row" }, entry, chooser),
        make("div", { className: "hp-label" }, "Suggested"), suggestions,
        make("div", { className: "hp-label" }, "Recent"), recents)),
    make("div", { className: "hp-sections" }, hintSection, studentSection, referenceSection, fileSection));

  let settling = 0;
  const settle = (frames) => { cancelAnimationFrame(settling); settling = requestAnimationFrame(() => { if (stage.offsetWidth || !frames) update(); else settle(frames - 1); }); };
  const themes = new MutationObserver(() => settle(THEME_FRAMES));      // JupyterLab and VS Code say so on the body; canvases are drawn in the theme's colours
  themes.observe(document.body, { attributeFilter: ["data-jp-theme-name", "data-jp-theme-light", "data-vscode-theme-id"] });

  root.addEventListener("keydown", (event) => {      // undo and redo anywhere but in a text field, which has its own
    if (!(event.ctrlKey || event.metaKey) || event.altKey || event.target.type === "text") return;
    const command = { z: event.shiftKey ? "redo" : "undo", y: "redo" }[event.key.toLowerCase()];
    if (!command) return;
    send(command);
    event.preventDefault();
    event.stopPropagation();
  });

  // ------------------------------------------------------------ state -> view

  function update() {
    for (const [name, node] of views) node.setAttribute("aria-pressed", view === name);
    undo.disabled = !state.can_undo;
    redo.disabled = !state.can_redo;
    clear.disabled = !hints.length;
    remove.disabled = !selected();
    once.disabled = !picture.has_truth || studentRun > 0;
    often.disabled = !picture.has_truth;
    often.textContent = studentRun > 1 ? "Stop" : `${STUDENT_RUN} clicks`;
    size.value = state.size;
    exact.checked = state.hard_clamp;
    root.classList.toggle("hp-busy", waiting.length > 0);
    root.dataset.seq = state.seq;
    hintsTitle.textContent = `Hints (${hints.length})`;
    noHints.hidden = hints.length > 0;
    table.hidden = !hints.length;
    if (hintSection.open) rebuild(rows, hints.map(row));
    if (document.activeElement?.disabled && root.contains(document.activeElement)) canvas.focus();       // so that the keys go on working
    swatches(suggestions, state.suggestions, "Suggested", "a moment after a click");
    swatches(recents, state.recent, "Recent", "the colours you use");
    draw();
    clearTimeout(planeTimer);
    planeTimer = setTimeout(drawPlane, PLANE_LATER);      // the picture comes first
    if (studentSection.open) drawPlot();
    if (referenceSection.open) drawReference();
  }

  function row(hint, index) {
    const chip = button("", `Select hint ${index + 1}`, () => send("select", { index }), { className: "hp-chip", "aria-label": `Select hint ${index + 1}, ${hint.hex}` });
    chip.style.background = hint.hex;
    const cells = [chip, make("code", {}, hint.hex), Math.round(hint.y), Math.round(hint.x), hint.L.toFixed(0), hint.a.toFixed(0), hint.b.toFixed(0), `${hint.size} px`,
      button("Delete", `Delete hint ${index + 1}`, () => send("delete", { index }), { "aria-label": `Delete hint ${index + 1}` })];
    return make("tr", { className: index === state.selected ? "hp-selected" : "" }, ...cells.map((cell) => make("td", {}, cell)));
  }

  function onState() {
    const fresh = model.get("state");
    if (fresh.seq < state.seq) return;
    state = fresh;
    hints = model.get("hint_list");
    const last = waiting[waiting.length - 1], file = waiting.some((command) => command.seq <= state.seq && FILES.includes(command.do));
    if (file) { fileSaid.textContent = state.error ? `Not done: ${state.error}` : state.message; fileSaid.hidden = false; showFileLine(fileSaid); }
    waiting = waiting.filter((command) => command.seq > state.seq);
    if (!waiting.length) {
      clearTimeout(patienceTimer);
      if (!grabbed) say(state.message);
      alert.hidden = true;
      if (last && !["preview", "suggest"].includes(last.do)) askSuggestions();
    }
    if (state.error) { alert.textContent = state.error; alert.hidden = false; status.hidden = true; studentRun = 0; }
    if (last && last.do === "student" && !waiting.length && studentRun) { studentRun -= 1; if (studentRun) send("student"); }
    if (grabbed && grabbed.index >= hints.length) grabbed = null;
    if (last && last.do === "color" && !state.error) entry.value = "";
    update();
  }

  const listeners = [["state", onState], ...["gray_jpg", "result_jpg", "truth_jpg", "reference_jpg"].map((name) => [name, () => load(name)])];
  for (const [name, act] of listeners) model.on(`change:${name}`, act);
  model.on("msg:custom", offerCopy);
  const observer = new ResizeObserver(() => update());
  observer.observe(stage);
  observer.observe(plane);
  el.append(root);
  Promise.all(listeners.slice(1).map(([name]) => load(name))).then(update);
  onState();
  say(state.message);
  return () => {
    for (const [name, act] of listeners) model.off(`change:${name}`, act);
    model.off("msg:custom", offerCopy);
    URL.revokeObjectURL(copyAddress);
    observer.disconnect();
    themes.disconnect();
    cancelAnimationFrame(settling);
    [previewTimer, suggestTimer, patienceTimer, planeTimer].forEach(clearTimeout);
  };
}

export default { render };
