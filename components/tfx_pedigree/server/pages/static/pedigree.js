/* What pages gain with scripts: the viewer's own time, lists that filter without a reload, copying, keys, forms that go
 * out once, and live parts. Without it every page still works. All text goes into the page as text. */
(() => {
"use strict";
const all = (where, selector) => [...where.querySelectorAll(selector)];

/* Times: the viewer's own zone, with UTC beside. */
const zone = Intl.DateTimeFormat().resolvedOptions().timeZone, isUtc = ["UTC", "Etc/UTC"].includes(zone);
const two = number => String(number).padStart(2, "0");
const local = at => `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())} ` +
  `${two(at.getHours())}:${two(at.getMinutes())}`;
function times(where) {
  if (isUtc) return;
  for (const time of all(where, "time[datetime]:not([data-local])")) {
    const utc = time.textContent, at = new Date(time.dateTime);
    if (isNaN(at)) continue;
    time.dataset.local = "";
    const mine = local(at), sameDay = mine.slice(0, 10) === utc.slice(0, 10);
    time.title = `${mine} in ${zone}, ${utc}`;
    time.textContent = mine;
    const beside = document.createElement("small");
    beside.className = "utc";
    beside.textContent = ` ${sameDay ? utc.slice(11) : utc.slice(5)}`;
    time.append(beside);
  }
}

/* Copying */
function copying(where) {
  if (!navigator.clipboard) return;
  for (const button of all(where, "button[data-copy]")) button.hidden = false;
}
document.addEventListener("click", async event => {
  const button = event.target.closest("button[data-copy]");
  if (!button) return;
  await navigator.clipboard.writeText(document.getElementById(button.dataset.copy).textContent);
  button.textContent = "Copied";
  setTimeout(() => { button.textContent = "Copy"; }, 1500);
});

/* Lists: the form's answer takes the place of #results, and the address follows. */
let asking = null;
async function renew(form) {
  const values = new URLSearchParams();
  for (const [name, value] of new FormData(form)) if (value) values.append(name, value);
  const address = `${form.getAttribute("action")}${values.size ? `?${values}` : ""}`;
  asking?.abort();
  asking = new AbortController();
  try {
    const answer = await fetch(address, {signal: asking.signal, headers: {accept: "text/html"}});
    const found = new DOMParser().parseFromString(await answer.text(), "text/html");
    const part = found.getElementById("results") || found.getElementById("content");
    const old = document.getElementById("results");
    if (!part || !old) { location.assign(address); return; }
    const inside = old.contains(document.activeElement) ? document.activeElement : null;
    const selection = inside && "selectionStart" in inside ? inside.selectionStart : null;
    const fresh = document.createElement("div");
    fresh.id = "results";
    fresh.append(...(part.id === "results" ? part.childNodes : [...part.children]));
    old.replaceWith(fresh);
    dress(fresh);
    if (inside && inside.id) {
      const again = document.getElementById(inside.id);
      if (again) {
        if (again.type === inside.type && "value" in again && again.tagName === "INPUT") again.value = inside.value;
        again.focus();
        if (selection !== null && again.setSelectionRange) again.setSelectionRange(selection, selection);
      }
    }
    history.replaceState(null, "", address);
  } catch (error) {
    if (error.name !== "AbortError") location.assign(address);
  }
}
let waiting = 0;
document.addEventListener("input", event => {
  const form = event.target.closest("form[data-live]");
  if (!form) return;
  clearTimeout(waiting);
  waiting = setTimeout(() => renew(form), event.target.tagName === "SELECT" ? 0 : 250);
});
document.addEventListener("submit", event => {
  const form = event.target;
  if (form.matches("form[data-live]")) { event.preventDefault(); clearTimeout(waiting); renew(form); }
  if (form.matches("form[data-once]")) {
    if (form.dataset.sent) { event.preventDefault(); return; }
    form.dataset.sent = "yes";
    for (const button of all(form, "button")) button.setAttribute("aria-disabled", "true");
  }
});
addEventListener("pageshow", () => { for (const form of all(document, "form[data-once]")) delete form.dataset.sent; });

/* Keys: / goes to the filter, j and k along a list, Enter opens. */
document.addEventListener("keydown", event => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input,textarea,select")) return;
  const field = document.querySelector("[data-key='/']");
  if (event.key === "/" && field) { event.preventDefault(); field.focus(); field.select(); return; }
  if (event.key !== "j" && event.key !== "k") return;
  const rows = all(document, "table.list tbody tr th a");
  if (!rows.length) return;
  const at = rows.indexOf(document.activeElement);
  const next = at < 0 ? 0 : Math.min(rows.length - 1, Math.max(0, at + (event.key === "j" ? 1 : -1)));
  rows[next].focus();
});

/* Live parts: the server says that something happened, and the page asks for itself again; where it cannot say so, the
   page asks every few seconds. */
function live() {
  const part = document.querySelector("[data-events]");
  if (!part) return;
  const refresh = async () => {
    try {
      const answer = await fetch(location.href, {headers: {accept: "text/html"}});
      const found = new DOMParser().parseFromString(await answer.text(), "text/html").querySelector("[data-events]");
      const now = document.querySelector("[data-events]");
      if (found && now && now.innerHTML !== found.innerHTML) { now.replaceChildren(...found.childNodes); dress(now); }
    } catch { /* the next one may arrive */ }
  };
  let timer = 0;
  const poll = () => { if (!timer) timer = setInterval(refresh, 3000); };
  if (!window.EventSource) { poll(); return; }
  const source = new EventSource(part.dataset.events);
  source.onmessage = () => { clearInterval(timer); timer = 0; refresh(); };
  source.onerror = poll;
}

/* What is wider than the screen shows its newest end first. */
const newest = where => { for (const one of all(where, ".scroll")) one.scrollLeft = one.scrollWidth; };
function dress(where) { times(where); copying(where); newest(where); }
dress(document);
live();
})();
