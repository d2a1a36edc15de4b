// The bot's side: the picture, its last mask, and the mask that goes there.

const PATIENCE_MS = 60_000;

/** An answer that is none; `reason` has a text error-REASON. */
export class Refusal extends Error {
  constructor(reason, values = {}) {
    super(reason);
    Object.assign(this, { reason, values });
  }
}

async function ask(path, options = {}) {
  const headers = { Authorization: `tma ${window.Telegram?.WebApp?.initData ?? ""}`, ...options.headers };
  let response;
  try {
    response = await fetch(path, { ...options, headers, signal: AbortSignal.timeout(PATIENCE_MS) });
  } catch {
    throw new Refusal("network");
  }
  if (response.ok) return response;
  const { error, values } = await response.json().catch(() => ({}));
  throw new Refusal(error ?? "away", values);
}

const address = (id, rest = "") => `pictures/${encodeURIComponent(id)}${rest}`;
const bitmap = async (response) => createImageBitmap(await response.blob().catch(() => { throw new Refusal("network"); }));

/** The picture, its true size, the language of its owner, and whether there is a last mask. */
export async function loadPicture(id) {
  const response = await ask(address(id));
  const [width, height] = response.headers.get("Picture-Size").split("x").map(Number);
  const told = { width, height, language: response.headers.get("Content-Language"), hasMask: response.headers.get("Picture-Mask") === "there" };
  return { ...told, image: await bitmap(response) };
}

export const loadMask = async (id) => bitmap(await ask(address(id, "/mask")));

export const sendMask = (id, body) => ask(address(id, "/mask"), { method: "POST", body, headers: { "Content-Type": "image/png" } });
