// VAE, WAE and RAE: the encoder and decoder that they share (pie_cli/models/baselines.py).
import { LeakyReLU, Linear, Sequential } from "./networks.js";

// A 4×4 convolution of stride 2 with a margin of 1: half the height and width.
class Down {
  constructor({ shape: [outputs, inputs], data }, bias, [height, width]) {
    Object.assign(this, { inputs, outputs, weight: data, bias, height, width });
  }

  map(x, batch) {
    const { inputs, outputs, weight, height, width } = this;
    const rows = height / 2, columns = width / 2, y = new Float32Array(batch * outputs * rows * columns);
    const wide = width + 2, plane = (height + 2) * wide, padded = new Float32Array(inputs * plane);
    for (let b = 0; b < batch; b++) {
      for (let c = 0; c < inputs; c++)
        for (let row = 0; row < height; row++) {
          const from = ((b * inputs + c) * height + row) * width;
          padded.set(x.subarray(from, from + width), c * plane + (row + 1) * wide + 1);
        }
      for (let o = 0; o < outputs; o++) {
        const to = (b * outputs + o) * rows * columns;
        if (this.bias) y.fill(this.bias[o], to, to + rows * columns);
        for (let c = 0; c < inputs; c++)
          for (let tap = 0; tap < 16; tap++) {
            const w = weight[(o * inputs + c) * 16 + tap], from = c * plane + (tap >> 2) * wide + (tap & 3);
            for (let row = 0; row < rows; row++)
              for (let i = 0; i < columns; i++)
                y[to + row * columns + i] += w * padded[from + 2 * row * wide + 2 * i];
          }
      }
    }
    return y;
  }
}

// The transposed one: twice the height and width.
class Up {
  constructor({ shape: [inputs, outputs], data }, bias, [height, width]) {
    Object.assign(this, { inputs, outputs, weight: data, bias, height, width });
  }

  map(x, batch) {
    const { inputs, outputs, weight, height, width } = this;
    const wide = 2 * width + 2, sums = new Float32Array((2 * height + 2) * wide);
    const y = new Float32Array(batch * outputs * 4 * height * width);
    for (let b = 0; b < batch; b++)
      for (let o = 0; o < outputs; o++) {
        sums.fill(this.bias ? this.bias[o] : 0);
        for (let c = 0; c < inputs; c++)
          for (let tap = 0; tap < 16; tap++) {
            const w = weight[(c * outputs + o) * 16 + tap], to = (tap >> 2) * wide + (tap & 3);
            const from = (b * inputs + c) * height * width;
            for (let row = 0; row < height; row++)
              for (let i = 0; i < width; i++) sums[to + 2 * row * wide + 2 * i] += w * x[from + row * width + i];
          }
        for (let row = 0; row < 2 * height; row++) {
          const start = (row + 1) * wide + 1;
          y.set(sums.subarray(start, start + 2 * width), ((b * outputs + o) * 2 * height + row) * 2 * width);
        }
      }
    return y;
  }
}

// Batch norm as it is after training: a scale and a shift of each channel.
class BatchNorm {
  constructor(tensors, prefix) {
    const [weight, bias, mean, variance] = ["weight", "bias", "running_mean", "running_var"].map(
      (name) => tensors[`${prefix}.${name}`].data,
    );
    this.scale = weight.map((value, c) => value / Math.sqrt(variance[c] + 1e-5));
    this.shift = bias.map((value, c) => value - mean[c] * this.scale[c]);
  }

  map(x, batch) {
    const { scale, shift } = this, pixels = x.length / (batch * scale.length);
    return x.map((value, i) => {
      const channel = Math.floor(i / pixels) % scale.length;
      return scale[channel] * value + shift[channel];
    });
  }
}

export class ConvAutoencoder {
  constructor(config, tensors) {
    this.imageShape = config.image_shape;
    this.latentDim = config.latent_dim;
    this.residualSizes = [];
    const bias = (name) => tensors[`${name}.bias`]?.data;
    let sides = config.image_shape.slice(1);
    const encoder = [], decoder = [];
    let at = 0;
    for (; tensors[`encoder.${at}.weight`]?.shape.length === 4; ) {
      encoder.push(new Down(tensors[`encoder.${at}.weight`], bias(`encoder.${at}`), sides));
      sides = sides.map((side) => side / 2);
      if (at) encoder.push(new BatchNorm(tensors, `encoder.${at + 1}`));
      encoder.push(new LeakyReLU(0.2));
      at += at ? 3 : 2;
    }
    encoder.push(new Linear(tensors[`encoder.${at + 1}.weight`], bias(`encoder.${at + 1}`)));
    decoder.push(new Linear(tensors["decoder.0.weight"]));
    for (at = 2; tensors[`decoder.${at}.weight`]; at += 3) {
      const up = `decoder.${at + 2}`;
      decoder.push(new BatchNorm(tensors, `decoder.${at}`), new LeakyReLU());
      decoder.push(new Up(tensors[`${up}.weight`], bias(up), sides));
      sides = sides.map((side) => 2 * side);
    }
    this.encoder = new Sequential(encoder);
    this.decoder = new Sequential(decoder);
  }

  // The first d features: of a VAE the means of q(z | x), of the others all.
  encode(x, batch = 1) {
    const features = this.encoder.map(x, batch), count = features.length / batch;
    if (count === this.latentDim) return features;
    const z = new Float32Array(batch * this.latentDim);
    for (let b = 0; b < batch; b++) z.set(features.subarray(b * count, b * count + this.latentDim), b * this.latentDim);
    return z;
  }

  analyse(x, batch = 1) {
    return { z: this.encode(x, batch), residuals: [] };
  }

  decode(z, batch = 1) {
    return this.decoder.map(z, batch).map((value) => 1 / (1 + Math.exp(-value)));
  }
}
