// From files to rows: what is dropped or chosen waits in a queue, and several requests of several images work on it.
const FILES_A_REQUEST = 16;
const BYTES_A_REQUEST = 8 * MIB;  // on a slow line, a request must arrive within half a minute
const REQUESTS = 2;  // one arrives while the other is judged
const IMAGE = /^(?!\._).*\.(png|jpe?g|bmp|tiff?|webp|gif)$/i;  // of a folder; ._x is what a Mac leaves

let rows = [];  // of all files in the order they came: file, name, verdict, and what was found
let queue = [];  // rows without a verdict that are not being judged
let paused = false, working = 0, began = 0, since = 0, judged = 0;
let abort = new AbortController();

function add(files) {
  const fresh = files.map(({file, name}) => ({file, name, verdict: null}));
  if (judged === rows.length) start();
  rows = rows.concat(fresh);
  queue = queue.concat(fresh);
  work();
  refresh();
  return fresh;
}

// What comes from here on counts for images/s.
function start() {
  [began, since] = [performance.now(), judged];
}

function work() {
  while (!paused && working < REQUESTS && queue.length) {
    working += 1;
    judgeBatch(nextBatch(), abort.signal).finally(() => {
      working -= 1;
      work();
      refresh();
    });
  }
}

function nextBatch() {
  let bytes = queue[0].file.size, count = 1;
  while (!queue[0].alone && count < Math.min(queue.length, FILES_A_REQUEST)) {
    bytes += queue[count].file.size;
    if (bytes > BYTES_A_REQUEST || queue[count].alone) break;
    count += 1;
  }
  return queue.splice(0, count);
}

async function judgeBatch(batch, signal) {
  try {
    const found = await judge(batch, "small", signal);
    if (!signal.aborted) batch.forEach((row, at) => settle(row, found[at]));
  } catch (error) {
    if (signal.aborted) return;  // whoever did it knows what becomes of them
    if (error instanceof Gone) pause(error.message);
    else if (batch.length === 1) settle(batch[0], {error: error.message});
    else queue.unshift(...batch.map((row) => Object.assign(row, {alone: true})));  // one of them is to blame
  }
}

function settle(row, found) {
  if (found.error) Object.assign(row, {verdict: FAULT, error: found.error});
  else {
    const {score, anomalous, threshold, map_p99, picture, layers} = found;
    Object.assign(row, {verdict: anomalous ? "anomalous" : "normal", score, threshold, map_p99, picture, map: layers.map});
  }
  judged += 1;
  row.settled?.(row);
}

// Nothing more is sent; what was under way will be sent again.
function pause(reason = "") {
  paused = true;
  abort.abort();
  abort = new AbortController();
  queue = rows.filter((row) => !row.verdict);
  $("wrong").textContent = reason && `${reason} Images that wait: ${queue.length}.`;
  refresh();
}

function resume() {
  paused = false;
  start();
  $("wrong").textContent = "";
  work();
  refresh();
}

function clear() {
  pause();
  stopWatching();
  [rows, queue, paused, judged] = [[], [], false, 0];
  refresh();
}

function progress() {
  const busy = judged < rows.length;
  if (!busy && !$("queue").hidden) $("done").textContent = `Done: ${counted()}`;
  $("queue").hidden = !busy;
  $("stop").hidden = paused;
  $("resume").hidden = !paused;
  $("bar").max = rows.length;
  $("bar").value = judged;
  const seconds = (performance.now() - began) / 1000, rate = (judged - since) / seconds;
  const timing = rate > 0 && !paused
    ? `, ${rate.toFixed(rate < 10 ? 1 : 0)} images/s, ${duration((rows.length - judged) / rate)} left` : "";
  $("progress").textContent = `${judged} of ${rows.length}${timing}`;
}

function duration(seconds) {
  return seconds < 100 ? `${Math.ceil(seconds)} s` : `${Math.ceil(seconds / 60)} min`;
}

// Files with their names: of a folder the path within it, and only what is called like an image.
function take(files, fromFolder) {
  const images = fromFolder ? files.filter(({file}) => IMAGE.test(file.name)) : files;
  const others = files.length - images.length;
  $("notice").textContent = fromFolder && (others || !images.length)
    ? `${images.length} images found; ${others} other files were left out.` : "";
  if (images.length) add(images);
}

async function dropped(transfer) {
  const items = [...transfer.items].filter((item) => item.kind === "file");
  const entries = items.map((item) => item.webkitGetAsEntry?.() ?? null);  // at once: they are gone later
  const alone = items.filter((_, at) => !entries[at]?.isDirectory).map((item) => item.getAsFile());
  take(alone.map((file) => ({file, name: file.name})), false);
  const folders = entries.filter((entry) => entry?.isDirectory);
  if (folders.length) take((await Promise.all(folders.map(within))).flat(), true);
}

// All files below a folder. A reader gives some hundred entries at a time, and none at the end.
async function within(folder) {
  const reader = folder.createReader(), found = [];
  for (;;) {
    const entries = await new Promise((give) => reader.readEntries(give, () => give([])));
    if (!entries.length) return found;
    for (const entry of entries)
      if (entry.isDirectory) found.push(...await within(entry));
      else {
        const file = await new Promise((give) => entry.file(give, () => give(null)));
        if (file) found.push({file, name: entry.fullPath.replace(/^\//, "")});
      }
  }
}

$("files").addEventListener("change", (event) => {
  take([...event.target.files].map((file) => ({file, name: file.name})), false);
  event.target.value = "";
});
$("folder").addEventListener("change", (event) => {
  take([...event.target.files].map((file) => ({file, name: file.webkitRelativePath || file.name})), true);
  event.target.value = "";
});
for (const kind of ["dragover", "dragleave", "drop"])
  document.addEventListener(kind, (event) => {
    event.preventDefault();
    $("drop").classList.toggle("over", kind === "dragover");
    if (kind === "drop") dropped(event.dataTransfer);
  });
if (!("webkitdirectory" in $("folder"))) $("folder").parentElement.hidden = true;
$("stop").addEventListener("click", () => { pause(); $("resume").focus(); });
$("resume").addEventListener("click", () => { resume(); $("stop").focus(); });
$("clear").addEventListener("click", clear);
