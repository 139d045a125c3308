// One image after the other: shown, named by a key, and the next one is there already.
const NAMES = {normal: "normal", anomalous: "anomalous", unsure: "unsure", other: "not of this kind"};
const WHY = {
  random: "by chance, for the estimate", uncertain: "because the detector is uncertain",
  unlike: "because it is unlike the images that are known", suspect: "because its label may be wrong",
  chosen: "since you chose it",
};
const KEYS = {n: "normal", a: "anomalous", u: "unsure", o: "other"};
const POLL = 2, READY = 3;  // seconds between two looks at what others said; images ahead
const review = {at: null, coming: null, ready: [], cards: new Map(), mine: [], done: new Set(), said: [], busy: false, loading: false, turn: 0};

const who = () => $("who").value.trim();
function named() {
  if (!who()) throw Error("Give your name at the head of the page.");
  return who();
}

// On one's own machine nobody need say who one is; people who share a page must not share a name.
const NOBODY = ["localhost", "127.0.0.1", "[::1]"].includes(location.hostname) ? "me" : "";
$("who").value = localStorage.getItem("leanet-who") || NOBODY;
$("who").addEventListener("change", () => {
  if (!who()) $("who").value = NOBODY;
  localStorage.setItem("leanet-who", who());
  review.ready = [];
  wrong();
  refresh().catch(wrong);
});

$("who").addEventListener("keydown", (event) => { if (event.key === "Enter") $("who").blur(); });

const wrong = (error) => { $("wrong").textContent = error ? error.message : ""; };

function card(image) {
  if (!review.cards.has(image)) {
    const asked = ask(`api/review/images/${image}`);
    asked.catch(() => review.cards.delete(image));
    review.cards.set(image, asked);
  }
  return review.cards.get(image);
}

// What is to come, and what there is to see of it, before it is asked for.
async function fetchAhead() {
  const found = await ask(`api/review/next?who=${encodeURIComponent(named())}&count=${READY}`);
  // The answer may be older than the last label.
  review.ready = found.filter((each) => each.image !== review.coming?.image && !review.done.has(each.image));
  for (const each of review.ready) card(each.image).catch(() => {});
}

async function forth() {
  if (!review.ready.length) await fetchAhead();
  await show(review.ready.shift() ?? null);
  fetchAhead().catch(wrong);
}

// What is not seen is not labelled: `review.at` is the image whose picture is there.
async function show(shown) {
  const mine = ++review.turn;
  Object.assign(review, {at: null, coming: shown, loading: true});
  clearPlace();
  let found = null;
  try {
    found = shown && await card(shown.image);
    if (mine !== review.turn) return;
    if (shown) {
      $("picture").src = found.picture;
      await $("picture").decode();
    }
  } catch (error) {
    wrong(error);
    found = null;
  }
  if (mine !== review.turn) return;
  Object.assign(review, {at: found && shown, loading: false});
  for (const button of document.querySelectorAll("#labels [data-label], #map, #brush, #box")) button.disabled = !found;
  $("stage").hidden = !found;
  if (!found) {
    $("like").replaceChildren();
    $("file").textContent = "";
    $("said").textContent = shown ? "The image cannot be shown just now." :
      "Nothing is left to label, but for what somebody else has before them. New images will come here.";
    return;
  }
  $("stage").style.setProperty("--ratio", $("picture").naturalWidth / $("picture").naturalHeight);
  $("picture").alt = shown.file;
  $("heat").src = found.layers.map;
  $("file").textContent = `${shown.file}, shown ${WHY[shown.why]}` +
    (shown.label ? `; the data set has it as ${shown.label}` : "");
  $("said").replaceChildren("The detector says ", element("strong",
    {className: found.anomalous ? "wrong-text" : "", textContent: found.anomalous ? "anomalous" : "normal"}),
    ` (score ${found.score.toFixed(3)}, threshold ${found.threshold.toFixed(3)}).`);
  $("like").replaceChildren(...[["Nearest known normal images", found.normal], ["Nearest known anomalous images", found.anomalous_like]]
    .filter(([, images]) => images.length).map(([title, images]) => neighbours(title, images)));
}

const tell = async (word) => ask("api/review/labels", {method: "POST", body: JSON.stringify({who: named(), ...word}),
  headers: {"Content-Type": "application/json"}});

// The next image is shown once the server has the label on its disk: what was shown is never lost.
async function label(name) {
  if (review.busy || !review.at) return;
  review.busy = true;
  const {image, why} = review.at;
  try {
    await tell({image, label: name, why, place: name === "anomalous" ? place() : null});
    review.mine.push(review.at);
    review.done.add(image);
    wrong();
    await forth();
    refresh().catch(wrong);
  } catch (error) {
    wrong(error);
  } finally {
    review.busy = false;
  }
}

async function undo() {
  const last = review.mine.at(-1);
  if (review.busy || !last) return;
  review.busy = true;
  try {
    await tell({image: last.image, label: null, why: last.why});
    review.mine.pop();
    review.done.delete(last.image);
    wrong();
    if (review.at) review.ready.unshift(review.at);
    await show(last);
    refresh().catch(wrong);
  } catch (error) {
    wrong(error);
  } finally {
    review.busy = false;
  }
}

// One after the other: an older answer must not come behind a newer one.
let since = 0, asked = Promise.resolve();
function refresh() {
  asked = asked.catch(() => {}).then(refreshed);
  return asked;
}

async function refreshed() {
  const state = await ask(`api/review?since=${since}`);
  if (state.next_word < since) {  // another log
    since = 0;
    review.said = [];
    listWords();
    return;
  }
  since = state.next_word;
  review.said.push(...state.heard);
  if (state.heard.length) listWords();  // not every time: a button that is made anew loses the click on it
  const {normal, anomalous, unsure, other, disputed} = state.labelled;
  const done = normal + anomalous + unsure + other + disputed;
  $("counts").textContent = `${done} of ${state.images} images: ${anomalous} anomalous, ${normal} normal` +
    [[unsure, "unsure"], [other, "not of this kind"], [disputed, "disputed"]].map(([n, name]) => n ? `, ${n} ${name}` : "").join("") +
    (state.waiting ? `; ${state.waiting} yet to be looked at` : "") +
    (Object.keys(state.faults).length ? `; ${Object.keys(state.faults).length} cannot be read` : "");
  const people = new Set(review.said.map((each) => each.who));
  people.delete(who());
  $("others").textContent = people.size ? `with ${[...people].join(", ")}` : "";
  drawCurve(state);
  $("ahead").textContent = state.ahead ?? "";
  if (!review.at && !review.busy && !review.loading && done < state.images) await forth();
}

// What stands, the last word first; a click opens the image again.
function listWords() {
  const last = new Map();
  for (const each of review.said) {
    last.delete(`${each.image} ${each.who}`);
    if (each.label) last.set(`${each.image} ${each.who}`, each);
  }
  const labels = new Map();
  for (const {image, label} of last.values()) labels.set(image, (labels.get(image) ?? new Set()).add(label));
  $("words").replaceChildren(...[...last.values()].reverse().slice(0, 200).map((each) => {
    const open = element("button", {type: "button", textContent: each.file});
    open.addEventListener("click", () => {
      if (review.at && review.at.image !== each.image) review.ready.unshift(review.at);
      show({image: each.image, file: each.file, why: "chosen"});
    });
    const disputed = labels.get(each.image).size > 1;
    return element("li", {}, open, ` ${NAMES[each.label]}, ${each.who}`,
      ...disputed ? [element("strong", {className: "wrong-text", textContent: " disputed"})] : []);
  }));
  $("none").classList.toggle("done", last.size > 0);
}

for (const button of document.querySelectorAll("#labels [data-label]"))
  button.addEventListener("click", () => label(button.dataset.label));
$("undo").addEventListener("click", undo);
$("map").addEventListener("click", () => {
  $("heat").hidden = !$("heat").hidden;
  $("map").setAttribute("aria-pressed", String(!$("heat").hidden));
});

document.addEventListener("keydown", (event) => {
  if (event.target.matches("input, select, textarea") || event.ctrlKey || event.metaKey || event.altKey || event.repeat) return;
  const key = event.key.toLowerCase();
  if (KEYS[key]) label(KEYS[key]);
  else if (key === "z") undo();
  else if (key === "m") $("map").click();
  else if (key === "b") $("brush").click();
  else if (key === "x") $("box").click();
  else return;
  event.preventDefault();
});

async function watch() {
  for (;;) {
    try {
      await refresh();
      if ($("wrong").textContent.startsWith("The server does not answer")) wrong();
    } catch (error) {
      wrong(error);
    }
    await sleep(POLL);
  }
}
watch();
