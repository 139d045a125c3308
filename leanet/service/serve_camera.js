// The camera, where the browser has one and lets the page use it: over https, or from this machine.
const MOST_WATCHED = 1000;  // frames that are kept; each is a file in the browser
let stream = null, watching = null, watched = 0;

async function openCamera() {
  try {
    stream = await navigator.mediaDevices.getUserMedia({video: {facingMode: "environment"}});
    $("video").srcObject = stream;
    await $("video").play();  // so that there is a frame to take
  } catch (error) {
    $("wrong").textContent = `The camera cannot be used: ${error.message}`;
    return;
  }
  $("wrong").textContent = "";
  $("live").hidden = false;
  $("camera").hidden = true;
  $("shoot").focus();
}

function closeCamera() {
  stopWatching();
  for (const track of stream.getTracks()) track.stop();
  $("video").srcObject = stream = null;
  $("seen").textContent = "";
  $("live").hidden = true;
  $("camera").hidden = false;
  $("camera").focus();
}

// Judges what the camera sees now; done when there is a verdict.
async function shoot() {
  const {videoWidth: width, videoHeight: height} = $("video");
  const canvas = element("canvas", {width, height});
  canvas.getContext("2d").drawImage($("video"), 0, 0);
  const file = await new Promise((give) => canvas.toBlob(give, "image/jpeg", 0.95));
  const now = new Date(Date.now() - 60000 * new Date().getTimezoneOffset());
  const name = `camera ${now.toISOString().slice(0, 23).replace("T", " ").replaceAll(":", "-")}.jpg`;
  const [row] = add([{file, name}]);
  await new Promise((settled) => { row.settled = settled; });
  $("seen").textContent = row.error ?? `${capital(row.verdict)}: ${percent(row.score)}`;
}

async function watch() {
  const mine = watching = {};
  $("watch").setAttribute("aria-pressed", "true");
  while (watching === mine && watched < MOST_WATCHED) {
    watched += 1;
    await Promise.all([shoot(), sleep(1)]);
  }
  if (watching !== mine) return;
  stopWatching();
  watched = 0;
  $("wrong").textContent = `Watching ended after ${MOST_WATCHED} images.`;
}

function stopWatching() {
  watching = null;
  $("watch").setAttribute("aria-pressed", "false");
}

$("camera").hidden = !navigator.mediaDevices?.getUserMedia;
$("camera").addEventListener("click", openCamera);
$("dark").addEventListener("click", closeCamera);
$("shoot").addEventListener("click", shoot);
$("watch").addEventListener("click", () => watching ? stopWatching() : watch());
