// What pages do beyond links and forms, all of which work without it: theme, live changes, figures that take a while to
// read, the keyboard, and following a link in a graph.
"use strict";

const $ = (selector, within = document) => within.querySelector(selector);
const $$ = (selector, within = document) => [...within.querySelectorAll(selector)];
const stored = (name) => { try { return localStorage.getItem(name); } catch { return null; } };
const store = (name, value) => { try { localStorage.setItem(name, value); } catch { /* not kept, then */ } };

// Theme: as the system says, until somebody chooses.
if (stored("theme")) document.documentElement.dataset.theme = stored("theme");
const theme = $("#theme");
theme.hidden = false;
theme.addEventListener("click", () => {
  const isDark = getComputedStyle(document.documentElement).colorScheme === "dark" ||
    (!document.documentElement.dataset.theme && matchMedia("(prefers-color-scheme: dark)").matches);
  document.documentElement.dataset.theme = isDark ? "light" : "dark";
  store("theme", document.documentElement.dataset.theme);
});

// Live: parts marked data-live are exchanged for what the page says now; never one that somebody is busy in.
const REFRESH_MS = 2000;
const isBusy = (part) => part.contains(document.activeElement) || $("details[open]", part) || part.matches(":hover .action");
async function refresh() {
  const answer = await fetch(location.href, { headers: { Accept: "text/html" } });
  if (!answer.ok) return;
  const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
  for (const part of $$("[data-live]")) {
    const other = fresh.getElementById(part.id);
    if (other && other.innerHTML !== part.innerHTML && !isBusy(part)) part.innerHTML = other.innerHTML;
  }
}
const live = $("#live");
if (live) {
  const lamp = $(".lamp", live);
  let isWanted = stored("live") !== "off", isDue = false, last = 0;
  const show = () => live.setAttribute("aria-pressed", String(isWanted));
  const tick = () => {
    if (!isDue || !isWanted || document.hidden || Date.now() - last < REFRESH_MS) return;
    isDue = false;
    last = Date.now();
    refresh().catch(() => {});
  };
  const source = new EventSource(`/live?since=${document.body.dataset.version}`);
  source.addEventListener("change", () => { isDue = true; tick(); });
  source.addEventListener("open", () => lamp.classList.add("on"));
  source.addEventListener("error", () => lamp.classList.remove("on"));
  setInterval(tick, 500);
  live.hidden = false;
  show();
  live.addEventListener("click", () => { isWanted = !isWanted; store("live", isWanted ? "on" : "off"); show(); });
  addEventListener("pagehide", () => source.close());
}

// Figures: asked for again until they are read.
async function load(part) {
  const answer = await fetch(part.dataset.fragment);
  part.innerHTML = answer.ok ? await answer.text() : "<p class=\"empty\">This cannot be drawn now.</p>";
  if (answer.status === 202) setTimeout(() => load(part).catch(() => {}), 700);
  for (const graph of $$(".links", part)) follow(graph);
}
for (const part of $$("[data-fragment]")) load(part).catch(() => {});

// A graph: pointing at a shared value shows who carries it.
function follow(graph) {
  const mark = (hub) => {
    graph.classList.toggle("following", hub !== null);
    for (const edge of $$(".edge", graph)) edge.classList.toggle("followed", edge.dataset.hub === hub);
    for (const node of $$(".node", graph)) node.classList.toggle("followed", node.dataset.hubs.split(" ").includes(hub));
  };
  for (const hub of $$(".hub", graph)) {
    hub.addEventListener("pointerenter", () => mark(hub.dataset.hub));
    hub.addEventListener("pointerleave", () => mark(null));
  }
}

// Actions: one form open at a time, closed by Escape or a click elsewhere; a form is sent once.
const closeAll = (but) => { for (const one of $$("details.action[open], details.menu[open]")) if (one !== but) one.open = false; };
document.addEventListener("toggle", (event) => {
  if (!event.target.matches?.("details.action") || !event.target.open) return;
  closeAll(event.target);
  $(".cancel", event.target).hidden = false;
  $("select, textarea", event.target)?.focus();
}, true);
document.addEventListener("click", (event) => {
  if (event.target.matches(".cancel")) { const one = event.target.closest("details"); one.open = false; $("summary", one).focus(); }
  else if (!event.target.closest("details.action, details.menu")) closeAll(null);
});
document.addEventListener("submit", (event) => {
  if (event.target.method === "post") setTimeout(() => { for (const one of $$("button", event.target)) one.disabled = true; });
});

// Keyboard: / finds, j and k go through rows, g and a letter goes to a page.
const PAGES = { o: "/", d: "/decisions", c: "/campaigns", f: "/feedback", p: "/policy", a: "/audit" };
let isGoing = false;
function step(by) {
  const rows = $$("table.rows tbody a.go");
  if (!rows.length) return;
  const at = rows.indexOf(document.activeElement);
  rows[Math.min(Math.max(at + by, 0), rows.length - 1)].focus();
}
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape") {
    const open = $("details.action[open], details.menu[open]");
    if (open) { open.open = false; $("summary", open).focus(); }
    return;
  }
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.matches("input, textarea, select")) return;
  if (isGoing && PAGES[event.key]) location.href = PAGES[event.key];
  isGoing = event.key === "g";
  if (event.key === "/") { event.preventDefault(); $("#find")?.focus(); }
  else if (event.key === "j") step(1);
  else if (event.key === "k") step(-1);
});
