// Addresses: #claim/ID shows a claim's page, #claims?verdict=... the filtered list, any other #name a section.

let lastClaim = null;
let lastFilters = "";

function address() {
  const hash = location.hash.slice(1);
  if (hash.startsWith("claim/")) return { claim: decode(hash.slice(6)) };
  const [place, query] = hash.split("?");
  return { place, query: query === undefined ? null : new URLSearchParams(query) };
}

function decode(text) {
  try { return decodeURIComponent(text); } catch { return text; }
}

async function route() {
  const to = address();
  if (to.claim !== undefined) return showClaim(to.claim);
  byId("claim").hidden = true;
  byId("claim").replaceChildren();
  byId("overview").hidden = false;
  document.title = "Harness report";
  if (to.query) setFilters(to.query);
  listNow();
  const back = lastClaim && to.place === "claims" && [...byId("list").querySelectorAll("a.item")].find((a) => a.querySelector("b").textContent === lastClaim);
  lastClaim = null;
  const place = to.place ? byId(to.place) : null;
  if (back) { back.scrollIntoView({ block: "center", behavior: "instant" }); back.focus({ preventScroll: true }); }
  else if (to.place === "top") scrollTo({ top: 0, behavior: "instant" });
  else if (place) { place.scrollIntoView({ behavior: "instant" }); if (place.tabIndex >= -1 && place.hasAttribute("tabindex")) place.focus({ preventScroll: true }); }
  ready("list");
}

async function showClaim(id) {
  const line = INDEX.claims.find((claim) => claim.id === id);
  if (!matches.length) { listNow(); }
  const filters = filtersNow().toString();
  const back = el("a", { href: filters ? `#claims?${filters}` : "#claims", id: "back" }, "← All claims");
  const page = line ? claimPage(line, await dossierOf(line.position), el("nav", { class: "crumbs", "aria-label": "Claims" }, back, el("span", { class: "steps" }, neighbours(line)))) :
    [el("nav", { class: "crumbs", "aria-label": "Claims" }, back), el("h1", { id: "claim-h", tabindex: "-1" }, `No claim ${id} in this report`), el("p", { class: "lead" }, "Its name may have changed, or its contract was not run.")];
  if (address().claim !== id) return; // the user went to another address while the claim was being unpacked
  byId("overview").hidden = true;
  byId("claim").replaceChildren(...page.flat().filter(Boolean));
  byId("claim").hidden = false;
  document.title = `${id} – Harness report`;
  scrollTo({ top: 0, behavior: "instant" });
  byId("claim-h").focus({ preventScroll: true });
  lastClaim = id;
  ready(`claim/${id}`);
}

/** Links to the claims before and after this one in the filtered list. */
function neighbours(line) {
  const at = matches.indexOf(line);
  const link = (claim, text) => claim && el("a", { href: `#claim/${encodeURIComponent(claim.id)}`, title: claim.id }, text);
  return at === -1 ? [] : [link(matches[at - 1], "← Previous"), link(matches[at + 1], "Next →")];
}

function ready(what) {
  document.documentElement.dataset.ready = what;
  if (!performance.getEntriesByName("ready").length) performance.mark("ready");
}

function setTheme(theme) {
  document.documentElement.dataset.theme = theme;
  const other = theme === "dark" ? "light" : "dark";
  byId("theme").setAttribute("aria-label", `Change to the ${other} theme`);
  byId("theme-name").textContent = other[0].toUpperCase() + other.slice(1);
}

const system = matchMedia("(prefers-color-scheme: dark)");
let chosen = null;
try { chosen = localStorage.getItem("harness-report-theme"); } catch { /* without storage, each visit starts in the system's theme */ }
setTheme(chosen || (system.matches ? "dark" : "light"));
system.addEventListener("change", () => { if (!chosen) { setTheme(system.matches ? "dark" : "light"); redraw(); } });
byId("theme").addEventListener("click", () => {
  chosen = document.documentElement.dataset.theme === "dark" ? "light" : "dark";
  setTheme(chosen);
  try { localStorage.setItem("harness-report-theme", chosen); } catch { /* without storage, the choice lasts until the page is closed */ }
  redraw();
});

let waiting = 0;
function filtered() {
  cancelAnimationFrame(waiting);
  waiting = requestAnimationFrame(() => {
    const query = filtersNow().toString();
    history.replaceState(null, "", query ? `#claims?${query}` : "#claims");
    listNow();
  });
}

byId("filters").addEventListener("input", filtered);
byId("filters").addEventListener("submit", (event) => event.preventDefault());
byId("filters").addEventListener("reset", () => { group = ""; setTimeout(filtered); });
byId("more").addEventListener("click", () => {
  const first = shown;
  showMore();
  byId("list").querySelectorAll("a.item")[first]?.focus();
});
addEventListener("hashchange", route);
let width = innerWidth;
addEventListener("resize", () => { if (innerWidth !== width) { width = innerWidth; redraw(); } });
addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const typing = /^(INPUT|SELECT|TEXTAREA)$/.test(document.activeElement.tagName);
  if (event.key === "/" && !typing) {
    event.preventDefault();
    if (byId("overview").hidden) { lastClaim = null; location.hash = byId("back").getAttribute("href"); }
    setTimeout(() => { FIELDS.q.scrollIntoView({ block: "center", behavior: "instant" }); FIELDS.q.focus({ preventScroll: true }); });
  } else if (event.key === "Escape" && !byId("claim").hidden) location.hash = byId("back").getAttribute("href");
  else if (event.key === "Escape" && document.activeElement === FIELDS.q && FIELDS.q.value) { FIELDS.q.value = ""; filtered(); event.preventDefault(); }
  else walk(event);
});
readIndex().then(route);
