"use strict";
// Everything here reads the JSON in #data. Text reaches the page through textContent only.
const data = JSON.parse(document.getElementById("data").textContent);
const darkMode = window.matchMedia("(prefers-color-scheme: dark)");
// While the page is printed: paper is white, and a chart is as wide as its place on a landscape page.
let printing = false;
const onPaper = { "--ink": "#1a1a1a", "--soft": "#4c5156", "--rule": "#d0d0cc", "--paper": "#ffffff", "--tint": "#ffffff" };
const dark = () => darkMode.matches && !printing;
const css = (name) => (printing && onPaper[name]) || getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const byId = (id) => document.getElementById(id);
const charts = [...data.charts.curves, ...data.charts.phases, ...data.charts.frontier, ...data.charts.crashes];
const drawn = new Set();

function hidden() {
  return new Set([...document.querySelectorAll("[data-toggle-arm]:not(:checked)")].map((box) => Number(box.dataset.toggleArm)));
}

function faded(colour, opacity) {
  const [red, green, blue] = [1, 3, 5].map((start) => parseInt(colour.slice(start, start + 2), 16));
  return `rgba(${red},${green},${blue},${opacity})`;
}

// A trace with this moment's colours: `meta.arm` is a number into the palette of the theme.
function styled(trace, colours, off, narrow) {
  const { arm, role } = trace.meta;
  const colour = arm < 0 ? css("--ink") : colours[arm];
  const shown = { ...trace, visible: !off.has(arm), showlegend: role === "event" || role === "phase" };
  if (role === "band") {
    shown.fillcolor = faded(colour, dark() ? 0.22 : 0.14);
    shown.line = { width: 0 };
    shown.visible = shown.visible && byId("show-bands").checked;
  } else if (role === "seed") {
    shown.line = { ...trace.line, color: faded(colour, 0.55) };
    shown.visible = shown.visible && byId("show-seeds").checked;
  } else if (role === "phase") {
    const palette = data.palette[dark() ? "dark" : "light"];
    shown.line = { ...trace.line, color: palette[1 + trace.meta.colour % (palette.length - 1)] };
  } else if (role === "run") {
    shown.line = { width: 3, color: faded(colour, 0.45) };
  } else if (role === "event") {
    shown.marker = { ...trace.marker, color: colour };
  } else if (role === "path") {
    shown.line = { ...trace.line, color: faded(colour, 0.6) };
  } else if (role === "end") {
    shown.marker = { ...trace.marker, color: colour, line: { width: 1, color: css("--paper") } };
  } else {
    shown.line = { ...trace.line, color: colour };
  }
  if (narrow && role === "event") shown.marker.size = 8;
  return shown;
}

function axis(own, log) {
  const lines = { gridcolor: css("--rule"), zerolinecolor: css("--rule"), linecolor: css("--soft"), ticks: "outside", ticklen: 4, tickcolor: css("--rule") };
  return { automargin: true, ...lines, ...own, ...(log ? { type: "log", dtick: 1 } : {}) };
}

function draw(figure) {
  const place = byId(figure.id);
  if (!place) return;
  const colours = data.colours[dark() ? "dark" : "light"];
  const narrow = !printing && place.clientWidth < 480;
  const size = printing ? { autosize: false, width: place.closest(".grid") ? 480 : 980 } : { autosize: true };
  const off = hidden();
  const logarithmic = byId("log-scale").checked ? figure.log : "";
  const legend = { orientation: "h", y: 1.02, yanchor: "bottom", x: 0, font: { size: narrow ? 11 : 12 } };
  const layout = {
    paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)",
    font: { family: css("--sans"), size: 12, color: css("--ink") },
    margin: { l: 48, r: 12, t: narrow ? 8 : 26, b: 40 }, showlegend: false, legend,
    modebar: { bgcolor: "rgba(0,0,0,0)", color: css("--rule"), activecolor: css("--soft") },
    hoverlabel: { bgcolor: css("--tint"), bordercolor: css("--rule"), font: { color: css("--ink"), size: narrow ? 10 : 12 } },
    // On a touch screen a drag scrolls the page.
    dragmode: window.matchMedia("(pointer: coarse)").matches ? false : "zoom",
    ...figure.layout,
    ...size,
    xaxis: axis(figure.layout.xaxis, logarithmic === "x"),
    yaxis: axis(figure.layout.yaxis, logarithmic === "y"),
    uirevision: `${figure.id} ${logarithmic}`,
  };
  const traces = figure.traces.map((trace) => styled(trace, colours, off, narrow));
  // The buttons are named one by one: Plotly's own set has one that sends the chart to a company's server.
  const buttons = [["toImage", "zoom2d", "pan2d", "resetScale2d"]];
  const config = { responsive: true, displaylogo: false, showSendToCloud: false, displayModeBar: !narrow, modeBarButtons: buttons };
  Plotly.react(place, traces, layout, config);
  drawn.add(figure);
}

function redraw() {
  drawn.forEach(draw);
}

// A figure is drawn when it comes near the window: a long page opens fast.
function watch() {
  const near = new IntersectionObserver((entries) => entries.filter((entry) => entry.isIntersecting).forEach((entry) => {
    near.unobserve(entry.target);
    draw(charts.find((figure) => figure.id === entry.target.id));
  }), { rootMargin: "600px" });
  charts.map((figure) => byId(figure.id)).filter(Boolean).forEach((place) => near.observe(place));
  for (const [event, begins] of [["beforeprint", true], ["afterprint", false]]) {
    window.addEventListener(event, () => { printing = begins; charts.forEach(draw); });
  }
}

// Tables: a click (or Enter) on a head sorts by that column; empty cells stay at the end.
function sortable(table) {
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, column) => head.querySelector("button")?.addEventListener("click", () => {
    const down = head.getAttribute("aria-sort") === "ascending";
    const value = (row) => row.cells[column].dataset.value ?? row.cells[column].textContent.trim();
    const order = (left, right) => (isNaN(left) || isNaN(right) ? left.localeCompare(right, undefined, { numeric: true }) : left - right);
    const rows = [...table.tBodies[0].rows].sort((a, b) => {
      const [left, right] = [value(a), value(b)];
      if (left === "" || right === "") return (left === "") - (right === "");
      return down ? order(right, left) : order(left, right);
    });
    heads.forEach((other) => other.removeAttribute("aria-sort"));
    head.setAttribute("aria-sort", down ? "descending" : "ascending");
    table.tBodies[0].append(...rows);
  }));
}

function element(name, className, text) {
  const made = document.createElement(name);
  if (className) made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
}

function options(select, values, chosen) {
  select.replaceChildren(...values.map((value) => new Option(String(value), String(value), false, value === chosen)));
}

function answer(sample) {
  const index = data.arms.indexOf(sample.arm);
  const card = element("div", "answer");
  card.style.borderColor = data.colours[darkMode.matches ? "dark" : "light"][index];
  const scores = [["reward", sample.reward], ["gold", sample.gold]].filter(([, value]) => typeof value === "number");
  card.append(element("b", "", sample.arm), document.createTextNode(sample.response));
  card.append(element("small", "", scores.map(([name, value]) => `${name} ${value.toFixed(2).replace("-", "−")}`).join(", ")));
  return card;
}

function showSamples() {
  const [seed, update] = [Number(byId("sample-seed").value), Number(byId("sample-update").value)];
  const off = hidden();
  const chosen = data.samples.filter((sample) => sample.seed === seed && sample.update === update && !off.has(data.arms.indexOf(sample.arm)));
  const blocks = [...new Set(chosen.map((sample) => sample.prompt))].map((prompt) => {
    const block = element("div", "");
    const answers = element("div", "answers");
    const order = (sample) => data.arms.indexOf(sample.arm);
    answers.append(...chosen.filter((sample) => sample.prompt === prompt).sort((a, b) => order(a) - order(b)).map(answer));
    block.append(element("p", "prompt", prompt), answers);
    return block;
  });
  byId("sample-list").replaceChildren(...(blocks.length ? blocks : [element("p", "", "No samples of this seed at this update.")]));
}

function startSamples() {
  if (!data.samples.length) return;
  const unique = (key) => [...new Set(data.samples.map((sample) => sample[key]))].sort((a, b) => a - b);
  options(byId("sample-seed"), unique("seed"), unique("seed")[0]);
  options(byId("sample-update"), unique("update"), unique("update").at(-1));
  ["sample-seed", "sample-update"].forEach((id) => byId(id).addEventListener("change", showSamples));
  showSamples();
}

document.querySelectorAll("table.sortable").forEach(sortable);
document.querySelectorAll("form").forEach((form) => form.addEventListener("submit", (event) => event.preventDefault()));
byId("legend").addEventListener("change", () => { redraw(); if (data.samples.length) showSamples(); });
darkMode.addEventListener("change", () => { redraw(); if (data.samples.length) showSamples(); });
startSamples();
watch();
