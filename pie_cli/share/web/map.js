// The map: points by class, pictures on hover and where there is room for them, and a click that takes an image.
import { colourOf, mark, onSchemeChange, themed } from "./colours.js";
import { byId, element, say } from "./studio.js";
import { paint } from "./pictures.js";
import { View } from "./view.js";

const PICTURES_FROM = 2; // the zoom from which points become pictures
const WIDEST = 1.5; // the map's width over its height
const GAP = 5; // pixels between two pictures
const NEAR = 14; // pixels within which a pointer means a point
const NAMED = 20; // classes whose names stand on the map
const NEIGHBOURS = 5; // whose mean place is that of an own image

export class CodeMap {
  constructor(studio) {
    this.studio = studio;
    const { plane } = studio.data;
    this.view = new View(plane.data, studio.count);
    this.canvas = byId("map-canvas");
    this.over = byId("map-over");
    this.highlighted = new Set();
    this.pointers = new Map();
    this.hovered = this.cursor = null;
    const [wide, high] = this.view.spans, aspect = Math.min(WIDEST, Math.max(1, wide / high));
    byId("map-box").style.setProperty("--map-aspect", aspect);
    this.#legend();
    this.#listen();
    new ResizeObserver(() => this.#resize()).observe(byId("map-box"));
    onSchemeChange(() => this.draw());
    studio.onChoice((chosen) => {
      if (chosen.index !== null) this.cursor = chosen.index;
      this.#drawOver();
    });
  }

  label(i) {
    return this.studio.labels ? this.studio.labels[i] : 0;
  }

  counts = (i) => {
    const { plane } = this.view;
    if (!Number.isFinite(plane[2 * i])) return false;
    return (!this.highlighted.size || this.highlighted.has(this.label(i))) && this.view.contains(this.view.point(i));
  };

  #resize() {
    const { width, height } = byId("map-box").getBoundingClientRect(), ratio = devicePixelRatio || 1;
    this.view.sides = [Math.max(1, width), Math.max(1, height)];
    this.ratio = ratio;
    for (const canvas of [this.canvas, this.over]) {
      canvas.width = Math.round(width * ratio);
      canvas.height = Math.round(height * ratio);
    }
    this.draw();
  }

  #context(canvas) {
    const context = canvas.getContext("2d");
    context.setTransform(this.ratio, 0, 0, this.ratio, 0, 0);
    context.clearRect(0, 0, canvas.width, canvas.height);
    return context;
  }

  draw() {
    if (!this.ratio) return;
    const context = this.#context(this.canvas), { view, studio } = this;
    const usual = studio.count > 3000 ? 1.7 : studio.count > 600 ? 2.5 : 4, room = Math.min(1, 0.4 + view.sides[0] / 1000);
    const radius = Math.min(5, usual * room * view.zoom ** 0.4);
    const shown = this.view.zoom >= PICTURES_FROM ? this.#placed() : new Map();
    const byLabel = new Map();
    for (let i = 0; i < studio.count; i++) {
      const place = view.point(i);
      if (shown.has(i) || !view.contains(place, 8)) continue;
      if (!byLabel.has(this.label(i))) byLabel.set(this.label(i), []);
      byLabel.get(this.label(i)).push(place);
    }
    for (const [label, places] of byLabel) {
      context.globalAlpha = !this.highlighted.size || this.highlighted.has(label) ? 0.85 : 0.07;
      context.fillStyle = colourOf(label);
      context.beginPath();
      for (const [x, y] of places) mark(context, label, x, y, radius);
      context.fill();
    }
    context.globalAlpha = 1;
    for (const [i, [x, y, wide, high]] of shown) {
      context.fillStyle = colourOf(this.label(i));
      context.fillRect(x - 2, y - 2, wide + 4, high + 4);
      studio.sprite.draw(context, i, x, y, wide, high);
    }
    if (view.zoom < PICTURES_FROM) this.#names(context);
    this.canvas.classList.toggle("closer", view.zoom > 1);
    this.#drawOver();
  }

  // Return the points that are drawn as pictures, which do not cover each other, and where each is.
  #placed() {
    const { view, studio } = this, { wide, high } = studio.sprite;
    const larger = Math.min(2, Math.max(0.75, 30 / Math.max(wide, high))) * Math.min(1.5, 0.8 + view.zoom / 20);
    const [w, h] = [wide * larger, high * larger], taken = new Map(), placed = new Map();
    for (let i = 0; i < studio.count; i++) {
      if (!this.counts(i)) continue;
      const [x, y] = view.point(i), column = Math.floor(x / (w + GAP)), row = Math.floor(y / (h + GAP));
      const around = [-1, 0, 1].flatMap((dx) => [-1, 0, 1].map((dy) => taken.get(`${column + dx} ${row + dy}`)));
      if (around.some((other) => other && Math.abs(other[0] - x) < w + GAP && Math.abs(other[1] - y) < h + GAP)) continue;
      taken.set(`${column} ${row}`, [x, y]); // a cell has room for one
      placed.set(i, [x - w / 2, y - h / 2, w, h]);
    }
    return placed;
  }

  #names(context) {
    const { classes } = this.studio.about;
    if (!classes || classes.length > NAMED) return;
    this.medians ??= classes.map((_, label) => {
      const own = [...Array(this.studio.count).keys()].filter((i) => this.label(i) === label);
      const { plane } = this.view, middle = (axis) => own.map((i) => plane[2 * i + axis]).sort((a, b) => a - b)[own.length >> 1];
      const [x, y] = [middle(0), middle(1)], away = (i) => Math.hypot(plane[2 * i] - x, plane[2 * i + 1] - y);
      const nearest = own.reduce((best, i) => (away(i) < away(best) ? i : best), own[0]);
      return own.length ? [plane[2 * nearest], plane[2 * nearest + 1]] : null; // where there is a point of its own
    });
    context.font = `600 15px ${themed("--sans")}`;
    context.textAlign = "center";
    context.textBaseline = "middle";
    context.lineJoin = "round";
    context.lineWidth = 5;
    context.strokeStyle = themed("--card");
    context.fillStyle = themed("--ink");
    this.medians.forEach((median, label) => {
      if (!median || (this.highlighted.size && !this.highlighted.has(label))) return;
      const name = classes[label].length > 16 ? `${classes[label].slice(0, 15)}…` : classes[label];
      const [x, y] = this.view.at(...median), half = context.measureText(name).width / 2 + 4;
      const place = [Math.max(half, Math.min(this.view.sides[0] - half, x)), y];
      context.strokeText(name, ...place);
      context.fillText(name, ...place);
    });
  }

  // The layer above: the chosen image, and what the pointer or the keyboard is at.
  #drawOver() {
    if (!this.ratio) return;
    const context = this.#context(this.over), { chosen } = this.studio;
    const ring = (place, radius, width) => {
      for (const [colour, line] of [[themed("--card"), width + 3], [themed("--ink"), width]]) {
        context.beginPath();
        context.arc(...place, radius, 0, 7);
        context.lineWidth = line;
        context.strokeStyle = colour;
        context.stroke();
      }
    };
    if (chosen) {
      const place = chosen.index === null ? this.#placeOf(chosen.z) : this.view.point(chosen.index);
      if (place && this.view.contains(place)) ring(place, 9, 2.5);
    }
    const at = this.hovered ?? (document.activeElement === this.canvas ? this.cursor : null);
    const pointed = at !== null && this.view.contains(this.view.point(at)) ? at : null;
    if (pointed !== null) ring(this.view.point(pointed), 6, 1.5);
    this.#tip(pointed);
  }

  // Where an own code lies: among the nearest ones of the test images.
  #placeOf(z) {
    const { codes } = this.studio.data, d = z.length;
    const distances = Array.from({ length: this.studio.count }, (_, i) => {
      let sum = 0;
      for (let k = 0; k < d; k++) sum += (codes.data[i * d + k] - z[k]) ** 2;
      return [sum, i];
    });
    const near = distances.sort((a, b) => a[0] - b[0]).slice(0, NEIGHBOURS).map(([, i]) => i);
    const mean = [0, 1].map((axis) => near.reduce((sum, i) => sum + this.view.plane[2 * i + axis], 0) / near.length);
    return mean.every(Number.isFinite) ? this.view.at(...mean) : null;
  }

  #tip(at) {
    const tip = byId("map-tip");
    tip.hidden = at === null;
    if (at === null) return;
    if (this.tipped !== at) {
      paint(tip.querySelector("canvas"), this.studio.sprite.image(at), this.studio.shape);
      tip.querySelector("span").textContent = this.studio.nameOf(at);
      this.tipped = at;
    }
    const [x, y] = this.view.point(at), { offsetWidth: w, offsetHeight: h } = tip, [wide, high] = this.view.sides;
    const left = x + w + 24 > wide ? x - w - 14 : x + 14, top = Math.min(Math.max(4, y - h / 2), high - h - 4);
    tip.style.transform = `translate(${Math.max(4, left)}px, ${top}px)`;
  }

  #listen() {
    const { canvas, view } = this;
    const place = (event) => [event.offsetX, event.offsetY];
    let moved = 0;
    canvas.addEventListener("pointerdown", (event) => {
      this.pointers.set(event.pointerId, place(event));
      canvas.setPointerCapture(event.pointerId);
      moved = this.pointers.size > 1 ? Infinity : 0;
    });
    canvas.addEventListener("pointermove", (event) => {
      const [x, y] = place(event), before = this.pointers.get(event.pointerId);
      if (!before) {
        const found = view.nearest(x, y, NEAR, this.counts);
        if (found !== this.hovered) {
          this.hovered = found;
          this.#drawOver();
        }
        return;
      }
      const others = [...this.pointers].filter(([id]) => id !== event.pointerId);
      this.pointers.set(event.pointerId, [x, y]);
      moved += Math.abs(x - before[0]) + Math.abs(y - before[1]);
      if (others.length) {
        const [ox, oy] = others[0][1];
        view.zoomAt(Math.hypot(x - ox, y - oy) / Math.max(1, Math.hypot(before[0] - ox, before[1] - oy)), ox, oy);
      } else if (moved > 4) view.move(x - before[0], y - before[1]);
      if (others.length || moved > 4) {
        this.hovered = null;
        this.draw();
      }
    });
    const ended = (event) => {
      if (!this.pointers.delete(event.pointerId) || event.type !== "pointerup" || moved > 4) return;
      const found = view.nearest(...place(event), 2 * NEAR, this.counts);
      if (found !== null) this.studio.take(found);
    };
    canvas.addEventListener("pointerup", ended);
    canvas.addEventListener("pointercancel", ended);
    canvas.addEventListener("pointerleave", () => {
      this.hovered = null;
      this.#drawOver();
    });
    canvas.addEventListener("wheel", (event) => {
      if (!event.ctrlKey && !event.metaKey) return;
      event.preventDefault();
      this.#zoom(Math.exp(-event.deltaY / 200), ...place(event));
    }, { passive: false });
    canvas.addEventListener("dblclick", (event) => this.#zoom(2, ...place(event)));
    canvas.addEventListener("keydown", (event) => this.#key(event));
    for (const kind of ["focus", "blur"]) canvas.addEventListener(kind, () => this.#drawOver());
    byId("zoom-in").addEventListener("click", () => this.#zoom(1.6));
    byId("zoom-out").addEventListener("click", () => this.#zoom(1 / 1.6));
    byId("zoom-all").addEventListener("click", () => this.#zoom(0));
  }

  #zoom(factor, ...place) {
    if (factor) this.view.zoomAt(factor, ...place);
    else this.view.all();
    this.hovered = null;
    this.draw();
  }

  #key(event) {
    const directions = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
    const zooms = { "+": 1.6, "=": 1.6, "-": 1 / 1.6, 0: 0 };
    if (event.key in directions) {
      this.cursor ??= 0;
      this.cursor = this.view.towards(this.cursor, ...directions[event.key], this.counts);
      this.#drawOver();
      say(this.studio.nameOf(this.cursor));
    } else if (event.key === "Enter" && this.cursor !== null) this.studio.take(this.cursor);
    else if (event.key in zooms && !event.ctrlKey && !event.metaKey) {
      const place = this.cursor === null ? [] : this.view.point(this.cursor);
      this.#zoom(zooms[event.key], ...place);
    } else return;
    event.preventDefault();
  }

  #legend() {
    const { classes } = this.studio.about;
    if (!classes) return;
    byId("legend").hidden = false;
    classes.forEach((name, label) => {
      const key = element("canvas", { width: 28, height: 28, ariaHidden: "true" });
      const button = element("button", { type: "button", title: name }, key, element("span", { textContent: name }));
      button.setAttribute("aria-pressed", "false");
      const drawKey = () => {
        const context = key.getContext("2d");
        context.clearRect(0, 0, 28, 28);
        context.fillStyle = colourOf(label);
        context.beginPath();
        mark(context, label, 14, 14, 11);
        context.fill();
      };
      drawKey();
      onSchemeChange(drawKey);
      button.addEventListener("click", () => {
        const pressed = !this.highlighted.delete(label);
        if (pressed) this.highlighted.add(label);
        button.setAttribute("aria-pressed", pressed);
        this.draw();
      });
      byId("legend").querySelector("div").append(button);
    });
  }
}
