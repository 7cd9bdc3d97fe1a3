// The plots of one claim, as Vega-Lite.

const LIMIT = { mark: { type: "rule", strokeDash: [4, 3], strokeWidth: 1.5 }, encoding: { x: { datum: 1 }, color: { value: null } } };
const POWER = "format(datum.value, datum.value >= 1e4 || datum.value < 1e-2 ? '.0e' : '~g')";

function limitRule(at) {
  return { mark: { type: "rule", strokeDash: [4, 3], strokeWidth: 1.5, color: ink("--ink"), tooltip: "the limit" }, data: { values: [{ limit: at }] }, encoding: { x: { field: "limit", type: "quantitative" } } };
}

function logAxis(title, count) {
  return { title, labelExpr: POWER, tickCount: count, labelOverlap: "greedy" };
}

/** RED and GREEN: every subject's distance from the limit, on one scale. */
function marginsFigure(claim) {
  const rows = [];
  for (const who of ["candidate", "baseline"]) {
    const at = claim.subjects[who];
    if (at !== null && at !== undefined) rows.push({ name: who, role: who, margin: Math.max(at, 1e-18), shown: brief(at) });
  }
  for (const mutant of claim.mutants.filter((m) => m.margin !== null)) {
    rows.push({ name: mutant.name, role: "known wrong", margin: mutant.margin, shown: brief(mutant.margin), by: mutant.by });
  }
  if (rows.length < 2) return null;
  const order = rows.map((row) => row.name);
  const spec = (width) => ({
    width: "container",
    height: { step: 20 },
    data: { values: rows },
    description: "Value divided by limit of the candidate, the baseline and every known-wrong version",
    layer: [
      limitRule(1),
      {
        mark: { type: "point", filled: true, size: 90, opacity: 1 },
        encoding: {
          y: { field: "name", type: "nominal", sort: order, title: null, axis: { grid: true, domain: false, ticks: false } },
          x: { field: "margin", type: "quantitative", scale: { type: "log" }, axis: logAxis("value ÷ limit; right of the line is a violation", width < 500 ? 4 : 8) },
          color: { field: "role", type: "nominal", title: null, scale: { domain: ["candidate", "baseline", "known wrong"], range: [ink("--plot-candidate"), ink("--plot-baseline"), ink("--plot-mutant")] } },
          shape: { field: "role", type: "nominal", title: null, scale: { domain: ["candidate", "baseline", "known wrong"], range: ["circle", "diamond", "cross"] } },
          tooltip: [{ field: "name", title: "version" }, { field: "shown", title: "value ÷ limit" }, { field: "by", title: "killed by" }],
        },
      },
    ],
  });
  return figure("Known-wrong versions must lie right of the limit, the candidate left of it; all on the same cases.", spec);
}

/** The cases one by one against each limit. */
function spreadFigure(claim) {
  const values = [];
  let zero = 0, lost = 0;
  for (const part of claim.spread) {
    zero += part.zero;
    lost += part.lost;
    for (const at of part.at) values.push({ limit: part.limit, measure: part.measure, dtype: part.dtype, log: at });
  }
  if (values.length < 2) return null;
  const range = [ink("--plot-a"), ink("--plot-b"), ink("--plot-c"), ink("--plot-d")];
  const measures = [...new Set(values.map((v) => v.measure))];
  const spec = (width) => ({
    data: { values },
    description: "Histogram of the cases by value divided by limit, one row per measurement",
    facet: { row: { field: "measure", sort: measures, title: null, header: { labelOrient: "top", labelPadding: 2 } } },
    spacing: 12,
    spec: {
      width: Math.max(width - 56, 120),
      height: 60,
      layer: [
        {
          mark: { type: "bar", binSpacing: 0.5 },
          encoding: {
            x: { field: "log", type: "quantitative", bin: { step: 0.25 }, axis: { title: "value ÷ limit", format: "d", labelExpr: "format(pow(10, datum.value), '.0e')", grid: false, labelOverlap: "greedy", tickCount: width < 500 ? 4 : 8, values: null } },
            y: { aggregate: "count", type: "quantitative", title: null, axis: { tickCount: 3, grid: true } },
            color: { field: "dtype", type: "nominal", title: null, scale: { range } },
            tooltip: [{ field: "dtype", type: "nominal" }, { aggregate: "count", title: "cases" }],
          },
        },
        { mark: { type: "rule", strokeDash: [4, 3], strokeWidth: 1.5, color: ink("--ink") }, encoding: { x: { datum: 0 } } },
      ],
    },
  });
  const notes = [zero ? `${zero} values without any error are not drawn` : "", lost ? `${lost} are not finite` : ""].filter(Boolean);
  return figure(`The candidate's ${values.length} values, one per case and limit; the dashed line is the limit${notes.length ? `; ${notes.join(", ")}` : ""}.`, spec);
}

/** Error by stage: on its own, and as it adds up. */
function stagesFigure(stages) {
  const least = 0.01;
  const values = stages.stages.flatMap((s) => [["alone", s.alone_u], ["as it adds up", s.propagated_u]].map(([kind, u]) =>
    ({ stage: s.stage, kind, u: typeof u === "number" ? Math.max(u, least) : null, shown: brief(u) })));
  const order = stages.stages.map((s) => s.stage);
  const kinds = { domain: ["alone", "as it adds up"], range: [ink("--plot-mutant"), ink("--plot-baseline")] };
  const spec = (width) => ({
    width: "container",
    height: { step: 17 },
    data: { values },
    description: "Error of every stage in round-offs, fed the reference's inputs and as it adds up",
    layer: [
      limitRule(stages.limit_u),
      {
        mark: { type: "point", filled: true, size: 60, opacity: 1 },
        encoding: {
          y: { field: "stage", type: "nominal", sort: order, title: null, axis: { grid: true, domain: false, ticks: false } },
          x: { field: "u", type: "quantitative", scale: { type: "log" }, axis: logAxis(`round-offs of ${stages.dtype}`, width < 500 ? 4 : 8) },
          color: { field: "kind", type: "nominal", title: null, scale: kinds },
          shape: { field: "kind", type: "nominal", title: null, scale: { domain: kinds.domain, range: ["circle", "diamond"] } },
          tooltip: [{ field: "stage" }, { field: "kind", title: "fed" }, { field: "shown", title: "round-offs" }],
        },
      },
    ],
  });
  return figure(`Alone: every stage fed the reference's inputs, so an error that merely passes through is not blamed. The dashed line is ${brief(stages.limit_u)} round-offs.`, spec);
}

/** Losses, norms, drift: the candidate's line over the baseline's. */
function curvesFigure(claim, name) {
  const values = [];
  const cases = claim.curves.filter((c) => c.name === name);
  for (const curve of cases) {
    for (const who of ["candidate", "baseline"]) {
      curve[who].forEach((y, i) => { if (y !== null) values.push({ x: curve.x[i], y, who, case: `case ${curve.case}`, line: `${who} ${curve.case}` }); });
    }
  }
  const ys = values.map((v) => v.y);
  const log = Math.min(...ys) > 0 && Math.max(...ys) > 1000 * Math.min(...ys);
  const both = values.some((v) => v.who === "baseline");
  const spec = () => ({
    width: "container",
    height: 180,
    data: { values },
    description: `${name} over ${cases[0].axis}`,
    mark: { type: "line", point: cases[0].x.length < 40 ? { filled: true, size: 24 } : false, strokeWidth: 1.5 },
    encoding: {
      x: { field: "x", type: "quantitative", title: cases[0].axis, axis: { grid: false, tickMinStep: 1 }, scale: { zero: false } },
      y: { field: "y", type: "quantitative", title: null, scale: { zero: false, type: log ? "log" : "linear" }, axis: { tickCount: 5, labelExpr: "abs(datum.value) >= 1e4 || (datum.value != 0 && abs(datum.value) < 1e-2) ? format(datum.value, '.1e') : format(datum.value, '~g')" } },
      color: { field: "case", type: "nominal", title: null, scale: { range: [ink("--plot-a"), ink("--plot-b"), ink("--plot-c"), ink("--plot-d")] }, legend: cases.length > 1 ? {} : null },
      strokeDash: { field: "who", type: "nominal", title: null, scale: { domain: ["candidate", "baseline"], range: [[1, 0], [5, 4]] }, legend: both ? {} : null },
      detail: { field: "line" },
      tooltip: [{ field: "who" }, { field: "case" }, { field: "x", title: cases[0].axis }, { field: "y", title: name }],
    },
  });
  return figure(name, spec);
}
