
// ---- GameExplorer: two networks at play ---------------------------------------------------------------

const BLUE = "#0072B2", VERMILION = "#D55E00"; // Okabe and Ito
const ARROWS = 70; // fakes that carry one
const LONGEST = 44, HALF = 0.5; // px, and the pull at which an arrow has half of it: no pull, no arrow
const LAYERS = [["map", "critic"], ["warp", "generator's mesh"], ["pulls", "pulls"], ["real", "real"], ["fake", "fake"]];

const rules = {
  amount: (seconds, speed) => Math.round(seconds * speed),
  take(session, header, buffers) {
    const [fake, pull, warp, curves] = buffers.slice(0, 4).map(float32), m = curves.length / 3;
    Object.assign(session, { fake, pull, warp, shades: bytes(buffers[4]) });
    Object.assign(session, { at: curves.subarray(0, m), dLoss: curves.subarray(m, 2 * m), gLoss: curves.subarray(2 * m) });
    if (header.fresh) session.real = float32(buffers[5]);
  },
};

class GameView extends Panel {
  constructor(session, el) {
    const { data, objectives, rules: ways, penalties, alone } = session.model.get("view");
    const layers = LAYERS.map(([name, words]) => `<button type="button" data-layer="${name}" aria-pressed="true">${words}</button>`).join("");
    super(session, el, {
      step: 1, stepName: "one round of the rule", unit: "rounds",
      choices: [["data", "data", data], ["objective", "objective", objectives], ["rule", "rule", ways], ["penalty", "penalty", penalties]],
      buttons: `<span class="lex-group">${button("only_critic", `critic +${alone}`, "c")}${button("only_generator", `generator +${alone}`, "g")}</span>
        <span class="lex-group lex-layers" role="group" aria-label="layers">${layers}</span>`,
      keys: { c: "only_critic", g: "only_generator" },
    });
  }

  picture() {
    return this.plane.root;
  }

  build(left, charts) {
    this.layers = new Set(LAYERS.map(([name]) => name));
    const stage = document.createElement("div");
    stage.className = "pan-stage pan-map";
    this.canvas = stage.appendChild(document.createElement("canvas"));
    this.context = this.canvas.getContext("2d");
    left.appendChild(stage);
    const [a, b, c, d] = this.world.box, tall = Math.round((480 * (d - c)) / (b - a));
    this.plane = new Plane(stage, { wide: 480, tall, left: 0, right: 0, top: 0, bottom: 0, kind: "pan-weights" });
    this.plane.range([a, b], [c, d], { xs: [], ys: [] });
    const key = document.createElement("div");
    key.className = "lex-legend pan-note-line";
    key.innerHTML = `<span><i class="pan-k-real"></i>real</span><span><b class="pan-k-fake">▲</b>fake, and its pull</span>
      <span>critic: fake <i class="pan-k-scale"></i> real</span><span>mesh: cells of equal probability</span>`;
    left.appendChild(key);
    this.meter = new Meter(charts, "Modes");
    this.opinion = new Meter(charts, "Critic's mean verdict");
    this.losses = new Plane(charts, { wide: 360, tall: 190, left: 34, bottom: 30, title: "losses", xlabel: "turns" });
    this.level = svg("path", { class: "pan-first" }, this.losses.plane);
    this.lineG = svg("path", { class: "pan-loss-g" }, this.losses.plane);
    this.lineD = svg("path", { class: "lex-h" }, this.losses.plane);
    const legend = document.createElement("div");
    legend.className = "lex-legend";
    legend.innerHTML = `<span><i class="pan-k-line pan-k-line-d"></i>critic</span><span><i class="pan-k-line pan-k-line-g"></i>generator</span><span class="pan-level-name"></span>`;
    this.levelName = legend.querySelector(".pan-level-name");
    charts.appendChild(legend);
  }

  fit() {
    const ratio = (this.ratio = Math.min(3, devicePixelRatio || 1)), width = Math.round(this.canvas.clientWidth * ratio);
    if (!width || width === this.canvas.width) return false;
    this.canvas.width = width;
    this.canvas.height = Math.round(this.canvas.clientHeight * ratio);
    return true;
  }

  // -- the hand

  press(target) {
    const layer = target?.dataset.layer;
    if (!layer) return super.press(target);
    const on = !this.layers.delete(layer);
    if (on) this.layers.add(layer);
    target.setAttribute("aria-pressed", on);
    this.say(`${target.textContent} ${on ? "shown" : "hidden"}`);
    this.show();
  }

  // -- what is to be seen

  draw(header, settings) {
    if (!this.session.fake) return;
    this.paint();
    this.drawFacts(header, settings);
    this.drawLosses(settings);
  }

  paint() {
    const { context: g, session, plane, layers } = this, view = plane.root.viewBox.baseVal;
    if (!this.canvas.width) return;
    g.setTransform(this.canvas.width / view.width, 0, 0, this.canvas.height / view.height, 0, 0);
    g.fillStyle = "#f4f4f4";
    g.fillRect(0, 0, view.width, view.height);
    if (layers.has("map")) this.paintMap(g, view);
    if (layers.has("warp")) this.paintWarp(g);
    const { real, fake } = session;
    if (layers.has("real")) {
      const dots = new Path2D();
      for (let i = 0; i < real.length; i += 2) {
        const x = plane.x(real[i]), y = plane.y(real[i + 1]);
        dots.moveTo(x + 2.6, y);
        dots.arc(x, y, 2.6, 0, 6.2832);
      }
      this.stamp(g, dots, BLUE, "#fff");
    }
    if (layers.has("pulls")) this.paintPulls(g);
    if (layers.has("fake")) {
      const marks = new Path2D();
      for (let i = 0; i < fake.length; i += 2) {
        const x = plane.x(fake[i]), y = plane.y(fake[i + 1]);
        marks.moveTo(x, y - 3.6);
        marks.lineTo(x + 3.2, y + 2.4);
        marks.lineTo(x - 3.2, y + 2.4);
        marks.closePath();
      }
      this.stamp(g, marks, VERMILION, "#111");
    }
    this.paintTicks(g, view);
    session.drawn = (session.drawn ?? 0) + 1;
  }

  stamp(g, path, fill, rim) {
    g.lineWidth = 2; // half of it lies outside; filled last, or the rims of a crowd would hide it
    g.strokeStyle = rim;
    g.stroke(path);
    g.fillStyle = fill;
    g.fill(path);
  }

  paintMap(g, view) { // values sit on the grid points, from edge to edge
    const { shades } = this.session, n = this.world.size, table = bytes(this.model.get("colours")), image = new ImageData(n, n);
    for (let row = 0; row < n; row++) {
      for (let column = 0; column < n; column++) {
        const colour = shades[(n - 1 - row) * n + column] * 3;
        image.data.set([table[colour], table[colour + 1], table[colour + 2], 255], (row * n + column) * 4);
      }
    }
    this.small ??= document.createElement("canvas");
    this.small.width = this.small.height = n;
    this.small.getContext("2d").putImageData(image, 0, 0);
    const hx = view.width / (n - 1) / 2, hy = view.height / (n - 1) / 2;
    g.imageSmoothingQuality = "high";
    g.drawImage(this.small, -hx, -hy, view.width + 2 * hx, view.height + 2 * hy);
  }

  /** The latent plane as the generator bends it. Cells hold equal probability: the smaller, the denser. */
  paintWarp(g) {
    const { warp } = this.session, n = this.world.warp, { plane } = this;
    const at = (row, column) => [plane.x(warp[2 * (row * n + column)]), plane.y(warp[2 * (row * n + column) + 1])];
    g.lineWidth = 0.7;
    g.fillStyle = g.strokeStyle = "#222";
    for (let row = 0; row < n - 1; row++) {
      for (let column = 0; column < n - 1; column++) {
        const p = [at(row, column), at(row, column + 1), at(row + 1, column + 1), at(row + 1, column)];
        const area = Math.abs(p.reduce((sum, [x, y], i) => sum + x * p[(i + 1) % 4][1] - p[(i + 1) % 4][0] * y, 0)) / 2;
        g.beginPath();
        p.forEach(([x, y], i) => (i ? g.lineTo(x, y) : g.moveTo(x, y)));
        g.closePath();
        g.globalAlpha = clamp(60 / (area + 1), 0.03, 0.35);
        g.fill();
        g.globalAlpha = 0.4;
        g.stroke();
      }
    }
    g.globalAlpha = 1;
  }

  paintPulls(g) {
    const { fake, pull } = this.session, { plane } = this, every = Math.max(1, Math.floor(fake.length / 2 / ARROWS)), path = new Path2D();
    for (let i = 0; i < fake.length; i += 2 * every) {
      const size = Math.hypot(pull[i], pull[i + 1]), long = (LONGEST * size) / (size + HALF);
      if (!(long > 1.5)) continue;
      const dx = (pull[i] / size) * long, dy = (-pull[i + 1] / size) * long, x = plane.x(fake[i]), y = plane.y(fake[i + 1]);
      const head = Math.min(6, long / 2) / long;
      path.moveTo(x, y);
      path.lineTo(x + dx, y + dy);
      path.lineTo(x + dx - head * (dx - 0.6 * dy), y + dy - head * (dy + 0.6 * dx));
      path.moveTo(x + dx, y + dy);
      path.lineTo(x + dx - head * (dx + 0.6 * dy), y + dy - head * (dy - 0.6 * dx));
    }
    for (const [width, colour] of [[3.4, "#fff"], [1.6, "#111"]]) {
      g.lineWidth = width;
      g.strokeStyle = colour;
      g.stroke(path);
    }
  }

  paintTicks(g, view) {
    const [a, b, c, d] = this.world.box, { plane } = this;
    g.font = "10.5px system-ui, sans-serif";
    g.lineWidth = 2.5;
    g.lineJoin = "round";
    g.strokeStyle = "rgba(255,255,255,.85)";
    g.fillStyle = "#111";
    const write = (v, x, y) => {
      const text = `${+v.toPrecision(3)}`.replace("-", "−");
      g.strokeText(text, x, y);
      g.fillText(text, x, y);
    };
    g.textAlign = "center";
    for (const v of ticks(a, b, 6)) if (v > a + (b - a) * 0.05 && v < b) write(v, plane.x(v), view.height - 6);
    g.textAlign = "left";
    for (const v of ticks(c, d, 6)) if (v > c + (d - c) * 0.05 && v < d) write(v, 6, plane.y(v) + 3.5);
  }

  drawFacts(header, settings) {
    const title = header.modes ? "Modes found" : "Nearest-neighbour test";
    this.meter.title = title;
    this.meter.root.querySelector(".lex-title").textContent = title;
    this.meter.show(header.share, 0, header.modes ? [] : [[0.5, "cannot tell"]], header.score);
    const percent = (v) => v.toFixed(2);
    this.opinion.show(header.real, 0, [[header.fake, "fake"]], `real ${percent(header.real)}, fake ${percent(header.fake)}`);
    const rates = settings.lr_d / settings.lr_g;
    this.$(".lex-status").textContent = `turn ${many(header.turns)} · the critic learns ${rates >= 1 ? `${short(rates, 1)} times as fast as` : `${short(1 / rates, 1)} times slower than`} the generator`;
  }

  drawLosses(settings) {
    const { losses, session: { at, dLoss, gLoss } } = this, level = { "non-saturating": [2 * Math.LN2, Math.LN2], minimax: [2 * Math.LN2, -Math.LN2] }[settings.objective] ?? [];
    const sorted = [...dLoss, ...gLoss, ...level].filter(Number.isFinite).sort((a, b) => a - b), last = Math.max(at[at.length - 1], 100);
    const low = sorted[Math.floor(0.01 * sorted.length)], high = sorted[Math.ceil(0.99 * sorted.length) - 1], room = 0.08 * (high - low) + 0.05;
    losses.range([0, last], [low - room, high + room], { xs: ticks(0, last, 5), ys: ticks(low - room, high + room, 4), name: (v) => many(v) });
    const curve = (values) => line(Array.from(values, (v, i) => [losses.x(at[i]), losses.y(v)]));
    this.lineD.setAttribute("d", curve(dLoss));
    this.lineG.setAttribute("d", curve(gLoss));
    this.level.setAttribute("d", level.map((v) => `M${losses.box.left} ${losses.y(v)}H${losses.box.right}`).join(""));
    this.levelName.textContent = level.length ? "dashed: both where fake = real" : "";
    const end = dLoss.length - 1;
    losses.reading.textContent = `critic ${short(dLoss[end])}, generator ${short(gLoss[end])}`;
    losses.root.setAttribute("aria-label", `Losses over the turns; now ${losses.reading.textContent}`);
  }
}

const explorer = () => mount(rules, GameView);

export default explorer;
