"use strict";
const DATA = JSON.parse(document.getElementById("data").textContent);
const COLORS = ["#1a73e8", "#e8710a", "#188038", "#a142f4", "#d01884", "#12a4af", "#b06000", "#80868b"];
const MOST_PAIRS = 12; // images beside their maps
const MOST_THUMBNAILS = 120; // in a strip until all are asked for

/** An element with attributes (functions become listeners) and children (texts or elements). */
function el(name, attributes = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (typeof value === "function") element.addEventListener(key, value);
    else if (value !== null) element.setAttribute(key, value);
  }
  element.append(...children.filter((child) => child !== null));
  return element;
}

function svg(name, attributes, ...children) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.append(...children);
  return element;
}

/** A table that sorts by a click on a column and filters by a text; `open` is called with a row's first cell. */
function table(data, open) {
  const body = el("tbody");
  const lines = data.rows.map((cells) => {
    const known = open && open(cells[0].text);
    const line = el("tr", known ? { class: "opens", click: known } : {});
    cells.forEach((cell, i) => {
      const first = i === 0 && known ? el("button", { class: "link", type: "button" }, cell.text) : cell.text;
      line.append(el("td", {}, first));
    });
    return { cells, line };
  });
  const show = () => body.replaceChildren(...lines.filter((l) => !l.hidden).map((l) => l.line));
  const heads = data.columns.map((column, i) => {
    const head = el("th", { scope: "col", "aria-sort": "none" });
    head.append(el("button", { type: "button", click: () => sort(i, head) }, column));
    return head;
  });
  function sort(i, head) {
    const up = head.getAttribute("aria-sort") === "descending";
    heads.forEach((h) => h.setAttribute("aria-sort", "none"));
    head.setAttribute("aria-sort", up ? "ascending" : "descending");
    const numbers = lines.some((l) => l.cells[i].by !== null);
    lines.sort((a, b) => {
      const [x, y] = [a.cells[i], b.cells[i]];
      if (!numbers) return x.text.localeCompare(y.text) * (up ? 1 : -1);
      if (x.by === null || y.by === null) return (x.by === null) - (y.by === null); // without a number: last
      return (x.by - y.by) * (up ? 1 : -1);
    });
    show();
  }
  const filter = el("input", {
    type: "search", placeholder: "filter rows", "aria-label": `filter ${data.title}`,
    input: () => {
      const words = filter.value.toLowerCase().split(/\s+/);
      lines.forEach((l) => {
        const text = l.cells.map((cell) => cell.text).join(" ").toLowerCase();
        l.hidden = !words.every((word) => text.includes(word));
      });
      show();
    },
  });
  show();
  return el("section", { "data-table": data.name },
    el("h3", {}, data.title), el("p", { class: "note" }, data.note),
    lines.length > 3 ? filter : null,
    el("div", { class: "wide" }, el("table", {}, el("thead", {}, el("tr", {}, ...heads)), body)));
}

/** Round numbers, at most seven of them, from at or below `low` to at or above `high`. */
function ticks(low, high) {
  const size = 10 ** Math.floor(Math.log10((high - low || 1) / 5));
  const step = [1, 2, 5, 10].map((times) => times * size).find((each) => (high - low) / each <= 5);
  const first = Math.floor(low / step + 1e-9);
  const last = Math.max(Math.ceil(high / step - 1e-9), first + 1);
  return Array.from({ length: last - first + 1 }, (_, i) => Number(((first + i) * step).toPrecision(6)));
}

/** Curves: series of {name, points: [[x, y], …]}. */
function chart(series, xName, yName, height = 260) {
  const [width, left, bottom, top] = [620, 52, 42, 12];
  const xs = series.flatMap((s) => s.points.map((p) => p[0]));
  const ys = series.flatMap((s) => s.points.map((p) => p[1]));
  const [xTicks, yTicks] = [xs, ys].map((values) => ticks(Math.min(...values), Math.max(...values)));
  const [x0, x1, y0, y1] = [xTicks[0], xTicks.at(-1), yTicks[0], yTicks.at(-1)];
  const X = (x) => left + ((x - x0) / (x1 - x0)) * (width - left - 20);
  const Y = (y) => height - bottom - ((y - y0) / (y1 - y0)) * (height - bottom - top);
  const drawing = svg("svg", { viewBox: `0 0 ${width} ${height}`, width, height, role: "img",
    "aria-label": `${yName} by ${xName}` });
  for (const y of yTicks) {
    drawing.append(svg("line", { x1: left, x2: width - 20, y1: Y(y), y2: Y(y), class: "axis" }),
      svg("text", { x: left - 6, y: Y(y) + 4, "text-anchor": "end" }, String(y)));
  }
  for (const x of xTicks) {
    drawing.append(svg("text", { x: X(x), y: height - bottom + 16, "text-anchor": "middle" }, String(x)));
  }
  drawing.append(svg("text", { x: (left + width) / 2, y: height - 6, "text-anchor": "middle" }, xName));
  series.forEach((s, i) => {
    const color = COLORS[i % COLORS.length];
    const points = [...s.points].sort((a, b) => a[0] - b[0]);
    drawing.append(svg("polyline", { points: points.map(([x, y]) => `${X(x)},${Y(y)}`).join(" "), fill: "none",
      stroke: color, "stroke-width": 2 }));
    if (points.length < 10) {
      points.forEach(([x, y]) => drawing.append(svg("circle", { cx: X(x), cy: Y(y), r: 3, fill: color })));
    }
  });
  const key = series.map((s, i) => {
    const swatch = el("span", { "aria-hidden": "true" }, "● ");
    swatch.style.color = COLORS[i % COLORS.length];
    return el("li", {}, swatch, s.name);
  });
  return el("figure", {}, drawing, el("figcaption", {}, `${yName} by ${xName}`, el("ul", {}, ...key)));
}

/** A forest plot: of each row {name, mean, low, high} the mean of F1 and its interval, on a scale up to 1. */
function forest(rows) {
  const [width, left, line] = [620, 290, 24];
  const height = rows.length * line + 42;
  const marks = ticks(Math.min(0.9, ...rows.map((row) => row.low)), 1); // all may be 1
  const X = (x) => left + ((x - marks[0]) / (1 - marks[0])) * (width - left - 20);
  const drawing = svg("svg", { viewBox: `0 0 ${width} ${height}`, width, height, role: "img",
    "aria-label": "F1 of each row with its 95 % interval" });
  for (const x of marks) {
    drawing.append(svg("line", { x1: X(x), x2: X(x), y1: 4, y2: height - 34, class: "axis" }),
      svg("text", { x: X(x), y: height - 20, "text-anchor": "middle" }, String(x)));
  }
  drawing.append(svg("text", { x: (left + width) / 2, y: height - 4, "text-anchor": "middle" }, "F1"));
  rows.forEach((row, i) => {
    const y = i * line + 16;
    drawing.append(svg("text", { x: left - 10, y: y + 4, "text-anchor": "end" }, row.name),
      svg("line", { x1: X(row.low), x2: X(row.high), y1: y, y2: y, class: "interval" }),
      svg("circle", { cx: X(row.mean), cy: y, r: 4, class: "mean" }));
  });
  return el("figure", {}, drawing, el("figcaption", {},
    "F1, mean over test folds, with its 95 % interval. Intervals that overlap do not say that rows are equal: " +
    "differences are judged fold by fold, in the sentences above."));
}

/** Thumbnails of [place, fold, score] in their order; mistakes are framed. */
function strip(set, scores) {
  const box = el("div", { class: "strip" });
  const add = (some) => box.append(...some.map(([place, fold, score]) => {
    const image = set.images[place];
    const wrong = score > 0.5 !== (image.label === 1);
    const kind = image.label ? "anomalous" : "normal";
    return el("button", {
      type: "button", class: wrong ? "wrong" : null, title: `${image.path}, fold ${fold}`,
      "aria-label": `${image.path}, ${kind}, score ${score}${wrong ? ", mistaken" : ""}`,
      click: () => openImage(set, place),
    }, el("img", { src: image.src, alt: "", loading: "lazy" }), `${score.toFixed(2)} ${image.label ? "anom." : "norm."}`);
  }));
  add(scores.slice(0, MOST_THUMBNAILS));
  if (scores.length <= MOST_THUMBNAILS) return box;
  const more = el("button", { type: "button", class: "link", click: () => {
    add(scores.slice(MOST_THUMBNAILS));
    more.remove();
  } }, `all ${scores.length}`);
  return el("div", {}, box, more);
}

function openDialog(id, ...content) {
  const dialog = document.getElementById(id);
  const close = el("button", { type: "button", class: "close", click: () => dialog.close() }, "close");
  dialog.replaceChildren(close, ...content.filter((part) => part !== null));
  if (!dialog.open) dialog.showModal();
  dialog.scrollTop = 0;
}

function openImage(set, place) {
  const image = set.images[place];
  const scores = set.rows.flatMap((row) =>
    row.scores.filter((s) => s[0] === place).map(([, fold, score]) => {
      const wrong = score > 0.5 !== (image.label === 1);
      return [row.name, fold, score.toFixed(3), wrong ? "mistaken" : "right"];
    }));
  openDialog("image",
    el("h2", {}, image.path), el("p", {}, image.label ? "anomalous" : "normal"),
    el("div", { class: "pair" },
      el("figure", {}, el("img", { src: image.src, alt: image.path }), el("figcaption", {}, "image")),
      el("figure", {}, el("img", { src: image.map, alt: "anomaly map" }), el("figcaption", {}, "anomaly map, 0 to 30 ΔE"))),
    plainTable(["row", "fold", "score", ""], scores));
}

function plainTable(columns, lines) {
  return el("div", { class: "wide" }, el("table", {},
    el("thead", {}, el("tr", {}, ...columns.map((c) => el("th", { scope: "col" }, c)))),
    el("tbody", {}, ...lines.map((line) => el("tr", {}, ...line.map((cell) => el("td", {}, String(cell))))))));
}

function openRow(set, row) {
  const sum = (name) => row.folds.reduce((total, fold) => total + fold[name], 0);
  const columns = ["fold", "point", "f1", "precision", "recall", "auroc", "average_precision", "tp", "fn", "fp", "tn"];
  const titles = ["fold", "point", "F1", "precision", "recall", "AUROC", "average precision", "found", "missed",
    "false alarms", "rightly passed"];
  const wrong = row.scores.filter(([place, , score]) => score > 0.5 !== (set.images[place].label === 1));
  openDialog("row",
    el("h2", {}, `${row.name} on ${set.name}`),
    plainTable(titles, row.folds.map((fold) => columns.map((c) => (c === "point" && !fold.point ? "–" : fold[c])))),
    el("h3", {}, "Confusion, all test folds together"),
    plainTable(["", "called anomalous", "called normal"],
      [["anomalous", sum("tp"), sum("fn")], ["normal", sum("fp"), sum("tn")]]),
    el("h3", {}, `Mistaken images (${wrong.length})`),
    wrong.length ? strip(set, wrong) : el("p", {}, "none of those on this page"),
    el("h3", {}, "All scores, highest first; above 0.5 is called anomalous"), strip(set, row.scores),
    row.loss.length ? chart([{ name: row.name, points: row.loss }], "epoch", "training loss (Eq. 1), mean over cells")
      : null);
}

/** An image and its map, with words below. */
function withMap(set, place, words) {
  const image = set.images[place];
  return el("button", { type: "button", class: "mistake", click: () => openImage(set, place) },
    el("img", { src: image.src, alt: image.path, loading: "lazy" }),
    el("img", { src: image.map, alt: "its anomaly map", loading: "lazy" }),
    el("span", {}, words));
}

/** Images whose label may be wrong. */
function suspects(set) {
  return el("div", { class: "strip" }, ...set.suspects.slice(0, MOST_PAIRS).map(([place, score]) =>
    withMap(set, place, `labelled ${set.images[place].label ? "anomalous" : "normal"}, score ${score.toFixed(2)}`)));
}

/** The images that the primary row mistakes, with their maps. */
function mistakes(set) {
  const row = set.rows.find((each) => each.name === set.primary);
  const wrong = row.scores.filter(([place, , score]) => score > 0.5 !== (set.images[place].label === 1));
  const pairs = wrong.slice(0, MOST_PAIRS).map(([place, , score]) =>
    withMap(set, place, `${set.images[place].label ? "anomalous, missed" : "normal, false alarm"}: ${score.toFixed(2)}`));
  return el("section", {}, el("h3", {}, `Mistaken by ${row.name} (${wrong.length})`),
    el("p", { class: "note" }, "Image and anomaly map; the score of an anomalous image should be above 0.5. Where the " +
      "label is wrong, the network may be right."),
    wrong.length ? el("div", { class: "strip" }, ...pairs) : el("p", {}, "none"));
}

function showSet(set) {
  const byName = new Map(set.rows.map((row) => [row.name, row]));
  const open = (name) => (byName.has(name) ? () => openRow(set, byName.get(name)) : null);
  const curves = set.rows.filter((row) => row.loss.length).map((row) => ({ name: row.name, points: row.loss }));
  return el("section", { id: `set-${set.name}` },
    el("h2", {}, set.name), el("p", { class: "summary" }, set.summary),
    el("ul", { class: "remarks" }, ...set.remarks.map((remark) => el("li", {}, remark))),
    el("p", {}, set.counts, ". Click a row for its folds and its mistaken images."),
    set.findings.length ? el("ul", { class: "findings" }, ...set.findings.map((line) => el("li", {}, line))) : null,
    ...set.tables.slice(0, 1).map((t) => table(t, open)),
    set.forest.length ? forest(set.forest) : null,
    mistakes(set),
    set.precisionRecall.length ? chart(set.precisionRecall, "recall", "precision") : null,
    ...set.tables.slice(1).map((t) => table(t, open)),
    set.suspects.length ? suspects(set) : null,
    set.sweep.length ? chart(set.sweep, "share of anomalous images in the set (Fig. 4)", "F1") : null,
    ...set.pictures.map((picture, i) => el("details", i ? {} : { open: "" }, el("summary", {}, picture.caption),
      el("figure", {}, el("img", { src: picture.src, alt: picture.caption })))),
    curves.length ? el("details", {}, el("summary", {}, "Training loss of every row"),
      chart(curves, "epoch", "training loss (Eq. 1), mean over cells")) : null);
}

document.getElementById("facts").append(...Object.entries(DATA.facts).map(([name, value]) =>
  el("div", {}, el("dt", {}, name), el("dd", {}, value))));
document.getElementById("sections").append(...DATA.sections.map(showSet));
if (DATA.sections.length > 1) {
  document.getElementById("sets").append(...DATA.sections.map((set) => el("a", { href: `#set-${set.name}` }, `${set.name} `)));
}
for (const dialog of document.querySelectorAll("dialog")) {
  dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
}
