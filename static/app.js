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

// A policy that could not be saved: the radio goes back to what is stored, and the row says why.
const notSaved = (form, words, link) => {
  form.reset();
  form.querySelector(".not-saved")?.remove();
  const said = document.createElement("p");
  said.className = "not-saved error";
  said.setAttribute("role", "alert");
  said.append(`Not saved. ${words} `, link ?? "");
  form.append(said);
};

const signIn = () => {
  const link = document.createElement("a");
  link.href = `/login?next=${encodeURIComponent(location.pathname + location.search)}`;
  link.textContent = "Sign in again";
  return link;
};

const formOf = (event) => event.detail.ctx?.sourceElement?.closest?.("form.one-policy");

document.addEventListener("htmx:before:request", (event) => formOf(event)?.querySelector(".not-saved")?.remove());
document.addEventListener("htmx:before:response", (event) => {
  const form = formOf(event);
  if (form && event.detail.ctx.hx.redirect?.startsWith("/login")) {
    event.preventDefault();
    notSaved(form, "You are signed out.", signIn());
  }
});
document.addEventListener("htmx:error", (event) => {
  const form = formOf(event);
  if (form) notSaved(form, "Gatehouse can’t be reached. Try again when you are connected.");
});
document.addEventListener("htmx:finally:request", (event) => {
  const form = formOf(event);
  const status = event.detail.ctx?.response?.status ?? 0;
  if (!form || status < 400) return;
  form.reset();
  if (form.querySelector(".not-saved")) return;
  // The answer may be ours or that of a proxy on the way.
  const ours = new DOMParser().parseFromString(event.detail.ctx.text ?? "", "text/html").getElementById("error-notice");
  notSaved(form, ours?.textContent.trim() ?? `There was an error (${status}). Try again.`);
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

// The inbox is polled. While the pointer or the focus is in it, a card that somebody else has decided keeps its
// height, so that nothing moves under the pointer.
let heights = [];
const tall = (card) => card.getBoundingClientRect().height;
const ofInbox = (event) => event.detail.ctx?.target?.id === "inbox";

document.addEventListener("htmx:before:swap", (event) => {
  if (ofInbox(event)) {
    const held = document.querySelector("#inbox:hover, #inbox:focus-within");
    heights = held ? [...held.querySelectorAll(":scope > article")].map((card) => [card.id, tall(card)]) : [];
  }
});
document.addEventListener("htmx:after:swap", (event) => {
  if (ofInbox(event)) {
    for (const card of document.querySelectorAll("#inbox > article")) {
      card.style.minHeight = "";
    }
    for (const [id, height] of heights) {
      const card = document.getElementById(id);
      if (card && tall(card) < height) {
        card.style.minHeight = `${height}px`;
      }
    }
  }
});
