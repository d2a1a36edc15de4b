// The mask editor: paint over what should change, press Done.

import * as drafts from "./drafts.js";
import { LIMITS } from "./given.js";
import { follow } from "./gestures.js";
import { Mask } from "./mask.js";
import { loadMask, loadPicture, Refusal, sendMask } from "./server.js";
import { View } from "./view.js";
import { percent, refused, speak, t } from "./words.js";

const SMOOTH = 1024; // pixels of a mask's longer side, at least: the lines on a small picture are smooth, too
const COLOURS = ["#ff2d6f", "#00c8ff", "#b4ff00", "#a020ff"]; // of the mask: whichever the picture has least of
const LIKE = 170; // of 441 between black and white
const LASTING = ["unsigned", "expired", "not-found", "wrong-shape"]; // trying again changes nothing

const $ = (id) => document.getElementById(id);
const app = window.Telegram?.WebApp;
const pictureId = new URLSearchParams(location.search).get("picture") ?? "";
const [stage, slider] = [$("stage"), $("size").querySelector("input")];
const touch = matchMedia("(pointer: coarse)").matches;

let mask, view;
let tool = "brush";
let sending = false;
let outline = null; // of the box or lasso that is being drawn, on the sheet
let pen = null; // the last place of the line that is being drawn, and whether it erases

// What is shown

/** Why the mask cannot be sent; null if it can. */
function objection() {
  if (!mask) return "";
  if (mask.share === 0) return t("empty");
  if (mask.share < LIMITS.least) return t("error-empty", { value: percent(mask.share), limit: percent(LIMITS.least) });
  if (mask.share > LIMITS.most) return t("full", { share: percent(mask.share), limit: percent(LIMITS.most) });
  return null;
}

function refresh() {
  const reason = objection();
  $("status").textContent = reason ?? t("painted", { share: percent(mask.share) });
  $("done").textContent = t(sending ? "sending" : "done");
  $("done").setAttribute("aria-disabled", String(reason !== null || sending));
  $("done").title = reason ?? "";
  $("undo").disabled = !mask?.canUndo || sending;
  $("redo").disabled = !mask?.canRedo || sending;
  $("clear").disabled = !mask?.share;
  $("fit").hidden = view?.fitted ?? true;
  $("tools").classList.toggle("off", !mask || sending);
  stage.classList.toggle("idle", !mask || sending);
  stage.classList.toggle("selecting", ["box", "lasso"].includes(tool));
  $("size").classList.toggle("off", ["box", "lasso"].includes(tool));
  for (const button of document.querySelectorAll("[data-tool]")) button.setAttribute("aria-pressed", String(button.dataset.tool === tool));
}

function label(element, words) {
  element.setAttribute("aria-label", words);
  element.title = words;
  const shown = element.querySelector("span");
  if (shown) shown.textContent = words;
}

function name() {
  document.title = t("title");
  for (const id of ["undo", "redo", "invert", "clear", "fit", "full-screen"]) label($(id), t(id));
  for (const button of document.querySelectorAll("[data-tool]")) label(button, t(button.dataset.tool));
  slider.setAttribute("aria-label", t("size"));
  $("picture").setAttribute("aria-label", t("picture"));
}

let toastTimer = 0;
function toast(words) {
  $("toast").textContent = words;
  $("toast").hidden = false;
  clearTimeout(toastTimer);
  toastTimer = setTimeout(() => { $("toast").hidden = true; }, 1500 + words.length * 45);
}

function notice(words, again) {
  const box = $("notice");
  box.hidden = !words;
  $("toast").hidden = true;
  box.classList.toggle("alone", !mask);
  box.querySelector("p").textContent = words ?? "";
  const button = box.querySelector("button");
  button.hidden = !again;
  button.textContent = t("retry");
  button.onclick = () => { notice(null); again(); };
}

const say = (error, again) => {
  const refusal = error instanceof Refusal ? error : new Refusal("away");
  notice(refused(refusal), LASTING.includes(refusal.reason) ? null : again);
};

const SVG = "http://www.w3.org/2000/svg";
/** Draw a shape over everything twice, dark and light, so that it is seen on any picture. */
function mark(tag, attributes, area = false) {
  const shapes = [...(area ? ["area"] : []), "under", `over ${area ? "dashed" : ""}`].map((kind) => {
    const shape = document.createElementNS(SVG, tag);
    Object.entries({ ...attributes, class: kind }).forEach(([key, value]) => shape.setAttribute(key, value));
    return shape;
  });
  $("marks").firstElementChild.replaceChildren(...shapes);
}
const unmark = () => $("marks").firstElementChild.replaceChildren();
const ring = (at) => mark("circle", { cx: at.x, cy: at.y, r: slider.value / 2 });

// What a hand does

const radius = () => slider.value / 2 / view.scale;

const hand = {
  begin(at, event) {
    if (!mask || sending) return;
    notice(null);
    const place = view.onSheet(at);
    if (tool === "brush" || tool === "eraser") {
      pen = { at: place, erase: (tool === "eraser") !== event.altKey };
      mask.line(place, place, radius(), pen.erase);
    } else {
      outline = { points: [place], erase: event.altKey };
    }
  },
  move(at) {
    const place = view?.onSheet(at);
    if (pen) {
      mask.line(pen.at, place, radius(), pen.erase);
      pen.at = place;
    } else if (outline) {
      outline.points = tool === "box" ? corners(outline.points[0], place) : [...outline.points, place];
      const shown = outline.points.map(view.onStage, view).map(({ x, y }) => `${x},${y}`).join(" ");
      mark("polygon", { points: shown }, true);
    }
  },
  end() {
    if (pen) mask.commit();
    if (outline?.points.length > 2) mask.fill(outline.points, outline.erase);
    if (pen || outline) changed();
    [pen, outline] = [null, null];
    unmark();
  },
  cancel() {
    if (pen) mask.restore();
    [pen, outline] = [null, null];
    unmark();
  },
  pan: (dx, dy) => view?.pan(dx, dy),
  zoom: (at, factor) => view?.zoom(at, factor),
  hover(at) {
    if (outline) return;
    if (at && mask && !sending && ["brush", "eraser"].includes(tool) && !stage.matches(".moving")) ring(at);
    else unmark();
  },
};

const corners = (a, b) => [a, { x: b.x, y: a.y }, b, { x: a.x, y: b.y }];

function changed() {
  drafts.keep(pictureId, mask);
  refresh();
}

const acts = {
  undo: () => { mask.undo(); changed(); },
  redo: () => { mask.redo(); changed(); },
  invert: () => { mask.invert(); changed(); },
  clear: () => { mask.clear(); changed(); },
  fit: () => { view.fit(); },
};

function choose(next) {
  tool = next;
  unmark();
  refresh();
}

for (const [id, act] of Object.entries(acts)) $(id).addEventListener("click", () => { if (mask && !sending) act(); });
for (const button of document.querySelectorAll("[data-tool]")) button.addEventListener("click", () => choose(button.dataset.tool));
for (const button of document.querySelectorAll("button")) // a button that was clicked does not take the space bar
  button.addEventListener("click", (event) => { if (event.detail) button.blur(); });
slider.addEventListener("input", () => ring({ x: stage.clientWidth / 2, y: stage.clientHeight / 2 }));
slider.addEventListener("change", () => { unmark(); slider.blur(); });
slider.value = touch ? 36 : 28;

const KEYS = { KeyB: "brush", KeyE: "eraser", KeyR: "box", KeyL: "lasso" };
addEventListener("keydown", (event) => {
  if (!mask || sending || pen || outline) return;
  const [act, grow] = [event.ctrlKey || event.metaKey, { BracketLeft: 0.8, BracketRight: 1.25 }[event.code]];
  const zoom = { Equal: 1.25, NumpadAdd: 1.25, Minus: 0.8, NumpadSubtract: 0.8 }[event.code];
  if (act && event.code === "KeyZ") acts[event.shiftKey ? "redo" : "undo"]();
  else if (act && event.code === "KeyY") acts.redo();
  else if (act || event.altKey) return;
  else if (KEYS[event.code]) choose(KEYS[event.code]);
  else if (event.code === "KeyI") acts.invert();
  else if (event.code === "Digit0") acts.fit();
  else if (grow) slider.value = Math.round(slider.value * grow);
  else if (zoom) view.zoom({ x: stage.clientWidth / 2, y: stage.clientHeight / 2 }, zoom);
  else return;
  event.preventDefault();
});

// Done

async function send() {
  if (sending) return;
  if (objection() !== null) {
    $("status").classList.remove("nudged");
    requestAnimationFrame(() => $("status").classList.add("nudged"));
    return;
  }
  sending = true;
  notice(null);
  unmark();
  refresh();
  try {
    await sendMask(pictureId, await mask.png());
    drafts.drop(pictureId);
    notice(t("sent"));
    app.close();
  } catch (error) {
    say(error, send);
  } finally {
    sending = false;
    refresh();
  }
}
$("done").addEventListener("click", send);

// The beginning

async function open() {
  $("status").textContent = t("loading");
  try {
    const { image, width, height, language, hasMask } = await loadPicture(pictureId);
    speak(language);
    name();
    const last = hasMask ? await loadMask(pictureId) : null;
    begin(image, width, height, last);
  } catch (error) {
    $("status").textContent = "";
    say(error, open);
  }
}

function begin(image, width, height, last) {
  const scale = Math.min(Math.max(Math.max(width, height), SMOOTH), LIMITS.side) / Math.max(width, height);
  const picture = $("picture");
  Object.assign(picture, { width: image.width, height: image.height });
  picture.getContext("2d").drawImage(image, 0, 0);
  $("sheet").hidden = false;
  const colour = unlike(image);
  document.documentElement.style.setProperty("--mask", colour);
  mask = new Mask($("mask"), Math.max(1, Math.round(width * scale)), Math.max(1, Math.round(height * scale)), colour);
  view = new View(stage, $("sheet"), mask.width, mask.height, () => { unmark(); refresh(); });
  const draft = drafts.find(pictureId, mask);
  if (draft && mask.begin(draft)) toast(t("draft"));
  else if (last) { mask.beginWith(last); toast(t("last-mask")); } else toast(t("hint"));
  follow(stage, hand);
  refresh();
}

/** The colour that stands out from a picture. */
function unlike(image) {
  const side = 32;
  const context = new OffscreenCanvas(side, side).getContext("2d");
  context.drawImage(image, 0, 0, side, side);
  const { data } = context.getImageData(0, 0, side, side);
  const alike = COLOURS.map((colour) => {
    const rgb = [1, 3, 5].map((at) => parseInt(colour.slice(at, at + 2), 16));
    let count = 0;
    for (let at = 0; at < data.length; at += 4) if (Math.hypot(...rgb.map((value, n) => value - data[at + n])) < LIKE) count += 1;
    return count;
  });
  return COLOURS[alike.indexOf(Math.min(...alike))];
}

function dress() {
  if (app?.colorScheme) document.documentElement.style.colorScheme = app.colorScheme;
}

function offerFullScreen() {
  const offered = app?.requestFullscreen && app.isVersionAtLeast("8.0") && !["android", "ios"].includes(app.platform);
  $("full-screen").hidden = !offered;
  if (!offered) return;
  $("full-screen").addEventListener("click", () => { if (app.isFullscreen) app.exitFullscreen(); else app.requestFullscreen(); });
  app.onEvent("fullscreenFailed", () => { $("full-screen").hidden = true; });
}

speak(app?.initDataUnsafe?.user?.language_code);
name();
dress();
offerFullScreen();
app?.onEvent?.("themeChanged", dress);
app?.ready?.();
app?.expand?.();
app?.disableVerticalSwipes?.(); // a stroke downwards would close the page
refresh();
await open();
