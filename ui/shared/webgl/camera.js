// Where the map is looked at: centre in data units, scale in pixels for each of them, the same in x and y.

class Camera {
  constructor(stage) {
    Object.assign(this, { stage, x: 0, y: 0, scale: 1, home: 1, fitted: false, extent: [0, 1, 0, 1] });
  }

  // Take the extent of some points as the whole map.
  measure(n, ...places) {
    let [left, right, low, high] = [Infinity, -Infinity, Infinity, -Infinity];
    for (const [x, y] of places)
      for (let i = 0; i < n; i++) {
        if (x[i] < left) left = x[i];
        if (x[i] > right) right = x[i];
        if (y[i] < low) low = y[i];
        if (y[i] > high) high = y[i];
      }
    this.extent = n ? [left, right, low, high] : [0, 1, 0, 1];
    this.fitted = false;
  }

  fit() {
    const [left, right, low, high] = this.extent;
    const { clientWidth: w, clientHeight: h } = this.stage;
    this.home = 0.92 * Math.min(w / (right - left || 1), h / (high - low || 1));
    Object.assign(this, { x: (left + right) / 2, y: (low + high) / 2, scale: this.home, fitted: true });
  }

  // The stage has another size: show the whole map again, unless somebody has chosen a part of it.
  resize() {
    if (this.scale === this.home) this.fitted = false;
  }

  toScreen(x, y) {
    const { clientWidth: w, clientHeight: h } = this.stage;
    return [(x - this.x) * this.scale + w / 2, h / 2 - (y - this.y) * this.scale];
  }

  toData(px, py) {
    const { clientWidth: w, clientHeight: h } = this.stage;
    return [(px - w / 2) / this.scale + this.x, (h / 2 - py) / this.scale + this.y];
  }

  // By pixels: to the right and up.
  pan(dx, dy) {
    this.x += dx / this.scale;
    this.y += dy / this.scale;
  }

  // What lies under the given pixel stays there.
  zoom(px, py, factor) {
    const [x, y] = this.toData(px, py);
    this.scale = Math.min(Math.max(this.scale * factor, this.home / 4), this.home * 2000);
    const [nx, ny] = this.toData(px, py);
    this.x += x - nx;
    this.y += y - ny;
  }
}
