// A place to drop a file on, which is a file input as large as the place: also a button for the mouse and the keyboard.
// The file goes to Python piece by piece, the next when the last is answered, so that neither a large file nor a busy kernel breaks anything.

const PIECE = 4 * 1024 * 1024;                       // bytes: servers refuse messages of more than 10 MB
const PATIENCE = 2000;                               // ms after which a busy kernel is mentioned

function render({ model, el }) {
  const input = document.createElement("input"), text = document.createElement("span"), said = document.createElement("span"), root = document.createElement("div");
  root.className = "cl-drop";
  Object.assign(input, { type: "file", accept: "image/*" });
  text.className = "cl-drop-text";
  text.setAttribute("aria-hidden", "true");          // the input says the same
  said.className = "cl-drop-said";
  said.setAttribute("role", "status");
  root.append(input, text, said);
  el.append(root);
  let turn = 0, patience = 0, answered = null;

  const say = (sentence) => { said.textContent = sentence; };

  function ask(content, buffer) {                    // one piece there, one answer back
    clearTimeout(patience);
    patience = setTimeout(() => say("Waiting for Python, where a cell may be running. Your photo is not lost."), PATIENCE);
    return new Promise((resolve) => { answered = resolve; model.send(content, undefined, [buffer]); });
  }

  async function give(files) {
    const file = files[0], mine = ++turn;
    if (!file) { say("That is not a file: save the picture first, then drop the file."); return; }
    try {
      for (let start = 0; start === 0 || start < file.size; start += PIECE) {
        say(`Sending ${file.name}: ${Math.floor(100 * start / Math.max(1, file.size))} %`);
        const buffer = await file.slice(start, start + PIECE).arrayBuffer();
        const answer = await ask({ do: "piece", turn: mine, name: file.name, size: file.size, start }, buffer);
        if (mine !== turn || answer.stop) return;
      }
    } catch {
      say(`${file.name} cannot be read: a folder cannot be dropped, choose the photo in it.`);
    }
  }

  const onMessage = (answer) => {
    clearTimeout(patience);
    if (answer.turn !== turn) return;
    if (answer.done || answer.stop) say("");
    answered?.(answer);
  };
  const over = (on) => (event) => { event.preventDefault(); event.stopPropagation(); root.classList.toggle("cl-over", on); };
  for (const [name, on] of [["dragenter", true], ["dragover", true], ["dragleave", false]]) root.addEventListener(name, over(on));
  root.addEventListener("drop", (event) => { over(false)(event); give(event.dataTransfer.files); });
  input.addEventListener("change", () => { const files = [...input.files]; input.value = ""; if (files.length) give(files); });      // the same file can be chosen again
  const update = () => {
    text.textContent = model.get("description");
    input.setAttribute("aria-label", model.get("description"));
    input.title = model.get("description");
  };
  model.on("change:description", update);
  model.on("msg:custom", onMessage);
  update();
  model.send({ do: "ready" });
  return () => { model.off("change:description", update); model.off("msg:custom", onMessage); clearTimeout(patience); turn += 1; };
}

export default { render };
