// The page: read what is inside it, build the model, and set up each part.
import { ConvAutoencoder } from "./baselines.js";
import { Decoder } from "./decoder.js";
import { Levels } from "./levels.js";
import { Line } from "./line.js";
import { CodeMap } from "./map.js";
import { Own } from "./own.js";
import { PIE } from "./pie.js";
import { Sprite, clear, errorOf, paint, unpacked } from "./pictures.js";
import { Samples } from "./samples.js";
import { Studio, byId, say, short } from "./studio.js";
import { bytesOf, readTensors } from "./tensors.js";

// Return the text of an element, which is then emptied: it is large.
function taken(name) {
  const found = byId(name), text = found.textContent;
  found.remove();
  return text;
}

function trouble(text) {
  byId("trouble").hidden = false;
  byId("trouble").textContent = text;
}

function chooser(studio) {
  const number = byId("number"), { indices } = studio.data, last = indices.data[studio.count - 1];
  number.max = last;
  let at = 0;
  const take = (i) => studio.take((i + studio.count) % studio.count);
  number.addEventListener("change", () => {
    const wanted = Number(number.value); // not all test images are here: the next one that is
    const found = indices.data.findIndex((index) => index >= wanted);
    take(found < 0 ? studio.count - 1 : found);
  });
  byId("previous").addEventListener("click", () => take(at - 1));
  byId("next").addEventListener("click", () => take(at + 1));
  byId("any").addEventListener("click", () => take(Math.floor(Math.random() * studio.count)));
  studio.onChoice(({ index, name, x, z }) => {
    const decoded = studio.model.decode(z);
    if (index !== null) {
      at = index;
      number.value = indices.data[index];
    }
    byId("chosen-name").textContent = name;
    if (x) paint(byId("chosen-image"), x, studio.shape, name);
    else clear(byId("chosen-image"), "no image: this is a code");
    const error = x ? `, MSE ${short(errorOf(x, decoded))}` : "";
    paint(byId("chosen-decoded"), decoded, studio.shape, `${name}, decoded from z alone${error}`);
    byId("chosen-decoded").nextElementSibling.textContent = `from z alone${error}`;
    if (index !== null) say(`${name}, decoded from z alone${error}`);
  });
}

async function start() {
  const about = JSON.parse(byId("about").textContent), { config } = about;
  const data = readTensors(bytesOf(taken("data"))), tensors = readTensors(bytesOf(taken("weights")));
  const model = config.name === "pie" ? new PIE(config, tensors) : new ConvAutoencoder(config, tensors);
  const pixels = await unpacked(data.pictures.data);
  const studio = new Studio(about, data, model, new Sprite(pixels, config.image_shape, about.count));
  const [, height, width] = config.image_shape, style = document.documentElement.style;
  style.setProperty("--aspect", `${width} / ${height}`);
  style.setProperty("--rendering", Math.max(width, height) <= 64 ? "pixelated" : "auto");
  chooser(studio);
  const decoder = new Decoder(studio);
  if (model.residualSizes.length) studio.coding = new Levels(studio, () => decoder.draw()).coding;
  studio.map = new CodeMap(studio);
  new Own(studio);
  new Line(studio);
  new Samples(studio);
  studio.take(0);
  globalThis.pie = studio; // for the curious, and for tests
  document.documentElement.dataset.ready = "";
}

start().catch((error) => {
  trouble(`The model in this page cannot run here (${error.message}). A browser of the last three years is needed.`);
  console.error(error);
});
