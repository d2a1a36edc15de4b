// The messenger: who is here, what is on the screen, and what arrives from the server.

import { build, copy, fileUrl, summary } from "/message.js";
import { setUpLightbox } from "/lightbox.js";
import { setUpComposer } from "/composer.js";
import { setUpMiniApps } from "/mini-app.js";
import { setUpPencil } from "/pencil.js";
import { $, alertBox, avatar, h, label, popup, toast } from "/dom.js";
import { clock, dayKey, dayName, speak, t } from "/texts.js";

const state = {
  boot: "", bot: {}, people: new Map(), current: 0, messages: new Map(), nodes: new Map(), waiting: new Map(),
  commands: [], blocked: false, description: "", unseen: 0,
};
const scroller = $("scroll");
const log = $("log");

async function request(path, options) {
  const response = await fetch(path, options);
  const body = await response.json().catch(() => ({}));
  if (!response.ok) throw new Error(body.error ?? response.statusText);
  return body;
}

export const post = (path, body) =>
  request(path, body instanceof FormData ? { method: "POST", body }
    : { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body ?? {}) })
    .catch((error) => { toast(`${t("failed")}: ${error.message}`); throw error; });

const chatPath = (rest = "") => `/sandbox/chats/${state.current}${rest}`;
const quietly = (promise) => promise.catch(() => {});

// What a person can do

const act = {
  say: (text) => quietly(post(chatPath("/messages"), { text })),
  send: (text, replyTo) => post(chatPath("/messages"), { text, reply_to: replyTo }),
  edit: (id, text) => post(chatPath(`/messages/${id}/edit`), { text }),
  upload: (form) => post(chatPath("/messages"), form),
  kind: (kind) => { const form = new FormData(); form.set("kind", kind); quietly(post(chatPath("/messages"), form)); },
  press(id, data) {
    if (view.waiting(id, data)) return;
    quietly(post(chatPath(`/messages/${id}/callback`), { data }));
  },
  jump(id) {
    const node = state.nodes.get(id);
    if (!node) return toast(t("deleted"));
    node.scrollIntoView({ block: "center", behavior: "smooth" });
    node.classList.remove("flash");
    requestAnimationFrame(() => node.classList.add("flash"));
  },
  enlarge: setUpLightbox((message) => together(message).filter((part) => part.photo), setUpPencil((form) => act.upload(form).then(() => stick(true)))),
  openMiniApp: (id, url) => quietly(openMiniApp(id, url, state.bot.first_name)),
  menu: messageMenu,
};

const openMiniApp = setUpMiniApps((id, wish) => post(chatPath(`/messages/${id}/mini-app`), wish));

const view = {
  act,
  get person() { return state.current; },
  get personName() { return state.people.get(state.current)?.name ?? ""; },
  get botName() { return state.bot.first_name ?? ""; },
  waiting: (id, data) => [...state.waiting.values()].some((press) => press.message_id === id && press.data === data),
};

const composer = setUpComposer({ act, state, summary, view, block, pinned: () => stick(true) });

function block(blocked) {
  quietly(post(chatPath("/block"), { blocked }));
}

function messageMenu(message, anchor) {
  const own = message.from.id === state.current;
  const words = message.text ?? message.caption;
  const items = [{ icon: "reply", label: t("reply"), act: () => composer.reply(message) }];
  if (words) items.push({ icon: "copy", label: t("copy"), act: () => copy(words) });
  if (own && words !== undefined && !message.forward_origin) items.push({ icon: "edit", label: t("edit"), act: () => composer.edit(message) });
  items.push({ icon: "forward", label: t("forward"), act: () => quietly(post(chatPath(`/messages/${message.message_id}/forward`))) });
  items.push({ icon: "trash", label: t("delete"), danger: true, act: () => quietly(request(chatPath(`/messages/${message.message_id}`), { method: "DELETE" })) });
  popup(items, anchor);
}

// Drawing the chat

const nearBottom = () => scroller.scrollHeight - scroller.scrollTop - scroller.clientHeight < 90;
let pinned = true;
let measured = "";
const measure = () => `${scroller.scrollHeight} ${scroller.clientHeight}`;

function stick(force = false) {
  if (force) pinned = true;
  if (pinned) scroller.scrollTop = scroller.scrollHeight;
  measured = measure();
  showJump();
}

scroller.addEventListener("scroll", () => {
  if (pinned && measured !== measure()) return stick(); // the window or the list changed, not the person's place in it
  pinned = nearBottom();
  if (pinned) state.unseen = 0;
  showJump();
}, { passive: true });
new ResizeObserver(() => stick()).observe(log);
new ResizeObserver(() => stick()).observe(scroller);

function showJump() {
  $("to-bottom").hidden = pinned;
  const badge = $("to-bottom").querySelector(".badge");
  badge.hidden = !state.unseen;
  badge.textContent = String(state.unseen);
}

$("to-bottom").addEventListener("click", () => { scroller.scrollTo({ top: scroller.scrollHeight, behavior: "smooth" }); });

/** The messages that are shown as one: an album, or the message alone. */
function together(message) {
  if (!message.media_group_id) return [message];
  return [...state.messages.values()].filter((other) => other.media_group_id === message.media_group_id);
}

const touched = (event) => state.messages.get(Number(event.target.closest("[data-part]")?.dataset.part ?? event.currentTarget.dataset.id));

function draw(message, fresh = false) {
  const id = message.message_id;
  state.messages.set(id, message);
  const shown = together(message);
  const old = shown.map((part) => state.nodes.get(part.message_id)).find(Boolean);
  const node = old ?? h("li");
  state.nodes.set(id, node);
  node.dataset.id = shown[0].message_id;
  const focused = node.contains(document.activeElement) ? document.activeElement.dataset.key : undefined;
  node.replaceChildren(build(shown, view, old));
  node.classList.toggle("own", message.from.id === state.current);
  if (focused !== undefined) node.querySelector(`[data-key="${CSS.escape(focused)}"]`)?.focus({ preventScroll: true });
  if (old) return node;
  if (fresh) node.classList.add("fresh");
  node.addEventListener("contextmenu", (event) => {
    if (event.target.closest("a, .photo") || String(getSelection())) return;
    event.preventDefault();
    messageMenu(touched(event), { x: event.clientX, y: event.clientY });
  });
  node.addEventListener("click", (event) => { // a finger has no pointer to hover with: a tap on the bubble opens the menu
    if (!matchMedia("(hover: none)").matches || !event.target.closest(".bubble") || event.target.closest("a, button, code, blockquote")) return;
    messageMenu(touched(event), { x: event.clientX, y: event.clientY });
  });
  log.append(node);
  return node;
}

/** Days and tails depend on neighbours. */
function arrange() {
  const nodes = [...log.children];
  const shown = nodes.map((node) => state.messages.get(Number(node.dataset.id)));
  nodes.forEach((node, index) => {
    const [before, message, after] = [shown[index - 1], shown[index], shown[index + 1]];
    const joined = (a, b) => a && b && a.from.id === b.from.id && dayKey(a.date) === dayKey(b.date) && b.date - a.date < 300;
    node.classList.toggle("first", !joined(before, message));
    node.classList.toggle("last", !joined(message, after));
    const newDay = !before || dayKey(before.date) !== dayKey(message.date);
    if (newDay) node.dataset.day = dayName(message.date);
    else delete node.dataset.day;
    const chip = node.querySelector(":scope > .day");
    if (newDay && !chip) node.prepend(h("div", { class: "day" }, h("span", {}, node.dataset.day)));
    if (!newDay) chip?.remove();
  });
  $("welcome").hidden = state.messages.size > 0;
}

function erase(id) {
  const [message, node] = [state.messages.get(id), state.nodes.get(id)];
  state.messages.delete(id);
  state.nodes.delete(id);
  const rest = message?.media_group_id ? together(message) : [];
  if (rest.length) draw(rest[0]);
  else node?.remove();
  arrange();
  composer.gone(id);
}

/** A photo that replaces something appears only when it is decoded, so nothing flickers. */
async function redraw(message) {
  const id = message.message_id;
  const before = state.messages.get(id);
  state.messages.set(id, message);
  const file = message.photo?.at(-1);
  if (file && before?.photo?.at(-1).file_unique_id !== file.file_unique_id) {
    const image = new Image();
    image.src = fileUrl(file.file_id);
    await image.decode().catch(() => {});
    if (state.messages.get(id) !== message) return;
  }
  if (!state.nodes.has(id)) return;
  draw(message);
  arrange();
  stick();
  if (file) status();
}

async function openChat(id) {
  state.current = id;
  const person = state.people.get(id);
  speak(person.language_code);
  person.unread = 0;
  const chat = await request(chatPath());
  if (state.current !== id) return;
  for (const map of [state.messages, state.nodes, state.waiting]) map.clear();
  log.replaceChildren();
  Object.assign(state, { commands: chat.commands, blocked: chat.blocked, description: chat.description, unseen: 0 });
  state.bot.first_name = chat.name;
  chat.unanswered.forEach((press) => state.waiting.set(press.id, press));
  chat.messages.forEach((message) => draw(message));
  history.replaceState(null, "", `#${id}`);
  arrange();
  frame();
  composer.opened();
  stick(true);
}

/** Everything around the messages. */
function frame() {
  const person = state.people.get(state.current);
  document.title = state.bot.first_name;
  $("bot-name").textContent = state.bot.first_name;
  $("people-title").textContent = t("people");
  $("add-person").querySelector("span").textContent = t("addPerson");
  $("me").replaceChildren(avatar(colour(person), person.name, "small"), h("span", {}, person.name));
  label($("me"), `${t("switchPerson")}: ${person.name}`);
  label($("people-open"), t("openPeople"));
  label($("people-close"), t("close"));
  label($("head-menu"), t("more"));
  label($("to-bottom"), t("toBottom"));
  log.setAttribute("aria-label", t("log"));
  $("welcome").querySelector("h3").textContent = t("whatCan");
  $("welcome").querySelector("p").textContent = state.description || `@${state.bot.username}`;
  $("lost").textContent = t("lost");
  $("drop").querySelector("p").textContent = t("drop");
  status();
  listPeople();
}

const colour = (person) => [...state.people.keys()].indexOf(person.id);

let actionTimer = 0;

function status(action) {
  clearTimeout(actionTimer);
  const busy = Boolean(action);
  $("bot-status").classList.toggle("busy", busy);
  $("bot-status").textContent = !$("lost").hidden ? t("connecting") : busy ? t(["typing", "upload_photo", "upload_document"].includes(action) ? action : "other") : t("bot");
  if (busy) actionTimer = setTimeout(status, 5500);
}

function listPeople() {
  const rows = [...state.people.values()].map((person) => {
    const last = person.last;
    const row = h("button", { type: "button", class: person.id === state.current ? "current" : "", "aria-current": person.id === state.current ? "true" : null, onclick: () => { closePeople(); openChat(person.id); } },
      avatar(colour(person), person.name),
      h("span", { class: "row-lines" },
        h("span", { class: "row-top" }, h("b", {}, person.name), h("small", { class: "tongue" }, person.language_code), last ? h("time", {}, clock(last.edit_date ?? last.date)) : null),
        h("span", { class: "row-last" }, last ? summary(last) : t("emptyChat"), person.unread ? h("span", { class: "badge" }, String(person.unread)) : null)));
    return h("li", {}, row);
  });
  $("people-list").replaceChildren(...rows);
  const unread = [...state.people.values()].reduce((sum, person) => sum + person.unread, 0);
  $("others-unread").hidden = !unread;
  $("others-unread").textContent = String(unread);
}

function closePeople() { document.body.classList.remove("show-people"); $("veil").hidden = true; }
function showPeople() { document.body.classList.add("show-people"); $("veil").hidden = false; $("people-list").querySelector(".current")?.focus(); }
$("people-open").addEventListener("click", showPeople);
$("me").addEventListener("click", showPeople);
$("people-close").addEventListener("click", closePeople);
$("veil").addEventListener("click", closePeople);
addEventListener("keydown", (event) => { if (event.key === "Escape") closePeople(); });

$("head-menu").addEventListener("click", () => popup([
  { icon: "person", label: t("addPerson"), act: askPerson },
  { icon: "block", label: t(state.blocked ? "unblock" : "block"), danger: !state.blocked, act: () => block(!state.blocked) },
], $("head-menu")));

function askPerson() {
  closePeople();
  const dialog = $("new-person");
  const [name, language] = dialog.querySelectorAll("label span");
  [name.textContent, language.textContent] = [t("name"), t("language")];
  dialog.querySelector("h3").textContent = t("newPerson");
  const [cancel, ok] = dialog.querySelectorAll(".row button");
  [cancel.textContent, ok.textContent] = [t("cancel"), t("add")];
  cancel.onclick = () => dialog.close();
  const form = dialog.querySelector("form");
  form.reset();
  form.language.value = document.documentElement.lang;
  form.onsubmit = async () => {
    const person = await post("/sandbox/people", { name: form.name.value, language_code: form.language.value });
    state.people.set(person.id, { ...person, last: null, unread: 0 });
    openChat(person.id);
  };
  dialog.showModal();
}
$("add-person").addEventListener("click", askPerson);

// What arrives

function arrive(event) {
  const { chat_id: chat, kind, data } = event;
  const person = state.people.get(chat);
  if (kind === "person" && !state.people.has(data.id)) { state.people.set(data.id, { ...data, last: null, unread: 0 }); listPeople(); }
  if (kind === "commands" || kind === "bot") refreshCommands();
  if (person && (kind === "message" || (kind === "edit" && person.last?.message_id === data.message_id))) {
    person.last = data;
    if (kind === "message" && chat !== state.current) person.unread += 1;
    listPeople();
  }
  if (chat !== state.current) return;
  const handlers = {
    message() {
      if (state.messages.has(data.message_id)) return;
      const own = data.from.id === state.current;
      draw(data, true);
      arrange();
      if (own || pinned) stick(true);
      else { state.unseen += 1; showJump(); }
      if (!own) status();
      composer.refresh();
    },
    edit: () => redraw(data),
    delete: () => erase(data.message_id),
    action: () => { if (Date.now() / 1000 - event.at < 6) status(data.action); },
    press() { state.waiting.set(data.id, data); refreshKeys(data.message_id); },
    answer() {
      state.waiting.delete(data.id);
      refreshKeys(data.message_id);
      if (data.text) data.show_alert ? alertBox(data.text, t("ok")) : toast(data.text);
    },
    force_reply() { const message = state.messages.get(data.message_id); if (message) composer.reply(message, data.placeholder); },
    block() { state.blocked = data.blocked; composer.refresh(); },
  };
  handlers[kind]?.();
}

function refreshKeys(id) {
  for (const key of state.nodes.get(id)?.querySelectorAll("[data-key]") ?? []) {
    const waiting = view.waiting(id, key.dataset.key);
    key.classList.toggle("waiting", waiting);
    key.ariaBusy = waiting ? "true" : null;
  }
}

async function refreshCommands() {
  const chat = await request(chatPath());
  state.commands = chat.commands;
  state.description = chat.description;
  state.bot.first_name = chat.name;
  frame();
  composer.refresh();
}

async function load() {
  const { boot, number, bot, people } = await request("/sandbox/state");
  Object.assign(state, { boot, bot });
  state.people = new Map(people.map((person) => [person.id, { ...person, unread: 0 }]));
  if (!people.length) await post("/sandbox/people", { name: "Anna", language_code: "en" }).then((person) => state.people.set(person.id, { ...person, last: null, unread: 0 }));
  const wanted = Number(location.hash.slice(1));
  await openChat(state.people.has(wanted) ? wanted : state.people.keys().next().value);
  return number;
}

function listen(after) {
  const source = new EventSource(`/sandbox/events?after=${after}`);
  source.addEventListener("hello", async (event) => {
    $("lost").hidden = true;
    status();
    if (JSON.parse(event.data).boot === state.boot) return;
    source.close();
    listen(await load());
  });
  source.onmessage = (event) => arrive(JSON.parse(event.data));
  source.onerror = () => {
    $("lost").hidden = false;
    status();
    if (source.readyState === EventSource.CLOSED) setTimeout(() => listen(after), 1000);
  };
}

load().then(listen, () => { $("lost").hidden = false; $("lost").textContent = t("lost"); setTimeout(() => location.reload(), 1500); });
