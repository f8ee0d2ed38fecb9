// Bijections (sections 3.3 and 4): the map and the exact inverse; a log-determinant is not needed to encode or decode.

// Return [first, second] of each image, as groups of `sizes` values.
export function parted(x, batch, [first, second]) {
  const one = new Float32Array(batch * first), two = new Float32Array(batch * second), whole = first + second;
  for (let b = 0; b < batch; b++) {
    one.set(x.subarray(b * whole, b * whole + first), b * first);
    two.set(x.subarray(b * whole + first, (b + 1) * whole), b * second);
  }
  return [one, two];
}

export function joined(one, two, batch) {
  const first = one.length / batch, second = two.length / batch, whole = first + second;
  const x = new Float32Array(batch * whole);
  for (let b = 0; b < batch; b++) {
    x.set(one.subarray(b * first, (b + 1) * first), b * whole);
    x.set(two.subarray(b * second, (b + 1) * second), b * whole + first);
  }
  return x;
}

// x ↦ 2x − 1: images in [0, 1] to the range [−1, 1] in which ε₀² is measured.
export const symmetricRange = {
  map: (x) => x.map((value) => 2 * value - 1),
  inverse: (y) => y.map((value) => (value + 1) / 2),
};

// (C, H, W) → (4C, H/2, W/2) by a checkerboard pattern (section 4.4): a permutation.
export class CheckerboardDownsample {
  constructor([channels, height, width]) {
    const places = [];
    for (let c = 0; c < channels; c++)
      for (let part = 0; part < 4; part++)
        for (let y = part >> 1; y < height; y += 2)
          for (let x = part & 1; x < width; x += 2) places.push((c * height + y) * width + x);
    this.places = Int32Array.from(places);
  }

  map(x, batch) {
    return this.#permuted(x, batch, (y, from, to, start) => { y[start + to] = x[start + from]; });
  }

  inverse(x, batch) {
    return this.#permuted(x, batch, (y, from, to, start) => { y[start + from] = x[start + to]; });
  }

  #permuted(x, batch, move) {
    const { places } = this, y = new Float32Array(x.length);
    for (let b = 0; b < batch; b++)
      for (let to = 0; to < places.length; to++) move(y, places[to], to, b * places.length);
    return y;
  }
}

// [z, r] ↦ [z, r − g(z)] (section 4.5, Eq. 20); g = null stands for zero (section 3.4).
export class Split {
  constructor(kept, discarded, g) {
    Object.assign(this, { kept, discarded, g });
  }

  part(x, batch) {
    const [z, r] = parted(x, batch, [this.kept, this.discarded]);
    const predicted = this.g && this.g.map(z, batch);
    return [z, predicted ? r.map((value, i) => value - predicted[i]) : r];
  }

  // Return [z, g(z) + deviation]; no deviation stands for zero (Eq. 4).
  unite(z, deviation, batch) {
    const r = this.g ? this.g.map(z, batch) : new Float32Array(batch * this.discarded);
    if (deviation) for (let i = 0; i < r.length; i++) r[i] += deviation[i];
    return joined(z, r, batch);
  }
}
