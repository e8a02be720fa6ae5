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

/* What is fresh takes the place of what was there; whoever was in it stays where he was. */
function replace(old, fresh) {
  const held = old.contains(document.activeElement) ? document.activeElement : null;
  const selection = held && "selectionStart" in held ? held.selectionStart : null;
  const open = all(old, "details").map(one => one.open);
  old.replaceWith(fresh);
  dress(fresh);
  all(fresh, "details").forEach((one, at) => { one.open ||= open[at]; });
  const href = held && held.getAttribute("href");
  const same = held && (held.id ? `#${CSS.escape(held.id)}` : href && `a[href="${CSS.escape(href)}"]`);
  const again = same && fresh.querySelector(same);
  if (!again) return;
  if (again.tagName === "INPUT" && again.type === held.type) again.value = held.value;
  again.focus({preventScroll: true});
  if (selection !== null && again.setSelectionRange) again.setSelectionRange(selection, selection);
}

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
    const fresh = document.createElement("div");
    fresh.id = "results";
    fresh.append(...(part.id === "results" ? part.childNodes : [...part.children]));
    replace(old, fresh);
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

/* Live parts: the server says that something happened, and the page asks for itself again. While the server says nothing
   at all (no stream, or one that a proxy holds back), the page asks every few seconds; where it gets no answer, it says
   since when. */
const POLL = 3000, SILENCE = 40000;
function live() {
  if (!document.querySelector("[data-events]")) return;
  let heard = 0, last = "", answered = new Date(), asking = false, again = false;
  const refresh = async () => {
    if (asking) { again = true; return; }
    asking = true;
    again = false;
    let found = null;
    try {
      const answer = await fetch(location.href, {headers: {accept: "text/html"}, signal: AbortSignal.timeout(20000)});
      if (answer.ok) found = new DOMParser().parseFromString(await answer.text(), "text/html").getElementById("live");
    } catch { /* the next one may arrive */ }
    asking = false;
    document.getElementById("stale").textContent =
      found ? "" : `Not renewed since ${local(answered)}: what stands here may be old. Reload the page to see why.`;
    if (!found) return;
    answered = new Date();
    if (found.innerHTML !== last) { last = found.innerHTML; replace(document.getElementById("live"), found); }
    if (!found.dataset.events) { source?.close(); clearInterval(timer); } else if (again) refresh();
  };
  const timer = setInterval(() => { if (Date.now() - heard > SILENCE) refresh(); }, POLL);
  const source = window.EventSource && new EventSource(document.querySelector("[data-events]").dataset.events);
  if (!source) return;
  source.onmessage = () => { heard = Date.now(); refresh(); };
  source.addEventListener("beat", () => { heard = Date.now(); });
  source.onerror = () => { heard = 0; };
}

/* What is wider than the screen shows its newest end first. */
const newest = where => { for (const one of all(where, ".scroll")) one.scrollLeft = one.scrollWidth; };
function dress(where) { times(where); copying(where); newest(where); }
dress(document);
live();
})();
