(() => {
  "use strict";
  const root = document.documentElement;
  root.classList.add("scripted");
  const all = (selector, within = document) => [...within.querySelectorAll(selector)];
  const make = (tag, attributes) => Object.assign(document.createElement(tag), attributes);

  // Tables: a button in each heading sorts; what is unknown stays last either way.
  const sort = (table, place, heading) => {
    const falling = heading.getAttribute("aria-sort") === "descending"
      || (!heading.hasAttribute("aria-sort") && !heading.matches(".number, .drawn"));
    const sign = falling ? 1 : -1;
    const compare = heading.matches(".number, .drawn") ? (a, b) => a - b : new Intl.Collator("en", {numeric: true}).compare;
    const keyed = all("tbody tr", table).map((row) => [row.cells[place].dataset.key, row]);
    keyed.sort(([a], [b]) => (a === "") - (b === "") || sign * compare(a, b));
    all("thead th", table).forEach((other) => other.removeAttribute("aria-sort"));
    heading.setAttribute("aria-sort", falling ? "ascending" : "descending");
    table.tBodies[0].append(...keyed.map(([, row]) => row));
  };
  all("table").forEach((table) => {
    if (table.tBodies[0].rows.length < 2) return;
    all("thead th", table).forEach((heading, place) => {
      const text = heading.querySelector(".heading");
      const button = make("button", {type: "button"});
      text.replaceWith(button);
      button.append(text);
      button.addEventListener("click", () => sort(table, place, heading));
    });
  });
  all(".table.long").forEach((figure) => {
    const field = make("input", {type: "search", className: "find", placeholder: "Find a row"});
    field.setAttribute("aria-label", "Find a row");
    field.addEventListener("input", () => {
      const sought = field.value.trim().toLowerCase();
      all("tbody tr", figure).forEach((row) => { row.hidden = !row.textContent.toLowerCase().includes(sought); });
    });
    figure.querySelector(".scroll").before(field);
  });

  // Pictures: a click shows one in its own size.
  const dialog = document.getElementById("zoom");
  all("button.image").forEach((button) => button.addEventListener("click", () => {
    const shown = button.querySelector("img").cloneNode();
    shown.classList.toggle("photograph", button.classList.contains("photograph"));
    dialog.querySelector(".scroll").replaceChildren(shown);
    dialog.showModal();
  }));
  dialog.addEventListener("click", (event) => { if (event.target === dialog) dialog.close(); });

  // Contents: folded on a telephone, and the section being read is marked.
  const contents = document.querySelector("nav details");
  if (contents && innerWidth < 640) contents.open = false;
  if (contents) addEventListener("beforeprint", () => { contents.open = true; });
  const links = new Map(all("nav a").map((link) => [link.hash.slice(1), link]));
  const reading = new IntersectionObserver((entries) => {
    for (const entry of entries.filter((each) => each.isIntersecting)) {
      links.forEach((link, id) => {
        if (id === entry.target.id) link.setAttribute("aria-current", "true"); else link.removeAttribute("aria-current");
      });
    }
  }, {rootMargin: "-10% 0px -80% 0px"});
  if (links.size) all("main > section").forEach((section) => reading.observe(section));

  // Plots: the library is unpacked when the first comes near; where that fails, the still picture remains.
  let library;
  const load = () => library ??= (async () => {
    const packed = Uint8Array.from(atob(document.getElementById("plotly").textContent), (letter) => letter.charCodeAt(0));
    const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
    document.head.append(make("script", {textContent: await new Response(stream).text()}));
  })();
  // Plotly's own tool bar offers to upload the figure, which nobody must do by accident. A $ in a name is no mathematics.
  const SETTINGS = {
    responsive: true, displaylogo: false, showSendToCloud: false, plotlyServerURL: "", typesetMath: false,
  };
  const addFinder = (plot, live) => {
    const field = make("input", {type: "search", className: "find", placeholder: "Find a class"});
    field.setAttribute("aria-label", "Find a class");
    const first = live.data.map((trace) => trace.visible ?? true);
    field.addEventListener("input", () => {
      const sought = field.value.trim().toLowerCase();
      const found = (trace) => !trace.meta || (String(trace.meta).toLowerCase().includes(sought) || "legendonly");
      Plotly.restyle(live, {visible: sought ? live.data.map(found) : first});
    });
    plot.querySelector(".scroll").before(field);
  };
  // What a figure's meta asks for on a narrow page, by paths such as updatemenus[0].type.
  const narrowed = (layout) => {
    for (const [path, value] of Object.entries(layout.meta?.narrow ?? {})) {
      const steps = path.match(/[^.[\]]+/g);
      const last = steps.pop();
      steps.reduce((inner, step) => (inner[step] ??= {}), layout)[last] = value;
    }
  };
  const draw = async (plot) => {
    const live = plot.querySelector(".live");
    try {
      await load();
      const {data, layout} = JSON.parse(plot.querySelector("script").textContent);
      if (innerWidth < 700) narrowed(layout);
      const {hint, find} = layout.meta ?? {};
      live.style.height = `${layout.height ?? 450}px`;
      plot.classList.add("running");
      await Plotly.newPlot(live, data, {...layout, width: undefined, autosize: true}, SETTINGS);
      if (hint) plot.querySelector(".scroll").before(make("p", {className: "hint", textContent: hint}));
      if (find) addFinder(plot, live);
    } catch (error) {
      plot.classList.remove("running");
      console.warn("A plot stays a picture:", error);
    }
  };
  const near = new IntersectionObserver((entries) => {
    entries.filter((entry) => entry.isIntersecting).forEach((entry) => {
      near.unobserve(entry.target);
      draw(entry.target);
    });
  }, {rootMargin: "400px 0px"});
  all(".plot").forEach((plot) => near.observe(plot));
})();
