// Recall, false alarms and average precision by the number of labels, with their 95 % intervals.
const WIDE = 300, HIGH = 170, EDGE = {left: 30, right: 8, top: 22, bottom: 22};
const CURVES = [["recall", "recall", "var(--link)"], ["false_alarms", "false alarms", "var(--wrong)"],
  ["average_precision", "average precision", "var(--faint)"]];

function svg(name, attributes, text) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  if (text) made.textContent = text;
  return made;
}

function drawCurve({curve: points, detector, learnt}) {
  const last = points.at(-1);
  const known = last && (last.recall || last.false_alarms);
  const rate = (of) => of ? `${percent(of.estimate)} [${percent(of.low)}, ${percent(of.high)}]` : "not known yet";
  if (!known) {
    $("curve").replaceChildren(element("p", {className: "note",
      textContent: learnt ? "Nothing can be said: the detector has learnt from these images."
        : "Not known yet: of every four new images, one is shown by chance, and counts here."}));
    return;
  }
  const most = Math.max(1, last.labels);
  const x = (labels) => EDGE.left + (WIDE - EDGE.left - EDGE.right) * labels / most;
  const y = (share) => EDGE.top + (HIGH - EDGE.top - EDGE.bottom) * (1 - share);
  const picture = svg("svg", {viewBox: `0 0 ${WIDE} ${HIGH}`, role: "img", "aria-label": "Estimates by number of labels"});
  for (const share of [0, 0.5, 1]) {
    picture.append(svg("line", {class: "axis", x1: EDGE.left, x2: WIDE - EDGE.right, y1: y(share), y2: y(share)}));
    picture.append(svg("text", {x: EDGE.left - 5, y: y(share) + 4, "text-anchor": "end"}, String(share)));
  }
  picture.append(svg("text", {x: WIDE - EDGE.right, y: HIGH - 6, "text-anchor": "end"}, `${most} labels`));
  CURVES.forEach(([key, name, color], at) => {
    const of = points.filter((point) => point[key] !== null).map((point) => {
      const value = point[key];
      return typeof value === "number" ? {labels: point.labels, estimate: value} : {labels: point.labels, ...value};
    });
    const path = (places) => places.map(([a, b]) => `${x(a).toFixed(1)},${y(b).toFixed(1)}`).join(" ");
    if (of.length && of[0].low !== undefined)
      picture.append(svg("polygon", {class: "band", fill: color,
        points: path([...of.map((p) => [p.labels, p.high]), ...of.toReversed().map((p) => [p.labels, p.low])])}));
    picture.append(svg("polyline", {class: "line", stroke: color, points: path(of.map((p) => [p.labels, p.estimate]))}));
    picture.append(svg("text", {class: "key", x: EDGE.left + [0, 48, 128][at], y: 12, style: `fill: ${color}`}, name));
  });
  const counted = last.positives + last.negatives;
  $("curve").replaceChildren(picture, element("p", {className: "note"},
    `Of ${counted} images that chance chose, ${last.positives} anomalous: recall ${rate(last.recall)}, ` +
    `false alarms ${rate(last.false_alarms)}.` +
    (last.detector === detector ? "" : " All this is of a detector before this one.")));
}
