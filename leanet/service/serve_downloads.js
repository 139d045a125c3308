// All results as a table, and the overlays of those shown as an archive.
const COLUMNS = ["file", "score", "anomalous", "threshold", "map_p99", "error"];
const PICTURES_A_REQUEST = 4;
const MOST_ENTRIES = 65535, MOST_BYTES = 2 ** 32 - 1;  // of an archive that every program opens
let zipping = false;

function facts({name, score, verdict, threshold, map_p99, error}) {
  const anomalous = verdict === FAULT ? undefined : verdict === "anomalous";
  return {file: name, score, anomalous, threshold, map_p99, error};
}

// Quoted where it must be. A spreadsheet would run a text that begins like a formula: an apostrophe keeps it a text.
function cell(value) {
  let text = value === undefined ? "" : String(value);
  if (typeof value === "string" && /^[=+\-@\t\r]/.test(text)) text = `'${text}`;
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

function saveTable() {
  const lines = rows.filter(({verdict}) => verdict).map((row) => {
    const known = facts(row);
    return COLUMNS.map((column) => cell(known[column])).join(",");
  });
  download("results.csv", new Blob([[COLUMNS.join(","), ...lines, ""].join("\r\n")], {type: "text/csv"}));
}

function loaded(src) {
  return new Promise((give, fail) => {
    const image = element("img", {src});
    image.onload = () => give(image);
    image.onerror = () => fail(Error("a picture cannot be drawn"));
  });
}

// The image with the heat over it, as PNG.
async function overlay(picture, heat, strength = 1) {
  const [base, above] = await Promise.all([loaded(picture), loaded(heat)]);
  const canvas = element("canvas", {width: base.naturalWidth, height: base.naturalHeight});
  const paper = canvas.getContext("2d");
  paper.drawImage(base, 0, 0);
  paper.globalAlpha = strength;
  paper.drawImage(above, 0, 0, canvas.width, canvas.height);
  return new Promise((give) => canvas.toBlob(give));
}

const CRC = Uint32Array.from({length: 256}, (_, byte) => {
  for (let bit = 0; bit < 8; bit += 1) byte = byte & 1 ? (byte >>> 1) ^ 0xedb88320 : byte >>> 1;
  return byte;
});

function crc32(bytes) {
  let crc = -1;
  for (const byte of bytes) crc = (crc >>> 8) ^ CRC[(crc ^ byte) & 255];
  return ~crc >>> 0;
}

// Numbers as little-endian bytes: [value, how many] each.
function packed(...fields) {
  const view = new DataView(new ArrayBuffer(fields.reduce((length, [, size]) => length + size, 0)));
  let at = 0;
  for (const [value, size] of fields) {
    if (size === 2) view.setUint16(at, value, true);
    else view.setUint32(at, value, true);
    at += size;
  }
  return view.buffer;
}

// A ZIP archive whose entries are stored as they are: PNG does not shrink.
class Archive {
  #parts = [];
  #directory = [];
  #length = 0;
  #names = new Set();

  // A path that lies within the folder where the archive is unpacked, and that no other entry has.
  #free(name) {
    const path = name.split(/[\\/]/).filter((part) => !["", ".", ".."].includes(part)).join("/");
    const [, stem, suffix] = path.match(/^(.*?)(-\w+\.png)?$/s);
    let free = path;
    for (let number = 2; this.#names.has(free); number += 1) free = `${stem} (${number})${suffix ?? ""}`;
    this.#names.add(free);
    return new TextEncoder().encode(free);
  }

  async add(name, blob) {
    const bytes = new Uint8Array(await blob.arrayBuffer()), path = this.#free(name), now = new Date();
    const time = (now.getHours() << 11) | (now.getMinutes() << 5) | (now.getSeconds() >> 1);
    const date = ((now.getFullYear() - 1980) << 9) | ((now.getMonth() + 1) << 5) | now.getDate();
    // version 2.0, names in UTF-8, stored; then time, date, checksum, both sizes, length of the name, nothing extra
    const entry = [[20, 2], [0x0800, 2], [0, 2], [time, 2], [date, 2], [crc32(bytes), 4], [bytes.length, 4],
      [bytes.length, 4], [path.length, 2], [0, 2]];
    const head = packed([0x04034b50, 4], ...entry);
    const length = this.#length + head.byteLength + path.length + bytes.length;
    if (length + this.#directory.length * 100 > MOST_BYTES || this.#names.size > MOST_ENTRIES)
      throw Error("too many overlays for one archive: show fewer images");
    const listed = packed([0x02014b50, 4], [20, 2], ...entry, [0, 2], [0, 2], [0, 2], [0, 4], [this.#length, 4]);
    this.#directory.push(new Blob([listed, path]));
    this.#parts.push(new Blob([head, path, blob]));
    this.#length = length;
  }

  blob() {
    const directory = new Blob(this.#directory), count = this.#directory.length;
    const end = packed([0x06054b50, 4], [0, 2], [0, 2], [count, 2], [count, 2], [directory.size, 4],
      [this.#length, 4], [0, 2]);
    return new Blob([...this.#parts, directory, end], {type: "application/zip"});
  }
}

async function saveOverlays() {
  const wanted = shown().filter(({picture}) => picture), archive = new Archive(), stop = new AbortController();
  const [said, button] = $("zipping").children;
  button.onclick = () => stop.abort();
  zipping = $("zip").disabled = true;
  $("zipping").hidden = false;
  try {
    for (let at = 0; at < wanted.length; at += PICTURES_A_REQUEST) {
      said.textContent = `Overlays: ${at} of ${wanted.length}`;
      const batch = wanted.slice(at, at + PICTURES_A_REQUEST);
      for (const [i, {error, picture, layers = {}}] of (await judge(batch, "1", stop.signal)).entries()) {
        if (error) throw Error(`${batch[i].name}: ${error}`);
        for (const [kind, heat] of Object.entries(layers))
          await archive.add(`${batch[i].name}-${kind}.png`, await overlay(picture, heat));
      }
      stop.signal.throwIfAborted();
    }
    download("overlays.zip", archive.blob());
  } catch (error) {
    if (!stop.signal.aborted) $("wrong").textContent = `No overlays: ${error.message}`;
  } finally {
    $("zipping").hidden = true;
    zipping = $("zip").disabled = false;
  }
}

$("csv").addEventListener("click", saveTable);
$("zip").addEventListener("click", saveOverlays);
