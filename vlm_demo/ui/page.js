// Ctrl+Enter (Cmd+Enter) runs the tab that is open, from anywhere on it.
() => {
  const run = (event) => {
    if (event.key !== "Enter" || !(event.ctrlKey || event.metaKey)) return;
    const buttons = [...document.querySelectorAll("button.run-button")];
    const shown = buttons.find((button) => button.offsetParent !== null && !button.disabled);
    if (!shown) return;
    event.preventDefault();
    event.stopPropagation(); // a text box would submit a second time
    shown.click();
  };
  document.addEventListener("keydown", run, true);
}
