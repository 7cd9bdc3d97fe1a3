// The plots of one claim as Vega-Lite specifications.

const POWER = "format(datum.value, datum.value >= 1e4 || datum.value < 1e-2 ? '.0e' : '~g')";

function limitRule(at) {
  return { mark: { type: "rule", strokeDash: [4, 3], strokeWidth: 1.5, color: ink("--ink"), tooltip: "the limit" }, data: { values: [{ limit: at }] }, encoding: { x: { field: "limit", type: "quantitative" } } };
}

/** Powers of ten that span the numbers, about `count` of them. */
function powersOfTen(numbers, count) {
  const [low, high] = [Math.floor(Math.log10(Math.min(...numbers))), Math.ceil(Math.log10(Math.max(...numbers)))];
  const every = Math.max(1, Math.ceil((high - low) / count));
  return Array.from({ length: high - low + 1 }, (_, i) => low + i).filter((power) => power % every === 0).map((power) => Number(`1e${power}`));
}

function logAxis(title, numbers, width) {
  return { title, labelExpr: POWER, values: powersOfTen(numbers, width < 500 ? 4 : 8), labelOverlap: "greedy" };
}

/** Plot value ÷ limit of candidate, baseline and mutants on one scale; a zero is drawn at 1e-4. */
function marginsFigure(claim) {
  const rows = [];
  for (const who of ["candidate", "baseline"]) {
    const at = claim.subjects[who];
    if (at !== null && at !== undefined) rows.push({ name: who, role: who, margin: at || 1e-4, shown: brief(at) });
  }
  for (const mutant of claim.mutants.filter((m) => m.margin !== null)) {
    rows.push({ name: mutant.name, role: "known wrong", margin: mutant.margin, shown: brief(mutant.margin), by: mutant.by });
  }
  if (rows.length < 2) return null;
  const order = [...rows.filter((row) => row.role !== "known wrong"), ...rows.filter((row) => row.role === "known wrong").sort((a, b) => a.margin - b.margin)].map((row) => row.name);
  const spec = (width) => ({
    width,
    autosize: { type: "fit-x", contains: "padding" },
    height: 20 * rows.length,
    data: { values: rows },
    description: "Value divided by limit of the candidate, the baseline and every known-wrong version",
    layer: [
      limitRule(1),
      {
        mark: { type: "point", filled: true, size: 90, opacity: 1 },
        encoding: {
          y: { field: "name", type: "nominal", sort: order, title: null, axis: { grid: true, domain: false, ticks: false } },
          x: { field: "margin", type: "quantitative", scale: { type: "log" }, axis: logAxis(width < 500 ? "value ÷ limit" : "value ÷ limit; right of the line is a violation", [1, ...rows.map((row) => row.margin)], width) },
          color: { field: "role", type: "nominal", title: null, scale: { domain: ["candidate", "baseline", "known wrong"], range: [ink("--plot-candidate"), ink("--plot-baseline"), ink("--plot-mutant")] } },
          shape: { field: "role", type: "nominal", title: null, scale: { domain: ["candidate", "baseline", "known wrong"], range: ["circle", "diamond", "cross"] } },
          tooltip: [{ field: "name", title: "version" }, { field: "shown", title: "value ÷ limit" }, { field: "by", title: "killed by" }],
        },
      },
    ],
  });
  return figure("Known-wrong versions must lie right of the limit, the candidate left of it; all on the same cases.", spec);
}

/** Plot a histogram of the cases' value ÷ limit, one row for each measurement. */
function spreadFigure(claim) {
  const values = [];
  let zero = 0, lost = 0;
  for (const part of claim.spread) {
    zero += part.zero;
    lost += part.lost;
    for (const at of part.at) values.push({ limit: part.limit, measure: part.measure, dtype: part.dtype, log: at });
  }
  if (claim.cases < 2 || values.length < 2) return null; // the table already shows a single case
  const range = [ink("--plot-a"), ink("--plot-b"), ink("--plot-c"), ink("--plot-d")];
  const measures = [...new Set(values.map((v) => v.measure))];
  const [low, high] = [Math.floor(Math.min(0, ...values.map((v) => v.log))), Math.ceil(Math.max(0, ...values.map((v) => v.log)))];
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
            x: { field: "log", type: "quantitative", bin: { step: 0.25 }, scale: { domain: [low, high] }, axis: { title: "value ÷ limit", format: "d", labelExpr: "datum.value < -2 || datum.value > 3 ? format(pow(10, datum.value), '.0e') : format(pow(10, datum.value), '~g')", grid: false, labelOverlap: "greedy", values: powersOfTen([low, high].map((power) => 10 ** power), width < 500 ? 4 : 8).map(Math.log10) } },
            y: { aggregate: "count", type: "quantitative", title: null, axis: { tickCount: 3, tickMinStep: 1, format: "d", grid: true } },
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

/** Plot each stage's error, alone and accumulated. */
function stagesFigure(stages) {
  const least = 0.01;
  const values = stages.stages.flatMap((s) => [["alone", s.alone_u], ["as it adds up", s.propagated_u]].map(([kind, u]) =>
    ({ stage: s.stage, kind, u: typeof u === "number" ? Math.max(u, least) : null, shown: brief(u) })));
  const order = stages.stages.map((s) => s.stage);
  const kinds = { domain: ["alone", "as it adds up"], range: [ink("--plot-mutant"), ink("--plot-baseline")] };
  const spec = (width) => ({
    width,
    autosize: { type: "fit-x", contains: "padding" },
    height: 17 * order.length,
    data: { values },
    description: "Error of every stage in round-offs, fed the reference's inputs and as it adds up",
    layer: [
      limitRule(stages.limit_u),
      {
        mark: { type: "point", filled: true, size: 60, opacity: 1 },
        encoding: {
          y: { field: "stage", type: "nominal", sort: order, title: null, axis: { grid: true, domain: false, ticks: false } },
          x: { field: "u", type: "quantitative", scale: { type: "log" }, axis: logAxis(`round-offs of ${stages.dtype}`, [stages.limit_u, ...values.map((v) => v.u).filter((u) => u !== null)], width) },
          color: { field: "kind", type: "nominal", title: null, scale: kinds },
          shape: { field: "kind", type: "nominal", title: null, scale: { domain: kinds.domain, range: ["circle", "diamond"] } },
          tooltip: [{ field: "stage" }, { field: "kind", title: "fed" }, { field: "shown", title: "round-offs" }],
        },
      },
    ],
  });
  return figure(`Alone: every stage fed the reference's inputs, so a stage is not blamed for an error that it only passes on. The dashed line is ${brief(stages.limit_u)} round-offs.`, spec);
}

/** Plot a series (loss, norm, drift): the candidate's line over the baseline's. */
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
  const spec = (width) => ({
    width,
    autosize: { type: "fit-x", contains: "padding" },
    height: 180,
    data: { values },
    description: `${name} over ${cases[0].axis}`,
    layer: [
      { transform: [{ filter: "datum.who == 'baseline'" }], mark: { type: "line", strokeWidth: 4, opacity: 0.35, strokeDash: [6, 3] } },
      { transform: [{ filter: "datum.who == 'candidate'" }], mark: { type: "line", point: cases[0].x.length < 40 ? { filled: true, size: 24 } : false, strokeWidth: 1.5 } },
    ],
    encoding: {
      x: { field: "x", type: "quantitative", title: cases[0].axis, axis: { grid: false, tickMinStep: 1 }, scale: { zero: false } },
      y: { field: "y", type: "quantitative", title: null, scale: { zero: false, type: log ? "log" : "linear" }, axis: { tickCount: 5, labelExpr: "abs(datum.value) >= 1e4 || (datum.value != 0 && abs(datum.value) < 1e-2) ? format(datum.value, '.1e') : format(datum.value, '~g')" } },
      color: { field: "case", type: "nominal", title: null, scale: { range: [ink("--plot-a"), ink("--plot-b"), ink("--plot-c"), ink("--plot-d")] }, legend: cases.length > 1 ? {} : null },
      detail: { field: "line" },
      tooltip: [{ field: "who" }, { field: "case" }, { field: "x", title: cases[0].axis }, { field: "y", title: name }],
    },
  });
  return figure(both ? `${name}; the broad dashed line is the baseline` : name, spec);
}
