"use strict";

const parts = JSON.parse(document.getElementById("drawn").textContent);
// Each is at least 3:1 against the light and the dark card.
const colours = ["#1f77b4", "#d9480f", "#2b8a3e", "#a33bc4", "#b07d00", "#0c8599", "#d6336c", "#7355e0", "#6b8e00", "#a0632a"];
const marks = ["circle", "square", "diamond", "triangle-up", "cross", "triangle-down", "x"];
const dashes = ["solid", "dash", "dot"];
const shapes = {
  "circle": '<circle cx="18" cy="8" r="4"/>',
  "square": '<path d="M14 4h8v8h-8z"/>',
  "diamond": '<path d="M18 3l5 5-5 5-5-5z"/>',
  "triangle-up": '<path d="M18 3l5 9H13z"/>',
  "cross": '<path d="M16.5 3h3v3.500h3.500v3h-3.500v3.500h-3v-3.500h-3.500v-3h3.500z"/>',
  "triangle-down": '<path d="M18 13l5-9H13z"/>',
  "x": '<path d="M14 5l1.500-1.500 2.500 2.500 2.500-2.500 1.500 1.500-2.500 3 2.500 3-1.500 1.500-2.500-2.500-2.500 2.500-1.500-1.500 2.500-3z"/>',
};
const lengths = { solid: "none", dash: "6 4", dot: "2 3" };

function looks(i) {
  return { colour: colours[i % colours.length], mark: marks[i % marks.length], dash: dashes[Math.floor(i / colours.length) % dashes.length] };
}

function element(name, attributes, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

function token(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

/* Charts */

async function loadPlotly() {
  const packed = Uint8Array.from(atob(document.getElementById("plotly").textContent), (one) => one.charCodeAt(0));
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
  const script = document.createElement("script");
  script.textContent = await new Response(stream).text();
  document.head.append(script);
}

function colouring() {
  const line = { gridcolor: token("--line"), linecolor: token("--control"), zerolinecolor: token("--control") };
  const layout = {
    "font.color": token("--ink"), paper_bgcolor: token("--card"), plot_bgcolor: token("--card"),
    "hoverlabel.bgcolor": token("--card"), "hoverlabel.bordercolor": token("--control"), "hoverlabel.font.color": token("--ink"),
    "modebar.color": token("--control"), "modebar.activecolor": token("--accent"), "modebar.bgcolor": "rgba(0,0,0,0)",
  };
  for (const axis of ["xaxis", "yaxis"]) for (const [key, value] of Object.entries(line)) layout[`${axis}.${key}`] = value;
  return layout;
}

function layoutOf(extra) {
  return {
    showlegend: false, hovermode: "closest", dragmode: matchMedia("(pointer: coarse)").matches ? false : "zoom",
    margin: { l: 52, r: 12, t: 28, b: 42 }, font: { family: "system-ui, sans-serif", size: 12 }, ...extra,
  };
}

function setDeep(object, [first, ...rest], value) {
  if (rest.length) setDeep((object[first] ??= {}), rest, value);
  else object[first] = value;
}

async function draw(place, traces, layout) {
  const touched = matchMedia("(pointer: coarse)").matches;
  const buttons = [["zoom2d", "pan2d", "resetScale2d", "toImage"]];
  for (const [key, value] of Object.entries(colouring())) setDeep(layout, key.split("."), value);
  await Plotly.newPlot(place, traces, layout, { responsive: true, displaylogo: false, displayModeBar: !touched, modeBarButtons: buttons });
}

function curveTrace(panel, curve, part) {
  const look = looks(part.arms.indexOf(curve.arm));
  return {
    name: curve.arm, x: curve.bpp, y: curve.values, customdata: panel.qps, mode: "lines+markers",
    line: { color: look.colour, dash: look.dash, width: 2 }, marker: { symbol: look.mark, size: 8 },
    hovertemplate: `<b>${curve.arm}</b>, qp %{customdata}<br>%{x:.3f} bpp<br>${panel.name} %{y:.4g}<extra></extra>`,
  };
}

/** Ticks of a logarithmic axis that are whole words: left to itself it writes bare digits between powers of ten. */
function logarithmicTicks(values) {
  const low = Math.min(...values) / 1.2, high = Math.max(...values) * 1.2;
  const between = (steps) => {
    const found = [];
    for (let power = Math.floor(Math.log10(low)); power <= Math.log10(high); power++) {
      found.push(...steps.map((step) => step * 10 ** power).filter((one) => one >= low && one <= high));
    }
    return found;
  };
  const few = between([1, 2, 5]), ticks = few.length < 3 ? between([1, 1.5, 2, 3, 4, 5, 6, 7, 8, 9]) : few;
  return { tickvals: ticks, ticktext: ticks.map((one) => String(Number(one.toPrecision(2)))) };
}

function drawPanel(panel, part) {
  const values = panel.curves.flatMap((curve) => curve.values);
  const layout = layoutOf({
    xaxis: { title: { text: "bits per pixel" }, rangemode: "tozero" },
    yaxis: { type: panel.logarithmic ? "log" : "linear", automargin: true, exponentformat: "none", ...(panel.logarithmic ? logarithmicTicks(values) : {}) },
  });
  return draw(document.getElementById(panel.key), panel.curves.map((curve) => curveTrace(panel, curve, part)), layout);
}

/** One row a judge, and within it one line an arm: the BD-rate with its interval. */
function savingTrace(saving, i, part, judges) {
  const look = looks(part.arms.indexOf(saving.arm));
  const offset = part.savings.length < 2 ? 0 : 0.64 * (i / (part.savings.length - 1) - 0.5);
  const ends = (one, end) => (one[end] === null ? 0 : Math.abs(one[end] - one.value));
  return {
    name: saving.arm, mode: "markers", marker: { symbol: look.mark, color: look.colour, size: 9 },
    x: saving.points.map((one) => one.value), y: saving.points.map((one) => judges.indexOf(one.judge) + offset),
    customdata: saving.points.map((one) => [one.judge, one.quality, one.low === null ? "no interval" : `${signed(one.low)} to ${signed(one.high)}`]),
    error_x: { type: "data", symmetric: false, array: saving.points.map((one) => ends(one, "high")), arrayminus: saving.points.map((one) => ends(one, "low")), color: look.colour, thickness: 2, width: 4 },
    hovertemplate: `<b>${saving.arm}</b><br>%{x:+.1f} % [%{customdata[2]}]<br>%{customdata[0]}, %{customdata[1]}<extra></extra>`,
  };
}

function signed(value) {
  return `${value < 0 ? "−" : "+"}${Math.abs(value).toFixed(1)}`;
}

/** All values and zero; an interval that is far longer than they are may go on beyond the chart. */
function savingsRange(points) {
  const values = points.map((one) => one.value).concat(0);
  const low = Math.min(...values), high = Math.max(...values), margin = Math.max(2, 0.25 * (high - low));
  const ends = points.flatMap((one) => [one.low ?? one.value, one.high ?? one.value]);
  return [Math.max(Math.min(low, ...ends), low - 2 * margin) - 0.1 * margin, Math.min(Math.max(high, ...ends), high + 2 * margin) + 0.1 * margin];
}

function drawSavings(part) {
  const place = document.getElementById(`${part.key}-savings`);
  const points = part.savings.flatMap((one) => one.points);
  const judges = part.judges.map((one) => one.label).filter((judge) => points.some((one) => one.judge === judge));
  if (!judges.length) {
    place.closest("figure").hidden = true;
    return null;
  }
  const name = (judge) => {
    const quality = points.find((one) => one.judge === judge).quality;
    return judge === "picture" ? "decoded picture<br>PSNR" : `${judge}<br>${quality}, ${part.judges.find((one) => one.label === judge).role}`;
  };
  place.style.height = `${80 + judges.length * Math.max(46, 17 * part.savings.length)}px`;
  const rows = { tickvals: judges.map((_, i) => i), ticktext: judges.map(name), range: [judges.length - 0.5, -0.5], automargin: true, zeroline: false, showgrid: false, fixedrange: true };
  const layout = layoutOf({ xaxis: { title: { text: "BD-rate, %" }, range: savingsRange(points), zeroline: true, zerolinewidth: 2 }, yaxis: rows });
  return draw(place, part.savings.map((one, i) => savingTrace(one, i, part, judges)), layout);
}

/** Shows and hides the curves of a part as its switches say. */
async function applySwitches(section, part) {
  const shown = new Set([...section.querySelectorAll(".switches input:checked")].map((one) => one.value));
  for (const place of section.querySelectorAll(".js-plotly-plot")) {
    await Plotly.restyle(place, { visible: place.data.map((trace) => shown.has(trace.name)) });
  }
}

function addSwitches(section, part) {
  const row = section.querySelector(".switches .row");
  const change = () => applySwitches(section, part);
  part.arms.forEach((arm, i) => {
    const { colour, mark, dash } = looks(i);
    const swatch = element("span", { "aria-hidden": "true", style: "display: inline-flex" });
    swatch.innerHTML = `<svg viewBox="0 0 36 16"><path d="M0 8h36" stroke="${colour}" stroke-width="2" stroke-dasharray="${lengths[dash]}"/><g fill="${colour}">${shapes[mark]}</g></svg>`;
    const box = element("input", { type: "checkbox", value: arm, checked: "" });
    box.addEventListener("change", change);
    row.append(element("label", {}, box, swatch, arm));
  });
  for (const [text, wanted] of [["All", () => true], ["Anchor alone", (arm) => arm === part.anchor]]) {
    const button = element("button", { type: "button" }, text);
    button.addEventListener("click", () => {
      for (const box of row.querySelectorAll("input")) box.checked = wanted(box.value);
      change();
    });
    row.append(button);
  }
}

async function drawParts() {
  try {
    await loadPlotly();
    for (const part of parts) {
      await drawSavings(part);
      for (const panel of part.panels) await drawPanel(panel, part);
    }
    // The charts' names and the tables say what the drawings show.
    for (const drawing of document.querySelectorAll(".chart svg, #js-plotly-tester")) drawing.setAttribute("aria-hidden", "true");
  } catch (error) {
    const said = document.getElementById("problem");
    said.textContent = `The charts could not be drawn (${error}). The tables have the numbers, and curves.png lies beside this page.`;
    said.hidden = false;
  }
  document.documentElement.dataset.ready = "yes";
}

matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
  for (const place of document.querySelectorAll(".js-plotly-plot")) Plotly.relayout(place, colouring());
});

/* Photos */

function labelled(text, control) {
  return element("label", {}, element("span", {}, text), control);
}

function layerChoice(layers, chosen) {
  const choice = element("select", {});
  layers.forEach((layer, i) => choice.append(new Option(layer.querySelector("figcaption").textContent, i, i === chosen, i === chosen)));
  return choice;
}

function overlaySwitch(text, shown, apply) {
  const box = element("input", { type: "checkbox" });
  box.checked = shown;
  box.addEventListener("change", () => apply(box.checked));
  apply(shown);
  return element("label", {}, box, text);
}

/** Lays the pictures of a photo over each other, with a divider between the left one and the right one. */
function addSlider(photo, number) {
  const stage = photo.querySelector(".layers"), controls = photo.querySelector(".controls");
  const layers = [...stage.querySelectorAll(".layer")];
  const width = Number(photo.dataset.width), height = Number(photo.dataset.height);
  stage.className = "stage";
  // Small photos are enlarged so that something can be seen.
  stage.style.cssText = `width: ${Math.max(width, Math.min(512, 3 * width))}px; aspect-ratio: ${width} / ${height}`;
  const left = layerChoice(layers, 0), right = layerChoice(layers, layers.length - 1);
  const range = element("input", { type: "range", min: 0, max: 100, value: 50, "aria-label": `Divider between the pictures of photo ${number}` });
  const names = [element("span", {}), element("span", {})];
  const place = () => {
    stage.style.setProperty("--place", `${range.value}%`);
    range.setAttribute("aria-valuetext", `${range.value} % ${left.selectedOptions[0].text}, ${100 - range.value} % ${right.selectedOptions[0].text}`);
  };
  const choose = () => {
    layers.forEach((layer, i) => {
      layer.classList.toggle("left", i === Number(left.value));
      layer.hidden = i !== Number(left.value) && i !== Number(right.value);
    });
    names[0].textContent = `◀\u00a0${left.selectedOptions[0].text}`;
    names[1].textContent = `${right.selectedOptions[0].text}\u00a0▶`;
    place();
  };
  const follow = (event) => {
    if (event.type === "pointermove" && !event.buttons) return;
    const box = stage.getBoundingClientRect();
    range.value = Math.round((100 * (event.clientX - box.left)) / box.width);
    place();
  };
  stage.addEventListener("pointerdown", follow);
  stage.addEventListener("pointermove", follow);
  range.addEventListener("input", place);
  left.addEventListener("change", choose);
  right.addEventListener("change", choose);
  controls.append(labelled("Left", left), labelled("Right", right));
  const boxes = stage.querySelectorAll(".boxes"), map = stage.querySelector(".map");
  if (boxes.length) controls.append(overlaySwitch("Boxes of the detector", true, (shown) => boxes.forEach((one) => one.toggleAttribute("hidden", !shown))));
  if (map) controls.append(overlaySwitch("Quantiser offsets", false, (shown) => { map.hidden = !shown; }));
  photo.querySelector(".slider").append(range, element("p", { class: "sides" }, ...names));
  photo.querySelector(".slider").style.cssText = `max-width: ${stage.style.width}`;
  choose();
}

document.querySelectorAll("section[data-part]").forEach((section) => addSwitches(section, parts[Number(section.dataset.part)]));
document.querySelectorAll(".photo").forEach((photo, i) => addSlider(photo, i + 1));
drawParts();
