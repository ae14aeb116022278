// Ctrl+Enter (Cmd+Enter) runs the tab that is open, from anywhere on it; on a phone a run brings its answer into view.
() => {
  const shown = (selector) => [...document.querySelectorAll(selector)].find((element) => element.offsetParent !== null);
  const showAnswer = () => {
    const place = window.innerWidth <= 640 && shown(".answer-place");
    if (place && place.getBoundingClientRect().bottom > window.innerHeight) place.scrollIntoView({ block: "end" });
  };
  const soon = () => setTimeout(showAnswer, 300); // the first signs of the answer are there then
  document.addEventListener("click", (event) => event.target.closest(".run-button") && soon());
  const run = (event) => {
    if (event.key !== "Enter") return;
    if (!(event.ctrlKey || event.metaKey)) {
      if (event.target.matches("textarea") && !event.shiftKey) soon(); // which sends the question
      return;
    }
    const button = shown("button.run-button");
    if (!button) return;
    event.preventDefault();
    event.stopPropagation(); // a text box would submit a second time
    button.click();
  };
  document.addEventListener("keydown", run, true);
}
