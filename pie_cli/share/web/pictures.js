// Pictures: from bytes to images, from values to canvases, and one sprite of all thumbnails.

const LARGEST_TILE = 40; // pixels of a thumbnail's longer side

export async function unpacked(bytes) {
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

// Fill an array of RGBA from values (C, H, W): grey, colour, or the mean of any other number of channels.
function fill(rgba, to, stride, values, from, [channels, height, width], scale) {
  const pixels = height * width;
  for (let y = 0; y < height; y++)
    for (let x = 0; x < width; x++) {
      const at = from + y * width + x, target = 4 * (to + y * stride + x);
      if (channels >= 3) for (let c = 0; c < 3; c++) rgba[target + c] = scale * values[at + c * pixels];
      else {
        let sum = 0;
        for (let c = 0; c < channels; c++) sum += values[at + c * pixels];
        rgba[target] = rgba[target + 1] = rgba[target + 2] = (scale * sum) / channels;
      }
      rgba[target + 3] = 255;
    }
}

// Draw values (C, H, W) in [0, 1]; what is beyond is clipped, as on every screen.
export function paint(canvas, values, shape, said) {
  const [, height, width] = shape;
  if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
  const context = canvas.getContext("2d"), image = context.createImageData(width, height);
  fill(image.data, 0, width, values, 0, shape, 255);
  context.putImageData(image, 0, 0);
  if (said) {
    canvas.setAttribute("role", "img");
    canvas.setAttribute("aria-label", said);
  }
}

export function clear(canvas, said) {
  canvas.getContext("2d").clearRect(0, 0, canvas.width, canvas.height);
  canvas.setAttribute("role", "img");
  canvas.setAttribute("aria-label", said);
}

export function meanSquaredError(a, b) {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += (a[i] - b[i]) ** 2;
  return sum / a.length;
}

// As `pie reconstruct` measures it: of what a screen shows.
export function errorOf(x, decoded) {
  return meanSquaredError(x, decoded.map((value) => Math.min(1, Math.max(0, value))));
}

export class Sprite {
  constructor(pixels, shape, count) {
    const [channels, height, width] = shape, size = channels * height * width;
    Object.assign(this, { pixels, shape, count, size });
    const shrunk = Math.min(1, LARGEST_TILE / Math.max(height, width));
    [this.wide, this.high] = [width, height].map((side) => Math.max(1, Math.round(shrunk * side)));
    this.columns = Math.ceil(Math.sqrt((count * this.high) / this.wide));
    this.canvas = document.createElement("canvas");
    this.canvas.width = this.columns * this.wide;
    this.canvas.height = Math.ceil(count / this.columns) * this.high;
    const context = this.canvas.getContext("2d");
    const sheet = shrunk === 1 && context.createImageData(this.canvas.width, this.canvas.height);
    const one = document.createElement("canvas");
    for (let i = 0; i < count; i++) {
      const [x, y] = this.place(i);
      if (sheet) fill(sheet.data, y * this.canvas.width + x, this.canvas.width, pixels, i * size, shape, 1);
      else {
        paint(one, this.image(i), shape);
        context.drawImage(one, x, y, this.wide, this.high);
      }
    }
    if (sheet) context.putImageData(sheet, 0, 0);
  }

  place(i) {
    return [(i % this.columns) * this.wide, Math.floor(i / this.columns) * this.high];
  }

  draw(context, i, x, y, width, height) {
    context.drawImage(this.canvas, ...this.place(i), this.wide, this.high, x, y, width, height);
  }

  // Image i in [0, 1].
  image(i) {
    return Float32Array.from(this.pixels.subarray(i * this.size, (i + 1) * this.size), (value) => value / 255);
  }
}
