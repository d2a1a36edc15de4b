// A Mini App in a panel over the chat, as Telegram opens it: signed launch data, the client's colours, its size, and its wishes.

import { $, label } from "/dom.js";
import { t } from "/texts.js";

const BAR = 48; // pixels of the panel's own bar, which lies over a Mini App on the full screen
const COLOURS = {
  bg_color: "--panel", secondary_bg_color: "--floor", header_bg_color: "--panel", bottom_bar_bg_color: "--panel", section_bg_color: "--panel",
  section_separator_color: "--line", text_color: "--text", hint_color: "--muted", subtitle_text_color: "--muted", link_color: "--accent-text",
  accent_text_color: "--accent-text", section_header_text_color: "--accent-text", button_color: "--accent", button_text_color: "--on-accent",
  destructive_text_color: "--danger",
};

/** The page's colours under Telegram's names, as #rrggbb. */
function theme() {
  const style = getComputedStyle(document.documentElement);
  const pen = document.createElement("canvas").getContext("2d");
  return Object.fromEntries(Object.entries(COLOURS).map(([name, variable]) => {
    pen.fillStyle = style.getPropertyValue(variable).trim();
    return [name, pen.fillStyle];
  }));
}

/** `address` asks the server for what the frame loads. The function that is returned opens a Mini App by its button. */
export function setUpMiniApps(address) {
  const panel = $("mini-app");
  const title = panel.querySelector("h3");
  let frame = null;
  let origin = "";
  let there = false; // a frame that has not loaded yet has no origin to speak to

  const tell = (eventType, eventData) => { if (there) frame?.contentWindow?.postMessage(JSON.stringify({ eventType, eventData }), origin); };
  const is = (name) => panel.classList.contains(name);
  const inset = (top) => ({ top, bottom: 0, left: 0, right: 0 });

  const tellViewport = () => tell("viewport_changed", { // while the panel grows, its height is not yet a stable one
    width: frame?.clientWidth, height: frame?.clientHeight, is_expanded: is("expanded") || is("full"),
    is_state_stable: panel.getAnimations().length === 0,
  });
  const tellFull = () => {
    tell("fullscreen_changed", { is_fullscreen: is("full") });
    tell("content_safe_area_changed", inset(is("full") ? BAR : 0));
    tellViewport();
  };

  const wishes = {
    web_app_ready: () => panel.classList.add("ready"),
    web_app_expand: () => { panel.classList.add("expanded"); tellViewport(); },
    web_app_close: close,
    web_app_request_theme: () => tell("theme_changed", { theme_params: theme() }),
    web_app_request_viewport: tellViewport,
    web_app_request_safe_area: () => tell("safe_area_changed", inset(0)),
    web_app_request_content_safe_area: () => tell("content_safe_area_changed", inset(is("full") ? BAR : 0)),
    web_app_request_fullscreen: () => { panel.classList.add("full"); tellFull(); },
    web_app_exit_fullscreen: () => { panel.classList.remove("full"); tellFull(); },
  };

  addEventListener("message", (event) => { // a Mini App that went to another origin has no wishes any more
    if (!frame || event.source !== frame.contentWindow || event.origin !== origin || typeof event.data !== "string") return;
    let wish;
    try { wish = JSON.parse(event.data); } catch { return; }
    there = true;
    wishes[wish?.eventType]?.(wish.eventData);
  });

  function close() {
    frame?.remove();
    [frame, there] = [null, false];
    if (panel.open) panel.close();
  }

  async function open(messageId, url, botName) {
    close();
    panel.classList.remove("ready", "expanded", "full");
    const { address: place } = await address(messageId, { url, theme: theme(), phone: matchMedia("(pointer: coarse)").matches });
    origin = new URL(place).origin;
    frame = document.createElement("iframe");
    frame.title = title.textContent = botName;
    frame.setAttribute("sandbox", "allow-scripts allow-same-origin allow-popups allow-forms allow-modals");
    frame.addEventListener("load", wishes.web_app_ready);
    frame.src = place;
    label(panel.querySelector(".shut"), t("close"));
    panel.append(frame);
    new ResizeObserver(() => { if (frame) tellViewport(); }).observe(frame);
    panel.showModal();
  }

  panel.querySelector(".shut").addEventListener("click", close);
  panel.addEventListener("close", close);
  panel.addEventListener("transitionend", tellViewport);
  panel.addEventListener("click", (event) => { if (event.target === panel) close(); });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", wishes.web_app_request_theme);
  return open;
}
