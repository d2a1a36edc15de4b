// Telegram's photo editor, its pencil alone: draw on a photo and send it back as a new one.

import { $, h, icon, label } from "/dom.js";
import { fileUrl } from "/message.js";
import { t } from "/texts.js";

const SIDE = 1280; // the longest side of what Telegram's apps send
const QUALITY = 0.8;
const COLOURS = ["#ff3b30", "#ff9500", "#ffcc00", "#34c759", "#00c7be", "#007aff", "#af52de", "#ff2d92", "#ffffff", "#000000"];
const NAMES = ["red", "orange", "yellow", "green", "turquoise", "blue", "purple", "pink", "white", "black"];

/** The function that is returned opens the editor on a photo. `send` takes a form and answers when the photo is there. */
export function setUpPencil(send) {
  const dialog = $("pencil");
  const form = dialog.querySelector("form");
  const canvas = dialog.querySelector("canvas");
  const sheet = canvas.parentElement;
  const image = new Image();
  let message = null;
  let strokes = []; // {points: [[x, y], …] in shares of width and height, colour, thickness in shares of the longest side}
  let current = null;

  const colours = COLOURS.map((colour, index) => {
    const choice = h("input", { type: "radio", name: "colour", value: colour, checked: !index });
    const dot = h("label", { class: "dot" }, choice);
    dot.style.setProperty("--colour", colour);
    return dot;
  });
  dialog.querySelector(".dots").append(...colours);

  function paint(context, width, height) {
    context.drawImage(image, 0, 0, width, height);
    context.lineCap = context.lineJoin = "round";
    for (const { points, colour, thickness } of strokes) {
      context.strokeStyle = colour;
      context.lineWidth = Math.max(1, thickness * Math.max(width, height));
      context.beginPath();
      context.moveTo(points[0][0] * width, points[0][1] * height);
      for (const [x, y] of points) context.lineTo(x * width, y * height);
      context.stroke();
    }
  }

  /** As large as there is room for, in the screen's own pixels. */
  function fit() {
    if (!message || !image.naturalWidth) return;
    const { clientWidth: wide, clientHeight: high } = sheet;
    const scale = Math.min(wide / image.naturalWidth, high / image.naturalHeight);
    const [width, height] = [image.naturalWidth * scale, image.naturalHeight * scale];
    canvas.style.width = `${width}px`;
    canvas.style.height = `${height}px`;
    canvas.width = Math.max(1, Math.round(width * devicePixelRatio));
    canvas.height = Math.max(1, Math.round(height * devicePixelRatio));
    show();
  }

  function show() {
    paint(canvas.getContext("2d"), canvas.width, canvas.height);
    form.undo.disabled = !strokes.length;
    form.ok.disabled = !strokes.length;
    form.thickness.style.setProperty("--pen", form.colour.value);
  }

  function place(event) {
    const box = canvas.getBoundingClientRect();
    return [(event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height];
  }

  canvas.addEventListener("pointerdown", (event) => {
    if (current || event.button) return;
    event.preventDefault();
    canvas.setPointerCapture(event.pointerId);
    current = { id: event.pointerId, points: [place(event)], colour: form.colour.value, thickness: Number(form.thickness.value) / 1000 };
    strokes.push(current);
    show();
  });
  canvas.addEventListener("pointermove", (event) => {
    if (event.pointerId !== current?.id) return;
    const all = event.getCoalescedEvents?.() ?? [];
    current.points.push(...(all.length ? all : [event]).map(place));
    show();
  });
  const lift = (event) => { if (event.pointerId === current?.id) current = null; };
  canvas.addEventListener("pointerup", lift);
  canvas.addEventListener("pointercancel", lift);

  function undo() {
    if (!current) strokes.pop();
    show();
  }

  form.undo.addEventListener("click", undo);
  form.addEventListener("input", show);
  dialog.addEventListener("keydown", (event) => {
    if ((event.ctrlKey || event.metaKey) && event.key === "z" && event.target !== form.caption) { event.preventDefault(); undo(); }
  });
  dialog.querySelector(".shut").addEventListener("click", () => dialog.close());
  dialog.addEventListener("close", () => { message = null; strokes = []; current = null; });
  new ResizeObserver(fit).observe(sheet);

  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    if (!strokes.length) return;
    form.ok.disabled = true;
    const scale = SIDE / Math.max(image.naturalWidth, image.naturalHeight);
    const sent = new OffscreenCanvas(Math.max(1, Math.round(image.naturalWidth * scale)), Math.max(1, Math.round(image.naturalHeight * scale)));
    const context = sent.getContext("2d");
    context.imageSmoothingQuality = "high";
    paint(context, sent.width, sent.height);
    const body = new FormData();
    body.set("kind", "photo");
    body.set("caption", form.caption.value.trim());
    if (form.reply.checked) body.set("reply_to", String(message.message_id));
    body.set("file", await sent.convertToBlob({ type: "image/jpeg", quality: QUALITY }), "photo.jpg");
    try {
      await send(body);
      dialog.close();
    } catch {
      form.ok.disabled = false;
    }
  });

  return async (photo) => {
    form.reset();
    message = photo;
    image.src = fileUrl(photo.photo.at(-1).file_id);
    label(canvas, t("drawHere"));
    label(form.undo, t("undo"));
    label(form.ok, t("send"));
    label(form.thickness, t("thickness"));
    label(dialog.querySelector(".shut"), t("cancel"));
    colours.forEach((dot, index) => label(dot.firstChild, t("colours")[NAMES[index]]));
    dialog.querySelector("h3").textContent = t("drawOn");
    dialog.querySelector(".as-reply span").textContent = t("asReply");
    form.caption.placeholder = t("caption");
    form.caption.setAttribute("aria-label", t("caption"));
    dialog.showModal();
    canvas.focus();
    await image.decode().catch(() => {});
    fit();
  };
}
