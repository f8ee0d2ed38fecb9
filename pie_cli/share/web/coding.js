// How many bytes z and each residual level take in a compressed file: the tables of pie_cli/codec/levels.py.

const CENTRE = 127, ESCAPE = 255, SYMBOLS = 256, CLASSES = 64, TOTAL = 2 ** 24, FINEST = 4, LARGEST = 2 ** 15 - 1;

export class Coding {
  // Return the tables that a page has, or null; sizes are those of z and of the levels, the nearest to z first.
  static of(data, sizes) {
    return data["coding.steps"] ? new Coding(data, sizes) : null;
  }

  constructor(data, sizes) {
    [this.steps, this.classes, this.frequencies] = ["steps", "classes", "frequencies"].map((name) => data[`coding.${name}`].data);
    this.starts = sizes.map((_, number) => sizes.slice(0, number).reduce((sum, size) => sum + size, 0));
  }

  // Return the bytes of z (number 0) or a level, and the values that come back, in steps halved `fineness` times.
  code(number, values, fineness) {
    let bits = 0;
    const restored = values.map((value, i) => {
      const at = this.starts[number] + i, step = this.steps[at] / 2 ** fineness;
      const steps = Math.max(-LARGEST, Math.min(LARGEST, Math.round(value / step)));
      const row = Math.min(number, 1) * CLASSES + Math.min(CLASSES - 1, this.classes[at] + 4 * fineness);
      const symbol = Math.abs(steps) > CENTRE ? ESCAPE : steps + CENTRE;
      bits -= Math.log2((this.frequencies[row * SYMBOLS + symbol] + 1) / TOTAL);
      if (symbol === ESCAPE) bits += 16;
      return steps * step;
    });
    return { bytes: bits / 8, restored };
  }

  // What `pie compress --keep` takes where nothing else is said: the more levels, the finer the steps.
  static fineness(keep) {
    return Math.min(Math.max(keep - 1, 0), FINEST);
  }
}
