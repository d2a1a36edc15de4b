// Drawings that were not sent, kept on this device: a page that closes, or a network that fails, loses nothing.

const PREFIX = "mask ";
const MOST = 8; // drafts; the oldest go

const name = (id) => `${PREFIX}${window.Telegram?.WebApp?.initDataUnsafe?.user?.id ?? 0} ${id}`;

export function keep(id, mask) {
  const draft = { at: Date.now(), width: mask.width, height: mask.height, runs: mask.runs };
  try {
    localStorage.setItem(name(id), JSON.stringify(draft));
    const kept = Object.keys(localStorage).filter((key) => key.startsWith(PREFIX));
    const age = (key) => JSON.parse(localStorage.getItem(key))?.at ?? 0;
    kept.sort((a, b) => age(b) - age(a)).slice(MOST).forEach((key) => localStorage.removeItem(key));
  } catch { /* storage that is full or forbidden: the drawing lives as long as the page */ }
}

export function find(id, mask) {
  try {
    const draft = JSON.parse(localStorage.getItem(name(id)));
    return draft?.width === mask.width && draft?.height === mask.height ? draft.runs : null;
  } catch { return null; }
}

export function drop(id) {
  try { localStorage.removeItem(name(id)); } catch { /* there was none, then */ }
}
