"use strict";

// Plotly's own tool bar offers to upload the figure, which nobody must do by accident. A $ in a name is no mathematics.
const CONFIG = {
  responsive: true,
  typesetMath: false,
  displaylogo: false,
  showSendToCloud: false,
  plotlyServerURL: "",
  modeBarButtonsToRemove: ["lasso2d", "select2d", "autoScale2d"],
};
// A finger cannot hover, so there the few tools that fit are always shown.
const NARROW_CONFIG = { ...CONFIG, displayModeBar: true, modeBarButtons: [["pan2d", "zoomIn2d", "zoomOut2d", "resetScale2d"]] };
const narrowScreen = window.matchMedia("(max-width: 700px)");

// Sets "updatemenus[0].type" and the like.
function setAt(object, path, value) {
  const steps = path.match(/[^.[\]]+/g);
  const last = steps.pop();
  steps.reduce((inner, step) => (inner[step] ??= {}), object)[last] = value;
}

// A copy, because Plotly writes into the figure that it draws.
function fitted(figure) {
  const own = structuredClone(figure);
  if (narrowScreen.matches) {
    for (const [path, value] of Object.entries(figure.layout.meta?.narrow ?? {})) setAt(own.layout, path, value);
  }
  return own;
}

const words = (text) => text.toLowerCase().split(/[\s_]+/).filter(Boolean);

// Only traces with a meta, their name, are classes; the others (a micro average, the background) always stay.
function offerSearch(plot, field, count) {
  const classes = plot.data.flatMap((trace, index) => (trace.meta ? [index] : []));
  const names = classes.map((index) => words(plot.data[index].meta).join(" "));
  let before = null;
  const show = (visible, listed) => Plotly.restyle(plot, { visible, showlegend: listed }, classes);
  field.value = count.value = "";
  field.oninput = () => {
    const wanted = words(field.value);
    before ??= classes.map((index) => plot.data[index].visible ?? true);
    if (wanted.length) {
      const found = names.map((name) => wanted.every((word) => name.includes(word)));
      show(found.map((hit) => hit || "legendonly"), found);
      count.value = `${found.filter(Boolean).length} of ${classes.length} classes`;
    } else {
      show(before, [true]);
      before = null;
      count.value = "";
    }
  };
  // A button chooses among all classes, so the choice that was typed ends with it.
  plot.on("plotly_buttonclicked", () => {
    if (!before) return;
    field.value = count.value = "";
    before = null;
    Plotly.restyle(plot, { showlegend: [true] }, classes);
  });
}

async function draw(section) {
  const plot = section.querySelector(".plot");
  const { data, layout } = fitted(figures.get(section));
  plot.dataset.drawn = narrowScreen.matches ? "narrow" : "wide";
  await Plotly.newPlot(plot, data, layout, narrowScreen.matches ? NARROW_CONFIG : CONFIG);
  const field = section.querySelector(".find input");
  if (field) offerSearch(plot, field, section.querySelector(".find output"));
}

// Printing makes the page narrow for a moment; only what stays is worth losing a zoom for.
function redrawChanged() {
  const wanted = narrowScreen.matches ? "narrow" : "wide";
  for (const section of figures.keys()) {
    const { drawn } = section.querySelector(".plot").dataset;
    if (drawn && drawn !== wanted) draw(section);
  }
}
narrowScreen.addEventListener("change", () => setTimeout(redrawChanged, 300));

// A figure is drawn when it comes near, so that the first is there at once.
const near = new IntersectionObserver(
  (entries) => {
    for (const { target, isIntersecting } of entries) {
      if (!isIntersecting) continue;
      near.unobserve(target);
      draw(target);
    }
  },
  { rootMargin: "600px" },
);

const figures = new Map();
for (const section of document.querySelectorAll("section")) {
  const figure = JSON.parse(section.querySelector("script").textContent);
  figures.set(section, figure);
  section.querySelector(".plot").style.minHeight = `${fitted(figure).layout.height}px`;
  near.observe(section);
}
