// Coupling layers (section 4.2, Fig. 5): each of two groups of features is transformed given the other (Eq. 18).
import { joined, parted } from "./bijections.js";

// s of a network's raw output: bounded contraction, or free to expand as in the paper's text.
const contractive = (a) => (t) => 1 - a + a / (1 + Math.exp(-t - 2));
const affine = (t) => Math.exp(0.5 * Math.tanh(t));

// Return s(t) as a configuration says, in convolutional or linear blocks; null where s = 1 and networks give b alone.
export function scaleOf(config, isConv) {
  const a = isConv ? config.contraction : config.linear_contraction;
  if (config.scale === "affine") return affine;
  return config.scale === "additive" || a === 0 ? null : contractive(a);
}

// y₁ = s₁(x₂)⊙x₁ + b₁(x₂), y₂ = s₂(y₁)⊙x₂ + b₂(y₁)
export class Coupling {
  constructor(features, pixels, net1, net2, scale) {
    this.sizes = [Math.floor(features / 2) * pixels, Math.ceil(features / 2) * pixels];
    Object.assign(this, { net1, net2, scale });
  }

  map(x, batch) {
    const [x1, x2] = parted(x, batch, this.sizes);
    const y1 = this.#apply(x1, this.net1.map(x2, batch), batch);
    const y2 = this.#apply(x2, this.net2.map(y1, batch), batch);
    return joined(y1, y2, batch);
  }

  inverse(y, batch) {
    const [y1, y2] = parted(y, batch, this.sizes);
    const x2 = this.#undo(y2, this.net2.map(y1, batch), batch);
    const x1 = this.#undo(y1, this.net1.map(x2, batch), batch);
    return joined(x1, x2, batch);
  }

  #apply(x, output, batch) {
    if (!this.scale) return x.map((value, i) => value + output[i]);
    const size = x.length / batch; // of each image, the first half of the output is t and the second b
    return x.map((value, i) => {
      const at = i + Math.floor(i / size) * size;
      return this.scale(output[at]) * value + output[at + size];
    });
  }

  #undo(y, output, batch) {
    if (!this.scale) return y.map((value, i) => value - output[i]);
    const size = y.length / batch;
    return y.map((value, i) => {
      const at = i + Math.floor(i / size) * size;
      return (value - output[at + size]) / this.scale(output[at]);
    });
  }
}
