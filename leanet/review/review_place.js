// Where it is anomalous: outlines and boxes in shares of the picture's width and height.
const outlines = [];
let drawing = null;

const place = () => (outlines.length ? outlines.map((points) => points.map((point) => [...point])) : null);

function clearPlace() {
  outlines.length = 0;
  paintPlace();
}

function paintPlace() {
  const shown = drawing ? [...outlines, drawing] : outlines;
  $("drawn").replaceChildren(...shown.map((points) => {
    const made = document.createElementNS("http://www.w3.org/2000/svg", "polygon");
    made.setAttribute("points", points.map((point) => point.join(",")).join(" "));
    return made;
  }));
  $("erase").hidden = !outlines.length;
}

const tool = () => ["brush", "box"].find((name) => $(name).getAttribute("aria-pressed") === "true");

for (const name of ["brush", "box"])
  $(name).addEventListener("click", () => {
    const on = tool() !== name;
    for (const each of ["brush", "box"]) $(each).setAttribute("aria-pressed", String(on && each === name));
    $("stage").classList.toggle("drawing", on);
  });
$("erase").addEventListener("click", clearPlace);

function share(event) {
  const frame = $("drawn").getBoundingClientRect();
  const within = (x) => Math.round(1e4 * Math.min(1, Math.max(0, x))) / 1e4;
  return [within((event.clientX - frame.left) / frame.width), within((event.clientY - frame.top) / frame.height)];
}

$("drawn").addEventListener("pointerdown", (event) => {
  drawing = [share(event)];
  $("drawn").setPointerCapture(event.pointerId);
  event.preventDefault();
});
$("drawn").addEventListener("pointermove", (event) => {
  if (!drawing) return;
  const [first] = drawing, here = share(event);
  if (tool() === "box") drawing = [first, [here[0], first[1]], here, [first[0], here[1]]];
  else drawing.push(here);
  paintPlace();
});
for (const kind of ["pointerup", "pointercancel"])
  $("drawn").addEventListener(kind, () => {
    if (drawing && drawing.length >= 3) outlines.push(thinned(drawing));
    drawing = null;
    paintPlace();
  });

// A hand draws more points than anybody needs.
function thinned(points) {
  const every = Math.ceil(points.length / 400);
  return points.filter((_, at) => at % every === 0);
}
