// The decoder: a slider for each number of z, and the picture at once.
import { byId, element, normal, short } from "./studio.js";
import { errorOf, paint } from "./pictures.js";

const REACH = 3; // of a slider, at least: three standard deviations of the prior
const BINS = 40; // of the hill behind a slider
const ENDS = 16; // sliders that have pictures at their ends
const PATIENCE = 200; // ms without a move after which those are drawn again

export class Decoder {
  constructor(studio) {
    this.studio = studio;
    const d = studio.model.latentDim;
    this.z = new Float32Array(d);
    this.sliders = Array.from({ length: d }, (_, k) => this.#slider(k));
    byId("z-back").addEventListener("click", () => this.#show(studio.chosen));
    byId("z-zero").addEventListener("click", () => this.set(new Float32Array(d)));
    byId("z-random").addEventListener("click", () => this.set(normal(d)));
    byId("ends-help").hidden = d > ENDS;
    this.kept = byId("with-levels").querySelector("input");
    this.kept.addEventListener("change", () => this.draw());
    studio.onChoice((chosen) => this.#show(chosen));
  }

  #slider(k) {
    const { studio } = this, d = studio.model.latentDim;
    const values = Array.from({ length: studio.count }, (_, i) => studio.data.codes.data[i * d + k]);
    const reach = Math.ceil(values.reduce((most, value) => Math.max(most, Math.abs(value)), REACH));
    const name = `z-${k + 1}`;
    const input = element("input", { type: "range", id: name, min: -reach, max: reach, step: 0.01, value: 0 });
    const output = element("output", { htmlFor: name });
    const label = element("label", { htmlFor: name }, `z${subscript(k + 1)}`, output);
    const ends = d <= ENDS ? [0, 1].map(() => element("canvas", { className: "picture", ariaHidden: "true" })) : [];
    const track = element("div", { className: "track" }, hill(values, reach), input);
    const row = element("div", { className: d <= ENDS ? "slider" : "slider plain" }, label);
    row.append(...(ends.length ? [ends[0], track, ends[1]] : [track]));
    byId("sliders").append(row);
    input.addEventListener("input", () => {
      this.z[k] = Number(input.value);
      output.value = signed(this.z[k]);
      this.draw();
    });
    return { input, output, ends, reach };
  }

  #show(chosen) {
    byId("with-levels").hidden = !chosen.residuals.length;
    this.set(chosen.z);
  }

  set(z) {
    this.z = Float32Array.from(z);
    this.sliders.forEach(({ input, output, reach }, k) => {
      if (Math.abs(z[k]) > reach) [input.min, input.max] = [-Math.ceil(Math.abs(z[k])), Math.ceil(Math.abs(z[k]))];
      input.value = z[k];
      output.value = signed(z[k]);
    });
    this.draw();
  }

  draw() {
    const { model, chosen, shape } = this.studio;
    const keep = this.kept.checked && chosen ? Math.min(this.studio.keep ?? 0, chosen.residuals.length) : 0;
    const image = model.decode(this.z, 1, chosen?.residuals ?? [], keep);
    const about = keep ? `from these numbers and ${keep} of the image's levels` : "from these numbers alone";
    paint(byId("decoded"), image, shape, `Picture decoded ${about}`);
    const error = chosen?.x ? `; MSE to the image ${short(errorOf(chosen.x, image))}` : "";
    byId("decoded-name").textContent = about + error;
    this.studio.jobs.stop("ends");
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.studio.jobs.start("ends", this.#drawEnds()), PATIENCE);
  }

  * #drawEnds() {
    const { model, shape } = this.studio;
    for (const [k, { ends, reach }] of this.sliders.entries())
      for (const [side, canvas] of ends.entries()) {
        const z = Float32Array.from(this.z);
        z[k] = side ? reach : -reach;
        paint(canvas, model.decode(z), shape);
        yield;
      }
  }
}

function signed(value) {
  return value.toFixed(2).replace("-", "−");
}

function subscript(number) {
  return [...String(number)].map((digit) => "₀₁₂₃₄₅₆₇₈₉"[digit]).join("");
}

// How often the test images have a number in each part of a slider.
function hill(values, reach) {
  const counts = new Array(BINS).fill(0);
  for (const value of values) counts[Math.min(BINS - 1, Math.floor(((value + reach) / (2 * reach)) * BINS))]++;
  const most = Math.max(...counts), svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("viewBox", `0 0 ${BINS} 1`);
  svg.setAttribute("preserveAspectRatio", "none");
  svg.setAttribute("aria-hidden", "true");
  const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
  const line = counts.map((count, i) => `L${i + 0.5} ${(1 - count / most).toFixed(3)}`).join("");
  path.setAttribute("d", `M0 1${line}L${BINS} 1Z`);
  svg.append(path);
  return svg;
}
