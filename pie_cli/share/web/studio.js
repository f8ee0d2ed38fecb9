// What the page is about at a moment: one image or code, and everybody who wants to know when it changes.

export class Studio {
  #listeners = [];

  constructor(about, data, model, sprite) {
    Object.assign(this, { about, data, model, sprite, chosen: null });
    this.shape = model.imageShape;
    this.labels = data.labels?.data;
    this.jobs = new Jobs();
  }

  get count() {
    return this.sprite.count;
  }

  onChoice(listener) {
    this.#listeners.push(listener);
  }

  nameOf(i) {
    const name = `test image ${this.data.indices.data[i]}`;
    return this.labels ? `${name} · ${this.about.classes[this.labels[i]]}` : name;
  }

  // Code i of the test images, as Python computed it.
  codeOf(i) {
    const d = this.model.latentDim;
    return this.data.codes.data.slice(i * d, (i + 1) * d);
  }

  take(i) {
    this.takeImage(this.sprite.image(i), this.nameOf(i), i);
  }

  takeImage(x, name, index = null) {
    this.#choose({ x, name, index, ...this.model.analyse(x) });
  }

  // A code without an image: nothing is known of a residual.
  takeCode(z, name) {
    this.#choose({ x: null, name, index: null, z, residuals: [] });
  }

  #choose(chosen) {
    this.chosen = chosen;
    for (const listener of this.#listeners) listener(chosen);
  }
}

// Work that may take longer than a frame: each job is a generator, whose steps take turns with the page's own work.
class Jobs {
  #jobs = new Map();
  #waiting = false;

  start(name, job) {
    this.#jobs.set(name, job);
    this.#wait();
  }

  get idle() {
    return !this.#jobs.size;
  }

  stop(name) {
    this.#jobs.delete(name);
  }

  #wait() {
    if (this.#waiting || !this.#jobs.size) return;
    this.#waiting = true;
    setTimeout(() => {
      this.#waiting = false;
      const [[name, job]] = this.#jobs.size ? this.#jobs : [[]];
      if (job) {
        this.#jobs.delete(name);
        if (!job.next().done && !this.#jobs.has(name)) this.#jobs.set(name, job);
      }
      this.#wait();
    });
  }
}

// Numbers of N(0, 1).
export function normal(count) {
  return Float32Array.from({ length: count }, () => {
    const radius = Math.sqrt(-2 * Math.log(1 - Math.random()));
    return radius * Math.cos(2 * Math.PI * Math.random());
  });
}

export function byId(name) {
  return document.getElementById(name);
}

export function element(tag, properties = {}, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

// Tell a screen reader.
export function say(text) {
  byId("spoken").textContent = text;
}

export function short(error) {
  if (error === 0) return "0";
  return error < 1e-4 ? error.toExponential(0) : error.toPrecision(3);
}
