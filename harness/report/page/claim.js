// One claim's page: the claim, the verdict with its reasons, the numbers, and how to reproduce them.

const chunks = new Map();

async function dossierOf(position) {
  const at = Math.floor(position / INDEX.chunk);
  if (!chunks.has(at)) chunks.set(at, unpacked(`chunk-${at}`).then(JSON.parse));
  return (await chunks.get(at))[position % INDEX.chunk];
}

function part(title, ...children) {
  return el("section", null, el("h2", null, title), children);
}

function claimPage(line, claim, steps) {
  const title = el("div", { class: "title" }, el("h1", { id: "claim-h", tabindex: "-1" }, line.id), badge(line.verdict), line.was ? el("span", { class: "quiet" }, "was ", badge(line.was)) : null);
  const lead = claim.rule ? el("p", { class: "lead" }, rich(claim.rule)) : null;
  const main = el("div", null, story(line, claim), claim.ran ? numbers(claim) : null, claim.ran ? [redGreen(claim), stageErrors(claim), series(claim), counterexample(claim), sources(claim)] : null);
  return [steps, title, lead, el("div", { class: "columns" }, main, aside(line, claim))];
}

function story(line, claim) {
  return el("section", { class: "story" },
    claim.prediction ? [el("h2", null, "Predicted"), el("p", null, rich(claim.prediction))] : null,
    el("h2", null, "Why"),
    el("ol", { class: "whys" }, claim.whys.map((why) => el("li", null, rich(why)))),
    el("p", null, claim.meaning),
    claim.root_cause ? el("p", null, el("b", null, "Root cause: "), claim.root_cause) : null,
    claim.next ? [el("h3", null, "Next falsifiable step"), el("p", { class: "next" }, rich(claim.next))] : null);
}

function numbers(claim) {
  if (!claim.limits.length) return null;
  const heads = ["limit", { text: "dtype" }, { text: "candidate", n: true }, { text: "limit", n: true }, { text: "value ÷ limit", n: true }, { text: "baseline", n: true }, { text: "" }];
  const rows = claim.limits.map((l) => [rich(l.limit), l.dtype, number(l.value), number(l.bound), times(l.margin) || "–", number(l.baseline), el("span", { class: l.holds ? "under" : "over" }, l.holds ? "holds" : "broken")]);
  const reasons = new Map(claim.limits.filter((l) => l.why).map((l) => [l.measure, l.why]));
  const node = part("Measured against limits", table("Measurements against limits", heads, rows, "limit"),
    reasons.size ? el("details", null, el("summary", null, "Why these limits"), el("dl", { class: "facts reasons" }, [...reasons].map(([m, why]) => el("div", null, el("dt", null, m), el("dd", null, rich(why)))))) : null);
  const spread = spreadFigure(claim);
  if (spread) node.append(el("h3", null, "Case by case"), spread);
  return node;
}

function redGreen(claim) {
  if (!claim.mutants.length) return null;
  const heads = ["known-wrong version", { text: "killed by" }, { text: "red: it, × limit", short: "red", n: true }, { text: "green: candidate, × same limit", short: "green", n: true }];
  const rows = claim.mutants.map((m) => [
    m.free ? [m.name, el("span", { class: "quiet" }, " (free)")] : m.name,
    m.killed ? rich(m.by) : el("span", { class: m.status === "ran" ? "over" : "quiet" }, fate(m)),
    m.margin === null ? (m.killed ? "outright" : "–") : [times(m.margin), m.weak ? " weak" : ""],
    m.green === null ? "–" : times(m.green),
  ]);
  return part("Red and green in one run", marginsFigure(claim), table("Known-wrong versions beside the candidate", heads, rows, "limit mutants"));
}

function fate(mutant) {
  const words = { not_run: "not run", inapplicable: "not applicable here", ran: "SURVIVED" };
  return [words[mutant.status] || `SURVIVED (${mutant.status})`, mutant.reason].filter(Boolean).join(": ");
}

function stageErrors(claim) {
  if (!claim.stages) return null;
  const bad = new Set(claim.stages.independently_bad);
  const rows = claim.stages.stages.map((s) => [s.stage, number(s.alone_u), number(s.propagated_u), bad.has(s.stage) ? el("span", { class: "over" }, "wrong on its own") : ""]);
  const heads = ["stage", { text: "alone", n: true }, { text: "as it adds up", n: true }, { text: "" }];
  return part("Error by stage", stagesFigure(claim.stages), el("details", null, el("summary", null, `All ${rows.length} stages as a table`), table("Error by stage, in round-offs", heads, rows)));
}

function series(claim) {
  if (!claim.curves.length) return null;
  const names = [...new Set(claim.curves.map((c) => c.name))];
  const note = claim.left_out ? el("p", { class: "quiet" }, `${claim.left_out} more cases are in result.json.`) : null;
  return part("Curves", names.slice(0, 6).map((name) => curvesFigure(claim, name)), names.length > 6 ? el("p", { class: "quiet" }, `${names.length - 6} more series are in result.json.`) : null, note);
}

function counterexample(claim) {
  const found = claim.counterexample;
  if (!found) return null;
  const params = Object.entries({ ...found.case.params, dtype: found.case.dtype, seed: found.case.seed });
  const broken = found.violated.map((v) => [v.limit, v.pair ? `${v.pair}[${(v.at || []).join(", ")}]` : "–", number(v.got), number(v.want), number(v.value)]);
  const heads = ["broken limit", { text: "worst place" }, { text: "found", n: true }, { text: "reference", n: true }, { text: "measured", n: true }];
  const arrays = Object.entries(found.arrays);
  return part("Smallest counterexample",
    found.reproducible ? null : el("p", null, "Not reproducible on its own: the failure depends on earlier calls."),
    el("dl", { class: "facts" }, params.map(([k, v]) => el("div", null, el("dt", null, k), el("dd", null, String(v))))),
    table("What the counterexample violates", heads, broken),
    el("h3", null, "See it again"),
    command(found.replay),
    arrays.length ? el("details", null, el("summary", null, `${arrays.length + found.more_arrays} arrays stored`), el("ul", { class: "plain" }, arrays.map(([n, s]) => el("li", null, `${n}: ${s}`)), found.more_arrays ? el("li", null, `and ${found.more_arrays} more`) : null)) : null);
}

function command(text) {
  const button = el("button", { type: "button" }, "Copy");
  const status = el("span", { class: "unseen", role: "status" });
  const pre = el("pre", { tabindex: "0", "aria-label": "Replay command" }, text);
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(text);
    } catch {
      getSelection().selectAllChildren(pre); // the clipboard API may be refused on a file:// page: select the text and use execCommand
      document.execCommand("copy");
    }
    button.textContent = "Copied";
    status.textContent = "Copied";
    setTimeout(() => { button.textContent = "Copy"; status.textContent = ""; }, 2000);
  });
  return el("div", { class: "replay" }, pre, button, status);
}

function sources(claim) {
  return part("As written",
    claim.log ? el("details", { open: true }, el("summary", null, "The end of its log"), el("pre", { tabindex: "0" }, claim.log)) : null,
    el("details", null, el("summary", null, `The claim, ${claim.where}`), el("pre", { tabindex: "0" }, claim.entry)));
}

function aside(line, claim) {
  const run = INDEX.runs[claim.run];
  const pairs = (map) => Object.entries(map).filter(([, v]) => v !== null).map(([k, v]) => `${k} ${v}`).join(", ");
  const facts = [
    ["contract", el("a", { href: `#claims?contract=${encodeURIComponent(line.contract)}` }, line.contract)],
    ["criteria", line.criteria.length ? line.criteria.map((c, i) => [i ? ", " : "", el("a", { href: `#claims?target=${encodeURIComponent(c)}` }, c)]).flat() : "none"],
    ["candidate", run.candidate.spec],
    ["device", `${run.device}, asked ${run.device_asked}`],
    ["cases", claim.ran ? String(claim.cases) : "none"],
    ...(claim.searched ? [["search", claim.searched]] : []),
    ["mutants", line.tried ? `${line.killed} of ${line.tried} killed` : "none tried"],
    ["took", claim.ran ? `${brief(line.seconds)} s` : "–"],
    ["seed", String(run.seed)],
    ["run", el("code", null, claim.run)],
    ["began", run.began.replace("T", " ").replace("+00:00", " UTC")],
    ["host", pairs(run.host)],
    ["versions", pairs(run.versions)],
    ["harness", run.harness],
    ["code", pairs(Object.fromEntries(Object.entries(run.code).map(([k, v]) => [k, v.slice(0, 12)])))],
  ];
  return el("aside", { "aria-label": "Where and with what" }, el("dl", { class: "facts" }, facts.map(([k, v]) => el("div", null, el("dt", null, k), el("dd", null, v)))));
}
