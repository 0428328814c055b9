// Points and lines by WebGL 2. Knows nothing of the page: places, palette numbers and flags in, pixels out.

const VERTEX = `#version 300 es
in float x, y, to_x, to_y, colour, dim, fades;
uniform vec2 centre, zoom;
uniform float t, size, alpha, pass;
uniform vec3 ink;
uniform sampler2D palette;
out vec4 tint;
void main() {
  gl_Position = pass < 0. || dim == pass ? vec4((mix(vec2(x, y), vec2(to_x, to_y), t) - centre) * zoom, 0, 1) : vec4(2, 2, 2, 1);
  gl_PointSize = dim > .5 ? .7 * size : size;
  vec3 full = texelFetch(palette, ivec2(int(colour), 0), 0).rgb;
  tint = dim > .5 ? vec4(ink, .12) : vec4(full, alpha * (1. - fades * t));
}`;

const FRAGMENT = `#version 300 es
precision highp float;
in vec4 tint;
uniform bool line;
uniform float size;
out vec4 pixel;
void main() {
  float edge = line ? .5 : 1. - smoothstep(1. - 3. / size, 1., 2. * length(gl_PointCoord - .5));
  pixel = vec4(tint.rgb, 1) * tint.a * edge;
}`;

const FLOATS = ["x", "y", "to_x", "to_y"];
const BYTES = ["colour", "dim", "fades"];
const UNIFORMS = ["centre", "zoom", "t", "size", "alpha", "pass", "ink", "line"];

class Scatter {
  // Throws where WebGL is missing.
  constructor(canvas) {
    const gl = canvas.getContext("webgl2", { antialias: false, depth: false, premultipliedAlpha: true });
    if (!gl) throw new Error("WebGL 2 is not available");
    this.gl = gl;
    this.program = gl.createProgram();
    for (const [kind, source] of [[gl.VERTEX_SHADER, VERTEX], [gl.FRAGMENT_SHADER, FRAGMENT]]) {
      const shader = gl.createShader(kind);
      gl.shaderSource(shader, source);
      gl.compileShader(shader);
      gl.attachShader(this.program, shader);
    }
    [...FLOATS, ...BYTES].forEach((name, i) => gl.bindAttribLocation(this.program, i, name));
    gl.linkProgram(this.program);
    // A context that is lost here fails to link too; it comes back with its own event.
    if (!gl.getProgramParameter(this.program, gl.LINK_STATUS) && !gl.isContextLost())
      throw new Error(gl.getProgramInfoLog(this.program));
    gl.useProgram(this.program);
    this.at = Object.fromEntries(UNIFORMS.map((name) => [name, gl.getUniformLocation(this.program, name)]));
    this.buffers = {};
    this.texture = gl.createTexture();
    gl.enable(gl.BLEND);
    gl.blendFunc(gl.ONE, gl.ONE_MINUS_SRC_ALPHA);
  }

  // One value for each point: Float32Array or Uint8Array by name; null for 0 everywhere.
  set(name, values) {
    const gl = this.gl;
    const index = [...FLOATS, ...BYTES].indexOf(name);
    if (!values) {
      gl.disableVertexAttribArray(index);
      gl.vertexAttrib1f(index, 0);
      return;
    }
    this.buffers[name] ??= gl.createBuffer();
    gl.bindBuffer(gl.ARRAY_BUFFER, this.buffers[name]);
    gl.bufferData(gl.ARRAY_BUFFER, values, gl.STATIC_DRAW);
    gl.enableVertexAttribArray(index);
    gl.vertexAttribPointer(index, 1, FLOATS.includes(name) ? gl.FLOAT : gl.UNSIGNED_BYTE, false, 0, 0);
  }

  // Pairs of point numbers with a line between them.
  setLinks(pairs) {
    const gl = this.gl;
    this.links = pairs ? pairs.length : 0;
    if (!pairs) return;
    this.buffers.links ??= gl.createBuffer();
    gl.bindBuffer(gl.ELEMENT_ARRAY_BUFFER, this.buffers.links);
    gl.bufferData(gl.ELEMENT_ARRAY_BUFFER, new Uint32Array(pairs), gl.STATIC_DRAW);
  }

  // 256 colours as RGBA bytes.
  setPalette(rgba) {
    const gl = this.gl;
    gl.bindTexture(gl.TEXTURE_2D, this.texture);
    gl.texImage2D(gl.TEXTURE_2D, 0, gl.RGBA, 256, 1, 0, gl.RGBA, gl.UNSIGNED_BYTE, rgba);
    for (const side of [gl.TEXTURE_MIN_FILTER, gl.TEXTURE_MAG_FILTER]) gl.texParameteri(gl.TEXTURE_2D, side, gl.NEAREST);
  }

  // centre in data units; zoom from data units to clip space; box in pixels of the page, `ratio` device pixels each;
  // size in device pixels; ink as three numbers to 1.
  draw({ centre, zoom, box, ratio, t, size, alpha, ink, first, count, dimmed }) {
    const gl = this.gl;
    gl.disable(gl.SCISSOR_TEST);
    gl.clearColor(0, 0, 0, 0);
    gl.clear(gl.COLOR_BUFFER_BIT);
    const below = gl.drawingBufferHeight - (box.top + box.height) * ratio;
    const pixels = [box.left * ratio, below, box.width * ratio, box.height * ratio].map(Math.round);
    gl.viewport(...pixels);
    gl.scissor(...pixels);
    gl.enable(gl.SCISSOR_TEST);
    gl.uniform2fv(this.at.centre, centre);
    gl.uniform2fv(this.at.zoom, zoom);
    gl.uniform1f(this.at.t, t);
    gl.uniform1f(this.at.size, size);
    gl.uniform3fv(this.at.ink, ink);
    gl.uniform1f(this.at.alpha, alpha);
    gl.uniform1i(this.at.line, 1);
    gl.uniform1f(this.at.pass, -1);
    if (this.links) gl.drawElements(gl.LINES, this.links, gl.UNSIGNED_INT, 0);
    gl.uniform1i(this.at.line, 0);
    // What is greyed lies below what is not.
    for (const pass of dimmed ? [1, 0] : [0]) {
      gl.uniform1f(this.at.pass, pass);
      gl.drawArrays(gl.POINTS, first, count);
    }
  }

  // Wait until all that was asked for is drawn (reading a pixel is the one way to know).
  finish() {
    const gl = this.gl;
    gl.readPixels(0, 0, 1, 1, gl.RGBA, gl.UNSIGNED_BYTE, new Uint8Array(4));
  }

  destroy() {
    // Browsers keep only a few contexts; without this they would throw out the oldest one that is in use.
    this.gl.getExtension("WEBGL_lose_context")?.loseContext();
  }
}
