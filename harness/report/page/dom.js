"use strict";
// Everything on the page is made of nodes and text: no string is ever read as HTML.

const SIGNS = JSON.parse(document.getElementById("signs").textContent);

/** A node; `props` are attributes, `on` handlers, children nodes or text (null ones are left out). */
function el(tag, props, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(props || {})) {
    if (name === "on") for (const [kind, does] of Object.entries(value)) node.addEventListener(kind, does);
    else if (value !== null && value !== undefined && value !== false) node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== ""));
  return node;
}

/** Three significant digits, as Python's `.3g` gives them. */
function brief(value) {
  if (typeof value !== "number") return value === null || value === undefined ? "–" : String(value);
  if (value === 0) return "0";
  const exponent = Math.floor(Math.log10(Math.abs(Number(value.toPrecision(3)))));
  if (exponent < -4 || exponent >= 3) {
    const [digits, power] = value.toExponential(2).split("e");
    const padded = power.slice(1).padStart(2, "0");
    return `${Number(digits)}e${power[0]}${padded}`;
  }
  return String(Number(value.toPrecision(3)));
}

/** A number that keeps its whole value beside the short text. */
function number(value) {
  return el("data", { value: value === null || value === undefined ? "" : String(value) }, brief(value));
}

/** `0.31 × limit`; what is over says so in words. */
function times(margin) {
  if (margin === null || margin === undefined) return null;
  return el("span", { class: margin > 1 ? "over" : "under" }, number(margin), "\u00a0×");
}

/** Text with its `code` in backticks set as code. */
function rich(text) {
  return String(text).split("`").map((piece, i) => (i % 2 && piece ? el("code", null, piece) : piece));
}

function badge(verdict) {
  const sign = el("span", { class: "sign", "aria-hidden": "true" }, SIGNS.glyphs[verdict] || "?");
  return el("span", { class: `badge ${SIGNS.tones[verdict] || "unknown"}` }, sign, verdict);
}

/** A table in a box of its own that scrolls where it must, so that the page does not. */
function table(label, heads, rows, kind) {
  const name = (h) => h.text ?? h;
  const head = el("tr", { role: "row" }, heads.map((h) => el("th", { scope: "col", role: "columnheader", class: h.n ? "n" : null }, name(h))));
  const body = rows.map((cells) => el("tr", { role: "row" }, cells.map((cell, i) =>
    (i === 0 ? el("th", { scope: "row", role: "rowheader" }, cell) : el("td", { role: "cell", class: heads[i].n ? "n" : null, "data-label": heads[i].short ?? name(heads[i]) }, el("span", null, cell))))));
  // The roles are said because on a phone the rows are laid out as cards, and a table that is no table to CSS loses them.
  const whole = el("table", { role: "table", class: kind || null }, el("thead", { role: "rowgroup" }, head), el("tbody", { role: "rowgroup" }, body));
  return el("div", { class: "scroll", role: "region", "aria-label": label, tabindex: "0" }, whole);
}

/** A `text/plain` element's Base64 of gzip, as text. */
async function unpacked(id) {
  const binary = atob(document.getElementById(id).textContent);
  const bytes = new Uint8Array(binary.length);
  for (let i = 0; i < binary.length; i++) bytes[i] = binary.charCodeAt(i);
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Response(stream).text();
}
