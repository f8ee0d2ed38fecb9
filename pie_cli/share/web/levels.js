// Residual levels, switched on one by one down to the exact image: the picture, its error and its bytes with each.
import { Coding } from "./coding.js";
import { byId, element, say, short } from "./studio.js";
import { clear, errorOf, paint } from "./pictures.js";

const ROWS = ["numbers", "MSE", "bytes", "MSE in the file"];
const AMPLIFIED = 4; // times that a difference is shown

export class Levels {
  constructor(studio, onKeep) {
    Object.assign(this, { studio, onKeep });
    const { model } = studio;
    this.sizes = [model.latentDim, ...[...model.residualSizes].reverse()];
    this.coding = Coding.of(studio.data, this.sizes);
    this.cards = this.sizes.map((_, keep) => this.#card(keep));
    this.decoded = [];
    byId("level-help").textContent = this.coding
      ? "Bytes are what a compressed file takes for z and these levels of this image. Its numbers are rounded, so the MSE in the " +
        "file is larger, also with all levels. A lossless file adds a layer that makes every grey level exact."
      : "Bytes need the run's tables for compressed files, which pie compress makes.";
    studio.keep = 0;
    studio.onChoice((chosen) => studio.jobs.start("levels", this.#show(chosen)));
  }

  #card(keep) {
    const picture = element("canvas", { className: "picture", ariaHidden: "true" });
    const input = element("input", { type: "radio", name: "keep", value: keep, checked: keep === 0 });
    const rows = ROWS.map(() => element("b", { textContent: "–" }));
    rows[0].textContent = this.sizes.slice(0, keep + 1).reduce((sum, size) => sum + size, 0).toLocaleString("en");
    const title = keep === 0 ? "z alone" : `+ level ${this.sizes.length - keep}${keep === this.sizes.length - 1 ? ": exact" : ""}`;
    const card = element("label", { className: "card" }, input, picture, element("strong", { textContent: title }));
    ROWS.forEach((name, i) => card.append(element("span", {}, `${name} `, rows[i])));
    input.addEventListener("change", () => {
      this.studio.keep = keep;
      const text = this.#compare();
      if (text) say(text);
      this.onKeep();
    });
    byId("cards").append(card);
    return { picture, input, error: rows[1], bytes: rows[2], inFile: rows[3] };
  }

  * #show(chosen) {
    const { model, shape } = this.studio, { x, z, residuals } = chosen;
    this.decoded = [];
    const levels = residuals.length;
    for (const [keep, card] of this.cards.entries()) {
      card.input.disabled = keep > levels;
      card.inFile.textContent = card.bytes.textContent = card.error.textContent = "–";
      if (keep > levels) clear(card.picture, "nothing: this code has no residual");
      else {
        this.decoded[keep] = model.decode(z, 1, residuals, keep);
        paint(card.picture, this.decoded[keep], shape);
        if (x) card.error.textContent = short(errorOf(x, this.decoded[keep]));
      }
      if (keep === Math.min(this.studio.keep, levels)) this.#compare();
      yield;
    }
    if (!this.coding || !x) return;
    const values = [z, ...[...residuals].reverse()];
    for (const [keep, card] of this.cards.entries()) {
      const coded = values.slice(0, keep + 1).map((one, number) => this.coding.code(number, one, Coding.fineness(keep)));
      const bytes = coded.reduce((sum, one) => sum + one.bytes, 0);
      const [restored, ...kept] = coded.map((one) => one.restored);
      const missing = residuals.slice(0, levels - keep); // never looked at
      const error = errorOf(x, model.decode(restored, 1, [...missing, ...kept.reverse()], keep));
      card.bytes.textContent = bytes.toFixed(bytes < 10 ? 1 : 0);
      card.inFile.textContent = short(error);
      yield;
    }
  }

  // Return what it shows, in words: it is said only when the user has asked for it.
  #compare() {
    const { chosen, shape } = this.studio, keep = Math.min(this.studio.keep, chosen.residuals.length);
    const image = this.decoded[keep], numbers = this.sizes.slice(0, keep + 1).reduce((sum, size) => sum + size, 0);
    if (!image) return "";
    const title = keep === 0 ? "from z alone" : `from z and ${keep} level${keep > 1 ? "s" : ""}`;
    const exact = keep === this.sizes.length - 1 ? ": exact" : "";
    byId("level-name").textContent = `${title}, ${numbers} numbers${exact}`;
    paint(byId("level-decoded"), image, shape, `Decoded ${title}`);
    if (!chosen.x) {
      for (const name of ["level-image", "level-error"]) clear(byId(name), "nothing: this is a code without an image");
      return title;
    }
    const error = errorOf(chosen.x, image);
    paint(byId("level-image"), chosen.x, shape, chosen.name);
    const shown = image.map((value, i) => AMPLIFIED * Math.abs(Math.min(1, Math.max(0, value)) - chosen.x[i]));
    paint(byId("level-error"), shown, shape, `Difference, MSE ${short(error)}`);
    byId("level-error-name").textContent = `difference × ${AMPLIFIED}, MSE ${short(error)}`;
    return `${title}: MSE ${short(error)}`;
  }
}
