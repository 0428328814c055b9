// A plane of points on the page, a map or a chart with axes: its data, what a person does with it, what is drawn.

class FeatureMap {
  constructor(root) {
    this.root = root;
    const find = (name) => root.querySelector(name);
    this.stage = find(".stage");
    [this.under, this.canvas, this.over] = ["under", "points", "marks"].map((name) => find(`canvas.${name}`));
    this.tip = find(".tip");
    [this.note, this.said] = [find(".message"), find(".said")];
    this.buttons = Object.fromEntries([...root.querySelectorAll("button")].map((b) => [b.dataset.do, b]));
    Object.assign(this, { lasso: null, hover: -1, frames: 0, movedAt: -Infinity });
    this.stop = new AbortController();
    this.camera = new Camera(this.stage);
    this.pointer = new Pointer(this, this.stop.signal);
    this.film = new Film(this, root, this.stop.signal);
    this.listen();
    this.resized = new ResizeObserver(() => this.redraw());
    this.resized.observe(this.stage);
    this.makeScatter();
  }

  makeScatter() {
    try {
      this.scatter = new Scatter(this.canvas);
    } catch (error) {
      console.warn("Feature map:", error);
      this.fail("This browser draws no WebGL; a simpler chart takes the map's place.");
    }
  }

  // Python then draws a chart that needs no WebGL.
  fail(text) {
    this.say(text);
    setTimeout(() => this.emit?.state("webgl", false), 0);
  }

  say(text) {
    this.note.textContent = text;
    this.note.hidden = !text;
  }

  listen() {
    const on = (target, name, act) => target.addEventListener(name, act, { signal: this.stop.signal });
    on(this.canvas, "webglcontextlost", (e) => {
      e.preventDefault();
      this.say("The browser took the graphics memory away; waiting for it.");
      this.waiting = setTimeout(() => this.fail("The graphics memory did not come back."), 3000);
    });
    on(this.canvas, "webglcontextrestored", () => {
      clearTimeout(this.waiting);
      this.say("");
      const before = this.shared;
      this.points = this.colours = this.marks = null;
      this.makeScatter();
      if (before) this.show(before);
    });
    const acts = {
      pan: () => this.pointer.mode(false),
      lasso: () => this.pointer.mode(true),
      clear: () => this.finishLasso(null),
      fit: () => this.fit(),
    };
    for (const [name, act] of Object.entries(acts)) on(this.buttons[name], "click", act);
  }

  // --- what is shown --------------------------------------------------------------------------------------------

  // Take over what has changed in the map's three messages; wait for those that have not come yet.
  show(shared) {
    this.shared = shared;
    if (!this.scatter) return;
    if (shared.points && shared.points.digest !== this.points?.digest) this.takePoints(shared.points);
    const { points } = this;
    if (points) {
      this.stage.style.height = `${shared.points.height}px`;
      this.stage.setAttribute("aria-label", shared.points.label);
    }
    // Of two messages that came one after the other, the first waits for its own.
    const fits = (message) => points && message?.n === points.n && message.order === points.order;
    if (fits(shared.colours) && shared.colours !== this.colours) this.takeColours(shared.colours);
    if (fits(shared.marks) && shared.marks !== this.marks) this.takeMarks(shared.marks);
    if (this.colours) this.takePalette(); // the theme may be another
    this.redraw();
  }

  takePoints(points) {
    const moved = this.points;
    this.points = points;
    this.colours = this.marks = null;
    for (const name of ["x", "y", "to_x", "to_y", "fades"]) this.scatter.set(name, points[name] ?? null);
    this.scatter.setLinks(points.links ?? null);
    [this.labels, this.texts] = [null, {}];
    this.hover = -1;
    if (moved) this.setLasso(null); // an outline on another layout means nothing here
    this.film.take(points.steps);
    this.buttons.lasso.hidden = points.steps.length > 0 || points.still;
    this.camera.frame(points.axes);
    if (points.axes && !moved) this.takeAxes(points);
    const { n, x, y, to_x, to_y } = points;
    this.camera.measure(n, [x, y], ...(to_x ? [[to_x, to_y]] : []));
    this.share = undefined;
  }

  // A chart begins with the tool that selects, and calls its tools by other names.
  takeAxes(points) {
    this.pointer.mode(!points.still);
    [this.buttons.lasso.textContent, this.buttons.lasso.title] = ["Select", "Drag a rectangle around points to select them"];
    [this.buttons.clear.textContent, this.buttons.clear.title] = ["Clear", "Remove the rectangle (Esc)"];
    [this.buttons.fit.textContent, this.buttons.fit.title] = ["Whole chart", "Show the whole chart (double click, or 0)"];
    this.buttons.pan.title = "Drag to move; Ctrl and the wheel, or plus and minus, zoom";
  }

  takeColours(colours) {
    this.colours = colours;
    this.scatter.set("colour", colours.colour);
  }

  takePalette() {
    this.scatter.setPalette(palette(this.stage, this.colours));
    this.ink = rgb(getComputedStyle(this.stage).color).map((v) => v / 255);
    const style = getComputedStyle(this.stage);
    this.accent = style.getPropertyValue("--st-primary-color").trim() || "#ea580c";
    const grid = style.getPropertyValue("--st-border-color").trim() || "#8a8f9840";
    this.look = { ink: style.color, grid, font: style.fontFamily };
  }

  takeMarks(marks) {
    this.marks = marks;
    const bright = marks.bright; // one bit for each point, first point in the highest bit
    const dim = bright && Uint8Array.from({ length: this.points.n }, (_, i) => 1 - ((bright[i >> 3] >> (7 - (i & 7))) & 1));
    this.scatter.set("dim", dim ?? null);
    // A map that is made anew (another tab was open) shows the lasso that Python still has.
    if (!this.welcomed && marks.polygon && marks.digest === this.points.digest) this.setLasso(marks.polygon);
    this.welcomed = true;
  }

  // The label of a point, from a block that is read when the first is asked for.
  label(i) {
    if (!this.points.labels) return "";
    this.labels ??= JSON.parse(new TextDecoder().decode(this.points.labels));
    return this.labels[i] ?? "";
  }

  describe(i) {
    const { colours, points } = this;
    if (points.tips) return points.tips.map((tip) => `${tip.title}: ${this.tipped(tip, i)}`).join("\n");
    const lines = [`Feature ${points.feature[i]}`, this.label(i)];
    const value = colours?.value?.[i];
    if (value !== undefined) {
      const number = Number.isNaN(value) ? "none" : String(Number(value.toPrecision(4)));
      lines.push(`${colours.title}: ${colours.groups.length && value >= 0 ? colours.groups[value] : number}`);
    }
    return lines.filter(Boolean).join("\n");
  }

  // What a chart's tooltip says of a point: a number, or a text from a block that is read when the first is asked for.
  tipped({ column, kind }, i) {
    if (kind === "whole") return this.points[column][i];
    if (kind === "number") return numeral(this.points[column][i]);
    const texts = (this.texts[column] ??= JSON.parse(new TextDecoder().decode(this.points[`${column}-texts`])));
    return texts[this.points[column][i]] ?? "";
  }

  // --- what a person does ---------------------------------------------------------------------------------------

  fit() {
    this.camera.fit();
    this.redraw();
  }

  pan(dx, dy) {
    this.camera.pan(dx, dy);
    this.movedAt = performance.now();
    this.redraw();
  }

  zoom([px, py], factor) {
    this.camera.zoom(px, py, factor);
    this.pan(0, 0);
  }

  // Where a point is just now, in data units.
  place(i) {
    const { x, y, to_x, to_y } = this.points;
    const { t } = this.film;
    return t ? [x[i] + t * (to_x[i] - x[i]), y[i] + t * (to_y[i] - y[i])] : [x[i], y[i]];
  }

  // The nearest point within a few pixels, or -1. A plain pass: 131,072 points take under a millisecond.
  nearest([px, py], radius) {
    if (!this.points || !this.colours) return -1;
    const [x, y] = this.camera.toData(px, py);
    const { stretch } = this.camera;
    let [best, least] = [-1, (radius / this.camera.scale) ** 2];
    const { x: xs, y: ys, to_x, to_y } = this.points;
    const { t } = this.film;
    for (let [i, stop] = this.film.range(this.points.n); i < stop; i++) {
      const dx = (t ? xs[i] + t * (to_x[i] - xs[i]) : xs[i]) - x;
      const dy = ((t ? ys[i] + t * (to_y[i] - ys[i]) : ys[i]) - y) * stretch;
      const squared = dx * dx + dy * dy;
      if (squared < least) [best, least] = [i, squared];
    }
    return best;
  }

  pick(i) {
    if (i >= 0) this.emit.trigger("point", { point: i, digest: this.points.digest });
  }

  finishLasso(outline) {
    const step = Math.ceil((outline?.length ?? 0) / MAX_VERTICES);
    const polygon = outline && outline.length > 2 ? outline.filter((_, i) => i % step === 0) : null;
    const before = this.lasso;
    this.setLasso(polygon);
    if (polygon || before) this.emit.state("lasso", polygon && { polygon, digest: this.points.digest });
    this.redraw();
  }

  setLasso(polygon) {
    this.lasso = polygon;
    this.buttons.clear.hidden = !polygon;
  }

  // The point under the pointer, with its tooltip.
  point(i) {
    if (i !== this.hover) {
      this.redraw();
      this.said.textContent = this.pointer.keyed && i >= 0 ? this.describe(i) : "";
    }
    this.hover = i;
    this.tip.hidden = i < 0;
    if (i < 0) return;
    this.tip.textContent = this.describe(i); // never HTML
    const [px, py] = this.camera.toScreen(...this.place(i));
    const { clientWidth: w, clientHeight: h } = this.stage;
    this.tip.style.left = `${Math.max(4, Math.min(px + 14, w - this.tip.offsetWidth - 4))}px`;
    this.tip.style.top = `${py + 14 + this.tip.offsetHeight > h ? py - 14 - this.tip.offsetHeight : py + 14}px`;
  }

  // --- drawing --------------------------------------------------------------------------------------------------

  redraw() {
    this.asked ??= requestAnimationFrame((now) => {
      this.asked = null;
      this.frame(now);
    });
  }

  frame(now) {
    const { stage, scatter, points, colours } = this;
    const { clientWidth: w, clientHeight: h } = stage;
    if (!w || !h || !scatter || !points || !colours) return;
    this.film.advance(now);
    const ratio = window.devicePixelRatio || 1;
    const size = [Math.round(w * ratio), Math.round(h * ratio)];
    if (this.canvas.width !== size[0] || this.canvas.height !== size[1]) {
      for (const canvas of [this.under, this.canvas, this.over]) [canvas.width, canvas.height] = size;
      this.camera.resize();
    }
    const { camera, pointer, film } = this;
    if (!camera.fitted) camera.fit();
    const [first, stop] = film.range(points.n);
    const moving = film.playing || performance.now() - this.movedAt < REST_MS;
    const share = (moving && this.share) || 1;
    // More points are drawn smaller and lighter: 7 px up to a thousand of them, 2.4 px for 131,072.
    const crowd = Math.max(1, (stop - first) / 1000);
    const closer = Math.min(4, Math.max(1, Math.sqrt(camera.scale / camera.home)));
    scatter.draw({
      centre: [camera.x, camera.y],
      zoom: [(2 * camera.scale) / camera.box.width, (2 * camera.scale * camera.stretch) / camera.box.height],
      box: camera.box,
      ratio,
      t: film.t,
      size: 7 * crowd ** -0.22 * closer * ratio,
      alpha: 0.88 * crowd ** -0.08,
      ink: this.ink,
      first,
      count: Math.ceil((stop - first) * share),
      dimmed: Boolean(this.marks?.bright),
    });
    if (moving) this.keepUp();
    const aim = pointer.drag || film.playing ? undefined : pointer.aim();
    if (aim !== undefined) this.point(aim);
    this.drawOver(ratio, w, h);
    Object.assign(stage.dataset, { frames: (this.frames += 1), points: points.n, whole: share === 1 });
    stage.dataset.view = [camera.x, camera.y, camera.scale].join(" ");
  }

  // Without a graphics card many points take long to draw. While the view moves only as many are drawn as the
  // first moving frame showed to be quick; points come in an order by chance, so these are a fair sample.
  keepUp() {
    if (this.share === undefined) {
      const began = performance.now();
      this.scatter.finish();
      this.share = Math.min(1, FRAME_MS / (performance.now() - began));
    }
    if (this.share === 1) return;
    clearTimeout(this.rest);
    this.rest = setTimeout(() => this.redraw(), REST_MS + 10);
  }

  drawOver(ratio, w, h) {
    const [under, pen] = [this.under, this.over].map((canvas) => canvas.getContext("2d"));
    for (const each of [under, pen]) {
      each.setTransform(ratio, 0, 0, ratio, 0, 0);
      each.clearRect(0, 0, w, h);
    }
    const { axes } = this.points;
    if (axes) {
      this.stage.dataset.ticks = JSON.stringify(drawAxes(under, this.camera, axes, this.look));
      drawNotes(pen, this.camera, axes, this.marks, this.look);
    }
    clipped(pen, this.camera, () => this.drawMarks(pen));
    if (this.pointer.keyed) this.cross(pen, ...this.pointer.middle);
  }

  drawMarks(pen) {
    pen.strokeStyle = pen.fillStyle = this.accent;
    const [first, stop] = this.film.range(this.points.n);
    const circle = (x, y, radius) => {
      pen.beginPath();
      pen.arc(x, y, radius, 0, 7);
      pen.lineWidth = 2;
      pen.stroke();
    };
    const ring = (i, radius) => {
      if (i >= first && i < stop) circle(...this.camera.toScreen(...this.place(i)), radius);
    };
    ring(this.hover, 6);
    for (const i of this.marks?.picked ?? []) ring(i, 9);
    for (const [x, y] of this.marks?.rings ?? []) circle(...this.camera.toScreen(x, y), 8);
    const outline = this.pointer.drag?.outline ?? this.lasso;
    if (!outline) return;
    pen.beginPath();
    for (const vertex of outline) pen.lineTo(...this.camera.toScreen(...vertex));
    pen.closePath();
    pen.globalAlpha = 0.1;
    pen.fill();
    pen.globalAlpha = 1;
    pen.lineWidth = 1.5;
    pen.stroke();
  }

  cross(pen, x, y) {
    pen.strokeStyle = this.accent;
    pen.beginPath();
    for (const [dx, dy] of [[1, 0], [-1, 0], [0, 1], [0, -1]]) {
      pen.moveTo(x + 4 * dx, y + 4 * dy);
      pen.lineTo(x + 12 * dx, y + 12 * dy);
    }
    pen.lineWidth = 1.5;
    pen.stroke();
  }

  destroy() {
    this.stop.abort(); // first, so that our own loss of the context is nobody's event
    clearTimeout(this.waiting);
    clearTimeout(this.rest);
    cancelAnimationFrame(this.asked);
    this.resized.disconnect();
    this.scatter?.destroy();
  }
}
