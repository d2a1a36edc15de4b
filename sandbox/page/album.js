// Several photos as one picture: rows of equal height, as messengers lay them out.

const TALLEST = 0.62; // a row of one tall photo may not fill the screen
const WIDEST = 1.9;
const clamp = (ratio) => Math.min(Math.max(ratio, TALLEST), WIDEST);

/** Every way to cut n things into rows of one to four. */
function* cuts(n) {
  if (n === 0) { yield []; return; }
  for (let first = 1; first <= Math.min(4, n); first += 1)
    for (const rest of cuts(n - first)) yield [first, ...rest];
}

/** Rows of indices for photos of these width-to-height ratios: about square as a whole, no row too low. */
export function rows(ratios) {
  let best = { cost: Infinity, cut: [ratios.length] };
  for (const cut of cuts(ratios.length)) {
    let at = 0;
    const heights = cut.map((count) => 1 / ratios.slice(at, at += count).reduce((sum, ratio) => sum + clamp(ratio), 0));
    const total = heights.reduce((sum, height) => sum + height, 0);
    const uneven = Math.max(...heights) - Math.min(...heights);
    const low = heights.filter((height) => height < 0.24).length;
    const cost = Math.abs(total - 0.95) + uneven * 0.6 + low + (total > 1.35 ? 2 : 0);
    if (cost < best.cost) best = { cost, cut };
  }
  let at = 0;
  return best.cut.map((count) => Array.from({ length: count }, () => at++));
}

/** Lay out frames, one for each ratio. */
export function mosaic(frames, ratios, h) {
  const box = h("div", { class: "album" });
  for (const row of rows(ratios)) {
    const line = h("div", { class: "album-row" }, ...row.map((index) => frames[index]));
    const wide = row.map((index) => clamp(ratios[index]));
    line.style.aspectRatio = String(wide.reduce((sum, ratio) => sum + ratio, 0));
    row.forEach((index, place) => { frames[index].style.flex = `${wide[place]} 1 0`; });
    box.append(line);
  }
  return box;
}
