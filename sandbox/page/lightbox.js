// One photo on the whole screen; the arrows go through its album.

import { $, label } from "/dom.js";
import { fileUrl } from "/message.js";
import { t } from "/texts.js";

/** `photosWith` gives a photo and those shown with it, `draw` opens the pencil on one. The function that is returned opens one. */
export function setUpLightbox(photosWith, draw) {
  const lightbox = $("lightbox");
  let open = { parts: [], at: 0 };

  function enlarge(message) {
    const parts = photosWith(message);
    open = { parts, at: parts.findIndex((part) => part.message_id === message.message_id) };
    show();
    if (!lightbox.open) lightbox.showModal();
  }

  function show(step = 0) {
    const { parts } = open;
    open.at = (open.at + step + parts.length) % parts.length;
    const message = parts[open.at];
    const source = fileUrl(message.photo.at(-1).file_id);
    const image = lightbox.querySelector("img");
    image.src = source;
    image.alt = message.caption ?? t("photo");
    const link = lightbox.querySelector("a");
    link.href = `${source}?download`;
    link.download = `photo-${message.message_id}`;
    label(link, t("download"));
    label(lightbox.querySelector(".shut"), t("close"));
    label(lightbox.querySelector(".draw"), t("drawOn"));
    lightbox.querySelector(".place").textContent = parts.length > 1 ? `${open.at + 1} / ${parts.length}` : "";
    for (const [name, words] of [["before", "previous"], ["after", "next"]]) {
      const button = lightbox.querySelector(`.${name}`);
      button.hidden = parts.length < 2;
      label(button, t(words));
    }
  }

  lightbox.querySelector(".before").addEventListener("click", () => show(-1));
  lightbox.querySelector(".after").addEventListener("click", () => show(1));
  lightbox.querySelector(".draw").addEventListener("click", () => { lightbox.close(); draw(open.parts[open.at]); });
  lightbox.addEventListener("click", (event) => { if (!event.target.closest("a, .before, .after")) lightbox.close(); });
  lightbox.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (step) show(step);
  });
  return enlarge;
}
