// Small helpers: elements are built from text nodes only, never from markup in strings.

export const $ = (id) => document.getElementById(id);

export function h(tag, props = {}, ...children) {
  const element = document.createElement(tag);
  for (const [key, value] of Object.entries(props)) {
    if (value === undefined || value === null || value === false) continue;
    if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else if (key === "class") element.className = value;
    else element.setAttribute(key, value === true ? "" : value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

const SVG = "http://www.w3.org/2000/svg";

export function icon(name) {
  const svg = document.createElementNS(SVG, "svg");
  const use = document.createElementNS(SVG, "use");
  use.setAttribute("href", `#i-${name}`);
  svg.setAttribute("aria-hidden", "true");
  svg.append(use);
  return svg;
}

export function label(element, words) {
  element.setAttribute("aria-label", words);
  element.title = words;
}

export function avatar(colour, name, extra = "") {
  const letters = [...name.trim()][0] ?? "?";
  return h("span", { class: `avatar c${colour % 6} ${extra}`, "aria-hidden": "true" }, letters.toUpperCase());
}

let toastTimer = 0;

export function toast(words) {
  const element = $("toast");
  element.textContent = words;
  element.hidden = false;
  clearTimeout(toastTimer);
  toastTimer = setTimeout(() => { element.hidden = true; }, Math.min(6000, 2000 + words.length * 40));
}

export function alertBox(words, ok) {
  const dialog = $("alert");
  dialog.querySelector("p").textContent = words;
  dialog.querySelector("button").textContent = ok;
  if (!dialog.open) dialog.showModal();
}

let closePopup = () => {};

/** Show a menu of {icon, label, act, danger} beside a point or an element; arrow keys walk through it. */
export function popup(items, anchor) {
  closePopup();
  const box = $("popup");
  const before = document.activeElement;
  const buttons = items.map((item) =>
    h("button", { type: "button", role: "menuitem", class: item.danger ? "danger" : "", onclick: () => { closePopup(); item.act(); } },
      icon(item.icon), item.label));
  box.replaceChildren(...buttons);
  box.hidden = false;
  const area = anchor.getBoundingClientRect?.() ?? { left: anchor.x, right: anchor.x, top: anchor.y, bottom: anchor.y };
  const { offsetWidth: width, offsetHeight: height } = box;
  const left = Math.max(8, Math.min(anchor.x !== undefined && !anchor.getBoundingClientRect ? area.left : area.right - width, innerWidth - width - 8));
  const below = area.bottom + height + 8 < innerHeight;
  box.style.left = `${left}px`;
  box.style.top = `${below ? area.bottom + 4 : Math.max(8, area.top - height - 4)}px`;
  buttons[0]?.focus({ preventScroll: true });

  const outside = (event) => { if (!box.contains(event.target)) closePopup(); };
  const keys = (event) => {
    const at = buttons.indexOf(document.activeElement);
    if (event.key === "Escape" || event.key === "Tab") { event.preventDefault(); closePopup(); before?.focus?.(); }
    if (event.key === "ArrowDown") { event.preventDefault(); buttons[(at + 1) % buttons.length].focus(); }
    if (event.key === "ArrowUp") { event.preventDefault(); buttons[(at + buttons.length - 1) % buttons.length].focus(); }
  };
  setTimeout(() => addEventListener("pointerdown", outside));
  addEventListener("keydown", keys, true);
  closePopup = () => {
    box.hidden = true;
    removeEventListener("pointerdown", outside);
    removeEventListener("keydown", keys, true);
    closePopup = () => {};
  };
}
