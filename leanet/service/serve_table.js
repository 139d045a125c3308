// The table of what was judged: a page of rows at a time, so that thousands are as quick as a few.
const ROWS_A_PAGE = 100;
const FILTERS = ["all", ...VERDICTS];
const names = new Intl.Collator(undefined, {numeric: true});
const order = {key: "score", down: true};
let filter = "all", place = 0, refreshing = null;

function counts() {
  const found = {all: 0, anomalous: 0, normal: 0, [FAULT]: 0};
  for (const {verdict} of rows)
    if (verdict) {
      found.all += 1;
      found[verdict] += 1;
    }
  return found;
}

function counted() {
  const found = counts();
  return VERDICTS.map((verdict) => `${found[verdict]} ${verdict}`).join(", ");
}

// The judged rows that pass the filter, in order; what has no score comes last.
function shown() {
  const found = rows.filter(({verdict}) => verdict && (filter === "all" || verdict === filter));
  const sign = order.down ? -1 : 1;
  const byName = (a, b) => names.compare(a.name, b.name);
  const byScore = (a, b) =>
    (a.verdict === FAULT) - (b.verdict === FAULT) || sign * ((a.score ?? 0) - (b.score ?? 0)) || byName(a, b);
  return found.sort(order.key === "name" ? (a, b) => sign * byName(a, b) : byScore);
}

// Soon, and once for all that happened until then.
function refresh() {
  refreshing ??= setTimeout(() => {
    refreshing = null;
    draw();
  }, 100);
}

function draw() {
  progress();
  const found = counts();
  $("results").hidden = !found.all;
  $("counts").textContent = counted();
  for (const button of $("filters").children) {
    button.textContent = `${capital(button.value)} ${found[button.value]}`;
    button.setAttribute("aria-pressed", button.value === filter);
  }
  for (const button of document.querySelectorAll("thead button")) {
    const head = button.parentElement;
    if (button.dataset.key === order.key) head.setAttribute("aria-sort", order.down ? "descending" : "ascending");
    else head.removeAttribute("aria-sort");
  }
  const all = shown(), pages = Math.max(1, Math.ceil(all.length / ROWS_A_PAGE));
  place = Math.min(place, pages - 1);
  const first = place * ROWS_A_PAGE, here = all.slice(first, first + ROWS_A_PAGE);
  const focused = document.activeElement;
  $("rows").replaceChildren(...here.map(line));
  if (focused !== document.activeElement && $("rows").contains(focused)) focused.focus({preventScroll: true});
  $("pages").hidden = pages === 1;
  $("page").textContent = `${first + 1} to ${first + here.length} of ${all.length}`;
  $("back").disabled = place === 0;
  $("forth").disabled = place === pages - 1;
  $("zip").disabled = zipping || !all.some(({picture}) => picture);
}

function stack(base, heat, alt) {
  const both = element("div", {className: "stack"});
  if (base) both.append(element("img", {src: base, alt}));
  if (heat) both.append(element("img", {src: heat, alt: ""}));
  return both;
}

// A row of the table; made once for each image.
function line(row) {
  if (row.line) return row.line;
  const from = row.name.lastIndexOf("/") + 1;
  row.button = element("button", {type: "button", className: "link"},
    element("span", {className: "folder", textContent: row.name.slice(0, from)}), row.name.slice(from));
  const name = element("td", {className: "name"}, row.button);
  if (row.error) name.append(element("span", {className: "note", textContent: row.error}));
  row.line = element("tr", {className: "opens"},
    element("td", {}, stack(row.picture, null, "")),
    element("td", {}, stack(row.picture, row.map, "")),
    name,
    element("td", {textContent: row.error ? "–" : percent(row.score)}),
    element("td", {className: row.verdict, textContent: row.verdict}));
  row.line.addEventListener("click", () => look(row));
  return row.line;
}

// Turn to the page that a row is on, and put the focus there.
function goTo(row) {
  const at = shown().indexOf(row);
  if (at < 0) return;
  place = Math.floor(at / ROWS_A_PAGE);
  draw();
  row.button.focus();
}

function turn(by) {
  place += by;
  draw();
  $("results").scrollIntoView();
}

for (const value of FILTERS) {
  const button = element("button", {type: "button", value});
  button.addEventListener("click", () => {
    [filter, place] = [value, 0];
    draw();
  });
  $("filters").append(button);
}
for (const button of document.querySelectorAll("thead button"))
  button.addEventListener("click", () => {
    const {key} = button.dataset;
    order.down = order.key === key ? !order.down : key === "score";
    [order.key, place] = [key, 0];
    draw();
  });
$("back").addEventListener("click", () => turn(-1));
$("forth").addEventListener("click", () => turn(1));
