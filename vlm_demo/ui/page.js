// Keys, what a phone brings into view, and names for those who do not see the page.
() => {
  const shown = (selector) => [...document.querySelectorAll(selector)].find((element) => element.offsetParent !== null);

  // On a phone a run brings its answer into view.
  const showAnswer = () => {
    const place = window.innerWidth <= 640 && shown(".answer-place");
    if (!place) return;
    const { top, bottom } = place.getBoundingClientRect();
    if (top >= 0 && bottom <= window.innerHeight) return;
    place.scrollIntoView({ block: place.offsetHeight > 250 ? "start" : "end" }); // what is tall leaves room for the rest
  };
  const soon = () => setTimeout(showAnswer, 300); // the first signs of the answer are there then
  document.addEventListener("click", (event) => event.target.closest(".run-button") && soon());

  // Ctrl+Enter (Cmd+Enter) runs the tab that is open, from anywhere on it.
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

  // The upload button below an image opens the files at once; gradio's own empties the place and waits for another click.
  const upload = (event) => {
    const slot = event.target.closest('[aria-label="Upload file"]')?.closest(".slots .block");
    const input = slot?.querySelector("img") && slot.querySelector("input[type=file]");
    if (!input) return;
    event.stopPropagation();
    input.click();
  };
  document.addEventListener("click", upload, true);

  // Arrow keys, Home and End move between tabs.
  const move = (event) => {
    const tab = event.target.closest('[role="tab"]');
    const tabs = tab && [...tab.parentElement.querySelectorAll('[role="tab"]')];
    const steps = tab && { ArrowRight: 1, ArrowLeft: -1, Home: -tabs.indexOf(tab), End: -1 - tabs.indexOf(tab) };
    if (!steps || !(event.key in steps)) return;
    event.preventDefault();
    const next = tabs[(tabs.indexOf(tab) + steps[event.key] + tabs.length) % tabs.length];
    next.focus();
    next.click();
  };
  document.addEventListener("keydown", move);

  // A page that loads again opens the same tab.
  document.addEventListener("click", (event) => {
    const tab = event.target.closest('[role="tab"]');
    if (tab) sessionStorage.setItem("tab", tab.dataset.tabId);
  });

  const each = (selector, change) => document.querySelectorAll(selector).forEach(change);

  // Screen readers announce what changes in a place that was there before, and often not what is put there anew. So
  // each new status is told in one place that stays.
  const heard = document.createElement("div");
  heard.id = "heard";
  heard.className = "only-heard";
  heard.setAttribute("role", "status");
  document.body.append(heard);
  const announce = () => {
    const news = [];
    each('[role="status"]:not(#heard)', (status) => {
      status.removeAttribute("role");
      news.push(status.textContent.trim());
    });
    if (news.length) heard.textContent = news.join(" ");
  };

  // What drawn boxes show, in words, which the table of them knows.
  const describe = (image) => {
    const told = [...(image.closest('[role="tabpanel"]')?.querySelectorAll("[data-boxes]") ?? [])];
    image.alt = told.map((place) => place.dataset.boxes).join(" ") || "The image, without boxes";
  };

  // What gradio's components call themselves wrongly, or not at all.
  const mend = () => {
    each("button.upload-container[aria-label]", (button) => button.removeAttribute("aria-label")); // its text says it
    each('div[aria-label="Empty value"]:not([role])', (place) => place.setAttribute("role", "img"));
    each(".drawn-boxes button.thumbnail-item[aria-label]", (button) => button.removeAttribute("aria-label"));
    each(".toast-header[role]", (head) => head.removeAttribute("role")); // there is a button in it
    each("#detect-drawn img, .drawn-boxes img", describe);
    each(".run-button:not([aria-keyshortcuts])", (button) => button.setAttribute("aria-keyshortcuts", "Control+Enter"));
  };
  let mending = 0;
  const look = () => (mend(), announce(), (mending = 0));
  const watch = new MutationObserver(() => (mending = mending || requestAnimationFrame(look)));
  watch.observe(document.body, { childList: true, subtree: true });
  look();
}
