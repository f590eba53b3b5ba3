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
    // Browsers give no clipboard to pages on plain http: show and select the text, so that Ctrl-C works.
    const place = document.querySelector(button.dataset.copy);
    place.closest("details")?.setAttribute("open", "");
    getSelection().selectAllChildren(place);
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

// A form whose wish came to nothing says so itself, in its own words (data-failed, data-lost): whoever clicked in the
// middle of a long page sees no message at its top. A policy's radio goes back to what is stored.
const failed = (form, words, link, start = form.dataset.failed) => {
  if (form.matches(".one-policy")) form.reset();
  form.querySelector(".not-saved")?.remove();
  const said = document.createElement("p");
  said.className = "not-saved error";
  said.setAttribute("role", "alert");
  said.append(`${start} ${words} `, link ?? "");
  form.append(said);
};

// In a tab of its own where something was typed: the page, and what is in it, can then be sent again.
const signIn = (form) => {
  const link = document.createElement("a");
  link.href = `/login?next=${encodeURIComponent(location.pathname + location.search)}`;
  const typed = form?.querySelector("textarea, input:not([type=hidden], [type=radio], [type=checkbox])");
  link.textContent = typed ? "Sign in again in another tab, then come back" : "Sign in again";
  link.target = typed ? "_blank" : "";
  return link;
};

const formOf = (event) => event.detail.ctx?.sourceElement?.closest?.("form[data-failed]");

// Whoever is signed out in the middle of something stays on the page, with what was typed, and is told.
const signedOut = () => {
  const notice = document.createElement("p");
  notice.className = "notice stop";
  notice.id = "signed-out";
  notice.append("You are signed out, so nothing was done. ", signIn());
  document.getElementById("notice").replaceChildren(notice);
};

document.addEventListener("htmx:before:request", (event) => formOf(event)?.querySelector(".not-saved")?.remove());
document.addEventListener("htmx:after:request", (event) => {
  const { hx, response, text } = event.detail.ctx;
  const form = formOf(event);
  const out = hx.redirect?.startsWith("/login");
  if (!out) document.getElementById("signed-out")?.remove();
  if (out) {
    event.preventDefault();
    if (form) failed(form, "You are signed out.", signIn(form));
    else signedOut();
  } else if (form && (response.status >= 500 || (response.status >= 400 && hx.retarget))) {
    event.preventDefault();
    // The answer may be ours or that of a proxy on the way.
    const ours = new DOMParser().parseFromString(text ?? "", "text/html").getElementById("error-notice");
    const words = ours?.textContent.trim() ?? `There was an error (${response.status}). Try again.`;
    failed(form, words, null, response.status >= 500 ? form.dataset.lost : form.dataset.failed);
  }
});
document.addEventListener("htmx:error", (event) => {
  const form = formOf(event);
  if (form) failed(form, "Gatehouse can’t be reached. Try again when you are connected.", null, form.dataset.lost);
});
// A refused policy shows what is stored, a saved one is said to those who don't see its row change.
document.addEventListener("htmx:after:swap", (event) => {
  const form = formOf(event);
  if (!form?.matches(".one-policy")) return;
  if (form.querySelector(".not-saved")) form.reset();
  else if (document.getElementById("saved")) {
    const policy = form.querySelector(":checked").parentElement.textContent.trim();
    document.getElementById("saved").textContent = `Saved. ${form.querySelector("legend").textContent}: ${policy}.`;
  }
});

// Choosing rows for one change of many.
const boxes = () => [...document.querySelectorAll('input[form="bulk"]')];

const picked = () => {
  const said = document.getElementById("picked-count");
  if (!said) return;
  said.textContent = ` (${boxes().filter((box) => box.checked).length})`;
  const all = document.querySelector("[data-pick-all]");
  all.hidden = false;
  all.textContent = boxes().every((box) => box.checked) ? "Select none" : "Select this page";
};

document.addEventListener("click", (event) => {
  if (!event.target.matches?.("[data-pick-all]")) return;
  const want = !boxes().every((box) => box.checked);
  for (const box of boxes()) box.checked = want;
  document.getElementById("bulk-picked").checked = true;
  picked();
});
document.addEventListener("change", (event) => {
  if (event.target.matches?.('input[form="bulk"]')) {
    document.getElementById("bulk-picked").checked = true;
    picked();
  }
});
document.addEventListener("DOMContentLoaded", picked);
document.addEventListener("htmx:after:swap", picked);
