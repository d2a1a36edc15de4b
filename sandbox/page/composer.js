// The line one writes in: text, reply, edit, commands, photos and files by button, drop or paste.

import { $, h, icon, label, popup, toast } from "/dom.js";
import { size, t } from "/texts.js";

const PHOTO_SIDE = 1280;
const ALBUM = 10;
const PHOTO_LIMIT = 10 * 1024 * 1024;

export function setUpComposer({ act, state, summary, view, pinned, block }) {
  const text = $("text");
  let mode = null; // {kind: "reply" | "edit", message}
  let chosen = 0;
  const drafts = new Map();
  let draftOf = 0;

  function grow() {
    text.style.height = "auto";
    text.style.height = `${Math.min(text.scrollHeight, 180)}px`;
    const empty = !text.value.trim();
    $("send").disabled = empty;
    $("composer").classList.toggle("empty", empty);
    suggest();
  }

  function about(next, placeholder = "") {
    mode = next;
    $("about").hidden = !mode;
    $("composer").classList.toggle("editing", mode?.kind === "edit");
    $("composer").classList.toggle("replying", mode?.kind === "reply"); // the question's own words need the room
    text.placeholder = placeholder || t("message");
    const save = mode?.kind === "edit";
    label($("send"), t(save ? "save" : "send"));
    $("send").querySelector("use").setAttribute("href", save ? "#i-check" : "#i-send");
    if (!mode) return;
    const name = mode.message.from.id === view.person ? view.personName : view.botName;
    $("about").querySelector("use").setAttribute("href", save ? "#i-edit" : "#i-reply");
    $("about").querySelector("b").textContent = save ? t("editing") : `${t("replyTo")}: ${name}`;
    $("about").querySelector("span").textContent = summary(mode.message);
    text.focus();
  }

  async function submit() {
    const words = text.value.trim();
    if (!words) return;
    if (words.length > 4096) return toast(`${words.length} > 4096`);
    const [current, typed] = [mode, text.value];
    text.value = "";
    about(null);
    grow();
    try {
      if (current?.kind === "edit") await act.edit(current.message.message_id, words);
      else await act.send(words, current?.message.message_id);
      pinned();
    } catch {
      if (!text.value) { text.value = typed; grow(); }
    }
  }

  // Commands

  function suggest() {
    const typed = text.value.match(/^\/([a-z0-9_]*)$/i);
    const fitting = typed ? state.commands.filter((command) => command.command.startsWith(typed[1].toLowerCase())) : [];
    listCommands(fitting);
  }

  function listCommands(commands) {
    chosen = 0;
    const box = $("commands");
    box.hidden = !commands.length;
    $("menu").setAttribute("aria-expanded", String(!box.hidden));
    box.replaceChildren(...commands.map((command, index) =>
      h("button", { type: "button", role: "option", class: index ? "" : "chosen", onclick: () => { listCommands([]); text.value = ""; grow(); act.say(`/${command.command}`); } },
        h("b", {}, `/${command.command}`), h("span", {}, command.description))));
  }

  $("menu").addEventListener("click", () => listCommands($("commands").hidden ? state.commands : []));
  addEventListener("pointerdown", (event) => { if (!event.target.closest("#commands, #menu, #text")) listCommands([]); });

  text.addEventListener("input", grow);
  text.addEventListener("keydown", (event) => {
    const options = [...$("commands").children];
    if (options.length && (event.key === "ArrowDown" || event.key === "ArrowUp")) {
      event.preventDefault();
      options[chosen]?.classList.remove("chosen");
      chosen = (chosen + (event.key === "ArrowDown" ? 1 : options.length - 1)) % options.length;
      options[chosen].classList.add("chosen");
      options[chosen].scrollIntoView({ block: "nearest" });
    } else if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
      event.preventDefault();
      if (options.length) options[chosen].click();
      else submit();
    } else if (event.key === "Escape") {
      if (mode?.kind === "edit") { text.value = ""; grow(); }
      about(null);
      listCommands([]);
    } else if (event.key === "ArrowUp" && !text.value) {
      const own = [...state.messages.values()].reverse().find((message) => message.from.id === view.person && message.text && !message.forward_origin);
      if (own) { event.preventDefault(); edit(own); }
    }
  });
  $("start").addEventListener("click", () => (state.blocked ? block(false) : act.say("/start")));
  $("composer").addEventListener("submit", (event) => { event.preventDefault(); submit(); });
  $("about-close").addEventListener("click", () => { if (mode?.kind === "edit") { text.value = ""; grow(); } about(null); });

  function edit(message) {
    text.value = message.text ?? message.caption ?? "";
    about({ kind: "edit", message });
    grow();
  }

  // Photos and files

  $("attach").addEventListener("click", () => popup([
    { icon: "photo", label: t("photo"), act: () => $("pick-photo").click() },
    { icon: "file", label: t("file"), act: () => $("pick-file").click() },
    { icon: "sticker", label: t("sticker"), act: () => act.kind("sticker") },
    { icon: "voice", label: t("voice"), act: () => act.kind("voice") },
    { icon: "place", label: t("location"), act: () => act.kind("location") },
  ], $("attach")));
  for (const [input, asFile] of [[$("pick-photo"), false], [$("pick-file"), true]])
    input.addEventListener("change", () => { confirmFiles([...input.files], asFile); input.value = ""; });
  addEventListener("paste", (event) => {
    const files = [...event.clipboardData?.files ?? []];
    if (files.length && !document.querySelector("dialog[open]")) { event.preventDefault(); confirmFiles(files, false); }
  });
  let depth = 0;
  const hasFiles = (event) => event.dataTransfer?.types.includes("Files");
  addEventListener("dragenter", (event) => { if (hasFiles(event)) { depth += 1; $("drop").hidden = false; } });
  addEventListener("dragleave", (event) => { if (hasFiles(event)) { depth = Math.max(0, depth - 1); $("drop").hidden = depth === 0; } });
  addEventListener("dragover", (event) => { if (hasFiles(event)) event.preventDefault(); });
  addEventListener("drop", (event) => {
    if (!hasFiles(event)) return;
    event.preventDefault();
    depth = 0;
    $("drop").hidden = true;
    confirmFiles([...event.dataTransfer.files], false);
  });

  function confirmFiles(files, asFile) {
    if (!files.length) return;
    const pictures = files.every((file) => /^image\/(png|jpeg|webp|gif|bmp)$/.test(file.type));
    const dialog = $("sending");
    const form = dialog.querySelector("form");
    const urls = pictures ? files.map((file) => URL.createObjectURL(file)) : [];
    form["as-file"].checked = asFile || !pictures;
    form["as-file"].parentElement.hidden = !pictures;
    const several = files.length > 1 ? "s" : "";
    const show = () => {
      const flat = form["as-file"].checked;
      dialog.querySelector("h3").textContent = t(`send${flat ? "File" : "Photo"}${several}`).replace("{n}", files.length);
      const tiles = files.map((file, index) => tileOf(file, urls[index]));
      const images = urls.map((url, index) => h("img", { src: url, alt: files[index].name }));
      dialog.querySelector(".preview").replaceChildren(...flat ? tiles : images);
      dialog.querySelector(".preview").classList.toggle("many", !flat && images.length > 1);
    };
    form["as-file"].onchange = show;
    show();
    const [asFileLabel, captionLabel] = dialog.querySelectorAll("label span");
    [asFileLabel.textContent, captionLabel.textContent] = [t("asFile"), t("caption")];
    const [cancel, ok] = dialog.querySelectorAll(".row button");
    [cancel.textContent, ok.textContent] = [t("cancel"), t("send")];
    cancel.onclick = () => dialog.close();
    form.caption.value = mode?.kind === "edit" ? "" : text.value;
    form.caption.onkeydown = (event) => { if (event.key === "Enter" && !event.shiftKey) { event.preventDefault(); ok.click(); } };
    dialog.onclose = () => urls.forEach((url) => URL.revokeObjectURL(url));
    form.onsubmit = () => sendFiles(files, form["as-file"].checked ? "document" : "photo", form.caption.value.trim());
    dialog.showModal();
    form.caption.focus();
  }

  function tileOf(file, url) {
    const face = url ? h("img", { src: url, alt: "" }) : icon("file");
    return h("div", { class: `tile ${url ? "with-thumb" : ""}` }, h("span", { class: "tile-icon" }, face),
      h("span", { class: "tile-lines" }, h("b", {}, file.name), h("span", {}, size(file.size))));
  }

  /** More than ten become several albums, as in Telegram; the caption goes with the first. */
  async function sendFiles(files, kind, caption) {
    const reply = mode?.kind === "reply" ? String(mode.message.message_id) : "";
    if (mode?.kind !== "edit") { text.value = ""; grow(); about(null); }
    for (let start = 0; start < files.length; start += ALBUM) {
      const form = new FormData();
      form.set("kind", kind);
      form.set("caption", start ? "" : caption);
      if (reply) form.set("reply_to", reply);
      for (const file of files.slice(start, start + ALBUM)) form.append("file", kind === "photo" ? await compressed(file) : file, file.name);
      await act.upload(form).then(pinned, () => {});
    }
  }

  return {
    reply: (message, placeholder) => about({ kind: "reply", message }, placeholder),
    edit,
    gone: (id) => { if (mode?.message.message_id === id) about(null); },
    /** A chat was opened. */
    opened() {
      if (draftOf) drafts.set(draftOf, text.value);
      draftOf = state.current;
      text.value = drafts.get(draftOf) ?? "";
      about(null);
      label($("about-close"), t("cancel"));
      label($("attach"), t("attach"));
      text.setAttribute("aria-label", t("message"));
      this.refresh();
      grow();
      if (matchMedia("(hover: hover)").matches) text.focus();
    },
    /** The composer, or the one big button instead of it. */
    refresh() {
      const fresh = !state.messages.size;
      const start = $("start");
      start.hidden = !(fresh || state.blocked);
      start.textContent = t(state.blocked ? "unblock" : "start");
      const hidden = $("composer").hidden;
      $("composer").hidden = !start.hidden;
      $("menu").hidden = !state.commands.length;
      $("menu").querySelector("span").textContent = t("menu");
      label($("menu"), t("menu"));
      if (hidden && start.hidden) grow(); // a hidden field has no height to measure
    },
  };
}

/** What Telegram's own apps send as a photo: upright JPEG, at most 1280 pixels a side. */
async function compressed(file) {
  try {
    const bitmap = await createImageBitmap(file, { imageOrientation: "from-image" });
    const scale = Math.min(1, PHOTO_SIDE / Math.max(bitmap.width, bitmap.height));
    if (scale === 1 && file.type === "image/jpeg" && file.size < PHOTO_LIMIT / 10) return file;
    const canvas = new OffscreenCanvas(Math.max(1, Math.round(bitmap.width * scale)), Math.max(1, Math.round(bitmap.height * scale)));
    const context = canvas.getContext("2d");
    context.fillStyle = "#fff";
    context.fillRect(0, 0, canvas.width, canvas.height);
    context.drawImage(bitmap, 0, 0, canvas.width, canvas.height);
    return await canvas.convertToBlob({ type: "image/jpeg", quality: 0.87 });
  } catch {
    return file;
  }
}
