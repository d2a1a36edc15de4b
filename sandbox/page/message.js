// One message as DOM: text with entities, photo, file, quote, keyboard.

import { mosaic } from "/album.js";
import { h, icon, label, toast } from "/dom.js";
import { clock, size, t } from "/texts.js";

const TAGS = { bold: "b", italic: "i", underline: "u", strikethrough: "s", code: "code" };
export const fileUrl = (id, download = false) => `/sandbox/files/${encodeURIComponent(id)}${download ? "?download" : ""}`;

/** Text with entities as nodes. Offsets count UTF-16 units, as JavaScript strings do. */
export function richText(text, entities, act) {
  const sorted = [...(entities ?? [])].sort((a, b) => a.offset - b.offset || b.length - a.length);
  const walk = (from, to, list) => {
    const nodes = [];
    let at = from;
    while (list.length && list[0].offset < to) {
      const entity = list.shift();
      const start = Math.max(entity.offset, at);
      const end = Math.min(entity.offset + entity.length, to);
      if (end <= start) continue;
      if (start > at) nodes.push(text.slice(at, start));
      const inner = [];
      while (list.length && list[0].offset < end) inner.push(list.shift());
      nodes.push(element(entity, text.slice(start, end), walk(start, end, inner), act));
      at = end;
    }
    if (at < to) nodes.push(text.slice(at, to));
    return nodes;
  };
  return walk(0, text.length, sorted);
}

function element(entity, text, children, act) {
  const kind = entity.type;
  if (kind === "code") return h("code", { onclick: () => copy(text), title: t("copy") }, ...children);
  if (TAGS[kind]) return h(TAGS[kind], {}, ...children);
  if (kind === "text_link" || kind === "url") {
    const url = kind === "url" ? text : entity.url;
    if (!/^(https?:|tg:|mailto:|tel:)/i.test(url)) return h("span", {}, ...children);
    return h("a", { href: url, target: "_blank", rel: "noopener noreferrer", title: url }, ...children);
  }
  if (kind === "bot_command") return h("button", { type: "button", class: "inline", onclick: () => act.say(text) }, ...children);
  if (kind === "pre") return h("pre", { "data-language": entity.language }, h("code", {}, ...children));
  if (kind === "blockquote") return h("blockquote", {}, ...children);
  if (kind === "expandable_blockquote") return expandable(children);
  if (kind === "spoiler") {
    const reveal = (event) => event.currentTarget.classList.add("shown");
    return h("button", { type: "button", class: "spoiler", "aria-label": t("spoiler"), onclick: reveal }, ...children);
  }
  return h("span", {}, ...children);
}

function expandable(children) {
  const body = h("div", { class: "quote-body" }, ...children);
  const toggle = h("button", { type: "button", class: "quote-toggle", "aria-expanded": "false" }, icon("down"));
  const quote = h("blockquote", { class: "expandable" }, body, toggle);
  label(toggle, t("expand"));
  toggle.addEventListener("click", () => {
    const open = quote.classList.toggle("open");
    toggle.setAttribute("aria-expanded", String(open));
    label(toggle, t(open ? "collapse" : "expand"));
  });
  requestAnimationFrame(() => { if (body.scrollHeight <= body.clientHeight + 2) toggle.remove(); });
  return quote;
}

export function copy(text) {
  navigator.clipboard?.writeText(text).then(() => toast(t("copied")), () => {});
}

/** A message in a few words, for quotes and lists. */
export function summary(message) {
  const words = message.text || message.caption;
  if (words) return words.replace(/\s+/g, " ").slice(0, 120);
  if (message.document) return message.document.file_name;
  if (message.media_group_id) return t("album");
  const kind = ["photo", "sticker", "voice", "video", "location"].find((name) => message[name]);
  return kind ? t(kind) : "";
}

const thumbnail = (message) => {
  const file = message.photo?.at(-1) ?? message.document?.thumbnail;
  return file && fileUrl(file.file_id);
};

/** Build the inside of a message, or of an album of several. `old` is what it replaces: a photo that stays keeps its <img>. */
export function build(messages, view, old) {
  const message = messages[0];
  const own = message.from.id === view.person;
  const worded = messages.filter((part) => part.text ?? part.caption);
  const told = messages.length === 1 || (message.photo && worded.length === 1) ? worded[0] : undefined;
  const rich = told?.text ?? told?.caption;
  const entities = told?.entities ?? told?.caption_entities;
  const media = messages.length > 1 ? albumOf(messages, view, old) : mediaOf(message, view, old);
  const meta = metaOf(messages.at(-1), own);
  const bare = Boolean(media) && !rich && !message.reply_to_message && !message.forward_origin && (message.photo || message.sticker);
  const bubble = h("div", { class: `bubble ${bare ? "bare" : ""} ${message.photo ? "with-photo" : ""} ${message.sticker ? "with-sticker" : ""}` },
    message.forward_origin && h("div", { class: "forwarded" }, `${t("forwardedFrom")} `, h("b", {}, originName(message.forward_origin))),
    message.reply_to_message && quote(message.reply_to_message, view),
    message.show_caption_above_media ? null : media,
    rich ? h("div", { class: "text", dir: "auto" }, ...richText(rich, entities, view.act), message.show_caption_above_media ? null : meta) : meta,
    message.show_caption_above_media ? media : null);
  const more = h("button", { type: "button", class: "more", "aria-haspopup": "menu", onclick: (event) => view.act.menu(message, event.currentTarget) }, icon("more"));
  label(more, t("actions"));
  const stack = h("div", { class: `stack ${message.photo ? "photo-stack" : ""}` }, h("div", { class: "line" }, bubble, more), keyboard(message, view));
  if (message.photo) stack.style.setProperty("--width", messages.length > 1 ? "430px" : `${photoWidth(message.photo.at(-1))}px`);
  return stack;
}

function originName(origin) {
  return origin.sender_user_name ?? origin.sender_user?.first_name ?? "";
}

function metaOf(message, own) {
  const edited = own && message.edit_date ? `${t("edited")} ` : "";
  return h("span", { class: "meta" }, edited, h("time", { datetime: new Date(message.date * 1000).toISOString() }, clock(message.date)),
    own && icon("ticks"));
}

function quote(message, view) {
  const image = thumbnail(message);
  const name = message.from.id === view.person ? view.personName : view.botName;
  return h("button", { type: "button", class: "quote", onclick: () => view.act.jump(message.message_id) },
    image && h("img", { src: image, alt: "", class: "quote-image" }),
    h("span", { class: "quote-lines" }, h("b", {}, name), h("span", {}, summary(message))));
}

function mediaOf(message, view, old) {
  if (message.photo) return photo(message, view, old);
  if (message.document) return documentOf(message, old);
  if (message.sticker) return h("div", { class: "sticker", role: "img", "aria-label": t("sticker") }, message.sticker.emoji ?? "👍");
  if (message.voice) return tile("voice", t("voice"), `0:${String(message.voice.duration).padStart(2, "0")}`);
  if (message.video) return tile("video", t("video"), size(message.video.file_size));
  if (message.location) return tile("place", t("location"), `${message.location.latitude}, ${message.location.longitude}`);
  return null;
}

/** Photos as one mosaic; files one below the other, each with its own words. */
function albumOf(messages, view, old) {
  if (messages[0].photo) {
    const ratios = messages.map(({ photo: sizes }) => sizes.at(-1).width / sizes.at(-1).height);
    return mosaic(messages.map((part) => photo(part, view, old)), ratios, h);
  }
  return h("div", { class: "files" }, ...messages.flatMap((part) => [
    documentOf(part, old),
    part.caption && h("div", { class: "text file-text", dir: "auto" }, ...richText(part.caption, part.caption_entities, view.act)),
  ].filter(Boolean)));
}

const shownRatio = ({ width, height }) => Math.min(Math.max(width / height, 0.45), 2.6);
const photoWidth = (largest) => Math.round(Math.min(420, 440 * shownRatio(largest), Math.max(largest.width, 220)));

function photo(message, view, old) {
  const largest = message.photo[message.photo.length - 1];
  const ratio = shownRatio(largest);
  const kept = old?.querySelector(`img[data-file="${CSS.escape(largest.file_unique_id)}"]`);
  const image = kept ?? h("img", { src: fileUrl(largest.file_id), width: largest.width, height: largest.height, alt: message.caption ?? t("photo"), "data-file": largest.file_unique_id, draggable: "false" });
  const frame = h("button", { type: "button", class: "photo", "data-part": message.message_id, "aria-label": t("open") }, image);
  frame.style.setProperty("--ratio", String(ratio));
  if (message.has_media_spoiler) frame.classList.add("hidden-photo");
  frame.addEventListener("click", () => {
    if (frame.classList.contains("hidden-photo")) frame.classList.remove("hidden-photo");
    else view.act.enlarge(message);
  });
  return frame;
}

function documentOf({ document: file, message_id: part }, old) {
  const small = file.thumbnail;
  const image = small && (old?.querySelector(`img[data-file="${CSS.escape(small.file_unique_id)}"]`)
    ?? h("img", { src: fileUrl(small.file_id), alt: "", "data-file": small.file_unique_id, draggable: "false" }));
  return h("a", { class: `tile ${small ? "with-thumb" : ""}`, href: fileUrl(file.file_id, true), download: file.file_name, "data-part": part, "aria-label": `${t("download")} ${file.file_name}` },
    h("span", { class: "tile-icon" }, image, icon("download")),
    h("span", { class: "tile-lines" }, h("b", {}, file.file_name), h("span", {}, size(file.file_size), " · ", h("em", {}, t("download")))));
}

function tile(name, title, details) {
  return h("div", { class: "tile" }, h("span", { class: "tile-icon" }, icon(name)),
    h("span", { class: "tile-lines" }, h("b", {}, title), h("span", {}, details)));
}

function keyboard(message, view) {
  const rows = message.reply_markup?.inline_keyboard;
  if (!rows) return null;
  return h("div", { class: "keyboard" }, ...rows.map((row) => h("div", { class: "keys" }, ...row.map((key) => keyOf(message, key, view)))));
}

function keyOf(message, key, view) {
  const kind = key.url ? "link" : key.copy_text ? "copy" : key.web_app ? "app" : null;
  const waiting = key.callback_data !== undefined && view.waiting(message.message_id, key.callback_data);
  const button = h("button", { type: "button", class: `key ${key.style ?? ""} ${waiting ? "waiting" : ""}`, "aria-busy": waiting ? "true" : null },
    h("span", {}, key.text), kind && icon(kind));
  if (key.callback_data !== undefined) button.dataset.key = key.callback_data;
  button.addEventListener("click", () => {
    if (key.callback_data !== undefined) view.act.press(message.message_id, key.callback_data);
    else if (/^(https?|tg):/i.test(key.url ?? "")) open(key.url, "_blank", "noopener,noreferrer");
    else if (key.copy_text) copy(key.copy_text.text);
    else if (key.web_app) view.act.openMiniApp(message.message_id, key.web_app.url);
  });
  return button;
}
