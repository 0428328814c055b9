// A map of features: pan, zoom, hover, click, lasso, and an animation in steps.
//
// Its data come in three messages, each from a component of its own, so that a click does not bring all
// points again: `points` (places, names), `colours` (with the legend) and `marks` (what is greyed or ringed).
// They meet here, under the name of their map. The code comes with the points; part.js only hands over.

const MISSING = 255;
const GROUPS = 9;
const LEGEND = 12;
const MAX_VERTICES = 200;
const SECONDS_PER_STEP = 1.6;
const HIT = 9; // px
const REACH = 40; // px from the middle of the map, for keys
const REST_MS = 150; // the view has come to rest when nothing moved it for this long
const FRAME_MS = 30; // what a frame may take to draw while it moves

const maps = new Map(); // name -> { points, colours, marks, view }
const parts = new WeakMap(); // parentElement -> the part that is drawn there

const hub = (globalThis[Symbol.for("loupe.feature-map")] ??= { waiting: [] });
Object.assign(hub, { take, leave });
for (const component of hub.waiting.splice(0)) take(component);

export default function component(given) {
  take(given);
  return () => leave(given.parentElement);
}

// Runs for a new message and after every change of the theme.
function take({ parentElement, data, setStateValue, setTriggerValue }) {
  if (!parts.has(parentElement)) parts.set(parentElement, {});
  try {
    const message = unpack(data);
    if (!["points", "colours", "marks"].includes(message.kind)) throw new Error(`message of kind ${message.kind}`);
    receive(parts.get(parentElement), parentElement, message, setStateValue, setTriggerValue);
  } catch (error) {
    console.error("Feature map:", error);
    const place = parentElement.querySelector(".legend");
    place.textContent = "The map's data cannot be read. Reload the page.";
    place.hidden = false;
  }
}

function leave(parentElement) {
  const part = parts.get(parentElement);
  if (!part) return;
  part.view?.destroy();
  const shared = maps.get(part.map);
  if (shared && shared[part.kind] === part.message) delete shared[part.kind];
  if (shared && part.view && shared.view === part.view) delete shared.view;
  parts.delete(parentElement);
}

function receive(part, root, message, setStateValue, setTriggerValue) {
  if (!maps.has(message.map)) maps.set(message.map, {});
  const shared = maps.get(message.map);
  Object.assign(part, { map: message.map, kind: message.kind, message });
  shared[message.kind] = message;
  if (message.kind === "points") {
    part.view ??= new FeatureMap(root);
    part.view.emit = { state: setStateValue, trigger: setTriggerValue };
    shared.view = part.view;
  }
  if (message.kind === "colours") drawLegend(root.querySelector(".legend"), message);
  shared.view?.show(shared);
}

// Bytes of payload.py -> header with its arrays; everything is checked before it is looked at.
function unpack(bytes) {
  if (!(bytes instanceof Uint8Array) || bytes.length < 8) throw new Error("no bytes");
  if (bytes.byteOffset % 4) bytes = bytes.slice();
  const behind = 4 + new DataView(bytes.buffer, bytes.byteOffset).getUint32(0, true);
  if (behind > bytes.length || behind % 4) throw new Error("header out of bounds");
  const message = JSON.parse(new TextDecoder().decode(bytes.subarray(4, behind)));
  for (const { name, type, offset, length } of message.blocks) {
    const Type = { f4: Float32Array, i4: Int32Array, u1: Uint8Array }[type];
    const start = behind + offset;
    if (!Type || !(offset >= 0) || offset % 4 || start + length * Type.BYTES_PER_ELEMENT > bytes.length)
      throw new Error(`block ${name} out of bounds`);
    message[name] = new Type(bytes.buffer, bytes.byteOffset + start, length);
  }
  const perPoint = { points: ["x", "y", "feature", "to_x", "to_y", "fades"], colours: ["colour", "value"] };
  for (const name of perPoint[message.kind] ?? [])
    if (message[name] && message[name].length !== message.n) throw new Error(`${name} has another length`);
  return message;
}

// --- colours ---------------------------------------------------------------------------------------------------

function themeColours(element, name, fallback) {
  const text = getComputedStyle(element).getPropertyValue(`--st-${name}`);
  return text && text.trim() !== "unset" ? text.split(/,(?![^(]*\))/).map((part) => part.trim()) : fallback;
}

function rgb(colour) {
  const context = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  context.fillStyle = colour;
  context.fillRect(0, 0, 1, 1);
  return [...context.getImageData(0, 0, 1, 1).data.slice(0, 3)];
}

// The theme's ramp without its faintest colours, which would not be seen as points.
function rampStops(element) {
  return themeColours(element, "chart-sequential-colors", ["#000", "#000", "#000", "#fdba74", "#ea580c", "#7c2d12"]).slice(3);
}

function groupColours(element) {
  return themeColours(element, "chart-categorical-colors", ["#4c78a8", "#f58518", "#54a24b", "#e45756"]).slice(0, GROUPS);
}

function palette(element, colours) {
  const bytes = new Uint8Array(256 * 4).fill(255);
  const stops = (colours.palette ?? (colours.groups.length ? groupColours(element) : rampStops(element))).map(rgb);
  for (let i = 0; i < MISSING; i++) {
    if (colours.groups.length) bytes.set(stops[i % stops.length], 4 * i);
    else {
      const place = (i / (MISSING - 1)) * (stops.length - 1);
      const low = Math.max(0, Math.min(Math.floor(place), stops.length - 2));
      bytes.set(stops[low].map((v, k) => v + (place - low) * ((stops[low + 1] ?? stops[low])[k] - v)), 4 * i);
    }
  }
  bytes.set([138, 143, 152], 4 * MISSING);
  return bytes;
}

function node(tag, text = "", className = "") {
  const made = document.createElement(tag);
  made.textContent = text; // never HTML: names come from files nobody has checked
  made.className = className;
  return made;
}

function drawLegend(place, colours) {
  place.hidden = !colours.title && !colours.groups.length; // points of one colour
  place.replaceChildren(node("b", colours.title + (colours.log ? " (log)" : "")));
  const dot = (colour, text) => {
    const entry = node("span");
    const mark = node("span", "", "dot");
    mark.style.background = colour;
    entry.append(mark, text);
    place.append(entry);
  };
  if (colours.groups.length) {
    const shown = colours.palette ?? groupColours(place);
    const many = colours.groups.length > LEGEND;
    if (many) place.append(node("span", `${colours.groups.length.toLocaleString("en")}, in ${shown.length} colours by turns`));
    else colours.groups.forEach((name, i) => dot(shown[i % shown.length], name));
  } else {
    const ends = node("span", "", "ends");
    const ramp = node("span", "", "ramp");
    ramp.style.background = `linear-gradient(90deg, ${(colours.palette ?? rampStops(place)).join(",")})`;
    ends.append(colours.ramp[0], ramp, colours.ramp[1]);
    place.append(ends);
  }
  if (colours.missing) dot("rgb(138,143,152)", `none: ${colours.missing.toLocaleString("en")}`);
}
