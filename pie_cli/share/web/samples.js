// Samples: the same draws of N(0, I) at any standard deviation, decoded.
import { byId, element, normal } from "./studio.js";
import { paint } from "./pictures.js";

const SAMPLES = 16;

export class Samples {
  constructor(studio) {
    this.studio = studio;
    this.slider = byId("std");
    this.canvases = Array.from({ length: SAMPLES }, (_, i) => {
      const canvas = element("canvas", { className: "picture" });
      const button = element("button", { type: "button", ariaLabel: `Sample ${i + 1}: take it` }, canvas);
      button.addEventListener("click", () => studio.takeCode(this.code(i), `sample ${i + 1}, σ = ${this.slider.value}`));
      byId("sheet").append(button);
      return canvas;
    });
    this.slider.addEventListener("input", () => this.draw());
    byId("sample-again").addEventListener("click", () => this.again());
    this.again();
  }

  again() {
    this.draws = Array.from({ length: SAMPLES }, () => normal(this.studio.model.latentDim));
    this.draw();
  }

  code(i) {
    return this.draws[i].map((value) => value * Number(this.slider.value));
  }

  draw() {
    byId("std-value").value = Number(this.slider.value).toFixed(2);
    const steps = this.#drawAll();
    steps.next(); // the first at once
    this.studio.jobs.start("samples", steps);
  }

  * #drawAll() {
    for (const [i, canvas] of this.canvases.entries()) {
      paint(canvas, this.studio.model.decode(this.code(i)), this.studio.shape);
      yield;
    }
  }
}
