// The inbox while somebody works in it: nothing moves, no draft is lost, and the browser tells of new calls if asked to.

const ofInbox = (event) => event.detail.ctx?.target?.closest?.("#inbox");
const cards = () => [...document.querySelectorAll("#inbox > article")];
const above = (element) => element.getBoundingClientRect().top;
const tall = (card) => card.getBoundingClientRect().height;
let held = null;
let cardInFocus = null;

// What is under the pointer, or has the focus, stays where it is: a card that somebody else has decided keeps its
// height, and where one grows the page goes along.
document.addEventListener("htmx:before:swap", (event) => {
  if (!ofInbox(event)) return;
  cardInFocus = document.activeElement?.closest(".approval")?.id;
  const element = [...document.querySelectorAll("#inbox :hover")].at(-1) ?? document.querySelector("#inbox :focus");
  held = element && { element, top: above(element), heights: cards().map((card) => [card.id, tall(card)]) };
});
document.addEventListener("htmx:after:swap", (event) => {
  if (!ofInbox(event)) return;
  // The button under a finger goes when somebody else decides; its card keeps the place.
  if (document.activeElement === document.body) document.getElementById(cardInFocus)?.focus({ preventScroll: true });
  for (const card of cards()) card.style.minHeight = "";
  if (!held) {
    document.body.style.marginBottom = "";
    return;
  }
  for (const [id, height] of held.heights) {
    const card = document.getElementById(id);
    if (card && tall(card) < height) card.style.minHeight = `${height}px`;
  }
  if (held.element.isConnected) goAlong(above(held.element) - held.top);
});

const goAlong = (distance) => {
  const room = document.documentElement.scrollHeight - innerHeight - scrollY;
  if (distance > room) document.body.style.marginBottom = `${distance}px`; // a short page has nowhere to go
  scrollBy({ top: distance, behavior: "instant" });
};

// Keys, only while a card or something in it has the focus. None decides: A and D lead to a button, Enter presses it.
const nextOpen = (card, way) => {
  const all = cards();
  for (let at = all.indexOf(card) + way; all[at]; at += way) if (!all[at].matches(".over")) return all[at];
};
const KEYS = {
  j: (card) => nextOpen(card, 1),
  k: (card) => nextOpen(card, -1),
  a: (card) => card.querySelector("[name=decision][value=approve]"),
  d: (card) => card.querySelector("[name=decision][value=deny]"),
  n: (card) => card.querySelector("[name=note]"),
  r: (card) => card.querySelector("[name=reason]"),
};
const TYPED_INTO = "input:not([type=checkbox]), select, textarea";

document.addEventListener("keydown", (event) => {
  const card = event.target.closest?.(".approval");
  if (!card || event.ctrlKey || event.altKey || event.metaKey || event.repeat || event.isComposing) return;
  const leads = event.key === "Escape" ? (one) => one : !event.target.matches(TYPED_INTO) && KEYS[event.key.toLowerCase()];
  const place = leads && leads(card);
  if (!place) return;
  event.preventDefault();
  place.focus({ preventScroll: true });
  place.scrollIntoView({ block: place.matches(".approval") && place !== card ? "start" : "nearest", behavior: "instant" });
});

// Drafts of notes live as long as the tab: over a sign-in, a reload, and Back.
const NOTES = ".approval input[name=note]";

document.addEventListener("input", (event) => {
  if (event.target.matches?.(NOTES)) sessionStorage.setItem(event.target.id, event.target.value);
});
document.addEventListener("DOMContentLoaded", () => {
  for (const note of document.querySelectorAll(NOTES)) note.value ||= sessionStorage.getItem(note.id) ?? "";
});
const forget = () => {
  for (const card of document.querySelectorAll(".approval.over")) sessionStorage.removeItem(`${card.id}-note`);
};
document.addEventListener("DOMContentLoaded", forget);
document.addEventListener("htmx:after:swap", forget);

// Notices of the browser itself, asked for by a button and never by the page alone.
const waiting = () => Number(document.getElementById("approval-count")?.dataset.waiting ?? 0);
const tells = () => localStorage.getItem("tell") === "yes" && Notification.permission === "granted";
let known = 0;

const showButton = () => {
  const button = document.getElementById("tell");
  if (!button || !("Notification" in window) || !isSecureContext) return;
  button.hidden = false;
  button.textContent = tells() ? "Stop telling me in this browser" : "Tell me in this browser";
};
document.addEventListener("DOMContentLoaded", () => {
  known = waiting();
  showButton();
  document.getElementById("tell")?.addEventListener("click", async () => {
    const wanted = !tells();
    if (wanted && (await Notification.requestPermission()) !== "granted") {
      document.getElementById("tell").textContent = "The browser does not allow it";
      return;
    }
    localStorage.setItem("tell", wanted ? "yes" : "no");
    showButton();
  });
});
document.addEventListener("htmx:after:swap", () => {
  const now = waiting();
  if (now > known && document.hidden && "Notification" in window && tells()) {
    const words = now === 1 ? "1 call waits for approval" : `${now} calls wait for approval`;
    new Notification("Gatehouse", { body: words, tag: "approvals" }).onclick = () => window.focus();
  }
  known = now;
});
