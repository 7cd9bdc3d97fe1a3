// The list of all claims with search, filters and arrow keys; it adds a hundred rows at a time.

const PAGE = 100;
let INDEX = { claims: [], chunk: 1, runs: {} };
let matches = [];
let shown = 0;
const byId = (id) => document.getElementById(id);
const FIELDS = { q: byId("q"), verdict: byId("f-verdict"), contract: byId("f-contract"), target: byId("f-target") };
let group = ""; // set by a link in the verdict table, shown beside the count, cleared with the other filters

async function readIndex() {
  INDEX = JSON.parse(await unpacked("index"));
  INDEX.claims.forEach((claim) => {
    claim.text = [claim.id, claim.contract, claim.verdict, claim.reason, claim.rule, ...claim.criteria].join(" ").toLowerCase();
  });
  const contracts = [...new Set(INDEX.claims.map((claim) => claim.contract))].sort();
  FIELDS.contract.append(...contracts.map((name) => el("option", { value: name }, name)));
}

function filtersNow() {
  const set = Object.entries(FIELDS).map(([name, field]) => [name, field.value.trim()]);
  return new URLSearchParams([...set, ["group", group]].filter(([, value]) => value));
}

function setFilters(query) {
  for (const [name, field] of Object.entries(FIELDS)) {
    field.value = query.get(name) || "";
    if (field.selectedIndex === -1) field.value = "";
  }
  group = query.get("group") || "";
}

function matching(query) {
  const words = (query.get("q") || "").toLowerCase().split(/\s+/).filter(Boolean);
  const [verdict, contract, target, folder] = ["verdict", "contract", "target", "group"].map((name) => query.get(name));
  return INDEX.claims.filter((claim) =>
    words.every((word) => claim.text.includes(word)) &&
    (!verdict || claim.verdict === verdict || (verdict === "RED" && SIGNS.tones[claim.verdict] === "red")) &&
    (!contract || claim.contract === contract) &&
    (!folder || claim.group === folder) &&
    (!target || claim.criteria.some((c) => c === target || c.startsWith(`${target}/`))));
}

function listNow() {
  const query = filtersNow();
  matches = matching(query);
  shown = 0;
  byId("list").replaceChildren();
  showMore();
  const all = INDEX.claims.length;
  const within = group ? ` in ${group}` : "";
  byId("found").textContent = matches.length === all ? `${all} claims` : `${matches.length} of ${all} claims${within}`;
}

function showMore() {
  const next = matches.slice(shown, shown + PAGE);
  byId("list").append(...next.map(item));
  shown += next.length;
  byId("more").hidden = shown >= matches.length;
  byId("more").textContent = `Show ${Math.min(PAGE, matches.length - shown)} more of ${matches.length}`;
}

function item(claim) {
  const near = claim.near === null || claim.near === undefined ? "" : [number(claim.near), " × limit"];
  const link = el("a", { class: "item", href: `#claim/${encodeURIComponent(claim.id)}`, "data-verdict": claim.verdict },
    badge(claim.verdict),
    el("span", { class: "what" }, el("b", null, claim.id), el("span", { class: "why" }, claim.verdict === "PARTIAL" || claim.verdict === "DISCHARGED" ? claim.rule : claim.reason)),
    el("span", { class: "fact near" }, near),
    el("span", { class: "fact" }, claim.tried ? `${claim.killed}/${claim.tried} killed` : ""),
    el("span", { class: "fact" }, claim.seconds ? `${claim.seconds.toFixed(1)} s` : ""));
  return el("li", null, link);
}

/** Move the focus in the list by arrow keys, Home and End; Down leads from the search into it, Up from row one back. */
function walk(event) {
  const items = [...byId("list").querySelectorAll("a.item")];
  const at = items.indexOf(document.activeElement);
  const inSearch = document.activeElement === FIELDS.q;
  if (at === -1 && !(inSearch && event.key === "ArrowDown")) return;
  const last = items.length - 1;
  const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: last }[event.key];
  if (to === undefined) return;
  event.preventDefault();
  if (to > last && shown < matches.length) {
    showMore();
    byId("list").querySelectorAll("a.item")[to].focus();
  } else if (to < 0) FIELDS.q.focus();
  else items[Math.min(to, last)]?.focus();
}
