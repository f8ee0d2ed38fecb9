// Colours of classes that the colour-blind can tell apart (M. Petroff, arXiv 2107.02270), and shapes beyond ten classes.

const LIGHT = ["#3f90da", "#ffa90e", "#bd1f01", "#94a4a2", "#832db6", "#a96b59", "#e76300", "#b9ac70", "#717581", "#92dadd"];
const DARK = ["#3f90da", "#ffa90e", "#e0442a", "#94a4a2", "#a95fd6", "#bd7f6d", "#f07818", "#b9ac70", "#868b99", "#92dadd"];
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
