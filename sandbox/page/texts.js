// Words of the page, in the language of the person whose chat is open.

const EN = {
  people: "Chats", addPerson: "Add a person", newPerson: "New person", name: "Name", language: "Language",
  cancel: "Cancel", add: "Add", ok: "OK", close: "Close", openPeople: "All chats", you: "You", bot: "bot",
  start: "Start", unblock: "Unblock", block: "Stop and block the bot", message: "Message", send: "Send", save: "Save",
  attach: "Attach", menu: "Menu", photo: "Photo", file: "File", sticker: "Sticker", voice: "Voice message",
  video: "Video", location: "Location", reply: "Reply", copy: "Copy", edit: "Edit", forward: "Forward",
  delete: "Delete", more: "More", actions: "Message actions", replyTo: "Reply to", editing: "Edit message",
  edited: "edited", forwardedFrom: "Forwarded from", today: "Today", yesterday: "Yesterday", deleted: "Deleted message",
  typing: "typing", upload_photo: "sending a photo", upload_document: "sending a file", other: "busy",
  lost: "No connection. Trying again…", connecting: "connecting…", copied: "Copied", download: "Download",
  open: "Open the photo", whatCan: "What can this bot do?", toBottom: "To the newest message", caption: "Caption",
  sendPhoto: "Send a photo", sendFile: "Send a file", asFile: "Send as a file, without compression",
  drop: "Drop photos or files to send them", failed: "Could not send", tooBig: "The file is too big",
  expand: "Show more", collapse: "Show less", log: "Messages", spoiler: "Show the hidden part", emptyChat: "No messages yet",
  sendPhotos: "Send {n} photos", sendFiles: "Send {n} files", album: "Album", previous: "Previous photo", next: "Next photo",
  drawOn: "Draw on the photo", drawHere: "Photo to draw on", undo: "Undo", thickness: "Thickness", asReply: "As a reply to this photo",
  colours: {
    red: "Red", orange: "Orange", yellow: "Yellow", green: "Green", turquoise: "Turquoise", blue: "Blue", purple: "Purple", pink: "Pink",
    white: "White", black: "Black",
  },
  bytes: ["B", "KB", "MB"], switchPerson: "You write as",
};

const RU = {
  people: "Чаты", addPerson: "Добавить человека", newPerson: "Новый человек", name: "Имя", language: "Язык",
  cancel: "Отмена", add: "Добавить", ok: "Понятно", close: "Закрыть", openPeople: "Все чаты", you: "Вы", bot: "бот",
  start: "Начать", unblock: "Разблокировать", block: "Остановить и заблокировать бота", message: "Сообщение",
  send: "Отправить", save: "Сохранить", attach: "Прикрепить", menu: "Меню", photo: "Фото", file: "Файл",
  sticker: "Стикер", voice: "Голосовое сообщение", video: "Видео", location: "Геопозиция", reply: "Ответить",
  copy: "Копировать", edit: "Изменить", forward: "Переслать", delete: "Удалить", more: "Ещё",
  actions: "Действия с сообщением", replyTo: "В ответ", editing: "Изменить сообщение", edited: "изменено",
  forwardedFrom: "Переслано от", today: "Сегодня", yesterday: "Вчера", deleted: "Удалённое сообщение",
  typing: "печатает", upload_photo: "отправляет фото", upload_document: "отправляет файл", other: "занят",
  lost: "Нет связи. Пробуем снова…", connecting: "соединение…", copied: "Скопировано", download: "Скачать",
  open: "Открыть фото", whatCan: "Что умеет этот бот?", toBottom: "К последнему сообщению", caption: "Подпись",
  sendPhoto: "Отправить фото", sendFile: "Отправить файл", asFile: "Отправить файлом, без сжатия",
  drop: "Перетащите сюда фото или файлы", failed: "Не удалось отправить", tooBig: "Файл слишком большой",
  expand: "Показать полностью", collapse: "Свернуть", log: "Сообщения", spoiler: "Показать скрытое",
  sendPhotos: "Отправить {n} фото", sendFiles: "Отправить файлов: {n}", album: "Альбом",
  drawOn: "Рисовать на фото", drawHere: "Фото для рисования", undo: "Отменить", thickness: "Толщина",
  asReply: "Ответом на это фото",
  colours: {
    red: "Красный", orange: "Оранжевый", yellow: "Жёлтый", green: "Зелёный", turquoise: "Бирюзовый", blue: "Синий",
    purple: "Фиолетовый", pink: "Розовый", white: "Белый", black: "Чёрный",
  },
  previous: "Предыдущее фото", next: "Следующее фото", emptyChat: "Пока нет сообщений", bytes: ["Б", "КБ", "МБ"],
  switchPerson: "Вы пишете как",
};

let words = EN;
let locale = "en";

export function speak(language) {
  locale = language === "ru" ? "ru" : "en";
  words = locale === "ru" ? RU : EN;
  document.documentElement.lang = locale;
}

export const t = (key) => words[key] ?? EN[key] ?? key;

export const clock = (seconds) =>
  new Date(seconds * 1000).toLocaleTimeString(locale === "ru" ? "ru-RU" : "en-GB", { hour: "2-digit", minute: "2-digit" });

export const dayKey = (seconds) => new Date(seconds * 1000).toDateString();

export function dayName(seconds) {
  const date = new Date(seconds * 1000);
  const now = new Date();
  if (date.toDateString() === now.toDateString()) return t("today");
  now.setDate(now.getDate() - 1);
  if (date.toDateString() === now.toDateString()) return t("yesterday");
  return date.toLocaleDateString(locale === "ru" ? "ru-RU" : "en-GB", { day: "numeric", month: "long" });
}

export function size(bytes) {
  const [b, kb, mb] = t("bytes");
  if (bytes < 1024) return `${bytes} ${b}`;
  if (bytes < 1024 * 1024) return `${Math.round(bytes / 1024)} ${kb}`;
  return `${(bytes / 1024 / 1024).toLocaleString(locale, { maximumFractionDigits: 1 })} ${mb}`;
}
