// Colours of classes, and shapes beyond ten classes.
//
// The colour-blind can tell them apart: whoever looks (with all cones, or without one kind of them), two colours differ by at
// least 0.11 in OKLab. They were found by a search that kept to those of M. Petroff (arXiv 2107.02270) as far as that allows.

const LIGHT = ["#4f72b7", "#e7a120", "#a63600", "#a1b4a5", "#8e03fe", "#6f4361", "#cf6a05", "#9c8181", "#4842a4", "#5b9ddd"];
const DARK = ["#708dff", "#f2ea47", "#b03948", "#73c9f0", "#8b2cdf", "#a7a590", "#b67c03", "#e9ad00", "#447599", "#adf4f3"];
const SHAPES = 4;

const isDark = matchMedia("(prefers-color-scheme: dark)");

export function onSchemeChange(listener) {
  isDark.addEventListener("change", listener);
}

// A colour of the page itself, as the scheme has it.
export function themed(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

export function colourOf(label) {
  return (isDark.matches ? DARK : LIGHT)[label % LIGHT.length];
}

// Add a class's mark around a point to the context's path: a disc, a square, a triangle or a diamond.
export function mark(context, label, x, y, radius) {
  const shape = Math.floor(label / LIGHT.length) % SHAPES;
  if (shape === 0) {
    context.moveTo(x + radius, y);
    context.arc(x, y, radius, 0, 7);
  } else if (shape === 1) context.rect(x - 0.9 * radius, y - 0.9 * radius, 1.8 * radius, 1.8 * radius);
  else {
    const corners = shape === 2 ? [[0, -1.2], [1.1, 0.8], [-1.1, 0.8]] : [[0, -1.3], [1.1, 0], [0, 1.3], [-1.1, 0]];
    corners.forEach(([dx, dy], i) => context[i ? "lineTo" : "moveTo"](x + dx * radius, y + dy * radius));
    context.closePath();
  }
}
