// What is painted: a canvas whose pixels are painted or not, and every earlier state of it as lengths of runs.

const STEPS = 100; // that can be undone
const HALF = 128;

/** Lengths of runs, row by row: untouched, painted, untouched… of an array where each pixel counts as painted from HALF on. */
export function runsOf(values, stride = 1, offset = 0) {
  const runs = [];
  let painted = false;
  let length = 0;
  for (let at = offset; at < values.length; at += stride) {
    if ((values[at] >= HALF) !== painted) {
      runs.push(length);
      painted = !painted;
      length = 0;
    }
    length += 1;
  }
  runs.push(length);
  return runs;
}

export const paintedOf = (runs) => runs.reduce((sum, length, index) => sum + (index % 2 ? length : 0), 0);

export class Mask {
  #canvas; #context; #colour; #states = []; #at = -1;

  /** @param {string} colour as #rrggbb */
  constructor(canvas, width, height, colour) {
    Object.assign(canvas, { width, height });
    this.#canvas = canvas;
    this.#context = canvas.getContext("2d", { willReadFrequently: true });
    this.#colour = colour;
    this.#keep(runsOf(new Uint8Array(width * height)));
  }

  get width() { return this.#canvas.width; }
  get height() { return this.#canvas.height; }
  get runs() { return this.#states[this.#at]; }
  get share() { return paintedOf(this.runs) / (this.width * this.height); }
  get canUndo() { return this.#at > 0; }
  get canRedo() { return this.#at < this.#states.length - 1; }

  /** Show a line of the brush that is being drawn; `commit` makes it last, `restore` takes it back. */
  line(from, to, radius, erase) {
    const context = this.#begin(erase);
    Object.assign(context, { lineWidth: radius * 2, lineCap: "round", lineJoin: "round" });
    context.beginPath();
    context.moveTo(from.x, from.y);
    context.lineTo(to.x, to.y);
    context.stroke();
    context.restore();
  }

  /** Fill a closed outline. */
  fill(points, erase) {
    const context = this.#begin(erase);
    context.beginPath();
    points.forEach(({ x, y }) => context.lineTo(x, y));
    context.closePath();
    context.fill();
    context.restore();
    this.commit();
  }

  invert() { this.#replace([0, ...this.runs]); }
  clear() { this.#replace([this.width * this.height]); }

  /** Make what is on the canvas the newest state: every pixel is painted or is not. */
  commit() {
    const image = this.#context.getImageData(0, 0, this.width, this.height);
    this.#keep(runsOf(image.data, 4, 3));
    this.restore();
  }

  /** Draw the present state anew. */
  restore() {
    const image = this.#context.createImageData(this.width, this.height);
    const words = new Uint32Array(image.data.buffer);
    const [r, g, b] = [1, 3, 5].map((at) => parseInt(this.#colour.slice(at, at + 2), 16));
    fillRuns(words, this.runs, new Uint32Array(new Uint8Array([r, g, b, 255]).buffer)[0]);
    this.#context.putImageData(image, 0, 0);
  }

  undo() { if (this.canUndo) { this.#at -= 1; this.restore(); } }
  redo() { if (this.canRedo) { this.#at += 1; this.restore(); } }

  /** Begin with an earlier drawing; it cannot be undone. Returns whether it fits. */
  begin(runs) {
    const sum = Array.isArray(runs) ? runs.reduce((total, length) => total + length, 0) : -1;
    if (sum !== this.width * this.height || runs.some((length) => !(length >= 0))) return false;
    [this.#states, this.#at] = [[], -1];
    this.#keep(runs);
    this.restore();
    return true;
  }

  /** Begin with a mask that is a picture: white is painted. */
  beginWith(bitmap) {
    const context = new OffscreenCanvas(this.width, this.height).getContext("2d");
    context.imageSmoothingEnabled = false;
    context.drawImage(bitmap, 0, 0, this.width, this.height);
    this.begin(runsOf(context.getImageData(0, 0, this.width, this.height).data, 4, 0));
  }

  /** As a PNG file: black is kept, white is painted. */
  async png() {
    const canvas = document.createElement("canvas");
    Object.assign(canvas, { width: this.width, height: this.height });
    const context = canvas.getContext("2d");
    const image = context.createImageData(this.width, this.height);
    const words = new Uint32Array(image.data.buffer);
    const [black, white] = [0, 255].map((grey) => new Uint32Array(new Uint8Array([grey, grey, grey, 255]).buffer)[0]);
    words.fill(black);
    fillRuns(words, this.runs, white);
    context.putImageData(image, 0, 0);
    return new Promise((resolve) => { canvas.toBlob(resolve, "image/png"); });
  }

  #begin(erase) {
    const context = this.#context;
    context.save();
    context.globalCompositeOperation = erase ? "destination-out" : "source-over";
    context.fillStyle = context.strokeStyle = this.#colour;
    return context;
  }

  #replace(runs) {
    this.#keep(runs[0] === 0 && runs[1] === 0 ? runs.slice(2) : runs);
    this.restore();
  }

  #keep(runs) {
    this.#states = [...this.#states.slice(0, this.#at + 1), runs].slice(-STEPS - 1);
    this.#at = this.#states.length - 1;
  }
}

function fillRuns(words, runs, value) {
  let at = 0;
  runs.forEach((length, index) => {
    if (index % 2) words.fill(value, at, at + length);
    at += length;
  });
}
