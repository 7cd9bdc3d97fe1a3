// The page contains Vega-Lite compressed and unpacks it when the first plot scrolls into view. Expressions are
// interpreted (`ast`), because the page lets no text become code.

let library = null;
const drawn = new Map();

function plotLibrary() {
  library = library || unpacked("library").then((code) => {
    const script = document.createElement("script");
    script.textContent = code; // the page's policy names the digest of this text and lets no other run
    document.head.append(script);
    if (!window.vegaEmbed) throw new Error("the plotting library was not let run");
  });
  return library;
}

function ink(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

/** Vega-Lite settings that give plots the page's colours and fonts in both themes. */
function plotTheme() {
  const font = getComputedStyle(document.body).fontFamily;
  const text = { labelColor: ink("--quiet"), titleColor: ink("--quiet"), labelFont: font, titleFont: font, labelFontSize: 12, titleFontSize: 12, titleFontWeight: "normal" };
  return {
    background: null,
    font,
    view: { stroke: null },
    axis: { ...text, domainColor: ink("--line"), tickColor: ink("--line"), gridColor: ink("--line"), labelLimit: innerWidth < 600 ? 130 : 260 },
    legend: { ...text, orient: "top", direction: innerWidth < 600 ? "vertical" : "horizontal", offset: 4, symbolSize: 80 },
    header: { ...text, labelFontSize: 12, labelAnchor: "start" },
    text: { color: ink("--ink"), font },
  };
}

async function draw(box, spec) {
  await plotLibrary();
  if (!box.isConnected) return;
  const made = await vegaEmbed(box, { $schema: "https://vega.github.io/schema/vega-lite/v6.json", ...spec(box.clientWidth) }, { actions: false, renderer: "svg", ast: true, config: plotTheme(), mode: "vega-lite" });
  const held = drawn.get(box);
  if (held) held.finalize();
  drawn.set(box, made);
  box.querySelector("svg").setAttribute("aria-hidden", "true"); // the box has the role and the label of the image, so screen readers skip its parts
  box.dataset.drawn = document.documentElement.dataset.theme;
}

const observer = new IntersectionObserver((entries) => {
  for (const entry of entries.filter((e) => e.isIntersecting)) {
    observer.unobserve(entry.target);
    draw(entry.target, entry.target.spec).catch((problem) => {
      entry.target.textContent = `This plot could not be drawn (${problem.message}); its numbers are in the tables.`;
      console.error(problem);
    });
  }
}, { rootMargin: "200px" });

/** A figure that is drawn when it scrolls into view; `spec(width)` returns its Vega-Lite specification. */
function figure(caption, spec) {
  const box = el("div", { class: "plot", role: "img", "aria-label": caption });
  box.spec = spec;
  observer.observe(box);
  return el("figure", null, el("figcaption", null, caption), box);
}

/** Draw all plots on the page again in the present theme and width. */
function redraw() {
  for (const box of drawn.keys()) {
    if (box.isConnected) draw(box, box.spec);
    else drawn.delete(box);
  }
}
