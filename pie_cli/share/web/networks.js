// The networks behind s, b (Eq. 18) and g (Eq. 20): dense layers, convolutions, ReLU between them.
//
// Values of a batch are a Float32Array (B, features) or (B, channels, height, width); B is passed along with it.

export class Linear {
  constructor({ shape: [outputs, inputs], data }, bias) {
    Object.assign(this, { inputs, outputs, weight: data, bias });
  }

  map(x, batch) {
    const { inputs: n, outputs, weight, bias } = this;
    const known = new Float64Array(x), y = new Float32Array(batch * outputs);
    let o = 0;
    for (; o + 3 < outputs; o += 4) // four sums at once: each value is read once for them
      for (let b = 0; b < batch; b++) {
        const row0 = o * n, row1 = row0 + n, row2 = row1 + n, row3 = row2 + n, from = b * n, to = b * outputs + o;
        let s0 = 0, s1 = 0, s2 = 0, s3 = 0;
        for (let i = 0; i < n; i++) {
          const value = known[from + i];
          s0 += weight[row0 + i] * value;
          s1 += weight[row1 + i] * value;
          s2 += weight[row2 + i] * value;
          s3 += weight[row3 + i] * value;
        }
        y[to] = s0;
        y[to + 1] = s1;
        y[to + 2] = s2;
        y[to + 3] = s3;
      }
    for (; o < outputs; o++)
      for (let b = 0; b < batch; b++) {
        let sum = 0;
        for (let i = 0; i < n; i++) sum += weight[o * n + i] * known[b * n + i];
        y[b * outputs + o] = sum;
      }
    if (bias) for (let i = 0; i < y.length; i++) y[i] += bias[i % outputs];
    return y;
  }
}

// A convolution of stride 1 that keeps height and width: 3×3 or 1×1.
export class Conv {
  constructor({ shape: [outputs, inputs, side], data }, bias, [height, width]) {
    Object.assign(this, { inputs, outputs, side, weight: data, bias, height, width });
  }

  map(x, batch) {
    const { inputs, outputs, side, weight, height, width } = this;
    const margin = (side - 1) / 2, stride = width + 2 * margin, taps = side * side;
    const plane = (height + 2 * margin) * stride + 2 * margin, span = height * stride;
    const padded = new Float32Array(inputs * plane), sums = new Float32Array(span);
    const y = new Float32Array(batch * outputs * height * width);
    for (let b = 0; b < batch; b++) {
      for (let c = 0; c < inputs; c++)
        for (let row = 0; row < height; row++) {
          const from = ((b * inputs + c) * height + row) * width;
          padded.set(x.subarray(from, from + width), c * plane + (row + margin) * stride + margin);
        }
      for (let o = 0; o < outputs; o++) {
        sums.fill(this.bias[o]);
        for (let c = 0; c < inputs; c++) {
          const from = c * plane, w = weight.subarray((o * inputs + c) * taps, (o * inputs + c + 1) * taps);
          if (side === 3) nine(sums, padded, from, stride, w);
          else for (let p = 0; p < span; p++) sums[p] += w[0] * padded[from + p];
        }
        for (let row = 0; row < height; row++)
          y.set(sums.subarray(row * stride, row * stride + width), ((b * outputs + o) * height + row) * width);
      }
    }
    return y;
  }
}

// Add a 3×3 filter's responses to all sums, those at the two columns of margin included: nobody reads them.
function nine(sums, x, from, stride, w) {
  const [a, b, c, d, e, f, g, h, i] = w, span = sums.length;
  for (let p = 0, top = from, mid = from + stride, low = mid + stride; p < span; p++, top++, mid++, low++)
    sums[p] += a * x[top] + b * x[top + 1] + c * x[top + 2] + d * x[mid] + e * x[mid + 1] + f * x[mid + 2]
      + g * x[low] + h * x[low + 1] + i * x[low + 2];
}

export class LeakyReLU {
  constructor(slope = 0) {
    this.slope = slope;
  }

  map(x) {
    for (let i = 0; i < x.length; i++) if (x[i] < 0) x[i] *= this.slope;
    return x;
  }
}

export class Sequential {
  constructor(layers) {
    this.layers = layers;
  }

  map(x, batch) {
    return this.layers.reduce((values, layer) => layer.map(values, batch), x);
  }
}

// Return the network whose tensors' names begin with a prefix, "….0.weight", "….2.weight", …; null if there is none.
export function network(tensors, prefix, [height, width] = []) {
  const layers = [];
  for (let at = 0; tensors[`${prefix}.${at}.weight`]; at += 2) {
    const weight = tensors[`${prefix}.${at}.weight`], bias = tensors[`${prefix}.${at}.bias`].data;
    if (at) layers.push(new LeakyReLU());
    layers.push(height ? new Conv(weight, bias, [height, width]) : new Linear(weight, bias));
  }
  return layers.length ? new Sequential(layers) : null;
}
