"use strict";
// These helpers build the page from DOM nodes and text nodes, so no string is parsed as HTML.

const SIGNS = JSON.parse(document.getElementById("signs").textContent);

/** Make a node. `props` are attributes, `props.on` event handlers; null or empty children are left out. */
function el(tag, props, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(props || {})) {
    if (name === "on") for (const [kind, does] of Object.entries(value)) node.addEventListener(kind, does);
    else if (value !== null && value !== undefined && value !== false) node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== ""));
  return node;
}

/** Format a number with three significant digits, as Python's `.3g` does. */
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

/** Show a number in short; the `value` attribute keeps all its digits. */
function number(value) {
  return el("data", { value: value === null || value === undefined ? "" : String(value) }, brief(value));
}

/** Show a margin as `0.31 ×`, in the class `over` if it exceeds the limit. */
function times(margin) {
  if (margin === null || margin === undefined) return null;
  return el("span", { class: margin > 1 ? "over" : "under" }, number(margin), "\u00a0×");
}

/** Show text, with the parts in backticks as code. */
function rich(text) {
  return String(text).split("`").map((piece, i) => (i % 2 && piece ? el("code", null, piece) : piece));
}

function badge(verdict) {
  const sign = el("span", { class: "sign", "aria-hidden": "true" }, SIGNS.glyphs[verdict] || "?");
  return el("span", { class: `badge ${SIGNS.tones[verdict] || "unknown"}` }, sign, verdict);
}

/** A table in a box that scrolls sideways, so that the page itself does not. */
function table(label, heads, rows, kind) {
  const name = (h) => h.text ?? h;
  const head = el("tr", { role: "row" }, heads.map((h) => el("th", { scope: "col", role: "columnheader", class: h.n ? "n" : null }, name(h))));
  const body = rows.map((cells) => el("tr", { role: "row" }, cells.map((cell, i) =>
    (i === 0 ? el("th", { scope: "row", role: "rowheader" }, cell) : el("td", { role: "cell", class: heads[i].n ? "n" : null, "data-label": heads[i].short ?? name(heads[i]) }, el("span", null, cell))))));
  // The roles are explicit because on a phone CSS lays the rows out as cards, and browsers then drop the table's roles.
  const whole = el("table", { role: "table", class: kind || null }, el("thead", { role: "rowgroup" }, head), el("tbody", { role: "rowgroup" }, body));
  return el("div", { class: "scroll", role: "region", "aria-label": label, tabindex: "0" }, whole);
}

/** Decode the gzipped Base64 text of an element. */
async function unpacked(id) {
  const binary = atob(document.getElementById(id).textContent);
  const bytes = new Uint8Array(binary.length);
  for (let i = 0; i < binary.length; i++) bytes[i] = binary.charCodeAt(i);
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Response(stream).text();
}
