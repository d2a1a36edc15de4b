// Pointers on the stage: one draws, two fingers zoom and move, a mouse moves with its middle button or the space bar.

const YOUNG_MS = 250; // a line younger than this, or shorter than SHORT, was the first of two fingers
const SHORT = 14; // pixels

/** Call `hand.begin/move/end/cancel` with places on the stage, `hand.pan/zoom`, and `hand.hover(place or null)`. */
export function follow(stage, hand) {
  const down = new Map();
  let doing = null; // "draw", "pinch", "pan", or "spent" until every finger is up
  let drawing = { id: 0, at: 0, from: null, longest: 0 };
  let space = false;

  const place = (event) => {
    const box = stage.getBoundingClientRect();
    return { x: event.clientX - box.left, y: event.clientY - box.top };
  };
  const between = ([a, b]) => ({ x: (a.x + b.x) / 2, y: (a.y + b.y) / 2, apart: Math.max(Math.hypot(a.x - b.x, a.y - b.y), 1) });

  stage.addEventListener("pointerdown", (event) => {
    if (event.target.closest("button, .notice")) return;
    event.preventDefault();
    stage.setPointerCapture(event.pointerId);
    const at = place(event);
    if (event.pointerType === "mouse" && (event.button === 1 || space)) doing = "pan";
    else if (event.pointerType === "mouse" && event.button !== 0) return;
    else if (doing === null) {
      doing = "draw";
      drawing = { id: event.pointerId, at: event.timeStamp, from: at, longest: 0 };
      hand.begin(at, event);
    } else if (doing === "draw" && event.pointerType === "touch" && down.size === 1) {
      const meant = event.timeStamp - drawing.at > YOUNG_MS && drawing.longest > SHORT;
      if (meant) hand.end(); else hand.cancel();
      doing = "pinch";
    } else return;
    down.set(event.pointerId, at);
  });

  stage.addEventListener("pointermove", (event) => {
    const at = place(event);
    if (event.pointerType !== "touch") hand.hover(at);
    const before = down.get(event.pointerId);
    if (!before) return;
    if (doing === "draw" && event.pointerId === drawing.id) {
      const seen = event.getCoalescedEvents?.() ?? [];
      for (const each of seen.length ? seen : [event]) hand.move(place(each));
      drawing.longest = Math.max(drawing.longest, Math.hypot(at.x - drawing.from.x, at.y - drawing.from.y));
    }
    if (doing === "pan") hand.pan(at.x - before.x, at.y - before.y);
    if (doing === "pinch") {
      const old = between([...down.values()]);
      down.set(event.pointerId, at);
      const now = between([...down.values()]);
      hand.pan(now.x - old.x, now.y - old.y);
      hand.zoom(now, now.apart / old.apart);
    }
    down.set(event.pointerId, at);
  });

  const up = (event) => {
    if (!down.delete(event.pointerId)) return;
    if (doing === "draw" && event.pointerId === drawing.id) hand.end();
    doing = down.size ? "spent" : null;
  };
  stage.addEventListener("pointerup", up);
  stage.addEventListener("pointercancel", up);
  stage.addEventListener("pointerleave", () => { if (!down.size) hand.hover(null); });
  stage.addEventListener("contextmenu", (event) => event.preventDefault());
  stage.addEventListener("wheel", (event) => {
    event.preventDefault();
    const lines = event.deltaMode === 1 ? 16 : 1;
    hand.zoom(place(event), Math.exp(-event.deltaY * lines * (event.ctrlKey ? 0.01 : 0.0016)));
  }, { passive: false });

  const spaceBar = (event) => {
    if (event.code !== "Space" || event.target.matches?.(":focus-visible")) return;
    event.preventDefault();
    space = event.type === "keydown";
    stage.classList.toggle("moving", space);
    hand.hover(null);
  };
  addEventListener("keydown", spaceBar);
  addEventListener("keyup", spaceBar);
  addEventListener("blur", () => { space = false; stage.classList.remove("moving"); });
}
