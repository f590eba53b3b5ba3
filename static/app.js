// What HTML can't do by itself: copy buttons, and the number of waiting calls in the page's title.

const ready = (root) => {
  for (const button of root.querySelectorAll("[data-copy]")) {
    if (!button.dataset.ready) {
      button.dataset.ready = "yes";
      button.addEventListener("click", copy);
    }
  }
};

const copy = async (event) => {
  const button = event.currentTarget;
  const text = document.querySelector(button.dataset.copy).textContent;
  const before = button.textContent;
  try {
    await navigator.clipboard.writeText(text);
    button.textContent = "Copied";
  } catch {
    // Browsers give no clipboard to pages on plain http: select the text, so that Ctrl-C works.
    getSelection().selectAllChildren(document.querySelector(button.dataset.copy));
    button.textContent = "Press Ctrl-C";
  }
  setTimeout(() => { button.textContent = before; }, 2000);
};

const count = () => {
  const badge = document.getElementById("approval-count");
  const waiting = badge && !badge.hidden ? Number(badge.dataset.waiting) : 0;
  const title = document.title.replace(/^\(\d+\) /, "");
  document.title = waiting ? `(${waiting}) ${title}` : title;
};

document.addEventListener("DOMContentLoaded", () => {
  ready(document);
  count();
  document.getElementById("error-summary")?.focus();
});
document.addEventListener("htmx:after:swap", () => {
  ready(document);
  count();
});
