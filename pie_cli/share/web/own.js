// An image of one's own: drawn or dropped, then encoded and decoded like the others.
import { Board, inkOf } from "./strokes.js";
import { byId, say, short } from "./studio.js";
import { errorOf, paint } from "./pictures.js";

const LOOKED_AT = 200; // test images that say how an own one is laid
const EVEN = 20; // grey levels that a background may differ by

export class Own {
  constructor(studio) {
    this.studio = studio;
    const [channels] = studio.shape, usual = usualLook(studio.sprite);
    this.fitting = channels === 1 ? usual.fit : null;
    this.board = new Board(byId("board"), studio.shape, usual.background, () => this.#later());
    const fit = byId("own-fit");
    fit.checked = Boolean(this.fitting);
    fit.parentElement.hidden = !this.fitting;
    for (const name of ["own-fit", "own-invert"]) byId(name).addEventListener("change", () => this.#encode());
    byId("own-clear").addEventListener("click", () => {
      this.board.clear();
      fit.checked = Boolean(this.fitting);
      this.#encode();
    });
    if (channels === 3) {
      byId("own-colour-box").hidden = false;
      const colour = byId("own-colour");
      this.board.ink = colour.value;
      colour.addEventListener("input", () => { this.board.ink = colour.value; });
    }
    const trouble = byId("own-trouble"), open = async (file) => {
      if (!file) return;
      try {
        this.board.lay(await createImageBitmap(file));
        trouble.hidden = true;
      } catch {
        trouble.textContent = `${file.name} is not a picture that this browser can read.`;
        trouble.hidden = false;
        return;
      }
      fit.checked = false; // a picture is taken as it is
      this.#encode();
    };
    byId("own-file").addEventListener("change", ({ target }) => {
      open(target.files[0]);
      target.value = ""; // so that the same file can be opened again
    });
    const drop = byId("drop");
    const over = (isOver) => (event) => {
      event.preventDefault();
      drop.classList.toggle("over", isOver);
    };
    drop.addEventListener("dragover", over(true));
    drop.addEventListener("dragleave", over(false));
    drop.addEventListener("drop", (event) => {
      over(false)(event);
      open(event.dataTransfer.files[0]);
    });
    this.#show(this.board.image(null, false));
  }

  #later() {
    this.waiting ??= requestAnimationFrame(() => {
      this.waiting = null;
      this.#encode();
    });
  }

  #encode() {
    const x = this.board.image(byId("own-fit").checked ? this.fitting : null, byId("own-invert").checked);
    this.studio.takeImage(x, "your own image");
    const error = this.#show(x, this.studio.chosen.z);
    clearTimeout(this.said);
    this.said = setTimeout(() => say(`Your image, decoded from z alone: MSE ${error}`), 800);
  }

  #show(x, z = this.studio.model.encode(x)) {
    const { model, shape } = this.studio, decoded = model.decode(z), error = short(errorOf(x, decoded));
    paint(byId("own-image"), x, shape, "Your image as the model sees it");
    paint(byId("own-decoded"), decoded, shape, `Your image decoded from z alone, MSE ${error}`);
    byId("own-name").textContent = `from z alone, MSE ${error}`;
    byId("own-code").textContent = Array.from(z, (value) => value.toFixed(2).replace("-", "−")).join("  ");
    return error;
  }
}

// Return the background of the test images, black or white, and where their ink is if the background is even.
function usualLook(sprite) {
  const { pixels, size, shape: [, height, width] } = sprite, count = Math.min(LOOKED_AT, sprite.count);
  const border = [];
  for (let i = 0; i < count; i++)
    for (let x = 0; x < width; x++) border.push(pixels[i * size + x], pixels[i * size + (height - 1) * width + x]);
  border.sort((a, b) => a - b);
  const [low, middle, high] = [0.1, 0.5, 0.9].map((share) => border[Math.floor(share * (border.length - 1))]);
  const background = middle < 128 ? 0 : 255;
  if (high - low > EVEN || Math.abs(middle - background) > EVEN) return { background, fit: null };
  const found = Array.from({ length: count }, (_, i) =>
    inkOf((at) => Math.abs(pixels[i * size + at] - background) / 255, width, height)).filter(Boolean);
  const mean = (of) => found.reduce((sum, ink) => sum + of(ink), 0) / found.length;
  if (!found.length) return { background, fit: null };
  const fit = { longest: mean((ink) => ink.longest) / Math.max(width, height), x: mean((ink) => ink.x) / width, y: mean((ink) => ink.y) / height };
  return { background, fit };
}
