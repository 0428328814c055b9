// Where a plane is looked at: centre in data units, scale in pixels for each of them. A map has the same in x and y;
// a chart with axes fills its box, so that a unit of y is `stretch` times as long as one of x.

class Camera {
  constructor(stage) {
    Object.assign(this, { stage, x: 0, y: 0, scale: 1, stretch: 1, home: 1, fitted: false, extent: [0, 1, 0, 1] });
    this.margins = NO_MARGINS;
  }

  // Pixels of the stage in which points are drawn.
  get box() {
    const { left, top, right, bottom } = this.margins;
    const { clientWidth: w, clientHeight: h } = this.stage;
    return { left, top, width: Math.max(1, w - left - right), height: Math.max(1, h - top - bottom) };
  }

  // Leave room for axes, whose ends lie at 0 and 1; or none, as a map has no axes.
  frame(axes) {
    this.axes = axes;
    this.margins = axes ? MARGINS : NO_MARGINS;
  }

  // Take the extent of some points as the whole map.
  measure(n, ...places) {
    this.fitted = false;
    this.extent = [0, 1, 0, 1];
    if (this.axes || !n) return;
    let [left, right, low, high] = [Infinity, -Infinity, Infinity, -Infinity];
    for (const [x, y] of places)
      for (let i = 0; i < n; i++) {
        if (x[i] < left) left = x[i];
        if (x[i] > right) right = x[i];
        if (y[i] < low) low = y[i];
        if (y[i] > high) high = y[i];
      }
    this.extent = [left, right, low, high];
  }

  fit() {
    const [left, right, low, high] = this.extent;
    const { width, height } = this.box;
    const [across, up] = [width / (right - left || 1), height / (high - low || 1)];
    this.home = this.axes ? across : 0.92 * Math.min(across, up);
    this.stretch = this.axes ? up / across : 1;
    Object.assign(this, { x: (left + right) / 2, y: (low + high) / 2, scale: this.home, fitted: true });
  }

  // The stage has another size: show the whole map again, unless somebody has chosen a part of it.
  resize() {
    if (this.scale === this.home) this.fitted = false;
  }

  toScreen(x, y) {
    const { left, top, width, height } = this.box;
    return [(x - this.x) * this.scale + left + width / 2, top + height / 2 - (y - this.y) * this.scale * this.stretch];
  }

  toData(px, py) {
    const { left, top, width, height } = this.box;
    return [(px - left - width / 2) / this.scale + this.x, (top + height / 2 - py) / this.scale / this.stretch + this.y];
  }

  // By pixels: to the right and up.
  pan(dx, dy) {
    this.x += dx / this.scale;
    this.y += dy / this.scale / this.stretch;
  }

  // What lies under the given pixel stays there. Axes have nothing beyond their ends.
  zoom(px, py, factor) {
    const [x, y] = this.toData(px, py);
    this.scale = Math.min(Math.max(this.scale * factor, this.home / (this.axes ? 1 : 4)), this.home * 2000);
    const [nx, ny] = this.toData(px, py);
    this.x += x - nx;
    this.y += y - ny;
  }
}
