// Trained rotations of the features (section 4.3): H(v_K)…H(v_1)·Q with H(v) = I − 2vvᵀ/vᵀv (Eq. 19).

// Return U and W, K vectors each, with H(v_K)…H(v_1) = I + UᵀW: the compact form, solved from the first row on.
function factors({ shape: [count, n], data }) {
  const u = [], w = [];
  for (let k = 0; k < count; k++) {
    const v = new Float64Array(data.subarray(k * n, (k + 1) * n));
    const length = Math.hypot(...v);
    u.push(v.map((value) => value / length));
    w.push(u[k].map((value) => -2 * value));
    for (let earlier = 0; earlier < k; earlier++) {
      const along = -2 * product(u[k], u[earlier], 0);
      for (let i = 0; i < n; i++) w[k][i] += along * w[earlier][i];
    }
  }
  return [u, w];
}

function product(vector, x, start) {
  let sum = 0;
  for (let i = 0; i < vector.length; i++) sum += vector[i] * x[start + i];
  return sum;
}

// On (B, n) vectors: the linear blocks.
export class HouseholderLinear {
  constructor(vectors, q) {
    this.n = vectors.shape[1];
    [this.u, this.w] = factors(vectors);
    this.q = q && q.data;
  }

  map(x, batch) {
    return this.#reflected(this.q ? this.#turned(x, batch) : x.slice(), batch, this.w, this.u);
  }

  inverse(y, batch) {
    const x = this.#reflected(y.slice(), batch, this.u, this.w);
    return this.q ? this.#turnedBack(x, batch) : x;
  }

  // Add to each vector Σ (against_k · x) along_k.
  #reflected(x, batch, against, along) {
    for (let b = 0, start = 0; b < batch; b++, start += this.n) {
      const lengths = against.map((vector) => product(vector, x, start));
      for (const [k, vector] of along.entries())
        for (let i = 0; i < this.n; i++) x[start + i] += lengths[k] * vector[i];
    }
    return x;
  }

  #turned(x, batch) {
    const { n, q } = this, y = new Float32Array(x.length);
    for (let start = 0; start < batch * n; start += n)
      for (let i = 0; i < n; i++) {
        let sum = 0;
        for (let j = 0; j < n; j++) sum += q[i * n + j] * x[start + j];
        y[start + i] = sum;
      }
    return y;
  }

  #turnedBack(y, batch) {
    const { n, q } = this, x = new Float32Array(y.length), sums = new Float64Array(n);
    for (let start = 0; start < batch * n; start += n) {
      sums.fill(0);
      for (let i = 0; i < n; i++) {
        const value = y[start + i];
        for (let j = 0; j < n; j++) sums[j] += q[i * n + j] * value;
      }
      x.set(sums, start);
    }
    return x;
  }
}

// On (B, n, H, W) images: the convolutional blocks. The matrix is small, so it is made once.
export class HouseholderConv1x1 {
  constructor(vectors, q, pixels) {
    const n = vectors.shape[1], [u, w] = factors(vectors);
    Object.assign(this, { n, pixels, matrix: new Float64Array(n * n) });
    const reflections = (i, j) => (i === j ? 1 : 0) + u.reduce((sum, one, k) => sum + one[i] * w[k][j], 0);
    for (let i = 0; i < n; i++)
      for (let j = 0; j < n; j++) {
        let sum = q ? 0 : reflections(i, j);
        if (q) for (let k = 0; k < n; k++) sum += reflections(i, k) * q.data[k * n + j];
        this.matrix[i * n + j] = sum;
      }
  }

  map(x, batch) {
    return this.#mixed(x, batch, (i, j) => this.matrix[i * this.n + j]);
  }

  inverse(y, batch) {
    return this.#mixed(y, batch, (i, j) => this.matrix[j * this.n + i]);
  }

  #mixed(x, batch, weight) {
    const { n, pixels } = this, y = new Float32Array(x.length);
    for (let b = 0; b < batch; b++)
      for (let i = 0; i < n; i++)
        for (let j = 0; j < n; j++) {
          const to = (b * n + i) * pixels, from = (b * n + j) * pixels, factor = weight(i, j);
          for (let p = 0; p < pixels; p++) y[to + p] += factor * x[from + p];
        }
    return y;
  }
}
