// One image, large: beside its original, with the training images most like it.
const looks = {row: null, layer: "map", strength: 100, abort: new AbortController()};

async function look(row) {
  looks.abort.abort();
  Object.assign(looks, {row, abort: new AbortController()});
  const {signal} = looks.abort;
  $("title").textContent = row.name;
  $("card").replaceChildren(...card(row, row.error ? null : {picture: row.picture, layers: {map: row.map}}));
  neighbouring();
  if (!$("view").open) $("view").showModal();
  if (row.error) return;
  try {
    const body = await content(row);
    const found = await ask("api/predict?pictures=1", {method: "POST", body, signal});
    if (!signal.aborted) $("card").replaceChildren(...card(row, found));
  } catch (error) {
    if (!signal.aborted) $("card").append(element("p", {className: "wrong-text", textContent: error.message}));
  }
}

function step(by) {
  const all = shown(), row = all[all.indexOf(looks.row) + by];
  if (row) look(row);
}

function neighbouring() {
  const all = shown(), at = all.indexOf(looks.row);
  $("previous").disabled = at <= 0;
  $("next").disabled = at === all.length - 1;
  if (document.activeElement?.disabled) $("close").focus();
}

// found: of a thumbnail picture and map alone, until the server has sent all; null where nothing can be seen.
function card(row, found) {
  const verdict = element("p", {className: "verdict"}, element("strong",
    {className: row.verdict === "normal" ? "" : "wrong-text", textContent: capital(row.verdict)}),
    row.error ? `: ${row.error}` : `: ${percent(row.score)} (threshold ${percent(row.threshold)})`);
  if (!found) return [verdict];
  const both = stack(found.picture, "data:,", row.name), [base, heat] = both.children;
  const pair = element("div", {className: "pair"},
    element("figure", {}, both, element("figcaption", {textContent: "what the detector sees"})),
    element("figure", {}, element("img", {src: found.picture, alt: "original"}),
      element("figcaption", {textContent: "original"})));
  const layer = element("select"), strength = element("input", {type: "range", min: 0, max: 100, value: looks.strength});
  for (const kind of Object.keys(found.layers))
    layer.append(element("option", {value: kind, textContent: kind === "map" ? "anomaly map" : kind}));
  layer.value = looks.layer in found.layers ? looks.layer : "map";
  const paint = () => {
    heat.src = found.layers[layer.value];
    heat.style.opacity = strength.value / 100;
  };
  layer.addEventListener("change", () => { looks.layer = layer.value; paint(); });
  strength.addEventListener("input", () => { looks.strength = strength.value; paint(); });
  paint();
  const controls = element("div", {className: "controls"},
    element("label", {}, "Show ", layer), element("label", {}, "Strength ", strength));
  if (!found.normal) return [verdict, pair, controls];
  const result = element("button", {type: "button", textContent: "Download result"});
  result.addEventListener("click", () => download(`${row.name}.json`, new Blob([JSON.stringify(facts(row), null, 1)])));
  const overlaid = element("button", {type: "button", textContent: "Download overlay"});
  overlaid.addEventListener("click", async () =>
    download(`${row.name}-${layer.value}.png`, await overlay(base.src, heat.src, strength.value / 100)));
  controls.append(result, overlaid);
  const like = [neighbours("Most like it among the normal training images", found.normal)];
  if (found.anomalous_like.length) like.push(neighbours("Most like it among the anomalous ones", found.anomalous_like));
  return [verdict, pair, controls, ...like];
}

$("previous").addEventListener("click", () => step(-1));
$("next").addEventListener("click", () => step(1));
$("close").addEventListener("click", () => $("view").close());
$("view").addEventListener("close", () => {
  looks.abort.abort();
  goTo(looks.row);
});
$("view").addEventListener("keydown", (event) => {
  const by = {ArrowLeft: -1, ArrowRight: 1}[event.key];
  if (!by || event.target.matches("input, select")) return;  // there, arrows have another meaning
  event.preventDefault();
  step(by);
});
