// What HTML can't do by itself: copy buttons, the number of waiting calls in the page's title, the browser's zone.

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

// Noted on every page, the door included, so that the first times a person sees are their own.
const noteZone = () => {
  const zone = encodeURIComponent(Intl.DateTimeFormat().resolvedOptions().timeZone ?? "");
  if (zone && !document.cookie.split("; ").includes(`zone=${zone}`)) {
    document.cookie = `zone=${zone}; path=/; max-age=31536000; samesite=lax`;
  }
};

document.addEventListener("DOMContentLoaded", () => {
  ready(document);
  noteZone();
  count();
  document.getElementById("error-summary")?.focus();
});
document.addEventListener("htmx:after:swap", () => {
  ready(document);
  count();
});
