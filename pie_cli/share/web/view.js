// A view of the plane: which part of it a canvas shows, and where its points are there.

const MARGIN = 0.05, DEEPEST = 60;

export class View {
  constructor(plane, count) {
    this.plane = plane;
    const finite = (axis) => Array.from({ length: count }, (_, i) => plane[2 * i + axis]).filter(Number.isFinite);
    const ranges = [0, 1].map((axis) => {
      const values = finite(axis).sort((a, b) => a - b);
      return values.length ? [values[0], values.at(-1)] : [0, 1];
    });
    this.middle = ranges.map(([low, high]) => (low + high) / 2);
    this.spans = ranges.map(([low, high]) => Math.max(high - low, 1e-6) * (1 + 2 * MARGIN));
    this.sides = [1, 1]; // pixels
    this.all();
  }

  all() {
    this.zoom = 1;
    this.centre = [...this.middle];
  }

  // Pixels of a unit of the plane.
  get scale() {
    return this.zoom * Math.min(this.sides[0] / this.spans[0], this.sides[1] / this.spans[1]);
  }

  // Pixels of a point of the plane; the second axis points up.
  at(x, y) {
    const [width, height] = this.sides, { scale } = this;
    return [width / 2 + (x - this.centre[0]) * scale, height / 2 - (y - this.centre[1]) * scale];
  }

  point(i) {
    return this.at(this.plane[2 * i], this.plane[2 * i + 1]);
  }

  contains([x, y], margin = 0) {
    return x >= -margin && y >= -margin && x <= this.sides[0] + margin && y <= this.sides[1] + margin;
  }

  move(dx, dy) {
    this.centre[0] -= dx / this.scale;
    this.centre[1] += dy / this.scale;
    this.#keep();
  }

  // Zoom by a factor so that what is at a pixel stays there.
  zoomAt(factor, x = this.sides[0] / 2, y = this.sides[1] / 2) {
    const before = this.scale;
    this.zoom = Math.min(DEEPEST, Math.max(1, this.zoom * factor));
    const change = 1 / before - 1 / this.scale;
    this.centre[0] += (x - this.sides[0] / 2) * change;
    this.centre[1] -= (y - this.sides[1] / 2) * change;
    this.#keep();
  }

  #keep() {
    for (const axis of [0, 1]) {
      const room = (this.spans[axis] / 2) * (1 - 1 / this.zoom);
      this.centre[axis] = Math.min(this.middle[axis] + room, Math.max(this.middle[axis] - room, this.centre[axis]));
    }
  }

  // Return the point nearest to a pixel, among those that count; null if none is within a distance.
  nearest(x, y, within, counts) {
    let best = null, least = within ** 2;
    for (let i = 0; i < this.plane.length / 2; i++) {
      if (!counts(i)) continue;
      const [px, py] = this.point(i), distance = (px - x) ** 2 + (py - y) ** 2;
      if (distance < least) [best, least] = [i, distance];
    }
    return best;
  }

  // Return the nearest point in a direction (dx, dy), within 45° of it.
  towards(i, dx, dy, counts) {
    const [x, y] = this.point(i);
    let best = i, least = Infinity;
    for (let j = 0; j < this.plane.length / 2; j++) {
      if (j === i || !counts(j)) continue;
      const [px, py] = this.point(j), along = (px - x) * dx + (py - y) * dy;
      const across = Math.abs((px - x) * dy - (py - y) * dx);
      if (along > 0.5 && across <= along && along + across < least) [best, least] = [j, along + across];
    }
    return best;
  }
}
