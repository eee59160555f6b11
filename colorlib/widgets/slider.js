// A native range input with a label, which screen readers know: the sliders of ipywidgets have no name.

function render({ model, el }) {
  const label = document.createElement("label"), input = document.createElement("input"), readout = document.createElement("span");
  const text = document.createTextNode("");
  label.className = "cl-slider";
  input.dataset.lmSuppressShortcuts = "true";        // arrow keys are JupyterLab's else
  input.type = "range";
  readout.setAttribute("aria-hidden", "true");       // a screen reader says the value with the slider
  label.append(text, input, readout);
  el.append(label);
  const update = () => {
    text.data = model.get("description");
    input.setAttribute("aria-label", text.data);
    Object.assign(input, { min: model.get("min"), max: model.get("max"), disabled: model.get("disabled") });
    if (Number(input.value) !== model.get("value")) input.value = model.get("value");
    readout.textContent = input.value;
  };
  input.addEventListener("input", () => {
    readout.textContent = input.value;
    model.set("value", Number(input.value));
    model.save_changes();
  });
  const names = "change:value change:min change:max change:description change:disabled";
  model.on(names, update);
  update();
  return () => model.off(names, update);
}

export default { render };
