// Keys pressed in the box around it stay there: JupyterLab else takes arrows and letters in lists and check boxes for its own, such as X, which cuts the cell.

function render({ el }) {
  let tries = 100;                                   // frames until the box around it is on the page
  const guard = () => {
    const box = el.closest(".widget-vbox");
    if (box) box.addEventListener("focusin", (event) => { event.target.dataset.lmSuppressShortcuts = "true"; });
    else if (tries--) requestAnimationFrame(guard);
  };
  el.style.display = "none";
  guard();
}

export default { render };
