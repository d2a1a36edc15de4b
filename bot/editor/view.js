// Where the sheet lies on the stage: scale and place, in CSS pixels.

const MARGIN = 14;
const NEAREST = 24; // times the fitting scale
const VISIBLE = 60; // pixels of the sheet that stay on the stage

export class View {
  #stage; #sheet; #changed; #width; #height; #scale = 1; #x = 0; #y = 0; #fitted = true;

  constructor(stage, sheet, width, height, changed) {
    [this.#stage, this.#sheet, this.#width, this.#height, this.#changed] = [stage, sheet, width, height, changed];
    sheet.style.width = `${width}px`;
    sheet.style.height = `${height}px`;
    new ResizeObserver(() => (this.#fitted ? this.fit() : this.#place())).observe(stage);
    this.fit();
  }

  get scale() { return this.#scale; }
  get fitted() { return this.#fitted; }

  /** A place on the stage as a place on the sheet. */
  onSheet({ x, y }) { return { x: (x - this.#x) / this.#scale, y: (y - this.#y) / this.#scale }; }

  /** A place on the sheet as a place on the stage. */
  onStage({ x, y }) { return { x: x * this.#scale + this.#x, y: y * this.#scale + this.#y }; }

  fit() {
    const { clientWidth, clientHeight } = this.#stage;
    this.#scale = this.#fitting();
    this.#x = (clientWidth - this.#width * this.#scale) / 2;
    this.#y = (clientHeight - this.#height * this.#scale) / 2;
    this.#fitted = true;
    this.#place();
  }

  pan(dx, dy) {
    this.#x += dx;
    this.#y += dy;
    this.#fitted = false;
    this.#place();
  }

  /** Zoom so that what lies under a place of the stage stays there. */
  zoom(at, factor) {
    const fitting = this.#fitting();
    const scale = Math.min(Math.max(this.#scale * factor, fitting * 0.8), fitting * NEAREST);
    this.#x = at.x - (at.x - this.#x) * scale / this.#scale;
    this.#y = at.y - (at.y - this.#y) * scale / this.#scale;
    this.#scale = scale;
    this.#fitted = false;
    this.#place();
  }

  #fitting() {
    const { clientWidth, clientHeight } = this.#stage;
    return Math.max(Math.min((clientWidth - 2 * MARGIN) / this.#width, (clientHeight - 2 * MARGIN) / this.#height), 0.01);
  }

  #place() {
    const { clientWidth, clientHeight } = this.#stage;
    this.#x = Math.min(Math.max(this.#x, VISIBLE - this.#width * this.#scale), clientWidth - VISIBLE);
    this.#y = Math.min(Math.max(this.#y, VISIBLE - this.#height * this.#scale), clientHeight - VISIBLE);
    this.#sheet.style.transform = `translate(${this.#x}px, ${this.#y}px) scale(${this.#scale})`;
    this.#sheet.classList.toggle("near", this.#scale * devicePixelRatio > 4);
    this.#changed();
  }
}
