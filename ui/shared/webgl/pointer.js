// What the pointer and the keys do on a plane of points.

const corners = ([x0, y0], [x1, y1]) => [[x0, y0], [x1, y0], [x1, y1], [x0, y1]];

class Pointer {
  // `signal` takes all listeners away again.
  constructor(map, signal) {
    Object.assign(this, { map, stage: map.stage, drag: null, hover: null, keyed: false, lassoing: false });
    const on = (name, act, options = {}) => this.stage.addEventListener(name, act, { signal, ...options });
    on("wheel", (event) => this.wheel(event), { passive: false });
    on("pointerdown", (event) => this.press(event));
    on("pointermove", (event) => this.move(event));
    on("pointerup", (event) => this.release(event));
    on("pointercancel", () => this.end());
    on("pointerleave", () => this.leave());
    on("dblclick", () => map.fit());
    on("keydown", (event) => this.key(event));
    on("blur", () => this.keys(false));
  }

  at(event) {
    const box = this.stage.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  }

  // A chart leaves the wheel to the page unless Ctrl is held, as a pinch does too.
  wheel(event) {
    if (this.map.points?.axes && !event.ctrlKey) return;
    event.preventDefault();
    const unit = [0.0015, 0.05, 0.5][event.deltaMode]; // pixels, lines, pages
    this.map.zoom(this.at(event), Math.exp(-event.deltaY * unit));
  }

  // The middle of the map, where keys pick.
  get middle() {
    const { left, top, width, height } = this.map.camera.box;
    return [left + width / 2, top + height / 2];
  }

  // Whether the keys lead: then the middle is marked, and what lies there is named.
  keys(lead) {
    if (this.keyed && !lead) this.map.point(-1);
    this.keyed = lead;
    this.map.redraw();
  }

  // The point that would be picked now, or -1; undefined where neither pointer nor keys lead.
  aim() {
    if (this.keyed) return this.map.nearest(this.middle, REACH);
    return this.hover ? this.map.nearest(this.hover, HIT) : undefined;
  }

  press(event) {
    this.keys(false);
    if (event.button || !this.map.points) return;
    this.stage.setPointerCapture(event.pointerId);
    const at = this.at(event);
    const { steps, still } = this.map.points;
    const lasso = (this.lassoing || event.shiftKey) && !steps.length && !still;
    this.drag = { from: at, last: at, far: false, outline: lasso ? [this.map.camera.toData(...at)] : null };
    this.stage.classList.add("dragging");
  }

  move(event) {
    const { drag, map } = this;
    const at = this.at(event);
    if (!drag) {
      this.keys(false);
      this.hover = at; // looked up with the next frame: once a frame is enough
      map.redraw();
      return;
    }
    drag.far ||= Math.hypot(at[0] - drag.from[0], at[1] - drag.from[1]) > 4;
    if (!drag.far || (drag.outline && Math.hypot(at[0] - drag.last[0], at[1] - drag.last[1]) < 2)) return;
    if (drag.outline && map.points.axes) drag.outline = corners(map.camera.toData(...drag.from), map.camera.toData(...at));
    else if (drag.outline) drag.outline.push(map.camera.toData(...at));
    else map.pan(drag.last[0] - at[0], at[1] - drag.last[1]);
    drag.last = at;
    map.redraw();
  }

  release(event) {
    const drag = this.end();
    if (!drag) return;
    if (!drag.far) this.map.pick(this.map.nearest(this.at(event), HIT));
    else if (drag.outline) this.map.finishLasso(drag.outline);
  }

  end() {
    const { drag } = this;
    this.drag = null;
    this.stage.classList.remove("dragging");
    this.map.redraw();
    return drag;
  }

  leave() {
    this.hover = null;
    this.map.point(-1);
  }

  // Whether a drag draws a lasso.
  mode(lasso) {
    this.lassoing = lasso;
    this.stage.classList.toggle("lasso", lasso);
    this.map.buttons.pan.setAttribute("aria-pressed", String(!lasso));
    this.map.buttons.lasso.setAttribute("aria-pressed", String(lasso));
  }

  key(event) {
    const { map } = this;
    const far = event.shiftKey ? 160 : 40;
    const { middle } = this;
    const acts = {
      ArrowLeft: () => map.pan(-far, 0),
      ArrowRight: () => map.pan(far, 0),
      ArrowUp: () => map.pan(0, far),
      ArrowDown: () => map.pan(0, -far),
      "+": () => map.zoom(middle, 1.25),
      "=": () => map.zoom(middle, 1.25),
      "-": () => map.zoom(middle, 0.8),
      0: () => map.fit(),
      Escape: () => map.finishLasso(null),
      Enter: () => map.pick(map.nearest(middle, REACH)),
    };
    if (!acts[event.key] || event.ctrlKey || event.metaKey || event.altKey || !map.points) return;
    event.preventDefault();
    this.keys(true);
    acts[event.key]();
  }
}
