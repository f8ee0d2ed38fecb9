// The straight line between the codes of two images.
import { byId, element } from "./studio.js";
import { paint } from "./pictures.js";

const STRIP = 11; // points of the line that are always shown

export class Line {
  constructor(studio) {
    this.studio = studio;
    this.slider = byId("line-slider");
    this.strip = Array.from({ length: STRIP }, () => element("canvas", { className: "picture" }));
    byId("line-strip").append(...this.strip);
    this.ends = [0, 0];
    this.slider.addEventListener("input", () => this.draw());
    ["line-a", "line-b"].forEach((name, side) =>
      byId(name).addEventListener("click", () => {
        const { chosen } = studio;
        this.ends[side] = { z: chosen.z, x: chosen.x ?? studio.model.decode(chosen.z), name: chosen.name };
        this.#drawEnds();
      }),
    );
    byId("line-other").addEventListener("click", () => this.others());
    this.others();
  }

  // Two test images, of two classes where there are classes.
  others() {
    const { studio } = this, any = () => Math.floor(Math.random() * studio.count);
    const first = any();
    let second = any();
    for (let tries = 0; tries < 50 && (second === first || (studio.labels && studio.labels[second] === studio.labels[first])); tries++)
      second = any();
    this.ends = [first, second].map((i) => ({ z: studio.codeOf(i), x: studio.sprite.image(i), name: studio.nameOf(i) }));
    this.#drawEnds();
  }

  at(t) {
    const [a, b] = this.ends.map((end) => end.z);
    return a.map((value, k) => (1 - t) * value + t * b[k]);
  }

  #drawEnds() {
    ["line-a", "line-b"].forEach((name, side) => {
      const { x, name: said } = this.ends[side], button = byId(name);
      paint(button.querySelector("canvas"), x, this.studio.shape, said);
      button.setAttribute("aria-label", `${side ? "Second" : "First"} image: ${said}. Put the chosen image here`);
      button.parentElement.querySelector("figcaption").textContent = said;
    });
    this.draw();
    this.studio.jobs.start("strip", this.#drawStrip());
  }

  draw() {
    const t = Number(this.slider.value), share = `${Math.round(100 * t)} %`;
    paint(byId("line-picture"), this.studio.model.decode(this.at(t)), this.studio.shape, `Decoded at ${share} of the line`);
    byId("line-name").textContent = `at ${share} of the line`;
    this.slider.setAttribute("aria-valuetext", share);
  }

  * #drawStrip() {
    for (const [i, canvas] of this.strip.entries()) {
      paint(canvas, this.studio.model.decode(this.at(i / (this.strip.length - 1))), this.studio.shape);
      yield;
    }
  }
}
