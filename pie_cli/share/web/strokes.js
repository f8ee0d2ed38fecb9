// A drawing board: pen, fingers, or the keyboard; and what it has, as an image of the model's size.

const PEN = 0.075; // of the board's shorter side
const STEP = 0.03; // of a key

export class Board {
  constructor(canvas, [channels, height, width], background, onStroke) {
    const scale = Math.max(1, Math.round(280 / Math.max(height, width)));
    Object.assign(canvas, { width: width * scale, height: height * scale });
    this.background = background;
    Object.assign(this, { canvas, channels, height, width, scale, onStroke, isDown: false });
    this.ink = background < 128 ? "#ffffff" : "#000000";
    this.pen = [canvas.width / 2, canvas.height / 2];
    this.context = canvas.getContext("2d", { willReadFrequently: true });
    this.clear();
    this.#listen();
  }

  clear() {
    this.context.fillStyle = `rgb(${this.background},${this.background},${this.background})`;
    this.context.fillRect(0, 0, this.canvas.width, this.canvas.height);
    this.#mark(true);
  }

  #mark(isEmpty) {
    this.canvas.parentElement.classList.toggle("empty", isEmpty);
  }

  // Lay a picture on the whole board; what is beyond its middle is cut off, as in training.
  lay(picture) {
    const { width, height } = this.canvas, factor = Math.max(width / picture.width, height / picture.height);
    const [w, h] = [picture.width * factor, picture.height * factor];
    this.context.fillStyle = "#ffffff";
    this.context.fillRect(0, 0, width, height);
    this.#mark(false);
    this.context.imageSmoothingQuality = "high";
    this.context.drawImage(picture, (width - w) / 2, (height - h) / 2, w, h);
  }

  stroke(from, to) {
    const { context } = this;
    context.strokeStyle = this.ink;
    context.lineCap = context.lineJoin = "round";
    context.lineWidth = PEN * Math.min(this.canvas.width, this.canvas.height);
    context.beginPath();
    context.moveTo(...from);
    context.lineTo(to[0] + 0.01, to[1]);
    context.stroke();
    this.pen = to;
    this.#mark(false);
    this.onStroke();
  }

  #listen() {
    const { canvas } = this;
    const place = (event) => {
      const box = canvas.getBoundingClientRect();
      return [((event.clientX - box.left) / box.width) * canvas.width, ((event.clientY - box.top) / box.height) * canvas.height];
    };
    let last = null;
    canvas.addEventListener("pointerdown", (event) => {
      canvas.setPointerCapture(event.pointerId);
      this.stroke((last = place(event)), last);
    });
    canvas.addEventListener("pointermove", (event) => {
      if (last) this.stroke(last, (last = place(event)));
    });
    for (const kind of ["pointerup", "pointercancel"]) canvas.addEventListener(kind, () => (last = null));
    canvas.addEventListener("keydown", (event) => {
      const directions = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
      if (event.key === " ") {
        this.isDown = !this.isDown;
        if (this.isDown) this.stroke(this.pen, this.pen);
      } else if (event.key in directions) {
        const [dx, dy] = directions[event.key], step = STEP * canvas.width;
        const inside = (value, most) => Math.min(most, Math.max(0, value));
        const to = [inside(this.pen[0] + dx * step, canvas.width), inside(this.pen[1] + dy * step, canvas.height)];
        if (this.isDown) this.stroke(this.pen, to);
        else this.pen = to;
      } else return;
      event.preventDefault();
    });
  }

  // Return the board as values (C, H, W) in [0, 1]; with a `fit`, moved and scaled as the test images are.
  image(fit, isInverted) {
    const { width, height } = this.canvas, sheet = document.createElement("canvas");
    Object.assign(sheet, { width, height });
    const context = sheet.getContext("2d", { willReadFrequently: true });
    context.drawImage(this.canvas, 0, 0);
    if (isInverted) {
      context.globalCompositeOperation = "difference";
      context.fillStyle = "#ffffff";
      context.fillRect(0, 0, width, height);
      context.globalCompositeOperation = "source-over";
    }
    const pixels = context.getImageData(0, 0, width, height).data;
    const background = pixels[0]; // of a corner: that of a picture, or of what is inverted, may be the other one
    const ink = fit && inkOf((i) => Math.abs(pixels[4 * i] - background) / 255, width, height);
    if (ink) {
      const copy = document.createElement("canvas"), factor = (fit.longest * Math.max(width, height)) / ink.longest;
      Object.assign(copy, { width, height });
      copy.getContext("2d").drawImage(sheet, 0, 0);
      context.fillStyle = `rgb(${background},${background},${background})`;
      context.fillRect(0, 0, width, height);
      context.setTransform(factor, 0, 0, factor, fit.x * width - factor * ink.x, fit.y * height - factor * ink.y);
      context.drawImage(copy, 0, 0);
    }
    return this.#averaged(ink ? context.getImageData(0, 0, width, height).data : pixels);
  }

  #averaged(pixels) {
    const { channels, height, width, scale } = this, values = new Float32Array(channels * height * width);
    for (let y = 0; y < height * scale; y++)
      for (let x = 0; x < width * scale; x++) {
        const from = 4 * (y * width * scale + x), to = Math.floor(y / scale) * width + Math.floor(x / scale);
        const grey = 0.299 * pixels[from] + 0.587 * pixels[from + 1] + 0.114 * pixels[from + 2];
        for (let c = 0; c < channels; c++)
          values[c * height * width + to] += (channels === 3 ? pixels[from + c] : grey) / (255 * scale * scale);
      }
    return values;
  }
}

// Return where an image's ink is: the longer side of its box, and its centre of mass; null if there is none.
export function inkOf(amount, width, height) {
  let [left, right, top, bottom, mass, x, y] = [width, -1, height, -1, 0, 0, 0];
  for (let row = 0; row < height; row++)
    for (let column = 0; column < width; column++) {
      const ink = amount(row * width + column);
      if (ink < 0.2) continue;
      [left, right] = [Math.min(left, column), Math.max(right, column)];
      [top, bottom] = [Math.min(top, row), Math.max(bottom, row)];
      mass += ink;
      x += ink * (column + 0.5);
      y += ink * (row + 0.5);
    }
  return mass ? { longest: Math.max(right - left, bottom - top) + 1, x: x / mass, y: y / mass } : null;
}
