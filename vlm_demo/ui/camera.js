// The camera of the Live tab: shows it, sends a frame whenever the answer to the one before has come, tells the pace.
// Frames in between are never sent, so none waits anywhere. Runs once, when the tab's component is loaded.
const SIDE = 640; // pixels; a larger frame is made smaller before it is sent
const PAUSE = 3000; // milliseconds before the next frame after a refusal
const KEPT = 8; // answers over which the pace is measured

const video = element.querySelector("video");
const find = (id) => document.getElementById(id);
const frame = document.createElement("canvas");
let stream = null; // of the camera, while it is on
let asked = null; // the frame whose answer is awaited: { number, taken }
let shown = null; // when the frame of the answer that is shown was taken
let answers = []; // when the latest answers came
let number = 0;
let starts = 0;
let passed = 0; // frames of the camera since it was switched on
let sent = 0;

const tell = (text) => (find("live-pace").querySelector("p").textContent = text);

const REASONS = {
  NotAllowedError: "The browser was not allowed to use the camera. Allow it beside the address, then start again.",
  NotFoundError: "No camera was found here. Connect one, then start again.",
  NotReadableError: "The camera is in use by another program. Close that, then start again.",
};

const release = (given) => given?.getTracks().forEach((track) => track.stop());

const off = () => {
  release(stream);
  stream = video.srcObject = asked = null;
  document.body.classList.remove("camera-on");
};

const stop = (why) => {
  if (!stream) return;
  off();
  tell(why);
  trigger("clear"); // whatever is still being written for this visitor ends
};

const start = async () => {
  off(); // the other camera, if it was on: the next frame takes the place of what is still being written about it
  const mine = ++starts;
  if (!navigator.mediaDevices) {
    return tell("A browser lends its camera to pages on this computer or with https only. Open this page that way.");
  }
  const facing = find("live-facing").querySelector("input:checked").value;
  tell("Waiting for the camera …");
  let given;
  try {
    given = await navigator.mediaDevices.getUserMedia({ audio: false, video: { facingMode: { ideal: facing } } });
  } catch (error) {
    return tell(REASONS[error.name] || `The camera could not be started: ${error.message}`);
  }
  if (mine !== starts) return release(given); // pressed once more meanwhile
  stream = given;
  stream.getVideoTracks()[0].addEventListener("ended", () => stop("The camera was taken away. Start it again."));
  video.srcObject = stream;
  await new Promise((there) => (video.onloadeddata = there)); // the template lets it play by itself
  if (stream !== given) return;
  document.body.classList.add("camera-on");
  [answers, shown, passed, sent] = [[], null, 0, 0];
  count(stream);
  look();
};

// Counts the frames that the camera gives.
const count = (mine) =>
  video.requestVideoFrameCallback?.(() => {
    if (stream !== mine) return;
    passed += 1;
    count(mine);
  });

const visible = () => !document.hidden && element.offsetParent !== null;

const look = () => {
  if (!stream || asked) return;
  if (!visible()) return stop("Stopped, because nobody saw it. Start it again.");
  const scale = Math.min(1, SIDE / Math.max(video.videoWidth, video.videoHeight));
  [frame.width, frame.height] = [video.videoWidth * scale, video.videoHeight * scale];
  frame.getContext("2d").drawImage(video, 0, 0, frame.width, frame.height);
  asked = { number: ++number, taken: performance.now() };
  sent += 1;
  trigger("input", { number, frame: frame.toDataURL("image/jpeg", 0.85) });
};

watch("value", () => {
  const answer = element.querySelector("[data-frame]");
  if (!asked || Number(answer?.dataset.frame) !== asked.number) return;
  const refused = "refused" in answer.dataset;
  if (!refused) {
    shown = asked.taken;
    answers = [...answers, performance.now()].slice(-KEPT);
  }
  asked = null;
  setTimeout(look, refused ? PAUSE : 0);
});

const pace = () => {
  if (!stream) return;
  if (!visible()) return stop("Stopped, because nobody saw it. Start it again.");
  const parts = [];
  if (answers.length > 1) {
    const rate = (answers.length - 1) / ((answers.at(-1) - answers[0]) / 1000);
    parts.push(rate >= 1 ? `${rate.toFixed(1)} answers a second` : `one answer in ${(1 / rate).toFixed(1)} s`);
  }
  if (shown !== null) parts.push(`this one is from ${((performance.now() - shown) / 1000).toFixed(1)} s ago`);
  if (passed > sent) parts.push(`${passed - sent} frames passed by unseen`);
  tell(parts.join(" · ") || "Waiting for the first answer …");
};
setInterval(pace, 250);

document.addEventListener("visibilitychange", pace);
window.addEventListener("pagehide", () => stop(""));
document.addEventListener("click", (event) => {
  if (event.target.closest("#live-run")) start();
  if (event.target.closest("#live-stop")) stop("Stopped.");
});
document.addEventListener("change", (event) => stream && event.target.closest("#live-facing") && start());
