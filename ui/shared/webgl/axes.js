// The axes of a chart: ticks, labels and titles around the points, and lines and texts between them.
// Points lie from 0 to 1 along each axis; an axis says what value lies where: { title, kind, low, high }.

const MARGINS = { left: 66, top: 34, right: 14, bottom: 46 };
const NO_MARGINS = { left: 0, top: 0, right: 0, bottom: 0 };
const GREY = "#8a8f98";

const BEND = {
  linear: [(v) => v, (u) => u],
  log: [Math.log10, (u) => 10 ** u],
  symlog: [(v) => Math.sign(v) * Math.log1p(Math.abs(v)), (u) => Math.sign(u) * Math.expm1(Math.abs(u))],
};

function unitOf(axis, value) {
  const [bend] = BEND[axis.kind];
  return (bend(value) - bend(axis.low)) / (bend(axis.high) - bend(axis.low));
}

function valueAt(axis, unit) {
  const [bend, back] = BEND[axis.kind];
  return back(bend(axis.low) + unit * (bend(axis.high) - bend(axis.low)));
}

// Round values from low to high, about `most` of them.
function roundTicks(low, high, most) {
  const rough = (high - low) / most;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = power * [1, 2, 5, 10].find((by) => by * power >= rough * 0.999);
  const first = Math.ceil(low / step - 1e-9);
  const count = Math.floor(high / step + 1e-9) - first + 1;
  return Array.from({ length: Math.max(0, Math.min(count, 3 * most)) }, (_, i) => (first + i) * step);
}

function ticks(axis, from, to, most) {
  const [low, high] = [valueAt(axis, from), valueAt(axis, to)];
  if (axis.kind === "linear") return roundTicks(low, high, most);
  const least = axis.kind === "log" ? low : 1;
  const tens = (a, b) => {
    const powers = [];
    for (let n = Math.ceil(Math.log10(a) - 1e-9); n <= Math.log10(b) + 1e-9; n++) powers.push(10 ** n);
    return powers;
  };
  const above = high > least ? tens(Math.max(low, least), high) : [];
  const below = axis.kind === "symlog" && low < -1 ? tens(Math.max(-high, 1), -low).map((v) => -v).reverse() : [];
  const zero = axis.kind === "symlog" && low <= 0 && high >= 0 ? [0] : [];
  const found = [...below, ...zero, ...above];
  if (found.length < 3) return roundTicks(low, high, most);
  return found.filter((_, i) => i % Math.ceil(found.length / most) === 0);
}

// A number as an axis and a tooltip say it.
function numeral(value) {
  const size = Math.abs(value);
  if (!Number.isFinite(value)) return "none";
  if (size >= 1e4) return Intl.NumberFormat("en", { notation: "compact", maximumSignificantDigits: 4 }).format(value);
  if (size && size < 1e-3) return value.toExponential(2).replace(/\.?0+e/, "e");
  return Number(value.toPrecision(4)).toLocaleString("en", { maximumSignificantDigits: 4 }).replace("-", "\u2212");
}

// Where a value of an axis lies on the stage.
function placeOf(camera, axes, along, value) {
  const unit = unitOf(axes[along], value);
  return along === "x" ? camera.toScreen(unit, 0)[0] : camera.toScreen(0, unit)[1];
}

function stroke(pen, colour, ...ends) {
  pen.strokeStyle = colour;
  pen.beginPath();
  pen.moveTo(ends[0], ends[1]);
  pen.lineTo(ends[2], ends[3]);
  pen.stroke();
}

// Draw what lies around and below the points with a pen whose units are pixels of the page. Returns the ticks: axis,
// value, and the pixel where it stands.
function drawAxes(pen, camera, axes, look) {
  const { left, top, width, height } = camera.box;
  const [bottom, right] = [top + height, left + width];
  const drawn = [];
  const [[x0, y0], [x1, y1]] = [camera.toData(left, bottom), camera.toData(right, top)];
  pen.font = `11px ${look.font}`;
  pen.lineWidth = 1;
  pen.fillStyle = look.ink;
  pen.textBaseline = "top";
  pen.textAlign = "center";
  for (const tick of ticks(axes.x, x0, x1, Math.max(2, Math.floor(width / 75)))) {
    const at = placeOf(camera, axes, "x", tick);
    drawn.push(["x", tick, at]);
    stroke(pen, look.grid, at, top, at, bottom + 4);
    pen.fillText(numeral(tick), at, bottom + 7);
  }
  pen.textBaseline = "middle";
  pen.textAlign = "right";
  for (const tick of ticks(axes.y, y0, y1, Math.max(2, Math.floor(height / 50)))) {
    const at = placeOf(camera, axes, "y", tick);
    drawn.push(["y", tick, at]);
    stroke(pen, look.grid, left - 4, at, right, at);
    pen.fillText(numeral(tick), left - 7, at);
  }
  pen.font = `12px ${look.font}`;
  pen.textAlign = "center";
  pen.fillText(axes.x.title, left + width / 2, bottom + 36, width);
  pen.save();
  pen.translate(14, top + height / 2);
  pen.rotate(-Math.PI / 2);
  pen.fillText(axes.y.title, 0, 0, height);
  pen.restore();
  return drawn;
}

// Draw lines and texts above the points.
function drawNotes(pen, camera, axes, marks, look) {
  const { left, top, width, height } = camera.box;
  const { rules = [], texts = [] } = marks ?? {};
  clipped(pen, camera, () => {
    pen.setLineDash([5, 4]);
    pen.lineWidth = 1.5;
    for (const { along, at } of rules) {
      const where = placeOf(camera, axes, along, at);
      stroke(pen, GREY, ...(along === "x" ? [where, top, where, top + height] : [left, where, left + width, where]));
    }
    pen.font = `11px ${look.font}`;
    pen.fillStyle = look.ink;
    pen.textAlign = "center";
    pen.textBaseline = "middle";
    // A text beside the edge is moved inwards; one whose point is out of view is left out.
    const within = (at, low, size, room) => Math.min(Math.max(at, low + room), low + size - room);
    for (const { x, y, text, dy } of texts) {
      const [px, py] = [placeOf(camera, axes, "x", x), placeOf(camera, axes, "y", y)];
      if (px < left - 1 || px > left + width + 1 || py < top - 1 || py > top + height + 1) continue;
      const half = Math.min(120, pen.measureText(text).width) / 2;
      pen.fillText(text, within(px, left, width, half), within(py + dy, top, height, 7), 120);
    }
  });
}

// Do something whose lines end at the edges of the box.
function clipped(pen, camera, act) {
  const { left, top, width, height } = camera.box;
  pen.save();
  pen.beginPath();
  pen.rect(left, top, width, height);
  pen.clip();
  act();
  pen.restore();
}
