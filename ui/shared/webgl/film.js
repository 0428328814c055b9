// The animation's slider and button, and where it is.

class Film {
  constructor(map, root, signal) {
    const find = (name) => root.querySelector(name);
    Object.assign(this, { map, place: find(".film"), slider: find("input"), output: find("output") });
    this.button = find("button[data-do=play]");
    this.button.addEventListener("click", () => this.play(!this.playing), { signal });
    this.slider.addEventListener("input", () => (this.play(false), this.seek(Number(this.slider.value))), { signal });
    this.take([]);
  }

  // Steps [{ title, start, stop }]; none for a still map.
  take(steps) {
    Object.assign(this, { steps, moment: 0, step: 0, t: 0, playing: false });
    this.place.hidden = !steps.length;
    this.slider.max = Math.max(0, steps.length - 1);
    if (steps.length) this.seek(0);
  }

  // First and last + 1 of the points that are shown just now.
  range(n) {
    const step = this.steps[this.step];
    return step ? [step.start, step.stop] : [0, n];
  }

  play(on) {
    this.playing = on;
    if (on && this.moment >= this.steps.length - 1) this.moment = 0;
    this.before = null;
    this.button.textContent = on ? "Pause" : "Play";
    this.map.redraw();
  }

  // A moment is a step and, behind the point, how far its points have gone.
  seek(moment) {
    this.moment = Math.min(moment, this.steps.length - 1);
    this.step = Math.floor(this.moment);
    const gone = this.moment - this.step;
    this.t = gone * gone * (3 - 2 * gone); // slow at both ends
    this.slider.value = this.moment;
    const aim = this.steps[this.step + 1];
    this.output.textContent = this.steps[this.step].title + (gone && aim ? ` → ${aim.title}` : "");
    this.map.redraw();
  }

  // Called with every frame's time in ms.
  advance(now) {
    if (!this.playing) return;
    this.seek(this.moment + (this.before ? (now - this.before) / 1000 / SECONDS_PER_STEP : 0));
    this.before = now;
    if (this.moment >= this.steps.length - 1) this.play(false);
  }
}
