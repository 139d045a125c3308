// What all parts of the page, and that of the review, use: the server, and what is known of every image.
const MIB = 2 ** 20;
const $ = (id) => document.getElementById(id);
const token = location.hash.slice(1);
const headers = token ? {Authorization: `Bearer ${token}`} : {};
const FAULT = "unreadable";
const VERDICTS = ["anomalous", "normal", FAULT];

class Gone extends Error {}  // the server does not answer, or not to us: what waits may be sent later

function element(name, properties = {}, ...children) {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
}

const sleep = (seconds) => new Promise((wake) => setTimeout(wake, 1000 * seconds));
const percent = (share) => `${(100 * share).toFixed(1)} %`;
const capital = (word) => word[0].toUpperCase() + word.slice(1);

async function ask(path, options = {}) {
  let answer, text;
  do {
    if (answer) await sleep(Number(answer.headers.get("Retry-After")) || 2);
    try {
      answer = await fetch(path, {...options, headers: {...headers, ...options.headers}});
      text = await answer.text();
    } catch (error) {
      throw options.signal?.aborted ? error : new Gone("The server does not answer.");
    }
  } while (answer.status === 503);
  let said = {detail: `the server says ${answer.status} ${answer.statusText}`};
  try {
    said = JSON.parse(text);
  } catch {
    // of a proxy, perhaps
  }
  if (answer.ok) return said;
  throw [401, 403, 502, 504].includes(answer.status) ? new Gone(capital(`${said.detail}.`)) : Error(said.detail);
}

// A file is read before it is sent: a failing request then always means the server.
async function content({file}) {
  if (file.size > 64 * MIB) throw Error("it has more than 64 MiB");
  try {
    return new Blob([await file.arrayBuffer()]);
  } catch {
    throw Error("it cannot be read from the disk");
  }
}

// What the server finds in each of the rows, in their order: an answer, or {error}.
async function judge(rows, pictures, signal) {
  const form = new FormData(), found = [], sent = [];
  for (const [at, row] of rows.entries())
    try {
      form.append("image", await content(row), row.name);
      sent.push(at);
    } catch (error) {
      found[at] = {error: error.message};
    }
  if (sent.length) {
    const {results} = await ask(`api/predict?pictures=${pictures}`, {method: "POST", body: form, signal});
    results.forEach((result, i) => { found[sent[i]] = result; });
  }
  return found;
}

function neighbours(title, images) {
  const strip = element("div", {className: "strip"});
  for (const {path, likeness, picture} of images)
    strip.append(element("figure", {}, element("img", {src: picture, alt: path}),
      element("figcaption", {}, `${path} (${likeness.toFixed(2)})`)));
  return element("div", {}, element("h3", {textContent: title}), strip);
}

function download(name, blob) {
  const link = element("a", {href: URL.createObjectURL(blob), download: name});
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}

ask("api/detector").then((about) => {
  $("about").textContent = `${about.row} on ${about.dataset}; threshold by ${about.criterion}: recall ${about.recall}, ` +
    `false alarms ${about.false_alarms} on images that its networks had not seen.`;
  $("doubts").append(...about.doubts.map((doubt) => element("li", {textContent: doubt})));
}, (error) => { $("wrong").textContent = error.message; });
